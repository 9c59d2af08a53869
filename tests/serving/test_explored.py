"""What Explore shows is what the query beside it counts, and what a person counts in the small shop's ten lines."""

from datetime import datetime
from decimal import Decimal

import pytest

from shopkeeper.serving import profiling
from shopkeeper.serving.exhibits import explored

LINES = "core.order_lines"


@pytest.fixture(scope="module")
def visit(small_shop):
    return small_shop.gallery.visit(frozenset({"aggregates", "customers"}))


@pytest.fixture(scope="module")
def lines(visit, small_shop):
    """The profile of the ten lines."""
    with visit.edition.cursor() as connection:
        return profiling.profile(connection, 1, LINES, words=small_shop.words, shows_customers=True)


def faults(visit, **options):
    with visit.edition.cursor() as connection:
        now = datetime.fromisoformat(visit.edition.version.published_at)
        return profiling.faults(connection, now=now, table=LINES, **options)


def test_a_spread_is_what_its_query_counts(visit, lines):
    """-1, 1, 2, 2, 2, 3, 4, 6, 8, 8: a bar for each, and nothing beyond the axis."""
    shown = explored.counted(visit.edition, explored.spread(lines, lines.column("quantity")))
    assert [(row["low"], row["n_rows"]) for row in shown.rows] == [
        (-1, 1),
        (1, 1),
        (2, 3),
        (3, 1),
        (4, 1),
        (6, 1),
        (8, 2),
    ]
    told = lines.column("quantity").numbers
    assert (told.box.q1, told.box.median, told.box.q3, told.mean) == (2, 2.5, 5.5, 3.5)
    assert {each.low: each.n_rows for each in told.bins if each.n_rows} == {
        row["low"]: row["n_rows"] for row in shown.rows
    }


@pytest.mark.parametrize(
    ("column", "counts"),
    [("ordered_at", {1, 2}), ("product_id", {5}), ("country", {7, 2, 1})],
)
def test_every_kind_of_column_has_a_query(column, counts, visit, lines):
    """Weeks of one line, but that of 10 and 11 February; five mugs, five cups; seven lines, two and one of the countries."""
    shown = explored.counted(visit.edition, explored.spread(lines, lines.column(column)))
    assert set(shown.column("n_rows")) == counts
    assert sum(shown.column("n_rows")) == 10


def test_a_number_beyond_the_axis_is_counted(visit):
    """One line far beyond three quartile ranges stands beyond the axis, in the bars and in the query."""
    from shopkeeper.engine import connect

    with connect() as connection:
        connection.execute("create schema core")
        connection.execute("create table core.things as select unnest([1, 2, 2, 3, 3, 4, 1000, -1000]) as n")
        found = profiling.profile(connection, 1, "core.things", words={})
        rows = connection.execute(explored.spread(found, found.column("n")).sql).fetchall()
    told = found.column("n").numbers
    assert (told.n_under, told.n_over) == (1, 1)
    assert [row for row in rows if row[0] is None or row[1] is None] == [
        (None, told.bins[0].low, 1),
        (told.bins[-1].high, None, 1),
    ]


def test_two_columns_are_counted_as_the_query_counts(visit, lines):
    """Mugs: five lines of the United Kingdom; cups: two there, two in Ireland, one in France."""
    with visit.edition.cursor() as connection:
        grid = profiling.grid(connection, lines, "country", "product_id")
    assert (grid.across, grid.down) == (("United Kingdom", "EIRE", "France"), ("CUP", "MUG"))
    assert (grid.n_rows, grid.n_left_out) == (((2, 2, 1), (5, 0, 0)), 0)
    shown = explored.counted(visit.edition, explored.pair(lines, "country", "product_id", "text by text"))
    assert {(row["across"], row["down"]): row["n_rows"] for row in shown.rows} == {
        ("United Kingdom", "CUP"): 2,
        ("EIRE", "CUP"): 2,
        ("France", "CUP"): 1,
        ("United Kingdom", "MUG"): 5,
    }


def test_numbers_over_time_lose_no_line(visit, lines):
    """Ten lines, each in its day and its bin."""
    with visit.edition.cursor() as connection:
        grid = profiling.grid(connection, lines, "ordered_at", "quantity")
    assert sum(map(sum, grid.n_rows)) == 10
    assert (grid.across[0][:10], grid.n_left_out) == (lines.column("ordered_at").moments.bins[0][0].isoformat()[:10], 0)


