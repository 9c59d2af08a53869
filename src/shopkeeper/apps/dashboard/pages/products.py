"""Products: what is bought together, what goes with a basket in hand, and which bundles would pay."""

from typing import TYPE_CHECKING

import streamlit as st

from shopkeeper.apps.charts import intervals
from shopkeeper.apps.charts.networks import network
from shopkeeper.apps.dashboard.parts import chart, empty, header, table
from shopkeeper.apps.dashboard.parts.tabs import headline, tabs
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving.exhibits import Shown, products
from shopkeeper.vocabulary import RECOMMENDATIONS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

DRAWN, PAIRS = 15, 60
SCOPE_WORDS = {"all": "All baskets", "country": "Country", "segment": "Segment", "quarter": "Quarter of the year"}
EVERYWHERE = "Everywhere"


def show(view: View) -> None:
    """Show the page."""
    header(
        view,
        "Products",
        "What is bought together, and what to offer with it.",
        told=f"As of {view.formats.date(view.last_day)}, from all baskets until then",
    )
    parts = {}
    if view.has(products.RULES):
        parts["Bought together"] = _together
    if view.visit.edition.has_subject(RECOMMENDATIONS) and (view.has("core.products") or view.has("core.events")):
        parts["Try a basket"] = _basket
    if view.has(products.BUNDLED):
        parts["Bundles"] = _bundles
    if parts:
        tabs(view, parts, key="part")
    else:
        empty(
            "No model tells of baskets yet",
            "Bring orders with several products each, and run the shop.",
            "shopkeeper run",
        )


def _together(view: View) -> None:
    scopes = view.show(products.SCOPES)
    known = {(row["scope"], row["scope_value"]): row for row in scopes.rows if row["n_good"]}
    if not known:
        empty("No rule holds beyond chance", "More baskets may show one.")
        return
    whole = known.get(("all", "all"))
    place = st.container()
    scope = st.selectbox(
        "Whose baskets",
        list(known),
        format_func=lambda each: SCOPE_WORDS["all"] if each[0] == "all" else f"{SCOPE_WORDS[each[0]]}: {each[1]}",
        key="scope",
    )
    values = {"scope": scope[0], "scope_value": scope[1]}
    rules, pairs = view.show(products.RULE_LIST, **values), view.show(products.NETWORK, **values, most=PAIRS)
    with place:
        if rules.rows:
            first, tell = rules.rows[0], view.formats
            held = known[scope]
            headline(
                f"Who takes {first['if_taken'].strip()} takes {first['then_taken'].strip()} in "
                f"{tell.share(first['confidence'])} of "
                f"the baskets, {tell.number(first['lift'])} times as often as by chance. "
                f"{tell.count(held['n_good'])} rules {'are stored, and ' if scope[0] != 'all' else ''}hold beyond chance"
                + (f", {tell.count(held['n_holding'])} of them in the latest weeks alone too." if whole else ".")
            )
    chart(
        view,
        pairs,
        lambda: _network(view, pairs),
        leads_to="product",
        below=f"The {PAIRS} strongest pairs. The larger a point, the more net sales; the thicker a line, the more baskets.",
    )
    table(view, rules, leads_to="consequent", columns=list(rules.exhibit.units), height=420)


def _network(view: View, pairs: Shown) -> "Figure":
    names: dict[str, str] = {}
    sizes: dict[str, float] = {}
    with_it: dict[str, list[str]] = {}
    for row in pairs.rows:
        for one, other in (("a", "b"), ("b", "a")):
            key = row[f"product_{one}"]
            names[key] = row[f"name_{one}"]
            sizes[key] = float(row[f"net_sales_{one}"] or 0)
            with_it.setdefault(key, []).append(
                f"{row[f'name_{other}'].strip()} ({view.formats.count(row['n_baskets'])} baskets)"
            )
    return network(
        view.theme,
        view.formats,
        names,
        sizes,
        [(row["product_a"], row["product_b"], float(row["n_baskets"])) for row in pairs.rows],
        {key: "with " + "<br>".join(each[:4]) for key, each in with_it.items()},
    )


def _basket(view: View) -> None:
    offered = view.show(products.OFFERED if view.has("core.products") else products.OFFERED_IN_EVENTS)
    named = dict(zip(offered.column("product_id"), offered.column("description"), strict=True))
    picked = st.multiselect(
        "Products in the basket",
        list(named),
        default=list(named)[:1],
        format_func=lambda key: key if named[key] == key else f"{named[key].strip()} ({key})",
        key="basket",
        placeholder="Choose some: by name or code",
    )
    country = None
    if len(view.visit.choices.countries) > 1:
        chosen = st.selectbox(
            "Country of the customer", [EVERYWHERE, *view.visit.choices.countries], key="basket country"
        )
        country = None if chosen == EVERYWHERE else chosen
    shown = products.advice(view.visit.edition, picked, country)
    if shown.rows:
        best = shown.rows[0]
        headline(f"Offer {(best['description'] or best['product_id']).strip()}: {best['reason'].strip()}.")
    table(
        view,
        shown,
        leads_to="product_id",
        title="What goes with it" if picked else "What is popular of late",
        height="content",
        none="The model has nothing to recommend with it.",
    )


def _bundles(view: View) -> None:
    shown = view.show(products.BUNDLES, currency=view.formats.currency)
    rows = shown.rows
    if rows:
        paying = [row for row in rows if row["earned_later"] > 0]
        sure = [row for row in rows if row["is_sure"]]
        headline(
            f"{len(paying)} of {len(rows)} bundles would have earned money in the last {rows[0]['n_weeks_later']} weeks, "
            f"{len(sure)} of them beyond doubt, if {view.formats.share(rows[0]['uptake'])} of those who lacked one "
            f"product had taken "
            f"all for {view.formats.share(rows[0]['discount'])} less."
        )
    drawn = rows[:DRAWN]
    table(
        view,
        shown,
        columns=[name for name in shown.exhibit.units if any(row[name] is not None for row in rows)],
        height=420,
    )
    chart(
        view,
        shown,
        lambda: intervals.forest(
            view.theme,
            view.formats,
            [row["names"] for row in drawn],
            [row["earned_later"] for row in drawn],
            [row["earned_later_low"] for row in drawn],
            [row["earned_later_high"] for row in drawn],
            notes=[
                f"{view.formats.price(row['bundle_price'])} instead of {view.formats.price(row['usual_price'])}; pays "
                f"from an uptake "
                f"of {view.formats.share(row['break_even_uptake'])}"
                for row in drawn
            ],
            rules=[0.0],
            is_strong=[bool(row["is_sure"]) for row in drawn],
        ),
        title=f"The {len(drawn)} that would earn most",
        key="bundle-forest",
        below="The line is the 95 % interval, from the number of baskets alone. The uptake is assumed, not measured.",
    )


PAGE = Page(
    "products",
    "Products",
    show,
    icon="inventory_2",
    section="Insight",
    place=4,
    needs=(products.RULES, products.BUNDLED, "predictions.product_recommendations"),
    obeys=products.PLACES,
)
