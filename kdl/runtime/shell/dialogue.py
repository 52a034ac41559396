"""What the REPL answers to a line: queries, explanations, suppositions and changes. Text in, text out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from kdl.fact import Delta, Fact, literal, row, value
from kdl.parser import syntax as s
from kdl.parser.diagnostic import Mistakes
from kdl.parser.parse import parse_query
from kdl.rules.builtin import Fault
from kdl.rules.program import Program, Relation, label
from kdl.rules.wording import fact_text
from kdl.runtime.api.connection import NotRunning
from kdl.runtime.api.errors import ApiError
from kdl.runtime.questions import View
from kdl.runtime.shell.ask import rows_text
from kdl.runtime.shell.completion import relation_of
from kdl.runtime.shell.partner import Partner, Refused, object_goal

__all__ = ["COMMANDS", "Dialogue", "Refused"]

SHOWN: Final = 50
"""How many facts or rows are shown at once."""

_DECLARES: Final = re.compile(r"(?:(?:open|input|effect) +)*(?:rel|def|type) |.*(?<!\?):-", re.DOTALL)
_OBJECT: Final = re.compile(r"([A-Za-z][\w.]*)/([\w./-]+)")


class Dialogue:
    """One conversation: what was asked last, and the rows that came, are at hand for the next line."""

    def __init__(self, partner: Partner) -> None:
        self.partner = partner
        self._asked: tuple[str, str] | None = None
        """The explanation that `expand` goes on with: why or whynot, and the goal."""
        self._rows: list[dict[str, Any]] = []
        self._query: tuple[s.Literal, ...] = ()
        self._made = 0

    @property
    def program(self) -> Program:
        """The rules that are asked."""
        return self.partner.program

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
                return self._declared(text) if _DECLARES.match(text) else self._query_rows(text)
            if bool(rest.strip()) < command.needs:
                raise Refused(f"write: {command.usage}")
            return command.act(self, rest.strip().removesuffix("."))
        except Mistakes as mistakes:
            raise Refused(mistakes.render()) from None
        except ApiError as error:
            raise Refused(str(error.details.get("text") or error.message)) from None
        except LookupError as error:
            raise Refused(str(error.args[0])) from None
        except (Fault, OSError, ValueError, NotRunning) as error:
            raise Refused(str(error)) from None

    # questions

    def _query_rows(self, text: str) -> str:
        text = text.removeprefix("?").strip().removesuffix(".")
        self._rows, self._query = self.partner.query(text), parse_query(text)
        if not self._rows or not self._rows[0]:
            return rows_text(self._rows)
        width = len(str(min(len(self._rows), SHOWN)))
        head, *lines = rows_text(self._rows[:SHOWN]).splitlines()
        told = [f"{'':{width}}  {head}", *(f"{number:{width}}  {line}" for number, line in enumerate(lines, 1))]
        if len(self._rows) > SHOWN:
            told.append(f"… and {len(self._rows) - SHOWN} more")
        return "\n".join(told)

    def _why(self, text: str) -> str:
        goals = list(self._goals(text))
        self._asked = ("why", goals[0])
        return "\n\n".join(self.partner.why(goal, View()).text for goal in goals)

    def _why_not(self, text: str) -> str:
        self._asked = ("whynot", text)
        return self.partner.whynot(text, View()).text

    def _goals(self, text: str) -> Iterator[str]:
        """A goal as it is written, or the facts that a row of the last answer rests on."""
        if not text.isdigit():
            yield text
            return
        if not 1 <= int(text) <= len(self._rows):
            raise Refused(f"the last answer has {len(self._rows)} rows")
        found = self._rows[int(text) - 1]
        atoms = [item for item in self._query if isinstance(item, s.Atom)]
        if not atoms:
            raise Refused("no fact stands behind that row")
        yield from [_filled(atom, found) for atom in atoms]

    def _expand(self, text: str) -> str:
        if self._asked is None:
            raise Refused("ask `why` or `whynot` first")
        verb, goal = self._asked
        ask = self.partner.why if verb == "why" else self.partner.whynot
        return ask(goal, View(tuple(text.split()))).text

    def _what_if(self, text: str) -> str:
        changes, _, question = text.partition(" ? ")
        request: dict[str, Any] = {"insert": [], "remove": [], "ask": {}}
        files = []
        for part in _parts(changes):
            sign, rest = part[0], part[1:].strip()
            named = _OBJECT.fullmatch(rest)
            if sign == "-":
                request["remove"].append(object_goal(named[1], named[2]) if named and "(" not in rest else rest)
            elif sign == "+" and "(" in rest:
                request["insert"].append(rest)
            else:
                files.append(rest if sign == "+" else part)
        if question:
            verb, _, goal = question.strip().partition(" ")
            request["ask"] = {verb: goal} if verb in ("why", "whynot") else {"query": question.strip()}
        answer = self.partner.whatif(request, files)
        return rows_text(answer.data["answer"]["rows"]) if "query" in request["ask"] else answer.text

    def _facts(self, text: str) -> str:
        relation = self._relation(text)
        columns = [f"V{index}" for index in range(relation.arity)]
        found = self.partner.query(f"{relation.name}({', '.join(columns)})")
        rows = sorted((row([item[column] for column in columns]) for item in found), key=repr)
        lines = [fact_text(Fact(relation.name, item)) for item in rows[:SHOWN]]
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
        shown = [(name, count) for name, count in sorted(self.partner.counts().items()) if text in name]
        width = max((len(name) for name, _ in shown), default=0)
        return "\n".join(f"{name.ljust(width)}  {count}" for name, count in shown) or f"no relation with `{text}`"

    def _relation(self, text: str) -> Relation:
        name = text.partition("(")[0].strip()
        found = relation_of(self.program, name)
        if found is not None:
            return found
        several = [known for known in self.program.relations if known.endswith(f".{name}")]
        if several:
            raise Refused(f"`{name}` may be {' or '.join(several)}")
        from kdl.parser.manifest.problem import did_you_mean

        hint = did_you_mean(name, self.program.relations)
        raise Refused(f"there is no relation `{name}`" + (f": {hint}" if hint else ""))

    # changes

    def _assert(self, text: str) -> str:
        return delta_text(self.partner.change([text], []))

    def _retract(self, text: str) -> str:
        return delta_text(self.partner.change([], [text]))

    def _load(self, text: str) -> str:
        path = Path(text)
        if path.suffix == ".dl" or (path.is_dir() and any(path.rglob("*.dl"))):
            from kdl.parser.source import texts

            return self.partner.rules(texts(path))
        return self.partner.apply(text)

    def _delete(self, text: str) -> str:
        named = _OBJECT.fullmatch(text)
        if named is None:
            raise Refused("write: delete KIND/NAME")
        return self.partner.delete(named[1], named[2])

    def _declared(self, text: str) -> str:
        """Rules that are typed in; the modules that they mention are imported."""
        modules = {name.rpartition(".")[0] for name in self.program.relations} - {"", "kdl"}
        mentioned = sorted(set(re.findall(r"\b([a-z]\w*)\.\w+\s*\(", text)) & modules)
        self._made += 1
        imports = "".join(f"import {module}. " for module in mentioned)
        return self.partner.rules({f"<line {self._made}>": imports + text.removesuffix(".") + "."})

    def _undo(self, text: str) -> str:
        return self.partner.undo()

    def _help(self, text: str) -> str:
        width = max(len(command.usage) for command in COMMANDS.values())
        lines = [
            "A line is a query, such as: core.pod(P, Ns, _, _), not core.ready(P, _)",
            "or a rule or declaration.",
            "",
        ]
        lines += [f"{command.usage.ljust(width)}  {command.told}" for command in COMMANDS.values()]
        return "\n".join([*lines, f"{'quit'.ljust(width)}  End."])


def _filled(atom: s.Atom, found: Mapping[str, Any]) -> str:
    """The goal that an atom of a query is for one row of its answer."""

    def word(argument: s.Argument) -> str:
        name = f"{argument.column}: " if argument.column else ""
        match argument.value:
            case s.Constant(known):
                return name + literal(known)
            case s.Variable(variable) if variable in found:
                return name + literal(value(found[variable]))
            case _:
                return name + "_"

    return f"{atom.relation}({', '.join(map(word, atom.arguments))})"


def _parts(text: str) -> Iterator[str]:
    """The changes of a supposition: what stands between spaces that are in no bracket and no string."""
    depth, quoted, start = 0, False, 0
    for index, letter in enumerate(f"{text} "):
        if letter == '"':
            quoted = not quoted or text[index - 1] == "\\"
        elif not quoted:
            depth += (letter in "([{") - (letter in ")]}")
            if letter == " " and depth == 0:
                part = text[start:index].strip().removesuffix(",")
                if part:
                    yield part
                start = index + 1


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
    "why": Command("why GOAL", "The proof of what matches the goal, or of a row of the last answer: why 3.",
                   Dialogue._why),
    "whynot": Command("whynot GOAL", "What keeps the goal from holding.", Dialogue._why_not),
    "expand": Command("expand NUMBER", "All of what has this number in the last explanation.", Dialogue._expand),
    "whatif": Command("whatif CHANGES", "What would follow: +FACT, -FACT, -KIND/NAME, FILE; then ` ? ` and a question.",
                      Dialogue._what_if),
    "facts": Command("facts RELATION", "All facts of a relation.", Dialogue._facts),
    "rules": Command("rules RELATION", "What declares and derives a relation.", Dialogue._rules),
    "relations": Command("relations [text]", "The relations with a text in their names, with their sizes.",
                         Dialogue._relations),
    "assert": Command("assert FACT", "Add an input fact to the scratch copy; what follows.", Dialogue._assert),
    "retract": Command("retract FACT", "Take the input facts that match away; what follows.", Dialogue._retract),
    "load": Command("load FILE", "Add rules (.dl), or apply manifests (.yaml, .json).", Dialogue._load),
    "apply": Command("apply FILE", "Apply manifests.", Dialogue._load),
    "delete": Command("delete KIND/NAME", "Delete an object.", Dialogue._delete),
    "undo": Command("undo", "Take back the last change of the scratch copy.", Dialogue._undo),
    "help": Command("help", "This list.", Dialogue._help),
}  # fmt: skip
