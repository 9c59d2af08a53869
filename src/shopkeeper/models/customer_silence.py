"""Models of silence: the chance that a customer places no order in the next days, and when the next one may come.

All are calibrated alike, inside their own fit: the rows' customers are dealt into four parts by a hash of their id, each
part is scored by a model fitted on the other three, and Platt's line (1999) is put through those scores; recent moments
weigh more. So a fit needs nothing but its rows, and knows its own log loss on customers it had not seen (``validation``).
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import log_loss
from shopkeeper.models.boosted_trees import packed, unpacked
from shopkeeper.models.buying import BgNbd, Triples, Vector, fit_bgnbd
from shopkeeper.models.customer_rows import buyers, numbers
from shopkeeper.models.customer_value import past_of
from shopkeeper.models.encoding import Encoder
from shopkeeper.models.log_odds import LEAST_CHANCE, LogOdds, chance_of, fit_log_odds, log_odds_of
from shopkeeper.models.model import Model, State, array_of, reasons
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID

IS_CHURNED = "is_churned"
PARTS = 4
NORMAL = 1.959963984540054
LEAST_MOMENTS, LEAST_OF_CLASS = 3, 10
FARTHEST_DAYS = 1095.0
"""An order that is not as likely as not within three years is not expected at all."""

RHYTHM = ("n_order_days", "days_since_first_order", "days_since_last_order", "net_sales")
GAPS, PACE = "gaps_since_last_order", "order_days_per_30_days"
BEHAVIOUR = (
    "n_order_days",
    "days_since_last_order",
    "n_orders_30d",
    "n_orders_90d",
    "net_sales",
    "net_sales_30d",
    "net_sales_90d",
    "sales_per_order_day",
    "units_per_order",
    "lines_per_order",
    "n_products",
    "n_categories",
    "mean_days_between_orders",
    "sd_days_between_orders",
    "cancellation_rate",
    "return_share",
    "discount_share",
    "month_sales_mean",
    "month_sales_sd",
    "month_sales_trend",
    "n_sessions_30d",
    "n_sessions_90d",
    "days_since_last_session",
    "session_conversion",
    "cart_rate",
)
"""What the models with many features learn from. Not tenure and not windows of 365 days: in a record of a year or two they
grow with the record, and a model would take the calendar for behaviour."""


class CustomerSilence(Model):
    """What all models of silence share: folds, calibration, intervals and the date of the next order.

    Rows: one per customer and moment, columns of ``customer_features``; to fit also ``is_churned`` (1: no order in the
    ``horizon_days`` from the moment on). Scores, null without an order: ``churn_probability``; ``probability_low`` and
    ``probability_high``: where, with 95 %, the share of churners among customers of such a probability lies, from the
    sampling of the calibration and from how much whole moments differed; ``days_to_next_order``: within how many days an
    order is as likely as not, null where it is not within three years.
    """

    features: ClassVar[tuple[str, ...]]
    calibration: LogOdds
    shift: float
    """By how much the log-odds of a whole moment may be off, at 95 %."""
    validation: float
    rhythm: BgNbd | None

    def __init__(self, *, seed: int = 0, horizon_days: int = 90, **parameters: Any) -> None:
        super().__init__(seed=seed, horizon_days=horizon_days, **parameters)
        self.horizon_days = horizon_days

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of ``customer_features`` that it reads."""
        return tuple(dict.fromkeys((*RHYTHM, *self.features)))

    @property
    def target(self) -> tuple[str, ...]:
        """Whether the customer stayed away, and the key: rows are put in its order, and customers dealt by it."""
        return (IS_CHURNED, CUSTOMER_ID, AS_OF)

    def _fit(self, rows: pa.Table) -> None:
        rows = buyers(rows)
        target = numbers(rows, IS_CHURNED)
        if not 0 < target.sum() < len(target):
            raise ModelError(
                f"customers to fit {self.name} on must have come back and stayed away within {self.horizon_days} days, some "
                f"of each; all {len(target)} rows did the same. Wait for more orders, or choose another horizon."
            )
        unseen = self._unseen(rows, target)
        moments, of_row = np.unique(rows[AS_OF].cast(pa.int32()).to_numpy(), return_inverse=True)
        weights = 0.5 ** ((moments[-1] - moments[of_row]) / self.horizon_days)
        self.calibration = fit_log_odds(unseen[:, None], target, weights=weights)
        odds = self.calibration.of(unseen[:, None])
        self.validation = log_loss(target, chance_of(odds))
        self.shift = _shift(odds, target, of_row, len(moments))
        # A customer's rows say nearly the same thing again: the sampling error is as of one row per customer.
        per_customer = rows.num_rows / pc.count_distinct(rows[CUSTOMER_ID]).as_py()
        self.calibration = LogOdds(self.calibration.coefficients, self.calibration.covariance * per_customer)
        self._learn(rows, target)
        self.rhythm = self._rhythm(rows)

    def _unseen(self, rows: pa.Table, target: Vector) -> Vector:
        """Return the raw log-odds of each row by a model that saw none of its customer's rows."""
        keys = rows[CUSTOMER_ID].to_pylist()
        part = np.array([crc32(f"{self.seed} {key}".encode()) % PARTS for key in keys])
        unseen = np.zeros(len(target))
        for number in range(PARTS):
            mine = part == number
            others = target[~mine]
            if not mine.any():
                continue
            if not len(others) or not 0 < others.sum() < len(others):
                raise ModelError(
                    f"customers to fit {self.name} on must be enough to leave out a quarter of them; got {len(set(keys))}. "
                    f"Wait for more customers."
                )
            fold = type(self)(**{**self.parameters, "seed": self.seed})
            fold._learn(rows.filter(pa.array(~mine)), others)  # noqa: SLF001 - of its own class
            unseen[mine] = fold._raw(rows.filter(pa.array(mine)))  # noqa: SLF001
        return unseen

    def _rhythm(self, rows: pa.Table) -> BgNbd | None:
        """Return BG/NBD as of the latest moment, None where it cannot be fitted."""
        latest = rows.filter(pc.equal(rows[AS_OF], pc.max(rows[AS_OF])))
        n, t_x, age, _ = past_of(latest)
        try:
            return fit_bgnbd(Triples.group(n - 1, t_x, age))
        except ModelError:
            return None

    def _score(self, rows: pa.Table) -> pa.Table:
        known = numbers(rows, "n_order_days") > 0
        mine = rows.filter(pa.array(known))
        raw = self._raw(mine)[:, None]
        odds = self.calibration.of(raw)
        chance = _kept(chance_of(odds))
        far = np.sqrt(self.shift**2 + NORMAL**2 * self.calibration.variance(raw))
        told = {
            "churn_probability": chance,
            "probability_low": _kept(chance_of(odds - far)),
            "probability_high": _kept(chance_of(odds + far)),
            "days_to_next_order": self._days_to_next_order(mine, chance),
        }
        columns = {}
        for name, values in told.items():
            whole = np.full(rows.num_rows, np.nan)
            whole[known] = values
            columns[name] = pa.array(whole, mask=np.isnan(whole))
        return pa.table(columns)

    def _days_to_next_order(self, rows: pa.Table, chance: Vector) -> Vector:
        """Return the days t at which P(order by t) is one half, NaN where it is not within three years.

        P(order by t) = (1 - churn probability) * F(t) / F(horizon), F being BG/NBD's law of the wait of a customer who is
        alive: the model says how likely an order is, the customer's own rhythm how it is spread over the days.
        """
        if self.rhythm is None:
            return np.full(len(chance), np.nan)
        n, _, age, _ = past_of(rows)
        shape, scale = self.rhythm.r + n - 1, self.rhythm.alpha + age
        within = -np.expm1(-shape * np.log1p(self.horizon_days / scale))
        share = within / (2.0 * (1.0 - chance))
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            days = scale * np.expm1(-np.log1p(-share) / shape)
        return np.where((share < 1) & (days <= FARTHEST_DAYS), days, np.nan)

    def _explain(self, rows: pa.Table, top: int) -> pa.Table:
        """Give what each feature adds to the log-odds of staying away, the strongest first."""
        known = np.flatnonzero(numbers(rows, "n_order_days") > 0)
        mine = rows.take(known)
        names, values, effects = self._effects(mine)
        effects = effects * self.calibration.coefficients[1]

        def told(at: int, feature: int) -> str | None:
            return None if np.isnan(values[at, feature]) else f"{values[at, feature]:.6g}"

        return reasons(known, names, effects, top, told)

    def _state(self) -> State:
        return {
            **self.calibration.told("calibration"),
            "shift": self.shift,
            "validation": self.validation,
            "rhythm": None if self.rhythm is None else asdict(self.rhythm),
            **self._kept_state(),
        }

    def _restore(self, state: State) -> None:
        self.calibration = LogOdds.from_state(state, "calibration", 1)
        self.shift, self.validation = float(state["shift"]), float(state["validation"])
        self.rhythm = None if state["rhythm"] is None else BgNbd.from_state(state["rhythm"])
        self._take_state(state)

    @abstractmethod
    def _learn(self, rows: pa.Table, target: Vector) -> None: ...

    @abstractmethod
    def _raw(self, rows: pa.Table) -> Vector: ...

    @abstractmethod
    def _effects(self, rows: pa.Table) -> tuple[list[str], Vector, Vector]: ...

    @abstractmethod
    def _kept_state(self) -> dict[str, Any]: ...

    @abstractmethod
    def _take_state(self, state: State) -> None: ...


