"""Rows as a matrix of numbers, by rules that are learnt from the rows a model is fitted on and from no others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopkeeper.models.model import State, array_of

Matrix = NDArray[np.float64]

LEAST_OF_LEVEL = 0.005
MOST_LEVELS = 20
HEAVY_TAIL = 3.0
RARE, MISSING = "(rare or new)", "(missing)"


class Encoder:
    """Turns columns of numbers and texts into a matrix.

    A text becomes one column per level that at least .5 % of the rows have (the 20 most frequent), one for all others and
    one for none. A number stays as it is, NaN where missing; or, if ``is_scaled``, for models that add up: signed
    log(1 + x) where its skewness exceeds 3, the median where missing, and a further column that says so; then each number
    is standardised. Columns that do not vary in the rows learnt from are left out (``constant``).
    """

    def __init__(self, numbers: Sequence[str], texts: Sequence[str], *, is_scaled: bool) -> None:
        """Name the columns; ``is_scaled``: for a model that adds up columns instead of cutting them."""
        self.numbers = tuple(numbers)
        self.texts = tuple(texts)
        self.is_scaled = is_scaled
        self.levels: dict[str, list[str]] = {}
        self.kept: list[tuple[str, str]] = []
        self.places = np.zeros(0, np.int64)
        self.logged = np.zeros(0, bool)
        self.medians = self.means = self.spreads = np.zeros(0)

    def learn(self, rows: pa.Table) -> Matrix:
        """Learn the rules from rows, forgetting what was learnt before, and return their matrix."""
        self.levels = {name: _levels(texts_of(rows, name)) for name in self.texts}
        raw = np.column_stack([numbers_of(rows, name) for name in self.numbers]) if self.numbers else _none(rows)
        if self.is_scaled:
            with np.errstate(invalid="ignore"):
                self.logged = np.array([_skewness(column) > HEAVY_TAIL for column in raw.T], bool)
            self.medians = np.array([_median(column) for column in self._log(raw).T])
        whole, names = self._whole(rows, raw)
        self.places = np.array([at for at, column in enumerate(whole.T) if not _is_constant(column)], np.int64)
        self.kept = [names[at] for at in self.places.tolist()]
        matrix = whole[:, self.places]
        if self.is_scaled:
            self.means, self.spreads = matrix.mean(axis=0), matrix.std(axis=0)
            matrix = (matrix - self.means) / self.spreads
        return matrix

    def encode(self, rows: pa.Table) -> Matrix:
        """Return the matrix of rows by the rules learnt; its columns are ``kept``."""
        raw = np.column_stack([numbers_of(rows, name) for name in self.numbers]) if self.numbers else _none(rows)
        matrix: Matrix = self._whole(rows, raw)[0][:, self.places]
        return (matrix - self.means) / self.spreads if self.is_scaled else matrix

    @property
    def constant(self) -> list[str]:
        """The columns of which nothing varied in the rows learnt from."""
        used = {name for name, _ in self.kept}
        return [name for name in (*self.numbers, *self.texts) if name not in used]

    def state(self) -> dict[str, Any]:
        """Return what was learnt, as values for JSON and arrays of numbers."""
        return {
            "levels": self.levels,
            "kept": [list(name) for name in self.kept],
            "places": self.places,
            "logged": self.logged.astype(np.uint8),
            "medians": self.medians,
            "means": self.means,
            "spreads": self.spreads,
        }

    def restore(self, state: State) -> None:
        """Take what ``state`` gave. Raises ModelError where its parts do not belong together."""
        self.levels = {name: list(levels) for name, levels in state["levels"].items()}
        self.kept = [(name, part) for name, part in state["kept"]]
        n_kept, n_numbers = len(self.kept), len(self.numbers)
        n_scaled, n_logged = (n_kept, n_numbers) if self.is_scaled else (0, 0)
        self.places = array_of(state, "places", n_kept)
        self.logged = array_of(state, "logged", n_logged).astype(bool)
        self.medians = array_of(state, "medians", n_logged)
        self.means, self.spreads = array_of(state, "means", n_scaled), array_of(state, "spreads", n_scaled)

    def _log(self, raw: Matrix) -> Matrix:
        return np.where(self.logged, np.sign(raw) * np.log1p(np.abs(raw)), raw)

    def _whole(self, rows: pa.Table, raw: Matrix) -> tuple[Matrix, list[tuple[str, str]]]:
        names = [(name, "") for name in self.numbers]
        parts = [raw]
        if self.is_scaled:
            gaps = np.isnan(raw)
            parts = [np.where(gaps, self.medians, self._log(raw)), gaps.astype(float)]
            names += [(name, MISSING) for name in self.numbers]
        for name in self.texts:
            values = texts_of(rows, name)
            levels = self.levels[name]
            at = pc.index_in(values, pa.array(levels, pa.string())).fill_null(len(levels))
            place = np.where(values.is_null(), len(levels) + 1, at.to_numpy(zero_copy_only=False))
            parts.append((place[:, None] == np.arange(len(levels) + 2)).astype(float))
            names += [(name, part) for part in (*levels, RARE, MISSING)]
        return np.hstack(parts), names


def numbers_of(rows: pa.Table, name: str) -> Matrix:
    """Return a column as floats, NaN where missing or infinite."""
    column = rows[name].combine_chunks()
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def texts_of(rows: pa.Table, name: str) -> pa.Array:
    """Return a column as texts, null where missing."""
    column = rows[name].combine_chunks()
    column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return column.cast(pa.string())


def _levels(values: pa.Array) -> list[str]:
    counted = pc.value_counts(values.drop_null()).to_pylist()
    frequent = [one for one in counted if one["counts"] >= max(LEAST_OF_LEVEL * len(values), 2)]
    frequent.sort(key=lambda one: (-one["counts"], one["values"]))
    return sorted(one["values"] for one in frequent[:MOST_LEVELS])


def _none(rows: pa.Table) -> Matrix:
    return np.zeros((rows.num_rows, 0))


def _skewness(column: Matrix) -> float:
    known = column[~np.isnan(column)]
    spread = known.std() if len(known) else 0.0
    return float(abs(np.mean((known - known.mean()) ** 3)) / spread**3) if spread > 0 else 0.0


def _median(column: Matrix) -> float:
    known = column[~np.isnan(column)]
    return float(np.median(known)) if len(known) else 0.0


def _is_constant(column: Matrix) -> bool:
    gaps = np.isnan(column)
    if gaps.all() or not gaps.any():
        return bool(gaps.all() or column.min() == column.max())
    return False
