"""What every simulated shop keeps to: the same bytes for a seed, the preset's columns, dirt where truth
says.
"""

import hashlib
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopkeeper import presets
from shopkeeper import vocabulary as v
from shopkeeper.errors import UsageError
from shopkeeper.simulator import PRESETS, simulate

SIZES = {
    "client_and_sales": {"customers": 300, "days": 45},
    "rees46_events": {"customers": 200, "days": 45},
    "uci_online_retail": {"customers": 150, "days": 45},
    "us_retail": {"customers": 300, "days": 45},
}


@pytest.fixture(name="shop", params=sorted(SIZES), scope="module")
def _shop(request):
    return simulate(request.param, seed=3, **SIZES[request.param])


def contents(shop, dirt=True):
    return {file.path: b"".join(file.chunks) for file in shop.files(dirt)}


def digest(shop, dirt=True):
    return {path: hashlib.sha256(content).hexdigest() for path, content in contents(shop, dirt).items()}


def test_every_preset_can_be_simulated():
    """There is a shop for each preset, and no other."""
    assert set(PRESETS) == set(presets.names())


def test_a_seed_gives_the_same_bytes_again(shop):
    """Two shops of equal arguments have equal files, and those of another seed differ."""
    size = SIZES[shop.preset]
    again, other = simulate(shop.preset, seed=3, **size), simulate(shop.preset, seed=4, **size)
    again.truth()
    assert digest(again) == digest(shop)
    assert digest(other) != digest(shop)


def test_truth_is_the_same_again(shop):
    """Truth does not depend on what was asked before."""
    again = simulate(shop.preset, seed=3, **SIZES[shop.preset]).truth()
    assert {name: table.to_pydict() for name, table in shop.truth().items()} == {
        name: table.to_pydict() for name, table in again.items()
    }


def test_files_may_be_read_in_any_order(shop):
    """A file's bytes do not depend on the files read before it."""
    backwards = {file.path: b"".join(file.chunks) for file in reversed(list(shop.files()))}
    assert backwards == contents(shop)


def test_paths_are_relative_and_in_order(shop):
    """Paths are posix, relative, unique and sorted, so that a resent file comes after what it repeats."""
    paths = [file.path for file in shop.files()]
    assert paths == sorted(set(paths))
    assert not any(path.startswith("/") or "\\" in path or ".." in path for path in paths)


def test_columns_are_those_of_the_preset(shop, mapping_of, source_columns):
    """Every column the preset maps is in the file, and every column of the file is mapped."""
    for path, content in contents(shop).items():
        header = content.split(b"\n", 1)[0].decode().split(",")
        mapping = mapping_of(shop.preset, path)
        found = source_columns(mapping, header)
        assert all(found.values()), path
        assert sorted(one for names in found.values() for one in names) == sorted(header), path


def test_every_table_of_the_preset_has_a_file(shop, mapping_of):
    """No table of the preset stays empty."""
    entities = {mapping_of(shop.preset, path).entity for path in contents(shop, dirt=False)}
    assert entities == {table["entity"] for table in presets.load(shop.preset)["tables"].values()}


def test_the_clean_files_have_no_fault(shop, read_all):
    """Without dirt a plain reader finds nothing."""
    assert {finding.action for finding in read_all(shop, dirt=False).values()} == {""}
    assert shop.truth(dirt=False)["faults"].num_rows == 0


def test_faults_are_found_exactly(shop, read_all):
    """With dirt a plain reader finds the faults of the truth: no more, no fewer."""
    found = {
        place: (one.action, " ".join(one.flags), one.column) for place, one in read_all(shop).items() if one.action
    }
    said = {
        (one["file"], one["row"]): (one["action"], one["flags"], one["column"])
        for one in shop.truth()["faults"].to_pylist()
    }
    assert found == said


def test_without_its_faults_a_dirty_file_is_the_clean_one(shop):
    """Dirt is added, nothing clean is altered: take the planted lines out and the clean bytes remain."""
    planted = {(one["file"], one["row"]): one["line"] for one in shop.truth()["faults"].to_pylist()}
    clean = contents(shop, dirt=False)
    for path, content in contents(shop).items():
        lines = content.splitlines(keepends=True)
        for row, line in enumerate(lines, start=1):
            assert planted.get((path, row)) in {None, b"", line}
        kept = b"".join(line for row, line in enumerate(lines, start=1) if (path, row) not in planted)
        assert kept == clean.get(path, lines[0])


def test_every_kind_of_dirt_is_there(shop):
    """Each preset has its share of each kind of unreadable line, a cut one and a resent file."""
    kinds = set(shop.truth()["faults"]["fault"].to_pylist())
    assert kinds >= {
        "too_few_fields",
        "too_many_fields",
        "unterminated_quote",
        "invalid_bytes",
        "impossible_date",
        "cut_line",
        "resent_line",
        "duplicate",
        "zero_price",
        "negative_price",
    }


