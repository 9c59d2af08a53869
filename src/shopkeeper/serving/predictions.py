"""Segment, churn, lifetime value and label of customers that a caller hands in: the batch's SQL, the batch's models.

What is handed in stands where the shop's past stands for the batch, so that a customer's numbers are those of the published
tables where the lines are. Places among all customers (ranks, deciles) are not told: they are of no use among a few.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from shopkeeper import vocabulary as v
from shopkeeper.features import ShopHistory, definitions, features_of_lines
from shopkeeper.models.labelled_rows import ATTRIBUTE
from shopkeeper.models.model import Model
from shopkeeper.models.segment_model import SegmentModel
from shopkeeper.serving import prediction_inputs
from shopkeeper.serving.editions import Edition, Editions
from shopkeeper.serving.offers import NoModelError

SUBJECTS: Mapping[str, str] = {
    "segment": v.SEGMENTS,
    "churn": v.CHURN,
    "lifetime": v.LIFETIME,
    "label": v.LABEL_MODEL,
}
"""What is asked → the subject that answers."""
ALSO_READ: Mapping[str, tuple[str, ...]] = {
    v.CHURN: ("n_order_days", "days_since_last_order", "mean_days_between_orders"),
    v.LIFETIME: ("n_order_days",),
    v.SEGMENTS: (),
    v.LABEL_MODEL: (),
}
"""Features that a subject reads besides its model: who bought, and what its sentences say."""
TOLD: Mapping[str, Mapping[str, str]] = {
    "segment": {
        **dict.fromkeys(("customer_id", "rfm_group"), "text"),
        **dict.fromkeys(("r_score", "f_score", "m_score", "segment"), "integer"),
        "segment_name": "text",
        "certainty": "number",
        "rule_words": "text",
    },
    "churn": {
        "customer_id": "text",
        "horizon_days": "integer",
        **dict.fromkeys(("churn_probability", "probability_low", "probability_high"), "number"),
        "expected_next_order_on": "day",
        "value_at_risk": "number",
        "reasons": "text",
    },
    "lifetime": {
        "customer_id": "text",
        "horizon_days": "integer",
        **dict.fromkeys(("expected_order_days", "p_alive", "lifetime_value", "value_low", "value_high"), "number"),
    },
    "label": {
        "customer_id": "text",
        **dict.fromkeys(("score", "score_low", "score_high"), "number"),
        "is_positive": "boolean",
    },
}
"""What is said of each customer, with JSON types."""
NOT_LOGGED = {v.CUSTOMER_ID, "reasons", "rule_words"}


@dataclass(frozen=True)
class Predicted:
    """What was asked of which model as of when, one object for each customer, and those nothing can be said of, with why.

    ``features``: what the models were handed, a row for each customer.
    """

    asked: str
    model: str
    model_version: str
    as_of: date
    predictions: list[dict[str, Any]]
    skipped: list[dict[str, str]]
    features: pa.Table
    read: Sequence[str]

    def plain(self) -> dict[str, Any]:
        """Return it as values for programs."""
        return {
            "subject": self.asked,
            "model": self.model,
            "model_version": self.model_version,
            "as_of": self.as_of,
            "predictions": self.predictions,
            "skipped": self.skipped,
        }


def needed(edition: Edition, asked: str) -> dict[str, Any] | None:
    """Return what a model reads: its name and version, features, and attributes; None where none serves."""
    subject = SUBJECTS[asked]
    model = edition.model(subject)
    if model is None:
        return None
    columns = _columns(model, subject)
    return {
        "subject": asked,
        "model": model.name,
        "model_version": edition.version.models[subject],
        "features": [name for name in columns if not name.startswith(ATTRIBUTE)],
        "attributes": [name.removeprefix(ATTRIBUTE) for name in columns if name.startswith(ATTRIBUTE)],
    }


def _columns(model: Model, subject: str) -> list[str]:
    found = {*model.columns, *ALSO_READ[subject]} - {v.CUSTOMER_ID, v.AS_OF}
    return sorted(found)


def predict(editions: Editions, edition: Edition, asked: str, body: Any) -> Predicted:
    """Return what the version's model says of the customers or order lines in a parsed body.

    ``asked``: segment, churn, lifetime or label. Raises InputError that names each field that is wrong, NoModelError where no
    model serves, ModelError if it does not fit, EditionGoneError if the version was removed.
    """
    name = SUBJECTS[asked]
    model = edition.model(name)
    if model is None:
        raise NoModelError(
            f"a model must be published before it can predict; none of {name} is. Run `shopkeeper run`, and see "
            f"`shopkeeper models list`."
        )
    columns = _columns(model, name)
    types, default_as_of, sql, catalogue = edition.keep(("inputs",), lambda: _inputs(edition))
    told = prediction_inputs.read(
        body,
        default_as_of=default_as_of,
        feature_types=types,
        needed=[each for each in columns if not each.startswith(ATTRIBUTE)],
        attributes=[each.removeprefix(ATTRIBUTE) for each in columns if each.startswith(ATTRIBUTE)],
    )
    features = told.features
    if told.lines is not None:
        with editions.engine() as engine:
            lines = prediction_inputs.typed(engine, told.lines)
            features = features_of_lines(engine, sql, lines, told.as_of, {"catalogue": catalogue})
    history = _HandedIn(features, told.attributes)
    found = _said(edition, name, model, history, told.as_of)
    return _ordered(asked, edition.version.models[name], model, told, found, history.features([told.as_of]), columns)


def logged(edition: Edition, found: Predicted, seconds: float) -> list[dict[str, Any]]:
    """Return what is kept of predictions: features and outputs as JSON, without the customer's id or country, or any text.

    One row per prediction, in the columns of the contract ``served_predictions``; moments are microseconds since 1970.
    """
    now = time.time_ns() // 1000
    columns = [
        name
        for name in found.read
        if name in found.features.column_names and not pa.types.is_string(found.features[name].type)
    ]
    inputs = {row.pop(v.CUSTOMER_ID): row for row in found.features.select([v.CUSTOMER_ID, *columns]).to_pylist()}
    return [
        {
            "predicted_at": now,
            "subject": SUBJECTS[found.asked],
            "model_version": found.model_version,
            "published_version": edition.number,
            "as_of": found.as_of.isoformat(),
            "inputs": json.dumps(inputs.get(each[v.CUSTOMER_ID], {})),
            "output": json.dumps({name: value for name, value in each.items() if name not in NOT_LOGGED}, default=str),
            "milliseconds": round(1000 * seconds),
        }
        for each in found.predictions
    ]


def _inputs(edition: Edition) -> tuple[dict[str, str], date, Mapping[str, str], pa.Table]:
    """Return what each call needs of a version: features with their types, its moment, the SQL, categories of products."""
    with edition.cursor() as connection:
        types = {row[0]: row[1] for row in connection.execute("describe features.customer_features").fetchall()}
        history = ShopHistory(connection)
        last = history.last_day
        moment = last + timedelta(days=1) if last else date.today()  # noqa: DTZ011 - a shop without a day has no zone either
        return types, moment, definitions(connection), history.catalogue()


class _HandedIn:
    """What was handed in, in the place of a shop's past: customers at one moment. The rest of a past is empty."""

    def __init__(self, features: pa.Table, attributes: Mapping[str, Mapping[str, str]]) -> None:
        self._features = features.sort_by(v.CUSTOMER_ID)
        self._attributes = attributes

    first_day: date | None = None
    last_day: date | None = None

    def features(self, moments: Sequence[date]) -> pa.Table:  # noqa: ARG002 - there is one
        return self._features

    def attributes(self, moments: Sequence[date]) -> pa.Table:
        rows = [
            {v.CUSTOMER_ID: customer, v.AS_OF: moments[0], "name": name, "value": value}
            for customer, each in sorted(self._attributes.items())
            for name, value in sorted(each.items())
        ]
        kinds = {v.CUSTOMER_ID: pa.string(), v.AS_OF: pa.date32(), "name": pa.string(), "value": pa.string()}
        return pa.Table.from_pylist(rows, pa.schema(list(kinds.items())))


