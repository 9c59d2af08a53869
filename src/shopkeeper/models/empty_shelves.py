"""Stock-outs: when a product could not be bought, however it was priced."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shopkeeper.models.price_channels import Codes, Numbers


def empty_shelves(
    stock: pa.Table, product_ids: NDArray[Any], product: Codes, last_day: int
) -> tuple[Codes, Codes, Numbers]:
    """Return series, day and the share of the product's sales whose shelves were empty on that day.

    A shelf that ends a day empty is empty until units come in; the day it ran out counts half.
    """
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    if not stock.num_rows or not len(product_ids):
        return nothing
    names = stock["product_id"].to_numpy(zero_copy_only=False).astype(np.str_)
    place = np.minimum(np.searchsorted(product_ids, names), len(product_ids) - 1)
    is_sold = product_ids[place] == names
    store = np.unique(stock["store_id"].to_numpy(zero_copy_only=False).astype(np.str_), return_inverse=True)[1]
    day = stock["day"].cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64)
    held, came, went = (stock[name].to_numpy() for name in ("on_hand", "n_units_in", "n_units_out"))
    kept = np.flatnonzero(is_sold & (day <= last_day))
    kept = kept[np.lexsort((day[kept], store[kept], place[kept]))]
    if not len(kept):
        return nothing
    place, day, held, came, went = (column[kept] for column in (place, day, held, came, went))
    shelf = np.unique(place * (store.max() + 1) + store[kept], return_inverse=True)[1]
    of_shelf, of_product = np.bincount(shelf, went), np.bincount(place, went, len(product_ids))
    share = of_shelf[shelf] / np.maximum(of_product[place], 1e-12)
    is_same = np.append(shelf[1:] == shelf[:-1], False)
    until = np.where(is_same, np.append(day[1:], 0), last_day + 1) - 1
    # On the day of the next movement the shelf is still empty unless that brings units.
    until += is_same & (np.append(came[1:], 1) <= 0)
    out = np.flatnonzero(held <= 0)
    length = np.maximum(until[out] - day[out] + 1, 1)
    row = np.repeat(out, length)
    offset = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    when, weight = day[row] + offset, share[row] * np.where(offset == 0, 0.5, 1.0)
    span = last_day + 2
    both, number = np.unique(place[row] * span + when, return_inverse=True)
    lost = np.minimum(np.bincount(number, weight), 0.95)
    # Each series of the product, in whichever channel, stands before the same shelves.
    order = np.argsort(product, kind="stable")
    wanted = both // span
    low, high = np.searchsorted(product[order], wanted), np.searchsorted(product[order], wanted, side="right")
    times = high - low
    which = np.repeat(np.arange(len(both)), times)
    inner = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
    return order[low[which] + inner], both[which] % span, lost[which]
