"""Live numbers as shown: what was counted in the last minutes over the published version and the collector's log.

No query gives them: they are counted in memory (see ``serving.live``), and the API tells the same at ``/v1/live``.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shopkeeper.serving.exhibits.exhibit import Exhibit, Shown, text_of
from shopkeeper.serving.exhibits.told import told

if TYPE_CHECKING:
    import duckdb

COMMAND = "curl http://127.0.0.1:8080/v1/live"
STOCK_COMMAND = "curl http://127.0.0.1:8080/v1/live/stock"
MINUTES = "Of the last minutes, the present one included; repeats count once."

TOTALS = Exhibit(
    "live_totals",
    "The last minutes in figures",
    f"Events and revenue of purchase events as trackers sent them, and order lines with their net amount as tills sent "
    f"them. {MINUTES}",
    "",
    "n_events:count n_purchases:count revenue:money n_order_lines:count net_amount:money",
    obeys=(),
    headings={"n_events": "Events", "net_amount": "Net amount of order lines"},
)
BY_TYPE = Exhibit(
    "live_events",
    "Events by type",
    f"Events of each type. {MINUTES}",
    "",
    "event_type:text n_events:count",
    obeys=(),
    headings={"event_type": "Type"},
)
BY_MINUTE = Exhibit(
    "live_minutes",
    "Minute by minute",
    "Events and revenue of purchase events in each minute on the shop's clock; the last one is still running.",
    "",
    "minute_at:moment n_events:count revenue:money",
    obeys=(),
    headings={"minute_at": "Minute"},
)
TOP_PRODUCTS = Exhibit(
    "live_products",
    "Top products",
    f"Products by revenue of purchase events and net amount of order lines, then by events. {MINUTES}",
    "",
    "product_id:product description:text n_events:count n_views:count n_carts:count n_purchases:count revenue:money "
    "n_units:number net_amount:money",
    obeys=(),
    headings={
        "product_id": "Code",
        "description": "Product",
        "n_carts": "Into the cart",
        "n_units": "Units in order lines",
    },
)
STOCK = Exhibit(
    "live_stock",
    "Stock on hand",
    "What moved last since the version was published: stock on hand now, as it was published, and the units moved since.",
    "",
    "product_id:product description:text store_id:store on_hand:number on_hand_published:number n_units_moved:number "
    "moved_at:moment",
    obeys=(),
    headings={
        "product_id": "Code",
        "description": "Product",
        "store_id": "Store",
        "on_hand": "On hand",
        "on_hand_published": "When published",
        "n_units_moved": "Moved since",
        "moved_at": "Last moved",
    },
)


def totals(numbers: Mapping[str, Any], version: int) -> Shown:
    """Return the sums of live numbers."""
    lines = numbers["order_lines"]
    row = {
        "n_events": numbers["n_events"],
        "n_purchases": numbers["events"].get("purchase", 0),
        "revenue": numbers["revenue"],
        "n_order_lines": lines["n_lines"],
        "net_amount": lines["net_amount"],
    }
    return told(TOTALS, [row], version=version, command=COMMAND)


def by_type(numbers: Mapping[str, Any], version: int) -> Shown:
    """Return events by type, the most frequent first."""
    rows = [{"event_type": kind, "n_events": n} for kind, n in numbers["events"].items()]
    return told(BY_TYPE, rows, version=version, command=COMMAND)


def by_minute(numbers: Mapping[str, Any], version: int) -> Shown:
    """Return every minute of the span, those without an event too."""
    known = {datetime.fromisoformat(row["minute_at"]): row for row in numbers["minutes"]}
    first, last = (datetime.fromisoformat(numbers[end]) for end in ("from", "to"))
    each = (first + timedelta(minutes=place) for place in range(round((last - first).total_seconds() / 60)))
    rows = [{"minute_at": at, "n_events": 0, "revenue": 0, **known.get(at, {})} | {"minute_at": at} for at in each]
    return told(BY_MINUTE, rows, version=version, command=COMMAND)


def top_products(numbers: Mapping[str, Any], names: Mapping[str, str], version: int) -> Shown:
    """Return the products that most happened to; ``names``: code → description."""
    lines = {row["product_id"]: row for row in numbers["order_lines"]["top_products"]}
    events = {row["product_id"]: row for row in numbers["top_products"]}
    rows = []
    for product_id in dict.fromkeys([*events, *lines]):
        event, line = events.get(product_id, {}), lines.get(product_id, {})
        kinds = event.get("events", {})
        rows.append(
            {
                "product_id": product_id,
                "description": names.get(product_id),
                "n_events": event.get("n_events", 0),
                "n_views": kinds.get("view", 0),
                "n_carts": kinds.get("cart", 0),
                "n_purchases": kinds.get("purchase", 0),
                "revenue": event.get("revenue", 0),
                "n_units": line.get("quantity", 0),
                "net_amount": line.get("net_amount", 0),
            }
        )
    rows.sort(key=lambda row: (-row["revenue"] - row["net_amount"], -row["n_events"], row["product_id"]))
    return told(TOP_PRODUCTS, rows, version=version, command=COMMAND)


def stock(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str], version: int) -> Shown:
    """Return what moved last; ``names``: code → description."""
    each = [{**row, "description": names.get(row["product_id"])} for row in rows]
    return told(STOCK, each, version=version, command=STOCK_COMMAND)


def product_names(connection: "duckdb.DuckDBPyConnection", codes: Sequence[str]) -> dict[str, str]:
    """Return code → description of some products, of those that the version knows."""
    if not codes:
        return {}
    listed = ", ".join(map(text_of, codes))
    found = connection.execute(
        f"select product_id, description from core.products where product_id in ({listed}) and description is not null"
    ).fetchall()
    return dict(found)
