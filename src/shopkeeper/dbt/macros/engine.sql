{#- What differs between the engines. Models call these names only; each engine has its own body. -#}

{% macro open_lake() %}{{ return(adapter.dispatch('open_lake', 'shopkeeper')()) }}{% endmacro %}

{% macro duckdb__open_lake() %}
  {%- if var('delta_extension') -%} load '{{ var("delta_extension") }}' {%- endif -%}
{% endmacro %}

{% macro spark__open_lake() %} select 1 {% endmacro %}

{#- A table of the lake, by name. -#}
{% macro lake_table(name) %}{{ return(adapter.dispatch('lake_table', 'shopkeeper')(name)) }}{% endmacro %}

{% macro duckdb__lake_table(name) %}delta_scan('{{ (var("lake") ~ "/" ~ name) | replace("'", "''") }}'){% endmacro %}

{% macro spark__lake_table(name) %}delta.`{{ var("lake") }}/{{ name }}`{% endmacro %}

{#- A moment with a zone → the same instant as a plain timestamp in UTC. -#}
{% macro utc(moment) %}{{ return(adapter.dispatch('utc', 'shopkeeper')(moment)) }}{% endmacro %}

{% macro duckdb__utc(moment) %}make_timestamp(epoch_us({{ moment }})){% endmacro %}

{% macro spark__utc(moment) %}cast({{ moment }} as timestamp_ntz){% endmacro %}

{#- A plain UTC timestamp → what the shop's clock showed. -#}
{% macro shop_time(moment) %}
  {%- if var('timezone') in ('UTC', 'Etc/UTC') -%} {{ moment }}
  {%- else -%} {{ adapter.dispatch('shop_time', 'shopkeeper')(moment) }}
  {%- endif -%}
{% endmacro %}

{% macro duckdb__shop_time(moment) %}timezone('{{ var("timezone") }}', timezone('UTC', {{ moment }})){% endmacro %}

{% macro spark__shop_time(moment) %}convert_timezone('UTC', '{{ var("timezone") }}', {{ moment }}){% endmacro %}

{#- One row per day from the first to the last, column `day`. -#}
{% macro days_between(first, last) %}{{ return(adapter.dispatch('days_between', 'shopkeeper')(first, last)) }}{% endmacro %}

{% macro duckdb__days_between(first, last) %}
select cast(unnest(generate_series(cast({{ first }} as timestamp), cast({{ last }} as timestamp), interval 1 day)) as date) as day
{% endmacro %}

{% macro spark__days_between(first, last) %}
select explode(sequence({{ first }}, {{ last }}, interval 1 day)) as day
{% endmacro %}

{#- Exact quantile with linear interpolation. -#}
{% macro quantile(column, share) %}{{ return(adapter.dispatch('quantile', 'shopkeeper')(column, share)) }}{% endmacro %}

{% macro duckdb__quantile(column, share) %}quantile_cont({{ column }}, {{ share }}){% endmacro %}

{% macro spark__quantile(column, share) %}percentile({{ column }}, {{ share }}){% endmacro %}

{#- Number of digits in a text. -#}
{% macro n_digits(text) %}length({{ text }}) - length(regexp_replace({{ text }}, '[0-9]', ''{{ adapter.dispatch('all_matches', 'shopkeeper')() }})){% endmacro %}

{% macro duckdb__all_matches() %}, 'g'{% endmacro %}

{% macro spark__all_matches() %}{% endmacro %}

{#- Whole minutes, days, months from one moment to another. -#}
{% macro seconds_between(first, last) %}{{ return(adapter.dispatch('seconds_between', 'shopkeeper')(first, last)) }}{% endmacro %}

{% macro duckdb__seconds_between(first, last) %}date_diff('second', {{ first }}, {{ last }}){% endmacro %}

{% macro spark__seconds_between(first, last) %}timestampdiff(second, {{ first }}, {{ last }}){% endmacro %}

{% macro days_apart(first, last) %}{{ return(adapter.dispatch('days_apart', 'shopkeeper')(first, last)) }}{% endmacro %}

{% macro duckdb__days_apart(first, last) %}date_diff('day', {{ first }}, {{ last }}){% endmacro %}

{% macro spark__days_apart(first, last) %}datediff({{ last }}, {{ first }}){% endmacro %}

{#- Keep a column of an incremental table equal to what another query says of each key. -#}
{% macro refresh_column(target, key, column, from_sql) %}{{ return(adapter.dispatch('refresh_column', 'shopkeeper')(target, key, column, from_sql)) }}{% endmacro %}

{% macro duckdb__refresh_column(target, key, column, from_sql) %}
update {{ target }} as t set {{ column }} = f.{{ column }}
from ({{ from_sql }}) as f
where t.{{ key }} = f.{{ key }} and t.{{ column }} is distinct from f.{{ column }}
{% endmacro %}

{% macro spark__refresh_column(target, key, column, from_sql) %}
merge into {{ target }} as t using ({{ from_sql }}) as f
on t.{{ key }} = f.{{ key }} and not (t.{{ column }} <=> f.{{ column }})
when matched then update set {{ column }} = f.{{ column }}
{% endmacro %}

{#- Monday 1 … Sunday 7; the engines' own weekday() disagree on both ends. -#}
{% macro iso_weekday(day) %}{{ return(adapter.dispatch('iso_weekday', 'shopkeeper')(day)) }}{% endmacro %}

{% macro duckdb__iso_weekday(day) %}isodow({{ day }}){% endmacro %}

{% macro spark__iso_weekday(day) %}(weekday({{ day }}) + 1){% endmacro %}

{#- How many different rows of some columns; no column may be null. -#}
{% macro count_distinct_rows(columns) %}{{ return(adapter.dispatch('count_distinct_rows', 'shopkeeper')(columns)) }}{% endmacro %}

{% macro duckdb__count_distinct_rows(columns) %}count(distinct ({{ columns | join(', ') }})){% endmacro %}

{% macro spark__count_distinct_rows(columns) %}count(distinct {{ columns | join(', ') }}){% endmacro %}

{#- A plain timestamp as microseconds since 1970. -#}
{% macro micros(moment) %}{{ return(adapter.dispatch('micros', 'shopkeeper')(moment)) }}{% endmacro %}

{% macro duckdb__micros(moment) %}epoch_us({{ moment }}){% endmacro %}

{% macro spark__micros(moment) %}unix_micros(cast({{ moment }} as timestamp)){% endmacro %}

{#- A quick 64-bit hash of some columns, nulls included; other values on each engine, so it is never stored in a mart. -#}
{% macro quick_hash(columns) %}{{ return(adapter.dispatch('quick_hash', 'shopkeeper')(columns)) }}{% endmacro %}

{% macro duckdb__quick_hash(columns) %}hash({{ columns | join(', ') }}){% endmacro %}

{% macro spark__quick_hash(columns) %}xxhash64({{ columns | join(', ') }}){% endmacro %}

{#- Sum of the quick hashes of a group's rows, whatever their order, exact. -#}
{% macro sum_of_hashes(columns) %}{{ return(adapter.dispatch('sum_of_hashes', 'shopkeeper')(columns)) }}{% endmacro %}

{% macro duckdb__sum_of_hashes(columns) %}sum(hash({{ columns | join(', ') }})){% endmacro %}

{% macro spark__sum_of_hashes(columns) %}sum(cast(xxhash64({{ columns | join(', ') }}) as decimal(38, 0))){% endmacro %}
