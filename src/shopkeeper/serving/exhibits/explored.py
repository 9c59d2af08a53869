"""What a table holds as exhibits: what was counted of it, with the query that counts the same again."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from shopkeeper.engine import literal, quote
from shopkeeper.serving.editions import Edition
from shopkeeper.serving.exhibits.exhibit import Exhibit, Shown
from shopkeeper.serving.profiling import (
    Association,
    Column,
    Correlation,
    Fault,
    TableProfile,
    TableSummary,
    boxes_sql,
    grid_sql,
)
from shopkeeper.serving.profiling.columns import number_of
from shopkeeper.serving.profiling.faults import KINDS
from shopkeeper.serving.profiling.pairs import GroupKind

if TYPE_CHECKING:
    import duckdb

MOST_EXAMPLES = 500
UNITS = {
    "customer_id": "customer",
    "product_id": "product",
    "store_id": "store",
    "quantity": "number",
    "on_hand": "number",
    "unit_price": "price",
    "price": "price",
    "net_sales": "money",
    "occurred_at": "moment",
    "moved_at": "moment",
}
"""Columns of examples that are no text; beside these, days end in ``_on`` and counts begin with ``n_``."""


def counted(edition: Edition, exhibit: Exhibit) -> Shown:
    """Return what an exhibit that needs no filter says of a version; kept with it."""

    def read() -> Any:
        with edition.cursor() as connection:
            return connection.execute(exhibit.sql).to_arrow_table()

    return Shown(exhibit, edition.keep((exhibit.name, exhibit.sql), read), exhibit.sql, edition.number)


def of_rows(exhibit: Exhibit, rows: Iterable[Sequence[Any]], version: int) -> Shown:
    """Return what was counted before as an exhibit's answer; the rows in the order of its columns."""
    import pyarrow as pa

    names, listed = list(exhibit.units), list(rows)
    table = pa.table({name: [row[place] for row in listed] for place, name in enumerate(names)})
    return Shown(exhibit, table, exhibit.sql, version)


def tables(connection: "duckdb.DuckDBPyConnection", found: Sequence[TableSummary], version: int) -> Shown:
    """Return all tables: rows, columns, missing cells, grain."""
    columns: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "select schema_name || '.' || table_name, column_name from duckdb_columns() order by column_index"
    ).fetchall():
        columns.setdefault(table, []).append(column)
    parts = []
    for each in found:
        known = " + ".join(f"count({quote(name)})" for name in columns[each.name])
        parts.append(
            f'select {literal(each.name)} as "table", count(*) as n_rows, {each.n_columns} as n_columns, '
            f"1 - ({known}) / nullif(count(*) * {each.n_columns}, 0) as missing_share, {literal(each.grain)} as grain "
            f"from {each.name}"
        )
    exhibit = Exhibit(
        "tables",
        "Tables",
        "All tables of the published version: how many rows and columns each has, and which share of its cells is empty.",
        "\nunion all ".join(parts),
        "table:text n_rows:count n_columns:count missing_share:share grain:text",
        obeys=(),
        headings={"n_rows": "Rows", "n_columns": "Columns", "missing_share": "Cells missing", "grain": "One row is"},
    )
    rows = [(each.name, each.n_rows, each.n_columns, each.missing_share, each.grain) for each in found]
    return of_rows(exhibit, rows, version)


def columns(table: TableProfile) -> Shown:
    """Return the columns of a table: type, rows with and without a value, how many values differ."""
    parts = [
        f'select {literal(each.name)} as "column", {literal(each.type.lower())} as type, count(*) - count({quote(each.name)}) '
        f"as n_missing, count(distinct {quote(each.name)}) as n_different from {table.name}"
        for each in table.columns
    ]
    exhibit = Exhibit(
        "columns",
        "Columns",
        "Every column: its type, which share of the rows has no value, how many values differ, and how they are spread. "
        "Of more than a million different values the number is estimated, to about 2 %.",
        "\nunion all ".join(parts),
        "column:text type:text n_missing:count n_different:count",
        obeys=(),
    )
    return of_rows(
        exhibit,
        [(each.name, each.type.lower(), each.n_missing, each.n_distinct) for each in table.columns],
        table.version,
    )


def spread(table: TableProfile, column: Column) -> Exhibit | None:
    """Return the exhibit of how a column's values are spread; None where nothing may be or is there to be shown."""
    name, head = quote(column.name), f"Spread of {column.name}"
    if column.numbers is not None:
        first, n = column.numbers.bins[0], len(column.numbers.bins)
        start, width = first.low, first.high - first.low
        place = f"least(greatest(floor(({number_of(column.name)} - {start!r}) / {width!r}), -1), {n})"
        sql = (
            f"select case when bin >= 0 then {start!r} + {width!r} * bin end as low,\n"
            f"    case when bin < {n} then {start!r} + {width!r} * (bin + 1) end as high, count(*) as n_rows\n"
            f"from (select {place} as bin from {table.name})\nwhere bin is not null group by bin order by bin"
        )
        told = (
            "Rows from the lower end of a bar up to the upper. The box holds the middle half of the rows, the line in it is "
            "the median; whiskers end at the last value within 1.5 quartile ranges, all beyond is an outlier."
        )
        return Exhibit("spread", head, told, sql, "low:number high:number n_rows:count", obeys=())
    if column.moments is not None:
        unit = column.moments.unit
        value = name if column.type.upper() == "DATE" else f"make_timestamp(epoch_us({name}))"
        sql = (
            f"select date_trunc('{unit}', {value}) as begins, count(*) as n_rows\nfrom {table.name}\n"
            f"where isfinite({name}) group by 1 order by 1"
        )
        return Exhibit("spread", head, f"Rows per {unit}; times are UTC.", sql, "begins:text n_rows:count", obeys=())
    if column.texts is None or not column.texts.top:
        return None
    sql = (
        f"select cast({name} as varchar) as value, count(*) as n_rows\nfrom {table.name}\n"
        f"where {name} is not null group by 1 order by n_rows desc, value limit {len(column.texts.top)}"
    )
    return Exhibit("spread", head, "The most frequent values.", sql, "value:text n_rows:count", obeys=())


