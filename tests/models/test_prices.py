"""Prices: channels, elasticities, advice, and what the subject says of shops whose answers are known."""

import importlib.util
import json
import zipfile
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import gate
from shopkeeper.models import price_advice as advice
from shopkeeper.models.elasticity import NoResponse, PartialPooling
from shopkeeper.models.empty_shelves import empty_shelves
from shopkeeper.models.pooling import below_nought, pool
from shopkeeper.models.price_channels import channels, sold_lines
from shopkeeper.models.price_panel import groups_of, panel
from shopkeeper.models.price_trial import cuts
from shopkeeper.models.prices import Prices
from shopkeeper.simulator import simulate

SPEC = importlib.util.spec_from_file_location("priced_shops", Path(__file__).with_name("priced_shops.py"))
shops = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(shops)
DAY = (shops.START - date(1970, 1, 1)).days


def silent(*_: object) -> None:
    """Tell nothing."""


def trained(shop, **options):
    """Train on a shop with the default settings."""
    return Prices().train(shop, seed=7, tell=silent, **options)


def told(shop, model=None, subject=None, as_of=None):
    """Return the tables that a model tells of a shop, as lists of rows."""
    subject = subject or Prices()
    model = model or trained(shop).model
    found = subject.predict(model, shop, as_of or shop.last_day + timedelta(1), version="prices/1")
    return {name: rows.to_pylist() for name, rows in found.items()}


def panel_of(shop, **options):
    """Make the panel of a shop."""
    known = sold_lines(shop.sale_lines())
    last_day = int(known.day.max())
    return panel(known, channels(known), shop.products(), shop.stock_days(), last_day=last_day, **options)


@pytest.fixture(scope="module")
def lively():
    """A shop whose forty products answer to their prices, what was trained on it, and its true elasticities."""
    shop, true = shops.responsive(spread=0.3)
    return shop, trained(shop), true


# -------------------------------------------------------------------- channels


def test_one_price_a_day_is_one_channel():
    """Where prices change over time but never within a day, nothing is parted."""
    rows = [("jug", day, 2.0 if day < 30 else 3.0, 1) for day in range(60) for _ in range(4)]
    found = channels(sold_lines(shops.lines(rows)))
    assert found.names == ("all",)
    assert not found.breaks.any()


def test_orders_from_two_price_lists_are_told_apart():
    """Orders that pay twice as much for everything are of the list ``high``, whatever the quantity."""
    rows = [
        (f"p{item}", day, (2.0 if order % 4 else 4.0) * (1 + item), 1 + item, f"{day}-{order}")
        for day in range(20)
        for order in range(8)
        for item in range(5)
    ]
    lines = sold_lines(shops.lines(rows))
    found = channels(lines)
    assert found.names == ("standard", "high")
    assert np.array_equal(found.of_line == 1, lines.price >= 4 * (1 + lines.product))
    assert found.left == pytest.approx(0, abs=1e-12)


def test_stores_are_price_lists_where_they_are_named():
    """A store that is dearer throughout is ``high``, though each of its orders has one line only."""
    rows = [("jug", day, 2.0 + store, 1) for day in range(40) for store in (0, 1) for _ in range(3)]
    stores = ["dear" if row[2] == 3 else "cheap" for row in rows]
    lines = sold_lines(shops.lines(rows, store_id=stores))
    assert np.array_equal(channels(lines).of_line == 1, lines.price == 3)


def test_a_quantity_break_is_found():
    """Lines of twelve and more that pay less than smaller ones on the same day are ``bulk``, from twelve on."""
    rows = [("jug", day, 1.5 if n >= 12 else 2.0, n) for day in range(30) for n in (1, 4, 10, 12, 30)]
    found = channels(sold_lines(shops.lines(rows)))
    assert found.names == ("standard", "bulk")
    assert found.breaks.tolist() == [12]
    assert np.bincount(found.of_line).tolist() == [90, 60]


def test_a_quantity_discount_is_not_an_answer_to_price():
    """A product that never changed its prices, but sells more of it to those who get it cheaper, has no elasticity."""
    shop, _ = shops.responsive(n=30)
    rows = [("deal", day, 1.5 if n >= 12 else 2.0, n) for day in range(220) for n in (1, 4, 10, 12, 30)]
    both = shops.PricedShop(pa.concat_tables([shop.lines, shops.lines(rows)]), shops.goods(["deal"]))
    found = [row for row in told(both)["price_elasticities"] if row["product_id"] == "deal"]
    assert {row["channel"] for row in found} == {"standard", "bulk"}
    assert all(row["elasticity"] is None and row["reason"] == "its price never moved" for row in found)
    assert {row["break_quantity"] for row in found} == {12}


# ----------------------------------------------------------------- the panel


