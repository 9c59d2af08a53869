-- Grain: one row per day with events and event type, and one of type `all` per day. Key: day, event_type.
with seen as (
    select * from {{ ref('int_customers_seen') }}
),

whole as (
    select day, customer_id, sum(n_events) as n_events, sum(revenue) as revenue from seen group by day, customer_id
),

final as (
    {{ activity_by('day', 'seen', 'whole') }}
)

select * from final
