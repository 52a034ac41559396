"""`kdl plan`: what manifests would make happen, on fake nodes and a virtual clock; nothing is done."""

from __future__ import annotations

import json
from typing import Any

import click

from kdl.effects.driver import Operation
from kdl.runtime.shell.change import files_option
from kdl.runtime.shell.narrator import line, silent
from kdl.runtime.shell.scratch import packs, program_of, settled


@click.command("plan")
@files_option(required=True)
@packs
@click.option("--nodes", type=click.IntRange(1, 10_000), default=1, show_default=True, help="How many nodes.")
@click.option("--all", "everything", is_flag=True, help="Also what is only written down: status and events.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def plan_command(files: tuple[str, ...], rules: tuple[str, ...], nodes: int, everything: bool, output: str) -> int:
    """Show the operations that manifests would lead to on a new cluster, in order, each with its cause."""
    planned: list[Operation] = []

    def tell(operation: Operation, error: str | None) -> None:
        if error is None and (everything or not silent(operation)):
            planned.append(operation)

    program = program_of(rules)
    before = settled(program, (), nodes, tell)
    before.stop()
    empty = {operation.id for operation in planned}
    planned.clear()
    cluster = settled(program, files, nodes, tell)
    told = [operation for operation in planned if operation.id not in empty or operation.verb == "replace"]
    left = sorted(cluster.brain.engine.facts("core.failed"), key=repr)
    stuck = cluster.brain.problems()
    cluster.stop()
    if output == "json":
        failed = [{"operation": row[0], "times": row[1], "error": row[3]} for row in left]
        operations = [_data(number, operation) for number, operation in enumerate(told, 1)]
        click.echo(json.dumps({"operations": operations, "failed": failed, "stuck": stuck}, indent=2))
        return 0
    for number, operation in enumerate(told, 1):
        click.echo(f"#{number} {line(operation)}")
    click.echo(f"{len(told)} operations; nothing was done")
    for row in left:
        click.echo(f"would fail: {row[0]}: {row[3]}")
    for problem in stuck:
        click.echo(f"stuck: {problem}")
    return 0


def _data(number: int, operation: Operation) -> dict[str, Any]:
    cause = {"rule": operation.cause.rule, "sentence": operation.cause.sentence}
    what = {"relation": operation.relation, "key": list(operation.key), "verb": operation.verb}
    return {"number": number, "id": operation.id, **what, "cause": cause}
