"""The tables that prices publish: elasticities, advice, what-if curves, and price changes."""

import pyarrow as pa

from shopkeeper.models.model import VERSION_COLUMNS, Column, PredictionTable
from shopkeeper.vocabulary import AS_OF, PRODUCT_ID

SERIES_KEY = (
    Column(PRODUCT_ID, pa.string(), "the product"),
    Column(
        "channel",
        pa.string(),
        "the price list: all; or standard, high (stores or orders that are charged more), bulk (from the quantity break "
        "on), high_bulk",
    ),
    Column("currency", pa.string(), "ISO 4217; prices of two currencies never meet"),
    Column(AS_OF, pa.date32(), "the moment: what was known before this day"),
)
KEY = tuple(column.name for column in SERIES_KEY)


def _money(name: str, meaning: str) -> Column:
    return Column(name, pa.float64(), meaning)


ELASTICITIES = PredictionTable(
    "price_elasticities",
    "one row per product, channel and currency that sold before the moment, and moment",
    KEY,
    (
        *SERIES_KEY,
        Column(
            "price_group", pa.string(), "category, or the last word of the description; whom the elasticity is drawn to"
        ),
        Column(
            "status",
            pa.string(),
            "measured (own weeks count for a third or more), pooled (for less), group (the group's alone), unknown",
        ),
        Column("reason", pa.string(), "why it is not measured; empty where it is"),
        _money("elasticity", "per cent of units per per cent of price; null where unknown"),
        _money("elasticity_low", "low end of its 95 % interval"),
        _money("elasticity_high", "high end of that interval"),
        _money("own_elasticity", "from the product's own weeks alone; null where they tell nothing"),
        _money("own_error", "standard error of that, which respects weeks and spells"),
        _money("own_share", "share of the elasticity that is the product's own, 0 to 1"),
        _money("group_elasticity", "the group's; null where unknown"),
        Column("n_prices", pa.int64(), "posted prices so far, one after another; a return to an old one counts"),
        _money("lowest_price", "lowest posted price"),
        _money("highest_price", "highest posted price"),
        _money("posted_share", "share of lines that were charged the posted price"),
        _money("break_quantity", "units of a line from which on the price is lower; null without a quantity break"),
        Column("n_lines", pa.int64(), "lines sold"),
        _money("n_units", "units sold"),
        *VERSION_COLUMNS,
    ),
)
ADVICE = PredictionTable(
    "price_advice",
    "one row per product, channel and currency that sold before the moment, and moment",
    KEY,
    (
        *SERIES_KEY,
        _money("price", "regular price now, money per unit: the last posted one that is no promotion"),
        Column("objective", pa.string(), "profit, or revenue where the unit cost is not known"),
        Column("action", pa.string(), "raise, lower, keep; none where no advice can be given"),
        _money("advised_price", "price that brings most within the bounds"),
        _money("lowest_allowed", "low bound of the search"),
        _money("highest_allowed", "high bound"),
        Column("is_sure", pa.bool_(), "whether the gain is above nought over the elasticity's whole 95 % interval"),
        Column("reason", pa.string(), "which bound holds the price, or why there is no advice"),
        _money("unit_cost", "cost of a unit; null where no source tells it in this currency"),
        _money("units_per_day", "units a day at the price now, from the last 91 days"),
        _money("revenue_per_day", "the same in money"),
        _money("profit_per_day", "the same less unit cost; null where that is not known"),
        *(
            _money(f"{name}_change{end}", meaning)
            for name in ("units", "revenue", "profit")
            for end, meaning in (
                ("", f"expected change of {name} at the advised price, as a share"),
                ("_low", "low end of its 95 % interval, of the elasticity's error alone"),
                ("_high", "high end"),
            )
        ),
        *VERSION_COLUMNS,
    ),
)
CURVES = PredictionTable(
    "price_curves",
    "one row per product, channel, currency, moment and price, up to eleven, between the bounds of the advice",
    (*KEY, "price"),
    (
        *SERIES_KEY,
        _money("price", "the price asked"),
        *(
            _money(f"{name}{end}", meaning)
            for name, unit in (
                ("units", "units a day"),
                ("revenue", "money a day"),
                ("profit", "money a day, cost taken off"),
            )
            for end, meaning in (
                ("_per_day", f"expected {unit}"),
                ("_low", "low end of its 95 % interval"),
                ("_high", "high end"),
            )
        ),
    ),
)
CHANGES = PredictionTable(
    "price_changes",
    "one row per product, channel, currency, moment and day on which the posted price changed",
    (*KEY, "changed_on"),
    (
        *SERIES_KEY,
        Column(
            "changed_on", pa.date32(), "first day of the new price, half-way between two sales where it was not seen"
        ),
        _money("old_price", "price before"),
        _money("new_price", "price from then on"),
        Column("is_promotion", pa.bool_(), "whether it is 5 % or more below the prices around it, for 28 days at most"),
        *(
            column
            for side, words in (("before", "up to 28 days before"), ("after", "up to 28 days from the change on"))
            for column in (
                Column(f"days_{side}", pa.int64(), f"days counted, {words}, of that one price"),
                _money(f"units_{side}", "units a day, plainly counted"),
                _money(f"units_{side}_low", "low end of its 95 % interval, of chance alone"),
                _money(f"units_{side}_high", "high end"),
            )
        ),
    ),
)
