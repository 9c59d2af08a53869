"""Models of a label of two classes: the chance that it is 1, for each row.

They differ in how they learn; encoding, scaling and balancing are learnt from the rows of a fit and nothing else, so that a
fold's test rows stay unseen. Rows: ``customer_id, as_of``, the named columns of numbers and texts, and to fit ``label``.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import share_of
from shopkeeper.models.boosted_trees import packed, unpacked
from shopkeeper.models.encoding import Encoder, Matrix
from shopkeeper.models.model import Model, State, array_of, reasons
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID

LABEL = "label"
THREADS, FEW_ROWS = 2, 40_000
T_QUANTILE = 2.7764451051977987
"""97.5 % of Student's t with 4 degrees of freedom: the spread comes from five fits."""
LEAST_CHANCE = 1e-6
MOST_STEPS, MOST_SWEEPS = 50, 500
TOLERANCE, SETTLED = 1e-10, 1e-7

Classes = NDArray[np.int64]


class Classifier(Model):
    """A model of a label of 0 and 1.

    Parameters: ``numbers`` and ``texts``, the columns it learns from; ``threshold``, from which score on a row is called
    positive; ``spread``, how far the log-odds of rows with such a score vary from fit to fit (``log_odds`` and ``sd``,
    interpolated; None: no interval); ``is_balanced``, whether the rare class weighs as much as the frequent one while
    fitting (the scores are turned back into chances: King and Zeng 2001); and those of its kind.

    Scores: ``score`` (chance of 1), ``score_low`` and ``score_high`` (95 % interval of the score from fit to fit),
    ``is_positive``.
    """

    is_scaled = False

    def __init__(
        self,
        *,
        numbers: Sequence[str] = (),
        texts: Sequence[str] = (),
        threshold: float = 0.5,
        spread: Mapping[str, Sequence[float]] | None = None,
        seed: int = 0,
        **parameters: Any,
    ) -> None:
        """Take the columns and how to learn; see the class."""
        super().__init__(
            seed=seed,
            numbers=list(numbers),
            texts=list(texts),
            threshold=threshold,
            spread=None if spread is None else {name: list(values) for name, values in spread.items()},
            **parameters,
        )
        self.encoder = Encoder(numbers, texts, is_scaled=self.is_scaled)
        self.weight = 1.0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of numbers and texts that it was made for."""
        return (*self.encoder.numbers, *self.encoder.texts)

    @property
    def target(self) -> tuple[str, ...]:
        """The label, and the key that rows are put in order by before anything is random."""
        return (LABEL, CUSTOMER_ID, AS_OF)

    def chance(self, rows: pa.Table) -> NDArray[np.float64]:
        """Return the chance of 1 for each row. Raises as ``score``."""
        column = self.score(rows)["score"]
        return np.asarray(column.to_numpy(), np.float64)

    def _fit(self, rows: pa.Table) -> None:
        rows = rows.sort_by([(CUSTOMER_ID, "ascending"), (AS_OF, "ascending")])
        label = rows[LABEL].to_numpy().astype(np.int64)
        positives = int(label.sum())
        if not 0 < positives < len(label):
            raise ModelError(
                f"a label to fit {self.name} on must have both classes; all {len(label)} rows have the same."
            )
        self.weight = (len(label) - positives) / positives if self.parameters.get("is_balanced") else 1.0
        matrix = self.encoder.learn(rows)
        self._learn(matrix, label)

    def _score(self, rows: pa.Table) -> pa.Table:
        raw = self._chance(self.encoder.encode(rows)) if rows.num_rows else np.zeros(0)
        chance = np.clip(raw / (raw + self.weight * (1 - raw)), LEAST_CHANCE, 1 - LEAST_CHANCE)
        low, high = self._interval(chance)
        return pa.table(
            {
                "score": chance,
                "score_low": low,
                "score_high": high,
                "is_positive": pa.array(chance >= self.parameters["threshold"], pa.bool_()),
            }
        )

    def _interval(self, chance: NDArray[np.float64]) -> tuple[pa.Array, pa.Array]:
        spread = self.parameters["spread"]
        if spread is None:
            nothing = pa.nulls(len(chance), pa.float64())
            return nothing, nothing
        odds = np.log(chance / (1 - chance))
        far = T_QUANTILE * np.interp(odds, spread["log_odds"], spread["sd"])
        return pa.array(logistic(odds - far)), pa.array(logistic(odds + far))

    def _explain(self, rows: pa.Table, top: int) -> pa.Table:
        if not rows.num_rows:
            return super()._explain(rows, top)
        effects = self._effects(self.encoder.encode(rows))
        if effects is None:
            return super()._explain(rows, top)
        features = list(dict.fromkeys(name for name, _ in self.encoder.kept))
        place = {name: at for at, name in enumerate(features)}
        by_feature = np.zeros((rows.num_rows, len(features)))
        for at, (name, _) in enumerate(self.encoder.kept):
            by_feature[:, place[name]] += effects[:, at]
        values = [rows[name].cast(pa.string()).to_pylist() for name in features]
        return reasons(np.arange(rows.num_rows), features, by_feature, top, lambda at, feature: values[feature][at])

    def _state(self) -> State:
        return {**self.encoder.state(), "weight": self.weight, **self._kept()}

    def _restore(self, state: State) -> None:
        self.encoder.restore(state)
        self.weight = float(state["weight"])
        self._take(state)

    @abstractmethod
    def _learn(self, matrix: Matrix, label: Classes) -> None: ...

    @abstractmethod
    def _chance(self, matrix: Matrix) -> NDArray[np.float64]: ...

    def _effects(self, matrix: Matrix) -> Matrix | None:  # noqa: ARG002 - not every kind can tell
        """Return what each column of the matrix adds to each row's log-odds; None where that is not known."""
        return None

    @abstractmethod
    def _kept(self) -> dict[str, Any]: ...

    @abstractmethod
    def _take(self, state: State) -> None: ...


