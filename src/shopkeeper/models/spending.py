"""How much orders are worth, and what a customer may still spend: Gamma-Gamma, and ranges of future spending."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.models.buying import BgNbd, Vector, future_counts, maximise

LEAST_CUSTOMERS = 10
"""Order values of fewer customers than this say nothing about how customers differ."""
DRAWS = 512
BLOCK = 1024


@dataclass(frozen=True)
class GammaGamma:
    """A fitted Gamma-Gamma: p, q, v (in money), its log-likelihood, and the covariance of the log-parameters."""

    p: float
    q: float
    v: float
    log_likelihood: float = float("nan")
    covariance: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def from_state(cls, told: Mapping[str, Any]) -> "GammaGamma":
        """Return what ``dataclasses.asdict`` and JSON have made into a mapping."""
        return cls(**{**told, "covariance": tuple(tuple(row) for row in told["covariance"])})

    def expected(self, n: Vector, mean: Vector) -> Vector:
        """Return the expected value of a customer's orders, given ``n`` observed ones of that mean.

        A weighted average of the customer's mean and the population's: the fewer orders, the nearer to the population.
        """
        return self.p * (self.v + n * mean) / (self.p * n + self.q - 1.0)


def fit_gamma_gamma(n: Vector, mean: Vector) -> GammaGamma:
    """Fit a Gamma-Gamma by maximum likelihood on customers with ``n`` ≥ 1 observed values of a positive mean.

    ``q`` is kept at 1.05 or more, so that the population's mean exists. Raises ModelError for fewer than ten customers.
    """
    n, mean = np.asarray(n, np.float64), np.asarray(mean, np.float64)
    if len(n) < LEAST_CUSTOMERS or (n < 1).any() or (mean <= 0).any():
        raise ModelError(
            f"customers with a positive order value must be {LEAST_CUSTOMERS} or more for Gamma-Gamma; got "
            f"{int((mean > 0).sum())}. Wait for more orders."
        )
    order = np.lexsort((mean, n))
    n, mean = n[order], mean[order]
    scale = float(mean.mean())
    bounds = [(-7.0, 10.0), (float(np.log(1.05)), 10.0), (-14.0, 14.0)]
    logs, covariance, value = maximise(
        lambda at: gamma_gamma_log_likelihood(at, n, mean / scale), np.array([0.5, 1.0, 1.0]), bounds
    )
    p, q, v = np.exp(logs)
    return GammaGamma(float(p), float(q), float(v * scale), value - len(n) * float(np.log(scale)), covariance)


def gamma_gamma_log_likelihood(logs: Vector, n: Vector, mean: Vector) -> tuple[float, Vector]:
    """Return the log-likelihood (equation 1a of the note) and its gradient by the log-parameters (p, q, v)."""
    from scipy.special import digamma, gammaln

    p, q, v = np.exp(logs)
    by_n, back = np.unique(n, return_inverse=True)
    total = n * mean
    log_rest = np.log(v + total)
    of_n = gammaln(p * by_n + q) - gammaln(p * by_n) - gammaln(q) + p * by_n * np.log(by_n)
    value = of_n[back] + q * np.log(v) + (p * n - 1) * np.log(mean) - (p * n + q) * log_rest
    psi = digamma(p * by_n + q)
    slope_p = by_n * (psi - digamma(p * by_n) + np.log(by_n))
    by_p = slope_p[back] + n * (np.log(mean) - log_rest)
    by_q = (psi - digamma(q))[back] + np.log(v) - log_rest
    by_v = q / v - (p * n + q) / (v + total)
    return float(value.sum()), np.array([float(slope.sum()) for slope in (by_p, by_q, by_v)]) * np.exp(logs)


def future_range(
    buying: BgNbd,
    spending: GammaGamma,
    history: tuple[Vector, Vector, Vector],
    time: float,
    *,
    coverage: float,
    seed: int,
) -> tuple[Vector, Vector]:
    """Return the range that holds a customer's future spending with chance ``coverage``, per unit of ``v + n * mean``.

    ``history``: x, t_x, age of customers; their number of observed values is x + 1. Future spending is a sum of n order
    values: n is drawn from its exact law, min(a negative binomial, a beta-geometric) for those alive; the sum given n is
    gamma over gamma, drawn by Wilson and Hilferty's cube (1931). Because a customer's own mean only scales the sum, the
    range for equal histories is computed once. The same 512 even points (Roberts' sequence, 2018) serve all customers, so
    a customer's range never depends on who else is scored. Where spending nothing has a chance of (1 - coverage) / 2 or
    more, the low end is 0 and the high end has all of ``coverage`` below it; else both tails are equal.
    """
    from scipy.special import ndtri

    x, t_x, age = history
    points = _even_points(DRAWS, 3, seed)
    points = points[np.argsort(points[:, 0], kind="stable")]
    z = ndtri(points[:, 1:]).astype(np.float32)
    low, high = np.zeros(len(x)), np.zeros(len(x))
    tail = (1.0 - coverage) / 2.0
    at_low = int(tail * DRAWS)
    at_high, at_idle = (min(int(np.ceil(share * DRAWS)), DRAWS) - 1 for share in (1.0 - tail, coverage))
    # Who buys nothing with chance ``coverage`` has a range from 0 to 0.
    buys = np.flatnonzero(buying.none_within(x, t_x, age, time) < coverage)
    for start in range(0, len(buys), BLOCK):
        part = buys[start : start + BLOCK]
        n = future_counts(buying, (x[part], t_x[part], age[part]), time, points[:, 0])
        is_idle = (n == 0).mean(axis=1) >= tail
        value = _cube(np.float32(spending.p) * n, z[:, 0])
        shape = (spending.p * (x[part] + 1.0) + spending.q).astype(np.float32)
        value /= np.maximum(_cube(shape[:, None], z[:, 1]), np.float32(1e-9))
        value[n == 0] = 0.0
        value.partition((at_low, at_idle, at_high), axis=1)
        low[part] = np.where(is_idle, 0.0, value[:, at_low])
        high[part] = np.where(is_idle, value[:, at_idle], value[:, at_high])
    return low, high


def _cube(shape: NDArray[np.float32], z: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return gamma variates of a shape (near 0 for 0) from standard normal ones, by Wilson and Hilferty's approximation."""
    safe = np.maximum(shape, np.float32(1e-9))
    root = z / (3 * np.sqrt(safe))
    root += 1
    root -= 1 / (9 * safe)
    np.maximum(root, 0, out=root)
    cube: NDArray[np.float32] = safe * root * root * root
    return cube


def _even_points(count: int, dimensions: int, seed: int) -> Vector:
    """Return points spread evenly in the unit cube: Roberts' additive recurrence, shifted by the seed."""
    golden = 2.0
    for _ in range(64):
        golden = (1.0 + golden) ** (1.0 / (dimensions + 1))
    steps = golden ** -np.arange(1, dimensions + 1)
    shift = np.random.default_rng(seed).random(dimensions)
    return (shift + np.arange(1, count + 1)[:, None] * steps) % 1.0 * (1 - 2e-9) + 1e-9
