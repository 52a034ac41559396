"""The functions of the language: one table, name → function, types, doc; and its operators.

A builtin is pure and total over its domain: outside it raises `Fault`; it gives None for "missing". An argument that
is null makes the result missing, except where a parameter's type ends in ``?``. Functions of Kubernetes' own shapes
are in here only where a rule cannot say them (selectors, quantities, ``$(VAR)``).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact
from functools import lru_cache
from typing import Any, Final

import orjson

from kdl.fact import FALSE, TRUE, Bool, Document, Value, canonical, digest, literal, sort_key, type_name
from kdl.fact import value as value_of
from kdl.parser import quantity

MANY: Final = 1000
"""The most arguments of a variadic function."""


class Fault(Exception):
    """A function or operator was given something outside its domain; the message is the fact's."""


@dataclass(frozen=True, slots=True)
class Builtin:
    """One function. `function` checks its arguments itself.

    Parameter types: those of columns, and ``number``, ``list``, ``doc``; ``T?`` takes null as well, ``T*`` (last) any
    number of arguments, ``T=`` may be left out. `result` has a ``?`` where the function may give None for arguments
    of its domain. `partial`: it can fault even for arguments of the right types.
    """

    name: str
    function: Callable[..., Any]
    parameters: tuple[str, ...]
    result: str
    doc: str
    partial: bool

    @property
    def least(self) -> int:
        """The fewest arguments."""
        return sum(not p.endswith(("*", "=")) for p in self.parameters)

    @property
    def most(self) -> int:
        """The most arguments."""
        return MANY if self.parameters and self.parameters[-1].endswith("*") else len(self.parameters)

    def parameter(self, index: int) -> str:
        """The type of an argument by its position, without its marks."""
        return self.parameters[min(index, len(self.parameters) - 1)].rstrip("?*=")


BUILTINS: Final[dict[str, Builtin]] = {}
"""By name; a name that begins with ``$`` is one that only the checker writes into rules."""

_TEST: Final[Mapping[str, Callable[[Any], bool]]] = {
    "str": lambda v: type(v) is str,
    "int": lambda v: type(v) is int,
    "time": lambda v: type(v) is int,
    "number": lambda v: type(v) is int or type(v) is Decimal,
    "bool": lambda v: type(v) is Bool,
    "list": lambda v: type(v) is tuple,
    "doc": lambda v: type(v) is Document,
    "json": lambda v: True,
    "any": lambda v: True,
}
_WORD: Final = {
    "str": "a string", "int": "an integer", "time": "a time in milliseconds", "number": "a number",
    "bool": "true or false", "list": "a list", "doc": "a document",
}  # fmt: skip


def shown(v: Value) -> str:
    """A value in a message: its beginning when it is long."""
    text = literal(v)
    return text if len(text) <= 60 else text[:57] + "…"


def checked(name: str, function: Callable[..., Any], parameters: tuple[str, ...]) -> Callable[..., Any]:
    """The function behind a test of its arguments: null gives None, a wrong type faults."""
    kinds = [p.rstrip("?*=") for p in parameters]
    nullable = [p.rstrip("*=").endswith("?") for p in parameters]
    tests = [_TEST[kind] for kind in kinds]
    last = len(parameters) - 1
    if all(kind in ("any", "json") for kind in kinds) and all(nullable):
        return function

    def call(*arguments: Value) -> Any:
        for index, argument in enumerate(arguments):
            at = index if index < last else last
            if argument is None:
                if not nullable[at]:
                    return None
            elif not tests[at](argument):
                raise Fault(f"`{name}` needs {_WORD[kinds[at]]}, not {shown(argument)}")
        return function(*arguments)

    call.__name__ = function.__name__
    call.__doc__ = function.__doc__
    return call


