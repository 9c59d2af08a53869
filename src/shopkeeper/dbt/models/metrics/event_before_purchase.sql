-- Grain: one row per month of purchase, scope and type of the event before it. Key: month_start, scope, previous_event_type.
with buying as (
    select session_id from {{ ref('sessions') }} where has_purchase
),

events as (
    select e.session_id, e.product_id, e.event_type, e.occurred_at, e.occurred_on, e.event_id
    from {{ ref('int_events_sessioned') }} as e
    inner join buying on e.session_id = buying.session_id
),

preceded as (
    select
        {{ month_start('occurred_on') }} as month_start,
        event_type,
        product_id,
        lag(event_type) over (partition by session_id order by occurred_at, event_id) as in_session,
        lag(event_type) over (partition by session_id, product_id order by occurred_at, event_id) as of_product
    from events
),

counted as (
    select month_start, 'session' as scope, coalesce(in_session, 'none') as previous_event_type, count(*) as n_purchases
    from preceded
    where event_type = 'purchase'
    group by month_start, coalesce(in_session, 'none')
    union all
    select month_start, 'product', coalesce(of_product, 'none'), count(*)
    from preceded
    where event_type = 'purchase' and product_id is not null
    group by month_start, coalesce(of_product, 'none')
),

final as (
    select
        *,
        cast(n_purchases as double) / sum(n_purchases) over (partition by month_start, scope) as share
    from counted
)

select * from final
