"""Models: which serves, how each contender was judged, what became of its predictions, its versions, and whether it drifts.

These exhibits are not queries: their rows come from the report that stands with each model, from the registry, and from a look
for drift. Each function takes what was read and returns it as shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from shopkeeper.evaluation import METRICS, Figure, Report
from shopkeeper.registry import ModelVersion
from shopkeeper.serving.champions import Champion
from shopkeeper.serving.exhibits.exhibit import Exhibit, Shown
from shopkeeper.serving.exhibits.told import told

METRIC_WORDS: Mapping[str, tuple[str, str]] = {
    "log_loss": ("Log loss", "How surprised the model was by what happened, in nats."),
    "brier": ("Brier score", "Mean squared distance of the predicted chance from what happened."),
    "roc_auc": ("ROC AUC", "How often a positive scores above a negative; 50 % is guessing."),
    "pr_auc": ("PR AUC", "Average precision, from the highest score down."),
    "f1": ("F1", "Harmonic mean of precision and recall of those called positive."),
    "calibration_error": ("Calibration error", "How far predicted shares are from observed ones, on average."),
    "rmse": ("RMSE", "Root of the mean squared error, in the unit of what is predicted."),
    "mae": ("MAE", "Mean absolute error, in the unit of what is predicted."),
    "wape": ("WAPE", "Sum of absolute errors over the sum of what came."),
    "mape": ("MAPE", "Mean absolute error as a share of what came."),
    "wrmsse": (
        "WRMSSE",
        "Error against that of repeating yesterday, weighted by sales over all levels; below 1 is better.",
    ),
    "coverage": ("Coverage", "Share of what came that lay within the 90 % interval; 90 % is right."),
    "mean_tweedie_deviance": ("Tweedie deviance", "Error for sums with many zeros and a heavy tail."),
    "units_mean_tweedie_deviance": ("Tweedie deviance of units", "The same of units sold."),
    "mean_poisson_deviance": ("Poisson deviance", "Error for counts: a proper score of the mean."),
    "bias": ("Bias", "Mean prediction over mean truth, minus 1; nearest 0 is best."),
    "hit_at_3": ("Hit at 3", "Share of lists with a hit among the first 3."),
    "hit_at_10": ("Hit at 10", "Share of baskets whose hidden product is among the first 10 named."),
    "recall_at_20": ("Recall at 20", "Share of what was bought that stands among the first 20."),
    "ndcg_at_20": ("NDCG at 20", "How near the first 20 places come to the ideal order; 1 is ideal."),
    "reciprocal_rank": ("Reciprocal rank", "One over the place of the hidden product, on average."),
    "silhouette": ("Silhouette", "How much nearer customers are to their own group than to the next; -1 to 1."),
    "calinski_harabasz": ("Calinski-Harabasz", "Spread between groups over spread within them."),
    "davies_bouldin": ("Davies-Bouldin", "How alike neighbouring groups are."),
}
"""Metric → its name and what it says, for people."""
_LOWER = {"wrmsse", "davies_bouldin", "units_mean_tweedie_deviance"}
_NO_WAY = {"coverage", "bias"}

CHAMPIONS = Exhibit(
    "champions",
    "Which model answers what",
    "One row per question: the model that serves, the naive baseline it was held against, and by how much better it is "
    "on held-out "
    "data, by the metric that decides, with the 95 % interval of that gain. A model is promoted only if the whole interval "
    "lies above 0.",
    "",
    "subject:text about:text version:text candidate:text baseline:text verdict:text metric:text value:number "
    "baseline_value:number gain:number gain_low:number gain_high:number n_rows:count held_out_from:date held_out_to:date "
    "data_before:date trained_at:moment",
    obeys=(),
    headings={
        "subject": "Model",
        "about": "Question",
        "candidate": "Kind",
        "baseline_value": "Baseline's",
        "gain": "Better by",
        "gain_low": "At least",
        "gain_high": "At most",
        "n_rows": "Held-out rows",
        "data_before": "Data before",
        "trained_at": "Trained",
    },
)
CONTENDERS = Exhibit(
    "contenders",
    "The contenders on held-out data",
    "Each candidate and baseline, judged once on rows that none of them had seen, with the 95 % interval of chance.",
    "",
    "candidate:text role:text metric:text value:number low:number high:number way:text",
    obeys=(),
    headings={"low": "At least", "high": "At most", "way": "Better is"},
)
VERSIONS = Exhibit(
    "model_versions",
    "History of versions",
    "Every version that was trained, newest first: which is champion, which challenges it, what the gate said of it.",
    "",
    "version:text state:text candidate:text metric:text value:number low:number high:number trained_at:moment data_before:date "
    "reason:text",
    obeys=(),
    headings={
        "candidate": "Kind",
        "low": "At least",
        "high": "At most",
        "trained_at": "Trained",
        "data_before": "Data before",
        "reason": "The gate said",
    },
)
DRIFT = Exhibit(
    "drift",
    "What the model reads, then and now",
    "Each column that the model reads, and its prediction first: how far today's rows are from those of the training. The "
    "stability index is 0 where nothing moved; from 0.1 it is worth a look, from 0.25 it is strong. An alarm wants a "
    "difference that matters and that chance does not explain.",
    "",
    "column:text alarm:text stability_index:number distance:number shift:number missing_before:share missing_now:share "
    "new_share:share p_value:number is_expected:flag",
    obeys=(),
    headings={
        "shift": "Shift in standard deviations",
        "missing_before": "Missing then",
        "missing_now": "Missing now",
        "new_share": "In new categories",
        "p_value": "p-value",
        "is_expected": "Moves with age",
    },
)
DRIFT_BINS = Exhibit(
    "drift_bins",
    "How a column was spread, then and now",
    "Shares of rows in each bin, at the training and today.",
    "",
    "bin:text before:share now:share",
    obeys=(),
)

_CURVES: Mapping[str, tuple[str, str, str]] = {
    "calibration": (
        "Do the predicted chances hold?",
        "Held-out rows in equal groups by predicted chance: what was predicted, and what came true. On the line, all is right.",
        "predicted:share observed:share low:share high:share n:count",
    ),
    "gain": (
        "Gain",
        "Of those with the highest scores, which share of all positives they hold.",
        "share_of_rows:share share_of_positives:share",
    ),
    "lift": (
        "Lift",
        "How many times as often as in all rows a positive is met among those with the highest scores.",
        "share_of_rows:share lift:number",
    ),
    "roc": (
        "ROC",
        "Share of positives found against share of negatives called positive, at every threshold.",
        "false_positive_rate:share true_positive_rate:share",
    ),
    "pr": (
        "Precision and recall",
        "How many of those called are right, against how many are found.",
        "recall:share precision:share",
    ),
    "confusion": (
        "Confusion matrix",
        "Held-out rows by what was true and what was called at the model's threshold.",
        "truth:count predicted:count n:count",
    ),
    "value_by_tenth": (
        "Expected and actual value",
        "Customers in equal groups by expected value, the least first: mean value per customer, expected and come.",
        "expected:money actual:money",
    ),
    "order_days_by_frequency": (
        "Order days by how often they had come",
        "Mean order days per customer in the held-out period, by repeat order days before it.",
        "repeat_order_days:text n_customers:count actual:number expected:number",
    ),
    "tracking": (
        "Repeat order days, week by week",
        "Cumulative repeat order days of all customers; the held-out weeks were never seen by the fit.",
        "weeks:number actual:number expected:number is_held_out:flag",
    ),
    "completion": (
        "How often the hidden product is named",
        "One product of each held-out basket is hidden: in how many baskets it is among the first so many named.",
        "k:count model:text hits:share",
    ),
    "rule_stability": (
        "Do rules hold later?",
        "Lift of each rule in the baskets it was found in, and in the weeks after.",
        "lift_before:number lift_later:number holds:flag",
    ),
    "hits_by_length": (
        "Customers who bought something of the list",
        "Share of held-out customers who bought one of the first so many products named.",
        "candidate:text length:count hit_rate:share",
    ),
    "backtest": (
        "Forecast and what came",
        "Units a day of all products over the held-out days: sold, forecast with its 90 % interval, and the seasonal naive.",
        "day:date actual:number units:number low:number high:number naive:number",
    ),
    "price_response": (
        "How demand answered to prices",
        "Lines sold against those the season alone brings, by how far the price was from the usual one.",
        "move:change n:count actual:number low:number high:number expected:number",
    ),
}
"""Kind of a curve → its title, its definition, its columns. Curves of other kinds stand on the pages of their subject."""


class Looked(Protocol):
    """A look for drift, as ``training.Watched``."""

    @property
    def report(self) -> Any: ...  # noqa: D102 - read where Watched says it


def metric_words(metric: str) -> tuple[str, str]:
    """Return a metric's name and what it says, with which way is better."""
    name, says = METRIC_WORDS.get(metric, (metric.replace("_", " ").capitalize(), ""))
    way = way_of(metric)
    return name, f"{says} {way.capitalize()} is better." if way in {"higher", "lower"} else says


