"""What a checked program most likely does not mean: warnings, each with a way to say that it does.

A comment ``# allow KDL241: every pair is wanted`` at a statement, or in the lines right above it, takes the warning
away. The warnings that the checker itself gives (`Program.warnings`) are among those told here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from kdl.fact import literal
from kdl.parser import syntax as s
from kdl.parser.diagnostic import Diagnostic, Note, Span
from kdl.parser.parse import comments
from kdl.rules.program import FAULT, Program, Relation
from kdl.rules.wording import source_text

REASONS: Final = ("reason", "message")
"""Columns that hold a sentence for people."""
REFUSALS: Final = re.compile(r"(deny|denie|reject|refus|forbid|prohibit)", re.IGNORECASE)
DOCUMENT: Final = "doc"
"""The column in which a relation has a whole object."""


def lint(program: Program) -> list[Diagnostic]:
    """All warnings about a program that its comments do not allow, in the order of its texts."""
    found = [*program.warnings, *(diagnostic for check in LINTS for diagnostic in check(program))]
    allowed = _allowed(program)
    kept = {d for d in found if d.span is None or d.span.line not in allowed.get((d.span.file, d.code), ())}
    return sorted(kept, key=lambda d: (d.span or s.NOWHERE, d.code, d.message))


def cross_products(program: Program) -> Iterator[Diagnostic]:
    """Facts that nothing connects are combined each with each: the rule costs their product and seldom means it."""
    for rule in _written(program):
        for body in _bodies(rule.body):
            groups = _connected(body)
            if len(groups) > 1:
                first, second = groups[0], groups[1]
                yield _warning(
                    "KDL241",
                    f"`{_name(second, program)}` shares nothing with `{_name(first, program)}`: "
                    "every fact of one is combined with every fact of the other",
                    second.span,
                    [Note(f"`{_name(first, program)}` is here", first.span)],
                    "join them by a variable; write `_` for what need only exist; or `# allow KDL241: …`",
                )


def unread(program: Program) -> Iterator[Diagnostic]:
    """A relation of a module that nothing reads and nobody is told of."""
    readers: dict[str, set[str]] = {}
    for rule in _written(program):
        for part in rule.body:
            for atom in _atoms(part):
                readers.setdefault(atom.relation, set()).add(rule.head.relation)
    asked = {atom.relation for test in program.tests for atom in _atoms(test)}
    observed = {relation.observes for relation in program.relations.values()}
    for name, relation in program.relations.items():
        read = (readers.get(name, set()) - {name}) or name in asked or name in observed
        if "." in name and not (read or relation.doc or relation.open or relation.effect or name == FAULT):
            yield _warning(
                "KDL242",
                f"nothing reads `{_bare(name)}`",
                _named(relation, program),
                help="remove it with its rules; if it is there to be asked, say what it holds in a `##` comment above",
            )


def empty(program: Program) -> Iterator[Diagnostic]:
    """A relation without rules, so that whatever needs a fact of it never holds."""
    for name, relation in program.relations.items():
        if not (relation.input or relation.open or relation.effect or program.rules_of[name] or name == FAULT):
            yield _warning(
                "KDL243",
                f"`{_bare(name)}` has no rule, so it never holds",
                _named(relation, program),
                help="write `input rel` for what comes from outside, `open rel` for what other packs may add",
            )


def differs_from_one(program: Program) -> Iterator[Diagnostic]:
    """``banned(Y), X != Y`` holds as soon as one banned value is another: "none of them" is a negation.

    Y is one of several here, and nothing else in the rule speaks of it: an item of a document's list, a fact of a plain
    set, or what a relation has several of under a key, as far as its rules show. A value of which there is one for a
    key is another matter, and so are two of one relation or list that differ.
    """
    several = _several(program)
    for rule in _written(program):
        counts = Counter(variable.name for variable in s.variables(rule))
        for body in _bodies(rule.body):
            some = {name: part for name, part in _some(body, several) if counts[name] == 2}
            for part in body:
                for left, right in _differing(part):
                    if left in some or right in some:
                        name, other = (right, left) if right in some else (left, right)
                        yield _differs(name, other, some[name], part.span, program)


def _differs(name: str, other: str, part: s.Atom | s.Membership, span: Span, program: Program) -> Diagnostic:
    if isinstance(part, s.Atom):
        what, negated = f"`{_name(part, program)}`", _negated(part, name, other, program)
    else:
        source = source_text(program, part.source)
        what, negated = f"item of `{source}`", f"not ({other} in {source})"
    return _warning(
        "KDL244",
        f"this holds as soon as one {what} is not `{other}`",
        span,
        [Note(f"`{name}` is any of these", part.span)],
        f"for none of them write `{negated}`; or `# allow KDL244: …`",
    )


def _some(
    body: tuple[s.Literal, ...], several: frozenset[tuple[str, int]]
) -> Iterator[tuple[str, s.Atom | s.Membership]]:
    """The variables of a body that are one of several values, with where these are."""
    sources = [part.source for part in body if isinstance(part, s.Membership)]
    relations = Counter(part.relation for part in body if isinstance(part, s.Atom))
    for part in body:
        match part:
            case s.Membership(_, s.Variable(name), s.Path() as source) if sources.count(source) == 1:
                yield name, part
            case s.Atom(relation, arguments) if relations[relation] == 1:
                alone = len(list(s.variables(part))) == 1
                for column, argument in enumerate(arguments):
                    if isinstance(argument.value, s.Variable) and (alone or (relation, column) in several):
                        yield argument.value.name, part


def _several(program: Program) -> frozenset[tuple[str, int]]:
    """Columns that a rule fills with the items of a list or document."""
    return frozenset(
        (rule.head.relation, column)
        for rule in _written(program)
        for items in [{one.item for one in rule.body if isinstance(one, s.Membership)}]
        for column, argument in enumerate(rule.head.arguments)
        if isinstance(argument.value, s.Variable) and argument.value in items
    )


def _differing(node: s.Node) -> Iterator[tuple[str, str]]:
    """The pairs of variables that a test wants to differ."""
    match node:
        case s.Test(condition):
            yield from _differing(condition)
        case s.Binary("and", left, right):
            yield from _differing(left)
            yield from _differing(right)
        case s.Binary("!=", s.Variable(left), s.Variable(right)):
            yield left, right
        case s.Unary("not", s.Unary("not", operand)):
            yield from _differing(operand)
        case s.Unary("not", s.Binary("=", s.Variable(left), s.Variable(right))):
            yield left, right


def silent_refusals(program: Program) -> Iterator[Diagnostic]:
    """A refusal that does not say why: whoever is refused reads the sentence first."""
    for rule in _written(program):
        relation = program.relations[rule.head.relation]
        if not (relation.open or relation.effect):
            continue
        reasons = [
            argument.value
            for column, argument in zip(relation.columns, rule.head.arguments, strict=True)
            if column.name in REASONS
        ]
        refusal = REFUSALS.match(_bare(relation.name)) is not None
        said = any(not (isinstance(reason, s.Constant) and reason.value in ("", None)) for reason in reasons)
        if refusal and not said and rule.why is None:
            what = "its reason is empty" if reasons else f"`{_bare(relation.name)}` has no column for a reason"
            yield _warning(
                "KDL245",
                f"this refuses without a sentence: {what}",
                rule.head.span,
                help='say why in the head\'s reason, or in `@why f"…"` above the rule',
            )


def whole_documents(program: Program) -> Iterator[Diagnostic]:
    """A rule that hands on a whole document is run again, with all its readers, at every write of a status."""
    for rule in _written(program):
        for part in rule.body:
            if not isinstance(part, s.Atom):
                continue
            columns = program.relations[part.relation].columns
            for column, argument in zip(columns, part.arguments, strict=True):
                if column.name == DOCUMENT and isinstance(argument.value, s.Variable):
                    name = argument.value.name
                    if any(_has_whole(head.value, name) for head in rule.head.arguments):
                        yield _warning(
                            "KDL246",
                            f"`{_bare(rule.head.relation)}` hands on the whole document `{name}`",
                            rule.head.span,
                            [Note(f"`{name}` is all of an object", argument.span)],
                            f"give the parts that are read, such as `{name}.spec`",
                        )


LINTS: Final[tuple[Callable[[Program], Iterator[Diagnostic]], ...]] = (
    cross_products,
    unread,
    empty,
    differs_from_one,
    silent_refusals,
    whole_documents,
)


def _warning(
    code: str, message: str, span: Span, notes: list[Note] | tuple[Note, ...] = (), help: str = ""
) -> Diagnostic:
    return Diagnostic(code, message, span, notes=tuple(notes), help=help, severity="warning")


# --- what a comment allows -------------------------------------------------------------------------------------------

_ALLOW: Final = re.compile(r"^#\s*allow\b(?P<codes>(?:[\s,]+KDL\d{3})+)")


def _allowed(program: Program) -> Mapping[tuple[str, str], set[int]]:
    """The lines of each file in which a code is allowed: those of the statements that the comment is at."""
    found: dict[tuple[str, str], set[int]] = {}
    for file, text in program.sources.items():
        if "# allow" not in text and "#allow" not in text:
            continue
        remarks = comments(text)
        whole = {
            remark.line for remark in remarks if not text.split("\n")[remark.line - 1][: remark.column - 1].strip()
        }
        spans = [span for span in _spans(program) if span.file == file]
        for remark in remarks:
            if (match := _ALLOW.match(remark.text)) is None:
                continue
            line = remark.line
            while line in whole:
                line += 1
            lines = {
                n for span in spans if span.line <= line <= span.end_line for n in range(span.line, span.end_line + 1)
            }
            for code in re.findall(r"KDL\d{3}", match["codes"]):
                found.setdefault((file, code), set()).update(lines or {line})
    return found


def _spans(program: Program) -> Iterator[Span]:
    for rule in _written(program):
        yield rule.span
    for relation in program.relations.values():
        yield relation.span


# --- bodies ----------------------------------------------------------------------------------------------------------


def _written(program: Program) -> Iterator[s.Rule]:
    """The rules that somebody wrote."""
    return (rule for rule in program.rules if rule.head.relation != FAULT)


def _bodies(body: tuple[s.Literal, ...]) -> Iterator[tuple[s.Literal, ...]]:
    """A body and those of the aggregates in it."""
    yield body
    for part in body:
        if isinstance(part, s.Aggregate):
            yield from _bodies(part.body)


def _atoms(node: s.Node) -> Iterator[s.Atom]:
    return (found for found in s.walk(node) if isinstance(found, s.Atom))


def _has(node: s.Node, name: str) -> bool:
    return any(variable.name == name for variable in s.variables(node))


def _has_whole(node: s.Node, name: str) -> bool:
    """Whether a variable stands in an expression other than as what a path walks."""
    if isinstance(node, s.Path) and isinstance(node.base, s.Variable):
        return any(_has_whole(step, name) for step in node.steps)
    if isinstance(node, s.Variable):
        return node.name == name
    return any(_has_whole(child, name) for child in s.children(node))


def _connected(body: tuple[s.Literal, ...]) -> list[s.Atom]:
    """One atom of each group of atoms that share no variable, directly or through other literals."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for part in body:
        if isinstance(part, s.Test) and isinstance(part.condition, s.Call) and part.condition.function == "$typed":
            continue  # the checker's own, of a value in the head
        names = [variable.name for variable in s.variables(part)]
        for name in names[1:]:
            parent[root(name)] = root(names[0])
    groups: dict[str, s.Atom] = {}
    for part in body:
        if isinstance(part, s.Atom) and (first := next(s.variables(part), None)) is not None:
            groups.setdefault(root(first.name), part)
    return sorted(groups.values(), key=lambda atom: atom.span)


