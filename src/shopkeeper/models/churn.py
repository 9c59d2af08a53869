"""Churn without a contract: who will place no order in the next days, when the next order may come, and why.

The candidates (``models/customer_silence.py``): ``lightgbm``, ``logistic``, ``p_alive`` (BG/NBD), and
``p_alive_modified``; the baseline ``recency``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import (
    METRICS,
    Candidate,
    Comparison,
    Report,
    calibration_error,
    calibration_points,
    compare,
    gain_points,
    lift_points,
    measure_all,
    moments_before,
    roc_auc,
    roc_points,
)
from shopkeeper.models.buying import Vector
from shopkeeper.models.customer_rows import aligned, buyers, numbers, reference, thinned
from shopkeeper.models.customer_silence import (
    IS_CHURNED,
    KINDS,
    Boosted,
    CustomerSilence,
    Logistic,
    NotAlive,
    NotAliveModified,
    Recency,
    level_of,
)
from shopkeeper.models.log_odds import chance_of, log_odds_of
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
from shopkeeper.vocabulary import AS_OF, CHURN, CUSTOMER_ID, LIFETIME

PRIMARY = "log_loss"
REPORTED = (PRIMARY, "brier", "roc_auc", "pr_auc", "calibration_error")
CANDIDATES = (Boosted, Logistic, NotAlive, NotAliveModified)
GAP_QUANTILE, LEAST_HORIZON, MOST_HORIZON, USUAL_HORIZON = 0.9, 28, 180, 90
MOST_MOMENTS = 12
MOST_ROWS = 300_000
LEAST_CUSTOMERS = 30
ACTIVE_DAYS = 365
TOLD_REASONS, READ_REASONS = 3, 8
STEPS = 4
DRAWS = 50
WANTED_CALIBRATION = 0.03
SPACE: Mapping[str, Sequence[Any]] = {
    "leaves": (4, 6, 10, 16),
    "trees": (40, 80, 150, 300),
    "rate": (0.03, 0.06, 0.1),
    "rows_per_leaf": (20, 50, 100),
    "penalty": (1.0, 10.0, 50.0),
    "share_of_features": (0.3, 0.5, 0.8),
}
PHRASES: Mapping[str, str | tuple[str, str]] = {
    "n_order_days": ("{} day with an order so far", "{} days with an order so far"),
    "n_orders_30d": ("{} order in the last 30 days", "{} orders in the last 30 days"),
    "n_orders_90d": ("{} order in the last 90 days", "{} orders in the last 90 days"),
    "net_sales": "net sales of {} so far",
    "net_sales_30d": "net sales of {} in the last 30 days",
    "net_sales_90d": "net sales of {} in the last 90 days",
    "sales_per_order_day": "sales of {} per order day",
    "units_per_order": "{} units per order",
    "lines_per_order": "{} lines per order",
    "n_products": ("{} different product bought", "{} different products bought"),
    "n_categories": ("{} category bought", "{} categories bought"),
    "mean_days_between_orders": "{} days between orders on average",
    "sd_days_between_orders": "days between orders spread by {}",
    "cancellation_rate": "cancellation rate of {}",
    "return_share": "{} of sales given back",
    "discount_share": "{} of sales taken off by discounts",
    "month_sales_mean": "net sales of {} a month",
    "month_sales_sd": "monthly net sales spread by {}",
    "month_sales_trend": "monthly net sales change by {} a month",
    "n_sessions_30d": "{} visits in the last 30 days",
    "n_sessions_90d": "{} visits in the last 90 days",
    "days_since_last_session": "no visit for {} days",
    "session_conversion": "{} of visits end in a purchase",
    "cart_rate": "{} carts per view",
}
"""What a feature says of a customer; one with two forms has the singular first."""


@dataclass(frozen=True)
class _Rows:
    """Rows at moments whose outcomes are known, and the moment held out, of one horizon."""

    horizon_days: int
    moment: date
    training: pa.Table
    held_out: pa.Table
    everything: pa.Table


VALUES = "customer_lifetime_values"


class Churn(Subject):
    """Who will place no order in the next ``horizon_days``; see ``docs/model-churn.md``.

    ``horizon_days`` above 0 is taken as it is. Else it is the 90 % quantile of the days between a customer's order days,
    rounded up to whole weeks, within 28 to 180 days and a third of the history; 90 where nobody came back. It defines the
    question, so it may look at the whole history; it is kept in the recipe.

    Everybody with an order before a moment counts, however long ago. The primary metric is log loss: a proper score, so
    that only honest chances win, and one that makes certainty costly; areas under curves do not see calibration.
    """

    name: ClassVar[str] = CHURN
    about: ClassVar[str] = "Which customers will place no order in the next days, when the next may come, and why."
    tables: ClassVar[tuple[PredictionTable, ...]] = (
        PredictionTable(
            "churn_scores",
            "one row per customer with an order before the moment, and moment",
            (CUSTOMER_ID, AS_OF),
            (
                *CUSTOMER_KEY,
                Column("horizon_days", pa.int64(), "churn is no order within so many days from the moment on"),
                Column("churn_probability", pa.float64(), "chance of no order within the horizon, calibrated"),
                Column(
                    "probability_low", pa.float64(), "low end of the 95 % interval of the rate among such customers"
                ),
                Column("probability_high", pa.float64(), "high end of that interval"),
                Column("risk_rank", pa.int64(), "place by churn probability, 1 the likeliest to stay away"),
                Column("expected_next_order_on", pa.date32(), "day by which an order is as likely as not; null: never"),
                Column(
                    "value_at_risk",
                    pa.float64(),
                    "lifetime value by churn probability, money over the lifetime's horizon; null without a lifetime value",
                ),
                Column("reasons", pa.string(), "what speaks most for the likelier of the two, in words"),
                *VERSION_COLUMNS,
            ),
        ),
        PredictionTable(
            "churn_reasons",
            "one row per customer, moment and place, up to three",
            (CUSTOMER_ID, AS_OF, "place"),
            (
                *CUSTOMER_KEY,
                Column("place", pa.int64(), "1 for the strongest"),
                Column("feature", pa.string(), "the feature's name"),
                Column("value", pa.string(), "its value; null where there is none"),
                Column("effect", pa.float64(), "what it adds to the log-odds of staying away"),
            ),
        ),
    )
    models: ClassVar[Mapping[str, Callable[[Path], Model]]] = {name: kind.load for name, kind in KINDS.items()}
    after: ClassVar[tuple[str, ...]] = (LIFETIME,)

    def __init__(self, *, horizon_days: int = 0) -> None:
        self.horizon_days = horizon_days

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
        """Fit the candidates before the held-out period, choose by their log loss on unseen customers, judge, refit.

        A search tries parameters of ``lightgbm`` within the budget. Raises ModelError if the history is too short for two
        windows, fewer than 30 customers are known, or all of them did the same.
        """
        recipe = dict(parameters or {})
        horizon, rule = self._horizon(history, recipe.get("horizon_days"))
        tell(self.name, "reading the past", 0, STEPS)
        rows = _read(history, horizon)
        notes: list[str] = []
        tell(self.name, "fitting", 1, STEPS)
        chosen_by = {**{kind.name: {} for kind in CANDIDATES}, **recipe.get("candidates", {})}
        trials: list[Trial] = []
        if budget is not None:
            trials = _search(rows, horizon, chosen_by[Boosted.name], seed, budget, tell)
            if trials:
                chosen_by[Boosted.name] = dict(min(trials, key=lambda trial: trial.value).parameters)
        shape: dict[str, Any] = {"seed": seed, "horizon_days": horizon}
        fitted: list[CustomerSilence] = []
        for kind in CANDIDATES:
            try:
                fitted.append(kind(**shape, **chosen_by[kind.name]).fit(rows.training))
            except ModelError as error:
                notes.append(f"The candidate {kind.name} is left out: {error}")
        baseline = Recency(**shape).fit(rows.training)
        chosen = min(fitted, key=lambda model: float(f"{model.validation:.5g}")) if fitted else baseline
        tell(self.name, "judging", 2, STEPS)
        contenders = [*fitted, baseline]
        report = self._judge(chosen, contenders, rows, champion, seed, notes, {"horizon_rule": rule})
        tell(self.name, "fitting on everything", 3, STEPS)
        kept = {**chosen_by, **{each.name: _without_horizon(each) for each in fitted}}
        model = type(chosen)(**{**shape, **chosen.parameters}).fit(rows.everything)
        # Rows of earlier moments would differ from today's in any young shop: no silence is longer than its record.
        sample = reference(buyers(history.features([rows.moment + timedelta(horizon)])), seed)
        served_baseline = Recency(**shape).fit(rows.everything)
        return Trained(
            model=model,
            evaluated=chosen,
            baseline=served_baseline,
            report=report,
            parameters={"candidate": chosen.name, "candidates": kept, "horizon_days": horizon},
            reference=_scored(model, sample),
            baseline_reference=_scored(served_baseline, sample),
            trials=trials,
        )

    def predict(
        self,
        model: Model,
        history: History,
        as_of: date,
        *,
        version: str,
        given: Mapping[str, pa.Table] | None = None,
    ) -> dict[str, pa.Table]:
        """Return ``churn_scores`` and ``churn_reasons`` as of a moment; see ``Subject.predict``."""
        rows = buyers(history.features([as_of]))
        scores = model.score(rows)
        chance = numbers(scores, "churn_probability")
        rank = np.empty(rows.num_rows, np.int64)
        rank[np.argsort(-chance, kind="stable")] = np.arange(1, rows.num_rows + 1)
        told = model.explain(rows, top=READ_REASONS)
        wait = scores["days_to_next_order"].combine_chunks()
        start = (as_of - date(1970, 1, 1)).days
        days = pc.add(pc.cast(pc.floor(wait), pa.int32()), pa.scalar(start, pa.int32()))
        main, reasons = self.tables
        score_rows = {
            CUSTOMER_ID: rows[CUSTOMER_ID],
            AS_OF: rows[AS_OF],
            "horizon_days": pa.array(np.full(rows.num_rows, model.parameters["horizon_days"], np.int64)),
            "churn_probability": scores["churn_probability"],
            "probability_low": scores["probability_low"],
            "probability_high": scores["probability_high"],
            "risk_rank": pa.array(rank),
            "expected_next_order_on": days.cast(pa.date32()),
            "value_at_risk": pc.multiply(_values(given or {}, rows), scores["churn_probability"]),
            "reasons": pa.array(sentences(rows, chance, told), pa.string()),
            "model": pa.array([model.name] * rows.num_rows, pa.string()),
            "model_version": pa.array([version] * rows.num_rows, pa.string()),
        }
        first = told.filter(pc.less_equal(told["place"], TOLD_REASONS))
        reason_rows = {
            CUSTOMER_ID: rows[CUSTOMER_ID].take(first["row"]),
            AS_OF: rows[AS_OF].take(first["row"]),
            **{name: first[name] for name in ("place", "feature", "value", "effect")},
        }
        return {
            main.name: main.check(pa.table(score_rows)),
            reasons.name: reasons.check(pa.table(reason_rows)),
        }

    def watched(self, model: Model, history: History, as_of: date) -> pa.Table:
        """Return the customers with an order before the moment, with their churn probability as ``score``."""
        return _scored(model, buyers(history.features([as_of])))

    def hindsight(self, model: Model, history: History, since: date) -> Hindsight | None:
        """Return what was said of the last whole horizon, and who stayed away; see ``Subject.hindsight``."""
        if history.last_day is None:
            return None
        horizon = int(model.parameters["horizon_days"])
        moment = history.last_day + timedelta(1 - horizon)
        rows = buyers(history.features([moment]))
        if moment < since or rows.num_rows < LEAST_CUSTOMERS:
            return None
        orders = aligned(rows, history.outcomes([moment], horizon), "n_order_days_ahead")
        stayed_away = (orders == 0).astype(np.float64)
        if len(np.unique(stayed_away)) < 2:
            return None
        return Hindsight(moment, PRIMARY, stayed_away, numbers(model.score(rows), "churn_probability"))

    def _horizon(self, history: History, stored: int | None) -> tuple[int, str]:
        """Return the horizon in days and the rule that gave it."""
        if self.horizon_days > 0:
            return self.horizon_days, "set by churn.horizon_days"
        if stored:
            return int(stored), "kept from the recipe"
        first, last = history.first_day, history.last_day
        if first is None or last is None:
            raise ModelError("a shop must have orders before churn can be told; it has none. Load its orders.")
        return horizon_of(history.order_days(), (last - first).days + 1)

    def _judge(
        self,
        chosen: CustomerSilence,
        contenders: Sequence[CustomerSilence],
        rows: _Rows,
        champion: Model | None,
        seed: int,
        notes: list[str],
        facts: dict[str, Any],
    ) -> Report:
        held_out = rows.held_out
        actual = numbers(held_out, IS_CHURNED)
        told = {model.name: numbers(model.score(held_out), "churn_probability") for model in contenders}
        metrics = [name for name in REPORTED if METRICS[name].is_defined(actual)]
        candidates = [
            Candidate(
                model.name,
                isinstance(model, Recency),
                measure_all(metrics, actual, told[model.name], seed=seed),
                _without_horizon(model),
            )
            for model in contenders
        ]
        against_champion = None
        if champion is not None:
            against_champion = self._against(champion, rows, chosen, told[chosen.name], actual, seed, notes)
        facts = {**facts, **_facts(chosen, contenders, rows, actual, told[chosen.name])}
        notes.extend(_miscalibrated(facts, calibration_error(actual, told[chosen.name])))
        last = rows.moment + timedelta(rows.horizon_days - 1)
        curves = {"calibration": calibration_points(actual, told[chosen.name])}
        if 0 < actual.sum() < len(actual):
            for name, points in (("gain", gain_points), ("lift", lift_points), ("roc", roc_points)):
                curves[name] = points(actual, told[chosen.name])
        names = (chosen.name, Recency.name)
        return Report(
            subject=self.name,
            held_out=(rows.moment, last),
            n_rows=held_out.num_rows,
            primary=PRIMARY,
            chosen=chosen.name,
            baseline=Recency.name,
            candidates=candidates,
            against_baseline=compare(PRIMARY, actual, told[chosen.name], told[Recency.name], names=names, seed=seed),
            against_champion=against_champion,
            curves=curves,
            facts=facts,
            notes=tuple(notes),
        )

    def _against(
        self,
        champion: Model,
        rows: _Rows,
        chosen: CustomerSilence,
        mine: Vector,
        actual: Vector,
        seed: int,
        notes: list[str],
    ) -> Comparison | None:
        horizon = champion.parameters.get("horizon_days")
        if not isinstance(champion, CustomerSilence) or horizon != rows.horizon_days:
            notes.append(
                f"The champion {champion.name} could not be compared: it answers for {horizon} days, not for "
                f"{rows.horizon_days}."
            )
            return None
        if champion.has_seen(rows.moment, horizon_days=horizon):
            notes.append(
                f"The champion {champion.name} could not be compared: it has learnt from days after {rows.moment}."
            )
            return None
        try:
            theirs = numbers(champion.score(rows.held_out), "churn_probability")
        except ModelError as error:
            notes.append(f"The champion could not be compared: {error}")
            return None
        names = (chosen.name, champion.name)
        return compare(PRIMARY, actual, mine, theirs, names=names, seed=seed)


def _values(given: Mapping[str, pa.Table], rows: pa.Table) -> pa.ChunkedArray:
    """Return the lifetime value of each row's customer as of its moment; null where none is told."""
    if VALUES not in given:
        return pa.chunked_array([pa.nulls(rows.num_rows, pa.float64())])
    keys = [CUSTOMER_ID, AS_OF]
    told = given[VALUES].select([*keys, "lifetime_value"])
    numbered = rows.select(keys).append_column("place", pa.array(np.arange(rows.num_rows)))
    return numbered.join(told, keys).sort_by("place")["lifetime_value"]


