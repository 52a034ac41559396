"""Safety: the body of each rule in an order in which every literal finds its variables bound.

The order is the written one, changed only where a literal needs what a later one binds; an aggregate waits for what
binds its group. After this stage the body can be evaluated from left to right:

- arguments of body atoms are variables, constants and wildcards: any other expression is a `Unification` of its own,
  with a made variable (``D$1``; no written name has a ``$``);
- a `Unification` has an unbound variable or a wildcard in its pattern; a mere comparison is a `Test`;
- a variable of an aggregate's body that also occurs outside it is its group and bound before it; all others occur in
  no other literal;
- a variable of a negated atom is bound, or occurs twice in that atom alone (once would be a wildcard);
- a negated atom with a wildcard inside a tuple, which no single value stands for, is a `count` that is 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from kdl.parser import syntax as s
from kdl.parser.diagnostic import Diagnostic, Note
from kdl.rules.draft import Draft, Mistake


def order(draft: Draft) -> None:
    """Order every rule and every query of a test; warn of variables that are used once."""
    rules = []
    for rule in draft.rules:
        with draft.statement():
            rules.append(order_rule(rule))
            draft.warnings.extend(singletons(rule))
    draft.rules = rules
    tests = []
    for test in draft.tests:
        with draft.statement():
            tests.append(replace(test, steps=tuple(_step(step) for step in test.steps)))
    draft.tests = tests


def _step(step: s.Step) -> s.Step:
    return replace(step, body=order_body(step.body)) if step.action == "expect" else step


def order_rule(rule: s.Rule) -> s.Rule:
    """The rule with a safe body. Raises `Mistake`."""
    body = order_body(rule.body, rule.head)
    bound = set().union(*map(binds, body)) if body else set()
    for variable in s.variables(rule.head):
        if variable.name not in bound:
            raise _unsafe_head(variable, rule)
    for sentence in (rule.why, rule.whynot):
        for variable in s.variables(sentence) if sentence is not None else ():
            if variable.name not in bound:
                raise Mistake("KDL232", f"nothing gives `{variable.name}` a value", variable.span)
    return replace(rule, body=body)


def order_body(body: Iterable[s.Literal], head: s.Atom | None = None) -> tuple[s.Literal, ...]:
    """The literals in a safe order, in the form that the module's text describes. Raises `Mistake`."""
    names = _Names(used={variable.name for literal in body for variable in s.variables(literal)})
    literals = list(body)
    flat = [part for literal in _apart(literals, head, names) for part in _lifted(literal, names)]
    return _ordered(flat, set(), names)


# --- what a literal binds and needs ----------------------------------------------------------------------------------


def binds(literal: s.Literal) -> set[str]:
    """The variables that a literal can give a value to."""
    match literal:
        case s.Atom(_, arguments):
            return {a.value.name for a in arguments if isinstance(a.value, s.Variable)}
        case s.Unification(pattern, _) | s.Aggregate(pattern=pattern):
            return _pattern_variables(pattern)
        case s.Membership(key, item, _):
            return _pattern_variables(item) | (_pattern_variables(key) if key is not None else set())
        case _:
            return set()


def _pattern_variables(pattern: s.Expression) -> set[str]:
    match pattern:
        case s.Variable(name):
            return {name}
        case s.Tuple(items):
            return set().union(*map(_pattern_variables, items))
        case _:
            return set()


def _pattern_needs(pattern: s.Expression) -> set[str]:
    """Variables inside a pattern that have to be bound: those of expressions that are no patterns."""
    match pattern:
        case s.Variable() | s.Wildcard():
            return set()
        case s.Tuple(items):
            return set().union(*map(_pattern_needs, items))
        case _:
            return used(pattern)


def used(node: s.Node) -> set[str]:
    """The names of the variables in a node."""
    return {variable.name for variable in s.variables(node)}


def needs(literal: s.Literal) -> set[str]:
    """The variables that must be bound before a literal; an aggregate's group and a negation's are not in here."""
    match literal:
        case s.Atom():
            return set()
        case s.Unification(pattern, value):
            return used(value) | _pattern_needs(pattern)
        case s.Membership(key, item, source):
            return used(source) | _pattern_needs(item) | (_pattern_needs(key) if key is not None else set())
        case s.Aggregate(pattern=pattern, default=default):
            return _pattern_needs(pattern) | (used(default) if default is not None else set())
        case s.Negation():
            return set()
        case _:
            return used(literal)


# --- one form --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Names:
    """Makes variable names that no rule writes."""

    used: set[str]
    made: Counter[str] = field(default_factory=Counter)

    def fresh(self, stem: str) -> str:
        stem = stem.partition("$")[0]
        self.made[stem] += 1
        return f"{stem}${self.made[stem]}"


