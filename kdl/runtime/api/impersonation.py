"""Acting as somebody else (`kubectl --as`): headers that name a user, which the asker may use if a rule allows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from starlette.datastructures import Headers

from kdl.runtime.api.errors import bad_request, denied
from kdl.runtime.api.gate import AUTHENTICATED, UNAUTHENTICATED, Action, Authorize, User

_ACCOUNT: Final = "system:serviceaccount:"
_EXTRA: Final = "impersonate-extra-"


def impersonates(headers: Headers) -> bool:
    """Whether a request is to be done as somebody else."""
    return any(name.startswith("impersonate-") for name in headers)


def impersonated(headers: Headers, asker: User, authorize: Authorize) -> User:
    """As whom a request is done; `ApiError` 403 if the asker may not be that user, in one of these groups."""
    name, groups = headers.get("impersonate-user", ""), tuple(headers.getlist("impersonate-group"))
    extra: dict[str, tuple[str, ...]] = {}
    for header, value in headers.items():
        if header.startswith(_EXTRA):
            key = unquote(header.removeprefix(_EXTRA))
            extra[key] = (*extra.get(key, ()), value)
    uid = headers.get("impersonate-uid", "")
    if not name:
        raise bad_request("requested to impersonate groups, a uid or extra fields without impersonating a user")
    for action in _actions(name, groups, uid, extra):
        verdict = authorize(asker, action)
        if not verdict.allowed:
            raise denied(asker, action, verdict.reason)
    if (account := _account(name)) and not groups:
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{account[0]}")
    if name == "system:anonymous":
        groups = groups or (UNAUTHENTICATED,)
    elif UNAUTHENTICATED not in groups and AUTHENTICATED not in groups:
        groups = (*groups, AUTHENTICATED)
    return User(name, groups, uid, extra)


def _account(name: str) -> tuple[str, str] | None:
    """The namespace and name of the service account that a user is, if it is one."""
    space, _, account = name.removeprefix(_ACCOUNT).partition(":")
    known = name.startswith(_ACCOUNT) and space and account and ":" not in account
    return (space, account) if known else None


def _actions(name: str, groups: tuple[str, ...], uid: str, extra: dict[str, tuple[str, ...]]) -> Iterator[Action]:
    """What the asker must be allowed, each by itself."""
    if account := _account(name):
        yield Action("impersonate", resource="serviceaccounts", namespace=account[0], name=account[1])
    else:
        yield Action("impersonate", resource="users", name=name)
    for group in groups:
        yield Action("impersonate", resource="groups", name=group)
    if uid:
        yield Action("impersonate", "authentication.k8s.io", "uids", name=uid)
    for key, values in extra.items():
        for value in values:
            yield Action("impersonate", "authentication.k8s.io", "userextras", key, name=value)
