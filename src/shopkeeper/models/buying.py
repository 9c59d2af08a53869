"""How customers without a contract buy, stop and spend: BG/NBD and Gamma-Gamma, the mathematics only.

BG/NBD (Fader, Hardie and Lee, "Counting your customers the easy way", Marketing Science 24, 2005): while alive a customer
buys as a Poisson process of rate lambda, gamma distributed over customers with shape r and rate alpha; after each purchase the
customer leaves for good with chance p, beta distributed with a and b. Gamma-Gamma (Fader and Hardie, "The Gamma-Gamma model
of monetary value", 2013): a customer's order values are gamma distributed with shape p and a rate that is itself gamma
distributed over customers with shape q and rate v.

In BG/NBD nobody leaves after the first purchase, so whoever bought once is alive for certain. The modified BG/NBD (Batislam,
Denizel and Filiztekin, "Empirical validation and comparison of models for customer base analysis", International Journal of
Research in Marketing 24, 2007) lets the first purchase be the last like any other: ``leaves_at_once`` throughout.

A customer is told by three numbers: ``x`` repeat purchases (the first is not counted), ``t_x`` the time from the first to
the last purchase, ``age`` the time from the first purchase to the moment (T in the papers). Any unit of time does, one for all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError

Vector: TypeAlias = NDArray[np.float64]
LEAST_REPEATERS = 10
"""Fewer customers with a second purchase than this say nothing about how customers stop."""
PRIOR_SD = 5.0
"""A vague prior on each log-parameter, for standard errors only: they stay finite where the data say nothing."""
NEAR_POLE = 1e-6
TINY = 1e-12
NEWTON_STEPS, FLAT, ENOUGH = 50, 1e-9, 1e-12


@dataclass(frozen=True)
class Triples:
    """The different (x, t_x, age) of many customers, each once, sorted; ``count`` customers share each.

    ``of``: for each customer handed in, which triple is theirs.
    """

    x: Vector
    t_x: Vector
    age: Vector
    count: Vector
    of: NDArray[np.int64]

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
        return cls(
            x[order][first],
            t_x[order][first],
            age[order][first],
            np.diff(np.append(first, len(x))).astype(np.float64),
            of,
        )


@dataclass(frozen=True)
class BgNbd:
    """A fitted BG/NBD: r, alpha (in the unit of time), a, b, its log-likelihood, and the covariance of the log-parameters.

    ``leaves_at_once``: the modified one, in which customers may leave right after the first purchase.
    """

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float = float("nan")
    covariance: tuple[tuple[float, ...], ...] = ()
    leaves_at_once: bool = False

    @classmethod
    def from_state(cls, told: Mapping[str, Any]) -> "BgNbd":
        """Return what ``dataclasses.asdict`` and JSON have made into a mapping."""
        return cls(**{**told, "covariance": tuple(tuple(row) for row in told["covariance"])})

    @property
    def standard_errors(self) -> dict[str, float]:
        """Return the standard error of each parameter, by the delta method from the logs."""
        values = (self.r, self.alpha, self.a, self.b)
        spread = np.sqrt(np.diag(np.array(self.covariance)))
        return {
            name: float(value * sd) for name, value, sd in zip(("r", "alpha", "a", "b"), values, spread, strict=True)
        }

    @property
    def _first(self) -> int:
        """How many chances to leave the first purchase gives."""
        return int(self.leaves_at_once)

    def stays(self, x: Vector, k: int) -> Vector:
        """Return the chance to stay after the k-th future purchase of somebody who stayed after the one before it."""
        passed = self.b + self._first + x + k - 1
        return passed / (self.a + passed)

    def alive(self, x: Vector, t_x: Vector, age: Vector) -> Vector:
        """Return P(alive at ``age``): 1 for those who never had a chance to leave."""
        passed = x + self._first
        with np.errstate(over="ignore"):
            log_odds = (
                np.log(self.a)
                - np.log(self.b + np.maximum(passed, 1) - 1)
                + (self.r + x) * (np.log(self.alpha + age) - np.log(self.alpha + t_x))
            )
            alive: Vector = np.where(passed > 0, 1.0 / (1.0 + np.exp(log_odds)), 1.0)
        return alive

    def none_within(self, x: Vector, t_x: Vector, age: Vector, time: float) -> Vector:
        """Return P(no purchase in the ``time`` after ``age``): gone already, or alive and silent."""
        silent: Vector = np.exp((self.r + x) * (np.log(self.alpha + age) - np.log(self.alpha + age + time)))
        return 1.0 - self.alive(x, t_x, age) * (1.0 - silent)

    def expected_if_alive(self, x: Vector, age: Vector, time: Vector | float) -> Vector:
        """Return the expected purchases in the ``time`` after ``age`` of customers alive at ``age``.

        Equation 10 of the paper without its last factor. Euler's transformation takes the growing powers out of the
        hypergeometric function, so that 1,000 purchases are as stable as one.
        """
        from scipy.special import hyp2f1

        a = self.a if abs(self.a - 1.0) > NEAR_POLE else 1.0 + NEAR_POLE
        c = a + self.b + self._first + x - 1.0
        c = np.where(np.abs(c - np.round(c)) < NEAR_POLE, np.where(c < NEAR_POLE, c + 2 * NEAR_POLE, c), c)
        end = self.alpha + age + time
        z, rest = time / end, (self.alpha + age) / end
        with np.errstate(invalid="ignore", over="ignore"):
            found: Vector = c / (a - 1.0) * (1.0 - rest ** (a - 1.0) * hyp2f1(c - self.r - x, a - 1.0, c, z))
        # Purchases are at least P(one or more) and at most what somebody who never leaves would make; where rounding has
        # broken that (a in the hundreds), the sum of P(k or more) is taken as it stands.
        chance, shape = np.broadcast_to(z, found.shape), np.broadcast_to(self.r + x, found.shape)
        least = -np.expm1(shape * np.log1p(-chance))
        most = shape * chance / (1.0 - chance)
        is_broken = ~((found >= least * (1 - NEAR_POLE)) & (found <= most * (1 + NEAR_POLE)))
        if is_broken.any():
            found[is_broken] = self._sum_of_tails(
                shape[is_broken], chance[is_broken], np.broadcast_to(x, found.shape)[is_broken]
            )
        return found

    def _sum_of_tails(self, shape: Vector, chance: Vector, x: Vector) -> Vector:
        """Return the sum over k of P(k or more purchases), until a term is below 1e-12."""
        from scipy.special import betainc

        total, stays, k = np.zeros(len(x)), np.ones(len(x)), 1
        while True:
            term = stays * betainc(float(k), shape, chance)
            total += term
            if (term < TINY).all():
                return total
            stays *= self.stays(x, k)
            k += 1

    def expected(self, x: Vector, t_x: Vector, age: Vector, time: Vector | float) -> Vector:
        """Return the expected purchases in the ``time`` after ``age`` (equation 10)."""
        return self.alive(x, t_x, age) * self.expected_if_alive(x, age, time)

    def expected_from_start(self, time: Vector) -> Vector:
        """Return the expected repeat purchases of a random customer in the ``time`` after the first purchase (equation 9)."""
        none = np.zeros(np.shape(time))
        return self.expected(none, none, none, time)


def fit_bgnbd(triples: Triples, *, leaves_at_once: bool = False) -> BgNbd:
    """Fit a BG/NBD by maximum likelihood: BFGS on log-parameters with the analytic gradient.

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
    bounds = [(-10.0, 10.0), (-14.0, 14.0), (-10.0, 7.0), (-10.0, 7.0)]
    logs, covariance, value = maximise(
        lambda at: bgnbd_log_likelihood(at, scaled, leaves_at_once=leaves_at_once), np.zeros(4), bounds
    )
    r, alpha, a, b = np.exp(logs)
    # Time was divided by ``scale``: each repeat purchase's density carries a factor of 1 / scale.
    value -= float((triples.x * triples.count).sum() * np.log(scale))
    return BgNbd(float(r), float(alpha * scale), float(a), float(b), value, covariance, leaves_at_once)


