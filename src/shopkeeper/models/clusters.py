"""How many groups of behaviour a shop's customers form, and the threshold tree that tells them apart.

Everything here takes raw rows × ``FEATURES`` of customers with an order, in one order (``in_one_order``), and is
deterministic for a seed.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
"""Leaves are spared as long as the cost stays within this share of that of the most leaves."""
JUDGED = 5_000
"""Customers that silhouettes are computed over at most: they take time with the square of the rows."""
STARTS, FREE_STARTS = 8, 20
CHOICE_BOOTSTRAPS = 10
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
    for start in range(starts if n_different >= k else 0):
        centres, labels, _ = k_means(points, k, seed=1000 * seed + start, starts=1)
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


def resampled(values: Floats, k: int, leaves: int, *, seed: int, times: int) -> Iterator[Clusters]:
    """Yield clusters fitted anew, from fences to tree, on customers drawn with replacement; failed fits are left out."""
    rng = np.random.default_rng([seed, k, leaves])
    for time in range(times):
        drawn = np.sort(rng.integers(len(values), size=len(values)))
        try:
            yield fit_clusters(values[drawn], k, leaves, seed=seed + 1 + time)
        except ModelError:
            continue


def choose(
    values: Floats, *, least: int, most: int, seed: int, tell: Callable[[int, int], None]
) -> tuple[dict[str, int], dict[str, list[Any]]]:
    """Return the recipe (``k``, ``leaves``) and the table that it was chosen by: one row per k.

    Each k has a rank by silhouette, by Calinski and Harabasz (1974), by Davies and Bouldin (1979) and by stability (the
    mean adjusted Rand index of fits on resampled customers, Hubert and Arabie 1985); the least mean rank wins, of equals
    the smaller k. Leaves are the fewest that cost at most 2 % more than twelve. ``tell``: done, total.
    Raises ModelError as ``fit_clusters`` if no k can be fitted.
    """
    from sklearn.metrics import adjusted_rand_score, calinski_harabasz_score, davies_bouldin_score

    table: dict[str, list[Any]] = {name: [] for name in ("k", "leaves", *CRITERIA, "cost_ratio")}
    failed: ModelError | None = None
    for k in range(least, most + 1):
        tell(k - least, most - least + 1)
        try:
            leaves, found = _fewest_leaves(values, k, seed=seed)
        except ModelError as error:
            failed = error
            continue
        within = found.inside(values)
        labels = found.tree.assign(values)
        points = found.space(values[within])
        some = sampled(len(points), JUDGED, seed)
        again = [
            adjusted_rand_score(labels, np.where(each.inside(values), each.tree.assign(values), -1))
            for each in resampled(values, k, leaves, seed=seed, times=CHOICE_BOOTSTRAPS)
        ]
        free = k_means(points, k, seed=seed, starts=FREE_STARTS)[2]
        row = {
            "k": k,
            "leaves": leaves,
            "silhouette": float(silhouettes(points[some], labels[within][some]).mean()),
            "calinski_harabasz": float(calinski_harabasz_score(points, labels[within])),
            "davies_bouldin": float(davies_bouldin_score(points, labels[within])),
            "stability": float(np.mean(again)) if again else 0.0,
            "cost_ratio": cost_of(points, labels[within]) / max(free, 1e-12),
        }
        for name, value in row.items():
            table[name].append(value)
    if failed and not table["k"]:
        raise failed
    ranks = [
        _ranks(np.array(table[name]), higher_is_better=name != "davies_bouldin") for name in CRITERIA
    ]
    table["mean_rank"] = np.mean(ranks, axis=0).tolist()
    chosen = int(np.argmin(table["mean_rank"]))
    return {"k": table["k"][chosen], "leaves": table["leaves"][chosen]}, table


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
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def _fewest_leaves(values: Floats, k: int, *, seed: int) -> tuple[int, Clusters]:
    found = {leaves: fit_clusters(values, k, leaves, seed=seed) for leaves in range(k, MOST_LEAVES + 1)}

    def cost(each: Clusters) -> float:
        within = each.inside(values)
        return cost_of(each.space(values[within]), each.tree.assign(values[within]))

    enough = (1 + LITTLE_COST) * min(cost(each) for each in found.values())
    return next((leaves, each) for leaves, each in found.items() if cost(each) <= enough)


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

