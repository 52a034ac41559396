"""Objects as tables: for each kind its columns, as kubectl prints them. Display only; nothing is decided from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

Doc = Mapping[str, Any]


class Column(NamedTuple):
    """A column's title, its cell of an object, and whether only ``-o wide`` shows it."""

    title: str
    cell: Callable[[Doc], Any]
    wide: bool = False


NONE: Final = "<none>"


def at(doc: Any, path: str, default: Any = None) -> Any:
    """The value at a dotted path, or the default where there is none."""
    for step in path.split("."):
        doc = doc.get(step) if isinstance(doc, Mapping) else None
    return default if doc is None else doc


def _field(path: str, default: Any = NONE) -> Callable[[Doc], Any]:
    return lambda doc: at(doc, path, default)


# ages


def age(stamp: str | None, now: datetime | None = None) -> str:
    """How long ago, as kubectl says it: ``42s``, ``3m5s``, ``7h``, ``12d``."""
    if not stamp:
        return "<unknown>"
    then = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    seconds = max(int(((now or datetime.now(UTC)) - then).total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if days < 2:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d"


def _age(doc: Doc) -> str:
    return age(at(doc, "metadata.creationTimestamp"))


# cells that are more than a field


def selector_text(selector: Doc | None) -> str:
    """A label selector as text."""
    if not selector:
        return NONE
    labels = selector.get("matchLabels") or {}
    words = [f"{key}={item}" for key, item in labels.items()]
    for one in selector.get("matchExpressions", ()):
        values = f" ({','.join(one['values'])})" if one.get("values") else ""
        words.append(f"{one['key']} {one['operator'].lower()}{values}")
    return ",".join(words) or NONE


def labels_text(labels: Doc | None) -> str:
    """Labels as text."""
    return ",".join(f"{key}={item}" for key, item in (labels or {}).items()) or NONE


def _statuses(doc: Doc) -> list[Doc]:
    return list(at(doc, "status.containerStatuses", ()))


def _ready(doc: Doc) -> str:
    ready = sum(bool(status.get("ready")) for status in _statuses(doc))
    return f"{ready}/{len(doc['spec']['containers'])}"


def _why(state: Doc) -> str:
    """What keeps a container from running; empty if nothing does."""
    if waiting := state.get("waiting"):
        return str(waiting.get("reason") or "Waiting")
    if ended := state.get("terminated"):
        return str(ended.get("reason") or f"ExitCode:{ended.get('exitCode', 0)}")
    return ""


def pod_status(doc: Doc) -> str:
    """The one word that people look for: the phase, or what is wrong with a container."""
    word = str(at(doc, "status.reason") or at(doc, "status.phase") or "Pending")
    started = list(at(doc, "status.initContainerStatuses", ()))
    for index, status in enumerate(started):
        state = status.get("state", {})
        if at(state, "terminated.exitCode") == 0 or (status.get("started") and "running" in state):
            continue
        reason = _why(state)
        return f"Init:{reason}" if reason not in ("", "PodInitializing") else f"Init:{index}/{len(started)}"
    for status in reversed(_statuses(doc)):
        word = _why(status.get("state", {})) or word
    if word == "Completed" and any("running" in status.get("state", {}) for status in _statuses(doc)):
        word = "Running"
    return "Terminating" if at(doc, "metadata.deletionTimestamp") else word


def _restarts(doc: Doc) -> str:
    statuses = _statuses(doc)
    times = sum(int(status.get("restartCount", 0)) for status in statuses)
    last = max((str(at(status, "lastState.terminated.finishedAt", "")) for status in statuses), default="")
    return f"{times} ({age(last)} ago)" if times and last else str(times)


def _count(part: str, of: str) -> Callable[[Doc], str]:
    return lambda doc: f"{at(doc, part, 0)}/{at(doc, of, 1)}"


def _containers(path: str, field: str) -> Callable[[Doc], str]:
    return lambda doc: ",".join(str(item.get(field, "")) for item in at(doc, path, ()))


def _service_ports(doc: Doc) -> str:
    words = []
    for port in at(doc, "spec.ports", ()):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        words.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(words) or NONE


def _external(doc: Doc) -> str:
    ingress = [item.get("ip") or item.get("hostname") for item in at(doc, "status.loadBalancer.ingress", ())]
    addresses = [*at(doc, "spec.externalIPs", ()), *ingress]
    return ",".join(map(str, addresses)) or str(at(doc, "spec.externalName", NONE))


def _endpoints(doc: Doc) -> str:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in doc.get("subsets") or ()
        for port in subset.get("ports") or ()
        for address in subset.get("addresses") or ()
    ]
    more = f" + {len(found) - 3} more..." if len(found) > 3 else ""
    return ",".join(found[:3]) + more or NONE


def _condition(type_: str) -> Callable[[Doc], str]:
    def cell(doc: Doc) -> str:
        found = (item["status"] for item in at(doc, "status.conditions", ()) if item["type"] == type_)
        return str(next(found, "Unknown"))

    return cell


def _node_status(doc: Doc) -> str:
    word = {"True": "Ready", "False": "NotReady"}.get(_condition("Ready")(doc), "Unknown")
    return word + ",SchedulingDisabled" * bool(at(doc, "spec.unschedulable"))


def _roles(doc: Doc) -> str:
    prefix = "node-role.kubernetes.io/"
    names = [key.removeprefix(prefix) for key in at(doc, "metadata.labels", {}) if key.startswith(prefix)]
    return ",".join(sorted(names)) or NONE


def _address(doc: Doc) -> str:
    found = (item["address"] for item in at(doc, "status.addresses", ()) if item["type"] == "InternalIP")
    return str(next(found, NONE))


def event_time(doc: Doc) -> str:
    """When an event last happened."""
    for path in ("lastTimestamp", "series.lastObservedTime", "eventTime", "metadata.creationTimestamp"):
        if found := at(doc, path):
            return str(found)
    return ""


def _object(doc: Doc) -> str:
    return f"{at(doc, 'involvedObject.kind', '').lower()}/{at(doc, 'involvedObject.name', '')}"


NAME: Final = Column("NAME", _field("metadata.name"))
AGE: Final = Column("AGE", _age)
_TEMPLATE: Final = (
    Column("CONTAINERS", _containers("spec.template.spec.containers", "name"), True),
    Column("IMAGES", _containers("spec.template.spec.containers", "image"), True),
    Column("SELECTOR", lambda doc: selector_text(at(doc, "spec.selector")), True),
)
_COUNTS: Final = (
    Column("DESIRED", _field("spec.replicas", 1)),
    Column("CURRENT", _field("status.replicas", 0)),
    Column("READY", _field("status.readyReplicas", 0)),
)

COLUMNS: Final[Mapping[str, tuple[Column, ...]]] = {
    "Pod": (
        NAME,
        Column("READY", _ready),
        Column("STATUS", pod_status),
        Column("RESTARTS", _restarts),
        AGE,
        Column("IP", _field("status.podIP")),
        Column("NODE", _field("spec.nodeName")),
        Column("QOS", _field("status.qosClass"), True),
        Column("IMAGES", _containers("spec.containers", "image"), True),
    ),
    "Deployment": (
        NAME,
        Column("READY", _count("status.readyReplicas", "spec.replicas")),
        Column("UP-TO-DATE", _field("status.updatedReplicas", 0)),
        Column("AVAILABLE", _field("status.availableReplicas", 0)),
        AGE,
        *_TEMPLATE,
    ),
    "ReplicaSet": (NAME, *_COUNTS, AGE, *_TEMPLATE),
    "ReplicationController": (
        NAME,
        *_COUNTS,
        AGE,
        *_TEMPLATE[:2],
        Column("SELECTOR", lambda doc: labels_text(at(doc, "spec.selector")), True),
    ),
    "Service": (
        NAME,
        Column("TYPE", _field("spec.type", "ClusterIP")),
        Column("CLUSTER-IP", _field("spec.clusterIP")),
        Column("EXTERNAL-IP", _external),
        Column("PORT(S)", _service_ports),
        AGE,
        Column("SELECTOR", lambda doc: labels_text(at(doc, "spec.selector")), True),
    ),
    "Endpoints": (NAME, Column("ENDPOINTS", _endpoints), AGE),
    "Node": (
        NAME,
        Column("STATUS", _node_status),
        Column("ROLES", _roles),
        AGE,
        Column("CPU", _field("status.allocatable.cpu")),
        Column("MEMORY", _field("status.allocatable.memory")),
        Column("INTERNAL-IP", _address, True),
        Column("POD-CIDR", _field("spec.podCIDR"), True),
        Column("TAINTS", lambda doc: len(at(doc, "spec.taints", ())), True),
    ),
    "NetworkPolicy": (
        NAME,
        Column("POD-SELECTOR", lambda doc: selector_text(at(doc, "spec.podSelector"))),
        Column("POLICY-TYPES", lambda doc: ",".join(at(doc, "spec.policyTypes", ())), True),
        AGE,
    ),
    "Namespace": (NAME, Column("STATUS", _field("status.phase", "Active")), AGE),
    "ConfigMap": (NAME, Column("DATA", lambda doc: len(at(doc, "data", {})) + len(at(doc, "binaryData", {}))), AGE),
    "Secret": (
        NAME,
        Column("TYPE", _field("type", "Opaque")),
        Column("DATA", lambda doc: len(at(doc, "data", {}))),
        AGE,
    ),
    "Event": (
        Column("LAST SEEN", lambda doc: age(event_time(doc))),
        Column("TYPE", _field("type")),
        Column("REASON", _field("reason")),
        Column("OBJECT", _object),
        Column("COUNT", _field("count", 1), True),
        Column("MESSAGE", _field("message", "")),
    ),
}
"""The columns of each kind; others have a name and an age."""


def titles(kind: str, wide: bool = False, namespaces: bool = False) -> list[str]:
    """The head of a kind's table."""
    return ["NAMESPACE"] * namespaces + [column.title for column in _columns(kind, wide)]


def row(kind: str, doc: Doc, wide: bool = False, namespaces: bool = False) -> list[str]:
    """An object's row."""
    cells = [str(column.cell(doc)) for column in _columns(kind, wide)]
    return [str(at(doc, "metadata.namespace", ""))] * namespaces + cells


def _columns(kind: str, wide: bool) -> list[Column]:
    return [column for column in COLUMNS.get(kind, (NAME, AGE)) if wide or not column.wide]


def aligned(lines: Sequence[Sequence[str]], least: Iterable[int] = ()) -> list[str]:
    """Cells as lines of aligned columns; `least` gives widths that the columns have at least."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)] if lines else []
    for index, width in enumerate(least):
        widths[index] = max(widths[index], width)
    return ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
