"""What an expression means: one recursive function over the syntax tree.

This is the definition that the engine's compiled code is held against, so it is written to be read.

- The value of an expression may be *missing* (`MISSING`): a path to a member that is not there or is null, and
  whatever needs such a value. A literal with a missing value fails silently; ``??`` catches it.
- Null is a value of its own only for ``=``, ``!=``, ``in``, tuples, functions' arguments and heads; where a number, a
  text or a document is needed, null counts as missing. A record leaves out members that are null or missing.
- ``and`` and ``or`` go left to right and stop as soon as the answer is known; a missing side is unknown, so
  ``missing or true`` is true and ``missing and false`` is false, all else with it is missing.
- Outside its domain an expression raises `Fault`: the literal fails, and the rule's fault rule says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, Literal, TypeAlias

from kdl import fact
from kdl.fact import Bool, Document, Value
from kdl.parser import syntax as s
from kdl.rules.builtin import BUILTINS, OPERATORS, Fault, bounds, condition, items, negate, truth


class Absent(Enum):
    """The type of `MISSING`."""

    MISSING = 0


MISSING: Final = Absent.MISSING
Result: TypeAlias = Value | Literal[Absent.MISSING]
Truth: TypeAlias = Bool | Literal[Absent.MISSING]
Bindings: TypeAlias = Mapping[str, Value]


def evaluate(e: s.Expression, bindings: Bindings) -> Result:
    """The value of an expression, or `MISSING`. Raises `Fault`; `KeyError` for a wildcard and what is not bound."""
    match e:
        case s.Constant(value):
            return value
        case s.Variable(name):
            return bindings[name]
        case s.Tuple(parts):
            values = [evaluate(part, bindings) for part in parts]
            return MISSING if MISSING in values else tuple(values)
        case s.Record(members):
            return _record(members, bindings)
        case s.Format(parts):
            return _format(parts, bindings)
        case s.Path(base, steps):
            return _path(evaluate(base, bindings), steps, bindings)
        case s.Call("fault", (argument,)):
            return _fault(argument, bindings)
        case s.Call(function, arguments):
            return _call(function, arguments, bindings)
        case s.Binary():
            return _binary(e, bindings)
        case s.Unary("-", operand):
            number = _needed(evaluate(operand, bindings))
            return MISSING if number is MISSING else _result(negate(number))
        case s.Unary(_, operand):
            holds = _truth(evaluate(operand, bindings))
            return MISSING if holds is MISSING else truth(not holds)
        case s.Default(left, right):
            preferred = _needed(evaluate(left, bindings))
            return evaluate(right, bindings) if preferred is MISSING else preferred
        case s.Conditional(then, test, otherwise):
            holds = _truth(evaluate(test, bindings))
            return MISSING if holds is MISSING else evaluate(then if holds else otherwise, bindings)
        case s.Wildcard():
            raise KeyError("_")
        case _:
            raise TypeError(f"{type(e).__name__} has no value")


def _needed(value: Result) -> Result:
    """Null is missing where a value is needed."""
    return MISSING if value is None else value


def _result(found: Value) -> Result:
    """What a builtin gives: None says missing."""
    return MISSING if found is None else found


def _truth(value: Result) -> Truth:
    return MISSING if value is None or value is MISSING else condition(value)


def _record(members: tuple[tuple[s.Expression, s.Expression], ...], bindings: Bindings) -> Result:
    found: dict[str, Value] = {}
    for key, item in members:
        name = _needed(evaluate(key, bindings))
        value = _needed(evaluate(item, bindings))
        if name is MISSING:
            return MISSING
        if not isinstance(name, str):
            raise Fault(f"a document's key is a text, not {fact.literal(name)}")
        found.pop(name, None)
        if value is not MISSING:
            found[name] = value
    return Document(found)


def _format(parts: tuple[s.Expression, ...], bindings: Bindings) -> Result:
    texts = []
    for part in parts:
        value = _needed(evaluate(part, bindings))
        if value is MISSING:
            return MISSING
        texts.append(value if isinstance(value, str) else fact.literal(value))
    return "".join(texts)


def _path(value: Result, steps: tuple[s.Expression, ...], bindings: Bindings) -> Result:
    value = _needed(value)
    for step in steps:
        at = evaluate(step, bindings)
        if isinstance(value, dict) and isinstance(at, str):
            value = value.get(at, MISSING)
        elif isinstance(value, tuple) and isinstance(at, int) and 0 <= at < len(value):
            value = _needed(value[at])
        else:
            return MISSING
    return value


def _fault(argument: s.Expression, bindings: Bindings) -> Result:
    """The message if the argument faults; missing if it does not."""
    try:
        evaluate(argument, bindings)
    except Fault as fault:
        return str(fault)
    return MISSING


def _call(function: str, arguments: tuple[s.Expression, ...], bindings: Bindings) -> Result:
    values: list[Value] = []
    for argument in arguments:
        value = evaluate(argument, bindings)
        if value is MISSING:
            return MISSING
        values.append(value)
    return _result(BUILTINS[function].function(*values))


def _binary(e: s.Binary, bindings: Bindings) -> Result:
    left = evaluate(e.left, bindings)
    if e.operator in ("and", "or"):
        return _junction(e.operator == "or", _truth(left), e.right, bindings)
    if e.operator == "in":
        return contained(left, source(e.right, bindings))
    right = evaluate(e.right, bindings)
    if left is MISSING or right is MISSING:
        return MISSING
    if e.operator not in ("=", "!=") and (left is None or right is None):
        return MISSING
    result: Value = OPERATORS[e.operator](left, right)
    return result


def _junction(decisive: bool, first: Truth, right: s.Expression, bindings: Bindings) -> Truth:
    if first is not MISSING and bool(first) == decisive:
        return first
    second = _truth(evaluate(right, bindings))
    if second is not MISSING and bool(second) == decisive:
        return second
    return MISSING if first is MISSING else second


def source(e: s.Expression, bindings: Bindings) -> Result | range:
    """What the right side of ``in`` ranges over: a tuple, a document or a range of integers."""
    if not isinstance(e, s.Range):
        value = _needed(evaluate(e, bindings))
        return value if value is MISSING else items(value)
    low, high = _needed(evaluate(e.low, bindings)), _needed(evaluate(e.high, bindings))
    if low is MISSING or high is MISSING:
        return MISSING
    first, last = bounds(low, high)
    return range(first, last + 1)


def contained(item: Result, where: Result | range) -> Result:
    """Whether `item` is in a source."""
    if item is MISSING or where is MISSING:
        return MISSING
    if isinstance(where, range):
        return truth(type(item) is int and item in where)
    return truth(item in where)  # type: ignore[operator]
