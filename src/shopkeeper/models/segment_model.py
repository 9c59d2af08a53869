"""What all models of segments share: the columns they score, the space they are compared in, and how they name segments.

The space is that of behaviour: how long ago, how often of late, how often in all, how much. Each is taken as its signed
log1p, drawn in at the low end where it is far from the rest, and standardised. Silhouettes and costs compare only
within one space.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shopkeeper.models.customer_rows import numbers
from shopkeeper.models.model import Model
from shopkeeper.models.rfm import GROUPS, RFM_COLUMNS, Edges, rfm_groups, rfm_scores
from shopkeeper.models.threshold_tree import AMOUNT, COUNT, DAYS, FREE, Box, joined

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FEATURES = ("days_since_last_order", "n_orders_90d", "n_orders", "net_sales")
KINDS = (DAYS, COUNT, COUNT, AMOUNT)
RECENT, LATELY, OFTEN, MONEY = 0, 1, 2, 3
WINDOW = 90
"""Days that ``n_orders_90d`` looks back."""
PROSPECTS, OUTLIERS = 0, 9
"""Ids of the segments of those without an order, and of those far beyond the rest; clusters have 1 to 8."""
WIDTH = 3.5
"""How many robust standard deviations from the middle is far from the rest."""
NORMAL_IQR = 1.349


@dataclass(frozen=True)
class Segment:
    """One segment: its id, its name, and its rule as an SQL condition over ``features.customer_features`` and in words."""

    segment: int
    name: str
    rule_sql: str
    rule_words: str


class SegmentModel(Model):
    """A model that gives each customer exactly one segment, and one of the named RFM groups besides.

    Rows: one per customer, as of one moment. Scores: ``rfm_group``, ``r_score``, ``f_score``, ``m_score`` (null without an
    order), ``segment``, ``segment_name``, ``certainty`` (0 to 1).
    """

    edges: Edges

    @property
    def columns(self) -> tuple[str, ...]:
        """The behaviour that segments are made of."""
        return tuple(dict.fromkeys((*FEATURES, *RFM_COLUMNS)))

    @property
    @abstractmethod
    def segments(self) -> Sequence[Segment]:
        """All segments that the model can give, by id. The model must be fitted."""

    @abstractmethod
    def assign(self, rows: pa.Table) -> Whole:
        """Return the id of each row's segment."""

    def certainty(self, rows: pa.Table, assigned: Whole) -> Floats:  # noqa: ARG002 - rules that are given leave no doubt
        """Return how sure each row's segment is."""
        return np.ones(len(assigned))

    def _score(self, rows: pa.Table) -> pa.Table:
        scores = rfm_scores(rows, self.edges)
        groups = rfm_groups(numbers(rows, "n_orders"), scores)
        assigned = self.assign(rows)
        names = {each.segment: each.name for each in self.segments}
        unscored = scores[:, 0] == 0
        return pa.table(
            {
                "rfm_group": pa.array(np.array(GROUPS)[groups].tolist(), pa.string()),
                **{
                    name: pa.array(scores[:, place], pa.int32(), mask=unscored)
                    for place, name in enumerate(("r_score", "f_score", "m_score"))
                },
                "segment": pa.array(assigned, pa.int32()),
                "segment_name": pa.array([names[each] for each in assigned.tolist()], pa.string()),
                "certainty": pa.array(self.certainty(rows, assigned), pa.float64()),
            }
        )


def behaviour(rows: pa.Table) -> Floats:
    """Return ``FEATURES`` as rows x features, raw; NaN where null."""
    return np.column_stack([numbers(rows, name) for name in FEATURES])


def in_one_order(values: Floats) -> Floats:
    """Return rows sorted by all their columns, so that the order they came in says nothing."""
    return values[np.lexsort(values.T[::-1])]


@dataclass(frozen=True)
class Space:
    """The space of behaviour: per feature the least log that counts, and mean and standard deviation of the logs."""

    least: Floats
    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, values: Floats) -> "Space":
        """Fit on raw rows x features. A constant feature is 0 everywhere in the space."""
        logs = signed_log(values)
        middle, scale = middle_and_scale(values)
        least = middle - WIDTH * np.where(scale > 0, scale, np.inf)
        logs = np.maximum(logs, least)
        deviation = logs.std(axis=0)
        return cls(least, logs.mean(axis=0), np.where(deviation > 1e-12, deviation, np.inf))

    def __call__(self, values: Floats) -> Floats:
        """Return raw rows x features in the space."""
        return np.asarray((np.maximum(signed_log(values), self.least) - self.mean) / self.deviation)

    def cut(self, feature: int, thresholds: Floats) -> Floats:
        """Return thresholds of one feature in the space."""
        logs = np.maximum(signed_log(thresholds), self.least[feature])
        return np.asarray((logs - self.mean[feature]) / self.deviation[feature])


def signed_log(values: Floats) -> Floats:
    """Return sign(x) log(1 + |x|): keeps order, and draws large numbers together on both sides of 0."""
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def middle_and_scale(values: Floats) -> tuple[Floats, Floats]:
    """Return the median of each feature's logs, and their spread: the quartiles' distance over 1.349.

    Where the quartiles coincide, the standard deviation; 0 for a constant feature.
    """
    logs = signed_log(values)
    low, middle, high = np.quantile(logs, [0.25, 0.5, 0.75], axis=0)
    scale = (high - low) / NORMAL_IQR
    return middle, np.where(scale > 1e-12, scale, logs.std(axis=0))


