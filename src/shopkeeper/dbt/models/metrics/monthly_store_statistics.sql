-- Grain: one row per month: how net sales are spread over the stores that sold in it.
with stores as (
    select * from {{ ref('monthly_sales') }} where dimension = 'store' and member <> 'unknown' and n_orders > 0
),

final as (
    select
        month_start,
        count(*) as n_stores,
        cast(sum(net_sales) as decimal(38, 4)) as net_sales,
        avg(cast(net_sales as double)) as mean_net_sales,
        stddev_pop(cast(net_sales as double)) as deviation_net_sales,
        min(net_sales) as lowest_net_sales,
        {{ quantile('net_sales', 0.5) }} as median_net_sales,
        max(net_sales) as highest_net_sales
    from stores
    group by month_start
)

select * from final
