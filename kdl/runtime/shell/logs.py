"""`kdl logs`: what a pod's container has printed."""

from __future__ import annotations

from pathlib import Path

import click

from kdl.runtime.shell.connect import data_option, namespace_option, server


@click.command("logs")
@click.argument("pod")
@click.option("-c", "--container", help="Which container of the pod.  [default: the first]")
@click.option("-f", "--follow", is_flag=True, help="Go on with what it prints.")
@click.option("--tail", type=click.IntRange(0), help="Only the last so many lines.")
@click.option("-p", "--previous", is_flag=True, help="The run before the current one.")
@namespace_option
@data_option
def logs_command(
    pod: str, container: str | None, follow: bool, tail: int | None, previous: bool, namespace: str, data: Path
) -> int:
    """Print the log of a container of POD."""
    from kdl.runtime.api.errors import NOT_RUN
    from kdl.runtime.api.status import ApiError

    name = pod.removeprefix("pod/").removeprefix("pods/")
    options: dict[str, object] = {"namespace": namespace, "name": name, "container": container}
    options |= {"follow": follow, "tail": tail, "previous": previous}
    with server(data) as client:
        try:
            for line in client.kdl_lines("logs", options):
                click.echo(line)
        except ApiError as error:
            if not any(cause.get("reason") == NOT_RUN for cause in error.details.get("causes", ())):
                raise
            click.echo(f"error: {error.message}", err=True)
            return 1
    return 0
