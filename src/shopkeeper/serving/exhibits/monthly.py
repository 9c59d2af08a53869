"""One calendar month as a manager reads it: what it brought, what moved, and who bought.

Each exhibit takes ``{month}``, the month's first day. Sums are of marts and orders, so duplicates count as the shop's settings
say.
"""

from shopkeeper.serving.exhibits.exhibit import Exhibit

SALES = ("metrics.monthly_sales",)
MEANING = "Net sales are gross sales less discounts and returns."
N_LISTED = 12

MONTHS = Exhibit(
    "months",
    "Month by month",
    f"{MEANING} Orders are those with a sale; customers are the different known ones who bought; the average order is net sales "
    f"by orders; the return rate is returns by gross sales. Growth compares with the calendar month before and with the same "
    f"month of the year before.",
    """
    select month_start, net_sales, growth_on_month, growth_on_year, net_sales_year_before, n_orders, n_customers,
        net_sales_per_order, return_rate, gross_sales, discounts, returns, is_complete
    from metrics.monthly_sales
    where dimension = 'all' and month_start <= {month} and month_start > {month} - interval 25 month
    order by month_start
    """,
    "month_start:month net_sales:money growth_on_month:change growth_on_year:change net_sales_year_before:money n_orders:count "
    "n_customers:count net_sales_per_order:money return_rate:share gross_sales:money discounts:money returns:money "
    "is_complete:flag",
    SALES,
    (),
    headings={
        "month_start": "Month",
        "growth_on_month": "On month before",
        "growth_on_year": "On year before",
        "net_sales_per_order": "Average order",
        "is_complete": "Whole month",
    },
)

DAYS = Exhibit(
    "days_of_month",
    "Day by day",
    "Net sales of each day of the month, of the same day of the month before, and of the year before; none where nothing was "
    "ordered.",
    """
    select cast(d.day as date) as day, now.net_sales, before.net_sales as net_sales_month_before,
        year_before.net_sales as net_sales_year_before
    from range(cast({month} as timestamp), {month} + interval 1 month, interval 1 day) as d(day)
    left join metrics.daily_sales as now on now.dimension = 'all' and now.day = d.day
    left join metrics.daily_sales as before on before.dimension = 'all' and before.day = d.day - interval 1 month
        and day(before.day) = day(d.day)
    left join metrics.daily_sales as year_before on year_before.dimension = 'all'
        and year_before.day = d.day - interval 1 year and day(year_before.day) = day(d.day)
    order by 1
    """,
    "day:date net_sales:money net_sales_month_before:money net_sales_year_before:money",
    ("metrics.daily_sales",),
    (),
)

PRODUCTS = Exhibit(
    "month_products",
    "Top products",
    f"The goods with most net sales in the month, and how they did against the month before. {MEANING}",
    f"""
    select m.member as product_id, coalesce(p.description, m.member) as description, m.net_sales, m.n_units,
        m.growth_on_month
    from metrics.monthly_sales as m
    inner join core.products as p on p.product_id = m.member
    where m.dimension = 'product' and m.month_start = {{month}} and not p.is_service
    order by m.net_sales desc, product_id
    limit {N_LISTED}
    """,
    "product_id:product description:text net_sales:money n_units:count growth_on_month:change",
    SALES,
    (),
    headings={"product_id": "Code", "description": "Product", "growth_on_month": "On month before"},
)

MOVERS = Exhibit(
    "month_movers",
    "Products that moved most",
    "The six goods whose net sales rose most in money against the month before, and the six that fell most.",
    """
    with moved as (
        select m.member as product_id, coalesce(p.description, m.member) as description, m.net_sales,
            coalesce(m.net_sales_month_before, 0) as net_sales_month_before,
            m.net_sales - coalesce(m.net_sales_month_before, 0) as change
        from metrics.monthly_sales as m
        inner join core.products as p on p.product_id = m.member
        where m.dimension = 'product' and m.month_start = {month} and not p.is_service
    ),
    placed as (
        select *, row_number() over (order by change desc, product_id) as up,
            row_number() over (order by change, product_id) as down
        from moved
    )
    select product_id, description, net_sales_month_before, net_sales, change
    from placed
    where (up <= 6 and change > 0) or (down <= 6 and change < 0)
    order by change desc, product_id
    """,
    "product_id:product description:text net_sales_month_before:money net_sales:money change:money",
    SALES,
    (),
    headings={"product_id": "Code", "description": "Product"},
)


def _by(dimension: str, title: str, label: str = "member") -> Exhibit:
    return Exhibit(
        f"month_by_{dimension}",
        title,
        f"Net sales of the month by {dimension}, each one's share of them all, and the change on the month before in money.",
        f"""
        select member as {dimension}, {label} as label, net_sales,
            cast(net_sales as double) / nullif(cast(sum(net_sales) over () as double), 0) as share,
            growth_on_month, net_sales - coalesce(net_sales_month_before, 0) as change,
            count(*) filter (net_sales <> 0) over () as n_members
        from metrics.monthly_sales
        where dimension = '{dimension}' and month_start = {{month}}
        order by net_sales desc, {dimension}
        limit {N_LISTED}
        """,
        f"{dimension}:{dimension} label:text net_sales:money share:share growth_on_month:change change:money n_members:count",
        SALES,
        (),
        headings={"growth_on_month": "On month before"},
    )


