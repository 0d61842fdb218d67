"""What can be known of the GPU's path without a GPU: see tests/helpers/fake_gpu.py and tests/helpers/fake_graph.py."""

import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch.utils import backend_registration

from tests.helpers import fake_graph
from tests.helpers.inputs import ROOT
from util.training.cuda_graph import Graphed

KERNELS = {"lstm 128": 1488, "lstm 512": 1488, "gru 128": 1478, "gru 512": 1478, "rnn 128": 666, "rnn 512": 666}
"""How many kernels a step with 50 streams of 50 characters may launch at most."""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch cannot have a device that is written in Python")
    command = [sys.executable, "-m", "tests.helpers.fake_gpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_step_leaves_no_tensor_on_the_cpu_and_looks_at_no_value(found):
    assert len(found["faults"]) == 48
    assert {kind: fault for kind, fault in found["faults"].items() if fault} == {}


@pytest.mark.parametrize("kind", KERNELS)
def test_the_kernels_of_a_step(found, kind):
    assert 500 < found["kernels"][kind] <= KERNELS[kind]


@pytest.fixture
def graphs(monkeypatch):
    """The graphs that are captured, on a CPU."""
    return fake_graph.imitate(monkeypatch)


@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize(("dropout", "optim"), [(0.0, "rmsprop"), (0.5, "rmsprop"), (0.5, "adam")])
def test_replaying_the_graph_is_training(graphs, model, dropout, optim):
    """Thirty steps with validations, two decays and losses that are looked at now and then, equal bit for bit."""
    eager = fake_graph.train(fake_graph.trainer(model, dropout, optim))
    replayed = fake_graph.train(fake_graph.graphed(fake_graph.trainer(model, dropout, optim)))
    assert eager[:2] == replayed[:2] and torch.equal(eager[2], replayed[2])
    assert len(graphs) == 1 and graphs[0].replays == 27


def test_what_cannot_be_captured_runs_without_a_graph(graphs, capsys):
    def looks(trainer):
        function = trainer._graph._function
        trainer._graph._function = lambda *inputs: (function(*inputs), trainer.finite())[0]
        return trainer

    eager = fake_graph.train(fake_graph.trainer("gru"))
    fallen_back = fake_graph.train(looks(fake_graph.graphed(fake_graph.trainer("gru"))))
    assert eager[:2] == fallen_back[:2] and torch.equal(eager[2], fallen_back[2])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "could not be captured as a CUDA graph" in said and graphs[0].replays == 0


def test_too_little_memory_for_the_graph_is_reported_as_such(graphs):
    def fails(*inputs):
        if graphs:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return torch.zeros(())

    graph = Graphed(fails, torch.device("cpu"))
    for _ in range(3):
        graph([torch.zeros(1)])
    with pytest.raises(torch.OutOfMemoryError):
        graph([torch.zeros(1)])


def test_buffers_of_a_graph_outlive_what_else_the_model_reads(graphs):
    trainer = fake_graph.graphed(fake_graph.trainer("lstm"))
    for _ in range(6):
        trainer.step()
    held = [dict(layer._kept) for layer in trainer.model.layers]
    trainer.model.stepper(3)(torch.tensor([1, 2, 3]).numpy())
    trainer.evaluate(1)
    for layer, before in zip(trainer.model.layers, held):
        assert before and layer._kept[True] is before[True]