def _scored(model: Model, rows: pa.Table) -> pa.Table:
    return rows.append_column("score", model.score(rows)["churn_probability"])


def horizon_of(order_days: pa.Table, span_days: int) -> tuple[int, str]:
    """Return the days without an order that are churn, from a shop's own gaps, and the rule in words.

    ``order_days``: ``customer_id, ordered_on``; ``span_days``: of the history.
    """
    rows = order_days.sort_by([(CUSTOMER_ID, "ascending"), ("ordered_on", "ascending")])
    who = rows[CUSTOMER_ID].combine_chunks()
    on = rows["ordered_on"].cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64)
    is_same = pc.equal(who[1:], who[:-1]).to_numpy(zero_copy_only=False) if len(who) > 1 else np.zeros(0, bool)
    gaps = np.diff(on)[is_same]
    third = span_days // 3
    if not len(gaps):
        return max(
            min(USUAL_HORIZON, third), 1
        ), f"{USUAL_HORIZON} days, for nobody came back; at most a third of the history"
    wished = float(np.quantile(gaps, GAP_QUANTILE))
    days = min(max(int(np.ceil(wished / 7)) * 7, LEAST_HORIZON), MOST_HORIZON, third)
    return max(days, 1), (
        f"nine in ten gaps between a customer's order days are {wished:.0f} days or shorter; in whole weeks, within "
        f"{LEAST_HORIZON} to {MOST_HORIZON} days and a third of the history"
    )


