"""sample.py -prompts as a bot uses it: a process that stays, and answers each line with one of JSON."""

import json
import signal
import subprocess

import pytest

import char_rnn
from tests.helpers.refusals import refused
from tests.helpers.samples import LSTM, run, written
from tests.helpers.scripts import command
from util.sampling.prompts import LONGEST

FLAGS = ("-gpuid=-1", "-verbose=0", "-length=30", r"-stop=\n")
WRONG = {
    "Q": "the primetext contains 'Q'",
    '{"primetext"': "must be a JSON object",
    "{" * 100_000: "must be a JSON object",
    '{"temperature": 0}': "temperature: '0' is not a number above 0",
    '{"length": 2.5}': "length: '2.5' is not a whole number",
    '{"length": null}': "length: 'None' is not",
    '{"lenght": 5}': "there is no 'lenght'; a prompt may have primetext, seed",
    '{"primetext": 5}': "primetext: 5 is not text",
    '{"primetext": "\\ud800"}': r"the primetext contains '\ud800'",
    '{"stop": 5}': "stop: 5 is neither text nor a list",
    '{"stop_document": true}': "not trained with -document_end",
    "\udcff": r"the primetext contains '\udcff'",
    '{"length": ' + "9" * 5000 + "}": "the line has a number of too many digits",
    '{"length": "' + "9" * 5000 + '"}': "is not a whole number",
    "Q" * LONGEST: "the primetext contains 'Q'",
    "o" * (LONGEST + 1): f"the line has more than {LONGEST} bytes",
    "o" * (3 * LONGEST): f"the line has more than {LONGEST} bytes",
}
"""Prompts that cannot be answered, and what is said about each."""


def test_each_line_is_answered_at_once():
    """While the process waits for the next one; and after a line that cannot be answered."""
    model = char_rnn.load(LSTM)
    asked = {
        "one": model.sample("one", length=30, stop="\n"),
        r"o\ntwo": model.sample("o\ntwo", length=30, stop="\n"),
        '{"primetext": "two", "seed": -3, "stop": ["e", "x"], "length": 200}': model.sample(
            "two", length=200, seed=-3, stop=["e", "x"]
        ),
        '{"temperature": 0.5, "top_k": 3, "stop": []}': model.sample(length=30, temperature=0.5, top_k=3),
        '{"primetext": "Q one", "unknown_chars": "skip"}': model.sample(" one", length=30, stop="\n"),
        '{"sample": 0, "top_p": 0.9}': model.sample(length=30, sample=0, stop="\n"),
        "": model.sample(length=30, stop="\n"),
    }
    start = command("sample.py", LSTM, *FLAGS, "-prompts=-")
    with subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:

        def answer(prompt: str) -> dict:
            process.stdin.write(prompt.encode("utf-8", "surrogateescape") + b"\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        for prompt, text in asked.items():
            answered = answer(prompt)
            assert answered["text"] == text == answered["primetext"] + answered["continuation"]
        for prompt, words in WRONG.items():
            answered = answer(prompt)
            assert answered.keys() == {"error"} and words in answered["error"] and len(answered["error"]) < 300
        assert answer("one")["text"] == asked["one"]
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)
    assert (process.returncode, *rest) == (130, b"", b"")


def test_a_file_of_prompts(tmp_path, monkeypatch):
    """Windows' mark and line ends, and a last line without one; an answer is what -json 1 prints for the prompt."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    flags = ("-length=30", r"-stop=\n")
    alone = "".join(written(*flags, "-json=1", "-primetext", prime) for prime in ("one", "two"))
    assert written(*flags, "-prompts=prompts.txt") == alone
    assert written(*flags, "-prompts=prompts.txt", "-echo=0", "-output=x") == ""
    answers = [json.loads(line) for line in (tmp_path / "x").read_text().splitlines()]
    assert len(answers) == 2 and all(answer["text"] == answer["continuation"] for answer in answers)
    refused(run("-prompts=prompts.txt", "-output=prompts.txt"), "this command reads it")


def test_a_reader_that_goes_away_ends_the_answers():
    sampling = " ".join(command("sample.py", LSTM, *FLAGS, "-prompts=-"))
    closed = subprocess.run(f"yes one | {sampling} | head -2", shell=True, capture_output=True, timeout=60)
    assert closed.stderr == b"" and closed.stdout.count(b"\n") == 2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["-prompts=none.txt"], "cannot read none.txt: no such file"),
        (["-prompts=-", "-primetext=one"], "leave out -primetext"),
        (["-prompts=-", "-num_samples=2"], "-num_samples"),
        (["-prompts=-", "-color=1"], "-color is for a terminal"),
    ],
)
def test_mistakes(flags, words):
    refused(run(*flags), words)
