"""Partial pooling of many noisy estimates: each is drawn towards its group's mean, and each group's towards the mean
of all.

The hierarchical normal model (Gelman and others, Bayesian Data Analysis, 3rd edition, 5.4; Gelman and Hill 2007,
12): estimate = effect + noise of known variance; effect ~ N(group's mean, within²); group's mean ~ N(overall mean,
between²); overall mean flat. The two standard deviations have gamma priors of shape 2, which keep away from nought
(Chung and others 2013), and are integrated out on a grid rather than plugged in, so that intervals stay honest where
little is known: a plugged-in nought would call all effects equal.
"""

from dataclasses import dataclass
from math import erfc

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]
NEGLIGIBLE = 1e-3
FARTHEST = -6.0
MODE = 0.3
"""Of the priors, on a scale of 1: effects of one group differ by some tenths."""
GRID = np.array([0.02, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.36, 0.43, 0.52, 0.64, 0.8, 1.0, 1.3, 1.7, 2.3])


@dataclass(frozen=True)
class Pooled:
    """Means and standard deviations of effects, of groups, and of all; and the spread of effects within and between
    groups.
    """

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

    ``estimate``, ``variance``: one each; ``group``: 0 … ``n_groups`` - 1, and a group may have none: it gets the
    overall mean. ``scale``: of the grid of standard deviations and their priors, 1 for elasticities.
    """
    grid = GRID * scale
    prior = np.log(np.gradient(grid) * grid) - grid / (MODE * scale)
    has = np.bincount(group, minlength=n_groups) > 0
    betweens = grid if has.sum() > 1 else grid[:1]
    log_weight = np.empty((len(grid), len(betweens)))
    lines = []
    for row, within in enumerate(grid):
        total = variance + within**2
        precision = np.bincount(group, 1 / total, n_groups)
        sums = np.bincount(group, estimate / total, n_groups)
        spread = np.where(has, 1 / np.where(has, precision, 1.0), np.inf)
        mean = np.where(has, sums / np.where(has, precision, 1.0), 0.0)
        lines.append((mean, spread))
        base = -0.5 * float(np.sum(np.log(total)) + np.sum((estimate - mean[group]) ** 2 / total))
        base += 0.5 * float(np.sum(np.log(spread[has]))) + prior[row]
        wide = spread[has] + betweens[:, None] ** 2
        share = 1 / wide
        overall = share @ mean[has] / share.sum(axis=1)
        fit = np.sum(np.log(wide) + (mean[has] - overall[:, None]) ** 2 * share, axis=1) + np.log(share.sum(axis=1))
        log_weight[row] = base - 0.5 * fit + (prior[: len(betweens)] if len(betweens) > 1 else 0.0)
    weight = np.exp(log_weight - log_weight.max())
    weight[weight < NEGLIGIBLE * weight.max()] = 0.0
    weight /= weight.sum()
    at = np.argwhere(weight > 0)
    points = [_given(estimate, variance, group, grid[row], betweens[column], *lines[row]) for row, column in at]
    kept = weight[at[:, 0], at[:, 1]]
    columns = [np.array([point[place] for point in points]) for place in range(6)]
    effect, effect_sd = _mixed(kept, columns[0], columns[1])
    groups, group_sd = _mixed(kept, columns[2], columns[3])
    overall_mean, overall_sd = _mixed(kept, columns[4][:, None], columns[5][:, None])
    return Pooled(
        effect,
        effect_sd,
        groups,
        group_sd,
        float(overall_mean[0]),
        float(overall_sd[0]),
        float(kept @ grid[at[:, 0]]),
        float(kept @ betweens[at[:, 1]]),
    )


def _given(
    estimate: Numbers,
    variance: Numbers,
    group: Codes,
    within: float,
    between: float,
    mean: Numbers,
    spread: Numbers,
) -> tuple[Numbers, Numbers, Numbers, Numbers, float, float]:
    """Return means and variances of effects, groups and all, given the two spreads and each group's mean and
    variance.
    """
    precision = 1 / (spread + between**2)
    overall_variance = float(1 / np.sum(precision))
    overall = float(np.sum(mean * precision) * overall_variance)
    kept = between**2 * precision
    groups = kept * mean + (1 - kept) * overall
    group_variance = (1 - kept) * between**2 + (1 - kept) ** 2 * overall_variance
    share = within**2 / (within**2 + variance)
    effect = share * estimate + (1 - share) * groups[group]
    effect_variance = (1 - share) * within**2 + (1 - share) ** 2 * group_variance[group]
    return effect, effect_variance, groups, group_variance, overall, overall_variance


def _mixed(weight: Numbers, means: Numbers, variances: Numbers) -> tuple[Numbers, Numbers]:
    mean = weight @ means
    return mean, np.sqrt(weight @ (variances + (means - mean) ** 2))


def below_nought(mean: Numbers, sd: Numbers) -> tuple[Numbers, Numbers]:
    """Return mean and standard deviation of normal variables that are known to be below 0 (the normal cut off there)."""
    end = np.clip(-mean / np.maximum(sd, 1e-9), FARTHEST, None)
    density = np.exp(-(end**2) / 2) / np.sqrt(2 * np.pi)
    hazard = density / np.array([erfc(-each / 2**0.5) / 2 for each in end.tolist()], np.float64)
    # Beyond where the tail can be told from nought, the mean keeps its distance below it.
    middle = np.minimum(mean, -FARTHEST * sd)
    return middle - sd * hazard, sd * np.sqrt(np.maximum(1 - end * hazard - hazard**2, 0.0))
