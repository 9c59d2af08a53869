"""Features in a warehouse: the table, the history over it, what is cut at the moment, and shops that lack things."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from shopkeeper.assembly import variables
from shopkeeper.contracts import CONTRACTS
from shopkeeper.engine import connect
from shopkeeper.features import ShopHistory, compute, definitions, features_of_lines
from shopkeeper.lake import Incoming, Lake, entity_schema
from shopkeeper.published import Published
from shopkeeper.settings import load, write_project
from shopkeeper.sources.source import REJECT_FIELDS
from shopkeeper.warehouse import Warehouse

MOMENT = date(2024, 2, 1)
WANTED = "+customer_features feature_definitions +labels +customer_activity_ranked"
VARIABLES = {
    "timezone": "America/New_York",
    "currency": "USD",
    "service_codes": {"postage": ["POST"], "discount": ["D"]},
    "service_prefixes": {},
    "order_prefixes": {"cancellation": "C"},
    "exclude_duplicates": False,
    "session_gap_minutes": 30,
    "orders_from": "order_lines",
}
NO_REJECTS = pa.record_batch(
    [pa.array([], pa.int64())] + [pa.array([], pa.string())] * (len(REJECT_FIELDS) - 1),
    names=list(REJECT_FIELDS),
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def rows_of(entity: str, rows: list[dict]) -> pa.Table:
    names = CONTRACTS[entity].column_names
    return pa.Table.from_pylist(
        rows, schema=pa.schema([entity_schema(CONTRACTS[entity]).field(name) for name in names])
    )


class Shop:
    """A lake and a warehouse of what is known, built for features only."""

    def __init__(self, home, known: dict[str, list[dict]], **variables) -> None:
        (home / "scratch").mkdir()
        (home / "dev").mkdir()
        lake = Lake(home / "lake", home / "scratch")
        for entity, rows in known.items():
            numbered = rows_of(entity, rows).append_column("source_row", pa.array(range(2, len(rows) + 2), pa.int64()))
            pairs = [(batch, NO_REJECTS) for batch in numbered.to_batches()]
            lake.load(Incoming(entity, f"{entity}.csv", entity, entity, entity, 1, pairs, len(rows)))
        self.warehouse = Warehouse(
            home / "dev" / "warehouse.duckdb",
            lake=home / "lake",
            scratch=home / "scratch",
            work=home / "dbt",
            variables={**VARIABLES, **variables},
        )
        self.warehouse.build(lake.snapshot(), select=WANTED)
        self.connection = connect(self.warehouse.path, read_only=True, threads=2)
        self.history = ShopHistory(self.connection)


def line(order, customer, moment, product="A", quantity=1, price="10", **more) -> dict:
    row = {"order_id": order, "customer_id": customer, "product_id": product, "ordered_at": at(moment)}
    return {**row, "quantity": Decimal(quantity), "unit_price": Decimal(price), **more}


def event(moment, kind, customer, session, price="1", **more) -> dict:
    row = {
        "occurred_at": at(moment),
        "event_type": kind,
        "customer_id": customer,
        "session_id": session,
        "product_id": "A",
    }
    return {**row, "price": Decimal(price), **more}


def held(customer, first, last, values) -> dict:
    return {
        "customer_id": customer,
        "valid_from": at(first),
        "valid_to": at(last) if last else None,
        "attributes": values,
    }


def some_lines(seed: int) -> list[dict]:
    """Lines of some thirty customers over nine months, with returns, discounts, postage, repeats, guests, missing words."""
    rng, lines = random.Random(seed), []
    for order in range(220):
        customer = rng.choice([*(f"c{n:02}" for n in range(30)), None])
        moment = at("2023-06-01") + timedelta(days=rng.randrange(280), minutes=rng.randrange(1440))
        code = rng.choice(["", "", "", "", "C"])
        lines += [
            line(
                f"{code}{order}",
                customer,
                (moment + timedelta(days=rng.randrange(2))).isoformat()[:19],
                rng.choice(["a", "A ", "B", "e", "POST", "D", None]),
                rng.choice([-1, 1, 1, 2, 12]),
                rng.choice(["0", "0.3333", "2.5", "19.99"]),
                discount_amount=rng.choice([None, Decimal("0.25")]),
                country=rng.choice(["France", "Spain", None]),
                category=rng.choice(["x", None]),
            )
            for _ in range(rng.randrange(1, 6))
        ]
    return lines + lines[:5]


KNOWN = {
    "order_lines": some_lines(1),
    "products": [{"product_id": "b", "category": "y"}, {"product_id": "E", "category": "x"}],
    "events": [
        # One session of a single day, one of a single view, one over the moment's midnight in New York, one without a name.
        event("2024-01-20 15:00", "view", "ann", "s1"),
        event("2024-01-20 15:01", "cart", "ann", "s1"),
        event("2024-01-20 15:02:30", "purchase", "ann", "s1"),
        event("2023-12-01 15:00", "view", "ann", "s2"),
        event("2024-02-01 04:50", "view", "ann", "s3"),
        event("2024-02-01 04:52", "view", "ann", "s3"),
        event("2024-02-01 05:10", "purchase", "ann", "s3"),
        event("2024-02-01 04:40", "view", "bob", None),
        event("2024-02-01 05:05", "cart", "bob", None),
        event("2024-02-01 15:00", "view", "late", "s4"),
    ],
    "customers": [
        {"customer_id": "dee", "signed_up_at": at("2024-02-01 04:59"), "attributes": '{"tier": "gold", "age": 31}'},
        {"customer_id": "eve", "signed_up_at": at("2024-02-01 05:00"), "attributes": '{"tier": "iron"}'},
        {"customer_id": "fay", "attributes": '{"tier": null, "vip": true}'},
    ],
    "customer_activity": [
        held("dee", "2024-01-01 05:00", "2024-02-01 05:00", '{"tier": "silver"}'),
        held("dee", "2024-02-01 05:00", None, '{"tier": "gold"}'),
        held("fay", "2023-01-01", "2023-06-01", '{"level": 1.5}'),
        held("fay", "2023-06-01", "2023-09-01", '{"level": 2.5}'),
        held("gus", "2024-03-01", None, '{"level": 9}'),
        held("hal", "2024-01-01", None, "no object"),
    ],
    "labels": [{"customer_id": "c02", "label": 1, "labelled_at": at("2024-01-05")}, {"customer_id": "c01", "label": 0}],
}


def after(rows: list[dict], column: str) -> tuple[list[dict], list[dict]]:
    """Rows before the shop's midnight of the moment, and the others."""
    midnight = at("2024-02-01 05:00")
    return [row for row in rows if row[column] < midnight], [row for row in rows if row[column] >= midnight]


