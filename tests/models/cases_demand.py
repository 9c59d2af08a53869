"""Models of demand for the contract test."""

import importlib.util
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from shopkeeper.models.demand_model import Demand, SeasonalNaive
from shopkeeper.models.demand_series import series_of

SPEC = importlib.util.spec_from_file_location("sold_in_memory", Path(__file__).parent / "sold_in_memory.py")
memory = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(memory)


def rows() -> pa.Table:
    """Make the rows of a small shop: total, stores, categories and products."""
    history = memory.SoldInMemory(memory.lines_of(memory.shop(150, 10)))
    return series_of(history, history.last_day + timedelta(1)).rows(14)


def promoted_rows() -> pa.Table:
    """Make the rows of the same shop with a promotion in most months, and one ahead."""
    weeks = [
        {"level": "category", "member": "A", "discount_share": 0.2, "first": one, "last": one + 6}
        for one in (30, 60, 90, 120, 145)
    ]
    history = memory.SoldInMemory(memory.lines_of(memory.shop(150, 10)), promotions=memory.promotions(weeks))
    return series_of(history, history.last_day + timedelta(1)).rows(14)


NAMED = {"methods": {"total": "boosted", "store": "boosted", "category": "auto_theta", "product": "boosted"}}
CASES = {
    "demand/seasonal_naive": (lambda: SeasonalNaive(horizon_days=14), rows),
    "demand/best_per_level": (lambda: Demand(horizon_days=14), rows),
    "demand/best_per_level promoted": (lambda: Demand(horizon_days=14), promoted_rows),
    "demand/best_per_level named": (lambda: Demand(horizon_days=14, seed=3, **NAMED), rows),
}
