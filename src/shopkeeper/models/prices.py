"""Prices: how demand answers to each product's price, and what price to ask.

The candidates (``models/elasticity.py``): ``partial_pooling`` with and without a trend of each product; the
baselines: ``zero``, for which prices change nothing, and ``pooled``, one elasticity for all products of a channel.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import Candidate, Comparison, Report, compare, mean_poisson_deviance, measure, measure_all
from shopkeeper.models import price_advice as advice
from shopkeeper.models.elasticity import KINDS, NoResponse, PartialPooling, PooledResponse, PriceResponse
from shopkeeper.models.model import Hindsight, History, Model, PredictionTable, Subject, Trained, Trial
from shopkeeper.models.price_channels import Channels, Numbers, SoldLines, channels, sold_lines
from shopkeeper.models.price_panel import LEAST_POSTED, MONDAY, SAME_PRICE, WEEK, Panel, panel
from shopkeeper.models.price_tables import ADVICE, CHANGES, CURVES, ELASTICITIES
from shopkeeper.models.price_trial import EPOCH, Weeks, cuts, day, judged, response, weeks_of
from shopkeeper.progress import Tell
from shopkeeper.vocabulary import AS_OF, PRICES, PRODUCT_ID

PRIMARY = "mean_poisson_deviance"
REPORTED = (PRIMARY, "mae", "bias")
UNITS_METRIC = "mean_tweedie_deviance"
UNITS = f"units_{UNITS_METRIC}"
CHAMPION = "the champion"
WITH_TREND = "partial_pooling_trend"
CANDIDATES: Mapping[str, tuple[type[PriceResponse], Mapping[str, Any]]] = {
    PartialPooling.name: (PartialPooling, {}),
    WITH_TREND: (PartialPooling, {"trend": True}),
}
BASELINES: Mapping[str, type[PriceResponse]] = {kind.name: kind for kind in (NoResponse, PooledResponse)}
MANY_PRODUCTS, MOST_GROUPS = 20, 16
MEASURED, POOLED, GROUP, UNKNOWN = "measured", "pooled", "group", "unknown"
OWN_THIRD = 1 / 3
STEPS = 4


@dataclass(frozen=True)
class _Record:
    """What a history says of prices before a moment; ``last_day``: the day before it, since 1970."""

    lines: SoldLines
    channels: Channels
    products: pa.Table
    stock: pa.Table
    last_day: int


@dataclass(frozen=True)
class PriceRecord(_Record):
    """The same with its panel."""

    panel: Panel


class Prices(Subject):
    """How demand answers to prices, and what to ask; see ``docs/model-prices.md``.

    ``objective``: profit, revenue or auto; ``margin_floor``: the share of the price that must stay above cost;
    ``largest_step``: how far a price may move at once, as a share; ``endings``: digits that prices may end on, such
    as ``99 49``; ``minimum_weeks``: products sold for fewer have no elasticity; ``currency``: that of unit costs,
    any if empty.

    The primary metric is the mean Poisson deviance of lines in product-weeks whose price was off the usual: whether
    somebody buys is what a price mostly changes, and lines have not the heavy tail of units, whose deviance stands
    beside it.
    """

    name: ClassVar[str] = PRICES
    about: ClassVar[str] = "How demand for each product answers to its price, and which price brings most."
    tables: ClassVar[tuple[PredictionTable, ...]] = (ELASTICITIES, ADVICE, CURVES, CHANGES)
    models: ClassVar[Mapping[str, Callable[[Path], Model]]] = {name: kind.load for name, kind in KINDS.items()}
    rows: ClassVar[str] = "products by channel"
    limits: ClassVar[tuple[str, ...]] = (
        "Where prices followed demand, lowered as it fell or raised as it rose, products look less sensitive than they are.",
        "What a price does to other products, to rivals and to trust is not in it; nor what a price beyond those seen does.",
        "The interval of advice counts the elasticity's error alone, not tomorrow's demand. Change few prices at once, and look.",
        "A promotion's lift is told apart from its price; buying ahead of it, or the dip after it, is not.",
    )

    def __init__(
        self,
        *,
        objective: str = advice.AUTO,
        margin_floor: float = 0.0,
        largest_step: float = 0.2,
        endings: str = "",
        minimum_weeks: int = 8,
        currency: str = "",
    ) -> None:
        self.rules = advice.rules(objective, margin_floor, largest_step, endings)
        self.minimum_weeks = minimum_weeks
        self.currency = currency

    def lacks(self, history: History) -> str:
        """Return what is missing: a sold line with a product and a price, or a price that moved."""
        if history.last_day is None:
            return "no sold line names a product"
        read = self.read(history, history.last_day + timedelta(1))
        if not len(read.lines.price):
            return "no sold line names a product"
        return "" if read.panel.rows.num_rows else "no posted price has moved"

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
        """Choose a candidate on the weeks before the held-out ones, judge it on those, fit it on everything.

        There is nothing to search for: a ``budget`` only has the candidates compared anew. Raises ModelError if the
        history is shorter than 12 weeks, no price moved, none moved in the held-out weeks, or nothing sells often
        enough.
        """
        if history.first_day is None or history.last_day is None:
            raise ModelError("a shop must have orders before prices can be told; it has none. Load its orders.")
        tell(self.name, "reading the past", 0, STEPS)
        read = self.read(history, history.last_day + timedelta(1))
        if not len(read.lines.price):
            raise ModelError(
                "a sold line must name a product and a price before prices can be told; none does. Load some."
            )
        held_out, validation = cuts(int(read.lines.day.min()), read.last_day)
        known = self._panel(read, before=held_out)
        tell(self.name, "fitting", 1, STEPS)
        chosen = str((parameters or {}).get("candidate"))
        is_stored = chosen in CANDIDATES and budget is None
        notes: list[str] = []
        trials: list[Trial] = []
        if not is_stored:
            chosen, trials = _chosen(_moved(known), validation, seed, notes)
        rows = judged(_moved(read.panel), _moved(known), held_out)
        names = (chosen,) if is_stored else tuple(CANDIDATES)
        contenders: dict[str, PriceResponse] = {name: _made(name, seed).fit(known.rows) for name in names}
        contenders |= {
            name: kind(seed=seed).fit(known.rows)
            for name, kind in BASELINES.items()
            if not (is_stored and name != NoResponse.name)
        }
        tell(self.name, "judging", 2, STEPS)
        first = EPOCH + timedelta(held_out)
        against = _comparable(champion, first, notes)
        weeks = weeks_of(rows, {**contenders, **against})
        report = _report(chosen, contenders, against, weeks, seed, (first, EPOCH + timedelta(read.last_day)))
        facts = _facts(read, known, contenders[chosen], weeks)
        curves = {
            "price_response": response(weeks, chosen, NoResponse.name),
            "elasticities": _by_group(contenders[chosen], known),
        }
        notes += _notes(read)
        report = replace(report, facts={**facts, **report.facts}, curves=curves, notes=tuple(notes))
        tell(self.name, "fitting on everything", 3, STEPS)
        model, baseline = _made(chosen, seed).fit(read.panel.rows), NoResponse(seed=seed).fit(read.panel.rows)
        return Trained(
            model=model,
            evaluated=contenders[chosen],
            baseline=baseline,
            report=report,
            parameters={"candidate": chosen},
            reference=_watched(model, read.panel),
            baseline_reference=_watched(baseline, read.panel),
            trials=trials,
        )

    def predict(
        self,
        model: Model,
        history: History,
        as_of: date,
        *,
        version: str,
        given: Mapping[str, pa.Table] | None = None,  # noqa: ARG002 - no subject comes before this one
    ) -> dict[str, pa.Table]:
        """Return ``price_elasticities``, ``price_advice``, ``price_curves`` and ``price_changes``; see
        ``Subject.predict``.
        """
        response_of = _of_prices(model)
        read = self.read(history, as_of)
        series = read.panel.series
        about = {
            PRODUCT_ID: series.product_id,
            "channel": series.channel,
            "currency": series.currency,
            AS_OF: np.full(len(series), np.datetime64(as_of)),
        }
        ends = {"model": np.full(len(series), model.name), "model_version": np.full(len(series), version)}
        told = self._told(response_of, read)
        offer = advice.offers(read.panel, told["elasticity"], told.pop("sd"), self._costs(read), read.last_day)
        advised = advice.advise(offer, self.rules)
        curve, change = advice.curves(offer, advised), advice.price_changes(read.panel, read.last_day)
        of_curve, of_change = curve.pop("row"), change.pop("row")
        changed_on = change.pop("day").astype("datetime64[D]")
        parts = {
            ELASTICITIES.name: {**about, **told, **ends},
            ADVICE.name: {**about, **advised, "unit_cost": offer.unit_cost, **ends},
            CURVES.name: {**{name: column[of_curve] for name, column in about.items()}, **curve},
            CHANGES.name: {
                **{name: column[of_change] for name, column in about.items()},
                "changed_on": changed_on,
                **change,
            },
        }
        return {table.name: table.check(advice.table_of(parts[table.name])) for table in self.tables}

    def watched(self, model: Model, history: History, as_of: date) -> pa.Table:
        """Return the series whose price moved, each with its latest posted price, and the elasticity as ``score``."""
        return _watched(model, self.read(history, as_of).panel)

    def hindsight(self, model: Model, history: History, since: date) -> Hindsight | None:
        """Return lines of product-weeks since the training whose price was off the usual, and what was to be
        expected.
        """
        if history.last_day is None:
            return None
        read = self.read(history, history.last_day + timedelta(1))
        begin = -(-((since - EPOCH).days + MONDAY) // WEEK) * WEEK - MONDAY
        if not read.panel.rows.num_rows or read.last_day < begin + WEEK - 1:
            return None
        whole = read.panel.rows
        try:
            weeks = weeks_of(
                judged(whole, whole.filter(pc.less(whole["week"], day(begin))), begin), {model.name: model}
            )
        except ModelError:
            return None
        return Hindsight(EPOCH + timedelta(begin), PRIMARY, weeks.lines, weeks.expected_lines[model.name])

    def read(self, history: History, as_of: date) -> PriceRecord:
        """Return what a history says before a moment."""

        def ask() -> PriceRecord:
            lines = sold_lines(history.sale_lines(), as_of)
            told = _Record(lines, channels(lines), history.products(), history.stock_days(), (as_of - EPOCH).days - 1)
            return PriceRecord(**vars(told), panel=self._panel(told, before=told.last_day + 1))

        return history.once((PRICES, as_of, self.minimum_weeks), ask)

    def _panel(self, read: _Record, *, before: int) -> Panel:
        """Return the panel as it stood before a day."""
        is_known = read.lines.day < before
        lines, known = read.lines.part(is_known), read.channels.part(is_known)
        last_day = before - 1
        return panel(lines, known, read.products, read.stock, last_day=last_day, minimum_weeks=self.minimum_weeks)

    def _told(self, model: PriceResponse, read: PriceRecord) -> dict[str, Any]:
        """Return the columns of ``price_elasticities`` that a model tells, and ``sd``."""
        series, found = read.panel.series, model.found
        place = model.places(series.product_id, series.channel, series.currency)
        has = (place >= 0) & (not isinstance(model, NoResponse))
        at = np.maximum(place, 0)
        has_own = has & (found.own_sd[at] > 0)
        share = np.where(has_own, found.share[at], 0.0)
        lowest, highest = advice.price_range(read.panel)
        is_measured = has_own & (share >= OWN_THIRD)
        status = np.select([is_measured, has_own, has], [MEASURED, POOLED, GROUP], UNKNOWN)
        reason = np.select(
            [
                is_measured,
                has_own,
                has,
                highest <= lowest * (1 + SAME_PRICE),
                series.posted < LEAST_POSTED,
                (series.last - series.first + 1) < self.minimum_weeks * WEEK,
                np.full(len(series), isinstance(model, NoResponse)),
            ],
            [
                "",
                "its own weeks leave much open: it is mostly its group's",
                "it sells too few lines at each of its prices to tell of its own",
                "its price never moved",
                "no price is posted: customers pay different prices at one time",
                f"it was sold for fewer than {self.minimum_weeks} weeks",
                "no model foretold the effect of prices better than none",
            ],
            "its price moved after the training",
        )

        def of(column: Numbers, where: NDArray[np.bool_]) -> Numbers:
            return np.where(where, column[at], np.nan)

        middle, sd = of(found.elasticity, has), of(found.sd, has)
        least = read.channels.breaks[series.item]
        return {
            "price_group": series.group,
            "status": status,
            "reason": reason,
            "elasticity": middle,
            "sd": sd,
            "elasticity_low": middle - advice.Z * sd,
            "elasticity_high": np.minimum(middle + advice.Z * sd, 0.0),
            "own_elasticity": of(found.own, has_own),
            "own_error": of(found.own_sd, has_own),
            "own_share": np.where(has, share, np.nan),
            "group_elasticity": of(found.group_elasticity, has),
            "n_prices": np.bincount(read.panel.spells.series, minlength=len(series)),
            "lowest_price": lowest,
            "highest_price": highest,
            "posted_share": series.posted,
            "break_quantity": np.where(least > 0, least, np.nan),
            "n_lines": np.round(series.n_lines).astype(np.int64),
            "n_units": series.n_units,
        }

    def _costs(self, read: PriceRecord) -> Numbers:
        """Return the unit cost of each series; NaN where none is told, or in another currency."""
        series = read.panel.series
        told = zip(*(read.products[name].to_pylist() for name in (PRODUCT_ID, "unit_cost")), strict=True)
        known = {name: cost for name, cost in told if cost is not None and cost > 0}
        cost = np.array([known.get(name, np.nan) for name in series.product_id.tolist()], np.float64)
        is_ours = (series.currency == self.currency) if self.currency else np.ones(len(series), bool)
        return np.where(is_ours, cost, np.nan)


def _of_prices(model: Model) -> PriceResponse:
    if not isinstance(model, PriceResponse):
        raise ModelError(f"a model of prices must be one of {', '.join(KINDS)}; got {model.name}. Train it.")
    return model


def _moved(known: Panel) -> pa.Table:
    """Return the rows of a panel. Raises ModelError if there are none."""
    if not known.rows.num_rows:
        raise ModelError(
            "a posted price must have moved before elasticities can be told; none did. Wait for a change of prices."
        )
    return known.rows


def _made(name: str, seed: int) -> PriceResponse:
    kind, parameters = CANDIDATES[name]
    return kind(seed=seed, **parameters)


def _chosen(rows: pa.Table, begin: int, seed: int, notes: list[str]) -> tuple[str, list[Trial]]:
    """Return the candidate that was best from a day on, fitted before it, and the tries; of equals the one named
    first.
    """
    early = rows.filter(pc.less(rows["week"], day(begin)))
    trials = []
    try:
        later = judged(rows, early, begin)
        for name, (_, parameters) in CANDIDATES.items():
            begun = perf_counter()
            weeks = weeks_of(later, {name: _made(name, seed).fit(early)})
            value = mean_poisson_deviance(weeks.lines, weeks.expected_lines[name])
            trials.append(Trial(name, dict(parameters), PRIMARY, value, perf_counter() - begun))
    except ModelError as error:
        notes.append(f"The weeks before the held-out ones could not choose, so {PartialPooling.name} is taken: {error}")
        return PartialPooling.name, []
    return min(trials, key=lambda trial: float(f"{trial.value:.4g}")).candidate, trials


def _comparable(champion: Model | None, first: date, notes: list[str]) -> dict[str, PriceResponse]:
    """Return the champion, if it can be judged by the held-out weeks, under a name of its own."""
    if not isinstance(champion, PriceResponse):
        return {}
    if champion.has_seen(first):
        notes.append(f"The champion {champion.name} could not be compared: it has learnt from days after {first}.")
        return {}
    return {CHAMPION: champion}


def _report(
    chosen: str,
    contenders: Mapping[str, PriceResponse],
    against: Mapping[str, PriceResponse],
    weeks: Weeks,
    seed: int,
    held_out: tuple[date, date],
) -> Report:
    """Return figures and comparisons; products are drawn, with all their weeks, where there are twenty."""
    groups = weeks.product_id if len(np.unique(weeks.product_id)) >= MANY_PRODUCTS else None
    lines, told = weeks.lines, weeks.expected_lines

    def gain(over: str, called: str) -> Comparison:
        return compare(PRIMARY, lines, told[chosen], told[over], names=(chosen, called), groups=groups, seed=seed)

    candidates = []
    for name in contenders:
        figures = measure_all(REPORTED, lines, told[name], groups=groups, seed=seed)
        of_units = measure(UNITS_METRIC, weeks.units, weeks.expected_units[name], groups=groups, seed=seed)
        parameters = dict(CANDIDATES[name][1]) if name in CANDIDATES else {}
        candidates.append(Candidate(name, name in BASELINES, {**figures, UNITS: of_units}, parameters))
    facts: dict[str, Any] = {}
    if PooledResponse.name in contenders:
        pooled = gain(PooledResponse.name, PooledResponse.name).gain
        facts["gain_over_pooled"] = {"value": pooled.value, "low": pooled.low, "high": pooled.high}
    return Report(
        subject=PRICES,
        held_out=held_out,
        n_rows=len(lines),
        primary=PRIMARY,
        chosen=chosen,
        baseline=NoResponse.name,
        candidates=candidates,
        against_baseline=gain(NoResponse.name, NoResponse.name),
        against_champion=gain(CHAMPION, against[CHAMPION].name) if against else None,
        facts=facts,
    )


def _watched(model: Model, known: Panel) -> pa.Table:
    """Return each series whose price moved, as its last row stands, with its elasticity as ``score``."""
    rows = known.rows
    key = zip(*(rows[name].to_pylist() for name in (PRODUCT_ID, "channel", "currency")), strict=True)
    last = {each: number for number, each in enumerate(key)}
    chosen = rows.take(pa.array(sorted(last.values()), pa.int64()))
    scores = model.score(chosen)
    return chosen.select(["channel", "currency", "group", "log_price"]).append_column("score", scores["elasticity"])


def _by_group(model: PriceResponse, known: Panel) -> dict[str, list[Any]]:
    """Return elasticities of the largest groups: ``group``, ``low`` (a tenth lies below), ``middle``, ``high``, and
    how many.
    """
    group = known.series.group[model.places_in(known.series.product_id, known.series.channel, known.series.currency)]
    groups, counts = np.unique(group, return_counts=True)
    largest = groups[np.lexsort((groups, -counts))][:MOST_GROUPS]
    found = [(name, model.found.elasticity[group == name]) for name in largest.tolist()]
    found.sort(key=lambda each: float(np.median(each[1])))
    return {
        "group": [name for name, _ in found],
        **{
            label: [float(np.quantile(values, at)) for _, values in found]
            for label, at in (("low", 0.1), ("middle", 0.5), ("high", 0.9))
        },
        "n": [len(values) for _, values in found],
    }


def _facts(read: PriceRecord, known: Panel, model: PriceResponse, weeks: Weeks) -> dict[str, Any]:
    series = read.panel.series
    return {
        "lines": len(read.lines.price),
        "lines_left_out": read.lines.left_out,
        "currencies": read.lines.currencies.tolist(),
        "series": len(series),
        "series_by_channel": {name: int((series.channel == name).sum()) for name in np.unique(series.channel).tolist()},
        "series_whose_price_moved": len(model.keys[0]),
        "series_with_an_estimate_of_their_own": int((model.found.own_sd > 0).sum()),
        "product_weeks_judged": len(weeks.lines),
        "share_of_lines_at_the_posted_price": read.panel.agreement,
        "variance_of_log_price_within_days": read.channels.disagreement,
        "variance_of_log_price_within_days_and_channels": read.channels.left,
        "price_changes_learnt_from": len(known.spells.series) - len(known.series),
        "response": model.told,
    }


def _notes(read: PriceRecord) -> Sequence[str]:
    found = []
    if read.lines.left_out:
        found.append(f"{read.lines.left_out:,} lines without a price or a quantity above 0 are left out.")
    if len(read.lines.currencies) > 1:
        named = ", ".join(each or "none" for each in read.lines.currencies.tolist())
        found.append(f"Lines are in {len(read.lines.currencies)} currencies ({named}): each has prices of its own.")
    return found
