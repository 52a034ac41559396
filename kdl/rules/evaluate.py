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
from decimal import Context, Decimal, Inexact
from enum import Enum
from typing import Final, Literal, TypeAlias

from kdl import fact
from kdl.fact import FALSE, TRUE, Bool, Document, Value
from kdl.parser import syntax as s
from kdl.rules.builtin import BUILTINS, Fault


class Absent(Enum):
    """The type of `MISSING`."""

    MISSING = 0


MISSING: Final = Absent.MISSING
Result: TypeAlias = Value | Literal[Absent.MISSING]
Bindings: TypeAlias = Mapping[str, Value]

_EXACT: Final = Context(prec=60, traps=[Inexact])


def evaluate(e: s.Expression, bindings: Bindings) -> Result:
    """The value of an expression whose variables are all bound, or `MISSING`. Raises `Fault`."""
    match e:
        case s.Constant(value):
            return value
        case s.Variable(name):
            return bindings[name]
        case s.Tuple(items):
            values = [evaluate(item, bindings) for item in items]
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
            value = _needed(evaluate(operand, bindings))
            return value if value is MISSING else _number(-_as_number(value, "-"))
        case s.Unary(_, operand):
            value = _truth(evaluate(operand, bindings), "not")
            return value if value is MISSING else _bool(not value)
        case s.Default(left, right):
            value = _needed(evaluate(left, bindings))
            return evaluate(right, bindings) if value is MISSING else value
        case s.Conditional(then, condition, otherwise):
            chosen = _truth(evaluate(condition, bindings), "if")
            return chosen if chosen is MISSING else evaluate(then if chosen else otherwise, bindings)
        case _:
            raise TypeError(f"{type(e).__name__} has no value")


def _needed(value: Result) -> Result:
    """Null is missing where a value is needed."""
    return MISSING if value is None else value


def _bool(x: bool) -> Bool:
    return TRUE if x else FALSE


def _truth(value: Result, operator: str) -> Bool | Literal[Absent.MISSING]:
    if value is None or value is MISSING:
        return MISSING
    if isinstance(value, Bool):
        return value
    raise Fault(f"`{operator}` needs true or false, not {fact.literal(value)}")


def _as_number(value: Value, operator: str) -> int | Decimal:
    if isinstance(value, (int, Decimal)):
        return value
    raise Fault(f"`{operator}` needs a number, not {fact.literal(value)}")


def _number(x: int | Decimal) -> Value:
    return fact.value(x)


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
    result: Value = BUILTINS[function].function(*values)
    return MISSING if result is None else result


def _binary(e: s.Binary, bindings: Bindings) -> Result:
    left = evaluate(e.left, bindings)
    if e.operator in ("and", "or"):
        decided = e.operator == "or"
        first = _truth(left, e.operator)
        if first is not MISSING and bool(first) == decided:
            return first
        second = _truth(evaluate(e.right, bindings), e.operator)
        if second is not MISSING and bool(second) == decided:
            return second
        return MISSING if first is MISSING or second is MISSING else second
    if e.operator == "in":
        return contained(left, source(e.right, bindings))
    right = evaluate(e.right, bindings)
    if left is MISSING or right is MISSING:
        return MISSING
    if e.operator in ("=", "!="):
        return _bool((left == right) == (e.operator == "="))
    if left is None or right is None:
        return MISSING
    if e.operator in ("<", "<=", ">", ">="):
        return _ordered(e.operator, left, right)
    return _arithmetic(e.operator, left, right)


def _ordered(operator: str, left: Value, right: Value) -> Bool:
    if not comparable(left, right):
        raise Fault(f"{fact.literal(left)} and {fact.literal(right)} cannot be ordered with `{operator}`")
    low, high = fact.sort_key(left), fact.sort_key(right)
    return _bool({"<": low < high, "<=": low <= high, ">": low > high, ">=": low >= high}[operator])


def comparable(left: Value, right: Value) -> bool:
    """Both numbers, both texts, or tuples that are so item by item."""
    if isinstance(left, tuple) and isinstance(right, tuple):
        return all(map(comparable, left, right))
    if isinstance(left, str) and isinstance(right, str):
        return True
    return isinstance(left, (int, Decimal)) and isinstance(right, (int, Decimal))


def _arithmetic(operator: str, left: Value, right: Value) -> Value:
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    if operator == "+" and isinstance(left, tuple) and isinstance(right, tuple):
        return left + right
    if not (isinstance(left, (int, Decimal)) and isinstance(right, (int, Decimal))):
        raise Fault(f"`{operator}` cannot take {fact.literal(left)} and {fact.literal(right)}")
    if operator in ("/", "%"):
        if not (isinstance(left, int) and isinstance(right, int)):
            raise Fault(f"`{operator}` is for integers, not {fact.literal(left)} and {fact.literal(right)}")
        if right == 0:
            raise Fault(f"{fact.literal(left)} {operator} 0: division by zero")
        return left // right if operator == "/" else left % right
    if isinstance(left, int) and isinstance(right, int):
        return {"+": left + right, "-": left - right, "*": left * right}[operator]
    a, b = Decimal(left), Decimal(right)
    try:
        operation = {"+": _EXACT.add, "-": _EXACT.subtract, "*": _EXACT.multiply}[operator]
        return _number(operation(a, b))
    except Inexact:
        raise Fault(f"{a} {operator} {b} has too many digits") from None


def source(e: s.Expression, bindings: Bindings) -> Result | range:
    """What the right side of ``in`` ranges over: a tuple, a document or a range of integers."""
    if not isinstance(e, s.Range):
        value = _needed(evaluate(e, bindings))
        if value is MISSING or isinstance(value, (tuple, dict)):
            return value
        raise Fault(f"`in` needs a list or a document, not {fact.literal(value)}")
    low, high = _needed(evaluate(e.low, bindings)), _needed(evaluate(e.high, bindings))
    if low is MISSING or high is MISSING:
        return MISSING
    if not (isinstance(low, int) and isinstance(high, int)):
        raise Fault(f"a range needs integers, not {fact.literal(low)}..{fact.literal(high)}")
    return range(low, high + 1)


def contained(item: Result, where: Result | range) -> Result:
    """Whether `item` is in a source."""
    if item is MISSING or where is MISSING:
        return MISSING
    if isinstance(where, range):
        return _bool(isinstance(item, int) and item in where)
    return _bool(item in where)  # type: ignore[operator]
