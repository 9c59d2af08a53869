"""Rows of customers as of moments: who has bought, what they did next, a column as numbers, and samples."""

from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID

REFERENCE_ROWS = 10_000
"""How many rows a model keeps of those it was fitted on, to measure drift against."""


def numbers(rows: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as floats, NaN where it is null."""
    return np.asarray(rows[name].cast(pa.float64()).to_numpy(), np.float64)


def buyers(features: pa.Table) -> pa.Table:
    """Return the rows of customers with an order before the moment, sorted by customer and moment."""
    bought = features.filter(pc.greater(features["n_order_days"], 0))
    return bought.sort_by([(CUSTOMER_ID, "ascending"), (AS_OF, "ascending")])


def aligned(rows: pa.Table, outcomes: pa.Table, column: str) -> NDArray[np.float64]:
    """Return a column of the outcomes in the order of rows, both of one moment; 0 of customers who did nothing."""
    found = dict(zip(outcomes[CUSTOMER_ID].to_pylist(), outcomes[column].to_pylist(), strict=True))
    return np.array([found.get(customer) or 0.0 for customer in rows[CUSTOMER_ID].to_pylist()], np.float64)


def thinned(rows: pa.Table, one_in: int) -> pa.Table:
    """Return the rows of one customer in so many, dealt by a hash of the id: all of a customer's rows or none."""
    if one_in <= 1:
        return rows
    kept = [crc32(f"thin {key}".encode()) % one_in == 0 for key in rows[CUSTOMER_ID].to_pylist()]
    return rows.filter(pa.array(kept, pa.bool_()))


def sampled(n: int, most: int, seed: int) -> NDArray[np.int64]:
    """Return ``n`` places, or ``most`` of them drawn without replacement, ascending."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, n]).choice(n, most, replace=False))


def reference(rows: pa.Table, seed: int) -> pa.Table:
    """Return a sample of the rows a model was fitted on, drawn by chance: at even steps it might meet one moment only."""
    return rows.take(sampled(rows.num_rows, REFERENCE_ROWS, seed))