def test_the_change_of_a_price_lies_between_two_sales():
    """Sold at 2 until day 10 and at 3 from day 20 on, the new price counts from half-way on; the gap is marked."""
    rows = [("jug", day, 2.0, 1) for day in range(11)] + [("jug", day, 3.0, 1) for day in range(20, 31)]
    found = panel_of(shops.PricedShop(shops.lines(rows), shops.goods(["jug"])))
    assert (found.spells.first - DAY).tolist() == [0, 15]
    assert found.spells.price.tolist() == pytest.approx([2, 3])
    gaps = {(row["gap"] > 0) - (row["gap"] < 0) for row in found.rows.to_pylist()}
    assert gaps == {0, 1, -1}
    assert sum(found.rows["n_lines"].to_pylist()) == 22


def test_a_price_for_one_customer_is_no_change_of_the_posted_price():
    """Where lines of a day disagree, a price on a line or two is an exception; where they agree, it is a price."""
    steady = [("jug", day, 2.0, 1) for day in range(60) for _ in range(3)]
    odd = [("jug", 30, 1.5, 1), ("jug", 31, 2.0, 1), ("jug", 31, 1.7, 5)]
    mixed = [("mug", day, 1.0 + 0.1 * (n == 0), 1) for day in range(60) for n in range(4)]
    found = panel_of(shops.PricedShop(shops.lines(steady + odd + mixed), shops.goods(["jug", "mug"])))
    assert np.bincount(found.spells.series).tolist()[0] == 1
    lone = [("jug", day, 1.5 if day == 30 else 2.0, 1) for day in range(60)]
    assert len(panel_of(shops.PricedShop(shops.lines(lone), shops.goods(["jug"]))).spells.price) == 3


def test_short_cuts_are_promotions():
    """A fortnight at 20 % off is one; a cut that stays, and a small one, are not."""
    prices = [10.0] * 40 + [8.0] * 14 + [10.0] * 40 + [9.8] * 14 + [10.0] * 40 + [7.0] * 60
    rows = [("jug", day, price, 1) for day, price in enumerate(prices)]
    found = panel_of(shops.PricedShop(shops.lines(rows), shops.goods(["jug"])))
    assert found.spells.is_promotion.tolist() == [False, True, False, False, False, False]


def test_groups_are_categories_or_what_the_thing_is_called():
    """Else the last word of the description, if five share it."""
    names = [f"p{number}" for number in range(8)]
    words = ["RED BAG", "BLUE BAG", "LUNCH BAG", "TINY BAG", "BAG", "OAK TRAY", "JUG 12", None]
    known = shops.goods(names, description=words, category=[None] * 6 + ["kitchen", None])
    found = groups_of(np.array(names), known).tolist()
    assert found == ["BAG"] * 5 + ["other", "kitchen", "other"]


def test_empty_shelves_by_hand():
    """Out from the evening of day 3 until units come on day 6: day 3 counts half, 4 and 5 whole, by the shelf's share."""
    stock = shops.table(
        shops.STOCK,
        product_id=["jug"] * 4,
        store_id=["a", "a", "a", "b"],
        day=[shops.START + timedelta(day) for day in (0, 3, 6, 0)],
        on_hand=[6.0, 0.0, 5.0, 9.0],
        n_units_in=[8.0, 0.0, 5.0, 12.0],
        n_units_out=[2.0, 6.0, 1.0, 3.0],
    )
    series, day, lost = empty_shelves(stock, np.array(["jug"]), np.array([0]), DAY + 10)
    assert series.tolist() == [0, 0, 0]
    assert (day - DAY).tolist() == [3, 4, 5]
    assert lost.tolist() == pytest.approx([0.375, 0.75, 0.75])


# ------------------------------------------------------------------- pooling


def test_a_lone_estimate_is_left_as_it_is():
    """There is nobody to draw it to."""
    found = pool(np.array([-1.3]), np.array([0.04]), np.array([0]), 1)
    assert found.effect[0] == pytest.approx(-1.3)
    assert found.effect_sd[0] == pytest.approx(0.2, rel=0.01)


def test_noisy_estimates_are_drawn_to_their_group_and_sure_ones_are_not():
    """By within^2 / (within^2 + variance), and a group without an estimate has the mean of all."""
    rng = np.random.default_rng(3)
    group = np.repeat([0, 1], 300)
    effect = np.where(group == 0, -1.0, -2.0) + 0.3 * rng.normal(size=600)
    variance = np.where(np.arange(600) % 2, 0.01, 4.0)
    estimate = effect + np.sqrt(variance) * rng.normal(size=600)
    found = pool(estimate, variance, group, 3)
    assert found.within == pytest.approx(0.3, abs=0.03)
    assert found.group[:2].tolist() == pytest.approx([-1, -2], abs=0.08)
    assert found.group[2] == pytest.approx(found.overall)
    sure, noisy = variance < 1, variance > 1
    assert np.abs(found.effect - estimate)[sure].mean() < 0.03
    assert np.abs(found.effect - found.group[group])[noisy].mean() < 0.1
    inside = np.abs(found.effect - effect) <= 1.96 * found.effect_sd
    assert 0.92 <= inside.mean() <= 0.98


