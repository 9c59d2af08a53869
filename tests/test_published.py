"""Published versions: immutable, whole, one at a time; and what a query may and may not do."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from shopkeeper.errors import QueryError, StorageError, UsageError
from shopkeeper.published import Published
from shopkeeper.serving import Serving

HOSTILE = "'; drop table core.orders; --"


def warehouse(path: Path, value: int, *, rows: int = 1) -> Path:
    """Write a builder's database: two tables that agree on ``value``, and a schema that is not published."""
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        for schema in ("core", "metrics", "staging"):
            connection.execute(f"create schema {schema}")
        connection.execute(f"create table core.orders as select {value} as build, range as n from range({rows})")
        connection.execute("create table metrics.daily_sales as from core.orders")
        connection.execute("create table staging.secret as select 1 as x")
        connection.execute("create view core.reaching_back as from staging.secret")
    return path


@pytest.fixture
def published(tmp_path) -> Published:
    """Give an empty place for versions that keeps three."""
    return Published(tmp_path / "published", keep=3)


@pytest.fixture
def publish(published, tmp_path):
    """Publish a build by its number."""

    def make(value: int, *, keeps_rollback: bool = False, **more: int):
        return published.publish(
            warehouse(tmp_path / "warehouse.duckdb", value, **more),
            build_id=f"b{value}",
            lake_versions={"loads": value},
            keeps_rollback=keeps_rollback,
        )

    return make


@pytest.fixture(scope="module")
def serving(tmp_path_factory) -> Serving:
    """One published version to ask, beside a file that nobody may read."""
    folder = tmp_path_factory.mktemp("serving")
    (folder / "private.csv").write_text("password\nhunter2\n")
    published = Published(folder / "published", keep=3)
    published.publish(warehouse(folder / "warehouse.duckdb", 7), build_id="b", lake_versions={})
    return Serving(published)


def digest(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def builds(published: Published, number: int | None = None) -> set[int]:
    with published.open(number) as connection:
        found = connection.execute("select build from orders union all select build from daily_sales").fetchall()
    return {row[0] for row in found}


# ------------------------------------------------------------------ versions


def test_a_version_holds_the_published_schemas_tables(publish, published):
    """Tables of core and metrics with their rows; no view, nothing of staging."""
    version = publish(1, rows=4)
    assert (version.number, version.tables) == (1, {"core.orders": 4, "metrics.daily_sales": 4})
    assert (version.is_current, version.lake_versions) == (True, {"loads": 1})
    assert published.versions() == [version]


def test_publishing_the_same_build_again_adds_nothing(publish, published):
    """The version is the same and points to itself again."""
    first, other, again = publish(1), publish(2), publish(1)
    assert (again, other.number) == (first, 2)
    assert [(version.number, version.is_current) for version in published.versions()] == [
        (2, False),
        (1, True),
    ]


def test_only_the_last_few_are_kept(publish, published):
    """Older ones are pruned, their numbers never used again."""
    for value in range(1, 6):
        publish(value)
    assert [version.number for version in published.versions()] == [5, 4, 3]


def test_the_current_version_is_kept_however_old(publish, published):
    """A version rolled back to survives pruning."""
    for value in range(1, 4):
        publish(value)
    published.rollback(1)
    assert builds(published) == {1}
    published._prune()
    published.keep = 1
    published._prune()
    assert [version.number for version in published.versions()] == [3, 1]


def test_rollback_goes_back_and_forth(publish, published):
    """Without a number to the one before; nothing is deleted; it may be repeated."""
    for value in range(1, 4):
        publish(value)
    assert [published.rollback().number, published.rollback().number] == [2, 1]
    assert [published.rollback(3).number, published.rollback(3).number, published.current()] == [3, 3, 3]
    assert len(published.versions()) == 3


def test_a_rollback_holds_until_there_is_a_new_build(publish, published):
    """A run with nothing new keeps the version gone back to; publishing by hand, or a new build, moves on."""
    publish(1)
    publish(2)
    published.rollback()
    assert publish(2, keeps_rollback=True).number == 1
    assert publish(2).number == 2
    published.rollback()
    assert publish(3, keeps_rollback=True).number == 3
    assert publish(3, keeps_rollback=True).is_current


@pytest.mark.parametrize("number", [9, 0, -1, None])
def test_rollback_to_nowhere(publish, published, number):
    """The message tells which versions there are, and the pointer stays."""
    publish(1)
    with pytest.raises(UsageError, match=r"one that is kept \(1\); got"):
        published.rollback(number)
    assert published.current() == 1


def test_nothing_is_published_yet(published):
    """Asking says which command comes first."""
    assert (published.current(), published.versions()) == (None, [])
    with pytest.raises(UsageError, match="Run `shopkeeper run`"):
        published.open()
    with pytest.raises(UsageError, match=r"kept \(none\)"):
        published.rollback()


def test_a_version_never_changes(publish, published):
    """Its bytes stay the same while the warehouse is rebuilt, versions come and readers read."""
    publish(1)
    folder = published._folder(1)
    before = digest(folder)
    publish(2)
    publish(3)
    Serving(published).query("select count(*) from orders")
    assert builds(published, 1) == {1}
    assert digest(folder) == before
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}


