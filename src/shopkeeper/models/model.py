"""The contract of all models and baselines, and of the questions (subjects) they answer for a shop.

A *model* is fitted on rows, scores rows, explains its scores, and is kept without pickle: a JSON file and a file of
arrays. A *subject* (churn, lifetime, …) knows which moments it needs, which candidates compete, and against which
baseline; it trains them on a history and turns the champion's scores into tables that are published.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import pyarrow as pa

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import Report
from shopkeeper.progress import Tell
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID

STATE, ARRAYS = "model.json", "arrays.npz"
FORMAT = 1

State = Mapping[str, Any]
"""What a fitted model is: names → values that JSON can hold, and NumPy arrays of numbers or texts (never objects)."""


class Model(ABC):
    """A thing that is fitted on rows and scores rows.

    Rows are Arrow tables with a grain that the model states; nothing handed in is altered. The same rows in any order and
    the same seed give the same scores. A model writes only ``_fit``, ``_score``, ``_state`` and ``_restore``.
    """

    name: ClassVar[str]
    """How reports, tables and commands call it, such as ``lightgbm`` or ``recency``."""

    def __init__(self, *, seed: int = 0, **parameters: Any) -> None:
        """Take parameters that JSON can hold; they are kept with the model."""
        self.seed = seed
        self.parameters = parameters
        self.is_fitted = False

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns that rows to score must have."""

    @property
    def target(self) -> tuple[str, ...]:
        """The further columns that rows to fit must have."""
        return ()

    def fit(self, rows: pa.Table) -> Self:
        """Fit on rows, anew: what was fitted before is forgotten.

        Raises ModelError if a column is missing or the rows do not allow a fit.
        """
        self._check(rows, (*self.columns, *self.target))
        self._fit(rows)
        self.is_fitted = True
        return self

    def score(self, rows: pa.Table) -> pa.Table:
        """Return the scores: one row per row, in the same order, with the model's own columns only.

        Raises ModelError if the model is not fitted or a column is missing.
        """
        if not self.is_fitted:
            raise ModelError(f"a model must be fitted before it scores; {self.name} is not. Train it.")
        self._check(rows, self.columns)
        scores = self._score(rows)
        if scores.num_rows != rows.num_rows:
            raise ModelError(f"{self.name} must give one score per row; got {scores.num_rows} for {rows.num_rows}.")
        return scores

    def explain(self, rows: pa.Table, top: int = 3) -> pa.Table:
        """Return why each row got its score: ``row``, ``place`` (1 …), ``feature``, ``value``, ``effect``.

        ``effect`` is in the unit the model adds up in, positive where it raises the score. Empty where a model has
        nothing to tell. Raises as ``score``.
        """
        if not self.is_fitted:
            raise ModelError(f"a model must be fitted before it explains; {self.name} is not. Train it.")
        self._check(rows, self.columns)
        return self._explain(rows, top)

    def save(self, folder: Path) -> None:
        """Write the fitted model into a folder: ``model.json`` and ``arrays.npz``. May be repeated."""
        if not self.is_fitted:
            raise ModelError(f"a model must be fitted before it is saved; {self.name} is not. Train it.")
        folder.mkdir(parents=True, exist_ok=True)
        state = self._state()
        arrays = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
        for key, value in arrays.items():
            if value.dtype.hasobject:
                raise ModelError(f"a model's arrays must hold numbers or texts; {self.name}.{key} holds objects.")
        told = {
            "format": FORMAT,
            "model": self.name,
            "seed": self.seed,
            "parameters": self.parameters,
            "columns": list(self.columns),
            "state": {key: value for key, value in state.items() if key not in arrays},
        }
        (folder / STATE).write_text(json.dumps(told, indent=1, sort_keys=True), "utf-8")
        with (folder / ARRAYS).open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type] # its stub takes the names for its own options

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model that ``save`` wrote; nothing in the folder is executed.

        Raises ModelError if the folder holds no such model, or one that was made for other columns than it reads today.
        """
        told = read_state(folder)
        if told["model"] != cls.name:
            raise ModelError(f"the folder must hold the model {cls.name}; got {told['model']} in {folder}.")
        with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
            state = {**told["state"], **{key: arrays[key] for key in arrays.files}}
        model = cls(seed=told["seed"], **told["parameters"])
        model._restore(state)
        model.is_fitted = True
        if odd := sorted(set(told["columns"]) ^ set(model.columns)):
            raise ModelError(
                f"a saved {cls.name} must be made for the columns that are read today; these differ: {', '.join(odd)}. "
                f"Train it anew."
            )
        return model

    def _check(self, rows: pa.Table, columns: Sequence[str]) -> None:
        missing = [name for name in columns if name not in rows.column_names]
        if missing:
            raise ModelError(
                f"rows for {self.name} must have the columns it was made for; missing: {', '.join(missing)}. "
                f"Add them, or train the model anew."
            )

    @abstractmethod
    def _fit(self, rows: pa.Table) -> None: ...

    @abstractmethod
    def _score(self, rows: pa.Table) -> pa.Table: ...

    def _explain(self, rows: pa.Table, top: int) -> pa.Table:  # noqa: ARG002 - what a model has to tell is its own
        return pa.table(
            {
                "row": pa.array([], pa.int64()),
                "place": pa.array([], pa.int64()),
                "feature": pa.array([], pa.string()),
                "value": pa.array([], pa.string()),
                "effect": pa.array([], pa.float64()),
            }
        )

    @abstractmethod
    def _state(self) -> State: ...

    @abstractmethod
    def _restore(self, state: State) -> None: ...


def read_state(folder: Path) -> dict[str, Any]:
    """Return what ``model.json`` in a folder says. Raises ModelError if there is none that this version can read."""
    try:
        told: dict[str, Any] = json.loads((folder / STATE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"a saved model must be readable; got: {error}. Train it anew.") from error
    if told.get("format") != FORMAT:
        raise ModelError(
            f"a saved model must have format {FORMAT}; got {told.get('format')} in {folder}. Train it anew."
        )
    return told


class History(Protocol):
    """What training may ask of a shop's past. All days are the shop's own; a moment is a day, and knows what came before it.

    ``first_day`` and ``last_day``: of orders. The moment that knows everything is the day after ``last_day``.
    """

    @property
    def first_day(self) -> date | None:
        """The first day with an order; None if there is none."""

    @property
    def last_day(self) -> date | None:
        """The last day with an order; None if there is none."""

    def features(self, moments: Sequence[date]) -> pa.Table:
        """Return ``customer_features`` as of each moment: one row per customer and moment, sorted by both."""

    def outcomes(self, moments: Sequence[date], days: int) -> pa.Table:
        """Return what customers known at each moment did in the ``days`` days from it on.

        One row per customer and moment: ``customer_id, as_of, n_orders_ahead, n_order_days_ahead, gross_sales_ahead,
        net_sales_ahead, days_to_next_order`` (null if none within the days).
        """

    def order_days(self) -> pa.Table:
        """Return one row per customer and day with a sale: ``customer_id, ordered_on, n_orders, gross_sales, net_sales``."""

    def labels(self) -> pa.Table:
        """Return one row per labelled customer: ``customer_id, label, labelled_at``."""

    def attributes(self, moments: Sequence[date]) -> pa.Table:
        """Return what sources say of customers, as of each moment: ``customer_id, as_of, name, value`` (texts), one row each.

        From ``core.customers.attributes`` and from ``core.customer_activity`` rows valid at the moment.
        """


@dataclass(frozen=True)
class Column:
    """A column of a published prediction table: its name, Arrow type, and meaning with its unit."""

    name: str
    kind: pa.DataType
    meaning: str


@dataclass(frozen=True)
class PredictionTable:
    """A table in schema ``predictions``: its name, its grain in words, its key and its columns."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def check(self, rows: pa.Table) -> pa.Table:
        """Return the rows in the declared columns' order and types. Raises ModelError where they do not fit."""
        names = [column.name for column in self.columns]
        if sorted(names) != sorted(rows.column_names):
            odd = sorted(set(names) ^ set(rows.column_names))
            raise ModelError(f"predictions.{self.name} must have its declared columns; these differ: {', '.join(odd)}.")
        return rows.select(names).cast(self._schema)

    def empty(self) -> pa.Table:
        """Return the table without a row."""
        return self._schema.empty_table()

    @property
    def _schema(self) -> pa.Schema:
        return pa.schema([(column.name, column.kind) for column in self.columns])


