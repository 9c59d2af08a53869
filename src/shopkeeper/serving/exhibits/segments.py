"""Behavioural segments: how large they are and what they bring, what their customers are like, and how customers move."""

from shopkeeper.serving.exhibits.customers import CHOSEN, FEATURES, PLACES, SEGMENTS
from shopkeeper.serving.exhibits.exhibit import Exhibit

LIKENESS = {
    "days_since_last_order": "Days since last order",
    "n_orders_90d": "Orders in 90 days",
    "n_orders": "Orders in all",
    "net_sales": "Net sales",
    "sales_per_order": "Sales per order",
    "n_products": "Different products",
    "mean_days_between_orders": "Days between orders",
    "return_share": "Share returned",
}
"""What segments are told apart by on the screen: feature → its words."""
UNITS = {
    "days_since_last_order": "days",
    "mean_days_between_orders": "days",
    "n_orders_90d": "count",
    "n_orders": "count",
    "n_products": "count",
    "net_sales": "money",
    "sales_per_order": "money",
    "return_share": "share",
}
BINS = 24
_VALUES = ", ".join(f"cast(f.{name} as double) as {name}" for name in LIKENESS)
_NAMES = ", ".join(LIKENESS)
_VALUED = f"""
    valued as (
        select customer_id, segment, segment_name, feature, value
        from (
            select c.customer_id, c.segment, c.segment_name, {_VALUES}
            from predictions.customer_segments as c
            inner join features.customer_features as f on f.customer_id = c.customer_id
            where f.n_orders > 0
                and c.customer_id in (select customer_id from predictions.customer_segments where {{customer_fits}})
        )
        unpivot (value for feature in ({_NAMES}))
    )"""

SIZES = Exhibit(
    "segments",
    "Segments, their size and money",
    f"Each customer is in exactly one segment, by a rule. The share expected next month is a forecast of the model, of all "
    f"customers. {CHOSEN}",
    """
    with scored as (select * from predictions.customer_segments where {customer_fits})
    select s.segment, s.segment_name, count(c.customer_id) as n_customers,
        count(c.customer_id) / sum(count(c.customer_id)) over () as share, s.expected_share_next_month,
        sum(f.net_sales) as net_sales,
        cast(sum(f.net_sales) as double) / nullif(cast(sum(sum(f.net_sales)) over () as double), 0) as share_of_sales,
        sum(f.net_sales) / nullif(count(c.customer_id), 0) as net_sales_per_customer, sum(v.lifetime_value) as lifetime_value,
        avg(ch.churn_probability) as mean_churn_probability, avg(c.certainty) as mean_certainty, s.rule_words, s.profile,
        s.rule_sql, s.model_version
    from predictions.segments as s
    left join scored as c on c.segment = s.segment
    left join features.customer_features as f on f.customer_id = c.customer_id
    left join predictions.customer_lifetime_values as v on v.customer_id = c.customer_id
    left join predictions.churn_scores as ch on ch.customer_id = c.customer_id
    group by all
    order by net_sales desc nulls last, s.segment
    """,
    "segment:count segment_name:text n_customers:count share:share expected_share_next_month:share net_sales:money "
    "share_of_sales:share net_sales_per_customer:money lifetime_value:money mean_churn_probability:share mean_certainty:share "
    "rule_words:text profile:text rule_sql:text model_version:text",
    ("predictions.segments", SEGMENTS, FEATURES),
    PLACES,
    headings={
        "segment_name": "Segment",
        "share": "Of customers",
        "expected_share_next_month": "Expected next month",
        "share_of_sales": "Of net sales",
        "net_sales_per_customer": "Net sales each",
        "mean_churn_probability": "Chance to leave",
        "mean_certainty": "Certainty",
        "rule_words": "Rule",
        "rule_sql": "Rule in SQL",
    },
)

PROFILES = Exhibit(
    "segment_profiles",
    "What segments are like",
    "The mean of each segment's customers in standard deviations from the mean of all customers who ordered, which is 0. Values "
    "are taken as logarithms first, as the model takes them, so that a few large ones do not decide. Customers of whom a value "
    f"is not known are left out of it. {CHOSEN}",
    f"""
    with {_VALUED},
    logs as (select *, sign(value) * ln(1 + abs(value)) as told from valued),
    everyone as (select feature, avg(told) as middle, stddev_pop(told) as deviation from logs group by feature)
    select l.segment, l.segment_name, l.feature, (avg(l.told) - e.middle) / nullif(e.deviation, 0) as standard_deviations,
        median(l.value) as median_value, count(*) as n_customers
    from logs as l
    inner join everyone as e on e.feature = l.feature
    where e.deviation > 0
    group by l.segment, l.segment_name, l.feature, e.middle, e.deviation
    order by l.segment, list_position({list(LIKENESS)}, l.feature)
    """,
    "segment:count segment_name:text feature:text standard_deviations:number median_value:number n_customers:count",
    (SEGMENTS, FEATURES),
    PLACES,
    headings={"segment_name": "Segment", "median_value": "Median"},
)

