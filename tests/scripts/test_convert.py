"""The converter writes the same checkpoint with nothing on a GPU, and never over the wrong file."""

import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from tests.helpers.checkpoints import same
from tests.helpers.folders import names
from tests.helpers.inputs import GOLDEN
from tests.helpers.refusals import refused
from tests.helpers.scripts import run, run_here
from util.checkpoint.store import load_checkpoint

SCRIPT = "convert_gpu_cpu_checkpoint.py"


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
    assert {tensor.device.type for tensor in torch.load(target, weights_only=True)["parameters"].values()} == {"cpu"}
    assert same(load_checkpoint(target), load_checkpoint(checkpoint))


@pytest.mark.parametrize("name", ["gru.t7", "torch_rnn/lstm_2x32_dropout_bn.t7"])
def test_a_torch7_checkpoint_becomes_one_of_ours(name, tmp_path):
    shutil.copy(GOLDEN / name, tmp_path / "x.t7")
    assert run_here(SCRIPT, tmp_path / "x.t7").returncode == 0
    assert same(load_checkpoint(tmp_path / "x.t7_cpu.pt"), load_checkpoint(GOLDEN / name))


def test_it_never_writes_over_the_checkpoint_or_what_is_none(checkpoint, tmp_path):
    source, target = tmp_path / "x.pt", tmp_path / "x.pt_cpu.pt"
    shutil.copy(checkpoint, source)
    target.symlink_to("x.pt")
    refused(run_here(SCRIPT, source), "x.pt_cpu.pt: this command reads it")
    target.unlink()
    target.write_bytes(b"PK\3\4 a document")
    refused(run_here(SCRIPT, source), f"cannot write {target}: what is there is not a checkpoint")
    assert (source.read_bytes(), target.read_bytes()) == (checkpoint.read_bytes(), b"PK\3\4 a document")
