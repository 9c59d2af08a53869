"""What a record of a text file is, and how many there are: a count of its own, which no reader takes part in.

A **physical line** ends at LF, CR LF or a lone CR. A blank one (no byte at all) is no record. Any other is
one record, with one exception: a line with an odd number of quotes begins a **quoted record** that ends with
the next such line, if all from the one to the other is well-formed by RFC 4180, has the header's number of
fields and is not longer than LONGEST_RECORD. If it is not, the line is a record by itself (and a reject), and
the line after it is looked at afresh: an unterminated quote costs one line, not the rest of the file.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_RECORD = 2 * 1024 * 1024
CHUNK = 4 * 1024 * 1024
WORKERS = 2
LF, CR, QUOTE = 10, 13, 34

if TYPE_CHECKING:
    Divided = tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None, set[str]]


@dataclass(frozen=True)
class Dialect:
    """How a text file is divided: ``delimiter`` None means that a line is one field and quotes mean
    nothing.
    """

    delimiter: str | None
    fields: int
    longest: int = LONGEST_RECORD


@dataclass
class Census:
    """What one pass over a file found.

    ``is_plain``: nothing in it needs more care than a strict reader takes: one kind of line end, no line too
    long, every quote closed.
    """

    records: int = 0
    has_blank_lines: bool = False
    is_plain: bool = True
    line_ends: set[str] = field(default_factory=set)


def take_census(path: Path, dialect: Dialect, start: int = 0, chunk: int = CHUNK) -> Census:
    """Count the records of a file from the byte ``start``, in memory that does not grow with the file.

    Raises OSError if it cannot be read.
    """
    census = Census()
    with path.open("rb", buffering=0) as file, path.open("rb", buffering=0) as again:
        pairs = _Pairs(again, dialect)
        lines = 0
        for starts, ends, quotes in _lines(file, dialect, start, chunk, census):
            lengths = ends - starts
            is_record = lengths > 0
            census.has_blank_lines |= not is_record.all()
            census.is_plain &= not (lengths > dialect.longest).any()
            if quotes is not None:
                numbers = lines + is_record.cumsum()
                for index in (quotes & 1).nonzero()[0].tolist():
                    pairs.meet(int(starts[index]), int(ends[index]), int(numbers[index]))
            lines += int(is_record.sum())
    census.records = lines - pairs.swallowed
    census.is_plain &= pairs.all_closed and len(census.line_ends) <= 1
    return census


def is_well_formed(record: bytes, delimiter: bytes, fields: int) -> bool:
    """Whether a record with quotes is RFC 4180 to the letter and has that many fields."""
    outside = record.split(b'"')[::2]
    first, last, middle = outside[0], outside[-1], outside[1:-1]
    if first and not first.endswith(delimiter):
        return False
    if last and not last.startswith(delimiter):
        return False
    if not all(not part or (part.startswith(delimiter) and part.endswith(delimiter)) for part in middle):
        return False
    return sum(part.count(delimiter) for part in outside) == fields - 1


@dataclass
class _Pairs:
    """Lines with an odd number of quotes, two of which may enclose one record."""

    file: BinaryIO
    dialect: Dialect
    open_line: tuple[int, int] | None = None
    swallowed: int = 0
    every_one: bool = True

    @property
    def all_closed(self) -> bool:
        return self.every_one and self.open_line is None

    def meet(self, start: int, end: int, number: int) -> None:
        if self.open_line is None:
            self.open_line = (start, number)
        elif self._encloses(self.open_line[0], end):
            self.swallowed += number - self.open_line[1]
            self.open_line = None
        else:
            self.every_one = False
            self.open_line = (start, number)

    def _encloses(self, start: int, end: int) -> bool:
        if end - start > self.dialect.longest or self.dialect.delimiter is None:
            return False
        self.file.seek(start)
        record = self.file.read(end - start)
        return is_well_formed(record, self.dialect.delimiter.encode(), self.dialect.fields)


def _lines(
    file: BinaryIO, dialect: Dialect, start: int, chunk: int, census: Census
) -> Iterator[tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64] | None"]]:
    """Yield, chunk by chunk, where each line starts and ends (its line end left out) and how many quotes it
    has.
    """
    import numpy as np

    file.seek(start)
    base = line_start = start
    open_quotes = 0
    for size, stops, ends, quotes, kinds in _divided(file, dialect, chunk):
        census.line_ends |= kinds
        if len(stops):
            starts = np.concatenate(([line_start], stops[:-1] + 1 + base))
            counts = None
            if quotes is not None or open_quotes:
                upto = np.searchsorted(quotes, stops) if quotes is not None else np.zeros(len(stops), np.int64)
                counts = np.diff(upto, prepend=0)
                counts[0] += open_quotes
                open_quotes = -int(upto[-1])
            yield starts, ends + base, counts
            line_start = int(stops[-1]) + 1 + base
        open_quotes += 0 if quotes is None else len(quotes)
        base += size
    if base > line_start:
        yield np.array([line_start]), np.array([base]), np.array([open_quotes])


def _divided(file: BinaryIO, dialect: Dialect, chunk: int) -> Iterator["Divided"]:
    """Yield, chunk by chunk and in order, what ``_divide`` finds; several chunks are looked at side by side."""
    waiting: deque[Future[Divided]] = deque()
    with ThreadPoolExecutor(WORKERS) as workers:
        while block := file.read(chunk):
            while block.endswith(b"\r") and (more := file.read(1)):
                block += more
            waiting.append(workers.submit(_divide, block, with_quotes=dialect.delimiter is not None))
            if len(waiting) > WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _divide(block: bytes, *, with_quotes: bool) -> "Divided":
    """Return a block's size, where its lines stop and end, where its quotes are, and its kinds of line end."""
    import numpy as np

    data = np.frombuffer(block, np.uint8)
    stops, ends, kinds = _line_ends(block, data)
    quotes = np.flatnonzero(data == QUOTE) if with_quotes and b'"' in block else None
    return len(block), stops, ends, quotes, kinds


def _line_ends(block: bytes, data: "NDArray[np.uint8]") -> tuple["NDArray[np.int64]", "NDArray[np.int64]", set[str]]:
    import numpy as np

    feeds = np.flatnonzero(data == LF)
    if b"\r" not in block:
        return feeds, feeds, {"LF"} if len(feeds) else set()
    returns = np.flatnonzero(data == CR)
    following = np.append(data, 0)[returns + 1]
    lone = returns[following != LF]
    after_return = np.isin(feeds - 1, returns[following == LF], assume_unique=True)
    kinds = {"CR": len(lone), "CRLF": after_return.sum(), "LF": len(feeds) - after_return.sum()}
    stops = np.concatenate((feeds, lone))
    ends = np.concatenate((feeds - after_return, lone))
    order = np.argsort(stops, kind="stable")
    return stops[order], ends[order], {kind for kind, count in kinds.items() if count}
