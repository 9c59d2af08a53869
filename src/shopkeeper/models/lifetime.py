"""Lifetime value: how much a customer will still spend, how sure that is, and whether the customer is still there.

``bgnbd_gamma_gamma`` expects order days by BG/NBD and their value by Gamma-Gamma (``models/buying.py``); the baseline
``past_rate`` lets everybody go on as before. Value is net sales times the margin, floored at 0: returns take value away,
never below nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import Candidate, Comparison, Report, compare, measure
from shopkeeper.models import buying
from shopkeeper.models.model import (
    CUSTOMER_KEY,
    VERSION_COLUMNS,
    Column,
    History,
    Model,
    PredictionTable,
    State,
    Subject,
    Tell,
    Trained,
    Trial,
)
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID, LIFETIME

Vector = np.ndarray

PRIMARY = "mean_tweedie_deviance"
METRICS = (PRIMARY, "rmse", "mae", "bias")
COVERAGE = 0.9
LEVELS = tuple(round(0.8 + 0.01 * i, 2) for i in range(20))
LEAST_CUSTOMERS = 30
LEAST_DAYS = 14
LEAST_SHARE = 0.01
"""Predictions count as at least this share of the baseline's mean where they are judged: a deviance divides by them."""
CLASSES = 7
SAMPLE = 10_000


class _Value(Model):
    """What both models share: the columns, the horizon, and how scores look.

    Rows: one per customer, columns of ``customer_features``. Scores: ``expected_order_days``, ``expected_value`` (money
    over the horizon, net sales × margin), ``p_alive``, ``value_low``, ``value_high``; all null without an order.
    Parameters: ``horizon_days``; ``margin``; ``level``: the chance the range is made for, chosen so that it covers 90 %.
    """

    def __init__(
        self, *, seed: int = 0, horizon_days: int = 365, margin: float = 1.0, level: float = COVERAGE, **parameters: Any
    ) -> None:
        super().__init__(seed=seed, horizon_days=horizon_days, margin=margin, level=level, **parameters)
        self.horizon_days, self.margin, self.level = horizon_days, margin, level

    @property
    def columns(self) -> tuple[str, ...]:
        """Counts and ages of orders in days, and money net of returns."""
        return ("n_order_days", "days_since_first_order", "days_since_last_order", "net_sales")

    def with_horizon(self, horizon_days: int, margin: float) -> Self:
        """Return the same fitted model for another horizon and margin: both enter only where it scores."""
        if not self.is_fitted:
            raise ModelError(f"a model must be fitted before its horizon is changed; {self.name} is not. Train it.")
        other = type(self)(**{**self.parameters, "seed": self.seed, "horizon_days": horizon_days, "margin": margin})
        other._restore(self._state())
        other.is_fitted = True
        return other

    def _score(self, rows: pa.Table) -> pa.Table:
        n = _numbers(rows, "n_order_days")
        has_order = n > 0
        told = self._told(*(part[has_order] for part in _histories(rows)))
        columns = {}
        for name, values in told.items():
            whole = np.full(len(n), np.nan)
            whole[has_order] = values
            columns[name] = pa.array(whole, mask=np.isnan(whole))
        return pa.table(columns)

    def _told(self, n: Vector, t_x: Vector, age: Vector, mean: Vector) -> dict[str, Vector]:
        raise NotImplementedError


