"""Names every output flag of every script with what must not be lost, and with new files, devices and folders.

    python -m tests.campaigns.outputs

Everything that a command reads, and what is not its own to replace, is named by its name, by a roundabout path, by
symbolic and hard links.
"""

import importlib.util
import itertools
import os
import shlex
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from tests.helpers.campaigns import run as run_campaign
from tests.helpers.inputs import SMALL, numbers
from tests.helpers.logs import saved
from tests.helpers.runs import finish
from tests.helpers.scripts import run

CHECKPOINTS = ("x.pt", "other.pt")
TEXT = ("text/input.txt", "text/vocab.json", "text/data.bin")
TABLES = ("table.csv", "log.csv")
TRAIN = shlex.join([*SMALL, "-data_dir=text", "-max_epochs=1", "-print_every=20"])


@dataclass(frozen=True)
class Output:
    """A flag that names a place to write to, for which `{}` stands in the command."""

    command: str
    protected: tuple[str, ...]  # what it must never write over: all that the command reads, and what is of another kind
    place: str = "place"  # a name for it; one that the command does not contain, the user cannot choose
    folder: bool = False  # whether it names a folder
    replaces: bool = True  # whether it replaces a file of its own kind

    def run(self, scene: Path, place: str) -> CompletedProcess:
        script, *words = shlex.split(self.command.format(shlex.quote(place)))
        return run(script, *words, cwd=scene)


OUTPUTS = [
    Output(f"train.py {TRAIN} -log_csv {{}}", (*TEXT, *CHECKPOINTS, *TABLES, "prime.txt"), replaces=False),
    Output(
        "train.py -resume x.pt -data_dir text -max_epochs 2 -checkpoint_dir cv -log_csv {}",
        (*TEXT, *CHECKPOINTS, *TABLES),
        replaces=False,  # its rows are of after the checkpoint, so nothing shows whose they are
    ),
    Output(f"train.py {TRAIN} -checkpoint_dir {{}}", (*TEXT, *CHECKPOINTS, *TABLES), folder=True),
    Output("sample.py x.pt -length 9 -primetext_file prime.txt -output {}", ("prime.txt", *CHECKPOINTS)),
    Output("sample.py x.pt -length 9 -num_samples 2 -output {}", CHECKPOINTS),
    Output("visualize.py x.pt -length 9 -file prime.txt -output {}", ("prime.txt", *CHECKPOINTS)),
    Output("visualize.py x.pt -length 9 -data_dir text -output {}", (*TEXT, *CHECKPOINTS, *TABLES)),
    Output("visualize.py x.pt -length 9 -data_dir text", (*TEXT, *CHECKPOINTS, *TABLES), "x.html"),
    Output("inspect_checkpoint.py x.pt -losses {}", (*TEXT, *CHECKPOINTS, *TABLES)),
    Output("convert_gpu_cpu_checkpoint.py x.pt", ("x.pt", *TEXT, *TABLES), "x.pt_cpu.pt"),
]
if importlib.util.find_spec("matplotlib"):
    OUTPUTS.append(Output("inspect_checkpoint.py x.pt other.pt -plot {}", (*CHECKPOINTS, *TABLES), "place.png"))
if importlib.util.find_spec("tensorboard"):
    OUTPUTS.append(Output(f"train.py {TRAIN} -tensorboard {{}}", (*TEXT, *CHECKPOINTS, *TABLES), folder=True))


def make_scene(folder: Path) -> Path:
    """A folder with everything that the commands read; from it each attempt gets a copy."""
    scene = folder / "scene"
    (scene / "text").mkdir(parents=True)
    (scene / "text" / "input.txt").write_bytes(numbers(140))
    for to, *flags in (("other.pt", "-seed=7", "-log_csv=log.csv"), ("x.pt", "-log_csv=own.csv")):
        (name,) = saved(finish(scene, *SMALL, "-data_dir=text", "-max_epochs=1", *flags).out)
        (scene / "cv" / name).rename(scene / to)
    (scene / "cv" / name).write_text("somebody's")  # where a run will want to write its checkpoint
    (scene / "table.csv").write_text("a,b\n1,2\n")
    (scene / "prime.txt").write_text("one two")
    for printed in scene.glob("*.[oe][ur][tr]"):
        printed.unlink()
    for path, mode in zip(sorted(scene.rglob("*.*")), itertools.cycle((0o600, 0o644, 0o664))):
        path.chmod(mode)
    return scene


