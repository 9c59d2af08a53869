"""How models are judged: splits by time, metrics with intervals, named baselines, and the gate to promotion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Candidate:
    """One contender on the held-out rows: a model or a baseline, its parameters and its figures by metric."""

    name: str
    is_baseline: bool
    figures: Mapping[str, Figure]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """How much better one contender is than another on the same held-out rows, by the primary metric, paired.

    ``gain`` is positive where ``contender`` is better, whichever way the metric points.
    """

    contender: str
    against: str
    metric: str
    gain: Figure


@dataclass(frozen=True)
class Report:
    """What one training found.

    ``held_out``: first and last day of the held-out period; ``n_rows``: rows judged; ``primary``: the metric that decides;
    ``chosen``: the candidate chosen before the held-out period; ``baseline``: the named naive baseline;
    ``against_baseline`` and ``against_champion`` (None without one): comparisons of the chosen candidate;
    ``curves``: points of plots by name (calibration, gain, lift, confusion, …), as columns of equal length;
    ``facts``: further figures by name (horizon in days, cost ratio, …); ``notes``: sentences for people.
    """

    subject: str
    held_out: tuple[date, date]
    n_rows: int
    primary: str
    chosen: str
    baseline: str
    candidates: Sequence[Candidate]
    against_baseline: Comparison
    against_champion: Comparison | None = None
    curves: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Decision:
    """What the gate says: whether to promote, and why in one sentence."""

    promote: bool
    reason: str


def gate(report: Report, *, has_champion: bool) -> Decision:
    """Return whether the chosen candidate becomes champion: better than baseline and champion by more than noise.

    More than noise: the lower end of the 95 % interval of the paired gain is above zero. ``has_champion``: whether there
    is one at all; one that could not be compared (``against_champion`` is None) is of older columns and is replaced.
    """
    found = report.against_baseline
    if found.gain.low <= 0:
        return Decision(
            False,
            f"{report.chosen} does not beat the baseline {report.baseline} by more than noise: {found.metric} better by "
            f"{found.gain.value:.4g} (95 % interval {found.gain.low:.4g} to {found.gain.high:.4g}).",
        )
    champion = report.against_champion
    if champion is not None and champion.gain.low <= 0:
        return Decision(
            False,
            f"{report.chosen} beats the baseline {report.baseline}, but not the champion {champion.against} by more than "
            f"noise: {champion.metric} better by {champion.gain.value:.4g} (95 % interval {champion.gain.low:.4g} to "
            f"{champion.gain.high:.4g}).",
        )
    whom = f"the baseline {report.baseline}"
    if champion is not None:
        whom += f" and the champion {champion.against}"
    elif has_champion:
        whom += "; the champion is of older columns and could not be compared"
    return Decision(
        True,
        f"{report.chosen} beats {whom}: {found.metric} better by {found.gain.value:.4g} (95 % interval "
        f"{found.gain.low:.4g} to {found.gain.high:.4g}) than the baseline.",
    )
