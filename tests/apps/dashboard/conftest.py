"""Shops to look at, a server for each as a person starts it, and one browser for all."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from shopkeeper import workflow
from shopkeeper.apps.dashboard import stage
from shopkeeper.apps.dashboard.server import configure
from shopkeeper.apps.dashboard.visitors import Visitors
from shopkeeper.serving import exhibits as room
from shopkeeper.serving.exhibits import Exhibit

CHROMIUM = Path(os.environ.get("SHOPKEEPER_CHROMIUM", "/usr/bin/chromium"))
SOURCE = Path(__file__).parents[3] / "src"
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory, make_shop, run_shop):
    """Ten order lines, added up by hand in tests/serving/small_shop.py; without models."""
    folder = tmp_path_factory.mktemp("small")
    names: dict = {}
    exec((Path(__file__).parents[2] / "serving" / "small_shop.py").read_text("utf-8"), names)  # noqa: S102 - ours
    (folder / "lines.csv").write_text(names["LINES"], "utf-8")
    parts = make_shop(folder / "shop", "uci_online_retail", folder / "lines.csv")
    run_shop(parts)
    return parts


@pytest.fixture(scope="session")
def unpublished_shop(tmp_path_factory, make_shop):
    """A project of which nothing was ever run."""
    folder = tmp_path_factory.mktemp("unpublished")
    (folder / "lines.csv").write_text(HEADER, "utf-8")
    return make_shop(folder / "shop", "uci_online_retail", folder / "lines.csv")


@pytest.fixture(scope="session")
def empty_shop(tmp_path_factory, make_shop, run_shop):
    """A version that holds no line and no event."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "lines.csv").write_text(HEADER, "utf-8")
    parts = make_shop(folder / "shop", "uci_online_retail", folder / "lines.csv")
    run_shop(parts)
    return parts


def simulated(folder: Path, make_shop, run_shop, preset: str, *, customers: int, days: int, models: bool):
    """A simulated shop after a run."""
    workflow.simulate(preset, customers=customers, days=days, seed=11, out=folder / "export", dirt=False)
    parts = make_shop(folder / "shop", preset, folder / "export" / "data")
    run_shop(parts, models=models)
    return parts


@pytest.fixture(scope="session")
def chain_shop(tmp_path_factory, make_shop, run_shop):
    """A chain of stores with categories, costs, stock and promotions, and all models that it allows."""
    folder = tmp_path_factory.mktemp("chain")
    return simulated(folder, make_shop, run_shop, "us_retail", customers=60, days=100, models=True)


@pytest.fixture(scope="session")
def events_shop(tmp_path_factory, make_shop, run_shop):
    """A shop that brings visits and nothing else."""
    folder = tmp_path_factory.mktemp("events")
    return simulated(folder, make_shop, run_shop, "rees46_events", customers=60, days=40, models=False)


@pytest.fixture(scope="session")
def app_of():
    """Return a run of the dashboard's script for a shop's parts, a page and the address's parameters, without a browser."""
    from streamlit.testing.v1 import AppTest

    from shopkeeper.apps.dashboard.server import SCRIPT

    configure("127.0.0.1", 8501)

    def make(parts, path="", **params) -> "AppTest":
        stage.open_for(parts, Visitors(parts.keys))
        found = AppTest.from_file(str(SCRIPT), default_timeout=60)
        if path:
            found.run()
            # A page that is a function can be asked for by its path only here.
            (found._page_hash,) = (key for key, told in found._registered_pages.items() if told["url_pathname"] == path)
        for name, value in params.items():
            found.query_params[name] = value
        return found.run()

    return make


class Served:
    """A dashboard that runs as a command of its own."""

    def __init__(self, project: Path) -> None:
        command = "from shopkeeper.apps.cli import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", command, "dashboard", "--port", "0", "--project", project],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )
        self.said = self.process.stdout.readline()
        assert " at http://" in self.said, self.said + self.process.stdout.read()
        self.url = self.said.split(" at ")[1].strip()
        while "Ctrl-C" not in self.said:
            self.said += self.process.stdout.readline()

    def stop(self) -> tuple[int, str]:
        """Press Ctrl-C; return the exit code and what was said after the start."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.said, _ = self.process.communicate(timeout=20)
        return self.process.returncode, self.said


@pytest.fixture(scope="session")
def served() -> Iterator:
    """Serve a shop's dashboard once for all tests."""
    running: dict[Path, Served] = {}

    def serve(parts) -> Served:
        project = parts.settings.project
        if project not in running:
            running[project] = Served(project)
        return running[project]

    yield serve
    for each in running.values():
        each.stop()


@pytest.fixture(scope="session")
def exhibits() -> list[Exhibit]:
    """Every exhibit that any module declares."""
    values = [
        value
        for module in iter_modules(room.__path__)
        for value in vars(import_module(f"{room.__name__}.{module.name}")).values()
    ]
    each = [one for value in values for one in (value.values() if isinstance(value, dict) else [value])]
    return list({one.name: one for one in each if isinstance(one, Exhibit)}.values())


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Headless Chromium; the tests skip with the reason where it is absent."""
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        pytest.skip(f"Chromium is absent: {CHROMIUM} (set SHOPKEEPER_CHROMIUM)")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield found
        found.close()
