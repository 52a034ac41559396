"""Engines for commands that need no running cluster: shipped and given packs, given manifests.

`Scratch` holds just the manifests' objects, as they are written. `settled` lets fake nodes run them to rest on a
virtual clock first, so that there are pods, bindings and endpoints to ask about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from kdl.fact import Delta, Document, Fact, digest, value
from kdl.parser.manifest.kinds import identity
from kdl.parser.manifest.load import Manifest, load
from kdl.parser.source import shipped
from kdl.rules.engine import Engine
from kdl.rules.program import Program
from kdl.runtime.clock import VirtualClock
from kdl.runtime.objects import OBJECT, fact_of
from kdl.runtime.origins import Origins
from kdl.runtime.programs import compile as compile_program
from kdl.runtime.seal import Seal
from kdl.runtime.store import Key, MemoryStore, Object, Source

if TYPE_CHECKING:
    from kdl.effects.driver import Operation
    from kdl.runtime.cluster import Cluster

PATIENCE = 600_000
"""How much virtual time, in milliseconds, a scratch cluster is given to come to rest."""


def packs(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option for rule packs."""
    return click.option(
        "-r", "--rules", "rules", multiple=True, type=click.Path(), help="A rule pack: a file or folder of *.dl."
    )(function)


def program_of(rules: Sequence[str]) -> Program:
    """The shipped packs and these. Raises `ProgramError`."""
    return compile_program(sources(rules))


def sources(rules: Sequence[str]) -> list[Path]:
    """The files of the shipped packs and of these, each once."""
    roots = [path.resolve() for path in shipped()]
    own = [Path(rule) for rule in rules]
    return [*shipped(), *(path for path in own if not any(path.resolve().is_relative_to(root) for root in roots))]


_SEAL: Final = Seal()


def facts_of(loaded: Iterable[Manifest]) -> list[tuple[Fact, Source]]:
    """The objects of manifests as facts, secret data by its mark, each with where it was written.

    One without a uid gets a uid of its own.
    """
    found = []
    for manifest in loaded:
        key = identity(manifest.doc)
        uid = str(manifest.doc["metadata"].get("uid") or digest(key))
        doc = value({**manifest.doc, "metadata": {**manifest.doc["metadata"], "uid": uid}})
        assert isinstance(doc, Document)
        source = Source(manifest.origin.file, manifest.origin.lines)
        found.append((fact_of(_SEAL(Object(Key(*key), 0, doc))), source))
    return found


class Scratch:
    """An engine over the objects of manifests, to which facts may be added."""

    def __init__(self, program: Program, files: Iterable[str | Path] = ()) -> None:
        self._sources: dict[str, Source] = {}
        self._base: dict[Fact, None] = {}
        self.engine = Engine(program)
        self.engine.apply(now=VirtualClock().now())
        self.load(files)

    def load(self, files: Iterable[str | Path]) -> int:
        """Add the objects of manifests, in place of those of the same name; how many."""
        told = facts_of(load(files))
        for fact, source in told:
            self._sources[str(fact.row[3])] = source
        new = {fact.row[:3] for fact, _ in told}
        self.change([fact for fact, _ in told], [f for f in self._base if f.relation == OBJECT and f.row[:3] in new])
        return len(told)

    def change(self, insert: Iterable[Fact] = (), remove: Iterable[Fact] = ()) -> Delta:
        """Add and remove facts. Raises `ValueError` for what is no base fact."""
        insert, remove = list(insert), list(remove)
        delta = self.engine.apply(insert, remove)
        for fact in remove:
            self._base.pop(fact, None)
        self._base.update(dict.fromkeys(insert))
        return delta

    def reprogram(self, program: Program) -> None:
        """Go on with other rules and the same facts, as far as they are still declared."""
        self.engine, _ = self.engine.reloaded(program)
        self._base = {fact: None for fact in self._base if fact.relation in program.relations}

    @property
    def base(self) -> tuple[Fact, ...]:
        """The facts that were put in."""
        return tuple(self._base)

    def restore(self, base: Iterable[Fact]) -> None:
        """Have just these facts, as far as they are declared."""
        wanted = dict.fromkeys(fact for fact in base if fact.relation in self.engine.program.relations)
        self.change(
            [fact for fact in wanted if fact not in self._base], [fact for fact in self._base if fact not in wanted]
        )

    @property
    def origin(self) -> Origins:
        """Where the objects' fields were written."""
        return Origins.of(lambda: self.engine, self._sources.get)


def settled(
    program: Program,
    files: Iterable[str | Path],
    nodes: int,
    tell: Callable[[Operation, str | None], None] | None = None,
) -> Cluster:
    """A cluster of fake nodes that has run the manifests to rest, or for `PATIENCE`."""
    from kdl.runtime.cluster import Cluster  # whoever asks about manifests alone need not wait for it
    from kdl.runtime.nodes import fake_nodes

    loaded = load(files)
    clock = VirtualClock()
    cluster = Cluster(program, MemoryStore(), fake_nodes(nodes, clock), clock, tell)
    with cluster.objects.transaction() as batch:
        for manifest in loaded:
            batch.create(manifest.doc, source=Source(manifest.origin.file, manifest.origin.lines))
    cluster.load()
    cluster.rest(clock, PATIENCE)
    return cluster
