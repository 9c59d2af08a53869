"""The collector's and the live numbers' routes as endpoints of the API: behind its keys and limits, and in its contract."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from shopkeeper.apps.api import collector, live, schemas
from shopkeeper.apps.api.endpoint import Ask, Endpoint, Parameter, Schema

if TYPE_CHECKING:
    from shopkeeper.assembly import Shopkeeper

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
PARAMETERS: dict[str, Sequence[Parameter]] = {
    "/v1/live": (MINUTES, TOP),
    "/v1/live/stream": (MINUTES, TOP),
    "/v1/live/stock": STOCK,
}
STREAM = "text/event-stream; charset=utf-8"
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
BATCH = {"anyOf": [_OBJECT, {"type": "array", "items": _OBJECT}]}


def endpoints(parts: "Shopkeeper") -> list[Endpoint]:
    """Return what takes events, order lines and inventory movements, and what tells the numbers of the last minutes."""
    found = []
    for route in collector.routes(parts.collector):
        is_segment = getattr(route, "about", "") == collector.SEGMENT
        answer, status = (SEGMENT_TAKEN, 200) if is_segment else (TAKEN, 202)
        found.append(_endpoint(route, "POST", answer, status, body=BATCH, refusals=collector.REFUSALS))
    for route in live.routes(parts.live):
        is_stream = getattr(route, "path", "").endswith("stream")
        kind = {"kind": STREAM} if is_stream else {}
        answer = {"type": "string"} if is_stream else _OBJECT
        found.append(_endpoint(route, "GET", answer, 200, refusals=live.REFUSALS, **kind))
    return found


def _endpoint(
    route: BaseRoute, method: str, answer: Schema, status: int, *, refusals: Mapping[int, str], **more: Any
) -> Endpoint:
    if not isinstance(route, Route):
        raise TypeError(f"a route must be one of Starlette's; got {type(route).__name__}")
    answers = route.endpoint

    async def handle(ask: Ask) -> Response:
        response: Response = await answers(ask.request)
        return response

    scopes = frozenset({str(getattr(route, "scope"))})  # noqa: B009 - the route was given it by its module
    return Endpoint(
        method,
        route.path,
        f"{getattr(route, 'about', '')}.",
        handle,
        scopes,
        answer,
        status,
        parameters=PARAMETERS.get(route.path, ()),
        refusals=refusals,
        is_versioned=False,
        **more,
    )
