"""Churn and lifetime values against a simulated shop's own truth (``benchmarks/truth.py``)."""

import importlib.util
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from shopkeeper.simulator import simulate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))  # they import one another by name
SPEC = importlib.util.spec_from_file_location("truth", BENCHMARKS / "truth.py")
truth_of = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(truth_of)


@pytest.fixture(scope="module")
def told(history_of, tmp_path_factory):
    """A clean simulated wholesaler: its history, straight from its file, and its truth."""
    shop = simulate("uci_online_retail", customers=900, days=320, seed=7)
    (file,) = shop.files(dirt=False)
    path = tmp_path_factory.mktemp("shop") / "orders.csv"
    with path.open("wb") as handle:
        handle.writelines(file.chunks)
    truth = shop.truth(dirt=False)
    start = truth["calendar"]["day_on"][0].as_py()
    goods = "CustomerID is not null and not starts_with(InvoiceNo, 'C') and regexp_matches(StockCode, '^[0-9]{5}')"
    rows = duckdb.sql(
        f"""
        select CustomerID, InvoiceDate::date - date '{start}', sum(Quantity::int * UnitPrice::double)
        from read_csv('{path}', all_varchar = true) where {goods}
        group by InvoiceNo, CustomerID, InvoiceDate::date order by all
        """
    ).fetchall()
    return history_of(rows, start), truth


def test_the_truth_knows_what_it_says(told):
    """Its chances are honest: mean silence, order days and living customers come out within noise."""
    history, truth = told
    moment = truth["calendar"]["day_on"][200].as_py()
    outcomes = history.outcomes([moment], 90)
    who = outcomes["customer_id"].to_pylist()
    best = truth_of.known(truth, history.order_days(), who, moment, 90)
    silent = outcomes["n_order_days_ahead"].to_numpy() == 0
    died = dict(zip(*(truth["customers"][name].to_pylist() for name in ("customer_id", "died_on")), strict=True))
    assert best.silent.mean() == pytest.approx(silent.mean(), abs=0.05)
    assert best.order_days.sum() == pytest.approx(outcomes["n_order_days_ahead"].to_numpy().sum(), rel=0.12)
    assert best.alive.mean() == pytest.approx(np.mean([died[one] >= moment for one in who]), abs=0.05)


def test_churn_comes_near_the_truth(told):
    """Ours beats recency, and ranks within .02 AUC of the best that orders alone allow; the truth beats all."""
    found = {measure.split(": ")[1]: values for measure, *values in truth_of.churn_of(*told, 7)}
    ours, best, baseline = found["roc_auc"]
    assert baseline < ours < best
    assert ours > found["roc_auc, truth's population"][1] - 0.02
    assert found["log_loss"][1] < found["log_loss, truth's population"][1] < found["log_loss"][2]


def test_lifetime_values_come_near_the_truth(told):
    """Expected order days err less than the baseline's and little more than the truth's own."""
    told_of = truth_of.lifetime_of(*told, 7)
    found = {f"{measure.split(' of ')[0]}:{measure.split(':')[1]}": values for measure, *values in told_of}
    ours, best, baseline = found["order days: rmse"]
    assert best < ours < baseline
    assert abs(found["order days: bias"][0]) < 0.25
