"""The dashboard in a real browser: seconds to the first paint, cold and warm, and from a filter's change to the new numbers.

    python benchmarks/dashboard.py --project DIR [--country France] [--rounds 5]

Cold: from the start of `shopkeeper dashboard` in a process of its own to the first number on the first page, in a browser
that was never there. Warm: the same page again in that browser, which has kept its scripts; and in one that has not. A
filter's change: from the key that chooses a country to another number on the first card. The peer is a Streamlit page that
shows one number, served and looked at in the same way in the same run.
"""

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright

CLI = [sys.executable, "-c", "from shopkeeper.apps.cli import main; main()"]
VALUE = '[data-testid="stMetricValue"]'
SIZE = {"width": 1280, "height": 800}
PEER = 'import streamlit as st\nst.metric("one number", "1")\n'


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--country", default="France")
    parser.add_argument("--path", default="", help="the page to look at first, such as behaviour")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    chromium = shutil.which("chromium") or sys.exit("chromium must be there; install it.")
    with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        script = Path(folder) / "peer.py"
        script.write_text(PEER)
        plain = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless=true"]
        plain += ["--browser.gatherUsageStats=false", "--server.address=127.0.0.1", "--server.port={port}"]
        ours = [*CLI, "dashboard", "--project", str(given.project), "--port", "{port}"]
        print_paints("a page of one number", plain, "", browser, given.rounds)
        print_paints("dashboard", ours, given.path, browser, given.rounds)
        if not given.path:
            with served(ours) as url:
                print_filter(url, browser, given.country, given.rounds)


def print_paints(name: str, command: list[str], path: str, browser: Browser, rounds: int) -> None:
    """Print the seconds of a cold and of warm first paints."""
    started = time.perf_counter()
    with served(command) as url:
        paint(browser, url + path, started + 60)
        cold = time.perf_counter() - started
        warm = []
        for _ in range(rounds):
            began = time.perf_counter()
            paint(browser, url + path, began + 60)
            warm.append(time.perf_counter() - began)
    print(
        f"{name}: first paint {cold:.2f} s cold (mark 6), {statistics.median(warm):.2f} s warm (mark 3; worst {max(warm):.2f})"
    )


def print_filter(url: str, browser: Browser, country: str, rounds: int) -> None:
    """Print the seconds from choosing a country to its numbers, each time in a browser that has not asked before."""
    spent = []
    for _ in range(rounds):
        page = browser.new_page(viewport=SIZE)
        opened(page, url, time.perf_counter() + 60)
        before = page.locator(VALUE).first.inner_text(timeout=60_000)
        field = page.locator('[data-testid="stSidebar"] [data-testid="stMultiSelect"] input').first
        field.click()
        field.fill(country)
        began = time.perf_counter()
        field.press("Enter")
        page.wait_for_function(
            "([at, before]) => document.querySelector(at)?.innerText && document.querySelector(at).innerText !== before",
            arg=[VALUE, before],
            timeout=60_000,
        )
        spent.append(time.perf_counter() - began)
        page.close()
    print(
        f"a filter's change: {statistics.median(spent):.2f} s (mark 1.5; first {spent[0]:.2f}, worst {max(spent):.2f})"
    )


def paint(context: BrowserContext, url: str, until: float) -> None:
    """Look at a page until a number stands on it."""
    page = context.new_page()
    opened(page, url, until)
    page.wait_for_selector(VALUE, timeout=60_000)
    page.close()


def opened(page: Page, url: str, until: float) -> None:
    """Open a page as soon as somebody listens."""
    while True:
        try:
            page.goto(url)
        except Error:
            if time.perf_counter() > until:
                raise
            time.sleep(0.02)
        else:
            return


@contextmanager
def served(command: list[str]) -> Iterator[str]:
    """Run a server for as long as this is entered; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([each.format(port=port) for each in command], stdout=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
