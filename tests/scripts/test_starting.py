"""While a script starts: what it imports, Ctrl-C, and too little memory."""

import signal

import pytest

from tests.helpers.inputs import SMALL
from tests.helpers.refusals import refused
from tests.helpers.scripts import environment, imported, run_command

SCRIPTS = ["train.py", "sample.py", "evaluate.py", "visualize.py", "inspect_checkpoint.py"]
SCRIPTS += ["convert_gpu_cpu_checkpoint.py"]


def test_training_imports_nothing_slow_besides_torch(small_text, tmp_path):
    """Some of torch's functions import sympy, which takes as long as indexing 100 MB of text."""
    modules = imported("train.py", *SMALL, "-data_dir", small_text, "-checkpoint_dir", tmp_path, "-max_epochs", 1)
    assert "torch" in modules and not modules & {"sympy", "torch._dynamo", "torch._inductor", "matplotlib"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_and_too_little_memory_while_a_script_starts(script, tmp_path):
    """In the place of numpy, whose import takes a while, a module in whose middle that happens."""
    path = environment(PYTHONPATH=str(tmp_path))
    (tmp_path / "numpy.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = run_command(script, env=path)
    assert done.returncode in (130, -signal.SIGINT) and done.stderr == ""
    (tmp_path / "numpy.py").write_text("raise ImportError('libx.so: failed to map segment from shared object')\n")
    refused(run_command(script, env=path), "out of memory")
