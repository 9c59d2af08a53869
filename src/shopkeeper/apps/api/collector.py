"""The endpoints that take events, order lines and inventory movements. 202 means: on disk, whatever crashes next."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import orjson
from starlette.requests import Request

from shopkeeper import vocabulary as v
from shopkeeper.apps.api import schemas
from shopkeeper.apps.api.endpoint import Ask, Endpoint, Handle, Reply
from shopkeeper.apps.api.errors import RefusalError
from shopkeeper.errors import ContractError, StorageError, TooLargeError, TransientError

ABOUT = {
    "events": "Take one event or a batch; 202 means on disk.",
    "order_lines": "Take one order line or a batch; 202 means on disk.",
    "inventory_movements": "Take one inventory movement or a batch; 202 means on disk.",
}
SEGMENT = "Take a message, or a batch, of a tracker that speaks Segment's HTTP API; 200 means on disk."
SEGMENT_CALLS = ("track", "batch", "page", "screen", "identify")
REFUSALS = {
    400: "it is no JSON, or no gzip",
    413: "it is larger than collector.largest_mb, or holds too many things",
    415: "its Content-Encoding is neither gzip nor none",
    422: "nothing in it fits the contract",
    503: "the log cannot be written, or too much waits for it; nothing was taken",
}
"""Status of an answer that is an error, and when."""
_OBJECT = {"type": "object"}
TAKEN = schemas.whole(
    {
        "accepted": {"type": "integer"},
        "rejected": {"type": "integer"},
        "ids": schemas.listed(schemas.TEXT),
        "rejects": schemas.listed(_OBJECT),
        "log_number": {"type": "integer"},
    }
)
SEGMENT_TAKEN = schemas.whole({"success": {"type": "boolean"}, **TAKEN["properties"]})
BODY = {"anyOf": [_OBJECT, {"type": "array", "items": _OBJECT}]}
RETRY_SECONDS = 1
LISTED = 100
"""So many rejects stand in an answer that is an error as a whole; all of them are in quarantine."""


class Receipt(Protocol):
    """What became of a request (see shopkeeper.events.collector.Receipt)."""

    @property
    def n_accepted(self) -> int:
        """How many things were taken."""

    @property
    def ids(self) -> list[str]:
        """The ids of what was taken, in order."""

    @property
    def rejects(self) -> list[dict[str, Any]]:
        """What was not taken: index, field, rule, value."""

    @property
    def number(self) -> int:
        """Its place in the log."""


class Takes(Protocol):
    """What the endpoints need of a collector (see shopkeeper.events.collector.Collector)."""

    largest_bytes: int
    most_held_bytes: int

    def unpacked(self, body: bytes) -> bytes:
        """Return the content of a gzip body."""

    async def events(self, body: bytes) -> Receipt:
        """Take events."""

    async def segment(self, body: bytes) -> Receipt:
        """Take messages of Segment's trackers."""

    async def order_lines(self, body: bytes) -> Receipt:
        """Take order lines."""

    async def inventory_movements(self, body: bytes) -> Receipt:
        """Take inventory movements."""


def endpoints(collector: Any) -> list[Endpoint]:
    """Return the endpoints of a collector (see ``Takes``)."""
    takes: Takes = collector
    hands = Hands(takes)

    def taking(path: str, about: str, take: Callable[[bytes], Awaitable[Receipt]], *, is_segment: bool) -> Endpoint:
        return Endpoint(
            "POST",
            f"/v1/{path}",
            about,
            _handle(hands, take, is_segment=is_segment),
            frozenset({v.EVENTS}),
            SEGMENT_TAKEN if is_segment else TAKEN,
            200 if is_segment else 202,
            body=BODY,
            refusals=REFUSALS,
            is_versioned=False,
        )

    own = [taking(path, about, getattr(takes, path), is_segment=False) for path, about in ABOUT.items()]
    return own + [taking(call, SEGMENT, takes.segment, is_segment=True) for call in SEGMENT_CALLS]


class Hands:
    """The bodies that are in hand at once, bounded, so that many large requests cannot fill the memory before any is read."""

    def __init__(self, takes: Takes) -> None:
        """Hold for a collector as much as it says."""
        self.takes = takes
        self.n_bytes = 0

    async def body(self, request: Request, held: list[int]) -> bytes:
        """Return the body, read no further than what is taken; unpacked if it is gzip. ``held`` grows by what is in hand."""
        largest = self.takes.largest_bytes
        announced = request.headers.get("content-length", "")
        too_large = TooLargeError(f"a request must hold at most {largest:,} bytes. Send it in parts.")
        if announced.isdigit() and int(announced) > largest:
            raise too_large
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            if size > largest:
                raise too_large
            self.n_bytes += len(part)
            held.append(len(part))
            if self.n_bytes > self.takes.most_held_bytes:
                raise TransientError(
                    f"at most {self.takes.most_held_bytes:,} bytes of requests are held at once. Send the same again later."
                )
            parts.append(part)
        return self._plain(b"".join(parts), request.headers.get("content-encoding", "identity").lower())

    def _plain(self, body: bytes, encoding: str) -> bytes:
        if encoding == "gzip":
            return self.takes.unpacked(body)
        if encoding != "identity":
            said = f"Content-Encoding must be gzip or none; got {encoding!r}. Send it plain."
            raise RefusalError(415, "unsupported_encoding", said)
        return body


def _handle(hands: Hands, take: Callable[[bytes], Awaitable[Receipt]], *, is_segment: bool) -> Handle:
    async def handle(ask: Ask) -> Reply:
        held: list[int] = []
        try:
            return _answer(await take(await hands.body(ask.request, held)), is_segment=is_segment)
        except (ContractError, StorageError, TransientError) as error:
            raise _refusal(error) from error
        finally:
            hands.n_bytes -= sum(held)

    return handle


def _answer(receipt: Receipt, *, is_segment: bool) -> Reply:
    """Return 202 with what was taken and what was not. Trackers of Segment look for 200 and success.

    Raises RefusalError, 422, if nothing was taken.
    """
    if not receipt.n_accepted:
        sentence = (
            f"a request must hold something that fits the contract; all {len(receipt.rejects)} are in quarantine with "
            f"their reasons. Correct what details say; sending the same again would change nothing."
        )
        raise RefusalError(422, "nothing_accepted", sentence, receipt.rejects[:LISTED])
    told = {
        "accepted": receipt.n_accepted,
        "rejected": len(receipt.rejects),
        "ids": receipt.ids,
        "rejects": receipt.rejects,
        "log_number": receipt.number,
    }
    return Reply(orjson.dumps({"success": True, **told})) if is_segment else Reply(orjson.dumps(told), 202)


def _refusal(error: Exception) -> RefusalError:
    """Return the answer for an error below: what is wrong with the request, or with the log."""
    if isinstance(error, TooLargeError):
        return RefusalError(413, "too_large", str(error))
    if isinstance(error, ContractError):
        return RefusalError(400, "malformed", str(error))
    code = "busy" if isinstance(error, TransientError) else "log_unavailable"
    return RefusalError(503, code, str(error), headers={"Retry-After": str(RETRY_SECONDS)})
