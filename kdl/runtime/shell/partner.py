"""Whom a conversation is held with: a scratch copy, where anything may be tried, or a running cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from kdl.fact import Delta, Fact, Value, literal, value
from kdl.parser.manifest.kinds import BUILT_IN
from kdl.rules.program import Program
from kdl.runtime import whatif
from kdl.runtime.api.client import Client
from kdl.runtime.programs import of_texts
from kdl.runtime.questions import Answer, View, ask_why, ask_why_not, query
from kdl.runtime.shell.change import apply_all, told
from kdl.runtime.shell.scratch import Scratch

MANY: Final = 5000
"""Of relations with more rows than this a running cluster is not asked for values."""


class Refused(Exception):
    """A line that cannot be answered; the message is for people."""


class Partner(Protocol):
    """What a dialogue needs of whom it is held with. What cannot be done raises `Refused`."""

    @property
    def program(self) -> Program:
        """The rules that are asked."""

    def counts(self) -> Mapping[str, int]:
        """How many rows each relation has."""

    def query(self, text: str) -> list[dict[str, Any]]:
        """The rows of a query."""

    def why(self, goal: str, view: View) -> Answer:
        """Why a goal holds."""

    def whynot(self, goal: str, view: View) -> Answer:
        """Why it does not."""

    def whatif(self, request: dict[str, Any], files: Iterable[str]) -> Answer:
        """What would follow; `request` is that of the endpoint, `files` are manifests."""

    def change(self, insert: Iterable[str], remove: Iterable[str]) -> Delta:
        """Assert and retract facts."""

    def apply(self, file: str) -> str:
        """Apply manifests; what came of it."""

    def delete(self, kind: str, name: str) -> str:
        """Delete an object; what came of it."""

    def rules(self, texts: Mapping[str, str]) -> str:
        """Add rules; what came of it."""

    def undo(self) -> str:
        """Take back the last change; what is again."""


class Copy:
    """A scratch copy: nothing that is done to it changes a cluster, and all of it can be undone."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self._undo: list[tuple[str, Callable[[], object]]] = []

    @property
    def program(self) -> Program:
        return self.scratch.engine.program

    def counts(self) -> Mapping[str, int]:
        return {name: self.scratch.engine.count(name) for name in self.program.relations}

    def query(self, text: str) -> list[dict[str, Any]]:
        return query(self.scratch.engine, text)

    def why(self, goal: str, view: View) -> Answer:
        return ask_why(self.scratch.engine, goal, self.scratch.origin, view=view)

    def whynot(self, goal: str, view: View) -> Answer:
        return ask_why_not(self.scratch.engine, goal, view)

    def whatif(self, request: dict[str, Any], files: Iterable[str]) -> Answer:
        from kdl.parser.manifest.load import load

        engine = self.scratch.engine
        objects = [manifest.doc for manifest in load(files)]
        supposed = whatif.suppose(engine, request["insert"], request["remove"], objects, request.get("advance", 0))
        return whatif.ask_what_if(
            engine, supposed, whatif.LINES, whatif.question(engine, request.get("ask"), self.scratch.origin)
        )

    def change(self, insert: Iterable[str], remove: Iterable[str]) -> Delta:
        engine = self.scratch.engine
        come = [whatif.ground(engine, text) for text in insert]
        gone = [fact for text in remove for fact in whatif.matched(engine, text)]
        return self._changed("the change", come, gone)

    def _changed(self, what: str, come: list[Fact], gone: list[Fact]) -> Delta:
        engine = self.scratch.engine
        new = [fact for fact in come if not engine.holds(*fact)]
        delta = self.scratch.change(come, gone)
        self._undo.append((what, lambda: self.scratch.change(gone, new)))
        return delta

    def apply(self, file: str) -> str:
        before = self.scratch.base
        count = self.scratch.load([file])
        self._undo.append((f"load {file}", lambda: self.scratch.restore(before)))
        return f"{count} objects"

    def delete(self, kind: str, name: str) -> str:
        self._changed(
            f"the deletion of {kind}/{name}", [], whatif.matched(self.scratch.engine, object_goal(kind, name))
        )
        return f"{kind}/{name} deleted from the scratch copy"

    def rules(self, texts: Mapping[str, str]) -> str:
        before, base = self.program, self.scratch.base
        program = of_texts({**before.sources, **texts})
        self.scratch.reprogram(program)

        def back() -> None:
            self.scratch.reprogram(before)
            self.scratch.restore(base)

        self._undo.append(("the rules", back))
        return f"{len(program.rules)} rules"

    def undo(self) -> str:
        if not self._undo:
            raise Refused("there is nothing to undo")
        what, back = self._undo.pop()
        back()
        return f"undone: {what}"


