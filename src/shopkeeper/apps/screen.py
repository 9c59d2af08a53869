"""What the command line shows: tables, progress, the summary of a run. Progress goes to stderr and only to a terminal."""

import json
import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from shopkeeper.progress import Tell
    from shopkeeper.serving import Answer, Dossier, Section
    from shopkeeper.training import Difference, Figure, ModelVersion, Report, Scored, Training, Watched
    from shopkeeper.workflow import Ingest, Run

BARS = " ▁▂▃▄▅▆▇█"
SHORT_FACT, LONGEST_CHART = 40, 28
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
"""What data must not send to a terminal: it could move the cursor or hide text."""


def console(*, error: bool = False) -> "Console":
    """Return a console on stdout or stderr; wide enough for a table when it is no terminal."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    return Console(stderr=error, highlight=False, width=None if stream.isatty() else 200)


def print_json(value: object) -> None:
    """Print a result for programs: dates in ISO 8601, decimals as text so that no digit is lost."""
    print(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if hasattr(value, "__dict__"):
        return value.__dict__
    return str(value)


def cell(value: object) -> str:
    """Return a value as people read it: thousands apart, no idle zeros behind the point, times without microseconds."""
    if value is None:
        return "·"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Decimal):
        text = f"{value:,f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.2f}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return str(value)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str = "", raw_numbers: bool = False
) -> None:
    """Print rows as a table; numbers to the right. ``raw_numbers`` leaves whole numbers as they are (ids, years)."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for place, name in enumerate(columns):
        numbers = all(isinstance(row[place], int | float | Decimal | None) for row in rows) and bool(rows)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_escaped(value, raw_numbers) for value in row))
    console().print(table)


def _escaped(value: object, raw_numbers: bool) -> str:
    from rich.markup import escape

    text = str(value) if raw_numbers and type(value) is int else cell(value)
    return escape(CONTROLS.sub("\ufffd", text))


def print_hints(title: str, lines: Sequence[tuple[str, str]]) -> None:
    """Print what may be done next and what each is about; a pair without the first is a heading."""
    from rich.markup import escape

    out = console()
    width = max(len(text) for text, _ in lines)
    out.print(f"\n  [bold]{escape(title)}[/bold]")
    for text, about in lines:
        line = f"  {escape(text):<{width}}  [dim]{escape(about)}[/dim]" if text else f"\n  [bold]{escape(about)}[/bold]"
        out.print(line, soft_wrap=True)


def print_answer(answer: "Answer", form: str) -> None:
    """Print the answer to a query as table, csv or json; csv and json hold every digit."""
    if form == "json":
        print(answer.json())
    elif form == "csv":
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows(answer.rows)
    else:
        print_table(answer.columns, answer.rows)
        note = f"{len(answer.rows):,} row{'' if len(answer.rows) == 1 else 's'}, version {answer.version}"
        console(error=True).print(f"[dim]{note}[/dim]")


@contextmanager
def progress(*, quiet: bool = False) -> Iterator["Tell"]:
    """Yield what steps report to: a bar on a terminal, nothing elsewhere."""
    from shopkeeper.progress import silent

    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar = Progress(
        SpinnerColumn(),
        TextColumn("[bold]{task.fields[step]:<8}[/bold]"),
        BarColumn(bar_width=24),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console(error=True),
        transient=True,
    )
    tasks: dict[str, Any] = {}

    def tell(step: str, what: str, done: int, total: int | None) -> None:
        if step == "rows":
            for task in list(tasks.values())[-1:]:
                bar.update(task, description=f"{what} · {done:,} rows")
            return
        if step not in tasks:
            for earlier in bar.tasks:
                bar.update(earlier.id, description="done", completed=1, total=1)
            tasks[step] = bar.add_task(what, total=total, step=step)
        bar.update(tasks[step], description=what, completed=done, total=total)

    with bar:
        yield tell