def test_what_is_known_to_be_below_nought_is():
    """A normal at -5 is left as it is, at 0 has the mean of a half-normal, and far above 0 stays just below it."""
    mean, sd = below_nought(np.array([-5.0, 0.0, 30.0]), np.array([1.0, 1.0, 1.0]))
    assert mean[:2].tolist() == pytest.approx([-5, -np.sqrt(2 / np.pi)], abs=1e-4)
    assert sd[:2].tolist() == pytest.approx([1, np.sqrt(1 - 2 / np.pi)], abs=1e-4)
    assert -0.3 < mean[2] < 0
    assert (sd >= 0).all()


# -------------------------------------------------------------- elasticities


def test_half_as_much_at_twice_the_price_is_minus_one():
    """Of the product's own weeks, beside others whose prices stand still."""
    rows = [("jug", day, 2.0 if day < 70 else 4.0, 1) for day in range(140) for _ in range(8 if day < 70 else 4)]
    rows += [(f"p{number}", day, 5.0, 1) for number in range(20) for day in range(140) for _ in range(5)]
    shop = shops.PricedShop(shops.lines(rows), shops.goods(["jug"]))
    model = PartialPooling().fit(panel_of(shop).rows)
    assert model.found.own[0] == pytest.approx(-1, abs=0.03)
    assert model.found.elasticity[0] == pytest.approx(-1, abs=0.03)


def test_a_season_is_not_taken_for_an_answer_to_price():
    """All products sell twice as much in the second half, when one of them is cheaper: it does not get the credit."""
    busy = [4] * 70 + [8] * 70
    rows = [("jug", day, 4.0 if day < 70 else 2.0, 1) for day in range(140) for _ in range(busy[day])]
    rows += [(f"p{number}", day, 5.0, 1) for number in range(20) for day in range(140) for _ in range(busy[day])]
    model = PartialPooling().fit(panel_of(shops.PricedShop(shops.lines(rows), shops.goods(["jug"]))).rows)
    assert model.found.own[0] == pytest.approx(0, abs=0.03)


def test_what_was_sold_out_is_not_taken_for_an_answer_to_price():
    """Sold out for a fortnight while it was dear, it would have sold as much as before."""
    here = [day for day in range(140) if not 90 <= day < 104]
    rows = [("jug", day, 2.0 if day < 70 else 3.0, 1) for day in here for _ in range(4)]
    rows += [(f"p{number}", day, 5.0, 1) for number in range(20) for day in range(140) for _ in range(5)]
    stock = shops.table(
        shops.STOCK,
        product_id=["jug"] * 3,
        store_id=["a"] * 3,
        day=[shops.START + timedelta(day) for day in (0, 89, 104)],
        on_hand=[360.0, 0.0, 500.0],
        n_units_in=[360.0, 0.0, 504.0],
        n_units_out=[0.0, 4.0, 4.0],
    )
    known = shops.goods(["jug"])
    own = [
        PartialPooling().fit(panel_of(shops.PricedShop(shops.lines(rows), known, each)).rows).found.own[0]
        for each in (None, stock)
    ]
    assert own[0] == pytest.approx(np.log(0.8) / np.log(1.5), abs=0.03)
    assert own[1] == pytest.approx(0, abs=0.03)


def test_elasticities_of_a_shop_are_found(lively):
    """Forty products about -1.5: near the truth, with intervals that hold it, and nearer than one number for all."""
    _, found, true = lively
    model = found.model
    truth = np.array([true[name] for name in model.keys[0].tolist()])
    error = model.found.elasticity - truth
    assert np.abs(error).mean() < 0.2
    assert np.abs(error).mean() < np.abs(truth - truth.mean()).mean()
    assert (np.abs(error) <= 1.96 * model.found.sd).mean() >= 0.85


def test_the_lift_of_promotions_is_not_taken_for_their_price():
    """Prices of promotions are 20 % down and sell 1.3 times what the price alone would."""
    rng = np.random.default_rng(5)
    rows = []
    for number in range(60):
        price, lift = np.full(224, 10.0), np.ones(224)
        price[int(rng.integers(60, 160)) :] *= np.exp(rng.normal(0, 0.3))
        begin = int(rng.integers(5, 205))
        price[begin : begin + 14] *= 0.8
        lift[begin : begin + 14] = 1.3
        sold = rng.poisson(6 * (price / 10) ** -1.2 * lift)
        rows += [(f"p{number:02}", day, round(price[day], 2), 1) for day in np.repeat(np.arange(224), sold).tolist()]
    model = PartialPooling().fit(panel_of(shops.PricedShop(shops.lines(rows), shops.goods(["p00"]))).rows)
    assert model.told["lift"] == pytest.approx(np.log(1.3), abs=0.09)
    assert model.found.overall[0] == pytest.approx(-1.2, abs=0.15)


