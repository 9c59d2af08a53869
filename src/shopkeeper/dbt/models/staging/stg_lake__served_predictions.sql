-- Grain: one row per prediction served, of committed loads.
with source as (
    {{ committed('served_predictions') }}
)

select
    {{ utc('predicted_at') }} as predicted_at,
    subject,
    model_version,
    published_version,
    cast(as_of as date) as as_of,
    inputs,
    output,
    milliseconds,
    source,
    source_file,
    source_row,
    load_id
from source
