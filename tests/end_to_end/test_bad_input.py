"""What bad input gets: a clear error or a reject row with the reason; never a crash, never silence."""

import gzip
import io
import json
import os
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field

import openpyxl
import pytest

from shopkeeper import vocabulary as v
from shopkeeper import workflow
from shopkeeper.assembly import assemble
from shopkeeper.errors import NewerFormatError
from shopkeeper.settings import FILE

TOML = """
[sources.shop]
path = "in"
[sources.shop.tables.lines]
entity = "order_lines"
MORE
[sources.shop.tables.lines.columns]
order_id = "order"
product_id = "sku"
quantity = "qty"
unit_price = "price"
ordered_at = "at"
"""
HEAD = b"order,sku,qty,price,at\n"
HOSTILE = "'); drop table order_lines; --"


def good(order: str, sku: str = "s1") -> bytes:
    return f"{order},{sku},1,2.50,2020-01-01\n".encode()


ONE, TWO = good("o1"), good("o2")


@dataclass
class Got:
    """What an ingest of one or more files came to."""

    orders: list[str]
    products: list[str]
    rejects: list[tuple[int, str]]
    failures: dict[str, str]
    messages: str
    skipped: str
    values: list[str] = field(default_factory=list)


@pytest.fixture
def take(tmp_path) -> Callable[..., Got]:
    """Put files into a project, ingest them, check that each load balances, tell what came of it."""

    def make(files: bytes | dict[str, bytes], more: str = "", *, sku: str = "sku") -> Got:
        for name, content in ({"a.csv": files} if isinstance(files, bytes) else files).items():
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (tmp_path / FILE).write_text(TOML.replace("MORE", more).replace('"sku"', json.dumps(sku)), "utf-8")
        parts = assemble(tmp_path)
        done = workflow.ingest(parts.lake, parts.sources)
        for load in done.loads:
            assert load.rows_read == load.rows_loaded + load.rows_resent + load.rows_quarantined
        rows = parts.lake.read(v.ORDER_LINES).sort_by([("source_file", "ascending"), ("source_row", "ascending")])
        rejects = parts.lake.rejects().to_pylist()
        assert len(rows) + len(rejects) == sum(load.rows_read - load.rows_resent for load in parts.lake.loads())
        return Got(
            orders=rows["order_id"].to_pylist(),
            products=rows["product_id"].to_pylist(),
            rejects=[(row["source_row"], row["rule"]) for row in rejects],
            failures={each.item: each.message for each in done.failures},
            messages="; ".join(each.message for each in done.taken),
            skipped="; ".join(done.skipped),
            values=[row["value"] for row in rejects],
        )

    return make


def told(rejects: list[tuple[int, str]], expected: list[tuple[int, str]]) -> bool:
    """Whether each reject has the row, and in its rule the words, that are expected."""
    pairs = zip(rejects, expected, strict=True)
    return all(row == wanted and words in rule for (row, rule), (wanted, words) in pairs)


# ------------------------------------------------- files that are refused


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["a.csv", "a file must have a header", "0 bytes"]),
        (b"\n\n\n", ["a file must have a header", "only blank lines"]),
        (
            HEAD.replace(b",price", b"") + b"o1,s1,1,2020-01-01\n",
            ["must have the column 'price'", "unit_price"],
        ),
        (HEAD.replace(b"price", b"Prices") + ONE, ["must have the column 'price'", "Is it 'Prices' now?"]),
        (HEAD.replace(b"sku", b"price") + ONE, ["column names must differ", "'price' 2 times"]),
        (HEAD.replace(b",", b"^") + ONE.replace(b",", b"^"), ["must have the column", "order^sku"]),
        (b"PK\x03\x04" + bytes(100), ["must have the column"]),
    ],
    ids=["empty", "blank", "missing column", "renamed column", "doubled column", "odd delimiter", "not text"],
)
def test_a_file_without_the_columns_is_refused(take, content, words):
    """It fails with a sentence, and the good file beside it is loaded."""
    got = take({"a.csv": content, "b.csv": HEAD + ONE})
    assert (list(got.failures), got.orders) == (["a.csv"], ["o1"])
    for word in words:
        assert word in got.failures["a.csv"]


def test_a_wrong_delimiter_in_the_settings(take):
    """The right one is named."""
    got = take(HEAD + ONE, 'delimiter = ";"')
    assert "Set delimiter = ','" in got.failures["a.csv"]


def test_a_header_only(take):
    """An empty day is no failure, but it is said."""
    got = take(HEAD)
    assert (got.orders, got.failures, "has a header and no rows" in got.messages) == ([], {}, True)


