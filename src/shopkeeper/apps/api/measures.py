"""What ``/metrics`` shows of the server: requests, how long they took, and the version that answers. No id is ever a label."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
KIND = CONTENT_TYPE_LATEST


class Measures:
    """The measures of one server, in a registry of their own.

    Requests are counted in plain numbers, by the server's loop alone, and turned into what Prometheus reads when it asks:
    a counter that takes a lock for each request costs as much as finding the answer.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests: dict[tuple[str, str, int], int] = {}
        self._buckets: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}
        self.registry.register(_Requests(self))
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

    def count(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        key = endpoint, method, status
        self._requests[key] = self._requests.get(key, 0) + 1
        if endpoint not in self._buckets:
            self._buckets[endpoint] = [0] * (len(BOUNDS) + 1)
            self._sums[endpoint] = 0.0
        self._buckets[endpoint][bisect_left(BOUNDS, seconds)] += 1
        self._sums[endpoint] += seconds

    def families(self) -> Iterator[Metric]:
        """Yield what was counted, as Prometheus has it."""
        requests = CounterMetricFamily(
            "shopkeeper_requests",
            "Requests answered, by the endpoint's template, method and status.",
            labels=("endpoint", "method", "status"),
        )
        for (endpoint, method, status), n in sorted(self._requests.items()):
            requests.add_metric((endpoint, method, str(status)), n)
        yield requests
        seconds = HistogramMetricFamily(
            "shopkeeper_request_seconds",
            "Seconds from a request's head to the last byte of its answer, by endpoint.",
            labels=("endpoint",),
        )
        for endpoint, counts in sorted(self._buckets.items()):
            names = [*map(str, BOUNDS), "+Inf"]
            seconds.add_metric(
                (endpoint,), list(zip(names, accumulate(counts), strict=True)), sum_value=self._sums[endpoint]
            )
        yield seconds

    def text(self) -> bytes:
        """Return all in the text format of Prometheus."""
        return generate_latest(self.registry)


class _Requests(Collector):
    """Hands what was counted to the registry."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def collect(self) -> Iterator[Metric]:
        """Yield what was counted."""
        return self._measures.families()
