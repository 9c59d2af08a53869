"""What is found in a table, in words: the same on the terminal, in a document and on a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log1p

from shopkeeper.apps.charts.figures import short_text
from shopkeeper.apps.screen import cell
from shopkeeper.serving.profiling import Bin, Box, Column, Correlation, Grid, Group, Numbers

WORDS = {"number": "number", "moment": "time", "text": "text", "flag": "yes or no", "other": "list or object"}
"""Kind of a column → how a person calls it."""
HIDDEN = "single values may tell of a person and are not shown"
UNKNOWN = "·"
N_TOP = 3
MANY = 0.01
"""Share of the rows from which on a group has a say in the scale of the boxes."""


def share(part: float, whole: float) -> str:
    """Return a share in per cent: 0 %, a trace as < 0.01 %, else with the digits that tell something."""
    if not whole or not part:
        return "0 %"
    value = 100 * part / whole
    if value < 0.01:
        return "< 0.01 %"
    if 99.99 < value < 100:
        return "> 99.99 %"
    return f"{value:.3g} %" if value < 99.5 else f"{value:.4g} %"


def number(value: float | None) -> str:
    """Return a number with four digits that tell something, thousands apart."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:,.4g}"


def distinct(column: Column) -> str:
    """Return how many values differ, with a sign where it is an estimate."""
    return f"{'' if column.is_distinct_exact else '≈ '}{column.n_distinct:,}"


def label(value: str, most: int = 48) -> str:
    """Return a text as a label: what is nothing but blanks in quotes, what is long cut."""
    return short_text(value if value.strip() else f"“{value}”", most)


def values(column: Column) -> str:
    """Return a column's values in one line: quartiles between the ends, from when to when, or the most frequent."""
    n = column.n_rows - column.n_missing
    if column.numbers is not None:
        told = column.numbers
        box = told.box
        if column.is_constant:
            return f"always {number(told.mean)}"
        text = f"{number(told.lowest)} | {number(box.q1)} · {number(box.median)} · {number(box.q3)} | {number(told.highest)}"
        text += f"   mean {number(told.mean)}"
        return text + (f", outliers {share(box.n_outliers, n)}" if box.n_outliers else "")
    if column.moments is not None:
        return f"{cell(column.moments.first)} to {cell(column.moments.last)}"
    if column.texts is None:
        return ""
    if column.is_hidden:
        return HIDDEN
    if not column.texts.top or column.texts.top[0].n_rows == 1:
        return (
            "no value stands twice"
            if column.texts.top
            else f"{column.texts.shortest} to {column.texts.longest} letters"
        )
    return ", ".join(f"{each.value[:32]} {share(each.n_rows, n)}" for each in column.texts.top[:N_TOP])


def heights(column: Column, most: int) -> list[int]:
    """Return the rows in at most so many bins from left to right; none of a text, or where all values are the same."""
    if column.numbers is not None and not column.is_constant:
        counts = [each.n_rows for each in column.numbers.bins]
    elif column.moments is not None:
        counts = [n for _, n in column.moments.bins]
    else:
        return []
    step = max(1, -(-len(counts) // most))
    return [sum(counts[place : place + step]) for place in range(0, len(counts), step)]


def bin_words(told: Numbers, each: Bin, n: int) -> str:
    """Return what a bar of a histogram says, of ``n`` known rows."""
    is_single = told.is_whole and each.high - each.low == 1
    where = number(each.low) if is_single else f"{number(each.low)} up to {number(each.high)}"
    return f"{where}: {each.n_rows:,} rows, {share(each.n_rows, n)}"


def box_words(box: Box, name: str) -> str:
    """Return what a box plot says."""
    return (
        f"{name}: half of the rows from {number(box.q1)} to {number(box.q3)}, median {number(box.median)}; "
        f"outliers below {number(box.lower_whisker)}: {box.n_below:,}, above {number(box.upper_whisker)}: {box.n_above:,}"
    )


def number_facts(column: Column, told: Numbers) -> list[tuple[str, str]]:
    """Return the figures of a column of numbers with their names."""
    box = told.box
    found = [
        ("mean ± sd", f"{number(told.mean)} ± {number(told.sd)}"),
        ("quartiles", f"{number(box.q1)} · {number(box.median)} · {number(box.q3)}"),
        ("from, to", f"{number(told.lowest)}, {number(told.highest)}"),
        ("skew", number(told.skew)),
        ("zero, negative", f"{told.n_zero:,}, {told.n_negative:,}"),
        (
            "outliers",
            f"{box.n_below:,} low, {box.n_above:,} high ({share(box.n_outliers, column.n_rows - column.n_missing)})",
        ),
    ]
    if told.n_not_finite:
        found.append(("infinite or no number", f"{told.n_not_finite:,}"))
    return found


def reach(groups: Sequence[Group]) -> tuple[float, float]:
    """Return the ends of a scale for box plots: a few rows of odd size would leave no room for all others."""
    large = [group for group in groups if group.n_rows >= sum(each.n_rows for each in groups) * MANY] or groups
    return min(group.box.lower_whisker for group in large), max(group.box.upper_whisker for group in large)


@dataclass(frozen=True)
class Cell:
    """A cell of a matrix or grid: how it is tinted (-1 to 1, None not at all), what stands in it, what it says if pointed at."""

    value: float | None
    shown: str
    words: str


def matrix(found: Sequence[Correlation], most: int) -> tuple[list[str], list[list[Cell]]]:
    """Return the first columns and their cells row by row: Pearson above the diagonal, Spearman below it."""
    names = list(dict.fromkeys(name for each in found for name in (each.first, each.second)))[:most]
    by_pair = {(each.first, each.second): each for each in found}
    rows = []
    for down in names:
        row = []
        for across in names:
            if down == across:
                row.append(Cell(None, "", down))
                continue
            is_upper = (down, across) in by_pair
            each = by_pair[down, across] if is_upper else by_pair[across, down]
            value = each.pearson if is_upper else each.spearman
            shown = UNKNOWN if value is None else f"{value:.2f}".replace("0.", ".").replace("-.00", ".00")
            kind = "Pearson" if is_upper else "Spearman"
            row.append(Cell(value, shown, f"{kind} of {down} and {across}: {shown}, {each.n_rows:,} rows"))
        rows.append(row)
    return names, rows


def grid_cells(grid: Grid, across: str, down: str, *, is_share: bool) -> list[list[Cell]]:
    """Return counted rows as cells, tinted by their share of a line's rows or by the logarithm of their count."""
    most = max((n for row in grid.n_rows for n in row), default=0) or 1
    rows = []
    for name, counts in zip(grid.down, grid.n_rows, strict=True):
        total = sum(counts) or 1
        rows.append(
            [
                Cell(
                    (n / total if is_share else log1p(n) / log1p(most)) if n else None,
                    f"{100 * n / total:.0f}" if is_share and n else "",
                    f"{across} {other}, {down} {name}: {n:,} rows",
                )
                for other, n in zip(grid.across, counts, strict=True)
            ]
        )
    return rows


def grid_note(grid: Grid, *, is_share: bool) -> str:
    """Return what the tints of a grid mean, and how many rows it does not hold."""
    note = "Per cent of a line's rows." if is_share else "The stronger the colour, the more rows (logarithm)."
    return note + (f" {grid.n_left_out:,} rows lie beyond or lack one of the two." if grid.n_left_out else "")
