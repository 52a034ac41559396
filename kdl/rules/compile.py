"""Each clause × place of change becomes one Python function of nested loops over hash indexes, its rule shown above it.

A function takes *seeds* (rows that were added or removed at one place of the body, or the groups of an aggregate that
changed), a sign and an output. For every binding of the body that a seed takes part in it adds the sign to the count of
the head's row; where the head is recursive, rows have ranks instead: a derivation's is one more than the highest of the
rows that it rests on in its own component. An expression that comes out missing, or faults,
ends its binding: ``continue``. `Compiler.search` makes the same of a body without a change, for queries and for the
derivations of one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final

from kdl.parser import syntax as s
from kdl.rules.aggregate import Accumulation
from kdl.rules.code import Body, Code, Function, Kind, binding, highest, key_text, tuple_text
from kdl.rules.normalise import Clause, Inline, Lookup, Reached, Step, names
from kdl.rules.plan import Planned, plan
from kdl.rules.program import label
from kdl.rules.relation import Columns, Table

Run = Callable[[Any, int, Any], None]
"""``run(seeds, sign, out)``, by its `Way`."""


HIGHEST: Final = 1 << 62
"""Above all ranks."""

_OFTEN: Final = 4
"""What a clause gives is computed before a join that is expected to make more bindings of one than so many."""


class Way(Enum):
    """What a function does with the derivations that it finds."""

    COUNT = "count"
    """Adds `sign` to ``out[row]``, or gives it to an accumulator."""
    WHOLE = "whole"
    """Adds `sign` to ``out[row]``; nothing is changing: the seeds are all there is."""
    GAIN = "gain"
    """``out[row]`` becomes the lowest rank that a derivation gives a row that is not there; `sign` is the seeds'."""
    ALL = "all"
    """Adds each row to the set `out`."""
    LOSE = "lose"
    """Adds to the set `out` each row whose rank may rest on the derivation; `sign` is the seeds' rank."""