def test_units_per_line_answer_too():
    """As many lines at the higher price, but of half as many units: all of the elasticity is in the amounts."""
    rows = [("jug", day, 2.0 if day < 70 else 4.0, 8 if day < 70 else 4) for day in range(140) for _ in range(5)]
    rows += [(f"p{number}", day, 5.0, 1) for number in range(20) for day in range(140) for _ in range(5)]
    found = PartialPooling().fit(panel_of(shops.PricedShop(shops.lines(rows), shops.goods(["jug"]))).rows).found
    assert found.often[0] == pytest.approx(0, abs=0.1)
    assert found.elasticity[0] == pytest.approx(-1, abs=0.1)


# ----------------------------------------------------------------- the subject


def test_a_responsive_shop_passes_the_gate(lively):
    """Partial pooling beats no answer at all by more than noise; pooled and zero stand in the report as baselines."""
    _, found, _ = lively
    report = found.report
    assert gate(report, has_champion=False).promote
    assert report.chosen.startswith("partial_pooling")
    assert [one.name for one in report.candidates if one.is_baseline] == ["zero", "pooled"]
    assert {"price_response", "elasticities"} <= set(report.curves)
    assert report.facts["gain_over_pooled"]["low"] <= report.facts["gain_over_pooled"]["high"]
    assert {trial.candidate for trial in found.trials} == {"partial_pooling", "partial_pooling_trend"}


def test_a_shop_that_does_not_answer_keeps_the_baseline():
    """Then nothing is promoted, and no elasticity is told."""
    shop, _ = shops.responsive(n=15, elasticity=0.0, rate=1.5, seed=4)
    found = trained(shop)
    assert not gate(found.report, has_champion=False).promote
    rows = told(shop, found.baseline)
    assert {row["status"] for row in rows["price_elasticities"]} == {"unknown"}
    assert {row["reason"] for row in rows["price_elasticities"]} == {
        "no model foretold the effect of prices better than none"
    }
    assert {row["action"] for row in rows["price_advice"]} == {"none"}
    assert rows["price_curves"] == []


def test_what_is_published_names_each_series_once(lively):
    """By product, channel and currency; intervals hold their middle; changes lead from price to price."""
    shop, found, _ = lively
    rows = told(shop, found.model)
    for name in ("price_elasticities", "price_advice"):
        assert (
            len({(row["product_id"], row["channel"], row["currency"]) for row in rows[name]}) == len(rows[name]) == 40
        )
    for row in rows["price_elasticities"]:
        assert row["elasticity_low"] < row["elasticity"] < row["elasticity_high"]
        assert 0 < row["own_share"] < 1
        assert row["model_version"] == "prices/1"
    by_product: dict[str, list] = {}
    for row in rows["price_changes"]:
        by_product.setdefault(row["product_id"], []).append(row)
    for changes in by_product.values():
        for one, other in pairwise(changes):
            assert one["changed_on"] < other["changed_on"]
            assert one["new_price"] == other["old_price"]


def test_rows_in_any_order_say_the_same(lively):
    """Shuffled lines and products give the same tables, and are left as they were."""
    shop, found, _ = lively
    mixed = shops.shuffled(shop)
    before = mixed.lines.slice(0, mixed.lines.num_rows)
    again = trained(mixed)
    assert again.report == found.report
    assert told(mixed, again.model) == told(shop, found.model)
    assert mixed.lines.equals(before)


def test_later_days_change_nothing_before():
    """Neither what is told as of a day, nor what is judged: lines of the held-out weeks do not reach the judged model."""
    shop, _ = shops.responsive(n=10, days=140)
    found = trained(shop)
    cut = found.report.held_out[0]
    early = shop.lines.filter(pa.compute.less(shop.lines["ordered_on"], pa.scalar(cut)))
    late = shop.lines.filter(pa.compute.greater_equal(shop.lines["ordered_on"], pa.scalar(cut)))
    doubled = shops.PricedShop(pa.concat_tables([early, late, late]), shop.known)
    assert trained(doubled).evaluated.found.elasticity.tolist() == found.evaluated.found.elasticity.tolist()
    one, other = (told(each, found.evaluated, as_of=cut)["price_advice"] for each in (shop, doubled))
    assert one == other


def test_a_stored_recipe_is_refitted_alone(lively):
    """Without the other candidate, and to the same model."""
    shop, found, _ = lively
    again = trained(shop, parameters=found.parameters)
    assert [one.name for one in again.report.candidates] == [found.report.chosen, "zero"]
    assert again.model.found.elasticity.tolist() == found.model.found.elasticity.tolist()
    assert not again.trials


def test_a_champion_is_compared_unless_it_has_seen_the_weeks(lively):
    """The judged one can be; the served one has learnt from the held-out weeks, and the notes say so."""
    shop, found, _ = lively
    recipe = found.parameters
    same = trained(shop, parameters=recipe, champion=found.evaluated).report.against_champion
    assert (same.gain.low, same.gain.high) == (0, 0)
    seen = trained(shop, parameters=recipe, champion=found.model).report
    assert seen.against_champion is None
    assert any("has learnt from days after" in note for note in seen.notes)


