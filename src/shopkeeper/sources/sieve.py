"""The careful way through a damaged text file: good records come out clean, each bad one with its reason.

The raw bytes are looked at in blocks, with NumPy: lines, quotes and delimiters are counted for all lines at
once. Only lines with an odd or misplaced quote are looked at one by one. What a record is stands in
``records``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from shopkeeper.sources.conformity import RAW_LIMIT, Reject, shorten
from shopkeeper.sources.records import CR, LF, QUOTE, Dialect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 32 * 1024 * 1024


@dataclass(frozen=True)
class Sifted:
    """Some consecutive records: ``clean`` text of the good ones, their ``numbers``, and the rejects."""

    clean: bytes
    numbers: "NDArray[np.int64]"
    rejects: list[Reject]


def sift(path: Path, dialect: Dialect, *, start: int = 0, first: int = 1, block: int = BLOCK) -> Iterator[Sifted]:
    """Yield the records of a UTF-8 file from the byte ``start``; the first has the number ``first``.

    Raises OSError if the file cannot be read. Memory stays within some blocks, whatever the length of a line.
    """
    number = first
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        for piece in _pieces(file, dialect, block):
            sifted, count = piece.sift(number)
            number += count
            yield sifted


def _pieces(file: BinaryIO, dialect: Dialect, block: int) -> Iterator["_Lines | _Overlong"]:
    rest = b""
    while True:
        data = file.read(block)
        while data.endswith(b"\r") and (more := file.read(1)):
            data += more
        is_last = not data
        buffer = rest + data
        stop = len(buffer) if is_last else max(buffer.rfind(b"\n"), buffer.rfind(b"\r")) + 1
        if stop:
            lines = _Lines(buffer[:stop], dialect, is_last)
            yield lines
            stop = lines.stop
        rest = buffer[stop:]
        if is_last:
            return
        if len(rest) > dialect.longest and not _has_line_end(rest):
            overlong = _Overlong(rest[: 4 * RAW_LIMIT], len(rest), dialect)
            rest = overlong.skip(file, block)
            yield overlong


def _has_line_end(data: bytes) -> bool:
    return b"\n" in data or b"\r" in data


@dataclass
class _Overlong:
    """One line too long to hold."""

    head: bytes
    length: int
    dialect: Dialect

    def skip(self, file: BinaryIO, block: int) -> bytes:
        """Read on to the line's end and return what follows it."""
        while data := file.read(block):
            found = [at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0]
            if found:
                end = min(found)
                self.length += end
                rest = data[end:]
                while rest == b"\r" and (more := file.read(1)):
                    rest += more
                return rest[2:] if rest.startswith(b"\r\n") else rest[1:]
            self.length += len(data)
        return b""

    def sift(self, number: int) -> tuple[Sifted, int]:
        import numpy as np

        raw = f"{self.head.decode('utf-8', 'replace')[:RAW_LIMIT]}… [cut after {RAW_LIMIT} characters; {self.length} bytes]"
        rule = f"a record must be no longer than {self.dialect.longest} bytes; this one has {self.length}"
        return Sifted(b"", np.empty(0, np.int64), [Reject(number, raw, "", rule, "")]), 1


