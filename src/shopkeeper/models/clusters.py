"""How many groups of behaviour a shop's customers form, and the threshold tree that tells them apart.

Everything here takes raw rows x ``FEATURES`` of customers with an order, in one order (``in_one_order``), and is
deterministic for a seed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shopkeeper.errors import ModelError
from shopkeeper.models.customer_rows import sampled
from shopkeeper.models.segment_model import (
    KINDS,
    MONEY,
    OFTEN,
    WIDTH,
    Bools,
    Floats,
    Space,
    Whole,
    middle_and_scale,
)
from shopkeeper.models.threshold_tree import Tree, distances, fit_tree, human_numbers, means

LEAST_BUYERS = 50
LEAST_SHARE, LEAST_ROWS = 0.01, 5
MOST_OUTLIERS = 0.02
MOST_LEAVES = 12
LITTLE_COST = 0.005
"""How much more than the best a number of leaves may cost to be considered."""
JUDGED = 5_000
"""Customers that silhouettes are computed over at most: they take time with the square of the rows."""
STARTS, FREE_STARTS, MOST_TREES = 8, 20, 3
CHOICE_BOOTSTRAPS = 12
BLOCK = 16
"""Rows whose distances to all others are held at a time: the cache holds them, and one thread serves best."""
LITTLE_RANK = 1.0
"""How much worse than the best mean rank a smaller k may be: differences below turn round from month to month."""
LITTLE_STABILITY = 0.02
"""How much less than the most stable a smaller number of leaves may be."""
MOST_STEPS = 300
SAME_COST = 1e-5
"""Two starts of k-means whose costs differ by less than this share have found the same clusters."""
CRITERIA = ("silhouette", "calinski_harabasz", "davies_bouldin", "stability")


@dataclass(frozen=True)
class Clusters:
    """Clusters 0 to k - 1 as a tree over those within the fences, the space of behaviour, and the centres in it.

    ``fences``: feature → the least value that is far beyond the rest.
    """

    tree: Tree
    fences: Mapping[int, float]
    space: Space
    centres: Floats

    def inside(self, values: Floats) -> Bools:
        """Return which rows have an order and are within the fences."""
        return (values[:, OFTEN] > 0) & ~_beyond(values, self.fences)


def fit_clusters(values: Floats, k: int, leaves: int, *, seed: int, starts: int = STARTS) -> Clusters:
    """Return ``k`` clusters as a tree of at most ``leaves`` leaves: the one of least cost from several starts of k-means.

    Raises ModelError if fewer than 50 customers have an order, or thresholds cannot tell them apart in ``k`` ways.
    """
    if len(values) < LEAST_BUYERS:
        raise ModelError(
            f"behavioural segments must have at least {LEAST_BUYERS} customers with an order to be found; got {len(values)}. "
            f"The named RFM groups serve until there are more."
        )
    fences = _fences(values)
    values = values[~_beyond(values, fences)]
    space = Space.of(values)
    points = space(values)
    n_different = len(np.unique(points.round(9), axis=0))
    grids = [human_numbers(kind, *_span(values[:, place])) for place, kind in enumerate(KINDS)]
    cuts = [space.cut(place, grid) for place, grid in enumerate(grids)]
    least = max(LEAST_ROWS, int(np.ceil(LEAST_SHARE * len(values))))
    best: tuple[float, Tree, Floats] | None = None
    begun = _different_starts(points, k, seed, starts) if n_different >= k else []
    for free, labels in begun:
        tree, centres = fit_tree(values, points, grids, cuts, labels=labels, centres=free, leaves=leaves, least=least)
        found = tree.assign(values)
        if len(np.unique(found)) < k:
            continue
        cost = float(((points - centres[found]) ** 2).sum())
        if best is None or cost < best[0] * (1 - 1e-9):
            best = (cost, tree, centres)
    if best is None:
        raise ModelError(
            f"customers must differ enough for {k} segments of behaviour; got {n_different} different ones among "
            f"{len(values)}. The named RFM groups serve until they do."
        )
    return Clusters(best[1], fences, space, best[2])


def _different_starts(points: Floats, k: int, seed: int, starts: int) -> list[tuple[Floats, Whole]]:
    """Return the best few of several runs of free k-means that found different clusters."""
    runs = [k_means(points, k, seed=1000 * seed + start, starts=1) for start in range(starts)]
    kept: list[tuple[Floats, Whole, float]] = []
    for run in sorted(runs, key=lambda run: run[2]):
        if not kept or run[2] > (1 + SAME_COST) * kept[-1][2]:
            kept.append(run)
    return [(centres, labels) for centres, labels, _ in kept[:MOST_TREES]]


def resampled(
    values: Floats, k: int, leaves: int, *, seed: int, times: int, to_choose: bool = False
) -> Iterator[Clusters]:
    """Yield clusters fitted anew, from fences to tree, on customers drawn with replacement; failed fits are left out.

    ``to_choose``: draw others than those by which the chosen recipe is judged. Trees of any number of leaves are grown on
    the same draws, so that what tells them apart is not chance.
    """
    rng = np.random.default_rng([seed, k, int(to_choose)])
    for time in range(times):
        drawn = np.sort(rng.integers(len(values), size=len(values)))
        try:
            yield fit_clusters(values[drawn], k, leaves, seed=seed + 1 + time)
        except ModelError:
            continue


def choose(
    values: Floats, *, least: int, most: int, seed: int, tell: Callable[[int, int], None]
) -> tuple[dict[str, int], dict[str, list[Any]]]:
    """Return the recipe (``k``, ``leaves``) and the table that k was chosen by: one row per k, with twelve leaves.

    Each k has a rank by silhouette, by Calinski and Harabasz (1974), by Davies and Bouldin (1979) and by stability (the
    mean adjusted Rand index of fits on resampled customers, Hubert and Arabie 1985); the smallest k wins whose
    mean rank is within one of the least. Of the numbers of leaves that cost at most half a percent more than the best, the
    smallest is taken whose stability is within .02 of the most stable. ``tell``: done, total.

    Raises ModelError as ``fit_clusters`` if no k can be fitted.
    """
    table: dict[str, list[Any]] = {name: [] for name in ("k", *CRITERIA, "cost_ratio")}
    failed: ModelError | None = None
    for k in range(least, most + 1):
        tell(k - least, most - least + 2)
        try:
            found = fit_clusters(values, k, MOST_LEAVES, seed=seed)
        except ModelError as error:
            failed = error
            continue
        row = {"k": k, **_judged(values, found, k, seed=seed)}
        for name, value in row.items():
            table[name].append(value)
    if failed and not table["k"]:
        raise failed
    ranks = [_ranks(np.array(table[name]), higher_is_better=name != "davies_bouldin") for name in CRITERIA]
    table["mean_rank"] = np.mean(ranks, axis=0).tolist()
    enough = min(table["mean_rank"]) + LITTLE_RANK
    k = next(k for k, rank in zip(table["k"], table["mean_rank"], strict=True) if rank <= enough)
    table["is_chosen"] = [each == k for each in table["k"]]
    tell(most - least + 1, most - least + 2)
    return {"k": k, "leaves": _leaves(values, k, seed=seed)}, table


def _judged(values: Floats, found: Clusters, k: int, *, seed: int) -> dict[str, float]:
    within = found.inside(values)
    points, labels = found.space(values[within]), found.tree.assign(values[within])
    some = sampled(len(points), JUDGED, seed)
    free = k_means(points, k, seed=seed, starts=FREE_STARTS)[2]
    dense, mixed = compactness(points, labels, np.ones(len(labels)))
    return {
        "silhouette": float(silhouettes(points[some], labels[some]).mean()),
        "calinski_harabasz": dense,
        "davies_bouldin": mixed,
        "stability": _stability(values, found, k, MOST_LEAVES, seed=seed),
        "cost_ratio": cost_of(points, labels) / max(free, 1e-12),
    }


def _stability(values: Floats, found: Clusters, k: int, leaves: int, *, seed: int) -> float:
    within = found.inside(values)
    labels = found.tree.assign(values[within])
    again = [
        rand_index(labels, each.tree.assign(values[within]))
        for each in resampled(values, k, leaves, seed=seed, times=CHOICE_BOOTSTRAPS, to_choose=True)
    ]
    return float(np.mean(again)) if again else 0.0


def _leaves(values: Floats, k: int, *, seed: int) -> int:
    """Return how many leaves to allow: the fewest that cost little more than the best, and are little less stable."""
    tried: dict[int, tuple[Clusters, float]] = {}
    for leaves in range(k, MOST_LEAVES + 1):
        try:
            found = fit_clusters(values, k, leaves, seed=seed)
        except ModelError:
            continue
        within = found.inside(values)
        tried[leaves] = found, cost_of(found.space(values[within]), found.tree.assign(values[within]))
    enough = (1 + LITTLE_COST) * min(cost for _, cost in tried.values())
    stable = {
        leaves: _stability(values, found, k, leaves, seed=seed)
        for leaves, (found, cost) in tried.items()
        if cost <= enough
    }
    return min(leaves for leaves in stable if stable[leaves] >= max(stable.values()) - LITTLE_STABILITY)


def k_means(points: Floats, k: int, *, seed: int, starts: int) -> tuple[Floats, Whole, float]:
    """Return centres, labels and cost of free k-means: of several starts the one of least cost.

    Begun by k-means++ (Arthur and Vassilvitskii 2007), then Lloyd's steps (1982) until nobody moves. Sums are added up in
    one order, so that the same points give the same bits on any machine with any number of threads.
    """
    rng = np.random.default_rng([seed, k])
    runs = [_lloyd(points, _spread_out(points, k, rng)) for _ in range(starts)]
    costs = [float(((points - centres[labels]) ** 2).sum()) for centres, labels in runs]
    best = int(np.argmin(costs))
    return *runs[best], costs[best]


def _spread_out(points: Floats, k: int, rng: np.random.Generator) -> Floats:
    """Return k of the points, each drawn with a chance in proportion to its squared distance from those drawn before."""
    places = [int(rng.integers(len(points)))]
    apart = ((points - points[places[0]]) ** 2).sum(axis=1)
    for _ in range(1, k):
        sums = np.cumsum(apart)
        place = int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))
        places.append(min(place, len(points) - 1))
        apart = np.minimum(apart, ((points - points[places[-1]]) ** 2).sum(axis=1))
    return points[places]


def _lloyd(points: Floats, centres: Floats) -> tuple[Floats, Whole]:
    labels = nearest(points, centres)
    for _ in range(MOST_STEPS):
        centres = means(points, labels, centres)
        moved = nearest(points, centres)
        if np.array_equal(moved, labels):
            break
        labels = moved
    return centres, labels


def silhouettes(points: Floats, labels: Whole) -> Floats:
    """Return each row's silhouette (Rousseeuw 1987), -1 to 1: (b - a) / max(a, b).

    ``a``: mean distance to the other rows of its part, ``b``: to the rows of the nearest other part. 0 for a row alone in
    its part, and everywhere where there is one part only.
    """
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return np.zeros(len(labels))
    parts = np.eye(len(counts))[codes]
    squares = (points**2).sum(axis=1)
    found = np.empty(len(points))
    for start in range(0, len(points), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(points)))
        apart = squares[rows, None] + squares[None, :] - 2 * (points[rows] @ points.T)
        np.maximum(apart, 0, out=apart)
        apart[rows - start, rows] = 0
        sums = np.sqrt(apart, out=apart) @ parts
        mine = codes[rows]
        own = sums[rows - start, mine] / np.maximum(counts[mine] - 1, 1)
        others = sums / counts
        others[rows - start, mine] = np.inf
        other = others.min(axis=1)
        widest = np.maximum(np.maximum(own, other), 1e-12)
        found[rows] = np.where(counts[mine] > 1, (other - own) / widest, 0.0)
    return found


def compactness(points: Floats, codes: Whole, weights: Floats | Whole) -> tuple[float, float]:
    """Return Calinski and Harabasz's index (higher is better) and Davies and Bouldin's (lower) of weighted rows.

    ``codes``: the part of each row, from 0; ``weights``: how often each row counts. NaN where fewer than two parts have rows.
    """
    counts = np.bincount(codes, weights)
    met = counts > 0
    if met.sum() < 2:
        return float("nan"), float("nan")
    sums = np.column_stack([np.bincount(codes, weights * column) for column in points.T])
    centres = sums / np.maximum(counts, 1)[:, None]
    squares = ((points - centres[codes]) ** 2).sum(axis=1)
    within = float((weights * squares).sum())
    middle = sums.sum(axis=0) / counts.sum()
    between = float((counts * ((centres - middle) ** 2).sum(axis=1)).sum())
    n, k = float(counts.sum()), int(met.sum())
    spread = (np.bincount(codes, weights * np.sqrt(squares)) / np.maximum(counts, 1))[met]
    apart = np.sqrt(distances(centres[met], centres[met]))
    np.fill_diagonal(apart, np.inf)
    ratio = (spread[:, None] + spread[None, :]) / np.maximum(apart, 1e-12)
    return between / (k - 1) / max(within / max(n - k, 1), 1e-12), float(ratio.max(axis=1).mean())


def cost_of(points: Floats, labels: Whole) -> float:
    """Return the k-means cost of a partition: the sum of squared distances from each part's mean."""
    _, part, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.column_stack([np.bincount(part, column) for column in points.T])
    return float(((points - (sums / counts[:, None])[part]) ** 2).sum())


