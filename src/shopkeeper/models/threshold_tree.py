"""A tree of thresholds in raw units that *is* a clustering, so that the rule is the segment.

Thresholds come from a grid of numbers that people use (30 days, 3 orders, 500), so nothing is rounded afterwards. The
tree is begun by iterative mistake minimisation over the centres of free k-means (IMM: Dasgupta, Frost, Moshkovitz and
Rashtchian, ICML 2020), grown to more leaves than clusters by the split that saves most cost (ExKMC: Frost, Moshkovitz
and Rashtchian, 2020), and then improved by alternating: each node's cut is the best one given what its subtrees do with
a row (tree alternating optimisation: Carreira-Perpinan and Tavallali, NeurIPS 2018), and each centre is the mean of its
rows. No step raises the k-means cost. All is deterministic.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from shopkeeper.errors import ModelError

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Box = dict[int, tuple[float, float]]
"""Feature → from (included) to (excluded); a feature without bounds is absent."""

FREE = (-np.inf, np.inf)
DAYS, COUNT, AMOUNT = "days", "count", "amount"
_DAYS = (2, 3, 7, 14, 30, 60, 90, 120, 180, 270, 365, 540, 730, 1095, 1460, 1825, 2555, 3650)
_COUNTS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 70)
SWEEPS, ROUNDS = 20, 6


@dataclass(frozen=True)
class Tree:
    """A fitted tree as arrays over its nodes, the root first; a row whose value is below the threshold goes left.

    ``feature`` is -1 at a leaf, and only there ``cluster`` counts.
    """

    feature: Whole
    threshold: Floats
    left: Whole
    right: Whole
    cluster: Whole

    @property
    def n_leaves(self) -> int:
        """How many leaves it has."""
        return int((self.feature < 0).sum())

    def assign(self, values: Floats) -> Whole:
        """Return the cluster of each row of raw values (rows x features); a missing value is not below any threshold."""
        at = np.zeros(len(values), np.int64)
        rows = np.arange(len(values))
        while (inner := self.feature[at] >= 0).any():
            here, mine = at[inner], rows[inner]
            below = values[mine, self.feature[here]] < self.threshold[here]
            at[inner] = np.where(below, self.left[here], self.right[here])
        return np.asarray(self.cluster[at])

    def leaves(self) -> Iterator[tuple[int, Box]]:
        """Yield each leaf's cluster and box, from left to right."""
        yield from self._leaves(0, {})

    def _leaves(self, node: int, box: Box) -> Iterator[tuple[int, Box]]:
        feature = int(self.feature[node])
        if feature < 0:
            yield int(self.cluster[node]), box
            return
        low, high = box.get(feature, (-np.inf, np.inf))
        threshold = float(self.threshold[node])
        yield from self._leaves(int(self.left[node]), {**box, feature: (low, min(high, threshold))})
        yield from self._leaves(int(self.right[node]), {**box, feature: (max(low, threshold), high)})

    def fenced(self, feature: int, threshold: float, *, cluster: int, is_above: bool) -> "Tree":
        """Return this tree under a new root, which gives rows at or above (or else below) the threshold to a cluster."""
        inner = self.feature >= 0
        children = (2, 1) if is_above else (1, 2)
        return Tree(
            np.concatenate([[feature, -1], self.feature]),
            np.concatenate([[threshold, 0.0], self.threshold]),
            np.concatenate([[children[0], 0], np.where(inner, self.left + 2, 0)]),
            np.concatenate([[children[1], 0], np.where(inner, self.right + 2, 0)]),
            np.concatenate([[-1, cluster], self.cluster]),
        )

    def renamed(self, names: Mapping[int, int]) -> "Tree":
        """Return the tree with its clusters called otherwise; one that is not named is nobody's, -1."""
        found = [names.get(each, -1) if leaf else -1 for each, leaf in zip(self.cluster, self.feature < 0, strict=True)]
        return Tree(self.feature, self.threshold, self.left, self.right, np.array(found, np.int64))

    def as_rows(self) -> Floats:
        """Return the tree as one array, a row per node, that ``of_rows`` reads back."""
        return np.column_stack([self.feature, self.threshold, self.left, self.right, self.cluster]).astype(np.float64)

    @classmethod
    def of_rows(cls, rows: Floats) -> "Tree":
        """Return the tree that ``as_rows`` wrote. Raises ModelError unless each way down it ends at a leaf."""
        feature, left, right, cluster = (rows[:, place].astype(np.int64) for place in (0, 2, 3, 4))
        inner, own = feature >= 0, np.arange(len(rows))
        children = np.stack([left, right])[:, inner]
        if not len(rows) or (children <= own[inner]).any() or (children >= len(rows)).any():
            raise ModelError("a tree's nodes must have children that come after them; got others. Train it anew.")
        return cls(feature, rows[:, 1], left, right, cluster)


