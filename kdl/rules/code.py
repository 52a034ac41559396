"""The text of a Python function under construction: statements, and expressions of the language as Python expressions.

An expression that comes out missing, or faults, ends its binding: ``continue``, or whatever `Body.fail` says. What is
known of the kinds of values beforehand saves the checks.
"""

from __future__ import annotations

import re
from collections import _count_elements  # type: ignore[attr-defined]
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import filterfalse
from types import CodeType
from typing import Any, Final, TypeAlias

from kdl.fact import FALSE, TRUE, Bool, Document, literal
from kdl.parser import syntax as s
from kdl.rules import builtin
from kdl.rules.aggregate import EMPTY, combine
from kdl.rules.builtin import BUILTINS, OPERATORS, Fault
from kdl.rules.normalise import names
from kdl.rules.relation import Columns, Image, Index, Table


@dataclass(frozen=True, slots=True)
class Function:
    """A compiled function, the indexes that must be level with their tables when it is called, and its text."""

    call: Callable[..., Any]
    indexes: tuple[Index, ...]
    images: tuple[Image, ...]
    """What is made for it when it is called, and is to be let go of after it."""
    text: str
    vain: bool
    """It can never derive anything: it waits for a fault that cannot be."""
    effort: float
    """How many bindings a seed is expected to make; 0 if that is not of interest."""

    def ready(self) -> Callable[..., Any]:
        """The function to call now."""
        for index in self.indexes:
            if index.late or index.behind:
                index.catch_up()
        for image in self.images:
            image.make()
        return self.call

    def done(self) -> None:
        """Let go of what was made for a call."""
        for image in self.images:
            image.drop()


def text(value: Any) -> str:
    """What a value adds to an f-string."""
    return value if type(value) is str else literal(value)


def walk(value: Any, *steps: Any) -> Any:
    """What is at a path, None if anything on the way is missing or null."""
    for step in steps:
        if type(value) is Document:
            value = value.get(step) if type(step) is str else None
        elif type(value) is tuple and type(step) is int and 0 <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def key_of(value: Any) -> str:
    """The value as a document's key."""
    if type(value) is not str:
        raise Fault(f"a document's key is a text, not {literal(value)}")
    return value


def contains(item: Any, source: Any) -> bool:
    """Whether an item is in a list or document."""
    return item in builtin.items(source)


def condition(value: Any) -> bool | None:
    """What a value says as a condition, None if it is missing."""
    return None if value is None else builtin.condition(value) is TRUE


def subtract(counts: dict[Any, int], found: Iterable[Any]) -> None:
    """Count each of what was found down by one."""
    get = counts.get
    for item in found:
        counts[item] = get(item, 0) - 1


_GLOBALS: Final[dict[str, Any]] = {
    "TRUE": TRUE, "FALSE": FALSE, "Document": Document, "Fault": Fault, "text": text, "walk": walk,
    "contains": contains, "condition": condition, "items": builtin.items, "bounds": builtin.bounds,
    "negate": builtin.negate, "key_of": key_of, "EMPTY": EMPTY, "combine": combine, "ONCE": (None,),
    "but": filterfalse, "add": _count_elements, "subtract": subtract,
    **{f"f_{name.replace('$', 'S_')}": item.function for name, item in BUILTINS.items()},
}  # fmt: skip
_OPERATOR: Final = {
    "+": "o_add", "-": "o_subtract", "*": "o_multiply", "/": "o_divide", "%": "o_modulo",
    "<": "o_less", "<=": "o_less_or_equal", ">": "o_greater", ">=": "o_greater_or_equal",
}  # fmt: skip
_GLOBALS.update({name: OPERATORS[symbol] for symbol, name in _OPERATOR.items()})


_BINDING: Final = re.compile(r"(\w+) = (.+)")


