"""Two columns at a time: how closely they go together, and what their rows look like.

Strengths are measured on all rows of a table of up to ``MOST_CELLS`` numbers, beyond on a sample of them that is the same at
every call: each n-th row by the hash of its place. What is drawn (grids, boxes) counts all rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import combinations
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any, Literal

from shopkeeper import vocabulary as v
from shopkeeper.engine import literal, quote
from shopkeeper.serving.profiling.columns import FENCE, number_of
from shopkeeper.serving.profiling.shapes import Box, Column
from shopkeeper.serving.profiling.tables import TableProfile

if TYPE_CHECKING:
    import duckdb

MOST_CELLS = 5_000_000
MOST_CORRELATED = 40
"""Columns of numbers that are held against one another, the first ones of the table."""
MOST_GROUPS, LEAST_OF_GROUP = 12, 5
LINEAGE = frozenset(
    (v.SOURCE, v.SOURCE_FILE, v.SOURCE_ROW, v.LOAD_ID, "as_of", "model", "model_version", "fingerprint")
)
"""Columns that tell of a row and not of the shop."""

GroupKind = Literal["number by number", "number by text", "text by text"]


@dataclass(frozen=True)
class Correlation:
    """Two columns of numbers: Pearson's and Spearman's coefficient over ``n_rows`` rows that have both.

    Ranks are taken among the rows in which a column is known, equal values share their mean rank. None where a column does
    not vary.
    """

    first: str
    second: str
    pearson: float | None
    spearman: float | None
    n_rows: int


@dataclass(frozen=True)
class Association:
    """How closely two columns go together, 0 to 1.

    Between numbers: Spearman's coefficient without its sign. Of a number by a text: the correlation ratio, the share of its
    variance that lies between groups, square root. Between texts: Cramér's V, bias-corrected.
    """

    kind: GroupKind
    first: str
    second: str
    strength: float


@dataclass(frozen=True)
class Group:
    """A number within one value of a text."""

    value: str
    n_rows: int
    mean: float
    box: Box


@dataclass(frozen=True)
class Grid:
    """Rows counted by two columns: ``n_rows[row][column]``, by labels; what is beyond the labels is counted in ``n_left_out``."""

    across: tuple[str, ...]
    down: tuple[str, ...]
    n_rows: tuple[tuple[int, ...], ...]
    n_left_out: int


def correlations(connection: "duckdb.DuckDBPyConnection", table: TableProfile) -> list[Correlation]:
    """Return each pair of columns of numbers that vary, in the order of the table."""
    numbers = _numbers_of(table)[:MOST_CORRELATED]
    if len(numbers) < 2:
        return []
    pairs = list(combinations(range(len(numbers)), 2))
    values = ", ".join(f"{number_of(column.name)} as v{place}" for place, column in enumerate(numbers))
    ranks = ", ".join(
        f"case when v{place} is not null then rank() over (order by v{place}) "
        f"+ (count(*) over (partition by v{place}) - 1) / 2.0 end as r{place}"
        for place in range(len(numbers))
    )
    asked = ", ".join(f"corr(v{a}, v{b}), corr(r{a}, r{b}), count(v{a} + v{b})" for a, b in pairs)
    row: Any = connection.execute(
        f"with sampled as (select {values} from {_sampled(table)}), ranked as (select *, {ranks} from sampled) "
        f"select {asked} from ranked"
    ).fetchone()
    return [
        Correlation(
            numbers[a].name,
            numbers[b].name,
            _known(row[3 * place]),
            _known(row[3 * place + 1]),
            row[3 * place + 2],
        )
        for place, (a, b) in enumerate(pairs)
    ]


def associations(
    connection: "duckdb.DuckDBPyConnection", table: TableProfile, told: Sequence[Correlation]
) -> list[Association]:
    """Return all pairs of columns that can be held against one another, the closest first; ``told`` are their correlations."""
    found = [
        Association("number by number", each.first, each.second, abs(each.spearman))
        for each in told
        if each.spearman is not None
    ]
    texts = [column for column in table.columns if _is_grouping(column)]
    for text in texts:
        found += _ratios(connection, table, text)
    found += [each for a, b in combinations(texts, 2) if (each := _cramer(connection, table, a, b)) is not None]
    return sorted(found, key=lambda each: (-each.strength, each.first, each.second))


def boxes(connection: "duckdb.DuckDBPyConnection", table: TableProfile, number: str, text: str) -> list[Group]:
    """Return a box plot of a number for each of the twelve most frequent values of a text."""
    rows = connection.execute(boxes_sql(table, number, text)).fetchall()
    return [
        Group(g, n, mean, Box(low, q1, median, q3, high, under, over))
        for g, n, mean, low, q1, median, q3, high, under, over in rows
    ]


def boxes_sql(table: TableProfile, number: str, text: str) -> str:
    """Return the query of ``boxes``: a row per value, the most frequent first."""
    return f"""with valued as (
    select coalesce(cast({quote(text)} as varchar), 'missing') as value, {number_of(number)} as v from {table.name}
),
chosen as (
    select value, count(v) as n_rows, avg(v) as mean, quantile_cont(v, [0.25, 0.5, 0.75]) as q
    from valued where v is not null
    group by value having count(v) >= {LEAST_OF_GROUP} order by n_rows desc, value limit {MOST_GROUPS}
),
fenced as (
    select *, q[1] - {FENCE} * (q[3] - q[1]) as low, q[3] + {FENCE} * (q[3] - q[1]) as high from chosen
)
select value, any_value(n_rows) as n_rows, any_value(mean) as mean, min(v) filter (v >= low) as lower_whisker,
    any_value(q[1]) as q1, any_value(q[2]) as median, any_value(q[3]) as q3, max(v) filter (v <= high) as upper_whisker,
    count(*) filter (v < low) as n_below, count(*) filter (v > high) as n_above
