-- Grain: one row per order line as the source said it, of committed loads. Row-local columns only.
with source as (
    {{ committed('order_lines') }}
),

renamed as (
    select
        order_id,
        customer_id,
        product_id as source_product_id,
        upper(trim(product_id)) as product_id,
        description,
        quantity,
        unit_price,
        -- Wider than 18 digits on the way, or a large line would overflow in DuckDB and stop every build.
        cast(cast(quantity as decimal(19, 3)) * unit_price as decimal(38, 4)) as gross_amount,
        coalesce(discount_amount, 0) as discount_amount,
        {{ utc('ordered_at') }} as ordered_at,
        country,
        store_id,
        coalesce(currency, '{{ var("currency") }}') as currency,
        category,
        source,
        source_file,
        source_row,
        load_id
    from source
)

select
    *,
    {{ shop_time('ordered_at') }} as ordered_at_local,
    cast(gross_amount - discount_amount as decimal(38, 4)) as net_amount
from renamed
