"""The models of labels, for the contract that all models obey."""

import functools
from datetime import date

import numpy as np
import pyarrow as pa

from shopkeeper.models.classifiers import KINDS, Prior

COLUMNS = {"numbers": ["age", "heavy", "gaps", "constant"], "texts": ["letter", "empty"]}
SPREAD = {"log_odds": [-4.0, -1.0], "sd": [0.2, 0.4]}


def rows() -> pa.Table:
    """600 customers whose label follows a number, a heavy tail and a letter; with gaps and columns that say nothing."""
    rng = np.random.default_rng(7)
    n = 600
    age, heavy, letter = rng.normal(size=n), rng.lognormal(0, 2, n), rng.integers(0, 4, n)
    odds = age + 0.3 * np.log(heavy) + (letter == 2) - 1.5
    return pa.table(
        {
            "customer_id": [f"c{number:04}" for number in rng.permutation(n)],
            "as_of": pa.array([date(2024, 1, 1)] * n),
            "age": age,
            "heavy": heavy,
            "gaps": pa.array(rng.random(n), mask=rng.random(n) < 0.3),
            "constant": np.ones(n),
            "letter": pa.array([None if one == 3 else "abc"[one] for one in letter.tolist()]),
            "empty": pa.nulls(n, pa.string()),
            "label": (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(int),
        }
    )


CASES = {
    f"labels/{kind.name}": (functools.partial(kind, **COLUMNS, threshold=0.3, spread=SPREAD, seed=3), rows)
    for kind in (*KINDS.values(), Prior)
} | {
    f"labels/{kind.name}, balanced": (functools.partial(kind, **COLUMNS, is_balanced=True), rows)
    for kind in KINDS.values()
}
