-- Grain: one row per customer with a label: what the latest load that mentions it says.
with source as (
    {{ committed('labels') }}
),

ranked as (
    select *, {{ latest('customer_id') }} as place from source
)

select customer_id, label, {{ utc('labelled_at') }} as labelled_at, source, source_file, source_row, load_id
from ranked
where place = 1
