"""The guide says what the simulator does."""

import re
from pathlib import Path

import pytest

from shopkeeper.simulator import PRESETS, simulate

GUIDE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text("utf-8")
SHORT = {
    "uci_online_retail": "uci",
    "rees46_events": "rees46",
    "us_retail": "us",
    "client_and_sales": "client",
}


def documented():
    """Table → its columns and the preset it is particular to, as the guide lists them."""
    section = GUIDE.split("## The truth")[1].split("## The dirt")[0]
    rows = re.findall(r"^\| `(\w+)`(?: \((\w+)\))? \|[^|]*\|(.*)\|$", section, re.MULTILINE)
    return {name: (set(re.findall(r"`(\w+)`", columns)), only) for name, only, columns in rows}


@pytest.fixture(name="shops", scope="module")
def _shops():
    return {preset: simulate(preset, customers=60, days=20, seed=1) for preset in PRESETS}


def test_every_table_and_column_of_the_truth_is_documented(shops):
    """The guide names each table and column, and none that is not there."""
    said = documented()
    seen = {name: set() for name in said}
    for preset, shop in shops.items():
        for name, table in shop.truth().items():
            columns, only = said[name]
            assert only in {"", SHORT[preset]}
            assert set(table.column_names) <= columns, name
            seen[name] |= set(table.column_names)
    assert seen == {name: columns for name, (columns, _) in said.items()}


def test_every_fault_and_measure_is_documented(shops):
    """The guide names each kind of fault, each flag and each total."""
    for shop in shops.values():
        truth = shop.truth()
        words = [*truth["faults"]["fault"].to_pylist(), *truth["totals"]["measure"].to_pylist()]
        words += " ".join(truth["faults"]["flags"].to_pylist()).split()
        for word in set(words):
            assert word in GUIDE or word.split("_")[0] + "_…" in GUIDE, word


def test_the_example_runs():
    """The code of the guide runs as it stands."""
    code = re.search(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    names = {}
    exec(code.group(1), names)  # noqa: S102 - our own guide
    assert names["content"]
    assert names["truth"]["faults"].num_rows
