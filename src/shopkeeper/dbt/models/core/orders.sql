-- Grain: one row per order. Key: order_id.
with lines as (
    select * from {{ ref('order_lines') }} where {{ counts() }}
),

final as (
    select
        order_id,
        min(customer_id) as customer_id,
        count(customer_id) > 0 as has_customer,
        min(ordered_at) as ordered_at,
        min(ordered_on) as ordered_on,
        min(country) as country,
        min(store_id) as store_id,
        min(currency) as currency,
        count(*) as n_lines,
        count(distinct product_id) as n_products,
        cast(coalesce(sum(case when line_kind in ('sale', 'free', 'cancellation', 'return') then quantity end), 0) as decimal(18, 3)) as n_units,
        count(case when line_kind = 'sale' then 1 end) > 0 as has_sale,
        count(case when line_kind in ('cancellation', 'return') then 1 end) > 0 as has_return,
        {{ money_columns() }}
    from lines
    group by order_id
)

select * from final
