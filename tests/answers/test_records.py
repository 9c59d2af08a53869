"""Records by key: what is written is found, what is not written is not, and a file that is not whole is told."""

from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopkeeper.answers.records import BrokenFileError, Records, RecordsWriter

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TABLES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.dictionaries(TEXTS, TEXTS, max_size=60), max_size=3)


def write(path: Path, tables: dict[str, dict[str, str]], at_once: int = 7) -> Path:
    """Write tables, a few records at a call."""
    with path.open("wb") as file:
        writer = RecordsWriter(file)
        for name, table in tables.items():
            rows = sorted(table.items(), key=lambda row: row[0].encode())
            # Slices of one array, as an engine's batches may be.
            keys, values = (pa.array([row[place] for row in rows], pa.string()) for place in (0, 1))
            for start in range(0, max(1, len(rows)), at_once):
                writer.add(name, keys[start : start + at_once], values[start : start + at_once])
        writer.close({"made": "today"})
    return path


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES, st.lists(TEXTS, max_size=20))
def test_what_was_written_is_found_and_nothing_else(tmp_path, tables, others):
    """Each key gives its value, in each table, of all lengths and letters; a key that was not written gives none."""
    path = write(tmp_path / "some.records", tables)
    with closing(Records(path)) as records:
        assert records.about == {"made": "today"}
        for name, table in tables.items():
            assert records.count(name) == len(table)
            assert {key.decode(): value.decode() for key, value in records.items(name)} == table
            assert [key.decode() for key in records.keys(name, 5)] == sorted(table, key=str.encode)[:5]
            for key in [*table, *others]:
                found = records.value(name, key.encode())
                assert (found.decode() if found is not None else None) == table.get(key)


def test_many_records(tmp_path):
    """Ten thousand keys lie around many landmarks, and each is found; those between them are not."""
    table = {f"{number:05d}": str(number) for number in range(0, 20_000, 2)}
    with closing(Records(write(tmp_path / "many.records", {"a": table}, at_once=999))) as records:
        assert all(records.value("a", key.encode()) == value.encode() for key, value in table.items())
        assert not any(records.value("a", f"{number:05d}".encode()) for number in range(1, 20_000, 2))


@pytest.mark.parametrize(("first", "then"), [(["b", "a"], []), (["a", "a"], []), (["b"], ["a"]), (["b"], ["b"])])
def test_keys_that_do_not_rise_are_refused(tmp_path, first, then):
    """Unordered or doubled keys, within a call or from call to call: nothing that could not be found is written."""
    with (tmp_path / "some.records").open("wb") as file:
        writer = RecordsWriter(file)

        def add() -> None:
            for keys in (first, then):
                writer.add("a", pa.array(keys, pa.string()), pa.array(keys, pa.string()))

        with pytest.raises(ValueError, match="keys must rise"):
            add()


def test_a_file_that_is_not_whole_is_told(tmp_path):
    """Cut anywhere, at any length, or followed by something else: it does not open."""
    path = write(tmp_path / "some.records", {"a": {"k": "v" * 50, "l": "w"}})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(BrokenFileError):
            Records(path)
    path.write_bytes(whole + b"!")
    with pytest.raises(BrokenFileError):
        Records(path)


def test_what_tells_where_parts_lie_is_checked(tmp_path):
    """Places beyond the file, or of another kind: told, not followed."""
    path = write(tmp_path / "some.records", {"a": {"k": "v"}})
    whole = path.read_bytes()
    for old, new in (
        (b'"n": 1', b'"n": 9'),
        (b'"n": 1', b'"n":[]'),
        (b'"tables"', b'"tablet"'),
        (b'"keys"', b'"kegs"'),
    ):
        assert whole.count(old) == 1
        path.write_bytes(whole.replace(old, new))
        with pytest.raises(BrokenFileError):
            Records(path)


def test_values_that_break_off_are_told(tmp_path):
    """A file that was cut while it was open gives no half of a value; one that was closed gives none."""
    path = write(tmp_path / "some.records", {"a": {"k": "v" * 5000}})
    with closing(Records(path)) as records:
        with path.open("r+b") as file:
            file.truncate(100)
        with pytest.raises(BrokenFileError, match="breaks off"):
            records._read(8, 5000)  # its index is mapped from the part that is gone
    closed = Records(write(tmp_path / "other.records", {"a": {"k": "v"}}))
    closed.close()
    with pytest.raises(BrokenFileError, match="closed"):
        closed.value("a", b"k")
