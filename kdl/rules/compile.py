"""Each clause × place of change becomes one Python function of nested loops over hash indexes, its rule shown above it.

A function takes *seeds* (rows that were added or removed at one place of the body, or the groups of an aggregate that
changed), a sign and an output. For every binding of the body that a seed takes part in it adds the sign to the count of
the head's row; where a relation is recursive it adds the row to a set. An expression that comes out missing, or faults,
ends its binding: ``continue``. `Compiler.search` makes the same of a body without a change, for queries and for the
derivations of one row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any, Final, TypeAlias

from kdl.fact import FALSE, TRUE, Bool, Document, literal
from kdl.parser import syntax as s
from kdl.rules import builtin
from kdl.rules.aggregate import EMPTY, Accumulation, combine
from kdl.rules.builtin import BUILTINS, OPERATORS, Fault
from kdl.rules.normalise import Clause, Inline, Lookup, Reached, Step, names
from kdl.rules.plan import order
from kdl.rules.program import label
from kdl.rules.relation import Columns, Index, Table

Run = Callable[[Any, int, Any], None]
"""``run(seeds, sign, out)``: adds `sign` to ``out[row]`` for each derivation, or gives it to an accumulator."""


@dataclass(frozen=True, slots=True)
class Function:
    """A compiled function, the indexes that must be level with their tables when it is called, and its text."""

    call: Callable[..., Any]
    indexes: tuple[Index, ...]
    text: str
    vain: bool
    """It can never derive anything: it waits for a fault that cannot be."""

    def ready(self) -> Callable[..., Any]:
        """The function to call now."""
        for index in self.indexes:
            if index.late or index.behind:
                index.catch_up()
        return self.call


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


def condition(value: Any) -> Any:
    """A truth value, None if it is missing."""
    return None if value is None else builtin.condition(value)


_GLOBALS: Final[dict[str, Any]] = {
    "TRUE": TRUE, "FALSE": FALSE, "Document": Document, "Fault": Fault, "text": text, "walk": walk,
    "contains": contains, "condition": condition, "items": builtin.items, "bounds": builtin.bounds,
    "negate": builtin.negate, "key_of": key_of, "EMPTY": EMPTY, "combine": combine, "ONCE": (None,),
    **{f"f_{name.replace('$', 'S_')}": item.function for name, item in BUILTINS.items()},
}  # fmt: skip
_OPERATOR: Final = {
    "+": "o_add", "-": "o_subtract", "*": "o_multiply", "/": "o_divide", "%": "o_modulo",
    "<": "o_less", "<=": "o_less_or_equal", ">": "o_greater", ">=": "o_greater_or_equal",
}  # fmt: skip
_GLOBALS.update({name: OPERATORS[symbol] for symbol, name in _OPERATOR.items()})


class _Code:
    """The text of a function under construction, and the objects that it names."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.indexes: dict[str, Index] = {}
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

    def function(self, about: Iterable[str], head: str, lines: Iterable[str], file: str) -> Function:
        """The finished function, named `run`."""
        source = "\n".join([*(f"# {line}" for line in about), *self.helpers, head, *lines])
        scope = {**_GLOBALS, **self.objects}
        exec(_compiled(source, file), scope)
        return Function(scope["run"], tuple(self.indexes.values()), source, self.vain)


@lru_cache(maxsize=8192)
def _compiled(source: str, file: str) -> CodeType:
    return compile(source, file, "exec")


Kind: TypeAlias = type
"""`int`, `str` or `Bool`."""

_KINDS: Final[dict[str, Kind]] = {"int": int, "time": int, "str": str, "bool": Bool}


