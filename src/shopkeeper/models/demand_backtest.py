"""How demand is judged: forecasts from origins in days that no model has seen, levels made to agree, against what sold."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any

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
from shopkeeper.models.calendar import day_of, number_of
from shopkeeper.models.demand_hierarchy import WAYS, tree_of
from shopkeeper.models.demand_methods import BASELINE, Matrix, Past
from shopkeeper.models.demand_model import Demand as DemandModel
from shopkeeper.models.demand_model import sizes
from shopkeeper.models.demand_series import LEVELS, PRODUCT, TOTAL, Series, weekdays
from shopkeeper.models.model import Model
from shopkeeper.models.seasonality import rhythm_of
from shopkeeper.vocabulary import DEMAND

WEEK = 7
HELD_OUT_ORIGINS = 4
SOLD_DAYS = 180
NORMAL_90 = 1.6448536269514722
"""Nine in ten normal errors are below so many standard deviations: bulk orders would blow up a root mean square."""
SHOWN_DAYS = 84


@dataclass(frozen=True)
class Forecast:
    """What a model says of series: ``units`` and ``margin`` (series x days), levels made to agree, and by week.

    ``lift``: what promotions multiply the units of each day by, and ``week_lift`` of each week.
    """

    units: Matrix
    margin: Matrix
    week_units: Matrix
    week_margin: Matrix
    week_spread: NDArray[np.float64]
    method: list[str]
    lift: Matrix
    week_lift: Matrix


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
            found.append((moment, part := seen.of(kept), part.rows(self.horizon)))
        return found

    def truth(self, moment: date) -> Matrix:
        """Return what sold on the days from an origin on (series x days); NaN on closed days and beyond the record."""
        kept = np.isin(_names(self.series), _names(self.known))
        start = number_of(moment) - self.series.calendar.first
        found = np.full((int(kept.sum()), self.horizon), np.nan)
        units = np.where(self.series.calendar.opened, self.series.units[kept], np.nan)[:, start : start + self.horizon]
        found[:, : units.shape[1]] = units
        return found


def horizon_of(model: Model) -> int:
    """Return how many days ahead a model looks."""
    return int(model.parameters.get("horizon_days", 28))


def _names(series: Series) -> NDArray[np.str_]:
    return np.char.add(np.char.add(series.level, "\t"), series.key)


def matrix(lists: pa.ChunkedArray, days: int) -> Matrix:
    """Return lists of so many numbers each as rows."""
    return np.asarray(lists.combine_chunks().flatten(), np.float64).reshape(-1, days)


def forecast_of(model: Model, series: Series, rows: pa.Table) -> Forecast:
    """Return what a model says of series, levels made to agree as it has learnt to."""
    horizon = horizon_of(model)
    scores = model.score(rows)
    told = matrix(scores["units"], horizon)
    spread, usual = (np.asarray(scores[name].to_numpy(), np.float64) for name in ("spread", "usual"))
    way = getattr(model, "way", "")
    tree = tree_of(series.level, series.key, series.parent)
    units = told
    if way in WAYS and tree is not None:
        units = WAYS[way](tree, told, spread**2)
        naive = np.isin(series.level, model.parameters.get("naive_levels", []))
        units[naive] = told[naive]
    weeks = horizon // WEEK
    quantile = matrix(scores["quantile"], horizon)
    size = np.where(quantile > 0, sizes(units, spread, usual), 0.0)
    week_size = np.sqrt(_by_week(size**2, weeks))
    week_margin = week_size * (matrix(scores["week_quantile"], weeks) if weeks else 0.0)
    # Without a whole week, days are taken to be independent.
    of_week = week_margin.mean(axis=1) if weeks else np.sqrt(WEEK) * (size * quantile).mean(axis=1)
    lift, week_units = matrix(scores["lift"], horizon), _by_week(units, weeks)
    plain = _by_week(units / lift, weeks)
    return Forecast(
        units,
        size * quantile,
        week_units,
        week_margin,
        of_week / NORMAL_90,
        scores["method"].to_pylist(),
        lift,
        np.divide(week_units, plain, out=np.ones_like(plain), where=plain > 0),
    )


def _by_week(values: Matrix, weeks: int) -> Matrix:
    """Return the sums of whole weeks (series x weeks)."""
    return np.asarray(values[:, : weeks * WEEK].reshape(len(values), weeks, WEEK).sum(axis=2))


def is_shown(series: Series) -> NDArray[np.bool_]:
    """Return which series are published: all but products without a sale in the last 180 days."""
    return np.asarray((series.level != PRODUCT) | series.units[:, -SOLD_DAYS:].any(axis=1))


@dataclass(frozen=True)
class Judged:
    """What one contender said in the held-out period, over all origins."""

    errors: ScaledErrors
    total: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]
    inside: Mapping[str, tuple[int, int]]
    weeks_inside: Mapping[str, tuple[int, int]]
    first_week: Mapping[str, list[Any]]


def _held_out(period: Period, model: Model) -> Judged:
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
        forecast, truth = forecast_of(model, seen, rows), period.truth(moment)
        ahead = (moment - period.moment).days + np.arange(period.horizon)
        weeks = np.minimum(ahead // WEEK, n_weeks - 1)
        found = scaled_errors(truth, forecast.units, period.scale, weights, weeks)
        sums[:, : found.sums.shape[1]] += found.sums
        counts[: len(found.counts)] += found.counts
        at = int(np.flatnonzero(seen.level == TOTAL)[0])
        known = np.isfinite(truth[at])
        for part, values in zip(total, (truth[at][known], forecast.units[at][known], weeks[known]), strict=True):
            part.append(values)
        _count_inside(inside, seen, truth, forecast.units, forecast.margin)
        sums_of_week, is_whole = _weekly(truth, period, moment)
        _count_inside(
            weeks_inside, seen, np.where(is_whole, sums_of_week, np.nan), forecast.week_units, forecast.week_margin
        )
        for day in np.flatnonzero(known & (ahead > until)).tolist():
            shown["day"].append(day_of(number_of(moment) + day).isoformat())
            shown["actual"].append(float(truth[at, day]))
            shown["units"].append(float(forecast.units[at, day]))
            shown["low"].append(float(max(forecast.units[at, day] - forecast.margin[at, day], 0.0)))
            shown["high"].append(float(forecast.units[at, day] + forecast.margin[at, day]))
            until = int(ahead[day])
    return Judged(
        ScaledErrors(sums, counts, weights),
        (np.concatenate(total[0]), np.concatenate(total[1]), np.concatenate(total[2])),
        {level: (n, of) for level, (n, of) in inside.items()},
        {level: (n, of) for level, (n, of) in weeks_inside.items()},
        shown,
    )


def _count_inside(found: dict[str, list[int]], seen: Series, truth: Matrix, units: Matrix, margin: Matrix) -> None:
    counted = np.isfinite(truth) & is_shown(seen)[:, None]
    held = counted & (np.abs(np.nan_to_num(truth) - units) <= margin + 1e-9)
    for level in np.unique(seen.level).tolist():
        of = seen.level == level
        before = found.setdefault(level, [0, 0])
        before[0] += int(held[of].sum())
        before[1] += int(counted[of].sum())


def _weekly(truth: Matrix, period: Period, moment: date) -> tuple[Matrix, NDArray[np.bool_]]:
    """Return the sums of whole weeks ahead, and which of them the record holds whole."""
    weeks = period.horizon // WEEK
    sums = _by_week(np.nan_to_num(truth), weeks)
    left = period.series.calendar.end - number_of(moment)
    return sums, (np.arange(1, weeks + 1) * WEEK <= left)[None, :]


def judge(
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
    by_level = {each: tuple(float(one.errors.of(level == each).value()[0]) for one in (ours, naive)) for each in names}
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
    if chosen.promoted:
        facts["promotions"] = dict(chosen.promoted)
        notes.append(_of_promotions(chosen))
    curves: dict[str, Any] = {"backtest": {**ours.first_week, "naive": naive.first_week["units"]}}
    total = series.units[series.level == TOTAL][0][series.calendar.opened]
    rhythm = rhythm_of(
        total, Past(total[None, :], weekdays(series, 0)[series.calendar.opened], np.zeros(0, np.int64)).week
    )
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
        against_baseline=compare_errors(ours.errors, naive.errors, names=(chosen.name, baseline.name), seed=seed),
        against_champion=against_champion,
        curves=curves,
        facts=facts,
        notes=notes,
    )
    return report, losing


def _of_promotions(model: DemandModel) -> str:
    """Return a sentence on what promotions did to demand."""
    seen, share = model.promoted, model.promoted["error_ratio"]
    learnt, judged = int(seen["n_promoted_days"]), int(seen["n_judged_days"])
    elasticity, beyond = seen["elasticity"], seen["lift_beyond_price"]
    effect = f"an elasticity of {elasticity:.2f} to their price, and {beyond:.2f} times as much beyond it"
    if not learnt:
        return f"No product day of the past was promoted: what is planned counts with {effect}, as published studies have it."
    if model.response is None:
        return (
            f"Promotions are left out of the forecasts: taken with {effect}, learnt from {learnt:,} product days, they made the "
            f"error on {judged:,} promoted days {share:.2f} times what it is without."
        )
    tested = f" On {judged:,} promoted days the error is {share:.2f} times what it is without." if judged else ""
    return f"Promotions known ahead count with {effect}, learnt from {learnt:,} product days.{tested}"


def _candidate(model: DemandModel, judged: Judged, seed: int) -> Candidate:
    actual, told, weeks = judged.total
    figures: dict[str, Figure] = {WRMSSE: figure_of(judged.errors, seed=seed)}
    for metric, allowed in (("wape", actual.sum() > 0), ("mape", actual.min() > 0), ("rmse", True)):
        if allowed:
            figures[metric] = measure(metric, actual, told, groups=weeks, seed=seed)
    inside = [sum(each) for each in zip(*judged.inside.values(), strict=True)]
    figures["coverage"] = share_of(inside[0], inside[1])
    return Candidate(model.name, model.name == BASELINE, figures, {"methods": dict(model.methods)})


def _against(
    champion: Model, chosen: DemandModel, ours: Judged, period: Period, seed: int, notes: list[str]
) -> Comparison | None:
    if champion.parameters.get("horizon_days") != period.horizon:
        notes.append(
            f"The champion could not be compared: it looks {champion.parameters.get('horizon_days')} days ahead, not "
            f"{period.horizon}."
        )
        return None
    if champion.has_seen(period.moment):
        notes.append(
            f"The champion {champion.name} could not be compared: it has learnt from days after {period.moment}."
        )
        return None
    try:
        theirs = _held_out(period, champion)
    except ModelError as error:
        notes.append(f"The champion could not be compared: {error}")
        return None
    return compare_errors(ours.errors, theirs.errors, names=(chosen.name, champion.name), seed=seed)


def with_outlook(report: Report, model: DemandModel, series: Series, rows: pa.Table) -> Report:
    """Return the report with the total's last weeks and the days ahead."""
    forecast = forecast_of(model, series, rows)
    at = int(np.flatnonzero(series.level == TOTAL)[0])
    opened, ahead = series.calendar.opened, series.calendar.ahead(model.horizon)
    past = np.flatnonzero(opened)[-SHOWN_DAYS:]
    coming = np.flatnonzero(ahead)
    start, end = series.calendar.first, series.calendar.end
    units, margin = forecast.units[at][coming], forecast.margin[at][coming]
    gaps: list[Any] = [None] * len(past)
    curve = {
        "day": [day_of(start + int(one)).isoformat() for one in past]
        + [day_of(end + int(one)).isoformat() for one in coming],
        "actual": [*series.units[at][past].tolist(), *([None] * len(coming))],
        "units": [*gaps, *units.tolist()],
        "low": [*gaps, *np.maximum(units - margin, 0.0).tolist()],
        "high": [*gaps, *(units + margin).tolist()],
    }
    return replace(report, curves={**report.curves, "outlook": curve})
