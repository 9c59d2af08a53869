-- Grain: one row per month of a visitor's first event and number of months since; months without a visitor included.
with seen as (
    select customer_id, month_start from {{ ref('int_customer_months_seen') }} where customer_id is not null
),

cohorts as (
    select customer_id, min(month_start) as cohort_month from seen group by customer_id
),

sizes as (
    select cohort_month, count(*) as n_customers from cohorts group by cohort_month
),

active as (
    select cohorts.cohort_month, seen.month_start, count(*) as n_active
    from seen
    inner join cohorts on seen.customer_id = cohorts.customer_id
    group by cohorts.cohort_month, seen.month_start
),

months as (
    select distinct month_start from {{ ref('monthly_activity') }}
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
        cast(coalesce(active.n_active, 0) as double) / sizes.n_customers as retention
    from sizes
    inner join months on months.month_start >= sizes.cohort_month
    left join active on sizes.cohort_month = active.cohort_month and months.month_start = active.month_start
)

select * from final
