"""What a desired row is in Docker's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdl.effects.contents import Contents
from kdl.effects.docker.inventory import Listed, latest, milliseconds
from kdl.effects.docker.names import Names
from kdl.effects.docker.specification import command_is_secret, container_body, sandbox_body
from kdl.fact import Document, digest, row, value

TEXT = Contents({"secret": lambda what: f"<{what['key']}>".encode()}).text
NAMES = Names("0123456789abcdef", "n1")


def container(**config: Any) -> dict[str, Any]:
    """The create call of a container with this configuration."""
    default = {"pod": "default/web", "uid": "u1", "image": "busybox:1.36", "sandbox": "abc", "cause": "why"}
    return container_body(NAMES, row(("n1", "u1", "app", 2, {**default, **config})), Path("/pods"), TEXT)


def sandbox(**config: Any) -> dict[str, Any]:
    """The create call of a sandbox with this configuration."""
    default = {"pod": "default/web", "uid": "u1", "hostname": "web", "cause": "why", "notes": {"attempt": 3}}
    return sandbox_body(NAMES, row(("n1", "u1", {**default, **config})), "kdl/pause:1")


def test_names_fit_what_they_name() -> None:
    """A bridge's name has at most 15 characters."""
    assert NAMES.network == "kdl-01234567"
    assert len(NAMES.network) <= 15
    assert NAMES.container("u1", "app", 2) == "kdl-01234567-u1-app-2"


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        ([], [], {}),
        (["a"], [], {"Entrypoint": ["a"]}),
        ([], ["b"], {"Cmd": ["b"]}),
        (["a"], ["b"], {"Entrypoint": ["a"], "Cmd": ["b"]}),
    ],
)
def test_command_is_the_entrypoint_and_args_are_the_cmd(command: list[str], args: list[str], expected: object) -> None:
    """What is not given is the image's own."""
    body = container(command=command, args=args)
    assert {key: body[key] for key in ("Entrypoint", "Cmd") if key in body} == expected


def test_what_rules_only_name_is_filled_in() -> None:
    """In the environment, and in the words of a command."""
    password = {"secret": {"id": "dev/db", "key": "pw", "mark": "<mark>"}}
    env = [
        {"name": "A", "value": "$(B)"},
        {"name": "PW", "value": password},
        {"name": "URL", "value": ["pg:", password]},
    ]
    body = container(env=env, command=["run"], args=[password, ["--pw=", password, "!"]])
    assert body["Env"] == ["A=$(B)", "PW=<pw>", "URL=pg:<pw>"]
    assert (body["Entrypoint"], body["Cmd"]) == (["run"], ["<pw>", "--pw=<pw>!"])
    assert "pw>" not in str(body["Labels"])


def test_a_command_with_secret_data_is_known_as_one() -> None:
    """Whatever part of it has some."""
    password = {"secret": {"id": "dev/db", "key": "pw", "mark": "<mark>"}}
    for config, secret in (
        ({"command": ["a"], "args": ["b"]}, False), ({}, False), ({"args": [["--pw=", password]]}, True),
        ({"command": [password]}, True), ({"env": [{"name": "A", "value": password}]}, False),
    ):  # fmt: skip
        document = value(config)
        assert isinstance(document, Document)
        assert command_is_secret(document) is secret


def test_limits_become_shares_quota_and_memory_without_swap() -> None:
    """The quota is of each 100 ms."""
    host = container(resources={"cpuShares": 512, "cpuQuota": 25000, "memory": 1 << 26}, oomScoreAdj=-997)["HostConfig"]
    assert (host["CpuShares"], host["CpuPeriod"], host["CpuQuota"]) == (512, 100_000, 25000)
    assert host["Memory"] == host["MemorySwap"] == 1 << 26
    assert host["OomScoreAdj"] == -997
    assert not {"CpuQuota", "Memory"} & set(container(resources={"cpuShares": 2})["HostConfig"])


def test_a_container_joins_its_sandbox_and_never_restarts_by_itself() -> None:
    """Restarts are for rules."""
    host = container()["HostConfig"]
    assert host["NetworkMode"] == host["IpcMode"] == "container:abc"
    assert host["RestartPolicy"] == {"Name": "no"}


