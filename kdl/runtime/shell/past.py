"""The past of a data folder's cluster: `kdl history`, and engines as they were for commands that ask with --at."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import click

from kdl.fact import Fact
from kdl.parser import quantity
from kdl.rules.engine import Engine
from kdl.runtime.clock import SystemClock
from kdl.runtime.journal import Entry, entries, replay
from kdl.runtime.origins import Origins
from kdl.runtime.shell.connect import data_option
from kdl.runtime.store import StoreError
from kdl.runtime.store.sqlite import sources


def at_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option for a moment of the past."""
    return click.option(
        "--at",
        metavar="TIME",
        help="Ask the cluster as it was then: a time such as 2026-01-31T12:00:00Z, or how long ago, such as 90s or 2h.",
    )(function)


def moment(text: str) -> int:
    """Milliseconds since the Unix epoch of what --at says. Raises `click.UsageError`."""
    try:
        return (
            SystemClock().now() - abs(quantity.dur(text))
            if text[-1:].isalpha() and "T" not in text
            else quantity.time(text)
        )
    except ValueError as error:
        raise click.UsageError(f"--at: {error}") from None


def engine_at(data: Path, at: int) -> tuple[Engine, Origins]:
    """The engine as it was at a time, and where the objects' fields were written. `StoreError` if that is not known."""
    engine = None
    for past in replay(data, at):
        engine = past.engine
    if engine is None:
        first = next(entries(data), None)
        known = f"the first moment recorded is {quantity.rfc3339(first.at)}" if first else "none was ever recorded"
        raise StoreError(f"nothing is known of `{data}` at {quantity.rfc3339(at)}: {known}")
    found = engine
    return found, Origins.of(lambda: found, sources(data).get)


@click.command("history")
@click.option("--last", default=20, show_default=True, help="How many moments, the newest last.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
@data_option
def history_command(last: int, output: str, data: Path) -> int:
    """List what the cluster was told and when: objects, observations, the clock. Ask about any moment with --at."""
    told = [entry for entry in entries(data) if not entry.whole][-last:]
    if not told:
        click.echo("nothing is recorded", err=True)
        return 1
    if output == "json":
        click.echo(json.dumps([_data(entry) for entry in told], indent=2))
    else:
        for entry in told:
            click.echo(f"{quantity.rfc3339(entry.at)}  +{len(entry.insert)} -{len(entry.remove)}  {_about(entry)}")
    return 0


def _data(entry: Entry) -> dict[str, Any]:
    return {
        "at": quantity.rfc3339(entry.at),
        "inserted": [str(fact) for fact in entry.insert],
        "removed": [str(fact) for fact in entry.remove],
    }


def _about(entry: Entry) -> str:
    """What a delta is about: objects by name, other facts by relation."""
    names = Counter(_name(fact) for fact in dict.fromkeys((*entry.insert, *entry.remove)))
    shown = [name for name, _ in islice(names.most_common(), 4)]
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(shown) + more if names else "the clock"


def _name(fact: Fact) -> str:
    return f"{fact.row[1]} {fact.row[2]}" if fact.relation == "core.object" else fact.relation
