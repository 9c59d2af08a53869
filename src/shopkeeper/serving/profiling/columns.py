"""One column at a time: what is missing, how many values differ, how they are spread.

Counts, quartiles and outliers are exact at any size. The number of different values is exact up to ``MOST_COUNTED`` of them
and estimated (to about 2 %) beyond. Where values may tell of a person and the caller may not see them, only counts are given.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shopkeeper.engine import quote
from shopkeeper.serving.profiling.shapes import Bin, Box, Column, Kind, Moments, Numbers, Texts, Value

if TYPE_CHECKING:
    import duckdb


MOST_COUNTED = 1_000_000
"""Different values up to which they are counted one by one; beyond, that takes more time and memory than it tells."""
N_SAMPLED = 100_000
"""Rows of a large table that tell whether a column repeats itself."""
COUNTED = "temp.profile_counted"
N_BINS, MOST_TOP = 24, 10
FENCE, FAR_FENCE = 1.5, 3.0
"""Quartile ranges beyond the quartiles from which on a value is an outlier, and no longer shown in the histogram."""
UNITS = (("minute", 1 / 1440), ("hour", 1 / 24), ("day", 1.0), ("week", 7.0), ("month", 30.44), ("year", 365.25))
MOST_MOMENT_BINS = 70


def kind_of(sql_type: str) -> Kind:
    """Return how a column of an SQL type is read."""
    name = sql_type.upper()
    if name.endswith("[]") or name.startswith(("STRUCT", "MAP", "UNION")):
        return "other"
    if name == "BOOLEAN":
        return "flag"
    if name.startswith(("DATE", "TIMESTAMP")):
        return "moment"
    if name.startswith(("DECIMAL", "DOUBLE", "FLOAT", "REAL")) or name.endswith(("INT", "INTEGER")):
        return "number"
    return "text" if name.startswith(("VARCHAR", "ENUM")) else "other"


def count_columns(
    connection: "duckdb.DuckDBPyConnection", table: str, columns: Sequence[tuple[str, str, str, bool]]
) -> list[Column]:
    """Return columns (name, SQL type, meaning, whether hidden) with rows, missing and different values.

    The number of different values is an estimate, made exact by ``describe`` where it is at most ``MOST_COUNTED``.
    """
    plain = [_plain(name, kind_of(sql_type)) for name, sql_type, *_ in columns]
    row = connection.execute(
        f"select count(*), {', '.join(f'count({each})' for each in plain)} from {table}"
    ).fetchone()
    n_rows, *known = row or (0,)
    return [
        Column(name, sql_type, kind_of(sql_type), meaning, n_rows, n_rows - n_known, n_distinct, n_known == 0, hidden)
        for (name, sql_type, meaning, hidden), n_known, n_distinct in zip(
            columns, known, _estimates(connection, table, plain, n_rows, known), strict=True
        )
    ]


def _estimates(
    connection: "duckdb.DuckDBPyConnection", table: str, plain: Sequence[str], n_rows: int, known: Sequence[int]
) -> list[int]:
    """Return about how many values differ: of a small table at most its rows; of a large one as a sample or, where that hardly
    repeats itself, as all rows tell.
    """
    if n_rows <= MOST_COUNTED:
        return list(known)

    def ask(places: Sequence[int], relation: str) -> list[int]:
        counts = ", ".join(f"approx_count_distinct({plain[place]}), count({plain[place]})" for place in places)
        return list(connection.execute(f"select {counts} from {relation}").fetchone() or ())

    told = ask(range(len(plain)), f"(from {table} where hash(rowid) % {n_rows // N_SAMPLED} = 0)")
    found = [min(estimate, n) for estimate, n in zip(told[::2], known, strict=True)]
    various = [place for place, n in enumerate(told[1::2]) if n == 0 or told[2 * place] > n / 2]
    various = [place for place in various if known[place]]
    if various:
        for place, estimate in zip(various, ask(various, table)[::2], strict=True):
            found[place] = min(estimate, known[place])
    return found


def describe(connection: "duckdb.DuckDBPyConnection", table: str, column: Column) -> Column:
    """Return a counted column with its distribution."""
    if column.n_missing == column.n_rows:
        return column
    read = {"number": _numbers, "moment": _moments}.get(column.kind, _texts)
    name = _plain(column.name, column.kind)
    if column.n_distinct > MOST_COUNTED:
        return read(connection, f"(select {name} as v, 1 as n from {table} where {name} is not null)", column)
    connection.execute(
        f"create or replace temp table {COUNTED} as "
        f"select {name} as v, count(*) as n from {table} where {name} is not null group by 1"
    )
    try:
        n_distinct = _one(connection, f"select count(*) from {COUNTED}")
        return read(connection, COUNTED, replace(column, n_distinct=n_distinct, is_distinct_exact=True))
    finally:
        connection.execute(f"drop table {COUNTED}")


def _plain(name: str, kind: Kind) -> str:
    """Return a column as its values are counted: lists and objects by their text."""
    return f"cast({quote(name)} as varchar)" if kind == "other" else quote(name)


def number_of(name: str) -> str:
    """Return a column of numbers as finite doubles, null where it is none."""
    value = f"cast({quote(name)} as double)"
    return f"case when isfinite({value}) then {value} end"


# Each reads a relation of values and how many rows have them: counted ones, or the rows themselves, each once.

# ------------------------------------------------------------------ numbers


def _numbers(connection: "duckdb.DuckDBPyConnection", counted: str, column: Column) -> Column:
    is_whole_type = "INT" in column.type.upper()
    finite = counted
    n_not_finite = 0
    if column.type.upper() in {"DOUBLE", "FLOAT", "REAL"}:
        finite = f"(from {counted} where isfinite(v))"
        n_not_finite = _one(connection, f"select coalesce(sum(n), 0) from {counted} where not isfinite(v)")
    relation = f"(select cast(v as double) as v, n from {finite})"
    whole = "true" if is_whole_type else "count(*) filter (v <> floor(v)) = 0"
    told: Any = connection.execute(
        f"select sum(n), min(v), max(v), sum(v * n), coalesce(sum(n) filter (v = 0), 0), "
        f"coalesce(sum(n) filter (v < 0), 0), {whole} from {relation}"
    ).fetchone()
    n, lowest, highest, total, n_zero, n_negative, is_whole = told
    if not n:
        return column
    mean = float(total) / float(n)
    sd, skew = _spread(connection, relation, int(n), mean)
    q01, q1, median, q3, q99 = _quantiles(connection, relation, int(n), (0.01, 0.25, 0.5, 0.75, 0.99))
    far = _one(
        connection,
        f"select [min(v) filter (v >= {q1 - FAR_FENCE * (q3 - q1)!r}), max(v) filter (v <= {q3 + FAR_FENCE * (q3 - q1)!r})] "
        f"from {relation}",
    )
    low, high = (far[0], far[1]) if q1 < q3 else (q01, q99) if q01 < q99 else (lowest, highest)
    start, width, n_bins = edges(low, high, is_whole=is_whole)
    found = connection.execute(
        f"""
        select least(greatest(floor((v - $start) / $width), -1), $n_bins) as bin, sum(n),
            coalesce(sum(n) filter (v < $low), 0), coalesce(sum(n) filter (v > $high), 0),
            min(v) filter (v >= $low), max(v) filter (v <= $high)
        from {relation} group by bin
        """,
        {
            "start": start,
            "width": width,
            "n_bins": n_bins,
            "low": _fence(q1, q1 - q3),
            "high": _fence(q3, q3 - q1),
        },
    ).fetchall()
    by_bin = {int(row[0]): int(row[1]) for row in found}
    box = Box(
        min(row[4] for row in found if row[4] is not None),
        q1,
        median,
        q3,
        max(row[5] for row in found if row[5] is not None),
        int(sum(row[2] for row in found)),
        int(sum(row[3] for row in found)),
    )
    bins = tuple(
        Bin(start + place * width, start + (place + 1) * width, by_bin.get(place, 0)) for place in range(n_bins)
    )
    numbers = Numbers(
        lowest,
        highest,
        mean,
        sd,
        skew,
        int(n_zero),
        int(n_negative),
        int(n_not_finite),
        is_whole,
        box,
        bins,
        by_bin.get(-1, 0),
        by_bin.get(n_bins, 0),
    )
    return replace(column, numbers=numbers)


def _fence(quartile: float, reach: float) -> float:
    """Return how far whiskers may go, without the last digits of a double, in which 38.4 would lie beyond 38.4."""
    return float(f"{quartile + FENCE * reach:.12g}")


def _spread(
    connection: "duckdb.DuckDBPyConnection", relation: str, n: int, mean: float
) -> tuple[float | None, float | None]:
    """Return the standard deviation and the adjusted skewness of a sample.

    About the mean, where sums of powers would lose the digits.
    """
    second, third = connection.execute(
        f"select sum(n * (v - $mean) * (v - $mean)), sum(n * (v - $mean) * (v - $mean) * (v - $mean)) from {relation}",
        {"mean": mean},
    ).fetchone() or (0.0, 0.0)
    if n < 2:
        return None, None
    sd = math.sqrt(second / (n - 1))
    return sd, third / sd**3 * n / ((n - 1) * (n - 2)) if n > 2 and sd > 0 else None


def _quantiles(connection: "duckdb.DuckDBPyConnection", relation: str, n: int, shares: Sequence[float]) -> list[float]:
    """Return quantiles, linear between neighbours: from counted values, or from the rows themselves."""
    if COUNTED not in relation:
        wanted = ", ".join(map(str, shares))
        return list(_one(connection, f"select quantile_cont(v, [{wanted}]) from {relation}"))
    places = [(n - 1) * share for share in shares]
    picks = ", ".join(
        f"min(v) filter (upto > {math.floor(place)}), min(v) filter (upto > {math.ceil(place)})" for place in places
    )
    row: Any = connection.execute(
        f"select {picks} from (select v, sum(n) over (order by v) as upto from {relation})"
    ).fetchone()
    return [
        low + (high - low) * (place - math.floor(place))
        for low, high, place in zip(row[::2], row[1::2], places, strict=True)
    ]


def edges(low: float, high: float, *, is_whole: bool) -> tuple[float, float, int]:
    """Return where a histogram from ``low`` to ``high`` starts, how wide its bins are (a round number), and how many."""
    if low == high:
        width = 1.0 if is_whole else abs(low) or 1.0
        return low, width, 1
    width = _round_up((high - low) / N_BINS)
    width = max(1.0, math.ceil(width)) if is_whole else width
    start = math.floor(low / width) * width
    return start, width, math.floor((high - start) / width) + 1


def _round_up(width: float) -> float:
    """Return the next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= width * (1 - 1e-9))


