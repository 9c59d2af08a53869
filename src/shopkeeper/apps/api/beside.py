"""What runs beside the routes for as long as a server runs: the loader, and the live numbers that follow the log."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shopkeeper.errors import ShopkeeperError

if TYPE_CHECKING:
    from shopkeeper.assembly import Shopkeeper
    from shopkeeper.loader import Loaded

LOG = logging.getLogger("shopkeeper.collector")
SWITCH_SECONDS = 0.001
"""How long a thread may keep Python from the others: at the default of 5 ms, a request waits for each of them in turn."""


@asynccontextmanager
async def collecting(parts: "Shopkeeper", *, load_seconds: float | None = None) -> AsyncIterator[None]:
    """Follow the log and load it while this is entered; then write what waits, load it if the profile is free, and close.

    ``load_seconds``: how often it is loaded, else as the settings say. A round that fails is logged and tried again.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_SECONDS))
    loader = parts.loader(load_seconds, _tell)
    parts.live.start()
    loader.start()
    try:
        yield
    finally:
        await asyncio.to_thread(parts.live.stop)
        await asyncio.to_thread(parts.collector.close)
        await asyncio.to_thread(loader.stop)
        sys.setswitchinterval(before)


def _tell(done: "Loaded | ShopkeeperError") -> None:
    if isinstance(done, ShopkeeperError):
        LOG.error("not loaded, trying again: %s", done)
    else:
        LOG.info("%d rows loaded in %d loads", done.n_rows, len(done.loads))