def human_numbers(kind: str, low: float, high: float) -> Floats:
    """Return the numbers above ``low`` and up to ``high`` that people use for ``days``, ``count`` or ``amount``.

    Days: 2, 3, a week, two, months, years. Counts: each up to 5, then 7, 10, 15, 20, …. Amounts: 1, 2, 5 times
    powers of ten, of either sign.
    """
    if kind == DAYS:
        found = np.array(_DAYS, np.float64)
    elif kind == COUNT:
        found = np.array(
            [each * 10.0**power for power in range(6) for each in (_COUNTS if power == 0 else _COUNTS[6:])]
        )
    else:
        sizes = [each * 10.0**power for power in range(-2, 9) for each in (1, 2, 5)]
        found = np.array([-size for size in sizes] + sizes)
    found = np.unique(np.round(found, 6))
    return found[(found > low) & (found <= high)]


@dataclass
class _Node:
    """A node while the tree is being built: a cut at ``grids[feature][at]``, or a leaf."""

    cluster: int = 0
    feature: int = -1
    at: int = 0
    children: "tuple[_Node, _Node] | None" = field(default=None, repr=False)

    def clusters(self) -> set[int]:
        """Return the clusters that have a leaf."""
        return {self.cluster} if self.children is None else self.children[0].clusters() | self.children[1].clusters()


