-- Grain: one row per day with events. Key: day.
{{ traffic_by('day', as_it_is) }}
