"""The models of prices, for the contract that all models obey."""

import functools
import importlib.util
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from shopkeeper.models.elasticity import NoResponse, PartialPooling, PooledResponse
from shopkeeper.models.prices import Prices

SPEC = importlib.util.spec_from_file_location("priced_shops", Path(__file__).with_name("priced_shops.py"))
shops = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(shops)


@functools.cache
def rows() -> pa.Table:
    """Weeks of twelve products by price."""
    shop, _ = shops.responsive(n=12, days=140, spread=0.3)
    return Prices().read(shop, shop.last_day + timedelta(1)).panel.rows


CASES = {
    "prices/partial_pooling": (functools.partial(PartialPooling, seed=3), rows),
    "prices/partial_pooling_trend": (functools.partial(PartialPooling, seed=3, trend=True), rows),
    "prices/pooled": (PooledResponse, rows),
    "prices/zero": (NoResponse, rows),
}
