"""One request as the verbs see it: who asks, for what, with which words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from kdl.runtime.api.gate import Action, User
from kdl.runtime.api.paths import Target
from kdl.runtime.api.representation import Form, form_of, json
from kdl.runtime.api.service import Objects
from kdl.runtime.store import Object

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
        headers = (
            {"Warning": ", ".join(f'299 - "{_quoted(text)}"' for text in self.warnings)} if self.warnings else None
        )
        return json(form.item(item), status, headers)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


Handler = Callable[[Call], Awaitable[Response]]


def success(status: int = 200, details: Mapping[str, Any] | None = None) -> Response:
    """The `Status` object that says that it is done."""
    doc: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return json(
        {**doc, **({"details": details} if details else {}), **({"code": status} if status != 200 else {})}, status
    )