# --- names -----------------------------------------------------------------------------------------------------------


def _bare(name: str) -> str:
    return name.rpartition(".")[2]


def _name(atom: s.Atom, program: Program) -> str:
    """An atom's relation as its author wrote it."""
    span = atom.name_span
    lines = program.sources.get(span.file, "").split("\n")
    if 1 <= span.line <= len(lines) and span.line == span.end_line:
        return lines[span.line - 1][span.column - 1 : span.end_column - 1] or _bare(atom.relation)
    return _bare(atom.relation)


def _negated(atom: s.Atom, name: str, other: str, program: Program) -> str:
    """``not banned(X)``: the negation that was probably meant, columns that match anything left out."""
    columns = program.relations[atom.relation].columns
    given = [
        (c.name, a.value) for c, a in zip(columns, atom.arguments, strict=True) if not isinstance(a.value, s.Wildcard)
    ]
    texts = [
        (column, other if isinstance(value, s.Variable) and value.name == name else _text(value, program))
        for column, value in given
    ]
    if len(given) == len(columns):
        return f"not {_name(atom, program)}({', '.join(text for _, text in texts)})"
    return f"not {_name(atom, program)}({', '.join(f'{column}: {text}' for column, text in texts)})"


def _text(value: s.Expression, program: Program) -> str:
    match value:
        case s.Variable(name):
            return source_text(program, value) if "$" in name else name
        case s.Constant(constant):
            return literal(constant)
        case _:
            return "…"


def _named(relation: Relation, program: Program) -> Span:
    """The place of a relation's name in its declaration."""
    span = relation.span
    line = (program.sources.get(span.file, "").split("\n") + [""] * span.line)[span.line - 1]
    match = re.compile(rf"\brel\s+({_bare(relation.name)})\b").search(line, span.column - 1)
    if match is None:
        return span
    return Span(span.file, span.line, match.start(1) + 1, span.line, match.end(1) + 1)
