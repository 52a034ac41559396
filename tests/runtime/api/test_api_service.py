"""The verbs on objects, on a store in memory with a clock that the test moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from kdl.fact import Document, plain
from kdl.runtime.api.errors import ApiError
from kdl.runtime.api.reading import Event
from kdl.runtime.api.representation import rendered
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import VirtualClock
from kdl.runtime.store import MemoryStore, Source


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def objects(clock: VirtualClock) -> Objects:
    return Objects(MemoryStore(), clock)


def pod(name: str | None = "web", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**({"name": name} if name else {}), **metadata},
        "spec": {"containers": [{"name": "c", "image": "busybox:1.36"}]},
    }


def deployment(replicas: int = 3) -> dict[str, Any]:
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod()["spec"]},
        },
    }


def configmap(name: str = "cm", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


@contextmanager
def refused(status: int, reason: str) -> Iterator[pytest.ExceptionInfo[ApiError]]:
    with pytest.raises(ApiError) as caught:
        yield caught
    assert (caught.value.status, caught.value.reason) == (status, reason)


def watched(objects: Objects, *args: Any, **options: Any) -> list[tuple[str, str]]:
    seen: list[tuple[str, str]] = []

    def tell(events: Sequence[Event]) -> None:
        seen.extend((event.type, event.object.key.name) for event in events)

    objects.watch(tell, *args, **options)
    return seen


def test_a_created_object_has_uid_time_generation_and_defaults(objects: Objects) -> None:
    created = objects.create(deployment())
    metadata = created.doc["metadata"]
    assert created.key.id == "default/web"
    assert len(metadata["uid"]) == 36
    assert metadata["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert metadata["generation"] == 1
    assert created.doc["spec"]["strategy"]["type"] == "RollingUpdate"
    assert rendered(created)["metadata"]["resourceVersion"] == str(created.revision)


def test_creating_twice_already_exists(objects: Objects) -> None:
    objects.create(pod())
    with refused(409, "AlreadyExists"):
        objects.create(pod())


def test_a_generated_name_ends_in_the_suffix_so_that_a_repeated_create_finds_itself(objects: Objects) -> None:
    first = objects.create(pod(None, generateName="web-"), suffix="abc12")
    assert first.key.name == "web-abc12"
    with refused(409, "AlreadyExists"):
        objects.create(pod(None, generateName="web-"), suffix="abc12")
    assert objects.create(pod(None, generateName="web-")).key.name.startswith("web-")


def test_a_new_pod_is_pending_whatever_its_author_says(objects: Objects) -> None:
    created = objects.create({**pod(), "status": {"phase": "Running", "podIP": "1.2.3.4"}})
    assert created.doc["status"] == {"phase": "Pending"}


def test_a_mistaken_object_is_invalid_and_nothing_is_written(objects: Objects) -> None:
    before = objects.store.revision
    with refused(400, "BadRequest") as caught:
        objects.create({**pod(), "spec": {"containers": [{"name": "c", "imag": "x"}]}})
    assert 'strict decoding error: unknown field "spec.containers[0].imag"' in caught.value.message
    with refused(422, "Invalid") as caught:
        objects.create({**pod(), "spec": {"containers": [{"name": "c", "image": 1}]}})
    (cause,) = caught.value.details["causes"]
    assert (cause["field"], cause["reason"]) == ("spec.containers[0].image", "FieldValueTypeInvalid")
    assert objects.store.revision == before


def test_objects_live_in_namespaces_that_exist(objects: Objects) -> None:
    with refused(404, "NotFound"):
        objects.create(pod(namespace="nowhere"))
    objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    objects.create(pod(namespace="n"))


def test_a_deleted_namespace_is_terminating_until_its_finalizers_are_empty(objects: Objects) -> None:
    objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    objects.delete("Namespace", "n")
    assert objects.get("Namespace", "n").doc["status"]["phase"] == "Terminating"
    objects.patch("Namespace", "n", [("/spec/finalizers", None)])
    with refused(404, "NotFound"):
        objects.get("Namespace", "n")


def test_lists_are_by_id_and_select_by_namespace_label_and_field(objects: Objects) -> None:
    objects.create(pod("b", labels={"app": "web"}))
    objects.create(pod("a", labels={"app": "web", "tier": "x"}))
    objects.create(pod("c", namespace="kube-system"))
    objects.bind("default/b", "n1")

    def names(**options: Any) -> list[str]:
        return [item.key.name for item in objects.list("Pod", **options)[0]]

    assert names() == ["a", "b", "c"]
    assert names(namespace="default") == ["a", "b"]
    assert names(labels="app=web,!tier") == ["b"]
    assert names(fields="spec.nodeName=n1") == ["b"]
    assert names(fields="spec.nodeName!=n1,status.phase=Pending") == ["a", "c"]
    assert names(fields="metadata.name=c") == ["c"]


def test_what_was_read_can_be_written_back(objects: Objects) -> None:
    paused = deployment()
    paused["spec"]["paused"] = True
    read = objects.create(paused)
    assert objects.update(rendered(read)).revision == read.revision
    assert objects.update(read.doc).revision == read.revision


def test_an_update_with_an_old_resource_version_conflicts(objects: Objects) -> None:
    old = rendered(objects.create(configmap(a="1")))
    objects.update({**old, "data": {"a": "2"}})
    with refused(409, "Conflict"):
        objects.update({**old, "data": {"a": "3"}})
    assert objects.get("ConfigMap", "default/cm").doc["data"] == {"a": "2"}


def test_an_update_cannot_change_what_the_system_says(objects: Objects) -> None:
    created = objects.create(configmap(a="1"))
    with refused(409, "Conflict"):
        objects.update({**configmap(a="2"), "metadata": {"name": "cm", "uid": "other"}})
    changed = configmap(a="2")
    changed["metadata"] |= {"creationTimestamp": "2000-01-01T00:00:00Z", "labels": {"x": "y"}}
    metadata = objects.update(changed).doc["metadata"]
    assert {**metadata, "labels": None} == {**created.doc["metadata"], "labels": None}


def test_the_generation_counts_changes_of_the_spec_only(objects: Objects) -> None:
    objects.create(deployment(3))
    assert objects.update(deployment(4)).doc["metadata"]["generation"] == 2
    labelled = deployment(4)
    labelled["metadata"]["labels"] = {"a": "b"}
    assert objects.update(labelled).doc["metadata"]["generation"] == 2
    assert objects.patch("Deployment", "default/web", [("/status/replicas", 1)]).doc["metadata"]["generation"] == 2
    assert objects.patch("Deployment", "default/web", [("/spec/replicas", 5)]).doc["metadata"]["generation"] == 3


def test_an_update_leaves_the_status_and_a_status_update_leaves_the_rest(objects: Objects) -> None:
    objects.create(deployment(3))
    objects.update_status({**deployment(9), "status": {"replicas": 2}})
    updated = objects.update({**deployment(4), "status": {"replicas": 99}})
    assert (updated.doc["spec"]["replicas"], updated.doc["status"]) == (4, {"replicas": 2})


def test_a_pod_takes_another_image_and_no_other_command(objects: Objects) -> None:
    objects.create(pod())
    changed = pod()
    changed["spec"]["containers"][0]["image"] = "busybox:1.37"
    assert objects.update(changed).doc["spec"]["containers"][0]["image"] == "busybox:1.37"
    changed["spec"]["containers"][0]["command"] = ["true"]
    with refused(422, "Invalid") as caught:
        objects.update(changed)
    assert "`spec.containers[*].image`" in caught.value.message


def test_an_immutable_field_stays(objects: Objects) -> None:
    objects.create(deployment())
    changed = deployment()
    changed["spec"]["selector"] = {"matchLabels": {"app": "b"}}
    changed["spec"]["template"]["metadata"]["labels"] = {"app": "b"}
    with refused(422, "Invalid") as caught:
        objects.update(changed)
    assert "spec.selector" in caught.value.message


def test_an_allocated_address_survives_an_update_that_leaves_it_out(objects: Objects) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    objects.create(service)
    objects.patch("Service", "default/s", [("/spec/clusterIP", "10.96.0.7")])
    assert objects.update(service).doc["spec"]["clusterIP"] == "10.96.0.7"


def test_a_service_of_another_type_is_without_what_only_its_old_one_has(objects: Objects) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    service["spec"] |= {"type": "NodePort", "selector": {"app": "a"}}
    kind = objects.kind("Service")
    objects.create(service)
    objects.patch("Service", "default/s", [("/spec/clusterIP", "10.96.0.7"), ("/spec/ports/0/nodePort", 30080)])

    def retyped(**fields: Any) -> Document:
        stored = plain(objects.get("Service", "default/s").doc)
        return objects.update({**stored, "spec": {**stored["spec"], **fields}}, kind=kind, id_="default/s").doc["spec"]

    with refused(422, "Invalid"):
        retyped(type="ClusterIP", ports=[{"port": 80, "nodePort": 30081}])
    spec = retyped(type="ClusterIP")
    assert spec["clusterIP"] == "10.96.0.7"
    assert spec["internalTrafficPolicy"] == "Cluster"
    assert "externalTrafficPolicy" not in spec
    assert "nodePort" not in spec["ports"][0]
    spec = retyped(type="ExternalName", externalName="elsewhere.example")
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "internalTrafficPolicy"} & spec.keys()
    assert "externalName" not in retyped(type="ClusterIP")


def test_a_patch_of_many_fields_is_one_write_and_of_no_change_none(objects: Objects) -> None:
    objects.create(pod())
    before = objects.store.revision
    fields = [("/status/phase", "Running"), ("/status/podIP", "10.0.0.1"), ("/metadata/labels/a~1b", "c")]
    patched = objects.patch("Pod", "default/web", fields)
    assert patched.doc["status"] == {"phase": "Running", "podIP": "10.0.0.1"}
    assert patched.doc["metadata"]["labels"] == {"a/b": "c"}
    assert objects.patch("Pod", "default/web", fields).revision == objects.store.revision == before + 1
    assert "podIP" not in objects.patch("Pod", "default/web", [("/status/podIP", None)]).doc["status"]


def test_a_patch_shares_what_it_leaves_alone(objects: Objects) -> None:
    before = objects.create(pod())
    after = objects.patch("Pod", "default/web", [("/status/phase", "Running")])
    assert after.doc["spec"] is before.doc["spec"]
    assert after.doc["metadata"] is before.doc["metadata"]


def test_a_patch_that_breaks_the_object_is_invalid(objects: Objects) -> None:
    objects.create(deployment())
    with refused(422, "Invalid"):
        objects.patch("Deployment", "default/web", [("/spec/replicas", "many")])


@pytest.mark.parametrize("verb", ["patch", "delete", "bind"])
def test_a_command_on_another_incarnation_is_refused(objects: Objects, verb: str) -> None:
    objects.create(pod())
    commands: dict[str, Callable[..., object]] = {
        "patch": lambda **p: objects.patch("Pod", "default/web", [("/status/phase", "Failed")], **p),
        "delete": lambda **p: objects.delete("Pod", "default/web", **p),
        "bind": lambda **p: objects.bind("default/web", "n1", **p),
    }
    preconditions: list[dict[str, Any]] = [{"uid": "another"}, {"resource_version": 999}]
    for precondition in preconditions:
        with refused(409, "Conflict"):
            commands[verb](**precondition)
    assert objects.get("Pod", "default/web").doc["status"] == {"phase": "Pending"}


def test_a_pod_is_bound_once(objects: Objects) -> None:
    created = objects.create(pod())
    bound = objects.bind("default/web", "n1", uid=created.uid)
    assert bound.doc["spec"]["nodeName"] == "n1"
    assert bound.doc["status"]["conditions"] == (
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
    )
    with refused(409, "Conflict"):
        objects.bind("default/web", "n2")


def test_a_condition_keeps_its_transition_time_while_its_status_is_the_same(
    objects: Objects, clock: VirtualClock
) -> None:
    objects.create(pod())

    def ready(status: str, reason: str) -> tuple[str, str]:
        condition = {"type": "Ready", "status": status, "reason": reason}
        (stored,) = objects.patch("Pod", "default/web", [("/status/conditions", [condition])]).doc["status"][
            "conditions"
        ]
        return stored["lastTransitionTime"], stored["reason"]

    first = ready("False", "Starting")
    clock.advance(5000)
    assert ready("False", "Waiting") == (first[0], "Waiting")
    revision = objects.store.revision
    assert ready("False", "Waiting") == (first[0], "Waiting")
    assert objects.store.revision == revision
    assert ready("True", "Fine")[0] == "2026-01-01T00:00:05Z"


def test_a_pod_without_a_node_goes_at_once_and_one_on_a_node_when_its_agent_says_so(objects: Objects) -> None:
    objects.create(pod("free"))
    objects.delete("Pod", "default/free")
    assert objects.find("Pod", "default/free") is None
    objects.create(pod())
    objects.bind("default/web", "n1")
    objects.delete("Pod", "default/web")
    metadata = objects.get("Pod", "default/web").doc["metadata"]
    assert (metadata["deletionTimestamp"], metadata["deletionGracePeriodSeconds"]) == ("2026-01-01T00:00:30Z", 30)
    objects.delete("Pod", "default/web", grace_seconds=60)  # it never gets longer
    assert objects.get("Pod", "default/web").doc["metadata"] == metadata
    objects.delete("Pod", "default/web", grace_seconds=5)
    assert objects.get("Pod", "default/web").doc["metadata"]["deletionGracePeriodSeconds"] == 5
    objects.delete("Pod", "default/web", grace_seconds=0)
    assert objects.find("Pod", "default/web") is None


def test_a_finalizer_holds_an_object_until_it_is_taken_off(objects: Objects) -> None:
    held = configmap()
    held["metadata"]["finalizers"] = ["example.com/mine"]
    objects.create(held)
    objects.delete("ConfigMap", "default/cm")
    assert "deletionTimestamp" in objects.get("ConfigMap", "default/cm").doc["metadata"]
    more = configmap()
    more["metadata"]["finalizers"] = ["example.com/mine", "example.com/late"]
    with refused(422, "Invalid"):
        objects.update(more)
    objects.update(configmap())
    assert objects.find("ConfigMap", "default/cm") is None


@pytest.mark.parametrize(
    ("policy", "finalizers"), [("Orphan", ("orphan",)), ("Foreground", ("foregroundDeletion",)), ("Background", None)]
)
def test_the_propagation_policy_is_kept_as_a_finalizer(
    objects: Objects, policy: str, finalizers: tuple[str, ...] | None
) -> None:
    objects.create(deployment())
    objects.delete("Deployment", "default/web", propagation=policy)
    found = objects.find("Deployment", "default/web")
    assert (found and found.doc["metadata"]["finalizers"]) == finalizers


def test_verbs_in_one_transaction_share_a_commit_and_see_each_other(objects: Objects) -> None:
    seen = watched(objects, "Pod")
    with objects.transaction(now=1_800_000_000_000) as batch:
        created = batch.create(pod())
        batch.bind("default/web", "n1")
        with refused(409, "Conflict"):
            batch.bind("default/web", "n2")
        assert [change.type for change in batch.changes] == ["ADDED", "MODIFIED"]
        assert seen == []
    assert seen == [("ADDED", "web"), ("MODIFIED", "web")]
    assert created.doc["metadata"]["creationTimestamp"] == "2027-01-15T08:00:00Z"


def test_a_tick_sees_what_earlier_ticks_wrote_before_it_is_durable(objects: Objects) -> None:
    revision = objects.store.revision
    with objects.transaction(wait=False) as tick:
        tick.create(pod())
    with objects.transaction(wait=False) as tick:
        assert [change.type for change in tick.since(revision)] == ["ADDED"]
        tick.bind("default/web", "n1")
        assert [change.type for change in tick.since(revision)] == ["ADDED", "MODIFIED"]
    assert objects.find("Pod", "default/web") is None
    objects.store.flush()
    assert objects.get("Pod", "default/web").doc["spec"]["nodeName"] == "n1"


def test_a_dropped_transaction_writes_nothing(objects: Objects) -> None:
    with pytest.raises(ZeroDivisionError), objects.transaction() as batch:  # noqa: PT012 - the block is what is tested
        batch.create(pod())
        raise ZeroDivisionError
    assert objects.find("Pod", "default/web") is None


def test_a_dry_run_answers_and_writes_nothing(objects: Objects) -> None:
    revision = objects.store.revision
    assert objects.create(configmap(), dry_run=True).doc["metadata"]["uid"]
    assert (objects.find("ConfigMap", "default/cm"), objects.store.revision) == (None, revision)


def test_a_watch_begins_with_what_there_is_and_goes_on_without_gap(objects: Objects) -> None:
    objects.create(configmap("a"))
    seen = watched(objects, "ConfigMap")
    objects.create(configmap("b"))
    objects.update(configmap("b", x="y"))
    objects.delete("ConfigMap", "default/a")
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "a")]


def test_a_watch_from_a_revision_misses_nothing_and_repeats_nothing(objects: Objects) -> None:
    objects.create(configmap("a"))
    _, revision = objects.list("ConfigMap")
    objects.create(configmap("b"))
    assert watched(objects, "ConfigMap", since=revision) == [("ADDED", "b")]


def test_a_watch_with_a_selector_tells_of_coming_and_going(objects: Objects) -> None:
    seen = watched(objects, "Pod", "default", "app=web")
    objects.create(pod(labels={"app": "db"}))
    objects.patch("Pod", "default/web", [("/metadata/labels/app", "web")])
    objects.patch("Pod", "default/web", [("/status/phase", "Running")])
    objects.patch("Pod", "default/web", [("/metadata/labels/app", "db")])
    objects.delete("Pod", "default/web")
    assert seen == [("ADDED", "web"), ("MODIFIED", "web"), ("DELETED", "web")]


def test_a_watch_from_too_long_ago_is_expired(clock: VirtualClock) -> None:
    objects = Objects(MemoryStore(retain=3), clock)
    for number in range(9):
        objects.create(configmap(f"c{number}"))
    with refused(410, "Expired"):
        watched(objects, "ConfigMap", since=1)


def test_telling_the_same_event_again_counts_it(objects: Objects) -> None:
    objects.create(pod())
    for _ in range(3):
        objects.event("Pod", "default/web", "BackOff", "back-off restarting", "Warning")
    ((event,), _) = objects.list("Event")
    assert (event.doc["count"], event.doc["involvedObject"]["name"]) == (3, "web")


def test_a_source_is_kept_with_its_object(objects: Objects) -> None:
    created = objects.create(configmap(), source=Source("a.yaml", {"/data": 4}))
    assert objects.store.source(created.uid) == Source("a.yaml", {"/data": 4})
    objects.update(configmap(a="1"), source=Source("a.yaml", {"/data": 5}))
    assert objects.store.source(created.uid) == Source("a.yaml", {"/data": 5})


def test_ten_writers_with_conflicts_lose_no_update(objects: Objects) -> None:
    objects.create(configmap(count="0"))
    conflicts = []

    def count() -> None:
        done = 0
        while done < 100:
            current = rendered(objects.get("ConfigMap", "default/cm"))
            try:
                objects.update({**current, "data": {"count": str(int(current["data"]["count"]) + 1)}})
                done += 1
            except ApiError as error:
                conflicts.append(error.reason)

    threads = [threading.Thread(target=count) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert objects.get("ConfigMap", "default/cm").doc["data"]["count"] == "1000"
    assert set(conflicts) <= {"Conflict"}


def test_errors_are_status_objects(objects: Objects) -> None:
    with pytest.raises(ApiError) as caught:
        objects.get("Deployment", "default/none")
    assert caught.value.document() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'deployments.apps "none" not found',
        "reason": "NotFound",
        "details": {"name": "none", "group": "apps", "kind": "deployments"},
        "code": 404,
    }
