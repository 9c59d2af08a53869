-- Grain: one row per inventory movement as the source said it, of committed loads.
with source as (
    {{ committed('inventory_movements') }}
)

select
    movement_id,
    upper(trim(product_id)) as product_id,
    store_id,
    quantity,
    {{ utc('moved_at') }} as moved_at,
    reason,
    source,
    source_file,
    source_row,
    load_id
from source
