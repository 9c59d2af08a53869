"""Write docs/images/*.png: the dashboard as a browser shows it, of a demo's shop.

    make demo, then: python docs/make_screenshots.py [--project demo-shop/shop]

Each picture is a page at 1280 by 800, in colours reduced to 128, so that all of them together weigh little.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).with_name("images")
CLI = [sys.executable, "-c", "from shopkeeper.apps.cli import main; main()"]
PAGES = {
    "overview": ("", "light"),
    "customers": ("customers", "light"),
    "customer": ("customer?id={customer}", "light"),
    "product": ("product?id={product}", "dark"),
    "prices": ("prices", "light"),
    "demand": ("demand", "dark"),
    "models": ("models", "light"),
}
SIZE = {"width": 1280, "height": 800}
COLOURS = 128
QUIET_SECONDS = 1.5


def main() -> None:
    """Serve, look, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path("demo-shop/shop"))
    parser.add_argument("--only", nargs="*", default=list(PAGES), choices=list(PAGES))
    given = parser.parse_args()
    browser = shutil.which("chromium") or sys.exit("chromium must be there to take pictures; install it.")
    IMAGES.mkdir(exist_ok=True)
    names = names_in(given.project)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([*CLI, "dashboard", "--port", str(port), "--project", str(given.project)])
    try:
        wait(f"http://127.0.0.1:{port}/_stcore/health")
        with sync_playwright() as play:
            chromium = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            for name in given.only:
                path, scheme = PAGES[name]
                page = chromium.new_page(viewport=SIZE, color_scheme=scheme)
                page.goto(f"http://127.0.0.1:{port}/{path.format(**names)}")
                settle(page)
                file = IMAGES / f"{name}.png"
                page.screenshot(path=file)
                page.close()
                Image.open(file).convert("RGB").quantize(COLOURS).save(file, optimize=True)
                print(f"{file.name}: {file.stat().st_size // 1024} kB")
    finally:
        server.terminate()
        server.wait()


def names_in(project: Path) -> dict[str, str]:
    """The best customer, and the product that sells most."""
    from shopkeeper.assembly import assemble

    ask = assemble(project).serving.query
    queries = {
        "customer": "select customer_id from core.customers where customer_id is not null order by net_sales desc limit 1",
        "product": "select product_id from core.products where not is_service order by net_sales desc limit 1",
    }
    return {name: str(ask(sql).rows[0][0]) for name, sql in queries.items()}


def wait(url: str) -> None:
    """Wait until an address answers."""
    for _ in range(600):
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own server
            return
        time.sleep(0.1)
    sys.exit(f"{url} must answer within a minute; it did not.")


def settle(page: Page) -> None:
    """Wait until a page has stopped running and its charts are drawn."""
    page.wait_for_selector('[data-testid="stApp"]')
    page.wait_for_selector('[data-testid="stHeading"], [data-testid="stMarkdown"]', timeout=60_000)
    busy = "[data-testid*=keleton], [data-testid=stStatusWidget], [data-stale=true]"
    page.wait_for_function(f"() => !document.querySelector('{busy}')", timeout=60_000)
    page.wait_for_timeout(1000 * QUIET_SECONDS)


if __name__ == "__main__":
    main()
