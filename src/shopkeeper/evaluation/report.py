"""What a training found, kept as JSON and told as a model card; and the gate to promotion."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any

import numpy as np

from shopkeeper.errors import ModelError

ROUNDING = 1e-12
"""A figure below it is nought that arithmetic left a digit on."""
STANDING_LIMITS = (
    "Figures hold for customers and seasons like those of the held-out period; the interval is of chance, not of change.",
    "Scores say what tends to happen, not what an action would cause.",
)


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
    is one at all; one that could not be compared (``against_champion`` is None) is replaced: it reads older columns, answers
    another question, or has seen the held-out period; the report's notes say which.
    """
    found = report.against_baseline
    if report.chosen == report.baseline:
        return Decision(False, f"Only the baseline {report.baseline} could be fitted; the notes say why.")
    if found.gain.low <= 0:
        return Decision(
            False, f"{report.chosen} does not beat the baseline {report.baseline}{_by_no_more_than_noise(found)}"
        )
    champion = report.against_champion
    if champion is not None and champion.gain.low <= 0:
        return Decision(
            False,
            f"{report.chosen} beats the baseline {report.baseline}, but not the champion {champion.against}"
            f"{_by_no_more_than_noise(champion)}",
        )
    whom = f"the baseline {report.baseline}"
    if champion is not None:
        whom += f" and the champion {champion.against}"
    elif has_champion:
        whom += "; the champion could not be compared, and the notes say why"
    return Decision(
        True,
        f"{report.chosen} beats {whom}: {found.metric} better by {found.gain.value:.4g} (95 % interval "
        f"{found.gain.low:.4g} to {found.gain.high:.4g}){' than the baseline' if champion is not None else ''}.",
    )


def _by_no_more_than_noise(found: Comparison) -> str:
    gain = found.gain
    if gain.low == gain.high == 0:
        return ": both score alike."
    return f" by more than noise: {found.metric} better by {gain.value:.4g} (95 % interval {gain.low:.4g} to {gain.high:.4g})."


def to_json(report: Report) -> str:
    """Return the report as JSON that ``from_json`` reads back to an equal report.

    Raises ModelError if it holds what JSON cannot: a number that is not finite, or an object.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            return value.tolist()
        raise TypeError(f"{type(value).__name__} {value!r}")

    try:
        return json.dumps(asdict(report), indent=1, sort_keys=True, allow_nan=False, default=plain)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"a report must hold numbers, texts and dates only; got: {error} in {report.subject}."
        ) from error


def from_json(text: str) -> Report:
    """Return the report that ``to_json`` wrote. Raises ModelError if a field is missing, unknown or not what it must be."""
    try:
        told = _fields(Report, json.loads(text))
        first, last = (date.fromisoformat(day) for day in told["held_out"])
        against = told.get("against_champion")
        return Report(
            **{
                **told,
                "held_out": (first, last),
                "candidates": [
                    Candidate(
                        **{**_fields(Candidate, one), "figures": {n: _figure(f) for n, f in one["figures"].items()}}
                    )
                    for one in told["candidates"]
                ],
                "against_baseline": _comparison(told["against_baseline"]),
                "against_champion": None if against is None else _comparison(against),
                "notes": tuple(told.get("notes", ())),
            }
        )
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"a stored report must be one that this version wrote; got: {error}. Train anew.") from error


def _fields(kind: type, told: dict[str, Any]) -> dict[str, Any]:
    known = {one.name for one in fields(kind)}
    if unknown := sorted(told.keys() - known):
        raise ValueError(f"{kind.__name__} with unknown {', '.join(unknown)}")
    return told


def _figure(told: dict[str, Any]) -> Figure:
    return Figure(**{name: float(value) for name, value in told.items()})


def _comparison(told: dict[str, Any]) -> Comparison:
    return Comparison(**{**_fields(Comparison, told), "gain": _figure(told["gain"])})


def card(
    report: Report,
    *,
    about: str,
    span: tuple[date, date] | None = None,
    decision: Decision | None = None,
    version: str | None = None,
    limits: Sequence[str] = (),
) -> str:
    """Return the model card, in Markdown: what it answers, on which data, how it was judged, what was found, its limits.

    ``about``: the subject's sentence; ``span``: first and last day of the data; ``decision``: what the gate said;
    ``limits``: further sentences on what not to use it for.
    """
    told = [f"# {version or report.subject}", "", about, ""]
    if span:
        told += [f"- **Data:** {span[0]} to {span[1]}."]
    first, last = report.held_out
    told += [
        f"- **Held out:** {first} to {last}, {report.n_rows:,} rows; looked at once, after all was chosen.",
        f"- **Chosen before that:** {report.chosen}. **Baseline:** {report.baseline}. **Decided by:** {report.primary}.",
        *[f"- {_said(found)}" for found in (report.against_baseline, report.against_champion) if found],
    ]
    if decision:
        told += [f"- **The gate:** {'promoted' if decision.promote else 'not promoted'}. {decision.reason}"]
    told += ["", "## Candidates on the held-out rows", "", *_figures_table(report), ""]
    if report.facts:
        told += ["## Facts", "", "| fact | value |", "|---|---|"]
        told += [f"| {name} | {_short(value)} |" for name, value in _flat(report.facts)] + [""]
    if report.notes:
        told += ["## Notes", "", *[f"- {note}" for note in report.notes], ""]
    told += ["## Limits", "", *[f"- {limit}" for limit in (*limits, *STANDING_LIMITS)], ""]
    return "\n".join(told)


def _said(found: Comparison) -> str:
    gain = found.gain
    return (
        f"{found.contender} against {found.against}: {found.metric} better by {gain.value:.4g} (95 % interval "
        f"{gain.low:.4g} to {gain.high:.4g})."
    )


def _figures_table(report: Report) -> list[str]:
    metrics = list(dict.fromkeys(name for one in report.candidates for name in one.figures))
    lines = [f"| candidate | {' | '.join(metrics)} |", f"|---|{'---|' * len(metrics)}"]
    for one in report.candidates:
        name = (
            one.name + (" (baseline)" if one.is_baseline else "") + (" (chosen)" if one.name == report.chosen else "")
        )
        cells = [_cell(one.figures[metric]) if metric in one.figures else "" for metric in metrics]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _cell(figure: Figure) -> str:
    return f"{_short(figure.value)} ({_short(figure.low)} to {_short(figure.high)})"


def _flat(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each fact under one name; those of a table as ``table.name``."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", each) for inner, each in _flat(value))
        else:
            yield name, value


def _short(value: Any) -> str:
    if isinstance(value, float):
        value = 0.0 if abs(value) < ROUNDING else value
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
