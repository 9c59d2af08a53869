-- Grain: one row per labelled customer. Key: customer_id.
select * from {{ ref('stg_lake__labels') }}
