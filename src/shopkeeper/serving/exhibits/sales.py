"""What was sold: money, orders and customers over time, and by place, category and product."""

from shopkeeper.serving.exhibits.exhibit import Exhibit

SALES = ("metrics.daily_sales",)
NET_SALES = "Net sales are gross sales less discounts and returns."

TOTALS = Exhibit(
    "totals",
    "The period in figures",
    f"{NET_SALES} Orders are those with a sale; customers are those known who bought; the average order is net sales by "
    f"orders; the return rate is returns by gross sales.",
    """
    with money as (
        select sum(gross_sales) as gross_sales, sum(discounts) as discounts, sum(returns) as returns,
            sum(net_sales) as net_sales, sum(n_units) as n_units
        from {days} as days
    ),
    counts as (
        select count(*) filter (has_sale) as n_orders, count(distinct customer_id) filter (has_sale) as n_customers
        from {orders} as orders
    )
    select net_sales, gross_sales, discounts, returns, n_units, n_orders, n_customers,
        net_sales / nullif(n_orders, 0) as net_sales_per_order,
        cast(-returns as double) / nullif(cast(gross_sales as double), 0) as return_rate
    from money, counts
    """,
    "net_sales:money gross_sales:money discounts:money returns:money n_units:count n_orders:count n_customers:count "
    "net_sales_per_order:money return_rate:share",
    SALES,
    headings={"net_sales_per_order": "Average order"},
)

OVER_TIME = Exhibit(
    "sales_over_time",
    "Net sales and customers over time",
    f"{NET_SALES} Customers are the different known ones who bought within each day, week or month, new those whose first order "
    f"ever fell in it. Periods that the data or the filter do not cover whole are marked.",
    """
    with money as (
        select cast(date_trunc({grain}, day) as date) as period_start, sum(net_sales) as net_sales,
            sum(gross_sales) as gross_sales, sum(returns) as returns
        from {days} as days
        group by 1
    ),
    counts as (
        select cast(date_trunc({grain}, orders.ordered_on) as date) as period_start,
            count(*) filter (orders.has_sale) as n_orders,
            count(distinct orders.customer_id) filter (orders.has_sale) as n_customers,
            count(distinct orders.customer_id) filter (
                orders.has_sale and c.first_ordered_on >= date_trunc({grain}, orders.ordered_on)
            ) as n_new_customers
        from {orders} as orders
        left join core.customers as c on c.customer_id = orders.customer_id
        group by 1
    )
    select period_start, coalesce(net_sales, 0) as net_sales, coalesce(n_orders, 0) as n_orders,
        coalesce(n_customers, 0) as n_customers, coalesce(n_new_customers, 0) as n_new_customers,
        net_sales / nullif(n_orders, 0) as net_sales_per_order,
        cast(-returns as double) / nullif(cast(gross_sales as double), 0) as return_rate,
        period_start >= {first_day} and period_start + to_days(case {grain} when 'day' then 1 when 'week' then 7
            else day(last_day(period_start)) end) - interval 1 day <= {last_day} as is_whole
    from money
    full join counts using (period_start)
    order by period_start
    """,
    "period_start:period net_sales:money n_orders:count n_customers:count n_new_customers:count net_sales_per_order:money "
    "return_rate:share is_whole:flag",
    SALES,
    headings={"period_start": "From", "net_sales_per_order": "Average order", "is_whole": "Whole"},
)

