"""docs/flags.md says what the program says of its flags."""

from docs.flags import page
from tests.helpers.inputs import ROOT


def test_the_page_is_up_to_date():
    """If it is not: python -m docs.flags > docs/flags.md"""
    assert (ROOT / "docs" / "flags.md").read_text("utf-8") == page()
