"""Demand: the shop's days, its series, the methods, levels that add up, intervals, and what to order."""

import importlib.util
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import compare_errors, conformal_quantile, gate, rmsse, scaled_errors, squared_steps, wrmsse
from shopkeeper.models.calendar import ShopCalendar, country_code, holidays_of, is_open, number_of
from shopkeeper.models.demand import Demand
from shopkeeper.models.demand_hierarchy import WAYS, tree_of
from shopkeeper.models.demand_methods import METHODS, Past, weekday_factors
from shopkeeper.models.demand_series import PRODUCT, TOTAL, series_of
from shopkeeper.models.seasonality import rhythm_of
from shopkeeper.models.stock_advice import Policy, Shelves, advise
from shopkeeper.progress import silent

SPEC = importlib.util.spec_from_file_location("sold_in_memory", Path(__file__).parent / "sold_in_memory.py")
memory = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(memory)
START, SoldInMemory, lines_of, shop = memory.START, memory.SoldInMemory, memory.lines_of, memory.shop
MONDAY = number_of(START)
QUICK = {"methods": {"total": "weekday_level", "store": "weekday_level", "category": "combined"}, "way": "top_down"}
QUICK["methods"] |= {"product": "weekday_level", "rare product": "tsb", "country": "weekday_level"}


def past(units, week=6, ahead=6) -> Past:
    """Open days of a shop that is closed on Sundays."""
    units = np.atleast_2d(np.array(units, float))
    weekday = np.arange(units.shape[1] + ahead) % week
    return Past(units, weekday[: units.shape[1]], weekday[units.shape[1] :])


@pytest.fixture(scope="module")
def history():
    """A shop of 12 products, two stores and two categories, for 200 days."""
    return SoldInMemory(lines_of(shop()))


@pytest.fixture(scope="module")
def trained(history):
    """Its demand, 14 days ahead, all methods competing."""
    return Demand(horizon_days=14).train(history, seed=1, tell=silent)


@pytest.fixture(scope="module")
def tables(history, trained):
    """What is published of it."""
    return Demand(horizon_days=14).predict(trained.model, history, history.last_day + timedelta(1), version="demand/1")


# ------------------------------------------------------------------------- days


def test_closed_days_are_learnt_from_the_orders():
    """A weekday that never sells and a month's gap are closed; a quiet day of a shop with few orders is not."""
    busy = np.tile([9.0] * 6 + [0], 20)
    busy[50:80] = 0
    opened = is_open(busy, MONDAY)
    assert not opened[6::7].any()
    assert not opened[50:80].any()
    assert opened.sum() == (busy > 0).sum()
    rare = (np.arange(140) % 9 == 0).astype(float)
    assert is_open(rare, MONDAY).all()


def test_days_ahead_follow_the_calendar():
    """Sundays stay closed; Christmas to New Year is closed again, to the day, as it was the year before."""
    first = date(2023, 1, 1)
    days = [first + timedelta(number) for number in range((date(2024, 12, 10) - first).days)]
    closed = [
        day.weekday() == 6 or (day.month, day.day) >= (12, 24) or (day.month == 1 and day.day <= 2) for day in days
    ]
    holidays, note = holidays_of("Germany", first, date(2025, 12, 31))
    assert note == ""
    calendar = ShopCalendar(number_of(first), ~np.array(closed), holidays)
    ahead = calendar.ahead(30)
    told = {days[-1] + timedelta(1 + int(number)) for number in np.flatnonzero(~ahead)}
    assert {day for day in told if day.weekday() != 6} == {
        date(2024, 12, 24) + timedelta(number)
        for number in range(10)
        if (date(2024, 12, 24) + timedelta(number)).weekday() != 6
    }


def test_a_country_is_known_by_name_or_code():
    """An unknown one gives a sentence and no holidays."""
    assert [country_code(name) for name in ("United Kingdom", "UK", "EIRE", "de")] == ["GB", "GB", "IE", "DE"]
    holidays, note = holidays_of("Atlantis", date(2024, 1, 1), date(2024, 12, 31))
    assert holidays == {}
    assert "got 'Atlantis'" in note
    assert "no country" in holidays_of("", date(2024, 1, 1), date(2024, 12, 31))[1]