class _Grower:
    """Rows as codes: code ≤ j says that the value is below the grid's j-th number."""

    def __init__(self, values: Floats, space: Floats, grids: Sequence[Floats], least: int) -> None:
        self.grids, self.space, self.least = grids, space, least
        self.codes = [
            np.searchsorted(grid, values[:, place], side="right").astype(np.int64) for place, grid in enumerate(grids)
        ]
        self.n = len(values)

    def is_below(self, node: _Node, rows: Whole) -> npt.NDArray[np.bool_]:
        return self.codes[node.feature][rows] <= node.at

    def assign(self, node: _Node, rows: Whole, found: Whole) -> None:
        if node.children is None:
            found[rows] = node.cluster
            return
        below = self.is_below(node, rows)
        self.assign(node.children[0], rows[below], found)
        self.assign(node.children[1], rows[~below], found)

    def sums(self, feature: int, rows: Whole, weights: Floats) -> Floats:
        """Return, per number of the grid, the sums of each weight over the rows below it."""
        length = len(self.grids[feature]) + 1
        codes = self.codes[feature][rows]
        if weights.ndim == 1:
            return np.asarray(np.cumsum(np.bincount(codes, weights, length))[:-1], np.float64)
        columns = [np.cumsum(np.bincount(codes, weights[:, place], length))[:-1] for place in range(weights.shape[1])]
        return np.column_stack(columns)

    def counts(self, feature: int, rows: Whole) -> Whole:
        """Return how many rows are below each number of the grid."""
        return np.cumsum(np.bincount(self.codes[feature][rows], minlength=len(self.grids[feature]) + 1))[:-1]

    def allowed(self, feature: int, rows: Whole) -> npt.NDArray[np.bool_]:
        below = self.counts(feature, rows)
        return (below >= self.least) & (len(rows) - below >= self.least)

    def mistakes(self, rows: Whole, labels: Whole, kept: Whole, is_left: npt.NDArray[np.bool_], feature: int) -> Floats:
        """Return, per cut, the rows that it parts from their centre. ``is_left``: cuts x centres."""
        wrong = np.zeros(len(self.grids[feature]))
        for place, cluster in enumerate(kept):
            mine = rows[labels[rows] == cluster]
            below = self.counts(feature, mine)
            wrong += np.where(is_left[:, place], len(mine) - below, below)
        return wrong

    def begin(self, rows: Whole, labels: Whole, centres: Floats, cuts: Sequence[Floats], kept: Whole) -> _Node:
        """Return a tree with one leaf per centre, by iterative mistake minimisation. ``cuts``: the grids in the space."""
        best: tuple[float, int, int] | None = None
        for feature, cut in enumerate(cuts):
            if not len(cut) or len(kept) < 2:
                continue
            is_left = centres[kept, feature] < cut[:, None]
            parts = is_left.any(axis=1) & ~is_left.all(axis=1) & self.allowed(feature, rows)
            if not parts.any():
                continue
            wrong = np.where(parts, self.mistakes(rows, labels, kept, is_left, feature), np.inf)
            at = int(np.argmin(wrong))
            if best is None or wrong[at] < best[0]:
                best = (float(wrong[at]), feature, at)
        if best is None:
            return _Node(int(kept[np.argmax(np.bincount(labels[rows], minlength=len(centres))[kept])]))
        _, feature, at = best
        left = centres[kept, feature] < cuts[feature][at]
        below = self.codes[feature][rows] <= at
        # A row parted from its centre is left out of what follows, as in the paper.
        stays = np.isin(labels[rows], kept[left]) == below
        return _Node(
            feature=feature,
            at=at,
            children=(
                self.begin(rows[below & stays], labels, centres, cuts, kept[left]),
                self.begin(rows[~below & stays], labels, centres, cuts, kept[~left]),
            ),
        )

    def grow(self, root: _Node, costs: Floats, leaves: int) -> None:
        """Split, again and again, the leaf whose best split saves most cost, while leaves remain."""
        found = [(leaf, rows, self.best_split(rows, leaf, costs)) for leaf, rows in self.walk(root, np.arange(self.n))]
        while len(found) < leaves:
            place = int(np.argmax([split[0] for _, _, split in found]))
            leaf, rows, (gain, feature, at, left, right) = found.pop(place)
            if gain <= 1e-9:
                return
            leaf.feature, leaf.at, leaf.children = feature, at, (_Node(left), _Node(right))
            found += [(each, mine, self.best_split(mine, each, costs)) for each, mine in self.walk(leaf, rows)]

    def walk(self, node: _Node, rows: Whole) -> Iterator[tuple[_Node, Whole]]:
        """Yield each leaf and its rows."""
        if node.children is None:
            yield node, rows
            return
        below = self.is_below(node, rows)
        yield from self.walk(node.children[0], rows[below])
        yield from self.walk(node.children[1], rows[~below])

    def best_split(self, rows: Whole, leaf: _Node, costs: Floats) -> tuple[float, int, int, int, int]:
        """Return what the best split of a leaf saves, its feature and cut, and the clusters of its two sides."""
        best = (0.0, -1, 0, 0, 0)
        mine = costs[rows]
        total = mine.sum(axis=0)
        for feature in range(len(self.grids)):
            allowed = self.allowed(feature, rows)
            if not allowed.any():
                continue
            below = self.sums(feature, rows, mine)
            above = total - below
            saved = np.where(allowed, total[leaf.cluster] - below.min(axis=1) - above.min(axis=1), -np.inf)
            at = int(np.argmax(saved))
            if saved[at] > best[0]:
                best = (float(saved[at]), feature, at, int(below[at].argmin()), int(above[at].argmin()))
        return best

    def improve(self, node: _Node, rows: Whole, costs: Floats) -> None:
        """Give each leaf its best cluster and each node its best cut, from the leaves up."""
        if node.children is None:
            if len(rows):
                node.cluster = int(costs[rows].sum(axis=0).argmin())
            return
        below = self.is_below(node, rows)
        self.improve(node.children[0], rows[below], costs)
        self.improve(node.children[1], rows[~below], costs)
        of_left, of_right = np.zeros(self.n, np.int64), np.zeros(self.n, np.int64)
        self.assign(node.children[0], rows, of_left)
        self.assign(node.children[1], rows, of_right)
        left, right = costs[rows, of_left[rows]], costs[rows, of_right[rows]]
        best = float(left[below].sum() + right[~below].sum()) - 1e-9
        for feature in range(len(self.grids)):
            allowed = self.allowed(feature, rows)
            if not allowed.any():
                continue
            found = np.where(allowed, right.sum() + self.sums(feature, rows, left - right), np.inf)
            at = int(np.argmin(found))
            if found[at] < best:
                best, node.feature, node.at = float(found[at]), feature, at

    def fit(self, root: _Node, centres: Floats, leaves: int) -> tuple[_Node, Floats, float]:
        """Grow and improve in turn; return the tree, the centres and the cost."""
        last = np.inf
        for _ in range(ROUNDS):
            self.grow(root, distances(self.space, centres), leaves)
            centres, cost = self.settle(root, centres)
            # Siblings that came to one cluster leave room for other splits.
            root = _merged(root)
            if cost >= last * (1 - 1e-4):
                break
            last = cost
        return root, centres, cost

    def settle(self, root: _Node, centres: Floats) -> tuple[Floats, float]:
        """Improve cuts and centres in turn until the cost stays; return the centres and the cost."""
        everyone, found = np.arange(self.n), np.zeros(self.n, np.int64)
        last = np.inf
        for _ in range(SWEEPS):
            self.improve(root, everyone, distances(self.space, centres))
            self.assign(root, everyone, found)
            centres = means(self.space, found, centres)
            cost = float(((self.space - centres[found]) ** 2).sum())
            if cost >= last - 1e-9 * max(last, 1.0):
                break
            last = cost
        return centres, cost


