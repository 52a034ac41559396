"""The pods' bridge network: made on demand, one for each cluster, no masquerading, and no other one touched."""

from __future__ import annotations

from ipaddress import IPv4Network

from kdl.effects.docker import names as label
from kdl.effects.docker.connection import APIError, Client, NotFound, Refused, line
from kdl.effects.docker.names import Names


def ensure_network(client: Client, names: Names, pod_cidr: str) -> None:
    """Make the network if it is not there; raises `Refused` if something else stands in its place."""
    try:
        found = client.inspect_network(names.network)
    except NotFound:
        _create(client, names, pod_cidr)
        return
    if found["Labels"].get(label.CLUSTER) != names.cluster:
        raise Refused(f"network `{names.network}` is not of this cluster")
    ranges = [str(item["Subnet"]) for item in found["IPAM"]["Config"]]
    if ranges != [pod_cidr]:
        raise Refused(f"network `{names.network}` has the range {', '.join(ranges)}, but pods are to be in {pod_cidr}")


def _create(client: Client, names: Names, pod_cidr: str) -> None:
    options = {
        "com.docker.network.bridge.name": names.network,
        "com.docker.network.bridge.enable_ip_masquerade": "false",
        "com.docker.network.bridge.enable_icc": "true",
    }
    gateway = str(next(IPv4Network(pod_cidr).hosts()))
    ipam = {"Driver": "default", "Config": [{"Subnet": pod_cidr, "Gateway": gateway}]}
    labels = names.labels()
    try:
        client.create_network(
            names.network, driver="bridge", options=options, ipam=ipam, labels=labels, check_duplicate=True
        )
    except APIError as error:
        raise Refused(f"the pods' network {pod_cidr} cannot be made: {line(error)}") from error


def remove_networks(client: Client, names: Names) -> None:
    """Remove the cluster's network."""
    for found in client.networks(filters={"label": f"{label.CLUSTER}={names.cluster}"}):
        client.remove_network(found["Id"])
