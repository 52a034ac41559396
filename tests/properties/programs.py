"""Random programs and histories: well-typed, safe and stratified by how they are made.

A program is text, so that every law also goes through the parser and the checker. Relations are made in order;
positive atoms may look at the relations of the same pair (recursion), everything else only at earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from kdl.fact import FALSE, TRUE, Fact, Row, literal, row, value

INPUTS = {
    "e": ("int", "int"),
    "n": ("int",),
    "s": ("str", "int"),
    "d": ("str", "json"),
    "t": ("int", "time"),
    "y": ("int", "any"),
}
"""The input relations of every program, with their column types."""

TIMES = (0, 1000, 2000, 3000)
DOCUMENTS = tuple(
    value(item)
    for item in (
        {},
        {"x": 1, "l": [1, 2, 2], "m": {"a": 1, "b": "one"}},
        {"x": 2, "l": [], "m": {"a": True}},
        {"x": "b", "l": [{"x": 1}, {"x": 3, "y": None}], "m": {}},
        {"x": True, "l": ["a", 1, None], "m": {"b": {"x": 0}}},
        {"x": [0, 1], "l": 3, "m": "b"},
        {"x": 0.5, "l": [0], "m": {"a": 2, "c": [1]}},
    )
)
ANYTHING = (None, TRUE, FALSE, 0, 1, 2, value(0.5), "a", "1", (), (1, "a"), (TRUE,), *DOCUMENTS[:3])
DOMAIN: dict[str, tuple[object, ...]] = {
    "int": (0, 1, 2, 3),
    "str": ("a", "b", "1"),
    "time": TIMES,
    "json": DOCUMENTS,
    "any": ANYTHING,
}

inputs: st.SearchStrategy[Fact] = st.one_of(
    *[
        st.tuples(*[st.sampled_from(DOMAIN[kind]) for kind in kinds]).map(
            lambda items, name=name: Fact(name, row(items))
        )
        for name, kinds in INPUTS.items()
    ]
)
"""One input fact."""


@dataclass
class Step:
    """One delta of a history."""

    insert: list[Fact] = field(default_factory=list)
    remove: list[Fact] = field(default_factory=list)
    now: int | None = None


@st.composite
def histories(draw: st.DrawFn, most: int = 6) -> list[Step]:
    """Deltas one after the other; removals are mostly of facts that are there, and the clock goes forward."""
    base: dict[Fact, None] = {}
    now = 0
    steps = []
    for size in [9, *draw(st.lists(st.integers(0, 4), min_size=2, max_size=most - 1))]:
        step = Step(insert=draw(st.lists(inputs, min_size=size, max_size=size + 2, unique=True)))
        if base:
            step.remove = draw(st.lists(st.sampled_from(list(base)), max_size=3, unique=True))
            step.remove = [fact for fact in step.remove if fact not in step.insert]
        if draw(st.integers(0, 3)) == 0:
            now += draw(st.sampled_from((500, 1000, 1500)))
            step.now = now
        for fact in step.remove:
            base.pop(fact)
        base.update(dict.fromkeys(step.insert))
        steps.append(step)
    return steps


# --- programs --------------------------------------------------------------------------------------------------------


@dataclass
class Body:
    """A body in the making: the literals so far and the variables that they bind, with their types."""

    draw: st.DrawFn
    relations: dict[str, tuple[str, ...]]
    """What may stand in any literal."""
    prefix: str = ""
    literals: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    made: int = 0

    def choose(self, *items: str) -> str:
        return self.draw(st.sampled_from(items))

    def chance(self, percent: int) -> bool:
        return self.draw(st.integers(0, 99)) < percent

    def fresh(self, kind: str) -> str:
        self.made += 1
        name = f"{self.prefix}V{self.made}"
        self.known[name] = kind
        return name

    def of(self, *kinds: str) -> list[str]:
        return [name for name, kind in self.known.items() if kind in kinds]

    def constant(self, kind: str) -> str:
        return literal(value(self.draw(st.sampled_from(DOMAIN[kind]))))

    def atom(self, relation: str, kinds: tuple[str, ...], binds: bool = True) -> str:
        arguments = []
        for kind in kinds:
            same = self.of(kind)
            roll = self.draw(st.integers(0, 9))
            if same and (roll < 4 or (not binds and roll < 7)):
                arguments.append(self.choose(*same))
            elif roll < 8 and binds:
                arguments.append(self.fresh(kind))
            elif roll == 8 and kind != "json":
                arguments.append(self.constant(kind))
            else:
                arguments.append("_")
        return f"{relation}({', '.join(arguments)})"

    def positive(self, relations: dict[str, tuple[str, ...]]) -> None:
        name = self.choose(*relations)
        self.literals.append(self.atom(name, relations[name]))

    def number(self) -> str:
        """An expression that is an integer, or faults, or is missing."""
        known = self.of("int", "time")
        one = self.choose(*known) if known and self.chance(80) else self.constant("int")
        if self.chance(60):
            return one
        other = self.choose(*known) if known and self.chance(60) else self.constant("int")
        return f"({one} {self.choose('+', '-', '*', '/', '%')} {other})"

    def anything(self) -> tuple[str, str]:
        """An expression and its type; ``odd`` is one that only a column of any type takes."""
        documents, dynamic, known = self.of("json"), self.of("any"), list(self.known)
        way = self.draw(st.integers(0, 7))
        if way <= 2 and documents:
            return self.path(self.choose(*documents)), "any"
        if way == 3 and dynamic:
            return f"({self.choose(*dynamic)} ?? {self.constant('int')})", "any"
        if way == 4 and known:
            return 'f"{' + self.choose(*known) + '}!"', "str"
        if way == 5 and len(known) > 1:
            return f"({self.choose(*known)}, {self.choose(*known)})", "odd"
        if way == 6 and known:
            return '{"x": ' + self.choose(*known) + "}", "odd"
        if known and way == 7:
            one = self.choose(*known)
            return f"({one} if {self.condition()} else {self.constant('int')})", "odd"
        if known:
            one = self.choose(*known)
            return one, self.known[one]
        return self.constant("any"), "odd"

    def path(self, document: str) -> str:
        steps = self.choose(".x", ".l", ".m", ".m.a", ".l[0]", ".l[1].x", '.m["b"]', ".x.y", ".none")
        return document + steps + self.choose("", "", " ?? 0", ' ?? "a"', " ?? null").replace(" ??", " ??")

    def condition(self) -> str:
        dynamic = self.of("any", "json")
        way = self.draw(st.integers(0, 6))
        if way <= 2 or not dynamic:
            return f"{self.number()} {self.choose('<', '<=', '!=', '>=', '>')} {self.number()}"
        one = self.choose(*dynamic)
        if way == 3:
            return f"{one} {self.choose('<', '>')} {self.number()}"
        if way == 4:
            return f"not ({one} = {self.constant('any')})"
        if way == 5:
            equality = f"({self.anything()[0]}) {self.choose('=', '!=')} {one}"
            return f"({equality} {self.choose('and', 'or')} {self.number()} < 2)"
        return f"({one} ?? null) = null"

    def other(self, depth: int) -> None:
        """One literal that is no positive atom."""
        way = self.draw(st.integers(0, 11))
        documents = self.of("json")
        if way <= 1:
            name = self.choose(*self.relations)
            self.literals.append(f"not {self.atom(name, self.relations[name], binds=False)}")
        elif way == 2:
            self.literals.append(self.condition())
        elif way == 3:
            number = self.number()
            self.literals.append(f"{self.fresh('int')} = {number}")
        elif way == 4:
            found, kind = self.anything()
            self.literals.append(f"{self.fresh(kind)} = {found}")
        elif way == 5 and documents:
            source = self.choose(*documents) + self.choose(".l", ".m", ".l", ".x")
            if self.chance(50):
                self.literals.append(f"{self.fresh('any')} in {source}")
            else:
                self.literals.append(f"{self.fresh('any')}: {self.fresh('any')} in {source}")
        elif way == 6:
            high = f"{self.number()} % {self.choose('3', '4', '0')}"
            self.literals.append(f"{self.fresh('int')} in {self.choose('0', '1', '-1')}..{high}")
        elif way == 7:
            times = self.of("time") or self.of("int")
            if times:
                time = self.choose(*times)
                scaled = time if self.known[time] == "time" else f"{time} * 1000"
                self.literals.append(f"{self.choose('', 'not ')}due({scaled})")
        elif way == 8 and len(self.known) > 1:
            one, other = self.choose(*self.known), self.choose(*self.known)
            self.literals.append(f"(_, {self.fresh(self.known[other])}) = ({one}, {other})")
        elif depth > 0:
            self.aggregate(depth)

    def aggregate(self, depth: int) -> None:
        self.made += 1
        inner = Body(self.draw, self.relations, f"{self.prefix}I{self.made}")
        inner.known = dict(self.known)
        before = set(inner.known)
        for _ in range(self.draw(st.integers(1, 2))):
            inner.positive(self.relations)
        if self.chance(40):
            inner.other(depth - 1)
        body = ", ".join(inner.literals)
        own = [name for name in inner.known if name not in before] or list(inner.known) or ["1"]
        numbers = [name for name in own if inner.known.get(name) in ("int", "time", "any", "json")] or ["1"]
        way = self.draw(st.integers(0, 6))
        if way <= 1:
            self.literals.append(f"{self.fresh('int')} = count : {{ {body} }}")
        elif way == 2:
            number = self.choose(*numbers)
            kind = "any" if inner.known.get(number) in ("any", "json") else "int"
            self.literals.append(f"{self.fresh(kind)} = sum {number} : {{ {body} }}")
        elif way == 3:
            one, other = self.choose(*own), self.choose(*own)
            found = self.fresh(inner.known.get(one, "int"))
            self.literals.append(f"({found}, _) = {self.choose('min', 'max')} ({one}, {other}) : {{ {body} }}")
        elif way == 4:
            self.literals.append(f"{self.fresh('odd')} = list {self.choose(*own)} : {{ {body} }}" + self.default())
        else:
            function = self.choose("min", "max")
            one, default = self.choose(*own), self.default()
            found = self.fresh("odd" if default else inner.known.get(one, "int"))
            self.literals.append(f"{found} = {function} {one} : {{ {body} }}{default}")

    def default(self) -> str:
        return self.choose("", "", " ?? 0", ' ?? "none"', " ?? []")

    def head(self, relation: str, kinds: tuple[str, ...], plain: bool) -> str:
        arguments = []
        for kind in kinds:
            same = self.of(kind, "time") if kind == "int" else self.of(kind)
            dynamic = list(self.known) if kind == "any" else self.of("any")
            if same and (plain or self.chance(75)):
                arguments.append(self.choose(*same))
            elif kind == "any" and dynamic and plain:
                arguments.append(self.choose(*dynamic))
            elif plain:
                arguments.append(self.constant(kind))
            elif kind == "int":
                arguments.append(self.choose(*dynamic) if dynamic and self.chance(40) else self.number())
            elif kind == "any":
                arguments.append(self.anything()[0])
            elif dynamic and self.chance(40):
                arguments.append(self.choose(*dynamic))
            elif self.known:
                arguments.append('f"' + self.choose("", "x") + "{" + self.choose(*self.known) + '}"')
            else:
                arguments.append(self.constant(kind))
        return f"{relation}({', '.join(arguments)})"


@st.composite
def programs(draw: st.DrawFn) -> str:
    """The text of a program with two to five derived relations."""
    lines = [
        f"input rel {name}({', '.join(f'c{i}: {kind}' for i, kind in enumerate(kinds))})."
        for name, kinds in INPUTS.items()
    ]
    below: dict[str, tuple[str, ...]] = dict(INPUTS)
    number = 0
    for recursive in draw(st.lists(st.booleans(), min_size=2, max_size=4)):
        group: dict[str, tuple[str, ...]] = {}
        for _ in range(draw(st.integers(1, 2)) if recursive else 1):
            kinds = st.sampled_from(("int", "int", "str", "any"))
            group[f"r{number}"] = tuple(draw(st.lists(kinds, min_size=1, max_size=3)))
            number += 1
        for name, kinds in group.items():
            lines.append(f"rel {name}({', '.join(f'c{i}: {kind}' for i, kind in enumerate(kinds))}).")
        for name, kinds in group.items():
            lines.append(_rule(draw, name, kinds, below, {}))
            more = draw(st.integers(0, 2))
            lines += [_rule(draw, name, kinds, below, group if recursive else {}) for _ in range(more)]
        below |= group
    return "\n".join(lines) + "\n"


def _rule(
    draw: st.DrawFn,
    name: str,
    kinds: tuple[str, ...],
    below: dict[str, tuple[str, ...]],
    group: dict[str, tuple[str, ...]],
) -> str:
    body = Body(draw, below)
    recursive = bool(group) and body.chance(60)
    for _ in range(draw(st.integers(1, 2))):
        body.positive(below)
    if recursive:
        body.positive(group)
    for _ in range(draw(st.integers(0, 2))):
        body.other(1)
    return f"{body.head(name, kinds, plain=recursive)} :- {', '.join(body.literals)}."


def shown(program: str, steps: list[Step]) -> str:
    """A program and a history as a case of tests/semantics."""
    lines = ["```kdl", program.rstrip(), "```", "", "```history"]
    for step in steps:
        lines += [f"+ {fact}" for fact in step.insert] + [f"- {fact}" for fact in step.remove]
        lines += [f"clock {step.now}"] if step.now is not None else []
        lines.append("---")
    return "\n".join([*lines, "```"])


def net(steps: list[Step]) -> tuple[list[Fact], int]:
    """The base facts and the clock at the end of a history."""
    base: dict[Fact, None] = {}
    now = 0
    for step in steps:
        for fact in step.remove:
            base.pop(fact, None)
        base.update(dict.fromkeys(step.insert))
        now = now if step.now is None else step.now
    return list(base), now


__all__ = ["INPUTS", "Row", "Step", "histories", "inputs", "net", "programs", "shown"]
