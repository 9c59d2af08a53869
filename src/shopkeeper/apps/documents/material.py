"""What a report is made of: one month of one version, asked once, so that no two numbers are of different versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from shopkeeper.apps.charts import Formats
from shopkeeper.serving.exhibits import Shown
from shopkeeper.serving.judgements import Judgement
from shopkeeper.serving.profiling import Fault


@dataclass(frozen=True)
class Rejected:
    """Rows in quarantine that broke one rule."""

    source: str
    column: str
    rule: str
    n_rows: int


@dataclass(frozen=True)
class Material:
    """A month of a shop. ``shown``: answers by the name of their exhibit, those that lack a table included.

    ``judged`` and ``unread``: how the models that serve did, and those whose judgement cannot be read; ``rows``: what the loads
    read, loaded, found again and rejected; ``names_customers``: whether single customers may be named.
    """

    shop: str
    month: date
    version: int
    published_at: datetime
    formats: Formats
    shown: Mapping[str, Shown]
    judged: Sequence[Judgement] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    rejected: Sequence[Rejected] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    faults: Sequence[Fault] = ()
    names_customers: bool = False

    def rows_of(self, name: str) -> list[dict[str, Any]]:
        """Return an exhibit's rows; none where it was not asked or lacks a table."""
        return self.shown[name].rows if name in self.shown and not self.shown[name].lacks else []

    def first(self, name: str) -> dict[str, Any]:
        """Return an exhibit's first row; empty where there is none."""
        rows = self.rows_of(name)
        return rows[0] if rows else {}

    def of_month(self, name: str) -> dict[str, Any]:
        """Return the row of the month from an exhibit with one row a month; empty where it has none."""
        return next((row for row in self.rows_of(name) if row["month_start"] == self.month), {})

    @property
    def has_sales(self) -> bool:
        """Whether there are sales to tell; else the shop is told by its visits."""
        return bool(self.of_month("months"))

    @property
    def month_name(self) -> str:
        """The month in words: November 2011."""
        return f"{self.month:%B %Y}"
