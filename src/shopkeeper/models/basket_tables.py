"""The published tables of baskets: what their columns mean, and rows from findings."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from shopkeeper.models.association_rules import NONE
from shopkeeper.models.bundles import Offer
from shopkeeper.models.itemsets import Itemsets, Whole
from shopkeeper.models.model import Column, PredictionTable
from shopkeeper.models.rule_stability import Findings
from shopkeeper.vocabulary import AS_OF

LIST = pa.list_(pa.string())
MOMENT = Column(AS_OF, pa.date32(), "the moment: what was known before this day")
SCOPE = (
    Column("scope", pa.string(), "whose baskets: all, country, segment (of the customer now), quarter (of any year)"),
    Column("scope_value", pa.string(), "which of them: all, a country, a segment's name, 1 to 4"),
)
VERSION = (
    Column("model", pa.string(), "which model serves baskets in hand at this version; the counts do not depend on it"),
    Column("model_version", pa.string(), "its version in the registry, such as baskets/3"),
)
ITEMSETS = PredictionTable(
    "itemsets",
    "one row per scope, its value, set of products that stand together often enough, and moment",
    ("scope", "scope_value", "products", AS_OF),
    (
        *SCOPE,
        Column("products", LIST, "the product ids, ascending, as a list: list_contains(products, '22726')"),
        Column("names", pa.string(), "their descriptions, joined by +"),
        Column("n_products", pa.int64(), "how many products"),
        Column("n_baskets", pa.int64(), "baskets that hold them all"),
        Column("support", pa.float64(), "their share of the scope's baskets"),
        Column("lift", pa.float64(), "support over the product of the single supports; 1 is chance"),
        MOMENT,
        *VERSION,
    ),
)
BASKET_RULES = PredictionTable(
    "basket_rules",
    "one row per scope, its value, rule and moment",
    ("scope", "scope_value", "antecedent", "consequent", AS_OF),
    (
        *SCOPE,
        Column("rank", pa.int64(), "place within the scope: significant and not redundant first, then by leverage"),
        Column("antecedent", LIST, "the product ids on the left, ascending, as a list"),
        Column("consequent", pa.string(), "the product id on the right"),
        Column("rule", pa.string(), "the rule with descriptions"),
        Column("n_baskets", pa.int64(), "baskets that hold both sides"),
        Column("n_antecedent", pa.int64(), "baskets that hold the antecedent"),
        Column("n_consequent", pa.int64(), "baskets that hold the consequent"),
        Column("support", pa.float64(), "n_baskets over the scope's baskets"),
        Column("confidence", pa.float64(), "n_baskets over n_antecedent"),
        Column("lift", pa.float64(), "confidence over the consequent's share of the scope's baskets"),
        Column("leverage", pa.float64(), "support less what it would be by chance, share of baskets"),
        Column(
            "conviction",
            pa.float64(),
            "how often it would fail by chance over how often it fails; null: it never fails",
        ),
        Column(
            "p_value",
            pa.float64(),
            "Fisher's exact test, one-sided, of each product on the left given the others; the largest",
        ),
        Column("q_value", pa.float64(), "false discovery rate over all rules that could have been found in the scope"),
        Column("is_significant", pa.bool_(), "q_value is at most .05"),
        Column("is_redundant", pa.bool_(), "a part of the antecedent, or nothing, gives at least its confidence"),
        Column("n_baskets_later", pa.int64(), "baskets of the later weeks, the last ones, that hold both sides"),
        Column("support_later", pa.float64(), "support in the later weeks; null without a basket"),
        Column("confidence_later", pa.float64(), "confidence in the later weeks; null where none holds the antecedent"),
        Column("lift_later", pa.float64(), "lift in the later weeks; null where a side is in none"),
        Column(
            "share_of_weeks",
            pa.float64(),
            "share of the later weeks, of those with the antecedent, in which confidence was above the consequent's share",
        ),
        Column(
            "holds_later",
            pa.bool_(),
            "lift above 1 in the later weeks alone, p at most .05; null where the weeks before would not have found the rule",
        ),
        MOMENT,
        *VERSION,
    ),
)
BUNDLES = PredictionTable(
    "bundles",
    "one row per bundle and moment",
    ("bundle", AS_OF),
    (
        Column("bundle", pa.int64(), "its number, 1 for most baskets beyond chance, found before the later weeks"),
        Column("products", LIST, "the product ids, ascending, as a list"),
        Column("names", pa.string(), "their descriptions, joined by +"),
        Column("n_products", pa.int64(), "how many products"),
        Column("n_baskets", pa.int64(), "baskets that hold them all"),
        Column("support", pa.float64(), "their share of all baskets"),
        Column("lift", pa.float64(), "support over the product of the single supports"),
        Column("currency", pa.string(), "of all money here: that of most lines"),
        Column("usual_price", pa.float64(), "sum of the products' median prices of the last 90 days, one piece each"),
        Column("discount", pa.float64(), "share taken off: baskets.discount"),
        Column("bundle_price", pa.float64(), "usual_price less the discount"),
        Column("unit_cost", pa.float64(), "sum of the products' unit costs; null where one is not known"),
        Column("margin", pa.float64(), "share of bundle_price that is not cost; null where a cost is not known"),
        Column(
            "n_weeks_later", pa.int64(), "the later weeks, the last ones: none of them had a say in finding the bundle"
        ),
        Column("n_whole_later", pa.int64(), "baskets of the later weeks that held all of it anyway"),
        Column("n_part_later", pa.int64(), "baskets of the later weeks that held all but one product"),
        Column("lift_later", pa.float64(), "lift in the later weeks; null where a product is in none"),
        Column("given_away_later", pa.float64(), "discount on n_whole_later, money: what it costs if nobody changes"),
        Column("uptake", pa.float64(), "share of n_part_later assumed to take the whole: baskets.uptake, not measured"),
        Column(
            "earned_later", pa.float64(), "sales it would have added in the later weeks at that uptake, discount paid"
        ),
        Column("earned_later_low", pa.float64(), "low end of its 95 % interval from the number of baskets alone"),
        Column("earned_later_high", pa.float64(), "high end of that interval"),
        Column(
            "profit_later", pa.float64(), "earned_later less the cost of what was added; null where a cost is not known"
        ),
        Column(
            "least_price", pa.float64(), "bundle price at which earned_later is 0 at that uptake; above it, it earns"
        ),
        Column("break_even_uptake", pa.float64(), "uptake at which earned_later is 0; null where not even 1 would do"),
        MOMENT,
        *VERSION,
    ),
)
TABLES = (ITEMSETS, BASKET_RULES, BUNDLES)


def itemset_rows(itemsets: Itemsets, products: pa.Array, names: list[str], told: Mapping[str, Any]) -> pa.Table:
    """Return a row for each frequent set; ``names``: what people call each product; ``told``: columns of one value."""
    n = max(itemsets.n_baskets, 1)
    single = np.zeros(len(products))
    single[itemsets.sets[0][:, 0]] = itemsets.counts[0] / n
    parts = []
    for rows, counts in zip(itemsets.sets, itemsets.counts, strict=True):
        columns = {
            "products": _listed(rows, products),
            "names": _joined(rows, names),
            "n_products": pa.array(np.full(len(rows), rows.shape[1])),
            "n_baskets": pa.array(counts),
            "support": pa.array(counts / n),
            "lift": pa.array(counts / n / single[rows].prod(axis=1)),
        }
        parts.append(pa.table({**columns, **_repeated(told, len(rows))}))
    return pa.concat_tables(parts)


def rule_rows(
    found: Findings, products: pa.Array, names: list[str], told: Mapping[str, Any], least_confidence: float, most: int
) -> pa.Table:
    """Return a row for each of the most useful rules of at least a confidence."""
    order = found.order
    order = order[found.rules.confidence[order] >= least_confidence][:most]
    rules, later = found.rules.take(order), found.later.rules.take(order)
    width = rules.n_items
    left = pa.ListArray.from_arrays(
        pa.array(np.append(0, np.cumsum(width)).astype(np.int32)),
        products.take(pa.array(rules.antecedent[rules.antecedent != NONE])),
    )
    right = rules.consequent[:, 0]
    text = [
        f"{' + '.join(names[item] for item in row if item != NONE)} → {names[last]}"
        for row, last in zip(rules.antecedent.tolist(), right.tolist(), strict=True)
    ]
    conviction = rules.conviction
    was_found = found.was_found[order]
    columns = {
        "rank": pa.array(np.arange(1, len(order) + 1)),
        "antecedent": left,
        "consequent": products.take(pa.array(right)),
        "rule": pa.array(text, pa.string()),
        "n_baskets": pa.array(rules.n_both),
        "n_antecedent": pa.array(rules.n_antecedent),
        "n_consequent": pa.array(rules.n_consequent),
        "support": pa.array(rules.support),
        "confidence": pa.array(rules.confidence),
        "lift": pa.array(rules.lift),
        "leverage": pa.array(rules.leverage),
        "conviction": pa.array(conviction, mask=~np.isfinite(conviction)),
        "p_value": pa.array(found.p_value[order]),
        "q_value": pa.array(found.q_value[order]),
        "is_significant": pa.array(found.is_significant[order]),
        "is_redundant": pa.array(found.is_redundant[order]),
        "n_baskets_later": pa.array(later.n_both),
        "support_later": pa.array(later.support, mask=np.full(len(order), later.n_baskets == 0)),
        "confidence_later": _known(later.confidence),
        "lift_later": _known(later.lift),
        "share_of_weeks": _known(found.share_of_weeks[order]),
        "holds_later": pa.array(found.later.is_held[order], mask=~was_found),
    }
    return pa.table({**columns, **_repeated(told, len(order))})


def bundle_rows(
    bundles: list[Whole],
    offer: Offer,
    found: Findings,
    currency: str,
    products: pa.Array,
    names: list[str],
    told: Mapping[str, Any],
) -> pa.Table:
    """Return a row for each bundle."""
    n = len(bundles)
    counts, lift = _counts(bundles, found.itemsets)
    _, lift_later = _counts(bundles, found.late)
    columns = {
        "bundle": pa.array(np.arange(1, n + 1)),
        "products": pa.array([products.take(pa.array(items)).to_pylist() for items in bundles], LIST),
        "names": pa.array([" + ".join(names[item] for item in items.tolist()) for items in bundles], pa.string()),
        "n_products": pa.array([len(items) for items in bundles], pa.int64()),
        "n_baskets": pa.array(counts),
        "support": pa.array(counts / max(found.itemsets.n_baskets, 1)),
        "lift": _known(lift),
        "currency": pa.array([currency or None] * n, pa.string()),
        "usual_price": _known(offer.usual_price),
        "bundle_price": _known(offer.bundle_price),
        "unit_cost": _known(offer.cost),
        "margin": _known(1 - offer.cost / offer.bundle_price),
        "n_whole_later": pa.array(offer.whole),
        "n_part_later": pa.array(offer.part),
        "lift_later": _known(lift_later),
        "given_away_later": _known(offer.given_away),
        "earned_later": _known(offer.earned),
        "earned_later_low": _known(offer.earned_low),
        "earned_later_high": _known(offer.earned_high),
        "profit_later": _known(offer.profit),
        "least_price": _known(offer.least_price),
        "break_even_uptake": _known(offer.break_even),
    }
    return pa.table({**columns, **_repeated(told, n)})


def _counts(sets: list[Whole], itemsets: Itemsets) -> tuple[Whole, np.ndarray]:
    """Return the baskets that hold each set, and its lift; NaN where one of its items is in none."""
    n = max(itemsets.n_baskets, 1)
    counts = np.array([itemsets.counts_of(items[None, :])[0] for items in sets], np.int64)
    chance = np.array([(itemsets.counts_of(items[:, None]) / n).prod() for items in sets], np.float64)
    return counts, np.divide(counts / n, chance, out=np.full(len(sets), np.nan), where=chance > 0)


def _listed(rows: Whole, products: pa.Array) -> pa.Array:
    ends = np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), products.take(pa.array(rows.ravel())))


def _joined(rows: Whole, names: list[str]) -> pa.Array:
    return pa.array([" + ".join([names[item] for item in row]) for row in rows.tolist()], pa.string())


def _known(values: np.ndarray) -> pa.Array:
    """Return numbers, null where there is none."""
    return pa.array(values, pa.float64(), mask=~np.isfinite(values))


def _repeated(told: Mapping[str, Any], n: int) -> dict[str, pa.Array]:
    return {name: pa.array([value] * n) if n else pa.nulls(0) for name, value in told.items()}
