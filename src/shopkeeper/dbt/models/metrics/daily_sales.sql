-- Grain: one row per day with any order line, dimension and member; each dimension adds up to the shop's day.
{{ sales_by('day', "ordered_on") }},

final as (
    select
        sold.*,
        week_before.net_sales as net_sales_week_before,
        case when week_before.net_sales > 0
            then cast(sold.net_sales - week_before.net_sales as double) / cast(week_before.net_sales as double) end as growth_on_week
    from sold
    left join sold as week_before
        on sold.dimension = week_before.dimension
        and sold.member = week_before.member
        and sold.day = cast(week_before.day + interval '7' day as date)
)

select * from final
