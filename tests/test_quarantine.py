"""Quarantine: rows that broke a rule are told, mended, and loaded once."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from shopkeeper import quarantine, workflow
from shopkeeper import vocabulary as v
from shopkeeper.assembly import assemble
from shopkeeper.errors import ContractError, SettingsError, StorageError, UsageError
from shopkeeper.lake import Lake
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
unit_price = "value"
ordered_at = "at"
"""
DATES = 'datetime_formats = ["%Y-%m-%d"]'
HEAD = "order,sku,qty,value,at\n"
DIRTY = (
    HEAD + "o1,s1,1,2.50,2020-01-01\n"
    "o2,s1,one,2.50,2020-01-01\n"
    "o3,s1,1,2.50,2020-02-30\n"
    "o4,s1,two,2.50,2020-01-01\n"
    "o5,s1,1\n"
)


@dataclass
class Shop:
    """A small project with files to ingest."""

    folder: Path

    @property
    def lake(self) -> Lake:
        return assemble(self.folder).lake

    def configure(self, more: str = DATES) -> None:
        (self.folder / FILE).write_text(TOML.replace("MORE", more))

    def ingest(self, content: str, name: str = "a.csv") -> workflow.Ingest:
        (self.folder / "in").mkdir(exist_ok=True)
        (self.folder / "in" / name).write_text(content)
        parts = assemble(self.folder)
        done = workflow.ingest(parts.lake, parts.sources)
        assert done.failures == []
        return done

    def replay(self, file: Path | None = None) -> quarantine.Replay:
        parts = assemble(self.folder)
        done = quarantine.replay(parts.lake, parts.settings, file)
        for load in parts.lake.loads():
            assert load.rows_read == load.rows_loaded + load.rows_resent + load.rows_quarantined
        return done

    def orders(self) -> list[str]:
        return sorted(self.lake.read(v.ORDER_LINES)["order_id"].to_pylist())


@pytest.fixture
def shop(tmp_path) -> Shop:
    """Give a project without files."""
    made = Shop(tmp_path)
    made.configure()
    return made


@pytest.fixture
def dirty(shop) -> Shop:
    """Give a project that took one good line of five."""
    (load,) = shop.ingest(DIRTY).loads
    assert (load.rows_read, load.rows_loaded, load.rows_quarantined) == (5, 1, 4)
    return shop


@pytest.fixture
def correct(dirty, tmp_path) -> Callable[..., Path]:
    """Export the rejects, put other values into cells (row of the file → column → value), and give the file."""

    def make(**changes: dict[str, str]) -> Path:
        file = tmp_path / "rejects.csv"
        quarantine.export(dirty.lake, file)
        rows = read(file)
        for row in rows:
            row.update(changes.get(f"row{row['reject_row']}", {}))
        write(file, rows)
        return file

    return make


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8-sig") as source:
        return list(csv.DictReader(source))


