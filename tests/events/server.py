"""A small application of the collector's and the live routes alone, run by uvicorn on a port: `python server.py DIR PORT`."""

import sys
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from shopkeeper.apps.api import collector, live
from shopkeeper.assembly import assemble


def application(parts, *, load_seconds=None):
    """The routes of a project's collector and live numbers; with a loader, if told how often it loads."""

    @asynccontextmanager
    async def lifespan(_app):
        parts.live.start()
        loader = parts.loader(load_seconds) if load_seconds is not None else None
        if loader:
            loader.start()
        yield
        parts.live.stop()
        if loader:
            loader.stop()
        parts.collector.close()

    routes = [*collector.routes(parts.collector), *live.routes(parts.live)]

    async def bare(_request):
        return PlainTextResponse(b"x" * 100)

    async def drain(request):
        await request.body()
        return PlainTextResponse(b"x" * 100)

    routes += [Route("/bare", bare), Route("/drain", drain, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    import uvicorn

    sys.setswitchinterval(0.001)
    folder, port, load_seconds = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None
    app = application(assemble(folder), load_seconds=float(load_seconds) if load_seconds else None)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
