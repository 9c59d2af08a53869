"""JSON schemas of what endpoints take and give, written from the same declarations as the answers themselves."""

from collections.abc import Mapping
from typing import Any

from shopkeeper.serving.contract import CUSTOMER, PRODUCT, Question

TYPES: Mapping[str, dict[str, Any]] = {
    "text": {"type": ["string", "null"]},
    "integer": {"type": ["integer", "null"]},
    "number": {"type": ["number", "null"]},
    "boolean": {"type": ["boolean", "null"]},
    "day": {"type": ["string", "null"], "format": "date"},
    "moment": {"type": ["string", "null"], "format": "date-time"},
    "texts": {"type": ["array", "null"], "items": {"type": "string"}},
}
TEXT: dict[str, Any] = {"type": "string"}
ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "status", "details"],
            "additionalProperties": False,
            "properties": {
                "code": {"type": "string", "description": "for programs; it does not change"},
                "message": {"type": "string", "description": "a sentence for people"},
                "status": {"type": "integer"},
                "details": {"type": "array", "items": {"type": "object"}, "description": "each thing that is wrong"},
            },
        }
    },
}


def whole(properties: Mapping[str, Any], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of an object with exactly these members."""
    return {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
        "properties": dict(properties),
    }


def listed(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a list."""
    return {"type": "array", "items": dict(item)}


def of_types(types: Mapping[str, str]) -> dict[str, Any]:
    """Return the schema of an object with columns of these types."""
    return whole({name: TYPES[kind] for name, kind in types.items()})


def of_question(question: Question) -> dict[str, Any]:
    """Return the schema of a section: an object or null for facts, else a list."""
    row = of_types(question.types)
    return {"oneOf": [row, {"type": "null"}]} if question.form == "facts" else listed(row)


DOSSIER_OF_CUSTOMER = whole({"customer_id": TEXT, **{each.name: of_question(each) for each in CUSTOMER}})
DOSSIER_OF_PRODUCT = whole(
    {"product_id": TEXT, "description": TYPES["text"], **{each.name: of_question(each) for each in PRODUCT}}
)


def page_of(types: Mapping[str, str] | None, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of a page of rows; None: of any columns."""
    row = whole({name: TYPES[kind] for name, kind in types.items()}, optional=optional) if types else {"type": "object"}
    return whole({"data": listed(row), "next_cursor": TYPES["text"]})