class Compiler:
    """Makes the functions of one engine: they hold its tables, its aggregates' results and its clock."""

    def __init__(
        self,
        tables: Mapping[str, Table],
        accumulations: Mapping[str, Accumulation],
        homes: Mapping[str, int],
        clock: list[int],
        wait: Callable[[int], None],
        visit: Callable[[int], None],
        sources: Mapping[str, str],
        kinds: Mapping[str, Sequence[Kind | None]],
    ) -> None:
        """`homes` are the components of recursive relations.

        `wait` is told the times that nothing else waits for, `visit` how many rows a whole scan looks at.
        """
        self.tables, self._accumulations, self.homes = tables, accumulations, homes
        self._clock, self._wait, self._visit, self._sources = clock, wait, visit, sources
        self._lines: dict[str, list[str]] = {}
        self.kinds = kinds
        """Of the columns of relations; of aggregates, those of the group and of the result."""

    def function(self, clause: Clause, place: int | None, way: Way = Way.COUNT) -> Function:
        """The `Run` for a change at a place of the body (None: for all there is)."""
        code = Code()
        body = Body(code, "continue", 1)
        rest = [(index, step) for index, step in enumerate(clause.body) if index != place]
        seed: Step | None = None
        if way in (Way.GAIN, Way.LOSE):
            body.home, body.ranks = self.homes[clause.target], ["sign"]
        if place is None:
            body.loop("_", "ONCE")
        else:
            step = seed = clause.body[place]
            if isinstance(step, Reached):  # the clock's seeds are the rows that wait for it
                at = next(i for i, other in rest if isinstance(other, s.Atom) and other.relation == step.waiting)
                step = clause.body[at]
                rest = [(index, other) for index, other in rest if index != at]
            inside = isinstance(step, s.Atom) and self._inside(body, step)
            self._seed(body, step, ranked=inside and seed is not step)
            if inside or way in (Way.ALL, Way.WHOLE):
                seed = None  # in its own component a change is applied before it is worked on
        planned = plan(rest, set(body.locals), self.expected)
        made: dict[int, str] = {}
        rows, seeds = 1.0, 0.0
        if way in (Way.ALL, Way.WHOLE):
            begun = None if place is None else clause.body[place]
            seeds = self.expected(begun.relation, ()) if isinstance(begun, s.Atom) else 1.0
        for item in planned:
            if isinstance(item.step, s.Atom) and planned[-1].rows > _OFTEN * rows:
                self._make(body, clause, made)
            body.looks = seeds * rows
            self.step(body, item.step, item.place - (place or 0), seed)
            rows = item.rows
        self._emit(body, clause, made, way, within=seed is None)
        where = "everything" if place is None else f"from literal {place + 1}"
        about = self.about(clause, f"{way.value} {where}", planned)
        head = "def run(seeds, sign, out):"
        return code.function(about, head, body.lines, f"<{label(clause.source)}>", _effort(planned))

    def unsupported(self, clause: Clause) -> Function:
        """``run(seeds, limit)``: the seeds that the clause does not derive from what has ranks below a limit."""
        body = self._supporting(clause)
        planned = self._search(body, clause.body, clause.values)
        body.leave(2)
        lines = ["    lost = []", *body.lines, "        else: lost.append(row)", "    return lost"]
        about = self.about(clause, "rows without support", planned)
        head = "def run(seeds, limit):"
        return body.code.function(about, head, lines, f"<{label(clause.source)}>", _effort(planned))

    def support(self, clause: Clause) -> Function:
        """``run(seeds, out)``: `out` of a seed becomes the lowest rank that the clause gives it, if lower."""
        body = self._supporting(clause)
        body.lines.insert(1, f"        known = limit = out.get(row, {HIGHEST}) - 1")
        planned = self._search(body, clause.body, clause.values)
        body.add(f"limit = {highest(body.ranks)}")
        if not body.ranks:  # there is no lower one
            body.leave(2)
        lines = [*body.lines, "        if limit < known: out[row] = limit + 1"]
        about = self.about(clause, "lowest ranks of rows", planned)
        return body.code.function(about, "def run(seeds, out):", lines, f"<{label(clause.source)}>", _effort(planned))

    def _supporting(self, clause: Clause) -> Body:
        """The beginning of a search for derivations, from below a limit, of each row that is given."""
        body = Body(Code(), "continue", 1)
        body.home, body.limit = self.homes[clause.target], "limit"
        body.loop("row", "seeds")
        body.loop("_", "ONCE")
        return body

    def search(
        self, steps: tuple[Step, ...], head: tuple[s.Expression, ...] = (), hidden: bool = False
    ) -> tuple[Function, tuple[str, ...]]:
        """``run(row)`` yields the values of the named variables in each solution, with `head` equal to the row.

        With `hidden` also those of variables that nobody wrote.
        """
        code = Code()
        code.question = True
        body = Body(code, "continue", 1)
        body.loop("_", "ONCE")
        self._search(body, steps, head)
        found = tuple(sorted(name for name in body.locals if hidden or "$" not in name))
        body.add(f"yield {tuple_text([body.locals[name] for name in found])}")
        return code.function((), "def run(row):", body.lines, "<query>"), found

    def _search(self, body: Body, steps: tuple[Step, ...], head: tuple[s.Expression, ...]) -> list[Planned]:
        later = []
        for place, value in enumerate(head):
            if binding(value):
                body.unify(value, f"row[{place}]")
            else:
                later.append((place, value))
        planned = plan(enumerate(steps), set(body.locals), self.expected)
        for item in planned:
            self.step(body, item.step, 0, None)
        for place, value in later:
            with body.attempt():
                body.add(f"if {body.value(value)} != row[{place}]: {body.fail}")
        return planned

    def source(self, rule: s.Rule) -> list[str]:
        """The lines of a rule as written."""
        span = rule.span
        lines = self._lines.get(span.file)
        if lines is None:
            lines = self._lines[span.file] = self._sources.get(span.file, "").splitlines()
        return lines[span.line - 1 : span.end_line]

    def about(self, clause: Clause, what: str, planned: Iterable[Planned]) -> list[str]:
        """What is written above a function: its rule, and the order in which it takes the body."""
        lines = [f"{label(clause.source)} → {clause.target}: {what}", *self.source(clause.source)]
        return lines + [f"  {item.place + 1}. {item.way}; {item.rows:.3g} so far" for item in planned]

    def expected(self, relation: str, columns: Columns) -> float:
        """How many rows of a relation to expect under one key of some columns."""
        return self.tables[relation].estimate(columns)

    def _seed(self, body: Body, step: Step, ranked: bool = False) -> None:
        match step:
            case s.Atom(_, arguments):
                kinds, values = self.kinds[step.relation], [a.value for a in arguments]
                row = self._rows(body, values, range(len(arguments)), "seeds", kinds, ranked)
                if ranked:
                    self._ranked(body, body.code.name("rows", self.tables[step.relation].rows), row, there=True)
            case s.Negation(s.Atom(relation, arguments)):
                fixed = [i for i, a in enumerate(arguments) if not isinstance(a.value, s.Wildcard)]
                values, kinds = [arguments[i].value for i in fixed], [self.kinds[relation][i] for i in fixed]
                self._rows(body, values, range(len(fixed)), "seeds", kinds)
            case Lookup():
                group, found = body.code.fresh("g"), body.code.fresh("t")
                body.loop(f"{group}, {found}", "seeds")
                for place, name in enumerate(step.group):
                    body.bind(name, body.temporary(f"{group}[{place}]"), self.kinds[step.accumulator][place])
                self._result(body, step, found)
            case _:
                raise TypeError(f"{type(step).__name__} does not change")

    def _rows(
        self,
        body: Body,
        arguments: Sequence[s.Expression],
        columns: Iterable[int],
        source: str,
        kinds: Sequence[Kind | None],
        whole: bool = False,
    ) -> str:
        """Range over rows: bind and compare the arguments at these columns. The name of the row if `whole`."""
        wanted = [i for i in columns if not isinstance(arguments[i], s.Wildcard)]
        row = ""
        if not whole and arguments and len(arguments) <= 2 * len(wanted):
            parts = {i: body.code.fresh("t") for i in wanted}
            body.loop("".join(f"{parts.get(i, '_')}, " for i in range(len(arguments))), source)
        else:
            row = body.code.fresh("r")
            body.loop(row, source)
            parts = {i: f"{row}[{i}]" for i in wanted}
        match_parts(body, arguments, parts, kinds)
        return row

    def step(self, body: Body, step: Step, distance: int, seed: Step | None) -> None:
        """One step, `distance` literals behind the seed's place, if there is a seed.

        A step before that place over the same relation sees the rows after the change, one behind it those before.
        """
        match step:
            case s.Atom():
                same = isinstance(seed, s.Atom) and seed.relation == step.relation
                self._join(body, step, same and distance < 0)
            case s.Negation(atom):
                same = isinstance(seed, s.Negation) and seed.atom.relation == atom.relation
                self._absent(body, atom, same and distance > 0)
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
                key = tuple_text([body.locals[name] for name in step.group])
                self._result(body, step, body.temporary(f"{groups}.get({key}, {accumulation.empty!r})"))
            case Inline():
                self._inline(body, step)
            case Reached():
                clock, time = body.code.name("clock", self._clock), body.locals[step.time]
                if not step.waiting and not body.code.question:
                    body.add(f"if {time} > {clock}[0]: {body.code.name('wait', self._wait)}({time})")
                body.add(f"if {time} {'<=' if step.negated else '>'} {clock}[0]: continue")

    def _fault(self, body: Body, e: s.Expression) -> str:
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

    def _absent(self, body: Body, atom: s.Atom, before: bool) -> None:
        """There is no such row; `before`, there was none before the change."""
        table = self.tables[atom.relation]
        fixed = {i: body.value(a.value) for i, a in enumerate(atom.arguments) if not isinstance(a.value, s.Wildcard)}
        columns, whole = tuple(fixed), len(fixed) == len(atom.arguments)
        key = tuple_text(list(fixed.values())) if whole else key_text(list(fixed.values()))
        image = self._image(body, atom, fixed)
        if image is not None:
            value, sets = image
            if not body.without(value, sets):
                body.add(f"if {value} in {sets}: continue")
            return
        if before:
            found = f"{body.code.name('table', table)}.held({columns!r}, {key})"
        elif not fixed:
            found = body.code.name("rows", table.rows)
        else:
            found = f"{key} in {body.code.name('rows', table.rows) if whole else body.code.buckets(table, columns)}"
        body.add(f"if {found}: continue")

    def _image(self, body: Body, atom: s.Atom, fixed: Mapping[int, str]) -> tuple[str, str] | None:
        """A value and the set in which it is if there is such a row; None if that is not worth the making of sets.

        The innermost loop gives the value, and the set is found before it.
        """
        table = self.tables[atom.relation]
        if body.entered is None or 2 * body.looks < len(table.rows) or not table.rows:
            return None
        values = {i: atom.arguments[i].value for i in fixed}
        inner = [i for i, v in values.items() if isinstance(v, s.Variable) and v.name not in body.entered[2]]
        outer = [i for i in fixed if i not in inner]
        if len(inner) != 1 or not outer:
            return None
        sets = body.code.image(table, tuple(outer), inner[0])
        return fixed[inner[0]], body.before(f"{sets}.get({key_text([fixed[i] for i in outer])}, ())")

    def _inside(self, body: Body, atom: s.Atom) -> bool:
        """Whether the ranks of an atom's rows matter."""
        return body.home is not None and self.homes.get(atom.relation) == body.home

    def _join(self, body: Body, atom: s.Atom, after: bool) -> None:
        """Range over the rows that match what is bound; `after`, over those after the change."""
        table = self.tables[atom.relation]
        arguments = [argument.value for argument in atom.arguments]
        fixed = fixed_parts(body, arguments)
        columns, kinds = tuple(fixed), self.kinds[atom.relation]
        ranked = self._inside(body, atom)
        if len(fixed) == len(arguments):
            row = tuple_text(list(fixed.values()))
            if ranked:
                self._ranked(body, body.code.name("rows", table.rows), row, there=False)
            elif after:
                body.add(f"if not {body.code.name('table', table)}.will_hold({row}): continue")
            else:
                body.add(f"if {row} not in {body.code.name('rows', table.rows)}: continue")
            return
        if after:
            key = key_text(list(fixed.values())) if fixed else None
            source = f"{body.code.name('table', table)}.matching_after({columns!r}, {key})"
            if not fixed:
                source = body.temporary(source)
                body.add(f"{body.code.name('visit', self._visit)}(len({source}))")
        elif fixed:
            source = f"{body.code.buckets(table, columns)}.get({key_text(list(fixed.values()))}, ())"
        else:
            source = body.code.name("rows", table.rows)
            body.add(f"{body.code.name('visit', self._visit)}(len({source}))")
            wanted = [i for i, value in enumerate(arguments) if not isinstance(value, s.Wildcard)]
            if len(wanted) == 1 and body.looks > 1:
                part = body.code.fresh("t")
                body.loop(part, body.code.image(table, (), wanted[0]))
                match_parts(body, arguments, {wanted[0]: part}, kinds)
                return
        row = self._rows(body, arguments, [i for i in range(len(arguments)) if i not in fixed], source, kinds, ranked)
        if ranked:
            self._ranked(body, body.code.name("rows", table.rows), row, there=True)
        narrow(body, arguments, fixed, kinds)

    def _ranked(self, body: Body, rows: str, row: str, there: bool) -> None:
        """Note the rank of a row, which may have to be below a limit, and may have to be `there` first."""
        if body.limit is None:
            if not there:
                body.add(f"if {row} not in {rows}: continue")
            body.ranks.append(f"{rows}[{row}]")
            return
        name = body.temporary(f"{rows}[{row}]" if there else f"{rows}.get({row}, {body.limit})")
        body.add(f"if {name} >= {body.limit}: continue")
        body.ranks.append(name)

    def _inline(self, body: Body, step: Inline) -> None:
        """Work an aggregate out on the spot."""
        found = body.temporary("[]")
        depth, known, kinds = body.depth, dict(body.locals), dict(body.kinds)
        entered, looks, body.looks = body.entered, body.looks, 0.0
        body.locals = {name: body.locals[name] for name in step.group}
        body.loop("_", "ONCE")
        for item in plan(enumerate(step.body), set(body.locals), self.expected):
            self.step(body, item.step, 0, None)
        with body.attempt():
            body.add(f"{found}.append({body.value(step.value) if step.value is not None else '1'})")
        body.depth, body.locals = depth, known
        body.kinds, body.entered, body.looks = kinds, entered, looks
        self._result(body, step, body.temporary(f"combine({step.function!r}, {found})"))

    def _range(self, body: Body, step: s.Membership) -> None:
        key, item = body.code.fresh("i"), body.code.fresh("x")
        with body.attempt():
            if isinstance(step.source, s.Range):
                low, high = body.ends(step.source)
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

    def _result(self, body: Body, step: Lookup | Inline, found: str) -> None:
        """Unify an aggregate's result (None: the group is empty) with its pattern."""
        with body.attempt():
            if step.default is not None:
                with body.block(f"if {found} is EMPTY:"):
                    body.add(f"{found} = {body.value(step.default)}")
            else:
                body.add(f"if {found} is EMPTY: {body.fail}")
            kind = self.kinds[step.accumulator][-1] if isinstance(step, Lookup) and step.default is None else None
            body.unify(step.pattern, found, kind)

    def _make(self, body: Body, clause: Clause, made: dict[int, str]) -> None:
        """Compute what is known already of the values that a clause gives: once for all bindings that follow."""
        with body.attempt():
            for place, value in enumerate(clause.values):
                simple = isinstance(value, (s.Constant, s.Variable))
                if not simple and place not in made and names(value) <= body.locals.keys():
                    made[place] = body.temporary(body.value(value))

    def _emit(self, body: Body, clause: Clause, made: Mapping[int, str], way: Way, within: bool) -> None:
        with body.attempt():
            values = [made.get(place) or body.value(value) for place, value in enumerate(clause.values)]
        if clause.target in self._accumulations:
            group = tuple_text([body.locals[name] for name in clause.group])
            body.add(f"out({group}, {values[0] if values else 1}, sign)")
            return
        row = body.temporary(tuple_text(values))
        held, rank = body.code.name("rows", self.tables[clause.target].rows), highest(body.ranks)
        if way is Way.GAIN:
            body.add(f"if {row} in {held}: continue")
            rank = body.temporary(f"{rank} + 1")
            found = body.gather(tuple_text([row, rank]))
            if found is not None:
                body.loop(f"{row}, {rank}", found)
            body.add(f"if out.get({row}, {rank}) >= {rank}: out[{row}] = {rank}")
            return
        if way is Way.LOSE:  # what came by the same delta may be lost again, from outside the component
            body.add(f"if {held}.get({row}, {0 if within else HIGHEST}) <= {rank}: continue")
        found = body.gather(row)
        if way in (Way.ALL, Way.LOSE):
            body.add(f"out.add({row})" if found is None else f"out.update({found})")
        elif found is None:
            body.add(f"out[{row}] = out.get({row}, 0) + sign")
        else:
            found = body.temporary(found)
            body.add(f"if sign > 0: add(out, {found})")
            body.add(f"else: subtract(out, {found})")


