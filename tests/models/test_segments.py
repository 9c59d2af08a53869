"""Segments of behaviour: rules that DuckDB agrees with, honest comparison, moves from month to month, and bad input."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shopkeeper import plots
from shopkeeper.errors import ModelError
from shopkeeper.evaluation import gate, to_json
from shopkeeper.models.clusters import (
    choose,
    compactness,
    fit_clusters,
    k_means,
    rand_index,
    silhouettes,
)
from shopkeeper.models.migrations import AS_IT_IS, MARKOV, Moment, forecast, migrations
from shopkeeper.models.profiles import correlations, profile_of
from shopkeeper.models.rfm_segments import RfmGrid, RfmGroups
from shopkeeper.models.segment_model import (
    FEATURES,
    LATELY,
    OFTEN,
    OUTLIERS,
    PROSPECTS,
    RECENT,
    behaviour,
    in_one_order,
    is_possible,
    names_of,
)
from shopkeeper.models.segments import Segments
from shopkeeper.models.threshold_segments import ThresholdSegments

START, END = date(2024, 1, 1), date(2024, 12, 31)
RECIPE = {"candidate": "threshold_tree", "parameters": {"k": 3, "leaves": 6, "bootstraps": 4}}


def nothing(*_: object) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Orders:
    """A history in memory: one row per order (customer number, day, amount); cancelled orders have a negative amount."""

    customers: np.ndarray
    days: np.ndarray
    amounts: np.ndarray

    @property
    def first_day(self) -> date | None:
        bought = self.days[self.amounts > 0]
        return START + timedelta(days=int(bought.min())) if len(bought) else None

    @property
    def last_day(self) -> date | None:
        bought = self.days[self.amounts > 0]
        return START + timedelta(days=int(bought.max())) if len(bought) else None

    def features(self, moments: Sequence[date]) -> pa.Table:
        return pa.concat_tables([self._as_of(moment) for moment in sorted(moments)])

    def _as_of(self, moment: date) -> pa.Table:
        at = (moment - START).days
        told = []
        for customer in np.unique(self.customers[self.days < at]).tolist():
            mine = (self.customers == customer) & (self.days < at)
            sales = mine & (self.amounts > 0)
            n, days, money = int(sales.sum()), np.unique(self.days[sales]), float(self.amounts[mine].sum())
            gross = float(self.amounts[sales].sum())
            row = {
                "customer_id": f"c{customer:05}",
                "as_of": moment,
                "n_orders": n,
                "n_orders_90d": int((sales & (self.days >= at - 90)).sum()),
                "days_since_last_order": at - int(days.max()) if n else None,
                "days_since_first_order": at - int(days.min()) if n else None,
                "mean_days_between_orders": float(np.diff(days).mean()) if len(days) > 1 else None,
                "gross_sales": gross,
                "net_sales": money,
                "sales_per_order": gross / n if n else None,
                "n_products": n + customer % 3,
                "units_per_order": 2.0 if n else None,
                "discount_share": 0.0 if n else None,
                "return_share": (gross - money) / gross if n else None,
                "mean_order_hour": 10.0 + customer % 5 if n else None,
                "n_cancellations": int((mine & (self.amounts < 0)).sum()),
                "country": "France" if customer % 4 else "Spain",
                "main_category": None,
            }
            row |= {f"weekday_share_{day}": (1.0 if day == 4 else 0.0) if n else None for day in range(1, 8)}
            row |= {f"share_{time}": (1.0 if time == "morning" else 0.0) if n else None for time in TIMES}
            told.append(row)
        return pa.Table.from_pylist(told, SCHEMA)


TIMES = ("morning", "afternoon", "evening")
SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("as_of", pa.date32()),
        *[
            (name, pa.int64())
            for name in ("n_orders", "n_orders_90d", "days_since_last_order", "days_since_first_order")
        ],
        *[
            (name, pa.float64())
            for name in ("mean_days_between_orders", "gross_sales", "net_sales", "sales_per_order", "units_per_order")
        ],
        *[(name, pa.float64()) for name in ("discount_share", "return_share", "mean_order_hour")],
        *[(name, pa.int64()) for name in ("n_products", "n_cancellations")],
        *[(name, pa.string()) for name in ("country", "main_category")],
        *[(f"weekday_share_{day}", pa.float64()) for day in range(1, 8)],
        *[(f"share_{time}", pa.float64()) for time in TIMES],
    ]
)


@functools.cache
def a_shop(n: int = 450, seed: int = 5) -> Orders:
    """A year of a shop: regulars, small buyers of once or twice, former regulars, two wholesalers, some who cancelled all."""
    rng = np.random.default_rng(seed)
    told: list[tuple[int, int, float]] = []
    for customer in range(n):
        kind = customer % 3
        if customer < 2:
            told += [(customer, int(day), 40_000.0) for day in rng.integers(0, 365, 1500)]
        elif customer % 50 == 7:
            told += [(customer, int(rng.integers(0, 300)), -20.0)]
        elif kind == 0:
            told += [(customer, int(day), rng.lognormal(6, 0.3)) for day in rng.integers(0, 365, rng.integers(12, 18))]
        elif kind == 1:
            told += [(customer, int(day), rng.lognormal(4, 0.3)) for day in rng.integers(290, 365, rng.integers(1, 3))]
        else:
            told += [(customer, int(day), rng.lognormal(5, 0.3)) for day in rng.integers(0, 180, rng.integers(3, 6))]
    told.append((5, 365, 50.0))
    customers, days, amounts = zip(*told, strict=True)
    return Orders(np.array(customers), np.array(days), np.array(amounts))


@functools.cache
def rows_now() -> pa.Table:
    return a_shop().features([END + timedelta(days=1)])


@functools.cache
def trained(with_champion: bool = False):
    champion = trained().evaluated if with_champion else None
    return Segments(least=3, most=5).train(a_shop(), parameters=RECIPE, champion=champion, tell=nothing)


@functools.cache
def predicted() -> dict[str, pa.Table]:
    return Segments(least=3, most=5).predict(trained().model, a_shop(), END + timedelta(days=1), version="segments/1")


# Measures.


def test_measures_are_those_of_scikit_learn():
    """Silhouette, Calinski-Harabasz, Davies-Bouldin, adjusted Rand and k-means cost, to many digits."""
    from sklearn import cluster, metrics

    rng = np.random.default_rng(0)
    points = np.vstack([rng.normal(place, 1, (80, 3)) for place in (0, 2, 5)])
    labels, other = np.repeat([3, 1, 7], 80), rng.integers(0, 4, 240)
    np.testing.assert_allclose(silhouettes(points, labels), metrics.silhouette_samples(points, labels), atol=1e-6)
    codes = np.unique(labels, return_inverse=True)[1]
    found = compactness(points, codes, np.ones(240))
    assert found[0] == pytest.approx(metrics.calinski_harabasz_score(points, labels))
    assert found[1] == pytest.approx(metrics.davies_bouldin_score(points, labels))
    assert rand_index(labels, other) == pytest.approx(metrics.adjusted_rand_score(labels, other))
    best = cluster.KMeans(3, n_init=20, random_state=0).fit(points).inertia_
    assert k_means(points, 3, seed=0, starts=20)[2] == pytest.approx(best)


def test_weights_are_repetitions():
    """A row of weight 2 counts as two rows, a part without weight not at all."""
    points = np.array([[0.0, 0], [0, 1], [5, 5], [5, 6], [9, 9]])
    codes, weights = np.array([0, 0, 1, 1, 2]), np.array([2, 1, 1, 1, 0])
    repeated = np.repeat(np.arange(5), weights)
    assert compactness(points, codes, weights) == pytest.approx(
        compactness(points[repeated], codes[repeated], np.ones(5)), rel=1e-9
    )


def test_silhouettes_without_two_parts_are_nothing():
    """One part has none; a row alone in its part neither."""
    points = np.array([[0.0], [1.0], [9.0]])
    assert silhouettes(points, np.zeros(3, int)).tolist() == [0, 0, 0]
    assert silhouettes(points, np.array([0, 0, 1])).tolist() == pytest.approx([8 / 9, 7 / 8, 0])


# The model.


def test_duckdb_finds_the_same_members():
    """Each segment's SQL over the features gives its customers, and each customer is in one segment."""
    rows = rows_now()
    for model in (trained().model, RfmGrid(k=3).fit(rows), RfmGroups().fit(rows)):
        found = model.score(rows)["segment"].to_pylist()
        met: list[str] = []
        with duckdb.connect() as connection:
            connection.register("customer_features", rows)
            for each in model.segments:
                told = connection.execute(f"select customer_id from customer_features where {each.rule_sql}").fetchall()
                expected = [
                    name
                    for name, one in zip(rows["customer_id"].to_pylist(), found, strict=True)
                    if one == each.segment
                ]
                assert sorted(name for (name,) in told) == sorted(expected), each
                met += expected
        assert sorted(met) == sorted(rows["customer_id"].to_pylist())