class _Body:
    """Statements at some depth; `fail` is the statement that gives a binding up."""

    def __init__(self, code: _Code, fail: str, depth: int) -> None:
        self.code, self.fail, self.depth = code, fail, depth
        self.lines: list[str] = []
        self.locals: dict[str, str] = {}
        self.kinds: dict[str, Kind] = {}
        """Of variables that are known to hold an integer, a text or a boolean."""
        self.risky = False

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
        self.add(f"for {target} in {source}:")
        self.depth += 1

    def gather(self) -> None:
        """Turn a last loop that does nothing but add to a set into one call."""
        loop, add = self.lines[-2].strip(), self.lines[-1].strip()
        if loop.startswith("for ") and loop.endswith(":") and add.startswith("out.add("):
            indent = " " * (len(self.lines[-2]) - len(self.lines[-2].lstrip()))
            self.lines[-2:] = [f"{indent}out.update([{add.removeprefix('out.add(')[:-1]} {loop[:-1]}])"]

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
                return self.temporary(f"''.join({_tuple(texts)})")
            case s.Path():
                return self.present(self._path(e))
            case s.Call(function, arguments):
                given = ", ".join([self.value(argument) for argument in arguments])
                return self.present(self.risk(f"f_{function.replace('$', 'S_')}({given})"))
            case s.Binary("=" | "!=" as operator, left, right):
                same = "==" if operator == "=" else "!="
                return self.temporary(f"TRUE if {self.value(left)} {same} {self.value(right)} else FALSE")
            case s.Binary("and" | "or") if self.sure(e):
                return self.temporary(f"TRUE if {self.condition(e)} else FALSE")
            case s.Binary("and" | "or"):
                return self.present(self._junction(e))
            case s.Binary("<" | "<=" | ">" | ">=") if self.sure(e):
                return self.temporary(f"TRUE if {self.condition(e)} else FALSE")
            case s.Binary("in", left, right):
                return self.temporary(f"TRUE if {self._contained(left, right)} else FALSE")
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
            case s.Binary("and" | "or" as operator, left, right) if self.sure(e):
                return f"(({self.condition(left)}) {operator} ({self.condition(right)}))"
            case _ if self.kind(e) is Bool:
                return f"{self.needed(e)} is TRUE"
            case _:
                return self.risk(f"condition({self.needed(e)})")

    def _compared(self, operator: str, left: s.Expression, right: s.Expression) -> str:
        a, b = self.needed(left), self.needed(right)
        if self.kind(left) is self.kind(right) in (int, str):
            return f"{a} {operator} {b}"
        general = self.risk(f"{_OPERATOR[operator]}({a}, {b})")
        simple = [x for x in (a, b) if x.isidentifier()]
        if all(x.isidentifier() or x.isdigit() for x in (a, b)) and simple:
            return f"({a} {operator} {b} if {' and '.join(f'type({x}) is int' for x in simple)} else {general})"
        return general

    def _helper(self, stem: str, write: Callable[[_Body], list[str]], e: s.Expression) -> str:
        """A call of a function of its own for an expression, in which what is missing returns None."""
        name = self.code.fresh(stem)
        used = sorted(names(e))
        body = _Body(self.code, "return None", 1)
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
            low, high = self._ends(right)
            item = item if item.isidentifier() else self.temporary(item)
            return f"(type({item}) is int and {low} <= {item} <= {high})"
        return self.risk(f"contains({item}, {self.needed(right)})")

    def _ends(self, e: s.Range) -> tuple[str, str]:
        low, high = self.code.fresh("t"), self.code.fresh("t")
        self.add(self.risk(f"{low}, {high} = bounds({self.needed(e.low)}, {self.needed(e.high)})"))
        return low, high

    def _junction(self, e: s.Binary) -> str:
        sign = "" if e.operator == "or" else "not "
        name = self.temporary(self.risk(f"condition({self.maybe(e.left)})"))
        with self.block(f"if {name} is None or not ({sign}{name}):"):
            other = self.temporary(f"condition({self.maybe(e.right)})")
            self.add(f"if {name} is not None or ({other} is not None and {sign}{other}): {name} = {other}")
        return name

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


