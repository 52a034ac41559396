"""Every code has its story, and the story's examples are true."""

import re
from pathlib import Path

import pytest

import kdl
from kdl.parser.catalogue import STORIES, catalogue
from kdl.rules.lint import lint

PACKAGE = Path(kdl.__file__).parent
NEEDS_FILES = {"KDL212", "KDL406"}
"""Codes whose mistake takes two files: tests/rules/test_names.py has them."""
WARNINGS = {code for code in STORIES if "KDL240" <= code < "KDL250"}


def test_every_code_that_the_package_speaks_of_has_a_story():
    used = {code for file in PACKAGE.rglob("*.py") for code in re.findall(r"\bKDL[1-4]\d\d\b", file.read_text("utf-8"))}
    assert used - set(catalogue()) == set()


def codes_of(text: str) -> list[str]:
    """The codes of all errors of a program."""
    try:
        kdl.compile(text)
        return []
    except kdl.ProgramError as error:
        return [diagnostic.code for diagnostic in error.diagnostics]


@pytest.mark.parametrize("code", sorted(WARNINGS))
def test_the_wrong_example_of_a_warning_gives_it_alone_and_the_right_one_none(code: str):
    assert [warning.code for warning in lint(kdl.compile(STORIES[code].wrong))] == [code]
    assert lint(kdl.compile(STORIES[code].right)) == []


@pytest.mark.parametrize("code", [code for code, story in STORIES.items() if story.wrong and code not in WARNINGS])
def test_the_wrong_example_gives_its_code_alone_and_the_right_one_compiles(code: str):
    assert codes_of(STORIES[code].wrong) == [code]
    assert codes_of(STORIES[code].right) == []


def test_only_what_takes_files_or_great_depth_lacks_an_example():
    assert {code for code, story in STORIES.items() if not story.wrong} == {*NEEDS_FILES, "KDL114"}
