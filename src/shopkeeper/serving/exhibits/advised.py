"""What is advised as of the version, as a report lists it: segments, what to reorder, prices to change, whom to write to."""

from shopkeeper.serving.exhibits.exhibit import Exhibit

N_LISTED = 12

SEGMENTS = Exhibit(
    "segment_rules",
    "Segments",
    "Groups of customers by what they do, each one rule; with their share of customers and of net sales, and what share of "
    "customers they are expected to be a month on.",
    """
    select segment_name, n_customers, share, share_of_sales, expected_share_next_month, rule_words, profile, rule_sql, as_of
    from predictions.segments
    order by share_of_sales desc nulls last, segment
    """,
    "segment_name:text n_customers:count share:share share_of_sales:share expected_share_next_month:share rule_words:text "
    "profile:text rule_sql:text as_of:date",
    ("predictions.segments",),
    (),
    headings={
        "segment_name": "Segment",
        "rule_words": "Who is in it",
        "expected_share_next_month": "Expected next month",
    },
)

REORDER_TOTALS = Exhibit(
    "reorder_advice_totals",
    "What to reorder, in figures",
    "Products at or below the point at which to order, and their worth at the last regular price; where nobody tells the stock, "
    "the products that a review period sells.",
    """
    select count(*) filter (reorder_now) as n_to_reorder,
        count(*) filter (reorder_now is null and order_quantity > 0) as n_without_stock,
        count(*) as n_products, max(as_of) as as_of
    from predictions.stock_advice
    """,
    "n_to_reorder:count n_without_stock:count n_products:count as_of:date",
    ("predictions.stock_advice",),
    (),
)

REORDER = Exhibit(
    "reorder_advice",
    "What to reorder",
    "Products whose stock is at or below the reorder point, the first to run out first; where no stock is known, those of which "
    "a review period sells most money. The order quantity fills up to what lead time and review period are expected to "
    "sell, with the safety that the service level asks for.",
    f"""
    with priced as (
        select product_id, max(unit_price) as price
        from (
            select product_id, unit_price, row_number() over (
                partition by product_id order by ordered_at desc, order_line_id desc
            ) as place
            from core.order_lines
            where line_kind = 'sale'
        )
        where place = 1
        group by 1
    )
    select a.product_id, coalesce(p.description, a.product_id) as description, a.store_id, a.on_hand, a.days_of_stock_left,
        a.daily_demand, a.order_quantity, a.order_quantity * priced.price as order_worth
    from predictions.stock_advice as a
    left join core.products as p on p.product_id = a.product_id
    left join priced on priced.product_id = a.product_id
    where coalesce(a.reorder_now, a.order_quantity > 0)
    order by a.reorder_now is null, a.days_of_stock_left nulls last, order_worth desc nulls last,
        a.order_quantity desc, a.product_id, a.store_id
    limit {N_LISTED}
    """,
    "product_id:product description:text store_id:store on_hand:count days_of_stock_left:days daily_demand:number "
    "order_quantity:count order_worth:money",
    ("predictions.stock_advice",),
    (),
    headings={
        "product_id": "Code",
        "description": "Product",
        "store_id": "Store",
        "on_hand": "In stock",
        "days_of_stock_left": "Days left",
        "daily_demand": "Sells a day",
        "order_quantity": "Order",
        "order_worth": "At the last price",
    },
)

PRICE_TOTALS = Exhibit(
    "price_totals",
    "Prices to change, in figures",
    "Price lists with advice to raise or lower that is sure: the gain is above nought over the elasticity's whole 95 % interval. "
    "The gain a day is of profit where the unit cost is known, else of revenue.",
    """
    select count(*) filter (action = 'raise' and is_sure) as n_to_raise,
        count(*) filter (action = 'lower' and is_sure) as n_to_lower,
        count(*) filter (action in ('raise', 'lower') and not is_sure) as n_unsure,
        sum(coalesce(profit_change * profit_per_day, revenue_change * revenue_per_day))
            filter (action in ('raise', 'lower') and is_sure) as gain_per_day,
        max(as_of) as as_of
    from predictions.price_advice
    """,
    "n_to_raise:count n_to_lower:count n_unsure:count gain_per_day:money as_of:date",
    ("predictions.price_advice",),
    (),
)