# ----------------------------------------------------------------------- series


def test_parts_add_up(history):
    """On each day products, categories and stores sum to the total; a level with one member has no series."""
    found = series_of(history, history.last_day + timedelta(1))
    for level in ("store", "category", PRODUCT):
        np.testing.assert_allclose(found.units[found.level == level].sum(axis=0), found.units[found.level == TOTAL][0])
    assert not (found.level == "country").any()
    assert set(found.parent[found.level == PRODUCT]) == {"A", "B"}


def test_a_one_off_order_is_no_demand(history):
    """One line of three ordinary days of the whole shop is left out, and counted."""
    huge = pa.concat_tables([history.lines, lines_of([(100, "p01", 50_000.0, 2.0, "s0", "B", None)])])
    found = series_of(SoldInMemory(huge), START + timedelta(200))
    assert found.one_offs == 1
    assert found.units.max() < 1000


def test_days_out_of_stock_are_not_zeros():
    """A product that sells 5 a day and is out of stock for 20 days sold 5 on those too, as demand counts."""
    rows = [(day, "steady", 5.0) for day in range(100) if not 60 <= day < 80]
    rows += [(day, f"other {number}", 3.0) for day in range(100) for number in range(8)]
    stock = pa.Table.from_pylist(
        [
            {"product_id": "steady", "store_id": "unknown", "day": START + timedelta(day), "on_hand": units}
            for day, units in ((0, 300.0), (59, 0.0), (80, 100.0))
        ],
        schema=memory.STOCK,
    )
    found = series_of(SoldInMemory(lines_of(rows), stock), START + timedelta(100))
    steady = found.units[found.key == "steady"][0]
    assert found.censored == 20
    np.testing.assert_allclose(steady, 5.0)
    np.testing.assert_allclose(found.units[found.level == TOTAL][0], 29.0)


# ---------------------------------------------------------------------- methods


def test_the_seasonal_naive_repeats_the_weekday():
    """Each day ahead is as the last such weekday was."""
    assert METHODS["seasonal_naive"](past([1, 2, 3, 4, 5, 6, 7, 8], ahead=7))[0].tolist() == [3, 4, 5, 6, 7, 8, 3]


def test_intermittent_methods_by_hand():
    """Demand of 4 every second day: Croston says 2, SBA 5 % less; TSB fades once it stops, Croston does not."""
    steady, ended = [0, 4] * 30, [0, 4] * 30 + [0] * 40
    told = {name: float(METHODS[name](past(steady))[0, 0]) for name in ("croston", "sba", "tsb")}
    assert told["croston"] == pytest.approx(2.0, rel=0.02)
    assert told["sba"] == pytest.approx(0.95 * told["croston"])
    assert told["tsb"] == pytest.approx(2.0, rel=0.06)
    assert METHODS["croston"](past(ended))[0, 0] > 1.0
    assert METHODS["tsb"](past(ended))[0, 0] < 0.4


def test_level_by_weekday_is_exact_where_it_holds():
    """A series that is level x weekday is forecast exactly, but for what draws factors to 1."""
    pattern = np.array([8, 10, 12, 14, 22, 6.0])
    units = np.tile(pattern, 30)
    found = weekday_factors(past(units))[0, :6]
    np.testing.assert_allclose(found, (26 * pattern / 12 + 4) / 30, rtol=0.02)
    for name in ("weekday_level", "week_level", "damped_trend", "combined"):
        np.testing.assert_allclose(METHODS[name](past(units))[0], pattern, rtol=0.15)


@pytest.mark.parametrize("name", METHODS)
def test_a_series_is_forecast_alike_alone_and_in_company(name):
    """To the bit, never below zero, one number per day ahead, the past unharmed; zeros stay zeros."""
    rng = np.random.default_rng(3)
    units = rng.poisson(np.geomspace(0.05, 50, 9)[:, None], (9, 80)).astype(float)
    units[0] = 0
    kept = units.copy()
    whole = METHODS[name](past(units, ahead=10))
    assert whole.shape == (9, 10)
    assert (whole >= 0).all()
    assert not whole[0].any()
    for row in range(9):
        np.testing.assert_array_equal(METHODS[name](past(units[row : row + 1], ahead=10))[0], whole[row])
    np.testing.assert_array_equal(units, kept)


