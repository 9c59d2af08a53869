"""One declared schema for each entity that enters the lake.

A contract says which columns a row has, of which type, and which must be there. Sources cast to it,
the lake stores it, staging reads it. Grain of every table: one row as the source said it.
"""

from dataclasses import dataclass
from enum import StrEnum

from shopkeeper import vocabulary as v
from shopkeeper.errors import SettingsError


class Kind(StrEnum):
    """The types a contract knows; each has one DuckDB type and one Arrow type."""

    TEXT = "text"
    QUANTITY = "quantity"
    MONEY = "money"
    INTEGER = "integer"
    TIMESTAMP = "timestamp"
    JSON = "json"


DUCKDB_TYPES = {
    Kind.TEXT: "VARCHAR",
    Kind.QUANTITY: "DECIMAL(18,3)",
    Kind.MONEY: "DECIMAL(18,4)",
    Kind.INTEGER: "BIGINT",
    Kind.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    Kind.JSON: "VARCHAR",
}

RULES = {
    Kind.TEXT: "text",
    Kind.QUANTITY: "a number with at most 3 decimals",
    Kind.MONEY: "an amount with at most 4 decimals",
    Kind.INTEGER: "a whole number",
    Kind.TIMESTAMP: "a date and time in one of the declared formats",
    Kind.JSON: "a JSON object",
}


@dataclass(frozen=True)
class Column:
    """One column of a contract.

    ``required``: a null, or a text that is empty once trimmed, is rejected.
    ``minimum``: the smallest allowed value, for numbers only.
    """

    name: str
    kind: Kind
    meaning: str
    required: bool = False
    minimum: int | None = None

    @property
    def duckdb_type(self) -> str:
        """The type this column has in DuckDB."""
        return DUCKDB_TYPES[self.kind]


@dataclass(frozen=True)
class Contract:
    """The schema of one entity.

    ``key``: columns that name a thing (empty where the source has none: then a row is itself by all its
    columns and by how often it has stood in one file). ``moment``: the timestamp that rows are partitioned
    and compared by, if there is one.
    """

    entity: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    moment: str | None = None

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return the column of this name; ``KeyError`` if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def _text(name: str, meaning: str, *, required: bool = False) -> Column:
    return Column(name, Kind.TEXT, meaning, required)


def _moment(name: str, meaning: str, *, required: bool = False) -> Column:
    return Column(name, Kind.TIMESTAMP, meaning, required)


def _money(name: str, meaning: str, *, required: bool = False, minimum: int | None = None) -> Column:
    return Column(name, Kind.MONEY, meaning, required, minimum)


