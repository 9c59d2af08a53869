"""The contract of all models and baselines, and of the questions (subjects) they answer for a shop.

A *model* is fitted on rows, scores rows, explains its scores, and is kept without pickle: a JSON file and a file of
arrays. A *subject* (churn, lifetime, …) knows which moments it needs, which candidates compete, and against which
baseline; it trains them on a history and turns the champion's scores into tables that are published.
"""

import json
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Protocol, Self, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import Report
from shopkeeper.progress import Tell
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID

STATE, ARRAYS = "model.json", "arrays.npz"
FORMAT = 2
FIELDS: Mapping[str, type] = {
    "model": str,
    "seed": int,
    "parameters": dict,
    "columns": list,
    "state": dict,
    "arrays_sha256": str,
}
"""What ``model.json`` must say besides the format, and as what."""
MOST_BYTES = 2**30
"""No file of arrays is unpacked that would take more bytes than this."""

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
        self.latest: date | None = None
        """The latest moment of the rows it was fitted on; None where they name none."""

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
        self.latest = pc.max(rows[AS_OF].cast(pa.date32())).as_py() if AS_OF in rows.column_names else None
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

    def has_seen(self, day: date, *, horizon_days: int = 0) -> bool:
        """Return whether it was fitted on anything of a day or later, outcomes of so many days included.

        A champion that has seen the held-out period cannot be judged by it.
        """
        return self.latest is not None and self.latest + timedelta(days=horizon_days) > day

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
        with (folder / ARRAYS).open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type] # its stub takes the names for its own options
        told = {
            "format": FORMAT,
            "model": self.name,
            "seed": self.seed,
            "parameters": self.parameters,
            "columns": list(self.columns),
            "latest": self.latest and self.latest.isoformat(),
            "state": {key: value for key, value in state.items() if key not in arrays},
            "arrays_sha256": sha256((folder / ARRAYS).read_bytes()).hexdigest(),
        }
        (folder / STATE).write_text(json.dumps(told, indent=1, sort_keys=True), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model that ``save`` wrote; nothing in the folder is executed.

        Raises ModelError if the folder holds no such model, one that is not whole, or one that was made for other columns
        than it reads today.
        """
        told = read_state(folder)
        if told["model"] != cls.name:
            raise ModelError(f"the folder must hold the model {cls.name}; got {told['model']} in {folder}.")
        try:
            model = cls(**{**told["parameters"], "seed": told["seed"]})
            model._restore({**told["state"], **_arrays(folder / ARRAYS, told["arrays_sha256"])})
            model.latest = date.fromisoformat(told["latest"]) if told.get("latest") else None
        except Exception as error:
            # A file that somebody else made, or that a disk broke, may be wrong in any way; each means the same.
            said = f"{type(error).__name__} {error}"
            raise ModelError(f"a saved {cls.name} must be whole; got: {said} in {folder}. Train it anew.") from error
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


def reasons(
    rows: np.ndarray, names: Sequence[str], effects: np.ndarray, top: int, value: Callable[[int, int], str | None]
) -> pa.Table:
    """Return what ``Model.explain`` gives: of each row the ``top`` strongest effects; of equals the one named first.

    ``rows``: the number of each row of ``effects`` (rows x ``names``); ``value``: a row of it and a place in ``names`` →
    the feature's value as text.
    """
    order = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :top]
    at, found = np.repeat(np.arange(len(effects)), order.shape[1]), order.ravel()
    return pa.table(
        {
            "row": pa.array(rows[at], pa.int64()),
            "place": pa.array(np.tile(np.arange(1, order.shape[1] + 1), len(effects)), pa.int64()),
            "feature": pa.array([names[feature] for feature in found.tolist()], pa.string()),
            "value": pa.array(
                [value(row, feature) for row, feature in zip(at.tolist(), found.tolist(), strict=True)], pa.string()
            ),
            "effect": pa.array(effects[at, found], pa.float64()),
        }
    )


def read_state(folder: Path) -> dict[str, Any]:
    """Return what ``model.json`` in a folder says. Raises ModelError if there is none that this version can read."""
    try:
        told: Any = json.loads((folder / STATE).read_text("utf-8"), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"a saved model must be readable; got: {error}. Train it anew.") from error
    found = told.get("format") if isinstance(told, dict) else type(told).__name__
    if found != FORMAT:
        raise ModelError(f"a saved model must have format {FORMAT}; got {found} in {folder}. Train it anew.")
    if wrong := [name for name, kind in FIELDS.items() if not isinstance(told.get(name), kind)]:
        raise ModelError(f"a saved model must say its {', '.join(wrong)}; {folder} does not. Train it anew.")
    return dict(told)


def array_of(state: State, name: str, *shape: int) -> np.ndarray:
    """Return an array of numbers from a state. Raises ModelError unless it is one, of this shape (-1: any length)."""
    found = state[name]
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iuf" or len(found.shape) != len(shape):
        raise ModelError(f"{name} must be an array of numbers with {len(shape)} dimensions")
    if any(wanted not in {-1, size} for wanted, size in zip(shape, found.shape, strict=True)):
        raise ModelError(f"{name} must have the shape {shape}; got {found.shape}")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant}, which is no number")


def _arrays(file: Path, digest: str) -> dict[str, np.ndarray]:
    """Return the arrays of a file. Raises ModelError if it is not the one that was written, and whatever NumPy raises."""
    if sha256(file.read_bytes()).hexdigest() != digest:
        raise ModelError(f"{file.name} must be as it was written; it was altered")
    with zipfile.ZipFile(file) as packed:
        if sum(one.file_size for one in packed.infolist()) > MOST_BYTES:
            raise ModelError(f"{file.name} must unpack to {MOST_BYTES:,} bytes at most")
    with np.load(file, allow_pickle=False) as arrays:
        found = {key: arrays[key] for key in arrays.files}
    if gaps := [key for key, values in found.items() if values.dtype.kind == "f" and np.isnan(values).any()]:
        raise ModelError(f"arrays must have a number everywhere; {', '.join(gaps)} has not")
    return found


T = TypeVar("T")


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

    def once(self, question: tuple[Hashable, ...], ask: Callable[[], T]) -> T:
        """Return the answer to a question about this past, asked once: training, drift and scoring ask alike.

        The question names all that the answer depends on besides the past; nobody may change the answer.
        """

    def features(self, moments: Sequence[date]) -> pa.Table:
        """Return ``customer_features`` as of each moment: one row per customer and moment, sorted by both."""

    def outcomes(self, moments: Sequence[date], days: int) -> pa.Table:
        """Return what customers known at each moment did in the ``days`` days from it on.

        One row per customer and moment: ``customer_id, as_of, n_orders_ahead, n_order_days_ahead, gross_sales_ahead,
        net_sales_ahead, days_to_next_order`` (null if none within the days).
        """

    def order_days(self) -> pa.Table:
        """Return one row per customer and day with a sale: ``customer_id, ordered_on, n_orders, gross_sales, net_sales``."""

    def sale_lines(self) -> pa.Table:
        """Return one row per line that was sold and names a product, guests' too, sorted by day, order and product.

        ``order_id, customer_id, product_id, category, store_id, country, currency, ordered_on, quantity, unit_price,
        gross_amount, discount_amount, net_amount, is_outlier``; numbers are doubles.
        """

    def session_products(self) -> pa.Table:
        """Return one row per visit and product: ``session_id, customer_id, product_id, started_on, n_views, n_carts,
        n_purchases``.
        """

    def products(self) -> pa.Table:
        """Return one row per product: ``product_id, description, category, brand, list_price, unit_cost``."""

    def stock_days(self) -> pa.Table:
        """Return one row per product, store and day on which its stock moved: ``product_id, store_id, day, on_hand,
        n_units_in, n_units_out``; on_hand is when the day ended.
        """

    def promotions(self) -> pa.Table:
        """Return one row per promotion, what it is for, and store: ``promotion_id, level, member, store_id, starts_on, ends_on,
        unit_price, discount_share, announced_on, is_usable``; past ones and planned ones.
        """

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
    after: ClassVar[tuple[str, ...]] = ()
    """Subjects that are scored before this one, which is handed their tables."""
    rows: ClassVar[str] = "customers"
    """What is scored, for people."""
    limits: ClassVar[tuple[str, ...]] = ()
    """Sentences for the model card: when not to use it."""

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
        compared on the same held-out rows, unless it reads other columns, answers another question or has seen them;
        ``budget``: seconds for a search over parameters (None: no search).
        Raises ModelError, a plain sentence, if the data do not allow it.
        """

    @abstractmethod
    def predict(
        self,
        model: Model,
        history: History,
        as_of: date,
        *,
        version: str,
        given: Mapping[str, pa.Table] | None = None,
    ) -> dict[str, pa.Table]:
        """Return the rows of each of the subject's tables as of a moment, checked against their declaration.

        ``version`` is written into ``model_version``; ``given``: tables of the subjects named in ``after``, by name, as far
        as they stand. Raises ModelError if the model does not fit the data's columns.
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