def with_another_future(known: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """All that is dated before the moment as it was; all that comes after it different, and more of it."""
    lines, later = after(known["order_lines"], "ordered_at")
    changed = [
        {**row, "quantity": row["quantity"] + 7, "product_id": "NEW", "country": "Atlantis"} for row in later[1:]
    ]
    # Orders that began before go on, come back and are taken by others; a customer comes whom nobody knew.
    for row in lines[:60]:
        for more in ({"quantity": Decimal(-9)}, {"quantity": Decimal(9), "category": "z"}, {"customer_id": "aaa"}):
            changed.append({**row, "ordered_at": at("2024-02-01 05:00") + timedelta(days=len(changed) % 50), **more})
    visits, _ = after(known["events"], "occurred_at")
    # Every session goes on after the moment, with another customer first by name, and everybody comes again.
    visits += [event(f"2024-02-0{1 + n} 05:30", "purchase", "aaa", f"s{n}") for n in (1, 2, 3)]
    visits += [event("2024-02-01 05:00", "view", "bob", None), event("2024-02-01 05:20", "purchase", "bob", None)]
    visits += [event("2024-02-09 15:00", "cart", who, "s9") for who in ("ann", "zoe")]
    profiles = [row if row["customer_id"] != "eve" else {**row, "customer_id": "eva"} for row in known["customers"]]
    return {**known, "order_lines": lines + changed, "events": visits, "customers": profiles}


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("shop"), KNOWN)
    yield shop
    shop.connection.close()


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("other"), with_another_future(KNOWN))
    yield shop
    shop.connection.close()


def of(table: pa.Table, customer: str) -> dict:
    (row,) = [row for row in table.to_pylist() if row["customer_id"] == customer]
    return row


def test_the_table_is_what_the_history_says(shop):
    """customer_features holds one moment, the day after the last day with an order, and every customer known then."""
    last = shop.connection.execute("select max(ordered_on), min(ordered_on) from core.order_lines").fetchone()
    assert (shop.history.last_day, shop.history.first_day) == last
    found = shop.connection.execute("select * from features.customer_features order by 1, 2").to_arrow_table()
    assert found.equals(shop.history.features([last[0] + timedelta(days=1)]))
    known = {row["customer_id"] for row in KNOWN["order_lines"] if row["customer_id"]}
    assert set(found["customer_id"].to_pylist()) == known | {"ann", "bob", "late", "dee", "eve", "fay"}


