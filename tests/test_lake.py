"""The lake: whole loads or none, each row once, nothing lost on the way."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopkeeper import vocabulary as v
from shopkeeper.contracts import CONTRACTS, contract
from shopkeeper.errors import ContractError, LedgerError, NewerFormatError, StorageError, UsageError
from shopkeeper.lake import Incoming, Lake, _Loading
from shopkeeper.sources.conformity import Reject, reject_batch, rows_schema

DAY = datetime(2020, 1, 31, tzinfo=UTC)


def line(order: str, *, day: datetime = DAY, **more: object) -> dict:
    return {"order_id": order, "quantity": Decimal(1), "unit_price": Decimal(2), "ordered_at": day, **more}


def batch(rows: list[dict], entity: str = v.ORDER_LINES, first: int = 2) -> pa.RecordBatch:
    numbered = [{**row, v.SOURCE_ROW: first + place} for place, row in enumerate(rows)]
    return pa.RecordBatch.from_pylist(numbered, schema=rows_schema(contract(entity)))


def incoming(
    rows: list[dict],
    item: str = "a.csv",
    *,
    entity: str = v.ORDER_LINES,
    rejects: tuple[str, ...] = (),
    **more: object,
) -> Incoming:
    """An item of order ids or rows, two to a batch, and the raw texts of its rejects below."""
    rows = [line(row) if isinstance(row, str) else row for row in rows]
    bad = [Reject(100 + place, raw, "qty", "quantity must be a number", "x") for place, raw in enumerate(rejects)]
    pairs = [(batch(rows[at : at + 2], entity, 2 + at), reject_batch([])) for at in range(0, len(rows), 2)]
    pairs.append((batch([], entity), reject_batch(bad)))
    given = {"fingerprint": item, "size": 1, "rows_read": len(rows) + len(rejects), "table_name": "lines"}
    return Incoming(source="shop", item=item, entity=entity, pairs=iter(pairs), **{**given, **more})


def orders(lake: Lake) -> Counter:
    """How often each order id stands among the visible rows."""
    return Counter(lake.read(v.ORDER_LINES)["order_id"].to_pylist())


def counts(load) -> tuple[int, int, int]:
    return load.rows_loaded, load.rows_resent, load.rows_quarantined


@pytest.fixture(scope="module")
def empty_lake(tmp_path_factory) -> Path:
    """An empty lake on disk, made once and copied."""
    folder = tmp_path_factory.mktemp("empty")
    Lake(folder / "lake", folder / "scratch")
    return folder / "lake"


@pytest.fixture
def make(tmp_path, empty_lake) -> Callable[..., Lake]:
    """Give a new lake; ``small`` decides whether loads stream."""
    made = iter(range(1000))

    def new(small: int = 1_000_000) -> Lake:
        root = tmp_path / f"lake-{next(made)}"
        shutil.copytree(empty_lake, root)
        return Lake(root, tmp_path / "scratch", small=small)

    return new


@pytest.fixture(params=[1_000_000, 1], ids=["held", "streamed"])
def lake(make, request) -> Lake:
    """A lake whose loads are held in memory, and one whose loads of more than one row are streamed."""
    return make(small=request.param)


# ------------------------------------------------------------------ identity


def test_equal_lines_of_one_file_are_all_kept(lake):
    """A row is itself by all its columns and by how often it has stood in the same file."""
    load = lake.load(incoming(["o1", "o1", "o1"]))
    assert (counts(load), orders(lake)) == ((3, 0, 0), {"o1": 3})


@pytest.mark.parametrize(
    ("second", "expected", "after"),
    [
        (["o1", "o1", "o2"], (0, 3, 0), {"o1": 2, "o2": 1}),
        (["o1"], (0, 1, 0), {"o1": 2, "o2": 1}),
        (["o2", "o3"], (1, 1, 0), {"o1": 2, "o2": 1, "o3": 1}),
        (["o1", "o1", "o1", "o1"], (2, 2, 0), {"o1": 4, "o2": 1}),
        (["o4", "o4"], (2, 0, 0), {"o1": 2, "o2": 1, "o4": 2}),
    ],
    ids=["whole", "part", "overlap", "more copies", "new"],
)
def test_what_is_sent_again_adds_only_the_difference(lake, second, expected, after):
    """Whole, in part, overlapping, or with more copies than before."""
    lake.load(incoming(["o1", "o1", "o2"]))
    load = lake.load(incoming(second, "b.csv"))
    assert (counts(load), orders(lake)) == (expected, after)
    assert lake.read(v.ORDER_LINES, all_rows=True).num_rows == sum(after.values())


def test_a_null_is_equal_to_a_null(lake):
    """A guest's line sent again is the same line."""
    rows = [line("o1", customer_id=None), line("o1", customer_id="c1")]
    lake.load(incoming(rows))
    assert counts(lake.load(incoming(rows, "b.csv"))) == (0, 2, 0)