def test_boxes_are_what_the_query_gives(visit, lines):
    """Mugs in lines of 4, 8, 1, 2, 2: a median of 2; cups in lines of 2, 6, 8, -1, 3: a median of 3."""
    shown = explored.counted(visit.edition, explored.pair(lines, "quantity", "product_id", "number by text"))
    assert {row["value"]: (row["n_rows"], row["median"]) for row in shown.rows} == {"MUG": (5, 2), "CUP": (5, 3)}
    with visit.edition.cursor() as connection:
        groups = profiling.boxes(connection, lines, "quantity", "product_id")
    assert [(each.value, each.box.median, each.mean) for each in groups] == [("CUP", 3, 3.6), ("MUG", 2, 3.4)]


def test_faults_are_what_their_query_counts(visit, small_shop):
    """Two guests' lines of 3 and 7; the query beside the list says the same of every kind."""
    shown = explored.faults(faults(visit), 1)
    rows = {row["fault"]: row for row in shown.rows}
    assert (rows["no customer"]["n_rows"], rows["no customer"]["share"], rows["no customer"]["amount"]) == (
        2,
        0.2,
        Decimal(10),
    )
    answer = small_shop.serving.query(shown.sql)
    assert [row[:5] for row in answer.rows] == [tuple(row.values())[:5] for row in shown.rows]


def test_rows_of_a_fault_name_customers_only_to_whom_may_see_them(visit):
    """The column is there with the scope, and not in the query without it."""
    (open_one,) = (each for each in faults(visit, shows_customers=True) if each.name == "no customer")
    (closed,) = (each for each in faults(visit) if each.name == "no customer")
    assert explored.examples(open_one).units["customer_id"] == "customer"
    assert "customer_id" not in explored.examples(closed).units
    shown = explored.counted(visit.edition, explored.examples(closed))
    assert shown.column("order_line_id") == ["1005-1", "1010-1"]
    assert "customer_id" not in shown.table.column_names


def test_tables_and_columns_are_what_their_queries_count(visit, lines, small_shop):
    """Rows, columns and missing cells of every table; missing and different values of every column."""
    with visit.edition.cursor() as connection:
        found = [each for each in profiling.summaries(connection, small_shop.words) if each.n_rows]
        shown = explored.tables(connection, found, 1)
    answer = small_shop.serving.query(shown.sql)
    assert [row[:3] for row in answer.rows] == [(each.name, each.n_rows, each.n_columns) for each in found]
    assert [float(row[3]) for row in answer.rows] == pytest.approx([each.missing_share for each in found])
    columns = explored.columns(lines)
    assert [tuple(row.values()) for row in columns.rows] == [
        tuple(row) for row in small_shop.serving.query(columns.sql).rows
    ]


def test_a_name_is_not_waited_for_while_another_is_made(visit):
    """What takes long to count keeps nobody from what was counted before."""
    from threading import Event, Thread

    begun, done = Event(), Event()

    def slow() -> str:
        begun.set()
        assert done.wait(20)
        return "slow"

    thread = Thread(target=lambda: visit.edition.keep("slow", slow))
    thread.start()
    assert begun.wait(20)
    assert visit.edition.keep("quick", lambda: "quick") == "quick"
    done.set()
    thread.join()
    assert visit.edition.keep("slow", lambda: "again") == "slow"


def test_what_lies_on_the_fence_is_no_outlier():
    """Quartiles 3.4 and 17.4: the fence is 38.4, which doubles would put a hair below it."""
    from shopkeeper.engine import connect

    with connect() as connection:
        connection.execute("create schema core")
        connection.execute("create table core.things as select unnest([3.4, 3.4, 10, 17.4, 17.4, 38.4, 3.4]) as n")
        connection.execute("insert into core.things values (17.4), (10)")
        found = profiling.profile(connection, 1, "core.things", words={})
    box = found.column("n").numbers.box
    assert (box.q1, box.q3, box.n_above, box.upper_whisker) == (3.4, 17.4, 0, 38.4)
