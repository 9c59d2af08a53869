"""The monthly report as a document to mail: figures first, then why, then what to do, and at the end what each number means."""

from collections.abc import Sequence
from html import escape
from typing import Any

from shopkeeper.apps.documents import drawing, quality, sheet
from shopkeeper.apps.documents.material import Material
from shopkeeper.apps.documents.month_charts import by_day, by_month, number_of
from shopkeeper.apps.documents.story import story
from shopkeeper.serving.exhibits import Shown

CARDS = (
    ("months", "net_sales", "Net sales"),
    ("months", "n_orders", "Orders"),
    ("months", "n_customers", "Customers"),
    ("months", "net_sales_per_order", "Average order"),
    ("months", "return_rate", "Return rate"),
    ("traffic_months", "revenue", "Revenue of visits"),
    ("traffic_months", "n_sessions", "Visits"),
    ("traffic_months", "conversion", "Conversion"),
)
NUMBERS = frozenset(("money", "price", "count", "number", "share", "change", "days", "date", "month"))


def report_page(told: Material) -> str:
    """Return the report as one page of HTML."""
    sections = [
        ("Sales over time", _sales(told), False),
        ("Products", _products(told), False),
        ("Where it was sold", _places(told), False),
        ("Customers", _customers(told), False),
        ("Segments", _segments(told), False),
        ("What to reorder", _reorder(told), False),
        ("Prices to change", _prices(told), False),
        ("Who may stay away", _churn(told), False),
        ("How good the models are", quality.models(told), False),
        ("How good the data are", quality.data(told), False),
        ("What each number means", _definitions(told), True),
    ]
    kept = [(title, parts, breaks) for title, parts, breaks in sections if parts]
    anchors = [title.lower().replace(" ", "-") for title, *_ in kept]
    links = "".join(
        f'<a href="#{anchor}">{escape(title)}</a>' for anchor, (title, *_) in zip(anchors, kept, strict=True)
    )
    parts = [
        f"<h1>{escape(told.shop)}: {escape(told.month_name)}</h1>",
        _origin(told),
        f"<nav>{links}</nav>",
        f'<div class="note"><ul>{"".join(f"<li>{_unbroken(line)}</li>" for line in story(told))}</ul></div>',
        _cards(told),
    ]
    for anchor, (title, body, breaks) in zip(anchors, kept, strict=True):
        place = ' class="page"' if breaks else ""
        parts += [f'<h2 id="{anchor}"{place}>{escape(title)}</h2>', *body]
    footer = (
        f"Made by Shopkeeper from version {told.version}; the same version and month give the same report. "
        f"Days and months are the shop's ({escape(told.formats.timezone)})."
    )
    return sheet.page(f"{told.shop}: {told.month_name}", parts, footer=footer)


def _unbroken(line: str) -> str:
    """Return a sentence as HTML in which no line ends after a minus."""
    return escape(line).replace("\N{MINUS SIGN}", "\N{MINUS SIGN}\N{WORD JOINER}")


def _origin(told: Material) -> str:
    when = escape(told.formats.moment(told.published_at))
    return f'<p class="soft">From version {told.version}, published {when}. What models advise is as of then.</p>'


# ------------------------------------------------------------------ figures


def _cards(told: Material) -> str:
    found = []
    for name, column, title in CARDS:
        row = told.of_month(name)
        series = [each[column] for each in told.rows_of(name)]
        if not row or row[column] is None or not any(series):
            continue
        before = series[-2] if len(series) > 1 else None
        shown = told.shown[name]
        line = drawing.spark([number_of(value) for value in series], label=f"{title} by month")
        found.append(
            f'<section class="card" title="{escape(shown.exhibit.definition)}"><div class="soft small">{escape(title)}</div>'
            f'<div class="big">{escape(_shown(told, shown, column, row[column]))}</div>'
            f"{_change(told, column, row[column], before)}{line}</section>"
        )
    new = next((row for row in told.rows_of("month_customers") if row["kind"] == "new"), None)
    if new:
        known = sum(
            row["n_customers"]
            for row in told.rows_of("month_customers")
            if row["kind"] in {"new", "returning", "staying"}
        )
        share = told.formats.share(new["n_customers"] / known) if known else ""
        found.append(
            f'<section class="card" title="{escape(told.shown["month_customers"].exhibit.definition)}">'
            f'<div class="soft small">New customers</div><div class="big">{told.formats.count(new["n_customers"])}</div>'
            f'<div class="small soft">{share} of those who bought</div></section>'
        )
    return sheet.cards(found, "narrow")


