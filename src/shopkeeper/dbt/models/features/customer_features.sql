-- Grain: one row per customer that is known, as of the day after the last day with an order. Key: customer_id, as_of.
with bounds as (
    {{ order_bounds(ref('order_lines'), ref('events')) }}
),

moments as (
    select cast(last_on + interval 1 day as date) as as_of from bounds
),

final as (
    {{ customer_features(ref('order_lines'), ref('events'), ref('sessions'), ref('customers'), 'moments') }}
)

select * from final
