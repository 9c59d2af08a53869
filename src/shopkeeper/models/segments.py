"""Segments: which groups of behaviour a shop's customers form, each as one readable rule; and the named RFM groups.

The threshold tree competes with two ways to group by R, F and M. It is fitted as of a month before the last moment, on two
thirds of the customers, and judged on the other third as of the last moment. What is better: a higher mean silhouette
in the space of behaviour.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import Candidate, Comparison, Figure, Report
from shopkeeper.models.clusters import JUDGED, LEAST_BUYERS, choose, compactness, silhouettes
from shopkeeper.models.customer_rows import numbers, reference, sampled
from shopkeeper.models.migrations import MONTH, Moment, SizeForecast, forecast, migrations
from shopkeeper.models.model import (
    CUSTOMER_KEY,
    VERSION_COLUMNS,
    Column,
    History,
    Model,
    PredictionTable,
    Subject,
    Trained,
)
from shopkeeper.models.profiles import correlations, profile_of
from shopkeeper.models.rfm_segments import RfmGrid, RfmGroups
from shopkeeper.models.segment_model import (
    FEATURES,
    OFTEN,
    OUTLIERS,
    Floats,
    Segment,
    SegmentModel,
    Space,
    Whole,
    behaviour,
    in_one_order,
)
from shopkeeper.models.surrogates import TOLD, importances, surrogate_scores
from shopkeeper.models.threshold_segments import SAMPLE, ThresholdSegments
from shopkeeper.progress import Tell
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID, SEGMENTS

PRIMARY = "silhouette"
MONTHS = 6
"""Months of moves that migrations and the size forecast look back on."""
DRAWS = 1000
COMPACTNESS_DRAWS = 200
LEAST_HELD_OUT = 20
DRAWN = 1000
"""Customers in the picture by principal components."""

CUSTOMER_SEGMENTS = PredictionTable(
    "customer_segments",
    "one row per customer and moment",
    (CUSTOMER_ID, AS_OF),
    (
        *CUSTOMER_KEY,
        Column("rfm_group", pa.string(), "the named RFM group, one of eleven"),
        Column("r_score", pa.int32(), "recency, 1 to 5, 5 is most recent; null without an order"),
        Column("f_score", pa.int32(), "frequency, 1 to 5, 5 is most orders; null without an order"),
        Column("m_score", pa.int32(), "net sales, 1 to 5, 5 is most; null without an order"),
        Column(
            "segment",
            pa.int32(),
            "the behavioural segment: 0 prospects, 1 to 8 clusters, 9 outliers; 11 to 20 where the named groups serve",
        ),
        Column("segment_name", pa.string(), "its name"),
        Column("certainty", pa.float64(), "share of refits on resampled customers that give the same segment, 0 to 1"),
        *VERSION_COLUMNS,
    ),
)
SEGMENT_LIST = PredictionTable(
    "segments",
    "one row per segment and moment",
    ("segment", AS_OF),
    (
        Column(
            "segment",
            pa.int32(),
            "the segment: 0 prospects, 1 to 8 clusters, 9 outliers; 11 to 20 where the named groups serve",
        ),
        CUSTOMER_KEY[1],
        Column("segment_name", pa.string(), "its name; kept from model to model while the segment means the same"),
        Column("rule_sql", pa.string(), "who is in it: a condition over features.customer_features"),
        Column("rule_words", pa.string(), "the same in words"),
        Column("profile", pa.string(), "what its customers are like, in words"),
        Column("n_customers", pa.int64(), "customers in it"),
        Column("share", pa.float64(), "their share of all customers"),
        Column(
            "share_of_sales", pa.float64(), "their share of all customers' net sales; null where that is not above 0"
        ),
        Column("expected_share_next_month", pa.float64(), "expected share of all customers 30 days on"),
        *VERSION_COLUMNS,
    ),
)
SEGMENT_MIGRATIONS = PredictionTable(
    "segment_migrations",
    "one row per moment, segment a month (30 days) before and segment at the moment",
    (AS_OF, "from_segment", "to_segment"),
    (
        CUSTOMER_KEY[1],
        Column("from_segment", pa.int32(), "the segment 30 days before the moment; -1: not a customer yet"),
        Column("to_segment", pa.int32(), "the segment at the moment"),
        Column("n_customers", pa.int64(), "customers who moved so, or stayed"),
        Column("share", pa.float64(), "their share of those who were in from_segment"),
        *VERSION_COLUMNS,
    ),
)


@dataclass(frozen=True)
class _Split:
    """Rows to fit on (a month before, two thirds of customers), to judge on (the others, at the end), and of all months."""

    fitted: pa.Table
    judged: pa.Table
    months: Sequence[pa.Table]
    period: tuple[date, date]
    notes: tuple[str, ...]

    @property
    def everyone(self) -> pa.Table:
        """All customers as of the last moment."""
        return self.months[-1]


class Segments(Subject):
    """Behavioural segments as rules, and the eleven named RFM groups; see ``docs/model-segments.md``.

    ``least``, ``most``: between how many behavioural segments to choose, outliers and prospects apart.
    Raises ModelError if they are not 2 to 8.
    """

    name: ClassVar[str] = SEGMENTS
    about: ClassVar[str] = (
        "Which groups of behaviour the customers form, each as one rule, and each customer's RFM group."
    )
    tables: ClassVar[tuple[PredictionTable, ...]] = (CUSTOMER_SEGMENTS, SEGMENT_LIST, SEGMENT_MIGRATIONS)
    models: ClassVar[Mapping[str, Callable[[Path], Model]]] = {
        kind.name: kind.load for kind in (ThresholdSegments, RfmGrid, RfmGroups)
    }

    def __init__(self, *, least: int = 4, most: int = 8) -> None:
        """Take the bounds of the number of segments."""
        if not 2 <= least <= most < OUTLIERS:
            raise ModelError(
                f"the number of segments must be from 2 to {OUTLIERS - 1}; got {least} to {most} in segments.least and "
                f"segments.most. Change the settings."
            )
        self.least, self.most = least, most

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
        """Train the tree and both baselines; without a recipe, or with a budget, k and leaves are chosen anew.

        Too few customers for behavioural segments: the RFM groups are all there is, and a note says why. Raises
        ModelError if there is no order with a customer.
        """
        tell("segments", "features", 0, None)
        split = _split(history)
        try:
            return self._train_tree(split, parameters, champion, seed, budget is not None, tell)
        except _TooFewError as error:
            return _groups_only(split, str(error), seed)

    def predict(
        self,
        model: Model,
        history: History,
        as_of: date,
        *,
        version: str,
        given: Mapping[str, pa.Table] | None = None,  # noqa: ARG002 - it needs no other's scores
    ) -> dict[str, pa.Table]:
        """Return each customer's segment and groups, the segments with their rules, and the moves of the last months."""
        if not isinstance(model, SegmentModel):
            raise ModelError(f"a model of segments must give segments; got {model.name}. Train it anew.")
        moments = _months(history, as_of)
        rows = _by_moment(history.features(moments), moments)
        past = [_moment(each, moment, model) for each, moment in zip(rows, moments, strict=True)]
        scores = model.score(rows[-1])
        for place, name in enumerate((CUSTOMER_ID, AS_OF)):
            scores = scores.add_column(place, name, rows[-1][name])
        found = forecast(past, [each.segment for each in model.segments])
        listed = _listed(model.segments, rows[-1], past[-1].segments, found, as_of)
        versions = {"model": model.name, "model_version": version}
        return {
            table.name: table.check(_with(each, versions))
            for table, each in zip(self.tables, (scores, listed, migrations(past)), strict=True)
        }

    def watched(self, model: Model, history: History, as_of: date) -> pa.Table:
        """Return every customer known at the moment with the segment as ``score``; see ``Subject.watched``."""
        if not isinstance(model, SegmentModel):
            raise ModelError(f"a model of {self.name} must put customers into segments; {model.name} does not.")
        return _watched(model, history.features([as_of]))

    def _train_tree(
        self,
        split: _Split,
        parameters: Mapping[str, Any] | None,
        champion: Model | None,
        seed: int,
        is_search: bool,
        tell: Tell,
    ) -> Trained:
        notes = list(split.notes)
        if split.judged.num_rows < LEAST_HELD_OUT:
            raise _TooFewError(
                f"there must be at least {LEAST_HELD_OUT} customers with an order among those held out to judge by; got "
                f"{split.judged.num_rows}. The named RFM groups serve until there are more."
            )
        recipe, table = self._recipe(split, parameters, seed, is_search, tell)
        tell("segments", "fit", 0, 3)
        try:
            # Nobody is served by it, so nobody's certainty is needed.
            evaluated = ThresholdSegments(seed=seed, **{**recipe, "bootstraps": 0}).fit(split.fitted)
            model = ThresholdSegments(seed=seed, **recipe).fit(split.everyone)
        except ModelError as error:
            if not parameters or is_search:
                raise _TooFewError(str(error)) from error
            notes.append(f"The stored recipe no longer fits, so it was chosen anew: {error}")
            return self._train_tree(replace(split, notes=tuple(notes)), None, champion, seed, is_search, tell)
        if isinstance(champion, ThresholdSegments) and not _missing(champion, split.everyone):
            evaluated.follow(champion, split.everyone)
        model.follow(evaluated, split.everyone)
        tell("segments", "compare", 1, 3)
        contest = _Contest(split, evaluated, champion, seed)
        notes += contest.notes
        tell("segments", "explain", 2, 3)
        facts, curves = _told(split, model, evaluated, seed)
        report = contest.report(recipe, notes, facts=facts, curves={**({"choice": table} if table else {}), **curves})
        tell("segments", "done", 3, 3)
        baseline = contest.serving(split.everyone)
        return Trained(
            model=model,
            evaluated=evaluated,
            baseline=baseline,
            report=report,
            parameters={"candidate": ThresholdSegments.name, "parameters": recipe},
            reference=_reference(model, split.everyone, seed),
            baseline_reference=_reference(baseline, split.everyone, seed),
        )

    def _recipe(
        self, split: _Split, parameters: Mapping[str, Any] | None, seed: int, is_search: bool, tell: Tell
    ) -> tuple[dict[str, Any], dict[str, list[Any]]]:
        stored = dict((parameters or {}).get("parameters", {}))
        if not is_search and self.least <= stored.get("k", 0) <= self.most:
            return stored, {}
        values = behaviour(split.fitted)
        values = in_one_order(values[values[:, OFTEN] > 0])
        values = values[sampled(len(values), SAMPLE, seed)]
        try:
            recipe, table = choose(
                values,
                least=self.least,
                most=self.most,
                seed=seed,
                tell=lambda done, total: tell("segments", "how many", done, total),
            )
        except ModelError as error:
            raise _TooFewError(str(error)) from error
        return dict(recipe), table