def builtin(signature: str, *, partial: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a function into the table: ``"split(str, str) -> list[str]"``. Its docstring is the reference's text."""
    match = re.fullmatch(r"(\$?\w+)\((.*)\) -> ([\w\[\]]+\??)", signature)
    assert match is not None, signature
    name, inside, result = match.groups()
    parameters = tuple(part.strip() for part in inside.split(",") if part.strip())

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        doc = " ".join((function.__doc__ or "").split())
        BUILTINS[name] = Builtin(name, checked(name, function, parameters), parameters, result, doc, partial)
        return function

    return register


def truth(condition: object) -> Bool:
    """The language's boolean for Python's."""
    return TRUE if condition else FALSE


# --- operators -------------------------------------------------------------------------------------------------------


def _numbers(symbol: str, a: Value, b: Value) -> None:
    for operand in (a, b):
        if type(operand) is not int and type(operand) is not Decimal:
            raise Fault(f"`{symbol}` needs numbers, not {shown(operand)}")


def add(a: Any, b: Any) -> Any:
    """Numbers added; two strings or two tuples one after the other."""
    if (type(a) is int and type(b) is int) or (type(a) is type(b) and type(a) in (str, tuple)):
        return a + b
    if type(a) in (str, tuple) or type(b) in (str, tuple):
        raise Fault(f"`+` cannot join {shown(a)} and {shown(b)}")
    _numbers("+", a, b)
    return _exact("+", _DIGITS.add, a, b) if Decimal in (type(a), type(b)) else a + b


def subtract(a: Any, b: Any) -> Any:
    """The difference of two numbers."""
    _numbers("-", a, b)
    return _exact("-", _DIGITS.subtract, a, b) if Decimal in (type(a), type(b)) else a - b


def multiply(a: Any, b: Any) -> Any:
    """The product of two numbers."""
    _numbers("*", a, b)
    return _exact("*", _DIGITS.multiply, a, b) if Decimal in (type(a), type(b)) else a * b


def divide(a: Any, b: Any) -> Any:
    """Floor division of integers."""
    _integers("/", a, b)
    return a // b


def modulo(a: Any, b: Any) -> Any:
    """The remainder of floor division; it has the sign of the divisor."""
    _integers("%", a, b)
    return a % b


def _integers(symbol: str, a: Any, b: Any) -> None:
    for operand in (a, b):
        if type(operand) is not int:
            raise Fault(f"`{symbol}` needs integers, not {shown(operand)}")
    if b == 0:
        raise Fault(f"`{symbol}` by zero")


_DIGITS: Final = Context(prec=1000, traps=[Inexact])


def _exact(symbol: str, operation: Callable[[Decimal, Decimal], Decimal], a: Any, b: Any) -> Value:
    """The result of an operation on decimals, all its digits: Python's own operators round to 28."""
    try:
        return value_of(operation(Decimal(a), Decimal(b)))
    except Inexact:
        raise Fault(f"{shown(a)} `{symbol}` {shown(b)} has too many digits") from None


def negate(a: Any) -> Any:
    """The number with its sign changed."""
    if type(a) is not int and type(a) is not Decimal:
        raise Fault(f"`-` needs a number, not {shown(a)}")
    return a.copy_negate() if type(a) is Decimal else -a


def equal(a: Value, b: Value) -> Bool:
    """The same value: never for two of different type."""
    return truth(a == b)


def unequal(a: Value, b: Value) -> Bool:
    """Not the same value."""
    return truth(a != b)


def _comparable(symbol: str, a: Any, b: Any) -> None:
    if type(a) in (int, Decimal) and type(b) in (int, Decimal):
        return
    if type(a) is str and type(b) is str:
        return
    if type(a) is tuple and type(b) is tuple:
        for x, y in zip(a, b, strict=False):
            _comparable(symbol, x, y)
        return
    raise Fault(f"`{symbol}` cannot compare {shown(a)} with {shown(b)}")


def less(a: Any, b: Any) -> Bool:
    """Before, in the order of numbers or strings."""
    _comparable("<", a, b)
    return truth(a < b)


def less_or_equal(a: Any, b: Any) -> Bool:
    """Before or equal."""
    _comparable("<=", a, b)
    return truth(a <= b)


def greater(a: Any, b: Any) -> Bool:
    """After."""
    _comparable(">", a, b)
    return truth(a > b)


def greater_or_equal(a: Any, b: Any) -> Bool:
    """After or equal."""
    _comparable(">=", a, b)
    return truth(a >= b)


def member(a: Value, source: Any) -> Bool:
    """An item of a list, a key of a document."""
    if type(source) not in (tuple, Document):
        raise Fault(f"`in` needs a list or a document, not {shown(source)}")
    return truth(a in source)


def condition(a: Any) -> Bool:
    """What a test, ``not``, ``and``, ``or`` and ``if`` take: a boolean and nothing else."""
    if type(a) is not Bool:
        raise Fault(f"a condition is true or false, not {shown(a)}")
    return a


OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": add, "-": subtract, "*": multiply, "/": divide, "%": modulo, "=": equal, "!=": unequal,
    "<": less, "<=": less_or_equal, ">": greater, ">=": greater_or_equal, "in": member,
}  # fmt: skip
"""The strict operators on two present values; ``and``, ``or`` and ``??`` are the evaluators' own."""


