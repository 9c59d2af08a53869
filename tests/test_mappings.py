"""Mappings: what a table of settings may say about a source's columns."""

import pytest

from shopkeeper import presets
from shopkeeper.errors import SettingsError
from shopkeeper.mappings import DATETIME_FORMATS, parse_mapping

COLUMNS = {"order_id": "order", "quantity": "qty", "unit_price": ["price", "unit"], "ordered_at": "at"}
PLAIN = {"entity": "order_lines", "columns": COLUMNS}
WHERE = "[sources.a.tables.b]"


def test_a_plain_mapping():
    """One name or a list of alternatives; all else has a default."""
    mapping = parse_mapping(PLAIN, WHERE)
    assert mapping.columns["order_id"] == ("order",)
    assert mapping.columns["unit_price"] == ("price", "unit")
    assert (mapping.files, mapping.datetime_formats, mapping.decimal_mark) == ("*", DATETIME_FORMATS, ".")
    assert mapping.contract.entity == "order_lines"


def test_a_constant_stands_for_a_required_column():
    """Whatever it is written as, it is text until the contract casts it."""
    columns = {name: value for name, value in COLUMNS.items() if name != "quantity"}
    mapping = parse_mapping({**PLAIN, "columns": columns, "constants": {"quantity": 1}}, WHERE)
    assert mapping.constants == {"quantity": "1"}


def test_the_table_is_not_altered():
    """Parsing twice gives the same."""
    table = {**PLAIN, "datetime_formats": ["%Y"], "columns": dict(COLUMNS)}
    before = repr(table)
    assert parse_mapping(table, WHERE) == parse_mapping(table, WHERE)
    assert repr(table) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"entty": "x"}, ["'entty'", "entity", "Did you mean 'entity'?"]),
        ({"zzz": 1}, ["'zzz'", "Remove it."]),
        ({"entity": "orders"}, ["entity must be one of order_lines", "'orders'", "Choose"]),
        ({"columns": {**COLUMNS, "prodct_id": "sku"}}, ["'prodct_id'", "Did you mean 'product_id'?"]),
        ({"constants": {"zzz": "1"}}, ["'zzz'", "Map your column"]),
        ({"columns": {"order_id": "order"}}, ["must have quantity", "Add quantity ="]),
        ({"columns": {**COLUMNS, "quantity": []}}, ["columns.quantity", "got none", "Name one"]),
        ({"columns": {**COLUMNS, "quantity": 5}}, ["columns.quantity", "5", "Quote the name"]),
        ({"columns": {**COLUMNS, "quantity": ["a", 5]}}, ["columns.quantity", "['a', 5]"]),
        ({"columns": "order"}, ["columns must be a table", "'order'"]),
        ({"constants": ["x"]}, ["constants must be a table", "['x']"]),
        ({"files": 5}, ["files must be a text", "5"]),
        ({"optional": "a"}, ["optional must be a list of texts", "'a'"]),
        ({"datetime_formats": "%Y"}, ["datetime_formats must be a list of texts", "'%Y'"]),
        ({"datetime_formats": []}, ["datetime_formats must name at least one format"]),
        ({"encoding": 8}, ["encoding must be a text", "8"]),
        ({"timezone": "Mars/Base"}, ["timezone must be an IANA zone", "'Mars/Base'"]),
        ({"decimal_mark": ";"}, ["decimal_mark must be '.' or ','", "';'", "For 1.234,56"]),
        ({"decimal_mark": ",", "thousands_mark": ","}, ["differ from thousands_mark"]),
    ],
)
def test_what_is_wrong_is_told(change, words):
    """With the table it stands in, the value, and what to do."""
    with pytest.raises(SettingsError) as refused:
        parse_mapping({**PLAIN, **change}, WHERE)
    for word in words if "entity must be one of" in words[0] else [*words, WHERE[:-1]]:
        assert word in str(refused.value)


@pytest.mark.parametrize("table", ["x", 5, ["a"]])
def test_a_mapping_is_a_table(table):
    """Anything else is told."""
    with pytest.raises(SettingsError, match="must be a table of settings"):
        parse_mapping(table, WHERE)


def test_an_entity_must_be_named():
    """The message shows how."""
    with pytest.raises(SettingsError, match="must name its entity"):
        parse_mapping({"columns": COLUMNS}, WHERE)


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_parses(name):
    """Each of its tables fills a contract."""
    for key, table in presets.load(name)["tables"].items():
        mapping = parse_mapping(table, key)
        assert set(mapping.columns) <= set(mapping.contract.column_names)
