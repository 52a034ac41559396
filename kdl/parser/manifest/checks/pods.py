"""What must hold between the fields of a pod: containers, volumes, ports, resources, tolerations, selectors."""

from __future__ import annotations

from collections.abc import Iterable

from kdl.parser.manifest.checks.alternatives import Doc, unique
from kdl.parser.manifest.problem import Path, Report, did_you_mean, field
from kdl.parser.quantity import quantity


def selector_requirement(value: Doc, path: Path, report: Report) -> None:
    listed = bool(value.get("values"))
    operator = value["operator"]
    if operator in ("In", "NotIn") and not listed:
        report("KDL523", path, f"`{field(path)}`: the operator `{operator}` needs `values`", "add `values: [...]`")
    elif operator in ("Exists", "DoesNotExist") and listed:
        message = f"`{field(path)}`: the operator `{operator}` takes no `values`"
        report("KDL523", (*path, "values"), message, "remove `values`, or use `In`", at_key=True)
    elif operator in ("Gt", "Lt") and not (len(value.get("values", [])) == 1 and whole(value["values"][0])):
        report("KDL523", path, f"`{field(path)}`: the operator `{operator}` needs one whole number in `values`")


def whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def requests_within_limits(value: Doc, path: Path, report: Report) -> None:
    limits = value.get("limits", {})
    for name, amount in value.get("requests", {}).items():
        at = (*path, "requests", name)
        limit = limits.get(name)
        extended = "/" in name and "kubernetes.io/" not in name
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


def container(value: Doc, path: Path, report: Report) -> None:
    if not value.get("image", "").strip():
        report("KDL511", path, f"`{field(path)}` has no `image`", "add `image:`", at_key=True)
    ports = [(port, (*path, "ports", index)) for index, port in enumerate(value.get("ports", []))]
    unique(((port["name"], (*at, "name")) for port, at in ports if port.get("name")), "port name", report)
    mounts = enumerate(value.get("volumeMounts", []))
    unique(((m["mountPath"], (*path, "volumeMounts", i, "mountPath")) for i, m in mounts), "mount path", report)
    for name in ("livenessProbe", "startupProbe"):
        if value.get(name, {}).get("successThreshold", 1) not in (0, 1):
            at = (*path, name, "successThreshold")
            report("KDL523", at, f"`{field(at)}` must be 1", "only a readiness probe may ask for more successes")


def environment(value: Doc, path: Path, report: Report) -> None:
    if value.get("value") and "valueFrom" in value:
        message = f"`{field(path)}` has both `value` and `valueFrom`"
        report("KDL521", (*path, "valueFrom"), message, "keep one of them", at_key=True)


def all_containers(value: Doc, path: Path) -> list[tuple[Doc, Path]]:
    return [
        (container, (*path, part, index))
        for part in ("initContainers", "containers", "ephemeralContainers")
        for index, container in enumerate(value.get(part, []))
    ]


def pod_spec(value: Doc, path: Path, report: Report) -> None:
    containers = all_containers(value, path)
    if not value["containers"]:
        at = (*path, "containers")
        report("KDL511", at, f"`{field(at)}` is empty", "a pod has at least one container")
    unique(((container["name"], (*at, "name")) for container, at in containers), "container name", report)
    volumes = value.get("volumes", [])
    unique(((v["name"], (*path, "volumes", i, "name")) for i, v in enumerate(volumes)), "volume name", report)
    names = [volume["name"] for volume in volumes]
    for container, at in containers:
        for index, mount in enumerate(container.get("volumeMounts", [])):
            if mount["name"] not in names and path[-2:] != ("template", "spec"):  # those: see _mounts
                no_volume(mount["name"], names, (*at, "volumeMounts", index, "name"), report)
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
    unique(host_ports, "host port", report)
    if value.get("dnsPolicy") == "None" and not value.get("dnsConfig", {}).get("nameservers"):
        here = (*path, "dnsPolicy")
        report(
            "KDL523", here, f"`{field(here)}` is `None`, so `dnsConfig` must name servers", "add `nameservers: [...]`"
        )
    for container, at in containers:
        if at[-2] == "initContainers" and container.get("restartPolicy") != "Always":
            for name in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
                if name in container:
                    here = (*at, name)
                    help = "move it to a container, or write `restartPolicy: Always` for a sidecar"
                    report("KDL523", here, f"`{field(here)}`: an init container has none", help, at_key=True)


def no_volume(name: str, names: list[str], path: Path, report: Report) -> None:
    help = did_you_mean(name, names) or f"add a volume `{name}` to `volumes`"
    report("KDL523", path, f"`{field(path)}` mounts the volume `{name}`, which the pod does not have", help)


def mounts(value: Doc, path: Path, report: Report, extra: Iterable[str] = ()) -> None:
    """The mounts of a template's containers name its volumes, or a claim template's."""
    spec = value.get("template", {}).get("spec", {})
    names = [volume["name"] for volume in spec.get("volumes", [])] + list(extra)
    for container, at in all_containers(spec, (*path, "template", "spec")):
        for index, mount in enumerate(container.get("volumeMounts", [])):
            if mount["name"] not in names:
                no_volume(mount["name"], names, (*at, "volumeMounts", index, "name"), report)


def toleration(value: Doc, path: Path, report: Report) -> None:
    operator = value.get("operator") or "Equal"
    if operator == "Exists" and value.get("value"):
        message = f"`{field((*path, 'value'))}`: the operator `Exists` takes no value"
        report("KDL523", (*path, "value"), message, "remove `value`, or use `Equal`", at_key=True)
    if not value.get("key") and operator != "Exists":
        message = f"`{field(path)}` has no `key`, so its operator must be `Exists`"
        report("KDL523", path, message, "add `key:`, or write `operator: Exists`")
    if operator in ("Gt", "Lt") and not whole(value.get("value", "")):
        report("KDL523", path, f"`{field(path)}`: the operator `{operator}` needs a whole number as `value`")
    if "tolerationSeconds" in value and value.get("effect") != "NoExecute":
        at = (*path, "tolerationSeconds")
        report("KDL523", at, f"`{field(at)}` needs `effect: NoExecute`", "other effects evict nobody", at_key=True)


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