def test_an_extra_column_is_said(take):
    """It is not loaded, and that is no secret."""
    got = take(HEAD[:-1] + b",colour\n" + ONE[:-1] + b",red\n")
    assert (got.orders, "column 'colour' of a.csv is not mapped" in got.messages) == (["o1"], True)


# --------------------------------------------------- text in many shapes


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_is_found(take, delimiter):
    """Without being told."""
    got = take((HEAD + ONE).replace(b",", delimiter.encode()))
    assert (got.orders, got.failures) == (["o1"], {})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_another_encoding_is_found(take, encoding):
    """A mark is no part of the first column's name, and letters stay what they are."""
    got = take((HEAD.decode() + good("o1", "café").decode()).encode(encoding))
    assert (got.products, got.failures) == (["café"], {})


@pytest.mark.parametrize(
    ("lines", "orders", "rejects"),
    [
        (ONE + "o2,é".encode() + b"\xff,1,1,2020-01-01\n" + good("o3"), ["o1", "o3"], [(3, "UTF-8")]),
        (
            ONE + b"o2,s1,1",
            ["o1"],
            [(3, "5 fields; got 3 (the file's last line, which may have been cut off)")],
        ),
        (b'o1,"s1,1,2,2020-01-01\n' + TWO + good("o3"), ["o2", "o3"], [(2, "unterminated quote")]),
        (ONE + b"o2,s1,1,2,2020-01-01,x\n" + good("o3"), ["o1", "o3"], [(3, "5 fields; got 6")]),
        (ONE + b"o2,s1,1,2,2020-02-30\n", ["o1"], [(3, "ordered_at must be a date")]),
        (ONE + b"o2,s1,1,2,0000-00-00\n", ["o1"], [(3, "ordered_at must be a date")]),
        (ONE + b"o2,s1,1,2,31/12/2020\n", ["o1"], [(3, "datetime_formats")]),
        (ONE + b"o2,s1,one,2,2020-01-01\n", ["o1"], [(3, "quantity must be a number")]),
        (
            ONE + b'o2,s1,1,"1.234,56",2020-01-01\n',
            ["o1"],
            [(3, 'decimal_mark = "," and thousands_mark = "."')],
        ),
        (ONE + "o2,s1,1,£3.50,2020-01-01\n".encode(), ["o1"], [(3, 'currency_symbols = "£"')]),
        (ONE + b"o2,s1,,2,2020-01-01\n", ["o1"], [(3, "quantity must not be empty")]),
        (ONE + b" ,s1,1,2,2020-01-01\n", ["o1"], [(3, "order_id must not be empty")]),
        (ONE + b"o2,s1,1,nan,2020-01-01\n", ["o1"], [(3, "unit_price must be an amount")]),
        (ONE + b"o2,s1,1,1e300,2020-01-01\n", ["o1"], [(3, "unit_price must be an amount")]),
        (ONE + b"o2,s1,1,1.00001,2020-01-01\n", ["o1"], [(3, "at most 4 decimals")]),
        (ONE + b"o2,s\0,1,2,2020-01-01\n" + good("o3"), ["o1", "o2", "o3"], []),
    ],
    ids=[
        *(
            "invalid bytes",
            "last line cut",
            "unterminated quote",
            "a field too many",
            "no such day",
            "no day",
        ),
        *("another date format", "words", "1.234,56", "£3.50", "nothing", "blank", "nan", "too large"),
        *("too many decimals", "zero byte"),
    ],
)
def test_a_bad_line_costs_itself_only(take, lines, orders, rejects):
    """It waits in quarantine under its row number with the rule it breaks; all others are there."""
    got = take(HEAD + lines)
    assert (got.orders, got.failures) == (orders, {})
    assert told(got.rejects, rejects), got.rejects


def test_numbers_as_they_are_written_elsewhere(take):
    """Once the marks are declared, 1.234,56 and £3,50 are amounts."""
    marks = 'decimal_mark = ","\nthousands_mark = "."\ncurrency_symbols = "£"'
    got = take(
        (HEAD + b"o1,s1,1,1.234|56,2020-01-01\no2,s1,1,\xc2\xa33|50,2020-01-01\n")
        .replace(b",", b";")
        .replace(b"|", b","),
        marks,
    )
    assert (got.orders, got.rejects) == (["o1", "o2"], [])


def test_dates_in_two_formats(take):
    """Once both are declared, each line is read by the one that fits."""
    got = take(HEAD + ONE + b"o2,s1,1,2,31/12/2020\n", 'datetime_formats = ["%Y-%m-%d", "%d/%m/%Y"]')
    assert (got.orders, got.rejects) == (["o1", "o2"], [])


