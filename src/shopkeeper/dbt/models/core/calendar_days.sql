-- Grain: one row per day from the first to the last day on which anything happened, in the shop's zone. Key: day.
with lines as (
    select ordered_on as day, line_kind = 'sale' as is_sale from {{ ref('order_lines') }}
),

bounds as (
    select min(day) as first_day, max(day) as last_day from lines
),

days as (
    {{ days_between('(select first_day from bounds)', '(select last_day from bounds)') }}
),

trading as (
    select distinct day from lines where is_sale
),

final as (
    select
        days.day,
        year(days.day) as year,
        quarter(days.day) as quarter,
        month(days.day) as month,
        cast(date_trunc('month', days.day) as date) as month_start,
        cast(date_trunc('week', days.day) as date) as week_start,
        {{ iso_weekday('days.day') }} as iso_weekday,
        trading.day is not null as is_trading_day
    from days
    left join trading on days.day = trading.day
)

select * from final
