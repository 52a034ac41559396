"""Who asks: client certificates, bearer tokens and passwords become users with groups.

Static tokens and passwords are in `tokens.csv` and `basic.csv` of the data folder, if there are such files: a line is
`token,user,uid,"group1,group2"`, or `password,user,uid,"group1,group2"`. They are read again when they have changed.
"""

from __future__ import annotations

import base64
import csv
import hmac
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from kdl.runtime.api.certificates import subject_of
from kdl.runtime.api.errors import ApiError
from kdl.runtime.api.gate import ADMIN, AUTHENTICATED, UNAUTHENTICATED, Credentials, User
from kdl.runtime.clock import Clock
from kdl.runtime.store import Key, Object, Store
from kdl.runtime.tokens import ISSUER, Signer

ANONYMOUS: Final = User("system:anonymous", (UNAUTHENTICATED,))
SERVICE_ACCOUNT: Final = "system:serviceaccount:"
_EXTRA: Final = "authentication.kubernetes.io/"


class Identity:
    """Knows users by what they show; see `kdl.runtime.api.gate.Authenticate`."""

    def __init__(self, folder: Path, admin_token: str, store: Store, clock: Clock) -> None:
        self._admin = admin_token.encode()
        self._tokens, self._passwords = _Known(folder / "tokens.csv"), _Known(folder / "basic.csv")
        self._signer = Signer(folder)
        self._store, self._clock = store, clock

    def __call__(self, credentials: Credentials) -> User:
        """Who shows these; `ApiError` 401 if they are wrong."""
        scheme, _, given = credentials.authorization.strip().partition(" ")
        found: User | None = None
        match scheme.lower():
            case "bearer":
                found = self.bearer(given.strip())
            case "basic":
                found = self._basic(given.strip())
            case "" if credentials.certificate is not None:
                found = of_certificate(credentials.certificate)
            case "":
                return ANONYMOUS
        if found is None:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        return found

    def bearer(self, token: str, audience: str = ISSUER) -> User | None:
        """Whose token this is."""
        if hmac.compare_digest(token.encode(), self._admin):
            return ADMIN
        return self._tokens.find(token) or self._service_account(token, audience)

    def _basic(self, encoded: str) -> User | None:
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return None
        return self._passwords.find(password, name)

    # Service accounts.

    def issue(
        self, account: Object, seconds: int, audiences: Iterable[str] = (), bound: Object | None = None
    ) -> tuple[str, int]:
        """A token for a service account, which dies with the object that it is bound to, and the time of its end."""
        now = self._clock.now() // 1000
        about: dict[str, Any] = {
            "namespace": account.key.namespace,
            "serviceaccount": {"name": account.key.name, "uid": account.uid},
        }
        if bound is not None:
            about[bound.key.kind.lower()] = {"name": bound.key.name, "uid": bound.uid}
        claims = {
            "iss": ISSUER,
            "aud": list(audiences) or [ISSUER],
            "sub": f"{SERVICE_ACCOUNT}{account.key.namespace}:{account.key.name}",
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "jti": str(uuid4()),
            "kubernetes.io": about,
        }
        return self._signer.sign(claims), (now + seconds) * 1000

    def _service_account(self, token: str, audience: str) -> User | None:
        claims = self._signer.claims(token)
        now = self._clock.now() // 1000
        if claims is None or claims["iss"] != ISSUER or audience not in claims["aud"]:
            return None
        if not claims["nbf"] <= now < claims["exp"]:
            return None
        about = claims["kubernetes.io"]
        space, account = about["namespace"], about["serviceaccount"]
        extra = {f"{_EXTRA}credential-id": (f"JTI={claims['jti']}",)}
        for kind, bound in (("ServiceAccount", account), ("Pod", about.get("pod")), ("Secret", about.get("secret"))):
            if bound is None:
                continue
            found = self._store.get(Key("", kind, f"{space}/{bound['name']}"))
            if found is None or found.uid != bound["uid"]:
                return None
            if kind == "Pod":
                extra |= {f"{_EXTRA}pod-name": (bound["name"],), f"{_EXTRA}pod-uid": (bound["uid"],)}
        return User(claims["sub"], (*service_account_groups(space), AUTHENTICATED), account["uid"], extra)


def service_account_groups(namespace: str) -> tuple[str, str]:
    """The groups of all service accounts of a namespace."""
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}"


def of_certificate(data: bytes) -> User | None:
    """The user that a client certificate names: the common name, and the organizations as groups."""
    name, groups = subject_of(data)
    return User(name, (*groups, AUTHENTICATED)) if name else None


class _Known:
    """Users by their secrets, as a file of comma-separated values lists them; nobody while there is no such file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read: int | None = None
        self._users: list[tuple[bytes, User]] = []

    def find(self, secret: str, name: str | None = None) -> User | None:
        """Who has this secret (and this name)."""
        try:
            changed = self._file.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if changed != self._read:
            self._users, self._read = self._load(), changed
        found = None
        for known, user in self._users:
            if hmac.compare_digest(known, secret.encode()) and name in (None, user.name):
                found = found or user
        return found

    def _load(self) -> list[tuple[bytes, User]]:
        with self._file.open(encoding="utf-8", newline="") as lines:
            rows = [[part.strip() for part in row] for row in csv.reader(lines) if len(row) >= 3]
        return [(row[0].encode(), User(row[1], (*_groups(row[3:4]), AUTHENTICATED), row[2])) for row in rows if row[0]]


def _groups(fields: list[str]) -> list[str]:
    return [group.strip() for field in fields for group in field.split(",") if group.strip()]
