-- Grain: one row per promotion, product, category and store: what the latest load that mentions it says.
with source as (
    {{ committed('promotions') }}
),

ranked as (
    select *, {{ latest('promotion_id, product_id, category, store_id') }} as place from source
)

select
    promotion_id,
    upper(trim(product_id)) as product_id,
    category,
    store_id,
    {{ utc('starts_at') }} as starts_at,
    {{ utc('ends_at') }} as ends_at,
    unit_price,
    discount_share,
    {{ utc('announced_at') }} as announced_at,
    source,
    source_file,
    source_row,
    load_id
from ranked
where place = 1
