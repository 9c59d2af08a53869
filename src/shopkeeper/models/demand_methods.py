"""Methods that forecast many series at once: each takes the open days of the past and gives the open days ahead.

A method is a function of ``Past``: rows are series, columns open days; nothing is fitted that outlives the call, so a series
is forecast alike alone and in company. Loops run over days, never over series.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
WEEK = 7
WINDOW_WEEKS = 4
ALPHA, SLOW = 0.2, 0.1
TREND, DAMPING = 0.05, 0.9
PRIOR_DAYS = 4.0
"""How many days at its usual level a weekday counts as having had besides its own: it keeps rare weekdays near 1."""


@dataclass(frozen=True)
class Past:
    """Open days of some series: ``units`` (series x days), the ``weekday`` of each, and those of the open days ``ahead``."""

    units: Matrix
    weekday: NDArray[np.int64]
    ahead: NDArray[np.int64]

    @property
    def week(self) -> int:
        """How many open days a week has."""
        return max(len(np.unique(self.weekday[-4 * WEEK :])), 1)


Method = Callable[[Past], Matrix]


def seasonal_naive(past: Past) -> Matrix:
    """What was sold on the last such weekday; on the last day where the weekday never was. The baseline."""
    last = {int(day): place for place, day in enumerate(past.weekday)}
    places = [last.get(int(day), len(past.weekday) - 1) for day in past.ahead]
    return past.units[:, places]


def moving_average(past: Past) -> Matrix:
    """The mean of the last four weeks, the same for every day."""
    mean = _means(past.units[:, -WINDOW_WEEKS * past.week :])
    return np.repeat(mean[:, None], len(past.ahead), axis=1)


def exponential_average(past: Past) -> Matrix:
    """Simple exponential smoothing (Brown 1956), the same for every day."""
    return np.repeat(_smoothed(past.units, SLOW)[:, None], len(past.ahead), axis=1)


def weekday_level(past: Past) -> Matrix:
    """Level x weekday: multiplicative decomposition with an exponentially weighted level."""
    return _by_weekday(past, lambda units, factors: _level(units, factors, ALPHA))


def slow_weekday_level(past: Past) -> Matrix:
    """As ``weekday_level``, with a level that moves half as fast."""
    return _by_weekday(past, lambda units, factors: _level(units, factors, SLOW))


def week_level(past: Past) -> Matrix:
    """The last week's level x weekday: quick to follow, for series with little noise."""

    def level(units: Matrix, factors: Matrix) -> Matrix:
        return _per_factor(units[:, -past.week :], factors[:, -past.week :])

    return _by_weekday(past, level)


def month_weekday_level(past: Past) -> Matrix:
    """The last four weeks' level x weekday."""

    def level(units: Matrix, factors: Matrix) -> Matrix:
        days = WINDOW_WEEKS * past.week
        return _per_factor(units[:, -days:], factors[:, -days:])

    return _by_weekday(past, level)


def damped_trend(past: Past) -> Matrix:
    """Holt's trend, damped (Gardner and McKenzie 1985), of the logarithm of what decomposition leaves, x weekday.

    ``expm1`` of a mean of ``log1p`` is nearer the median than the mean: it is lifted to the past level.
    """
    factors = weekday_factors(past)
    known = np.log1p(past.units / np.maximum(factors[:, past.weekday], 0.05))
    level, trend = _sums(known[:, : past.week]) / past.week, np.zeros(len(known))
    fitted = np.empty_like(known)
    for day in range(known.shape[1]):
        hoped = level + DAMPING * trend
        fitted[:, day] = hoped
        error = known[:, day] - hoped
        level = hoped + ALPHA * error
        trend = DAMPING * trend + TREND * ALPHA * error
    lift = _per_factor(past.units, np.expm1(fitted) * factors[:, past.weekday])
    steps = np.cumsum(DAMPING ** np.arange(1, len(past.ahead) + 1))
    grown = np.expm1(level[:, None] + trend[:, None] * steps)
    return np.asarray(np.maximum(grown * np.clip(lift, 0.5, 2.0)[:, None] * factors[:, past.ahead], 0.0))


def croston(past: Past) -> Matrix:
    """Size of a demand over the days between demands, both smoothed when there is one (Croston 1972)."""
    return _croston(past, 1.0)


def sba(past: Past) -> Matrix:
    """Croston's, less the bias that Syntetos and Boylan (2005) found: x (1 - alpha / 2)."""
    return _croston(past, 1 - SLOW / 2)


