"""`shopkeeper serve` as a process: it answers, takes events, tells them live, brings them to the lake, and ends cleanly."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import requests

from shopkeeper import workflow
from shopkeeper.assembly import assemble
from shopkeeper.settings import write_project
from shopkeeper.simulator import simulate

N = 100
SHOPKEEPER = [sys.executable, "-c", "from shopkeeper.apps.cli import main; main()"]


@pytest.fixture(name="project", scope="module")
def _project(tmp_path_factory):
    """The project of a small published shop of clicks."""
    home = tmp_path_factory.mktemp("served")
    for file in simulate("rees46_events", customers=60, days=40, seed=4).files(dirt=False):
        (home / "data").mkdir(exist_ok=True)
        (home / "data" / file.path).write_bytes(b"".join(file.chunks))
    write_project(home / "shop", preset="rees46_events", path=str(home / "data"))
    with (home / "shop" / "shopkeeper.toml").open("a") as settings:
        settings.write("\n[collector]\nload_seconds = 1\n")
    build(home / "shop")
    return home / "shop"


def build(project) -> None:
    """Build and publish what the lake holds."""
    parts = assemble(project)
    with workflow.exclusive(parts.settings.home):
        workflow.run(parts.lake, parts.warehouse, parts.published, parts.sources)


@contextmanager
def served(project) -> Iterator[str]:
    """Run `shopkeeper serve` on a free port until the block ends; give its address, and hold it to a clean end."""
    command = [*SHOPKEEPER, "serve", "--port", "0", "--project", str(project)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found, process.stderr.read()
            yield found[0]
        finally:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=30)
    assert (process.returncode, said) in {(0, ""), (-signal.SIGTERM, "")}, said


def purchases(address: str) -> int:
    """The purchases of the last minutes, as live numbers tell them."""
    told = requests.get(f"{address}/v1/live", timeout=10).json()
    assert told["trouble"] is None
    return int(told["events"].get("purchase", 0))


def wait_for(n: int, address: str, seconds: float = 5.0) -> None:
    """Wait until live numbers tell so many purchases, at most five seconds."""
    end = time.monotonic() + seconds
    while purchases(address) != n:
        assert time.monotonic() < end, purchases(address)
        time.sleep(0.1)


def test_events_are_taken_told_live_loaded_and_counted_once(project) -> None:
    """A hundred purchases: seen within five seconds of their 202, in the lake, in core.events once, and live not twice."""
    now = datetime.now(UTC) - timedelta(seconds=30)
    events = [
        {
            "event_id": f"served-{number}",
            "event_type": "purchase",
            "occurred_at": now.isoformat(),
            "customer_id": f"c{number % 7}",
            "product_id": "P1",
            "quantity": 1,
            "unit_price": 2.5,
        }
        for number in range(N)
    ]
    parts = assemble(project)
    with served(project) as address:
        assert requests.get(f"{address}/readyz", timeout=10).json()["status"] == "ready"
        answer = requests.post(f"{address}/v1/events", json=events, timeout=10)
        assert (answer.status_code, answer.json()["accepted"]) == (202, N)
        wait_for(N, address)
        again = requests.post(f"{address}/v1/events", data=json.dumps(events[:10]), timeout=10)
        assert again.status_code == 202
        time.sleep(1)
        assert purchases(address) == N
        build(project)
        end = time.monotonic() + 20
        while requests.get(f"{address}/v1/version", timeout=10).json()["number"] < parts.published.current():
            assert time.monotonic() < end
            time.sleep(0.1)
        wait_for(N, address)
    build(project)
    ((n, ids),) = parts.serving.query(
        "select count(*), count(distinct event_id) from core.events where event_id like 'served-%'"
    ).rows
    assert (n, ids) == (N, N)
    with served(project) as address:
        wait_for(N, address)


def test_a_server_that_takes_no_events_says_so(project) -> None:
    """With --no-collect there is no such endpoint."""
    command = [*SHOPKEEPER, "serve", "--port", "0", "--no-collect"]
    with subprocess.Popen([*command, "--project", str(project)], stdout=subprocess.PIPE, text=True) as process:
        try:
            address = re.search(r"http://\S+", process.stdout.readline())[0]
            assert requests.post(f"{address}/v1/events", json=[], timeout=10).status_code == 404
            assert requests.get(f"{address}/v1/version", timeout=10).status_code == 200
        finally:
            process.terminate()
            process.communicate(timeout=30)
