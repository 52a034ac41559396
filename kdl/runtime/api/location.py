"""Where the subresource ``proxy`` of a pod or a service leads: to a port of one pod, as Kubernetes finds it.

A service is reached at an address of its Endpoints object, which rules keep: that of a pod that still has it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, NamedTuple

from kdl.runtime.api.errors import ApiError, bad_request
from kdl.runtime.api.patch import find
from kdl.runtime.api.reading import Reading
from kdl.runtime.store import Object

_PORTS: Final = {"http": 80, "https": 443}


class Named(NamedTuple):
    """What the path names before ``/proxy``: ``name``, ``name:port`` or ``scheme:name:port``."""

    scheme: str
    name: str
    port: str


class Location(NamedTuple):
    """A port of a pod, and what is spoken there."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as URLs have them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def named(kind: str, text: str) -> Named:
    """What a path names; `ApiError` 400 if that is nothing."""
    match text.split(":"):
        case [name]:
            found = Named("http", name, "")
        case [name, port]:
            found = Named("http", name, port)
        case [scheme, name, port]:
            found = Named(scheme or "http", name, port)
        case _:
            found = Named("", "", "")
    if not found.name or found.scheme not in _PORTS:
        raise bad_request(f'invalid {kind.lower()} request "{text}"')
    return found


def located(objects: Reading, item: Object, asked: Named) -> Location:
    """The port of a pod to which a pod or a service leads; `ApiError` if there is none, or none that may be reached."""
    host, port = _LOCATED[item.key.kind](objects, item, asked)
    if not _is_global_unicast(host):
        what = f'{item.key.kind.lower()} "{item.key.name}" {f"is at {host}" if host else "has none yet"}'
        raise bad_request(f"address not allowed: {what}")
    return Location(asked.scheme, host, port)


def _pod(objects: Reading, pod: Object, asked: Named) -> tuple[str, int]:
    """The address of a pod; without a port the first one that its containers declare."""
    declared = [port for container in pod.doc["spec"]["containers"] for port in container.get("ports") or ()]
    number = _number(asked.port)
    if number is None and asked.port:
        number = next((port["containerPort"] for port in declared if port.get("name") == asked.port), None)
        if number is None:
            raise bad_request(f'pod "{pod.key.name}" has no port "{asked.port}"')
    if number is None:
        number = declared[0]["containerPort"] if declared else _PORTS[asked.scheme]
    if not 0 < number < 65536:
        raise bad_request(f"{number} is no port")
    return str(find(pod.doc, "/status/podIP") or ""), number


def _service(objects: Reading, service: Object, asked: Named) -> tuple[str, int]:
    """An address behind a port of a service; without a port the unnamed one, or the only one."""
    name = _port_name(service, asked)
    ready = objects.find("Endpoints", service.key.id)
    subsets = (find(ready.doc, "/subsets") if ready is not None else None) or ()
    found = [
        (str(address["ip"]), int(port["port"]))
        for subset in subsets
        for port in subset.get("ports") or ()
        if (port.get("name") or "") == name
        for address in subset.get("addresses") or ()
        if _is_of_a_pod(objects, address, service.key.namespace)
    ]
    if not found:
        raise _unavailable(f'no endpoints available for service "{service.key.name}"')
    return random.choice(found)


def _port_name(service: Object, asked: Named) -> str:
    """The name of the port of a service that is meant, which may be empty."""
    ports = find(service.doc, "/spec/ports") or ()
    names = [str(port.get("name") or "") for port in ports]
    if not asked.port:
        return names[0] if len(names) == 1 else ""
    if (number := _number(asked.port)) is not None:
        names = [str(port.get("name") or "") for port in ports if port["port"] == number]
        if not names:
            raise _unavailable(f'no service port {number} found for service "{service.key.name}"')
        return names[0]
    if asked.port not in names:
        raise _unavailable(f'no service port "{asked.port}" found for service "{service.key.name}"')
    return asked.port


def _is_of_a_pod(objects: Reading, address: Mapping[str, Any], namespace: str) -> bool:
    """Whether an address is one of the pod that it is said to be of: anybody may write an Endpoints object."""
    of = address.get("targetRef") or {}
    if of.get("kind") != "Pod" or of.get("namespace") != namespace:
        return False
    pod = objects.find("Pod", f"{namespace}/{of.get('name')}")
    return pod is not None and address["ip"] in _addresses(pod)


def _addresses(pod: Object) -> Iterator[Any]:
    yield find(pod.doc, "/status/podIP")
    for item in find(pod.doc, "/status/podIPs") or ():
        yield item.get("ip")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _is_global_unicast(text: str) -> bool:
    """Whether it is an address of one machine that others reach, which a loopback address, for one, is not."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
        or (address.version == 4 and address.packed[0] == 0)
    )


def _unavailable(message: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", message)


_LOCATED: Final[Mapping[str, Callable[[Reading, Object, Named], tuple[str, int]]]] = {
    "Pod": _pod,
    "Service": _service,
}
