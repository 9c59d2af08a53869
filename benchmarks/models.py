"""The models of a shop, refitted with stored parameters and scored; those of customers against scikit-learn and SciPy.

The shop is Online Retail with a label of its own: who ordered in the last 90 days, known as of 90 days before. The peer
starts from the same feature rows and does what a notebook does: k-means and its silhouette, logistic regression and
boosted trees with calibration by cross-validation, BG/NBD by Nelder-Mead on every customer, and the four kinds of
classifiers in five folds. It has no intervals, no threshold tree, no drift reference, no registry and no tables.

Where both compute the same thing, the results are held to be equal before anything is timed: ``same_results``.
"""

import csv
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from shopkeeper import training, workflow
from shopkeeper import vocabulary as v
from shopkeeper.assembly import Shopkeeper, assemble
from shopkeeper.evaluation import METRICS
from shopkeeper.features import ShopHistory
from shopkeeper.models import clusters
from shopkeeper.models.log_odds import fit_log_odds

PEER = "scikit-learn, LightGBM, XGBoost and SciPy, as in a notebook"
LABEL_DAYS = 90
OF_CUSTOMERS = (v.SEGMENTS, v.LIFETIME, v.CHURN, v.LABEL_MODEL)
OF_PRODUCTS = (v.BASKETS, v.RECOMMENDATIONS, v.DEMAND, v.PRICES)
COLUMNS = ("n_orders", "n_orders_90d", "net_sales", "days_since_last_order", "n_products", "sales_per_order")


def shop_with_labels(folder: Path, book: Path) -> Shopkeeper:
    """Build Online Retail, then load who came back as labels, and train once: what is measured later is the refit."""
    cli = [sys.executable, "-c", "from shopkeeper.apps.cli import main; main()"]
    made = [*cli, "init", str(folder), "--preset", "uci_online_retail", "--path", str(book)]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    parts = assemble(folder)
    workflow.run(parts.lake, parts.warehouse, parts.published, parts.sources)
    with parts.published.open() as connection:
        history = ShopHistory(connection)
        moment = history.last_day + timedelta(1 - LABEL_DAYS)
        outcomes = history.outcomes([moment], LABEL_DAYS)
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("customer_id", "label", "labelled_at"))
        pairs = zip(outcomes["customer_id"].to_pylist(), outcomes["n_orders_ahead"].to_pylist(), strict=True)
        writer.writerows((customer, int(ahead > 0), f"{moment} 12:00:00") for customer, ahead in pairs)
    with (folder / "shopkeeper.toml").open("a", encoding="utf-8") as file:
        file.write(
            f'\n[sources.came_back]\npath = "{folder / "labels.csv"}"\n[sources.came_back.tables.labels]\nentity = "labels"\n'
            '[sources.came_back.tables.labels.columns]\ncustomer_id = "customer_id"\nlabel = "label"\n'
            'labelled_at = "labelled_at"\n'
        )
    parts = assemble(folder)
    workflow.run(parts.lake, parts.warehouse, parts.published, parts.sources, parts.studio)
    return parts


def ours(parts: Shopkeeper, subjects: Sequence[str]) -> tuple[float, str]:
    """Refit and score some subjects; return the seconds, and those of each in words (two go side by side)."""
    studio = assemble(parts.settings.project).studio
    started = time.perf_counter()
    done = training.train(studio, subjects)
    trained = time.perf_counter()
    assert all(each.status in {"challenger", "promoted"} for each in done), done
    # What was scored already would be left as it is.
    parts.warehouse.store({}, dict.fromkeys(subjects, "another build"))
    scored = {each.subject: each.status for each in training.score(studio, subjects)}
    assert all(scored[name] == "scored" for name in subjects), scored
    ended = time.perf_counter()
    told = ", ".join(f"{each.subject} {each.seconds:.1f}" for each in done)
    return ended - started, f"{told}, scoring {ended - trained:.1f}"


def same_results(history: ShopHistory, horizon: int) -> None:
    """Hold our arithmetic against scikit-learn's on the shop's own rows: clusters, regression, every metric of a report."""
    from sklearn import cluster, linear_model, metrics

    moment = history.last_day + timedelta(1 - horizon)
    rows = history.features([moment])
    points = _matrix(rows)
    points = (points - points.mean(axis=0)) / points.std(axis=0)
    best = cluster.KMeans(4, n_init=10, random_state=0).fit(points)
    centres, labels, cost = clusters.k_means(points, 4, seed=0, starts=10)
    np.testing.assert_allclose(cost, best.inertia_, rtol=1e-4)
    np.testing.assert_allclose(
        clusters.silhouettes(points, labels), metrics.silhouette_samples(points, labels), atol=1e-6
    )
    np.testing.assert_allclose(
        clusters.compactness(points, labels, np.ones(len(points))),
        (metrics.calinski_harabasz_score(points, labels), metrics.davies_bouldin_score(points, labels)),
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        clusters.rand_index(labels, best.labels_), metrics.adjusted_rand_score(labels, best.labels_), rtol=1e-9
    )
    truth = _outcome(rows, history, moment, horizon)
    mine = fit_log_odds(points, truth, penalty=1.0)
    other = linear_model.LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(points, truth)
    np.testing.assert_allclose(mine.coefficients, np.append(other.intercept_, other.coef_), rtol=1e-4, atol=1e-6)
    chance = other.predict_proba(points)[:, 1]
    for name, of in {
        "log_loss": metrics.log_loss,
        "brier": metrics.brier_score_loss,
        "roc_auc": metrics.roc_auc_score,
        "pr_auc": metrics.average_precision_score,
    }.items():
        np.testing.assert_allclose(METRICS[name].compute(truth, chance), of(truth, chance), rtol=1e-9, err_msg=name)
    money, told = (rows[name].to_numpy().astype(float) for name in ("gross_sales", "net_sales"))
    np.testing.assert_allclose(METRICS["rmse"].compute(money, told), metrics.root_mean_squared_error(money, told))
    np.testing.assert_allclose(METRICS["mae"].compute(money, told), metrics.mean_absolute_error(money, told))
    assert len(centres) == 4