def print_ingest(done: "Ingest", *, seconds: float | None = None) -> None:
    """Print what became of every item, failures last and in full."""
    out = console()
    unchanged = [each for each in done.taken if each.status == "unchanged"]
    shown = [each for each in done.taken if each.status in {"loaded", "same_content"}]
    for each in shown[:20]:
        if each.load:
            load = each.load
            counts = f"{load.rows_read:>11,} rows: {load.rows_loaded:,} loaded"
            counts += f", {load.rows_resent:,} resent" if load.rows_resent else ""
            counts += f", [yellow]{load.rows_quarantined:,} quarantined[/yellow]" if load.rows_quarantined else ""
            out.print(f"  [green]✓[/green] {_escaped(each.item, False)} {counts}")
        if each.message:
            out.print(f"    [dim]{_escaped(each.message, False)}[/dim]")
        elif not each.load:
            out.print(f"  [dim]= {_escaped(each.item, False)}[/dim]")
    if len(shown) > 20:
        more = [each.load for each in shown[20:] if each.load]
        out.print(f"  … and {len(shown) - 20:,} more items with {sum(load.rows_loaded for load in more):,} rows loaded")
    if unchanged:
        out.print(
            f"  [dim]= {len(unchanged):,} item{'s' if len(unchanged) > 1 else ''} unchanged since the last load[/dim]"
        )
    _print_skipped(done.skipped)
    for each in done.failures:
        out.print(f"  [red]✗[/red] {_escaped(each.item, False)}: {_escaped(each.message, False)}")
    if seconds is not None:
        out.print(f"  [dim]{seconds:.1f} s[/dim]")


def _print_skipped(skipped: Sequence[str]) -> None:
    out = console()
    for each in skipped[:20]:
        out.print(f"  [dim]- skipped: {_escaped(each, False)}[/dim]")
    if len(skipped) > 20:
        out.print(f"  [dim]- and {len(skipped) - 20:,} more skipped: all of them with --json[/dim]")


def print_summary(project: str, run: "Run", summary: dict[str, Any], n_rejects: int, started: float) -> None:
    """Print what a run ended with: the shop's figures, its months as bars, what was flagged, and what to do next."""
    out = console()
    seconds = time.monotonic() - started
    out.print()
    title = f"version {run.version.number} published in {seconds:.1f} s"
    if not run.build.models and not any(each.status == "scored" for each in run.scores):
        title = f"nothing new, version {run.version.number} is current ({seconds:.1f} s)"
    if run.is_rolled_back:
        title += "; rolled back: `shopkeeper publish` goes on to the newest"
    if not summary["n_order_lines"]:
        _print_behaviour(summary, title)
    else:
        money = f" {summary['currency']}"
        out.print(
            f"  [bold green]✓[/bold green] [bold]{title}[/bold] · {summary['first_day']} to {summary['last_day']}"
        )
        _print_cards(
            [
                ("net sales", _money(summary["net_sales"]) + money),
                ("orders", cell(summary["n_orders"])),
                ("customers", cell(summary["n_customers"])),
                ("products", cell(summary["n_products"])),
            ]
        )
        out.print(
            f"  gross {_money(summary['gross_sales'])}  discounts {_money(summary['discounts'])}  "
            f"returns {_money(summary['returns'])}  =  net [bold]{_money(summary['net_sales'])}[/bold]{money}"
        )
        _print_months(summary["months"].rows)
        kinds = ", ".join(f"{row[0].replace('_', ' ')} {row[1]:,}" for row in summary["kinds"].rows)
        out.print(f"  order lines by kind: {kinds}")
        out.print(
            f"  flagged, not removed: {_count(summary['n_duplicate_lines'], 'equal line')}, "
            f"{_count(summary['n_guest_orders'], 'guest order')}"
        )
        if summary["n_events"]:
            out.print(f"  events: {summary['n_events']:,}")
    option = "" if project == "." else f" --project {project}"
    print_trainings(run.trainings)
    print_scores([each for each in run.scores if each.status in {"scored", "failed"}])
    for each in run.drift:
        if each.action != "none":
            out.print(f"  [yellow]![/yellow] {_escaped(each.message, False)}: shopkeeper drift {each.model}{option}")
    if n_rejects:
        waiting = f"{_count(n_rejects, 'row')} {'wait' if n_rejects > 1 else 'waits'} in quarantine"
        out.print(f"  [yellow]{waiting}[/yellow], with reasons: shopkeeper quarantine explain{option}")
    out.print("  the ledger balances to the last digit: " + f"shopkeeper ledger{option}")
    out.print("\n  [bold]Next[/bold]  " + _next_query(option, summary))
    if summary["best_product"]:
        out.print(f"        shopkeeper explain product {_escaped(shlex.quote(summary['best_product']), True)}{option}")


