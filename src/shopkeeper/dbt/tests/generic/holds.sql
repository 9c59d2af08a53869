{#- All that must be true of a table, asked in one scan: dbt's fixed cost per test is most of a small run.
    key: columns that together are unique and never null; not_null: further columns; rules: sentence → condition.
    A failing rule comes back as a row: the rule and how many rows break it. -#}
{% test holds(model, key=[], not_null=[], rules={}) %}
{%- set checks = {} -%}
{%- for column in key + not_null -%}
    {%- do checks.update({column ~ ' is never null': 'count(case when ' ~ column ~ ' is null then 1 end)'}) -%}
{%- endfor -%}
{%- if key -%}
    {%- do checks.update({(key | join(', ')) ~ ' is unique': 'count(*) - ' ~ count_distinct_rows(key)}) -%}
{%- endif -%}
{%- for rule, condition in rules.items() -%}
    {%- do checks.update({rule: 'count(case when not (' ~ condition ~ ') then 1 end)'}) -%}
{%- endfor -%}
with counted as (
    select
        {% for rule, count in checks.items() -%}
        {{ count }} as check_{{ loop.index }}{{ "," if not loop.last }}
        {% endfor %}
    from {{ model }}
)

{% for rule in checks -%}
select '{{ rule | replace("'", "''") }}' as rule, check_{{ loop.index }} as n_rows from counted where check_{{ loop.index }} <> 0
{{ 'union all' if not loop.last }}
{% endfor %}
{% endtest %}
