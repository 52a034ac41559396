"""Where an object's fields were written: the file and line that proofs end in.

What a controller made from a template is traced to the template: the owner's fields, its owner's, up to a manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kdl.fact import Document, Fact
from kdl.runtime.objects import OBJECT
from kdl.runtime.store.interface import Source

Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Origins:
    """Finds places by the uid of an object. `source` is where it was written, `document` what it says."""

    source: Callable[[str], Source | None]
    document: Callable[[str], Document | None]

    def __call__(self, fact: Fact, path: Steps | None) -> str | None:
        """``hello.yaml:12`` for an object's fact, or for a path in its document; None if nobody wrote it down."""
        if fact.relation != OBJECT:
            return None
        uid = str(fact.row[3])
        for _ in range(8):
            found = self.source(uid)
            if found is not None:
                return f"{found.file}:{_line(found.lines, path or ())}"
            owner = self._owner(uid)
            if owner is None:
                return None
            if path is not None:
                path = ("spec", "template", *path) if path[:1] != ("spec",) or "template" not in path else path
            uid = owner
        return None

    def _owner(self, uid: str) -> str | None:
        doc = self.document(uid)
        for reference in (doc or {}).get("metadata", {}).get("ownerReferences", ()):
            if reference.get("controller"):
                return str(reference["uid"])
        return None


def _line(lines: Mapping[str, int], path: Steps) -> int:
    """The line of a path, or of what is nearest above it."""
    for end in range(len(path), -1, -1):
        pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path[:end])
        if pointer in lines:
            return lines[pointer]
    return min(lines.values(), default=1)
