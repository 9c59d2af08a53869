"""Names that SQL, Python, the command line and the screen share: tables, columns, line kinds.

Declared once, imported everywhere. A quantity has one name; a unit stands in the name where it is not obvious.
"""

from typing import Final

# What enters: one contract each (see contracts.py), one lake table each.
ORDER_LINES: Final = "order_lines"
EVENTS: Final = "events"
PRODUCTS: Final = "products"
STORES: Final = "stores"
CUSTOMERS: Final = "customers"
CUSTOMER_ACTIVITY: Final = "customer_activity"
LABELS: Final = "labels"
EXPOSURES: Final = "exposures"
INVENTORY_MOVEMENTS: Final = "inventory_movements"
PROMOTIONS: Final = "promotions"
SERVED_PREDICTIONS: Final = "served_predictions"

ENTITIES: Final = (
    ORDER_LINES,
    EVENTS,
    PRODUCTS,
    STORES,
    CUSTOMERS,
    CUSTOMER_ACTIVITY,
    LABELS,
    EXPOSURES,
    INVENTORY_MOVEMENTS,
    PROMOTIONS,
    SERVED_PREDICTIONS,
)

# What comes over the network, by the collector; and the name of that source in the lake.
COLLECTED: Final = (EVENTS, ORDER_LINES, INVENTORY_MOVEMENTS)
LOGGED: Final = (*COLLECTED, SERVED_PREDICTIONS)
COLLECTOR: Final = "collector"

# The lake's own tables.
LOADS: Final = "loads"
REJECTS: Final = "rejects"
RESOLUTIONS: Final = "resolutions"

# Lineage: where a row of the lake came from.
LOAD_ID: Final = "load_id"
SOURCE: Final = "source"
SOURCE_FILE: Final = "source_file"
SOURCE_ROW: Final = "source_row"

# Kinds of an order line; the first rule that matches gives the kind.
SALE: Final = "sale"
CANCELLATION: Final = "cancellation"
RETURN: Final = "return"
DISCOUNT: Final = "discount"
FREE: Final = "free"
STOCK_ADJUSTMENT: Final = "stock_adjustment"
SERVICE_KINDS: Final = (
    "postage",
    DISCOUNT,
    "manual",
    "sample",
    "fee",
    "bad_debt",
    "charity",
    "gift_voucher",
)
LINE_KINDS: Final = (*SERVICE_KINDS, STOCK_ADJUSTMENT, CANCELLATION, RETURN, FREE, SALE)
NET_SALES_KINDS: Final = (SALE, DISCOUNT, CANCELLATION, RETURN)

# The warehouse's schemas that are published.
CORE: Final = "core"
METRICS: Final = "metrics"
FEATURES: Final = "features"
PREDICTIONS: Final = "predictions"
PUBLISHED_SCHEMAS: Final = (CORE, METRICS, FEATURES, PREDICTIONS)

# Keys of features and predictions: a customer as of a moment, which is a day of the shop and knows what came before it.
CUSTOMER_ID: Final = "customer_id"
AS_OF: Final = "as_of"
PRODUCT_ID: Final = "product_id"

# What a key of the API may be good for.
AGGREGATES: Final = "aggregates"
PREDICT: Final = "predict"
ADMIN: Final = "admin"
SCOPES: Final = (AGGREGATES, CUSTOMERS, PREDICT, EVENTS, ADMIN)

# The questions that models answer.
SEGMENTS: Final = "segments"
CHURN: Final = "churn"
LIFETIME: Final = "lifetime"
LABEL_MODEL: Final = "labels"
BASKETS: Final = "baskets"
RECOMMENDATIONS: Final = "recommendations"
DEMAND: Final = "demand"
PRICES: Final = "prices"
SUBJECTS: Final = (SEGMENTS, LIFETIME, CHURN, LABEL_MODEL, BASKETS, RECOMMENDATIONS, DEMAND, PRICES)
