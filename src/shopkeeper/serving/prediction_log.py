"""What is kept of predictions served: inputs, output, model, latency; nothing that tells who was asked about.

Rows go to the durable log, as events do; its loader brings them to the lake, where ``shopkeeper drift`` holds them against
the training.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

import orjson

from shopkeeper import vocabulary as v
from shopkeeper.errors import ShopkeeperError


class PredictionLog(Protocol):
    """Takes rows of predictions served. Must return at once and raise nothing: an answer does not wait for its record."""

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take some rows."""


class Appending(Protocol):
    """What is needed of the durable log (see ``shopkeeper.events.Log``)."""

    def append(self, batch: Any) -> "Future[int]":
        """Write a batch; the future gives its number once it is on disk."""


class LoggedPredictions:
    """Writes rows to the durable log; those that it cannot take are counted as dropped, and the answer goes out all the same."""

    def __init__(self, log: Appending, batch: Any) -> None:
        """Write to ``log``; ``batch(kind, received_at, n_rows, n_rejects, rows)`` makes what it takes."""
        self._log = log
        self._batch = batch
        self.n_dropped = 0

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write some rows; returns before they are on disk."""
        if not rows:
            return
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        batch = self._batch(v.SERVED_PREDICTIONS, time.time_ns() // 1000, len(rows), 0, orjson.dumps(columns))
        try:
            written = self._log.append(batch)
        except ShopkeeperError:
            self.n_dropped += len(rows)
            return
        written.add_done_callback(lambda done: self._note(done, len(rows)))

    def _note(self, written: "Future[int]", n: int) -> None:
        if written.exception() is not None:
            self.n_dropped += n
