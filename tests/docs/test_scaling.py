"""benchmarks/scaling.py, whose runs take minutes: what it runs, and that it prints as it goes."""

import importlib.util
from pathlib import Path

from tests.helpers.inputs import ROOT


def test_each_number_of_threads_and_processes_has_its_line_before_the_next_begins(monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("scaling", ROOT / "benchmarks" / "scaling.py")
    scaling = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scaling)
    printed = []

    def train(setting, folder: Path, steps: int) -> list[float]:
        printed.append(capsys.readouterr().out.count("ms a step"))
        return [setting.streams / setting.processes + 1.0] * steps

    monkeypatch.setattr(scaling, "train", train)
    monkeypatch.setattr(scaling, "time_torch_nn", lambda setting, steps: train(setting, Path(), 1))
    times = scaling.measured(4, 2, 3)
    ways = {(one.torch_nn, one.processes, one.threads) for one in times if one.streams == 50}
    ours = {(False, *many) for many in ((1, 1), (1, 2), (1, 4), (2, 1), (4, 1))}
    assert ways == ours | {(True, 1, threads) for threads in (1, 2, 4)}
    assert printed == [0] + [1] * (2 * len(times) - 1)
    capsys.readouterr()
    scaling.predict({setting: values[0] for setting, values in times.items()}, bandwidth=10, latency=50)
    assert "t(b) = 1.0 + 1.000 b ms" in capsys.readouterr().out
