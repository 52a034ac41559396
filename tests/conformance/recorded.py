"""Reads verdicts recorded from other implementations and turns their partial documents into input facts."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
POLICIES = Path(__file__).parents[2] / "policies"

Facts = list[tuple[str, tuple[Any, ...]]]


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of one file, in order."""
    path = DATA / name
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return [json.loads(line) for line in text.splitlines()]


def pod(document: dict[str, Any], name: str, node: str | None = None) -> tuple[str, tuple[Any, ...]]:
    """A pod's fact; a document without a name gets one, and a pod on a node says so."""
    spec = document["spec"] | ({"nodeName": node} if node is not None else {})
    named = document["metadata"] | {"name": name}
    namespace = named.setdefault("namespace", "default")
    return (
        "core.object",
        ("", "Pod", f"{namespace}/{name}", f"uid-{name}", document | {"metadata": named, "spec": spec}),
    )


def node(document: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """A node's fact; one without a name is called `unnamed`."""
    name = node_name(document)
    named = document["metadata"] | {"name": name}
    return ("core.object", ("", "Node", name, f"uid-{name}", document | {"metadata": named}))


def node_name(document: dict[str, Any]) -> str:
    """The name that a node has in facts."""
    return str(document["metadata"].get("name") or "unnamed")


def cluster(case: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The facts of a scheduling case: its nodes, their pods, and the pod in question as `default/candidate`."""
    for index, entry in enumerate(case["nodes"]):
        yield node(entry["node"])
        for number, other in enumerate(entry.get("pods", ())):
            yield pod(other, f"other-{index}-{number}", node_name(entry["node"]))
    yield pod({**case["pod"], "metadata": {**case["pod"]["metadata"], "namespace": "default"}}, "candidate")
    yield ("sched.considered", ("default/candidate",))


def configuration(fields: dict[str, str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The facts of `pluginFields`: the plugin's own fields, as Go prints them."""
    if fields.get("enableTaintTolerationComparisonOperators") != "true":
        yield ("sched.disabled", ("TaintTolerationComparisonOperators",))
    for resource in re.findall(r"([^\s\[]+):\{\}", fields.get("ignoredResources", "")):
        yield ("sched.ignored_resource", (resource,))
    for group in re.findall(r"([^\s\[]+):\{\}", fields.get("ignoredResourceGroups", "")):
        yield ("sched.ignored_resource_group", (group,))
    if "addedNodeSelector" in fields:
        yield (
            "sched.added_affinity",
            ({"nodeSelectorTerms": [{"matchExpressions": requirements(fields["addedNodeSelector"])}]},),
        )
    if "addedPrefSchedTerms" in fields:
        text = fields["addedPrefSchedTerms"]
        weight = re.search(r"weight:(\d+)", text)
        assert weight, text
        preference = {"matchExpressions": requirements(text)}
        yield ("sched.added_preferences", ([{"weight": int(weight[1]), "preference": preference}],))


def requirements(text: str) -> list[dict[str, Any]]:
    """The label requirements in Go's print of a node selector."""
    words = {"in": "In", "notin": "NotIn", "exists": "Exists", "!": "DoesNotExist"}
    found = re.findall(r"\{key:(\S+) operator:(\S+) strValues:\[([^\]]*)\]\}", text)
    assert found, text
    return [{"key": key, "operator": words[operator], "values": values.split()} for key, operator, values in found]


def mismatch(case: dict[str, Any], expected: object, found: object) -> str:
    """A disagreement as one readable block."""
    return f"expected {expected}, found {found}: {json.dumps(case)}"


def folders(*names: str) -> Iterable[Path]:
    """The packs of these names."""
    return [POLICIES / name for name in names]
