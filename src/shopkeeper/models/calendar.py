"""The days of a shop: on which it sells, which are public holidays, and which days ahead it will be open.

The one door to ``holidays``. A day is a number: days since 1970-01-01 (1970-01-01 was a Thursday), as NumPy's ``datetime64``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError

Days = NDArray[np.int64]
Flags = NDArray[np.bool_]
EPOCH = date(1970, 1, 1)
WEEK = 7
SURE = 7.0
"""So many orders expected and none seen is not chance: e^-7 is 1 in 1,000."""
RECENT = 8
"""A weekday is open ahead if it was on at least half of its last so many occurrences."""
MOVED = "(observed)"
CLOSED_RUN = 21
"""A closed period that holds a holiday and is no longer than this comes again with that holiday."""
ALIASES: Mapping[str, str] = {
    "eire": "IE",
    "usa": "US",
    "united states of america": "US",
    "uk": "GB",
    "great britain": "GB",
    "england": "GB",
    "holland": "NL",
    "korea": "KR",
    "south korea": "KR",
    "russia": "RU",
    "rsa": "ZA",
    "czech republic": "CZ",
    "turkey": "TR",
}
"""Names of countries that shops write and ``holidays`` does not know, as ISO 3166 codes."""


def number_of(day: date) -> int:
    """Return a day as a number.

    >>> number_of(date(1970, 1, 2))
    1
    """
    return (day - EPOCH).days


def day_of(number: int) -> date:
    """Return the day of a number."""
    return EPOCH + timedelta(int(number))


def weekday_of(days: Days) -> Days:
    """Return the weekday of each day, Monday 0.

    >>> weekday_of(np.array([0, 4])).tolist()
    [3, 0]
    """
    return (days + 3) % WEEK


def country_code(country: str) -> str:
    """Return the ISO 3166 code of a country's name or code; empty if it is none that ``holidays`` knows.

    >>> country_code("United Kingdom"), country_code("de"), country_code("Atlantis")
    ('GB', 'DE', '')
    """
    from holidays.registry import COUNTRIES

    told = " ".join(country.lower().replace("_", " ").split())
    if told in ALIASES:
        return ALIASES[told]
    for name, (_, *codes) in COUNTRIES.items():
        if told == name.replace("_", " ") or told.upper() in codes:
            return str(codes[0])
    return ""


def holidays_of(country: str, first: date, last: date) -> tuple[dict[int, str], str]:
    """Return the public holidays of a country within some days: day → name; and a sentence if the country is not known.

    An unknown country, or none, has no holidays.
    """
    if not country.strip():
        return {}, "The shop names no country: forecasts know no public holidays. Set shop.country."
    code = country_code(country)
    if not code:
        return {}, (
            f"A country must be one whose holidays are known; got {country!r}. Forecasts go on without public holidays. "
            f"Write its English name or ISO code in shop.country."
        )
    import holidays

    found: Any = holidays.country_holidays(code, years=range(first.year, last.year + 1), language="en_US")
    return {number_of(day): str(name) for day, name in sorted(found.items()) if first <= day <= last}, ""


def is_open(orders: NDArray[np.float64], first: int) -> Flags:
    """Return for each day of a record whether the shop was open, learnt from its own orders of each day.

    ``orders``: of each day, the first being day number ``first``. A day with an order is open. A day without one is closed
    where chance does not explain it: its weekday never had an order though seven would have been expected; seven or more
    are usual on its weekday; or it stands in a run of such days (holidays, a month's gap) that together should have had
    seven. What chance explains, as in a shop with an order a week, is an open day on which nothing sold.

    >>> is_open(np.array([9.0] * 5 + [0, 9] * 1 + [9.0] * 5 + [0, 9]), 4).tolist().count(False)
    2
    """
    weekday = weekday_of(first + np.arange(len(orders)))
    opened = orders > 0
    rate = float(orders.mean()) if len(orders) else 0.0
    usual = np.zeros(WEEK)
    for day in range(WEEK):
        of_day = orders[weekday == day]
        if len(of_day) and of_day.sum():
            usual[day] = float(np.median(of_day[of_day > 0])) * float((of_day > 0).mean())
    never = np.array([not orders[weekday == day].sum() for day in range(WEEK)])
    counts = np.bincount(weekday, minlength=WEEK)
    closed_weekday = never & (rate * counts >= SURE) & bool(opened.any())
    expected = usual[weekday]
    closed = ~opened & (closed_weekday[weekday] | (expected >= SURE))
    # Runs of days without an order, closed weekdays within them included.
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (~opened).astype(np.int8), [0]])))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if expected[start:end].sum() >= SURE:
            closed[start:end] = True
    return ~closed


@dataclass(frozen=True)
class ShopCalendar:
    """The days of a record and of the days ahead: ``first``: the first day's number; ``opened``: whether the shop was open
    on each day of the record; ``holidays``: day → name, of the record and ahead.
    """

    first: int
    opened: Flags
    holidays: Mapping[int, str]

    @property
    def end(self) -> int:
        """The first day that the record does not know."""
        return self.first + len(self.opened)

    def until(self, moment: int) -> "ShopCalendar":
        """Return the calendar as it was known on a day of the record. Raises ModelError for a day outside of it."""
        if not self.first < moment <= self.end:
            raise ModelError(f"a moment must lie within the record; got day {moment} of {self.first} to {self.end}.")
        return ShopCalendar(self.first, self.opened[: moment - self.first], self.holidays)

    def ahead(self, days: int) -> Flags:
        """Return whether the shop will be open on each of the days after the record, as far as the record tells.

        Closed: weekdays on which it was mostly closed lately; holidays by whose name it was closed last; other holidays if
        it was closed on most; the days around a holiday on which it was closed when that holiday came last (Christmas to New
        Year).
        """
        if not len(self.opened):
            return np.ones(days, np.bool_)
        past = self.first + np.arange(len(self.opened))
        weekday = weekday_of(past)
        by_weekday = np.array(
            [
                self.opened[weekday == day][-RECENT:].mean() >= 0.5 if (weekday == day).any() else True
                for day in range(WEEK)
            ]
        )
        coming = self.end + np.arange(days)
        found = by_weekday[weekday_of(coming)]
        last_of: dict[str, int] = {}
        shut = []
        for day, name in self.holidays.items():
            if self.first <= day < self.end:
                last_of[name] = day
                if by_weekday[weekday_of(np.array([day]))[0]]:
                    shut.append(not self.opened[day - self.first])
        mostly_shut = bool(shut) and sum(shut) * 2 > len(shut)
        for place, day in enumerate(coming.tolist()):
            if day in self.holidays:
                before = last_of.get(self.holidays[day])
                found[place] &= not mostly_shut if before is None else bool(self.opened[before - self.first])
        return self._around_holidays(found, coming, by_weekday, last_of)

    def _around_holidays(self, found: Flags, coming: Days, by_weekday: Flags, last_of: Mapping[str, int]) -> Flags:
        """Close the days as far before and after a holiday as the shop was closed when it came last."""
        found = found.copy()
        for day, name in self.holidays.items():
            before = last_of.get(name)
            # A day moved to a Monday moves otherwise the next year.
            if (
                before is None
                or MOVED in name
                or not coming[0] - CLOSED_RUN <= day <= coming[-1] + CLOSED_RUN
                or day < self.end
            ):
                continue
            at = before - self.first
            if self.opened[at]:
                continue
            start, stop = at, at
            while start > 0 and not self.opened[start - 1]:
                start -= 1
            while stop + 1 < len(self.opened) and not self.opened[stop + 1]:
                stop += 1
            # A lone closed day beside a closed weekday is no closed period.
            days = self.first + np.arange(start, stop + 1)
            if stop - start + 1 <= CLOSED_RUN and by_weekday[weekday_of(days)].sum() > 1:
                found[(coming >= day - (at - start)) & (coming <= day + (stop - at))] = False
        return found

    def distance_to_holiday(self, days: Days, most: int = 14) -> NDArray[np.float64]:
        """Return how many days each day is before the next public holiday, at most ``most``."""
        known = np.array(sorted(self.holidays), np.int64)
        if not len(known):
            return np.full(len(days), float(most))
        place = np.searchsorted(known, days)
        gap = np.where(place < len(known), known[np.minimum(place, len(known) - 1)] - days, most)
        return np.minimum(gap, most).astype(np.float64)
