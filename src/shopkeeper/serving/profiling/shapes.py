"""What is found in one column, as values that do not change: its counts, and the shape of its distribution by its kind."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

Kind = Literal["number", "moment", "text", "flag", "other"]


@dataclass(frozen=True)
class Bin:
    """Rows from ``low`` up to, but not including, ``high``."""

    low: float
    high: float
    n_rows: int


@dataclass(frozen=True)
class Value:
    """A value and how many rows have it."""

    value: str
    n_rows: int


@dataclass(frozen=True)
class Box:
    """A box plot: quartiles (linear between neighbours), the last values within 1.5 quartile ranges, and how many lie beyond."""

    lower_whisker: float
    q1: float
    median: float
    q3: float
    upper_whisker: float
    n_below: int
    n_above: int

    @property
    def n_outliers(self) -> int:
        """Rows beyond the whiskers."""
        return self.n_below + self.n_above


@dataclass(frozen=True)
class Numbers:
    """How numbers are spread. ``sd`` and ``skew`` are those of a sample; None where they cannot be said.

    ``bins`` are of one width; ``n_under`` and ``n_over`` rows lie before the first and after the last, three quartile ranges
    and more beyond the quartiles. ``n_not_finite``: infinite or not a number, left out of all else. ``is_whole``: no value
    has a fraction.
    """

    lowest: float
    highest: float
    mean: float
    sd: float | None
    skew: float | None
    n_zero: int
    n_negative: int
    n_not_finite: int
    is_whole: bool
    box: Box
    bins: tuple[Bin, ...]
    n_under: int
    n_over: int


@dataclass(frozen=True)
class Moments:
    """From when to when, and how many rows in each ``unit`` (minute, hour, day, week, month or year) that has any."""

    first: date | datetime
    last: date | datetime
    unit: str
    bins: tuple[tuple[date | datetime, int], ...]


@dataclass(frozen=True)
class Texts:
    """How long texts are (letters), how many hold nothing but blanks, and the most frequent; ``n_other`` rows have another.

    ``top`` is empty where the values may not be shown, or are too many to be counted.
    """

    shortest: int
    longest: int
    n_blank: int
    top: tuple[Value, ...]
    n_other: int


@dataclass(frozen=True)
class Column:
    """One column. ``meaning``: what the documentation says. ``is_hidden``: its values may tell of a person and are not shown."""

    name: str
    type: str
    kind: Kind
    meaning: str
    n_rows: int
    n_missing: int
    n_distinct: int
    is_distinct_exact: bool
    is_hidden: bool
    numbers: Numbers | None = None
    moments: Moments | None = None
    texts: Texts | None = None

    @property
    def missing_share(self) -> float:
        """Missing rows over all rows; 0 in an empty table."""
        return self.n_missing / self.n_rows if self.n_rows else 0.0

    @property
    def is_constant(self) -> bool:
        """Whether no two known values differ."""
        return self.n_distinct <= 1