def test_rhythm_is_found_and_not_invented():
    """A week of six open days is found by both analyses; in noise nothing is beyond chance."""
    rng = np.random.default_rng(1)
    units = np.tile([8, 10, 12, 14, 22, 6.0], 40) * rng.lognormal(0, 0.2, 240)
    found = rhythm_of(units, 6)
    assert found.period == pytest.approx(6, abs=0.1)
    assert found.chance < 1e-6
    assert found.lags[np.argmax(found.correlation)] % 6 == 0
    assert rhythm_of(rng.lognormal(0, 0.2, 240), 6).chance > 0.05
    assert rhythm_of(np.ones(100), 6) is None


# ---------------------------------------------------------------------- metrics


def test_scaled_errors_by_hand():
    """Steps 2, 2, -2 have the scale 4; errors of 2 and 0 give RMSSE sqrt(.5); weights 3 to 1 with a perfect series."""
    scale = squared_steps(np.array([[0, 1, 3, 5, 3.0], [0, 1, 3, 5, 3.0]]))
    assert scale.tolist() == [4.0, 4.0]
    truth, told = np.array([[3, 5.0], [3, 5.0]]), np.array([[1, 5.0], [3, 5.0]])
    assert rmsse(truth, told, scale).tolist() == [pytest.approx(0.5**0.5), 0.0]
    assert wrmsse(truth, told, scale, np.array([3.0, 1.0])) == pytest.approx(0.75 * 0.5**0.5)
    gap = np.array([[np.nan, 5.0], [3, 5.0]])
    assert rmsse(gap, told, scale).tolist() == [0.0, 0.0]


def test_a_comparison_is_paired():
    """A contender against itself gains exactly nothing; one that is nearer on each day gains for sure."""
    rng = np.random.default_rng(2)
    truth, weeks = rng.poisson(9, (5, 28)).astype(float), np.arange(28) // 7
    near, far = (scaled_errors(truth, truth + shift, np.ones(5), np.ones(5), weeks) for shift in (1.0, 2.0))
    assert compare_errors(near, near, names=("a", "a"), seed=0).gain.high == 0
    gain = compare_errors(near, far, names=("a", "b"), seed=0).gain
    assert gain.low == pytest.approx(1.0)


def test_a_conformal_quantile_counts_the_new_one():
    """Of 9 residuals the largest is the 90 % quantile; of 19 the 18th."""
    assert conformal_quantile(np.arange(1.0, 10.0), 0.9) == 9
    assert conformal_quantile(np.arange(1.0, 20.0), 0.9) == 18


# ----------------------------------------------------------------------- levels


@pytest.mark.parametrize("way", WAYS)
def test_levels_agree_exactly(way):
    """Whatever is told, parts add up to what they are parts of, nothing is below zero, the input stays as it was."""
    rng = np.random.default_rng(5)
    level = np.array(["total", "store", "store", "category", "category", *["product"] * 6])
    key = np.array(["all", "s0", "s1", "A", "B", *[f"p{n}" for n in range(6)]])
    parent = np.array([""] * 5 + ["A", "A", "A", "B", "B", "B"])
    told = rng.exponential(5, (11, 4))
    told[5:8, 0] = 0  # a category whose products have all ended
    kept = told.copy()
    tree = tree_of(level, key, parent)
    found = WAYS[way](tree, told, rng.exponential(3, 11))
    np.testing.assert_array_equal(told, kept)
    assert (found >= 0).all()
    for parts, whole in (([1, 2], 0), ([3, 4], 0), ([5, 6, 7], 3), ([8, 9, 10], 4)):
        np.testing.assert_allclose(found[parts].sum(axis=0), found[whole], atol=1e-9)


# -------------------------------------------------------------------- published


def test_it_beats_the_seasonal_naive(trained):
    """By more than noise, on days that no choice has seen; the gate says so."""
    report = trained.report
    assert report.chosen == "best_per_level"
    assert report.against_baseline.gain.low > 0
    assert gate(report, has_champion=False).promote
    assert set(trained.parameters["methods"]) >= {"total", "category", "product"}


