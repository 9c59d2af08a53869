"""How models are judged: metrics held against scikit-learn, intervals against simulations, splits against their edges."""

import doctest
import importlib
import itertools
import json
import math
import re
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as peer

from shopkeeper import evaluation
from shopkeeper.errors import ModelError
from shopkeeper.evaluation import METRICS, Candidate, Comparison, Figure, Report

MODULES = ("metrics", "ranking", "intervals", "splits", "curves", "report")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_run(name):
    """What a docstring shows is what comes out."""
    module = importlib.import_module(f"shopkeeper.evaluation.{name}")
    assert doctest.testmod(module).failed == 0


def test_every_metric_has_a_running_example():
    """Each metric's docstring shows one."""
    assert [name for name, metric in METRICS.items() if ">>>" not in metric.compute.__doc__] == []


def some_rows(seed, n=400, *, ties=False):
    """Return classes and probabilities that know a little of them."""
    rng = np.random.default_rng(seed)
    chance = rng.random(n)
    truth = (rng.random(n) < chance).astype(int)
    given = np.clip(0.7 * chance + 0.3 * rng.random(n), 0, 1)
    return truth, np.round(given, 1) if ties else given


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_classes_equal_those_of_scikit_learn(seed, ties):
    """With ties and without, to twelve digits."""
    truth, given = some_rows(seed, ties=ties)
    assert evaluation.roc_auc(truth, given) == pytest.approx(peer.roc_auc_score(truth, given), abs=1e-12)
    assert evaluation.pr_auc(truth, given) == pytest.approx(peer.average_precision_score(truth, given), abs=1e-12)
    assert evaluation.f1(truth, given, 0.6) == pytest.approx(peer.f1_score(truth, given >= 0.6), abs=1e-12)
    assert evaluation.brier(truth, given) == pytest.approx(peer.brier_score_loss(truth, given), abs=1e-12)
    assert evaluation.log_loss(truth, given) == pytest.approx(peer.log_loss(truth, given), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_metrics_of_amounts_equal_those_of_scikit_learn(seed):
    """On amounts with zeros and a heavy tail."""
    rng = np.random.default_rng(seed)
    truth = np.where(rng.random(300) < 0.4, 0, rng.lognormal(3, 1, 300))
    given = rng.lognormal(2, 1, 300)
    assert evaluation.rmse(truth, given) == pytest.approx(peer.root_mean_squared_error(truth, given))
    assert evaluation.mae(truth, given) == pytest.approx(peer.mean_absolute_error(truth, given))
    assert evaluation.mean_tweedie_deviance(truth, given) == pytest.approx(
        peer.mean_tweedie_deviance(truth, given, power=1.5)
    )


def test_calibration_error_by_hand():
    """Twenty rows, ten bins of two: the observed shares are 0 or 1, the predicted .25 and .75."""
    given = np.array([0.25] * 10 + [0.75] * 10) + np.arange(20) / 1e6
    truth = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1] + [1] * 10)
    by_hand = (4 * 0.25 + 0.75 + 5 * 0.25) / 10
    assert evaluation.calibration_error(truth, given) == pytest.approx(by_hand, abs=1e-4)


def test_a_constant_prediction_is_one_bin():
    """The prior is perfectly calibrated, whatever the order of the rows."""
    truth = np.array([0] * 90 + [1] * 10)
    assert evaluation.calibration_error(truth, np.full(100, 0.1)) == pytest.approx(0)
    assert evaluation.calibration_points(truth, np.full(100, 0.1))["n"] == [100]


