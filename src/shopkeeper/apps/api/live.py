"""The endpoints of live numbers: once, as a stream of server-sent events, and stock on hand."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from shopkeeper import vocabulary as v
from shopkeeper.apps.api.endpoint import Ask, Endpoint, Parameter, Reply
from shopkeeper.apps.api.errors import RefusalError
from shopkeeper.errors import UsageError

MINUTES = Parameter(
    "minutes",
    {"type": "integer", "minimum": 1, "maximum": 999_999},
    "how far back; all that live numbers reach if not given",
)
TOP = Parameter("top", {"type": "integer", "minimum": 1, "maximum": 999_999}, "how many products; 10 if not given")
STOCK = (
    Parameter("product_id", {"type": "string"}, "of this product only"),
    Parameter("store_id", {"type": "string"}, "of this store only"),
    Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 999_999}, "at most so many rows; 100 if not given"),
)
STREAM = "text/event-stream"
MOST_STREAMS = 100
REFUSALS = {422: "a parameter is out of its range", 503: "as many streams are open as may be"}
"""Status of an answer that is an error, and when."""
SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
RETRY_SECONDS = 5


class Numbers(Protocol):
    """What the endpoints need of live numbers (see shopkeeper.serving.Live)."""

    def numbers(self, minutes: int | None = None, top: int = 10) -> dict[str, Any]:
        """Return the numbers of the last minutes."""

    def stock(
        self, product_id: str | None = None, store_id: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return stock on hand."""


class LiveAnswers:
    """Answers of live numbers, made at most once a second for each question, however many ask."""

    def __init__(self, live: Numbers) -> None:
        """Ask ``live``."""
        self.live = live
        self.n_streams = 0
        self._made: dict[tuple[int | None, int], tuple[float, bytes]] = {}

    async def numbers(self, ask: Ask) -> Reply:
        """Return the numbers of the last minutes. Query: minutes, top."""
        return Reply(self._bytes(*_asked(ask.request)))

    async def stock(self, ask: Ask) -> Reply:
        """Return stock on hand. Query: product_id, store_id, limit; without the first two, what moved last."""
        query = ask.request.query_params
        limit = _whole(query.get("limit"), "limit")
        try:
            rows = await asyncio.to_thread(
                self.live.stock, query.get("product_id"), query.get("store_id"), 100 if limit is None else limit
            )
        except UsageError as error:
            raise RefusalError(422, "invalid_parameter", str(error)) from error
        return Reply(orjson.dumps({"stock": rows}))

    async def stream(self, ask: Ask) -> Response:
        """Send the numbers once a second, as long as they change, and a sign of life otherwise. Query: minutes, top."""
        request = ask.request
        asked = _asked(request)
        self._bytes(*asked)
        if self.n_streams >= MOST_STREAMS:
            sentence = f"at most {MOST_STREAMS} streams are open at once. Come again, or ask /v1/live."
            raise RefusalError(503, "too_many_streams", sentence, headers={"Retry-After": str(RETRY_SECONDS)})
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(media_type=STREAM, headers=headers)
        return StreamingResponse(self._events(*asked), media_type=STREAM, headers=headers)

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


def endpoints(live: Any) -> list[Endpoint]:
    """Return the endpoints of live numbers (see ``Numbers``)."""
    answers = LiveAnswers(live)
    shape: dict[str, Any] = {"scopes": frozenset({v.AGGREGATES}), "refusals": REFUSALS, "is_versioned": False}
    told = {"type": "object"}
    return [
        Endpoint(
            "GET",
            "/v1/live",
            "Tell the numbers of the last minutes.",
            answers.numbers,
            answer=told,
            parameters=(MINUTES, TOP),
            **shape,
        ),
        Endpoint(
            "GET",
            "/v1/live/stock",
            "Tell stock on hand, movements of the last seconds included.",
            answers.stock,
            answer=told,
            parameters=STOCK,
            **shape,
        ),
        Endpoint(
            "GET",
            "/v1/live/stream",
            "Send the numbers of the last minutes once a second, as server-sent events.",
            answers.stream,
            answer={"type": "string"},
            kind=f"{STREAM}; charset=utf-8",
            parameters=(MINUTES, TOP),
            **shape,
        ),
    ]


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
