-- Grain: one row per product of a catalogue: what the latest load that mentions it says.
with source as (
    {{ committed('products') }}
),

ranked as (
    select *, {{ latest('upper(trim(product_id))') }} as place from source
)

select upper(trim(product_id)) as product_id, description, category, brand, unit_price, unit_cost
from ranked
where place = 1
