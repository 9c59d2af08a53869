"""What the tests of sources share: a small mapping, and a way to read bytes as a file to the end."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

from shopkeeper.mappings import Mapping, parse_mapping
from shopkeeper.sources.files import FileSource
from shopkeeper.sources.source import Item, Known, Source

LINES = {
    "entity": "order_lines",
    "columns": {
        "order_id": "order",
        "product_id": "sku",
        "quantity": "qty",
        "unit_price": "price",
        "ordered_at": "at",
    },
}


@dataclass
class Read:
    """All that came of one item."""

    rows: list[dict]
    rejects: list[dict]
    rows_read: int
    notes: list[str] = field(default_factory=list)
    cursor: str | None = None

    def column(self, name: str) -> list:
        return [row[name] for row in self.rows]


def read_item(source: Source, item: Item) -> Read:
    """Read one item to the end."""
    with source.read(item) as reading:
        batches = list(reading.batches)
        rows = [row for batch in batches for row in batch.rows.to_pylist()]
        rejects = [row for batch in batches for row in batch.rejects.to_pylist()]
        for batch in batches:
            assert isinstance(batch.rows, pa.RecordBatch)
        return Read(rows, rejects, reading.rows_read, reading.notes, reading.cursor)


def read_all(source: Source, known: Known | None = None) -> dict[str, Read]:
    """Read every item of a source to the end, by name."""
    return {item.name: read_item(source, item) for item in source.items(known or Known())}


@pytest.fixture
def lines() -> Callable[..., Mapping]:
    """Make a mapping of order lines with columns order, sku, qty, price, at; keywords change it."""

    def make(**changes: object) -> Mapping:
        return parse_mapping({**LINES, **changes}, "the test")

    return make


@pytest.fixture
def read(tmp_path: Path, lines) -> Callable[..., Read]:
    """Write bytes to a file, read it as order lines, and check that the scratch folder is left empty."""

    def make(content: bytes, name: str = "lines.csv", zone: str = "UTC", **changes: object) -> Read:
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        scratch = tmp_path / "scratch"
        source = FileSource("shop", path, {"lines": lines(**changes)}, timezone=zone, scratch=scratch)
        (found,) = read_all(source).values()
        assert path.read_bytes() == content
        assert list(scratch.iterdir()) == []
        assert len(found.rows) + len(found.rejects) == found.rows_read
        return found

    return make


@pytest.fixture
def every() -> Callable[..., dict[str, Read]]:
    """Give the function that reads every item of a source."""
    return read_all


@pytest.fixture
def data() -> Path:
    """Give the folder of real data, or skip."""
    default = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("SHOPKEEPER_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set SHOPKEEPER_DATA")
    return folder