def test_intervals_hold_what_they_promise(trained):
    """Calibrated before the held-out days, they hold 90 % +- 3 of them."""
    figure = trained.report.candidates[0].figures["coverage"]
    assert 0.87 <= figure.value <= 0.93


def test_published_forecasts_add_up(tables):
    """Each day's products, categories and stores sum to the total; each week is the sum of its days."""
    rows = tables["demand_forecasts"]
    sums = rows.group_by(["frequency", "level", "day"]).aggregate([("units", "sum")]).to_pylist()
    told = {(row["frequency"], row["level"], row["day"]): row["units_sum"] for row in sums}
    for (frequency, _, day), value in told.items():
        assert value == pytest.approx(told[frequency, TOTAL, day], abs=1e-6)
    weeks = sorted(day for frequency, level, day in told if (frequency, level) == ("weekly", TOTAL))
    assert [(day - weeks[0]).days for day in weeks] == [0, 7]
    daily = sum(v for (f, level, day), v in told.items() if (f, level) == ("daily", TOTAL) and day < weeks[1])
    assert told["weekly", TOTAL, weeks[0]] == pytest.approx(daily)


def test_published_rows_are_well_formed(history, tables):
    """No row on a closed day, units within their interval, none below zero; one key per row; the method is named."""
    rows = tables["demand_forecasts"]
    daily = rows.filter(pc.equal(rows["frequency"], "daily"))
    assert 6 not in {day.weekday() for day in daily["day"].to_pylist()}
    assert pc.min(rows["units_low"]).as_py() >= 0
    assert pc.all(pc.less_equal(rows["units_low"], pc.add(rows["units"], 1e-9))).as_py()
    assert pc.all(pc.less_equal(rows["units"], rows["units_high"])).as_py()
    assert rows.group_by(["level", "series", "frequency", "day"]).aggregate([]).num_rows == rows.num_rows
    assert rows["model"].null_count == 0
    assert min(rows["day"].to_pylist()) == history.last_day + timedelta(1)


def test_the_order_of_lines_does_not_count(history, trained, tables):
    """Shuffled lines give the same tables to the bit, and are left as they were."""
    order = np.random.default_rng(0).permutation(history.lines.num_rows)
    shuffled = SoldInMemory(history.lines.take(order))
    kept = shuffled.lines.slice(0)
    found = Demand(horizon_days=14).predict(
        trained.model, shuffled, history.last_day + timedelta(1), version="demand/1"
    )
    assert shuffled.lines.equals(kept)
    for name, table in tables.items():
        assert found[name].equals(table)


def test_a_recipe_is_refitted_as_it_is(history, trained):
    """The named methods alone are tried besides the baseline, and serve."""
    again = Demand(horizon_days=14).train(history, parameters=trained.parameters, seed=1, tell=silent)
    assert again.parameters == trained.parameters
    for group, tried in again.evaluated.tried.items():
        assert set(tried) == {"seasonal_naive", trained.parameters["methods"][group]}


def test_the_future_changes_nothing(history, trained):
    """What is forecast as of a day does not depend on what sold from that day on."""
    moment = START + timedelta(150)
    before = SoldInMemory(history.lines.filter(pc.less(history.lines["ordered_on"], pa.scalar(moment))))
    one, other = (
        Demand(horizon_days=14).predict(trained.model, each, moment, version="demand/1") for each in (history, before)
    )
    assert one["demand_forecasts"].equals(other["demand_forecasts"])


def test_the_champion_is_judged_on_the_same_days(history, trained):
    """Against itself it gains nothing; one that has seen the days, or looks elsewhere, is told in a note."""
    subject = Demand(horizon_days=14)
    recipe = trained.parameters
    same = subject.train(history, parameters=recipe, champion=trained.evaluated, seed=1, tell=silent).report
    assert same.against_champion.gain.high == 0
    seen = subject.train(history, parameters=recipe, champion=trained.model, seed=1, tell=silent).report
    assert seen.against_champion is None
    assert any("has learnt from days after" in note for note in seen.notes)
    other = Demand(horizon_days=7).train(history, parameters=QUICK, champion=trained.evaluated, tell=silent).report
    assert any("looks 14 days ahead, not 7" in note for note in other.notes)


