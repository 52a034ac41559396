"""Tokens of service accounts: JSON Web Tokens (RFC 7519), signed with a key of the cluster's own (ES256)."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, Final

import orjson

from kdl.runtime.api.certificates import SigningKey

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"


class Signer:
    """Signs claims, and knows what it signed."""

    def __init__(self, folder: Path) -> None:
        self._key = SigningKey(folder / "pki" / "sa.key")
        name = _encoded(hashlib.sha256(self._key.public).digest())
        self._header = _encoded(orjson.dumps({"alg": "ES256", "kid": name.decode()}))

    def sign(self, claims: dict[str, Any]) -> str:
        """The token that says this."""
        text = self._header + b"." + _encoded(orjson.dumps(claims))
        return (text + b"." + _encoded(self._key.sign(text))).decode()

    def claims(self, token: str) -> dict[str, Any] | None:
        """What a token says; None for one that this key did not sign."""
        text, _, signature = token.rpartition(".")
        header, _, payload = text.partition(".")
        if header.encode() != self._header:  # so the algorithm is ours, too, whatever the header would like
            return None
        try:
            if not self._key.verifies(_decoded(signature), text.encode()):
                return None
            claims: dict[str, Any] = orjson.loads(_decoded(payload))
        except ValueError:
            return None
        return claims


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
