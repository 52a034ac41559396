"""A desired sandbox or container in the words of Docker's create call. Pure.

The pause container has the pod's network and IPC namespaces, which app containers join; Docker has no joining of host
names, but gives a joined container that of the network's owner.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from kdl.effects.docker import names as label
from kdl.effects.docker.names import SANDBOX_NAME, Names
from kdl.fact import Document, Row, Value, digest, plain

CPU_PERIOD = 100_000
LOGS = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}

PROPAGATION = {"None": "rprivate", "HostToContainer": "rslave", "Bidirectional": "rshared"}
"""Kubernetes' words for who sees mounts that are made later, in those of the kernel."""


def sandbox_attempt(config: Document) -> int:
    """Which sandbox of its pod it is."""
    noted = config.get("notes")
    return int(noted.get("attempt", 0)) if isinstance(noted, Document) else 0


def sandbox_body(names: Names, row: Row, image: str) -> dict[str, Any]:
    """The create call of a desired row of `node.sandbox`."""
    config = row[2]
    assert isinstance(config, Document)
    dns = config.get("dns") or Document()
    body: dict[str, Any] = {
        "Image": image,
        "Labels": {
            **{key: str(item) for key, item in (config.get("labels") or {}).items()},
            **_labels(names, config, row, "sandbox", SANDBOX_NAME, sandbox_attempt(config)),
        },
        "HostConfig": {
            "NetworkMode": "host" if config.get("hostNetwork") else names.network,
            "IpcMode": "shareable",
            "CpuShares": 2,
            "Dns": list(dns.get("nameservers", ())),
            "DnsSearch": list(dns.get("searches", ())),
            "DnsOptions": [_dns_option(option) for option in dns.get("options", ())],
            "LogConfig": LOGS,
            "RestartPolicy": {"Name": "no"},
        },
    }
    if not config.get("hostNetwork"):
        body["Hostname"] = config["hostname"]
    return body


def command_is_secret(config: Document) -> bool:
    """Whether a container's command or arguments have something in them that rules only name."""
    return any(not isinstance(word, str) for part in ("command", "args") for word in config.get(part, ()))


def container_body(names: Names, row: Row, volumes: Path, text: Callable[[Value], str]) -> dict[str, Any]:
    """The create call of a desired row of `node.container`.

    `volumes` has a folder for each pod's volumes, and `text` is what something of command or environment stands for.
    """
    name, attempt, config = row[2:]
    assert isinstance(config, Document)
    security = config.get("securityContext") or Document()
    body = {
        "Image": config["image"],
        "Entrypoint": [text(word) for word in config.get("command", ())],
        "Cmd": [text(word) for word in config.get("args", ())],
        "Env": [f"{item['name']}={text(item.get('value', ''))}" for item in config.get("env", ())],
        "WorkingDir": config.get("workingDir"),
        "User": _user(security),
        "Tty": bool(config.get("tty")),
        "OpenStdin": bool(config.get("stdin")),
        "StdinOnce": bool(config.get("stdinOnce")),
        "Labels": {
            **_labels(names, config, row, "container", str(name), int(str(attempt))),
            label.STOP: _json({"grace": config.get("terminationGracePeriodSeconds", 30),
                               "preStop": plain(config.get("preStop"))}),
        },
        "HostConfig": {
            **_joined(str(config["sandbox"])),
            **_limits(config),
            **_privileges(security),
            "Mounts": [_mount(mount, volumes / str(row[1])) for mount in config.get("mounts", ())],
        },
    }  # fmt: skip
    return {key: item for key, item in body.items() if item not in (None, [], "")}


def _mount(mount: Document, volumes: Path) -> dict[str, Any]:
    source = Path(mount["host"]) if "host" in mount else volumes / mount["volume"] / mount["subPath"]
    return {
        "Type": "bind",
        "Source": str(source),
        "Target": mount["at"],
        "ReadOnly": bool(mount["readOnly"]),
        "BindOptions": {"Propagation": PROPAGATION[mount["propagation"]]},
    }


def _joined(sandbox: str) -> dict[str, Any]:
    return {
        "NetworkMode": f"container:{sandbox}",
        "IpcMode": f"container:{sandbox}",
        "LogConfig": LOGS,
        "RestartPolicy": {"Name": "no"},
    }


def _limits(config: Document) -> dict[str, Any]:
    resources = config.get("resources") or Document()
    limits: dict[str, Any] = {"OomScoreAdj": config.get("oomScoreAdj", 0), "CpuShares": resources.get("cpuShares", 2)}
    if "cpuQuota" in resources:
        limits |= {"CpuPeriod": CPU_PERIOD, "CpuQuota": resources["cpuQuota"]}
    if "memory" in resources:
        limits |= {"Memory": resources["memory"], "MemorySwap": resources["memory"]}  # the same: no swap on top
    return limits


def _privileges(security: Document) -> dict[str, Any]:
    capabilities = security.get("capabilities") or Document()
    options = []
    if "allowPrivilegeEscalation" in security and not security["allowPrivilegeEscalation"]:
        options.append("no-new-privileges")
    if (security.get("seccompProfile") or {}).get("type") == "Unconfined":
        options.append("seccomp=unconfined")
    groups = [*security.get("supplementalGroups", ()), *([security["fsGroup"]] if "fsGroup" in security else [])]
    return {
        "Privileged": bool(security.get("privileged")),
        "ReadonlyRootfs": bool(security.get("readOnlyRootFilesystem")),
        "CapAdd": list(capabilities.get("add", ())),
        "CapDrop": list(capabilities.get("drop", ())),
        "GroupAdd": [str(group) for group in groups],
        "SecurityOpt": options,
    }


def _user(security: Document) -> str | None:
    user, group = security.get("runAsUser"), security.get("runAsGroup")
    if user is None and group is None:
        return None
    return f"{0 if user is None else user}" + ("" if group is None else f":{group}")


def _labels(names: Names, config: Document, row: Row, role: str, name: str, attempt: int) -> dict[str, str]:
    labels = {
        **names.labels(),
        label.ROLE: role,
        label.POD: str(config["pod"]),
        label.POD_UID: str(row[1]),
        label.CONTAINER: name,
        label.ATTEMPT: str(attempt),
        label.HASH: digest(row),
        label.CAUSE: str(config.get("cause", "")),
    }
    if "notes" in config:
        labels[label.NOTES] = _json(plain(config["notes"]))
    return labels


def _dns_option(option: object) -> str:
    if isinstance(option, Document):
        return f"{option['name']}:{option['value']}" if option.get("value") else str(option["name"])
    return str(option)


def _json(item: object) -> str:
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode()