def _said(edition: Edition, name: str, model: Model, history: _HandedIn, as_of: date) -> pa.Table:
    """Return one row for each customer that something can be said of."""
    if isinstance(model, SegmentModel):
        # A segment's table of all customers, sizes and moves is not asked for: the rule alone says who is in it.
        rows = history.features([as_of])
        scores = model.score(rows)
        words = {each.segment: each.rule_words for each in model.segments}
        told = pa.array([words[each] for each in scores["segment"].to_pylist()], pa.string())
        return scores.add_column(0, v.CUSTOMER_ID, rows[v.CUSTOMER_ID]).append_column("rule_words", told)
    given: dict[str, pa.Table] = {}
    if name == v.CHURN and (values := edition.model(v.LIFETIME)) is not None:
        subject = edition.subject(v.LIFETIME)
        if set(values.columns) <= set(history.features([as_of]).column_names):
            given = subject.predict(values, history, as_of, version=edition.version.models[v.LIFETIME])  # type: ignore[arg-type]
    subject = edition.subject(name)
    version = edition.version.models[name]
    tables = subject.predict(model, history, as_of, version=version, given=given)  # type: ignore[arg-type]
    return tables[subject.tables[0].name]


def _ordered(
    asked: str,
    version: str,
    model: Model,
    told: prediction_inputs.Asked,
    found: pa.Table,
    features: pa.Table,
    read: Sequence[str],
) -> Predicted:
    of_customer = {row[v.CUSTOMER_ID]: row for row in found.select(list(TOLD[asked])).to_pylist()}
    why = f"no order before {told.as_of.isoformat()}"
    return Predicted(
        asked,
        model.name,
        version,
        told.as_of,
        [of_customer[name] for name in told.customers if name in of_customer],
        [{v.CUSTOMER_ID: name, "reason": why} for name in told.customers if name not in of_customer],
        features,
        read,
    )