# --- what only the checker writes into rules -------------------------------------------------------------------------


@builtin("$typed(str, list, any?*) -> bool", partial=True)
def typed(relation: str, columns: tuple[tuple[str, str], ...], *values: Value) -> Bool:
    """True, if each value may stand in its column, given by name and type."""
    for (name, kind), v in zip(columns, values, strict=True):
        if not _TEST[kind](v):
            raise Fault(f"column `{name}` of `{relation}` is `{kind}`, not {shown(v)}")
    return TRUE


@builtin("$items(any) -> any", partial=True)
def items(v: Value) -> Value:
    """The value, if it has items to range over."""
    if type(v) not in (tuple, Document):
        raise Fault(f"`in` needs a list or a document, not {shown(v)}")
    return v


@builtin("$bounds(any, any) -> list", partial=True)
def bounds(low: Value, high: Value) -> Value:
    """Both ends of a range, if they are integers."""
    for end in (low, high):
        if type(end) is not int:
            raise Fault(f"`..` needs integers, not {shown(end)}")
    return (low, high)


@builtin("$summand(any) -> number", partial=True)
def summand(v: Value) -> Value:
    """The value, if it can be summed."""
    if type(v) is not int and type(v) is not Decimal:
        raise Fault(f"`sum` needs numbers, not {shown(v)}")
    return v


@builtin("$instant(any) -> time", partial=True)
def instant(v: Value) -> Value:
    """The value, if it can be a time."""
    if type(v) is not int:
        raise Fault(f"`due` needs a time in milliseconds, not {shown(v)}")
    return v


builtin("$condition(any) -> bool", partial=True)(condition)


# --- quantities and time ---------------------------------------------------------------------------------------------


def _read(function: Callable[[Any], Any], v: Any, what: str) -> Any:
    if type(v) not in (str, int, Decimal):
        raise Fault(f"{shown(v)} is not {what}")
    try:
        return function(v)
    except (ValueError, OverflowError) as error:
        raise Fault(str(error)) from None


@builtin("cpu(any) -> int", partial=True)
@lru_cache(4096, typed=True)
def cpu(v: Value) -> int:
    """Millicores of a quantity (`"500m"`, `2`), rounded up."""
    result: int = _read(quantity.cpu, v, "a quantity")
    return result


@builtin("mem(any) -> int", partial=True)
@lru_cache(4096, typed=True)
def mem(v: Value) -> int:
    """Bytes, or units of a countable resource, of a quantity (`"2Gi"`), rounded up."""
    result: int = _read(quantity.mem, v, "a quantity")
    return result


@builtin("dur(str) -> int", partial=True)
def dur(text: str) -> int:
    """Milliseconds of a duration (`"1h30m"`)."""
    result: int = _read(quantity.dur, text, "a duration")
    return result


@builtin("time(str) -> time", partial=True)
def time(text: str) -> int:
    """Milliseconds since the Unix epoch of an RFC 3339 time."""
    result: int = _read(quantity.time, text, "a time")
    return result


@builtin("rfc3339(time) -> str", partial=True)
def rfc3339(milliseconds: int) -> str:
    """The RFC 3339 text, in UTC, of a time."""
    result: str = _read(quantity.rfc3339, milliseconds, "a time")
    return result


# --- addresses -------------------------------------------------------------------------------------------------------


@lru_cache(4096)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Fault(f"`{text}` is not a network such as 10.0.0.0/8") from None


