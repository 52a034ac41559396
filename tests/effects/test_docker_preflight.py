"""What is found missing on a machine, and mended."""

from __future__ import annotations

from pathlib import Path

from kdl.effects.preflight import SYSCTLS, Finding, examine, fix


def machine(root: Path, settings: dict[str, str]) -> Path:
    """A machine's kernel settings, as files."""
    for name, setting in settings.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{setting}\n")
    return root


def found(proc: Path, what: str) -> Finding:
    """The finding about one thing."""
    return next(item for item in examine(lambda: "20.10", proc) if item.what.startswith(what))


def test_settings_that_are_off_are_found_mended_and_then_in_order(tmp_path: Path) -> None:
    """Only those that are off are changed."""
    proc = machine(tmp_path, dict.fromkeys(SYSCTLS, "0") | {"net/ipv4/ip_forward": "1"})
    finding = found(proc, "net.bridge.bridge-nf-call-iptables")
    assert not finding.ok
    assert "sysctl -w net.bridge.bridge-nf-call-iptables=1" in finding.advice
    assert fix(proc) == ["net.bridge.bridge-nf-call-iptables=1", "net.ipv4.conf.all.route_localnet=1"]
    assert all(found(proc, name.replace("/", ".")).ok for name in SYSCTLS)
    assert fix(proc) == []


def test_a_setting_that_does_not_exist_asks_for_its_module(tmp_path: Path) -> None:
    """It cannot be mended by setting it."""
    assert fix(tmp_path) == []
    assert "modprobe br_netfilter" in found(tmp_path, "net.bridge").advice


def test_a_docker_that_does_not_answer_is_said_with_its_reason(tmp_path: Path) -> None:
    """And where it was looked for."""

    def absent() -> str:
        raise OSError("no such file")

    finding = next(item for item in examine(absent, tmp_path) if item.what == "Docker")
    assert not finding.ok
    assert "no such file" in finding.advice
    assert "unix:///var/run/docker.sock" in finding.advice