class BgNbdGammaGamma(_Value):
    """Order days by BG/NBD × value per order day by Gamma-Gamma, both by maximum likelihood.

    x = order days beyond the first; the value of an order day is net sales / order days over all order days, the first
    included (Fader and Hardie leave the first out, because in their data only repeat purchases have values; one-order
    customers would then tell nothing of what orders are worth), 0 where returns exceed sales. Assumes that value and
    frequency are unrelated given the customer's own mean; the correlation is in the report.
    """

    name: ClassVar[str] = "bgnbd_gamma_gamma"
    buying: buying.BgNbd
    spending: buying.GammaGamma

    def _fit(self, rows: pa.Table) -> None:
        n, t_x, age, mean = _histories(rows)
        known = n > 0
        n, t_x, age, mean = n[known], t_x[known], age[known], mean[known]
        self.buying = buying.fit_bgnbd(buying.Triples.group(n - 1, t_x, age))
        paid = mean > 0
        self.spending = buying.fit_gamma_gamma(n[paid], mean[paid])
        parts = np.log(np.maximum(np.stack(self._parts(n, t_x, age, mean)), 1e-12))
        parts.sort(axis=1)
        self.typical = [float(part.mean()) for part in parts]

    def _parts(self, n: Vector, t_x: Vector, age: Vector, mean: Vector) -> tuple[Vector, Vector, Vector]:
        """Return P(alive), order days over the horizon if alive, and value per order day."""
        groups = buying.Triples.group(n - 1, t_x, age)
        days = self.buying.expected_if_alive(groups.x, groups.age, self.horizon_days)
        alive = self.buying.alive(groups.x, groups.t_x, groups.age)
        return alive[groups.of], days[groups.of], self.margin * self.spending.expected(n, mean)

    def _told(self, n: Vector, t_x: Vector, age: Vector, mean: Vector) -> dict[str, Vector]:
        alive, days, value = self._parts(n, t_x, age, mean)
        groups = buying.Triples.group(n - 1, t_x, age)
        low, high = buying.future_range(
            self.buying,
            self.spending,
            (groups.x, groups.t_x, groups.age),
            self.horizon_days,
            coverage=self.level,
            seed=self.seed,
        )
        size = self.margin * (self.spending.v + n * mean)
        return {
            "expected_order_days": alive * days,
            "expected_value": alive * days * value,
            "p_alive": alive,
            "value_low": low[groups.of] * size,
            "value_high": high[groups.of] * size,
        }

    def _explain(self, rows: pa.Table, top: int) -> pa.Table:
        """Give the logarithm of each factor of the expected value, against the shop's typical customer: they add up."""
        known = np.flatnonzero(_numbers(rows, "n_order_days") > 0)
        n, t_x, age, mean = (part[known] for part in _histories(rows))
        logs = np.log(np.maximum(np.stack(self._parts(n, t_x, age, mean)), 1e-12)) - np.array(self.typical)[:, None]
        shown = {"days_since_last_order": age - t_x, "n_order_days": n, "net_sales_per_order_day": mean}
        features, values = np.array(list(shown)), np.stack(list(shown.values()))
        order = np.argsort(-np.abs(logs), axis=0, kind="stable")[:top]
        places, columns = np.indices(order.shape)
        flat = order.T.ravel()
        at = columns.T.ravel()
        return pa.table(
            {
                "row": pa.array(known[at], pa.int64()),
                "place": pa.array(places.T.ravel() + 1, pa.int64()),
                "feature": pa.array(features[flat].tolist(), pa.string()),
                "value": pa.array([f"{value:.10g}" for value in values[flat, at]], pa.string()),
                "effect": pa.array(logs[flat, at], pa.float64()),
            }
        )

    def _state(self) -> State:
        return {"buying": asdict(self.buying), "spending": asdict(self.spending), "typical": self.typical}

    def _restore(self, state: State) -> None:
        self.buying = buying.BgNbd(**_with_tuples(state["buying"]))
        self.spending = buying.GammaGamma(**_with_tuples(state["spending"]))
        self.typical = list(state["typical"])