def nearest(points: Floats, centres: Floats) -> Whole:
    """Return the nearest centre of each row; of equals the first."""
    apart = np.zeros((len(centres), len(points)))
    for place in range(points.shape[1]):
        apart += (points[:, place] - centres[:, place, None]) ** 2
    return np.asarray(apart.argmin(axis=0), np.int64)


def ranks(values: Floats) -> Floats:
    """Return the place of each value, from 1 for the least; equal ones share the mean of theirs.

    >>> ranks(np.array([7.0, 3.0, 7.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, of, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[of], np.float64)


def rand_index(labels: Whole, other: Whole) -> float:
    """Return the Rand index adjusted for chance (Hubert and Arabie 1985): 1 for the same partition, 0 for a random one."""
    _, one = np.unique(labels, return_inverse=True)
    _, two = np.unique(other, return_inverse=True)
    n = len(labels)

    def pairs(counts: Whole) -> float:
        return float((counts * (counts - 1) / 2).sum())

    both = pairs(np.bincount(one * (int(two.max()) + 1) + two))
    of_one, of_two = pairs(np.bincount(one)), pairs(np.bincount(two))
    expected = of_one * of_two / (n * (n - 1) / 2)
    most = (of_one + of_two) / 2
    return 1.0 if most == expected else (both - expected) / (most - expected)


def _fences(values: Floats) -> dict[int, float]:
    middle, scale = middle_and_scale(values)
    fences = {}
    for feature in (OFTEN, MONEY):
        if scale[feature] <= 0:
            continue
        beyond = float(np.expm1(middle[feature] + WIDTH * scale[feature]))
        usual = human_numbers(KINDS[feature], 0.0, np.inf)
        usual = usual[np.argmin(np.abs(np.log(usual / beyond))) :]
        few = next((each for each in usual.tolist() if (values[:, feature] >= each).mean() <= MOST_OUTLIERS), None)
        if few is not None:
            fences[feature] = few
    return fences


def _beyond(values: Floats, fences: Mapping[int, float]) -> Bools:
    found = np.zeros(len(values), bool)
    for feature, fence in fences.items():
        found |= values[:, feature] >= fence
    return found


def _span(column: Floats) -> tuple[float, float]:
    return float(column.min()), float(column.max())


def _ranks(values: Floats, *, higher_is_better: bool) -> Floats:
    return ranks(-values if higher_is_better else values)