@pytest.mark.parametrize("name", METRICS)
def test_rows_in_any_order_give_the_same_figure(name):
    """Point and interval do not move when rows are shuffled, and nothing handed in is altered."""
    truth, given = some_rows(3, ties=True)
    truth = truth + 1 if name == "mape" else truth
    given = np.clip(given, 0.05, 1)
    groups = np.array([f"c{number % 150:03}" for number in range(len(truth))])
    order = np.random.default_rng(0).permutation(len(truth))
    before = truth.copy(), given.copy(), groups.copy()
    for by in (None, groups):
        one = evaluation.measure(name, truth, given, groups=by, seed=1, draws=50)
        shuffled_by = None if by is None else by[order]
        other = evaluation.measure(name, truth[order], given[order], groups=shuffled_by, seed=1, draws=50)
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high), abs=1e-12)
        assert one.low <= one.high
    assert all((old == new).all() for old, new in zip(before, (truth, given, groups), strict=True))


def test_arrow_columns_are_numbers_too():
    """Chunked columns go in as they are."""
    truth, given = some_rows(1)
    assert evaluation.roc_auc(pa.chunked_array([truth]), pa.chunked_array([given])) == evaluation.roc_auc(truth, given)


def test_the_interval_of_an_auc_covers_the_truth():
    """In 200 samples from two normals, the 95 % interval holds the true AUC between 90 and 99 % of the time."""
    apart, inside = 1.0, 0
    true = 0.5 * (1 + math.erf(apart / 2))
    for seed in range(200):
        rng = np.random.default_rng(seed)
        truth = (np.arange(200) < 60).astype(int)
        found = evaluation.measure("roc_auc", truth, rng.normal(size=200) + apart * truth, seed=seed, draws=200)
        inside += found.low <= true <= found.high
    assert 0.90 <= inside / 200 <= 0.99


def test_rows_of_one_customer_are_drawn_together():
    """Each row told five times: the interval over customers stays, the one over rows is too narrow by half."""
    truth, given = some_rows(2, n=200)
    once = evaluation.measure("brier", truth, given, seed=1)
    names = [f"c{number}" for number in range(200)] * 5
    grouped = evaluation.measure("brier", np.tile(truth, 5), np.tile(given, 5), groups=names, seed=1)
    naive = evaluation.measure("brier", np.tile(truth, 5), np.tile(given, 5), seed=1)
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.15)
    assert naive.high - naive.low < 0.6 * (once.high - once.low)


def test_a_paired_comparison_is_narrower_than_two_intervals():
    """What both contenders share cancels out; the gain is positive for the better one, and turns its sign with the sides."""
    truth, given = some_rows(4, n=1000)
    worse = np.clip(given + np.random.default_rng(9).normal(0, 0.05, 1000), 0, 1)
    found = evaluation.compare("log_loss", truth, given, worse, names=("given", "worse"), seed=1)
    turned = evaluation.compare("log_loss", truth, worse, given, names=("worse", "given"), seed=1)
    alone = evaluation.measure("log_loss", truth, given, seed=1)
    assert found.gain.value > 0
    assert found.gain.value == pytest.approx(-turned.gain.value)
    assert found.gain.high - found.gain.low < 0.5 * (alone.high - alone.low)


def test_equal_contenders_differ_by_nothing():
    """The gain of a model over itself is exactly 0, and so the gate refuses it."""
    truth, given = some_rows(5)
    assert evaluation.compare("roc_auc", truth, given, given, names=("a", "a"), seed=1).gain == Figure(0, 0, 0)


def test_bias_is_judged_by_its_distance_from_zero():
    """10 % too low beats 20 % too high."""
    found = evaluation.compare("bias", [10, 20], [9, 18], [12, 24], names=("low", "high"), seed=1)
    assert found.gain.value == pytest.approx(0.1)


def test_a_bootstrap_is_quick():
    """300 draws of 5,000 rows by six metrics: under two seconds."""
    truth, given = some_rows(6, n=5000)
    began = time.perf_counter()
    for name in ("roc_auc", "pr_auc", "f1", "brier", "log_loss", "calibration_error"):
        evaluation.measure(name, truth, given, seed=1)
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    ("truth", "given", "sentence"),
    [
        ([1, 1], [0.1, 0.2], "both classes must occur"),
        ([0, 1], [0.1], "columns of one length"),
        ([], [], "at least 1"),
        ([0, 1], [0.1, math.nan], "must be a number in each row"),
        ([0, 2], [0.1, 0.2], "classes must be 0 or 1; got 2"),
    ],
)
def test_what_cannot_be_judged_is_said(truth, given, sentence):
    """Each in a sentence."""
    with pytest.raises(ModelError, match=sentence):
        evaluation.measure("roc_auc", truth, given, seed=1)