def test_the_future_moves_no_feature(shop, other):
    """Lines, events and profiles after the moment are changed, added, taken away: not one digit at the moment moves."""
    assert other.history.features([MOMENT]).equals(shop.history.features([MOMENT]))
    later = [MOMENT + timedelta(days=20)]
    assert not other.history.features(later).equals(shop.history.features(later))


def test_lines_from_memory_give_the_batchs_numbers(shop):
    """Raw lines, and the lines of core, handed in from memory: every feature to 1e-9, most to the last digit."""
    history = shop.history
    moment = history.last_day + timedelta(days=1)
    batch = {row["customer_id"]: row for row in history.features([moment]).to_pylist()}
    raw = rows_of("order_lines", random.Random(2).sample(KNOWN["order_lines"], len(KNOWN["order_lines"])))
    core = shop.connection.execute("select * from core.order_lines order by hash(order_line_id)").to_arrow_table()
    rest = {name: f"core.{name}" for name in ("events", "sessions", "customers")}
    with connect(threads=1) as memory:
        sql = definitions(shop.connection)
        from_raw = features_of_lines(memory, sql, raw, moment, {"catalogue": history.catalogue()})
    from_core = compute(shop.connection, sql["customer_features"], {**rest, "order_lines": core}, [moment])
    assert {row["customer_id"]: row for row in from_core.to_pylist()} == batch
    assert from_raw.num_rows == len({row["customer_id"] for row in KNOWN["order_lines"]} - {None})
    for row in from_raw.to_pylist():
        assert row == pytest.approx(batch[row["customer_id"]], abs=1e-9)


def test_sums_are_those_of_core(shop):
    """At the end of the record, sums are those of core.customers, where no order is shared; counts are those of a plain query."""
    found = shop.connection.execute("""
        with plain as (
            select customer_id,
                count(distinct order_id) filter (line_kind = 'sale') as n_orders,
                count(distinct ordered_on) filter (line_kind = 'sale') as n_order_days,
                count(distinct product_id) filter (line_kind = 'sale') as n_products,
                count(distinct category) filter (line_kind = 'sale') as n_categories,
                count(distinct order_id) filter (line_kind in ('cancellation', 'return')) as n_cancellations,
                date_diff('day', max(ordered_on) filter (line_kind = 'sale'), (select max(ordered_on) + 1 from core.order_lines))
                    as days_since_last_order
            from core.order_lines where customer_id is not null group by all
        )
        select count(*), count(*) filter (
            (p.n_orders, p.n_order_days, p.n_products, p.n_categories, p.n_cancellations)
            is distinct from (f.n_orders, f.n_order_days, f.n_products, f.n_categories, f.n_cancellations)
            or p.days_since_last_order is distinct from f.days_since_last_order
            or c.net_sales::double <> f.net_sales or c.gross_sales::double <> f.gross_sales
        )
        from plain p join features.customer_features f using (customer_id) join core.customers c using (customer_id)
    """).fetchone()
    assert found == (30, 0)


def test_a_session_over_the_moment_counts_with_what_was_before_it(shop):
    """Ann's third visit begins ten minutes before midnight: two views, no purchase yet; later its purchase counts."""
    before = of(shop.history.features([MOMENT]), "ann")
    names = ("n_sessions", "n_sessions_30d", "n_sessions_90d", "n_views", "n_carts", "n_purchase_events")
    assert [before[name] for name in names] == [3, 2, 3, 4, 1, 1]
    assert before["days_since_last_session"] == 1
    assert before["session_conversion"] == pytest.approx(1 / 3)
    assert before["bounce_rate"] == pytest.approx(1 / 3)
    assert before["cart_rate"] == 0.25
    assert before["seconds_per_session"] == pytest.approx((150 + 0 + 120) / 3)
    later = of(shop.history.features([MOMENT + timedelta(days=1)]), "ann")
    assert [later[name] for name in ("n_sessions", "n_purchase_events", "session_conversion")] == [
        3,
        2,
        pytest.approx(2 / 3),
    ]
    assert later["seconds_per_session"] == pytest.approx((150 + 0 + 1200) / 3)
    assert later["days_since_last_session"] == 2


