-- Grain: one row per weekday and hour of the shop's clock with a purchase. Key: iso_weekday, hour.
with purchases as (
    select
        {{ iso_weekday('occurred_on') }} as iso_weekday, occurred_hour as hour, occurred_on, customer_id, revenue
    from {{ ref('events') }}
    where event_type = 'purchase' and not is_duplicate
),

final as (
    select
        iso_weekday,
        hour,
        count(*) as n_purchases,
        count(distinct customer_id) as n_customers,
        count(distinct occurred_on) as n_days,
        cast(sum(revenue) as decimal(38, 4)) as revenue
    from purchases
    group by iso_weekday, hour
)

select * from final
