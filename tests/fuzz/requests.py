"""Requests as our own OpenAPI describes them, and as it does not: what each must be answered with.

Bodies are made of the published schemas or taken from the repository's manifests; then some are bent, cut or spoiled.
"""

from __future__ import annotations

import base64
import copy
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlencode

import orjson
import yaml

from tests.fuzz.mutate import manifests
from tests.fuzz.words import ACCEPTED, HINTS, JUNK, MEDIA, MUST, NAMES, PARTS, PATCHES, PATHS, QUERY, QUESTIONS, SPACES


class Request(NamedTuple):
    """One request, whole."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None


class Operation(NamedTuple):
    """A line of our own OpenAPI."""

    method: str
    path: str
    means: dict[str, str]
    schema: Any
    """Of the body; None where it has none."""


class Surface:
    """What there is to ask: the operations that the server publishes, and their schemas."""

    def __init__(self, document_at: Callable[[str], Any]) -> None:
        self.schemas: dict[str, Any] = {}
        self.operations: list[Operation] = []
        for place in document_at("/openapi/v3")["paths"].values():
            document = document_at(place["serverRelativeURL"])
            self.schemas |= document["components"]["schemas"]
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
                    means = operation["x-kubernetes-group-version-kind"]
                    self.operations.append(Operation(method.upper(), path, means, body))
        self.examples: dict[str, list[Any]] = {}
        for text in manifests():
            for doc in _documents(text):
                self.examples.setdefault(doc["kind"], []).append(doc)

    def resolved(self, schema: Any) -> Any:
        """The schema itself, whatever refers to it."""
        while isinstance(schema, dict):
            if "$ref" in schema:
                schema = self.schemas.get(schema["$ref"].rpartition("/")[2], {})
            elif "allOf" in schema:
                schema = schema["allOf"][0]
            else:
                break
        return schema


def _documents(text: str) -> Iterator[Any]:
    if "&a" in text:  # a small text that means a large document; those are asked for elsewhere
        return
    try:
        for doc in yaml.safe_load_all(text):
            if isinstance(doc, dict) and isinstance(doc.get("kind"), str):
                yield orjson.loads(orjson.dumps(doc, default=str))
    except (yaml.YAMLError, ValueError, TypeError):
        return


class Maker:
    """Makes requests, the same for the same seed and answers."""

    def __init__(self, surface: Surface, seed: int) -> None:
        self._surface, self._chance = surface, random.Random(seed)
        self._known: list[tuple[str, str]] = []
        """What was made last: collections, and names."""

    def learn(self, request: Request, answer: Any) -> None:
        """Remember what was made, so that later requests find it."""
        metadata = answer.get("metadata") if isinstance(answer, dict) else None
        if request.method == "POST" and isinstance(metadata, dict) and isinstance(name := metadata.get("name"), str):
            self._known.append((request.path.partition("?")[0], name))
            del self._known[:-60]

    # Values.

    def junk(self) -> Any:
        """What nobody expects."""
        return copy.deepcopy(self._chance.choice(JUNK))

    def value(self, schema: Any, name: str = "", depth: int = 0) -> Any:
        """Something that fits a schema, more or less."""
        chance, schema = self._chance, self._surface.resolved(schema)
        if not isinstance(schema, dict) or chance.random() < 0.001:
            return self.junk()
        if (hinted := HINTS.get(name)) is not None and chance.random() < 0.9:
            return copy.deepcopy(hinted(chance))
        if "oneOf" in schema:
            return chance.choice((1, "1", "100m", "25%", "64Mi", 0, 8080))
        if "enum" in schema:
            return chance.choice(schema["enum"])
        match schema.get("type"):
            case "string":
                return self._string(schema)
            case "integer":
                return chance.choice(
                    (0, 1, 1, 2, 3, 10, 80, 3600, *((-1, 2**31, 2**53, 2**62) if chance.random() < 0.05 else ()))
                )
            case "number":
                return chance.choice((0, 1, 0.5))
            case "boolean":
                return chance.random() < 0.5
            case "array":
                return [self.value(schema.get("items", {}), "", depth + 1) for _ in range(chance.choice((0, 1, 1, 2)))]
            case _:
                return self._object(schema, depth)

    def _string(self, schema: Mapping[str, Any]) -> str:
        match schema.get("format"):
            case "date-time":
                return self._chance.choice(
                    ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00.123456Z", "1970-01-01T00:00:00Z")
                )
            case "byte":
                return base64.b64encode(self._chance.randbytes(5)).decode()
        return self._chance.choice(
            ("a", "web", "x", "1", "a.example.com", "default", "Always", "TCP", "100m", "v1", "")
        )

    def _object(self, schema: Mapping[str, Any], depth: int) -> Any:
        properties, chance = schema.get("properties"), self._chance
        if not properties:
            inner = schema.get("additionalProperties")
            keys = chance.sample(("cpu", "memory", "app", "pods", "a", "ephemeral-storage"), chance.choice((0, 1, 2)))
            return {key: self.value(inner, "", depth + 1) if inner else "a" for key in keys}
        wanted, needed = max(0.02, 0.35 - 0.05 * depth), schema.get("required", ())
        return {
            name: self.value(inner, name, depth + 1)
            for name, inner in properties.items()
            if name not in ("status", "managedFields") and (name in needed or name in MUST or chance.random() < wanted)
        }

    def document(self, operation: Operation, name: str = "") -> Any:
        """A body for an operation: made, or one of the examples, and some of them bent."""
        means, chance = operation.means, self._chance
        examples = self._surface.examples.get(means["kind"])
        if examples and chance.random() < 0.5:
            doc = copy.deepcopy(chance.choice(examples))
        else:
            doc = self.value(operation.schema)
            for field in ("data", "webhooks"):
                inner = self._surface.resolved(operation.schema).get("properties", {}).get(field)
                if isinstance(doc, dict) and field not in doc and inner is not None and chance.random() < 0.9:
                    doc[field] = self.value(inner, field, 1)
        if isinstance(doc, dict):
            version = "/".join(filter(None, (means["group"], means["version"])))
            doc |= {"apiVersion": version, "kind": means["kind"]}
            metadata = doc.get("metadata")
            doc["metadata"] = {**(metadata if isinstance(metadata, dict) else {}), "name": name or chance.choice(NAMES)}
            doc["metadata"].pop("namespace", None)
        for _ in range(chance.choice((0, 0, 0, 0, 0, 1, 1, 2))):
            doc = self.bent(doc)
        return doc

    def bent(self, doc: Any) -> Any:
        """The document with one value gone, doubled or replaced."""
        chance, places = self._chance, list(_places(doc))
        if not places:
            return self.junk()
        inner, key = chance.choice(places)
        match chance.randrange(5):
            case 0:
                del inner[key]
            case 1 if isinstance(inner, list):
                inner.append(inner[key])
            case 1:
                inner[f"{key}x"] = inner[key]
            case 2:
                other, where = chance.choice(places)
                inner[key] = copy.deepcopy(other[where])
            case _:
                inner[key] = self.junk()
        return doc

    def _spoiled(self, body: bytes) -> bytes:
        """The bytes with some cut, doubled or wrong."""
        chance = self._chance
        at, end = sorted((chance.randrange(len(body) + 1), chance.randrange(len(body) + 1)))
        piece = chance.choice(
            (b"", b"\xff", b"\x00", b"NaN", b"1e999", b"[" * 5000, b'{"a":' * 2000, b"&a *a", b"\\ud800")
        )
        return chance.choice((body[:at], body[:at] + piece + body[at:], body[:at] + body[end:], body + body))

    # Requests.

    def request(self) -> Request:
        """The next request."""
        match self._chance.randrange(20):
            case 0:
                return self._beside()
            case 1:
                return self._question()
            case 2 | 3:
                return self._part()
            case _:
                return self._operation()

    def _operation(self) -> Request:
        chance = self._chance
        operation, path = self._chosen()
        name = unquote(path.split("/")[operation.path.split("/").index("{name}")]) if "{name}" in operation.path else ""
        method = (
            operation.method if chance.random() < 0.97 else chance.choice(("POST", "PUT", "PATCH", "HEAD", "OPTIONS"))
        )
        headers = self._headers()
        if method == "PATCH":
            headers["Content-Type"] = chance.choice(PATCHES)
            path += "?fieldManager=me" if chance.random() < 0.9 else ""
            return self._finished(method, path, headers, self._patch(operation, headers["Content-Type"], name))
        if operation.schema is None and chance.random() < 0.9:
            return self._finished(method, path, headers, None)
        return self._finished(method, path, headers, self.document(operation, name) if operation.schema else {"a": 1})

    def _chosen(self) -> tuple[Operation, str]:
        """An operation and its path: often on something that was made before, often one that makes something."""
        chance, all_ = self._chance, self._surface.operations
        if self._known and chance.random() < 0.5:
            collection, name = chance.choice(self._known)
            template = re.sub("/namespaces/[^/]+/", "/namespaces/{namespace}/", collection)
            fitting = [one for one in all_ if one.path.startswith(f"{template}/{{name}}")]
            if fitting:
                chosen = chance.choice(fitting)
                rest = chosen.path.removeprefix(f"{template}/{{name}}")
                return chosen, f"{collection}/{quote(name, safe=':')}{rest}"
        chosen = chance.choice(all_ if chance.random() < 0.5 else [one for one in all_ if one.method == "POST"])
        path = chosen.path.replace("{namespace}", chance.choice(SPACES))
        return chosen, path.replace("{name}", quote(chance.choice(NAMES), safe=":"))

    def _patch(self, operation: Operation, media: str, name: str) -> Any:
        chance = self._chance
        creates = [
            o for o in self._surface.operations if o.means == operation.means and o.method == "POST" and o.schema
        ]
        doc = self.document(creates[0], name) if creates else {"metadata": {"labels": {"a": "b"}}}
        if media == PATCHES[1]:
            pointers = ["/metadata/labels", "/metadata/labels/a", "/spec", "/spec/replicas", "/a/-", "", "/",
            "/metadata/name",
                        "/spec/containers/0", "/spec/containers/-", "/metadata/finalizers/0", "/data/x",
                        "/metadata"]  # fmt: skip
            verbs = ("add", "remove", "replace", "move", "copy", "test", "x")
            steps = [
                {"op": chance.choice(verbs), "path": chance.choice(pointers), "from": chance.choice(pointers),
                 "value": self.junk()}
                for _ in range(chance.choice((1, 1, 2, 5)))
            ]  # fmt: skip
            return [self.bent(step) if chance.random() < 0.1 else step for step in steps]
        for inner, key in list(_places(doc)):
            if chance.random() < 0.03 and isinstance(inner, dict):
                word = chance.choice(("$patch", "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers",
                                      "$retainKeys", f"$setElementOrder/{key}", "$patch"))  # fmt: skip
                inner[word] = chance.choice(("delete", "replace", "merge", [{"name": "a"}], ["a"], 1, None))
        return doc

    def _part(self) -> Request:
        chance = self._chance
        known = [f"{collection}/{quote(name, safe=':')}" for collection, name in self._known]
        path = f"{chance.choice(known or ['/api/v1/namespaces/default/pods/a'])}/{chance.choice(PARTS)}"
        body: Any = chance.choice((
            {}, {"target": {"name": chance.choice(("node-1", "x"))}}, {"spec": {"expirationSeconds": self.junk()}},
            {"deleteOptions": {"gracePeriodSeconds": 0}}, {"spec": {"audiences": self.junk()}},
            {"spec": {"finalizers": self.junk()}}, {"spec": {"replicas": self.junk()}},
            {"spec": {"boundObjectRef": {"kind": "Pod", "name": self.junk()}}}, self.junk(),
        ))  # fmt: skip
        body = self.bent(body) if chance.random() < 0.3 else body
        method = chance.choice(("GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE"))
        return self._finished(method, path, self._headers(), None if method == "GET" else body)

    def _question(self) -> Request:
        chance, text = self._chance, self._chance.choice(QUESTIONS)
        reviews = ("authorization.k8s.io/v1/selfsubjectaccessreviews", "authentication.k8s.io/v1/tokenreviews",
                   "authorization.k8s.io/v1/subjectaccessreviews", "authorization.k8s.io/v1/selfsubjectrulesreviews",
                   "authentication.k8s.io/v1/selfsubjectreviews",
                   "authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews")  # fmt: skip
        attributes = {"verb": "get", "resource": "pods", "namespace": "default"}
        path, body = chance.choice((
            ("/kdl/v1/query", {"query": text}), ("/kdl/v1/why", {"goal": text}), ("/kdl/v1/whynot", {"goal": text}),
            ("/kdl/v1/why", {"goal": text, "expand": self.junk(), "form": chance.choice(("text", "svg", "x"))}),
            ("/kdl/v1/whatif", {"insert": chance.choice((["core.x(1)"], ["x"], 1, [1])), "ask": text}),
            ("/kdl/v1/whatif", {"objects": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "w"}}],
            "lines": "x"}),
            ("/kdl/v1/whatif", {"advance": self.junk()}), ("/kdl/v1/container", {"container": self.junk()}),
            ("/kdl/v1/sources", {"uid": "x", "file": "y", "lines": {"/a": 1}}), ("/kdl/v1/logs",
            {"name": self.junk()}),
            ("/kdl/v1/pack", {"name": "p", "verb": "add", "texts": {"p.dl": chance.choice(("module p.\n", "x", 1))}}),
            (f"/apis/{chance.choice(reviews)}", {"spec": {"resourceAttributes": attributes, "user": "x"}}),
            (f"/apis/{chance.choice(reviews)}", {"spec": chance.choice(({"token": "a.b.c"},
            {"namespace": "default"}, [], 1))}),
        ))  # fmt: skip
        for _ in range(chance.choice((0, 0, 1, 2))):
            body = self.bent(body)
        return self._finished("POST", path, self._headers(), body)

    def _beside(self) -> Request:
        method = self._chance.choice(
            ("GET", "GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "X")
        )
        return self._finished(method, self._chance.choice(PATHS), self._headers(), {} if method == "POST" else None)

    def _headers(self) -> dict[str, str]:
        chance = self._chance
        headers = {"Accept": chance.choice(ACCEPTED) if chance.random() < 0.1 else "application/json"}
        if chance.random() < 0.03:
            headers["Content-Type"] = chance.choice(MEDIA)
        if chance.random() < 0.02:
            name = chance.choice(("Impersonate-User", "Impersonate-Group", "Impersonate-Extra-a", "If-None-Match",
            "Origin",
                                  "Content-Encoding", "X-Forwarded-For", "User-Agent", "Upgrade"))  # fmt: skip
            headers[name] = chance.choice(("a", "", "é", "system:serviceaccount:a:b", "x" * 3000, "websocket", "gzip"))
        return headers

    def _finished(self, method: str, path: str, headers: dict[str, str], body: Any) -> Request:
        chance = self._chance
        query = [
            (name, chance.choice(QUERY[name]))
            for name in chance.sample(sorted(QUERY), chance.choice((0, 0, 0, 0, 0, 1, 2, 3)))
        ]
        query.append(("timeoutSeconds", "1"))
        path += ("&" if "?" in path else "?") + urlencode(query)
        data = None if body is None else json.dumps(body).encode()  # orjson refuses what is not to be refused here
        if data is not None and chance.random() < 0.04:
            data = self._spoiled(data)
        return Request(method, path, {name: text.encode().decode("latin-1") for name, text in headers.items()}, data)


def _places(doc: Any) -> Iterator[tuple[Any, Any]]:
    """Every value inside a document, as what holds it and where."""
    items = doc.items() if isinstance(doc, dict) else enumerate(doc) if isinstance(doc, list) else ()
    for key, item in list(items):
        yield doc, key
        yield from _places(item)
