"""The baselines of segments: the named RFM groups, and the RFM grid merged to a few segments."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from shopkeeper.errors import ModelError
from shopkeeper.models.customer_rows import numbers
from shopkeeper.models.model import State, array_of
from shopkeeper.models.rfm import (
    GROUPS,
    RULES,
    Edges,
    fit_edges,
    group_sql,
    rfm_groups,
    rfm_scores,
    scores_sql,
)
from shopkeeper.models.segment_model import (
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
    names_of,
)

_NUMBERS = np.array([PROSPECTS, *range(OUTLIERS + 2, OUTLIERS + 1 + len(RULES))])


class RfmGroups(SegmentModel):
    """The eleven named groups as segments; they need one customer with an order, and serve where nothing else can.

    Ids: 0 for prospects, then 11 to 20 in the order of the rules: none that means something else in another model.
    """

    name: ClassVar[str] = "rfm_groups"

    @property
    def segments(self) -> Sequence[Segment]:
        """The eleven groups."""
        r, f, m = scores_sql(self.edges)
        whole = group_sql(f"({r})", f"({f})", f"({m})")
        return [
            Segment(int(number), name, f"{whole} = '{name}'" if number else "n_orders = 0", words)
            for number, (name, _, words) in zip(_NUMBERS, RULES, strict=True)
        ]

    def assign(self, rows: pa.Table) -> Whole:
        """Return the id of each row's group."""
        return np.asarray(_NUMBERS[rfm_groups(numbers(rows, "n_orders"), rfm_scores(rows, self.edges))])

    def _fit(self, rows: pa.Table) -> None:
        self.edges = fit_edges(rows)

    def _state(self) -> State:
        return {"edges": self.edges.told()}

    def _restore(self, state: State) -> None:
        self.edges = Edges.of(state["edges"])


class RfmGrid(SegmentModel):
    """The grid of R, F and M, its cells merged to ``k`` segments: a marketer's own way to a few groups, done with care.

    Cells are merged by Ward's criterion (1963) on their means in the space of behaviour. A cell that nobody was in belongs
    to the segment whose mean scores are nearest. Ids: 0 for prospects, then from 1 on by net sales per customer.
    """

    name: ClassVar[str] = "rfm_grid"
    cells: Whole
    names: dict[str, str]

    def __init__(self, *, seed: int = 0, k: int = 4, **parameters: Any) -> None:
        """Take the number of segments."""
        super().__init__(seed=seed, k=k, **parameters)
        self.k = k

    @property
    def segments(self) -> Sequence[Segment]:
        """Prospects, and the merged cells."""
        r, f, m = scores_sql(self.edges)
        found = [Segment(PROSPECTS, GROUPS[0], "n_orders = 0", "no order yet")]
        for each in range(1, self.k + 1):
            cells = ", ".join(str(_code_of(place)) for place in np.flatnonzero(self.cells == each).tolist())
            found.append(
                Segment(
                    each,
                    self.names[str(each)],
                    f"100 * ({r}) + 10 * ({f}) + ({m}) in ({cells})",
                    f"R, F and M are one of {cells}",
                )
            )
        return found

    def assign(self, rows: pa.Table) -> Whole:
        """Return each row's segment: that of its cell."""
        scores = rfm_scores(rows, self.edges)
        return np.where(scores[:, 0] > 0, self.cells[np.maximum(_place_of(scores), 0)], PROSPECTS)

    def _fit(self, rows: pa.Table) -> None:
        self.edges = fit_edges(rows)
        values = behaviour(rows)
        bought = values[:, OFTEN] > 0
        cell = _place_of(rfm_scores(rows, self.edges)[bought])
        points = Space.of(in_one_order(values[bought]))(values[bought])
        order = np.lexsort((*points.T[::-1], cell))
        cell, points, values = cell[order], points[order], values[bought][order]
        met, of_rows, counts = np.unique(cell, return_inverse=True, return_counts=True)
        if len(met) < self.k:
            raise ModelError(
                f"customers must stand in at least as many cells of the RFM grid as there are to be segments; got "
                f"{len(met)} cells for {self.k} segments. The named groups serve."
            )
        means = np.column_stack([np.bincount(of_rows, column) / counts for column in points.T])
        merged = _ward(means, counts.astype(np.float64), self.k)
        sales = [values[merged[of_rows] == each, 3].mean() for each in range(self.k)]
        ranked = np.empty(self.k, np.int64)
        ranked[np.argsort(-np.array(sales), kind="stable")] = np.arange(1, self.k + 1)
        self.cells = self._filled(met, ranked[merged])
        names = names_of(values, ranked[merged][of_rows])
        self.names = {str(each): name for each, name in names.items()}

    def _filled(self, met: Whole, segments: Whole) -> Whole:
        """Return the segment of each of the 125 cells."""
        scores = np.array([divmod(each, 25)[:1] + divmod(each % 25, 5) for each in range(125)], np.float64)
        centres = np.array([scores[met[segments == each]].mean(axis=0) for each in range(1, self.k + 1)])
        found = 1 + ((scores[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        found[met] = segments
        return np.asarray(found, np.int64)

    def _state(self) -> State:
        return {"edges": self.edges.told(), "cells": self.cells, "names": self.names}

    def _restore(self, state: State) -> None:
        self.edges, self.cells, self.names = (
            Edges.of(state["edges"]),
            array_of(state, "cells", 125),
            dict(state["names"]),
        )


def _place_of(scores: Whole) -> Whole:
    """Return the cell of scores, 0 for (1, 1, 1) to 124 for (5, 5, 5); negative without scores."""
    return np.asarray((scores - 1) @ np.array([25, 5, 1]), np.int64)


def _code_of(place: int) -> int:
    """Return a cell as its three scores side by side, such as 543."""
    return 111 + 100 * (place // 25) + 10 * (place // 5 % 5) + place % 5


def _ward(means: Floats, counts: Floats, k: int) -> Whole:
    """Return the group of each weighted point, 0 to k - 1: the pair whose union adds least cost is merged, till k remain."""
    means, counts = means.copy(), counts.copy()
    group = np.arange(len(means))
    alive = list(range(len(means)))
    while len(alive) > k:
        points, weights = means[alive], counts[alive]
        added = (weights[:, None] * weights[None, :]) / (weights[:, None] + weights[None, :])
        added = added * ((points[:, None] - points[None]) ** 2).sum(axis=2)
        added[np.tril_indices(len(alive))] = np.inf
        one, two = (alive[int(place)] for place in np.unravel_index(int(np.argmin(added)), added.shape))
        means[one] = (counts[one] * means[one] + counts[two] * means[two]) / (counts[one] + counts[two])
        counts[one] += counts[two]
        group[group == two] = one
        alive.remove(two)
    return np.searchsorted(np.array(alive), group).astype(np.int64)
