"""Secret data as facts: marks that tell values apart and give nothing away: `<secret default/db/password#9f86d08188>`.

The engine that people ask knows secrets by these marks alone, so no explanation, plan, log or error can show more. The
mark is a keyed hash: who does not have the cluster's key cannot find a value by trying.
"""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import Final

from kdl.fact import Document, plain, value
from kdl.runtime.store.interface import Object, Store

KEY: Final = "seal"
APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""Where `kubectl apply` keeps a copy of the whole object."""


class Seal:
    """Marks secret data. The key is the cluster's own, made at the first use and kept in its store."""

    def __init__(self, store: Store) -> None:
        known = store.meta(KEY)
        if known is None:
            known = secrets.token_hex(32)
            with store.transaction() as t:
                t.put_meta(KEY, known)
        self._key = bytes.fromhex(known)

    def __call__(self, item: Object) -> Object:
        """The object as facts may tell of it."""
        if item.key[:2] != ("", "Secret"):
            return item
        doc = dict(item.doc)
        if data := doc.get("data"):
            doc["data"] = Document({name: self._mark(item, name, text) for name, text in data.items()})
        metadata = doc.get("metadata", Document())
        if APPLIED in (annotations := metadata.get("annotations") or Document()):
            mark = self._mark(item, APPLIED, annotations[APPLIED])
            doc["metadata"] = Document({**metadata, "annotations": Document({**annotations, APPLIED: mark})})
        return Object(item.key, item.revision, Document(doc))

    def _mark(self, item: Object, name: str, text: object) -> str:
        digest = blake2b(repr(plain(value(text))).encode(), key=self._key, digest_size=5).hexdigest()
        return f"<secret {item.key.id}/{name}#{digest}>"
