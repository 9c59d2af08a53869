-- Grain: one row per month with events and event type, and one of type `all` per month. Key: month_start, event_type.
{{ activity_by('month_start', month_start('day')) }}
