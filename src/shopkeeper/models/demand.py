"""Demand: how many units the shop, its countries, stores, categories and products will sell on the days ahead, and what to order.

The candidate ``best_per_level`` gives each level the method that erred least on rolling origins; the baseline is the seasonal
naive. See ``docs/model-demand.md``.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import WRMSSE
from shopkeeper.models import demand_statistical as statistical
from shopkeeper.models.calendar import number_of
from shopkeeper.models.demand_backtest import (
    WEEK,
    Forecast,
    Period,
    forecast_of,
    horizon_of,
    is_shown,
    judge,
    matrix,
    with_outlook,
)
from shopkeeper.models.demand_methods import BASELINE
from shopkeeper.models.demand_model import KINDS, SeasonalNaive
from shopkeeper.models.demand_model import Demand as DemandModel
from shopkeeper.models.demand_series import LEVELS, PRODUCT, TOTAL, Series, series_of
from shopkeeper.models.model import Column, Hindsight, History, Model, PredictionTable, Subject, Trained, Trial
from shopkeeper.models.stock_advice import Policy, advise, shelves_of
from shopkeeper.progress import Tell
from shopkeeper.vocabulary import AS_OF, DEMAND, PRODUCT_ID

HELD_OUT_DAYS = 56
STEPS = 5
DAILY, WEEKLY = "daily", "weekly"
HINDSIGHT = "wape"
LEAST_BUDGET = 20.0
"""Seconds of search from which on AutoARIMA is tried: it takes several a series."""
AS_OF_COLUMN = Column(AS_OF, pa.date32(), "the moment: what was known before this day")


class Demand(Subject):
    """What will sell, day by day, and what to order; see ``docs/model-demand.md``.

    ``horizon_days`` ahead; ``levels``: which of total, country, store, category, product; ``country``: the shop's, for
    holidays; ``policy``: how orders are placed. The horizon stands in the recipe.
    """

    name: ClassVar[str] = DEMAND
    about: ClassVar[str] = "How many units will sell on each day ahead, in all and by product, and what to order when."
    rows: ClassVar[str] = "series"
    limits: ClassVar[tuple[str, ...]] = (
        "Not for a product without a sale: it has no past of its own, and stands in its category's forecast only.",
        "A yearly season is followed, not foreseen: the run-up to Christmas shows in a forecast once it has begun.",
        "A promotion or a price ahead counts where the table promotions names it; other prices are taken to stay as they are.",
        "A product's own forecast of a day is mostly an average: use weeks and the interval, not the day's number.",
        "The advice on stock takes lead times as configured, and errors of different weeks as independent.",
    )
    tables: ClassVar[tuple[PredictionTable, ...]] = (
        PredictionTable(
            "demand_forecasts",
            "one row per series, moment, frequency and open day or whole week ahead",
            ("level", "series", "frequency", "day", AS_OF),
            (
                AS_OF_COLUMN,
                Column("level", pa.string(), "total, country, store, category or product"),
                Column("series", pa.string(), "which one: the country, store, category or product; all for the total"),
                Column("frequency", pa.string(), "daily, or weekly: seven days from the moment on, and so forth"),
                Column("day", pa.date32(), "the day, or the first day of the week; closed days have no row"),
                Column("units", pa.float64(), "expected units; parts add up to what they are parts of"),
                Column(
                    "lift", pa.float64(), "what promotions known ahead multiply the units by; 1 where none is planned"
                ),
                Column("units_low", pa.float64(), "low end of the interval that holds the units with 90 %"),
                Column("units_high", pa.float64(), "high end of that interval"),
                Column(
                    "model", pa.string(), "the method that forecasts this series; seasonal_naive where none beat it"
                ),
                Column("model_version", pa.string(), "its version in the registry, such as demand/3"),
            ),
        ),
        PredictionTable(
            "stock_advice",
            "one row per product sold in the last 180 days, store where inventory names one, and moment",
            (PRODUCT_ID, "store_id", AS_OF),
            (
                AS_OF_COLUMN,
                Column(PRODUCT_ID, pa.string(), "the product"),
                Column("store_id", pa.string(), "the store; all where no inventory tells"),
                Column("on_hand", pa.float64(), "units in stock at the moment; null where nobody tells"),
                Column("daily_demand", pa.float64(), "expected units a day, closed days counted, over the horizon"),
                Column(
                    "days_of_stock_left",
                    pa.float64(),
                    "days until stock runs out as expected; null where either is unknown",
                ),
                Column("lead_time_demand", pa.float64(), "expected units until an order placed now arrives"),
                Column(
                    "lead_time_demand_sd",
                    pa.float64(),
                    "standard deviation of those units, the lead time's own included",
                ),
                Column(
                    "reorder_point",
                    pa.float64(),
                    "units at or below which to order: enough for lead time and review period",
                ),
                Column("order_up_to", pa.float64(), "units to fill up to"),
                Column(
                    "order_quantity",
                    pa.float64(),
                    "units to order now, 0 above the reorder point; where stock is unknown, what a review period sells",
                ),
                Column(
                    "reorder_now",
                    pa.bool_(),
                    "whether stock is at or below the reorder point; null where it is unknown",
                ),
                Column("service_level", pa.float64(), "chance of not running out in a cycle, as configured"),
                Column("model", pa.string(), "the method that forecasts the product"),
                Column("model_version", pa.string(), "its version in the registry, such as demand/3"),
            ),
        ),
    )
    models: ClassVar[Mapping[str, Callable[[Path], Model]]] = {name: kind.load for name, kind in KINDS.items()}

    def __init__(
        self,
        *,
        horizon_days: int = 28,
        levels: Sequence[str] = LEVELS,
        country: str = "",
        policy: Policy | None = None,
    ) -> None:
        self.horizon_days = horizon_days
        self.levels = tuple(levels)
        self.country = country
        self.policy = policy or Policy()

    def lacks(self, history: History) -> str:
        """See ``Subject.lacks``."""
        return "" if history.first_day is not None and history.sale_lines().num_rows else "no sold line names a product"

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
        """Choose a method for each level on rolling origins before the held-out period, judge, and fit on everything.

        A recipe names the methods; without one all compete, and with a budget AutoARIMA does where series are few. Raises
        ModelError if nothing was sold, or the record is shorter than twice the horizon and four weeks.
        """
        recipe = dict(parameters or {}) if budget is None else {}
        tell(self.name, "reading the past", 0, STEPS)
        series = self._series(history, _moment(history))
        period = self._period(series)
        shape: dict[str, Any] = {"seed": seed, "horizon_days": self.horizon_days}
        named: dict[str, Any] = {name: recipe[name] for name in ("methods", "way") if name in recipe}
        if budget is not None and budget >= LEAST_BUDGET:
            named["extra"] = [statistical.AUTO_ARIMA]
        tell(self.name, "choosing methods", 1, STEPS)
        rows = period.origins[0][2]
        chosen = DemandModel(**shape, **named).fit(rows)
        baseline = SeasonalNaive(**shape).fit(rows)
        tell(self.name, "judging", 2, STEPS)
        notes = list(series.notes)
        if series.one_offs:
            notes.append(
                f"{series.one_offs} lines are one-off orders, each of more than three ordinary days of the whole shop: left out."
            )
        if series.censored:
            notes.append(
                f"{series.censored:,} product days were out of stock: their demand is estimated, not taken as zero."
            )
        report, losing = judge(period, chosen, baseline, champion, series, seed, notes)
        tell(self.name, "fitting on everything", 3, STEPS)
        everything = series.rows(self.horizon_days)
        kept: dict[str, Any] = {"methods": chosen.methods, "way": chosen.way}
        served = {**kept, "methods": {**chosen.methods, **dict.fromkeys(losing, BASELINE)}, "naive_levels": losing}
        model = DemandModel(**shape, **served).fit(everything)
        served_baseline = SeasonalNaive(**shape).fit(everything)
        tell(self.name, "looking ahead", 4, STEPS)
        report = with_outlook(report, model, series, everything)
        trials = [
            Trial(name, {"level": group}, WRMSSE, value, 0.0)
            for group, tried in chosen.tried.items()
            for name, value in tried.items()
        ]
        return Trained(
            model=model,
            evaluated=chosen,
            baseline=served_baseline,
            report=report,
            parameters={"horizon_days": self.horizon_days, **kept},
            reference=_watched(model, everything),
            baseline_reference=_watched(served_baseline, everything),
            trials=trials if budget is not None else (),
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
        """Return ``demand_forecasts`` and ``stock_advice`` as of a moment; see ``Subject.predict``."""
        lines = history.sale_lines()
        series = self._series(history, as_of)
        forecast = forecast_of(model, series, series.rows(horizon_of(model)))
        shown = is_shown(series)
        forecasts, advice = self.tables
        return {
            forecasts.name: forecasts.check(_forecast_rows(series, forecast, shown, as_of, version)),
            advice.name: advice.check(self._advice(history, lines, series, forecast, shown, as_of, version)),
        }

    def watched(self, model: Model, history: History, as_of: date) -> pa.Table:
        """Return the series of a moment, with the logarithm of the mean forecast as ``score``."""
        return _watched(model, self._series(history, as_of).rows(horizon_of(model)))

    def hindsight(self, model: Model, history: History, since: date) -> Hindsight | None:
        """Return what was said of the last whole horizon's total, and what sold; see ``Subject.hindsight``."""
        if history.last_day is None:
            return None
        moment = history.last_day + timedelta(1 - horizon_of(model))
        if moment < since:
            return None
        period = Period(self._series(history, _moment(history)), moment, horizon_of(model))
        _, seen, rows = period.origins[0]
        told = forecast_of(model, seen, rows).units
        at, truth = int(np.flatnonzero(seen.level == TOTAL)[0]), period.truth(moment)
        known = np.isfinite(truth[at])
        if not known.any() or truth[at][known].sum() <= 0:
            return None
        return Hindsight(moment, HINDSIGHT, truth[at][known], told[at][known])

    def _series(self, history: History, as_of: date) -> Series:
        return history.once(
            (DEMAND, as_of, self.country, self.levels), lambda: series_of(history, as_of, self.country, self.levels)
        )

    def _period(self, series: Series) -> Period:
        days, horizon = series.units.shape[1], self.horizon_days
        needed = 2 * horizon + 4 * WEEK
        if days < needed:
            raise ModelError(
                f"a history must span at least {needed} days to look {horizon} days ahead: four weeks to learn from and two "
                f"horizons, one to choose by and one to judge; got {days} days. Wait for more data, or shorten "
                f"demand.horizon_days."
            )
        length = max(horizon, min(HELD_OUT_DAYS, (days - horizon) // 4))
        return Period(series, series.end - timedelta(length), horizon)

    def _advice(
        self,
        history: History,
        lines: pa.Table,
        series: Series,
        forecast: Forecast,
        shown: NDArray[np.bool_],
        as_of: date,
        version: str,
    ) -> pa.Table:
        places = np.flatnonzero(shown & (series.level == PRODUCT))
        shelves = shelves_of(history.stock_days(), lines, series.key[places], as_of)
        columns = advise(shelves, forecast.units[places], forecast.week_spread[places], self.policy)
        n = len(shelves.product)
        method = np.array(forecast.method, np.str_)[places]
        rows = pa.table(
            {
                AS_OF: pa.array([as_of] * n, pa.date32()),
                PRODUCT_ID: pa.array(series.key[places][shelves.product].tolist(), pa.string()),
                **columns,
                "service_level": pa.array(np.full(n, self.policy.service_level)),
                "model": pa.array(method[shelves.product].tolist(), pa.string()),
                "model_version": pa.array([version] * n, pa.string()),
            }
        )
        return rows.sort_by([(PRODUCT_ID, "ascending"), ("store_id", "ascending")])


def _moment(history: History) -> date:
    if history.last_day is None:
        raise ModelError("demand must be learnt from sold lines that name a product; there is none. Load order lines.")
    return history.last_day + timedelta(1)


def _forecast_rows(series: Series, forecast: Forecast, shown: NDArray[np.bool_], as_of: date, version: str) -> pa.Table:
    horizon = forecast.units.shape[1]
    opened = np.flatnonzero(series.calendar.ahead(horizon))
    start, places = number_of(as_of), np.flatnonzero(shown)
    level, key = (pa.array(names.tolist(), pa.string()) for names in (series.level, series.key))
    method = pa.array(forecast.method, pa.string())
    parts = []
    of_days = (each[np.ix_(places, opened)] for each in (forecast.units, forecast.lift, forecast.margin))
    of_weeks = (each[places] for each in (forecast.week_units, forecast.week_lift, forecast.week_margin))
    for frequency, (units, lift, margin), ahead in (
        (DAILY, of_days, opened),
        (WEEKLY, of_weeks, np.arange(horizon // WEEK) * WEEK),
    ):
        of = pa.array(np.repeat(places, len(ahead)))
        n = len(of)
        parts.append(
            pa.table(
                {
                    AS_OF: pa.array(np.full(n, start, np.int32)).cast(pa.date32()),
                    "level": level.take(of),
                    "series": key.take(of),
                    "frequency": pa.array([frequency] * n, pa.string()),
                    "day": pa.array(np.tile((start + ahead).astype(np.int32), len(places))).cast(pa.date32()),
                    "units": pa.array(units.ravel()),
                    "lift": pa.array(lift.ravel()),
                    "units_low": pa.array(np.maximum(units - margin, 0.0).ravel()),
                    "units_high": pa.array((units + margin).ravel()),
                    "model": method.take(of),
                    "model_version": pa.array([version] * n, pa.string()),
                }
            )
        )
    return pa.concat_tables(parts)


def _watched(model: Model, rows: pa.Table) -> pa.Table:
    """Return level and series with the logarithm of the mean forecast: lists of days are no columns to compare."""
    told = matrix(model.score(rows)["units"], horizon_of(model))
    return rows.select(["level"]).append_column("score", pa.array(np.log1p(told.mean(axis=1))))
