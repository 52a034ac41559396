"""A synchronous client of the API, for the command line: objects by kind and name, apply, watches, kdl's endpoints."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import orjson

from kdl.parser.manifest.conversion import convert, fresh
from kdl.parser.manifest.kinds import BUILT_IN, Kind, Kinds
from kdl.runtime.api.apply import merged, with_last_applied
from kdl.runtime.api.connection import Connection, NotRunning, connection, not_running
from kdl.runtime.api.errors import ApiError, bad_request, error_of
from kdl.runtime.api.paths import path_of

if TYPE_CHECKING:
    import httpx

Applied = Literal["created", "configured", "unchanged"]


class Client:
    """A connection to a running kdl. Errors are `ApiError`; `NotRunning` when nobody answers."""

    def __init__(self, where: Connection, folder: Path | None = None, kinds: Kinds = BUILT_IN) -> None:
        import httpx  # takes a while to load: only commands that talk to a server pay for it

        self._folder = folder
        self._kinds = kinds
        self._asked = False
        self._transport_error = httpx.TransportError
        self._where = where
        self._http: httpx.Client = httpx.Client(
            base_url=where.endpoint,
            headers={"Authorization": f"Bearer {where.token}"},
            timeout=httpx.Timeout(60, connect=5),
            trust_env=False,
            verify=True if where.authority is None else ssl.create_default_context(cafile=where.authority),
        )

    @classmethod
    def of(cls, folder: str | os.PathLike[str]) -> Self:
        """The client of the kdl that runs on a data folder."""
        return cls(connection(Path(folder)), Path(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # Objects.

    def kind(self, word: str) -> Kind:
        """The kind that a word means: ``deploy``, ``pods``, ``Service``; `ApiError` if none."""
        found = self._known(lambda kinds: kinds.lookup(word) or kinds.named(word))
        if found is None:
            raise ApiError(404, "NotFound", f"the server doesn't have a resource type `{word}`")
        return found

    def stored(self, api_version: str, kind: str) -> Kind | None:
        """The kind in which an object written as this `apiVersion` and `kind` is stored."""
        return self._known(lambda kinds: kinds.stored(api_version, kind))

    def custom(self) -> list[Kind]:
        """The kinds that definitions in the cluster bring."""
        from kdl.parser.manifest.definition import kinds_of  # brings pydantic in, which others need not wait for

        return [kind for item in self.list("customresourcedefinitions")["items"] for kind in kinds_of(item)]

    def _known(self, find: Callable[[Kinds], Kind | None]) -> Kind | None:
        """A kind; the cluster is asked for its own only if nothing built in is meant."""
        found = find(self._kinds)
        if found is None and not self._asked:
            self._asked = True
            self._kinds = self._kinds.with_known(self.custom())
            found = find(self._kinds)
        return found

    def get(self, kind: str | Kind, name: str, namespace: str = "default") -> dict[str, Any]:
        """One object."""
        answer: dict[str, Any] = self._call("GET", path_of(self._kind(kind), namespace, name))
        return answer

    def list(
        self,
        kind: str | Kind,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
    ) -> dict[str, Any]:
        """The list document of a kind: its ``items``, and the ``resourceVersion`` from which a watch continues."""
        query = _query(labelSelector=labels, fieldSelector=fields)
        answer: dict[str, Any] = self._call("GET", path_of(self._kind(kind), namespace), query=query)
        return answer

    def create(self, doc: Mapping[str, Any], namespace: str = "default", dry_run: bool = False) -> dict[str, Any]:
        """Add an object."""
        kind, doc = self._written(doc, namespace)
        query = _query(dryRun="All" if dry_run else None)
        answer: dict[str, Any] = self._call("POST", path_of(kind, _namespace(doc)), doc, query)
        return answer

    def replace(self, doc: Mapping[str, Any], namespace: str = "default", dry_run: bool = False) -> dict[str, Any]:
        """Replace an object; with a resourceVersion only if that is its current one."""
        kind, doc = self._written(doc, namespace)
        query = _query(dryRun="All" if dry_run else None)
        answer: dict[str, Any] = self._call("PUT", path_of(kind, _namespace(doc), _name(doc)), doc, query)
        return answer

    def apply(
        self, doc: Mapping[str, Any], namespace: str = "default", dry_run: bool = False
    ) -> tuple[Applied, dict[str, Any]]:
        """Create the object, or merge the manifest into it: fields that others set stay."""
        kind, doc = self._written(doc, namespace)
        path = path_of(kind, _namespace(doc), _name(doc))
        for attempt in range(5):
            try:
                live = self._call("GET", path)
            except ApiError as error:
                if error.status != 404:
                    raise
                try:
                    return "created", self.create(with_last_applied(doc), dry_run=dry_run)
                except ApiError as late:
                    if late.reason != "AlreadyExists":
                        raise
                    continue
            new = merged(doc, live)
            if new == live:
                return "unchanged", live
            try:
                written = self._call("PUT", path, new, _query(dryRun="All" if dry_run else None))
            except ApiError as error:
                if error.reason != "Conflict" or attempt == 4:
                    raise
                continue
            same = written["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]
            return "unchanged" if same else "configured", written
        raise ApiError(409, "Conflict", f"`{kind.plural}/{_name(doc)}` changes too fast to be applied: try again")

    def merge_patch(
        self, kind: str | Kind, name: str, change: Mapping[str, Any], namespace: str = "default"
    ) -> dict[str, Any]:
        """Merge a partial document into an object (RFC 7386)."""
        path = path_of(self._kind(kind), namespace, name)
        answer: dict[str, Any] = self._call("PATCH", path, change, media="application/merge-patch+json")
        return answer

    def delete(
        self,
        kind: str | Kind,
        name: str,
        namespace: str = "default",
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
        propagation: str | None = None,
    ) -> dict[str, Any]:
        """Delete an object, or begin to: the answer is a `Status` if it is gone, else the object."""
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        options |= {"preconditions": {"uid": uid}} if uid else {}
        options |= _query(gracePeriodSeconds=grace_seconds, propagationPolicy=propagation)
        answer: dict[str, Any] = self._call("DELETE", path_of(self._kind(kind), namespace, name), options)
        return answer

    def watch(
        self,
        kind: str | Kind,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        since: str | None = None,
        timeout_seconds: int | None = None,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Types and objects as they come, until the server or the caller ends it; `ApiError` 410 to list again."""
        query = _query(
            watch="true",
            labelSelector=labels,
            fieldSelector=fields,
            resourceVersion=since,
            timeoutSeconds=timeout_seconds,
        )
        for line in self._lines("GET", path_of(self._kind(kind), namespace), query=query):
            event = orjson.loads(line)
            if event["type"] == "ERROR":
                raise error_of(event["object"])
            yield event["type"], event["object"]

    # Kdl's own.

    def kdl(self, name: str, body: Mapping[str, Any] | None = None) -> Any:
        """What kdl's endpoint ``/kdl/v1/NAME`` answers."""
        return self._call("POST", f"/kdl/v1/{name}", body or {})

    def kdl_lines(self, name: str, body: Mapping[str, Any] | None = None) -> Iterator[str]:
        """The lines that a streaming endpoint sends, as they come."""
        return self._lines("POST", f"/kdl/v1/{name}", body or {})

    # Requests.

    def _lost(self, error: Exception) -> NotRunning:
        if "connect" in type(error).__name__.lower():
            return not_running(self._folder or self._where.endpoint)
        return NotRunning(f"the connection to kdl at {self._where.endpoint} was lost: {error or type(error).__name__}")

    def _kind(self, kind: str | Kind) -> Kind:
        return kind if isinstance(kind, Kind) else self.kind(kind)

    def _written(self, doc: Mapping[str, Any], namespace: str) -> tuple[Kind, dict[str, Any]]:
        """The kind of a manifest, and the manifest in that kind's version and with its namespace."""
        if not isinstance(doc.get("metadata"), dict):
            raise bad_request("a manifest has `apiVersion`, `kind` and `metadata`")
        kind = self.stored(str(doc.get("apiVersion")), str(doc.get("kind")))
        if kind is None:
            raise bad_request(f"there is no kind `{doc.get('kind')}` in `{doc.get('apiVersion')}`")
        written: dict[str, Any] = fresh(doc)
        if written["apiVersion"] != kind.api_version:
            convert(written, kind)
        if kind.namespaced:
            written["metadata"].setdefault("namespace", namespace)
        return kind, written

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, Any] | None = None,
        media: str = "application/json",
    ) -> Any:
        content = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": media} if content is not None else None
        try:
            response = self._http.request(method, path, content=content, params=query, headers=headers)
        except self._transport_error as error:
            raise self._lost(error) from error
        if response.status_code >= 400:
            raise _refusal(response)
        return orjson.loads(response.content)

    def _lines(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> Iterator[str]:
        import httpx

        content = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json"} if content is not None else None
        timeout = httpx.Timeout(60, read=None)
        try:
            with self._http.stream(
                method, path, content=content, params=query, headers=headers, timeout=timeout
            ) as response:
                if response.status_code >= 400:
                    response.read()
                    raise _refusal(response)
                yield from response.iter_lines()
        except self._transport_error as error:
            raise self._lost(error) from error


def _refusal(response: httpx.Response) -> ApiError:
    try:
        return error_of(orjson.loads(response.content))
    except ValueError:
        return ApiError(response.status_code, "Unknown", response.text or response.reason_phrase)


def _query(**items: Any) -> dict[str, Any]:
    return {name: item for name, item in items.items() if item is not None}


def _namespace(doc: Mapping[str, Any]) -> str | None:
    namespace: str | None = doc["metadata"].get("namespace")
    return namespace


def _name(doc: Mapping[str, Any]) -> str:
    name = doc["metadata"].get("name")
    if not isinstance(name, str) or not name:
        raise bad_request("a manifest that is applied or replaced has a `metadata.name`")
    return name
