"""Which text a run learns, and what all processes of a run must have the same."""

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import train
from util.cli.flags import Role
from util.errors import UserError
from util.training import build, start
from util.training.tables import tables_of

EXAMPLE = Path("data/tinyshakespeare")


def found(folder: Path, *given: str, **more: str) -> Path:
    """Returns the first file of the text that is found."""
    options = {"data_dir": folder, "files": "", "separator": "", "document_end": ""} | more
    return start.Start(Namespace(**options, given=set(given))).find_text().files[0]


def test_the_example_is_learned_from_any_folder_unless_another_text_is_named(tmp_path, monkeypatch):
    program, here = tmp_path / "program", tmp_path / "here"
    for folder in (program / EXAMPLE, here):
        folder.mkdir(parents=True)
        (folder / "input.txt").write_text("one")
    monkeypatch.setattr(start, "ROOT", program)
    monkeypatch.chdir(here)
    assert found(EXAMPLE) == found(program / EXAMPLE, "data_dir") == program / EXAMPLE / "input.txt"
    assert found(Path("."), "data_dir") == Path("input.txt")
    (here / EXAMPLE).mkdir(parents=True)
    assert found(EXAMPLE) == program / EXAMPLE / "input.txt"
    assert found(EXAMPLE, "data_dir") == EXAMPLE / "input.txt"  # which is not there; what is named is meant
    (here / EXAMPLE / "input.txt").write_text("another")
    assert found(EXAMPLE) == EXAMPLE / "input.txt"


def test_a_log_that_is_part_of_the_text_is_refused(tmp_path):
    log = tmp_path / "log.csv"
    log.touch()
    options = Namespace(log_csv=f"{tmp_path}/../{tmp_path.name}/log.csv", tensorboard="")
    with pytest.raises(UserError, match=r"cannot write .*/log\.csv: this command reads it; choose another file"):
        tables_of(options, np.zeros(0), [tmp_path / "a.txt", log])


def test_what_all_processes_must_have_the_same(monkeypatch, tmp_path):
    """What their figures depend on, each file of the program too, and what they do together."""
    flags = train.flags()
    monkeypatch.setattr(build, "ROOT", tmp_path)
    options = vars(flags.parse([]))

    def agreed(text: str = "text", value: float = 1, kind: str = "cpu", **changes: object) -> dict:
        trainer = SimpleNamespace(flat=SimpleNamespace(values=torch.tensor([value, 2])), device=torch.device(kind))
        return build.must_agree(Namespace(**options | changes), flags, text, trainer)

    for name, role in flags.roles.items():
        assert (agreed(**{name: "other"}) != agreed()) == (role in (Role.RUN, Role.COURSE, Role.PACE)), name
    different = [agreed(), agreed("other"), agreed(value=3), agreed(kind="cuda")]
    for file in ("train.py", "model/cells.py", "model/fast/lstm.py", "util/text/cache.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(file)
        different.append(agreed())
    assert all(different.count(one) == 1 for one in different)
    assert agreed() == different[-1] and agreed()["torch version"] == torch.__version__