def test_another_source_is_another_world(lake):
    """Equal lines of two sources are two lines."""
    lake.load(incoming(["o1", "o2"]))
    other = incoming(["o1", "o2"], "b.csv")
    other.source = "market"
    assert counts(lake.load(other)) == (2, 0, 0)


def test_lineage_tells_file_and_row(lake):
    """Each row keeps its load, file, row, and the month it is partitioned by."""
    load = lake.load(incoming(["o1", "o2", line("o3", day=datetime(2021, 2, 1, tzinfo=UTC))]))
    rows = lake.read(v.ORDER_LINES).sort_by("source_row").to_pylist()
    told = [(row["load_id"], row["source_file"], row["source_row"], row["moment_month"]) for row in rows]
    assert told == [(load.load_id, "a.csv", place, 202001 if place < 4 else 202102) for place in (2, 3, 4)]
    assert (load.first_at, load.last_at) == (DAY, datetime(2021, 2, 1, tzinfo=UTC))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6), min_size=1, max_size=4),
    order=st.randoms(use_true_random=False),
    small=st.sampled_from([0, 3, 100]),
)
def test_any_cutting_in_any_order_gives_the_same(make, files, order, small):
    """However files overlap, and with one sent twice: each line as often as in its fullest file."""
    lake = make(small=small)
    sent = [*files, order.choice(files)]
    order.shuffle(sent)
    loads = [lake.load(incoming(list(rows), f"{place}.csv")) for place, rows in enumerate(sent)]
    expected = Counter()
    for rows in files:
        expected |= Counter(rows)
    assert orders(lake) == expected
    assert sum(load.rows_loaded for load in loads) == expected.total()


def test_a_product_takes_a_value_that_changes_back(lake):
    """Keyed rows are compared with what is known of the thing now, not with all it ever was."""
    dear, cheap = [
        [{"product_id": "p1", "unit_price": Decimal(price)}, {"product_id": "p2", "unit_price": Decimal(1)}]
        for price in (9, 5)
    ]
    loads = [
        lake.load(incoming(rows, f"{place}.csv", entity=v.PRODUCTS))
        for place, rows in enumerate([dear, dear, cheap, cheap, dear])
    ]
    assert [load.rows_loaded for load in loads] == [2, 0, 1, 0, 1]
    assert [load.rows_resent for load in loads] == [0, 2, 1, 2, 1]


# ------------------------------------------------------------------- rejects


def test_rejects_sent_again_are_not_doubled(lake):
    """The same raw line is one reject; a second copy in one file is a second one."""
    first = lake.load(incoming(["o1"], rejects=("bad", "worse")))
    second = lake.load(incoming(["o2"], "b.csv", rejects=("bad", "bad")))
    assert (counts(first), counts(second)) == ((1, 0, 2), (1, 1, 1))
    rejects = lake.rejects().to_pylist()
    assert sorted(row["raw_text"] for row in rejects) == ["bad", "bad", "worse"]
    assert len({row["reject_id"] for row in rejects}) == 3
    assert all(row["is_open"] for row in rejects)


def test_a_load_of_rejects_only_is_a_load(lake):
    """Nothing good in a file is no failure."""
    assert counts(lake.load(incoming([], rejects=("bad",)))) == (0, 0, 1)


# --------------------------------------------------------- all of it or none


def test_rows_that_do_not_add_up_are_not_loaded(lake):
    """The count of the source's own pass decides; nothing is visible and nothing is left."""
    with pytest.raises(LedgerError, match=r"a.csv has 9 rows by an independent count, but 2 \+ 0 \+ 1"):
        lake.load(incoming(["o1", "o2"], rejects=("bad",), rows_read=9))
    assert (orders(lake), lake.loads(), lake.rejects().num_rows) == ({}, [], 0)
    assert lake.read(v.ORDER_LINES, all_rows=True).num_rows == 0


