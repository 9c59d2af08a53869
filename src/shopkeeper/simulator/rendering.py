"""Columns of numbers become lines of CSV, a block at a time, through Arrow's vectorised text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Columns = list[pa.Array]
CENTS = pa.array([f"{one:02d}" for one in range(100)])
CLOCK = pa.array([f"{one // 3600:02d}:{one // 60 % 60:02d}:{one % 60:02d}" for one in range(86_400)])
HEXADECIMAL = np.frombuffer("".join(f"{one:02x}" for one in range(256)).encode(), dtype=np.uint8).reshape(256, 2)


@dataclass(frozen=True)
class RenderedFile:
    """A file to write: its path relative to the output folder (posix), and its bytes, to be read once."""

    path: str
    chunks: Iterator[bytes]


@dataclass(frozen=True)
class Block:
    """Some consecutive rows of a file, not yet text.

    ``text`` gives the columns as CSV fields for all rows (None) or for the rows at some indices.
    ``groups``: indices of the rows that suit a fault which does not suit all; a group that is not named is
    all rows.
    """

    rows: int
    text: Callable[[np.ndarray | None], Columns]
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)

    def fields(self, rows: np.ndarray) -> list[list[str]]:
        """Return the CSV fields of some rows, one list each."""
        columns = [column.to_pylist() for column in self.text(rows)]
        return [list(fields) for fields in zip(*columns, strict=True)]


def block_of(columns: Sequence[pa.Array], groups: Mapping[str, np.ndarray] | None = None) -> Block:
    """Return the block of columns that are text already."""

    def text(rows: np.ndarray | None) -> Columns:
        return list(columns) if rows is None else [column.take(pa.array(rows)) for column in columns]

    return Block(len(columns[0]), text, groups or {})


def quoted(text: str) -> str:
    """Return a CSV field: in quotes where it holds a comma or a quote."""
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text


def texts(values: Sequence[str]) -> pa.Array:
    """Return text as an Arrow array of CSV fields."""
    return pa.array([quoted(value) for value in values], pa.string())


def pick(dictionary: pa.Array, index: np.ndarray) -> pa.Array:
    """Return the text at each index."""
    return dictionary.take(pa.array(index))


def integers(values: np.ndarray) -> pa.Array:
    """Return whole numbers as text."""
    return pa.array(values).cast(pa.string())


def integers_with(values: np.ndarray, marked: np.ndarray, prefix: str) -> pa.Array:
    """Return whole numbers as text, the marked ones with a prefix."""
    prefixes = pick(pa.array(["", prefix]), marked.astype(np.int8))
    return pc.binary_join_element_wise(prefixes, integers(values), "")


def numbered(prefix: str, values: np.ndarray) -> pa.Array:
    """Return a prefix and whole numbers, in nine digits."""
    return pc.binary_join_element_wise(prefix, pc.utf8_lpad(integers(values), 9, "0"), "")


def money(minor: np.ndarray) -> pa.Array:
    """Return amounts in minor units (hundredths) as text with two decimals."""
    size = np.abs(minor)
    whole = integers(size // 100)
    signed = pc.if_else(pa.array(minor < 0), pc.binary_join_element_wise("-", whole, ""), whole)
    return pc.binary_join_element_wise(signed, pick(CENTS, size % 100), ".")


def fractions(values: np.ndarray) -> pa.Array:
    """Return ten-thousandths below one as text with four decimals."""
    return pc.binary_join_element_wise("0.", pc.utf8_lpad(integers(values), 4, "0"), "")


def only(mask: np.ndarray, text: pa.Array) -> pa.Array:
    """Return the text where the mask is true, and an empty field elsewhere."""
    return pc.if_else(pa.array(mask), text, "")


def moments(start: date, day: np.ndarray, second: np.ndarray, ending: str = "") -> pa.Array:
    """Return moments as ``2010-12-01 08:26:00`` and an ending; ``second`` may run past midnight."""
    day = day + second // 86_400
    if not len(day):
        return pa.array([], pa.string())
    first = int(day.min())
    days = [(start + timedelta(one)).isoformat() for one in range(first, int(day.max()) + 1)]
    return pc.binary_join_element_wise(pick(pa.array(days), day - first), pick(_clock(ending), second % 86_400), " ")


@cache
def _clock(ending: str) -> pa.Array:
    return pc.binary_join_element_wise(CLOCK, ending, "")


def identifiers(draws: np.ndarray) -> pa.Array:
    """Return texts in the shape of UUIDs from rows of 16 random bytes."""
    digits = HEXADECIMAL[draws].reshape(len(draws), 32)
    shaped = np.full((len(draws), 36), ord("-"), dtype=np.uint8)
    shaped[:, np.array([one not in {8, 13, 18, 23} for one in range(36)])] = digits
    offsets = np.arange(0, 36 * (len(draws) + 1), 36, dtype=np.int32)
    return pa.StringArray.from_buffers(len(draws), pa.py_buffer(offsets), pa.py_buffer(shaped))


def spliced(columns: Columns, insertions: Sequence[tuple[int, bytes]]) -> Iterator[bytes]:
    """Yield the lines of these columns as bytes, with lines put in: (index of the row before which, whole
    line).
    """
    fields = pc.binary_join_element_wise(*columns, ",")
    lines = pc.binary_join_element_wise(fields, "\n", "")
    if not len(lines):
        yield b"".join(line for _, line in insertions)
        return
    _, offsets, values = lines.buffers()
    starts = np.frombuffer(offsets, dtype=np.int32, count=len(lines) + 1)
    whole = memoryview(values)
    parts: list[bytes | memoryview] = []
    done = 0
    for row, line in insertions:
        parts += [whole[done : starts[row]], line]
        done = starts[row]
    parts.append(whole[done : starts[-1]])
    yield b"".join(parts)
