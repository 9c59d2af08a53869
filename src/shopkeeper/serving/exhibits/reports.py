"""What the report of the model that serves with a version holds: its facts, and the curves behind its choices."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shopkeeper.serving.exhibits.exhibit import Exhibit, Shown

if TYPE_CHECKING:
    from shopkeeper.serving.editions import Edition


def report_of(edition: "Edition", subject: str) -> Mapping[str, Any]:
    """Return the report of a subject's champion as its JSON says; empty where none serves."""

    def read() -> Mapping[str, Any]:
        try:
            told: dict[str, Any] = json.loads((edition.folder / "models" / subject / "report.json").read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return told

    found: Mapping[str, Any] = edition.keep(("report", subject), read)
    return found


def curve(edition: "Edition", subject: str, exhibit: Exhibit) -> Shown:
    """Return a curve of a report, the one that has the exhibit's name, in the exhibit's columns; no rows where there is none."""
    told = report_of(edition, subject).get("curves", {}).get(exhibit.name, {})
    return _shown(edition, subject, exhibit, {name: told[name] for name in exhibit.units if name in told})


def candidates(edition: "Edition", subject: str, exhibit: Exhibit) -> Shown:
    """Return a report's candidates with their figures: one row per candidate and figure, the champion's first."""
    report = report_of(edition, subject)
    chosen = report.get("chosen")
    rows = [
        {
            "candidate": each["name"],
            "is_chosen": each["name"] == chosen,
            "is_baseline": each["is_baseline"],
            "figure": name,
            "value": figure["value"],
            "low": figure["low"],
            "high": figure["high"],
        }
        for each in report.get("candidates", [])
        for name, figure in each["figures"].items()
    ]
    rows.sort(key=lambda row: (not row["is_chosen"], row["is_baseline"]))
    return _shown(edition, subject, exhibit, {name: [row[name] for row in rows] for name in exhibit.units})


def _shown(edition: "Edition", subject: str, exhibit: Exhibit, columns: Mapping[str, Any]) -> Shown:
    named = edition.version.models.get(subject, subject)
    how = f"From the report of {named}, whose files `shopkeeper models show {named} --out DIR` copies."
    return Shown(exhibit, pa.table(dict(columns)), "", edition.number, how=how)
