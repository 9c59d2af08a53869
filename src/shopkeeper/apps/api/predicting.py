"""Predictions for customers or order lines in the body, by the models of the published version."""

from time import perf_counter
from typing import Any

from shopkeeper import vocabulary as v
from shopkeeper.apps.api import schemas
from shopkeeper.apps.api.bodies import BodyLimits, read_json
from shopkeeper.apps.api.endpoint import Ask, Endpoint, Reply, read, told
from shopkeeper.apps.api.work import Bench
from shopkeeper.serving import predictions
from shopkeeper.serving.editions import Editions
from shopkeeper.serving.prediction_inputs import body_schema
from shopkeeper.serving.prediction_log import PredictionLog

PREDICTORS = frozenset({v.PREDICT})
ABOUT = {
    "segment": "Segments of customers by their features or order lines.",
    "churn": "How likely customers are to stay away, and why, by their features or order lines.",
    "lifetime": "What customers will still spend, by their features or order lines.",
    "label": "How likely the shop's own label is 1 for customers, by their features or order lines.",
}


class Predicting:
    """The endpoints that predict."""

    def __init__(self, editions: Editions, bench: Bench, limits: BodyLimits, log: PredictionLog) -> None:
        self._editions = editions
        self._bench = bench
        self._limits = limits
        self._log = log

    def endpoints(self) -> list[Endpoint]:
        """Return them all."""
        return [
            *(self._predict(asked, about) for asked, about in ABOUT.items()),
            Endpoint(
                "GET",
                "/v1/models",
                "The models that predict, and the features and attributes that each reads.",
                self.models,
                frozenset({v.PREDICT, v.AGGREGATES}),
                schemas.whole({"data": schemas.listed(_MODEL)}),
            ),
        ]

    def _predict(self, asked: str, about: str) -> Endpoint:
        async def handle(ask: Ask) -> Reply:
            read(ask, ())
            started = perf_counter()
            body = await read_json(ask, self._limits)
            edition = ask.published
            found = await self._bench.do(lambda: predictions.predict(self._editions, edition, asked, body))
            reply = told(found.plain())
            self._log.add(predictions.logged(edition, found, perf_counter() - started))
            return reply

        return Endpoint(
            "POST",
            f"/v1/predict/{asked}",
            about,
            handle,
            PREDICTORS,
            schemas.whole(
                {
                    "subject": {"const": asked},
                    "model": schemas.TEXT,
                    "model_version": schemas.TEXT,
                    "as_of": {"type": "string", "format": "date"},
                    "predictions": schemas.listed(schemas.of_types(predictions.TOLD[asked])),
                    "skipped": schemas.listed(schemas.whole({"customer_id": schemas.TEXT, "reason": schemas.TEXT})),
                }
            ),
            body=body_schema(),
            refusals={404: "no such model is published"},
            details="Either `customers`, features by name (an object, or a list), or `order_lines` as a source gives them. "
            "Numbers are those that the published tables would hold.",
        )

    async def models(self, ask: Ask) -> Reply:
        """Answer with what each model reads."""
        read(ask, ())
        edition = ask.published

        def look() -> list[dict[str, Any]]:
            found = [predictions.needed(edition, asked) for asked in predictions.SUBJECTS]
            return [each for each in found if each is not None]

        return told({"data": await self._bench.do(look)})


_MODEL = schemas.whole(
    {
        "subject": schemas.TEXT,
        "model": schemas.TEXT,
        "model_version": schemas.TEXT,
        "features": schemas.listed(schemas.TEXT),
        "attributes": schemas.listed(schemas.TEXT),
    }
)
