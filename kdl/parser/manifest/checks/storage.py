"""What must hold between the fields of volumes and claims."""

from __future__ import annotations

from typing import Final

from kdl.parser.manifest.checks.alternatives import Doc, only
from kdl.parser.manifest.problem import Path, Report, field


def claim(value: Doc, path: Path, report: Report) -> None:
    if not value.get("accessModes"):
        report("KDL511", path, f"`{field(path)}` has no `accessModes`", "for example `[ReadWriteOnce]`", at_key=True)
    if "storage" not in value.get("resources", {}).get("requests", {}):
        message = f"`{field(path)}` does not say how much it needs"
        report("KDL511", path, message, "add `resources: {requests: {storage: 1Gi}}`", at_key=True)


_VOLUME_SETTINGS: Final = {
    "accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
    "storageClassName", "volumeAttributesClassName", "volumeMode",
}  # fmt: skip


def persistent_volume(value: Doc, path: Path, report: Report) -> None:
    for name, help in (("accessModes", "[ReadWriteOnce]"), ("capacity", "{storage: 1Gi}")):
        if not value.get(name):
            report("KDL511", path, f"`{field(path)}` has no `{name}`", f"for example `{name}: {help}`", at_key=True)
    sources = [name for name in value if name not in _VOLUME_SETTINGS]
    if not sources:
        help = "add one of `hostPath`, `nfs`, `local`, `csi` …"
        report("KDL521", path, f"`{field(path)}` has no volume source", help, at_key=True)
    else:
        only(sources, "volume source", path, report)