def write(file: Path, rows: list[dict[str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_explain_groups_by_rule(dirty):
    """The most frequent first, each with an example and its place."""
    found = quarantine.explain(dirty.lake)
    told = [(group["n_rows"], group["column_name"], group["example"], group["source_row"]) for group in found]
    assert told == [(2, "qty", "one", 3), (1, "", "o5,s1,1", 6), (1, "at", "2020-02-30", 4)]
    assert found[0]["rule"].startswith("quantity must be a number")
    assert {(group["source"], group["source_file"]) for group in found} == {("shop", "a.csv")}


def test_nothing_in_quarantine(shop, tmp_path):
    """There is nothing to explain, export or replay, and that is no error."""
    shop.ingest(HEAD)
    assert quarantine.explain(shop.lake) == []
    assert quarantine.export(shop.lake, tmp_path / "none.csv") == 0
    assert shop.replay(tmp_path / "none.csv") == shop.replay() == quarantine.Replay()


def test_an_export_tells_all_and_holds_the_sources_columns(correct):
    """Facts, then each cell as the source wrote it; a line that could not be split stands whole."""
    rows = read(correct())
    assert list(rows[0])[:8] == list(quarantine.FACTS)
    assert [row["reject_row"] for row in rows] == ["3", "4", "5", "6"]
    assert [rows[0][name] for name in ("order", "sku", "qty", "value", "at")] == [
        "o2",
        "s1",
        "one",
        "2.50",
        "2020-01-01",
    ]
    assert (rows[0]["reject_text"], rows[3]["reject_text"], rows[3]["order"]) == ("", "o5,s1,1", "")


def test_corrected_rows_are_loaded_once_and_closed(dirty, correct):
    """All four mended, the line that could not be split filled in; a second replay adds nothing."""
    whole = {"order": "o5", "sku": "s1", "qty": "1", "value": "3", "at": "2020-01-01"}
    file = correct(row3={"qty": "1"}, row4={"at": "2020-02-28"}, row5={"qty": "2"}, row6=whole)
    assert dirty.replay(file) == quarantine.Replay(n_closed=4)
    assert dirty.orders() == ["o1", "o2", "o3", "o4", "o5"]
    assert dirty.replay(file) == quarantine.Replay(n_known=4)
    assert dirty.orders() == ["o1", "o2", "o3", "o4", "o5"]
    closed = dirty.lake.rejects(include_closed=True).to_pylist()
    assert [row["is_open"] for row in closed] == [False] * 4


def test_a_corrected_row_keeps_its_place(dirty, correct):
    """File and row are those of the line that was rejected; the load is the replay's."""
    dirty.replay(correct(row5={"qty": "2", "value": "0.10"}))
    (row,) = [row for row in dirty.lake.read(v.ORDER_LINES).to_pylist() if row["order_id"] == "o4"]
    assert (row["source_file"], row["source_row"], str(row["unit_price"])) == ("a.csv", 5, "0.1000")
    load = dirty.lake.loads()[-1]
    assert (row["load_id"], load.kind, load.rows_read, load.rows_loaded) == (load.load_id, "replay", 1, 1)


def test_a_half_corrected_file_leaves_the_rest_open(dirty, correct):
    """With the reasons; the rest can be mended in the same file later."""
    file = correct(row3={"qty": "1"}, row5={"qty": "still wrong"})
    done = dirty.replay(file)
    assert (done.n_closed, done.n_open, done.n_known) == (1, 3, 0)
    assert any("quantity must be a number" in reason for reason in done.reasons)
    rows = read(file)
    rows[1]["at"] = "2020-02-28"
    write(file, rows)
    done = dirty.replay(file)
    assert (done.n_closed, done.n_open, done.n_known, dirty.orders()) == (1, 2, 1, ["o1", "o2", "o3"])


def test_rows_left_out_of_the_file_stay_open(dirty, correct):
    """A part of an export is an export."""
    file = correct(row3={"qty": "1"})
    write(file, read(file)[:1])
    assert dirty.replay(file) == quarantine.Replay(n_closed=1, n_open=3)


def test_equal_lines_of_one_file_are_both_kept(shop, tmp_path):
    """A line mended to equal another of its file is a further copy, in one replay or in two."""
    shop.ingest(HEAD + "o1,s1,1,2,2020-01-01\no1,s1,1 x,2,2020-01-01\no1,s1,1 y,2,2020-01-01\n")
    file = tmp_path / "rejects.csv"
    for at in range(2):
        quarantine.export(shop.lake, file)
        rows = read(file)
        rows[0]["qty"] = "1"
        write(file, rows)
        assert shop.replay(file).n_closed == 1
        assert shop.orders() == ["o1"] * (at + 2)


def test_a_line_mended_at_the_source_is_not_doubled(shop, correct, dirty):
    """The shop sent the file again, right; then the export is corrected, too: the row is there once, the reject closed."""
    dirty.ingest(DIRTY.replace("one", "1"))
    assert dirty.orders() == ["o1", "o2"]
    done = dirty.replay(correct(row3={"qty": "1"}))
    assert (done.n_closed, done.n_open, dirty.orders()) == (1, 3, ["o1", "o2"])


def test_replay_under_new_settings(shop):
    """No file: the rejects as they are, now that a date format and a thousands mark are declared."""
    shop.ingest(HEAD + 'o1,s1,"1,000",2,2020-01-01\no2,s1,1,2,31.12.2020\no3,s1,x,2,2020-01-01\n')
    assert shop.replay().n_closed == 0
    shop.configure('datetime_formats = ["%Y-%m-%d", "%d.%m.%Y"]\nthousands_mark = ","')
    done = shop.replay()
    assert (done.n_closed, done.n_open, shop.orders()) == (2, 1, ["o1", "o2"])
    assert shop.replay().n_closed == 0


def test_rejects_sent_again_stay_closed(dirty, correct):
    """The same bad lines in another file are known, though they were closed."""
    dirty.replay(correct(row3={"qty": "1"}))
    (load,) = dirty.ingest(DIRTY + "o6,s1,1,1,2020-01-01\n", "b.csv").loads
    assert (load.rows_loaded, load.rows_resent, load.rows_quarantined) == (1, 5, 0)
    assert dirty.lake.rejects().num_rows == 3


def test_a_reject_nobody_knows(dirty, correct):
    """The message names the id, the file and the line; nothing is loaded."""
    file = correct(row3={"qty": "1"}, row5={"reject_id": "made-up"})
    with pytest.raises(ContractError, match=r"got 'made-up' in .*rejects.csv, line 4"):
        dirty.replay(file)
    assert dirty.orders() == ["o1"]


def test_a_reject_that_stands_twice(dirty, correct):
    """Two corrections of one line cannot both be right; nothing is loaded."""
    file = correct(row3={"qty": "1"})
    rows = read(file)
    write(file, [*rows, rows[0]])
    with pytest.raises(ContractError, match="a reject must stand once in a file; got .* again in .* line 6"):
        dirty.replay(file)
    assert dirty.orders() == ["o1"]


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (None, UsageError, "the file to replay must exist"),
        (b"", ContractError, "must be an export of the quarantine.*no columns"),
        (b"a,b\n1,2\n", ContractError, "with the column reject_id; got a, b"),
        ("reject_id\nÿ".encode("utf-16"), ContractError, "must be a CSV in UTF-8"),
        (b"reject_id\n\xff\n", ContractError, "must be a CSV in UTF-8"),
    ],
    ids=["missing", "empty", "another table", "utf-16", "latin-1"],
)
def test_what_is_no_export(dirty, tmp_path, content, error, words):
    """The message says what it must be and how to make one."""
    file = tmp_path / "other.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(error, match=words):
        dirty.replay(file)


def test_a_folder_is_no_export(dirty, tmp_path):
    """Nor is it a place to export to."""
    with pytest.raises(UsageError, match="must be readable"):
        dirty.replay(tmp_path)
    with pytest.raises(StorageError, match="must be writable"):
        quarantine.export(dirty.lake, tmp_path)


def test_a_source_that_is_configured_no_more(dirty):
    """The message says which to put back."""
    (dirty.folder / FILE).write_text(TOML.replace("MORE", DATES).replace("sources.shop", "sources.other"))
    with pytest.raises(SettingsError, match="got 'shop' with table 'lines'"):
        dirty.replay()


def test_text_that_looks_like_sql_stays_text(shop, tmp_path):
    """In a reject, its export and its replay."""
    hostile = "'); drop table order_lines; --"
    shop.ingest(HEAD + f'"{hostile}",s1,{hostile},1,2020-01-01\n')
    file = tmp_path / "rejects.csv"
    quarantine.export(shop.lake, file)
    rows = read(file)
    assert (rows[0]["order"], rows[0]["qty"]) == (hostile, hostile)
    write(file, [{**rows[0], "qty": "1"}])
    assert (shop.replay(file).n_closed, shop.orders()) == (1, [hostile])
