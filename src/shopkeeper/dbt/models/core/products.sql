-- Grain: one row per product code (upper-cased, trimmed) that was sold or that a catalogue lists. Key: product_id.
with lines as (
    select * from {{ ref('order_lines') }} where product_id is not null and {{ counts() }}
),

catalogue as (
    select * from {{ ref('stg_lake__products') }}
),

sold as (
    select
        product_id,
        count(*) as n_lines,
        count(distinct order_id) as n_orders,
        cast(coalesce(sum(case when line_kind in ('sale', 'free', 'cancellation', 'return') then quantity end), 0) as decimal(18, 3)) as n_units,
        min(case when line_kind = 'sale' then ordered_on end) as first_sold_on,
        max(case when line_kind = 'sale' then ordered_on end) as last_sold_on,
        min(case when line_kind = 'sale' then unit_price end) as lowest_price,
        max(case when line_kind = 'sale' then unit_price end) as highest_price,
        count(case when line_kind in ('sale', 'free', 'cancellation', 'return', 'stock_adjustment') then 1 end) = 0 as is_service,
        min(category) as category,
        {{ money_columns() }}
    from lines
    group by product_id
),

-- What the product is called on most lines; ties go to the first by name.
descriptions as (
    select product_id, description
    from (
        select
            product_id,
            description,
            row_number() over (partition by product_id order by count(*) desc, description asc) as place
        from lines
        where description is not null
        group by product_id, description
    ) as ranked
    where place = 1
),

known as (
    select product_id from sold
    union
    select product_id from catalogue
),

final as (
    select
        known.product_id,
        coalesce(catalogue.description, descriptions.description) as description,
        coalesce(catalogue.category, sold.category) as category,
        catalogue.brand,
        catalogue.unit_price as list_price,
        catalogue.unit_cost,
        coalesce(sold.is_service, false) as is_service,
        sold.first_sold_on,
        sold.last_sold_on,
        sold.lowest_price,
        sold.highest_price,
        coalesce(sold.n_lines, 0) as n_lines,
        coalesce(sold.n_orders, 0) as n_orders,
        coalesce(sold.n_units, 0) as n_units,
        {{ money_or_zero('sold') }}
    from known
    left join sold on known.product_id = sold.product_id
    left join catalogue on known.product_id = catalogue.product_id
    left join descriptions on known.product_id = descriptions.product_id
)

select * from final
