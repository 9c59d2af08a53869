"""The month's sales as lines: month by month with the year before, and day by day as a running total."""

from collections.abc import Iterable, Sequence
from typing import Any

from shopkeeper.apps.documents import drawing, sheet
from shopkeeper.apps.documents.material import Material

MOST_TICKS, MOST_NAMED = 6, 3


def by_month(told: Material, rows: Sequence[dict[str, Any]], column: str) -> str:
    """Draw a column by month, and net sales of the year before where there are any."""
    formats = told.formats
    names = [formats.month(row["month_start"]) for row in rows]
    lines = [
        drawing.Line(
            [number_of(row[column]) for row in rows],
            [f"{name}: {formats.money(row[column])}" for name, row in zip(names, rows, strict=True)],
        )
    ]
    key = "<span>each month</span>"
    years = [number_of(row.get("net_sales_year_before")) for row in rows]
    if any(value is not None for value in years):
        said = [
            "" if value is None else f"a year before: {formats.money(row['net_sales_year_before'])}"
            for value, row in zip(years, rows, strict=True)
        ]
        lines.append(drawing.Line(years, said, "stroke2"))
        key += '<span class="two">the year before</span>'
    chart = drawing.lines(
        lines, label="net sales by month", xs=_ticks(names, MOST_NAMED), scale=_money_scale(told, lines)
    )
    return sheet.card("By month", f'{chart}<p class="key">{key}</p>')


def by_day(told: Material, days: Sequence[dict[str, Any]]) -> str:
    """Draw the month's running total against that of the year before or, without one, of the month before."""
    formats = told.formats
    against = "net_sales_year_before"
    if all(row[against] is None for row in days):
        against = "net_sales_month_before"
    last = max((place for place, row in enumerate(days) if row["net_sales"] is not None), default=0)
    now = _running([row["net_sales"] for row in days[: last + 1]])
    before = _running([row[against] for row in days])
    names = [formats.date(row["day"]) for row in days]
    lines = [
        drawing.Line(
            [*map(number_of, now), *[None] * (len(days) - last - 1)],
            [f"{name}: {formats.money(value)}" for name, value in zip(names, now, strict=False)]
            + [""] * (len(days) - last - 1),
        )
    ]
    word = "the year before" if against == "net_sales_year_before" else "the month before"
    key = "<span>the month so far, summed</span>"
    if any(row[against] is not None for row in days):
        lines.append(
            drawing.Line(list(map(number_of, before)), [f"{word}: {formats.money(v)}" for v in before], "stroke2")
        )
        key += f'<span class="two">{word}</span>'
    ticks = _ticks([str(row["day"].day) for row in days])
    chart = drawing.lines(lines, label="net sales summed by day", xs=ticks, scale=_money_scale(told, lines))
    return sheet.card("Day by day", f'{chart}<p class="key">{key}</p>')


def _money_scale(told: Material, lines: Sequence[drawing.Line]) -> drawing.Ticks:
    values = [value for line in lines for value in line.values if value is not None]
    return drawing.ticks(values, lambda mark: told.formats.short_money(mark) if mark else "0")


def _running(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found.append((found[-1] if found else 0) + (value or 0))
    return found


def _ticks(names: Sequence[str], most: int = MOST_TICKS) -> list[drawing.Tick]:
    """Return the first, the last and some between."""
    n = len(names)
    places = sorted({round(each * (n - 1) / (most - 1)) for each in range(most)}) if n else []
    return [(place / max(n - 1, 1), names[place]) for place in places]


def number_of(value: Any) -> float | None:
    """Return a decimal as it is drawn."""
    return None if value is None else float(value)