DIES = """
    import os, signal, sys
    from pathlib import Path
    from shopkeeper import published as room

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(*{target}, die)
    room.Published(Path({root!r}), keep=3).publish(Path({warehouse!r}), build_id="b2", lake_versions={{}})
"""


@pytest.mark.parametrize(
    "target",
    ['(room, "_copy_tables")', '(room, "_sync")', '(room.Published, "_point")', '(room.Published, "_prune")'],
    ids=["before the copy", "copied", "not pointed to", "not pruned"],
)
def test_a_killed_publish(publish, published, tmp_path, target):
    """Readers have the version before or the new one, whole; the next publish ends well either way."""
    publish(1)
    source = warehouse(tmp_path / "next.duckdb", 2)
    program = textwrap.dedent(DIES).format(target=target, root=str(published.root), warehouse=str(source))
    src = Path(sys.modules["shopkeeper"].__file__).parents[1]
    died = subprocess.run([sys.executable, "-c", program], check=False, env={**os.environ, "PYTHONPATH": str(src)})
    assert died.returncode == -signal.SIGKILL
    assert builds(published) == ({2} if "_prune" in target else {1})
    version = published.publish(source, build_id="b2", lake_versions={})
    assert (version.number, builds(published)) == (2, {2})
    assert [each.number for each in published.versions()] == [2, 1]


def test_a_warehouse_that_cannot_be_copied(publish, published, tmp_path):
    """The pointer stays, the draft goes, and the message says that the current version serves."""
    publish(1)
    (tmp_path / "bad.duckdb").write_bytes(b"garbled" * 1000)
    with pytest.raises(StorageError, match="The current version still serves"):
        published.publish(tmp_path / "bad.duckdb", build_id="b2", lake_versions={})
    assert (builds(published), (published.root / "draft").exists()) == ({1}, False)


def test_a_version_that_cannot_be_opened(publish, published):
    """A damaged file is said with the way back, not with the engine's trace."""
    publish(1)
    file = published._folder(1) / "shop.duckdb"
    file.chmod(0o644)
    file.write_bytes(b"garbled")
    with pytest.raises(StorageError, match="version 1 must be a readable database; got"):
        published.open()


def test_sixteen_readers_during_publishes(publish, published):
    """No error, no mixture of two builds, and versions that only grow, while four are published."""
    publish(1)
    serving, faults, seen, stop = Serving(published), [], set(), threading.Event()

    def read() -> None:
        last = 0
        while not stop.is_set():
            try:
                answer = serving.query("select a.build, b.build from orders as a cross join daily_sales as b")
                ((one, other),) = answer.rows
                if not one == other == answer.version or one < last:
                    faults.append((one, other, answer.version, last))
                last = one
                seen.add(one)
            except Exception as error:  # noqa: BLE001 - whatever a reader sees is a fault
                faults.append(error)

    readers = [threading.Thread(target=read) for _ in range(16)]
    for reader in readers:
        reader.start()
    for value in range(2, 6):
        publish(value)
    stop.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert len(seen) > 1


# ------------------------------------------------------------------- queries


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("select build from orders", [(7,)]),
        ("select build from core.orders union select build from metrics.daily_sales;", [(7,)]),
        ("with a as (select 1 as x) select x from a", [(1,)]),
        ("from orders select n", [(0,)]),
        ("select sum(range) from range(4)", [(6,)]),
        ("values (1), (2)", [(1,), (2,)]),
        ("select '''; drop table'", [("'; drop table",)]),
    ],
)
def test_a_select_is_answered(serving, sql, rows):
    """Both schemas need no prefix."""
    answer = serving.query(sql)
    assert (answer.rows, answer.version) == (rows, 1)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('{file}')",
        "select * from read_csv_auto('{file}')",
        "select * from '{file}'",
        'select * from "{file}"',
        "select * from read_text('{file}')",
        "select * from read_blob('{file}')",
        "select * from read_json('{file}')",
        "select * from read_parquet('{file}')",
        "select * from read_duckdb('{file}')",
        "select * from parquet_metadata('{file}')",
        "select * from sniff_csv('{file}')",
        "select * from glob('{folder}/*')",
        "select * from query('select * from ''{file}''')",
        "select * from query_table('{file}')",
        "select (select content from read_text('{file}'))",
        "select * from orders where exists (from read_csv('{file}'))",
        "with t as materialized (from /* hidden */ READ_CSV ('{file}')) from t",
        "select * from 'https://example.com/a.csv'",
        "select * from 's3://bucket/a.parquet'",
        "select * from read_csv('https://example.com/a.csv')",
        "copy orders to '{folder}/out.csv'",
        "copy orders from '{file}'",
        "attach '{folder}/other.duckdb'",
        "export database '{folder}/out'",
        "import database '{folder}/out'",
        "install httpfs",
        "load httpfs",
        "load '{folder}/evil.duckdb_extension'",
        "explain analyze copy orders to '{folder}/out.csv'",
        "select * from enable_logging(storage = 'file', storage_config = {{'path': '{folder}/out'}})",
    ],
)
def test_a_query_reaches_no_file(serving, sql):
    """Neither reads nor writes one, nor learns that it exists."""
    folder = serving.published.root.parent
    before = digest(folder)
    with pytest.raises(QueryError) as refused:
        serving.query(sql.format(file=folder / "private.csv", folder=folder))
    assert "hunter2" not in str(refused.value)
    assert digest(folder) == before