def test_a_session_made_of_silences_is_cut_alike(shop):
    """Bob's unnamed visit over midnight is one view before it, a bounce as far as anybody knows, and no bounce the day after."""
    seen = [of(shop.history.features([MOMENT + timedelta(days=n)]), "bob") for n in (0, 1)]
    assert [(row["n_sessions"], row["n_carts"], row["bounce_rate"], row["seconds_per_session"]) for row in seen] == [
        (1, 0, 1.0, 0.0),
        (1, 1, 0.0, 1500.0),
    ]


def test_who_comes_after_the_moment_is_absent(shop):
    """A visitor and a member of the moment's own day are not known before it; a member of the minute before is."""
    known = set(shop.history.features([MOMENT])["customer_id"].to_pylist())
    assert {"dee", "fay", "ann", "bob"} <= known
    assert not {"late", "eve"} & known
    firsts = {}
    for row in KNOWN["order_lines"]:
        firsts[row["customer_id"]] = min(firsts.get(row["customer_id"], row["ordered_at"]), row["ordered_at"])
    early = date(2023, 6, 20)
    expected = {who for who, first in firsts.items() if who and first < at("2023-06-20 04:00")}
    assert set(shop.history.features([early])["customer_id"].to_pylist()) == expected | {"fay"}


def test_moments_may_stand_twice_and_in_any_order(shop):
    """Several moments give what each gives alone, sorted by customer and moment; none gives no row."""
    moments = [date(2023, 9, 1), MOMENT, date(2023, 7, 1), MOMENT]
    alone = [row for moment in set(moments) for row in shop.history.features([moment]).to_pylist()]
    assert shop.history.features(moments).to_pylist() == sorted(
        alone, key=lambda row: (row["customer_id"], row["as_of"])
    )
    assert shop.history.features([]).num_rows == 0


def test_outcomes_are_what_a_plain_query_says(shop):
    """From the moment's own day on, the days asked for and no more, for those who were known."""
    moments = [date(2023, 9, 1), date(2023, 12, 1)]
    found = shop.history.outcomes(moments, 14)
    assert found.select(["customer_id", "as_of"]).equals(
        shop.history.features(moments).select(["customer_id", "as_of"])
    )
    for row in found.to_pylist():
        plain = shop.connection.execute(
            """
            with firsts as (
                select order_id, min(ordered_on) as first_on from core.order_lines
                where customer_id = $who and line_kind = 'sale' group by all
            )
            select (select count(*) from firsts where first_on >= $day and first_on < $day + 14),
                count(distinct ordered_on) filter (line_kind = 'sale'),
                coalesce(sum(gross_amount) filter (line_kind = 'sale'), 0)::double,
                coalesce(sum(net_amount) filter (line_kind in ('sale', 'discount', 'cancellation', 'return')), 0)::double,
                min(ordered_on) filter (line_kind = 'sale') - $day
            from core.order_lines where customer_id = $who and ordered_on >= $day and ordered_on < $day + 14
            """,
            {"who": row["customer_id"], "day": row["as_of"]},
        ).fetchone()
        assert tuple(row.values())[2:] == plain, row


def test_order_days_are_days_with_a_sale(shop):
    """One row per customer and such day; their number is that of the features."""
    days = shop.history.order_days()
    assert days.schema.names == ["customer_id", "ordered_on", "n_orders", "gross_sales", "net_sales"]
    assert min(days["n_orders"].to_pylist()) >= 1
    counted = {}
    for row in days.to_pylist():
        counted[row["customer_id"]] = counted.get(row["customer_id"], 0) + 1
    features = shop.history.features([shop.history.last_day + timedelta(days=1)]).to_pylist()
    assert counted == {row["customer_id"]: row["n_order_days"] for row in features if row["n_order_days"]}
    assert days.equals(days.sort_by([("customer_id", "ascending"), ("ordered_on", "ascending")]))


