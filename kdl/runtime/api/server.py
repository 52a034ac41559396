"""The HTTP server: an application, a loopback address and a thread."""

from __future__ import annotations

import socket
import threading
import time

import uvicorn
from starlette.applications import Starlette


class Server:
    """A running server; `stop` ends its watches and lets open requests finish."""

    def __init__(self, application: Starlette, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.host: str = listener.getsockname()[0]
        self._application = application
        config = uvicorn.Config(
            application, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=3
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="api", daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Where clients find it."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def wait(self) -> None:
        """Return when the server answers."""
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the API server ended before it began")
            time.sleep(0.002)

    def stop(self) -> None:
        """Answer no more, and return when all is closed."""
        self._server.should_exit = True
        self._application.state.stop_watches()
        self._thread.join()


def serve(application: Starlette, host: str = "127.0.0.1", port: int = 0) -> Server:
    """Serve in a thread of its own from now on; `OSError` if the address cannot be had. Port 0 is any free port."""
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited; else each answer waits 40 ms for an ACK
    server = Server(application, listener)
    server.wait()
    return server