CUSTOMER_KEY = (
    Column(CUSTOMER_ID, pa.string(), "the customer"),
    Column(AS_OF, pa.date32(), "the moment: what was known before this day"),
)
VERSION_COLUMNS = (
    Column("model", pa.string(), "which model scored: a candidate's name, or the baseline's where no model beat it"),
    Column("model_version", pa.string(), "its version in the registry, such as churn/3"),
)


@dataclass(frozen=True)
class Hindsight:
    """What was said and what came true, at a moment whose outcome is known by now; ``metric`` is the report's primary one."""

    as_of: date
    metric: str
    truth: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class Trial:
    """One try of a search: its parameters, its score on the validation moments (never the held-out ones), its seconds."""

    candidate: str
    parameters: Mapping[str, Any]
    metric: str
    value: float
    seconds: float


@dataclass(frozen=True)
class Trained:
    """What training gives.

    ``model``: refitted on all that is known, to serve; ``evaluated``: the same recipe fitted before the held-out period
    only, kept so that a later challenger can be compared with it honestly; ``baseline``: as ``model``, the baseline, which
    serves where nothing beats it; ``reference``: a sample of the rows that ``model`` learnt from or would score at its
    training, with its scores (column ``score``), against which drift is measured; ``baseline_reference``: the same with the
    baseline's scores; ``parameters``: the recipe to refit by.
    """

    model: Model
    evaluated: Model
    baseline: Model
    report: Report
    parameters: Mapping[str, Any]
    reference: pa.Table
    baseline_reference: pa.Table
    trials: Sequence[Trial] = ()
    extras: Mapping[str, pa.Table] = field(default_factory=dict)


