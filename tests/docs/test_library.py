"""The code in docs/library.md, run as it is."""

import re
import socket
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.inputs import ROOT
from util.sampling.writing import sample_text


def test_the_examples(checkpoint, run_script, capsys):
    """Each goes on with what those before it have made."""
    page = (ROOT / "docs" / "library.md").read_text()
    page = page.replace('"cv"', repr(str(checkpoint))).replace("ROMEO:", "one").replace('"The "', '"one "')
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    prints, predicts, converts, serves = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    known: dict[str, Any] = {}
    exec(prints, known)
    flags = ("-length=500", "-primetext=one", "-temperature=0.7")
    assert capsys.readouterr().out == run_script("sample.py", checkpoint, "-verbose=0", *flags).stdout

    exec(predicts, known)
    lines = [line.rsplit(" ", 1) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 5 and all(float(p) == known["probabilities"].max() for _, p in lines[:1])
    exec(converts, known)
    with torch.no_grad():
        indices = known["checkpoint"].vocabulary.encode("one ")
        hidden, _ = known["lstm"](torch.nn.functional.one_hot(torch.tensor(indices), known["V"]).float())
        np.testing.assert_allclose(known["decoder"](hidden[-1]).softmax(0), known["probabilities"], rtol=1e-4)

    threading.Thread(target=exec, args=(serves.replace("8000", str(port)), known), daemon=True).start()
    address = f"http://localhost:{port}/?primetext=one&length=20&seed=-7"
    assert fetched(address) == fetched(address) == sample_text(known["checkpoint"], 20, "one", seed=-7)
    with pytest.raises(urllib.error.HTTPError, match="400"):
        fetched(address.replace("one", "Q"))


def fetched(address: str) -> str:
    """What a server answers that may only just be starting."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(address) as answer:
                return answer.read().decode()
        except ConnectionRefusedError:
            pass
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
        time.sleep(0.05)
    raise TimeoutError(address)
