-- Grain: one row per event that belongs to a session, repeats left out; the session's id and day stand beside it.
select
    e.event_id,
    e.session_id,
    e.event_type,
    e.occurred_at,
    e.occurred_on,
    e.customer_id,
    e.product_id,
    e.revenue
from {{ ref('events') }} as e
where e.session_id is not null and not e.is_duplicate
union all
select
    e.event_id,
    s.session_id,
    e.event_type,
    e.occurred_at,
    e.occurred_on,
    e.customer_id,
    e.product_id,
    e.revenue
from {{ ref('events') }} as e
inner join {{ ref('sessions') }} as s
    on e.customer_id = s.customer_id and e.occurred_at between s.started_at and s.ended_at
where e.session_id is null and not e.is_duplicate and s.is_made
