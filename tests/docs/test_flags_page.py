"""docs/flags.md says what the program says of its flags."""

from docs.flags import SCRIPTS, page
from tests.helpers.inputs import ROOT


def test_the_page_is_up_to_date():
    """If it is not: python -m docs.flags > docs/flags.md"""
    assert (ROOT / "docs" / "flags.md").read_text("utf-8") == page()


def test_the_page_shows_every_flag_of_every_script():
    sections = page().split("\n## ")[1:]
    assert len(sections) == len(SCRIPTS)
    for script, section in zip(SCRIPTS, sections):
        assert section.startswith(f"{script.__name__}.py")
        known = {action.dest for action in script.flags()._actions if action.option_strings} - {"help"}
        assert known and all(f"\n| `-{name}` | " in section for name in known)
