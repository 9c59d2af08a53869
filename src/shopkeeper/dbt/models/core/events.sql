-- Grain: one row per event; what a tracker sent twice under one id stands once, its earliest. Key: event_id.
{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='event_id', on_schema_change='fail') }}

{% set new = unapplied_loads('events') %}
{% set columns = (event_content() + event_extras() + lineage()) | join(', ') %}

-- Rows are compared only where several may have one key; those are found by a quick hash, whose rare collisions do no
-- harm. The staging view is read anew each time: holding twenty million rows would cost more.
with
{% if new.count %}
-- What stands here already under the keys of new rows: the earliest of a given id, all of equal rows without one.
existing as (
    select event_id as event_key, true as has_given_id, has_conflict, {{ columns }}
    from {{ this }}
    where has_given_id
        and event_id in (
            select given_id from {{ ref('stg_lake__events') }} where {{ new.condition }} and given_id is not null
        )
    union all
    select substring(event_id, 1, 32) as event_key, false as has_given_id, has_conflict, {{ columns }}
    from {{ this }}
    where not has_given_id
        and occurred_at between {{ new.first_at }} and {{ new.last_at }}
        and substring(event_id, 1, 32) in (
            select {{ event_key() }} from {{ ref('stg_lake__events') }} where {{ new.condition }} and given_id is null
        )
),
{% endif %}

repeated as (
    select quick_key
    from {{ ref('stg_lake__events') }}
    where {{ new.condition }}
    group by quick_key
    having count(*) > 1
    {% if new.count %}
    union
    select quick_key
    from {{ ref('stg_lake__events') }}
    where {{ new.condition }} and {{ event_key() }} in (select event_key from existing)
    {% endif %}
),

candidates as (
    select * from {{ ref('stg_lake__events') }} where {{ new.condition }} and quick_key in (select quick_key from repeated)
),

together as (
    select {{ event_key() }} as event_key, given_id is not null as has_given_id, false as has_conflict, {{ columns }} from candidates
    {% if new.count %}
    union all
    select event_key, has_given_id, has_conflict, {{ columns }} from existing
    {% endif %}
),

said as (
    select *, case when has_given_id then {{ event_said() }} end as said from together
),

-- Which of several rows of one id stands does not depend on the order in which they came, nor does whether they differ.
numbered as (
    select
        event_key,
        has_given_id,
        {{ columns }},
        row_number() over (partition by event_key order by {{ columns }}) as nth,
        coalesce(min(said) over (partition by event_key) <> max(said) over (partition by event_key), false)
            or max(case when has_conflict then 1 else 0 end) over (partition by event_key) = 1 as has_conflict
    from said
),

events as (
    select {{ event_key() }} as event_key, staged.given_id is not null as has_given_id, false as has_conflict, {{ columns }}, 1 as nth
    from {{ ref('stg_lake__events') }} as staged
    left join repeated on staged.quick_key = repeated.quick_key
    where {{ new.condition }} and repeated.quick_key is null
    union all
    select event_key, has_given_id, has_conflict, {{ columns }}, nth from numbered where nth = 1 or not has_given_id
),

timed as (
    select *, {{ shop_time('occurred_at') }} as occurred_at_local from events
)

select
    case when nth = 1 then event_key else event_key || '-' || nth end as event_id,
    event_type,
    occurred_at,
    cast(occurred_at_local as date) as occurred_on,
    cast(hour(occurred_at_local) as smallint) as occurred_hour,
    customer_id,
    session_id,
    product_id,
    category_id,
    category_code,
    brand,
    price,
    quantity,
    currency,
    cast(case when event_type = 'purchase' then coalesce(cast(price as decimal(19, 4)) * coalesce(quantity, 1), 0) else 0 end as decimal(38, 4)) as revenue,
    anonymous_id,
    order_id,
    received_at,
    has_given_id,
    has_conflict,
    nth > 1 as is_duplicate,
    source,
    source_file,
    source_row,
    load_id
from timed
