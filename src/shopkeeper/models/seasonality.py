"""The rhythm of a series, found by its autocorrelation and by Fourier analysis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
MOST_LAG = 45
NORMAL = 1.959963984540054
LONGEST_SHARE = 3
LEAST = 20


@dataclass(frozen=True)
class Rhythm:
    """What repeats in a series of days.

    ``lags`` and ``correlation`` with the ``bound`` that 95 % of a series without rhythm stay within; ``periods`` in days and
    ``power``, each period's share of all variation; ``period``: the strongest one, and ``chance`` of a peak so high in pure
    noise (Fisher's g, 1929).
    """

    lags: NDArray[np.int64]
    correlation: Numbers
    bound: float
    periods: Numbers
    power: Numbers
    period: float
    chance: float


def rhythm_of(units: Numbers, week: int) -> Rhythm | None:
    """Return the rhythm of a series of open days, ``week`` of which make a week; None where it is too short or flat.

    What moves slowly is taken out first: a mean over four weeks, centred, of the logarithm.
    """
    known = np.log1p(units)
    window = min(4 * week + 1, len(known) // 2 * 2 - 1)
    if len(known) < LEAST or window < 3 or np.ptp(known) == 0:
        return None
    counts = np.convolve(np.ones_like(known), np.ones(window), "same")
    left = known - np.convolve(known, np.ones(window), "same") / counts
    left -= left.mean()
    n = len(left)
    lags = np.arange(1, min(MOST_LAG, n // LONGEST_SHARE) + 1)
    variance = float((left**2).sum())
    if variance <= 0:
        return None
    correlation = np.array([(left[lag:] * left[:-lag]).sum() / variance for lag in lags.tolist()])
    power = np.abs(np.fft.rfft(left)[1 : (n + 1) // 2]) ** 2
    share = power / power.sum()
    periods = n / np.arange(1, len(power) + 1)
    best = int(np.argmax(share))
    return Rhythm(
        lags,
        correlation,
        NORMAL / np.sqrt(n),
        periods,
        share,
        float(periods[best]),
        _fisher(float(share[best]), len(share)),
    )


def _fisher(g: float, n: int) -> float:
    """Return the chance that the highest of ``n`` ordinates of noise has the share ``g`` or more.

    The first term of Fisher's alternating sum, n (1 - g)^(n - 1): an upper bound, and near exact where it is small.
    """
    return float(min(n * (1 - g) ** (n - 1), 1.0))
