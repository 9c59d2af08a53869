"""A file of records by key that is written once and read at random: one read from the disk for each record.

Tables one after another: first the values of all tables, then, where it is mapped into memory, each table's keys in order
and where keys and values end; last a JSON text that tells where everything lies. A reader keeps 16 bytes and the key for a
record in memory; values stay on the disk, or in what the system remembers of it.
"""

import json
import mmap
import os
import struct
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"records1"
_TAIL = struct.Struct("<Q8s")
_WORD = 8
_APART = 16
"""Records from one key that is held in memory to the next."""


class BrokenFileError(Exception):
    """A file is not one of records, or breaks off."""


class UnfinishedFileError(BrokenFileError):
    """A file of records was not written to its end."""


class RecordsWriter:
    """Writes tables of records; ``close`` makes the file whole. What was not closed is told by ``Records``."""

    def __init__(self, file: BinaryIO) -> None:
        """Write to an empty file."""
        self._file = file
        self._file.write(MAGIC)
        self._tables: dict[str, _Index] = {}

    def add(self, table: str, keys: "pa.StringArray", values: "pa.StringArray") -> None:
        """Append records to a table, which must be the last one begun.

        Raises ValueError unless keys rise, by their bytes, within a call and from call to call.
        """
        if table not in self._tables:
            self._tables[table] = _Index(self._file.tell())
        if len(keys):
            self._tables[table].add(keys, values)
            self._file.write(_text(values)[0])

    def close(self, about: dict[str, Any]) -> None:
        """Write where everything lies, and what else a reader shall be told."""
        places = {name: index.write(self._file) for name, index in self._tables.items()}
        text = json.dumps({"about": about, "tables": places}).encode()
        self._file.write(text + _TAIL.pack(len(text), MAGIC))
        self._file.flush()


class _Index:
    """Keys of a table, and where keys and values end."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._keys: list[bytes] = []
        self._key_ends: list[Any] = []
        self._value_ends: list[Any] = []
        self._n_keys, self._n_values, self._last = 0, 0, b""

    def add(self, keys: "pa.StringArray", values: "pa.StringArray") -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        names = keys.cast(pa.binary())
        rise = pc.all(pc.less(names[:-1], names[1:])).as_py() if len(names) > 1 else True
        if not rise or (self._keys and names[0].as_py() <= self._last):
            raise ValueError(
                f"keys must rise; got {names[0].as_py()!r} after {self._last!r}, or unordered ones after it."
            )
        self._last = names[-1].as_py()
        text, ends = _text(keys)
        self._keys.append(text)
        self._key_ends.append(ends + self._n_keys)
        self._n_keys += len(text)
        told = _text(values)
        self._value_ends.append(told[1] + self._n_values)
        self._n_values += len(told[0])

    def write(self, file: BinaryIO) -> dict[str, int]:
        """Write the index; return where it lies."""
        import numpy as np

        place = {"values": self._start, "n": sum(map(len, self._key_ends)), "keys": file.tell(), "n_keys": self._n_keys}
        file.writelines(self._keys)
        file.write(b"\0" * (-file.tell() % _WORD))
        for name, ends in (("key_ends", self._key_ends), ("value_ends", self._value_ends)):
            place[name] = file.tell()
            file.write(np.concatenate([[0], *ends]).astype("<u8").tobytes())
        return place


def _text(texts: "pa.StringArray") -> tuple[bytes, Any]:
    """Return an array's texts as bytes one after another, and where each ends."""
    import numpy as np

    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.uint64)
    start = int(ends[0])
    return memoryview(data)[start : int(ends[-1])].tobytes() if data is not None else b"", ends[1:] - np.uint64(start)