def bgnbd_log_likelihood(logs: Vector, triples: Triples, *, leaves_at_once: bool = False) -> tuple[float, Vector]:
    """Return the log-likelihood (equation 6 of the paper, in logs) and its gradient by the log-parameters (r, alpha, a, b)."""
    from scipy.special import digamma, gammaln

    r, alpha, a, b = np.exp(logs)
    x, t_x, age, count = triples.x, triples.t_x, triples.age, triples.count
    # ``passed``: chances to leave that a customer had, one of which, the last, may have been taken.
    passed = x + int(leaves_at_once)
    by_x, back = np.unique(x, return_inverse=True)
    by_passed = by_x + int(leaves_at_once)
    last = b + np.maximum(passed, 1) - 1
    log_end, log_last = np.log(alpha + age), np.log(alpha + t_x)
    log_alive = -(r + x) * log_end
    log_gone = np.where(passed > 0, np.log(a) - np.log(last) - (r + x) * log_last, -np.inf)
    both = np.logaddexp(log_alive, log_gone)
    gone = np.exp(log_gone - both)
    of_x = gammaln(r + by_x) - gammaln(r)
    of_x += gammaln(a + b) - gammaln(a + b + by_passed) + gammaln(b + by_passed) - gammaln(b)
    value = float((count * (of_x[back] + r * np.log(alpha) + both)).sum())
    sum_ab = digamma(a + b) - digamma(a + b + by_passed)
    by_r = (digamma(r + by_x) - digamma(r))[back] + np.log(alpha) - (1 - gone) * log_end - gone * log_last
    by_alpha = r / alpha - (r + x) * ((1 - gone) / (alpha + age) + gone / (alpha + t_x))
    by_a = sum_ab[back] + gone / a
    by_b = (sum_ab + digamma(b + by_passed) - digamma(b))[back] - gone / last
    slopes = np.array([float((count * slope).sum()) for slope in (by_r, by_alpha, by_a, by_b)])
    return value, slopes * np.exp(logs)