def test_the_groups_of_the_shop_are_found():
    """Regulars, small newcomers and former regulars each have a segment that holds nearly all of them."""
    rows = rows_now()
    found = dict(zip(rows["customer_id"].to_pylist(), trained().model.score(rows)["segment"].to_pylist(), strict=True))
    for kind in range(3):
        mine = [found[f"c{each:05}"] for each in range(6, 450) if each % 3 == kind and each % 50 != 7]
        mine = [each for each in mine if each is not None]
        assert max(mine.count(each) for each in set(mine)) > 0.95 * len(mine)


def test_wholesalers_are_outliers_and_cancellers_prospects():
    """Nobody is thrown away: who is far beyond the rest has a segment of that name, who never bought is a prospect."""
    rows, model = rows_now(), trained().model
    found = dict(zip(rows["customer_id"].to_pylist(), model.score(rows).to_pylist(), strict=True))
    assert {found["c00000"]["segment"], found["c00001"]["segment"]} == {OUTLIERS}
    assert found["c00000"]["segment_name"].startswith("outliers")
    assert found["c00007"]["segment"] == PROSPECTS
    assert found["c00007"]["rfm_group"] == "prospects"
    assert found["c00007"]["r_score"] is None


def test_names_and_rules_are_distinct_and_in_words():
    """No two segments have one name; rules speak of orders and sales, not of columns."""
    segments = trained().model.segments
    assert len({each.name for each in segments}) == len(segments) == 5
    assert not any("_" in each.rule_words for each in segments)
    assert {each.rule_words for each in segments if each.segment == PROSPECTS} == {"no order yet"}


