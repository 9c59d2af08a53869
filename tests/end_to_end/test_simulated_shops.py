"""Each simulated shop runs end to end, and every planted fault is found: no more, no fewer."""

from collections import Counter
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from shopkeeper import workflow

PRESETS = ("uci_online_retail", "rees46_events", "client_and_sales", "us_retail")


@pytest.fixture(scope="module", params=PRESETS)
def simulated(request, tmp_path_factory, make_shop, run_shop):
    """A shop of one preset, run, with its truth as tables by name."""
    folder = tmp_path_factory.mktemp(request.param)
    workflow.simulate(request.param, customers=120, days=70, seed=11, out=folder, truth=True)
    parts = make_shop(folder / "shop", request.param, folder / "data")
    done = run_shop(parts)
    assert done.ingest.failures == []
    truth = {file.stem: pq.read_table(file).to_pylist() for file in (folder / "truth").glob("*.parquet")}
    return parts, truth


def test_rejects_are_the_planted_ones(simulated):
    """Quarantine holds the lines that truth says must be rejected, by file and row, and no other."""
    parts, truth = simulated
    planted = {(fault["file"], fault["row"]) for fault in truth["faults"] if fault["action"] == "reject"}
    found = {(row["source_file"], row["source_row"]) for row in parts.lake.rejects().to_pylist()}
    assert planted
    assert found == planted


def test_rejects_name_the_column(simulated):
    """Where truth knows the column at fault, the reject names it."""
    parts, truth = simulated
    planted = {
        (fault["file"], fault["row"]): fault["column"]
        for fault in truth["faults"]
        if fault["action"] == "reject" and fault["column"]
    }
    found = {(row["source_file"], row["source_row"]): row["column_name"] for row in parts.lake.rejects().to_pylist()}
    assert {place: found[place] for place in planted} == planted


def test_every_file_balances(simulated):
    """Rows read, rejected and resent of each file are what truth says, and the rest was loaded."""
    parts, truth = simulated
    counted = {
        load.item: (load.rows_read, load.rows_quarantined, load.rows_resent, load.rows_loaded)
        for load in parts.lake.loads()
    }
    for file in truth["files"]:
        read, rejected, resent = file["rows_read"], file["rows_rejected"], file["rows_resent"]
        assert counted.pop(file["file"]) == (read, rejected, resent, read - rejected - resent), file["file"]
    assert counted == {}


def test_flags_are_the_planted_ones(simulated):
    """Lines that truth wants flagged carry the flag in the warehouse, and no other line does."""
    parts, truth = simulated
    if not any(fault["entity"] == "order_lines" for fault in truth["faults"]):
        pytest.skip("this shop has no order lines")
    preset = next(iter(parts.settings.sources.values())).name
    words = Counter(
        word
        for fault in truth["faults"]
        if fault["action"] == "flag" and fault["entity"] == "order_lines"
        for word in fault["flags"].split()
    )
    row = parts.serving.query(
        "select count(*) filter (is_duplicate), count(*) filter (is_zero_price), count(*) filter (unit_price < 0), "
        "count(*) filter (not has_customer) from order_lines"
    ).rows[0]
    assert row[0] == words["duplicate"]
    if preset != "uci_online_retail":  # there, vouchers and adjustments are free, and guests are many, without fault
        assert row[1:3] == (words["zero_price"], words["negative_price"])


def test_totals(simulated):
    """Every figure that truth states about order lines, events and stock is the warehouse's, to the last digit."""
    parts, truth = simulated
    ask = parts.serving.query
    told = {(row["entity"], row["measure"], row["item"]): row["value"] for row in truth["totals"]}
    found: dict[tuple[str, str, str], str] = {}
    for kind, n_lines, amount in ask("select line_kind, count(*), sum(net_amount) from order_lines group by 1").rows:
        found["order_lines", "lines", kind] = str(n_lines)
        found["order_lines", "amount", kind] = str(amount)
    net, orders, customers = ask("select sum(net_sales), count(*), count(distinct customer_id) from orders").rows[0]
    found["order_lines", "net_sales", ""] = str(net)
    found["order_lines", "orders", ""] = str(orders)
    found["order_lines", "customers", ""] = str(customers)
    for kind, n_events in ask("select event_type, count(*) from events group by 1").rows:
        found["events", "events", kind] = str(n_events)
    for reason, units in ask("select reason, sum(quantity)::bigint from inventory_movements group by 1").rows:
        found["inventory_movements", "units", reason] = str(units)
    on_hand = ask("select sum(on_hand)::bigint from inventory_levels").rows[0][0]
    found["inventory_movements", "units_on_hand", ""] = str(on_hand)
    compared = {key: value for key, value in told.items() if key in found}
    assert compared
    assert {key: _number(found[key]) for key in compared} == {key: _number(value) for key, value in compared.items()}


def _number(text: str) -> Decimal:
    return Decimal(text).normalize()


def test_a_clean_shop_has_nothing_to_complain_of(tmp_path, make_shop):
    """Without dirt, nothing is rejected and nothing is resent."""
    workflow.simulate("us_retail", customers=40, days=20, seed=3, out=tmp_path, dirt=False)
    parts = make_shop(tmp_path / "shop", "us_retail", tmp_path / "data")
    done = workflow.ingest(parts.lake, parts.sources)
    assert done.failures == []
    assert sum(load.rows_quarantined + load.rows_resent for load in done.loads) == 0
