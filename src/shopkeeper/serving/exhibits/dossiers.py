"""All that is known and advised of one customer, one product, one store: the sections of the dossiers, and what is drawn of them.

Each asks for ``{id}``. Sections that the command line and the API tell as well are made from the same queries.
"""

from collections.abc import Mapping

from shopkeeper import answers
from shopkeeper.answers import Question
from shopkeeper.serving.exhibits.exhibit import Exhibit, of_question

_MONEY = (
    "gross_sales",
    "returns",
    "net_sales",
    "lifetime_value",
    "value_low",
    "value_high",
    "value_at_risk",
    "earned_later",
)
_PRICES = (
    *("price", "advised_price", "old_price", "new_price", "list_price", "unit_cost", "lowest_price", "highest_price"),
    *("usual_price", "bundle_price"),
)
_SHARES = (
    *("churn_probability", "probability_low", "probability_high", "certainty", "p_alive", "confidence", "support"),
    *("service_level", "break_even_uptake"),
)
_UNITS = {
    **dict.fromkeys(_MONEY, "money"),
    **dict.fromkeys(_PRICES, "price"),
    **dict.fromkeys(_SHARES, "share"),
    "product_id": "product",
    "store_id": "store",
    "country": "country",
    "customer_id": "customer",
}


def _sections(questions: Mapping[str, Question], kind: str, definitions: Mapping[str, str]) -> dict[str, Exhibit]:
    return {
        name: of_question(f"{kind}_{question.name}", question, definitions[name], _UNITS)
        for name, question in questions.items()
        if name in definitions
    }


CUSTOMER_SECTIONS = _sections(
    {question.name: question for question in answers.CUSTOMER},
    "customer",
    {
        "orders": "Orders are those with a sale; days between orders are means over days with an order.",
        "segment": "The segment and the group, and the rule that puts a customer there. Certainty is the share of refits on "
        "resampled customers that give the same segment.",
        "churn": "The chance of no order within the horizon, calibrated, with the 95 % interval of the rate among such "
        "customers; and what speaks most for the likelier of the two.",
        "lifetime_value": "Money expected within the horizon, with the 90 % range of what the customer will bring.",
        "label": "The chance that the shop's own label is 1.",
        "bought_most": "The five products with most net sales to this customer.",
        "recommended": "What to show next, the best first, and why.",
    },
)
PRODUCT_SECTIONS = _sections(
    {question.name: question for question in answers.PRODUCT},
    "product",
    {
        "sales": "All sales of the product, whenever they were; its place is that among all goods by net sales.",
        "stock": "What is on hand by store, for how many days that lasts at expected demand, and what to order now.",
        "how_buyers_answer_to_the_price": "Per cent of units per per cent of price, with its 95 % interval; or why that is "
        "unknown.",
        "price_advice": "The price that brings most within the shop's bounds, and what is expected to change by it.",
        "last_price_changes": "Posted prices that changed, with the units a day before and after, plainly counted.",
        "goes_with_it": "Products bought together with it, and in its place.",
        "rules": "Rules that hold it, the strongest first: confidence is how many baskets with the left side have the right "
        "side, lift how many times chance that is.",
        "bundles": "Bundles that hold it, with the share that must take them for the discount to pay.",
    },
)

CUSTOMER = Exhibit(
    "customer",
    "Customer",
    "Orders with a sale, net sales of all time, and the days since the last order, up to the last day of the data.",
    """
    select c.customer_id, c.country, c.city, c.first_ordered_on, c.last_ordered_on, c.n_orders, c.net_sales, c.returns,
        c.net_sales / nullif(c.n_orders, 0) as net_sales_per_order,
        (select max(day) from core.calendar_days) - c.last_ordered_on as days_since_last_order
    from core.customers as c
    where c.customer_id = {id}
    """,
    "customer_id:customer country:country city:personal first_ordered_on:date last_ordered_on:date n_orders:count "
    "net_sales:money returns:money net_sales_per_order:money days_since_last_order:days",
    ("core.customers",),
    (),
    headings={
        "net_sales_per_order": "Average order",
        "first_ordered_on": "First order",
        "last_ordered_on": "Last order",
    },
)

