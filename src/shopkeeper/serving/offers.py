"""What to show: stored lists with exclusions and rules applied, and what goes with a basket in hand."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from shopkeeper.answers.book import LISTS, OF_CUSTOMERS
from shopkeeper.errors import UsageError
from shopkeeper.features import ShopHistory
from shopkeeper.models.offer_rules import OfferRules
from shopkeeper.models.recommendations import Recommendations
from shopkeeper.models.recommender import Recommender
from shopkeeper.serving.editions import Edition
from shopkeeper.vocabulary import PRODUCT_ID, RECOMMENDATIONS

EVERYBODY = "everybody:everybody"
MOST_SHOWN = 100
POPULAR = "popular of late"


@dataclass(frozen=True)
class Wish:
    """What a caller wants of a list.

    ``n``: how many at most; ``without``: products not to be shown; ``in_stock_only`` and ``margin_floor``: beyond what the
    settings ask already (``in_stock_only`` off does not bring back what the settings leave out).
    """

    n: int = 20
    without: frozenset[str] = frozenset()
    in_stock_only: bool = False
    margin_floor: float | None = None

    @property
    def asks_for_facts(self) -> bool:
        """Whether products must be looked at one by one."""
        return self.in_stock_only or self.margin_floor is not None


class NoModelError(UsageError):
    """Nothing was trained, or published, that could answer."""


def stored(edition: Edition, kind: str, key: str) -> bytes | None:
    """Return a stored list: ``customer_recommendations`` by customer, ``lists`` by ``kind:scope``."""
    return edition.book.answer(kind, key)


def popular(edition: Edition) -> bytes:
    """Return what is popular of late; an empty list without a model."""
    return edition.book.answer(LISTS, EVERYBODY) or b"[]"


def popular_in(edition: Edition, kind: str, name: str | None) -> bytes | None:
    """Return what is popular in a ``country`` or ``segment``; None where that is not known."""
    return edition.book.answer(LISTS, f"{kind}:{name}") if name else None


def chosen(edition: Edition, lists: Sequence[bytes | None], wish: Wish) -> list[dict[str, Any]]:
    """Return what a wish leaves of stored lists, one after the other, until there are enough."""
    barred = _barred(edition, wish)
    found: list[dict[str, Any]] = []
    seen = set(wish.without)
    for each in (product for told in lists if told for product in orjson.loads(told)):
        product = each[PRODUCT_ID]
        if product not in seen and product not in barred:
            seen.add(product)
            found.append(each)
        if len(found) == wish.n:
            break
    return found


def of_customer(edition: Edition, customer_id: str) -> bytes | None:
    """Return a customer's stored list; None for one that is not known, or took nothing yet."""
    return edition.book.answer(OF_CUSTOMERS, customer_id)


def for_basket(edition: Edition, products: Sequence[str], country: str | None, wish: Wish) -> dict[str, Any]:
    """Return what goes with a basket; an empty one, or one of unknown products, gets what is popular.

    Raises NoModelError where no recommender serves, and what loading it raises.
    """
    model = _recommender(edition)
    barred = _barred(edition, wish)
    advice = model.for_basket(products, n=wish.n, country=country, without=sorted({*wish.without, *barred}))
    words: dict[str, str] = edition.keep(("words", id(model)), lambda: _words(model))
    return {
        "recommendations": [
            {
                PRODUCT_ID: product,
                "description": words.get(product) or None,
                "score": round(score, 6),
                "reason": f"goes with {words.get(because) or because}" if because else POPULAR,
            }
            for product, score, because in zip(advice.product_ids, advice.scores, advice.because, strict=True)
        ],
        "unknown_products": list(advice.ignored),
    }


def _words(model: Recommender) -> dict[str, str]:
    return {
        str(name): str(words).strip()
        for name, words in zip(model.products.tolist(), model.descriptions.tolist(), strict=True)
    }


def _recommender(edition: Edition) -> Recommender:
    """Return the version's recommender, told of the version's stock and prices by the rules of the settings."""

    def make() -> Recommender:
        found = edition.model(RECOMMENDATIONS)
        if not isinstance(found, Recommender):
            raise NoModelError(
                "a recommender must be published before it can answer; none is. Run `shopkeeper run` with orders that name "
                "customers and products."
            )
        # Versions may share the model; what is known of products is each version's own.
        own = copy.copy(found)
        subject = edition.subject(RECOMMENDATIONS)
        rules = subject.rules_of_offers if isinstance(subject, Recommendations) else OfferRules()
        return own.about(rules.catalogue(*_facts(edition)))

    return edition.keep(("recommender",), make)  # type: ignore[no-any-return]


def _barred(edition: Edition, wish: Wish) -> frozenset[str]:
    """Return the products that a wish's own rules leave out."""
    if not wish.asks_for_facts:
        return frozenset()

    def make() -> frozenset[str]:
        rules = OfferRules(in_stock_only=wish.in_stock_only, margin_floor=wish.margin_floor or 0.0)
        told = rules.catalogue(*_facts(edition))
        return frozenset(told.filter(pc.invert(told["is_offered"]))[PRODUCT_ID].to_pylist())

    # A caller may ask for any floor: only steps of a hundredth are kept.
    floor = round(wish.margin_floor or 0.0, 2)
    if floor == (wish.margin_floor or 0.0):
        return edition.keep(("barred", wish.in_stock_only, floor), make)  # type: ignore[no-any-return]
    return make()


def _facts(edition: Edition) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return products, their stock and their last prices, as ``OfferRules.catalogue`` takes them."""

    def read() -> tuple[pa.Table, pa.Table, pa.Table]:
        with edition.cursor() as connection:
            products = ShopHistory(connection).products()
            stock = connection.execute(
                f"select {PRODUCT_ID}, store_id, date '1970-01-01' as day, cast(on_hand as double) as on_hand "
                "from core.inventory_levels"
            ).to_arrow_table()
            prices = connection.execute(
                f"""
                with priced as (
                    select {PRODUCT_ID}, ordered_on, cast(unit_price as double) as price
                    from core.order_lines
                    where line_kind = 'sale' and unit_price > 0 and {PRODUCT_ID} is not null
                ),
                latest as (select {PRODUCT_ID}, max(ordered_on) as ordered_on from priced group by all)
                select {PRODUCT_ID}, median(price) as price
                from priced
                inner join latest using ({PRODUCT_ID}, ordered_on)
                group by all
                """
            ).to_arrow_table()
        return products, stock, prices

    return edition.keep(("facts",), read)  # type: ignore[no-any-return]
