"""The process behind `kdl up`: a cluster that serves, tells what it does, and ends when it is asked to."""

from __future__ import annotations

import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdl.fact import Document
from kdl.parser.manifest.load import Manifest
from kdl.rules.program import Program
from kdl.runtime.api.connection import announce, token_of, withdraw, write_kubeconfig
from kdl.runtime.api.gate import ADMIN, MASTERS
from kdl.runtime.api.http import app, listen, serve
from kdl.runtime.clock import SystemClock
from kdl.runtime.cluster import Cluster, collect_seldom, reach
from kdl.runtime.journal import Journal
from kdl.runtime.nodes import Nodes, docker_nodes, examine, fake_nodes, prepare
from kdl.runtime.server import Endpoints
from kdl.runtime.shell.bars import Bars
from kdl.runtime.shell.narrator import Narrator
from kdl.runtime.store import SqliteStore, Store, StoreError

if TYPE_CHECKING:
    from kdl.runtime.api.certificates import Authority
    from kdl.runtime.identity import Identity

NAMED = "apiserver.name"
"""The names of the API that its certificate is to have for pods."""

RUNTIME, COUNT, NAME, CIDR = "runtime", "nodes", "node-name", "pod-cidr"
LEFT = "left"
"""Says ``no`` in the store once everything that the cluster made outside of it has been removed."""

PERIOD = 0.2