class Prior(Classifier):
    """The share of positives, for everyone: what a score must beat. It calls nobody positive and nobody negative."""

    name = "prior"

    def _learn(self, matrix: Matrix, label: Classes) -> None:  # noqa: ARG002 - that it looks at nothing is the point
        found = share_of(int(label.sum()), len(label))
        self.share = np.array([found.value, found.low, found.high])

    def _chance(self, matrix: Matrix) -> NDArray[np.float64]:
        return np.full(len(matrix), self.share[0])

    def _score(self, rows: pa.Table) -> pa.Table:
        told = {
            name: np.full(rows.num_rows, value)
            for name, value in zip(("score", "score_low", "score_high"), self.share, strict=True)
        }
        return pa.table({**told, "is_positive": pa.nulls(rows.num_rows, pa.bool_())})

    def _kept(self) -> dict[str, Any]:
        return {"share": self.share}

    def _take(self, state: State) -> None:
        self.share = array_of(state, "share", 3)


class Logistic(Classifier):
    """Logistic regression on scaled columns, of the few that say something: relaxed lasso (Meinshausen 2007).

    A lasso picks the columns: one that says nothing stays out unless chance lifts it ``strictness`` standard errors of
    nothing high (0: all stay). Those picked are fitted anew with a ridge of ``penalty``, so that picking shrinks nothing.
    """

    name = "logistic_regression"
    is_scaled = True

    def _learn(self, matrix: Matrix, label: Classes) -> None:
        weights = np.where(label == 1, self.weight, 1.0)
        share = np.average(label, weights=weights)
        noise = np.sqrt((weights**2 * (label - share) ** 2).sum())
        strictness = self.parameters.get("strictness", 2.5)
        picked = np.arange(matrix.shape[1])
        if strictness:
            picked = np.flatnonzero(maximise(matrix, label, weights, lasso=strictness * noise, ridge=0.0)[1:])
        found = maximise(matrix[:, picked], label, weights, lasso=0.0, ridge=self.parameters.get("penalty", 10.0))
        self.intercept, self.coefficients = float(found[0]), np.zeros(matrix.shape[1])
        self.coefficients[picked] = found[1:]

    def _chance(self, matrix: Matrix) -> NDArray[np.float64]:
        # Added up row by row: a matrix product may round a row differently at another place.
        odds = (matrix * self.coefficients).sum(axis=1) + self.intercept
        return logistic(odds)

    def _effects(self, matrix: Matrix) -> Matrix | None:
        effects: Matrix = matrix * self.coefficients
        return effects

    def _kept(self) -> dict[str, Any]:
        return {"intercept": self.intercept, "coefficients": self.coefficients}

    def _take(self, state: State) -> None:
        self.intercept = float(state["intercept"])
        self.coefficients = array_of(state, "coefficients", len(self.encoder.kept))


