{#- Rows of one lake table whose load is committed, with the source that brought them. -#}
{% macro committed(entity) %}
select r.*, l.source
from {{ lake_table(entity) }} as r
inner join {{ lake_table('loads') }} as l on r.load_id = l.load_id
{% endmacro %}

{#- What can be said of an order line from its own row, of relations with the contract's columns; `more` are kept beside. -#}
{% macro typed_order_lines(source, more=[]) %}
select
    *,
    {{ shop_time('ordered_at') }} as ordered_at_local,
    cast(gross_amount - discount_amount as decimal(38, 4)) as net_amount
from (
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
        category
        {%- for column in more %},
        {{ column }}
        {%- endfor %}
    from {{ source }}
) as renamed
{% endmacro %}

{#- What the source said of a line, in the order that numbers the lines of an order whatever file came first. -#}
{% macro line_content() %}
{{- return('ordered_at, source_product_id, description, quantity, unit_price, discount_amount, customer_id, country, store_id, currency, category') -}}
{% endmacro %}

{#- Lines as a source gives them → the columns of core.order_lines that features are made of. `catalogue`: product_id,
    category, for lines that carry no category of their own. -#}
{% macro described_order_lines(lines, catalogue) %}
with typed as (
    {{ typed_order_lines(lines) }}
),

-- Which of several equal lines is called the first does not matter.
numbered as (
    select *, row_number() over (partition by order_id, {{ line_content() }} order by order_id) as nth_equal from typed
)

select
    numbered.order_id,
    numbered.customer_id,
    numbered.product_id,
    coalesce(numbered.category, c.category) as category,
    numbered.country,
    cast(numbered.ordered_at_local as date) as ordered_on,
    numbered.ordered_at_local,
    {{ line_kind('numbered.order_id', 'numbered.product_id', 'numbered.quantity', 'numbered.unit_price') }} as line_kind,
    numbered.quantity,
    numbered.gross_amount,
    numbered.discount_amount,
    numbered.net_amount,
    numbered.nth_equal > 1 as is_duplicate
from numbered
left join {{ catalogue }} as c on numbered.product_id = c.product_id
{% endmacro %}

{#- The kind of an order line: the first rule that matches. Codes and prefixes come from shopkeeper.toml. -#}
{% macro line_kind(order_id, product_id, quantity, unit_price) %}
case
    {%- for kind, codes in var('service_codes').items() %}
    when {{ product_id }} in ({% for code in codes %}{{ text_literal(code) }}{{ ", " if not loop.last }}{% endfor %}) then '{{ kind }}'
    {%- endfor %}
    {%- for kind, prefix in var('service_prefixes').items() %}
    when {{ starts_with_text(product_id, prefix) }} then '{{ kind }}'
    {%- endfor %}
    when {{ quantity }} < 0 and {{ unit_price }} = 0 then 'stock_adjustment'
    {%- for kind, prefix in var('order_prefixes').items() %}
    when {{ starts_with_text('upper(' ~ order_id ~ ')', prefix) }} then '{{ kind }}'
    {%- endfor %}
    when {{ unit_price }} = 0 then 'free'
    when {{ quantity }} < 0 then 'return'
    else 'sale'
end
{% endmacro %}

{% macro text_literal(text) %}'{{ text | replace("'", "''") }}'{% endmacro %}

{% macro starts_with_text(expression, prefix) %}substring({{ expression }}, 1, {{ prefix | length }}) = {{ text_literal(prefix) }}{% endmacro %}

{#- Lines that count: all of them, or without those flagged as duplicates, as sales.exclude_duplicates says. -#}
{% macro counts() %}{{ 'not is_duplicate' if var('exclude_duplicates') else 'true' }}{% endmacro %}

{#- The money of a set of order lines, one definition for every grain. Discounts and returns are negative. -#}
{% macro money_columns() %}
cast(coalesce(sum(case when line_kind = 'sale' then gross_amount end), 0) as decimal(38, 4)) as gross_sales,
cast(coalesce(sum(case when line_kind = 'discount' then net_amount
    when line_kind in ('sale', 'cancellation', 'return') then -discount_amount end), 0) as decimal(38, 4)) as discounts,
cast(coalesce(sum(case when line_kind in ('cancellation', 'return') then gross_amount end), 0) as decimal(38, 4)) as returns,
cast(coalesce(sum(case when line_kind in ('sale', 'discount', 'cancellation', 'return') then net_amount end), 0) as decimal(38, 4)) as net_sales,
cast(coalesce(sum(case when line_kind not in ('sale', 'discount', 'cancellation', 'return') then net_amount end), 0) as decimal(38, 4)) as other_amount
{% endmacro %}

{#- The same columns of a table that may have no row to join. -#}
{% macro money_or_zero(table) %}
{%- for column in ['gross_sales', 'discounts', 'returns', 'net_sales', 'other_amount'] -%}
coalesce({{ table }}.{{ column }}, 0) as {{ column }}{{ ",\n" if not loop.last }}
{%- endfor -%}
{% endmacro %}

{#- Sales of each period, by every dimension; each dimension adds up to the shop's. `start` is the period a line lies in. -#}
{% macro sales_by(period, start) %}
with stores as (
    select store_id as state_store_id, state from {{ ref('stg_lake__stores') }}
),

lines as (
    select *, 'all' as whole, {{ start }} as {{ period }}
    from {{ ref('order_lines') }}
    left join stores on store_id = state_store_id
    where {{ counts() }}
),

sold as (
    {% for dimension, member in sales_dimensions().items() %}
    select
        {{ period }},
        '{{ dimension }}' as dimension,
        {{ member }} as member,
        count(distinct case when line_kind = 'sale' then order_id end) as n_orders,
        count(distinct case when line_kind = 'sale' then customer_id end) as n_customers,
        cast(coalesce(sum(case when line_kind in ('sale', 'cancellation', 'return') then quantity end), 0) as decimal(18, 3)) as n_units,
        {{ money_columns() }}
    from lines
    group by {{ period }}, {{ member }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)
{% endmacro %}

{#- Schemas are called as they are configured; profiles are kept apart by file, not by prefix. -#}
{% macro generate_schema_name(custom_schema_name, node) %}{{ (custom_schema_name or target.schema) | trim }}{% endmacro %}

{#- Flags the lines beyond Tukey's fence of quantity, or, within it, beyond price_z deviations of price. Stock adjustments
    set no bounds and are no outliers. It depends on every line, so it is refreshed after each increment. -#}
{% macro mark_outliers(lines) %}
{%- set sql -%}
with fence as (
    select
        {{ quantile('quantity', 0.25) }} as q1,
        {{ quantile('quantity', 0.75) }} as q3
    from {{ lines }}
    where line_kind <> 'stock_adjustment'
),
price as (
    select avg(cast(unit_price as double)) as mean, stddev_pop(cast(unit_price as double)) as deviation
    from {{ lines }} as l cross join fence
    where l.line_kind <> 'stock_adjustment'
        and l.quantity > q1 - {{ var('quantity_fence') }} * (q3 - q1)
        and l.quantity < q3 + {{ var('quantity_fence') }} * (q3 - q1)
)
select
    l.order_line_id,
    l.line_kind <> 'stock_adjustment' and not (
        l.quantity > q1 - {{ var('quantity_fence') }} * (q3 - q1)
        and l.quantity < q3 + {{ var('quantity_fence') }} * (q3 - q1)
        and abs(cast(l.unit_price as double) - p.mean) <= {{ var('price_z') }} * p.deviation
    ) as is_outlier
from {{ lines }} as l cross join fence cross join price as p
{%- endset -%}
{{ refresh_column(lines, 'order_line_id', 'is_outlier', sql) }}
{% endmacro %}

{#- 1 for the row of a keyed thing that holds now: the last row of the last load that mentions it. -#}
{% macro latest(key) %}row_number() over (partition by {{ key }} order by load_id desc, source_row desc){% endmacro %}

{#- By what sales are broken down: dimension → the member a line belongs to. -#}
{% macro sales_dimensions() %}
{{ return({
    'all': "whole",
    'country': "coalesce(country, 'unknown')",
    'state': "coalesce(state, 'unknown')",
    'store': "coalesce(store_id, 'unknown')",
    'category': "coalesce(category, 'unknown')",
    'product': "coalesce(product_id, 'unknown')",
}) }}
{% endmacro %}

{#- A catalogue may come, or change its mind, after the lines: keep the category of lines that carry none of their own. -#}
{% macro refresh_categories(lines) %}
{%- set sql -%}
select l.order_line_id, coalesce(l.source_category, p.category) as category
from {{ lines }} as l
left join {{ ref('stg_lake__products') }} as p on l.product_id = p.product_id
where l.source_category is null
{%- endset -%}
{%- if is_incremental() -%}{{ refresh_column(lines, 'order_line_id', 'category', sql) }}{%- endif -%}
{% endmacro %}