class Compiler:
    """Makes the functions of one engine: they hold its tables, its aggregates' results and its clock."""

    def __init__(
        self,
        tables: Mapping[str, Table],
        accumulations: Mapping[str, Accumulation],
        recursive: Collection[str],
        clock: list[int],
        wait: Callable[[int], None],
        visit: Callable[[int], None],
        sources: Mapping[str, str],
        kinds: Mapping[str, Sequence[Kind | None]],
    ) -> None:
        """`wait` is told the times that nothing else waits for, `visit` how many rows a whole scan looks at."""
        self._tables, self._accumulations, self._recursive = tables, accumulations, recursive
        self._clock, self._wait, self._visit, self._sources = clock, wait, visit, sources
        self._kinds = kinds
        """Of the columns of relations; of aggregates, those of the group and of the result."""

    def function(self, clause: Clause, place: int | None) -> Function:
        """The `Run` for a change at a place of the body (None: for all there is)."""
        code = _Code()
        body = _Body(code, "continue", 1)
        rest = [(index, step) for index, step in enumerate(clause.body) if index != place]
        if place is None:
            body.loop("_", "ONCE")
        else:
            step = clause.body[place]
            if isinstance(step, Reached):  # the clock's seeds are the rows that wait for it
                at = next(i for i, other in rest if isinstance(other, s.Atom) and other.relation == step.waiting)
                step = clause.body[at]
                rest = [(index, other) for index, other in rest if index != at]
            self._seed(body, step)
        for index, step in order(rest, set(body.locals), self._expected):
            self._step(body, step, None if place is None else index - place, clause.body[place or 0])
        self._emit(body, clause)
        where = "the start" if place is None else f"literal {place + 1}"
        about = [f"{label(clause.source)} → {clause.target}, change at {where}", *self._text(clause.source)]
        return code.function(about, "def run(seeds, sign, out):", body.lines, f"<{label(clause.source)}>")

    def derivable(self, clause: Clause) -> Function:
        """``run(row)``: whether the clause derives a row from what is there now."""
        code = _Code()
        body = _Body(code, "continue", 1)
        body.loop("_", "ONCE")
        self._search(body, clause.body, clause.values)
        body.add("return True")
        return code.function(
            [f"{label(clause.source)} → {clause.target}, one row"],
            "def run(row):", [*body.lines, "    return False"], f"<{label(clause.source)}>",
        )  # fmt: skip

    def search(self, steps: tuple[Step, ...], head: tuple[s.Expression, ...] = ()) -> tuple[Function, tuple[str, ...]]:
        """``run(row)`` yields the values of the named variables in each solution, with `head` equal to the row."""
        code = _Code()
        code.question = True
        body = _Body(code, "continue", 1)
        body.loop("_", "ONCE")
        self._search(body, steps, head)
        found = tuple(sorted(name for name in body.locals if "$" not in name))
        body.add(f"yield {_tuple([body.locals[name] for name in found])}")
        return code.function((), "def run(row):", body.lines, "<query>"), found

    def _search(self, body: _Body, steps: tuple[Step, ...], head: tuple[s.Expression, ...]) -> None:
        later = []
        for place, value in enumerate(head):
            if _binding(value):
                body.unify(value, f"row[{place}]")
            else:
                later.append((place, value))
        for _, step in order(enumerate(steps), set(body.locals), self._expected):
            self._step(body, step, None, step)
        for place, value in later:
            with body.attempt():
                body.add(f"if {body.value(value)} != row[{place}]: {body.fail}")

    def _text(self, rule: s.Rule) -> list[str]:
        """The lines of a rule as written."""
        span = rule.span
        return self._sources.get(span.file, "").splitlines()[span.line - 1 : span.end_line]

    def _expected(self, relation: str, columns: Columns, constants: int) -> float:
        return self._tables[relation].estimate(columns, constants)

    def _seed(self, body: _Body, step: Step) -> None:
        match step:
            case s.Atom(_, arguments):
                kinds = self._kinds[step.relation]
                self._rows(body, [a.value for a in arguments], range(len(arguments)), "seeds", kinds)
            case s.Negation(s.Atom(relation, arguments)):
                fixed = [i for i, a in enumerate(arguments) if not isinstance(a.value, s.Wildcard)]
                values, kinds = [arguments[i].value for i in fixed], [self._kinds[relation][i] for i in fixed]
                self._rows(body, values, range(len(fixed)), "seeds", kinds)
            case Lookup():
                group, found = body.code.fresh("g"), body.code.fresh("t")
                body.loop(f"{group}, {found}", "seeds")
                for place, name in enumerate(step.group):
                    body.bind(name, body.temporary(f"{group}[{place}]"), self._kinds[step.accumulator][place])
                self._result(body, step, found)
            case _:
                raise TypeError(f"{type(step).__name__} does not change")

    def _rows(
        self,
        body: _Body,
        arguments: Sequence[s.Expression],
        columns: Iterable[int],
        source: str,
        kinds: Sequence[Kind | None],
    ) -> None:
        """Range over rows: bind and compare the arguments at these columns."""
        wanted = [i for i in columns if not isinstance(arguments[i], s.Wildcard)]
        if arguments and len(arguments) <= 2 * len(wanted):
            parts = {i: body.code.fresh("t") for i in wanted}
            body.loop("".join(f"{parts.get(i, '_')}, " for i in range(len(arguments))), source)
        else:
            row = body.code.fresh("r")
            body.loop(row, source)
            parts = {i: f"{row}[{i}]" for i in wanted}
        for i in wanted:
            match arguments[i]:
                case s.Variable(name) if name not in body.locals:
                    body.bind(name, parts[i] if parts[i].isidentifier() else body.temporary(parts[i]), kinds[i])
                case argument:
                    body.add(f"if {parts[i]} != {body.value(argument)}: {body.fail}")

    def _step(self, body: _Body, step: Step, distance: int | None, seed: Step) -> None:
        """One step, `distance` literals behind the seed's place.

        A step before that place over the same relation sees the rows after the change, one behind it those before.
        """
        match step:
            case s.Atom():
                earlier = distance is not None and distance < 0
                self._join(body, step, earlier and isinstance(seed, s.Atom) and seed.relation == step.relation)
            case s.Negation(atom):
                later = distance is not None and distance > 0
                self._absent(body, atom, later and isinstance(seed, s.Negation) and seed.atom.relation == atom.relation)
            case s.Test(condition):
                with body.attempt():
                    body.add(f"if not ({body.condition(condition)}): {body.fail}")
            case s.Unification(pattern, value):
                if not names(value) <= body.locals.keys():
                    pattern, value = value, pattern
                if isinstance(value, s.Call) and value.function == "fault":
                    body.unify(pattern, self._fault(body, value.arguments[0]), str)
                else:
                    with body.attempt():
                        body.unify(pattern, body.value(value), body.kind(value))
            case s.Membership():
                self._range(body, step)
            case Lookup():
                accumulation = self._accumulations[step.accumulator]
                groups = body.code.name("groups", accumulation.published)
                key = _tuple([body.locals[name] for name in step.group])
                self._result(body, step, body.temporary(f"{groups}.get({key}, {accumulation.empty!r})"))
            case Inline():
                self._inline(body, step)
            case Reached():
                clock, time = body.code.name("clock", self._clock), body.locals[step.time]
                if not step.waiting and not body.code.question:
                    body.add(f"if {time} > {clock}[0]: {body.code.name('wait', self._wait)}({time})")
                body.add(f"if {time} {'<=' if step.negated else '>'} {clock}[0]: continue")

    def _fault(self, body: _Body, e: s.Expression) -> str:
        """What evaluating an expression faults with; a value, or a missing one, ends the binding."""
        found, risky, body.risky = body.code.fresh("t"), body.risky, False
        with body.block("try:"):
            body.add(f"{found} = {body.value(e)}")
        body.code.vain = body.code.vain or not body.risky
        body.risky = risky
        with body.block("except Fault as fault:"):
            body.add(f"{found} = str(fault)")
        with body.block("else:"):
            body.add("continue")
        return found

    def _absent(self, body: _Body, atom: s.Atom, before: bool) -> None:
        """There is no such row; `before`, there was none before the change."""
        table = self._tables[atom.relation]
        fixed = {i: body.value(a.value) for i, a in enumerate(atom.arguments) if not isinstance(a.value, s.Wildcard)}
        columns, whole = tuple(fixed), len(fixed) == len(atom.arguments)
        key = _tuple(list(fixed.values())) if whole else _key(list(fixed.values()))
        if before:
            found = f"{body.code.name('table', table)}.held({columns!r}, {key})"
        elif not fixed:
            found = body.code.name("rows", table.rows)
        else:
            found = f"{key} in {body.code.name('rows', table.rows) if whole else body.code.buckets(table, columns)}"
        body.add(f"if {found}: continue")

    def _join(self, body: _Body, atom: s.Atom, after: bool) -> None:
        """Range over the rows that match what is bound; `after`, over those after the change."""
        table = self._tables[atom.relation]
        arguments = [argument.value for argument in atom.arguments]
        fixed = {
            i: body.value(value)
            for i, value in enumerate(arguments)
            if isinstance(value, s.Constant) or (isinstance(value, s.Variable) and value.name in body.locals)
        }
        columns, kinds = tuple(fixed), self._kinds[atom.relation]
        if len(fixed) == len(arguments):
            row = _tuple(list(fixed.values()))
            held = f"{body.code.name('table', table)}.will_hold({row})"
            body.add(
                f"if not {held}: continue"
                if after
                else f"if {row} not in {body.code.name('rows', table.rows)}: continue"
            )
            return
        if after:
            key = _key(list(fixed.values())) if fixed else None
            source = f"{body.code.name('table', table)}.matching_after({columns!r}, {key})"
            if not fixed:
                source = body.temporary(source)
                body.add(f"{body.code.name('visit', self._visit)}(len({source}))")
        elif fixed:
            source = f"{body.code.buckets(table, columns)}.get({_key(list(fixed.values()))}, ())"
        else:
            source = body.code.name("rows", table.rows)
            body.add(f"{body.code.name('visit', self._visit)}(len({source}))")
        self._rows(body, arguments, [i for i in range(len(arguments)) if i not in fixed], source, kinds)
        for i in fixed:  # what equals a column is of its kind from here on
            value, kind = arguments[i], kinds[i]
            if isinstance(value, s.Variable) and kind is not None:
                body.kinds[value.name] = kind

    def _inline(self, body: _Body, step: Inline) -> None:
        """Work an aggregate out on the spot."""
        found = body.temporary("[]")
        depth, known, kinds = body.depth, dict(body.locals), dict(body.kinds)
        body.locals = {name: body.locals[name] for name in step.group}
        body.loop("_", "ONCE")
        for _, inner in order(enumerate(step.body), set(body.locals), self._expected):
            self._step(body, inner, None, inner)
        with body.attempt():
            body.add(f"{found}.append({body.value(step.value) if step.value is not None else '1'})")
        body.depth, body.locals = depth, known
        body.kinds = kinds
        self._result(body, step, body.temporary(f"combine({step.function!r}, {found})"))

    def _range(self, body: _Body, step: s.Membership) -> None:
        key, item = body.code.fresh("i"), body.code.fresh("x")
        with body.attempt():
            if isinstance(step.source, s.Range):
                low, high = body._ends(step.source)
                source = body.temporary(f"range({low}, {high} + 1)")
                body.add(f"{body.code.name('visit', self._visit)}({high} - {low} + 1)")
            else:
                source = body.temporary(body.risk(f"items({body.needed(step.source)})"))
        pairs = f"{source}.items() if type({source}) is Document else enumerate({source})"
        body.loop(item if step.key is None else f"{key}, {item}", source if step.key is None else f"({pairs})")
        with body.attempt():
            if step.key is not None:
                body.unify(step.key, key)
            body.unify(step.item, item, int if isinstance(step.source, s.Range) else None)

    def _result(self, body: _Body, step: Lookup | Inline, found: str) -> None:
        """Unify an aggregate's result (None: the group is empty) with its pattern."""
        with body.attempt():
            if step.default is not None:
                with body.block(f"if {found} is EMPTY:"):
                    body.add(f"{found} = {body.value(step.default)}")
            else:
                body.add(f"if {found} is EMPTY: {body.fail}")
            kind = self._kinds[step.accumulator][-1] if isinstance(step, Lookup) and step.default is None else None
            body.unify(step.pattern, found, kind)

    def _emit(self, body: _Body, clause: Clause) -> None:
        with body.attempt():
            values = [body.value(value) for value in clause.values]
            if clause.target in self._accumulations:
                group = _tuple([body.locals[name] for name in clause.group])
                body.add(f"out({group}, {values[0] if values else 1}, sign)")
            elif clause.target in self._recursive:
                body.add(f"out.add({_tuple(values)})")
            else:
                row = body.temporary(_tuple(values))
                body.add(f"out[{row}] = out.get({row}, 0) + sign")
        body.gather()


