"""The text that a sampled one begins with."""

from dataclasses import replace

from tests.helpers.refusals import refused
from tests.helpers.samples import run, written
from util.checkpoint.store import load_checkpoint, save_checkpoint
from util.text.vocabulary import Vocabulary


def test_a_primetext_file_is_fed_as_it_is_in_the_checkpoint_s_encoding(unicode_checkpoint, tmp_path):
    path = tmp_path / "prime.txt"
    path.write_bytes(b"twenty-one\n")
    text = written("-length=50", "-primetext_file", path)
    assert text == written("-length=50", "-primetext=twenty-one\n") and text.startswith("twenty-one\n")
    assert text != written("-length=50", "-primetext=twenty-one")
    path.write_bytes("é道".encode())
    flags = ("-length=0", "-primetext_file", path)
    assert written(*flags, checkpoint=unicode_checkpoint) == "é道\n"
    path.write_bytes(b"\xe9")
    refused(run(*flags, checkpoint=unicode_checkpoint), str(path), "is not utf-8 text")
    # A model of bytes takes any; this one knows none of them.
    refused(run(*flags), r"the primetext contains '\udce9'")
    assert written(*flags, "-unknown_chars=skip") == "\n"
    refused(run(*flags, "-primetext=one"), "-primetext and -primetext_file", "leave one out")
    refused(run("-primetext_file", tmp_path / "x"), f"cannot read {tmp_path / 'x'}", "no such file")


def test_unknown_characters():
    flags = ("-length=0", "-primetext", "One – ‘two’ Q9é")  # noqa: RUF001
    refused(run(*flags), "the primetext contains 'O'", "-unknown_chars skip")
    assert written(*flags, "-unknown_chars=skip") == "ne  two 9\n"
    done = run(*flags, "-unknown_chars=nearest")  # what nothing is close to is named once, and left out
    assert (done.returncode, done.stdout) == (0, b"one - two 9e\n")
    assert done.stderr.decode() == "warning: the primetext is read without '‘’Q', to which no byte is close\n"  # noqa: RUF001
    assert written("-length=0", "-primetext=ONE – Éé", "-unknown_chars=nearest") == "one - ee\n"  # noqa: RUF001
    done = run("-verbose=1", "-length=10", "-primetext=ÜÖ", "-unknown_chars=skip")
    assert b"\nthe model knows no byte of the primetext: the first byte is drawn uniformly\n" in done.stderr


def test_a_newline_in_the_primetext(unicode_checkpoint, tmp_path):
    """It is an escape as in -stop, unless the model knows the backslash; a file is always taken as it is."""
    assert written("-length=0", r"-primetext=one\ntwo") == "one\ntwo\n"
    (tmp_path / "prime.txt").write_text(r"a\n")
    refused(run("-length=0", "-primetext_file", tmp_path / "prime.txt"), r"the primetext contains '\\'")
    stored = load_checkpoint(unicode_checkpoint)
    characters = stored.vocabulary.characters.replace("A", "\\").replace("e", "n")
    knows = tmp_path / "knows.pt"
    save_checkpoint(replace(stored, vocabulary=Vocabulary(characters, "utf-8")), knows)
    for prime in (r"a\n", "a\nn"):
        assert written("-length=0", f"-primetext={prime}", checkpoint=knows) == prime + "\n"


def test_a_model_of_bytes_is_fed_utf_8(unicode_checkpoint, tmp_path):
    stored, checkpoint = load_checkpoint(unicode_checkpoint), tmp_path / "x.pt"
    characters = "\n\xc3\xa9eA0123456789"[: len(stored.vocabulary)]
    save_checkpoint(replace(stored, vocabulary=Vocabulary(characters, "bytes")), checkpoint)
    for flags in (["-primetext=é"], ["-primetext=É", "-unknown_chars=nearest"]):
        assert written("-length=0", *flags, checkpoint=checkpoint) == "é\n"
