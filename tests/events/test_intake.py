"""Any JSON becomes rows and rejects, and nothing else; what is accepted is exactly what was said."""

import json
import os
from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shopkeeper import vocabulary as v
from shopkeeper.errors import ContractError, TooLargeError
from shopkeeper.events.intake import MOST_THINGS, sort_events, sort_rows, things
from shopkeeper.events.segment import TYPES, event_of

NOW = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp() * 1e6)
VIEW = {"event_id": "e1", "event_type": "view", "occurred_at": "2026-11-22T11:00:00Z", "product_id": "P1"}


def sort(*events, normalise=None):
    """Sort events as the collector does."""
    found = things(json.dumps(list(events)).encode(), "events")
    return sort_events(found, NOW, os.urandom, normalise) if normalise else sort_events(found, NOW, os.urandom)


def column(done, name):
    """A column of the rows, nulls where it is left out."""
    return done.columns.get(name, [None] * done.n_rows)


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.just("2026-11-22T11:00:00Z"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    (
        *("event_id", "event_type", "occurred_at", "customer_id", "product_id", "unit_price", "price", "quantity"),
        *(
            "currency",
            "products",
            "order_id",
            "ordered_at",
            "moved_at",
            "discount_amount",
            "type",
            "properties",
            "messageId",
        ),
    )
)
ANY_THING = ANY_JSON | st.dictionaries(FIELDS, ANY_JSON, max_size=6)


@settings(max_examples=300, deadline=None)
@given(st.lists(ANY_THING, min_size=1, max_size=5))
def test_any_json_is_sorted(sent):
    """No exception; accepted + rejected = sent; what is packed is JSON; each reject says a rule."""
    body = json.dumps(sent).encode()
    try:
        found = things(body, "events")
    except ContractError:
        return  # NaN, which JSON does not have
    every = (
        sort_events(found, NOW, os.urandom),
        sort_events(found, NOW, os.urandom, event_of),
        sort_rows(v.ORDER_LINES, found, NOW),
        sort_rows(v.INVENTORY_MOVEMENTS, found, NOW),
    )
    for done in every:
        rows, rejects = done.packed()
        assert done.n_things == len(found)
        assert len(orjson.loads(rejects)) == len(done.rejects)
        assert all(each.rule and 0 <= each.index < len(found) for each in done.rejects)
        assert {len(values) for values in orjson.loads(rows).values()} <= {done.n_rows}
        if done.kind == v.EVENTS:
            assert len(done.ids) + len(done.rejects) == len(found)
            assert len(set(done.columns.get("event_id", []))) <= done.n_rows


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=50) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_json_or_malformed(body):
    """Bytes that are no JSON raise ContractError and nothing else."""
    try:
        found = things(body, "events")
    except ContractError:
        return
    sort_events(found, NOW, os.urandom).packed()


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("event_type", None, "must not be missing"),
        ("event_type", "  ", "must not be missing"),
        ("event_type", 3, "text"),
        ("event_type", ["view"], "text"),
        ("customer_id", True, "text"),
        ("customer_id", {"id": 1}, "text"),
        ("product_id", "P\x00", "U+0000"),
        ("product_id", "x" * 501, "500 characters"),
        ("customer_id", "\ud800", "Unicode"),
        ("occurred_at", "1970-01-01T00:00:00Z", "2000-01-01"),
        ("occurred_at", 0, "2000-01-01"),
        ("occurred_at", "2099-01-01T00:00:00Z", "one day after"),
        ("occurred_at", "2026-11-23T12:00:01Z", "one day after"),
        ("occurred_at", "2026-11-22T11:00:00", "with its zone"),
        ("occurred_at", "yesterday", "ISO 8601"),
        ("occurred_at", "9999-12-31T23:59:59-23:59", ""),
        ("occurred_at", 1e300, "2000-01-01"),
        ("unit_price", "12.34567", "4 decimals"),
        ("unit_price", 0.00001, "4 decimals"),
        ("unit_price", 1e300, "4 decimals"),
        ("unit_price", "1e999999999", "4 decimals"),
        ("unit_price", "NaN", "4 decimals"),
        ("unit_price", 10**18, "18 digits"),
        ("unit_price", "12,34", "4 decimals"),
        ("quantity", 0.0001, "3 decimals"),
        ("currency", "euro", "ISO 4217"),
        ("event_id", "a#2", "#"),
        ("products", "P1", "list"),
        ("products", [1], "JSON object"),
        ("products", [{"unit_price": "x"}], "4 decimals"),
    ],
)
def test_what_breaks_a_rule_is_told(field, value, rule):
    """One bad event of three is rejected with its field, rule and value; the two others are taken."""
    done = sort(VIEW, {**VIEW, "event_id": "e2", field: value}, {**VIEW, "event_id": "e3"})
    (reject,) = done.rejects
    assert (reject.index, reject.field.split(".")[-1].split("[")[0]) in {(1, field), (1, "unit_price")}
    assert rule in reject.rule
    assert done.ids == ["e1", "e3"]
    assert column(done, "event_id") == ["e1", "e3"]


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        ("2026-11-22T11:00:00Z", 1795345200000000),
        ("2026-11-22T12:00:00.123456+01:00", 1795345200123456),
        (1795345200123, 1795345200123000),
        (None, NOW),
    ],
)
def test_moments(value, micros):
    """ISO 8601 with a zone, or milliseconds; none: the moment of receipt."""
    assert column(sort({**VIEW, "occurred_at": value}), "occurred_at") == [micros]


