"""The API under load, against a bare Starlette handler that returns constant bytes, in the same run.

    python benchmarks/api.py --project DIR [--customers 1000000] [--out DIR] [--seconds 6]

DIR is a project with a published version, models included. Its customers are multiplied by SQL until there are as many as
asked, published into ``--out`` (kept for the next run), and served by `shopkeeper serve` in a process of its own. The load
comes from another process: connections that are kept open, each waiting for its answer before it asks again.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CLI = [sys.executable, "-c", "from shopkeeper.apps.cli import main; main()"]
BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
body = b"x" * int(sys.argv[2])
async def constant(request):
    return Response(body, media_type="application/json")
app = Starlette(routes=[Route("/v1/customers/{customer_id}", constant)])
uvicorn.run(app, port=int(sys.argv[1]), http="httptools", loop="uvloop", access_log=False, log_level="warning")
"""
SHARE_OF_LINES = 10
ROUNDS = 7


@dataclass(frozen=True)
class Told:
    """What a load came to: requests a second, seconds at the median and at the 99th of 100, statuses other than 200."""

    per_second: float
    p50: float
    p99: float
    others: dict[str, int]


# ------------------------------------------------------------------------ the load


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered; it reads no more of an answer than its length."""

    def __init__(
        self, requests: "list[bytes]", until: float, times: list[float], others: dict[str, int], done: asyncio.Future
    ) -> None:
        self.requests, self.until, self.times, self.others, self.done = requests, until, times, others, done
        self.at = random.randrange(len(requests))
        self.buffer = b""
        self.left = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.at = (self.at + 1) % len(self.requests)
        self.started = time.perf_counter()
        self.transport.write(self.requests[self.at])

    def data_received(self, data: bytes) -> None:
        if self.left < 0:
            self.buffer += data
            head, mark, rest = self.buffer.partition(b"\r\n\r\n")
            if not mark:
                return
            status = head[9:12].decode()
            if status != "200":
                self.others[status] = self.others.get(status, 0) + 1
            low = head.lower()
            at = low.index(b"content-length:") + 15
            end = low.find(b"\r\n", at)
            self.left = int(low[at:] if end < 0 else low[at:end]) - len(rest)
            self.buffer = b""
        else:
            self.left -= len(data)
        if self.left == 0:
            self.left = -1
            now = time.perf_counter()
            self.times.append(now - self.started)
            if now < self.until:
                self.ask()
            else:
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc:
            self.others["lost"] = self.others.get("lost", 0) + 1
        if not self.done.done():
            self.done.set_result(None)


def _load(port: int, requests: list[bytes], connections: int, seconds: float, answer: "multiprocessing.Queue") -> None:
    import uvloop

    async def run() -> Told:
        loop = asyncio.get_running_loop()
        times: list[float] = []
        others: dict[str, int] = {}
        started = time.perf_counter()
        ends = []
        for _ in range(connections):
            done = loop.create_future()
            ends.append(done)
            await loop.create_connection(
                lambda done=done: Client(requests, started + seconds, times, others, done), "127.0.0.1", port
            )
        await asyncio.gather(*ends)
        spent = time.perf_counter() - started
        times.sort()
        return Told(len(times) / spent, times[len(times) // 2], times[int(len(times) * 0.99)], others)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer.put(runner.run(run()))


def load(port: int, requests: list[bytes], *, connections: int, seconds: float) -> Told:
    """Ask from a process of its own."""
    answer: multiprocessing.Queue = multiprocessing.get_context("spawn").Queue()
    process = multiprocessing.get_context("spawn").Process(
        target=_load, args=(port, requests, connections, seconds, answer)
    )
    process.start()
    told = answer.get()
    process.join()
    return told


def get(path: str) -> bytes:
    """A GET as bytes."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".encode()


def post(path: str, body: object) -> bytes:
    """A POST of JSON as bytes."""
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


# ------------------------------------------------------------------- what is served


