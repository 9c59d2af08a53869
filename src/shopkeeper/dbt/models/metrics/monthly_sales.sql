-- Grain: one row per month, dimension and member, without gaps from a member's first month to the shop's last.
{{ sales_by('month_start', "cast(date_trunc('month', ordered_on) as date)") }},

-- A month is complete if the data reach over its first and its last day.
months as (
    select
        month_start,
        month_start >= (select min(day) from {{ ref('calendar_days') }})
        and cast(month_start + interval '1' month - interval '1' day as date)
        <= (select max(day) from {{ ref('calendar_days') }}) as is_complete
    from {{ ref('calendar_days') }}
    group by month_start
),

-- A month without sales is a row of zeros, so that growth compares with the month before and not the last one sold in.
grid as (
    select months.month_start, months.is_complete, first_months.dimension, first_months.member
    from months
    inner join (select dimension, member, min(month_start) as first_month from sold group by dimension, member) as first_months
        on months.month_start >= first_months.first_month
),

filled as (
    select
        grid.month_start,
        grid.dimension,
        grid.member,
        grid.is_complete,
        coalesce(sold.n_orders, 0) as n_orders,
        coalesce(sold.n_customers, 0) as n_customers,
        coalesce(sold.n_units, 0) as n_units,
        {{ money_or_zero('sold') }}
    from grid
    left join sold
        on grid.month_start = sold.month_start and grid.dimension = sold.dimension and grid.member = sold.member
),

compared as (
    select
        *,
        lag(net_sales, 1) over (partition by dimension, member order by month_start) as net_sales_month_before,
        lag(net_sales, 12) over (partition by dimension, member order by month_start) as net_sales_year_before
    from filled
),

final as (
    select
        *,
        cast(net_sales as double) / nullif(n_orders, 0) as net_sales_per_order,
        -cast(returns as double) / nullif(cast(gross_sales as double), 0) as return_rate,
        case when net_sales_month_before > 0
            then cast(net_sales - net_sales_month_before as double) / cast(net_sales_month_before as double) end as growth_on_month,
        case when net_sales_year_before > 0
            then cast(net_sales - net_sales_year_before as double) / cast(net_sales_year_before as double) end as growth_on_year
    from compared
)

select * from final
