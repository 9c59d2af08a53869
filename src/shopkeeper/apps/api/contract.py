"""``/v1/openapi.json`` and the page that shows it, written from the endpoints as they are declared."""

from collections.abc import Iterable
from html import escape
from typing import Any

from shopkeeper import __version__
from shopkeeper.apps.api import schemas
from shopkeeper.apps.api.endpoint import Endpoint
from shopkeeper.apps.api.errors import JSON

ALWAYS = {
    405: "the method is another",
    500: "what nobody foresaw; the server's log tells of it",
    503: "not now: see the sentence",
}
LIMITED = {429: "too many requests: wait for Retry-After seconds"}
BEHIND_KEYS = {
    401: "no key, or one that opens nothing",
    403: "the key has another scope, or the request comes from elsewhere",
}
TAKES_BODY = {
    400: "the body is no JSON, or too large in values or depth",
    413: "the body is too large",
    415: "the body is no JSON",
}
TAKES_PARAMETERS = {400: "the address cannot be read", 422: "a field or parameter is wrong: details names each"}
VERSION = {
    "X-Shopkeeper-Version": {
        "description": "number of the published version that answered; absent before the first",
        "schema": {"type": "integer"},
    },
}
TAG = {"ETag": {"description": "tells the version and the form of the answer", "schema": {"type": "string"}}}


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of endpoints."""
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Shopkeeper",
            "version": __version__,
            "description": "What a shop's published version knows of customers and products, and what its models predict.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": schemas.ERROR},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "a key of `shopkeeper keys add`"}
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation_id(endpoint),
        "summary": endpoint.about,
        "description": _description(endpoint),
        "parameters": _parameters(endpoint),
        "responses": _responses(endpoint),
    }
    if endpoint.body is not None:
        told["requestBody"] = {"required": True, "content": {JSON: {"schema": endpoint.body}}}
    if endpoint.scopes:
        told["security"] = [{"key": []}]
    return told


def operation_id(endpoint: Endpoint) -> str:
    """Return a name for an endpoint that no other has."""
    words = endpoint.path.replace("{", "by_").replace("}", "").replace("/", " ").replace("-", "_").replace(".", "_")
    return "_".join([endpoint.method.lower(), *words.split()])


def _description(endpoint: Endpoint) -> str:
    scopes = (
        f"Needs a key with the scope {' or '.join(sorted(endpoint.scopes))}." if endpoint.scopes else "Open to all."
    )
    return f"{endpoint.details} {scopes}".strip()


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if endpoint.variable:
        schema = {"type": "string", "minLength": 1, "maxLength": 1000}
        found.append({"name": endpoint.variable, "in": "path", "required": True, "schema": schema})
    found += [
        {"name": each.name, "in": "query", "required": False, "schema": dict(each.schema), "description": each.about}
        for each in endpoint.parameters
    ]
    if endpoint.takes_filters:
        found.append(
            {
                "name": "filters",
                "in": "query",
                "style": "form",
                "explode": True,
                "schema": {"type": "object", "additionalProperties": {"type": "string"}},
                "description": "column=value, column.gte=, column.lte=, column.in=, column.has=",
            }
        )
    if endpoint.method == "GET" and endpoint.is_versioned:
        found.append(
            {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
                "description": "an ETag: 304 if the answer is still the same",
            }
        )
    return found


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    refusals: dict[int, str] = {**ALWAYS, **TAKES_PARAMETERS}
    if endpoint.is_limited:
        refusals |= LIMITED
    if not endpoint.is_quick:
        refusals |= {504: "it took too long"}
    if endpoint.scopes:
        refusals |= BEHIND_KEYS
    if endpoint.variable:
        refusals |= {404: "no such id"}
    if endpoint.body is not None:
        refusals |= TAKES_BODY
    refusals |= endpoint.refusals
    headers = {**VERSION, **(TAG if endpoint.is_versioned else {})}
    told: dict[str, Any] = {
        str(endpoint.status): {
            "description": "the answer",
            "headers": headers,
            "content": {endpoint.kind: {"schema": dict(endpoint.answer) or {}}},
        }
    }
    if endpoint.method == "GET" and endpoint.is_versioned:
        told["304"] = {"description": "it is the answer that is known already", "headers": headers}
    for status, when in sorted(refusals.items()):
        told[str(status)] = {"description": when, "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}
    return told


def page(endpoints: Iterable[Endpoint]) -> str:
    """Return a page for people that lists the endpoints; it loads nothing from elsewhere."""
    rows = "\n".join(
        f"<tr><td><code>{each.method} {escape(each.path)}</code></td><td>{escape(each.about)}</td>"
        f"<td>{escape(' or '.join(sorted(each.scopes)) or 'all')}</td></tr>"
        for each in endpoints
    )
    return _PAGE.format(version=escape(__version__), rows=rows)


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Shopkeeper API</title>
<style>body{{font:16px/1.5 sans-serif;max-width:72em;margin:2em auto;padding:0 1em}}table{{border-collapse:collapse}}
td,th{{text-align:left;padding:.3em 1em .3em 0;border-bottom:1px solid #ddd;vertical-align:top}}</style>
<h1>Shopkeeper API</h1><p>Version {version}. The contract: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
<table><tr><th>endpoint</th><th>what it answers</th><th>scope</th></tr>
{rows}
</table></html>
"""
