"""What a profile says of a table is what a person counts by hand and what NumPy and SciPy compute, whatever the order of rows."""

import random
from datetime import UTC, date, datetime
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from shopkeeper.engine import connect
from shopkeeper.errors import UsageError
from shopkeeper.published import Version
from shopkeeper.serving import profiling
from shopkeeper.serving.profiling import TableWords, columns, pairs

ROWS = [
    ("a", "c1", 1.0, 10, date(2024, 1, 1), True),
    ("a", "c2", 2.0, 20, date(2024, 1, 1), True),
    ("b", None, 3.0, 30, date(2024, 1, 2), False),
    ("b", "c1", 4.0, 40, date(2024, 1, 9), True),
    (None, "c3", None, 50, date(2024, 1, 9), None),
    ("  ", "c4", 100.0, 0, date(2024, 1, 9), True),
    ("c", "c5", -5.0, -10, None, False),
]
SCHEMA = "kind varchar, customer_id varchar, price double, n integer, day date, flag boolean"
WORDS = {"core.things": TableWords("one row per thing", {"price": "what it costs"})}
NOW = datetime(2024, 6, 1, tzinfo=UTC)
VERSION = Version(3, NOW.isoformat(), "b", {}, {})


def made(rows, schema=SCHEMA, table="core.things"):
    """A database in memory with one table."""
    connection = connect()
    connection.execute("create schema if not exists core; create schema metrics; set search_path = 'core,metrics'")
    connection.execute(f"create table {table} ({schema})")
    if rows:
        connection.executemany(f"insert into {table} values ({', '.join('?' * len(rows[0]))})", rows)
    return connection


def profiled(rows, asked="things", **options):
    """The profile of a table of these rows."""
    with made(rows) as connection:
        return profiling.profile(connection, 3, asked, words=WORDS, **options)


def lines(rows):
    """Order lines by hand: id, customer, product, quantity, price, amount, kind, moment, whether equal."""
    schema = (
        "order_line_id varchar, customer_id varchar, product_id varchar, quantity decimal(18, 3), unit_price decimal(18, 4), "
        "net_amount decimal(38, 4), line_kind varchar, ordered_at timestamp, is_duplicate boolean"
    )
    return made(rows, schema, "core.order_lines")


LINES = [
    ("1-1", "c1", "A", 2, 5, 10, "sale", date(2024, 1, 1), False),
    ("1-2", "c1", "A", 2, 5, 10, "sale", date(2024, 1, 1), True),
    ("2-1", "c1", "A", -1, 5, -5, "cancellation", date(2024, 1, 2), False),
    ("3-1", "c2", "A", -1, 5, -5, "return", date(2024, 1, 3), False),
    ("4-1", "c3", "B", -1, 7, -7, "cancellation", date(2023, 12, 31), False),
    ("5-1", "c3", "B", 1, 7, 7, "sale", date(2024, 1, 4), False),
    ("6-1", None, "B", -1, 7, -7, "return", date(2024, 1, 5), False),
    ("7-1", None, "POST", 1, 3, 3, "postage", date(2030, 1, 1), False),
]


def test_missing_and_different_values_are_counted():
    """By hand: nulls are missing, blanks are not; equal values count once."""
    found = profiled(ROWS)
    assert {each.name: (each.n_missing, each.n_distinct) for each in found.columns} == {
        "kind": (1, 4),
        "customer_id": (1, 5),
        "price": (1, 6),
        "n": (0, 7),
        "day": (1, 3),
        "flag": (1, 2),
    }
    assert all(each.is_distinct_exact and each.n_rows == 7 for each in found.columns)
    assert (found.name, found.grain, found.column("price").meaning) == (
        "core.things",
        "one row per thing",
        "what it costs",
    )


def test_numbers_are_spread_as_counted_by_hand():
    """Sorted prices are -5 1 2 3 4 100: quartiles 1.25, 2.5, 3.75; fences -2.5 and 7.5 leave out one at each end."""
    told = profiled(ROWS).column("price").numbers
    assert (told.box.q1, told.box.median, told.box.q3) == (1.25, 2.5, 3.75)
    assert (told.box.lower_whisker, told.box.upper_whisker) == (1, 4)
    assert (told.box.n_below, told.box.n_above, told.box.n_outliers) == (1, 1, 2)
    assert (told.lowest, told.highest, told.n_zero, told.n_negative, told.is_whole) == (-5, 100, 0, 1, True)
    assert sum(each.n_rows for each in told.bins) + told.n_under + told.n_over == 6
    assert (told.n_under, told.n_over) == (0, 1)


