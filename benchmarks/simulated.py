"""A simulated shop, loaded and built in a temporary folder: what the comparisons with truth ask."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shopkeeper import workflow
from shopkeeper.assembly import assemble
from shopkeeper.features import ShopHistory
from shopkeeper.settings import write_project
from shopkeeper.simulator.shop import Shop


@contextmanager
def built(shop: Shop, *, dirt: bool = False) -> Iterator[ShopHistory]:
    """Build a shop's warehouse from its files, with or without their faults; hand out its history."""
    with tempfile.TemporaryDirectory(prefix="shopkeeper-truth-") as name:
        folder = Path(name)
        for file in shop.files(dirt=dirt):
            target = folder / "data" / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as handle:
                handle.writelines(file.chunks)
        write_project(folder / "shop", preset=shop.preset, path=str(folder / "data"))
        parts = assemble(folder / "shop")
        with workflow.exclusive(parts.settings.home):
            workflow.run(parts.lake, parts.warehouse, parts.published, parts.sources)
        with parts.published.open() as connection:
            yield ShopHistory(connection)
