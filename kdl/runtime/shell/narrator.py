"""What `kdl up` tells while it runs: one line per operation with its cause, and a summary when it comes to rest."""

from __future__ import annotations

from collections import Counter

from kdl.effects.driver import Operation
from kdl.runtime.cluster import Cluster
from kdl.runtime.shell.bars import Bars

STATUS, EVENT = "api.write_status", "api.event"
"""Commands that only write down what other operations did; events that are no warnings are of no news here."""


class Narrator:
    """Prints operations as they are started, and those that fail. Called from the loop's thread."""

    def __init__(self, quiet: bool, bars: Bars) -> None:
        self._quiet, self._bars = quiet, bars
        self._numbers: dict[str, int] = {}
        self.count = 0
        """How many operations were told."""

    def operation(self, operation: Operation, error: str | None) -> None:
        """One operation starts, or has failed."""
        if error is None and silent(operation):
            return
        if error is None:
            self.count += 1
            self._numbers[operation.id] = self.count
            if not self._quiet:
                self._bars.echo(f"#{self.count} {line(operation)}")
        else:
            number = self._numbers.get(operation.id)
            self._bars.echo((f"#{number} " if number else "") + f"{operation.id} failed: {error}", err=True)

    def progress(self, cluster: Cluster) -> None:
        """How far deployments have come."""
        if self._bars.visible:
            deployments, _ = cluster.objects.list("Deployment")
            self._bars.show(stored.doc for stored in deployments)

    def halted(self, why: str | None) -> None:
        """The rules cannot take in what was heard, or they can again."""
        self._bars.echo(f"error: nothing new is decided: {why}" if why else "the rules decide again", err=bool(why))

    def rest(self, cluster: Cluster) -> None:
        """Nothing happens any more: how things stand."""
        self._bars.echo(summary(cluster))


def silent(operation: Operation) -> bool:
    """Whether an operation is of no news to who reads what is done."""
    told = operation.relation == EVENT and operation.desired is not None and operation.desired[-1] == "Warning"
    return operation.relation in (STATUS, EVENT) and not told


def line(operation: Operation) -> str:
    """An operation as one line: what, how, why, and by which rule."""
    cause = operation.cause
    why = f", {cause.sentence}" if cause.sentence else ""
    rule = f" ({cause.rule})" if cause.rule else ""
    return f"{operation.id} {operation.verb}{why}{rule}"


def summary(cluster: Cluster) -> str:
    """How many pods there are in which phase, and what stands in the way."""
    pods, _ = cluster.objects.list("Pod")
    phases = Counter(str(pod.doc.get("status", {}).get("phase", "Pending")) for pod in pods)
    told = ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items())) or "no pods"
    with cluster.brain.lock:
        failing = sorted(cluster.brain.engine.facts("core.failed"), key=lambda row: str(row[0]))
        problems = cluster.brain.problems()
    text = f"at rest: {told}"
    for row in failing[:3]:
        text += f"\n  {row[0]} has failed {row[1]} times: {row[3]}"
    if len(failing) > 3:
        text += f"\n  … and {len(failing) - 3} more operations fail"
    return "\n".join([text, *(f"  {problem}" for problem in problems)])
