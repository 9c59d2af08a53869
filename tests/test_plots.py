"""Plots: each says in its title what its points say, fits its canvas, and is the same for the same points."""

import struct
from dataclasses import replace
from datetime import date
from itertools import combinations

import numpy as np
import pytest

from shopkeeper import evaluation, plots
from shopkeeper.errors import ModelError
from shopkeeper.evaluation import Candidate, Comparison, Figure, Report

TRUTH = np.array([1, 1, 0, 1, 0, 0, 0, 0, 0, 0] * 30)
SCORES = np.linspace(0.95, 0.05, 300).reshape(30, 10).T.ravel().reshape(10, 30).T.ravel()

CURVES = {
    "calibration": evaluation.calibration_points(TRUTH, SCORES),
    "gain": evaluation.gain_points(TRUTH, SCORES),
    "lift": evaluation.lift_points(TRUTH, SCORES),
    "roc": evaluation.roc_points(TRUTH, SCORES),
    "pr": evaluation.pr_points(TRUTH, SCORES),
    "confusion": evaluation.confusion(TRUTH, SCORES, 0.5),
    "correlation": {
        "feature": ["n_orders", "n_orders", "mean_days_between_orders"],
        "other": ["net_sales", "mean_days_between_orders", "net_sales"],
        "rho": [0.8, -0.3, 0.1],
    },
    "histogram:days since the last order": {
        "low": [0, 30, 90],
        "high": [30, 90, 700],
        "before": [0.5, 0.3, 0.2],
        "now": [0.4, 0.3, 0.3],
    },
    "scatter": {"x": [0, 1, 2], "y": [1, 0, 1], "group": ["loyal", "at risk", "loyal"]},
    "value_by_tenth": {"expected": [10.0, 20.0, 70.0], "actual": [5.0, 35.0, 60.0]},
    "order_days_by_frequency": {
        "repeat_order_days": ["0", "1", "7+"],
        "n_customers": [100, 20, 5],
        "actual": [0.5, 1.0, 10.0],
        "expected": [0.4, 1.25, 12.0],
    },
    "backtest": {
        "day": ["2024-01-01", "2024-01-02", "2024-01-03"],
        "actual": [10.0, 12.0, 30.0],
        "units": [11.0, 12.0, 12.0],
        "low": [6.0, 7.0, 7.0],
        "high": [16.0, 17.0, 17.0],
        "naive": [8.0, 9.0, 10.0],
    },
    "outlook": {
        "day": ["2024-01-01", "2024-01-02", "2024-01-03"],
        "actual": [10.0, 12.0, None],
        "units": [None, None, 11.0],
        "low": [None, None, 6.0],
        "high": [None, None, 16.0],
    },
    "autocorrelation": {"lag": [1, 2, 3], "correlation": [0.1, -0.05, 0.5], "bound": [0.2, 0.2, 0.2]},
    "periodogram": {"period": [30.0, 6.0, 3.0, 2.0], "power": [0.1, 0.6, 0.2, 0.1]},
    "tracking": {
        "weeks": [1, 2, 2.5, 3, 4],
        "actual": [10, 20, 26, 30, 46],
        "expected": [9.0, 19.0, 24.0, 28.0, 39.0],
        "is_held_out": [False, False, False, True, True],
    },
    "price_response": {
        "move": [-0.4, -0.1, 0.2, 0.9],
        "n": [500, 1700, 1200, 80],
        "actual": [2.0, 1.1, 0.8, 0.5],
        "low": [1.8, 1.0, 0.7, 0.3],
        "high": [2.2, 1.2, 0.9, 0.7],
        "expected": [1.9, 1.2, 0.85, 0.4],
    },
    "elasticities": {
        "group": ["bags", "a group with a long name", "other"],
        "low": [-3.0, -2.0, -1.2],
        "middle": [-2.0, -1.5, -0.8],
        "high": [-1.5, -0.9, -0.4],
        "n": [40, 30, 500],
    },
    "choice": {
        "k": [4, 5, 6],
        "silhouette": [0.35, 0.32, 0.3],
        "calinski_harabasz": [2000.0, 1900.0, 1700.0],
        "davies_bouldin": [1.1, 1.05, 1.2],
        "stability": [0.86, 0.97, 0.9],
        "cost_ratio": [1.04, 1.05, 1.07],
        "mean_rank": [1.75, 1.25, 3.0],
        "is_chosen": [True, False, False],
    },
    "segments": {
        "name": ["prospects", "one-time small spenders, active", "nobody's", "outliers: far more orders than the rest"],
        "share": [0.1, 0.6, 0.0, 0.3],
        "expected_share_next_month": [0.1, 0.7, 0.0, 0.2],
        "share_of_sales": [0.0, 0.25, 0.0, 0.75],
        "median_n_orders": [0.0, 1.0, None, 54.5],
        "median_days_since_last_order": [None, 30.0, None, 3.0],
        "median_net_sales": [-18.7, 340.0, None, 53_754.0],
    },
    "hits_by_length": {
        "candidate": ["blend"] * 3 + ["popular"] * 3,
        "length": [1, 2, 3] * 2,
        "hit_rate": [0.2, 0.3, 0.4, 0.1, 0.15, 0.38],
    },
    "importances": {
        "segment": [1, 1, 2, 2],
        "name": ["frequent big spenders, very active"] * 2 + ["one-time small spenders, lapsed"] * 2,
        "feature": ["n_orders", "net_sales", "net_sales", "n_orders"],
        "importance": [1.5, 0.5, 2.5, -0.001],
    },
    "correlated_pairs": {
        "feature": ["gross_sales", "returns", "n_orders"],
        "other": ["net_sales", "return_share", "n_products"],
        "rho": [0.99, -0.97, 0.6],
    },
    "completion": {
        "k": [1, 2, 1, 2],
        "model": ["pair_rules", "pair_rules", "popular_pairs", "popular_pairs"],
        "hits": [0.1, 0.25, 0.05, 0.1],
    },
    "rule_stability": {
        "lift_before": [2.0, 12.5, 3.0, 1.5],
        "lift_later": [2.2, 10.0, 0.0, 1.2],
        "holds": [True, True, False, False],
    },
    "principal_components": {
        "x": [0, 1, 2],
        "y": [1, 0, 1],
        "group": ["one-time small spenders, lapsed", "outliers", "outliers"],
        "explained_by_x": [0.7] * 3,
        "explained_by_y": [0.2] * 3,
    },
}


