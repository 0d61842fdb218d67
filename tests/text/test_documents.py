"""Texts made of documents: where these start, which split they are in, and in which order an epoch reads them."""

import itertools
import re
from argparse import Namespace
from itertools import pairwise

import numpy as np
import pytest

from util.errors import UserError
from util.text import batches
from util.text.batches import TRAIN, Batches, document_splits, document_starts
from util.text.cache import load_text
from util.text.loading import batches_of_run, make_batches
from util.text.source import Source


def indices(text: str) -> np.ndarray:
    return np.array([ord(c) - ord("a") for c in text], np.uint8)


def split(text: str, separator: str) -> list[str]:
    """The documents of a text, each with its separator; the plain way."""
    *whole, last = text.split(separator)
    return [document + separator for document in whole] + ([last] if last else [])


def random_text(length: int, seed: int = 0, letters: int = 3) -> str:
    return "".join(chr(ord("a") + code) for code in np.random.default_rng(seed).integers(0, letters, length))


def read(loader: Batches, part: int, epoch: int | None = None) -> np.ndarray:
    """Inputs of a split, and the last targets, as rows of characters: (B, batches * S + 1)."""
    pairs = [loader.batch(part, number, epoch) for number in range(loader.split_sizes[part])]
    for (x, y), (following, _) in pairwise(pairs):
        assert np.array_equal(x[1:], y[:-1]) and np.array_equal(y[-1], following[0])
    return np.concatenate([*(x for x, _ in pairs), pairs[-1][1][-1:]]).T


def as_streams(text: str, B: int, S: int) -> np.ndarray:
    """What should be read of a text: B equal passages, each with the character that follows; the plain way."""
    count = len(text) // (B * S) * S
    text = text[: B * count] + text[0]
    return np.stack([indices(text[b * count : (b + 1) * count + 1]) for b in range(B)])


@pytest.mark.parametrize("separator", ["b", "ab", "aa", "aaa", "aba", "abaab"])
def test_documents_start_after_each_separator(separator, monkeypatch):
    texts = [*(random_text(300, seed, 2) for seed in range(3)), "a" * 97, "ab" * 50, separator * 3, separator, "c"]
    for chunk, text in itertools.product([1, 2, 7, 1 << 18], texts):
        monkeypatch.setattr(batches, "CHUNK", chunk)
        lengths = [len(document) for document in split(text, separator)]
        starts = document_starts(indices(text), indices(separator).tolist())
        assert starts.tolist() == np.cumsum([0, *lengths])[:-1].tolist(), text


@pytest.mark.parametrize(("train_frac", "val_frac"), [(0.95, 0.05), (0.5, 0.2), (0, 1), (1, 0), (0.3, 0.1), (0.7, 0.7)])
def test_a_split_takes_documents_until_it_has_its_share(train_frac, val_frac):
    text = random_text(1000)
    documents = split(text, "bc")
    starts = np.cumsum([0, *map(len, documents)])[:-1]
    reached, expected = 0, [0, 0, 0]
    for document in documents:
        both = train_frac + val_frac
        expected[0 if reached < train_frac * 1000 else 1 if both >= 1 or reached < both * 1000 else 2] += 1
        reached += len(document)
    assert list(document_splits(starts, 1000, train_frac, val_frac)) == expected


@pytest.mark.parametrize(("B", "S"), [(1, 1), (3, 5), (7, 2)])
def test_each_split_has_streams_of_its_own(B, S):
    text = random_text(1003)
    documents = split(text, "ca")
    loader = Batches(indices(text), B, S, 0.6, 0.3, separator=indices("ca").tolist())
    train, val, test = loader.documents
    assert min(loader.documents) > 5 and train + val + test == len(documents)
    parts = [documents[:train], documents[train : train + val], documents[train + val :]]
    for number, part in enumerate(map("".join, parts)):
        streams = as_streams(part, B, S)
        assert np.array_equal(read(loader, number), streams)
        assert np.array_equal([indices(text[slice(*span)]) for span in loader.spans(number)], streams[:, :-1])


