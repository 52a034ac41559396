"""One node of a lab: a machine that can be booted, used, and broken."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.lab.shell import Failed, run, wait

HERE = Path(__file__).parent
QUIET = "--bridge none --iptables=false --ip6tables=false --ip-masq=false --ip-forward=false --userland-proxy=false"
"""What keeps a dockerd out of the network: rules and bridges are kdl's."""


class Node:
    """A node of a lab. `name` is its host name; `docker` the URL of its dockerd, reachable from outside it.

    Inside, dockerd listens at the usual place too. It makes no rule and no bridge of its own unless it is `stock`.
    """

    def __init__(
        self, name: str, namespace: str, address: str, pod_cidr: str, folder: Path, cgroup: str, stock: bool
    ) -> None:
        self.name, self.namespace, self.address, self.pod_cidr = name, namespace, address, pod_cidr
        self._folder, self._cgroup, self._flags = folder, cgroup, "" if stock else QUIET
        self._outer: subprocess.Popen[bytes] | None = None
        self.pid = 0
        """The node's PID 1, as seen from outside."""

    @property
    def socket(self) -> Path:
        """Its dockerd's socket, outside."""
        return self._folder / "docker.sock"

    @property
    def docker(self) -> str:
        """Its dockerd's URL, outside."""
        return f"unix://{self.socket}"

    # on and off

    def boot(self) -> None:
        """Start it; returns when dockerd answers."""
        self.start()
        self.await_docker()

    def start(self) -> None:
        """Start it without waiting for its dockerd."""
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        if not os.path.ismount(data):
            run("mount", "-t", "tmpfs", "-o", "size=2g", "kdl", str(data))
        self.socket.unlink(missing_ok=True)
        runtime = self._folder / "runc-lab"
        runtime.write_bytes((HERE / "runc-lab").read_bytes())
        runtime.chmod(0o755)
        environment = {
            **os.environ, "NODE": self.name, "DATA": str(data), "SOCKET": str(self.socket), "RUNTIME": str(runtime),
            "CGROUP": self._cgroup, "DOCKER_FLAGS": self._flags,
        }  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._outer = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.namespace}", "unshare", "--mount", "--propagation", "private",
                 "--uts", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc",
                 "tini", "-g", "--", "sh", str(HERE / "init.sh")],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait(self._find_init, f"{self.name}: PID 1")

    def _find_init(self) -> bool:
        assert self._outer is not None
        if self._outer.poll() is not None:
            raise Failed(f"{self.name} did not start: {self.log()}")
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        self.pid = int(children[0]) if children else 0
        (self._folder / "init.pid").write_text(str(self.pid))
        return self.pid > 0 and Path(f"/proc/{self.pid}/comm").read_text().strip() == "tini"

    def power_off(self) -> None:
        """End everything in it at once, as a loss of power would. Its disk and its network namespace stay."""
        if self._outer is None:
            return
        os.kill(self.pid, signal.SIGKILL)
        self._outer.wait(20)
        self._outer = None

    def discard(self) -> None:
        """Power off, and remove its disk."""
        self.power_off()
        data = self._folder / "data"
        if os.path.ismount(data):
            wait(lambda: not run("umount", str(data), check=False) and not os.path.ismount(data), f"umount {data}")

    def log(self) -> str:
        """The end of what dockerd and the node's init have printed."""
        return (self._folder / "log").read_text(errors="replace")[-4000:]

    # inside

    def argv(self, *command: str) -> list[str]:
        """A command as it is run inside the node; give absolute paths for what is not in PATH."""
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-p", "-i", "--", *command]

    def run(self, *command: str, check: bool = True, timeout: float = 60) -> str:
        """What a command prints inside the node."""
        return run(*self.argv(*command), check=check, timeout=timeout)

    def popen(self, *command: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """A process inside the node, its output in a pipe."""
        return subprocess.Popen(
            self.argv(*command), env=None if env is None else {**os.environ, **env}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    # dockerd

    def await_docker(self) -> None:
        """Wait until dockerd answers."""
        try:
            wait(self.docker_answers, f"{self.name}: dockerd", seconds=60)
        except Failed as error:
            raise Failed(f"{error}\n{self.log()}") from None

    def docker_answers(self) -> bool:
        """Whether dockerd answers now."""
        asked = ["curl", "-s", "-m", "2", "-o", "/dev/null", "--unix-socket", str(self.socket), "http://docker/_ping"]
        return subprocess.run(asked).returncode == 0

    def signal_docker(self, name: str) -> None:
        """Send dockerd a signal: KILL (it is started again at once), STOP, CONT."""
        self.run("sh", "-c", f"kill -{name} $(cat /run/dockerd.pid)")

    def stop_docker(self) -> None:
        """Kill dockerd and keep it from starting again; containers go on."""
        self.run("sh", "-c", ": > /run/dockerd.off; kill -KILL $(cat /run/dockerd.pid)")
        wait(lambda: not self.docker_answers(), f"{self.name}: dockerd is to stop")

    def start_docker(self) -> None:
        """Let it start again, and wait for it."""
        self.run("rm", "-f", "/run/dockerd.off")
        self.await_docker()
