"""What is copied in a sampled text: against a search that looks at every position, and as a user runs it."""

import math
import random
import re
import shutil
import tracemalloc

import numpy as np
import pytest

from tests.helpers.inputs import ROOT, SMALL, numbers
from tests.helpers.refusals import told
from tests.helpers.runs import finish
from tests.helpers.scripts import run
from util.errors import UserError
from util.sampling.growing import numbered, texts_in
from util.text import batches
from util.text import novelty as module
from util.text.cache import Text
from util.text.novelty import LENGTHS, locate, novelty, without_primetext
from util.text.source import Source
from util.text.vocabulary import Vocabulary

ALPHABETS = {
    "two": "ab",
    "bytes": "".join(map(chr, range(200))),
    "Chinese": "".join(map(chr, range(0x4E00, 0x4E00 + 3000))),
    "all": "".join(chr(code) for code in range(70_000) if not 0xD800 <= code < 0xE000),
}


def text_of(characters, vocabulary):
    index = {c: i for i, c in enumerate(vocabulary)}
    return Text(
        Vocabulary(vocabulary, "utf-8"),
        np.array([index[c] for c in characters], np.min_scalar_type(len(vocabulary) - 1)),
        "",
    )


def mixture(rng, known, alphabet, length):
    """Passages of something known, some of them broken by other characters."""
    parts = []
    while sum(map(len, parts)) < length:
        start = rng.randrange(len(known))
        parts.append(known[start : start + rng.randrange(70)])
        parts.append("".join(rng.choices(alphabet, k=rng.choice((0, 0, 1, 5)))))
    return "".join(parts)[:length]


def share(texts, learned, length):
    """The share of passages that are in the learned texts, by looking for each."""
    passages = [text[i : i + length] for text in texts for i in range(len(text) - length + 1)]
    return np.mean([any(passage in one for one in learned) for passage in passages]) if passages else math.nan


def longest(samples, learned):
    best = 0
    for sample in samples:
        for start in range(len(sample)):
            while start + best < len(sample) and any(sample[start : start + best + 1] in one for one in learned):
                best += 1
    return best


@pytest.mark.parametrize("chunk", [64, 1 << 18])
@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("seed", range(3))
def test_shares_and_copies(monkeypatch, seed, alphabet, chunk):
    monkeypatch.setattr(batches, "CHUNK", chunk)
    rng, letters = random.Random(seed), ALPHABETS[alphabet]
    known = "".join(rng.choices(letters, k=150))
    characters = mixture(rng, known, letters, 1000)
    training, validation = [(0, 300), (305, 700)], [(700, 1000)]
    samples = [mixture(rng, known, letters + "\U0010ffff", length) for length in (5, 120, 150)]
    result = novelty(samples, text_of(characters, letters), training, validation)

    learned = [characters[start:stop] for start, stop in training]
    assert result.sampled == pytest.approx({length: share(samples, learned, length) for length in LENGTHS})
    yardstick = [characters[start:stop] for start, stop in validation]
    assert result.validation == pytest.approx({length: share(yardstick, learned, length) for length in LENGTHS})

    assert result.copies[0] is None or len(samples[0]) >= 10
    for sample, copy in zip(samples[1:], result.copies[1:], strict=True):
        assert len(copy.passage) == longest([sample], learned) >= 20
        starts = [m.start() for m in re.finditer(f"(?={re.escape(copy.passage)})", characters)]
        starts = [p for p in starts if any(a <= p and p + len(copy.passage) <= b for a, b in training)]
        assert copy.position == starts[0]
        assert copy.passage in sample


def test_copies_that_are_shorter_than_twenty():
    text = text_of("the quick brown fox jumps over the lazy dog", ALPHABETS["bytes"])
    result = novelty(["a quick brown fix ... the lazy dog!", "a lazy fox", "the lazy dog!"], text, [(0, 43)], [])
    copies = [copy and (copy.passage, copy.position) for copy in result.copies]
    assert copies == [(" quick brown f", 3), None, ("the lazy dog", 31)]
    assert result.sampled[20] == 0 and math.isnan(result.validation[10])


def test_a_passage_that_comes_again_and_again_is_one_copy():
    passage = "to be or not to be, that is the question"
    text = text_of(passage * 3 + "xyz" + passage, ALPHABETS["bytes"])
    result = novelty([f"1 {passage} 2 {passage} 3"], text, [(0, 163)], [])
    assert [(copy.passage, copy.position) for copy in result.copies] == [(passage, 0)]


