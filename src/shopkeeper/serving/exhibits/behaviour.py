"""What visitors did: traffic, the way from view to purchase, when they come and buy, what precedes a purchase, who comes back.

Visitors of a period are the different known ones of the visits that began in it; sums over days come from the marts.
"""

from shopkeeper.serving.exhibits.exhibit import Exhibit

TRAFFIC, FUNNELS = ("metrics.daily_traffic",), ("metrics.funnel",)
PERIOD = ("period",)
WHOLE = (
    "period_start >= {first_day} and period_start + to_days(case {grain} when 'day' then 1 when 'week' then 7 "
    "else day(last_day(period_start)) end) - interval 1 day <= {last_day} as is_whole"
)

TOTALS = Exhibit(
    "behaviour_totals",
    "Visits in figures",
    "Visits begun in the period, and the different known visitors who made them; new visitors were never seen before. "
    "Conversion is "
    "the share of visits with a purchase, bounce the share with a single event. Revenue is price times quantity of "
    "purchase events.",
    """
    with traffic as (
        select sum(n_sessions) as n_sessions, sum(n_bounces) as n_bounces, sum(n_sessions_with_purchase) as n_buying,
            sum(n_new_customers) as n_new_visitors, sum(revenue) as revenue,
            sum(seconds_per_session * n_sessions) as seconds
        from metrics.daily_traffic
        where day between {first_day} and {last_day}
    ),
    visitors as (
        select count(distinct customer_id) as n_visitors
        from core.sessions
        where started_on between {first_day} and {last_day}
    )
    select n_sessions, n_visitors, n_new_visitors, n_buying as n_sessions_with_purchase,
        n_buying / nullif(n_sessions, 0) as conversion, n_bounces / nullif(n_sessions, 0) as bounce_rate,
        cast(seconds as double) / nullif(n_sessions, 0) / 60 as minutes_per_session, revenue,
        revenue / nullif(n_visitors, 0) as revenue_per_visitor
    from traffic, visitors
    """,
    "n_sessions:count n_visitors:count n_new_visitors:count n_sessions_with_purchase:count conversion:share bounce_rate:share "
    "minutes_per_session:number revenue:money revenue_per_visitor:price",
    TRAFFIC,
    PERIOD,
    headings={
        "n_sessions": "Visits",
        "n_sessions_with_purchase": "Visits with a purchase",
        "bounce_rate": "Bounce",
        "minutes_per_session": "Minutes per visit",
    },
)

OVER_TIME = Exhibit(
    "behaviour_over_time",
    "Visits over time",
    "Visits begun, the different known visitors who made them, of these the new ones, conversion, bounce, and revenue, "
    "within each "
    "day, week or month. Periods that the data or the filter do not cover whole are marked.",
    f"""
    with traffic as (
        select cast(date_trunc({{grain}}, day) as date) as period_start, sum(n_sessions) as n_sessions,
            sum(n_bounces) as n_bounces, sum(n_sessions_with_purchase) as n_buying, sum(n_new_customers) as n_new_visitors,
            sum(revenue) as revenue
        from metrics.daily_traffic
        where day between {{first_day}} and {{last_day}}
        group by 1
    ),
    visitors as (
        select cast(date_trunc({{grain}}, started_on) as date) as period_start, count(distinct customer_id) as n_visitors
        from core.sessions
        where started_on between {{first_day}} and {{last_day}}
        group by 1
    )
    select period_start, n_sessions, coalesce(n_visitors, 0) as n_visitors, n_new_visitors,
        greatest(coalesce(n_visitors, 0) - n_new_visitors, 0) as n_returning_visitors,
        n_buying / nullif(n_sessions, 0) as conversion, n_bounces / nullif(n_sessions, 0) as bounce_rate, revenue,
        revenue / nullif(n_visitors, 0) as revenue_per_visitor,
        {WHOLE}
    from traffic
    left join visitors using (period_start)
    order by period_start
    """,
    "period_start:period n_sessions:count n_visitors:count n_new_visitors:count n_returning_visitors:count conversion:share "
    "bounce_rate:share revenue:money revenue_per_visitor:price is_whole:flag",
    TRAFFIC,
    PERIOD,
    headings={"period_start": "From", "n_sessions": "Visits", "bounce_rate": "Bounce", "is_whole": "Whole"},
)

