"""Demand: how many units the shop, its countries, stores, categories and products will sell on the days ahead, and what to order.

The candidate ``best_per_level`` gives each level the method that erred least on rolling origins; the baseline is the seasonal
naive. See ``docs/model-demand.md``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import (
    WRMSSE,
    Candidate,
    Comparison,
    Figure,
    Report,
    ScaledErrors,
    compare_errors,
    figure_of,
    measure,
    scaled_errors,
    share_of,
    squared_steps,
)
from shopkeeper.models import demand_statistical as statistical
from shopkeeper.models.calendar import day_of, number_of
from shopkeeper.models.demand_hierarchy import WAYS, tree_of
from shopkeeper.models.demand_methods import BASELINE, Matrix, Past
from shopkeeper.models.demand_model import KINDS, RARE, Demand as DemandModel, SeasonalNaive, sizes
from shopkeeper.models.demand_series import LEVELS, PRODUCT, TOTAL, Series, series_of, weekdays
from shopkeeper.models.model import (
    Column,
    Hindsight,
    History,
    Model,
    PredictionTable,
    Subject,
    Trained,
    Trial,
)
from shopkeeper.models.seasonality import rhythm_of
from shopkeeper.models.stock_advice import Policy, advise, shelves_of
from shopkeeper.progress import Tell
from shopkeeper.vocabulary import AS_OF, DEMAND, PRODUCT_ID

WEEK = 7
HELD_OUT_DAYS, HELD_OUT_ORIGINS = 56, 4
SOLD_DAYS = 180
NORMAL_90 = 1.6448536269514722
"""Nine in ten normal errors are below so many standard deviations: bulk orders would blow up a root mean square."""
SHOWN_DAYS = 84
STEPS = 5
DAILY, WEEKLY = "daily", "weekly"
HINDSIGHT = "wape"
AS_OF_COLUMN = Column(AS_OF, pa.date32(), "the moment: what was known before this day")


@dataclass(frozen=True)
class Forecast:
    """What a model says of series: ``units`` and ``margin`` (series x days), levels made to agree, and by week."""

    units: Matrix
    margin: Matrix
    week_units: Matrix
    week_margin: Matrix
    week_spread: NDArray[np.float64]
    method: list[str]


@dataclass(frozen=True)
class Period:
    """The days by which models are judged: the series that had sold before it, and origins within it."""

    series: Series
    moment: date
    horizon: int

    @property
    def days(self) -> int:
        """How many days it has."""
        return self.series.calendar.end - number_of(self.moment)

    @cached_property
    def known(self) -> Series:
        """The series as they were known when it began."""
        return self.series.until(self.moment)

    @cached_property
    def scale(self) -> NDArray[np.float64]:
        """What errors are divided by: steps from day to day, open days alone, before the period."""
        return squared_steps(self.known.units[:, self.known.calendar.opened])

    @cached_property
    def origins(self) -> list[tuple[date, Series, pa.Table]]:
        """The moments from which models look ahead, a week or more apart; the same series at each."""
        step = max(WEEK, -(-self.days // HELD_OUT_ORIGINS // WEEK) * WEEK)
        found = []
        for ahead in range(0, self.days, step):
            moment = self.moment + timedelta(ahead)
            seen = self.series.until(moment) if ahead else self.known
            kept = np.isin(_names(seen), _names(self.known))
            found.append((moment, part := _part(seen, kept), part.rows(self.horizon)))
        return found

    def truth(self, moment: date) -> Matrix:
        """Return what sold on the days from an origin on (series x days); NaN on closed days and beyond the record."""
        kept = np.isin(_names(self.series), _names(self.known))
        start = number_of(moment) - self.series.calendar.first
        found = np.full((int(kept.sum()), self.horizon), np.nan)
        units = np.where(self.series.calendar.opened, self.series.units[kept], np.nan)[:, start : start + self.horizon]
        found[:, : units.shape[1]] = units
        return found


class Demand(Subject):
    """What will sell, day by day, and what to order; see ``docs/model-demand.md``.

    ``horizon_days`` ahead; ``levels``: which of total, country, store, category, product; ``country``: the shop's, for
    holidays; ``policy``: how orders are placed. The horizon stands in the recipe.
    """

    name: ClassVar[str] = DEMAND
    about: ClassVar[str] = "How many units will sell on each day ahead, in all and by product, and what to order when."
    rows: ClassVar[str] = "series"
    limits: ClassVar[tuple[str, ...]] = (
        "Not for a product without a sale: it has no past of its own, and stands in its category's forecast only.",
        "A yearly season is known only after a year of history; before, the run-up to a first Christmas is followed, not foreseen.",
        "Not for a promotion or a price that is not in the data yet: prices ahead are taken to stay as they are.",
        "A product's own forecast of a day is mostly an average: use weeks and the interval, not the day's number.",
        "The advice on stock takes lead times as configured, and errors of different weeks as independent.",
    )
    tables: ClassVar[tuple[PredictionTable, ...]] = (
        PredictionTable(
            "demand_forecasts",
            "one row per series, moment, frequency and open day or whole week ahead",
            ("level", "series", "frequency", "day", AS_OF),
            (
                AS_OF_COLUMN,
                Column("level", pa.string(), "total, country, store, category or product"),
                Column("series", pa.string(), "which one: the country, store, category or product; all for the total"),
                Column("frequency", pa.string(), "daily, or weekly: seven days from the moment on, and so forth"),
                Column("day", pa.date32(), "the day, or the first day of the week; closed days have no row"),
                Column("units", pa.float64(), "expected units; parts add up to what they are parts of"),
                Column("units_low", pa.float64(), "low end of the interval that holds the units with 90 %"),
                Column("units_high", pa.float64(), "high end of that interval"),
                Column("model", pa.string(), "the method that forecasts this series; seasonal_naive where none beat it"),
                Column("model_version", pa.string(), "its version in the registry, such as demand/3"),
            ),
        ),
        PredictionTable(
            "stock_advice",
            "one row per product sold in the last 180 days, store where inventory names one, and moment",
            (PRODUCT_ID, "store_id", AS_OF),
            (
                AS_OF_COLUMN,
                Column(PRODUCT_ID, pa.string(), "the product"),
                Column("store_id", pa.string(), "the store; all where no inventory tells"),
                Column("on_hand", pa.float64(), "units in stock at the moment; null where nobody tells"),
                Column("daily_demand", pa.float64(), "expected units a day, closed days counted, over the horizon"),
                Column("days_of_stock_left", pa.float64(), "days until stock runs out as expected; null where either is unknown"),
                Column("lead_time_demand", pa.float64(), "expected units until an order placed now arrives"),
                Column("lead_time_demand_sd", pa.float64(), "standard deviation of those units, the lead time's own included"),
                Column("reorder_point", pa.float64(), "units at or below which to order: enough for lead time and review period"),
                Column("order_up_to", pa.float64(), "units to fill up to"),
                Column(
                    "order_quantity",
                    pa.float64(),
                    "units to order now, 0 above the reorder point; where stock is unknown, what a review period sells",
                ),
                Column("reorder_now", pa.bool_(), "whether stock is at or below the reorder point; null where it is unknown"),
                Column("service_level", pa.float64(), "chance of not running out in a cycle, as configured"),
                Column("model", pa.string(), "the method that forecasts the product"),
                Column("model_version", pa.string(), "its version in the registry, such as demand/3"),
            ),
        ),
    )
    models: ClassVar[Mapping[str, Callable[[Path], Model]]] = {name: kind.load for name, kind in KINDS.items()}

    def __init__(
        self,
        *,
        horizon_days: int = 28,
        levels: Sequence[str] = LEVELS,
        country: str = "",
        policy: Policy | None = None,
    ) -> None:
        self.horizon_days = horizon_days
        self.levels = tuple(levels)
        self.country = country
        self.policy = policy or Policy()

    def lacks(self, history: History) -> str:
        """See ``Subject.lacks``."""
        return "" if history.first_day is not None and history.sale_lines().num_rows else "no sold line names a product"

    def train(
        self,
        history: History,
        *,
        parameters: Mapping[str, Any] | None = None,
        champion: Model | None = None,
        seed: int = 0,
        budget: float | None = None,
        tell: Tell,
    ) -> Trained:
        """Choose a method for each level on rolling origins before the held-out period, judge, and fit on everything.

        A recipe names the methods; without one all compete, and with a budget AutoARIMA does where series are few. Raises
        ModelError if nothing was sold, or the record is shorter than twice the horizon and four weeks.
        """
        recipe = dict(parameters or {}) if budget is None else {}
        tell(self.name, "reading the past", 0, STEPS)
        series = self._series(history, _moment(history))
        period = self._period(series)
        shape: dict[str, Any] = {"seed": seed, "horizon_days": self.horizon_days}
        named = {name: recipe[name] for name in ("methods", "way") if name in recipe}
        extra = [statistical.AUTO_ARIMA] if budget is not None and budget >= LEAST_BUDGET else []
        tell(self.name, "choosing methods", 1, STEPS)
        rows = period.origins[0][2]
        chosen = DemandModel(**shape, **named, **({"extra": extra} if extra else {})).fit(rows)
        baseline = SeasonalNaive(**shape).fit(rows)
        tell(self.name, "judging", 2, STEPS)
        notes = [series.note] if series.note else []
        if series.one_offs:
            notes.append(
                f"{series.one_offs} lines are one-off orders, each of more than three ordinary days of the whole shop: left out."
            )
        if series.censored:
            notes.append(f"{series.censored:,} product days were out of stock: their demand is estimated, not taken as zero.")
        report, losing = _judge(period, chosen, baseline, champion, series, seed, notes)
        tell(self.name, "fitting on everything", 3, STEPS)
        everything = series.rows(self.horizon_days)
        kept = {"methods": chosen.methods, "way": chosen.way}
        served = {**kept, "methods": {**chosen.methods, **dict.fromkeys(losing, BASELINE)}, "naive_levels": losing}
        model = DemandModel(**shape, **served).fit(everything)
        served_baseline = SeasonalNaive(**shape).fit(everything)
        tell(self.name, "looking ahead", 4, STEPS)
        report = _with_outlook(report, model, series, everything)
        trials = [
            Trial(name, {"level": group}, WRMSSE, value, 0.0)
            for group, tried in chosen.tried.items()
            for name, value in tried.items()
        ]
        return Trained(
            model=model,
            evaluated=chosen,
            baseline=served_baseline,
            report=report,
            parameters={"horizon_days": self.horizon_days, **kept},
            reference=_watched(model, everything),
            baseline_reference=_watched(served_baseline, everything),
            trials=trials if budget is not None else (),
        )

    def predict(
        self,
        model: Model,
        history: History,
        as_of: date,
        *,
        version: str,
        given: Mapping[str, pa.Table] | None = None,  # noqa: ARG002 - no subject comes before this one
    ) -> dict[str, pa.Table]:
        """Return ``demand_forecasts`` and ``stock_advice`` as of a moment; see ``Subject.predict``."""
        lines = history.sale_lines()
        series = self._series(history, as_of, lines)
        forecast = _forecast(model, series, series.rows(_horizon(model)))
        shown = _is_shown(series)
        forecasts, advice = self.tables
        return {
            forecasts.name: forecasts.check(_forecast_rows(series, forecast, shown, as_of, version)),
            advice.name: advice.check(self._advice(history, lines, series, forecast, shown, as_of, version)),
        }

    def watched(self, model: Model, history: History, as_of: date) -> pa.Table:
        """Return the series of a moment, with the logarithm of the mean forecast as ``score``."""
        return _watched(model, self._series(history, as_of).rows(_horizon(model)))

    def hindsight(self, model: Model, history: History, since: date) -> Hindsight | None:
        """Return what was said of the last whole horizon's total, and what sold; see ``Subject.hindsight``."""
        if history.last_day is None:
            return None
        moment = history.last_day + timedelta(1 - _horizon(model))
        if moment < since:
            return None
        period = Period(self._series(history, _moment(history)), moment, _horizon(model))
        _, seen, rows = period.origins[0]
        told = _forecast(model, seen, rows).units
        at, truth = int(np.flatnonzero(seen.level == TOTAL)[0]), period.truth(moment)
        known = np.isfinite(truth[at])
        if not known.any() or truth[at][known].sum() <= 0:
            return None
        return Hindsight(moment, HINDSIGHT, truth[at][known], told[at][known])

    def _series(self, history: History, as_of: date, lines: pa.Table | None = None) -> Series:
        return series_of(history, as_of, self.country, self.levels, lines)

    def _period(self, series: Series) -> Period:
        days, horizon = series.units.shape[1], self.horizon_days
        needed = 2 * horizon + 4 * WEEK
        if days < needed:
            raise ModelError(
                f"a history must span at least {needed} days to look {horizon} days ahead: four weeks to learn from and two "
                f"horizons, one to choose by and one to judge; got {days} days. Wait for more data, or shorten "
                f"demand.horizon_days."
            )
        length = max(horizon, min(HELD_OUT_DAYS, (days - horizon) // 4))
        return Period(series, series.end - timedelta(length), horizon)

    def _advice(
        self,
        history: History,
        lines: pa.Table,
        series: Series,
        forecast: Forecast,
        shown: NDArray[np.bool_],
        as_of: date,
        version: str,
    ) -> pa.Table:
        places = np.flatnonzero(shown & (series.level == PRODUCT))
        shelves = shelves_of(history.stock_days(), lines, series.key[places], as_of)
        columns = advise(shelves, forecast.units[places], forecast.week_spread[places], self.policy)
        n = len(shelves.product)
        method = np.array(forecast.method, np.str_)[places]
        rows = pa.table(
            {
                AS_OF: pa.array([as_of] * n, pa.date32()),
                PRODUCT_ID: pa.array(series.key[places][shelves.product].tolist(), pa.string()),
                **columns,
                "service_level": pa.array(np.full(n, self.policy.service_level)),
                "model": pa.array(method[shelves.product].tolist(), pa.string()),
                "model_version": pa.array([version] * n, pa.string()),
            }
        )
        return rows.sort_by([(PRODUCT_ID, "ascending"), ("store_id", "ascending")])


LEAST_BUDGET = 20.0
"""Seconds of search from which on AutoARIMA is tried: it takes several a series."""


def _moment(history: History) -> date:
    if history.last_day is None:
        raise ModelError("demand must be learnt from sold lines that name a product; there is none. Load order lines.")
    return history.last_day + timedelta(1)


def _horizon(model: Model) -> int:
    return int(model.parameters.get("horizon_days", 28))


def _names(series: Series) -> NDArray[np.str_]:
    return np.char.add(np.char.add(series.level, "\t"), series.key)


def _part(series: Series, kept: NDArray[np.bool_]) -> Series:
    return Series(
        series.level[kept],
        series.key[kept],
        series.parent[kept],
        series.units[kept],
        series.sales[kept],
        series.calendar,
        series.one_offs,
        series.censored,
        series.note,
    )


def _matrix(lists: pa.ChunkedArray, days: int) -> Matrix:
    return np.asarray(lists.combine_chunks().flatten(), np.float64).reshape(-1, days)


def _forecast(model: Model, series: Series, rows: pa.Table) -> Forecast:
    """Return what a model says of series, levels made to agree as it has learnt to."""
    horizon = _horizon(model)
    scores = model.score(rows)
    told = _matrix(scores["units"], horizon)
    spread, usual = (np.asarray(scores[name].to_numpy(), np.float64) for name in ("spread", "usual"))
    way = getattr(model, "way", "")
    tree = tree_of(series.level, series.key, series.parent)
    units = told
    if way in WAYS and tree is not None:
        units = WAYS[way](tree, told, spread**2)
        naive = np.isin(series.level, model.parameters.get("naive_levels", []))
        units[naive] = told[naive]
    weeks = horizon // WEEK
    quantile = _matrix(scores["quantile"], horizon)
    size = np.where(quantile > 0, sizes(units, spread, usual), 0.0)
    week_size = np.sqrt(_by_week(size**2, weeks))
    week_margin = week_size * (_matrix(scores["week_quantile"], weeks) if weeks else 0.0)
    # Without a whole week, days are taken to be independent.
    of_week = week_margin.mean(axis=1) if weeks else np.sqrt(WEEK) * (size * quantile).mean(axis=1)
    return Forecast(
        units,
        size * quantile,
        _by_week(units, weeks),
        week_margin,
        of_week / NORMAL_90,
        scores["method"].to_pylist(),
    )


def _by_week(values: Matrix, weeks: int) -> Matrix:
    """Return the sums of whole weeks (series x weeks)."""
    return np.asarray(values[:, : weeks * WEEK].reshape(len(values), weeks, WEEK).sum(axis=2))


def _is_shown(series: Series) -> NDArray[np.bool_]:
    """Return which series are published: all but products without a sale in the last 180 days."""
    return np.asarray((series.level != PRODUCT) | series.units[:, -SOLD_DAYS:].any(axis=1))


def _forecast_rows(
    series: Series, forecast: Forecast, shown: NDArray[np.bool_], as_of: date, version: str
) -> pa.Table:
    horizon = forecast.units.shape[1]
    opened = np.flatnonzero(series.calendar.ahead(horizon))
    start, places = number_of(as_of), np.flatnonzero(shown)
    level, key = (pa.array(names.tolist(), pa.string()) for names in (series.level, series.key))
    method = pa.array(forecast.method, pa.string())
    parts = []
    for frequency, units, margin, ahead in (
        (DAILY, forecast.units[np.ix_(places, opened)], forecast.margin[np.ix_(places, opened)], opened),
        (WEEKLY, forecast.week_units[places], forecast.week_margin[places], np.arange(horizon // WEEK) * WEEK),
    ):
        of = pa.array(np.repeat(places, len(ahead)))
        n = len(of)
        parts.append(
            pa.table(
                {
                    AS_OF: pa.array(np.full(n, start, np.int32)).cast(pa.date32()),
                    "level": level.take(of),
                    "series": key.take(of),
                    "frequency": pa.array([frequency] * n, pa.string()),
                    "day": pa.array(np.tile((start + ahead).astype(np.int32), len(places))).cast(pa.date32()),
                    "units": pa.array(units.ravel()),
                    "units_low": pa.array(np.maximum(units - margin, 0.0).ravel()),
                    "units_high": pa.array((units + margin).ravel()),
                    "model": method.take(of),
                    "model_version": pa.array([version] * n, pa.string()),
                }
            )
        )
    return pa.concat_tables(parts)


def _watched(model: Model, rows: pa.Table) -> pa.Table:
    """Return level and series with the logarithm of the mean forecast: lists of days are no columns to compare."""
    told = _matrix(model.score(rows)["units"], _horizon(model))
    return rows.select(["level"]).append_column("score", pa.array(np.log1p(told.mean(axis=1))))


@dataclass(frozen=True)
class _Judged:
    """What one contender said in the held-out period, over all origins."""

    errors: ScaledErrors
    total: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]
    inside: Mapping[str, tuple[int, int]]
    weeks_inside: Mapping[str, tuple[int, int]]
    first_week: Mapping[str, list[Any]]


def _held_out(period: Period, model: Model) -> _Judged:
    """Return how a model fares from each origin of the period on, its recipe and intervals being from before it."""
    n_weeks = -(-period.days // WEEK)
    weights = period.known.weights()
    sums, counts = np.zeros((len(period.scale), n_weeks)), np.zeros(n_weeks)
    total: list[list[NDArray[Any]]] = [[], [], []]
    inside: dict[str, list[int]] = {}
    weeks_inside: dict[str, list[int]] = {}
    shown: dict[str, list[Any]] = {name: [] for name in ("day", "actual", "units", "low", "high")}
    until = -1
    for moment, seen, rows in period.origins:
        forecast, truth = _forecast(model, seen, rows), period.truth(moment)
        ahead = (moment - period.moment).days + np.arange(period.horizon)
        weeks = np.minimum(ahead // WEEK, n_weeks - 1)
        found = scaled_errors(truth, forecast.units, period.scale, weights, np.append(weeks, n_weeks - 1)[:-1])
        sums[:, : found.sums.shape[1]] += found.sums
        counts[: len(found.counts)] += found.counts
        at = int(np.flatnonzero(seen.level == TOTAL)[0])
        known = np.isfinite(truth[at])
        for part, values in zip(total, (truth[at][known], forecast.units[at][known], weeks[known]), strict=True):
            part.append(values)
        _count_inside(inside, seen, truth, forecast.units, forecast.margin)
        sums_of_week, is_whole = _weekly(truth, period, moment, seen)
        _count_inside(weeks_inside, seen, np.where(is_whole, sums_of_week, np.nan), forecast.week_units, forecast.week_margin)
        for day in np.flatnonzero(known & (ahead > until)).tolist():
            shown["day"].append(day_of(number_of(moment) + day).isoformat())
            shown["actual"].append(float(truth[at, day]))
            shown["units"].append(float(forecast.units[at, day]))
            shown["low"].append(float(max(forecast.units[at, day] - forecast.margin[at, day], 0.0)))
            shown["high"].append(float(forecast.units[at, day] + forecast.margin[at, day]))
            until = int(ahead[day])
    return _Judged(
        ScaledErrors(sums, counts, weights),
        (np.concatenate(total[0]), np.concatenate(total[1]), np.concatenate(total[2])),
        {level: (n, of) for level, (n, of) in inside.items()},
        {level: (n, of) for level, (n, of) in weeks_inside.items()},
        shown,
    )


def _count_inside(found: dict[str, list[int]], seen: Series, truth: Matrix, units: Matrix, margin: Matrix) -> None:
    counted = np.isfinite(truth) & _is_shown(seen)[:, None]
    held = counted & (np.abs(np.nan_to_num(truth) - units) <= margin + 1e-9)
    for level in np.unique(seen.level).tolist():
        of = seen.level == level
        before = found.setdefault(level, [0, 0])
        before[0] += int(held[of].sum())
        before[1] += int(counted[of].sum())


def _weekly(truth: Matrix, period: Period, moment: date, seen: Series) -> tuple[Matrix, NDArray[np.bool_]]:
    """Return the sums of whole weeks ahead, and which of them the record holds whole."""
    del seen
    weeks = period.horizon // WEEK
    sums = _by_week(np.nan_to_num(truth), weeks)
    left = period.series.calendar.end - number_of(moment)
    return sums, (np.arange(1, weeks + 1) * WEEK <= left)[None, :]


def _judge(
    period: Period,
    chosen: DemandModel,
    baseline: DemandModel,
    champion: Model | None,
    series: Series,
    seed: int,
    notes: list[str],
) -> tuple[Report, list[str]]:
    """Return the report of the held-out period, and the levels that the seasonal naive serves, for it was better there."""
    ours, naive = _held_out(period, chosen), _held_out(period, baseline)
    level = period.known.level
    names = [str(each) for each in LEVELS if (level == each).any()]
    by_level = {
        each: tuple(float(one.errors.of(level == each).value()[0]) for one in (ours, naive)) for each in names
    }
    losing = [each for each, (mine, theirs) in by_level.items() if mine > theirs]
    for each in losing:
        mine, theirs = by_level[each]
        notes.append(
            f"The level {each} is served by the seasonal naive: WRMSSE {theirs:.3f} against {mine:.3f} in the held-out days. "
            f"Its forecasts need not add up with the others."
        )
    candidates = [_candidate(chosen, ours, seed), _candidate(baseline, naive, seed)]
    against_champion = _against(champion, chosen, ours, period, seed, notes) if champion is not None else None
    facts: dict[str, Any] = {
        "horizon_days": period.horizon,
        "origins": len(period.origins),
        "series": len(level),
        "open_days": int(series.calendar.opened.sum()),
        "levels_agree": chosen.way,
        "levels_agree_tried": dict(chosen.agreed),
        "wrmsse_by_level": {each: mine for each, (mine, _) in by_level.items()},
        "wrmsse_by_level_seasonal_naive": {each: theirs for each, (_, theirs) in by_level.items()},
        "interval_nominal": 0.9,
        "coverage_daily": {each: n / of for each, (n, of) in ours.inside.items() if of},
        "coverage_weekly": {each: n / of for each, (n, of) in ours.weeks_inside.items() if of},
        "methods": dict(chosen.methods),
        "validation": {group: dict(tried) for group, tried in chosen.tried.items()},
    }
    curves: dict[str, Any] = {"backtest": {**ours.first_week, "naive": naive.first_week["units"]}}
    total = series.units[series.level == TOTAL][0][series.calendar.opened]
    rhythm = rhythm_of(total, Past(total[None, :], weekdays(series, 0)[series.calendar.opened], np.zeros(0, np.int64)).week)
    if rhythm is not None:
        facts |= {"season_open_days": rhythm.period, "season_by_chance": rhythm.chance}
        curves["autocorrelation"] = {
            "lag": rhythm.lags.tolist(),
            "correlation": rhythm.correlation.tolist(),
            "bound": [rhythm.bound] * len(rhythm.lags),
        }
        curves["periodogram"] = {"period": rhythm.periods.tolist(), "power": rhythm.power.tolist()}
    last = period.moment + timedelta(period.days - 1)
    report = Report(
        subject=DEMAND,
        held_out=(period.moment, last),
        n_rows=int(sum(of for _, of in ours.inside.values())),
        primary=WRMSSE,
        chosen=chosen.name,
        baseline=baseline.name,
        candidates=candidates,
        against_baseline=compare_errors(
            ours.errors, naive.errors, names=(chosen.name, baseline.name), seed=seed
        ),
        against_champion=against_champion,
        curves=curves,
        facts=facts,
        notes=notes,
    )
    return report, losing


def _candidate(model: DemandModel, judged: _Judged, seed: int) -> Candidate:
    actual, told, weeks = judged.total
    figures: dict[str, Figure] = {WRMSSE: figure_of(judged.errors, seed=seed)}
    for metric, allowed in (("wape", actual.sum() > 0), ("mape", actual.min() > 0), ("rmse", True)):
        if allowed:
            figures[metric] = measure(metric, actual, told, groups=weeks, seed=seed)
    inside = [sum(each) for each in zip(*judged.inside.values(), strict=True)]
    figures["coverage"] = share_of(inside[0], inside[1])
    return Candidate(model.name, model.name == BASELINE, figures, {"methods": dict(model.methods)})


def _against(
    champion: Model, chosen: DemandModel, ours: _Judged, period: Period, seed: int, notes: list[str]
) -> Comparison | None:
    if champion.parameters.get("horizon_days") != period.horizon:
        notes.append(
            f"The champion could not be compared: it looks {champion.parameters.get('horizon_days')} days ahead, not "
            f"{period.horizon}."
        )
        return None
    if champion.has_seen(period.moment):
        notes.append(f"The champion {champion.name} could not be compared: it has learnt from days after {period.moment}.")
        return None
    try:
        theirs = _held_out(period, champion)
    except ModelError as error:
        notes.append(f"The champion could not be compared: {error}")
        return None
    return compare_errors(ours.errors, theirs.errors, names=(chosen.name, champion.name), seed=seed)


def _with_outlook(report: Report, model: DemandModel, series: Series, rows: pa.Table) -> Report:
    """Return the report with the total's last weeks and the days ahead."""
    from dataclasses import replace

    forecast = _forecast(model, series, rows)
    at = int(np.flatnonzero(series.level == TOTAL)[0])
    opened, ahead = series.calendar.opened, series.calendar.ahead(model.horizon)
    past = np.flatnonzero(opened)[-SHOWN_DAYS:]
    coming = np.flatnonzero(ahead)
    start, end = series.calendar.first, series.calendar.end
    units, margin = forecast.units[at][coming], forecast.margin[at][coming]
    gaps: list[Any] = [None] * len(past)
    curve = {
        "day": [day_of(start + int(one)).isoformat() for one in past] + [day_of(end + int(one)).isoformat() for one in coming],
        "actual": [*series.units[at][past].tolist(), *([None] * len(coming))],
        "units": [*gaps, *units.tolist()],
        "low": [*gaps, *np.maximum(units - margin, 0.0).tolist()],
        "high": [*gaps, *(units + margin).tolist()],
    }
    return replace(report, curves={**report.curves, "outlook": curve})


__all__ = ["RARE", "Demand"]
