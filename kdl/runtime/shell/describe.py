"""`kdl describe`: everything about an object that people ask first, with what the rules say of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdl.runtime.api.columns import age, at, event_time, labels_text
from kdl.runtime.shell.connect import data_option, namespace_option, server
from kdl.runtime.shell.names import Named, named
from kdl.runtime.shell.table import aligned, row, titles

if TYPE_CHECKING:
    from kdl.runtime.api.client import Client

Doc = dict[str, Any]

NAMES = 3
"""How many nodes are named for one reason."""

HIDDEN = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})


@click.command("describe")
@click.argument("words", nargs=-1, required=True, metavar="KIND [NAME...] | KIND/NAME...")
@namespace_option
@click.option("-l", "--selector", help="The objects of KIND that these labels select.")
@data_option
def describe_command(words: tuple[str, ...], namespace: str, selector: str | None, data: Path) -> int:
    """Tell everything about objects: fields, conditions, events, and what keeps pending pods pending."""
    from kdl.runtime.api.errors import ApiError

    failed = False
    shown = 0
    with server(data) as client:
        for item in named(client, words, namespace):
            try:
                docs = _docs(client, item, selector)
            except ApiError as error:
                if error.status != 404:
                    raise
                click.echo(f"error: {error.message}", err=True)
                failed = True
                continue
            for doc in docs:
                click.echo(("\n\n" if shown else "") + "\n".join(_lines(client, doc)))
                shown += 1
    return 1 if failed else 0


def _docs(client: Client, item: Named, selector: str | None) -> list[Doc]:
    if item.name:
        return [client.get(item.kind, item.name, item.namespace)]
    found = client.list(item.kind, item.namespace if item.kind.namespaced else None, selector)["items"]
    return [{"apiVersion": item.kind.api_version, "kind": item.kind.name, **doc} for doc in found]


def _lines(client: Client, doc: Doc) -> Iterator[str]:
    metadata = doc["metadata"]
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if k not in HIDDEN}
    owner = next((f"{o['kind']}/{o['name']}" for o in metadata.get("ownerReferences", ()) if o.get("controller")), None)
    head = {
        "Name": metadata["name"],
        "Namespace": metadata.get("namespace"),
        "Kind": f"{doc['kind']} ({doc['apiVersion']})",
        "Labels": labels_text(metadata.get("labels")),
        "Annotations": labels_text(annotations),
        "Controlled by": owner,
        "Created": f"{metadata.get('creationTimestamp')} ({age(metadata.get('creationTimestamp'))} ago)",
        "Deleted": metadata.get("deletionTimestamp"),
    }
    head |= {
        title.capitalize(): cell
        for title, cell in zip(titles(doc["kind"], wide=True), row(doc["kind"], doc, wide=True), strict=True)
        if title not in ("NAME", "AGE")
    }
    shown = [(f"{name}:", str(item)) for name, item in head.items() if item is not None]
    yield from aligned(shown)
    for part in ("spec", "data", "subsets"):
        if part in doc:
            yield f"{part.capitalize()}:"
            yield from _tree(_concealed(doc, part), 1)
    status = {key: item for key, item in doc.get("status", {}).items() if key != "conditions"}
    if status:
        yield "Status:"
        yield from _tree(status, 1)
    yield from _conditions(doc)
    if doc["kind"] == "Pod":
        yield from _pending(client, doc)
    yield from _failures(client, doc)
    yield from _events(client, doc)


def _concealed(doc: Doc, part: str) -> Any:
    """A part of an object, without the values of a Secret."""
    if doc["kind"] == "Secret" and part == "data":
        return dict.fromkeys(doc[part] or {}, "<secret>")
    return doc[part]


def _tree(value: Any, depth: int) -> Iterator[str]:
    """A document as indented lines."""
    indent = "  " * depth
    items = value.items() if isinstance(value, dict) else (("-", item) for item in value or ())
    for key, item in items:
        mark = f"{key}:" if isinstance(value, dict) else key
        if isinstance(item, dict) and item and not isinstance(value, dict):
            first, *rest = _tree(item, depth + 1)
            yield f"{indent}- {first.strip()}"
            yield from rest
        elif isinstance(item, (dict, list)) and item and not _flat(item):
            yield f"{indent}{mark}"
            yield from _tree(item, depth + 1)
        else:
            yield f"{indent}{mark} {_cell(item)}"


def _flat(item: Any) -> bool:
    parts = item if isinstance(item, list) else ()
    return bool(parts) and all(not isinstance(part, (dict, list)) for part in parts)


def _cell(item: Any) -> str:
    if isinstance(item, str):
        return item if "\n" not in item else json.dumps(item)
    if isinstance(item, list) and _flat(item):
        return json.dumps(item)
    return json.dumps(item)


def _conditions(doc: Doc) -> Iterator[str]:
    conditions = at(doc, "status.conditions", ())
    if not conditions:
        return
    yield "Conditions:"
    lines = [["TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"]]
    for one in conditions:
        since = age(one.get("lastTransitionTime"))
        lines.append([one["type"], one["status"], since, one.get("reason", ""), one.get("message", "")])
    yield from (f"  {line}" for line in aligned(lines))


def _pending(client: Client, doc: Doc) -> Iterator[str]:
    """What refuses a pod that has no node, grouped by reason, and that it would hold on so many nodes."""
    if at(doc, "spec.nodeName"):
        return
    pod = f"{doc['metadata']['namespace']}/{doc['metadata']['name']}"
    quoted = json.dumps(pod)
    rows = client.kdl("query", {"query": f"sched.class_of({quoted}, C), sched.rejects(C, Node, _, Reason)"})["rows"]
    verdict = client.kdl("query", {"query": f"sched.class_of({quoted}, C), sched.verdict(C, Message)"})["rows"]
    if not rows and not verdict:
        return
    yield "Not scheduled:"
    yield from (f"  {found['Message']}" for found in verdict)
    by_reason: dict[str, set[str]] = {}
    for found in rows:
        by_reason.setdefault(found["Reason"], set()).add(found["Node"])
    for reason, nodes in sorted(by_reason.items(), key=lambda pair: -len(pair[1])):
        named_nodes = sorted(nodes)
        more = f", +{len(nodes) - NAMES}" if len(nodes) > NAMES else ""
        yield f"  {len(nodes)} × {reason} ({', '.join(named_nodes[:NAMES])}{more})"
    yield f"  ask: kdl whynot 'api.bind({quoted}, _)'"


def _failures(client: Client, doc: Doc) -> Iterator[str]:
    """Operations on the object, or on what stands for it on a node, whose last try failed."""
    uid, name = doc["metadata"]["uid"], doc["metadata"]["name"]
    name = f"{doc['metadata']['namespace']}/{name}" if "namespace" in doc["metadata"] else name
    rows = client.kdl("query", {"query": "core.failed(Operation, Times, _, Error)"})["rows"]
    mine = [found for found in rows if uid in found["Operation"] or f":{doc['kind']}/{name}" in found["Operation"]]
    if mine:
        yield "Failing:"
        for found in mine:
            yield f"  {found['Operation']} ({found['Times']} times): {found['Error']}"


def _events(client: Client, doc: Doc) -> Iterator[str]:
    namespace = doc["metadata"].get("namespace")
    fields = f"involvedObject.uid={doc['metadata']['uid']}"
    events = client.list("events", namespace, fields=fields)["items"]
    if not events:
        yield "Events: <none>"
        return
    yield "Events:"
    lines = [["TYPE", "REASON", "AGE", "COUNT", "MESSAGE"]]
    for one in sorted(events, key=event_time):
        seen = age(event_time(one))
        lines.append([one.get("type", ""), one.get("reason", ""), seen, str(one.get("count", 1)), one["message"]])
    yield from (f"  {line}" for line in aligned(lines))