GROWTH = Exhibit(
    "growth",
    "Growth of the last whole month",
    "The last calendar month of the period that the data cover whole, against the month before; net sales also against the same "
    "month of the year before.",
    """
    with whole as (
        select max(month_start) as month_start
        from metrics.monthly_sales
        where dimension = 'all' and is_complete and last_day(month_start) <= {last_day}
    ),
    money as (
        select cast(date_trunc('month', day) as date) as month_start, sum(net_sales) as net_sales,
            sum(gross_sales) as gross_sales, sum(returns) as returns
        from {all_days} as days
        group by 1
    ),
    counts as (
        select cast(date_trunc('month', ordered_on) as date) as month_start, count(*) filter (has_sale) as n_orders,
            count(distinct customer_id) filter (has_sale) as n_customers
        from {all_orders} as orders, whole
        where ordered_on between whole.month_start - interval 1 month and last_day(whole.month_start)
        group by 1
    ),
    monthly as (
        select money.month_start, net_sales, coalesce(n_orders, 0) as n_orders, coalesce(n_customers, 0) as n_customers,
            cast(net_sales as double) / nullif(n_orders, 0) as net_sales_per_order,
            cast(-returns as double) / nullif(cast(gross_sales as double), 0) as return_rate
        from money
        left join counts using (month_start)
    )
    select whole.month_start, cast(whole.month_start - interval 1 month as date) as month_before,
        coalesce(now.net_sales, 0) as net_sales, before.net_sales as net_sales_month_before,
        year_before.net_sales as net_sales_year_before,
        case when before.net_sales > 0
            then cast(coalesce(now.net_sales, 0) as double) / cast(before.net_sales as double) - 1 end as growth_on_month,
        case when year_before.net_sales > 0
            then cast(coalesce(now.net_sales, 0) as double) / cast(year_before.net_sales as double) - 1 end as growth_on_year,
        coalesce(now.n_orders, 0) / nullif(before.n_orders, 0) - 1 as growth_of_orders,
        coalesce(now.n_customers, 0) / nullif(before.n_customers, 0) - 1 as growth_of_customers,
        now.net_sales_per_order / nullif(before.net_sales_per_order, 0) - 1 as growth_of_average_order,
        now.return_rate - before.return_rate as change_of_return_rate
    from whole
    left join monthly as now on now.month_start = whole.month_start
    left join monthly as before on before.month_start = whole.month_start - interval 1 month
    left join monthly as year_before on year_before.month_start = whole.month_start - interval 1 year
    where whole.month_start is not null
    """,
    "month_start:month month_before:month net_sales:money net_sales_month_before:money net_sales_year_before:money "
    "growth_on_month:change growth_on_year:change growth_of_orders:change growth_of_customers:change "
    "growth_of_average_order:change change_of_return_rate:points",
    SALES,
)

MONTHLY = Exhibit(
    "monthly_change",
    "Month by month",
    "Each calendar month of the period, whole or not: net sales with the change on the month before and on the same month of "
    "the year before, orders, customers who bought, average order, and returns by gross sales.",
    """
    with monthly as (
        select cast(date_trunc('month', day) as date) as month_start, sum(net_sales) as net_sales,
            sum(gross_sales) as gross_sales, sum(returns) as returns
        from {all_days} as days
        group by 1
    ),
    counts as (
        select cast(date_trunc('month', ordered_on) as date) as month_start, count(*) filter (has_sale) as n_orders,
            count(distinct customer_id) filter (has_sale) as n_customers
        from {all_orders} as orders
        group by 1
    )
    select m.month_start, m.net_sales,
        case when b.net_sales > 0 then cast(m.net_sales as double) / cast(b.net_sales as double) - 1 end as growth_on_month,
        case when y.net_sales > 0 then cast(m.net_sales as double) / cast(y.net_sales as double) - 1 end as growth_on_year,
        coalesce(c.n_orders, 0) as n_orders, coalesce(c.n_customers, 0) as n_customers,
        m.net_sales / nullif(c.n_orders, 0) as net_sales_per_order,
        cast(-m.returns as double) / nullif(cast(m.gross_sales as double), 0) as return_rate,
        m.month_start in (select month_start from metrics.monthly_sales where dimension = 'all' and is_complete) as is_complete
    from monthly as m
    left join counts as c on c.month_start = m.month_start
    left join monthly as b on b.month_start = m.month_start - interval 1 month
    left join monthly as y on y.month_start = m.month_start - interval 1 year
    where m.month_start between date_trunc('month', {first_day}) and {last_day}
    order by m.month_start desc
    """,
    "month_start:month net_sales:money growth_on_month:change growth_on_year:change n_orders:count n_customers:count "
    "net_sales_per_order:money return_rate:share is_complete:flag",
    SALES,
    headings={
        "month_start": "Month",
        "growth_on_month": "On month before",
        "growth_on_year": "On year before",
        "net_sales_per_order": "Average order",
        "is_complete": "Whole month",
    },
)

TOP_PRODUCTS = Exhibit(
    "top_products",
    "Top products",
    f"The goods with most net sales in the period. {NET_SALES}",
    """
    select days.member as product_id, coalesce(p.description, days.member) as description,
        sum(days.net_sales) as net_sales, sum(days.n_units) as n_units
    from {products} as days
    inner join core.products as p on p.product_id = days.member
    where not p.is_service
    group by all
    order by sum(days.net_sales) desc, product_id
    limit 200
    """,
    "product_id:product description:text net_sales:money n_units:count",
    SALES,
    headings={"product_id": "Code", "description": "Product"},
)


def _by_place(name: str, title: str, relation: str, unit: str, words: str) -> Exhibit:
    return Exhibit(
        name,
        title,
        f"Net sales of the period {words}, and each one's share of them all.",
        f"""
        select member as {unit}, sum(net_sales) as net_sales,
            cast(sum(net_sales) as double) / nullif(cast(sum(sum(net_sales)) over () as double), 0) as share,
            cast(-sum(returns) as double) / nullif(cast(sum(gross_sales) as double), 0) as return_rate
        from {{{relation}}} as days
        group by member
        order by net_sales desc, {unit}
        """,
        f"{unit}:{unit if unit != 'state' else 'text'} net_sales:money share:share return_rate:share",
        SALES,
    )


