"""Types are known from the text: what cannot hold is refused, what can is let through."""

import pytest

from tests.rules.programs import mistake, program

DECLARED = """
type node = str.
type pod_id = str.
input rel host(name: node).
input rel pod(id: pod_id, on: node, index: int, at: time, ok: bool, doc: json).
rel text(a: str).
rel number(a: int).
rel anything(a: any).
rel name(a: node).
"""

FINE = [
    "number(X) :- pod(index: I, at: T), X = T - T + I.",
    "number(X) :- pod(doc: D), X = D.spec.replicas ?? 1.",
    "text(X) :- pod(doc: D), X = D.name.",
    "text(X) :- host(X).",
    'name("n1").',
    "name(X) :- text(X).",
    'name(N) :- host(N), N != "n1".',
    "name(N) :- pod(on: N), host(N).",
    'text(A) :- pod(id: P), (A, _) = split(P, "/").',
    'text(f"{I}{T}{B}") :- pod(index: I, at: T, ok: B).',
    "number(N) :- N = count : { host(_) }.",
    "number(I) :- pod(doc: D), I: _ in [D].",
    "text(K) :- pod(doc: D), K: _ in D.",
    "text(N) :- (_, N) = max (I, P) : { pod(id: P, index: I) }.",
    "anything(X) :- pod(index: X).",
    "anything(X) :- pod(doc: D), X = D.a ?? null.",
    "number(1) :- pod(ok: B), B.",
    "number(1) :- pod(ok: B, doc: D), not B, D.flag, D.flag or B.",
    'text(X) :- pod(doc: D), X = "a" if D.x else "b".',
    "number(X) :- pod(index: I), X = least(I, 3).",
]

WRONG = [
    ("text(X) :- pod(index: X).", "KDL221"),
    ("number(1.5).", "KDL221"),
    ("number(null).", "KDL221"),
    ("number(true).", "KDL221"),
    ("name(P) :- pod(id: P).", "KDL221"),
    ("name(P) :- pod(id: P), host(P).", "KDL220"),
    ("number(X) :- pod(index: X, ok: X).", "KDL220"),
    ("number(1) :- pod(id: P, on: N), P = N.", "KDL222"),
    ("number(1) :- pod(index: I), I = true.", "KDL222"),
    ('number(1) :- pod(index: I), I < "a".', "KDL222"),
    ("number(1) :- pod(ok: B), B < true.", "KDL222"),
    ("number(I + B) :- pod(index: I, ok: B).", "KDL222"),
    ("text(X) :- pod(id: P), X = P.name.", "KDL222"),
    ("number(1) :- pod(index: I), I.", "KDL224"),
    ("number(1) :- pod(index: I, ok: B), B and I.", "KDL224"),
    ("number(1) :- pod(index: I), _ in I.", "KDL222"),
    ("number(1) :- pod(id: P), due(P).", "KDL222"),
    ("number(N) :- N = sum P : { pod(id: P) }.", "KDL222"),
    ("number(N) :- N = count : { host(_) }, text(N).", "KDL220"),
    ("text(lower(I)) :- pod(index: I).", "KDL223"),
    ("number(1) :- pod(id: P), (A, B, C) = (P, P), A = B, B = C.", "KDL222"),
    ('anything({1: "a"}).', "KDL222"),
    ('test "t" { advance "30s". }', "KDL221"),
]


@pytest.mark.parametrize("rule", FINE)
def test_what_can_hold_is_let_through(rule: str):
    assert program(DECLARED + rule).rules


@pytest.mark.parametrize(("rule", "code"), WRONG)
def test_what_cannot_hold_is_refused(rule: str, code: str):
    assert mistake(DECLARED + rule).code == code


def test_a_mismatch_tells_where_each_type_is_from():
    found = mistake(DECLARED + "number(1) :- pod(id: P), host(P).")
    notes = [note.message for note in found.notes]
    assert notes == ["it is column `id` of `pod`", "here it is column `name` of `host`"]
