"""ARIMA, exponential smoothing and Theta, each choosing its own form: the door to ``statsforecast`` (Nixtla).

A series takes a tenth of a second to several, so they compete where series are few: the total, and levels with few members.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from shopkeeper.models.demand_methods import Matrix, Past

AUTO_ETS, AUTO_THETA, AUTO_ARIMA = "auto_ets", "auto_theta", "auto_arima"
NAMES = (AUTO_ETS, AUTO_THETA, AUTO_ARIMA)
QUICK = (AUTO_ETS, AUTO_THETA)
"""Those that a default run can wait for."""
MOST_SERIES = 3
"""Levels with more series than this are left to the other methods."""
MOST_DAYS = 400
"""They look at so many open days at most."""


def forecast(name: str, past: Past) -> Matrix:
    """Return what a method of ``NAMES`` says of the open days ahead (series x days); a week is the season.

    A series on which it fails, as one that is all zeros, gets its mean.
    """
    from statsforecast.models import AutoARIMA, AutoETS, AutoTheta

    makers: Mapping[str, Callable[..., Any]] = {AUTO_ETS: AutoETS, AUTO_THETA: AutoTheta, AUTO_ARIMA: AutoARIMA}
    steps, units = len(past.ahead), past.units[:, -MOST_DAYS:]
    found = np.repeat(units.mean(axis=1)[:, None], steps, axis=1)
    for row, series in enumerate(units):
        if steps and np.ptp(series) > 0 and len(series) >= 3 * past.week:
            told = makers[name](season_length=past.week).forecast(y=series.astype(np.float64), h=steps)["mean"]
            if np.isfinite(told).all():
                found[row] = np.maximum(told, 0.0)
    return found
