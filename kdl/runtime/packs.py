"""Rule packs that come and go while a cluster runs: checked, planned, applied, remembered, suspended when they fail.

What a change of packs would do is worked out beside the running engine: other rules over a copy of its facts. Only when
that has come to rest, without a new fault or conflict and within limits, may it take the engine's place. A pack that
crosses a limit later is suspended: the rest goes on without it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, Literal

from kdl.effects.diff import Comparison, Difference
from kdl.effects.driver import Cause, Operation, operation_id
from kdl.effects.plan import order
from kdl.fact import Fact
from kdl.parser.diagnostic import Mistakes
from kdl.parser.syntax import Rule
from kdl.rules.engine import Engine, LimitExceeded, Limits
from kdl.rules.explain import reason
from kdl.rules.program import FAULT, Program, label
from kdl.runtime.brain import FAILURES, effects_of
from kdl.runtime.programs import of_texts
from kdl.runtime.store import Store

if TYPE_CHECKING:
    from kdl.runtime.cluster import Cluster

PACKS: Final = "packs"
"""The key under which the store remembers packs."""

EXPLAINED: Final = 200
"""So many operations of a plan are given their causes."""

FACTS: Final = 2_000_000
"""The most facts that a relation may have once packs may come, unless told otherwise."""

SECONDS: Final = 120.0
"""How long one delta may take before the rules that it is spent on are taken to fail."""

State = Literal["active", "suspended"]


class Refused(Exception):
    """A change of packs that is not made; the message says why."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Texts of rules by the names of their files, under a name of their own."""

    name: str
    texts: Mapping[str, str]
    state: State = "active"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Other packs, the engine that goes with them, and what it would do that is not done already."""

    packs: tuple[Pack, ...]
    engine: Engine
    operations: tuple[Operation, ...] = ()
    base: frozenset[Fact] = field(default=frozenset(), repr=False)
    """The base facts over which it was worked out."""

    @property
    def removes(self) -> bool:
        """Whether more would be removed than made."""
        made = sum(operation.verb == "create" or operation.relation == "api.create" for operation in self.operations)
        gone = sum(
            operation.verb == "remove" or operation.relation in ("api.delete", "api.remove")
            for operation in self.operations
        )
        return gone > made


class Packs:
    """The packs of a cluster, on top of the program that it was started with."""

    def __init__(self, base: Program, store: Store, facts: int = FACTS) -> None:
        self.base, self._store = base, store
        self.limits = Limits(rows=facts, seconds=SECONDS)
        self.packs: tuple[Pack, ...] = tuple(_packs(store.meta(PACKS)))
        self.program = self._started()
        self._changing = threading.Lock()

    def _started(self) -> Program:
        """The program of all active packs; those that do not go together with the others any more are suspended."""
        kept: list[Pack] = []
        program = self.base
        for pack in self.packs:
            if pack.state == "active":
                try:
                    program = self._program([*kept, pack])
                except Mistakes as mistakes:
                    first = mistakes.diagnostics[0]
                    pack = replace(pack, state="suspended", reason=f"{first.code}: {first.message}")
            kept.append(pack)
        self.packs = tuple(kept)
        return program

    def _program(self, packs: list[Pack] | tuple[Pack, ...]) -> Program:
        active = [pack for pack in packs if pack.state == "active"]
        if not active:
            return self.base
        texts = dict(self.base.sources)
        for pack in active:
            for name, text in pack.texts.items():
                if name in texts:
                    raise Refused(f"`{name}` is already among the rules")
                texts[name] = text
        return of_texts(texts)

    # --- changes ---

    def added(self, name: str, texts: Mapping[str, str]) -> tuple[Pack, ...]:
        """The packs with one more."""
        if any(pack.name == name for pack in self.packs):
            raise Refused(f"there is a pack `{name}` already: replace it, or give this one another --name")
        return (*self.packs, Pack(name, dict(texts)))

    def replaced(self, name: str, texts: Mapping[str, str]) -> tuple[Pack, ...]:
        """The packs with other texts for one of them."""
        self._known(name)
        return tuple([Pack(name, dict(texts)) if pack.name == name else pack for pack in self.packs])

    def removed(self, name: str) -> tuple[Pack, ...]:
        """The packs without one of them."""
        self._known(name)
        return tuple([pack for pack in self.packs if pack.name != name])

    def _known(self, name: str) -> None:
        if all(pack.name != name for pack in self.packs):
            known = ", ".join(f"`{pack.name}`" for pack in self.packs)
            raise Refused(f"there is no pack `{name}`" + (f"; there is {known}" if known else ": none was ever added"))

    def propose(self, cluster: Cluster, packs: tuple[Pack, ...]) -> Proposal:
        """What other packs would do. Raises `Mistakes` and `Refused`; the cluster goes on meanwhile."""
        program = self._program(packs)
        brain = cluster.brain
        with brain.lock:
            copy = brain.engine.fork()
            before = dict(brain.comparison.differences)
            conflicts = set(brain.comparison.conflicts)
        try:
            engine, _ = copy.reloaded(program, self.limits)
        except FAILURES as error:
            raise Refused(str(error) or type(error).__name__) from None
        if faults := (engine.facts(FAULT) if FAULT in program.relations else set()) - (
            copy.facts(FAULT) if FAULT in copy.program.relations else set()
        ):
            told = "\n".join(f"  {row[0]}: {row[1]}" for row in sorted(faults, key=repr)[:5])
            raise Refused(f"its rules fault on the facts there are:\n{told}")
        after = Comparison(effects_of(program))
        after.reset({name: engine.facts(name) for name in after.relations})
        for key in after.conflicts.keys() - conflicts:
            rules = sorted({_cause(engine, Fact(key[0], row)).rule for row in after.conflicts[key].rows})
            raise Refused(f"different values would be derived for {operation_id(*key)}, by {' and '.join(rules)}")
        new = [found for key, found in after.differences.items() if before.get(key) != found]
        explained = len(new) <= EXPLAINED

        def cause(found: Difference) -> Cause:
            if found.desired is None:
                return Cause("", "no rule wants it any more")
            return _cause(engine, Fact(found.relation, found.desired)) if explained else Cause("", "")

        return Proposal(packs, engine, tuple(order(new, cause)), frozenset(copy.base()))

    def commit(self, cluster: Cluster, proposal: Proposal) -> None:
        """Make a proposal true: remember its packs, and let its engine take over. Raises `Refused`."""
        with self._changing, cluster.brain.lock:
            now = frozenset(cluster.brain.engine.base())
            try:
                proposal.engine.apply(now - proposal.base, proposal.base - now, cluster.brain.engine.now, trusted=True)
            except LimitExceeded as error:
                raise Refused(str(error)) from None
            self._remember(proposal.packs)
            self.program = proposal.engine.program
            cluster.adopt(proposal.engine)

    def _remember(self, packs: tuple[Pack, ...]) -> None:
        with self._store.transaction() as t:
            t.put_meta(PACKS, json.dumps([asdict(pack) for pack in packs]))
        self.packs = packs

    # --- failures ---

    def suspend(self, engine: Engine, error: Exception, rule: Rule | None) -> Engine | None:
        """An engine without the pack whose rule failed (else the last one); None if there is no pack to blame.

        Called by the loop, which holds its lock.
        """
        active = [pack for pack in self.packs if pack.state == "active"]
        while active:
            guilty = next((pack for pack in active if rule is not None and rule.span.file in pack.texts), active[-1])
            why = str(error) or type(error).__name__
            packs = tuple(
                [replace(one, state="suspended", reason=why) if one.name == guilty.name else one for one in self.packs]
            )
            active.remove(guilty)
            try:
                program = self._program(packs)
                other, _ = engine.reloaded(program, self.limits)
            except (Mistakes, *FAILURES):
                self.packs = packs  # another pack needs it, or fails as well: that one goes, too
                continue
            self._remember(packs)
            self.program = program
            return other
        return None

    def listed(self, cluster: Cluster) -> Iterator[dict[str, Any]]:
        """Each pack with its state and, if something is wrong, what."""
        with cluster.brain.lock:
            engine = cluster.brain.engine
            faults = (
                [(str(rule), str(text)) for rule, text in engine.facts(FAULT)]
                if FAULT in engine.program.relations
                else []
            )
            conflicts = [
                (operation_id(*key), {_cause(engine, Fact(key[0], row)).rule for row in conflict.rows})
                for key, conflict in cluster.brain.comparison.conflicts.items()
            ]
        for pack in self.packs:
            files = {PurePath(name).name for name in pack.texts}
            mine = [f"{rule}: {text}" for rule, text in sorted(faults) if rule.rpartition(":")[0] in files]
            mine += [
                f"different values for {name}: none is done"
                for name, rules in conflicts
                if any(rule.rpartition(":")[0] in files for rule in rules)
            ]
            told = pack.reason or (mine[0] + (f" (and {len(mine) - 1} more)" if mine[1:] else "") if mine else "")
            rules = sum(rule.span.file in pack.texts for rule in engine.program.rules)
            yield {
                "name": pack.name,
                "state": pack.state,
                "rules": rules,
                "files": sorted(pack.texts),
                "reason": told,
            }


def _packs(text: str | None) -> Iterator[Pack]:
    for item in json.loads(text) if text else ():
        yield Pack(**item)


def _cause(engine: Engine, fact: Fact) -> Cause:
    found = reason(engine, fact)
    return Cause(label(found[0]), found[1]) if found is not None else Cause("", "")
