"""Names: what is declared, what each written name means, every atom with all its columns in order.

After this stage relations, functions and types have qualified names, and a call at the top of a body literal is known
to be an atom or a function's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Final

from kdl.parser import syntax as s
from kdl.parser.diagnostic import Note, Span
from kdl.rules.builtin import BUILTINS
from kdl.rules.draft import Draft, Mistake, did_you_mean, nearest
from kdl.rules.program import FAULT, Program, Relation

TYPES: Final = ("str", "int", "bool", "time", "json", "any")

FUNCTIONS: Final = tuple(name for name in BUILTINS if not name.startswith("$"))

FAULTS: Final = Relation(
    FAULT,
    (s.Column("rule", "str"), s.Column("message", "str")),
    doc="A literal of the rule was given something outside its domain.",
    types=("str", "str"),
)


@dataclass(slots=True)
class Scope:
    """What names mean in one file (or query): its module, what it imports, and all that is declared."""

    module: str
    relations: Mapping[str, Relation]
    functions: Mapping[str, s.FunctionDeclaration]
    types: Mapping[str, str]
    modules: frozenset[str]
    imports: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    """Unqualified names of relations and functions: the module's own and those imported by name."""
    type_names: dict[str, str] = field(default_factory=dict)
    everywhere: bool = False
    """A query or a test: every module may be named, and an unqualified name may be the only one of its kind."""

    def find(self, written: str) -> str | None:
        """The qualified name of a relation or function; None when nothing visible has that name."""
        if "." not in written:
            if written in self.names:
                return self.names[written]
            if self.everywhere:
                same = [name for name in (*self.relations, *self.functions) if name.rpartition(".")[2] == written]
                return same[0] if len(same) == 1 else None
            return None
        module = written.rpartition(".")[0]
        visible = self.everywhere or module in self.imports or module in (self.module, "kdl")
        return written if visible and (written in self.relations or written in self.functions) else None

    def unknown(self, written: str, what: str, code: str, span: Span, known: Iterable[str]) -> Mistake:
        """Why nothing visible has the written name, and what may have been meant."""
        module, _, last = written.rpartition(".")
        declared = (*self.relations, *self.functions)
        if module and module not in self.modules:
            return Mistake("KDL201", f"there is no module `{module}`", span, help=did_you_mean(module, self.modules))
        if module and module not in self.imports and module != self.module and not self.everywhere:
            return Mistake("KDL202", f"module `{module}` is not imported", span, help=f"add `import {module}.`")
        if module:
            near = did_you_mean(written, (name for name in declared if name.startswith(f"{module}.")))
            return Mistake(code, f"module `{module}` has no {what} `{last}`", span, help=near)
        same = sorted(name for name in declared if name.rpartition(".")[2] == written)
        if len(same) > 1 and self.everywhere:
            listed = ", ".join(f"`{name}`" for name in same)
            return Mistake(code, f"`{written}` may be any of {listed}", span, help="write the name with its module")
        if same:
            home = same[0].rpartition(".")[0]
            offer = f"write `{same[0]}`" + ("" if home in self.imports else f" and add `import {home}.`")
            return Mistake("KDL202", f"`{written}` is not imported", span, help=offer)
        offers = {name: name for name in known}
        if self.everywhere:
            offers |= {name.rpartition(".")[2]: name for name in declared}
        near = "".join(f"did you mean `{offers[word]}`?" for word in nearest(written, offers))
        return Mistake(code, f"there is no {what} `{written}`", span, help=near)


