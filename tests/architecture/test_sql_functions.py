"""The warehouse's SQL uses only what both of its engines have, but for the bodies of the dispatch macros.

A parser alone accepts anything that looks like a function. So every name before a parenthesis, in models, macros, tests
and the rules of the YAML, is held against sql_functions.txt; text inside of Jinja (SQL that macros are handed) counts, too.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest
import yaml

from shopkeeper.warehouse import PROJECT

ALLOWED = {
    line.split("#")[0].strip()
    for line in (Path(__file__).parent / "sql_functions.txt").read_text("utf-8").splitlines()
    if line.split("#")[0].strip()
}
# Words that may stand before a parenthesis and are no functions: clauses, operators, types, names of common tables.
KEYWORDS = frozenset(  # one text is easier to read than sixty
    "and as between by case decimal distinct else except exists from having in inner intersect into is join left like "
    "not on or over select set then union using values varchar when where with partition exclude".split()
)
FORBIDDEN = {
    r"\bqualify\b": "qualify: number the rows in one CTE and choose in the next",
    r"\*\s*(exclude|replace|except)\b": "select * exclude: name the columns",
    r"\bfilter\s*\(": "filter (where …): write count(case when … then 1 end)",
    r"\b(group|order)\s+by\s+all\b": "by all: name the columns",
    r"::": "::type: write cast(… as type)",
    r"\b(semi|anti|asof|positional)\s+join\b": "semi and anti joins: write in (…) or a left join",
    r"\bdistinct\s+on\b": "distinct on: number the rows and choose",
    r"\b(i?like\s+any|ilike|similar\s+to|glob)\b": "like any, ilike, glob: write lower(…) like",
    r"//": "//: write floor(a / b)",
    r"\[\s*'": "[…]: lists differ between the engines; use rows",
}
DISPATCHED = re.compile(r"\{%-?\s*macro\s+(?:duckdb|spark)__\w+.*?\{%-?\s*endmacro\s*-?%\}", re.DOTALL)
CALL = re.compile(r"(?<![\w.$])([A-Za-z_]\w*)\s*\(")
QUOTED = re.compile(r"'(?:[^']|'')*'")


def sql_of(source: str) -> Iterator[str]:
    """Yield the SQL in a Jinja file, engine-specific bodies left out: its plain text, then each text inside of Jinja.

    What Jinja puts into the plain text stands there as the name `jinja_value`.
    """
    plain: list[str] = []
    for _, kind, value in jinja2.Environment().lex(DISPATCHED.sub("", source)):  # noqa: S701 - nothing is rendered
        if kind == "data":
            plain.append(value)
        elif kind == "variable_end":
            plain.append(" jinja_value ")
        elif kind == "string":
            # A hook is a text with Jinja inside.
            yield from sql_of(value[1:-1]) if "{{" in value else (value[1:-1],)
    yield "".join(plain)


def without_comments(sql: str) -> str:
    """Return SQL without comments and without the text of its literals."""
    return QUOTED.sub("''", re.sub(r"--[^\n]*", "", sql))


def strangers(source: str) -> list[str]:
    """Return the functions that are not on the list, and the constructs that only one engine has."""
    found = []
    for sql in map(without_comments, sql_of(source)):
        names = {name.lower() for name in CALL.findall(sql)} - KEYWORDS
        found += [f"{name}()" for name in sorted(names - ALLOWED - _common_tables(sql))]
        found += [advice for pattern, advice in FORBIDDEN.items() if re.search(pattern, sql, re.IGNORECASE)]
    return found


def _common_tables(sql: str) -> set[str]:
    # `with name as (`: the name stands before `as`, so only a column list would put it before a parenthesis.
    return {name.lower() for name in re.findall(r"\binsert into\s+[\w.]*?(\w+)\s*\(", sql)}


FILES = sorted([*PROJECT.rglob("models/**/*.sql"), *PROJECT.rglob("macros/*.sql"), *PROJECT.rglob("tests/**/*.sql")])


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_only_functions_of_both_engines(path):
    """Functions are on the list; what is not belongs in a dispatch macro, with a body for each engine."""
    assert strangers(path.read_text("utf-8")) == [], (
        "write a dispatch macro in macros/engine.sql with a body per engine"
    )


@pytest.mark.parametrize("path", sorted(PROJECT.rglob("*.yml")), ids=lambda path: path.stem)
def test_rules_use_only_functions_of_both_engines(path):
    """The conditions that a table must hold are SQL like any other."""
    assert [found for rule in _rules(yaml.safe_load(path.read_text("utf-8"))) for found in strangers(rule)] == []


def _rules(told: object) -> Iterator[str]:
    if isinstance(told, dict):
        for key, value in told.items():
            if key == "rules":
                yield from value.values()
            else:
                yield from _rules(value)
    elif isinstance(told, list):
        for each in told:
            yield from _rules(each)


def test_each_dispatch_has_both_bodies():
    """What one engine has a body for, the other has, too."""
    text = "".join(path.read_text("utf-8") for path in (PROJECT / "macros").glob("*.sql"))
    bodies = {engine: set(re.findall(rf"macro {engine}__(\w+)", text)) for engine in ("duckdb", "spark")}
    dispatched = set(re.findall(r"adapter\.dispatch\('(\w+)'", text))
    assert bodies["duckdb"] == bodies["spark"] == dispatched


def test_nothing_is_allowed_in_vain():
    """The list holds functions that are used, so that it stays short enough to be checked by a person."""
    text = "".join(path.read_text("utf-8").lower() for path in [*FILES, *PROJECT.rglob("*.yml")])
    assert [name for name in sorted(ALLOWED) if not re.search(rf"\b{name}\s*\(", text)] == []


@pytest.mark.parametrize(
    ("sql", "stranger"),
    [
        ("select list_aggregate(x, 'sum') from t", "list_aggregate()"),
        ("select arg_max (a, b) from t", "arg_max()"),
        ("select EPOCH_MS(a) from t", "epoch_ms()"),
        ("{{ money('strftime(a, x)') }} from t", "strftime()"),
        ("{% set x %}select median(a){% endset %}", "median()"),
        ("select {{ name }}(a) from t", "jinja_value()"),
        ("{% macro shared(a) %}date_diff('day', a, b){% endmacro %}", "date_diff()"),
        ("select * from t qualify n = 1", "qualify"),
        ("select * exclude (a) from t", "exclude"),
        ("select count(*) filter (where a) from t", "filter"),
        ("select a, count(*) from t group by all", "by all"),
        ("select a::date from t", "::"),
        ("select a from t anti join u on a = b", "anti"),
    ],
)
def test_a_planted_stranger_is_found(sql, stranger):
    """SQL of one engine only is told, in plain text, in Jinja and in macros."""
    assert stranger in " ".join(strangers(sql))


@pytest.mark.parametrize(
    "sql",
    [
        "{% macro duckdb__x(a) %}list_aggregate(a){% endmacro %}",
        "select 'a::b (qualify)' as text -- median(x)",
        "{# median(x) #} select count(*) from {{ ref('t') }} where a in (1, 2)",
    ],
)
def test_what_is_no_stranger_is_let_be(sql):
    """Bodies of the dispatch macros, texts and comments are not looked at."""
    assert strangers(sql) == []
