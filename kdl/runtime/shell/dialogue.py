"""What the REPL answers to a line: queries, explanations and changes of a scratch copy. Text in, text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from kdl.fact import Delta, Fact, Value
from kdl.parser import syntax as s
from kdl.parser.diagnostic import Mistakes
from kdl.rules.builtin import Fault
from kdl.rules.evaluate import MISSING, evaluate
from kdl.rules.explain import fact_text, goal_text
from kdl.rules.program import Program, Relation, label
from kdl.runtime.questions import ask_why, ask_why_not, goal, matching, query
from kdl.runtime.shell.ask import rows_text
from kdl.runtime.shell.scratch import Scratch

SHOWN: Final = 50
"""How many facts or rows are shown at once."""


class Refused(Exception):
    """A line that cannot be answered; the message is for people."""


class Dialogue:
    """One conversation. `compile` makes the program of the packs so far and further ones."""

    def __init__(self, scratch: Scratch, compile: Callable[[list[str]], Program], packs: list[str]) -> None:
        self.scratch, self._compile, self._packs = scratch, compile, packs

    @property
    def program(self) -> Program:
        """The rules that are asked."""
        return self.scratch.engine.program

    def answer(self, line: str) -> str | None:
        """The answer to a line; None for the one that ends it. Raises `Refused`."""
        text = line.strip()
        word, _, rest = text.partition(" ")
        if not text or text.startswith(("#", "//", "%")):
            return ""
        if word in ("quit", "exit") and not rest:
            return None
        try:
            command = COMMANDS.get(word)
            if command is None:
                return self._query(text)
            if bool(rest.strip()) < command.needs:
                raise Refused(f"write: {command.usage}")
            return command.act(self, rest.strip().removesuffix("."))
        except Mistakes as mistakes:
            raise Refused(mistakes.render()) from None
        except (Fault, OSError) as error:
            raise Refused(str(error)) from None

    def _query(self, text: str) -> str:
        rows = query(self.scratch.engine, text.removeprefix("?").strip().removesuffix("."))
        told = rows_text(rows[:SHOWN])
        return told + (f"\n… and {len(rows) - SHOWN} more" if len(rows) > SHOWN else "")

    def _why(self, text: str) -> str:
        return ask_why(self.scratch.engine, text, self.scratch.origin).text

    def _why_not(self, text: str) -> str:
        return ask_why_not(self.scratch.engine, text).text

    def _facts(self, text: str) -> str:
        relation = self._relation(text)
        rows = sorted(self.scratch.engine.facts(relation.name), key=repr)
        lines = [fact_text(Fact(relation.name, row)) for row in rows[:SHOWN]]
        if len(rows) > SHOWN:
            lines.append(f"… and {len(rows) - SHOWN} more")
        return "\n".join(lines) or f"no {relation.name}"

    def _rules(self, text: str) -> str:
        relation = self._relation(text)
        columns = ", ".join(f"{column.name}: {column.type}" for column in relation.columns)
        words = [word for word in ("input", "open", "effect") if getattr(relation, word)]
        lines = [f"{' '.join([*words, 'rel'])} {relation.name}({columns})"]
        lines += [f"    {line}" for line in relation.doc.splitlines()]
        for rule in self.program.rules_of[relation.name]:
            source = self.program.sources.get(rule.span.file, "").splitlines()
            written = source[rule.span.line - 1 : rule.span.end_line]
            lines += ["", f"# {label(rule)}", *written]
        return "\n".join(lines)

    def _relations(self, text: str) -> str:
        engine = self.scratch.engine
        shown = [(name, engine.count(name)) for name in sorted(self.program.relations) if text in name]
        width = max((len(name) for name, _ in shown), default=0)
        return "\n".join(f"{name.ljust(width)}  {count}" for name, count in shown) or f"no relation with `{text}`"

    def _relation(self, text: str) -> Relation:
        name = text.partition("(")[0].strip()
        found = [known for known in self.program.relations if known == name or known.endswith(f".{name}")]
        if name in found:
            found = [name]
        if len(found) == 1:
            return self.program.relations[found[0]]
        from kdl.parser.manifest.problem import did_you_mean

        if found:
            raise Refused(f"`{name}` may be {' or '.join(found)}")
        hint = did_you_mean(name, self.program.relations)
        raise Refused(f"there is no relation `{name}`" + (f": {hint}" if hint else ""))

    def _assert(self, text: str) -> str:
        return self._changed(insert=[self._fact(text)])

    def _retract(self, text: str) -> str:
        atom = goal(self.scratch.engine, text)
        rows = matching(self.scratch.engine, atom)
        if not rows:
            raise Refused(f"there is no {goal_text(atom, {})}")
        return self._changed(remove=[Fact(atom.relation, row) for row in rows])

    def _fact(self, text: str) -> Fact:
        atom = goal(self.scratch.engine, text)
        row: list[Value] = []
        for argument in atom.arguments:
            open_ = any(isinstance(node, (s.Variable, s.Wildcard)) for node in s.walk(argument))
            value = MISSING if open_ else evaluate(argument.value, {})
            if value is MISSING:
                raise Refused("a fact has a value in every column")
            row.append(value)
        return Fact(atom.relation, tuple(row))

    def _changed(self, insert: list[Fact] | None = None, remove: list[Fact] | None = None) -> str:
        try:
            delta = self.scratch.change(insert or (), remove or ())
        except ValueError as error:
            raise Refused(str(error)) from None
        return delta_text(delta)

    def _load(self, text: str) -> str:
        path = Path(text)
        if path.suffix == ".dl" or (path.is_dir() and any(path.rglob("*.dl"))):
            program = self._compile([*self._packs, text])
            self._packs.append(text)
            self.scratch.reprogram(program)
            return f"{len(program.rules)} rules"
        return f"{self.scratch.load([text])} objects"

    def _help(self, text: str) -> str:
        width = max(len(command.usage) for command in COMMANDS.values())
        lines = ["A line is a query, such as: core.pod(P, Ns, _, _), not core.ready(P, _)", ""]
        lines += [f"{command.usage.ljust(width)}  {command.told}" for command in COMMANDS.values()]
        return "\n".join([*lines, f"{'quit'.ljust(width)}  End."])


def delta_text(delta: Delta) -> str:
    """What a change added and removed."""
    lines = [f"+ {fact_text(Fact(relation, row))}" for relation, rows in delta.added.items() for row in rows]
    lines += [f"- {fact_text(Fact(relation, row))}" for relation, rows in delta.removed.items() for row in rows]
    lines.sort(key=lambda line: (line[2:], line[0]))
    if len(lines) > SHOWN:
        lines[SHOWN:] = [f"… and {len(lines) - SHOWN} more changes"]
    return "\n".join(lines) or "nothing changes"


class Command:
    """A word that begins a line: how it is used, what it does."""

    def __init__(self, usage: str, told: str, act: Callable[[Dialogue, str], str]) -> None:
        self.usage, self.told, self.act = usage, told, act
        self.needs = usage.rpartition(" ")[2].isupper()


COMMANDS: Final[Mapping[str, Command]] = {
    "why": Command("why GOAL", "The proof of what matches the goal.", Dialogue._why),
    "whynot": Command("whynot GOAL", "What keeps the goal from holding.", Dialogue._why_not),
    "facts": Command("facts RELATION", "All facts of a relation.", Dialogue._facts),
    "rules": Command("rules RELATION", "What declares and derives a relation.", Dialogue._rules),
    "relations": Command("relations [text]", "The relations with a text in their names, with their sizes.",
                         Dialogue._relations),
    "assert": Command("assert FACT", "Add an input fact to the scratch copy; what follows.", Dialogue._assert),
    "retract": Command("retract FACT", "Take the input facts that match away; what follows.", Dialogue._retract),
    "load": Command("load FILE", "Add rules (.dl) or manifests (.yaml, .json).", Dialogue._load),
    "help": Command("help", "This list.", Dialogue._help),
}  # fmt: skip