def future_counts(
    buying: BgNbd, history: tuple[Vector, Vector, Vector], time: float, late: Vector
) -> NDArray[np.float32]:
    """Return for each customer how many purchases each point means: the number of k with P(n ≥ k) above it; points ascend."""
    from scipy.special import betainc

    x, t_x, age = history
    counts = np.zeros((len(x), len(late)), np.float32)
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
        stays[rows] *= buying.stays(x[rows], k)
        near = rows[~is_far[rows]]
        mass[near] *= (shape[near] + k - 1) / k * chance[near]
        above[near] = np.maximum(above[near] - mass[near], 0.0)
        far = rows[is_far[rows]]
        above[far] = betainc(k + 1.0, shape[far], chance[far])
        k += 1
    return counts


def maximise(
    of: Callable[[Vector], tuple[float, Vector]], start: Vector, bounds: list[tuple[float, float]]
) -> tuple[Vector, tuple[tuple[float, ...], ...], float]:
    """Return where a log-likelihood is largest, the covariance there, and its value."""
    from scipy.optimize import minimize

    first, _ = of(start)
    size = max(abs(first), 1.0)
    low, high = np.array(bounds).T

    def loss(at: Vector) -> tuple[float, Vector]:
        beyond = at - np.clip(at, low, high)
        value, slope = of(np.clip(at, low - 1.0, high + 1.0))
        return -value / size + float(beyond @ beyond), -slope / size + 2.0 * beyond

    # BFGS instead of L-BFGS-B, whose LAPACK calls wake all threads for matrices of four rows.
    found = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 500})
    if not np.isfinite(found.fun):
        raise ModelError(
            f"a likelihood must have a finite maximum; got {found.fun}. Look for values out of all measure."
        )
    at, value = np.clip(found.x, low, high), of(np.clip(found.x, low, high))[0]
    # Newton's steps to the end, for ridges on which BFGS stands still.
    for _ in range(NEWTON_STEPS):
        values, vectors = np.linalg.eigh(_curvature(of, at))
        step = vectors @ ((vectors.T @ of(at)[1]) / np.maximum(np.abs(values), FLAT * size))
        reached = np.clip(at + np.clip(step, -2.0, 2.0), low, high)
        better = of(reached)[0]
        if better - value <= ENOUGH * size:
            break
        at, value = reached, better
    curve = _curvature(of, at) + np.eye(len(at)) / PRIOR_SD**2
    values, vectors = np.linalg.eigh(curve)
    spread = (vectors / np.maximum(values, 1.0 / PRIOR_SD**2)) @ vectors.T
    return at, tuple(tuple(float(cell) for cell in row) for row in spread), float(value)


def _curvature(of: Callable[[Vector], tuple[float, Vector]], at: Vector) -> Vector:
    """Return the second derivatives of minus a log-likelihood, by differences of its gradient."""
    step = 1e-4
    curve = np.empty((len(at), len(at)))
    for i, move in enumerate(np.eye(len(at)) * step):
        curve[i] = (of(at - move)[1] - of(at + move)[1]) / (2 * step)
    return (curve + curve.T) / 2
