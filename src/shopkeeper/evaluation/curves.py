"""Points of the curves that a report keeps: columns of equal length, short enough for a page."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.evaluation.intervals import wilson
from shopkeeper.evaluation.metrics import CALIBRATION_BINS, Numbers, columns_of, cumulated, equal_count_bins

Curve = dict[str, list[Any]]
POINTS = 101


def calibration_points(truth: Numbers, predicted: Numbers, bins: int = CALIBRATION_BINS) -> Curve:
    """Return, per bin of equal count, the mean prediction, the observed share with its 95 % interval, and the rows.

    Columns: ``predicted``, ``observed``, ``low``, ``high`` (Wilson), ``n``. Equal predictions share a bin.
    """
    true, given = columns_of(truth, predicted)
    of_rows = equal_count_bins(given, bins)
    n = np.bincount(of_rows, minlength=bins)
    kept = n > 0
    positives = np.bincount(of_rows, weights=true, minlength=bins)[kept]
    sums = np.bincount(of_rows, weights=given, minlength=bins)[kept]
    low, high = wilson(positives, n[kept])
    return _lists(predicted=sums / n[kept], observed=positives / n[kept], low=low, high=high, n=n[kept])


def gain_points(truth: Numbers, scores: Numbers) -> Curve:
    """Return the cumulative gain: the share of all positives among the highest-scored share of rows.

    Columns: ``share_of_rows``, ``share_of_positives``, from 0 to 1. Within equal scores positives are spread evenly.
    Raises ModelError unless both classes occur.
    """
    _, rows, positives = cumulated(truth, scores)
    share = np.linspace(0, 1, POINTS)
    found = np.interp(share, np.append(0, rows) / rows[-1], np.append(0, positives) / positives[-1])
    return _lists(share_of_rows=share, share_of_positives=found)


def lift_points(truth: Numbers, scores: Numbers) -> Curve:
    """Return the lift: how many times more positives the highest-scored share of rows has than a random share.

    Columns: ``share_of_rows`` (from .01 on), ``lift``. Raises ModelError unless both classes occur.
    """
    gain = gain_points(truth, scores)
    share, found = np.array(gain["share_of_rows"][1:]), np.array(gain["share_of_positives"][1:])
    return _lists(share_of_rows=share, lift=found / share)


def roc_points(truth: Numbers, scores: Numbers) -> Curve:
    """Return the ROC curve, at most 101 points: ``false_positive_rate``, ``true_positive_rate``, from (0, 0) to (1, 1).

    Raises ModelError unless both classes occur.
    """
    _, rows, positives = cumulated(truth, scores)
    false = np.append(0, rows - positives) / (rows[-1] - positives[-1])
    true = np.append(0, positives) / positives[-1]
    kept = _thinned(len(false))
    return _lists(false_positive_rate=false[kept], true_positive_rate=true[kept])


def pr_points(truth: Numbers, scores: Numbers) -> Curve:
    """Return precision and recall from the highest score down, at most 101 points: ``recall``, ``precision``.

    Raises ModelError unless both classes occur.
    """
    _, rows, positives = cumulated(truth, scores)
    kept = _thinned(len(rows))
    return _lists(recall=(positives / positives[-1])[kept], precision=(positives / rows)[kept])


def confusion(truth: Numbers, scores: Numbers, threshold: float) -> Curve:
    """Return how many rows of each class are called positive (score at or above the threshold) or not.

    Columns: ``truth``, ``predicted``, ``n``, four rows.
    """
    true, given = columns_of(truth, scores)
    counts = np.bincount((2 * true + (given >= threshold)).astype(np.int64), minlength=4)
    return {"truth": [0, 0, 1, 1], "predicted": [0, 1, 0, 1], "n": counts.tolist()}


def threshold_for_f1(truth: Numbers, scores: Numbers) -> float:
    """Return the score from which on to call rows positive so that F1 is highest; the highest such score of equals.

    Choose it on rows that are not judged by it. Raises ModelError unless both classes occur.

    >>> threshold_for_f1([0, 1, 0, 1], [0.1, 0.4, 0.2, 0.9])
    0.4
    """
    distinct, rows, positives = cumulated(truth, scores)
    return float(distinct[np.argmax(2 * positives / (rows + positives[-1]))])


def _thinned(n: int) -> NDArray[np.int64]:
    return np.unique(np.round(np.linspace(0, n - 1, min(n, POINTS))).astype(np.int64))


def _lists(**columns: NDArray[Any]) -> Curve:
    return {name: column.tolist() for name, column in columns.items()}