def resolve(draft: Draft) -> None:
    """Declare what all files declare, then resolve what their rules and tests name."""
    homes = [(file, _module_of(file, draft)) for file in draft.files]
    draft.relations[FAULT] = FAULTS
    draft.modules.setdefault("", "")
    for file, module in homes:
        _declare(file, module, draft)
    draft.stop_at_mistakes()
    modules = frozenset(draft.modules) | {"kdl"}
    scopes = [
        Scope(module, draft.relations, draft.functions, draft.types, modules, everywhere=is_test_file(file.name))
        for file, module in homes
    ]
    for (file, module), scope in zip(homes, scopes, strict=True):
        _import(file, module, scope, draft)
    draft.stop_at_mistakes()
    for (file, module), scope in zip(homes, scopes, strict=True):
        _complete_declarations(file, module, scope, draft)
    draft.stop_at_mistakes()
    for (file, _), scope in zip(homes, scopes, strict=True):
        _resolve_statements(file, scope, draft)
        draft.scope.setdefault(scope.module, {}).update(scope.names)


def is_test_file(name: str) -> bool:
    """``sched_test.dl`` holds tests alone; they speak from inside the module that they name, if any."""
    return PurePath(name).name.endswith("_test.dl")


# --- declarations ----------------------------------------------------------------------------------------------------


def _module_of(file: s.File, draft: Draft) -> str:
    found: s.ModuleName | None = None
    for index, statement in enumerate(file.statements):
        if not isinstance(statement, s.ModuleName):
            continue
        with draft.statement():
            if found is not None:
                raise Mistake("KDL210", "a file is one module", statement.span, notes=[Note("it is named", found.span)])
            if index:
                raise Mistake("KDL210", "`module` is the first statement of a file", statement.span)
            if statement.name == "kdl":
                raise Mistake("KDL216", "the module `kdl` is the language's own", statement.span)
            if statement.name in draft.modules and not is_test_file(file.name):
                message = f"module `{statement.name}` is in two files"
                raise Mistake("KDL210", message, statement.span, help="one module is one file: rename one of them")
            found = statement
            if not is_test_file(file.name):
                draft.modules[statement.name] = statement.doc
    return found.name if found else ""


def qualified(module: str, name: str) -> str:
    """The name with its module; bare in a file that names no module."""
    return f"{module}.{name}" if module else name


def _declare(file: s.File, module: str, draft: Draft) -> None:
    for statement in file.statements:
        with draft.statement():
            match statement:
                case s.RelationDeclaration() | s.FunctionDeclaration() | s.TypeDeclaration():
                    if is_test_file(file.name):
                        raise Mistake("KDL406", "a test file holds tests alone", statement.span)
                    _declare_one(statement, qualified(module, statement.name), draft)
                case s.Rule() if is_test_file(file.name):
                    help = "say what a test assumes with `given`"
                    raise Mistake("KDL406", "a test file holds tests alone", statement.span, help=help)
                case _:
                    pass


def _declare_one(
    statement: s.RelationDeclaration | s.FunctionDeclaration | s.TypeDeclaration, name: str, draft: Draft
) -> None:
    if isinstance(statement, s.TypeDeclaration):
        if statement.name in TYPES:
            raise Mistake("KDL216", f"`{statement.name}` is a built-in type", statement.span)
        if name in draft.types:
            raise Mistake("KDL206", f"type `{statement.name}` is declared twice", statement.span)
        draft.types[name] = statement.base
        return
    before: Relation | s.FunctionDeclaration | None = draft.relations.get(name) or draft.functions.get(name)
    if before is not None:
        notes = [Note("it is declared", before.span)]
        raise Mistake("KDL206", f"`{statement.name}` is declared twice", statement.span, notes=notes)
    if statement.name in ("due", "fault"):
        raise Mistake("KDL216", f"`{statement.name}` is a word of the language", statement.span)
    if isinstance(statement, s.FunctionDeclaration):
        if statement.name in BUILTINS:
            help = f"call it something else, such as `my_{statement.name}`"
            raise Mistake("KDL216", f"`{statement.name}` is a built-in function", statement.span, help=help)
        draft.functions[name] = statement
        return
    draft.relations[name] = Relation(
        name,
        statement.columns,
        "input" in statement.modifiers,
        "open" in statement.modifiers,
        "effect" in statement.modifiers,
        doc=statement.doc,
        span=statement.span,
    )


