"""What `shopkeeper report` does: tell a month of the published version in one file to mail."""

import re
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from shopkeeper import vocabulary as v
from shopkeeper.errors import UsageError

if TYPE_CHECKING:
    from shopkeeper.apps.documents.material import Material
    from shopkeeper.assembly import Shopkeeper
    from shopkeeper.serving.exhibits import Visit


def write_report(parts: "Shopkeeper", out: Path, *, month: str | None, names_customers: bool, as_json: bool) -> None:
    """Write the report of a month, the last whole one if none is named, and say where.

    Raises UsageError if nothing is published or the month is none that the version tells, StorageError if the file cannot be
    written.
    """
    from shopkeeper.apps.documents.report_page import report_page
    from shopkeeper.apps.documents.sheet import write
    from shopkeeper.apps.documents.story import story
    from shopkeeper.apps.screen import print_json, progress

    if out.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"--out must be a file ending in .html; got {str(out)!r}. Name it so.")
    with progress(quiet=as_json) as tell:
        tell("report", "asking the version", 0, None)
        told = gather(parts, month, names_customers=names_customers)
        tell("report", "writing", 0, None)
        text = report_page(told)
        write(text, out)
    sentences = story(told)
    if as_json:
        print_json(
            {
                "file": str(out),
                "month": told.month.strftime("%Y-%m"),
                "version": told.version,
                "bytes": len(text.encode()),
                "sentences": sentences,
            }
        )
        return
    for sentence in sentences:
        print(f"  {sentence}")
    print(f"wrote {out}: {told.month_name}, version {told.version}, {len(text.encode()) / 1e6:.2f} MB")


def gather(parts: "Shopkeeper", month: str | None, *, names_customers: bool = False) -> "Material":
    """Return what the report of a month is made of. Raises UsageError if there is nothing to tell of it."""
    from shopkeeper import quarantine
    from shopkeeper.apps.charts import Formats
    from shopkeeper.apps.documents.material import Material, Rejected
    from shopkeeper.serving.exhibits import Filter, advised, monthly
    from shopkeeper.serving.judgements import judgements
    from shopkeeper.serving.profiling import faults

    scopes = frozenset((v.AGGREGATES, v.CUSTOMERS)) if names_customers else frozenset((v.AGGREGATES,))
    visit = parts.gallery.visit(scopes)
    if visit is None:
        raise UsageError("a version must be published before it can be reported; there is none. Run `shopkeeper run`.")
    chosen = _month(visit, month)
    during = Filter(chosen, _next(chosen) - timedelta(days=1))
    asked = [
        *(
            monthly.MONTHS,
            monthly.DAYS,
            monthly.TRAFFIC,
            monthly.PURCHASES,
            monthly.PRODUCTS,
            monthly.MOVERS,
            monthly.COUNTRIES,
            monthly.STORES,
        ),
        *(monthly.CATEGORIES, monthly.CUSTOMERS, advised.SEGMENTS, advised.REORDER_TOTALS, advised.REORDER),
        *(advised.PRICE_TOTALS, advised.PRICES, advised.CHURN, advised.BALANCE),
        *((advised.WRITE_TO,) if names_customers else ()),
    ]
    shown = {exhibit.name: visit.show(exhibit, during, month=chosen) for exhibit in asked}
    version = visit.edition.version
    judged, unread = judgements(parts.published, version, v.SUBJECTS)
    published_at = datetime.fromisoformat(version.published_at)
    with visit.edition.cursor() as connection:
        odd = faults(connection, now=published_at)
    loads = parts.lake.loads()
    return Material(
        parts.settings.shop.name,
        chosen,
        version.number,
        published_at,
        Formats(parts.settings.shop.currency, parts.settings.shop.timezone),
        shown,
        judged,
        unread,
        [
            Rejected(each["source"], each["column_name"], each["rule"], each["n_rows"])
            for each in quarantine.explain(parts.lake)
        ],
        {
            "read": sum(load.rows_read for load in loads),
            "loaded": sum(load.rows_loaded for load in loads),
            "resent": sum(load.rows_resent for load in loads),
            "quarantined": sum(load.rows_quarantined for load in loads),
        },
        odd,
        names_customers,
    )


def _month(visit: "Visit", asked: str | None) -> date:
    """Return the first day of the month that is asked for; without one the last whole one, else the last."""
    from shopkeeper.serving.exhibits import Filter, monthly

    any_days = Filter(date.min, date.max)
    rows = visit.show(monthly.WHICH_MONTHS, any_days).rows
    known: dict[date, bool] = {row["month_start"]: row["is_complete"] for row in rows}
    if not known:
        raise UsageError(
            "a report must have a month with orders or visits to tell of; the published version holds none. Add a source, then "
            "run `shopkeeper run`."
        )
    if asked is None:
        return max((month for month, is_whole in known.items() if is_whole), default=max(known))
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", asked):
        raise UsageError(f"--month must be a year and a month such as {max(known):%Y-%m}; got {asked!r}. Write it so.")
    month = date(int(asked[:4]), int(asked[5:]), 1)
    if month not in known:
        raise UsageError(
            f"--month must be one that the published version tells, from {min(known):%Y-%m} to {max(known):%Y-%m}; got "
            f"{asked!r}. Choose one."
        )
    return month


def _next(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