def test_texts_are_counted_with_ties_by_name():
    """The most frequent first, equal counts by the text."""
    told = profiled(ROWS).column("kind").texts
    assert [(each.value, each.n_rows) for each in told.top] == [("a", 2), ("b", 2), ("  ", 1), ("c", 1)]
    assert (told.shortest, told.longest, told.n_blank, told.n_other) == (1, 2, 1, 0)


def test_days_are_counted_in_bins_that_suit_their_span():
    """Nine days are told day by day."""
    told = profiled(ROWS).column("day").moments
    assert (told.first, told.last, told.unit) == (date(2024, 1, 1), date(2024, 1, 9), "day")
    assert [n for _, n in told.bins] == [2, 1, 3]


def test_the_order_of_rows_is_no_matter():
    """Shuffled rows give the same profile, faults and pairs."""
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    assert profiled(shuffled) == profiled(ROWS)
    mixed = random.Random(2).sample(LINES, len(LINES))
    with lines(LINES) as one, lines(mixed) as other:
        assert profiling.faults(one, now=NOW) == profiling.faults(other, now=NOW)


@pytest.mark.parametrize("most", [columns.MOST_COUNTED, 10], ids=["counted values", "all rows"])
@pytest.mark.parametrize("seed", [1, 2])
def test_figures_are_those_of_numpy_and_scipy(monkeypatch, most, seed):
    """Mean, deviation, skew, quartiles and outliers of skewed numbers with repeats, read either way."""
    values = np.round(np.random.default_rng(seed).lognormal(2, 1, 3000), 1) - 5
    monkeypatch.setattr(columns, "MOST_COUNTED", most)
    monkeypatch.setattr(columns, "N_SAMPLED", 1000)
    with made([(float(value),) for value in values], "v double") as connection:
        told = profiling.profile(connection, 1, "things", words={}).column("v").numbers
    q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
    assert (told.box.q1, told.box.median, told.box.q3) == pytest.approx((q1, median, q3))
    assert (told.mean, told.sd, told.skew) == pytest.approx(
        (values.mean(), values.std(ddof=1), stats.skew(values, bias=False))
    )
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    assert (told.box.n_below, told.box.n_above) == ((values < low).sum(), (values > high).sum())
    inside = values[(values >= low) & (values <= high)]
    assert (told.box.lower_whisker, told.box.upper_whisker) == (inside.min(), inside.max())
    found = [each.n_rows for each in told.bins]
    edges = [each.low for each in told.bins] + [told.bins[-1].high]
    assert found == [((values >= a) & (values < b)).sum() for a, b in pairwise(edges)]
    assert sum(found) + told.n_under + told.n_over == 3000


def test_numbers_that_are_none_are_told_and_left_out():
    """Infinite and not-a-number count as such and spoil no mean; a constant has no skew; one value no deviation."""
    with made([(1.0, 5), (float("inf"), 5), (float("nan"), 5), (3.0, 5)], "v double, w integer") as connection:
        found = profiling.profile(connection, 1, "things", words={})
    told = found.column("v").numbers
    assert (told.n_not_finite, told.mean, told.highest) == (2, 2, 3)
    same = found.column("w").numbers
    assert (same.sd, same.skew, same.box.n_outliers, found.column("w").is_constant) == (0, None, 0, True)


def test_an_empty_table_and_an_empty_column_are_told():
    """No row, no value: nothing is computed, nothing fails."""
    found = profiled([])
    assert [(each.n_rows, each.n_distinct, each.missing_share) for each in found.columns] == [(0, 0, 0)] * 6
    with made([(None,), (None,)], "v double") as connection:
        column = profiling.profile(connection, 1, "things", words={}).column("v")
    assert (column.n_missing, column.missing_share, column.numbers) == (2, 1, None)


