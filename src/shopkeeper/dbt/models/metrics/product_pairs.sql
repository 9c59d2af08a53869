-- Grain: one row per scope (order, session) and pair of products bought together in at least pair_minimum baskets.
-- Baskets of more than basket_limit products are left out of pairs and of every count here, and counted beside them.
with bought as (
    select distinct 'order' as scope, order_id as basket_id, product_id
    from {{ ref('order_lines') }}
    where line_kind = 'sale' and product_id is not null and {{ counts() }}
    union all
    select distinct 'session' as scope, session_id, product_id
    from {{ ref('int_events_sessioned') }}
    where event_type = 'purchase' and product_id is not null
),

sized as (
    select *, count(*) over (partition by scope, basket_id) as n_products from bought
),

baskets as (
    select
        scope,
        count(distinct case when n_products <= {{ var('basket_limit') }} then basket_id end) as n_baskets,
        count(distinct case when n_products > {{ var('basket_limit') }} then basket_id end) as n_baskets_left_out
    from sized
    group by scope
),

-- A pair cannot occur oftener than its products: rare ones go first. Numbers join and group faster than texts.
products as (
    select scope, product_id, count(*) as n_product, row_number() over (order by scope, product_id) as number
    from sized
    where n_products <= {{ var('basket_limit') }}
    group by scope, product_id
    having count(*) >= {{ var('pair_minimum') }}
),

items as (
    select dense_rank() over (order by sized.scope, sized.basket_id) as basket, products.number
    from sized
    inner join products on sized.scope = products.scope and sized.product_id = products.product_id
    where sized.n_products between 2 and {{ var('basket_limit') }}
),

pairs as (
    select a.number as number_a, b.number as number_b, count(*) as n_together
    from items as a
    inner join items as b on a.basket = b.basket and a.number < b.number
    group by a.number, b.number
    having count(*) >= {{ var('pair_minimum') }}
),

final as (
    select
        a.scope,
        a.product_id as product_id_a,
        b.product_id as product_id_b,
        pairs.n_together,
        a.n_product as n_a,
        b.n_product as n_b,
        baskets.n_baskets,
        baskets.n_baskets_left_out,
        cast(pairs.n_together as double) / baskets.n_baskets as support,
        cast(pairs.n_together as double) / a.n_product as confidence_a_to_b,
        cast(pairs.n_together as double) / b.n_product as confidence_b_to_a,
        cast(pairs.n_together as double) * baskets.n_baskets / (cast(a.n_product as double) * b.n_product) as lift
    from pairs
    inner join products as a on pairs.number_a = a.number
    inner join products as b on pairs.number_b = b.number
    inner join baskets on a.scope = baskets.scope
)

select * from final