def _import(file: s.File, module: str, scope: Scope, draft: Draft) -> None:
    own = (*draft.relations, *draft.functions)
    scope.names.update({name.rpartition(".")[2]: name for name in own if name.rpartition(".")[0] == module})
    scope.type_names.update(
        {name.rpartition(".")[2]: name for name in draft.types if name.rpartition(".")[0] == module}
    )
    for statement in file.statements:
        if not isinstance(statement, s.Import):
            continue
        with draft.statement():
            if statement.module not in scope.modules:
                help = did_you_mean(statement.module, scope.modules)
                raise Mistake("KDL201", f"there is no module `{statement.module}`", statement.span, help=help)
            if not statement.names:
                scope.imports.add(statement.module)
            for name in statement.names:
                full = f"{statement.module}.{name}"
                found = False
                if full in draft.types:
                    scope.type_names[name], found = full, True
                if full in draft.relations or full in draft.functions:
                    if scope.names.get(name, full) != full:
                        raise Mistake("KDL206", f"`{name}` already means `{scope.names[name]}` here", statement.span)
                    scope.names[name], found = full, True
                if not found:
                    known = [item.rpartition(".")[2] for item in own if item.startswith(f"{statement.module}.")]
                    message = f"module `{statement.module}` has no `{name}`"
                    raise Mistake("KDL200", message, statement.span, help=did_you_mean(name, known))


def _type(written: str, scope: Scope, span: Span) -> str:
    if written in TYPES:
        return written
    if "." in written:
        module = written.rpartition(".")[0]
        if written in scope.types and (module in scope.imports or module == scope.module):
            return written
        if written in scope.types:
            raise Mistake("KDL202", f"module `{module}` is not imported", span, help=f"add `import {module}.`")
    elif written in scope.type_names:
        return scope.type_names[written]
    raise Mistake(
        "KDL205",
        f"there is no type `{written}`",
        span,
        help=did_you_mean(written, (*TYPES, *scope.type_names)) or "the types are " + ", ".join(TYPES),
    )


def _complete_declarations(file: s.File, module: str, scope: Scope, draft: Draft) -> None:
    """Types, keys and observed relations: what may name something that is declared later."""
    for statement in file.statements:
        with draft.statement():
            if isinstance(statement, s.TypeDeclaration) and statement.base not in TYPES:
                near = did_you_mean(statement.base, TYPES)
                raise Mistake("KDL205", f"there is no built-in type `{statement.base}`", statement.span, help=near)
            if isinstance(statement, s.RelationDeclaration):
                name = qualified(module, statement.name)
                draft.relations[name] = _complete(statement, draft.relations[name], scope)


def _complete(statement: s.RelationDeclaration, relation: Relation, scope: Scope) -> Relation:
    written = statement.name
    names = [column.name for column in statement.columns]
    for index, column in enumerate(statement.columns):
        if column.name in names[:index]:
            raise Mistake("KDL206", f"column `{column.name}` of `{written}` is declared twice", column.span)
    if {"input", "open"} <= statement.modifiers or {"input", "effect"} <= statement.modifiers:
        other = "open" if "open" in statement.modifiers else "effect"
        message = f"`{written}` cannot be `input` and `{other}`: no rule derives an input"
        raise Mistake("KDL217", message, statement.span, help="leave out one of the two words")
    types = tuple(_type(column.type, scope, column.span) for column in statement.columns)
    if relation.effect and not statement.key:
        help = f"write `effect rel {written}(…) key({names[0] if names else '…'}).`"
        raise Mistake("KDL401", f"effect relation `{written}` has no key", statement.span, help=help)
    if statement.observes and not relation.effect:
        raise Mistake("KDL407", "only an effect relation observes another", statement.span, help="write `effect rel`")
    for column_name in statement.key:
        if column_name not in names:
            message = f"`{written}` has no column `{column_name}` to be its key"
            raise Mistake("KDL402", message, statement.span, help=did_you_mean(column_name, names))
    observes = _observed(statement, scope) if statement.observes else None
    columns = tuple(
        replace(column, type=scope.types.get(kind, kind)) for column, kind in zip(statement.columns, types, strict=True)
    )
    key = tuple(names.index(column_name) for column_name in statement.key)
    return replace(relation, columns=columns, types=types, key=key, observes=observes)