class Subject(ABC):
    """A question that a shop asks of its past: churn, lifetime, segments, labels, …"""

    name: ClassVar[str]
    about: ClassVar[str]
    """One sentence for people."""
    tables: ClassVar[tuple[PredictionTable, ...]]
    """The tables that ``predict`` gives; the first one is the main one."""
    models: ClassVar[Mapping[str, Callable[[Path], Model]]]
    """Name of a model of this subject → how it is loaded."""

    def lacks(self, history: History) -> str:
        """Return, in words, what the shop has not brought for the question to be asked; empty if it has."""
        return "" if history.order_days().num_rows else "no order names a customer"

    @abstractmethod
    def train(
        self,
        history: History,
        *,
        parameters: Mapping[str, Any] | None = None,
        champion: Model | None = None,
        seed: int = 0,
        budget: float | None = None,
        tell: Tell,
    ) -> Trained:
        """Train the candidates and the baseline, choose before the held-out period, evaluate on it.

        ``parameters``: the stored recipe, else defaults; ``champion``: the present champion's ``evaluated`` model, to be
        compared on the same held-out rows; ``budget``: seconds for a search over parameters (None: no search).
        Raises ModelError, a plain sentence, if the data do not allow it.
        """

    @abstractmethod
    def predict(self, model: Model, history: History, as_of: date, *, version: str) -> dict[str, pa.Table]:
        """Return the rows of each of the subject's tables as of a moment, checked against their declaration.

        ``version`` is written into ``model_version``. Raises ModelError if the model does not fit the data's columns.
        """

    @abstractmethod
    def watched(self, model: Model, history: History, as_of: date) -> pa.Table:
        """Return the rows of a moment as ``Trained.reference`` has them: the columns the model reads, and ``score``.

        Drift is measured between the two. Raises as ``predict``.
        """

    def hindsight(self, model: Model, history: History, since: date) -> Hindsight | None:  # noqa: ARG002
        """Return what the model would have said at the latest moment whose outcome is known by now, and the outcome.

        None if that moment is before ``since`` (the model may have learnt from it), or the subject has no outcome.
        """
        return None

    def load(self, folder: Path) -> Model:
        """Load whichever of the subject's models a folder holds. Raises ModelError if it holds none of them."""
        name = read_state(folder)["model"]
        if name not in self.models:
            raise ModelError(
                f"a model of {self.name} must be one of {', '.join(self.models)}; got {name!r} in {folder}."
            )
        return self.models[name](folder)
