{#- What a tracker said of an event, in the order that chooses among events of one id. -#}
{% macro event_content() %}
{{ return(['occurred_at', 'event_type', 'customer_id', 'session_id', 'product_id', 'category_id', 'category_code', 'brand',
    'price', 'quantity', 'currency']) }}
{% endmacro %}

{#- What an event is known by: the tracker's own id, else a hash of all that was said. chr(31) parts, chr(30) is null.
    It is the dearest expression of the project: computed once for each event, after all filters. -#}
{% macro event_key() %}
coalesce(given_id, md5(concat_ws(
    chr(31), {{ micros('occurred_at') }}
    {%- for column in event_content()[1:] %}, coalesce(
    {{- 'cast(' ~ column ~ ' as ' ~ dbt.type_string() ~ ')' if column in ('price', 'quantity') else column }}, chr(30)){% endfor -%}
)))
{% endmacro %}

{#- What only some trackers tell; it is part of no event's hash, so that events without an id keep theirs. -#}
{% macro event_extras() %}{{ return(['anonymous_id', 'order_id', 'received_at']) }}{% endmacro %}

{#- All that was said of an event, as one text: two that differ under one id are in conflict. A moment that the collector
    gave, because the tracker told none, is not what was said. -#}
{% macro event_said() %}
concat_ws(
    chr(31), case when occurred_at = received_at then chr(30) else cast({{ micros('occurred_at') }} as {{ dbt.type_string() }}) end
    {%- for column in event_content()[1:] + event_extras()[:2] %}, coalesce(
    {{- 'cast(' ~ column ~ ' as ' ~ dbt.type_string() ~ ')' if column in ('price', 'quantity') else column }}, chr(30)){% endfor -%}
)
{% endmacro %}

{% macro lineage() %}{{ return(['source', 'source_file', 'source_row', 'load_id']) }}{% endmacro %}

{#- The loads whose rows a table names nowhere, asked for before it is built, so that only their partitions and row groups
    are read: how many, a condition on staging, and the span of their moments. On a full refresh all rows are wanted. -#}
{% macro unapplied_loads(entity) %}
{%- set new = {'count': 0, 'condition': 'true', 'first_at': none, 'last_at': none} -%}
{%- if execute and is_incremental() -%}
    {%- set text = dbt.type_string() -%}
    {%- set found = run_query("select load_id, year(" ~ utc('first_at') ~ ") * 100 + month(" ~ utc('first_at') ~ "), year("
        ~ utc('last_at') ~ ") * 100 + month(" ~ utc('last_at') ~ "), cast(" ~ utc('first_at') ~ " as " ~ text ~ "), cast("
        ~ utc('last_at') ~ " as " ~ text ~ ") from " ~ lake_table('loads') ~ " where entity = '" ~ entity
        ~ "' and rows_loaded > 0 and load_id not in (select distinct load_id from " ~ this ~ ") order by load_id") -%}
    {%- do new.update({'count': found.rows | length, 'condition': 'false'}) -%}
    {%- if found.rows -%}
        {%- set ids = found.columns[0].values() | join("', '") -%}
        {%- do new.update({
            'condition': "moment_month between " ~ (found.columns[1].values() | min) ~ " and "
                ~ (found.columns[2].values() | max) ~ " and load_id in ('" ~ ids ~ "')",
            'first_at': "cast('" ~ (found.columns[3].values() | map('string') | min) ~ "' as timestamp)",
            'last_at': "cast('" ~ (found.columns[4].values() | map('string') | max) ~ "' as timestamp)",
        }) -%}
    {%- endif -%}
{%- endif -%}
{{ return(new) }}
{% endmacro %}

{#- Days on which the events of core.events are not those that a table was built from (see int_event_days). -#}
{% macro changed_days(target) %}
select distinct day
from (
    select day, fingerprint from {{ ref('int_event_days') }}
    union all
    select day, fingerprint from staging.applied_event_days where model_name = '{{ target.identifier }}'
) as both_sides
group by day, fingerprint
having count(*) = 1
{% endmacro %}

{#- Before an increment: take away the rows of changed days, to be made anew in the same transaction. -#}
{% macro forget_changed_days(column) %}
{%- if is_incremental() -%}delete from {{ this }} where {{ column }} in ({{ changed_days(this) }}){%- endif -%}
{% endmacro %}

{#- After a build: remember which events each day had. Two hooks, one statement each, in the model's transaction. -#}
{% macro forget_applied() %}delete from staging.applied_event_days where model_name = '{{ this.identifier }}'{% endmacro %}

{% macro remember_applied() %}
insert into staging.applied_event_days select '{{ this.identifier }}', day, fingerprint from {{ ref('int_event_days') }}
{% endmacro %}

{#- Before an increment of sessions: note which sessions meet a changed day, as they are known now, and take them away.
    Sessions that the tracker named are noted by their id, those made of silences by their customer. -#}
{% macro note_touched_sessions() %}
{%- if is_incremental() -%}
create or replace table staging.touched_sessions as
with days as ({{ changed_days(this) }}),
events as (
    select session_id, customer_id from {{ ref('events') }} where occurred_on in (select day from days)
)
select session_id, cast(null as {{ dbt.type_string() }}) as customer_id from events where session_id is not null
union
select null, customer_id from events where session_id is null and customer_id is not null
union
select case when not s.is_made then s.session_id end, case when s.is_made then s.customer_id end
from {{ this }} as s inner join days on days.day between s.started_on and s.ended_on
{%- endif -%}
{% endmacro %}

{% macro forget_touched_sessions() %}
{%- if is_incremental() -%}
delete from {{ this }}
where (not is_made and session_id in (select session_id from staging.touched_sessions where session_id is not null))
    or (is_made and customer_id in (select customer_id from staging.touched_sessions where customer_id is not null))
{%- endif -%}
{% endmacro %}

{#- Before an increment: take away the rows of months with a changed day. -#}
{% macro forget_changed_months(column) %}
{%- if is_incremental() -%}delete from {{ this }} where {{ column }} in ({{ changed_months(this) }}){%- endif -%}
{% endmacro %}

{% macro changed_months(target) %}select distinct {{ month_start('day') }} from ({{ changed_days(target) }}) as days{% endmacro %}

{#- Active visitors of a period, from a table that holds each customer and type once in it, for each type and for all. -#}
{% macro activity_by(period, typed, whole) %}
select
    {{ period }},
    event_type,
    cast(sum(n_events) as bigint) as n_events,
    count(customer_id) as n_customers,
    cast(sum(revenue) as decimal(38, 4)) as revenue
from {{ typed }}
group by {{ period }}, event_type
union all
select
    {{ period }},
    'all' as event_type,
    cast(sum(n_events) as bigint) as n_events,
    count(customer_id) as n_customers,
    cast(sum(revenue) as decimal(38, 4)) as revenue
from {{ whole }}
group by {{ period }}
{% endmacro %}

{#- What visits came to in a period: visitors, new ones, sessions by the day they began, money by the day it was spent. -#}
{% macro traffic_by(period, day_start) %}
with active as (
    select {{ period }}, n_events, n_customers, revenue
    from {{ ref('daily_activity' if period == 'day' else 'monthly_activity') }}
    where event_type = 'all'
),

newcomers as (
    select {{ day_start('first_on') }} as {{ period }}, count(*) as n_new_customers
    from (
        select customer_id, min(first_on) as first_on
        from {{ ref('int_customer_months_seen') }}
        where customer_id is not null
        group by customer_id
    ) as firsts
    group by {{ day_start('first_on') }}
),

begun as (
    select
        {{ day_start('started_on') }} as {{ period }},
        count(*) as n_sessions,
        count(case when is_bounce then 1 end) as n_bounces,
        count(case when has_purchase then 1 end) as n_sessions_with_purchase,
        cast(sum(seconds) as bigint) as seconds
    from {{ ref('sessions') }}
    group by {{ day_start('started_on') }}
),

final as (
    select
        active.{{ period }},
        active.n_events,
        active.n_customers,
        coalesce(newcomers.n_new_customers, 0) as n_new_customers,
        coalesce(begun.n_sessions, 0) as n_sessions,
        coalesce(begun.n_bounces, 0) as n_bounces,
        cast(begun.n_bounces as double) / begun.n_sessions as bounce_rate,
        coalesce(begun.n_sessions_with_purchase, 0) as n_sessions_with_purchase,
        cast(begun.n_sessions_with_purchase as double) / begun.n_sessions as conversion,
        cast(begun.seconds as double) / begun.n_sessions as seconds_per_session,
        active.revenue,
        cast(active.revenue as double) / nullif(active.n_customers, 0) as revenue_per_visitor
    from active
    left join newcomers on active.{{ period }} = newcomers.{{ period }}
    left join begun on active.{{ period }} = begun.{{ period }}
)

select * from final
{% endmacro %}

{#- The first day of a date's month. -#}
{% macro month_start(day) %}cast(date_trunc('month', {{ day }}) as date){% endmacro %}

{% macro as_it_is(day) %}{{ day }}{% endmacro %}
