"""Parse tree → syntax tree: one method for each rule of the grammar.

A lower-case word is only known to be (part of) a name, or a mistake, when its surroundings are: until then it is a
`Word`, and a call whose kind is not known yet is an `Apply`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from lark import Token, Transformer, Tree

from kdl.fact import FALSE, TRUE
from kdl.parser import syntax as s
from kdl.parser.diagnostic import Diagnostic, ProgramError, Span
from kdl.parser.mistakes import Place
from kdl.parser.quantity import LITERALS
from kdl.parser.strings import BadText, Hole, holes, unescape


class Word(NamedTuple):
    """A bare lower-case word, with dots where there were some."""

    name: str
    span: Span


class Apply(NamedTuple):
    """A call before it is known whether it is an atom or a function's."""

    name: str
    arguments: builtins.tuple[s.Argument, ...]
    span: Span
    name_span: Span


class Sentence(NamedTuple):
    """``@why`` or ``@whynot`` and its text."""

    kind: str
    text: s.Expression


Items = list[Any]


def mistake(code: str, message: str, span: Span, help: str = "") -> ProgramError:
    """One mistake as an exception."""
    return ProgramError([Diagnostic(code, message, span, help=help)])


class Builder(Transformer[Token, Any]):
    """Each method gets the children of its rule and the place that they came from.

    `read` parses the expressions of f-strings.
    """

    def __init__(self, place: Place, read: Callable[[str, str, Place], Any]) -> None:
        super().__init__()
        self.place, self.read = place, read

    def _call_userfunc(self, tree: Tree[Token], new_children: Items | None = None) -> Any:
        meta = tree.meta
        if meta.empty:
            span = self.place.span(1, 1, 1, 1)
        else:
            span = self.place.span(meta.line, meta.column, meta.end_line, meta.end_column)
        return getattr(self, tree.data)(span, tree.children if new_children is None else new_children)

    def _token_span(self, token: Token) -> Span:
        return self.place.span(token.line or 1, token.column or 1, token.end_line or 1, token.end_column or 1)

    def _text(self, token: Token, text: str, begin: int) -> str:
        try:
            return unescape(text)
        except BadText as error:
            raise self._bad_text(error, token, begin) from None

    def _bad_text(self, error: BadText, token: Token, begin: int) -> ProgramError:
        line, column = token.line or 1, (token.column or 1) + begin + error.offset
        return mistake(
            error.code, error.message, self.place.span(line, column, line, column + error.length), error.help
        )

    # statements

    def start(self, span: Span, items: Items) -> s.File:
        return s.File(self.place.file, builtins.tuple(items), span=span)

    def module(self, span: Span, items: Items) -> s.ModuleName:
        return s.ModuleName(str(items[0]), span=span)

    def import_module(self, span: Span, items: Items) -> s.Import:
        return s.Import(str(items[0]), span=span)

    def import_names(self, span: Span, items: Items) -> s.Import:
        module, *names, _ = map(str, items)
        return s.Import(module, builtins.tuple(names), span=span)

    def type_declaration(self, span: Span, items: Items) -> s.TypeDeclaration:
        return s.TypeDeclaration(str(items[0]), str(items[1]), span=span)

    def relation_declaration(self, span: Span, items: Items) -> s.RelationDeclaration:
        *modifiers, name, columns, key, observes, _ = items
        words = frozenset(map(str, modifiers))
        return s.RelationDeclaration(str(name), columns, words, key or (), observes, span=span)

    def columns(self, span: Span, items: Items) -> builtins.tuple[s.Column, ...]:
        return builtins.tuple(item for item in items if isinstance(item, s.Column))

    def column(self, span: Span, items: Items) -> s.Column:
        return s.Column(str(items[0]), items[1], span=span)

    def name(self, span: Span, items: Items) -> str:
        return ".".join(str(item) for item in items if item.type != "DOT")

    def key(self, span: Span, items: Items) -> builtins.tuple[str, ...]:
        return builtins.tuple(map(str, items))

    def observes(self, span: Span, items: Items) -> str:
        return str(items[0])

    def parameters(self, span: Span, items: Items) -> builtins.tuple[str, ...]:
        return builtins.tuple(str(item) for item in _present(items))

    def function_declaration(self, span: Span, items: Items) -> s.FunctionDeclaration:
        name, parameters, body, _ = items
        return s.FunctionDeclaration(str(name), parameters, _value(body), span=span)

    def sentence(self, span: Span, items: Items) -> Sentence:
        return Sentence(str(items[0]), items[1])

    def rule(self, span: Span, items: Items) -> s.Rule:
        *sentences, head, body, _ = items
        texts = {sentence.kind: sentence.text for sentence in sentences}
        if not isinstance(head, Apply):
            message = "a statement begins with a fact such as `pod(P, N)`"
            raise mistake("KDL104", message, head.span, _statement_help(head))
        return s.Rule(_atom(head), body or (), "", texts.get("@why"), texts.get("@whynot"), span=span)

    def test_case(self, span: Span, items: Items) -> s.TestCase:
        name, *steps = items
        return s.TestCase(self._text(name, name[1:-1], 1), builtins.tuple(steps), span=span)

    def load(self, span: Span, items: Items) -> s.Step:
        return s.Step("load", (), self.string(self._token_span(items[0]), items[:1]), span=span)

    def given(self, span: Span, items: Items) -> s.Step:
        return s.Step(str(items[0]), (_one_fact(items[1]),), span=span)  # type: ignore[arg-type]

    def advance(self, span: Span, items: Items) -> s.Step:
        return s.Step("advance", (), _value(items[0]), span=span)

    def expect(self, span: Span, items: Items) -> s.Step:
        return s.Step("expect", items[0], span=span)

    def expect_explain(self, span: Span, items: Items) -> s.Step:
        action, goal, text, _ = items
        return s.Step(f"expect {action}", (_one_fact(goal),), text, span=span)  # type: ignore[arg-type]

    # literals

    def body(self, span: Span, items: Items) -> builtins.tuple[s.Literal, ...]:
        return builtins.tuple(map(_literal, items))

    def aggregate(self, span: Span, items: Items) -> s.Aggregate:
        pattern, function, value, body, _, default = items
        if (value is None) != (function == "count"):
            needs = "takes no value" if function == "count" else "needs a value"
            raise mistake("KDL105", f"`{function}` {needs}", span, "write `N = count : { … }`, `T = sum Q : { … }`")
        value = None if value is None else _value(value)
        default = None if default is None else _value(default)
        return s.Aggregate(_value(pattern), str(function), value, body, default, span=span)  # type: ignore[arg-type]

    def keyed_membership(self, span: Span, items: Items) -> s.Membership:
        return s.Membership(_value(items[0]), _value(items[1]), _value(items[2]), span=span)

    # expressions; what may still be a word or a call is turned into a value where that is known

    def either(self, span: Span, items: Items) -> s.Binary:
        return s.Binary("or", _value(items[0]), _value(items[1]), span=span)

    def both(self, span: Span, items: Items) -> s.Binary:
        return s.Binary("and", _value(items[0]), _value(items[1]), span=span)

    def inversion(self, span: Span, items: Items) -> s.Unary:
        return s.Unary("not", items[0], span=span)

    def compare(self, span: Span, items: Items) -> s.Binary:
        return s.Binary(str(items[1]), _value(items[0]), _value(items[2]), span=span)  # type: ignore[arg-type]

    def membership(self, span: Span, items: Items) -> s.Binary:
        return s.Binary("in", _value(items[0]), _value(items[1]), span=span)

    def range(self, span: Span, items: Items) -> s.Range:
        return s.Range(_value(items[0]), _value(items[1]), span=span)

    def conditional(self, span: Span, items: Items) -> s.Conditional:
        return s.Conditional(*map(_value, items), span=span)

    def default(self, span: Span, items: Items) -> s.Default:
        return s.Default(_value(items[0]), _value(items[2]), span=span)

    def arithmetic(self, span: Span, items: Items) -> s.Binary:
        return s.Binary(str(items[1]), _value(items[0]), _value(items[2]), span=span)  # type: ignore[arg-type]

    def negative(self, span: Span, items: Items) -> s.Expression:
        operand = _value(items[1])
        if isinstance(operand, s.Constant) and operand.text is None and isinstance(operand.value, (int, Decimal)):
            return s.Constant(-operand.value, span=span)
        return s.Unary("-", operand, span=span)

    def field(self, span: Span, items: Items) -> Word | s.Path:
        base, _, name = items
        if isinstance(base, Word):
            return Word(f"{base.name}.{name}", span)
        return _path(span, base, s.Constant(str(name), span=self._token_span(name)))

    def index(self, span: Span, items: Items) -> s.Path:
        return _path(span, items[0], _value(items[1]))

    def call(self, span: Span, items: Items) -> Apply:
        callee, *arguments = items
        if not isinstance(callee, Word):
            help = ""
            if isinstance(callee, s.Variable):
                help = f"names begin with a small letter: `{callee.name[0].lower()}{callee.name[1:]}`"
            if isinstance(callee, s.Path):
                help = "an end dot is followed by white space"
            raise mistake("KDL108", "only a name can be called", _value(callee).span, help)
        return Apply(callee.name, builtins.tuple(map(_argument, _present(arguments))), span, callee.span)

    def named(self, span: Span, items: Items) -> s.Argument:
        return s.Argument(_value(items[1]), str(items[0]), span=span)

    def group(self, span: Span, items: Items) -> s.Expression:
        inner: s.Expression = _value(items[0])
        if isinstance(inner, s.Binary) and inner.operator in ("=", "in"):
            return s.Unary("not", s.Unary("not", inner, span=span), span=span)  # a test, not a binding
        return inner

    def tuple(self, span: Span, items: Items) -> s.Tuple:
        return s.Tuple(builtins.tuple(map(_value, _present(items))), span=span)

    def array(self, span: Span, items: Items) -> s.Tuple:
        return s.Tuple(builtins.tuple(map(_value, _present(items))), True, span=span)

    def record(self, span: Span, items: Items) -> s.Record:
        return s.Record(builtins.tuple(_present(items)), span=span)

    def member(self, span: Span, items: Items) -> builtins.tuple[s.Expression, s.Expression]:
        return _value(items[0]), _value(items[1])

    def variable(self, span: Span, items: Items) -> s.Variable:
        return s.Variable(str(items[0]), span=span)

    def wildcard(self, span: Span, items: Items) -> s.Wildcard:
        return s.Wildcard(span=span)

    def word(self, span: Span, items: Items) -> Word:
        return Word(str(items[0]), span)

    # constants

    def integer(self, span: Span, items: Items) -> s.Constant:
        digits = items[0].replace("_", "")
        if len(digits) > 4000:
            raise mistake("KDL109", "a number has at most 4000 digits", span)
        return s.Constant(int(digits), span=span)

    def decimal(self, span: Span, items: Items) -> s.Constant:
        number = Decimal(items[0].replace("_", ""))
        if len(number.as_tuple().digits) > 28:
            raise mistake("KDL109", "a decimal has at most 28 digits", span)
        return s.Constant(int(number) if number == int(number) else number.normalize(), span=span)

    def string(self, span: Span, items: Items) -> s.Constant:
        return s.Constant(self._text(items[0], items[0][1:-1], 1), span=span)

    def quantity(self, span: Span, items: Items) -> s.Constant:
        kind, _, rest = items[0].partition('"')
        try:
            return s.Constant(LITERALS[kind](rest[:-1]), str(items[0]), span=span)
        except (ValueError, OverflowError) as error:
            raise mistake("KDL109", str(error), span) from None

    def true(self, span: Span, items: Items) -> s.Constant:
        return s.Constant(TRUE, span=span)

    def false(self, span: Span, items: Items) -> s.Constant:
        return s.Constant(FALSE, span=span)

    def null(self, span: Span, items: Items) -> s.Constant:
        return s.Constant(None, span=span)

    def format(self, span: Span, items: Items) -> s.Format:
        return s.Format(builtins.tuple(self._parts(items[0], span)), span=span)

    def _parts(self, token: Token, span: Span) -> Iterator[s.Expression]:
        try:
            for part in holes(str(token)[2:-1]):
                if isinstance(part, Hole):
                    place = Place(span.file, span.line, span.column + 2 + part.offset)
                    yield _value(self.read(part.text, "disjunction", place))
                else:
                    yield s.Constant(part, span=span)
        except BadText as error:
            raise self._bad_text(error, token, 2) from None