MARKS = {
    "promoted": "[green]✓[/green]",
    "challenger": "[dim]=[/dim]",
    "baseline": "[yellow]=[/yellow]",
    "failed": "[yellow]-[/yellow]",
    "scored": "[green]✓[/green]",
    "unchanged": "[dim]=[/dim]",
    "none": "[dim]-[/dim]",
}
SAYS = {
    "promoted": "is champion",
    "challenger": "stays a challenger",
    "baseline": "is the baseline, which serves",
    "failed": "was not trained",
}


def print_trainings(done: Sequence["Training"], *, details: bool = False) -> None:
    """Print what each training came to; ``details``: with every candidate's figures on the held-out rows."""
    out = console()
    lacking: dict[str, list[str]] = {}
    alike: dict[str, list[Training]] = {}
    for each in done:
        if each.status == "none":
            lacking.setdefault(each.message.rstrip("."), []).append(each.subject)
            continue
        if each.status == "failed":
            alike.setdefault(each.message, []).append(each)
            continue
        name = each.version or each.subject
        out.print(
            f"  {MARKS[each.status]} [bold]{name}[/bold] {SAYS[each.status]} [dim]({each.seconds:.1f} s)[/dim]: "
            f"{_escaped(each.message, False)}"
        )
        if details and each.report:
            _print_report(each.report)
    for message, failed in alike.items():
        names = ", ".join(each.subject for each in failed)
        said = SAYS["failed"] if len(failed) == 1 else "were not trained"
        out.print(f"  {MARKS['failed']} [bold]{names}[/bold] {said}: {_escaped(message, False)}")
    if lacking:
        told = "; ".join(f"{', '.join(subjects)} ({why[0].lower()}{why[1:]})" for why, subjects in lacking.items())
        out.print(f"  [dim]- not trained: {_escaped(told, False)}[/dim]")


def _print_report(report: "Report") -> None:
    out = console()
    first, last = report.held_out
    out.print(f"    judged on {report.n_rows:,} rows, held out: {first} to {last}; {report.primary} decides")
    metrics = list(dict.fromkeys(metric for candidate in report.candidates for metric in candidate.figures))
    rows = [
        (
            candidate.name
            + (" (baseline)" if candidate.is_baseline else " ←" if candidate.name == report.chosen else ""),
            *(_figure(candidate.figures.get(metric)) for metric in metrics),
        )
        for candidate in report.candidates
    ]
    print_table(("candidate", *(metric.replace("_", " ") for metric in metrics)), rows)
    for note in report.notes:
        out.print(f"    [dim]{_escaped(note, False)}[/dim]")


def _figure(figure: "Figure | None") -> str:
    if figure is None:
        return "·"
    value, low, high = (f"{each:.3g}" if abs(each) < 1000 else f"{each:,.0f}" for each in astuple(figure))
    return f"{value} ({low} to {high})"


def print_scores(done: Sequence["Scored"]) -> None:
    """Print what scoring came to: tables and rows, or why there are none."""
    out = console()
    _print_unserved([each for each in done if each.status == "none"])
    for each in done:
        if each.status == "none":
            continue
        told = ", ".join(f"{table} {rows:,}" for table, rows in each.rows.items())
        told = told or each.message or "up to date"
        out.print(f"  {MARKS[each.status]} {each.version or each.subject} → {_escaped(told, False)}")


