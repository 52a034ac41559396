"""The story of each diagnostic code: what `kdl explain CODE` tells. Examples are whole programs; tests compile them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module, util
from typing import Any, Final, NamedTuple


class Story(NamedTuple):
    """A code's title, what it is about, a text that has the mistake and one that does not (empty: none is short)."""

    title: str
    story: str
    wrong: str
    right: str


@cache
def catalogue() -> Mapping[str, Any]:
    """All codes with their stories, those of manifests included."""
    home = "kdl.parser.manifest.stories"
    manifests = import_module(home).STORIES if util.find_spec(home) is not None else {}
    return {**STORIES, **manifests}


STORIES: Final[Mapping[str, Story]] = {
    "KDL100": Story(
        "Something cannot stand where it does",
        "The text does not follow the language's form at this place. The caret is at the first word or sign that does "
        "not fit; the mistake is there or just before it.",
        "rel p(a str).",
        "rel p(a: str).",
    ),
    "KDL101": Story(
        "The text ends in the middle of a statement",
        "Every declaration and every rule ends with a dot followed by white space or the end of the file.",
        "rel p(a: str)",
        "rel p(a: str).",
    ),
    "KDL102": Story(
        "A string has no closing quote",
        'A string begins and ends on one line. A line break in a text is `\\n`, a quote `\\"`.',
        'rel p(a: str).\np("web).',
        'rel p(a: str).\np("web").',
    ),
    "KDL103": Story(
        "A fact is expected",
        "What is given, removed or explained is one fact of a relation, not a condition or a value.",
        'test "t" { given "web". }',
        'input rel p(a: str).\ntest "t" { given p("web"). }',
    ),
    "KDL104": Story(
        "A statement begins with a fact",
        "A rule is `head :- body.` and a fact `head.`, where the head is a relation with its columns in parentheses.",
        "rel p(a: int).\np.",
        "rel p(a: int).\np(1).",
    ),
    "KDL105": Story(
        "An aggregate has a value too few or too many",
        "`count` counts bindings and takes no value; `sum`, `min`, `max` and `list` need one.",
        "rel q(a: int).\nrel p(n: int).\np(N) :- N = count X : { q(X) }.",
        "rel q(a: int).\nrel p(n: int).\np(N) :- N = count : { q(_) }.",
    ),
    "KDL106": Story(
        "A bare word is no value",
        "Texts are quoted and variables begin with a capital letter. A bare word would silently match nothing, so it "
        "is refused.",
        "rel q(a: str).\nrel p(a: str).\np(X) :- q(X), X = web.",
        'rel q(a: str).\nrel p(a: str).\np(X) :- q(X), X = "web".',
    ),
    "KDL107": Story(
        "A function takes no named arguments",
        "Only the columns of relations have names.",
        "rel p(a: int).\np(X) :- X = size(of: [1, 2]).",
        "rel p(a: int).\np(X) :- X = size([1, 2]).",
    ),
    "KDL108": Story(
        "Only a name can be called",
        "Relations and functions have names that begin with a small letter. A dot that ends a statement is followed "
        "by white space; without it the next word would be a field.",
        "rel p(a: int).\nP(1).",
        "rel p(a: int).\np(1).",
    ),
    "KDL109": Story(
        "A literal cannot be read",
        'The text of `cpu"…"`, `mem"…"`, `dur"…"`, `cidr"…"` or `time"…"` is not of its form, or a number is too long.',
        'rel p(a: int).\np(cpu"half").',
        'rel p(a: int).\np(cpu"500m").',
    ),
    "KDL110": Story(
        "The braces of a text do not fit",
        'In `f"…"` braces hold a value; a brace itself is written twice.',
        'rel p(a: str).\np(f"{").',
        'rel p(a: str).\np(f"{{").',
    ),
    "KDL111": Story(
        "Not an escape",
        'The escapes are `\\"`, `\\\\`, `\\/`, `\\n`, `\\t` and `\\u{1F600}`.',
        'rel p(a: str).\np("a\\d").',
        'rel p(a: str).\np("a\\\\d").',
    ),
    "KDL112": Story(
        "A file cannot be read",
        "The path that was given does not exist, cannot be opened, or holds no UTF-8 text.",
        "no/such/folder/x.dl",
        "",
    ),
    "KDL113": Story(
        "A dot or a comma is missing",
        "A new line begins with something that cannot follow the line before. Statements end with a dot, literals are "
        "joined with commas.",
        "rel q(a: int).\nrel p(a: int)\np(X) :- q(X).",
        "rel q(a: int).\nrel p(a: int).\np(X) :- q(X).",
    ),
    "KDL114": Story(
        "A text is nested too deeply",
        "Hundreds of nested brackets or operators in one expression are refused. Name parts of it in literals of "
        "their own.",
        "",
        "",
    ),
    "KDL115": Story(
        "A bracket is not closed",
        "The statement ends, or another bracket closes, before this one is closed.",
        "rel p(a: int).\np(size([1, 2)).",
        "rel p(a: int).\np(size([1, 2])).",
    ),
    "KDL200": Story(
        "There is no such relation",
        "Every relation is declared, with named and typed columns: `rel` for derived ones, `input rel` for what comes "
        "from outside. A misspelt name would otherwise match nothing.",
        "rel node(name: str).\nrel p(a: str).\np(N) :- nodes(N).",
        "rel node(name: str).\nrel p(a: str).\np(N) :- node(N).",
    ),
    "KDL201": Story(
        "There is no such module",
        "A module is one file that begins with `module name.`; it must be among the files that are compiled together.",
        "import core.",
        "module core.",
    ),
    "KDL202": Story(
        "A module is not imported",
        "What another module declares is used as `core.pod` after `import core.`, or as `pod` after "
        "`from core import pod.`. So the first lines of a file tell what it builds on.",
        "rel p(a: str).\np(X) :- kdl.fault(X, _), fault(X, _).",
        "rel p(a: str).\np(X) :- kdl.fault(X, _).",
    ),
    "KDL203": Story(
        "There is no such column",
        "An argument is named after a column that the relation does not have.",
        "rel pod(id: str, phase: str).\nrel p(a: str).\np(P) :- pod(id: P, state: _).",
        "rel pod(id: str, phase: str).\nrel p(a: str).\np(P) :- pod(id: P, phase: _).",
    ),
    "KDL204": Story(
        "There is no such function",
        "Functions are built in or made with `def f(X) = …`.",
        "rel p(a: int).\np(X) :- X = length([1]).",
        "rel p(a: int).\np(X) :- X = size([1]).",
    ),
    "KDL205": Story(
        "There is no such type",
        "The types are `str int bool time json any`, and those named with `type node = str.`.",
        "rel p(a: string).",
        "rel p(a: str).",
    ),
    "KDL206": Story(
        "Something is declared twice",
        "A name has one meaning in a module: a relation, a function, a column of a relation, a type.",
        "rel p(a: str).\nrel p(b: str).",
        "rel p(a: str).\nrel q(b: str).",
    ),
    "KDL207": Story(
        "The wrong number of arguments",
        "Positional arguments are for all columns. To leave some out, name those that you want.",
        "rel q(a: int, b: int).\nrel p(a: int).\np(X) :- q(X).",
        "rel q(a: int, b: int).\nrel p(a: int).\np(X) :- q(a: X).",
    ),
    "KDL208": Story(
        "A column is given twice",
        "The same column has a value by its position and by its name, or by its name twice.",
        "rel q(a: int, b: int).\nrel p(a: int).\np(X) :- q(X, a: 1).",
        "rel q(a: int, b: int).\nrel p(a: int).\np(X) :- q(X, b: 1).",
    ),
    "KDL209": Story(
        "An argument without a name follows a named one",
        "Positional arguments come first.",
        "rel q(a: int, b: int).\nrel p(a: int).\np(X) :- q(b: 1, X).",
        "rel q(a: int, b: int).\nrel p(a: int).\np(X) :- q(X, b: 1).",
    ),
    "KDL210": Story(
        "A module line is in the wrong place",
        "One file is one module: `module name.` is its first statement, and no other file has the same name.",
        "rel p(a: int).\nmodule m.",
        "module m.\nrel p(a: int).",
    ),
    "KDL211": Story(
        "A rule for an input",
        "What an `input rel` holds is asserted from outside: objects, observations, the test's `given`. Rules derive "
        "other relations from it. Neither do rules derive `kdl.fault`.",
        "input rel p(a: int).\np(1).",
        "input rel p(a: int).\nrel q(a: int).\nq(X) :- p(X).",
    ),
    "KDL212": Story(
        "A relation is closed to other modules",
        "Only relations declared `open rel` take rules from other modules: those are a module's extension points.",
        "",
        "",
    ),
    "KDL213": Story(
        "A head lacks a column",
        "A rule's head has a value for every column; only in a body can columns be left out.",
        "rel p(a: int, b: int).\np(a: 1).",
        "rel p(a: int, b: int).\np(a: 1, b: 2).",
    ),
    "KDL214": Story(
        "A relation is used as a function",
        "A relation holds facts and has no value. Read it with a literal of its own in the rule's body.",
        "rel q(a: int).\nrel p(a: int).\np(X) :- X = q(1).",
        "rel q(a: int).\nrel p(a: int).\np(X) :- q(X), X = 1.",
    ),
    "KDL215": Story(
        "A function is used as a relation",
        "Functions have no facts: they cannot be derived.",
        "size(1).",
        "rel sized(a: int).\nsized(1).",
    ),
    "KDL216": Story(
        "A name belongs to the language",
        "Built-in functions and types, `due`, `fault` and the module `kdl` cannot be declared anew.",
        "def size(X) = X.",
        "def my_size(X) = size(X).",
    ),
    "KDL217": Story(
        "Words of a declaration contradict each other",
        "No rule derives an input, so it is neither an extension point nor an effect.",
        "input open rel p(a: int).",
        "open rel p(a: int).",
    ),
    "KDL218": Story(
        "A wildcard has no value",
        "`_` matches anything and cannot be computed with or derived.",
        "rel p(a: int).\np(_).",
        "rel q(a: int).\nrel p(a: int).\np(X) :- q(X).",
    ),
    "KDL220": Story(
        "A variable has two types",
        "A variable stands for one value, and values of different type are never equal, so the rule could never hold. "
        "Named types do not mix either: a node's name is no pod's id.",
        "rel q(a: int).\nrel r(a: str).\nrel p(a: int).\np(X) :- q(X), r(X).",
        "rel q(a: int).\nrel r(a: str).\nrel p(a: int).\np(X) :- q(X), r(str(X)).",
    ),
    "KDL221": Story(
        "A value does not fit its column",
        "The type of a value is known from the text and is not the column's.",
        'rel p(a: int).\np("1").',
        "rel p(a: int).\np(1).",
    ),
    "KDL222": Story(
        "An operator is given the wrong type",
        "Arithmetic is for numbers, `+` also joins two texts or two lists; `<` compares numbers or texts; a path walks "
        "documents and lists; values of different type are never equal.",
        'rel p(a: str).\np("pods: " + 3).',
        'rel p(a: str).\np(f"pods: {3}").',
    ),
    "KDL223": Story(
        "A function is given the wrong type",
        "An argument is of a type that the function is not made for.",
        "rel p(a: str).\np(lower(3)).",
        'rel p(a: str).\np(lower("A")).',
    ),
    "KDL224": Story(
        "A condition is no truth value",
        "Only `true` and `false` are: there are no truthy values. Compare the value with something.",
        "rel q(a: int).\nrel p(a: int).\np(X) :- q(X), X + 1.",
        "rel q(a: int).\nrel p(a: int).\np(X) :- q(X), X + 1 > 0.",
    ),
    "KDL230": Story(
        "A variable of the head has no value",
        "Every variable of a rule's head is bound in its body, or the rule would hold for anything whatsoever.",
        "rel q(a: int).\nrel p(a: int, b: int).\np(X, Y) :- q(X).",
        "rel q(a: int).\nrel p(a: int, b: int).\np(X, Y) :- q(X), q(Y).",
    ),
    "KDL231": Story(
        "A negation gives no values",
        "`not q(X)` says that there is no such fact. It can test a value that something else gave, never find one.",
        "rel q(a: int).\nrel p(a: int).\np(X) :- not q(X).",
        "rel q(a: int).\nrel r(a: int).\nrel p(a: int).\np(X) :- r(X), not q(X).",
    ),
    "KDL232": Story(
        "A variable has no value where one is needed",
        "Comparisons, functions and the right side of `=` use values; facts, `=` and `in` give them. The order in "
        "which literals are written does not matter.",
        "rel q(a: int).\nrel p(a: int).\np(X) :- q(X), X < Max.",
        "rel q(a: int).\nrel max_of(a: int).\nrel p(a: int).\np(X) :- q(X), max_of(Max), X < Max.",
    ),
    "KDL233": Story(
        "The group of an aggregate is not known",
        "Variables that are bound outside the braces are the group: one result is computed for each of their values. "
        "A variable that is used outside but has values only inside is refused: say over which values the group "
        "ranges, then an empty group counts as 0.",
        "rel q(a: str, b: int).\nrel p(a: str, n: int).\np(A, N) :- N = count : { q(A, _) }.",
        "rel q(a: str, b: int).\nrel p(a: str, n: int).\np(A, N) :- q(a: A), N = count : { q(A, _) }.",
    ),
    "KDL235": Story(
        "A function calls itself",
        "Functions made with `def` are replaced by their bodies. What needs recursion is a relation.",
        "def f(X) = f(X) + 1.",
        "def f(X) = X + 1.",
    ),
    "KDL236": Story(
        "A function uses something that is no parameter",
        "A function sees its parameters alone. What reads facts is a relation.",
        "def f(X) = X + Y.",
        "def f(X, Y) = X + Y.",
    ),
    "KDL237": Story(
        "A statement grows too large",
        "Functions made with `def` are put in place of their calls. One that uses its parameter twice, called within "
        "itself again and again, doubles the text each time.",
        "def a(X) = [X, X, X, X, X, X, X, X, X, X].\ndef b(X) = a(a(a(a(a(X))))).",
        "def a(X) = [X, X, X, X, X, X, X, X, X, X].\ndef b(X) = a(a(X)).",
    ),
    "KDL240": Story(
        "A variable is used once",
        "A variable joins places; one that stands in a single place joins nothing and may be misspelt. Write `_` for "
        "anything. This is a warning.",
        "input rel q(a: int, b: int).\nrel p(a: int).\np(X) :- q(X, Y).",
        "input rel q(a: int, b: int).\nrel p(a: int).\np(X) :- q(X, _).",
    ),
    "KDL241": Story(
        "Facts are combined that share nothing",
        "Two parts of a body have no variable in common, so every fact of one is combined with every fact of the "
        "other: often a variable is misspelt. What need only exist is written with `_` and is no combination. Where "
        "each with each is meant, a comment at the rule says so: `# allow KDL241: every class is judged on every "
        "node`. This is a warning.",
        "input rel pod(id: str, node: str).\ninput rel node(name: str, zone: str).\nrel zone_of(pod: str, zone: str).\n"
        "zone_of(P, Z) :- pod(P, _), node(_, Z).",
        "input rel pod(id: str, node: str).\ninput rel node(name: str, zone: str).\nrel zone_of(pod: str, zone: str).\n"
        "zone_of(P, Z) :- pod(P, N), node(N, Z).",
    ),
    "KDL242": Story(
        "Nothing reads a relation",
        "No rule and no test reads this relation of a module, it is no effect and no extension point, and it has no "
        "documentation that would say what it is there for. Relations that people or programs ask for say what they "
        "hold in a `##` comment. This is a warning.",
        "module m.\ninput rel q(a: int).\nrel p(a: int).\np(X) :- q(X).",
        "module m.\ninput rel q(a: int).\n## The numbers there are.\nrel p(a: int).\np(X) :- q(X).",
    ),
    "KDL243": Story(
        "A relation has no rule",
        "It is not given from outside (`input rel`), no other pack may add to it (`open rel`), and its own module "
        "derives nothing in it: no fact of it ever holds. This is a warning.",
        "rel q(a: int).\nrel p(a: int).\np(X) :- q(X).",
        "input rel q(a: int).\nrel p(a: int).\np(X) :- q(X).",
    ),
    "KDL244": Story(
        '`!=` is used as "none of"',
        "`banned(Y), X != Y` asks for some banned value that is not X, and as soon as two values are banned there "
        "always is one. That none of them is X says a negation: `not banned(X)`. If some other one is meant, "
        "`# allow KDL244: …` at the rule says so. This is a warning.",
        "input rel q(a: int).\ninput rel banned(a: int).\nrel p(a: int).\np(X) :- q(X), banned(Y), X != Y.",
        "input rel q(a: int).\ninput rel banned(a: int).\nrel p(a: int).\np(X) :- q(X), not banned(X).",
    ),
    "KDL245": Story(
        "A refusal says nothing",
        "A rule of an extension point or an effect that refuses (`deny`, `rejects`, `forbidden` …) has a sentence "
        "for whoever is refused: in its column `reason` or `message`, or with `@why`. This is a warning.",
        'input rel q(a: int).\nopen rel deny(a: int, reason: str).\ndeny(X, "") :- q(X).',
        'input rel q(a: int).\nopen rel deny(a: int, reason: str).\ndeny(X, f"{X} is too much") :- q(X).',
    ),
    "KDL246": Story(
        "A whole document is handed on",
        "A rule whose head has all of an object (the variable of a column `doc`) changes with every write to the "
        "object, each status write too, and so does whatever reads it. Give the fields and sub-documents that are "
        "read. This is a warning.",
        "input rel object(id: str, doc: json).\nrel p(id: str, it: json).\np(I, D) :- object(I, D).",
        "input rel object(id: str, doc: json).\nrel p(id: str, it: json).\np(I, D.spec) :- object(I, D).",
    ),
    "KDL301": Story(
        "A relation depends on its own absence, or on an aggregate over itself",
        "Such a rule would hold exactly when it does not. The notes show the way around, rule by rule. Break it at one "
        "step: base it on inputs, such as what was observed.",
        "rel q(a: int).\nrel p(a: int).\np(X) :- q(X), not p(X).",
        "rel q(a: int).\nrel r(a: int).\nrel p(a: int).\np(X) :- q(X), not r(X).",
    ),
    "KDL302": Story(
        "Recursion makes new values without a bound",
        "Every round would give new facts, for ever. A guard in the rule has to bound them: a comparison of what "
        "grows with something from outside the recursion, or a fact from outside that has the new value.",
        "rel p(a: int).\np(0).\np(X + 1) :- p(X).",
        "rel p(a: int).\np(0).\np(X + 1) :- p(X), X < 10.",
    ),
    "KDL401": Story(
        "An effect has no key",
        "Two facts with the same key and different values are a conflict, and what is wanted is compared by key with "
        "what is there: an effect relation names its key columns.",
        "effect rel p(a: int).",
        "effect rel p(a: int) key(a).",
    ),
    "KDL402": Story(
        "The key is no column",
        "`key(…)` lists columns of the relation.",
        "effect rel p(pod: str) key(pods).",
        "effect rel p(pod: str) key(pod).",
    ),
    "KDL403": Story(
        "The observed relation does not exist",
        "`observes r` names the relation in which a driver says what there is.",
        "effect rel p(a: int) key(a) observes seen.",
        "input rel seen(a: int, hash: str).\neffect rel p(a: int) key(a) observes seen.",
    ),
    "KDL404": Story(
        "What is wanted and what is observed cannot be compared",
        "The observed relation has the key columns by the same names, and `hash: str`, the digest of the wanted row "
        "that the driver stored.",
        "input rel seen(a: int).\neffect rel p(a: int) key(a) observes seen.",
        "input rel seen(a: int, hash: str).\neffect rel p(a: int) key(a) observes seen.",
    ),
    "KDL405": Story(
        "A given fact is not whole",
        "`given` asserts one fact: every column has a value, and there are no variables.",
        'input rel p(a: int, b: int).\ntest "t" { given p(a: 1). }',
        'input rel p(a: int, b: int).\ntest "t" { given p(1, 2). }',
    ),
    "KDL406": Story(
        "A test file holds tests alone",
        "A file named `x_test.dl` has a module line and tests; rules and declarations would change the program that "
        "is tested.",
        "",
        "",
    ),
    "KDL407": Story(
        "Only an effect observes",
        "`observes` belongs to `effect rel`: the executor compares its facts with the observed ones.",
        "input rel seen(a: int, hash: str).\nrel p(a: int) key(a) observes seen.",
        "input rel seen(a: int, hash: str).\neffect rel p(a: int) key(a) observes seen.",
    ),
}
