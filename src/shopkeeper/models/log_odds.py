"""Regressing log-odds: logistic regression by Newton's method, and calibration by Platt's line through them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.models.model import State, array_of

Vector = NDArray[np.float64]

STEPS, ENOUGH = 100, 1e-9
STEEPEST = 30.0
LEAST_CHANCE = 0.002
"""No chance is said to be nearer to 0 or 1 than this."""


@dataclass(frozen=True)
class LogOdds:
    """A fitted logistic regression: the intercept first, then one coefficient per column; and their covariance."""

    coefficients: Vector
    covariance: Vector

    @classmethod
    def from_state(cls, state: State, name: str, n_columns: int) -> "LogOdds":
        """Return the regression on so many columns that ``told`` gave. Raises ModelError if it is no such one."""
        n = n_columns + 1
        return cls(array_of(state, name, n), array_of(state, f"{name}_covariance", n, n))

    def told(self, name: str) -> dict[str, Vector]:
        """Return it as a model keeps it."""
        return {name: self.coefficients, f"{name}_covariance": self.covariance}

    def of(self, matrix: Vector) -> Vector:
        """Return the log-odds of each row. Added up column by column, so that a row's never depend on the others."""
        told = np.full(len(matrix), self.coefficients[0])
        for column, coefficient in zip(matrix.T, self.coefficients[1:], strict=True):
            told += column * coefficient
        return told

    def variance(self, matrix: Vector) -> Vector:
        """Return the sampling variance of each row's log-odds, added up term by term for the same reason."""
        columns = [np.ones(len(matrix)), *matrix.T]
        found = np.zeros(len(matrix))
        for one, row in zip(columns, self.covariance, strict=True):
            for other, cell in zip(columns, row, strict=True):
                found += one * cell * other
        return found


def fit_log_odds(matrix: Vector, target: Vector, *, weights: Vector | None = None, penalty: float = 0.0) -> LogOdds:
    """Fit a logistic regression with a quadratic penalty on all coefficients but the intercept, by Newton's method.

    Steps are halved until the loss falls, so separable rows with a penalty above 0 converge too. Rows' order changes
    nothing but the last digits: sort them where that matters. Raises ModelError if the target has one class.
    """
    wide = np.column_stack([np.ones(len(matrix)), matrix])
    each = np.ones(len(wide)) if weights is None else weights
    share = float(np.average(target, weights=each)) if len(target) else 0.0
    if not 0 < share < 1:
        raise ModelError(f"a target to regress on must have both classes; all {len(target)} rows have the same.")
    ridge = np.full(wide.shape[1], max(penalty, ENOUGH))
    ridge[0] = 0.0
    at = np.zeros(wide.shape[1])
    at[0] = np.log(share / (1 - share))
    loss = _loss(wide, target, each, ridge, at)
    for _ in range(STEPS):
        chance = chance_of(wide @ at)
        bent = (wide * (each * chance * (1 - chance))[:, None]).T @ wide + np.diag(np.maximum(ridge, ENOUGH))
        step = np.linalg.solve(bent, wide.T @ (each * (target - chance)) - ridge * at)
        for _ in range(STEPS):
            reached = _loss(wide, target, each, ridge, at + step)
            if reached <= loss:
                break
            step = step / 2
        at = at + step
        loss = reached
        if np.abs(step).max() < ENOUGH:
            break
    chance = chance_of(wide @ at)
    bent = (wide * (each * chance * (1 - chance))[:, None]).T @ wide + np.diag(np.maximum(ridge, ENOUGH))
    return LogOdds(at, np.linalg.inv(bent))


def chance_of(log_odds: Vector) -> Vector:
    """Return chances of log-odds."""
    chance: Vector = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -STEEPEST, STEEPEST)))
    return chance


def log_odds_of(chance: Vector) -> Vector:
    """Return log-odds of chances, which are first kept .002 away from 0 and 1."""
    kept = np.clip(chance, LEAST_CHANCE, 1 - LEAST_CHANCE)
    told: Vector = np.log(kept / (1 - kept))
    return told


def _loss(wide: Vector, target: Vector, weights: Vector, ridge: Vector, at: Vector) -> float:
    odds = wide @ at
    return float((weights * (np.logaddexp(0.0, odds) - target * odds)).sum() + (ridge * at * at).sum() / 2)
