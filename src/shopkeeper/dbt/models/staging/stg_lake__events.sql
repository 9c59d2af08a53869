-- Grain: one row per event as the source said it, of committed loads. Row-local columns only.
with source as (
    {{ committed('events') }}
),

renamed as (
    select
        nullif(trim(event_id), '') as given_id,
        lower(trim(event_type)) as event_type,
        {{ utc('occurred_at') }} as occurred_at,
        coalesce(customer_id, anonymous_id) as customer_id,
        session_id,
        upper(trim(product_id)) as product_id,
        category_id,
        category_code,
        brand,
        price,
        quantity,
        coalesce(currency, '{{ var("currency") }}') as currency,
        anonymous_id,
        order_id,
        {{ utc('received_at') }} as received_at,
        source,
        source_file,
        source_row,
        load_id,
        moment_month
    from source
)

select
    *,
    -- Equal for equal events, but not quite unique: it finds repeats quickly and is never stored.
    case when given_id is not null then {{ quick_hash(['given_id']) }} else {{ quick_hash(event_content()) }} end as quick_key
from renamed
