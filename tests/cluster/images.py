"""The images that tests use, made from the machine's own programs: no registry is asked."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import docker

from kdl.effects.pause.archive import Entry, Image, archive

FOLDERS = ("bin", "etc", "tmp", "proc", "sys", "dev", "root", "var", "var/run", "www", "mnt")
BUSYBOX = "busybox:1.36"
BUSYBOX_NEXT = "busybox:1.37"
CLIENT = "client:1"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@functools.cache
def _entries() -> tuple[Entry, ...]:
    program = Path("/bin/busybox")
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    links = [Entry(f"bin/{applet}", link="busybox") for applet in sorted(applets) if applet != "busybox"]
    return (
        *[Entry(folder, mode=0o1777 if folder == "tmp" else 0o755) for folder in FOLDERS],
        Entry("bin/busybox", program.read_bytes()),
        *links,
        Entry("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", mode=0o644),
        Entry("etc/group", b"root:x:0:\nnogroup:x:65534:\n", mode=0o644),
    )


def busybox(tag: str = BUSYBOX, *, version: str = "1") -> Image:
    """A busybox image; another version is another image that differs in $VERSION alone."""
    machine = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout.strip()
    config = {"Cmd": ["sh"], "WorkingDir": "/", "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", f"VERSION={version}"]}
    return Image(tag, ARCHITECTURES[machine], _entries(), config)


def client() -> Image:
    """A busybox that has curl, with the libraries that it needs, and the kubectl of this environment."""
    base = busybox(CLIENT)
    curl, kubectl = shutil.which("curl"), shutil.which("kubectl", path=Path(sys.executable).parent)
    assert curl is not None
    assert kubectl is not None
    printed = subprocess.run(["ldd", curl], capture_output=True, text=True, check=True).stdout
    files = [*re.findall(r"(/\S+) \(0x", printed)]
    programs = [Entry("bin/curl", Path(curl).read_bytes()), Entry("bin/kubectl", Path(kubectl).read_bytes())]
    libraries = [Entry(file.lstrip("/"), Path(file).read_bytes()) for file in files]
    folders = {str(parent) for entry in libraries for parent in Path(entry.path).parents[:-1]}
    entries = [*base.entries, *(Entry(folder) for folder in sorted(folders)), *programs, *libraries]
    return Image(CLIENT, base.architecture, tuple(entries), base.config)


def test_images() -> tuple[Image, ...]:
    """The images that every lab node has: two versions of busybox."""
    return busybox(), busybox(BUSYBOX_NEXT, version="2")


test_images.__test__ = False  # type: ignore[attr-defined]


def load(url: str, *images: Image) -> None:
    """Load images into the Docker at a URL, and see that they are there."""
    client = docker.DockerClient(base_url=url)
    try:
        for image in images:
            client.images.load(archive(image))
            client.images.get(image.tag)
    finally:
        client.close()
