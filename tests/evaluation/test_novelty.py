"""What is copied in a sampled text: against a search that looks at every position, and as a user runs it."""

import json
import random
import re

import numpy as np
import pytest

from tests.helpers.evaluations import TEXT, decoded, score
from tests.helpers.inputs import GOLDEN, SMALL, numbers
from tests.helpers.refusals import refused, told
from tests.helpers.runs import finish
from tests.helpers.scripts import run
from util.checkpoint.store import load_checkpoint
from util.evaluation.copies import LENGTHS, find, locate, longest_copy, whole_pieces
from util.evaluation.novelty import in_percent
from util.text import batches
from util.text.cache import Text, load_text
from util.text.loading import batches_of_run
from util.text.source import Source
from util.text.vocabulary import Vocabulary

ALPHABETS = {"two": "ab", "bytes": "".join(map(chr, range(200))), "Chinese": "".join(map(chr, range(0x4E00, 0x59B8)))}


def codes(text):
    return np.array([ord(c) for c in text], int)


def compare(samples, text, training):
    """Returns the share of the samples' passages that are in parts of a text, and the longest copy of each sample."""
    samples, text = [codes(sample) for sample in samples], codes(text)
    found = {length: find(samples, length, text, training) for length in LENGTHS}
    of_each = [{length: found[length][number] for length in LENGTHS} for number in range(len(samples))]
    copies = [longest_copy(sample, places, text, training) for sample, places in zip(samples, of_each)]
    copies = [("".join(map(chr, copy)), position) for copy, position in copies]
    return {length: in_percent(places) for length, places in found.items()}, copies


def plain_share(texts, learned, length):
    """The same, by looking for each passage."""
    passages = [text[i : i + length] for text in texts for i in range(len(text) - length + 1)]
    return f"{np.mean([any(one in text for text in learned) for one in passages]):7.2%}" if passages else "      -"


def mixture(rng, known, alphabet, length):
    """Passages of something known, some of them broken by other characters."""
    text = ""
    while len(text) < length:
        start = rng.randrange(len(known))
        text += known[start : start + rng.randrange(70)] + "".join(rng.choices(alphabet, k=rng.choice((0, 0, 1, 5))))
    return text[:length]


@pytest.mark.parametrize("chunk", [64, 1 << 18])
@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("seed", range(3))
def test_shares(monkeypatch, seed, alphabet, chunk):
    monkeypatch.setattr(batches, "CHUNK", chunk)
    rng, letters = random.Random(seed), ALPHABETS[alphabet]
    known = "".join(rng.choices(letters, k=150))
    text, training = mixture(rng, known, letters, 700), [(0, 300), (305, 700)]
    learned = [text[start:stop] for start, stop in training]
    samples = [mixture(rng, known, letters + "\U0010ffff", length) for length in (5, 120, 150)]
    shares, copies = compare(samples, text, training)
    assert shares == {length: plain_share(samples, learned, length) for length in LENGTHS}
    assert copies[0] == ("", -1)
    for sample, (passage, position) in zip(samples[1:], copies[1:], strict=True):
        starts = [m.start() for m in re.finditer(f"(?={re.escape(passage)})", text)]
        assert passage in sample and position == min(p for p in starts if p + len(passage) <= 300 or p >= 305)


def test_copies_that_are_shorter_than_twenty():
    samples = ["a quick brown fix ... the lazy dog!", "a lazy fox", "the lazy dog!", "short", ""]
    shares, copies = compare(samples, "the quick brown fox jumps over the lazy dog", [(0, 43)])
    assert copies == [(" quick brown f", 3), ("", -1), ("the lazy dog", 31), ("", -1), ("", -1)]
    assert shares[20] == "  0.00%" and shares[50] == "      -"


@pytest.mark.parametrize("chunk", [64, 1 << 18])
def test_what_comes_again_and_again_is_one_copy_and_first_where_it_came_first(chunk, monkeypatch):
    monkeypatch.setattr(batches, "CHUNK", chunk)
    passage = "to be or not to be, that is the question"
    _, copies = compare([f"1 {passage} 2 {passage} 3"], passage * 3 + "xyz" + passage, [(0, 163)])
    assert copies == [(passage, 0)]
    shares, copies = compare(["a" * 700 + "b"], "a" * 5000, [(0, 5000)])
    assert copies == [("a" * 700, 0)] and shares[50] == f"{651 / 652:7.2%}"


