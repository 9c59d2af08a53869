"""Lifetime value: how much each customer will still spend, how sure that is, and whether the customer is still there.

The candidates (``models/customer_value.py``): ``bgnbd_gamma_gamma`` and ``mbgnbd_gamma_gamma``; the baseline ``past_rate``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import METRICS, Candidate, Comparison, Report, compare, coverage, measure_all
from shopkeeper.models.buying import BgNbd, Vector
from shopkeeper.models.customer_rows import aligned, buyers, numbers, reference, thinned
from shopkeeper.models.customer_value import (
    COVERAGE,
    BgNbdGammaGamma,
    CustomerValue,
    MbgNbdGammaGamma,
    PastRate,
    past_of,
)
from shopkeeper.models.model import (
    CUSTOMER_KEY,
    VERSION_COLUMNS,
    Column,
    Hindsight,
    History,
    Model,
    PredictionTable,
    Subject,
    Trained,
    Trial,
)
from shopkeeper.progress import Tell
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID, LIFETIME

PRIMARY = "mean_tweedie_deviance"
REPORTED = (PRIMARY, "rmse", "mae")
CANDIDATES: Mapping[str, type[BgNbdGammaGamma]] = {kind.name: kind for kind in (BgNbdGammaGamma, MbgNbdGammaGamma)}
LEVELS = tuple(round(COVERAGE + 0.01 * i, 2) for i in range(10))
LEAST_CUSTOMERS = 30
LEAST_DAYS = 14
LEAST_SHARE = 0.01
"""Predictions count as at least this share of the baseline's mean where they are judged: a deviance divides by them."""
CLASSES = 7
LEAST_LEAVING = 0.001
MOST_JUDGED = 200_000
STEPS = 4


@dataclass(frozen=True)
class _HeldOut:
    """The held-out period: customers as of its first day (of very many a sample), and what they then did."""

    moment: date
    days: int
    rows: pa.Table
    value: Vector
    order_days: Vector


