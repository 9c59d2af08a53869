"""JSON bodies within limits: of bytes while they come, of values before they are read, of depth before they are used."""

from dataclasses import dataclass
from typing import Any

import orjson

from shopkeeper.apps.api.endpoint import Ask
from shopkeeper.apps.api.errors import RefusalError

READ = "shopkeeper.body"
CLOSE = {"Connection": "close"}


@dataclass(frozen=True)
class BodyLimits:
    """``size`` in bytes, ``depth`` of nesting, ``elements``: values, counted by their commas and brackets."""

    size: int
    depth: int
    elements: int


async def read_bytes(ask: Ask, limits: BodyLimits) -> bytes:
    """Return a request's body. Raises RefusalError, 413, as soon as it is known to be too large; 400 if it breaks off."""
    if (known := ask.scope.get(READ)) is not None:
        # Asked again, of a newer version.
        return bytes(known)
    for name, value in ask.scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limits.size:
            raise _too_large(limits)
        if name == b"content-encoding" and value.lower() not in {b"", b"identity"}:
            raise RefusalError(
                415,
                "encoded_body",
                f"a body must be sent as it is; got Content-Encoding {value[:40]!r}. Send it plain.",
                headers=CLOSE,
            )
    parts: list[bytes] = []
    size = 0
    while True:
        message = await ask.receive()
        if message["type"] == "http.disconnect":
            raise RefusalError(400, "broken_off", "a body must come whole; the connection broke off. Send it again.")
        part = message.get("body", b"")
        size += len(part)
        if size > limits.size:
            raise _too_large(limits)
        parts.append(part)
        if not message.get("more_body", False):
            ask.scope[READ] = b"".join(parts)
            return bytes(ask.scope[READ])


async def read_json(ask: Ask, limits: BodyLimits) -> Any:
    """Return a request's body as values. Raises RefusalError: as ``read_bytes``, 415 for another type, 400 for no JSON."""
    for name, value in ask.scope["headers"]:
        if name == b"content-type" and not _is_json(value):
            raise RefusalError(
                415,
                "not_json",
                f"a body must be application/json; got {value.decode('latin-1')[:60]!r}. Send `Content-Type: application/json`.",
                headers=CLOSE,
            )
    return parsed(await read_bytes(ask, limits), limits)


def _is_json(value: bytes) -> bool:
    kind = value.partition(b";")[0].strip().lower()
    return kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json"))


def parsed(body: bytes, limits: BodyLimits) -> Any:
    """Return JSON as values. Raises RefusalError, 400, if it is none, or larger or deeper than the limits."""
    n_values = body.count(b",") + body.count(b"{") + body.count(b"[")
    if n_values > limits.elements:
        raise RefusalError(
            400,
            "too_many_values",
            f"a body must be made of at most {limits.elements:,} values; got about {n_values:,}. Send it in parts.",
        )
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusalError(400, "bad_json", f"a body must be JSON; got: {error}. Correct it.") from error
    if body.count(b"{") + body.count(b"[") > limits.depth and _is_deeper(value, limits.depth):
        raise RefusalError(
            400, "too_deep", f"a body must be nested at most {limits.depth} deep; got one that is deeper. Flatten it."
        )
    return value


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number, however it is written: 3 and 3.0 are the same to JSON."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


def _is_deeper(value: Any, limit: int) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        if not level:
            return False
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, dict | list)
        ]
    return bool(level)


def _too_large(limits: BodyLimits) -> RefusalError:
    return RefusalError(
        413,
        "body_too_large",
        f"a body must be at most {limits.size:,} bytes; got more. Send it in parts, or raise api.body_limit_mb.",
        headers=CLOSE,
    )
