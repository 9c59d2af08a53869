"""Traps that published work on customers fell into, and that are nobody's own; the others are beside what they trap.

``docs/evaluation.md`` lists them all with their tests.
"""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shopkeeper.evaluation import METRICS, gate, log_loss, mean_tweedie_deviance
from shopkeeper.models.churn import Churn
from shopkeeper.models.customer_silence import Recency
from shopkeeper.models.customer_value import PastRate
from shopkeeper.models.labelled_rows import labelled_rows
from shopkeeper.models.labels import Labels, split_of
from shopkeeper.models.lifetime import Lifetime

START = date(2024, 1, 1)


def silent(*_):
    """Tell nobody."""


def beside(name: str):
    """Return a module of tests beside this one."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shop(history_of, buyers):
    return history_of(buyers(500, 300, seed=8))


def before(shop, history_of, moment: date):
    """Return a shop whose record ends before a moment, but for one stranger's order that fixes its last day."""
    kept = [row for row in shop.orders.to_pylist() if row["ordered_on"] < moment]
    return history_of([(row["customer_id"], (row["ordered_on"] - START).days, row["gross"]) for row in kept])


def test_no_baseline_knows_the_rows_it_is_judged_by_churn(shop, history_of):
    """Recency, fitted by hand on a record that ends before the held-out period, has the report's very figure."""
    report = Churn(horizon_days=50).train(shop, seed=2, tell=silent).report
    moment = report.held_out[0]
    past = before(shop, history_of, moment)
    moments = [moment - timedelta(50 + 16 * back) for back in range(report.facts["training_moments"])]
    rows, told = past.features(moments), past.outcomes(moments, 50)
    assert rows["customer_id"].equals(told["customer_id"])
    stayed = pa.array((told["n_orders_ahead"].to_numpy() == 0).astype(np.int64))
    baseline = Recency(horizon_days=50, seed=2).fit(rows.append_column("is_churned", stayed))
    actual = shop.outcomes([moment], 50)["n_orders_ahead"].to_numpy() == 0
    given = baseline.score(past.features([moment]))["churn_probability"]
    (figures,) = (one.figures for one in report.candidates if one.name == "recency")
    assert figures["log_loss"].value == pytest.approx(log_loss(actual.astype(float), given))


def test_no_baseline_knows_the_rows_it_is_judged_by_lifetime(shop, history_of):
    """The past rate, fitted by hand on a record that ends before the held-out period, has the report's very figure."""
    report = Lifetime(horizon_days=90).train(shop, seed=2, tell=silent).report
    moment = report.held_out[0]
    rows = before(shop, history_of, moment).features([moment])
    baseline = PastRate(horizon_days=90, level=report.facts["range_level"]).fit(rows)
    given = baseline.score(rows)["expected_value"].to_numpy()
    actual = shop.outcomes([moment], 90)["net_sales_ahead"].to_numpy()
    (figures,) = (one.figures for one in report.candidates if one.name == "past_rate")
    assert figures["mean_tweedie_deviance"].value == pytest.approx(mean_tweedie_deviance(actual, given))


@pytest.fixture(scope="module")
def rare():
    """Labels on ten days: noise, 9 % positive, and 30 % on the latest days, which are held out."""
    labels = beside("test_labels")
    history = labels.small(1500, days=[date(2023, month, 3) for month in range(1, 11)])
    share = np.where(np.arange(1500) % 10 < 7, 0.09, 0.30)
    label = (np.random.default_rng(4).random(1500) < share).astype(int)
    return replace(history, labelled=history.labelled.set_column(1, "label", pa.array(label)))


def test_no_baseline_knows_the_rows_it_is_judged_by_labels(rare):
    """The prior is the share of positives in training; held-out rows have three times as many, and it is judged by that."""
    split = split_of(labelled_rows(rare)[0], 0)
    share, truth = split.train["label"].to_numpy().mean(), split.held_out["label"].to_numpy()
    assert truth.mean() > 2 * share
    report = Labels().train(rare, tell=silent).report
    (prior,) = (one.figures for one in report.candidates if one.is_baseline)
    assert prior["brier"].value == pytest.approx(np.mean((truth - share) ** 2))
    assert prior["calibration_error"].value == pytest.approx(truth.mean() - share)


def test_a_class_of_nine_in_ten_makes_nothing_look_good(rare):
    """To say no to everyone is right nine times in ten: no report counts that, and what is noise is called so."""
    assert not any("accura" in name for name in METRICS)
    report = Labels().train(rare, tell=silent).report
    assert all("accuracy" not in one.figures for one in report.candidates)
    (prior,) = (one.figures for one in report.candidates if one.is_baseline)
    assert prior["roc_auc"].value == 0.5
    assert prior["pr_auc"].value == pytest.approx(
        split_of(labelled_rows(rare)[0], 0).held_out["label"].to_numpy().mean()
    )
    assert not gate(report, has_champion=False).promote


ALONE = """
import importlib.util, json
spec = importlib.util.spec_from_file_location("contract", {path!r})
contract = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contract)
for name in ("churn/lightgbm", "churn/logistic", "churn/p_alive", "lifetime/bgnbd_gamma_gamma", "segments/threshold_tree",
             "labels/logistic_regression", "labels/random_forest", "labels/xgboost", "labels/lightgbm"):
    scores = contract.fitted(name).score(contract.rows_of(name))
    for column in scores.column_names:
        values = scores[column].to_pylist()
        print(json.dumps([name, column, values]))
"""


def test_threads_and_hashes_of_a_process_change_no_score():
    """Two processes, with one thread and two, and other seeds of Python's own hashes: the same to ten digits."""
    path = str(Path(__file__).with_name("test_contract.py"))
    told = [
        subprocess.run(
            [sys.executable, "-c", ALONE.format(path=path)],
            env={**os.environ, "OMP_NUM_THREADS": n, "OPENBLAS_NUM_THREADS": n, "PYTHONHASHSEED": n},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n in ("1", "2")
    ]
    lines = [[json.loads(line) for line in each.splitlines()] for each in told]
    assert len(lines[0]) > 30
    for (name, column, one), (_, _, other) in zip(*lines, strict=True):
        if isinstance(one[0], float):
            np.testing.assert_allclose(
                np.array(one, float), np.array(other, float), rtol=1e-10, err_msg=f"{name} {column}"
            )
        else:
            assert one == other, (name, column)
