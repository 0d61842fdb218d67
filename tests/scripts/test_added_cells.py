"""A cell that a user adds, as README.md says, does all that the others do."""

import re
from functools import partial

import pytest

from model import cells
from tests.helpers.checkpoints import same
from tests.helpers.inputs import ROOT, numbers
from tests.helpers.refusals import refused
from tests.helpers.scripts import run, run_here
from util.checkpoint.pt import read_pt

MGU = re.findall(r"```python\n(class MGU.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
PEEPHOLE = """
class Peephole(Cell):
    gates, states, start_open = ("i", "f", "o", "g"), ("c", "h"), ("f",)

    @staticmethod
    def extra_shapes(H):
        return {"peephole_i": (H,), "peephole_f": (H,), "peephole_o": (H,)}

    @staticmethod
    def step(xp, a, p, c, h):
        (W,) = p.h2h
        a_i, a_f, a_o, a_g = xp.split(a + h @ W, h.shape[-1], -1)
        i, f = xp.sigmoid(a_i + p.peephole_i * c), xp.sigmoid(a_f + p.peephole_f * c)
        c = f * c + i * xp.tanh(a_g)
        return c, xp.sigmoid(a_o + p.peephole_o * c) * xp.tanh(c)
"""
FLAGS = ("-rnn_size=32", "-batch_size=20", "-seq_length=10", "-gpuid=-1", "-threads=2", "-dropout=0.1", "-data_dir=.")


def add(source: str, name: str, cell: str) -> None:
    """Adds a cell to the program, as a user does in model/cells.py."""
    exec(source, vars(cells))
    cells.CELLS[name] = vars(cells)[cell]


@pytest.mark.parametrize(("name", "cell", "source"), [("mgu", "MGU", MGU), ("peephole", "Peephole", PEEPHOLE)])
def test_it_trains_resumes_bit_for_bit_samples_and_is_evaluated(name, cell, source, tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(200))

    def output_of(script: str, *arguments: object) -> str:
        done = run(script, *arguments, cwd=tmp_path, prepare=partial(add, source, name, cell))
        assert done.returncode == 0, done.stderr
        return done.stdout

    log = output_of("train.py", *FLAGS, "-model", name, "-max_epochs=2", "-checkpoint_dir=whole")
    losses = [float(loss) for loss in re.findall(r"train_loss = (\S+),", log)]
    assert losses[-1] < losses[0] - 0.3
    output_of("train.py", *FLAGS, "-model", name, "-max_epochs=1", "-checkpoint_dir=two")
    output_of("train.py", "-resume=two", "-max_epochs=2")
    (whole,) = (tmp_path / "whole").iterdir()
    resumed = tmp_path / "two" / whole.name
    one, other = read_pt(whole), read_pt(resumed)
    assert all(same(one[part], other[part]) for part in ("parameters", "training", "train_losses"))
    (halfway,) = {*(tmp_path / "two").iterdir()} - {resumed}
    before, after = read_pt(halfway)["parameters"], one["parameters"]
    assert sum("peephole" in name for name in after) == (6 if name == "peephole" else 0)
    assert all((before[name] != after[name]).any() for name in after)  # each of them learns
    assert len(output_of("sample.py", whole, "-length=100", "-verbose=0")) == 101
    loss = re.search(r"loss per character: (.*) nats", output_of("evaluate.py", whole))[1]
    assert f"{float(loss):.4f}" == whole.stem.split("_")[-1]
    refused(run_here("sample.py", whole), f"its model is {name!r}, a cell that this copy of the program does not have")