def _present(items: Items) -> Iterator[Any]:
    """The items without the placeholders of what was left out: the grammar's optional commas and lists."""
    return (item for item in items if item is not None)


def _path(span: Span, base: Any, step: s.Expression) -> s.Path:
    if isinstance(base, s.Path):
        return s.Path(base.base, (*base.steps, step), span=span)
    return s.Path(_value(base), (step,), span=span)


def _value(x: Any) -> Any:
    """The expression that something is; a mistake for what is none."""
    match x:
        case Word(name, span):
            variable = f"{name[0].upper()}{name[1:]}"
            offer = f'write "{name}" for the text, or `{variable}` for a variable'
            raise mistake("KDL106", f"`{name}` is a bare word", span, offer)
        case Apply(name, arguments, span, _):
            for argument in arguments:
                if argument.column is not None:
                    message = f"`{name}` is used as a function here and takes no named arguments"
                    raise mistake("KDL107", message, argument.span)
            return s.Call(name, tuple(argument.value for argument in arguments), span=span)
        case s.Unary(operator, operand):
            inner = _value(operand)
            return x if inner is operand else s.Unary(operator, inner, span=x.span)
        case _:
            return x


def _argument(x: Any) -> s.Argument:
    return x if isinstance(x, s.Argument) else s.Argument(_value(x), span=_value(x).span)


def _atom(x: Apply) -> s.Atom:
    return s.Atom(x.name, x.arguments, x.name_span, span=x.span)


def _one_fact(x: Any) -> s.Atom:
    if not isinstance(x, Apply):
        raise mistake("KDL103", 'expected one fact, such as `pod("web", N)`', x.span)
    return _atom(x)


def _statement_help(x: Any) -> str:
    if isinstance(x, Word):
        return f"write `{x.name}(…)`: a fact has its columns in parentheses"
    return ""


def _literal(x: Any) -> s.Literal:
    """What a body literal is, by its outermost node."""
    match x:
        case Apply("due", (s.Argument(time, None),)):
            return s.Due(time, span=x.span)
        case Apply():
            return _atom(x)
        case s.Unary("not", Apply("due", (s.Argument(time, None),))):
            return s.Due(time, True, span=x.span)
        case s.Unary("not", Apply() as call):
            return s.Negation(_atom(call), span=x.span)
        case s.Binary("=", left, right):
            return s.Unification(left, right, span=x.span)
        case s.Binary("in", left, right):
            return s.Membership(None, left, right, span=x.span)
        case s.Membership() | s.Aggregate():
            return x
        case _:
            value = _value(x)
            return s.Test(value, span=value.span)
