"""How well other models re-predict segments from features, and which features tell each segment from the rest.

Fitted on some customers and judged on others. LightGBM runs on one thread, row-wise and deterministic.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shopkeeper.evaluation import log_loss
from shopkeeper.models.customer_rows import numbers
from shopkeeper.models.segment_model import FEATURES, Floats, Whole

TOLD = (
    *FEATURES,
    "days_since_first_order",
    "mean_days_between_orders",
    "sales_per_order",
    "n_products",
    "units_per_order",
    "discount_share",
    "return_share",
    "mean_order_hour",
)
"""The features that importance is told of: what segments are made of, and other behaviour."""
LEAVES = 12
ROUNDS = 60
BOOSTED = {
    "num_leaves": 15,
    "learning_rate": 0.15,
    "min_data_in_leaf": 5,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


def surrogate_scores(
    rows: pa.Table, labels: Whole, judged: pa.Table, truth: Whole, *, seed: int
) -> dict[str, dict[str, float]]:
    """Return accuracy and macro-F1 on ``judged`` of a tree of twelve leaves and of a boosted tree fitted on ``rows``."""
    import lightgbm
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.tree import DecisionTreeClassifier

    order = _order(rows)
    fitted, others = _matrix(rows, FEATURES)[order], _matrix(judged, FEATURES)
    names, codes = np.unique(labels[order], return_inverse=True)
    tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, random_state=seed).fit(fitted, codes).predict(others)
    parameters = {**BOOSTED, "objective": "multiclass", "num_class": len(names), "seed": seed}
    booster = lightgbm.train(parameters, lightgbm.Dataset(fitted, codes), ROUNDS)
    boosted = np.asarray(booster.predict(others, num_threads=1)).argmax(axis=1)
    return {
        name: {
            "accuracy": float(accuracy_score(truth, names[found])),
            "macro_f1": float(f1_score(truth, names[found], average="macro")),
        }
        for name, found in (("tree", tree), ("boosted", boosted))
    }


def importances(rows: pa.Table, labels: Whole, judged: pa.Table, truth: Whole, *, seed: int) -> dict[str, list[Any]]:
    """Return permutation importance (Breiman 2001; Fisher, Rudin and Dominici 2019) per segment, one against the rest.

    Columns ``segment``, ``feature``, ``importance``: how much the log loss of a boosted tree on ``judged`` grows, in nats,
    where the feature's values are shuffled; the most important first.
    """
    import lightgbm

    order, sorted_rows = _order(rows), _order(judged)
    fitted, others = _matrix(rows, TOLD)[order], _matrix(judged, TOLD)[sorted_rows]
    labels, truth = labels[order], truth[sorted_rows]
    shuffled = np.random.default_rng(seed).permutation(len(others))
    told: list[tuple[int, str, float]] = []
    for segment in np.unique(truth).tolist():
        mine = labels == segment
        if not mine.any() or mine.all():
            continue
        parameters = {**BOOSTED, "objective": "binary", "seed": seed}
        booster = lightgbm.train(parameters, lightgbm.Dataset(fitted, mine.astype(np.int64)), ROUNDS)
        whole = _loss(booster, others, truth == segment)
        drops = []
        for place, name in enumerate(TOLD):
            changed = others.copy()
            changed[:, place] = changed[shuffled, place]
            drops.append((segment, name, _loss(booster, changed, truth == segment) - whole))
        told += sorted(drops, key=lambda drop: (-drop[2], drop[1]))
    columns = list(zip(*told, strict=True)) or [()] * 3
    return {name: list(column) for name, column in zip(("segment", "feature", "importance"), columns, strict=True)}


def _loss(booster: Any, values: Floats, truth: np.ndarray) -> float:
    return log_loss(truth.astype(np.float64), np.asarray(booster.predict(values, num_threads=1)))


def _matrix(rows: pa.Table, names: Sequence[str]) -> Floats:
    return np.column_stack([numbers(rows, name) for name in names])


def _order(rows: pa.Table) -> Whole:
    return np.argsort(rows["customer_id"].to_numpy(zero_copy_only=False).astype(str), kind="stable")
