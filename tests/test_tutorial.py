"""docs/tutorial.md is true: its files compile, and every command prints what it says."""

import re
from pathlib import Path

import pytest

from kdl.parser.format import format
from kdl.rules.lint import lint
from kdl.runtime.programs import compile
from tests import transcript

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"
FILES = dict(re.findall(r"^`([\w.]+)`\n\n```(?:prolog|yaml)\n(.*?)^```", TUTORIAL.read_text("utf-8"), re.M | re.S))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The reader's folder, with all files."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_every_file_has_its_name_and_every_command_prints_what_is_shown(folder: Path):
    text = TUTORIAL.read_text("utf-8")
    assert len(FILES) == text.count("```prolog\n") + text.count("```yaml\n")
    assert transcript.run(TUTORIAL, folder, {"KDL_DATA": str(folder / "data")}) >= 20


def test_what_is_shown_is_in_its_form_and_without_warnings(folder: Path):
    packs = {name: text for name, text in FILES.items() if name.endswith(".dl")}
    assert {name for name, text in packs.items() if format(text) != text} == set()
    found = lint(compile([folder, Path(__file__).parents[1] / "policies"]))
    assert {Path(warning.span.file).name for warning in found if warning.span} == {"slip.dl"}
