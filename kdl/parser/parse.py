"""Text to syntax tree.

The grammar is in grammar.lark. A text with a syntax error has no tree: the functions in here raise `ProgramError` with
one diagnostic, the first mistake.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from lark import Lark, Token, Transformer, Tree, UnexpectedCharacters, UnexpectedEOF, UnexpectedInput
from lark.exceptions import VisitError

from kdl.fact import FALSE, TRUE
from kdl.parser import syntax as s
from kdl.parser.diagnostic import Diagnostic, ProgramError, Span
from kdl.parser.quantity import LITERALS


class Comment(NamedTuple):
    """A comment as written, with its ``#``; `line` and `column` count from 1."""

    line: int
    column: int
    text: str


def parse(text: str, file: str = "<text>") -> s.File:
    """The syntax tree of a program text. Raises `ProgramError`."""
    tree = _read(text, file, "start")
    assert isinstance(tree, s.File)
    return _with_docs(tree, comments(text), text)


def parse_query(text: str, file: str = "<query>") -> tuple[s.Literal, ...]:
    """The literals of a query, ``path(1, X), not edge(1, X)``; an end dot is optional. Raises `ProgramError`."""
    stripped = text.rstrip()
    body: tuple[s.Literal, ...] = _read(stripped.removesuffix("."), file, "body")
    return body


def parse_atom(text: str, file: str = "<goal>") -> s.Atom:
    """One atom, ``sched.bind(P, "n1")``. Raises `ProgramError`."""
    match parse_query(text, file):
        case (s.Atom() as atom,):
            return atom
        case body:
            mistake = Diagnostic("KDL103", 'expected one fact, such as `pod("web", N)`', body[0].span)
            raise ProgramError([mistake], {file: text})


def comments(text: str) -> list[Comment]:
    """Every comment of a program text, in order."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        for match in _STRING_OR_COMMENT.finditer(line):
            if match[0].startswith("#"):
                found.append(Comment(number, match.start() + 1, match[0].rstrip()))
    return found


_STRING_OR_COMMENT: Final = re.compile(r'"(?:\\.|[^"\\])*"|#.*')


@cache
def _lark(start: str) -> Lark:
    grammar = files("kdl.parser").joinpath("grammar.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", start=start, propagate_positions=True, maybe_placeholders=True)


def _read(text: str, file: str, start: str, at: tuple[int, int] = (1, 1)) -> Any:
    """Parse; `at` is the line and column of the text's first character in its file (f-strings have expressions)."""
    try:
        return _Builder(file, at).transform(_lark(start).parse(text))
    except UnexpectedInput as error:
        raise ProgramError([_syntax_error(error, text, file, at)], {file: text}) from None
    except VisitError as error:
        if isinstance(error.orig_exc, ProgramError):
            raise ProgramError(error.orig_exc.diagnostics, {file: text}) from None
        raise


# --- syntax errors ---------------------------------------------------------------------------------------------------

_WORDS: Final = {
    "END": "the end dot", "LOWER": "a name", "UPPER": "a variable", "STRING": "a string", "COMPARE": "a comparison",
    "EQUALS": "`=`", "LPAR": "`(`", "RPAR": "`)`", "LBRACE": "`{`", "RBRACE": "`}`", "LSQB": "`[`", "RSQB": "`]`",
    "COMMA": "`,`", "COLON": "`:`", "REL": "`rel`", "__ANON_0": "`:-`", "FIELD": "a field name", "IN": "`in`",
}  # fmt: skip


def _syntax_error(error: UnexpectedInput, text: str, file: str, at: tuple[int, int]) -> Diagnostic:
    if isinstance(error, UnexpectedEOF) or getattr(getattr(error, "token", None), "type", "") == "$END":
        lines = text.rstrip().split("\n")
        span = _span(file, at, len(lines), len(lines[-1]) + 1, len(lines), len(lines[-1]) + 2)
        return Diagnostic("KDL101", "the text ends in the middle of a statement", span, help=_end_help(text))
    token = getattr(error, "token", None)
    width = len(str(token)) if token is not None else 1
    span = _span(file, at, error.line, error.column, error.line, error.column + width)
    if isinstance(error, UnexpectedCharacters):
        found = text[error.pos_in_stream] if error.pos_in_stream is not None else "?"
        if found == '"':
            return Diagnostic("KDL102", "this string has no closing quote on its line", span)
        expected = set(error.allowed or ())
    else:
        found, expected = str(token), set(getattr(error, "expected", ()) or ())
    known = sorted({_WORDS[name] for name in expected if name in _WORDS})
    label = f"expected {known[0]}" if len(known) == 1 else ""
    help_text = ""
    if "END" in expected and token is not None and token.type in ("LOWER", "REL", "UPPER", "MODIFIER"):
        help_text = "end the statement before this with a dot"
    elif "END" in expected and found == ".":
        help_text = "an end dot is followed by white space"
    elif found == "'":
        help_text = "strings are written with double quotes"
    elif found in ("==", "&&", "||", "!", "|", "&", ";"):
        help_text = "literals are joined with `,`, alternatives are rules of their own; equality is `=`, negation `not`"
    return Diagnostic("KDL100", f"`{found}` cannot stand here", span, label, help=help_text)


