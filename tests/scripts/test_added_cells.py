"""A cell that a user adds, as README.md says, does all that the others do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.checkpoints import same
from tests.helpers.inputs import ROOT, numbers
from tests.helpers.refusals import refused
from tests.helpers.scripts import environment, run_here
from util.checkpoint.pt import read_pt

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
ADDED = {"mgu": "MGU", "peephole": "Peephole"}
FLAGS = ("-rnn_size", 64, "-batch_size", 20, "-seq_length", 10, "-gpuid", -1, "-threads", 2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs a script, with two threads, of a copy of the program to which both cells were added."""
    (mgu,) = re.findall(r"```python\n(class MGU.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom model.cells import CELLS, Cell\n{mgu}\n{PEEPHOLE}\n"
    start += f"CELLS |= {{{', '.join(f'{name!r}: {cell}' for name, cell in ADDED.items())}}}\n"
    start += "import importlib\nscript = importlib.import_module(sys.argv.pop(1))\nscript.console.run(script.main)\n"
    program = tmp_path_factory.mktemp("added") / "program.py"
    program.write_text(start)

    def run(script: str, *arguments: object, cwd: Path) -> str:
        command = [sys.executable, program, script, *map(str, arguments)]
        two = environment(OMP_NUM_THREADS="2", GOMP_SPINCOUNT="0")
        done = subprocess.run(command, cwd=cwd, env=two, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("cell", ADDED)
def test_it_trains_resumes_bit_for_bit_samples_and_is_evaluated(cell, run, tmp_path):
    (tmp_path / "input.txt").write_bytes(numbers(200))
    flags = (*FLAGS, "-data_dir", ".", "-model", cell, "-dropout", 0.1)
    log = run("train", *flags, "-max_epochs", 2, "-checkpoint_dir", "whole", cwd=tmp_path)
    losses = [float(loss) for loss in re.findall(r"train_loss = (\S+),", log)]
    assert losses[-1] < losses[0] - 0.3
    run("train", *flags, "-max_epochs", 1, "-checkpoint_dir", "two", cwd=tmp_path)
    run("train", "-resume", "two", "-max_epochs", 2, cwd=tmp_path)
    (whole,) = (tmp_path / "whole").iterdir()
    resumed = tmp_path / "two" / whole.name
    one, other = read_pt(whole), read_pt(resumed)
    assert all(same(one[part], other[part]) for part in ("parameters", "training", "train_losses"))
    (halfway,) = {*(tmp_path / "two").iterdir()} - {resumed}
    before, after = read_pt(halfway)["parameters"], one["parameters"]
    assert sum("peephole" in name for name in after) == (6 if cell == "peephole" else 0)
    assert all((before[name] != after[name]).any() for name in after)  # each of them learns
    text = run("sample", whole, "-length", 100, "-verbose", 0, cwd=tmp_path)
    assert len(text) == 101
    evaluated = run("evaluate", whole, cwd=tmp_path)
    assert f"{float(re.search(r'loss per character: (.*) nats', evaluated)[1]):.4f}" == whole.stem.split("_")[-1]
    refused(run_here("sample.py", whole), f"its model is {cell!r}, a cell that this copy of the program does not have")
