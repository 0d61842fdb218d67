"""The converter writes the same checkpoint with nothing on a GPU, whole or not at all."""

import errno
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.checkpoints import same
from tests.helpers.failing import failing
from tests.helpers.folders import names
from tests.helpers.inputs import GOLDEN
from tests.helpers.refusals import refused
from tests.helpers.scripts import run, run_here
from util.checkpoint.store import load_checkpoint

SCRIPT = "convert_gpu_cpu_checkpoint.py"


def tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in tensors(item)]
    return [value] if isinstance(value, torch.Tensor) else []


def test_a_gpu_checkpoint_becomes_one_that_opens_anywhere(checkpoint, tmp_path, monkeypatch):
    def mentions_gpu(path: Path) -> bool:
        with zipfile.ZipFile(path) as archive:
            (pickle,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            return b"cuda:0" in archive.read(pickle)

    source, target = tmp_path / "x.pt", tmp_path / "x.pt_cpu.pt"
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save(torch.load(checkpoint, weights_only=True), source)
    for _ in range(2):  # the second time over the older result
        done = run(SCRIPT, "x.pt", "-gpuid", 0, "-opencl", 1, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "saved x.pt_cpu.pt\n", "")
    assert names(tmp_path) == {"x.pt", "x.pt_cpu.pt"}
    assert mentions_gpu(source) and not mentions_gpu(target)
    found = tensors(torch.load(target, weights_only=True))
    assert len(found) == 10 and {tensor.device.type for tensor in found} == {"cpu"}
    assert same(load_checkpoint(target), load_checkpoint(checkpoint))


def test_a_torch7_checkpoint_becomes_one_of_ours(tmp_path):
    shutil.copy(GOLDEN / "gru.t7", tmp_path)
    assert run_here(SCRIPT, tmp_path / "gru.t7").returncode == 0
    assert same(load_checkpoint(tmp_path / "gru.t7_cpu.pt"), load_checkpoint(GOLDEN / "gru.t7"))
    assert {t.dtype for t in tensors(torch.load(tmp_path / "gru.t7_cpu.pt", weights_only=True))} == {torch.float64}


def test_it_never_writes_over_the_checkpoint_or_what_is_none(checkpoint, tmp_path):
    source, target = tmp_path / "x.pt", tmp_path / "x.pt_cpu.pt"
    shutil.copy(checkpoint, source)
    target.symlink_to("x.pt")
    refused(run_here(SCRIPT, source), "x.pt_cpu.pt: this command reads it")
    target.unlink()
    target.write_bytes(b"PK\3\4 a document")
    refused(run_here(SCRIPT, source), f"cannot write {target}: what is there is not a checkpoint")
    assert (source.read_bytes(), target.read_bytes()) == (checkpoint.read_bytes(), b"PK\3\4 a document")


@pytest.mark.parametrize("operation", ["open", "write", "close"])
def test_where_it_cannot_be_written_all_stays_as_it_was(operation, checkpoint, tmp_path):
    shutil.copy(checkpoint, tmp_path / "x.pt")
    older = (GOLDEN / "gru_adam.pt").read_bytes()
    (tmp_path / "x.pt_cpu.pt").write_bytes(older)
    with failing(operation, errno.ENOSPC):
        done = run_here(SCRIPT, tmp_path / "x.pt")
    refused(done, f"cannot write {tmp_path / 'x.pt_cpu.pt'}: no space left on device\n")
    assert names(tmp_path) == {"x.pt", "x.pt_cpu.pt"}
    assert (tmp_path / "x.pt_cpu.pt").read_bytes() == older


def test_mistakes(tmp_path):
    refused(run_here(SCRIPT, tmp_path / "x.pt"), f"there is no checkpoint {tmp_path / 'x.pt'}")
    refused(run_here(SCRIPT), "CHECKPOINT", status=2)
