"""Trains with several processes, and compares with one process and with the original's figures.

    python -m tests.campaigns.processes

All runs of golden/runs.json, each with two, three and four processes, in double precision, must print every digit of
the original; and a process that is killed or hangs must end the run within a minute. Ends with a traceback where that
is not so.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

from tests.helpers.inputs import ROOT, SMALL, numbers
from tests.helpers.runs import Run, checkpoints
from tests.scripts.test_golden import RUNS, check_log, flags_of


def start(cwd: Path, size: int, *flags: object, prepare: Callable[[int], None] | None = None) -> list[Run]:
    """Runs of `python train.py` as torchrun starts them, the first first, without the seconds that it takes.

    `prepare`, if given, is called in each process with its rank; multiprocessing must be able to pickle it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return [Run(cwd, *flags, prepare=partial(join, rank, size, port, prepare)) for rank in range(size)]


def join(rank: int, size: int, port: int, prepare: Callable[[int], None] | None) -> None:
    """Makes this process one of several: what torchrun does before it starts one."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    if prepare:
        prepare(rank)


def finish(cwd: Path, size: int, *flags: object, prepare: Callable[[int], None] | None = None) -> Run:
    """The first of several runs that have all come to a good end; the others have printed nothing."""
    first, *others = [run.wait() for run in start(cwd, size, *flags, prepare=prepare)]
    assert [(run.status, run.out, run.err) for run in others] == [(first.status, "", "")] * (size - 1), first.err
    return first


def torchrun(cwd: Path, size: int, *flags: object) -> subprocess.Popen:
    """`torchrun train.py` with so many processes of one thread. Its output is in the files `out` and `err`."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(size), str(ROOT / "train.py")]
    with open(cwd / "out", "wb") as out, open(cwd / "err", "wb") as err:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen([*command, *map(str, flags)], cwd=cwd, stdout=out, stderr=err, env=environment)


def wait_for(cwd: Path, process: subprocess.Popen, text: str, seconds: float = 60) -> None:
    """Until a run under torchrun has printed something."""
    end = time.monotonic() + seconds
    while text not in (cwd / "out").read_text():
        if process.poll() is not None or time.monotonic() > end:
            raise TimeoutError(f"never printed {text!r}: {(cwd / 'err').read_text()}")
        time.sleep(0.02)


def child(process: subprocess.Popen, rank: int) -> int:
    """The number of the process that torchrun has started with this rank."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(re.sub(r".*\) ", "", (folder / "stat").read_text()).split()[1])
            if parent == process.pid and f"\0RANK={rank}\0" in "\0" + (folder / "environ").read_text():
                return int(folder.name)
        except OSError:
            continue  # it has ended meanwhile
    raise ProcessLookupError(f"torchrun has no process {rank}")


def check_golden(name: str, size: int, data: Path, folder: Path) -> None:
    """Holds a golden run of several processes against the original's figures. `folder` is for its files."""
    run, cv = RUNS[name], folder / "cv"
    flags: list[object] = []
    if name == "lstm_init_from":
        (folder / "start").mkdir()
        check_golden("lstm", size, data, folder / "start")
        flags = ["-init_from", folder / "start" / "cv" / RUNS["lstm"]["checkpoints"][-1].replace(".t7", ".pt")]
    first = finish(folder, size, *flags_of(run, data, cv), *flags)
    check_log(CompletedProcess([], first.status, first.out, first.err), run, cv)


def strike(folder: Path, number: int) -> tuple[float, str]:
    """Sends a signal to one process of two under torchrun; seconds until all have ended, and what they said."""
    (folder / "input.txt").write_bytes(numbers(140))
    process = torchrun(folder, 2, *SMALL, "-data_dir", folder, "-max_epochs", 10000, "-save_every", 10)
    wait_for(folder, process, "20/")
    os.kill(child(process, 1), number)
    before = time.monotonic()
    assert process.wait(120) != 0
    seconds = time.monotonic() - before
    said = re.findall("^error: .*", (folder / "err").read_text(), re.MULTILINE)
    assert len(said) == 1 and "has lost another process" in said[0], said
    assert checkpoints(folder / "cv")  # all of which have loaded
    return seconds, said[0]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "input.txt").write_bytes(numbers(1500))
        for run in RUNS:
            for size in (2, 3, 4):
                (folder / f"{run}{size}").mkdir()
                before = time.monotonic()
                check_golden(run, size, folder, folder / f"{run}{size}")
                seconds = time.monotonic() - before
                print(
                    f"{run:15} {size} processes: {RUNS[run]['iterations']} iterations equal, {seconds:.1f} s",
                    flush=True,
                )
        for what, number in (("is killed", signal.SIGKILL), ("hangs", signal.SIGSTOP)):
            (folder / what).mkdir()
            seconds, said = strike(folder / what, number)
            assert seconds < 60
            print(f"a process {what}: all end in {seconds:.1f} s with: {said}")


if __name__ == "__main__":
    main()
