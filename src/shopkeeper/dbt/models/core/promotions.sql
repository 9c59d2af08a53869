-- Grain: one row per promotion, what it is for, and store. Key: promotion_id, level, member, store_id.
with staged as (
    select
        *,
        case when product_id is not null then 'product' when category is not null then 'category' else 'shop' end as level,
        coalesce(product_id, category, 'all') as member,
        coalesce(store_id, 'all') as store_of,
        cast({{ shop_time('starts_at') }} as date) as starts_on,
        cast({{ shop_time('ends_at') }} as date) as ends_on,
        cast({{ shop_time('announced_at') }} as date) as announced_on
    from {{ ref('stg_lake__promotions') }}
),

-- Rows that name the same after trimming are one: the latest load counts.
numbered as (
    select *, {{ latest('promotion_id, level, member, store_of') }} as nth from staged
)

select
    promotion_id,
    level,
    member,
    store_of as store_id,
    starts_on,
    ends_on,
    unit_price,
    discount_share,
    announced_on,
    starts_on <= ends_on
    and coalesce(discount_share, 0) < 1
    and (unit_price is null or level = 'product' and unit_price > 0) as is_usable,
    source,
    source_file,
    source_row,
    load_id
from numbered
where nth = 1
