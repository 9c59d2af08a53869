"""Who stays away: honest training, calibration, reasons in words, and shops that allow no answer."""

import json
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import from_json, gate, to_json
from shopkeeper.models import churn
from shopkeeper.models.churn import Churn, horizon_of, sentences
from shopkeeper.models.customer_silence import BEHAVIOUR, KINDS, Boosted, Logistic, NotAlive, Recency
from shopkeeper.models.log_odds import chance_of, fit_log_odds, log_odds_of

START = date(2024, 1, 1)


def silent(step: str, what: str, done: int, total: int | None) -> None:
    """Tell nothing."""


@pytest.fixture(scope="module")
def shop(history_of, buyers):
    return history_of(buyers(700, 400, seed=5, r=1.2, alpha=25.0))


@pytest.fixture(scope="module")
def trained(shop):
    return Churn(horizon_days=60).train(shop, seed=7, tell=silent)


# ------------------------------------------------------------------ the question


def days_of(*customers: list[int]) -> pa.Table:
    """Rows of ``order_days``."""
    rows = [(f"c{who}", START + timedelta(day)) for who, days in enumerate(customers) for day in days]
    return pa.table(
        {"customer_id": [who for who, _ in rows], "ordered_on": pa.array([on for _, on in rows], pa.date32())}
    )


@pytest.mark.parametrize(
    ("gaps", "span", "days"),
    [
        ([10] * 9 + [30], 1000, 28),  # the 90 % quantile is 12: at least four weeks
        ([50] * 10, 1000, 56),  # whole weeks, rounded up
        ([400] * 10, 3000, 180),  # half a year at most
        ([50] * 10, 90, 30),  # a third of the history at most
    ],
)
def test_the_horizon_is_the_shops_own(gaps, span, days):
    """Nine in ten gaps between a customer's order days are shorter, within limits; two customers make no gap."""
    on = np.cumsum([0, *gaps]).tolist()
    assert horizon_of(days_of(on, [3]), span)[0] == days
    assert horizon_of(days_of(on, [3]).take(np.random.default_rng(0).permutation(len(on) + 1)), span)[0] == days


def test_without_a_gap_the_horizon_is_ninety_days():
    """Nobody came back: a usual horizon, and a rule that says so."""
    assert horizon_of(days_of([1], [5]), 1000) == (90, "90 days, for nobody came back; at most a third of the history")


def test_a_horizon_that_is_set_is_taken(trained, shop):
    """The setting stands above the stored recipe, and the recipe above the data."""
    assert trained.report.facts["horizon_rule"] == "set by churn.horizon_days"
    assert Churn(horizon_days=30)._horizon(shop, 60) == (30, "set by churn.horizon_days")
    assert Churn()._horizon(shop, 60) == (60, "kept from the recipe")


# ------------------------------------------------------------------ the models


def test_log_odds_by_hand():
    """Without columns that vary a regression gives the share; chance and log-odds are inverse."""
    fitted = fit_log_odds(np.zeros((4, 1)), np.array([1.0, 1.0, 1.0, 0.0]))
    assert chance_of(fitted.of(np.zeros((1, 1))))[0] == pytest.approx(0.75)
    assert chance_of(log_odds_of(np.array([0.3])))[0] == pytest.approx(0.3)


