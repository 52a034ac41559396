"""What requests are made of: words that mean something to a Kubernetes API, and some that do not."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

SPACES: Final = (*["default"] * 6, "kube-system", "nope")
NAMES: Final = ("a", "b", "web", "db", "x.example.com", "system:node", "web-0")
JUNK: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 1.5, -0.0, 1e308, "", "a", "-", "a/b", "é", "\x00",
    "\ud7ff",
    "1", "1Gi", "-5m", "99999999999999999999Ei", "2024-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "{}", "a" * 300,
    [], {},
    [None], [[]], {"": ""}, {"a": None}, [{}], {"name": []}, "%", "*", "$(A)", "../..", "!!int", "10.0.0.0/33",
    "::1/129",
)  # fmt: skip
QUERY: Final[Mapping[str, Sequence[str]]] = {
    "labelSelector": ("app=web", "a in (b, c)", "!a", "a notin (b", "=", "a==b,c!=d", ",", "é=1", "a>1"),
    "fieldSelector": ("metadata.name=a", "spec.nodeName!=x", "status.phase=Running", "x=y", "=", "a",
    "metadata.name=a\\,b"),
    "continue": ("x", "eyJydiI6MSwiYWZ0ZXIiOiJhIn0=", "eyJydiI6LTEsImFmdGVyIjoxfQ==", "é", "e30=", "W10="),
    "limit": ("1", "0", "2", "-1", "x", "99999999999999999999", "1.5"),
    "resourceVersion": ("0", "1", "5", "99999999999999999999", "-1", "x"),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "x"),
    "watch": ("true", "1", "false", "x"), "sendInitialEvents": ("true", "false"), "allowWatchBookmarks": ("true",),
    "dryRun": ("All", "All", "All", "x"), "fieldManager": ("me", "", "é", "x" * 200, "kdl"),
    "fieldValidation": ("Strict", "Warn", "Ignore", "x"), "force": ("true", "false", "x"),
    "gracePeriodSeconds": ("0", "5", "-1", "x", "99999999999999999999"), "pretty": ("true",),
    "propagationPolicy": ("Background", "Foreground", "Orphan", "x"), "orphanDependents": ("true", "x"),
    "includeObject": ("Object", "None", "x"), "container": ("a", "c", "é"), "tailLines": ("1", "x", "-1"),
    "sinceSeconds": ("1", "99999999999999999999"), "sinceTime": ("2024-01-01T00:00:00Z", "x"), "limitBytes": ("0",
    "x"),
    "command": ("sh", ""), "ports": ("80", "x"),
}  # fmt: skip
ACCEPTED: Final = (
    "*/*", "application/json", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "text/html", "",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/vnd.kubernetes.protobuf",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", ";;;=,", "application/json;as=Table;v=v2",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
)  # fmt: skip
MEDIA: Final = (
    "application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "text/xml", "", "a;b=c;;", "é",
    "application/merge-patch+json", "application/json-patch+json", "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)  # fmt: skip
PATCHES: Final = MEDIA[-4:]
PARTS: Final = ("binding", "eviction", "token", "log", "exec", "attach", "portforward", "finalize", "scale", "status",
                "ephemeralcontainers", "proxy", "x")  # fmt: skip
PATHS: Final = (
    "/", "/api", "/apis", "/apis/apps", "/apis/apps/v1", "/api/v1", "/openapi/v2", "/openapi/v3", "/openapi/v3/api/v1",
    "/version", "/healthz", "/readyz/ping", "/livez?verbose", "/metrics", "//", "/api//v1/pods",
    "/api/v1/namespaces//pods",
    "/api/v1/namespaces/default/pods/..", "/api/v1/namespaces/default/pods/%2e%2e/secrets", "/api/v1/%6eamespaces",
    "/%00",
    "/api/v1/namespaces/default/pods/a%2Flog", "/api/v1/namespaces/default/pods/a/log/b", "/apis/%C3%A9/v1/x",
    "/%ff%fe",
    "/kdl/v1/", "/kdl/v1/query", "/kdl/v1/nothing", "/.well-known/openid-configuration", "/openid/v1/jwks", "/logs/x",
)  # fmt: skip
QUESTIONS: Final = (
    "core.pod(id: P)", "core.object(kind: K, id: I)", "access.may(\"a\", \"get\", \"pods\", \"default\", _)", "x",
    "core.pod(",
    "core.pod(id: \"default/a\")", "sched.bind(P, N)", "api.bind(\"default/web\", N)", "core.pod(id: 1)", "_", "1 = 1",
    "resources.qos(P, C)", "network.isolated(P, D)", "core.on_node(P, N), N != \"x\"", "f(X)", "\"",
    "X in range(1, 100)",
)  # fmt: skip


def _one(*words: Any) -> Callable[[random.Random], Any]:
    return lambda chance: chance.choice(words)


def _labels(chance: random.Random) -> dict[str, str]:
    return {
        key: chance.choice(("web", "db", ""))
        for key in chance.sample(("app", "tier", "a.b/c"), chance.choice((0, 1, 2)))
    }


MUST: Final = (
    "metadata",
    "name",
    "spec",
    "template",
    "selector",
    "containers",
    "image",
    "rules",
    "roleRef",
    "subjects",
)
"""Fields that are there wherever they may be: without them little is accepted."""

HINTS: Final[Mapping[str, Callable[[random.Random], Any]]] = {
    "name": _one(*NAMES), "namespace": _one(*SPACES), "image": _one("x:1", "a/b:2"),
    "labels": _labels, "matchLabels": _labels, "nodeSelector": _labels, "annotations": _labels,
    "containerPort": _one(80, 8080, 65535), "port": _one(80, 443),
    "nodePort": _one(30000, 30001), "replicas": _one(0, 1, 2, 3), "resourceVersion": _one(""),
    "dnsPolicy": _one("ClusterFirst", "Default", "None"), "restartPolicy": _one("Always", "Always", "OnFailure",
    "Never"),
    "imagePullPolicy": _one("Always", "IfNotPresent", "Never"), "scope": _one("Namespaced", "Cluster"),
    "podManagementPolicy": _one("OrderedReady", "Parallel"), "hostNetwork": _one(False), "type": _one("ClusterIP",
    "Opaque", "RollingUpdate"),
    "roleRef": _one(*({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
    "name": name} for name in NAMES)),
    "subjects": _one(*([{"kind": "ServiceAccount", "name": name, "namespace": "default"}] for name in NAMES)),
    "uid": _one("", "u"), "creationTimestamp": _one(None), "deletionTimestamp": _one(None), "generation": _one(1),
    "deletionGracePeriodSeconds": _one(None), "selfLink": _one(""), "finalizers": _one([], [], [],
    ["a.example.com/x"]),
    "ownerReferences": _one([], [], [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u",
    "controller": True}]),
    "protocol": _one("TCP", "UDP", "SCTP"), "cidr": _one("10.0.0.0/8", "::/0"), "nodeName": _one("", "node-1"),
    "clusterIP": _one("", "None", "10.96.0.9"), "schedule": _one("* * * * *", "@daily"), "schedulerName": _one("",
    "default-scheduler"),
}  # fmt: skip
