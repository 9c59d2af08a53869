-- Grain: one row per statement of what held of a customer from when to when, as the source said it, of committed loads.
with source as (
    {{ committed('customer_activity') }}
)

select
    customer_id,
    {{ utc('valid_from') }} as valid_from,
    {{ utc('valid_to') }} as valid_to,
    attributes,
    source,
    source_file,
    source_row,
    load_id
from source