def theirs(history: ShopHistory, horizon: int) -> float:
    """Do the same jobs as a notebook would; return the seconds."""
    started = time.perf_counter()
    end = history.last_day + timedelta(1)
    now = _matrix(history.features([end]))
    _segments(now)
    moments = [end - timedelta(horizon * back) for back in (1, 2)]
    rows = {moment: history.features([moment]) for moment in moments}
    _churn(rows, history, horizon, moments)
    _lifetime(rows[moments[0]])
    _labels(rows[moments[0]], history, horizon)
    return time.perf_counter() - started


def _matrix(rows: pa.Table) -> np.ndarray:
    columns = [np.nan_to_num(rows[name].to_numpy(zero_copy_only=False).astype(float)) for name in COLUMNS]
    return np.log1p(np.maximum(np.column_stack(columns), 0.0))


def _segments(values: np.ndarray) -> None:
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from sklearn.preprocessing import StandardScaler

    points = StandardScaler().fit_transform(values)
    labels = KMeans(4, n_init=10, random_state=0).fit_predict(points)
    silhouette_score(points, labels)


def _outcome(rows: pa.Table, history: ShopHistory, moment: date, horizon: int) -> np.ndarray:
    ahead = history.outcomes([moment], horizon)
    found = dict(zip(ahead["customer_id"].to_pylist(), ahead["n_orders_ahead"].to_pylist(), strict=True))
    return np.array([float(not found.get(customer)) for customer in rows["customer_id"].to_pylist()])


def _churn(rows: dict[date, pa.Table], history: ShopHistory, horizon: int, moments: list[date]) -> None:
    from lightgbm import LGBMClassifier
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss, roc_auc_score

    held_out, trained = (_matrix(rows[moment]) for moment in moments)
    truth, known = (_outcome(rows[moment], history, moment, horizon) for moment in moments)
    for kind in (LogisticRegression(max_iter=1000), LGBMClassifier(n_estimators=200, verbose=-1, n_jobs=2)):
        fitted = CalibratedClassifierCV(kind, cv=5).fit(trained, known)
        chance = fitted.predict_proba(held_out)[:, 1]
        roc_auc_score(truth, chance), log_loss(truth, chance)


def _lifetime(rows: pa.Table) -> None:
    from buying import plain_fit

    days = {
        name: rows[name].to_numpy(zero_copy_only=False).astype(float) for name in rows.column_names if "day" in name
    }
    known = days["n_order_days"] > 0
    age = days["days_since_first_order"][known]
    plain_fit(days["n_order_days"][known] - 1, age - days["days_since_last_order"][known], age)


def _labels(rows: pa.Table, history: ShopHistory, horizon: int) -> None:
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from xgboost import XGBClassifier

    label = 1 - _outcome(rows, history, rows["as_of"][0].as_py(), horizon)
    kinds: list[Any] = [
        LogisticRegression(max_iter=1000),
        RandomForestClassifier(200, n_jobs=2, random_state=0),
        XGBClassifier(n_estimators=200, n_jobs=2),
        LGBMClassifier(n_estimators=200, verbose=-1, n_jobs=2),
    ]
    for kind in kinds:
        cross_val_score(kind, _matrix(rows), label, cv=5, scoring="roc_auc")


def measured(folder: Path, book: Path) -> Iterator[tuple[str, float, str, float, str]]:
    """Yield what was measured, our seconds, the peer, its seconds, and the target."""
    parts = shop_with_labels(folder / "models", book)
    seconds, told = ours(parts, OF_CUSTOMERS)
    with parts.published.open() as connection:
        same_results(ShopHistory(connection), LABEL_DAYS)
        peer = theirs(ShopHistory(connection), LABEL_DAYS)
    yield f"all four models of customers refitted and scored ({told})", seconds, PEER, peer, "≤ 15 s"
    seconds, told = ours(parts, OF_PRODUCTS)
    yield f"all four of products refitted and scored ({told})", seconds, "", 0.0, "≤ 20 s"
