"""What customers are worth: the mathematics against published figures and simulation, the subject against hand-made shops."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from shopkeeper import plots
from shopkeeper.errors import ModelError
from shopkeeper.evaluation import from_json, gate, to_json
from shopkeeper.models.buying import BgNbd, Triples, bgnbd_log_likelihood, fit_bgnbd
from shopkeeper.models.customer_value import BgNbdGammaGamma, PastRate
from shopkeeper.models.lifetime import CANDIDATES, Lifetime, by_frequency
from shopkeeper.models.spending import GammaGamma, fit_gamma_gamma, future_range, gamma_gamma_log_likelihood

CDNOW = BgNbd(0.2426, 4.4136, 0.7929, 2.4259)


def silent(step: str, what: str, done: int, total: int | None) -> None:
    """Tell nothing."""


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def rows_of(*customers: tuple[float, ...]) -> pa.Table:
    """Feature rows of (order days, days since the first, days since the last, net sales)."""
    n, first, last, net = zip(*customers, strict=True)
    return pa.table(
        {
            "n_order_days": pa.array(n, pa.int64()),
            "days_since_first_order": pa.array(first, pa.int64()),
            "days_since_last_order": pa.array(last, pa.int64()),
            "net_sales": pa.array(net, pa.float64()),
        }
    )


@pytest.fixture(scope="module")
def shop(history_of, buyers):
    return history_of(buyers(1500, 360, seed=3))


@pytest.fixture(scope="module")
def trained(shop):
    return Lifetime(horizon_days=180, margin=0.5).train(shop, seed=7, tell=silent)


# ------------------------------------------------------------------ CDNOW


@pytest.fixture(scope="module")
def cdnow(real_data):
    """Of each customer of the sample: the days with a purchase (same-day purchases merged), and the value of each."""
    found: dict[str, dict[date, float]] = {}
    for line in real_data("cdnow/CDNOW_sample.txt").read_text().splitlines():
        _, customer, day, _, value = line.split()
        days = found.setdefault(customer, {})
        on = date(int(day[:4]), int(day[4:6]), int(day[6:]))
        days[on] = days.get(on, 0.0) + float(value)
    return found


@pytest.fixture(scope="module")
def calibration(cdnow):
    """x, t_x, T in weeks at the end of week 39, the mean value of repeat purchases, and the purchases after it."""
    end = date(1997, 9, 30)
    told = []
    for days in cdnow.values():
        first = min(days)
        again = sorted(day for day in days if first < day <= end)
        last = again[-1] if again else first
        mean = np.mean([days[day] for day in again]) if again else 0.0
        told.append((len(again), (last - first).days / 7, (end - first).days / 7, mean, sum(day > end for day in days)))
    return [np.array(values, np.float64) for values in zip(*told, strict=True)]


@pytest.mark.real_data
def test_cdnow_gives_the_published_parameters(calibration):
    """BG/NBD and Gamma-Gamma come out as Fader and Hardie published them."""
    x, t_x, age, mean, _ = calibration
    model = fit_bgnbd(Triples.group(x, t_x, age))
    assert [round(value, 3) for value in (model.r, model.alpha, model.a, model.b)] == [0.243, 4.414, 0.793, 2.426]
    assert round(model.log_likelihood, 1) == -9582.4
    spending = fit_gamma_gamma(x[x > 0], mean[x > 0])
    assert [round(value, 2) for value in (spending.p, spending.q, spending.v)] == [6.25, 3.74, 15.44]


@pytest.mark.real_data
def test_cdnow_is_foretold_for_weeks_40_to_78(cdnow, calibration):
    """Repeat purchases of weeks 0 to 78 come within 5 %; those of weeks 40 to 78 alone are 11 % low; each class is near."""
    x, t_x, age, _, after = calibration
    model = fit_bgnbd(Triples.group(x, t_x, age))
    ages = np.array([(date(1998, 6, 30) - min(days)).days / 7 for days in cdnow.values()])
    whole, before = model.expected_from_start(ages).sum(), model.expected_from_start(age).sum()
    actual = sum(len(days) - 1 for days in cdnow.values())
    assert actual == 4339
    assert round(whole / actual - 1, 3) == -0.041
    assert round((whole - before) / (actual - x.sum()) - 1, 3) == -0.114
    found = by_frequency(x, after, model.expected(x, t_x, age, 39.0))
    assert found["n_customers"] == [1411, 439, 214, 100, 62, 38, 29, 64]
    assert np.round(found["actual"], 3).tolist() == [0.237, 0.697, 1.393, 1.56, 2.532, 2.947, 3.862, 6.359]
    assert np.round(found["expected"], 3).tolist() == [0.225, 0.523, 1.044, 1.52, 2.164, 2.654, 3.504, 6.157]


@pytest.mark.real_data
def test_cdnow_beats_the_past_as_a_subject(cdnow, history_of):
    """Trained on its first 39 weeks, BG/NBD beats everybody going on as before by more than noise over the next 39."""
    start = date(1997, 1, 1)
    rows = [(who, (day - start).days, value) for who, days in cdnow.items() for day, value in days.items()]
    report = Lifetime(horizon_days=273).train(history_of(rows), seed=7, tell=silent).report
    assert {candidate.name for candidate in report.candidates} == {*CANDIDATES, "past_rate"}
    assert gate(report, has_champion=False).promote
    assert report.facts["range_coverage"] >= 0.88
    assert report.facts["order_days_expected"] / report.facts["order_days_actual"] - 1 == pytest.approx(-0.12, abs=0.03)


# ------------------------------------------------------------------ the mathematics


def test_a_customer_of_the_paper():
    """A customer of x = 2, t_x = 30.43, T = 38.86 buys 1.226 times in the next 39 weeks (Fader, Hardie and Lee's own example)."""
    assert CDNOW.expected(column(2), column(30.43), column(38.86), 39.0)[0] == pytest.approx(1.226, abs=5e-4)


@pytest.mark.parametrize(("x", "t_x", "age"), [(0, 0, 10.0), (3, 20.0, 30.0), (40, 38.0, 39.0)])
def test_a_customers_future_is_as_simulated(x, t_x, age):
    """P(alive) given, the count, the chance of none and the range of spending agree with 200,000 simulated futures."""
    rng, size, spending = np.random.default_rng(5), 200_000, GammaGamma(6.25, 3.74, 15.44)
    past = column(x), column(t_x), column(age)
    is_alive = rng.random(size) < CDNOW.alive(*past)[0]
    n = np.minimum(
        rng.poisson(rng.gamma(CDNOW.r + x, 1 / (CDNOW.alpha + age), size) * 39),
        rng.geometric(np.maximum(rng.beta(CDNOW.a, CDNOW.b + x, size), 1e-12)),
    )
    n = n * is_alive
    value = np.where(n > 0, rng.gamma(np.maximum(6.25 * n, 1e-9)), 0) / rng.gamma(6.25 * (x + 1) + 3.74, 1, size)
    assert CDNOW.expected(*past, 39.0)[0] == pytest.approx(n.mean(), rel=0.02)
    assert CDNOW.none_within(*past, 39.0)[0] == pytest.approx((n == 0).mean(), abs=0.005)
    low, high = (found[0] for found in future_range(CDNOW, spending, past, 39.0, coverage=0.9, seed=0))
    assert ((low <= value) & (value <= high)).mean() == pytest.approx(0.9, abs=0.015)


@pytest.mark.parametrize(
    "model", [CDNOW, BgNbd(1.0, 5.0, 1.0, 2.0), BgNbd(0.5, 5.0, 0.3, 0.7), BgNbd(1.0, 5.0, 400.0, 9.0)]
)
def test_expectations_hold_at_the_poles_and_far_out(model):
    """Where a is 1, a + b is 1, a is in the hundreds, or x is 2,000: the closed form is the sum of P(k or more)."""
    x, age = column(0, 1, 50, 2000), column(10, 200, 300, 365)
    chance = 39.0 / (model.alpha + age + 39.0)
    found = model.expected_if_alive(x, age, 39.0)
    assert found == pytest.approx(model._sum_of_tails(model.r + x, chance, x), rel=1e-4)


def test_gradients_are_right():
    """The analytic gradients of both likelihoods are those of finite differences."""
    triples = Triples.group(column(0, 1, 3, 3), column(0, 5, 20, 20), column(30, 30, 25, 25))
    n, mean = column(1, 2, 5), column(10, 30, 12)
    for of, at in (
        (lambda logs: bgnbd_log_likelihood(logs, triples), column(-0.5, 1, 0.2, 0.9)),
        (lambda logs: bgnbd_log_likelihood(logs, triples, leaves_at_once=True), column(-0.5, 1, 0.2, 0.9)),
        (lambda logs: gamma_gamma_log_likelihood(logs, n, mean), column(1, 0.7, 2)),
    ):
        differences = [(of(at + step)[0] - of(at - step)[0]) / 2e-5 for step in np.eye(len(at)) * 1e-5]
        assert of(at)[1] == pytest.approx(differences, rel=1e-6, abs=1e-6)


def test_equal_histories_are_counted_once():
    """Grouping changes neither the likelihood nor who is who."""
    x, t_x, age = column(1, 0, 1, 0), column(5, 0, 5, 0), column(9, 7, 9, 8)
    triples = Triples.group(x, t_x, age)
    assert triples.count.tolist() == [1, 1, 2]
    assert triples.x[triples.of].tolist() == x.tolist()
    assert triples.age[triples.of].tolist() == age.tolist()


@pytest.mark.parametrize("leaves_at_once", [False, True])
def test_parameters_of_a_simulated_population_are_found(leaves_at_once):
    """The truth of 5,000 simulated customers lies within three standard errors; the likelihood knows which model it was."""
    rng, count, truth = np.random.default_rng(11), 5000, {"r": 0.8, "alpha": 20.0, "a": 0.8, "b": 2.5}
    rate, leave, age = rng.gamma(0.8, 1 / 20, count), rng.beta(0.8, 2.5, count), rng.integers(100, 360, count)
    x, t_x = np.zeros(count), np.zeros(count)
    for customer in range(count):
        has_left = leaves_at_once and rng.random() < leave[customer]
        on = np.inf if has_left else rng.exponential(1 / rate[customer])
        while on < age[customer]:
            x[customer], t_x[customer] = x[customer] + 1, on
            on += np.inf if rng.random() < leave[customer] else rng.exponential(1 / rate[customer])
    triples = Triples.group(x, t_x, age.astype(np.float64))
    model, other = (fit_bgnbd(triples, leaves_at_once=which) for which in (leaves_at_once, not leaves_at_once))
    errors = model.standard_errors
    assert [name for name in truth if abs(getattr(model, name) - truth[name]) > 3 * errors[name]] == []
    assert all(errors[name] < 0.3 * truth[name] for name in truth)
    assert model.log_likelihood > other.log_likelihood


def test_more_and_later_orders_say_alive():
    """P(alive) falls with silence, faster for those who ordered often; without a second order it is 1 unless modified."""
    recent, silent_ = CDNOW.alive(column(5, 5), column(38, 10), column(39, 39))
    assert recent > 0.8
    assert silent_ < 0.1
    assert CDNOW.alive(column(1), column(10), column(39))[0] > silent_
    assert CDNOW.alive(column(0), column(0), column(39))[0] == 1.0
    modified = replace(CDNOW, leaves_at_once=True)
    assert (
        1 > modified.alive(column(0), column(0), column(1))[0] > modified.alive(column(0), column(0), column(39))[0] > 0
    )


# ------------------------------------------------------------------ the models


def test_the_past_rate_by_hand():
    """Two order days 20 days apart make a gap of 20: 2 / (60 + 20) order days a day, each worth 50."""
    rows = rows_of((2, 60, 40, 100.0), (1, 20, 20, 30.0))
    found = PastRate(horizon_days=40, margin=0.5).fit(rows).score(rows).to_pydict()
    assert found["expected_order_days"] == [1.0, 1.0]
    assert found["expected_value"] == [25.0, 15.0]
    assert found["p_alive"] == [None, None]


def test_returns_take_value_to_nothing_and_not_below(shop):
    """Who gave back more than was bought is worth less than anybody who kept it, and never less than 0."""
    model = BgNbdGammaGamma().fit(shop.features([date(2024, 7, 1)]))
    found = model.score(rows_of((3, 90, 10, -50.0), (3, 90, 10, 0.0), (3, 90, 10, 1.0))).to_pydict()
    assert found["expected_value"][0] == found["expected_value"][1]
    assert 0 < found["expected_value"][1] < found["expected_value"][2]


def test_a_customer_without_an_order_has_no_value(shop):
    """Nothing can be said of somebody who never ordered: null, not 0."""
    rows = shop.features([date(2024, 7, 1)])
    nobody = pa.table(
        {
            name: pa.array([0] if name in {"n_order_days", "net_sales"} else [None], kind)
            for name, kind in zip(rows.schema.names, rows.schema.types, strict=True)
            if name in BgNbdGammaGamma().columns
        }
    )
    for model in (BgNbdGammaGamma().fit(rows), PastRate().fit(rows)):
        assert set(model.score(nobody).to_pylist()[0].values()) == {None}


def test_reasons_add_up_to_the_value(shop):
    """The three effects are logarithms that sum to the distance from the typical customer."""
    rows = shop.features([date(2024, 7, 1)])
    model = BgNbdGammaGamma().fit(rows)
    effects = np.zeros(rows.num_rows)
    told = model.explain(rows, top=3)
    np.add.at(effects, told["row"].to_numpy(), told["effect"].to_numpy())
    logs = np.log(model.score(rows)["expected_value"].to_numpy())
    assert effects == pytest.approx(logs - sum(model.typical), abs=1e-9)


def test_one_customers_score_does_not_depend_on_the_others(shop):
    """Scored alone, in any order, or among all: the same numbers to the bit, the range too."""
    rows = shop.features([date(2024, 7, 1)])
    model = BgNbdGammaGamma(seed=5).fit(rows)
    whole = model.score(rows)
    at = np.random.default_rng(0).permutation(rows.num_rows)
    assert model.score(rows.take(at)).equals(whole.take(at))
    assert model.score(rows.slice(17, 1)).to_pylist() == whole.slice(17, 1).to_pylist()


# ------------------------------------------------------------------ the subject


def test_the_truths_own_shop_is_won(trained):
    """Where the world is BG/NBD, it beats the baseline by more than noise, without bias, and its ranges hold 90 %."""
    report = trained.report
    assert from_json(to_json(report)) == report
    assert gate(report, has_champion=False).promote
    figures = {candidate.name: candidate.figures for candidate in report.candidates}
    assert abs(figures["bgnbd_gamma_gamma"]["bias"].value) < 0.1
    assert report.facts["range_coverage_high"] >= 0.9
    assert report.facts["range_coverage_low"] <= 0.93


def test_the_held_out_period_is_the_last_half_at_most(trained, shop):
    """It ends on the last day; the model that is judged knew nothing of it, the one that serves knows all."""
    held_out = trained.report.held_out
    assert held_out[1] == shop.last_day
    days = (held_out[1] - held_out[0]).days + 1
    assert days == min(180, ((shop.last_day - shop.first_day).days + 1) // 2)
    again = BgNbdGammaGamma(**trained.evaluated.parameters).fit(shop.features([held_out[0]]))
    assert again.orders == trained.evaluated.orders
    assert trained.model.orders != trained.evaluated.orders
    assert trained.model.horizon_days == 180


def test_the_tracking_has_a_point_where_the_held_out_period_begins(trained):
    """From there on it counts what the report holds out: order days that came, and those expected."""
    curve, report = trained.report.curves["tracking"], trained.report
    start = curve["is_held_out"].index(True) - 1
    assert curve["weeks"][-1] - curve["weeks"][start] == pytest.approx(report.facts["held_out_days"] / 7)
    assert curve["actual"][-1] - curve["actual"][start] == report.facts["order_days_actual"]
    told = curve["expected"][-1] - curve["expected"][start]
    assert told == pytest.approx(report.facts["order_days_expected"], rel=0.1)


def test_every_curve_has_a_plot(trained):
    """The report is drawn whole."""
    assert set(plots.draw(trained.report)) == {"candidates", *trained.report.curves}


def test_published_rows_name_each_buyer_once(trained, shop):
    """All customers with an order stand there once, those with one order too, and value is net sales times margin."""
    as_of = shop.last_day + timedelta(1)
    found = Lifetime(horizon_days=180, margin=0.5).predict(trained.model, shop, as_of, version="lifetime/1")
    rows = found["customer_lifetime_values"]
    known = shop.features([as_of])
    assert rows["customer_id"].to_pylist() == known["customer_id"].to_pylist()
    assert {row["model_version"] for row in rows.to_pylist()} == {"lifetime/1"}
    full = trained.model.variant(margin=1.0).score(known)["expected_value"].to_numpy()
    assert rows["lifetime_value"].to_numpy() == pytest.approx(0.5 * full)
    assert all(row["value_low"] <= row["value_high"] for row in rows.to_pylist())


def test_drift_is_measured_against_each_models_own_scores(trained, shop):
    """The baseline, where it serves, is not compared with the values of the model that it beat."""
    today = shop.last_day + timedelta(days=1)
    for model, reference in ((trained.model, trained.reference), (trained.baseline, trained.baseline_reference)):
        assert reference.equals(Lifetime(horizon_days=180, margin=0.5).watched(model, shop, today))


def test_a_stored_recipe_refits_the_same(trained, shop):
    """The recipe gives the same model without choosing again, and a champion of the same rows is no better, no worse."""
    again = Lifetime(horizon_days=180, margin=0.5).train(
        shop, parameters=trained.parameters, champion=trained.evaluated, seed=7, tell=silent
    )
    assert again.trials == []
    assert again.model.orders == trained.model.orders
    assert again.report.against_champion.gain.value == 0.0


def test_a_champion_of_another_kind_is_not_compared(shop, trained):
    """A note says so, and training goes on."""

    class Older(PastRate):
        name = "older"

        @property
        def columns(self):
            return ("spend_last_year",)

    rows = shop.features([date(2024, 5, 1)])
    older = Older().fit(rows.append_column("spend_last_year", rows["net_sales"]))
    report = Lifetime(horizon_days=180).train(shop, parameters=trained.parameters, champion=older, tell=silent).report
    assert report.against_champion is None
    assert any("spend_last_year" in note for note in report.notes)


# ------------------------------------------------------------------ bad input


def test_without_repeat_orders_the_baseline_stands_alone(history_of):
    """One order each: BG/NBD says why it cannot be fitted, everybody has a value, and nothing is promoted."""
    shop = history_of([(who, who % 100, 10.0) for who in range(100)])
    found = Lifetime(horizon_days=30).train(shop, tell=silent)
    assert found.report.chosen == "past_rate"
    assert not gate(found.report, has_champion=False).promote
    assert any("second order day must be 10 or more" in note for note in found.report.notes)
    rows = Lifetime(horizon_days=30).predict(found.model, shop, date(2024, 4, 10), version="x")[
        "customer_lifetime_values"
    ]
    assert rows.num_rows == 100


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "must have orders"),
        ([(who, 0, 5.0) for who in range(50)], "must span at least 28 days to hold out a half; got 1"),
        ([(who, day, 5.0) for who in range(3) for day in range(0, 100, 9)], "must be 30 or more"),
    ],
)
def test_data_that_do_not_allow_it_say_so(history_of, rows, says):
    """No order, a single day, three customers: a plain sentence."""
    with pytest.raises(ModelError, match=says):
        Lifetime().train(history_of(rows), tell=silent)


