"""The verbs on collections and objects, from a request to its answer. Whatever waits for the disk runs in a thread."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from kdl.parser.manifest.structure import structure_of
from kdl.runtime.api import request as reading
from kdl.runtime.api.call import Call, Handler, success
from kdl.runtime.api.errors import ApiError, bad_request
from kdl.runtime.api.gate import Action
from kdl.runtime.api.managed import Manager
from kdl.runtime.api.patch import json_patch, merge
from kdl.runtime.api.representation import encode, json
from kdl.runtime.api.strategic import strategic_merge
from kdl.runtime.api.stream import Stream, Watch
from kdl.runtime.store import Object

APPLY: Final = "application/apply-patch+yaml"
STRATEGIC: Final = "application/strategic-merge-patch+json"


# Collections.


async def list_(call: Call) -> Response:
    """``GET`` on a collection: its objects, page by page if asked so, or their changes."""
    if call.asks("watch"):
        return await watch(call)
    form = call.form

    def encoded() -> Response:
        items, revision, more = _page(call)
        metadata = {"resourceVersion": str(revision), **more}
        return json(form.list(items, metadata))

    return await run_in_threadpool(encoded)


def _page(call: Call) -> tuple[list[Object], int, dict[str, Any]]:
    """The objects asked for, the revision they are of, and what the list's metadata say of further pages."""
    query, target = call.query, call.target
    labels, fields = query.get("labelSelector"), query.get("fieldSelector")
    limit = reading.number(query, "limit")
    revision, after = _start(call)
    items, revision = call.objects.list_at(target.kind, revision, target.namespace, labels, fields)
    if after is not None:
        items = [item for item in items if item.key.id > after]
    if not limit or len(items) <= limit:
        return items, revision, {}
    token = urlsafe_b64encode(orjson.dumps({"rv": revision, "after": items[limit - 1].key.id})).decode()
    more: dict[str, Any] = {"continue": token}
    if not labels and not fields:
        more["remainingItemCount"] = len(items) - limit
    return items[:limit], revision, more


def _start(call: Call) -> tuple[int | None, str | None]:
    """The revision at which to list (None: now), and the id after which."""
    if token := call.query.get("continue"):
        try:
            start = orjson.loads(urlsafe_b64decode(token.encode()))
            return int(start["rv"]), str(start["after"])
        except (ValueError, KeyError, TypeError):
            raise bad_request("continue key is not valid: it comes from `metadata.continue` of a list") from None
    given = reading.number(call.query, "resourceVersion")
    exact = call.query.get("resourceVersionMatch") == "Exact"
    if given and given > call.objects.store.revision:
        details = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
        text = f"Too large resource version: {given}, current: {call.objects.store.revision}"
        raise ApiError(504, "Timeout", text, {**details, "retryAfterSeconds": 1})
    return (given if exact else None), None


async def watch(call: Call) -> Response:
    """``GET`` on a collection with ``watch``: its changes, as long as the client listens."""
    query, target = call.query, call.target
    labels, fields = query.get("labelSelector"), query.get("fieldSelector")
    since, timeout = reading.number(query, "resourceVersion"), reading.number(query, "timeoutSeconds")
    initial = query.get("sendInitialEvents")
    told = call.asks("allowWatchBookmarks")
    if initial is not None and query.get("resourceVersionMatch") != "NotOlderThan":
        raise bad_request("sendInitialEvents needs resourceVersionMatch=NotOlderThan")
    if call.asks("sendInitialEvents"):
        since = None
    elif initial is not None and not since:
        since = call.objects.store.revision
    watch = Watch(call.objects, call.request.app.state.watches, timeout, told, call.form)
    watch.tells_initial_end = told and call.asks("sendInitialEvents")
    if target.name:
        fields = ",".join(filter(None, (fields, f"metadata.name={target.name}")))
    await run_in_threadpool(watch.start, target, labels, fields, since)
    return Stream(watch)


async def create(call: Call) -> Response:
    """``POST`` on a collection."""
    target = call.target
    doc = await reading.document(call.request)
    doc = {"apiVersion": target.api_version, "kind": target.kind.name, **doc}
    form, dry_run = call.form, reading.dry_run(call.request)
    created = await run_in_threadpool(
        call.objects.create, doc, kind=target.kind, namespace=target.namespace or None, dry_run=dry_run
    )
    return call.answer(created, form, 201)


async def delete_all(call: Call) -> Response:
    """``DELETE`` on a collection: every object that the selectors select."""
    options = await reading.options(call.request)
    query, target, form = call.query, call.target, call.form
    reading.dry_run(call.request)

    def delete() -> Response:
        labels, fields = query.get("labelSelector"), query.get("fieldSelector")
        with call.objects.transaction() as batch:
            items, revision = batch.list(target.kind, target.namespace, labels, fields)
            for item in items:
                batch.delete(target.kind, item.key.id, **options)
        return json(form.list(items, {"resourceVersion": str(revision)}))

    return await run_in_threadpool(delete)