from fenced join valued using (value) where v is not null group by value order by n_rows desc, value"""


def grid(connection: "duckdb.DuckDBPyConnection", table: TableProfile, across: str, down: str) -> Grid:
    """Return how many rows have what in both columns: bins of numbers and of times, the most frequent values of texts."""
    axes = [_axis(table.column(name)) for name in (across, down)]
    rows = connection.execute(grid_sql(table, across, down)).fetchall()
    counts = {(axes[0].place(x), axes[1].place(y)): n for x, y, n in rows if x is not None and y is not None}
    shown = tuple(tuple(counts.get((x, y), 0) for x in range(len(axes[0].labels))) for y in range(len(axes[1].labels)))
    n_left_out = sum(n for *_, n in rows) - sum(map(sum, shown))
    return Grid(axes[0].labels, axes[1].labels, shown, n_left_out)


def grid_sql(table: TableProfile, across: str, down: str) -> str:
    """Return the query of ``grid``: a row for each two that occur; null is what stands on no axis."""
    axes = [_axis(table.column(name)) for name in (across, down)]
    return (
        f"select {axes[0].sql} as across, {axes[1].sql} as down, count(*) as n_rows\n"
        f"from {table.name}\ngroup by 1, 2 order by 1, 2"
    )


@dataclass(frozen=True)
class _Axis:
    """The labels of an axis, SQL that gives a row's value on it, and the place of such a value."""

    labels: tuple[str, ...]
    sql: str
    place: Callable[[Any], int]


def _axis(column: Column) -> _Axis:
    if column.numbers is not None:
        told = column.numbers
        start, width, n = told.bins[0].low, told.bins[0].high - told.bins[0].low, len(told.bins)
        labels = tuple(f"{start + place * width:g}" for place in range(n))
        place = f"floor(({number_of(column.name)} - {start!r}) / {width!r})"
        sql = f"case when {place} between 0 and {n - 1} then {start!r} + {width!r} * {place} end"
        return _Axis(labels, sql, lambda low: round((low - start) / width))
    if column.moments is not None:
        begins = {_begin(begin): place for place, (begin, _) in enumerate(column.moments.bins)}
        length = 10 if column.moments.unit in {"day", "week", "month", "year"} else 16
        value = (
            quote(column.name) if column.type.upper() == "DATE" else f"make_timestamp(epoch_us({quote(column.name)}))"
        )
        sql = f"case when isfinite({value}) then cast(date_trunc('{column.moments.unit}', {value}) as varchar) end"
        return _Axis(tuple(begin[:length] for begin in begins), sql, lambda begin: begins[begin])
    values = [each.value for each in column.texts.top] if column.texts else []
    told_by = {value: place for place, value in enumerate(values)}
    listed = ", ".join(map(literal, values)) or "null"
    name = f"cast({quote(column.name)} as varchar)"
    return _Axis(tuple(values), f"case when {name} in ({listed}) then {name} end", lambda value: told_by[value])


