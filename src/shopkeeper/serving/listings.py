"""Rows of published tables, filtered by declared columns, in the order of their key, page by page.

A page ends with a cursor: the key of its last row, sealed with the version it is of. Values are bound, never written into
SQL; names are those that the table has.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shopkeeper.engine import literal, quote
from shopkeeper.errors import QueryError, UsageError
from shopkeeper.serving.editions import Edition

MOST = 1000
MOST_VALUES = 1000
OPERATIONS = {"gte": ">=", "lte": "<="}
METRICS: Mapping[str, tuple[str, ...]] = {
    "behaviour_ledger": ("rule",),
    "cohort_retention": ("cohort_month", "months_since"),
    "daily_activity": ("day", "event_type"),
    "daily_inventory": ("day", "product_id", "store_id"),
    "daily_sales": ("day", "dimension", "member"),
    "daily_traffic": ("day",),
    "event_before_purchase": ("month_start", "scope", "previous_event_type"),
    "funnel": ("day",),
    "hourly_revenue": ("iso_weekday", "hour"),
    "ledger": ("rule", "scope"),
    "monthly_activity": ("month_start", "event_type"),
    "monthly_sales": ("month_start", "dimension", "member"),
    "monthly_store_statistics": ("month_start",),
    "monthly_traffic": ("month_start",),
    "product_pairs": ("scope", "product_id_a", "product_id_b"),
    "visitor_retention": ("cohort_month", "months_since"),
}
"""Mart → its key, by which its rows are ordered."""


class FilterError(UsageError):
    """Filters that do not hold; ``details`` names each."""

    def __init__(self, details: Sequence[Mapping[str, str]]) -> None:
        super().__init__(
            "a filter must be column=value, column.gte=, column.lte=, column.in= (values parted by commas) or, of lists, "
            "column.has=, with a column that the answer has; "
            + "; ".join(each["message"] for each in details)
            + ". Correct it."
        )
        self.details = list(details)


class CursorError(UsageError):
    """A cursor that this version did not give."""


@dataclass(frozen=True)
class Listing:
    """What can be listed: its name, its query, its key, and the table of predictions without which it is empty."""

    name: str
    sql: str
    key: tuple[str, ...]
    needs: tuple[str, str] | None = None


@dataclass(frozen=True)
class Page:
    """Some rows as objects; ``cursor`` asks for the next, None at the end."""

    rows: list[dict[str, Any]]
    cursor: str | None


def metric(name: str) -> Listing | None:
    """Return the listing of a mart; None if there is none of that name."""
    return Listing(f"metrics.{name}", f"select * from metrics.{name}", METRICS[name]) if name in METRICS else None


RULES = Listing(
    "rules",
    """
    select scope, coalesce(scope_value, '') as scope_value, rank, antecedent, consequent, rule, n_baskets, support, confidence,
        lift, is_significant, is_redundant, holds_later, as_of, model_version
    from predictions.basket_rules
    """,
    ("scope", "scope_value", "rank"),
    ("predictions", "basket_rules"),
)
FORECASTS = Listing(
    "forecasts",
    """
    select level, series, frequency, day, units, units_low, units_high, as_of, model, model_version
    from predictions.demand_forecasts
    """,
    ("level", "series", "frequency", "day"),
    ("predictions", "demand_forecasts"),
)
SEGMENTS = Listing(
    "segments",
    """
    select segment, segment_name, rule_words, rule_sql, profile, n_customers, share, share_of_sales,
        expected_share_next_month, as_of, model, model_version
    from predictions.segments
    """,
    ("segment",),
    ("predictions", "segments"),
)
_SCORES = (
    ("customer_segments", "segment_name", "varchar", "segment_name"),
    ("customer_segments", "rfm_group", "varchar", "rfm_group"),
    ("churn_scores", "churn_probability", "double", "churn_probability"),
    ("churn_scores", "expected_next_order_on", "date", "expected_next_order_on"),
    ("customer_lifetime_values", "lifetime_value", "double", "lifetime_value"),
)


def customers(edition: Edition, masking_secret: str | None) -> Listing:
    """Return the listing of customers: whole, or with a secret, masked.

    A masked row keeps the country and what the customer did and may do; the id is replaced by a text that stands for it, in
    whose order the rows stand; name, city and attributes are not among its columns, nor among its filters.
    """
    tables = set(_tables(edition))
    joined = [table for table in dict.fromkeys(table for table, *_ in _SCORES) if ("predictions", table) in tables]
    scores = ", ".join(
        f"{table}.{column} as {name}" if table in joined else f"cast(null as {kind}) as {name}"
        for table, column, kind, name in _SCORES
    )
    joins = " ".join(f"left join predictions.{table} on {table}.customer_id = c.customer_id" for table in joined)
    own = "c.country, c.n_orders, c.net_sales, c.first_ordered_on, c.last_ordered_on"
    if masking_secret is None:
        shown, name = f"c.customer_id, c.city, {own}", "customers"
    else:
        shown = f"'m_' || substr(sha256({literal(masking_secret)} || c.customer_id), 1, 20) as customer_id, {own}"
        name = "customers masked"
    return Listing(name, f"select {shown}, {scores} from core.customers as c {joins}", ("customer_id",))


def page(
    edition: Edition, listing: Listing, given: Iterable[tuple[str, str]], *, limit: int, cursor: str | None
) -> Page:
    """Return the rows that fit all filters, after a cursor's.

    ``given``: filters as they stand in a URL; ``limit``: from 1 to 1,000. Raises FilterError naming each filter that does not
    hold, CursorError for a cursor of another version, listing or filter.
    """
    if listing.needs and listing.needs not in _tables(edition):
        return Page([], None)
    types: dict[str, str] = edition.keep(("types", listing.name), lambda: _types(edition, listing))
    given = sorted(given)
    with edition.cursor() as connection:
        tests, values = _tests(connection, types, given)
        seal = [edition.tag, listing.name, given]
        if cursor is not None:
            after = _unsealed(cursor, seal, len(listing.key))
            key = ", ".join(quote(name) for name in listing.key)
            tests.append(f"({key}) > ({', '.join(f'cast(? as {types[name]})' for name in listing.key)})")
            values += after
        order = ", ".join(quote(name) for name in listing.key)
        where = f"where {' and '.join(tests)}" if tests else ""
        found = connection.execute(
            f"select * from ({listing.sql}) as listing {where} order by {order} limit {limit + 1}", values
        )
        columns = [column[0] for column in found.description]
        rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    if len(rows) <= limit:
        return Page(rows, None)
    last = [str(rows[limit - 1][name]) for name in listing.key]
    return Page(rows[:limit], _sealed(seal, last))


def columns(edition: Edition, listing: Listing) -> dict[str, str]:
    """Return the columns of a listing with their types in the engine."""
    return dict(edition.keep(("types", listing.name), lambda: _types(edition, listing)))


def has_table(edition: Edition, schema: str, table: str) -> bool:
    """Return whether a version has a table."""
    return (schema, table) in _tables(edition)


def _tables(edition: Edition) -> frozenset[tuple[str, str]]:
    def read() -> frozenset[tuple[str, str]]:
        with edition.cursor() as connection:
            found = connection.execute(
                "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
            ).fetchall()
        return frozenset((str(schema), str(table)) for schema, table in found)

    return frozenset(edition.keep(("tables",), read))


def _types(edition: Edition, listing: Listing) -> dict[str, str]:
    with edition.cursor() as connection:
        return {str(row[0]): str(row[1]) for row in connection.execute(f"describe {listing.sql}").fetchall()}


def _tests(connection: Any, types: Mapping[str, str], given: Sequence[tuple[str, str]]) -> tuple[list[str], list[Any]]:
    tests: list[str] = []
    values: list[Any] = []
    wrong: list[dict[str, str]] = []
    for name, text in given:
        column, _, operation = name.partition(".")
        kind = types.get(column)
        if kind is None or operation not in {"", "in", "has", *OPERATIONS}:
            wrong.append({"filter": name, "message": f"{name} is none; the columns are {', '.join(types)}"})
            continue
        is_list = kind.endswith("[]")
        if is_list != (operation == "has"):
            told = "only .has= is for lists" if is_list else ".has= is for lists only"
            wrong.append({"filter": name, "message": f"{name} does not fit: {told}"})
            continue
        wanted = text.split(",") if operation == "in" else [text]
        one = kind.removesuffix("[]")
        if len(wanted) > MOST_VALUES:
            wrong.append({"filter": name, "message": f"{name} has more than {MOST_VALUES} values"})
        elif odd := [value for value in wanted if not _fits(connection, value, one)]:
            wrong.append({"filter": name, "message": f"{name}={odd[0][:100]} is no {one.lower()}"})
        else:
            marks = ", ".join(f"cast(? as {one})" for _ in wanted)
            if is_list:
                tests.append(f"list_contains({quote(column)}, {marks})")
            elif operation in OPERATIONS:
                tests.append(f"{quote(column)} {OPERATIONS[operation]} {marks}")
            else:
                tests.append(f"{quote(column)} in ({marks})")
            values += wanted
    if wrong:
        raise FilterError(wrong)
    return tests, values


def _fits(connection: Any, value: str, kind: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    if kind == "VARCHAR":
        return True
    return bool(connection.execute(f"select try_cast(? as {kind}) is not null", [value]).fetchone()[0])


def _sealed(seal: list[Any], last: list[str]) -> str:
    # The filters are not repeated: a mark of them is enough to tell that they are the same.
    told = json.dumps([*_mark(seal), last], separators=(",", ":"))
    return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")


def _mark(seal: list[Any]) -> list[str]:
    tag, name, given = seal
    told = json.dumps([name, given])
    return [tag, f"{binascii.crc32(told.encode('utf-8', 'surrogatepass')):08x}"]


def _unsealed(cursor: str, seal: list[Any], n: int) -> list[str]:
    try:
        told = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        tag, mark, last = told
        is_key = isinstance(last, list) and len(last) == n and all(isinstance(each, str) for each in last)
        "".join(last).encode("utf-8")
    except (ValueError, TypeError, UnicodeError, RecursionError):
        is_key = False
    if not is_key:
        raise QueryError("a cursor must be one that an answer gave as next_cursor; got another. Begin without it.")
    if tag != seal[0]:
        raise CursorError(
            f"a cursor must be of the version that is published now, {seal[0]}; got one of {str(tag)[:40]}. Begin again "
            f"without it."
        )
    if mark != _mark(seal)[1]:
        raise QueryError("a cursor must come with the filters it was given for; got others. Begin without it.")
    return [str(each) for each in last]
