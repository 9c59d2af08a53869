"""Drift: whether what a model is asked about today still looks like what it learned from, and what to do if it does not."""

from shopkeeper.drift.page import html
from shopkeeper.drift.report import (
    AGEING,
    POLICIES,
    Action,
    ColumnDrift,
    Decay,
    DriftReport,
    Volume,
    decay,
    decide,
    examine,
    to_json,
)

__all__ = [
    "AGEING",
    "POLICIES",
    "Action",
    "ColumnDrift",
    "Decay",
    "DriftReport",
    "Volume",
    "decay",
    "decide",
    "examine",
    "html",
    "to_json",
]
