"""Refusals of the API, in Kubernetes' words: every one renders as a `Status` object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kdl.parser.diagnostic import Mistakes
from kdl.parser.manifest.kinds import Kind
from kdl.runtime.api.gate import Action, User
from kdl.runtime.api.status import ApiError, error_of

__all__ = ["ApiError", "error_of"]

UNKNOWN_FIELD: Final = "KDL510"
_REASONS: Final = {
    "KDL511": "FieldValueRequired",
    "KDL512": "FieldValueTypeInvalid",
    "KDL513": "FieldValueNotSupported",
    "KDL524": "FieldValueDuplicate",
}
"""What Kubernetes calls the mistakes that have these codes."""


def _about(kind: Kind, name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.plural, **more}


def bad_request(message: str) -> ApiError:
    """The request itself makes no sense."""
    return ApiError(400, "BadRequest", message)


NOT_RUN: Final = "ContainerHasNotRun"
"""The cause of a refusal to show the log of a run that was not there: an answer rather than a wrong question."""


def not_run(message: str) -> ApiError:
    """A container has no such run; Kubernetes answers 400."""
    return ApiError(400, "BadRequest", message, {"causes": [{"reason": NOT_RUN, "message": message}]})


def not_found(kind: Kind, name: str) -> ApiError:
    """There is no such object."""
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found', _about(kind, name))


def already_exists(kind: Kind, name: str) -> ApiError:
    """There is such an object already."""
    return ApiError(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', _about(kind, name))


def conflict(kind: Kind, name: str, why: str) -> ApiError:
    """The object is not as the request supposes."""
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, _about(kind, name))


def forbidden(kind: Kind, name: str, why: str) -> ApiError:
    """The request is refused whatever the object is."""
    return ApiError(403, "Forbidden", f'{kind.resource} "{name}" is forbidden: {why}', _about(kind, name))


def invalid(kind: Kind, name: str, problems: Iterable[tuple[str, str]]) -> ApiError:
    """The object breaks a rule of its kind; problems are (field, message)."""
    return _invalid(
        kind, name, [{"reason": "FieldValueInvalid", "message": text, "field": field} for field, text in problems]
    )


def _invalid(kind: Kind, name: str, causes: Sequence[Mapping[str, str]]) -> ApiError:
    told = ["{field}: {message}".format(**cause) if cause["field"] else cause["message"] for cause in causes]
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    title = f"{kind.name}.{kind.group}" if kind.group else kind.name
    details = {**_about(kind, name, causes=causes), "kind": kind.name}
    return ApiError(422, "Invalid", f'{title} "{name}" is invalid: {text}', details)


def mistaken(kind: Kind, name: str, mistakes: Mistakes) -> ApiError:
    """The object does not pass the checks of its manifest; unknown fields alone make it one that cannot be read."""
    found = mistakes.diagnostics
    if all(diagnostic.code == UNKNOWN_FIELD for diagnostic in found):
        told = ", ".join(f'unknown field "{d.field}"' + (f" ({d.help})" if d.help else "") for d in found)
        return bad_request(
            f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: strict decoding error: {told}'
        )
    causes = [
        {
            "reason": _REASONS.get(diagnostic.code, "FieldValueInvalid"),
            "message": " ".join(filter(None, (diagnostic.message, diagnostic.help and f"({diagnostic.help})"))),
            "field": diagnostic.field,
        }
        for diagnostic in found
    ]
    return _invalid(kind, name, causes)


def denied(user: User, action: Action, reason: str) -> ApiError:
    """The user may not do it."""
    why = f": {reason}" if reason else ""
    if action.path:
        return ApiError(
            403, "Forbidden", f'forbidden: User "{user.name}" cannot {action.verb} path "{action.path}"{why}'
        )
    part = "/".join(filter(None, (action.resource, action.subresource)))
    resource = f"{action.resource}.{action.group}" if action.group else action.resource
    named = f'{resource} "{action.name}"' if action.name else resource
    scope = f'in the namespace "{action.namespace}"' if action.namespace else "at the cluster scope"
    what = f'User "{user.name}" cannot {action.verb} resource "{part}" in API group "{action.group}" {scope}'
    details = {"name": action.name, "group": action.group, "kind": action.resource}
    told = {key: item for key, item in details.items() if item}
    return ApiError(403, "Forbidden", f"{named} is forbidden: {what}{why}", told)


def expired(message: str) -> ApiError:
    """What is asked for is no longer known: list again, and watch from there."""
    return ApiError(410, "Expired", message)