class _TooFewError(Exception):
    """There are too few customers, or too like ones, for behavioural segments."""


class _Contest:
    """The contenders' silhouettes on the held-out customers, in the space of the evaluated model."""

    def __init__(self, split: _Split, evaluated: ThresholdSegments, champion: Model | None, seed: int) -> None:
        self.split, self.evaluated, self.seed = split, evaluated, seed
        self.notes: list[str] = []
        self.judged = split.judged
        space = evaluated.clusters.space
        self.points = space(behaviour(self.judged))
        baselines: list[SegmentModel] = [RfmGroups(seed=seed).fit(split.fitted)]
        try:
            baselines.append(RfmGrid(seed=seed, k=evaluated.k).fit(split.fitted))
        except ModelError as error:
            self.notes.append(f"No baseline by the RFM grid: {error}")
        # The baseline that looks best where everything is fitted is the one to beat.
        fitted = _bought(split.fitted)
        fitted = fitted.take(sampled(fitted.num_rows, JUDGED // 3, seed))
        points = space(behaviour(fitted))
        self.baseline = max(baselines, key=lambda each: silhouettes(points, each.assign(fitted)).mean())
        self.contenders: dict[str, SegmentModel] = {each.name: each for each in (evaluated, *baselines)}
        self.parts = {name: each.assign(self.judged) for name, each in self.contenders.items()}
        self.champion = self._part_of(champion)

    def _part_of(self, champion: Model | None) -> Whole | None:
        if champion is None:
            return None
        missing = _missing(champion, self.judged)
        if missing or not isinstance(champion, SegmentModel):
            why = f"it needs {', '.join(missing)}" if missing else f"{champion.name} gives no segments"
            self.notes.append(f"The champion could not be compared: {why}.")
            return None
        return champion.assign(self.judged)

    def serving(self, everyone: pa.Table) -> SegmentModel:
        """Return the baseline fitted on everyone; the named groups where the grid cannot be."""
        try:
            return type(self.baseline)(seed=self.seed, **self.baseline.parameters).fit(everyone)
        except ModelError:
            return RfmGroups(seed=self.seed).fit(everyone)

    def report(
        self,
        recipe: Mapping[str, Any],
        notes: Sequence[str],
        *,
        facts: Mapping[str, Any],
        curves: Mapping[str, Mapping[str, Sequence[Any]]],
    ) -> Report:
        found = {name: silhouettes(self.points, part) for name, part in self.parts.items()}
        mine = found[ThresholdSegments.name]
        against = None
        if self.champion is not None:
            against = Comparison(
                ThresholdSegments.name,
                "the champion",
                PRIMARY,
                _mean(mine - silhouettes(self.points, self.champion), self.seed),
            )
        return Report(
            subject=SEGMENTS,
            held_out=self.split.period,
            n_rows=self.judged.num_rows,
            primary=PRIMARY,
            chosen=ThresholdSegments.name,
            baseline=self.baseline.name,
            candidates=[
                Candidate(
                    name,
                    name != ThresholdSegments.name,
                    _figures(self.points, self.parts[name], found[name], self.seed),
                    dict(recipe) if name == ThresholdSegments.name else dict(self.contenders[name].parameters),
                )
                for name in self.contenders
            ],
            against_baseline=Comparison(
                ThresholdSegments.name, self.baseline.name, PRIMARY, _mean(mine - found[self.baseline.name], self.seed)
            ),
            against_champion=against,
            curves=curves,
            facts=facts,
            notes=notes,
        )


def _split(history: History) -> _Split:
    if history.last_day is None or history.first_day is None:
        raise ModelError(
            "segments need orders with a customer; there is none. Load sales whose lines name the customer, and run again."
        )
    months = _months(history, history.last_day + timedelta(days=1))
    rows = _by_moment(history.features(months), months)
    everyone = rows[-1]
    if not (numbers(everyone, "n_orders") > 0).any():
        raise ModelError(
            f"segments need at least one customer with an order; none of {everyone.num_rows} customers has one that was not "
            f"cancelled. All of them are prospects."
        )
    earlier = rows[-2] if len(rows) > 1 else everyone.slice(0, 0)
    first, notes = months[-1] - timedelta(days=MONTH), []
    fitted = earlier.filter(pc.invert(_is_held_out(earlier)))
    if (numbers(fitted, "n_orders") > 0).sum() < LEAST_BUYERS:
        fitted, first = everyone.filter(pc.invert(_is_held_out(everyone))), history.last_day
        notes.append(
            "A month ago there were too few customers with an order to fit on, so both the fit and the verdict are as of the "
            "last moment, on different customers."
        )
    judged = everyone.filter(pc.and_(_is_held_out(everyone), pc.greater(everyone["n_orders"], 0)))
    judged = judged.take(sampled(judged.num_rows, JUDGED, 0))
    return _Split(fitted, judged, rows, (first, history.last_day), tuple(notes))


def _months(history: History, as_of: date) -> list[date]:
    """Return the moment and those 30, 60, … days before it that know an order, ascending."""
    found = [as_of - timedelta(days=MONTH * each) for each in range(MONTHS, -1, -1)]
    first = history.first_day
    return [each for each in found if each == as_of or (first is not None and each > first)]


def _by_moment(rows: pa.Table, moments: Sequence[date]) -> list[pa.Table]:
    """Return the rows of each moment, sorted by customer."""
    days = rows[AS_OF].cast(pa.date32())
    return [rows.filter(pc.equal(days, pa.scalar(each, pa.date32()))).sort_by(CUSTOMER_ID) for each in moments]


def _is_held_out(rows: pa.Table) -> pa.Array:
    """Return which customers are held out: a third, the same in every training, whoever else there is."""
    return pa.array([crc32(each.encode()) % 3 == 0 for each in rows[CUSTOMER_ID].to_pylist()], pa.bool_())


def _missing(model: Model, rows: pa.Table) -> list[str]:
    """Return the columns that a model needs and the rows do not have."""
    return [name for name in model.columns if name not in rows.column_names]


def _bought(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.greater(rows["n_orders"], 0))


def _some(rows: pa.Table, seed: int) -> pa.Table:
    """Return the rows, or a sample of as many as a tree is fitted on."""
    return rows.take(sampled(rows.num_rows, SAMPLE, seed))


def _moment(rows: pa.Table, as_of: date, model: SegmentModel) -> Moment:
    return Moment(as_of, np.array(rows[CUSTOMER_ID].to_pylist(), np.str_), model.assign(rows))


def _groups_only(split: _Split, why: str, seed: int) -> Trained:
    """Return the named groups alone: nothing to compare them with, so nothing is promoted and they serve."""
    model = RfmGroups(seed=seed).fit(split.everyone)
    judged = split.judged if split.judged.num_rows else _bought(split.everyone)
    points = Space.of(behaviour(judged))(behaviour(judged))
    part = model.assign(judged)
    figures = {PRIMARY: _mean(silhouettes(points, part), seed)}
    return Trained(
        model=model,
        evaluated=model,
        baseline=model,
        report=Report(
            subject=SEGMENTS,
            held_out=split.period,
            n_rows=judged.num_rows,
            primary=PRIMARY,
            chosen=model.name,
            baseline=model.name,
            candidates=[Candidate(model.name, True, figures)],
            against_baseline=Comparison(model.name, model.name, PRIMARY, Figure(0.0, 0.0, 0.0)),
            notes=[*split.notes, f"There are no behavioural segments: {why}"],
        ),
        parameters={"candidate": model.name, "parameters": {}},
        reference=_reference(model, split.everyone, seed),
        baseline_reference=_reference(model, split.everyone, seed),
    )


def _told(
    split: _Split, model: ThresholdSegments, evaluated: ThresholdSegments, seed: int
) -> tuple[dict[str, Any], dict[str, dict[str, list[Any]]]]:
    """Return the report's facts and curves beyond the comparison."""
    everyone, fitted, judged = split.everyone, _some(_bought(split.fitted), seed), split.judged
    labels, truth = evaluated.assign(fitted), evaluated.assign(judged)
    free, free_truth = evaluated.free_clusters(fitted, judged)
    bought = _bought(everyone)
    shares = np.bincount(model.assign(bought), minlength=OUTLIERS + 1) / bought.num_rows
    past = [_moment(rows, rows[AS_OF][0].as_py(), model) for rows in split.months if rows.num_rows]
    sizes = forecast(past, [each.segment for each in model.segments])
    facts = {
        "features": list(FEATURES),
        "k": model.k,
        "n_leaves": model.clusters.tree.n_leaves,
        **model.against_free(everyone),
        **{f"{name}_held_out": value for name, value in evaluated.against_free(judged).items()},
        "stability": model.stability,
        "smallest_share": float(min(shares[each] for each in model.ids)),
        "outlier_share": float(shares[OUTLIERS]),
        "surrogates_of_segments": surrogate_scores(fitted, labels, judged, truth, seed=seed),
        "surrogates_of_free_clusters": surrogate_scores(fitted, free, judged, free_truth, seed=seed),
        "size_forecast": {"method": sizes.method, "mean_absolute_errors": dict(sizes.errors), "tested": sizes.n_tested},
    }
    told = importances(fitted, labels, judged, truth, seed=seed)
    names = {each.segment: each.name for each in evaluated.segments}
    some = _some(bought, seed)
    curves: dict[str, dict[str, list[Any]]] = {
        "segments": _sizes_and_medians(model, everyone, sizes),
        "importances": {**told, "name": [names[each] for each in told["segment"]]},
        "correlation": correlations(some.select(TOLD), most=None),
        "correlated_pairs": correlations(some),
        "principal_components": _picture(model, bought, seed),
    }
    return facts, curves


def _sizes_and_medians(model: ThresholdSegments, rows: pa.Table, sizes: SizeForecast) -> dict[str, list[Any]]:
    """Return each segment's rule, shares of customers and of net sales, and median of each feature, None if unknown."""
    assigned, values, net = model.assign(rows), behaviour(rows), numbers(rows, "net_sales")
    told = []
    for each in model.segments:
        mine = assigned == each.segment
        told.append(
            {
                "segment": each.segment,
                "name": each.name,
                "rule": each.rule_words,
                "share": float(mine.mean()),
                "expected_share_next_month": sizes.shares[each.segment],
                "share_of_sales": float(net[mine].sum() / net.sum()) if net.sum() > 0 else None,
                **{f"median_{name}": _median(column[mine]) for name, column in zip(FEATURES, values.T, strict=True)},
            }
        )
    return {name: [row[name] for row in told] for name in told[0]}


def _median(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


def _picture(model: ThresholdSegments, rows: pa.Table, seed: int) -> dict[str, list[Any]]:
    """Return customers by the first two principal components of the space, to look at; nothing is decided by them."""
    values = in_one_order(behaviour(rows))
    values = values[sampled(len(values), DRAWN, seed)]
    points = model.clusters.space(values)
    centred = points - points.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    # A component's sign is free: its largest loading is made positive.
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    x, y = (centred @ (axes * signs[:, None]).T)[:, :2].T
    explained = spread**2 / max((spread**2).sum(), 1e-12)
    names = {each.segment: each.name for each in model.segments}
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "group": [names[each] for each in model.tree.assign(values).tolist()],
        "explained_by_x": [float(explained[0])] * len(x),
        "explained_by_y": [float(explained[1])] * len(x),
    }


def _listed(segments: Sequence[Segment], rows: pa.Table, assigned: Whole, found: SizeForecast, as_of: date) -> pa.Table:
    net = numbers(rows, "net_sales")
    total = net.sum()
    told = []
    for each in segments:
        mine = assigned == each.segment
        told.append(
            {
                "segment": each.segment,
                AS_OF: as_of,
                "segment_name": each.name,
                "rule_sql": each.rule_sql,
                "rule_words": each.rule_words,
                "profile": profile_of(rows.filter(pa.array(mine)), rows),
                "n_customers": int(mine.sum()),
                "share": float(mine.mean()) if len(mine) else 0.0,
                "share_of_sales": float(net[mine].sum() / total) if total > 0 else None,
                "expected_share_next_month": found.shares[each.segment],
            }
        )
    kinds = {column.name: column.kind for column in SEGMENT_LIST.columns if column not in VERSION_COLUMNS}
    return pa.Table.from_pylist(told, pa.schema(list(kinds.items())))


def _with(rows: pa.Table, texts: Mapping[str, str]) -> pa.Table:
    for name, text in texts.items():
        rows = rows.append_column(name, pa.array([text] * rows.num_rows, pa.string()))
    return rows


def _reference(model: SegmentModel, rows: pa.Table, seed: int) -> pa.Table:
    """Return a sample of what the model was fitted on, its segments as ``score``."""
    return _watched(model, reference(rows, seed))


def _watched(model: SegmentModel, rows: pa.Table) -> pa.Table:
    """Return the columns the model reads and its segments as ``score``: names, not numbers, as they have no order."""
    chosen = rows.select([CUSTOMER_ID, AS_OF, *model.columns])
    return chosen.append_column("score", pa.array(model.assign(rows)).cast(pa.string()))


def _mean(values: Floats, seed: int) -> Figure:
    """Return the mean over customers with its 95 % interval by the percentile bootstrap.

    Segments and the values are given: the interval is of which customers were held out, not of fitting anew, of which
    ``stability`` tells.
    """
    rng = np.random.default_rng(seed)
    drawn = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(DRAWS)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Figure(float(values.mean()), float(low), float(high))


def _figures(points: Floats, part: Whole, found: Floats, seed: int) -> dict[str, Figure]:
    """Return silhouette, Calinski-Harabasz and Davies-Bouldin of a partition, each with its interval over customers.

    The last two are left out where all customers are in one part.
    """
    rng = np.random.default_rng(seed)
    _, codes = np.unique(part, return_inverse=True)
    drawn = [
        compactness(points, codes, np.bincount(rng.integers(len(codes), size=len(codes)), minlength=len(codes)))
        for _ in range(COMPACTNESS_DRAWS)
    ]
    whole = compactness(points, codes, np.ones(len(codes)))
    if np.isnan(whole).any():
        return {PRIMARY: _mean(found, seed)}
    low, high = np.nanquantile(np.array(drawn), [0.025, 0.975], axis=0)
    return {PRIMARY: _mean(found, seed)} | {
        name: Figure(float(whole[place]), float(low[place]), float(high[place]))
        for place, name in enumerate(("calinski_harabasz", "davies_bouldin"))
    }
