-- Grain: one row per customer with activity: its interval of rank 1. Key: customer_id.
select customer_id, valid_from, valid_to, is_open, attributes, n_statements, load_id
from {{ ref('customer_activity_ranked') }}
where activity_rank = 1