def tsb(past: Past) -> Matrix:
    """Size x chance of a demand, the chance updated every day, so that what stops selling fades (Teunter and others 2011)."""
    units = past.units
    sold = units > 0
    n_sold = np.maximum(sold.sum(axis=1), 1)
    size, chance = _sums(units) / n_sold, sold.mean(axis=1)
    for day in range(units.shape[1]):
        is_sold = sold[:, day]
        size = np.where(is_sold, size + SLOW * (units[:, day] - size), size)
        chance = chance + SLOW / 2 * (is_sold - chance)
    return np.repeat((size * chance)[:, None], len(past.ahead), axis=1)


def long_average(past: Past) -> Matrix:
    """The mean of the last 13 weeks: for what sells rarely."""
    mean = _means(past.units[:, -13 * past.week :])
    return np.repeat(mean[:, None], len(past.ahead), axis=1)


def combined(past: Past) -> Matrix:
    """The mean of level x weekday, quick and slow, and the damped trend: what errs differently errs less together."""
    return (weekday_level(past) + week_level(past) + damped_trend(past)) / 3


METHODS: Mapping[str, Method] = {
    one.__name__: one
    for one in (
        seasonal_naive,
        moving_average,
        exponential_average,
        weekday_level,
        slow_weekday_level,
        week_level,
        month_weekday_level,
        damped_trend,
        combined,
        croston,
        sba,
        tsb,
        long_average,
    )
}
"""Methods by name; the first is the baseline."""
BASELINE = seasonal_naive.__name__


def weekday_factors(past: Past) -> Matrix:
    """Return for each series the factor of each weekday (series x 7): its share of what its week sold.

    Ratio to a moving average of one week, summed (so that busy weeks count more) over the last half year, and drawn towards
    the week's mean as if each weekday had had four days more at its level.
    """
    units, weekday, week = past.units[:, -26 * past.week :], past.weekday[-26 * past.week :], past.week
    if units.shape[1] < 2 * week or week < 2:
        return np.ones((len(past.units), WEEK))
    sums = np.cumsum(np.pad(units, ((0, 0), (1, 0))), axis=1)
    half = week // 2
    starts = np.arange(units.shape[1] - week + 1)
    level = (sums[:, starts + week] - sums[:, starts]) / week
    if week % 2 == 0:
        level = (level[:, 1:] + level[:, :-1]) / 2
    middle, days = units[:, half : half + level.shape[1]], weekday[half : half + level.shape[1]]
    usual = np.maximum(_sums(level) / level.shape[1], 1e-12)
    factors = np.ones((len(units), WEEK))
    for day in np.unique(days).tolist():
        chosen = days == day
        factors[:, day] = (_sums(middle[:, chosen]) + PRIOR_DAYS * usual) / (
            _sums(level[:, chosen]) + PRIOR_DAYS * usual
        )
    return factors


def _by_weekday(past: Past, level: Callable[[Matrix, Matrix], Matrix]) -> Matrix:
    factors = weekday_factors(past)
    return level(past.units, factors[:, past.weekday])[:, None] * factors[:, past.ahead]


def _level(units: Matrix, factors: Matrix, alpha: float) -> Matrix:
    weights = (1 - alpha) ** np.arange(units.shape[1])[::-1]
    return _per_factor(units * weights, factors * weights)


def _per_factor(units: Matrix, factors: Matrix) -> Matrix:
    """Return what was sold per unit of factor: the level of each series."""
    return np.asarray(_sums(units) / np.maximum(_sums(factors), 1e-9), np.float64)


def _means(values: Matrix) -> Matrix:
    return np.asarray(_sums(values) / values.shape[1], np.float64)


def _sums(values: Matrix) -> Matrix:
    """Return the sum of each row, to the bit the same whichever rows stand beside it: NumPy adds up as memory lies."""
    return np.asarray(np.ascontiguousarray(values).sum(axis=1), np.float64)


def _smoothed(units: Matrix, alpha: float) -> Matrix:
    return _level(units, np.ones_like(units), alpha)


def _croston(past: Past, correction: float) -> Matrix:
    units = past.units
    sold = units > 0
    n_sold = np.maximum(sold.sum(axis=1), 1)
    size, gap = _sums(units) / n_sold, units.shape[1] / n_sold
    since = np.ones(len(units))
    for day in range(units.shape[1]):
        is_sold = sold[:, day]
        size = np.where(is_sold, size + SLOW * (units[:, day] - size), size)
        gap = np.where(is_sold, gap + SLOW * (since - gap), gap)
        since = np.where(is_sold, 1.0, since + 1.0)
    flat = correction * np.where(sold.any(axis=1), size / gap, 0.0)
    return np.repeat(flat[:, None], len(past.ahead), axis=1)
