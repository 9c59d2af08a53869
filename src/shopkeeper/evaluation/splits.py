"""Splits that judge as we will live: train on what was known, test on what came after.

A moment ``m`` knows what happened before day ``m``; its outcome of a horizon ``H`` is what happens in the days
``[m, m + H)``. The edge is always the same: an outcome window that ends where another moment begins does not overlap it.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.evaluation.metrics import Numbers


def moments_before(
    first_day: date | None, last_day: date | None, horizon: int, *, every: int, least: int
) -> tuple[list[date], date]:
    """Return the training moments, the earliest first, and the held-out moment.

    ``first_day``, ``last_day``: of the history, both inclusive (None: no history); ``horizon``: days of an outcome window;
    ``every``: days between two training moments; ``least``: days of history that the earliest moment must know.

    Held out is the last moment whose window is known whole: ``M = last_day + 1 - horizon``. Training moments are
    ``M - horizon``, ``M - horizon - every``, …: each window ends on or before day ``M - 1``, so nothing that the held-out
    rows are judged by is known in training. Raises ModelError if there is not one training moment.

    >>> moments_before(date(2024, 1, 1), date(2024, 3, 31), 30, every=10, least=15)
    ([datetime.date(2024, 1, 22), datetime.date(2024, 2, 1)], datetime.date(2024, 3, 2))
    """
    if horizon < 1 or every < 1 or least < 0:
        raise ModelError(
            f"horizon and every must be 1 day or more, least 0 or more; got {horizon}, {every} and {least}."
        )
    if first_day is None or last_day is None:
        raise ModelError("a history must have orders to train on; got none. Load orders first.")
    span, needed = (last_day - first_day).days + 1, 2 * horizon + least
    held_out = last_day + timedelta(days=1 - horizon)
    latest = held_out - timedelta(days=horizon)
    room = (latest - first_day).days - least
    if room < 0:
        raise ModelError(
            f"a history must span at least {needed} days to look {horizon} days ahead: {least} days to learn from and two "
            f"windows, one to train and one to judge; got {span} days, {first_day} to {last_day}. Wait for more data, or "
            f"shorten the horizon."
        )
    return [latest - timedelta(days=every * back) for back in range(room // every, -1, -1)], held_out


def time_folds(moments: Sequence[date], k: int, *, horizon: int = 0) -> list[tuple[list[date], list[date]]]:
    """Return up to ``k`` folds of moments, each trained on earlier moments and tested on later ones.

    The moments (repeated ones count once) are cut into ``k + 1`` runs of nearly equal length; fold ``i`` tests run ``i``
    and trains on the moments before it whose windows of ``horizon`` days end on or before its first moment. Folds left
    without training are dropped. Raises ModelError if none remains.

    >>> days = [date(2024, 1, day) for day in (1, 2, 3)]
    >>> [(len(train), len(test)) for train, test in time_folds(days, 2)]
    [(1, 1), (2, 1)]
    """
    known = sorted(set(moments))
    runs = [[known[at] for at in run] for run in np.array_split(np.arange(len(known)), min(k + 1, max(len(known), 1)))]
    folds = []
    for test in runs[1:]:
        train = [moment for moment in known if moment < test[0] and moment + timedelta(days=horizon) <= test[0]]
        if train:
            folds.append((train, test))
    if not folds:
        raise ModelError(
            f"folds by time must have moments {max(horizon, 1)} days apart, to train on some and test on later ones; got "
            f"{len(known)}: {', '.join(map(str, known[:3]))}."
        )
    return folds


def stratified_folds(labels: Numbers, k: int, seed: int) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return ``k`` folds as (training rows, test rows), each class spread evenly over the folds.

    Each row is tested once. The rows' order counts: sort them first. Raises ModelError if a class has fewer than ``k``
    rows or ``k`` is below 2.
    """
    classes, of_rows = np.unique(np.asarray(labels), return_inverse=True)
    counts = np.bincount(of_rows)
    if k < 2 or not len(counts) or counts.min() < k:
        fewest = int(counts.min()) if len(counts) else 0
        raise ModelError(
            f"each class must have at least as many rows as folds, and folds be 2 or more; got {fewest}, {k}."
        )
    rng = np.random.default_rng(seed)
    fold = np.empty(len(of_rows), np.int64)
    start = 0
    for number in range(len(classes)):
        rows = rng.permutation(np.flatnonzero(of_rows == number))
        fold[rows] = (np.arange(len(rows)) + start) % k
        start += len(rows)
    return [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(k)]