def test_many_different_values_are_estimated_and_said_to_be():
    """Beyond what is counted one by one the number is an estimate within five per cent, and no values are shown."""
    with made([], "v varchar") as connection:
        connection.execute("insert into core.things select md5(i::varchar) from range(30000) t(i)")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(columns, "MOST_COUNTED", 20_000)
            patch.setattr(columns, "N_SAMPLED", 10_000)
            column = profiling.profile(connection, 1, "things", words={}).column("v")
    assert not column.is_distinct_exact
    assert column.n_distinct == pytest.approx(30_000, rel=0.05)
    assert column.texts.top == ()


def test_values_of_persons_are_shown_only_to_who_may_see_them():
    """Without the right, no customer's id is in the profile nor in the examples of faults."""
    assert profiled(ROWS).column("customer_id").texts.top == ()
    assert profiled(ROWS).column("customer_id").is_hidden
    shown = profiled(ROWS, shows_customers=True).column("customer_id").texts.top
    assert [each.value for each in shown] == ["c1", "c2", "c3", "c4", "c5"]
    with lines(LINES) as connection:
        hidden = profiling.faults(connection, now=NOW)
        told = profiling.faults(connection, now=NOW, shows_customers=True)
    assert not any("customer_id" in each.columns for each in hidden)
    assert all("customer_id" in each.columns for each in told)


def test_a_wrong_name_names_the_nearest():
    """Tables with and without their schema; columns of the table that was asked for."""
    with pytest.raises(UsageError, match=r"got 'thing'\. The nearest are core\.things"):
        profiled(ROWS, "thing")
    with pytest.raises(UsageError, match=r"one of core\.things; got 'prise'\. The nearest are price"):
        profiled(ROWS, columns=["prise"])
    assert [each.name for each in profiled(ROWS, "core.things", columns=["n", "kind"]).columns] == ["n", "kind"]


def test_tables_are_told_in_a_line_each():
    """Rows, columns, missing cells over all cells: by hand 5 of 42."""
    with made(ROWS) as connection:
        (found,) = profiling.summaries(connection, WORDS)
    assert (found.name, found.n_rows, found.n_columns, found.grain) == ("core.things", 7, 6, "one row per thing")
    assert found.missing_share == pytest.approx(5 / 42)


def test_correlations_are_those_of_scipy():
    """Pearson and Spearman with ties, of complete pairs; with missing values Pearson over the rows that have both."""
    source = np.random.default_rng(3)
    a = source.integers(0, 20, 400).astype(float)
    b = a * 2 + source.normal(0, 9, 400)
    rows = list(zip(a.tolist(), b.tolist(), [None, *(-a[1:]).tolist()], strict=True))
    with made(rows, "a double, b double, c double") as connection:
        table = profiling.profile(connection, 1, "things", words={})
        found = {(each.first, each.second): each for each in profiling.correlations(connection, table)}
    assert found["a", "b"].pearson == pytest.approx(stats.pearsonr(a, b).statistic)
    assert found["a", "b"].spearman == pytest.approx(stats.spearmanr(a, b).statistic)
    assert (found["a", "c"].pearson, found["a", "c"].n_rows) == (pytest.approx(-1), 399)


def test_a_large_table_is_sampled_alike_each_time(monkeypatch):
    """A sample of the rows gives about the correlation of all, and the same at every call."""
    monkeypatch.setattr(pairs, "MOST_CELLS", 4000)
    rows = [(float(i % 97), float(i % 97 + i % 13)) for i in range(20_000)]
    with made(rows, "a double, b double") as connection:
        table = profiling.profile(connection, 1, "things", words={})
        (one,), (two,) = profiling.correlations(connection, table), profiling.correlations(connection, table)
    assert (one.pearson, one.spearman, one.n_rows) == pytest.approx((two.pearson, two.spearman, two.n_rows))
    assert 1000 < one.n_rows < 4000
    assert one.pearson == pytest.approx(np.corrcoef(np.array(rows).T)[0, 1], abs=0.02)