def test_log_odds_agree_with_scikit_learn():
    """The same coefficients at the same penalty."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(2)
    matrix, weights = rng.normal(size=(400, 3)), rng.random(400) + 0.5
    target = (rng.random(400) < chance_of(matrix @ np.array([1.0, -2.0, 0.5]) + 0.4)).astype(np.float64)
    other = LogisticRegression(C=1 / 3.0, tol=1e-10, max_iter=1000).fit(matrix, target, weights)
    found = fit_log_odds(matrix, target, weights=weights, penalty=3.0).coefficients
    assert found == pytest.approx(np.append(other.intercept_, other.coef_[0]), abs=1e-5)


def test_separable_rows_converge_with_a_penalty():
    """A column that knows the answer gives finite coefficients."""
    found = fit_log_odds(np.array([[-1.0], [-1.0], [1.0], [1.0]]), np.array([0.0, 0.0, 1.0, 1.0]), penalty=0.1)
    assert 1 < found.coefficients[1] < 10


def test_longer_silence_never_lowers_the_chance(trained, shop):
    """The boosted trees are held to it: one customer, silent for longer and longer."""
    rows = shop.features([date(2024, 10, 1)])
    told = shop.outcomes([date(2024, 10, 1)], 60)
    target = (told["n_orders_ahead"].to_numpy() == 0).astype(np.int64)
    model = Boosted(seed=1, horizon_days=60).fit(with_missing(rows).append_column("is_churned", pa.array(target)))
    one = with_missing(rows).slice(0, 1)
    at = one.column_names.index("days_since_last_order")
    chances = [
        model.score(one.set_column(at, "days_since_last_order", pa.array([days])))["churn_probability"][0].as_py()
        for days in (1, 10, 30, 60, 120, 200)
    ]
    assert chances == sorted(chances)
    assert chances[-1] > chances[0]


def with_missing(rows: pa.Table) -> pa.Table:
    """Rows with all columns of behaviour."""
    for name in BEHAVIOUR:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, pa.float64()))
    return rows


def test_a_model_of_one_outcome_is_refused(shop):
    """All stayed away: nothing to learn, and the sentence says so."""
    rows = shop.features([date(2024, 10, 1)])
    rows = rows.append_column("is_churned", pa.array(np.ones(rows.num_rows, np.int64)))
    for kind in (Recency, NotAlive):
        with pytest.raises(ModelError, match="must have come back and stayed away"):
            kind(horizon_days=60).fit(rows)


def test_noise_is_called_noise(shop):
    """Where the outcome follows nothing, cross-fitted scores are flat: no fold has seen its own customers."""
    rows = with_missing(shop.features([date(2024, 10, 1)]))
    coin = np.random.default_rng(4).integers(0, 2, rows.num_rows)
    for kind in (Boosted, Logistic):
        model = kind(horizon_days=60).fit(rows.append_column("is_churned", pa.array(coin)))
        chance = model.score(rows)["churn_probability"].to_numpy()
        assert model.validation > 0.68
        assert chance.std() < 0.06


# ------------------------------------------------------------------ the subject


def test_the_baseline_is_beaten_with_honest_chances(trained):
    """The chosen candidate beats recency by more than noise, and its chances are within .03 of what happened."""
    report = trained.report
    assert gate(report, has_champion=False).promote
    assert {candidate.name for candidate in report.candidates} == set(KINDS)
    figures = {candidate.name: candidate.figures for candidate in report.candidates}[report.chosen]
    assert figures["calibration_error"].low <= 0.03
    assert figures["roc_auc"].value > 0.75
    assert abs(report.facts["ordered_by_the_date"] - 0.5) < 0.1
    assert from_json(to_json(report)) == report


def test_a_level_that_is_off_is_told_from_the_rest():
    """True chances .2 and .6, all told half a unit of log-odds too low: the level is found, and nothing is left beyond it."""
    true = np.repeat([0.2, 0.6], 5000)
    actual = np.concatenate([np.repeat([1.0, 0.0], [1000, 4000]), np.repeat([1.0, 0.0], [3000, 2000])])
    facts = churn._calibration(actual, chance_of(log_odds_of(true) - 0.5))
    assert facts["calibration_level"] == pytest.approx(0.5)
    assert facts["calibration_error_beyond_level"] == pytest.approx(0.0, abs=1e-9)
    assert 0.0 < facts["calibration_error_by_chance"] < 0.02
    (note,) = churn._miscalibrated(facts, 0.1)
    assert "all of them were too low alike" in note
    assert churn._miscalibrated(facts, 0.029) == []


def test_the_choice_never_looks_at_the_held_out_period(trained, shop, history_of):
    """Orders of the held-out period changed: the same choice and the same evaluated model."""
    moment = trained.report.held_out[0]
    rows = shop.orders.to_pylist()
    kept = [row for row in rows if row["ordered_on"] < moment]
    after = [(f"n{number}", (moment - START).days + number % 60, 9.0) for number in range(300)]
    told = [(row["customer_id"], (row["ordered_on"] - START).days, row["gross"]) for row in kept]
    other = Churn(horizon_days=60).train(
        history_of([*told, *after, ("z", (shop.last_day - START).days, 1.0)]), seed=7, tell=silent
    )
    assert other.report.held_out == trained.report.held_out
    assert other.report.chosen == trained.report.chosen
    rows = with_missing(shop.features([moment]))
    assert other.evaluated.score(rows).equals(trained.evaluated.score(rows))


def test_windows_of_training_end_before_the_held_out_moment(trained, shop):
    """Every training moment's 60 days are over when the held-out ones begin; those end on the last day."""
    first, last = trained.report.held_out
    assert last == shop.last_day
    assert (last - first).days + 1 == 60
    assert trained.report.facts["training_moments"] == 12