def sentences(rows: pa.Table, chance: Vector, told: pa.Table) -> list[str]:
    """Return one sentence for each row: the two strongest effects towards the likelier outcome, in words.

    ``told``: what ``explain`` gave for the rows.
    """
    silence = rows["days_since_last_order"].to_pylist()
    gaps = rows["mean_days_between_orders"].to_pylist() if "mean_days_between_orders" in rows.column_names else []
    found: list[list[str]] = [[] for _ in silence]
    stays_away = chance >= 0.5
    for row, feature, value, effect in zip(
        *(told[name].to_pylist() for name in ("row", "feature", "value", "effect")), strict=True
    ):
        if len(found[row]) >= 2 or (effect > 0) != stays_away[row] or value is None:
            continue
        phrase = _phrase(feature, value, silence[row], gaps[row] if gaps else None)
        if feature == "n_order_days" and value == "1" and silence[row] is not None and gaps and gaps[row] is None:
            phrase = _phrase("days_since_last_order", value, silence[row], None)
        if phrase not in found[row]:
            found[row].append(phrase)
    return [f"{'; '.join(parts).capitalize()}." if parts else "Nothing stands out." for parts in found]


def _phrase(feature: str, value: str | None, silence: int, gap: float | None) -> str:
    if feature == "days_since_last_order":
        usual = f", usually every {gap:.0f}" if gap is not None else " since the only one"
        return f"no order for {silence} {'day' if silence == 1 else 'days'}{usual}"
    form = PHRASES.get(feature, feature.replace("_", " ") + " is {}")
    number = float(value or 0)
    shown = f"{number:.0f}" if number.is_integer() or abs(number) >= 100 else f"{number:.2g}"
    return (form if isinstance(form, str) else form[int(number != 1)]).format(shown)


