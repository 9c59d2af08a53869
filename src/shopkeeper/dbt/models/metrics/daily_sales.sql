-- Grain: one row per day with any order line, dimension and member; each dimension adds up to the shop's day.
with stores as (
    select store_id as state_store_id, state from {{ ref('stg_lake__stores') }}
),

lines as (
    select *, 'all' as whole
    from {{ ref('order_lines') }}
    left join stores on store_id = state_store_id
    where {{ counts() }}
),

sold as (
    {% for dimension, member in sales_dimensions().items() %}
    select
        ordered_on as day,
        '{{ dimension }}' as dimension,
        {{ member }} as member,
        count(distinct case when line_kind = 'sale' then order_id end) as n_orders,
        count(distinct case when line_kind = 'sale' then customer_id end) as n_customers,
        cast(coalesce(sum(case when line_kind in ('sale', 'cancellation', 'return') then quantity end), 0) as decimal(18, 3)) as n_units,
        {{ money_columns() }}
    from lines
    group by ordered_on, {{ member }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

final as (
    select
        sold.*,
        week_before.net_sales as net_sales_week_before,
        case when week_before.net_sales > 0
            then cast(sold.net_sales - week_before.net_sales as double) / cast(week_before.net_sales as double) end as growth_on_week
    from sold
    left join sold as week_before
        on sold.dimension = week_before.dimension
        and sold.member = week_before.member
        and sold.day = cast(week_before.day + interval '7' day as date)
)

select * from final
