"""What pages ask beyond a version: models are changed with care, a lake is read and not made, drift is told once."""

import pytest

from shopkeeper import workflow
from shopkeeper.apps.dashboard.workbench import Workbench, workbench
from shopkeeper.assembly import assemble
from shopkeeper.errors import LockedError, ModelError, UsageError
from shopkeeper.evaluation import Figure


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """A project with two registered versions of churn, made by hand; the gate refused the second."""
    folder = tmp_path_factory.mktemp("registered")
    (folder / "shop").mkdir()
    (folder / "shop" / "shopkeeper.toml").write_text('[shop]\nname = "registered"\n', "utf-8")
    parts = assemble(folder / "shop")
    for number, decision in ((1, "promote"), (2, "refuse")):
        files = folder / f"files-{number}"
        files.mkdir()
        (files / "card.md").write_text(f"# churn {number}", "utf-8")
        tags = {"candidate": "trees", "decision": decision, "reason": "It does not beat the baseline."}
        figures = {"trees.log_loss": Figure(0.5, 0.4, 0.6)}
        parts.registry.register("churn", folder=files, figures=figures, parameters={}, tags=tags)
    parts.registry.promote("churn", 1)
    return parts


def states(bench):
    return {each.name: each.state for each in bench.versions("churn")}


def test_a_champion_is_changed_and_taken_back(registered):
    """What the gate refused wants force; going back makes the former champion serve again; each is seen at once."""
    bench = Workbench(registered)
    assert states(bench) == {"churn/2": "challenger", "churn/1": "champion"}
    with pytest.raises(ModelError, match="It does not beat the baseline"):
        bench.promote("churn/2", force=False)
    assert bench.promote("churn/2", force=True).name == "churn/2"
    assert states(bench) == {"churn/2": "champion", "churn/1": "archived"}
    assert bench.rollback("churn").name == "churn/1"
    assert states(bench) == {"churn/2": "archived", "churn/1": "champion"}
    with pytest.raises(UsageError, match="earlier champion"):
        bench.rollback("churn")


def test_what_another_process_changes_is_seen(registered):
    """Versions are kept until the registry was written, by whomever."""
    bench = Workbench(registered)
    before = states(bench)
    assemble(registered.settings.project).registry.promote("churn", 2)
    assert states(bench) != before
    assemble(registered.settings.project).registry.rollback("churn")
    assert states(bench) == before


def test_nothing_is_changed_while_a_run_holds_the_project(registered):
    """A promotion, a rollback and a publication say who holds it."""
    bench = Workbench(registered)
    with workflow.exclusive(registered.settings.home):
        for change in (lambda: bench.promote("churn/1", force=True), lambda: bench.rollback("churn"), bench.take_up):
            with pytest.raises(LockedError, match="is held by process"):
                change()


def test_reading_makes_no_lake_and_no_log(registered):
    """Where there is none, loads and quarantine are empty, and nothing is made."""
    bench = Workbench(registered)
    assert (bench.has_lake, bench.loads(), bench.quarantine(), bench.has_log) == (False, [], None, False)
    assert not registered.settings.lake.exists()
    assert not registered.settings.log.exists()


def test_quarantine_is_read_anew_when_something_was_loaded(tmp_path, make_shop, run_shop):
    """One line waits; after another file, two do. The download is that of `shopkeeper quarantine export`."""
    head = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    wrong = "{},MUG,BLUE MUG,many,2011-01-01 10:00:00,2.50,10001,France\n"
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.csv").write_text(head + wrong.format(1001), "utf-8")
    parts = make_shop(tmp_path / "shop", "uci_online_retail", data)
    run_shop(parts)
    bench = workbench(parts)
    assert workbench(parts) is bench
    assert bench.quarantine().rejects.num_rows == 1
    (data / "b.csv").write_text(head + wrong.format(1002), "utf-8")
    workflow.ingest(parts.lake, parts.sources)
    assert bench.quarantine().rejects.num_rows == 2
    assert [each.item for each in bench.loads()] == ["b.csv", "a.csv"]
    text = bench.rejects_csv().decode("utf-8-sig")
    assert text.startswith("reject_id,")
    assert text.count("many") >= 2
