"""What containers have printed."""

from __future__ import annotations

from collections.abc import Iterator

from kdl.effects.docker.connection import Client, Connection
from kdl.effects.docker.inventory import listed
from kdl.effects.docker.names import Names


def read(
    connection: Connection,
    names: Names,
    pod_uid: str,
    container: str,
    *,
    tail: int | None = None,
    follow: bool = False,
    previous: bool = False,
    since: int | None = None,
    timestamps: bool = False,
) -> Iterator[bytes]:
    """The output of a container's last run, or of the one before, in pieces. `since` is in seconds since the epoch.

    Closing the iterator ends a `follow`. Raises `LookupError` where there is no such run.
    """
    runs = sorted(
        (item for item in listed(connection.looking(), names.filter(pod_uid=pod_uid, container=container))),
        key=lambda item: -item.attempt,
    )
    if len(runs) <= previous:
        raise LookupError(f"container `{container}` has {'no previous run' if previous else 'not run here'}")
    client = connection.endless()
    stream = client.logs(
        runs[int(previous)].id, stream=True, follow=follow, tail="all" if tail is None else tail,
        since=since, timestamps=timestamps,
    )  # fmt: skip
    return _closing(client, stream)


def _closing(client: Client, stream: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from stream
    finally:
        stream.close()  # type: ignore[attr-defined]
        client.close()