ENDS = (signal.SIGINT, signal.SIGTERM)
"""The signals that end a cluster's process; its containers go on."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for on the command line."""

    runtime: str
    nodes: int | None
    node_name: str | None
    pod_cidr: str | None
    facts: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the cluster runs on, and why."""

    runtime: str
    why: str
    nodes: Nodes


class Session:
    """One run of `kdl up` on a data folder."""

    def __init__(self, folder: Path, program: Program, choice: Choice, quiet: bool) -> None:
        self._folder, self._program, self._choice, self._quiet = folder, program, choice, quiet
        self._over = threading.Event()
        self._clean = False

    def run(self, port: int, manifests: list[Manifest]) -> int:
        """Run until a signal or `kdl down` ends it; the exit code."""
        if self._choice.runtime == "docker" and not (self._folder / "store.sqlite").exists():
            _require("the docker runtime lacks something")
        store = SqliteStore(self._folder)
        before = {number: signal.signal(number, lambda *_: self._over.set()) for number in ENDS}
        try:
            return self._run(store, port, manifests)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self, store: Store, port: int, manifests: list[Manifest]) -> int:
        from kdl.runtime.api.certificates import Authority
        from kdl.runtime.identity import Identity
        from kdl.runtime.sources import sources

        clock = SystemClock()
        collect_seldom()
        _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))  # each watch is an open connection
        try:
            authority = Authority(self._folder)
            identity = Identity(self._folder, token_of(self._folder), store, clock)
            chosen = _choose(self._choice, store, clock, self._folder, sources(store, identity))
            listeners = _listeners(chosen, port)
        except BaseException:
            store.close()
            raise
        click.echo(f"runtime {chosen.runtime}: {chosen.why}")
        bars = Bars()
        narrator = Narrator(self._quiet, bars)
        journal = Journal(self._folder)
        told = reach(authority.certificate.decode(), *(listener.getsockname() for listener in listeners[1:]))
        cluster = Cluster(
            self._program, store, chosen.nodes, clock, narrator.operation, journal, self._choice.facts, told
        )
        for pack in cluster.packs.packs:
            if pack.state == "suspended":
                click.echo(f"the pack `{pack.name}` is suspended: {pack.reason}", err=True)
        try:
            code = self._serve(cluster, chosen, narrator, authority, identity, listeners, manifests)
        finally:
            bars.close()
            withdraw(self._folder)
            cluster.brain.close()
            if self._clean:
                self._cleaned(store, chosen.nodes)
            cluster.stop()
        return code

    def _serve(
        self,
        cluster: Cluster,
        chosen: Chosen,
        narrator: Narrator,
        authority: Authority,
        identity: Identity,
        listeners: list[socket.socket],
        manifests: list[Manifest],
    ) -> int:
        from kdl.runtime.api.certificates import LOOPBACK, context
        from kdl.runtime.api.channels import Channels
        from kdl.runtime.api.client import Client
        from kdl.runtime.api.proxy import Proxy
        from kdl.runtime.reviews import Reviews
        from kdl.runtime.shell.up import applied

        count = len(chosen.nodes.nodes)
        nodes = f"node {chosen.nodes.nodes[0].name}" if count == 1 else f"{count} nodes"
        told = {"told": f"kdl is up on the {chosen.runtime} runtime with {nodes}", "why": chosen.why}
        endpoints = Endpoints(cluster, chosen.runtime, self._down, told)
        names = [
            *LOOPBACK,
            *(str(row[0]) for row in cluster.brain.engine.facts(NAMED)),
            *(node.address for node in chosen.nodes.nodes[:1]),
            *(listener.getsockname()[0] for listener in listeners),
        ]
        reviews = Reviews(cluster.objects, identity, lambda: cluster.access)
        application = app(
            cluster.objects,
            identity,
            lambda user, action: cluster.access(user, action),
            endpoints=endpoints.all(),
            answers={**endpoints.answers(), **reviews.answers()},
            channels=Channels(chosen.nodes.streams) if chosen.nodes.streams is not None else None,
            proxy=Proxy() if chosen.nodes.streams is not None else None,
            hosts=names,
        )
        cluster.start()
        api = serve(application, listeners, context(authority, names))
        try:
            admin = authority.client(ADMIN.name, [MASTERS])
            kubeconfig = write_kubeconfig(self._folder, api.endpoint, authority.certificate, ADMIN.name, admin)
            announce(self._folder, api.endpoint)
            click.echo(f"{nodes}; API at {api.endpoint}, token in {self._folder / 'token'}")
            click.echo(f"export KUBECONFIG={kubeconfig.absolute()}")
            with Client.of(self._folder) as client:
                applied(client, manifests)
            return self._wait(cluster, narrator)
        finally:
            withdraw(self._folder)
            api.stop()

    @staticmethod
    def _cleaned(store: Store, nodes: Nodes) -> None:
        try:
            _clean(store, nodes)
        except Exception as error:  # Docker or the kernel refuses: whoever asked for it tries again, and tells
            click.echo(f"error: not everything could be removed: {error}", err=True)

    def _down(self) -> None:
        """Asked by `kdl down`: end, and leave nothing."""
        self._clean = True
        self._over.set()

    def _wait(self, cluster: Cluster, narrator: Narrator) -> int:
        """Until it is over; a summary whenever nothing happens any more. 1 if the loop broke."""
        seen, since, summed, halted = -1, time.monotonic(), -1, None
        while not self._over.wait(PERIOD):
            if not cluster.thinking:
                click.echo("error: the loop has ended by itself; this is a bug in kdl", err=True)
                return 1
            if halted != (halted := cluster.brain.halted):
                narrator.halted(halted)
            narrator.progress(cluster)
            if narrator.count != seen:
                seen, since = narrator.count, time.monotonic()
            elif summed != seen and time.monotonic() - since > 1:
                summed = seen
                narrator.rest(cluster)
        return 0


def _listeners(chosen: Chosen, port: int) -> list[socket.socket]:
    """Where the API listens: on the loopback address, and, where pods are containers, in their network."""
    listeners: list[socket.socket] = []
    try:
        listeners.append(listen(port=port))
        if chosen.nodes.world is None:
            port = listeners[0].getsockname()[1]
            listeners += [listen(node.gateway, port, early=True) for node in chosen.nodes.nodes]
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise StoreError(f"the API cannot listen on port {port}: {error.strerror}") from error
    return listeners


def _choose(
    choice: Choice, store: Store, clock: SystemClock, folder: Path, sources: dict[str, Callable[[Document], bytes]]
) -> Chosen:
    """What the cluster runs on: as asked, as it did before, or as the machine allows."""
    before = store.meta(RUNTIME)
    runtime, why = choice.runtime, "as asked for"
    if before is not None and runtime not in ("auto", before):
        raise StoreError(f"this cluster runs on the {before} runtime: choose another data folder for a {runtime} one")
    if runtime == "auto" and before is not None:
        runtime, why = before, "as before"
    elif runtime == "auto" and choice.nodes is not None:
        runtime, why = "fake", "--nodes asks for nodes in memory"
    elif runtime == "auto":
        missing = _missing()
        runtime = "fake" if missing else "docker"
        why = f"containers in memory ({missing[0]})" if missing else "Docker and iptables answer"
    if runtime == "docker":
        if before is not None:
            _require("this cluster runs on Docker, which lacks something")
        name, cidr = choice.node_name or store.meta(NAME), choice.pod_cidr or store.meta(CIDR)
        nodes = docker_nodes(store.cluster_uid, folder, sources, name, cidr)
        kept = {NAME: nodes.nodes[0].name, CIDR: nodes.nodes[0].pod_cidr, LEFT: "yes"}
    else:
        count = choice.nodes or int(store.meta(COUNT) or 1)
        nodes, kept = fake_nodes(count, clock), {COUNT: str(count)}
    with store.transaction() as t:
        for key, item in {RUNTIME: runtime, **kept}.items():
            t.put_meta(key, item)
    return Chosen(runtime, why, nodes)


def _require(otherwise: str) -> None:
    """Raise `StoreError` with what this machine lacks for containers, if anything."""
    if missing := _missing():
        raise StoreError("\n  ".join([f"{otherwise}:", *missing]))


def _missing() -> list[str]:
    """What keeps this machine from running containers, after setting what can be set."""
    findings = [finding for finding in examine() if not finding.ok]
    if findings and not any(finding.what in ("root", "Docker") for finding in findings):
        for changed in prepare():
            click.echo(f"set {changed}")
        findings = [finding for finding in examine() if not finding.ok]
    return [str(finding) for finding in findings]


def _clean(store: Store, nodes: Nodes) -> None:
    nodes.cleanup()
    with store.transaction() as t:
        t.put_meta(LEFT, "no")


def cleanup(store: Store, folder: Path) -> None:
    """Remove what an ended cluster on Docker has left."""
    _clean(store, docker_nodes(store.cluster_uid, folder, {}, store.meta(NAME), store.meta(CIDR)))
