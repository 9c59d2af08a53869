"""Kills at random moments of collector and loader under load: what was acknowledged is in the lake, and counts once."""

import importlib.util
import os
import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shopkeeper.assembly import assemble

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("SHOPKEEPER_COLLECTOR_KILLS", "6"))
"""Six by default; a hundred in `make soak`."""
SENDERS = 3
BATCH = 50

spec = importlib.util.spec_from_file_location("senders", Path(__file__).parents[1] / "events" / "senders.py")
senders = importlib.util.module_from_spec(spec)
spec.loader.exec_module(senders)


class Load:
    """Threads that send events, order lines and movements until told to stop, and remember what was acknowledged."""

    def __init__(self, port):
        self.stop = threading.Event()
        self.events, self.lines, self.moved = [], [], Counter()
        self.threads = [threading.Thread(target=self._send, args=(nth, senders.Sender(port))) for nth in range(SENDERS)]
        self.error = None
        for thread in self.threads:
            thread.start()

    def _send(self, nth, sender):
        chance = random.Random(nth)
        n = 0
        try:
            while not self.stop.is_set():
                n += 1
                now = datetime.now(UTC)
                events = [
                    {
                        "event_id": f"{nth}-{n}-{each}",
                        "event_type": chance.choice(("view", "cart", "purchase")),
                        "occurred_at": (now - timedelta(seconds=chance.uniform(0, 40 * 86400))).isoformat(),
                        "product_id": f"P{chance.randrange(50)}",
                        "unit_price": chance.randrange(10_000) / 100,
                    }
                    for each in range(BATCH)
                ]
                sender.send("/v1/events", events)
                self.events += [each["event_id"] for each in events]
                if n % 5 == 0:
                    sender.send("/v1/events", events)  # a tracker that never heard the answer
                lines = [
                    {
                        "order_id": f"{nth}-{n}",
                        "product_id": "P1",
                        "quantity": 1,
                        "unit_price": 2,
                        "ordered_at": now.isoformat(),
                    }
                ] * 2
                sender.send("/v1/order_lines", lines)
                self.lines.append(f"{nth}-{n}")
                moved = {"product_id": "P1", "store_id": f"S{nth}", "quantity": -n, "moved_at": now.isoformat()}
                sender.send("/v1/inventory_movements", [moved])
                self.moved[f"S{nth}"] -= n
        except BaseException as error:  # noqa: BLE001 - told by finish()
            self.error = error

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert self.error is None, self.error


def test_killed_anywhere(tmp_path, run_shop):
    """After SIGKILLs at random moments, each acknowledged event is in the lake and in core.events exactly once; lines and
    stock count once, too; the collector answers within five seconds of each start.
    """
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shopkeeper.toml").write_text(
        '[shop]\nname = "killed"\n[collector]\nkeep_minutes = 1\nlive_minutes = 1\n', "utf-8"
    )
    port = senders.free_port()
    chance = random.Random(KILLS)
    running = {"collector": senders.collector(folder, port), "loader": senders.loader(folder)}
    probe = senders.Sender(port)
    load = Load(port)
    restarts = []
    probe.send("/v1/events", [{"event_type": "probe"}])
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.1, 1.5))
        name = chance.choice(("collector", "loader", "both"))
        victims = list(running) if name == "both" else [name]
        for victim in victims:
            running[victim].kill()
        started = time.monotonic()
        for victim in victims:
            running[victim].start()
        if "collector" in victims:
            probe.send("/v1/events", [{"event_type": "probe"}])
            restarts.append(time.monotonic() - started)
    load.finish()
    for each in running.values():
        each.stop()
    parts = assemble(folder)
    parts.loader().once()
    lake = Counter(parts.lake.read("events")["event_id"].to_pylist())
    assert [each for each in load.events if not lake[each]] == []
    run_shop(parts)
    rows = parts.serving.query("select event_id from events where event_type <> 'probe'").rows
    assert Counter(each for (each,) in rows) == Counter(load.events)
    lines = parts.serving.query("select order_id, count(*) from order_lines group by order_id").rows
    assert dict(lines) == dict.fromkeys(load.lines, 2)
    levels = parts.serving.query("select store_id, on_hand from inventory_levels").rows
    assert {store: int(level) for store, level in levels} == dict(load.moved)
    assert [row for row in parts.serving.ledger().rows if row[-1] != 0] == []
    assert max(restarts, default=0) <= 5
