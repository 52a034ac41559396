"""The table of kinds answers to every name by which kubectl knows a kind."""

from __future__ import annotations

import pytest

from kdl.parser.manifest.kinds import BUILT_IN, KINDS, Kind, identity, lookup, stored


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("deploy", "Deployment"), ("Deployment", "Deployment"), ("deployments.apps", "Deployment"),
        ("deployments.v1.apps", "Deployment"), ("po", "Pod"), ("svc", "Service"), ("netpol", "NetworkPolicy"),
        ("ingresses.networking.k8s.io", "Ingress"), ("crds", "CustomResourceDefinition"), ("quota", "ResourceQuota"),
        ("pods", "Pod"), ("pods.metrics.k8s.io", "PodMetrics"), ("no", "Node"), ("nodes", "Node"),
        ("nodes.v1beta1.metrics.k8s.io", "NodeMetrics"),
    ],
)  # fmt: skip
def test_a_word_finds_its_kind(word: str, name: str) -> None:
    kind = lookup(word)
    assert kind is not None
    assert kind.name == name


def test_no_two_kinds_share_a_word_but_for_those_that_measure_the_others() -> None:
    kinds = [kind for kind in KINDS if kind.group != "metrics.k8s.io"]
    words = [word for kind in kinds for word in {kind.plural, kind.singular, *kind.short_names}]
    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("written", "name", "target"),
    [
        ("extensions/v1beta1", "Deployment", "apps/v1"), ("extensions/v1beta1", "Ingress", "networking.k8s.io/v1"),
        ("apps/v1beta2", "StatefulSet", "apps/v1"), ("batch/v1beta1", "CronJob", "batch/v1"),
        ("policy/v1beta1", "PodDisruptionBudget", "policy/v1"),
        ("autoscaling/v1", "HorizontalPodAutoscaler", "autoscaling/v2"),
        ("extensions/v1beta1", "PodSecurityPolicy", "policy/v1beta1"), ("v1", "Pod", "v1"),
    ],
)  # fmt: skip
def test_an_older_version_is_stored_in_the_current_one(written: str, name: str, target: str) -> None:
    kind = stored(written, name)
    assert kind is not None
    assert kind.api_version == target


def test_a_version_that_never_was_is_unknown() -> None:
    assert stored("apps/v9", "Deployment") is None
    assert stored("batch/v1beta1", "Job") is None


def test_a_custom_kind_is_known_beside_the_others_and_hides_none() -> None:
    mine = Kind("example.com", "v2", "Service", "services", "service", served=("v1",))
    kinds = BUILT_IN.with_known([mine])
    assert kinds.stored("example.com/v1", "Service") is mine
    assert kinds.lookup("services.example.com") is mine
    assert kinds.lookup("svc") is lookup("svc")


def test_an_identity_has_a_namespace_only_where_there_is_one() -> None:
    assert identity({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "b"}}) == (
        "apps", "Deployment", "b/a",
    )  # fmt: skip
    assert identity({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}) == ("", "Node", "n")
