-- Grain: one row per day, product and store on which its stock moved; on_hand is the stock when that day ended.
with moved as (
    select
        moved_on as day,
        product_id,
        coalesce(store_id, 'unknown') as store_id,
        cast(coalesce(sum(case when quantity > 0 then quantity end), 0) as decimal(18, 3)) as n_units_in,
        cast(coalesce(sum(case when quantity < 0 then -quantity end), 0) as decimal(18, 3)) as n_units_out,
        sum(quantity) as change
    from {{ ref('inventory_movements') }}
    where not is_duplicate
    group by moved_on, product_id, coalesce(store_id, 'unknown')
),

final as (
    select
        day,
        product_id,
        store_id,
        n_units_in,
        n_units_out,
        cast(
            sum(change) over (
                partition by product_id, store_id order by day rows between unbounded preceding and current row
            ) as decimal(18, 3)
        ) as on_hand
    from moved
)

select * from final
