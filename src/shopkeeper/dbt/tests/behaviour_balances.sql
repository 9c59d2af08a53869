-- What must add up between the tables of behaviour; a row says which sum does not, and by how many.
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

differences as (
    select 'events of sessions = events that belong to one' as rule, sessions.n_events - events.n_in_sessions as n_rows
    from sessions cross join events
    union all
    select 'events of days = events', days.n_events - events.n_events from days cross join events
    union all
    select 'sessions of days = sessions', days.n_sessions - sessions.n_sessions from days cross join sessions
    union all
    select 'revenue of days = of events', days.revenue - events.revenue from days cross join events
)

select rule, n_rows from differences where n_rows <> 0
