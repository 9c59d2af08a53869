"""The vocabulary of Segment's trackers → ours, so that a tracker that speaks it needs another address and nothing else."""

import re
from typing import Any

from shopkeeper.events.intake import BrokenError

TYPES = {
    "product viewed": "view",
    "product clicked": "click",
    "product added": "cart",
    "product removed": "remove_from_cart",
    "product list viewed": "list_view",
    "products searched": "search",
    "cart viewed": "view_cart",
    "checkout started": "checkout",
    "order completed": "purchase",
    "order refunded": "refund",
    "order cancelled": "cancel",
    "product added to wishlist": "add_to_wishlist",
    "product removed from wishlist": "remove_from_wishlist",
    "coupon applied": "coupon",
    "product shared": "share",
    "product reviewed": "review",
}
"""What an e-commerce event of Segment is called here. Others keep their own name, in lower case and joined by _."""
CALLS = ("track", "page", "screen", "identify", "group", "alias")
NAMES = {
    "product_id": ("product_id", "sku"),
    "price": ("price",),
    "quantity": ("quantity",),
    "currency": ("currency",),
    "brand": ("brand",),
    "category_id": ("category_id",),
    "category_code": ("category",),
    "order_id": ("order_id",),
    "session_id": ("session_id",),
}
"""Our column → Segment's property; the first that is there."""
MONEY_OF_ORDERS = ("purchase", "refund")


def event_of(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message of ``track``, ``page``, … as an event of ours. Raises BrokenError if it is no such message."""
    call = message.get("type", "track")
    if call not in CALLS:
        raise BrokenError("type", f"one of {', '.join(CALLS)}", call)
    properties = message.get("properties") or {}
    if not isinstance(properties, dict):
        raise BrokenError("properties", "a JSON object", properties)
    event_type = _type(message.get("event")) if call == "track" else call
    event: dict[str, Any] = {ours: _first(properties, theirs) for ours, theirs in NAMES.items()}
    event |= {
        "event_id": message.get("messageId"),
        "event_type": event_type,
        "occurred_at": message.get("timestamp") or message.get("originalTimestamp"),
        "customer_id": message.get("userId"),
        "anonymous_id": message.get("anonymousId"),
    }
    if event["session_id"] is None:
        event["session_id"] = _session(message.get("context"))
    products = properties.get("products")
    if products:
        event["products"] = [_product(product) for product in products] if isinstance(products, list) else products
    elif event_type in MONEY_OF_ORDERS and event["price"] is None:
        event["price"] = _first(properties, ("revenue", "total", "value"))
    return event


def _type(name: Any) -> Any:
    if not isinstance(name, str):
        return name
    return TYPES.get(name.strip().lower()) or re.sub(r"[^\w]+", "_", name.strip().lower()).strip("_") or None


def _product(product: Any) -> Any:
    if not isinstance(product, dict):
        return product
    return {ours: _first(product, theirs) for ours, theirs in NAMES.items() if ours not in {"order_id", "session_id"}}


def _first(properties: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((properties[name] for name in names if properties.get(name) is not None), None)


def _session(context: Any) -> Any:
    """Return the session's id where Segment's plug-ins put it, if there."""
    session = context.get("sessionId") if isinstance(context, dict) else None
    return session if isinstance(session, str | int) else None