FUNNEL = Exhibit(
    "funnel",
    "From view to purchase",
    "Visits that viewed a product; of these, those that also put something into the cart; of these, those that also bought. In "
    "whatever order within the visit, so no step is larger than the one before.",
    """
    with steps as (
        select sum(n_with_view) as n_view, sum(n_view_to_cart) as n_cart, sum(n_view_to_cart_to_purchase) as n_purchase
        from metrics.funnel
        where day between {first_day} and {last_day}
    ),
    told as (
        select 1 as place, 'view' as step, n_view as n_sessions, null as n_before, n_view from steps
        union all
        select 2, 'cart', n_cart, n_view, n_view from steps
        union all
        select 3, 'purchase', n_purchase, n_cart, n_view from steps
    )
    select step, n_sessions, n_sessions / nullif(n_before, 0) as share_of_step_before,
        n_sessions / nullif(n_view, 0) as share_of_views
    from told
    order by place
    """,
    "step:text n_sessions:count share_of_step_before:share share_of_views:share",
    FUNNELS,
    PERIOD,
    headings={"n_sessions": "Visits", "share_of_views": "Share of visits with a view"},
)

FUNNEL_OVER_TIME = Exhibit(
    "funnel_over_time",
    "The way to a purchase over time",
    "Of visits with a view, the share that put something into the cart; of those, the share that bought; and the two together.",
    f"""
    select cast(date_trunc({{grain}}, day) as date) as period_start,
        sum(n_view_to_cart) / nullif(sum(n_with_view), 0) as cart_rate,
        sum(n_view_to_cart_to_purchase) / nullif(sum(n_view_to_cart), 0) as purchase_rate,
        sum(n_view_to_cart_to_purchase) / nullif(sum(n_with_view), 0) as view_to_purchase_rate,
        {WHOLE}
    from metrics.funnel
    where day between {{first_day}} and {{last_day}}
    group by 1
    order by 1
    """,
    "period_start:period cart_rate:share purchase_rate:share view_to_purchase_rate:share is_whole:flag",
    FUNNELS,
    PERIOD,
    headings={
        "period_start": "From",
        "cart_rate": "View to cart",
        "purchase_rate": "Cart to purchase",
        "view_to_purchase_rate": "View to purchase",
        "is_whole": "Whole",
    },
)

ACTIVITY = Exhibit(
    "active_visitors",
    "Active visitors a day",
    "Different known visitors with any event on each day; of these the new ones, whose first event ever falls on it; "
    "and the mean "
    "of the 7 days that end with it.",
    """
    with told as (
        select day, n_customers as n_active, n_new_customers as n_new_visitors,
            n_customers - n_new_customers as n_returning_visitors,
            avg(n_customers) over (order by day range between interval 6 days preceding and current row) as mean_7d
        from metrics.daily_traffic
    )
    select *
    from told
    where day between {first_day} and {last_day}
    order by day
    """,
    "day:date n_active:count n_new_visitors:count n_returning_visitors:count mean_7d:number",
    TRAFFIC,
    PERIOD,
    headings={"n_active": "Active visitors", "mean_7d": "Mean of 7 days"},
)

DAILY_ACTIVITY = Exhibit(
    "daily_activity",
    "Active visitors by what they did",
    "Different known visitors with an event of each type on a day, on average over the days of the period, and the "
    "events of that "
    "type in all.",
    """
    select event_type, sum(n_events) as n_events,
        sum(n_customers) / ({last_day} - {first_day} + 1) as n_visitors_per_day, sum(revenue) as revenue
    from metrics.daily_activity
    where event_type != 'all' and day between {first_day} and {last_day}
    group by event_type
    order by n_events desc, event_type
    """,
    "event_type:text n_events:count n_visitors_per_day:number revenue:money",
    ("metrics.daily_activity",),
    PERIOD,
    headings={"event_type": "Type", "n_visitors_per_day": "Visitors a day"},
)

