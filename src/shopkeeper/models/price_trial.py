"""Prices on trial: product-weeks whose price was off the usual, and what each model expected of them.

A model knows a series' level and its answer to prices from before the held-out weeks. How busy the shop and the
product's group were in a held-out week is told to all contenders alike (``expected``, from other products' sales):
the question is what a price did, and not how many come in December.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.models.model import Model
from shopkeeper.models.price_channels import Numbers
from shopkeeper.models.price_panel import MONDAY, WEEK
from shopkeeper.vocabulary import PRODUCT_ID

LEAST_WEEKS, LEAST_HELD_OUT, MOST_HELD_OUT = 12, 4, 13
LEAST_JUDGED, LEAST_IN_BIN, LEAST_MOVE, BASE_WEEKS = 4, 8, 0.01, 26
LEAST_EXPECTED = 1e-3
MOVES = (-0.5, -0.35, -0.2, -0.1, -0.05, 0.05, 0.1, 0.2, 0.35, 0.5)
EPOCH = date(1970, 1, 1)
KEY = (PRODUCT_ID, "channel", "currency")
UNMOVED = (
    "a posted price must have moved both before the weeks to judge by and in them, so that what was learnt can be "
    "judged; none, or hardly any, did. Wait for changes of prices."
)


@dataclass(frozen=True)
class Weeks:
    """Product-weeks to judge by, sorted: whose they are, how far the log price was off the usual one, and what was
    sold.
    """

    product_id: NDArray[Any]
    move: Numbers
    lines: Numbers
    units: Numbers
    expected_lines: Mapping[str, Numbers]
    expected_units: Mapping[str, Numbers]


def cuts(first_day: int, last_day: int) -> tuple[int, int]:
    """Return the Mondays (days since 1970) from which on weeks are held out, and from which on those before them
    choose.

    Held out is a fifth of the whole weeks, 4 to 13, and the days after the last whole one. Raises ModelError under
    12 weeks.
    """
    first, last = -(-(first_day + MONDAY) // WEEK), (last_day + 1 + MONDAY) // WEEK
    weeks = last - first
    if weeks < LEAST_WEEKS:
        raise ModelError(
            f"a history must span {LEAST_WEEKS} whole weeks before elasticities can be told and judged; got {max(weeks, 0)}. "
            f"Wait for more sales."
        )
    held = int(np.clip(weeks // 5, LEAST_HELD_OUT, MOST_HELD_OUT))
    return (last - held) * WEEK - MONDAY, (last - 2 * held) * WEEK - MONDAY


def day(number: int) -> pa.Scalar:
    """Return a day since 1970 as an Arrow date."""
    return pa.scalar(EPOCH + timedelta(number), pa.date32())


def judged(rows: pa.Table, known: pa.Table, begin: int) -> pa.Table:
    """Return the rows from a day on of series that were known before it, with ``move``: log price less the usual one.

    Usual is what an average line was charged in the last 26 weeks before the day. Raises ModelError where there is
    no such row.
    """
    late = known.filter(pc.greater_equal(known["week"], day(begin - BASE_WEEKS * WEEK)))
    weight = pc.add(late["n_lines"], 1e-6)
    sums = (
        late.select(list(KEY))
        .append_column("weight", weight)
        .append_column("weighted", pc.multiply(late["log_price"], weight))
        .group_by(list(KEY), use_threads=False)
        .aggregate([("weight", "sum"), ("weighted", "sum")])
    )
    usual = sums.select(list(KEY)).append_column("usual", pc.divide(sums["weighted_sum"], sums["weight_sum"]))
    whole = rows.filter(pc.greater_equal(rows["week"], day(begin)))
    if not whole.num_rows or not usual.num_rows:
        raise ModelError(UNMOVED)
    joined = whole.join(usual, list(KEY), join_type="inner")
    joined = joined.append_column("move", pc.subtract(joined["log_price"], joined["usual"]))
    return joined.sort_by([(name, "ascending") for name in (*KEY, "week", "spell", "log_price", "expected")])


def weeks_of(rows: pa.Table, models: Mapping[str, Model]) -> Weeks:
    """Return the product-weeks whose price was 1 % or more off the usual, and what each model expected of them.

    Raises ModelError where there are fewer than four.
    """
    key = [*KEY, "week"]
    table = rows.select([*key, "n_lines", "n_units"])
    for number, model in enumerate(models.values()):
        scores = model.score(rows)
        for what in ("lines", "units"):
            table = table.append_column(f"{what}_{number}", scores[f"expected_{what}"])
    weight = pc.add(rows["expected"], 1e-9)
    table = table.append_column("weight", weight).append_column("off", pc.multiply(rows["move"], weight))
    summed = [name for name in table.column_names if name not in key]
    sums = table.group_by(key, use_threads=False).aggregate([(name, "sum") for name in summed])
    sums = sums.sort_by([(name, "ascending") for name in key])
    columns = {name: sums[f"{name}_sum"].to_numpy().astype(np.float64) for name in summed}
    move = columns["off"] / columns["weight"]
    is_off = np.abs(move) >= LEAST_MOVE
    for number in range(len(models)):
        is_off &= np.isfinite(columns[f"lines_{number}"])
    if is_off.sum() < LEAST_JUDGED:
        raise ModelError(UNMOVED)
    return Weeks(
        sums[PRODUCT_ID].to_numpy(zero_copy_only=False).astype(np.str_)[is_off],
        move[is_off],
        columns["n_lines"][is_off],
        columns["n_units"][is_off],
        *(
            {
                name: np.maximum(columns[f"{what}_{number}"][is_off], LEAST_EXPECTED)
                for number, name in enumerate(models)
            }
            for what in ("lines", "units")
        ),
    )


def response(weeks: Weeks, name: str, flat: str) -> dict[str, list[Any]]:
    """Return how demand answered, by how far the price was off the usual: ``move`` as a share, ``n`` weeks, and
    ``actual``, ``low``, ``high`` (of chance alone) and ``expected`` lines over those that the model ``flat``, blind
    to prices, expected.
    """
    place = np.digitize(weeks.move, MOVES)
    bins = len(MOVES) + 1
    n = np.bincount(place, minlength=bins)
    kept = np.flatnonzero(n >= LEAST_IN_BIN)
    blind = weeks.expected_lines[flat]
    columns = (weeks.move, weeks.lines, weeks.expected_lines[name], blind, (weeks.lines - blind) ** 2)
    move, lines, told, base, squares = (np.bincount(place, column, bins)[kept] for column in columns)
    spread = 1.96 * np.sqrt(squares) / base
    return {
        "move": np.expm1(move / n[kept]).tolist(),
        "n": n[kept].tolist(),
        "actual": (lines / base).tolist(),
        "low": np.maximum(lines / base - spread, 0).tolist(),
        "high": (lines / base + spread).tolist(),
        "expected": (told / base).tolist(),
    }