def _print_unserved(done: Sequence["Scored | Watched"]) -> None:
    alike: dict[str, list[str]] = {}
    for each in done:
        alike.setdefault(each.message, []).append(each.subject)
    for message, subjects in alike.items():
        console().print(f"  {MARKS['none']} {', '.join(subjects)}: {_escaped(message, False)}")


def print_drift(done: Sequence["Watched"]) -> None:
    """Print what each look found, the worst columns first."""
    out = console()
    _print_unserved([each for each in done if not each.version])
    for each in done:
        if not each.version:
            continue
        mark = "[green]✓[/green]" if each.action == "none" else "[yellow]![/yellow]"
        out.print(f"  {mark} [bold]{each.version or each.subject}[/bold]: {_escaped(each.message, False)}")
        if each.report and each.report.alarms:
            rows = [
                (column.name, column.alarm, column.psi, column.distance, column.reason)
                for column in each.report.alarms[:12]
            ]
            print_table(("column", "alarm", "stability index", "distance", "the column …"), rows)


def print_models(found: Sequence["ModelVersion"]) -> None:
    """Print every version: what it is, whether it serves, its figures."""
    rows = [
        (
            "→" if each.state == "champion" else "",
            each.name,
            each.tags.get("candidate", ""),
            each.state + (" (baseline)" if each.is_baseline else ""),
            each.trained_at[:19],
            each.tags.get("as_of", ""),
            each.tags.get("reason", ""),
        )
        for each in found
    ]
    print_table(("", "version", "model", "state", "trained_at", "data before", "the gate said"), rows)


def print_comparison(found: "Difference") -> None:
    """Print two versions side by side: all figures, and the parameters and data that differ."""
    heads = ("", "name", found.first.name, found.second.name)
    rows: list[tuple[Any, ...]] = [
        ("figure", name, _figure(one), _figure(other)) for name, (one, other) in found.figures.items()
    ]
    rows += [("parameter", name, *pair) for name, pair in found.parameters.items()]
    rows += [("data", name, *pair) for name, pair in found.tags.items()]
    print_table(heads, rows)


def print_markdown(text: str) -> None:
    """Print a document."""
    from rich.markdown import Markdown

    console().print(Markdown(text))


def print_dossier(found: "Dossier") -> None:
    """Print all that a version says of one customer or product: facts in pairs, series as bars, lists as tables."""
    out = console()
    named = "" if found.name == found.id else f" · {_escaped(found.name, False)}"
    out.print(f"\n  [bold]{found.kind} {_escaped(found.id, True)}[/bold]{named} [dim](version {found.version})[/dim]")
    for section in found.sections:
        out.print(f"\n  [bold cyan]{section.title}[/bold cyan]")
        if section.form == "facts":
            _print_facts(section)
        elif section.form == "bars":
            _print_bars(section)
        elif section.form == "range":
            _print_range(section)
        else:
            print_table([_words(name) for name in section.columns], section.rows)


def _print_facts(section: "Section") -> None:
    """Print each row as pairs, short ones side by side; what nobody knows is left out."""
    from rich.padding import Padding
    from rich.table import Table

    for row in section.rows:
        pairs = [
            (_words(name), _escaped(value, False))
            for name, value in zip(section.columns, row, strict=True)
            if value is not None and value != ""
        ]
        short = [pair for pair in pairs if len(pair[1]) <= SHORT_FACT]
        grid = Table.grid(padding=(0, 3))
        for at in range(0, len(short), 3):
            grid.add_row(*(f"[dim]{name}[/dim] {value}" for name, value in short[at : at + 3]))
        if short:
            console().print(Padding(grid, (0, 4)))
        for name, value in pairs:
            if len(value) > SHORT_FACT:
                console().print(Padding(f"[dim]{name}[/dim] {value}", (0, 4)))


def _print_bars(section: "Section") -> None:
    """Print one bar per row: the first column names it, the second is its length, all others stand behind."""
    most = max((float(row[1]) for row in section.rows), default=0.0) or 1.0
    width = max(len(cell(row[0])) for row in section.rows)
    for label, value, *rest in section.rows[-LONGEST_CHART:]:
        notes = "  ".join(f"{cell(each)} {_words(name)}" for name, each in zip(section.columns[2:], rest, strict=True))
        shown = _money(value) if isinstance(value, Decimal) else cell(value)
        console().print(
            f"    {cell(label):<{width}} [cyan]{_bar(float(value), most, 30):<31}[/cyan] {shown:>14}  {notes}"
        )