def fit_tree(
    values: Floats,
    space: Floats,
    grids: Sequence[Floats],
    cuts: Sequence[Floats],
    *,
    labels: Whole,
    centres: Floats,
    leaves: int,
    least: int,
) -> tuple[Tree, Floats]:
    """Return a tree that partitions the rows at little k-means cost, and its clusters' centres in the space.

    ``values``: rows x features in raw units; ``space``: the same rows and features, transformed and standardised, where
    cost is squared distance; ``grids``: per feature the thresholds to choose from, raw; ``cuts``: the same in the space;
    ``labels``, ``centres``: free k-means in the space; ``leaves``: at most; ``least``: rows on either side of a cut.
    A cluster that no allowed cut can part from the others ends without a leaf; its centre is kept.
    """
    grower = _Grower(values, space, grids, least)
    by_mistakes = grower.begin(np.arange(len(values)), labels, centres, cuts, np.arange(len(centres)))
    found = [grower.fit(root, centres, leaves) for root in (by_mistakes, _Node())]
    root, centres, _ = min(found, key=lambda fit: (-len(fit[0].clusters()), fit[2]))
    return _as_tree(root, grids), centres


def distances(space: Floats, centres: Floats) -> Floats:
    """Return the squared distance of each row from each centre."""
    return np.asarray(((space[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2))


def means(space: Floats, clusters: Whole, otherwise: Floats) -> Floats:
    """Return the mean of each cluster's rows; of one without rows, what ``otherwise`` says."""
    counts = np.bincount(clusters, minlength=len(otherwise))
    sums = np.column_stack([np.bincount(clusters, space[:, place], len(otherwise)) for place in range(space.shape[1])])
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], otherwise)


def _merged(node: _Node) -> _Node:
    """Return a node whose siblings of one cluster are one leaf."""
    if node.children is None:
        return node
    left, right = _merged(node.children[0]), _merged(node.children[1])
    if left.children is None and right.children is None and left.cluster == right.cluster:
        return left
    return _Node(feature=node.feature, at=node.at, children=(left, right))