def test_a_large_shop_is_thinned_by_customer(shop, monkeypatch):
    """Above the limit whole customers are left out, by a hash: the same ones at every moment, training and held out."""
    monkeypatch.setattr(churn, "MOST_ROWS", 2000)
    rows = churn._read(shop, 60)
    monkeypatch.setattr(churn, "MOST_ROWS", 300_000)
    whole = churn._read(shop, 60)
    assert 1000 < rows.everything.num_rows < 2600 < whole.everything.num_rows
    kept = set(rows.everything["customer_id"].to_pylist())
    held_out = set(whole.held_out["customer_id"].to_pylist())
    assert set(rows.held_out["customer_id"].to_pylist()) == kept & held_out


def test_published_scores_are_whole(trained, shop):
    """Each buyer once, ranked by chance, with an interval around it, dates from the moment on, and words."""
    as_of = shop.last_day + timedelta(1)
    found = Churn(horizon_days=60).predict(trained.model, shop, as_of, version="churn/2")
    rows = found["churn_scores"].to_pylist()
    assert [row["customer_id"] for row in rows] == shop.features([as_of])["customer_id"].to_pylist()
    by_rank = sorted(rows, key=lambda row: row["risk_rank"])
    assert [row["risk_rank"] for row in by_rank] == list(range(1, len(rows) + 1))
    assert all(one["churn_probability"] >= two["churn_probability"] for one, two in pairwise(by_rank))
    for row in rows:
        assert row["probability_low"] <= row["churn_probability"] <= row["probability_high"]
        assert row["expected_next_order_on"] is None or row["expected_next_order_on"] >= as_of
        assert row["churn_probability"] > 0.5 or (row["expected_next_order_on"] - as_of).days <= 60
        assert row["reasons"].endswith(".")
    reasons = found["churn_reasons"].to_pylist()
    assert {(row["customer_id"], row["place"]) for row in reasons} >= {(row["customer_id"], 1) for row in rows}
    assert max(row["place"] for row in reasons) <= 3


def test_drift_is_measured_against_the_day_of_training(trained, shop):
    """A young shop's earlier moments are unlike today; each model, the baseline too, is compared with its own scores."""
    today = shop.last_day + timedelta(days=1)
    for model, reference in ((trained.model, trained.reference), (trained.baseline, trained.baseline_reference)):
        assert reference.equals(Churn().watched(model, shop, today))


def test_a_stored_recipe_refits_the_same(trained, shop):
    """The recipe, through JSON, gives the same choice and scores; the champion of the same rows is neither better nor worse."""
    recipe = json.loads(json.dumps(trained.parameters))
    again = Churn().train(shop, parameters=recipe, champion=trained.evaluated, seed=7, tell=silent)
    rows = with_missing(shop.features([date(2024, 12, 1)]))
    assert again.model.score(rows).equals(trained.model.score(rows))
    assert again.report.against_champion.gain.value == 0.0


def test_a_search_keeps_its_budget_and_its_best(shop):
    """Each try is told; the recipe keeps the parameters that did best on unseen customers."""
    found = Churn(horizon_days=60).train(shop, seed=7, budget=3.0, tell=silent)
    assert found.trials
    assert found.trials[0].parameters == {}
    assert sum(trial.seconds for trial in found.trials) < 4.5
    best = min(found.trials, key=lambda trial: trial.value)
    assert found.parameters["candidates"]["lightgbm"].items() >= dict(best.parameters).items()


@pytest.mark.parametrize("what", ["columns", "horizon"])
def test_a_champion_that_cannot_be_compared_is_a_note(trained, shop, what):
    """One of older columns, or of another horizon: no comparison, a sentence, and training goes on."""

    class Older(Recency):
        features = ("spend_last_year",)

    rows = shop.features([date(2024, 9, 1)])
    told = shop.outcomes([date(2024, 9, 1)], 60)
    target = pa.array((told["n_orders_ahead"].to_numpy() == 0).astype(np.int64))
    rows = rows.append_column("is_churned", target).append_column("spend_last_year", rows["net_sales"])
    champion = (Older(horizon_days=60) if what == "columns" else Recency(horizon_days=45)).fit(rows)
    report = Churn().train(shop, parameters=trained.parameters, champion=champion, tell=silent).report
    assert report.against_champion is None
    assert any(("spend_last_year" if what == "columns" else "it answers for 45 days") in note for note in report.notes)


def test_customers_after_the_moment_are_absent(trained, shop):
    """Who comes later is in no row of an earlier moment; before anybody came there are no rows."""
    as_of = date(2024, 3, 1)
    found = Churn().predict(trained.model, shop, as_of, version="x")["churn_scores"]
    known = {row["customer_id"] for row in shop.orders.to_pylist() if row["ordered_on"] < as_of}
    assert set(found["customer_id"].to_pylist()) == known
    nobody = Churn().predict(trained.model, shop, date(2023, 1, 1), version="x")
    assert [table.num_rows for table in nobody.values()] == [0, 0]


