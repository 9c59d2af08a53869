"""All that is known and advised about one customer or one product, from one published version.

A dossier is a list of sections, each the answer to one query with the form in which people read it. What no table says is
left out: a shop without inventory has no section about stock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from shopkeeper.errors import UsageError
from shopkeeper.published import Published
from shopkeeper.vocabulary import CUSTOMER_ID, PREDICTIONS, PRODUCT_ID

if TYPE_CHECKING:
    import duckdb

Form = Literal["facts", "table", "bars", "range"]
MOST_ALIKE = 8
OLDER = "the published tables are of an older Shopkeeper and do not say; run `shopkeeper run`"


@dataclass(frozen=True)
class Section:
    """One answer: ``facts`` (one row, names and values), ``table``, ``bars`` (label, value, …) or ``range`` (a series: label,
    value, low, high).
    """

    title: str
    form: Form
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def plain(self) -> list[dict[str, Any]]:
        """Return the rows as objects."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Dossier:
    """What one version says of one thing: ``kind`` is customer or product, ``id`` its code, ``name`` what it is called."""

    kind: str
    id: str
    name: str
    version: int | None
    sections: tuple[Section, ...]

    def plain(self) -> dict[str, Any]:
        """Return it as values for programs."""
        told = {section.title.replace(" ", "_"): section.plain() for section in self.sections}
        return {f"{self.kind}_id": self.id, "name": self.name, "version": self.version, **told}


@dataclass(frozen=True)
class _Question:
    """A section to be: its query reads ``$id``; ``needs`` names the table of predictions without which it is not asked."""

    title: str
    form: Form
    sql: str
    needs: str = ""


CUSTOMER: Sequence[_Question] = (
    _Question(
        "orders",
        "facts",
        f"""
        select c.country, f.n_orders, f.n_order_days, min(o.ordered_on) as first_order_on, max(o.ordered_on) as last_order_on,
            round(f.mean_days_between_orders, 1) as mean_days_between_orders, sum(o.gross_sales) as gross_sales,
            sum(o.returns) as returns, sum(o.net_sales) as net_sales, min(o.currency) as currency
        from features.customer_features as f
        inner join core.customers as c on c.{CUSTOMER_ID} = f.{CUSTOMER_ID}
        left join core.orders as o on o.{CUSTOMER_ID} = f.{CUSTOMER_ID}
        where f.{CUSTOMER_ID} = $id
        group by all
        """,
    ),
    _Question(
        "net sales by month",
        "bars",
        f"""
        select strftime(date_trunc('month', ordered_on), '%Y-%m') as month, sum(net_sales) as net_sales, count(*) as n_orders
        from core.orders
        where {CUSTOMER_ID} = $id
        group by 1
        order by 1
        """,
    ),
    _Question(
        "segment",
        "facts",
        f"""
        select c.rfm_group, c.r_score, c.f_score, c.m_score, c.segment_name, s.rule_words,
            s.profile, round(c.certainty, 2) as certainty, c.model_version
        from predictions.customer_segments as c
        left join predictions.segments as s on s.segment = c.segment and s.as_of = c.as_of
        where c.{CUSTOMER_ID} = $id
        """,
        "customer_segments",
    ),
    _Question(
        "churn",
        "facts",
        f"""
        select horizon_days, round(churn_probability, 3) as churn_probability, round(probability_low, 3) as probability_low,
            round(probability_high, 3) as probability_high, expected_next_order_on, reasons,
            round(value_at_risk, 2) as value_at_risk, model, model_version
        from predictions.churn_scores
        where {CUSTOMER_ID} = $id
        """,
        "churn_scores",
    ),
    _Question(
        "lifetime value",
        "facts",
        f"""
        select horizon_days, round(lifetime_value, 2) as lifetime_value, round(value_low, 2) as value_low,
            round(value_high, 2) as value_high, round(expected_order_days, 2) as expected_order_days,
            round(p_alive, 3) as p_alive, model, model_version
        from predictions.customer_lifetime_values
        where {CUSTOMER_ID} = $id
        """,
        "customer_lifetime_values",
    ),
    _Question(
        "label",
        "facts",
        f"""
        select round(score, 3) as score, round(score_low, 3) as score_low, round(score_high, 3) as score_high, rank, is_positive,
            model, model_version
        from predictions.label_scores
        where {CUSTOMER_ID} = $id
        """,
        "label_scores",
    ),
    _Question(
        "bought most",
        "table",
        f"""
        select l.{PRODUCT_ID}, any_value(p.description) as description, count(distinct l.order_id) as n_orders,
            sum(l.quantity) as n_units, sum(l.net_amount) as net_sales
        from core.order_lines as l
        left join core.products as p on p.{PRODUCT_ID} = l.{PRODUCT_ID}
        where l.{CUSTOMER_ID} = $id and l.line_kind = 'sale'
        group by 1
        order by net_sales desc, 1
        limit 5
        """,
    ),
    _Question(
        "recommended",
        "table",
        f"""
        select r.place, r.{PRODUCT_ID}, p.description, r.reason
        from predictions.customer_recommendations as r
        left join core.products as p on p.{PRODUCT_ID} = r.{PRODUCT_ID}
        where r.{CUSTOMER_ID} = $id
        order by r.place
        limit 5
        """,
        "customer_recommendations",
    ),
)

