"""Commands that keep a cluster's data: `backup` and `restore`."""

from __future__ import annotations

from pathlib import Path

import click

from kdl.runtime.shell.connect import data_option


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@data_option
def backup_command(file: Path, data: Path) -> None:
    """Write everything that the cluster keeps to FILE, as of one moment; it may be running meanwhile.

    The file holds secrets and keys, and is readable by its owner alone.
    """
    from kdl.runtime.store.backup import backup

    revision = backup(data, file)
    click.echo(f"{file}: revision {revision}, {file.stat().st_size:,} bytes")


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@data_option
def restore_command(file: Path, data: Path) -> None:
    """Make a data folder from a backup; `kdl up` goes on from there. Nothing that is there is overwritten."""
    from kdl.runtime.store.backup import restore

    revision = restore(file, data)
    click.echo(f"{data}: revision {revision}")
