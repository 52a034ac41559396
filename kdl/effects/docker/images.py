"""Images: the pause image from its bytes, others as their pull policy says."""

from __future__ import annotations

from typing import Any

from kdl.effects.docker.connection import (
    APIError,
    Client,
    ImageNotFound,
    NotFound,
    Refused,
    line,
    parse_repository_tag,
)
from kdl.effects.pause import ARCHITECTURES, pause_image
from kdl.effects.pause.archive import archive


def ensure_pause(client: Client) -> str:
    """Load the pause image if it is not there; returns its tag."""
    image = pause_image(str(client.version()["Arch"]))
    if find(client, image.tag) is None:
        for progress in client.load_image(archive(image)):
            if "error" in progress:
                raise Refused(f"the pause image cannot be loaded: {progress['error']}")
        if find(client, image.tag) is None:  # a full disk is not reported
            raise Refused("the pause image was loaded but is not there: is Docker's disk full?")
    return image.tag


def remove_pause(client: Client) -> None:
    """Remove the pause image unless a container uses it."""
    for architecture in ARCHITECTURES:
        try:
            client.remove_image(pause_image(architecture).tag)
        except NotFound:
            continue
        except APIError as error:
            if error.status_code != 409:
                raise


def find(client: Client, reference: str) -> dict[str, Any] | None:
    """An image that is here, inspected."""
    try:
        found: dict[str, Any] = client.inspect_image(reference)
    except (ImageNotFound, NotFound):
        return None
    return found


def resolve(client: Client, reference: str, policy: str) -> dict[str, Any]:
    """The image for a container, pulled if the policy says so; raises `Refused` if it cannot be had."""
    found = find(client, reference)
    if policy == "Never" and found is None:
        raise Refused(f"image `{reference}` is not here and its pull policy is Never")
    if policy == "Always" or found is None:
        try:
            _pull(client, reference)
        except (APIError, Refused) as error:
            absent = "is not here and " if found is None else ""
            raise Refused(f"image `{reference}` {absent}cannot be pulled: {line(error)}") from error
        found = find(client, reference)
    if found is None:
        raise Refused(f"image `{reference}` was pulled but is not here: is Docker's disk full?")
    return found


def _pull(client: Client, reference: str) -> None:
    repository, tag = parse_repository_tag(reference)
    for progress in client.pull(repository, tag=tag or "latest", stream=True, decode=True):
        if "error" in progress:
            raise Refused(str(progress["error"]))


def runs_as_root(image: dict[str, Any], user: str | None) -> bool:
    """Whether a container of the image with this user (None: the image's own) runs as root."""
    name = (user if user is not None else image["Config"].get("User") or "0").split(":")[0]
    return name in ("", "0", "root")
