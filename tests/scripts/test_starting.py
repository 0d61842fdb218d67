"""While a script starts: too little memory, and Ctrl-C."""

import signal
import subprocess

import pytest

from tests.helpers.inputs import TINY
from tests.helpers.refusals import told
from tests.helpers.scripts import command, environment, run_command


@pytest.mark.parametrize("script", ["train.py", "evaluate.py", "convert_gpu_cpu_checkpoint.py"])
def test_too_little_memory_for_torch_is_one_sentence(script, checkpoint, data_dir, tmp_path):
    (tmp_path / "x.pt").write_bytes(checkpoint.read_bytes())
    words = {
        "train.py": [*TINY, "-data_dir", data_dir, "-checkpoint_dir", tmp_path],
        "evaluate.py": ["x.pt", "-gpuid=-1", "-data_dir", data_dir],
        "convert_gpu_cpu_checkpoint.py": ["x.pt"],
    }[script]
    limited = ["sh", "-c", 'ulimit -c 0; ulimit -v 500000; exec "$@"', "sh", *command(script, *words)]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, env=environment())
    told(done, "out of memory")


@pytest.mark.parametrize("script", ["evaluate.py", "inspect_checkpoint.py", "convert_gpu_cpu_checkpoint.py"])
def test_ctrl_c_while_a_script_starts(script, checkpoint, tmp_path):
    """In the place of numpy, whose import takes a while, a module in whose middle Ctrl-C is pressed."""
    (tmp_path / "numpy.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = run_command(script, checkpoint, env=environment(PYTHONPATH=str(tmp_path)))
    assert done.returncode in (130, -signal.SIGINT) and done.stderr == ""
