"""What is held against the training: every feature, the prediction, the volume, and the truth where it has arrived."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopkeeper.drift.measures import (
    bin_categories,
    bin_numbers,
    chance_of_counts,
    chance_of_new,
    distances,
    effective,
    holm,
    index_by_chance,
    stability_index,
    total_variation,
)
from shopkeeper.errors import ModelError, SettingsError
from shopkeeper.evaluation import Figure, measure
from shopkeeper.evaluation.metrics import metric_of
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID

SCORE: Final = "score"
LEVEL = 0.05
WARN, STRONG = 0.1, 0.25
NULLS_WARN, NULLS_STRONG = 0.05, 0.2
NEW_WARN, NEW_STRONG = 0.01, 0.1
VOLUME_FACTOR, VOLUME_Z = 2.0, 3.0
LEAST_LOSS, Z = 0.05, 1.959963984540054
FEW = 100

AGEING: Final = frozenset(
    "days_since_first_order days_since_last_order days_since_last_session n_orders n_order_days gross_sales discounts "
    "returns net_sales n_units n_products n_categories n_cancellations n_sessions n_views n_carts n_purchase_events "
    "mean_days_between_orders sd_days_between_orders month_sales_mean month_sales_sd month_sales_trend".split()
)
"""Features that move in any shop as time goes by: how long ago something was, what adds up over a customer's life, and
what takes a long life to be large, or to be known at all (gaps between orders, spread and trend of months)."""

Alarm = Literal["none", "warn", "strong"]
POLICIES: Final = ("warn", "retrain", "stop")


@dataclass(frozen=True)
class ColumnDrift:
    """How one column differs from the reference.

    ``kind``: number or category; ``psi``: stability index beyond what chance gives, of the rows with a value, never below
    0; ``distance``: Kolmogorov-Smirnov for numbers, total variation for categories, 0 to 1; ``shift``: mean move in
    standard deviations of the reference (None for categories and constants); ``nulls_before``, ``nulls_now``: shares;
    ``new_share``: share of rows now in categories that the reference never had, named in ``new``; ``p_value`` of the
    test against chance, adjusted for the number of columns; ``is_expected``: moves as a shop ages, and raises no alarm;
    ``labels``, ``before``, ``now``: bins with their shares.
    """

    name: str
    kind: Literal["number", "category"]
    psi: float
    distance: float
    shift: float | None
    nulls_before: float
    nulls_now: float
    new_share: float
    new: tuple[str, ...]
    p_value: float
    is_expected: bool
    labels: tuple[str, ...]
    before: tuple[float, ...]
    now: tuple[float, ...]

    @property
    def size(self) -> Alarm:
        """How large the difference is, whether or not it is more than chance: the largest of index, nulls, new categories."""
        nulls = abs(self.nulls_now - self.nulls_before)
        if self.psi >= STRONG or nulls >= NULLS_STRONG or self.new_share >= NEW_STRONG:
            return "strong"
        if self.psi >= WARN or nulls >= NULLS_WARN or self.new_share >= NEW_WARN:
            return "warn"
        return "none"

    @property
    def alarm(self) -> Alarm:
        """The size, if it is more than chance and not expected."""
        return self.size if self.p_value < LEVEL and not self.is_expected else "none"

    @property
    def reason(self) -> str:
        """The most telling thing that is different, to be read after the column's name."""
        if self.new_share >= NEW_WARN:
            return f"has {self.new_share:.0%} in new categories such as {self.new[0]}"
        if abs(self.nulls_now - self.nulls_before) >= NULLS_WARN and self.psi < STRONG:
            return f"is missing in {self.nulls_now:.0%} of rows instead of {self.nulls_before:.0%}"
        return f"has moved (stability index {self.psi:.2f})"


@dataclass(frozen=True)
class Volume:
    """Rows to score: at training, and now."""

    before: int
    now: int

    @property
    def is_odd(self) -> bool:
        """Whether there are less than half or more than twice as many, by more than three standard errors of counts."""
        less, more = sorted((self.before, self.now))
        return more > VOLUME_FACTOR * less and more - less > VOLUME_Z * (more + less) ** 0.5


@dataclass(frozen=True)
class Decay:
    """A metric as reported at training, and on the outcomes that have arrived since for scores given then.

    ``loss``: by how much it is worse (negative: better); ``is_worse``: by more than noise, and by 5 % of the reported
    value or more (of 1, where the metric is a signed error).
    """

    metric: str
    reported: Figure
    found: Figure
    n_rows: int
    loss: float
    is_worse: bool


