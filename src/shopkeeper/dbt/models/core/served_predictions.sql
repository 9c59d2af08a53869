-- Grain: one row per prediction that the API served. Nothing in it tells who was asked about. Key: load_id, source_row.
select * from {{ ref('stg_lake__served_predictions') }}
