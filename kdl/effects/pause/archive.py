"""Container images made from bytes: one layer, no registry, the same archive for the same content on every machine.

The format is the one that ``docker save`` writes and every Docker loads. Nothing in it depends on the time or the
machine, so neither does the image's id.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an image: its content, the target of a link, or, with neither, a folder. `path` is relative."""

    path: str
    content: bytes | None = None
    link: str | None = None
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Image:
    """An image to be made: its tag, its files and its configuration in the words of the image format (``Cmd`` …)."""

    tag: str
    architecture: str
    entries: tuple[Entry, ...]
    config: Mapping[str, Any] = field(default_factory=dict)


def archive(image: Image) -> bytes:
    """The image as an archive that ``docker load`` reads."""
    layer = _tar(image.entries)
    layer_digest = hashlib.sha256(layer).hexdigest()
    config = orjson.dumps(
        {
            "architecture": image.architecture,
            "os": "linux",
            "created": EPOCH,
            "config": dict(image.config),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
            "history": [{"created": EPOCH}],
        },
        option=orjson.OPT_SORT_KEYS,
    )
    config_name, layer_name = f"{hashlib.sha256(config).hexdigest()}.json", f"{layer_digest}/layer.tar"
    manifest = orjson.dumps([{"Config": config_name, "RepoTags": [image.tag], "Layers": [layer_name]}])
    return _tar([
        Entry(config_name, config, mode=0o644),
        Entry(layer_name, layer, mode=0o644),
        Entry("manifest.json", manifest, mode=0o644),
    ])  # fmt: skip


def _tar(entries: Iterable[Entry]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.path)  # owner, group and time are zero unless set
            info.mode = entry.mode
            if entry.content is not None:
                info.size = len(entry.content)
                tar.addfile(info, io.BytesIO(entry.content))
                continue
            info.type, info.linkname = (tarfile.DIRTYPE, "") if entry.link is None else (tarfile.SYMTYPE, entry.link)
            tar.addfile(info)
    return out.getvalue()
