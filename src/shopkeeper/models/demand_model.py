"""Models of demand: which method forecasts which kind of series, and how far off it may be.

A model is fitted on rows of series (``demand_series``): it tries methods on rolling origins of that past, keeps for each group
the one that errs least, and calibrates intervals on the same origins. What it keeps is small: names, quantiles and boosted
trees. A row to score brings its own past, so a model answers for any later moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import conformal_quantile, squared_steps, wrmsse
from shopkeeper.models import demand_statistical as statistical
from shopkeeper.models.boosted_trees import unpacked
from shopkeeper.models.calendar import number_of, weekday_of
from shopkeeper.models.demand_boosted import LEAST_DAYS, fit_trees, forecast_trees
from shopkeeper.models.demand_hierarchy import WAYS, tree_of
from shopkeeper.models.demand_methods import BASELINE, METHODS, WEEK, Matrix, Past, moving_average
from shopkeeper.models.demand_series import PRODUCT
from shopkeeper.models.model import Model, State, array_of
from shopkeeper.models.promotions import LEAST_SHARE, Plan, Response, response_of
from shopkeeper.vocabulary import AS_OF

BOOSTED = "boosted"
RARE = "rare product"
"""The group of products with fewer open days with a sale than every 1.32nd: intermittent (Syntetos and Boylan 2005)."""
EVERY = 1.32
NOMINAL = 0.9
ORIGINS = 6
SPREAD_WEEKS = 13
LEAST_RESIDUALS = 300
LEAST_PAST = 14
ENDED_WEEKS = 26
AS_TOLD = "as_told"
LEAST_SPREAD = 0.05
LEAST_MORE, MOST_MORE = 0.25, 4.0
FLAT = ("croston", "sba", "tsb", "long_average", "moving_average", "exponential_average", BASELINE)
"""What competes for series that sell rarely: a weekday's or a trend's share of almost nothing is noise."""


@dataclass(frozen=True)
class Block:
    """Rows that share a moment and a calendar: the past of each series on open days, and which days ahead are open.

    ``plan``: the promotions of the open days, past and ahead, None where there are none; ``lift``: what they multiply demand
    by. A past with a lift is what would have sold without promotions.
    """

    past: Past
    opened_ahead: NDArray[np.bool_]
    price: Matrix
    days_to_holiday: Matrix
    holiday_ahead: Matrix
    groups: NDArray[np.str_]
    plan: Plan | None = None
    lift: Matrix | None = None

    @property
    def sold(self) -> Matrix:
        """What sold on the open days, promotions and all."""
        return self.past.units if self.lift is None else self.past.units * self.lift[:, : self.past.units.shape[1]]

    @property
    def lift_ahead(self) -> Matrix:
        """What promotions multiply demand by on the open days ahead (1 x 1 where there are none)."""
        return np.ones((1, 1)) if self.lift is None else self.lift[:, self.past.units.shape[1] :]

    def plain(self, response: Response | None) -> "Block":
        """Return the same without what promotions did, and with what they will do."""
        if self.plan is None or response is None:
            return self
        lift, days = response.lift(self.plan), self.past.units.shape[1]
        price = 1 + self.plan.share * (self.plan.price - 1)
        return replace(
            self,
            past=replace(self.past, units=self.past.units / lift[:, :days]),
            price=self.price / price[:, :days],
            lift=lift,
        )

    def until(self, at: int, until: int, opened_ahead: NDArray[np.bool_]) -> "Block":
        """Return what was known after ``at`` open days of the past, the days up to ``until`` being those ahead."""
        return Block(
            Past(self.past.units[:, :at], self.past.weekday[:at], self.past.weekday[at:until]),
            opened_ahead,
            self.price[:, :at],
            self.days_to_holiday[:, :at],
            self.days_to_holiday[:, at:until],
            self.groups,
            None if self.plan is None else self.plan.until(until),
            None if self.lift is None else self.lift[:, :until],
        )

    def of(self, chosen: NDArray[np.bool_]) -> "Block":
        """Return some of the rows."""
        return Block(
            replace(self.past, units=self.past.units[chosen]),
            self.opened_ahead,
            self.price[chosen],
            self.days_to_holiday[chosen],
            self.holiday_ahead[chosen],
            self.groups[chosen],
            None if self.plan is None else self.plan.of(chosen),
            None if self.lift is None else self.lift[chosen],
        )


@dataclass(frozen=True)
class Origin:
    """One rolling origin: which rows, what was known of them, what came, and what the trees said."""

    rows: NDArray[np.int64]
    known: Block
    actual: Matrix
    of_trees: Matrix
    told: Matrix
    whole: "Origin | None" = None

    def of(self, chosen: NDArray[np.bool_]) -> "Origin":
        """Return the part of some rows; those that had not sold yet are left out, for nothing can be said of them."""
        chosen = chosen & self.known.past.units.any(axis=1)
        return Origin(
            self.rows[chosen],
            self.known.of(chosen),
            self.actual[chosen],
            self.of_trees[chosen],
            self.told[chosen],
            self,
        )

    def into(self, told: Matrix) -> None:
        """Write what a method says of these rows into the origin they are a part of."""
        if self.whole is not None:
            self.whole.told[self.rows] = alive(told, self.known.past)

    def error(self, told: Matrix, weights: NDArray[np.float64]) -> float:
        """Return WRMSSE of forecasts of these rows; ``weights`` of all rows."""
        if not len(self.rows):
            return 0.0
        told = alive(told, self.known.past)
        weight = weights[self.rows] if weights[self.rows].sum() > 0 else np.ones(len(self.rows))
        return wrmsse(self.actual, told, squared_steps(self.known.past.units), weight)


class Demand(Model):
    """Daily demand of many series, each group by the method that suits it.

    Rows: one per series and moment; see ``Series.rows``. Parameters: ``horizon_days``; ``methods``: group → method (chosen
    on rolling origins where it is not named); ``extra``: further slow methods to try. Scores: ``units``, a list with a value
    for each day ahead, 0 on closed days; ``quantile`` and ``week_quantile``, of each day and each whole week ahead: how many
    sizes nine in ten errors are below; ``spread`` and ``usual``, of which ``sizes`` makes the size of an error; ``method``;
    ``lift``: what promotions planned for each day multiply its units by.
    """

    name: ClassVar[str] = "best_per_level"

    def __init__(self, *, seed: int = 0, **parameters: Any) -> None:
        super().__init__(seed=seed, **parameters)
        self.horizon = int(parameters.get("horizon_days", 28))
        self.methods: dict[str, str] = {}
        self.tried: dict[str, dict[str, float]] = {}
        self.daily: dict[str, NDArray[np.float64]] = {}
        self.weekly: dict[str, NDArray[np.float64]] = {}
        self.trees: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.way = AS_TOLD
        self.agreed: dict[str, float] = {}
        self.response: Response | None = None
        self.promoted: dict[str, float] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """See ``Model.columns``."""
        return (
            *("level", "series", AS_OF, "units", "price", "days_to_holiday", "open_ahead"),
            *("promoted_share", "promoted_price"),
        )

    @property
    def target(self) -> tuple[str, ...]:
        """See ``Model.target``."""
        return ("weight", "parent")

    def candidates(self, group: str, n: int) -> list[str]:
        """Return the methods that compete for a group of ``n`` series, the baseline first."""
        named = self.parameters.get("methods", {}).get(group)
        if named:
            return list(dict.fromkeys([BASELINE, named]))
        if group == RARE:
            return list(dict.fromkeys([BASELINE, *FLAT]))
        found = [*METHODS, BOOSTED]
        if n <= statistical.MOST_SERIES:
            found += [*statistical.QUICK, *self.parameters.get("extra", [])]
        return found

    def _fit(self, rows: pa.Table) -> None:
        latest = rows.filter(_is_latest(rows))
        latest = latest.sort_by([("level", "ascending"), ("series", "ascending")])
        block = _blocks(latest, self.horizon)[0][1]
        weights = np.asarray(latest["weight"].to_numpy(), np.float64)
        # A day ahead is one of the record here: origins lie within it, and what was closed is known.
        days, offsets = block.past.units.shape[1], _open_places(latest)
        self.tried, self.methods, self.daily, self.weekly = {}, {}, {}, {}
        origins = self._origins(offsets, days)
        self.response, self.promoted = self._respond(block, origins)
        block = block.plain(self.response)
        groups, counts = np.unique(block.groups, return_counts=True)
        wanted = {str(group): self.candidates(str(group), int(n)) for group, n in zip(groups, counts, strict=True)}
        before = origins[-1][0]
        if before < LEAST_DAYS:
            wanted = {group: [name for name in names if name != BOOSTED] for group, names in wanted.items()}
        uses_trees = any(BOOSTED in names for names in wanted.values())
        self.trees = self._trees(block, before, wanted) if uses_trees else np.zeros(0, np.uint8)
        tested = [_origin(block, at, until, offsets[at:until] - moment) for at, until, moment in origins]
        by_trees = np.isin(block.groups, [group for group, names in wanted.items() if BOOSTED in names])
        if by_trees.any():
            # All their series at once: most of the time goes into starting.
            for test in tested:
                test.of_trees[by_trees] = self._forecast(BOOSTED, test.known.of(by_trees))
        for group, names in wanted.items():
            parts = [test.of(block.groups == group) for test in tested]
            told = {name: [self._told(name, part) for part in parts] for name in names}
            self.tried[group] = {
                name: float(np.mean([part.error(each, weights) for part, each in zip(parts, forecasts, strict=True)]))
                for name, forecasts in told.items()
            }
            self.methods[group] = self._choose(self.tried[group])
            for part, each in zip(parts, told[self.methods[group]], strict=True):
                part.into(each)
        self._agree(latest, tested, weights)
        for group in wanted:
            self._calibrate(group, [test.of(block.groups == group) for test in tested])
        # The trees that were judged had not seen the origins; those that serve have.
        self.trees = (
            self._trees(block, days, {one: [name] for one, name in self.methods.items()})
            if BOOSTED in self.methods.values()
            else np.zeros(0, np.uint8)
        )

    def _respond(
        self, block: Block, origins: Sequence[tuple[int, int, int]]
    ) -> tuple[Response | None, dict[str, float]]:
        """Return how promotions lift demand, None where there are none or past ones did not as assumed; and what was seen.

        Judged on the promoted days of the origins by each product's moving average, with what was learnt before them.
        """
        if block.plan is None or self.name == BASELINE:
            return None, {}
        is_product = np.isin(block.groups, (PRODUCT, RARE))
        chosen = is_product if is_product.any() else np.ones_like(is_product)
        plan, block = block.plan.of(chosen), block.of(chosen)
        days = block.past.units.shape[1]
        response = response_of(block.past, plan.until(days))
        first = origins[-1][0]
        known = block.until(first, first, block.opened_ahead[:0])
        early = response_of(known.past, plan.until(first))
        error, n_judged = {True: 0.0, False: 0.0}, 0
        for at, until, _ in origins:
            promoted = plan.share[:, at:until] >= LEAST_SHARE
            n_judged += int(promoted.sum())
            scale = np.maximum(squared_steps(block.past.units[:, :at]), LEAST_SPREAD)[:, None]
            for with_plan in error:
                part = block.plain(early if with_plan else None).until(at, until, block.opened_ahead)
                told = alive(moving_average(part.past) * part.lift_ahead, part.past)
                error[with_plan] += float(((block.past.units[:, at:until] - told) ** 2 / scale)[promoted].sum())
        seen = {
            "elasticity": response.elasticity,
            "lift_beyond_price": float(np.exp(response.beyond_price)),
            "n_promoted_days": float(response.n_days),
            "n_judged_days": float(n_judged),
            "error_ratio": (error[True] / error[False]) ** 0.5 if error[False] > 0 else 1.0,
        }
        return (response if error[True] <= error[False] else None), seen

    def _choose(self, tried: Mapping[str, float]) -> str:
        named = [name for name in tried if name != BASELINE]
        best = min(named, key=lambda name: float(f"{tried[name]:.5g}"), default=BASELINE)
        return best if tried[best] < tried[BASELINE] else BASELINE

    def _origins(self, places: NDArray[np.int64], days: int) -> list[tuple[int, int, int]]:
        """Return rolling origins, the latest first: open days known, open days until the end, and the day of the record.

        They are a week apart and look as far ahead as the model shall, at most a third of the record.
        """
        length = int(places[-1]) + 1
        ahead = max(min(self.horizon, length // 3), 1)
        found: list[tuple[int, int, int]] = []
        for back in range(ORIGINS):
            moment = length - ahead - WEEK * back
            at, until = int(np.searchsorted(places, moment)), int(np.searchsorted(places, moment + ahead))
            if at < LEAST_PAST or (found and moment < length // 3):
                break
            if until > at:
                # All of a horizon may lie in a closed period, and say nothing.
                found.append((at, until, moment))
        if not found:
            raise ModelError(
                f"demand must be learnt from {LEAST_PAST} open days and those to be forecast; got {days} open days in "
                f"{length}. Wait for more, or shorten demand.horizon_days."
            )
        return found

    def _trees(self, block: Block, until: int, wanted: Mapping[str, Sequence[str]]) -> NDArray[np.uint8]:
        chosen = np.isin(block.groups, [group for group, names in wanted.items() if BOOSTED in names])
        known = Past(block.past.units[chosen, :until], block.past.weekday[:until], block.past.weekday[:0])
        return fit_trees(known, block.price[chosen, :until], block.days_to_holiday[chosen, :until], self.seed)

    def _forecast(self, name: str, block: Block) -> Matrix:
        return self._base(name, block) * block.lift_ahead

    def _base(self, name: str, block: Block) -> Matrix:
        """Return what a method says of the days ahead, were nothing planned for them."""
        if name in METHODS:
            return METHODS[name](block.past)
        if name == BOOSTED:
            return forecast_trees(self.trees, block.past, block.price, block.days_to_holiday, block.holiday_ahead)
        if name in statistical.NAMES:
            return statistical.forecast(name, block.past)
        raise ModelError(f"a method must be one of {', '.join([*METHODS, BOOSTED, *statistical.NAMES])}; got {name!r}.")

    def _told(self, name: str, part: "Origin") -> Matrix:
        return part.of_trees if name == BOOSTED else self._forecast(name, part.known)

    def _agree(self, rows: pa.Table, tested: Sequence["Origin"], weights: NDArray[np.float64]) -> None:
        """Choose the way in which levels are made to agree, and make the origins' forecasts agree."""
        level, key, parent = (np.array(rows[name].to_pylist(), np.str_) for name in ("level", "series", "parent"))
        self.agreed = {}
        tree = tree_of(level, key, parent)
        if tree is None or self.name == BASELINE:
            # Past days add up by themselves.
            self.way = AS_TOLD
            return
        named: str = self.parameters.get("way", "")
        ways: list[str] = [named] if named in WAYS else list(WAYS)
        told: dict[str, list[Matrix]] = {}
        for way in ways:
            told[way] = [WAYS[way](tree, test.told, self._variance(test)) for test in tested]
            errors = [
                np.mean(
                    [
                        test.of(level == each).error(forecast[test.of(level == each).rows], weights)
                        for each in np.unique(level)
                    ]
                )
                for test, forecast in zip(tested, told[way], strict=True)
            ]
            self.agreed[way] = float(np.mean(errors))
        self.way = min(ways, key=lambda way: float(f"{self.agreed[way]:.5g}"))
        for test, forecast in zip(tested, told[self.way], strict=True):
            test.told[:] = forecast

    @staticmethod
    def _variance(test: "Origin") -> NDArray[np.float64]:
        """Return how far off each series' forecasts were at an origin's own past: by its spread."""
        return spread_of(test.known.past) ** 2

    def _calibrate(self, group: str, parts: Sequence["Origin"]) -> None:
        """Keep, by weeks ahead, what nine in ten scaled errors stay below, and the errors' root mean square."""
        daily: list[list[NDArray[np.float64]]] = [[] for _ in range(-(-self.horizon // WEEK))]
        weekly: list[list[NDArray[np.float64]]] = [[] for _ in daily]
        for part in parts:
            size = sizes(part.told, spread_of(part.known.past), usual_of(part.known.past))
            errors = part.actual - part.told
            week = np.flatnonzero(part.known.opened_ahead) // WEEK
            for number in np.unique(week).tolist():
                of_week = week == number
                daily[number].append((errors[:, of_week] / size[:, of_week]).ravel())
                weekly[number].append(errors[:, of_week].sum(axis=1) / np.sqrt((size[:, of_week] ** 2).sum(axis=1)))
        self.daily[group], self.weekly[group] = _quantiles(daily), _quantiles(weekly)

    def _score(self, rows: pa.Table) -> pa.Table:
        n, weeks = rows.num_rows, self.horizon // WEEK
        units, quantile, week_quantile = np.zeros((n, self.horizon)), np.zeros((n, self.horizon)), np.zeros((n, weeks))
        spread, usual, lift = np.zeros(n), np.zeros(n), np.ones((n, self.horizon))
        method = np.full(n, BASELINE, dtype="<U40")
        naive_levels = self.parameters.get("naive_levels", [])
        for places, seen in _blocks(rows, self.horizon):
            block = seen.plain(self.response)
            opened = block.opened_ahead
            at_open = np.flatnonzero(opened)
            week = at_open // WEEK
            spread[places], usual[places] = spread_of(block.past), usual_of(block.past)
            for group in np.unique(block.groups).tolist():
                chosen = block.groups == group
                name = self.methods.get(group, BASELINE)
                where = places[chosen]
                # The naive knows of no plan: it was better as it stands.
                part = (seen if group in naive_levels else block).of(chosen)
                lift[np.ix_(where, at_open)] = part.lift_ahead
                units[np.ix_(where, at_open)] = alive(self._forecast(name, part), part.past)
                method[where] = name
                quantiles = self.daily.get(group, next(iter(self.daily.values())))
                of_weeks = self.weekly.get(group, next(iter(self.weekly.values())))
                quantile[np.ix_(where, at_open)] = quantiles[week]
                week_quantile[where] = of_weeks[:weeks]
        return pa.table(
            {
                "units": _as_lists(units),
                "quantile": _as_lists(quantile),
                "week_quantile": _as_lists(week_quantile),
                "spread": pa.array(spread),
                "usual": pa.array(usual),
                "method": pa.array(method.tolist(), pa.string()),
                "lift": _as_lists(lift),
            }
        )

    def _state(self) -> State:
        names = sorted(self.methods)
        return {
            "methods": self.methods,
            "tried": self.tried,
            "groups": names,
            "daily": np.stack([self.daily[name] for name in names]),
            "weekly": np.stack([self.weekly[name] for name in names]),
            "trees": self.trees,
            "way": self.way,
            "agreed": self.agreed,
            "response": None if self.response is None else asdict(self.response),
            "promoted": self.promoted,
        }

    def _restore(self, state: State) -> None:
        names, weeks = [str(name) for name in state["groups"]], -(-self.horizon // WEEK)
        daily, weekly = (array_of(state, name, len(names), weeks) for name in ("daily", "weekly"))
        self.methods = {str(group): str(name) for group, name in state["methods"].items()}
        self.tried = {
            str(group): {str(name): float(value) for name, value in each.items()}
            for group, each in state["tried"].items()
        }
        self.daily = dict(zip(names, daily, strict=True))
        self.weekly = dict(zip(names, weekly, strict=True))
        self.trees = array_of(state, "trees", -1).astype(np.uint8)
        if len(self.trees):
            unpacked(self.trees)  # it is read when it is asked; a broken one is refused now
        self.way = str(state["way"])
        self.agreed = {str(way): float(value) for way, value in state["agreed"].items()}
        told = state["response"]
        self.response = (
            None if told is None else Response(**{each.name: float(told[each.name]) for each in fields(Response)})
        )
        self.promoted = {str(name): float(value) for name, value in state["promoted"].items()}


class SeasonalNaive(Demand):
    """The baseline: every series sells what it sold on the last such weekday."""

    name: ClassVar[str] = BASELINE

    def candidates(self, group: str, n: int) -> list[str]:  # noqa: ARG002 - it is the same for all
        """Return the baseline alone."""
        return [BASELINE]


KINDS: Mapping[str, type[Demand]] = {kind.name: kind for kind in (Demand, SeasonalNaive)}
"""The models by name."""


def groups_of(levels: NDArray[np.str_], units: Matrix) -> NDArray[np.str_]:
    """Return the group of each series: its level; of products that sell rarely, ``rare product``.

    ``units``: on open days. Counted from the first sale on.
    """
    sold = units > 0
    begun = np.maximum.accumulate(sold, axis=1).sum(axis=1)
    is_rare = (levels == PRODUCT) & (sold.sum(axis=1) * EVERY < begun) | (levels == PRODUCT) & (begun == 0)
    return np.where(is_rare, RARE, levels)


def alive(told: Matrix, past: Past) -> Matrix:
    """Return forecasts that are never below zero, and zero for what has not sold in half a year."""
    sells = np.asarray((past.units[:, -ENDED_WEEKS * past.week :] > 0).sum(axis=1) > 0)
    return np.asarray(np.maximum(told, 0.0) * sells[:, None], np.float64)


def spread_of(past: Past) -> NDArray[np.float64]:
    """Return the size of a series' errors to calibrate by: the standard deviation of its last 13 weeks' open days.

    Not below what counts of its mean spread by chance (Poisson), be it the recent mean or that of the whole past.
    """
    recent = np.ascontiguousarray(past.units[:, -SPREAD_WEEKS * past.week :])
    mean = np.maximum(recent.mean(axis=1), np.ascontiguousarray(past.units).mean(axis=1))
    return np.asarray(np.maximum(np.sqrt(np.maximum(recent.var(axis=1), mean)), LEAST_SPREAD), np.float64)


def usual_of(past: Past) -> NDArray[np.float64]:
    """Return the mean of each series' last 13 weeks' open days."""
    return np.asarray(np.ascontiguousarray(past.units[:, -SPREAD_WEEKS * past.week :]).mean(axis=1))


def sizes(units: Matrix, spread: NDArray[np.float64], usual: NDArray[np.float64]) -> Matrix:
    """Return the size of the error to expect of each forecast (series x days): the spread of the past, and more where more
    is forecast than was usual, as counts spread with the square root of their mean.
    """
    more = np.clip(units / np.maximum(usual, LEAST_SPREAD)[:, None], LEAST_MORE, MOST_MORE)
    return np.asarray(spread[:, None] * np.sqrt(more))


def _quantiles(parts: Sequence[Sequence[NDArray[np.float64]]]) -> NDArray[np.float64]:
    """Return for each week ahead the 90 % quantile of absolute scaled errors; never less later.

    Weeks with few errors take those of all weeks; weeks without, those of the last week that has some.
    """
    every = np.concatenate([np.zeros(0), *(one for part in parts for one in part)])
    if not len(every):
        return np.ones(len(parts))
    found = np.empty(len(parts))
    for week, part in enumerate(parts):
        own = np.concatenate(part) if part else every[:0]
        used = own if len(own) >= LEAST_RESIDUALS else every
        found[week] = conformal_quantile(np.abs(used), NOMINAL)
    return np.asarray(np.maximum.accumulate(found))


def _is_latest(rows: pa.Table) -> pa.Array:
    moments = np.array(rows[AS_OF].cast(pa.date32()).cast(pa.int32()).to_numpy())
    if not len(moments):
        raise ModelError("demand must be learnt from one series or more; got none.")
    return pa.array(moments == moments.max())


def _open_places(rows: pa.Table) -> NDArray[np.int64]:
    """Return which days of the record are open, of rows that share a calendar."""
    return np.flatnonzero(np.asarray(rows["units"][0].values.is_valid()))


def _blocks(rows: pa.Table, horizon: int) -> list[tuple[NDArray[np.int64], Block]]:
    """Return the rows parted by moment and calendar, each with its places. Raises ModelError over rows that do not fit."""
    if not rows.num_rows:
        return []
    moments = rows[AS_OF].cast(pa.date32()).to_pylist()
    lists = {name: rows[name].combine_chunks() for name in ("units", "price", "days_to_holiday", "open_ahead")}
    lengths = {name: np.diff(np.asarray(each.offsets)) for name, each in lists.items()}
    parts: dict[tuple[Any, ...], list[int]] = {}
    flat = lists["units"].flatten()
    valid = np.asarray(flat.is_valid())
    starts = np.concatenate([[0], np.cumsum(lengths["units"])])
    ahead = np.asarray(lists["open_ahead"].flatten())
    ahead_starts = np.concatenate([[0], np.cumsum(lengths["open_ahead"])])
    for row, moment in enumerate(moments):
        mask = valid[starts[row] : starts[row + 1]].tobytes()
        coming = ahead[ahead_starts[row] : ahead_starts[row + 1]].tobytes()
        parts.setdefault((moment, mask, coming), []).append(row)
    levels = np.array(rows["level"].to_pylist(), np.str_)
    values = np.nan_to_num(np.asarray(flat.fill_null(0.0), np.float64))
    price, holiday = (np.asarray(lists[name].flatten(), np.float64) for name in ("price", "days_to_holiday"))
    found = []
    for (moment, mask, coming), numbers in parts.items():
        places = np.array(numbers, np.int64)
        opened, opened_ahead = np.frombuffer(mask, np.bool_), np.frombuffer(coming, np.bool_)
        days = len(opened)
        if len(opened_ahead) != horizon or not opened.any():
            raise ModelError(
                f"rows of demand must have an open day and say of {horizon} days ahead whether they are open; got "
                f"{len(opened_ahead)} as of {moment}. Train the model anew."
            )
        if (lengths["price"][places] != days).any() or (lengths["days_to_holiday"][places] != days + horizon).any():
            raise ModelError(
                f"rows of demand must have a price and a holiday for each day; those of {moment} have not."
            )
        plan = _plan(rows.take(pa.array(places)), opened, opened_ahead)
        weekday = weekday_of(number_of(moment) - days + np.arange(days + horizon))
        units = values[starts[places][:, None] + np.arange(days)][:, opened]
        price_starts = np.concatenate([[0], np.cumsum(lengths["price"])])[places][:, None]
        holiday_starts = np.concatenate([[0], np.cumsum(lengths["days_to_holiday"])])[places][:, None]
        holidays = holiday[holiday_starts + np.arange(days + horizon)]
        past = Past(units, weekday[:days][opened], weekday[days:][opened_ahead])
        found.append(
            (
                places,
                Block(
                    past,
                    opened_ahead,
                    price[price_starts + np.arange(days)][:, opened],
                    holidays[:, :days][:, opened],
                    holidays[:, days:][:, opened_ahead],
                    groups_of(levels[places], units),
                    plan,
                ),
            )
        )
    return found


def _plan(rows: pa.Table, opened: NDArray[np.bool_], opened_ahead: NDArray[np.bool_]) -> Plan | None:
    """Return what is planned for the open days of rows that share a calendar; None where they say nothing."""
    told = [rows[name].combine_chunks().flatten() for name in ("promoted_share", "promoted_price")]
    if not len(told[0]):
        return None
    is_open = np.concatenate([opened, opened_ahead])
    if {len(each) for each in told} != {rows.num_rows * len(is_open)}:
        raise ModelError(
            f"rows of demand must say of each day what is planned, or nothing; got {len(told[0])} values for "
            f"{rows.num_rows} rows of {len(is_open)} days. Train the model anew."
        )
    share, price = (np.asarray(each, np.float64).reshape(rows.num_rows, -1)[:, is_open] for each in told)
    return Plan(share, price)


def _origin(block: Block, at: int, until: int, ahead: NDArray[np.int64]) -> Origin:
    """Return a block as it was known after ``at`` open days, and what came until ``until``; ``ahead``: how many days each
    of those lay ahead.
    """
    opened = np.zeros(int(ahead[-1]) + 1, np.bool_)
    opened[ahead] = True
    actual = block.sold[:, at:until]
    known = block.until(at, until, opened)
    return Origin(np.arange(len(actual)), known, actual, np.zeros_like(actual), np.zeros_like(actual))


def _as_lists(values: Matrix) -> pa.Array:
    n, days = values.shape
    return pa.LargeListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int64) * days), pa.array(values.ravel()))
