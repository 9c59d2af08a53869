"""Behavioural segments that are defined by a threshold tree, so that each is one readable condition.

Free k-means finds what groups there are; the tree (``models.threshold_tree``) makes them rules in raw units. Those far
beyond the rest (wholesalers among gift buyers) are neither thrown away nor allowed to pull the centres: thresholds on
orders and net sales fence them off into a segment of their own. Those without an order are prospects.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from shopkeeper.models.clusters import (
    FREE_STARTS,
    JUDGED,
    MOST_LEAVES,
    Clusters,
    cost_of,
    fit_clusters,
    k_means,
    nearest,
    rand_index,
    resampled,
    silhouettes,
)
from shopkeeper.models.customer_rows import sampled
from shopkeeper.models.model import State, array_of
from shopkeeper.models.rfm import GROUPS, Edges, fit_edges
from shopkeeper.models.segment_model import (
    FEATURES,
    KINDS,
    MONEY,
    OFTEN,
    OUTLIERS,
    PROSPECTS,
    Floats,
    Segment,
    SegmentModel,
    Space,
    Whole,
    behaviour,
    in_one_order,
    is_possible,
    matched,
    names_of,
    rule_in_words,
)
from shopkeeper.models.threshold_tree import Tree, rule_of, where

SAMPLE = 20_000
"""Customers that a tree is fitted on at most; all are scored."""
BOOTSTRAPS = 24
SAME = 0.5
"""Jaccard index from which on a segment keeps the id and name of the one it follows."""
SPECIAL = {PROSPECTS: GROUPS[0], OUTLIERS: "outliers: far more orders or sales than the rest"}


class ThresholdSegments(SegmentModel):
    """Segments by a threshold tree of at most ``leaves`` leaves over ``k`` clusters of behaviour.

    ``bootstraps``: how often the whole is fitted anew on resampled customers; the mean adjusted Rand index against the
    segments is ``stability``, and the share of those fits that give a customer the same segment is its ``certainty`` (1 for
    prospects and outliers, who have fences). Ids: 1 to k by net sales per customer, until ``follow`` keeps earlier ones.
    Fitting raises ModelError if fewer than 50 customers have an order, or they cannot be told apart in ``k`` ways.
    """

    name: ClassVar[str] = "threshold_tree"
    clusters: Clusters
    numbers: dict[int, int]
    tree: Tree
    others: list[Tree]
    names: dict[int, str]
    stability: float

    def __init__(
        self, *, seed: int = 0, k: int = 4, leaves: int = MOST_LEAVES, bootstraps: int = BOOTSTRAPS, **parameters: Any
    ) -> None:
        """Take the recipe."""
        super().__init__(seed=seed, k=k, leaves=leaves, bootstraps=bootstraps, **parameters)
        self.k, self.leaves, self.bootstraps = k, leaves, bootstraps

    @property
    def segments(self) -> Sequence[Segment]:
        """Prospects, the clusters and the outliers; SQL and words are the tree's own leaves, simplified.

        The SQL is exact; the words leave out what prospects and outliers say of themselves.
        """
        clusters = self.clusters.tree.renamed(self.numbers)
        found = []
        for each in sorted({cluster for cluster, _ in self.tree.leaves()}):
            sql = where(rule_of(self.tree, each, is_possible), FEATURES, KINDS)
            told = rule_of(self.tree if each in SPECIAL else clusters, each, is_possible)
            words = "no order yet" if each == PROSPECTS else rule_in_words(told)
            if each == OUTLIERS:
                fences = sorted(self.clusters.fences.items())
                words = "; or ".join(rule_in_words([{feature: (fence, np.inf)}]) for feature, fence in fences)
            found.append(Segment(each, self.names[each], sql, words))
        return found

    @property
    def ids(self) -> list[int]:
        """The id of each cluster, in the order of the centres."""
        return [self.numbers[each] for each in range(len(self.clusters.centres))]

    def assign(self, rows: pa.Table) -> Whole:
        """Return each row's segment."""
        return self.tree.assign(behaviour(rows))

    def certainty(self, rows: pa.Table, assigned: Whole) -> Floats:
        """Return the share of the refits on resampled customers that give each row the same segment."""
        if not self.others:
            return np.ones(len(assigned))
        values = behaviour(rows)
        found = np.mean([tree.assign(values) == assigned for tree in self.others], axis=0)
        return np.where((assigned == PROSPECTS) | (assigned == OUTLIERS), 1.0, found)

    def follow(self, earlier: "ThresholdSegments", rows: pa.Table) -> None:
        """Keep the ids and names of an earlier model's segments where they mean the same: they share half of their union.

        ``rows``: customers by whom to compare. A new segment takes a free id from 1 to 8, and a name no other has.
        """
        mine, theirs = self.assign(rows), earlier.assign(rows)
        common = ~np.isin(mine, list(SPECIAL)) & ~np.isin(theirs, list(SPECIAL))
        pairs = matched(mine[common], theirs[common])
        kept = {each: pairs[each][0] for each in self.ids if each in pairs and pairs[each][1] >= SAME}
        free = iter([each for each in range(1, OUTLIERS) if each not in kept.values()])
        ids = {each: kept[each] if each in kept else next(free) for each in sorted(self.ids)}
        names = {kept[each]: earlier.names[kept[each]] for each in kept}
        for each in sorted(self.ids):
            if each not in kept:
                name = self.names[each]
                names[ids[each]] = f"{name} ({ids[each]})" if name in names.values() else name
        everyone = ids | {each: each for each in SPECIAL}
        self.numbers = {cluster: ids[each] for cluster, each in self.numbers.items()}
        self.tree = self.tree.renamed(everyone)
        self.others = [tree.renamed(everyone) for tree in self.others]
        self.names = names | SPECIAL

    def against_free(self, rows: pa.Table) -> dict[str, float]:
        """Return the price of being explainable on customers: the tree's figures and free k-means' in the same space.

        ``cost_ratio``: the tree's k-means cost over the free one's; ``silhouette``, ``silhouette_free`` and
        ``silhouette_ratio``. Over customers with an order within the fences; free k-means is fitted on these very rows.
        """
        values = in_one_order(behaviour(rows))
        values = values[self.clusters.inside(values)]
        values = values[sampled(len(values), JUDGED, self.seed)]
        points, found = self.clusters.space(values), self.tree.assign(values)
        _, labels, free = k_means(points, self.k, seed=self.seed, starts=FREE_STARTS)
        of_tree, of_free = silhouettes(points, found).mean(), silhouettes(points, labels).mean()
        return {
            "cost_ratio": cost_of(points, found) / free,
            "silhouette": float(of_tree),
            "silhouette_free": float(of_free),
            "silhouette_ratio": float(of_tree / of_free),
        }

    def free_clusters(self, rows: pa.Table, judged: pa.Table) -> tuple[Whole, Whole]:
        """Return free k-means' clusters for ``rows``, which it is fitted on, and for ``judged``, by the nearest centre."""
        points, others = self.clusters.space(behaviour(rows)), self.clusters.space(behaviour(judged))
        centres, _, _ = k_means(in_one_order(points), self.k, seed=self.seed, starts=FREE_STARTS)
        return nearest(points, centres), nearest(others, centres)

    def _explain(self, rows: pa.Table, top: int) -> pa.Table:
        """Say by which features a customer is nearer to its segment's centre than to the next: ``effect`` in squared sd."""
        values = behaviour(rows)
        points, centres = self.clusters.space(values), self.clusters.centres
        told: dict[str, list[Any]] = {name: [] for name in ("row", "place", "feature", "value", "effect")}
        for row, segment in enumerate(self.assign(rows).tolist()):
            if segment in SPECIAL:
                continue
            mine = self.ids.index(segment)
            apart = (points[row] - centres) ** 2
            rival = min((each for each in range(len(centres)) if each != mine), key=lambda each: apart[each].sum())
            effects = apart[rival] - apart[mine]
            for place, feature in enumerate(np.argsort(-np.abs(effects), kind="stable")[:top].tolist()):
                told["row"].append(row)
                told["place"].append(place + 1)
                told["feature"].append(FEATURES[feature])
                told["value"].append(f"{values[row, feature]:g}")
                told["effect"].append(float(effects[feature]))
        return pa.table(told, schema=super()._explain(rows, top).schema)

    def _fit(self, rows: pa.Table) -> None:
        everyone = behaviour(rows)
        everyone = in_one_order(everyone[everyone[:, OFTEN] > 0])
        values = everyone[sampled(len(everyone), SAMPLE, self.seed)]
        self.clusters = fit_clusters(values, self.k, self.leaves, seed=self.seed)
        self.edges = fit_edges(rows)
        inside = self.clusters.inside(everyone)
        within, found = everyone[inside], self.clusters.tree.assign(everyone[inside])
        sales = [within[found == each, MONEY].mean() for each in range(self.k)]
        ranked = np.argsort(-np.array(sales), kind="stable").tolist()
        self.numbers = {each: 1 + ranked.index(each) for each in range(self.k)}
        self.tree = _whole(self.clusters, self.numbers)
        self.names = names_of(within, self.tree.assign(within)) | SPECIAL
        self._fit_others(values)

    def _fit_others(self, values: Floats) -> None:
        found = self.tree.assign(values)
        self.others, agreements = [], []
        for again in resampled(values, self.k, self.leaves, seed=self.seed, times=self.bootstraps):
            apart = _whole(again, {each: each + 100 for each in range(self.k)})
            other = apart.assign(values)
            agreements.append(rand_index(found, other))
            common = (found != OUTLIERS) & (other != OUTLIERS)
            pairs = matched(other[common], found[common])
            self.others.append(
                apart.renamed({each: to for each, (to, _) in pairs.items()} | {each: each for each in SPECIAL})
            )
        self.stability = float(np.mean(agreements)) if agreements else 0.0

    def _state(self) -> State:
        trees = [self.tree, self.clusters.tree, *self.others]
        space = self.clusters.space
        return {
            "edges": self.edges.told(),
            "names": {str(each): name for each, name in self.names.items()},
            "numbers": self.ids,
            "fences": {FEATURES[feature]: value for feature, value in self.clusters.fences.items()},
            "stability": self.stability,
            "sizes": [len(tree.feature) for tree in trees],
            "trees": np.concatenate([tree.as_rows() for tree in trees]),
            "centres": self.clusters.centres,
            "space": np.vstack([space.least, space.mean, space.deviation]),
        }

    def _restore(self, state: State) -> None:
        trees = array_of(state, "trees", sum(state["sizes"]), 5)
        parts = np.split(trees, np.cumsum(state["sizes"])[:-1])
        self.tree, core, *self.others = [Tree.of_rows(part) for part in parts]
        self.edges = Edges.of(state["edges"])
        self.names = {int(each): name for each, name in state["names"].items()}
        self.numbers = dict(enumerate(state["numbers"]))
        space = array_of(state, "space", 3, len(FEATURES))
        fences = {FEATURES.index(name): value for name, value in state["fences"].items()}
        self.clusters = Clusters(core, fences, Space(*space), array_of(state, "centres", self.k, len(FEATURES)))
        self.stability = float(state["stability"])


def _whole(clusters: Clusters, numbers: Mapping[int, int]) -> Tree:
    """Return the tree over all customers: prospects, outliers, and the clusters by number."""
    tree = clusters.tree.renamed(numbers)
    for feature, fence in clusters.fences.items():
        tree = tree.fenced(feature, fence, cluster=OUTLIERS, is_above=True)
    return tree.fenced(OFTEN, 1.0, cluster=PROSPECTS, is_above=False)
