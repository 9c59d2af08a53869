"""What `shopkeeper profile` does: look at tables of the published version, on the terminal or as a document."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from shopkeeper.errors import UsageError

if TYPE_CHECKING:
    from shopkeeper.assembly import Shopkeeper
    from shopkeeper.serving.profiling import Column, Study

BARS = "▁▂▃▄▅▆▇█"
WIDTH, N_PAIRS = 24, 8


def list_tables(parts: "Shopkeeper", *, as_json: bool) -> None:
    """Print one line per published table."""
    from shopkeeper.apps.charts.profiled import share
    from shopkeeper.apps.screen import print_json, print_table, progress
    from shopkeeper.serving.profiling import summaries

    with progress(quiet=as_json) as tell, parts.published.open() as connection:
        found = summaries(connection, parts.words, tell=tell)
    if as_json:
        print_json([asdict(each) for each in found])
        return
    rows = [
        (
            each.name,
            each.n_rows,
            each.n_columns,
            "·" if each.missing_share is None else share(each.missing_share, 1),
            each.grain.partition(".")[0].partition(";")[0],
        )
        for each in found
    ]
    print_table(("table", "rows", "columns", "missing", "grain"), rows)


def profile_table(
    parts: "Shopkeeper",
    table: str,
    *,
    columns: Sequence[str],
    out: Path | None,
    shows_customers: bool,
    as_json: bool,
) -> None:
    """Print what a table holds, or write it to a file.

    Raises UsageError for a table or column that there is not, StorageError if the file cannot be written.
    """
    from shopkeeper.apps.screen import print_json, progress
    from shopkeeper.serving.profiling import study_published

    if out is not None and out.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"--out must be a file ending in .html; got {str(out)!r}. Name it so.")
    with progress(quiet=as_json) as tell:
        found = study_published(
            parts.published, table, columns=columns, words=parts.words, shows_customers=shows_customers, tell=tell
        )
    if out is not None:
        from shopkeeper.apps.documents.profile_page import profile_page
        from shopkeeper.apps.documents.sheet import write

        write(profile_page(found), out)
    if as_json:
        print_json(asdict(found))
    elif out is not None:
        print(f"wrote {out}: {len(found.table.columns)} columns of {found.table.n_rows:,} rows of {found.table.name}")
    else:
        print_study(found)


def print_study(found: "Study") -> None:
    """Print a study: its columns in a line each, its faults, the closest pairs."""
    from shopkeeper.apps.charts.profiled import distinct, share, values
    from shopkeeper.apps.screen import console, print_table

    told = found.table
    out = console()
    out.print(
        f"\n  [bold]{told.name}[/bold]  {told.n_rows:,} rows, {len(told.columns)} columns, version {told.version}"
    )
    out.print(f"  [dim]{told.grain}[/dim]\n", markup=True, highlight=False)
    rows = [
        (
            column.name,
            column.type.lower(),
            share(column.n_missing, column.n_rows) if column.n_missing else "·",
            distinct(column),
            _shape(column),
            values(column),
        )
        for column in told.columns
    ]
    print_table(("column", "type", "missing", "different", "spread", "values"), rows)
    if found.faults:
        print_table(
            ("fault", "rows", "share", "money on them"),
            [(each.name, each.n_rows, share(each.share, 1), each.amount) for each in found.faults],
        )
    pairs = [each for each in found.associations if each.strength < 1][:N_PAIRS]
    if pairs:
        print_table(
            ("goes with", "", "how closely", "kind"),
            [(each.first, each.second, round(each.strength, 2), each.kind) for each in pairs],
        )
    out.print(f"[dim]as a page with charts: shopkeeper profile {told.name} --out profile.html[/dim]")


def _shape(column: "Column") -> str:
    """Return a histogram in one line of text."""
    from shopkeeper.apps.charts.profiled import heights

    sums = heights(column, WIDTH)
    most = max(sums, default=0) or 1
    return "".join(BARS[min(int(n / most * len(BARS)), len(BARS) - 1)] if n else " " for n in sums)