PRODUCT: Sequence[_Question] = (
    _Question(
        "sales",
        "facts",
        f"""
        with ranked as (
            select *, rank() over (order by net_sales desc) as place, count(*) over () as n_products
            from core.products
            where not is_service
        )
        select category, brand, list_price, unit_cost, first_sold_on, last_sold_on, n_orders, n_units, lowest_price,
            highest_price, gross_sales, returns, net_sales, place || ' of ' || n_products as place_by_net_sales
        from ranked
        where {PRODUCT_ID} = $id
        """,
    ),
    _Question(
        "net sales by month",
        "bars",
        f"""
        select strftime(date_trunc('month', ordered_on), '%Y-%m') as month,
            sum(net_amount) filter (line_kind in ('sale', 'discount', 'cancellation', 'return')) as net_sales,
            sum(quantity) filter (line_kind = 'sale') as n_units
        from core.order_lines
        where {PRODUCT_ID} = $id
        group by 1
        having net_sales is not null
        order by 1
        """,
    ),
    _Question(
        "demand by week",
        "range",
        """
        select day, units, units_low, units_high
        from predictions.demand_forecasts
        where level = 'product' and series = $id and frequency = 'weekly'
        order by day
        """,
        "demand_forecasts",
    ),
    _Question(
        "stock",
        "table",
        f"""
        select store_id, round(on_hand) as on_hand, round(daily_demand, 2) as daily_demand,
            round(days_of_stock_left, 1) as days_of_stock_left, round(reorder_point, 1) as reorder_point,
            round(order_quantity) as order_quantity, reorder_now, service_level, model
        from predictions.stock_advice
        where {PRODUCT_ID} = $id
        order by reorder_now desc nulls last, days_of_stock_left, store_id
        limit 8
        """,
        "stock_advice",
    ),
    _Question(
        "how buyers answer to the price",
        "table",
        f"""
        select channel, currency, status, round(elasticity, 2) as elasticity, round(elasticity_low, 2) as low,
            round(elasticity_high, 2) as high, n_prices, lowest_price, highest_price, reason
        from predictions.price_elasticities
        where {PRODUCT_ID} = $id
        order by n_lines desc, channel, currency
        """,
        "price_elasticities",
    ),
    _Question(
        "price advice",
        "table",
        f"""
        select channel, price, action, advised_price, objective, round(100 * units_change, 1) as units_change_percent,
            round(100 * revenue_change, 1) as revenue_change_percent, round(100 * profit_change, 1) as profit_change_percent,
            is_sure, reason
        from predictions.price_advice
        where {PRODUCT_ID} = $id
        order by revenue_per_day desc nulls last, channel, currency
        """,
        "price_advice",
    ),
    _Question(
        "what if: money a day by price",
        "range",
        f"""
        with main as (
            select channel, currency
            from predictions.price_advice
            where {PRODUCT_ID} = $id
            order by revenue_per_day desc nulls last, channel, currency
            limit 1
        )
        select c.price, coalesce(c.profit_per_day, c.revenue_per_day) as money_per_day,
            coalesce(c.profit_low, c.revenue_low) as low, coalesce(c.profit_high, c.revenue_high) as high
        from predictions.price_curves as c
        inner join main using (channel, currency)
        where c.{PRODUCT_ID} = $id
        order by c.price
        """,
        "price_curves",
    ),
    _Question(
        "last price changes",
        "table",
        f"""
        select changed_on, channel, old_price, new_price, is_promotion, round(units_before, 2) as units_a_day_before,
            round(units_after, 2) as units_a_day_after
        from predictions.price_changes
        where {PRODUCT_ID} = $id
        order by changed_on desc, channel
        limit 6
        """,
        "price_changes",
    ),
    _Question(
        "goes with it",
        "table",
        f"""
        select r.kind, r.place, r.{PRODUCT_ID}, p.description
        from predictions.product_recommendations as r
        left join core.products as p on p.{PRODUCT_ID} = r.{PRODUCT_ID}
        where r.kind in ('together', 'instead') and r.scope = $id and r.place <= 3
        order by r.kind desc, r.place
        """,
        "product_recommendations",
    ),
    _Question(
        "rules",
        "table",
        """
        select rule, n_baskets, round(support, 4) as support, round(confidence, 3) as confidence, round(lift, 2) as lift,
            is_significant, holds_later
        from predictions.basket_rules
        where scope = 'all' and not is_redundant and (list_contains(antecedent, $id) or consequent = $id)
        order by rank
        limit 5
        """,
        "basket_rules",
    ),
    _Question(
        "bundles",
        "table",
        """
        select names, usual_price, bundle_price, lift_later, earned_later, break_even_uptake
        from predictions.bundles
        where list_contains(products, $id)
        order by bundle
        limit 3
        """,
        "bundles",
    ),
)