@pytest.mark.parametrize(
    ("metric", "truth", "given", "sentence"),
    [
        ("brier", [0, 1], [0.1, 1.2], "between 0 and 1; got 1.2"),
        ("mean_tweedie_deviance", [-1, 1], [1, 1], "truth of 0 or more"),
        ("bias", [0, 0], [1, 1], "does not sum to 0"),
        ("accuracy", [0, 1], [0, 1], "a metric must be one of roc_auc"),
        ("roc_auc", [1] + [0] * 9, [0.5] * 10, "^$"),
    ],
)
def test_metrics_name_what_they_need(metric, truth, given, sentence):
    """A prediction that does not fit its metric is refused; one positive row among ten can be judged, if barely."""
    if sentence == "^$":
        assert evaluation.measure(metric, truth, given, seed=1).value == 0.5
        return
    with pytest.raises(ModelError, match=sentence):
        evaluation.measure(metric, truth, given, seed=1)


def test_coverage_counts_the_ends():
    """Three of four within, ends included."""
    found = evaluation.coverage([0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0.5, 1.1])
    assert found.value == 0.75
    assert found.low == pytest.approx(0.3006, abs=1e-4)
    assert found.high == pytest.approx(0.9544, abs=1e-4)


# Splits


@pytest.mark.parametrize("days", range(70, 130, 7))
@pytest.mark.parametrize("horizon", [7, 30])
def test_outcome_windows_never_meet_the_held_out_one(days, horizon):
    """The held-out window ends on the last day; training windows end before the held-out moment; each moment knows enough."""
    first, last = date(2024, 1, 1), date(2024, 1, 1) + timedelta(days=days - 1)
    train, held_out = evaluation.moments_before(first, last, horizon, every=10, least=10)
    assert held_out + timedelta(days=horizon - 1) == last
    assert max(train) + timedelta(days=horizon) == held_out
    assert min(train) >= first + timedelta(days=10) > min(train) - timedelta(days=10)
    assert {(b - a).days for a, b in itertools.pairwise(train)} <= {10}


def test_the_shortest_history_that_can_be_split():
    """Two windows and what the first moment must know: one day fewer is too few, and the sentence counts the days."""
    first = date(2024, 1, 1)
    train, held_out = evaluation.moments_before(first, first + timedelta(days=69), 30, every=7, least=10)
    assert (train, held_out) == ([date(2024, 1, 11)], date(2024, 2, 10))
    with pytest.raises(ModelError, match="at least 70 days .* got 69 days"):
        evaluation.moments_before(first, first + timedelta(days=68), 30, every=7, least=10)
    with pytest.raises(ModelError, match="got none"):
        evaluation.moments_before(None, None, 30, every=7, least=10)


def test_folds_by_time_train_on_earlier_moments_only():
    """With a horizon, only on moments whose outcome was known; repeated moments count once."""
    moments = [date(2024, month, 1) for month in (1, 2, 3, 4, 5, 6)] * 2
    folds = evaluation.time_folds(moments, 3, horizon=31)
    assert [max(train) + timedelta(days=31) <= min(test) for train, test in folds] == [True] * 3
    assert sorted(day for _, test in folds for day in test) == sorted(set(moments))[2:]
    with pytest.raises(ModelError, match="folds by time"):
        evaluation.time_folds(moments[:1], 3)


def test_stratified_folds_spread_each_class():
    """Each row is tested once, and each fold has its share of the positives."""
    labels = np.array([1] * 13 + [0] * 87)
    folds = evaluation.stratified_folds(labels, 5, seed=1)
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(100))
    assert {int(labels[test].sum()) for _, test in folds} <= {2, 3}
    assert all(not set(train) & set(test) for train, test in folds)
    with pytest.raises(ModelError, match="as many rows as folds"):
        evaluation.stratified_folds([1, 0, 0, 0, 0], 2, seed=1)


