"""How long methods of demand take over thousands of series, against statsforecast's own, series by series.

Series are Poisson counts of products from 1 in 20 days to 20 a day, with a weekly pattern. Where both compute the same
(seasonal naive, moving average), the results must be equal; of Croston's family the start differs, and only time is compared.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from shopkeeper.models.demand_methods import METHODS, Past

WEEK, DAYS, AHEAD, SERIES = 6, 300, 24, 2000


def counts(n: int = SERIES, seed: int = 3) -> np.ndarray:
    """Simulate series (rows) of open days."""
    rng = np.random.default_rng(seed)
    pattern = np.tile([0.8, 0.9, 1.0, 1.1, 1.5, 0.7], -(-DAYS // WEEK))[:DAYS]
    return rng.poisson(np.geomspace(0.05, 20, n)[:, None] * pattern).astype(np.float64)


def measured(n: int = SERIES) -> Iterator[tuple[str, float, str, float, str]]:
    """Yield what was measured, our seconds, the peer, its seconds, and the target."""
    from statsforecast import models as peers

    units = counts(n)
    weekday = np.arange(DAYS + AHEAD) % WEEK
    past = Past(units, weekday[:DAYS], weekday[DAYS:])
    pairs: dict[str, Callable[[], Any]] = {
        "seasonal_naive": lambda: peers.SeasonalNaive(season_length=WEEK),
        "moving_average": lambda: peers.WindowAverage(window_size=4 * WEEK),
        "croston": peers.CrostonClassic,
        "sba": peers.CrostonSBA,
        "tsb": lambda: peers.TSB(alpha_d=0.05, alpha_p=0.1),
    }
    ours_seconds = peer_seconds = 0.0
    for name, make in pairs.items():
        make().forecast(y=units[-1], h=AHEAD)  # numba compiles on the first call
        started = time.perf_counter()
        ours = METHODS[name](past)
        ours_seconds += time.perf_counter() - started
        started = time.perf_counter()
        theirs = np.stack([make().forecast(y=series, h=AHEAD)["mean"] for series in units])
        peer_seconds += time.perf_counter() - started
        if name in {"seasonal_naive", "moving_average"}:
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    what = f"five methods of demand over {n:,} series of {DAYS} days, {AHEAD} ahead"
    yield what, ours_seconds, "statsforecast, series by series", peer_seconds, "≤ .2 ×"


if __name__ == "__main__":
    for what, seconds, peer, peer_seconds, target in measured():
        print(f"{what}: {seconds:.3f} s; {peer}: {peer_seconds:.3f} s ({target})")
