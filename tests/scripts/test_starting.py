"""While a script starts: what it imports, Ctrl-C, too little memory, closed descriptors."""

import resource
import signal
import subprocess
import sys
from functools import partial

import pytest

from tests.helpers.inputs import EPOCH, ROOT, SMALL, numbers
from tests.helpers.refusals import refused, told
from tests.helpers.scripts import command, environment, run_command

SCRIPTS = ["train.py", "sample.py", "evaluate.py", "visualize.py", "inspect_checkpoint.py"]
SCRIPTS += ["convert_gpu_cpu_checkpoint.py"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_and_too_little_memory_while_a_script_starts(script, tmp_path):
    """In the place of numpy, whose import takes a while, a module in whose middle that happens."""
    path = environment(PYTHONPATH=str(tmp_path))
    (tmp_path / "numpy.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = run_command(script, env=path)
    assert done.returncode in (130, -signal.SIGINT) and done.stderr == ""
    (tmp_path / "numpy.py").write_text("raise ImportError('libx.so: failed to map segment from shared object')\n")
    refused(run_command(script, env=path), "out of memory")


@pytest.mark.parametrize("script", SCRIPTS)
def test_outside_of_the_environment_that_has_its_packages(script):
    """As in a new terminal; -S leaves out what pip has installed.

    The script's own modules are found, also if Python does not put its folder on the path, as with -P.
    """
    command = [sys.executable, "-S", "-P", ROOT / script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    refused(done, "has no numpy; activate the environment in which pip installed char-rnn")


def test_too_little_memory_for_torch(small_text, tmp_path):
    """Importing torch would abort."""
    flags = [*SMALL, "-data_dir", small_text, "-checkpoint_dir", tmp_path]
    limit = partial(resource.setrlimit, resource.RLIMIT_AS, (600_000 << 10,) * 2)
    told(run_command("train.py", *flags, preexec_fn=limit), "out of memory")


def test_training_imports_nothing_slow_and_closed_descriptors_do_not_become_files(tmp_path):
    """Some of torch's functions import sympy, which takes as long as indexing 100 MB of text.

    A daemon may have closed descriptors: what is told would be written into the first file that is opened.
    """
    (tmp_path / "input.txt").write_bytes(numbers(140))
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, sys\natexit.register(lambda: print(*sys.modules, file=open('modules', 'w')))\n"
    )
    flags = [*SMALL, "-data_dir=.", "-max_epochs=1", "-log_csv=log.csv", "-print_every=5"]
    words = " ".join(command("train.py", *flags))
    path = environment(PYTHONPATH=str(tmp_path))
    assert subprocess.run(["sh", "-c", f"{words} <&- >log 2>&-"], cwd=tmp_path, env=path, timeout=60).returncode == 0
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert len(lines) == 1 + EPOCH // 5 + 1 and all(line.count(",") == 6 for line in lines)
    modules = set((tmp_path / "modules").read_text().split())
    assert "torch" in modules and not modules & {"sympy", "torch._dynamo", "torch._inductor", "matplotlib"}


@pytest.mark.parametrize(("name", "status"), [("MPLBACKEND", 0), ("TQDM_MININTERVAL", 1)])
def test_nonsense_in_a_variable_is_no_traceback(name, status, checkpoint, matplotlib, tmp_path):
    nonsense = environment(**{name: "x y"})
    done = run_command("inspect_checkpoint.py", checkpoint, "-plot=x.png", cwd=tmp_path, env=nonsense)
    assert done.returncode == status and "Traceback" not in done.stderr
    assert (name in done.stderr) == bool(status)
