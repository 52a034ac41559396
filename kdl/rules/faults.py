"""Faults made plain: what can fail when a rule runs is a literal of its own, and has a rule that says so.

A head column that may get a value of the wrong type is tested by a literal at the end of the body (``$typed``), a
condition that may not be a boolean by ``$condition``. For each literal that can fault there is then a rule

    kdl.fault("x.dl:7", M) :- ⟨the literals before it⟩, M = fault(⟨its expression⟩).

where ``fault(E)`` is the message when evaluating E faults and is missing when it does not. In the rule itself a fault
is a literal that fails: engine and specification need no other notion of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kdl.parser import syntax as s
from kdl.rules.draft import Draft
from kdl.rules.program import FAULT, Relation, label
from kdl.rules.types import DYNAMIC, Typing

MESSAGE = s.Variable("M$fault")


def expose(draft: Draft) -> None:
    """Add the tests of types and the rules of `kdl.fault`."""
    rules: list[s.Rule] = []
    faults: list[s.Rule] = []
    for rule in draft.rules:
        body, typing = guarded(rule.body, draft.relations, draft.types)
        rule = replace(rule, body=body) if body != rule.body else rule
        rule = _typed_head(rule, draft.relations[rule.head.relation], typing)
        rules.append(rule)
        faults.extend(_faults(rule, draft))
    draft.rules = rules + faults
    tests = []
    for test in draft.tests:
        steps = tuple(replace(step, body=guarded(step.body, draft.relations, draft.types)[0]) for step in test.steps)
        tests.append(replace(test, steps=steps))
    draft.tests = tests


def guarded(
    body: tuple[s.Literal, ...], relations: Mapping[str, Relation], named: Mapping[str, str]
) -> tuple[tuple[s.Literal, ...], Typing]:
    """The body with every condition that may be no boolean tested, and the types of its variables."""
    typing = Typing(relations, named)
    return _conditions(body, typing), typing


def _conditions(body: tuple[s.Literal, ...], typing: Typing) -> tuple[s.Literal, ...]:
    result: list[s.Literal] = []
    for literal in body:
        literal = _condition(literal, typing)
        typing.add(literal)
        result.append(literal)
    return tuple(result)


def _condition(literal: s.Literal, typing: Typing) -> s.Literal:
    def truth(expression: s.Expression, within: Typing) -> s.Expression:
        if within.base(within.of(expression)) in DYNAMIC:
            return s.Call("$condition", (expression,), span=expression.span)
        return expression

    def change(node: s.Node) -> s.Node:
        node = s.rebuild(node, change)
        match node:
            case s.Unary("not", operand):
                return replace(node, operand=truth(operand, typing))
            case s.Binary("and" | "or", left, right):
                return replace(node, left=truth(left, typing), right=truth(right, typing))
            case s.Conditional(_, condition, _):
                return replace(node, condition=truth(condition, typing))
            case _:
                return node

    if isinstance(literal, s.Aggregate):
        inner = typing.inside()
        body = _conditions(literal.body, inner)
        outer_part = s.rebuild(replace(literal, body=()), change)
        return replace(outer_part, body=body)
    literal = s.rebuild(literal, change)
    if isinstance(literal, s.Test):
        return replace(literal, condition=truth(literal.condition, typing))
    return literal


def _typed_head(rule: s.Rule, relation: Relation, typing: Typing) -> s.Rule:
    """The rule with a last literal that tests the head's dynamic values for typed columns."""
    columns: list[tuple[str, str]] = []
    values: list[s.Expression] = []
    arguments, literals = list(rule.head.arguments), list(rule.body)
    for index, (argument, column) in enumerate(zip(rule.head.arguments, relation.columns, strict=True)):
        if column.type in DYNAMIC or not typing.dynamic(typing.of(argument.value)):
            continue
        value = argument.value
        if not isinstance(value, s.Variable):
            variable = s.Variable(f"H${index + 1}", span=value.span)
            literals.append(s.Unification(variable, value, span=value.span))
            arguments[index] = replace(argument, value=variable)
            value = variable
        columns.append((column.name, column.type))
        values.append(value)
    if not columns:
        return rule
    span = rule.head.span
    where = (s.Constant(relation.name, span=span), s.Constant(tuple(columns), span=span))
    literals.append(s.Test(s.Call("$typed", (*where, *values), span=span), span=span))
    return replace(rule, head=replace(rule.head, arguments=tuple(arguments)), body=tuple(literals))


def _faults(rule: s.Rule, draft: Draft) -> Iterator[s.Rule]:
    head = s.Atom(FAULT, (s.Argument(s.Constant(label(rule))), s.Argument(MESSAGE)), span=rule.head.span)
    typing = Typing(draft.relations, draft.types)
    for before, expression in _places((), rule.body, typing):
        fault = s.Unification(MESSAGE, s.Call("fault", (expression,), span=expression.span), span=expression.span)
        yield s.Rule(head, (*before, fault), span=rule.span)
    for argument in rule.head.arguments:
        if typing.may_fault(argument.value):
            value = argument.value
            fault = s.Unification(MESSAGE, s.Call("fault", (value,), span=value.span), span=value.span)
            yield s.Rule(head, (*rule.body, fault), span=rule.span)


def _places(
    before: tuple[s.Literal, ...], body: tuple[s.Literal, ...], typing: Typing
) -> Iterator[tuple[tuple[s.Literal, ...], s.Expression]]:
    """Each expression that may fault, with the literals that are evaluated before it."""
    for literal in body:
        if isinstance(literal, s.Aggregate):
            yield from _aggregate_places(before, literal, typing)
        for expression in _expressions(literal, typing):
            if typing.may_fault(expression):
                yield before, expression
        typing.add(literal)
        before = (*before, literal)


def _aggregate_places(
    before: tuple[s.Literal, ...], aggregate: s.Aggregate, typing: Typing
) -> Iterator[tuple[tuple[s.Literal, ...], s.Expression]]:
    inner = typing.inside()
    yield from _places(before, aggregate.body, inner)
    value = aggregate.value
    if value is None:
        return
    if aggregate.function == "sum" and inner.dynamic(inner.of(value)):
        value = s.Call("$summand", (value,), span=value.span)
    if inner.may_fault(value):
        yield (*before, *aggregate.body), value


def _expressions(literal: s.Literal, typing: Typing) -> Iterator[s.Expression]:
    """What a literal evaluates, outermost expressions only, with the literal's own demand on the value."""
    match literal:
        case s.Test(condition):
            yield condition
        case s.Unification(pattern, value):
            yield value
            yield from _within(pattern)
        case s.Membership(key, item, source):
            if isinstance(source, s.Range):
                if {typing.base(typing.of(end)) for end in (source.low, source.high)} <= {"int", "time"}:
                    yield from (source.low, source.high)
                else:
                    yield s.Call("$bounds", (source.low, source.high), span=source.span)
            elif typing.dynamic(typing.of(source)):
                yield s.Call("$items", (source,), span=source.span)
            else:
                yield source
            yield from _within(item)
            if key is not None:
                yield from _within(key)
        case s.Due(time):
            yield s.Call("$instant", (time,), span=time.span) if typing.dynamic(typing.of(time)) else time
        case s.Aggregate(pattern=pattern, default=default):
            yield from _within(pattern)
            if default is not None:
                yield default
        case _:
            pass


def _within(pattern: s.Expression) -> Iterator[s.Expression]:
    """The expressions inside a pattern that are compared with, not bound."""
    match pattern:
        case s.Variable() | s.Wildcard() | s.Constant():
            pass
        case s.Tuple(items):
            for item in items:
                yield from _within(item)
        case _:
            yield pattern
