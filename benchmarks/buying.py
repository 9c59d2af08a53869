"""How long lifetime values of a million customers take, and what counting equal histories once is worth.

Customers are simulated as BG/NBD and Gamma-Gamma say, in days. The peer is the plain likelihood of every customer, with
SciPy's gammaln and Nelder-Mead, as the papers' spreadsheets and most code do it; ours must be at least as likely.
"""

import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from scipy.optimize import minimize
from scipy.special import gammaln

from shopkeeper.models.buying import Triples, fit_bgnbd
from shopkeeper.models.customer_value import BgNbdGammaGamma, past_of


def customers(count: int, days: int = 730, seed: int = 1) -> pa.Table:
    """Simulate customers, one row each, in the columns of customer_features that the model reads."""
    rng = np.random.default_rng(seed)
    rate, leave, age = rng.gamma(0.8, 1 / 20, count), rng.beta(0.8, 2.5, count), rng.integers(1, days, count)
    x, last, on = np.zeros(count, np.int64), np.zeros(count), np.zeros(count)
    here = np.arange(count)
    while len(here):
        on[here] += rng.exponential(1 / np.maximum(rate[here], 1e-9))
        here = here[on[here] < age[here]]
        x[here] += np.floor(on[here]) > np.floor(last[here])
        last[here] = on[here]
        here = here[rng.random(len(here)) >= leave[here]]
    last = np.floor(last).astype(np.int64)
    spent = rng.gamma(6.0 * (x + 1)) / rng.gamma(4.0, 1 / 15, count)
    return pa.table(
        {
            "n_order_days": x + 1,
            "days_since_first_order": age,
            "days_since_last_order": age - last,
            "net_sales": spent,
        }
    )


def plain_fit(x: np.ndarray, t_x: np.ndarray, age: np.ndarray) -> float:
    """Fit BG/NBD by Nelder-Mead on the likelihood of every customer, equation by equation; return the log-likelihood."""

    def loss(logs: np.ndarray) -> float:
        r, alpha, a, b = np.exp(logs)
        common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        common += gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
        alive = -(r + x) * np.log(alpha + age)
        gone = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + t_x)
        return -float((common + np.where(x > 0, np.logaddexp(alive, gone), alive)).mean())

    start = np.array([0.0, np.log(age.mean()), 0.0, 0.0])
    found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-9, "maxiter": 2000})
    return -float(found.fun) * len(x)


def measured(n_customers: int = 1_000_000, n_peer: int = 200_000) -> Iterator[tuple[str, float, str, float, str]]:
    """Yield what was measured, our seconds, the peer, its seconds, and the target."""
    rows = customers(n_customers)
    model = BgNbdGammaGamma(horizon_days=365)
    started = time.perf_counter()
    model.fit(rows).score(rows)
    seconds = time.perf_counter() - started
    yield f"lifetime values of {n_customers:,} customers, fitted and scored", seconds, "", 0.0, "≤ 60 s"
    n, t_x, age, _ = past_of(rows.slice(0, n_peer))
    started = time.perf_counter()
    ours = fit_bgnbd(Triples.group(n - 1, t_x, age))
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    theirs = plain_fit(n - 1, t_x, age)
    peer_seconds = time.perf_counter() - started
    assert ours.log_likelihood >= theirs - 1e-3, (ours.log_likelihood, theirs)
    what, peer = f"BG/NBD fitted to {n_peer:,} customers", "the plain likelihood by Nelder-Mead"
    yield what, seconds, peer, peer_seconds, "≤ .1 ×"
