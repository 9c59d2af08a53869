"""The shop behind ``client_and_sales``: attributes with validity, labels, stores, and a file of sales a
day.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa

from shopkeeper import vocabulary as v
from shopkeeper.simulator import label_model, rendering
from shopkeeper.simulator.campaigns import Campaign, boost, campaigns, campaigns_table, exposures_table
from shopkeeper.simulator.chance import seconds_of_day, stream, weighted
from shopkeeper.simulator.customers import Customers, Habits, comers, customers_table, population
from shopkeeper.simulator.faults import FLAG, REJECT, Recipe, broken, changed, unreadable
from shopkeeper.simulator.label_model import LETTERS, Attributes
from shopkeeper.simulator.rendering import Block, block_of
from shopkeeper.simulator.seasons import Rhythm, calendar_table
from shopkeeper.simulator.sheets import Fault, Sheet
from shopkeeper.simulator.shop import Shop
from shopkeeper.simulator.totals import Totals, minor_units

ACTIVITY = ("idx", "valid_from", "valid_to", "scd_a", "scd_b")
PROFILES = ("idx", "attr_a", "attr_b")
LABELS = ("idx", "label")
STORES = ("store_idx", "name", "city", "size")
SALES = ("sale_idx", "store_idx", "idx", "sold_at", "value")
FIRST_CUSTOMER = 1
BLOCK = 100_000

HABITS = Habits(rate=0.04, rate_shape=0.8, hazard=0.003, hazard_shape=1.5, spend_sigma=0.6)
RHYTHM = Rhythm(
    weekdays=(0.9, 0.9, 0.95, 1.0, 1.15, 1.3, 0.8),
    months=(0.9, 0.9, 0.95, 1.0, 1.0, 1.0, 0.95, 0.9, 1.0, 1.05, 1.1, 1.3),
    hours=(0, 0, 0, 0, 0, 0, 0, 0, 2, 4, 6, 7, 8, 7, 6, 7, 8, 9, 8, 4, 2, 0, 0, 0),
)
CITIES = ("Lisbon", "Lyon", "Graz", "Gdańsk", "Turin", "Ghent", "Cork", "Bergen")
VALUE, VALUE_SPREAD = 3200, 0.7
"""Mean of a sale in minor units, and the spread of its logarithm."""
DAYS_VALID = 90.0
FOREVER = 2**40
AT_HOME = 0.8
"""Chance that a customer buys in the store next door."""

SOLD = (
    Recipe("duplicate", FLAG, changed(SALES, {}), 3000, "duplicate"),
    Recipe("no_customer", FLAG, changed(SALES, {"idx": ""}, "sale_idx", "9"), 5000, "no_customer"),
    Recipe("zero_price", FLAG, changed(SALES, {"value": "0.00"}, "sale_idx", "8"), 1000, "zero_price"),
    Recipe("negative_price", FLAG, changed(SALES, {"value": "-3.50"}, "sale_idx", "7"), 200, "negative_price"),
    *unreadable(SALES, "sold_at", "value", "store_idx", "€"),
    Recipe("missing_sale", REJECT, broken(SALES, {"sale_idx": ""}), 50, column="sale_idx"),
)
LATE = (Recipe("no_customer", FLAG, changed(SALES, {"idx": ""}, "sale_idx", "6"), 1, "no_customer"),)
"""What a resent file holds besides what it repeats."""
ACTIVE = (
    *unreadable(ACTIVITY, "valid_from", None, "scd_b"),
    Recipe("missing_customer", REJECT, broken(ACTIVITY, {"idx": ""}), 50, column="idx"),
)
PROFILED = (
    *unreadable(PROFILES, "", None, "attr_b"),
    Recipe("missing_customer", REJECT, broken(PROFILES, {"idx": ""}), 50, column="idx"),
)
LABELLED = (
    *unreadable(LABELS, "", None, "idx"),
    Recipe("text_label", REJECT, broken(LABELS, {"label": "yes"}), 50, column="label"),
    Recipe("missing_label", REJECT, broken(LABELS, {"label": ""}), 50, column="label"),
)
HOUSES = (
    *unreadable(STORES, "", None, "name"),
    Recipe("missing_store", REJECT, broken(STORES, {"store_idx": ""}), 50, column="store_idx"),
)


class ClientFiles(Shop):
    """Customers with attributes and a label, and their purchases in a few stores."""

    preset = "client_and_sales"
    rhythm = RHYTHM

    @cached_property
    def people(self) -> Customers:
        """The customers."""
        return population(self.customers, HABITS, self.factors, FIRST_CUSTOMER, stream(self.seed, "customers"))

    @cached_property
    def mailings(self) -> tuple[Campaign, ...]:
        """The campaigns."""
        return campaigns(self.people, self.days, stream(self.seed, "campaigns"))

    @cached_property
    def store_count(self) -> int:
        """How many stores there are: one for a hundred customers within 8 to 60."""
        return int(np.clip(self.customers // 100, 8, 60))

    @cached_property
    def home(self) -> np.ndarray:
        """The store next door to each customer, an index."""
        return stream(self.seed, "homes").integers(0, self.store_count, self.customers)

    @cached_property
    def activity(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Customer's index, first day, day after the last (FOREVER: still valid), scd_a and scd_b of each
        interval.

        Ordered by customer and time; a customer's intervals touch, and the last one is open.
        """
        rng = stream(self.seed, "activity")
        arrived = self.people.arrived
        changes = rng.poisson(np.maximum(self.days - 1 - arrived, 0) / DAYS_VALID)
        customer = np.concatenate((np.arange(self.customers), np.repeat(np.arange(self.customers), changes)))
        room = self.days - arrived[customer[self.customers :]]
        later = arrived[customer[self.customers :]] + 1 + (rng.random(len(room)) * (room - 1)).astype(np.int64)
        day = np.concatenate((arrived, later))
        # Two changes on one day are one change.
        key = np.unique(customer * 2**32 + day + 2**31)
        customer, day = key // 2**32, key % 2**32 - 2**31
        goes_on = np.diff(customer, append=-1) == 0
        until = np.where(goes_on, np.append(day[1:], 0), FOREVER)
        return (
            customer,
            day,
            until,
            rng.integers(0, 10_000, len(key)),
            np.rint(rng.normal(0, 100, len(key))).astype(np.int64),
        )

    @cached_property
    def attributes(self) -> Attributes:
        """What the label depends on."""
        rng = stream(self.seed, "attributes")
        customer, _, _, scd_a, _ = self.activity
        latest = np.flatnonzero(np.diff(customer, append=-1))
        number = np.rint(rng.normal(0, 100, self.customers)).astype(np.int64)
        return Attributes(number, weighted(label_model.LETTER_SHARES, self.customers, rng), scd_a[latest])

    @cached_property
    def labels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """True probability, label, a label of pure noise, and the constant of the log-odds."""
        rng = stream(self.seed, "labels")
        odds = label_model.scores(self.attributes)
        constant = label_model.intercept(odds, label_model.POSITIVE_SHARE)
        chance = label_model.probability(odds + constant)
        noise = rng.random(self.customers) < label_model.POSITIVE_SHARE
        return (
            chance,
            (rng.random(self.customers) < chance).astype(np.int64),
            noise.astype(np.int64),
            constant,
        )

    @cached_property
    def sales(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Customer's index, store's index, day, second and value in minor units of each sale, in order of
        time.
        """
        rng = stream(self.seed, "sales")
        who = [
            comers(self.people, day, factor, boost(self.mailings, day, self.customers), rng)
            for day, factor in enumerate(self.factors)
        ]
        customer = np.concatenate(who).astype(np.int64)
        day = np.repeat(np.arange(self.days), [len(one) for one in who])
        second = seconds_of_day(np.array(RHYTHM.hours), len(customer), rng)
        stranger = rng.random(len(customer)) > AT_HOME
        store = np.where(stranger, rng.integers(0, self.store_count, len(customer)), self.home[customer])
        spread = np.exp(rng.normal(-(VALUE_SPREAD**2) / 2, VALUE_SPREAD, len(customer)))
        value = np.maximum(np.rint(VALUE * spread * self.people.spend_level[customer]), 1).astype(np.int64)
        order = np.lexsort((second, day))
        return customer[order], store[order], day[order], second[order], value[order]

    def sheets(self) -> list[Sheet]:
        """Return the tables, a file of sales for each day that has some, and one that repeats a day's."""
        bounds = np.searchsorted(self.sales[2], np.arange(self.days + 1))
        sizes = np.diff(bounds)
        traded = np.flatnonzero(sizes)
        busiest = int(sizes.argmax())
        files = [
            Sheet("customer_activity/customer_activity.csv", ACTIVITY, v.CUSTOMER_ACTIVITY, self._active, ACTIVE),
            Sheet("customer_profiles/customer_profiles.csv", PROFILES, v.CUSTOMERS, self._profiled, PROFILED),
            Sheet("labels/labels.csv", LABELS, v.LABELS, self._labelled, LABELLED),
        ]
        for day in traded.tolist():
            path = f"sales/{self.start + timedelta(day)}"
            rows = (int(bounds[day]), int(bounds[day + 1]))
            blocks = self._sold(*rows)
            least, is_cut = int(day == busiest), day == traded[-1]
            files.append(Sheet(f"{path}.csv", SALES, v.ORDER_LINES, blocks, SOLD, least, rows[0], is_cut))
            if day == busiest:
                again = self._sold(rows[0] + int(sizes[day]) // 2, rows[1])
                files.append(Sheet(f"{path}_resent.csv", SALES, v.ORDER_LINES, again, LATE, is_resent=True))
        files.append(Sheet("stores/stores.csv", STORES, v.STORES, self._houses, HOUSES))
        return files

    def _active(self) -> Iterator[Block]:
        customer, day, until, scd_a, scd_b = self.activity
        for low in range(0, len(customer), BLOCK):
            rows = slice(low, low + BLOCK)
            ended = until[rows] != FOREVER
            ends = np.where(ended, until[rows], day[rows])
            midnight = np.zeros(len(ends), dtype=np.int64)
            yield block_of(
                [
                    rendering.integers(self.people.customer_id[customer[rows]]),
                    rendering.moments(self.start, day[rows], midnight),
                    rendering.only(ended, rendering.moments(self.start, ends, midnight)),
                    rendering.fractions(scd_a[rows]),
                    rendering.money(scd_b[rows]),
                ]
            )

    def _profiled(self) -> Iterator[Block]:
        letters = pa.array(LETTERS)
        for low in range(0, self.customers, BLOCK):
            rows = slice(low, low + BLOCK)
            yield block_of(
                [
                    rendering.integers(self.people.customer_id[rows]),
                    rendering.money(self.attributes.number[rows]),
                    rendering.pick(letters, self.attributes.letter[rows]),
                ]
            )

    def _labelled(self) -> Iterator[Block]:
        for low in range(0, self.customers, BLOCK):
            rows = slice(low, low + BLOCK)
            yield block_of(
                [
                    rendering.integers(self.people.customer_id[rows]),
                    rendering.integers(self.labels[1][rows]),
                ]
            )

    def _houses(self) -> Iterator[Block]:
        numbers = range(self.store_count)
        cities = [CITIES[number % len(CITIES)] for number in numbers]
        names = [f"{city} {number // len(CITIES) + 1}" for number, city in zip(numbers, cities, strict=True)]
        size = stream(self.seed, "stores").integers(80, 2000, self.store_count)
        yield block_of(
            [
                rendering.integers(np.array(numbers) + 1),
                rendering.texts(names),
                rendering.texts(cities),
                rendering.integers(size),
            ]
        )

    def _sold(self, low: int, high: int) -> Callable[[], Iterator[Block]]:
        def text(some: np.ndarray | None) -> list[pa.Array]:
            at = np.arange(low, high) if some is None else low + some
            customer, store, day, second, value = (column[at] for column in self.sales)
            return [
                rendering.integers(at + 1),
                rendering.integers(store + 1),
                rendering.integers(self.people.customer_id[customer]),
                rendering.moments(self.start, day, second),
                rendering.money(value),
            ]

        return lambda: iter([Block(high - low, text)])

    def clean_totals(self) -> Totals:
        """Return sales and their amount, customers who bought, labels, and intervals still open."""
        customer, _, _, _, value = self.sales
        totals = Totals()
        totals.lines(v.SALE, len(value), int(value.sum()))
        totals.count(v.ORDER_LINES, "orders", len(value))
        totals.count(v.ORDER_LINES, "customers", len(np.unique(customer)))
        totals.count(v.LABELS, "positive", int(self.labels[1].sum()))
        totals.count(v.CUSTOMER_ACTIVITY, "customers", self.customers)
        return totals

    def add_planted(self, totals: Totals, fault: Fault) -> None:
        """Add a loadable sale; all but copies are sales of their own."""
        fields = fault.planted.fields
        if fields is not None:
            value = minor_units(fields[4])
            totals.lines(v.FREE if value == 0 else v.SALE, 1, value)
            totals.count(v.ORDER_LINES, "orders", fault.planted.fault != "duplicate")

    def world(self) -> dict[str, pa.Table]:
        """Return the truth about customers, the labels and what they follow, campaigns and days."""
        chance, label, noise, constant = self.labels
        people = customers_table(self.people, self.start).drop_columns(["segment"])
        return {
            "customers": people.append_column("label_probability", pa.array(chance)),
            "labels": pa.table(
                {
                    "customer_id": people["customer_id"],
                    "label_probability": chance,
                    "label": label,
                    "noise_label": noise,
                }
            ),
            "label_model": label_model.model_table(constant),
            "campaigns": campaigns_table(self.mailings, self.start),
            "exposures": exposures_table(self.mailings, self.people, self.start),
            "calendar": calendar_table(RHYTHM, self.start, self.days),
        }
