-- Grain: one row per day with events and event type, and one of type `all` per day. Key: day, event_type.
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    pre_hook="{{ forget_changed_days('day') }}",
    post_hook=["{{ forget_applied() }}", "{{ remember_applied() }}"]
) }}

with seen as (
    select * from {{ ref('int_customers_seen') }}
    {% if is_incremental() %}where day in ({{ changed_days(this) }}){% endif %}
),

whole as (
    select day, customer_id, sum(n_events) as n_events, sum(revenue) as revenue from seen group by day, customer_id
),

final as (
    {{ activity_by('day', 'seen', 'whole') }}
)

select * from final
