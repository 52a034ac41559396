"""docs/language.md is true: its programs compile and its tests pass; its table of functions is the real one.

``python tests/rules/test_language_reference.py`` writes the table anew.
"""

import re
from pathlib import Path

import pytest

import kdl
from kdl.rules.builtin import BUILTINS
from kdl.rules.naive import Naive
from kdl.rules.testing import run_tests

REFERENCE = Path(__file__).parents[2] / "docs" / "language.md"
MARK = "<!-- builtins -->\n"
TEXT = REFERENCE.read_text("utf-8")
PROGRAMS = re.findall(r"```prolog\n(.*?)```", TEXT, re.DOTALL)


def table() -> str:
    """The built-in functions as a table."""
    rows = ["| Function | Result | Meaning |", "|---|---|---|"]
    for name, builtin in sorted(BUILTINS.items()):
        if not name.startswith("$"):
            mark = "†" if builtin.partial else ""
            doc = builtin.doc.replace("|", "\\|")
            rows.append(f"| `{name}({', '.join(builtin.parameters)})`{mark} | `{builtin.result}` | {doc} |")
    return "\n".join(rows) + "\n"


def no_manifests(path: str):
    raise FileNotFoundError(path)


@pytest.mark.parametrize("text", PROGRAMS, ids=lambda text: text.split("\n")[0][:40])
def test_a_program_of_the_reference_compiles_without_warnings_and_its_tests_pass(text: str):
    program = kdl.compile(text)
    assert program.warnings == ()
    failures = [str(result.failure) for result in run_tests(program, no_manifests, Naive) if not result.passed]
    assert failures == []


def test_most_programs_of_the_reference_have_a_test():
    assert sum("test " in text for text in PROGRAMS) >= 9


def test_the_reference_lists_every_function_as_it_is():
    assert TEXT.partition(MARK)[2] == table()


if __name__ == "__main__":
    REFERENCE.write_text(TEXT.partition(MARK)[0] + MARK + table(), "utf-8")