def test_texts_and_numbers_are_held_against_one_another():
    """A number that its group tells whole has ratio 1; two texts that tell each other Cramér's V 1, independent ones 0."""
    rows = [(g, float(g == "x"), h, "pq"[i % 2]) for i, (g, h) in enumerate([("x", "u"), ("x", "u"), ("y", "w")] * 40)]
    with made(rows, "g varchar, v double, h varchar, free varchar") as connection:
        table = profiling.profile(connection, 1, "things", words={})
        found = {(each.first, each.second): each.strength for each in profiling.associations(connection, table, [])}
        (x, y) = profiling.boxes(connection, table, "v", "g")
        grid = profiling.grid(connection, table, "g", "h")
    assert found["v", "g"] == pytest.approx(1)
    assert found["g", "h"] == pytest.approx(1)
    assert found["g", "free"] == 0
    assert [(each.value, each.n_rows, each.mean, each.box.median) for each in (x, y)] == [
        ("x", 80, 1, 1),
        ("y", 40, 0, 0),
    ]
    assert (grid.across, grid.down, grid.n_rows, grid.n_left_out) == (("x", "y"), ("u", "w"), ((80, 0), (0, 40)), 0)


def test_two_numbers_are_counted_in_bins():
    """Each row stands in one cell or is left out."""
    rows = [(float(i % 10), float(i // 10)) for i in range(100)] + [(1.0, None)]
    with made(rows, "a double, b double") as connection:
        table = profiling.profile(connection, 1, "things", words={})
        grid = profiling.grid(connection, table, "a", "b")
    assert grid.n_rows == ((1,) * 10,) * 10
    assert grid.n_left_out == 1


def test_faults_are_counted_by_kind_with_their_money():
    """By hand: c2 returns what nobody sold it, c3 returns before it buys; guests cannot be told; one line is of 2030."""
    with lines(LINES) as connection:
        found = {each.name: each for each in profiling.faults(connection, now=NOW, shows_customers=True)}
        again = {name: connection.execute(each.sql).fetchall() for name, each in found.items()}
    assert {name: (each.n_rows, each.amount) for name, each in found.items()} == {
        "return without a sale": (2, -12),
        "equal lines": (1, 10),
        "no goods": (1, 3),
        "in the future": (1, 3),
    }
    assert [row[0] for row in found["return without a sale"].examples] == ["3-1", "4-1"]
    assert {name: len(rows) for name, rows in again.items()} == {name: each.n_rows for name, each in found.items()}
    assert found["equal lines"].share == 1 / 8


def test_a_study_holds_all_of_it():
    """Columns, pairs, pictures and faults of one version; a column that repeats another is drawn once."""
    rows = [(float(i), float(i), float(i % 7), "ab"[i % 2]) for i in range(60)]
    with made(rows, "a double, twin double, b double, g varchar") as connection:
        found = profiling.study(connection, VERSION, "things", words=WORDS)
    assert (found.table.version, found.faults) == (3, ())
    assert found.associations[0].strength == pytest.approx(1)
    assert "twin" not in {name for each in found.pictures for name in (each.association.first, each.association.second)}


@pytest.mark.parametrize(
    ("low", "high", "is_whole", "width", "n"),
    [
        (0, 24, True, 1, 25),
        (0, 100, True, 5, 21),
        (0, 1, False, 0.05, 21),
        (3, 3, True, 1, 1),
        (-0.5, 0.5, False, 0.05, 21),
    ],
)
def test_bins_have_round_widths_and_hold_both_ends(low, high, is_whole, width, n):
    """Whole numbers have whole bins; the last bin holds the highest value."""
    start, found, count = columns.edges(low, high, is_whole=is_whole)
    assert (found, count) == (pytest.approx(width), n)
    assert start <= low
    assert high < start + count * found


KINDS = {
    "number": ("INTEGER", "DECIMAL(18,4)", "DOUBLE", "UBIGINT", "HUGEINT"),
    "moment": ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
    "text": ("VARCHAR",),
    "flag": ("BOOLEAN",),
    "other": ("VARCHAR[]", "INTEGER[]", "STRUCT(a INTEGER)", "BLOB", "INTERVAL"),
}


@pytest.mark.parametrize(("kind", "sql_type"), [(kind, each) for kind, types in KINDS.items() for each in types])
def test_types_are_read_as_people_read_them(kind, sql_type):
    """A list is none of its items' kind; an interval holds no INT."""
    assert columns.kind_of(sql_type) == kind