def state(folder: Path) -> dict[str, tuple]:
    """What is under each name in a folder and below: kind, mode, and content or where a link leads."""
    found = {}
    for path in folder.rglob("*"):
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (stat.filemode(path.lstat().st_mode), content)
    return found


def refused(output: Output, scene: Path, place: Path) -> str:
    before = state(scene)
    done = output.run(scene, str(place.relative_to(scene)))
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode in (1, 2) and len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    assert "/50 " not in done.stdout and state(scene) == before  # nothing was trained
    return "refused, all as before"


def written(output: Output, scene: Path, place: Path) -> str:
    """Everything else must stay as it was, but for what a run puts into its folder."""
    before = state(scene)
    done = output.run(scene, place.name)
    assert done.returncode == 0 and "error" not in done.stderr and place.exists(), done.stderr
    after = state(scene)
    new = {name for name in after.keys() - before.keys() if not name.startswith("cv/")}
    assert all(name == place.name or (output.folder and name.startswith(f"{place.name}/")) for name in new), new
    target = os.path.relpath(os.path.realpath(place), scene)
    assert all(after.get(name) == value for name, value in before.items() if name != target)
    return "written"


def again(output: Output, scene: Path, place: Path) -> str:
    """Over a file of its own kind, which has a mode and a link to it."""
    came = written(output, scene, place)
    if output.folder:
        return came
    kept = place.rename(place.with_stem("kept"))
    kept.chmod(0o600)
    place.symlink_to(kept.name)
    came = written(output, scene, place) if output.replaces else refused(output, scene, place)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and place.is_symlink() and kept.stat().st_size
    return came


def a_folder(output: Output, scene: Path, place: Path) -> str:
    place.mkdir()
    return "" if output.folder else refused(output, scene, place)


def a_device(output: Output, scene: Path, place: Path) -> str:
    place.symlink_to("/dev/null")
    if output.folder:
        return refused(output, scene, place)
    done = output.run(scene, place.name)
    assert done.returncode == 0 and Path("/dev/null").is_char_device() and place.is_symlink(), done.stderr
    return "the device got it, and is there"


PLACES = {"a new file": written, "a file of its own kind": again, "a folder": a_folder, "a device": a_device}
"""What to name: each tries it and returns what came of it, nothing where there is nothing to try."""
NAMINGS: dict[str, Callable[[Path, Path], Path]] = {
    "symbolic link": lambda link, target: link.symlink_to(target) or link,
    "hard link": lambda link, target: link.hardlink_to(target) or link,
    "its name": lambda _, target: target,
    "roundabout": lambda _, target: target.parent / ".." / target.parent.name / target.name,
}
"""How to name what must not be written over."""


def attempts() -> Iterator[tuple[str, Output, str]]:
    """(what is done, output, what it is done to): everything that the campaign tries."""
    for output in OUTPUTS:
        namings = list(NAMINGS)[: 4 if "{}" in output.command else 2]
        yield from ((naming, output, target) for target in output.protected for naming in namings)
        yield from ((place, output, "") for place in PLACES)


def campaign(every: int, folder: Path) -> Counter[str]:
    """Every n-th of all attempts, each in a copy of the scene; what came of them, counted."""
    figures = Counter[str]()
    original, scene = make_scene(folder), folder / "copy"
    for what, output, target in itertools.islice(attempts(), 0, None, every):
        shutil.copytree(original, scene)
        place = scene / output.place
        try:
            if target:
                came = refused(output, scene, NAMINGS[what](place, scene / target))
            else:
                came = PLACES[what](output, scene, place)
        except Exception as error:
            raise AssertionError(f"{what} {target}: {output.command}") from error
        if came:
            figures[f"{'must not be lost' if target else what}: {came}"] += 1
        shutil.rmtree(scene)
    return figures


if __name__ == "__main__":
    run_campaign(campaign, 1)