def multiply(project: Path, customers: int, out: Path) -> float:
    """Publish a shop whose customers are a given one's, many times over; return the seconds that publishing took."""
    from shopkeeper import answers
    from shopkeeper.assembly import assemble
    from shopkeeper.engine import connect, literal

    source = assemble(project)
    number = source.published.current()
    (out / "data").mkdir(parents=True)
    shutil.copy(project / "shopkeeper.toml", out / "shopkeeper.toml")
    target = assemble(out)
    target.settings.home.mkdir(parents=True)
    warehouse = target.settings.home / "synthetic.duckdb"
    with connect(warehouse, threads=2, memory_gb=8, scratch=target.settings.scratch) as connection:
        connection.execute(f"attach {literal(str(source.published.folder(number) / 'shop.duckdb'))} as one (read_only)")
        n = connection.execute("select count(*) from one.core.customers").fetchone()[0]
        times = -(-customers // n)
        tables = connection.execute(
            "select schema_name, table_name, list_contains((select list(column_name) from duckdb_columns() c where "
            "c.table_name = t.table_name and c.schema_name = t.schema_name and c.database_name = 'one'), 'customer_id') "
            "from duckdb_tables() t where database_name = 'one'"
        ).fetchall()
        for schema, table, is_of_customers in tables:
            connection.execute(f"create schema if not exists {schema}")
            rows = f"select * from one.{schema}.{table}"
            if is_of_customers:
                where = f"where hash(order_line_id) % {SHARE_OF_LINES} = 0" if table == "order_lines" else ""
                named = "customer_id || '-' || i as customer_id"
                named += ", order_id || '-' || i as order_id" if table in {"orders", "order_lines"} else ""
                rows = f"select t.* replace ({named}) from one.{schema}.{table} as t, range({times}) as r(i) {where}"
            connection.execute(f"create table {schema}.{table} as {rows}")
        connection.execute("detach one")
    started = time.perf_counter()
    models = {
        subject: (name, source.published.model(subject))
        for subject, name in source.published.version(number).models.items()
    }
    target.published.publish(warehouse, build_id="synthetic", lake_versions={}, models=models, beside=answers.write)
    spent = time.perf_counter() - started
    warehouse.unlink()
    return spent


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait(url: str, seconds: float = 60) -> float:
    """Wait until an address answers; return how long."""
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        try:
            urllib.request.urlopen(url, timeout=5).read()  # noqa: S310 - our own server
            return time.perf_counter() - started
        except OSError:
            time.sleep(0.01)
    sys.exit(f"nothing answered at {url}")


def memory(pid: int) -> dict[str, float]:
    """A process's memory now in MB: all, and what is its own (not mapped files)."""
    told = Path(f"/proc/{pid}/status").read_text()
    names = ("VmRSS", "RssAnon", "VmHWM")
    return {line.split(":")[0]: float(line.split()[1]) / 1024 for line in told.splitlines() if line.startswith(names)}


def print_stored_reads(
    bare_port: int, port: int, asked: dict[str, list[bytes]], file: Path, given: argparse.Namespace
) -> None:
    """Print how quick stored reads are beside the bare handler, in turns, so that what else runs weighs on both.

    First with the file in the system's memory, where a machine with room keeps it (some virtual machines take unused pages
    away within seconds: so it is read before each turn), then from the disk.
    """
    for place, advice in (("memory", os.POSIX_FADV_WILLNEED), ("disk", os.POSIX_FADV_DONTNEED)):
        print(f"stored reads of {len(asked['customers']):,} ids at random, from {place}:")
        print_turns(bare_port, port, asked, lambda advice=advice: advise(file, advice), given)


def advise(file: Path, advice: int) -> None:
    """Tell the system about the pages of a file."""
    step = 256 * 2**10
    descriptor = os.open(file, os.O_RDONLY)
    for offset in range(0, file.stat().st_size, step):
        os.posix_fadvise(descriptor, offset, step, advice)
    os.close(descriptor)


def print_turns(
    bare_port: int,
    port: int,
    asked: dict[str, list[bytes]],
    prepare: Callable[[], None],
    given: argparse.Namespace,
) -> None:
    """Load the bare handler and ours in turns, and print the medians."""
    rounds: dict[str, list[Told]] = {name: [] for name in ("bare", *asked)}
    shape = {"connections": given.connections, "seconds": given.seconds / 3}
    for _ in range(ROUNDS):
        for name, told in rounds.items():
            requests = asked.get(name) or asked["customers"][:1000]
            prepare()
            told.append(load(bare_port if name == "bare" else port, requests, **shape))
    print(f"  bare handler: {statistics.median(each.per_second for each in rounds['bare']):,.0f} a second")
    for name in asked:
        ratios = sorted(
            mine.per_second / peer.per_second for mine, peer in zip(rounds[name], rounds["bare"], strict=True)
        )
        others = [each.others for each in rounds[name] if each.others]
        print(
            f"  {name}: {statistics.median(each.per_second for each in rounds[name]):,.0f} a second, "
            f"{statistics.median(ratios):.2f} of the bare handler ({ratios[0]:.2f} to {ratios[-1]:.2f} in {ROUNDS} rounds; "
            f"mark .60), p99 {statistics.median(each.p99 for each in rounds[name]) * 1000:.1f} ms (mark 10) {others or ''}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--connections", type=int, default=32)
    given = parser.parse_args()
    out = given.out or Path(tempfile.mkdtemp(prefix="shopkeeper-api-"))
    if not (out / "shopkeeper.toml").exists():
        spent = multiply(given.project, given.customers, out)
        print(f"publishing {given.customers:,} customers: {spent:.1f} s")
    from shopkeeper.answers import Book
    from shopkeeper.assembly import assemble

    published = assemble(out).published
    folder = published.folder(published.current())
    sizes = {name: (folder / name).stat().st_size / 2**20 for name in ("shop.duckdb", "answers.records")}
    print(", ".join(f"{name} {size:,.0f} MB" for name, size in sizes.items()))
    book = Book(folder)
    n = book.count("customers")
    with published.open() as connection:
        some = connection.execute("select customer_id from core.customers using sample 100000 rows").fetchall()
        lines = connection.execute(
            "select order_id, 'one' as customer_id, source_product_id as product_id, description, quantity::double as quantity, "
            "unit_price::double as unit_price, strftime(ordered_at, '%Y-%m-%dT%H:%M:%SZ') as ordered_at, country "
            "from core.order_lines where line_kind = 'sale' limit 200"
        )
        names = [column[0] for column in lines.description]
        lines = [dict(zip(names, row, strict=True)) for row in lines.fetchall()]
        goods = [
            row[0] for row in connection.execute("select product_id from core.products where not is_service").fetchall()
        ]
    ids = [row[0] for row in some]
    size = sum(len(book.answer("customers", each)) for each in ids[:1000]) // 1000
    port, bare_port = free_port(), free_port()
    environment = {**os.environ, "SHOPKEEPER__API__RATE": "0"}
    started = time.perf_counter()
    server = subprocess.Popen(
        [*CLI, "serve", "--port", str(port), "--project", str(out)], stdout=subprocess.DEVNULL, env=environment
    )
    bare = None
    try:
        wait(f"http://127.0.0.1:{port}/v1/customers/{ids[0]}")
        print(
            f"start to first answer: {time.perf_counter() - started:.2f} s (mark 3), {n:,} customers of {size:,} bytes"
        )
        bare = subprocess.Popen([sys.executable, "-c", BARE, str(bare_port), str(size)])
        wait(f"http://127.0.0.1:{bare_port}/v1/customers/1")
        customers = [get(f"/v1/customers/{each}") for each in ids]
        offers = [get(f"/v1/recommendations/customers/{each}") for each in ids]
        rng = random.Random(1)
        baskets = [
            post("/v1/recommendations/basket", {"products": rng.sample(goods, rng.randint(1, 8))}) for _ in range(500)
        ]
        print_stored_reads(
            bare_port, port, {"customers": customers, "recommendations": offers}, folder / "answers.records", given
        )
        print({name: f"{value:.0f} MB" for name, value in memory(server.pid).items()}, "after stored reads (mark 500)")
        for connections in (1, 4):
            load(port, baskets, connections=connections, seconds=1)
            told = load(port, baskets, connections=connections, seconds=given.seconds)
            print(
                f"baskets, {connections} at once: {told.per_second:,.0f} a second, p99 {told.p99 * 1000:.1f} ms (mark 15) "
                f"{told.others or ''}"
            )
        for asked in ("segment", "churn", "lifetime"):
            requests = [post(f"/v1/predict/{asked}", {"order_lines": lines})]
            load(port, requests, connections=1, seconds=1)
            told = load(port, requests, connections=1, seconds=given.seconds)
            print(
                f"{asked} from 200 lines: {told.per_second:,.1f} a second, p50 {told.p50 * 1000:.1f}, "
                f"p99 {told.p99 * 1000:.1f} ms (mark 100) {told.others or ''}"
            )
        told = load(port, [get("/v1/customers?country=France&limit=100")], connections=1, seconds=given.seconds)
        print(f"customers by country: p99 {told.p99 * 1000:.0f} ms {told.others or ''}")
        print({name: f"{value:.0f} MB" for name, value in memory(server.pid).items()}, "after all (mark 500)")
    finally:
        for each in (server, bare):
            if each:
                each.terminate()
                each.wait()


if __name__ == "__main__":
    main()
