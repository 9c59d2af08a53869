-- Grain: one row per customer that ordered or that a source describes; guests have orders but no row here. Key: customer_id.
with orders as (
    select * from {{ ref('orders') }} where has_customer
),

profiles as (
    select * from {{ ref('stg_lake__customers') }}
),

ordered as (
    select
        customer_id,
        min(case when has_sale then ordered_at end) as first_ordered_at,
        max(case when has_sale then ordered_at end) as last_ordered_at,
        min(case when has_sale then ordered_on end) as first_ordered_on,
        max(case when has_sale then ordered_on end) as last_ordered_on,
        count(case when has_sale then 1 end) as n_orders,
        count(case when has_return then 1 end) as n_orders_with_return,
        cast(sum(gross_sales) as decimal(38, 4)) as gross_sales,
        cast(sum(discounts) as decimal(38, 4)) as discounts,
        cast(sum(returns) as decimal(38, 4)) as returns,
        cast(sum(net_sales) as decimal(38, 4)) as net_sales,
        cast(sum(other_amount) as decimal(38, 4)) as other_amount
    from orders
    group by customer_id
),

-- The country of most orders; ties go to the first by name.
countries as (
    select customer_id, country
    from (
        select
            customer_id,
            country,
            row_number() over (partition by customer_id order by count(*) desc, country asc) as place
        from orders
        where country is not null
        group by customer_id, country
    ) as ranked
    where place = 1
),

known as (
    select customer_id from ordered
    union
    select customer_id from profiles
),

final as (
    select
        known.customer_id,
        profiles.customer_id is not null as has_profile,
        coalesce(profiles.country, countries.country) as country,
        profiles.city,
        profiles.signed_up_at,
        profiles.attributes,
        ordered.first_ordered_at,
        ordered.last_ordered_at,
        ordered.first_ordered_on,
        ordered.last_ordered_on,
        coalesce(ordered.n_orders, 0) as n_orders,
        coalesce(ordered.n_orders_with_return, 0) as n_orders_with_return,
        {{ money_or_zero('ordered') }}
    from known
    left join ordered on known.customer_id = ordered.customer_id
    left join profiles on known.customer_id = profiles.customer_id
    left join countries on known.customer_id = countries.customer_id
)

select * from final
