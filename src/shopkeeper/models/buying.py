"""How customers without a contract buy, stop and spend: BG/NBD and Gamma-Gamma, the mathematics only.

BG/NBD (Fader, Hardie and Lee, "Counting your customers the easy way", Marketing Science 24, 2005): while alive a customer
buys as a Poisson process of rate λ, gamma distributed over customers with shape r and rate α; after each purchase the
customer leaves for good with chance p, beta distributed with a and b. Gamma-Gamma (Fader and Hardie, "The Gamma-Gamma model
of monetary value", 2013): a customer's order values are gamma distributed with shape p and a rate that is itself gamma
distributed over customers with shape q and rate v.

A customer is told by three numbers: ``x`` repeat purchases (the first is not counted), ``t_x`` the time from the first to
the last purchase, ``age`` the time from the first purchase to the moment (T in the papers). Any unit of time does, one for all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from shopkeeper.errors import ModelError

Vector: TypeAlias = np.ndarray
LEAST_REPEATERS = 10
"""Fewer customers with a second purchase than this say nothing about how customers stop."""
PRIOR_SD = 5.0
"""A vague prior on each log-parameter, for standard errors only: they stay finite where the data say nothing."""
NEAR_POLE = 1e-6
DRAWS = 256


@dataclass(frozen=True)
class Triples:
    """The different (x, t_x, age) of many customers, each once, sorted; ``count`` customers share each.

    ``of``: for each customer handed in, which triple is theirs.
    """

    x: Vector
    t_x: Vector
    age: Vector
    count: Vector
    of: Vector

    @classmethod
    def group(cls, x: Vector, t_x: Vector, age: Vector) -> "Triples":
        """Group customers; many share their numbers, so a likelihood over triples costs a fraction."""
        x, t_x, age = (np.asarray(values, np.float64) for values in (x, t_x, age))
        if len(x) and ((x < 0).any() or (t_x < 0).any() or (t_x > age).any() or not np.isfinite(age).all()):
            raise ModelError(
                "buying histories must have 0 ≤ x and 0 ≤ t_x ≤ age; got others. Count from one first purchase."
            )
        order = np.lexsort((age, t_x, x))
        rows = np.stack((x, t_x, age))[:, order]
        starts = np.ones(len(x), bool)
        starts[1:] = (rows[:, 1:] != rows[:, :-1]).any(axis=0)
        of = np.empty(len(x), np.int64)
        of[order] = np.cumsum(starts) - 1
        first = np.flatnonzero(starts)
        return cls(*rows[:, first], count=np.diff(np.append(first, len(x))), of=of)


@dataclass(frozen=True)
class BgNbd:
    """A fitted BG/NBD: r, alpha (in the unit of time), a, b, its log-likelihood, and the covariance of the log-parameters."""

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float = float("nan")
    covariance: tuple[tuple[float, ...], ...] = ()

    @property
    def standard_errors(self) -> dict[str, float]:
        """Return the standard error of each parameter, by the delta method from the logs."""
        values = (self.r, self.alpha, self.a, self.b)
        spread = np.sqrt(np.diag(np.array(self.covariance)))
        return {
            name: float(value * sd) for name, value, sd in zip(("r", "alpha", "a", "b"), values, spread, strict=True)
        }

    def alive(self, x: Vector, t_x: Vector, age: Vector) -> Vector:
        """Return P(alive at ``age``). A customer without a repeat purchase is alive for certain: one leaves after purchases."""
        with np.errstate(over="ignore"):
            log_odds = (
                np.log(self.a)
                - np.log(self.b + np.maximum(x, 1) - 1)
                + (self.r + x) * (np.log(self.alpha + age) - np.log(self.alpha + t_x))
            )
            return np.where(x > 0, 1.0 / (1.0 + np.exp(log_odds)), 1.0)

    def none_within(self, x: Vector, t_x: Vector, age: Vector, time: float) -> Vector:
        """Return P(no purchase in the ``time`` after ``age``): gone already, or alive and silent."""
        silent = np.exp((self.r + x) * (np.log(self.alpha + age) - np.log(self.alpha + age + time)))
        return 1.0 - self.alive(x, t_x, age) * (1.0 - silent)

    def median_wait(self, x: Vector, age: Vector) -> Vector:
        """Return the time within which the next purchase comes with chance one half, if the customer is alive."""
        with np.errstate(over="ignore"):
            return (self.alpha + age) * np.expm1(np.log(2.0) / (self.r + x))

    def expected_if_alive(self, x: Vector, age: Vector, time: Vector | float) -> Vector:
        """Return the expected purchases in the ``time`` after ``age`` of customers alive at ``age``.

        Equation 10 of the paper without its last factor. Euler's transformation takes the growing powers out of the
        hypergeometric function, so that 1,000 purchases are as stable as one.
        """
        from scipy.special import hyp2f1

        a = self.a if abs(self.a - 1.0) > NEAR_POLE else 1.0 + NEAR_POLE
        c = a + self.b + x - 1.0
        c = np.where(np.abs(c - np.round(c)) < NEAR_POLE, np.where(c < NEAR_POLE, c + 2 * NEAR_POLE, c), c)
        end = self.alpha + age + time
        z, rest = time / end, (self.alpha + age) / end
        return np.maximum(c / (a - 1.0) * (1.0 - rest ** (a - 1.0) * hyp2f1(c - self.r - x, a - 1.0, c, z)), 0.0)

    def expected(self, x: Vector, t_x: Vector, age: Vector, time: Vector | float) -> Vector:
        """Return the expected purchases in the ``time`` after ``age`` (equation 10)."""
        return self.alive(x, t_x, age) * self.expected_if_alive(x, age, time)

    def expected_from_start(self, time: Vector) -> Vector:
        """Return the expected repeat purchases of a random customer in the ``time`` after the first purchase (equation 9)."""
        none = np.zeros(np.shape(time))
        return self.expected_if_alive(none, none, time)


def fit_bgnbd(triples: Triples) -> BgNbd:
    """Fit a BG/NBD by maximum likelihood: L-BFGS on log-parameters with the analytic gradient.

    Raises ModelError if fewer than ten customers bought again: then nothing tells how customers stop.
    """
    repeaters = int(triples.count[triples.x > 0].sum())
    if repeaters < LEAST_REPEATERS:
        raise ModelError(
            f"customers with a second order day must be {LEAST_REPEATERS} or more for BG/NBD; got {repeaters}. "
            f"Wait for more orders."
        )
    scale = float(np.average(triples.age, weights=triples.count))
    scaled = Triples(triples.x, triples.t_x / scale, triples.age / scale, triples.count, triples.of)
    bounds = [(-10.0, 10.0), (-14.0, 14.0), (-10.0, 10.0), (-10.0, 10.0)]
    logs, covariance, value = _maximise(lambda at: bgnbd_log_likelihood(at, scaled), np.zeros(4), bounds)
    r, alpha, a, b = np.exp(logs)
    # Time was divided by ``scale``: each repeat purchase's density carries a factor of 1 / scale.
    value -= float((triples.x * triples.count).sum()) * np.log(scale)
    return BgNbd(float(r), float(alpha * scale), float(a), float(b), value, covariance)


def bgnbd_log_likelihood(logs: Vector, triples: Triples) -> tuple[float, Vector]:
    """Return the log-likelihood (equation 6 of the paper, in logs) and its gradient by the log-parameters (r, α, a, b)."""
    from scipy.special import digamma, gammaln

    r, alpha, a, b = np.exp(logs)
    x, t_x, age, count = triples.x, triples.t_x, triples.age, triples.count
    again = x > 0
    by_x, back = np.unique(x, return_inverse=True)
    log_end, log_last = np.log(alpha + age), np.log(alpha + t_x)
    log_alive = -(r + x) * log_end
    log_gone = np.where(again, np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * log_last, -np.inf)
    both = np.logaddexp(log_alive, log_gone)
    gone = np.exp(log_gone - both)
    of_x = gammaln(r + by_x) - gammaln(r) + gammaln(a + b) - gammaln(a + b + by_x) + gammaln(b + by_x) - gammaln(b)
    value = float((count * (of_x[back] + r * np.log(alpha) + both)).sum())
    sum_ab = digamma(a + b) - digamma(a + b + by_x)
    by_r = (digamma(r + by_x) - digamma(r))[back] + np.log(alpha) - (1 - gone) * log_end - gone * log_last
    by_alpha = r / alpha - (r + x) * ((1 - gone) / (alpha + age) + gone / (alpha + t_x))
    by_a = sum_ab[back] + gone / a
    by_b = (sum_ab + digamma(b + by_x) - digamma(b))[back] - gone / (b + np.maximum(x, 1) - 1)
    slopes = np.array([float((count * slope).sum()) for slope in (by_r, by_alpha, by_a, by_b)])
    return value, slopes * np.exp(logs)


@dataclass(frozen=True)
class GammaGamma:
    """A fitted Gamma-Gamma: p, q, v (in money), its log-likelihood, and the covariance of the log-parameters."""

    p: float
    q: float
    v: float
    log_likelihood: float = float("nan")
    covariance: tuple[tuple[float, ...], ...] = ()

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
    if len(n) < LEAST_REPEATERS or (n < 1).any() or (mean <= 0).any():
        raise ModelError(
            f"customers with a positive order value must be {LEAST_REPEATERS} or more for Gamma-Gamma; got "
            f"{int((mean > 0).sum())}. Wait for more orders."
        )
    order = np.lexsort((mean, n))
    n, mean = n[order], mean[order]
    scale = float(mean.mean())
    bounds = [(-7.0, 10.0), (float(np.log(1.05)), 10.0), (-14.0, 14.0)]
    logs, covariance, value = _maximise(
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


def _maximise(
    of: Callable[[Vector], tuple[float, Vector]], start: Vector, bounds: list[tuple[float, float]]
) -> tuple[Vector, tuple[tuple[float, ...], ...], float]:
    """Return where a log-likelihood is largest, the covariance there, and its value."""
    from scipy.optimize import minimize

    first, _ = of(start)
    size = max(abs(first), 1.0)

    def loss(at: Vector) -> tuple[float, Vector]:
        value, slope = of(at)
        return -value / size, -slope / size

    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 500}
    )
    if not np.isfinite(found.fun):
        raise ModelError(f"a likelihood must have a finite maximum; got {found.fun}. Look for values out of all measure.")
    at, step = found.x, 1e-4
    curve = np.empty((len(at), len(at)))
    for i in range(len(at)):
        move = np.zeros(len(at))
        move[i] = step
        curve[i] = (of(at - move)[1] - of(at + move)[1]) / (2 * step)
    curve = (curve + curve.T) / 2 + np.eye(len(at)) / PRIOR_SD**2
    values, vectors = np.linalg.eigh(curve)
    spread = (vectors / np.maximum(values, 1.0 / PRIOR_SD**2)) @ vectors.T
    return at, tuple(tuple(float(cell) for cell in row) for row in spread), float(of(at)[0])


# ------------------------------------------------------------------ intervals


def future_range(
    buying: BgNbd,
    spending: GammaGamma,
    history: tuple[Vector, Vector, Vector],
    time: float,
    *,
    coverage: float,
    seed: int,
) -> tuple[Vector, Vector]:
    """Return the range that holds a customer's future spending with chance ``coverage``, per unit of ``v + n × mean``.

    ``history``: x, t_x, age of customers; their number of observed values is x + 1. Future spending is a sum of n order
    values: n is drawn from its exact law, min(a negative binomial, a beta-geometric) for those alive; the sum given n is
    gamma over gamma, drawn by Wilson and Hilferty's cube (1931). Because a customer's own mean only scales the sum, the
    range for equal histories is computed once. The same 256 even points (Roberts' sequence, 2018) serve all customers, so
    a customer's range never depends on who else is scored. Where spending nothing has a chance of (1 − coverage) / 2 or
    more, the low end is 0 and the high end has all of ``coverage`` below it; else both tails are equal.
    """
    from scipy.special import ndtri

    x, t_x, age = history
    points = _even_points(DRAWS, 3, seed)
    late = np.sort(points[:, 0])
    z = ndtri(points[np.argsort(points[:, 0], kind="stable"), 1:])
    low, high = np.zeros(len(x)), np.zeros(len(x))
    tail = (1.0 - coverage) / 2.0
    for start in range(0, len(x), 8192):
        part = slice(start, start + 8192)
        n = _future_counts(buying, (x[part], t_x[part], age[part]), time, late)
        value = _cube(spending.p * n, z[:, 0])
        value /= np.maximum(_cube((spending.p * (x[part] + 1.0) + spending.q)[:, None], z[:, 1]), 1e-9)
        value[n == 0] = 0.0
        value.sort(axis=1)
        is_idle = (n == 0).mean(axis=1) >= tail
        low[part] = np.where(is_idle, 0.0, value[:, int(tail * DRAWS)])
        top = np.where(is_idle, coverage, 1.0 - tail)
        at = np.minimum(np.ceil(top * DRAWS).astype(np.int64), DRAWS) - 1
        high[part] = value[np.arange(len(value)), at]
    return low, high


def _cube(shape: Vector, z: Vector) -> Vector:
    """Return gamma variates of a shape (0 gives 0) from standard normal ones, by Wilson and Hilferty's approximation."""
    safe = np.maximum(shape, 1e-9)
    root = np.maximum(1.0 - 1.0 / (9.0 * safe) + z / (3.0 * np.sqrt(safe)), 0.0)
    return safe * root * root * root


def _even_points(count: int, dimensions: int, seed: int) -> Vector:
    """Return points spread evenly in the unit cube: Roberts' additive recurrence, shifted by the seed."""
    golden = 2.0
    for _ in range(64):
        golden = (1.0 + golden) ** (1.0 / (dimensions + 1))
    steps = golden ** -np.arange(1, dimensions + 1)
    shift = np.random.default_rng(seed).random(dimensions)
    return (shift + np.arange(1, count + 1)[:, None] * steps) % 1.0 * (1 - 2e-9) + 1e-9


def _future_counts(buying: BgNbd, history: tuple[Vector, Vector, Vector], time: float, late: Vector) -> Vector:
    """Return for each customer how many purchases each point means: the number of k with P(n ≥ k) above the point."""
    from scipy.special import betainc

    x, t_x, age = history
    counts = np.zeros((len(x), len(late)))
    shape = buying.r + x
    log_wait = np.log(buying.alpha + age) - np.log(buying.alpha + age + time)
    chance = -np.expm1(log_wait)
    log_first = shape * log_wait
    weight, stays = buying.alive(x, t_x, age), np.ones(len(x))
    # Far out the chance of no purchase underflows; there the tail comes from the incomplete beta function.
    is_far = log_first < -600.0
    mass = np.exp(log_first)
    above = -np.expm1(log_first)
    rows = np.arange(len(x))
    k = 1
    while len(rows):
        reach = (weight * stays * above)[rows]
        counts[rows] += late[None, :] < reach[:, None]
        rows = rows[reach > late[0]]
        stays[rows] *= (buying.b + x[rows] + k - 1) / (buying.a + buying.b + x[rows] + k - 1)
        near = rows[~is_far[rows]]
        mass[near] *= (shape[near] + k - 1) / k * chance[near]
        above[near] = np.maximum(above[near] - mass[near], 0.0)
        far = rows[is_far[rows]]
        above[far] = betainc(k + 1.0, shape[far], chance[far])
        k += 1
    return counts
