-- Grain: one row per store: what the latest load that mentions it says; its state from the table of cities if need be.
with source as (
    {{ committed('stores') }}
),

cities as (
    select * from {{ ref('us_cities') }}
),

ranked as (
    select *, {{ latest('store_id') }} as place from source
)

select
    ranked.store_id,
    ranked.name,
    ranked.city,
    coalesce(ranked.state, cities.state) as state,
    ranked.country,
    ranked.attributes
from ranked
left join cities on lower(trim(ranked.city)) = lower(cities.city)
where ranked.place = 1
