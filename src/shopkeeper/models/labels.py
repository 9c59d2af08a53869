"""Labels: how likely is each customer to be what a table of customers and labels, 0 or 1, says of some of them?

Whatever the label means, it is learnt from ``customer_features`` and the customers' attributes as of the day the label became
known, and the score is given for every customer. Four kinds of models compete, and must beat the share of positives.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import (
    Candidate,
    Figure,
    Report,
    calibration_points,
    compare,
    confusion,
    gain_points,
    lift_points,
    measure,
    measure_all,
    pr_points,
    roc_auc,
    roc_points,
    stratified_folds,
    threshold_for_f1,
    time_folds,
)
from shopkeeper.evaluation.metrics import equal_count_bins
from shopkeeper.models.classifiers import KINDS, LABEL, Classifier, Prior
from shopkeeper.models.customer_rows import reference
from shopkeeper.models.labelled_rows import as_learnt, columns_of, labelled_rows, with_attributes
from shopkeeper.models.model import (
    CUSTOMER_KEY,
    VERSION_COLUMNS,
    Column,
    History,
    Model,
    PredictionTable,
    Subject,
    Trained,
    Trial,
)
from shopkeeper.progress import Tell
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID, LABEL_MODEL

PRIMARY = "roc_auc"
METRICS_OF_CHANCES = ("roc_auc", "pr_auc", "brier", "log_loss", "calibration_error")
HELD_OUT_SHARE = 0.25
LEAST_OF_CLASS = 20
FOLDS = 5
SPREAD_FITS, SPREAD_BINS = 5, 10
TELLTALE = 0.99
"""A single number that orders the classes this well is named: it may have been known only with the label."""

SCORES = PredictionTable(
    name="label_scores",
    grain="one row per customer and moment",
    key=(CUSTOMER_ID, AS_OF),
    columns=(
        *CUSTOMER_KEY,
        Column("score", pa.float64(), "the chance that the label is 1, a fraction"),
        Column("score_low", pa.float64(), "lower end of its 95 % interval, as it varies from fit to fit"),
        Column("score_high", pa.float64(), "upper end of its 95 % interval"),
        Column("rank", pa.int64(), "place by score, 1 the highest; equal scores share a place"),
        Column("decile", pa.int64(), "tenth of the customers by score, 1 the highest; equal scores share one"),
        Column("is_positive", pa.bool_(), "whether the score is at or above the threshold; null from the prior"),
        *VERSION_COLUMNS,
    ),
)


@dataclass(frozen=True)
class Split:
    """Which rows train and which are held out, and the folds within the training rows."""

    train: pa.Table
    held_out: pa.Table
    folds: Sequence[tuple[NDArray[Any], NDArray[Any]]]
    is_by_time: bool


class Labels(Subject):
    """The question that a shop's own label asks."""

    name: ClassVar[str] = LABEL_MODEL
    about: ClassVar[str] = "How likely is it that the shop's label is 1 for a customer?"
    tables: ClassVar[tuple[PredictionTable, ...]] = (SCORES,)
    models: ClassVar[Mapping[str, Callable[[Path], Model]]] = {
        **{name: kind.load for name, kind in KINDS.items()},
        Prior.name: Prior.load,
    }

    def lacks(self, history: History) -> str:
        """Return that there are no labels, if so; see ``Subject.lacks``."""
        return "" if history.labels().num_rows else "no labels are loaded"

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
        """Train the four kinds and the prior, choose by cross-validation, and judge on held-out customers.

        Held out are a quarter of the customers by a hash of their id, or the latest moments where labels have
        several. Without a recipe the kinds are compared by ROC AUC in five folds (by time where there are moments), and the
        simplest within one standard error of the best is chosen; the threshold and the interval's width come from the
        training rows too. A recipe holds all of that, and skips it. ``budget``: what a search visits in it depends on the
        machine's speed; each try is told.
        Raises ModelError if there are no labels, one class, fewer than 20 of a class, or only unknown customers.
        """
        tell("labels", "rows", 0, None)
        rows, notes = labelled_rows(history)
        split = split_of(rows, seed)
        columns = columns_of(rows)
        recipe = _Recipe.of(parameters)
        trials: list[Trial] = []
        if recipe is None or budget is not None:
            recipe, trials = _choose(split, columns, recipe, seed, budget, tell)
        fitted = _fit_all(split.train, columns, recipe, seed, tell)
        if recipe.spread is None:
            recipe = replace(recipe, spread=_spread(split.train, columns, recipe, fitted[recipe.candidate], seed, tell))
            fitted[recipe.candidate] = recipe.make(recipe.candidate, columns, seed).fit(split.train)
        report = _report(rows, split, fitted, recipe, champion, notes, seed)
        tell("labels", f"{recipe.candidate} on all labels", 0, 1)
        model = recipe.make(recipe.candidate, columns, seed).fit(rows)
        baseline = Prior(numbers=columns[0], texts=columns[1], seed=seed).fit(rows)
        sample = reference(rows, seed)
        tell("labels", f"{recipe.candidate} on all labels", 1, 1)
        return Trained(
            model=model,
            evaluated=fitted[recipe.candidate],
            baseline=baseline,
            report=report,
            parameters=recipe.told(),
            reference=_scored(model, sample),
            baseline_reference=_scored(baseline, sample),
            trials=trials,
        )

    def predict(
        self,
        model: Model,
        history: History,
        as_of: date,
        *,
        version: str,
        given: Mapping[str, pa.Table] | None = None,  # noqa: ARG002 - it needs no other's scores
    ) -> dict[str, pa.Table]:
        """Return ``label_scores`` of every customer known at the moment.

        An attribute that no customer has any more is missing for all; one that was a number and is a text now counts as
        missing where it is one. Raises ModelError if a column that the model was made for is not among the features.
        """
        rows = self._everyone(model, history, as_of)
        scores = model.score(rows)
        found = scores["score"].to_numpy()
        lower = np.sort(found)
        told = pa.table(
            {
                CUSTOMER_ID: rows[CUSTOMER_ID],
                AS_OF: rows[AS_OF],
                **{name: scores[name] for name in scores.column_names},
                "rank": len(found) - np.searchsorted(lower, found, side="right") + 1,
                "decile": 10 - equal_count_bins(found, 10) if len(found) else np.zeros(0, np.int64),
                "model": pa.array([model.name] * rows.num_rows, pa.string()),
                "model_version": pa.array([version] * rows.num_rows, pa.string()),
            }
        )
        return {SCORES.name: SCORES.check(told)}

    def watched(self, model: Model, history: History, as_of: date) -> pa.Table:
        """Return every customer known at the moment with the score, to be compared with the labelled ones learnt from."""
        rows = self._everyone(model, history, as_of)
        return _scored(model, rows)

    def _everyone(self, model: Model, history: History, as_of: date) -> pa.Table:
        return as_learnt(with_attributes(history.features([as_of]), history.attributes([as_of])), model)


