"""What can be known of the GPU's path without a GPU: see tests/helpers/fake_gpu.py."""

import json

import pytest
import torch
from torch.utils import backend_registration

from tests.helpers.scripts import run
from util.torch7_random import Torch7Random
from util.training.dropout import GPUDraws


def test_a_step_leaves_no_tensor_on_the_cpu_and_looks_at_no_value():
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch cannot have a device that is written in Python")
    done = run("tests.helpers.fake_gpu")
    assert done.returncode == 0, done.stderr
    faults = json.loads(done.stdout)
    assert len(faults) == 3 and not any(faults.values()), faults


def test_what_dropout_keeps_on_a_gpu_follows_from_the_iteration():
    """Here the CPU stands in for one, though of a seed it takes only the part that is the iteration."""
    one, same = (GPUDraws(Torch7Random(1), (100, 100), 0.7, torch.device("cpu"), 2**32 - 1) for _ in range(2))
    first, second = one.next(1).clone(), one.next(2).clone()
    assert same.next(2).equal(second) and same.next(1).equal(first) and not first.equal(second)
    assert abs(first.float().mean().item() - 0.7) < 0.03
