"""The questions that apps ask of a published version; read-only, and nothing but what is published."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from shopkeeper.errors import QueryError
from shopkeeper.published import Published


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
    if isinstance(value, float) and value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124
        return "null"
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

        with self.published.open() as connection:
            version = self.published.current()
            try:
                statements = connection.extract_statements(sql)
                allowed = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
                if len(statements) != 1 or statements[0].type not in allowed:
                    kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
                    raise QueryError(f"a query must be one SELECT; got {kinds}. The published version is read-only.")
                found = connection.execute(statements[0])
                columns = tuple(column[0] for column in found.description)
                return Answer(columns, found.fetchall(), version)
            except duckdb.Error as error:
                raise QueryError(f"the query must be answerable by the published version; {error}") from error

    def ledger(self) -> Answer:
        """Return every identity of the ledger: rule, scope, expected, actual, difference."""
        return self.query(
            "select rule, scope, expected, actual, difference from metrics.ledger order by difference = 0, rule, scope"
        )

    def summary(self) -> dict[str, Any]:
        """Return the figures a person wants to see first: span, money, counts, the best month and the line kinds."""
        money = self._one(
            "select min(ordered_on) as first_day, max(ordered_on) as last_day, count(*) as n_orders, "
            "sum(gross_sales) as gross_sales, sum(discounts) as discounts, sum(returns) as returns, "
            "sum(net_sales) as net_sales, count(*) filter (not has_customer) as n_guest_orders, min(currency) as currency "
            "from core.orders"
        )
        counts = self._one(
            "select (select count(*) from core.order_lines) as n_order_lines, "
            "(select count(distinct customer_id) from core.orders) as n_customers, "
            "(select count(*) from core.products where not is_service) as n_products, "
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
        return {**money, **counts, "months": months, "kinds": kinds}

    def _one(self, sql: str) -> dict[str, Any]:
        answer = self.query(sql)
        return dict(zip(answer.columns, answer.rows[0], strict=True))