# ------------------------------------------------------------------ moments


def _moments(connection: "duckdb.DuckDBPyConnection", counted: str, column: Column) -> Column:
    # The engine truncates moments without a zone far quicker; all of ours are in UTC.
    value = "v" if column.type.upper() == "DATE" else "make_timestamp(epoch_us(v))"
    relation = f"(select {value} as v, n from {counted} where isfinite(v))"
    found: Any = connection.execute(f"select min(v), max(v), epoch(max(v)) - epoch(min(v)) from {relation}").fetchone()
    first, last, seconds = found
    if first is None:
        return column
    smallest = 2 if column.type.upper() == "DATE" else 0
    days = seconds / 86400
    unit = next((unit for unit, length in UNITS[smallest:] if days / length < MOST_MOMENT_BINS), UNITS[-1][0])
    bins = connection.execute(
        f"select date_trunc('{unit}', v) as bin, sum(n)::bigint from {relation} group by 1 order by 1"
    ).fetchall()
    return replace(column, moments=Moments(first, last, unit, tuple(bins)))


# -------------------------------------------------------------------- texts


def _texts(connection: "duckdb.DuckDBPyConnection", counted: str, column: Column) -> Column:
    """Describe texts, flags and anything else by its text."""
    relation = f"(select cast(v as varchar) as v, n from {counted})"
    shortest, longest, n_blank = connection.execute(
        f"select min(length(v)), max(length(v)), coalesce(sum(n) filter (v = '' or v[1] = ' ' and trim(v) = ''), 0) "
        f"from {relation}"
    ).fetchone() or (0, 0, 0)
    n_known = column.n_rows - column.n_missing
    top: list[Value] = []
    if column.is_distinct_exact and not column.is_hidden:
        rows = connection.execute(f"select v, n from {relation} order by n desc, v limit {MOST_TOP}").fetchall()
        top = [Value(v, n) for v, n in rows]
    n_other = n_known - sum(each.n_rows for each in top)
    return replace(column, texts=Texts(shortest, longest, int(n_blank), tuple(top), n_other))


def _one(connection: "duckdb.DuckDBPyConnection", sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    return row[0] if row else None
