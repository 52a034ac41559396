"""`kdl pack`: rule packs of a running cluster."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kdl.runtime.shell.ask import output_option
from kdl.runtime.shell.connect import data_option, server

LINES = 30
"""How many operations of a plan are shown."""


@click.group("pack")
def pack_command() -> None:
    """Rule packs that come and go while the cluster runs.

    A change is checked first, and its plan of effects shown before anything is done. A pack is remembered over
    restarts; one that fails later is suspended, and the rest goes on.
    """


def _name_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--name", help="The pack's name.  [default: that of the file or folder]")(function)


def _yes_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("-y", "--yes", is_flag=True, help="Do it without asking.")(function)


@pack_command.command("add")
@click.argument("path", type=click.Path(path_type=Path))
@_name_option
@_yes_option
@data_option
@output_option
def add_command(path: Path, name: str | None, yes: bool, data: Path, output: str) -> int:
    """Add the pack at PATH: a file, or a folder of *.dl."""
    return _change("add", path, name, yes, data, output)


@pack_command.command("replace")
@click.argument("path", type=click.Path(path_type=Path))
@_name_option
@_yes_option
@data_option
@output_option
def replace_command(path: Path, name: str | None, yes: bool, data: Path, output: str) -> int:
    """Put the rules at PATH in the place of the pack of that name; a suspended one is active again."""
    return _change("replace", path, name, yes, data, output)


@pack_command.command("remove")
@click.argument("name")
@_yes_option
@data_option
@output_option
def remove_command(name: str, yes: bool, data: Path, output: str) -> int:
    """Remove the pack NAME, and what follows from it."""
    return _change("remove", None, name, yes, data, output)


@pack_command.command("list")
@data_option
@output_option
def list_command(data: Path, output: str) -> int:
    """List the packs, their states, and what is wrong with them."""
    with server(data) as client:
        packs = client.kdl("packs")["packs"]
    if output == "json":
        click.echo(json.dumps(packs, indent=2))
    elif not packs:
        click.echo("no packs beside those that the cluster was started with")
    else:
        rows = [("NAME", "STATE", "RULES", "REASON")]
        rows += [(pack["name"], pack["state"], str(pack["rules"]), _first(pack["reason"])) for pack in packs]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        for row in rows:
            click.echo("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _first(text: str) -> str:
    return text.partition("\n")[0]


def _change(verb: str, path: Path | None, name: str | None, yes: bool, data: Path, output: str) -> int:
    from kdl.parser.source import texts

    request: dict[str, Any] = {"verb": verb, "name": name or (path.resolve().stem if path else "")}
    if path is not None:
        request["texts"] = texts(path)
        if not request["texts"]:
            raise click.UsageError(f"there are no *.dl files in `{path}`")
    with server(data) as client:
        answer = client.kdl("pack", {**request, "agreed": yes})
        while not answer["done"]:
            if output == "text":
                _show(answer)
            if answer["plan"] and not _agreed(answer):
                click.echo("nothing was done" + ("" if sys.stdin.isatty() else ": say --yes to do it"), err=True)
                return 1
            seen, answer = answer, client.kdl("pack", {**request, "agreed": answer["digest"]})
            if not answer["done"] and output == "text":
                click.echo("the cluster has moved on: the plan is another now")
            if answer["done"]:
                answer = {**answer, "plan": seen["plan"]}
    if output == "json":
        click.echo(json.dumps({"pack": request["name"], "done": True, "plan": answer["plan"]}, indent=2))
    else:
        told = {"add": "added", "replace": "replaced", "remove": "removed"}[verb]
        click.echo(f"pack `{request['name']}` {told}: {len(answer['plan'])} operations follow")
    return 0


def _show(answer: dict[str, Any]) -> None:
    plan = answer["plan"]
    for number, operation in enumerate(plan[:LINES], 1):
        why = f", {operation['sentence']}" if operation["sentence"] else ""
        rule = f" ({operation['rule']})" if operation["rule"] else ""
        click.echo(f"#{number} {operation['id']} {operation['verb']}{why}{rule}")
    if len(plan) > LINES:
        click.echo(f"… and {len(plan) - LINES} more operations")


def _agreed(answer: dict[str, Any]) -> bool:
    if not sys.stdin.isatty():
        return False
    question = "this removes more than it adds: do it?" if answer["removes"] else "do it?"
    return click.confirm(question, default=False)
