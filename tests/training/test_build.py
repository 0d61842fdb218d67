"""Which text a run learns."""

from argparse import Namespace
from pathlib import Path

from util.training import build

EXAMPLE = Path("data/tinyshakespeare")


def test_the_example_is_learned_from_any_folder_unless_another_text_is_named(tmp_path, monkeypatch):
    program, here = tmp_path / "program", tmp_path / "here"
    for folder in (program / EXAMPLE, here):
        folder.mkdir(parents=True)
        (folder / "input.txt").write_text("one")
    monkeypatch.setattr(build, "ROOT", program)
    monkeypatch.chdir(here)

    def found(folder: Path, *given: str) -> Path:
        options = Namespace(data_dir=folder, files="", separator="", document_end="", given=set(given))
        return build.named_text(options).files[0]

    assert found(EXAMPLE) == found(program / EXAMPLE, "data_dir") == program / EXAMPLE / "input.txt"
    assert found(Path("."), "data_dir") == Path("input.txt")
    (here / EXAMPLE).mkdir(parents=True)
    assert found(EXAMPLE) == program / EXAMPLE / "input.txt"
    (here / EXAMPLE / "input.txt").write_text("another")
    assert found(EXAMPLE) == EXAMPLE / "input.txt"
