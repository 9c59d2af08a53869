"""Customers in three dimensions: principal components of the behaviour that segments are made of."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from shopkeeper.models.segment_model import FEATURES, Space, behaviour
from shopkeeper.serving.exhibits.exhibit import Shown

AXES = ("x", "y", "z")
LEAST = 4


@dataclass(frozen=True)
class Projection:
    """The points, as columns x, y and z beside the query's own, and for each axis its share of the variance."""

    shown: Shown
    explained: tuple[float, ...]


def projected(shown: Shown) -> Projection:
    """Return rows with ``FEATURES`` of customers with their first three principal components.

    The same rows give the same points: a component's sign is free, and its largest loading is made positive.
    """
    rows = shown.table
    if shown.lacks or rows.num_rows < LEAST:
        return Projection(replace(shown, table=rows.slice(0, 0)), (0.0, 0.0, 0.0))
    values = behaviour(rows)
    points = Space.of(values)(values)
    centred = points - points.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    found = (centred @ (axes * signs[:, None]).T)[:, : len(AXES)]
    explained = spread**2 / max(float((spread**2).sum()), 1e-12)
    for place, name in enumerate(AXES):
        rows = rows.append_column(name, pa.array(np.round(found[:, place], 4)))
    how = (
        f"x, y and z are the principal components of {', '.join(FEATURES)}, as signed logarithms and standardised. The query "
        f"gives the rest, as it ran."
    )
    exhibit = replace(shown.exhibit, columns=" ".join((shown.exhibit.columns, *(f"{name}:number" for name in AXES))))
    told = replace(shown, exhibit=exhibit, table=rows, how=how)
    return Projection(told, tuple(float(each) for each in explained[: len(AXES)]))
