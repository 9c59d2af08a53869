"""Files of every type, in folders and archives, whole and broken."""

import gzip
import io
import json
import os
import tomllib
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopkeeper.errors import ContractError, OutsideError, StorageError
from shopkeeper.mappings import parse_mapping
from shopkeeper.sources.archive import Limits
from shopkeeper.sources.files import FileSource
from shopkeeper.sources.source import Known

CSV = b"order,sku,qty,price,at\no1,s1,1,1.5,2020-01-01\n"


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def workbook(rows: list[list], sheet: str = "Sheet", more: tuple[str, ...] = ()) -> bytes:
    book = openpyxl.Workbook()
    book.active.title = sheet
    for row in rows:
        book.active.append(row)
    for name in more:
        book.create_sheet(name)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path, lines):
    """Write files and give a source over a path among them."""

    def make(files: dict[str, bytes], path: str = "", limits: Limits | None = None, **mappings) -> FileSource:
        root = tmp_path / "in"
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        tables = {name: lines(**changes) for name, changes in mappings.items()} or {"lines": lines()}
        return FileSource("shop", root / path, tables, timezone="UTC", scratch=tmp_path / "scratch", limits=limits)

    return make


def test_a_folder_of_mixed_files(folder, every):
    """What can be read is read in order of name; the rest is listed with the reason; hidden files are
    nothing.
    """
    source = folder(
        {
            "b.csv": CSV,
            "a/sales.csv.gz": gzip.compress(CSV, mtime=0),
            "a/readme.md": b"hello",
            "other.csv": CSV,
            ".hidden.csv": CSV,
            "z.zip": zipped({"in/b.csv": CSV, "../../b.csv": CSV, "b.zip": zipped({"b.csv": CSV}), "x.bin": b""}),
            "broken.zip": b"PK not really",
        },
        sales={"files": "*SALES*"},
        lines={"files": "*b.csv"},
    )
    assert {(item.name, item.table) for item in source.items(Known())} == {
        ("a/sales.csv.gz", "sales"),
        ("b.csv", "lines"),
        ("z.zip/../../b.csv", "lines"),
        ("z.zip/b.zip/b.csv", "lines"),
        ("z.zip/in/b.csv", "lines"),
    }
    assert [word.split(":")[0] for word in source.skipped] == [
        "a/readme.md",
        "other.csv",
        "z.zip/x.bin",
    ]
    assert [name for name, _ in source.failed] == ["broken.zip"]
    assert all(found.rows_read == len(found.rows) == 1 for found in every(source).values())


def test_a_glob_and_a_single_file(folder, every):
    """Names are below the part that has no pattern; a single file is known by its own name."""
    files = {"2020/a.csv": CSV, "2020/b.csv": CSV, "2021/a.csv": CSV}
    assert list(every(folder(files, "20*/a.csv"))) == ["2020/a.csv", "2021/a.csv"]
    assert list(every(folder(files, "2020/b.csv"))) == ["b.csv"]


def test_equal_bytes_have_equal_fingerprints(folder):
    """Inside of an archive or not."""
    items = list(folder({"a.csv": CSV, "b.zip": zipped({"c.csv": CSV}), "d.csv": CSV + CSV}).items(Known()))
    prints = [item.fingerprint for item in items]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.zip", b"PK\3\4 nothing", "an archive must be whole"),
        ("a.csv.gz", gzip.compress(CSV * 99, mtime=0)[:-20], "an archive must be whole"),
        ("a.csv.gz", b"no gzip", "an archive must be whole"),
        ("a.xlsx", b"no workbook", "must be a whole Excel file"),
        ("a.xlsx", zipped({"x": b"y"}), "must be a whole Excel file"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "without a password"),
        ("a.xlsx", workbook([]), "must have a header"),
        ("a.parquet", b"PAR1 no", "a Parquet file must be whole"),
        ("a.json", b'[{"order": 1}]', "one object a line"),
        ("a.exe", b"MZ", "a file must be one we can read; a.exe: its type is not among"),
    ],
    ids=[str(number) for number in range(10)],
)
def test_a_broken_file_is_told(read, tmp_path, name, content, message):
    """What is wrong and what to do, and no trace in the scratch folder."""
    with pytest.raises(ContractError, match=message):
        read(content, name)
    scratch = tmp_path / "scratch"
    assert not scratch.exists() or not list(scratch.iterdir())


