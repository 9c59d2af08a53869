-- Grain: one row per definition: the SQL that the tables of features are made by, over relations with bare names. Key: name.
{% set definitions = {
    'customer_features': customer_features('order_lines', 'events', 'sessions', 'customers', 'moments'),
    'customer_outcomes': customer_outcomes('order_lines', 'events', 'sessions', 'customers', 'moments'),
    'customer_order_days': customer_order_days('order_lines', 'events'),
    'order_bounds': order_bounds('order_lines', 'events'),
    'customer_attributes': customer_attributes('customers', 'customer_activity_ranked', 'moments'),
    'sale_lines': sale_lines('order_lines', 'events'),
    'session_products': session_products('events'),
    'known_products': known_products('products', 'events'),
} %}
{% if var('orders_from') == 'order_lines' %}
    {% do definitions.update({'order_lines': described_order_lines('raw_order_lines', 'catalogue')}) %}
{% endif %}

with final as (
    {% for name, sql in definitions.items() %}
    select '{{ name }}' as name, {{ text_literal(sql | trim) }} as sql, '{{ local_md5(sql | trim) }}' as fingerprint
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select * from final
