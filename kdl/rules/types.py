"""Types: what each variable and expression of a rule can hold, as far as the program's text tells.

A type is a built-in or named type of a column, or one of ``number decimal null list list[T] doc``. ``json`` and ``any``
are dynamic: what they hold is known only when a rule runs. `Typing` walks a body in its order of evaluation, so it is
also what tells `kdl.rules.faults` which literals can fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kdl.fact import type_name
from kdl.parser import syntax as s
from kdl.parser.diagnostic import Note
from kdl.rules.builtin import BUILTINS
from kdl.rules.draft import Draft, Mistake
from kdl.rules.program import Relation

DYNAMIC: Final = frozenset({"any", "json"})
NUMBERS: Final = frozenset({"int", "time", "number", "decimal"})
_OF_VALUE: Final = {"tuple": "list", "json": "doc"}
_ARITHMETIC: Final = frozenset("+-*/%")
_ORDER: Final = frozenset({"<", "<=", ">", ">="})


def check(draft: Draft) -> None:
    """Report the type mistakes of all rules and of the queries of tests."""
    for rule in draft.rules:
        with draft.statement():
            typing = Typing(draft.relations, draft.types)
            for literal in rule.body:
                typing.add(literal)
            typing.head(rule.head)
            for sentence in (rule.why, rule.whynot):
                if sentence is not None:
                    typing.of(sentence)
    for test in draft.tests:
        for step in test.steps:
            with draft.statement():
                typing = Typing(draft.relations, draft.types)
                for part in step.body:
                    typing.add(part)
                if step.action == "advance" and step.argument is not None:
                    kind = typing.of(step.argument)
                    if kind not in ("int", "time"):
                        message = f"a test advances by milliseconds, not by {_article(kind)}"
                        raise Mistake("KDL221", message, step.argument.span, help='write a duration: `dur"30s"`')


@dataclass(frozen=True, slots=True)
class Known:
    """The type of a variable and the place that told it."""

    type: str
    node: s.Node
    source: str


@dataclass(slots=True)
class Typing:
    """The types of a rule's variables, growing as literals are added in their order. Methods raise `Mistake`."""

    relations: Mapping[str, Relation]
    named: Mapping[str, str]
    known: dict[str, Known] = field(default_factory=dict)

    def base(self, kind: str) -> str:
        """The built-in type under a named one."""
        return self.named.get(kind, kind)

    def dynamic(self, kind: str) -> bool:
        """Whether the type is known only when the rule runs."""
        return self.base(kind) in DYNAMIC

    # literals

    def add(self, literal: s.Literal) -> None:
        """Check a literal and learn the types of the variables that it binds."""
        match literal:
            case s.Atom():
                self._atom(literal)
            case s.Negation(atom):
                self._atom(atom)
            case s.Test(condition):
                self._truth(condition)
            case s.Unification(pattern, value):
                self._assign(pattern, value, self.of(value), "this value")
            case s.Membership():
                self._membership(literal)
            case s.Due(time):
                kind = self.of(time)
                if self.base(kind) not in NUMBERS and not self.dynamic(kind):
                    raise Mistake("KDL222", f"`due` needs a time, and this is {_article(kind)}", time.span)
            case s.Aggregate():
                self._aggregate(literal)

    def inside(self) -> Typing:
        """A copy, for the body of an aggregate."""
        return Typing(self.relations, self.named, dict(self.known))

    def head(self, head: s.Atom) -> None:
        """Check the arguments of a rule's head against their columns."""
        relation = self.relations[head.relation]
        for argument, column, kind in zip(head.arguments, relation.columns, relation.types, strict=True):
            found = self.of(argument.value)
            if not self.dynamic(kind) and not self.dynamic(found) and not self._fits(found, kind):
                raise self._wrong_column(argument.value, found, column.name, kind, relation)

    def _atom(self, atom: s.Atom) -> None:
        relation = self.relations[atom.relation]
        for argument, column, kind in zip(atom.arguments, relation.columns, relation.types, strict=True):
            match argument.value:
                case s.Wildcard():
                    pass
                case s.Variable() as variable:
                    self._learn(variable, kind, f"column `{column.name}` of `{relation.name}`")
                case value:
                    found = self.of(value)
                    if not self.dynamic(kind) and not self.dynamic(found) and not self._fits(found, kind):
                        raise self._wrong_column(value, found, column.name, kind, relation)

    def _wrong_column(self, node: s.Node, found: str, column: str, kind: str, relation: Relation) -> Mistake:
        message = f"column `{column}` of `{relation.name}` is `{kind}`, and this is {_article(found)}"
        notes = [] if relation.span is s.NOWHERE else [Note(f"`{relation.name}` is declared", relation.span)]
        if isinstance(node, s.Variable) and node.name in self.known:
            place = self.known[node.name]
            notes.insert(0, Note(f"`{node.name}` is {place.source}", place.node.span))
        help = ""
        if self.base(kind) == "str" and found == "int":
            help = "write it in quotes" if isinstance(node, s.Constant) else 'write it as text: f"{…}"'
        elif self.base(kind) == "int" and isinstance(node, s.Constant) and isinstance(node.value, str):
            help = "write it without quotes" if node.value.lstrip("-").isdigit() else ""
        return Mistake("KDL221", message, node.span, "", notes, help)

    def _learn(self, variable: s.Variable, kind: str, source: str) -> None:
        before = self.known.get(variable.name)
        if before is None:
            self.known[variable.name] = Known(kind, variable, source)
            return
        both = self._meet(before.type, kind)
        if both is None:
            message = f"`{variable.name}` is {_article(kind)} here and {_article(before.type)} before"
            notes = [Note(f"it is {before.source}", before.node.span), Note(f"here it is {source}", None)]
            help = "values of different type are never equal"
            if self.base(kind) == self.base(before.type):
                help = "named types do not mix"
            raise Mistake("KDL220", message, variable.span, "", notes, help)
        if both != before.type:
            self.known[variable.name] = Known(both, variable, source)

    def _meet(self, a: str, b: str) -> str | None:
        """The type of a value that is of both types; None when there is no such value."""
        if a == b or self.dynamic(b):
            return a
        if self.dynamic(a):
            return b
        if self._fits(a, b):
            return a if a in self.named or self.base(a) == a == "time" else b
        return b if self._fits(b, a) else None

    def _fits(self, found: str, wanted: str) -> bool:
        """Whether a value of one static type may stand where another is wanted."""
        if found == wanted:
            return True
        if found in self.named and wanted in self.named:
            return False
        found, wanted = self.base(found), self.base(wanted)
        if wanted == "number":
            return found in NUMBERS
        if found == "number":
            return wanted in NUMBERS
        if wanted in ("int", "time"):
            return found in ("int", "time")
        if wanted == "list" or found == "list":
            return wanted.startswith("list") and found.startswith("list")
        return found == wanted or self.dynamic(wanted)

    def _assign(self, pattern: s.Expression, value: s.Expression | None, kind: str, source: str) -> None:
        """Check a pattern against a value's type and learn its variables' types."""
        match pattern:
            case s.Wildcard():
                pass
            case s.Variable() as variable:
                self._learn(variable, kind, source)
            case s.Tuple(items):
                if not self.dynamic(kind) and not kind.startswith("list"):
                    raise Mistake("KDL222", f"a list is compared with {_article(kind)}", pattern.span)
                parts = value.items if isinstance(value, s.Tuple) else None
                if parts is not None and len(parts) != len(items):
                    message = f"{len(items)} items are compared with {len(parts)}: they are never equal"
                    raise Mistake("KDL222", message, pattern.span)
                element = kind[5:-1] if kind.startswith("list[") else "any"
                for index, item in enumerate(items):
                    part = parts[index] if parts is not None else None
                    self._assign(item, part, self.of(part) if part is not None else element, source)
            case _:
                self._comparable("=", pattern, self.of(pattern), pattern, kind)

    def _membership(self, literal: s.Membership) -> None:
        source = literal.source
        if isinstance(source, s.Range):
            for end in (source.low, source.high):
                kind = self.of(end)
                if self.base(kind) not in NUMBERS and not self.dynamic(kind):
                    raise Mistake("KDL222", f"a range needs integers, and this is {_article(kind)}", end.span)
            self._assign(literal.item, None, "int", "a number of a range")
            if literal.key is not None:
                self._assign(literal.key, None, "int", "an index")
            return
        kind = self.of(source)
        if not self.dynamic(kind) and kind != "doc" and not kind.startswith("list"):
            message = f"`in` needs a list or a document, and this is {_article(kind)}"
            raise Mistake("KDL222", message, source.span)
        keys = {"doc": "str"}.get(kind, "int" if kind.startswith("list") else "any")
        element = kind[5:-1] if kind.startswith("list[") else "any"
        if isinstance(source, s.Tuple) and source.items:
            kinds = {self.of(item) for item in source.items}
            element = kinds.pop() if len(kinds) == 1 else "any"
        if literal.key is None and kind == "doc":
            element = "str"
        self._assign(literal.item, None, element, "an item of this")
        if literal.key is not None:
            self._assign(literal.key, None, keys, "a key of this")

    def _aggregate(self, literal: s.Aggregate) -> None:
        inner = self.inside()
        for part in literal.body:
            inner.add(part)
        outer = literal.pattern
        match literal.function:
            case "count":
                kind = "int"
            case "list":
                element = inner.of(literal.value) if literal.value is not None else "any"
                kind = "list" if inner.dynamic(element) or element.startswith("list") else f"list[{element}]"
            case "sum":
                assert literal.value is not None
                kind = inner.of(literal.value)
                if not inner.dynamic(kind) and inner.base(kind) not in NUMBERS:
                    raise Mistake("KDL222", f"`sum` needs numbers, and this is {_article(kind)}", literal.value.span)
                kind = inner.base(kind)
            case _:
                assert literal.value is not None
                kind = inner.of(literal.value)
                if isinstance(outer, s.Tuple) and isinstance(literal.value, s.Tuple) and literal.default is None:
                    if len(outer.items) != len(literal.value.items):
                        message = f"{len(outer.items)} items are compared with {len(literal.value.items)}"
                        raise Mistake("KDL222", message, outer.span)
                    for item, piece in zip(outer.items, literal.value.items, strict=True):
                        self._assign(item, None, inner.of(piece), f"part of the `{literal.function}`")
                    return
        if literal.default is not None:
            kind = self._either(kind, self.of(literal.default))
        self._assign(outer, None, kind, f"a `{literal.function}`")

    # expressions

    def of(self, expression: s.Expression) -> str:
        """The type of an expression, after checking all of it."""
        match expression:
            case s.Constant(value):
                name = type_name(value)
                return _OF_VALUE.get(name, name)
            case s.Variable(name):
                found = self.known.get(name)
                return found.type if found is not None else "any"
            case s.Wildcard():
                return "any"
            case s.Tuple(items):
                kinds = {self.of(item) for item in items}
                return f"list[{kinds.pop()}]" if len(kinds) == 1 and not kinds & {"list"} else "list"
            case s.Record(members):
                return self._record(members)
            case s.Format(parts):
                for part in parts:
                    self.of(part)
                return "str"
            case s.Path(base, steps):
                return self._path(base, steps)
            case s.Call():
                return self._call(expression)
            case s.Binary():
                return self._binary(expression)
            case s.Unary("-", operand):
                kind = self.of(operand)
                self._numeric("-", operand, kind)
                return self.base(kind)
            case s.Unary(_, operand):
                self._truth(operand)
                return "bool"
            case s.Default(left, right):
                return self._either(self.of(left), self.of(right))
            case s.Conditional(then, condition, otherwise):
                self._truth(condition)
                return self._either(self.of(then), self.of(otherwise))
            case s.Range(low, high):
                self.of(low)
                self.of(high)
                return "list[int]"

    def _either(self, a: str, b: str) -> str:
        if a == b or b == "null":
            return a if a == b else "any"
        if self.dynamic(a) or self.dynamic(b):
            return "any"
        return self._meet(a, b) or "any"

    def _record(self, members: tuple[tuple[s.Expression, s.Expression], ...]) -> str:
        for key, value in members:
            kind = self.of(key)
            if self.base(kind) != "str" and not self.dynamic(kind):
                raise Mistake("KDL222", f"a document's keys are strings, and this is {_article(kind)}", key.span)
            self.of(value)
        return "doc"

    def _path(self, base: s.Expression, steps: tuple[s.Expression, ...]) -> str:
        kind = self.of(base)
        if not self.dynamic(kind) and kind != "doc" and not kind.startswith("list"):
            shown = f"`{base.name}`" if isinstance(base, s.Variable) else "this"
            notes = []
            if isinstance(base, s.Variable) and base.name in self.known:
                place = self.known[base.name]
                notes = [Note(f"`{base.name}` is {place.source}", place.node.span)]
            raise Mistake("KDL222", f"{shown} is {_article(kind)}: it has no fields", base.span, notes=notes)
        for step in steps:
            self.of(step)
        return kind[5:-1] if kind.startswith("list[") and len(steps) == 1 else "any"

    def _call(self, call: s.Call) -> str:
        builtin = BUILTINS.get(call.function)
        if builtin is None:
            for argument in call.arguments:
                self.of(argument)
            return "str"
        for index, argument in enumerate(call.arguments):
            wanted, kind = builtin.parameter(index), self.of(argument)
            if not self.dynamic(kind) and not self.dynamic(wanted) and kind != "null" and not self._fits(kind, wanted):
                message = f"`{call.function}` needs {_article(wanted)} here, and this is {_article(kind)}"
                notes = []
                if isinstance(argument, s.Variable) and argument.name in self.known:
                    place = self.known[argument.name]
                    notes = [Note(f"`{argument.name}` is {place.source}", place.node.span)]
                raise Mistake("KDL223", message, argument.span, notes=notes, help=f"{call.function}: {builtin.doc}")
        if call.function in ("least", "greatest"):
            return self._either(*[self.of(argument) for argument in call.arguments])
        if call.function in ("take", "drop", "reverse", "sort", "unique"):
            return self.of(call.arguments[0]) if not self.dynamic(self.of(call.arguments[0])) else "list"
        return builtin.result.rstrip("?")

    def _binary(self, node: s.Binary) -> str:
        operator, left, right = node.operator, node.left, node.right
        if operator in ("and", "or"):
            self._truth(left)
            self._truth(right)
            return "bool"
        a, b = self.of(left), self.of(right)
        if operator in ("=", "!="):
            self._comparable(operator, left, a, right, b)
            return "bool"
        if operator == "in":
            if not self.dynamic(b) and b != "doc" and not b.startswith("list"):
                raise Mistake("KDL222", f"`in` needs a list or a document, and this is {_article(b)}", right.span)
            return "bool"
        if operator in _ORDER:
            self._ordered(operator, left, a, right, b)
            return "bool"
        return self._arithmetic(operator, left, a, right, b)

    def _arithmetic(self, operator: str, left: s.Expression, a: str, right: s.Expression, b: str) -> str:
        x, y = self.base(a), self.base(b)
        if operator == "+":
            for one, other in ((x, y), (y, x)):
                if one == "str" and (other == "str" or other in DYNAMIC):
                    return "str"
                if one.startswith("list") and (other.startswith("list") or other in DYNAMIC):
                    return x if x == y else "list"
                if one == "str" or one.startswith("list"):
                    node = right if one == x else left
                    message = f"`+` cannot join {_article(a)} and {_article(b)}"
                    help = 'put values into a text with f"…{X}…"' if one == "str" else ""
                    raise Mistake("KDL222", message, node.span, help=help)
        self._numeric(operator, left, a)
        self._numeric(operator, right, b)
        if x in DYNAMIC or y in DYNAMIC:
            return "int" if operator in "/%" else "any"
        if "time" in (x, y) and not (operator == "-" and x == y):
            return "time"
        return "int" if {x, y} <= {"int", "time"} else "number"

    def _numeric(self, operator: str, node: s.Expression, kind: str) -> None:
        if self.base(kind) not in NUMBERS and not self.dynamic(kind):
            message = f"`{operator}` needs numbers, and this is {_article(kind)}"
            raise Mistake("KDL222", message, node.span, notes=self._told(node))

    def _told(self, node: s.Expression) -> list[Note]:
        if isinstance(node, s.Variable) and node.name in self.known:
            place = self.known[node.name]
            return [Note(f"`{node.name}` is {place.source}", place.node.span)]
        return []

    def _ordered(self, operator: str, left: s.Expression, a: str, right: s.Expression, b: str) -> None:
        x, y = self.base(a), self.base(b)
        for node, kind in ((left, x), (right, y)):
            if kind in ("bool", "null", "doc"):
                message = f"`{operator}` compares numbers or strings, and this is {_article(kind)}"
                raise Mistake("KDL222", message, node.span, notes=self._told(node))
        if x in DYNAMIC or y in DYNAMIC:
            return
        if not (x in NUMBERS and y in NUMBERS) and not self._fits(x, y):
            message = f"`{operator}` cannot compare {_article(a)} with {_article(b)}"
            raise Mistake("KDL222", message, right.span, notes=[*self._told(left), *self._told(right)])

    def _comparable(self, operator: str, left: s.Expression, a: str, right: s.Expression, b: str) -> None:
        if self.dynamic(a) or self.dynamic(b) or "null" in (a, b):
            return
        if a.startswith("list") and b.startswith("list"):
            return
        if self._meet(a, b) is None:
            always = "never" if operator == "=" else "always"
            message = f"{_article(a)} and {_article(b)} are {always} {'equal' if operator == '=' else 'different'}"
            notes = [*self._told(left), *self._told(right)]
            raise Mistake("KDL222", message[0].upper() + message[1:], right.span, notes=notes)

    def _truth(self, condition: s.Expression) -> None:
        kind = self.of(condition)
        if self.base(kind) != "bool" and not self.dynamic(kind):
            message = f"a condition is true or false, and this is {_article(kind)}"
            raise Mistake("KDL224", message, condition.span, help="compare it, as in `size(L) > 0`")

    # faults

    def may_fault(self, expression: s.Expression) -> bool:
        """Whether evaluating an expression can leave its domain."""
        if any(self.may_fault(child) for child in s.children(expression)):  # type: ignore[arg-type]
            return True
        match expression:
            case s.Record(members):
                return any(self.dynamic(self.of(key)) for key, _ in members)
            case s.Call(function, arguments):
                builtin = BUILTINS[function]
                return builtin.partial or any(
                    builtin.parameter(index) not in DYNAMIC and self.dynamic(self.of(argument))
                    for index, argument in enumerate(arguments)
                )
            case s.Unary("-", operand):
                return self.dynamic(self.of(operand))
            case s.Binary(operator, left, right) if operator in _ARITHMETIC:
                if operator in "/%" and not (isinstance(right, s.Constant) and right.value):
                    return True
                integral = {"int", "time"} if operator in "/%" else NUMBERS
                kinds = self.base(self.of(left)), self.base(self.of(right))
                same = operator == "+" and (kinds == ("str", "str") or all(k.startswith("list") for k in kinds))
                return not same and not all(kind in integral for kind in kinds)
            case s.Binary(operator, left, right) if operator in _ORDER:
                kinds = self.base(self.of(left)), self.base(self.of(right))
                return kinds != ("str", "str") and not all(kind in NUMBERS for kind in kinds)
            case s.Binary("in", _, right):
                return self.dynamic(self.of(right))
            case _:
                return False


def _article(kind: str) -> str:
    """The type in a sentence."""
    if kind in ("null", "any", "json"):
        return f"`{kind}`"
    if kind.startswith("list"):
        return "a list"
    if kind == "doc":
        return "a document"
    return f"an `{kind}`" if kind[0] in "aeiou" else f"a `{kind}`"
