"""Work that would hold up the server's loop: queries and models, a few at a time, and not more waiting than is bearable."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from shopkeeper.apps.api.errors import RefusalError
from shopkeeper.apps.api.measures import Measures

AT_ONCE, MOST_WAITING = 2, 200
T = TypeVar("T")


class Bench:
    """Threads for work. What is turned away gets 503 with Retry-After."""

    def __init__(self, measures: Measures) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="shopkeeper-api")
        self._measures = measures
        self._n = 0

    async def do(self, work: Callable[[], T]) -> T:
        """Return what some work gives. Raises RefusalError, 503, where too much is waiting."""
        if self._n >= MOST_WAITING:
            raise RefusalError(
                503,
                "busy",
                f"at most {MOST_WAITING} questions may wait for an answer; there are more. Ask again soon.",
                headers={"Retry-After": "1"},
            )
        self._n += 1
        self._measures.waiting.set(self._n)
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # Counted until it ends, even where nobody waits for it any more.
        future.add_done_callback(self._end)
        return await asyncio.shield(future)

    def _end(self, future: "asyncio.Future[T]") -> None:
        self._n -= 1
        self._measures.waiting.set(self._n)
        if not future.cancelled():
            future.exception()

    def close(self) -> None:
        """Begin nothing new."""
        self._threads.shutdown(wait=False, cancel_futures=True)