def test_equal_medians_still_have_different_names():
    """Clusters that words cannot tell apart have figures or their number added."""
    values = np.array([[10, 1, 5, 100.0]] * 4 + [[10, 1, 5, 100.0]] * 4)
    names = names_of(values, np.repeat([1, 2], 4))
    assert len(set(names.values())) == 2


def test_an_earlier_model_gives_its_ids_and_names():
    """A refit that finds the same groups keeps numbers and names, whatever it would have called them."""
    rows = rows_now()
    earlier = ThresholdSegments(k=3, leaves=6, bootstraps=2).fit(rows)
    numbers = {1: 3, 2: 5, 3: 8, PROSPECTS: PROSPECTS, OUTLIERS: OUTLIERS}
    earlier.tree = earlier.tree.renamed(numbers)
    earlier.numbers = {cluster: numbers[each] for cluster, each in earlier.numbers.items()}
    earlier.names = {numbers[each]: f"the old {name}" for each, name in earlier.names.items()}
    later = ThresholdSegments(k=3, leaves=6, bootstraps=2, seed=1).fit(rows)
    certain = later.score(rows)["certainty"].to_pylist()
    later.follow(earlier, rows)
    assert sorted(later.ids) == [3, 5, 8]
    assert {each.name for each in later.segments if each.segment in {3, 5, 8}} == {
        earlier.names[each] for each in (3, 5, 8)
    }
    agreed = pc.mean(pc.equal(later.score(rows)["segment"], earlier.score(rows)["segment"]).cast(pa.int32())).as_py()
    assert agreed > 0.9
    assert later.score(rows)["certainty"].to_pylist() == certain


def test_a_segment_without_a_forerunner_has_a_new_number():
    """From three segments to four: three keep theirs, the fourth has the least free one and a name of its own."""
    rows = rows_now()
    earlier = ThresholdSegments(k=3, leaves=6, bootstraps=0).fit(rows)
    later = ThresholdSegments(k=4, leaves=8, bootstraps=0).fit(rows)
    later.follow(earlier, rows)
    assert len(set(later.ids)) == 4
    assert len({each.name for each in later.segments}) == len(later.segments)


def test_the_baseline_has_a_reference_of_its_own():
    """Drift of the grid, where it serves, is measured against the grid's own segments."""
    today = END + timedelta(days=1)
    for model, reference in (
        (trained().model, trained().reference),
        (trained().baseline, trained().baseline_reference),
    ):
        assert reference.sort_by("customer_id").equals(
            Segments().watched(model, a_shop(), today).sort_by("customer_id")
        )


