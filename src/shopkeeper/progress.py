"""How a step reports what it is at, whoever listens."""

from typing import Protocol


class Tell(Protocol):
    """How a step reports progress: a step, what it is at, how much is done and of how much (None: unknown)."""

    def __call__(self, step: str, what: str, done: int, total: int | None) -> None:
        """Report."""


def silent(step: str, what: str, done: int, total: int | None) -> None:
    """Report nothing."""
