-- Grain: one row per customer and validity interval; rank 1 is the latest. Key: customer_id, activity_rank.
with staged as (
    select * from {{ ref('stg_lake__customer_activity') }}
),

-- Equal statements are one. What was said anew of an interval (another end, other values) is a row of its own.
stated as (
    select
        customer_id,
        valid_from,
        valid_to,
        attributes,
        count(*) as n_statements,
        max(load_id) as load_id
    from staged
    group by customer_id, valid_from, valid_to, attributes
),

-- The latest begins last; of those that begin together, the one that still holds or ends last; then by its values.
final as (
    select
        customer_id,
        cast(row_number() over (
            partition by customer_id
            order by valid_from desc, coalesce(valid_to, timestamp '9999-12-31 00:00:00') desc, attributes asc
        ) as integer) as activity_rank,
        valid_from,
        valid_to,
        valid_to is null as is_open,
        attributes,
        n_statements,
        load_id
    from stated
)

select * from final