def report(gain=0.1, low=0.05) -> Report:
    """Make a report of two candidates and a baseline with all curves."""
    return Report(
        subject="labels",
        held_out=(date(2024, 1, 1), date(2024, 3, 1)),
        n_rows=300,
        primary="roc_auc",
        chosen="lightgbm",
        baseline="prior",
        candidates=[
            Candidate("lightgbm", False, {"roc_auc": Figure(0.7, 0.6, 0.8)}),
            Candidate("a_name_that_is_rather_long", False, {"roc_auc": Figure(0.65, 0.55, 0.75)}),
            Candidate("prior", True, {"roc_auc": Figure(0.5, 0.5, 0.5)}),
        ],
        against_baseline=Comparison("lightgbm", "prior", "roc_auc", Figure(gain, low, 0.2)),
        curves={**CURVES, "something else": {"a": [1]}},
    )


PANELS = {"choice", "segments", "importances"}
NAMES = ("candidates", *CURVES)


def canvas_of(name):
    """Make one plot of the report."""
    kind, _, what = name.partition(":")
    return plots.candidates(report()) if name == "candidates" else plots.KINDS[kind](CURVES[name], what)


def title_of(canvas) -> str:
    """Return a plot's title on one line."""
    return canvas.get_suptitle().replace("\n", " ")


@pytest.fixture(name="drawn", scope="module")
def _drawn():
    """The report, drawn once."""
    return plots.draw(report())


