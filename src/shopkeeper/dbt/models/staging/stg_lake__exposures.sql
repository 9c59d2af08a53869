-- Grain: one row per exposure as the source said it, of committed loads.
with source as (
    {{ committed('exposures') }}
)

select campaign_id, customer_id, arm, {{ utc('exposed_at') }} as exposed_at, source, source_file, source_row, load_id
from source