def test_hindsight_is_of_the_weeks_since(lively):
    """What the judged model said of the held-out weeks is what the report has."""
    shop, found, _ = lively
    first = found.report.held_out[0]
    seen = Prices().hindsight(found.evaluated, shop, first)
    assert seen.as_of == first
    assert len(seen.truth) == len(seen.predicted) > 0
    assert Prices().hindsight(found.model, shop, shop.last_day + timedelta(1)) is None


def test_watched_rows_are_those_of_the_training(lively):
    """Same columns, same scores."""
    shop, found, _ = lively
    now = Prices().watched(found.model, shop, shop.last_day + timedelta(1))
    assert now.equals(found.reference)
    assert now["score"].null_count == 0


def test_a_model_survives_its_files(lively, tmp_path):
    """Loaded through the subject, it tells the same tables."""
    shop, found, _ = lively
    found.model.save(tmp_path)
    assert told(shop, Prices().load(tmp_path)) == told(shop, found.model)
    assert json.loads((tmp_path / "model.json").read_text("utf-8"))["model"] == "partial_pooling"


# ------------------------------------------------------------------ bad input


def test_one_product_has_an_elasticity_of_its_own():
    """There is nobody to pool with, and no season but its own weeks."""
    rng = np.random.default_rng(2)
    price = np.array([10.0, 8.0, 10.0, 12.0, 9.0, 11.0, 8.0, 10.0])[np.arange(280) // 35]
    sold = rng.poisson(20 * (price / 10) ** -2.0)
    rows = [("jug", day, price[day], 1) for day in np.repeat(np.arange(280), sold).tolist()]
    found = trained(shops.PricedShop(shops.lines(rows), shops.goods(["jug"])))
    assert found.model.found.elasticity[0] == pytest.approx(-2, abs=0.35)
    assert gate(found.report, has_champion=False).promote


def test_rows_without_price_or_quantity_are_left_out_and_counted():
    """Negative and zero prices teach nothing."""
    shop, _ = shops.responsive(n=10, days=140)
    odd = shops.lines([("p000", 3, 0.0, 1), ("p000", 4, -5.0, 2), ("p001", 5, 9.0, -1)])
    both = shops.PricedShop(pa.concat_tables([shop.lines, odd]), shop.known)
    report = trained(both).report
    assert report.facts["lines_left_out"] == 3
    assert "3 lines without a price" in report.notes[0]
    assert told(both)["price_elasticities"] == told(shop)["price_elasticities"]


def test_two_currencies_never_meet():
    """The same product in pounds and euros is two series; only that of the shop's currency has a cost."""
    shop, _ = shops.responsive(n=12, days=168)
    pounds = shop.lines.set_column(
        shop.lines.column_names.index("currency"), "currency", pa.array(["GBP"] * shop.lines.num_rows)
    )
    both = shops.PricedShop(pa.concat_tables([shop.lines, pounds]), shop.known)
    found = trained(both)
    assert any("2 currencies (EUR, GBP)" in note for note in found.report.notes)
    rows = told(both, found.model, Prices(currency="EUR"))["price_advice"]
    assert len(rows) == 24
    assert all((row["unit_cost"] is None) == (row["currency"] == "GBP") for row in rows)


def test_a_year_with_a_months_gap_goes_on():
    """Days on which nobody sold anything are no days on which a price sold nothing."""
    shop, _ = shops.responsive(n=20, days=196, elasticity=-1.5)
    away = [not 90 <= (day - shops.START).days < 120 for day in shop.lines["ordered_on"].to_pylist()]
    found = trained(shops.PricedShop(shop.lines.filter(pa.array(away)), shop.known))
    assert np.median(found.model.found.elasticity) == pytest.approx(-1.5, abs=0.3)


def test_products_that_cannot_be_told_say_why():
    """One seen once, one that never moved, one that is new, and one that sells a line at each of its prices."""
    shop, _ = shops.responsive(n=30)
    rows = [("once", 100, 5.0, 1)]
    rows += [("still", day, 5.0, 1) for day in range(220)]
    rows += [("new", day, 5.0 + (day > 210), 1) for day in range(200, 222) for _ in range(8)]
    rows += [("rare", 20 * turn, 5.0 + turn % 3, 1) for turn in range(11)]
    known = shops.goods(["once", "still", "new", "rare"])
    both = shops.PricedShop(pa.concat_tables([shop.lines, shops.lines(rows)]), known)
    found = {row["product_id"]: row for row in told(both)["price_elasticities"]}
    assert found["once"]["reason"] == found["still"]["reason"] == "its price never moved"
    assert found["new"]["reason"] == "it was sold for fewer than 8 weeks"
    assert all(found[name]["elasticity"] is None for name in ("once", "still", "new"))
    assert (found["rare"]["status"], found["rare"]["own_share"]) == ("group", 0)
    assert found["rare"]["elasticity"] == pytest.approx(found["rare"]["group_elasticity"])


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ([], "it has none. Load its orders"),
        ([("jug", day, 2.0, 1) for day in range(60)], "must span 12 whole weeks .* got 8"),
        ([("jug", day, 2.0, 1) for day in range(200)], "must have moved before elasticities"),
        (
            [("jug", day, 2.0 + (day > 30), 1) for day in range(300) for _ in range(3)],
            "in them, so that what was learnt",
        ),
        ([("jug", 10 * day, 2.0 + day % 3, 1) for day in range(30)], "10 lines or more at each of its prices"),
    ],
)
def test_what_the_data_do_not_allow_is_said_in_a_sentence(rows, rule):
    """No orders, too few weeks, a price that never moved or not in the held-out weeks, too few lines."""
    with pytest.raises(ModelError, match=rule):
        trained(shops.PricedShop(shops.lines(rows), shops.goods(["jug"])))