class Recency(CustomerSilence):
    """The baseline: logistic regression on ``days_since_last_order`` alone, as it is and as a logarithm."""

    name: ClassVar[str] = "recency"
    features: ClassVar[tuple[str, ...]] = ("days_since_last_order",)
    line: LogOdds
    mean: list[float]

    def _learn(self, rows: pa.Table, target: Vector) -> None:
        matrix = self._matrix(rows)
        self.mean = matrix.mean(axis=0).tolist()
        self.line = fit_log_odds(matrix, target)

    def _raw(self, rows: pa.Table) -> Vector:
        return self.line.of(self._matrix(rows))

    def _effects(self, rows: pa.Table) -> tuple[list[str], Vector, Vector]:
        matrix = (self._matrix(rows) - np.array(self.mean)) * self.line.coefficients[1:]
        return (
            ["days_since_last_order"],
            numbers(rows, "days_since_last_order")[:, None],
            matrix.sum(axis=1, keepdims=True),
        )

    @staticmethod
    def _matrix(rows: pa.Table) -> Vector:
        days = numbers(rows, "days_since_last_order")
        return np.column_stack([days / 30.0, np.log1p(days)])

    def _kept_state(self) -> dict[str, Any]:
        return {**self.line.told("line"), "mean": self.mean}

    def _take_state(self, state: State) -> None:
        self.line, self.mean = LogOdds.from_state(state, "line", 2), [float(each) for each in state["mean"]]


