"""The data as shown: loads and quarantine of a file of three lines, the lineage of tables, live numbers."""

from datetime import UTC, datetime

import pytest

from shopkeeper import quarantine
from shopkeeper.assembly import SUBJECT_CLASSES
from shopkeeper.published import Version
from shopkeeper.serving import catalogue
from shopkeeper.serving.exhibits import data, filter_of, live

LINES = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1001,MUG,BLUE MUG,4,2011-01-01 10:00:00,2.50,10001,United Kingdom
1002,CUP,TEA CUP,many,2011-01-02 11:00:00,4.00,10004,United Kingdom
1003,MUG,BLUE MUG,8,2011-01-03 23:30:00,2.50,10001,United Kingdom
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory, make_shop, run_shop):
    folder = tmp_path_factory.mktemp("lines")
    (folder / "lines.csv").write_text(LINES, "utf-8")
    found = make_shop(folder / "shop", "uci_online_retail", folder / "lines.csv")
    run_shop(found)
    return found


def test_loads_add_up(parts):
    """Three rows were read, two taken, one is in quarantine; the day is that of the shop's zone."""
    row = data.loaded(parts.lake.loads(), "Pacific/Kiritimati", 1).first()
    assert (row["n_loads"], row["rows_read"], row["rows_loaded"], row["rows_quarantined"]) == (1, 3, 2, 1)
    assert 0 <= (row["last_load_on"] - row["last_load_at"].date()).days <= 1
    (load,) = data.loads(parts.lake.loads(), 1).rows
    assert (load["item"], load["rows_read"]) == ("lines.csv", 3)


@pytest.mark.parametrize("sees", [True, False])
def test_what_rejects_hold_is_for_who_sees_customers(parts, sees):
    """The rule is told to all; the value and the raw text, which may tell of people, are not."""
    reasons = data.reasons(quarantine.explain(parts.lake), 1, sees_customers=sees)
    rejects = data.rejects(parts.lake.rejects().to_pylist(), 1, sees_customers=sees)
    assert reasons.first()["n_rows"] == 1
    assert rejects.first()["source_row"] == 3
    assert ("example" in reasons.table.column_names) == sees
    assert {"value", "raw_text"} & set(rejects.table.column_names) == ({"value", "raw_text"} if sees else set())
    assert ("many" in str(rejects.rows) + str(reasons.rows)) == sees


def test_it_balances_and_is_as_fresh_as_its_last_order(parts):
    """All identities hold; the newest order is of 3 January."""
    visit = parts.gallery.visit(frozenset({"aggregates"}))
    chosen = filter_of({}, visit.choices)
    row = visit.show(data.BALANCE, chosen).first()
    assert row["n_identities"] == row["n_holding"] > 0
    assert str(visit.show(data.NEWEST[0], chosen).first()["newest_on"]) == "2011-01-03"
    assert visit.show(data.NEWEST[1], chosen).lacks == ("core.events",)


def test_every_published_column_has_its_meaning(parts):
    """Whatever a version holds is described, column by column."""
    known = catalogue.catalogue({name: make() for name, make in SUBJECT_CLASSES.items()})
    visit = parts.gallery.visit(frozenset({"aggregates"}))
    for name in visit.edition.version.tables:
        types = visit.show(data.TYPES, filter_of({}, visit.choices), table=name)
        rows = data.columns(types, known[name]).rows
        assert rows, name
        assert [row["column_name"] for row in rows if not row["meaning"]] == [], name


def test_lineage_goes_back_to_the_lake():
    """The funnel is made of sessions, and these, step by step, of the lake's events; macros name tables, too."""
    known = catalogue.catalogue({})
    pairs = catalogue.upstream(known, "metrics.funnel")
    assert pairs[0] == ("core.sessions", "metrics.funnel")
    assert ("lake.events", "staging.stg_lake__events") in pairs
    assert "metrics.daily_activity" in known["metrics.daily_traffic"].reads
    assert "metrics.monthly_activity" in known["metrics.monthly_traffic"].reads
    assert "metrics.funnel" in catalogue.readers(known, "core.sessions")


def test_lineage_is_what_dbt_made_of_it(parts):
    """Each model reads the models that dbt's own manifest says it reads."""
    import json

    manifest = json.loads((parts.settings.home / "dbt" / "target" / "manifest.json").read_text("utf-8"))
    known = catalogue.catalogue({})
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert models
    for node in models:
        name = f"{node['fqn'][1]}.{node['name']}"
        theirs = {each.rsplit(".", 1)[-1] for each in node["depends_on"]["nodes"]}
        ours = {each.partition(".")[2] for each in known[name].reads if not each.startswith("lake.")}
        assert ours == theirs, name


def test_versions_are_told_by_the_shops_day():
    """Half past ten in the evening of UTC is the next day in Berlin."""
    version = Version(
        2, "2011-12-09T23:30:00+00:00", "b", {}, {"core.orders": 3}, {"churn": "churn/1"}, is_current=True
    )
    row = data.publications([version], "Europe/Berlin", 2).first()
    assert (str(row["published_on"]), row["n_tables"], row["n_rows"], row["models"]) == (
        "2011-12-10",
        1,
        3,
        ["churn/1"],
    )


def test_live_minutes_have_no_gaps():
    """Three minutes of which one had events; what tills sold stands beside what trackers told."""
    numbers = {
        "from": "2026-01-01T10:00:00+00:00",
        "to": "2026-01-01T10:03:00+00:00",
        "n_events": 4,
        "events": {"view": 3, "purchase": 1},
        "revenue": 5.0,
        "minutes": [{"minute_at": "2026-01-01T10:01:00+00:00", "n_events": 4, "revenue": 5.0}],
        "top_products": [{"product_id": "A", "n_events": 4, "events": {"view": 3, "purchase": 1}, "revenue": 5.0}],
        "order_lines": {
            "n_lines": 2,
            "net_amount": 9.0,
            "top_products": [{"product_id": "B", "net_amount": 9.0, "quantity": 2.0}],
        },
    }
    minutes = live.by_minute(numbers, 1).rows
    assert [(row["minute_at"], row["n_events"]) for row in minutes] == [
        (datetime(2026, 1, 1, 10, minute, tzinfo=UTC), 4 if minute == 1 else 0) for minute in range(3)
    ]
    assert live.totals(numbers, 1).first() == {
        "n_events": 4,
        "n_purchases": 1,
        "revenue": 5.0,
        "n_order_lines": 2,
        "net_amount": 9.0,
    }
    products = live.top_products(numbers, {"B": "Bowl"}, 1).rows
    assert [(row["product_id"], row["description"], row["n_events"], row["net_amount"]) for row in products] == [
        ("B", "Bowl", 0, 9.0),
        ("A", None, 4, 0.0),
    ]
