"""Run inside a node: probes a container in all ways and prints what came out."""

import sys

from kdl.effects.docker import DockerDriver
from kdl.effects.probe import probe
from kdl.fact import Document, value

container, ip = sys.argv[1:]
driver = DockerDriver("n", "probes", "10.0.0.0/24")
WAYS: dict[str, dict[str, object]] = {
    "exec true": {"exec": {"command": ["true"]}},
    "exec false": {"exec": {"command": ["sh", "-c", "echo no; exit 1"]}},
    "exec hang": {"exec": {"command": ["sleep", "4321"]}, "timeoutSeconds": 0.5},
    "exec gone": {"exec": {"command": ["/no/such"]}},
    "http ready": {"httpGet": {"path": "/ready", "port": 8080}},
    "http absent": {"httpGet": {"path": "/absent", "port": 8080}},
    "tcp open": {"tcpSocket": {"port": 8080}},
    "tcp closed": {"tcpSocket": {"port": 8081}},
}
for name, way in WAYS.items():
    config = value({"container_id": container, "ip": ip, "timeoutSeconds": 5, **way})
    assert isinstance(config, Document)
    ok, message = probe(config, driver.execute)
    print(f"{name}: {ok} {message.splitlines()[0][:40] if message else ''}")
