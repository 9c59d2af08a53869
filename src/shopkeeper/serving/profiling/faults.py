"""The faults of the data by kind: how many rows, what they are worth, and some of them to look at.

A fault is what a person should know before believing a figure; it is kept and flagged, not deleted. Each is a condition over
one published table, all conditions of a table are counted in one pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shopkeeper import vocabulary as v
from shopkeeper.engine import literal
from shopkeeper.serving.profiling.tables import is_personal, table_columns

if TYPE_CHECKING:
    import duckdb

N_EXAMPLES = 5


@dataclass(frozen=True)
class Kind:
    """A fault to look for: its name, what it means and what becomes of such rows, the condition, and the columns it reads.

    ``shown``: the columns of an example; ``worth``: SQL of the money of a row, if it has any.
    """

    name: str
    meaning: str
    condition: str
    reads: tuple[str, ...]
    shown: tuple[str, ...]
    worth: str | None = None


@dataclass(frozen=True)
class Fault:
    """A kind of fault that a table has: rows, their share of all, the sum of their money (exact), and examples.

    ``amount`` is None where such rows have none. ``sql`` selects them all.
    """

    table: str
    name: str
    meaning: str
    n_rows: int
    share: float
    amount: Any
    columns: tuple[str, ...]
    examples: tuple[tuple[Any, ...], ...]
    sql: str


LINE = (
    "order_line_id",
    "ordered_on",
    v.PRODUCT_ID,
    "description",
    "quantity",
    "unit_price",
    "line_kind",
    v.CUSTOMER_ID,
)
EVENT = ("event_id", "occurred_at", "event_type", v.PRODUCT_ID, "price", v.CUSTOMER_ID, "session_id")
MOVEMENT = ("inventory_movement_id", v.PRODUCT_ID, "store_id", "quantity", "moved_at", "reason")
_services = ", ".join(map(literal, v.SERVICE_KINDS))


def _line(name: str, meaning: str, condition: str, *reads: str) -> Kind:
    return Kind(name, meaning, condition, reads, LINE, "net_amount")


KINDS: Mapping[str, tuple[Kind, ...]] = {
    "core.order_lines": (
        _line(
            "equal lines",
            "Equal in every column to an earlier line of the same order. Kept and counted, for no key proves them errors; "
            "sales.exclude_duplicates leaves them out.",
            "is_duplicate",
            "is_duplicate",
        ),
        _line("no customer", "Sales of guests, which no figure of a customer holds.", "not has_customer", "has_customer"),
        _line("zero price", "No sale, but a gift, a sample or a correction.", "is_zero_price", "is_zero_price"),
        _line("negative price", "The price is below zero: a correction of the books.", "unit_price < 0", "unit_price"),
        _line("zero quantity", "A line of nothing.", "quantity = 0", "quantity"),
        _line(
            "far from all others",
            "Quantity or price beyond the fences of the settings; wholesale, or a slip of the hand. Counted; models may leave "
            "them out.",
            "is_outlier",
            "is_outlier",
        ),
        _line(
            "stock adjustment",
            "Units leave without a price: lost, broken, counted anew. No sale and no return.",
            "line_kind = 'stock_adjustment'",
            "line_kind",
        ),
        _line(
            "no goods",
            "Postage, fees, vouchers and the like under a product's code: money, but not sales.",
            f"line_kind in ({_services})",
            "line_kind",
        ),
        _line("no description", "Nothing says what the product is on this line.", "description is null", "description"),
        _line(
            "code in another spelling",
            "The source spells the product's code in another way than upper case without blanks around; it is taken as the same.",
            "source_product_id is distinct from product_id",
            "source_product_id",
            "product_id",
        ),
        _line("in the future", "Ordered after the version was published.", "ordered_at > $now", "ordered_at"),
        _line(
            "return without a sale",
            "A known customer gives back what no earlier line sold to that customer: bought before the data begin, or wrongly "
            "named.",
            "line_kind in ('cancellation', 'return') and customer_id is not null and not exists (select 1 from sold "
            "where sold.customer_id = order_lines.customer_id and sold.product_id = order_lines.product_id "
            "and sold.first_sold_at <= order_lines.ordered_at)",
            "line_kind",
            "customer_id",
            "product_id",
            "ordered_at",
        ),
    ),
    "core.events": (
        Kind("equal events", "Equal in all to an earlier event without an id; kept, counted nowhere.", "is_duplicate",
             ("is_duplicate",), EVENT),
        Kind("one id, two bodies", "The same id was also sent with another body; the earliest stands.", "has_conflict",
             ("has_conflict",), EVENT),
        Kind("no visitor", "Nobody is known: the event belongs to no visitor.", "customer_id is null", (v.CUSTOMER_ID,), EVENT),
        Kind("no session", "The tracker names no visit; visits are made of silences.", "session_id is null",
             ("session_id",), EVENT),
        Kind("price not above zero", "A price of zero or below was shown.", "price <= 0", ("price",), EVENT, "revenue"),
        Kind("no category", "Nothing says which category the product is of.", "category_code is null",
             ("category_code",), EVENT),
        Kind("no brand", "Nothing says which brand the product is of.", "brand is null", ("brand",), EVENT),
        Kind("in the future", "Happened after the version was published.", "occurred_at > $now", ("occurred_at",), EVENT),
    ),
    "core.inventory_movements": (
        Kind("sent again", "An earlier row has the same id; such rows do not count.", "is_duplicate", ("is_duplicate",),
             MOVEMENT),
        Kind("in the future", "Moved after the version was published.", "moved_at > $now", ("moved_at",), MOVEMENT),
    ),
    "core.inventory_levels": (
        Kind("stock below zero", "More left than came: a movement is missing.", "is_negative", ("is_negative",),
             (v.PRODUCT_ID, "store_id", "on_hand", "n_units_in", "n_units_out")),
    ),
    "core.promotions": (
        Kind("unusable promotion", "It ends before it starts, takes everything off, or names a price and no product.",
             "not is_usable", ("is_usable",), ("promotion_id", "level", "member", "starts_on", "ends_on")),
    ),
    "core.stores": (
        Kind("store nobody describes", "Only sales or stock mention it.", "not is_described", ("is_described",),
             ("store_id", "first_sold_on", "last_sold_on")),
    ),
    "core.products": (
        Kind("product without a name", "Neither catalogue nor lines say what it is.", "description is null",
             ("description",), (v.PRODUCT_ID, "first_sold_on", "n_lines", "net_sales"), "net_sales"),
        Kind("returned more than sold", "More units came back than went out: bought before the data begin, or wrongly booked.",
             "n_units < 0 and not is_service", ("n_units", "is_service"), (v.PRODUCT_ID, "description", "n_units", "net_sales"),
             "net_sales"),
    ),
}  # fmt: skip
SOLD = (
    "with sold as (select customer_id, product_id, min(ordered_at) as first_sold_at from core.order_lines "
    "where line_kind = 'sale' and customer_id is not null group by 1, 2) "
)


def faults(
    connection: "duckdb.DuckDBPyConnection", *, now: datetime, table: str | None = None, shows_customers: bool = False
) -> list[Fault]:
    """Return the faults of a table (``schema.table``), or of all; the most frequent of a table first, those of no row left out.

    ``now``: after which a row lies in the future. ``shows_customers``: whether examples name customers.
    """
    columns = table_columns(connection)
    found = []
    for name in KINDS if table is None else (table,):
        held = {column for column, _ in columns.get(name, ())}
        kinds = [kind for kind in KINDS.get(name, ()) if held.issuperset(kind.reads)]
        if kinds:
            found += _of_table(connection, name, kinds, held, now, shows_customers)
    return found


def _of_table(
    connection: "duckdb.DuckDBPyConnection",
    table: str,
    kinds: list[Kind],
    held: set[str],
    now: datetime,
    shows_customers: bool,
) -> list[Fault]:
    moment = f"timestamptz {literal(now.isoformat())}"
    needs_sold = any("from sold" in kind.condition for kind in kinds)
    head = SOLD if needs_sold else ""
    conditions = [kind.condition.replace("$now", moment) for kind in kinds]
    sums = ", ".join(
        f"count(*) filter ({condition}), sum({worth}) filter ({condition})"
        for kind, condition in zip(kinds, conditions, strict=True)
        for worth in (kind.worth if kind.worth in held else "cast(null as double)",)
    )
    row: Any = connection.execute(f"{head}select count(*), {sums} from {table}").fetchone()
    found = []
    for place, (kind, condition) in enumerate(zip(kinds, conditions, strict=True)):
        n_rows, amount = row[2 * place + 1 : 2 * place + 3]
        if not n_rows:
            continue
        shown = [name for name in kind.shown if name in held and (shows_customers or not is_personal(table, name))]
        opening = SOLD if "from sold" in condition else ""
        sql = f"{opening}select * from {table} where {condition}"
        examples = connection.execute(
            f"{opening}select {', '.join(shown)} from {table} where {condition} order by {shown[0]} limit {N_EXAMPLES}"
        ).fetchall()
        found.append(
            Fault(table, kind.name, kind.meaning, n_rows, n_rows / row[0], amount, tuple(shown), tuple(examples), sql)
        )
    return sorted(found, key=lambda fault: (-fault.n_rows, fault.name))