CUSTOMER_ORDERS = Exhibit(
    "customer_timeline",
    "Orders",
    "Each order, by day, with its net sales; what came back is below zero.",
    """
    select ordered_on, order_id, net_sales, n_units, n_lines, has_sale
    from core.orders
    where customer_id = {id}
    order by ordered_at, order_id
    """,
    "ordered_on:date order_id:text net_sales:money n_units:count n_lines:count has_sale:flag",
    ("core.orders",),
    (),
    headings={"ordered_on": "Day", "order_id": "Order", "has_sale": "Sale"},
)

CHURN_REASONS = Exhibit(
    "churn_reasons",
    "What speaks for staying away, and against",
    "What each feature adds to the log-odds of staying away: above zero it speaks for it, below against.",
    """
    select feature, value, effect
    from predictions.churn_reasons
    where customer_id = {id}
    order by place
    """,
    "feature:text value:text effect:number",
    ("predictions.churn_reasons",),
    (),
)

SCORES = Exhibit(
    "customer_scores",
    "What is expected of the customer",
    "The segment; the chance of no order within the horizon, with the 95 % interval of the rate among such customers; and the "
    "money expected, with the 90 % range of what the customer will bring.",
    """
    select s.segment_name, s.rfm_group, c.churn_probability, c.probability_low, c.probability_high,
        c.horizon_days as churn_days, c.expected_next_order_on, c.reasons, l.lifetime_value, l.value_low, l.value_high,
        l.horizon_days as value_days
    from (select {id} as customer_id) as one
    left join predictions.customer_segments as s on s.customer_id = one.customer_id
    left join predictions.churn_scores as c on c.customer_id = one.customer_id
    left join predictions.customer_lifetime_values as l on l.customer_id = one.customer_id
    """,
    "segment_name:text rfm_group:text churn_probability:share probability_low:share probability_high:share churn_days:days "
    "expected_next_order_on:date reasons:text lifetime_value:money value_low:money value_high:money value_days:days",
    ("predictions.customer_segments", "predictions.churn_scores", "predictions.customer_lifetime_values"),
    (),
    headings={
        "churn_probability": "Chance to stay away",
        "segment_name": "Segment",
        "expected_next_order_on": "Next order by",
    },
)

PRODUCT = Exhibit(
    "product",
    "Product",
    "Sales of all time. The place is that among all goods by net sales. The price is the one last paid on a sale line.",
    """
    with ranked as (
        select *, rank() over (order by net_sales desc) as place, count(*) over () as n_products
        from core.products
    )
    select product_id, description, category, brand, net_sales, n_units, n_orders, place, n_products, first_sold_on, last_sold_on,
        list_price, unit_cost, is_service,
        (
            select arg_max(unit_price, ordered_at)
            from core.order_lines
            where product_id = {id} and line_kind = 'sale'
        ) as price
    from ranked
    where product_id = {id}
    """,
    "product_id:product description:text category:category brand:text net_sales:money n_units:count n_orders:count place:count "
    "n_products:count first_sold_on:date last_sold_on:date list_price:price unit_cost:price is_service:flag price:price",
    ("core.products",),
    (),
)

PRODUCT_OVER_TIME = Exhibit(
    "product_over_time",
    "Sales over time",
    "Net sales and units of the product within each day, week or month, under the filters of period and places.",
    """
    select cast(date_trunc({grain}, ordered_on) as date) as period_start,
        coalesce(sum(net_amount) filter (line_kind in ('sale', 'discount', 'cancellation', 'return')), 0) as net_sales,
        coalesce(sum(quantity) filter (line_kind in ('sale', 'cancellation', 'return')), 0) as n_units,
        period_start >= {first_day} and period_start + to_days(case {grain} when 'day' then 1 when 'week' then 7
            else day(last_day(period_start)) end) - interval 1 day <= {last_day} as is_whole
    from {lines} as lines
    where product_id = {id}
    group by 1
    order by 1
    """,
    "period_start:period net_sales:money n_units:count is_whole:flag",
    ("core.order_lines",),
    ("period", "country", "store"),
    headings={"period_start": "From", "is_whole": "Whole"},
)

PRICE_HISTORY = Exhibit(
    "price_history",
    "Prices paid",
    "What a unit cost on sale lines in each week: the middle price by units, and the lowest and highest.",
    """
    select cast(date_trunc('week', ordered_on) as date) as week_start,
        quantile_cont(cast(unit_price as double), .5) as median_price, min(unit_price) as lowest_price,
        max(unit_price) as highest_price, sum(quantity) as n_units
    from {lines} as lines
    where product_id = {id} and line_kind = 'sale'
    group by 1
    order by 1
    """,
    "week_start:date median_price:price lowest_price:price highest_price:price n_units:count",
    ("core.order_lines",),
    ("period", "country", "store"),
    headings={"week_start": "Week from"},
)

