"""`kdl up` and `kdl down`: a cluster on this machine, from its first operation to its last."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdl.runtime.shell.change import apply_all, files_option, told
from kdl.runtime.shell.connect import data_option, server

if TYPE_CHECKING:
    from kdl.parser.manifest.load import Manifest
    from kdl.runtime.api.client import Client

STARTING, STOPPING, PATIENCE = 60.0, 180.0, 120.0
"""Seconds that a cluster gets to serve, to stop and clean up, and to make its deployments available."""

PERIOD = 0.1


@click.command("up")
@files_option(required=False)
@click.option("-r", "--rules", multiple=True, type=click.Path(), help="A rule pack: a file or folder of *.dl.")
@click.option(
    "--runtime",
    type=click.Choice(["auto", "docker", "fake"]),
    default="auto",
    show_default=True,
    help="Real containers, or containers in memory.",
)
@click.option("--nodes", type=click.IntRange(1, 60_000), help="How many fake nodes.  [default: 1]")
@click.option("--node-name", help="The name of this machine's node.  [default: the host name]")
@click.option("--pod-cidr", help="The addresses of this machine's pods.  [default: 10.244.0.0/24]")
@click.option("--port", type=click.IntRange(0, 65535), default=0,
              help="The API's port, on the loopback address and on the pods' gateway.")  # fmt: skip
@click.option("-d", "--detach", is_flag=True, help="Run in the background; return when it serves.")
@click.option("--wait", is_flag=True, help="With --detach: return when all deployments are available.")
@click.option("--max-facts", type=click.IntRange(1000), default=2_000_000, show_default=True,
              help="How many facts of one relation suspend the pack that derives them.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Do not print each operation.")
@data_option
def up_command(
    files: tuple[str, ...],
    rules: tuple[str, ...],
    runtime: str,
    nodes: int | None,
    node_name: str | None,
    pod_cidr: str | None,
    port: int,
    detach: bool,
    wait: bool,
    max_facts: int,
    quiet: bool,
    data: Path,
) -> int:
    """Run a cluster on this machine until it is stopped; containers go on running then. `kdl down` removes them."""
    from kdl.parser.manifest.load import load
    from kdl.runtime.shell.scratch import program_of

    if wait and not detach:
        raise click.UsageError("--wait goes with --detach")
    if runtime == "fake" and (node_name or pod_cidr):
        raise click.UsageError("--node-name and --pod-cidr are about this machine, not about fake nodes")
    if runtime == "docker" and nodes is not None:
        raise click.UsageError("--nodes is about fake nodes: Docker runs on this machine alone")
    _check_cidr(pod_cidr)
    program = program_of(rules)
    manifests = load(files)
    if detach:
        given: dict[str, object] = {
            "--runtime": runtime,
            "--nodes": nodes,
            "--node-name": node_name,
            "--pod-cidr": pod_cidr,
            "--max-facts": max_facts,
        }
        given |= {"--port": port, "--data": data.absolute()}
        arguments = [str(part) for name, item in given.items() if item is not None for part in (name, item)]
        return _detached([*arguments, *(part for rule in rules for part in ("-r", rule))], data, manifests, wait)
    from kdl.runtime.shell.session import Choice, Session

    choice = Choice(runtime, nodes, node_name, pod_cidr, max_facts)
    return Session(data, program, choice, quiet).run(port, manifests)


def _check_cidr(cidr: str | None) -> None:
    from ipaddress import IPv4Network

    if cidr is None:
        return
    try:
        network = IPv4Network(cidr)
    except ValueError as error:
        raise click.UsageError(f"--pod-cidr: {error}") from None
    if network.prefixlen > 29:
        raise click.UsageError(f"--pod-cidr: {cidr} has no room for pods")


# in the background


def _detached(arguments: list[str], data: Path, manifests: list[Manifest], wait: bool) -> int:
    """Start `kdl up` in a session of its own, and apply the manifests from here once it serves."""
    from kdl.runtime.store.folder import owner
    from kdl.runtime.store.interface import StoreError

    holder = owner(data)
    if holder is not None:
        raise StoreError(f"the data folder `{data}` is in use by process {holder}: stop it with `kdl down`")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = data / "up.log"
    (data / "endpoint").unlink(missing_ok=True)
    command = [sys.executable, "-c", "from kdl.runtime.shell.cli import main; main()", "up", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with log.open("w") as out:
        log.chmod(0o600)
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=environment
        )
    end = time.monotonic() + STARTING
    while not (data / "endpoint").exists():
        if child.poll() is not None or time.monotonic() > end:
            child.terminate()
            click.echo(log.read_text().rstrip(), err=True)
            click.echo(f"error: kdl did not start; its log is {log}", err=True)
            return 2 if child.returncode == 2 else 1
        time.sleep(0.02)
    with server(data) as client:
        status = client.kdl("status")
        click.echo(f"{status['told']}: {status['why']}; process {status['pid']}, log {log}")
        if not applied(client, manifests):
            return 1
        return 0 if not wait or _available(client) else 1


def applied(client: Client, manifests: list[Manifest]) -> bool:
    """Apply manifests and tell of each; whether none was refused."""
    refusals = apply_all(client, manifests, lambda what, stored: click.echo(f"{told(stored)} {what}"))
    for error in refusals:
        click.echo(f"error: {error.message}", err=True)
    return not refusals


def _available(client: Client) -> bool:
    """Whether all deployments became available in time, with nothing left to be done."""
    from kdl.runtime.shell.bars import Bars, available

    end = time.monotonic() + PATIENCE
    with Bars() as bars:
        while True:
            deployments = client.list("deployments")["items"]
            bars.show(deployments)
            waiting = [item for item in deployments if not available(item)]
            status = client.kdl("status")
            if status["halted"] is not None:
                click.echo(f"error: {status['stuck'][0]}", err=True)
                return False
            if not waiting and not status["pending"]:
                return True
            if time.monotonic() > end:
                break
            time.sleep(PERIOD)
    names = ", ".join(f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in waiting)
    what = f"not available after {PATIENCE:g} s: {names}" if waiting else f"not at rest after {PATIENCE:g} s"
    click.echo(f"error: {what}", err=True)
    return False


# the end


@click.command("down")
@click.option("--purge", is_flag=True, help="Remove the data folder, too: objects, history and token.")
@data_option
def down_command(purge: bool, data: Path) -> int:
    """Stop the running cluster and remove every container, chain and network that it made. Objects stay."""
    from kdl.runtime.store.folder import owner

    if not (data / "store.sqlite").exists():
        click.echo(f"nothing to do: no cluster was ever made in `{data}`")
        return 0
    holder = owner(data)
    if holder is not None:
        with server(data) as client:
            client.kdl("down")
        end = time.monotonic() + STOPPING
        while owner(data) == holder:
            if time.monotonic() > end:
                click.echo(f"error: process {holder} has not ended after {STOPPING:g} s", err=True)
                return 1
            time.sleep(PERIOD)
    if not _cleaned(data):
        return 1
    if purge:
        shutil.rmtree(data)
    click.echo("stopped" if holder is not None else "cleaned up")
    return 0


def _cleaned(data: Path) -> bool:
    """Remove what the cluster of a data folder made, unless its process has done so; whether nothing is left."""
    from kdl.runtime.shell.session import LEFT, RUNTIME, cleanup
    from kdl.runtime.store import SqliteStore

    store = SqliteStore(data)
    try:
        if store.meta(RUNTIME) == "docker" and store.meta(LEFT) != "no":
            cleanup(store, data)
    except Exception as error:  # whatever keeps Docker or the kernel from it is for people to read
        click.echo(f"error: not everything could be removed: {error}", err=True)
        return False
    finally:
        store.close()
    return True