class PastRate(_Value):
    """The baseline: everybody goes on as before.

    An order day stands for the days until the next one, and the last for the shop's mean gap g between order days, so
    the rate of a customer with n order days in the T days since the first is n / (T + g); what an order day brings is
    net sales / n, 0 where returns exceed sales. One-order customers get 1 / (T + g). The range is that of a Poisson count
    at the rate. Says nothing of who is alive (``p_alive`` is null). Without any repeat order g is the horizon.
    """

    name: ClassVar[str] = "past_rate"

    def _fit(self, rows: pa.Table) -> None:
        n, t_x, _, _ = _histories(rows)
        again = n > 1
        days = float(t_x[again].sum())
        self.gap = days / float((n[again] - 1).sum()) if days else float(self.horizon_days)

    def _told(self, n: Vector, t_x: Vector, age: Vector, mean: Vector) -> dict[str, Vector]:  # noqa: ARG002 - one shape
        from scipy.stats import poisson

        days = n / (age + self.gap) * self.horizon_days
        tail = (1.0 - self.level) / 2.0
        return {
            "expected_order_days": days,
            "expected_value": days * mean * self.margin,
            "p_alive": np.full(len(n), np.nan),
            "value_low": poisson.ppf(tail, days) * mean * self.margin,
            "value_high": poisson.ppf(1.0 - tail, days) * mean * self.margin,
        }

    def _state(self) -> State:
        return {"gap": self.gap}

    def _restore(self, state: State) -> None:
        self.gap = float(state["gap"])


