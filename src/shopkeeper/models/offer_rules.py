"""Which products may be shown: not blocked, in stock where stock is known, and with margin enough where cost is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shopkeeper.models.recommender import CATALOGUE


@dataclass(frozen=True)
class OfferRules:
    """The rules of a shop.

    ``blocked``: products never shown; ``repeat_categories``: categories whose products are shown to who bought them already;
    ``in_stock_only``: leave out what is known to be out of stock in all stores; ``margin_floor``: leave out products whose
    margin, 1 - unit cost / price, is known to be below it (0: no floor).
    """

    blocked: Sequence[str] = ()
    repeat_categories: Sequence[str] = ()
    in_stock_only: bool = True
    margin_floor: float = 0.0

    def catalogue(self, products: pa.Table, stock_days: pa.Table, prices: pa.Table) -> pa.Table:
        """Return the products as a recommender is told of them (``recommender.CATALOGUE``), sorted by id.

        ``products`` and ``stock_days``: as ``History`` has them; ``prices``: ``product_id, price``, what each was last sold for,
        where the catalogue has no list price.
        """
        known = products.join(prices, "product_id", join_type="left outer").sort_by("product_id")
        price = pc.coalesce(known["list_price"], known["price"]).to_numpy(zero_copy_only=False).astype(np.float64)
        cost = known["unit_cost"].to_numpy(zero_copy_only=False).astype(np.float64)
        names = known["product_id"]
        is_barred = pc.is_in(names, pa.array(self.blocked, pa.string())).to_numpy(zero_copy_only=False)
        if self.margin_floor > 0:
            margin = 1 - cost / np.where(price > 0, price, np.nan)
            is_barred = is_barred | (margin < self.margin_floor)
        if self.in_stock_only and stock_days.num_rows:
            gone = pc.is_in(names, out_of_stock(stock_days)).to_numpy(zero_copy_only=False)
            is_barred = is_barred | gone
        repeats = pc.is_in(known["category"], pa.array(self.repeat_categories, pa.string()))
        return pa.table(
            {
                "product_id": names,
                "description": known["description"],
                "category": known["category"],
                "is_offered": pa.array(~is_barred),
                "is_repeatable": pc.fill_null(repeats, fill_value=False),
            }
        ).cast(CATALOGUE)


def out_of_stock(stock_days: pa.Table) -> pa.Array:
    """Return the products of which no store has a unit, as their last recorded days ended; sorted."""
    last = stock_days.group_by(["product_id", "store_id"]).aggregate([("day", "max")])
    held = stock_days.join(
        last, ["product_id", "store_id", "day"], ["product_id", "store_id", "day_max"], join_type="inner"
    )
    units = pc.max_element_wise(pc.fill_null(held["on_hand"], 0.0), 0.0)
    totals = held.append_column("units", units).group_by("product_id").aggregate([("units", "sum")])
    gone = totals.filter(pc.less_equal(totals["units_sum"], 0.0)).sort_by("product_id")
    return gone["product_id"].combine_chunks()
