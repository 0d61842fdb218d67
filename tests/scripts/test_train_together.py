"""Two runs at once keep out of each other's way."""

import re

import pytest

from tests.helpers.checkpoints import checkpoints
from tests.helpers.folders import names
from tests.helpers.logs import best, saved
from tests.helpers.runs import Run


@pytest.mark.parametrize("keep", [0, 1])
def test_two_runs_at_once_in_one_folder_keep_out_of_each_others_way(keep, flags, tmp_path):
    """They print the same figures in the first epoch, and so want the same names; resumed they would differ."""
    flags = [*flags, "-eval_val_every", 20, "-save_every", 3, "-keep", keep, "-print_every", 200]
    runs = [Run(tmp_path, *flags, "-learning_rate_decay", decay) for decay in (0.5, 0.9)]
    assert [run.wait().status for run in runs] == [0, 0]
    found = checkpoints(tmp_path / "cv")
    assert names(tmp_path / "cv") == found.keys()
    for run, decay in zip(runs, (0.5, 0.9)):
        mine = [name for name, checkpoint in found.items() if checkpoint.options["learning_rate_decay"] == decay]
        every = saved(run.out)
        wanted = best(every, keep) | {every[-1]} if keep else every
        assert sorted(mine) == sorted(wanted)
    told = [line for run in runs for line in run.err.splitlines()]
    pattern = r"warning: cv/(\S+?)(_\d\.\d+|)\.pt already exists; writing \1_2\2\.pt instead"
    assert [line for line in told if not re.fullmatch(pattern, line)] == []
    if not keep:
        # Whichever run came second to one of the two names of the first epoch has said so.
        assert sum("lm_s_" in line for line in told) == 2


def test_two_runs_of_the_same_share_their_files(flags, tmp_path):
    runs = [Run(tmp_path, *flags, "-print_every", 200) for _ in range(2)]
    assert [(run.wait().status, run.err) for run in runs] == [(0, ""), (0, "")]
    assert names(tmp_path / "cv") == checkpoints(tmp_path / "cv").keys() == set(saved(runs[0].out))
