"""Where an object's fields were written: the file and line that proofs end in.

What a controller made from a template is traced to the template: the owner's fields, its owner's, up to a manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kdl.fact import Document, Fact
from kdl.rules.engine import Engine
from kdl.runtime.objects import OBJECT
from kdl.runtime.store.interface import Source

Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Origins:
    """Finds places by the uid of an object. `source` is where it was written, `document` what it says."""

    source: Callable[[str], Source | None]
    document: Callable[[str], Document | None]

    @classmethod
    def of(cls, engine: Callable[[], Engine], source: Callable[[str], Source | None]) -> Origins:
        """Those of the objects that an engine has now."""

        def document(uid: str) -> Document | None:
            rows = engine().lookup(OBJECT, {3: uid})
            return next((row[4] for row in rows if isinstance(row[4], Document)), None)

        return cls(source, document)

    def __call__(self, fact: Fact, path: Steps | None) -> str | None:
        """``hello.yaml:12`` for an object's fact, or for a path in its document.

        None if nobody wrote it down: what is a default or was set later has no place in a manifest.
        """
        if fact.relation != OBJECT:
            return None
        uid = str(fact.row[3])
        for _ in range(8):
            found = self.source(uid)
            if found is not None:
                line = _line(found.lines, path)
                return f"{found.file}:{line}" if line is not None else None
            owner = self._owner(uid)
            if owner is None:
                return None
            if path is not None:
                path = ("spec", "template", *path) if path[:1] != ("spec",) or "template" not in path else path
            uid = owner
        return None

    def _owner(self, uid: str) -> str | None:
        doc = self.document(uid)
        metadata = doc.get("metadata", {}) if doc is not None else {}
        for reference in metadata.get("ownerReferences", ()):
            if reference.get("controller"):
                return str(reference["uid"])
        return None


def _line(lines: Mapping[str, int], path: Steps | None) -> int | None:
    """The line of a path, or where the object begins."""
    if not path:
        return min(lines.values(), default=1)
    return lines.get("".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path))