def test_attributes_are_those_that_held(shop):
    """What holds as the day begins, else what held last; the profile where activity says nothing; no row for a null."""
    eve = date(2024, 2, 2)
    assert [tuple(row.values()) for row in shop.history.attributes([MOMENT, eve]).to_pylist()] == [
        ("dee", MOMENT, "age", "31"),
        ("dee", MOMENT, "tier", "gold"),
        ("dee", eve, "age", "31"),
        ("dee", eve, "tier", "gold"),
        ("eve", eve, "tier", "iron"),
        ("fay", MOMENT, "level", "2.5"),
        ("fay", MOMENT, "vip", "true"),
        ("fay", eve, "level", "2.5"),
        ("fay", eve, "vip", "true"),
    ]
    before = shop.history.attributes([date(2024, 1, 31), date(2023, 7, 1)]).to_pylist()
    assert ("dee", date(2024, 1, 31), "tier", "silver") in [tuple(row.values()) for row in before]
    assert ("fay", date(2023, 7, 1), "level", "2.5") in [tuple(row.values()) for row in before]
    assert "dee" not in {row["customer_id"] for row in before if row["as_of"] == date(2023, 7, 1)}


def test_labels_are_sorted(shop):
    """By customer, with the moment they became known."""
    found = shop.history.labels().to_pylist()
    assert [(row["customer_id"], row["label"], row["labelled_at"] is None) for row in found] == [
        ("c01", 0, True),
        ("c02", 1, False),
    ]


def test_a_published_version_has_the_same_past(shop, tmp_path):
    """The history over a published version, which may neither write nor read files, gives the same rows."""
    shop.connection.close()
    version = Published(tmp_path / "published", keep=1)
    version.publish(shop.warehouse.path, build_id="one", lake_versions={})
    shop.connection = connect(shop.warehouse.path, read_only=True, threads=2)
    shop.history = ShopHistory(shop.connection)
    with version.open() as connection:
        history = ShopHistory(connection)
        assert history.last_day == shop.history.last_day
        assert history.features([MOMENT]).equals(shop.history.features([MOMENT]))
        assert history.outcomes([MOMENT], 9).equals(shop.history.outcomes([MOMENT], 9))
        assert history.attributes([MOMENT]).equals(shop.history.attributes([MOMENT]))
        assert history.labels().equals(shop.history.labels())


def test_where_orders_are_purchase_events(tmp_path):
    """A session's purchases are one order, repeats left out; the last day is that of the last purchase."""
    bought = event("2024-01-02 15:00", "purchase", "ann", "s1", "10", quantity=Decimal(2), category_code="x")
    events = [
        bought,
        bought,
        event("2024-01-02 15:05", "purchase", "ann", "s1", "5", category_code="y"),
        event("2024-01-04 03:00", "purchase", "ann", None, "7"),
        event("2024-01-09 15:00", "view", "bob", "s2"),
    ]
    shop = Shop(
        tmp_path, {"events": events, "order_lines": [line("1", "cy", "2024-03-01 15:00")]}, orders_from="events"
    )
    with shop.connection:
        assert (shop.history.first_day, shop.history.last_day) == (date(2024, 1, 2), date(2024, 1, 3))
        rows = shop.history.features([date(2024, 1, 4), date(2024, 1, 10)])
        last = [row for row in rows.to_pylist() if row["as_of"] == date(2024, 1, 10)]
        assert [(row["customer_id"], row["n_orders"], row["gross_sales"], row["n_units"]) for row in last] == [
            ("ann", 2, 32.0, 4.0),
            ("bob", 0, 0.0, 0.0),
        ]
        assert (last[0]["n_categories"], last[0]["main_category"], last[0]["n_purchase_events"]) == (2, "x", 3)
        assert shop.connection.execute("select customer_id, as_of from features.customer_features").fetchall() == [
            ("ann", date(2024, 1, 4))
        ]
        assert [row["n_orders"] for row in shop.history.order_days().to_pylist()] == [1, 1]


@pytest.mark.parametrize(("preset", "source"), [("rees46_events", "events"), ("uci_online_retail", "order_lines")])
def test_a_preset_says_what_orders_are_made_of(tmp_path, preset, source):
    """The export of clicks takes its orders from events; dbt is told what the settings say."""
    write_project(tmp_path, preset=preset, path="sent")
    assert variables(load(tmp_path, environment={}))["orders_from"] == source


def test_a_shop_without_orders(tmp_path):
    """No order: no day, no moment, an empty table, and no row of whatever is asked."""
    shop = Shop(tmp_path, {"customers": [{"customer_id": "ann"}]})
    with shop.connection:
        assert (shop.history.first_day, shop.history.last_day) == (None, None)
        assert shop.connection.execute("select count(*) from features.customer_features").fetchone() == (0,)
        assert shop.history.features([MOMENT])["customer_id"].to_pylist() == ["ann"]
        assert shop.history.order_days().num_rows == shop.history.labels().num_rows == 0
        assert shop.history.attributes([MOMENT]).num_rows == 0