def _read(history: History, horizon: int) -> _Rows:
    """Return the rows of all moments whose outcome is known, parted into training and held-out; at most about 300,000."""
    every = max(horizon // 3, 7)
    moments, moment = moments_before(
        history.first_day, history.last_day, horizon, every=every, least=max(horizon // 2, 7)
    )
    moments = [*moments[-MOST_MOMENTS:], moment]
    outcomes = history.outcomes(moments, horizon)
    thin = -(-outcomes.num_rows // MOST_ROWS)
    # Features are wide: of a large shop they are read moment by moment, and most customers left out at once.
    asked = [moments] if thin <= 1 else [[day] for day in moments]
    features = pa.concat_tables([thinned(history.features(days), thin) for days in asked])
    rows = _with_outcome(buyers(features), outcomes)
    is_held_out = pc.equal(rows[AS_OF], pa.scalar(moment, pa.date32()))
    held_out = rows.filter(is_held_out)
    if held_out.num_rows < LEAST_CUSTOMERS:
        raise ModelError(
            f"customers with an order before {moment} must be {LEAST_CUSTOMERS} or more to judge churn; got "
            f"{held_out.num_rows}. Wait for more orders."
        )
    return _Rows(horizon, moment, rows.filter(pc.invert(is_held_out)), held_out, rows)


def _with_outcome(rows: pa.Table, outcomes: pa.Table) -> pa.Table:
    """Return rows sorted by customer and moment with ``is_churned`` and ``days_to_next_order``."""
    ahead = outcomes.select([CUSTOMER_ID, AS_OF, "n_order_days_ahead", "days_to_next_order"])
    joined = rows.join(ahead, [CUSTOMER_ID, AS_OF], join_type="left outer")
    joined = joined.sort_by([(CUSTOMER_ID, "ascending"), (AS_OF, "ascending")]).combine_chunks()
    stayed = pc.equal(pc.fill_null(joined["n_order_days_ahead"], 0), 0)
    return joined.drop_columns(["n_order_days_ahead"]).append_column(IS_CHURNED, stayed.cast(pa.int64()))


def _search(rows: _Rows, horizon: int, start: Mapping[str, Any], seed: int, budget: float, tell: Tell) -> list[Trial]:
    """Return tries of boosted trees' parameters, the recipe's first, until the seconds are spent; no held-out row is seen."""
    rng = np.random.default_rng(seed)
    trials: list[Trial] = []
    started = perf_counter()
    longest = 0.0
    while perf_counter() - started + longest < budget:
        begun = perf_counter()
        drawn = {name: values[int(rng.integers(len(values)))] for name, values in SPACE.items()} if trials else start
        model = Boosted(seed=seed, horizon_days=horizon, **drawn).fit(rows.training)
        seconds = perf_counter() - begun
        longest = max(longest, seconds)
        trials.append(Trial(Boosted.name, drawn, PRIMARY, model.validation, seconds))
        tell(CHURN, f"trying {Boosted.name}", len(trials), None)
    return trials


def _facts(
    chosen: CustomerSilence, contenders: Sequence[CustomerSilence], rows: _Rows, actual: Vector, told: Vector
) -> dict[str, Any]:
    """Return further figures: rates, what ranges and dates were worth, and the active alone."""
    scores = chosen.score(rows.held_out)
    is_active = numbers(rows.held_out, "days_since_last_order") <= ACTIVE_DAYS
    facts: dict[str, Any] = {
        "horizon_days": rows.horizon_days,
        "training_moments": pc.count_distinct(rows.training[AS_OF]).as_py(),
        "training_rows": rows.training.num_rows,
        "churn_rate_training": float(numbers(rows.training, IS_CHURNED).mean()),
        "churn_rate_held_out": float(actual.mean()),
        "active_customers": int(is_active.sum()),
        **{f"validation_log_loss_{model.name}": model.validation for model in contenders},
        **_interval_coverage(scores, actual, told),
        **_calibration(actual, told),
        **_date_coverage(scores, rows),
    }
    if 0 < actual[is_active].sum() < is_active.sum():
        facts["roc_auc_active"] = roc_auc(actual[is_active], told[is_active])
    return facts


def _without_horizon(model: CustomerSilence) -> dict[str, Any]:
    return {key: value for key, value in model.parameters.items() if key != "horizon_days"}


def _interval_coverage(scores: pa.Table, actual: Vector, told: Vector) -> dict[str, Any]:
    """Return the share of ten equal groups by probability whose observed rate lies within the group's mean interval."""
    groups = np.array_split(np.lexsort((actual, told)), 10)
    low, high = numbers(scores, "probability_low"), numbers(scores, "probability_high")
    inside = [low[part].mean() <= actual[part].mean() <= high[part].mean() for part in groups if len(part)]
    return {"interval_nominal": 0.95, "interval_coverage": float(np.mean(inside)), "interval_groups": len(inside)}


def _calibration(actual: Vector, told: Vector) -> dict[str, float]:
    """Return what the calibration error is made of.

    ``calibration_error_by_chance``: its mean were each chance exactly true, which is what so few customers give by sampling
    alone; ``calibration_level``: by how much all log-odds alike were off, as by a season unlike those before;
    ``calibration_error_beyond_level``: what is left once that is taken out.
    """
    rng = np.random.default_rng(0)
    drawn = [calibration_error((rng.random(len(told)) < told).astype(np.float64), told) for _ in range(DRAWS)]
    facts = {"calibration_error_by_chance": float(np.mean(drawn))}
    if 0 < actual.sum() < len(actual):
        odds = log_odds_of(told)
        level = level_of(odds, actual)
        facts["calibration_level"] = level
        facts["calibration_error_beyond_level"] = calibration_error(actual, chance_of(odds + level))
    return facts


def _miscalibrated(facts: Mapping[str, Any], error: float) -> list[str]:
    """Return a sentence where chances were farther off than is asked and than chance alone explains."""
    if error <= max(WANTED_CALIBRATION, facts["calibration_error_by_chance"]) or "calibration_level" not in facts:
        return []
    way = "low" if facts["calibration_level"] > 0 else "high"
    said = (
        f"Chances were off by {error:.3f} on average on the held-out days, above {WANTED_CALIBRATION}: all of them were too "
        f"{way} alike, and {facts['calibration_error_beyond_level']:.3f} remains beyond that. Rank by them; do not add them up "
        f"until the shop's record covers a year."
    )
    return [said]


def _date_coverage(scores: pa.Table, rows: _Rows) -> dict[str, Any]:
    """Return how many customers had a date of the next order within the period, and the share who had ordered by it."""
    wait = np.floor(numbers(scores, "days_to_next_order"))
    came = numbers(rows.held_out, "days_to_next_order")
    dated = wait < rows.horizon_days
    if not dated.any():
        return {"customers_with_a_date": 0}
    return {
        "customers_with_a_date": int(dated.sum()),
        "ordered_by_the_date": float((came[dated] <= wait[dated]).mean()),
    }
