"""What can be known of the GPU's kernels without a GPU: what they compute, and that they compile."""

import importlib.util
import json
import subprocess
import sys

import pytest
import torch

from model.fast import launch
from model.fast.unrolled import FAST, Unrolled
from tests.helpers.inputs import ROOT

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("triton"), reason="there is no Triton for this system")


def test_the_kernels_compute_what_the_plain_cells_compute():
    """In Triton's interpreter; see tests/helpers/interpreted.py."""
    command = [sys.executable, "-m", "tests.helpers.interpreted"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    errors = json.loads(done.stdout)
    assert len(errors) == 12
    assert {case: error for case, error in errors.items() if not error < 1e-5} == {}


class Compiled:
    """A kernel that is compiled for an Ampere GPU where it would be launched."""

    shared_memory: dict[str, int] = {}

    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, programs):
        return self

    def __call__(self, *arguments, num_warps=4, num_stages=3, **more):
        from triton import compile
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        values = dict(zip(self.kernel.arg_names, arguments)) | more
        constants = {p.name: values[p.name] for p in self.kernel.params if p.is_constexpr}
        kinds = {name: "i32" if isinstance(value, int) else "*fp32" for name, value in values.items()}
        source = ASTSource(self.kernel, kinds | dict.fromkeys(constants, "constexpr"), constants)
        options = {"num_warps": num_warps, "num_stages": num_stages}
        compiled = compile(source, target=GPUTarget("cuda", 80, 32), options=options)
        self.shared_memory[self.kernel.fn.__name__] = compiled.metadata.shared


def test_the_kernels_compile_and_fit_the_shared_memory_of_small_gpus(tmp_path, monkeypatch):
    import triton

    if not triton.__version__.startswith("3.6."):
        pytest.skip("how to compile without a GPU differs between versions")
    from model.fast import kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(launch, "why_not", lambda device: "")
    for name, kernel in vars(kernels).items():
        if "forward" in name or "backward" in name:
            monkeypatch.setattr(kernels, name, Compiled(kernel))
    for cell in FAST:
        layer = Unrolled(cell, 1, 1030)
        outputs, _ = layer(torch.zeros(1, 1, 1), torch.zeros(2, 1, 1030))
        outputs.sum().backward()
    assert len(Compiled.shared_memory) == 8
    assert max(Compiled.shared_memory.values()) <= 99 << 10