# Curves


def test_curves_of_a_small_table():
    """Four rows, the two positives in first and third place."""
    truth, scores = [1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]
    gain = evaluation.gain_points(truth, scores)
    at = dict(zip(np.round(gain["share_of_rows"], 2), gain["share_of_positives"], strict=True))
    assert (at[0], at[0.25], at[0.5], at[0.75], at[1]) == (0, 0.5, 0.5, 1, 1)
    lift = evaluation.lift_points(truth, scores)
    assert dict(zip(np.round(lift["share_of_rows"], 2), lift["lift"], strict=True))[0.25] == pytest.approx(2)
    roc = evaluation.roc_points(truth, scores)
    assert roc == {"false_positive_rate": [0, 0, 0.5, 0.5, 1], "true_positive_rate": [0, 0.5, 0.5, 1, 1]}
    assert evaluation.pr_points(truth, scores)["precision"] == [1, 0.5, 2 / 3, 0.5]
    assert evaluation.confusion(truth, scores, 0.7)["n"] == [1, 1, 0, 2]
    assert evaluation.threshold_for_f1(truth, scores) == 0.7


def test_long_curves_are_thinned():
    """However many rows, a curve has at most 101 points and keeps its ends."""
    truth, given = some_rows(7, n=5000)
    roc = evaluation.roc_points(truth, given)
    assert len(roc["false_positive_rate"]) == 101
    assert (roc["false_positive_rate"][0], roc["true_positive_rate"][-1]) == (0, 1)


def test_the_threshold_is_the_best_there_is():
    """No other score gives a higher F1."""
    truth, given = some_rows(8, ties=True)
    best = evaluation.f1(truth, given, evaluation.threshold_for_f1(truth, given))
    assert best == max(evaluation.f1(truth, given, other) for other in np.unique(given))


# Reports


@pytest.fixture
def report():
    """Return a report with each part."""
    return Report(
        subject="churn",
        held_out=(date(2024, 1, 1), date(2024, 3, 30)),
        n_rows=1234,
        primary="log_loss",
        chosen="lightgbm",
        baseline="recency",
        candidates=[
            Candidate("lightgbm", False, {"log_loss": Figure(0.5, 0.4, 0.6)}, {"leaves": 7}),
            Candidate("recency", True, {"log_loss": Figure(0.6, 0.5, 0.7), "brier": Figure(0.2, 0.1, 0.3)}),
        ],
        against_baseline=Comparison("lightgbm", "recency", "log_loss", Figure(0.1, 0.05, 0.15)),
        against_champion=Comparison("lightgbm", "logistic", "log_loss", Figure(0.01, -0.05, 0.07)),
        curves={"calibration": {"predicted": [0.1, 0.9], "observed": [0.2, 0.8]}},
        facts={"horizon_days": 90, "data_to": "2024-03-30"},
        notes=("Nothing was left out.",),
    )


def test_a_report_is_kept_as_json(report):
    """Read back it is equal; NumPy's numbers are numbers; without a champion too."""
    assert evaluation.from_json(evaluation.to_json(report)) == report
    alone = replace(
        report, against_champion=None, facts={"n": np.int64(3), "share": np.float64(0.5), "on": date(2024, 1, 1)}
    )
    read = evaluation.from_json(evaluation.to_json(alone))
    assert read.against_champion is None
    assert read.facts == {"n": 3, "share": 0.5, "on": "2024-01-01"}


