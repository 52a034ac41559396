"""What would follow if facts were added and removed: effects first, then what is derived; nothing is kept.

One step of the rules is shown, as far as they lead without anything being done: the effects that would be wanted then,
not what these effects would bring about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kdl.effects.driver import operation_id
from kdl.fact import Delta, Document, Fact, Row, plain, sort_key, value
from kdl.parser import syntax as s
from kdl.rules.builtin import Fault
from kdl.rules.engine import Engine
from kdl.rules.evaluate import MISSING, evaluate
from kdl.rules.explain import reason
from kdl.rules.program import Relation, label
from kdl.rules.proof import Origin
from kdl.rules.wording import fact_text, goal_text
from kdl.runtime.api.documents import written
from kdl.runtime.objects import OBJECT, fact_of
from kdl.runtime.questions import Answer, View, ask_why, ask_why_not, goal, matching, query
from kdl.runtime.seal import Seal
from kdl.runtime.store import Key, Object

LINES: Final = 40
"""How many changes are shown, unless told otherwise."""

FEW: Final = 5
"""How many changes of one relation are shown."""

_STATUS: Final = "api.write_status:"
"""Effects that only write down what others did come last."""


@dataclass(frozen=True, slots=True)
class Supposition:
    """Facts that are supposed to be there, and not to be there, at a time (None: now)."""

    insert: tuple[Fact, ...] = ()
    remove: tuple[Fact, ...] = ()
    now: int | None = None


@dataclass(frozen=True, slots=True)
class Consequence:
    """One effect that would be wanted, or would not any more: its verb, its name, and what causes it."""

    verb: str
    name: str
    sentence: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Consequences:
    """All that a supposition changes. `relations` has the rows by relation, those added and those removed."""

    supposed: Supposition
    effects: tuple[Consequence, ...] = ()
    relations: Mapping[str, tuple[tuple[Row, ...], tuple[Row, ...]]] = field(default_factory=dict)


def ground(engine: Engine, text: str) -> Fact:
    """A fact as it is written. Raises `ProgramError`, and `ValueError` for one with a value missing."""
    atom = goal(engine, text)
    row = []
    for argument in atom.arguments:
        open_ = any(isinstance(node, (s.Variable, s.Wildcard)) for node in s.walk(argument))
        try:
            found = MISSING if open_ else evaluate(argument.value, {})
        except Fault as fault:
            raise ValueError(str(fault)) from None
        if found is MISSING:
            raise ValueError("a fact has a value in every column")
        row.append(found)
    return Fact(atom.relation, tuple(row))


def matched(engine: Engine, text: str) -> list[Fact]:
    """The facts that an atom matches. Raises `ProgramError`, and `ValueError` if there are none."""
    atom = goal(engine, text)
    rows = matching(engine, atom)
    if not rows:
        raise ValueError(f"there is no {goal_text(atom, {})}")
    return [Fact(atom.relation, row) for row in rows]


def suppose(
    engine: Engine,
    insert: Iterable[str] = (),
    remove: Iterable[str] = (),
    objects: Iterable[Mapping[str, Any]] = (),
    advance: int = 0,
) -> Supposition:
    """The supposition that texts and objects stand for, `advance` milliseconds from the engine's time.

    An object takes the place of the one of its name; its secret data is told by marks that compare with no others, so
    that nobody finds data out by supposing it. Raises `ProgramError`, `ValueError`.
    """
    from kdl.parser.manifest.kinds import identity

    come = [ground(engine, text) for text in insert]
    gone = [fact for text in remove for fact in matched(engine, text)]
    seal = Seal()
    for given in objects:
        key, doc = identity(given), value(written(given))
        assert isinstance(doc, Document)
        gone += [Fact(OBJECT, row) for row in engine.lookup(OBJECT, dict(enumerate(key)))]
        come.append(fact_of(seal(Object(Key(*key), 0, doc))))
    return Supposition(tuple(come), tuple(gone), engine.now + advance if advance else None)


_QUESTIONS: Final = ("why", "whynot", "query")


def _is_text(given: Any) -> bool:
    return isinstance(given, str)


def _is_count(given: Any) -> bool:
    return type(given) is int and 0 <= given < 2**53


def _is_object(given: Any) -> bool:
    if not isinstance(given, Mapping) or not isinstance(metadata := given.get("metadata"), Mapping):
        return False
    return all(map(_is_text, (given.get("apiVersion"), given.get("kind"), metadata.get("name"))))


def _is_question(given: Any) -> bool:
    return isinstance(given, Mapping) and len(given) < 2 and all(n in _QUESTIONS and _is_text(given[n]) for n in given)


def _list_of(what: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda given: isinstance(given, Sequence) and not _is_text(given) and all(map(what, given))


FORMS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "insert": (_list_of(_is_text), "a list of facts"),
    "remove": (_list_of(_is_text), "a list of facts"),
    "objects": (_list_of(_is_object), "a list of objects with `apiVersion`, `kind` and `metadata.name`"),
    "advance": (_is_count, "a number of milliseconds"),
    "lines": (_is_count, "a number of lines"),
    "ask": (lambda given: given is None or _is_question(given), "one question by its verb: why, whynot or query"),
}
"""What each part of a request is, and how that is said."""


def consequences(engine: Engine, supposed: Supposition, changed: Delta) -> Consequences:
    """What a supposition changes; asked while `engine` supposes it. What was supposed is not among it."""
    own = {*supposed.insert, *supposed.remove}
    found: dict[str, tuple[tuple[Row, ...], tuple[Row, ...]]] = {}
    for name in sorted({*changed.added, *changed.removed}):
        sides = [
            tuple(sorted((row for row in side.get(name, ()) if Fact(name, row) not in own), key=sort_key))
            for side in (changed.added, changed.removed)
        ]
        if any(sides):
            found[name] = (sides[0], sides[1])
    relations = engine.program.relations
    effects = [
        one for name, (added, removed) in found.items() if relations[name].effect
        for one in _effects(engine, relations[name], added, removed)
    ]  # fmt: skip
    effects.sort(key=lambda one: one.name.startswith(_STATUS))
    derived = {name: sides for name, sides in found.items() if not relations[name].effect}
    return Consequences(supposed, tuple(effects), derived)


def _effects(engine: Engine, relation: Relation, added: Sequence[Row], removed: Sequence[Row]) -> Iterator[Consequence]:
    def by_key(rows: Sequence[Row]) -> dict[Row, Row]:
        return {tuple([row[index] for index in relation.key]): row for row in rows}

    come, gone = by_key(added), by_key(removed)
    for key, row in come.items():
        verb = "run" if relation.observes is None else "replace" if key in gone else "create"
        why = reason(engine, Fact(relation.name, row))
        told = (why[1], label(why[0])) if why is not None else ()
        yield Consequence(verb, operation_id(relation.name, key), *told)
    for key in gone.keys() - come.keys():
        yield Consequence("drop" if relation.observes is None else "remove", operation_id(relation.name, key))


def text(found: Consequences, lines: int = LINES) -> str:
    """Consequences for people: at most so many changes, and how many more there are."""
    told = [f"+ {fact_text(fact)}" for fact in found.supposed.insert]
    told += [f"- {fact_text(fact)}" for fact in found.supposed.remove]
    shown = [f"suppose {told[0]}" if len(told) == 1 else "suppose", *(f"  {one}" for one in told[:lines] if told[1:])]
    if len(told) > lines:
        shown.append(f"  … and {len(told) - lines} more")
    if not told:
        shown = ["suppose that time passes"]
    if not found.effects and not found.relations:
        return "\n".join([*shown, "nothing follows"])
    if found.effects:
        shown.append(f"effects: {len(found.effects)}")
        shown += [f"  {_line(one)}" for one in found.effects[:lines]]
        if len(found.effects) > lines:
            shown.append(f"  … and {len(found.effects) - lines} more effects")
    shown += _derived(found, lines - len(found.effects))
    return "\n".join(shown)


def _derived(found: Consequences, left: int) -> Iterator[str]:
    """The relations that change, each with its first few rows, as far as there is room."""
    if found.relations:
        yield f"derived: {sum(len(a) + len(r) for a, r in found.relations.values())}"
    for number, (name, (added, removed)) in enumerate(found.relations.items()):
        if left <= 0:
            rest = [*found.relations.items()][number:]
            names = ", ".join(other for other, _ in rest[:8]) + (f" and {len(rest) - 8} more" if rest[8:] else "")
            yield f"  … and {sum(len(a) + len(r) for _, (a, r) in rest)} more, of {names}"
            return
        rows = [("+", row) for row in added] + [("-", row) for row in removed]
        for sign, row in rows[: min(left, FEW)]:
            yield f"  {sign} {fact_text(Fact(name, row))}"
        if (more := len(rows) - min(left, FEW)) > 0:
            yield f"    … and {more} more {name}"
        left -= min(len(rows), FEW)


def _line(one: Consequence) -> str:
    why = f"  “{one.sentence}”" if one.sentence else ""
    return f"{one.verb} {one.name}{why}" + (f"  {one.rule}" if one.rule else "")


def data(found: Consequences) -> dict[str, Any]:
    """Consequences as JSON-able data, all of them."""

    def rows(some: Iterable[Row]) -> list[Any]:
        return [[plain(item) for item in row] for row in some]

    def facts(some: Iterable[Fact]) -> list[Any]:
        return [{"relation": fact.relation, "row": [plain(item) for item in fact.row]} for fact in some]

    return {
        "supposed": {"added": facts(found.supposed.insert), "removed": facts(found.supposed.remove)},
        "effects": [
            {"verb": one.verb, "id": one.name, "sentence": one.sentence, "rule": one.rule} for one in found.effects
        ],
        "derived": {
            name: {"added": rows(added), "removed": rows(removed)} for name, (added, removed) in found.relations.items()
        },
    }


def question(engine: Engine, asked: Mapping[str, str] | None, origin: Origin | None) -> Callable[[], Answer] | None:
    """What is asked while something is supposed: ``{"why": GOAL}``, ``{"whynot": GOAL}`` or ``{"query": QUERY}``."""
    if not asked:
        return None
    ((verb, words),) = asked.items()
    if verb == "why":
        return lambda: ask_why(engine, words, origin, view=View(form="json"))
    if verb == "whynot":
        return lambda: ask_why_not(engine, words, View(form="json"))
    return lambda: _rows(query(engine, words))


def _rows(rows: list[dict[str, Any]]) -> Answer:
    return Answer(bool(rows), "\n".join(str(row) for row in rows), {"rows": rows})


def ask_what_if(
    engine: Engine, supposed: Supposition, lines: int = LINES, then: Callable[[], Answer] | None = None
) -> Answer:
    """What a supposition changes, and the answer to a question asked then.

    It `holds` if the question's answer does; without a question, if anything follows. Raises `ValueError`,
    `LimitExceeded`.
    """
    with engine.supposing(supposed.insert, supposed.remove, supposed.now) as changed:
        found = consequences(engine, supposed, changed)
        answer = then() if then is not None else None
    if answer is None:
        return Answer(bool(found.effects or found.relations), text(found, lines), data(found))
    return Answer(answer.holds, answer.text, {**data(found), "answer": answer.data})
