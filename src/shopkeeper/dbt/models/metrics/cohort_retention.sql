-- Grain: one row per month of a customer's first order and number of months since; months without a buyer included.
with sales as (
    select customer_id, cast(date_trunc('month', ordered_on) as date) as month_start, net_sales
    from {{ ref('orders') }}
    where has_customer and has_sale
),

cohorts as (
    select customer_id, min(month_start) as cohort_month from sales group by customer_id
),

sizes as (
    select cohort_month, count(*) as n_customers from cohorts group by cohort_month
),

active as (
    select
        cohorts.cohort_month,
        sales.month_start,
        count(distinct sales.customer_id) as n_active,
        cast(sum(sales.net_sales) as decimal(38, 4)) as net_sales
    from sales
    inner join cohorts on sales.customer_id = cohorts.customer_id
    group by cohorts.cohort_month, sales.month_start
),

months as (
    select distinct month_start from {{ ref('calendar_days') }}
),

final as (
    select
        sizes.cohort_month,
        cast(
            (year(months.month_start) - year(sizes.cohort_month)) * 12
            + month(months.month_start) - month(sizes.cohort_month) as integer
        ) as months_since,
        months.month_start,
        sizes.n_customers,
        coalesce(active.n_active, 0) as n_active,
        cast(coalesce(active.n_active, 0) as double) / sizes.n_customers as retention,
        coalesce(active.net_sales, 0) as net_sales
    from sizes
    inner join months on months.month_start >= sizes.cohort_month
    left join active on sizes.cohort_month = active.cohort_month and months.month_start = active.month_start
)

select * from final
