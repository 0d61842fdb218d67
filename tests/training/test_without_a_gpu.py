"""What can be known of the GPU's path without a GPU: see tests/helpers/fake_gpu.py."""

import json
import subprocess
import sys

import pytest
from torch.utils import backend_registration

from tests.helpers.inputs import ROOT


def test_a_step_leaves_no_tensor_on_the_cpu_and_looks_at_no_value():
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch cannot have a device that is written in Python")
    command = [sys.executable, "-m", "tests.helpers.fake_gpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    faults = json.loads(done.stdout)
    assert len(faults) == 12
    assert {kind: fault for kind, fault in faults.items() if fault} == {}