class NotAlive(CustomerSilence):
    """BG/NBD's own chance of no order within the horizon: gone already, or alive and silent; fitted as of the latest moment."""

    name: ClassVar[str] = "p_alive"
    leaves_at_once: ClassVar[bool] = False
    features: ClassVar[tuple[str, ...]] = ()
    orders: BgNbd
    typical: float

    def _learn(self, rows: pa.Table, target: Vector) -> None:  # noqa: ARG002 - it learns from order days alone
        latest = rows.filter(pc.equal(rows[AS_OF], pc.max(rows[AS_OF])))
        n, t_x, age, _ = past_of(latest)
        self.orders = fit_bgnbd(Triples.group(n - 1, t_x, age), leaves_at_once=self.leaves_at_once)
        self.typical = float(np.sort(self._silent(n, age)).mean())

    def _raw(self, rows: pa.Table) -> Vector:
        n, t_x, age, _ = past_of(rows)
        return log_odds_of(self.orders.none_within(n - 1, t_x, age, self.horizon_days))

    def _rhythm(self, rows: pa.Table) -> BgNbd | None:  # noqa: ARG002 - it is the model itself
        return self.orders

    def _silent(self, n: Vector, age: Vector) -> Vector:
        """Return the log-odds of silence of somebody alive for certain."""
        never_left = np.zeros(len(n))
        gone = BgNbd(self.orders.r, self.orders.alpha, 1e-12, 1.0)
        return log_odds_of(gone.none_within(n - 1, age + never_left, age, self.horizon_days))

    def _effects(self, rows: pa.Table) -> tuple[list[str], Vector, Vector]:
        """Recency tells whether the customer is alive, frequency how long one alive is silent; the two add up."""
        n, t_x, age, _ = past_of(rows)
        alive = self._silent(n, age)
        effects = np.column_stack([self._raw(rows) - alive, alive - self.typical])
        return ["days_since_last_order", "n_order_days"], np.column_stack([age - t_x, n]), effects

    def _kept_state(self) -> dict[str, Any]:
        return {"orders": asdict(self.orders), "typical": self.typical}

    def _take_state(self, state: State) -> None:
        self.orders, self.typical = BgNbd.from_state(state["orders"]), float(state["typical"])


