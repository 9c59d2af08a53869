-- Grain: one row per campaign, customer and moment of exposure; equal ones of several files are one. Key: those three and arm.
with staged as (
    select * from {{ ref('stg_lake__exposures') }}
),

numbered as (
    select
        *,
        row_number() over (
            partition by campaign_id, customer_id, arm, exposed_at order by source, source_file, source_row, load_id
        ) as nth
    from staged
)

select
    campaign_id,
    customer_id,
    arm,
    arm = 'control' as is_control,
    exposed_at,
    cast({{ shop_time('exposed_at') }} as date) as exposed_on,
    source,
    source_file,
    source_row,
    load_id
from numbered
where nth = 1
