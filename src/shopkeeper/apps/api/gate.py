"""Through which every request comes and every answer leaves: who may, how often, how long, from which version.

It leads a request to its endpoint by looking its path up, for all paths are fixed or end in one id; reads that are stored
answers are told at once. The version that is current when a request comes is held until its answer is sent.
"""

import asyncio
import logging
import traceback
from collections.abc import Iterable, MutableMapping
from time import perf_counter
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from shopkeeper.apps.api.callers import NOBODY, Buckets, Callers, must_be_let_in
from shopkeeper.apps.api.endpoint import LONGEST_ID, Ask, Caller, Endpoint, Reply
from shopkeeper.apps.api.errors import RefusalError
from shopkeeper.apps.api.measures import Measures
from shopkeeper.errors import ModelError, OutsideError, UserError
from shopkeeper.serving.editions import Edition, EditionGoneError, Editions
from shopkeeper.serving.listings import CursorError, FilterError
from shopkeeper.serving.offers import NoModelError
from shopkeeper.serving.prediction_inputs import InputError

LOG = logging.getLogger("shopkeeper.api")
UNMATCHED = "unmatched"
TRIES, PAUSE = 8, 0.1
"""How often, and after how many seconds, a version that was removed is looked for anew."""
SAFE = ((b"x-content-type-options", b"nosniff"),)
VARY = (b"vary", b"authorization")
REVALIDATE = (b"cache-control", b"private, no-cache")
NO_STORE = (b"cache-control", b"no-store")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"}


class Gate:
    """The ASGI application: endpoints behind keys, limits and versions."""

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        editions: Editions,
        callers: Callers,
        buckets: Buckets,
        measures: Measures,
        *,
        timeout_seconds: float,
    ) -> None:
        """Lead requests to these endpoints."""
        self.endpoints = tuple(endpoints)
        self.editions = editions
        self.callers = callers
        self.buckets = buckets
        self.measures = measures
        self.timeout_seconds = timeout_seconds
        self._fixed: dict[str, dict[str, Endpoint]] = {}
        self._ending: dict[str, dict[str, Endpoint]] = {}
        for each in self.endpoints:
            table = self._ending if each.variable else self._fixed
            table.setdefault(each.head, {})[each.method] = each

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the API must be asked by HTTP; got {scope['type']}")
        started = perf_counter()
        sent = _Sent(send, scope["method"] == "HEAD")
        held = _Held(self.editions)
        template = UNMATCHED
        endpoint: Endpoint | None = None
        reply: Reply | Response
        try:
            try:
                endpoint, name = self._find(scope)
                template = endpoint.path
                caller = self._let_in(scope, endpoint)
                if endpoint.is_quick:
                    reply = await endpoint.handle(Ask(scope, receive, held.edition, caller, name))
                else:
                    async with asyncio.timeout(self.timeout_seconds):
                        reply = await self._answered(endpoint, scope, receive, held, caller, name)
            except TimeoutError:
                reply, endpoint = _took_too_long(self.timeout_seconds), None
            except Exception as error:  # noqa: BLE001 - whatever it is, who asks gets one sentence, and the log the rest
                reply, endpoint = _refused(error), None
            edition = held.edition
            if isinstance(reply, StreamingResponse):
                # It lasts as long as somebody listens: no version is kept open for it.
                held.let_go()
            await self._send(scope, receive, sent, reply, endpoint, edition)
        finally:
            held.let_go()
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.measures.count(template, method, sent.status, perf_counter() - started)

    def _find(self, scope: Scope) -> tuple[Endpoint, str]:
        """Return the endpoint of a path, and the id that ends it. Raises RefusalError, 404 or 405."""
        raw = scope["raw_path"].partition(b"?")[0]
        path = raw.decode("latin-1")
        name = ""
        found = self._fixed.get(path)
        if found is None:
            head, _, last = path.rpartition("/")
            found = self._ending.get(head) if last else None
            if found is None:
                raise RefusalError(
                    404, "no_such_endpoint", "an address must be one of the API's; got another. See /v1/openapi.json."
                )
            try:
                name = unquote_to_bytes(last).decode("utf-8") if "%" in last else last
            except UnicodeDecodeError:
                name = ""
            if not name or len(name) > LONGEST_ID:
                raise RefusalError(
                    404,
                    "bad_id",
                    f"an id must be a text in UTF-8 of at most {LONGEST_ID} letters; got another. Correct it.",
                )
        method = scope["method"]
        endpoint = found.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            allowed = ", ".join(sorted({*found, *(["HEAD"] if "GET" in found else [])}))
            raise RefusalError(
                405,
                "wrong_method",
                f"the method must be one of {allowed}; got {method[:20]}. Use that.",
                headers={"Allow": allowed},
            )
        return endpoint, name

    def _let_in(self, scope: Scope, endpoint: Endpoint) -> Caller:
        """Return who asks. Raises RefusalError: 401, 403, or 429 with the seconds to wait."""
        if not endpoint.is_limited:
            return NOBODY
        client = scope.get("client")
        address = client[0] if client else ""
        try:
            caller = self.callers.of(scope) if endpoint.scopes else NOBODY
        except RefusalError:
            self._take(address)
            raise
        self._take(caller.name or address)
        must_be_let_in(caller, endpoint)
        return caller

    def _take(self, who: str) -> None:
        wait = self.buckets.take(who)
        if wait > 0:
            raise RefusalError(
                429,
                "too_many_requests",
                f"requests must be at most {self.buckets.rate:g} a second, {self.buckets.burst:g} at once; got more. Wait.",
                headers={"Retry-After": str(max(1, int(wait + 0.999)))},
            )

    async def _answered(
        self, endpoint: Endpoint, scope: Scope, receive: Receive, held: "_Held", caller: Caller, name: str
    ) -> Reply | Response:
        """Return the answer; of a newer version, where the one that was held has been removed from the disk."""
        for last in (*[False] * TRIES, True):
            try:
                return await endpoint.handle(Ask(scope, receive, held.edition, caller, name))
            except EditionGoneError:
                if last:
                    raise
                await asyncio.sleep(PAUSE)
                held.again()
        raise AssertionError

    async def _send(
        self,
        scope: Scope,
        receive: Receive,
        sent: "_Sent",
        reply: Reply | Response,
        endpoint: Endpoint | None,
        edition: Edition | None,
    ) -> None:
        added = list(SAFE)
        if edition is not None:
            added.append((b"x-shopkeeper-version", b"%d" % edition.number))
        is_versioned = endpoint is not None and endpoint.is_versioned and edition is not None
        if not isinstance(reply, Reply):
            sent.added = [*added, *([] if b"cache-control" in dict(reply.raw_headers) else [NO_STORE])]
            await reply(scope, receive, sent)
            return
        status, body = reply.status, reply.body
        if is_versioned and edition is not None and status == 200:
            tag = f'"{edition.tag}{f"-{reply.variant}" if reply.variant else ""}"'.encode()
            added += ((b"etag", tag), REVALIDATE, VARY)
            if scope["method"] in {"GET", "HEAD"} and _is_known(scope, tag):
                status, body = 304, b""
        else:
            added.append(NO_STORE)
        headers = [*reply.headers, *added]
        if status != 304:
            headers += ((b"content-type", reply.kind.encode()), (b"content-length", b"%d" % len(body)))
        sent.status = status
        await sent.send({"type": "http.response.start", "status": status, "headers": headers})
        await sent.send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class _Held:
    """The edition that a request holds, and lets go of once."""

    __slots__ = ("_editions", "edition")

    def __init__(self, editions: Editions) -> None:
        self._editions = editions
        self.edition = editions.hold()

    def let_go(self) -> None:
        if self.edition is not None:
            self._editions.release(self.edition)
            self.edition = None

    def again(self) -> None:
        """Hold the one that is current now."""
        self.let_go()
        self.edition = self._editions.hold()


