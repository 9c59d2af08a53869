"""How far two columns lie apart: bins from the reference, stability index, distances, and one test against chance.

All of it works on shares by bin and on *effective* rows: rows of one customer at several moments repeat each other, and
count as fewer (Kish 1965: (Σm)² / Σm², with m rows per customer).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError

BINS = 10
LEAST_CATEGORY = 0.01
LEAST_EXPECTED = 5
RARE = "(rare)"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Binned:
    """Counts of the same bins before and now, without rows that have no value."""

    labels: tuple[str, ...]
    before: Floats
    now: Floats


def effective(units: Any) -> float:
    """Return how many independent rows the rows are worth, given whose each one is.

    >>> effective(["ann", "ann", "bob", "bob"])
    2.0
    """
    _, counts = np.unique(np.asarray(units).astype(str), return_counts=True)
    return float(counts.sum() ** 2 / (counts**2).sum()) if len(counts) else 0.0


def bin_numbers(before: Floats, now: Floats, of: Floats | None = None) -> Binned:
    """Count numbers in bins between the deciles of ``of`` (``before``, if nothing is said), ends on the right included.

    A value that holds a tenth of it is a bin of its own, so that ties (no order, one order) are not hidden in an
    interval. All columns are sorted and without gaps.
    """
    of = before if of is None else of
    if not len(of):
        return Binned(("any",), np.array([float(len(before))]), np.array([float(len(now))]))
    # Of n sorted values, those of which n / 10 stand beside each other can be found at every tenth place.
    step = max(1, len(of) // BINS)
    tried = np.unique(of[::step])
    held_by = np.searchsorted(of, tried, "right") - np.searchsorted(of, tried, "left")
    atoms = tried[held_by >= len(of) / BINS]
    deciles = of[np.ceil(np.linspace(0, 1, BINS + 1)[1:-1] * len(of)).astype(int) - 1]
    edges = np.unique(np.concatenate([deciles, atoms, np.nextafter(atoms, -np.inf)]))
    found = [
        np.diff(np.searchsorted(column, edges, "right"), prepend=0, append=len(column)).astype(float)
        for column in (before, now)
    ]
    ends = [-np.inf, *edges.tolist(), np.inf]
    held = set(atoms.tolist())
    labels = [f"{high:.3g}" if high in held else f"{low:.3g} to {high:.3g}" for low, high in pairwise(ends)]
    labels[0] = labels[0] if ends[1] in held else f"up to {ends[1]:.3g}"
    labels[-1] = f"above {ends[-2]:.3g}"
    used = (found[0] + found[1]) > 0
    return Binned(
        tuple(label for label, keep in zip(labels, used, strict=True) if keep), found[0][used], found[1][used]
    )


def bin_categories(before: NDArray[Any], now: NDArray[Any]) -> tuple[Binned, dict[str, int]]:
    """Count categories: those of 1 % or more each (of the mean of both sides), all others together as ``(rare)``.

    Both sides decide which are rare: if only ``before`` did, a category that it missed by chance would look new.
    Returns the bins, and the categories that ``before`` never had with their rows now, the most frequent first.
    """
    (names, counts), (names_now, counts_now) = (
        np.unique(side.astype(str), return_counts=True) for side in (before, now)
    )
    every = np.union1d(names, names_now)
    sides = np.zeros((2, len(every)))
    sides[0, np.searchsorted(every, names)] = counts
    sides[1, np.searchsorted(every, names_now)] = counts_now
    is_common = (sides / np.maximum(sides.sum(1, keepdims=True), 1)).mean(0) >= LEAST_CATEGORY
    # The most frequent first, equal ones by name.
    order = np.lexsort((every[is_common], -sides[:, is_common].sum(0)))
    labels, shown = every[is_common][order].tolist(), sides[:, is_common][:, order]
    if not is_common.all():
        labels.append(RARE)
        shown = np.column_stack([shown, sides[:, ~is_common].sum(1)])
    is_new = sides[0] == 0
    new = {str(name): int(n) for name, n in zip(every[is_new], sides[1, is_new], strict=True)}
    return Binned(tuple(labels), shown[0], shown[1]), dict(sorted(new.items(), key=lambda each: (-each[1], each[0])))


def chance_of_new(new: Mapping[str, int], counts: Floats, n_before: float, n_now: float) -> float:
    """Return how likely unchanged data have a category as frequent as the largest new one that is only seen now.

    Were rows dealt to both sides by chance, a category of c rows would lie wholly in the second with probability w^c,
    w = m / (n + m); summed over all categories of c rows or more, that bounds the chance that any does. ``counts``: rows
    of each category, both sides together.
    """
    if not new or not n_before or not n_now:
        return 1.0
    alike = counts[counts >= max(new.values())]
    return float(min(1.0, ((n_now / (n_before + n_now)) ** alike).sum()))


def stability_index(before: Floats, now: Floats) -> float:
    """Return the population stability index of counts by bin: Σ (q - p) ln(q / p), of shares p before and q now.

    It is the symmetrised Kullback-Leibler divergence (Jeffreys 1946). Half a row is added to each bin, so that an empty one
    gives a number. Below .1 is commonly called stable, from .25 on a strong shift.

    >>> round(stability_index(np.array([5000.0, 5000.0]), np.array([4000.0, 6000.0])), 3)
    0.041
    """
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (before, now))
    return float(((q - p) * np.log(q / p)).sum())


def index_by_chance(n_bins: int, n_before: float, n_now: float) -> float:
    """Return the stability index that unchanged data give on average: (bins - 1)(1/n + 1/m) (Yurdakul 2018).

    >>> index_by_chance(11, 1000, 1000)
    0.02
    """
    return (n_bins - 1) * (1 / n_before + 1 / n_now) if n_before and n_now else 0.0


def chance_of_counts(before: Floats, now: Floats, n_before: float, n_now: float) -> float:
    """Return the p-value of Pearson's test that two sets of counts share their shares, with effective rows.

    Bins are put together, the rarest first, until each can expect 5 rows in the smaller set; 1 where one bin is left.
    Counts are scaled to the effective rows (the first-order correction of Rao and Scott 1981). For bins by both sides:
    were they by ``before`` alone, what is rare would be told by ``now`` alone, and putting it together would make a test
    that cries wolf.
    """
    from scipy.special import chdtrc

    if not before.sum() or not now.sum() or not n_before or not n_now:
        return 1.0
    p, q = before / before.sum(), now / now.sum()
    pooled = (n_before * p + n_now * q) / (n_before + n_now)
    order = np.argsort(pooled, kind="stable")
    p, q, pooled = p[order], q[order], pooled[order]
    least = LEAST_EXPECTED / min(n_before, n_now)
    while len(pooled) > 1 and pooled[0] < least:
        p, q, pooled = (np.concatenate([[each[0] + each[1]], each[2:]]) for each in (p, q, pooled))
        order = np.argsort(pooled, kind="stable")
        p, q, pooled = p[order], q[order], pooled[order]
    if len(pooled) < 2:
        return 1.0
    statistic = n_before * n_now / (n_before + n_now) * float(((p - q) ** 2 / pooled).sum())
    return float(chdtrc(len(pooled) - 1, statistic))


def distances(before: Floats, now: Floats) -> tuple[float, float | None]:
    """Return the distance of Kolmogorov and Smirnov, and how far the values moved on average; both columns sorted.

    The first is the largest gap between the two cumulative distributions; the second the area between them
    (Wasserstein's first distance) in standard deviations of ``before``: None where that is constant, or not finite.

    >>> distances(np.array([0.0, 2.0]), np.array([1.0, 3.0]))
    (0.5, 1.0)
    """
    at = np.concatenate([before, now])
    at.sort()
    gaps = np.abs(np.searchsorted(before, at, "right") / len(before) - np.searchsorted(now, at, "right") / len(now))
    if not np.isfinite(at).all() or before[0] == before[-1]:
        return float(gaps.max()), None
    return float(gaps.max()), float((gaps[:-1] * np.diff(at)).sum() / np.std(before))


def total_variation(before: Floats, now: Floats) -> float:
    """Return half the sum of the shares' differences: the share of rows that would have to change their category.

    >>> round(total_variation(np.array([5.0, 5.0]), np.array([6.0, 4.0])), 3)
    0.1
    """
    return float(np.abs(before / before.sum() - now / now.sum()).sum() / 2)


def holm(p_values: Floats) -> Floats:
    """Return p-values adjusted for their number (Holm 1979): at most 5 % of unchanged reports have one below .05.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    if (p_values < 0).any() or (p_values > 1).any():
        raise ModelError(f"p-values must lie between 0 and 1; got {p_values.min()} to {p_values.max()}.")
    order = np.argsort(p_values, kind="stable")
    raised = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(raised, 1)
    return adjusted
