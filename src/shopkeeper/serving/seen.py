"""Which ids were seen: in memory that does not grow, and in the sorted ids of a published version."""

from collections.abc import Iterable
from hashlib import md5
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SLOTS = 1 << 22
FULLEST = 0.67
"""Beyond this share of its slots, a generation is full: the next begins and the one before is forgotten."""


def numbers_of(ids: Iterable[str]) -> "np.ndarray":
    """Return ids as 64-bit numbers: the first half of their md5, as a published version keeps them."""
    import numpy as np

    digests = b"".join([md5(each.encode(), usedforsecurity=False).digest() for each in ids])
    return np.frombuffer(digests, "<u8")[::2].astype(np.uint64)


class Seen:
    """A set of numbers in two generations of a hash table. It remembers at least the last two thirds of its slots."""

    def __init__(self, slots: int = SLOTS, *, known: "np.ndarray | None" = None) -> None:
        """Use two tables of ``slots`` (a power of two); ``known``: sorted numbers that are seen for ever."""
        import numpy as np

        self.slots = slots
        self.known = known if known is not None else np.empty(0, np.uint64)
        self.tables = [np.zeros(slots, np.uint64), np.zeros(slots, np.uint64)]
        self.n = 0

    def add(self, numbers: "np.ndarray") -> "np.ndarray":
        """Remember numbers; return, for each, whether it was not seen before (the first of equal ones was not)."""
        import numpy as np

        step = self.slots // 4
        parts = [self._add(numbers[start : start + step]) for start in range(0, len(numbers), step)]
        return np.concatenate(parts) if parts else np.zeros(0, bool)

    def _add(self, numbers: "np.ndarray") -> "np.ndarray":
        import numpy as np

        # Zero marks an empty slot.
        numbers = np.where(numbers == 0, np.uint64(1), numbers)
        distinct, first = np.unique(numbers, return_index=True)
        if self.n + len(distinct) > FULLEST * self.slots:
            self.tables = [np.zeros(self.slots, np.uint64), self.tables[0]]
            self.n = 0
        is_new = ~self._is_known(distinct) & ~self._is_in(self.tables[1], distinct)
        added = self._insert(distinct[is_new])
        fresh = np.zeros(len(numbers), bool)
        fresh[first[is_new][added]] = True
        return fresh

    def _is_known(self, numbers: "np.ndarray") -> "np.ndarray":
        import numpy as np

        if not len(self.known):
            return np.zeros(len(numbers), bool)
        places = np.minimum(np.searchsorted(self.known, numbers), len(self.known) - 1)
        found: np.ndarray = self.known[places] == numbers
        return found

    def _is_in(self, table: "np.ndarray", numbers: "np.ndarray") -> "np.ndarray":
        import numpy as np

        found = np.zeros(len(numbers), bool)
        waiting = np.arange(len(numbers))
        places = (numbers & np.uint64(self.slots - 1)).astype(np.int64)
        while len(waiting):
            there = table[places[waiting]]
            is_same = there == numbers[waiting]
            found[waiting[is_same]] = True
            waiting = waiting[~is_same & (there != 0)]
            places[waiting] = (places[waiting] + 1) & (self.slots - 1)
        return found

    def _insert(self, numbers: "np.ndarray") -> "np.ndarray":
        """Put distinct numbers into the young table; return which were not in it."""
        import numpy as np

        table = self.tables[0]
        is_new = ~self._is_in(table, numbers)
        waiting = np.flatnonzero(is_new)
        self.n += len(waiting)
        places = (numbers & np.uint64(self.slots - 1)).astype(np.int64)
        while len(waiting):
            free = waiting[table[places[waiting]] == 0]
            # Of several that want one slot, the last written has it; the others look again.
            table[places[free]] = numbers[free]
            waiting = waiting[table[places[waiting]] != numbers[waiting]]
            places[waiting] = (places[waiting] + 1) & (self.slots - 1)
        return is_new
