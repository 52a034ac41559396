"""`kdl get`: objects as tables, names or documents, once or as they change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdl.runtime.api.columns import event_time
from kdl.runtime.shell.connect import data_option, namespace_option, server
from kdl.runtime.shell.names import Named, named
from kdl.runtime.shell.table import aligned, row, titles

if TYPE_CHECKING:
    from kdl.parser.manifest.kinds import Kind
    from kdl.runtime.api.client import Client

Found = dict["Kind", list[dict[str, Any]]]


@click.command("get")
@click.argument("words", nargs=-1, required=True, metavar="KIND[,KIND...] [NAME...] | KIND/NAME...")
@namespace_option
@click.option("-A", "--all-namespaces", is_flag=True, help="The objects of all namespaces.")
@click.option("-l", "--selector", help="Only objects with these labels, as in app=web,tier!=cache.")
@click.option("--field-selector", help="Only objects with these fields, as in spec.nodeName=node-1.")
@click.option("-w", "--watch", is_flag=True, help="Go on with every change.")
@click.option("-o", "--output", type=click.Choice(["table", "wide", "name", "json", "yaml"]), default="table")
@click.option("--no-headers", is_flag=True, help="Leave out the head of the table.")
@data_option
def get_command(
    words: tuple[str, ...],
    namespace: str,
    all_namespaces: bool,
    selector: str | None,
    field_selector: str | None,
    watch: bool,
    output: str,
    no_headers: bool,
    data: Path,
) -> int:
    """List objects by kind and name, such as: pods, deploy/web, services,endpoints, all."""
    with server(data) as client:
        chosen = named(client, words, namespace)
        names = any(item.name for item in chosen)
        if names and (all_namespaces or selector or field_selector):
            raise click.UsageError("names go without --all-namespaces and selectors")
        if watch and len(chosen) > 1:
            raise click.UsageError("watch one kind, or one object")
        if watch and output in ("json", "yaml", "name"):
            raise click.UsageError("watch goes with tables")
        space = None if all_namespaces else namespace
        printer = _Printer(output == "wide", all_namespaces, no_headers)
        if watch:
            for _, doc in _watched(client, chosen[0], space, selector, field_selector):
                printer.line(chosen[0].kind, doc)
            return 0
        found, missing = _found(client, chosen, space, selector, field_selector)
    if output in ("json", "yaml"):
        _documents(found, single=len(words) <= 2 and names and len(chosen) == 1, output=output)
    elif output == "name":
        for kind, docs in found.items():
            for doc in docs:
                click.echo(f"{kind.singular}{'.' + kind.group if kind.group else ''}/{doc['metadata']['name']}")
    else:
        printer.tables(found)
        if not any(found.values()) and not missing:
            where = "" if all_namespaces or not chosen[0].kind.namespaced else f" in the namespace {namespace}"
            click.echo(f"no {chosen[0].kind.plural if len(chosen) == 1 else 'objects'}{where}", err=True)
    for message in missing:
        click.echo(f"error: {message}", err=True)
    return 1 if missing else 0


def _found(
    client: Client, chosen: list[Named], space: str | None, labels: str | None, fields: str | None
) -> tuple[Found, list[str]]:
    """The objects by kind, and what to say of those that are not there."""
    from kdl.runtime.api.errors import ApiError

    found: Found = {}
    missing = []
    for item in chosen:
        docs = found.setdefault(item.kind, [])
        if not item.name:
            listed = client.list(item.kind, space if item.kind.namespaced else None, labels, fields)["items"]
            head = {"apiVersion": item.kind.api_version, "kind": item.kind.name}
            docs += sorted(({**head, **doc} for doc in listed), key=_order)
            continue
        try:
            docs.append(client.get(item.kind, item.name, item.namespace))
        except ApiError as error:
            if error.status != 404:
                raise
            missing.append(error.message)
    return found, missing


def _order(doc: dict[str, Any]) -> tuple[str, ...]:
    when = event_time(doc) if doc["kind"] == "Event" else ""
    return doc["metadata"].get("namespace", ""), when, doc["metadata"]["name"]


def _watched(
    client: Client, item: Named, space: str | None, labels: str | None, fields: str | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    if item.name:
        fields = f"metadata.name={item.name}"
    return client.watch(item.kind, space if item.kind.namespaced else None, labels, fields)


def _documents(found: Found, single: bool, output: str) -> None:
    docs = [doc for group in found.values() for doc in group]
    if single:
        if not docs:
            return
        whole = docs[0]
    else:
        whole = {"apiVersion": "v1", "kind": "List", "items": docs, "metadata": {"resourceVersion": ""}}
    if output == "json":
        click.echo(json.dumps(whole, indent=4))
        return
    import yaml

    click.echo(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True), nl=False)


class _Printer:
    """Prints tables: whole ones, or line by line with the head before the first."""

    def __init__(self, wide: bool, namespaces: bool, no_headers: bool) -> None:
        self._wide, self._namespaces, self._no_headers = wide, namespaces, no_headers
        self._widths: list[int] = []

    def tables(self, found: Found) -> None:
        """A table for each kind that has objects; names carry their kind if there are several."""
        shown = {kind: docs for kind, docs in found.items() if docs}
        for number, (kind, docs) in enumerate(shown.items()):
            spaces = self._namespaces and kind.namespaced
            rows = [row(kind, doc, self._wide, spaces) for doc in docs]
            head = titles(kind, self._wide, spaces)
            if len(shown) > 1 and "NAME" in head:
                for cells in rows:
                    cells[head.index("NAME")] = f"{kind.singular}/{cells[head.index('NAME')]}"
            if number:
                click.echo()
            click.echo("\n".join(aligned(rows if self._no_headers else [head, *rows])))

    def line(self, kind: Kind, doc: dict[str, Any]) -> None:
        """One object as it is now."""
        spaces = self._namespaces and kind.namespaced
        cells = row(kind, doc, self._wide, spaces)
        if not self._widths:
            head = titles(kind, self._wide, spaces)
            both = aligned([head, cells])
            self._widths = [max(len(one), len(two)) for one, two in zip(head, cells, strict=True)]
            click.echo("\n".join(both[1:] if self._no_headers else both))
            return
        (text,) = aligned([cells], self._widths)
        click.echo(text)