def customer_dossier(published: Published, customer_id: str) -> Dossier:
    """Return all that the current version says of a customer.

    Raises UsageError if it knows none of that id, and names those that are nearest.
    """
    known = f"select {CUSTOMER_ID} as id, {CUSTOMER_ID} as name from core.customers"
    return _dossier(published, "customer", customer_id.strip(), known, CUSTOMER)


def product_dossier(published: Published, product_id: str) -> Dossier:
    """Return all that the current version says of a product, by its code in any case of letters.

    Raises UsageError if it knows none of that code, and names those whose code or description is nearest.
    """
    known = f"select {PRODUCT_ID} as id, coalesce(description, {PRODUCT_ID}) as name from core.products"
    return _dossier(published, "product", product_id.strip().upper(), known, PRODUCT)


def _dossier(published: Published, kind: str, asked: str, known: str, questions: Sequence[_Question]) -> Dossier:
    version, connection = published.open_numbered()
    with connection:
        found = connection.execute(f"select id, name from ({known}) where upper(id) = upper(?)", [asked]).fetchall()
        if not found:
            raise UsageError(_unknown(connection, kind, asked, known))
        key, name = found[0]
        tables = {
            row[0]
            for row in connection.execute(
                "select table_name from duckdb_tables() where schema_name = ?", [PREDICTIONS]
            ).fetchall()
        }
        sections = [
            _section(connection, question, {"id": key})
            for question in questions
            if not question.needs or question.needs in tables
        ]
    return Dossier(kind, key, name, version, tuple(section for section in sections if section.rows))


def _section(connection: "duckdb.DuckDBPyConnection", question: _Question, values: Mapping[str, Any]) -> Section:
    import duckdb

    try:
        found = connection.execute(question.sql, dict(values))
    except (duckdb.BinderException, duckdb.CatalogException):
        return Section(question.title, "facts", ("note",), [(OLDER,)])
    columns = tuple(column[0] for column in found.description)
    return Section(question.title, question.form, columns, found.fetchall())


def _unknown(connection: "duckdb.DuckDBPyConnection", kind: str, asked: str, known: str) -> str:
    """Return the sentence for a code that nothing has: those that hold the text, else those spelled most alike."""
    rows = connection.execute(
        f"""
        select id, name
        from ({known})
        order by contains(upper(id), upper($asked)) or contains(upper(name), upper($asked)) desc,
            greatest(
                jaro_winkler_similarity(upper(id), upper($asked)), jaro_winkler_similarity(upper(name), upper($asked))
            ) desc,
            id
        limit {MOST_ALIKE}
        """,
        {"asked": asked},
    ).fetchall()
    if not rows:
        return (
            f"a {kind} must be one that the published version knows; it knows none. Load some and run `shopkeeper run`."
        )
    near = "; ".join(key if key == name else f"{key} ({name})" for key, name in rows)
    return f"a {kind} must be one that the published version knows; got {asked!r}. The nearest are {near}."
