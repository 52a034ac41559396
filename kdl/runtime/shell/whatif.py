"""`kdl whatif`: what would follow if things were different; nothing is done."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdl.runtime.shell.ask import output_option, rows_text, scratch_options
from kdl.runtime.shell.connect import data_option, namespace_option, server

if TYPE_CHECKING:
    from kdl.parser.manifest.kinds import Kind
    from kdl.parser.manifest.load import Manifest
    from kdl.runtime.api.client import Client

_OBJECT = re.compile(r"([A-Za-z][\w.-]*)/([\w.-]+)")


@click.command("whatif")
@click.argument("facts", nargs=-1, metavar="[+FACT]...")
@click.option("--remove", "removed", multiple=True, metavar="FACT|KIND/NAME",
              help="Suppose the facts that match, or an object, away.")  # fmt: skip
@click.option("--advance", metavar="DURATION", help="Suppose that so much time has passed, such as 5m.")
@click.option("--why", "why", metavar="GOAL", help="Ask why, in that state.")
@click.option("--whynot", "whynot", metavar="GOAL", help="Ask why not, in that state.")
@click.option("--query", "query", metavar="QUERY", help="Ask a query, in that state.")
@click.option("--world", "world", multiple=True, type=click.Path(allow_dash=True),
              help="Without a cluster: manifests of what there is already.")  # fmt: skip
@click.option("--lines", default=40, show_default=True, type=click.IntRange(1), help="How many changes to show.")
@namespace_option
@data_option
@scratch_options
@output_option
def whatif_command(
    facts: tuple[str, ...],
    removed: tuple[str, ...],
    advance: str | None,
    why: str | None,
    whynot: str | None,
    query: str | None,
    world: tuple[str, ...],
    lines: int,
    namespace: str,
    data: Path,
    rules: tuple[str, ...],
    files: tuple[str, ...],
    settle: bool,
    nodes: int,
    output: str,
) -> int:
    """Suppose facts, manifests (-f) and absences, and show the effects and derived facts that would follow.

    Asks the running cluster; with --world, -r or --settle, those manifests and packs instead. Nothing is kept or done.
    """
    asked = {name: goal for name, goal in (("why", why), ("whynot", whynot), ("query", query)) if goal is not None}
    if len(asked) > 1:
        raise click.UsageError("ask one question: --why, --whynot or --query")
    if not (facts or removed or files or advance):
        raise click.UsageError("say what to suppose: +FACT, -f MANIFEST, --remove or --advance")
    request: dict[str, Any] = {
        "insert": [fact.removeprefix("+").strip() for fact in facts],
        "advance": _duration(advance) if advance else 0,
        "ask": asked,
        "lines": lines,
    }
    from kdl.parser.manifest.load import load

    manifests = load(files, namespace=namespace)
    if world or rules or settle:
        from kdl.parser.manifest.kinds import BUILT_IN

        request["remove"] = [_goal(word, BUILT_IN.lookup, namespace) for word in removed]
        request["objects"] = [manifest.doc for manifest in manifests]
        answer = _offline(request, rules, world, nodes if settle else 0)
    else:
        with server(data) as client:
            request["remove"] = [_goal(word, client.kind, namespace) for word in removed]
            request["objects"] = [_applied(client, manifest) for manifest in manifests]
            answer = client.kdl("whatif", request)
    if output == "json":
        click.echo(json.dumps(answer["data"], indent=2))
    elif query is not None:
        click.echo(rows_text(answer["data"]["answer"]["rows"]))
    else:
        click.echo(answer["text"])
    return 0 if answer["holds"] else 1


def _offline(request: dict[str, Any], rules: Iterable[str], world: tuple[str, ...], nodes: int) -> dict[str, Any]:
    from kdl.runtime import whatif
    from kdl.runtime.shell.scratch import Scratch, program_of, settled

    program = program_of(list(rules))
    scratch = settled(program, world, nodes) if nodes else Scratch(program, world)
    engine = scratch.engine if isinstance(scratch, Scratch) else scratch.brain.engine
    try:
        supposed = whatif.suppose(engine, request["insert"], request["remove"], request["objects"], request["advance"])
        question = whatif.question(engine, request["ask"], scratch.origin)
        return whatif.ask_what_if(engine, supposed, request["lines"], question).document()
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _applied(client: Client, manifest: Manifest) -> dict[str, Any]:
    """The object that applying a manifest would store."""
    return client.apply(manifest.written, manifest.doc["metadata"].get("namespace", "default"), dry_run=True)[1]


def _goal(word: str, kind_of: Any, namespace: str) -> str:
    """The goal that ``KIND/NAME`` stands for; a goal stands for itself."""
    from kdl.fact import literal

    named = _OBJECT.fullmatch(word)
    if named is None:
        return word
    kind: Kind | None = kind_of(named[1])
    if kind is None:
        raise click.UsageError(f"there is no kind `{named[1]}`")
    id_ = f"{namespace}/{named[2]}" if kind.namespaced else named[2]
    return f"core.object({literal(kind.group)}, {literal(kind.name)}, {literal(id_)}, _, _)"


def _duration(text: str) -> int:
    from kdl.parser.quantity import dur

    try:
        return dur(text)
    except ValueError as error:
        raise click.UsageError(f"--advance: {error}") from None
