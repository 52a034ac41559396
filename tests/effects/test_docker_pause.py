"""The pause program and the images made of bytes."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import signal
import struct
import subprocess
import tarfile
from importlib.resources import files
from pathlib import Path

import pytest

from kdl.effects.pause import ARCHITECTURES, binary, pause_image
from kdl.effects.pause.archive import archive

MACHINES = {"amd64": 62, "arm64": 183}
EMULATORS = {"amd64": "qemu-x86_64", "arm64": "qemu-aarch64"}
NATIVE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
COMPILERS = {"amd64": "x86_64-linux-gnu-gcc", "arm64": "aarch64-linux-gnu-gcc"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_program_is_a_static_elf_for_its_machine(architecture: str) -> None:
    """64 bits, little endian, executable, no interpreter."""
    program = binary(architecture)
    assert program[:6] == b"\x7fELF\x02\x01"
    kind, machine = struct.unpack_from("<HH", program, 16)
    assert (kind, machine) == (2, MACHINES[architecture])
    start, size, count = struct.unpack_from("<Q", program, 32)[0], *struct.unpack_from("<HH", program, 54)
    segments = [struct.unpack_from("<L", program, start + index * size)[0] for index in range(count)]
    assert 1 in segments  # something is loaded
    assert 3 not in segments  # and by nothing but the kernel
    assert len(program) < 1024


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_program_waits_until_it_is_told_to_end(architecture: str, tmp_path: Path) -> None:
    """SIGTERM ends it with 0, other signals do not end it; on another machine's architecture under an emulator."""
    command = [str(tmp_path / "pause")]
    if architecture != NATIVE:
        emulator = shutil.which(EMULATORS[architecture])
        if emulator is None:
            pytest.skip(f"no {EMULATORS[architecture]}")
        command = [emulator, *command]
    (tmp_path / "pause").write_bytes(binary(architecture))
    (tmp_path / "pause").chmod(0o755)
    running = subprocess.Popen(command)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.5)
        if architecture == NATIVE:  # an emulator has signals of its own
            running.send_signal(signal.SIGHUP)
        running.send_signal(signal.SIGTERM)
        assert running.wait(5) == 0
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_program_is_what_its_source_gives(architecture: str, tmp_path: Path) -> None:
    """With the compiler that it was built with, to the byte."""
    compiler = shutil.which(COMPILERS[architecture])
    if compiler is None or "12.2.0" not in subprocess.check_output([compiler, "--version"], text=True):
        pytest.skip(f"no {COMPILERS[architecture]} 12.2.0")
    subprocess.run(["sh", str(files("kdl.effects.pause").joinpath("build.sh")), str(tmp_path)], check=True)
    assert (tmp_path / f"pause-{architecture}").read_bytes() == binary(architecture)


def test_an_archive_is_the_same_each_time_and_names_its_parts_by_their_content() -> None:
    """Nothing of the time or the machine is in it."""
    image = pause_image("arm64")
    assert archive(image) == archive(pause_image("arm64"))
    with tarfile.open(fileobj=io.BytesIO(archive(image))) as tar:
        parts = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    (manifest,) = json.loads(parts["manifest.json"])
    config, layer = parts[manifest["Config"]], parts[manifest["Layers"][0]]
    assert manifest["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
    assert json.loads(config)["architecture"] == "arm64"
    assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        (member,) = tar.getmembers()
        assert (member.name, member.mode, member.uid, member.mtime) == ("pause", 0o755, 0, 0)


def test_the_image_is_called_after_its_content() -> None:
    """An older kdl's image is never taken for it."""
    assert pause_image("amd64").tag != pause_image("arm64").tag
    with pytest.raises(LookupError, match="riscv64"):
        pause_image("riscv64")
