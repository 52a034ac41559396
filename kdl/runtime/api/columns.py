"""The columns in which objects of each kind are shown, those of Kubernetes: for `kdl get` and for the API's `Table`s.

Display only; nothing is decided from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from kdl.parser.manifest.kinds import PrinterColumn
from kdl.runtime.api.jsonpath import find

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


def age(stamp: Any, now: datetime | None = None) -> str:
    """How long ago, as kubectl says it: ``42s``, ``3m5s``, ``7h``, ``12d``."""
    if not stamp:
        return "<unknown>"
    try:
        past = (now or datetime.now(UTC)) - datetime.fromisoformat(stamp)
    except (TypeError, ValueError):  # no text, no time, or one without a zone
        return "<invalid>"
    seconds = max(int(past.total_seconds()), 0)
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


def _gates(doc: Doc) -> str:
    gates = at(doc, "spec.readinessGates", ())
    held = sum(_condition(str(gate["conditionType"]))(doc) == "True" for gate in gates)
    return f"{held}/{len(gates)}" if gates else NONE


def _some(words: Sequence[str], none: str = NONE) -> str:
    """Three words at most."""
    more = f" + {len(words) - 3} more..." if len(words) > 3 else ""
    return ",".join(words[:3]) + more or none


def _load_balancer(doc: Doc) -> str:
    ingress = at(doc, "status.loadBalancer.ingress", ())
    return ",".join(str(item.get("ip") or item.get("hostname")) for item in ingress)


def _reference(to: Doc | None) -> str:
    return f"{to['kind']}/{to['name']}" if to else NONE


def _truth(word: Any) -> str:
    return "true" if word else "false"


def _subjects(kind: str) -> Callable[[Doc], str]:
    def cell(doc: Doc) -> str:
        mine = [item for item in at(doc, "subjects", ()) if item["kind"] == kind]
        spaced = [f"{item['namespace']}/{item['name']}" if item.get("namespace") else item["name"] for item in mine]
        return ", ".join(spaced)

    return cell


def _controller(doc: Doc) -> str:
    found = next((item for item in at(doc, "metadata.ownerReferences", ()) if item.get("controller")), None)
    if found is None:
        return NONE
    group = str(found["apiVersion"]).rpartition("/")[0]
    return f"{found['kind'].lower()}.{group}/{found['name']}" if group else f"{found['kind'].lower()}/{found['name']}"


def _job_status(doc: Doc) -> str:
    for type_, word in (("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended")):
        if _condition(type_)(doc) == "True":
            return word
    return "Terminating" if at(doc, "metadata.deletionTimestamp") else "Running"


def _completions(doc: Doc) -> str:
    done = at(doc, "status.succeeded", 0)
    if (wanted := at(doc, "spec.completions")) is not None:
        return f"{done}/{wanted}"
    parallel = at(doc, "spec.parallelism", 0)
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _duration(doc: Doc) -> str:
    begun, ended = at(doc, "status.startTime"), at(doc, "status.completionTime")
    if not begun:
        return ""
    return age(begun, datetime.fromisoformat(ended.replace("Z", "+00:00")) if ended else None)


def _last_schedule(doc: Doc) -> str:
    last = at(doc, "status.lastScheduleTime")
    return age(last) if last else NONE


_MODES: Final = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _access(path: str) -> Callable[[Doc], str]:
    return lambda doc: ",".join(_MODES.get(mode, mode) for mode in at(doc, path, ()))


def _claim(doc: Doc) -> str:
    claim = at(doc, "spec.claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


def _default_class(doc: Doc) -> str:
    marks = at(doc, "metadata.annotations", {})
    default = marks.get("storageclass.kubernetes.io/is-default-class") == "true"
    return f"{at(doc, 'metadata.name')} (default)" if default else str(at(doc, "metadata.name"))


def _quota(limits: bool) -> Callable[[Doc], str]:
    def cell(doc: Doc) -> str:
        hard, used = at(doc, "status.hard", at(doc, "spec.hard", {})), at(doc, "status.used", {})
        mine = sorted(name for name in hard if name.startswith("limits.") == limits)
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in mine)

    return cell


def _targets(doc: Doc) -> str:
    seen = {at(item, "resource.name"): item for item in at(doc, "status.currentMetrics", ())}
    words = []
    for metric in at(doc, "spec.metrics", ()):
        name = at(metric, "resource.name")
        wanted, now = (
            at(metric, "resource.target.averageUtilization"),
            at(seen.get(name), "resource.current.averageUtilization"),
        )
        known = "<unknown>" if now is None else f"{now}%"
        words.append(f"{name}: {known}/{wanted}%" if wanted is not None else f"{name or metric['type']}: {known}")
    return _some(words)


def _source(doc: Doc) -> str:
    component, host = at(doc, "source.component") or at(doc, "reportingComponent", ""), at(doc, "source.host")
    return f"{component}, {host}" if host else str(component)


def _endpoints(doc: Doc) -> str:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in doc.get("subsets") or ()
        for port in subset.get("ports") or ()
        for address in subset.get("addresses") or ()
    ]
    return _some(found)


def _condition(type_: str) -> Callable[[Doc], str]:
    def cell(doc: Doc) -> str:
        found = (item["status"] for item in at(doc, "status.conditions", ()) if item["type"] == type_)
        return str(next(found, "Unknown"))

    return cell


def _health(doc: Doc) -> str:
    good = any(item["type"] == "Healthy" and item["status"] == "True" for item in at(doc, "conditions", ()))
    return "Healthy" if good else "Unhealthy"


def _node_status(doc: Doc) -> str:
    word = {"True": "Ready", "False": "NotReady"}.get(_condition("Ready")(doc), "Unknown")
    return word + ",SchedulingDisabled" * bool(at(doc, "spec.unschedulable"))


def _roles(doc: Doc) -> str:
    prefix = "node-role.kubernetes.io/"
    names = [key.removeprefix(prefix) for key in at(doc, "metadata.labels", {}) if key.startswith(prefix)]
    return ",".join(sorted(names)) or NONE


def _address(type_: str) -> Callable[[Doc], str]:
    def cell(doc: Doc) -> str:
        found = (item["address"] for item in at(doc, "status.addresses", ()) if item["type"] == type_)
        return str(next(found, NONE))

    return cell


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
_ROLE: Final = (NAME, Column("CREATED AT", _field("metadata.creationTimestamp")))
_BINDING: Final = (
    NAME,
    Column("ROLE", lambda doc: f"{at(doc, 'roleRef.kind')}/{at(doc, 'roleRef.name')}"),
    AGE,
    Column("USERS", _subjects("User"), True),
    Column("GROUPS", _subjects("Group"), True),
    Column("SERVICEACCOUNTS", _subjects("ServiceAccount"), True),
)


def _service(reference: Doc | None) -> str:
    return f"{at(reference, 'namespace', '')}/{at(reference, 'name', '')}" if reference else "Local"


COLUMNS: Final[Mapping[str, tuple[Column, ...]]] = {
    "Pod": (
        NAME,
        Column("READY", _ready),
        Column("STATUS", pod_status),
        Column("RESTARTS", _restarts),
        AGE,
        Column("IP", _field("status.podIP"), True),
        Column("NODE", _field("spec.nodeName"), True),
        Column("NOMINATED NODE", _field("status.nominatedNodeName"), True),
        Column("READINESS GATES", _gates, True),
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
    "DaemonSet": (
        NAME,
        Column("DESIRED", _field("status.desiredNumberScheduled", 0)),
        Column("CURRENT", _field("status.currentNumberScheduled", 0)),
        Column("READY", _field("status.numberReady", 0)),
        Column("UP-TO-DATE", _field("status.updatedNumberScheduled", 0)),
        Column("AVAILABLE", _field("status.numberAvailable", 0)),
        Column("NODE SELECTOR", lambda doc: labels_text(at(doc, "spec.template.spec.nodeSelector"))),
        AGE,
        *_TEMPLATE,
    ),
    "StatefulSet": (NAME, Column("READY", _count("status.readyReplicas", "spec.replicas")), AGE, *_TEMPLATE[:2]),
    "ControllerRevision": (
        NAME,
        Column("CONTROLLER", _controller),
        Column("REVISION", _field("revision", 0)),
        AGE,
    ),
    "Job": (
        NAME,
        Column("STATUS", _job_status),
        Column("COMPLETIONS", _completions),
        Column("DURATION", _duration),
        AGE,
        *_TEMPLATE,
    ),
    "CronJob": (
        NAME,
        Column("SCHEDULE", _field("spec.schedule")),
        Column("TIMEZONE", _field("spec.timeZone")),
        Column("SUSPEND", lambda doc: str(bool(at(doc, "spec.suspend")))),
        Column("ACTIVE", lambda doc: len(at(doc, "status.active", ()))),
        Column("LAST SCHEDULE", _last_schedule),
        AGE,
        Column("CONTAINERS", _containers("spec.jobTemplate.spec.template.spec.containers", "name"), True),
        Column("IMAGES", _containers("spec.jobTemplate.spec.template.spec.containers", "image"), True),
        Column("SELECTOR", lambda doc: selector_text(at(doc, "spec.jobTemplate.spec.selector")), True),
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
    "EndpointSlice": (
        NAME,
        Column("ADDRESSTYPE", _field("addressType")),
        Column("PORTS", lambda doc: _some([str(item.get("port", "*")) for item in at(doc, "ports", ())], "<unset>")),
        Column(
            "ENDPOINTS", lambda doc: _some([a for e in at(doc, "endpoints", ()) for a in e["addresses"]], "<unset>")
        ),
        AGE,
    ),
    "Ingress": (
        NAME,
        Column("CLASS", _field("spec.ingressClassName")),
        Column("HOSTS", lambda doc: _some([rule.get("host") or "*" for rule in at(doc, "spec.rules", ())], "*")),
        Column("ADDRESS", _load_balancer),
        Column("PORTS", lambda doc: "80, 443" if at(doc, "spec.tls") else "80"),
        AGE,
    ),
    "IngressClass": (
        NAME,
        Column("CONTROLLER", _field("spec.controller")),
        Column("PARAMETERS", lambda doc: _reference(at(doc, "spec.parameters"))),
        AGE,
    ),
    "Node": (
        NAME,
        Column("STATUS", _node_status),
        Column("ROLES", _roles),
        AGE,
        Column("VERSION", _field("status.nodeInfo.kubeletVersion", "<unknown>")),
        Column("INTERNAL-IP", _address("InternalIP"), True),
        Column("EXTERNAL-IP", _address("ExternalIP"), True),
        Column("OS-IMAGE", _field("status.nodeInfo.osImage", "<unknown>"), True),
        Column("KERNEL-VERSION", _field("status.nodeInfo.kernelVersion", "<unknown>"), True),
        Column("CONTAINER-RUNTIME", _field("status.nodeInfo.containerRuntimeVersion", "<unknown>"), True),
    ),
    "NetworkPolicy": (NAME, Column("POD-SELECTOR", lambda doc: selector_text(at(doc, "spec.podSelector"))), AGE),
    "Namespace": (NAME, Column("STATUS", _field("status.phase", "Active")), AGE),
    "ConfigMap": (NAME, Column("DATA", lambda doc: len(at(doc, "data", {})) + len(at(doc, "binaryData", {}))), AGE),
    "Secret": (
        NAME,
        Column("TYPE", _field("type", "Opaque")),
        Column("DATA", lambda doc: len(at(doc, "data", {}))),
        AGE,
    ),
    "ServiceAccount": (NAME, Column("SECRETS", lambda doc: len(at(doc, "secrets", ()))), AGE),
    "PersistentVolume": (
        NAME,
        Column("CAPACITY", _field("spec.capacity.storage", "")),
        Column("ACCESS MODES", _access("spec.accessModes")),
        Column("RECLAIM POLICY", _field("spec.persistentVolumeReclaimPolicy", "Retain")),
        Column("STATUS", _field("status.phase", "Pending")),
        Column("CLAIM", _claim),
        Column("STORAGECLASS", _field("spec.storageClassName", "")),
        Column("VOLUMEATTRIBUTESCLASS", _field("spec.volumeAttributesClassName", "<unset>")),
        Column("REASON", _field("status.reason", "")),
        AGE,
        Column("VOLUMEMODE", _field("spec.volumeMode", "Filesystem"), True),
    ),
    "PersistentVolumeClaim": (
        NAME,
        Column("STATUS", _field("status.phase", "Pending")),
        Column("VOLUME", _field("spec.volumeName", "")),
        Column("CAPACITY", _field("status.capacity.storage", "")),
        Column("ACCESS MODES", _access("status.accessModes")),
        Column("STORAGECLASS", _field("spec.storageClassName", "")),
        Column("VOLUMEATTRIBUTESCLASS", _field("spec.volumeAttributesClassName", "<unset>")),
        AGE,
        Column("VOLUMEMODE", _field("spec.volumeMode", "Filesystem"), True),
    ),
    "StorageClass": (
        Column("NAME", _default_class),
        Column("PROVISIONER", _field("provisioner")),
        Column("RECLAIMPOLICY", _field("reclaimPolicy", "Delete")),
        Column("VOLUMEBINDINGMODE", _field("volumeBindingMode", "Immediate")),
        Column("ALLOWVOLUMEEXPANSION", lambda doc: _truth(at(doc, "allowVolumeExpansion"))),
        AGE,
    ),
    "PriorityClass": (
        NAME,
        Column("VALUE", _field("value", 0)),
        Column("GLOBAL-DEFAULT", lambda doc: _truth(at(doc, "globalDefault"))),
        AGE,
        Column("PREEMPTIONPOLICY", _field("preemptionPolicy", "PreemptLowerPriority")),
    ),
    "ResourceQuota": (NAME, Column("REQUEST", _quota(limits=False)), Column("LIMIT", _quota(limits=True)), AGE),
    "LimitRange": (NAME, Column("CREATED AT", _field("metadata.creationTimestamp"))),
    "HorizontalPodAutoscaler": (
        NAME,
        Column("REFERENCE", lambda doc: _reference(at(doc, "spec.scaleTargetRef"))),
        Column("TARGETS", _targets),
        Column("MINPODS", _field("spec.minReplicas", "<unset>")),
        Column("MAXPODS", _field("spec.maxReplicas")),
        Column("REPLICAS", _field("status.currentReplicas", 0)),
        AGE,
    ),
    "PodDisruptionBudget": (
        NAME,
        Column("MIN AVAILABLE", _field("spec.minAvailable", "N/A")),
        Column("MAX UNAVAILABLE", _field("spec.maxUnavailable", "N/A")),
        Column("ALLOWED DISRUPTIONS", _field("status.disruptionsAllowed", 0)),
        AGE,
    ),
    "PodTemplate": (
        NAME,
        Column("CONTAINERS", _containers("template.spec.containers", "name")),
        Column("IMAGES", _containers("template.spec.containers", "image")),
        Column("POD LABELS", lambda doc: labels_text(at(doc, "template.metadata.labels"))),
    ),
    "Lease": (NAME, Column("HOLDER", _field("spec.holderIdentity", "")), AGE),
    "RuntimeClass": (NAME, Column("HANDLER", _field("handler")), AGE),
    "ComponentStatus": (
        NAME,
        Column("STATUS", _health),
        Column("MESSAGE", lambda doc: next((c.get("message", "") for c in at(doc, "conditions", ())), "")),
        Column("ERROR", lambda doc: next((c.get("error", "") for c in at(doc, "conditions", ())), "")),
    ),
    "Role": _ROLE,
    "ClusterRole": _ROLE,
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "CustomResourceDefinition": _ROLE,
    "APIService": (
        NAME,
        Column("SERVICE", lambda doc: _service(at(doc, "spec.service"))),
        Column("AVAILABLE", _condition("Available")),
        AGE,
    ),
    "MutatingWebhookConfiguration": (NAME, Column("WEBHOOKS", lambda doc: len(at(doc, "webhooks", ()))), AGE),
    "ValidatingWebhookConfiguration": (NAME, Column("WEBHOOKS", lambda doc: len(at(doc, "webhooks", ()))), AGE),
    "Event": (
        Column("LAST SEEN", lambda doc: age(event_time(doc))),
        Column("TYPE", _field("type")),
        Column("REASON", _field("reason")),
        Column("OBJECT", _object),
        Column("SUBOBJECT", _field("involvedObject.fieldPath", ""), True),
        Column("SOURCE", _source, True),
        Column("MESSAGE", lambda doc: str(at(doc, "message", "")).strip()),
        Column("FIRST SEEN", lambda doc: age(at(doc, "firstTimestamp") or event_time(doc)), True),
        Column("COUNT", _field("count", 1), True),
        Column("NAME", _field("metadata.name"), True),
    ),
}
"""The columns of each kind; others have a name and an age."""


def columns_of(kind: str, custom: Iterable[PrinterColumn] | None = None) -> tuple[Column, ...]:
    """The columns of a kind; a custom one brings its own."""
    if custom is None:
        return COLUMNS.get(kind, (NAME, AGE))
    own = tuple(Column(column.title.upper(), _printed(column), column.wide) for column in custom)
    return (NAME, *(own or (AGE,)))


def _printed(column: PrinterColumn) -> Callable[[Doc], Any]:
    if column.type == "date":
        return lambda doc: age(find(doc, column.path))

    def cell(doc: Doc) -> Any:
        found = find(doc, column.path)
        return "" if found is None else _truth(found) if column.type == "boolean" else found

    return cell