@dataclass(frozen=True)
class DriftReport:
    """All that was held against a champion's training.

    ``subject``: whose model; ``version``: its name, such as churn/3; ``reference`` and ``current``: in words, of when the
    rows are; ``columns``: the prediction first, then features, the largest alarm and index first; ``n_reference``,
    ``n_current``: rows compared; ``notes``: sentences for people.
    """

    subject: str
    version: str
    reference: str
    current: str
    n_reference: int
    n_current: int
    columns: tuple[ColumnDrift, ...]
    volume: Volume | None = None
    decays: tuple[Decay, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def alarms(self) -> tuple[ColumnDrift, ...]:
        """The columns with an alarm."""
        return tuple(column for column in self.columns if column.alarm != "none")


@dataclass(frozen=True)
class Action:
    """What is to be done, and why in one sentence."""

    kind: Literal["none", "warn", "retrain", "stop"]
    sentence: str


def examine(
    reference: pa.Table,
    current: pa.Table,
    *,
    columns: Sequence[str],
    score: str | None = SCORE,
    ageing: Collection[str] = AGEING,
    volume: Volume | None = None,
    decays: Sequence[Decay] = (),
    subject: str = "",
    version: str = "",
    about: tuple[str, str] = ("", ""),
) -> DriftReport:
    """Hold current rows against the reference of a champion: the features ``columns``, and the prediction ``score``.

    Both tables: one row per customer and moment; with a column ``customer_id``, rows of one customer count as fewer.
    ``about``: of when reference and current rows are, in words. An alarm wants both: a difference that matters, and
    one that chance gives in at most 5 % of reports on unchanged data, over all columns together (Holm). No randomness;
    the order of rows does not matter. Raises ModelError if a column is missing on either side, or a table is empty.
    """
    names = [*([score] if score else []), *columns]
    for table, which in ((reference, "reference"), (current, "current rows")):
        missing = [name for name in names if name not in table.column_names]
        if missing:
            raise ModelError(
                f"the {which} must have the columns that the model uses; missing: {', '.join(missing)}. Train "
                f"{subject or 'the model'} anew."
            )
        if not table.num_rows:
            raise ModelError(f"the {which} must have rows; got none. There is nothing to compare {subject} with.")
    worth = tuple(_worth(table) for table in (reference, current))
    found = [_examine(name, reference[name], current[name], worth, name in ageing) for name in names]
    family = [place for place, each in enumerate(found) if not each.is_expected]
    adjusted = holm(np.array([found[place].p_value for place in family]))
    for place, p_value in zip(family, adjusted.tolist(), strict=True):
        found[place] = replace(found[place], p_value=p_value)
    rank = {"strong": 0, "warn": 1, "none": 2}
    found.sort(key=lambda each: (each.name != score, each.is_expected, rank[each.alarm], -each.psi, each.name))
    notes = []
    if min(worth) < FEW:
        notes.append(
            f"There are few independent rows ({worth[0]:.0f} before, {worth[1]:.0f} now): only large drifts can be seen."
        )
    return DriftReport(
        subject,
        version,
        *about,
        reference.num_rows,
        current.num_rows,
        tuple(found),
        volume,
        tuple(decays),
        tuple(notes),
    )


def decay(metric: str, truth: Any, scores: Any, reported: Figure, *, groups: Any = None, seed: int) -> Decay:
    """Compare a metric on arrived outcomes with what was reported at training.

    ``truth`` and ``scores``: what happened, and what the champion said before; ``reported``: its figure on the held-out
    period. Worse by more than noise: the loss is beyond 1.96 standard errors of both figures, which are read from their
    intervals. Raises as ``evaluation.measure``.
    """
    found = measure(metric, truth, scores, groups=groups, seed=seed)
    judge = metric_of(metric)
    loss = judge.quality(reported.value) - judge.quality(found.value)
    error = float(np.hypot(reported.high - reported.low, found.high - found.low)) / (2 * Z)
    matters = LEAST_LOSS * (1.0 if judge.is_signed else abs(reported.value))
    return Decay(metric, reported, found, len(np.asarray(truth)), loss, bool(loss > Z * error and loss >= matters))


def decide(report: DriftReport, policy: str) -> Action:
    """Return what a policy makes of a report.

    Grave is a strong alarm, any alarm of the prediction, an odd volume, or a metric that got worse: then the policy acts
    (warn, retrain, stop). A lesser alarm only warns. Raises SettingsError for a policy that does not exist.
    """
    if policy not in POLICIES:
        raise SettingsError(f"drift.policy must be one of {', '.join(POLICIES)}; got {policy!r} in shopkeeper.toml.")
    grave = [
        *(
            f"{each.metric} got worse: {_said(each.reported)} at training, {_said(each.found)} since"
            for each in report.decays
            if each.is_worse
        ),
        *(
            [f"rows went from {report.volume.before} to {report.volume.now}"]
            if report.volume and report.volume.is_odd
            else []
        ),
        *(f"{each.name} {each.reason}" for each in report.alarms if each.alarm == "strong" or each.name == SCORE),
    ]
    lesser = [f"{each.name} {each.reason}" for each in report.alarms if each.alarm == "warn" and each.name != SCORE]
    whose = report.version or report.subject or "the model"
    if not grave and not lesser:
        return Action("none", f"What {whose} is asked about looks as it did at training.")
    shown = (grave or lesser)[:3]
    more = len(grave) + len(lesser) - len(shown)
    what = "; ".join(shown) + (f"; and {more} more" if more else "")
    if not grave or policy == "warn":
        return Action("warn", f"What {whose} is asked about has drifted: {what}.")
    if policy == "retrain":
        return Action("retrain", f"What {whose} is asked about has drifted, so a challenger is trained: {what}.")
    return Action("stop", f"What {whose} is asked about has drifted, so nothing new is published: {what}.")


def to_json(report: DriftReport) -> str:
    """Return a report as JSON, with each column's size and alarm; equal reports give equal bytes."""
    told = asdict(report)
    for column, each in zip(told["columns"], report.columns, strict=True):
        column.update({"size": each.size, "alarm": each.alarm})
    if report.volume:
        told["volume"]["is_odd"] = report.volume.is_odd
    return json.dumps(told, indent=1, sort_keys=True)


def _examine(
    name: str, before: pa.ChunkedArray, now: pa.ChunkedArray, worth: tuple[float, ...], is_expected: bool
) -> ColumnDrift:
    is_category = any(_is_category(name, each.type) for each in (before, now))
    columns = [_texts(each) if is_category else _numbers(name, each) for each in (before, now)]
    nulls = [1 - len(column) / len(each) for column, each in zip(columns, (before, now), strict=True)]
    # Of the effective rows, those with a value.
    filled = [rows * (1 - share) for rows, share in zip(worth, nulls, strict=True)]
    new: dict[str, int] = {}
    if is_category:
        bins, new = bin_categories(*columns)
        together = bins
    else:
        columns = [np.sort(column) for column in columns]
        bins = bin_numbers(*columns)
        together = bin_numbers(columns[0], columns[1], np.sort(np.concatenate(columns)))
    has_both = all(len(column) for column in columns)
    gaps = np.array([[share * rows, (1 - share) * rows] for share, rows in zip(nulls, worth, strict=True)])
    tests = [chance_of_counts(together.before, together.now, *filled)] if has_both else []
    if any(nulls):
        tests.append(chance_of_counts(*gaps, *worth))
    if new:
        counts = np.unique(np.concatenate(columns), return_counts=True)[1].astype(float)
        tests.append(chance_of_new(new, counts, *filled))
    index = stability_index(bins.before, bins.now) - index_by_chance(len(bins.labels), *filled) if has_both else 0.0
    distance, shift = 0.0, None
    if has_both and is_category:
        distance = total_variation(bins.before, bins.now)
    elif has_both:
        distance, shift = distances(columns[0], columns[1])
    return ColumnDrift(
        name,
        "category" if is_category else "number",
        max(0.0, index),
        distance,
        shift,
        nulls[0],
        nulls[1],
        sum(new.values()) / max(len(columns[1]), 1),
        tuple(new)[:10],
        min(1.0, len(tests) * min(tests, default=1.0)),
        is_expected,
        bins.labels,
        _shares(bins.before),
        _shares(bins.now),
    )


def _shares(counts: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple((counts / max(counts.sum(), 1)).tolist())


def _worth(table: pa.Table) -> float:
    if CUSTOMER_ID in table.column_names:
        return effective(table[CUSTOMER_ID].to_numpy())
    return float(table.num_rows)


def _is_category(name: str, kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_category(name, kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind):
        return True
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return False
    raise ModelError(
        f"a column to examine must hold numbers or texts; got {kind} in {name}. Leave out keys like {AS_OF}."
    )


def _numbers(name: str, column: pa.ChunkedArray) -> NDArray[Any]:
    try:
        values: NDArray[np.float64] = np.asarray(column.cast(pa.float64()))
    except pa.ArrowInvalid as error:
        raise ModelError(f"{name} must hold numbers on both sides; got {column.type}. Train the model anew.") from error
    return values[~np.isnan(values)]


def _texts(column: pa.ChunkedArray) -> NDArray[Any]:
    texts: NDArray[Any] = np.asarray(pc.drop_null(column.cast(pa.string())))
    return texts.astype(str)


def _said(figure: Figure) -> str:
    return f"{figure.value:.3g} ({figure.low:.3g} to {figure.high:.3g})"
