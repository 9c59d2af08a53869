"""What each segment is like, in plain words and in figures, from the features of its customers."""

import numpy as np
import pyarrow as pa

from shopkeeper.models.clusters import ranks as of_values
from shopkeeper.models.customer_rows import numbers
from shopkeeper.models.segment_model import Bools, Floats

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TIMES = ("morning", "afternoon", "evening")
CORRELATED = 20
"""How many of the highest pairs a correlation report lists."""
LEAST_KNOWN = 30
"""Customers in whom both features are known, at least, for their correlation to be told."""
NO_FEATURES = {"customer_id", "as_of", "country", "main_category"}


def profile_of(members: pa.Table, everyone: pa.Table) -> str:
    """Return what the members of a segment are like, in sentences. Both: rows of ``customer_features`` of one moment."""
    n = members.num_rows
    if not n:
        return "Nobody at present."
    of_all = numbers(everyone, "net_sales").sum()
    share = f"{n:,} customer{'s' if n > 1 else ''}, {n / everyone.num_rows:.1%} of all"
    if not (numbers(members, "n_orders") > 0).any():
        return f"{share}. None of them has ordered."
    net = numbers(members, "net_sales")
    said = [f"{share}, who bring {net.sum() / of_all:.1%} of net sales." if of_all > 0 else f"{share}."]
    has_products = (numbers(everyone, "n_products") > 0).any()
    variety = f", {_counted(members, 'n_products', 'different product')}" if has_products else ""
    said.append(
        f"Half of them ordered within the last {_counted(members, 'days_since_last_order', 'day')}; the middle one has "
        f"{_counted(members, 'n_orders', 'order')}{variety} and {np.median(net):,.0f} of net sales, "
        f"{_median(members, 'sales_per_order'):,.0f} an order."
    )
    gaps = _median(members, "mean_days_between_orders")
    if np.isfinite(gaps):
        said.append(f"Those who came again did so every {gaps:.0f} days.")
    for column, of in (("country", "are from"), ("main_category", "buy mostly")):
        told = _most(members, column)
        if told:
            said.append(f"{told[1]:.0%} {of} {told[0]}.")
    weekday = _largest(members, [f"weekday_share_{day}" for day in range(1, 8)])
    time = _largest(members, [f"share_{each}" for each in TIMES])
    if weekday and time:
        said.append(f"They order most on {WEEKDAYS[weekday[0]]}s ({weekday[1]:.0%}) and in the {TIMES[time[0]]}.")
    cancelling = (numbers(members, "n_cancellations") > 0).mean()
    if cancelling >= 0.01:
        said.append(f"{cancelling:.0%} have cancelled or sent back something.")
    return " ".join(said)


def correlations(rows: pa.Table, most: int | None = CORRELATED) -> dict[str, list[object]]:
    """Return the pairs of features with the highest Spearman rank correlations: ``feature``, ``other``, ``rho``, ``n``.

    At most so many pairs, None for all. Ranks are over the ``n`` customers in whom both are known; constant features have none.
    """
    names = [
        name
        for name, kind in zip(rows.column_names, rows.schema.types, strict=True)
        if name not in NO_FEATURES and (pa.types.is_integer(kind) or pa.types.is_floating(kind))
    ]
    columns = {name: numbers(rows, name) for name in names}
    ranks: dict[tuple[str, bytes], Floats] = {}

    def ranked(name: str, known: Bools) -> Floats:
        key = (name, known.tobytes())
        if key not in ranks:
            ranks[key] = of_values(columns[name][known])
        return ranks[key]

    found = []
    for place, one in enumerate(names):
        for two in names[place + 1 :]:
            known = np.isfinite(columns[one]) & np.isfinite(columns[two])
            first, second = ranked(one, known), ranked(two, known)
            if len(first) >= LEAST_KNOWN and first.std() > 0 and second.std() > 0:
                found.append((one, two, float(np.corrcoef(first, second)[0, 1]), len(first)))
    found.sort(key=lambda pair: (-abs(pair[2]), pair[0], pair[1]))
    top = list(zip(*found[:most], strict=True)) or [()] * 4
    return {name: list(column) for name, column in zip(("feature", "other", "rho", "n"), top, strict=True)}


def _median(rows: pa.Table, column: str) -> float:
    found = numbers(rows, column)
    found = found[np.isfinite(found)]
    return float(np.median(found)) if len(found) else float("nan")


def _counted(rows: pa.Table, column: str, what: str) -> str:
    n = f"{_median(rows, column):.0f}"
    return f"{n} {what}" if n == "1" else f"{n} {what}s"


def _most(rows: pa.Table, column: str) -> tuple[str, float] | None:
    """Return the most frequent text and its share; of equals the first by name. None if no row has one."""
    found = sorted(each for each in rows[column].to_pylist() if each is not None)
    if not found:
        return None
    names, counts = np.unique(np.array(found), return_counts=True)
    at = int(np.argmax(counts))
    return str(names[at]), float(counts[at] / rows.num_rows)


def _largest(rows: pa.Table, columns: list[str]) -> tuple[int, float] | None:
    """Return the place of the column with the largest mean share, and that mean, over the rows that have one."""
    shares = np.column_stack([numbers(rows, column) for column in columns])
    shares = shares[np.isfinite(shares).all(axis=1)]
    if not len(shares):
        return None
    means = shares.mean(axis=0)
    return int(np.argmax(means)), float(means.max())
