-- Grain: one row per customer that a source describes: what the latest load that mentions it says.
with source as (
    {{ committed('customers') }}
),

ranked as (
    select *, {{ latest('customer_id') }} as place from source
)

select customer_id, country, city, {{ utc('signed_up_at') }} as signed_up_at, attributes
from ranked
where place = 1
