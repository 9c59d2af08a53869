-- Grain: one row per identity that must hold; `difference` is zero or the build fails. Key: rule, scope.
-- A load: rows read (counted over the raw item) = loaded + resent + quarantined, and its rows stand in the warehouse.
-- Money: gross + discounts + returns = net, and order lines, orders, days and customers with guests all add up alike.
with loads as (
    select * from {{ lake_table('loads') }}
),

lines as (
    select * from {{ ref('order_lines') }}
),

counted as (
    select *, {{ counts() }} as is_counted from lines
),

parts as (
    select {{ money_columns() }}, cast(coalesce(sum(net_amount), 0) as decimal(38, 4)) as net_amount
    from counted where is_counted
),

orders as (
    select
        cast(coalesce(sum(net_sales), 0) as decimal(38, 4)) as net_sales,
        cast(coalesce(sum(other_amount), 0) as decimal(38, 4)) as other_amount,
        cast(coalesce(sum(case when not has_customer then net_sales end), 0) as decimal(38, 4)) as guest_net_sales
    from {{ ref('orders') }}
),

days as (
    select cast(coalesce(sum(net_sales), 0) as decimal(38, 4)) as net_sales
    from {{ ref('daily_sales') }} where dimension = 'all'
),

customers as (
    select cast(coalesce(sum(net_sales), 0) as decimal(38, 4)) as net_sales from {{ ref('customers') }}
),

compared as (
    select
        'rows read = loaded + resent + quarantined' as rule, load_id as scope,
        cast(rows_read as decimal(38, 4)) as expected,
        cast(rows_loaded + rows_resent + rows_quarantined as decimal(38, 4)) as actual,
        cast(rows_loaded + rows_resent + rows_quarantined - rows_read as decimal(38, 4)) as difference
    from loads
    union all
    select
        'rows loaded = order lines of the warehouse', loads.load_id,
        cast(loads.rows_loaded as decimal(38, 4)), cast(coalesce(found.n_rows, 0) as decimal(38, 4)),
        cast(coalesce(found.n_rows, 0) - loads.rows_loaded as decimal(38, 4))
    from loads
    left join (select load_id, count(*) as n_rows from lines group by load_id) as found on loads.load_id = found.load_id
    where loads.entity = 'order_lines'
    union all
    select 'net of a line = gross - discount', 'lines that break it', 0, count(*), count(*)
    from lines where net_amount <> gross_amount - discount_amount
    union all
    select 'net sales = gross sales + discounts + returns', 'shop', net_sales, gross_sales + discounts + returns,
        gross_sales + discounts + returns - net_sales
    from parts
    union all
    select 'net sales + other = sum of net amounts', 'shop', net_amount, net_sales + other_amount, net_sales + other_amount - net_amount
    from parts
    union all
    select 'net sales of orders = of order lines', 'orders', parts.net_sales, orders.net_sales, orders.net_sales - parts.net_sales
    from parts cross join orders
    union all
    select 'net sales of days = of order lines', 'days', parts.net_sales, days.net_sales, days.net_sales - parts.net_sales
    from parts cross join days
    union all
    select 'net sales of customers and guests = of order lines', 'customers', parts.net_sales,
        customers.net_sales + orders.guest_net_sales, customers.net_sales + orders.guest_net_sales - parts.net_sales
    from parts cross join orders cross join customers
),

final as (
    select
        rule,
        scope,
        cast(expected as decimal(38, 4)) as expected,
        cast(actual as decimal(38, 4)) as actual,
        cast(difference as decimal(38, 4)) as difference
    from compared
)

select * from final
