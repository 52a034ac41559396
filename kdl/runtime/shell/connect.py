"""The running cluster that a command talks to: the one on the data folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from kdl.parser.manifest.kinds import Kind
    from kdl.runtime.api.client import Client


def default_folder() -> Path:
    """``$KDL_DATA``, else ``kdl`` in the user's data folder (XDG Base Directory)."""
    if folder := os.environ.get("KDL_DATA"):
        return Path(folder)
    base = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return Path(base) / "kdl"


def data_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option for the data folder."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        default=default_folder,
        help="The cluster's data folder.  [default: $KDL_DATA or ~/.local/share/kdl]",
    )(function)


def namespace_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option for the namespace."""
    return click.option("-n", "--namespace", default="default", show_default=True, help="The namespace.")(function)


def custom_kinds(folder: Path) -> list[Kind]:
    """The custom kinds of the cluster that runs on a folder, for manifests to be read by; none where none runs."""
    from kdl.runtime.api.connection import NotRunning

    try:
        with server(folder) as client:
            return client.custom()
    except NotRunning:
        return []


def server(folder: Path) -> Client:
    """A client of the cluster that runs on a folder; `NotRunning` if none does."""
    from kdl.runtime.api.client import Client

    return Client.of(folder)
