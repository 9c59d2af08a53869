"""One boosted model for many series: the door to ``mlforecast`` (Nixtla), LightGBM underneath.

Each series is learnt as a ratio to its own smoothed level, so that small and large series teach one another and a growing shop
is not above all that the trees have seen. Features: lags and rolling means of that ratio, weekday, days to the next public
holiday, price against its usual one, and the level itself. Ahead, level and price stay what they were last.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.models.boosted_trees import packed, unpacked
from shopkeeper.models.demand_methods import Matrix, Past

if TYPE_CHECKING:
    import lightgbm
    import pandas as pd

ALPHA = 0.1
MOST_SERIES = 200
"""So many series teach the trees, those that sell most days first; all may be forecast."""
TREES: Mapping[str, Any] = {
    "n_estimators": 80,
    "learning_rate": 0.06,
    "num_leaves": 15,
    "min_child_samples": 40,
    "reg_lambda": 5.0,
    "subsample": 0.7,
    "subsample_freq": 1,
    "colsample_bytree": 0.8,
}
EXOGENOUS = ("weekday", "days_to_holiday", "price", "log_level")
TAIL_WEEKS = 6
MOST_DAYS = 300
"""So many of the last open days teach the trees."""
LAGS = 3
LEAST_DAYS = 40
LOWEST, HIGHEST = 0.0, 20.0


def fit_trees(past: Past, price: Matrix, days_to_holiday: Matrix, seed: int) -> NDArray[np.uint8]:
    """Return trees fitted on the past of many series, as bytes. ``price`` and ``days_to_holiday``: one row per series.

    The order of the series counts: sort them first. Wants ``LEAST_DAYS`` open days.
    """
    import lightgbm

    sells = (past.units > 0).mean(axis=1)
    chosen = np.sort(np.argsort(-sells, kind="stable")[:MOST_SERIES])
    units = past.units[chosen]
    ratio, level = _ratios(units)
    days = slice(-MOST_DAYS, None)
    learner = lightgbm.LGBMRegressor(
        **TREES, random_state=seed, n_jobs=1, deterministic=True, force_row_wise=True, verbose=-1
    )
    forecaster = _forecaster(learner, past.week)
    rows = _rows(
        ratio[:, days], past.weekday[days], days_to_holiday[chosen][:, days], price[chosen][:, days], level[:, days], 0
    )
    forecaster.fit(rows, static_features=[], validate_data=False)
    return packed(forecaster.models_["trees"].booster_)


def forecast_trees(
    trees: NDArray[np.uint8], past: Past, price: Matrix, days_to_holiday: Matrix, holiday_ahead: Matrix
) -> Matrix:
    """Return what the trees say of the open days ahead (series x days), each day fed with those before it."""
    n, days = past.units.shape
    if not n or not len(past.ahead):
        return np.zeros((n, len(past.ahead)))
    ratio, level = _ratios(past.units)
    tail = slice(-TAIL_WEEKS * past.week, None)
    start = days - ratio[:, tail].shape[1]
    forecaster = _forecaster(None, past.week)
    rows = _rows(ratio[:, tail], past.weekday[tail], days_to_holiday[:, tail], price[:, tail], level[:, tail], start)
    forecaster.preprocess(rows, static_features=[], dropna=False, validate_data=False)
    names = len(EXOGENOUS) + LAGS + 2
    forecaster.models_ = {"trees": _Learnt(unpacked(trees, names))}
    steps = len(past.ahead)
    last = _last_level(past.units)
    ahead = _rows(
        np.zeros((n, steps)),
        past.ahead,
        holiday_ahead,
        np.repeat(price[:, -1:], steps, axis=1),
        np.repeat(last[:, None], steps, axis=1),
        days,
    ).drop(columns="y")
    told = forecaster.predict(steps, X_df=ahead)["trees"].to_numpy().reshape(n, steps)
    return np.asarray(np.clip(told, LOWEST, HIGHEST) * last[:, None], np.float64)


class _Learnt:
    """Trees as ``mlforecast`` asks them: few rows at a time, for which starting threads takes longer than the answer."""

    def __init__(self, trees: "lightgbm.Booster") -> None:
        self.trees = trees

    def predict(self, rows: "pd.DataFrame") -> NDArray[np.float64]:
        """Return what the trees say of rows."""
        return np.asarray(self.trees.predict(rows.to_numpy(np.float64), num_threads=1), np.float64)


def _forecaster(learner: Any, week: int) -> Any:
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import RollingMean

    return MLForecast(
        models={"trees": learner},
        freq=1,
        lags=[1, week, 2 * week],
        lag_transforms={1: [RollingMean(window_size=week), RollingMean(window_size=4 * week)]},
        num_threads=1,
    )


def _rows(
    ratio: Matrix, weekday: NDArray[np.int64], days_to_holiday: Matrix, price: Matrix, level: Matrix, start: int
) -> "pd.DataFrame":
    import pandas as pd

    n, days = ratio.shape
    return pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(n), days),
            "ds": np.tile(np.arange(start, start + days), n),
            "y": ratio.ravel(),
            "weekday": np.tile(weekday.astype(np.float64), n),
            "days_to_holiday": days_to_holiday.ravel(),
            "price": price.ravel(),
            "log_level": np.log1p(level).ravel(),
        }
    )


def _levels(units: Matrix) -> Matrix:
    """Return the smoothed level before each day, and after the last (series x days + 1)."""
    found = np.empty((units.shape[0], units.shape[1] + 1))
    level = units[:, :14].mean(axis=1)
    for day in range(units.shape[1]):
        found[:, day] = level
        level = level + ALPHA * (units[:, day] - level)
    found[:, -1] = level
    return found


def _last_level(units: Matrix) -> Matrix:
    return np.maximum(_levels(units)[:, -1], 1e-3)


def _ratios(units: Matrix) -> tuple[Matrix, Matrix]:
    """Return each day's units against the level before it, and that level."""
    level = np.maximum(_levels(units)[:, :-1], 1e-3)
    return np.clip(units / level, LOWEST, HIGHEST), level
