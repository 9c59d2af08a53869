"""What an endpoint is: its place, who may ask it, what it takes and gives, and the function that answers.

One declaration is used three times: requests are led by it, ``/v1/openapi.json`` is written from it, and the table of scopes
is tested against it. A path is fixed, or ends in one ``{name}``.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from shopkeeper.apps.api.errors import JSON, RefusalError
from shopkeeper.serving.editions import Edition

Schema: TypeAlias = Mapping[str, Any]
MOST_PARAMETERS = 100
LONGEST_ID = 1000


class Caller(NamedTuple):
    """Who asks: the name of the key (empty without one), for the count of requests; and what the key is good for."""

    name: str
    scopes: frozenset[str]


class Reply(NamedTuple):
    """An answer as bytes. ``variant`` marks answers at one address that differ by who asks, such as masked ones."""

    body: bytes
    status: int = 200
    kind: str = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    variant: str = ""


@dataclass(frozen=True)
class Parameter:
    """One parameter of the address: its name, JSON schema, and what it is for."""

    name: str
    schema: Schema
    about: str

    def read(self, text: str) -> Any:
        """Return its value. Raises ValueError with the rule it breaks."""
        kind = self.schema["type"]
        if kind == "boolean":
            if text not in {"true", "false"}:
                raise ValueError("must be true or false")
            return text == "true"
        if kind == "string":
            if (known := self.schema.get("enum")) and text not in known:
                raise ValueError(f"must be one of {', '.join(known)}")
            return text
        value = int(text) if kind == "integer" else float(text)
        low, high = self.schema.get("minimum"), self.schema.get("maximum")
        if not ((low is None or value >= low) and (high is None or value <= high)):
            raise ValueError(f"must be from {low} to {high}")
        return value

    @property
    def rule(self) -> str:
        """What a value must be, for a sentence."""
        low, high = self.schema.get("minimum"), self.schema.get("maximum")
        return f"{self.schema['type']}{f' from {low} to {high}' if low is not None else ''}"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: the version it is answered from (None before the first), who asks, the id that ends its path."""

    scope: Scope
    receive: Receive
    edition: Edition | None
    caller: Caller
    id: str

    @property
    def request(self) -> Request:
        """The request as Starlette has it, for handlers that read its body."""
        return Request(self.scope, self.receive)

    @property
    def published(self) -> Edition:
        """The version. Raises RefusalError, 503, before one is published."""
        if self.edition is None:
            raise RefusalError(
                503,
                "nothing_published",
                "a version must be published before it can be asked; there is none. Run `shopkeeper run`.",
                headers={"Retry-After": "10"},
            )
        return self.edition

    def pairs(self) -> list[tuple[str, str]]:
        """Return the parameters as they stand in the address. Raises RefusalError, 400, for too many."""
        raw = self.scope["query_string"]
        if not raw:
            return []
        try:
            return parse_qsl(
                raw.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict"
            )
        except (ValueError, UnicodeError) as error:
            raise RefusalError(
                400,
                "bad_address",
                f"an address must have at most {MOST_PARAMETERS} parameters, in UTF-8; got others. Correct it.",
            ) from error


Handle: TypeAlias = Callable[[Ask], Awaitable[Reply | Response]]


@dataclass(frozen=True)
class Endpoint:
    """One endpoint.

    ``scopes``: a key needs one of them; none: open to all. ``answer``: the JSON schema of a 200. ``body``: that of the request.
    ``refusals``: status → when, besides those that every endpoint has. ``takes_filters``: parameters beyond those declared are
    filters. ``is_versioned``: what it says depends on the published version, and carries its ETag. ``is_limited``: whether
    rate and keys hold (health must answer always); ``is_quick``: it waits for nothing, so that no clock need be set.
    """

    method: str
    path: str
    about: str
    handle: Handle
    scopes: frozenset[str] = frozenset()
    answer: Schema = field(default_factory=dict)
    status: int = 200
    kind: str = JSON
    parameters: Sequence[Parameter] = ()
    body: Schema | None = None
    refusals: Mapping[int, str] = field(default_factory=dict)
    takes_filters: bool = False
    is_versioned: bool = True
    is_limited: bool = True
    is_quick: bool = False
    details: str = ""

    @property
    def head(self) -> str:
        """The path without its variable end."""
        return self.path.rpartition("/")[0] if self.variable else self.path

    @property
    def variable(self) -> str:
        """The name of the variable that ends the path; empty if it is fixed."""
        return self.path.rpartition("/")[2].strip("{}") if self.path.endswith("}") else ""


def read(
    ask: Ask, parameters: Sequence[Parameter], *, takes_filters: bool = False
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the declared parameters that are given, and the others, which are filters.

    Raises RefusalError, 422, that names each parameter that is unknown, given twice, or breaks its rule.
    """
    known = {each.name: each for each in parameters}
    found: dict[str, Any] = {}
    filters: list[tuple[str, str]] = []
    wrong: list[dict[str, str]] = []
    for name, text in ask.pairs():
        if name not in known:
            filters.append((name, text))
            continue
        if name in found:
            wrong.append({"field": name, "message": "must be given once"})
            continue
        try:
            found[name] = known[name].read(text)
        except ValueError as error:
            said = str(error) if str(error).startswith("must") else f"must be {known[name].rule}"
            wrong.append({"field": name, "message": f"{said}; got {text[:60]!r}"})
    if not takes_filters:
        said = f"is unknown; the parameters are {', '.join(known) or 'none'}"
        wrong += [{"field": name, "message": said} for name, _ in filters]
    if wrong:
        said = "; ".join(f"{each['field'][:60]} {each['message']}" for each in wrong[:3])
        raise RefusalError(
            422, "bad_parameter", f"parameters must be those of the endpoint; {said}. Correct the address.", wrong
        )
    return found, filters


def told(value: Any, status: int = 200, variant: str = "") -> Reply:
    """Return values as a JSON answer; decimals keep all their digits, moments are UTC."""
    return Reply(
        orjson.dumps(
            value, default=_plain, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY
        ),
        status,
        variant=variant,
    )


def _plain(value: Any) -> Any:
    text = str(value)
    try:
        float(text)
    except ValueError:
        return text
    return orjson.Fragment(text.encode())
