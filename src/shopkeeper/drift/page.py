"""A drift report as one page of HTML that needs nothing else: no script, no other host; light and dark."""

from collections.abc import Sequence
from html import escape

from shopkeeper.drift.report import Action, ColumnDrift, Decay, DriftReport
from shopkeeper.evaluation import Figure

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5c6776; --line: #dfe3e8; --paper: #f6f7f9; --card: #ffffff;
  --before: #a9b4c2; --now: #2f6fb5; --strong: #b3261e; --warn: #8a5a00; --good: #1d6b3f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaee; --soft: #9aa5b3; --line: #323a45; --paper: #14181d;
  --card: #1c2229; --before: #5c6878; --now: #6aa9ee; --strong: #ff8a80; --warn: #f0b54a; --good: #72cf9b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; } h2 { font-size: 18px; margin: 40px 0 4px; }
h3 { font-size: 15px; margin: 0; overflow-wrap: anywhere; } p { margin: 4px 0; } .soft { color: var(--soft); }
.verdict { border-left: 5px solid var(--tone); background: var(--card); padding: 14px 18px; margin: 20px 0; border-radius: 6px; }
.verdict b { color: var(--tone); }
.strong { --tone: var(--strong); } .warn { --tone: var(--warn); } .none { --tone: var(--good); }
.expected { --tone: var(--soft); }
.facts { display: flex; flex-wrap: wrap; gap: 10px 36px; margin: 16px 0; padding: 0; list-style: none; }
.facts b { display: block; font-size: 20px; font-variant-numeric: tabular-nums; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px; margin-top: 14px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; min-width: 0; }
.card header { display: flex; justify-content: space-between; gap: 10px; align-items: baseline; }
.badge { color: var(--tone); font-size: 13px; font-weight: 600; white-space: nowrap; }
svg { display: block; width: 100%; height: auto; margin: 10px 0 2px; } .b { fill: var(--before); } .n { fill: var(--now); }
.base { stroke: var(--line); }
.ends { display: flex; justify-content: space-between; gap: 12px; color: var(--soft); font-size: 12px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin-top: 12px; background: var(--card); }
th, td { text-align: left; padding: 6px 12px; border-bottom: 1px solid var(--line); }
td.num, th.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th { color: var(--soft); font-size: 13px; font-weight: 600; } td svg { width: 150px; margin: 0; }
.key span::before { content: ""; display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 6px 0 0; }
.key .kb::before { background: var(--before); } .key .kn::before { background: var(--now); } .key span { margin-right: 18px; }
"""
WORDS = {"strong": "strong", "warn": "moderate", "none": "steady"}
AGEING_NOTE = (
    "How long ago something was, what adds up over the life of a customer, and what takes a long life to be known, moves as "
    "time goes by. It raises no alarm; what it does to the prediction would."
)
VERDICTS = {"none": "Nothing to do.", "warn": "Look at this.", "retrain": "Train anew.", "stop": "Publishing stops."}


def html(report: DriftReport, action: Action) -> str:
    """Return the report and what is to be done as one page; equal reports give equal bytes."""
    tone = "none" if action.kind == "none" else "warn" if action.kind == "warn" else "strong"
    alarms = report.alarms
    others = [column for column in report.columns if column.alarm == "none" and not column.is_expected]
    ageing = [column for column in report.columns if column.is_expected]
    title = f"Drift of {report.version or report.subject or 'the model'}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{escape(_compared(report))}</p>',
        f'<div class="verdict {tone}"><b>{VERDICTS[action.kind]}</b> {escape(action.sentence)}</div>',
        _facts(report, len(alarms), len(others)),
        *(f"<p>{escape(note)}</p>" for note in report.notes),
        _decays(report.decays),
    ]
    if alarms:
        parts += [
            "<h2>What has drifted</h2>",
            '<p class="soft key"><span class="kb">at training</span><span class="kn">now</span>share of rows by value</p>',
            f'<div class="cards">{"".join(map(_card, alarms))}</div>',
        ]
    if others:
        parts += ["<h2>What is steady</h2>", _table(others)]
    if ageing:
        parts += [
            "<h2>What moves in any shop</h2>",
            f'<p class="soft">{AGEING_NOTE}</p>',
            _table(ageing),
        ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>\n"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def _compared(report: DriftReport) -> str:
    said = [
        f"{report.n_current:,} rows{f' ({report.current})' if report.current else ''}",
        f"{report.n_reference:,} rows at training{f' ({report.reference})' if report.reference else ''}",
    ]
    return f"{said[0]}, held against {said[1]}."


def _facts(report: DriftReport, n_alarms: int, n_steady: int) -> str:
    facts = [("drifted", f"{n_alarms}"), ("steady", f"{n_steady}")]
    if report.volume:
        odd = " (odd)" if report.volume.is_odd else ""
        facts.append(("customers, at training and now", f"{report.volume.before:,} → {report.volume.now:,}{odd}"))
    items = "".join(f"<li><b>{escape(value)}</b>{escape(name)}</li>" for name, value in facts)
    return f'<ul class="facts">{items}</ul>'


def _decays(decays: Sequence[Decay]) -> str:
    if not decays:
        return ""
    rows = "".join(
        f"<tr><td>{escape(each.metric)}</td><td class=num>{_figure(each.reported)}</td><td class=num>{_figure(each.found)}"
        f'</td><td class=num>{each.n_rows:,}</td><td><span class="badge {"strong" if each.is_worse else "none"}">'
        f"{'worse' if each.is_worse else 'holds'}</span></td></tr>"
        for each in decays
    )
    return (
        "<h2>Where the truth has arrived</h2><div class=scroll><table><tr><th>metric</th><th class=num>reported at training</th>"
        f"<th class=num>on outcomes since</th><th class=num>rows</th><th></th></tr>{rows}</table></div>"
    )


def _figure(figure: Figure) -> str:
    return f"{figure.value:.3g} ({figure.low:.3g} to {figure.high:.3g})"


def _card(column: ColumnDrift) -> str:
    ends = f"<span>{escape(column.labels[0])}</span><span>{escape(column.labels[-1])}</span>" if column.labels else ""
    said = [f"index {column.psi:.2f}", f"distance {column.distance:.2f}"]
    if column.shift is not None:
        said.append(f"moved {column.shift:.2f} sd")
    if column.nulls_before or column.nulls_now:
        said.append(f"missing {column.nulls_before:.0%} → {column.nulls_now:.0%}")
    if column.new:
        said.append(f"new: {', '.join(column.new[:5])}")
    return (
        f'<section class="card"><header><h3>{escape(column.name)}</h3>'
        f'<span class="badge {column.alarm}">{WORDS[column.alarm]}</span></header>'
        f'{_bars(column, 300, 84)}<div class="ends">{ends}</div><p>{escape(column.reason)}</p>'
        f'<p class="soft">{escape(" · ".join(said))}</p></section>'
    )


def _table(columns: Sequence[ColumnDrift]) -> str:
    rows = "".join(
        f"<tr><td><h3>{escape(each.name)}</h3></td><td>{_bars(each, 150, 26)}</td><td class=num>{each.psi:.2f}</td>"
        f"<td class=num>{each.distance:.2f}</td><td class=num>{'' if each.shift is None else f'{each.shift:.2f}'}</td>"
        f"<td class=num>{each.nulls_before:.0%} → {each.nulls_now:.0%}</td><td class=num>{each.p_value:.2g}</td></tr>"
        for each in columns
    )
    heads = "".join(f"<th class=num>{head}</th>" for head in ("index", "distance", "moved, sd", "missing", "p"))
    return f"<div class=scroll><table><tr><th>column</th><th>at training, now</th>{heads}</tr>{rows}</table></div>"


def _bars(column: ColumnDrift, width: int, height: int) -> str:
    """Return pairs of bars, before and now, on a scale of their own; each pair tells its numbers when pointed at."""
    top = max((*column.before, *column.now), default=0.0) or 1.0
    step = width / max(len(column.labels), 1)
    bar = min(step * 0.42, 22)
    drawn = []
    for place, (label, before, now) in enumerate(zip(column.labels, column.before, column.now, strict=True)):
        middle = (place + 0.5) * step
        pair = "".join(
            f'<rect class="{kind}" x="{x:.1f}" y="{height - share / top * height:.1f}" width="{bar:.1f}" '
            f'height="{share / top * height:.1f}"/>'
            for kind, x, share in (("b", middle - bar, before), ("n", middle, now))
        )
        drawn.append(f"<g><title>{escape(label)}: {before:.1%} at training, {now:.1%} now</title>{pair}</g>")
    return (
        f'<svg viewBox="0 0 {width} {height + 1}" role="img" aria-label="{escape(column.name)} at training and now">'
        f'{"".join(drawn)}<line class="base" x1="0" x2="{width}" y1="{height + 0.5}" y2="{height + 0.5}"/></svg>'
    )
