"""Helpers of the checker's tests: a text's program, and the one mistake that it has."""

import pytest

from kdl.parser import syntax as s
from kdl.parser.diagnostic import Diagnostic, ProgramError
from kdl.parser.parse import parse
from kdl.rules.check import check
from kdl.rules.program import FAULT, Program


def program(*texts: str, **named: str) -> Program:
    """The program of some texts; a keyword is the name of a file, without its `.dl`."""
    files = {**{f"text{index}.dl": text for index, text in enumerate(texts)}}
    files |= {f"{name}.dl": text for name, text in named.items()}
    return check([parse(text, name) for name, text in files.items()], files)


def mistake(*texts: str, **named: str) -> Diagnostic:
    """The only mistake of some texts."""
    with pytest.raises(ProgramError) as caught:
        program(*texts, **named)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


def rule_of(found: Program, relation: str) -> s.Rule:
    """The only rule of a relation."""
    (rule,) = found.rules_of[relation]
    return rule


def fault_rules(found: Program) -> list[s.Rule]:
    """The rules that say what went wrong."""
    return list(found.rules_of[FAULT])