def _as_tree(root: _Node, grids: Sequence[Floats]) -> Tree:
    """Return the tree as arrays."""
    rows: list[list[float]] = []

    def write(node: _Node) -> int:
        mine = len(rows)
        rows.append([-1, 0.0, 0, 0, node.cluster])
        if node.children is not None:
            left, right = write(node.children[0]), write(node.children[1])
            rows[mine] = [node.feature, float(grids[node.feature][node.at]), left, right, -1]
        return mine

    write(root)
    return Tree.of_rows(np.array(rows, np.float64))


def rule_of(tree: Tree, cluster: int, is_possible: Callable[[Box], bool] = lambda _: True) -> list[Box]:
    """Return the boxes whose union is a cluster: as few bounds as a greedy search finds, no row more or less.

    A bound is dropped where the larger box still meets no leaf of another cluster; a box whose leaves lie in other
    boxes is left out. Boxes may overlap. ``is_possible``: whether any row can be in a box, from what is known of the
    features; what cannot be need not be kept out.
    """
    own = [box for found, box in tree.leaves() if found == cluster]
    own = [box for box in own if is_possible(box)] or own
    others = [box for found, box in tree.leaves() if found != cluster]
    wide = []
    for leaf in own:
        box = dict(leaf)
        for feature in sorted(leaf):
            for side in (0, 1):
                bounds = list(box[feature])
                bounds[side] = (-np.inf, np.inf)[side]
                larger = {**box, feature: (bounds[0], bounds[1])}
                if not any(is_possible(shared) for other in others if (shared := _shared(larger, other)) is not None):
                    box = larger
        wide.append({feature: box[feature] for feature in sorted(box) if box[feature] != FREE})
    kept: list[Box] = []
    missing = list(range(len(own)))
    while missing:
        best = max(wide, key=lambda box: (sum(_holds(box, own[leaf]) for leaf in missing), -len(box)))
        kept.append(best)
        missing = [leaf for leaf in missing if not _holds(best, own[leaf])]
    return kept


def _shared(one: Box, other: Box) -> Box | None:
    """Return what two boxes have in common; None if nothing."""
    found = {}
    for feature in one.keys() | other.keys():
        low, high = one.get(feature, FREE), other.get(feature, FREE)
        found[feature] = (max(low[0], high[0]), min(low[1], high[1]))
        if found[feature][0] >= found[feature][1]:
            return None
    return found


def _holds(outer: Box, inner: Box) -> bool:
    return all(
        inner.get(feature, FREE)[0] >= low and inner.get(feature, FREE)[1] <= high
        for feature, (low, high) in outer.items()
    )


def where(boxes: Sequence[Box], names: Sequence[str], kinds: Sequence[str]) -> str:
    """Return boxes as one SQL condition over columns of these names and kinds (``days``, ``count``, ``amount``).

    Conditions that all boxes share stand once, in front.
    """
    return joined(boxes, [partial(_sql, name, kind) for name, kind in zip(names, kinds, strict=True)])


def joined(boxes: Sequence[Box], say: Sequence[Callable[[float, float], str]], *, in_words: bool = False) -> str:
    """Return boxes as one text, SQL or words. ``say``: per feature, how its bounds are said."""
    both = ", " if in_words else " and "
    shared = [item for item in boxes[0].items() if all(box.get(item[0]) == item[1] for box in boxes)]
    told = [say[feature](*bounds) for feature, bounds in shared]
    rest = [
        both.join(say[feature](*bounds) for feature, bounds in box.items() if (feature, bounds) not in shared)
        for box in boxes
    ]
    if all(rest):
        if in_words:
            told.append(f"{'and ' if told else ''}either {'; or '.join(rest)}" if len(rest) > 1 else rest[0])
        else:
            either = " or ".join(f"({each})" if both in each and len(rest) > 1 else each for each in rest)
            told.append(f"({either})" if told and len(rest) > 1 else either)
    return both.join(told) if told else "true"


def _sql(name: str, kind: str, low: float, high: float) -> str:
    if kind == COUNT and np.isfinite(high) and high == max(low, 0) + 1:
        return f"{name} = {_number(high - 1)}"
    parts = [f"{name} >= {_number(low)}"] if np.isfinite(low) else []
    parts += [f"{name} < {_number(high)}"] if np.isfinite(high) else []
    return " and ".join(parts)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
