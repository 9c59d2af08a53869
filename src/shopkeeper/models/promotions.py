"""Promotions and prices known ahead: which series they touch on which days, and by how much they lift what is sold.

A promotion says what a product, a category or the whole shop will cost, or how much is taken off, from one day to another.
Forecasts are made of what sells without promotions, times the lift of those planned (base and lift: Blattberg and Neslin 1990,
*Sales Promotion*). The lift is learnt from the shop's own past promotions, as far as these say anything.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopkeeper.models.demand_methods import Matrix, Past

ALL = "all"
CATEGORY, PRODUCT, SHOP = "category", "product", "shop"
SPECIFIC = {SHOP: 0, CATEGORY: 2, PRODUCT: 4}
"""The most specific promotion counts; that of one store goes before that of all."""
RECENT_DAYS = 91
LEAST_PRICE, MOST_PRICE = 0.2, 5.0
AROUND_WEEKS = 4
LEAST_AROUND = 10
LEAST_SHARE = 0.2
FIRST_GUESS = np.array([-2.2, 0.0])
"""Elasticity and lift beyond it until the shop's own promotions tell: the median of 1,851 published price elasticities
(Bijmolt, van Heerde and Pieters 2005), and nothing."""
DOUBT = np.array([1.0, 0.3])
"""Standard deviations of that guess."""
LEAST_LIFT, MOST_LIFT = 0.1, 20.0
STEPS = 50
Codes = NDArray[np.int64]
_COLUMNS = {PRODUCT: "product_id", "store": "store_id", "country": "country"}


@dataclass(frozen=True)
class Plan:
    """What is planned for some series: ``share`` of each day's usual units under a promotion, and their ``price`` against
    the usual one (series x days; 0 and 1 where nothing is planned).
    """

    share: Matrix
    price: Matrix

    def of(self, chosen: NDArray[np.bool_]) -> "Plan":
        """Return some of the series."""
        return Plan(self.share[chosen], self.price[chosen])

    def until(self, day: int) -> "Plan":
        """Return the first so many days."""
        return Plan(self.share[:, :day], self.price[:, :day])


@dataclass(frozen=True)
class Response:
    """How demand answers to promotions: ``elasticity`` to their price, ``beyond_price`` (a logarithm) for being shown, and how
    many promoted product days taught it.
    """

    elasticity: float = float(FIRST_GUESS[0])
    beyond_price: float = float(FIRST_GUESS[1])
    n_days: float = 0.0

    def lift(self, plan: Plan) -> Matrix:
        """Return what a plan multiplies demand by (series x days)."""
        promoted = plan.price**self.elasticity * np.exp(self.beyond_price)
        return np.asarray(np.clip(1 + plan.share * (promoted - 1), LEAST_LIFT, MOST_LIFT), np.float64)


@dataclass(frozen=True)
class Promotions:
    """The promotions of a shop, and which of its cells (product, store, country) sold what when.

    ``first, last`` (days), ``announced`` (0: always known), ``price`` (NaN: none), ``discount`` and ``cells`` of each
    promotion, sorted so that of those for one cell the last counts. ``names``: of each level, the member that each cell
    belongs to; ``cell, day, units, paid`` of each sold line, by cell; ``start``: where the lines of each cell begin.
    """

    first: Codes
    last: Codes
    announced: Codes
    price: NDArray[np.float64]
    discount: NDArray[np.float64]
    cells: Sequence[Codes]
    names: Mapping[str, NDArray[np.str_]]
    cell: Codes
    day: Codes
    units: NDArray[np.float64]
    paid: NDArray[np.float64]
    start: Codes

    def plan(self, level: NDArray[np.str_], key: NDArray[np.str_], first: int, moment: int, horizon: int) -> Plan:
        """Return what was planned for series at a moment, from the ``first`` day to ``horizon`` days ahead.

        What was announced on the moment or later is not known yet.
        """
        days = moment - first + horizon
        share, price = np.zeros((len(level), days)), np.ones((len(level), days))
        known = np.flatnonzero((self.announced < moment) & (self.last >= first) & (self.first < moment + horizon))
        weight = self._weights(moment)
        rows_of = {each: _places(level, key, each, self.names[each]) for each in np.unique(level).tolist()}
        whole = {each: _sums(rows, weight, len(level)) for each, rows in rows_of.items()}
        ratio = {one: self._ratio(one, moment) for one in known.tolist()}
        for of_days, active in _alike(self.first[known] - first, self.last[known] - first, days):
            log_price = np.full(len(weight), np.nan)
            for one in known[active].tolist():
                log_price[self.cells[one]] = np.log(ratio[one])
            touched = np.flatnonzero(np.isfinite(log_price) & (weight > 0))
            for each, rows in rows_of.items():
                inside = touched[rows[touched] >= 0]
                of_plan = _sums(rows[inside], weight[inside], len(level))
                mean = _sums(rows[inside], weight[inside] * log_price[inside], len(level))
                found = np.flatnonzero(of_plan)
                share[np.ix_(found, of_days)] = (of_plan[found] / whole[each][found])[:, None]
                price[np.ix_(found, of_days)] = np.exp(mean[found] / of_plan[found])[:, None]
        return Plan(share, price)

    def _weights(self, moment: int) -> NDArray[np.float64]:
        """Return the units each cell sold lately; of a cell that did not, almost nothing of what it ever sold."""
        n, before = len(self.names[PRODUCT]), self.day < moment
        recent = before & (self.day >= moment - RECENT_DAYS)
        ever = np.bincount(self.cell[before], self.units[before], n)
        return np.asarray(np.bincount(self.cell[recent], self.units[recent], n) + 1e-9 * ever, np.float64)

    def _ratio(self, one: int, moment: int) -> float:
        """Return a promotion's price against the usual one: what most lines paid in the 91 days before it."""
        if not np.isfinite(self.price[one]):
            return float(np.clip(1 - self.discount[one], LEAST_PRICE, MOST_PRICE))
        places = [np.arange(self.start[each], self.start[each + 1]) for each in self.cells[one].tolist()]
        lines = np.concatenate([np.zeros(0, np.int64), *places])
        begin = min(int(self.first[one]), moment)
        lines = lines[(self.day[lines] < begin) & (self.paid[lines] > 0)]
        lately = lines[self.day[lines] >= begin - RECENT_DAYS]
        if not len(lines):
            return 1.0
        usual = float(np.median(self.paid[lately if len(lately) else lines]))
        return float(np.clip(self.price[one] / usual, LEAST_PRICE, MOST_PRICE))


