"""CITATION.cff states the facts of pyproject.toml and LICENSE."""

import re
import tomllib

from tests.helpers.inputs import ROOT


def test_the_citation_states_the_projects_facts():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = dict(re.findall(r'^([a-z]+): "?(.*?)"?$', (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert [stated[key] for key in ("title", "version", "license")] == [
        project[key] for key in ("name", "version", "license")
    ]
    assert stated["abstract"] == project["description"]
    (owner,) = re.findall(r"^Copyright \(c\) \d+ (.*)$", (ROOT / "LICENSE").read_text(), re.MULTILINE)
    assert f"- name: {owner}\n" in (ROOT / "CITATION.cff").read_text()
