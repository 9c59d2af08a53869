"""The lines of UCI invoices that are not plain goods: services, and the dirt of the real export."""

from dataclasses import dataclass

from shopkeeper import vocabulary as v
from shopkeeper.simulator.faults import FLAG, MERGE, REJECT, Recipe, changed, unreadable

HEADER = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)


@dataclass(frozen=True)
class Service:
    """A line that is not goods: code, text, kind, how often an order has one, sign of its units, price
    range (minor).

    ``abroad``: True for orders from abroad only, False for domestic ones only, None for all.
    """

    code: str
    text: str
    kind: str
    chance: float
    sign: int
    prices: tuple[int, int]
    abroad: bool | None = None


SERVICES = (
    Service("POST", "POSTAGE", "postage", 0.6, 1, (1500, 1900), abroad=True),
    Service("DOT", "DOTCOM POSTAGE", "postage", 0.03, 1, (2000, 40_000), abroad=False),
    Service("C2", "CARRIAGE", "postage", 0.1, 1, (5000, 5001), abroad=True),
    Service("D", "Discount", "discount", 0.006, -1, (500, 9000)),
    Service("M", "Manual", "manual", 0.01, 1, (125, 9000)),
    Service("S", "SAMPLES", "sample", 0.002, -1, (300, 6000)),
    Service("BANK CHARGES", "Bank Charges", "fee", 0.001, 1, (1500, 1501)),
    Service("AMAZONFEE", "AMAZON FEE", "fee", 0.001, -1, (5000, 90_000)),
    Service("CRUK", "CRUK Commission", "charity", 0.001, -1, (100, 9000)),
    Service("GIFT_0001_20", "Gift Voucher 20.00", "gift_voucher", 0.002, 1, (1667, 1668)),
)
KINDS = (v.SALE, v.CANCELLATION, *(service.kind for service in SERVICES))

RECIPES = (
    Recipe("duplicate", FLAG, changed(HEADER, {}), 4000, "duplicate"),
    Recipe(
        "no_customer",
        FLAG,
        changed(HEADER, {"CustomerID": ""}, "InvoiceNo", "70"),
        9000,
        "no_customer",
        group="goods",
    ),
    Recipe(
        "no_description",
        FLAG,
        changed(HEADER, {"Description": ""}, "InvoiceNo", "71"),
        1000,
        "no_description",
        group="goods",
    ),
    Recipe(
        "zero_price",
        FLAG,
        changed(HEADER, {"UnitPrice": "0.00"}, "InvoiceNo", "72"),
        1000,
        "zero_price",
        group="goods",
    ),
    Recipe(
        "stock_adjustment",
        FLAG,
        changed(
            HEADER,
            {"UnitPrice": "0.00", "Quantity": "-12", "CustomerID": "", "Description": ""},
            "InvoiceNo",
            "73",
        ),
        1500,
        "no_customer no_description zero_price",
        group="goods",
    ),
    Recipe(
        "negative_price",
        FLAG,
        changed(
            HEADER,
            {"StockCode": "B", "Description": "Adjust bad debt", "Quantity": "1", "UnitPrice": "-1106.20"}
            | {"CustomerID": ""},
            "InvoiceNo",
            "A74",
        ),
        5,
        "no_customer negative_price",
    ),
    Recipe(
        "lower_case_code",
        MERGE,
        lambda fields, row: [f"75{row:08d}", fields[1].lower(), *fields[2:]],
        1000,
        group="lettered",
    ),
    *unreadable(HEADER, "InvoiceDate", "UnitPrice", "Description"),
    *(
        Recipe(f"missing_{name}", REJECT, changed_line, 30, column=name)
        for name, changed_line in (
            ("InvoiceNo", lambda fields, _: ",".join(["", *fields[1:]]).encode()),
            ("Quantity", lambda fields, _: ",".join([*fields[:3], "", *fields[4:]]).encode()),
        )
    ),
)
LATE = (
    Recipe(
        "no_customer",
        FLAG,
        changed(HEADER, {"CustomerID": ""}, "InvoiceNo", "80"),
        1,
        "no_customer",
        group="goods",
    ),
)
"""What a resent file holds besides what it repeats."""


def kind_of(invoice: str, code: str, quantity: int, price: int) -> str:
    """Return the kind of a line that has these fields (price in minor units)."""
    services = {service.code.upper(): service.kind for service in SERVICES} | {"B": "bad_debt"}
    if code.upper() in services:
        return services[code.upper()]
    if quantity < 0 and price == 0:
        return v.STOCK_ADJUSTMENT
    if invoice.startswith("C"):
        return v.CANCELLATION
    return v.FREE if price == 0 else v.SALE
