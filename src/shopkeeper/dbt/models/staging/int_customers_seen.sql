-- Grain: one row per day, customer and event type, repeats left out; customer_id is null for events of nobody known.
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    pre_hook="{{ forget_changed_days('day') }}",
    post_hook=["{{ forget_applied() }}", "{{ remember_applied() }}"]
) }}

select
    occurred_on as day,
    customer_id,
    event_type,
    count(*) as n_events,
    cast(sum(revenue) as decimal(38, 4)) as revenue
from {{ ref('events') }}
where not is_duplicate
    {% if is_incremental() %}and occurred_on in ({{ changed_days(this) }}){% endif %}
group by occurred_on, customer_id, event_type