def promotions_of(planned: pa.Table, lines: pa.Table, categories: NDArray[np.str_]) -> tuple[Promotions | None, str]:
    """Return the promotions of a shop, and what is to be said of those that do nothing; None where there are none.

    ``planned``: as ``History.promotions``; ``lines``: sold lines; ``categories``: of each line, its product's.
    """
    usable = planned.filter(planned["is_usable"])
    left_out = planned.num_rows - usable.num_rows
    notes = []
    if left_out:
        notes.append(
            f"Left out of the promotions: {left_out} that end before they start, take everything off, or name a price "
            f"without a product."
        )
    if not usable.num_rows or not lines.num_rows:
        return None, " ".join(notes)
    names = {name: pc.fill_null(lines[column], "unknown").combine_chunks() for name, column in _COLUMNS.items()}
    texts = {name: np.array(each.dictionary_encode().dictionary.to_pylist(), np.str_) for name, each in names.items()}
    codes = {name: each.dictionary_encode().indices.to_numpy().astype(np.int64) for name, each in names.items()}
    joined = (codes[PRODUCT] * len(texts["store"]) + codes["store"]) * len(texts["country"]) + codes["country"]
    _, at, cell = np.unique(joined, return_index=True, return_inverse=True)
    of_cell = {name: texts[name][codes[name][at]] for name in texts}
    of_cell |= {CATEGORY: categories[at], "total": np.full(len(at), ALL)}
    level, member, store = (np.array(usable[name].to_pylist(), np.str_) for name in ("level", "member", "store_id"))
    first, last = (_days(usable[name]) for name in ("starts_on", "ends_on"))
    price = np.asarray(usable["unit_price"].cast(pa.float64()).to_numpy(), np.float64)
    discount = np.nan_to_num(np.asarray(usable["discount_share"].cast(pa.float64()).to_numpy(), np.float64))
    always = ~np.asarray(usable["announced_on"].is_valid().to_numpy())
    announced = np.where(always, 0, _days(pc.fill_null(usable["announced_on"], usable["starts_on"])))
    specific = np.array([SPECIFIC[each] for each in level.tolist()]) + (store != ALL)
    # Of two for the same, the lower price is what customers pay.
    name = usable["promotion_id"].to_numpy()
    order = np.lexsort((name, last, first, discount, -np.nan_to_num(price), specific))
    cells = [_cells(of_cell, level[one], member[one], store[one]) for one in order.tolist()]
    if strange := sum(not len(each) for each in cells):
        notes.append(
            f"{strange} of {len(cells)} promotions are for a product, category or store that nothing was sold of."
        )
    by_cell = np.argsort(cell, kind="stable")
    n_lines = np.bincount(cell, minlength=len(at))
    return Promotions(
        first[order],
        last[order],
        announced[order],
        price[order],
        discount[order],
        cells,
        of_cell,
        cell[by_cell],
        _days(lines["ordered_on"])[by_cell],
        np.asarray(lines["quantity"].to_numpy(), np.float64)[by_cell],
        np.asarray(lines["unit_price"].to_numpy(), np.float64)[by_cell],
        np.concatenate([[0], np.cumsum(n_lines)]),
    ), " ".join(notes)


