-- Grain: one row per month with events and event type, and one of type `all` per month. Key: month_start, event_type.
with typed as (
    select
        {{ month_start('day') }} as month_start, customer_id, event_type,
        sum(n_events) as n_events, sum(revenue) as revenue
    from {{ ref('int_customers_seen') }}
    group by {{ month_start('day') }}, customer_id, event_type
),

whole as (
    select * from {{ ref('int_customer_months_seen') }}
),

final as (
    {{ activity_by('month_start', 'typed', 'whole') }}
)

select * from final