def _observed(statement: s.RelationDeclaration, scope: Scope) -> str:
    written = statement.observes or ""
    name = scope.find(written)
    if name is None or name not in scope.relations:
        known = (*scope.names, *(item for item in scope.relations if item.rpartition(".")[0] in scope.imports))
        raise scope.unknown(written, "relation", "KDL403", statement.span, known)
    columns = [column.name for column in scope.relations[name].columns]
    missing = [column for column in (*statement.key, "hash") if column not in columns]
    if missing:
        message = f"`{written}` has no column `{missing[0]}`, by which `{statement.name}` is compared with it"
        notes = [Note(f"`{written}` is declared", scope.relations[name].span)]
        help = "an observed relation has the key columns and `hash: str`"
        raise Mistake("KDL404", message, statement.span, notes=notes, help=help)
    return name


# --- rules and tests -------------------------------------------------------------------------------------------------


def _resolve_statements(file: s.File, scope: Scope, draft: Draft) -> None:
    for statement in file.statements:
        with draft.statement():
            match statement:
                case s.Rule():
                    draft.rules.append(resolve_rule(statement, scope))
                case s.FunctionDeclaration():
                    name = qualified(scope.module, statement.name)
                    draft.functions[name] = replace(statement, body=_expression(statement.body, scope))
                case s.TestCase():
                    inside = replace(scope, everywhere=True)
                    draft.tests.append(replace(statement, steps=tuple(_step(step, inside) for step in statement.steps)))
                case _:
                    pass


def resolve_rule(rule: s.Rule, scope: Scope) -> s.Rule:
    """The rule with every name resolved. Raises `Mistake`."""
    relation = _relation(rule.head, scope)
    written = rule.head.relation
    if relation.name == FAULT or relation.input:
        what = "an input: it is asserted from outside" if relation.input else "the language's own"
        notes = [Note(f"`{written}` is declared", relation.span)] if relation.input else []
        help = f"derive a relation of your own, or declare `{written}` without `input`" if relation.input else ""
        raise Mistake("KDL211", f"`{written}` is {what}", rule.head.name_span, notes=notes, help=help)
    home = relation.name.rpartition(".")[0]
    if home != scope.module and not relation.open:
        message = f"`{written}` is closed: only module `{home}` has rules for it"
        notes = [Note("it is declared", relation.span)]
        help = "declare it `open rel` to let other modules add rules"
        raise Mistake("KDL212", message, rule.head.name_span, notes=notes, help=help)
    return replace(
        rule,
        head=_atom(rule.head, relation, scope, head=True),
        body=resolve_body(rule.body, scope),
        why=rule.why and _expression(rule.why, scope),
        whynot=rule.whynot and _expression(rule.whynot, scope),
    )


def resolve_body(body: Iterable[s.Literal], scope: Scope) -> tuple[s.Literal, ...]:
    """Body literals with every name resolved. Raises `Mistake`."""
    return tuple([_literal(literal, scope) for literal in body])


def resolve_goal(atom: s.Atom, scope: Scope) -> s.Atom:
    """One atom of a relation, with every column; raises `Mistake`."""
    return _atom(atom, _relation(atom, scope), scope)


def query_scope(program: Program, module: str | None) -> Scope:
    """The scope of a query: inside a module when one is named."""
    modules = frozenset(program.modules) | {"kdl"}
    scope = Scope(module or "", program.relations, program.functions, program.types, modules, everywhere=True)
    scope.names.update(program.scope.get(module or "", {}))
    return scope


