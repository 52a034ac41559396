"""`kdl profile`: where the time of rules goes, rule by rule and delta by delta."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from kdl.runtime.shell.ask import output_option
from kdl.runtime.shell.change import files_option
from kdl.runtime.shell.scratch import packs

if TYPE_CHECKING:
    from kdl.fact import Fact
    from kdl.rules.engine import Engine
    from kdl.rules.memory import Memory
    from kdl.rules.profile import Profile, Work


class Step(NamedTuple):
    """A delta: what it was, how long it took, what went in and came out, and the work of each rule."""

    name: str
    seconds: float
    entered: int
    changed: int
    work: list[Work]


@click.command("profile")
@click.argument("text", metavar="[QUERY]", required=False)
@packs
@files_option(required=False)
@click.option("--each", is_flag=True, help="Every object is a delta of its own: what a single change costs.")
@click.option("--top", default=20, show_default=True, help="So many rules, deltas and relations are shown.")
@output_option
def profile_command(
    text: str | None, rules: tuple[str, ...], files: tuple[str, ...], each: bool, top: int, output: str
) -> int:
    """Measure the rules over manifests: time and rows of each rule and of each delta, and memory of each relation.

    With QUERY only the rules that it needs are run, and the query is measured as well.
    """
    from kdl.parser.manifest.load import load
    from kdl.rules.engine import Engine
    from kdl.rules.profile import Profile
    from kdl.runtime.questions import part_for, query
    from kdl.runtime.shell.scratch import facts_of, program_of

    program = program_of(rules)
    program = part_for(program, text) if text else program
    facts = [fact for fact, _ in facts_of(load(files))]
    profile = Profile()
    started = time.perf_counter()
    engine = Engine(program, observer=profile)
    steps = [Step("start", time.perf_counter() - started, 0, 0, _taken(profile))]
    for name, group in [(_name(fact), [fact]) for fact in facts] if each else [("all objects", facts)] if facts else []:
        steps.append(_measured(engine, profile, name, group))
    asked: dict[str, Any] | None = None
    if text:
        started = time.perf_counter()
        rows = query(engine, text)
        asked = {"query": text, "ms": _ms(time.perf_counter() - started), "rows": len(rows)}
    memory, values = engine.memory()
    sizes = {name: memory[name] for name in program.relations}
    if output == "json":
        click.echo(json.dumps(_json(steps, asked, sizes, values), indent=2))
        return 0
    _tell(steps, asked, sizes, values, top)
    return 0


def _measured(engine: Engine, profile: Profile, name: str, facts: list[Fact]) -> Step:
    started = time.perf_counter()
    delta = engine.apply(insert=facts)
    seconds = time.perf_counter() - started
    changed = sum(map(len, delta.added.values())) + sum(map(len, delta.removed.values()))
    return Step(name, seconds, len(facts), changed, _taken(profile))


def _taken(profile: Profile) -> list[Work]:
    work = list(profile.work.values())
    profile.clear()
    return work


def _name(fact: Fact) -> str:
    _, kind, id, *_ = fact.row
    return f"{kind} {id}"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _by_rule(steps: Iterable[Step]) -> list[Work]:
    """The work of each rule over all deltas, the longest first."""
    from kdl.rules.profile import Work

    found: dict[int, Work] = {}
    for step in steps:
        for work in step.work:
            total = found.setdefault(id(work.rule), Work(work.rule))
            total.runs += work.runs
            total.seconds += work.seconds
            total.read += work.read
            total.derived += work.derived
    return sorted(found.values(), key=lambda work: (-work.seconds, work.rule.span))


def _rule(work: Work) -> dict[str, Any]:
    from kdl.rules.program import label

    return {
        "rule": label(work.rule),
        "relation": work.rule.head.relation,
        "runs": work.runs,
        "read": work.read,
        "derived": work.derived,
        "ms": _ms(work.seconds),
    }


def _json(steps: list[Step], asked: dict[str, Any] | None, sizes: dict[str, Memory], values: int) -> dict[str, Any]:
    return {
        "rules": [_rule(work) for work in _by_rule(steps)],
        "deltas": [
            {
                "delta": step.name,
                "ms": _ms(step.seconds),
                "entered": step.entered,
                "changed": step.changed,
                "rules": [_rule(work) for work in _by_rule([step])],
            }
            for step in steps
        ],
        "relations": {
            name: {"facts": size.facts, "rows": size.rows, "numbers": size.numbers, "indexes": size.indexes}
            for name, size in sizes.items()
            if size.facts
        },
        "values": values,
        "query": asked,
    }


# --- as text ---------------------------------------------------------------------------------------------------------


def _tell(steps: list[Step], asked: dict[str, Any] | None, sizes: dict[str, Memory], values: int, top: int) -> None:
    works = _by_rule(steps)
    inside, whole = sum(work.seconds for work in works), sum(step.seconds for step in steps)
    lines = [
        (entry["rule"], entry["relation"], *map(_count, (entry["runs"], entry["read"], entry["derived"])),
         f"{entry['ms']:.2f}", f"{100 * entry['ms'] / max(_ms(inside), 0.001):.0f} %")
        for entry in map(_rule, works[:top])
    ]  # fmt: skip
    _table(("RULE", "OF", "RUNS", "READ", "DERIVED", "MS", "SHARE"), lines)
    _more(len(works), top, "rules")
    shown = sorted(steps, key=lambda step: -step.seconds)[:top]
    deltas = []
    for step in shown:
        most = _by_rule([step])[:1]
        first = f"{_rule(most[0])['rule']} {_ms(most[0].seconds):.2f} ms" if most else ""
        deltas.append((step.name, f"{_ms(step.seconds):.2f}", _count(step.entered), _count(step.changed), first))
    click.echo()
    _table(("DELTA", "MS", "ENTERED", "CHANGED", "MOST OF IT IN"), deltas, left=(0, 4))
    _more(len(steps), top, "deltas")
    largest = sorted(((size.facts, name) for name, size in sizes.items() if size.facts), reverse=True)
    click.echo()
    relations = [
        (name, _count(facts), *map(_count, (round(size.each), size.rows, size.numbers, size.indexes)))
        for facts, name in largest[:top]
        for size in [sizes[name]]
    ]
    _table(("RELATION", "FACTS", "BYTES EACH", "ROWS", "COUNTS, RANKS", "INDEXES"), relations, left=(0,))
    _more(len(largest), top, "relations")
    facts = _count(sum(size.facts for size in sizes.values()))
    taken = _count(sum(size.rows + size.numbers + size.indexes for size in sizes.values()))
    click.echo(
        f"\n{_ms(whole):.1f} ms, of which {_ms(inside):.1f} ms within rules, the rest compiling and keeping; "
        f"{facts} facts in all, {taken} bytes and {_count(values)} of values, which they share"
    )
    if asked is not None:
        click.echo(f"the query took {asked['ms']:.2f} ms and has {_count(asked['rows'])} rows")


def _count(number: int) -> str:
    return f"{number:,}"


def _more(count: int, top: int, what: str) -> None:
    if count > top:
        click.echo(f"… {count - top} more {what}")


def _table(titles: tuple[str, ...], lines: Sequence[tuple[str, ...]], left: tuple[int, ...] = (0, 1)) -> None:
    """Columns under their titles, numbers to the right."""
    rows = [titles, *lines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(titles))]
    for row in rows:
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())
