"""Functions made with ``def``: every call replaced by the function's body, so that later stages know none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Final

from kdl.parser import syntax as s
from kdl.parser.diagnostic import Note
from kdl.rules.draft import Draft, Mistake, did_you_mean

Functions = Mapping[str, s.FunctionDeclaration]

LARGEST: Final = 20_000
"""The most nodes of a statement after inlining: functions that double what they are given grow without end."""


def inline(draft: Draft) -> None:
    """Check all function declarations, then inline them in each other, in rules and in tests."""
    for name, function in draft.functions.items():
        with draft.statement():
            _check(name, function, draft.functions)
    draft.stop_at_mistakes()
    flat: dict[str, s.FunctionDeclaration] = {}
    for name in draft.functions:
        with draft.statement():
            _flatten(name, draft.functions, flat)
    draft.stop_at_mistakes()
    draft.functions = {name: flat[name] for name in draft.functions}
    rules: list[s.Rule] = []
    for rule in draft.rules:
        with draft.statement():
            rules.append(inlined(rule, flat))
    draft.rules = rules
    tests: list[s.TestCase] = []
    for test in draft.tests:
        with draft.statement():
            tests.append(inlined(test, flat))
    draft.tests = tests


def inlined(node: s.N, functions: Functions) -> s.N:
    """The node without calls of the given functions. Raises `Mistake` when that makes it huge."""
    if not functions:
        return node

    def expand(below: s.Node) -> s.Node:
        below = s.rebuild(below, expand)
        if isinstance(below, s.Call) and below.function in functions:
            function = functions[below.function]
            return _substitute(function.body, dict(zip(function.parameters, below.arguments, strict=True)), below)
        return below

    result = expand(node)
    if result is not node and next(islice(s.walk(result), LARGEST, None), None) is not None:
        message = f"with its functions put in place this has more than {LARGEST:,} parts"
        raise Mistake("KDL237", message, node.span, help="derive a relation for what is computed again and again")
    return result  # type: ignore[return-value]


def _substitute(body: s.Expression, values: Mapping[str, s.Expression], call: s.Call) -> s.Node:
    """The body with its parameters replaced, placed where the call is."""

    def change(node: s.Node) -> s.Node:
        if isinstance(node, s.Variable):
            return values[node.name]
        return replace(s.rebuild(node, change), span=call.span)

    return change(body)


def _flatten(name: str, functions: Functions, flat: dict[str, s.FunctionDeclaration]) -> None:
    if name in flat:
        return
    for callee in _callees(functions[name]):
        if callee in functions:
            _flatten(callee, functions, flat)
    flat[name] = inlined(functions[name], flat)


def _callees(function: s.FunctionDeclaration) -> list[str]:
    return [node.function for node in s.walk(function.body) if isinstance(node, s.Call)]


def _check(name: str, function: s.FunctionDeclaration, functions: Functions) -> None:
    for index, parameter in enumerate(function.parameters):
        if parameter in function.parameters[:index]:
            raise Mistake("KDL206", f"parameter `{parameter}` of `{function.name}` is given twice", function.span)
    for variable in s.variables(function.body):
        if variable.name not in function.parameters:
            message = f"`{variable.name}` is not a parameter of `{function.name}`"
            help = did_you_mean(variable.name, function.parameters) or "what reads facts is a relation, not a function"
            raise Mistake("KDL236", message, variable.span, help=help)
    path = _cycle(name, functions, (name,))
    if path:
        steps = " → ".join(f"`{step.rpartition('.')[2]}`" for step in path)
        notes = [Note(f"`{path[1].rpartition('.')[2]}` is defined", functions[path[1]].span)] if len(path) > 2 else []
        help = "write a relation: rules may be recursive"
        raise Mistake("KDL235", f"function `{function.name}` calls itself: {steps}", function.span, "", notes, help)


def _cycle(name: str, functions: Functions, path: tuple[str, ...]) -> tuple[str, ...]:
    """The way from a function back to the first one of the path, or nothing."""
    for callee in _callees(functions[name]):
        if callee == path[0]:
            return (*path, callee)
        if callee in functions and callee not in path:
            found = _cycle(callee, functions, (*path, callee))
            if found:
                return found
    return ()
