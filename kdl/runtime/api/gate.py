"""The three questions that every request must pass: who asks, may they, and is what they bring admitted.

These are their words; the answers are `kdl.runtime.identity`, `kdl.runtime.access` and `kdl.runtime.admission`, and a
server without answers (a test's) lets everybody in as an administrator.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from kdl.fact import Document
from kdl.parser.manifest.kinds import Kind
from kdl.runtime.api.status import ApiError
from kdl.runtime.store import Transaction

MASTERS, AUTHENTICATED, UNAUTHENTICATED = "system:masters", "system:authenticated", "system:unauthenticated"


@dataclass(frozen=True, slots=True)
class User:
    """Who asks: a name and the groups that it is in."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ADMIN: Final = User("kubernetes-admin", (MASTERS, AUTHENTICATED))
SYSTEM: Final = User("system:kdl", (MASTERS, AUTHENTICATED))
"""The brain and the nodes of this process, which write without HTTP."""


_ACCOUNT: Final = "system:serviceaccount:"


def known_as(name: str) -> User:
    """A user of whom nothing but the name is known, with the groups that follow from it."""
    space = name.removeprefix(_ACCOUNT).partition(":")[0] if name.startswith(_ACCOUNT) else ""
    accounts = ("system:serviceaccounts", f"system:serviceaccounts:{space}") if space else ()
    return User(name, (*accounts, AUTHENTICATED))


class Credentials(NamedTuple):
    """What a connection shows of who asks: its Authorization header, and the subject of its client certificate."""

    authorization: str = ""
    certificate: bytes | None = None
    """The client's certificate in DER, already verified against the cluster's CA by TLS."""


class Action(NamedTuple):
    """What is asked for: a verb on objects, or (with `path`) on a path of the API that is no object.

    The verbs are Kubernetes': get list watch create update patch delete deletecollection, and for paths the HTTP method
    in small letters. `resource` is the plural; `name` is empty for a collection unless a field selector names one.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


class Verdict(NamedTuple):
    """Whether an action is allowed, and the shortest useful reason."""

    allowed: bool
    reason: str = ""


class Review(NamedTuple):
    """A write that is to be admitted: CREATE UPDATE DELETE or CONNECT, by whom, and the object before and after."""

    operation: str
    user: User
    kind: Kind
    id: str
    new: Document | None
    old: Document | None
    subresource: str = ""
    dry_run: bool = False


class Authenticate(Protocol):
    """Who shows these credentials; `ApiError` 401 if they are wrong. Nobody's are those of `system:anonymous`."""

    def __call__(self, credentials: Credentials) -> User: ...


class Authorize(Protocol):
    """May the user do it? Any thread may ask."""

    def __call__(self, user: User, action: Action) -> Verdict: ...


class Admit(Protocol):
    """The object as it is to be stored (None where nothing is), inside the transaction; `ApiError` 403 if not."""

    def __call__(self, t: Transaction, review: Review) -> Document | None: ...


def everybody(credentials: Credentials) -> User:
    """Who asks, where nobody is asked for credentials."""
    return ADMIN


def bearer(token: str) -> Authenticate:
    """Who asks, where everybody who knows the token or shows a certificate of the cluster's authority is an admin."""
    known = token.encode()

    def authenticate(credentials: Credentials) -> User:
        scheme, _, given = credentials.authorization.partition(" ")
        if not credentials.authorization and credentials.certificate is not None:
            return ADMIN
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), known):
            raise ApiError(401, "Unauthorized", "Unauthorized")
        return ADMIN

    return authenticate


def anything(user: User, action: Action) -> Verdict:
    """May they, where everybody may."""
    return Verdict(True)


def unchanged(t: Transaction, review: Review) -> Document | None:
    """Admission, where everything is admitted as it is."""
    return review.new