def way_of(metric: str) -> str:
    """Return which way a metric is better: higher, lower, or nearest to what it should be."""
    if metric in _NO_WAY:
        return "near 90 %" if metric == "coverage" else "near 0"
    known = METRICS.get(metric)
    return "higher" if (known.higher_is_better if known else metric not in _LOWER) else "lower"


def answering(found: Iterable[Champion], version: int) -> Shown:
    """Return the models that serve with a published version."""
    rows = []
    for each in found:
        report, made = each.report, each.version
        serves = report.baseline if made.is_baseline else report.chosen
        best, plain = _figure(report, serves), _figure(report, report.baseline)
        gain = report.against_baseline.gain
        rows.append(
            {
                "subject": each.subject,
                "about": each.about,
                "version": made.name,
                "candidate": serves,
                "baseline": report.baseline,
                "verdict": _verdict(each),
                "metric": metric_words(report.primary)[0],
                "value": best.value if best else None,
                "baseline_value": plain.value if plain else None,
                "gain": gain.value,
                "gain_low": gain.low,
                "gain_high": gain.high,
                "n_rows": report.n_rows,
                "held_out_from": report.held_out[0],
                "held_out_to": report.held_out[1],
                "data_before": made.tags.get("as_of") or None,
                "trained_at": made.trained_at,
            }
        )
    return told(CHAMPIONS, rows, version=version, command="shopkeeper models list")