def _effort(planned: Iterable[Planned]) -> float:
    """How many bindings a seed is expected to make."""
    return 1 + sum(item.rows for item in planned)


def fixed_parts(body: Body, arguments: Sequence[s.Expression]) -> dict[int, str]:
    """The columns whose values are known, with their texts."""
    return {
        i: body.value(value)
        for i, value in enumerate(arguments)
        if isinstance(value, s.Constant) or (isinstance(value, s.Variable) and value.name in body.locals)
    }


def narrow(body: Body, arguments: Sequence[s.Expression], fixed: Iterable[int], kinds: Sequence[Kind | None]) -> None:
    """What equals a column is of its kind from here on."""
    for i in fixed:
        value, kind = arguments[i], kinds[i]
        if isinstance(value, s.Variable) and kind is not None:
            body.kinds[value.name] = kind


def match_parts(
    body: Body, arguments: Sequence[s.Expression], parts: Mapping[int, str], kinds: Sequence[Kind | None]
) -> None:
    """Bind or compare the arguments in some columns, whose values have these texts."""
    for i, part in parts.items():
        match arguments[i]:
            case s.Variable(name) if name not in body.locals:
                body.bind(name, part if part.isidentifier() else body.temporary(part), kinds[i])
            case s.Wildcard():
                continue
            case argument:
                body.add(f"if {part} != {body.value(argument)}: {body.fail}")


def kinds_of(clauses: Iterable[Clause], columns: dict[str, list[Kind | None]], functions: Mapping[str, str]) -> None:
    """Add the kinds of what the clauses make beside the program's own relations; `functions` are the aggregates'."""
    for clause in clauses:
        if clause.target in columns:
            continue
        probe = Body(Code(), "continue", 0)
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
