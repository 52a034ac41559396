"""What a request says, read from its headers, query and body; what makes no sense is refused as Kubernetes does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from starlette.requests import Request

from kdl.runtime.api.errors import ApiError, bad_request

MAX_BODY: Final = 3 * 1024 * 1024
"""Kubernetes' own limit for a request's body, in bytes."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check_origin(request: Request) -> None:
    """Refuse what a browser sends on behalf of a page from elsewhere, or for a name that was made to point here."""
    urls = [f"//{request.headers.get('host', '')}", *request.headers.getlist("origin")]
    if not all(_hostname(url) in _LOOPBACK for url in urls):
        raise ApiError(403, "Forbidden", "this API answers to loopback names only")


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


async def body(request: Request) -> Any:
    """The JSON body, an empty object where there is none."""
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if media != "application/json" and not media.endswith("+json"):
        raise ApiError(415, "UnsupportedMediaType", f"bodies of type `{media}` are not read: send application/json")
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            message = f"the request's body is longer than the limit of {MAX_BODY} bytes"
            raise ApiError(413, "RequestEntityTooLarge", message)
    if not data:
        return {}
    try:
        return orjson.loads(data)
    except ValueError as error:
        raise bad_request(f"the body is not JSON: {error}") from None


async def document(request: Request) -> dict[str, Any]:
    """The body, which is an object."""
    doc = await body(request)
    if not isinstance(doc, dict) or not doc:
        raise bad_request("the body is an object with `apiVersion`, `kind` and `metadata`")
    return doc


async def options(request: Request) -> dict[str, Any]:
    """The arguments of `Objects.delete` that a DeleteOptions body and the query give."""
    given = await body(request)
    if not isinstance(given, dict):
        raise bad_request("the body of a deletion is a DeleteOptions object")
    query = request.query_params
    grace = given.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    propagation = given.get("propagationPolicy", query.get("propagationPolicy"))
    if propagation is None and (orphan := given.get("orphanDependents")) is not None:
        propagation = "Orphan" if orphan else "Background"
    conditions = given.get("preconditions") or {}
    if not isinstance(conditions, dict):
        raise bad_request("preconditions are an object with `uid` and `resourceVersion`")
    try:
        seconds = None if grace is None else int(grace)
    except (TypeError, ValueError):
        raise bad_request(f"gracePeriodSeconds is a number, not `{grace}`") from None
    return {
        "grace_seconds": seconds,
        "propagation": propagation,
        "uid": conditions.get("uid"),
        "resource_version": conditions.get("resourceVersion"),
    }


def dry_run(request: Request) -> bool:
    """Whether the request is to be answered and not done."""
    asked = request.query_params.getlist("dryRun")
    if any(word != "All" for word in asked):
        raise bad_request(f"dryRun is `All`, not `{asked[0]}`")
    return bool(asked)


def number(query: Mapping[str, str], name: str) -> int | None:
    """A number in the query."""
    text = query.get(name, "")
    if text and not (text.isascii() and text.isdigit()):
        raise bad_request(f"{name} is a number, not `{text}`")
    return int(text) if text else None
