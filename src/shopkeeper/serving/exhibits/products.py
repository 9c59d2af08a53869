"""What is bought together: rules, the products they join, bundles, and what goes with a basket in hand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from shopkeeper.serving.exhibits.exhibit import Exhibit, Shown
from shopkeeper.serving.offers import Wish, for_basket

if TYPE_CHECKING:
    from shopkeeper.serving.editions import Edition

RULES, BUNDLED = "predictions.basket_rules", "predictions.bundles"
PLACES = ("country", "store", "category")
CHOSEN = "Countries, stores and categories chosen in the sidebar keep what was ever sold there."
HELD = "Later weeks are the last ones, which had no say in finding it."
MOST_LISTED = 2000

SCOPES = Exhibit(
    "rule_scopes",
    "Whose baskets",
    "Rules of all baskets, of those of a country, of a segment's customers, or of a quarter of any year.",
    """
    select scope, scope_value, count(*) as n_rules, count(*) filter (is_significant and not is_redundant) as n_good,
        count(*) filter (is_significant and not is_redundant and holds_later) as n_holding
    from predictions.basket_rules
    group by scope, scope_value
    order by list_position(['all', 'country', 'segment', 'quarter'], scope), n_good desc, scope_value
    """,
    "scope:text scope_value:text n_rules:count n_good:count n_holding:count",
    (RULES,),
    (),
    headings={"n_good": "Beyond chance", "n_holding": "Holding later"},
)

RULE_LIST = Exhibit(
    "basket_rules",
    "Who buys this also buys that",
    f"Rules beyond chance (false discovery rate at most 5 %) of which no part says as much, the strongest first. "
    f"Confidence: of the "
    f"baskets with the left side, so many hold the right one. Lift: how many times as many as by chance. {HELD} At most "
    f"{MOST_LISTED:,}. {CHOSEN}",
    f"""
    select r.rank, split_part(r.rule, ' → ', 1) as if_taken, coalesce(p.description, r.consequent) as then_taken, r.consequent,
        r.n_baskets, r.confidence, r.lift, r.support, r.lift_later, r.holds_later,
        array_to_string(r.antecedent, ', ') as antecedent
    from predictions.basket_rules as r
    left join core.products as p on p.product_id = r.consequent
    where r.scope = {{scope}} and r.scope_value = {{scope_value}} and r.is_significant and not r.is_redundant
        and r.consequent in (
            select product_id from (select distinct consequent as product_id from predictions.basket_rules) where {{product_fits}}
        )
    order by r.rank
    limit {MOST_LISTED}
    """,
    "rank:count if_taken:text then_taken:text consequent:product n_baskets:count confidence:share lift:number support:share "
    "lift_later:number holds_later:flag antecedent:text",
    (RULES,),
    PLACES,
    headings={
        "rank": "#",
        "if_taken": "Who takes",
        "then_taken": "also takes",
        "consequent": "Its code",
        "n_baskets": "Baskets",
        "lift_later": "Lift later",
        "holds_later": "Holds later",
        "antecedent": "Codes on the left",
    },
)

NETWORK = Exhibit(
    "rule_network",
    "Products that go together",
    f"Pairs of products joined by the strongest rules of one product to another; the thicker, the more baskets hold "
    f"both. {CHOSEN}",
    """
    with pairs as (
        select least(antecedent[1], consequent) as product_a, greatest(antecedent[1], consequent) as product_b,
            max(n_baskets) as n_baskets, max(lift) as lift, max(confidence) as confidence, min(rank) as place
        from predictions.basket_rules
        where scope = {scope} and scope_value = {scope_value} and len(antecedent) = 1 and is_significant and not is_redundant
            and consequent in (
                select product_id
                from (select distinct consequent as product_id from predictions.basket_rules)
                where {product_fits}
            )
        group by 1, 2
    )
    select product_a, coalesce(a.description, product_a) as name_a, product_b, coalesce(b.description, product_b) as name_b,
        pairs.n_baskets, lift, confidence, a.net_sales as net_sales_a, b.net_sales as net_sales_b
    from pairs
    left join core.products as a on a.product_id = product_a
    left join core.products as b on b.product_id = product_b
    order by place
    limit {most}
    """,
    "product_a:product name_a:text product_b:product name_b:text n_baskets:count lift:number confidence:share net_sales_a:money "
    "net_sales_b:money",
    (RULES,),
    PLACES,
    headings={"product_a": "Code", "name_a": "Product", "product_b": "Code of the other", "name_b": "The other"},
)

BUNDLES = Exhibit(
    "bundles",
    "Bundles, and what they would earn",
    f"Products that stand in one basket far beyond chance, offered together at a discount. Earned is what the later weeks would "
    f"have brought if so many of those who lacked one product had taken the whole (the uptake, assumed), less what was given to "
    f"those who took all of it anyway. {HELD} Above the break-even uptake it pays.",
    """
    select bundle, names, usual_price, bundle_price, earned_later, earned_later_low, earned_later_high, break_even_uptake, uptake,
        n_baskets, lift, n_whole_later, n_part_later, discount, margin, profit_later, n_weeks_later,
        earned_later_low > 0 as is_sure
    from predictions.bundles
    where currency = {currency}
    order by earned_later desc, bundle
    """,
    "bundle:count names:text usual_price:price bundle_price:price earned_later:gain earned_later_low:gain "
    "earned_later_high:gain break_even_uptake:share uptake:share n_baskets:count lift:number n_whole_later:count "
    "n_part_later:count discount:share margin:share profit_later:gain n_weeks_later:count is_sure:flag",
    (BUNDLED,),
    (),
    headings={
        "bundle": "#",
        "names": "Bundle",
        "earned_later": "Earned",
        "earned_later_low": "Low",
        "earned_later_high": "High",
        "break_even_uptake": "Pays from uptake",
        "uptake": "Uptake assumed",
        "n_baskets": "Baskets with all",
        "n_whole_later": "All of it, later",
        "n_part_later": "All but one, later",
        "profit_later": "Profit",
        "is_sure": "Sure",
    },
)

OFFERED = Exhibit(
    "products_to_choose",
    "Products to put into a basket",
    "Products sold, those with most net sales first; at most 5,000.",
    """
    select product_id, coalesce(description, product_id) as description, net_sales
    from core.products
    where not is_service and {product_fits}
    order by net_sales desc, product_id
    limit 5000
    """,
    "product_id:product description:text net_sales:money",
    ("core.products",),
    PLACES,
)

OFFERED_IN_EVENTS = Exhibit(
    "products_in_events",
    "Products to put into a basket",
    "Products bought in visits, those with most revenue first; at most 5,000.",
    """
    select product_id, product_id as description, sum(revenue) as net_sales
    from core.events
    where event_type = 'purchase' and not is_duplicate and product_id is not null
    group by product_id
    order by net_sales desc, product_id
    limit 5000
    """,
    "product_id:product description:text net_sales:money",
    ("core.events",),
    (),
)

ADVICE = Exhibit(
    "basket_recommendations",
    "What goes with it",
    "What the model that serves recommends to who holds this basket, by the rules of offers in the settings (what is "
    "out of stock, "
    "what has too small a margin). The score compares within this list only.",
    "",
    "place:count product_id:product description:text reason:text score:number",
    (),
    (),
    headings={"place": "#", "product_id": "Code", "description": "Product", "reason": "Why"},
)


def advice(edition: "Edition", basket: Sequence[str], country: str | None, n: int = 10) -> Shown:
    """Return what goes with a basket, as the API answers it; for an empty one, what is popular.

    Raises NoModelError where no recommender serves.
    """
    told = for_basket(edition, basket, country, Wish(n=n))["recommendations"]
    rows = [{"place": place, **each} for place, each in enumerate(told, 1)]
    table = pa.table({name: [row[name] for row in rows] for name in ADVICE.units})
    how = "Made by the model that serves, as `POST /v1/recommendations/basket` of the API does; there is no query behind it."
    return Shown(ADVICE, table, "", edition.number, how=how)
