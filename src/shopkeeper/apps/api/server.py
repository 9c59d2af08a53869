"""The application from the assembled parts, and the server that runs it."""

import asyncio
import ctypes
import gc
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from shopkeeper.apps.api import collector, live
from shopkeeper.apps.api.beside import collecting
from shopkeeper.apps.api.bodies import BodyLimits
from shopkeeper.apps.api.callers import Buckets, Callers, is_loopback
from shopkeeper.apps.api.endpoint import Endpoint
from shopkeeper.apps.api.gate import Gate
from shopkeeper.apps.api.measures import Measures
from shopkeeper.apps.api.operations import Operations
from shopkeeper.apps.api.predicting import Predicting
from shopkeeper.apps.api.reads import Reads
from shopkeeper.apps.api.work import Bench
from shopkeeper.errors import ShopkeeperError, UsageError

if TYPE_CHECKING:
    import socket

    from shopkeeper.assembly import Shopkeeper

LOG = logging.getLogger("shopkeeper.api")
M_ARENA_MAX = -8
"""The C library's name for how many heaps threads may keep apart."""
COLLECT = (20_000, 20, 20)
"""After how many new objects Python looks for rings of them; by default 700, which a request makes in no time."""
LOOK_SECONDS = 0.25
"""How often the pointer to the version and the keys are looked at: what changed is taken up so soon."""


class Application:
    """The ASGI application of one project, with what runs beside it: looking for new versions and keys."""

    def __init__(self, parts: "Shopkeeper", more: Sequence[Endpoint] = (), *, collects: bool = True) -> None:
        """Serve the parts of a project; ``collects``: take events and tell live numbers, too; ``more``: further endpoints."""
        chosen = parts.settings.api
        self.editions = parts.editions
        self.keys = parts.keys
        self.measures = Measures()
        self.bench = Bench(self.measures)
        self.callers = Callers(parts.keys)
        self.timeout_seconds = chosen.timeout_seconds
        limits = BodyLimits(int(chosen.body_limit_mb * 2**20), chosen.depth, chosen.elements)
        operations = Operations(self.editions, self.keys, self.measures, self.bench, limits, lambda: self.endpoints)
        self.endpoints: list[Endpoint] = [
            *operations.endpoints(),
            *Reads(self.bench, limits, _once(parts.keys.masking_secret)).endpoints(),
            *Predicting(self.editions, self.bench, limits, parts.prediction_log).endpoints(),
            *([*collector.endpoints(parts.collector), *live.endpoints(parts.live)] if collects else ()),
            *more,
        ]
        self._beside = (lambda: collecting(parts)) if collects else nullcontext
        self.gate = Gate(
            self.endpoints,
            self.editions,
            self.callers,
            Buckets(chosen.rate, chosen.burst),
            self.measures,
            timeout_seconds=chosen.timeout_seconds,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or begin and end with the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self.gate(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self.running():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look for versions and keys for as long as this is entered."""
        await self._look()
        looking = asyncio.create_task(self._keep_looking())
        try:
            async with self._beside():
                yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            self.bench.close()
            self.editions.close()

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look()

    async def _look(self) -> None:
        """Take up what was published and which keys there are; what fails is told, and what stands goes on."""
        try:
            self.callers.refresh()
            self.editions.stop(self.timeout_seconds)
            found = await asyncio.to_thread(self.editions.look)
            if found is not None:
                self.editions.take(found)
                self.measures.taken_up.inc()
                self.measures.version.set(found.number)
        except ShopkeeperError as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - the version that stands goes on answering
            self._failed(f"this must not happen: an unforeseen {type(error).__name__}")

    def _failed(self, said: str) -> None:
        self.measures.failures.inc()
        if said != self.editions.problem:
            LOG.error("%s", said)
        self.editions.problem = said


def _once(make: Callable[[], str]) -> Callable[[], str]:
    """Return a function that asks at its first call only."""
    kept: list[str] = []

    def ask() -> str:
        if not kept:
            kept.append(make())
        return kept[0]

    return ask


def must_be_safe(host: str, parts: "Shopkeeper") -> None:
    """Raise UsageError for a server that others could ask without a key."""
    if not is_loopback(host) and not parts.keys.all():
        raise UsageError(
            f"to be asked from elsewhere, a server must have keys; got host {host} and none. Make one with "
            f"`shopkeeper keys add NAME --scope aggregates`, or serve on 127.0.0.1."
        )


def serve(application: Application, *, host: str, port: int, listening: "socket.socket | None" = None) -> None:
    """Serve until a signal ends it; requests under way are answered first. Raises UsageError if the port is taken."""
    import uvicorn

    config = uvicorn.Config(
        application,
        host=host,
        port=port,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=10,
    )
    server = uvicorn.Server(config)
    _few_arenas()
    # What the imports made lives as long as the server: looking it through again and again would cost every request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)
    server.run(sockets=[listening] if listening else None)


def _few_arenas() -> None:
    """Have threads share what the allocator keeps: by default each thread keeps freed memory of its own."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)
