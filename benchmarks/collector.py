"""The collector: events a second on disk and how long a request waits, against a handler that reads the body and does
nothing, in the same run; then a steady rate with loader and live numbers beside it: delay until visible, memory.

    python benchmarks/collector.py [--seconds 30] [--rate 10000] [--steady 60]

One worker, the load generator beside it. Prints a Markdown table, then one line per ten seconds of the steady part.
"""

import argparse
import asyncio
import importlib.util
import json
import os
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
BATCH = 100
CONNECTIONS = 8

spec = importlib.util.spec_from_file_location("senders", ROOT / "tests" / "events" / "senders.py")
senders = importlib.util.module_from_spec(spec)
spec.loader.exec_module(senders)

EVENT = (
    '{"event_id":"%s-%d","event_type":"%s","occurred_at":"%s","customer_id":"c%d","session_id":"s%d","product_id":"P%d",'
    '"unit_price":%d.99,"quantity":1,"currency":"EUR"}'
)


@dataclass
class Client:
    """One keep-alive connection that posts and reads answers, with as little work as possible beside the server."""

    port: int
    name: str
    n: int = 0
    latencies: list[float] = field(default_factory=list)

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    def body(self) -> bytes:
        at = datetime.now(UTC).isoformat()
        first, self.n = self.n, self.n + BATCH
        kind = ("view", "view", "view", "cart", "purchase")
        events = (
            EVENT % (self.name, each, kind[each % 5], at, each % 9973, each % 4999, each % 2000, each % 50)
            for each in range(first, first + BATCH)
        )
        return b"[" + ",".join(events).encode() + b"]"

    async def post(self, path: str, body: bytes) -> None:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        started = time.perf_counter()
        self.writer.write(head.encode() + body)
        told = await self.reader.readuntil(b"\r\n\r\n")
        length = int(told.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await self.reader.readexactly(length)
        self.latencies.append(time.perf_counter() - started)
        assert told[9:11] == b"20", told


def told(latencies: list[float], seconds: float) -> tuple[float, float, float]:
    """Requests a second, p50 and p99 in milliseconds."""
    ranked = sorted(latencies)
    return len(ranked) / seconds, ranked[len(ranked) // 2] * 1e3, ranked[int(len(ranked) * 0.99)] * 1e3


async def flat_out(port: int, path: str, seconds: float) -> tuple[float, float, float]:
    """Post batches as fast as they are answered, on all connections."""
    clients = [Client(port, f"{path}{each}") for each in range(CONNECTIONS)]
    until = time.perf_counter() + seconds

    async def work(client: Client) -> None:
        await client.open()
        while time.perf_counter() < until:
            await client.post(path, client.body())

    started = time.perf_counter()
    await asyncio.gather(*map(work, clients))
    return told([each for client in clients for each in client.latencies], time.perf_counter() - started)


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def steady(port: int, pid: int, rate: int, seconds: float) -> None:
    """Post at a rate; every ten seconds tell the wait, the delay until visible, and memory."""
    clients = [Client(port, f"steady{each}") for each in range(CONNECTIONS)]
    until = time.perf_counter() + seconds
    delays: list[float] = []
    sent = 0

    async def work(client: Client, nth: int) -> None:
        nonlocal sent
        await client.open()
        pause = BATCH * CONNECTIONS / rate
        due = time.perf_counter() + pause * nth / CONNECTIONS
        while (now := time.perf_counter()) < until:
            await asyncio.sleep(max(0.0, due - now))
            await client.post("/v1/events", client.body())
            sent += BATCH
            due += pause

    async def watch() -> None:
        probe, asker = Client(port, "probe"), Client(port, "asker")
        await probe.open()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        nth = 0
        while time.perf_counter() < until:
            nth += 1
            await probe.post("/v1/events", json.dumps([{"event_type": f"probe{nth % 5}"}]).encode())
            acknowledged = time.perf_counter()
            wanted = -(-nth // 5) if nth % 5 else nth // 5
            while True:
                writer.write(b"GET /v1/live?top=0 HTTP/1.1\r\nHost: x\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                if json.loads(await reader.readexactly(length))["events"].get(f"probe{nth % 5}", 0) >= wanted:
                    break
                await asyncio.sleep(0.1)
            delays.append(time.perf_counter() - acknowledged)
            await asyncio.sleep(0.5)
        del asker

    async def report() -> None:
        started, before = time.perf_counter(), 0
        while time.perf_counter() < until - 1:
            await asyncio.sleep(10)
            latencies = [each for client in clients for each in client.latencies]
            for client in clients:
                client.latencies = []
            _, p50, p99 = told(latencies or [0.0], 1)
            print(
                f"{time.perf_counter() - started:5.0f} s  {(sent - before) / 10:7.0f} events/s  p50 {p50:5.1f} ms  "
                f"p99 {p99:5.1f} ms  slowest {max(latencies) * 1e3:5.0f} ms  "
                f"visible after {max(delays[-20:], default=0):4.1f} s  "
                f"{memory_mb(pid):5.0f} MB",
                flush=True,
            )
            before = sent

    await asyncio.gather(*(work(client, nth) for nth, client in enumerate(clients)), watch(), report())
    print(f"visible after {max(delays):.1f} s at most, {sorted(delays)[len(delays) // 2]:.1f} s in the middle")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--steady", type=float, default=60)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "shopkeeper.toml").write_text('[shop]\nname = "bench"\n', "utf-8")
        port = senders.free_port()
        started = time.perf_counter()
        running = senders.collector(project, port, 30)
        try:
            senders.Sender(port).send("/v1/events", [{"event_type": "view"}])
            print(
                f"start to first answer {time.perf_counter() - started:.2f} s; "
                f"a body of {BATCH} events: {len(Client(0, 'x').body()):,} bytes\n"
            )
            print("| what | requests/s | events/s | p50 | p99 |\n|---|---|---|---|---|")
            figures = {}
            for what, path in (
                ("reads the body, answers constant bytes", "/drain"),
                ("on disk, 202", "/v1/events"),
            ) * 2:
                figures[what] = rate, p50, p99 = asyncio.run(flat_out(port, path, chosen.seconds))
                print(f"| {what} | {rate:,.0f} | {rate * BATCH:,.0f} | {p50:.1f} ms | {p99:.1f} ms |", flush=True)
            bare, durable = (each[0] for each in figures.values())
            print(f"\nratio {durable / bare:.2f}\n")
            asyncio.run(steady(port, running.process.pid, chosen.rate, chosen.steady))
        finally:
            running.stop()


if __name__ == "__main__":
    main()
