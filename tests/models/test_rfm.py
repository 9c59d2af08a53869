"""Every customer has exactly one of the eleven groups, by scores whose edges are kept; SQL says the same."""

import itertools

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkeeper.errors import ModelError
from shopkeeper.models.rfm import GROUPS, Edges, fit_edges, group_sql, rfm_groups, rfm_scores, scores_sql


def customers(*rows: tuple[int | None, int, float]) -> pa.Table:
    """Rows of days since the last order, orders, net sales."""
    days, orders, money = zip(*rows, strict=True)
    return pa.table(
        {
            "customer_id": [f"c{number:04}" for number in range(len(rows))],
            "days_since_last_order": pa.array(days, pa.int64()),
            "n_orders": pa.array(orders, pa.int64()),
            "net_sales": pa.array(money, pa.float64()),
        }
    )


def named(n_orders: int, r: int, f: int, m: int) -> str:
    return GROUPS[rfm_groups(np.array([n_orders], float), np.array([[r, f, m]]))[0]]


@pytest.mark.parametrize(
    ("n_orders", "r", "f", "m", "group"),
    [
        (0, 0, 0, 0, "prospects"),
        (1, 4, 1, 1, "new"),
        (1, 5, 5, 5, "new"),  # the rule of one order stands before champions
        (9, 5, 4, 4, "champions"),
        (9, 5, 3, 5, "champions"),  # V = 4
        (9, 4, 5, 5, "loyal"),
        (9, 3, 4, 4, "loyal"),
        (9, 2, 4, 4, "previously loyal"),
        (1, 1, 3, 5, "previously loyal"),
        (2, 4, 2, 2, "promising"),
        (2, 5, 1, 3, "promising"),  # V = 2
        (3, 5, 3, 4, "active"),  # V = 3.5
        (3, 4, 2, 3, "active"),  # V = 2.5 is not below 2.5
        (3, 3, 2, 3, "needs attention"),
        (3, 3, 4, 3, "needs attention"),
        (3, 2, 2, 3, "at risk"),
        (1, 3, 1, 3, "almost lost"),
        (1, 2, 2, 2, "almost lost"),
        (1, 1, 1, 1, "dormant"),
        (5, 1, 4, 3, "dormant"),
    ],
)
def test_the_first_rule_that_matches(n_orders, r, f, m, group):
    """Each branch, at its borders."""
    assert named(n_orders, r, f, m) == group


def test_edges_are_observed_values():
    """Five customers, five scores: the edges are the first four values in order, and days count the other way."""
    rows = customers((50, 5, 10.0), (40, 1, 20.0), (30, 2, 30.0), (20, 3, 40.0), (10, 4, 50.0), (None, 0, 0.0))
    edges = fit_edges(rows)
    assert edges == Edges((10.0, 20.0, 30.0, 40.0), (1.0, 2.0, 3.0, 4.0), (10.0, 20.0, 30.0, 40.0))
    assert rfm_scores(rows, edges).tolist() == [[1, 5, 1], [2, 1, 2], [3, 2, 3], [4, 3, 4], [5, 4, 5], [0, 0, 0]]


def test_ties_have_equal_scores():
    """Most bought once: they all score 1 in F, however many they are, and edges that coincide are skipped."""
    rows = customers(*[(day, 1, 10.0 * day) for day in range(1, 8)], (8, 2, 80.0), (9, 2, 90.0), (10, 6, 100.0))
    edges = fit_edges(rows)
    assert edges.frequency == (1.0, 1.0, 1.0, 2.0)
    assert rfm_scores(rows, edges)[:, 1].tolist() == [1] * 7 + [4, 4, 5]


def test_a_single_day():
    """Where all ordered once, on one day, all are new: R is 5, not 1."""
    rows = customers(*[(1, 1, 10.0)] * 4)
    found = rfm_scores(rows, fit_edges(rows))
    assert found.tolist() == [[5, 1, 1]] * 4
    assert {GROUPS[index] for index in rfm_groups(np.ones(4), found)} == {"new"}


def test_without_an_order_there_are_no_edges():
    """A shop where nobody bought is told so in a sentence."""
    with pytest.raises(ModelError, match="at least one order"):
        fit_edges(customers((None, 0, 0.0), (None, 0, -5.0)))


def test_later_customers_are_scored_by_the_kept_edges():
    """Edges come from one day's customers and hold for others: money beyond all of them is 5, a returned order is 1."""
    edges = Edges((10.0, 20.0, 30.0, 40.0), (1.0, 2.0, 3.0, 4.0), (10.0, 20.0, 30.0, 40.0))
    assert rfm_scores(customers((0, 90, 1e6), (400, 1, -5.0)), edges).tolist() == [[5, 5, 5], [1, 1, 1]]


def test_every_score_has_exactly_one_group():
    """All 125 scores, with one order and with many: total, and only prospects are without a score."""
    found = {
        (min(n, 2), r, f, m): named(n, r, f, m)
        for n, r, f, m in itertools.product((1, 2), range(1, 6), range(1, 6), range(1, 6))
    }
    assert len(found) == 250
    assert set(found.values()) == set(GROUPS) - {"prospects"}


rows_of_customers = st.lists(
    st.integers(0, 12).flatmap(
        lambda n: st.tuples(
            st.integers(0, 400) if n else st.none(), st.just(n), st.floats(-1e4, 1e6, allow_subnormal=False)
        )
    ),
    min_size=1,
    max_size=40,
).filter(lambda rows: any(row[1] for row in rows))


@settings(deadline=None)
@given(rows_of_customers)
def test_sql_gives_the_same_groups(found):
    """Whatever the customers, DuckDB's case gives the scores and the group that Python gives."""
    rows = customers(*found)
    edges = fit_edges(rows)
    scores = rfm_scores(rows, edges)
    groups = rfm_groups(np.array([row[1] for row in found], float), scores)
    r, f, m = scores_sql(edges)
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        told = connection.execute(
            f"with scored as (select customer_id, n_orders, {r} as r, {f} as f, {m} as m from rows) "
            f"select r, f, m, {group_sql()} from scored order by customer_id"
        ).fetchall()
    assert told == [
        (*(score or None for score in three), GROUPS[group])
        for three, group in zip(scores.tolist(), groups.tolist(), strict=True)
    ]


def test_shuffled_rows_have_the_same_edges():
    """The order of rows says nothing."""
    rows = customers(*[(day % 37, 1 + day % 5, float(day * 7 % 101)) for day in range(200)])
    shuffled = rows.take(np.random.default_rng(0).permutation(200))
    assert fit_edges(rows) == fit_edges(shuffled)
    assert Edges.of(fit_edges(rows).told()) == fit_edges(rows)