COUNTRIES = _by("country", "Countries")
STORES = _by("store", "Stores", "coalesce((select s.name from core.stores as s where s.store_id = member), member)")
CATEGORIES = _by("category", "Categories")

CUSTOMERS = Exhibit(
    "month_customers",
    "New, returning and lost customers",
    "Net sales of the month less those of the month before, by what customers did: new ones bought for the first time ever, "
    "returning ones had bought before but not in the month before, staying ones bought in both, lost ones bought in the month "
    "before only; the last two kinds are of customers who only gave back, and of guests. The parts add up to the change.",
    """
    with sold as (
        select o.customer_id,
            coalesce(sum(o.net_sales) filter (o.ordered_on >= {month}), 0) as now,
            coalesce(sum(o.net_sales) filter (o.ordered_on < {month}), 0) as before,
            coalesce(bool_or(o.has_sale) filter (o.ordered_on >= {month}), false) as bought_now,
            coalesce(bool_or(o.has_sale) filter (o.ordered_on < {month}), false) as bought_before
        from core.orders as o
        where o.ordered_on >= {month} - interval 1 month and o.ordered_on < {month} + interval 1 month
        group by 1
    ),
    told as (
        select sold.*,
            case
                when sold.customer_id is null then 'guests'
                when bought_now and c.first_ordered_on >= {month} then 'new'
                when bought_now and not bought_before then 'returning'
                when bought_now then 'staying'
                when bought_before then 'lost'
                else 'returns only'
            end as kind
        from sold
        left join core.customers as c on c.customer_id = sold.customer_id
    )
    select kind, count(customer_id) as n_customers, sum(before) as net_sales_month_before, sum(now) as net_sales,
        sum(now) - sum(before) as change
    from told
    group by 1
    order by list_position(['new', 'returning', 'staying', 'lost', 'returns only', 'guests'], kind)
    """,
    "kind:text n_customers:count net_sales_month_before:money net_sales:money change:money",
    ("core.orders",),
    (),
    headings={"kind": "Customers who are", "n_customers": "Customers"},
)


TRAFFIC = Exhibit(
    "traffic_months",
    "Visits month by month",
    "Visitors are the different known ones with an event; visits are sessions begun; conversion is the share of visits with a "
    "purchase; revenue is price by quantity of purchase events.",
    """
    select month_start, revenue, n_sessions, n_customers, n_new_customers, conversion, bounce_rate, revenue_per_visitor
    from metrics.monthly_traffic
    where month_start <= {month} and month_start > {month} - interval 25 month
    order by month_start
    """,
    "month_start:month revenue:money n_sessions:count n_customers:count n_new_customers:count conversion:share bounce_rate:share "
    "revenue_per_visitor:money",
    ("metrics.monthly_traffic",),
    (),
    headings={
        "month_start": "Month",
        "n_sessions": "Visits",
        "n_customers": "Visitors",
        "n_new_customers": "New visitors",
    },
)

PURCHASES = Exhibit(
    "month_purchases",
    "Products bought most",
    "The products with most revenue of purchase events in the month, and in the month before; repeats of an event count once.",
    f"""
    with bought as (
        select product_id, coalesce(any_value(brand order by brand), '') as brand,
            sum(revenue) filter (occurred_on >= {{month}}) as revenue,
            coalesce(sum(revenue) filter (occurred_on < {{month}}), 0) as revenue_month_before,
            count(*) filter (occurred_on >= {{month}}) as n_purchases
        from core.events
        where event_type = 'purchase' and not is_duplicate and occurred_on >= {{month}} - interval 1 month
            and occurred_on < {{month}} + interval 1 month
        group by 1
    )
    select b.product_id, coalesce(p.description, nullif(trim(b.brand || ' ' || b.product_id), '')) as description, b.revenue,
        b.revenue_month_before, b.n_purchases
    from bought as b
    left join core.products as p on p.product_id = b.product_id
    where b.revenue is not null
    order by b.revenue desc, product_id
    limit {N_LISTED}
    """,
    "product_id:product description:text revenue:money revenue_month_before:money n_purchases:count",
    ("core.events",),
    (),
    headings={"product_id": "Code", "description": "Product"},
)

WHICH_MONTHS = Exhibit(
    "which_months",
    "Months that can be told",
    "The months with sales or, where there are none, with events; whole ones are covered by the data from first to last day.",
    """
    select month_start, is_complete
    from metrics.monthly_sales
    where dimension = 'all'
    union all
    select month_start, last_day(month_start) <= (select max(day) from metrics.daily_traffic)
    from metrics.monthly_traffic
    where not exists (select 1 from metrics.monthly_sales)
    order by 1
    """,
    "month_start:month is_complete:flag",
    (),
    (),
)