class NotAliveModified(NotAlive):
    """The same by the modified BG/NBD, in which the first order may have been the last."""

    name: ClassVar[str] = "p_alive_modified"
    leaves_at_once: ClassVar[bool] = True


class Logistic(CustomerSilence):
    """Logistic regression on transformed features: logarithms of skewed ones, medians for gaps and a column that says so.

    ``penalty``: on squared coefficients of standardised columns. Two features are made here: ``gaps_since_last_order``
    (days since the last order / mean days between orders) and ``order_days_per_30_days``.
    """

    name: ClassVar[str] = "logistic"
    features: ClassVar[tuple[str, ...]] = BEHAVIOUR

    def __init__(self, *, seed: int = 0, horizon_days: int = 90, penalty: float = 10.0, **parameters: Any) -> None:
        super().__init__(seed=seed, horizon_days=horizon_days, penalty=penalty, **parameters)
        self.encoder = Encoder((*BEHAVIOUR, GAPS, PACE), (), is_scaled=True)

    def _learn(self, rows: pa.Table, target: Vector) -> None:
        self.line = fit_log_odds(self.encoder.learn(with_pace(rows)), target, penalty=self.parameters["penalty"])

    def _raw(self, rows: pa.Table) -> Vector:
        return self.line.of(self.encoder.encode(with_pace(rows)))

    def _effects(self, rows: pa.Table) -> tuple[list[str], Vector, Vector]:
        parts = self.encoder.encode(with_pace(rows)) * self.line.coefficients[1:]
        names = (*BEHAVIOUR, GAPS, PACE)
        effects = np.zeros((rows.num_rows, len(names)))
        for at, (name, _) in enumerate(self.encoder.kept):
            effects[:, names.index(name)] += parts[:, at]
        return of_columns(rows, effects)

    def _kept_state(self) -> dict[str, Any]:
        return {**self.line.told("line"), **self.encoder.state()}

    def _take_state(self, state: State) -> None:
        self.encoder.restore(state)
        self.line = LogOdds.from_state(state, "line", len(self.encoder.kept))


