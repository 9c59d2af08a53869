"""Behaviour, stock and activity: marts of little lakes worked out by hand, and increments in any order."""

import csv
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from shopkeeper.contracts import CONTRACTS
from shopkeeper.engine import connect, extension_path
from shopkeeper.lake import Incoming, Lake, entity_schema
from shopkeeper.sources.source import REJECT_FIELDS
from shopkeeper.warehouse import Warehouse

INCREMENTS = int(os.environ.get("SHOPKEEPER_INCREMENTS", "1"))
"""In how many orders loads come one by one: in one by default; in two in `.ci/run`."""
DATA = Path(os.environ.get("SHOPKEEPER_DATA", Path(__file__).parents[3] / "shared" / "data"))
VARIABLES = {
    "timezone": "America/New_York",
    "currency": "USD",
    "country": "",
    "service_codes": {},
    "service_prefixes": {},
    "order_prefixes": {},
    "quantity_fence": 1.5,
    "price_z": 3.0,
    "exclude_duplicates": False,
    "session_gap_minutes": 30,
    "pair_minimum": 2,
    "basket_limit": 3,
}
NO_REJECTS = pa.record_batch(
    [pa.array([], pa.int64())] + [pa.array([], pa.string())] * (len(REJECT_FIELDS) - 1),
    names=list(REJECT_FIELDS),
)


@dataclass
class Shop:
    """A lake and a warehouse in one folder."""

    home: Path
    lake: Lake
    warehouse: Warehouse

    def load(self, source: str, entity: str, rows: Iterable[dict[str, Any]]) -> None:
        of = CONTRACTS[entity]
        schema = pa.schema([*(entity_schema(of).field(name) for name in of.column_names), ("source_row", pa.int64())])
        listed = [{**row, "source_row": number} for number, row in enumerate(rows, start=2)]
        batches = pa.Table.from_pylist(listed, schema=schema).to_batches()
        pairs = [(batch, NO_REJECTS) for batch in batches]
        self.lake.load(Incoming(source, f"{source}.csv", entity, entity, source, 1, pairs, len(listed)))

    def build(self, **how: Any) -> Any:
        return self.warehouse.build(self.lake.snapshot(), **how)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with connect(self.warehouse.path, read_only=True) as connection:
            return connection.execute(sql).fetchall()


def open_shop(home: Path, **variables: Any) -> Shop:
    scratch = home / "scratch"
    scratch.mkdir(parents=True)
    lake = Lake(home / "lake", scratch)
    warehouse = Warehouse(
        home / "dev" / "warehouse.duckdb",
        lake=home / "lake",
        scratch=scratch,
        work=home / "dbt",
        variables={**VARIABLES, **variables},
    )
    warehouse.path.parent.mkdir()
    return Shop(home, lake, warehouse)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def event(moment: str, kind: str, customer: str | None, session: str | None, product: str | None, **more: Any) -> dict:
    row = {"occurred_at": at(moment), "event_type": kind, "customer_id": customer, "session_id": session}
    price = Decimal(more.pop("price", "1"))
    return {**row, "product_id": product, "price": price, **more}