@settings(max_examples=300)
@example(Decimal("1505362837977.8590"))
@given(st.decimals(-(10**13), 10**13, places=4))
def test_numbers_lose_nothing(price):
    """A price as text is kept exactly; as a JSON number, as exactly as its digits say."""
    units = int(price * 10_000)
    assert column(sort({**VIEW, "unit_price": str(price)}), "price") == [units or 0]
    shown = repr(float(price))
    if Decimal(shown) == price:
        assert column(sort({**VIEW, "unit_price": float(price)}), "price") == [units or 0]


def test_products_are_rows():
    """An event with a products list gives a row for each; the first has the event's id, the others #2, #3."""
    products = [{"product_id": "a", "unit_price": 1.5, "quantity": 2}, {"product_id": 7, "currency": "usd"}, {}]
    done = sort({**VIEW, "event_type": "purchase", "order_id": "o1", "currency": "EUR", "products": products})
    assert done.ids == ["e1"]
    assert column(done, "event_id") == ["e1", "e1#2", "e1#3"]
    assert column(done, "product_id") == ["a", "7", None]
    assert column(done, "price") == [15000, None, None]
    assert column(done, "currency") == ["EUR", "USD", "EUR"]
    assert column(done, "order_id") == ["o1"] * 3


def test_made_ids_are_uuids_of_their_moment():
    """Events without an id get UUIDs of version 7, all different."""
    done = sort(*[{"event_type": "view"}] * 1000)
    assert len(set(done.ids)) == 1000
    assert {(each[14], each[19] in "89ab", each[:8]) for each in done.ids} == {
        ("7", True, f"{NOW // 1000:012x}"[:8]),
    }


def test_movements_without_an_id_keep_theirs():
    """The same request gives the same ids again; equal movements in one request differ."""
    moved = {"product_id": "p", "quantity": -1, "moved_at": "2026-11-22T11:00:00Z"}
    first = sort_rows(v.INVENTORY_MOVEMENTS, [moved, moved], NOW)
    again = sort_rows(v.INVENTORY_MOVEMENTS, [dict(moved), dict(moved)], NOW + 5)
    assert first.ids == again.ids
    assert len(set(first.ids)) == 2


def test_too_much_is_refused_as_a_whole():
    """Over 10,000 things, or products lists that come to over 50,000 rows."""
    with pytest.raises(TooLargeError):
        things(b"[" + b"0," * MOST_THINGS + b"0]", "events")
    with pytest.raises(TooLargeError):
        sort(*[{**VIEW, "products": [{}] * 500}] * 101)


@pytest.mark.parametrize("depth", [200, 5000, 100_000])
def test_deep_nesting_harms_nothing(depth):
    """Deeply nested properties are ignored, or the request is malformed; a reject of it can be shown."""
    body = b'[{"event_type":1,"x":' + b"[" * depth + b"]" * depth + b"}]"
    try:
        done = sort_events(things(body, "events"), NOW, os.urandom)
    except ContractError:
        return
    assert len(done.rejects) == 1
    done.packed()


def test_one_lone_surrogate_spoils_one_event():
    """The quick parser refuses the whole body; the good events of it are taken all the same."""
    body = b'[{"event_type":"view","customer_id":"\\ud800"},{"event_type":"view","customer_id":"\\ud83d\\ude00"}]'
    done = sort_events(things(body, "events"), NOW, os.urandom)
    assert [each.index for each in done.rejects] == [0]
    assert column(done, "customer_id") == ["\U0001f600"]


SEGMENT = {"type": "track", "messageId": "m1", "userId": "u1", "anonymousId": "a1", "timestamp": "2026-11-22T11:00:00Z"}


@pytest.mark.parametrize("name", TYPES)
def test_segments_names_become_ours(name):
    """Each e-commerce event of Segment has its name here."""
    done = sort({**SEGMENT, "event": name.title(), "properties": {"sku": "S1", "price": 2}}, normalise=event_of)
    assert column(done, "event_type") == [TYPES[name]]
    assert (done.ids, column(done, "product_id"), column(done, "price")) == (["m1"], ["S1"], [20000])
    assert (column(done, "customer_id"), column(done, "anonymous_id")) == (["u1"], ["a1"])


def test_segments_orders_and_strangers():
    """Products of an order are rows; an order without them has its revenue; other names are kept; pages are events."""
    done = sort(
        {
            **SEGMENT,
            "event": "Order Completed",
            "properties": {"order_id": "o", "products": [{"sku": "x"}, {"sku": "y"}]},
        },
        {**SEGMENT, "event": "Order Completed", "properties": {"order_id": "o", "revenue": 25.5}},
        {**SEGMENT, "event": "Signed Up!"},
        {**SEGMENT, "type": "page", "name": "Home"},
        {**SEGMENT, "type": "teleport"},
        normalise=event_of,
    )
    assert column(done, "event_type") == ["purchase", "purchase", "purchase", "signed_up", "page"]
    assert column(done, "price") == [None, None, 255000, None, None]
    assert [(each.index, each.field) for each in done.rejects] == [(4, "type")]