def correlations(table: TableProfile, found: Sequence[Correlation]) -> Shown:
    """Return each two columns of numbers with both coefficients."""
    exhibit = Exhibit(
        "correlations",
        "Correlations",
        "Above the diagonal Pearson's coefficient, below it Spearman's: that of ranks, in which one extreme value counts no "
        "more than its place. 1: both rise together, -1: one falls as the other rises, 0: neither. Of a large table, a sample.",
        "",
        "first:text second:text pearson:number spearman:number n_rows:count",
        obeys=(),
    )
    return of_rows(
        exhibit, [(each.first, each.second, each.pearson, each.spearman, each.n_rows) for each in found], table.version
    )


def closest(table: TableProfile, found: Sequence[Association]) -> Shown:
    """Return the pairs of columns that go together, the closest first."""
    exhibit = Exhibit(
        "closest-pairs",
        "The closest pairs",
        "From 0 to 1, where one column tells the other. Two numbers: Spearman's coefficient without its sign. A number by a "
        "text: how much of its spread lies between the groups, as a correlation. Two texts: Cramér's V.",
        "",
        "first:text second:text strength:number kind:text",
        obeys=(),
        headings={"first": "Column", "second": "goes with", "strength": "How closely", "kind": "How measured"},
    )
    rows = [(each.first, each.second, round(each.strength, 3), each.kind) for each in found]
    return of_rows(exhibit, rows, table.version)


def pair(table: TableProfile, first: str, second: str, kind: GroupKind | None) -> Exhibit:
    """Return the exhibit of two columns: boxes of a number for each value of a text, else rows counted by both."""
    if kind == "number by text":
        return Exhibit(
            "pair",
            f"{first} by {second}",
            f"For each of the most frequent values of {second}, those with five rows at least: the middle half of its rows "
            "in a box, the median in it, whiskers to the last value within 1.5 quartile ranges.",
            boxes_sql(table, first, second),
            "value:text n_rows:count mean:number lower_whisker:number q1:number median:number q3:number "
            "upper_whisker:number n_below:count n_above:count",
            obeys=(),
        )
    return Exhibit(
        "pair",
        f"{second} over {first}",
        "Rows counted by both columns: in bins of numbers and of times, and by the most frequent values of texts.",
        grid_sql(table, first, second),
        "across:text down:text n_rows:count",
        obeys=(),
    )


def kind_of_pair(first: Column, second: Column) -> GroupKind | None:
    """Return how two columns are held against one another, the number first; None where one is of times."""
    kinds = ["number" if each.numbers else "time" if each.moments else "text" for each in (first, second)]
    if "time" in kinds:
        return None
    return "number by number" if kinds == ["number"] * 2 else "number by text" if "number" in kinds else "text by text"


def faults(found: Sequence[Fault], version: int) -> Shown:
    """Return the faults by kind: rows, share of the table, money, what each means."""
    exhibit = Exhibit(
        "faults",
        "Faults of the data",
        "Rows that a person should know of before believing a figure. They are kept and flagged, not deleted. Money: the sum of "
        "the amounts on such rows.",
        "\nunion all ".join(map(_count_of, found)),
        "fault:text table:text n_rows:count share:share amount:money meaning:text",
        obeys=(),
        headings={"n_rows": "Rows", "amount": "Money on them", "meaning": "What it means"},
    )
    rows = [(each.name, each.table, each.n_rows, each.share, each.amount, each.meaning) for each in found]
    return of_rows(exhibit, rows, version)


def _count_of(fault: Fault) -> str:
    worth = next(kind.worth for kind in KINDS[fault.table] if kind.name == fault.name)
    amount = f"sum({worth})" if fault.amount is not None else "null"
    return (
        f'select {literal(fault.name)} as fault, {literal(fault.table)} as "table", count(*) as n_rows, count(*) / (select '
        f"count(*) from {fault.table}) as share, {amount} as amount, {literal(fault.meaning)} as meaning from ({fault.sql})"
    )


def examples(fault: Fault) -> Exhibit:
    """Return the exhibit of rows with a fault; customers stand in it only if they did in the fault's examples."""
    units = " ".join(f"{name}:{_unit(name)}" for name in fault.columns)
    return Exhibit(
        f"rows-{fault.name.replace(' ', '-').replace(',', '')}",
        f"Rows: {fault.name}",
        fault.meaning,
        f"select {', '.join(fault.columns)}\nfrom ({fault.sql})\norder by {fault.columns[0]} limit {MOST_EXAMPLES}",
        units,
        obeys=(),
    )


def _unit(name: str) -> str:
    if name in UNITS:
        return UNITS[name]
    return "date" if name.endswith("_on") else "count" if name.startswith("n_") else "text"
