"""What is kept of predictions served: inputs, output, model, latency; nothing that tells who was asked about.

``PredictionLog`` is what the API writes to. Where rows end is for the assembly to say.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class PredictionLog(Protocol):
    """Takes rows of predictions served. Must return at once and raise nothing: an answer does not wait for its record."""

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take some rows."""


class LatestPredictions:
    """Keeps the latest rows in memory, until somebody takes them; what does not fit is counted as dropped."""

    def __init__(self, most: int = 10_000) -> None:
        """Keep at most so many."""
        self._rows: deque[Mapping[str, Any]] = deque()
        self._most = most
        self.n_dropped = 0

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep some rows; the oldest make room."""
        self._rows.extend(rows)
        while len(self._rows) > self._most:
            self._rows.popleft()
            self.n_dropped += 1

    def take(self) -> list[Mapping[str, Any]]:
        """Return all rows, and keep them no longer."""
        found = []
        while self._rows:
            found.append(self._rows.popleft())
        return found