class Lifetime(Subject):
    """What each customer with an order is worth over a horizon; see ``docs/model-lifetime.md``.

    ``horizon_days``: how far ahead value is counted; ``margin``: the share of net sales that is profit. The held-out period
    is the last ``horizon_days``, at most half of the shop's history; what is published is for the whole horizon.

    The primary metric is the mean Tweedie deviance of power 1.5: what a mean minimises (rmse also, mae not), made for sums
    that are often 0 and else skewed; rmse would be decided by a handful of wholesalers.
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
                Column("lifetime_value", pa.float64(), "money expected within the horizon: net sales × margin, not below 0"),
                Column("value_low", pa.float64(), "low end of the 90 % range of what the customer will bring"),
                Column("value_high", pa.float64(), "high end of that range"),
                *VERSION_COLUMNS,
            ),
        ),
    )
    models: ClassVar[Mapping[str, Callable[[Path], Model]]] = {
        BgNbdGammaGamma.name: BgNbdGammaGamma.load,
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
        budget: float | None = None,  # noqa: ARG002 - likelihoods have nothing to search
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
        tell("lifetime", "reading the past", 0, 4)
        features = _by_moment(history.features([before, moment, end]))
        known = features.get(moment)
        if known is None or known.num_rows < LEAST_CUSTOMERS:
            raise ModelError(
                f"customers with an order before {moment} must be {LEAST_CUSTOMERS} or more to judge lifetime values; got "
                f"{0 if known is None else known.num_rows}. Wait for more orders."
            )
        notes: list[str] = []
        trials: list[Trial] = []
        level = (parameters or {}).get("parameters", {}).get("level")
        if level is None:
            tell("lifetime", "setting the ranges", 1, 4)
            past = features.get(before)
            level, trials = self._level(past, history.outcomes([before], days_before), days_before, seed, notes)
        shape: dict[str, Any] = {"seed": seed, "margin": self.margin}
        tell("lifetime", "fitting", 2, 4)
        baseline = PastRate(**shape, horizon_days=days).fit(known)
        fitted: list[Model] = []
        try:
            fitted.append(BgNbdGammaGamma(**shape, horizon_days=days, level=level).fit(known))
        except ModelError as error:
            notes.append(f"The baseline past_rate stands alone: {error}")
        chosen = fitted[0] if fitted else baseline
        tell("lifetime", "judging", 3, 4)
        report = self._judge(
            chosen, [*fitted, baseline], known, history, (moment, days), champion, seed, notes, first, level
        )
        everyone = features[end]
        model: Model = type(chosen)(**shape, horizon_days=self.horizon_days, level=level).fit(everyone)
        scored = model.score(everyone)
        every = np.linspace(0, everyone.num_rows - 1, min(SAMPLE, everyone.num_rows)).astype(np.int64)
        return Trained(
            model=model,
            evaluated=chosen,
            baseline=PastRate(**shape, horizon_days=self.horizon_days).fit(everyone),
            report=report,
            parameters={"candidate": chosen.name, "parameters": {"level": level}},
            reference=everyone.append_column("score", scored["expected_value"]).take(every),
            trials=trials,
        )

    def predict(self, model: Model, history: History, as_of: date, *, version: str) -> dict[str, pa.Table]:
        """Return ``customer_lifetime_values`` as of a moment; see ``Subject.predict``."""
        rows = _by_moment(history.features([as_of])).get(as_of)
        if rows is None:
            raise ModelError(f"a shop must have a customer with an order before {as_of}; it has none. Load its orders.")
        scores = model.score(rows)
        count = rows.num_rows
        table = self.tables[0]
        told = {
            CUSTOMER_ID: rows[CUSTOMER_ID],
            AS_OF: rows[AS_OF],
            "horizon_days": pa.array(np.full(count, model.parameters["horizon_days"])),
            "expected_order_days": scores["expected_order_days"],
            "p_alive": scores["p_alive"],
            "lifetime_value": scores["expected_value"],
            "value_low": scores["value_low"],
            "value_high": scores["value_high"],
            "model": pa.array([model.name] * count, pa.string()),
            "model_version": pa.array([version] * count, pa.string()),
        }
        return {table.name: table.check(pa.table(told))}

    def _level(
        self, rows: pa.Table | None, outcomes: pa.Table, days: int, seed: int, notes: list[str]
    ) -> tuple[float, list[Trial]]:
        """Return the least level whose range covers 90 % of customers in a period before the held-out one."""
        from time import perf_counter

        started = perf_counter()
        try:
            if rows is None:
                raise ModelError("there are no customers yet")
            fitted = BgNbdGammaGamma(seed=seed, margin=self.margin, horizon_days=days).fit(rows)
        except ModelError as error:
            notes.append(f"The 90 % ranges are as the model gives them; the first half of the past is too thin: {error}")
            return COVERAGE, []
        actual = _actual(rows, outcomes, self.margin)
        state = fitted._state()  # noqa: SLF001 - the same fit under other levels
        for level in LEVELS:
            other = BgNbdGammaGamma(seed=seed, margin=self.margin, horizon_days=days, level=level)
            other._restore(state)  # noqa: SLF001
            other.is_fitted = True
            scores = other.score(rows)
            share = float(np.mean(_inside(scores, actual)))
            if share >= COVERAGE:
                break
        tried = Trial(BgNbdGammaGamma.name, {"level": level}, "coverage", share, perf_counter() - started)
        return level, [tried]

    def _judge(  # noqa: PLR0914 - one report, told once
        self,
        chosen: Model,
        contenders: Sequence[Model],
        rows: pa.Table,
        history: History,
        held_out: tuple[date, int],
        champion: Model | None,
        seed: int,
        notes: list[str],
        first: date,
        level: float,
    ) -> Report:
        moment, days = held_out
        actual = _actual(rows, history.outcomes([moment], days), self.margin)
        ahead = _aligned(rows, history.outcomes([moment], days), "n_order_days_ahead")
        scores = {model.name: model.score(rows) for model in contenders}
        told = {name: _numbers(score, "expected_value") for name, score in scores.items()}
        least = max(LEAST_SHARE * float(np.mean(told[PastRate.name])), 1e-9)
        told = {name: np.maximum(values, least) for name, values in told.items()}
        against_champion = None
        if champion is not None:
            against_champion = self._against(champion, rows, days, told[chosen.name], actual, least, seed, notes)
        candidates = [
            Candidate(
                model.name,
                model.name == PastRate.name,
                {metric: measure(metric, actual, told[model.name], seed=seed) for metric in METRICS},
                {"level": model.parameters["level"]},
            )
            for model in contenders
        ]
        mine = scores[chosen.name]
        facts: dict[str, Any] = {
            "horizon_days": self.horizon_days,
            "held_out_days": days,
            "margin": self.margin,
            "range_nominal": COVERAGE,
            "range_level": level,
            "range_coverage": float(np.mean(_inside(mine, actual))),
            "value_actual": float(actual.sum()),
            "value_expected": float(np.sum(_numbers(mine, "expected_value"))),
            "order_days_actual": float(ahead.sum()),
            "order_days_expected": float(np.sum(_numbers(mine, "expected_order_days"))),
            "customers_with_net_sales_not_above_0": int((_numbers(rows, "net_sales") <= 0).sum()),
        }
        curves: dict[str, Mapping[str, Sequence[Any]]] = {
            "value_by_tenth": _by_tenth(actual, told[chosen.name]),
            "order_days_by_frequency": by_frequency(
                _numbers(rows, "n_order_days") - 1, ahead, _numbers(mine, "expected_order_days")
            ),
        }
        if isinstance(chosen, BgNbdGammaGamma):
            n, _, _, mean = _histories(rows)
            facts |= {name: getattr(chosen.buying, name) for name in ("r", "alpha", "a", "b")}
            facts |= {f"{name}_se": value for name, value in chosen.buying.standard_errors.items()}
            facts |= {name: getattr(chosen.spending, name) for name in ("p", "q", "v")}
            facts["frequency_value_correlation"] = _correlation(n, mean)
            curves["tracking"] = tracking(chosen.buying, history.order_days(), (first, moment, moment + timedelta(days)))
        if facts["customers_with_net_sales_not_above_0"]:
            notes.append(
                f"{facts['customers_with_net_sales_not_above_0']} customers gave back all they bought, or more; their past "
                f"value counts as 0."
            )
        if days < self.horizon_days:
            notes.append(
                f"Judged over {days} days, half of the history; published for {self.horizon_days} days, which is farther "
                f"than anything here was checked."
            )
        return Report(
            subject=self.name,
            held_out=(moment, moment + timedelta(days - 1)),
            n_rows=rows.num_rows,
            primary=PRIMARY,
            chosen=chosen.name,
            baseline=PastRate.name,
            candidates=candidates,
            against_baseline=compare(
                PRIMARY, actual, told[chosen.name], told[PastRate.name], names=(chosen.name, PastRate.name), seed=seed
            ),
            against_champion=against_champion,
            curves=curves,
            facts=facts,
            notes=notes,
        )

    def _against(
        self,
        champion: Model,
        rows: pa.Table,
        days: int,
        mine: Vector,
        actual: Vector,
        least: float,
        seed: int,
        notes: list[str],
    ) -> Comparison | None:
        try:
            if not isinstance(champion, _Value):
                raise ModelError(f"a champion of lifetime must be one of {', '.join(self.models)}; got {champion.name}.")
            theirs = _numbers(champion.with_horizon(days, self.margin).score(rows), "expected_value")
        except ModelError as error:
            notes.append(f"The champion could not be compared: {error}")
            return None
        return compare(
            PRIMARY, actual, mine, np.maximum(theirs, least), names=("challenger", "champion"), seed=seed
        )


def by_frequency(x: Vector, actual: Vector, expected: Vector) -> dict[str, list[Any]]:
    """Return mean actual and expected order days for customers with 0, 1, … 6, and 7 or more repeat order days."""
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


def tracking(model: buying.BgNbd, order_days: pa.Table, days: tuple[date, date, date]) -> dict[str, list[Any]]:
    """Return cumulative repeat order days week by week, actual and expected, of customers who came before a moment.

    ``order_days``: ``customer_id, ordered_on``; ``days``: the first day, the moment the model was fitted at, and the end
    (exclusive). ``weeks`` counts from the first day.
    """
    first, moment, end = ((day - date(1970, 1, 1)).days for day in days)
    codes = order_days[CUSTOMER_ID].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    on = order_days["ordered_on"].cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64)
    start = np.full(int(codes.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(start, codes, on)
    again = on[(on > start[codes]) & (start[codes] < moment)]
    begun, count = np.unique(start[start < moment], return_counts=True)
    marks = np.append(np.arange(first + 7, end, 7), end)
    expected = [
        float((count * model.expected_from_start(np.maximum(mark - 1 - begun, 0).astype(np.float64))).sum())
        for mark in marks
    ]
    again.sort()
    return {
        "weeks": [(int(mark) - first) / 7 for mark in marks],
        "actual": [int(np.searchsorted(again, mark)) for mark in marks],
        "expected": expected,
    }


def _span(history: History) -> tuple[date, date]:
    """Return the first day and the day after the last."""
    first, last = history.first_day, history.last_day
    if first is None or last is None:
        raise ModelError("a shop must have orders before lifetime values can be told; it has none. Load its orders.")
    end = last + timedelta(1)
    if (end - first).days < 2 * LEAST_DAYS:
        raise ModelError(
            f"the days from the first to the last order must be {2 * LEAST_DAYS} or more to hold out a half; got "
            f"{(end - first).days}. Wait for more days."
        )
    return first, end


def _by_moment(features: pa.Table) -> dict[date, pa.Table]:
    """Return the customers with an order at each moment that has any, sorted by customer."""
    import pyarrow.compute as pc

    rows = features.filter(pc.greater(features["n_order_days"], 0)).sort_by(CUSTOMER_ID)
    return {day: rows.filter(pc.equal(rows[AS_OF], day)) for day in pc.unique(rows[AS_OF]).to_pylist()}


def _histories(rows: pa.Table) -> tuple[Vector, Vector, Vector, Vector]:
    """Return order days, days from first to last, days since the first, and net sales per order day, not below 0."""
    n = _numbers(rows, "n_order_days")
    age = _numbers(rows, "days_since_first_order")
    mean = np.maximum(_numbers(rows, "net_sales"), 0.0) / np.maximum(n, 1.0)
    return n, age - _numbers(rows, "days_since_last_order"), age, mean


def _aligned(rows: pa.Table, outcomes: pa.Table, column: str) -> Vector:
    """Return a column of the outcomes in the order of rows; customers without an outcome did nothing: 0."""
    found = dict(zip(outcomes[CUSTOMER_ID].to_pylist(), outcomes[column].to_pylist(), strict=True))
    return np.array([found.get(customer) or 0 for customer in rows[CUSTOMER_ID].to_pylist()], np.float64)


def _actual(rows: pa.Table, outcomes: pa.Table, margin: float) -> Vector:
    return np.maximum(_aligned(rows, outcomes, "net_sales_ahead"), 0.0) * margin


def _inside(scores: pa.Table, actual: Vector) -> Vector:
    low, high = _numbers(scores, "value_low"), _numbers(scores, "value_high")
    return (low <= actual) & (actual <= high)


def _by_tenth(actual: Vector, expected: Vector) -> dict[str, list[Any]]:
    """Return mean expected and actual value in ten equal groups by expected value, least first."""
    order = np.argsort(expected, kind="stable")
    edges = np.linspace(0, len(order), 11).astype(np.int64)
    parts = [order[low:high] for low, high in pairwise(edges) if high > low]
    return {
        "expected": [float(expected[part].mean()) for part in parts],
        "actual": [float(actual[part].mean()) for part in parts],
    }


def _correlation(n: Vector, mean: Vector) -> float | None:
    """Return the correlation of frequency and value among repeat buyers, None where either is constant."""
    again = n > 1
    if again.sum() < LEAST_CUSTOMERS or n[again].std() == 0 or mean[again].std() == 0:
        return None
    return float(np.corrcoef(n[again], mean[again])[0, 1])


def _numbers(rows: pa.Table, name: str) -> Vector:
    """Return a column as floats, null as NaN."""
    values: Vector = rows[name].cast(pa.float64()).to_numpy()
    return np.where(np.isnan(values), 0.0, values) if name in {"n_order_days", "net_sales"} else values


def _with_tuples(told: Mapping[str, Any]) -> dict[str, Any]:
    return {**told, "covariance": tuple(tuple(row) for row in told["covariance"])}