@pytest.mark.parametrize(
    ("rows", "lack"),
    [
        ([], "no sold line names a product"),
        ([("jug", day, 0.0, 1) for day in range(20)], "no sold line names a product"),
        ([("jug", day, 2.0, 1) for day in range(20)], "no posted price has moved"),
        ([("jug", day, 2.0 + (day > 50), 1) for day in range(100)], ""),
    ],
)
def test_a_shop_whose_prices_cannot_be_asked_about_is_told_so(rows, lack):
    """It has brought nothing to learn from; that is no failure."""
    assert Prices().lacks(shops.PricedShop(shops.lines(rows), shops.goods(["jug"]))) == lack


def test_no_lines_are_no_panel():
    """Everything stands, empty."""
    empty = shops.lines([("jug", 3, 0.0, 1)])
    model = PartialPooling().fit(panel_of(shops.responsive(n=10, days=140)[0]).rows)
    found = told(shops.PricedShop(empty, shops.goods([])), model)
    assert all(rows == [] for rows in found.values())


def test_held_out_is_a_fifth_of_the_weeks():
    """From a Monday on, 4 weeks at least and 13 at most, and as many before them choose."""
    monday = DAY
    assert cuts(monday, monday + 20 * 7 - 1) == (monday + 16 * 7, monday + 12 * 7)
    assert cuts(monday, monday + 200 * 7 + 2) == (monday + 187 * 7, monday + 174 * 7)


# --------------------------------------------------------------------- advice


OFFER = advice.Offers(
    price=np.array([10.0]),
    lowest=np.array([5.0]),
    highest=np.array([20.0]),
    unit_cost=np.array([6.0]),
    units_per_day=np.array([4.0]),
    elasticity=np.array([-2.5]),
    sd=np.array([0.1]),
)


def advised(rules=("auto", 0.0, 0.2, ""), **changes):
    """Return the advice for one series as a dict of values."""
    offer = replace(OFFER, **{name: np.array([float(value)]) for name, value in changes.items()})
    return {name: np.asarray(column)[0] for name, column in advice.advise(offer, advice.rules(*rules)).items()}


def test_the_best_price_by_profit_is_cost_times_e_over_1_plus_e():
    """10.00 at a cost of 6.60 and an elasticity of -2.5 (Lerner): 11.00, inside the bounds."""
    found = advised(unit_cost=6.6)
    assert (found["objective"], found["action"]) == ("profit", "raise")
    assert found["advised_price"] == pytest.approx(11, abs=0.05)
    assert found["reason"] == "the best price lies between the bounds"
    assert found["units_change"] == pytest.approx(1.1**-2.5 - 1, abs=0.01)
    assert found["profit_change"] == pytest.approx(1.1**-2.5 * 4.4 / 3.4 - 1, abs=0.01)
    assert found["profit_change_low"] < found["profit_change"] < found["profit_change_high"]


@pytest.mark.parametrize(
    ("changes", "price", "reason"),
    [
        ({"elasticity": -0.5}, 12.0, "at the bound: the largest step of 20%"),
        ({"elasticity": -0.5, "highest": 11.0}, 11.0, "at the bound: the highest price seen"),
        ({"elasticity": -8.0, "unit_cost": 2.0}, 8.0, "at the bound: the largest step of 20%"),
        ({"elasticity": -8.0, "unit_cost": 2.0, "lowest": 9.5}, 9.5, "at the bound: the lowest price seen"),
        ({"unit_cost": np.nan, "elasticity": -2.0}, 8.0, "at the bound: the largest step of 20%"),
        ({"unit_cost": 6.0, "elasticity": -2.5}, 10.0, "no allowed price brings more than today's"),
        ({"lowest": 10.0, "highest": 10.0}, 10.0, "the bounds leave no other price"),
    ],
)
def test_advice_keeps_within_its_bounds_and_names_the_one_that_holds(changes, price, reason):
    """The largest step, and the prices seen."""
    found = advised(**changes)
    assert found["advised_price"] == pytest.approx(price, abs=0.011)
    assert found["reason"] == reason