class Live:
    """A running cluster. Questions are answered there, and what is applied or deleted is so for everybody."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._program: Program | None = None

    @property
    def program(self) -> Program:
        if self._program is None:
            self._program = of_texts(self._client.kdl("program")["sources"])
        return self._program

    def counts(self) -> Mapping[str, int]:
        answer = self._client.kdl("program")
        if self._program is None or answer["sources"] != dict(self._program.sources):
            self._program = of_texts(answer["sources"])
        counts: Mapping[str, int] = answer["counts"]
        return counts

    def query(self, text: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._client.kdl("query", {"query": text})["rows"]
        return rows

    def why(self, goal: str, view: View) -> Answer:
        return self._asked("why", goal, view)

    def whynot(self, goal: str, view: View) -> Answer:
        return self._asked("whynot", goal, view)

    def _asked(self, verb: str, goal: str, view: View) -> Answer:
        return Answer(**self._client.kdl(verb, {"goal": goal, "expand": list(view.expand), "form": view.form}))

    def whatif(self, request: dict[str, Any], files: Iterable[str]) -> Answer:
        from kdl.parser.manifest.load import load

        objects = [
            self._client.apply(one.written, one.doc["metadata"].get("namespace", "default"), dry_run=True)[1]
            for one in load(files)
        ]
        return Answer(**self._client.kdl("whatif", {**request, "objects": objects}))

    def change(self, insert: Iterable[str], remove: Iterable[str]) -> Delta:
        raise Refused("a running cluster's facts come from its objects and nodes: try `whatif`, `apply` or `delete`")

    def apply(self, file: str) -> str:
        from kdl.parser.manifest.load import load

        lines: list[str] = []
        refusals = apply_all(self._client, load([file]), lambda what, stored: lines.append(f"{told(stored)} {what}"))
        if refusals:
            raise Refused("\n".join([*lines, *(f"error: {error.message}" for error in refusals)]))
        return "\n".join(lines)

    def delete(self, kind: str, name: str) -> str:
        namespace, _, bare = name.rpartition("/")
        self._client.delete(kind, bare, namespace or "default")
        return f"{kind}/{name} is being deleted"

    def rules(self, texts: Mapping[str, str]) -> str:
        raise Refused("a running cluster gets rules as packs: `kdl pack add`; or try them on a copy: `kdl repl --live`")

    def undo(self) -> str:
        raise Refused("what was done to a running cluster is not undone: apply or delete the contrary")


def object_goal(kind: str, name: str) -> str:
    """The goal that an object of a kind and name stands for; without a namespace it is the default one."""
    found = BUILT_IN.lookup(kind)
    if found is None:
        raise Refused(f"there is no kind `{kind}`")
    id_ = f"default/{name}" if found.namespaced and "/" not in name else name
    return f"core.object({literal(found.group)}, {literal(found.name)}, {literal(id_)}, _, _)"


def values(partner: Partner, relation: str, column: int) -> list[Value]:
    """The values that a column has, if they are not too many to ask for."""
    declared = partner.program.relations[relation]
    if partner.counts().get(relation, 0) > MANY:
        return []
    arguments = ", ".join("X" if place == column else "_" for place in range(declared.arity))
    return [value(row["X"]) for row in partner.query(f"{relation}({arguments})")]
