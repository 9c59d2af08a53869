"""Models as shown: a report of three contenders, versions, a look for drift, each made by hand."""

from dataclasses import dataclass
from datetime import date

import pytest

from shopkeeper.drift import examine
from shopkeeper.evaluation import Candidate, Comparison, Figure, Report
from shopkeeper.registry import ModelVersion
from shopkeeper.serving.champions import Champion
from shopkeeper.serving.exhibits import models

HELD_OUT = date(2011, 11, 1), date(2011, 11, 30)


def report(low: float) -> Report:
    """A report whose gain is at least ``low``."""
    figures = {"trees": Figure(0.5, 0.4, 0.6), "line": Figure(0.6, 0.5, 0.7), "recency": Figure(0.8, 0.7, 0.9)}
    return Report(
        "churn",
        HELD_OUT,
        100,
        "log_loss",
        "trees",
        "recency",
        [Candidate(name, name == "recency", {"log_loss": figure}) for name, figure in figures.items()],
        Comparison("trees", "recency", "log_loss", Figure(0.3, low, 0.4)),
        curves={"gain": {"share_of_rows": [0.0, 0.5, 1.0], "share_of_positives": [0.0, 0.8, 1.0]}, "empty": {"x": []}},
    )


def version(number: int, state: str, *, is_baseline: bool = False) -> ModelVersion:
    tags = {"candidate": "trees", "as_of": "2011-12-10", "reason": "trees beats the baseline recency."}
    figures = {"trees.log_loss": Figure(0.5, 0.4, 0.6)}
    return ModelVersion(
        "churn", number, state, is_baseline, "2011-12-10T08:00:00+00:00", figures, {}, tags, "run", "digest"
    )


@pytest.mark.parametrize(
    ("low", "is_baseline", "value", "verdict"),
    [
        (0.1, False, 0.5, "beats its baseline"),
        (-0.1, True, 0.8, "the baseline serves"),
        (-0.1, False, 0.5, "serves by hand"),
    ],
)
def test_a_champion_and_its_baseline(low, is_baseline, value, verdict):
    """The figure of what serves stands beside the baseline's, with the gain of the chosen one and its interval."""
    champion = Champion("churn", "Who leaves?", version(3, "champion", is_baseline=is_baseline), report(low), "# churn")
    row = models.answering([champion], 7).first()
    assert (row["value"], row["baseline_value"]) == (value, 0.8)
    assert (row["gain"], row["gain_low"], row["gain_high"]) == (0.3, low, 0.4)
    assert (row["version"], row["verdict"], row["data_before"]) == ("churn/3", verdict, date(2011, 12, 10))


def test_contenders_have_their_roles():
    """One is chosen, one is the baseline; of the log loss, less is better."""
    rows = models.contenders(report(0.1), 7, "churn/3").rows
    assert [(row["candidate"], row["role"], row["way"]) for row in rows] == [
        ("trees", "chosen", "lower"),
        ("line", "candidate", "lower"),
        ("recency", "baseline", "lower"),
    ]


def test_curves_are_those_with_points():
    """The gain is read between its points; a curve without a point is left out."""
    found = models.curves(report(0.1), 7, "churn/3")
    assert list(found) == ["gain"]
    assert models.at(found["gain"], "share_of_rows", "share_of_positives", 0.25) == pytest.approx(0.4)
    assert models.area(found["gain"], "share_of_rows", "share_of_positives") == pytest.approx(0.2 + 0.45)


def test_the_history_tells_what_the_gate_said():
    """Each version with its figure; a baseline that serves is told as one."""
    rows = models.history([version(2, "challenger"), version(1, "champion", is_baseline=True)], "log_loss", 7).rows
    assert [(row["version"], row["state"], row["value"]) for row in rows] == [
        ("churn/2", "challenger", 0.5),
        ("churn/1", "champion (baseline)", 0.5),
    ]


def test_drift_names_the_column_that_moved():
    """One column is as it was, the other has moved by ten: its alarm is strong, and its bins no longer meet."""
    import pyarrow as pa

    @dataclass
    class Looked:
        report: object

    values = [float(each % 20) for each in range(400)]
    before = pa.table({"same": values, "moved": values})
    now = pa.table({"same": values, "moved": [each + 10 for each in values]})
    looked = Looked(examine(before, now, columns=["same", "moved"], score=None, subject="churn", version="churn/3"))
    rows = {row["column"]: row for row in models.drifted(looked, "churn", 7).rows}
    assert (rows["same"]["alarm"], rows["moved"]["alarm"]) == ("none", "strong")
    bins = models.drift_bins(looked, "moved", "churn", 7).rows
    assert sum(row["before"] for row in bins) == pytest.approx(1)
    assert max(row["now"] for row in bins) >= 0.5