@pytest.mark.parametrize(
    ("rules", "changes", "reason"),
    [
        (("profit", 0.0, 0.2, ""), {"unit_cost": np.nan}, "the unit cost is not known"),
        (("auto", 0.0, 0.2, ""), {"elasticity": np.nan}, "the elasticity is not known"),
        (("auto", 0.0, 0.2, ""), {"units_per_day": 0.0}, "nothing was sold in the last 91 days"),
    ],
)
def test_without_what_it_takes_there_is_no_advice(rules, changes, reason):
    """And the reason is said."""
    found = advised(rules, **changes)
    assert (found["action"], found["reason"]) == ("none", reason)
    assert np.isnan(found["advised_price"])


def test_a_margin_floor_is_kept_as_far_as_a_step_goes():
    """At a cost of 6 and a floor of 45 % a price under 10.91 is not allowed; at a floor of 60 % (15.00) one step is taken."""
    assert advised(("auto", 0.45, 0.2, ""))["advised_price"] == pytest.approx(10.91, abs=0.02)
    found = advised(("auto", 0.6, 0.2, ""))
    assert found["advised_price"] == pytest.approx(12)
    assert found["reason"] in {"today's price does not keep the margin", "the bounds leave no other price"}


def test_prices_end_as_they_should():
    """On 99 or 49, whichever brings more; where no such price lies within the bounds, today's is kept."""
    assert advised(("auto", 0.0, 0.2, "99 49"), unit_cost=6.6)["advised_price"] == pytest.approx(10.99)
    assert advised(("auto", 0.0, 0.02, "55"))["action"] == "keep"


def test_advice_is_sure_where_the_whole_interval_gains():
    """Not with the same elasticity and a wider interval."""
    assert advised(unit_cost=8.0)["is_sure"]
    assert not advised(unit_cost=8.0, sd=3.0)["is_sure"]
    assert not advised()["is_sure"]


def test_the_curve_meets_todays_demand_at_todays_price():
    """Units fall as the price rises, intervals open away from today's price, profit is units times what is left."""
    found = advice.curves(OFFER, advice.advise(OFFER, advice.rules("auto", 0.0, 0.2, "")))
    at = int(np.argmin(np.abs(found["price"] - 10)))
    assert (found["price"][0], found["price"][-1], found["price"][at]) == pytest.approx((8, 12, 10))
    assert found["units_per_day"][at] == pytest.approx(4)
    assert found["units_low"][at] == pytest.approx(found["units_high"][at])
    assert (np.diff(found["units_per_day"]) < 0).all()
    assert found["profit_per_day"] == pytest.approx(found["units_per_day"] * (found["price"] - 6))
    assert (found["units_low"] <= found["units_per_day"] + 1e-12).all()


def test_changes_of_price_count_what_was_sold_around_them():
    """Two a day before, five a day after, 28 days each; the interval is 1.96 times the root of the squares."""
    rows = [("jug", day, 2.0, 2) for day in range(40)] + [("jug", day, 1.5, 5) for day in range(40, 100)]
    found = advice.price_changes(panel_of(shops.PricedShop(shops.lines(rows), shops.goods(["jug"]))), DAY + 99)
    assert (found["day"] - DAY).tolist() == [40]
    assert (found["days_before"], found["days_after"]) == ([28], [28])
    assert (found["units_before"], found["units_after"]) == ([2], [5])
    assert found["units_after_high"][0] == pytest.approx(5 + 1.96 * np.sqrt(28 * 25) / 28, rel=1e-3)


def test_todays_demand_is_held_against_todays_price():
    """Sold 4 a day at 10 and 1 a day at 20 for half the time each, an elasticity of -2 makes both the same demand."""
    rows = [("jug", day, 10.0, 4) for day in range(46)] + [("jug", day, 20.0, 1) for day in range(46, 91)]
    known = panel_of(shops.PricedShop(shops.lines(rows), shops.goods(["jug"])))
    found = advice.offers(known, np.array([-2.0]), np.array([0.1]), np.array([np.nan]), DAY + 90)
    assert found.price[0] == 20
    assert found.units_per_day[0] == pytest.approx(1)
    assert NoResponse().fit(known.rows).found.elasticity.tolist() == [0]


# ------------------------------------------------------- real and simulated shops


@pytest.fixture(scope="module")
def online_retail(real_data):
    """Online Retail's sold lines as a history, by the line kinds of FACTS: 527,761 of them."""
    with zipfile.ZipFile(real_data("online_retail/kaggle_ecommerce_data.zip")) as archive:
        content = archive.read("data.csv").decode("latin-1")
    rows = pa.csv.read_csv(
        pa.BufferReader(content.encode()),
        convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(("InvoiceNo", "StockCode"), pa.string())),
    )
    with duckdb.connect() as connection:
        connection.register("raw", rows)
        found = connection.execute(SOLD).to_arrow_table()
    lines_of = {name: found[name] if name in found.column_names else [None] * found.num_rows for name in shops.LINES}
    known = found.group_by("product_id").aggregate([("description", "max")])
    products = shops.goods(known["product_id"].to_pylist(), description=known["description_max"].to_pylist())
    return shops.PricedShop(shops.table(shops.LINES, **lines_of), products)