@pytest.mark.parametrize("error", [ContractError("a bomb"), KeyError("x"), KeyboardInterrupt()], ids=type)
def test_what_the_source_raises_comes_out_as_it_is(lake, error):
    """Also out of a stream, which another language reads; and nothing was loaded."""

    def pairs() -> Iterator:
        yield batch([line("o1"), line("o2")]), reject_batch([])
        raise error

    with pytest.raises(type(error)) as raised:
        lake.load(replace(incoming([]), pairs=pairs()))
    assert raised.value is error
    assert (orders(lake), lake.loads()) == ({}, [])
    assert counts(lake.load(incoming(["o1", "o2"]))) == (2, 0, 0)


def unfinished(lake: Lake, order: str) -> _Loading:
    """Write a row as a load does that is killed before its commit."""
    loading = _Loading(lake, incoming([order]))
    loading._append(v.ORDER_LINES, loading._with_lineage(pa.Table.from_batches([batch([line(order)])])))
    return loading


DIES = """
    import os, signal, sys
    from pathlib import Path
    sys.path[:0] = [{tests!r}, {src!r}]
    import test_lake
    from shopkeeper import lake as room

    write, written = room._Loading._append, []

    def write_and_die(self, table, data):
        write(self, table, data)
        written.append(table)
        if len(written) == {moment}:
            os.kill(os.getpid(), signal.SIGKILL)

    room._Loading._append = write_and_die
    lake = room.Lake(Path({root!r}), Path({scratch!r}), small={small})
    lake.load(test_lake.incoming(["o1", "o2", "o3"], "b.csv", rejects=("bad",)))
"""


@pytest.mark.parametrize(("small", "moment"), [(100, 1), (100, 2), (1, 1), (1, 2), (1, 3)])
def test_a_killed_load_leaves_nothing(make, tmp_path, small, moment):
    """Killed after any write before the last: nothing shows, a sweep removes it, a retry is whole."""
    lake = make(small=small)
    lake.load(incoming(["o1", "o2"]))
    places = {
        "tests": str(Path(__file__).parent),
        "src": str(Path(sys.modules["shopkeeper"].__file__).parents[1]),
    }
    program = textwrap.dedent(DIES).format(
        **places, root=str(lake.root), scratch=str(tmp_path / "s"), small=small, moment=moment
    )
    died = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert lake.read(v.ORDER_LINES, all_rows=True).num_rows > 2
    assert (orders(lake), len(lake.loads()), lake.rejects().num_rows) == ({"o1": 1, "o2": 1}, 1, 0)
    assert lake.sweep() > 0
    assert lake.sweep() == 0
    assert lake.read(v.ORDER_LINES, all_rows=True).num_rows == 2
    assert counts(lake.load(incoming(["o1", "o2", "o3"], "b.csv", rejects=("bad",)))) == (1, 2, 1)
    assert orders(lake) == {"o1": 1, "o2": 1, "o3": 1}


def test_what_was_killed_is_never_counted_as_there(make):
    """Rows of an unfinished load do not make those of the next one look resent, even before a sweep."""
    lake = make()
    unfinished(lake, "o1")
    assert orders(lake) == {}
    assert counts(lake.load(incoming(["o1"]))) == (1, 0, 0)
    assert (lake.sweep(), orders(lake)) == (1, {"o1": 1})


FILLS = """
    import sys
    from pathlib import Path
    sys.path[:0] = [{tests!r}, {src!r}]
    import resource, test_lake
    from shopkeeper.errors import StorageError
    from shopkeeper.lake import Lake

    lake = Lake(Path({root!r}), Path({scratch!r}), small={small})
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    try:
        lake.load(test_lake.incoming(test_lake.heavy(), "big.csv"))
    except StorageError as error:
        print(error)
"""


def heavy() -> list[dict]:
    """Return a load that compression cannot make small: 400 lines of 200 random characters."""
    return [line(f"o{place}", description=os.urandom(100).hex()) for place in range(400)]


@pytest.mark.parametrize("small", [1_000_000, 1], ids=["held", "streamed"])
def test_a_full_disk_is_said_and_nothing_is_loaded_by_halves(make, tmp_path, small):
    """The message says so, the lake is as it was, and the next run is fine."""
    lake = make(small=small)
    lake.load(incoming(["o1"]))
    places = {
        "tests": str(Path(__file__).parent),
        "src": str(Path(sys.modules["shopkeeper"].__file__).parents[1]),
    }
    program = textwrap.dedent(FILLS).format(**places, root=str(lake.root), scratch=str(tmp_path / "s"), small=small)
    said = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert "the disk must have room for loading big.csv; it is full" in said.stdout, said.stderr
    assert (orders(lake), len(lake.loads())) == ({"o1": 1}, 1)
    lake.sweep()
    assert lake.load(incoming(heavy(), "big.csv")).rows_loaded == 400