def test_a_report_is_strict(report):
    """What JSON cannot hold is refused on the way out; what is missing, unknown or odd on the way in."""
    with pytest.raises(ModelError, match="a report must hold numbers"):
        evaluation.to_json(replace(report, facts={"share": math.nan}))
    with pytest.raises(ModelError, match="a report must hold numbers"):
        evaluation.to_json(replace(report, facts={"what": object()}))
    told = json.loads(evaluation.to_json(report))
    for broken in (
        {**told, "extra": 1},
        {key: value for key, value in told.items() if key != "baseline"},
        {**told, "held_out": ["yesterday", "today"]},
        {**told, "against_baseline": {**told["against_baseline"], "gain": {"value": 1}}},
        [],
    ):
        with pytest.raises(ModelError, match="a stored report must be one that this version wrote"):
            evaluation.from_json(json.dumps(broken))
    with pytest.raises(ModelError, match="a stored report"):
        evaluation.from_json("{")


def test_a_model_card_tells_all(report):
    """What it answers, the data, the held-out period, each candidate with intervals, the verdict, facts, notes, limits."""
    decision = evaluation.gate(report, has_champion=True)
    text = evaluation.card(
        report,
        about="Who will not order again?",
        span=(date(2023, 1, 1), date(2024, 3, 30)),
        decision=decision,
        version="churn/3",
        limits=("It is of no use for guests.",),
    )
    for piece in (
        "# churn/3",
        "Who will not order again?",
        "2023-01-01 to 2024-03-30",
        "1,234 rows",
        "| recency (baseline) | 0.6 (0.5 to 0.7) | 0.2 (0.1 to 0.3) |",
        "| lightgbm (chosen) | 0.5 (0.4 to 0.6) |  |",
        "not promoted. lightgbm beats the baseline recency, but not the champion logistic",
        "| horizon_days | 90 |",
        "- Nothing was left out.",
        "- It is of no use for guests.",
    ):
        assert piece in text


def test_equal_scores_are_called_equal(report):
    """A refit that changes nothing is not "better by 0 (0 to 0)"."""
    none = Figure(0.0, 0.0, 0.0)
    refit = replace(report, against_champion=replace(report.against_champion, gain=none))
    assert evaluation.gate(refit, has_champion=True).reason.endswith("not the champion logistic: both score alike.")
    alike = replace(report, against_baseline=replace(report.against_baseline, gain=none))
    assert evaluation.gate(alike, has_champion=False).reason == (
        "lightgbm does not beat the baseline recency: both score alike."
    )


def test_a_card_is_for_people(report):
    """Facts within facts stand by themselves, lists are listed, large numbers are whole, rounding is nought."""
    facts = {"errors": {"markov": 0.25, "stays": {"mean": 123456.7}}, "features": ["a", "b"], "rest": 1e-16}
    text = evaluation.card(replace(report, facts=facts), about="Who?")
    for line in (
        "| errors.markov | 0.25 |",
        "| errors.stays.mean | 123,457 |",
        "| features | a, b |",
        "| rest | 0 |",
    ):
        assert line in text


# The document

PAGE = Path(__file__).parents[1] / "docs" / "evaluation.md"


def test_the_examples_in_the_document_run(capsys):
    """One after the other, with what they import and nothing else."""
    names: dict = {}
    for example in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        exec(example, names)  # noqa: S102
    assert len(names["folds"]) > 1
    assert capsys.readouterr().out.count("Figure(") == 2


def test_the_document_names_every_metric():
    """Each has a row with its definition."""
    assert re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE) == list(METRICS)


def test_a_gain_in_calibration_may_be_a_loss():
    """The interval of a worse contender lies below zero, though a calibration error itself cannot."""
    truth, true, off = np.arange(1000) % 2, np.full(1000, 0.5), np.full(1000, 0.8)
    gain = evaluation.compare("calibration_error", truth, off, true, names=("off", "true"), seed=1).gain
    assert gain.value == pytest.approx(-0.3)
    assert -0.35 < gain.low < gain.value < gain.high < -0.2


def test_a_baseline_alone_is_not_held_against_itself(report):
    """Where nothing else could be fitted, the gate says that, and refuses."""
    decision = evaluation.gate(replace(report, chosen="recency"), has_champion=False)
    assert not decision.promote
    assert decision.reason == "Only the baseline recency could be fitted; the notes say why."
