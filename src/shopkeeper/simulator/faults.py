"""The dirt: kinds of lines that a file should not hold, and what must become of each.

Every fault is one line *added* to the clean file, made from a clean row near it (see ``sheets``). So a
dirty file without its planted lines is the clean file, byte for byte.
"""

from collections.abc import Callable
from dataclasses import dataclass

Fields = list[str]

REJECT = "reject"
RESENT = "resent"
FLAG = "flag"
MERGE = "merge"


@dataclass(frozen=True)
class Recipe:
    """How one kind of fault is made.

    ``make`` takes a clean row's fields and its number in the file, and returns fields of a row that can be
    loaded, or the bytes of a line that cannot. ``action``: what must become of it. ``flags``: what the
    platform must mark on the row, words with a space between. ``column``: the source column at fault, if it
    is one. ``group``: which rows suit. ``per_million``: faults for a million clean rows, one at least in a
    file's first block.
    """

    fault: str
    action: str
    make: Callable[[Fields, int], Fields | bytes]
    per_million: int
    flags: str = ""
    column: str | None = None
    group: str = "all"


def changed(
    header: tuple[str, ...], values: dict[str, str], numbered: str = "", prefix: str = ""
) -> Callable[[Fields, int], Fields]:
    """Return a maker that copies a row with other values in some columns.

    ``numbered``: a column that gets ``prefix`` and the row's number in 8 digits, for an identifier of its
    own.
    """
    places = {header.index(name): value for name, value in values.items()}

    def make(fields: Fields, row: int) -> Fields:
        for place, value in places.items():
            fields[place] = value
        if numbered:
            fields[header.index(numbered)] = f"{prefix}{row:08d}"
        return fields

    return make


def broken(header: tuple[str, ...], values: dict[str, str]) -> Callable[[Fields, int], bytes]:
    """Return a maker of a line that cannot be loaded: other values in some columns, verbatim."""
    change = changed(header, values)
    return lambda fields, row: ",".join(change(fields, row)).encode()


def unreadable(
    header: tuple[str, ...], moment: str, amount: str | None, wording: str, symbol: str = "£"
) -> tuple[Recipe, ...]:
    """Return the rejects that any table can have.

    ``moment``: column of a date; ``amount``: column of an amount, if there is one; ``wording``: a column of
    text.
    """
    often = 100
    text = header.index(wording)

    def quote(fields: Fields, _: int) -> bytes:
        # Of two quotes before a delimiter the second would close the first: the field must not be empty.
        fields[text] = '"' + (fields[text].strip('"') or "open")
        return ",".join(fields).encode()

    def bytes_of(fields: Fields, _: int) -> bytes:
        fields[text] = fields[text].strip('"').replace(",", "")
        before, after = (",".join(part).encode() for part in (fields[:text], fields[text:]))
        # The whole character before the lone byte lets a reader that guesses know the file for UTF-8.
        return before + (b"," if text else b"") + "é".encode() + b"\xff" + after

    def date_of(fields: Fields, _: int) -> bytes:
        at = header.index(moment)
        fields[at] = f"{fields[at][:4]}-02-30{fields[at][10:]}"
        return ",".join(fields).encode()

    rejects = [
        Recipe(
            "too_few_fields",
            REJECT,
            lambda fields, _: ",".join(fields[: max(len(fields) - 2, 1)]).encode(),
            often,
        ),
        Recipe("too_many_fields", REJECT, lambda fields, _: ",".join([*fields, "extra"]).encode(), often),
        Recipe("unterminated_quote", REJECT, quote, often),
        Recipe("invalid_bytes", REJECT, bytes_of, often),
    ]
    if moment:
        rejects.append(Recipe("impossible_date", REJECT, date_of, often, column=moment))
    if amount:
        rejects += [
            Recipe("comma_decimal", REJECT, broken(header, {amount: '"1.234,56"'}), often, column=amount),
            Recipe("currency_symbol", REJECT, broken(header, {amount: f"{symbol}3.50"}), often, column=amount),
        ]
    return tuple(rejects)
