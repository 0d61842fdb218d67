"""Characters that a model does not know, and the ones nearest to them."""

import pytest

from util.checkpoint.store import load_checkpoint
from util.text.vocabulary import Vocabulary, alike


@pytest.mark.parametrize(
    ("text", "near"),
    [("é", "é"), ("É", "é"), ("ê", "e"), ("Ê", "e"), ("á", "a"), ("Å", "A"), ("E", "e"), ("ẞ", "ß"), ("\u0302", ""),
     ("e\u0301", "e\u0301"), ("\u00a0", " "), ("\uff21", "A"), ("\uffa0", None), ("b", None), ("道", "道")],
)  # fmt: skip
def test_the_nearest_character(unicode_checkpoint, text, near):
    vocabulary = load_checkpoint(unicode_checkpoint).vocabulary
    if near is None:
        with pytest.raises(Exception, match="nor anything close to it"):
            vocabulary.encode(text, "nearest")
    else:
        assert vocabulary.decode(vocabulary.encode(text, "nearest")) == near


def test_accents_are_kept_before_the_case_is():
    assert Vocabulary("eEé", "utf-8").encode("É", "nearest") == [2]


def test_quotes_dashes_and_ligatures():
    assert "\x92" in alike("’")  # noqa: RUF001 (its byte in cp1252, read as latin-1)
    assert '"' in alike("”") and "'" in alike("’") and "-" in alike("—") and "ss" in alike("ß")  # noqa: RUF001
