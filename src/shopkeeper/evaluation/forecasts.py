"""Forecasts of many series at once: scaled errors, their weighted mean, and both with intervals.

Errors are scaled by how much a series moves from day to day, so that series of any size can be put together (Hyndman and
Koehler 2006); weighted by what the series are worth they give WRMSSE, by which the M5 competition was judged (Makridakis,
Spiliotis and Assimakopoulos 2022). Defined for zeros, where percentages are not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.evaluation.intervals import DRAWS, LEVEL
from shopkeeper.evaluation.report import Comparison, Figure

Matrix = NDArray[np.float64]
WRMSSE = "wrmsse"


def squared_steps(units: Matrix) -> NDArray[np.float64]:
    """Return the scale of each series (rows; columns are days in their order): the mean squared step from day to day.

    Counted from its first sale on, as in M5. A series that never moves has the scale of the least that does, or 1.

    >>> squared_steps(np.array([[0.0, 0.0, 2.0, 4.0, 2.0], [1.0, 1.0, 1.0, 1.0, 1.0]])).tolist()
    [4.0, 4.0]
    """
    if units.ndim != 2 or not units.size:
        raise ModelError(f"series must be a matrix with a row and a day or more; got the shape {units.shape}.")
    has_begun = np.maximum.accumulate(units != 0, axis=1)
    steps = np.where(has_begun[:, :-1], np.diff(units, axis=1), 0.0)
    found = (steps**2).sum(axis=1) / np.maximum(has_begun[:, :-1].sum(axis=1), 1)
    moving = found > 0
    return np.where(moving, found, found[moving].min() if moving.any() else 1.0)


def rmsse(truth: Matrix, predicted: Matrix, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the root mean squared scaled error of each series (rows): sqrt(mean((y - f)^2) / scale).

    1: as far off as yesterday's sales were from today's, in the past. Days without a truth (NaN) are left out.

    >>> rmsse(np.array([[3.0, 5.0]]), np.array([[1.0, 3.0]]), np.array([4.0])).tolist()
    [1.0]
    """
    counted = np.isfinite(truth)
    errors = np.where(counted, (np.where(counted, truth, 0.0) - predicted) ** 2, 0.0)
    n = counted.sum(axis=1)
    return np.asarray(np.sqrt(errors.sum(axis=1) / np.maximum(n, 1) / scale))


def wrmsse(truth: Matrix, predicted: Matrix, scale: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the weighted mean of the series' RMSSE; weights need not add up to 1.

    >>> wrmsse(np.array([[3.0], [3.0]]), np.array([[1.0], [3.0]]), np.array([4.0, 4.0]), np.array([3.0, 1.0]))
    0.75
    """
    return float((weights * rmsse(truth, predicted, scale)).sum() / weights.sum())


@dataclass(frozen=True)
class ScaledErrors:
    """Squared scaled errors of one contender: ``sums`` (series x weeks) over the ``counts`` days of each week, with the
    series' ``weights``. Weeks are what is drawn: the errors of a week's days, and of all series on a day, depend on one
    another.
    """

    sums: Matrix
    counts: NDArray[np.float64]
    weights: NDArray[np.float64]

    def value(self, draws: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return WRMSSE for each column of how often each week is drawn (weeks x draws); once each by default."""
        drawn = np.ones((len(self.counts), 1)) if draws is None else draws
        mean = (self.sums @ drawn) / np.maximum(self.counts @ drawn, 1e-12)
        return np.asarray((self.weights[:, None] * np.sqrt(mean)).sum(axis=0) / self.weights.sum())

    def of(self, chosen: NDArray[np.bool_]) -> "ScaledErrors":
        """Return the errors of some of the series."""
        return ScaledErrors(self.sums[chosen], self.counts, self.weights[chosen])


def scaled_errors(
    truth: Matrix,
    predicted: Matrix,
    scale: NDArray[np.float64],
    weights: NDArray[np.float64],
    weeks: NDArray[np.int64],
) -> ScaledErrors:
    """Return the errors of forecasts (series x days), days being parted into ``weeks`` (numbers from 0); NaN is left out."""
    counted = np.isfinite(truth).any(axis=0)
    squared = np.where(np.isfinite(truth), (np.nan_to_num(truth) - predicted) ** 2, 0.0) / scale[:, None]
    n = int(weeks.max()) + 1
    parts = np.zeros((len(weeks), n))
    parts[np.arange(len(weeks)), weeks] = 1.0
    return ScaledErrors(squared @ parts, counted.astype(np.float64) @ parts, weights)


def figure_of(errors: ScaledErrors, *, seed: int) -> Figure:
    """Return WRMSSE with its 95 % interval by the bootstrap over weeks."""
    low, high = np.quantile(errors.value(_draws(len(errors.counts), seed)), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(float(errors.value()[0]), float(low), float(high))


def compare_errors(
    contender: ScaledErrors, against: ScaledErrors, *, names: tuple[str, str], seed: int, metric: str = WRMSSE
) -> Comparison:
    """Return by how much the contender's WRMSSE is lower, on the same draws of weeks; see ``compare``."""
    if contender.sums.shape != against.sums.shape:
        raise ModelError(
            f"contenders must be judged on the same series and weeks; got {contender.sums.shape} and {against.sums.shape}."
        )
    draws = _draws(len(contender.counts), seed)
    gains = against.value(draws) - contender.value(draws)
    low, high = np.quantile(gains, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Comparison(*names, metric, Figure(float((against.value() - contender.value())[0]), float(low), float(high)))


def conformal_quantile(residuals: NDArray[np.float64], level: float = 0.9) -> float:
    """Return what a new residual stays below with the chance ``level``, if it comes from where these came from.

    The ceil((n + 1) level)-th smallest of n (split conformal prediction: Vovk and others 2005); the largest where n is too
    small for that.

    >>> conformal_quantile(np.arange(1.0, 20.0), 0.9)
    18.0
    """
    known = np.sort(residuals)
    if not len(known):
        raise ModelError("intervals must be calibrated on one residual or more; got none.")
    return float(known[min(int(np.ceil((len(known) + 1) * level)), len(known)) - 1])


def merged(parts: Sequence[ScaledErrors]) -> ScaledErrors:
    """Return the errors of several forecasts of the same series, weeks side by side."""
    return ScaledErrors(
        np.concatenate([one.sums for one in parts], axis=1),
        np.concatenate([one.counts for one in parts]),
        np.mean([one.weights for one in parts], axis=0),
    )


def by_group(errors: ScaledErrors, groups: Sequence[str]) -> Mapping[str, float]:
    """Return WRMSSE within each group of series."""
    of = np.asarray(groups)
    return {str(name): float(errors.of(of == name).value()[0]) for name in np.unique(of)}


def _draws(weeks: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.stack(
        [np.bincount(rng.integers(weeks, size=weeks), minlength=weeks) for _ in range(DRAWS)], axis=1
    ).astype(np.float64)
