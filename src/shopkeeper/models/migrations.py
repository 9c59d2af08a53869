"""How customers move between segments from month to month, and how large the segments will be next month.

A month is 30 days. The forecast is a first-order Markov chain from pooled moves, with the mean number of newcomers, or
that shares stay as they are: whichever was nearer to what happened in the last months.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MONTH = 30
NEWCOMER = -1
"""Where those come from who were not known a month before."""
TESTED = 3
MARKOV, AS_IT_IS = "markov", "stays as it is"

Whole = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moment:
    """Who was in which segment as of a day: customers in ascending order, and their segments."""

    as_of: date
    customers: npt.NDArray[np.str_]
    segments: Whole


@dataclass(frozen=True)
class SizeForecast:
    """Expected share of each segment a month on, by the method that serves.

    ``errors``: mean absolute error of the shares, by method, over the ``n_tested`` last moves, each foretold from the moves
    before it; empty where there are too few.
    """

    method: str
    shares: Mapping[int, float]
    errors: Mapping[str, float]
    n_tested: int


def moves(earlier: Moment, later: Moment) -> dict[tuple[int, int], int]:
    """Return how many customers of the later moment came from each segment (``NEWCOMER``: not known before) into each."""
    place = np.searchsorted(earlier.customers, later.customers)
    place = np.minimum(place, max(len(earlier.customers) - 1, 0))
    if len(earlier.customers):
        known = earlier.customers[place] == later.customers
        before = np.where(known, earlier.segments[place], NEWCOMER)
    else:
        before = np.full(len(later.customers), NEWCOMER)
    pairs, counts = np.unique(np.column_stack([before, later.segments]), axis=0, return_counts=True)
    return {(int(one), int(two)): int(n) for (one, two), n in zip(pairs, counts, strict=True)}


def migrations(moments: Sequence[Moment]) -> pa.Table:
    """Return the moves between each moment and the next: ``as_of`` (the later), ``from_segment``, ``to_segment``,
    ``n_customers``, ``share`` (of those who came from the same segment). ``moments``: ascending.
    """
    told: list[tuple[date, int, int, int, float]] = []
    for earlier, later in pairwise(moments):
        found = moves(earlier, later)
        for (one, two), n in sorted(found.items()):
            whole = sum(each for (start, _), each in found.items() if start == one)
            told.append((later.as_of, one, two, n, n / whole))
    columns = list(zip(*told, strict=True)) or [()] * 5
    kinds = (pa.date32(), pa.int32(), pa.int32(), pa.int64(), pa.float64())
    names = ("as_of", "from_segment", "to_segment", "n_customers", "share")
    return pa.table({name: pa.array(column, kind) for name, column, kind in zip(names, columns, kinds, strict=True)})


def forecast(moments: Sequence[Moment], segments: Sequence[int]) -> SizeForecast:
    """Return the expected share of each segment a month after the last moment. ``moments``: ascending, a month apart."""
    counts = [_matrix(moves(earlier, later), segments) for earlier, later in pairwise(moments)]
    sizes = [np.array([(each.segments == one).sum() for one in segments], np.float64) for each in moments]
    tested = range(max(1, len(counts) - TESTED), len(counts))
    misses: dict[str, list[float]] = {MARKOV: [], AS_IT_IS: []}
    for place in tested:
        truth = _shares(sizes[place + 1])
        misses[MARKOV].append(float(np.abs(_markov(counts[:place], sizes[place]) - truth).mean()))
        misses[AS_IT_IS].append(float(np.abs(_shares(sizes[place]) - truth).mean()))
    errors = {method: float(np.mean(found)) for method, found in misses.items() if found}
    method = MARKOV if errors and errors[MARKOV] < errors[AS_IT_IS] else AS_IT_IS
    shares = _markov(counts, sizes[-1]) if method == MARKOV else _shares(sizes[-1])
    return SizeForecast(method, dict(zip(segments, shares.tolist(), strict=True)), errors, len(tested))


def _matrix(found: Mapping[tuple[int, int], int], segments: Sequence[int]) -> Floats:
    """Return moves as from x to, newcomers in the last row."""
    rows = {each: place for place, each in enumerate((*segments, NEWCOMER))}
    matrix = np.zeros((len(segments) + 1, len(segments)))
    for (one, two), n in found.items():
        matrix[rows[one], rows[two]] = n
    return matrix


def _markov(counts: Sequence[Floats], sizes: Floats) -> Floats:
    pooled = np.sum(counts, axis=0)
    leaving = pooled[:-1].sum(axis=1, keepdims=True)
    # Nobody was ever in it: whoever is now stays.
    chances = np.where(leaving > 0, pooled[:-1] / np.maximum(leaving, 1), np.eye(len(sizes)))
    return _shares(sizes @ chances + pooled[-1] / len(counts))


def _shares(sizes: Floats) -> Floats:
    return np.asarray(sizes / max(sizes.sum(), 1.0))
