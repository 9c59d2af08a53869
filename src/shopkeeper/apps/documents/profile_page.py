"""A study of a table as a document: every column, how columns go together, and the faults by kind with examples."""

from collections.abc import Sequence
from datetime import date, datetime
from html import escape
from typing import Any

from shopkeeper.apps.charts.profiled import (
    HIDDEN,
    WORDS,
    bin_words,
    box_words,
    distinct,
    grid_cells,
    grid_note,
    label,
    matrix,
    number,
    number_facts,
    reach,
    share,
)
from shopkeeper.apps.documents import drawing, sheet
from shopkeeper.apps.screen import cell
from shopkeeper.serving.profiling import (
    Box,
    Column,
    Correlation,
    Fault,
    Grid,
    Group,
    Moments,
    Numbers,
    Picture,
    Study,
    Texts,
)

MOST_IN_MATRIX = 24
N_STRONGEST = 15


def profile_page(study: Study) -> str:
    """Return a study as one page of HTML."""
    told = study.table
    n_cells = told.n_rows * len(told.columns)
    missing = sum(column.n_missing for column in told.columns)
    head = [
        f"<h1>{escape(told.name)}</h1>",
        f'<p class="soft">{escape(told.grain[:1].upper() + told.grain[1:])}</p>',
        '<nav><a href="#columns">Columns</a><a href="#faults">Faults</a><a href="#together">How columns go together</a></nav>',
        sheet.cards(
            (
                _figure("rows", f"{told.n_rows:,}"),
                _figure("columns", f"{len(told.columns):,}"),
                _figure("cells missing", share(missing, n_cells)),
                _figure("kinds of faults", f"{len(study.faults):,}"),
            ),
            "narrow",
        ),
    ]
    body = [
        '<h2 id="columns">Columns</h2>',
        _contents(told.columns),
        sheet.cards(map(_column, told.columns)),
        '<h2 id="faults" class="page">Faults of the data</h2>',
        *_faults(study.faults),
        '<h2 id="together" class="page">How columns go together</h2>',
        *_together(study),
    ]
    footer = (
        f"Version {told.version} of the shop, counted by Shopkeeper. Quartiles, outliers and counts are of all rows."
    )
    return sheet.page(f"Profile of {told.name}", head + body, footer=footer)


def _figure(name: str, value: str) -> str:
    return f'<section class="card"><div class="soft small">{escape(name)}</div><div class="big">{escape(value)}</div></section>'


# ------------------------------------------------------------------ columns


def _contents(columns: Sequence[Column]) -> str:
    rows = [
        (
            f'<a href="#c-{escape(column.name)}">{escape(column.name)}</a>',
            column.type.lower(),
            share(column.n_missing, column.n_rows),
            distinct(column),
            escape(column.meaning),
        )
        for column in columns
    ]
    heads = ("column", "type", "missing", "different", "meaning")
    return sheet.table(heads, rows, numbers=("missing", "different"), raw=("column", "meaning"))


def _column(column: Column) -> str:
    said = [
        ("missing", f"{column.n_missing:,} ({share(column.n_missing, column.n_rows)})"),
        ("different", distinct(column)),
    ]
    if column.numbers is not None:
        body = _of_numbers(column, column.numbers, said)
    elif column.moments is not None:
        body = _of_moments(column, column.moments, said)
    elif column.texts is not None:
        body = _of_texts(column, column.texts, said)
    else:
        body = sheet.facts(said) + '<p class="soft small">No row has a value.</p>'
    meaning = f'<p class="soft small">{escape(column.meaning)}</p>' if column.meaning else ""
    return sheet.card(column.name, meaning + body, tag=WORDS[column.kind], anchor=f"c-{column.name}")


def _of_numbers(column: Column, told: Numbers, said: list[tuple[str, str]]) -> str:
    n = column.n_rows - column.n_missing
    found = [drawing.Bar(each.n_rows, bin_words(told, each, n)) for each in told.bins]
    if told.n_under:
        found.insert(0, drawing.Bar(told.n_under, f"below {number(told.bins[0].low)}: {told.n_under:,} rows", "barf"))
    if told.n_over:
        found.append(drawing.Bar(told.n_over, f"from {number(told.bins[-1].high)}: {told.n_over:,} rows", "barf"))
    low, high, width = told.bins[0].low, told.bins[-1].high, told.bins[0].high - told.bins[0].low
    left, right = bool(told.n_under) / len(found), 1 - bool(told.n_over) / len(found)
    ends = [(left, number(low)), (right, number(high))]
    said += number_facts(column, told)
    grey = '<p class="soft small">Grey: all beyond the axis.</p>' if told.n_under or told.n_over else ""
    if column.is_constant:
        return sheet.facts(said)
    return (
        drawing.bars(found, label=f"how {column.name} is spread", xs=ends)
        + drawing.box(
            _shape(told.box, column.name),
            low - width * bool(told.n_under),
            high + width * bool(told.n_over),
            label=f"box plot of {column.name}",
        )
        + grey
        + sheet.facts(said)
    )


def _shape(box: Box, name: str) -> drawing.BoxShape:
    return drawing.BoxShape(box.lower_whisker, box.q1, box.median, box.q3, box.upper_whisker, box_words(box, name))


def _of_moments(column: Column, told: Moments, said: list[tuple[str, str]]) -> str:
    found = [drawing.Bar(n, f"{told.unit} from {cell(begin)}: {n:,} rows") for begin, n in told.bins]
    ends = [(0.0, _day(told.bins[0][0])), (1.0, _day(told.bins[-1][0]))]
    said += [("from", cell(told.first)), ("to", cell(told.last)), ("a bar", f"a {told.unit}")]
    return drawing.bars(found, label=f"rows by {told.unit} of {column.name}", xs=ends) + sheet.facts(said)


