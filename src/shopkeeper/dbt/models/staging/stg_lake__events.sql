-- Grain: one row per event as the source said it, of committed loads. Row-local columns only.
with source as (
    {{ committed('events') }}
),

renamed as (
    select
        nullif(trim(event_id), '') as given_id,
        lower(trim(event_type)) as event_type,
        {{ utc('occurred_at') }} as occurred_at,
        customer_id,
        session_id,
        upper(trim(product_id)) as product_id,
        category_id,
        category_code,
        brand,
        price,
        quantity,
        coalesce(currency, '{{ var("currency") }}') as currency,
        source,
        source_file,
        source_row,
        load_id,
        moment_month
    from source
)

select
    *,
    -- What an event is known by: the tracker's id, else all that was said of it (chr(31) parts, chr(30) stands for null).
    coalesce(given_id, md5(concat_ws(
        chr(31),
        {{ micros('occurred_at') }}
        {%- for column in event_content() if column != 'occurred_at' %},
        coalesce({{ column if column not in ('price', 'quantity') else 'cast(' ~ column ~ ' as ' ~ dbt.type_string() ~ ')' }}, chr(30))
        {%- endfor %}
    ))) as event_key,
    -- The same, quicker and not quite unique: equal keys have equal quick keys.
    case when given_id is not null then {{ quick_hash(['given_id']) }} else {{ quick_hash(event_content()) }} end as quick_key
from renamed