# Objects.


async def get(call: Call) -> Response:
    """``GET`` on an object, or its changes."""
    if call.asks("watch"):
        return await watch(call)
    form = call.form
    return call.answer(call.objects.get(call.target.kind, call.target.id), form)


async def update(call: Call) -> Response:
    """``PUT`` on an object or its status."""
    doc = {"apiVersion": call.target.api_version, "kind": call.target.kind.name} | await reading.document(call.request)
    form, dry_run = call.form, reading.dry_run(call.request)
    replace = call.objects.update_status if call.target.subresource == "status" else call.objects.update
    done = await run_in_threadpool(replace, doc, kind=call.target.kind, id_=call.target.id, dry_run=dry_run)
    return call.answer(done, form)


Patch = Callable[[Any, Any], Any]


def patch_of(call: Call) -> tuple[str, Patch | None]:
    """The media type of a patch and what it does to a document; None for server-side apply."""
    media = call.request.headers.get("content-type", "").partition(";")[0].strip()
    kind = call.target.kind
    if media == APPLY:
        return media, None
    known: dict[str, Patch] = {"application/merge-patch+json": merge, "application/json-patch+json": json_patch}
    if kind.schema is None:
        structure = structure_of(kind)
        known[STRATEGIC] = lambda doc, change: strategic_merge(doc, change, structure)
    if media not in known:
        accepted = ", ".join([*known, APPLY])
        message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        raise ApiError(415, "UnsupportedMediaType", message)
    return media, known[media]


async def patch(call: Call) -> Response:
    """``PATCH`` on an object or its status: in one of three ways, or as server-side apply."""
    _, change = patch_of(call)
    form, dry_run, target = call.form, reading.dry_run(call.request), call.target
    status = target.subresource == "status"
    body = await (reading.body if change is not None else reading.yaml)(call.request)
    if change is None:
        return await _apply(call, body, status, dry_run)
    changed = change

    def patched() -> Object:
        with call.objects.transaction() as batch:
            current = batch.get(target.kind, target.id)
            doc = changed(orjson.loads(encode(form.whole(current))), body)
            if not isinstance(doc, dict) or not isinstance(doc.get("metadata"), dict):
                raise bad_request("the patch leaves no object")
            replace = batch.update_status if status else batch.update
            return replace(doc, kind=target.kind, id_=target.id, dry_run=dry_run)

    return call.answer(await run_in_threadpool(patched), form)


async def _apply(call: Call, config: Any, status: bool, dry_run: bool) -> Response:
    if not isinstance(config, Mapping):
        raise bad_request("what is applied is an object")
    name = call.query.get("fieldManager")
    if not name:
        text = "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch"
        raise ApiError(422, "Invalid", text)
    objects, form, target = call.objects.managed_by(Manager(name)), call.form, call.target
    absent = objects.find(target.kind, target.id) is None
    if absent:  # to apply what is not there is to create it
        group = target.api_version.rpartition("/")[0]
        await call.allow(Action("create", group, target.kind.plural, "", target.namespace, target.name))
    item, new = await run_in_threadpool(
        objects.apply,
        config,
        target.kind,
        target.id,
        may_create=absent,
        force=call.asks("force"),
        dry_run=dry_run,
        status=status,
    )
    return call.answer(item, form, 201 if new else 200)


async def delete(call: Call) -> Response:
    """``DELETE`` on an object: what is left of it, or that it is gone."""
    options = await reading.options(call.request)
    form, target = call.form, call.target
    reading.dry_run(call.request)

    def deleted() -> Response:
        gone = call.objects.delete(target.kind, target.id, **options)
        left = call.objects.find(target.kind, target.id)
        if left is not None and left.uid == gone.uid and not options["dry_run"]:
            return call.answer(left, form)
        details = {"name": target.name, "group": target.kind.group, "kind": target.kind.plural, "uid": gone.uid}
        return success(details={key: item for key, item in details.items() if item})

    return await run_in_threadpool(deleted)


HANDLERS: Final[Mapping[tuple[str, str], Handler]] = {
    ("GET", "collection"): list_,
    ("POST", "collection"): create,
    ("DELETE", "collection"): delete_all,
    ("GET", "object"): get,
    ("PUT", "object"): update,
    ("PATCH", "object"): patch,
    ("DELETE", "object"): delete,
    ("GET", "status"): get,
    ("PUT", "status"): update,
    ("PATCH", "status"): patch,
}
"""By method, and by what the path names: a ``collection``, an ``object``, or a subresource's name."""
