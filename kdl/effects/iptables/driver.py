"""The iptables driver: ``network.chain`` operations in, ``iptables.chain`` facts out.

All operations of a batch that are about one table become one atomic commit. If the kernel refuses it, the batch is
halved until the chains that it refuses stand alone; the others are done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kdl.effects.driver import Observation, Operation, Outcome
from kdl.effects.iptables import preflight, table
from kdl.effects.iptables.document import rules_of
from kdl.effects.iptables.libiptc import EXCLUSIVE, KernelError, Table
from kdl.effects.iptables.lock import LockHeld, xtables_lock
from kdl.effects.iptables.names import BUILT_IN, HOOKS, BadRule, Names
from kdl.effects.iptables.table import Change
from kdl.fact import Fact, Row, digest

_ATTEMPTS = 3
Work = list[tuple[Operation, Change]]


class IptablesDriver:
    """Keeps one cluster's chains in the tables of the network namespace that the process was in at first use.

    `committed` is told of each commit: a crash may separate those of one batch.
    """

    name = "iptables"
    observes: tuple[str, ...] = ("iptables.chain",)
    performs: tuple[str, ...] = ("network.chain",)

    def __init__(
        self,
        node: str,
        cluster: str,
        lock_seconds: float = 20,
        committed: Callable[[str], None] = lambda place: None,
    ) -> None:
        self.node = node
        self.names = Names(cluster)
        self._lock_seconds, self._committed = lock_seconds, committed

    def observe(self) -> Observation:
        """The chains of ours that are there; `read` says what their digests tell."""
        try:
            with EXCLUSIVE:
                return Observation(self.node, tuple(self._facts()))
        except (KernelError, OSError) as error:
            return Observation(self.node, blind=str(error))

    def _facts(self) -> Iterator[Fact]:
        for name in BUILT_IN:
            for chain, seen in table.read(Table(name), self.names):
                yield Fact("iptables.chain", (self.node, name, chain, seen))

    def perform(self, operation: Operation) -> Outcome:
        """Create, replace or remove one chain."""
        return self.perform_all([operation])[0]

    def perform_all(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Do all of them, with one commit for each table; one outcome for each, in their order."""
        errors: dict[int, str] = {}
        work: dict[str, Work] = {}
        with EXCLUSIVE:
            for operation in operations:
                try:
                    work.setdefault(str(operation.key[1]), []).append((operation, self._change(operation)))
                except (BadRule, KernelError) as error:
                    errors[id(operation)] = str(error)
            for name, changes in work.items():
                if changes:
                    for operation, told in self._commit(name, changes):
                        errors[id(operation)] = told
        return [Outcome(operation, errors.get(id(operation))) for operation in operations]

    def _change(self, operation: Operation) -> Change:
        _, name, chain = map(str, operation.key)
        if chain in HOOKS and chain not in BUILT_IN.get(name, ()):
            raise BadRule(f"table {name} has no chain {chain}")
        if chain not in HOOKS:
            self.names.chain(chain)
        if operation.desired is None:
            if name not in BUILT_IN:
                raise BadRule(f"no table `{name}`")
            return Change(chain, None)
        row: Row = operation.desired
        return table.change_of(chain, rules_of(row[3], name, self.names), digest(row), self.names)

    def _commit(self, name: str, work: Work) -> Iterator[tuple[Operation, str]]:
        """Commit a table's changes; gives the operations that failed, each with why."""
        error = self._locked(name, lambda open_table: table.apply(open_table, [c for _, c in work], self.names))
        if error is None:
            return
        if len(work) == 1 or isinstance(error, (LockHeld, OSError)):
            yield from [(operation, str(error)) for operation, _ in work]
            return
        middle = len(work) // 2
        yield from self._commit(name, work[:middle])
        yield from self._commit(name, work[middle:])

    def _locked(self, name: str, change: Callable[[Table], None]) -> Exception | None:
        """Read a table under the lock, change it and commit it; what failed, if anything.

        Tried again when a writer that takes no lock was faster.
        """
        error: Exception | None = None
        for _ in range(_ATTEMPTS):
            try:
                with xtables_lock(self._lock_seconds):
                    open_table = Table(name)
                    change(open_table)
                    open_table.commit()
                self._committed(f"table {name} committed")
                return None
            except KernelError as refused:
                error = refused
                if "temporarily unavailable" not in str(refused):
                    break
            except (LockHeld, OSError) as refused:
                return refused
        return error

    def cleanup(self) -> None:
        """Remove every chain and rule of this cluster; raises `KernelError` for what cannot go, after a second look."""
        with EXCLUSIVE:
            for name in BUILT_IN:
                error = self._locked(name, lambda open_table: table.remove_all(open_table, self.names))
                left = table.left_over(Table(name), self.names)
                if left:
                    raise KernelError(f"table {name} still has {', '.join(left)}: {error or 'other rules jump there'}")
                if error is not None:
                    raise KernelError(str(error)) from error

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Nothing to listen to: the kernel tells of no change in legacy tables; drift is found by observing again."""
        return lambda: None

    def tables(self) -> str:
        """Which tables the host itself uses, and what that means for ours; see `preflight.tables`."""
        return preflight.tables()
