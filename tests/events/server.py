"""A small application of the collector's and the live routes alone, run by uvicorn on a port.

`python server.py DIR PORT [SECONDS]`: with the loader beside it, if told how often it loads.
"""

import sys
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from shopkeeper.apps.api import collector, live
from shopkeeper.apps.api.beside import collecting
from shopkeeper.assembly import assemble


async def drain(request):
    """Read the body and answer constant bytes: what the collector is measured against."""
    await request.body()
    return PlainTextResponse(b"x" * 100)


def application(parts, *, load_seconds=None):
    """The routes of a project's collector and live numbers; without a loader, unless told how often it loads."""

    @asynccontextmanager
    async def alone(_app):
        parts.live.start()
        yield
        parts.live.stop()
        parts.collector.close()

    @asynccontextmanager
    async def together(_app):
        async with collecting(parts, load_seconds=load_seconds):
            yield

    routes = [*collector.routes(parts.collector), *live.routes(parts.live), Route("/drain", drain, methods=["POST"])]
    return Starlette(routes=routes, lifespan=alone if load_seconds is None else together)


if __name__ == "__main__":
    import uvicorn

    folder, port, load_seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else None
    app = application(assemble(folder), load_seconds=load_seconds)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