def test_where_positions_are(tmp_path, monkeypatch):
    monkeypatch.setattr("util.text.source.CHUNK_BYTES", 4)
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file, content in zip(files, ("one\ntwo\n\nthree", "é\nx", "y")):
        file.write_text(content)
    source = Source(*files, separator="\n\n")
    lines = {"a": {0: 1, 3: 1, 4: 2, 8: 3, 9: 4, 13: 4}, "b": {16: 1, 18: 2}, "c": {21: 1}}
    expected = {at: (file, line) for file, places in lines.items() for at, line in places.items()}
    assert locate(source, "utf-8", expected) == expected


@pytest.mark.parametrize("chunk", [3, 64])
@pytest.mark.parametrize("end", ["\n", "\n\n", "aba"])
def test_whole_pieces(end, chunk, monkeypatch):
    """Against the training text in one piece, whose spans no piece may cross; longer ones than any that is wanted."""
    monkeypatch.setattr(batches, "CHUNK", chunk)
    for seed in range(100):
        whole = "".join(random.Random(seed).choices("ab\n", k=60))
        text = Text(Vocabulary("ab\n", "utf-8"), np.array(["ab\n".index(c) for c in whole]), "")
        spans = [(0, 25), (30, 60)]
        wanted = {"".join(random.Random(seed + k).choices("ab\n", k=k % 4 + 1)) for k in range(20)}
        wanted = {one for one in wanted if end not in one}
        expected = {piece for start, stop in spans for piece in whole[start:stop].split(end)} & wanted
        assert whole_pieces(wanted, end, text, spans) == expected, (seed, whole)


# As a user runs it.