PRICES = Exhibit(
    "price_advice_to_take",
    "Prices to change",
    "The sure advice that brings most a day: of profit where the unit cost is known, else of revenue; with the range that the "
    "elasticity's error alone allows. A price list is standard, for those charged more (high), or for large quantities (bulk).",
    f"""
    select a.product_id, coalesce(p.description, a.product_id) as description, a.channel, a.price, a.advised_price,
        a.advised_price / nullif(a.price, 0) - 1 as price_change,
        coalesce(a.profit_change * a.profit_per_day, a.revenue_change * a.revenue_per_day) as gain_per_day,
        coalesce(a.profit_change_low * a.profit_per_day, a.revenue_change_low * a.revenue_per_day) as gain_low,
        coalesce(a.profit_change_high * a.profit_per_day, a.revenue_change_high * a.revenue_per_day) as gain_high,
        a.reason
    from predictions.price_advice as a
    left join core.products as p on p.product_id = a.product_id
    where a.action in ('raise', 'lower') and a.is_sure
    order by gain_per_day desc nulls last, a.product_id, a.channel
    limit {N_LISTED}
    """,
    "product_id:product description:text channel:text price:price advised_price:price price_change:change gain_per_day:money "
    "gain_low:money gain_high:money reason:text",
    ("predictions.price_advice",),
    (),
    headings={
        "product_id": "Code",
        "description": "Product",
        "channel": "Price list",
        "price": "Now",
        "advised_price": "Advised",
        "price_change": "Change",
        "gain_per_day": "Gain a day",
        "gain_low": "At least",
        "gain_high": "At most",
    },
)

CHURN = Exhibit(
    "churn_bands",
    "Who may stay away",
    "Customers by the calibrated chance that they order nothing within the horizon, and the spending expected of them that is at "
    "risk: lifetime value times that chance.",
    """
    select case when churn_probability >= .75 then 'very likely (75 % and more)' when churn_probability >= .5 then
            'likely (50 to 75 %)' when churn_probability >= .25 then 'possible (25 to 50 %)' else 'unlikely (below 25 %)' end
            as chance,
        count(*) as n_customers, sum(value_at_risk) as value_at_risk, max(horizon_days) as horizon_days, max(as_of) as as_of,
        min(churn_probability) >= .5 as is_likely
    from predictions.churn_scores
    group by 1
    order by min(churn_probability) desc
    """,
    "chance:text n_customers:count value_at_risk:money horizon_days:days as_of:date is_likely:flag",
    ("predictions.churn_scores",),
    (),
    headings={"chance": "Chance to stay away", "n_customers": "Customers"},
)

WRITE_TO = Exhibit(
    "write_to",
    "Whom to write to",
    "Customers who are likelier than not to stay away, those with most value at risk first, and what speaks most for it.",
    """
    select s.customer_id, s.churn_probability, s.value_at_risk, s.expected_next_order_on, s.reasons
    from predictions.churn_scores as s
    where s.churn_probability >= .5
    order by s.value_at_risk desc nulls last, s.risk_rank, s.customer_id
    limit 25
    """,
    "customer_id:customer churn_probability:share value_at_risk:money expected_next_order_on:date reasons:personal",
    ("predictions.churn_scores",),
    (),
    headings={
        "customer_id": "Customer",
        "churn_probability": "Chance to stay away",
        "expected_next_order_on": "Next order by",
    },
)

BALANCE = Exhibit(
    "ledger_balance",
    "The ledger",
    "Identities of rows and money that hold in every build, or it is not published: how many were checked, and how many do not "
    "balance.",
    """
    select rule, count(*) as n_checked, count(*) filter (difference <> 0) as n_broken
    from metrics.ledger
    group by 1
    order by n_broken desc, rule
    """,
    "rule:text n_checked:count n_broken:count",
    ("metrics.ledger",),
    (),
    headings={"rule": "What must hold", "n_checked": "Checked", "n_broken": "Broken"},
)
