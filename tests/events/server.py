"""A small application of the collector's and the live endpoints alone, run by uvicorn on a port.

`python server.py DIR PORT [SECONDS]`: with the loader beside it, if told how often it loads.
"""

import sys
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shopkeeper.apps.api import collector, live
from shopkeeper.apps.api.beside import collecting
from shopkeeper.apps.api.callers import NOBODY
from shopkeeper.apps.api.endpoint import Ask, Reply
from shopkeeper.apps.api.errors import RefusalError
from shopkeeper.assembly import assemble


async def drain(request):
    """Read the body and answer constant bytes: what the collector is measured against."""
    await request.body()
    return PlainTextResponse(b"x" * 100)


def route(endpoint):
    """An endpoint as a route of Starlette's, open to all."""

    async def answer(request):
        try:
            reply = await endpoint.handle(Ask(request.scope, request.receive, None, NOBODY, ""))
        except RefusalError as refusal:
            return refusal.response()
        return Response(reply.body, reply.status, media_type=reply.kind) if isinstance(reply, Reply) else reply

    return Route(endpoint.path, answer, methods=[endpoint.method])


def application(parts, *, load_seconds=None):
    """The endpoints of a project's collector and live numbers; without a loader, unless told how often it loads."""

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

    endpoints = [*collector.endpoints(parts.collector), *live.endpoints(parts.live)]
    routes = [route(each) for each in endpoints]
    drained = Route("/drain", drain, methods=["POST"])
    return Starlette(routes=[*routes, drained], lifespan=alone if load_seconds is None else together)


if __name__ == "__main__":
    import uvicorn

    folder, port, load_seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else None
    app = application(assemble(folder), load_seconds=load_seconds)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
