-- Grain: one row per line of one order as the source said it; nothing is deleted. Key: order_line_id.
{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='order_id', on_schema_change='fail',
    post_hook=["{{ refresh_categories(this) }}", "{{ mark_outliers(this) }}"]
) }}

with staged as (
    select * from {{ ref('stg_lake__order_lines') }}
),

{% if is_incremental() %}
-- An order that got lines from a new load is numbered anew, whole.
touched as (
    select distinct order_id from staged
    where load_id not in (select distinct load_id from {{ this }})
),

lines as (
    select staged.* from staged inner join touched on staged.order_id = touched.order_id
),
{% else %}
lines as (
    select * from staged
),
{% endif %}

catalogue as (
    select product_id, category from {{ ref('stg_lake__products') }} where category is not null
),

numbered as (
    select
        lines.*,
        row_number() over (partition by order_id order by {{ line_content() }}, source, source_file, source_row, load_id) as line_number,
        row_number() over (partition by order_id, {{ line_content() }} order by source, source_file, source_row, load_id) as nth_equal
    from lines
)

select
    numbered.order_id || '-' || numbered.line_number as order_line_id,
    numbered.order_id,
    cast(line_number as integer) as line_number,
    customer_id,
    numbered.product_id,
    source_product_id,
    description,
    quantity,
    unit_price,
    gross_amount,
    discount_amount,
    net_amount,
    ordered_at,
    ordered_at_local,
    cast(ordered_at_local as date) as ordered_on,
    country,
    store_id,
    currency,
    coalesce(numbered.category, catalogue.category) as category,
    numbered.category as source_category,
    {{ line_kind('numbered.order_id', 'numbered.product_id', 'quantity', 'unit_price') }} as line_kind,
    nth_equal > 1 as is_duplicate,
    customer_id is not null as has_customer,
    unit_price = 0 as is_zero_price,
    false as is_outlier,
    source,
    source_file,
    source_row,
    load_id
from numbered
left join catalogue on numbered.product_id = catalogue.product_id
