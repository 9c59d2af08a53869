"""Prices: how demand answers to each product's price, and what price to ask.

The candidates (``models/elasticity.py``): ``partial_pooling`` with and without a trend of each product, ``pooled``; the baseline
``zero``, for which prices change nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar
from weakref import ref

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import Candidate, Comparison, Report, compare, measure_all
from shopkeeper.evaluation.metrics import mean_tweedie_deviance
from shopkeeper.models import price_advice as advice
from shopkeeper.models.elasticity import KINDS, NoResponse, PartialPooling, PooledResponse, PriceResponse
from shopkeeper.models.model import (
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
from shopkeeper.models.price_channels import Channels, Numbers, SoldLines, channels, sold_lines
from shopkeeper.models.price_panel import LEAST_POSTED, MONDAY, SAME_PRICE, WEEK, Panel, panel
from shopkeeper.progress import Tell
from shopkeeper.vocabulary import AS_OF, PRICES, PRODUCT_ID

PRIMARY = "mean_tweedie_deviance"
REPORTED = (PRIMARY, "mae", "bias")
CANDIDATES: Mapping[str, tuple[type[PriceResponse], Mapping[str, Any]]] = {
    "partial_pooling": (PartialPooling, {}),
    "partial_pooling_trend": (PartialPooling, {"trend": True}),
    "pooled": (PooledResponse, {}),
}
LEAST_WEEKS, LEAST_HELD_OUT, MOST_HELD_OUT = 12, 4, 13
LEAST_JUDGED, MANY_PRODUCTS = 8, 20
LEAST_MOVE = 0.01
BASE_WEEKS = 26
LEAST_PREDICTED = 1e-3
MEASURED, POOLED, GROUP, UNKNOWN = "measured", "pooled", "group", "unknown"
OWN_THIRD = 1 / 3
STEPS = 4
MOVES = (-0.5, -0.35, -0.2, -0.1, -0.05, 0.05, 0.1, 0.2, 0.35, 0.5)
EPOCH = date(1970, 1, 1)

SERIES_KEY = (
    Column(PRODUCT_ID, pa.string(), "the product"),
    Column(
        "channel",
        pa.string(),
        "the price list: all; or standard, high (stores or orders that are charged more), bulk (from the quantity break on), high_bulk",
    ),
    Column("currency", pa.string(), "ISO 4217; prices of two currencies never meet"),
    Column(AS_OF, pa.date32(), "the moment: what was known before this day"),
)
KEY = tuple(column.name for column in SERIES_KEY)


def _money(name: str, meaning: str) -> Column:
    return Column(name, pa.float64(), meaning)


ELASTICITIES = PredictionTable(
    "price_elasticities",
    "one row per product, channel and currency that sold before the moment, and moment",
    KEY,
    (
        *SERIES_KEY,
        Column(
            "price_group", pa.string(), "category, or the last word of the description; whom the elasticity is drawn to"
        ),
        Column(
            "status",
            pa.string(),
            "measured (own weeks count for a third or more), pooled (for less), group (the group's alone), unknown",
        ),
        Column("reason", pa.string(), "why it is not measured; empty where it is"),
        _money("elasticity", "per cent of units per per cent of price; null where unknown"),
        _money("elasticity_low", "low end of its 95 % interval"),
        _money("elasticity_high", "high end of that interval"),
        _money("own_elasticity", "from the product's own weeks alone; null where they tell nothing"),
        _money("own_error", "standard error of that, which respects weeks and spells"),
        _money("own_share", "share of the elasticity that is the product's own, 0 to 1"),
        _money("group_elasticity", "the group's; null where unknown"),
        Column("n_prices", pa.int64(), "posted prices so far, one after another; a return to an old one counts"),
        _money("lowest_price", "lowest posted price"),
        _money("highest_price", "highest posted price"),
        _money("posted_share", "share of lines that were charged the posted price"),
        _money("break_quantity", "units of a line from which on the price is lower; null without a quantity break"),
        Column("n_lines", pa.int64(), "lines sold"),
        _money("n_units", "units sold"),
        *VERSION_COLUMNS,
    ),
)
ADVICE = PredictionTable(
    "price_advice",
    "one row per product, channel and currency that sold before the moment, and moment",
    KEY,
    (
        *SERIES_KEY,
        _money("price", "regular price now, money per unit: the last posted one that is no promotion"),
        Column("objective", pa.string(), "profit, or revenue where the unit cost is not known"),
        Column("action", pa.string(), "raise, lower, keep; none where no advice can be given"),
        _money("advised_price", "price that brings most within the bounds"),
        _money("lowest_allowed", "low bound of the search"),
        _money("highest_allowed", "high bound"),
        Column("is_sure", pa.bool_(), "whether the gain is above nought over the elasticity's whole 95 % interval"),
        Column("reason", pa.string(), "which bound holds the price, or why there is no advice"),
        _money("unit_cost", "cost of a unit; null where no source tells it in this currency"),
        _money("units_per_day", "units a day at the price now, from the last 91 days"),
        _money("revenue_per_day", "the same in money"),
        _money("profit_per_day", "the same less unit cost; null where that is not known"),
        *(
            _money(f"{name}_change{end}", meaning)
            for name in ("units", "revenue", "profit")
            for end, meaning in (
                ("", f"expected change of {name} at the advised price, as a share"),
                ("_low", "low end of its 95 % interval, of the elasticity's error alone"),
                ("_high", "high end"),
            )
        ),
        *VERSION_COLUMNS,
    ),
)
CURVES = PredictionTable(
    "price_curves",
    "one row per product, channel, currency, moment and price, up to eleven, between the bounds of the advice",
    (*KEY, "price"),
    (
        *SERIES_KEY,
        _money("price", "the price asked"),
        *(
            _money(f"{name}{end}", meaning)
            for name, unit in (
                ("units", "units a day"),
                ("revenue", "money a day"),
                ("profit", "money a day, cost taken off"),
            )
            for end, meaning in (
                ("_per_day", f"expected {unit}"),
                ("_low", "low end of its 95 % interval"),
                ("_high", "high end"),
            )
        ),
    ),
)
CHANGES = PredictionTable(
    "price_changes",
    "one row per product, channel, currency, moment and day on which the posted price changed",
    (*KEY, "changed_on"),
    (
        *SERIES_KEY,
        Column(
            "changed_on", pa.date32(), "first day of the new price, half-way between two sales where it was not seen"
        ),
        _money("old_price", "price before"),
        _money("new_price", "price from then on"),
        Column("is_promotion", pa.bool_(), "whether it is 5 % or more below the prices around it, for 28 days at most"),
        *(
            column
            for side, words in (("before", "up to 28 days before"), ("after", "up to 28 days from the change on"))
            for column in (
                Column(f"days_{side}", pa.int64(), f"days counted, {words}, of that one price"),
                _money(f"units_{side}", "units a day, plainly counted"),
                _money(f"units_{side}_low", "low end of its 95 % interval, of chance alone"),
                _money(f"units_{side}_high", "high end"),
            )
        ),
    ),
)


@dataclass(frozen=True)
class _Read:
    """What a history says of prices before a moment."""

    lines: SoldLines
    channels: Channels
    products: pa.Table
    stock: pa.Table
    panel: Panel
    last_day: int


class Prices(Subject):
    """How demand answers to prices, and what to ask; see ``docs/model-prices.md``.

    ``objective``: profit, revenue or auto; ``margin_floor``: the share of the price that must stay above cost; ``largest_step``:
    how far a price may move at once, as a share; ``endings``: digits that prices may end on, such as ``99 49``; ``minimum_weeks``:
    fewer weeks of sales than this say nothing of their own; ``currency``: that of unit costs.

    The primary metric is the mean Tweedie deviance of units in product-weeks whose price had moved: a proper score of means,
    made for sums of a few heavy-tailed lines.
    """

    name: ClassVar[str] = PRICES
    about: ClassVar[str] = "How demand for each product answers to its price, and which price brings most."
    tables: ClassVar[tuple[PredictionTable, ...]] = (ELASTICITIES, ADVICE, CURVES, CHANGES)
    models: ClassVar[Mapping[str, Callable[[Path], Model]]] = {name: kind.load for name, kind in KINDS.items()}
    rows: ClassVar[str] = "products by channel"
    limits: ClassVar[tuple[str, ...]] = (
        "Prices that were lowered because demand fell, or raised because it rose, make demand look less price-sensitive than it is.",
        "What a price does to other products, to rivals, and to customers' trust is not in it; nor what a price beyond those seen does.",
        "Advice counts the elasticity's error alone, not that of tomorrow's demand. Change few prices at once, and look.",
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
        self._last: tuple[ref[Any], date, _Read] | None = None

    def lacks(self, history: History) -> str:
        """Return what is missing: lines that name a product."""
        return "" if history.products().num_rows else "no product is known"

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

        There is nothing to search for: a ``budget`` only has the candidates compared anew. Raises ModelError if the history is
        shorter than 12 weeks, no price moved, or none moved in the held-out weeks.
        """
        if history.first_day is None or history.last_day is None:
            raise ModelError("a shop must have orders before prices can be told; it has none. Load its orders.")
        tell(self.name, "reading the past", 0, STEPS)
        read = self._read(history, history.last_day + timedelta(1))
        if not len(read.lines.price):
            raise ModelError("lines must name a product and a price before prices can be told; none does. Load them.")
        held_out, validation = _cuts(int(read.lines.day.min()), read.last_day)
        known = self._panel(read, before=held_out)
        tell(self.name, "fitting", 1, STEPS)
        stored = (parameters or {}).get("candidate")
        notes: list[str] = []
        trials: list[Trial] = []
        if budget is not None or stored not in CANDIDATES:
            stored, trials = self._choose(known, validation, seed, notes)
        rows = _judged(read.panel.rows, known.rows, held_out)
        fitted = {stored: _made(stored, seed).fit(known.rows)}
        if parameters is None or budget is not None:
            fitted |= {name: _made(name, seed).fit(known.rows) for name in CANDIDATES if name != stored}
        baseline = NoResponse(seed=seed).fit(known.rows)
        tell(self.name, "judging", 2, STEPS)
        contenders = {**fitted, NoResponse.name: baseline}
        report = self._judge(stored, contenders, rows, read, known, champion, seed, notes, held_out)
        tell(self.name, "fitting on everything", 3, STEPS)
        model = _made(stored, seed).fit(self._learnt(read.panel))
        served_baseline = NoResponse(seed=seed).fit(self._learnt(read.panel))
        return Trained(
            model=model,
            evaluated=fitted[stored],
            baseline=served_baseline,
            report=report,
            parameters={"candidate": stored},
            reference=_watched(model, read.panel),
            baseline_reference=_watched(served_baseline, read.panel),
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
        """Return ``price_elasticities``, ``price_advice``, ``price_curves`` and ``price_changes``; see ``Subject.predict``."""
        if not isinstance(model, PriceResponse):
            raise ModelError(f"a model of prices must be one of {', '.join(KINDS)}; got {model.name}. Train it.")
        read = self._read(history, as_of)
        series = read.panel.series
        n = len(series)
        told = self._told(model, read)
        names = np.array([model.name] * n, dtype=np.str_), np.array([version] * n, dtype=np.str_)
        about = {
            PRODUCT_ID: series.product_id,
            "channel": series.channel,
            "currency": series.currency,
            AS_OF: np.full(n, np.datetime64(as_of)),
        }
        last = dict(zip(("model", "model_version"), names, strict=True))
        offer = advice.offers(read.panel, told["elasticity"], told.pop("sd"), self._costs(read), read.last_day)
        advised = advice.advise(offer, self.rules)
        curve, change = advice.curves(offer, advised), advice.price_changes(read.panel, read.last_day)
        places = curve.pop("row"), change.pop("row")
        parts = {
            ELASTICITIES.name: {**about, **told, **last},
            ADVICE.name: {**about, **advised, "unit_cost": offer.unit_cost, **last},
            CURVES.name: {**{name: column[places[0]] for name, column in about.items()}, **curve},
            CHANGES.name: {
                **{name: column[places[1]] for name, column in about.items()},
                "changed_on": change.pop("day").astype("datetime64[D]"),
                **change,
            },
        }
        return {table.name: table.check(advice.table_of(parts[table.name])) for table in self.tables}

    def watched(self, model: Model, history: History, as_of: date) -> pa.Table:
        """Return the products whose price moved, each with its latest posted price, and the elasticity as ``score``."""
        return _watched(model, self._read(history, as_of).panel)

    def hindsight(self, model: Model, history: History, since: date) -> Hindsight | None:
        """Return units of product-weeks since the training whose price had moved, and what was to be expected of them."""
        if history.last_day is None:
            return None
        read = self._read(history, history.last_day + timedelta(1))
        begin = -(-((since - EPOCH).days + MONDAY) // WEEK) * WEEK - MONDAY
        if not read.panel.rows.num_rows or read.last_day < begin + WEEK - 1:
            return None
        whole = read.panel.rows
        early = whole.filter(pc.less(whole["week"], _day(begin)))
        try:
            rows = _judged(whole, early, begin)
            truth, told, _ = _weeks(rows, {model.name: model})
        except ModelError:
            return None
        return Hindsight(EPOCH + timedelta(begin), PRIMARY, truth, told[model.name]) if len(truth) else None

    def _read(self, history: History, as_of: date) -> _Read:
        """Return what a history says before a moment; of the last history asked, it is kept."""
        if self._last and self._last[0]() is history and self._last[1] == as_of:
            return self._last[2]
        lines = sold_lines(history.sale_lines(), as_of)
        found, products, stock = channels(lines), history.products(), history.stock_days()
        last_day = (as_of - EPOCH).days - 1
        read = _Read(lines, found, products, stock, panel(lines, found, products, stock, last_day=last_day, minimum_weeks=self.minimum_weeks), last_day)
        self._last = (ref(history), as_of, read)
        return read

    def _panel(self, read: _Read, *, before: int) -> Panel:
        """Return the panel as it stood before a day."""
        lines, known = read.lines.before(before), read.channels.of(read.lines.day < before)
        return panel(lines, known, read.products, read.stock, last_day=before - 1, minimum_weeks=self.minimum_weeks)

    def _learnt(self, known: Panel) -> pa.Table:
        """Return the rows of products with weeks enough."""
        rows = known.rows
        if not rows.num_rows:
            raise ModelError(
                "a posted price must have moved before elasticities can be told; none did. Wait for a change of prices."
            )
        return rows

    def _choose(self, known: Panel, validation: int, seed: int, notes: list[str]) -> tuple[str, list[Trial]]:
        """Return the candidate that was best in the weeks before the held-out ones, and the tries."""
        whole = self._learnt(known)
        early = whole.filter(pc.less(whole["week"], _day(validation)))
        trials = []
        try:
            rows = _judged(whole, early, validation)
            for name in CANDIDATES:
                begun = perf_counter()
                model = _made(name, seed).fit(early)
                truth, told, _ = _weeks(rows, {name: model})
                value = mean_tweedie_deviance(truth, told[name])
                trials.append(Trial(name, dict(CANDIDATES[name][1]), PRIMARY, value, perf_counter() - begun))
        except ModelError as error:
            notes.append(f"The weeks before the held-out ones could not choose, so partial_pooling is taken: {error}")
            return "partial_pooling", []
        # Of equals to four digits the one named first.
        return min(trials, key=lambda trial: float(f"{trial.value:.4g}")).candidate, trials

    def _judge(
        self,
        chosen: str,
        contenders: Mapping[str, PriceResponse],
        rows: pa.Table,
        read: _Read,
        known: Panel,
        champion: Model | None,
        seed: int,
        notes: list[str],
        held_out: int,
    ) -> Report:
        first, last = EPOCH + timedelta(held_out), EPOCH + timedelta(read.last_day)
        against: dict[str, PriceResponse] = {}
        if isinstance(champion, PriceResponse):
            if champion.has_seen(first):
                notes.append(
                    f"The champion {champion.name} could not be compared: it has learnt from days after {first}."
                )
            else:
                against["champion"] = champion
        truth, told, weeks = _weeks(rows, {**contenders, **against})
        groups = weeks[PRODUCT_ID].to_numpy(zero_copy_only=False).astype(np.str_)
        units = groups if len(np.unique(groups)) >= MANY_PRODUCTS else None
        candidates = [
            Candidate(
                name,
                name == NoResponse.name,
                measure_all(REPORTED, truth, told[name], groups=units, seed=seed),
                dict(CANDIDATES[name][1]) if name in CANDIDATES else {},
            )
            for name in contenders
        ]

        def gain(over: str, called: str) -> Comparison:
            pair = (chosen, called)
            return compare(PRIMARY, truth, told[chosen], told[over], names=pair, groups=units, seed=seed)

        facts = _facts(read, known, contenders[chosen], weeks)
        if PooledResponse.name in contenders and chosen != PooledResponse.name:
            over = gain(PooledResponse.name, PooledResponse.name).gain
            facts["gain_over_pooled"] = {"value": over.value, "low": over.low, "high": over.high}
        notes += _notes(read)
        return Report(
            subject=self.name,
            held_out=(first, last),
            n_rows=len(truth),
            primary=PRIMARY,
            chosen=chosen,
            baseline=NoResponse.name,
            candidates=candidates,
            against_baseline=gain(NoResponse.name, NoResponse.name),
            against_champion=gain("champion", against["champion"].name) if against else None,
            curves={
                "price_response": _response(truth, told[chosen], weeks),
                "elasticities": _by_group(contenders[chosen], known),
            },
            facts=facts,
            notes=tuple(notes),
        )

    def _told(self, model: PriceResponse, read: _Read) -> dict[str, Any]:
        """Return the columns of ``price_elasticities`` that a model tells, and ``sd``."""
        series, spells = read.panel.series, read.panel.spells
        n = len(series)
        found = model.found
        place = model.places(series.product_id, series.channel, series.currency)
        is_zero = isinstance(model, NoResponse)
        has = (place >= 0) & (not is_zero)
        at = np.maximum(place, 0)
        own_sd = found.own_sd[at] if len(found.own_sd) else np.zeros(n)
        has_own = has & (own_sd > 0)
        share = np.where(has_own, found.share[at], 0.0) if len(found.share) else np.zeros(n)
        offers = advice.offers(read.panel, np.zeros(n), np.zeros(n), np.zeros(n), read.last_day)
        n_prices = np.bincount(spells.series, minlength=n)
        thin = np.where(has & ~has_own, "it sells too few lines at each of its prices to tell of its own", "")
        reason = np.where(
            has_own & (share < OWN_THIRD), "its own weeks leave much open: it is mostly the group's", thin
        )
        weeks = (series.last - series.first + 1) / WEEK
        span = np.select(
            [
                series.posted < LEAST_POSTED,
                offers.highest <= offers.lowest * (1 + SAME_PRICE),
                np.full(n, is_zero),
                weeks < self.minimum_weeks,
            ],
            [
                "no price is posted: customers pay different prices at one time",
                "the price never moved",
                "no model told the effect of prices better than none",
                f"it was sold for fewer than {self.minimum_weeks} weeks",
            ],
            "its price moved after the training",
        )
        status = np.select([has_own & (share >= OWN_THIRD), has_own, has], [MEASURED, POOLED, GROUP], UNKNOWN)

        def of(column: Numbers, where: NDArray[np.bool_]) -> Numbers:
            return np.where(where, column[at], np.nan) if len(column) else np.full(n, np.nan)

        middle, sd = of(found.elasticity, has), of(found.sd, has)
        item = {name: number for number, name in enumerate(read.lines.product_ids.tolist())}
        money = {name: number for number, name in enumerate(read.lines.currencies.tolist())}
        number = np.array(
            [
                item[p] * len(money) + money[c]
                for p, c in zip(series.product_id.tolist(), series.currency.tolist(), strict=True)
            ],
            np.int64,
        )
        breaks = read.channels.breaks[number] if n else np.zeros(0)
        return {
            "price_group": series.group,
            "status": status,
            "reason": np.where(has, reason, span),
            "elasticity": middle,
            "sd": sd,
            "elasticity_low": middle - advice.Z * sd,
            "elasticity_high": middle + advice.Z * sd,
            "own_elasticity": of(found.own, has_own),
            "own_error": of(found.own_sd, has_own),
            "own_share": np.where(has, share, np.nan),
            "group_elasticity": of(found.group_elasticity, has),
            "n_prices": n_prices,
            "lowest_price": offers.lowest,
            "highest_price": offers.highest,
            "posted_share": series.posted,
            "break_quantity": np.where(breaks > 0, breaks, np.nan),
            "n_lines": np.round(series.n_lines).astype(np.int64),
            "n_units": series.n_units,
        }

    def _costs(self, read: _Read) -> Numbers:
        """Return the unit cost of each series; NaN where none is told, or in another currency."""
        series = read.panel.series
        told = zip(*(read.products[name].to_pylist() for name in (PRODUCT_ID, "unit_cost")), strict=True)
        known = {name: cost for name, cost in told if cost is not None and cost > 0}
        cost = np.array([known.get(name, np.nan) for name in series.product_id.tolist()], np.float64)
        is_ours = (series.currency == self.currency) if self.currency else np.ones(len(series), bool)
        return np.where(is_ours, cost, np.nan)


def _cuts(first_day: int, last_day: int) -> tuple[int, int]:
    """Return the Mondays (days since 1970) from which on weeks are held out, and those before them that choose."""
    first, last = -(-(first_day + MONDAY) // WEEK), (last_day + 1 + MONDAY) // WEEK
    weeks = last - first
    if weeks < LEAST_WEEKS:
        raise ModelError(
            f"a history must span {LEAST_WEEKS} whole weeks before elasticities can be told and judged; got {max(weeks, 0)}. "
            f"Wait for more sales."
        )
    held = int(np.clip(weeks // 5, LEAST_HELD_OUT, MOST_HELD_OUT))
    return (last - held) * WEEK - MONDAY, (last - 2 * held) * WEEK - MONDAY


def _day(day: int) -> pa.Scalar:
    return pa.scalar(EPOCH + timedelta(day), pa.date32())


def _made(name: str, seed: int) -> PriceResponse:
    kind, parameters = CANDIDATES[name]
    return kind(seed=seed, **parameters)


def _judged(rows: pa.Table, known: pa.Table, begin: int) -> pa.Table:
    """Return the rows from a day on of series that were known before it, with ``move``: log price less the usual one before.

    Usual is the price of an average line in the last 26 weeks before. Raises ModelError where no price is off it.
    """
    key = [PRODUCT_ID, "channel", "currency"]
    late = known.filter(pc.greater_equal(known["week"], _day(begin - BASE_WEEKS * WEEK)))
    weight = pc.add(late["n_lines"], 1e-6)
    sums = (
        late.append_column("weight", weight)
        .append_column("weighted", pc.multiply(late["log_price"], weight))
        .group_by(key)
        .aggregate([("weight", "sum"), ("weighted", "sum")])
    )
    usual = pa.table(
        {**{name: sums[name] for name in key}, "usual": pc.divide(sums["weighted_sum"], sums["weight_sum"])}
    )
    whole = rows.filter(pc.greater_equal(rows["week"], _day(begin)))
    if not whole.num_rows or not usual.num_rows:
        raise ModelError(UNMOVED)
    joined = whole.join(usual, key, join_type="inner")
    joined = joined.append_column("move", pc.subtract(joined["log_price"], joined["usual"]))
    return joined.sort_by([(name, "ascending") for name in (*key, "week", "spell", "log_price")])


UNMOVED = (
    "a posted price must have moved both before the held-out weeks and in them, so that what was learnt can be judged; none did. "
    "Wait for a change of prices."
)


def _weeks(rows: pa.Table, models: Mapping[str, Model]) -> tuple[Numbers, dict[str, Numbers], pa.Table]:
    """Return units of product-weeks whose price was off the usual, what each model expected, and the weeks themselves."""
    key = [PRODUCT_ID, "channel", "currency", "week"]
    table = rows
    for name, model in models.items():
        table = table.append_column(f"of_{name}", model.score(rows)["expected_units"])
    lines = pc.add(rows["expected"], 1e-9)
    table = table.append_column("weight", lines).append_column("off", pc.multiply(rows["move"], lines))
    names = [f"of_{name}" for name in models]
    sums = table.group_by(key).aggregate([(name, "sum") for name in ("n_units", "weight", "off", *names)])
    sums = sums.append_column("move", pc.divide(sums["off_sum"], sums["weight_sum"])).sort_by(
        [(name, "ascending") for name in key]
    )
    is_off = pc.greater_equal(pc.abs(sums["move"]), LEAST_MOVE)
    for name in names:
        is_off = pc.and_(is_off, pc.is_valid(sums[f"{name}_sum"]))
    sums = sums.filter(is_off)
    if sums.num_rows < LEAST_JUDGED:
        raise ModelError(UNMOVED)
    told = {name: np.maximum(sums[f"of_{name}_sum"].to_numpy().astype(np.float64), LEAST_PREDICTED) for name in models}
    return sums["n_units_sum"].to_numpy().astype(np.float64), told, sums.select([*key, "move"])


def _watched(model: Model, known: Panel) -> pa.Table:
    """Return each series whose price moved, as its last row stands, with its elasticity as ``score``."""
    rows = known.rows
    key = zip(*(rows[name].to_pylist() for name in (PRODUCT_ID, "channel", "currency")), strict=True)
    last = {each: number for number, each in enumerate(key)}
    chosen = rows.take(pa.array(sorted(last.values()), pa.int64()))
    scores = model.score(chosen)
    return chosen.select(["channel", "currency", "group", "log_price"]).append_column("score", scores["elasticity"])


def _response(truth: Numbers, told: Numbers, weeks: pa.Table) -> dict[str, list[Any]]:
    """Return units sold and expected by how far the price was off the usual."""
    move = weeks["move"].to_numpy()
    place = np.digitize(move, MOVES)
    n = np.bincount(place, minlength=len(MOVES) + 1)
    kept = np.flatnonzero(n >= LEAST_JUDGED)
    sums = [np.bincount(place, column, len(MOVES) + 1)[kept] for column in (move, truth, told, truth**2)]
    return {
        "move": np.expm1(sums[0] / n[kept]).tolist(),
        "n": n[kept].tolist(),
        "actual": sums[1].tolist(),
        "expected": sums[2].tolist(),
        "spread": np.sqrt(sums[3]).tolist(),
    }


def _by_group(model: PriceResponse, known: Panel) -> dict[str, list[Any]]:
    """Return elasticities by group: the middle one, the tenth and the ninetieth of a hundred, and how many; the largest groups."""
    key = {}
    series = known.series
    for number, each in enumerate(
        zip(series.product_id.tolist(), series.channel.tolist(), series.currency.tolist(), strict=True)
    ):
        key[each] = number
    where = np.array([key[each] for each in zip(*(one.tolist() for one in model.keys), strict=True)], np.int64)
    names = series.group[where]
    groups, counts = np.unique(names, return_counts=True)
    largest = groups[np.lexsort((groups, -counts))][:16]
    found = [(group, model.found.elasticity[names == group]) for group in largest.tolist()]
    found.sort(key=lambda each: float(np.median(each[1])))
    return {
        "group": [group for group, _ in found],
        "low": [float(np.quantile(values, 0.1)) for _, values in found],
        "middle": [float(np.median(values)) for _, values in found],
        "high": [float(np.quantile(values, 0.9)) for _, values in found],
        "n": [len(values) for _, values in found],
    }


def _facts(read: _Read, known: Panel, model: PriceResponse, weeks: pa.Table) -> dict[str, Any]:
    series = read.panel.series
    return {
        "lines": len(read.lines.price),
        "lines_left_out": read.lines.left_out,
        "currencies": read.lines.currencies.tolist(),
        "series": len(series),
        "series_whose_price_moved": len(model.keys[0]),
        "series_with_weeks_of_their_own": int((model.found.own_sd > 0).sum()),
        "product_weeks_judged": weeks.num_rows,
        "channels": {name: int((series.channel == name).sum()) for name in np.unique(series.channel).tolist()},
        "lines_at_the_posted_price": read.panel.agreement,
        "price_differences_within_a_day": {"before_channels": read.channels.disagreement, "after": read.channels.left},
        "price_changes_before": int(len(known.spells.series) - len(known.series)),
        "promotions": int(read.panel.spells.is_promotion.sum()),
        "pooling": {**model.told},
    }


def _notes(read: _Read) -> Sequence[str]:
    found = []
    if read.lines.left_out:
        found.append(f"{read.lines.left_out:,} lines without a price or quantity above 0 are left out.")
    if len(read.lines.currencies) > 1:
        named = ", ".join(each or "none" for each in read.lines.currencies.tolist())
        found.append(f"Lines are in {len(read.lines.currencies)} currencies ({named}): each has prices of its own.")
    return found
