"""Values, rows, facts and deltas: the one noun that all parts share.

A value is a string, an exact integer, an exact decimal, a boolean, null, a tuple or a document. Values of different
type are never equal: Python says ``1 == True``, the language does not, so booleans are the two objects `TRUE` and
`FALSE` in here, equal to Python's own ``True`` and ``False`` but not to numbers. JSON arrays are tuples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from hashlib import blake2b
from operator import is_
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias, TypeVar

import orjson


class Bool:
    """One of the two truth values; equal to itself and to the Python boolean it stands for, to nothing else."""

    __slots__ = ("_value",)

    def __init__(self, value: bool) -> None:
        self._value = value

    def __bool__(self) -> bool:
        return self._value

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "true" if self._value else "false"

    def __reduce__(self) -> str:
        return "TRUE" if self._value else "FALSE"

    def __copy__(self) -> Bool:
        return self

    def __deepcopy__(self, memo: object) -> Bool:
        return self


TRUE: Final = Bool(True)
FALSE: Final = Bool(False)


class Document(dict[str, Any]):
    """An immutable JSON object: hashed once, equal regardless of key order, without null members.

    Build it with `value`, which normalises what is inside. It is a `dict` for the speed of ``get`` and of ``==``;
    every method that would change it raises `TypeError`.
    """

    __slots__ = ("_hash",)
    _hash: int

    def __hash__(self) -> int:  # type: ignore[override]
        try:
            return self._hash
        except AttributeError:
            self._hash = hash(frozenset(self.items()))
            return self._hash

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a document is immutable")

    __setitem__ = __delitem__ = update = setdefault = pop = popitem = clear = __ior__ = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return Document, (dict(self),)


Value: TypeAlias = str | int | Bool | Decimal | tuple[Any, ...] | Document | None
Row: TypeAlias = tuple[Value, ...]
_Whole = TypeVar("_Whole", Document, Row)


class Fact(NamedTuple):
    """One row of one relation, named by its qualified name (``sched.bind``)."""

    relation: str
    row: Row

    def __str__(self) -> str:
        return f"{self.relation}({', '.join(map(literal, self.row))})"


@dataclass(slots=True)
class Delta:
    """What changed, by relation: rows that are there now and were not, and the reverse. No row is in both."""

    added: dict[str, set[Row]] = field(default_factory=dict)
    removed: dict[str, set[Row]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(self.added.values()) or any(self.removed.values())


def value(x: object) -> Value:
    """The value that a Python or JSON object stands for.

    Lists become tuples, mappings become documents without their null members, floats become exact decimals, and
    a number without a fraction is an integer. Raises `TypeError` for anything else (NaN and infinities included).
    """
    if type(x) is dict:  # most of what comes in: texts by texts
        return Document(
            [
                (key if type(key) is str else _key(key), item if type(item) is str else value(item))
                for key, item in x.items()
                if item is not None
            ]
        )
    if x is None or isinstance(x, (str, Bool, Document)):
        return x
    if x is True:
        return TRUE
    if x is False:
        return FALSE
    if isinstance(x, int):
        return int(x)
    if isinstance(x, (float, Decimal)):
        number = Decimal(repr(x)) if isinstance(x, float) else x
        if not number.is_finite():
            raise TypeError(f"{x} is not a number that a fact can hold")
        return int(number) if number == number.to_integral_value() else number.normalize(_exactly(number))
    if isinstance(x, (list, tuple)):
        return tuple([value(item) for item in x])
    if isinstance(x, Mapping):
        return Document({_key(key): value(item) for key, item in x.items() if item is not None})
    raise TypeError(f"a fact cannot hold a {type(x).__name__}")


def _exactly(number: Decimal) -> Context:
    """A context in which no digit of the number is lost: the default one rounds to 28."""
    return Context(prec=len(number.as_tuple().digits))


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a document's keys are strings, not {key!r}")
    return key


def row(items: Iterable[object]) -> Row:
    """A row of normalised values."""
    return tuple([item if type(item) is str or type(item) is int else value(item) for item in items])


class Shared:
    """Gives equal parts of values as one object: what a thousand pods have in common is in memory once.

    It remembers the texts, lists and documents that it met lately, in two generations: when the younger is full the
    older is dropped, and what is met again comes into the younger. So what is gone is forgotten, and the memory has a
    bound. What `sys.intern` keeps is texts alone, all of them, and with early releases of Python 3.12 for good.
    """

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._young: dict[Value, Value] = {}
        self._old: dict[Value, Value] = {}

    def within(self, v: _Whole) -> _Whole:
        """An equal document, list or row whose parts are shared; itself where they all are."""
        share = self._share
        parts = [share(item) for item in (v.values() if isinstance(v, Document) else v)]
        if isinstance(v, Document):
            keys = [share(key) for key in v]
            if all(map(is_, parts, v.values())) and all(map(is_, keys, v)):
                return v
            made = Document(zip(keys, parts, strict=True))
            made._hash = hash(v)
            return made
        return v if all(map(is_, parts, v)) else tuple(parts)

    def rows(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Rows with shared parts."""
        share = self._share
        for row in rows:
            known = self._young.get
            yield tuple(
                [item if type(item) is int else (type(item) is str and known(item)) or share(item) for item in row]
            )

    def _share(self, v: Any) -> Any:
        kind = type(v)
        if kind is not str and kind is not Document and kind is not tuple:
            return v
        found = self._young.get(v)
        if found is not None:
            return found
        found = self._old.get(v)
        if found is None:
            found = v if kind is str else self.within(v)
        if len(self._young) >= self._size:
            self._young, self._old = {}, self._young
        self._young[found] = found
        return found


