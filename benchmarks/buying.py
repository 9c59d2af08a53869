"""How long lifetime values of a million customers take, and what counting equal histories once is worth.

    python benchmarks/buying.py [--customers N] [--peer N]

Customers are simulated as BG/NBD and Gamma-Gamma say, in days. The peer is the plain likelihood of every customer, with
SciPy's gammaln and Nelder-Mead, as the papers' spreadsheets and most code do it; ours must be at least as likely.
"""

import argparse
import time

import numpy as np
import pyarrow as pa
from run import Figure, clock
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


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--peer", type=int, default=200_000, help="customers for the comparison of fits")
    told = parser.parse_args()
    print("| what | seconds | ratio | peer | peak memory | target |\n|---|---|---|---|---|---|", flush=True)
    rows = customers(told.customers)
    model = BgNbdGammaGamma(horizon_days=365)
    seconds = clock(lambda: model.fit(rows)) + clock(lambda: model.score(rows))
    print(Figure(f"lifetime values of {told.customers:,} customers, fitted and scored", seconds, target="≤ 60 s").row())
    n, t_x, age, _ = past_of(rows.slice(0, told.peer))
    started = time.perf_counter()
    ours = fit_bgnbd(Triples.group(n - 1, t_x, age))
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    theirs = plain_fit(n - 1, t_x, age)
    peer_seconds = time.perf_counter() - started
    assert ours.log_likelihood >= theirs - 1e-3, (ours.log_likelihood, theirs)
    what, peer = f"BG/NBD fitted to {told.peer:,} customers", "plain likelihood, Nelder-Mead"
    print(Figure(what, seconds, peer, peer_seconds, "≤ .1 ×").row())


if __name__ == "__main__":
    main()