SOLD = """
select InvoiceNo as order_id, upper(trim(StockCode)) as product_id, Description as description, 'GBP' as currency,
    strptime(InvoiceDate, '%m/%d/%Y %H:%M')::date as ordered_on, Quantity::double as quantity, UnitPrice::double as unit_price,
    Quantity * UnitPrice::double as gross_amount, 0.0::double as discount_amount, Quantity * UnitPrice::double as net_amount,
    false as is_outlier
from raw
where upper(trim(StockCode)) not in ('POST', 'DOT', 'C2', 'D', 'M', 'S', 'BANK CHARGES', 'AMAZONFEE', 'B', 'CRUK')
    and not starts_with(upper(StockCode), 'GIFT') and UnitPrice <> 0 and not starts_with(InvoiceNo, 'C')
"""


@pytest.mark.real_data
def test_online_retails_two_price_lists_are_told_apart(online_retail):
    """Four channels explain nine tenths of what prices of one product on one day differ by."""
    lines = sold_lines(online_retail.sale_lines())
    assert (len(lines.price), lines.left_out) == (527_761, 0)
    found = channels(lines)
    assert found.names == ("standard", "high", "bulk", "high_bulk")
    assert found.left < 0.1 * found.disagreement
    # The white hanging heart: 2.95 a piece, 2.55 from 32 on (real shops are not exact), and 5.79 in the dearer list.
    heart = lines.product == int(np.flatnonzero(lines.product_ids == "85123A")[0])
    usual = [np.median(lines.price[heart & (found.of_line == number)]) for number in range(3)]
    assert usual == pytest.approx([2.95, 5.79, 2.55])


@pytest.mark.real_data
def test_online_retails_elasticities_pass_the_gate(online_retail):
    """Better than no answer by more than noise on the held-out autumn; most products have no number, and say why."""
    found = trained(online_retail)
    assert gate(found.report, has_champion=False).promote
    rows = told(online_retail, found.model)["price_elasticities"]
    status = np.array([row["status"] for row in rows])
    assert 0.1 < (status != "unknown").mean() < 0.5
    assert all(row["reason"] for row in rows if row["status"] == "unknown")
    assert all(row["elasticity"] < 0 for row in rows if row["elasticity"] is not None)


STOCK = """
with days as (
    select product_id, store_id, (changed_at - interval 6 hour)::date as day, sum(quantity_change)::double as net,
        coalesce(sum(quantity_change) filter (quantity_change > 0), 0)::double as n_units_in,
        coalesce(-sum(quantity_change) filter (quantity_change < 0), 0)::double as n_units_out
    from moved group by all
)
select product_id, store_id, day, n_units_in, n_units_out,
    sum(net) over (partition by product_id, store_id order by day) as on_hand
from days
"""


def test_a_simulated_chain_is_known_as_well_as_its_sales_allow():
    """2,000 products for half a year: hardly biased, nearer than one number for all, and intervals that hold the truth."""
    shop = simulate("us_retail", customers=40_000, days=182, seed=6)
    read = {
        file.path: pa.csv.read_csv(pa.BufferReader(b"".join(file.chunks)))
        for file in shop.files(dirt=False)
        if file.path in {"transactions.csv", "inventory.csv"}
    }
    raw = read["transactions.csv"]
    with duckdb.connect() as connection:
        connection.register("moved", read["inventory.csv"])
        stock = connection.execute(STOCK).to_arrow_table()
    price, quantity = (raw[name].to_numpy().astype(np.float64) for name in ("price", "quantity"))
    # The chain's clock is six hours behind the times in the file.
    day = pa.compute.subtract(raw["sold_at"].cast(pa.timestamp("us")), pa.scalar(timedelta(hours=6))).cast(pa.date32())
    lines_of = {
        "order_id": raw["transaction_id"].cast(pa.string()),
        "product_id": raw["product_id"],
        "currency": ["USD"] * len(price),
        "ordered_on": day,
        "quantity": quantity,
        "unit_price": price,
        "net_amount": price * quantity,
    }
    columns = {name: lines_of.get(name, [None] * len(price)) for name in shops.LINES}
    truth = shop.truth(dirt=False)["products"]
    known = shops.goods(truth["product_id"].to_pylist(), category=truth["category"].to_pylist())
    model = PartialPooling().fit(panel_of(shops.PricedShop(shops.table(shops.LINES, **columns), known, stock)).rows)
    true = dict(zip(*(truth[name].to_pylist() for name in ("product_id", "price_elasticity")), strict=True))
    here = np.array([true[name] for name in model.keys[0].tolist()])
    error = model.found.elasticity - here
    assert abs(error.mean()) < 0.1
    assert np.abs(error).mean() < 0.9 * np.abs(here - here.mean()).mean()
    assert 0.9 <= (np.abs(error) <= 1.96 * model.found.sd).mean() <= 0.98
    # What a product's own weeks say is off by as much as they claim.
    own = model.found.own_sd > 0
    assert np.mean(((model.found.own - here)[own] / model.found.own_sd[own]) ** 2) == pytest.approx(1, abs=0.2)
