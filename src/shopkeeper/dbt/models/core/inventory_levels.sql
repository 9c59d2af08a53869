-- Grain: one row per product and store with a movement; store_id is `unknown` where the source names none. Key: product_id, store_id.
with movements as (
    select product_id, coalesce(store_id, 'unknown') as store_id, quantity, moved_at
    from {{ ref('inventory_movements') }}
    where not is_duplicate
),

final as (
    select
        product_id,
        store_id,
        cast(sum(quantity) as decimal(18, 3)) as on_hand,
        cast(coalesce(sum(case when quantity > 0 then quantity end), 0) as decimal(18, 3)) as n_units_in,
        cast(coalesce(sum(case when quantity < 0 then -quantity end), 0) as decimal(18, 3)) as n_units_out,
        count(*) as n_movements,
        min(moved_at) as first_moved_at,
        max(moved_at) as last_moved_at
    from movements
    group by product_id, store_id
)

select *, on_hand < 0 as is_negative from final
