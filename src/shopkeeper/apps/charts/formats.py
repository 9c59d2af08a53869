"""Money, numbers, shares and days in the words of the shop's currency and country. Only here are fractions multiplied by 100."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta, get_day_names
from babel.numbers import (
    format_compact_currency,
    format_compact_decimal,
    format_currency,
    format_decimal,
    format_percent,
)
from babel.numbers import get_currency_symbol as symbol_of

LOCALES = {"USD": "en_US", "CAD": "en_CA", "AUD": "en_AU", "NZD": "en_NZ", "INR": "en_IN", "ZAR": "en_ZA"}
"""English as it is written where a currency is at home; elsewhere as in Europe: 14 Nov 2011."""
EUROPE = "en_GB"
NOTHING = "\u2013"
MINUS = "\u2212"
"""An en dash for what is not known, and a minus as wide as a plus."""
WIDE, NARROW = 100_000, 1_000
MOST_WORDS = 5


@dataclass(frozen=True)
class Formats:
    """How a shop's values read: its currency (ISO 4217) and the zone that moments are told in."""

    currency: str = "EUR"
    timezone: str = "UTC"

    @cached_property
    def locale(self) -> Locale:
        """The kind of English."""
        return Locale.parse(LOCALES.get(self.currency, EUROPE))

    @cached_property
    def symbol(self) -> str:
        """What stands before money, as £."""
        return str(symbol_of(self.currency, self.locale))

    @property
    def is_european(self) -> bool:
        """Whether the day stands before the month, and the clock has 24 hours."""
        return bool(self.locale.territory == "GB")

    def money(self, value: Any) -> str:
        """Return money: pence where it is small, whole units from a thousand on. The number itself is not changed."""
        if value is None:
            return NOTHING
        digits = Decimal(value) if not isinstance(value, float) else Decimal(repr(value))
        pattern = self._pattern(whole=abs(digits) >= NARROW)
        text: str = format_currency(digits, self.currency, pattern, locale=self.locale, currency_digits=False)
        return _signed(text)

    def gain(self, value: Any) -> str:
        """Return money with its sign: what was gained or lost."""
        text = self.money(value)
        return f"+{text}" if value is not None and value > 0 and _tells(text) else text

    def points(self, value: Any) -> str:
        """Return a difference of two fractions as percentage points: +2.3 points."""
        if value is None:
            return NOTHING
        return f"{self.change(value).removesuffix(' %')} points"

    def price(self, value: Any) -> str:
        """Return a price, with its pence."""
        if value is None:
            return NOTHING
        text: str = format_currency(
            value, self.currency, self._pattern(whole=False), locale=self.locale, currency_digits=False
        )
        return _signed(text)

    def short_money(self, value: Any) -> str:
        """Return money for where room is scarce: £1.4M."""
        if value is None:
            return NOTHING
        if abs(value) < NARROW:
            return self.money(value)
        text: str = format_compact_currency(value, self.currency, locale=self.locale, fraction_digits=1)
        return _signed(text).replace(".0", "")

    def count(self, value: Any) -> str:
        """Return a count: whole, in groups of three."""
        return NOTHING if value is None else _signed(format_decimal(round(value), locale=self.locale))

    def short_count(self, value: Any) -> str:
        """Return a count for where room is scarce: 12.3K."""
        if value is None:
            return NOTHING
        return _signed(format_compact_decimal(value, locale=self.locale, fraction_digits=1))

    def number(self, value: Any) -> str:
        """Return a number with as many digits as tell something."""
        if value is None or value != value:  # noqa: PLR0124 - not a number
            return NOTHING
        size = abs(value)
        pattern = "#,##0" if size >= WIDE else "#,##0.#" if size >= 100 else "#,##0.##" if size >= 1 else "0.####"
        return _signed(format_decimal(value, format=pattern, locale=self.locale))

    def share(self, value: Any) -> str:
        """Return a fraction as a percentage: 12.3 %."""
        if value is None or value != value:  # noqa: PLR0124 - not a number
            return NOTHING
        pattern = "#,##0.## %" if 0.00005 < abs(value) < 0.001 else "#,##0.0 %"
        return _signed(format_percent(value, format=pattern, locale=self.locale))

    def change(self, value: Any) -> str:
        """Return a change as a percentage with its sign: +34.8 %."""
        if value is None:
            return NOTHING
        text = self.share(value)
        return f"+{text}" if value > 0 and _tells(text) else text

    def date(self, value: Any) -> str:
        """Return a day: 14 Nov 2011."""
        if value is None:
            return NOTHING
        return str(format_date(_day(value), "medium", locale=self.locale))

    def month(self, value: Any) -> str:
        """Return a month: Nov 2011."""
        return NOTHING if value is None else str(format_date(_day(value), "MMM y", locale=self.locale))

    def month_name(self, value: Any) -> str:
        """Return a month without its year: Nov."""
        return NOTHING if value is None else str(format_date(_day(value), "MMM", locale=self.locale))

    def moment(self, value: Any) -> str:
        """Return a moment, which is UTC where it does not say otherwise, on the shop's clock: 14 Nov 2011, 09:30."""
        if value is None:
            return NOTHING
        told = datetime.fromisoformat(value) if isinstance(value, str) else value
        told = told if told.tzinfo else told.replace(tzinfo=UTC)
        local = told.astimezone(ZoneInfo(self.timezone))
        time = "HH:mm" if self.is_european else "h:mm a"
        return f"{self.date(local.date())}, {format_datetime(local, time, locale=self.locale)}"

    def age(self, value: datetime, now: datetime) -> str:
        """Return how long ago a moment was: 3 hours ago."""
        return str(format_timedelta(value - now, add_direction=True, locale=self.locale))

    def weekday(self, value: Any) -> str:
        """Return the name of a weekday, 1 for Monday."""
        return NOTHING if value is None else str(get_day_names("abbreviated", locale=self.locale)[int(value) - 1])

    def of(self, unit: str) -> Callable[[Any], str]:
        """Return how a column of a unit is told."""
        found: Callable[[Any], str] = getattr(self, _TOLD_BY.get(unit, ""), _plain)
        return found

    def _pattern(self, *, whole: bool) -> str:
        return _pattern(self.locale, whole=whole)


_TOLD_BY = {
    **{
        name: name
        for name in (
            "money",
            "gain",
            "price",
            "points",
            "count",
            "number",
            "share",
            "change",
            "date",
            "month",
            "moment",
            "weekday",
        )
    },
    "period": "date",
    "days": "number",
    "seconds": "number",
}


@lru_cache(maxsize=8)
def _pattern(locale: Locale, *, whole: bool) -> str:
    """Return the locale's pattern of money without its fraction, or with two digits."""
    pattern = str(locale.currency_formats["standard"].pattern)
    return pattern.replace(".00", "") if whole else pattern


def _signed(text: str) -> str:
    """Return a number with a minus as wide as a plus; none before what is rounded to nought."""
    return text.replace("-", MINUS if _tells(text) else "")


def _tells(text: str) -> bool:
    """Tell whether a number in words is other than nought."""
    return any(digit in text for digit in "123456789")


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])


def _plain(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value[:MOST_WORDS])) + (", …" if len(value) > MOST_WORDS else "")
    return str(value)
