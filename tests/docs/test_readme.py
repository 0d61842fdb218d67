"""README.md and docs/ keep their word: every command runs, every link works, and the sessions are as printed."""

import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

from tests.helpers import scripts
from tests.helpers.inputs import ROOT, names, numbers
from tests.helpers.processes import finish
from tests.helpers.runs import signals_at

README = ROOT / "README.md"
PAGES = {path: path.read_text() for path in (README, *sorted((ROOT / "docs").glob("*.md")))}
DOCS = [page for page in PAGES if page != README]
SMALL = "-rnn_size 8 -num_layers 1 -batch_size 5 -seq_length 10 -max_epochs 1 -eval_val_every 30"
SCRIPTS = {path.name for path in ROOT.glob("*.py")}
INSTALLATION = {"pip", "python3", "source"}  # what CI does before it comes here


def blocks(page: Path, language: str = "") -> list[str]:
    """The code blocks of a page in this language, those without one by default."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language]


def commands(*pages: Path) -> list[str]:
    """The command lines of the pages' bash blocks, each once, those that install left out."""
    lines = [
        line for page in pages for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()
    ]
    parts = dict.fromkeys(part.strip() for line in lines for part in line.split("&&"))
    return [part for part in parts if part and not part.startswith("#") and part.split()[0] not in INSTALLATION]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the program, with small texts and checkpoints under all the names that docs/ uses."""
    folder = copy_of_the_program(tmp_path_factory.mktemp("checkout"))
    for text in set(re.findall(r"-data_dir (\S+)", " ".join(commands(*DOCS)))):
        (folder / text).mkdir(parents=True, exist_ok=True)
        (folder / text / "input.txt").write_bytes(numbers(300))
        (folder / text / "part.txt").write_bytes(numbers(150))
    (folder / "data" / "names" / "input.txt").write_text(names(1500))
    (folder / "other.txt").write_bytes(numbers(20))
    (folder / "prime.txt").write_bytes(b"1 one")
    of_names = next(command for command in commands(*DOCS) if "data/names" in command)
    run(folder, f"python train.py -gpuid -1 {SMALL}")
    run(folder, f"{of_names} -gpuid -1 {SMALL}")
    for output in ("sampled.txt", "texts.jsonl -json 1"):
        run(folder, f"python sample.py cv -length 50 -output {output}")
    return folder


def copy_of_the_program(folder: Path) -> Path:
    """Copies what a clone has and the pages' commands need, with a small text as Shakespeare's."""
    for name in ("model", "util", "benchmarks", "tests/golden"):
        shutil.copytree(ROOT / name, folder / name)
    for path in ROOT.glob("*.py"):
        shutil.copy(path, folder)
    (folder / "data" / "tinyshakespeare").mkdir(parents=True)
    (folder / "data" / "tinyshakespeare" / "input.txt").write_bytes(numbers(300))
    return folder


def run(folder: Path, command: str) -> str:
    """Runs a command that ends well, and returns what it printed; as a fork if it needs no shell."""
    python, *words = shlex.split(command)
    if python == "python" and words[0] in SCRIPTS and not re.search("[|&>]", command):
        done = scripts.run(words[0], *words[1:], cwd=folder)
        assert done.returncode == 0, done.stderr
        return done.stdout
    here = Path(sys.executable).parent
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PATH": f"{here}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_readme_is_pasted_from_top_to_bottom(tmp_path):
    """Each command finds what those before it have made; of what they train, only the sizes are smaller."""
    folder = copy_of_the_program(tmp_path)
    for command in commands(README):
        if "train.py" in command and "-resume" not in command:
            command += f" {SMALL} -gpuid -1 -eval_val_every 1000"
            if "data/mytext" in command:  # which is as long as the program
                command += " -batch_size 50 -max_epochs 0.1"
        printed = run(folder, command.replace('"ROMEO:"', '"one"'))
        if "-stop_document" in command:
            texts = re.split(r"^----- \d+ -----\n", printed, flags=re.MULTILINE)
            assert len(texts) == 11 and {text.count("\n") for text in texts[1:]} == {1}, printed
    assert (folder / "data/mytext/input.txt").stat().st_size > 300_000


def test_every_text_of_readme_has_a_folder_of_its_own_for_checkpoints():
    """Else `sample.py cv` would write another text, and `-resume cv` take another run."""
    trains = [command for command in commands(README) if "train.py" in command and "-resume" not in command]
    folders = [(re.findall(r"-checkpoint_dir (\S+)", command) or ["cv"])[0] for command in trains]
    assert len(folders) >= 4 and len(set(folders)) == len(folders)


@pytest.mark.parametrize("command", commands(*DOCS))
def test_command(command, checkout):
    words = command.split()
    if "benchmarks/" in command:  # takes minutes: only see that it has these flags
        done = scripts.run("train.py", *words[2:], "-h", cwd=checkout, prepare=partial(benchmark, words[1]))
        assert done.returncode == 0, done.stderr
        return
    if "train.py" in words and "-resume" not in words:
        command += f" {SMALL}"
    if words[0] == "torchrun":  # its own flags are right, and as many processes train, but all of them here
        asked = get_args_parser().parse_args(shlex.split(command)[1:])
        size = 2 if asked.nnodes == "2" else int(asked.nproc_per_node)
        first = finish(checkout, size, *asked.training_script_args, "-gpuid=-1")
        assert first.status == 0, first.err
        return
    if "sample.py" in words:
        command = command.replace("sample.py", "sample.py -length 50")
    run(checkout, command.replace('"ROMEO:"', '"one"'))


def benchmark(script):
    sys.path.insert(0, "benchmarks")
    runpy.run_path(script, run_name="__main__")


def test_new_names_from_a_list_of_names(checkout):
    """The example of docs/training.md gives twenty names in the style of the list, most of them new."""
    learns, writes = (command for command in commands(*DOCS) if "names" in command)
    fast = "-rnn_size 64 -num_layers 1 -learning_rate 1e-2 -max_epochs 12"
    run(checkout, f"{learns} {fast} -gpuid -1 -print_every 100 -checkpoint_dir longer")
    out = run(checkout, writes.replace("cv/names", "longer"))
    written = re.split(r"^----- \d+ -----\n", out, flags=re.MULTILINE)[1:]
    assert len(written) == 20 and all(name.count("\n") == 1 for name in written)
    like = [name for name in written if re.fullmatch("[A-Z][a-z]{2,9}\n", name)]
    assert len(like) >= 15 and len(set(like)) >= 10, written
    assert set(like) - set(names(1500).splitlines(keepends=True)), "all are copied"


def test_the_sessions_are_as_printed(checkout):
    """The lines that README.md and docs/training.md show of a run come in this order, numbers aside."""
    flags = (*SMALL.split(), "-gpuid=-1", "-print_every=10", "-checkpoint_dir=session")
    done = scripts.run("train.py", *flags, cwd=checkout, prepare=signals_at(45, signal.SIGINT))
    assert done.returncode == 130, done.stderr
    printed = kind(done.stdout.replace(" session/", " cv/"))
    sessions = re.split(r"^\$ .*\n", next(b for b in blocks(README) if b.startswith("$ ")), flags=re.MULTILINE)
    log = next(block for block in blocks(ROOT / "docs" / "training.md") if "train_loss" in block)
    for session in (sessions[1], log):
        at = 0
        for line in filter(None, session.splitlines()):
            at = printed.find(kind(line), at) + 1
            assert at, line
    made, sampled = (set(re.findall(r"cv/\S+\.pt", session)) for session in sessions[1:])
    assert sampled and sampled <= made
    said = scripts.run("sample.py", "session", "-primetext", "one", "-length", "1", cwd=checkout).stderr
    assert kind(said.replace(" session/", " cv/")) == kind("".join(sessions[2].splitlines(keepends=True)[:3]))


def kind(text: str) -> str:
    """Text without its numbers."""
    return re.sub(r"\d[\d.,]*(e[+-]\d+)?", "#", text.replace("1 layer ", "1 layers "))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", PAGES[page]):
        path = (page.parent / target).resolve() if target else page
        if "://" in target:
            continue
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", PAGES[path], flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}, (target, anchor)


def test_readme_is_short_and_links_every_page():
    assert len(PAGES[README].splitlines()) <= 200
    assert not [page.name for page in PAGES if page != README and f"docs/{page.name}" not in PAGES[README]]


def test_the_map_of_the_code_is_right():
    """Each path that README.md's map names is there."""
    folder, names = "", []
    code_map = next(block for block in blocks(README) if block.startswith("model/ "))
    for line in code_map.splitlines():
        paths = re.split(r" {2,}", line.strip())[0].split()
        if not line.startswith(" "):
            folder = paths[0] if paths[0].endswith("/") else ""
        names += [folder + path if line.startswith(" ") else path for path in paths]
    assert not [name for name in names if not (ROOT / name).exists()]
