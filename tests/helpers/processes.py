"""Starts several processes of train.py, as torchrun does."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.helpers.golden import RUNS, check_log, flags_of, last_checkpoint
from tests.helpers.inputs import ROOT
from tests.helpers.runs import Run
from tests.helpers.scripts import environment


def start(cwd: Path, size: int, *flags: object, prepare: Callable[[int], None] | None = None) -> list[Run]:
    """Starts runs of `python train.py` the way torchrun does, without the seconds that it takes; rank 0 comes first.

    `prepare`, if given, is called in each process with its rank; multiprocessing must be able to pickle it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return [Run(cwd, *flags, prepare=partial(join, rank, size, port, prepare)) for rank in range(size)]


def join(rank: int, size: int, port: int, prepare: Callable[[int], None] | None) -> None:
    """Makes this process one of several: what torchrun does before it starts one."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= dict.fromkeys(("RANK", "LOCAL_RANK"), str(rank))
    os.environ |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(size))
    if prepare:
        prepare(rank)


def finish(cwd: Path, size: int, *flags: object, prepare: Callable[[int], None] | None = None) -> Run:
    """Returns the first of several runs that have all ended well; the others have printed nothing."""
    first, *others = [run.wait() for run in start(cwd, size, *flags, prepare=prepare)]
    assert [(run.status, run.out, run.err) for run in others] == [(first.status, "", "")] * (size - 1), first.err
    return first


def torchrun(cwd: Path, size: int, *flags: object) -> subprocess.Popen:
    """Starts `torchrun train.py` with `size` processes of one thread. Its output goes to the files `out` and `err`."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(size), str(ROOT / "train.py")]
    with open(cwd / "out", "wb") as out, open(cwd / "err", "wb") as err:
        return subprocess.Popen([*command, *map(str, flags)], cwd=cwd, stdout=out, stderr=err, env=environment())


def wait_for(cwd: Path, process: subprocess.Popen, text: str, seconds: float = 60) -> None:
    """Waits until a run under torchrun has printed something."""
    end = time.monotonic() + seconds
    while text not in (cwd / "out").read_text():
        if process.poll() is not None or time.monotonic() > end:
            raise TimeoutError(f"never printed {text!r}: {(cwd / 'err').read_text()}")
        time.sleep(0.02)


def check_golden(name: str, size: int, data: Path, folder: Path) -> None:
    """Compares a golden run of several processes with the original's figures. `folder` is for its files."""
    run, cv = RUNS[name], folder / "cv"
    flags: list[object] = []
    if name == "lstm_init_from":
        (folder / "start").mkdir()
        check_golden("lstm", size, data, folder / "start")
        flags = ["-init_from", folder / "start" / "cv" / last_checkpoint("lstm")]
    first = finish(folder, size, *flags_of(run, data, cv), *flags)
    assert first.status == 0, first.err
    check_log(first.out, run, cv)


def child(process: subprocess.Popen, rank: int) -> int:
    """Returns the id of the process that torchrun started with this rank."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(re.sub(r".*\) ", "", (folder / "stat").read_text()).split()[1])
            if parent == process.pid and f"\0RANK={rank}\0" in "\0" + (folder / "environ").read_text():
                return int(folder.name)
        except OSError:
            continue  # it has ended meanwhile
    raise ProcessLookupError(f"torchrun has no process {rank}")
