"""Programs that most likely do not mean what they say, one warning each, and exactly what is said about them.

To write the expected texts anew, run ``python tests/diagnostics/test_warnings.py`` and read the difference.
"""

from pathlib import Path

import pytest

from kdl.parser.diagnostic import Diagnostic
from kdl.parser.parse import parse
from kdl.parser.source import shipped, texts
from kdl.rules.check import check
from kdl.rules.lint import lint
from kdl.runtime.programs import compile

PROGRAMS = sorted((Path(__file__).parent / "warnings").glob("*.dl"))
EXAMPLES = Path(__file__).parents[2] / "examples"


def said_about(name: str, text: str) -> list[Diagnostic]:
    """The warnings of a program."""
    return lint(check([parse(text, name)], {name: text}))


def rendered(program: Path) -> str:
    """What is said about a program, as it is shown."""
    text = program.read_text("utf-8")
    return "\n\n".join(found.render({program.name: text}) for found in said_about(program.name, text)) + "\n"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_doubtful_program_gets_one_clear_warning(program: Path):
    (found,) = said_about(program.name, program.read_text("utf-8"))
    assert found.severity == "warning"
    assert found.help
    assert rendered(program) == program.with_suffix(".txt").read_text("utf-8")


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_comment_above_or_behind_the_statement_takes_the_warning_away(program: Path):
    text = program.read_text("utf-8")
    (found,) = said_about("p.dl", text)
    lines = text.splitlines()
    line = found.span.line - 1
    above = [*lines[:line], f"# allow {found.code}: it is meant", *lines[line:]]
    behind = [*lines[:line], f"{lines[line]}  # allow KDL299, {found.code}", *lines[line + 1 :]]
    other = [*lines[:line], "# allow KDL299: another one", *lines[line:]]
    assert said_about("p.dl", "\n".join(above)) == []
    assert said_about("p.dl", "\n".join(behind)) == []
    assert [warning.code for warning in said_about("p.dl", "\n".join(other))] == [found.code]


@pytest.mark.parametrize(
    "body",
    [
        "q(X, _), r(_, _)",  # what need only exist
        "q(X, Y), r(Z, _), Y < Z",  # compared
        "q(X, Y), r(Z, _), not s(Y, Z)",  # tested together
        "q(X, _), L = [1, 2], Y in L, Y != X",
        "q(X, Y), q(X, Z), Y != Z",  # another one
        "q(X, K), r(K, Y), X != Y",  # looked up by a key
    ],
)
def test_what_is_usual_gets_no_warning(body: str):
    inputs = "".join(f"input rel {name}(a: int, b: int).\n" for name in "qrs")
    assert said_about("p.dl", f"{inputs}rel p(x: int).\np(X) :- {body}.\n") == []


def test_the_shipped_packs_and_the_examples_have_no_warnings():
    program = compile([*shipped(), EXAMPLES])
    assert [found.render(program.sources) for found in lint(program)] == []
    assert len(texts(shipped())) > 10


if __name__ == "__main__":
    for program in PROGRAMS:
        program.with_suffix(".txt").write_text(rendered(program), "utf-8")
