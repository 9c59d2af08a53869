"""Metrics: what is measured when a prediction meets the truth, each with its definition and an example.

``truth`` and ``predicted`` are columns of equal length without gaps; their order does not matter. Classes are 0 and 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.evaluation.ranking import share_of_ideal

Numbers = NDArray[Any] | Sequence[Any]
"""A column of numbers: a NumPy array, a list, or an Arrow array."""

RANKS, PROBABILITIES, DECISIONS, AMOUNTS, POSITIVE = (
    "ranks",
    "probabilities",
    "decisions",
    "amounts",
    "positive amounts",
)
TWEEDIE_POWER = 1.5
CALIBRATION_BINS = 10
OF_LISTS = ("hit_at_3", "recall_at_20", "ndcg_at_20")
"""Metrics of ranked lists: truth is what an ideal list gets, the prediction what the list got (``ranking.py``)."""


@dataclass(frozen=True)
class Metric:
    """A metric: how it is computed, which way is better, and what the prediction must be.

    ``needs``: ranks (any order), probabilities, decisions (0, 1), amounts, or positive amounts. ``is_signed``: judged by
    its distance from zero. ``grows_when_drawn``: a bootstrap's draws have more of it than the rows, as of any distance from
    zero in bins; its interval is moved so that the draws' median meets the value.
    """

    name: str
    compute: Callable[[Numbers, Numbers], float]
    higher_is_better: bool
    needs: str
    is_signed: bool = False
    grows_when_drawn: bool = False

    def quality(self, value: float) -> float:
        """Return the value turned so that more is better."""
        if self.is_signed:
            return -abs(value)
        return value if self.higher_is_better else -value

    def is_defined(self, truth: NDArray[Any]) -> bool:
        """Return whether the truth allows the metric: ranks need both classes."""
        return self.needs != RANKS or bool(0 < truth.sum() < len(truth))


def columns_of(truth: Numbers, predicted: Numbers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both columns as float arrays. Raises ModelError if they are empty, of unequal length, or have gaps."""
    true, given = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    if true.shape != given.shape or true.ndim != 1 or not len(true):
        raise ModelError(
            f"truth and prediction must be columns of one length, at least 1; got {true.shape} and {given.shape}."
        )
    for name, column in (("truth", true), ("prediction", given)):
        if not np.isfinite(column).all():
            gaps = int((~np.isfinite(column)).sum())
            raise ModelError(f"a {name} must be a number in each row; got {gaps} without. Leave those rows out.")
    return true, given