CONTRACTS: dict[str, Contract] = {
    contract.entity: contract
    for contract in (
        Contract(
            v.ORDER_LINES,
            (
                _text("order_id", "the order, invoice or transaction", required=True),
                _text("customer_id", "who ordered; null for a guest"),
                _text("product_id", "the product's code as the source writes it"),
                _text("description", "what the source calls the product on this line"),
                Column("quantity", Kind.QUANTITY, "units; negative when they come back", required=True),
                _money("unit_price", "price of one unit in the line's currency", required=True),
                _money("discount_amount", "discount on the whole line, zero or more", minimum=0),
                _moment("ordered_at", "when it was ordered, UTC", required=True),
                _text("country", "country of the customer or the delivery"),
                _text("store_id", "the store or channel"),
                _text("currency", "ISO 4217 code; the shop's where the source has none"),
                _text("category", "category where the line carries it"),
            ),
            moment="ordered_at",
        ),
        Contract(
            v.EVENTS,
            (
                _text("event_id", "the tracker's own id; null where it has none"),
                _text("event_type", "view, cart, remove_from_cart, purchase, …", required=True),
                _moment("occurred_at", "when it happened, UTC", required=True),
                _text("customer_id", "the visitor's account or cookie"),
                _text("session_id", "the visit"),
                _text("product_id", "the product looked at"),
                _text("category_id", "the category's id"),
                _text("category_code", "the category's path, such as appliances.kitchen.mixer"),
                _text("brand", "the brand"),
                _money("price", "price shown at that moment"),
                Column("quantity", Kind.QUANTITY, "units, where the tracker tells"),
                _text("currency", "ISO 4217 code"),
                _text("anonymous_id", "the visitor before anybody knows the account: a cookie"),
                _text("order_id", "the order, for checkout, purchase and refund"),
                _moment("received_at", "when the collector took it, UTC; null for other sources"),
            ),
            moment="occurred_at",
        ),
        Contract(
            v.PRODUCTS,
            (
                _text("product_id", "the product's code", required=True),
                _text("description", "its name"),
                _text("category", "its category"),
                _text("brand", "its brand"),
                _money("unit_price", "list price", minimum=0),
                _money("unit_cost", "what one unit costs the shop", minimum=0),
            ),
            key=("product_id",),
        ),
        Contract(
            v.STORES,
            (
                _text("store_id", "the store's code", required=True),
                _text("name", "its name"),
                _text("city", "its city"),
                _text("state", "its state or region; from the table of cities where the source has none"),
                _text("country", "its country"),
                Column("attributes", Kind.JSON, "further columns as one JSON object"),
            ),
            key=("store_id",),
        ),
        Contract(
            v.CUSTOMERS,
            (
                _text("customer_id", "the customer's code", required=True),
                _text("country", "country"),
                _text("city", "city"),
                _moment("signed_up_at", "when the account was made, UTC"),
                Column("attributes", Kind.JSON, "further columns as one JSON object"),
            ),
            key=("customer_id",),
        ),
        Contract(
            v.CUSTOMER_ACTIVITY,
            (
                _text("customer_id", "the customer's code", required=True),
                _moment("valid_from", "from when the values hold, UTC", required=True),
                _moment("valid_to", "until when they hold, exclusive, UTC; null while they still do"),
                Column("attributes", Kind.JSON, "the values as one JSON object"),
            ),
            moment="valid_from",
        ),
        Contract(
            v.LABELS,
            (
                _text("customer_id", "the customer's code", required=True),
                Column("label", Kind.INTEGER, "the class to learn, 0 or 1", required=True),
                _moment("labelled_at", "when the label became known, UTC"),
            ),
            key=("customer_id",),
        ),
        Contract(
            v.EXPOSURES,
            (
                _text("campaign_id", "the campaign", required=True),
                _text("customer_id", "the customer", required=True),
                _text("arm", "treatment arm; 'control' for the random holdout", required=True),
                _moment("exposed_at", "when it was sent, or would have been, UTC", required=True),
            ),
            moment="exposed_at",
        ),
        Contract(
            v.INVENTORY_MOVEMENTS,
            (
                _text("movement_id", "the source's own id"),
                _text("product_id", "the product", required=True),
                _text("store_id", "the store"),
                Column("quantity", Kind.QUANTITY, "units added; negative when they leave", required=True),
                _moment("moved_at", "when, UTC", required=True),
                _text("reason", "sale, replenishment, count, …"),
            ),
            moment="moved_at",
        ),
        Contract(
            v.PROMOTIONS,
            (
                _text("promotion_id", "the promotion or price plan, such as summer-sale", required=True),
                _text("product_id", "the product it is for; null: all of the category, or of the shop"),
                _text("category", "the category it is for; null: all"),
                _text("store_id", "the store it is for; null: all"),
                _moment("starts_at", "its first day", required=True),
                _moment("ends_at", "its last day, which belongs to it", required=True),
                _money("unit_price", "price of one unit while it lasts; needs a product", minimum=0),
                _money("discount_share", "fraction taken off the usual price, .2 for 20 %", minimum=0),
                _moment("announced_at", "from when the shop knew of it, UTC; null: always"),
            ),
            key=("promotion_id", "product_id", "category", "store_id"),
        ),
        Contract(
            v.SERVED_PREDICTIONS,
            (
                _moment("predicted_at", "when it was answered, UTC", required=True),
                _text("subject", "which model was asked: segments, churn, lifetime or labels", required=True),
                _text("model_version", "its version in the registry, such as churn/3", required=True),
                Column("published_version", Kind.INTEGER, "the published version that answered"),
                _text("as_of", "the moment asked about, a day"),
                Column("inputs", Kind.JSON, "the numbers that the model read; no id, no text", required=True),
                Column("output", Kind.JSON, "what it said", required=True),
                Column("milliseconds", Kind.INTEGER, "how long the request took, of which it was a part"),
            ),
            moment="predicted_at",
        ),
    )
}


def contract(entity: str) -> Contract:
    """Return the contract of an entity.

    Raises SettingsError if there is none of that name.
    """
    try:
        return CONTRACTS[entity]
    except KeyError:
        known = ", ".join(CONTRACTS)
        raise SettingsError(f"entity must be one of {known}; got {entity!r}. Choose one of them.") from None