class Lifetime(Subject):
    """What each customer with an order is worth over a horizon; see ``docs/model-lifetime.md``.

    ``horizon_days``: how far ahead value is counted; ``margin``: the share of net sales that is profit. The held-out period
    is the last ``horizon_days``, at most half of the shop's history; what is published is for the whole horizon.

    The primary metric is the mean Tweedie deviance of power 1.5: what a mean minimises (mae is not), made for sums that are
    often 0 and else skewed; rmse would be decided by a handful of wholesalers.
    """

    name: ClassVar[str] = LIFETIME
    about: ClassVar[str] = "How much each customer will still spend, and how likely the customer is still there."
    tables: ClassVar[tuple[PredictionTable, ...]] = (
        PredictionTable(
            "customer_lifetime_values",
            "one row per customer with an order before the moment, and moment",
            (CUSTOMER_ID, AS_OF),
            (
                *CUSTOMER_KEY,
                Column("horizon_days", pa.int64(), "how many days from the moment on are counted"),
                Column("expected_order_days", pa.float64(), "days with an order, expected within the horizon"),
                Column("p_alive", pa.float64(), "chance that the customer has not left for good; null: cannot be said"),
                Column(
                    "lifetime_value", pa.float64(), "money expected within the horizon: net sales by margin, 0 or more"
                ),
                Column("value_low", pa.float64(), "low end of the 90 % range of what the customer will bring"),
                Column("value_high", pa.float64(), "high end of that range"),
                *VERSION_COLUMNS,
            ),
        ),
    )
    models: ClassVar[Mapping[str, Callable[[Path], Model]]] = {
        **{name: kind.load for name, kind in CANDIDATES.items()},
        PastRate.name: PastRate.load,
    }

    def __init__(self, *, horizon_days: int = 365, margin: float = 1.0) -> None:
        self.horizon_days, self.margin = horizon_days, margin

    def train(
        self,
        history: History,
        *,
        parameters: Mapping[str, Any] | None = None,
        champion: Model | None = None,
        seed: int = 0,
        budget: float | None = None,  # noqa: ARG002 - likelihoods leave nothing to search
        tell: Tell,
    ) -> Trained:
        """Fit before the held-out period, judge on it, refit on everything; see ``Subject.train``.

        Where BG/NBD cannot be fitted the baseline stands alone, and a note says why. Raises ModelError for a history
        under 28 days, or fewer than 30 customers before the held-out period.
        """
        first, end = _span(history)
        days = min(self.horizon_days, (end - first).days // 2)
        moment = end - timedelta(days)
        days_before = min(days, (moment - first).days // 2)
        before = moment - timedelta(days_before)
        tell(self.name, "reading the past", 0, STEPS)
        features = buyers_by_moment(history.features([before, moment, end]))
        held_out = self._held_out(history, features.get(moment), moment, days)
        notes: list[str] = []
        trials: list[Trial] = []
        tell(self.name, "choosing", 1, STEPS)
        wanted = (parameters or {}).get("candidate")
        level = (parameters or {}).get("parameters", {}).get("level")
        if (wanted not in CANDIDATES or level is None) and before in features:
            trials = self._validate(features[before], history.outcomes([before], days_before), days_before, seed)
        if trials:
            wanted, level = trials[-1].candidate, trials[-1].parameters["level"]
        if level is None:
            level = COVERAGE
            notes.append("The ranges are the model's own: too few customers came back early enough to correct them.")
        tell(self.name, "fitting", 2, STEPS)
        shape: dict[str, Any] = {"seed": seed, "margin": self.margin, "level": level}
        contenders: list[CustomerValue] = []
        for kind in sorted(CANDIDATES.values(), key=lambda kind: kind.name != wanted):
            try:
                contenders.append(kind(**shape, horizon_days=days).fit(features[moment]))
            except ModelError as error:
                notes.append(f"The candidate {kind.name} is left out: {error}")
        if not contenders:
            notes.append("The baseline past_rate stands alone.")
        contenders.append(PastRate(**shape, horizon_days=days).fit(features[moment]))
        chosen = contenders[0]
        tell(self.name, "judging", 3, STEPS)
        report = self._judge(contenders, held_out, history, champion, seed, notes)
        everyone = features[end]
        model: Model = type(chosen)(**shape, horizon_days=self.horizon_days).fit(everyone)
        sample = reference(everyone, seed)
        baseline = PastRate(**shape, horizon_days=self.horizon_days).fit(everyone)
        return Trained(
            model=model,
            evaluated=chosen,
            baseline=baseline,
            report=report,
            parameters={"candidate": chosen.name, "parameters": {"level": level}},
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
        """Return ``customer_lifetime_values`` as of a moment; see ``Subject.predict``. Empty where nobody ordered yet."""
        rows = buyers(history.features([as_of]))
        scores = model.score(rows)
        table = self.tables[0]
        told = {
            CUSTOMER_ID: rows[CUSTOMER_ID],
            AS_OF: rows[AS_OF],
            "horizon_days": pa.array(np.full(rows.num_rows, model.parameters["horizon_days"], np.int64)),
            "expected_order_days": scores["expected_order_days"],
            "p_alive": scores["p_alive"],
            "lifetime_value": scores["expected_value"],
            "value_low": scores["value_low"],
            "value_high": scores["value_high"],
            "model": pa.array([model.name] * rows.num_rows, pa.string()),
            "model_version": pa.array([version] * rows.num_rows, pa.string()),
        }
        return {table.name: table.check(pa.table(told))}

    def watched(self, model: Model, history: History, as_of: date) -> pa.Table:
        """Return the customers with an order before the moment, with their expected value as ``score``."""
        return _scored(model, buyers(history.features([as_of])))

    def hindsight(self, model: Model, history: History, since: date) -> Hindsight | None:
        """Return what was expected of the last whole horizon and what came; see ``Subject.hindsight``."""
        if not isinstance(model, CustomerValue) or history.last_day is None:
            return None
        days = int(model.parameters["horizon_days"])
        moment = history.last_day + timedelta(1 - days)
        if moment < since:
            return None
        rows = buyers(history.features([moment]))
        if rows.num_rows < LEAST_CUSTOMERS:
            return None
        value = np.maximum(aligned(rows, history.outcomes([moment], days), "net_sales_ahead"), 0.0) * self.margin
        expected = numbers(model.score(rows), "expected_value")
        return Hindsight(moment, PRIMARY, value, np.maximum(expected, max(LEAST_SHARE * float(expected.mean()), 1e-9)))

    def _held_out(self, history: History, rows: pa.Table | None, moment: date, days: int) -> _HeldOut:
        if rows is None or rows.num_rows < LEAST_CUSTOMERS:
            raise ModelError(
                f"customers with an order before {moment} must be {LEAST_CUSTOMERS} or more to judge lifetime values; got "
                f"{0 if rows is None else rows.num_rows}. Wait for more orders."
            )
        outcomes = history.outcomes([moment], days)
        rows = thinned(rows, -(-rows.num_rows // MOST_JUDGED))
        value = np.maximum(aligned(rows, outcomes, "net_sales_ahead"), 0.0) * self.margin
        return _HeldOut(moment, days, rows, value, aligned(rows, outcomes, "n_order_days_ahead"))

    def _validate(self, rows: pa.Table, outcomes: pa.Table, days: int, seed: int) -> list[Trial]:
        """Try the candidates on a period before the held-out one: by the primary metric, and the best one's ranges.

        The last trial names the best candidate and the least level, 90 % or more, whose range held 90 % of customers.
        Empty if too few customers had come back by then for a fit.
        """
        value = np.maximum(aligned(rows, outcomes, "net_sales_ahead"), 0.0) * self.margin
        shape: dict[str, Any] = {"seed": seed, "margin": self.margin, "horizon_days": days}
        least = self._least(PastRate(**shape).fit(rows).score(rows))
        fitted, trials = {}, []
        for kind in CANDIDATES.values():
            started = perf_counter()
            try:
                fitted[kind.name] = kind(**shape).fit(rows)
            except ModelError:
                continue
            told = np.maximum(numbers(fitted[kind.name].score(rows), "expected_value"), least)
            found = METRICS[PRIMARY].compute(value, told)
            trials.append(Trial(kind.name, {}, PRIMARY, found, perf_counter() - started))
        if not trials:
            return []
        # Where nobody leaves, both are one model: the digits that differ are rounding, and the plainer one comes first.
        best = min(trials, key=lambda trial: float(f"{trial.value:.5g}")).candidate
        started = perf_counter()
        for level in LEVELS:
            scores = fitted[best].variant(level=level).score(rows)
            share = coverage(numbers(scores, "value_low"), numbers(scores, "value_high"), value).value
            if share >= COVERAGE:
                break
        return [*trials, Trial(best, {"level": level}, "coverage", share, perf_counter() - started)]

    @staticmethod
    def _least(baseline: pa.Table) -> float:
        """Return what a prediction counts as at least where it is judged."""
        return max(LEAST_SHARE * float(numbers(baseline, "expected_value").mean()), 1e-9)

    def _judge(
        self,
        contenders: Sequence[CustomerValue],
        held_out: _HeldOut,
        history: History,
        champion: Model | None,
        seed: int,
        notes: list[str],
    ) -> Report:
        rows, actual = held_out.rows, held_out.value
        scores = [model.score(rows) for model in contenders]
        raw = [numbers(score, "expected_value") for score in scores]
        least = self._least(scores[-1])
        told = [np.maximum(values, least) for values in raw]
        names = [model.name for model in contenders]
        candidates = [
            Candidate(
                model.name,
                isinstance(model, PastRate),
                measure_all(self._metrics(actual), actual, values, seed=seed),
                {"level": model.level},
            )
            for model, values in zip(contenders, told, strict=True)
        ]
        against_champion = None
        if champion is not None:
            against_champion = self._against(names[0], champion, held_out, told[0], least, seed, notes)
        facts, curves = self._findings(contenders[0], scores[0], held_out, history)
        if facts["customers_without_value"]:
            notes.append(
                f"{facts['customers_without_value']} customers gave back all they bought, or more: their past counts as 0."
            )
        if facts.get("a", 1.0) < LEAST_LEAVING * facts.get("b", 1.0):
            notes.append(
                "In this history nobody seems to leave for good: P(alive) is near 1 for all and tells nothing."
            )
        if held_out.days < self.horizon_days:
            notes.append(
                f"Judged over {held_out.days} days, half of the history; published for {self.horizon_days} days, which "
                f"is farther than anything here was checked."
            )
        return Report(
            subject=self.name,
            held_out=(held_out.moment, held_out.moment + timedelta(held_out.days - 1)),
            n_rows=rows.num_rows,
            primary=PRIMARY,
            chosen=names[0],
            baseline=names[-1],
            candidates=candidates,
            against_baseline=compare(PRIMARY, actual, told[0], told[-1], names=(names[0], names[-1]), seed=seed),
            against_champion=against_champion,
            curves=curves,
            facts=facts,
            notes=tuple(notes),
        )

    def _metrics(self, actual: Vector) -> tuple[str, ...]:
        return (*REPORTED, "bias") if actual.sum() > 0 else REPORTED

    def _against(
        self, chosen: str, champion: Model, held_out: _HeldOut, mine: Vector, least: float, seed: int, notes: list[str]
    ) -> Comparison | None:
        if not isinstance(champion, CustomerValue):
            notes.append(f"The champion could not be compared: {champion.name} is no model of lifetime values.")
            return None
        if champion.has_seen(held_out.moment):
            notes.append(
                f"The champion {champion.name} could not be compared: it has learnt from days after {held_out.moment}."
            )
            return None
        try:
            theirs = champion.variant(horizon_days=held_out.days, margin=self.margin).score(held_out.rows)
        except ModelError as error:
            notes.append(f"The champion could not be compared: {error}")
            return None
        values = np.maximum(numbers(theirs, "expected_value"), least)
        names = (chosen, champion.name)
        return compare(PRIMARY, held_out.value, mine, values, names=names, seed=seed)

    def _findings(
        self, chosen: CustomerValue, scores: pa.Table, held_out: _HeldOut, history: History
    ) -> tuple[dict[str, Any], dict[str, Mapping[str, Sequence[Any]]]]:
        """Return the report's facts and curves."""
        n, _, _, mean = past_of(held_out.rows)
        held = coverage(numbers(scores, "value_low"), numbers(scores, "value_high"), held_out.value)
        expected = numbers(scores, "expected_value")
        days_expected = numbers(scores, "expected_order_days")
        facts: dict[str, Any] = {
            "horizon_days": self.horizon_days,
            "held_out_days": held_out.days,
            "margin": self.margin,
            "range_nominal": COVERAGE,
            "range_level": chosen.level,
            "range_coverage": held.value,
            "range_coverage_low": held.low,
            "range_coverage_high": held.high,
            "value_actual": float(held_out.value.sum()),
            "value_expected": float(expected.sum()),
            "order_days_actual": float(held_out.order_days.sum()),
            "order_days_expected": float(days_expected.sum()),
            "customers_without_value": int((mean <= 0).sum()),
        }
        curves: dict[str, Mapping[str, Sequence[Any]]] = {
            "value_by_tenth": by_tenth(held_out.value, expected),
            "order_days_by_frequency": by_frequency(n - 1, held_out.order_days, days_expected),
        }
        if isinstance(chosen, BgNbdGammaGamma):
            facts |= {name: getattr(chosen.orders, name) for name in ("r", "alpha", "a", "b", "log_likelihood")}
            facts |= {f"{name}_se": value for name, value in chosen.orders.standard_errors.items()}
            facts |= {name: getattr(chosen.values, name) for name in ("p", "q", "v")}
            facts["frequency_value_correlation"] = _correlation(n, mean)
            end = held_out.moment + timedelta(held_out.days)
            curves["tracking"] = tracking(chosen.orders, history.order_days(), held_out.moment, end)
        return facts, curves


def _scored(model: Model, rows: pa.Table) -> pa.Table:
    return rows.append_column("score", model.score(rows)["expected_value"])


def by_frequency(x: Vector, actual: Vector, expected: Vector) -> dict[str, list[Any]]:
    """Return mean actual and expected order days of customers with 0, 1, … 6, and 7 or more repeat order days."""
    classes = np.minimum(x, CLASSES).astype(np.int64)
    found: dict[str, list[Any]] = {"repeat_order_days": [], "n_customers": [], "actual": [], "expected": []}
    for number in range(CLASSES + 1):
        mine = classes == number
        if mine.any():
            found["repeat_order_days"].append(f"{number}+" if number == CLASSES else str(number))
            found["n_customers"].append(int(mine.sum()))
            found["actual"].append(float(actual[mine].mean()))
            found["expected"].append(float(expected[mine].mean()))
    return found


def by_tenth(actual: Vector, expected: Vector) -> dict[str, list[Any]]:
    """Return mean expected and actual value in ten equal groups by expected value, least first."""
    order = np.lexsort((actual, expected))
    edges = np.linspace(0, len(order), 11).astype(np.int64)
    parts = [order[low:high] for low, high in pairwise(edges) if high > low]
    return {
        "expected": [float(expected[part].mean()) for part in parts],
        "actual": [float(actual[part].mean()) for part in parts],
    }


def tracking(model: BgNbd, order_days: pa.Table, moment: date, end: date) -> dict[str, list[Any]]:
    """Return cumulative repeat order days week by week, actual and expected, of customers who came before a moment.

    ``model``: fitted at the moment, in days; ``order_days``: ``customer_id, ordered_on``; ``end``: exclusive. ``weeks``
    counts from the first day with an order; the moment has a point of its own, and after it ``is_held_out`` is true.
    """
    epoch = date(1970, 1, 1)
    codes = order_days[CUSTOMER_ID].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    on = order_days["ordered_on"].cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64)
    start = np.full(int(codes.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(start, codes, on)
    until = (moment - epoch).days
    again = np.sort(on[(on > start[codes]) & (start[codes] < until)])
    begun, count = np.unique(start[start < until], return_counts=True)
    marks = np.union1d(np.arange(begun[0] + 7, (end - epoch).days, 7), [until, (end - epoch).days])
    expected = [
        float((count * model.expected_from_start(np.maximum(mark - begun, 0).astype(np.float64))).sum())
        for mark in marks
    ]
    return {
        "weeks": [(int(mark) - int(begun[0])) / 7 for mark in marks],
        "actual": [int(number) for number in np.searchsorted(again, marks)],
        "expected": expected,
        "is_held_out": [bool(mark > until) for mark in marks],
    }


def buyers_by_moment(features: pa.Table) -> dict[date, pa.Table]:
    """Return the customers with an order at each moment that has any, sorted by customer."""
    import pyarrow.compute as pc

    rows = buyers(features)
    return {day: rows.filter(pc.equal(rows[AS_OF], day)) for day in pc.unique(rows[AS_OF]).to_pylist()}


def _span(history: History) -> tuple[date, date]:
    """Return the first day with an order and the day after the last."""
    first, last = history.first_day, history.last_day
    if first is None or last is None:
        raise ModelError("a shop must have orders before lifetime values can be told; it has none. Load its orders.")
    end = last + timedelta(1)
    if (end - first).days < 2 * LEAST_DAYS:
        raise ModelError(
            f"a history must span at least {2 * LEAST_DAYS} days to hold out a half; got {(end - first).days}, {first} to "
            f"{last}. Wait for more days."
        )
    return first, end


def _correlation(n: Vector, mean: Vector) -> float | None:
    """Return the correlation of frequency and value among repeat buyers, None where it cannot be said."""
    again = n > 1
    if again.sum() < LEAST_CUSTOMERS or n[again].std() == 0 or mean[again].std() == 0:
        return None
    return float(np.corrcoef(n[again], mean[again])[0, 1])
