"""The syntax tree: frozen, with a span on every node, equal regardless of spans.

Names in here are as written; `kdl.rules.names` resolves them to qualified ones and gives the same kinds of node back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from operator import is_
from typing import Any, TypeAlias, TypeVar
from typing import Literal as Choice

from kdl.fact import Value
from kdl.parser.diagnostic import Span

NOWHERE = Span("", 0, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What all nodes have."""

    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its values in the order of its fields: half the time of what dataclasses do."""
        kind = type(self)
        return _restored, (kind, *[getattr(self, item.name) for item in fields(kind)])


def _restored(kind: type[Node], *values: Any) -> Node:
    node = object.__new__(kind)
    setters = _SETTERS.get(kind)
    if setters is None:
        setters = _SETTERS[kind] = [getattr(kind, item.name).__set__ for item in fields(kind)]
    for put, value in zip(setters, values, strict=True):
        put(node, value)
    return node


_SETTERS: dict[type[Node], list[Callable[[Node, Any], None]]] = {}


# --- expressions -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """A literal; `text` is how it was written where that is not the value's own form (``cpu"500m"``)."""

    value: Value
    text: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Variable(Node):
    """``Upper``; a wildcard ``_`` is `Wildcard`."""

    name: str


@dataclass(frozen=True, slots=True)
class Wildcard(Node):
    """``_``: anything, and another anything at every place."""


@dataclass(frozen=True, slots=True)
class Tuple(Node):
    """``(A, B)`` or ``[A, B]`` (`square`): the same value, a tuple; a pattern on the left of ``=`` and ``in``."""

    items: tuple[Expression, ...]
    square: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Record(Node):
    """``{"metadata": {"name": N}}``: a JSON literal. A member whose value is null is left out."""

    members: tuple[tuple[Expression, Expression], ...]


@dataclass(frozen=True, slots=True)
class Format(Node):
    """``f"{Want} of {Free}"``: the parts in order, texts as constants."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Path(Node):
    """``D.spec.ports[I]``: steps are expressions of strings or integers; ``.name`` is a constant string."""

    base: Expression
    steps: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Call(Node):
    """``hash(C, M)``: a builtin function or one made with ``def``."""

    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Arithmetic, comparison or a truth function of two operands; ``??`` is `Default`."""

    operator: Choice["+", "-", "*", "/", "%", "=", "!=", "<", "<=", ">", ">=", "and", "or", "in"]
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``-X`` or ``not X``."""

    operator: Choice["-", "not"]
    operand: Expression


@dataclass(frozen=True, slots=True)
class Default(Node):
    """``D.spec.replicas ?? 1``: the right side when the left is missing or null."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """``A if C else B``: only the chosen side is evaluated."""

    then: Expression
    condition: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Range(Node):
    """``1..N``: the integers from low to high, both included; only on the right of ``in``."""

    low: Expression
    high: Expression


Expression: TypeAlias = (
    Constant
    | Variable
    | Wildcard
    | Tuple
    | Record
    | Format
    | Path
    | Call
    | Binary
    | Unary
    | Default
    | Conditional
    | Range
)

# --- body literals ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Argument(Node):
    """An argument of an atom; `column` is its name when it was given by name."""

    value: Expression
    column: str | None = None


@dataclass(frozen=True, slots=True)
class Atom(Node):
    """``pod(name: P, phase: "Running")``. After name resolution: qualified, every column present, in order.

    `name_span` is the place of the relation's name alone.
    """

    relation: str
    arguments: tuple[Argument, ...]
    name_span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Negation(Node):
    """``not p(X, _)``: there is no such fact; variables that occur only here are existential inside the negation."""

    atom: Atom


@dataclass(frozen=True, slots=True)
class Test(Node):
    """An expression that must be true: a comparison, a boolean function, ``not E``, ``A in L`` with A bound."""

    condition: Expression


@dataclass(frozen=True, slots=True)
class Unification(Node):
    """``X = E``, ``(_, N) = E``: binds the unbound variables of the pattern on the left and compares the rest."""

    pattern: Expression
    value: Expression


@dataclass(frozen=True, slots=True)
class Membership(Node):
    """``X in L``, ``K: V in D``, ``I: X in L``, ``I in 1..N``: one binding per position.

    `key` is the key of a document's member or the index (from 0) of a list's item. ``X in D`` of a document ranges
    over its keys. A pattern without unbound variables tests each position, so it may hold several times.
    """

    key: Expression | None
    item: Expression
    source: Expression


@dataclass(frozen=True, slots=True)
class Due(Node):
    """``due(T)`` or ``not due(T)`` (`negated`): the clock has reached the time T (milliseconds since the epoch)."""

    time: Expression
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Aggregate(Node):
    """``Pattern = sum Q : { body } ?? default``, over the binding tuples of the body, grouped by the outer variables.

    `value` is None for ``count``.
    """

    pattern: Expression
    function: Choice["count", "sum", "min", "max", "list"]
    value: Expression | None
    body: tuple[Literal, ...]
    default: Expression | None = None


Literal: TypeAlias = Atom | Negation | Test | Unification | Membership | Due | Aggregate

# --- statements ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModuleName(Node):
    """``module sched.``; `doc` is the `##` block before it."""

    name: str
    doc: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Import(Node):
    """``import core.`` or ``from core import pod, node.`` (`names`)."""

    module: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TypeDeclaration(Node):
    """``type node = str.``: a named type that does not mix with others of the same base."""

    name: str
    base: str
    doc: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Column(Node):
    """A named, typed column of a relation."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class RelationDeclaration(Node):
    """``[input] [open] [effect] rel name(columns) [key(…)] [observes r].`` is a declaration."""

    name: str
    columns: tuple[Column, ...]
    modifiers: frozenset[str] = frozenset()
    key: tuple[str, ...] = ()
    observes: str | None = None
    doc: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class FunctionDeclaration(Node):
    """``def f(X) = expr.``: pure, not recursive, inlined."""

    name: str
    parameters: tuple[str, ...]
    body: Expression
    doc: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Rule(Node):
    """``head :- body.``; a rule without a body is a fact of the program."""

    head: Atom
    body: tuple[Literal, ...] = ()
    doc: str = field(default="", compare=False)
    why: Expression | None = None
    whynot: Expression | None = None