def test_a_shop_of_cancelled_orders_is_worth_nothing(history_of, buyers):
    """All orders given back: the baseline says 0 for everybody, and notes say why."""
    shop = history_of([(who, day, 10.0, 10.0) for who, day, _ in buyers(400, 200, seed=2)])
    found = Lifetime(horizon_days=90).train(shop, tell=silent)
    assert found.report.chosen == "past_rate"
    assert set(found.model.score(shop.features([date(2024, 7, 19)]))["expected_value"].to_pylist()) == {0.0}
    assert any("gave back all" in note for note in found.report.notes)
    assert any("positive order value" in note for note in found.report.notes)


def test_orders_of_one_value_keep_it(history_of, buyers):
    """Where each order is worth 10, each expected order day is."""
    shop = history_of([(who, day, 10.0 * n_same) for who, day, n_same in same_days(buyers(400, 200, seed=2))])
    found = Lifetime(horizon_days=90).train(shop, tell=silent)
    scores = found.model.score(shop.features([date(2024, 7, 19)]))
    assert found.report.chosen in CANDIDATES
    per_day = scores["expected_value"].to_numpy() / scores["expected_order_days"].to_numpy()
    assert per_day == pytest.approx(10.0, rel=0.02)


def same_days(rows: list[tuple]) -> list[tuple]:
    """One row of worth 1 per customer and day."""
    return [(who, day, 1) for who, day in sorted({(who, day) for who, day, _ in rows})]


def test_customers_after_the_moment_are_absent(trained, shop):
    """Who comes later is in no row of an earlier moment."""
    as_of = date(2024, 3, 1)
    found = Lifetime(horizon_days=180).predict(trained.model, shop, as_of, version="x")["customer_lifetime_values"]
    known = {row["customer_id"] for row in shop.orders.to_pylist() if row["ordered_on"] < as_of}
    assert set(found["customer_id"].to_pylist()) == known
    assert (
        Lifetime().predict(trained.model, shop, date(2023, 1, 1), version="x")["customer_lifetime_values"].num_rows == 0
    )


def test_a_champion_that_has_seen_the_held_out_days_is_not_compared(shop):
    """Fitted 60 days before the end, it has learnt from the 180 days that a longer horizon holds out."""
    champion = Lifetime(horizon_days=60).train(shop, seed=7, tell=silent).evaluated
    report = Lifetime(horizon_days=180).train(shop, champion=champion, seed=7, tell=silent).report
    assert report.against_champion is None
    assert any("has learnt from days after" in note for note in report.notes)
