"""One request as the verbs see it: who asks, for what, with which words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from kdl.runtime.api.gate import Action, User
from kdl.runtime.api.paths import Target
from kdl.runtime.api.representation import Form, form_of, json
from kdl.runtime.api.service import Objects
from kdl.runtime.store import Object

MOST_WARNING: Final = 256
MOST_WARNINGS: Final = 4096
"""How many letters one warning has, and all together, as in Kubernetes."""

TRUE = ("1", "t", "T", "true", "True", "TRUE")


@dataclass(frozen=True, slots=True)
class Call:
    """A request on a collection, an object or a subresource, by a user who may."""

    request: Request
    target: Target
    user: User
    objects: Objects
    """The objects as this user: what is written is written, and admitted, in the user's name."""

    warnings: list[str]
    """What the answer warns of."""

    allow: Callable[[Action], Awaitable[object]]
    """Asks for something more than the request itself said; `ApiError` 403 if the user may not."""

    @property
    def query(self) -> QueryParams:
        """The query's parameters."""
        return self.request.query_params

    def asks(self, name: str) -> bool:
        """Whether a parameter of the query is given and true."""
        return self.query.get(name) in TRUE

    @property
    def form(self) -> Form:
        """How objects are to be shown."""
        return form_of(self.request, self.target.kind, self.target.api_version)

    def answer(self, item: Object, form: Form, status: int = 200) -> Response:
        """An object as the answer, with the warnings that it gave rise to."""
        return json(form.item(item), status, {"Warning": _warning(self.warnings)} if self.warnings else None)


def _warning(texts: Sequence[str]) -> str:
    """The header that tells warnings, as far as it may be long: UTF-8, as Kubernetes writes it."""
    told: list[str] = []
    room = MOST_WARNINGS
    for text in texts:
        short = text if len(text) <= MOST_WARNING else f"{text[:MOST_WARNING]}…"
        room -= len(short)
        if room < 0:
            break
        visible = "".join(letter if letter.isprintable() else " " for letter in short)
        told.append('299 - "' + visible.replace("\\", "\\\\").replace('"', '\\"') + '"')
    return ", ".join(told).encode("utf-8", "replace").decode("latin-1")


Handler = Callable[[Call], Awaitable[Response]]


def success(status: int = 200, details: Mapping[str, Any] | None = None) -> Response:
    """The `Status` object that says that it is done."""
    doc: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return json(
        {**doc, **({"details": details} if details else {}), **({"code": status} if status != 200 else {})}, status
    )