def names_of(values: Floats, clusters: Whole) -> dict[int, str]:
    """Return a distinct name in a marketer's words for each cluster, from its medians among all the rows.

    ``values``: rows x ``FEATURES``, raw, of customers with an order.
    """
    medians = {each: np.median(values[clusters == each], axis=0) for each in np.unique(clusters).tolist()}

    def rank(feature: int, value: float) -> float:
        column = values[:, feature]
        return float(((column < value).mean() + (column <= value).mean()) / 2)

    def told(median: Floats) -> str:
        orders, spend, days = median[OFTEN], rank(MONEY, median[MONEY]), 1 - rank(RECENT, median[RECENT])
        often = "one-time" if orders <= 1 else _level(rank(OFTEN, orders), ("occasional", "repeat", "frequent"))
        much = _level(spend, ("small spenders", "medium spenders", "big spenders"))
        return f"{often} {much}, {'very active' if days >= 0.75 else _level(days + 0.2, ('lapsed', 'quiet', 'active'))}"

    names = {each: told(median) for each, median in medians.items()}
    details: tuple[Callable[[Floats], str], ...] = (
        lambda median: f", about {median[OFTEN]:.3g} orders",
        lambda median: f", about {_rounded(median[MONEY])} in all",
        lambda median: f", last order about {median[RECENT]:.0f} days ago",
    )
    for tell in details:
        found = list(names.values())
        names = {each: name + tell(medians[each]) if found.count(name) > 1 else name for each, name in names.items()}
    found = list(names.values())
    return {each: f"{name} ({each})" if found.count(name) > 1 else name for each, name in names.items()}


def _level(rank: float, words: tuple[str, str, str]) -> str:
    return words[0] if rank < 0.4 else words[1] if rank < 0.75 else words[2]


def _rounded(value: float) -> str:
    return f"{float(f'{value:.2g}'):,.0f}"


def rule_in_words(boxes: Sequence[Box]) -> str:
    """Return the boxes of a rule over ``FEATURES`` in words."""
    return joined(boxes, _WORDS, in_words=True)


def is_possible(box: Box) -> bool:
    """Return whether a customer can be in a box over ``FEATURES``.

    Orders of the last 90 days are orders, and they are there exactly where the last order is no more than 90 days ago; who
    has no order has no last one, which is less than no number of days ago.
    """
    days, lately, most = box.get(RECENT, FREE), box.get(LATELY, FREE), box.get(OFTEN, FREE)[1]
    has_none, has_some = lately[1] <= 1, lately[0] > 0
    return (
        lately[0] < most
        and not (has_none and days[1] <= WINDOW + 1)
        and not (has_some and days[0] > WINDOW)
        and not (most <= 1 and np.isfinite(days[1]))
    )


def _days(low: float, high: float) -> str:
    if not np.isfinite(low):
        return f"last order less than {high:.0f} days ago"
    if not np.isfinite(high):
        return f"last order {low:.0f} or more days ago"
    return f"last order {low:.0f} to {high - 1:.0f} days ago"


def _counted(span: str) -> Callable[[float, float], str]:
    def tell(low: float, high: float) -> str:
        low = max(low, 0)
        if high <= 1:
            return f"no order{span}"
        if not np.isfinite(high):
            return f"{low:.0f} or more orders{span}"
        if low <= 0:
            return f"fewer than {high:.0f} orders{span}"
        last = high - 1
        if last == low:
            return f"{low:.0f} order{'s' if low > 1 else ''}{span}"
        return f"{low:.0f} {'or' if last == low + 1 else 'to'} {last:.0f} orders{span}"

    return tell


def _money(low: float, high: float) -> str:
    if not np.isfinite(low):
        return f"net sales below {high:,g}"
    if not np.isfinite(high):
        return f"net sales of {low:,g} or more"
    return f"net sales from {low:,g} to below {high:,g}"


_WORDS: tuple[Callable[[float, float], str], ...] = (
    _days,
    _counted(" in the last 90 days"),
    _counted(" in all"),
    _money,
)


def matched(clusters: Whole, reference: Whole) -> Mapping[int, tuple[int, float]]:
    """Return, for each cluster, the reference's cluster it overlaps most with, one to one, and their Jaccard index.

    Both number the same rows. The pairs have the greatest sum of common rows (Kuhn 1955); a cluster may be left without.
    """
    from scipy.optimize import linear_sum_assignment

    ours, mine = np.unique(clusters, return_inverse=True)
    theirs, other = np.unique(reference, return_inverse=True)
    common = np.zeros((len(ours), len(theirs)))
    np.add.at(common, (mine, other), 1)
    union = common.sum(axis=1)[:, None] + common.sum(axis=0)[None, :] - common
    return {
        int(ours[one]): (int(theirs[two]), float(common[one, two] / union[one, two]))
        for one, two in zip(*linear_sum_assignment(-common), strict=True)
        if common[one, two]
    }
