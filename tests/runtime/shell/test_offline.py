"""Commands that need no cluster."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kdl.parser.source import shipped
from kdl.runtime import questions
from kdl.runtime.programs import compile
from kdl.runtime.questions import part_for
from kdl.runtime.shell.scratch import Scratch
from tests.runtime.shell.conftest import HELLO, POLICIES, ROOT, Kdl

WRONG_PROGRAMS = sorted((ROOT / "tests/diagnostics/programs").glob("*.dl"))


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDL_DATA", str(tmp_path / "none"))
    monkeypatch.chdir(ROOT)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom kdl.runtime.shell.cli import run\nassert run(['--help']) == 0\n"
        "heavy = {'lark', 'httpx', 'starlette', 'rich', 'docker', 'pydantic', 'yaml', 'kdl.rules.engine'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", WRONG_PROGRAMS, ids=lambda path: path.stem)
def test_a_wrong_program_is_one_error_with_a_place(kdl: Kdl, path: Path) -> None:
    said = kdl("check", "--alone", path)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error[KDL")
    assert path.name in said.err


def test_check_tells_its_findings_as_json(kdl: Kdl) -> None:
    said = kdl("check", "--alone", WRONG_PROGRAMS[0], "-o", "json")
    assert said.code == 2
    (finding,) = json.loads(said.out)["diagnostics"]
    assert finding["span"]["file"] == str(WRONG_PROGRAMS[0])
    assert json.loads(kdl("check", "-o", "json").out)["ok"] is True


def test_check_takes_the_shipped_packs_once(kdl: Kdl) -> None:
    assert kdl("check", "policies/core").code == 0
    assert kdl("check", "no-such-pack").code == 2


def test_the_tests_of_a_pack_are_run_and_a_failing_one_is_told(kdl: Kdl, tmp_path: Path) -> None:
    pack = tmp_path / "p.dl"
    pack.write_text(
        "input rel e(a: int).\nrel q(a: int).\nq(A) :- e(A), A > 1.\n"
        'test "two" { given e(2). expect q(2). }\ntest "one" { given e(1). expect q(1). }\n'
    )
    said = kdl("test", "--alone", pack)
    assert said.code == 1
    assert "failed: one" in said.out
    assert "1 passed, 1 failed" in said.out
    assert kdl("test", "--alone", pack, "-k", "two").code == 0
    assert kdl("test", "--alone", pack, "-k", "three").code == 1
    told = json.loads(kdl("test", "--alone", pack, "-o", "json").out)
    assert [test["passed"] for test in told["tests"]] == [True, False]


def test_explain_tells_a_codes_story(kdl: Kdl) -> None:
    assert kdl("explain", "KDL200").out.startswith("KDL200: ")
    assert kdl("explain", "kdl510").out == kdl("explain", "510").out
    assert kdl("explain", "KDL999").code == 2
    assert "KDL200" in kdl("explain").out
    assert json.loads(kdl("explain", "KDL200", "-o", "json").out)["code"] == "KDL200"


def test_eval_answers_about_manifests(kdl: Kdl) -> None:
    said = kdl("eval", "admission.deny(Kind, Id, _)", "-r", POLICIES, "-f", POLICIES / "latest.yaml", "-o", "json")
    assert said.code == 0
    assert {"Kind": "Pod", "Id": "default/floating"} in json.loads(said.out)
    assert kdl("eval", "core.pod(P, _, _, _)", "-f", HELLO) == (1, "no\n", "")
    assert kdl("eval", "core.pod(P, _, _, _)", "-f", HELLO, "--settle").out.count("default/hello-") == 3
    assert kdl("eval", "core.nothing(P)").code == 2
    assert kdl("eval", "core.pod(P, _, _, _)", "-f", "no-such.yaml").code == 2


def test_why_and_whynot_answer_about_manifests(kdl: Kdl) -> None:
    goal = 'admission.deny("Pod", "default/floating", _)'
    said = kdl("why", goal, "-r", POLICIES, "-f", POLICIES / "latest.yaml")
    assert said.code == 0
    assert "latest.yaml:" in said.out
    assert kdl("whynot", goal, "-r", POLICIES, "-f", POLICIES / "latest.yaml").code == 1
    assert kdl("why", 'admission.deny("Pod", "default/fixed", _)', "-r", POLICIES).code == 1
    assert json.loads(kdl("why", goal, "-r", POLICIES, "-f", POLICIES / "latest.yaml", "-o", "json").out)["holds"]


def test_a_plan_lists_operations_in_order_with_causes(kdl: Kdl) -> None:
    said = kdl("plan", "-f", HELLO)
    assert said.code == 0
    lines = said.out.splitlines()
    first = next(i for i, line in enumerate(lines) if "api.create:ReplicaSet" in line)
    bound = next(i for i, line in enumerate(lines) if "api.bind:" in line)
    made = next(i for i, line in enumerate(lines) if "node.container:" in line)
    assert first < bound < made
    assert "no ReplicaSet of Deployment default/hello has its template (deployments.dl:" in lines[first]
    told = json.loads(kdl("plan", "-f", HELLO, "-o", "json").out)
    assert len(told["operations"]) == len(lines) - 1
    assert {operation["verb"] for operation in told["operations"]} <= {"create", "replace", "run", "remove"}
    assert told["failed"] == []
    assert kdl("plan", "-f", ROOT / "tests/diagnostics/manifests/11-unknown-field.yaml").code == 2
    assert kdl("plan").code == 2


def test_the_repl_answers_each_line(kdl: Kdl) -> None:
    lines = [
        'core.service(S, _, _, _, "NodePort")',
        'assert node.served("a", "10.0.0.0/24", "10.0.0.1")',
        "facts node.served",
        'retract node.served("a", "10.0.0.0/24", "10.0.0.1")',
        "facts node.served",
        "rules resources.qos",
        'why core.service("default/hello", _, _, _, _)',
        'whynot core.service("default/nope", _, _, _, _)',
        'assert node.served("b", "10.0.1.0/24", "10.0.0.2")',
        "retract node.served(_, _, _)",
        "quit",
        "this is not read",
    ]
    said = kdl("repl", "-f", HELLO, stdin="\n".join(lines))
    assert said.code == 0, said.err
    assert "default/hello-public" in said.out
    assert '+ node.served("a", "10.0.0.0/24", "10.0.0.1")' in said.out
    assert '- node.served("a", "10.0.0.0/24", "10.0.0.1")' in said.out
    assert "no node.served" in said.out
    assert 'qos(P, "BestEffort") :-' in said.out
    assert "hello.yaml:" in said.out
    assert "does not hold" in said.out


@pytest.mark.parametrize(
    "line",
    [
        "core.pods(P)",
        "core.pod(P]",
        "facts nope",
        "why",
        "assert core.pod(X, Y, Z, U)",
        'assert core.pod("a", "b", "c", "d")',
        'retract node.served("a", "b", "c")',
        "load no-such.yaml",
        "load no-such.dl",
    ],
)
def test_the_repl_goes_on_after_a_wrong_line(kdl: Kdl, line: str) -> None:
    said = kdl("repl", stdin=f'{line}\n"x" = X\n')
    assert said.code == 1
    assert said.err
    assert said.out.endswith("x\n")


def test_the_repl_loads_rules_and_manifests(kdl: Kdl) -> None:
    lines = f"load {POLICIES}\nload {POLICIES / 'latest.yaml'}\nadmission.deny(_, Id, _)\n"
    said = kdl("repl", stdin=lines)
    assert said.code == 0, said.err
    assert "default/floating" in said.out


def test_completion_offers_commands_first_and_relations_by_any_part_of_their_names() -> None:
    from kdl.runtime.programs import compile
    from kdl.runtime.shell.completion import words

    program = compile("module m. input rel edge(a: int). rel path(a: int). path(A) :- edge(A).")
    assert words(program, "wh", ("facts", "why", "whynot")) == ["why", "whynot"]
    assert "m.edge" in words(program, "why ed")
    assert "why" not in words(program, "facts w", ("why",))


def test_an_unknown_command_is_a_usage_error(kdl: Kdl) -> None:
    assert kdl("frobnicate").code == 2
    assert kdl("up", "--frobnicate").code == 2
    started = time.monotonic()
    assert kdl("--help").code == 0
    assert time.monotonic() - started < 1


def test_warnings_fail_only_where_they_are_to(kdl: Kdl, tmp_path: Path) -> None:
    pack = tmp_path / "p.dl"
    pack.write_text("input rel q(a: int, b: int).\nrel p(a: int).\np(X) :- q(X, Y).\n")
    said = kdl("check", "--alone", pack)
    assert said.code == 0
    assert said.err.startswith("warning[KDL240]")
    assert said.out.endswith(", 1 warning\n")
    assert kdl("check", "--alone", "--strict", pack).code == 1
    found = json.loads(kdl("check", "--alone", "--strict", "-o", "json", pack).out)
    assert (found["ok"], found["diagnostics"][0]["severity"]) == (True, "warning")


def test_eval_works_out_a_part_of_the_packs_and_answers_as_all_of_them_would() -> None:
    program = compile(shipped())
    whole = Scratch(program, [HELLO]).engine
    told = sorted(name for name in program.relations if whole.count(name))[::7]
    assert len(told) > 5
    for name in told:
        query = f"{name}({', '.join(f'V{i}' for i in range(program.relations[name].arity))})"
        part = part_for(program, query)
        assert len(part.rules) < len(program.rules)
        assert questions.query(Scratch(part, [HELLO]).engine, query) == questions.query(whole, query)


def test_eval_by_pydatalog_answers_alike_or_says_why_it_cannot(kdl: Kdl) -> None:
    asked = ("eval", "sched.feasible(_, N)", "-f", HELLO, "--settle")
    said = kdl(*asked, "--engine", "pydatalog")
    assert said.out == kdl(*asked).out
    assert said.err == "pyDatalog's own: sched.feasible\n"
    said = kdl("eval", "core.pod_spec(P, S), size(S.containers) > 1", "-f", HELLO, "--engine", "pydatalog")
    assert said.code == 2
    assert said.err.startswith("Error: pyDatalog cannot answer this: the function `size`")


@pytest.mark.parametrize(
    "words",
    [
        ("eval", 'core.object(kind: "Secret", doc: D)', "-f"),
        ("eval", 'core.object(kind: "Secret", doc: D)', "-o", "json", "-f"),
        ("why", 'core.object("", "Secret", I, U, D)', "-f"),
        ("plan", "--all", "-o", "json", "-f"),
        ("plan", "--all", "-f"),
        ("whatif", "--world", "examples/02-policies/nodes.yaml", "-o", "json", "-f"),
    ],
    ids=" ".join,
)
def test_no_answer_about_manifests_has_secret_data(kdl: Kdl, tmp_path: Path, words: tuple[str, ...]) -> None:
    """It is the asker's own file, but what a command prints gets into logs."""
    source = {"valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
    container = {"name": "a", "image": "a:1", "command": ["$(PW)"], "env": [{"name": "PW", **source}]}
    documents = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"password": "hunter2"}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [container]}},
    ]
    file = tmp_path / "secret.yaml"
    file.write_text("\n---\n".join(json.dumps(document) for document in documents))
    said = kdl(*words, file)
    assert said.code == 0, said
    assert "hunter2" not in said.out + said.err
    assert base64.b64encode(b"hunter2").decode() not in said.out + said.err
