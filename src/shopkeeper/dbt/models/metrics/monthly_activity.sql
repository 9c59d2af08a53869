-- Grain: one row per month with events and event type, and one of type `all` per month. Key: month_start, event_type.
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    pre_hook="{{ forget_changed_months('month_start') }}",
    post_hook=["{{ forget_applied() }}", "{{ remember_applied() }}"]
) }}

with typed as (
    select
        {{ month_start('day') }} as month_start, customer_id, event_type,
        sum(n_events) as n_events, sum(revenue) as revenue
    from {{ ref('int_customers_seen') }}
    {% if is_incremental() %}where {{ month_start('day') }} in ({{ changed_months(this) }}){% endif %}
    group by {{ month_start('day') }}, customer_id, event_type
),

whole as (
    select * from {{ ref('int_customer_months_seen') }}
    {% if is_incremental() %}where month_start in ({{ changed_months(this) }}){% endif %}
),

final as (
    {{ activity_by('month_start', 'typed', 'whole') }}
)

select * from final
