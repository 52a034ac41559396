"""One probe of one container, as a kubelet does it: a command, an HTTP request, or a TCP connection.

How often, and what it means, is decided elsewhere.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from kdl.fact import Document

Execute = Callable[[str, Sequence[str], float], tuple[int, str]]
"""Runs a command in a container within so many seconds: its exit code and output; `TimeoutError` otherwise."""

MESSAGE = 500
"""Characters of a probe's output that its message keeps."""


def probe(config: Document, execute: Execute) -> tuple[bool, str]:
    """Whether the probe of a `node.probe` config succeeds, and what it said. Bounded by the config's timeoutSeconds."""
    timeout = float(config.get("timeoutSeconds", 1))
    ip = str(config.get("ip", ""))
    try:
        if "exec" in config:
            code, output = execute(str(config["container_id"]), config["exec"]["command"], timeout)
            return code == 0, "" if code == 0 else f"exit code {code}: {output.strip()[:MESSAGE]}".rstrip(": ")
        if "httpGet" in config:
            status = http_get(config["httpGet"], ip, timeout)
            return 200 <= status < 400, "" if 200 <= status < 400 else f"HTTP status {status}"
        if "tcpSocket" in config:
            host = config["tcpSocket"].get("host") or ip
            socket.create_connection((host, int(config["tcpSocket"]["port"])), timeout).close()
            return True, ""
    except TimeoutError:
        return False, f"no answer within {timeout:g} s"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return False, str(error) or type(error).__name__
    except Exception as error:  # the runtime's own: a container that is gone, a daemon that does not answer
        return False, str(error) or type(error).__name__
    return False, "no way to probe is given"


def http_get(action: Document, ip: str, timeout: float) -> int:
    """The status that an ``httpGet`` is answered with. A redirection is an answer and is not followed.

    Raises `TimeoutError` once the whole has taken too long, however steadily it trickles in.
    """
    host, port = str(action.get("host") or ip), int(action["port"])
    connection = (
        http.client.HTTPSConnection(host, port, timeout=timeout, context=_unverified())
        if str(action.get("scheme", "HTTP")).upper() == "HTTPS"
        else http.client.HTTPConnection(host, port, timeout=timeout)
    )
    late = threading.Event()

    def give_up() -> None:
        late.set()
        with suppress(OSError):  # it may just have ended
            if connection.sock is not None:
                connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(timeout, give_up)
    timer.daemon = True
    timer.start()
    try:
        sent = {"User-Agent": "kdl-probe", "Accept": "*/*", "Connection": "close"}
        sent |= {item["name"]: item.get("value", "") for item in action.get("httpHeaders", ())}
        path = str(action.get("path") or "/")
        connection.request("GET", path if path.startswith("/") else f"/{path}", headers=sent)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        if late.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        connection.close()


def _unverified() -> ssl.SSLContext:
    """Certificates of probed containers are not checked, as in Kubernetes: a probe goes to an address, not a name."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