class Records:
    """A file of records, for reading; may be asked from any thread."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises BrokenFileError if it is not whole, UnfinishedFileError if it never was, OSError if it cannot be read.
        """
        self._tables: dict[str, _Table] = {}
        self._descriptor = os.open(path, os.O_RDONLY)
        try:
            self.size = os.fstat(self._descriptor).st_size
            told = self._told()
            self.about: dict[str, Any] = told["about"]
            self._tables = self._mapped(told["tables"])
        except BaseException:
            self.close()
            raise

    def _told(self) -> dict[str, Any]:
        tail = os.pread(self._descriptor, _TAIL.size, max(0, self.size - _TAIL.size))
        length, magic = _TAIL.unpack(tail) if len(tail) == _TAIL.size else (0, b"")
        if magic != MAGIC or not 0 < length < self.size:
            begins = os.pread(self._descriptor, len(MAGIC), 0)
            kind = UnfinishedFileError if MAGIC.startswith(begins) else BrokenFileError
            raise kind("its end is not that of a file that was written whole")
        try:
            told = json.loads(os.pread(self._descriptor, length, self.size - _TAIL.size - length))
        except ValueError as error:
            raise BrokenFileError("what tells where its parts lie cannot be read") from error
        if not isinstance(told, dict) or {"about", "tables"} - set(told):
            raise BrokenFileError("what tells where its parts lie is not whole")
        return told

    def _mapped(self, tables: dict[str, dict[str, int]]) -> "dict[str, _Table]":
        try:
            start = min((each["keys"] for each in tables.values()), default=0) // mmap.PAGESIZE * mmap.PAGESIZE
            view = memoryview(mmap.mmap(self._descriptor, self.size - start, access=mmap.ACCESS_READ, offset=start))
            return {name: _Table(view, start, place) for name, place in tables.items()}
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise BrokenFileError("what tells where its parts lie is not whole") from error

    def value(self, table: str, key: bytes) -> bytes | None:
        """Return the value of a key; None if it has none. Raises BrokenFileError if the file breaks off or was closed."""
        if self._descriptor < 0:
            raise BrokenFileError("the file was closed")
        found = self._tables[table].place(key)
        if found is None:
            return None
        return self._read(*found)

    def _read(self, offset: int, length: int) -> bytes:
        value = os.pread(self._descriptor, length, offset)
        if len(value) != length:
            raise BrokenFileError("it breaks off")
        return value

    def count(self, table: str) -> int:
        """Return how many records a table has; 0 of one that is not there."""
        return self._tables[table].n if table in self._tables else 0

    def keys(self, table: str, n: int) -> list[bytes]:
        """Return the first ``n`` keys of a table, in order."""
        found = self._tables[table]
        return [found.key(at) for at in range(min(n, found.n))]

    def items(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield all keys and values of a table that fits into memory."""
        found = self._tables[table]
        offset, length = found.whole
        values = memoryview(os.pread(self._descriptor, length, offset))
        for at in range(found.n):
            start, stop = found.span(at)
            yield found.key(at), bytes(values[start:stop])

    def read_ahead(self, n_bytes: int) -> None:
        """Have the system read the whole file into its memory, so many bytes at a call."""
        for offset in range(0, self.size, n_bytes):
            os.posix_fadvise(self._descriptor, offset, n_bytes, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Let go of the file."""
        self._tables = {}
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _Table:
    """Where the records of a table lie, found by their keys in order."""

    __slots__ = ("_key_ends", "_keys", "_landmarks", "_value_ends", "_values", "n")

    def __init__(self, view: memoryview, start: int, place: dict[str, int]) -> None:
        self.n = place["n"]
        self._values = place["values"]
        keys = place["keys"] - start
        self._keys = view[keys : keys + place["n_keys"]]
        self._key_ends, self._value_ends = (
            view[place[name] - start : place[name] - start + (self.n + 1) * _WORD].cast("Q")
            for name in ("key_ends", "value_ends")
        )
        if (
            len(self._value_ends) != self.n + 1
            or self._key_ends[self.n] != place["n_keys"]
            or self._values + self._value_ends[self.n] > place["keys"]
        ):
            raise BrokenFileError("it breaks off")
        # Looked through by the interpreter itself, which is far quicker than going on among the mapped keys.
        self._landmarks = [self.key(at) for at in range(0, self.n, _APART)]

    def key(self, at: int) -> bytes:
        """Return the key of a record."""
        return bytes(self._keys[self._key_ends[at] : self._key_ends[at + 1]])

    def span(self, at: int) -> tuple[int, int]:
        """Return where the value of a record begins and ends among the values."""
        return self._value_ends[at], self._value_ends[at + 1]

    @property
    def whole(self) -> tuple[int, int]:
        """Where all values lie in the file, and how long they are."""
        return self._values, self._value_ends[self.n]

    def place(self, key: bytes) -> tuple[int, int] | None:
        """Return where the value of a key lies in the file, and how long it is."""
        after = bisect_right(self._landmarks, key) * _APART
        low, high = max(0, after - _APART), min(after, self.n)
        while low < high:
            middle = (low + high) // 2
            if self.key(middle) < key:
                low = middle + 1
            else:
                high = middle
        at = low
        if at == self.n or self.key(at) != key:
            return None
        start, stop = self.span(at)
        return self._values + start, stop - start
