-- Grain: one row per day on which a session began. Key: day.
with sessions as (
    select * from {{ ref('sessions') }}
),

counted as (
    select
        started_on as day,
        count(*) as n_sessions,
        count(case when has_view then 1 end) as n_with_view,
        count(case when has_cart then 1 end) as n_with_cart,
        count(case when has_purchase then 1 end) as n_with_purchase,
        count(case when has_view and has_cart then 1 end) as n_view_to_cart,
        count(case when has_view and has_cart and has_purchase then 1 end) as n_view_to_cart_to_purchase
    from sessions
    group by started_on
),

final as (
    select
        *,
        cast(n_view_to_cart as double) / nullif(n_with_view, 0) as cart_rate,
        cast(n_view_to_cart_to_purchase as double) / nullif(n_view_to_cart, 0) as purchase_rate,
        cast(n_view_to_cart_to_purchase as double) / nullif(n_with_view, 0) as view_to_purchase_rate
    from counted
)

select * from final
