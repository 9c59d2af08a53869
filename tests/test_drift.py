"""Drift: silent on unchanged data, loud on planted shifts, and a policy that says what to do."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from shopkeeper.drift import POLICIES, Action, Volume, decay, decide, examine, html, measures, to_json
from shopkeeper.drift.measures import (
    bin_categories,
    bin_numbers,
    chance_of_counts,
    chance_of_new,
    distances,
    effective,
    holm,
    stability_index,
    total_variation,
)
from shopkeeper.errors import ModelError, SettingsError
from shopkeeper.evaluation import Figure

COUNTRIES = np.array(["UK", "DE", "FR", "NL", "EIRE", *(f"C{n}" for n in range(30))])
SHARES = np.concatenate([[0.8, 0.05, 0.04, 0.02, 0.015], np.full(30, 0.075 / 30)])


def columns(rng, n):
    """Columns as ours are: heavy tails, ties, mostly zero, constant, mostly missing, many rare categories."""
    return {
        "normal": rng.normal(size=n),
        "money": rng.lognormal(0, 2, n),
        "wild": rng.standard_cauchy(n),
        "orders": rng.negative_binomial(1, 0.3, n).astype(float),
        "cancellations": rng.poisson(0.05, n).astype(float),
        "mostly_zero": np.where(rng.random(n) < 0.8, 0, rng.exponential(size=n)),
        "share": rng.integers(0, 4, n) / 3,
        "constant": np.ones(n),
        "mostly_missing": np.where(rng.random(n) < 0.6, np.nan, rng.normal(size=n)),
        "seldom_missing": np.where(rng.random(n) < 0.1, np.nan, rng.gamma(0.5, size=n)),
        "country": COUNTRIES[rng.choice(len(COUNTRIES), n, p=SHARES)],
        "score": rng.beta(2, 5, n),
    }


NAMES = tuple(name for name in columns(np.random.default_rng(0), 1) if name != "score")


def table(told):
    return pa.table({name: pa.array(column, from_pandas=True) for name, column in told.items()})


def held(before, now, **more):
    return examine(before, now, columns=more.pop("columns", NAMES), **more)


# --------------------------------------------------------------- false alarms


@pytest.mark.parametrize(("n", "m"), [(1000, 1000), (4000, 400), (60, 40)])
def test_unchanged_data_raise_an_alarm_in_at_most_one_report_of_twenty(n, m):
    """Over 200 pairs of tables from the same world, all columns together: even without asking for a size that matters,
    no more than 5 % (and what chance adds to 200 draws) differ; with it, fewer.
    """
    differ = alarms = 0
    for draw in range(200):
        rng = np.random.default_rng([draw, n, m])
        found = held(table(columns(rng, n)), table(columns(rng, m)))
        differ += any(column.p_value < 0.05 for column in found.columns)
        alarms += bool(found.alarms)
    assert differ <= 18  # 10 expected at the most; 18 leaves a chance of 1 in 100 that a sound test fails
    assert alarms <= 10


def test_rows_of_one_customer_do_not_count_as_many():
    """A reference of twelve moments, at which each customer looks the same, raises no more alarms than one moment."""
    alarms = naive = 0
    for draw in range(100):
        rng = np.random.default_rng([draw, 12])
        one = columns(rng, 150)
        many = {name: np.repeat(column, 12) for name, column in one.items()}
        now = columns(rng, 2000)
        ids = np.repeat([f"c{n}" for n in range(150)], 12)
        told = table({**many, "customer_id": ids}), table({**now, "customer_id": [f"d{n}" for n in range(2000)]})
        alarms += bool(held(*told).alarms)
        naive += bool(held(table(many), table(now)).alarms)
    assert alarms <= 5
    assert naive >= 50  # so the test would notice


# ------------------------------------------------------------- planted shifts

PLANTED = {
    "mean by half a deviation": ("normal", lambda rng, x: x + 0.5),
    "scale by half": ("normal", lambda rng, x: x * 1.5),
    "money of half a deviation more on its log scale": ("money", lambda rng, x: x * np.exp(1)),
    "one order more": ("orders", lambda rng, x: x + 1),
    "a new country for 5 %": ("country", lambda rng, x: np.where(rng.random(len(x)) < 0.05, "Narnia", x)),
    "a tenth more missing": ("seldom_missing", lambda rng, x: np.where(rng.random(len(x)) < 1 / 9, np.nan, x)),
    "a tenth more missing of many": ("mostly_missing", lambda rng, x: np.where(rng.random(len(x)) < 1 / 4, np.nan, x)),
    "nothing missing any more": ("mostly_missing", lambda rng, x: rng.normal(size=len(x))),
    "prediction by half a deviation": ("score", lambda rng, x: np.minimum(x + 0.08, 1)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_shifts_are_found(name):
    """In at least 95 of 100 draws with 1,000 rows on each side, the column is named; and hardly any other."""
    column, shift = PLANTED[name]
    found = strange = 0
    for draw in range(100):
        rng = np.random.default_rng([draw, 77])
        before, now = columns(rng, 1000), columns(rng, 1000)
        alarms = {each.name for each in held(table(before), table({**now, column: shift(rng, now[column])})).alarms}
        found += column in alarms
        strange += bool(alarms - {column})
    assert found >= 95
    assert strange <= 5


# -------------------------------------------------------------------- measures


def test_the_stability_index_of_a_small_table():
    """Shares .5 and .5 become .4 and .6: .1 x ln(.5/.4) + .1 x ln(.6/.5) = .0405, but for half a row in each bin."""
    assert stability_index(np.array([5e6, 5e6]), np.array([4e6, 6e6])) == pytest.approx(0.0405465, abs=1e-6)


def test_ties_are_bins_of_their_own():
    """Customers with one order are not hidden in an interval: below, at and above 1 are told apart."""
    bins = bin_numbers(np.array([1.0] * 8 + [2.0, 5.0]), np.array([0.0, 1.0, 1.5, 9.0]))
    assert dict(zip(bins.labels, bins.before, strict=True))["1"] == 8
    assert dict(zip(bins.labels, bins.now, strict=True)) == {
        "up to 1": 1,
        "1": 1,
        "1 to 2": 1,
        "2": 0,
        "5": 0,
        "above 5": 1,
    }


def test_categories_by_frequency_rare_ones_together_new_ones_named():
    """1 % of the mean of both sides is a bin; new ones are named, the most frequent first."""
    before = np.array(["a"] * 990 + ["b"] * 8 + ["c"] * 2)
    bins, new = bin_categories(before, np.array(["a"] * 90 + ["x"] * 8 + ["y"] * 1 + ["c"]))
    assert (bins.labels, bins.before.tolist(), bins.now.tolist()) == (("a", "x", "(rare)"), [990, 0, 10], [90, 8, 2])
    assert new == {"x": 8, "y": 1}


def test_pearsons_test_of_a_small_table():
    """10/20 against 15/15 of 30 rows each: statistic 1.714 with one degree of freedom, p = .190 (by hand)."""
    assert chance_of_counts(np.array([10.0, 20.0]), np.array([15.0, 15.0]), 30, 30) == pytest.approx(0.1904, abs=1e-4)
    assert chance_of_counts(np.array([10.0, 20.0]), np.array([15.0, 15.0]), 300, 300) < 1e-4
    assert chance_of_counts(np.array([2.0, 1.0]), np.array([0.0, 3.0]), 3, 3) == 1  # too few to expect five anywhere


def test_a_new_category_by_chance():
    """Two rows of one name both lie in the second half with chance 1/4; of two such names, 1/2 bounds it."""
    assert chance_of_new({"x": 2}, np.array([2.0, 2.0, 1.0]), 10, 10) == 0.5
    assert chance_of_new({}, np.array([2.0]), 10, 10) == 1


def test_distances_of_small_tables():
    """Each by hand."""
    before, now = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0, 1.0])
    assert distances(before, now) == (0.25, pytest.approx(0.25 / 0.5))
    assert distances(np.ones(3), np.array([1.0, 2.0, 3.0])) == (pytest.approx(2 / 3), None)
    assert total_variation(np.array([8.0, 2.0]), np.array([5.0, 5.0])) == pytest.approx(0.3)
    assert effective(["a", "a", "a", "b"]) == pytest.approx(16 / 10)
    assert holm(np.array([0.04, 0.01])).tolist() == [0.04, 0.02]
    with pytest.raises(ModelError, match="between 0 and 1"):
        holm(np.array([1.2]))


def test_distances_are_those_of_scipy():
    """Both agree with SciPy on columns with ties and heavy tails."""
    from scipy.stats import ks_2samp, wasserstein_distance

    rng = np.random.default_rng(6)
    one, two = columns(rng, 500), columns(rng, 300)
    for name in ("normal", "money", "orders", "mostly_zero"):
        before, now = np.sort(one[name]), np.sort(two[name])
        expected = ks_2samp(before, now).statistic, wasserstein_distance(before, now) / before.std()
        assert distances(before, now) == pytest.approx(expected)


def test_the_examples_of_the_measures_are_true():
    """Each example in a docstring gives what it says."""
    import doctest

    assert doctest.testmod(measures).failed == 0


# -------------------------------------------------------------------- examine


@pytest.fixture(scope="module")
def drifted():
    """A report with alarms of several kinds."""
    rng = np.random.default_rng(3)
    before, now = columns(rng, 1500), columns(rng, 1500)
    now["normal"] = now["normal"] + 0.5
    now["country"] = np.where(rng.random(1500) < 0.05, "<b>Narnia</b>", now["country"])
    now["seldom_missing"] = np.where(rng.random(1500) < 0.1, np.nan, now["seldom_missing"])
    before["n_orders"], now["n_orders"] = rng.poisson(3, 1500), rng.poisson(6, 1500)
    return table(before), table(now)


def test_the_order_of_rows_does_not_matter_and_nothing_is_altered(drifted):
    """Shuffled rows give the same bytes of JSON; the tables handed in are as they were."""
    rng = np.random.default_rng(0)
    before, now = drifted
    copies = [
        table({name: each[name].to_numpy(zero_copy_only=False) for name in each.column_names}) for each in drifted
    ]
    told = to_json(held(before, now))
    assert to_json(held(*(each.take(rng.permutation(each.num_rows)) for each in drifted))) == told
    assert [each.equals(copy) for each, copy in zip(drifted, copies, strict=True)] == [True, True]


def test_what_a_column_tells(drifted):
    """Nulls, new categories, distance and bins of the columns that were planted."""
    found = {column.name: column for column in held(*drifted, columns=(*NAMES, "n_orders")).columns}
    country = found["country"]
    assert (country.kind, country.new[0], country.shift) == ("category", "<b>Narnia</b>", None)
    assert country.new_share == pytest.approx(0.05, abs=0.02)
    assert found["seldom_missing"].nulls_now - found["seldom_missing"].nulls_before == pytest.approx(0.1, abs=0.03)
    assert found["normal"].shift == pytest.approx(0.5, abs=0.1)
    assert sum(found["normal"].now) == pytest.approx(1)
    assert (found["constant"].psi, found["constant"].distance, found["constant"].alarm) == (0, 0, "none")


def test_what_ages_by_nature_raises_no_alarm(drifted):
    """Twice as many orders over a life is told, and flagged as expected; under another name it would be an alarm."""
    before, now = drifted
    (orders,) = (each for each in held(before, now, columns=("n_orders",)).columns if each.name == "n_orders")
    assert (orders.is_expected, orders.size, orders.alarm) == (True, "strong", "none")
    (orders,) = held(before, now, columns=("n_orders",), ageing=(), score=None).columns
    assert orders.alarm == "strong"


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ([1.0, 2.0, 3.0], [1.0]),
        ([None, None], [None]),
        ([None, None], [1.0, 2.0]),
        ([1.0], [None]),
        (["a", "b"], ["c"]),
        ([None], ["c"]),
        ([float("inf"), 1.0], [float("-inf"), 2.0]),
        ([True, False], [True, True]),
    ],
)
def test_a_shop_of_three_customers_has_no_alarm(before, now):
    """A handful of rows, whatever they hold, tells nothing, and the report says that only large drifts can be seen."""
    found = examine(pa.table({"x": before}), pa.table({"x": now}), columns=["x"], score=None)
    assert found.alarms == ()
    assert "few independent rows" in found.notes[0]
    assert "few independent rows" in html(found, decide(found, "stop"))


def test_a_column_that_is_empty_now_is_an_alarm():
    """All values gone is the largest drift there is."""
    found = examine(
        pa.table({"x": np.arange(500.0)}), pa.table({"x": pa.nulls(500, pa.float64())}), columns=["x"], score=None
    )
    assert found.columns[0].alarm == "strong"
    assert found.columns[0].reason == "is missing in 100% of rows instead of 0%"


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"x": [1.0]}, {"y": [1.0]}, "current rows must have the columns that the model uses; missing: x"),
        ({"y": [1.0]}, {"x": [1.0]}, "reference must have the columns that the model uses; missing: x"),
        ({"x": [1.0]}, {"x": pa.array([], pa.float64())}, "must have rows; got none"),
        ({"x": [[1.0]]}, {"x": [[1.0]]}, "must hold numbers or texts"),
    ],
)
def test_what_cannot_be_compared_is_told(before, now, told):
    """A champion of older columns, no rows, and columns that are no features."""
    with pytest.raises(ModelError, match=told):
        examine(pa.table(before), pa.table(now), columns=["x"], score=None)


# ---------------------------------------------------------- decay and policy


def test_a_metric_that_got_worse():
    """A score that no longer ranks is worse by more than noise; the one of training is not; a better one is not."""
    rng = np.random.default_rng(5)
    truth = (rng.random(800) < 0.3).astype(float)
    good, bad = truth + rng.normal(0, 0.8, 800), rng.random(800)
    reported = Figure(0.81, 0.79, 0.83)
    assert decay("roc_auc", truth, bad, reported, seed=1).is_worse
    found = decay("roc_auc", truth, good, reported, seed=1)
    assert (found.is_worse, found.n_rows, found.loss) == (False, 800, reported.value - found.found.value)
    assert not decay("roc_auc", truth, truth, reported, seed=1).is_worse
    assert decay("brier", truth, np.full(800, 0.9), Figure(0.2, 0.19, 0.21), seed=1).is_worse
    assert not decay("brier", truth, truth, Figure(0.2, 0.19, 0.21), seed=1).is_worse


def test_an_unchanged_metric_seldom_looks_worse():
    """Scores of the same quality are called worse in at most 5 of 100 draws."""
    worse = 0
    for draw in range(100):
        rng = np.random.default_rng([draw, 8])
        truth = (rng.random(600) < 0.3).astype(float)
        scores = truth + rng.normal(0, 0.85, 600)
        # The true AUC of this world, reported with the interval that 600 rows give.
        worse += decay("roc_auc", truth, scores, Figure(0.797, 0.762, 0.832), seed=draw).is_worse
    assert worse <= 5


@pytest.mark.parametrize(
    ("before", "now", "is_odd"),
    [(1000, 1100, False), (1000, 400, True), (1000, 2100, True), (3, 0, False), (3, 8, False), (0, 0, False)],
)
def test_volume(before, now, is_odd):
    """Half or twice as many rows are odd, unless they are a handful."""
    assert Volume(before, now).is_odd == is_odd


def test_what_a_policy_makes_of_a_report(drifted):
    """Nothing found: nothing to do. A lesser alarm warns. A grave one does what the policy says, and names what."""
    before, now = drifted
    calm = held(before, before)
    lesser = held(before, now, columns=("seldom_missing",), version="churn/3")
    grave = held(before, now, version="churn/3")
    odd = held(before, before, volume=Volume(1000, 10))
    assert [decide(calm, policy).kind for policy in POLICIES] == ["none"] * 3
    assert [decide(lesser, policy).kind for policy in POLICIES] == ["warn"] * 3
    assert [decide(grave, policy).kind for policy in POLICIES] == list(POLICIES)
    assert [decide(odd, policy).kind for policy in POLICIES] == list(POLICIES)
    assert "churn/3" in decide(grave, "stop").sentence
    assert "new categories such as <b>Narnia</b>" in decide(grave, "stop").sentence
    assert "rows went from 1000 to 10" in decide(odd, "warn").sentence
    with pytest.raises(SettingsError, match="must be one of warn, retrain, stop; got 'panic'"):
        decide(calm, "panic")


def test_a_moved_prediction_is_grave(drifted):
    """Even a moderate alarm of the score makes the policy act, and the score stands first."""
    before, _ = drifted
    rng = np.random.default_rng(4)
    moved = before.set_column(
        before.column_names.index("score"), "score", pa.array(np.minimum(before["score"].to_numpy() + 0.06, 1))
    )
    found = held(before.take(rng.permutation(1500)), moved)
    assert (found.columns[0].name, found.columns[0].alarm) == ("score", "warn")
    assert decide(found, "retrain").kind == "retrain"


# ---------------------------------------------------------------------- pages


class Page(HTMLParser):
    """Notes tags, and that what was opened is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in {"meta", "rect", "line"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else(drifted):
    """Well formed, no script, no other host, names from the data escaped, each alarm and the decision on it."""
    worse = decay("brier", np.array([1.0, 0.0] * 50), np.full(100, 0.9), Figure(0.2, 0.19, 0.21), seed=1)
    told = {"volume": Volume(1500, 1500), "decays": [worse], "version": "churn/3", "about": ("before", "now")}
    report = held(*drifted, columns=(*NAMES, "n_orders"), **told)
    text = html(report, decide(report, "retrain"))
    page = Page()
    page.feed(text)
    assert page.open == []
    assert "script" not in page.seen
    assert not re.search(r"https?://|url\(|@import|src=", text)
    assert "&lt;b&gt;Narnia" in text
    assert "<b>Narnia" not in text
    for name in (*NAMES, "score", "n_orders"):
        assert f"<h3>{name}</h3>" in text
    assert "Train anew." in text
    assert html(report, decide(report, "retrain")) == text


def test_the_page_of_a_calm_report(drifted):
    """It says that nothing is to be done, and shows no empty section."""
    report = held(drifted[0], drifted[0])
    text = html(report, decide(report, "stop"))
    assert "Nothing to do." in text
    assert "What has drifted" not in text


def test_the_example_of_the_page_runs(drifted):
    """The Python of docs/drift.md."""
    page = (Path(__file__).parents[1] / "docs" / "drift.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    told = {"reference": drifted[0], "current": drifted[1], "model": SimpleNamespace(columns=NAMES)}
    exec(code, told)  # noqa: S102 - the page is ours
    assert told["action"].kind == "retrain"
    assert told["page"].startswith("<!doctype html>")


def test_json_tells_all(drifted):
    """Every column with its size and alarm."""
    report = held(*drifted, volume=Volume(10, 10))
    told = json.loads(to_json(report))
    assert [(each["name"], each["alarm"]) for each in told["columns"]] == [
        (each.name, each.alarm) for each in report.columns
    ]
    assert told["volume"] == {"before": 10, "now": 10, "is_odd": False}
    assert isinstance(decide(report, "warn"), Action)