def test_one_character_repeated():
    text = text_of("a" * 5000, "ab")
    result = novelty(["a" * 700 + "b"], text, [(0, 5000)], [])
    assert [(len(copy.passage), copy.position) for copy in result.copies] == [(700, 0)]
    assert result.sampled[50] == 651 / 652


@pytest.mark.parametrize("samples", [[], [""], ["short"], ["\U0010ffff" * 100], ["b" * 9, "cb"]])
@pytest.mark.parametrize("length", [0, 9, 100])
def test_nothing_to_find(samples, length):
    result = novelty(samples, text_of("b" * length, "abc"), [(0, length)], [])
    assert result.copies == [None] * len(samples)
    assert not any(share > 0 for share in result.sampled.values())


def test_a_sample_that_is_too_long(monkeypatch):
    monkeypatch.setattr(module, "LONGEST_SAMPLE", 99)
    with pytest.raises(UserError, match="more than 99 characters"):
        novelty(["a" * 50] * 2, text_of("a" * 9, "abc"), [(0, 9)], [])


def test_the_yardstick_is_spread_over_the_validation_text(monkeypatch):
    monkeypatch.setattr(module, "YARDSTICK", 1000)
    rng = random.Random(5)
    characters = "".join(rng.choices("abcdefgh", k=20_000))
    # The first half of the validation text was learned, the second was not.
    text = text_of(characters[:5000] + characters[:10_000], "abcdefgh")
    result = novelty([], text, [(0, 5000)], [(5000, 15_000)])
    assert result.validation[10] == pytest.approx(0.5, abs=0.02)


def test_where_positions_are(tmp_path, monkeypatch):
    monkeypatch.setattr("util.text.source.CHUNK_BYTES", 4)
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file, content in zip(files, ("one\ntwo\n\nthree", "é\nx", "y")):
        file.write_text(content)
    source = Source(*files, separator="\n\n")
    places = {0: 1, 3: 1, 4: 2, 8: 3, 9: 4, 13: 4}
    found = locate(source, "utf-8", [*places, 16, 18, 21])
    assert found == {at: (files[0], line) for at, line in places.items()} | {
        16: (files[1], 1), 18: (files[1], 2), 21: (files[2], 1),
    }  # fmt: skip


def test_memory_does_not_grow_with_the_text():
    rng = np.random.RandomState(3)
    peaks = []
    for length in (2_000_000, 8_000_000):
        text = Text(Vocabulary("".join(map(chr, range(64))), "utf-8"), rng.randint(0, 64, length).astype(np.uint8), "")
        sample = "".join(text.vocabulary.characters[code] for code in text.indices[1000:3000])
        tracemalloc.start()
        assert novelty([sample], text, [(0, length)], []).copies[0].position == 1000
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 50e6


def test_the_texts_in_a_file():
    assert texts_in("one\n") == ["one"]
    assert texts_in("one") == ["one"]
    assert texts_in(numbered([b"one", b"two\n", b""]).decode()) == ["one", "two\n", ""]
    # Not the lines of sample.py.
    assert texts_in("one\n----- 1 -----\ntwo\n") == ["one\n----- 1 -----\ntwo"]
    assert texts_in("----- 2 -----\none\n") == ["----- 2 -----\none"]


def test_the_primetext_is_left_out():
    assert without_primetext(["The end"], "The ") == ["end"]
    assert without_primetext(["The end", "The The"], "The ") == ["end", "The"]
    with pytest.raises(UserError, match="text 2 does not begin with the -primetext 'The '"):
        without_primetext(["The end", "A house"], "The ")


# As a user runs it.


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a text, and a checkpoint for each encoding of it."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "input.txt").write_bytes("für Bücher 😀\r\n".encode() + numbers(140))
    for encoding in ("utf-8", "bytes"):
        flags = (*SMALL, f"-data_dir={folder}", f"-encoding={encoding}", "-max_epochs=1", "-train_frac=0.8")
        assert finish(folder, *flags, "-val_frac=0.2", f"-checkpoint_dir={folder / encoding}").status == 0
    return folder


def checkpoint(trained, encoding="utf-8"):
    (path,) = (trained / encoding).glob("*.pt")
    return path


