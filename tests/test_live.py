"""Live numbers equal a recount of what was sent, before and after each version, each event once."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from shopkeeper.assembly import assemble
from shopkeeper.errors import UsageError
from shopkeeper.serving import Live
from shopkeeper.serving.seen import Seen, numbers_of

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(name="parts")
def _parts(tmp_path):
    (tmp_path / "shopkeeper.toml").write_text('[shop]\nname = "live"\ncurrency = "EUR"\n', "utf-8")
    parts = assemble(tmp_path)
    yield parts
    parts.collector.close()


@pytest.fixture(name="live")
def _live(parts):
    live = Live(parts.published, parts.log, minutes=30, clock=lambda: int(NOW.timestamp() * 1e6))
    yield live
    live.stop()


def send(parts, *events):
    """Send events as one request."""
    asyncio.run(parts.collector.events(json.dumps(list(events)).encode()))


def event(event_id, kind="view", minutes_ago=1.0, **more):
    """An event so many minutes ago."""
    at = (NOW - timedelta(minutes=minutes_ago)).isoformat()
    return {"event_id": event_id, "event_type": kind, "occurred_at": at, **more}


def counts(live, **asked):
    """Events by type."""
    live.refresh()
    return live.numbers(**asked)["events"]


def publish(parts, run_shop):
    """Load what the log holds, and publish it."""
    parts.loader().once()
    return run_shop(parts)


def test_an_event_counts_once_wherever_it_is(parts, live, run_shop):
    """In the log, in the log and the lake, in the version; sent again before and after; weeks later, too."""
    send(parts, event("a"), event("b", "cart"), event("a"))
    assert counts(live) == {"view": 1, "cart": 1}
    parts.loader().once()
    assert counts(live) == {"view": 1, "cart": 1}
    publish(parts, run_shop)
    assert counts(live) == {"view": 1, "cart": 1}
    assert live.numbers()["version"] == 1
    send(parts, event("a"), event("b", "cart"), event("c"))
    assert counts(live) == {"view": 2, "cart": 1}
    parts.loader().once()
    again = Live(parts.published, parts.log, minutes=30, clock=live.clock)
    assert counts(again) == {"view": 2, "cart": 1}
    again.stop()


def test_an_old_id_without_a_moment_is_known_from_the_version(parts, live, run_shop):
    """It was published long before the window; sent again without a moment, it happened then."""
    send(parts, event("old", minutes_ago=40 * 1440))
    publish(parts, run_shop)
    send(parts, {"event_id": "old", "event_type": "view"}, event("new"))
    assert counts(live) == {"view": 1}


def test_a_window_ends_where_it_says(parts, live):
    """Only whole minutes between from and to; late events outside of it do not count; future ones wait."""
    send(parts, event("now", minutes_ago=0), event("edge", minutes_ago=4), event("out", minutes_ago=5))
    send(parts, event("late", minutes_ago=60), event("soon", minutes_ago=-2))
    assert counts(live, minutes=5)["view"] == 2
    told = live.numbers(minutes=5)
    assert datetime.fromisoformat(told["to"]) - datetime.fromisoformat(told["from"]) == timedelta(minutes=5)
    assert counts(live)["view"] == 3
    live.clock = lambda: int((NOW + timedelta(minutes=3)).timestamp() * 1e6)
    assert counts(live, minutes=5)["view"] == 2
    live.clock = lambda: int((NOW + timedelta(minutes=40)).timestamp() * 1e6)
    assert counts(live) == {}


def test_money_is_that_of_the_warehouse(parts, live, run_shop):
    """Revenue of purchases by product, rounded as core.events rounds; the same before and after publishing."""
    send(
        parts,
        event("p1", "Purchase ", product_id=" mug", unit_price="0.3333", quantity="0.5"),
        event(
            "p2", "purchase", products=[{"product_id": "MUG", "unit_price": 7.5, "quantity": 2}, {"product_id": "tea"}]
        ),
        event("p3", "purchase", product_id="x", unit_price="-0.0001", quantity="0.5"),
        event("v", "view", product_id="mug", unit_price=100),
    )
    live.refresh()
    before = live.numbers()
    assert before["revenue"] == pytest.approx(15.1666)
    first = before["top_products"][0]
    assert (first["product_id"], first["revenue"], first["n_events"]) == ("MUG", 15.1667, 3)
    publish(parts, run_shop)
    live.refresh()
    after = live.numbers()
    for name in ("events", "revenue", "top_products", "minutes"):
        assert before[name] == after[name], name


def test_lines_and_stock_follow(parts, live, run_shop):
    """Order lines and movements count once, too: repeated requests, before and after a version, and on top of it."""
    at = (NOW - timedelta(minutes=1)).isoformat()
    line = {"order_id": "o", "product_id": "mug", "quantity": 2, "unit_price": 7.5, "ordered_at": at}
    moved = {"product_id": "mug", "store_id": "S1", "quantity": 40, "moved_at": at}

    def deliver():
        asyncio.run(parts.collector.order_lines(json.dumps([line, line]).encode()))
        asyncio.run(parts.collector.inventory_movements(json.dumps([moved, {**moved, "quantity": -2}]).encode()))

    def told():
        live.refresh()
        (shelf,) = live.stock("MUG")
        lines = live.numbers()["order_lines"]
        return lines["n_lines"], lines["net_amount"], shelf["on_hand"], len(live.stock())

    deliver()
    deliver()
    assert told() == (2, 30.0, 38.0, 1)
    publish(parts, run_shop)
    assert told() == (2, 30.0, 38.0, 0)
    deliver()
    asyncio.run(parts.collector.inventory_movements(json.dumps([{**moved, "quantity": -1}]).encode()))
    assert told() == (2, 30.0, 37.0, 1)
    publish(parts, run_shop)
    assert told() == (2, 30.0, 37.0, 0)
    with parts.published.open() as connection:
        assert connection.execute("select on_hand from core.inventory_levels").fetchall() == [(37,)]


def test_a_rollback_takes_live_with_it(parts, live, run_shop):
    """Back on an earlier version, what came since is counted from the log again: the numbers stay."""
    send(parts, event("a"))
    publish(parts, run_shop)
    send(parts, event("b"))
    publish(parts, run_shop)
    assert counts(live) == {"view": 2}
    parts.published.rollback()
    assert counts(live) == {"view": 2}
    assert live.numbers()["version"] == 1


def test_trouble_is_told_and_passes(parts, live, monkeypatch):
    """While the log cannot be read, the numbers stay and say why; then they go on."""
    from shopkeeper.errors import StorageError

    send(parts, event("a"))
    live.refresh()

    def refuse():
        raise StorageError("the event log must be readable; it is locked. Wait.")

    monkeypatch.setattr(parts.log, "identity", refuse)
    live.start()
    while not live.trouble:
        pass
    assert live.numbers()["trouble"].startswith("the event log")
    assert live.numbers()["events"] == {"view": 1}
    monkeypatch.undo()
    while live.trouble:
        pass
    live.stop()


@pytest.mark.parametrize("asked", [{"minutes": 0}, {"minutes": 31}, {"top": -1}, {"top": 1001}])
def test_what_is_not_kept_is_refused(live, asked):
    """Spans and lists have limits."""
    with pytest.raises(UsageError):
        live.numbers(**asked)


def test_seen_is_a_set_that_forgets_the_oldest():
    """Equal to a Python set while it is small; bounded by its slots for ever; known ids are never new."""
    chance = np.random.default_rng(1)
    known = np.sort(chance.integers(0, 2**63, 100, dtype=np.uint64))
    seen, truth = Seen(1 << 12, known=known), set(known.tolist())
    for _ in range(20):
        numbers = chance.choice(np.concatenate((known, np.arange(1500, dtype=np.uint64) * np.uint64(1 << 12))), 200)
        numbers = np.where(numbers == 0, np.uint64(1), numbers)
        fresh = seen.add(numbers)
        for number, is_new in zip(numbers.tolist(), fresh.tolist(), strict=True):
            assert is_new == (number not in truth)
            truth.add(number)
    for start in range(0, 50_000, 1000):
        assert seen.add(np.arange(10**6 + start, 10**6 + start + 1000, dtype=np.uint64)).all()
    assert not seen.add(np.arange(10**6 + 48_000, 10**6 + 50_000, dtype=np.uint64)).any()
    assert sum(int((table != 0).sum()) for table in seen.tables) <= 2 * 0.67 * (1 << 12) + 1


def test_numbers_of_ids_are_those_of_the_version(parts, run_shop):
    """The md5 half that Python makes is the one that a version keeps."""
    ids = ["a", "é", "\U0001f600", "x" * 500, "id with ' and \" and \\"]
    send(parts, *[event(each) for each in ids])
    version = publish(parts, run_shop).version
    assert set(parts.published.known_ids("events", version.number).tolist()) == set(numbers_of(ids).tolist())
    assert len(parts.published.known_ids("order_lines", version.number)) == 0
