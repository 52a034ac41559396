"""When images are pulled, and when it is an error, for each pull policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from kdl.effects.docker.connection import ImageNotFound, Refused
from kdl.effects.docker.images import ensure_pause, resolve, runs_as_root
from kdl.effects.pause import pause_image


@dataclass
class Daemon:
    """What a Docker daemon does with images: those that are here, those that can be pulled, and a disk."""

    here: set[str] = field(default_factory=set)
    remote: set[str] = field(default_factory=set)
    full: bool = False
    pulls: list[str] = field(default_factory=list)

    def version(self) -> dict[str, str]:
        """Its architecture."""
        return {"Arch": "amd64"}

    def inspect_image(self, reference: str) -> dict[str, Any]:
        """An image that is here."""
        if reference not in self.here:
            raise ImageNotFound(f"No such image: {reference}")
        return {"Id": reference, "Config": {}}

    def pull(self, repository: str, tag: str, **_: Any) -> Iterator[dict[str, str]]:
        """The progress of a pull, which tells of its failure."""
        reference = f"{repository}:{tag}"
        self.pulls.append(reference)
        if reference not in self.remote:
            yield {"error": "manifest unknown"}
        elif not self.full:
            self.here.add(reference)

    def load_image(self, data: bytes) -> Iterator[dict[str, str]]:
        """The progress of a load, which does not tell of a full disk."""
        assert data
        if not self.full:
            self.here.add(pause_image("amd64").tag)
        yield {"stream": "Loaded"}


@pytest.mark.parametrize(
    ("policy", "here", "remote", "pulls"),
    [
        ("IfNotPresent", True, False, 0),
        ("IfNotPresent", False, True, 1),
        ("Always", True, True, 1),
        ("Always", False, True, 1),
        ("Never", True, False, 0),
    ],
)
def test_an_image_is_had_with_no_more_pulls_than_its_policy_asks_for(
    policy: str, here: bool, remote: bool, pulls: int
) -> None:
    """A machine without a registry works with what it has, unless told to pull always."""
    daemon = Daemon({"a:1"} if here else set(), {"a:1"} if remote else set())
    assert resolve(daemon, "a:1", policy)["Id"] == "a:1"
    assert len(daemon.pulls) == pulls


@pytest.mark.parametrize(
    ("policy", "here", "error"),
    [
        ("IfNotPresent", False, "image `a:1` is not here and cannot be pulled: manifest unknown"),
        ("Always", False, "image `a:1` is not here and cannot be pulled: manifest unknown"),
        ("Always", True, "image `a:1` cannot be pulled: manifest unknown"),
        ("Never", False, "image `a:1` is not here and its pull policy is Never"),
    ],
)
def test_an_image_that_cannot_be_had_is_refused_with_the_reason(policy: str, here: bool, error: str) -> None:
    """Each in its own words."""
    with pytest.raises(Refused) as refusal:
        resolve(Daemon({"a:1"} if here else set()), "a:1", policy)
    assert str(refusal.value) == error


def test_a_tag_that_is_not_given_is_latest() -> None:
    """And a port is no tag."""
    daemon = Daemon()
    for reference in ("a", "registry.example:5000/a"):
        with pytest.raises(Refused):
            resolve(daemon, reference, "Always")
    assert daemon.pulls == ["a:latest", "registry.example:5000/a:latest"]


def test_a_disk_that_is_full_is_found_out_although_docker_does_not_say_so() -> None:
    """Pulling and loading both return as if all were well."""
    with pytest.raises(Refused, match="disk full"):
        resolve(Daemon(remote={"a:1"}, full=True), "a:1", "IfNotPresent")
    with pytest.raises(Refused, match="disk full"):
        ensure_pause(Daemon(full=True))
    assert ensure_pause(Daemon()) == pause_image("amd64").tag


@pytest.mark.parametrize(
    ("image_user", "user", "root"),
    [("", None, True), ("nobody", None, False), ("0:5", None, True), ("nobody", "0", True), ("root", "1000:0", False)],
)
def test_the_containers_user_goes_before_the_images(image_user: str, user: str | None, root: bool) -> None:
    """A group does not make it root."""
    assert runs_as_root({"Config": {"User": image_user}}, user) is root
