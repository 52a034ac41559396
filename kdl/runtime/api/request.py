"""What a request says, read from its headers, query and body; what makes no sense is refused as Kubernetes does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from starlette.requests import HTTPConnection, Request

from kdl.parser.manifest.documents import Unreadable, documents
from kdl.parser.manifest.protobuf import Misread, decoded
from kdl.runtime.api.errors import ApiError, bad_request

MAX_BODY: Final = 3 * 1024 * 1024
"""Kubernetes' own limit for a request's body, in bytes."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check_origin(request: HTTPConnection, hosts: Set[str] = frozenset()) -> None:
    """Refuse what a browser sends on behalf of a page from elsewhere, or for a name that was made to point here."""
    urls = [f"//{request.headers.get('host', '')}", *request.headers.getlist("origin")]
    if not all(_hostname(url) in _LOOPBACK or _hostname(url) in hosts for url in urls):
        raise ApiError(
            403, "Forbidden", "this API answers to its own names only, such as those of the loopback interface"
        )


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


async def body(request: Request) -> Any:
    """The JSON body, an empty object where there is none."""
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if media in ("application/yaml", "application/x-yaml"):
        return await yaml(request)
    if media == "application/vnd.kubernetes.protobuf":
        try:
            return decoded(data) if (data := await _read(request)) else {}
        except Misread as error:
            raise bad_request(f"the body is not understood: {error}") from None
    if media != "application/json" and not media.endswith("+json"):
        raise ApiError(415, "UnsupportedMediaType", f"bodies of type `{media}` are not read: send application/json")
    data = await _read(request)
    if not data:
        return {}
    try:
        return orjson.loads(data)
    except ValueError as error:
        raise bad_request(f"the body is not JSON: {error}") from None


async def _read(request: Request) -> bytes:
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            message = f"the request's body is longer than the limit of {MAX_BODY} bytes"
            raise ApiError(413, "RequestEntityTooLarge", message)
    return data


async def yaml(request: Request) -> Any:
    """The body as JSON or YAML."""
    data = await _read(request)
    try:
        return orjson.loads(data)
    except ValueError:
        return _yaml(data)


def _yaml(data: bytes) -> Any:
    try:
        found = list(documents(data.decode(), "<body>"))
    except (Unreadable, UnicodeDecodeError) as error:
        raise bad_request(f"the body is neither JSON nor YAML: {error}") from None
    if len(found) != 1:
        raise bad_request("the body is one document")
    return found[0].value


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
    return delete_options(given, request.query_params)


def delete_options(given: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of `Objects.delete` that DeleteOptions give."""
    if not isinstance(given, dict):
        raise bad_request("DeleteOptions are an object")
    grace = given.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    propagation = given.get("propagationPolicy", query.get("propagationPolicy"))
    if propagation is None and (orphan := given.get("orphanDependents")) is not None:
        propagation = "Orphan" if orphan else "Background"
    conditions = given.get("preconditions") or {}
    if not isinstance(conditions, dict):
        raise bad_request("preconditions are an object with `uid` and `resourceVersion`")
    try:
        seconds = None if grace is None else int(grace)
    except (TypeError, ValueError, OverflowError):
        raise bad_request(f"gracePeriodSeconds is a number, not `{str(grace)[:100]}`") from None
    asked = given.get("dryRun") or []
    if asked not in ([], ["All"]):
        raise bad_request("dryRun is `All`")
    return {
        "dry_run": bool(asked) or query.get("dryRun") == "All",
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


def manager(request: Request) -> str:
    """Who manages the fields that are written: as the request says, else by the name of the program that sends it."""
    name = request.query_params.get("fieldManager") or request.headers.get("user-agent", "").partition("/")[0]
    if len(name) > 128 or not name.isprintable():
        raise bad_request("fieldManager has at most 128 printable characters")
    return name or "unknown"


def leniency(request: Request, warnings: list[str]) -> Callable[[str], None] | None:
    """What becomes of unknown fields: refused (None), told as warnings, or dropped silently."""
    asked = request.query_params.get("fieldValidation") or "Warn"
    if asked not in ("Ignore", "Warn", "Strict"):
        raise bad_request(f"fieldValidation is Ignore, Warn or Strict, not `{asked}`")
    if asked == "Strict":
        return None
    return warnings.append if asked == "Warn" else lambda text: None


def named_field(selector: str) -> str:
    """The one name that a field selector selects, if it does."""
    for item in selector.split(","):
        path, equals, name = item.partition("=")
        if path.strip() == "metadata.name" and equals:
            return name.removeprefix("=").strip()
    return ""


def number(query: Mapping[str, str], name: str) -> int | None:
    """A number in the query."""
    text = query.get(name, "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 20):
        raise bad_request(f"{name} is a number of at most 19 digits, not `{text[:100]}`")
    return int(text) if text else None
