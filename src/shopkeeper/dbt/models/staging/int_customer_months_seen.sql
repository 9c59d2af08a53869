-- Grain: one row per month and customer with an event, repeats left out; customer_id is null for events of nobody known.
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    pre_hook="{{ forget_changed_months('month_start') }}",
    post_hook=["{{ forget_applied() }}", "{{ remember_applied() }}"]
) }}

with seen as (
    select {{ month_start('day') }} as month_start, day, customer_id, n_events, revenue from {{ ref('int_customers_seen') }}
)

select
    month_start,
    customer_id,
    min(day) as first_on,
    cast(sum(n_events) as bigint) as n_events,
    cast(sum(revenue) as decimal(38, 4)) as revenue
from seen
{% if is_incremental() %}where month_start in ({{ changed_months(this) }}){% endif %}
group by month_start, customer_id
