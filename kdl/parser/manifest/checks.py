"""What Kubernetes demands of several fields of one object together, as a table of checks by definition of the schema.

Source: the validation functions of the Kubernetes API server. A check sees a value whose types hold, before defaults.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from kdl.parser.manifest.problem import Path, Report, choices, did_you_mean, field
from kdl.parser.quantity import quantity

Doc: TypeAlias = dict[str, Any]
Check: TypeAlias = Callable[[Any, Path, Report], None]


def exactly_one(what: str, *fields: str) -> Check:
    """One of the fields is there, and only one."""

    def check(value: Doc, path: Path, report: Report) -> None:
        found = [name for name in fields if name in value]
        if not found:
            report("KDL521", path, f"`{field(path)}` has no {what}", f"add one of {choices(fields)}", at_key=True)
        else:
            _only(found, what, path, report)

    return check


def at_most_one(what: str, *fields: str) -> Check:
    """At most one of the fields is there; without names, any field but `name` counts."""

    def check(value: Doc, path: Path, report: Report) -> None:
        _only([name for name in value if (name in fields if fields else name != "name")], what, path, report)

    return check


def _only(found: list[str], what: str, path: Path, report: Report) -> None:
    if len(found) > 1:
        message = f"`{field(path)}` has more than one {what}: {choices(found, 'and')}"
        report("KDL521", (*path, found[1]), message, "keep one of them", at_key=True)


def _unique(items: Iterable[tuple[str, Path]], what: str, report: Report) -> None:
    seen: dict[str, Path] = {}
    for key, path in items:
        if key in seen:
            message = f"`{field(path)}`: the {what} `{key}` is already taken by `{field(seen[key])}`"
            report("KDL518", path, message, f"give each its own {what}")
        else:
            seen[key] = path


def matches(selector: Doc, labels: Doc) -> bool:
    """Whether a label selector (matchLabels and matchExpressions) selects these labels."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for requirement in selector.get("matchExpressions", []):
        key, operator, values = requirement["key"], requirement["operator"], requirement.get("values", [])
        holds = {
            "In": labels.get(key) in values and key in labels,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds[operator]:
            return False
    return True


def _selector_requirement(value: Doc, path: Path, report: Report) -> None:
    listed = bool(value.get("values"))
    operator = value["operator"]
    if operator in ("In", "NotIn") and not listed:
        report("KDL523", path, f"`{field(path)}`: the operator `{operator}` needs `values`", "add `values: [...]`")
    elif operator in ("Exists", "DoesNotExist") and listed:
        message = f"`{field(path)}`: the operator `{operator}` takes no `values`"
        report("KDL523", (*path, "values"), message, "remove `values`, or use `In`", at_key=True)
    elif operator in ("Gt", "Lt") and not (len(value.get("values", [])) == 1 and _whole(value["values"][0])):
        report("KDL523", path, f"`{field(path)}`: the operator `{operator}` needs one whole number in `values`")


def _whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _requests_within_limits(value: Doc, path: Path, report: Report) -> None:
    limits = value.get("limits", {})
    for name, amount in value.get("requests", {}).items():
        at = (*path, "requests", name)
        limit = limits.get(name)
        extended = "/" in name and not name.startswith("kubernetes.io/")
        if limit is not None and quantity(str(amount)) > quantity(str(limit)):
            message = f"`{field(at)}` asks for `{amount}`, more than its limit `{limit}`"
            report("KDL517", at, message, f"raise `{field((*path, 'limits', name))}` or ask for less")
        elif extended and (limit is None or quantity(str(amount)) != quantity(str(limit))):
            message = f"`{field(at)}` must equal its limit: `{name}` cannot be overcommitted"
            report("KDL517", at, message, f"set `{field((*path, 'limits', name))}` to `{amount}`")
    for part in ("requests", "limits"):
        for name, amount in value.get(part, {}).items():
            number = quantity(str(amount))
            if "/" in name and number != number.to_integral_value():
                at = (*path, part, name)
                report("KDL516", at, f"`{field(at)}` must be a whole number, but is `{amount}`")


def _container(value: Doc, path: Path, report: Report) -> None:
    if not value.get("image", "").strip():
        report("KDL511", path, f"`{field(path)}` has no `image`", "add `image:`", at_key=True)
    ports = [(port, (*path, "ports", index)) for index, port in enumerate(value.get("ports", []))]
    _unique(((port["name"], (*at, "name")) for port, at in ports if port.get("name")), "port name", report)
    mounts = enumerate(value.get("volumeMounts", []))
    _unique(((m["mountPath"], (*path, "volumeMounts", i, "mountPath")) for i, m in mounts), "mount path", report)
    for name in ("livenessProbe", "startupProbe"):
        if value.get(name, {}).get("successThreshold", 1) not in (0, 1):
            at = (*path, name, "successThreshold")
            report("KDL523", at, f"`{field(at)}` must be 1", "only a readiness probe may ask for more successes")


def _environment(value: Doc, path: Path, report: Report) -> None:
    if value.get("value") and "valueFrom" in value:
        message = f"`{field(path)}` has both `value` and `valueFrom`"
        report("KDL521", (*path, "valueFrom"), message, "keep one of them", at_key=True)


def _containers(value: Doc, path: Path) -> list[tuple[Doc, Path]]:
    return [
        (container, (*path, part, index))
        for part in ("initContainers", "containers", "ephemeralContainers")
        for index, container in enumerate(value.get(part, []))
    ]


def _pod_spec(value: Doc, path: Path, report: Report) -> None:
    containers = _containers(value, path)
    if not value["containers"]:
        at = (*path, "containers")
        report("KDL511", at, f"`{field(at)}` is empty", "a pod has at least one container")
    _unique(((container["name"], (*at, "name")) for container, at in containers), "container name", report)
    volumes = value.get("volumes", [])
    _unique(((v["name"], (*path, "volumes", i, "name")) for i, v in enumerate(volumes)), "volume name", report)
    names = [volume["name"] for volume in volumes]
    for container, at in containers:
        for index, mount in enumerate(container.get("volumeMounts", [])):
            if mount["name"] not in names and path[-2:] != ("template", "spec"):  # those: see _mounts
                _no_volume(mount["name"], names, (*at, "volumeMounts", index, "name"), report)
    host_ports: list[tuple[str, Path]] = []
    for container, at in containers:
        for index, port in enumerate(container.get("ports", [])):
            here = (*at, "ports", index)
            host = port.get("hostPort", 0)
            if value.get("hostNetwork"):
                if host and host != port["containerPort"]:
                    message = f"`{field((*here, 'hostPort'))}` must equal `containerPort` because of `hostNetwork`"
                    report("KDL523", (*here, "hostPort"), message, f"write `hostPort: {port['containerPort']}`")
                host = port["containerPort"]
            if host and at[-2] == "containers":
                key = f"{port.get('hostIP') or '*'}:{host}/{port.get('protocol', 'TCP')}"
                host_ports.append((key, (*here, "hostPort" if "hostPort" in port else "containerPort")))
    _unique(host_ports, "host port", report)
    for container, at in containers:
        if at[-2] == "initContainers" and container.get("restartPolicy") != "Always":
            for name in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
                if name in container:
                    here = (*at, name)
                    help = "move it to a container, or write `restartPolicy: Always` for a sidecar"
                    report("KDL523", here, f"`{field(here)}`: an init container has none", help, at_key=True)


def _no_volume(name: str, names: list[str], path: Path, report: Report) -> None:
    help = did_you_mean(name, names) or f"add a volume `{name}` to `volumes`"
    report("KDL523", path, f"`{field(path)}` mounts the volume `{name}`, which the pod does not have", help)


def _mounts(value: Doc, path: Path, report: Report, extra: Iterable[str] = ()) -> None:
    """The mounts of a template's containers name its volumes, or a claim template's."""
    spec = value.get("template", {}).get("spec", {})
    names = [volume["name"] for volume in spec.get("volumes", [])] + list(extra)
    for container, at in _containers(spec, (*path, "template", "spec")):
        for index, mount in enumerate(container.get("volumeMounts", [])):
            if mount["name"] not in names:
                _no_volume(mount["name"], names, (*at, "volumeMounts", index, "name"), report)


def _toleration(value: Doc, path: Path, report: Report) -> None:
    operator = value.get("operator") or "Equal"
    if operator == "Exists" and value.get("value"):
        message = f"`{field((*path, 'value'))}`: the operator `Exists` takes no value"
        report("KDL523", (*path, "value"), message, "remove `value`, or use `Equal`", at_key=True)
    if not value.get("key") and operator != "Exists":
        message = f"`{field(path)}` has no `key`, so its operator must be `Exists`"
        report("KDL523", path, message, "add `key:`, or write `operator: Exists`")
    if operator in ("Gt", "Lt") and not _whole(value.get("value", "")):
        report("KDL523", path, f"`{field(path)}`: the operator `{operator}` needs a whole number as `value`")
    if "tolerationSeconds" in value and value.get("effect") != "NoExecute":
        at = (*path, "tolerationSeconds")
        report("KDL523", at, f"`{field(at)}` needs `effect: NoExecute`", "other effects evict nobody", at_key=True)


def _workload(value: Doc, path: Path, report: Report) -> None:
    selector, labels = value.get("selector"), value["template"].get("metadata", {}).get("labels", {})
    if selector is None:
        return
    at = (*path, "selector")
    if not (selector.get("matchLabels") or selector.get("matchExpressions")):
        report("KDL520", at, f"`{field(at)}` is empty", "select the pods by the labels of `template`", at_key=True)
    elif not matches(selector, labels):
        wanted = selector.get("matchLabels", {})
        wrong = next((key for key, text in wanted.items() if labels.get(key) != text), None)
        if wrong is None:
            message = f"`{field(at)}` does not select the labels of `{field((*path, 'template'))}`"
            report("KDL520", at, message, "mend one of the two", at_key=True)
        else:
            at = (*at, "matchLabels", wrong)
            found = f"has `{wrong}: {labels[wrong]}`" if wrong in labels else f"has no label `{wrong}`"
            message = f"`{field(at)}` wants `{wanted[wrong]}`, but `{field((*path, 'template'))}` {found}"
            help = f"write `{wrong}: {wanted[wrong]}` under `{field((*path, 'template', 'metadata', 'labels'))}`"
            report("KDL520", at, message, help)
    _template_restarts(value, path, report, "Always")


def _replication_controller(value: Doc, path: Path, report: Report) -> None:
    if "template" not in value:
        report("KDL511", path, f"the field `template` is missing in `{field(path)}`", "add `template:`", at_key=True)
        return
    selector = {"matchLabels": value["selector"]} if value.get("selector") else None
    _workload({**value, "selector": selector}, path, report)
    _mounts(value, path, report)


def _template_restarts(value: Doc, path: Path, report: Report, *allowed: str) -> None:
    policy = value["template"].get("spec", {}).get("restartPolicy", "Always")
    if policy not in allowed:
        at = (*path, "template", "spec", "restartPolicy")
        unset = "restartPolicy" not in value["template"].get("spec", {})
        found = "is not set, which means `Always`" if unset else f"is `{policy}`"
        report("KDL513", at, f"`{field(at)}` {found}; here it must be {choices(allowed)}",
               f"write `restartPolicy: {allowed[0]}`")  # fmt: skip


def _deployment(value: Doc, path: Path, report: Report) -> None:
    strategy = value.get("strategy", {})
    rolling = strategy.get("rollingUpdate")
    at = (*path, "strategy", "rollingUpdate")
    if strategy.get("type") == "Recreate" and rolling is not None:
        report("KDL523", at, f"`{field(at)}` has no meaning with the type `Recreate`", "remove it", at_key=True)
    elif rolling and _zero(rolling, "maxSurge") and _zero(rolling, "maxUnavailable"):
        message = f"`{field(at)}` allows neither a new pod (`maxSurge`) nor a missing one (`maxUnavailable`)"
        report("KDL523", at, message, "set one of them to 1", at_key=True)
    minimum, deadline = value.get("minReadySeconds", 0), value.get("progressDeadlineSeconds", 600)
    if deadline <= minimum:
        at = (*path, "progressDeadlineSeconds")
        report("KDL523", at, f"`{field(at)}` ({deadline}) must be more than `minReadySeconds` ({minimum})")


def _zero(value: Doc, name: str) -> bool:
    return str(value.get(name, "25%")) in ("0", "0%")


def _stateful_set(value: Doc, path: Path, report: Report) -> None:
    claims = [claim.get("metadata", {}).get("name", "") for claim in value.get("volumeClaimTemplates", [])]
    _mounts(value, path, report, claims)


def _job(value: Doc, path: Path, report: Report) -> None:
    _template_restarts(value, path, report, "OnFailure", "Never")
    _mounts(value, path, report)
    if value.get("selector") is not None and not value.get("manualSelector") and path == ("spec",):
        labels = value["template"].get("metadata", {}).get("labels", {})
        if not matches(value["selector"], labels):
            message = f"`{field((*path, 'selector'))}` is set, but a Job makes its own"
            report("KDL520", (*path, "selector"), message, "remove it, or set `manualSelector: true`", at_key=True)


def _service(value: Doc, path: Path, report: Report) -> None:
    kind, ports = value.get("type", "ClusterIP"), value.get("ports", [])
    headless = value.get("clusterIP") == "None"
    if kind == "ExternalName":
        if not value.get("externalName"):
            report("KDL511", path, f"`{field(path)}` is of type `ExternalName`, but has no `externalName`",
                   "add `externalName:` with the DNS name", at_key=True)  # fmt: skip
    elif not ports and not headless:
        report("KDL511", path, f"`{field(path)}` has no `ports`", "add at least one port", at_key=True)
    if headless and kind in ("NodePort", "LoadBalancer"):
        at = (*path, "clusterIP")
        report("KDL523", at, f"`{field(at)}` is `None`, which the type `{kind}` does not allow", "remove `clusterIP`")
    places = [(port, (*path, "ports", index)) for index, port in enumerate(ports)]
    if len(ports) > 1:
        for port, at in places:
            if not port.get("name"):
                report("KDL511", at, f"`{field(at)}` has no `name`", "each of several ports has a name", at_key=True)
    _unique(((port["name"], (*at, "name")) for port, at in places if port.get("name")), "port name", report)
    _unique(((f"{p['port']}/{p.get('protocol', 'TCP')}", (*at, "port")) for p, at in places), "port", report)
    nodes = [(p, at) for p, at in places if p.get("nodePort")]
    _unique(
        ((f"{p['nodePort']}/{p.get('protocol', 'TCP')}", (*at, "nodePort")) for p, at in nodes), "node port", report
    )
    if nodes and kind not in ("NodePort", "LoadBalancer"):
        at = (*nodes[0][1], "nodePort")
        help = "write `type: NodePort`" if kind == "ClusterIP" else "remove it"
        report("KDL523", at, f"`{field(at)}` has no meaning with the type `{kind}`", help, at_key=True)
    if value.get("externalTrafficPolicy") and kind not in ("NodePort", "LoadBalancer") and not value.get("externalIPs"):
        at = (*path, "externalTrafficPolicy")
        report("KDL523", at, f"`{field(at)}` has no meaning with the type `{kind}`", "remove it", at_key=True)
    if "sessionAffinityConfig" in value and value.get("sessionAffinity") != "ClientIP":
        at = (*path, "sessionAffinityConfig")
        report("KDL523", at, f"`{field(at)}` needs `sessionAffinity: ClientIP`", at_key=True)


def _ip_block(value: Doc, path: Path, report: Report) -> None:
    whole = ipaddress.ip_network(value["cidr"], strict=False)
    for index, text in enumerate(value.get("except", [])):
        part = ipaddress.ip_network(text, strict=False)
        if part.version != whole.version or not part.subnet_of(whole) or part == whole:  # type: ignore[arg-type]
            at = (*path, "except", index)
            message = f"`{field(at)}` is `{text}`, which is not strictly inside of `{value['cidr']}`"
            report("KDL522", at, message, "exceptions are parts of `cidr`")


def _policy_peer(value: Doc, path: Path, report: Report) -> None:
    if not value:
        help = "add `podSelector`, `namespaceSelector` or `ipBlock`"
        report("KDL521", path, f"`{field(path)}` names nobody", help, at_key=True)
    elif "ipBlock" in value and len(value) > 1:
        message = f"`{field(path)}` has both `ipBlock` and a selector"
        report("KDL521", (*path, "ipBlock"), message, "write two items, each with its own `- `", at_key=True)


def _policy_port(value: Doc, path: Path, report: Report) -> None:
    if "endPort" not in value:
        return
    at, first = (*path, "endPort"), value.get("port")
    if not isinstance(first, int):
        report("KDL523", at, f"`{field(at)}` needs a number as `port`", "a named port is not a range", at_key=True)
    elif value["endPort"] < first:
        report("KDL519", at, f"`{field(at)}` is {value['endPort']}, less than `port` ({first})")


def _ingress(value: Doc, path: Path, report: Report) -> None:
    if not value.get("defaultBackend") and not value.get("rules"):
        report("KDL511", path, f"`{field(path)}` has neither `rules` nor `defaultBackend`", "add `rules:`", at_key=True)


def _ingress_path(value: Doc, path: Path, report: Report) -> None:
    if value["pathType"] != "ImplementationSpecific" and not value.get("path", "").startswith("/"):
        at = (*path, "path")
        report("KDL514", at, f"`{field(at)}` must begin with `/`", f"write `/{value.get('path', '')}`")


def _claim(value: Doc, path: Path, report: Report) -> None:
    if not value.get("accessModes"):
        report("KDL511", path, f"`{field(path)}` has no `accessModes`", "for example `[ReadWriteOnce]`", at_key=True)
    if "storage" not in value.get("resources", {}).get("requests", {}):
        message = f"`{field(path)}` does not say how much it needs"
        report("KDL511", path, message, "add `resources: {requests: {storage: 1Gi}}`", at_key=True)


_VOLUME_SETTINGS: Final = {
    "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
    "storageClassName", "volumeAttributesClassName", "volumeMode",
}  # fmt: skip


def _persistent_volume(value: Doc, path: Path, report: Report) -> None:
    for name, help in (("accessModes", "[ReadWriteOnce]"), ("capacity", "{storage: 1Gi}")):
        if not value.get(name):
            report("KDL511", path, f"`{field(path)}` has no `{name}`", f"for example `{name}: {help}`", at_key=True)
    sources = [name for name in value if name not in _VOLUME_SETTINGS]
    if not sources:
        help = "add one of `hostPath`, `nfs`, `local`, `csi` …"
        report("KDL521", path, f"`{field(path)}` has no volume source", help, at_key=True)
    else:
        _only(sources, "volume source", path, report)


def _autoscaler(value: Doc, path: Path, report: Report) -> None:
    low, high = value.get("minReplicas", 1), value["maxReplicas"]
    if low > high:
        at = (*path, "minReplicas")
        report("KDL523", at, f"`{field(at)}` ({low}) is more than `maxReplicas` ({high})")


def _metric(value: Doc, path: Path, report: Report) -> None:
    wanted = value["type"][:1].lower() + value["type"][1:]
    if wanted not in value:
        message = f"`{field(path)}` is of type `{value['type']}`, but has no `{wanted}`"
        report("KDL511", path, message, f"add `{wanted}:`", at_key=True)


def _policy_rule(value: Doc, path: Path, report: Report) -> None:
    if not value["verbs"]:
        report("KDL511", (*path, "verbs"), f"`{field((*path, 'verbs'))}` is empty", 'for example `["get", "list"]`')
    if value.get("resources") and "apiGroups" not in value:
        report(
            "KDL511", path, f"`{field(path)}` has no `apiGroups`", 'the core group is `apiGroups: [""]`', at_key=True
        )
    elif not value.get("resources") and not value.get("nonResourceURLs"):
        report("KDL511", path, f"`{field(path)}` names no `resources`", "add `resources:`", at_key=True)


def _subject(value: Doc, path: Path, report: Report) -> None:
    if value["kind"] == "ServiceAccount" and not value.get("namespace"):
        report(
            "KDL511", path, f"`{field(path)}` is a ServiceAccount without `namespace`", "add `namespace:`", at_key=True
        )


def _definition(value: Doc, path: Path, report: Report) -> None:
    wanted = f"{value['spec']['names']['plural']}.{value['spec']['group']}"
    if value.get("metadata", {}).get("name", wanted) != wanted:
        at = ("metadata", "name")
        message = f"`metadata.name` is `{value['metadata']['name']}`, but must be `{wanted}`"
        report("KDL514", at, message, "the name is `spec.names.plural`, a dot and `spec.group`")
    if sum(bool(version.get("storage")) for version in value["spec"]["versions"]) != 1:
        at = ("spec", "versions")
        report("KDL521", at, "`spec.versions` must have exactly one version with `storage: true`", at_key=True)


CHECKS: Final[dict[str, tuple[Check, ...]]] = {
    "meta.v1.LabelSelectorRequirement": (_selector_requirement,),
    "core.v1.NodeSelectorRequirement": (_selector_requirement,),
    "core.v1.ResourceRequirements": (_requests_within_limits,),
    "core.v1.Container": (_container,),
    "core.v1.PodSpec": (_pod_spec,),
    "core.v1.EnvVar": (_environment,),
    "core.v1.EnvVarSource": (
        exactly_one("source", "configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef", "fileKeyRef"),
    ),
    "core.v1.EnvFromSource": (exactly_one("source", "configMapRef", "secretRef"),),
    "core.v1.Probe": (exactly_one("handler", "exec", "httpGet", "tcpSocket", "grpc"),),
    "core.v1.LifecycleHandler": (exactly_one("handler", "exec", "httpGet", "tcpSocket", "sleep"),),
    "core.v1.Volume": (at_most_one("volume source"),),
    "core.v1.Toleration": (_toleration,),
    "core.v1.ServiceSpec": (_service,),
    "core.v1.ReplicationControllerSpec": (_replication_controller,),
    "core.v1.PersistentVolumeClaimSpec": (_claim,),
    "core.v1.PersistentVolumeSpec": (_persistent_volume,),
    "apps.v1.DeploymentSpec": (_workload, _deployment, _mounts),
    "apps.v1.ReplicaSetSpec": (_workload, _mounts),
    "apps.v1.DaemonSetSpec": (_workload, _mounts),
    "apps.v1.StatefulSetSpec": (_workload, _stateful_set),
    "batch.v1.JobSpec": (_job,),
    "networking.v1.IPBlock": (_ip_block,),
    "networking.v1.NetworkPolicyPeer": (_policy_peer,),
    "networking.v1.NetworkPolicyPort": (_policy_port,),
    "networking.v1.HTTPIngressPath": (_ingress_path,),
    "networking.v1.IngressSpec": (_ingress,),
    "networking.v1.IngressBackend": (exactly_one("target", "service", "resource"),),
    "networking.v1.ServiceBackendPort": (exactly_one("port", "name", "number"),),
    "autoscaling.v2.HorizontalPodAutoscalerSpec": (_autoscaler,),
    "autoscaling.v2.MetricSpec": (_metric,),
    "policy.v1.PodDisruptionBudgetSpec": (at_most_one("bound", "minAvailable", "maxUnavailable"),),
    "rbac.v1.PolicyRule": (_policy_rule,),
    "rbac.v1.Subject": (_subject,),
    "apiextensions.v1.CustomResourceDefinition": (_definition,),
}
"""Definition → what must hold between its fields."""
