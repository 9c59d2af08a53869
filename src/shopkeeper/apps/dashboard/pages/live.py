"""Live: what happens in the shop in these minutes, without waiting for a build; refreshed by itself."""

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import streamlit as st

from shopkeeper import vocabulary as v
from shopkeeper.apps.charts import figures
from shopkeeper.apps.charts.figures import Series
from shopkeeper.apps.dashboard import stage
from shopkeeper.apps.dashboard.parts import Card, cards, chart, empty, header, note, table
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.apps.dashboard.workbench import workbench
from shopkeeper.serving.exhibits import live

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TWO = 430
SECONDS = 2.0
TOP, MOST_STOCK = 20, 50
SPANS = (1, 5, 15, 30, 60)


def show(view: View) -> None:
    """Show the page."""
    bench = workbench(view.parts)
    most = view.parts.settings.collector.live_minutes
    header(
        view,
        "Live",
        "Counted as it comes in, over the published version and what the collector took since. Each event counts once, however "
        "often it was sent.",
        told="What trackers and tills sent in these minutes, seconds after they sent it.",
    )
    if not bench.has_log:
        _nothing_collected()
        return
    following = bench.live()
    spans = [each for each in SPANS if each < most] + [most]
    chosen = st.segmented_control(
        "Minutes",
        spans,
        default=most,
        format_func=lambda each: "this minute" if each == 1 else f"{each} minutes",
        key="minutes",
        bind="query-params",
        required=True,
        label_visibility="collapsed",
    )
    _follow(view, following, chosen or most)


def _nothing_collected() -> None:
    empty(
        "Nothing was collected yet",
        "Live numbers come from events, order lines and stock movements that are sent to the collector. Start it, and send "
        "something, or have a simulated shop play.",
    )
    st.code(
        "shopkeeper serve --project shop\n"
        "shopkeeper simulate --live --preset rees46_events --to http://127.0.0.1:8080 --out played\n\n"
        "curl http://127.0.0.1:8080/v1/events -H 'Content-Type: application/json' \\\n"
        """  -d '{"event_type": "view", "product_id": "A1", "customer_id": "c1"}'""",
        language="sh",
    )


@st.fragment(run_every=SECONDS)
def _follow(view: View, following: Any, minutes: int) -> None:
    """Show the numbers of now, again and again. The key is looked at each time: no page is run anew meanwhile."""
    if (
        not {v.AGGREGATES, v.CUSTOMERS} & stage.scopes_now()
        or view.parts.published.current() != view.visit.edition.number
    ):
        st.rerun(scope="app")
    numbers, stock = following.numbers(minutes, TOP), following.stock(limit=MOST_STOCK)
    if numbers["trouble"]:
        note(f"Numbers stand still: {numbers['trouble']}")
    if numbers["as_of"] is None:
        note("Reading the log …")
        return
    _shown(view, numbers, stock, minutes)


def _shown(view: View, numbers: dict[str, Any], stock: list[dict[str, Any]], minutes: int) -> None:
    number = numbers["version"] or 0
    totals = live.totals(numbers, number)
    row = totals.first()
    columns = [
        *(("n_events", "n_purchases", "revenue") if row["n_events"] or not row["n_order_lines"] else ()),
        *(("n_order_lines", "net_amount") if row["n_order_lines"] else ()),
    ]
    by_minute = live.by_minute(numbers, number)
    course = {"n_events": by_minute.column("n_events")[:-1], "revenue": by_minute.column("revenue")[:-1]}
    note(
        f"Last {minutes} minutes, as of {view.formats.moment(numbers['as_of'])}. "
        f"Version {number} and what the log holds beyond it; refreshed every {SECONDS:.0f} seconds."
    )
    cards(view, [Card(totals, column, course=course.get(column, ())) for column in columns], key="live")
    if not row["n_events"] and not row["n_order_lines"]:
        empty(
            "Nothing came in these minutes",
            "The page goes on looking; what is sent to the collector shows within seconds.",
        )
    if row["n_events"]:
        with st.grid(2, min_column_width=TWO, gap="small", key="live-events"):
            chart(view, by_minute, lambda: _minutes(view, by_minute))
            by_type = live.by_type(numbers, number)
            chart(
                view,
                by_type,
                lambda: figures.ranking(
                    view.theme,
                    view.formats,
                    by_type.column("event_type")[:8],
                    by_type.column("n_events")[:8],
                    unit="count",
                ),
            )
    codes = [each["product_id"] for each in (*numbers["top_products"], *numbers["order_lines"]["top_products"], *stock)]
    with view.visit.edition.cursor() as connection:
        names = live.product_names(connection, sorted(set(codes))) if view.has("core.products") else {}
    products = live.top_products(numbers, names, number)
    if not products.is_empty:
        shown = [name for name in products.exhibit.units if any(products.column(name))]
        table(view, products, columns=shown, leads_to="product_id")
    if stock:
        table(view, live.stock(stock, names, number), leads_to="product_id")


def _minutes(view: View, by_minute: Any) -> "Figure":
    clock = ZoneInfo(view.formats.timezone)
    at = [each.astimezone(clock).replace(tzinfo=None) for each in by_minute.column("minute_at")]
    figure = figures.bars(view.theme, view.formats, at, [Series("events", by_minute.column("n_events"), "count")])
    figure.update_xaxes(type="date", tickformat="%H:%M", nticks=6, tickangle=0)
    return figure


PAGE = Page("live", "Live", show, icon="sensors", section="Running", place=0)