def _step(step: s.Step, scope: Scope) -> s.Step:
    argument = step.argument and _expression(step.argument, scope)
    body = resolve_body(step.body, scope)
    if step.action in ("given", "remove", "expect why", "expect whynot") and not isinstance(body[0], s.Atom):
        raise Mistake("KDL214", "a fact of a relation is needed here, not a function", body[0].span)
    if step.action == "given":
        wild = next((item for item in s.walk(body[0]) if isinstance(item, (s.Wildcard, s.Variable))), None)
        if wild is not None:
            raise Mistake("KDL405", "`given` needs a whole fact: every column a value", step.span)
    return replace(step, body=body, argument=argument)


def _literal(literal: s.Literal, scope: Scope) -> s.Literal:
    match literal:
        case s.Atom():
            if _is_function(literal.relation, scope):
                return s.Test(_call(literal, scope), span=literal.span)
            return _atom(literal, _relation(literal, scope), scope)
        case s.Negation(atom):
            if _is_function(atom.relation, scope):
                return s.Test(s.Unary("not", _call(atom, scope), span=literal.span), span=literal.span)
            return replace(literal, atom=_atom(atom, _relation(atom, scope), scope))
        case s.Aggregate():
            return replace(
                literal,
                pattern=_expression(literal.pattern, scope, pattern=True),
                value=literal.value and _expression(literal.value, scope),
                body=resolve_body(literal.body, scope),
                default=literal.default and _expression(literal.default, scope),
            )
        case s.Unification(pattern, value):
            return replace(
                literal,
                pattern=_expression(pattern, scope, pattern=True),
                value=_expression(value, scope, pattern=True),
            )
        case s.Membership(key, item, source):
            return replace(
                literal,
                key=key and _expression(key, scope, pattern=True),
                item=_expression(item, scope, pattern=True),
                source=_expression(source, scope),
            )
        case s.Test(condition):
            return replace(literal, condition=_expression(condition, scope))
        case s.Due(time):
            return replace(literal, time=_expression(time, scope))


def _is_function(written: str, scope: Scope) -> bool:
    found = scope.find(written)
    return found in scope.functions or (found is None and written in BUILTINS)


def _call(atom: s.Atom, scope: Scope) -> s.Expression:
    for argument in atom.arguments:
        if argument.column is not None:
            message = f"`{atom.relation}` is a function and takes no named arguments"
            raise Mistake("KDL107", message, argument.span)
    arguments = tuple(argument.value for argument in atom.arguments)
    return _expression(s.Call(atom.relation, arguments, span=atom.span), scope)


def _relation(atom: s.Atom, scope: Scope) -> Relation:
    found = scope.find(atom.relation)
    if found is not None and found in scope.relations:
        return scope.relations[found]
    if found is not None or atom.relation in BUILTINS:
        message = f"`{atom.relation}` is a function; only a relation can stand here"
        raise Mistake("KDL215", message, atom.name_span, help="facts about it need a relation of your own")
    known = [*scope.names, *FUNCTIONS]
    known += [name for name in scope.relations if scope.everywhere or name.rpartition(".")[0] in scope.imports]
    error = scope.unknown(atom.relation, "relation", "KDL200", atom.name_span, known)
    if error.diagnostic.code == "KDL200" and not error.diagnostic.help and "." not in atom.relation:
        columns = ", ".join(
            argument.column or (argument.value.name.lower() if isinstance(argument.value, s.Variable) else f"c{index}")
            for index, argument in enumerate(atom.arguments, 1)
        )
        offer = f"declare it: `rel {atom.relation}({', '.join(f'{c}: str' for c in columns.split(', ') if c)}).`"
        error.diagnostic = replace(error.diagnostic, help=offer)
    raise error


