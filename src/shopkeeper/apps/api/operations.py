"""Whether the server lives and is ready, what it measures, which version answers, and what only an administrator may do."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from shopkeeper import vocabulary as v
from shopkeeper.apps.api import contract, schemas
from shopkeeper.apps.api.bodies import BodyLimits, is_whole, read_json
from shopkeeper.apps.api.endpoint import Ask, Endpoint, Reply, read, told
from shopkeeper.apps.api.errors import RefusalError
from shopkeeper.apps.api.measures import KIND, Measures
from shopkeeper.apps.api.work import Bench
from shopkeeper.errors import UsageError
from shopkeeper.serving.editions import Editions

if TYPE_CHECKING:
    from shopkeeper.assembly import Keys

ANYBODY = frozenset({v.AGGREGATES, v.CUSTOMERS, v.PREDICT, v.EVENTS, v.ADMIN})
ADMINS = frozenset({v.ADMIN})
_VERSION = schemas.whole(
    {
        "number": {"type": "integer"},
        "published_at": {"type": "string", "format": "date-time"},
        "is_current": {"type": "boolean"},
        "tables": {"type": "object", "additionalProperties": {"type": "integer"}},
        "models": {"type": "object", "additionalProperties": schemas.TEXT},
    }
)
_MOMENT = schemas.TYPES["moment"]
_KEY = schemas.whole(
    {
        "name": schemas.TEXT,
        "ends_with": schemas.TEXT,
        "scopes": schemas.listed(schemas.TEXT),
        "created_at": _MOMENT,
        "expires_at": _MOMENT,
        "revoked_at": _MOMENT,
    }
)


class Operations:
    """The endpoints about the server itself; ``all_endpoints`` gives what the contract shows."""

    def __init__(
        self,
        editions: Editions,
        keys: "Keys",
        measures: Measures,
        bench: Bench,
        limits: BodyLimits,
        all_endpoints: Callable[[], Sequence[Endpoint]],
    ) -> None:
        self._editions = editions
        self._keys = keys
        self._measures = measures
        self._bench = bench
        self._limits = limits
        self._all_endpoints = all_endpoints
        self._document = b""

    def endpoints(self) -> list[Endpoint]:
        """Return them all."""
        plain: dict[str, Any] = {"is_versioned": False, "is_quick": True}
        status = schemas.whole({"status": schemas.TEXT})
        return [
            Endpoint(
                "GET",
                "/healthz",
                "Whether the server lives.",
                self.health,
                frozenset(),
                status,
                **plain,
                is_limited=False,
            ),
            Endpoint(
                "GET",
                "/readyz",
                "Whether a published version answers; 503 with the reason until one does.",
                self.ready,
                frozenset(),
                schemas.whole({"status": schemas.TEXT, "version": {"type": "integer"}}),
                **plain,
                is_limited=False,
            ),
            Endpoint(
                "GET",
                "/metrics",
                "Measures of the server, for Prometheus.",
                self.metrics,
                ANYBODY,
                {"type": "string"},
                kind=KIND,
                **plain,
            ),
            Endpoint(
                "GET", "/v1/openapi.json", "The contract.", self.contract, frozenset(), {"type": "object"}, **plain
            ),
            Endpoint(
                "GET",
                "/v1/docs",
                "The endpoints, for people.",
                self.page,
                frozenset(),
                {"type": "string"},
                kind="text/html; charset=utf-8",
                **plain,
            ),
            Endpoint(
                "GET",
                "/v1/version",
                "The published version that answers.",
                self.version,
                ANYBODY,
                _VERSION,
                is_quick=True,
            ),
            Endpoint(
                "GET",
                "/v1/admin/versions",
                "The versions that are kept, newest first.",
                self.versions,
                ADMINS,
                schemas.whole({"data": schemas.listed(_VERSION)}),
                is_versioned=False,
            ),
            Endpoint(
                "POST",
                "/v1/admin/rollback",
                "Go back to an earlier version: the one before, or a number.",
                self.rollback,
                ADMINS,
                _VERSION,
                is_versioned=False,
                body=schemas.whole({"number": {"type": ["integer", "null"]}}, optional=("number",)),
                refusals={409: "there is no such version"},
            ),
            Endpoint(
                "GET",
                "/v1/admin/keys",
                "The keys that were made, without what opens.",
                self.keys,
                ADMINS,
                schemas.whole({"data": schemas.listed(_KEY)}),
                is_versioned=False,
            ),
        ]

    async def health(self, ask: Ask) -> Reply:
        """Answer that the server lives."""
        read(ask, ())
        return told({"status": "alive"})

    async def ready(self, ask: Ask) -> Reply:
        """Answer which version is served, or why none."""
        read(ask, ())
        if ask.edition is None:
            raise RefusalError(503, "not_ready", f"not ready: {self._editions.problem}.", headers={"Retry-After": "5"})
        return told({"status": "ready", "version": ask.edition.number})

    async def metrics(self, ask: Ask) -> Reply:
        """Answer with the measures."""
        read(ask, ())
        return Reply(self._measures.text(), kind=KIND)

    async def contract(self, ask: Ask) -> Reply:
        """Answer with the OpenAPI document."""
        read(ask, ())
        if not self._document:
            self._document = orjson.dumps(contract.document(self._all_endpoints()))
        return Reply(self._document)

    async def page(self, ask: Ask) -> Reply:
        """Answer with the page for people."""
        read(ask, ())
        safe = ((b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),)
        return Reply(contract.page(self._all_endpoints()).encode(), kind="text/html; charset=utf-8", headers=safe)

    async def version(self, ask: Ask) -> Reply:
        """Answer with the version that answers."""
        read(ask, ())
        return told(_plain(ask.published.version, is_current=True))

    async def versions(self, ask: Ask) -> Reply:
        """Answer with all versions."""
        read(ask, ())
        found = await self._bench.do(self._editions.published.versions)
        return told({"data": [_plain(each, is_current=each.is_current) for each in found]})

    async def rollback(self, ask: Ask) -> Reply:
        """Move the pointer back, and take that version up at once."""
        read(ask, ())
        body = await read_json(ask, self._limits)
        number = body.get("number") if isinstance(body, dict) else None
        is_right = isinstance(body, dict) and body.keys() <= {"number"}
        if not is_right or not (number is None or is_whole(number)):
            details = [{"field": "number", "message": "must be the number of a version, or null for the one before"}]
            said = "the body must be an object with number, or an empty one; got another. Correct it."
            raise RefusalError(422, "bad_fields", said, details)
        try:
            found = await self._bench.do(lambda: self._editions.published.rollback(number))
        except UsageError as error:
            raise RefusalError(409, "no_such_version", str(error)) from error
        opened = await self._bench.do(self._editions.look)
        if opened is not None:
            self._editions.take(opened)
        return told(_plain(found, is_current=True))

    async def keys(self, ask: Ask) -> Reply:
        """Answer with what may be shown of the keys."""
        read(ask, ())
        return told({"data": [key.plain() for key in self._keys.all()]})


def _plain(version: object, *, is_current: bool) -> dict[str, object]:
    names = ("number", "published_at", "tables", "models")
    return {**{name: getattr(version, name) for name in names}, "is_current": is_current}
