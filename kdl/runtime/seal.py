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
    """Marks secret data. Without a key it has one of its own: its marks are to be compared with no others."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = secrets.token_bytes(32) if key is None else key

    @classmethod
    def of(cls, store: Store) -> Seal:
        """A cluster's own, whose key is made at the first use and kept in its store."""
        known = store.meta(KEY)
        if known is None:
            known = secrets.token_hex(32)
            with store.transaction() as t:
                t.put_meta(KEY, known)
        return cls(bytes.fromhex(known))

    def __call__(self, item: Object) -> Object:
        """The object as facts may tell of it."""
        if item.key[:2] != ("", "Secret"):
            return item
        doc = dict(item.doc)
        for part in ("data", "stringData"):
            if isinstance(data := doc.get(part), Document):
                doc[part] = Document({name: self._mark(item, name, text) for name, text in data.items()})
        metadata = doc.get("metadata", Document())
        annotations = metadata.get("annotations")
        if isinstance(annotations, Document) and APPLIED in annotations:
            mark = self._mark(item, APPLIED, annotations[APPLIED])
            doc["metadata"] = Document({**metadata, "annotations": Document({**annotations, APPLIED: mark})})
        return Object(item.key, item.revision, Document(doc))

    def _mark(self, item: Object, name: str, text: object) -> str:
        digest = blake2b(repr(plain(value(text))).encode(), key=self._key, digest_size=5).hexdigest()
        return f"<secret {item.key.id}/{name}#{digest}>"
