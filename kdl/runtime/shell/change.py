"""Commands that change objects: `apply` and `delete`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdl.runtime.shell.connect import custom_kinds, data_option, namespace_option, server
from kdl.runtime.shell.names import Named, named

if TYPE_CHECKING:
    from kdl.parser.manifest.load import Manifest
    from kdl.runtime.api.client import Client
    from kdl.runtime.api.errors import ApiError

FIRST = ("Namespace", "CustomResourceDefinition")
"""Kinds that others need: they are applied before them and deleted after them."""

PERIOD = 0.1
"""Seconds between two looks at something that is awaited."""


def files_option(required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option for manifests."""
    text = "Manifests: a file, a folder, or - for standard input."
    return click.option(
        "-f", "--filename", "files", multiple=True, required=required, type=click.Path(allow_dash=True), help=text
    )


def apply_all(
    client: Client, manifests: Iterable[Manifest], tell: Callable[[str, dict[str, Any]], None]
) -> list[ApiError]:
    """Apply manifests and remember where they were written; tells of each, and returns the refusals."""
    from kdl.runtime.api.errors import ApiError

    refusals = []
    for manifest in sorted(manifests, key=lambda manifest: manifest.doc["kind"] not in FIRST):
        namespace = manifest.doc["metadata"].get("namespace", "default")
        try:
            what, stored = client.apply(manifest.written, namespace)
        except ApiError as error:
            refusals.append(error)
            continue
        origin = manifest.origin
        client.kdl("sources", {"uid": stored["metadata"]["uid"], "file": origin.file, "lines": dict(origin.lines)})
        tell(what, stored)
    return refusals


def told(stored: dict[str, Any]) -> str:
    """An object as kubectl names it in messages: ``deployment.apps/web``."""
    from kdl.parser.manifest.kinds import split_api_version

    group, _ = split_api_version(stored["apiVersion"])
    kind = stored["kind"].lower()
    return f"{kind}.{group}/{stored['metadata']['name']}" if group else f"{kind}/{stored['metadata']['name']}"


@click.command("apply")
@files_option(required=True)
@namespace_option
@data_option
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def apply_command(files: tuple[str, ...], namespace: str, data: Path, output: str) -> int:
    """Create the objects of manifests, or change those that are there; fields that others set stay."""
    from kdl.parser.manifest.load import load

    manifests = load(files, namespace=namespace, known=custom_kinds(data))
    done: list[dict[str, Any]] = []
    with server(data) as client:

        def tell(what: str, stored: dict[str, Any]) -> None:
            done.append({"result": what, "object": stored})
            if output == "text":
                click.echo(f"{told(stored)} {what}")

        refusals = apply_all(client, manifests, tell)
    if output == "json":
        click.echo(json.dumps({"applied": done, "refused": [error.document() for error in refusals]}, indent=2))
    for error in refusals:
        click.echo(f"error: {error.message}", err=True)
    if not refusals:
        return 0
    return 2 if all(error.status in (400, 422) for error in refusals) else 1


@click.command("delete")
@click.argument("words", nargs=-1, metavar="(KIND NAME... | KIND/NAME...)")
@files_option(required=False)
@namespace_option
@click.option("-l", "--selector", help="Delete the objects of KIND that these labels select.")
@click.option("--all", "everything", is_flag=True, help="Delete all objects of KIND in the namespace.")
@click.option("--grace-period", type=int, help="Seconds that pods get to end.")
@click.option("--cascade", type=click.Choice(["background", "foreground", "orphan"]), default="background")
@click.option("--ignore-not-found", is_flag=True, help="It is no failure if an object is not there.")
@click.option("--wait", "wait", type=bool, is_flag=False, flag_value=True, default=True, show_default=True,
              help="Return when the objects are gone.")  # fmt: skip
@click.option("--timeout", type=float, default=120.0, show_default=True, help="How many seconds to wait.")
@data_option
def delete_command(
    words: tuple[str, ...],
    files: tuple[str, ...],
    namespace: str,
    selector: str | None,
    everything: bool,
    grace_period: int | None,
    cascade: str,
    ignore_not_found: bool,
    wait: bool,
    timeout: float,
    data: Path,
) -> int:
    """Delete objects, by kind and name or by manifest, and wait until they are gone."""
    from kdl.parser.manifest.load import load
    from kdl.runtime.api.errors import ApiError

    if bool(words) == bool(files):
        raise click.UsageError("name what to delete: a kind and names, or manifests with -f")
    if files and (selector or everything):
        raise click.UsageError("--selector and --all go with a kind, not with -f")
    manifests = load(files, namespace=namespace, known=custom_kinds(data))
    gone, failed = [], False
    with server(data) as client:
        chosen = [Named.of(client, manifest.doc) for manifest in manifests]
        chosen.sort(key=lambda item: item.kind.name in FIRST)
        if words:
            chosen = _of_words(client, words, namespace, selector, everything)
        for item in chosen:
            try:
                uid = client.get(item.kind, item.name, item.namespace)["metadata"]["uid"]
                propagation = cascade.capitalize()
                client.delete(item.kind, item.name, item.namespace, grace_seconds=grace_period, propagation=propagation)
            except ApiError as error:
                if error.status == 404 and ignore_not_found:
                    continue
                click.echo(f"error: {error.message}", err=True)
                failed = True
                continue
            click.echo(f'{item.kind.singular} "{item.name}" deleted')
            gone.append((item, uid))
        if wait and not _await_gone(client, gone, timeout):
            failed = True
    return 1 if failed else 0


def _of_words(
    client: Client, words: tuple[str, ...], namespace: str, selector: str | None, everything: bool
) -> list[Named]:
    chosen = named(client, words, namespace)
    if not (selector or everything):
        if any(not item.name for item in chosen):
            raise click.UsageError("name the objects to delete, or say --all or --selector")
        return chosen
    if any(item.name for item in chosen):
        raise click.UsageError("--all and --selector go with a kind alone, not with names")
    return [
        Named(item.kind, doc["metadata"]["name"], doc["metadata"].get("namespace", ""))
        for item in chosen
        for doc in client.list(item.kind, namespace if item.kind.namespaced else None, selector)["items"]
    ]


def _await_gone(client: Client, items: list[tuple[Named, str]], timeout: float) -> bool:
    from kdl.runtime.api.errors import ApiError

    end = time.monotonic() + timeout
    for item, uid in items:
        while True:
            try:
                if client.get(item.kind, item.name, item.namespace)["metadata"]["uid"] != uid:
                    break
            except ApiError as error:
                if error.status != 404:
                    raise
                break
            if time.monotonic() > end:
                click.echo(f"error: {item} is still there after {timeout:g} s", err=True)
                return False
            time.sleep(PERIOD)
    return True