PRODUCT_FORECAST = Exhibit(
    "product_forecast",
    "Demand by week",
    "Units sold in each of the last 26 weeks before the forecast, and units expected, with the interval that holds them with "
    "90 %.",
    """
    with ahead as (
        select day, units, units_low, units_high, as_of
        from predictions.demand_forecasts
        where level = 'product' and series = {id} and frequency = 'weekly'
    ),
    moment as (
        select max(as_of) as as_of from predictions.demand_forecasts where level = 'product'
    ),
    sold as (
        select cast(moment.as_of - 7 * cast(ceil((moment.as_of - ordered_on) / 7.0) as integer) as date) as day,
            sum(quantity) as units
        from core.order_lines, moment
        where product_id = {id} and line_kind = 'sale' and ordered_on < moment.as_of and ordered_on >= moment.as_of - 182
        group by 1
    ),
    weeks as (
        select cast(moment.as_of - 7 * cast(n as integer) as date) as day from moment, range(1, 27) as t(n)
    )
    select weeks.day, coalesce(cast(sold.units as double), 0) as sold, cast(null as double) as expected,
        cast(null as double) as expected_low, cast(null as double) as expected_high
    from weeks
    left join sold on sold.day = weeks.day
    where exists (select 1 from ahead)
    union all
    select day, null, units, units_low, units_high from ahead
    order by day
    """,
    "day:date sold:number expected:number expected_low:number expected_high:number",
    ("predictions.demand_forecasts",),
    (),
    headings={"day": "Week from"},
)

PRICE_CURVE = Exhibit(
    "price_curve",
    "What if the price were another",
    "Money a day expected at each price, profit where the unit cost is known and else revenue, with the 95 % interval of the "
    "elasticity's error alone; of the channel that brings most.",
    """
    with best as (
        select channel, currency, price as price_now, advised_price, action, objective
        from predictions.price_advice
        where product_id = {id}
        order by revenue_per_day desc nulls last, channel, currency
        limit 1
    )
    select c.price, coalesce(c.profit_per_day, c.revenue_per_day) as money_per_day,
        coalesce(c.profit_low, c.revenue_low) as money_low, coalesce(c.profit_high, c.revenue_high) as money_high,
        c.units_per_day, best.price_now, best.advised_price, best.objective, best.channel
    from predictions.price_curves as c
    inner join best on best.channel = c.channel and best.currency = c.currency
    where c.product_id = {id}
    order by c.price
    """,
    "price:price money_per_day:money money_low:money money_high:money units_per_day:number price_now:price advised_price:price "
    "objective:text channel:text",
    ("predictions.price_curves", "predictions.price_advice"),
    (),
)

STOCK_OVER_TIME = Exhibit(
    "stock_over_time",
    "Stock over time",
    "Units on hand when each day ended, all stores together, under the filter of the period.",
    """
    with days as (
        select day from core.calendar_days where day between {first_day} and {last_day}
    ),
    moved as (
        select day, sum(n_units_in) - sum(n_units_out) as change
        from metrics.daily_inventory
        where product_id = {id} and day <= {last_day}
        group by 1
    ),
    summed as (
        select day, sum(change) over (order by day) as on_hand from moved
    )
    select days.day, summed.on_hand
    from days
    asof join summed on summed.day <= days.day
    order by days.day
    """,
    "day:date on_hand:count",
    ("metrics.daily_inventory",),
    ("period",),
)

PLANNED_PROMOTIONS = Exhibit(
    "planned_promotions",
    "Promotions, planned and past",
    "Promotions of the product, its category or the whole shop that had not ended a year before the last day of the data.",
    """
    select promotion_id, level, store_id, starts_on, ends_on, unit_price, discount_share,
        ends_on >= (select max(day) from core.calendar_days) as is_ahead
    from core.promotions
    where is_usable
        and ends_on >= (select max(day) - 365 from core.calendar_days)
        and (
            level = 'shop'
            or (level = 'product' and member = {id})
            or (level = 'category' and member = (select category from core.products where product_id = {id}))
        )
    order by starts_on desc, promotion_id
    """,
    "promotion_id:text level:text store_id:store starts_on:date ends_on:date unit_price:price discount_share:share is_ahead:flag",
    ("core.promotions",),
    (),
    headings={"promotion_id": "Promotion", "is_ahead": "Not over"},
)

