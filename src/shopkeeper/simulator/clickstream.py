"""The shop behind ``rees46_events``: visits in which products are viewed, put into carts and bought.

A day's visits depend on nothing but the seed and the day, so that a file streams day by day in bounded
memory and can be rendered without the files before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial

import numpy as np
import pyarrow as pa

from shopkeeper import vocabulary as v
from shopkeeper.simulator import rendering
from shopkeeper.simulator.campaigns import Campaign, boost, campaigns, campaigns_table, exposures_table
from shopkeeper.simulator.catalogue import Catalogue, Category, catalogue, products_table
from shopkeeper.simulator.chance import seconds_of_day, stream, weighted
from shopkeeper.simulator.customers import Customers, Habits, comers, customers_table, population
from shopkeeper.simulator.faults import FLAG, REJECT, Recipe, broken, changed, unreadable
from shopkeeper.simulator.prices import (
    Prices,
    demand_factors,
    price_history,
    price_response,
    prices_table,
    promotions_table,
)
from shopkeeper.simulator.rendering import Block
from shopkeeper.simulator.seasons import Rhythm, calendar_table
from shopkeeper.simulator.sheets import Fault, Sheet
from shopkeeper.simulator.shop import Shop
from shopkeeper.simulator.totals import Totals, minor_units

HEADER = (
    "event_time",
    "event_type",
    "product_id",
    "category_id",
    "category_code",
    "brand",
    "price",
    "user_id",
    "user_session",
)
DAY = 86_400
FIRST_CUSTOMER = 500_000_000
TYPES = ("view", "cart", "remove_from_cart", "purchase")
VIEW, CART, REMOVE, PURCHASE = range(4)

HABITS = Habits(rate=0.2, rate_shape=0.6, hazard=0.015, hazard_shape=1.5)
RHYTHM = Rhythm(
    weekdays=(1.0, 1.0, 1.0, 1.0, 1.05, 1.1, 1.1),
    months=(0.95, 0.95, 1.0, 0.95, 0.95, 0.9, 0.9, 0.9, 1.0, 1.05, 1.3, 1.2),
    hours=(1, 0.6, 0.5, 0.8, 1.5, 2.5, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 6.5, 7, 7.5, 7.5, 7, 5, 3, 2),
)
CATEGORIES = (
    Category("appliances.kitchen.kettle", ("KETTLE", "TOASTER", "BLENDER"), 4500, -2.2),
    Category("", ("HAND CREAM", "SHAMPOO", "NAIL FILE", "SOAP"), 600, -1.4),
    Category("", ("BRUSH", "MIRROR", "COMB", "SPONGE"), 450, -1.2),
    Category("electronics.audio.headphone", ("HEADPHONES", "SPEAKER"), 7000, -2.5),
    Category("", ("LIPSTICK", "POWDER", "LINER"), 800, -1.7),
    Category("", ("CANDLE", "SCENT STICK"), 700, -1.5, "christmas"),
    Category("", ("SUN LOTION", "BEACH TOWEL"), 1200, -1.6, "summer"),
    Category("", ("GLOVES", "SCARF", "HAT"), 1500, -1.8, "christmas"),
)
BRANDS = (
    "aurelle",
    "bright & co",
    "domovik",
    "kestrel",
    "lumo",
    "mélisse",
    "nordhaus",
    "ostra",
    "pico",
    "varda",
)
BRANDED = 0.4

GOES_ON = 0.7
"""Chance that a visitor looks at one more product; a visit has 1 / (1 - this) views on average."""
CART_PER_VIEW, REMOVE_PER_CART, PURCHASE_PER_KEPT_CART = 0.1, 0.2, 0.45
SECONDS_BETWEEN = 35.0

RECIPES = (
    Recipe("duplicate", FLAG, changed(HEADER, {}), 2000, "duplicate"),
    Recipe("zero_price", FLAG, changed(HEADER, {"price": "0.00"}), 200, "zero_price"),
    Recipe("negative_price", FLAG, changed(HEADER, {"price": "-7.94"}), 20, "negative_price"),
    *unreadable(HEADER, "event_time", "price", "brand", "$"),
    Recipe("missing_event_type", REJECT, broken(HEADER, {"event_type": ""}), 30, column="event_type"),
    Recipe("missing_event_time", REJECT, broken(HEADER, {"event_time": ""}), 30, column="event_time"),
)
LATE = (Recipe("negative_price", FLAG, changed(HEADER, {"price": "-0.01"}), 1, "negative_price"),)
"""What a resent file holds besides what it repeats; unlike any line of the file before it."""


@dataclass(frozen=True)
class Events:
    """Events, one element for each in every array; ``visit`` is a row of ``identity``, the visits' random
    bytes.

    ``second`` counts from the period's start; ``kind`` indexes TYPES; ``price`` in minor units.
    """

    second: np.ndarray
    kind: np.ndarray
    product: np.ndarray
    price: np.ndarray
    customer: np.ndarray
    visit: np.ndarray
    identity: np.ndarray

    def where(self, chosen: np.ndarray) -> "Events":
        """Return the events at some indices, or where a mask is true."""
        return Events(
            second=self.second[chosen],
            kind=self.kind[chosen],
            product=self.product[chosen],
            price=self.price[chosen],
            customer=self.customer[chosen],
            visit=self.visit[chosen],
            identity=self.identity,
        )

    def and_then(self, other: "Events") -> "Events":
        """Return these and another's events in the order of time."""
        both = Events(
            second=np.concatenate((self.second, other.second)),
            kind=np.concatenate((self.kind, other.kind)),
            product=np.concatenate((self.product, other.product)),
            price=np.concatenate((self.price, other.price)),
            customer=np.concatenate((self.customer, other.customer)),
            visit=np.concatenate((self.visit, other.visit + len(self.identity))),
            identity=np.concatenate((self.identity, other.identity)),
        )
        return both.where(np.argsort(both.second, kind="stable"))