BY_HOUR = Exhibit(
    "by_hour",
    "By weekday and hour",
    "Events, purchases and their revenue by weekday and hour of the shop's clock, over the period; a day's mean is over all such "
    "weekdays in it.",
    """
    with counted as (
        select isodow(occurred_on) as iso_weekday, occurred_hour as hour, count(*) as n_events,
            count(*) filter (event_type = 'purchase') as n_purchases,
            coalesce(sum(revenue) filter (event_type = 'purchase'), 0) as revenue
        from core.events
        where occurred_on between {first_day} and {last_day} and not is_duplicate
        group by 1, 2
    ),
    days as (
        select isodow({first_day} + cast(range as integer)) as iso_weekday, count(*) as n_days
        from range({last_day} - {first_day} + 1)
        group by 1
    )
    select iso_weekday, hour, n_events, n_purchases, revenue, n_events / n_days as n_events_per_day,
        n_purchases / n_days as n_purchases_per_day, revenue / n_days as revenue_per_day
    from counted
    inner join days using (iso_weekday)
    order by iso_weekday, hour
    """,
    "iso_weekday:weekday hour:hour n_events:count n_purchases:count revenue:money n_events_per_day:number "
    "n_purchases_per_day:number revenue_per_day:money",
    TRAFFIC,
    PERIOD,
    headings={
        "iso_weekday": "Weekday",
        "n_events_per_day": "Events a day",
        "n_purchases_per_day": "Purchases a day",
        "revenue_per_day": "Revenue a day",
    },
)

BEFORE_PURCHASE = Exhibit(
    "before_purchase",
    "What precedes a purchase",
    "The type of the event right before each purchase: in the same visit whatever the product, and in the same visit "
    "and of the same "
    "product; none where the purchase came first. Of the months that the period touches, each counted whole.",
    """
    select scope, previous_event_type, sum(n_purchases) as n_purchases,
        sum(n_purchases) / sum(sum(n_purchases)) over (partition by scope) as share
    from metrics.event_before_purchase
    where month_start between date_trunc('month', {first_day}) and {last_day}
    group by scope, previous_event_type
    order by scope, n_purchases desc, previous_event_type
    """,
    "scope:text previous_event_type:text n_purchases:count share:share",
    ("metrics.event_before_purchase",),
    PERIOD,
    headings={"previous_event_type": "The event before"},
)

RETENTION = Exhibit(
    "visitor_retention",
    "Who comes back",
    "Visitors by the month in which they were first seen, and the share of them with an event so many months later. "
    "Cohorts whose "
    "month the period touches.",
    """
    select cohort_month, months_since, n_customers, n_active, retention
    from metrics.visitor_retention
    where cohort_month between date_trunc('month', {first_day}) and {last_day}
    order by cohort_month, months_since
    """,
    "cohort_month:month months_since:count n_customers:count n_active:count retention:share",
    ("metrics.visitor_retention",),
    PERIOD,
    headings={
        "cohort_month": "First seen",
        "months_since": "Months later",
        "n_customers": "Visitors",
        "n_active": "Active",
    },
)

PRODUCTS = Exhibit(
    "behaviour_by_product",
    "Products, from view to purchase",
    "Views, additions to the cart and purchases of each product in the period, and how many purchases come on a view. The most "
    "viewed first: many views with few purchases want a look at price, picture or stock.",
    """
    select product_id, min(coalesce(p.description, e.category_code, e.brand)) as description,
        count(*) filter (event_type = 'view') as n_views, count(*) filter (event_type = 'cart') as n_carts,
        count(*) filter (event_type = 'purchase') as n_purchases,
        n_purchases / nullif(n_views, 0) as purchases_per_view,
        coalesce(sum(e.revenue), 0) as revenue
    from core.events as e
    left join core.products as p using (product_id)
    where product_id is not null and occurred_on between {first_day} and {last_day} and not e.is_duplicate
    group by product_id
    order by n_views desc, product_id
    limit 500
    """,
    "product_id:product description:text n_views:count n_carts:count n_purchases:count purchases_per_view:share revenue:money",
    TRAFFIC,
    PERIOD,
    headings={"product_id": "Code", "description": "Product", "n_carts": "Into the cart"},
)