STORE = Exhibit(
    "store",
    "Store",
    "What a source says of the store, and its sales of all time.",
    """
    select store_id, name, city, state, country, first_sold_on, last_sold_on, n_orders, net_sales
    from core.stores
    where store_id = {id}
    """,
    "store_id:store name:text city:text state:text country:country first_sold_on:date last_sold_on:date n_orders:count "
    "net_sales:money",
    ("core.stores",),
    (),
)

COUNTRY = Exhibit(
    "country",
    "Country",
    "Net sales and orders of all time.",
    """
    select country, count(*) filter (has_sale) as n_orders, sum(net_sales) as net_sales
    from core.orders
    where country = {id}
    group by 1
    """,
    "country:country n_orders:count net_sales:money",
    ("core.orders",),
    (),
)

STORE_STOCK = Exhibit(
    "store_stock",
    "What to order",
    "Products of the store at or below their reorder point first, then those that last least; what to order fills up to the "
    "target.",
    """
    select a.product_id, p.description, a.on_hand, a.daily_demand, a.days_of_stock_left, a.reorder_point, a.order_quantity,
        a.reorder_now
    from predictions.stock_advice as a
    left join core.products as p on p.product_id = a.product_id
    where a.store_id = {id}
    order by a.reorder_now desc nulls last, a.days_of_stock_left nulls last, a.product_id
    limit 1000
    """,
    "product_id:product description:text on_hand:count daily_demand:number days_of_stock_left:days reorder_point:number "
    "order_quantity:count reorder_now:flag",
    ("predictions.stock_advice",),
    (),
    headings={"product_id": "Code", "description": "Product"},
)

COUNTRY_CUSTOMERS = Exhibit(
    "country_customers",
    "Customers with most net sales",
    "Customers of the country by net sales of all time.",
    """
    select customer_id, n_orders, net_sales, last_ordered_on
    from core.customers
    where country = {id}
    order by net_sales desc, customer_id
    limit 500
    """,
    "customer_id:customer n_orders:count net_sales:money last_ordered_on:date",
    ("core.customers",),
    (),
    headings={"last_ordered_on": "Last order"},
)

COUNTRY_OFFERS = Exhibit(
    "country_offers",
    "What to show there",
    "What is recommended to whoever comes from the country and is not known, the best first.",
    """
    select r.place, r.product_id, p.description
    from predictions.product_recommendations as r
    left join core.products as p on p.product_id = r.product_id
    where r.kind = 'country' and r.scope = {id}
    order by r.place
    """,
    "place:count product_id:product description:text",
    ("predictions.product_recommendations",),
    (),
    headings={"product_id": "Code", "description": "Product"},
)

NEAREST = {
    "customer": "select customer_id as id, customer_id as name, net_sales from core.customers",
    "product": "select product_id as id, coalesce(description, product_id) as name, net_sales from core.products "
    "where not is_service",
    "store": "select store_id as id, coalesce(name, city, store_id) as name, net_sales from core.stores",
    "country": "select country as id, country as name, sum(net_sales) as net_sales from core.orders "
    "where country is not null group by country",
}


def _choice(kind: str) -> Exhibit:
    """Return the exhibit from which one is chosen: those that hold ``{text}``, by net sales."""
    return Exhibit(
        f"{kind}_choice",
        f"Choose a {kind}",
        f"The {kind}s whose code or name holds the text, those with most net sales first.",
        f"""
        select id, name, net_sales
        from ({NEAREST[kind]}) as known
        where contains(lower(id), lower({{text}})) or contains(lower(name), lower({{text}}))
        order by net_sales desc, id
        limit 200
        """,
        f"id:{kind} name:{'customer' if kind == 'customer' else 'text'} net_sales:money",
        (
            {
                "customer": "core.customers",
                "product": "core.products",
                "store": "core.stores",
                "country": "core.orders",
            }[kind],
        ),
        (),
        headings={"id": kind.capitalize(), "name": "Name"},
    )


CHOICES = {kind: _choice(kind) for kind in NEAREST}
"""Kind → the exhibit from which one is chosen."""