def _print_range(section: "Section") -> None:
    """Print a series with its range: one line per step, the bar to the value, dots to the upper end."""
    most = max((float(row[3] or row[1]) for row in section.rows), default=0.0) or 1.0
    for label, value, low, high in section.rows[:LONGEST_CHART]:
        bar = _bar(float(value), most, 30)
        reach = max(int(float(high or 0) / most * 30) - len(bar), 0)
        told = f"{float(value):,.1f}" + ("" if low is None else f"  ({float(low):,.1f} to {float(high):,.1f})")
        console().print(
            f"    {cell(label):<10} [cyan]{bar}[/cyan][dim]{'·' * reach}[/dim]{' ' * (31 - len(bar) - reach)} {told}"
        )


def _words(name: str) -> str:
    return name.removeprefix("n_").replace("_", " ")


def _bar(value: float, most: float, width: int) -> str:
    length = min(max(0.0, value), most) / most * width
    return "█" * int(length) + (BARS[int(length % 1 * 8)] if length % 1 >= 0.125 else "")


def _count(n: int, thing: str) -> str:
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def _next_query(option: str, summary: dict[str, Any]) -> str:
    if summary["n_order_lines"] and not summary["n_products"]:
        return (
            f'shopkeeper query "select store_id, city, net_sales from stores order by net_sales desc limit 10"{option}'
        )
    if summary["n_order_lines"]:
        return (
            f'shopkeeper query "select description, net_sales from products order by net_sales desc limit 10"{option}'
        )
    return f'shopkeeper query "select event_type, count(*) from events group by 1"{option}'


def _print_behaviour(summary: dict[str, Any], title: str) -> None:
    """Print what a shop without order lines knows: its visits."""
    seen, out = summary["behaviour"], console()
    if not summary["n_events"]:
        out.print(f"  [bold green]✓[/bold green] [bold]{title}[/bold]: neither order lines nor events yet")
        return
    share = seen["n_buying_sessions"] / seen["n_sessions"] if seen["n_sessions"] else 0.0
    out.print(f"  [bold green]✓[/bold green] [bold]{title}[/bold] · {seen['first_day']} to {seen['last_day']}")
    _print_cards(
        [
            ("revenue", _money(seen["revenue"])),
            ("visits", cell(seen["n_sessions"])),
            ("visitors", cell(seen["n_visitors"])),
            ("visits that bought", f"{share:.1%}"),
        ]
    )
    out.print("  events: " + ", ".join(f"{kind} {count:,}" for kind, count in seen["types"].rows))


def _print_cards(cards: Sequence[tuple[str, str]]) -> None:
    from rich import box
    from rich.columns import Columns
    from rich.panel import Panel

    panels = [
        Panel(f"[bold]{value}[/bold]\n[dim]{name}[/dim]", box=box.ROUNDED, padding=(0, 2)) for name, value in cards
    ]
    console().print(Columns(panels))


def _money(value: Decimal | None) -> str:
    return f"{value or Decimal(0):,.2f}"


def _print_months(rows: Sequence[Sequence[Any]]) -> None:
    """Print one bar per month with its net sales, and the growth on the month before as a percentage."""
    if not rows:
        return
    most = max(float(row[1]) for row in rows) or 1.0
    out = console()
    out.print()
    for month, net_sales, n_orders, growth, is_complete in rows[-14:]:
        bar = _bar(float(net_sales), most, 40)
        # Growth of a month that the data do not cover whole would be an artefact.
        change = "" if growth is None else f"{growth:+.0%}" if is_complete else "so far"
        out.print(f"  {month:%Y-%m} [cyan]{bar:<41}[/cyan] {_money(net_sales):>16}  {n_orders:>7,} orders  {change:>6}")
    out.print()
