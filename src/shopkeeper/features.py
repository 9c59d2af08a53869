"""What is known of customers as of moments: one SQL definition, asked of a warehouse, a published version, or of memory.

A *moment* is a day of the shop and knows the days before it. The SQL stands in ``features.feature_definitions``, written by
the same macros that build ``features.customer_features``; it speaks of relations by bare names (``order_lines``, ``events``,
``sessions``, ``customers``, ``moments``), which are bound here to tables or to rows that are handed in. Nothing here opens a
database: a connection is handed in and left as it was.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import pyarrow as pa

from shopkeeper import vocabulary as v
from shopkeeper.contracts import CONTRACTS
from shopkeeper.engine import quote
from shopkeeper.errors import ContractError, ModelError

if TYPE_CHECKING:
    import duckdb

# The definitions by name.
CUSTOMER_FEATURES = "customer_features"
CUSTOMER_OUTCOMES = "customer_outcomes"
CUSTOMER_ORDER_DAYS = "customer_order_days"
CUSTOMER_ATTRIBUTES = "customer_attributes"
ORDER_BOUNDS = "order_bounds"
SALE_LINES = "sale_lines"
SESSION_PRODUCTS = "session_products"
KNOWN_PRODUCTS = "known_products"
DESCRIBED_LINES = "order_lines"

# The relations that they read, besides those named after an entity.
SESSIONS, MOMENTS, CATALOGUE, RAW_LINES = "sessions", "moments", "catalogue", "raw_order_lines"
ACTIVITY = "customer_activity_ranked"
OF_CORE = {name: f"{v.CORE}.{name}" for name in (v.ORDER_LINES, v.EVENTS, SESSIONS, v.CUSTOMERS, v.PRODUCTS, ACTIVITY)}

_TEXT, _DAY, _AT, _FLAG, _WHOLE = pa.string(), pa.date32(), pa.timestamp("us"), pa.bool_(), pa.int64()
# What stands for a relation where a caller has order lines alone.
NOTHING = {
    v.EVENTS: pa.schema(
        {
            **dict.fromkeys(
                ("event_id", "event_type", "customer_id", "session_id", "product_id", "category_code"), _TEXT
            ),
            "occurred_at": _AT,
            "occurred_on": _DAY,
            "is_duplicate": _FLAG,
            "quantity": pa.decimal128(18, 3),
            "revenue": pa.decimal128(38, 4),
        }
    ),
    SESSIONS: pa.schema(
        {
            **dict.fromkeys(("session_id", "customer_id"), _TEXT),
            **dict.fromkeys(("started_at", "ended_at"), _AT),
            **dict.fromkeys(("started_on", "ended_on"), _DAY),
            **dict.fromkeys(("is_made", "is_bounce", "has_purchase"), _FLAG),
            **dict.fromkeys(("n_views", "n_carts", "n_purchases", "seconds"), _WHOLE),
        }
    ),
    v.CUSTOMERS: pa.schema({"customer_id": _TEXT, "has_profile": _FLAG, "signed_up_at": _AT}),
    CATALOGUE: pa.schema({"product_id": _TEXT, "category": _TEXT}),
}

T = TypeVar("T")
Question: TypeAlias = tuple[Hashable, ...]
Relation: TypeAlias = pa.Table | str
"""Rows in memory, or the name of a table or view of the connection, such as ``core.order_lines``."""


def definitions(connection: "duckdb.DuckDBPyConnection") -> dict[str, str]:
    """Return the SQL of each definition of a warehouse or published version, by name.

    Raises ModelError if it holds none.
    """
    found = connection.execute(
        "select count(*) from duckdb_tables() where database_name = current_database() "
        f"and schema_name = '{v.FEATURES}' and table_name = 'feature_definitions'"
    ).fetchone()
    if not found or not found[0]:
        raise ModelError(
            "a warehouse must hold features.feature_definitions before features are asked of it; it was built by an older "
            "Shopkeeper. Run `shopkeeper run`."
        )
    return dict(connection.execute(f"select name, sql from {v.FEATURES}.feature_definitions").fetchall())


def compute(
    connection: "duckdb.DuckDBPyConnection",
    definition_sql: str,
    relations: Mapping[str, Relation],
    moments: Sequence[date] | pa.Table,
) -> pa.Table:
    """Return what a definition says of the relations as of each moment, sorted by customer and moment.

    ``relations``: bare name in the definition → rows, or the name of a table; ``moments``: days, or a table ``as_of, until``
    for outcomes. Moments may stand in any order and twice. May be repeated; the connection is left as it was.
    """
    rows = _moments(moments)
    order = f"order by {v.CUSTOMER_ID}, {v.AS_OF}"
    return _answer(connection, definition_sql, {**relations, MOMENTS: rows}, order)


def features_of_lines(
    connection: "duckdb.DuckDBPyConnection",
    sql_of: Mapping[str, str],
    lines: pa.Table,
    as_of: date,
    relations: Mapping[str, Relation] | None = None,
) -> pa.Table:
    """Return ``customer_features`` as of a moment from order lines as a source gives them.

    ``sql_of``: the definitions, as ``definitions`` returns them or as a model keeps them; ``lines``: the columns of the
    contract ``order_lines``, those that are not required may be absent; ``ordered_at`` in UTC. ``relations`` may add
    ``events``, ``sessions``, ``customers`` and ``catalogue`` (product_id, category of lines without one); absent ones are empty.
    Raises ContractError if a required column is absent or null or a value does not fit, and ModelError if the shop's orders
    come from events.
    """
    if DESCRIBED_LINES not in sql_of:
        raise ModelError(
            "order lines must be what the shop's orders are made of, to be scored; got features.orders_from = 'events'. "
            "Hand in events, or change the setting and train anew."
        )
    empty = {name: schema.empty_table() for name, schema in NOTHING.items()}
    known = {**empty, **(relations or {}), RAW_LINES: _as_contracted(connection, lines)}
    described = _answer(connection, sql_of[DESCRIBED_LINES], known)
    return compute(connection, sql_of[CUSTOMER_FEATURES], {**known, v.ORDER_LINES: described}, [as_of])


class Kept:
    """Answers by question, each asked once, whichever thread comes first; who comes later waits for that answer alone."""

    def __init__(self) -> None:
        self._answers: dict[Question, Future[Any]] = {}
        self._looking = Lock()

    def get(self, question: Question, ask: Callable[[], T]) -> T:
        """Return the answer to a question; what ``ask`` raises is raised, and the next one asks again."""
        with self._looking:
            answer = self._answers.get(question)
            is_first = answer is None
            if answer is None:
                answer = self._answers[question] = Future()
        if is_first:
            try:
                answer.set_result(ask())
            except BaseException as error:
                with self._looking:
                    del self._answers[question]
                answer.set_exception(error)
                raise
        found: T = answer.result()
        return found


@dataclass(frozen=True)
class ShopHistory:
    """The past of a shop for training and scoring, over a connection to its warehouse or to a published version.

    Implements ``shopkeeper.models.model.History``. Reads ``core`` by the definitions in ``features``. Every table comes sorted,
    so that equal data give equal rows in equal order. What several questions ask for is kept in ``kept`` (features of a single
    moment, order days, sold lines, products, stock), which histories of one build may share: give none after a build.
    Raises ModelError if there are no definitions.
    """

    connection: "duckdb.DuckDBPyConnection"
    kept: Kept = field(default_factory=Kept, compare=False, repr=False)

    def beside(self) -> "ShopHistory":
        """Return the same past for another thread: a cursor of its own, and what is kept in common."""
        return ShopHistory(self.connection.cursor(), self.kept)

    def once(self, question: Question, ask: Callable[[], T]) -> T:
        """Return the answer to a question about this build, asked once by all who share ``kept``; nobody may change it."""
        return self.kept.get(question, ask)

    @cached_property
    def definitions(self) -> Mapping[str, str]:
        """The SQL of the definitions by name."""
        return definitions(self.connection)

    @cached_property
    def _bounds(self) -> tuple[date | None, date | None]:
        found = _answer(self.connection, self.definitions[ORDER_BOUNDS], OF_CORE).to_pylist()
        return (found[0]["first_on"], found[0]["last_on"]) if found else (None, None)

    @property
    def first_day(self) -> date | None:
        """The first day with an order; None if there is none."""
        return self._bounds[0]

    @property
    def last_day(self) -> date | None:
        """The last day with an order; None if there is none."""
        return self._bounds[1]

    def features(self, moments: Sequence[date]) -> pa.Table:
        """Return ``customer_features`` as of each moment: one row per customer and moment, sorted by both."""
        days = tuple(sorted(set(moments)))
        sql = self.definitions[CUSTOMER_FEATURES]
        if len(days) != 1:
            return compute(self.connection, sql, OF_CORE, days)
        return self.kept.get((CUSTOMER_FEATURES, *days), lambda: compute(self.connection, sql, OF_CORE, days))

    def outcomes(self, moments: Sequence[date], days: int) -> pa.Table:
        """Return what customers known at each moment did in the ``days`` days from it on, sorted by both.

        One row per customer and moment: ``customer_id, as_of, n_orders_ahead, n_order_days_ahead, gross_sales_ahead,
        net_sales_ahead, days_to_next_order`` (0 on the moment's own day; null if none within the days). An order counts on
        the day of its first sale. Whether the shop's record reaches so far is for the caller to know.
        """
        spans = pa.table(
            {v.AS_OF: pa.array(moments, _DAY), "until": pa.array([day + timedelta(days=days) for day in moments], _DAY)}
        )
        return compute(self.connection, self.definitions[CUSTOMER_OUTCOMES], OF_CORE, spans)

    def order_days(self) -> pa.Table:
        """Return one row per customer and day with a sale, sorted by both.

        ``customer_id, ordered_on, n_orders`` (orders with a sale on that day)``, gross_sales, net_sales``.
        """
        return self._of_core(CUSTOMER_ORDER_DAYS, f"order by {v.CUSTOMER_ID}, ordered_on")

    def sale_lines(self) -> pa.Table:
        """Return one row per line that was sold and names a product, guests' too, sorted by day, order and product.

        ``order_id, customer_id, product_id, category, store_id, country, currency, ordered_on, quantity, unit_price,
        gross_amount, discount_amount, net_amount, is_outlier``; numbers are doubles, money is in ``currency``.
        """
        order = "order by ordered_on, order_id, product_id, unit_price, quantity, customer_id, country, store_id"
        return self._of_core(SALE_LINES, order)

    def session_products(self) -> pa.Table:
        """Return one row per visit and product, sorted by both; empty for a shop without events.

        ``session_id, customer_id, product_id, started_on, n_views, n_carts, n_purchases``.
        """
        return self._of_core(SESSION_PRODUCTS, "order by session_id, product_id")

    def products(self) -> pa.Table:
        """Return one row per product, services such as postage left out, sorted by it.

        ``product_id, description, category, brand, list_price, unit_cost`` (money as doubles; null where no source tells).
        """
        return self._of_core(KNOWN_PRODUCTS, "order by product_id")

    def stock_days(self) -> pa.Table:
        """Return one row per product, store and day on which its stock moved, sorted by them; empty without inventory.

        ``product_id, store_id`` (``unknown`` where the source names none)``, day, on_hand`` (when the day ended),
        ``n_units_in, n_units_out`` (of the day); doubles.
        """
        sql = f"""
            select product_id, store_id, day, on_hand::double as on_hand, n_units_in::double as n_units_in,
                n_units_out::double as n_units_out
            from {v.METRICS}.daily_inventory
        """
        order = "order by product_id, store_id, day"
        return self.kept.get(("stock_days",), lambda: _answer(self.connection, sql, {}, order))

    def promotions(self) -> pa.Table:
        """Return one row per promotion, what it is for, and store, sorted by them: past ones and planned ones.

        ``promotion_id, level`` (product, category, shop)``, member, store_id`` (``all`` where none is named)``, starts_on,
        ends_on`` (its last day)``, unit_price, discount_share`` (doubles)``, announced_on`` (null: always known)``, is_usable``.
        """
        sql = f"""
            select promotion_id, level, member, store_id, starts_on, ends_on, unit_price::double as unit_price,
                discount_share::double as discount_share, announced_on, is_usable
            from {v.CORE}.{v.PROMOTIONS}
        """
        order = "order by promotion_id, level, member, store_id"
        return self.kept.get((v.PROMOTIONS,), lambda: _answer(self.connection, sql, {}, order))

    def served_predictions(self, subject: str, since: date, most: int = 20_000) -> pa.Table:
        """Return the latest predictions served of a subject from a day on: ``predicted_at, model_version, inputs, output``.

        At most ``most``, the latest first.
        """
        sql = f"""
            select predicted_at, model_version, inputs, output from {v.CORE}.{v.SERVED_PREDICTIONS}
            where subject = '{subject}' and predicted_at >= date '{since.isoformat()}'
        """
        return _answer(self.connection, sql, {}, f"order by predicted_at desc, inputs, output limit {int(most)}")

    def _of_core(self, definition: str, order: str) -> pa.Table:
        sql = self.definitions[definition]
        return self.kept.get((definition,), lambda: _answer(self.connection, sql, OF_CORE, order))

    def labels(self) -> pa.Table:
        """Return one row per labelled customer: ``customer_id, label, labelled_at`` (UTC), sorted by customer."""
        sql = f"select {v.CUSTOMER_ID}, label, labelled_at from {v.CORE}.{v.LABELS}"
        return _answer(self.connection, sql, {}, f"order by {v.CUSTOMER_ID}")

    def attributes(self, moments: Sequence[date]) -> pa.Table:
        """Return what sources say of customers as of each moment: ``customer_id, as_of, name, value``, texts, sorted.

        From ``core.customer_activity_ranked`` the statement that holds as the day begins, else the one that held last before;
        where it does not name an attribute, the profile's, which has no history. Nulls have no row.
        """
        said = compute(self.connection, self.definitions[CUSTOMER_ATTRIBUTES], OF_CORE, moments)
        sql = f"""
            with named as (
                select s.{v.CUSTOMER_ID}, s.{v.AS_OF}, s.origin, j.key as name, j.value ->> '$' as value
                from said as s, json_each(s.attributes) as j
                where json_valid(s.attributes) and json_type(s.attributes) = 'OBJECT'
            ),
            ranked as (
                select *, row_number() over (partition by {v.CUSTOMER_ID}, {v.AS_OF}, name order by origin) as place
                from named
                where value is not null
            )
            select {v.CUSTOMER_ID}, {v.AS_OF}, name, value from ranked where place = 1
        """
        return _answer(self.connection, sql, {"said": said}, f"order by {v.CUSTOMER_ID}, {v.AS_OF}, name")

    def catalogue(self) -> pa.Table:
        """Return ``product_id, category`` of the lines that carry no category of their own, for ``features_of_lines``."""
        sql = f"""
            select distinct product_id, category
            from {v.CORE}.{v.ORDER_LINES}
            where source_category is null and category is not null
        """
        return _answer(self.connection, sql, {}, "order by product_id")


def _moments(moments: Sequence[date] | pa.Table) -> pa.Table:
    """Return the different moments as a table."""
    if not isinstance(moments, pa.Table):
        moments = pa.table({v.AS_OF: pa.array(moments, _DAY)})
    return moments.group_by(moments.column_names).aggregate([]).sort_by(v.AS_OF)


def _as_contracted(connection: "duckdb.DuckDBPyConnection", lines: pa.Table) -> pa.Table:
    """Return order lines with all columns of their contract, in its types."""
    import duckdb

    contract = CONTRACTS[v.ORDER_LINES]
    for column in contract.columns:
        if column.required and (column.name not in lines.column_names or lines[column.name].null_count):
            raise ContractError(
                f"order lines must have a {column.name} ({column.meaning}) in each row; it is missing in the lines handed in. "
                f"Add it."
            )
    columns = ", ".join(
        f"cast({quote(column.name) if column.name in lines.column_names else 'null'} as {column.duckdb_type}) "
        f"as {quote(column.name)}"
        for column in contract.columns
    )
    try:
        return _answer(connection, f"select {columns} from lines", {"lines": lines})
    except duckdb.DataError as error:
        raise ContractError(
            f"order lines must have the types of their contract; got: {str(error).splitlines()[0]} Correct the value."
        ) from error


def _answer(
    connection: "duckdb.DuckDBPyConnection", sql: str, relations: Mapping[str, Relation], order: str = ""
) -> pa.Table:
    """Return the rows of a query over relations that are bound to their bare names for its time only."""
    with _bound(connection, relations) as names:
        # Without `not materialized`, a large table would be copied into memory before it is read.
        bindings = ", ".join(
            f"{quote(name)} as not materialized (select * from {place})" for name, place in names.items()
        )
        answer = connection.execute(f"{f'with {bindings}' if bindings else ''} select * from ({sql}) as answer {order}")
        return answer.to_arrow_table()


@contextmanager
def _bound(connection: "duckdb.DuckDBPyConnection", relations: Mapping[str, Relation]) -> Iterator[dict[str, str]]:
    """Give rows in memory a name in the connection, and take it back; return each relation's name there."""
    names, numbers = {}, count(1)
    registered: list[str] = []
    try:
        for name, relation in relations.items():
            if isinstance(relation, str):
                names[name] = relation
            else:
                handed = f"handed_in_{next(numbers)}"
                connection.register(handed, relation)
                registered.append(handed)
                names[name] = handed
        yield names
    finally:
        for handed in registered:
            connection.unregister(handed)