@pytest.mark.parametrize(
    ("days", "lately", "possible"),
    [
        ((-np.inf, 90), (-np.inf, 1), False),  # ordered within 90 days, and no order in them
        ((120, np.inf), (1, np.inf), False),  # the last order long ago, and one since
        ((-np.inf, 90), (1, np.inf), True),
        ((90, np.inf), (1, np.inf), True),  # on the ninetieth day itself
        ((-np.inf, 120), (-np.inf, 1), True),
    ],
)
def test_a_rule_says_nothing_of_customers_who_cannot_be(days, lately, possible):
    """The days since the last order and the orders of the last 90 days cannot contradict one another."""
    assert bool(is_possible({RECENT: days, LATELY: lately})) is possible
    assert not is_possible({RECENT: (-np.inf, 30), OFTEN: (-np.inf, 1)})


def test_a_shop_that_names_no_product_has_no_variety():
    """Nobody has "0 different products" where lines do not say which product."""
    rows = rows_now()
    place = rows.column_names.index("n_products")
    without = rows.set_column(place, "n_products", pa.array([0] * rows.num_rows, pa.int64()))
    assert "different product" in profile_of(rows, rows)
    assert "product" not in profile_of(without, without)


def test_reasons_add_up_to_the_distance_from_the_next_segment():
    """The effects of all features are the difference of the squared distances, which is never below zero by much."""
    rows, model = rows_now().slice(20, 10), trained().model
    told = model.explain(rows, top=4).to_pylist()
    points = model.clusters.space(behaviour(rows))
    for row in range(10):
        apart = np.sort(((points[row] - model.clusters.centres) ** 2).sum(axis=1))
        mine = sum(one["effect"] for one in told if one["row"] == row)
        assert abs(mine) == pytest.approx(apart[1] - apart[0]) or mine < 0


# Training.


def test_the_tree_beats_the_grid_on_customers_it_never_saw():
    """Judged on a third of the customers, a month later; the report says so and can be written down."""
    report = trained().report
    assert report.chosen == "threshold_tree"
    assert {each.name for each in report.candidates if each.is_baseline} == {"rfm_groups", "rfm_grid"}
    assert report.held_out == (END + timedelta(days=1 - 30), END)
    assert gate(report, has_champion=False).promote
    assert report.n_rows < rows_now().num_rows / 2
    assert json.loads(to_json(report))["facts"]["cost_ratio"] == report.facts["cost_ratio"] >= 1


def test_what_came_after_the_moment_changes_nothing_before_it():
    """The evaluated model is fitted on what was known a month before: later orders do not touch it."""
    shop = a_shop()
    more = Orders(
        np.append(shop.customers, [40, 41]), np.append(shop.days, [350, 360]), np.append(shop.amounts, [1e6, 1e6])
    )
    other = Segments(least=3, most=5).train(more, parameters=RECIPE, tell=nothing)
    now = rows_now()
    assert other.evaluated.assign(now).tolist() == trained().evaluated.assign(now).tolist()


def test_the_champion_is_compared_on_the_same_customers():
    """Against itself there is nothing to gain, so it stays."""
    report = trained(with_champion=True).report
    assert report.against_champion.gain.value == 0
    assert not gate(report, has_champion=True).promote


def test_a_champion_of_older_columns_is_not_compared():
    """It needs a column that is no more: the report says which."""

    class Old(ThresholdSegments):
        @property
        def columns(self) -> tuple[str, ...]:
            return ("shoe_size",)

    found = Segments(least=3, most=5).train(a_shop(), parameters=RECIPE, champion=Old(), tell=nothing).report
    assert found.against_champion is None
    assert any("shoe_size" in note for note in found.notes)


def test_the_choice_of_k_is_told():
    """Without a recipe each k has a row; the recipe that comes of it needs no choice again."""
    values = in_one_order(behaviour(rows_now()))
    values = values[values[:, 2] > 0]
    recipe, table = choose(values, least=3, most=4, seed=0, tell=nothing)
    assert recipe["k"] == 3
    assert 3 <= recipe["leaves"] <= 12
    assert table["k"] == [3, 4]
    assert table["stability"][0] > 0.9
    assert set(table) == {
        "k", "silhouette", "calinski_harabasz", "davies_bouldin", "stability", "cost_ratio", "mean_rank",
        "is_chosen",
    }  # fmt: skip
    assert table["is_chosen"] == [True, False]
    assert plots.KINDS["choice"](table, "").get_suptitle().startswith("3 segments are chosen")