def _day(moment: date | datetime) -> str:
    return moment.strftime("%Y-%m-%d")


def _of_texts(column: Column, told: Texts, said: list[tuple[str, str]]) -> str:
    n = column.n_rows - column.n_missing
    if column.kind == "text":
        said += [("length", f"{told.shortest:,} to {told.longest:,}")]
    if told.n_blank:
        said += [("nothing but blanks", f"{told.n_blank:,}")]
    if column.is_hidden:
        return sheet.facts(said) + f'<p class="soft small">{HIDDEN[:1].upper() + HIDDEN[1:]}.</p>'
    if not told.top or told.top[0].n_rows == 1:
        return sheet.facts(said) + '<p class="soft small">No value stands twice.</p>' * bool(told.top)
    rows = [(label(each.value), float(each.n_rows), share(each.n_rows, n)) for each in told.top]
    if told.n_other:
        said.insert(0, ("other values", f"{told.n_other:,} rows ({share(told.n_other, n)})"))
    return drawing.bars_lying(rows) + sheet.facts(said)


# ------------------------------------------------------------------- faults


def _faults(found: Sequence[Fault]) -> list[str]:
    if not found:
        return ['<p class="soft">None of the faults that are looked for is in this table.</p>']
    has_money = any(fault.amount is not None for fault in found)
    heads = ("fault", "rows", "share", *(("money on them",) if has_money else ()), "what it means")
    rows = [
        (
            fault.name,
            f"{fault.n_rows:,}",
            share(fault.share, 1),
            *((("" if fault.amount is None else f"{fault.amount:,.2f}"),) if has_money else ()),
            fault.meaning,
        )
        for fault in found
    ]
    parts = [sheet.table(heads, rows, numbers=("rows", "share", "money on them"))]
    parts += [
        f'<h3 style="margin-top:22px">{escape(fault.name)}</h3><p class="soft small">The first {len(fault.examples)} of '
        f"{fault.n_rows:,} rows.</p>{_examples(fault)}<details><summary>the query for all of them</summary>"
        f"<pre>{escape(fault.sql)}</pre></details>"
        for fault in found
    ]
    return parts


def _examples(fault: Fault) -> str:
    rows = [[cell(value) for value in row] for row in fault.examples]
    right = [name for place, name in enumerate(fault.columns) if all(_is_number(row[place]) for row in fault.examples)]
    return sheet.table(fault.columns, rows, numbers=right)


def _is_number(value: Any) -> bool:
    return value is None or hasattr(value, "as_tuple") or isinstance(value, int | float)


# ------------------------------------------------------------ pairs of columns


def _together(study: Study) -> list[str]:
    if not study.associations:
        return ['<p class="soft">There are no two columns that could be held against one another.</p>']
    parts = []
    if study.correlations:
        parts.append(
            '<p class="soft">Columns of numbers: above the diagonal Pearson, below it Spearman (of ranks, so one extreme value '
            "counts no more than its place). Blue goes up together, orange against each other.</p>"
        )
        parts.append(_matrix(study.correlations))
    parts.append('<h3 style="margin-top:22px">The closest pairs</h3>')
    parts.append(
        '<p class="soft small">Between numbers: Spearman without its sign. A number by a text: how much of its spread lies '
        "between the groups, as a correlation. Texts: Cramér's V. 1 is: one tells the other.</p>"
    )
    rows = [
        (f"{each.first} · {each.second}", each.strength, f"{each.strength:.2f}")
        for each in study.associations[:N_STRONGEST]
    ]
    parts.append(sheet.card("", drawing.bars_lying(rows, most=1.0)))
    if study.pictures:
        parts.append(sheet.cards(map(_picture, study.pictures), "wide"))
    return parts


def _matrix(found: Sequence[Correlation]) -> str:
    names, rows = matrix(found, MOST_IN_MATRIX)
    return drawing.heat(names, names, [[(each.value, each.shown, each.words) for each in row] for row in rows])


def _picture(picture: Picture) -> str:
    told = picture.association
    title = f"{told.first} by {told.second}" if picture.groups else f"{told.second} over {told.first}"
    body = _groups(picture.groups, told.first) if picture.groups else ""
    if picture.grid is not None:
        body = _grid(picture.grid, told.first, told.second, is_share=told.kind == "text by text")
    return sheet.card(title, body, tag=f"{told.kind} · {told.strength:.2f}")


def _groups(groups: Sequence[Group], name: str) -> str:
    low, high = reach(groups)
    rows = "".join(
        f"<tr><td>{escape(label(group.value, 28))}</td><td>"
        f"{drawing.box(_shape(group.box, group.value), low, high, label=f'{name} of {group.value}', px=20)}"
        f'</td><td class="num">{number(group.box.median)}</td><td class="num soft">{group.n_rows:,}</td></tr>'
        for group in groups
    )
    return (
        f'<table class="hbars boxed"><tbody><tr><td></td><td class="soft">{number(low)}<span style="float:right">{number(high)}'
        f'</span></td><td class="num soft">median</td><td class="num soft">rows</td></tr>{rows}</tbody></table>'
    )


def _grid(grid: Grid, across: str, down: str, *, is_share: bool) -> str:
    rows = [
        [(each.value, each.shown, each.words) for each in row]
        for row in grid_cells(grid, across, down, is_share=is_share)
    ]
    lines = [label(line, 22) for line in grid.down]
    if not is_share:
        rows, lines = rows[::-1], lines[::-1]
    axes = f'<p class="soft small">across {escape(across)}, down {escape(down)}</p>'
    body = drawing.heat([label(name, 18) for name in grid.across], lines, rows, is_fine=not is_share)
    return f'{axes}{body}<p class="soft small">{grid_note(grid, is_share=is_share)}</p>'