class RandomForest(Classifier):
    """Random forest (Breiman 2001); each tree sees at most ``rows_per_tree`` rows. Tells no effects."""

    name = "random_forest"

    def _learn(self, matrix: Matrix, label: Classes) -> None:
        from sklearn.ensemble import RandomForestClassifier
        from skops import io

        matrix = _never_empty(matrix)
        most = self.parameters.get("rows_per_tree", 4000)
        self.learner = RandomForestClassifier(
            n_estimators=self.parameters.get("trees", 60),
            max_depth=self.parameters.get("depth", 8),
            min_samples_leaf=self.parameters.get("rows_per_leaf", 20),
            max_features=self.parameters.get("share_of_features", 0.2),
            max_samples=most if len(label) > most else None,
            random_state=self.seed,
            n_jobs=THREADS,
        ).fit(matrix.astype(np.float32), label, np.where(label == 1, self.weight, 1.0))
        # Several threads would add up the trees in the order in which they finish.
        self.learner.n_jobs = 1
        self.packed = np.frombuffer(io.dumps(self.learner), np.uint8)

    def _chance(self, matrix: Matrix) -> NDArray[np.float64]:
        chance: NDArray[np.float64] = self.learner.predict_proba(_never_empty(matrix).astype(np.float32))[:, 1]
        return chance

    def _kept(self) -> dict[str, Any]:
        return {"packed": self.packed}

    def _take(self, state: State) -> None:
        from skops import io

        self.packed = array_of(state, "packed", -1)
        self.learner = io.loads(self.packed.tobytes(), trusted=["sklearn.tree._tree.Tree"])


class XGBoost(Classifier):
    """Boosted trees by XGBoost (Chen and Guestrin 2016), kept as its JSON. Effects are SHAP values in log-odds."""

    name = "xgboost"

    def _learn(self, matrix: Matrix, label: Classes) -> None:
        import xgboost

        rows = xgboost.QuantileDMatrix(
            _never_empty(matrix),
            label,
            weight=np.where(label == 1, self.weight, 1.0),
            nthread=_threads(label),
            max_bin=64,
        )
        learner = xgboost.train(
            {
                "objective": "binary:logistic",
                "tree_method": "hist",
                "max_bin": 64,
                "max_depth": self.parameters.get("depth", 3),
                "eta": self.parameters.get("rate", 0.06),
                "min_child_weight": self.parameters.get("weight_per_leaf", 5),
                "lambda": self.parameters.get("penalty", 5),
                "subsample": 0.8,
                "colsample_bytree": self.parameters.get("share_of_features", 0.5),
                "nthread": _threads(label),
                "seed": self.seed,
            },
            rows,
            self.parameters.get("trees", 100),
        )
        self._unpack(np.frombuffer(bytes(learner.save_raw("json")), np.uint8))

    def _unpack(self, told: NDArray[np.uint8]) -> None:
        import xgboost

        self.packed = told
        self.learner = xgboost.Booster({"nthread": 1}, model_file=bytearray(told.tobytes()))
        if self.learner.num_features() != max(len(self.encoder.kept), 1):
            raise ModelError(f"boosted trees must be made for the encoder's {len(self.encoder.kept)} columns.")

    def _chance(self, matrix: Matrix) -> NDArray[np.float64]:
        return np.asarray(self.learner.inplace_predict(_never_empty(matrix)), np.float64)

    def _effects(self, matrix: Matrix) -> Matrix | None:
        import xgboost

        rows = xgboost.DMatrix(_never_empty(matrix), nthread=1)
        return np.asarray(self.learner.predict(rows, pred_contribs=True)[:, : matrix.shape[1]], np.float64)

    def _kept(self) -> dict[str, Any]:
        return {"packed": self.packed}

    def _take(self, state: State) -> None:
        self._unpack(array_of(state, "packed", -1))


