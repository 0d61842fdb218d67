"""The scripts as a user runs them, without the seconds that importing torch takes: see tests/helpers/runs.py."""

import importlib
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from tests.helpers.inputs import ROOT
from tests.helpers.runs import server


def run(script: str, *arguments: object, cwd: Path, prepare: Callable[[], None] | None = None):
    """`python SCRIPT ARGUMENTS` in a folder, finished: a subprocess.CompletedProcess with its text and status.

    `prepare`, if given, is called in the process before the script; multiprocessing must be able to pickle it.
    """
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / name for name in ("out", "err")]
        process = server().Process(
            target=_run, args=(script, [str(a) for a in arguments], str(cwd), list(map(str, outs)), prepare)
        )
        process.start()
        process.join(60)
        if process.is_alive():
            process.kill()
            raise TimeoutError(f"{script} is still running after 60 s")
        return subprocess.CompletedProcess(arguments, process.exitcode, *(path.read_text("utf-8") for path in outs))


def _run(script: str, arguments: list[str], cwd: str, outs: list[str], prepare: Callable[[], None] | None) -> None:
    module = importlib.import_module(script.removesuffix(".py"))
    tqdm.set_lock(threading.RLock())  # its own is one between processes, which a killed process would leave behind
    os.chdir(cwd)
    for path, descriptor in zip(outs, (1, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = [script, *arguments]
    if prepare:
        prepare()
    module.errors.run(module.main)


def imported(script: str, *arguments: object) -> set[str]:
    """The modules that a script has imported when it ends well."""
    command = [sys.executable, "-X", "importtime", str(ROOT / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(re.findall(r"\| +(\S+)\n", done.stderr))


def become_nobody() -> None:
    """To prepare a script with: a user who is not root, since root may write everywhere."""
    if os.geteuid() == 0:
        # What is imported later on: the packages may lie where only root can read.
        importlib.import_module("numpy.ma")
        importlib.import_module("torch.utils.serialization")
        os.setgid(65534)
        os.setuid(65534)


def told(done, *words: str, status: int = 1) -> None:
    """Asserts that a script ended with one sentence with these words in it, and wrote nothing else."""
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert [word for word in words if word not in done.stderr] == [], done.stderr
    assert done.stdout == ""
