"""What is under an object's own path: scale, binding, eviction, finalize. Logs and the like are answered elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from kdl.parser.manifest.kinds import Kind, Scaled
from kdl.parser.quantity import rfc3339
from kdl.runtime.api import jsonpath
from kdl.runtime.api import request as reading
from kdl.runtime.api.call import Call, Handler, success
from kdl.runtime.api.columns import selector_text
from kdl.runtime.api.errors import ApiError, bad_request
from kdl.runtime.api.patch import find
from kdl.runtime.api.representation import encode, json
from kdl.runtime.api.selector import selects
from kdl.runtime.api.service import Objects
from kdl.runtime.api.verbs import patch_of
from kdl.runtime.store import Object

# Scale.

_REPLICAS: Final = Scaled(".spec.replicas", ".status.replicas", "")


def _scaled(kind: Kind) -> Scaled:
    if "scale" not in kind.subresources:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")
    return kind.scale or _REPLICAS


def _scale(item: Object, kind: Kind) -> dict[str, Any]:
    """The `Scale` that an object's scale subresource is."""
    paths, metadata = _scaled(kind), item.doc["metadata"]
    named = ("name", "namespace", "uid", "creationTimestamp")
    if kind.schema is None:
        selector = item.doc["spec"].get("selector") or {}
        text = selector_text(selector if "matchLabels" in selector else {"matchLabels": selector})
    else:
        text = str(jsonpath.find(item.doc, paths.selector) or "") if paths.selector else ""
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in named if key in metadata} | {"resourceVersion": str(item.revision)},
        "spec": {"replicas": jsonpath.find(item.doc, paths.spec) or 0},
        "status": {"replicas": jsonpath.find(item.doc, paths.status) or 0, **({"selector": text} if text else {})},
    }


async def get_scale(call: Call) -> Response:
    """``GET``: how many there are and are wanted."""
    return json(_scale(call.objects.get(call.target.kind, call.target.id), call.target.kind))


async def put_scale(call: Call) -> Response:
    """``PUT``: how many are wanted."""
    doc = await reading.document(call.request)
    return json(await run_in_threadpool(_rescale, call, call.objects, doc))


async def patch_scale(call: Call) -> Response:
    """``PATCH``: how many are wanted."""
    _, change = patch_of(call)
    if change is None:
        raise ApiError(415, "UnsupportedMediaType", "a scale is patched, not applied")
    body = await reading.body(call.request)

    def patched() -> dict[str, Any]:
        with call.objects.transaction() as batch:
            scale = _scale(batch.get(call.target.kind, call.target.id), call.target.kind)
            return _rescale(call, batch, change(orjson.loads(encode(scale)), body))

    return json(await run_in_threadpool(patched))


def _rescale(call: Call, objects: Objects, scale: dict[str, Any]) -> dict[str, Any]:
    kind, id_ = call.target.kind, call.target.id
    replicas = find(scale, "/spec/replicas") or 0
    if type(replicas) is not int or replicas < 0:
        why = "spec.replicas: Invalid value: must be greater than or equal to 0"
        raise ApiError(422, "Invalid", f'Scale.autoscaling "{call.target.name}" is invalid: {why}')
    path = "/" + "/".join(jsonpath.parts(_scaled(kind).spec))
    version = find(scale, "/metadata/resourceVersion")
    changed = objects.patch(
        kind, id_, [(path, replicas)], resource_version=version, dry_run=reading.dry_run(call.request), part="scale"
    )
    return _scale(changed, kind)


# Binding.


async def bind(call: Call) -> Response:
    """``POST`` on a pod's binding: give it its node."""
    return await _bind(call, call.target.id, await reading.document(call.request))


async def bind_named(call: Call) -> Response:
    """``POST`` on the collection of bindings: the pod is named in the body."""
    doc = await reading.document(call.request)
    return await _bind(call, f"{call.target.namespace}/{find(doc, '/metadata/name')}", doc)


async def _bind(call: Call, id_: str, doc: dict[str, Any]) -> Response:
    to = doc.get("target")
    if not isinstance(to, dict) or not isinstance(to.get("name"), str) or not to["name"]:
        raise bad_request("a binding names its node in `target.name`")
    await run_in_threadpool(call.objects.bind, id_, to["name"], uid=find(doc, "/metadata/uid"))
    return success(201)


# Eviction.


async def evict(call: Call) -> Response:
    """``POST`` on a pod's eviction: delete it, unless its disruption budget is spent."""
    doc = await reading.body(call.request)
    if not isinstance(doc, dict):
        raise bad_request("an eviction is an object")
    options = reading.delete_options(doc.get("deleteOptions") or {}, call.query)

    def evicted() -> Response:
        with call.objects.transaction() as batch:
            pod = batch.get(call.target.kind, call.target.id)
            if (
                find(pod.doc, "/status/phase") not in ("Succeeded", "Failed")
                and "deletionTimestamp" not in pod.doc["metadata"]
            ):
                _spend(batch, pod, options["dry_run"])
            batch.delete(call.target.kind, call.target.id, **options)
        return success(201)

    return await run_in_threadpool(evicted)


def _spend(batch: Objects, pod: Object, dry_run: bool) -> None:
    """Take one disruption from the pod's budget, if it has one; `ApiError` 429 if none is left."""
    budgets, _ = batch.list("PodDisruptionBudget", pod.key.namespace)
    labels = find(pod.doc, "/metadata/labels") or {}
    mine = [budget for budget in budgets if selects(find(budget.doc, "/spec/selector"), labels)]
    if len(mine) > 1:
        text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise ApiError(500, "InternalError", text)
    for budget in mine:
        allowed = find(budget.doc, "/status/disruptionsAllowed") or 0
        seen = find(budget.doc, "/status/observedGeneration") or 0
        if allowed < 1 or seen < budget.doc["metadata"].get("generation", 0):
            raise _spent(budget)
        if not dry_run:
            disrupted = {
                **(find(budget.doc, "/status/disruptedPods") or {}),
                pod.key.name: rfc3339(batch.clock.now() // 1000 * 1000),
            }
            fields = [("/status/disruptionsAllowed", allowed - 1), ("/status/disruptedPods", disrupted)]
            batch.patch("PodDisruptionBudget", budget.key.id, fields)


def _spent(budget: Object) -> ApiError:
    healthy, wanted = (find(budget.doc, f"/status/{name}") or 0 for name in ("currentHealthy", "desiredHealthy"))
    text = f"The disruption budget {budget.key.name} needs {wanted} healthy pods and has {healthy} currently"
    causes = [{"reason": "DisruptionBudget", "message": text}]
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return ApiError(429, "TooManyRequests", message, {"causes": causes})


# Namespaces.


async def finalize(call: Call) -> Response:
    """``PUT`` on a namespace's finalize: what still holds it."""
    fields = [("/spec/finalizers", find(await reading.document(call.request), "/spec/finalizers") or [])]
    form = call.form
    return call.answer(await run_in_threadpool(call.objects.patch, call.target.kind, call.target.id, fields), form)


HANDLERS: Final[Mapping[tuple[str, str], Handler]] = {
    ("GET", "scale"): get_scale,
    ("PUT", "scale"): put_scale,
    ("PATCH", "scale"): patch_scale,
    ("POST", "binding"): bind,
    ("POST", "eviction"): evict,
    ("PUT", "finalize"): finalize,
}
"""By method and subresource."""
