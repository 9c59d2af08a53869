-- Grain: one row per order line as the source said it, of committed loads. Row-local columns only.
with source as (
    {{ committed('order_lines') }}
),

final as (
    {{ typed_order_lines('source', lineage()) }}
)

select * from final
