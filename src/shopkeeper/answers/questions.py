"""The sections that tell of a customer, a product, or a list of recommendations: one query each, for all of them at once.

Each query gives ``_key`` (whose row it is), ``_place`` (its order within the section) and the columns that people and
programs read. Filtered by ``_key`` it is what the command line prints; aggregated by it, what the API sends: same words, same
numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shopkeeper.vocabulary import CUSTOMER_ID, PREDICTIONS, PRODUCT_ID

if TYPE_CHECKING:
    import duckdb

Form = Literal["facts", "table", "bars", "range"]
KEY, PLACE = "_key", "_place"


@dataclass(frozen=True)
class Shared:
    """Columns beside each other that say the same in many answers, and the query for all that they say.

    ``of``: tables whose products may lack words.
    """

    columns: tuple[str, ...]
    sql: str
    of: tuple[str, ...] = ()


PRODUCT_WORDS = Shared(
    (PRODUCT_ID, "description"),
    f"select {PRODUCT_ID}, description from core.products",
    ("core.order_lines", "predictions.customer_recommendations", "predictions.product_recommendations"),
)
SEGMENT_WORDS = Shared(("rule_words", "profile"), "select rule_words, profile from predictions.segments")
REASONS = Shared(("reason",), "select distinct reason from predictions.customer_recommendations")


@dataclass(frozen=True)
class Question:
    """A section to be: its title for people, its form, its query, and its columns with their JSON types.

    ``columns``: ``name:type`` parted by blanks; the types are text, integer, number, boolean, day, moment, texts (a list).
    ``needs``: the table of predictions without which it is not asked. ``is_for_programs``: people are not shown it.
    ``shared``: what many answers say alike, such as a product's words: it is kept once.
    """

    title: str
    form: Form
    columns: str
    sql: str
    needs: str = ""
    is_for_programs: bool = False
    shared: tuple[Shared, ...] = ()

    @property
    def name(self) -> str:
        """Its name in JSON."""
        return self.title.replace(":", "").replace(" ", "_")

    @property
    def types(self) -> dict[str, str]:
        """Column → JSON type."""
        return dict(pair.split(":") for pair in self.columns.split())


def tables_of(connection: "duckdb.DuckDBPyConnection") -> set[str]:
    """Return the names of the tables of predictions that a version has."""
    found = connection.execute(
        "select table_name from duckdb_tables() where schema_name = ? and database_name = current_database()",
        [PREDICTIONS],
    ).fetchall()
    return {row[0] for row in found}


def section_sql(question: Question) -> str:
    """Return the query for one ``$id``, in order."""
    return f"select * exclude ({KEY}, {PLACE}) from ({question.sql}) as section where {KEY} = $id order by {PLACE} nulls last"


CUSTOMER: Sequence[Question] = (
    Question(
        "profile",
        "facts",
        "country:text city:text signed_up_at:moment has_profile:boolean attributes:text",
        f"""
        select {CUSTOMER_ID} as _key, 1 as _place, country, city,
            strftime(signed_up_at, '%Y-%m-%dT%H:%M:%SZ') as signed_up_at, has_profile, attributes
        from core.customers
        """,
        is_for_programs=True,
    ),
    Question(
        "orders",
        "facts",
        "country:text n_orders:integer n_order_days:integer first_order_on:day last_order_on:day "
        "mean_days_between_orders:number gross_sales:number returns:number net_sales:number currency:text",
        f"""
        with placed as (
            select {CUSTOMER_ID}, min(ordered_on) as first_order_on, max(ordered_on) as last_order_on,
                sum(gross_sales) as gross_sales, sum(returns) as returns, sum(net_sales) as net_sales,
                min(currency) as currency
            from core.orders
            where {CUSTOMER_ID} is not null
            group by {CUSTOMER_ID}
        )
        select f.{CUSTOMER_ID} as _key, 1 as _place, c.country, f.n_orders, f.n_order_days, o.first_order_on, o.last_order_on,
            round(f.mean_days_between_orders, 1) as mean_days_between_orders, o.gross_sales, o.returns, o.net_sales,
            o.currency
        from features.customer_features as f
        inner join core.customers as c on c.{CUSTOMER_ID} = f.{CUSTOMER_ID}
        left join placed as o on o.{CUSTOMER_ID} = f.{CUSTOMER_ID}
        """,
    ),
    Question(
        "net sales by month",
        "bars",
        "month:text net_sales:number n_orders:integer",
        f"""
        with by_month as (
            select {CUSTOMER_ID} as _key, date_trunc('month', ordered_on) as _place, sum(net_sales) as net_sales,
                count(*) as n_orders
            from core.orders
            where {CUSTOMER_ID} is not null
            group by all
        )
        select _key, _place, strftime(_place, '%Y-%m') as month, net_sales, n_orders
        from by_month
        """,
    ),
    Question(
        "segment",
        "facts",
        "rfm_group:text r_score:integer f_score:integer m_score:integer segment_name:text rule_words:text profile:text "
        "certainty:number model_version:text",
        f"""
        select c.{CUSTOMER_ID} as _key, 1 as _place, c.rfm_group, c.r_score, c.f_score, c.m_score, c.segment_name,
            s.rule_words, s.profile, round(c.certainty, 2) as certainty, c.model_version
        from predictions.customer_segments as c
        left join predictions.segments as s on s.segment = c.segment and s.as_of = c.as_of
        """,
        "customer_segments",
        shared=(SEGMENT_WORDS,),
    ),
    Question(
        "churn",
        "facts",
        "horizon_days:integer churn_probability:number probability_low:number probability_high:number "
        "expected_next_order_on:day reasons:text value_at_risk:number model:text model_version:text",
        f"""
        select {CUSTOMER_ID} as _key, 1 as _place, horizon_days, round(churn_probability, 3) as churn_probability,
            round(probability_low, 3) as probability_low, round(probability_high, 3) as probability_high,
            expected_next_order_on, reasons, round(value_at_risk, 2) as value_at_risk, model, model_version
        from predictions.churn_scores
        """,
        "churn_scores",
    ),
    Question(
        "lifetime value",
        "facts",
        "horizon_days:integer lifetime_value:number value_low:number value_high:number expected_order_days:number "
        "p_alive:number model:text model_version:text",
        f"""
        select {CUSTOMER_ID} as _key, 1 as _place, horizon_days, round(lifetime_value, 2) as lifetime_value,
            round(value_low, 2) as value_low, round(value_high, 2) as value_high,
            round(expected_order_days, 2) as expected_order_days, round(p_alive, 3) as p_alive, model, model_version
        from predictions.customer_lifetime_values
        """,
        "customer_lifetime_values",
    ),
    Question(
        "label",
        "facts",
        "score:number score_low:number score_high:number rank:integer is_positive:boolean model:text model_version:text",
        f"""
        select {CUSTOMER_ID} as _key, 1 as _place, round(score, 3) as score, round(score_low, 3) as score_low,
            round(score_high, 3) as score_high, rank, is_positive, model, model_version
        from predictions.label_scores
        """,
        "label_scores",
    ),
    Question(
        "bought most",
        "table",
        "product_id:text description:text n_orders:integer n_units:number net_sales:number",
        f"""
        with by_order as (
            select {CUSTOMER_ID}, {PRODUCT_ID}, order_id, sum(quantity) as n_units, sum(net_amount) as net_sales
            from core.order_lines
            where line_kind = 'sale' and {CUSTOMER_ID} is not null and {PRODUCT_ID} is not null
            group by all
        ),
        bought as (
            select {CUSTOMER_ID}, {PRODUCT_ID}, count(*) as n_orders, sum(n_units) as n_units, sum(net_sales) as net_sales
            from by_order
            group by all
        ),
        ranked as (
            select *, row_number() over (partition by {CUSTOMER_ID} order by net_sales desc, {PRODUCT_ID}) as place
            from bought
        )
        select r.{CUSTOMER_ID} as _key, r.place as _place, r.{PRODUCT_ID}, p.description, r.n_orders, r.n_units, r.net_sales
        from ranked as r
        left join core.products as p on p.{PRODUCT_ID} = r.{PRODUCT_ID}
        where r.place <= 5
        """,
        shared=(PRODUCT_WORDS,),
    ),
    Question(
        "recommended",
        "table",
        "place:integer product_id:text description:text reason:text",
        f"""
        select r.{CUSTOMER_ID} as _key, r.place as _place, r.place, r.{PRODUCT_ID}, p.description, r.reason
        from predictions.customer_recommendations as r
        left join core.products as p on p.{PRODUCT_ID} = r.{PRODUCT_ID}
        where r.place <= 5
        """,
        "customer_recommendations",
        shared=(PRODUCT_WORDS, REASONS),
    ),
    Question(
        "recent orders",
        "table",
        "order_id:text ordered_on:day n_lines:integer n_units:number net_sales:number currency:text",
        f"""
        with ranked as (
            select *, row_number() over (partition by {CUSTOMER_ID} order by ordered_at desc, order_id) as place
            from core.orders
            where {CUSTOMER_ID} is not null
        )
        select {CUSTOMER_ID} as _key, place as _place, order_id, ordered_on, n_lines, n_units, net_sales, currency
        from ranked
        where place <= 5
        """,
        is_for_programs=True,
    ),
)

PRODUCT: Sequence[Question] = (
    Question(
        "sales",
        "facts",
        "category:text brand:text list_price:number unit_cost:number first_sold_on:day last_sold_on:day n_orders:integer "
        "n_units:number lowest_price:number highest_price:number gross_sales:number returns:number net_sales:number "
        "place_by_net_sales:text",
        f"""
        with ranked as (
            select *, rank() over (order by net_sales desc) as place, count(*) over () as n_products
            from core.products
            where not is_service
        )
        select {PRODUCT_ID} as _key, 1 as _place, category, brand, list_price, unit_cost, first_sold_on, last_sold_on,
            n_orders, n_units, lowest_price, highest_price, gross_sales, returns, net_sales,
            place || ' of ' || n_products as place_by_net_sales
        from ranked
        """,
    ),
    Question(
        "net sales by month",
        "bars",
        "month:text net_sales:number n_units:number",
        f"""
        select {PRODUCT_ID} as _key, date_trunc('month', ordered_on) as _place,
            strftime(date_trunc('month', ordered_on), '%Y-%m') as month,
            sum(net_amount) filter (line_kind in ('sale', 'discount', 'cancellation', 'return')) as net_sales,
            sum(quantity) filter (line_kind = 'sale') as n_units
        from core.order_lines
        where {PRODUCT_ID} is not null
        group by all
        having net_sales is not null
        """,
    ),
    Question(
        "demand by week",
        "range",
        "day:day units:number units_low:number units_high:number",
        """
        select series as _key, day as _place, day, units, units_low, units_high
        from predictions.demand_forecasts
        where level = 'product' and frequency = 'weekly'
        """,
        "demand_forecasts",
    ),
    Question(
        "planned promotions",
        "table",
        "promotion_id:text level:text store_id:text starts_on:day ends_on:day unit_price:number discount_share:number",
        f"""
        with ahead as (
            select * from core.promotions where is_usable and ends_on > (select max(ordered_on) from core.orders)
        ),
        named as (
            select p.{PRODUCT_ID}, a.*
            from core.products as p
            inner join ahead as a on
                a.level = 'product' and a.member = p.{PRODUCT_ID}
                or a.level = 'category' and a.member = p.category
                or a.level = 'shop'
        ),
        ranked as (
            select *, row_number() over (
                partition by {PRODUCT_ID} order by starts_on, promotion_id, level desc, store_id
            ) as place
            from named
        )
        select {PRODUCT_ID} as _key, place as _place, promotion_id, level, store_id, starts_on, ends_on, unit_price,
            discount_share
        from ranked
        where place <= 6
        """,
    ),
    Question(
        "stock",
        "table",
        "store_id:text on_hand:number daily_demand:number days_of_stock_left:number reorder_point:number "
        "order_quantity:number reorder_now:boolean service_level:number model:text",
        f"""
        with ranked as (
            select *, row_number() over (
                partition by {PRODUCT_ID}
                order by reorder_now desc nulls last, days_of_stock_left nulls last, store_id nulls last
            ) as place
            from predictions.stock_advice
        )
        select {PRODUCT_ID} as _key, place as _place, store_id, round(on_hand) as on_hand,
            round(daily_demand, 2) as daily_demand, round(days_of_stock_left, 1) as days_of_stock_left,
            round(reorder_point, 1) as reorder_point, round(order_quantity) as order_quantity, reorder_now, service_level,
            model
        from ranked
        where place <= 8
        """,
        "stock_advice",
    ),
    Question(
        "how buyers answer to the price",
        "table",
        "channel:text currency:text status:text elasticity:number low:number high:number n_prices:integer "
        "lowest_price:number highest_price:number reason:text",
        f"""
        select {PRODUCT_ID} as _key, row_number() over (partition by {PRODUCT_ID} order by n_lines desc, channel, currency)
            as _place, channel, currency, status, round(elasticity, 2) as elasticity, round(elasticity_low, 2) as low,
            round(elasticity_high, 2) as high, n_prices, lowest_price, highest_price, reason
        from predictions.price_elasticities
        """,
        "price_elasticities",
    ),
    Question(
        "price advice",
        "table",
        "channel:text price:number action:text advised_price:number objective:text units_change_percent:number "
        "revenue_change_percent:number profit_change_percent:number is_sure:boolean reason:text",
        f"""
        select {PRODUCT_ID} as _key, row_number() over (
                partition by {PRODUCT_ID} order by revenue_per_day desc nulls last, channel, currency
            ) as _place, channel, price, action, advised_price, objective,
            round(100 * units_change, 1) as units_change_percent, round(100 * revenue_change, 1) as revenue_change_percent,
            round(100 * profit_change, 1) as profit_change_percent, is_sure, reason
        from predictions.price_advice
        """,
        "price_advice",
    ),
    Question(
        "what if: money a day by price",
        "range",
        "price:number money_per_day:number low:number high:number",
        f"""
        with ranked as (
            select {PRODUCT_ID}, channel, currency, row_number() over (
                partition by {PRODUCT_ID} order by revenue_per_day desc nulls last, channel, currency
            ) as place
            from predictions.price_advice
        )
        select c.{PRODUCT_ID} as _key, c.price as _place, c.price, coalesce(c.profit_per_day, c.revenue_per_day) as money_per_day,
            coalesce(c.profit_low, c.revenue_low) as low, coalesce(c.profit_high, c.revenue_high) as high
        from predictions.price_curves as c
        inner join ranked as r
            on r.{PRODUCT_ID} = c.{PRODUCT_ID} and r.channel = c.channel and r.currency = c.currency and r.place = 1
        """,
        "price_curves",
    ),
    Question(
        "last price changes",
        "table",
        "changed_on:day channel:text old_price:number new_price:number is_promotion:boolean units_a_day_before:number "
        "units_a_day_after:number",
        f"""
        with ranked as (
            select *, row_number() over (partition by {PRODUCT_ID} order by changed_on desc, channel, currency) as place
            from predictions.price_changes
        )
        select {PRODUCT_ID} as _key, place as _place, changed_on, channel, old_price, new_price, is_promotion,
            round(units_before, 2) as units_a_day_before, round(units_after, 2) as units_a_day_after
        from ranked
        where place <= 6
        """,
        "price_changes",
    ),
    Question(
        "goes with it",
        "table",
        "kind:text place:integer product_id:text description:text",
        f"""
        select r.scope as _key, (case r.kind when 'together' then 0 else 1000 end) + r.place as _place, r.kind, r.place,
            r.{PRODUCT_ID}, p.description
        from predictions.product_recommendations as r
        left join core.products as p on p.{PRODUCT_ID} = r.{PRODUCT_ID}
        where r.kind in ('together', 'instead') and r.place <= 3
        """,
        "product_recommendations",
    ),
    Question(
        "rules",
        "table",
        "rule:text n_baskets:integer support:number confidence:number lift:number is_significant:boolean holds_later:boolean",
        f"""
        with told as (
            select *, unnest(list_distinct(list_append(antecedent, consequent))) as {PRODUCT_ID}
            from predictions.basket_rules
            where scope = 'all' and not is_redundant
        ),
        ranked as (
            select *, row_number() over (partition by {PRODUCT_ID} order by rank) as place
            from told
        )
        select {PRODUCT_ID} as _key, place as _place, rule, n_baskets, round(support, 4) as support,
            round(confidence, 3) as confidence, round(lift, 2) as lift, is_significant, holds_later
        from ranked
        where place <= 5
        """,
        "basket_rules",
    ),
    Question(
        "bundles",
        "table",
        "names:text usual_price:number bundle_price:number lift_later:number earned_later:number break_even_uptake:number",
        f"""
        with told as (
            select *, unnest(list_distinct(products)) as {PRODUCT_ID}
            from predictions.bundles
        ),
        ranked as (
            select *, row_number() over (partition by {PRODUCT_ID} order by bundle) as place
            from told
        )
        select {PRODUCT_ID} as _key, place as _place, names, usual_price, bundle_price, lift_later, earned_later,
            break_even_uptake
        from ranked
        where place <= 3
        """,
        "bundles",
    ),
)

OFFER = "product_id:text description:text score:number reason:text"
RECOMMENDED = Question(
    "recommendations",
    "table",
    OFFER,
    f"""
    select r.{CUSTOMER_ID} as _key, r.place as _place, r.{PRODUCT_ID}, p.description, round(r.score, 6) as score, r.reason
    from predictions.customer_recommendations as r
    left join core.products as p on p.{PRODUCT_ID} = r.{PRODUCT_ID}
    """,
    "customer_recommendations",
    shared=(PRODUCT_WORDS, REASONS),
)
"""A customer's whole list; ``recommended`` in a dossier is its head."""
LISTED = Question(
    "list",
    "table",
    OFFER,
    f"""
    select r.kind || ':' || r.scope as _key, r.place as _place, r.{PRODUCT_ID}, p.description, round(r.score, 6) as score,
        case r.kind when 'together' then 'often bought with it' when 'instead' then 'much like it' else 'popular of late' end
            as reason
    from predictions.product_recommendations as r
    left join core.products as p on p.{PRODUCT_ID} = r.{PRODUCT_ID}
    """,
    "product_recommendations",
    shared=(PRODUCT_WORDS,),
)
"""Lists beside a product, for a segment, a country or everybody; the key is ``kind:scope``."""
