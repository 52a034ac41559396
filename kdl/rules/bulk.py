"""A recursive component worked out from the start: round by round, and a set of rows at a time.

While it grows, its rows are kept by their first columns: all but the last → last → rank. What a round added comes as
pairs (first columns, set of last values). Where a clause needs the last column only to look up other values, and these
only for the last column of its head, the sets stay whole: unions of sets take the place of a loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from kdl.fact import Row
from kdl.parser import syntax as s
from kdl.rules.code import Body, Code, Function, key_text, tuple_text
from kdl.rules.compile import Compiler, Way, fixed_parts, match_parts, narrow
from kdl.rules.network import Component, Network
from kdl.rules.normalise import Clause, Step, names
from kdl.rules.plan import plan
from kdl.rules.program import label
from kdl.rules.relation import Columns, Image

if TYPE_CHECKING:
    from kdl.rules.maintain import State

Groups = dict[Any, Any]
"""First columns (the value itself where there is one, None where there is none) → set of the last column's values."""

_CHUNK: Final = 256
"""So many groups are worked on between two looks at the limits."""

_MANY: Final = 100_000
"""So many rows are expected of a component's relations when joins are ordered."""


class Bulk:
    """One component's functions for growing from nothing, and the rows while it does."""

    def __init__(self, compiler: Compiler, component: Component) -> None:
        self._compiler, self._component = compiler, component
        self._held: dict[str, Groups] = {name: {} for name in component.names}
        self._indexes: dict[str, dict[Columns, dict[Any, list[Any]]]] = {name: {} for name in component.names}
        """By fixed columns: their values → those of the other columns."""
        self._images: dict[tuple[str, Columns, int], Image] = {}
        """Of relations outside, by fixed columns and the other one that is wanted."""
        self._functions: dict[tuple[int, int], Function] = {}

    # --- growing ---

    def grow(self, state: State) -> Iterator[tuple[str, dict[Row, int]]]:
        """All rows of each relation with their ranks."""
        inner, clauses = self._component.inner, state.network.clauses
        assert inner is not None
        functions = [  # compiled first, so that it is known which indexes they use
            (name, reader.clause, clauses[reader.clause].target, self._function(clauses, *reader))
            for name in self._component.names
            for reader in inner[name]
        ]
        for image in self._images.values():
            image.make()
        try:
            fresh = self._start(state)
            sizes, rank = dict.fromkeys(self._component.names, 0), 0
            while fresh:
                rank += 1
                news = {name: self._add(name, groups, rank) for name, groups in fresh.items()}
                fresh = {}
                for name, number, target, function in functions:
                    call = function.ready()
                    if state.observer is not None:
                        call = state.observer(clauses[number], call)
                    seeds, out = list(news.get(name, {}).items()), fresh.setdefault(target, {})
                    for at in range(0, len(seeds), _CHUNK):
                        chunk = seeds[at : at + _CHUNK]
                        call(chunk, out)
                        seen = sum([len(found) for _, found in chunk])
                        state.watch(number, seen, sizes[target] + len(out))
                for name, groups in news.items():
                    sizes[name] += sum(map(len, groups.values()))
                for name in news:
                    state.watch(self._component.clauses[0], 0, sizes[name])
                fresh = {name: groups for name, groups in fresh.items() if groups}
            for name, held in self._held.items():
                yield name, _ranks(state.tables[name].arity, held)
        finally:
            for held in self._held.values():
                held.clear()
            for indexes in self._indexes.values():
                for index in indexes.values():
                    index.clear()
            for image in self._images.values():
                image.drop()

    def _start(self, state: State) -> dict[str, Groups]:
        """What holds without anything else of the component."""
        fresh: dict[str, Groups] = {}
        for number in self._component.clauses:
            clause = state.network.clauses[number]
            if any(isinstance(step, s.Atom) and step.relation in self._held for step in clause.body):
                continue
            rows: set[Row] = set()
            state.everything(number, Way.ALL, rows)
            groups = fresh.setdefault(clause.target, {})
            for row in rows:
                groups.setdefault(_first(row), set()).add(row[-1] if row else None)
        return fresh

    def _add(self, name: str, groups: Groups, rank: int) -> Groups:
        """Keep what is new; that."""
        held, news = self._held[name], {}
        for first, found in groups.items():
            old = held.get(first)
            if old is None:
                held[first] = dict.fromkeys(found, rank)
            else:
                found = found.difference(old)
                if not found:
                    continue
                old.update(dict.fromkeys(found, rank))
            news[first] = found
        self._follow(name, news)
        return news

    def _follow(self, name: str, news: Groups) -> None:
        """Put what is new into the indexes."""
        for columns, index in self._indexes[name].items():
            arity = self._compiler.tables[name].arity
            rest = [column for column in range(arity) if column not in columns]
            for row in _rows(arity, news):
                key = row[columns[0]] if len(columns) == 1 else tuple([row[column] for column in columns])
                value = row[rest[0]] if len(rest) == 1 else tuple([row[column] for column in rest])
                index.setdefault(key, []).append(value)

    # --- the functions ---

    def code(self, network: Network, relation: str) -> Iterator[str]:
        """The texts of the functions that derive a relation."""
        for readers in (self._component.inner or {}).values():
            for number, place in readers:
                if network.clauses[number].target == relation:
                    yield self._function(network.clauses, number, place).text

    def _function(self, clauses: list[Clause], number: int, place: int) -> Function:
        """``run(seeds, out)``: add what follows from new rows at a place of a clause."""
        found = self._functions.get((number, place))
        if found is None:
            found = self._functions[number, place] = self._compile(clauses[number], place)
        return found

    def _compile(self, clause: Clause, place: int) -> Function:
        code = Code()
        body = Body(code, "continue", 1)
        seed: Any = clause.body[place]
        rest = [(index, step) for index, step in enumerate(clause.body) if index != place]
        arguments, kinds = [a.value for a in seed.arguments], self._compiler.kinds[seed.relation]
        parts = {i: code.fresh("t") for i in range(len(arguments) - 1)}
        body.loop(f"{_first_text(list(parts.values())) if len(arguments) > 1 else '_'}, found", "seeds")
        match_parts(body, arguments, parts, kinds)
        image, own, last = None, False, arguments[-1] if arguments else s.Wildcard()
        if isinstance(last, s.Variable) and last.name not in body.locals:
            image = self._image(body, clause, rest, last.name)
            if image not in (None, "found"):
                own = True
                body.add("own = True")  # the set is made for this seed: the first that takes it may keep it
            if image is None:
                value = code.fresh("t")
                body.loop(value, "found")
                match_parts(body, arguments, {len(arguments) - 1: value}, kinds)
        elif not isinstance(last, s.Wildcard):
            body.add(f"if {body.value(last)} not in found: continue")
        planned = plan(rest, set(body.locals), self._expected)
        steps = [item.step for item in planned]
        final = self._final(body, clause, steps) if image is None else None
        for step in steps[:-1] if final is not None else steps:
            if isinstance(step, s.Atom) and step.relation in self._held:
                self._join(body, step)
            else:
                self._compiler.step(body, step, 0, None)
        if final is not None:
            image = self._source(body, final, {}, clause.values[-1])
        with body.attempt():
            first = body.temporary(_first_text([body.value(value) for value in clause.values[:-1]]))
            there = body.temporary(f"out.get({first})")
            if image is not None:
                taken = f"{image} if own else set({image}); own = False" if own else f"set({image})"
                body.add(f"if {there} is None: out[{first}] = {taken}")
                body.add(f"else: {there}.update({image})")
            else:
                value = body.value(clause.values[-1]) if clause.values else "None"
                body.add(f"if {there} is None: out[{first}] = {{{value}}}")
                body.add(f"else: {there}.add({value})")
        about = self._compiler.about(clause, f"all at once from literal {place + 1}", planned)
        return code.function(about, "def run(seeds, out):", body.lines, f"<{label(clause.source)}>")

    def _expected(self, relation: str, columns: Columns) -> float:
        if relation in self._held:
            return float(_MANY >> 3 * len(columns))
        return self._compiler.expected(relation, columns)

    def _image(self, body: Body, clause: Clause, rest: list[tuple[int, Step]], name: str) -> str | None:
        """Follow a set of values, by atoms that need nothing else, to the head's last column; the text of that set.

        The steps taken are removed from the rest. None if there is no such way.
        """
        way: list[tuple[tuple[int, Step], str]] = []
        left, last = list(rest), clause.values[-1] if clause.values else None
        elsewhere = frozenset[str]().union(*map(names, clause.values[:-1]))
        while last != s.Variable(name) or any(name in names(step) for _, step in left):
            users = [item for item in left if name in names(item[1])]
            if len(users) != 1 or name in elsewhere or (last is not None and name in names(last)):
                return None
            step = users[0][1]
            reached = self._only(step, {*body.locals, name})
            if reached is None or not isinstance(step, s.Atom) or _occurs(step, name) != 1:
                return None
            way.append((users[0], name))
            left.remove(users[0])
            name = reached
        if name in elsewhere:
            return None
        rest[:] = left
        found = "found"
        for at, ((_, step), taken) in enumerate(way):
            assert isinstance(step, s.Atom)
            value = body.code.fresh("t")
            onward = s.Variable(way[at + 1][1]) if at + 1 < len(way) else clause.values[-1]
            source = self._source(body, step, {taken: value}, onward)
            found = body.temporary(f"set().union(*[{source} for {value} in {found}])")
            body.add(f"if not {found}: continue")
        return found

    def _only(self, step: Step, known: set[str]) -> str | None:
        """The one variable, in one column, that an atom adds to what is known; None if it is not so simple."""
        if not isinstance(step, s.Atom):
            return None
        values = [argument.value for argument in step.arguments]
        new = [value.name for value in values if isinstance(value, s.Variable) and value.name not in known]
        wild = step.relation in self._held and any(isinstance(value, s.Wildcard) for value in values)
        simple = all(isinstance(value, (s.Variable, s.Wildcard, s.Constant)) for value in values)
        return new[0] if simple and not wild and len(new) == 1 else None

    def _final(self, body: Body, clause: Clause, steps: list[Step]) -> s.Atom | None:
        """The last step, if it just gives the values of the head's last column."""
        if not steps or not clause.values or not isinstance(steps[-1], s.Atom):
            return None
        *first, last = clause.values
        reached = self._only(steps[-1], set(body.locals).union(*map(names, steps[:-1])))
        alone = reached is not None and last == s.Variable(reached) and all(reached not in names(v) for v in first)
        return steps[-1] if alone else None

    def _source(self, body: Body, atom: s.Atom, more: Mapping[str, str], reached: s.Expression) -> str:
        """The text of the values of one variable in the rows of an atom, all else known."""
        arguments = [argument.value for argument in atom.arguments]
        fixed = {
            i: more[value.name] if isinstance(value, s.Variable) and value.name in more else body.value(value)
            for i, value in enumerate(arguments)
            if not isinstance(value, s.Wildcard) and value != reached
        }
        column = arguments.index(reached)
        if atom.relation in self._held:
            return self._within(body, atom.relation, fixed)
        key = (atom.relation, tuple(fixed), column)
        if key not in self._images:
            self._images[key] = Image(self._compiler.tables[atom.relation], tuple(fixed), column)
        image = self._images[key]
        if not fixed:
            return body.code.name("image", image.all)
        return f"{body.code.name('image', image.sets)}.get({key_text(list(fixed.values()))}, ())"

    def _within(self, body: Body, relation: str, fixed: Mapping[int, str]) -> str:
        """The text of the values of the columns that are not fixed, in the component's rows."""
        arity = self._compiler.tables[relation].arity
        if arity - 1 not in fixed and len(fixed) == arity - 1:
            held = body.code.name("held", self._held[relation])
            return f"{held}.get({_first_text(list(fixed.values()))}, ())"
        index = body.code.name("index", self._indexes[relation].setdefault(tuple(fixed), {}))
        return f"{index}.get({key_text(list(fixed.values()))}, ())"

    def _join(self, body: Body, atom: s.Atom) -> None:
        """Range over the component's rows that match what is bound."""
        arguments, kinds = [a.value for a in atom.arguments], self._compiler.kinds[atom.relation]
        fixed = fixed_parts(body, arguments)
        rest = [i for i in range(len(arguments)) if i not in fixed]
        if not rest:
            *first, last = fixed.values() if fixed else ("None",)
            held = body.code.name("held", self._held[atom.relation])
            body.add(f"if {last} not in {held}.get({_first_text(first)}, ()): continue")
            return
        parts = {i: body.code.fresh("t") for i in rest}
        target = "".join(f"{part}, " for part in parts.values()) if len(rest) > 1 else parts[rest[0]]
        body.loop(target, self._within(body, atom.relation, fixed))
        match_parts(body, arguments, parts, kinds)
        narrow(body, arguments, fixed, kinds)


def _first(row: Row) -> Any:
    return row[:-1] if len(row) > 2 else row[0] if len(row) == 2 else None


def _first_text(values: list[str]) -> str:
    return tuple_text(values) if len(values) > 1 else values[0] if values else "None"


def _occurs(atom: s.Atom, name: str) -> int:
    return sum(argument.value == s.Variable(name) for argument in atom.arguments)


def _rows(arity: int, groups: Groups) -> Iterator[Row]:
    for first, found in groups.items():
        start = first if arity > 2 else (first,) if arity == 2 else ()
        for last in found:
            yield (*start, last) if arity else ()


def _ranks(arity: int, held: Groups) -> dict[Row, int]:
    """The rows with their ranks."""
    if arity == 2:
        return {(first, last): rank for first, ranks in held.items() for last, rank in ranks.items()}
    found: dict[Row, int] = {}
    for first, ranks in held.items():
        found.update(zip(_rows(arity, {first: ranks}), ranks.values(), strict=True))
    return found