BY_COUNTRY = _by_place("by_country", "Net sales by country", "countries", "country", "by country")
BY_STATE = _by_place("by_state", "Net sales by state", "states", "state", "by the store's state")
BY_STORE = _by_place("by_store", "Net sales by store", "stores", "store", "by store")
BY_CATEGORY = _by_place("by_category", "Net sales by category", "categories", "category", "by category")


def _by_month(name: str, relation: str, unit: str) -> Exhibit:
    return Exhibit(
        name,
        f"{unit.capitalize()} by month",
        f"Net sales of each {unit} in each month of the period; the {unit} with most first.",
        f"""
        with placed as (
            select member, row_number() over (order by sum(net_sales) desc, member) as place
            from {{{relation}}} as days
            group by member
        )
        select days.member as {unit}, cast(date_trunc('month', day) as date) as month_start, sum(net_sales) as net_sales, place
        from {{{relation}}} as days
        inner join placed on placed.member = days.member and place <= 15
        group by all
        order by place, month_start
        """,
        f"{unit}:{unit if unit != 'state' else 'text'} month_start:month net_sales:money place:count",
        SALES,
    )


COUNTRY_BY_MONTH = _by_month("country_by_month", "countries", "country")
STATE_BY_MONTH = _by_month("state_by_month", "states", "state")
STORE_BY_MONTH = _by_month("store_by_month", "stores", "store")

COLUMN_OF = {"country": "lines.country", "state": "stores.state", "store": "lines.store_id"}


def _top_location(unit: str) -> Exhibit:
    return Exhibit(
        f"top_{unit}_by_category",
        f"Top {unit} by category",
        f"For each category, the {unit} with most net sales in the period, and its share of the category.",
        f"""
        with sold as (
            select coalesce(lines.category, 'unknown') as category, coalesce({COLUMN_OF[unit]}, 'unknown') as {unit},
                coalesce(sum(net_amount) filter (line_kind in ('sale', 'discount', 'cancellation', 'return')), 0) as net_sales
            from {{lines}} as lines
            left join core.stores as stores on stores.store_id = lines.store_id
            group by 1, 2
        ),
        placed as (
            select *, sum(net_sales) over (partition by category) as of_category,
                row_number() over (partition by category order by net_sales desc, {unit}) as place
            from sold
        )
        select category, {unit}, net_sales,
            cast(net_sales as double) / nullif(cast(of_category as double), 0) as share
        from placed
        where place = 1 and of_category > 0
        order by of_category desc, category
        """,
        f"category:category {unit}:{unit if unit != 'state' else 'text'} net_sales:money share:share",
        SALES,
        headings={"share": "Share of category"},
    )


TOP_COUNTRY = _top_location("country")
TOP_STATE = _top_location("state")
TOP_STORE = _top_location("store")

_MOVED = """
    with whole as (
        select max(month_start) as month_start
        from metrics.monthly_sales
        where dimension = 'all' and is_complete and last_day(month_start) <= {last_day}
    ),
    sold as (
        select o.customer_id, whole.month_start,
            sum(o.net_sales) filter (o.ordered_on >= whole.month_start) as now,
            sum(o.net_sales) filter (o.ordered_on < whole.month_start) as before,
            coalesce(bool_or(o.has_sale) filter (o.ordered_on >= whole.month_start), false) as bought_now,
            coalesce(bool_or(o.has_sale) filter (o.ordered_on < whole.month_start), false) as bought_before
        from {all_orders} as o, whole
        where o.ordered_on between whole.month_start - interval 1 month and last_day(whole.month_start)
        group by 1, 2
    ),
    told as (
        select coalesce(now, 0) as now, coalesce(before, 0) as before, sold.customer_id,
            case
                when sold.customer_id is null then 'guests'
                when bought_now and c.first_ordered_on >= sold.month_start then 'new'
                when bought_now and not bought_before then 'returning'
                when bought_now then 'staying'
                when bought_before then 'lost'
                else 'returns only'
            end as kind,
            sold.month_start
        from sold
        left join core.customers as c on c.customer_id = sold.customer_id
    )
"""

NEW_AND_OLD = Exhibit(
    "growth_by_customers",
    "Where last month's growth came from",
    "Net sales of the last whole month less those of the month before, by what each customer did: new ones bought for the "
    "first time ever, returning ones had bought before but not in the month before, staying ones bought in both, lost ones "
    "bought in the month before only. The parts add up to the growth.",
    f"""
    {_MOVED}
    select month_start, kind, count(customer_id) as n_customers, sum(before) as net_sales_month_before,
        sum(now) as net_sales, sum(now) - sum(before) as change,
        sum(sum(before)) over () as total_month_before, sum(sum(now)) over () as total
    from told
    group by 1, 2
    order by list_position(['new', 'returning', 'staying', 'lost', 'returns only', 'guests'], kind)
    """,
    "month_start:month kind:text n_customers:count net_sales_month_before:money net_sales:money change:gain "
    "total_month_before:money total:money",
    SALES,
    headings={"kind": "Customers who are", "n_customers": "Customers"},
)

