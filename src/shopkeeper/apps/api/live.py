"""The routes of live numbers: once, as a stream of server-sent events, and stock on hand."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from shopkeeper.apps.api.errors import JSON, RefusalError
from shopkeeper.errors import UsageError

SCOPE = "aggregates"
"""What a key must be allowed to call these routes."""
MOST_STREAMS = 100
REFUSALS = {422: "a parameter is out of its range", 503: "as many streams are open as may be"}
"""Status of an answer that is an error, and when."""
SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
RETRY_SECONDS = 5


class Numbers(Protocol):
    """What the routes need of live numbers (see shopkeeper.serving.Live)."""

    def numbers(self, minutes: int | None = None, top: int = 10) -> dict[str, Any]:
        """Return the numbers of the last minutes."""

    def stock(
        self, product_id: str | None = None, store_id: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return stock on hand."""


class LiveRoutes:
    """Answers of live numbers, made at most once a second for each question, however many ask."""

    def __init__(self, live: Numbers) -> None:
        """Ask ``live``."""
        self.live = live
        self.n_streams = 0
        self._made: dict[tuple[int | None, int], tuple[float, bytes]] = {}

    async def numbers(self, request: Request) -> Response:
        """Return the numbers of the last minutes. Query: minutes, top."""
        try:
            return Response(self._bytes(*_asked(request)), media_type=JSON, headers={"Cache-Control": "no-store"})
        except RefusalError as refusal:
            return refusal.response()

    async def stock(self, request: Request) -> Response:
        """Return stock on hand. Query: product_id, store_id, limit; without the first two, what moved last."""
        query = request.query_params
        try:
            limit = _whole(query.get("limit"), "limit")
            rows = await asyncio.to_thread(
                self.live.stock, query.get("product_id"), query.get("store_id"), 100 if limit is None else limit
            )
        except RefusalError as refusal:
            return refusal.response()
        except UsageError as error:
            return RefusalError(422, "invalid_parameter", str(error)).response()
        return Response(orjson.dumps({"stock": rows}), media_type=JSON, headers={"Cache-Control": "no-store"})

    async def stream(self, request: Request) -> Response:
        """Send the numbers once a second, as long as they change, and a sign of life otherwise. Query: minutes, top."""
        try:
            asked = _asked(request)
            self._bytes(*asked)
        except RefusalError as refusal:
            return refusal.response()
        if self.n_streams >= MOST_STREAMS:
            sentence = f"at most {MOST_STREAMS} streams are open at once. Come again, or ask /v1/live."
            return RefusalError(
                503, "too_many_streams", sentence, headers={"Retry-After": str(RETRY_SECONDS)}
            ).response()
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(media_type="text/event-stream", headers=headers)
        return StreamingResponse(self._events(*asked), media_type="text/event-stream", headers=headers)

    async def _events(self, minutes: int | None, top: int) -> AsyncIterator[bytes]:
        self.n_streams += 1
        try:
            yield b"retry: 2000\n\n"
            before, sent_at = b"", 0.0
            while True:
                told = self._bytes(minutes, top)
                # `as_of` stands first and changes with every look.
                if (news := told.partition(b',"version"')[2]) != before:
                    before, sent_at = news, time.monotonic()
                    yield b"event: live\ndata: " + told + b"\n\n"
                elif time.monotonic() - sent_at >= HEARTBEAT_SECONDS:
                    sent_at = time.monotonic()
                    yield b": nothing new\n\n"
                await asyncio.sleep(SECONDS)
        finally:
            self.n_streams -= 1

    def _bytes(self, minutes: int | None, top: int) -> bytes:
        made_at, told = self._made.get((minutes, top), (0.0, b""))
        now = time.monotonic()
        if not told or now - made_at >= SECONDS:
            try:
                told = orjson.dumps(self.live.numbers(minutes, top))
            except UsageError as error:
                raise RefusalError(422, "invalid_parameter", str(error)) from None
            self._made = {key: each for key, each in self._made.items() if now - each[0] < SECONDS}
            self._made[minutes, top] = (now, told)
        return told


def routes(live: Any) -> list[BaseRoute]:
    """Return the routes of live numbers (see ``Numbers``); each has its ``scope``, and what it is ``about``."""
    answers = LiveRoutes(live)
    found: list[BaseRoute] = []
    for path, endpoint, about in (
        ("/v1/live", answers.numbers, "Tell the numbers of the last minutes"),
        ("/v1/live/stock", answers.stock, "Tell stock on hand, movements of the last seconds included"),
        (
            "/v1/live/stream",
            answers.stream,
            "Send the numbers of the last minutes once a second, as server-sent events",
        ),
    ):
        route = Route(path, endpoint, methods=["GET"])
        route.scope = SCOPE  # type: ignore[attr-defined] # read by whoever checks keys
        route.about = about  # type: ignore[attr-defined]
        found.append(route)
    return found


def _asked(request: Request) -> tuple[int | None, int]:
    query = request.query_params
    minutes, top = _whole(query.get("minutes"), "minutes"), _whole(query.get("top"), "top")
    return minutes, 10 if top is None else top


def _whole(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise RefusalError(422, "invalid_parameter", f"{name} must be a whole number; got {text[:20]!r}. Correct it.")
    return int(text)
