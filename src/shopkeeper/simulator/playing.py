"""What happens next in a simulated shop, one thing after the other, without end: its history goes on as live traffic.

Pure: no clock. Whoever plays gives each thing its moment and sends it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from shopkeeper import vocabulary as v
from shopkeeper.errors import UsageError
from shopkeeper.simulator.chance import stream, weighted
from shopkeeper.simulator.clickstream import GOES_ON, SECONDS_BETWEEN, TYPES, Clickstream
from shopkeeper.simulator.customers import comers
from shopkeeper.simulator.shop import Shop
from shopkeeper.simulator.stock import REASONS, REPLENISHMENT, SALE
from shopkeeper.simulator.store_chain import UNITS_GO_ON, StoreChain

VISITS = 64
"""So many visits are under way at once."""
SALES = 100
DELIVERED_AFTER = 50
"""A shelf that runs low is filled after so many further transactions."""
MOMENTS = {v.EVENTS: "occurred_at", v.ORDER_LINES: "ordered_at", v.INVENTORY_MOVEMENTS: "moved_at"}
"""Which field of a thing holds its moment."""


@dataclass(frozen=True)
class Happening:
    """One thing: its kind (events, order_lines, inventory_movements) and its fields, but for the moment."""

    kind: str
    fields: dict[str, str | int | float]


def happenings(shop: Shop, name: str) -> Iterator[list[Happening]]:
    """Yield, without end, what happens at one stroke: an event, or a transaction with the movements it causes.

    ``name`` stands in every id, so that two plays of one shop are different things; the same name gives the same
    things. Raises UsageError for a shop that cannot be played.
    """
    if isinstance(shop, Clickstream):
        return _clicks(shop, name)
    if isinstance(shop, StoreChain):
        return _sales(shop, name)
    raise UsageError(f"a shop that is played live must be rees46_events or us_retail; got {shop.preset}. Choose one.")


def _clicks(shop: Clickstream, name: str) -> Iterator[list[Happening]]:
    """Yield events of visits as on the period's last day, many visits beside each other, each in its order."""
    last = shop.days - 1
    product_ids, category_ids, categories, brands = (detail.to_pylist() for detail in shop.details)
    rng = stream(shop.seed, "live", name)
    who = comers(shop.people, last, max(shop.factors[last], 1e-9), None, rng)
    nth = count(1)
    for turn in count():
        views = rng.geometric(1 - GOES_ON, VISITS)
        visit, product, kind = shop.steps(last, views, rng)
        begin = rng.integers(0, 600, VISITS)
        passed = begin[visit] + np.arange(len(visit)) * SECONDS_BETWEEN
        customer = rng.choice(who, VISITS) if len(who) else rng.integers(0, shop.customers, VISITS)
        first = np.flatnonzero(np.diff(visit, prepend=-1))
        passed -= np.repeat(np.arange(len(visit))[first] * SECONDS_BETWEEN, np.diff(first, append=len(visit)))
        for at in np.argsort(passed, kind="stable"):
            item = product[at]
            fields = {
                "event_id": f"{name}-{next(nth)}",
                "event_type": TYPES[kind[at]],
                "customer_id": str(shop.people.customer_id[customer[visit[at]]]),
                "session_id": f"{name}-{turn}-{visit[at]}",
                "product_id": product_ids[item],
                "category_id": category_ids[item],
                "category_code": categories[item],
                "brand": brands[item],
                "unit_price": int(shop.prices.paid[item, last]) / 100,
            }
            yield [Happening(v.EVENTS, {key: value for key, value in fields.items() if value != ""})]


def _sales(shop: StoreChain, name: str) -> Iterator[list[Happening]]:
    """Yield transactions; each lowers the stock it finds, and what runs low is filled again."""
    last = shop.days - 1
    shelves, carried = shop.traded[0], shop.assortment
    level = shelves.level.copy()
    weight = carried.weight * shop.response[carried.product, last]
    rng = stream(shop.seed, "live", name)
    ordered: deque[tuple[int, int]] = deque()
    waits: set[int] = set()
    moves = count(1)

    def moved(shelf: int, units: int, reason: int) -> Happening:
        level[shelf] += units
        told: dict[str, str | int | float] = {
            "movement_id": f"{name}-M{next(moves)}",
            "product_id": shop.goods.product_id[carried.product[shelf]],
            "store_id": _store(carried.store[shelf]),
            "quantity": units,
            "reason": REASONS[reason],
        }
        return Happening(v.INVENTORY_MOVEMENTS, told)

    nth = 0
    while True:
        for one, units in zip(weighted(weight, SALES, rng), rng.geometric(1 - UNITS_GO_ON, SALES), strict=True):
            shelf = int(one)
            nth += 1
            told = []
            while ordered and ordered[0][0] <= nth:
                _, full = ordered.popleft()
                waits.discard(full)
                told.append(moved(full, int(shelves.fill_to[full] - level[full]), REPLENISHMENT))
            if level[shelf] >= units:
                product = carried.product[shelf]
                line = {
                    "order_id": f"{name}-T{nth}",
                    "product_id": shop.goods.product_id[product],
                    "store_id": _store(carried.store[shelf]),
                    "quantity": int(units),
                    "unit_price": int(shop.prices.paid[product, last]) / 100,
                    "country": "United States",
                }
                told += [Happening(v.ORDER_LINES, line), moved(shelf, -int(units), SALE)]
            if level[shelf] <= shelves.reorder_at[shelf] and shelf not in waits:
                waits.add(shelf)
                ordered.append((nth + DELIVERED_AFTER, shelf))
            if told:
                yield told


def _store(number: int) -> str:
    return f"S{number + 1:04d}"