class Clickstream(Shop):
    """Events in the layout of REES46: one CSV a month, in the order of time, in UTC."""

    preset = "rees46_events"
    rhythm = RHYTHM

    @cached_property
    def people(self) -> Customers:
        """The visitors; their rate is that of visits."""
        return population(self.customers, HABITS, self.factors, FIRST_CUSTOMER, stream(self.seed, "customers"))

    @cached_property
    def goods(self) -> Catalogue:
        """The products, one for two customers within 100 to 20,000."""
        rng = stream(self.seed, "catalogue")
        count = int(np.clip(self.customers // 2, 100, 20_000))
        numbers = 5_000_000 + rng.choice(900_000, count, replace=False)
        return catalogue(tuple(str(number) for number in numbers), CATEGORIES, 1.2, rng)

    @cached_property
    def prices(self) -> Prices:
        """Prices and promotions."""
        return price_history(self.goods, self.days, np.array([], dtype=np.int64), stream(self.seed, "prices"))

    @cached_property
    def interest(self) -> np.ndarray:
        """Weight of each product in views on each day: popularity and season, not price."""
        response = price_response(self.goods, self.prices)
        factors = demand_factors(self.goods, self.prices, self.start) / response
        weights: np.ndarray = self.goods.weight[:, None] * factors
        return weights

    @cached_property
    def cart_chance(self) -> np.ndarray:
        """Chance that a view leads to a cart, by product and day: log-linear in the price."""
        chance: np.ndarray = np.minimum(CART_PER_VIEW * price_response(self.goods, self.prices), 1.0)
        return chance

    @cached_property
    def mailings(self) -> tuple[Campaign, ...]:
        """The campaigns; they raise the rate of visits, and so that of purchases."""
        return campaigns(self.people, self.days, stream(self.seed, "campaigns"))

    def visits(self, day: int) -> Events:
        """Return all events of the visits that begin on a day, in the order of time, up to the period's
        end.
        """
        rng = stream(self.seed, "visits", day)
        lift = boost(self.mailings, day, self.customers)
        who = comers(self.people, day, self.factors[day], lift, rng)
        begin = np.sort(seconds_of_day(np.array(RHYTHM.hours), len(who), rng)) + day * DAY
        identity = rng.integers(0, 256, (len(who), 16), dtype=np.uint8)
        views = rng.geometric(1 - GOES_ON, len(who))
        visit, product, kind = self.steps(day, views, rng)
        second = _moments(visit, begin, rng)
        order = np.argsort(second, kind="stable")
        order = order[second[order] < self.days * DAY]
        visit, product = visit[order], product[order]
        price = self.prices.paid[product, day]
        return Events(second[order], kind[order], product, price, who[visit], visit, identity)

    def steps(self, day: int, views: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return visit, product and kind of each event, visit by visit, step by step.

        A view, then its cart, then its removal; what stays in the cart may be bought at the end.
        """
        visit = np.repeat(np.arange(len(views)), views)
        product = weighted(np.ascontiguousarray(self.interest[:, day]), len(visit), rng)
        carted = np.flatnonzero(rng.random(len(visit)) < self.cart_chance[product, day])
        is_removed = rng.random(len(carted)) < REMOVE_PER_CART
        kept = carted[~is_removed]
        bought = kept[rng.random(len(kept)) < PURCHASE_PER_KEPT_CART]
        source = np.concatenate((np.arange(len(visit)), carted, carted[is_removed], bought))
        sizes = (len(visit), len(carted), int(is_removed.sum()), len(bought))
        kind = np.repeat(np.arange(4, dtype=np.int8), sizes)
        # Purchases come after all else in their visit; the other steps follow their view.
        last = np.cumsum(views)[visit]
        place = np.where(kind == PURCHASE, last[source] - 1, source)
        order = np.lexsort((source, kind, place))
        return visit[source[order]], product[source[order]], kind[order]

    def day_of(self, day: int, carried: Events) -> tuple[Events, Events]:
        """Return the events that happen on a day, given those carried over midnight, and what it carries
        on.
        """
        begun = self.visits(day)
        is_late = begun.second >= (day + 1) * DAY
        return carried.and_then(begun.where(~is_late)), begun.where(is_late)

    def carried_into(self, day: int) -> Events:
        """Return the events of a day that belong to visits begun the day before."""
        begun = self.visits(max(day - 1, 0))
        return begun.where((begun.second >= day * DAY) & (day > 0))

    def sheets(self) -> list[Sheet]:
        """Return a file for each month, and one that repeats some of the first day's events."""
        months: dict[str, list[int]] = {}
        for day in range(self.days):
            months.setdefault(f"{self.start + timedelta(day):%Y-%m}", []).append(day)
        files = [
            Sheet(
                f"{month}.csv",
                HEADER,
                v.EVENTS,
                partial(self._blocks, days),
                RECIPES,
                is_cut=days[-1] == self.days - 1,
            )
            for month, days in months.items()
        ]
        resent = f"{self.start:%Y-%m}_resent.csv"
        files.insert(1, Sheet(resent, HEADER, v.EVENTS, self._again, LATE, is_resent=True))
        return files

    def _blocks(self, days: list[int]) -> Iterator[Block]:
        carried = self.carried_into(days[0])
        for day in days:
            events, carried = self.day_of(day, carried)
            yield self._block(events)

    def _again(self) -> Iterator[Block]:
        events, _ = self.day_of(0, self.carried_into(0))
        rows = len(events.second)
        yield self._block(events.where(np.arange(rows) >= rows - max(rows // 100, 5)))

    @cached_property
    def details(self) -> tuple[pa.Array, ...]:
        """Product id, category id, category code and brand of each product, as CSV fields."""
        goods = self.goods
        rng = stream(self.seed, "details")
        brand = rng.integers(0, len(BRANDS), len(goods))
        is_branded = rng.random(len(goods)) < BRANDED
        return (
            rendering.texts(goods.product_id),
            rendering.integers(goods.category * 8_192 + 2_053_013_552_326_770_905),
            rendering.texts([goods.categories[one].name for one in goods.category]),
            rendering.texts([BRANDS[one] if has else "" for one, has in zip(brand, is_branded, strict=True)]),
        )

    def _block(self, events: Events) -> Block:
        identity = rendering.identifiers(events.identity)

        def text(some: np.ndarray | None) -> list[pa.Array]:
            chosen = events if some is None else events.where(some)
            midnight = np.zeros(len(chosen.second), dtype=np.int64)
            return [
                rendering.moments(self.start, midnight, chosen.second, " UTC"),
                rendering.pick(pa.array(TYPES), chosen.kind),
                *(rendering.pick(detail, chosen.product) for detail in self.details),
                rendering.money(chosen.price),
                rendering.integers(self.people.customer_id[chosen.customer]),
                rendering.pick(identity, chosen.visit),
            ]

        return Block(len(events.second), text)

    def clean_totals(self) -> Totals:
        """Return events by type, sessions that reached each step, customers and revenue."""
        totals = Totals()
        seen = np.zeros(self.customers, dtype=bool)
        for day in range(self.days):
            events = self.visits(day)
            seen[events.customer] = True
            totals.count(v.EVENTS, "sessions", len(events.identity))
            for kind, name in enumerate(TYPES):
                own = events.kind == kind
                totals.count(v.EVENTS, "events", int(own.sum()), name)
                totals.count(v.EVENTS, "sessions_with", len(np.unique(events.visit[own])), name)
            totals.pay(v.EVENTS, "revenue", int(events.price[events.kind == PURCHASE].sum()))
        totals.count(v.EVENTS, "customers", int(seen.sum()))
        return totals

    def add_planted(self, totals: Totals, fault: Fault) -> None:
        """Add a loadable event; it happens within a session that is counted already."""
        fields = fault.planted.fields
        if fields is not None:
            totals.count(v.EVENTS, "events", 1, fields[1])
            totals.pay(v.EVENTS, "revenue", minor_units(fields[6]) if fields[1] == "purchase" else 0)

    def world(self) -> dict[str, pa.Table]:
        """Return the truth about visitors, products, prices, campaigns, days and the funnel."""
        steps = (
            ("views_per_session", 1 / (1 - GOES_ON)),
            ("cart_per_view_at_base_price", CART_PER_VIEW),
            ("remove_from_cart_per_cart", REMOVE_PER_CART),
            ("purchase_per_cart", (1 - REMOVE_PER_CART) * PURCHASE_PER_KEPT_CART),
        )
        people = customers_table(self.people, self.start, "visits_per_day")
        return {
            "customers": people.drop_columns(["segment", "spend_level"]),
            "products": products_table(self.goods),
            "prices": prices_table(self.goods, self.prices, self.start),
            "promotions": promotions_table(self.goods, self.prices, self.start),
            "campaigns": campaigns_table(self.mailings, self.start),
            "exposures": exposures_table(self.mailings, self.people, self.start),
            "calendar": calendar_table(RHYTHM, self.start, self.days),
            "funnel": pa.table({"rate": [name for name, _ in steps], "value": [value for _, value in steps]}),
        }


def _moments(visit: np.ndarray, begin: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the second of each event: the visit's beginning, then at least a second from step to step."""
    gap = 1 + rng.exponential(SECONDS_BETWEEN, len(visit)).astype(np.int64)
    first = np.flatnonzero(np.diff(visit, prepend=-1))
    gap[first] = 0
    passed = np.cumsum(gap)
    seconds: np.ndarray = begin[visit] + passed - passed[first][visit]
    return seconds