def test_where_the_naive_is_better_it_serves():
    """A shop that repeats its weeks exactly is best forecast by the seasonal naive, and that is what every row says."""
    pattern = [3, 9, 1, 12, 2, 7]
    rows = [(day, f"p{n}", float(pattern[day % 7] + n)) for day in range(150) if day % 7 < 6 for n in range(9)]
    history, subject = SoldInMemory(lines_of(rows)), Demand(horizon_days=14)
    found = subject.train(history, parameters=QUICK, tell=silent)
    assert set(found.evaluated.methods.values()) == {"seasonal_naive"}
    assert not gate(found.report, has_champion=False).promote
    told = subject.predict(found.model, history, history.last_day + timedelta(1), version="demand/1")
    assert set(told["demand_forecasts"]["model"].to_pylist()) == {"seasonal_naive"}


def test_a_level_that_loses_in_the_held_out_days_is_served_by_the_naive():
    """Chosen on steady weeks, the average loses once the weeks swing; then the note says who serves."""
    rng = np.random.default_rng(4)
    rows = []
    for day in range(150):
        swing = [1, 40, 1, 40, 1, 40, 1][day % 7] if day >= 110 else 20
        rows += [(day, f"p{n}", float(swing + rng.integers(3) + n)) for n in range(10)]
    found = Demand(horizon_days=14, levels=("total",)).train(
        SoldInMemory(lines_of(rows)), parameters={"methods": {"total": "long_average"}}, tell=silent
    )
    assert any("total is served by the seasonal naive" in note for note in found.report.notes)
    assert found.model.methods["total"] == "seasonal_naive"


def test_hindsight_tells_what_was_said(history, trained):
    """Of the last whole horizon, open days only; none if the model was trained within it."""
    subject = Demand(horizon_days=14)
    found = subject.hindsight(trained.evaluated, history, START)
    assert found.as_of == history.last_day - timedelta(13)
    assert len(found.truth) == len(found.predicted) == 12
    assert subject.hindsight(trained.model, history, history.last_day) is None


# ------------------------------------------------------------------------ stock


def test_stock_advice_by_hand():
    """Ten a day without doubt: seven days to arrive, seven to the next look: 140 and chance; 25 on hand last 2.5 days."""
    units, spread = np.full((1, 28), 10.0), np.zeros(1)
    shelves = Shelves(
        np.zeros(3, np.int64), np.array(["a", "b", "c"]), np.array([1.0, 1.0, 1.0]), np.array([25.0, 500, np.nan])
    )
    found = pa.table(advise(shelves, units, spread, Policy(7, 0, 0.5, 7))).to_pylist()
    assert [row["days_of_stock_left"] for row in found] == [pytest.approx(2.5), pytest.approx(50), None]
    assert found[0]["lead_time_demand"] == pytest.approx(70)
    assert found[0]["reorder_point"] == pytest.approx(140, abs=1)
    assert found[0]["order_up_to"] == found[0]["reorder_point"] + 70
    assert [row["reorder_now"] for row in found] == [True, False, None]
    assert found[0]["order_quantity"] == found[0]["order_up_to"] - 25
    assert found[1]["order_quantity"] == 0
    assert found[2]["order_quantity"] == 70


def test_more_service_or_doubt_needs_more_stock():
    """The reorder point rises with service level, error, lead time and its spread."""
    shelves = Shelves(np.zeros(1, np.int64), np.array(["all"]), np.ones(1), np.array([np.nan]))

    def point(policy: Policy, spread: float = 20.0) -> float:
        return advise(shelves, np.full((1, 28), 5.0), np.array([spread]), policy)["reorder_point"][0].as_py()

    base = point(Policy(7, 2, 0.9, 7))
    assert point(Policy(7, 2, 0.99, 7)) > base
    assert point(Policy(14, 2, 0.9, 7)) > base
    assert point(Policy(7, 6, 0.9, 7)) > base
    assert point(Policy(7, 2, 0.9, 7), 60.0) > base


