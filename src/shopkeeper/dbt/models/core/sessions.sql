-- Grain: one row per session, as the tracker named it, or made of a customer's events without a longer silence. Key: session_id.
{{ config(
    materialized='incremental', incremental_strategy='append', on_schema_change='fail',
    pre_hook=["{{ note_touched_sessions() }}", "{{ forget_touched_sessions() }}"],
    post_hook=["{{ forget_applied() }}", "{{ remember_applied() }}"]
) }}

-- Repeats do not count. Events with neither session nor customer belong to no session.
{% set is_named %}not is_duplicate and session_id is not null
        {%- if is_incremental() %} and session_id in (select session_id from staging.touched_sessions){% endif %}{% endset %}

with unnamed as (
    select event_id, customer_id, occurred_at, occurred_on, event_type, product_id, revenue
    from {{ ref('events') }}
    where not is_duplicate and session_id is null and customer_id is not null
        {% if is_incremental() %}and customer_id in (select customer_id from staging.touched_sessions){% endif %}
),

compared as (
    select *, lag(occurred_at) over (partition by customer_id order by occurred_at, event_id) as previous_at from unnamed
),

-- A visit begins where nothing came before, or nothing for longer than the silence; each event takes its last beginning.
visits as (
    select
        *,
        max(case
            when previous_at is null
                or {{ micros('occurred_at') }} - {{ micros('previous_at') }} > {{ var('session_gap_minutes') }} * 60000000 then occurred_at
        end) over (partition by customer_id order by occurred_at, event_id rows between unbounded preceding and current row) as started_at
    from compared
),

made as (
    select customer_id || '@' || {{ micros('started_at') }} as session_id, * from visits
),

events as (
    select session_id, false as is_made, customer_id, occurred_at, occurred_on, event_type, revenue
    from {{ ref('events') }}
    where {{ is_named }}
    union all
    select session_id, true as is_made, customer_id, occurred_at, occurred_on, event_type, revenue from made
),

-- Products are counted apart, from the different ones, and the events are read twice: half the memory of doing both at once.
products as (
    select session_id, count(product_id) as n_products
    from (
        select session_id, product_id from {{ ref('events') }} where {{ is_named }} group by session_id, product_id
        union all
        select session_id, product_id from made group by session_id, product_id
    ) as different_ones
    group by session_id
),

grouped as (
    select
        session_id,
        is_made,
        min(customer_id) as customer_id,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        min(occurred_on) as started_on,
        max(occurred_on) as ended_on,
        count(*) as n_events,
        count(case when event_type = 'view' then 1 end) as n_views,
        count(case when event_type = 'cart' then 1 end) as n_carts,
        count(case when event_type = 'remove_from_cart' then 1 end) as n_removes,
        count(case when event_type = 'purchase' then 1 end) as n_purchases,
        cast(sum(revenue) as decimal(38, 4)) as revenue
    from events
    group by session_id, is_made
)

select
    grouped.*,
    products.n_products,
    cast(floor(({{ micros('ended_at') }} - {{ micros('started_at') }}) / 1000000) as bigint) as seconds,
    n_events = 1 as is_bounce,
    n_views > 0 as has_view,
    n_carts > 0 as has_cart,
    n_purchases > 0 as has_purchase
from grouped
inner join products on grouped.session_id = products.session_id
