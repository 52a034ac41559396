"""What the downward API can be asked for: fields of a pod, and requests and limits of its containers."""

from __future__ import annotations

import re
from typing import Final

from kdl.parser.manifest.checks.alternatives import Check, Doc
from kdl.parser.manifest.formats import qualified_name
from kdl.parser.manifest.problem import Path, Report, choices, did_you_mean, field
from kdl.parser.quantity import quantity

_OF_BOTH: Final = ("metadata.name", "metadata.namespace", "metadata.uid")
_OF_VARIABLES: Final = (
    *_OF_BOTH, "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP",
    "status.podIPs",
)  # fmt: skip
_OF_FILES: Final = (*_OF_BOTH, "metadata.labels", "metadata.annotations")
_MEMBER: Final = re.compile(r"metadata\.(?:labels|annotations)\['(.*)'\]", re.DOTALL)

_RESOURCES: Final = tuple(
    f"{of}.{resource}" for of in ("limits", "requests") for resource in ("cpu", "memory", "ephemeral-storage")
)
_CORES: Final = ("1m", "1")
_BYTES: Final = ("1", *(f"1{unit}" for unit in ("k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")))


def _asks(fields: tuple[str, ...], container: bool) -> Check:
    """A check of `fieldRef` and `resourceFieldRef`; with `container`, a resource says whose it is."""

    def check(value: Doc, path: Path, report: Report) -> None:
        if "fieldRef" in value:
            _field(value["fieldRef"]["fieldPath"], fields, (*path, "fieldRef", "fieldPath"), report)
        if "resourceFieldRef" in value:
            at = (*path, "resourceFieldRef")
            _resource(value["resourceFieldRef"], at, report)
            if container and not value["resourceFieldRef"].get("containerName"):
                report("KDL511", at, f"`{field(at)}` has no `containerName`", "name one of the pod's containers")

    return check


variable = _asks(_OF_VARIABLES, container=False)
file = _asks(_OF_FILES, container=True)


def _field(name: str, fields: tuple[str, ...], at: Path, report: Report) -> None:
    member = _MEMBER.fullmatch(name)
    if member is not None:
        if complaint := qualified_name(member[1]):
            report("KDL515", at, f"`{field(at)}`: the key {complaint[1]}", complaint[2])
    elif name not in fields:
        words = (*fields, "metadata.labels['key']", "metadata.annotations['key']")
        report("KDL513", at, f"`{field(at)}` must be {choices(words)}, but is `{name}`", did_you_mean(name, words))


def _resource(value: Doc, path: Path, report: Report) -> None:
    name, at = value["resource"], (*path, "resource")
    if name not in _RESOURCES and not name.startswith(("limits.hugepages-", "requests.hugepages-")):
        message = f"`{field(at)}` must be {choices((*_RESOURCES, 'limits.hugepages-SIZE', 'requests.hugepages-SIZE'))}"
        report("KDL513", at, f"{message}, but is `{name}`", did_you_mean(name, _RESOURCES))
        return
    allowed = _CORES if name.endswith(".cpu") else _BYTES
    divisor = quantity(str(value.get("divisor", "0")))
    if divisor and divisor not in map(quantity, allowed):
        at = (*path, "divisor")
        report("KDL513", at, f"`{field(at)}` must be {choices(allowed)}, but is `{value['divisor']}`")
