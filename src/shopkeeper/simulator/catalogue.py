"""Products: their names, prices, costs, popularity, elasticities and seasons."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa

SEASONS: dict[str, tuple[float, ...]] = {
    "even": (1.0,) * 12,
    "christmas": (0.4, 0.4, 0.4, 0.4, 0.5, 0.5, 0.6, 0.9, 1.4, 2.0, 2.6, 1.9),
    "summer": (0.5, 0.5, 0.7, 1.0, 1.5, 1.8, 1.9, 1.5, 1.0, 0.7, 0.5, 0.4),
    "spring": (0.8, 1.2, 1.7, 1.8, 1.4, 1.0, 0.8, 0.7, 0.7, 0.7, 0.6, 0.6),
}
LOOKS = (
    "RED", "BLUE", "GREEN", "IVORY", "PINK", "CHARCOAL", "YELLOW", "LILAC", "STRIPED", "DOTTED", "FLORAL",
    "PLAIN", "RUSTIC", "POLISHED", "FOLDING", "TINY", "TALL", "ROUND", "PAISLEY", "CRÈME",
)  # fmt: skip
STUFFS = (
    "OAK",
    "TIN",
    "GLASS",
    "LINEN",
    "COTTON",
    "WICKER",
    "ENAMEL",
    "SLATE",
    "FELT",
    "PAPER",
    "CLAY",
    "COPPER",
)


@dataclass(frozen=True)
class Category:
    """A kind of goods: its things, mean price in minor units, mean own-price elasticity and season class."""

    name: str
    things: tuple[str, ...]
    price: float
    elasticity: float
    season: str = "even"


@dataclass(frozen=True)
class Catalogue:
    """All products, one element for each in every array; money in minor units.

    ``weight``: share of demand at base prices in an average season, sums to 1. ``elasticity``: the power of
    the price ratio that demand follows, below zero. ``category`` indexes ``categories``.
    """

    categories: tuple[Category, ...]
    product_id: tuple[str, ...]
    description: tuple[str, ...]
    category: np.ndarray
    base_price: np.ndarray
    cost: np.ndarray
    weight: np.ndarray
    elasticity: np.ndarray

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.product_id)


def catalogue(
    product_ids: tuple[str, ...], categories: tuple[Category, ...], skew: float, rng: np.random.Generator
) -> Catalogue:
    """Return a catalogue of these products, each drawn into a category.

    Prices are log-normal around the category's, end on 5 or 9; elasticities are normal around the
    category's mean and stay below -0.3; popularity is log-normal with ``skew`` as the spread of its
    logarithm.
    """
    count = len(product_ids)
    category = rng.permutation(np.arange(count) % len(categories))
    price = np.array([one.price for one in categories])[category] * np.exp(rng.normal(0, 0.5, count))
    base_price = np.maximum(np.round(price / 10) * 10 - rng.choice([1, 5], count), 15).astype(np.int64)
    weight = np.exp(rng.normal(0, skew, count))
    elasticity = np.array([one.elasticity for one in categories])[category] + rng.normal(0, 0.3, count)
    return Catalogue(
        categories=categories,
        product_id=product_ids,
        description=_descriptions(category, categories, rng),
        category=category,
        base_price=base_price,
        cost=np.maximum((base_price * rng.uniform(0.4, 0.7, count)).astype(np.int64), 1),
        weight=weight / weight.sum(),
        elasticity=np.minimum(elasticity, -0.3),
    )


def _descriptions(category: np.ndarray, categories: tuple[Category, ...], rng: np.random.Generator) -> tuple[str, ...]:
    """Return a name for each product, unlike all others: a look, a stuff, a thing, and a size where those
    run out.
    """
    names = [""] * len(category)
    for number, one in enumerate(categories):
        members = np.flatnonzero(category == number)
        room = len(LOOKS) * len(STUFFS) * len(one.things)
        for turn, (member, place) in enumerate(
            zip(members, np.resize(rng.permutation(room), len(members)), strict=True)
        ):
            rest, thing = divmod(int(place), len(one.things))
            look, stuff = divmod(rest, len(STUFFS))
            size = f", SIZE {turn // room + 1}" if turn >= room else ""
            # Every tenth name has a comma, as real ones do: readers must mind the quotes.
            comma = "," if place % 10 == 0 else ""
            names[member] = f"{LOOKS[look]}{comma} {STUFFS[stuff]} {one.things[thing]}{size}"
    return tuple(names)


def products_table(goods: Catalogue) -> pa.Table:
    """Return the truth about products, one row each; money in whole currency units, exact decimals."""
    money = pa.decimal128(18, 2)
    return pa.table(
        {
            "product_id": list(goods.product_id),
            "description": list(goods.description),
            "category": [goods.categories[one].name for one in goods.category],
            "season_class": [goods.categories[one].season for one in goods.category],
            "base_price": pa.array([_exact(one) for one in goods.base_price], money),
            "unit_cost": pa.array([_exact(one) for one in goods.cost], money),
            "popularity": goods.weight,
            "price_elasticity": goods.elasticity,
        }
    )


def _exact(minor: int) -> Decimal:
    return Decimal(int(minor)).scaleb(-2)