@lru_cache(4096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise Fault(f"`{text}` is not an IP address") from None


@builtin("cidr(str) -> str", partial=True)
def cidr(text: str) -> str:
    """The network in its canonical writing, host bits cleared."""
    return str(_network(text))


@builtin("is_cidr(str) -> bool")
def is_cidr(text: str) -> Bool:
    """Whether the text is a network."""
    try:
        _network(text)
    except Fault:
        return FALSE
    return TRUE


@builtin("is_ip(str) -> bool")
def is_ip(text: str) -> Bool:
    """Whether the text is an IP address."""
    try:
        _address(text)
    except Fault:
        return FALSE
    return TRUE


@builtin("cidr_contains(str, str) -> bool", partial=True)
def cidr_contains(network: str, inner: str) -> Bool:
    """Whether a network contains an address or another network; never one of the other IP version."""
    outer = _network(network)
    within = _network(inner)
    return truth(outer.version == within.version and within.subnet_of(outer))  # type: ignore[arg-type]


@builtin("cidr_host(str, int) -> str", partial=True)
def cidr_host(network: str, index: int) -> str:
    """The address at an offset in a network: 0 is the network's own; negative ones count from the end."""
    net = _network(network)
    if not -net.num_addresses <= index < net.num_addresses:
        raise Fault(f"`{net}` has no address {index}")
    return str(net[index])


@builtin("cidr_size(str) -> int", partial=True)
def cidr_size(network: str) -> int:
    """How many addresses a network has."""
    return _network(network).num_addresses


@builtin("cidr_index(str, str) -> int?", partial=True)
def cidr_index(network: str, address: str) -> int | None:
    """The offset of an address in a network; missing when it is not in there."""
    net, ip = _network(network), _address(address)
    if net.version != ip.version or ip not in net:
        return None
    return int(ip) - int(net.network_address)


# --- hashes ----------------------------------------------------------------------------------------------------------


@builtin("hash(any?*) -> str")
def hash(*values: Value) -> str:
    """16 hexadecimal characters that depend on the values alone, the same on every machine."""
    return digest(values)


_SAFE: Final = "bcdfghjklmnpqrstvwxz2456789"


@builtin("hash_int(any?*) -> int")
def hash_int(*values: Value) -> int:
    """A whole number from 0 up that depends on the values alone: `hash_int(X) % N` spreads evenly over N places."""
    return int(digest(values), 16)


@builtin("digest10(any?) -> str")
def digest10(v: Value) -> str:
    """Ten characters of a hash in the alphabet of pod template hashes: no vowels, no words."""
    number = int(digest(v), 16)
    letters = []
    for _ in range(10):
        number, rest = divmod(number, len(_SAFE))
        letters.append(_SAFE[rest])
    return "".join(letters)


# --- text ------------------------------------------------------------------------------------------------------------


@builtin("str(any) -> str")
def str_(v: Value) -> str:
    """The text of a value: a string itself, others as the language writes them."""
    return v if isinstance(v, str) else literal(v)


@builtin("int(any) -> int", partial=True)
def int_(v: Value) -> int:
    """The integer that a text writes in decimal digits; an integer itself."""
    if type(v) is int:
        return v
    if type(v) is str and re.fullmatch(r"[+-]?[0-9]{1,4000}", v):
        return int(v)
    raise Fault(f"{shown(v)} is not an integer")


@builtin("lower(str) -> str")
def lower(text: str) -> str:
    """The text in lower case."""
    return text.lower()


@builtin("upper(str) -> str")
def upper(text: str) -> str:
    """The text in upper case."""
    return text.upper()


@builtin("trim(str) -> str")
def trim(text: str) -> str:
    """The text without white space around it."""
    return text.strip()


@builtin("split(str, str) -> list[str]", partial=True)
def split(text: str, separator: str) -> tuple[str, ...]:
    """The parts between separators: `(Ns, N) = split(Id, "/")`."""  # noqa: D402
    if not separator:
        raise Fault("`split` needs a separator, not an empty text")
    return tuple(text.split(separator))


@builtin("join(list, str) -> str", partial=True)
def join(parts: tuple[Value, ...], separator: str) -> str:
    """The strings of a list with a separator between them."""
    for part in parts:
        if type(part) is not str:
            raise Fault(f"`join` needs strings, not {shown(part)}")
    return separator.join(parts)  # type: ignore[arg-type]


@builtin("replace(str, str, str) -> str", partial=True)
def replace(text: str, old: str, new: str) -> str:
    """The text with every occurrence of `old` replaced by `new`."""
    if not old:
        raise Fault("`replace` needs a text to look for, not an empty one")
    return text.replace(old, new)


@builtin("startswith(str, str) -> bool")
def startswith(text: str, prefix: str) -> Bool:
    """Whether a text begins with another."""
    return truth(text.startswith(prefix))


@builtin("endswith(str, str) -> bool")
def endswith(text: str, suffix: str) -> Bool:
    """Whether a text ends with another."""
    return truth(text.endswith(suffix))


@builtin("contains(any, any) -> bool", partial=True)
def contains(whole: Value, part: Value) -> Bool:
    """Whether a text has another within it, a list an item, or a document a key."""
    if type(whole) is str:
        if type(part) is not str:
            raise Fault(f"`contains` needs a string within a string, not {shown(part)}")
        return truth(part in whole)
    if isinstance(whole, (tuple, dict)):
        return truth(part in whole)
    raise Fault(f"`contains` needs a string, a list or a document, not {shown(whole)}")


@builtin("substring(str, int, int=) -> str")
def substring(text: str, start: int, end: int | None = None) -> str:
    """The characters from `start` (from 0) up to before `end`; negative positions count from the end."""
    return text[start:end]


@builtin("glob(str, str) -> bool", partial=True)
def glob(pattern: str, text: str) -> Bool:
    """Whether the whole text matches a pattern: `*` is any text, `?` one character."""
    body = "".join({"*": "(?s:.*)", "?": "(?s:.)"}.get(c) or _quoted(c) for c in pattern)
    return truth(_compiled(body).fullmatch(text))


@builtin("regex(str, str) -> bool", partial=True)
def regex(pattern: str, text: str) -> Bool:
    """Whether a regular expression (RE2: linear time) matches somewhere in the text; anchor it with `^` and `$`."""
    return truth(_compiled(pattern).search(text))


@builtin("regex_groups(str, str) -> list?", partial=True)
def regex_groups(pattern: str, text: str) -> tuple[Value, ...] | None:
    """What the groups of a regular expression matched, the first match; missing when there is none."""
    match = _compiled(pattern).search(text)
    return None if match is None else tuple(match.groups())


@lru_cache(1024)
def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise Fault(f"`{pattern}` is not a regular expression: {reason}") from None


def _quoted(character: str) -> str:
    return character if character.isalnum() or ord(character) > 127 or character in " /_-" else "\\" + character


@builtin("json_text(any) -> str")
def json_text(v: Value) -> str:
    """The value as compact JSON with sorted keys."""
    if isinstance(v, tuple):
        return f"[{','.join(map(json_text, v))}]"
    if isinstance(v, dict):
        return "{" + ",".join(f"{json_text(key)}:{json_text(item)}" for key, item in sorted(v.items())) + "}"
    if isinstance(v, str):
        return orjson.dumps(v).decode()
    return format(v, "f") if isinstance(v, Decimal) else literal(v)


@builtin("json_parse(str) -> any?", partial=True)
def json_parse(text: str) -> Value:
    """The value that a JSON text writes."""
    import json

    try:
        orjson.loads(text)  # stricter: no NaN, no half characters
        return value_of(json.loads(text, parse_float=_fraction))
    except (ValueError, TypeError, RecursionError):
        raise Fault(f"{shown(text)} is not JSON") from None


def _fraction(text: str) -> Decimal:
    number = Decimal(text)
    if abs(number.adjusted()) > 300:
        raise ValueError("an exponent of more than 300")
    return number


@builtin("base64_encode(str) -> str")
def base64_encode(text: str) -> str:
    """The UTF-8 bytes of a text in base64."""
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


@builtin("base64_decode(str) -> str", partial=True)
def base64_decode(text: str) -> str:
    """The UTF-8 text that base64 stands for."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        raise Fault(f"{shown(text)} is not base64 of a text") from None


# --- lists and documents ---------------------------------------------------------------------------------------------


@builtin("size(any) -> int", partial=True)
def size(v: Value) -> int:
    """How many characters, items or members a string, list or document has."""
    if isinstance(v, (str, tuple, dict)):
        return len(v)
    raise Fault(f"`size` needs a string, a list or a document, not {shown(v)}")


@builtin("seconds(list) -> list", partial=True)
def seconds(pairs: tuple[Value, ...]) -> tuple[Value, ...]:
    """The second item of each pair: what is left of `list (Order, X)` when its order has served."""
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise Fault(f"{shown(pair)} is not a pair")
    return tuple([pair[1] for pair in pairs if isinstance(pair, tuple)])


@builtin("take(list, int) -> list")
def take(source: tuple[Value, ...], count: int) -> tuple[Value, ...]:
    """The first items of a list."""
    return source[: max(0, count)]


@builtin("drop(list, int) -> list")
def drop(source: tuple[Value, ...], count: int) -> tuple[Value, ...]:
    """A list without its first items."""
    return source[max(0, count) :]


@builtin("reverse(list) -> list")
def reverse(source: tuple[Value, ...]) -> tuple[Value, ...]:
    """A list from back to front."""
    return source[::-1]


@builtin("sort(list) -> list")
def sort(source: tuple[Value, ...]) -> tuple[Value, ...]:
    """A list in the order over all values: null, booleans, numbers, strings, lists, documents."""
    return tuple(sorted(source, key=sort_key))


@builtin("unique(list) -> list")
def unique(source: tuple[Value, ...]) -> tuple[Value, ...]:
    """A list with each item where it first occurs."""
    return tuple(dict.fromkeys(source))


@builtin("concat(list*) -> list")
def concat(*sources: tuple[Value, ...]) -> tuple[Value, ...]:
    """Lists, one after the other."""
    return tuple([item for source in sources for item in source])


@builtin("flatten(list) -> list", partial=True)
def flatten(source: tuple[Value, ...]) -> tuple[Value, ...]:
    """The items of the lists in a list."""
    for item in source:
        if type(item) is not tuple:
            raise Fault(f"`flatten` needs lists in the list, not {shown(item)}")
    return tuple([item for inner in source for item in inner])  # type: ignore[union-attr]


@builtin("index_of(list, any) -> int?")
def index_of(source: tuple[Value, ...], v: Value) -> int | None:
    """The position of the first such item, from 0; missing when there is none."""
    return source.index(v) if v in source else None


@builtin("keys(doc) -> list[str]")
def keys(doc: Document) -> tuple[str, ...]:
    """The keys of a document, sorted."""
    return tuple(sorted(doc))


@builtin("values(doc) -> list")
def values(doc: Document) -> tuple[Value, ...]:
    """The values of a document in the order of its keys."""
    return tuple([doc[key] for key in sorted(doc)])


@builtin("get(doc, str) -> any?")
def get(doc: Document, key: str) -> Value:
    """The member of a document by its key; missing when there is none."""
    return doc.get(key)


@builtin("put(doc, list, any?) -> json", partial=True)
def put(doc: Document, path: tuple[Value, ...], v: Value) -> Value:
    """The document with the member at a path of keys set (null: removed); documents on the way are made."""
    if not path:
        return v
    key, *rest = path
    if type(key) is not str:
        raise Fault(f"`put` needs a path of strings, not {shown(key)}")
    inner = doc.get(key)
    below = put(inner if isinstance(inner, Document) else Document(), tuple(rest), v) if rest else v
    return _with(doc, {key: below})


@builtin("without(doc, list) -> json")
def without(doc: Document, names: tuple[Value, ...]) -> Document:
    """The document without some keys."""
    return Document({key: item for key, item in doc.items() if key not in names})


@builtin("only(doc, list) -> json")
def only(doc: Document, names: tuple[Value, ...]) -> Document:
    """The document with no other than some keys."""
    return Document({key: item for key, item in doc.items() if key in names})


@builtin("merge(doc?*) -> json")
def merge(*documents: Document | None) -> Document:
    """Documents merged deeply: a later one wins, its null members and the missing change nothing."""
    result = Document()
    for document in documents:
        if document is not None:
            result = _merged(result, document)
    return result


def _merged(a: Document, b: Document) -> Document:
    changes: dict[str, Value] = {}
    for key, item in b.items():
        before = a.get(key)
        both = isinstance(before, Document) and isinstance(item, Document)
        changes[key] = _merged(before, item) if both else item  # type: ignore[arg-type]
    return _with(a, changes)


def _with(document: Document, changes: Mapping[str, Value]) -> Document:
    return Document({key: item for key, item in {**document, **changes}.items() if item is not None})


@builtin("document(list) -> json", partial=True)
def document(members: tuple[Value, ...]) -> Document:
    """The document of a list of (key, value) pairs; of two with one key the last."""
    found = {}
    for pair in members:
        if type(pair) is not tuple or len(pair) != 2 or type(pair[0]) is not str:
            raise Fault(f"`document` needs pairs of a key and a value, not {shown(pair)}")
        if pair[1] is not None:
            found[pair[0]] = pair[1]
    return Document(found)


# --- numbers ---------------------------------------------------------------------------------------------------------


@builtin("least(any, any) -> any")
def least(a: Value, b: Value) -> Value:
    """The smaller of two values, in the order over all values."""
    return b if sort_key(b) < sort_key(a) else a


@builtin("greatest(any, any) -> any")
def greatest(a: Value, b: Value) -> Value:
    """The greater of two values, in the order over all values."""
    return b if sort_key(b) > sort_key(a) else a


@builtin("abs(number) -> number")
def abs_(a: int | Decimal) -> int | Decimal:
    """A number without its sign."""
    return a.copy_abs() if isinstance(a, Decimal) else abs(a)


@builtin("ceil_div(int, int) -> int", partial=True)
def ceil_div(a: int, b: int) -> int:
    """The quotient of two integers, rounded up."""
    if b == 0:
        raise Fault("`ceil_div` by zero")
    return -(-a // b)


@builtin("ratio(int, int, int) -> str", partial=True)
def ratio(numerator: int, denominator: int, digits: int) -> str:
    """The decimal text of a fraction between 0 and 1, cut after so many digits: `ratio(1, 3, 4)` is `"0.3333"`."""
    if not 0 <= numerator <= denominator or denominator == 0 or not 1 <= digits <= 100:
        raise Fault(f"{numerator}/{denominator} to {digits} digits is not a fraction between 0 and 1")
    whole, rest = divmod(numerator * 10**digits, denominator * 10**digits)
    return f"{whole}.{rest // denominator:0{digits}d}"


@builtin("power(int, int) -> int", partial=True)
def power(base: int, exponent: int) -> int:
    """An integer multiplied with itself; exponents are 0 to 64."""
    if not 0 <= exponent <= 64:
        raise Fault(f"`power` needs an exponent from 0 to 64, not {exponent}")
    return int(base**exponent)


@builtin("percent(any, int, str) -> int", partial=True)
def percent(part: Value, whole: int, rounding: str) -> int:
    """`"25%"` of a whole, rounded `"up"` or `"down"`; an integer is itself."""
    if rounding not in ("up", "down"):
        raise Fault(f'`percent` rounds "up" or "down", not {shown(rounding)}')
    if type(part) is int:
        return part
    match = re.fullmatch(r"([0-9]{1,9})%", part) if isinstance(part, str) else None
    if match is None:
        raise Fault(f'{shown(part)} is neither an integer nor a percentage such as "25%"')
    product = int(match[1]) * whole
    return -(-product // 100) if rounding == "up" else product // 100


# --- types -----------------------------------------------------------------------------------------------------------


@builtin("type_of(any?) -> str")
def type_of(v: Value) -> str:
    """The word for the type of a value: `null bool int decimal str tuple json`."""
    return type_name(v)


@builtin("is_string(any?) -> bool")
def is_string(v: Value) -> Bool:
    """Whether the value is a string."""
    return truth(type(v) is str)


@builtin("is_int(any?) -> bool")
def is_int(v: Value) -> Bool:
    """Whether the value is an integer."""
    return truth(type(v) is int)


@builtin("is_bool(any?) -> bool")
def is_bool(v: Value) -> Bool:
    """Whether the value is a boolean."""
    return truth(type(v) is Bool)


@builtin("is_list(any?) -> bool")
def is_list(v: Value) -> Bool:
    """Whether the value is a list."""
    return truth(type(v) is tuple)


@builtin("is_document(any?) -> bool")
def is_document(v: Value) -> Bool:
    """Whether the value is a document."""
    return truth(type(v) is Document)


@builtin("exists(any?) -> bool")
def exists(v: Value) -> Bool:
    """Whether a value is there: `exists(D.spec.nodeName)`."""
    return truth(v is not None)


# --- versions, selectors, environments -------------------------------------------------------------------------------

_SEMVER: Final = re.compile(
    r"v?(0|[1-9]\d*)(?:\.(0|[1-9]\d*))?(?:\.(0|[1-9]\d*))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII
)


def _version(text: str) -> tuple[Any, ...]:
    match = _SEMVER.fullmatch(text)
    if match is None:
        raise Fault(f"`{text}` is not a version such as 1.27.3")
    numbers = tuple(int(part or 0) for part in match.groups()[:3])
    if match[4] is None:
        return (*numbers, 1, ())
    parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in match[4].split("."))
    return (*numbers, 0, parts)


@builtin("semver_compare(str, str) -> int", partial=True)
def semver_compare(a: str, b: str) -> int:
    """-1, 0 or 1: how two versions are ordered by semantic versioning."""
    x, y = _version(a), _version(b)
    return (x > y) - (x < y)


@builtin("selector_matches(doc?, doc?) -> bool", partial=True)
def selector_matches(selector: Document | None, labels: Document | None) -> Bool:
    """Whether a Kubernetes label selector matches labels: a missing selector nothing, an empty one everything."""
    if selector is None:
        return FALSE
    have: Mapping[str, Value] = labels or {}
    wanted = selector.get("matchLabels") or {}
    if not isinstance(wanted, dict):
        raise Fault(f"`matchLabels` is a document, not {shown(wanted)}")
    if any(have.get(key) != item for key, item in wanted.items()):
        return FALSE
    expressions = selector.get("matchExpressions") or ()
    if not isinstance(expressions, tuple):
        raise Fault(f"`matchExpressions` is a list, not {shown(expressions)}")
    results = [_expression_matches(expression, have) for expression in expressions]  # all, so that each may fault
    return truth(all(results))


def _expression_matches(expression: Any, labels: Mapping[str, Value]) -> bool:
    if not isinstance(expression, dict):
        raise Fault(f"a selector's expression is a document, not {shown(expression)}")
    key, operator, listed = expression.get("key"), expression.get("operator"), expression.get("values") or ()
    if not isinstance(key, str) or not isinstance(listed, tuple):
        raise Fault(f"{shown(Document(expression))} is not a selector's expression")
    match operator:
        case "In":
            return key in labels and labels[key] in listed
        case "NotIn":
            return key not in labels or labels[key] not in listed
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            raise Fault(f"{shown(operator)} is not an operator of a selector")


_REFERENCE: Final = re.compile(r"\$\$|\$\(([^)]*)\)")


def _expanded(text: Value, known: Mapping[str, Value]) -> Value:
    """What a text becomes: a text, or a list of its parts where a variable's value is known by what stands for it."""
    if not isinstance(text, str):
        return text
    parts: list[Value] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        found = "$" if match[0] == "$$" else known.get(match[1], match[0])
        parts += [text[end : match.start()], *(found if isinstance(found, tuple) else (found,))]
        end = match.end()
    return _joined([*parts, text[end:]])


def _joined(parts: Iterable[Value]) -> Value:
    """Neighbouring texts are one, and a part that is alone is itself."""
    joined: list[Value] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, str) and isinstance(last, str):
            joined[-1] = last + part
        elif part != "":
            joined.append(part)
    return joined[0] if len(joined) == 1 else tuple(joined) or ""