def test_a_report_is_drawn_whole(drawn):
    """All curves that have a plot, and the candidates; PNG, 800 dots wide; a curve of another kind is left alone."""
    assert set(drawn) == set(NAMES)
    for image in drawn.values():
        assert image[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", image[16:24])
        assert width == 800
        assert 300 < height < 900


def test_the_same_points_give_the_same_image(drawn):
    """To the byte, as PNG and as SVG."""
    assert plots.draw(report()) == drawn
    one, other = (plots.svg(plots.roc(CURVES["roc"])) for _ in range(2))
    assert one == other
    assert one.lstrip().startswith("<?xml")


@pytest.mark.parametrize("name", NAMES)
def test_no_text_leaves_the_canvas(name):
    """Titles, labels and ticks are inside, and both axes have a label where they have a scale."""
    canvas = canvas_of(name)
    plots.png(canvas)
    drawn = canvas.get_tightbbox()
    width, height = canvas.get_size_inches()
    assert 0 <= drawn.x0 <= drawn.x1 <= width
    assert 0 <= drawn.y0 <= drawn.y1 <= height
    for text in (text for text in (canvas._suptitle, canvas._supxlabel) if text):
        box = text.get_window_extent()
        assert 0 <= box.x0 <= box.x1 <= canvas.bbox.width
    axes = canvas.axes[0]
    if name not in {"confusion", "correlation", "correlated_pairs", "candidates", *PANELS}:
        assert axes.get_xlabel()
        assert axes.get_ylabel()


@pytest.mark.parametrize("name", sorted(PANELS))
def test_small_plots_do_not_overlap(name):
    """Their titles, bars and labels stay apart, and each says by its title what it shows."""
    canvas = canvas_of(name)
    plots.png(canvas)
    drawn = [axes for axes in canvas.axes if axes.axison]
    boxes = [axes.get_tightbbox() for axes in drawn]
    assert all(axes.get_title(loc="left") or axes.get_title(loc="right") for axes in drawn)
    assert not any(one.shrunk(0.99, 0.99).overlaps(two) for one, two in combinations(boxes, 2))


TITLES = {
    "completion": "Of 2 products named, pair_rules has the hidden one in 25 % of baskets",
    "rule_stability": "50 % of the rules hold in later weeks by more than chance; 75 % have a lift above 1 there",
    "value_by_tenth": "Of 3 equal groups, the one expected to bring the most brought 60 % of all value; 70 % was expected",
    "order_days_by_frequency": "120 order days came; 125 were expected (4 % more)",
    "tracking": "In the held-out weeks 20 repeat order days came; 15 were expected (25 % fewer)",
    "price_response": "40 % off sold 2.0 times as often as without it (1.9 expected), 90 % more 0.5 times (0.4)",
    "elasticities": "In 2 of 3 groups a lower price brings the middle product more revenue (elasticity below -1)",
    "choice": "4 segments are chosen: mean rank 1.75; 5 segments have the best, 1.25",
    "segments": "The largest segment, one-time small spenders, active, has 60 % of the customers and 25 % of net sales",
    "hits_by_length": "40 % of customers bought something of the first 3 that blend named",
    "importances": "net_sales matters most: shuffled, it costs 1.50 nats of log loss in the mean of 2 segments",
    "correlated_pairs": "2 pairs of features say nearly the same (strength 0.95 or more)",
    "principal_components": "Two principal components hold 90 % of the differences among customers",
    "candidates": "lightgbm beats the baseline prior by 0.100 (0.050 to 0.200)",
    "confusion": "Of 300 customers 150 are called positive, and 75 of them are",
    "correlation": "n_orders and net_sales are the closest: +0.80",
    "histogram:days since the last order": "10 % of the customers lie elsewhere than before",
    "scatter": "3 customers in 2 groups",
}


@pytest.mark.parametrize("name", TITLES)
def test_a_title_says_what_the_points_say(name):
    """In a sentence with the figure."""
    canvas = canvas_of(name)
    if name == "confusion":
        points = {"truth": [0, 0, 1, 1], "predicted": [0, 1, 0, 1], "n": [140, 75, 10, 75]}
        canvas = plots.confusion(points)
    assert title_of(canvas) == TITLES[name]


def test_titles_of_curves_by_hand():
    """Two of four rows are positive, in first and third place."""
    truth, scores = [1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]
    assert (
        title_of(plots.roc(evaluation.roc_points(truth, scores)))
        == "A positive scores above a negative 75 % of the time"
    )
    assert title_of(plots.gain({"share_of_rows": [0, 0.2, 1], "share_of_positives": [0, 0.6, 1]})) == (
        "The 20 % with the highest scores hold 60 % of the positives"
    )
    assert title_of(plots.lift({"share_of_rows": [0.1, 1], "lift": [3.0, 1.0]})) == (
        "The 10 % with the highest scores are positive 3.0 times as often as all"
    )


def test_a_choice_that_does_not_win_is_not_said_to():
    """Where the gain's interval reaches zero, the title says so."""
    told = report(gain=0.01, low=-0.02)
    assert "does not beat the baseline prior by more than noise" in title_of(plots.candidates(told))


def test_a_title_is_broken_by_its_width():
    """However wide its letters, it stays on the canvas."""
    told = replace(report(), chosen="WWWWWWWWWWWWWWWWWWWWWWWW", baseline="MMMMMMMMMMMMMMMMMMMMMMMMMM")
    canvas = plots.candidates(told)
    box = canvas._suptitle.get_window_extent()
    assert box.x1 <= canvas.bbox.width
    assert "\n" in canvas.get_suptitle()


def test_without_a_held_out_period_all_weeks_are_told():
    """The title speaks of the whole, and nothing is shaded."""
    points = {name: column for name, column in CURVES["tracking"].items() if name != "is_held_out"}
    canvas = plots.KINDS["tracking"](points, "")
    assert title_of(canvas) == "By week 4 46 repeat order days came; 39 were expected (15 % fewer)"
    assert not canvas.axes[0].patches


def test_a_wide_range_of_values_is_drawn_on_a_log_scale():
    """From twenty times the least on; never where a value is 0."""
    scales = [
        plots.KINDS["value_by_tenth"]({"expected": [1.0, 50.0], "actual": [least, 70.0]}, "").axes[0].get_yscale()
        for least in (2.0, 0.0)
    ]
    assert scales == ["log", "linear"]


def test_a_segment_of_nobody_is_not_drawn_and_a_giant_is_cut():
    """Three of four segments have bars; the outliers' sales go beyond their bar, which is said."""
    canvas = canvas_of("segments")
    by_title = {axes.get_title(loc="left"): axes for axes in canvas.axes}
    assert [len(axes.patches) for axes in canvas.axes if axes.axison] == [3] * 5
    assert [bar.get_width() for bar in by_title["share of customers"].patches] == [0.1, 0.6, 0.3]
    assert by_title["median net sales (money)"].patches[2].get_width() == pytest.approx(1.3 * 340)
    assert {text.get_text() for text in by_title["median net sales (money)"].texts} == {"-18.7", "340", "53,754"}
    assert "white stroke: the bar goes on" in canvas.get_supxlabel()


def test_long_names_of_segments_do_not_overlap():
    """A name of three lines makes all rows higher."""
    name = "outliers: far more orders or sales than the rest, about 54.5 orders"
    points = {"name": [name] * 10, "share": [0.1] * 10, "median_n_orders": [1.0] * 10}
    canvas = plots.KINDS["segments"](points, "")
    plots.png(canvas)
    boxes = [label.get_window_extent() for label in canvas.axes[0].get_yticklabels()]
    assert not any(one.overlaps(two) for one, two in combinations(boxes, 2))


def test_the_chosen_number_of_segments_is_marked():
    """On every small plot, by a mark of its own."""
    for axes in canvas_of("choice").axes:
        (mark,) = (line for line in axes.lines if line.get_marker() == "D")
        assert mark.get_xdata().tolist() == [4]


def test_like_features_stand_together():
    """Two pairs that go together are side by side, in whatever order they came."""
    names = ["a", "b", "c", "d"]
    pairs = [("a", "c", 0.9), ("b", "d", 0.8), ("a", "b", 0.1), ("c", "d", 0.0), ("a", "d", 0.0), ("b", "c", 0.1)]
    found = []
    for told in (pairs, pairs[::-1]):
        points = dict(zip(("feature", "other", "rho"), zip(*told, strict=True), strict=True))
        canvas = plots.KINDS["correlation"](points, "")
        found.append([label.get_text() for label in canvas.axes[0].get_yticklabels()])
    assert found[0] == found[1]
    assert sorted(found[0]) == names
    assert {frozenset(found[0][:2]), frozenset(found[0][2:])} == {frozenset("ac"), frozenset("bd")}


def test_a_curve_without_rows_is_left_alone():
    """Where nothing correlates there is nothing to draw, and the training goes on."""
    told = replace(report(), curves={"correlation": {"feature": [], "other": [], "rho": []}})
    assert set(plots.draw(told)) == {"candidates"}


def test_a_plot_of_held_out_rows_says_which():
    """Below its title; one of all customers does not."""
    told = replace(report(), curves={name: CURVES[name] for name in ("roc", "tracking")})
    assert plots.draw(told)["roc"] != plots.png(plots.roc(CURVES["roc"]))
    assert plots.draw(told)["roc"] == plots.png(plots.roc(CURVES["roc"], "300 held-out rows, 2024-01-01 to 2024-03-01"))
    assert plots.draw(told)["tracking"] == plots.png(plots.KINDS["tracking"](CURVES["tracking"], ""))


def test_a_curve_without_its_column_is_named():
    """The error says which."""
    with pytest.raises(ModelError, match="must have the column lift"):
        plots.draw(replace(report(), curves={"lift": {"share_of_rows": [1]}}))
    with pytest.raises(ModelError, match="must have the column truth with a row"):
        plots.confusion({"truth": [], "predicted": [], "n": []})


def test_no_window_system_is_asked_for():
    """pyplot, which keeps global state, is never imported."""
    import subprocess
    import sys

    code = (
        "import sys; from shopkeeper import plots; plots.png(plots.roc({'false_positive_rate': [0, 1], "
        "'true_positive_rate': [0, 1]})); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_a_bound_a_rounding_beyond_nothing_is_drawn():
    """Of forty customers none did it: the interval's low end may be a hair above the share of 0."""
    points = {
        "predicted": [0.01, 0.5],
        "observed": [0.0, 1.0],
        "low": [1e-18, 0.9],
        "high": [0.08, 1 - 1e-16],
        "n": [40, 40],
    }
    assert plots.png(plots.calibration(points))
