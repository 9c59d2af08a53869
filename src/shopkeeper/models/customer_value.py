"""Models of what a customer will spend: BG/NBD or its modified form with Gamma-Gamma, and the baseline that goes on as before.

Value is net sales times the margin, floored at 0: returns take value away, never below nothing.
"""

from abc import abstractmethod
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from shopkeeper.errors import ModelError
from shopkeeper.models.buying import BgNbd, Triples, Vector, fit_bgnbd
from shopkeeper.models.customer_rows import numbers
from shopkeeper.models.model import Model, State, reasons
from shopkeeper.models.spending import GammaGamma, fit_gamma_gamma, future_range

COVERAGE = 0.9
"""The share of customers whose future value the published range is to hold."""
LEAST_FACTOR = 1e-12


class CustomerValue(Model):
    """What both models share: the columns, the horizon, and how scores look.

    Rows: one per customer, columns of ``customer_features``. Scores: ``expected_order_days``, ``expected_value`` (money
    over the horizon, net sales * margin), ``p_alive``, ``value_low``, ``value_high``; all null without an order.
    Parameters: ``horizon_days``; ``margin``; ``level``: the chance the range is made for, chosen so that it covers 90 %.
    """

    def __init__(
        self, *, seed: int = 0, horizon_days: int = 365, margin: float = 1.0, level: float = COVERAGE, **parameters: Any
    ) -> None:
        super().__init__(seed=seed, horizon_days=horizon_days, margin=margin, level=level, **parameters)
        self.horizon_days, self.margin, self.level = horizon_days, margin, level

    @property
    def columns(self) -> tuple[str, ...]:
        """Counts and ages of orders in days, and money net of returns."""
        return ("n_order_days", "days_since_first_order", "days_since_last_order", "net_sales")

    def variant(self, **parameters: Any) -> Self:
        """Return the same fit with another horizon, margin or level: they enter only where it scores.

        Raises ModelError if the model is not fitted.
        """
        if not self.is_fitted:
            raise ModelError(f"a model must be fitted before it is varied; {self.name} is not. Train it.")
        other = type(self)(**{**self.parameters, "seed": self.seed, **parameters})
        other._restore(self._state())  # noqa: SLF001 - of its own class
        other.is_fitted, other.latest = True, self.latest
        return other

    def _score(self, rows: pa.Table) -> pa.Table:
        parts = past_of(rows)
        has_order = parts[0] > 0
        columns = {}
        for name, values in self._told(*(part[has_order] for part in parts)).items():
            whole = np.full(rows.num_rows, np.nan)
            whole[has_order] = values
            columns[name] = pa.array(whole, mask=np.isnan(whole))
        return pa.table(columns)

    @abstractmethod
    def _told(self, n: Vector, t_x: Vector, age: Vector, mean: Vector) -> dict[str, Vector]: ...


