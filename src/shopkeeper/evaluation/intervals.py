"""Figures with 95 % intervals: the percentile bootstrap over customers, paired where two contenders meet.

The bootstrap (Efron 1979) draws as many units as there are, with replacement: rows, or groups (customers) where rows of
one group depend on one another. Rows may come in any order: units are drawn in the order of their values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.evaluation.metrics import Metric, Numbers, columns_of, metric_of
from shopkeeper.evaluation.report import Comparison, Figure

DRAWS = 300
LEVEL = 0.95
LEAST_DRAWS = 0.5
Z = 1.959963984540054


def measure(
    metric: str, truth: Numbers, predicted: Numbers, *, groups: Any = None, seed: int, draws: int = DRAWS
) -> Figure:
    """Return a metric of a prediction with its 95 % interval by the percentile bootstrap.

    ``groups``: the customer of each row where a customer has several. Draws without both classes, where the metric needs
    them, are left out. Raises ModelError if the metric does not exist, is not defined on the rows, or on half of the draws.
    """
    return measure_all([metric], truth, predicted, groups=groups, seed=seed, draws=draws)[metric]


def measure_all(
    metrics: Sequence[str],
    truth: Numbers,
    predicted: Numbers,
    *,
    groups: Any = None,
    seed: int,
    draws: int = DRAWS,
) -> dict[str, Figure]:
    """Return several metrics of one prediction by name, as ``measure`` gives each, from the same draws. Raises as it does."""
    found = [metric_of(name) for name in metrics]
    true, given = columns_of(truth, predicted)
    told = [metric.compute(true, given) for metric in found]
    units = _units(groups, true, given)
    order = np.lexsort((true, given))
    true, given, units = true[order], given[order], units[order]
    values: list[list[float]] = [[] for _ in found]
    places = np.arange(len(true))
    for counts in _draws(units, seed, draws):
        rows = np.repeat(places, counts)
        one, other = true[rows], given[rows]
        for metric, drawn in zip(found, values, strict=True):
            if metric.is_defined(one):
                drawn.append(metric.compute(one, other))
    return {
        metric.name: _figure(value, drawn, draws, metric)
        for metric, value, drawn in zip(found, told, values, strict=True)
    }


def compare(
    metric: str,
    truth: Numbers,
    contender: Numbers,
    against: Numbers,
    *,
    names: tuple[str, str],
    groups: Any = None,
    seed: int,
    draws: int = DRAWS,
) -> Comparison:
    """Return how much better one prediction is than another on the same rows, with the 95 % interval of the difference.

    Both are judged on the same draws (paired), so what they share cancels out; the gain is positive where ``contender`` is
    better, whichever way the metric points. ``names``: of contender and against. Raises as ``measure``.
    """
    found = metric_of(metric)
    true, ours = columns_of(truth, contender)
    _, theirs = columns_of(truth, against)
    gain = found.quality(found.compute(true, ours)) - found.quality(found.compute(true, theirs))
    units = _units(groups, true, ours, theirs)
    first, second = np.lexsort((true, ours)), np.lexsort((true, theirs))
    gains = []
    for counts in _draws(units, seed, draws):
        rows, others = np.repeat(first, counts[first]), np.repeat(second, counts[second])
        if found.is_defined(true[rows]):
            one = found.quality(found.compute(true[rows], ours[rows]))
            gains.append(one - found.quality(found.compute(true[others], theirs[others])))
    # A gain has a sign: what makes one side's metric grow in draws makes the other's grow too.
    return Comparison(*names, metric, _figure(gain, gains, draws, replace(found, grows_when_drawn=False)))


def coverage(low: Numbers, high: Numbers, truth: Numbers) -> Figure:
    """Return the share of rows whose truth lies within their interval, ends included, with its own 95 % interval.

    Hold it against the level that the intervals promise. Raises ModelError if columns differ in length or have gaps.

    >>> coverage([0, 0, 0, 0], [1, 1, 1, 1], [0.5, 1, 0, 2]).value
    0.75
    """
    true, least = columns_of(truth, low)
    _, most = columns_of(truth, high)
    return share_of(int(((true >= least) & (true <= most)).sum()), len(true))


def share_of(n: int, of: int) -> Figure:
    """Return a share with its 95 % interval by Wilson (1927), which stays within 0 and 1 and is never empty."""
    low, high = wilson(np.array([n]), np.array([of]))
    return Figure(n / of, float(low[0]), float(high[0]))


def wilson(n: NDArray[Any], of: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper ends of the 95 % intervals of shares (Wilson 1927)."""
    share, spread = n / of, Z**2 / of
    middle = (share + spread / 2) / (1 + spread)
    half = Z * np.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def _units(groups: Any, *columns: NDArray[Any]) -> NDArray[np.int64]:
    """Return the unit of each row, numbered by the groups' names or, without, by the rows' own values."""
    n_rows = len(columns[0])
    if groups is None:
        units = np.empty(n_rows, np.int64)
        units[np.lexsort(columns[::-1])] = np.arange(n_rows)
        return units
    names = np.asarray(groups)
    if names.shape != (n_rows,):
        raise ModelError(f"groups must name one group per row; got {names.shape} for {n_rows} rows.")
    return np.unique(names.astype(str) if names.dtype.hasobject else names, return_inverse=True)[1]


def _draws(units: NDArray[np.int64], seed: int, draws: int) -> Iterator[NDArray[np.int64]]:
    """Yield, for each draw, how often each row is in it."""
    rng = np.random.default_rng(seed)
    n_units = int(units.max()) + 1
    for _ in range(draws):
        yield np.bincount(rng.integers(n_units, size=n_units), minlength=n_units)[units]


def _figure(value: float, values: list[float], draws: int, metric: Metric) -> Figure:
    if len(values) < LEAST_DRAWS * draws:
        raise ModelError(
            f"{metric.name} must be defined on at least half of the bootstrap's draws; got {len(values)} of {draws}. "
            f"There are too few rows of one class to judge by."
        )
    low, middle, high = np.quantile(values, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
    if metric.grows_when_drawn:
        low, high = max(low + value - middle, 0.0), high + value - middle
    return Figure(float(value), float(low), float(high))