def test_rows_add_up(shop, read_all):
    """Rows read are rows loaded, rejected and resent, for each entity and each file."""
    found = read_all(shop)
    truth = shop.truth()
    totals = {(one["entity"], one["measure"]): one["value"] for one in truth["totals"].to_pylist()}
    rows = Counter[tuple[str, str]]()
    for one in truth["files"].to_pylist():
        own = [finding for (file, _), finding in found.items() if file == one["file"]]
        actions = Counter(finding.action for finding in own)
        assert one["rows_read"] == len(own)
        assert (one["rows_rejected"], one["rows_resent"]) == (actions["reject"], actions["resent"])
        for action in ("reject", "resent"):
            rows[one["entity"], action] += actions[action]
        rows[one["entity"], "read"] += len(own)
    for entity in {entity for entity, _ in rows}:
        read, loaded, rejected, resent = (
            int(totals[entity, f"rows_{name}"]) for name in ("read", "loaded", "rejected", "resent")
        )
        assert read == rows[entity, "read"] == loaded + rejected + resent
        assert (rejected, resent) == (rows[entity, "reject"], rows[entity, "resent"])


def line_kind(preset, fields):
    """The kind of an order line by the preset's own rules."""
    rules = presets.load(preset).get("line_kinds", {})
    code = fields.get("product_id", "").strip().upper()
    for kind, codes in rules.get("codes", {}).items():
        if code in codes:
            return kind
    for kind, prefix in rules.get("prefixes", {}).items():
        if code.startswith(prefix):
            return kind
    quantity, price = Decimal(fields.get("quantity", "1")), Decimal(fields["unit_price"])
    if quantity < 0 and price == 0:
        return v.STOCK_ADJUSTMENT
    cancelled = rules.get("orders", {}).get(v.CANCELLATION)
    if cancelled and fields["order_id"].startswith(cancelled):
        return v.CANCELLATION
    return v.FREE if price == 0 else v.SALE


@pytest.mark.parametrize("dirt", [True, False])
@pytest.mark.parametrize("preset", ["client_and_sales", "uci_online_retail", "us_retail"])
def test_money_of_order_lines_adds_up(preset, dirt, read_all):
    """Lines, amounts and net sales by kind are those of the loaded rows, to the fourth decimal."""
    shop = simulate(preset, seed=5, **SIZES[preset])
    rows = [
        one.fields
        for one in read_all(shop, dirt).values()
        if one.action not in {"reject", "resent"} and "order_id" in one.fields
    ]
    expected, orders = Counter(), {row["order_id"] for row in rows}
    for row in rows:
        kind, amount = line_kind(preset, row), Decimal(row.get("quantity", "1")) * Decimal(row["unit_price"])
        expected["lines", kind] += 1
        expected["amount", kind] += amount
        expected["net_sales", ""] += amount if kind in v.NET_SALES_KINDS else 0
    expected["orders", ""] = len(orders)
    said = {
        (one["measure"], one["item"]): Decimal(one["value"])
        for one in shop.truth(dirt)["totals"].to_pylist()
        if one["entity"] == v.ORDER_LINES and one["measure"] in {"lines", "amount", "net_sales", "orders"}
    }
    assert said == expected


def test_sums_of_events_add_up(read_all):
    """Events by type, sessions by step, visitors and revenue are those of the loaded rows."""
    shop = simulate("rees46_events", seed=5, **SIZES["rees46_events"])
    rows = [one.fields for one in read_all(shop).values() if one.action not in {"reject", "resent"}]
    said = {
        (one["measure"], one["item"]): Decimal(one["value"])
        for one in shop.truth()["totals"].to_pylist()
        if not one["measure"].startswith("rows_")
    }
    expected = {
        ("sessions", ""): len({row["session_id"] for row in rows}),
        ("customers", ""): len({row["customer_id"] for row in rows}),
        ("revenue", ""): sum(Decimal(row["price"]) for row in rows if row["event_type"] == "purchase"),
    }
    for kind in {row["event_type"] for row in rows}:
        own = [row for row in rows if row["event_type"] == kind]
        expected["events", kind] = len(own)
        expected["sessions_with", kind] = len({row["session_id"] for row in own})
    assert said == expected


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    preset=st.sampled_from(sorted(SIZES)),
    customers=st.integers(10, 60),
    days=st.integers(7, 30),
    seed=st.integers(0, 2**32),
)
def test_small_shops_keep_to_the_rule(read_all, preset, customers, days, seed):
    """However small a shop is, what a plain reader finds is what truth says."""
    shop = simulate(preset, customers=customers, days=days, seed=seed)
    found = {place: one.action for place, one in read_all(shop).items() if one.action}
    assert found == {(one["file"], one["row"]): one["action"] for one in shop.truth()["faults"].to_pylist()}


@pytest.mark.parametrize(
    "wrong",
    [{"preset": "corner_shop"}, {"customers": 9}, {"days": 6}, {"seed": -1}],
    ids=lambda one: next(iter(one)),
)
def test_impossible_shops_are_refused(wrong):
    """A wrong argument is answered with a sentence that names it."""
    arguments = {"preset": "us_retail", "customers": 10, "days": 7, "seed": 0} | wrong
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} must be"):
        simulate(**arguments)
