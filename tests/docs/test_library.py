"""The code in docs/library.md, run as it is, from the top."""

import json
import re
import socket
import threading
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pytest
import torch

import char_rnn
from tests.helpers.inputs import GOLDEN, ROOT
from tests.helpers.samples import written

LSTM = GOLDEN / "lstm_float32.pt"


def test_the_examples(capsys, tmp_path, monkeypatch):
    """Each goes on with what those before it have made; the names are those that a model of numbers knows."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "library.md").read_text()
    words = {"cv": str(LSTM), "The ": "one ", "The king": "one", "I will be ": "twenty-"}
    words |= {"gone": "one", "king": "three", "zzzz": "nnnn"}
    for theirs, ours in words.items():
        page = page.replace(f'"{theirs}"', f'"{ours}"')
    page = page.replace("ROMEO:", "one")
    samples, predicts, ranks, searches, exports, converts, serves = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    known: dict[str, Any] = {}

    def printed(code: str) -> str:
        exec(code, known)
        return capsys.readouterr().out

    flags = ("-length=200", "-primetext=one", "-temperature=0.7", "-seed=7", r"-stop=\n\n")
    assert printed(samples) == written(*flags, checkpoint=LSTM)
    model = char_rnn.load(LSTM)
    likeliest = [*model.next("one ").items()][:5]
    assert printed(predicts) == "".join(f"{character!r} {round(p, 4)}\n" for character, p in likeliest)
    ranked = eval(printed(ranks))
    losses = [model.score(f"twenty-{candidate}")[6:].sum() for candidate in ranked]
    assert {*ranked} == {"one", "three", "nnnn"} and losses == sorted(losses)
    found = eval(printed(searches))
    losses = [model.score(text)[3:].sum() for text in found]
    assert losses == pytest.approx(sorted(losses)) and len({*found}) == 5 and {*map(len, found)} == {10}
    assert losses[0] <= model.score(model.sample("one ", length=6, sample=0))[3:].sum() + 1e-5
    exec(exports, known)
    assert np.array_equal(np.load("states.npz")["h"], model.states("one")["h"])
    weights = json.loads((tmp_path / "weights.json").read_text())
    expected = [*model.next("one ").values()]
    assert len(weights["characters"]) == len(weights["decoder.bias"]) == len(expected)
    exec(converts, known)
    with torch.no_grad():
        indices = model.checkpoint.vocabulary.encode("one ")
        hidden, _ = known["lstm"](torch.nn.functional.one_hot(torch.tensor(indices), known["V"]).float())
        np.testing.assert_allclose(
            known["decoder"](hidden[-1]).softmax(0).sort(descending=True)[0], expected, rtol=1e-4
        )
    answers(serves, known, model)


def answers(serves: str, known: dict[str, Any], model: char_rnn.Model) -> None:
    """Starts the server, on any port, and asks it."""
    at_once = serves.replace('ThreadingHTTPServer(("localhost", 8000), Answer).serve_forever()', "")
    assert at_once != serves
    exec(at_once, known)
    with known["ThreadingHTTPServer"](("localhost", 0), known["Answer"]) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def fetched(asked: str) -> str:
            with urllib.request.urlopen(f"http://localhost:{server.server_port}/?{asked}", timeout=30) as answer:
                return answer.read().decode()

        with socket.create_connection(("localhost", server.server_port)):  # which asks for nothing; others are answered
            assert fetched("primetext=one&length=20&seed=-7") == model.sample("one", length=20, seed=-7)
            asked = "primetext=&length=20&temperature=0.5&stop=e"
            assert fetched(asked) == model.sample(length=20, temperature=0.5, stop="e")
        for wrong in ("primetext=Q", "length=-5", "length=99999", "stop_document=1", "lenght=5"):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                fetched(wrong)
        server.shutdown()
