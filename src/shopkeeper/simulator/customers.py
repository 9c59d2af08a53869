"""Customers who arrive, buy as a Poisson process and die: who they are, and who comes on a day.

The population is Pareto/NBD: rates and death hazards are gamma distributed over customers, purchases are
Poisson and lifetimes exponential given them (Schmittlein, Morrison and Colombo, "Counting Your Customers",
Management Science 33, 1987). A customer's arrival is the first purchase, as in Fader, Hardie and Lee's
BG/NBD (Marketing Science 24, 2005).
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from shopkeeper.simulator.chance import weighted

FAR = 36_500
"""Days after which nobody cares who is still alive; keeps dates within the calendar."""


@dataclass(frozen=True)
class Habits:
    """What customers of a shop are like; rates and hazards per day, means over those who arrive.

    ``known_share``: the share that arrived in the ``days_before`` days before the period and still lives at
    its start. ``spend_sigma``: spread of the logarithm of the spend level.
    """

    rate: float
    rate_shape: float
    hazard: float
    hazard_shape: float
    spend_sigma: float = 0.4
    wholesale_share: float = 0.0
    known_share: float = 0.4
    days_before: int = 365


@dataclass(frozen=True)
class Customers:
    """The population, one element for each customer in every array.

    Days count from the period's start; ``arrived`` is negative for those known before, ``last_day`` is the
    last day alive. ``rate``: purchases (or visits) per average day; ``hazard``: deaths per day.
    """

    customer_id: np.ndarray
    arrived: np.ndarray
    last_day: np.ndarray
    rate: np.ndarray
    hazard: np.ndarray
    spend_level: np.ndarray
    is_wholesale: np.ndarray

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.customer_id)


def survivor_ages(count: int, habits: Habits, rng: np.random.Generator) -> np.ndarray:
    """Return ages in days of customers who are still alive, if arrivals were even over ``days_before``.

    The chance to survive an age a is (b / (b + a))^s for gamma hazards of shape s and rate b; its integral
    inverts.
    """
    scale = habits.hazard_shape / habits.hazard
    power = 1.0 - habits.hazard_shape
    low, high = scale**power, (scale + habits.days_before) ** power
    ages: np.ndarray = (low + rng.random(count) * (high - low)) ** (1.0 / power) - scale
    return ages


def population(count: int, habits: Habits, factors: np.ndarray, first_id: int, rng: np.random.Generator) -> Customers:
    """Return ``count`` customers of a period whose days are as busy as ``factors`` says.

    A survivor of age a has a gamma hazard of rate b + a: the gamma is conjugate to the exponential.
    ``hazard_shape`` must not be 1.
    """
    known = round(count * habits.known_share)
    ages = survivor_ages(known, habits, rng)
    arrived = np.concatenate((-1 - np.floor(ages), np.sort(weighted(factors, count - known, rng)))).astype(np.int64)
    age = np.maximum(-arrived, 0)
    hazard = rng.gamma(habits.hazard_shape, 1.0 / (habits.hazard_shape / habits.hazard + age))
    lifetime = rng.exponential(1.0 / np.maximum(hazard, 1.0 / FAR))
    wholesale = rng.random(count) < habits.wholesale_share
    return Customers(
        customer_id=first_id + np.arange(count),
        arrived=arrived,
        last_day=(np.maximum(arrived, 0) + np.minimum(lifetime, FAR)).astype(np.int64),
        rate=rng.gamma(habits.rate_shape, habits.rate / habits.rate_shape, count),
        hazard=hazard,
        spend_level=np.exp(rng.normal(-(habits.spend_sigma**2) / 2, habits.spend_sigma, count)),
        is_wholesale=wholesale,
    )


def comers(
    customers: Customers, day: int, factor: float, boost: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """Return who comes on a day, one index for each visit: each new arrival once, and the others at their
    rates.

    ``boost`` multiplies each customer's rate (a campaign's effect). The sum of independent Poisson
    processes is Poisson, and each of its points belongs to a customer in proportion to the rate.
    """
    if factor <= 0:
        return np.empty(0, dtype=np.int64)
    alive = (customers.arrived < day) & (customers.last_day >= day)
    rates = np.where(alive, customers.rate if boost is None else customers.rate * boost, 0.0)
    count = int(rng.poisson(rates.sum() * factor))
    new = np.flatnonzero(customers.arrived == day)
    return np.concatenate((new, weighted(rates, count, rng))) if count else new


def customers_table(customers: Customers, start: date, rate_name: str = "orders_per_day") -> pa.Table:
    """Return the truth about customers, one row each; dates are the shop's days.

    ``rate_name`` says what a rate counts.
    """

    def dates(days: np.ndarray) -> pa.Array:
        origin = (start - date(1970, 1, 1)) // timedelta(1)
        return pa.array((days + origin).astype(np.int32)).cast(pa.date32())

    return pa.table(
        {
            "customer_id": pa.array(customers.customer_id).cast(pa.string()),
            "segment": np.where(customers.is_wholesale, "wholesale", "retail"),
            "arrived_on": dates(customers.arrived),
            "died_on": dates(customers.last_day),
            rate_name: customers.rate,
            "death_hazard_per_day": customers.hazard,
            "spend_level": customers.spend_level,
        }
    )