PAID = event("2024-01-02 05:10:00", "purchase", "ann", "s1", "P1", price="10", quantity=Decimal(2))
NAMELESS = [
    event("2024-01-02 04:50:00", "View ", "ann", "s1", " p1"),
    event("2024-01-02 04:55:00", "cart", "ann", "s1", "P1"),
    PAID,
    PAID,
    event("2024-01-02 15:00:00", "view", "bob", "s2", "P2"),
    event("2024-02-01 15:00:00", "view", "bob", "s3", "P1"),
    event("2024-02-01 15:01:00", "cart", "bob", "s3", "P2"),
    event("2024-02-01 15:02:00", "purchase", "bob", "s3", "P1", price="10"),
    event("2024-02-01 15:03:00", "purchase", "bob", "s3", "P3", price="5", quantity=Decimal(1)),
    event("2024-01-03 15:00:00", "view", "cy", None, "P1"),
    event("2024-01-03 15:30:00", "view", "cy", None, "P2"),
    event("2024-01-03 16:00:01", "purchase", "cy", None, "P2", price="7"),
    event("2024-01-03 17:00:00", "view", None, None, "P2"),
]
ORDERS = {"o1": "AB", "o2": "ABC", "o3": "A", "o4": "B", "o5": "ABCD"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = open_shop(tmp_path_factory.mktemp("hand") / "shop")
    shop.load("clicks", "events", NAMELESS)
    shop.load("tracker", "events", [event("2024-01-05 15:00", "view", "dee", "s4", "P1", event_id="e1")])
    shop.load("tracker2", "events", [event("2024-01-04 15:00", "view", "dee", "s5", "P1", event_id="e1")])
    line = {"quantity": Decimal(1), "unit_price": Decimal(2), "ordered_at": at("2024-01-02 12:00")}
    lines = [{"order_id": order, "product_id": code, **line} for order, codes in ORDERS.items() for code in codes]
    shop.load("sales", "order_lines", lines)
    moved = {"product_id": "a ", "store_id": "x"}
    shop.load(
        "stock",
        "inventory_movements",
        [
            {**moved, "movement_id": "m1", "quantity": Decimal(10), "moved_at": at("2024-01-01 12:00")},
            {**moved, "movement_id": "m2", "quantity": Decimal(-3), "moved_at": at("2024-01-02 12:00")},
            {**moved, "movement_id": "m2", "quantity": Decimal(-3), "moved_at": at("2024-01-02 13:00")},
            {**moved, "movement_id": None, "quantity": Decimal(-1), "moved_at": at("2024-01-03 03:00")},
            {**moved, "movement_id": None, "quantity": Decimal(-1), "moved_at": at("2024-01-03 03:00")},
            {
                "product_id": "B",
                "movement_id": None,
                "quantity": Decimal(-2),
                "moved_at": at("2024-01-03 12:00"),
            },
        ],
    )

    def held(customer: str, first: str, last: str | None, values: str) -> dict[str, Any]:
        return {
            "customer_id": customer,
            "valid_from": at(first),
            "valid_to": at(last) if last else None,
            "attributes": values,
        }

    shop.load(
        "activity",
        "customer_activity",
        [
            held("ann", "2024-01-01", "2024-02-01", "x"),
            held("ann", "2024-02-01", None, "y"),
            held("bob", "2024-01-01", "2024-03-01", "ended"),
            held("bob", "2024-01-01", None, "open"),
            held("cy", "2024-01-01", None, "b"),
            held("cy", "2024-01-01", None, "a"),
            held("cy", "2024-01-01", None, "a"),
        ],
    )
    shop.load("labels", "labels", [{"customer_id": "ann", "label": 0}])
    shop.load("labels2", "labels", [{"customer_id": "ann", "label": 1}])
    sent = {"campaign_id": "c", "customer_id": "ann", "exposed_at": at("2024-01-03 03:00")}
    shop.load("sent", "exposures", [{**sent, "arm": "control"}, {**sent, "arm": "control"}])
    shop.build()
    return shop


def test_equal_rows_without_an_id_are_kept_and_the_second_is_flagged(shop: Shop) -> None:
    """Two equal purchases stand as two rows; only the second is a duplicate, and its id says so."""
    found = shop.rows(
        "select event_id, is_duplicate, revenue from core.events "
        "where event_type = 'purchase' and session_id = 's1' order by 2"
    )
    assert [row[1:] for row in found] == [(False, Decimal(20)), (True, Decimal(20))]
    assert found[1][0] == f"{found[0][0]}-2"
    assert shop.rows("select count(*), count(distinct event_id) from core.events") == [(14, 14)]


def test_one_id_sent_twice_stands_once_as_its_earliest(shop: Shop) -> None:
    """The event that a tracker sent again for a later moment keeps the earlier one, and its session."""
    found = shop.rows("select occurred_at, session_id, is_duplicate from core.events where has_given_id")
    assert found == [(datetime(2024, 1, 4, 15), "s5", False)]  # noqa: DTZ001 - the warehouse holds plain UTC
    assert shop.rows("select count(*) from core.sessions where session_id = 's4'") == [(0,)]


def test_text_is_tidied_and_days_are_the_shops(shop: Shop) -> None:
    """Types are lower case, products upper case, and 04:50 UTC belongs to the evening before in New York."""
    found = shop.rows(
        "select event_type, product_id, occurred_on::text, occurred_hour, currency from core.events "
        "order by occurred_at limit 1"
    )
    assert found == [("view", "P1", "2024-01-01", 23, "USD")]


def test_a_session_over_midnight_is_one_row_of_its_first_day(shop: Shop) -> None:
    """Session s1 begins before and ends after the shop's midnight; the repeated purchase does not count."""
    found = shop.rows("""
        select started_on::text, ended_on::text, customer_id, n_events, n_views, n_carts, n_removes,
            n_purchases, n_products, revenue, seconds, is_bounce, has_view, has_cart, has_purchase, is_made
        from core.sessions where session_id = 's1'
    """)
    expected = (
        "2024-01-01",
        "2024-01-02",
        "ann",
        3,
        1,
        1,
        0,
        1,
        1,
        Decimal(20),
        1200,
        False,
        True,
        True,
        True,
        False,
    )
    assert found == [expected]


def test_sessions_are_made_of_silences_where_none_is_named(shop: Shop) -> None:
    """Thirty minutes exactly belong together, one second more does not; an event of nobody has no session."""
    found = shop.rows("select n_events, seconds, revenue from core.sessions where is_made order by started_at")
    assert found == [(2, 1800, Decimal(0)), (1, 0, Decimal(7))]
    assert shop.rows("select count(*), sum(n_events) from core.sessions") == [(6, 12)]


def test_the_funnel_counts_steps_alone_and_in_a_row(shop: Shop) -> None:
    """A purchase without a view counts as a purchase, yet not in the funnel from view to cart to purchase."""
    found = shop.rows("""
        select day::text, n_sessions, n_with_view, n_with_cart, n_with_purchase, n_view_to_cart,
            n_view_to_cart_to_purchase
        from metrics.funnel order by day
    """)
    assert found == [
        ("2024-01-01", 1, 1, 1, 1, 1, 1),
        ("2024-01-02", 1, 1, 0, 0, 0, 0),
        ("2024-01-03", 2, 1, 0, 1, 0, 0),
        ("2024-01-04", 1, 1, 0, 0, 0, 0),
        ("2024-02-01", 1, 1, 1, 1, 1, 1),
    ]


def test_daily_traffic_is_that_of_the_days_events_and_of_the_sessions_begun(shop: Shop) -> None:
    """Visitors and revenue go by the day of the event; sessions and their rates by the day they began."""
    found = shop.rows("""
        select n_events, n_customers, n_new_customers, n_sessions, n_bounces, bounce_rate, conversion,
            revenue, revenue_per_visitor
        from metrics.daily_traffic order by day limit 3
    """)
    assert found == [
        (2, 1, 1, 1, 0, 0.0, 1.0, Decimal(0), 0.0),
        (2, 2, 1, 1, 1, 1.0, 0.0, Decimal(20), 10.0),
        (4, 1, 1, 2, 1, 0.5, 0.5, Decimal(7), 7.0),
    ]


def test_monthly_activity_counts_each_customer_once(shop: Shop) -> None:
    """A customer who comes on several days of a month is one of its visitors, for each type and for all."""
    found = shop.rows("""
        select month_start::text, event_type, n_events, n_customers, revenue
        from metrics.monthly_activity order by 1, 2
    """)
    assert found == [
        ("2024-01-01", "all", 9, 4, Decimal(27)),
        ("2024-01-01", "cart", 1, 1, Decimal(0)),
        ("2024-01-01", "purchase", 2, 2, Decimal(27)),
        ("2024-01-01", "view", 6, 4, Decimal(0)),
        ("2024-02-01", "all", 4, 1, Decimal(15)),
        ("2024-02-01", "cart", 1, 1, Decimal(0)),
        ("2024-02-01", "purchase", 2, 1, Decimal(15)),
        ("2024-02-01", "view", 1, 1, Decimal(0)),
    ]
    assert shop.rows(
        "select n_customers, n_new_customers, n_sessions from metrics.monthly_traffic order by month_start"
    ) == [
        (4, 4, 5),
        (1, 0, 1),
    ]


def test_revenue_by_hour_is_by_the_shops_clock(shop: Shop) -> None:
    """The purchase at ten past midnight in New York is Tuesday's, hour 0."""
    found = shop.rows("select iso_weekday, hour, n_purchases, revenue from metrics.hourly_revenue order by 1, 2")
    assert found == [(2, 0, 1, Decimal(20)), (3, 11, 1, Decimal(7)), (4, 10, 2, Decimal(15))]


def test_what_precedes_a_purchase_in_the_session_and_of_the_product(shop: Shop) -> None:
    """Bob's first purchase follows a cart of another product, and a view of its own."""
    found = shop.rows("""
        select month_start::text, scope, previous_event_type, n_purchases, share
        from metrics.event_before_purchase order by 1, 2, 3
    """)
    assert found == [
        ("2024-01-01", "product", "cart", 1, 0.5),
        ("2024-01-01", "product", "none", 1, 0.5),
        ("2024-01-01", "session", "cart", 1, 0.5),
        ("2024-01-01", "session", "none", 1, 0.5),
        ("2024-02-01", "product", "none", 1, 0.5),
        ("2024-02-01", "product", "view", 1, 0.5),
        ("2024-02-01", "session", "cart", 1, 0.5),
        ("2024-02-01", "session", "purchase", 1, 0.5),
    ]


def test_visitor_retention_follows_the_month_first_seen(shop: Shop) -> None:
    """Four visitors are first seen in January; one of them comes back in February."""
    found = shop.rows("select months_since, n_customers, n_active, retention from metrics.visitor_retention order by 1")
    assert found == [(0, 4, 4, 1.0), (1, 4, 1, 0.25)]


def test_products_bought_together_leave_out_very_large_baskets(shop: Shop) -> None:
    """A and B are together in 2 of 4 baskets, each in 3; the basket of four products is counted aside."""
    found = shop.rows("""
        select scope, product_id_a, product_id_b, n_together, n_a, n_b, n_baskets, n_baskets_left_out,
            support, confidence_a_to_b, lift
        from metrics.product_pairs
    """)
    assert found == [("order", "A", "B", 2, 3, 3, 4, 1, 0.5, 2 / 3, 8 / 9)]


def test_stock_on_hand_counts_one_id_once_and_equal_movements_each(shop: Shop) -> None:
    """Movement m2 came twice and counts once; two equal movements without an id are two."""
    found = shop.rows(
        "select product_id, store_id, on_hand, n_movements, is_negative from core.inventory_levels order by 1"
    )
    assert found == [("A", "x", Decimal(5), 4, False), ("B", "unknown", Decimal(-2), 1, True)]
    days = shop.rows(
        "select day::text, n_units_in, n_units_out, on_hand from metrics.daily_inventory "
        "where product_id = 'A' order by 1"
    )
    assert days == [("2024-01-01", 10, 0, 10), ("2024-01-02", 0, 5, 5)]
    assert shop.rows("select count(*), count(case when is_duplicate then 1 end) from core.inventory_movements") == [
        (6, 1)
    ]


def test_activity_is_ranked_from_the_latest_with_a_rule_for_ties(shop: Shop) -> None:
    """Rank 1 begins last; then the one that still holds; then the first by its values; equal ones are one."""
    ranked = shop.rows(
        "select customer_id, activity_rank, attributes, n_statements from core.customer_activity_ranked order by 1, 2"
    )
    assert ranked == [
        ("ann", 1, "y", 1),
        ("ann", 2, "x", 1),
        ("bob", 1, "open", 1),
        ("bob", 2, "ended", 1),
        ("cy", 1, "a", 2),
        ("cy", 2, "b", 1),
    ]
    latest = shop.rows("select customer_id, attributes from core.customer_activity_latest order by 1")
    assert latest == [("ann", "y"), ("bob", "open"), ("cy", "a")]


def test_a_label_is_what_the_last_load_says_and_an_exposure_stands_once(shop: Shop) -> None:
    """The second load changes Ann's label; her exposure, written twice, is one row of the evening before."""
    assert shop.rows("select customer_id, label from core.labels") == [("ann", 1)]
    assert shop.rows("select customer_id, is_control, exposed_on::text from core.exposures") == [
        ("ann", True, "2024-01-02")
    ]


def test_a_promotion_is_what_the_last_load_says(tmp_path: Path) -> None:
    """A second load moves the sale of P1 and leaves that of the category; days are the shop's, and what cannot be is told."""
    shop = open_shop(tmp_path / "shop")
    sale = {"promotion_id": "sale", "starts_at": at("2024-01-05 05:00"), "ends_at": at("2024-01-08 05:00")}
    shop.load(
        "plan",
        "promotions",
        [
            {**sale, "product_id": "p1 ", "discount_share": Decimal("0.2")},
            {**sale, "category": "toys", "store_id": "s1", "discount_share": Decimal("1.5")},
            {**sale, "unit_price": Decimal(3)},
        ],
    )
    shop.load(
        "plan2",
        "promotions",
        [{**sale, "product_id": "P1", "ends_at": at("2024-01-09 05:00"), "unit_price": Decimal(4)}],
    )
    shop.build()
    assert shop.rows(
        "select level, member, store_id, starts_on::text, ends_on::text, unit_price, discount_share, is_usable "
        "from core.promotions order by 1"
    ) == [
        ("category", "toys", "s1", "2024-01-05", "2024-01-08", None, Decimal("1.5"), False),
        ("product", "P1", "all", "2024-01-05", "2024-01-09", Decimal(4), None, True),
        ("shop", "all", "all", "2024-01-05", "2024-01-08", Decimal(3), None, False),
    ]


def test_an_empty_shop_builds_empty_tables(tmp_path: Path) -> None:
    """With no rows at all every model builds, twice, and holds nothing."""
    shop = open_shop(tmp_path / "shop")
    shop.build()
    for table in (
        "core.events",
        "core.sessions",
        "core.inventory_levels",
        "core.promotions",
        "metrics.daily_traffic",
        "metrics.product_pairs",
    ):
        assert shop.rows(f"select count(*) from {table}") == [(0,)]


# ------------------------------------------------------------------ increments


def random_events(seed: int) -> dict[str, list[dict[str, Any]]]:
    """Three sources that overlap: equal rows, ids sent again weeks apart, no session, nobody's events."""
    chance = random.Random(seed)
    start = at("2024-01-30 00:00")
    pool = []
    for number in range(160):
        customer = chance.choice([None, "ann", "bob", "cy", "dee", "eve"])
        days = chance.choice([0, 0, 0, 1, 1, 2, 20])
        moment = start + timedelta(days=days, minutes=chance.randrange(24 * 60))
        named = chance.random() < 0.6
        kinds = ["view"] * 4 + ["cart", "remove_from_cart", "purchase", "purchase", "purchase"]
        pool.append(
            {
                "event_id": f"e{number % 60}" if number % 2 else None,
                "event_type": chance.choice(kinds),
                "occurred_at": moment,
                "customer_id": customer,
                "session_id": f"{customer}-{days}" if named else None,
                "product_id": chance.choice("ABCD"),
                "price": Decimal(chance.randrange(1, 9)),
            }
        )
    return {source: chance.sample(pool, 90) + chance.choices(pool, k=10) for source in ("one", "two", "three")}


def fingerprint(shop: Shop) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that is published, load ids apart."""
    names = shop.rows("""
        select table_schema || '.' || table_name from information_schema.tables
        where table_schema in ('core', 'metrics') and table_name <> 'ledger' order by 1
    """)
    tables = {}
    for (name,) in names:
        columns = [row[0] for row in shop.rows(f"describe {name}") if row[0] != "load_id"]
        tables[name] = shop.rows(f"select {', '.join(columns)} from {name} order by all")
    return tables


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = open_shop(tmp_path_factory.mktemp("whole") / "shop", pair_minimum=1)
    for source, rows in random_events(7).items():
        shop.load(source, "events", rows)
    shop.build()
    return shop


@pytest.mark.slow
@pytest.mark.parametrize("order", [("three", "one", "two"), ("one", "two", "three")][:INCREMENTS])
def test_increments_in_any_order_equal_one_full_build(whole: Shop, tmp_path: Path, order: tuple[str, ...]) -> None:
    """Loads taken up one build at a time, in any order, give each table row for row as all at once do."""
    shop = open_shop(tmp_path / "shop", pair_minimum=1)
    for source in order:
        shop.load(source, "events", random_events(7)[source])
        was = shop.build()
    assert not was.was_full
    expected, found = fingerprint(whole), fingerprint(shop)
    for table, rows in expected.items():
        assert found[table] == rows, table


def test_session_pairs_are_those_of_counting_by_hand(whole: Shop) -> None:
    """Products bought in one session, counted pair by pair in Python, are the table's."""
    baskets = defaultdict(set)
    sql = "select session_id, product_id from staging.int_events_sessioned where event_type = 'purchase'"
    with duckdb.connect(str(whole.warehouse.path), read_only=True) as connection:
        connection.execute(f"load '{extension_path('delta')}'")
        for session, product in connection.execute(sql).fetchall():
            baskets[session].add(product)
    small = [basket for basket in baskets.values() if len(basket) <= VARIABLES["basket_limit"]]
    pairs = Counter(pair for basket in small for pair in combinations(sorted(basket), 2))
    expected = sorted((*pair, n, len(small)) for pair, n in pairs.items())
    found = whole.rows(
        "select product_id_a, product_id_b, n_together, n_baskets from metrics.product_pairs order by all"
    )
    assert found == expected
    assert expected


@pytest.mark.slow
def test_a_build_that_was_lost_is_made_up_by_the_next(whole: Shop, tmp_path: Path) -> None:
    """If only core.events was built from a load before the end came, the next build takes the rest up."""
    shop = open_shop(tmp_path / "shop", pair_minimum=1)
    shop.load("one", "events", random_events(7)["one"])
    shop.build()
    for source in ("two", "three"):
        shop.load(source, "events", random_events(7)[source])
    shop.build(select="core.events int_event_days")
    shop.build()
    assert fingerprint(shop) == fingerprint(whole)


# ------------------------------------------------------------------- real data


@pytest.mark.real_data
def test_the_rees46_sample_gives_its_known_counts(tmp_path: Path) -> None:
    """Every event of the real sample arrives; types, visitors, sessions, revenue equal a count in Python."""
    path = DATA / "rees46" / "2019-Oct-sample.csv"
    if not path.exists():
        pytest.skip(f"the real data are absent: {path} (set SHOPKEEPER_DATA)")
    with path.open(encoding="utf-8", newline="") as file:
        raw = [row for row in csv.DictReader(file) if row["user_session"]]
    assert len(raw) == 17_434
    names = {"customer_id": "user_id", "session_id": "user_session"}
    same = ("event_type", "product_id", "category_id", "category_code", "brand")
    shop = open_shop(tmp_path / "shop", timezone="UTC", pair_minimum=5, basket_limit=100)
    shop.load(
        "rees46",
        "events",
        [
            {
                "occurred_at": at(row["event_time"].removesuffix(" UTC")),
                "price": Decimal(row["price"]),
                **{name: row[name] or None for name in same},
                **{ours: row[theirs] for ours, theirs in names.items()},
            }
            for row in raw
        ],
    )
    shop.build()
    distinct = {tuple(row.values()): row for row in raw}.values()
    types = Counter(row["event_type"] for row in raw)
    assert (types["cart"], types["purchase"]) == (165, 214)
    assert dict(shop.rows("select event_type, count(*) from core.events group by 1")) == types
    assert shop.rows("select count(*) from core.events where is_duplicate") == [(len(raw) - len(distinct),)]
    sessions = {row["user_session"]: 0 for row in distinct}
    for row in distinct:
        sessions[row["user_session"]] += 1
    bounces = sum(count == 1 for count in sessions.values())
    visitors = {row["user_id"] for row in distinct}
    revenue = sum(Decimal(row["price"]) for row in distinct if row["event_type"] == "purchase")
    found = shop.rows(
        "select n_customers, n_new_customers, n_sessions, n_bounces, revenue from metrics.monthly_traffic"
    )
    assert found == [(len(visitors), len(visitors), len(sessions), bounces, revenue)]