def beats(champion: Champion) -> bool:
    """Return whether a model serves that beat its baseline by more than chance."""
    return not champion.version.is_baseline and champion.report.against_baseline.gain.low > 0


def _verdict(champion: Champion) -> str:
    if beats(champion):
        return "beats its baseline"
    return "the baseline serves" if champion.version.is_baseline else "serves by hand"


def _figure(report: Report, name: str) -> Figure | None:
    return next((each.figures.get(report.primary) for each in report.candidates if each.name == name), None)


def contenders(report: Report, version: int, name: str) -> Shown:
    """Return each contender with each of its figures; ``name``: of the model version, such as churn/3."""
    rows = [
        {
            "candidate": one.name,
            "role": "baseline" if one.is_baseline else "chosen" if one.name == report.chosen else "candidate",
            "metric": metric,
            "value": figure.value,
            "low": figure.low,
            "high": figure.high,
            "way": way_of(metric),
        }
        for one in report.candidates
        for metric, figure in one.figures.items()
    ]
    return told(CONTENDERS, rows, version=version, command=f"shopkeeper models show {name}")


def metrics_of(report: Report) -> list[str]:
    """Return the metrics that the contenders were judged by, the one that decides first."""
    found = dict.fromkeys(metric for one in report.candidates for metric in one.figures)
    return [report.primary, *(metric for metric in found if metric != report.primary)]


def curves(report: Report, version: int, name: str) -> dict[str, Shown]:
    """Return the report's curves that this page tells of, by kind: what the predictions came to on held-out rows."""
    found = {}
    for kind, (title, definition, columns) in _CURVES.items():
        for curve, points in report.curves.items():
            if curve.partition(":")[0] != kind or not any(len(column) for column in points.values()):
                continue
            exhibit = Exhibit(f"{report.subject}_{kind}", title, definition, "", columns, obeys=())
            length = max(len(column) for column in points.values())
            rows = [
                {column: points[column][place] if column in points else None for column in exhibit.units}
                for place in range(length)
            ]
            found[kind] = told(
                exhibit, rows, version=version, command=f"shopkeeper models show {name} --out {report.subject}"
            )
    return found


def at(shown: Shown, x: str, y: str, where: float) -> float:
    """Return the height of a curve at a place, between its points in a straight line."""
    return float(np.interp(where, shown.column(x), shown.column(y)))


def area(shown: Shown, x: str, y: str) -> float:
    """Return the area under a curve."""
    return float(np.trapezoid(shown.column(y), shown.column(x)))


def history(found: Sequence[ModelVersion], primary: str, version: int) -> Shown:
    """Return the versions of one model, newest first, with the figure that decided."""
    rows = []
    for each in found:
        candidate = each.tags.get("chosen") or each.tags.get("candidate", "")
        # A kind may have contended in more than one variant; of a version that does not say which it is, none is told.
        variants = {name.partition(".")[0] for name in each.figures if name.startswith(candidate)}
        is_told = "chosen" in each.tags or len(variants) == 1
        figure = each.figures.get(f"{candidate}.{primary}") if is_told else None
        rows.append(
            {
                "version": each.name,
                "state": f"{each.state} (baseline)" if each.is_baseline else each.state,
                "candidate": candidate,
                "metric": metric_words(primary)[0],
                "value": figure.value if figure else None,
                "low": figure.low if figure else None,
                "high": figure.high if figure else None,
                "trained_at": each.trained_at,
                "data_before": each.tags.get("as_of") or None,
                "reason": each.tags.get("reason"),
            }
        )
    return told(VERSIONS, rows, version=version, command="shopkeeper models list")


def drifted(looked: Looked, subject: str, version: int) -> Shown:
    """Return what a look for drift found, column by column, the gravest first."""
    columns = looked.report.columns if looked.report else ()
    rows = [
        {
            "column": each.name,
            "alarm": each.alarm,
            "stability_index": each.psi,
            "distance": each.distance,
            "shift": each.shift,
            "missing_before": each.nulls_before,
            "missing_now": each.nulls_now,
            "new_share": each.new_share,
            "p_value": each.p_value,
            "is_expected": each.is_expected,
        }
        for each in columns
    ]
    return told(DRIFT, rows, version=version, command=f"shopkeeper drift {subject}")


def drift_bins(looked: Looked, column: str, subject: str, version: int) -> Shown:
    """Return how one column was spread at the training, and is now."""
    found = next((each for each in looked.report.columns if each.name == column), None) if looked.report else None
    rows = (
        [
            {"bin": label, "before": before, "now": now}
            for label, before, now in zip(found.labels, found.before, found.now, strict=True)
        ]
        if found
        else []
    )
    return told(DRIFT_BINS, rows, version=version, command=f"shopkeeper drift {subject} --out drift")
