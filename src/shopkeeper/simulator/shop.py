"""A simulated shop: the files it hands over, and the truth that nobody hands over."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import date
from functools import cached_property

import numpy as np
import pyarrow as pa

from shopkeeper.simulator.faults import FLAG, MERGE, REJECT, RESENT
from shopkeeper.simulator.rendering import RenderedFile
from shopkeeper.simulator.seasons import Rhythm, day_factors
from shopkeeper.simulator.sheets import Fault, Sheet, faults_table, found, render
from shopkeeper.simulator.totals import Totals


class Shop(ABC):
    """A shop of one preset, fully determined by its arguments.

    A kind of shop says what stands in its files (``sheets``), what is true (``world``), what the clean
    files add up to (``clean_totals``), and what a loadable planted line adds (``add_planted``).
    """

    preset: str
    rhythm: Rhythm

    def __init__(self, *, customers: int, days: int, seed: int, start: date) -> None:
        self.customers = customers
        self.days = days
        self.seed = seed
        self.start = start

    @cached_property
    def factors(self) -> np.ndarray:
        """How busy each day is, relative to an average day; zero where closed."""
        return day_factors(self.rhythm, self.start, self.days)

    @abstractmethod
    def sheets(self) -> list[Sheet]:
        """Return what to render, in the order of the paths."""

    @abstractmethod
    def world(self) -> dict[str, pa.Table]:
        """Return the truth about the world, clean or dirty."""

    @abstractmethod
    def clean_totals(self) -> Totals:
        """Return the exact sums over the clean files."""

    @abstractmethod
    def add_planted(self, totals: Totals, fault: Fault) -> None:
        """Add to the sums what a planted line that loads adds."""

    def files(self, dirt: bool = True) -> Iterator[RenderedFile]:
        """Yield the shop's files in the order of their paths; without dirt, nothing in them is at fault.

        Each file's chunks may be read at any time, in any order, once.
        """
        for sheet in self.sheets():
            if dirt or not sheet.is_resent:
                yield RenderedFile(sheet.path, render(sheet, self.seed, dirt))

    def truth(self, dirt: bool = True) -> dict[str, pa.Table]:
        """Return the tables of truth by name, those about faults and totals for the files of the same
        ``dirt``.
        """
        totals = self.clean_totals()
        faults: list[Fault] = []
        files = []
        for sheet in self.sheets():
            clean, own = 0, list[Fault]()
            if dirt:
                for rows, planted in found(sheet, self.seed):
                    clean += rows
                    own += planted
            elif sheet.is_resent:
                continue
            else:
                clean = sum(block.rows for block in sheet.blocks())
            files.append((sheet, clean, own))
            faults += own
        for fault in faults:
            if fault.planted.fields is not None:
                self.add_planted(totals, fault)
        for sheet, clean, own in files:
            loaded = clean + sum(one.planted.action in {FLAG, MERGE} for one in own)
            totals.count(sheet.entity, "rows_read", clean + len(own))
            totals.count(sheet.entity, "rows_loaded", loaded)
            totals.count(sheet.entity, "rows_rejected", _number(own, REJECT))
            totals.count(sheet.entity, "rows_resent", _number(own, RESENT))
        return {
            **self.world(),
            "faults": faults_table(faults),
            "files": _files_table(files),
            "totals": totals.table(),
        }


def _number(faults: list[Fault], action: str) -> int:
    return sum(one.planted.action == action for one in faults)


def _files_table(files: list[tuple[Sheet, int, list[Fault]]]) -> pa.Table:
    """Return how many records each file has, and what becomes of them."""
    return pa.table(
        {
            "file": pa.array([sheet.path for sheet, _, _ in files], pa.string()),
            "entity": pa.array([sheet.entity for sheet, _, _ in files], pa.string()),
            "rows_read": pa.array([clean + len(own) for _, clean, own in files], pa.int64()),
            "rows_rejected": pa.array([_number(own, REJECT) for _, _, own in files], pa.int64()),
            "rows_resent": pa.array([_number(own, RESENT) for _, _, own in files], pa.int64()),
        }
    )
