-- Grain: one row per inventory movement as the source said it; nothing is deleted. Key: inventory_movement_id.
with staged as (
    select
        *,
        coalesce(movement_id, md5(concat_ws(
            chr(31), {{ micros('moved_at') }}, product_id, coalesce(store_id, chr(30)),
            cast(quantity as {{ dbt.type_string() }}), coalesce(reason, chr(30))
        ))) as movement_key
    from {{ ref('stg_lake__inventory_movements') }}
),

numbered as (
    select
        *,
        row_number() over (
            partition by movement_key
            order by moved_at, product_id, store_id, quantity, reason, source, source_file, source_row, load_id
        ) as nth
    from staged
)

select
    case when nth = 1 then movement_key else movement_key || '-' || nth end as inventory_movement_id,
    movement_id,
    product_id,
    store_id,
    quantity,
    moved_at,
    {{ shop_time('moved_at') }} as moved_at_local,
    cast({{ shop_time('moved_at') }} as date) as moved_on,
    reason,
    movement_id is not null and nth > 1 as is_duplicate,
    source,
    source_file,
    source_row,
    load_id
from numbered
