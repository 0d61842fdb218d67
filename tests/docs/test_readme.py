"""README.md keeps its word: every command in it runs, and its tables of flags are those of the scripts."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.inputs import ROOT, numbers

README = (ROOT / "README.md").read_text()
SMALL = "-rnn_size 8 -num_layers 1 -batch_size 5 -seq_length 10 -max_epochs 1 -eval_val_every 30"
INSTALLATION = {"pip", "pytest", "git"}  # what CI does before it comes here


def commands() -> list[str]:
    """The command lines of README.md's bash blocks, those that install left out."""
    blocks = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [part for part in parts if part and not part.startswith("#") and part.split()[0] not in INSTALLATION]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the scripts, with small texts and checkpoints under all the names that README.md uses."""
    folder = tmp_path_factory.mktemp("checkout")
    for path in [*ROOT.glob("*.py"), *(ROOT / name for name in ("model", "util", "benchmarks"))]:
        (shutil.copytree if path.is_dir() else shutil.copy)(path, folder / path.name)
    for text in set(re.findall(r"-data_dir (\S+)", README)) | {"data/tinyshakespeare"}:
        (folder / text).mkdir(parents=True, exist_ok=True)
        (folder / text / "input.txt").write_bytes(numbers(300))
        (folder / text / "part.txt").write_bytes(numbers(150))
    (folder / "other.txt").write_bytes(numbers(20))
    (folder / "prime.txt").write_bytes(b"1 one")
    run(folder, f"python train.py -gpuid -1 {SMALL}")
    made = next((folder / "cv").iterdir())
    for name in set(re.findall(r"\S+\.(?:pt|t7)\b", " ".join(commands()))):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(made if name.endswith(".pt") else ROOT / "tests" / "golden" / "lstm.t7", folder / name)
    return folder


def run(folder: Path, command: str) -> None:
    python = Path(sys.executable)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", commands())
def test_command(command, checkout):
    words = command.split()
    if "benchmarks/" in command:
        pytest.skip("takes minutes")
    if "--nnodes=2" in words:  # both machines are this one
        command = command.replace("10.0.0.1", "localhost").replace("--nproc_per_node=4", "--nproc_per_node=1")
        command += f" {SMALL} -gpuid -1"
        command = f"{command} & {command} && wait $!"
    elif "train.py" in words and "-resume" not in words:
        command += f" {SMALL}"
    if "sample.py" in words:
        command = (
            command.replace("sample.py", "sample.py -length 50").replace('"ROMEO:"', '"one"').replace('"The "', '"1 "')
        )
    run(checkout, command)


@pytest.mark.parametrize("script", ["train", "sample", "evaluate", "inspect_checkpoint", "convert_gpu_cpu_checkpoint"])
def test_flags(script):
    """Every flag of a script is in README.md, and those in its table have their defaults there."""
    actions = {action.dest: action for action in importlib.import_module(script).flags()._actions}
    known = {name for name in actions if actions[name].option_strings and name != "help"}
    named = set(re.findall(r"`-(\w+)", README))
    assert known <= named, f"not in README.md: {known - named}"
    table = re.search(rf"\| `{script}\.py.*?\n\n", README, flags=re.DOTALL)
    for flag, default in re.findall(r"^\| `-(\w+)` \| ([^|]*) \|", table[0] if table else "", flags=re.MULTILINE):
        assert str(actions[flag].default) in {default.strip(), f"{default.strip()}.0"}, flag


def test_every_flag_is_known():
    """What looks like a flag in a command is one."""
    for command in commands():
        words = shlex.split(command)
        scripts = [word for word in words if word.endswith(".py") and "/" not in word]
        if scripts:
            flags = importlib.import_module(scripts[0][:-3]).flags()
            written = [word.lstrip("-") for word in words[words.index(scripts[0]) :] if re.match(r"-[a-z]", word)]
            assert set(written) <= {action.dest for action in flags._actions}, command