@pytest.mark.parametrize("separator", ["ca", "aa"])
def test_shuffling_is_the_stable_argsort_of_the_epoch_s_draws(separator):
    text, B, S, seed = random_text(1003), 3, 5, 99
    documents = split(text, separator)
    loader, still = (
        Batches(indices(text), B, S, 0.6, 0.3, separator=indices(separator).tolist(), seed=one) for one in (seed, None)
    )
    train = loader.documents[0]
    orders = []
    for epoch in (0, 1, 5, 1, 0):  # also back, as resuming does
        draws = np.random.RandomState([seed, epoch]).random_sample(train)
        order = sorted(range(train), key=draws.tolist().__getitem__)
        expected = "".join(documents[number] for number in order)
        assert np.array_equal(read(loader, TRAIN, epoch), as_streams(expected, B, S))
        orders.append(order)
    assert orders[0] == orders[4] != orders[1] != orders[2]
    # Neither the other splits nor a look at the text afterwards are shuffled.
    assert np.array_equal(read(loader, 1, 3), read(still, 1)) and np.array_equal(read(loader, 2, 3), read(still, 2))
    assert np.array_equal(read(loader, TRAIN), read(still, TRAIN))
    assert [text[start:stop] for start, stop in loader.spans(TRAIN)] == ["".join(documents[:train])]


def test_some_of_the_streams_are_those_of_all():
    text, translation = random_text(1003), np.array([7, 300, 5])
    both = [
        Batches(indices(text), 6, 4, 0.6, 0.3, translation, streams, indices("ca").tolist(), 5)
        for streams in (slice(None), slice(2, 5))
    ]
    for epoch in range(3):
        whole, some = (loader.batch(TRAIN, 3, epoch) for loader in both)
        assert all(np.array_equal(a[:, 2:5], b) for a, b in zip(whole, some))
    assert set(np.unique(whole[0])) == {5, 7, 300}


@pytest.fixture
def text(tmp_path):
    """Forty documents, the longest at the end."""
    content = "".join(f"name {number}\n\n" for number in range(39)) + "the last one\n" * 40
    (tmp_path / "input.txt").write_text(content)
    return load_text(Source(tmp_path / "input.txt"), "utf-8")


FLAGS = {"batch_size": 2, "seq_length": 3, "train_frac": 0.3, "val_frac": 0.1, "document_end": r"\n\n"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"document_end": "\\n\\t"}, r"does not contain '\n\t' between documents, which -document_end says"),
        ({"document_end": "mane"}, "does not contain 'mane' between documents"),
        ({"train_frac": 0.95, "val_frac": 0.05}, "143 batches for training and 0 for validation"),
    ],
)
def test_splits_that_cannot_be(flags, words, text):
    with pytest.raises(UserError, match=re.escape(words)):
        make_batches(text, text.vocabulary, Namespace(**FLAGS | flags), slice(None))


def test_lines_that_end_as_on_windows(tmp_path, capsys):
    (tmp_path / "input.txt").write_bytes(b"name\r\n\r\n" * 40)
    text = load_text(Source(tmp_path / "input.txt"), "utf-8")
    make_batches(text, text.vocabulary, Namespace(**FLAGS | {"document_end": r"\n"}, given=set()), slice(None))
    assert r"'\r\n' would end both" in capsys.readouterr().err
    with pytest.raises(UserError, match=re.escape(r"write -document_end '\r\n\r\n'")):
        batches_of_run(text, FLAGS)


def test_a_separator_of_bytes(tmp_path):
    (tmp_path / "input.txt").write_bytes("zwei¶drei¶vier".encode())
    text = load_text(Source(tmp_path / "input.txt"), "bytes")
    loader = batches_of_run(text, FLAGS | {"document_end": "¶"})
    assert sum(loader.documents) == 3


def test_options_that_do_not_tell_the_splits(text):
    for name, value in [("train_frac", "x"), ("val_frac", None), ("document_end", 3), ("train_frac", 1.5)]:
        assert batches_of_run(text, FLAGS | {name: value}) is None
    assert not batches_of_run(text, FLAGS | {"document_end": ""}).documents