@dataclass(frozen=True)
class _Recipe:
    """What a search chose: the kind, each kind's parameters and threshold, and the spread of the chosen one."""

    candidate: str
    parameters: Mapping[str, Mapping[str, Any]]
    thresholds: Mapping[str, float]
    cv: Mapping[str, float]
    spread: Mapping[str, Sequence[float]] | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any] | None) -> "_Recipe | None":
        if not told:
            return None
        wrong = told.get("candidate") not in KINDS or told.keys() - {*cls.__dataclass_fields__}
        if wrong or any(set(told.get(part, {})) != set(KINDS) for part in ("parameters", "thresholds", "cv")):
            raise ModelError(
                f"a recipe for labels must name a candidate, and parameters, thresholds and cv of {', '.join(KINDS)}; got "
                f"{', '.join(told)} for {told.get('candidate')!r}. Train without one."
            )
        return cls(**told)

    def told(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def make(self, name: str, columns: tuple[list[str], list[str]], seed: int) -> Classifier:
        return KINDS[name](
            numbers=columns[0],
            texts=columns[1],
            threshold=self.thresholds[name],
            spread=self.spread if name == self.candidate else None,
            seed=seed,
            **self.parameters[name],
        )


# Splits: what is held out, and the folds.


def split_of(rows: pa.Table, seed: int) -> Split:
    """Return the held-out quarter and the training rows with their folds; rows must be sorted by customer and moment.

    With several moments the latest are held out, and the folds test on later moments than they train on; else the
    quarter of the customers with the lowest hash of their id: whoever else is labelled next time, a customer held out
    today is held out then too, so that no champion has learnt from those it is compared on. Where that would leave a
    class with fewer than 5 rows, or half, on one side, it is of each class the quarter with the lowest hashes.
    Raises ModelError if a class has fewer than 20 rows.
    """
    label = rows[LABEL].to_numpy()
    fewest = min(int(label.sum()), int(len(label) - label.sum()))
    if fewest < LEAST_OF_CLASS:
        raise ModelError(
            f"a label must have at least {LEAST_OF_CLASS} customers of each class to learn from; got {fewest} of the rarer "
            f"one among {len(label)} known customers. Label more."
        )
    moments = np.array(rows[AS_OF].to_pylist())
    is_held_out = _latest(moments, label)
    is_by_time = is_held_out is not None
    if is_held_out is None:
        is_held_out = _by_hash(rows[CUSTOMER_ID].to_pylist(), label)
    train, held_out = rows.filter(pa.array(~is_held_out)), rows.filter(pa.array(is_held_out))
    folds = list(_folds(moments[~is_held_out], label[~is_held_out], seed, is_by_time=is_by_time))
    return Split(train, held_out, folds, is_by_time)


def _latest(moments: NDArray[Any], label: NDArray[Any]) -> NDArray[Any] | None:
    """Return whether each row is of the latest moments that make up a quarter; None where moments do not allow it."""
    for moment in sorted(set(moments.tolist()), reverse=True)[:-1]:
        is_late: NDArray[Any] = moments >= moment
        sides = (label[is_late], label[~is_late])
        if is_late.mean() >= HELD_OUT_SHARE:
            enough = all(min(side.sum(), len(side) - side.sum()) >= FOLDS for side in sides)
            return is_late if enough and is_late.mean() <= 1 - HELD_OUT_SHARE else None
    return None


def _by_hash(customers: Sequence[str], label: NDArray[Any]) -> NDArray[Any]:
    hashes = np.array(
        [int.from_bytes(hashlib.blake2b(one.encode(), digest_size=8).digest(), "big") for one in customers], np.uint64
    )
    is_held_out = hashes < HELD_OUT_SHARE * 2**64
    if all(FOLDS <= is_held_out[label == value].sum() <= (label == value).sum() / 2 for value in (0, 1)):
        return is_held_out
    # Of few rows the hashes may leave a class with next to nothing to judge by.
    is_held_out = np.zeros(len(label), bool)
    for value in (0, 1):
        mine = np.flatnonzero(label == value)
        order = mine[np.argsort(hashes[mine], kind="stable")]
        is_held_out[order[: round(HELD_OUT_SHARE * len(order))]] = True
    return is_held_out


def _folds(
    moments: NDArray[Any], label: NDArray[Any], seed: int, *, is_by_time: bool
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    by_time = time_folds(moments.tolist(), FOLDS) if is_by_time and len(set(moments.tolist())) > 1 else []
    n_told = 0
    for train, test in by_time:
        rows = np.flatnonzero(np.isin(moments, np.array(train))), np.flatnonzero(np.isin(moments, np.array(test)))
        if all(0 < label[one].sum() < len(one) for one in rows):
            n_told += 1
            yield rows
    if not n_told:
        yield from stratified_folds(label, FOLDS, seed)


# Choice: cross-validation of each kind, a random search where there is a budget.


def _choose(
    split: Split,
    columns: tuple[list[str], list[str]],
    known: _Recipe | None,
    seed: int,
    budget: float | None,
    tell: Tell,
) -> tuple[_Recipe, list[Trial]]:
    """Return the recipe with the highest ROC AUC over the folds, and each try."""
    rng = np.random.default_rng(seed)
    best: dict[str, _Tested] = {}
    trials: list[Trial] = []
    began = time.perf_counter()
    for name, parameters in _tries(known, rng, endless=budget is not None):
        spent = time.perf_counter() - began
        needed = max((one.seconds for one in trials if one.candidate == name), default=0)
        if len(best) == len(KINDS) and budget is not None and spent + needed > budget:
            break
        tell("labels", f"{name} in {len(split.folds)} folds", len(trials), None if budget else N_DEFAULTS)
        start = time.perf_counter()
        tested = _cross_validate(split, columns, name, parameters, seed)
        trials.append(Trial(name, parameters, PRIMARY, tested.mean, time.perf_counter() - start))
        if name not in best or tested.mean > best[name].mean:
            best[name] = tested
    recipe = _Recipe(
        candidate=_simplest(best),
        parameters={name: dict(best[name].parameters) for name in KINDS},
        thresholds={name: best[name].threshold for name in KINDS},
        cv={name: best[name].mean for name in KINDS},
    )
    return recipe, trials


@dataclass(frozen=True)
class _Tested:
    """What cross-validation found: the metric in each fold, and the threshold with the best F1 on all rows tested."""

    parameters: Mapping[str, Any]
    values: NDArray[np.float64]
    threshold: float

    @property
    def mean(self) -> float:
        return float(self.values.mean())


def _simplest(best: Mapping[str, _Tested]) -> str:
    """Return the first kind that is no more than one standard error, paired over the folds, below the best.

    The one-standard-error rule (Breiman and others 1984); kinds stand in the order of their simplicity.
    """
    top = max(KINDS, key=lambda name: best[name].mean)
    for name in KINDS:
        behind = best[top].values - best[name].values
        error = behind.std(ddof=1) / np.sqrt(len(behind)) if len(behind) > 1 else 0.0
        if behind.mean() <= error:
            return name
    return top


def _tries(
    known: _Recipe | None, rng: np.random.Generator, *, endless: bool
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what is known or the defaults of each kind, then, if endless, random parameters of each in turn."""
    for name in KINDS:
        yield from [(name, known.parameters[name])] if known else [(name, each) for each in DEFAULTS[name]]
    while endless:
        for name, space in SPACES.items():
            yield name, {key: values[int(rng.integers(len(values)))] for key, values in space.items()}


DEFAULTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "logistic_regression": ({}, {"strictness": 0}),
    "random_forest": ({},),
    "xgboost": ({},),
    "lightgbm": ({},),
}
"""What is tried without a search: a logistic regression of few columns, and of all, costs next to nothing."""

N_DEFAULTS = sum(map(len, DEFAULTS.values()))

SPACES: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "logistic_regression": {
        "strictness": (0, 1, 1.5, 2, 2.5, 3),
        "penalty": (1, 10, 100, 1000),
        "is_balanced": (False, True),
    },
    "random_forest": {
        "trees": (60, 120),
        "depth": (4, 6, 8, 12),
        "rows_per_leaf": (5, 20, 50, 100),
        "share_of_features": (0.1, 0.2, 0.4, 0.8),
        "is_balanced": (False, True),
    },
    "xgboost": {
        "trees": (50, 100, 200),
        "depth": (1, 2, 3, 4, 6),
        "rate": (0.03, 0.06, 0.12),
        "weight_per_leaf": (1, 5, 20),
        "penalty": (1, 5, 20),
        "share_of_features": (0.2, 0.5, 1.0),
        "is_balanced": (False, True),
    },
    "lightgbm": {
        "trees": (50, 100, 200),
        "leaves": (2, 4, 8, 16, 31),
        "rate": (0.03, 0.06, 0.12),
        "rows_per_leaf": (20, 40, 100),
        "penalty": (1, 5, 20),
        "share_of_features": (0.2, 0.5, 1.0),
        "is_balanced": (False, True),
    },
}
"""What a search tries, per kind."""


def _cross_validate(
    split: Split, columns: tuple[list[str], list[str]], name: str, parameters: Mapping[str, Any], seed: int
) -> _Tested:
    label = split.train[LABEL].to_numpy()
    values, tested, scores = [], [], []
    for train, test in split.folds:
        model = KINDS[name](numbers=columns[0], texts=columns[1], seed=seed, **parameters).fit(split.train.take(train))
        chance = model.chance(split.train.take(test))
        values.append(roc_auc(label[test], chance))
        tested.append(test)
        scores.append(chance)
    threshold = threshold_for_f1(label[np.concatenate(tested)], np.concatenate(scores))
    return _Tested(parameters, np.array(values), threshold)


def _fit_all(
    train: pa.Table, columns: tuple[list[str], list[str]], recipe: _Recipe, seed: int, tell: Tell
) -> dict[str, Classifier]:
    fitted: dict[str, Classifier] = {}
    for done, name in enumerate(KINDS):
        tell("labels", f"{name} before the held-out rows", done, len(KINDS))
        fitted[name] = recipe.make(name, columns, seed).fit(train)
    fitted[Prior.name] = Prior(numbers=columns[0], texts=columns[1], seed=seed).fit(train)
    return fitted


def _spread(
    train: pa.Table,
    columns: tuple[list[str], list[str]],
    recipe: _Recipe,
    fitted: Classifier,
    seed: int,
    tell: Tell,
) -> dict[str, list[float]]:
    """Return how far the log-odds vary from fit to fit, by log-odds: the delete-a-group jackknife (Kott 2001).

    Five fits leave out a fifth each; the variance of a row's log-odds is 4/5 of the sum of their squared distances from
    their mean; it is averaged over rows of like score, since a row's own is a guess from five.
    """
    odds = []
    for done, (kept, _) in enumerate(stratified_folds(train[LABEL].to_numpy(), SPREAD_FITS, seed)):
        tell("labels", f"spread of {recipe.candidate}", done, SPREAD_FITS)
        chance = recipe.make(recipe.candidate, columns, seed).fit(train.take(kept)).chance(train)
        odds.append(np.log(chance / (1 - chance)))
    variance = (SPREAD_FITS - 1) / SPREAD_FITS * ((np.array(odds) - np.mean(odds, axis=0)) ** 2).sum(axis=0)
    chance = fitted.chance(train)
    place = np.log(chance / (1 - chance))
    of_rows = equal_count_bins(place, SPREAD_BINS)
    n = np.bincount(of_rows)
    kept = n > 0
    return {
        "log_odds": (np.bincount(of_rows, weights=place)[kept] / n[kept]).tolist(),
        "sd": np.sqrt(np.bincount(of_rows, weights=variance)[kept] / n[kept]).tolist(),
    }


# The report: what the held-out rows say, looked at once.


def _report(
    rows: pa.Table,
    split: Split,
    fitted: Mapping[str, Classifier],
    recipe: _Recipe,
    champion: Model | None,
    notes: Sequence[str],
    seed: int,
) -> Report:
    truth = split.held_out[LABEL].to_numpy()
    chances = {name: model.chance(split.held_out) for name, model in fitted.items()}
    chosen, chance = fitted[recipe.candidate], chances[recipe.candidate]
    found = compare(PRIMARY, truth, chance, chances[Prior.name], names=(chosen.name, Prior.name), seed=seed)
    told = [*notes, *_remarks(rows, split, chosen)]
    against = None
    if champion is not None:
        if split.is_by_time and champion.has_seen(pc.min(split.held_out[AS_OF]).as_py() - timedelta(days=1)):
            told.append(f"The champion {champion.name} could not be compared: it has learnt from held-out moments.")
        elif set(champion.columns) <= set(rows.column_names):
            others = champion.score(as_learnt(split.held_out, champion))["score"].to_numpy()
            against = compare(PRIMARY, truth, chance, others, names=(chosen.name, champion.name), seed=seed)
        else:
            gone = sorted(set(champion.columns) - set(rows.column_names))
            told.append(f"The champion {champion.name} could not be compared: it needs {', '.join(gone[:5])}.")
    if found.gain.low <= 0:
        value = measure(PRIMARY, truth, chance, seed=seed)
        told.insert(
            0,
            f"No model beats the prior: the best by cross-validation, {chosen.name}, has a ROC AUC of {value.value:.3f} "
            f"(95 % interval {value.low:.3f} to {value.high:.3f}) on the held-out customers, where chance has .500.",
        )
    days = split.held_out[AS_OF]
    return Report(
        subject=LABEL_MODEL,
        held_out=(pc.min(days).as_py(), pc.max(days).as_py()),
        n_rows=len(truth),
        primary=PRIMARY,
        chosen=chosen.name,
        baseline=Prior.name,
        candidates=[
            Candidate(
                name,
                name == Prior.name,
                _figures(truth, chances[name], model.parameters["threshold"], seed, is_constant=name == Prior.name),
                dict(recipe.parameters.get(name, {})),
            )
            for name, model in fitted.items()
        ],
        against_baseline=found,
        against_champion=against,
        curves={
            "calibration": calibration_points(truth, chance),
            "gain": gain_points(truth, chance),
            "lift": lift_points(truth, chance),
            "roc": roc_points(truth, chance),
            "pr": pr_points(truth, chance),
            "confusion": confusion(truth, chance, chosen.parameters["threshold"]),
        },
        facts={
            "n_labels": rows.num_rows,
            "share_positive": float(rows[LABEL].to_numpy().mean()),
            "n_moments": len(set(rows[AS_OF].to_pylist())),
            "is_split_by_time": split.is_by_time,
            "threshold": chosen.parameters["threshold"],
            **{f"cv_roc_auc_{name}": value for name, value in recipe.cv.items()},
        },
        notes=tuple(told),
    )


def _figures(
    truth: NDArray[Any], chance: NDArray[np.float64], threshold: float, seed: int, *, is_constant: bool
) -> dict[str, Figure]:
    decisions = np.ones(len(chance)) if is_constant else (chance >= threshold).astype(float)
    found = measure_all(METRICS_OF_CHANCES, truth, chance, seed=seed)
    return {**found, "f1": measure("f1", truth, decisions, seed=seed)}


def _remarks(rows: pa.Table, split: Split, chosen: Classifier) -> list[str]:
    told = [
        "Held out are the latest moments: "
        f"{split.held_out.num_rows:,} customers labelled from {pc.min(split.held_out[AS_OF]).as_py()} on."
        if split.is_by_time
        else f"Held out are {split.held_out.num_rows:,} customers, a quarter by a hash of their id."
    ]
    gaps = [name for name in chosen.columns if rows[name].null_count]
    if gaps:
        told.append(f"Missing values occur in {len(gaps)} columns and were taken as such: {_listed(gaps)}.")
    if chosen.encoder.constant:
        told.append(f"Columns that do not vary were left out: {_listed(chosen.encoder.constant)}.")
    label = split.train[LABEL].to_numpy()
    telltale = [name for name in chosen.encoder.numbers if _orders(split.train[name], label) > TELLTALE]
    if telltale:
        told.append(
            f"These columns alone tell the classes apart almost always: {_listed(telltale)}. Check that they were known "
            f"before the label."
        )
    return told


def _orders(column: pa.ChunkedArray, label: NDArray[Any]) -> float:
    values = column.cast(pa.float64()).to_numpy()
    known = np.isfinite(values)
    if known.mean() < 0.5 or not 0 < label[known].sum() < known.sum():
        return 0.5
    found = roc_auc(label[known], values[known])
    return max(found, 1 - found)


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _scored(model: Model, rows: pa.Table) -> pa.Table:
    return rows.append_column("score", model.score(rows)["score"])
