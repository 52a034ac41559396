"""Each clause × place of change becomes one Python function of nested loops over hash indexes, its rule shown above it.

A function takes *seeds* (rows that were added or removed at one place of the body, or the groups of an aggregate that
changed), a sign and an output. For every binding of the body that a seed takes part in it adds the sign to the count of
the head's row. An expression that comes out missing, or faults, ends its binding: ``continue``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from kdl.fact import FALSE, TRUE, Bool, Document, literal
from kdl.parser import syntax as s
from kdl.rules import builtin
from kdl.rules.aggregate import EMPTY, Accumulation
from kdl.rules.builtin import BUILTINS, OPERATORS, Fault
from kdl.rules.normalise import Clause, Lookup, Reached, Step, names
from kdl.rules.plan import order
from kdl.rules.program import label
from kdl.rules.relation import Table

Run = Callable[[Any, int, Any], None]
"""``run(seeds, sign, out)``: adds `sign` to ``out[row]`` for each derivation, or gives it to an accumulator."""


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
    "negate": builtin.negate, "key_of": key_of, "EMPTY": EMPTY,
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
        self.helpers: list[str] = []
        self.made = 0

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


class _Body:
    """Statements at some depth; `fail` is the statement that gives a binding up."""

    def __init__(self, code: _Code, fail: str, depth: int) -> None:
        self.code, self.fail, self.depth = code, fail, depth
        self.lines: list[str] = []
        self.locals: dict[str, str] = {}
        self.risky = False

    def add(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

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
                return self.temporary("''.join((" + "".join(f"text({self.needed(part)}), " for part in parts) + "))")
            case s.Path():
                return self.present(self._path(e))
            case s.Call("fault", (argument,)):
                return self.present(self._fault(argument))
            case s.Call(function, arguments):
                given = ", ".join([self.value(argument) for argument in arguments])
                return self.present(self.risk(f"f_{function.replace('$', 'S_')}({given})"))
            case s.Binary("=" | "!=" as operator, left, right):
                same = "==" if operator == "=" else "!="
                return self.temporary(f"TRUE if {self.value(left)} {same} {self.value(right)} else FALSE")
            case s.Binary("and" | "or"):
                return self.present(self._junction(e))
            case s.Binary("in", left, right):
                return self.temporary(f"TRUE if {self._contained(left, right)} else FALSE")
            case s.Binary(operator, left, right):
                return self._arithmetic(operator, left, right)
            case s.Unary("-", operand):
                return self.temporary(self.risk(f"negate({self.needed(operand)})"))
            case s.Unary(_, operand):
                return self.temporary(self.risk(f"FALSE if condition({self.needed(operand)}) else TRUE"))
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
            case _:
                return self.risk(f"condition({self.needed(e)})")

    def _compared(self, operator: str, left: s.Expression, right: s.Expression) -> str:
        a, b = self.needed(left), self.needed(right)
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
        body.locals = {variable: f"v{i}" for i, variable in enumerate(used)}
        for line in write(body):
            body.add(line)
        head = f"def {name}({', '.join(body.locals.values())}):"
        self.code.helpers.append("\n".join([head, *body.lines]))
        return self.risk(f"{name}({', '.join(self.locals[variable] for variable in used)})")

    def _fault(self, argument: s.Expression) -> str:
        def write(body: _Body) -> list[str]:
            with body.block("try:"):
                body.add(f"{body.code.fresh('t')} = {body.value(argument)}")
            with body.block("except Fault as fault:"):
                body.add("return str(fault)")
            return ["return None"]

        return self._helper("m_", write, argument)

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
        for where, item, sure in parts:
            member = item if sure else self.temporary(item)
            place = self.temporary(where) if not where.startswith(("'", '"')) else where
            if len(parts) > 1:
                self.add(f"{name}.pop({place}, None)")
            self.add(f"{name}[{place}] = {member}" if sure else f"if {member} is not None: {name}[{place}] = {member}")
        return self.temporary(f"Document({name})")

    def _arithmetic(self, operator: str, left: s.Expression, right: s.Expression) -> str:
        a, b = self.needed(left), self.needed(right)
        general = self.risk(f"{_OPERATOR[operator]}({a}, {b})")
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

    def unify(self, pattern: s.Expression, found: str) -> None:
        """Bind a pattern's unbound variables to parts of a value and compare the rest."""
        match pattern:
            case s.Wildcard():
                return
            case s.Variable(name) if name not in self.locals:
                if not found.isidentifier() or found in self.locals.values():
                    found = self.temporary(found)
                self.locals[name] = found
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
        self, tables: Mapping[str, Table], accumulations: Mapping[str, Accumulation], clock: list[int]
    ) -> None:
        self._tables, self._accumulations, self._clock = tables, accumulations, clock

    def function(self, clause: Clause, place: int | None) -> tuple[Run, str]:
        """The function for a change at a place of the body (None: for all there is), and its text."""
        code = _Code()
        body = _Body(code, "continue", 2)
        rest = [(index, step) for index, step in enumerate(clause.body) if index != place]
        if place is None:
            head = "for _ in (0,):"
        else:
            head = "for seed in seeds:"
            step = clause.body[place]
            if isinstance(step, Reached):  # the clock's seeds are the rows that wait for it
                at = next(i for i, other in rest if isinstance(other, s.Atom) and other.relation == step.waiting)
                step = clause.body[at]
                rest = [(index, other) for index, other in rest if index != at]
            self._seed(body, step)
        known = set(body.locals)
        for index, step in order(rest, known, lambda name: len(self._tables[name].rows)):
            self._step(body, clause, index, step, place)
        self._emit(body, clause)
        about = [f"# {line}" for line in (f"{label(clause.source)} → {clause.target}", f"change at {place}")]
        lines = [*about, *code.helpers, "def run(seeds, sign, out):", f"    {head}", *body.lines]
        source = "\n".join(lines)
        scope = {**_GLOBALS, **code.objects}
        exec(compile(source, f"<{label(clause.source)}>", "exec"), scope)
        run: Run = scope["run"]
        return run, source

    def _seed(self, body: _Body, step: Step) -> None:
        match step:
            case s.Atom(_, arguments) | s.Negation(s.Atom(_, arguments)):
                negated = isinstance(step, s.Negation)
                fixed = [a.value for a in arguments if not isinstance(a.value, s.Wildcard)]
                for place, argument in enumerate(fixed if negated else [a.value for a in arguments]):
                    self._column(body, argument, f"seed[{place}]")
            case Lookup():
                for place, name in enumerate(step.group):
                    body.locals[name] = body.temporary(f"seed[0][{place}]")
                self._result(body, step, body.temporary("seed[1]"))
            case _:
                raise TypeError(f"{type(step).__name__} does not change")

    def _column(self, body: _Body, argument: s.Expression, found: str) -> None:
        match argument:
            case s.Wildcard():
                return
            case s.Variable(name) if name not in body.locals:
                body.locals[name] = body.temporary(found)
            case _:
                body.add(f"if {found} != {body.value(argument)}: {body.fail}")

    def _step(self, body: _Body, clause: Clause, index: int, step: Step, seed: int | None) -> None:
        match step:
            case s.Atom():
                earlier = seed is not None and index < seed and self._same(clause.body[seed], step)
                self._join(body, step, earlier)
            case s.Negation(atom):
                table = self._tables[atom.relation]
                fixed = [
                    (i, body.value(a.value))
                    for i, a in enumerate(atom.arguments)
                    if not isinstance(a.value, s.Wildcard)
                ]
                if not fixed:
                    body.add(f"if {body.code.name('rows', table.rows)}: continue")
                elif len(fixed) == len(atom.arguments):
                    body.add(f"if {_tuple([v for _, v in fixed])} in {body.code.name('rows', table.rows)}: continue")
                else:
                    bucket = body.code.name("index", table.index(tuple(i for i, _ in fixed)))
                    body.add(f"if {_key([v for _, v in fixed])} in {bucket}: continue")
            case s.Test(condition):
                with body.attempt():
                    body.add(f"if not ({body.condition(condition)}): {body.fail}")
            case s.Unification(pattern, value):
                if not names(value) <= body.locals.keys():
                    pattern, value = value, pattern
                with body.attempt():
                    body.unify(pattern, body.value(value))
            case s.Membership():
                self._range(body, step)
            case Lookup():
                accumulation = self._accumulations[step.accumulator]
                groups = body.code.name("groups", accumulation.published)
                key = _tuple([body.locals[name] for name in step.group])
                self._result(body, step, body.temporary(f"{groups}.get({key}, {accumulation.empty!r})"))
            case Reached():
                clock = body.code.name("clock", self._clock)
                body.add(f"if {body.locals[step.time]} {'<=' if step.negated else '>'} {clock}[0]: continue")

    @staticmethod
    def _same(seed: Step, step: s.Atom) -> bool:
        return isinstance(seed, s.Atom) and seed.relation == step.relation

    def _join(self, body: _Body, atom: s.Atom, earlier: bool) -> None:
        """Range over the rows that match what is bound; `earlier` than the seed's place, over those after the change."""
        table = self._tables[atom.relation]
        fixed: list[tuple[int, str]] = []
        for i, argument in enumerate(atom.arguments):
            value = argument.value
            if isinstance(value, s.Constant) or (isinstance(value, s.Variable) and value.name in body.locals):
                fixed.append((i, body.value(value)))
        if len(fixed) == len(atom.arguments):
            row = _tuple([v for _, v in fixed])
            if earlier:
                body.add(f"if not {body.code.name('table', table)}.will_hold({row}): continue")
            else:
                body.add(f"if {row} not in {body.code.name('rows', table.rows)}: continue")
            return
        row = body.code.fresh("r")
        columns = tuple(i for i, _ in fixed)
        if earlier:
            key = _key([v for _, v in fixed]) if fixed else None
            where = f"{body.code.name('table', table)}.matching_after({columns!r}, {key})"
        elif fixed:
            index = body.code.name("index", table.index(columns))
            where = f"{index}.get({_key([v for _, v in fixed])}, ())"
        else:
            where = body.code.name("rows", table.rows)
        body.add(f"for {row} in {where}:")
        body.depth += 1
        for i, argument in enumerate(atom.arguments):
            if i not in columns:
                self._column(body, argument.value, f"{row}[{i}]")

    def _range(self, body: _Body, step: s.Membership) -> None:
        key, item = body.code.fresh("i"), body.code.fresh("x")
        with body.attempt():
            if isinstance(step.source, s.Range):
                low, high = body._ends(step.source)
                source = body.temporary(f"range({low}, {high} + 1)")
            else:
                source = body.temporary(body.risk(f"items({body.needed(step.source)})"))
        pairs = f"{source}.items() if type({source}) is Document else enumerate({source})"
        body.add(f"for {item} in {source}:" if step.key is None else f"for {key}, {item} in ({pairs}):")
        body.depth += 1
        with body.attempt():
            if step.key is not None:
                body.unify(step.key, key)
            body.unify(step.item, item)

    def _result(self, body: _Body, step: Lookup, found: str) -> None:
        """Unify an aggregate's result (None: the group is empty) with its pattern."""
        with body.attempt():
            if step.default is not None:
                with body.block(f"if {found} is EMPTY:"):
                    body.add(f"{found} = {body.value(step.default)}")
            else:
                body.add(f"if {found} is EMPTY: {body.fail}")
            body.unify(step.pattern, found)

    def _emit(self, body: _Body, clause: Clause) -> None:
        with body.attempt():
            values = [body.value(value) for value in clause.values]
            if clause.target in self._accumulations:
                group = _tuple([body.locals[name] for name in clause.group])
                body.add(f"out({group}, {values[0] if values else 1}, sign)")
            else:
                row = body.temporary(_tuple(values))
                body.add(f"out[{row}] = out.get({row}, 0) + sign")


def _tuple(values: list[str]) -> str:
    return "(" + "".join(f"{value}, " for value in values) + ")"


def _key(values: list[str]) -> str:
    """How an index names a bucket: by the value itself where it has one column."""
    return values[0] if len(values) == 1 else _tuple(values)
