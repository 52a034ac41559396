"""What the server measures of itself, for ``/metrics``, under the names that Kubernetes' API server uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


class Metrics:
    """The figures of one server. `watches` and `revision` are asked when somebody reads them."""

    def __init__(self, watches: Callable[[], int], revision: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        labels = ("verb", "resource", "code")
        self._requests = Counter(
            "apiserver_request_total", "Requests by verb, resource and answer.", labels, registry=self._registry
        )
        self._durations = Histogram(
            "apiserver_request_duration_seconds",
            "How long requests took, but for watches.",
            ("verb", "resource"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        gauges = {"apiserver_longrunning_requests": watches, "kdl_store_revision": revision}
        for (name, read), text in zip(
            gauges.items(), ("Open watches.", "The revision of the last durable write."), strict=True
        ):
            Gauge(name, text, registry=self._registry).set_function(read)

    def count(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """One request has been answered."""
        self._requests.labels(verb.upper(), resource, str(code)).inc()
        if verb != "watch":
            self._durations.labels(verb.upper(), resource).observe(seconds)

    def text(self) -> bytes:
        """The figures in Prometheus' text format."""
        return generate_latest(self._registry)