def test_a_long_line(take):
    """Five megabytes in one line: one reject, cut short; the lines around it are there."""
    got = take(HEAD + ONE + b"o2," + b"x" * 5_000_000 + b",1,1,2020-01-01\n" + good("o3"))
    assert (got.orders, got.failures) == (["o1", "o3"], {})
    assert told(got.rejects, [(3, "a record must be no longer than")])


@pytest.mark.parametrize("name", ["a.csv.gz", "a.zip"])
def test_packed_files_are_read(take, name):
    """As what they hold."""
    got = take({name: packed(name, HEAD + ONE)})
    assert (got.orders, got.failures) == (["o1"], {})


def packed(name: str, content: bytes) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(content, 9)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", content)
    return target.getvalue()


def test_a_zip_bomb(take):
    """A hundred megabytes of nothing in a hundred kilobytes: refused, and nothing of it is left."""
    bomb = packed("a.zip", HEAD + bytes(120 * 1024 * 1024))
    got = take({"bomb.zip": bomb, "b.csv": HEAD + ONE})
    assert (got.orders, list(got.failures)) == (["o1"], ["bomb.zip"])
    assert "zip bomb" in got.failures["bomb.zip"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.xlsx", b"PK\x03\x04garbled", "a workbook must be a whole Excel file"),
        ("a.xlsx", b"", "a workbook must be a whole Excel file"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "without a password"),
        ("a.zip", b"PK\x03\x04garbled", "an archive must be whole"),
        ("a.csv.gz", b"\x1f\x8b garbled", "an archive must be whole"),
        ("a.csv.gz", gzip.compress(HEAD + ONE * 1000)[:-20], "an archive must be whole"),
        ("a.parquet", b"PAR1 garbled", "a.parquet"),
        ("a.jsonl", b'{"order": \n', "a.jsonl"),
    ],
    ids=["workbook", "empty workbook", "locked workbook", "zip", "gzip", "cut gzip", "parquet", "json lines"],
)
def test_a_damaged_file(take, name, content, words):
    """It is told by name with what to do, and the good file beside it is loaded."""
    got = take({name: content, "b.csv": HEAD + ONE})
    assert (got.orders, list(got.failures)) == (["o1"], [name])
    assert words in got.failures[name]


def workbook(*rows: tuple) -> bytes:
    target, book = io.BytesIO(), openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(target)
    return target.getvalue()


def test_a_bad_row_of_a_workbook(take):
    """As in text: the row number a spreadsheet shows, and the rule."""
    head = tuple(HEAD.decode().strip().split(","))
    rows = [
        ("o1", "s1", 1, 2.5, "2020-01-01"),
        ("o2", "s1", "one", 2.5, "2020-01-01"),
        ("o3", "s1", 1, 2.5, "2020-01-01"),
    ]
    got = take({"a.xlsx": workbook(head, *rows)})
    assert got.orders == ["o1", "o3"]
    assert told(got.rejects, [(3, "quantity must be a number")])


def test_a_folder_of_mixed_files(take):
    """What can be read is, in its folders too; what cannot is told, and hidden files are none of ours."""
    files = {
        "a.csv": HEAD + ONE,
        "deep/b.tsv": (HEAD + TWO).replace(b",", b"\t"),
        "c.jsonl": b'{"order": "o3", "sku": "s1", "qty": 1, "price": 2.5, "at": "2020-01-01"}\n',
        "d.zip": packed("d.zip", HEAD + good("o4")),
        "readme.pdf": b"%PDF",
        ".hidden.csv": b"nothing",
        "~$a.xlsx": b"locked",
        "e.csv": b"",
    }
    got = take(files)
    assert sorted(got.orders) == ["o1", "o2", "o3", "o4"]
    assert list(got.failures) == ["e.csv"]
    assert "readme.pdf: its type is not among" in got.skipped
    assert "hidden" not in got.skipped + got.messages


def test_no_files(take, tmp_path):
    """A path that leads nowhere is told."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in").rmdir()
    (tmp_path / FILE).write_text(TOML.replace("MORE", ""))
    parts = assemble(tmp_path)
    (failed,) = workflow.ingest(parts.lake, parts.sources).failures
    assert "a path must exist" in failed.message


def test_a_file_that_is_a_folder(take, tmp_path):
    """Its name alone makes no file of it."""
    (tmp_path / "in" / "a.csv").mkdir(parents=True)
    got = take({"b.csv": HEAD + ONE})
    assert (got.orders, got.failures) == (["o1"], {})


# ------------------------------------------------------- hostile content


def test_sql_stays_text(take):
    """In a value, in the name of a column that is mapped, of one that is not, and of a file."""
    header = HEAD.replace(b"sku", HOSTILE.encode())[:-1] + b',"x\'); select ""1"""\n'
    got = take({f"{HOSTILE}.csv": header + good("o1", HOSTILE)[:-1] + b",x\n"}, sku=HOSTILE)
    assert (got.orders, got.products, got.failures) == (["o1"], [HOSTILE], {})
    assert "select" in got.messages