def _cells(names: Mapping[str, NDArray[np.str_]], level: str, member: str, store: str) -> Codes:
    """Return the cells that a promotion is for."""
    chosen = np.ones(len(names[PRODUCT]), np.bool_) if level == SHOP else names[level] == member
    return np.flatnonzero(chosen & (names["store"] == store) if store != ALL else chosen)


def response_of(past: Past, plan: Plan) -> Response:
    """Return how demand answered to the promotions of some products' past; the first guess where there were none.

    ``past``: open days; ``plan``: of the same. What a promoted day would have sold is the mean of the unpromoted days of the
    four weeks on either side, by weekday; the lift is fitted to promoted days by quasi-Poisson with a normal prior
    (``FIRST_GUESS``, ``DOUBT``), so that few promotions say little.
    """
    rows = np.flatnonzero((plan.share >= LEAST_SHARE).any(axis=1))
    units, share, price = past.units[rows], plan.share[rows], plan.price[rows]
    is_plain = share == 0
    factor = _weekday_factors(units, is_plain, past.weekday)
    reach = AROUND_WEEKS * past.week
    sold = _around(np.where(is_plain, units, 0.0), reach)
    room = _around(np.where(is_plain, factor, 0.0), reach)
    n_around = _around(is_plain.astype(np.float64), reach)
    base = sold / np.maximum(room, 1e-9) * factor
    used = (share >= LEAST_SHARE) & (n_around >= LEAST_AROUND) & (base > 0)
    if not used.any():
        return Response()
    found = _fitted(units[used], base[used], share[used], np.log(price[used]))
    return Response(float(found[0]), float(found[1]), float(used.sum()))


def _fitted(
    units: NDArray[np.float64], base: NDArray[np.float64], share: NDArray[np.float64], log_price: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return elasticity and lift beyond it: Fisher scoring, with the dispersion that the fit shows."""
    told, columns, dispersion = FIRST_GUESS.copy(), np.column_stack([log_price, np.ones(len(units))]), 1.0
    for _ in range(STEPS):
        promoted = np.exp(np.clip(columns @ told, np.log(LEAST_LIFT), np.log(MOST_LIFT)))
        mean = base * (1 + share * (promoted - 1))
        slope = columns * (base * share * promoted)[:, None]
        dispersion = max(float(((units - mean) ** 2 / mean).mean()), 1.0)
        information = (slope / mean[:, None]).T @ slope / dispersion + np.diag(DOUBT**-2)
        score = slope.T @ ((units - mean) / mean) / dispersion - (told - FIRST_GUESS) / DOUBT**2
        step = np.clip(np.linalg.solve(information, score), -0.5, 0.5)
        told = told + step
        if np.abs(step).max() < 1e-8:
            break
    return told


def _weekday_factors(units: Matrix, is_plain: NDArray[np.bool_], weekday: Codes) -> Matrix:
    """Return what each day's weekday sells against the mean day, of all series together (1 x days)."""
    sold = np.where(is_plain, units, 0.0).sum(axis=0)
    room = is_plain.sum(axis=0).astype(np.float64)
    of_week, of_room = (np.bincount(weekday, each, 7) for each in (sold, room))
    mean = sold.sum() / max(room.sum(), 1.0)
    # As if each weekday had been seen four more times at the mean: rare ones stay near 1.
    factor = (of_week + 4 * mean) / np.maximum((of_room + 4) * mean, 1e-9) if mean > 0 else np.ones(7)
    return np.asarray(factor[weekday][None, :], np.float64)


def _around(values: Matrix, reach: int) -> Matrix:
    """Return the sums of ``reach`` days on either side, and of the day itself."""
    summed = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    at = np.arange(values.shape[1])
    return np.asarray(summed[:, np.minimum(at + reach + 1, len(at))] - summed[:, np.maximum(at - reach, 0)])


def _alike(first: Codes, last: Codes, days: int) -> Iterator[tuple[Codes, Sequence[int]]]:
    """Yield days on which the same promotions hold, and which: in the order of the promotions."""
    edges = np.unique(np.clip(np.concatenate([first, last + 1, [0, days]]), 0, days))
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        active = np.flatnonzero((first <= start) & (last >= start)).tolist()
        if active:
            yield np.arange(start, stop), active


def _places(level: NDArray[np.str_], key: NDArray[np.str_], of: str, names: NDArray[np.str_]) -> Codes:
    """Return the row of the series that each cell belongs to on a level; -1 where there is none."""
    at = np.flatnonzero(level == of)
    order = at[np.argsort(key[at], kind="stable")]
    place = np.minimum(np.searchsorted(key[order], names), len(order) - 1)
    return np.where(key[order][place] == names, order[place], -1)


def _sums(rows: Codes, values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.asarray(np.bincount(rows[rows >= 0], values[rows >= 0], n), np.float64)


def _days(column: pa.ChunkedArray) -> Codes:
    return np.asarray(column.cast(pa.date32()).cast(pa.int32()).to_numpy(), np.int64)
