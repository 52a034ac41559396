"""Commands that ask: `eval` and `query`, `why` and `whynot`; of a running cluster, or of packs and manifests alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from kdl.runtime.shell.change import files_option
from kdl.runtime.shell.connect import data_option, server
from kdl.runtime.shell.past import at_option, engine_at, moment
from kdl.runtime.shell.scratch import Scratch, packs, program_of, settled


def scratch_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a scratch cluster is made of."""
    function = click.option(
        "--settle", is_flag=True, help="Let fake nodes run the manifests to rest on a virtual clock first."
    )(function)
    function = click.option("--nodes", default=1, show_default=True, help="How many fake nodes, with --settle.")(
        function
    )
    return files_option(required=False)(packs(function))


def output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Text for people or JSON for scripts."""
    return click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")(function)


def view_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How an explanation is shown."""
    function = click.option(
        "--expand", multiple=True, metavar="NUMBER", help="Show all of what has this number in the answer, such as 2.1."
    )(function)
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json", "dot", "svg"]),
        default="text",
        help="Text, JSON, or a picture: for Graphviz, or as SVG.",
    )(function)


def rows_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as aligned columns under their variables; a query without variables says yes or no."""
    if not rows or not rows[0]:
        return "yes" if rows else "no"
    names = list(rows[0])
    cells = [[cell if isinstance(cell := row[name], str) else json.dumps(cell) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    lines = [names, *cells]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _answer_rows(rows: list[dict[str, Any]], output: str) -> int:
    click.echo(json.dumps(rows, indent=2) if output == "json" else rows_text(rows))
    return 0 if rows else 1


@click.command()
@click.argument("text", metavar="QUERY")
@click.option(
    "--engine",
    "opinion",
    type=click.Choice(["kdl", "pydatalog"]),
    default="kdl",
    show_default=True,
    help="Who works it out: pydatalog is a second opinion on what it can express, with kdl's facts for the rest.",
)
@scratch_options
@output_option
def eval_command(
    text: str, rules: tuple[str, ...], files: tuple[str, ...], settle: bool, nodes: int, output: str, opinion: str
) -> int:
    """Answer QUERY about manifests and packs, such as 'resources.qos(P, C)'. Needs no cluster."""
    from kdl.runtime.questions import part_for, query, second_opinion

    program = program_of(rules)
    part = part_for(program, text)
    engine = settled(program, files, nodes).brain.engine if settle else Scratch(part, files).engine
    if opinion == "kdl":
        return _answer_rows(query(engine, text), output)
    from kdl.rules.pydatalog import Inexpressible

    try:
        rows, told = second_opinion(engine, text)
    except Inexpressible as reason:
        raise click.ClickException(f"pyDatalog cannot answer this: {reason}") from None
    click.echo(told, err=True)
    return _answer_rows(rows, output)


@click.command()
@click.argument("text", metavar="QUERY")
@data_option
@at_option
@output_option
def query_command(text: str, data: Path, at: str | None, output: str) -> int:
    """Answer QUERY about the running cluster, such as 'core.on_node(P, "n1"), not core.ready(P, _)'."""
    if at is not None:
        from kdl.runtime.questions import query

        return _answer_rows(query(engine_at(data, moment(at))[0], text), output)
    with server(data) as client:
        return _answer_rows(client.kdl("query", {"query": text})["rows"], output)


def _explain(
    verb: str,
    goal: str,
    data: Path,
    rules: tuple[str, ...],
    files: tuple[str, ...],
    settle: bool,
    nodes: int,
    output: str,
    expand: tuple[str, ...],
    at: str | None,
) -> int:
    if at is not None and (files or rules or settle):
        raise click.UsageError("--at is about the running cluster's past, not about manifests or packs")
    if not files and not rules and not settle and at is None:
        with server(data) as client:
            answer = client.kdl(verb, {"goal": goal, "expand": list(expand), "form": output})
    else:
        from kdl.runtime.questions import View, ask_why, ask_why_not

        view = View(expand, output)
        if at is not None:
            engine, origin = engine_at(data, moment(at))
        elif settle:
            cluster = settled(program_of(rules), files, nodes)
            engine, origin = cluster.brain.engine, cluster.origin
        else:
            scratch = Scratch(program_of(rules), files)
            engine, origin = scratch.engine, scratch.origin
        try:
            found = (
                ask_why(engine, goal, origin, view=view) if verb == "why" else ask_why_not(engine, goal, view, origin)
            )
        except LookupError as error:
            raise click.UsageError(str(error.args[0])) from None
        answer = found.document()
    if output == "json":
        click.echo(json.dumps(answer["data"], indent=2))
    else:
        click.echo(answer["text"], file=sys.stdout)
    return 0 if answer["holds"] else 1


@click.command()
@click.argument("goal", required=False)
@click.option("--container", help="Ask why a container runs: its name or id in the container runtime.")
@data_option
@at_option
@scratch_options
@view_options
def why_command(goal: str | None, container: str | None, output: str, **options: Any) -> int:
    """Tell why GOAL holds, such as 'api.bind("default/web", N)': a proof down to fields of manifests."""
    if (goal is None) == (container is None):
        raise click.UsageError("say what to explain: a goal, or --container")
    if container is not None:
        with server(options["data"]) as client:
            goal = client.kdl("container", {"container": container})["goal"]
    assert goal is not None
    return _explain("why", goal, output=output, **options)


@click.command()
@click.argument("goal")
@data_option
@at_option
@scratch_options
@view_options
def whynot_command(goal: str, output: str, **options: Any) -> int:
    """Tell why GOAL does not hold: what stops each rule that could derive it."""
    return _explain("whynot", goal, output=output, **options)