def test_shelves_share_a_product(history, trained):
    """With inventory by store there is a row per shelf; their demand adds up to the product's."""
    stock = pa.Table.from_pylist(
        [
            {"product_id": "p11", "store_id": store, "day": START + timedelta(199), "on_hand": units}
            for store, units in (("s0", 50.0), ("s1", 0.0))
        ],
        schema=memory.STOCK,
    )
    told = Demand(horizon_days=14).predict(
        trained.model, SoldInMemory(history.lines, stock), history.last_day + timedelta(1), version="demand/1"
    )
    rows = [row for row in told["stock_advice"].to_pylist() if row["product_id"] == "p11"]
    assert [(row["store_id"], row["on_hand"]) for row in rows] == [("s0", 50.0), ("s1", 0.0)]
    forecasts = told["demand_forecasts"].to_pylist()
    daily = sum(row["units"] for row in forecasts if row["series"] == "p11" and row["frequency"] == "daily")
    assert sum(row["daily_demand"] for row in rows) * 14 == pytest.approx(daily)


# -------------------------------------------------------------------- bad input


def train(rows, horizon=14, **options):
    """Train on rows by a quick recipe and predict."""
    history, subject = SoldInMemory(lines_of(rows)), Demand(horizon_days=horizon, **options)
    found = subject.train(history, parameters=QUICK, tell=silent)
    return found, subject.predict(found.model, history, history.last_day + timedelta(1), version="demand/1")


def test_nothing_sold_is_said():
    """An empty shop lacks sold lines, and training says so in a sentence."""
    empty = SoldInMemory(lines_of([]))
    assert Demand().lacks(empty) == "no sold line names a product"
    with pytest.raises(ModelError, match="there is none"):
        Demand().train(empty, tell=silent)


def test_a_horizon_longer_than_the_history_is_refused():
    """The sentence says how many days are needed, and which setting to change."""
    with pytest.raises(ModelError, match=r"at least 428 days to look 200 days ahead.*demand.horizon_days"):
        train(shop(150, 3), horizon=200)


def test_one_product_is_enough():
    """Its total is its own forecast."""
    _, told = train([(day, "only", float(3 + day % 4)) for day in range(150)])
    rows = told["demand_forecasts"]
    assert set(rows["level"].to_pylist()) == {"total", "product"}
    one, other = (rows.filter(pc.equal(rows["level"], level))["units"].to_numpy() for level in ("total", "product"))
    np.testing.assert_allclose(one, other)


def test_products_seen_once_or_long_ago():
    """Seen once last week: next to nothing is forecast; half a year ago: not a row."""
    rows = [*shop(300, 6), (10, "ancient", 4.0, 2.0, "s0", "A", None), (295, "new", 1.0, 2.0, "s0", "A", None)]
    _, told = train(rows)
    by_key = told["demand_forecasts"].group_by("series").aggregate([("units", "max")]).to_pylist()
    found = {row["series"]: row["units_max"] for row in by_key}
    assert "ancient" not in found
    assert 0 <= found["new"] < 1
    assert "ancient" not in told["stock_advice"]["product_id"].to_pylist()


def test_a_gap_of_a_month_is_a_closed_period():
    """A month without a sale is not taken for a month without demand."""
    rows = [row for row in shop(364, 6) if not 330 <= row[0] < 360]
    _, told = train(rows)
    total = told["demand_forecasts"].filter(pc.equal(told["demand_forecasts"]["series"], "all"))
    mean = sum(row[2] for row in rows) / len({row[0] for row in rows})
    daily = total.filter(pc.equal(total["frequency"], "daily"))["units"].to_numpy()
    assert daily.mean() == pytest.approx(mean, rel=0.2)


def test_many_products_that_hardly_sell():
    """Ten thousand products, most seen once or twice: trained and scored within seconds."""
    rng = np.random.default_rng(6)
    rows = shop(150, 8)
    rows += [(int(day), f"q{n}", 1.0) for n, day in enumerate(rng.integers(0, 150, 10_000))]
    begun = time.process_time()
    _, told = train(rows)
    assert time.process_time() - begun < 30
    assert told["stock_advice"].num_rows > 9_000
