"""evaluate.py: its flags."""

from tests.helpers.evaluations import score
from tests.helpers.refusals import refused
from tests.helpers.scripts import imported


def test_flags_that_contradict_each_other(checkpoint, tmp_path):
    for flags, words, status in (
        (["-file=x.txt", "-split=val"], ("-file", "-split", "-data_dir"), 1),
        (["-file=x.txt", "-data_dir=."], ("-file", "-split", "-data_dir"), 1),
        (["-lines=1"], ("-lines", "-file"), 1),
        (["-lines=1", "-file=x.txt", "-table=1"], ("-lines takes one checkpoint", "-table"), 1),
        (["-split=all"], ("-split", "'all'"), 2),
    ):
        refused(score(checkpoint, *flags, cwd=tmp_path), *words, status=status)
    for more in ("-table=1", "-file=y", "-split=val"):
        refused(score(checkpoint, "-novelty=x", more, cwd=tmp_path), "-novelty takes one", "-table")


def test_help_takes_no_torch():
    modules = imported("evaluate.py", "-help")
    assert "numpy" in modules and "torch" not in modules
