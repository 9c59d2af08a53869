"""A shop that is played goes on as its history did: the same goods and shelves, stock that is never negative, ids of its own."""

from collections import Counter, defaultdict
from datetime import date
from itertools import islice

import pytest

from shopkeeper.errors import UsageError
from shopkeeper.simulator import simulate
from shopkeeper.simulator.playing import MOMENTS, happenings

START = date(2026, 1, 1)


def shop(preset):
    """A small shop."""
    return simulate(preset, customers=100, days=14, seed=4, start=START)


@pytest.mark.parametrize("preset", ["us_retail", "rees46_events"])
def test_the_same_name_plays_the_same(preset):
    """Equal names give equal things, other names other ids; no id comes twice."""
    first, again, other = (list(islice(happenings(shop(preset), name), 500)) for name in ("a", "a", "b"))
    assert first == again

    def ids(strokes):
        keys = ("event_id", "order_id", "movement_id")
        return [each.fields[key] for stroke in strokes for each in stroke for key in keys if key in each.fields]

    assert len(set(ids(first))) == len(ids(first))
    assert not set(ids(first)) & set(ids(other))
    assert {each.kind for stroke in first for each in stroke} <= MOMENTS.keys()


def test_visits_go_on_as_before():
    """Every cart follows a view of its product in its visit, every purchase a cart; products and customers are known ones."""
    played = shop("rees46_events")
    seen = defaultdict(Counter)
    kinds = Counter()
    for ((event,),) in zip(islice(happenings(played, "a"), 3000), strict=True):
        told = event.fields
        visit = seen[told["session_id"], told["product_id"]]
        if told["event_type"] == "cart":
            assert visit["view"]
        if told["event_type"] in {"purchase", "remove_from_cart"}:
            assert visit["cart"]
        visit[told["event_type"]] += 1
        kinds[told["event_type"]] += 1
        assert told["product_id"] in played.goods.product_id
    assert kinds["view"] > kinds["cart"] > kinds["purchase"] > 0


def test_stock_goes_on_from_the_last_day():
    """Level after the history + movements is never negative; each sale has its movement; what runs low is filled again."""
    played = shop("us_retail")
    stock, carried = played.traded[0], played.assortment
    level = {
        (played.goods.product_id[product], f"S{store + 1:04d}"): int(units)
        for product, store, units in zip(carried.product, carried.store, stock.level, strict=True)
    }
    reasons = Counter()
    for stroke in islice(happenings(played, "a"), 5000):
        lines = [each.fields for each in stroke if each.kind == "order_lines"]
        moved = [each.fields for each in stroke if each.kind == "inventory_movements"]
        for each in moved:
            level[each["product_id"], each["store_id"]] += each["quantity"]
            assert level[each["product_id"], each["store_id"]] >= 0
            reasons[each["reason"]] += 1
        sold = [(each["product_id"], each["store_id"], -each["quantity"]) for each in moved if each["reason"] == "sale"]
        assert sold == [(each["product_id"], each["store_id"], each["quantity"]) for each in lines]
    assert reasons["sale"] > 4000
    assert reasons["replenishment"] > 10


def test_other_shops_are_not_played():
    """A shop without traffic that could go on says which can."""
    with pytest.raises(UsageError, match="rees46_events or us_retail"):
        happenings(shop("uci_online_retail"), "a")
