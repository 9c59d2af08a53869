"""Free queries to the current published version, and the figures a person wants to see first."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shopkeeper.errors import QueryError
from shopkeeper.published import Published

if TYPE_CHECKING:
    import duckdb

TABLE_FUNCTIONS = frozenset(
    (
        *("range", "generate_series", "unnest", "repeat", "json_each", "json_tree", "summary", "histogram"),
        *("duckdb_tables", "duckdb_columns", "duckdb_schemas", "duckdb_functions", "duckdb_types", "pragma_table_info"),
    )
)
"""What may stand after FROM besides tables; all else could reach files, logs or settings."""
HIDDEN_FUNCTIONS = frozenset(("current_setting", "write_log", "getenv", "json_execute_serialized_sql"))
HIDDEN_TABLES = frozenset(("duckdb_databases", "duckdb_logs", "pragma_database_list"))


@dataclass(frozen=True)
class Answer:
    """A table: column names, rows, and the number of the version that gave them."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    version: int | None

    def json(self) -> str:
        """Return the rows as a JSON array of objects; decimals keep all their digits."""
        return "[" + ",\n ".join(self._objects()) + "]"

    def _objects(self) -> Iterator[str]:
        names = [json.dumps(name) for name in self.columns]
        for row in self.rows:
            pairs = (f"{name}: {_json(value)}" for name, value in zip(names, row, strict=True))
            yield "{" + ", ".join(pairs) + "}"


def _json(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return json.dumps(value.isoformat())
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_json, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {_json(each)}" for key, each in value.items()) + "}"
    return json.dumps(value, default=str, ensure_ascii=False)


class Serving:
    """Questions to the current published version."""

    def __init__(self, published: Published) -> None:
        """Ask the versions in ``published``."""
        self.published = published

    def query(self, sql: str) -> Answer:
        """Run one SELECT on the current version; schemas core and metrics need no prefix.

        It can read no file, change no setting and write nothing. Raises QueryError with what the engine said.
        """
        import duckdb

        version, connection = self.published.open_numbered()
        with connection:
            try:
                _refuse_all_but_one_select(connection, sql)
                found = connection.execute(sql)
                columns = tuple(column[0] for column in found.description)
                return Answer(columns, found.fetchall(), version)
            except duckdb.Error as error:
                raise QueryError(f"a query must be one that the published version can answer; {error}") from error

    def ledger(self) -> Answer:
        """Return every identity of the ledger: rule, scope, expected, actual, difference."""
        return self.query(
            "select rule, scope, expected, actual, difference from metrics.ledger order by difference = 0, rule, scope"
        )

    def summary(self) -> dict[str, Any]:
        """Return the figures a person wants to see first: span, money, counts, the best month and the line kinds."""
        money = self._one(
            "select min(ordered_on) as first_day, max(ordered_on) as last_day, count(*) filter (has_sale) as n_orders, "
            "sum(gross_sales) as gross_sales, sum(discounts) as discounts, sum(returns) as returns, "
            "sum(net_sales) as net_sales, count(*) filter (not has_customer) as n_guest_orders, min(currency) as currency "
            "from core.orders"
        )
        counts = self._one(
            "select (select count(*) from core.order_lines) as n_order_lines, "
            "(select count(distinct customer_id) from core.orders) as n_customers, "
            "(select count(*) from core.products where not is_service) as n_products, "
            "(select product_id from core.products where not is_service order by net_sales desc, product_id limit 1) "
            "as best_product, "
            "(select count(*) from core.order_lines where is_duplicate) as n_duplicate_lines, "
            "(select count(*) from core.events) as n_events"
        )
        months = self.query(
            "select month_start, net_sales, n_orders, growth_on_month, is_complete from metrics.monthly_sales "
            "where dimension = 'all' order by month_start"
        )
        kinds = self.query(
            "select line_kind, count(*) as n_lines, sum(net_amount) as net_amount from core.order_lines "
            "group by line_kind order by n_lines desc"
        )
        return {**money, **counts, "months": months, "kinds": kinds, "behaviour": self._behaviour()}

    def _behaviour(self) -> dict[str, Any]:
        """Return what visitors did: span, visits, buyers, money, and events by type."""
        visits = self._one(
            "select min(started_on) as first_day, max(started_on) as last_day, count(*) as n_sessions, "
            "(select count(distinct customer_id) from core.events where not is_duplicate) as n_visitors, "
            "count(*) filter (has_purchase) as n_buying_sessions, "
            "sum(revenue) as revenue from core.sessions"
        )
        types = self.query(
            "select event_type, count(*) as n_events from core.events where not is_duplicate group by 1 order by 2 desc"
        )
        return {**visits, "types": types}

    def _one(self, sql: str) -> dict[str, Any]:
        answer = self.query(sql)
        return dict(zip(answer.columns, answer.rows[0], strict=True))


def _refuse_all_but_one_select(connection: "duckdb.DuckDBPyConnection", sql: str) -> None:
    """Raise QueryError unless ``sql`` is one SELECT that calls nothing which acts on the engine or tells of its machine.

    The fence of the connection keeps files and settings away; this keeps away functions that log, write to disk
    or show paths, by looking at the parsed statement, where no quoting or comment can hide a name.
    """
    import duckdb

    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise QueryError(f"a query must be one SELECT; got {kinds}. The published version is read-only.")
    row = connection.execute("select json_serialize_sql(?)", [sql]).fetchone()
    tree = json.loads(row[0]) if row else {}
    if tree.get("error"):
        said = str(tree.get("error_message", "nothing")).splitlines()[0]
        raise QueryError(f"a query must be one SELECT; {said}. The published version is read-only.")
    for node in _nodes(tree):
        name = str(node.get("function_name", "")).lower()
        is_table_function = "function" in node and node.get("type") == "TABLE_FUNCTION"
        if is_table_function and (called := _name_of(node["function"])) not in TABLE_FUNCTIONS:
            raise QueryError(
                f"a table function must be one of {', '.join(sorted(TABLE_FUNCTIONS))}; got {called!r}. "
                f"Select from a table of the published version instead."
            )
        if name in HIDDEN_FUNCTIONS:
            raise QueryError(f"a function must leave the engine alone; got {name!r}. Leave it out.")
        if str(node.get("table_name", "")).lower() in HIDDEN_TABLES and node.get("type") == "BASE_TABLE":
            raise QueryError(f"a table must be one of those published; got {node['table_name']!r}. Choose another.")


def _name_of(function: dict[str, Any]) -> str:
    return str(function.get("function_name", "")).lower()


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Yield every object in a parsed statement."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
