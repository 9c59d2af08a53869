"""A shop with known truth, in the shape of any preset.

Pure: no disk, no clock. ``simulate`` returns a shop; its ``files`` are bytes to write, its ``truth`` tables
to hold a model or a load against.
"""

from datetime import date

from shopkeeper.errors import UsageError
from shopkeeper.simulator.clickstream import Clickstream
from shopkeeper.simulator.client_files import ClientFiles
from shopkeeper.simulator.gift_wholesaler import GiftWholesaler
from shopkeeper.simulator.rendering import RenderedFile
from shopkeeper.simulator.shop import Shop
from shopkeeper.simulator.store_chain import StoreChain

__all__ = ["PRESETS", "RenderedFile", "Shop", "simulate"]

PRESETS: dict[str, tuple[type[Shop], date]] = {
    "client_and_sales": (ClientFiles, date(2023, 1, 1)),
    "rees46_events": (Clickstream, date(2019, 10, 1)),
    "us_retail": (StoreChain, date(2024, 1, 1)),
    "uci_online_retail": (GiftWholesaler, date(2010, 12, 1)),
}
"""What can be simulated: the kind of shop behind each preset, and the first day of its period."""


def simulate(preset: str, *, customers: int, days: int, seed: int, start: date | None = None) -> Shop:
    """Return a shop in the shape of a preset; equal arguments give equal bytes.

    ``customers``: how many the shop ever has (at least 10). ``days``: length of the period (at least 7),
    from ``start``, or from the preset's own first day. Raises UsageError for a preset or number that cannot
    be.
    """
    if preset not in PRESETS:
        raise UsageError(f"preset must be one of {', '.join(PRESETS)}; got {preset!r}. Choose one of them.")
    for name, value, least in (("customers", customers, 10), ("days", days, 7), ("seed", seed, 0)):
        if value < least:
            raise UsageError(f"{name} must be at least {least}; got {value}. Give a larger number.")
    kind, opened = PRESETS[preset]
    return kind(customers=customers, days=days, seed=seed, start=start or opened)