# ------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("features", "chance", "gap", "says"),
    [
        ([("days_since_last_order", "140", 1.0)], 0.9, 30.2, "No order for 140 days, usually every 30."),
        ([("days_since_last_order", "1", -1.0)], 0.2, 30.2, "No order for 1 day, usually every 30."),
        (
            [("days_since_last_order", "9", 1.0), ("n_order_days", "1", 0.5)],
            0.9,
            None,
            "No order for 9 days since the only one.",
        ),
        (
            [("n_orders_90d", "1", 1.0), ("net_sales", "12.5", 2.0)],
            0.6,
            3.0,
            "1 order in the last 90 days; net sales of 12 so far.",
        ),
        ([("n_orders_90d", "4", -1.0), ("net_sales", "12.5", 2.0)], 0.2, 3.0, "4 orders in the last 90 days."),
        ([("cart_rate", None, 1.0)], 0.9, 3.0, "Nothing stands out."),
    ],
)
def test_reasons_are_plain_words(features, chance, gap, says):
    """The two strongest effects towards the likelier outcome, each said as a shopkeeper would."""
    days = next((int(value) for name, value, _ in features if name == "days_since_last_order"), 7)
    rows = pa.table({"days_since_last_order": [days], "mean_days_between_orders": pa.array([gap], pa.float64())})
    told = pa.table(
        {
            "row": [0] * len(features),
            "feature": [name for name, _, _ in features],
            "value": pa.array([value for _, value, _ in features], pa.string()),
            "effect": [effect for _, _, effect in features],
        }
    )
    assert sentences(rows, np.array([chance]), told) == [says]


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "must have orders"),
        ([(who, 0, 5.0) for who in range(50)], "a history must span at least"),
        ([(who, day, 5.0) for who in range(3) for day in range(0, 200, 9)], "must be 30 or more to judge churn; got 3"),
        ([(who, who % 300, 5.0) for who in range(900)], "must have come back and stayed away"),
    ],
    ids=["no order", "one day", "three customers", "one order each"],
)
def test_data_that_do_not_allow_it_say_so(history_of, rows, says):
    """No order, a single day, three customers, one order each: a plain sentence."""
    with pytest.raises(ModelError, match=says):
        Churn().train(history_of(rows), tell=silent)


def test_a_shop_of_cancelled_orders_still_has_churn(history_of, buyers):
    """All orders given back: customers come back all the same, and no figure is damaged by net sales of 0."""
    shop = history_of([(who, day, 10.0, 10.0) for who, day, _ in buyers(500, 300, seed=6)])
    found = Churn(horizon_days=40).train(shop, tell=silent)
    rows = Churn().predict(found.model, shop, shop.last_day + timedelta(1), version="x")["churn_scores"]
    assert np.isfinite(rows["churn_probability"].to_numpy()).all()


# ------------------------------------------------------------------ honesty


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_no_chance_that_calibrates_has_seen_its_own_customer(shop, kind):
    """A customer who later comes every other day, or not at all: the chance before it does not move."""
    moments = [date(2024, 9, 1), date(2024, 11, 1)]
    rows = shop.features(moments).sort_by([("customer_id", "ascending"), ("as_of", "ascending")])
    target = np.random.default_rng(1).integers(0, 2, rows.num_rows).astype(float)
    who, when = rows["customer_id"].to_pylist(), rows["as_of"].to_pylist()
    at = next(place for place, n in enumerate(rows["n_order_days"].to_pylist()) if n > 3 and when[place] == moments[0])
    later = at + 1
    assert who[later] == who[at]
    other = rows
    for name, value in (("n_order_days", 200), ("days_since_last_order", 0), ("net_sales", 1e6)):
        values = rows[name].to_pylist()
        values[later] = value
        other = other.set_column(other.column_names.index(name), name, pa.array(values, rows[name].type))
    model = kind(horizon_days=60, seed=3)
    changed = target.copy()
    changed[later] = 1 - changed[later]
    before, after = model._unseen(with_missing(rows), target)[at], model._unseen(with_missing(other), changed)[at]
    assert before == after


def test_a_champion_that_has_seen_the_held_out_days_is_not_compared(trained, shop):
    """The served model was refitted on them; a note says so."""
    report = Churn().train(shop, parameters=trained.parameters, champion=trained.model, seed=7, tell=silent).report
    assert report.against_champion is None
    assert any("has learnt from days after" in note for note in report.notes)