def test_every_curve_has_a_plot():
    """The report is drawn whole, groups and importances by the segments' names."""
    report = trained().report
    assert set(plots.draw(report)) == {"candidates", *report.curves}
    names = {each.name for each in trained().model.segments}
    assert set(report.curves["principal_components"]["group"]) <= names
    assert set(report.curves["importances"]["name"]) <= {each.name for each in trained().evaluated.segments}


def test_segments_are_told_by_their_medians():
    """Of the customers of each, as their rows say; shares of customers and of net sales make 1."""
    curve, rows = trained().report.curves["segments"], rows_now()
    assigned = trained().model.assign(rows)
    for place, segment in enumerate(curve["segment"]):
        mine = rows.filter(pa.array(assigned == segment))
        assert curve["share"][place] == pytest.approx(mine.num_rows / rows.num_rows)
        known = mine["days_since_last_order"].drop_null().to_pylist()
        assert curve["median_days_since_last_order"][place] == (np.median(known) if known else None)
    assert sum(curve["share"]) == pytest.approx(1)
    assert sum(curve["share_of_sales"]) == pytest.approx(1)


def test_importance_names_what_segments_are_made_of():
    """The feature that tells most of each segment is one of the four, or follows them closely; noise is not told of."""
    curve = trained().report.curves["importances"]
    first = {}
    for segment, feature, value in zip(curve["segment"], curve["feature"], curve["importance"], strict=True):
        first.setdefault(segment, (feature, value))
    assert all(value >= 0 for _, value in first.values())
    assert {feature for feature, value in first.values() if value > 0.1} <= {*FEATURES, "n_products", "sales_per_order"}


# What is published.


def test_every_customer_has_a_row():
    """One per customer, segment and group, with what its table declares."""
    rows = predicted()["customer_segments"]
    assert rows["customer_id"].to_pylist() == rows_now()["customer_id"].to_pylist()
    assert set(rows["model_version"].to_pylist()) == {"segments/1"}
    assert pc.min(rows["certainty"]).as_py() >= 0
    assert pc.max(rows["certainty"]).as_py() <= 1


def test_segments_add_up():
    """Customers, shares, sales and expected shares of all segments are those of the shop."""
    rows = predicted()["segments"]
    assert pc.sum(rows["n_customers"]).as_py() == rows_now().num_rows
    for column in ("share", "share_of_sales", "expected_share_next_month"):
        assert pc.sum(rows[column]).as_py() == pytest.approx(1)
    profiles = dict(zip(rows["segment"].to_pylist(), rows["profile"].to_pylist(), strict=True))
    assert "None of them has ordered" in profiles[PROSPECTS]
    assert "2 customers" in profiles[OUTLIERS]
    assert "Thursdays" in profiles[OUTLIERS]


def test_moves_end_where_customers_are():
    """Those who moved into a segment in the last month are its customers; shares from one segment add up to one."""
    moves, now = predicted()["segment_migrations"].to_pylist(), predicted()["segments"].to_pylist()
    last = max(row["as_of"] for row in moves)
    for segment in now:
        came = [row["n_customers"] for row in moves if row["as_of"] == last and row["to_segment"] == segment["segment"]]
        assert sum(came) == segment["n_customers"]
    shares: dict[tuple, float] = {}
    for row in moves:
        key = (row["as_of"], row["from_segment"])
        shares[key] = shares.get(key, 0) + row["share"]
    assert all(share == pytest.approx(1) for share in shares.values())


def month(number: int, **customers: int) -> Moment:
    """Who was in which segment in a month."""
    names = sorted(customers)
    return Moment(date(2024, number, 1), np.array(names), np.array([customers[name] for name in names]))


def test_moves_by_hand():
    """Two stay, one moves, one is new."""
    rows = migrations([month(1, a=1, b=1, c=2), month(2, a=1, b=2, c=2, d=1)]).to_pylist()
    told = {(row["from_segment"], row["to_segment"]): (row["n_customers"], row["share"]) for row in rows}
    assert told == {(-1, 1): (1, 1.0), (1, 1): (1, 0.5), (1, 2): (1, 0.5), (2, 2): (1, 1.0)}


def test_a_steady_drift_is_foretold():
    """Half of segment 1 moves to 2 each month: the chain is right where "stays as it is" is wrong, so it serves."""
    months = [month(1, **{f"c{each:02}": 1 for each in range(16)})]
    for number, left in ((2, 8), (3, 4), (4, 2)):
        months.append(month(number, **{f"c{each:02}": 1 if each < left else 2 for each in range(16)}))
    found = forecast(months, [1, 2])
    assert found.method == MARKOV
    assert found.n_tested == 2
    assert found.errors[MARKOV] == pytest.approx(0)
    assert found.shares == pytest.approx({1: 1 / 16, 2: 15 / 16})