@pytest.fixture
def tiny_disk(tmp_path) -> Iterator[Path]:
    """Mount a disk of one megabyte, or skip where this user may not."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a disk; the limit on file sizes is tested instead")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_really_is_full(tiny_disk, tmp_path, empty_lake):
    """A file system without space: the same message, the same lake, and room made is enough."""
    shutil.copytree(empty_lake, tiny_disk / "lake")
    lake = Lake(tiny_disk / "lake", tmp_path / "scratch")
    lake.load(incoming(["o1"]))
    filler = tiny_disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    with pytest.raises(StorageError, match=r"it is full. Nothing was loaded by halves: free some space"):
        lake.load(incoming(heavy(), "big.csv"))
    filler.unlink()
    assert (orders(lake), len(lake.loads())) == ({"o1": 1}, 1)
    assert counts(lake.load(incoming(["o1", "o2"], "b.csv"))) == (1, 1, 0)


# ------------------------------------------------------- versions and upkeep


def test_compacting_changes_no_row(make):
    """Many small files become few; what is read is the same, and what is resent still is."""
    lake = make()
    for place in range(4):
        lake.load(incoming([f"o{place}"], f"{place}.csv"))
    before = lake.read(v.ORDER_LINES).sort_by("order_id")
    assert v.ORDER_LINES in lake.compact(least_files=3)
    assert lake.read(v.ORDER_LINES).sort_by("order_id").equals(before)
    assert len(lake._table(v.ORDER_LINES).file_uris()) == 1
    assert lake.compact(least_files=3) == []
    assert counts(lake.load(incoming(["o1", "o9"], "9.csv"))) == (1, 1, 0)


def test_unfinished_rows_are_swept_after_many_commits_and_compaction(make):
    """A sweep finds what a load left even if much was committed since."""
    lake = make()
    loading = unfinished(lake, "lost")
    for place in range(60):
        loading.load_id = f"x{place}"
        loading._append(v.RESOLUTIONS, pa.table({"reject_id": ["r"], v.LOAD_ID: [loading.load_id]}))
    lake.compact(least_files=1)
    assert lake.sweep() == 61
    assert lake.read(v.ORDER_LINES, all_rows=True).num_rows == 0


def test_a_table_is_read_as_of_a_version(make, tmp_path):
    """Versions are listed newest first, and each reads as it was."""
    lake = make()
    lake.load(incoming(["o1"]))
    lake.load(incoming(["o2"], "b.csv"))
    versions = lake.versions(v.ORDER_LINES)
    assert [entry["version"] for entry in versions] == [2, 1, 0]
    assert [lake.read(v.ORDER_LINES, number).num_rows for number in (0, 1, 2)] == [0, 1, 2]
    with (tmp_path / "then.csv").open("wb") as target:
        lake.write_csv(v.ORDER_LINES, 1, target)
    assert len((tmp_path / "then.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("version", [-1, 7])
def test_a_version_that_never_was(make, version):
    """The message says which there are."""
    with pytest.raises(UsageError, match=f"version must lie between 0 and 0; got {version} of events"):
        make().read(v.EVENTS, version)


def test_a_table_that_never_was(make):
    """The message says which there are."""
    with pytest.raises(UsageError, match=r"table must be one of order_lines, .*; got 'orders'"):
        make().versions("orders")


def test_equal_snapshots_mean_equal_contents(make):
    """A resent load changes no table of rows, so nothing downstream is built anew."""
    lake = make()
    lake.load(incoming(["o1"]))
    before = lake.snapshot()
    lake.load(incoming(["o1"], "b.csv"))
    changed = {name for name, version in lake.snapshot().items() if version != before[name]}
    assert changed == {v.LOADS}


def test_opening_a_lake_again_changes_nothing(make):
    """Opening may be repeated."""
    lake = make()
    lake.load(incoming(["o1"]))
    before = lake.snapshot()
    assert Lake(lake.root, lake.scratch).snapshot() == before
    assert set(before) == {*CONTRACTS, v.LOADS, v.REJECTS, v.RESOLUTIONS}


# ------------------------------------------------------------ broken lakes


def rewrite(lake: Lake, old: str, new: str) -> None:
    """Change the first commit of the table of loads."""
    first = lake.root / v.LOADS / "_delta_log" / f"{0:020}.json"
    text = first.read_text()
    assert old in text
    first.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [("lake format 1", "lake format 2"), ('"minReaderVersion":1', '"minReaderVersion":99')],
    ids=["our format", "the protocol of Delta"],
)
def test_a_lake_of_a_newer_version_is_refused(make, old, new):
    """It is neither read nor changed, and the message says what to do."""
    lake = make()
    rewrite(lake, old, new)
    files = sorted(path for path in lake.root.rglob("*") if path.is_file())
    with pytest.raises(NewerFormatError, match="Upgrade Shopkeeper"):
        Lake(lake.root, lake.scratch)
    assert sorted(path for path in lake.root.rglob("*") if path.is_file()) == files


def test_a_garbled_log_is_said(make):
    """One sentence, without the backtrace of another language."""
    lake = make()
    rewrite(lake, '"', "{")
    with pytest.raises(StorageError, match=r"the lake must be readable .* Run `shopkeeper doctor`\.$") as raised:
        Lake(lake.root, lake.scratch)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("harm", [lambda file: file.write_bytes(b"garbled"), Path.unlink], ids=["garbled", "gone"])
def test_a_damaged_data_file_is_said(make, harm):
    """When it is read, and when a load must be compared with it; nothing is loaded then."""
    lake = make()
    lake.load(incoming(["o1"]))
    (file,) = (lake.root / v.ORDER_LINES).rglob("*.parquet")
    harm(file)
    with pytest.raises(StorageError, match="for reading order_lines"):
        lake.read(v.ORDER_LINES)
    with pytest.raises(StorageError, match=r"for loading b.csv"):
        lake.load(incoming(["o1"], "b.csv"))
    assert len(lake.loads()) == 1


def test_a_table_that_was_lost_is_not_made_anew(make):
    """An empty table in its place would hide the loss; a table that never held a row may be made."""
    lake = make()
    lake.load(incoming(["o1"]))
    shutil.rmtree(lake.root / v.EVENTS)
    Lake(lake.root, lake.scratch)
    shutil.rmtree(lake.root / v.ORDER_LINES / "_delta_log")
    with pytest.raises(StorageError, match=r"order_lines in .* lost its _delta_log. Restore"):
        Lake(lake.root, lake.scratch)


# ------------------------------------------------------------------- staging


def staged(lake: Lake, orders: list[str]):
    """What a source's engine would write for these order lines, in the place the lake gives."""
    from pyarrow import parquet

    place = lake.stage(v.ORDER_LINES)
    rows = pa.Table.from_batches([batch([line(order) for order in orders])])
    for name, value in ((v.LOAD_ID, place.load_id), (v.SOURCE_FILE, "a.csv")):
        rows = rows.append_column(name, pa.array([value] * rows.num_rows, pa.string()))
    parquet.write_table(rows, place.path)
    return place


