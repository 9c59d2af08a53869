"""What apps may say of the answers before there are any: sections and listings with their columns and JSON types."""

from collections.abc import Mapping

from shopkeeper.answers import CUSTOMER, PRODUCT, Question
from shopkeeper.answers.questions import OFFER

__all__ = ["CUSTOMER", "FILTERABLE", "OFFER", "PRODUCT", "Question"]

FILTERABLE: Mapping[str, Mapping[str, str]] = {
    "customers": {
        "customer_id": "text",
        "city": "text",
        "country": "text",
        "n_orders": "integer",
        "net_sales": "number",
        "first_ordered_on": "day",
        "last_ordered_on": "day",
        "segment_name": "text",
        "rfm_group": "text",
        "churn_probability": "number",
        "expected_next_order_on": "day",
        "lifetime_value": "number",
    },
    "rules": {
        "scope": "text",
        "scope_value": "text",
        "rank": "integer",
        "antecedent": "texts",
        "consequent": "text",
        "rule": "text",
        "n_baskets": "integer",
        "support": "number",
        "confidence": "number",
        "lift": "number",
        "is_significant": "boolean",
        "is_redundant": "boolean",
        "holds_later": "boolean",
        "as_of": "day",
        "model_version": "text",
    },
    "forecasts": {
        "level": "text",
        "series": "text",
        "frequency": "text",
        "day": "day",
        "units": "number",
        "units_low": "number",
        "units_high": "number",
        "as_of": "day",
        "model": "text",
        "model_version": "text",
    },
    "segments": {
        "segment": "integer",
        "segment_name": "text",
        "rule_words": "text",
        "rule_sql": "text",
        "profile": "text",
        "n_customers": "integer",
        "share": "number",
        "share_of_sales": "number",
        "expected_share_next_month": "number",
        "as_of": "day",
        "model": "text",
        "model_version": "text",
    },
}
"""Listing → its columns with their JSON types; each is a filter."""
