-- Grain: one row per store that a source describes or that sold or held something. Key: store_id.
with lines as (
    select * from {{ ref('order_lines') }} where store_id is not null and {{ counts() }}
),

described as (
    select * from {{ ref('stg_lake__stores') }}
),

moved as (
    select distinct store_id from {{ ref('stg_lake__inventory_movements') }} where store_id is not null
),

sold as (
    select
        store_id,
        count(distinct order_id) as n_orders,
        min(ordered_on) as first_sold_on,
        max(ordered_on) as last_sold_on,
        {{ money_columns() }}
    from lines
    group by store_id
),

known as (
    select store_id from described
    union
    select store_id from sold
    union
    select store_id from moved
),

final as (
    select
        known.store_id,
        described.name,
        described.city,
        described.state,
        described.country,
        described.attributes,
        described.store_id is not null as is_described,
        sold.first_sold_on,
        sold.last_sold_on,
        coalesce(sold.n_orders, 0) as n_orders,
        {{ money_or_zero('sold') }}
    from known
    left join described on known.store_id = described.store_id
    left join sold on known.store_id = sold.store_id
)

select * from final