SPREAD = Exhibit(
    "segment_histograms",
    "How customers of each segment are spread",
    f"Customers who ordered, in steps from the 1st to the 99th percentile of all; what lies beyond stands in the first and last "
    f"step. Steps of counts and money grow with their size. {CHOSEN}",
    f"""
    with {_VALUED},
    chosen as (
        select segment, segment_name, value, case when {{is_log}} then sign(value) * ln(1 + abs(value)) else value end as told
        from valued
        where feature = {{feature}}
    ),
    bounds as (select quantile_cont(told, 0.01) as low, quantile_cont(told, 0.99) as high from chosen),
    counted as (
        select segment, segment_name,
            coalesce(cast(greatest(0, least({BINS} - 1, floor({BINS} * (told - low) / nullif(high - low, 0)))) as integer), 0)
                as step,
            count(*) as n_customers
        from chosen, bounds
        group by all
    ),
    steps as (
        select step, low + (high - low) * step / {BINS} as starts, low + (high - low) * (step + 1) / {BINS} as ends
        from (select unnest(range({BINS})) as step), bounds
    )
    select c.segment, c.segment_name, c.step,
        case when {{is_log}} then sign(s.starts) * (exp(abs(s.starts)) - 1) else s.starts end as from_value,
        case when {{is_log}} then sign(s.ends) * (exp(abs(s.ends)) - 1) else s.ends end as to_value,
        c.n_customers, c.n_customers / sum(c.n_customers) over (partition by c.segment) as share
    from counted as c
    inner join steps as s on s.step = c.step
    order by c.segment, c.step
    """,
    "segment:count segment_name:text step:count from_value:number to_value:number n_customers:count share:share",
    (SEGMENTS, FEATURES),
    PLACES,
    headings={"segment_name": "Segment", "share": "Of the segment"},
)

MOVES = Exhibit(
    "segment_migrations",
    "How customers moved",
    "Where the customers of each segment were 30 days before, of all customers of the shop.",
    """
    select m.as_of, m.from_segment, coalesce(f.segment_name, 'not yet a customer') as from_name, m.to_segment,
        t.segment_name as to_name, m.n_customers, m.share
    from predictions.segment_migrations as m
    left join predictions.segments as f on f.segment = m.from_segment
    left join predictions.segments as t on t.segment = m.to_segment
    where m.as_of = coalesce(try_cast({as_of} as date), (select max(as_of) from predictions.segment_migrations))
    order by m.from_segment, m.to_segment
    """,
    "as_of:date from_segment:count from_name:text to_segment:count to_name:text n_customers:count share:share",
    ("predictions.segment_migrations", "predictions.segments"),
    (),
    headings={"from_name": "From", "to_name": "To", "share": "Of those in it before"},
)

OVER_TIME = Exhibit(
    "segment_sizes_over_time",
    "Segments over time",
    "How many customers were in each segment at each moment, 30 days apart, by the rules of today.",
    """
    select m.as_of, m.to_segment as segment, t.segment_name, cast(sum(m.n_customers) as bigint) as n_customers
    from predictions.segment_migrations as m
    left join predictions.segments as t on t.segment = m.to_segment
    group by all
    order by m.as_of, m.to_segment
    """,
    "as_of:date segment:count segment_name:text n_customers:count",
    ("predictions.segment_migrations", "predictions.segments"),
    (),
    headings={"segment_name": "Segment", "as_of": "Moment"},
)

MEMBERS = Exhibit(
    "segment_members",
    "Its customers",
    f"Customers of the segment by net sales so far, at most 500. Certainty is the share of models fitted on resampled "
    f"customers that put them into the same segment. {CHOSEN}",
    """
    select c.customer_id, f.net_sales, f.n_orders, f.days_since_last_order, v.lifetime_value, ch.churn_probability, c.certainty
    from predictions.customer_segments as c
    inner join features.customer_features as f on f.customer_id = c.customer_id
    left join predictions.customer_lifetime_values as v on v.customer_id = c.customer_id
    left join predictions.churn_scores as ch on ch.customer_id = c.customer_id
    where c.segment = {segment} and c.customer_id in (select customer_id from predictions.customer_segments where {customer_fits})
    order by f.net_sales desc nulls last, c.customer_id
    limit 500
    """,
    "customer_id:customer net_sales:money n_orders:count days_since_last_order:days lifetime_value:money churn_probability:share "
    "certainty:share",
    (SEGMENTS, FEATURES),
    PLACES,
    headings={"customer_id": "Customer", "churn_probability": "Chance to leave"},
)

BEHAVIOUR = Exhibit(
    "segment_positions",
    "Customers in three dimensions",
    "Each point is a customer. The axes are the first three principal components of what the segments are made of: days since "
    "the last order, orders of 90 days, orders in all and net sales, each as its logarithm and standardised. Points that lie "
    "near each other behave alike. At most 1,500 customers, drawn by a hash of their ids; nothing is decided by this picture.",
    """
    select c.customer_id, c.segment, c.segment_name, cast(f.days_since_last_order as double) as days_since_last_order,
        cast(f.n_orders_90d as double) as n_orders_90d, cast(f.n_orders as double) as n_orders,
        cast(f.net_sales as double) as net_sales
    from predictions.customer_segments as c
    inner join features.customer_features as f on f.customer_id = c.customer_id
    where f.n_orders > 0 and c.customer_id in (select customer_id from predictions.customer_segments where {customer_fits})
    order by md5(c.customer_id)
    limit 1500
    """,
    "customer_id:customer segment:count segment_name:text days_since_last_order:days n_orders_90d:count n_orders:count "
    "net_sales:money",
    (SEGMENTS, FEATURES),
    PLACES,
)
