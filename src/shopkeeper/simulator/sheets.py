"""Files as sheets of blocks: where dirt is planted, how they are rendered, and what a reader will find."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shopkeeper.simulator.chance import stream
from shopkeeper.simulator.faults import REJECT, RESENT, Fields, Recipe
from shopkeeper.simulator.rendering import Block, spliced

FEW = 5000
"""Rows of a block that are shuffled whole to find places for faults."""


@dataclass(frozen=True)
class Sheet:
    """One file to render: where, which columns, its blocks in order, and the dirt that goes in.

    ``blocks`` may be called again and gives the same each time. ``least``: faults of each kind in the first
    block, where it has room. ``first``: rows of the same table in earlier sheets, so that identifiers made
    from row numbers do not meet. ``is_cut``: the dirty file ends in the middle of a line. ``is_resent``: the
    whole file repeats rows of an earlier one and exists only with dirt. ``entity``: the contract that its
    rows fill.
    """

    path: str
    header: tuple[str, ...]
    entity: str
    blocks: Callable[[], Iterator[Block]]
    recipes: tuple[Recipe, ...] = ()
    least: int = 1
    first: int = 0
    is_cut: bool = False
    is_resent: bool = False


@dataclass(frozen=True)
class Planted:
    """A fault in its place: before which row of its block, the line, its fields if they load, and its
    recipe.
    """

    row: int
    line: bytes
    fields: Fields | None
    fault: str
    action: str
    flags: str
    column: str | None


@dataclass(frozen=True)
class Fault:
    """A planted line as the file's reader meets it; ``row`` counts records from the header as 1."""

    file: str
    entity: str
    row: int
    planted: Planted


def plant(sheet: Sheet, number: int, block: Block, first_row: int, seed: int) -> list[Planted]:
    """Return the faults of one block of a sheet, in the order of their places."""
    rng = stream(seed, "dirt", sheet.path, number)
    taken: set[int] = set()
    picks: list[tuple[int, Recipe]] = []
    for recipe in sheet.recipes:
        suited = block.groups.get(recipe.group)
        room = block.rows if suited is None else len(suited)
        wanted = max(int(rng.poisson(block.rows * recipe.per_million / 1e6)), sheet.least if number == 0 else 0)
        if not room or not wanted:
            continue
        drawn = rng.permutation(room) if room < FEW else rng.integers(0, room, 2 * wanted + 8)
        rows = dict.fromkeys((drawn if suited is None else suited[drawn]).tolist())
        # A row feeds one fault only, so that what is made of it stays unlike all else.
        free = [row for row in rows if row not in taken][:wanted]
        taken.update(free)
        picks += [(row, recipe) for row in free]
    picks.sort(key=lambda pick: pick[0])
    fields = block.fields(np.array([row for row, _ in picks], dtype=np.int64))
    return [
        _planted(row + 1, recipe, recipe.make(list(clean), first_row + row))
        for (row, recipe), clean in zip(picks, fields, strict=True)
    ]


def _planted(row: int, recipe: Recipe, made: Fields | bytes) -> Planted:
    fields = None if isinstance(made, bytes) else made
    line = made if isinstance(made, bytes) else ",".join(made).encode()
    return Planted(row, line + b"\n", fields, recipe.fault, recipe.action, recipe.flags, recipe.column)


def _cut(block: Block) -> Planted:
    """Return the last row again, cut off in the middle of a field, without an end of line."""
    fields = block.fields(np.array([block.rows - 1]))[0]
    half = ",".join(fields[: len(fields) // 2]).encode()
    return Planted(block.rows, half[:-1], None, "cut_line", REJECT, "", None)


def walk(sheet: Sheet, seed: int, dirt: bool) -> Iterator[tuple[Block, list[Planted]]]:
    """Yield a sheet's blocks with the faults in them (none without dirt)."""
    rows = sheet.first
    blocks = enumerate(sheet.blocks())
    upcoming = next(blocks, None)
    while upcoming is not None:
        number, block = upcoming
        upcoming = next(blocks, None)
        planted = plant(sheet, number, block, rows, seed) if dirt else []
        if dirt and sheet.is_cut and upcoming is None and block.rows:
            planted.append(_cut(block))
        rows += block.rows
        yield block, planted


def render(sheet: Sheet, seed: int, dirt: bool) -> Iterator[bytes]:
    """Yield a sheet's bytes, a block at a time."""
    yield (",".join(sheet.header) + "\n").encode()
    for block, planted in walk(sheet, seed, dirt):
        yield from spliced(block.text(None), [(one.row, one.line) for one in planted])


def found(sheet: Sheet, seed: int) -> Iterator[tuple[int, list[Fault]]]:
    """Yield for each block of a dirty sheet how many clean rows it has, and its faults in the reader's count.

    In a resent sheet each row is a fault.
    """
    before = 2
    for block, planted in walk(sheet, seed, dirt=True):
        places = np.array([one.row for one in planted], dtype=np.int64) + np.arange(len(planted)) + before
        faults = [Fault(sheet.path, sheet.entity, int(at), one) for at, one in zip(places, planted, strict=True)]
        size = block.rows + len(planted)
        if sheet.is_resent:
            again = Planted(0, b"", None, "resent_line", RESENT, "", None)
            free = np.setdiff1d(np.arange(before, before + size), places)
            faults += [Fault(sheet.path, sheet.entity, int(at), again) for at in free]
            faults.sort(key=lambda one: one.row)
        yield (0 if sheet.is_resent else block.rows), faults
        before += size


def faults_table(faults: list[Fault]) -> pa.Table:
    """Return the truth about faults, one row for each planted line."""
    schema = pa.schema(
        {
            "file": pa.string(),
            "row": pa.int64(),
            "entity": pa.string(),
            "fault": pa.string(),
            "action": pa.string(),
            "flags": pa.string(),
            "column": pa.string(),
            "line": pa.binary(),
        }
    )
    return pa.table(
        [
            [one.file for one in faults],
            [one.row for one in faults],
            [one.entity for one in faults],
            [one.planted.fault for one in faults],
            [one.planted.action for one in faults],
            [one.planted.flags for one in faults],
            [one.planted.column for one in faults],
            [one.planted.line for one in faults],
        ],
        schema=schema,
    )
