-- Grain: one row per day with events and event type, and one of type `all` per day. Key: day, event_type.
{{ activity_by('day', 'day') }}