class _Sent:
    """The sending end, which knows what was sent, adds headers, and leaves the body of a HEAD away."""

    __slots__ = ("_is_head", "added", "send", "status")

    def __init__(self, send: Send, is_head: bool) -> None:
        self.send = send
        self._is_head = is_head
        self.added: list[tuple[bytes, bytes]] = []
        self.status = 499

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.added:
                message = {**message, "headers": [*message.get("headers", ()), *self.added]}
        elif self._is_head:
            message = {**message, "body": b""}
        await self.send(message)


def _is_known(scope: MutableMapping[str, Any], tag: bytes) -> bool:
    """Return whether who asks has this answer already."""
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            return value == b"*" or any(each.strip().removeprefix(b"W/") == tag for each in value.split(b","))
    return False


def _took_too_long(seconds: float) -> Response:
    return RefusalError(
        504,
        "took_too_long",
        f"an answer must be made within {seconds:g} seconds; this one was not. Ask for less, or raise api.timeout_seconds.",
    ).response()


def _refused(error: Exception) -> Response:
    """Return what a person is told of an error; what nobody foresaw is logged without anything of the request."""
    if isinstance(error, RefusalError):
        return error.response()
    if isinstance(error, InputError):
        return RefusalError(422, "bad_fields", str(error), error.details).response()
    if isinstance(error, FilterError):
        return RefusalError(422, "bad_filter", str(error), error.details).response()
    if isinstance(error, CursorError):
        return RefusalError(410, "other_version", str(error)).response()
    if isinstance(error, NoModelError):
        return RefusalError(404, "no_model", str(error)).response()
    if isinstance(error, UserError):
        return RefusalError(422, "cannot_be_asked", str(error)).response()
    if isinstance(error, ModelError):
        return RefusalError(422, "model_does_not_fit", str(error)).response()
    if isinstance(error, OutsideError | EditionGoneError):
        LOG.error("%s: %s", type(error).__name__, error)
        return RefusalError(503, "not_now", str(error), headers={"Retry-After": "5"}).response()
    # Neither its text nor lines of source: they may hold what was asked.
    where = "; ".join(
        f"{each.filename}:{each.lineno} {each.name}" for each in traceback.extract_tb(error.__traceback__)
    )
    LOG.error("unforeseen %s at %s", type(error).__name__, where)
    return RefusalError(
        500,
        "unforeseen",
        f"this must not happen: an unforeseen {type(error).__name__}. What was published still answers. Please report it, "
        f"with what the server's log says.",
    ).response()
