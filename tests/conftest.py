"""What all tests share: where the real data lie, and how to make a project and run it."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shopkeeper import workflow
from shopkeeper.assembly import Shopkeeper, assemble
from shopkeeper.settings import write_project

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SHOPKEEPER_DATA", ROOT.parent / "shared" / "data"))


LONGEST = (
    *("end_to_end/test_models.py", "end_to_end/test_online_retail_models.py", "warehouse/test_behaviour.py"),
    *(
        "end_to_end/test_kills.py",
        "api/test_simulated_shops.py",
        "end_to_end/test_online_retail.py",
        "tests/test_cli.py",
    ),
    *("models/test_contract.py", "end_to_end/test_days.py", "end_to_end/test_simulated_shops.py", "tests/test_live.py"),
)
"""By time: whoever begins with these does not wait for one of them in the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""

    def place(item: pytest.Item) -> tuple[int, bool]:
        name = f"{item.path.parent.name}/{item.path.name}"
        longest = LONGEST.index(name) if name in LONGEST else len(LONGEST)
        return longest, item.path.parent.name != "end_to_end"

    items.sort(key=place)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Return the path of a real data file, or skip the test with the reason."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"the real data are absent: {path} (set SHOPKEEPER_DATA)")
        return path

    return find


@pytest.fixture(scope="session")
def make_shop() -> Callable[..., Shopkeeper]:
    """Make a project in a folder, from a preset and a path, and return its parts."""

    def make(folder: Path, preset: str, path: Path | str) -> Shopkeeper:
        write_project(folder, preset=preset, path=str(path))
        return assemble(folder)

    return make


@pytest.fixture(scope="session")
def run_shop() -> Callable[..., workflow.Run]:
    """Ingest, build and publish, as `shopkeeper run --no-models` does; with ``models``, as `shopkeeper run` does."""

    def run(parts: Shopkeeper, *, models: bool = False) -> workflow.Run:
        with workflow.exclusive(parts.settings.home):
            return workflow.run(
                parts.lake,
                parts.warehouse,
                parts.published,
                parts.sources,
                parts.studio if models else None,
                policy=parts.settings.drift.policy,
            )

    return run


@pytest.fixture(scope="session")
def retail(tmp_path_factory, real_data, make_shop, run_shop) -> Callable[[Path], Shopkeeper]:
    """Copy a shop of UCI Online Retail, published without models, to a folder; it is made once for all processes."""
    file = real_data("online_retail/Online Retail.xlsx")

    def copy(folder: Path) -> Shopkeeper:
        made = _once(tmp_path_factory, "retail", lambda place: run_shop(make_shop(place, "uci_online_retail", file)))
        shutil.copytree(made, folder, symlinks=True)
        return assemble(folder)

    return copy


@pytest.fixture(scope="session")
def trained_retail(tmp_path_factory, retail, run_shop) -> Shopkeeper:
    """The shop of UCI Online Retail with all models, made once for all processes: to be looked at, not to be changed."""
    return assemble(_once(tmp_path_factory, "trained", lambda place: run_shop(retail(place), models=True)))


def _once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the first of all processes to ask has made; one that died over it left nothing."""
    root = tmp_path_factory.getbasetemp()
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / name
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "done").exists():
            shutil.rmtree(root / "shop", ignore_errors=True)
            make(root / "shop")
            (root / "done").touch()
    return root / "shop"


@pytest.fixture(scope="session")
def tables_of() -> Callable[..., dict[str, list[tuple]]]:
    """Return all published tables of a shop as sorted rows, without the columns that tell where a row came from."""

    def read(parts: Shopkeeper, *, but: tuple[str, ...] = ("source", "source_file", "source_row", "load_id")) -> dict:
        found = {}
        with parts.published.open() as connection:
            tables = connection.execute(
                "select schema_name || '.' || table_name, string_agg('\"' || column_name || '\"', ', ' order by column_index) "
                "from duckdb_columns() where database_name = current_database() and not list_contains(?, column_name) "
                "and schema_name in ('core', 'metrics', 'features') group by all",
                [list(but)],
            ).fetchall()
            for table, columns in sorted(tables):
                if table != "metrics.ledger":  # it speaks of loads
                    rows = connection.execute(f"select {columns} from {table} order by all").fetchall()
                    found[table] = rows
        return found

    return read
