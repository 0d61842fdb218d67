"""Small things that scripts say, or do, whatever the terminal and the checkpoint are like."""

import pytest

from tests.helpers.folders import names
from tests.helpers.refusals import refused, told
from tests.helpers.scripts import run


def test_a_primetext_without_a_sampled_text_is_not_ignored(checkpoint):
    refused(run("evaluate.py", checkpoint, "-gpuid=-1", "-primetext=one"), "-primetext is for -novelty")


@pytest.mark.parametrize("start", [b"\xe9t\xe9", "été".encode("utf-16")])
def test_a_text_in_another_encoding_than_the_model_s_needs_to_be_converted(start, checkpoint, tmp_path):
    (tmp_path / "input.txt").write_bytes(start)
    for words in (["evaluate.py", checkpoint, "-gpuid=-1"], ["visualize.py", checkpoint, "-output=page"]):
        for which in ("-file=input.txt", "-data_dir=."):
            done = run(*words, which, cwd=tmp_path)
            told(done, "input.txt is not utf-8 text", "convert it or, for a new model, try -encoding")
    assert names(tmp_path) == {"input.txt"}
