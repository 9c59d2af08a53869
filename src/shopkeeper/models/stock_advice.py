"""What to order: how long stock lasts, from which level on to reorder, and up to how much.

The periodic-review policy (R, s, S) with normal or negative binomial demand over the lead time and the review period (Silver,
Pyke and Thomas 2017). The service level is the chance of not running out in one such cycle.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopkeeper.models.calendar import number_of
from shopkeeper.models.demand_methods import Matrix
from shopkeeper.models.demand_series import ALL

Numbers = NDArray[np.float64]
SHARE_DAYS = 90
PRIOR_UNITS = 5.0
"""How many units a shelf's share of its product is worth before it has sold any: as many as its store's share says."""
SMALL = 1e-9
AT_ONCE = 100_000


@dataclass(frozen=True)
class Policy:
    """How orders are placed: days until they arrive and their standard deviation, service level, days between reviews."""

    lead_days: float = 7.0
    lead_days_sd: float = 2.0
    service_level: float = 0.95
    review_days: float = 7.0


@dataclass(frozen=True)
class Shelves:
    """Products, in stores where they are known: place of the product, the store, its share of the product's demand, and
    what is on hand (NaN where nobody tells).
    """

    product: NDArray[np.int64]
    store: NDArray[np.str_]
    share: Numbers
    on_hand: Numbers


def shelves_of(stock: pa.Table, lines: pa.Table, products: NDArray[np.str_], as_of: date) -> Shelves:
    """Return the shelves of products as of a moment: one per product and store with inventory, else one per product.

    A product that no inventory names has one shelf ``all`` with nothing known on hand. Shares are of units sold in the last
    90 days, drawn towards the store's share of all.
    """
    n = len(products)
    nowhere = Shelves(np.arange(n), np.full(n, ALL), np.ones(n), np.full(n, np.nan))
    stock = stock.filter(pc.less(stock["day"].cast(pa.date32()), pa.scalar(as_of, pa.date32())))
    if not stock.num_rows or not n:
        return nowhere
    place = {name: number for number, name in enumerate(products.tolist())}
    product = np.array([place.get(name, -1) for name in stock["product_id"].to_pylist()])
    store = np.array(stock["store_id"].to_pylist(), np.str_)
    day = stock["day"].cast(pa.date32()).cast(pa.int32()).to_numpy()
    on_hand = np.asarray(stock["on_hand"].cast(pa.float64()).to_numpy(), np.float64)
    known = product >= 0
    product, store, day, on_hand = product[known], store[known], day[known], on_hand[known]
    names, code = np.unique(store, return_inverse=True)
    order = np.lexsort((day, code, product))
    shelf = (product * len(names) + code)[order]
    last = order[np.append(shelf[1:] != shelf[:-1], True)] if len(order) else order
    product, code, on_hand = product[last], code[last], on_hand[last]
    share = _shares(lines, place, names, product, code, as_of)
    without = np.setdiff1d(np.arange(n), product)
    return Shelves(
        np.concatenate([product, without]),
        np.concatenate([names[code], np.full(len(without), ALL)]),
        np.concatenate([share, np.ones(len(without))]),
        np.concatenate([on_hand, np.full(len(without), np.nan)]),
    )


def _shares(
    lines: pa.Table,
    place: Mapping[str, int],
    names: NDArray[np.str_],
    product: NDArray[np.int64],
    code: NDArray[np.int64],
    as_of: date,
) -> Numbers:
    """Return each shelf's share of its product's demand; those of a product add up to 1."""
    number = {name: one for one, name in enumerate(names.tolist())}
    day = lines["ordered_on"].cast(pa.date32()).cast(pa.int32()).to_numpy()
    recent = lines.filter(pa.array((day >= number_of(as_of) - SHARE_DAYS) & (day < number_of(as_of))))
    of_product = np.array([place.get(name, -1) for name in recent["product_id"].to_pylist()], np.int64)
    of_store = np.array([number.get(name, -1) for name in recent["store_id"].to_pylist()], np.int64)
    units = np.asarray(recent["quantity"].to_numpy(), np.float64)
    kept = (of_product >= 0) & (of_store >= 0)
    shelf, codes = of_product[kept] * len(names) + of_store[kept], product * len(names) + code
    keys, inverse = np.unique(np.concatenate([codes, shelf]), return_inverse=True)
    sums = np.bincount(inverse[len(codes) :], weights=units[kept], minlength=len(keys))
    sold = np.asarray(sums, np.float64)[inverse[: len(codes)]]
    by_store = np.bincount(of_store[kept], weights=units[kept], minlength=len(names)) + 1.0
    prior = by_store[code]
    within = np.bincount(product, weights=prior)
    weight = sold + PRIOR_UNITS * prior / within[product]
    return np.asarray(weight / np.bincount(product, weights=weight)[product])


def advise(shelves: Shelves, units: Matrix, week_spread: Numbers, policy: Policy) -> dict[str, Any]:
    """Return the columns of the advice for each shelf.

    ``units``: expected demand of each product on each day ahead (products x days); beyond them it is their mean.
    ``week_spread``: the standard deviation of the error of a week's forecast; errors of different weeks are taken to be
    independent. A shelf's demand is a share of its product's: its variance is share^2 x the product's plus what chance makes
    of the sharing (multinomial). A lead time that varies adds (demand per day x its standard deviation)^2.
    """
    share, product = shelves.share, shelves.product
    daily = units.mean(axis=1)
    cover = policy.lead_days + policy.review_days
    lead, both = (_expected(units, daily, days) for days in (policy.lead_days, cover))
    sds = [
        np.sqrt(
            share**2 * (week_spread[product] ** 2 * days / 7)
            + share * (1 - share) * mean[product]
            + (share * daily[product] * policy.lead_days_sd) ** 2
        )
        for mean, days in ((lead, policy.lead_days), (both, cover))
    ]
    expected = share * both[product]
    reorder_point = np.ceil(_quantile(expected, sds[1], policy.service_level) - SMALL) + 0.0
    target = reorder_point + np.ceil(share * daily[product] * policy.review_days - SMALL)
    per_day = share * daily[product]
    told = np.isfinite(shelves.on_hand)
    on_hand = np.where(told, shelves.on_hand, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        days_left = _days_left(np.maximum(on_hand, 0.0), share, product, units, daily)
    quantity = np.where(
        told,
        np.where(on_hand <= reorder_point, np.maximum(target - on_hand, 0.0), 0.0),
        np.ceil(per_day * policy.review_days - SMALL),
    )
    sells = per_day > SMALL
    return {
        "store_id": pa.array(shelves.store.tolist(), pa.string()),
        "on_hand": pa.array(on_hand, mask=~told),
        "daily_demand": pa.array(per_day),
        "days_of_stock_left": pa.array(np.where(sells, days_left, 0.0), mask=~(told & sells)),
        "lead_time_demand": pa.array(share * lead[product]),
        "lead_time_demand_sd": pa.array(sds[0]),
        "reorder_point": pa.array(np.where(sells, reorder_point, 0.0)),
        "order_up_to": pa.array(np.where(sells, target, 0.0)),
        "order_quantity": pa.array(np.where(sells, quantity, 0.0)),
        "reorder_now": pa.array((on_hand <= reorder_point) & sells, mask=~told),
    }


def _expected(units: Matrix, daily: Numbers, days: float) -> Numbers:
    """Return the demand of the first so many days, a part of a day included; beyond the forecast, its mean."""
    whole = min(int(days), units.shape[1])
    part = units[:, whole] * (days - whole) if whole < units.shape[1] else daily * (days - whole)
    return np.asarray(units[:, :whole].sum(axis=1) + part)


def _quantile(mean: Numbers, sd: Numbers, level: float) -> Numbers:
    """Return what demand stays below with the chance ``level``: negative binomial where counts spread, Poisson at least."""
    from scipy.special import betainc, nbdtrik

    variance = np.maximum(sd**2, mean * 1.0001 + SMALL)
    mean = np.maximum(mean, SMALL)
    size = mean**2 / (variance - mean)
    chance = size / (size + mean)
    found = np.maximum(np.ceil(nbdtrik(level, size, chance)), 0.0)
    # The least count at which the chance is reached: the inverse of a step may end one off.
    is_one_more = (found > 0) & (betainc(size, np.maximum(found, 1.0), chance) >= level)
    found -= is_one_more
    return np.asarray(found + (betainc(size, found + 1.0, chance) < level), np.float64)


def _days_left(on_hand: Numbers, share: Numbers, product: NDArray[np.int64], units: Matrix, daily: Numbers) -> Numbers:
    """Return on which day ahead stock runs out at the expected demand, a fraction of a day included."""
    sums = np.pad(np.cumsum(units, axis=1), ((0, 0), (1, 0)))
    wanted = on_hand / np.maximum(share, SMALL)
    found = np.empty(len(on_hand))
    for start in range(0, len(on_hand), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        of = product[some]
        place = (sums[of, 1:] < wanted[some, None]).sum(axis=1)
        lasts = place >= units.shape[1]
        day = np.minimum(place, units.shape[1] - 1)
        per_day = np.where(lasts, daily[of], units[of, day])
        found[some] = place + (wanted[some] - sums[of, place]) / np.maximum(per_day, SMALL)
    return found
