"""Partial pooling of many noisy estimates: each is drawn towards its group's mean, and each group's towards the mean of all.

The hierarchical normal model (Gelman and others, Bayesian Data Analysis, 3rd edition, 5.4; Gelman and Hill 2007, 12): estimate = effect
+ noise of known variance; effect ~ N(group's mean, within²); group's mean ~ N(overall mean, between²); overall mean flat. The two
standard deviations have gamma priors of shape 2, which keep away from nought (Chung and others 2013), and are integrated out on a grid
rather than plugged in, so that intervals stay honest where little is known: a plugged-in nought would call all effects equal.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]
MODE = 0.3
"""Of the priors, on a scale of 1: effects of one group differ by some tenths."""
GRID = np.array([0.02, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.36, 0.43, 0.52, 0.64, 0.8, 1.0, 1.3, 1.7, 2.3])


@dataclass(frozen=True)
class Pooled:
    """Means and standard deviations of effects, of groups, and of all; and the spread of effects within and between groups."""

    effect: Numbers
    effect_sd: Numbers
    group: Numbers
    group_sd: Numbers
    overall: float
    overall_sd: float
    within: float
    between: float


def pool(estimate: Numbers, variance: Numbers, group: Codes, n_groups: int, *, scale: float = 1.0) -> Pooled:
    """Return the posterior of each effect, group and the overall mean.

    ``estimate``, ``variance``: one each; ``group``: 0 … ``n_groups`` - 1, and a group may have none: it gets the overall mean.
    ``scale``: of the grid of standard deviations and their priors, 1 for elasticities.
    """
    grid = GRID * scale
    step = np.gradient(grid)
    has = np.bincount(group, minlength=n_groups) > 0
    betweens = grid if has.sum() > 1 else grid[:1]
    weights, points = [], []
    for within, width in zip(grid, step, strict=True):
        total = variance + within**2
        precision = np.bincount(group, 1 / total, n_groups)
        group_variance = np.where(has, 1 / np.where(has, precision, 1.0), np.inf)
        mean = np.where(has, np.bincount(group, estimate / total, n_groups) * np.where(has, group_variance, 0), 0.0)
        base = -0.5 * float(np.sum(np.log(total)) + np.sum((estimate - mean[group]) ** 2 / total))
        base += 0.5 * float(np.sum(np.log(group_variance[has]))) + _log_prior(within, MODE * scale, width)
        for between, room in zip(betweens, step, strict=False):
            spread = group_variance[has] + between**2
            overall_variance = 1 / np.sum(1 / spread)
            overall = float(overall_variance * np.sum(mean[has] / spread))
            fit = -0.5 * float(np.sum(np.log(spread)) + np.sum((mean[has] - overall) ** 2 / spread))
            fit += 0.5 * float(np.log(overall_variance))
            if len(betweens) > 1:
                fit += _log_prior(between, MODE * scale, room)
            weights.append(base + fit)
            points.append(
                _given(estimate, variance, group, within, between, mean, group_variance, overall, overall_variance)
            )
    log_weight = np.array(weights)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    columns = [np.array([point[at] for point in points]) for at in range(6)]
    effect, effect_sd = _mixed(weight, columns[0], columns[1])
    groups, group_sd = _mixed(weight, columns[2], columns[3])
    overall, overall_sd = _mixed(weight, columns[4][:, None], columns[5][:, None])
    pairs = np.array([(within, between) for within in grid for between in betweens])
    spreads = weight @ pairs
    return Pooled(effect, effect_sd, groups, group_sd, float(overall[0]), float(overall_sd[0]), *map(float, spreads))


def _given(
    estimate: Numbers,
    variance: Numbers,
    group: Codes,
    within: float,
    between: float,
    mean: Numbers,
    group_variance: Numbers,
    overall: float,
    overall_variance: float,
) -> tuple[Numbers, Numbers, Numbers, Numbers, float, float]:
    """Return means and variances of effects, groups and all, given the two spreads."""
    kept = between**2 / (between**2 + group_variance) if between > 0 else np.zeros(len(mean))
    groups = kept * mean + (1 - kept) * overall
    group_spread = (1 - kept) * between**2 + (1 - kept) ** 2 * overall_variance
    share = within**2 / (within**2 + variance)
    effect = share * estimate + (1 - share) * groups[group]
    spread = (1 - share) * within**2 + (1 - share) ** 2 * group_spread[group]
    return effect, spread, groups, group_spread, overall, overall_variance


def _mixed(weight: Numbers, means: Numbers, variances: Numbers) -> tuple[Numbers, Numbers]:
    mean = weight @ means
    return mean, np.sqrt(weight @ (variances + (means - mean) ** 2))


def _log_prior(value: float, mode: float, width: float) -> float:
    return float(np.log(width * value) - value / mode)
