"""Duplicated, late and reordered events, with restarts between: the tables are those of what was sent, and so is live."""

import importlib.util
import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from shopkeeper.assembly import assemble
from shopkeeper.engine import connect
from shopkeeper.serving import Live

pytestmark = pytest.mark.slow
EVENTS = int(os.environ.get("SHOPKEEPER_EVENTS", "20000"))
"""Twenty thousand by default; a million in `make soak`."""
ROUNDS = 3
BATCH = 500
TYPES = ("view", "view", "view", "cart", "purchase", "search")

spec = importlib.util.spec_from_file_location("senders", Path(__file__).parents[1] / "events" / "senders.py")
senders = importlib.util.module_from_spec(spec)
spec.loader.exec_module(senders)


def deliveries(now, chance):
    """What is sent, in order: each event once, a fifth again (at once, or a round or two later), a tenth late, a
    twentieth out of order.
    """
    events = []
    for nth in range(EVENTS):
        is_late = chance.random() < 0.1
        ago = chance.uniform(86_400, 40 * 86_400) if is_late else (EVENTS - nth) / EVENTS * 1500
        events.append(
            {
                "event_id": f"e{nth}",
                "event_type": chance.choice(TYPES),
                "occurred_at": (now - timedelta(seconds=ago)).isoformat(),
                "customer_id": f"c{chance.randrange(500)}",
                "product_id": f"P{chance.randrange(100)}",
                "unit_price": chance.randrange(1, 10_000) / 100,
            }
        )
    places = []
    for nth in range(EVENTS):
        at = nth + (chance.uniform(-2000, 2000) if chance.random() < 0.05 else 0)
        places.append((at, nth))
        if chance.random() < 0.2:
            places.append((at + chance.choice((1, 50, EVENTS / 3, EVENTS * 2 / 3)), nth))
    return [events[nth] for _, nth in sorted(places)]


def recount(sent, now):
    """The live numbers, counted from what was sent."""
    last = int(now.timestamp()) // 60
    inside = [
        each
        for each in sent.values()
        if last - 30 < int(datetime.fromisoformat(each["occurred_at"]).timestamp()) // 60 <= last
    ]
    revenue = sum(round(each["unit_price"] * 100) for each in inside if each["event_type"] == "purchase")
    return dict(Counter(each["event_type"] for each in inside)), revenue / 100, len(inside)


def live_numbers(live):
    """The same of a Live."""
    live.refresh()
    told = live.numbers()
    return told["events"], told["revenue"], told["n_events"]


def test_late_duplicated_and_reordered_events(tmp_path, run_shop):
    """core.events and what was sent differ by nothing; live equals a recount before and after every publish."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shopkeeper.toml").write_text('[shop]\nname = "late"\n', "utf-8")
    now = datetime.now(UTC)
    everything = deliveries(now, random.Random(5))
    assert len(everything) > EVENTS * 1.15
    port = senders.free_port()
    running = senders.collector(folder, port, 0.5)
    sender = senders.Sender(port)
    parts = assemble(folder)
    live = Live(parts.published, parts.log, minutes=30, clock=lambda: int(now.timestamp() * 1e6))
    sent = {}
    step = -(-len(everything) // ROUNDS)
    for nth in range(ROUNDS):
        part = everything[nth * step : (nth + 1) * step]
        for start in range(0, len(part), BATCH):
            sender.send("/v1/events", part[start : start + BATCH])
            if start // BATCH == len(part) // BATCH // 2:
                running.kill()
                running.start()
        sent |= {each["event_id"]: each for each in part}
        assert live_numbers(live) == recount(sent, now)
        # What is published is what the lake holds by then; the rest of the log comes on top.
        version = run_shop(parts).version if parts.loader().once() else None
        assert version is not None
        assert live_numbers(live) == recount(sent, now)
        fresh = Live(parts.published, parts.log, minutes=30, clock=live.clock)
        assert live_numbers(fresh) == recount(sent, now)
        fresh.stop()
    running.stop()
    live.stop()
    with parts.published.open() as connection:
        found = connection.execute(
            "select event_id, event_type, occurred_at, customer_id, product_id, cast(price as double) as unit_price, "
            "has_conflict, is_duplicate from core.events"
        ).to_arrow_table()
    with connect() as connection:
        connection.register("found", found)
        connection.register("sent", pa.Table.from_pylist(list(sent.values())))
        columns = "customer_id, product_id, unit_price"
        said = f"select event_id, event_type, epoch_us(cast(occurred_at as timestamptz)), {columns} from sent"
        held = f"select event_id, event_type, epoch_us(occurred_at), {columns} from found"
        for one, other in ((said, held), (held, said)):
            assert connection.execute(f"{one} except all {other} limit 3").fetchall() == []
        assert connection.execute("select count(*) from found where has_conflict or is_duplicate").fetchone() == (0,)
    assert len(sent) == EVENTS