class LightGBM(Classifier):
    """Boosted trees by LightGBM (Ke and others 2017), kept as its text. Effects are SHAP values in log-odds."""

    name = "lightgbm"

    def _learn(self, matrix: Matrix, label: Classes) -> None:
        import lightgbm

        settings = {
            "objective": "binary",
            "max_bin": 63,
            "num_leaves": self.parameters.get("leaves", 8),
            "learning_rate": self.parameters.get("rate", 0.06),
            "min_data_in_leaf": self.parameters.get("rows_per_leaf", 40),
            "lambda_l2": self.parameters.get("penalty", 5),
            "feature_fraction": self.parameters.get("share_of_features", 0.5),
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": _threads(label),
            "seed": self.seed,
            "verbose": -1,
        }
        rows = lightgbm.Dataset(
            _never_empty(matrix), label, weight=np.where(label == 1, self.weight, 1.0), params=settings
        )
        learner = lightgbm.train(settings, rows, self.parameters.get("trees", 100))
        self._unpack(packed(learner))

    def _unpack(self, told: NDArray[np.uint8]) -> None:
        self.packed, self.learner = told, unpacked(told, max(len(self.encoder.kept), 1))

    def _chance(self, matrix: Matrix) -> NDArray[np.float64]:
        return np.asarray(self.learner.predict(_never_empty(matrix), num_threads=1), np.float64)

    def _effects(self, matrix: Matrix) -> Matrix | None:
        told = self.learner.predict(_never_empty(matrix), pred_contrib=True, num_threads=1)
        return np.asarray(told, np.float64)[:, : matrix.shape[1]]

    def _kept(self) -> dict[str, Any]:
        return {"packed": self.packed}

    def _take(self, state: State) -> None:
        self._unpack(array_of(state, "packed", -1))


KINDS: Mapping[str, type[Classifier]] = {kind.name: kind for kind in (Logistic, RandomForest, XGBoost, LightGBM)}
"""The kinds that compete, the simplest first."""


def logistic(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance of log-odds, which are kept within 500 of zero."""
    chance: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
    return chance


def maximise(
    matrix: Matrix, label: Classes, weights: NDArray[np.float64], *, lasso: float, ridge: float
) -> NDArray[np.float64]:
    """Return the intercept and coefficients with the highest penalised logistic likelihood.

    The penalty is ``lasso`` |b| + ``ridge`` b² / 2 for each coefficient, in units of the log-likelihood's sum; none for the
    intercept. Newton steps, halved where they overshoot; with a lasso each by coordinate descent (Friedman, Hastie and
    Tibshirani 2010).
    """
    columns = np.column_stack([np.ones(len(label)), matrix])
    free = np.append(0.0, np.ones(matrix.shape[1]))
    share = np.average(label, weights=weights)
    found = np.append(np.log(share / (1 - share)), np.zeros(matrix.shape[1]))

    def loss(of: NDArray[np.float64]) -> float:
        odds = columns @ of
        said = (weights * (np.logaddexp(0, odds) - label * odds)).sum()
        return float(said + lasso * np.abs(of[1:]).sum() + ridge / 2 * (of[1:] ** 2).sum())

    value = loss(found)
    for _ in range(MOST_STEPS):
        chance = logistic(columns @ found)
        slope = columns.T @ (weights * (label - chance))
        curve = columns.T @ (columns * (weights * np.maximum(chance * (1 - chance), LEAST_CHANCE))[:, None])
        if lasso:
            step = _shrunk(slope + curve @ found, curve, lasso * free, found) - found
        else:
            step = np.linalg.solve(curve + np.diag(ridge * free), slope - ridge * free * found)
        better = loss(found + step)
        while better > value and np.abs(step).max() > TOLERANCE:
            step = step / 2
            better = loss(found + step)
        gained = value - better
        if gained > 0:
            found, value = found + step, better
        if gained <= TOLERANCE * abs(value):
            break
    return found


def _shrunk(
    target: NDArray[np.float64], curve: Matrix, lasso: NDArray[np.float64], start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the b with the least b'Cb / 2 - t'b + lasso |b|, by coordinate descent from a start."""
    found, left, own = start.copy(), target - curve @ start, np.diag(curve)
    for _ in range(MOST_SWEEPS):
        moved = 0.0
        for at in range(len(found)):
            before = found[at]
            pull = left[at] + own[at] * before
            found[at] = np.sign(pull) * max(abs(pull) - lasso[at], 0.0) / own[at]
            if found[at] != before:
                left -= curve[:, at] * (found[at] - before)
                moved = max(moved, abs(found[at] - before) * np.sqrt(own[at]))
        if moved < SETTLED:
            break
    return found


def _threads(label: Classes) -> int:
    """Return how many threads learn: of few rows one, for two would wait for each other longer than they work."""
    return THREADS if len(label) > FEW_ROWS else 1


def _never_empty(matrix: Matrix) -> Matrix:
    """Return a matrix with at least one column: where nothing varies, a column of zeros."""
    return matrix if matrix.shape[1] else np.zeros((len(matrix), 1))