class Code:
    """The text of a function under construction, and the objects that it names."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.indexes: dict[str, Index] = {}
        self.images: dict[str, Image] = {}
        self.helpers: list[str] = []
        self.made = 0
        self.vain = False
        self.question = False
        """It answers a question: nothing waits for the times that it looks at."""

    def fresh(self, stem: str) -> str:
        self.made += 1
        return f"{stem}{self.made}"

    def name(self, stem: str, thing: Any) -> str:
        """A global name for an object."""
        for known, other in self.objects.items():
            if other is thing:
                return known
        made = self.fresh(stem)
        self.objects[made] = thing
        return made

    def buckets(self, table: Table, columns: Columns) -> str:
        """A global name for the buckets of an index."""
        index = table.access(columns)
        name = self.name("index", index.buckets)
        self.indexes[name] = index
        return name

    def image(self, table: Table, columns: Columns, column: int) -> str:
        """A global name for the sets of an image, for its list if it is of one column alone."""
        for name, image in self.images.items():
            if (image.table, image.columns, image.column) == (table, columns, column):
                return name
        image = Image(table, columns, column)
        name = self.name("image", image.sets if columns else image.all)
        self.images[name] = image
        return name

    def function(self, about: Iterable[str], head: str, lines: Iterable[str], file: str, effort: float = 0) -> Function:
        """The finished function, named `run`."""
        source = "\n".join([*self.helpers, head, *lines])
        scope = {**_GLOBALS, **self.objects}
        exec(_compiled(source, file), scope)
        text = "\n".join([*(f"# {line}" for line in about), source])
        indexes, images = tuple(self.indexes.values()), tuple(self.images.values())
        return Function(scope["run"], indexes, images, text, self.vain, effort)


@lru_cache(maxsize=8192)
def _compiled(source: str, file: str) -> CodeType:
    return compile(source, file, "exec")


Kind: TypeAlias = type
"""`int`, `str` or `Bool`."""

_KINDS: Final[dict[str, Kind]] = {"int": int, "time": int, "str": str, "bool": Bool}


class Body:
    """Statements at some depth; `fail` is the statement that gives a binding up."""

    def __init__(self, code: Code, fail: str, depth: int) -> None:
        self.code, self.fail, self.depth = code, fail, depth
        self.lines: list[str] = []
        self.locals: dict[str, str] = {}
        self.kinds: dict[str, Kind] = {}
        """Of variables that are known to hold an integer, a text or a boolean."""
        self.risky = False
        self.home: int | None = None
        """The component of which the rows' ranks matter."""
        self.limit: str | None = None
        """The rank that such rows must be below."""
        self.ranks: list[str] = []
        """The names that hold their ranks."""
        self.looks = 0.0
        """How often the next step is expected to be taken, where that is known and nothing changes meanwhile."""
        self.entered: tuple[int, int, frozenset[str]] | None = None
        """Of the innermost loop: its line, its depth, and the variables that were bound before it."""

    def bind(self, name: str, text: str, kind: Kind | None) -> None:
        """A variable has its value in a Python name."""
        self.locals[name] = text
        if kind is None:
            self.kinds.pop(name, None)
        else:
            self.kinds[name] = kind

    def add(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def loop(self, target: str, source: str) -> None:
        """Open a loop; what follows is inside it."""
        self.entered = (len(self.lines), self.depth, frozenset(self.locals))
        self.add(f"for {target} in {source}:")
        self.depth += 1

    def leave(self, outermost: int) -> None:
        """End all loops down to the one at a depth of so many, which is left by ``break``: it can have an ``else``."""
        self.add("break")
        for depth in range(self.depth - 1, outermost, -1):
            self.lines += [f"{'    ' * depth}else: continue", f"{'    ' * depth}break"]

    def gather(self, element: str) -> str | None:
        """The last loops, where they only range, bind and test, as one list of an element; they are taken away."""
        clauses: list[str] = []
        depth, kept, start = self.depth, 0, len(self.lines)
        for at in range(start - 1, -1, -1):
            line = self.lines[at].strip()
            deep = (len(self.lines[at]) - len(line)) // 4
            bound = _BINDING.fullmatch(line)
            if line.startswith("for ") and deep == depth - 1:
                clauses.append(line[:-1])
                depth, kept, start = deep, len(clauses), at
            elif deep == depth and line.startswith("if ") and line.endswith(": continue"):
                clauses.append(f"if not ({line[3:-10]})")
            elif deep == depth and bound is not None:
                clauses.append(f"for {bound[1]} in ({bound[2]},)")
            else:
                break
        if start == len(self.lines):
            return None
        del self.lines[start:]
        self.depth = depth
        return f"[{element} {' '.join(reversed(clauses[:kept]))}]"

    def before(self, expression: str) -> str:
        """A name for the value that an expression has before the innermost loop."""
        assert self.entered is not None
        at, depth, known = self.entered
        name = self.code.fresh("t")
        self.lines.insert(at, f"{'    ' * depth}{name} = {expression}")
        self.entered = (at + 1, depth, known)
        return name

    def without(self, value: str, found: str) -> bool:
        """Let the innermost loop skip what is found; False if it does more than range over a value."""
        head = f"{'    ' * (self.depth - 1)}for {value} in "
        if not self.lines[-1].startswith(head):
            return False
        self.lines[-1] = f"{head}but({found}.__contains__, {self.lines[-1][len(head) : -1]}):"
        return True

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.add(head)
        self.depth += 1
        yield
        self.depth -= 1

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """What may fault inside ends the binding."""
        start, risky, self.risky = len(self.lines), self.risky, False
        self.depth += 1
        yield
        self.depth -= 1
        if self.risky:
            self.lines.insert(start, "    " * self.depth + "try:")
            self.add("except Fault:")
            self.add(f"    {self.fail}")
        else:
            self.lines[start:] = [line[4:] for line in self.lines[start:]]
        self.risky = risky

    def risk(self, expression: str) -> str:
        """The same text, noted as one that may fault."""
        self.risky = True
        return expression

    def temporary(self, expression: str) -> str:
        name = self.code.fresh("t")
        self.add(f"{name} = {expression}")
        return name

    def present(self, expression: str) -> str:
        """The value of an expression that gives None for missing, in a name; missing ends the binding."""
        name = self.temporary(expression)
        self.add(f"if {name} is None: {self.fail}")
        return name

    # --- what is known of an expression before it is evaluated ---

    def kind(self, e: s.Expression) -> Kind | None:
        """The kind of the expression's value, if it has one that is present; None if unknown."""
        match e:
            case s.Constant(value):
                return type(value) if type(value) in (int, str, Bool) else None
            case s.Variable(name):
                return self.kinds.get(name)
            case s.Format():
                return str
            case s.Binary("+", left, right) if self.kind(left) is str and self.kind(right) is str:
                return str
            case s.Binary("+" | "-" | "*" | "/" | "%", left, right):
                return int if self.kind(left) is int and self.kind(right) is int else None
            case s.Binary():
                return Bool
            case s.Unary("-", operand):
                return int if self.kind(operand) is int else None
            case s.Unary():
                return Bool
            case s.Call(function):
                return _KINDS.get(BUILTINS[function].result.rstrip("?")) if function in BUILTINS else None
            case s.Conditional(left, _, right) | s.Default(left, right):
                return self.kind(left) if self.kind(left) is self.kind(right) else None
            case _:
                return None

    def sure(self, e: s.Expression) -> bool:
        """Whether the expression can neither fault nor be missing or null."""
        match e:
            case s.Constant(value):
                return value is not None
            case s.Variable(name):
                return name in self.kinds
            case s.Tuple(items):
                return all(map(self._there, items))
            case s.Format(parts):
                return all(map(self.sure, parts))
            case s.Binary("=" | "!=", left, right):
                return self._there(left) and self._there(right)
            case s.Binary("in", left, s.Tuple() as right):
                return self._there(left) and self.sure(right)
            case s.Binary("in"):
                return False
            case s.Binary("/" | "%", _, divisor) if not (isinstance(divisor, s.Constant) and divisor.value != 0):
                return False
            case s.Binary(operator, left, right):
                kinds = (Bool,) if operator in ("and", "or") else (int,) if operator in "-*/%" else (int, str)
                return self.sure(left) and self.sure(right) and self.kind(left) is self.kind(right) in kinds
            case s.Unary(operator, operand):
                return self.sure(operand) and self.kind(operand) is (int if operator == "-" else Bool)
            case s.Conditional(then, test, otherwise):
                return self.sure(then) and self.sure(otherwise) and self.sure(test) and self.kind(test) is Bool
            case s.Default(left, right):
                return self._there(left) and self.sure(right)
            case _:
                return False

    def _there(self, e: s.Expression) -> bool:
        """Whether the expression can neither fault nor be missing; it may be null."""
        return isinstance(e, s.Constant) or (isinstance(e, s.Variable) and e.name in self.locals) or self.sure(e)

    # --- expressions: each gives Python text without side effects, after the statements it needs ---

    def value(self, e: s.Expression) -> str:
        """The value; missing ends the binding. Null is a value here."""
        match e:
            case s.Constant(value):
                return self._constant(value)
            case s.Variable(name):
                return self.locals[name]
            case s.Tuple(items):
                return "(" + "".join(self.value(item) + ", " for item in items) + ")"
            case s.Record(members):
                return self._record(members)
            case s.Format(parts):
                texts = [
                    self.needed(part) if self.kind(part) is str else f"text({self.needed(part)})" for part in parts
                ]
                return self.temporary(f"''.join({tuple_text(texts)})")
            case s.Path():
                return self.present(self._path(e))
            case s.Call(function, arguments):
                given = ", ".join([self.value(argument) for argument in arguments])
                return self.present(self.risk(f"f_{function.replace('$', 'S_')}({given})"))
            case s.Binary("=" | "!=" as operator, left, right):
                same = "==" if operator == "=" else "!="
                return self.temporary(f"TRUE if {self.value(left)} {same} {self.value(right)} else FALSE")
            case s.Binary("and" | "or" | "in"):
                return self.temporary(f"TRUE if {self.condition(e)} else FALSE")
            case s.Binary("<" | "<=" | ">" | ">=") if self.sure(e):
                return self.temporary(f"TRUE if {self.condition(e)} else FALSE")
            case s.Binary(operator, left, right):
                return self._arithmetic(operator, left, right)
            case s.Unary("-", operand):
                found = self.needed(operand)
                return self.temporary(f"-{found}" if self.kind(operand) is int else self.risk(f"negate({found})"))
            case s.Unary(_, operand):
                return self.temporary(f"FALSE if {self.condition(operand)} else TRUE")
            case s.Default(left, right):
                name = self.temporary(self.maybe(left))
                with self.block(f"if {name} is None:"):
                    self.add(f"{name} = {self.value(right)}")
                return name
            case s.Conditional(then, test, otherwise):
                name = self.code.fresh("t")
                with self.block(f"if {self.condition(test)}:"):
                    self.add(f"{name} = {self.value(then)}")
                with self.block("else:"):
                    self.add(f"{name} = {self.value(otherwise)}")
                return name
            case _:
                raise TypeError(f"{type(e).__name__} has no value")

    def needed(self, e: s.Expression) -> str:
        """The value where null counts as missing."""
        found = self.value(e)
        if self.kind(e) is not None:
            return found
        if not isinstance(e, (s.Variable, s.Default, s.Conditional, s.Constant)) or (
            isinstance(e, s.Constant) and e.value is not None
        ):
            return found
        self.add(f"if {found} is None: {self.fail}")
        return found

    def maybe(self, e: s.Expression) -> str:
        """The value, or None where it is missing or null; nothing ends the binding but a fault."""
        match e:
            case s.Constant() | s.Variable():
                return self.value(e)
            case s.Path(base=s.Variable()) if all(isinstance(step, s.Constant) for step in e.steps):
                return self._path(e)
            case _ if self.sure(e):
                return self.value(e)
            case _:
                return self._helper("m_", lambda body: [f"return {body.value(e)}"], e)

    def condition(self, e: s.Expression) -> str:
        """Python text that is true when the expression is, false when it is false; missing ends the binding."""
        match e:
            case s.Binary("=", left, right):
                return f"{self.value(left)} == {self.value(right)}"
            case s.Binary("!=", left, right):
                return f"{self.value(left)} != {self.value(right)}"
            case s.Binary("in", left, right):
                return self._contained(left, right)
            case s.Unary("not", s.Unary("not", inner)):
                return self.condition(inner)
            case s.Unary("not", inner):
                return f"not ({self.condition(inner)})"
            case s.Constant(value) if isinstance(value, Bool):
                return str(bool(value))
            case s.Binary("<" | "<=" | ">" | ">=" as operator, left, right):
                return self._compared(operator, left, right)
            case s.Binary("and" | "or"):
                found, sure = self._junction(e)
                return found if sure else self.present(found)
            case _ if self.kind(e) is Bool:
                return f"{self.needed(e)} is TRUE"
            case _:
                return self.risk(f"condition({self.needed(e)})")

    def truth(self, e: s.Expression) -> tuple[str, bool]:
        """Python text that is True, False or, for missing, None, and whether it never is None; only faults end it."""
        match e:
            case s.Binary("and" | "or"):
                return self._junction(e)
            case _ if self.sure(e) and self.kind(e) is Bool:
                return f"({self.condition(e)})", True
            case s.Unary("not", operand):
                found, sure = self.truth(operand)
                if sure:
                    return f"(not {found})", True
                name = self.temporary(found)
                return f"(None if {name} is None else not {name})", False
            case s.Binary("in", left, s.Variable(name)) if self._there(left):
                inside, source = self._inside(self.value(left), self.locals[name]), self.locals[name]
                return f"(None if {source} is None else {inside})", False
            case s.Binary("<" | "<=" | ">" | ">=" as operator, left, right) if self._there(left) and self._there(right):
                a, b = self.value(left), self.value(right)
                null = " or ".join(f"{x} is None" for x, one in ((a, left), (b, right)) if not self.sure(one))
                return f"(None if {null} else {self._order(operator, a, b, left, right)})", False
            case _ if self.kind(e) is Bool:
                name = self.temporary(self.maybe(e))
                return f"(None if {name} is None else {name} is TRUE)", False
            case _:
                return self.risk(f"condition({self.maybe(e)})"), False

    def _compared(self, operator: str, left: s.Expression, right: s.Expression) -> str:
        return self._order(operator, self.needed(left), self.needed(right), left, right)

    def _order(self, operator: str, a: str, b: str, left: s.Expression, right: s.Expression) -> str:
        if self.kind(left) is self.kind(right) in (int, str):
            return f"{a} {operator} {b}"
        general = self.risk(f"{_OPERATOR[operator]}({a}, {b})")
        simple = [x for x in (a, b) if x.isidentifier()]
        if all(x.isidentifier() or x.isdigit() for x in (a, b)) and simple:
            return f"({a} {operator} {b} if {' and '.join(f'type({x}) is int' for x in simple)} else {general})"
        return general

    def _helper(self, stem: str, write: Callable[[Body], list[str]], e: s.Expression) -> str:
        """A call of a function of its own for an expression, in which what is missing returns None."""
        name = self.code.fresh(stem)
        used = sorted(names(e))
        body = Body(self.code, "return None", 1)
        for i, variable in enumerate(used):
            body.bind(variable, f"v{i}", self.kinds.get(variable))
        for line in write(body):
            body.add(line)
        head = f"def {name}({', '.join(body.locals.values())}):"
        self.code.helpers.append("\n".join([head, *body.lines]))
        return self.risk(f"{name}({', '.join(self.locals[variable] for variable in used)})")

    def _constant(self, value: Any) -> str:
        if value is TRUE or value is FALSE:
            return "TRUE" if value else "FALSE"
        if value is None or type(value) in (str, int):
            return repr(value)
        return self.code.name("k", value)

    def _path(self, e: s.Path) -> str:
        base = self.value(e.base)
        steps = [
            self.needed(step) if not isinstance(step, s.Constant) else self._constant(step.value) for step in e.steps
        ]
        if len(steps) == 1 and steps[0][0] in "'\"" and base.isidentifier():
            return f"{base}.get({steps[0]}) if type({base}) is Document else None"
        return f"walk({base}, {', '.join(steps)})"

    def _record(self, members: tuple[tuple[s.Expression, s.Expression], ...]) -> str:
        parts: list[tuple[str, str, bool]] = []
        plain = True
        for key, item in members:
            sure = isinstance(item, (s.Tuple, s.Format, s.Record)) or (
                isinstance(item, s.Constant) and item.value is not None
            )
            where = (
                self.risk(f"key_of({self.needed(key)})")
                if not isinstance(key, s.Constant)
                else self._constant(key.value)
            )
            parts.append((where, self.value(item) if sure else self.maybe(item), sure))
            plain = plain and sure and isinstance(key, s.Constant)
        if plain and len({where for where, _, _ in parts}) == len(parts):
            return self.temporary("Document({" + ", ".join(f"{where}: {item}" for where, item, _ in parts) + "})")
        name = self.temporary("{}")
        for where, given, sure in parts:
            member = given if sure else self.temporary(given)
            place = self.temporary(where) if not where.startswith(("'", '"')) else where
            if len(parts) > 1:
                self.add(f"{name}.pop({place}, None)")
            self.add(f"{name}[{place}] = {member}" if sure else f"if {member} is not None: {name}[{place}] = {member}")
        return self.temporary(f"Document({name})")

    def _arithmetic(self, operator: str, left: s.Expression, right: s.Expression) -> str:
        a, b = self.needed(left), self.needed(right)
        both = self.kind(left) if self.kind(left) is self.kind(right) else None
        if (both is int and operator in "+-*") or (both is str and operator == "+"):
            return self.temporary(f"{a} {operator} {b}")
        general = f"{_OPERATOR[operator]}({a}, {b})"
        if both is int and operator in "/%":
            whole = f"{a} {operator.replace('/', '//')} {b}"
            constant = isinstance(right, s.Constant) and right.value != 0
            return self.temporary(whole if constant else self.risk(f"{whole} if {b} else {general}"))
        general = self.risk(general)
        simple = [x for x in (a, b) if x.isidentifier()]
        if operator in "+-*" and all(x.isidentifier() or x.isdigit() for x in (a, b)) and simple:
            test = " and ".join(f"type({x}) is int" for x in simple)
            return self.temporary(f"{a} {operator} {b} if {test} else {general}")
        return self.temporary(general)

    def _contained(self, left: s.Expression, right: s.Expression) -> str:
        item = self.value(left)
        if isinstance(right, s.Range):
            low, high = self.ends(right)
            item = item if item.isidentifier() else self.temporary(item)
            return f"(type({item}) is int and {low} <= {item} <= {high})"
        return self._inside(item, self.needed(right))

    def _inside(self, item: str, source: str) -> str:
        general = self.risk(f"contains({item}, {source})")
        return f"({item} in {source} if type({source}) is tuple else {general})" if source.isidentifier() else general

    def ends(self, e: s.Range) -> tuple[str, str]:
        low, high = self.code.fresh("t"), self.code.fresh("t")
        self.add(self.risk(f"{low}, {high} = bounds({self.needed(e.low)}, {self.needed(e.high)})"))
        return low, high

    def _junction(self, e: s.Binary) -> tuple[str, bool]:
        """As `truth`: what decides on the left does so alone; where the left is missing, what decides on the right."""
        left, sure = self.truth(e.left)
        before = len(self.lines)
        name = self.temporary(left)
        goes_on, decisive = (name, "False") if e.operator == "and" else (f"not {name}", "True")
        with self.block(f"if {goes_on}:" if sure else f"if {name} is None or {goes_on}:"):
            inner = len(self.lines)
            right, right_sure = self.truth(e.right)
            if sure and len(self.lines) > inner:
                self.add(f"{name} = {right}")
            elif not sure:
                other = self.temporary(right)
                self.add(f"if {name} is not None or {other} is {decisive}: {name} = {other}")
        if sure and len(self.lines) == inner:
            del self.lines[before:]
            return f"({left} {e.operator} {right})", right_sure
        return name, sure and right_sure

    # --- patterns and steps ---

    def unify(self, pattern: s.Expression, found: str, kind: Kind | None = None) -> None:
        """Bind a pattern's unbound variables to parts of a value (of a kind) and compare the rest."""
        match pattern:
            case s.Wildcard():
                return
            case s.Variable(name) if name not in self.locals:
                if not found.isidentifier() or found in self.locals.values():
                    found = self.temporary(found)
                self.bind(name, found, kind)
            case s.Tuple(items):
                whole = found if found.isidentifier() else self.temporary(found)
                self.add(f"if type({whole}) is not tuple or len({whole}) != {len(items)}: {self.fail}")
                later = [(i, item) for i, item in enumerate(items) if not isinstance(item, (s.Variable, s.Tuple))]
                for index, item in enumerate(items):
                    if isinstance(item, (s.Variable, s.Tuple)):
                        self.unify(item, f"{whole}[{index}]")
                for index, item in later:
                    self.unify(item, f"{whole}[{index}]")
            case _:
                self.add(f"if {self.value(pattern)} != {found}: {self.fail}")


def kinds(types: Iterable[str]) -> list[Kind | None]:
    """The kinds of columns of these built-in types."""
    return [_KINDS.get(name) for name in types]


def binding(pattern: s.Expression) -> bool:
    """Whether matching a pattern needs nothing that is computed."""
    match pattern:
        case s.Tuple(items):
            return all(map(binding, items))
        case _:
            return isinstance(pattern, s.Variable | s.Wildcard | s.Constant)


def tuple_text(values: list[str]) -> str:
    return "(" + "".join(f"{value}, " for value in values) + ")"


def highest(ranks: list[str]) -> str:
    return "0" if not ranks else ranks[0] if len(ranks) == 1 else f"max({', '.join(ranks)})"


def key_text(values: list[str]) -> str:
    """How an index names a bucket: by the value itself where it has one column."""
    return values[0] if len(values) == 1 else tuple_text(values)