def test_a_failed_load_leaves_what_is_staged_for_others(make):
    """One that does not balance is taken away whole; the next one, staged beside it, is loaded."""
    lake = make()
    first, second = staged(lake, ["o1"]), staged(lake, ["o2", "o3"])
    with pytest.raises(LedgerError):
        lake.load(incoming([], "first.csv", staged=first, rows_read=7))
    assert counts(lake.load(incoming([], "second.csv", staged=second, rows_read=2))) == (2, 0, 0)
    assert orders(lake) == {"o2": 1, "o3": 1}
    assert lake.read(v.ORDER_LINES, all_rows=True).num_rows == 2


def test_a_file_adopted_by_no_commit_is_swept(make):
    """What a kill left between moving a file and committing it goes; files of committed loads stay."""
    lake = make()
    lake.load(incoming([], staged=staged(lake, ["o1"]), rows_read=1))
    (adopted,) = (lake.root / v.ORDER_LINES).glob("moment_month=*/*.parquet")
    orphan = adopted.with_name("20200101T000000000000-0123abcd.parquet")
    shutil.copy(adopted, orphan)
    staged(lake, ["o9"])
    lake.sweep()
    assert (orphan.exists(), adopted.exists(), orders(lake)) == (False, True, {"o1": 1})
    assert not (lake.root / v.ORDER_LINES / "_staged").exists()


def test_long_raw_texts_that_begin_alike_are_two_rejects(lake):
    """A reject is known by its raw text, and one cut short still differs from another."""
    from shopkeeper.sources.conformity import shorten

    first, second = (shorten("x" * 20_000 + end) for end in "ab")
    assert counts(lake.load(incoming([], rejects=(first,)))) == (0, 0, 1)
    assert counts(lake.load(incoming([], "b.csv", rejects=(second,)))) == (0, 0, 1)
    assert counts(lake.load(incoming([], "c.csv", rejects=(first,)))) == (0, 1, 0)