def plain(v: Value) -> Any:
    """The value as ordinary Python for JSON and YAML: dict, list, bool, str, int, float, None."""
    if isinstance(v, Bool):
        return bool(v)
    if isinstance(v, dict):
        return {key: plain(item) for key, item in v.items()}
    if isinstance(v, tuple):
        return [plain(item) for item in v]
    if isinstance(v, Decimal):
        return float(v)
    return v


_RANK: Final = {type(None): 0, Bool: 1, int: 2, Decimal: 2, str: 3, tuple: 4, Document: 5}


def sort_key(v: Value) -> tuple[Any, ...]:
    """A key for the total order over all values: null < booleans < numbers < strings < tuples < documents.

    Tuples compare item by item, documents as their sorted members.
    """
    rank = _RANK[type(v)]
    if rank == 1:
        return (1, bool(v))
    if rank == 4:
        return (4, tuple([sort_key(item) for item in v]))  # type: ignore[union-attr]
    if rank == 5:
        return (5, tuple([(key, sort_key(item)) for key, item in sorted(v.items())]))  # type: ignore[union-attr]
    return (rank,) if v is None else (rank, v)


def type_name(v: Value) -> str:
    """The language's word for the type of a value."""
    match v:
        case None:
            return "null"
        case Bool():
            return "bool"
        case int():
            return "int"
        case Decimal():
            return "decimal"
        case str():
            return "str"
        case tuple():
            return "tuple"
        case _:
            return "json"


def literal(v: Value) -> str:
    """The value as the language writes it, on one line."""
    if v is None:
        return "null"
    if isinstance(v, str):
        text = orjson.dumps(v).decode()
        return text if v.isprintable() else _ESCAPE.sub(_own_escape, text)
    if isinstance(v, Decimal):
        return format(v, "f")
    if isinstance(v, tuple):
        return f"[{', '.join(map(literal, v))}]"
    if isinstance(v, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in sorted(v.items())) + "}"
    return str(v)


_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-f]{4})|(.))")


def _own_escape(json: re.Match[str]) -> str:
    """JSON's escape of a control character as the language writes it."""
    code = json[1] or {"b": "8", "f": "c", "r": "d"}.get(json[2])
    return json[0] if code is None else "\\u{" + code + "}"


def canonical(v: Value) -> bytes:
    """Bytes that are equal exactly when the values are: what digests are taken of."""
    return orjson.dumps(_tagged(v), option=orjson.OPT_SORT_KEYS)


def _tagged(v: Value) -> Any:
    if isinstance(v, Bool):
        return bool(v)
    if isinstance(v, int) and not -(2**53) < v < 2**53:
        return {"\0int": str(v)}
    if isinstance(v, Decimal):
        return {"\0decimal": str(v)}
    if isinstance(v, tuple):
        return [_tagged(item) for item in v]
    if isinstance(v, dict):
        return {key: _tagged(item) for key, item in v.items()}
    return v


def digest(v: Value, size: int = 8) -> str:
    """A hexadecimal digest of a value, stable over runs and machines; ``size`` is in bytes."""
    return blake2b(canonical(v), digest_size=size).hexdigest()


def facts(delta: Mapping[str, Iterable[Row]]) -> Iterator[Fact]:
    """The facts of one side of a delta, relation by relation."""
    for relation, rows in delta.items():
        for item in rows:
            yield Fact(relation, item)