def _shown(told: Material, shown: Shown, column: str, value: Any) -> str:
    """Return a value as people read it; a nought has no sign."""
    is_nought = isinstance(value, float) and value == 0
    return told.formats.of(shown.exhibit.units[column])(0 if is_nought else value)


def _change(told: Material, column: str, now: Any, before: Any) -> str:
    """Return the change on the month before; of a rate, in points."""
    if before is None or (column != "return_rate" and not before):
        return '<div class="small soft">no month before</div>'
    is_rate = column in {"return_rate", "conversion"}
    value = float(now) - float(before) if is_rate else float(now) / float(before) - 1
    text = f"{told.formats.number(round(100 * value, 2))} points" if is_rate else told.formats.change(value)
    text = f"+{text}" if is_rate and value > 0 else text
    is_good = value <= 0 if column == "return_rate" else value >= 0
    arrow = "▲" if value > 0 else "▼" if value < 0 else "="
    return f'<div class="small {"good" if is_good else "bad"}">{arrow} {escape(text)} on the month before</div>'


# -------------------------------------------------------------------- sales


def _sales(told: Material) -> list[str]:
    found = []
    name, column = ("months", "net_sales") if told.has_sales else ("traffic_months", "revenue")
    rows = told.rows_of(name)
    if len(rows) > 1:
        found.append(by_month(told, rows, column))
    days = told.rows_of("days_of_month")
    if told.has_sales and days:
        found.append(by_day(told, days))
    shown = rows[::-1][:13]
    columns = [column for column in _told_of_months(told) if any(row[column] for row in shown)]
    months = _table(told, name, rows=shown, only=columns)
    return [sheet.cards(found, "wide"), months] if found else []


def _told_of_months(told: Material) -> tuple[str, ...]:
    if not told.has_sales:
        return ("month_start", "revenue", "n_sessions", "n_customers", "conversion", "revenue_per_visitor")
    return (
        *("month_start", "net_sales", "growth_on_month", "growth_on_year", "n_orders", "n_customers"),
        *("net_sales_per_order", "return_rate"),
    )


# -------------------------------------------------------- products and places


def _products(told: Material) -> list[str]:
    top, moved = told.rows_of("month_products"), told.rows_of("month_movers")
    if not top:
        bought = [_bar(told, row, "revenue") for row in told.rows_of("month_purchases")]
        return [sheet.card("Bought most in visits", drawing.bars_lying(bought))] if bought else []
    found = [sheet.card("Sold most", drawing.bars_lying([_bar(told, row, "net_sales") for row in top]))]
    if moved:
        bars = drawing.bars_lying([_bar(told, row, "change", signed=True) for row in moved])
        found.append(sheet.card("Moved most against the month before", bars))
    return [sheet.cards(found, "wide")]


def _bar(told: Material, row: dict[str, Any], column: str, *, signed: bool = False) -> tuple[str, float, str]:
    words = told.formats.money(row[column])
    return str(row["description"]), float(row[column]), f"+{words}" if signed and row[column] > 0 else words


def _places(told: Material) -> list[str]:
    found = []
    for dimension, title in (("country", "Countries"), ("store", "Stores"), ("category", "Categories")):
        rows = told.rows_of(f"month_by_{dimension}")
        if len(rows) < 2 or all(row[dimension] == "unknown" for row in rows):
            continue
        bars = [
            (str(row["label"]), float(row["net_sales"]), _with_share(told, row)) for row in rows if row["net_sales"]
        ]
        left = rows[0]["n_members"] - len(rows)
        note = f'<p class="soft small">and {told.formats.count(left)} more</p>' if left > 0 else ""
        found.append(sheet.card(title, drawing.bars_lying(bars) + note))
    return [sheet.cards(found, "wide")] if found else []


def _with_share(told: Material, row: dict[str, Any]) -> str:
    return f"{told.formats.short_money(row['net_sales'])} · {told.formats.share(row['share'])}"


# ---------------------------------------------------------------- customers


def _customers(told: Material) -> list[str]:
    rows = [row for row in told.rows_of("month_customers") if row["n_customers"] or row["change"]]
    if not any(row["n_customers"] for row in rows):
        return []
    bars = [
        (row["kind"], float(row["change"]), ("+" if row["change"] > 0 else "") + told.formats.money(row["change"]))
        for row in rows
    ]
    note = '<p class="soft small">Net sales less those of the month before; the parts add up to the change.</p>'
    return [
        sheet.card("Where the change came from", drawing.bars_lying(bars) + note),
        _table(told, "month_customers", rows=rows),
    ]


