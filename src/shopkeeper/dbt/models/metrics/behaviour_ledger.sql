-- Grain: one row per identity that must hold between the tables of behaviour; `difference` is zero or the build fails. Key: rule.
with events as (
    select
        count(case when not is_duplicate then 1 end) as n_events,
        count(case when not is_duplicate and (session_id is not null or customer_id is not null) then 1 end) as n_in_sessions,
        coalesce(sum(case when not is_duplicate then revenue end), 0) as revenue
    from {{ ref('events') }}
),

sessions as (
    select coalesce(sum(n_events), 0) as n_events, count(*) as n_sessions from {{ ref('sessions') }}
),

days as (
    select coalesce(sum(n_events), 0) as n_events, coalesce(sum(n_sessions), 0) as n_sessions, coalesce(sum(revenue), 0) as revenue
    from {{ ref('daily_traffic') }}
),

months as (
    select coalesce(sum(n_events), 0) as n_events, coalesce(sum(n_sessions), 0) as n_sessions, coalesce(sum(revenue), 0) as revenue
    from {{ ref('monthly_traffic') }}
),

compared as (
    select 'events of sessions = events that belong to one' as rule, events.n_in_sessions as expected, sessions.n_events as actual
    from events cross join sessions
    {% for period in ('days', 'months') %}
    union all
    select 'events of {{ period }} = events', events.n_events, {{ period }}.n_events from events cross join {{ period }}
    union all
    select 'sessions of {{ period }} = sessions', sessions.n_sessions, {{ period }}.n_sessions from sessions cross join {{ period }}
    union all
    select 'revenue of {{ period }} = of events', events.revenue, {{ period }}.revenue from events cross join {{ period }}
    {% endfor %}
),

final as (
    select
        rule,
        cast(expected as decimal(38, 4)) as expected,
        cast(actual as decimal(38, 4)) as actual,
        cast(actual - expected as decimal(38, 4)) as difference
    from compared
)

select * from final
