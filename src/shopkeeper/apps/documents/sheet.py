"""The frame of a document: one HTML page with its style inside; light and dark, narrow and wide, on screen and on paper."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from shopkeeper.apps.charts import DARK, LIGHT, Theme
from shopkeeper.errors import StorageError

STYLE = """
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 36px 20px 72px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.01em; }
h2 { font-size: 20px; margin: 44px 0 6px; } h3 { font-size: 15px; margin: 0; overflow-wrap: anywhere; }
p { margin: 4px 0; } .soft { color: var(--soft); } .small { font-size: 13px; } a { color: var(--main); }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 14px 0 0; font-size: 14px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); gap: 14px; margin-top: 14px; }
.wide { grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); }
.narrow { grid-template-columns: repeat(auto-fill, minmax(min(158px, 100%), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; min-width: 0; }
.card > header { display: flex; justify-content: space-between; gap: 4px 10px; align-items: baseline; flex-wrap: wrap; }
.tag { color: var(--soft); font-size: 12px; white-space: nowrap; } .bad { color: var(--bad); } .good { color: var(--good); }
.big { font-size: 20px; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 1px 12px; margin: 8px 0 0; font-size: 13px; }
dt { color: var(--soft); } dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 10px; background: var(--card); margin-top: 12px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: 6px 12px; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child > td { border-bottom: 0; } th { color: var(--soft); font-size: 12.5px; font-weight: 600; vertical-align: bottom; }
td.num, th.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.plot { display: grid; grid-template-columns: auto minmax(0, 1fr); margin: 10px 0 2px; }
.plot svg { display: block; width: 100%; height: var(--high, 200px); overflow: visible; }
.ys { position: relative; font-size: 12px; color: var(--soft); padding-right: 8px; font-variant-numeric: tabular-nums; }
.ys i { visibility: hidden; font-style: normal; display: block; height: 0; white-space: nowrap; }
.ys span { position: absolute; right: 8px; transform: translateY(-50%); white-space: nowrap; }
.xs { grid-column: 2; position: relative; height: 20px; font-size: 12px; color: var(--soft); }
.xs span { position: absolute; top: 3px; transform: translateX(-50%); white-space: nowrap; }
.xs span.first { transform: none; } .xs span.last { transform: translateX(-100%); }
line, path { vector-effect: non-scaling-stroke; }
.bar { fill: var(--main); } .bar2 { fill: var(--other); } .barf { fill: var(--faint); } .hit { fill: transparent; }
.grid { stroke: var(--line); stroke-width: 1; } .edge { stroke: var(--faint); stroke-width: 1; }
.stroke { fill: none; stroke: var(--main); stroke-width: 2.2; stroke-linejoin: round; }
.stroke2 { fill: none; stroke: var(--other); stroke-width: 2; stroke-dasharray: 5 4; }
.area { fill: var(--main); opacity: .13; } .boxes { fill: var(--main); fill-opacity: .25; stroke: var(--main); stroke-width: 1.4;
  vector-effect: non-scaling-stroke; }
.middle { stroke: var(--main); stroke-width: 2.6; } .whisker { stroke: var(--main); stroke-width: 1.4; }
.key { font-size: 13px; color: var(--soft); margin: 6px 0 0; } .key span { margin-right: 18px; white-space: nowrap; }
.key span::before { content: ""; display: inline-block; width: 14px; height: 0; border-top: 3px solid var(--main);
  margin: 0 6px 4px 0; } .key .two::before { border-top: 3px dashed var(--other); }
.key .faint::before { border-color: var(--faint); }
.hbars { width: 100%; table-layout: fixed; font-size: 13px; margin-top: 8px; }
.hbars td { border: 0; padding: 2px 0; vertical-align: middle; }
.hbars td:first-child { padding-right: 10px; width: min(44%, 280px); }
.hbars .name { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.hbars td.num { padding-left: 8px; width: 76px; }
.boxed td:first-child { width: 26%; } .boxed .plot { margin: 0; grid-template-columns: 0 1fr; } .boxed .ys { padding: 0; }
.hbar { height: 10px; border-radius: 2px; background: var(--main); min-width: 1px; } .hbar.minus { background: var(--other); }
.heat { width: auto; } .heat td, .heat th { padding: 3px 5px; border: 0; font-size: 12px; text-align: center;
  white-space: nowrap; }
.heat th { font-weight: 500; vertical-align: middle; } .heat th[scope=row] { text-align: right; }
.heat thead th.turned { vertical-align: bottom; padding: 6px 2px 3px; } .heat td { color: var(--ink); min-width: 32px; }
.turned > div { writing-mode: vertical-rl; transform: rotate(180deg); margin: 0 auto; max-height: 150px; overflow: hidden; }
.fine td { min-width: 17px; padding: 0; height: 15px; } .fine th { font-size: 11px; padding: 0 4px; line-height: 15px; }
.card .scroll { border: 0; margin: 4px 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 12.5px/1.45 ui-monospace, Menlo, Consolas, monospace; margin: 6px 0;
  color: var(--soft); } details > summary { cursor: pointer; color: var(--main); font-size: 13px; }
.note { border-left: 4px solid var(--main); background: var(--card); padding: 12px 16px; border-radius: 6px; margin: 14px 0; }
.note li { margin: 3px 0; } .note ul { margin: 0; padding-left: 18px; }
footer { margin-top: 48px; font-size: 13px; color: var(--soft); }
@page { size: A4; margin: 14mm 13mm; }
@media print {
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } main { padding: 0; max-width: none; zoom: .78; }
  nav { display: none; } h2 { break-after: avoid; } h2.page { break-before: page; margin-top: 0; }
  .card, tr, .plot, .note { break-inside: avoid; } .long { break-inside: auto; } thead { display: table-header-group; }
  .scroll { overflow: visible; } .narrow { grid-template-columns: repeat(6, 1fr); }
  .cards:not(.narrow) { grid-template-columns: repeat(2, 1fr); } .cards:not(.narrow) > :only-child { grid-column: span 2; }
  .narrow > .card { padding: 10px; } .big { font-size: 17px; } pre { font-size: 10.5px; }
  details > summary { display: none; }
  details::details-content { content-visibility: visible; display: block; }
}
"""


def _variables(theme: Theme) -> str:
    """Return the colours of a theme as CSS; cards lie above the ground, whichever of the two is lighter."""
    is_light = theme is LIGHT
    named = {
        "ink": theme.text,
        "soft": theme.muted,
        "line": theme.line,
        "paper": theme.panel if is_light else theme.ground,
        "card": theme.ground if is_light else theme.panel,
        "main": theme.main,
        "other": theme.below,
        "faint": theme.faded(theme.muted, 0.5),
        "good": theme.above,
        "bad": theme.below,
        "heat": _channels(theme.main),
        "cold": _channels(theme.below),
    }
    return "; ".join(f"--{name}: {value}" for name, value in named.items())


def _channels(colour: str) -> str:
    return " ".join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))


COLOURS = (
    f":root {{ color-scheme: light dark; {_variables(LIGHT)} }}\n"
    f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}\n"
    "@media print { :root { color-scheme: light; --paper: #ffffff } }\n"
)


def page(title: str, parts: Iterable[str], *, footer: str = "") -> str:
    """Return a whole document; ``parts`` and ``footer`` are HTML, ``title`` is text."""
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Even if a value of the data became markup, nothing could be fetched or run.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        f"<title>{escape(title)}</title><style>{COLOURS}{STYLE}</style></head><body><main>\n{body}\n"
        f"<footer>{footer}</footer></main></body></html>\n"
    )


def write(text: str, file: Path) -> None:
    """Write a document. Raises StorageError if the file cannot be written."""
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise StorageError(f"{file} must be writable; got: {error.strerror or error}. Name another file.") from error


def card(title: str, body: str, *, tag: str = "", anchor: str = "") -> str:
    """Return a card: a title (text), a small word beside it (text), and HTML below."""
    beside = f'<span class="tag">{escape(tag)}</span>' if tag else ""
    place = f' id="{escape(anchor)}"' if anchor else ""
    return f'<section class="card"{place}><header><h3>{escape(title)}</h3>{beside}</header>{body}</section>'


def cards(found: Iterable[str], size: str = "") -> str:
    """Return cards beside each other; ``size`` is narrow, wide or, left out, between."""
    return f'<div class="cards {size}">{"".join(found)}</div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names and values below each other, both texts."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in pairs)}</dl>"


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[str] = (), raw: Iterable[str] = ()
) -> str:
    """Return a table of texts; columns among ``numbers`` to the right, those among ``raw`` hold HTML."""
    right, markup = set(numbers), set(raw)
    kind = [' class="num"' if name in right else "" for name in columns]
    heads = "".join(f"<th{kind[place]}>{escape(name)}</th>" for place, name in enumerate(columns))
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{kind[place]}>{value if columns[place] in markup else escape(value)}</td>"
            for place, value in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
