"""Kills at random moments of ingest, build and publish: the next run always ends as an undisturbed one would."""

import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from shopkeeper import workflow
from shopkeeper.assembly import assemble

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("SHOPKEEPER_KILLS", "5"))
"""Five by default; fifty in `.ci/run`."""
WARM = ["dbt.cli.main", "dbt.adapters.duckdb", "shopkeeper.assembly", "shopkeeper.workflow", "pyarrow.dataset"]


def run_project(folder: Path) -> None:
    """Do what `shopkeeper run` does, in this process."""
    parts = assemble(folder)
    with workflow.exclusive(parts.settings.home):
        workflow.run(parts.lake, parts.warehouse, parts.published, parts.sources)


@pytest.fixture(scope="module")
def processes():
    """Processes that have imported everything already, so that a kill hits the work and not the imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(WARM)
    return context


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, make_shop, run_shop, tables_of):
    """A shop that has run once and holds new files, and the tables it must end with; how long that takes, too."""
    folder = tmp_path_factory.mktemp("kills")
    workflow.simulate("uci_online_retail", customers=60, days=60, seed=5, out=folder)
    lines = (folder / "data" / "online_retail.csv").read_bytes().splitlines(keepends=True)
    header, half = lines[0], len(lines) // 2
    sent = folder / "sent"
    sent.mkdir()
    (sent / "a.csv").write_bytes(b"".join(lines[:half]))
    parts = make_shop(folder / "shop", "uci_online_retail", sent)
    run_shop(parts)
    # An overlapping file, one with faults and new orders, and one that was sent before under another name.
    (sent / "b.csv").write_bytes(header + b"".join(lines[half - 300 : half + 400]))
    (sent / "c.csv").write_bytes(header + b"".join(lines[half + 200 :]))
    (sent / "d.csv").write_bytes((sent / "a.csv").read_bytes())
    shutil.copytree(folder / "shop", folder / "pristine")
    started = time.monotonic()
    done = run_shop(assemble(folder / "shop"))
    took = time.monotonic() - started
    assert not done.build.was_full
    return folder / "shop", tables_of(assemble(folder / "shop")), took


@pytest.mark.parametrize("group", range(5))
def test_killed_anywhere(prepared, processes, run_shop, tables_of, group):
    """After SIGKILL at a random moment, the next run ends well, the ledger balances and no table differs."""
    shop, expected, took = prepared
    chance = random.Random(group)
    moments = []
    for _ in range(max(1, KILLS // 5)):
        shutil.rmtree(shop)
        shutil.copytree(shop.parent / "pristine", shop)
        victim = processes.Process(target=run_project, args=(shop,))
        victim.start()
        moments.append(chance.uniform(0.05, took * 1.05))
        victim.join(moments[-1])
        if victim.is_alive():
            os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        parts = assemble(shop)
        done = run_shop(parts)
        where = f"killed after {moments[-1]:.2f} s of {took:.2f}"
        assert done.ingest.failures == [], where
        assert [row for row in parts.serving.ledger().rows if row[-1] != 0] == [], where
        found = tables_of(parts)
        assert [name for name in expected if found[name] != expected[name]] == [], where
        assert not (parts.published.root / "draft").exists(), where