def _apart(literals: list[s.Literal], head: s.Atom | None, names: _Names) -> Iterator[s.Literal]:
    """Give the inner variables of an aggregate names of their own where another literal has an inner one like it."""
    outside = used(head) if head is not None else set()
    for literal in literals:
        outside |= _outer(literal)
    seen: set[str] = set()
    for literal in literals:
        if not isinstance(literal, s.Aggregate):
            yield literal
            continue
        inner = {name for part in literal.body for name in used(part)} - outside
        clashes = {name: names.fresh(name) for name in sorted(inner & seen)}
        seen |= inner
        yield _renamed(literal, clashes) if clashes else literal


def _outer(literal: s.Literal) -> set[str]:
    """The variables of a literal, without those that stand only within the braces of an aggregate."""
    if not isinstance(literal, s.Aggregate):
        return used(literal)
    return used(literal.pattern) | (used(literal.default) if literal.default is not None else set())


def _renamed(node: s.N, names: dict[str, str]) -> s.N:
    def change(below: s.Node) -> s.Node:
        if isinstance(below, s.Variable) and below.name in names:
            return replace(below, name=names[below.name])
        return s.rebuild(below, change)

    return s.rebuild(node, change)


def _lifted(literal: s.Literal, names: _Names) -> Iterator[s.Literal]:
    """The literal with plain arguments, and a unification for each argument that was an expression."""
    match literal:
        case s.Atom() as atom:
            plain, lifted = _plain(atom, names)
            yield plain
            for variable, expression in lifted:
                if isinstance(expression, s.Tuple):
                    yield s.Unification(expression, variable, span=expression.span)
                else:
                    yield s.Unification(variable, expression, span=expression.span)
        case s.Negation(atom):
            plain, lifted = _plain(atom, names)
            inside: list[s.Literal] = []
            for variable, expression in lifted:
                if any(isinstance(node, s.Wildcard) for node in s.walk(expression)):
                    inside.append(s.Unification(expression, variable, span=expression.span))
                else:
                    yield s.Unification(variable, expression, span=expression.span)
            if inside:
                yield s.Aggregate(s.Constant(0), "count", None, (plain, *inside), None, span=literal.span)
            else:
                yield replace(literal, atom=plain)
        case s.Unification(pattern, value) if not _is_pattern(pattern) and _is_pattern(value):
            yield replace(literal, pattern=value, value=pattern)
        case _:
            yield literal


def _is_pattern(expression: s.Expression) -> bool:
    return isinstance(expression, (s.Variable, s.Wildcard, s.Tuple))


def _plain(atom: s.Atom, names: _Names) -> tuple[s.Atom, list[tuple[s.Variable, s.Expression]]]:
    arguments: list[s.Argument] = []
    lifted: list[tuple[s.Variable, s.Expression]] = []
    for argument in atom.arguments:
        expression = argument.value
        if not isinstance(expression, (s.Variable, s.Wildcard, s.Constant)):
            variable = s.Variable(names.fresh("V"), span=expression.span)
            lifted.append((variable, expression))
            argument = replace(argument, value=variable)
        arguments.append(argument)
    return (replace(atom, arguments=tuple(arguments)), lifted) if lifted else (atom, lifted)


# --- the order -------------------------------------------------------------------------------------------------------


def _ordered(literals: list[s.Literal], bound: set[str], names: _Names) -> tuple[s.Literal, ...]:
    """Take the first written literal whose needs are met, again and again. `bound` grows."""
    waiting = list(literals)
    done: list[s.Literal] = []
    while waiting:
        for index, literal in enumerate(waiting):
            others = waiting[:index] + waiting[index + 1 :]
            if _ready(literal, bound, others):
                del waiting[index]
                done.append(_settled(literal, bound, names))
                bound |= binds(literal)
                break
        else:
            raise _stuck(waiting, bound)
    return tuple(done)


def _ready(literal: s.Literal, bound: set[str], others: list[s.Literal]) -> bool:
    if not needs(literal) <= bound:
        return False
    match literal:
        case s.Negation(atom):
            return not any(_mentions(other) & (used(atom) - bound) for other in others)
        case s.Aggregate():
            free = {name for part in literal.body for name in used(part)} - bound
            return not any(_outer(other) & free for other in others)
        case _:
            return True


def _mentions(literal: s.Literal) -> set[str]:
    return _outer(literal)


def _settled(literal: s.Literal, bound: set[str], names: _Names) -> s.Literal:
    """The literal as it is evaluated once `bound` is."""
    match literal:
        case s.Unification(pattern, value):
            if _binds_nothing(pattern, bound):
                return s.Test(s.Binary("=", pattern, value, span=literal.span), span=literal.span)
        case s.Negation(atom):
            once = Counter(variable.name for variable in s.variables(atom))
            return replace(literal, atom=_with_wildcards(atom, {n for n, c in once.items() if c == 1} - bound))
        case s.Aggregate():
            return _settled_aggregate(literal, bound, names)
        case _:
            pass
    return literal


def _binds_nothing(pattern: s.Expression, bound: set[str]) -> bool:
    return _pattern_variables(pattern) <= bound and not any(isinstance(node, s.Wildcard) for node in s.walk(pattern))


