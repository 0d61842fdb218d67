"""Characters that a model does not know, and the ones nearest to them."""

import pytest

from util.errors import UserError
from util.text.vocabulary import Vocabulary, alike


@pytest.mark.parametrize(
    ("text", "near"),
    [("é", "é"), ("É", "é"), ("ê", "e"), ("Ê", "e"), ("á", "a"), ("Å", "A"), ("E", "e"), ("ẞ", "ß"), ("\u0302", ""),
     ("e\u0301", "e\u0301"), ("\u00a0", " "), ("\uff21", "A"), ("\uffa0", ""), ("b", ""), ("道", "道")],
)  # fmt: skip
def test_the_nearest_character(text, near):
    """Where there is none, it is left out, and can be named."""
    vocabulary = Vocabulary("\n aeAéß道😀\u05d0\u0301", "utf-8")
    assert vocabulary.decode(vocabulary.encode(f"a{text}a{text}", "nearest")) == f"a{near}a{near}"
    assert vocabulary.without_nearest(f"a{text}a{text}") == ("" if near else text)


def test_a_byte_that_is_no_character():
    """As Python hands it on, from a command line or a prompt."""
    with pytest.raises(UserError, match="contains the byte 0xe9, which is not UTF-8 there; leave it out"):
        Vocabulary("caf", "utf-8").encode(b"caf\xe9".decode(errors="surrogateescape"))
    assert Vocabulary("caf", "bytes").encode("c\ud800", "skip") == [0]  # half of a pair, as JSON may have it


def test_accents_are_kept_before_the_case_is():
    assert Vocabulary("eEé", "utf-8").encode("É", "nearest") == [2]


def test_quotes_dashes_and_ligatures():
    assert "\x92" in alike("’")  # noqa: RUF001 (its byte in cp1252, read as latin-1)
    assert '"' in alike("”") and "'" in alike("’") and "-" in alike("—") and "ss" in alike("ß")  # noqa: RUF001
