"""Plots: each says in its title what its points say, fits its canvas, and is the same for the same points."""

import struct
from dataclasses import replace
from datetime import date

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
        "value": [0.8, -0.3, 0.1],
    },
    "histogram:days since the last order": {
        "low": [0, 30, 90],
        "high": [30, 90, 700],
        "before": [0.5, 0.3, 0.2],
        "now": [0.4, 0.3, 0.3],
    },
    "scatter": {"x": [0, 1, 2], "y": [1, 0, 1], "group": ["loyal", "at risk", "loyal"]},
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


def canvases():
    """Make every plot of the report, by name."""
    told = report()
    drawn = {
        name: plots.KINDS[name.partition(":")[0]](points, name.partition(":")[2]) for name, points in CURVES.items()
    }
    return {"candidates": plots.candidates(told), **drawn}


def title_of(canvas) -> str:
    """Return a plot's title on one line."""
    return canvas.get_suptitle().replace("\n", " ")


def test_a_report_is_drawn_whole():
    """All curves that have a plot, and the candidates; PNG, 800 dots wide; a curve of another kind is left alone."""
    drawn = plots.draw(report())
    assert set(drawn) == {"candidates", *CURVES}
    for image in drawn.values():
        assert image[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", image[16:24])
        assert width == 800
        assert 300 < height < 900


def test_the_same_points_give_the_same_image():
    """To the byte, as PNG and as SVG."""
    assert plots.draw(report()) == plots.draw(report())
    one, other = (plots.svg(plots.roc(CURVES["roc"])) for _ in range(2))
    assert one == other
    assert one.lstrip().startswith("<?xml")


@pytest.mark.parametrize("name", canvases())
def test_no_text_leaves_the_canvas(name):
    """Titles, labels and ticks are inside, and both axes have a label where they have a scale."""
    canvas = canvases()[name]
    plots.png(canvas)
    drawn = canvas.get_tightbbox()
    width, height = canvas.get_size_inches()
    assert 0 <= drawn.x0 <= drawn.x1 <= width
    assert 0 <= drawn.y0 <= drawn.y1 <= height
    axes = canvas.axes[0]
    if name not in {"confusion", "correlation", "candidates"}:
        assert axes.get_xlabel()
        assert axes.get_ylabel()


TITLES = {
    "candidates": "lightgbm beats the baseline prior by 0.100 (0.050 to 0.200)",
    "confusion": "Of 300 customers 150 are called positive, and 75 of them are",
    "correlation": "n_orders and net_sales are the closest: +0.80",
    "histogram:days since the last order": "10 % of the customers lie elsewhere than before",
    "scatter": "3 customers in 2 groups",
}


@pytest.mark.parametrize("name", TITLES)
def test_a_title_says_what_the_points_say(name):
    """In a sentence with the figure."""
    canvas = canvases()[name]
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
