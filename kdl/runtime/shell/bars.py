"""Deployments on their way, as bars at the foot of a terminal; where output is no terminal, nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Bars:
    """Use it in a ``with``; lines go through `echo`, so that they stay above the bars."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    @property
    def visible(self) -> bool:
        """Whether anybody would see bars."""
        return self._console.is_terminal

    def echo(self, text: str, err: bool = False) -> None:
        """Print a line above the bars; whether anybody reads it changes nothing."""
        try:
            if self._live is None:
                click.echo(text, err=err)
            else:
                self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        except OSError:
            deaf(sys.stderr if err else sys.stdout)

    def show(self, deployments: Iterable[dict[str, Any]]) -> None:
        """How far deployments have come: a bar for each that is not available yet."""
        if not self.visible:
            return
        wanted = {f"{d['metadata']['namespace']}/{d['metadata']['name']}": d for d in deployments if not available(d)}
        for name in self._tasks.keys() - wanted.keys():
            assert self._live is not None
            self._live.remove_task(self._tasks.pop(name))
        if not wanted:
            self.close()
            return
        live = self._live or self._start()
        for name, deployment in wanted.items():
            if name not in self._tasks:
                self._tasks[name] = live.add_task(name, total=None)
            ready, total = progress(deployment)
            live.update(self._tasks[name], total=total, completed=ready)
        live.refresh()

    def _start(self) -> Progress:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._live = Progress(
            *columns, TextColumn("available"), TimeElapsedColumn(), console=self._console, transient=True
        )
        self._live.start()
        return self._live

    def close(self) -> None:
        """Take the bars away."""
        if self._live is not None:
            self._live.stop()
        self._live, self._tasks = None, {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def deaf(stream: TextIO) -> None:
    """From now on what is printed goes nowhere: whoever read it has gone, and there is nothing to flush at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def progress(deployment: dict[str, Any]) -> tuple[int, int]:
    """How many pods of a deployment's current template are available, and how many shall be."""
    status = deployment.get("status", {})
    ready = min(status.get("updatedReplicas", 0), status.get("availableReplicas", 0)) if current(deployment) else 0
    return ready, deployment["spec"].get("replicas", 1)


def current(deployment: dict[str, Any]) -> bool:
    """Whether a deployment's status speaks of its current template."""
    seen = deployment.get("status", {}).get("observedGeneration", 0)
    return bool(seen >= deployment["metadata"].get("generation", 1))


def available(deployment: dict[str, Any]) -> bool:
    """Whether a deployment's status speaks of its current template and all its replicas are there and available."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    there = status.get("updatedReplicas", 0) == status.get("availableReplicas", 0) == wanted
    return current(deployment) and bool(there)