def _atom(atom: s.Atom, relation: Relation, scope: Scope, head: bool = False) -> s.Atom:
    """The atom qualified and positional: columns left out are wildcards."""
    values: list[s.Argument | None] = [None] * relation.arity
    names = [column.name for column in relation.columns]
    notes = [Note(f"`{relation.name}({', '.join(names)})` is declared", relation.span)]
    named: s.Argument | None = None
    for index, argument in enumerate(atom.arguments):
        if argument.column is None:
            if named is not None:
                message = "an argument without a name cannot follow a named one"
                raise Mistake("KDL209", message, argument.span, help="name it, or put it first")
            position = index
            if position >= relation.arity:
                given, takes = len(atom.arguments), relation.arity
                message = f"`{atom.relation}` has {_count(takes, 'column')}, {given} given"
                raise Mistake("KDL207", message, argument.span, notes=notes)
        else:
            named = argument
            if argument.column not in names:
                message = f"`{atom.relation}` has no column `{argument.column}`"
                near = did_you_mean(argument.column, names)
                raise Mistake("KDL203", message, argument.span, notes=notes, help=near)
            position = names.index(argument.column)
        if values[position] is not None:
            message = f"column `{names[position]}` of `{atom.relation}` is given twice"
            raise Mistake("KDL208", message, argument.span, notes=notes)
        value = _expression(argument.value, scope, pattern=not head)
        values[position] = s.Argument(value, span=argument.span)
    missing = [name for name, value in zip(names, values, strict=True) if value is None]
    if missing and head:
        message = f"the head gives no value for column `{missing[0]}` of `{atom.relation}`"
        raise Mistake("KDL213", message, atom.span, notes=notes, help="a rule's head has a value for every column")
    if missing and named is None:
        message = f"`{atom.relation}` has {_count(relation.arity, 'column')}, {len(atom.arguments)} given"
        first = names[0] if names else ""
        offer = f"name the columns to leave some out, as in `{atom.relation}({first}: …)`"
        raise Mistake("KDL207", message, atom.span, notes=notes, help=offer)
    arguments = tuple(value or s.Argument(s.Wildcard(span=atom.span), span=atom.span) for value in values)
    return replace(atom, relation=relation.name, arguments=arguments)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _expression(expression: s.Expression, scope: Scope, pattern: bool = False) -> s.Expression:
    """The expression with its function names resolved; `_` only where a pattern may stand."""
    match expression:
        case s.Wildcard() if not pattern:
            raise Mistake("KDL218", "`_` is anything: it has no value to use here", expression.span, help="name it")
        case s.Tuple():
            return s.rebuild(expression, lambda item: _expression(item, scope, pattern))
        case s.Call(function, arguments):
            name, least, most = _function(expression, scope)
            if not least <= len(arguments) <= most:
                takes = _count(least, "argument") if least == most else f"at least {_count(least, 'argument')}"
                if least != most and most < 100:
                    takes = f"{least} to {most} arguments"
                message = f"`{function}` takes {takes}, {len(arguments)} given"
                raise Mistake("KDL207", message, expression.span)
            resolved = tuple([_expression(item, scope) for item in arguments])
            return s.Call(name, resolved, span=expression.span)
        case s.Constant() | s.Variable() | s.Wildcard():
            return expression
        case _:
            return s.rebuild(expression, lambda item: _expression(item, scope))


def _function(call: s.Call, scope: Scope) -> tuple[str, int, int]:
    found = scope.find(call.function)
    if found is not None and found in scope.functions:
        arity = len(scope.functions[found].parameters)
        return found, arity, arity
    if call.function in BUILTINS:
        builtin = BUILTINS[call.function]
        return call.function, builtin.least, builtin.most
    if found is not None:
        message = f"`{call.function}` is a relation: it has no value"
        raise Mistake("KDL214", message, call.span, help="write it as a literal of its own in the rule's body")
    known = (*scope.names, *FUNCTIONS)
    raise scope.unknown(call.function, "function", "KDL204", call.span, known)