@dataclass
class _Lines:
    """A block of whole physical lines."""

    buffer: bytes
    dialect: Dialect
    is_last: bool
    stop: int = field(init=False)

    def __post_init__(self) -> None:
        import numpy as np

        self.data = np.frombuffer(self.buffer, np.uint8)
        self._find_lines()
        uses_quotes = self.dialect.delimiter is not None and b'"' in self.buffer
        self.quotes = np.flatnonzero(self.data == QUOTE) if uses_quotes else np.empty(0, np.int64)
        self._find_records()

    def sift(self, number: int) -> tuple[Sifted, int]:
        """Return the good records and the rejects, the first of all being ``number``, and how many they
        are.
        """
        import numpy as np

        count = len(self.first)
        numbers = np.arange(number, number + count)
        faults = self._faults()
        mended = self._mend(faults)
        good = np.ones(count, bool)
        good[list(faults)] = False
        rejects = [
            Reject(int(numbers[index]), self._raw(index), "", rule, "") for index, rule in sorted(faults.items())
        ]
        return Sifted(self._clean(good, mended), numbers[good], rejects), count

    def _find_lines(self) -> None:
        import numpy as np

        stops = np.flatnonzero(self.data == LF)
        ends = stops
        if b"\r" in self.buffer:
            returns = np.flatnonzero(self.data == CR)
            is_pair = np.append(self.data, 0)[returns + 1] == LF
            stops = np.sort(np.concatenate((stops, returns[~is_pair])))
            previous = self.data[np.maximum(stops - 1, 0)]
            ends = stops - ((self.data[stops] == LF) & (previous == CR) & (stops > 0))
        if not len(stops) or stops[-1] != len(self.data) - 1:
            stops, ends = np.append(stops, len(self.data)), np.append(ends, len(self.data))
        self.starts = np.concatenate(([0], stops[:-1] + 1))
        self.stops, self.ends = stops, ends

    def _find_records(self) -> None:
        """Set ``first`` and ``last``: the physical lines each record begins and ends with."""
        import numpy as np

        n_lines = len(self.starts)
        per_line = np.diff(np.searchsorted(self.quotes, np.append(self.starts, len(self.data) + 1)))
        odd = np.flatnonzero(per_line & 1).tolist()
        joined, pending = self._join(odd)
        if pending is not None and not self.is_last and len(self.data) - self.starts[pending] <= self.dialect.longest:
            n_lines = pending
        self.stop = len(self.data) if n_lines == len(self.starts) else int(self.starts[n_lines])
        is_first = self.ends[:n_lines] > self.starts[:n_lines]
        last = np.arange(n_lines)
        for begin, end in joined:
            is_first[begin + 1 : end + 1] = False
            last[begin] = end
        self.n_lines = n_lines
        self.first = np.flatnonzero(is_first)
        self.last = last[self.first]
        self.odd = frozenset(odd) - {line for pair in joined for line in pair}

    def _join(self, odd: list[int]) -> tuple[list[tuple[int, int]], int | None]:
        joined: list[tuple[int, int]] = []
        pending: int | None = None
        for line in odd:
            if pending is not None and self._encloses(pending, line):
                joined.append((pending, line))
                pending = None
            else:
                pending = line
        return joined, pending

    def _encloses(self, begin: int, end: int) -> bool:
        record = self.buffer[self.starts[begin] : self.ends[end]]
        if len(record) > self.dialect.longest:
            return False
        parsed = split_record(record, self.dialect, strict=True)
        return parsed is not None and len(parsed) == self.dialect.fields

    def _faults(self) -> dict[int, str]:
        """Return the rule that each bad record breaks, by its index."""
        import numpy as np

        begin, end = self.starts[self.first], self.ends[self.last]
        faults: dict[int, str] = {}
        longest = self.dialect.longest
        if self.dialect.delimiter is not None:
            found, irregular = self._count_fields(begin, end)
            wanted = self.dialect.fields
            for index in np.flatnonzero((found != wanted) & ~irregular).tolist():
                faults[index] = self._wrong_count(index, int(found[index]))
            self.irregular = np.flatnonzero(irregular).tolist()
        else:
            self.irregular = []
        for index, byte in self._undecodable(begin, end):
            faults[index] = f"a line must be valid UTF-8; got the byte 0x{byte:02x}"
        for index in np.flatnonzero(end - begin > longest).tolist():
            length = int(end[index] - begin[index])
            faults[index] = f"a record must be no longer than {longest} bytes; this one has {length}"
        return faults

    def _count_fields(
        self, begin: "NDArray[np.int64]", end: "NDArray[np.int64]"
    ) -> tuple["NDArray[np.int64]", "NDArray[np.bool_]"]:
        """Return each record's number of fields, and whether a quote in it stands where none should."""
        import numpy as np

        delimiter = ord(self.dialect.delimiter or ",")
        delimiters = np.flatnonzero(self.data[: self.stop] == delimiter)
        irregular = np.zeros(len(begin), bool)
        if len(self.quotes) and len(begin):
            quotes = self.quotes[self.quotes < self.stop]
            owner = np.searchsorted(begin, quotes, "right") - 1
            nth = np.arange(len(quotes)) - np.searchsorted(quotes, begin)[owner]
            padded = np.append(self.data, delimiter)
            before, after = padded[quotes - 1], padded[quotes + 1]
            opens = (before == delimiter) | (before == QUOTE) | (quotes == begin[owner])
            closes = (after == delimiter) | (after == QUOTE) | (quotes + 1 == end[owner])
            misplaced = np.where(nth & 1, ~closes, ~opens)
            irregular |= np.bincount(owner[misplaced], minlength=len(begin)) > 0
            irregular |= (np.bincount(owner, minlength=len(begin)) & 1) > 0
            holder = np.searchsorted(begin, delimiters, "right") - 1
            inside = (np.searchsorted(quotes, delimiters) - np.searchsorted(quotes, begin)[holder]) & 1
            delimiters = delimiters[inside == 0]
        found = 1 + np.searchsorted(delimiters, end) - np.searchsorted(delimiters, begin)
        # A delimiter at the very end of a line adds no field: many exports write one.
        trailing = (found == self.dialect.fields + 1) & (self.data[end - 1] == delimiter)
        return found - trailing, irregular

    def _mend(self, faults: dict[int, str]) -> dict[int, bytes]:
        """Return clean text for records with a quote inside of an unquoted field, and add the hopeless to
        faults.
        """
        mended = {}
        for index in self.irregular:
            if index in faults:
                continue
            begin, end = self.starts[self.first[index]], self.ends[self.last[index]]
            fields = split_record(self.buffer[begin:end], self.dialect)
            if fields is None:
                is_odd = int(self.first[index]) in self.odd
                faults[index] = "a quoted field must be closed by a quote and then a delimiter" + (
                    " (unterminated quote)" if is_odd else ""
                )
            elif len(fields) != self.dialect.fields:
                faults[index] = self._wrong_count(index, len(fields))
            else:
                mended[index] = _join_fields(fields, self.dialect)
        return mended

    def _wrong_count(self, index: int, found: int) -> str:
        rule = f"a line must have {self.dialect.fields} fields; got {found}"
        is_cut = self.is_last and index == len(self.first) - 1 and not self.buffer.endswith((b"\n", b"\r"))
        return rule + (" (the file's last line, which may have been cut off)" if is_cut else "")

    def _undecodable(self, begin: "NDArray[np.int64]", end: "NDArray[np.int64]") -> Iterator[tuple[int, int]]:
        import numpy as np

        if self.buffer.isascii():
            return
        at, view = 0, memoryview(self.buffer)
        while at < self.stop:
            try:
                str(view[at : self.stop], "utf-8")
            except UnicodeDecodeError as error:
                place = at + error.start
                index = int(np.searchsorted(begin, place, "right")) - 1
                yield index, self.buffer[place]
                at = int(end[index])
            else:
                return

    def _raw(self, index: int) -> str:
        begin, end = self.starts[self.first[index]], self.ends[self.last[index]]
        return shorten(self.buffer[begin:end].decode("utf-8", "replace"))

    def _clean(self, good: "NDArray[np.bool_]", mended: dict[int, bytes]) -> bytes:
        """Return the good records, each ending in LF, the mended ones in their places."""
        import numpy as np

        plain = good.copy()
        plain[list(mended)] = False
        if plain.all() and len(plain) == self.n_lines and b"\r" not in self.buffer and self.buffer.endswith(b"\n"):
            return self.buffer[: self.stop]
        keeps_line = np.zeros(self.n_lines + 1, np.int64)
        np.add.at(keeps_line, self.first[plain], 1)
        np.add.at(keeps_line, self.last[plain] + 1, -1)
        lengths = np.diff(np.append(self.starts[: self.n_lines], self.stop))
        keep = np.repeat(keeps_line[:-1].cumsum() > 0, lengths)
        data = self.data[: self.stop].copy()
        last = self.last[plain]
        at_end = self.stops[last]
        keep[self.ends[last][self.ends[last] < at_end]] = False
        data[at_end[at_end < self.stop]] = LF
        pieces, at = [], 0
        for index, text in sorted(mended.items()):
            place = int(self.starts[self.first[index]])
            pieces += [data[at:place][keep[at:place]].tobytes(), text]
            at = place
        pieces.append(data[at:][keep[at:]].tobytes())
        clean = b"".join(pieces)
        return clean if not clean or clean.endswith(b"\n") else clean + b"\n"


def split_record(record: bytes, dialect: Dialect, *, strict: bool = False) -> list[bytes] | None:
    """Return a record's fields, or None where a quoted field does not close properly.

    Unless ``strict``, a quote inside of a field that does not begin with one is a character like any other.
    """
    delimiter = (dialect.delimiter or ",").encode()
    escaped = re.escape(delimiter)
    bare = rb'[^"' + escaped + rb"]*" if strict else rb'(?:[^"' + escaped + rb"][^" + escaped + rb"]*)?"
    space = b"" if strict else b" *"
    pattern = re.compile(
        b"(?:" + space + rb'"((?:[^"]++|"")*+)"' + space + b"|(" + bare + b"))(" + escaped + rb"|\Z)",
        re.DOTALL,
    )
    fields, at = [], 0
    while match := pattern.match(record, at):
        quoted, plain, end = match.groups()
        fields.append(plain if quoted is None else quoted.replace(b'""', b'"'))
        if not end:
            return fields
        at = match.end()
    return None


def _join_fields(fields: list[bytes], dialect: Dialect) -> bytes:
    quoted = [b'"' + text.replace(b'"', b'""') + b'"' if text else b"" for text in fields]
    return (dialect.delimiter or ",").encode().join(quoted) + b"\n"
