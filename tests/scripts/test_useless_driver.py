"""A machine whose driver sees GPUs that torch cannot use: a CPU build of torch, or an old card."""

import os
import shutil
import subprocess

import pytest

from tests.helpers.inputs import GOLDEN, TINY, numbers
from tests.helpers.scripts import run_command

DRIVER = """
#include <stdlib.h>
int cuInit(unsigned flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = atoi(getenv("FAKE_GPUS")); return 0; }
"""

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="there is no compiler to make a driver with")


@pytest.fixture(scope="module")
def beside_a_driver(tmp_path_factory):
    """An environment in which the driver sees two GPUs."""
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.c").write_text(DRIVER)
    command = ["gcc", "-shared", "-fPIC", "-o", folder / "libcuda.so.1", folder / "driver.c"]
    subprocess.run(command, check=True)
    return os.environ | {"LD_LIBRARY_PATH": str(folder), "FAKE_GPUS": "2", "OMP_NUM_THREADS": "1"}


def test_it_continues_on_the_cpu(beside_a_driver, tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(140))
    done = run_command("train.py", *TINY[1:], "-data_dir=.", "-max_epochs=1", cwd=tmp_path, env=beside_a_driver)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert said.count("continuing on the CPU") == 1 and "cannot compute on cuda:" in said
    assert "Traceback" not in said


def test_a_gpu_that_the_driver_does_not_see_is_a_mistake(beside_a_driver, tmp_path):
    done = run_command("sample.py", GOLDEN / "rnn.t7", "-gpuid=2", cwd=tmp_path, env=beside_a_driver)
    assert done.returncode == 1 and "there is no GPU 2; -gpuid takes 0 to 1" in done.stderr
