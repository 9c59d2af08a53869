{#- What is known of a customer as of a moment. Each macro renders one SELECT over relations that it is handed by name:
    tables of core, or rows in memory under the same names. A moment is a day of the shop and knows the days before it.
    All that is counted is first dated by the day on which it came to be known, in a way that later rows cannot change;
    then a moment adds up what is dated before it. Sums are of whole numbers and decimals: their order does not matter. -#}

{#- Windows, in days back from the moment. -#}
{% macro feature_windows() %}{{ return([30, 90, 365]) }}{% endmacro %}

{#- The lines that count and have a customer; the purchases among events where a shop has no order lines. -#}
{% macro counted_lines(order_lines, events) %}
{%- if var('orders_from') == 'events' -%}
select
    customer_id,
    coalesce(session_id, event_id) as order_id,
    product_id,
    category_code as category,
    cast(null as {{ dbt.type_string() }}) as country,
    occurred_on as ordered_on,
    {{ shop_time('occurred_at') }} as ordered_at_local,
    'sale' as line_kind,
    coalesce(quantity, 1) as quantity,
    revenue as gross_amount,
    cast(0 as decimal(18, 4)) as discount_amount,
    revenue as net_amount
from {{ events }}
where event_type = 'purchase' and not is_duplicate and customer_id is not null
{%- else -%}
select
    customer_id, order_id, product_id, category, country, ordered_on, ordered_at_local, line_kind, quantity,
    gross_amount, discount_amount, net_amount
from {{ order_lines }}
where customer_id is not null and {{ counts() }}
{%- endif -%}
{% endmacro %}

{#- Two CTEs. order_days: a customer's order on one day, for the lines of an order may lie on several. dated_orders: when
    the order first had a sale, a return, either of them. -#}
{% macro order_tables(order_lines, events) %}
order_days as (
    select
        customer_id,
        order_id,
        ordered_on,
        min(country) as country,
        min(case when line_kind = 'sale' then ordered_at_local end) as sold_at_local,
        count(case when line_kind = 'sale' then 1 end) as n_sale_lines,
        count(case when line_kind in ('cancellation', 'return') then 1 end) as n_return_lines,
        cast(coalesce(sum(case when line_kind = 'sale' then quantity end), 0) as decimal(38, 3)) as n_units,
        {{ money_columns() }}
    from ({{ counted_lines(order_lines, events) }}) as lines
    group by customer_id, order_id, ordered_on
),

dated_orders as (
    select
        customer_id,
        min(sold_at_local) as sold_at_local,
        min(case when n_return_lines > 0 then ordered_on end) as returned_on,
        min(case when n_sale_lines > 0 or n_return_lines > 0 then ordered_on end) as placed_on
    from order_days
    group by customer_id, order_id
)
{% endmacro %}

{#- Three CTEs. visit_days: sessions that lie within one day, by customer and day. spanning_sessions and spanning_days: those
    that do not, and what happened in them on each day; a moment sees their days before it, and no more. -#}
{% macro session_tables(events, sessions) %}
visit_days as (
    select
        customer_id,
        started_on,
        count(*) as n_sessions,
        count(case when is_bounce then 1 end) as n_bounces,
        count(case when has_purchase then 1 end) as n_conversions,
        sum(n_views) as n_views,
        sum(n_carts) as n_carts,
        sum(n_purchases) as n_purchase_events,
        sum(seconds) as seconds
    from {{ sessions }}
    where customer_id is not null and started_on = ended_on
    group by customer_id, started_on
),

spanning_sessions as (
    select session_id, is_made, customer_id, started_at, ended_at from {{ sessions }} where started_on <> ended_on
),

spanning_days as (
    select
        session_id,
        occurred_on,
        min(customer_id) as customer_id,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        count(*) as n_events,
        count(case when event_type = 'view' then 1 end) as n_views,
        count(case when event_type = 'cart' then 1 end) as n_carts,
        count(case when event_type = 'purchase' then 1 end) as n_purchase_events
    from (
        select s.session_id, e.customer_id, e.occurred_at, e.occurred_on, e.event_type
        from {{ events }} as e
        inner join spanning_sessions as s on e.session_id = s.session_id
        where not s.is_made and not e.is_duplicate
        union all
        select s.session_id, e.customer_id, e.occurred_at, e.occurred_on, e.event_type
        from {{ events }} as e
        inner join spanning_sessions as s
            on e.customer_id = s.customer_id and e.occurred_at between s.started_at and s.ended_at
        where e.session_id is null and s.is_made and not e.is_duplicate
    ) as events_of_them
    group by session_id, occurred_on
)
{% endmacro %}

{#- One CTE. known_customers: the day on which a customer was first heard of. A profile that no source dates has
    always been there. -#}
{% macro known_customers(customers) %}
known_customers as (
    select customer_id, min(known_on) as known_on
    from (
        select customer_id, ordered_on as known_on from order_days
        union all
        select customer_id, started_on from visit_days
        union all
        select customer_id, occurred_on from spanning_days where customer_id is not null
        union all
        select customer_id, coalesce(cast({{ shop_time('signed_up_at') }} as date), cast('0001-01-01' as date))
        from {{ customers }}
        where has_profile
    ) as heard
    group by customer_id
)
{% endmacro %}

{#- What is counted of a customer's day: measure → the type of its sums. -#}
{% macro day_measures() %}
{%- set found = {'n_sale_lines': 'bigint', 'n_units': 'decimal(38, 3)'} -%}
{%- for name in ['gross_sales', 'discounts', 'returns', 'net_sales'] -%}{%- do found.update({name: 'decimal(38, 4)'}) -%}{%- endfor -%}
{%- for name in ['n_orders', 'n_morning', 'n_afternoon', 'n_evening', 'hours', 'n_cancellations', 'n_placed', 'n_products', 'n_categories'] -%}
    {%- do found.update({name: 'bigint'}) -%}
{%- endfor -%}
{{ return(found) }}
{% endmacro %}

{#- The thing a customer has had most often before each moment; ties go to the first by name. `dated_things`: rows of
    customer_id, thing, day, n. -#}
{% macro most_frequent(dated_things, moments) %}
select customer_id, as_of, thing, n, n_all
from (
    select
        customer_id,
        as_of,
        thing,
        n,
        sum(n) over (partition by customer_id, as_of) as n_all,
        row_number() over (partition by customer_id, as_of order by n desc, thing asc) as place
    from (
        select d.customer_id, m.as_of, d.thing, sum(d.n) as n
        from {{ dated_things }} as d
        inner join {{ moments }} as m on d.day < m.as_of
        group by d.customer_id, m.as_of, d.thing
    ) as counted_things
) as ranked
where place = 1
{% endmacro %}

{#- customer_features: one row per customer known before a moment, and moment. -#}
{% macro customer_features(order_lines, events, sessions, customers, moments) %}
with {{ order_tables(order_lines, events) }},

{{ session_tables(events, sessions) }},

{{ known_customers(customers) }},

category_days as (
    select customer_id, category as thing, ordered_on as day, count(*) as n
    from ({{ counted_lines(order_lines, events) }}) as lines
    where line_kind = 'sale' and category is not null
    group by customer_id, category, ordered_on
),

country_days as (
    select customer_id, country as thing, day, count(*) as n
    from (
        select customer_id, country, min(ordered_on) as day
        from order_days
        where country is not null
        group by customer_id, order_id, country
    ) as first_days
    group by customer_id, country, day
),

sold_days as (
    select
        customer_id,
        ordered_on as day,
        {%- for name, kind in day_measures().items() if name in ['n_sale_lines', 'n_units', 'gross_sales', 'discounts', 'returns', 'net_sales'] %}
        cast(sum({{ name }}) as {{ kind }}) as {{ name }}{{ "," if not loop.last }}
        {%- endfor %}
    from order_days
    group by customer_id, ordered_on
),

-- An order counts on the day of its first sale, a product on the day it was first bought.
order_firsts as (
    select
        customer_id,
        cast(sold_at_local as date) as day,
        count(*) as n_orders,
        count(case when hour(sold_at_local) < 12 then 1 end) as n_morning,
        count(case when hour(sold_at_local) between 12 and 16 then 1 end) as n_afternoon,
        count(case when hour(sold_at_local) > 16 then 1 end) as n_evening,
        sum(hour(sold_at_local)) as hours
    from dated_orders
    where sold_at_local is not null
    group by customer_id, cast(sold_at_local as date)
),

return_firsts as (
    select customer_id, returned_on as day, count(*) as n_cancellations from dated_orders group by customer_id, returned_on
),

placed_firsts as (
    select customer_id, placed_on as day, count(*) as n_placed from dated_orders group by customer_id, placed_on
),

product_firsts as (
    select customer_id, day, count(*) as n_products
    from (
        select customer_id, product_id, min(ordered_on) as day
        from ({{ counted_lines(order_lines, events) }}) as lines
        where line_kind = 'sale' and product_id is not null
        group by customer_id, product_id
    ) as firsts
    group by customer_id, day
),

category_firsts as (
    select customer_id, day, count(*) as n_categories
    from (select customer_id, thing, min(day) as day from category_days group by customer_id, thing) as firsts
    group by customer_id, day
),

-- Whatever is dated is dated by a day with lines.
customer_days as (
    select
        sold_days.*,
        {%- for name in ['n_orders', 'n_morning', 'n_afternoon', 'n_evening', 'hours'] %}
        coalesce(order_firsts.{{ name }}, 0) as {{ name }},
        {%- endfor %}
        coalesce(return_firsts.n_cancellations, 0) as n_cancellations,
        coalesce(placed_firsts.n_placed, 0) as n_placed,
        coalesce(product_firsts.n_products, 0) as n_products,
        coalesce(category_firsts.n_categories, 0) as n_categories
    from sold_days
    {%- for firsts in ['order_firsts', 'return_firsts', 'placed_firsts', 'product_firsts', 'category_firsts'] %}
    left join {{ firsts }} on sold_days.customer_id = {{ firsts }}.customer_id and sold_days.day = {{ firsts }}.day
    {%- endfor %}
),

-- Days between orders are between days with a sale, never between lines.
gapped as (
    select
        *,
        max(case when n_sale_lines > 0 then day end) over (
            partition by customer_id order by day rows between unbounded preceding and 1 preceding
        ) as previous_on
    from customer_days
),

aged as (
    select
        g.*,
        m.as_of,
        {{ days_apart('g.day', 'm.as_of') }} as age,
        {{ iso_weekday('g.day') }} as iso_weekday,
        case when g.n_sale_lines > 0 then {{ days_apart('g.previous_on', 'g.day') }} end as gap
    from gapped as g
    inner join {{ moments }} as m on g.day < m.as_of
),

ordered as (
    select
        customer_id,
        as_of,
        {%- for name, kind in day_measures().items() %}
        cast(sum({{ name }}) as {{ kind }}) as {{ name }},
        {%- endfor %}
        {%- for days in feature_windows() %}
        cast(coalesce(sum(case when age <= {{ days }} then n_orders end), 0) as bigint) as n_orders_{{ days }}d,
        cast(coalesce(sum(case when age <= {{ days }} then net_sales end), 0) as decimal(38, 4)) as net_sales_{{ days }}d,
        {%- endfor %}
        {%- for weekday in range(1, 8) %}
        cast(coalesce(sum(case when iso_weekday = {{ weekday }} then n_orders end), 0) as bigint) as n_weekday_{{ weekday }},
        {%- endfor %}
        count(case when n_sale_lines > 0 then 1 end) as n_order_days,
        cast(min(case when n_sale_lines > 0 then age end) as bigint) as days_since_last_order,
        cast(max(case when n_sale_lines > 0 then age end) as bigint) as days_since_first_order,
        count(gap) as n_gaps,
        cast(sum(gap) as bigint) as gaps,
        cast(sum(gap * gap) as bigint) as squared_gaps
    from aged
    group by customer_id, as_of
),

-- Months are of 30 days, counted back from the moment: month 0 is the last one, and the first order lies in the earliest.
months as (
    select
        a.customer_id,
        a.as_of,
        cast(floor((a.age - 1) / 30) as integer) as months_back,
        cast(floor((max(o.days_since_first_order) - 1) / 30) as bigint) + 1 as n_months,
        cast(sum(a.net_sales) as decimal(38, 4)) as net_sales
    from aged as a
    inner join ordered as o on a.customer_id = o.customer_id and a.as_of = o.as_of
    where floor((a.age - 1) / 30) <= floor((o.days_since_first_order - 1) / 30)
    group by a.customer_id, a.as_of, cast(floor((a.age - 1) / 30) as integer)
),

scaled as (
    select
        *,
        cast(sum(net_sales) over (partition by customer_id, as_of) as decimal(38, 4)) as total,
        cast(max(abs(net_sales)) over (partition by customer_id, as_of) as double) as scale
    from months
),

-- Numbers are divided by the largest of them and rounded to 18 decimals, so that they add up alike in any order.
monthly as (
    select
        customer_id,
        as_of,
        n_months,
        total,
        scale,
        count(*) as n_active,
        sum(cast(cast(net_sales as double) / nullif(scale, 0) as decimal(38, 18))) as shares,
        sum(cast(cast(net_sales as double) / nullif(scale, 0) * months_back as decimal(38, 18))) as shares_back,
        sum(cast(
            (cast(net_sales as double) - cast(total as double) / n_months) / nullif(scale, 0)
            * ((cast(net_sales as double) - cast(total as double) / n_months) / nullif(scale, 0)) as decimal(38, 18)
        )) as squares
    from scaled
    group by customer_id, as_of, n_months, total, scale
),

month_sales as (
    select
        customer_id,
        as_of,
        cast(total as double) / n_months as mean,
        case
            when n_months < 2 then null
            when scale = 0 then 0
            else scale * sqrt((
                cast(squares as double)
                + (n_months - n_active) * (cast(total as double) / n_months / scale) * (cast(total as double) / n_months / scale)
            ) / (n_months - 1))
        end as deviation,
        case
            when n_months < 2 then null
            when scale = 0 then 0
            else scale * ((n_months - 1) * cast(shares as double) / 2 - cast(shares_back as double)) * 12
                / (cast(n_months as double) * n_months * n_months - n_months)
        end as trend
    from monthly
),

main_countries as (
    {{ most_frequent('country_days', moments) }}
),

main_categories as (
    {{ most_frequent('category_days', moments) }}
),

-- A session that goes on after the moment counts with what happened before it.
cut_sessions as (
    select
        d.session_id,
        m.as_of,
        min(d.customer_id) as customer_id,
        min(d.occurred_on) as started_on,
        sum(d.n_events) as n_events,
        sum(d.n_views) as n_views,
        sum(d.n_carts) as n_carts,
        sum(d.n_purchase_events) as n_purchase_events,
        floor(({{ micros('max(d.ended_at)') }} - {{ micros('min(d.started_at)') }}) / 1000000) as seconds
    from spanning_days as d
    inner join {{ moments }} as m on d.occurred_on < m.as_of
    group by d.session_id, m.as_of
),

visits as (
    select
        v.customer_id, m.as_of, v.started_on, v.n_sessions, v.n_bounces, v.n_conversions, v.n_views, v.n_carts, v.n_purchase_events,
        v.seconds
    from visit_days as v
    inner join {{ moments }} as m on v.started_on < m.as_of
    union all
    select
        customer_id,
        as_of,
        started_on,
        1,
        case when n_events = 1 then 1 else 0 end,
        case when n_purchase_events > 0 then 1 else 0 end,
        n_views,
        n_carts,
        n_purchase_events,
        seconds
    from cut_sessions
    where customer_id is not null
),

visited as (
    select
        customer_id,
        as_of,
        {%- for name in ['n_sessions', 'n_bounces', 'n_conversions', 'n_views', 'n_carts', 'n_purchase_events', 'seconds'] %}
        cast(sum({{ name }}) as bigint) as {{ name }},
        {%- endfor %}
        {%- for days in feature_windows() %}
        cast(coalesce(sum(case when {{ days_apart('started_on', 'as_of') }} <= {{ days }} then n_sessions end), 0) as bigint) as n_sessions_{{ days }}d,
        {%- endfor %}
        {{ days_apart('max(started_on)', 'as_of') }} as days_since_last_session
    from visits
    group by customer_id, as_of
)

select
    k.customer_id,
    m.as_of,
    {%- for name in ['n_orders', 'n_order_days'] %}
    coalesce(o.{{ name }}, 0) as {{ name }},
    {%- endfor %}
    o.days_since_last_order,
    o.days_since_first_order,
    {%- for days in feature_windows() %}
    coalesce(o.n_orders_{{ days }}d, 0) as n_orders_{{ days }}d,
    {%- endfor %}
    {%- for name in ['gross_sales', 'discounts', 'returns', 'net_sales', 'net_sales_30d', 'net_sales_90d', 'net_sales_365d'] %}
    cast(coalesce(o.{{ name }}, 0) as double) as {{ name }},
    {%- endfor %}
    cast(o.gross_sales as double) / nullif(o.n_orders, 0) as sales_per_order,
    cast(o.gross_sales as double) / nullif(o.n_order_days, 0) as sales_per_order_day,
    cast(coalesce(o.n_units, 0) as double) as n_units,
    cast(o.n_units as double) / nullif(o.n_orders, 0) as units_per_order,
    cast(o.n_sale_lines as double) / nullif(o.n_orders, 0) as lines_per_order,
    coalesce(o.n_products, 0) as n_products,
    coalesce(o.n_categories, 0) as n_categories,
    cast(o.n_products as double) / nullif(o.n_orders, 0) as products_per_order,
    cast(o.gaps as double) / nullif(o.n_gaps, 0) as mean_days_between_orders,
    case when o.n_gaps > 1 then sqrt(
        cast(o.n_gaps * o.squared_gaps - o.gaps * o.gaps as double) / (o.n_gaps * (o.n_gaps - 1))
    ) end as sd_days_between_orders,
    {%- for weekday in range(1, 8) %}
    cast(o.n_weekday_{{ weekday }} as double) / nullif(o.n_orders, 0) as weekday_share_{{ weekday }},
    {%- endfor %}
    {%- for part in ['morning', 'afternoon', 'evening'] %}
    cast(o.n_{{ part }} as double) / nullif(o.n_orders, 0) as share_{{ part }},
    {%- endfor %}
    cast(o.hours as double) / nullif(o.n_orders, 0) as mean_order_hour,
    main_countries.thing as country,
    main_categories.thing as main_category,
    cast(main_categories.n as double) / main_categories.n_all as main_category_share,
    coalesce(o.n_cancellations, 0) as n_cancellations,
    cast(o.n_cancellations as double) / nullif(o.n_placed, 0) as cancellation_rate,
    cast(-o.returns as double) / nullif(cast(o.gross_sales as double), 0) as return_share,
    cast(-o.discounts as double) / nullif(cast(o.gross_sales as double), 0) as discount_share,
    month_sales.mean as month_sales_mean,
    month_sales.deviation as month_sales_sd,
    month_sales.trend as month_sales_trend,
    {%- for name in ['n_sessions', 'n_views', 'n_carts', 'n_purchase_events'] %}
    coalesce(v.{{ name }}, 0) as {{ name }},
    {%- endfor %}
    {%- for days in feature_windows() %}
    coalesce(v.n_sessions_{{ days }}d, 0) as n_sessions_{{ days }}d,
    {%- endfor %}
    cast(v.days_since_last_session as bigint) as days_since_last_session,
    cast(v.n_conversions as double) / v.n_sessions as session_conversion,
    cast(v.n_carts as double) / nullif(v.n_views, 0) as cart_rate,
    cast(v.n_bounces as double) / v.n_sessions as bounce_rate,
    cast(v.seconds as double) / v.n_sessions as seconds_per_session
from known_customers as k
inner join {{ moments }} as m on k.known_on < m.as_of
left join ordered as o on k.customer_id = o.customer_id and m.as_of = o.as_of
left join month_sales on k.customer_id = month_sales.customer_id and m.as_of = month_sales.as_of
left join main_countries on k.customer_id = main_countries.customer_id and m.as_of = main_countries.as_of
left join main_categories on k.customer_id = main_categories.customer_id and m.as_of = main_categories.as_of
left join visited as v on k.customer_id = v.customer_id and m.as_of = v.as_of
{% endmacro %}

{#- What the customers known before a moment did from it on, up to and without the day `until` of the moment. -#}
{% macro customer_outcomes(order_lines, events, sessions, customers, moments) %}
with {{ order_tables(order_lines, events) }},

{{ session_tables(events, sessions) }},

{{ known_customers(customers) }},

customer_days as (
    select
        customer_id,
        day,
        sum(n_orders) as n_orders,
        sum(n_sale_lines) as n_sale_lines,
        sum(gross_sales) as gross_sales,
        sum(net_sales) as net_sales
    from (
        select customer_id, ordered_on as day, 0 as n_orders, n_sale_lines, gross_sales, net_sales from order_days
        union all
        select customer_id, cast(sold_at_local as date), 1, 0, 0, 0 from dated_orders where sold_at_local is not null
    ) as dated
    group by customer_id, day
),

ahead as (
    select
        d.customer_id,
        m.as_of,
        cast(sum(d.n_orders) as bigint) as n_orders,
        count(case when d.n_sale_lines > 0 then 1 end) as n_order_days,
        cast(sum(d.gross_sales) as decimal(38, 4)) as gross_sales,
        cast(sum(d.net_sales) as decimal(38, 4)) as net_sales,
        min(case when d.n_sale_lines > 0 then {{ days_apart('m.as_of', 'd.day') }} end) as days_to_next_order
    from customer_days as d
    inner join {{ moments }} as m on d.day >= m.as_of and d.day < m.until
    group by d.customer_id, m.as_of
)

select
    k.customer_id,
    m.as_of,
    coalesce(a.n_orders, 0) as n_orders_ahead,
    coalesce(a.n_order_days, 0) as n_order_days_ahead,
    cast(coalesce(a.gross_sales, 0) as double) as gross_sales_ahead,
    cast(coalesce(a.net_sales, 0) as double) as net_sales_ahead,
    cast(a.days_to_next_order as bigint) as days_to_next_order
from known_customers as k
inner join {{ moments }} as m on k.known_on < m.as_of
left join ahead as a on k.customer_id = a.customer_id and m.as_of = a.as_of
{% endmacro %}

{#- One row per customer and day with a sale; orders are those with a sale on that day. -#}
{% macro customer_order_days(order_lines, events) %}
with {{ order_tables(order_lines, events) }}

select
    customer_id,
    ordered_on,
    count(case when n_sale_lines > 0 then 1 end) as n_orders,
    cast(cast(sum(gross_sales) as decimal(38, 4)) as double) as gross_sales,
    cast(cast(sum(net_sales) as decimal(38, 4)) as double) as net_sales
from order_days
group by customer_id, ordered_on
having sum(n_sale_lines) > 0
{% endmacro %}

{#- The first and the last day with an order; no row where there is none. -#}
{% macro order_bounds(order_lines, events) %}
{%- if var('orders_from') == 'events' -%}
select min(occurred_on) as first_on, max(occurred_on) as last_on
from {{ events }}
where event_type = 'purchase' and not is_duplicate
{%- else -%}
select min(ordered_on) as first_on, max(ordered_on) as last_on
from {{ order_lines }}
where {{ counts() }}
{%- endif %}
having max({{ 'occurred_on' if var('orders_from') == 'events' else 'ordered_on' }}) is not null
{% endmacro %}

{#- What sources say of customers as of a moment, as JSON objects: what held when the day began, else what held last before;
    and the profile, which has no history, of those who had signed up. `origin` 1 is activity, 2 the profile. -#}
{% macro customer_attributes(customers, activity, moments) %}
with stated as (
    select
        a.customer_id,
        m.as_of,
        a.attributes,
        row_number() over (
            partition by a.customer_id, m.as_of
            order by
                case when a.valid_to is null or {{ shop_time('a.valid_to') }} > m.as_of then 0 else 1 end,
                a.activity_rank
        ) as place
    from {{ activity }} as a
    inner join {{ moments }} as m on {{ shop_time('a.valid_from') }} <= m.as_of
)

select customer_id, as_of, 1 as origin, attributes
from stated
where place = 1 and attributes is not null
union all
select c.customer_id, m.as_of, 2 as origin, c.attributes
from {{ customers }} as c
inner join {{ moments }} as m on c.signed_up_at is null or {{ shop_time('c.signed_up_at') }} < m.as_of
where c.attributes is not null
{% endmacro %}

{#- The lines that were sold and name a product, customers known or not: what baskets, demand and prices are made of. -#}
{% macro sale_lines(order_lines, events) %}
{%- if var('orders_from') == 'events' -%}
select
    coalesce(session_id, event_id) as order_id,
    customer_id,
    product_id,
    category_code as category,
    cast(null as {{ dbt.type_string() }}) as store_id,
    cast(null as {{ dbt.type_string() }}) as country,
    currency,
    occurred_on as ordered_on,
    cast(coalesce(quantity, 1) as double) as quantity,
    cast(price as double) as unit_price,
    cast(revenue as double) as gross_amount,
    cast(0 as double) as discount_amount,
    cast(revenue as double) as net_amount,
    false as is_outlier
from {{ events }}
where event_type = 'purchase' and not is_duplicate and product_id is not null and price > 0
{%- else -%}
select
    order_id, customer_id, product_id, category, store_id, country, currency, ordered_on,
    cast(quantity as double) as quantity,
    cast(unit_price as double) as unit_price,
    cast(gross_amount as double) as gross_amount,
    cast(discount_amount as double) as discount_amount,
    cast(net_amount as double) as net_amount,
    is_outlier
from {{ order_lines }}
where line_kind = 'sale' and product_id is not null and {{ counts() }}
{%- endif -%}
{% endmacro %}

{#- What was looked at, put in the cart and bought in each visit; visits of a tracker without ids are not told apart here. -#}
{% macro session_products(events) %}
select
    session_id,
    min(customer_id) as customer_id,
    product_id,
    min(occurred_on) as started_on,
    count(case when event_type = 'view' then 1 end) as n_views,
    count(case when event_type = 'cart' then 1 end) as n_carts,
    count(case when event_type = 'purchase' then 1 end) as n_purchases
from {{ events }}
where session_id is not null and product_id is not null and not is_duplicate
group by session_id, product_id
{% endmacro %}

{#- What is sold: one row per product of the shop, postage and the like left out. -#}
{% macro known_products(products, events) %}
{%- if var('orders_from') == 'events' -%}
select
    product_id,
    cast(null as {{ dbt.type_string() }}) as description,
    max(category_code) as category,
    max(brand) as brand,
    cast(null as double) as list_price,
    cast(null as double) as unit_cost
from {{ events }}
where product_id is not null and not is_duplicate
group by product_id
{%- else -%}
select
    product_id,
    description,
    category,
    brand,
    cast(list_price as double) as list_price,
    cast(unit_cost as double) as unit_cost
from {{ products }}
where not is_service
{%- endif -%}
{% endmacro %}