def test_a_path_that_is_not_there(folder, every):
    """A file, and a pattern that matches nothing."""
    with pytest.raises(OutsideError, match="a path must exist"):
        every(folder({}, "nowhere.csv"))
    with pytest.raises(OutsideError, match="at least one file"):
        every(folder({}, "*.csv"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights_is_told(folder, every, tmp_path):
    """Give this user the right to read it."""
    source = folder({"a.csv": CSV}, "a.csv")
    (tmp_path / "in" / "a.csv").chmod(0)
    with pytest.raises(StorageError, match="must be readable"):
        every(source)


@pytest.mark.parametrize("limits", [Limits(size=100_000), Limits(ratio=50, ratio_from=100_000)])
@pytest.mark.parametrize("name", ["bomb.zip", "bomb.csv.gz"])
def test_a_bomb_is_not_unpacked_past_the_limit(folder, every, limits, name):
    """By its size, or by how much larger it is than what is packed; the declared size is not believed."""
    zeros = CSV + b"0" * 1_000_000
    content = zipped({"a.csv": zeros}) if name.endswith("zip") else gzip.compress(zeros)
    with pytest.raises(ContractError, match="zip bomb"):
        every(folder({name: content}, name, limits=limits))


def test_a_full_disk_is_told(folder, every, monkeypatch):
    """As a storage error that names the scratch folder."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    source = folder({"a.csv": CSV.decode().encode("utf-16")}, "a.csv")
    monkeypatch.setattr("shopkeeper.sources.delimited.transcode", full)
    with pytest.raises(StorageError, match="must have free space; got No space left"):
        every(source)


HEAD = ["order", "sku", "qty", "price", "at"]


def test_a_workbook_part_numbers_part_text(read):
    """Whole numbers are text without a point, floats are the decimals they stand for, dates are local
    times.
    """
    rows = [
        HEAD,
        [536365, "85123A", 6, 0.1 + 0.2, datetime(2020, 7, 1, 12)],  # noqa: DTZ001
        [],
        ["C536", 71053, 2.5, 3, datetime(2020, 1, 1)],  # noqa: DTZ001
        [17850.0, None, "x", 1.23456, datetime(2020, 1, 1)],  # noqa: DTZ001
    ]
    found = read(workbook(rows), name="a.xlsx", zone="Europe/London")
    assert [(row["order_id"], row["product_id"], row["source_row"]) for row in found.rows] == [
        ("536365", "85123A", 2),
        ("C536", "71053", 4),
    ]
    assert found.column("unit_price") == [Decimal("0.3"), Decimal(3)]
    assert found.column("ordered_at")[0] == datetime(2020, 7, 1, 11, tzinfo=UTC)
    assert (found.rejects[0]["source_row"], found.rejects[0]["column_name"]) == (5, "qty, price")


def test_a_sheet_below_blank_rows_and_among_others(read):
    """Rows have the numbers the spreadsheet shows; the sheets not read are named."""
    content = workbook([[], [], HEAD, ["o", "s", 1, 1, "2020-01-01"]], "Sales", ("Notes",))
    found = read(content, name="a.xlsx")
    assert found.column("source_row") == [4]
    assert found.notes == ["a.xlsx was read from sheet 'Sales'; not read: 'Notes'"]
    with pytest.raises(ContractError, match="sheet must be one of 'Sales', 'Notes'; got 'Other'"):
        read(content, name="a.xlsx", sheet="Other")
    with pytest.raises(ContractError, match="got 'order' 2 times"):
        read(workbook([[*HEAD, "order"], ["o", "s", 1, 1, "2020-01-01", "p"]]), name="b.xlsx")


def test_cells_that_hold_nothing_make_no_row(read):
    """Formulas that give an empty text, errors, and a column without a single value."""
    book = openpyxl.Workbook()
    for row in (
        [*HEAD, "note"],
        ["o1", None, 1, 1, "2020-01-01", None],
        [],
        [],
        ["o2", None, 1, 1, "2020-01-01"],
    ):
        book.active.append(row)
    book.active["A3"] = "#DIV/0!"
    book.active["A3"].data_type = "e"
    book.active["B4"] = '=IF(TRUE,"","")'
    buffer = io.BytesIO()
    book.save(buffer)
    plain, changed = io.BytesIO(buffer.getvalue()), io.BytesIO()
    with zipfile.ZipFile(plain) as before, zipfile.ZipFile(changed, "w") as after:
        for name in before.namelist():
            text = before.read(name)
            after.writestr(name, text.replace(b'<c r="B4">', b'<c r="B4" t="str">').replace(b"<v />", b"<v></v>"))
    found = read(changed.getvalue(), name="a.xlsx")
    assert found.column("source_row") == [2, 5]
    assert found.column("product_id") == [None, None]


def test_json_lines(read):
    """A bad line is rejected alone, nested values are JSON, a key that comes late is found."""
    good = {"order": 7, "sku": {"a": [1]}, "qty": 1.0, "price": 0.30000000000000004, "at": "2020-01-01"}
    late = [{**good, "order": str(number)} for number in range(1100)]
    del good["sku"]
    content = "\n".join(["{broken", "[1]", "", *(json.dumps(good) for _ in range(2)), *map(json.dumps, late)])
    found = read(content.encode(), name="a.jsonl")
    assert [(reject["source_row"], reject["raw_text"]) for reject in found.rejects] == [
        (1, "{broken"),
        (2, "[1]"),
    ]
    assert found.rows[0]["product_id"] is None
    assert found.rows[2]["product_id"] == '{"a":[1]}'
    assert (found.rows[0]["order_id"], found.rows[0]["unit_price"]) == ("7", Decimal("0.3"))


def test_parquet_keeps_its_types(read, tmp_path):
    """Integers, decimals, floats and moments with and without a zone."""
    table = pa.table(
        {
            "order": [17850.0, 2.5, float("nan")],
            "sku": pa.array(["a", "b", "c"]).dictionary_encode(),
            "qty": pa.array([1, 2, 3], pa.int16()),
            "price": pa.array([Decimal("1.50000"), Decimal("1.50001"), Decimal(1)], pa.decimal128(20, 5)),
            "at": pa.array([datetime(2020, 7, 1, 12, tzinfo=UTC)] * 3, pa.timestamp("ns", tz="UTC")),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = read((tmp_path / "a.parquet").read_bytes(), name="a[1].parquet", zone="Asia/Tokyo")
    assert [(row["order_id"], row["product_id"]) for row in found.rows] == [("17850", "a")]
    assert found.column("ordered_at") == [datetime(2020, 7, 1, 12, tzinfo=UTC)]
    assert found.column("source_row") == [1]
    assert [reject["rule"] for reject in found.rejects] == [
        "unit_price must be an amount with at most 4 decimals",
        "order_id must not be empty",
    ]


def preset(name: str) -> dict:
    text = (resources.files("shopkeeper.presets") / f"{name}.toml").read_text()
    return {table: parse_mapping(made, table) for table, made in tomllib.loads(text)["tables"].items()}


def load(path: Path, tables: dict, zone: str, scratch: Path) -> tuple[pa.Table, pa.Table, int]:
    source = FileSource("real", path, tables, timezone=zone, scratch=scratch)
    (item,) = source.items(Known())
    with source.read(item) as reading:
        batches = list(reading.batches)
        rows = pa.Table.from_batches([batch.rows for batch in batches])
        return rows, pa.Table.from_batches([batch.rejects for batch in batches]), reading.rows_read


@pytest.mark.real_data
def test_online_retail_is_the_same_from_excel_and_csv(data, tmp_path):
    """541,909 typed rows, equal in every column, row number included."""
    tables = preset("uci_online_retail")
    retail = data / "online_retail"
    excel, rejects, counted = load(retail / "Online Retail.xlsx", tables, "Europe/London", tmp_path)
    text, _, _ = load(retail / "kaggle_ecommerce_data.zip", tables, "Europe/London", tmp_path)
    assert (excel.num_rows, rejects.num_rows, counted) == (541_909, 0, 541_909)
    assert excel.equals(text)
    assert excel["customer_id"].null_count == 135_080
    assert excel["description"].null_count == 1_454


@pytest.mark.real_data
def test_the_rees46_sample_ends_in_a_cut_line(data, tmp_path):
    """17,434 events and one reject."""
    path = data / "rees46" / "2019-Oct-sample.csv"
    rows, rejects, counted = load(path, preset("rees46_events"), "UTC", tmp_path)
    assert (rows.num_rows, rejects.num_rows, counted) == (17_434, 1, 17_435)
    assert rejects["source_row"].to_pylist() == [17_436]


@pytest.mark.parametrize(
    ("cells", "prices", "rejected"),
    [
        ([2.5, "abc"], ["2.5"], ["abc"]),
        ([2.5, "1.234,56"], ["2.5", "1234.56"], []),
        (["2,5", 7, 0.001], ["2.5", "7", "0.001"], []),
        ([2.5, "1.234"], ["2.5"], ["1.234"]),  # 1,234 or 1.234: nobody can tell
    ],
)
def test_numbers_among_texts_with_a_comma(read, cells, prices, rejected):
    """A number cell keeps its value whatever marks the texts beside it are written with."""
    rows = [HEAD, *(["o", "s", 1, cell, "2020-01-01"] for cell in cells)]
    found = read(workbook(rows), name="a.xlsx", decimal_mark=",", thousands_mark=".")
    assert sorted(found.column("unit_price")) == sorted(map(Decimal, prices))
    assert [reject["value"] for reject in found.rejects] == rejected


@pytest.mark.parametrize("word", ["N/A", "NA", "n/a", "NULL", "NaN", "None"])
def test_a_word_for_nothing_among_numbers_is_not_nothing(read, word):
    """Where a column of numbers holds a word, the row is rejected with that word, not loaded without a price."""
    rows = [HEAD, ["o1", "s", 1, 1.5, "2020-01-01"], ["o2", "s", 1, word, "2020-01-01"]]
    found = read(workbook(rows), name="a.xlsx")
    assert found.column("unit_price") == [Decimal("1.5")]
    assert [(reject["source_row"], reject["value"]) for reject in found.rejects] == [(3, word)]