def test_without_a_past_nothing_is_expected_to_change():
    """One month or two cannot be tested: shares stay."""
    for months in ([month(1, a=1, b=2)], [month(1, a=1, b=1), month(2, a=1, b=2)]):
        found = forecast(months, [1, 2])
        assert found.method == AS_IT_IS
        assert found.errors == {}
        assert found.shares == {1: 0.5, 2: 0.5}


def test_correlations_are_of_ranks():
    """Equal ranks correlate to 1 whatever the scale; constants and texts have none."""
    n = np.arange(40.0)
    rows = pa.table({"a": n, "b": np.exp(n / 9), "c": np.ones(40), "d": -n, "country": ["x"] * 40})
    told = correlations(rows)
    pairs = list(zip(told["feature"], told["other"], strict=True))
    assert pairs == [("a", "b"), ("a", "d"), ("b", "d")]
    assert told["rho"] == pytest.approx([1, -1, -1])


# Bad input.


def orders(*told: tuple[int, int, float]) -> Orders:
    """A history of orders by customer, day, amount."""
    return Orders(*(np.array(column) for column in zip(*told, strict=True)))


@pytest.mark.parametrize(
    ("case", "shop", "why"),
    [
        ("3 customers", orders((1, 1, 9.0), (2, 5, 9.0), (3, 70, 9.0)), "at least 20 customers"),
        ("68 customers", orders(*[(each, 5 + each, 9.0 + each) for each in range(68)]), "at least 50 customers"),
        ("one order each, alike", orders(*[(each, 3, 9.0) for each in range(200)]), "differ enough"),
        ("a single day", orders(*[(each, 3, 9.0 + each % 2) for each in range(200)]), "differ enough"),
    ],
)
def test_too_few_or_too_like_customers_have_their_groups(case, shop, why):
    """No behavioural segments, and a note says why; nothing is promoted, and the named groups serve all tables."""
    subject = Segments()
    found = subject.train(shop, tell=nothing)
    assert any(why in note for note in found.report.notes), case
    assert not gate(found.report, has_champion=False).promote
    told = subject.predict(found.baseline, shop, shop.last_day + timedelta(days=1), version="segments/1")
    assert told["customer_segments"].num_rows == len(set(shop.customers.tolist()))
    assert set(told) == {"customer_segments", "segments", "segment_migrations"}
    assert set(told["segments"]["segment"].to_pylist()) == {0, *range(11, 21)}
    assert all(
        row["segment_name"] == row["rfm_group"] and (row["segment"] > 10 or row["segment"] == 0)
        for row in told["customer_segments"].to_pylist()
    )


@pytest.mark.parametrize("amount", [-5.0])
def test_a_shop_where_all_was_cancelled(amount):
    """There is no order to learn from: a sentence says so."""
    with pytest.raises(ModelError, match="there is none"):
        Segments().train(orders((1, 1, amount), (2, 9, amount)), tell=nothing)


def test_a_constant_feature_is_left_out():
    """Where everyone spent alike, segments differ in the rest and no rule speaks of sales."""
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1], 200)
    values = np.column_stack(
        [np.where(kind, 10, 200) + rng.integers(0, 5, 400), kind * 2, 1 + kind * 3, np.full(400, 50.0)]
    )
    found = fit_clusters(values.astype(float), 2, 4, seed=0)
    assert np.array_equal(found.tree.assign(values) == found.tree.assign(values)[0], kind == 0)
    assert all(3 not in box for _, box in found.tree.leaves())


def test_a_stored_recipe_that_no_longer_fits_is_chosen_anew():
    """Eight segments are not to be found in three groups of equal customers."""
    shop = orders(*[(each, [10, 200, 360][each % 3], [5.0, 50.0, 500.0][each % 3]) for each in range(300)])
    recipe = {"candidate": "threshold_tree", "parameters": {"k": 8, "leaves": 12}}
    found = Segments(least=2, most=8).train(shop, parameters=recipe, tell=nothing)
    assert any("no longer fits" in note for note in found.report.notes)


@pytest.mark.parametrize(("least", "most"), [(1, 4), (4, 9), (5, 4)])
def test_how_many_segments_may_be_chosen(least, most):
    """From 2 to 8, the least first."""
    with pytest.raises(ModelError, match="must be from 2 to 8"):
        Segments(least=least, most=most)