def test_what_evaluate_prints(trained, text, tmp_path, monkeypatch):
    monkeypatch.setattr("util.evaluation.novelty.YARDSTICK", 160)  # 40 of each of the four streams
    copied = TEXT[40:120]
    (tmp_path / "sample.txt").write_text(f"----- 1 -----\nThe {copied}QQQ\n----- 2 -----\nThe zzz {copied[20:50]}\n")
    done = score(trained["lstm"], "-novelty=sample.txt", "-primetext=The ", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "sample.txt: 117 characters in 2 texts"
    split = batches_of_run(load_text(Source(text / "input.txt"), "utf-8"), load_checkpoint(trained["lstm"]).options)
    training, validation = ([TEXT[slice(*span)] for span in split.spans(number)] for number in range(2))
    assert lines[1] == f"{text}/input.txt: {len(''.join(training))} characters for training"
    validation = [stream[:40] for stream in validation]
    samples = [copied + "QQQ", "zzz " + copied[20:50]]  # without the primetext
    for row, length in zip(lines[3:7], LENGTHS):
        expected = [plain_share(texts, training, length) for texts in (samples, validation)]
        assert row == f"  {length} characters: {expected[0]} {expected[1]}"
    whole = set("".join(training).split("\n"))
    pieces = [piece for sample in samples for piece in sample.split("\n") if piece]
    assert 0 < sum(piece in whole for piece in pieces) < len(pieces)
    assert lines[7] == f"whole lines of the training text: {sum(p in whole for p in pieces)} of {len(pieces)}"
    assert lines[8] == "longest copied passage of each text:"
    assert lines[9] == f"text 1: 80 characters, line {TEXT[:40].count(chr(10)) + 1}: {copied!r}"
    assert lines[10].startswith("text 2: 30 characters, line ") and lines[10].endswith(f": {copied[20:50]!r}")
    assert len(lines) == 11


@pytest.mark.parametrize("model", ["lstm", "gru"])
def test_json_for_a_bot_that_filters(model, trained, tmp_path):
    """sample.py's lines of JSON, of which only what was sampled counts, and as many lines of JSON about them."""
    copied = TEXT[: TEXT.index("\n", 100)]
    texts = [f"für {copied}\nzzz\u2028", "für zzz", f"für {copied[1:]}"]
    lines = [json.dumps({"text": text, "continuation": text[4:]}, ensure_ascii=False) for text in texts]
    (tmp_path / "x.jsonl").write_text("\n".join(lines) + "\n")
    done = score(trained[model], "-novelty=x.jsonl", "-json=1", cwd=tmp_path)
    found = [json.loads(line) for line in done.stdout.removesuffix("\n").split("\n")]
    assert [one["text"] for one in found] == [text[4:] for text in texts]
    count = copied.count("\n") + 1
    assert [(one["whole"], one["of"]) for one in found] == [(count, count + 1), (0, 1), (count - 1, count)]
    size = len(decoded(trained[model], copied.encode()))
    assert [one["longest"] for one in found] == [size + 1, 0, size - 1]
    assert (found[0]["passage"], found[0]["line"], found[0]["file"]) == (copied + "\n", 1, None)
    assert found[1]["passage"] == "" and found[1]["line"] is None and found[1]["copied"]["10"] is None
    assert found[2]["copied"] == {"10": 1, "20": 1, "30": 1, "50": 1}
    refused(score(trained[model], "-json=1", cwd=tmp_path), "-json is for -novelty")


def test_a_stream_of_answers_with_errors(trained, tmp_path):
    """They are no texts, and a line that is cut off does not make one text of all."""
    lines = '{"text": "zzz", "continuation": "zzz"}\n{"error": "no"}\n'
    (tmp_path / "x.jsonl").write_text(lines)
    done = score(trained["lstm"], "-novelty=x.jsonl", "-json=1", cwd=tmp_path)
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["zzz"]
    assert "warning: 1 of the 2 lines of x.jsonl tell of an error, and are left out" in done.stderr
    (tmp_path / "x.jsonl").write_text(lines + '{"text": "zz')
    done = score(trained["lstm"], "-novelty=x.jsonl", cwd=tmp_path)
    refused(done, "line 3 of x.jsonl is no line of JSON that sample.py writes")
    for model, line in (("gru", rb'{"continuation": "\ud800"}'), ("lstm", b'{"continuation": "\xff"}')):
        (tmp_path / "x.jsonl").write_bytes(line)
        refused(score(trained[model], "-novelty=x.jsonl", cwd=tmp_path), "x.jsonl is not UTF-8 text")


def test_the_file_that_a_passage_of_bytes_is_from(tmp_path):
    """Of texts that sample.py wrote, and of one that it might have."""
    parts = tmp_path / "data" / "parts"
    parts.mkdir(parents=True)
    before, copied, after = numbers(70).decode(), "Bücher - 道 and more", numbers(140).decode()
    (parts / "a.txt").write_text(before)
    (parts / "b.txt").write_text(before[:300] + copied + after)
    flags = ("-files=parts/*.txt", r"-separator=\n\n", f"-data_dir={tmp_path}/data", "-max_epochs=1", "-encoding=bytes")
    assert finish(tmp_path, *SMALL, *flags).status == 0
    (path,) = (tmp_path / "cv").iterdir()
    flags = ["-num_samples=2", "-length=50", "-primetext=oü ", "-output=sample.txt", "-gpuid=-1"]
    assert run("sample.py", path, *flags, cwd=tmp_path).returncode == 0
    with (tmp_path / "sample.txt").open("a", encoding="utf-8") as file:
        file.write(f"----- 3 -----\noü {copied}Z\n")
    done = score(path, "-novelty=sample.txt", "-primetext=oü ", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    size, line = len(copied.encode()), before[:300].count("\n") + 1
    assert f"sample.txt: {101 + size} bytes in 3 texts\n" in done.stdout
    assert f"\ntext 3: {size} bytes, line {line} of parts/b.txt: {copied!r}\n" in done.stdout


def test_a_checkpoint_that_does_not_say_how_its_text_was_split(tmp_path):
    (tmp_path / "input.txt").write_text("to be, or not to be, that is the question\n")
    (tmp_path / "sample.txt").write_text("or not to be, they said\n")
    done = score(GOLDEN / "torch_rnn" / "rnn_2x32.t7", "-novelty=sample.txt", "-data_dir=.", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "the checkpoint does not say which part of its text was for training, so all of it counts\n"
    assert "text 1: 16 characters, line 1: 'or not to be, th'\n" in done.stdout


def test_mistakes(trained, tmp_path):
    (tmp_path / "sample.txt").write_bytes(b"\xff\n")
    path, other = trained["lstm"], GOLDEN / "torch_rnn" / "rnn_2x32.t7"
    told(score(path, "-novelty=no.txt", cwd=tmp_path), "cannot read no.txt")
    told(score(path, "-novelty=sample.txt", cwd=tmp_path), "sample.txt is not UTF-8 text")
    told(score(path, "-novelty=sample.txt", "-split=test", cwd=tmp_path), "no -file, -split")
    (tmp_path / "sample.txt").write_text("It is\n")
    told(score(other, "-novelty=sample.txt", cwd=tmp_path), "is unknown; give its folder with -data_dir\n")
    done = score(path, "-novelty=sample.txt", "-primetext=The", cwd=tmp_path)
    told(done, "text 1 does not begin with the -primetext 'The'")
    # Not a mistake, but nothing to tell.
    done = score(path, "-novelty=sample.txt", cwd=tmp_path)
    assert "\n  10 characters:       - " in done.stdout
    assert done.stdout.endswith("\ntext 1: none of 10 characters or more\n")
