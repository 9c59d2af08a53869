"""How many groups of behaviour a shop's customers form, and the threshold tree that tells them apart.

Everything here takes raw rows × ``FEATURES`` of customers with an order, in one order (``in_one_order``), and is
deterministic for a seed.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from shopkeeper.errors import ModelError
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
from shopkeeper.models.threshold_tree import Tree, distances, fit_tree, human_numbers

LEAST_BUYERS = 50
LEAST_SHARE, LEAST_ROWS = 0.01, 5
MOST_OUTLIERS = 0.02
MOST_LEAVES = 12
LITTLE_COST = 0.02
"""How much more than the best a number of leaves may cost to be considered."""
JUDGED = 5_000
"""Customers that silhouettes are computed over at most: they take time with the square of the rows."""
STARTS, FREE_STARTS = 8, 20
CHOICE_BOOTSTRAPS = 10
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
    met: list[float] = []
    for start in range(starts if n_different >= k else 0):
        centres, labels, free = k_means(points, k, seed=1000 * seed + start, starts=1)
        if any(abs(free - other) <= SAME_COST * free for other in met):
            continue
        met.append(free)
        tree, centres = fit_tree(
            values, points, grids, cuts, labels=labels, centres=centres, leaves=leaves, least=least
        )
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


def resampled(
    values: Floats, k: int, leaves: int, *, seed: int, times: int, to_choose: bool = False
) -> Iterator[Clusters]:
    """Yield clusters fitted anew, from fences to tree, on customers drawn with replacement; failed fits are left out.

    ``to_choose``: draw others than those by which the chosen recipe is judged.
    """
    rng = np.random.default_rng([seed, k, leaves, int(to_choose)])
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
    mean adjusted Rand index of fits on resampled customers, Hubert and Arabie 1985); the least mean rank wins, of equals
    the smaller k. Of the numbers of leaves that cost at most 2 % more than the best, the most stable one is taken, of
    equals the smaller. ``tell``: done, total. Raises ModelError as ``fit_clusters`` if no k can be fitted.
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
    k = table["k"][int(np.argmin(table["mean_rank"]))]
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
    from sklearn.metrics import adjusted_rand_score

    within = found.inside(values)
    labels = found.tree.assign(values[within])
    again = [
        adjusted_rand_score(labels, each.tree.assign(values[within]))
        for each in resampled(values, k, leaves, seed=seed, times=CHOICE_BOOTSTRAPS, to_choose=True)
    ]
    return float(np.mean(again)) if again else 0.0


def _leaves(values: Floats, k: int, *, seed: int) -> int:
    """Return how many leaves to allow: the most stable number among those that cost little more than the best."""
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
    return max(stable, key=lambda leaves: (stable[leaves], -leaves))


def k_means(points: Floats, k: int, *, seed: int, starts: int) -> tuple[Floats, Whole, float]:
    """Return centres, labels and cost of free k-means. One thread: sums in one order, whatever the machine."""
    from sklearn.cluster import KMeans

    with one_thread():
        found = KMeans(k, n_init=starts, random_state=seed).fit(points)
    return found.cluster_centers_, found.labels_.astype(np.int64), float(found.inertia_)


def silhouettes(points: Floats, labels: Whole) -> Floats:
    """Return each row's silhouette (Rousseeuw 1987), -1 to 1; 0 where all rows have one label or each its own."""
    from sklearn.metrics import silhouette_samples

    n_labels = len(np.unique(labels))
    if not 1 < n_labels < len(labels):
        return np.zeros(len(labels))
    with one_thread():
        return np.asarray(silhouette_samples(points, labels), np.float64)


def compactness(points: Floats, codes: Whole, weights: Floats) -> tuple[float, float]:
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
    """Return the nearest centre of each row."""
    return distances(points, centres).argmin(axis=1)


def sampled(n: int, most: int, seed: int) -> Whole:
    """Return ``n`` places, or ``most`` of them drawn without replacement, ascending."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, n]).choice(n, most, replace=False))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let numerical libraries use one thread, so that they add up in one order."""
    with _threads().limit(limits=1):
        yield


@cache
def _threads() -> Any:
    # Finding the libraries takes longer than a k-means, and those that matter are loaded by this import.
    import sklearn.cluster  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


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
    from scipy.stats import rankdata

    return np.asarray(rankdata(-values if higher_is_better else values), np.float64)