def _variables(env: Iterable[Value]) -> Iterator[tuple[str, Document]]:
    for item in env:
        if not isinstance(item, Document) or not isinstance(item.get("name"), str):
            raise Fault(f"{shown(item)} is not a variable with a name")
        yield item["name"], item


@builtin("env_expand(any, list) -> any", partial=True)
def env_expand(text: Value, env: tuple[Value, ...]) -> Value:
    """A text, or each of a list, with `$(NAME)` from a list of `{"name", "value"}`; `$$` is `$`, the unknown stays."""
    known = {name: item.get("value", "") for name, item in _variables(env)}
    if isinstance(text, tuple):
        return tuple([_expanded(item, known) for item in text])
    return _expanded(text, known)


@builtin("env_resolve(list, list) -> list", partial=True)
def env_resolve(others: tuple[Value, ...], env: tuple[Value, ...]) -> tuple[Value, ...]:
    """The second list of `{"name", "value"}`, where `$(NAME)` is one before or in the first list.

    Of equal names the last stays, and what is `given` in place of `value` is taken as it is.
    """
    known = {name: item.get("value", "") for name, item in _variables(others)}
    own: dict[str, Value] = {}
    for name, item in _variables(env):
        own[name] = item["given"] if "given" in item else _expanded(item.get("value", ""), known)
        known[name] = own[name]
    return tuple([Document({"name": name, "value": found}) for name, found in own.items()])


def fold_text(parts: tuple[Value, ...]) -> str:
    """What an f-string gives for the values of its parts."""
    return "".join([part if isinstance(part, str) else literal(part) for part in parts])


__all__ = [
    "BUILTINS",
    "OPERATORS",
    "Builtin",
    "Fault",
    "canonical",
    "condition",
    "fold_text",
    "negate",
]
