"""Where the API listens: in several places at once, and where there is no interface yet."""

from __future__ import annotations

import httpx
import pytest

from kdl.runtime.api import http
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import SystemClock
from kdl.runtime.store import MemoryStore
from tests.runtime.api.test_api_http import TOKEN, bearer

NOBODYS = "198.51.100.7"
"""An address for documentation: no interface has it."""


def test_a_server_answers_at_all_its_listeners_and_the_first_is_its_endpoint() -> None:
    one, two = http.listen(), http.listen("127.0.0.2")
    application = http.app(Objects(MemoryStore(), SystemClock()), bearer(TOKEN), hosts=["127.0.0.2"])
    server = http.serve(application, [one, two])
    port = two.getsockname()[1]
    try:
        assert server.endpoint == f"http://127.0.0.1:{one.getsockname()[1]}"
        for url in (server.endpoint, f"http://127.0.0.2:{port}"):
            assert httpx.get(f"{url}/healthz", trust_env=False).text == "ok"
    finally:
        server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.2:{port}/healthz", trust_env=False)


def test_only_an_early_listener_takes_an_address_that_no_interface_has() -> None:
    with pytest.raises(OSError, match="assign requested address"):
        http.listen(NOBODYS)
    with http.listen(NOBODYS, early=True) as listener:
        assert listener.getsockname()[0] == NOBODYS
