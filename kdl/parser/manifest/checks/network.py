"""What must hold between the fields of services, network policies and ingresses."""

from __future__ import annotations

import ipaddress

from kdl.parser.manifest.checks.alternatives import Doc, unique
from kdl.parser.manifest.problem import Path, Report, field


def service(value: Doc, path: Path, report: Report) -> None:
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
    unique(((port["name"], (*at, "name")) for port, at in places if port.get("name")), "port name", report)
    unique(((f"{p['port']}/{p.get('protocol', 'TCP')}", (*at, "port")) for p, at in places), "port", report)
    nodes = [(p, at) for p, at in places if p.get("nodePort")]
    unique(((f"{p['nodePort']}/{p.get('protocol', 'TCP')}", (*at, "nodePort")) for p, at in nodes), "node port", report)
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


def ip_block(value: Doc, path: Path, report: Report) -> None:
    whole = ipaddress.ip_network(value["cidr"], strict=False)
    for index, text in enumerate(value.get("except", [])):
        part = ipaddress.ip_network(text, strict=False)
        if part.version != whole.version or not part.subnet_of(whole) or part == whole:  # type: ignore[arg-type]
            at = (*path, "except", index)
            message = f"`{field(at)}` is `{text}`, which is not strictly inside of `{value['cidr']}`"
            report("KDL522", at, message, "exceptions are parts of `cidr`")


def policy_peer(value: Doc, path: Path, report: Report) -> None:
    if not value:
        help = "add `podSelector`, `namespaceSelector` or `ipBlock`"
        report("KDL521", path, f"`{field(path)}` names nobody", help, at_key=True)
    elif "ipBlock" in value and len(value) > 1:
        message = f"`{field(path)}` has both `ipBlock` and a selector"
        report("KDL521", (*path, "ipBlock"), message, "write two items, each with its own `- `", at_key=True)


def policy_port(value: Doc, path: Path, report: Report) -> None:
    if "endPort" not in value:
        return
    at, first = (*path, "endPort"), value.get("port")
    if not isinstance(first, int):
        report("KDL523", at, f"`{field(at)}` needs a number as `port`", "a named port is not a range", at_key=True)
    elif value["endPort"] < first:
        report("KDL519", at, f"`{field(at)}` is {value['endPort']}, less than `port` ({first})")


def ingress(value: Doc, path: Path, report: Report) -> None:
    if not value.get("defaultBackend") and not value.get("rules"):
        report("KDL511", path, f"`{field(path)}` has neither `rules` nor `defaultBackend`", "add `rules:`", at_key=True)


def ingress_path(value: Doc, path: Path, report: Report) -> None:
    if value["pathType"] != "ImplementationSpecific" and not value.get("path", "").startswith("/"):
        at = (*path, "path")
        report("KDL514", at, f"`{field(at)}` must begin with `/`", f"write `/{value.get('path', '')}`")
