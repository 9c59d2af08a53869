"""A request's bytes → sorted, in the log, and a receipt that says what was taken and what was not, and why."""

import asyncio
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shopkeeper import vocabulary as v
from shopkeeper.errors import ContractError, TooLargeError
from shopkeeper.events.intake import Reject, Sorted, now_us, sort_events, sort_rows, things
from shopkeeper.events.log import Batch, Log
from shopkeeper.events.segment import event_of

INLINE_BYTES = 200_000
"""Larger bodies are read in a thread, so that small requests do not wait for them."""


@dataclass(frozen=True)
class Receipt:
    """What became of a request, once it is on disk. ``ids``: of what was taken, in order. ``number``: its place in the log."""

    kind: str
    n_accepted: int
    ids: list[str]
    rejects: list[dict[str, Any]]
    number: int


class Collector:
    """Takes what trackers, tills and stores tell, and acknowledges what is durable."""

    def __init__(self, log: Log, *, largest_mb: float = 16, clock: Callable[[], int] = now_us) -> None:
        """Write to ``log``; refuse bodies over ``largest_mb``; ``clock`` gives microseconds since 1970."""
        self.log = log
        self.largest_bytes = int(largest_mb * 1e6)
        self.most_held_bytes = max(log.waiting_bytes, self.largest_bytes)
        """So many bytes of bodies may be in hand at once, before anything of them is read."""
        self.clock = clock
        self.n_accepted = 0
        self.n_rejected = 0

    def unpacked(self, body: bytes) -> bytes:
        """Return the content of a gzip body. Raises ContractError or TooLargeError."""
        return inflated(body, self.largest_bytes)

    async def events(self, body: bytes) -> Receipt:
        """Take events. Raises ContractError, TooLargeError, TransientError (too much waits), StorageError (no disk)."""
        return await self._take(body, self._events)

    async def segment(self, body: bytes) -> Receipt:
        """Take one message or a batch of Segment's trackers. Raises as ``events``."""
        return await self._take(body, self._segment)

    async def order_lines(self, body: bytes) -> Receipt:
        """Take order lines. Raises as ``events``."""
        return await self._take(body, lambda sent: self._rows(v.ORDER_LINES, sent))

    async def inventory_movements(self, body: bytes) -> Receipt:
        """Take inventory movements. Raises as ``events``."""
        return await self._take(body, lambda sent: self._rows(v.INVENTORY_MOVEMENTS, sent))

    def close(self) -> None:
        """Write what waits, then close the log."""
        self.log.close()

    def _events(self, body: bytes) -> Sorted:
        return sort_events(things(body, "events"), self.clock(), os.urandom)

    def _segment(self, body: bytes) -> Sorted:
        return sort_events(things(body, "batch"), self.clock(), os.urandom, event_of)

    def _rows(self, kind: str, body: bytes) -> Sorted:
        return sort_rows(kind, things(body, kind), self.clock())

    async def _take(self, body: bytes, sort: Callable[[bytes], Sorted]) -> Receipt:
        if len(body) > self.largest_bytes:
            raise TooLargeError(
                f"a request must hold at most {self.largest_bytes:,} bytes; got {len(body):,}. Send it in parts."
            )
        done = sort(body) if len(body) <= INLINE_BYTES else await asyncio.to_thread(sort, body)
        if not done.n_things:
            raise ContractError("a request must hold at least one thing; got none. Nothing was taken.")
        rows, rejects = done.packed()
        batch = Batch(done.kind, done.received_at, done.n_rows, len(done.rejects), rows, rejects)
        number = await asyncio.wrap_future(self.log.append(batch))
        n_accepted = done.n_things - len(done.rejects)
        self.n_accepted += n_accepted
        self.n_rejected += len(done.rejects)
        return Receipt(done.kind, n_accepted, done.ids, [_told(each) for each in done.rejects], number)


def _told(reject: Reject) -> dict[str, Any]:
    told = {"index": reject.index, "field": reject.field, "rule": reject.rule, "value": reject.value}
    return {**told, "event_id": reject.event_id} if reject.event_id else told


def inflated(body: bytes, most: int) -> bytes:
    """Return the content of a gzip body. Raises ContractError if it is none, TooLargeError if it would exceed ``most``."""
    reader = zlib.decompressobj(wbits=31)
    try:
        content = reader.decompress(body, most + 1)
    except zlib.error as error:
        raise ContractError(f"a body of Content-Encoding gzip must be gzip; got: {error}. Send it plain.") from None
    if len(content) > most:
        raise TooLargeError(
            f"a request must hold at most {most:,} bytes once unpacked; it holds more. Send it in parts."
        )
    if not reader.eof:
        raise ContractError("a body of Content-Encoding gzip must be whole; it is cut off. Send it again.")
    return content
