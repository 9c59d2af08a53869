-- Grain: one row per month with events. Key: month_start.
{{ traffic_by('month_start', month_start) }}