def _classes(
    truth: Numbers, predicted: Numbers, *, both: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    true, given = columns_of(truth, predicted)
    if not ((true == 0) | (true == 1)).all():
        odd = sorted(set(np.unique(true).tolist()) - {0.0, 1.0})[:5]
        raise ModelError(f"classes must be 0 or 1; got {', '.join(f'{value:g}' for value in odd)}.")
    if both and not 0 < true.sum() < len(true):
        raise ModelError(f"both classes must occur where ranks are judged; all {len(true)} rows are {true[0]:g}.")
    return true, given


def _probabilities(truth: Numbers, predicted: Numbers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    true, given = _classes(truth, predicted)
    if given.min() < 0 or given.max() > 1:
        odd = given.min() if given.min() < 0 else given.max()
        raise ModelError(f"a probability must be between 0 and 1; got {odd:g}.")
    return true, given


def cumulated(truth: Numbers, scores: Numbers) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the distinct scores from high to low, and how many rows and positives have at least each.

    Raises ModelError unless both classes occur.
    """
    true, given = _classes(truth, scores, both=True)
    order = np.argsort(given, kind="stable")[::-1]  # stable: quick where rows are sorted already, as in the bootstrap
    ranked = given[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    return ranked[last], last + 1, np.cumsum(true[order])[last]


def roc_auc(truth: Numbers, predicted: Numbers) -> float:
    """Return the area under the ROC curve: the chance that a positive row scores above a negative one, ties half.

    AUC = (sum of the positives' mid-ranks - n1 (n1 + 1) / 2) / (n1 n0) (Mann and Whitney 1947).
    Raises ModelError unless both classes occur.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    _, rows, positives = cumulated(truth, predicted)
    negatives = rows - positives
    below = np.diff(negatives, prepend=0)
    higher = positives - np.diff(positives, prepend=0) / 2
    return float((below * higher).sum() / (positives[-1] * negatives[-1]))


def pr_auc(truth: Numbers, predicted: Numbers) -> float:
    """Return the average precision: precision averaged over the positives, from the highest score down.

    AP = sum over the distinct scores k of (R_k - R_(k-1)) P_k, with recall R and precision P of the rows that score at
    least k; no interpolation. A random order gives the share of positives. Raises ModelError unless both classes occur.

    >>> round(pr_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    _, rows, positives = cumulated(truth, predicted)
    return float((np.diff(positives, prepend=0) * positives / rows).sum() / positives[-1])


def f1(truth: Numbers, predicted: Numbers, threshold: float = 0.5) -> float:
    """Return the harmonic mean of precision and recall of the rows at or above a threshold.

    F1 = 2 TP / (2 TP + FP + FN); 0 where no row is positive or called so. The threshold must come from other rows: hand in
    decisions (0, 1), or scores and a threshold.

    >>> f1([0, 0, 1, 1], [0, 1, 1, 1])
    0.8
    """
    true, given = _classes(truth, predicted)
    called = given >= threshold
    found = true.sum() + called.sum()
    return float(2 * true[called].sum() / found) if found else 0.0


def brier(truth: Numbers, predicted: Numbers) -> float:
    """Return the mean squared distance of the probability from what happened (Brier 1950); lower is better.

    >>> round(brier([0, 1], [0.2, 0.6]), 2)
    0.1
    """
    true, given = _probabilities(truth, predicted)
    return float(np.mean((given - true) ** 2))


def log_loss(truth: Numbers, predicted: Numbers) -> float:
    """Return the mean of minus the log of the probability given to what happened, in nats; lower is better.

    -mean(y log p + (1 - y) log(1 - p)), p kept 2.2e-16 away from 0 and 1.

    >>> round(log_loss([0, 1], [0.5, 0.5]), 4)
    0.6931
    """
    true, given = _probabilities(truth, predicted)
    least = np.finfo(np.float64).eps
    kept = np.clip(given, least, 1 - least)
    return float(-np.mean(np.log(np.where(true == 1, kept, 1 - kept))))


def equal_count_bins(predicted: Numbers, bins: int = CALIBRATION_BINS) -> NDArray[np.int64]:
    """Return the bin of each row, 0 for the lowest predictions; equal predictions are in one bin, by their middle rank."""
    given = np.asarray(predicted, np.float64)
    order = np.argsort(given, kind="stable")
    ranked = given[order]
    starts = np.append(0, np.flatnonzero(np.diff(ranked)) + 1)
    sizes = np.diff(np.append(starts, len(ranked)))
    middles = starts + sizes / 2
    of_rows = np.empty(len(given), np.int64)
    of_rows[order] = np.repeat(np.minimum(bins * middles // len(given), bins - 1).astype(np.int64), sizes)
    return of_rows


def calibration_error(truth: Numbers, predicted: Numbers) -> float:
    """Return the expected calibration error: how far predicted shares are from observed ones, on average.

    Ten bins of equal count; sum over bins of (n_b / n) |mean predicted - mean observed| (Naeini and others 2015, with
    equal counts). Equal predictions share a bin. In a small sample it is above 0 even for the true probability.

    >>> round(calibration_error([0, 0, 1, 1], [0.0, 0.0, 0.8, 0.8]), 2)
    0.1
    """
    true, given = _probabilities(truth, predicted)
    of_rows = equal_count_bins(given)
    return float(np.abs(np.bincount(of_rows, weights=given - true)).sum() / len(true))


def rmse(truth: Numbers, predicted: Numbers) -> float:
    """Return the root of the mean squared error, in the truth's unit; lower is better.

    >>> rmse([1, 3], [1, 5])
    1.4142135623730951
    """
    true, given = columns_of(truth, predicted)
    return float(np.sqrt(np.mean((given - true) ** 2)))


def mae(truth: Numbers, predicted: Numbers) -> float:
    """Return the mean absolute error, in the truth's unit; lower is better. The best constant is the median, not the mean.

    >>> mae([1, 3], [1, 5])
    1.0
    """
    true, given = columns_of(truth, predicted)
    return float(np.mean(np.abs(given - true)))


def wape(truth: Numbers, predicted: Numbers) -> float:
    """Return the sum of absolute errors over the sum of the truth, a fraction; lower is better. Zeros do no harm.

    Raises ModelError where the truth sums to 0.

    >>> wape([10, 0, 30], [8, 2, 30])
    0.1
    """
    true, given = columns_of(truth, predicted)
    if true.sum() <= 0:
        raise ModelError(f"WAPE must be taken of a truth that sums to more than 0; got {true.sum():g}.")
    return float(np.abs(given - true).sum() / true.sum())


def mape(truth: Numbers, predicted: Numbers) -> float:
    """Return the mean absolute error as a share of each truth, a fraction; lower is better.

    Means something only where no truth is near 0: raises ModelError where one is 0 or below.

    >>> round(mape([10, 20], [8, 22]), 2)
    0.15
    """
    true, given = columns_of(truth, predicted)
    if true.min() <= 0:
        raise ModelError(f"MAPE must be taken of truths above 0; got {true.min():g}. Take WAPE.")
    return float(np.mean(np.abs(given - true) / true))


def mean_tweedie_deviance(truth: Numbers, predicted: Numbers) -> float:
    """Return the mean Tweedie deviance of power 1.5, between Poisson and gamma: for sums with many zeros and a heavy tail.

    2 mean(y^(2-p) / ((1-p)(2-p)) - y m^(1-p) / (1-p) + m^(2-p) / (2-p)), p = 1.5 (Jorgensen 1987); a proper score of the
    mean. Truth must be 0 or more, the prediction above 0: else ModelError.

    >>> mean_tweedie_deviance([4.0, 1.0], [4.0, 4.0])
    1.0
    """
    true, given = columns_of(truth, predicted)
    if true.min() < 0 or given.min() <= 0:
        raise ModelError(
            f"Tweedie deviance must have a truth of 0 or more and a prediction above 0; got {true.min():g} and {given.min():g}."
        )
    p = TWEEDIE_POWER
    parts = true ** (2 - p) / ((1 - p) * (2 - p)) - true * given ** (1 - p) / (1 - p) + given ** (2 - p) / (2 - p)
    return float(2 * np.mean(parts))


def mean_poisson_deviance(truth: Numbers, predicted: Numbers) -> float:
    """Return the mean Poisson deviance: for counts; a proper score of the mean, lower is better.

    2 mean(y ln(y / m) - y + m), 0 ln 0 = 0. Truth must be 0 or more, the prediction above 0: else ModelError.

    >>> round(mean_poisson_deviance([2.0, 0.0], [1.0, 1.0]), 4)
    1.3863
    """
    true, given = columns_of(truth, predicted)
    if true.min() < 0 or given.min() <= 0:
        raise ModelError(
            f"Poisson deviance must have a truth of 0 or more and a prediction above 0; got {true.min():g} and {given.min():g}."
        )
    logs = np.where(true > 0, true * np.log(np.where(true > 0, true, 1.0) / given), 0.0)
    return float(2 * np.mean(logs - true + given))


def bias(truth: Numbers, predicted: Numbers) -> float:
    """Return the mean prediction over the mean truth, minus 1: .1 says that the sum is 10 % too high. Nearest 0 is best.

    Raises ModelError where the truth sums to 0.

    >>> round(bias([1, 3], [2, 2.4]), 3)
    0.1
    """
    true, given = columns_of(truth, predicted)
    if true.sum() == 0:
        raise ModelError("bias must be taken of a truth that does not sum to 0; got 0.")
    return float(given.sum() / true.sum() - 1)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("roc_auc", roc_auc, higher_is_better=True, needs=RANKS),
        Metric("pr_auc", pr_auc, higher_is_better=True, needs=RANKS),
        Metric("f1", f1, higher_is_better=True, needs=DECISIONS),
        Metric("brier", brier, higher_is_better=False, needs=PROBABILITIES),
        Metric("log_loss", log_loss, higher_is_better=False, needs=PROBABILITIES),
        Metric(
            "calibration_error", calibration_error, higher_is_better=False, needs=PROBABILITIES, grows_when_drawn=True
        ),
        Metric("rmse", rmse, higher_is_better=False, needs=AMOUNTS),
        Metric("mae", mae, higher_is_better=False, needs=AMOUNTS),
        Metric("wape", wape, higher_is_better=False, needs=AMOUNTS),
        Metric("mape", mape, higher_is_better=False, needs=AMOUNTS),
        Metric("mean_tweedie_deviance", mean_tweedie_deviance, higher_is_better=False, needs=POSITIVE),
        Metric("mean_poisson_deviance", mean_poisson_deviance, higher_is_better=False, needs=POSITIVE),
        Metric("bias", bias, higher_is_better=False, needs=AMOUNTS, is_signed=True),
        *(Metric(name, share_of_ideal, higher_is_better=True, needs=AMOUNTS) for name in OF_LISTS),
    )
}
"""Metrics by name."""


def metric_of(name: str) -> Metric:
    """Return a metric by name. Raises ModelError if there is none."""
    if name not in METRICS:
        raise ModelError(f"a metric must be one of {', '.join(METRICS)}; got {name!r}.")
    return METRICS[name]
