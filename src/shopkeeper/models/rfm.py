"""Named groups of customers by recency, frequency and monetary value (RFM), for every customer of a shop.

Three scores from 1 to 5, 5 being best, come from quantile edges that are kept: R from days since the last order, F from
the number of orders, M from net sales. V is the mean of F and M. The first rule of ``RULES`` that matches names the
group, so each customer has exactly one; who never ordered is a prospect and has no scores.

The scores are those of Hughes, *Strategic Database Marketing* (1994); the names are the ones that marketers use.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shopkeeper.errors import ModelError
from shopkeeper.models.customer_rows import numbers

RECENCY, FREQUENCY, MONEY = "days_since_last_order", "n_orders", "net_sales"
RFM_COLUMNS = (RECENCY, FREQUENCY, MONEY)
SHARES = (0.2, 0.4, 0.6, 0.8)
PROSPECTS, DORMANT = "prospects", "dormant"

# Name, rule in SQL over n_orders, r, and f + m (twice V), rule in words; the first that matches wins.
RULES: tuple[tuple[str, str, str], ...] = (
    (PROSPECTS, "n_orders = 0", "no order yet"),
    ("new", "n_orders = 1 and r >= 4", "one order, and recent: R 4 or 5"),
    ("champions", "r = 5 and f + m >= 8", "R 5, V 4 or more"),
    ("loyal", "r >= 3 and f + m >= 8", "R 3 or more, V 4 or more"),
    ("previously loyal", "r <= 2 and f + m >= 8", "R 2 or less, V 4 or more"),
    ("promising", "r >= 4 and f + m < 5", "R 4 or more, V below 2.5"),
    ("active", "r >= 4", "R 4 or more, V from 2.5 to below 4"),
    ("needs attention", "r = 3 and f + m >= 5", "R 3, V from 2.5 to below 4"),
    ("at risk", "r = 2 and f + m >= 5", "R 2, V from 2.5 to below 4"),
    ("almost lost", "r between 2 and 3", "R 2 or 3, V below 2.5"),
    (DORMANT, "true", "R 1, V below 4"),
)
GROUPS = tuple(name for name, _, _ in RULES)


@dataclass(frozen=True)
class Edges:
    """The four inner edges of each score, ascending, in the unit of the column: days, orders, money.

    A bin is closed at its upper edge: F and M are 1 + the number of edges strictly below the value; R is 1 + the number of
    edges at or above the days. So equal values have equal scores, whatever their number; where all are equal, R is 5 and
    F and M are 1.
    """

    recency: tuple[float, ...]
    frequency: tuple[float, ...]
    money: tuple[float, ...]

    def told(self) -> dict[str, list[float]]:
        """Return the edges as JSON can hold them."""
        return {RECENCY: list(self.recency), FREQUENCY: list(self.frequency), MONEY: list(self.money)}

    @classmethod
    def of(cls, told: Mapping[str, list[float]]) -> "Edges":
        """Return the edges that ``told`` gave."""
        return cls(*(tuple(float(edge) for edge in told[column]) for column in RFM_COLUMNS))


def fit_edges(rows: pa.Table) -> Edges:
    """Return the quintile edges over the customers with an order.

    An edge is an observed value: the least one that at least 20, 40, 60 or 80 % of the customers do not exceed. ``rows``:
    one per customer, with ``RFM_COLUMNS``; days, counts, money. Raises ModelError if no customer has an order.
    """
    bought = numbers(rows, FREQUENCY) > 0
    if not bought.any():
        raise ModelError(
            f"customers must have at least one order among them to be grouped; got none in {rows.num_rows} rows. "
            f"Load sales with customers."
        )
    return Edges(
        *(
            tuple(float(edge) for edge in np.quantile(numbers(rows, column)[bought], SHARES, method="inverted_cdf"))
            for column in RFM_COLUMNS
        )
    )


def rfm_scores(rows: pa.Table, edges: Edges) -> npt.NDArray[np.int64]:
    """Return R, F and M of each customer as three columns of 1 to 5; 0 in all three for one without an order."""
    recency, frequency, money = (numbers(rows, column) for column in RFM_COLUMNS)
    found = np.column_stack(
        [
            1 + len(edges.recency) - np.searchsorted(edges.recency, recency, side="left"),
            1 + np.searchsorted(edges.frequency, frequency, side="left"),
            1 + np.searchsorted(edges.money, money, side="left"),
        ]
    )
    return np.where((frequency > 0)[:, None], found, 0).astype(np.int64)


def rfm_groups(n_orders: npt.NDArray[np.float64], scores: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the index in ``GROUPS`` of each customer's group: of the first rule that matches."""
    r, twice = scores[:, 0], scores[:, 1] + scores[:, 2]
    return np.select(
        [
            n_orders <= 0,
            (n_orders == 1) & (r >= 4),
            (r == 5) & (twice >= 8),
            (r >= 3) & (twice >= 8),
            (r <= 2) & (twice >= 8),
            (r >= 4) & (twice < 5),
            r >= 4,
            (r == 3) & (twice >= 5),
            (r == 2) & (twice >= 5),
            (r >= 2) & (r <= 3),
        ],
        list(range(10)),
        10,
    ).astype(np.int64)


def scores_sql(edges: Edges) -> tuple[str, str, str]:
    """Return R, F and M as SQL expressions over ``features.customer_features``; null for one without an order."""

    def counted(column: str, sign: str, found: tuple[float, ...]) -> str:
        steps = " + ".join(f"case when {column} {sign} {edge!r} then 1 else 0 end" for edge in found)
        return f"case when {FREQUENCY} > 0 then 1 + {steps} end"

    return (
        counted(RECENCY, "<=", edges.recency),
        counted(FREQUENCY, ">", edges.frequency),
        counted(MONEY, ">", edges.money),
    )


def group_sql(r: str = "r", f: str = "f", m: str = "m") -> str:
    """Return the name of the group as one SQL ``case`` over ``n_orders`` and the columns that hold the three scores."""
    names = {"r": r, "f": f, "m": m}
    whens = " ".join(
        f"when {' '.join(names.get(word, word) for word in rule.split())} then '{name}'" for name, rule, _ in RULES[:-1]
    )
    return f"case {whens} else '{DORMANT}' end"