def _with_wildcards(atom: s.Atom, free: set[str]) -> s.Atom:
    if not free:
        return atom
    arguments = tuple(
        replace(a, value=s.Wildcard(span=a.value.span))
        if isinstance(a.value, s.Variable) and a.value.name in free
        else a
        for a in atom.arguments
    )
    return replace(atom, arguments=arguments)


def _settled_aggregate(aggregate: s.Aggregate, bound: set[str], names: _Names) -> s.Aggregate:
    inner = set(bound)
    parts = [part for literal in _apart(list(aggregate.body), None, names) for part in _lifted(literal, names)]
    body = _ordered(parts, inner, names)
    for variable in s.variables(aggregate.value) if aggregate.value is not None else ():
        if variable.name not in inner:
            message = f"nothing in the braces gives `{variable.name}` a value"
            raise Mistake("KDL232", message, variable.span, help="add a literal that has it to the braces")
    return replace(aggregate, body=body)


# --- mistakes --------------------------------------------------------------------------------------------------------


def _stuck(waiting: list[s.Literal], bound: set[str]) -> Mistake:
    """The literal to blame when none can be evaluated: the first that nothing else could help."""
    for literal in waiting:
        others = [other for other in waiting if other is not literal]
        possible = bound.union(*map(binds, others)) if others else set(bound)
        missing = needs(literal) - possible
        if missing:
            return _unbound(literal, missing)
    for literal in waiting:
        if isinstance(literal, s.Aggregate):
            inner = {name for part in literal.body for name in used(part)} - bound
            shared = {name for other in waiting if other is not literal for name in inner & _outer(other)}
            if shared:
                return _unbound_group(literal, min(shared))
        if isinstance(literal, s.Negation):
            free = used(literal.atom) - bound
            shared = {name for other in waiting if other is not literal for name in free & _mentions(other)}
            helped = set().union(*(binds(other) for other in waiting if other is not literal))
            if shared - helped:
                return _only_negated(literal, min(shared - helped))
    literal = waiting[0]
    return _unbound(literal, needs(literal) - bound or used(literal) - bound)


def _variable(node: s.Node, name: str) -> s.Variable:
    return next(variable for variable in s.variables(node) if variable.name == name)


def _unbound(literal: s.Literal, missing: set[str]) -> Mistake:
    variable = next(v for v in s.variables(literal) if v.name in missing or not missing)
    message = f"nothing gives `{variable.name}` a value"
    help = f"add a fact that has `{variable.name}` among its columns"
    if isinstance(literal, s.Test) and isinstance(literal.condition, s.Binary) and literal.condition.operator == "=":
        help = "`=` within a larger condition only compares; make it a literal of its own to bind"
    return Mistake("KDL232", message, variable.span, help=help)


def _only_negated(literal: s.Negation, name: str) -> Mistake:
    message = f"`{name}` has no value outside `not`, and other literals need one"
    help = f"add a fact that has `{name}` among its columns"
    return Mistake("KDL231", message, _variable(literal, name).span, help=help)


def _unbound_group(literal: s.Aggregate, name: str) -> Mistake:
    message = f"`{name}` is used outside the braces and has no value there"
    help = f"add a fact before the braces that gives `{name}` its values: one result is computed for each"
    return Mistake("KDL233", message, _variable(literal, name).span, help=help)


def _unsafe_head(variable: s.Variable, rule: s.Rule) -> Mistake:
    name = variable.name
    for literal in rule.body:
        if isinstance(literal, s.Negation) and name in used(literal):
            notes = [Note(f"`{name}` occurs only in a negation", _variable(literal, name).span)]
            message = f"the head needs a value for `{name}`, and `not` gives none"
            help = f"add a fact that has `{name}` among its columns"
            return Mistake("KDL231", message, variable.span, notes=notes, help=help)
        if isinstance(literal, s.Aggregate) and name in used(literal):
            notes = [Note(f"`{name}` has values only within these braces", _variable(literal, name).span)]
            message = f"the head needs a value for `{name}`"
            help = f"add a fact before the braces that gives `{name}` its values: one result is computed for each"
            return Mistake("KDL233", message, variable.span, notes=notes, help=help)
    if not rule.body:
        message = f"a fact has no variables, and `{name}` is one"
        help = f'write "{name.lower()}" for the text, or add `:-` and a body that gives `{name}` its values'
        return Mistake("KDL230", message, variable.span, help=help)
    message = f"the head needs a value for `{name}`, and the body gives none"
    return Mistake("KDL230", message, variable.span, help=f"add a fact that has `{name}` among its columns")


def singletons(rule: s.Rule) -> Iterator[Diagnostic]:
    """A warning for each variable that a rule uses once: often a slip of the pen."""
    counts = Counter(variable.name for variable in s.variables(rule))
    for variable in s.variables(rule):
        if counts[variable.name] == 1:
            message = f"`{variable.name}` is used once"
            yield Diagnostic("KDL240", message, variable.span, help="write `_` for anything", severity="warning")