def _segments(told: Material) -> list[str]:
    columns = ("segment_name", "n_customers", "share", "share_of_sales", "expected_share_next_month", "rule_words")
    return [_table(told, "segment_rules", only=columns)] if told.rows_of("segment_rules") else []


def _churn(told: Material) -> list[str]:
    rows = told.rows_of("churn_bands")
    if not rows:
        return []
    columns = ("chance", "n_customers", *(("value_at_risk",) if any(r["value_at_risk"] for r in rows) else ()))
    days = told.formats.count(rows[0]["horizon_days"])
    found = [
        f'<p class="soft">No order within {days} days from {told.formats.date(rows[0]["as_of"])} on.</p>',
        _table(told, "churn_bands", only=columns),
    ]
    if told.names_customers and told.rows_of("write_to"):
        found += ['<h3 style="margin-top:18px">Whom to write to</h3>', _table(told, "write_to")]
    return found


# ------------------------------------------------------------- what to do


def _reorder(told: Material) -> list[str]:
    totals, rows = told.first("reorder_advice_totals"), told.rows_of("reorder_advice")
    if not rows:
        return []
    formats = told.formats
    if totals["n_to_reorder"]:
        said = f"{formats.count(totals['n_to_reorder'])} products are at or below the point at which to order."
    else:
        said = (
            f"No source tells what is in stock; these are the products, of {formats.count(totals['n_without_stock'])}, of "
            f"which a review period sells most money."
        )
    columns = tuple(
        name
        for name in told.shown["reorder_advice"].exhibit.units
        if name != "store_id" or {r["store_id"] for r in rows} != {"all"}
    )
    columns = tuple(name for name in columns if any(row[name] is not None for row in rows))
    if all(row["description"] == row["product_id"] for row in rows):
        columns = tuple(name for name in columns if name != "description")
    return [f'<p class="soft">{said}</p>', _table(told, "reorder_advice", only=columns)]


def _prices(told: Material) -> list[str]:
    totals, rows = told.first("price_totals"), told.rows_of("price_advice_to_take")
    if not totals or not (rows or totals["n_unsure"]):
        return []
    formats = told.formats
    gain = f", for about {formats.money(totals['gain_per_day'])} a day in all" if totals["gain_per_day"] else ""
    said = (
        f"Sure advice: raise {formats.count(totals['n_to_raise'])}, lower {formats.count(totals['n_to_lower'])}{gain}. "
        f"{formats.count(totals['n_unsure'])} more could pay, but nobody can be sure yet."
    )
    columns = (
        "product_id",
        "description",
        "channel",
        "price",
        "advised_price",
        "price_change",
        "gain_per_day",
        "gain_low",
        "gain_high",
    )
    return [f'<p class="soft">{said}</p>', *([_table(told, "price_advice_to_take", only=columns)] if rows else [])]


# ------------------------------------------------------------------- quality


def _definitions(told: Material) -> list[str]:
    found = [
        '<p class="soft">Each query can be pasted into <code>shopkeeper query</code>.</p>',
    ]
    found += [_definition(each) for each in told.shown.values() if not each.is_empty]
    if told.faults:
        queries = "\n\n".join(f"-- {each.table}: {each.name}\n{each.sql}" for each in told.faults)
        found.append(
            _entry("Rows kept and flagged", "Rows that a person should know of; each query selects them.", queries)
        )
    return found


def _definition(shown: Shown) -> str:
    return _entry(shown.exhibit.title, shown.exhibit.definition, shown.sql)


def _entry(title: str, words: str, sql: str) -> str:
    return (
        f'<section class="card long" style="margin-top:10px"><h3>{escape(title)}</h3><p class="small">{escape(words)}</p>'
        f"<details><summary>the query</summary><pre>{escape(sql)}</pre></details></section>"
    )


def _table(told: Material, name: str, *, rows: Sequence[dict[str, Any]] | None = None, only: Sequence[str] = ()) -> str:
    """Return an exhibit as a table, its columns under their headings and in the shop's formats."""
    exhibit = told.shown[name].exhibit
    given = told.rows_of(name) if rows is None else rows
    columns = [column for column in (only or exhibit.units) if not given or column in given[0]]
    heads = [exhibit.heading(column) for column in columns]
    body = [[_shown(told, told.shown[name], column, row[column]) for column in columns] for row in given]
    right = [head for head, column in zip(heads, columns, strict=True) if exhibit.units[column] in NUMBERS - {"month"}]
    return sheet.table(heads, body, numbers=right)