@dataclass(frozen=True, slots=True)
class Step(Node):
    """One step of a test.

    ``load "x.yaml"``: `argument` is a constant string. ``given``/``remove``: `body` is one ground atom.
    ``advance``: `argument` is an expression of milliseconds. ``expect``/``expect not``: `body` is a query.
    ``expect why ATOM contains TEXT`` / ``expect whynot …``: `body` is one atom, `argument` the text.
    """

    action: Choice["load", "given", "remove", "advance", "expect", "expect not", "expect why", "expect whynot"]
    body: tuple[Literal, ...] = ()
    argument: Expression | None = None


@dataclass(frozen=True, slots=True)
class TestCase(Node):
    """``test "name" { steps }``."""

    name: str
    steps: tuple[Step, ...]


Statement: TypeAlias = (
    ModuleName | Import | TypeDeclaration | RelationDeclaration | FunctionDeclaration | Rule | TestCase
)


@dataclass(frozen=True, slots=True)
class File(Node):
    """One source file: its statements in order."""

    name: str
    statements: tuple[Statement, ...]


def _below(node: Node) -> tuple[str, ...]:
    """The fields of a kind of node that hold nodes, by what their annotations speak of."""
    kind = type(node)
    found = _FIELDS.get(kind)
    if found is None:
        found = _FIELDS[kind] = tuple(f.name for f in fields(kind) if _HOLDS_NODES.search(str(f.type)))
    return found


_FIELDS: dict[type[Node], tuple[str, ...]] = {}
_HOLDS_NODES = re.compile(r"\b(Expression|Literal|Argument|Atom|Step|Column|Statement)\b")


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below a node, in source order."""
    for name in _below(node):
        yield from _nodes(getattr(node, name))


def _nodes(x: object) -> Iterator[Node]:
    if isinstance(x, Node):
        yield x
    elif type(x) is tuple:
        for item in x:
            yield from _nodes(item)


N = TypeVar("N", bound=Node)


def rebuild(node: N, change: Callable[[Any], Any]) -> N:
    """The node with `change` applied to each node directly below; the very same node when nothing changed."""
    changes = {}
    for name in _below(node):
        before = getattr(node, name)
        after = _rebuilt(before, change)
        if after is not before:
            changes[name] = after
    return replace(node, **changes) if changes else node


def _rebuilt(x: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(x, Node):
        return change(x)
    if type(x) is tuple:
        items = tuple([_rebuilt(item, change) for item in x])
        return x if all(map(is_, items, x)) else items
    return x


def walk(node: Node) -> Iterator[Node]:
    """The node and all nodes below it, outermost first."""
    yield node
    for child in children(node):
        yield from walk(child)


def variables(node: Node) -> Iterator[Variable]:
    """Every occurrence of a variable in a node, in source order."""
    return (item for item in walk(node) if isinstance(item, Variable))
