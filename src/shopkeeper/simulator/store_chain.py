"""The shop behind ``us_retail``: a chain of stores, its transactions, and every movement of its stock.

Times are written in UTC. Stores keep one clock, six hours behind it, and open so that an hour of
summer time moves no sale to another day.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa

from shopkeeper import vocabulary as v
from shopkeeper.simulator import rendering
from shopkeeper.simulator.catalogue import Catalogue, Category, catalogue, products_table
from shopkeeper.simulator.chance import seconds_of_day, stream, weighted
from shopkeeper.simulator.faults import FLAG, REJECT, Recipe, broken, changed, unreadable
from shopkeeper.simulator.prices import Prices, demand_factors, price_history, prices_table, promotions_table
from shopkeeper.simulator.rendering import Block, block_of
from shopkeeper.simulator.seasons import Rhythm, calendar_table
from shopkeeper.simulator.sheets import Fault, Sheet
from shopkeeper.simulator.shop import Shop
from shopkeeper.simulator.stock import REASONS, Shelves, shelves
from shopkeeper.simulator.totals import Totals, minor_units

PRODUCTS = ("product_id", "name", "category", "price", "cost")
STORES = ("store_id", "name", "city")
TRANSACTIONS = ("transaction_id", "product_id", "store_id", "quantity", "price", "sold_at")
INVENTORY = ("change_id", "product_id", "store_id", "quantity_change", "changed_at", "reason")
PROMOTIONS = ("promotion_id", "product_id", "starts_on", "ends_on", "discount", "announced_on")
BLOCK = 100_000
UTC_BEHIND = 6 * 3600
AHEAD, ANNOUNCED = 42, 21
"""Promotions are planned so many days ahead of the last, and told to the stores so many days before they start."""

TRANSACTIONS_PER_CUSTOMER_DAY = 0.05
UNITS_GO_ON = 0.25
"""Chance that a transaction takes one unit more; it has 1 / (1 - this) units on average."""
RHYTHM = Rhythm(
    weekdays=(0.85, 0.8, 0.85, 0.95, 1.15, 1.3, 1.1),
    months=(0.85, 0.85, 0.95, 0.95, 1.0, 1.0, 1.0, 1.0, 0.95, 1.0, 1.2, 1.25),
    hours=(0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 5, 6, 8, 7, 6, 6, 8, 9, 8, 5, 3, 0, 0, 0),
    country="US",
    holiday=0.6,
)
CATEGORIES = (
    Category("Grocery", ("PASTA", "HONEY", "COFFEE", "CEREAL", "TEA"), 600, -1.5),
    Category("Electronics", ("CHARGER", "RADIO", "CLOCK", "SPEAKER"), 4500, -2.2, "christmas"),
    Category("Home", ("LAMP", "VASE", "CUSHION", "SHELF", "RUG"), 2800, -1.7),
    Category("Clothing", ("SHIRT", "SOCKS", "APRON", "CAP"), 2200, -1.9, "spring"),
    Category("Sports", ("BALL", "BOTTLE", "MAT", "KITE"), 1900, -1.6, "summer"),
)
CITIES = (
    "New York", "Los Angeles", "Chicago", "Houston", "Phoenix", "Philadelphia", "San Antonio", "San Diego",
    "Dallas", "San Jose", "Austin", "Jacksonville", "Fort Worth", "Columbus", "Charlotte", "San Francisco",
    "Indianapolis", "Seattle", "Denver", "Washington", "Boston", "El Paso", "Nashville", "Detroit",
    "Oklahoma City", "Portland", "Las Vegas", "Memphis", "Louisville", "Baltimore", "Milwaukee",
    "Albuquerque", "Tucson", "Fresno", "Sacramento",
)  # fmt: skip

SOLD = (
    Recipe("duplicate", FLAG, changed(TRANSACTIONS, {}), 2000, "duplicate"),
    Recipe(
        "zero_price",
        FLAG,
        changed(TRANSACTIONS, {"price": "0.00"}, "transaction_id", "T9"),
        500,
        "zero_price",
    ),
    Recipe(
        "negative_price",
        FLAG,
        changed(TRANSACTIONS, {"price": "-3.50"}, "transaction_id", "T8"),
        50,
        "negative_price",
    ),
    *unreadable(TRANSACTIONS, "sold_at", "price", "product_id", "$"),
    Recipe("missing_quantity", REJECT, broken(TRANSACTIONS, {"quantity": ""}), 50, column="quantity"),
)
MOVED = (
    *unreadable(INVENTORY, "changed_at", None, "reason"),
    Recipe(
        "text_quantity",
        REJECT,
        broken(INVENTORY, {"quantity_change": "a dozen"}),
        50,
        column="quantity_change",
    ),
    Recipe("missing_product", REJECT, broken(INVENTORY, {"product_id": ""}), 50, column="product_id"),
)
LISTED = (
    *unreadable(PRODUCTS, "", "price", "name", "$"),
    Recipe("negative_price", REJECT, broken(PRODUCTS, {"price": "-1.00"}), 50, column="price"),
    Recipe("missing_product", REJECT, broken(PRODUCTS, {"product_id": ""}), 50, column="product_id"),
)
HOUSES = (
    *unreadable(STORES, "", None, "name"),
    Recipe("missing_store", REJECT, broken(STORES, {"store_id": ""}), 50, column="store_id"),
)
PLANNED = (
    *unreadable(PROMOTIONS, "starts_on", None, "promotion_id"),
    Recipe("missing_end", REJECT, broken(PROMOTIONS, {"ends_on": ""}), 50, column="ends_on"),
)
LATE = (Recipe("zero_price", FLAG, changed(TRANSACTIONS, {"price": "0.00"}, "transaction_id", "T7"), 1, "zero_price"),)
"""What a resent file holds besides what it repeats."""


@dataclass(frozen=True)
class Assortment:
    """The shelves of all stores: store, product and weight of demand (sums to 1) of each."""

    store: np.ndarray
    product: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Transactions:
    """What was sold, in the order of time; ``second`` of the local day, ``price`` in minor units."""

    shelf: np.ndarray
    units: np.ndarray
    price: np.ndarray
    day: np.ndarray
    second: np.ndarray


class StoreChain(Shop):
    """Products, stores, transactions and inventory history of a chain in 35 US cities."""

    preset = "us_retail"
    rhythm = RHYTHM

    @cached_property
    def goods(self) -> Catalogue:
        """The products, one for ten customers within 20 to 2,000."""
        count = int(np.clip(self.customers // 10, 20, 2000))
        codes = tuple(f"P{number:05d}" for number in range(1, count + 1))
        return catalogue(codes, CATEGORIES, 1.0, stream(self.seed, "catalogue"))

    @cached_property
    def store_size(self) -> np.ndarray:
        """Each store's share of demand; one store for twenty customers within 5 to 1,000."""
        count = int(np.clip(self.customers // 20, 5, 1000))
        size = np.exp(stream(self.seed, "stores").normal(0, 0.5, count))
        shares: np.ndarray = size / size.sum()
        return shares

    @cached_property
    def prices(self) -> Prices:
        """Prices and promotions, the same in all stores."""
        return price_history(self.goods, self.days, np.array([], dtype=np.int64), stream(self.seed, "prices"))

    @cached_property
    def assortment(self) -> Assortment:
        """Which products each store carries: a quarter of all, within 10 to 60."""
        rng = stream(self.seed, "assortment")
        stores, products = len(self.store_size), len(self.goods)
        carried = int(np.clip(products // 4, 10, 60))
        product = np.concatenate([np.sort(rng.choice(products, carried, replace=False)) for _ in range(stores)])
        store = np.repeat(np.arange(stores), carried)
        weight = self.store_size[store] * self.goods.weight[product]
        return Assortment(store, product, weight / weight.sum())

    @cached_property
    def response(self) -> np.ndarray:
        """Demand of each product on each day relative to base price and average season."""
        return demand_factors(self.goods, self.prices, self.start)

    @cached_property
    def traded(self) -> tuple[Shelves, Transactions]:
        """The shelves after the period, with all their movements, and what was sold from them."""
        carried = self.assortment
        wanted = self.customers * TRANSACTIONS_PER_CUSTOMER_DAY
        stock = shelves(carried.weight * wanted / (1 - UNITS_GO_ON))
        parts = []
        for day, factor in enumerate(self.factors):
            rng = stream(self.seed, "trade", day)
            weight = carried.weight * self.response[carried.product, day]
            count = int(rng.poisson(wanted * factor * weight.sum()))
            shelf, units = weighted(weight, count, rng), rng.geometric(1 - UNITS_GO_ON, count)
            second = np.sort(seconds_of_day(np.array(RHYTHM.hours), count, rng))
            stock.receive(day)
            met = stock.sell(day, shelf, units, second)
            stock.close(day, rng)
            price = self.prices.paid[carried.product[shelf], day]
            parts.append((shelf[met], units[met], price[met], np.full(int(met.sum()), day), second[met]))
        return stock, Transactions(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    @cached_property
    def movements(self) -> list[np.ndarray]:
        """Shelf, units, day, second and reason of each movement, in the order of time."""
        columns = self.traded[0].movements.columns()
        order = np.lexsort((columns[3], columns[2]))
        return [column[order] for column in columns]

    def sheets(self) -> list[Sheet]:
        """Return the five tables, and a file that repeats some transactions."""
        return [
            Sheet("inventory.csv", INVENTORY, v.INVENTORY_MOVEMENTS, self._moved, MOVED, is_cut=True),
            Sheet("products.csv", PRODUCTS, v.PRODUCTS, self._listed, LISTED),
            Sheet("promotions.csv", PROMOTIONS, v.PROMOTIONS, self._planned, PLANNED),
            Sheet("stores.csv", STORES, v.STORES, self._houses, HOUSES),
            Sheet("transactions.csv", TRANSACTIONS, v.ORDER_LINES, self._sold, SOLD, is_cut=True),
            Sheet("transactions_resent.csv", TRANSACTIONS, v.ORDER_LINES, self._again, LATE, is_resent=True),
        ]

    @cached_property
    def _product_ids(self) -> pa.Array:
        return rendering.texts(self.goods.product_id)

    @cached_property
    def _store_ids(self) -> pa.Array:
        return pa.array([f"S{number:04d}" for number in range(1, len(self.store_size) + 1)])

    @cached_property
    def _cities(self) -> list[str]:
        return [CITIES[number % len(CITIES)] for number in range(len(self.store_size))]

    def _listed(self) -> Iterator[Block]:
        goods = self.goods
        category = rendering.texts([one.name for one in goods.categories])
        yield block_of(
            [
                self._product_ids,
                rendering.texts(goods.description),
                rendering.pick(category, goods.category),
                rendering.money(goods.base_price),
                rendering.money(goods.cost),
            ]
        )

    def _houses(self) -> Iterator[Block]:
        names = [f"{city} {number // len(CITIES) + 1}" for number, city in enumerate(self._cities)]
        yield block_of([self._store_ids, rendering.texts(names), rendering.texts(self._cities)])

    def _planned(self) -> Iterator[Block]:
        """The promotions of the period, and those that the chain has planned for the six weeks after it."""
        goods, past = self.goods, self.prices
        rng = stream(self.seed, "plans")
        count = int(np.ceil(2 * AHEAD / 365 * len(goods)))
        product = np.concatenate([past.promoted, rng.choice(len(goods), count)])
        first = np.concatenate([past.first_day, self.days + rng.integers(0, AHEAD, count)])
        length = np.concatenate([past.last_day - past.first_day, rng.integers(4, 14, count)])
        discount = np.concatenate([past.discount, rng.choice([0.1, 0.15, 0.2, 0.3], count)])
        order = np.lexsort((product, first))
        first, length = first[order], length[order]
        yield block_of(
            [
                rendering.numbered("PROMOTION-", np.arange(1, len(order) + 1)),
                rendering.pick(self._product_ids, product[order]),
                *(self._dates(day) for day in (first, first + length)),
                rendering.fractions(np.rint(discount[order] * 1e4).astype(np.int64)),
                self._dates(first - ANNOUNCED),
            ]
        )

    def _dates(self, days: np.ndarray) -> pa.Array:
        return pa.array([(self.start + timedelta(int(one))).isoformat() for one in days], pa.string())

    def _place(self, shelf: np.ndarray) -> list[pa.Array]:
        product = rendering.pick(self._product_ids, self.assortment.product[shelf])
        return [product, rendering.pick(self._store_ids, self.assortment.store[shelf])]

    def _sold_rows(self, low: int, high: int) -> Block:
        sold = self.traded[1]

        def text(some: np.ndarray | None) -> list[pa.Array]:
            at = np.arange(low, high) if some is None else low + some
            return [
                rendering.numbered("T", at + 1),
                *self._place(sold.shelf[at]),
                rendering.integers(sold.units[at]),
                rendering.money(sold.price[at]),
                rendering.moments(self.start, sold.day[at], sold.second[at] + UTC_BEHIND),
            ]

        return Block(high - low, text)

    def _sold(self) -> Iterator[Block]:
        rows = len(self.traded[1].shelf)
        return (self._sold_rows(low, min(low + BLOCK, rows)) for low in range(0, rows, BLOCK))

    def _again(self) -> Iterator[Block]:
        rows = len(self.traded[1].shelf)
        yield self._sold_rows(max(rows - max(rows // 100, 5), 0), rows)

    def _moved(self) -> Iterator[Block]:
        rows = len(self.movements[0])
        return (self._moved_rows(low, min(low + BLOCK, rows)) for low in range(0, rows, BLOCK))

    def _moved_rows(self, low: int, high: int) -> Block:
        shelf, units, day, second, reason = self.movements

        def text(some: np.ndarray | None) -> list[pa.Array]:
            at = np.arange(low, high) if some is None else low + some
            return [
                rendering.numbered("M", at + 1),
                *self._place(shelf[at]),
                rendering.integers(units[at]),
                rendering.moments(self.start, day[at], second[at] + UTC_BEHIND),
                rendering.pick(pa.array(REASONS), reason[at]),
            ]

        return Block(high - low, text)

    def clean_totals(self) -> Totals:
        """Return transactions and their amount, and the units moved for each reason."""
        stock, sold = self.traded
        totals = Totals()
        totals.lines(v.SALE, len(sold.shelf), int((sold.units * sold.price).sum()))
        totals.count(v.ORDER_LINES, "orders", len(sold.shelf))
        _, units, _, _, reason = self.movements
        for number, name in enumerate(REASONS):
            totals.count(v.INVENTORY_MOVEMENTS, "units", int(units[reason == number].sum()), name)
        totals.count(v.INVENTORY_MOVEMENTS, "units_on_hand", int(stock.level.sum()))
        return totals

    def add_planted(self, totals: Totals, fault: Fault) -> None:
        """Add a loadable transaction; all but copies are transactions of their own."""
        fields = fault.planted.fields
        if fields is not None:
            quantity, price = int(fields[3]), minor_units(fields[4])
            totals.lines(v.FREE if price == 0 else v.SALE, 1, quantity * price)
            totals.count(v.ORDER_LINES, "orders", fault.planted.fault != "duplicate")

    def world(self) -> dict[str, pa.Table]:
        """Return the truth about products, stores, prices, shelves, days out of stock and the calendar."""
        return {
            "products": products_table(self.goods),
            "stores": self._stores_table(),
            "prices": prices_table(self.goods, self.prices, self.start),
            "promotions": promotions_table(self.goods, self.prices, self.start),
            "shelves": self._shelves_table(),
            "stock_outs": self._stock_outs_table(),
            "calendar": calendar_table(RHYTHM, self.start, self.days),
        }

    def _stores_table(self) -> pa.Table:
        return pa.table({"store_id": self._store_ids, "city": self._cities, "demand_share": self.store_size})

    def _shelves_table(self) -> pa.Table:
        """Return each shelf's demand and policy, and what stands on it after the period."""
        stock, carried = self.traded[0], self.assortment
        product, store = self._place(np.arange(len(carried.store)))
        rate = carried.weight * self.customers * TRANSACTIONS_PER_CUSTOMER_DAY
        return pa.table(
            {
                "store_id": store,
                "product_id": product,
                "transactions_per_day": rate,
                "units_per_day": rate / (1 - UNITS_GO_ON),
                "reorder_at": stock.reorder_at,
                "fill_to": stock.fill_to,
                "units_on_hand": stock.level,
            }
        )

    def _stock_outs_table(self) -> pa.Table:
        """Return the transactions and units lost for want of stock, one row for each shelf and day."""
        shelf, day, units = self.traded[0].lost.columns()
        key, place = np.unique(shelf * self.days + day, return_inverse=True)
        product, store = self._place(key // self.days)
        dates = [self.start + timedelta(int(one)) for one in key % self.days]
        return pa.table(
            {
                "store_id": store,
                "product_id": product,
                "out_on": pa.array(dates, pa.date32()),
                "lost_transactions": np.bincount(place, minlength=len(key)),
                "lost_units": np.bincount(place, units, len(key)).astype(np.int64),
            }
        )
