"""What every source gives: items to load, and for each a reading in the shape of its contract.

A source reads and never writes. It does not know the lake: what was loaded before is handed to it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from shopkeeper.mappings import Mapping


@dataclass(frozen=True)
class Known:
    """What the lake already holds of one source.

    ``items``: name of each item loaded before → fingerprint of its latest content.
    ``fingerprints``: mapped table and fingerprint → name of the item that brought it.
    ``cursors``: name of the mapped table → the largest cursor loaded so far, as text.
    """

    items: dict[str, str] = field(default_factory=dict)
    fingerprints: dict[tuple[str, str], str] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One thing to load whole: a file, a member of an archive, or what lies after a cursor.

    ``name`` is stable between runs, free of credentials, and becomes ``source_file``. ``fingerprint``
    changes whenever the content does (SHA-256 of a file's bytes; the cursor window of a query; empty where only
    reading can tell). ``is_window``: a part of a growing whole, where another fingerprint means new rows and not
    a changed file.
    ``locator`` is the source's own business.
    """

    name: str
    table: str
    mapping: "Mapping"
    fingerprint: str
    size: int
    locator: str = ""
    is_window: bool = False


@dataclass(frozen=True)
class Batch:
    """Some consecutive rows of an item, each either a row of the contract or a reject.

    ``rows``: the contract's columns in order, then ``source_row`` (int64).
    ``rejects``: the columns of REJECT_FIELDS. Both may be empty.
    """

    rows: "pa.RecordBatch"
    rejects: "pa.RecordBatch"


@dataclass
class Reading:
    """An item opened for reading once.

    Iterate ``batches`` to the end; then ``rows_read`` is what an independent pass over the raw item counted
    (not derived from the batches), ``notes`` holds sentences worth telling (extra columns, guessed
    encoding) and ``cursor`` is the new cursor, if the source has one.

    ``write``, where a reading has it, is the quicker way for very many rows, instead of ``batches``: called with a path
    and further columns of text (name → value), it writes the rows, those columns and ``source_row`` to that one
    Parquet file, and returns the rejects; or None, nothing written, if the batches must be read after all.
    """

    batches: Iterator[Batch]
    rows_read: int = 0
    notes: list[str] = field(default_factory=list)
    cursor: str | None = None
    write: "Callable[[Path, dict[str, str]], pa.RecordBatch | None] | None" = None


class Source(Protocol):
    """A place rows come from.

    After ``items()``, ``skipped`` says what was left out on purpose, and ``failed`` names what should have been read
    and could not be, with the error; ``close()`` gives back what reading took. A source without them has none.
    """

    name: str

    def items(self, known: Known) -> Iterator[Item]:
        """Yield what can be loaded, unchanged items included; the workflow skips those it knows."""

    def read(self, item: Item) -> AbstractContextManager[Reading]:
        """Open an item. Raises ContractError if its shape does not fit, OutsideError if it cannot be had."""


REJECT_FIELDS = ("source_row", "raw_text", "column_name", "rule", "value")
"""source_row int64; the rest text. raw_text: the row as JSON object of source column → text, or, where a line
could not be split into columns, the line itself. One reject row per rejected source row: ``column_name`` is
the source column at fault (several joined by ', '; empty for a whole line), ``rule`` the sentence it breaks,
``value`` the offending text."""
