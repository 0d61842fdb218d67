"""Runs the scripts as a user does: as commands or, in a fraction of the time, as forks.

Importing torch takes seconds. So a server does it once, in one thread, and each run is a fork of it; in all else it is
a process as if `python SCRIPT ARGUMENTS` had been typed.
"""

import importlib
import io
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tqdm import tqdm

from tests.helpers.inputs import ROOT

Prepare = Callable[[], None]


def command(script: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / script), *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """Returns the scripts' environment: one thread, since the models are too small for a second; buffers as usual."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": ""} | more


def run_command(script: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess:
    """Runs `python SCRIPT ARGUMENTS`. The options are those of subprocess.run."""
    settings = {"capture_output": True, "text": True, "timeout": 60, "env": environment()}
    return subprocess.run(command(script, *arguments), **settings | options)


def run(
    script: str, *arguments: object, cwd: Path | None = None, prepare: Prepare | None = None
) -> subprocess.CompletedProcess:
    """Runs the same as a fork, in an empty folder by default.

    `prepare`, if given, is called in the process before the script; multiprocessing must be able to pickle it.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty").mkdir()
        out, err = folder / "out", folder / "err"
        process = fork(script, arguments, cwd or folder / "empty", out, err, prepare)
        process.join(60)
        if process.is_alive():
            process.kill()
            raise TimeoutError(f"{script} is still running after 60 s")
        return subprocess.CompletedProcess(arguments, process.exitcode, out.read_text("utf-8"), err.read_text("utf-8"))


def run_here(script: str, *arguments: object) -> subprocess.CompletedProcess:
    """Runs the same in this process and returns what it wrote as bytes: the fastest way, if nothing can leak."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with patch.multiple(sys, stdout=out, stderr=err, argv=[]):
        try:
            call(script, arguments)
        except SystemExit as stop:
            status = stop.code
        for stream in (out, err):
            stream.flush()
    return subprocess.CompletedProcess(arguments, status, out.buffer.getvalue(), err.buffer.getvalue())


def call(script: str, arguments: Any) -> None:
    """Does what `python SCRIPT ARGUMENTS` does once Python has started; ends with SystemExit."""
    module = importlib.import_module(script.removesuffix(".py"))
    sys.argv = [script, *map(str, arguments)]
    module.console.run(module.main)


def fork(script: str, arguments: Any, cwd: Path, out: Path, err: Path, prepare: Prepare | None) -> BaseProcess:
    """Starts a script with its output going to two files."""
    for path in (out, err):
        path.touch()
    arguments = [str(argument) for argument in arguments]
    process = server().Process(target=_run, args=(script, arguments, cwd, out, err, prepare), daemon=True)
    process.start()
    return process


def server() -> Any:
    """What processes are forked from, with what the scripts import: later, a user who is not root might not read it."""
    context = multiprocessing.get_context("forkserver")
    scripts = ["train", "sample", "evaluate", "visualize", "inspect_checkpoint", "convert_gpu_cpu_checkpoint"]
    late = ["util.training.trainer", "model.char_rnn", "numpy.random", "numpy.ma", "mmap", "encodings.latin_1"]
    context.set_forkserver_preload([*scripts, *late, "torch.utils.serialization"])
    os.environ |= {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0"}  # threads would only wait for each other
    return context


def _run(script: str, arguments: list[str], cwd: Path, out: Path, err: Path, prepare: Prepare | None) -> None:
    """The process of a run."""
    importlib.import_module(script.removesuffix(".py"))  # from the checkout, not from `cwd`
    tqdm.set_lock(threading.RLock())  # its own is shared between processes, and a killed process would leave it locked
    os.chdir(cwd)
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_TRUNC), descriptor)
    sys.argv = [script, *arguments]
    if prepare:
        prepare()
    call(script, sys.argv[1:])  # to which `prepare` may have added


def imported(script: str, *arguments: object) -> set[str]:
    """Returns the modules that a script has imported by its end."""
    python, *rest = command(script, *arguments)
    done = subprocess.run([python, "-X", "importtime", *rest], capture_output=True, text=True, check=True)
    return set(re.findall(r"\| +(\S+)\n", done.stderr))


def become_nobody() -> None:
    """Prepares a script to run as a user who is not root, since root may write everywhere."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Lets this process be that user for a while."""
    import mmap  # noqa: F401  (later, it may lie where only root can read)

    root = os.geteuid() == 0
    try:
        if root:
            os.setresuid(65534, 65534, 0)
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)