def test_credentials_never_show(tmp_path, capsys):
    """A server that refuses: neither the url's password nor the token of secrets.toml is told."""
    (tmp_path / FILE).write_text(
        TOML.replace(
            'path = "in"', 'attempts = 1\npath = "https://user:hunter2@127.0.0.1:9/a.csv?token=hunter3"'
        ).replace("MORE", "")
    )
    (tmp_path / "secrets.toml").write_text('[shop]\npassword = "hunter4"\ntoken = "hunter5"\n')
    parts = assemble(tmp_path)
    done = workflow.ingest(parts.lake, {"shop": parts.sources["shop"]})
    assert done.failures
    assert "hunter" not in repr(done) + repr(parts.settings.secrets.keys()) + "".join(capsys.readouterr())


# ----------------------------------------------------- the world outside


def test_a_file_one_may_not_read(take, tmp_path):
    """It is told, and the others are loaded."""
    take({"a.csv": HEAD + ONE})
    (tmp_path / "in" / "a.csv").chmod(0)
    if os.access(tmp_path / "in" / "a.csv", os.R_OK):
        pytest.skip("this user may read everything")
    (tmp_path / "in" / "b.csv").write_bytes(HEAD + TWO)
    parts = assemble(tmp_path)
    done = workflow.ingest(parts.lake, parts.sources)
    assert [load.item for load in done.loads] == ["b.csv"]
    assert "a.csv must be readable" in str(done.failures) + str(done.skipped)


def test_a_full_disk(take, tmp_path):
    """The file that does not fit fails with that reason, nothing of it is loaded, and with room it is."""
    disk = tmp_path / "data"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("this user may not mount a disk; the lake's tests limit the size of a file instead")
    try:
        big = HEAD + b"".join(good(f"o{place}", os.urandom(200).hex()) for place in range(4000))
        got = take({"a.csv": HEAD + ONE, "big.csv": big})
        assert (got.orders, list(got.failures)) == (["o1"], ["big.csv"])
        assert "it is full" in got.messages or "free space" in got.messages
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        assert len(take({"big.csv": big}).orders) == 4001
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_lake_of_a_newer_version(take, tmp_path):
    """Nothing is read into it."""
    take(HEAD + ONE)
    log = tmp_path / "data/dev/lake/loads/_delta_log" / f"{0:020}.json"
    log.write_text(log.read_text().replace("lake format 1", "lake format 2"))
    with pytest.raises(NewerFormatError, match="Upgrade Shopkeeper"):
        take(HEAD + TWO)


def test_a_file_cut_and_sent_again_whole(take):
    """The cut line waits in quarantine; the whole file adds it, and only it."""
    assert take(HEAD + ONE + TWO[:-8]).orders == ["o1"]
    got = take(HEAD + ONE + TWO)
    assert (got.orders, "the file changed since it was last loaded" in got.messages) == (["o1", "o2"], True)


def test_the_same_file_twice(take):
    """Under its name it is unchanged, under another it is told which one it is."""
    take(HEAD + ONE)
    got = take({"a.csv": HEAD + ONE, "b.csv": HEAD + ONE})
    assert (got.orders, got.messages.strip("; ")) == (["o1"], "same content as a.csv, which is loaded")


def test_equal_files_of_two_tables_are_both_loaded(tmp_path):
    """The same bytes under two names are the same rows only if they are rows of the same table."""
    (tmp_path / "in").mkdir()
    text = "id,sku,n,at,price\n1,a,2,2020-01-01,1.5\n"
    for name in ("sales.csv", "stock.csv", "sales-again.csv"):
        (tmp_path / "in" / name).write_text(text)
    (tmp_path / FILE).write_text(
        """
        [sources.shop]
        path = "in"
        [sources.shop.tables.sales]
        entity = "order_lines"
        files = "sales*"
        columns = { order_id = "id", product_id = "sku", quantity = "n", ordered_at = "at", unit_price = "price" }
        [sources.shop.tables.stock]
        entity = "inventory_movements"
        files = "stock*"
        columns = { product_id = "sku", quantity = "n", moved_at = "at" }
        """
    )
    parts = assemble(tmp_path)
    done = workflow.ingest(parts.lake, parts.sources)
    assert sorted((each.item, each.status) for each in done.taken) == [
        ("sales-again.csv", "loaded"),
        ("sales.csv", "same_content"),
        ("stock.csv", "loaded"),
    ]
    assert (parts.lake.read("order_lines").num_rows, parts.lake.read("inventory_movements").num_rows) == (1, 1)
