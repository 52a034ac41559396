"""Formatting changes the form alone: same tree, same documentation, every comment; and what is formatted stays so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdl.parser.diagnostic import ProgramError
from kdl.parser.format import WIDTH, format
from kdl.parser.parse import comments, parse
from kdl.parser.tokens import Role, tokens
from tests.properties.programs import programs

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for folder in ("policies", "examples", "tests/parser", "tests/diagnostics", "tests/properties", "tests/packs")
    for path in (ROOT / folder).rglob("*.dl")
)
BLOCKS = tuple(
    block
    for path in sorted((ROOT / "policies").rglob("*.dl"))
    for block in re.split(r"\n\n+", path.read_text("utf-8"))
    if not block.startswith("test ")
)
repeatable = settings(
    derandomize=True, database=None, deadline=None, max_examples=100, suppress_health_check=list(HealthCheck)
)


def texts_of(program: str) -> list[str]:
    """What the comments of a program say."""
    return sorted(comment.text.lstrip("#").strip() for comment in comments(program))


def docs(program: str) -> list[str]:
    return [getattr(statement, "doc", "") for statement in parse(program).statements]


def assert_laws(program: str) -> str:
    """The formatted program, after checking that it is the same and stays as it is."""
    formatted = format(program)
    assert parse(formatted) == parse(program)
    assert texts_of(formatted) == texts_of(program)
    assert format(formatted) == formatted
    return formatted


@st.composite
def disturbed(draw: st.DrawFn) -> str:
    """A program with other white space and with comments anywhere."""
    blocks = draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=3))
    text, before = "", None
    number = 0
    for token in tokens("\n\n".join([draw(programs()), *blocks])):
        tight = before is not None and (
            before.role is Role.JOINT
            or token.role in (Role.JOINT, Role.COLON)
            or (token.text in ("(", "[") and before.role is not Role.KEYWORD)
        )
        roll = draw(st.integers(0, 39))
        if before is None:
            pass
        elif before.role is Role.COMMENT:
            text += "\n"
        elif roll == 0 and not tight:
            number += 1
            text += draw(st.sampled_from(("  # {}\n", "\n# {}\n", "\n\n## {}\n", "  ##{}\n\n\n"))).format(number)
        elif roll < 4 and not tight:
            text += draw(st.sampled_from(("\n", "\n\n\n", "   ", "\t")))
        elif not tight or token.role is Role.COMMENT:
            text += " "
        text, before = text + token.text, token
    return text


@repeatable
@given(disturbed())
def test_a_generated_program_keeps_its_tree_and_its_comments_in_any_white_space(program: str):
    assert_laws(program)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_program_of_the_project_keeps_its_tree_comments_and_documentation(path: Path):
    for program in path.read_text("utf-8").split("\n--- "):  # some files of tests hold several
        try:
            parse(program)
        except ProgramError:
            continue
        formatted = assert_laws(program)
        assert docs(formatted) == docs(program)


def test_the_shipped_packs_and_examples_are_in_their_form():
    shown = [path for folder in ("policies", "examples") for path in sorted((ROOT / folder).rglob("*.dl"))]
    wrong = [str(path.relative_to(ROOT)) for path in shown if format(text := path.read_text("utf-8")) != text]
    assert wrong == [], "run `kdl fmt policies examples`"


def test_only_what_cannot_be_cut_is_longer_than_a_line():
    for path in sorted((ROOT / "policies").rglob("*.dl")):
        for line in format(path.read_text("utf-8")).splitlines():
            assert len(line) <= WIDTH or re.fullmatch(r'\s*(#|.*  #|@why|@whynot|.*f?"[^"]{40,}").*', line), line


def test_spaces_follow_what_signs_mean():
    text = 'p(-X,(Y,),[ ]):-q(a:X),r( b :Y ),N=count:{s(_)},K:V in D .m["k"],Z=-1-X*2,I in 0 ..N.'
    assert format(text) == (
        'p(-X, (Y,), []) :- q(a: X), r(b: Y), N = count : { s(_) }, K: V in D.m["k"], Z = -1 - X * 2, I in 0..N.\n'
    )


def test_a_rule_that_fits_is_one_line_and_another_begins_its_body_below():
    literals = ", ".join(f"relation_{n}(column: X{n})" for n in range(3))
    assert format(f"p(X) :-\n  {literals}.") == f"p(X) :- {literals}.\n"
    longer = format(f"p(X) :- {literals}, {literals}.")
    assert longer.splitlines()[0] == "p(X) :-"
    assert all(line.startswith("    relation_") for line in longer.splitlines()[1:])


def test_the_last_document_of_a_call_stays_at_its_bracket():
    spec = ", ".join(f'"member{n}": Value{n}' for n in range(8))
    assert format(f'create("Pod", Id, {{{spec}}}) :- wanted(Id).').splitlines()[0] == 'create("Pod", Id, {'


def test_a_literal_that_is_alone_in_a_step_is_opened_from_the_margin_of_the_step():
    text = "x" * 100
    assert format(f'test "t" {{ expect deny("a", "{text}"). }}').splitlines()[1:] == [
        "    expect deny(",
        f'        "a", "{text}"',
        "    ).",
        "}",
    ]


def test_comments_inside_a_rule_stay_at_their_literals():
    text = "p(X) :-\n    # first\n    q(X),  # second\n    r(X).  # third\n"
    assert format(text) == text


def test_a_comment_out_of_the_middle_of_an_expression_goes_above_it_and_not_into_the_documentation():
    formatted = format("## doc\np(X # why\n+ 1, 2).")
    assert docs(formatted) == ["doc"]
    assert texts_of(formatted) == ["doc", "why"]


def test_empty_lines_are_kept_one_at_a_time():
    assert format("\n\np(1).\n\n\n\np(2).\np(3).\n\n") == "p(1).\n\np(2).\np(3).\n"


def test_modifiers_have_an_order_and_steps_have_lines():
    assert format("open   input rel p(a:int,).") == "input open rel p(a: int).\n"
    assert format('test "t" { given p(1).  expect q(1), not r(1). }') == (
        'test "t" {\n    given p(1).\n    expect q(1), not r(1).\n}\n'
    )