class Boosted(CustomerSilence):
    """Boosted trees by LightGBM (Ke and others 2017); effects are SHAP values (Lundberg and Lee 2017).

    Longer silence, in days and in usual gaps, never lowers the chance of staying away. Parameters: ``leaves``, ``trees``,
    ``rate``, ``rows_per_leaf`` (at most a twentieth of the rows), ``penalty``, ``share_of_features``.
    """

    name: ClassVar[str] = "lightgbm"
    features: ClassVar[tuple[str, ...]] = BEHAVIOUR
    learnt: ClassVar[tuple[str, ...]] = (*BEHAVIOUR, GAPS, PACE)
    few_rows: ClassVar[int] = 40_000

    def __init__(
        self,
        *,
        seed: int = 0,
        horizon_days: int = 90,
        leaves: int = 6,
        trees: int = 80,
        rate: float = 0.06,
        rows_per_leaf: int = 50,
        penalty: float = 10.0,
        share_of_features: float = 0.5,
        **parameters: Any,
    ) -> None:
        super().__init__(
            seed=seed,
            horizon_days=horizon_days,
            leaves=leaves,
            trees=trees,
            rate=rate,
            rows_per_leaf=rows_per_leaf,
            penalty=penalty,
            share_of_features=share_of_features,
            **parameters,
        )

    def _learn(self, rows: pa.Table, target: Vector) -> None:
        import lightgbm

        told = self.parameters
        settings = {
            "objective": "binary",
            "num_leaves": told["leaves"],
            "learning_rate": told["rate"],
            "min_data_in_leaf": max(min(told["rows_per_leaf"], len(target) // 20), 1),
            "lambda_l2": told["penalty"],
            "feature_fraction": told["share_of_features"],
            "monotone_constraints": [int(name in {"days_since_last_order", GAPS}) for name in self.learnt],
            "max_bin": 127,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1 if len(target) <= self.few_rows else 2,
            "seed": self.seed,
            "verbose": -1,
        }
        learner = lightgbm.train(settings, lightgbm.Dataset(self._matrix(rows), target, params=settings), told["trees"])
        self._unpack(packed(learner))

    def _unpack(self, told: np.ndarray) -> None:
        self.packed, self.learner = told, unpacked(told, len(self.learnt))

    def _matrix(self, rows: pa.Table) -> Vector:
        wide = with_pace(rows)
        return np.column_stack([numbers(wide, name) for name in self.learnt])

    def _raw(self, rows: pa.Table) -> Vector:
        if not rows.num_rows:
            return np.zeros(0)
        return np.asarray(self.learner.predict(self._matrix(rows), raw_score=True, num_threads=1), np.float64)

    def _effects(self, rows: pa.Table) -> tuple[list[str], Vector, Vector]:
        if not rows.num_rows:
            return of_columns(rows, np.zeros((0, len(self.learnt))))
        told = np.asarray(self.learner.predict(self._matrix(rows), pred_contrib=True, num_threads=1), np.float64)
        return of_columns(rows, told[:, : len(self.learnt)])

    def _kept_state(self) -> dict[str, Any]:
        return {"packed": self.packed}

    def _take_state(self, state: State) -> None:
        self._unpack(array_of(state, "packed", -1))


KINDS: Mapping[str, type[CustomerSilence]] = {
    kind.name: kind for kind in (Recency, NotAlive, NotAliveModified, Logistic, Boosted)
}
"""The models by name, the simplest first."""


def with_pace(rows: pa.Table) -> pa.Table:
    """Return rows with two columns more: usual gaps since the last order (null below 2 order days), and orders' pace."""
    gap, days = numbers(rows, "mean_days_between_orders"), numbers(rows, "days_since_last_order")
    with np.errstate(divide="ignore", invalid="ignore"):
        gaps = days / gap
        pace = 30.0 * numbers(rows, "n_order_days") / numbers(rows, "days_since_first_order")
    told = {GAPS: gaps, PACE: pace}
    for name, values in told.items():
        rows = rows.append_column(name, pa.array(values, mask=~np.isfinite(values)))
    return rows


def of_columns(rows: pa.Table, effects: Vector) -> tuple[list[str], Vector, Vector]:
    """Return the columns, their values and effects; the two made features' effects go to the column they speak of."""
    told = effects[:, : len(BEHAVIOUR)].copy()
    told[:, BEHAVIOUR.index("days_since_last_order")] += effects[:, -2]
    told[:, BEHAVIOUR.index("n_order_days")] += effects[:, -1]
    return list(BEHAVIOUR), np.column_stack([numbers(rows, name) for name in BEHAVIOUR]), told


def _kept(chance: Vector) -> Vector:
    return np.clip(chance, LEAST_CHANCE, 1 - LEAST_CHANCE)


def _shift(odds: Vector, target: Vector, of_row: np.ndarray, n_moments: int) -> float:
    """Return by how much a new moment's log-odds may be off, at 95 %: Student's t over the moments seen; 0 below three."""
    from scipy.special import stdtrit

    found = []
    for number in range(n_moments):
        mine = of_row == number
        if min(target[mine].sum(), (1 - target[mine]).sum()) >= LEAST_OF_CLASS:
            found.append(level_of(odds[mine], target[mine]))
    if len(found) < LEAST_MOMENTS:
        return 0.0
    return float(stdtrit(len(found) - 1, 0.975) * np.std(found, ddof=1) * np.sqrt(1 + 1 / len(found)))


def level_of(odds: Vector, target: Vector) -> float:
    """Return by how much the log-odds of all rows alike must be moved for their mean chance to be the observed rate."""
    offset = 0.0
    for _ in range(50):
        chance = chance_of(odds + offset)
        step = float((target - chance).sum() / max((chance * (1 - chance)).sum(), LEAST_CHANCE))
        offset += float(np.clip(step, -1.0, 1.0))
        if abs(step) < 1e-9:
            break
    return offset