def kinds_of(clauses: Iterable[Clause], columns: dict[str, list[Kind | None]], functions: Mapping[str, str]) -> None:
    """Add the kinds of what the clauses make beside the program's own relations; `functions` are the aggregates'."""
    for clause in clauses:
        if clause.target in columns:
            continue
        probe = _Body(_Code(), "continue", 0)
        for step in clause.body:
            match step:
                case s.Atom(relation, arguments):
                    for argument, kind in zip(arguments, columns[relation], strict=True):
                        if isinstance(argument.value, s.Variable) and kind is not None:
                            probe.kinds[argument.value.name] = kind
                case s.Unification(s.Variable(name), s.Call("$instant")):
                    probe.kinds[name] = int
        function = functions.get(clause.target)
        if function is None:
            columns[clause.target] = [probe.kind(value) for value in clause.values]
            continue
        given = probe.kind(clause.values[0]) if clause.values else int
        result = given if function in ("min", "max") or (function in ("count", "sum") and given is int) else None
        columns[clause.target] = [*(probe.kinds.get(name) for name in clause.group), result]


def kinds(types: Iterable[str]) -> list[Kind | None]:
    """The kinds of columns of these built-in types."""
    return [_KINDS.get(name) for name in types]


def _binding(pattern: s.Expression) -> bool:
    """Whether matching a pattern needs nothing that is computed."""
    match pattern:
        case s.Tuple(items):
            return all(map(_binding, items))
        case _:
            return isinstance(pattern, s.Variable | s.Wildcard | s.Constant)


def _tuple(values: list[str]) -> str:
    return "(" + "".join(f"{value}, " for value in values) + ")"


def _key(values: list[str]) -> str:
    """How an index names a bucket: by the value itself where it has one column."""
    return values[0] if len(values) == 1 else _tuple(values)
