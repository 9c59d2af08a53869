-- Grain: one row per day with events: which events it holds, as one number. Tables that are built by day compare it with
-- the number they were built from, which staging.applied_event_days keeps for each of them. Key: day.
{{ config(materialized='table', post_hook="create table if not exists staging.applied_event_days (model_name varchar(255), day date, fingerprint decimal(38, 0))") }}

select
    occurred_on as day,
    count(*) as n_events,
    cast({{ sum_of_hashes(['load_id', 'source_row', 'is_duplicate']) }} as decimal(38, 0)) as fingerprint
from {{ ref('events') }}
group by occurred_on