def _end_help(text: str) -> str:
    opened = [pair for pair in ("()", "[]", "{}") if text.count(pair[0]) > text.count(pair[1])]
    return f"close the `{opened[0][0]}`" if opened else "every declaration and every rule ends with a dot"


def _span(file: str, at: tuple[int, int], line: int, column: int, end_line: int, end_column: int) -> Span:
    first_line, first_column = at
    return Span(
        file,
        line + first_line - 1,
        column + (first_column - 1 if line == 1 else 0),
        end_line + first_line - 1,
        end_column + (first_column - 1 if end_line == 1 else 0),
    )


# --- the tree --------------------------------------------------------------------------------------------------------


class _Word(NamedTuple):
    """A bare lower-case word, legal only as (part of) the name of a call."""

    name: str
    span: Span


class _Apply(NamedTuple):
    """A call before it is known whether it is an atom or a function's."""

    name: str
    arguments: tuple[s.Argument, ...]
    span: Span
    name_span: Span


def _mistake(code: str, message: str, span: Span, help: str = "") -> ProgramError:
    return ProgramError([Diagnostic(code, message, span, help=help)])


_ESCAPE: Final = re.compile(r'\\(["\\/nt]|u\{[0-9a-fA-F]{1,6}\}|.)')


class _Builder(Transformer[Token, Any]):
    """One method per rule of the grammar; each gets its children and the place they came from."""

    def __init__(self, file: str, at: tuple[int, int]) -> None:
        super().__init__()
        self.file, self.at = file, at

    def _call_userfunc(self, tree: Tree[Token], new_children: list[Any] | None = None) -> Any:
        items = tree.children if new_children is None else new_children
        meta = tree.meta
        span = s.NOWHERE if meta.empty else _span(
            self.file, self.at, meta.line, meta.column, meta.end_line, meta.end_column
        )
        try:
            return getattr(self, tree.data)(span, items)
        except ProgramError as error:
            raise VisitError(tree.data, tree, error) from None

    def _token_span(self, token: Token) -> Span:
        return _span(self.file, self.at, token.line or 1, token.column or 1, token.end_line or 1, token.end_column or 1)

    def _name(self, token: Token) -> str:
        return str(token)

    # statements

    def start(self, span: Span, items: list[Any]) -> s.File:
        return s.File(self.file, tuple(items), span=span)

    def module(self, span: Span, items: list[Any]) -> s.ModuleName:
        return s.ModuleName(str(items[0]), span=span)

    def import_module(self, span: Span, items: list[Any]) -> s.Import:
        return s.Import(str(items[0]), span=span)

    def import_names(self, span: Span, items: list[Any]) -> s.Import:
        return s.Import(str(items[0]), tuple(map(str, items[1:-1])), span=span)

    def type_declaration(self, span: Span, items: list[Any]) -> s.TypeDeclaration:
        return s.TypeDeclaration(str(items[0]), str(items[1]), span=span)

    def relation_declaration(self, span: Span, items: list[Any]) -> s.RelationDeclaration:
        modifiers = [str(item) for item in items if isinstance(item, Token) and item.type == "MODIFIER"]
        name, columns, key, observes, _ = items[len(modifiers):]
        return s.RelationDeclaration(
            str(name), columns, frozenset(modifiers), key or (), observes, span=span
        )

    def columns(self, span: Span, items: list[Any]) -> tuple[s.Column, ...]:
        return tuple(item for item in items if isinstance(item, s.Column))

    def column(self, span: Span, items: list[Any]) -> s.Column:
        return s.Column(str(items[0]), items[1], span=span)

    def key(self, span: Span, items: list[Any]) -> tuple[str, ...]:
        return tuple(map(str, items))

    def observes(self, span: Span, items: list[Any]) -> str:
        return str(items[0])

    def name(self, span: Span, items: list[Any]) -> str:
        return ".".join(str(item) for item in items if item.type != "DOT")

    def parameters(self, span: Span, items: list[Any]) -> tuple[str, ...]:
        return tuple(str(item) for item in items if isinstance(item, Token) and item.type == "UPPER")

    def function_declaration(self, span: Span, items: list[Any]) -> s.FunctionDeclaration:
        return s.FunctionDeclaration(str(items[0]), items[1], self._value(items[2]), span=span)

    def sentence(self, span: Span, items: list[Any]) -> tuple[str, s.Expression]:
        return str(items[0]), items[1]

    def rule(self, span: Span, items: list[Any]) -> s.Rule:
        sentences = dict(item for item in items if type(item) is tuple and len(item) == 2 and item[0] in ("@why", "@whynot"))
        head, body, _ = items[len([i for i in items if type(i) is tuple and len(i) == 2 and i[0] in ("@why", "@whynot")]):]
        if not isinstance(head, _Apply):
            raise _mistake("KDL104", "a statement begins with a fact such as `pod(P, N)`", _place(head))
        return s.Rule(self._atom(head), body or (), "", sentences.get("@why"), sentences.get("@whynot"), span=span)

    def test_case(self, span: Span, items: list[Any]) -> s.TestCase:
        return s.TestCase(_unquote(items[0]), tuple(items[1:]), span=span)

    def load(self, span: Span, items: list[Any]) -> s.Step:
        return s.Step("load", (), self.string(span, items[:1]), span=span)

    def given(self, span: Span, items: list[Any]) -> s.Step:
        return s.Step(str(items[0]), (self._only_atom(items[1]),), span=span)  # type: ignore[arg-type]

    def advance(self, span: Span, items: list[Any]) -> s.Step:
        return s.Step("advance", (), self._value(items[0]), span=span)

    def expect(self, span: Span, items: list[Any]) -> s.Step:
        return s.Step("expect", items[0], span=span)

    def expect_explain(self, span: Span, items: list[Any]) -> s.Step:
        return s.Step(f"expect {items[0]}", (self._only_atom(items[1]),), items[2], span=span)  # type: ignore[arg-type]

    # literals

    def body(self, span: Span, items: list[Any]) -> tuple[s.Literal, ...]:
        return tuple(map(self._literal, items))

    def _literal(self, x: Any) -> s.Literal:
        """What a body literal is, by its outermost node."""
        match x:
            case _Apply("due", (s.Argument(time, None),)):
                return s.Due(time, span=x.span)
            case _Apply():
                return self._atom(x)
            case s.Unary("not", _Apply("due", (s.Argument(time, None),))):
                return s.Due(time, True, span=x.span)
            case s.Unary("not", _Apply() as call):
                return s.Negation(self._atom(call), span=x.span)
            case s.Binary("=", left, right):
                return s.Unification(self._value(left), self._value(right), span=x.span)
            case s.Binary("in", left, right):
                return s.Membership(None, self._value(left), self._value(right), span=x.span)
            case s.Membership() | s.Aggregate():
                return x
            case _:
                return s.Test(self._value(x), span=_place(x))

    def aggregate(self, span: Span, items: list[Any]) -> s.Aggregate:
        pattern, function, value, body, _, default = items
        if (value is None) != (function == "count"):
            needs = "takes no value" if function == "count" else "needs a value, as in `sum Q : { … }`"
            raise _mistake("KDL105", f"`{function}` {needs}", span)
        value = None if value is None else self._value(value)
        default = None if default is None else self._value(default)
        return s.Aggregate(self._value(pattern), str(function), value, body, default, span=span)  # type: ignore[arg-type]

    def keyed_membership(self, span: Span, items: list[Any]) -> s.Membership:
        return s.Membership(self._value(items[0]), self._value(items[1]), self._value(items[2]), span=span)

    def membership(self, span: Span, items: list[Any]) -> s.Binary:
        return s.Binary("in", items[0], items[1], span=span)

    # expressions: children may still be words and calls, which `_value` turns into expressions or mistakes

    def _value(self, x: Any) -> Any:
        match x:
            case _Word(name, span):
                raise _mistake(
                    "KDL106", f"`{name}` is a bare word", span, f'write "{name}" for the text, or `{name[0].upper()}{name[1:]}` for a variable'
                )
            case _Apply(name, arguments, span, _):
                for argument in arguments:
                    if argument.column is not None:
                        raise _mistake("KDL107", f"`{name}` is used as a function here and takes no named arguments", argument.span)
                return s.Call(name, tuple(argument.value for argument in arguments), span=span)
            case s.Binary(operator, left, right):
                return s.Binary(operator, self._value(left), self._value(right), span=x.span)
            case s.Unary(operator, operand):
                return s.Unary(operator, self._value(operand), span=x.span)
            case _:
                return x

    def _binary(self, span: Span, operator: str, left: Any, right: Any) -> s.Binary:
        return s.Binary(operator, left, right, span=span)  # type: ignore[arg-type]

    def either(self, span: Span, items: list[Any]) -> s.Binary:
        return self._binary(span, "or", self._value(items[0]), self._value(items[1]))

    def both(self, span: Span, items: list[Any]) -> s.Binary:
        return self._binary(span, "and", self._value(items[0]), self._value(items[1]))

    def inversion(self, span: Span, items: list[Any]) -> s.Unary:
        return s.Unary("not", items[0], span=span)

    def compare(self, span: Span, items: list[Any]) -> s.Binary:
        return self._binary(span, str(items[1]), items[0], items[2])

    def range(self, span: Span, items: list[Any]) -> s.Range:
        return s.Range(self._value(items[0]), self._value(items[1]), span=span)

    def conditional(self, span: Span, items: list[Any]) -> s.Conditional:
        return s.Conditional(*map(self._value, items), span=span)

    def default(self, span: Span, items: list[Any]) -> s.Default:
        return s.Default(self._value(items[0]), self._value(items[2]), span=span)

    def arithmetic(self, span: Span, items: list[Any]) -> s.Binary:
        return self._binary(span, str(items[1]), self._value(items[0]), self._value(items[2]))

    def negative(self, span: Span, items: list[Any]) -> s.Expression:
        operand = self._value(items[1])
        if isinstance(operand, s.Constant) and operand.text is None and isinstance(operand.value, (int, Decimal)):
            return s.Constant(-operand.value, span=span)
        return s.Unary("-", operand, span=span)

    def field(self, span: Span, items: list[Any]) -> Any:
        base, _, name = items
        if isinstance(base, _Word):
            return _Word(f"{base.name}.{name}", span)
        return self._path(span, base, s.Constant(str(name), span=self._token_span(name)))

    def index(self, span: Span, items: list[Any]) -> s.Path:
        return self._path(span, items[0], self._value(items[1]))

    def _path(self, span: Span, base: Any, step: s.Expression) -> s.Path:
        if isinstance(base, s.Path):
            return s.Path(base.base, (*base.steps, step), span=span)
        return s.Path(self._value(base), (step,), span=span)

    def call(self, span: Span, items: list[Any]) -> _Apply:
        callee, *arguments = items
        if not isinstance(callee, _Word):
            raise _mistake("KDL108", "only a name can be called", _place(callee))
        return _Apply(callee.name, tuple(self._argument(item) for item in arguments if item is not None and not isinstance(item, Token)), span, callee.span)

    def _argument(self, x: Any) -> s.Argument:
        return x if isinstance(x, s.Argument) else s.Argument(self._value(x), span=_place(x))

    def named(self, span: Span, items: list[Any]) -> s.Argument:
        return s.Argument(self._value(items[1]), str(items[0]), span=span)

    def _atom(self, x: _Apply) -> s.Atom:
        return s.Atom(x.name, x.arguments, x.name_span, span=x.span)

    def _only_atom(self, x: Any) -> s.Atom:
        if not isinstance(x, _Apply):
            raise _mistake("KDL103", 'expected one fact, such as `pod("web", N)`', _place(x))
        return self._atom(x)

    def integer(self, span: Span, items: list[Any]) -> s.Constant:
        return s.Constant(int(items[0].replace("_", "")), span=span)

    def decimal(self, span: Span, items: list[Any]) -> s.Constant:
        number = Decimal(items[0].replace("_", ""))
        return s.Constant(int(number) if number == int(number) else number.normalize(), span=span)

    def string(self, span: Span, items: list[Any]) -> s.Constant:
        return s.Constant(_unquote(items[0]), span=span)

    def quantity(self, span: Span, items: list[Any]) -> s.Constant:
        kind, _, rest = items[0].partition('"')
        try:
            return s.Constant(LITERALS[kind](rest[:-1]), str(items[0]), span=span)
        except ValueError as error:
            raise _mistake("KDL109", str(error), span) from None

    def true(self, span: Span, items: list[Any]) -> s.Constant:
        return s.Constant(TRUE, span=span)

    def false(self, span: Span, items: list[Any]) -> s.Constant:
        return s.Constant(FALSE, span=span)

    def null(self, span: Span, items: list[Any]) -> s.Constant:
        return s.Constant(None, span=span)

    def variable(self, span: Span, items: list[Any]) -> s.Variable:
        return s.Variable(str(items[0]), span=span)

    def wildcard(self, span: Span, items: list[Any]) -> s.Wildcard:
        return s.Wildcard(span=span)

    def word(self, span: Span, items: list[Any]) -> _Word:
        return _Word(str(items[0]), span)

    def group(self, span: Span, items: list[Any]) -> Any:
        inner = self._value(items[0])
        if isinstance(inner, s.Binary) and inner.operator in ("=", "in"):
            return s.Unary("not", s.Unary("not", inner, span=span), span=span)  # a test, not a binding
        return inner

    def tuple(self, span: Span, items: list[Any]) -> s.Tuple:
        return s.Tuple(self._items(items), span=span)

    def array(self, span: Span, items: list[Any]) -> s.Tuple:
        return s.Tuple(self._items(items), True, span=span)

    def _items(self, items: list[Any]) -> tuple[s.Expression, ...]:
        return tuple(self._value(item) for item in items if item is not None and not isinstance(item, Token))

    def record(self, span: Span, items: list[Any]) -> s.Record:
        return s.Record(tuple(item for item in items if type(item) is tuple), span=span)

    def member(self, span: Span, items: list[Any]) -> tuple[s.Expression, s.Expression]:
        return self._value(items[0]), self._value(items[1])

    def format(self, span: Span, items: list[Any]) -> s.Format:
        return s.Format(tuple(self._format_parts(items[0])), span=span)

    def _format_parts(self, token: Token) -> list[s.Expression]:
        text = str(token)[2:-1]
        parts: list[s.Expression] = []
        literal, position = "", 0
        while position < len(text):
            two, one = text[position:position + 2], text[position]
            if two in ("{{", "}}"):
                literal, position = literal + one, position + 2
            elif one == "\\":
                literal, position = literal + two, position + 2
            elif one == "{":
                end = _closing_brace(text, position)
                if end < 0:
                    raise _mistake("KDL110", "a `{` in this text is not closed", self._token_span(token), "write `{{` for a brace itself")
                if literal:
                    parts.append(s.Constant(_unescape(literal, self._token_span(token))))
                    literal = ""
                column = (token.column or 1) + 2 + position + 1
                line = token.line or 1
                at = (line + self.at[0] - 1, column + (self.at[1] - 1 if line == 1 else 0))
                body = _read(text[position + 1:end], self.file, "body", at)
                if len(body) != 1 or not isinstance(body[0], (s.Test, s.Atom)):
                    raise _mistake("KDL110", "only a value can stand in braces", self._token_span(token))
                one_literal = body[0]
                if isinstance(one_literal, s.Atom):
                    parts.append(s.Call(one_literal.relation, tuple(a.value for a in one_literal.arguments), span=one_literal.span))
                else:
                    parts.append(one_literal.condition)
                position = end + 1
            elif one == "}":
                raise _mistake("KDL110", "a `}` in this text was not opened", self._token_span(token), "write `}}` for a brace itself")
            else:
                literal, position = literal + one, position + 1
        if literal:
            parts.append(s.Constant(_unescape(literal, self._token_span(token))))
        return parts


