"""One table studied as a whole: its columns, how they go together, its faults, and pictures of the pairs that tell most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shopkeeper.errors import StorageError
from shopkeeper.progress import Tell, silent
from shopkeeper.published import Published, Version
from shopkeeper.serving.profiling.faults import Fault, faults
from shopkeeper.serving.profiling.pairs import (
    Association,
    Correlation,
    Grid,
    Group,
    associations,
    boxes,
    correlations,
    grid,
)
from shopkeeper.serving.profiling.tables import TableProfile, TableWords, profile

if TYPE_CHECKING:
    import duckdb

N_PICTURES = 4
WEAK, SAME = 0.1, 0.995
"""Strengths between which a pair is worth a picture: below it is chance, above it one column repeats the other."""


@dataclass(frozen=True)
class Picture:
    """A pair of columns as it is drawn: a grid of counted rows, or a box plot for each value of a text."""

    association: Association
    grid: Grid | None = None
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True)
class Study:
    """All that is found in a table: ``associations`` the closest first, ``pictures`` of the closest that are not the same."""

    table: TableProfile
    correlations: tuple[Correlation, ...]
    associations: tuple[Association, ...]
    pictures: tuple[Picture, ...]
    faults: tuple[Fault, ...]


def study(
    connection: "duckdb.DuckDBPyConnection",
    version: Version,
    asked: str,
    *,
    columns: Sequence[str] = (),
    words: Mapping[str, TableWords],
    shows_customers: bool = False,
    tell: Tell = silent,
) -> Study:
    """Return what a table of a version holds; ``connection`` is one to that version.

    Arguments and errors are those of ``profile``. A row later than the version's publishing lies in the future.
    """
    found = profile(
        connection, version.number, asked, columns=columns, words=words, shows_customers=shows_customers, tell=tell
    )
    tell("profile", "pairs of columns", 0, None)
    correlated = correlations(connection, found)
    associated = associations(connection, found, correlated)
    pictures = [_picture(connection, found, each) for each in _chosen(associated)]
    tell("profile", "faults", 0, None)
    odd = faults(
        connection,
        now=datetime.fromisoformat(version.published_at),
        table=found.name,
        shows_customers=shows_customers,
    )
    return Study(found, tuple(correlated), tuple(associated), tuple(pictures), tuple(odd))


def study_published(
    published: Published,
    asked: str,
    *,
    columns: Sequence[str] = (),
    words: Mapping[str, TableWords],
    shows_customers: bool = False,
    tell: Tell = silent,
) -> Study:
    """Return what a table of the current version holds. Raises what ``Published.open`` and ``profile`` raise."""
    number, connection = published.open_numbered()
    with connection:
        version = published.version(number)
        if version is None:
            raise StorageError(f"version {number} must stand in {published.root}; it is gone. Ask again.")
        return study(
            connection, version, asked, columns=columns, words=words, shows_customers=shows_customers, tell=tell
        )


def _chosen(found: Sequence[Association]) -> list[Association]:
    """Return the closest pairs of each kind; a column that repeats another stands for both."""
    repeated = {each.second for each in found if each.strength > SAME and each.kind != "number by text"}
    chosen: list[Association] = []
    for kind in ("number by number", "number by text", "text by text"):
        worth = [
            each
            for each in found
            if each.kind == kind and WEAK < each.strength <= SAME and not {each.first, each.second} & repeated
        ]
        chosen += worth[:N_PICTURES]
    return chosen


def _picture(connection: "duckdb.DuckDBPyConnection", table: TableProfile, pair: Association) -> Picture:
    if pair.kind == "number by text":
        return Picture(pair, groups=tuple(boxes(connection, table, pair.first, pair.second)))
    return Picture(pair, grid=grid(connection, table, pair.first, pair.second))
