"""When a shop is busy: the year, the week, the hours and the holidays."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

MONDAY, THURSDAY = 0, 3


def easter(year: int) -> date:
    """Return Easter Sunday of a Gregorian year (anonymous algorithm, in Meeus, Astronomical Algorithms, ch.
    8).
    """
    golden = year % 19
    century, rest = divmod(year, 100)
    leap, left = divmod(century, 4)
    correction = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leap - correction + 15) % 30
    quarter, remainder = divmod(rest, 4)
    shift = (32 + 2 * left + 2 * quarter - epact - remainder) % 7
    month_day = epact + shift - 7 * ((golden + 11 * epact + 22 * shift) // 451) + 114
    return date(year, month_day // 31, month_day % 31 + 1)


def nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    """Return the nth such weekday of a month (Monday is 0); a negative nth counts from the month's end."""
    if nth > 0:
        first = date(year, month, 1)
        return first + timedelta((weekday - first.weekday()) % 7 + 7 * (nth - 1))
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(1)
    return last - timedelta((last.weekday() - weekday) % 7 - 7 * (nth + 1))


def holidays(country: str, year: int) -> dict[date, str]:
    """Return a country's holidays of one year, the day → its name ('GB', 'US'; none for any other)."""
    if country == "GB":
        sunday = easter(year)
        return {
            date(year, 1, 1): "New Year",
            sunday - timedelta(2): "Good Friday",
            sunday + timedelta(1): "Easter Monday",
            nth_weekday(year, 5, MONDAY, 1): "Early May",
            nth_weekday(year, 5, MONDAY, -1): "Spring",
            nth_weekday(year, 8, MONDAY, -1): "Late Summer",
            date(year, 12, 25): "Christmas",
            date(year, 12, 26): "Boxing Day",
        }
    if country == "US":
        return {
            date(year, 1, 1): "New Year",
            nth_weekday(year, 5, MONDAY, -1): "Memorial Day",
            date(year, 7, 4): "Independence Day",
            nth_weekday(year, 9, MONDAY, 1): "Labor Day",
            nth_weekday(year, 11, THURSDAY, 4): "Thanksgiving",
            date(year, 12, 25): "Christmas",
        }
    return {}


@dataclass(frozen=True)
class Rhythm:
    """How busy a shop is, relative to its average day.

    ``weekdays``: Monday to Sunday, zero where closed; ``months``: mid January to mid December;
    ``hours``: weights of the hours of its day; ``holiday``: the factor on a holiday of ``country``.
    """

    weekdays: tuple[float, ...]
    months: tuple[float, ...]
    hours: tuple[float, ...]
    country: str = ""
    holiday: float = 0.0


def yearly(months: tuple[float, ...], start: date, days: int) -> np.ndarray:
    """Return a smooth yearly factor for each day: linear between mid-months, 1 on the year's average."""
    middles = np.arange(-1, 13) * 30.4375 + 15.2
    around = np.array([months[-1], *months, months[0]]) / np.mean(months)
    year_days = np.array([(start + timedelta(day)).timetuple().tm_yday for day in range(days)], dtype=float)
    factors: np.ndarray = np.interp(year_days, middles, around)
    return factors


def day_factors(rhythm: Rhythm, start: date, days: int) -> np.ndarray:
    """Return how busy each day is, relative to the average day of the average year; zero where closed."""
    dates = [start + timedelta(day) for day in range(days)]
    week = np.array([rhythm.weekdays[day.weekday()] for day in dates]) / np.mean(rhythm.weekdays)
    free = {day for year in {one.year for one in dates} for day in holidays(rhythm.country, year)}
    rest = np.array([rhythm.holiday if day in free else 1.0 for day in dates])
    factors: np.ndarray = yearly(rhythm.months, start, days) * week * rest
    return factors


def calendar_table(rhythm: Rhythm, start: date, days: int) -> pa.Table:
    """Return the truth about the days: date, factor of demand, and the holiday's name or null."""
    dates = [start + timedelta(day) for day in range(days)]
    names = {day: name for year in {one.year for one in dates} for day, name in holidays(rhythm.country, year).items()}
    return pa.table(
        {
            "day_on": pa.array(dates, pa.date32()),
            "demand_factor": day_factors(rhythm, start, days),
            "holiday": pa.array([names.get(day) for day in dates], pa.string()),
        }
    )