def _closing_brace(text: str, start: int) -> int:
    depth = 0
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return -1


def _place(x: Any) -> Span:
    span: Span = x.span
    return span


def _unquote(token: Token) -> str:
    return _unescape(str(token)[1:-1], s.NOWHERE)


def _unescape(text: str, span: Span) -> str:
    def character(match: re.Match[str]) -> str:
        found = match[1]
        if found.startswith("u{") and len(found) > 2:
            code = int(found[2:-1], 16)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise _mistake("KDL111", f"`\\{found}` is not a character", span)
            return chr(code)
        if found not in '"\\/nt':
            raise _mistake("KDL111", f"`\\{found}` is not an escape", span, 'the escapes are \\" \\\\ \\n \\t \\u{1F600}')
        return {"n": "\n", "t": "\t"}.get(found, found)

    return _ESCAPE.sub(character, text)


# --- doc comments ----------------------------------------------------------------------------------------------------


def _with_docs(tree: s.File, found: list[Comment], text: str) -> s.File:
    """The file with each `##` block given to the declaration or rule that begins on the line after it."""
    blocks = {comment.line: comment.text[2:].strip() for comment in found if comment.text.startswith("##")}
    statements = []
    for statement in tree.statements:
        if isinstance(statement, (s.TypeDeclaration, s.RelationDeclaration, s.FunctionDeclaration, s.Rule)):
            lines = []
            line = statement.span.line - 1
            while line in blocks:
                lines.append(blocks[line])
                line -= 1
            if lines:
                statement = replace(statement, doc="\n".join(reversed(lines)))
        statements.append(statement)
    return replace(tree, statements=tuple(statements))
