"""Wrong programs, one mistake each, and exactly what is said about them.

A program `NN-name.dl` may hold a second file after a line ``--- name.dl``. To write the expected texts anew, run
``python tests/diagnostics/test_programs.py`` and read the difference.
"""

from pathlib import Path

import pytest

from kdl.parser.diagnostic import ProgramError
from kdl.parser.parse import parse
from kdl.rules.check import check

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.dl"))


def said_about(program: Path) -> ProgramError | None:
    """The error that a program raises."""
    first, *others = program.read_text("utf-8").split("\n--- ")
    sources = {program.name: first, **{name: text for name, _, text in (other.partition("\n") for other in others)}}
    try:
        check([parse(text, name) for name, text in sources.items()], sources)
    except ProgramError as error:
        return error
    return None


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_wrong_program_gets_one_clear_error(program: Path):
    error = said_about(program)
    assert error is not None
    assert error.render() + "\n" == program.with_suffix(".txt").read_text("utf-8")
    assert len(error.diagnostics) == 1
    assert error.diagnostics[0].help or error.diagnostics[0].notes


def test_there_are_at_least_twenty():
    assert len(PROGRAMS) >= 20


if __name__ == "__main__":
    for program in PROGRAMS:
        error = said_about(program)
        program.with_suffix(".txt").write_text((error.render() if error else "no error") + "\n", "utf-8")