class BgNbdGammaGamma(CustomerValue):
    """Order days by BG/NBD times value per order day by Gamma-Gamma, both by maximum likelihood.

    x = order days beyond the first; the value of an order day is net sales / order days over all order days, the first
    included (Fader and Hardie leave the first out, because in their data only repeat purchases have values; one-order
    customers would then tell nothing of what orders are worth), 0 where returns exceed sales. Assumes that value and
    frequency are unrelated given the customer's own mean; the correlation is in the report.
    """

    name: ClassVar[str] = "bgnbd_gamma_gamma"
    leaves_at_once: ClassVar[bool] = False
    orders: BgNbd
    values: GammaGamma
    typical: list[float]

    def _fit(self, rows: pa.Table) -> None:
        parts = past_of(rows)
        n, t_x, age, mean = (part[parts[0] > 0] for part in parts)
        self.orders = fit_bgnbd(Triples.group(n - 1, t_x, age), leaves_at_once=self.leaves_at_once)
        paid = mean > 0
        self.values = fit_gamma_gamma(n[paid], mean[paid])
        logs = np.log(np.maximum(np.stack(self._factors(n, t_x, age, mean)), LEAST_FACTOR))
        logs.sort(axis=1)
        self.typical = [float(part.mean()) for part in logs]

    def _factors(self, n: Vector, t_x: Vector, age: Vector, mean: Vector) -> tuple[Vector, Vector, Vector]:
        """Return P(alive), order days over the horizon if alive, and value per order day."""
        same = Triples.group(n - 1, t_x, age)
        days = self.orders.expected_if_alive(same.x, same.age, self.horizon_days)
        alive = self.orders.alive(same.x, same.t_x, same.age)
        return alive[same.of], days[same.of], self.margin * self.values.expected(n, mean)

    def _told(self, n: Vector, t_x: Vector, age: Vector, mean: Vector) -> dict[str, Vector]:
        alive, days, value = self._factors(n, t_x, age, mean)
        same = Triples.group(n - 1, t_x, age)
        past = (same.x, same.t_x, same.age)
        low, high = future_range(self.orders, self.values, past, self.horizon_days, coverage=self.level, seed=self.seed)
        size = self.margin * (self.values.v + n * mean)
        return {
            "expected_order_days": alive * days,
            "expected_value": alive * days * value,
            "p_alive": alive,
            "value_low": low[same.of] * size,
            "value_high": high[same.of] * size,
        }

    def _explain(self, rows: pa.Table, top: int) -> pa.Table:
        """Give the logarithm of each factor of the expected value, against the shop's typical customer: they add up."""
        parts = past_of(rows)
        known = np.flatnonzero(parts[0] > 0)
        n, t_x, age, mean = (part[known] for part in parts)
        logs = np.log(np.maximum(np.stack(self._factors(n, t_x, age, mean)), LEAST_FACTOR))
        logs -= np.array(self.typical)[:, None]
        shown = {"days_since_last_order": age - t_x, "n_order_days": n, "net_sales": numbers(rows, "net_sales")[known]}
        values = np.stack(list(shown.values()))
        return reasons(known, list(shown), logs.T, top, lambda at, feature: f"{values[feature, at]:.10g}")

    def _state(self) -> State:
        return {"orders": asdict(self.orders), "values": asdict(self.values), "typical": self.typical}

    def _restore(self, state: State) -> None:
        self.orders = BgNbd.from_state(state["orders"])
        self.values = GammaGamma.from_state(state["values"])
        self.typical = list(state["typical"])


class MbgNbdGammaGamma(BgNbdGammaGamma):
    """The same with the modified BG/NBD: the first order may have been the last, so one-order customers are not all alive."""

    name: ClassVar[str] = "mbgnbd_gamma_gamma"
    leaves_at_once: ClassVar[bool] = True


class PastRate(CustomerValue):
    """The baseline: everybody goes on as before.

    An order day stands for the days until the next one, and the last for the shop's mean gap g between order days, so
    the rate of a customer with n order days in the T days since the first is n / (T + g); what an order day brings is
    net sales / n, 0 where returns exceed sales. One-order customers get 1 / (T + g). The range is that of a Poisson count
    at the rate. Says nothing of who is alive (``p_alive`` is null). Without any repeat order g is the horizon.
    """

    name: ClassVar[str] = "past_rate"

    def _fit(self, rows: pa.Table) -> None:
        n, t_x, _, _ = past_of(rows)
        again = n > 1
        days = float(t_x[again].sum())
        self.gap = days / float((n[again] - 1).sum()) if days else float(self.horizon_days)

    def _told(self, n: Vector, t_x: Vector, age: Vector, mean: Vector) -> dict[str, Vector]:  # noqa: ARG002 - one shape
        days = n / (age + self.gap) * self.horizon_days
        tail = (1.0 - self.level) / 2.0
        return {
            "expected_order_days": days,
            "expected_value": days * mean * self.margin,
            "p_alive": np.full(len(n), np.nan),
            "value_low": _orders_below(tail, days) * mean * self.margin,
            "value_high": _orders_below(1.0 - tail, days) * mean * self.margin,
        }

    def _state(self) -> State:
        return {"gap": self.gap}

    def _restore(self, state: State) -> None:
        self.gap = float(state["gap"])


def _orders_below(chance: float, expected: Vector) -> Vector:
    """Return the least count that a Poisson count of so many expected stays at or below with the chance."""
    from scipy.special import pdtr, pdtrik

    found = np.ceil(pdtrik(chance, expected))
    one_less = np.maximum(found - 1.0, 0.0)
    return np.asarray(np.where(pdtr(one_less, expected) >= chance, one_less, found), np.float64)


def past_of(rows: pa.Table) -> tuple[Vector, Vector, Vector, Vector]:
    """Return order days, days from first to last, days since the first, and net sales per order day, not below 0.

    ``rows``: columns of ``customer_features``. Customers without an order have 0 order days and NaN days.
    """
    n = numbers(rows, "n_order_days")
    age = numbers(rows, "days_since_first_order")
    mean = np.maximum(numbers(rows, "net_sales"), 0.0) / np.maximum(n, 1.0)
    return n, age - numbers(rows, "days_since_last_order"), age, mean