GROWTH_PARTS = Exhibit(
    "growth_parts",
    "New and old customers' part in last month's growth",
    "Net sales of the last whole month less those of the month before: what new customers brought, who bought for the first time "
    "ever; what customers known before brought more or less than the month before, those who stayed away among them; and guests, "
    "whom nobody knows. The parts add up to the growth.",
    f"""
    {_MOVED},
    parts as (
        select month_start, sum(now) - sum(before) as change,
            coalesce(sum(now - before) filter (kind = 'new'), 0) as by_new,
            coalesce(sum(now - before) filter (kind not in ('new', 'guests')), 0) as by_old,
            coalesce(sum(now - before) filter (kind = 'guests'), 0) as by_guests,
            coalesce(cast(sum(now) filter (kind = 'new') as double) / nullif(cast(sum(now) as double), 0), 0) as share_of_new
        from told
        group by 1
    )
    select *, cast(by_new as double) / nullif(cast(change as double), 0) as part_of_new,
        cast(by_old as double) / nullif(cast(change as double), 0) as part_of_old,
        cast(by_guests as double) / nullif(cast(change as double), 0) as part_of_guests
    from parts
    """,
    "month_start:month change:gain by_new:gain by_old:gain by_guests:gain share_of_new:share part_of_new:share "
    "part_of_old:share part_of_guests:share",
    SALES,
    headings={"by_new": "New customers", "by_old": "Known customers", "by_guests": "Guests", "change": "Growth"},
)

NEW_AND_OLD_OVER_TIME = Exhibit(
    "new_and_old_over_time",
    "New and old customers over time",
    "Net sales of each month by customers whose first order ever fell in it (new), by those who had bought before (old), and by "
    "guests, who are not known.",
    """
    select cast(date_trunc('month', o.ordered_on) as date) as month_start,
        case when o.customer_id is null then 'guests'
            when c.first_ordered_on >= date_trunc('month', o.ordered_on) then 'new' else 'old' end as kind,
        count(distinct o.customer_id) filter (o.has_sale) as n_customers, sum(o.net_sales) as net_sales
    from {orders} as o
    left join core.customers as c on c.customer_id = o.customer_id
    group by 1, 2
    order by 1, 2
    """,
    "month_start:month kind:text n_customers:count net_sales:money",
    SALES,
    headings={"kind": "Customers"},
)

TRAFFIC_TOTALS = Exhibit(
    "traffic_totals",
    "Visits in figures",
    "Revenue of purchase events; visitors are different known ones; conversion is the share of visits with a purchase.",
    """
    select sum(revenue) as revenue, sum(n_sessions) as n_sessions,
        (
            select count(distinct customer_id)
            from core.sessions
            where started_on between {first_day} and {last_day}
        ) as n_visitors,
        sum(n_sessions_with_purchase) as n_sessions_with_purchase,
        cast(sum(n_sessions_with_purchase) as double) / nullif(sum(n_sessions), 0) as conversion
    from metrics.daily_traffic
    where day between {first_day} and {last_day}
    """,
    "revenue:money n_sessions:count n_visitors:count n_sessions_with_purchase:count conversion:share",
    ("metrics.daily_traffic",),
    ("period",),
    headings={"n_sessions": "Visits", "n_sessions_with_purchase": "Visits with a purchase"},
)

TRAFFIC_OVER_TIME = Exhibit(
    "traffic_over_time",
    "Revenue and visits over time",
    "Revenue of purchase events and visits begun, within each day, week or month.",
    """
    select cast(date_trunc({grain}, day) as date) as period_start, sum(revenue) as revenue, sum(n_sessions) as n_sessions,
        cast(sum(n_sessions_with_purchase) as double) / nullif(sum(n_sessions), 0) as conversion,
        period_start >= {first_day} and period_start + to_days(case {grain} when 'day' then 1 when 'week' then 7
            else day(last_day(period_start)) end) - interval 1 day <= {last_day} as is_whole
    from metrics.daily_traffic
    where day between {first_day} and {last_day}
    group by 1
    order by 1
    """,
    "period_start:period revenue:money n_sessions:count conversion:share is_whole:flag",
    ("metrics.daily_traffic",),
    ("period",),
    headings={"period_start": "From", "n_sessions": "Visits", "is_whole": "Whole"},
)
