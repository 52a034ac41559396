"""The pause image: what holds a pod's namespaces. Its bytes ship with kdl; it is never pulled.

Belongs here: the binaries for each architecture, the source they were built from (`pause.c`, `build.sh`), and the image
made of them. Does not: Docker.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

from kdl.effects.pause.archive import Entry, Image

ARCHITECTURES = ("amd64", "arm64")


def binary(architecture: str) -> bytes:
    """The pause program for an architecture in Docker's words; raises `LookupError` where there is none."""
    if architecture not in ARCHITECTURES:
        raise LookupError(f"kdl has no pause program for `{architecture}`, only for {', '.join(ARCHITECTURES)}")
    return files(__name__).joinpath(f"pause-{architecture}").read_bytes()


def pause_image(architecture: str) -> Image:
    """The image for an architecture. Its tag names its content, so that an older kdl's image is never taken for it."""
    program = binary(architecture)
    tag = f"kdl/pause:{hashlib.sha256(program).hexdigest()[:12]}"
    return Image(tag, architecture, (Entry("pause", program),), {"Entrypoint": ["/pause"]})
