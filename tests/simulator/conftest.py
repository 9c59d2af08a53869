"""A plain reader of raw files that finds faults on its own: what the platform should find, row by row."""

import csv
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatch

import pytest

from shopkeeper import presets
from shopkeeper import vocabulary as v
from shopkeeper.contracts import Column, Kind
from shopkeeper.mappings import Mapping, parse_mapping
from shopkeeper.simulator import Shop

NUMBERS = {
    Kind.MONEY: re.compile(r"-?\d+(\.\d{1,4})?"),
    Kind.QUANTITY: re.compile(r"-?\d+(\.\d{1,3})?"),
    Kind.INTEGER: re.compile(r"-?\d+"),
}


@dataclass
class Finding:
    """What a reader says of one record: nothing, or what is the matter."""

    action: str = ""
    flags: tuple[str, ...] = ()
    column: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


def tables_of(preset: str) -> dict[str, Mapping]:
    """The mappings of a preset, by table."""
    tables = presets.load(preset)["tables"]
    return {name: parse_mapping(table, name) for name, table in tables.items()}


def mapping_of(preset: str, path: str) -> Mapping:
    """The first mapping of a preset whose glob fits a file."""
    return next(one for one in tables_of(preset).values() if fnmatch(path, one.files))


def source_columns(mapping: Mapping, header: list[str]) -> dict[str, tuple[str, ...]]:
    """Contract column → the columns of this file that fill it."""
    return {
        name: tuple(alternatives)
        if mapping.contract.column(name).kind is Kind.JSON
        else tuple(one for one in alternatives if one in header)[:1]
        for name, alternatives in mapping.columns.items()
    }


def fits(column: Column, text: str, formats: tuple[str, ...]) -> bool:
    """Whether a field fits its column of the contract."""
    if not text.strip():
        return not column.required
    if column.kind is Kind.TIMESTAMP:
        return any(_parses(text, one) for one in formats)
    if column.kind in NUMBERS:
        if not NUMBERS[column.kind].fullmatch(text):
            return False
        return column.minimum is None or Decimal(text) >= column.minimum
    return True


def _parses(text: str, pattern: str) -> bool:
    try:
        datetime.strptime(text, pattern)  # noqa: DTZ007
    except ValueError:
        return False
    return True


def read_record(line: bytes, header: list[str], mapping: Mapping) -> Finding:
    """Whether one line loads, by its contract alone."""
    try:
        values = next(csv.reader([line.decode()], strict=True))
    except (UnicodeDecodeError, csv.Error):
        return Finding("reject")
    if len(values) != len(header):
        return Finding("reject")
    raw = dict(zip(header, values, strict=True))
    fields = {}
    for name, sources in source_columns(mapping, header).items():
        column = mapping.contract.column(name)
        for source in sources:
            if column.kind is not Kind.JSON and not fits(column, raw[source], mapping.datetime_formats):
                return Finding("reject", column=source)
            fields[name] = raw[source]
    return Finding(fields=fields)


def flags_of(entity: str, fields: dict[str, str], stood: int) -> tuple[str, ...]:
    """What must be marked on a row that loads and has stood so often in its file before."""
    if entity not in {v.ORDER_LINES, v.EVENTS}:
        return ()
    price = Decimal(fields["unit_price" if entity == v.ORDER_LINES else "price"])
    checks = {
        "duplicate": stood > 0,
        "no_customer": fields.get("customer_id") == "",
        "no_description": fields.get("description") == "",
        "zero_price": price == 0,
        "negative_price": price < 0,
    }
    return tuple(name for name, is_so in checks.items() if is_so)


def read_all(shop: Shop, dirt: bool = True) -> dict[tuple[str, int], Finding]:
    """Read all files of a shop in their order: (file, row) → what is found there, the header being row 1."""
    findings: dict[tuple[str, int], Finding] = {}
    before: dict[str, Counter[bytes]] = {}
    for file in shop.files(dirt):
        header_line, *lines = b"".join(file.chunks).split(b"\n")
        header = header_line.decode().split(",")
        mapping = mapping_of(shop.preset, file.path)
        known, own = before.setdefault(mapping.entity + str(header), Counter()), Counter[bytes]()
        for row, line in enumerate(lines[: -1 if not lines[-1] else None], start=2):
            finding = read_record(line, header, mapping)
            findings[file.path, row] = finding
            if finding.action:
                continue
            stood = own[line]
            own[line] += 1
            if own[line] <= known[line]:
                finding.action = "resent"
                continue
            finding.flags = flags_of(mapping.entity, finding.fields, stood)
            code = finding.fields.get("product_id", "")
            finding.action = "flag" if finding.flags else "merge" if code != code.upper() else ""
        known |= own
    return findings


@pytest.fixture(name="read_all")
def _read_all() -> Callable[..., dict[tuple[str, int], Finding]]:
    return read_all


@pytest.fixture(name="mapping_of")
def _mapping_of() -> Callable[[str, str], Mapping]:
    return mapping_of


@pytest.fixture(name="source_columns")
def _source_columns() -> Callable[[Mapping, list[str]], dict[str, tuple[str, ...]]]:
    return source_columns