def test_what_evaluate_prints(trained, tmp_path):
    learned = (trained / "input.txt").read_text()
    copied = learned[40:120]
    (tmp_path / "sample.txt").write_text(f"----- 1 -----\nThe {copied}QQQ\n----- 2 -----\nThe zzz {copied[20:50]}\n")
    done = run("evaluate.py", checkpoint(trained), "-novelty=sample.txt", "-primetext=The ", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "sample.txt: 117 characters in 2 texts"
    assert re.fullmatch(rf"{trained}/input.txt: \d+ characters for training", lines[1])
    # Without the primetext 83 characters with 80 copied ones, and 34 with 30.
    for row, length in zip(lines[3:7], LENGTHS):
        count = 80 - length + 1 + max(30 - length + 1, 0)
        total = 83 - length + 1 + max(34 - length + 1, 0)
        assert re.fullmatch(rf"  {length} characters:  {count / total:.2%} +\d+\.\d\d%", row)
    assert lines[7] == "longest copied passage of each text:"
    assert lines[8] == f"text 1: 80 characters, line {learned[:40].count(chr(10)) + 1}: {copied!r}"
    assert lines[9].startswith("text 2: 30 characters, line ") and lines[9].endswith(f": {copied[20:50]!r}")
    assert len(lines) == 10


def test_the_file_that_a_passage_is_from(trained, tmp_path):
    parts = tmp_path / "data" / "parts"
    parts.mkdir(parents=True)
    content = numbers(140).decode()
    (parts / "a.txt").write_text(content[:1200])
    (parts / "b.txt").write_text(content[1200:])
    flags = ("-files=parts/*.txt", r"-separator=\n\n", f"-data_dir={tmp_path}/data", "-max_epochs=1")
    assert finish(tmp_path, *SMALL, *flags, "-encoding=bytes").status == 0
    (tmp_path / "sample.txt").write_text(content[1400:1450])
    (path,) = (tmp_path / "cv").iterdir()
    done = run("evaluate.py", path, "-novelty=sample.txt", cwd=tmp_path)
    line = content[1200:1400].count("\n") + 1
    assert f"\ntext 1: 50 bytes, line {line} of parts/b.txt: {content[1400:1450]!r}\n" in done.stdout


def test_a_sampled_text_of_bytes(trained, tmp_path):
    flags = ["-num_samples=2", "-length=50", "-primetext=für ", "-output=sample.txt", "-gpuid=-1"]
    assert run("sample.py", checkpoint(trained, "bytes"), *flags, cwd=tmp_path).returncode == 0
    with (tmp_path / "sample.txt").open("ab") as file:
        file.write(
            "----- 3 -----\nfür für Bücher 😀\r\n\n----- 4 -----\nfür ".encode() + "ür Bücher 😀".encode()[1:-1] + b"\n"
        )
    done = run("evaluate.py", checkpoint(trained, "bytes"), "-novelty=sample.txt", "-primetext=für ", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "sample.txt: 133 bytes in 4 texts\n" in done.stdout
    assert "text 3: 19 bytes, line 1: 'für Bücher 😀\\r\\n'\n" in done.stdout
    assert "text 4: 14 bytes, line 1: 'r Bücher '\n" in done.stdout  # without what is left of the letters at its ends


def test_a_checkpoint_that_does_not_say_how_its_text_was_split(trained, tmp_path):
    shutil.copy(ROOT / "tests" / "golden" / "torch_rnn" / "rnn_2x32.t7", tmp_path / "x.t7")
    (tmp_path / "input.txt").write_text("to be, or not to be, that is the question\n")
    (tmp_path / "sample.txt").write_text("or not to be, they said\n")
    done = run("evaluate.py", "x.t7", "-novelty=sample.txt", "-data_dir=.", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "the checkpoint does not say which part of its text was for training, so all of it counts\n"
    assert "text 1: 16 characters, line 1: 'or not to be, th'\n" in done.stdout


def test_mistakes(trained, tmp_path):
    (tmp_path / "sample.txt").write_bytes(b"\xff\n")
    path = checkpoint(trained)
    told(run("evaluate.py", path, "-novelty=no.txt", cwd=tmp_path), "cannot read no.txt")
    told(run("evaluate.py", path, "-novelty=sample.txt", cwd=tmp_path), "sample.txt is not UTF-8 text")
    told(run("evaluate.py", path, "-novelty=sample.txt", "-split=test", cwd=tmp_path), "no -file, -split")
    (tmp_path / "sample.txt").write_text("It is\n")
    told(run("evaluate.py", path, "-novelty=sample.txt", "-primetext=The", cwd=tmp_path), "does not begin with the")
    # Not a mistake, but nothing to tell.
    done = run("evaluate.py", path, "-novelty=sample.txt", cwd=tmp_path)
    assert "\n  10 characters:       - " in done.stdout
    assert done.stdout.endswith("\ntext 1: none of 10 characters or more\n")
