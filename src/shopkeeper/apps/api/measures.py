"""What ``/metrics`` shows of the server: requests, how long they took, and the version that answers. No id is ever a label."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
KIND = CONTENT_TYPE_LATEST


class Measures:
    """The measures of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "shopkeeper_requests",
            "Requests answered, by the endpoint's template, method and status.",
            ("endpoint", "method", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "shopkeeper_request_seconds",
            "Seconds from a request's head to the last byte of its answer, by endpoint.",
            ("endpoint",),
            buckets=BOUNDS,
            registry=self.registry,
        )
        self.version = Gauge(
            "shopkeeper_version", "The number of the published version that answers; 0: none.", registry=self.registry
        )
        self.taken_up = Counter(
            "shopkeeper_versions_taken_up", "Versions taken up since the start.", registry=self.registry
        )
        self.failures = Counter(
            "shopkeeper_version_failures", "Tries to take up a version that failed.", registry=self.registry
        )
        self.waiting = Gauge(
            "shopkeeper_requests_at_work", "Requests that wait for a query or a model.", registry=self.registry
        )
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def count(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        key = endpoint, method, status
        if key not in self._counters:
            self._counters[key] = self._requests.labels(endpoint, method, str(status))
        self._counters[key].inc()
        if endpoint not in self._histograms:
            self._histograms[endpoint] = self._seconds.labels(endpoint)
        self._histograms[endpoint].observe(seconds)

    def text(self) -> bytes:
        """Return all in the text format of Prometheus."""
        return generate_latest(self.registry)
