"""`shopkeeper demo`: from nothing, or from a file at hand, to a published shop with API and dashboard, and what to click."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from shopkeeper.errors import TransientError, UsageError

CLI = (sys.executable, "-c", "from shopkeeper.apps.cli import main; main()")
MARK = ".shopkeeper-demo"
PRESET = "uci_online_retail"
SHOP = ("--preset", PRESET, "--customers", "1500", "--days", "400", "--seed", "7", "--truth")
"""As large as a small shop of five years ago; everything has something to say of it, in half a minute."""
READY_SECONDS, STOP_SECONDS = 60.0, 15.0
MOST_PORTS = 100


def play(folder: Path, file: Path | None, *, port: int, dashboard_port: int, once: bool) -> None:
    """Make a demo shop in a folder, run everything, and show it by API and dashboard until Ctrl-C.

    ``file``: an export in the shape of UCI Online Retail to use in place of a simulated shop. ``once``: stop as soon as both
    servers have answered. A folder that an earlier demo made is made anew; any other is left alone. Raises UsageError for
    such a folder, or a file that is not there, and exits with the status of a step that fails.
    """
    started = time.monotonic()
    if file is not None and not file.exists():
        raise UsageError(f"the file to show must exist; got {file}. Name an Excel or CSV file with order lines.")
    _make(folder)
    shop = folder / "shop"
    source = file
    if source is None:
        _step("simulate", *SHOP, "--out", str(folder / "export"))
        source = folder / "export" / "data"
    _step("init", str(shop), "--preset", PRESET, "--path", str(source))
    _step("run", "--project", str(shop))
    api, dashboard = _free(port), _free(dashboard_port)
    servers = [
        _start("serve", "--port", str(api), "--project", str(shop)),
        _start("dashboard", "--port", str(dashboard), "--project", str(shop)),
    ]
    try:
        base, pages = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{dashboard}"
        _wait(f"{base}/readyz", servers)
        _wait(f"{pages}/_stcore/health", servers)
        _tell(base, pages, shop, time.monotonic() - started)
        if once:
            print("\n  stopped: this is no terminal, or --once was given")
            return
        print("\n  stop: Ctrl-C", flush=True)
        _until_stopped(servers)
    finally:
        _stop(servers)


def _make(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise UsageError(
            f"the folder of a demo must be empty, absent, or an earlier demo's, which is made anew; got {folder}. Name another."
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def _step(*words: str) -> None:
    """Run a command as a person would, and end where it ends badly."""
    print(f"\n$ shopkeeper {' '.join(words)}", flush=True)
    status = subprocess.run([*CLI, *words], check=False).returncode
    if status:
        raise SystemExit(status)


def _free(port: int) -> int:
    """Return the first free port from one on."""
    for each in range(port, port + MOST_PORTS):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", each))
            return each
    raise UsageError(f"one of the ports {port} to {port + MOST_PORTS - 1} must be free; none is. Name another.")


def _start(*words: str) -> "subprocess.Popen[bytes]":
    # In a group of its own, or Ctrl-C would reach it before us; what it says of its address is said below, for both.
    return subprocess.Popen([*CLI, *words], stdout=subprocess.DEVNULL, start_new_session=True)


def _wait(url: str, servers: "Sequence[subprocess.Popen[bytes]]") -> None:
    give_up = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up:
        if any(each.poll() is not None for each in servers):
            raise TransientError("a server of the demo must go on; one has stopped. What it said stands above.")
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
            answer.read()
            return
        time.sleep(0.05)
    raise TransientError(f"{url} must answer within {READY_SECONDS:g} seconds; it did not. Run the demo again.")


def _tell(base: str, pages: str, shop: Path, seconds: float) -> None:
    """Print what to click and what to curl, with the best customer and the product that sells most."""
    from shopkeeper.apps.screen import print_hints
    from shopkeeper.assembly import assemble

    parts = assemble(shop)
    ask = parts.serving.query
    version = parts.published.version(parts.published.current() or 0)
    customers = ask(
        "select customer_id from core.customers where customer_id is not null order by net_sales desc limit 1"
    ).rows
    products = ask("select product_id from core.products where not is_service order by net_sales desc limit 1").rows
    click, curl = [(f"{pages}/", "sales at a glance")], [(f"{base}/v1/segments", "segments: rules in words and in SQL")]
    for (name,) in customers:
        click.append((f"{pages}/customer?id={quote(name)}", "the best customer: who, why, worth what"))
        curl.append((f"{base}/v1/customers/{quote(name)}", "all that is known of a customer"))
    for (name,) in products:
        basket = json.dumps({"products": [name], "n": 3})
        click.append((f"{pages}/product?id={quote(name)}", "a product: demand, price, what goes with it"))
        if version is not None and "recommendations" in version.models:
            curl.append((f"{base}/v1/recommendations/basket -d '{basket}'", "what goes with a basket"))
    curl.append((f"{base}/v1/docs", "every endpoint; or open it in a browser"))
    program = "shopkeeper" if shutil.which("shopkeeper") else sys.argv[0]
    query = (f'{program} query "select * from segments" --project {shop}', "any table, read-only")
    lines = [("", "Click"), *click, ("", "Curl"), *((f"curl {url}", about) for url, about in curl), ("", "Ask"), query]
    print_hints(f"Ready after {seconds:.0f} s.", lines)


def _until_stopped(servers: "Sequence[subprocess.Popen[bytes]]") -> None:
    signal.signal(signal.SIGTERM, lambda *_: _interrupt())
    with suppress(KeyboardInterrupt):
        while all(each.poll() is None for each in servers):
            time.sleep(0.2)
        raise TransientError("a server of the demo must go on; one has stopped. What it said stands above.")


def _interrupt() -> None:
    raise KeyboardInterrupt


def _stop(servers: "Sequence[subprocess.Popen[bytes]]") -> None:
    for each in servers:
        each.terminate()
    for each in servers:
        try:
            each.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            each.kill()
            each.wait()
