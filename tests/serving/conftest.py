"""The small shop, run once without models."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def small_lines():
    """The order lines of the small shop, as CSV."""
    spec = importlib.util.spec_from_file_location("small_shop", HERE / "small_shop.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LINES


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory, make_shop, run_shop, small_lines):
    """The parts of the small shop after a run."""
    folder = tmp_path_factory.mktemp("small")
    file = folder / "lines.csv"
    file.write_text(small_lines, "utf-8")
    parts = make_shop(folder / "shop", "uci_online_retail", file)
    run_shop(parts)
    return parts