def _begin(moment: date | datetime) -> str:
    """Return the beginning of a bin as the engine writes it."""
    return moment.isoformat(" ") if isinstance(moment, datetime) else moment.isoformat()


def _numbers_of(table: TableProfile) -> list[Column]:
    return [
        column
        for column in table.columns
        if column.numbers is not None and not column.is_constant and column.name not in LINEAGE
    ]


def _is_grouping(column: Column) -> bool:
    """Tell whether a column parts rows into a few groups that may be shown."""
    return (
        column.kind in {"text", "flag"}
        and not column.is_hidden
        and 1 < column.n_distinct <= 4 * MOST_GROUPS
        and column.name not in LINEAGE
    )


def _ratios(connection: "duckdb.DuckDBPyConnection", table: TableProfile, text: Column) -> list[Association]:
    """Return the correlation ratio of each number by a text."""
    numbers = _numbers_of(table)[:MOST_CORRELATED]
    if not numbers:
        return []
    sums = ", ".join(
        f"count({number_of(column.name)}), avg({number_of(column.name)}), var_pop({number_of(column.name)})"
        for column in numbers
    )
    groups = connection.execute(
        f"select {sums} from {_sampled(table)} where {quote(text.name)} is not null group by {quote(text.name)}"
    ).fetchall()
    found = []
    for place, column in enumerate(numbers):
        told = [row[3 * place : 3 * place + 3] for row in groups if row[3 * place] >= LEAST_OF_GROUP]
        n = sum(count for count, *_ in told)
        if len(told) < 2:
            continue
        mean = sum(count * average for count, average, _ in told) / n
        between = sum(count * (average - mean) ** 2 for count, average, _ in told)
        within = sum(count * variance for count, _, variance in told)
        if between + within > 0:
            found.append(
                Association("number by text", column.name, text.name, sqrt(max(between / (between + within), 0)))
            )
    return found


def _cramer(
    connection: "duckdb.DuckDBPyConnection", table: TableProfile, first: Column, second: Column
) -> Association | None:
    """Return Cramér's V of two texts, corrected for what chance alone gives."""
    rows = connection.execute(
        f"select {quote(first.name)}, {quote(second.name)}, count(*) from {_sampled(table)} "
        f"where {quote(first.name)} is not null and {quote(second.name)} is not null group by 1, 2"
    ).fetchall()
    across: dict[Any, int] = {}
    down: dict[Any, int] = {}
    for a, b, n in rows:
        across[a], down[b] = across.get(a, 0) + n, down.get(b, 0) + n
    total = sum(across.values())
    k, m = len(across), len(down)
    if total < 2 or min(k, m) < 2:
        return None
    chi = total * (sum(n * n / (across[a] * down[b]) for a, b, n in rows) - 1)
    share = max(0.0, chi / total - (k - 1) * (m - 1) / (total - 1))
    fewest = min(k - (k - 1) ** 2 / (total - 1), m - (m - 1) ** 2 / (total - 1)) - 1
    return Association("text by text", first.name, second.name, min(1.0, sqrt(share / fewest))) if fewest > 0 else None


def _sampled(table: TableProfile) -> str:
    n_cells = table.n_rows * max(len(_numbers_of(table)[:MOST_CORRELATED]), 1)
    step = -(-n_cells // MOST_CELLS)
    return table.name if step <= 1 else f"(from {table.name} where hash(rowid) % {step} = 0)"


def _known(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