def test_a_security_context_becomes_user_capabilities_and_options() -> None:
    """Each field has its place in Docker's call."""
    body = container(securityContext={
        "runAsUser": 0, "runAsGroup": 5, "privileged": True, "readOnlyRootFilesystem": True, "fsGroup": 9,
        "supplementalGroups": [7, 8], "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
        "allowPrivilegeEscalation": False, "seccompProfile": {"type": "Unconfined"},
    })  # fmt: skip
    host = body["HostConfig"]
    assert body["User"] == "0:5"
    assert (host["Privileged"], host["ReadonlyRootfs"]) == (True, True)
    assert (host["CapAdd"], host["CapDrop"], host["GroupAdd"]) == (["NET_ADMIN"], ["ALL"], ["7", "8", "9"])
    assert host["SecurityOpt"] == ["no-new-privileges", "seccomp=unconfined"]
    assert "User" not in container()


def test_environment_keeps_its_order_and_odd_values() -> None:
    """An empty value is a value; an equals sign may be in one."""
    env = [{"name": "B", "value": "x=y"}, {"name": "A", "value": ""}, {"name": "C"}]
    assert container(env=env)["Env"] == ["B=x=y", "A=", "C="]


def test_a_sandbox_has_the_pods_network_name_and_resolver() -> None:
    """Options are written as a resolver reads them."""
    dns = {"nameservers": ["10.96.0.10"], "searches": ["a.local"], "options": [{"name": "ndots", "value": "5"}, "x"]}
    body = sandbox(dns=dns)
    assert body["Hostname"] == "web"
    assert body["HostConfig"]["NetworkMode"] == "kdl-01234567"
    assert body["HostConfig"]["IpcMode"] == "shareable"
    assert body["HostConfig"]["DnsOptions"] == ["ndots:5", "x"]
    assert body["Labels"]["kdl.dev/attempt"] == "3"


def test_a_sandbox_in_the_hosts_network_has_the_hosts_name() -> None:
    """Docker gives it."""
    body = sandbox(hostNetwork=True)
    assert body["HostConfig"]["NetworkMode"] == "host"
    assert "Hostname" not in body


def test_the_hash_label_is_the_digest_of_the_whole_row() -> None:
    """A change in any column is a change."""
    wanted = row(("n1", "u1", "app", 2, {"pod": "a/b", "uid": "u1", "image": "i", "sandbox": "s", "cause": "c"}))
    assert container_body(NAMES, wanted, Path("/pods"), TEXT)["Labels"]["kdl.dev/hash"] == digest(wanted)


def test_a_volume_is_mounted_from_its_pods_folder_and_a_path_of_the_host_from_there() -> None:
    """Only its part, where a part is asked for."""
    files = {"at": "/etc/x", "volume": "v", "subPath": "a/b", "readOnly": True, "propagation": "None"}
    host = {"at": "/dev/shm", "host": "/shm", "readOnly": False, "propagation": "HostToContainer"}
    mounts = container(mounts=[files, host])["HostConfig"]["Mounts"]
    assert [(mount["Source"], mount["Target"], mount["ReadOnly"]) for mount in mounts] == [
        ("/pods/u1/v/a/b", "/etc/x", True),
        ("/shm", "/dev/shm", False),
    ]
    assert [mount["BindOptions"]["Propagation"] for mount in mounts] == ["rprivate", "rslave"]


def test_labels_of_a_manifest_cannot_pretend_to_be_ours() -> None:
    """Ours win."""
    assert sandbox(labels={"kdl.dev/cluster": "x", "a": "b"})["Labels"]["kdl.dev/cluster"] == NAMES.cluster


def test_times_are_milliseconds_and_dockers_zero_is_none() -> None:
    """Nanoseconds are cut off."""
    assert milliseconds("2024-01-02T03:04:05.123456789Z") == 1_704_164_645_123
    assert milliseconds("2024-01-02T03:04:05Z") == 1_704_164_645_000
    assert milliseconds("0001-01-01T00:00:00Z") is None


def test_of_two_runs_of_a_container_the_later_one_counts() -> None:
    """Whatever order Docker lists them in."""
    labels = [{"kdl.dev/role": "container", "kdl.dev/attempt": str(attempt)} for attempt in (9, 10, 2)]
    runs = [Listed("", "", "exited", of_one, "", "", 0, "") for of_one in labels]
    assert [run.attempt for run in latest(runs)] == [10]