@pytest.mark.parametrize(
    "sql",
    [
        "set threads = 1",
        "set search_path = 'main'",
        "set variable x = 1",
        "reset threads",
        "pragma threads = 1",
        "pragma enable_profiling",
        "pragma database_list",
        "use memory",
        "select * from enable_logging()",
        "select * from disable_logging()",
        "select * from truncate_duckdb_logs()",
        "select * from checkpoint()",
        "call enable_logging()",
        "explain analyze set threads = 1",
        "select current_setting('temp_directory')",
        "select getenv('HOME')",
        "select write_log('x')",
        "select * from duckdb_settings()",
        "select * from duckdb_secrets()",
        "select * from duckdb_databases()",
        "select * from duckdb_databases",
        "select * from pragma_database_list",
        "select * from duckdb_logs",
        'select * from "DUCKDB_DATABASES"',
        "select * from duckdb_extensions()",
        "select * from json_execute_serialized_sql('{}')",
    ],
)
def test_a_query_changes_no_setting_and_learns_none(serving, sql):
    """Nor where on this machine things lie."""
    with pytest.raises(QueryError):
        serving.query(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "create table core.more as select 1",
        "create temp table more as select 1",
        "create macro f() as 1",
        "create view more as select 1",
        "insert into core.orders values (1, 1)",
        "update core.orders set build = 1",
        "delete from core.orders",
        "truncate core.orders",
        "drop table core.orders",
        "alter table core.orders add column x int",
        "detach shop",
        "begin",
        "prepare p as select 1",
        "vacuum",
        "explain select 1",
        "select 1; select 2",
        "select 1; drop table core.orders",
        "",
        "   ;  ",
        "-- nothing",
    ],
)
def test_a_query_is_one_select(serving, sql):
    """Nothing is written and no second statement runs."""
    with pytest.raises(QueryError, match="a query must be"):
        serving.query(sql)
    assert serving.query("select build, n from orders").rows == [(7, 0)]


def test_names_in_this_program_are_no_tables(serving):
    """The engine can see Python's variables; a query cannot."""
    import pyarrow as pa

    private = pa.table({"password": ["hunter2"]})
    with pytest.raises(QueryError, match="private does not exist"):
        serving.query("select * from private")
    assert private.num_rows == 1


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("select * from ordres", "Did you mean"),
        ("selec 1", "syntax error"),
        ("select nope from orders", "nope"),
        ("select cast('a' as integer)", "Could not convert"),
    ],
)
def test_a_wrong_query_is_told_what_is_wrong(serving, sql, words):
    """In the engine's words, which point at the place."""
    with pytest.raises(QueryError, match=f"a query must be one that .*(?s:.*){words}"):
        serving.query(sql)


def test_text_that_looks_like_sql_stays_text(published, tmp_path):
    """In a value, in the name of a column, and in that of a table."""
    path = warehouse(tmp_path / "w.duckdb", 1)
    quoted = '"' + HOSTILE + '"'
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"create table core.{quoted} as select ? as {quoted}", [HOSTILE])
    version = published.publish(path, build_id="b", lake_versions={})
    answer = Serving(published).query(f"select * from core.{quoted}")
    assert (answer.columns, answer.rows, version.tables[f"core.{HOSTILE}"]) == ((HOSTILE,), [(HOSTILE,)], 1)
    assert json.loads(answer.json()) == [{HOSTILE: HOSTILE}]


def test_json_holds_every_digit_and_every_kind(serving):
    """Decimals as they are, what JSON cannot say as null, dates in ISO 8601, lists and structs as such."""
    answer = serving.query(
        "select 12345678901234.5678::decimal(18,4) as d, 'nan'::double as n, 1/0 as i, "
        "date '2020-01-02' as t, "
        "[1.5::decimal(4,1), null] as l, {'a': 'nan'::double} as s, true as b, null as z, 'é\"' as x"
    )
    told = json.loads(answer.json(), parse_float=Decimal)
    assert told == [
        {
            "d": Decimal("12345678901234.5678"),
            "n": None,
            "i": None,
            "t": "2020-01-02",
            "l": [Decimal("1.5"), None],
            "s": {"a": None},
            "b": True,
            "z": None,
            "x": 'é"',
        }
    ]
