"""Admission inside the write's transaction: what is counted is counted one write after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kdl.parser.source import shipped
from kdl.rules.program import Program
from kdl.runtime.admission import Admission
from kdl.runtime.api.errors import ApiError
from kdl.runtime.api.gate import AUTHENTICATED, User
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import SystemClock
from kdl.runtime.programs import compile
from kdl.runtime.store import MemoryStore, SqliteStore, Store

JANE = User("jane", (AUTHENTICATED,))


@pytest.fixture(scope="module")
def program() -> Program:
    return compile(shipped())


def objects_of(program: Program, store: Store) -> Objects:
    clock = SystemClock()
    return Objects(store, clock, admit=Admission(program, store, clock))


@pytest.fixture
def objects(program: Program) -> Objects:
    return objects_of(program, MemoryStore())


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "busybox:1.36"}], **spec},
    }


def quota(**hard: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}}


@contextmanager
def refused(status: int, text: str) -> Iterator[None]:
    with pytest.raises(ApiError) as caught:
        yield
    assert caught.value.status == status
    assert text in caught.value.message


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_of_50_concurrent_creators_a_quota_of_10_pods_admits_exactly_10(program, kind, tmp_path: Path):
    store = MemoryStore() if kind == "memory" else SqliteStore(tmp_path)
    objects = objects_of(program, store)
    objects.create(quota(pods="10"))
    admitted, denied = [], []
    begin = threading.Barrier(50)

    def creator(number: int) -> None:
        begin.wait()
        try:
            objects.by(JANE).create(pod(f"p-{number}"))
        except ApiError as error:
            denied.append(error.message)
        else:
            admitted.append(number)

    threads = [threading.Thread(target=creator, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == len(objects.list("Pod")[0]) == 10
    assert len(denied) == 40
    assert all("exceeded quota: q, requested: pods=1, used: pods=10, limited: pods=10" in text for text in denied)
    store.close()


def test_what_a_dropped_transaction_wrote_is_not_counted(objects):
    objects.create(quota(pods="2"))
    for _ in range(3):
        with refused(404, "not found"), objects.transaction() as batch:
            batch.create(pod("a"))
            batch.create(pod("b"))
            batch.get("Pod", "default/c")
    objects.create(pod("a"))
    objects.create(pod("b"))
    with refused(403, "exceeded quota"):
        objects.create(pod("c"))
    objects.delete("Pod", "default/a")
    objects.create(pod("c"))


def test_writes_that_are_not_reviewed_may_be_more_than_the_log_keeps(program):
    """Status is written without a review; the next reviewed write counts what there is all the same."""
    store = MemoryStore(retain=20)
    objects = objects_of(program, store)
    objects.create(quota(pods="2"))
    objects.create(pod("a"))
    objects.create(pod("gone"))
    with store.transaction() as t:
        t.delete(next(item.key for item in t.objects("", "Pod") if item.key.name == "gone"))
    for number in range(50):
        objects.patch("Pod", "default/a", [("/status/message", str(number))])
    objects.create(pod("b"))
    with refused(403, "exceeded quota"):
        objects.create(pod("c"))


def test_a_transaction_counts_its_own_writes(objects):
    objects.create(quota(pods="2"))
    with refused(403, "exceeded quota"), objects.transaction() as batch:
        for name in "abc":
            batch.create(pod(name))
    assert objects.list("Pod")[0] == []


def test_what_is_set_is_stored_with_its_defaults(objects):
    stored = objects.create(pod("a")).doc["spec"]
    assert stored["serviceAccountName"] == "default"
    assert stored["priority"] == 0
    assert {t["key"] for t in stored["tolerations"]} == {
        "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
    }  # fmt: skip


def test_an_object_is_refused_only_for_what_is_newly_wrong_with_it(objects):
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    objects.create(namespace)
    bad = pod("a", hostNetwork=True)
    bad["metadata"]["namespace"] = "n"
    objects.create(bad)
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    objects.patch("Namespace", "n", [("/metadata/labels", labels)])
    objects.patch("Pod", "n/a", [("/metadata/labels/seen", "yes")])
    with refused(403, 'pods "b" is forbidden: violates PodSecurity "baseline:latest": host namespaces'):
        objects.create({**bad, "metadata": {"name": "b", "namespace": "n"}})


def test_a_refusal_lists_every_violated_rule(objects):
    objects.create(quota(pods="0"))
    with pytest.raises(ApiError) as caught:
        objects.create(pod("a", priorityClassName="none"))
    causes = [cause["message"] for cause in caught.value.details["causes"]]
    assert causes == [
        "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0",
        "no PriorityClass with name none was found",
    ]


def test_the_systems_namespaces_cannot_be_deleted_and_nothing_is_made_in_one_that_goes(objects):
    with refused(403, "this namespace may not be deleted"):
        objects.delete("Namespace", "default")
    objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    objects.delete("Namespace", "n")
    with refused(403, "unable to create new content in namespace n because it is being terminated"):
        objects.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}})


def test_rules_that_do_not_come_to_rest_are_an_error_that_names_the_field(tmp_path):
    quarrel = tmp_path / "quarrel.dl"
    quarrel.write_text(
        "module quarrel.\nimport core.\nimport admission.\n"
        'admission.set("ConfigMap", I, "/data/x", "1") :- core.object("", "ConfigMap", I, _, D), D.data.x = "0".\n'
        'admission.set("ConfigMap", I, "/data/x", "0") :- core.object("", "ConfigMap", I, _, D), D.data.x = "1".\n'
    )
    objects = objects_of(compile([*shipped(), quarrel]), MemoryStore())
    with refused(500, "do not come to rest on /data/x"):
        objects.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x": "0"}})
    objects.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x": "2"}})


@pytest.mark.parametrize("kind", ["Role", "RoleBinding"])
def test_nobody_gives_what_they_do_not_have(objects, kind):
    group = "rbac.authorization.k8s.io"
    doc: dict[str, Any] = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "x"}}
    if kind == "Role":
        doc["rules"] = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    else:
        role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": "all"}}
        objects.create(role | {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]})
        doc["roleRef"] = {"apiGroup": group, "kind": "ClusterRole", "name": "all"}
        doc["subjects"] = [{"apiGroup": group, "kind": "User", "name": "jane"}]
    with refused(403, 'user "jane" is attempting to grant RBAC permissions not currently held'):
        objects.by(JANE).create(doc)
    assert objects.create(doc).doc["metadata"]["name"] == "x"


def test_a_rule_refuses_connections_by_what_is_wanted_and_by_whom(tmp_path: Path):
    rule = """module quiet.
import admission.
admission.deny_connection("Pod", P, f"{U} opens nothing in pods by {Part}") :-
    admission.request(operation: "CONNECT", kind: "Pod", id: P, subresource: Part, user: U), U = "jane",
    Part != "attach".
"""
    (tmp_path / "quiet.dl").write_text(rule)
    store, clock = MemoryStore(), SystemClock()
    objects = Objects(store, clock, admit=Admission(compile([*shipped(), tmp_path]), store, clock))
    objects.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
    objects.create(pod("web"))
    jane, revision = objects.by(JANE), store.revision
    for part in ("exec", "portforward"):
        with refused(403, f'pods "web" is forbidden: jane opens nothing in pods by {part}'):
            jane.connected("Pod", "default/web", part)
        assert objects.connected("Pod", "default/web", part).key.name == "web"
    assert jane.connected("Pod", "default/web", "attach").key.name == "web"
    with refused(404, "not found"):
        jane.connected("Pod", "default/nobody", "exec")
    assert store.revision == revision
