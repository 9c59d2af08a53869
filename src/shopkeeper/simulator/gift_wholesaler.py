"""The shop behind ``uci_online_retail``: invoices of a gift seller with retail and wholesale buyers.

Goods lines fill baskets; service lines ride on invoices; some lines come back on invoices that start with C.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa

from shopkeeper import vocabulary as v
from shopkeeper.simulator import campaigns, rendering
from shopkeeper.simulator.baskets import Bundles, Lines, bundles, bundles_table, fill
from shopkeeper.simulator.catalogue import Catalogue, Category, catalogue, products_table
from shopkeeper.simulator.chance import seconds_of_day, stream, weighted
from shopkeeper.simulator.customers import Customers, Habits, comers, customers_table, population
from shopkeeper.simulator.invoices import HEADER, KINDS, LATE, RECIPES, SERVICES, kind_of
from shopkeeper.simulator.prices import Prices, demand_factors, price_history, prices_table, promotions_table
from shopkeeper.simulator.rendering import Block
from shopkeeper.simulator.seasons import Rhythm, calendar_table
from shopkeeper.simulator.sheets import Fault, Sheet
from shopkeeper.simulator.shop import Shop
from shopkeeper.simulator.totals import Totals, minor_units

FIRST_INVOICE = 536_365
FIRST_CUSTOMER = 12_346
BLOCK = 100_000
"""Rows rendered at once."""

HABITS = Habits(rate=0.02, rate_shape=0.8, hazard=0.004, hazard_shape=1.5, spend_sigma=0.5, wholesale_share=0.08)
RHYTHM = Rhythm(
    weekdays=(1.0, 1.1, 1.1, 1.2, 0.9, 0.0, 0.7),
    months=(0.8, 0.75, 0.9, 0.85, 0.95, 0.95, 0.9, 0.95, 1.15, 1.3, 1.5, 1.0),
    hours=(0, 0, 0, 0, 0, 0, 0.2, 1, 3, 6, 9, 9, 12, 11, 10, 9, 6, 3, 1.5, 0.8, 0, 0, 0, 0),
    country="GB",
)
CATEGORIES = (
    Category("kitchen", ("JUG", "BOWL", "TRAY", "CAKE STAND", "EGG CUP", "PLATE", "SPOON REST"), 420, -1.6),
    Category("lights", ("LANTERN", "CANDLE HOLDER", "LAMP SHADE", "NIGHT LIGHT", "TEA LIGHT SET"), 350, -1.3),
    Category("storage", ("BASKET", "BOX", "DRAWER KNOB", "HOOK RAIL", "LUNCH BAG", "SHOPPER"), 290, -2.0),
    Category("festive", ("BAUBLE", "WREATH", "STOCKING", "GARLAND", "ADVENT BOX"), 240, -1.8, "christmas"),
    Category(
        "garden",
        ("PLANT POT", "BIRD FEEDER", "WIND CHIME", "PICNIC RUG", "WATERING CAN"),
        480,
        -1.5,
        "summer",
    ),
    Category("paper", ("CARD SET", "NOTEBOOK", "GIFT WRAP", "STICKER SHEET", "EASTER CARD"), 150, -1.1, "spring"),
)
COUNTRIES = (
    "United Kingdom", "Germany", "France", "EIRE", "Spain", "Netherlands", "Belgium", "Switzerland",
    "Portugal", "Australia", "Norway", "Italy",
)  # fmt: skip
COUNTRY_SHARES = np.array([0.88, 0.025, 0.022, 0.01, 0.01, 0.008, 0.01, 0.008, 0.007, 0.005, 0.005, 0.01])

BREADTH, WHOLESALE_BREADTH, WHOLESALE_SIZE = 22.0, 36.0, 5.0
RETURNED_ORDERS, RETURNED_LINES, RETURN_DELAY = 0.1, 0.25, 9.0


@dataclass(frozen=True)
class Orders:
    """Orders in the order of time: customer's index, day, second of the day, and the order that it cancels
    (or -1).
    """

    customer: np.ndarray
    day: np.ndarray
    second: np.ndarray
    cancels: np.ndarray


class GiftWholesaler(Shop):
    """Invoices in the layout of UCI Online Retail: one CSV, closed on Saturdays and holidays."""

    preset = "uci_online_retail"
    rhythm = RHYTHM

    @cached_property
    def people(self) -> Customers:
        """The buyers."""
        return population(self.customers, HABITS, self.factors, FIRST_CUSTOMER, stream(self.seed, "customers"))

    @cached_property
    def country(self) -> np.ndarray:
        """Each buyer's country, as an index."""
        return weighted(COUNTRY_SHARES, self.customers, stream(self.seed, "countries"))

    @cached_property
    def goods(self) -> Catalogue:
        """The products, one for each customer within 80 to 4,000; two in five have a letter in the code."""
        rng = stream(self.seed, "catalogue")
        count = int(np.clip(self.customers, 80, 4000))
        numbers = 20_000 + rng.choice(70_000, count, replace=False)
        letters = np.where(rng.random(count) < 0.4, rng.choice(list("ABCDEF"), count), "")
        codes = tuple(f"{number}{letter}" for number, letter in zip(numbers, letters, strict=True))
        return catalogue(codes, CATEGORIES, 1.3, rng)

    @cached_property
    def together(self) -> Bundles:
        """The bundles; their products keep their price."""
        return bundles(self.goods, stream(self.seed, "bundles"))

    @cached_property
    def prices(self) -> Prices:
        """Prices and promotions."""
        return price_history(self.goods, self.days, self.together.items.ravel(), stream(self.seed, "prices"))

    @cached_property
    def demand(self) -> np.ndarray:
        """Weight of each product on each day, popularity included."""
        factors = demand_factors(self.goods, self.prices, self.start)
        weights: np.ndarray = self.goods.weight[:, None] * factors
        return weights

    @cached_property
    def mailings(self) -> tuple[campaigns.Campaign, ...]:
        """The campaigns."""
        return campaigns.campaigns(self.people, self.days, stream(self.seed, "campaigns"))

    @cached_property
    def sold(self) -> Orders:
        """All orders that sell."""
        rng = stream(self.seed, "orders")
        who = [
            comers(self.people, day, factor, campaigns.boost(self.mailings, day, self.customers), rng)
            for day, factor in enumerate(self.factors)
        ]
        customer = np.concatenate(who).astype(np.int64)
        day = np.repeat(np.arange(self.days), [len(one) for one in who])
        # The shop's clock shows minutes.
        second = seconds_of_day(np.array(RHYTHM.hours), len(customer), rng) // 60 * 60
        order = np.lexsort((second, day))
        return Orders(customer[order], day[order], second[order], np.full(len(order), -1))

    @cached_property
    def breadth(self) -> np.ndarray:
        """Expected goods lines of each order on an average day."""
        return np.where(self.people.is_wholesale[self.sold.customer], WHOLESALE_BREADTH, BREADTH)

    @cached_property
    def goods_lines(self) -> Lines:
        """Goods in baskets."""
        rng = stream(self.seed, "baskets")
        people, sold = self.people, self.sold
        size = people.spend_level * np.where(people.is_wholesale, WHOLESALE_SIZE, 1.0)
        bounds = np.searchsorted(sold.day, np.arange(self.days + 1))
        parts = []
        for day, (low, high) in enumerate(pairwise(bounds)):
            if low == high:
                continue
            demand = np.ascontiguousarray(self.demand[:, day])
            part = fill(self.breadth[low:high], size[sold.customer[low:high]], demand, self.together, rng)
            parts.append((part.order + low, part.product, part.quantity))
        return Lines(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    @cached_property
    def returned(self) -> tuple[Orders, Lines, np.ndarray]:
        """Orders that cancel, their lines, and for each line the units of the sale that came back."""
        rng = stream(self.seed, "returns")
        sold, lines = self.sold, self.goods_lines
        open_days = np.flatnonzero(self.factors > 0)
        delay = 1 + rng.exponential(RETURN_DELAY, len(sold.day)).astype(np.int64)
        at = np.searchsorted(open_days, sold.day + delay)
        returns = (rng.random(len(sold.day)) < RETURNED_ORDERS) & (at < len(open_days))
        kept = np.flatnonzero(returns[lines.order] & (rng.random(len(lines.order)) < RETURNED_LINES))
        cancelled, place = np.unique(lines.order[kept], return_inverse=True)
        back = rng.integers(1, lines.quantity[kept] + 1)
        day = open_days[at[cancelled]]
        second = seconds_of_day(np.array(RHYTHM.hours), len(cancelled), rng) // 60 * 60
        orders = Orders(sold.customer[cancelled], day, second, cancelled)
        return orders, Lines(place, lines.product[kept], -back), lines.quantity[kept]

    @cached_property
    def services(self) -> tuple[Lines, np.ndarray]:
        """Service lines (their product counts on from the goods), and their prices in minor units."""
        rng = stream(self.seed, "services")
        abroad = self.country[self.sold.customer] > 0
        parts = []
        for number, service in enumerate(SERVICES):
            suits = np.ones(len(abroad), dtype=bool) if service.abroad is None else abroad == service.abroad
            order = np.flatnonzero(suits & (rng.random(len(abroad)) < service.chance))
            product = np.full(len(order), len(self.goods) + number)
            price = rng.integers(*service.prices, len(order))
            parts.append((order, product, np.full(len(order), service.sign), price))
        order, product, quantity, price = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return Lines(order, product, quantity), price

    @cached_property
    def invoices(self) -> "Invoices":
        """All lines of all invoices, in the order of the file."""
        sold, goods, (services, service_price) = self.sold, self.goods_lines, self.services
        back, returns, _ = self.returned
        own = len(sold.day)
        orders = Orders(*(np.concatenate(pair) for pair in zip(_arrays(sold), _arrays(back), strict=True)))
        rank = np.empty(len(orders.day), dtype=np.int64)
        rank[np.lexsort((np.arange(len(orders.day)), orders.second, orders.day))] = np.arange(len(orders.day))
        order = np.concatenate((goods.order, services.order, returns.order + own))
        product = np.concatenate((goods.product, services.product, returns.product))
        quantity = np.concatenate((goods.quantity, services.quantity, returns.quantity))
        # What comes back is paid back at the price of the sale.
        paid_on = np.where(orders.cancels >= 0, sold.day[np.maximum(orders.cancels, 0)], orders.day)
        is_service = product >= len(self.goods)
        price = self.prices.paid[np.where(is_service, 0, product), paid_on[order]]
        price[is_service] = service_price
        kind = np.where(is_service, product - len(self.goods) + 2, (orders.cancels[order] >= 0).astype(np.int64))
        place = np.argsort(rank[order], kind="stable")
        return Invoices(orders, rank, order[place], product[place], quantity[place], price[place], kind[place])

    def sheets(self) -> list[Sheet]:
        """Return the one file, and one that repeats some of its rows."""
        name = "online_retail"
        return [
            Sheet(f"{name}.csv", HEADER, v.ORDER_LINES, self._blocks, RECIPES, is_cut=True),
            Sheet(f"{name}_resent.csv", HEADER, v.ORDER_LINES, self._again, LATE, is_resent=True),
        ]

    def _blocks(self) -> Iterator[Block]:
        rows = len(self.invoices.order)
        return (self._block(np.arange(low, min(low + BLOCK, rows))) for low in range(0, rows, BLOCK))

    def _again(self) -> Iterator[Block]:
        last = len(self.invoices.order)
        yield self._block(np.arange(max(last - max(last // 200, 5), 0), last))

    @cached_property
    def _dictionary(self) -> tuple[pa.Array, pa.Array, np.ndarray]:
        codes = (*self.goods.product_id, *(service.code for service in SERVICES))
        names = (*self.goods.description, *(service.text for service in SERVICES))
        lettered = np.array([code.lower() != code for code in self.goods.product_id] + [False] * len(SERVICES))
        return rendering.texts(codes), rendering.texts(names), lettered

    def _block(self, rows: np.ndarray) -> Block:
        codes, names, lettered = self._dictionary
        lines = self.invoices
        goods = lines.kind[rows] == 0

        def text(some: np.ndarray | None) -> list[pa.Array]:
            at = rows if some is None else rows[some]
            order, product = lines.order[at], lines.product[at]
            customer = lines.orders.customer[order]
            return [
                self._numbers(order),
                rendering.pick(codes, product),
                rendering.pick(names, product),
                rendering.integers(lines.quantity[at]),
                rendering.moments(self.start, lines.orders.day[order], lines.orders.second[order]),
                rendering.money(lines.price[at]),
                rendering.integers(self.people.customer_id[customer]),
                rendering.pick(pa.array(COUNTRIES), self.country[customer]),
            ]

        groups = {
            "goods": np.flatnonzero(goods),
            "lettered": np.flatnonzero(goods & lettered[lines.product[rows]]),
        }
        return Block(len(rows), text, groups)

    def _numbers(self, order: np.ndarray) -> pa.Array:
        """Return invoice numbers: they count up with time, and those that cancel have a C before."""
        return rendering.integers_with(
            FIRST_INVOICE + self.invoices.rank[order], self.invoices.orders.cancels[order] >= 0, "C"
        )

    def clean_totals(self) -> Totals:
        """Return lines and amounts by kind, net sales, orders, customers and products."""
        lines = self.invoices
        totals = Totals()
        totals.kinds(lines.kind, KINDS, lines.quantity * lines.price)
        totals.count(v.ORDER_LINES, "orders", len(np.unique(lines.order)))
        totals.count(v.ORDER_LINES, "customers", len(np.unique(lines.orders.customer[lines.order])))
        return totals

    def add_planted(self, totals: Totals, fault: Fault) -> None:
        """Add a loadable line; all but copies stand on an invoice of their own."""
        fields = fault.planted.fields
        if fields is None:
            return
        price, quantity = minor_units(fields[5]), int(fields[3])
        totals.lines(kind_of(fields[0], fields[1], quantity, price), 1, quantity * price)
        totals.count(v.ORDER_LINES, "orders", fault.planted.fault != "duplicate")

    def world(self) -> dict[str, pa.Table]:
        """Return the truth about customers, products, bundles, campaigns, prices, days and cancellations."""
        country = rendering.pick(pa.array(COUNTRIES), self.country)
        return {
            "customers": customers_table(self.people, self.start).append_column("country", country),
            "products": products_table(self.goods),
            "prices": prices_table(self.goods, self.prices, self.start),
            "promotions": promotions_table(self.goods, self.prices, self.start),
            "bundles": bundles_table(self.goods, self.together, self.breadth, self.sold.day, self.demand),
            "campaigns": campaigns.campaigns_table(self.mailings, self.start),
            "exposures": campaigns.exposures_table(self.mailings, self.people, self.start),
            "calendar": calendar_table(RHYTHM, self.start, self.days),
            "cancellations": self._cancellations(),
        }

    def _cancellations(self) -> pa.Table:
        """Return which line of which earlier invoice each cancelled line takes back, one row each."""
        orders, lines, sold = self.returned
        own = len(self.sold.day)
        return pa.table(
            {
                "order_id": self._numbers(lines.order + own),
                "cancelled_order_id": self._numbers(orders.cancels[lines.order]),
                "product_id": rendering.pick(pa.array(self.goods.product_id), lines.product),
                "quantity": lines.quantity,
                "quantity_sold": sold,
            }
        )


@dataclass(frozen=True)
class Invoices:
    """Lines in the order of the file; ``rank``: each order's place in time; ``kind`` indexes KINDS."""

    orders: Orders
    rank: np.ndarray
    order: np.ndarray
    product: np.ndarray
    quantity: np.ndarray
    price: np.ndarray
    kind: np.ndarray


def _arrays(orders: Orders) -> tuple[np.ndarray, ...]:
    return orders.customer, orders.day, orders.second, orders.cancels
