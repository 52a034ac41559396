"""Values, facts, paths and sources in the words that explanations use."""

from __future__ import annotations

from kdl.fact import Document, Fact, Value, literal
from kdl.parser import syntax as s
from kdl.parser.diagnostic import Span
from kdl.rules.evaluate import MISSING, Bindings
from kdl.rules.program import Program
from kdl.rules.provenance import Steps
from kdl.rules.solve import known


def brief(value: Value, width: int = 60) -> str:
    """A value as the language writes it, shortened in the middle of documents and long lists."""
    text = literal(value)
    if len(text) <= width:
        return text
    if isinstance(value, Document):
        return "{…" + f"{len(value)} members" + "}"
    if isinstance(value, tuple):
        return f"[…{len(value)} items]"
    return text[: width - 1] + "…"


def fact_text(fact: Fact) -> str:
    """A fact on one line, its documents shortened."""
    return f"{fact.relation}({', '.join(map(brief, fact.row))})"


def path_text(path: Steps) -> str:
    """A path as rules write it: ``spec.ports[0].name``, ``metadata.labels["a/b"]``."""
    text = ""
    for step in path:
        if isinstance(step, str) and step.replace("_", "a").isalnum() and step.isascii() and not step[0].isdigit():
            text += f".{step}"
        else:
            text += f"[{literal(step)}]"
    return text.removeprefix(".")


def goal_text(atom: s.Atom, bindings: Bindings) -> str:
    """An atom with what is known of its arguments, the rest as ``_``."""

    def word(e: s.Expression) -> str:
        if isinstance(e, s.Tuple):
            return f"[{', '.join(map(word, e.items))}]"
        found = known(e, bindings)
        return "_" if found is MISSING else brief(found)

    return f"{atom.relation}({', '.join(word(argument.value) for argument in atom.arguments)})"


def source_text(program: Program, node: s.Node) -> str:
    """A node as it was written, on one line."""
    return _slice(program.sources.get(node.span.file, ""), node.span)


def _slice(source: str, span: Span) -> str:
    lines = source.split("\n")[span.line - 1 : span.end_line] if span.line else []
    if not lines:
        return "a condition"
    lines[-1] = lines[-1][: span.end_column - 1]
    lines[0] = lines[0][span.column - 1 :]
    return " ".join(line.strip() for line in lines)
