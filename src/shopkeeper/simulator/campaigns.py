"""Campaigns: who was written to, who was held out at random, and what it did."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
import pyarrow as pa

from shopkeeper.simulator.customers import Customers

WINDOW = 21
"""Days for which a campaign works, from the day after it is sent."""
CONTROL, TREATED = "control", "email"


@dataclass(frozen=True)
class Campaign:
    """One campaign: the day it is sent, the fraction by which it raises the purchase rate, and both arms.

    ``treated`` and ``control`` hold indices of customers.
    """

    campaign_id: str
    day: int
    uplift: float
    treated: np.ndarray
    control: np.ndarray


def campaigns(customers: Customers, days: int, rng: np.random.Generator) -> tuple[Campaign, ...]:
    """Return a campaign for each quarter (one at least), sent to a random half of the customers known by
    then.

    The shop does not know who is dead, so the dead are written to as well.
    """
    sent = range(min(days // 3, 30), days, 91)
    return tuple(_campaign(number + 1, day, customers, rng) for number, day in enumerate(sent))


def _campaign(number: int, day: int, customers: Customers, rng: np.random.Generator) -> Campaign:
    known = np.flatnonzero(customers.arrived < day)
    treated = rng.random(len(known)) < 0.5
    return Campaign(f"campaign-{number}", day, float(rng.uniform(0.4, 0.8)), known[treated], known[~treated])


def boost(all_campaigns: tuple[Campaign, ...], day: int, count: int) -> np.ndarray | None:
    """Return the factor on each customer's purchase rate on a day; None where no campaign works."""
    factors = None
    for one in all_campaigns:
        if one.day < day <= one.day + WINDOW:
            factors = np.ones(count) if factors is None else factors
            factors[one.treated] *= 1 + one.uplift
    return factors


def campaigns_table(all_campaigns: tuple[Campaign, ...], start: date) -> pa.Table:
    """Return the truth about campaigns, one row each: the window in which they work and the uplift as a
    fraction.
    """
    return pa.table(
        {
            "campaign_id": pa.array([one.campaign_id for one in all_campaigns], pa.string()),
            "works_from": pa.array([start + timedelta(one.day + 1) for one in all_campaigns], pa.date32()),
            "works_until": pa.array([start + timedelta(one.day + WINDOW) for one in all_campaigns], pa.date32()),
            "uplift": pa.array([one.uplift for one in all_campaigns], pa.float64()),
            "n_treated": pa.array([len(one.treated) for one in all_campaigns], pa.int64()),
            "n_control": pa.array([len(one.control) for one in all_campaigns], pa.int64()),
        }
    )


def exposures_table(all_campaigns: tuple[Campaign, ...], customers: Customers, start: date) -> pa.Table:
    """Return who was in which arm of which campaign, one row each, in the columns of the exposures'
    contract.
    """
    moment = pa.timestamp("us", "UTC")
    parts = [
        pa.table(
            {
                "campaign_id": pa.array([one.campaign_id] * len(who), pa.string()),
                "customer_id": pa.array(customers.customer_id[who]).cast(pa.string()),
                "arm": pa.array([arm] * len(who), pa.string()),
                "exposed_at": pa.array(
                    [datetime.combine(start + timedelta(one.day), time(7))] * len(who), pa.timestamp("us")
                ).cast(moment),
            }
        )
        for one in all_campaigns
        for arm, who in ((TREATED, one.treated), (CONTROL, one.control))
    ]
    empty = pa.schema(
        {"campaign_id": pa.string(), "customer_id": pa.string(), "arm": pa.string(), "exposed_at": moment}
    )
    return pa.concat_tables(parts) if parts else empty.empty_table()
