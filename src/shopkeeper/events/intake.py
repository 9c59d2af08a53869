"""JSON → rows of a contract, and rejects that say which field broke which rule. Pure: no clock, no disk, no randomness.

A request may hold one thing or a batch. What is bad is told apart from what is good; whatever the JSON is, nothing else is
raised than ContractError, and accepted + rejected = sent.
"""

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from hashlib import md5
from itertools import count
from typing import Any

import orjson

from shopkeeper import vocabulary as v
from shopkeeper.contracts import CONTRACTS, Column, Contract, Kind
from shopkeeper.errors import ContractError, TooLargeError

MOST_THINGS = 10_000
MOST_ROWS = 50_000
MOST_PRODUCTS = 500
LONGEST_TEXT = 500
LONGEST_RAW = 20_000
LONGEST_VALUE = 200
DAY = 86_400 * 1_000_000
EARLIEST = 946_684_800 * 1_000_000
"""2000-01-01 in microseconds: what is said to be older comes from a clock that is off."""
SCALES = {Kind.MONEY: 10_000, Kind.QUANTITY: 1_000}
"""Decimals are kept as whole numbers of their last place."""
LARGEST = 10**18
UNAMBIGUOUS = 2**52
"""Beyond so many units of the last place, several of them are one double; then its shortest digits say which was meant."""
ALIASES = {(v.EVENTS, "price"): "unit_price"}
"""What a column is called in a request, where it goes by another name than in the contract; both are read."""
MADE = frozenset(("event_id", "received_at"))
OF_PRODUCTS = ("product_id", "category_id", "category_code", "brand", "price", "quantity", "currency")
"""The columns of events that a products list says for each product."""
ITEM_MARK = "#"


class BrokenError(Exception):
    """A thing breaks a rule of the contract."""

    def __init__(self, field: str, rule: str, value: object) -> None:
        """Say which field, which rule, and what stood there."""
        super().__init__(field, rule, value)
        self.field, self.rule, self.value = field, rule, value


@dataclass(frozen=True)
class Reject:
    """One thing that was not taken: its place in the request (from 0), what is wrong, and what was sent, as JSON text."""

    index: int
    event_id: str | None
    field: str
    rule: str
    value: str
    raw: str


@dataclass
class Sorted:
    """What a request holds, sorted: rows by column, the ids of the things that were taken, and the rejects.

    ``columns``: column → values, one for each row; a decimal is a whole number of its last place, a moment microseconds
    since 1970. A column without a value is left out.
    """

    kind: str
    received_at: int
    n_things: int
    n_rows: int = 0
    columns: dict[str, list[Any]] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def packed(self) -> tuple[bytes, bytes]:
        """Return rows and rejects as JSON, for the log."""
        rejects = [[each.field, each.rule, each.value, each.raw] for each in self.rejects]
        return orjson.dumps(self.columns), orjson.dumps(rejects)


def things(body: bytes, wrapper: str, most: int = MOST_THINGS) -> list[Any]:
    """Return what a request holds: one thing, a list of them, or an object with the list under ``wrapper``.

    Raises ContractError if it is no JSON, TooLargeError if it holds more than ``most``.
    """
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        told = _loose(body, str(error))
    found = told.get(wrapper, told) if isinstance(told, dict) else told
    found = found if isinstance(found, list) else [found]
    if len(found) > most:
        raise TooLargeError(f"a batch must hold at most {most:,} things; got {len(found):,}. Send it in parts.")
    return found


def _loose(body: bytes, said: str) -> Any:
    """Parse what the quick parser refuses as a whole though only one text in it is no Unicode."""
    if b"\\ud" in body.lower():
        try:
            return json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            pass
    raise ContractError(f"a request must be JSON; {said}. Correct it; nothing was taken.")


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


# ---------------------------------------------------------------------- values


def _text(value: Any) -> str | None:
    if type(value) is str:
        if len(value) > LONGEST_TEXT:
            raise ValueError(f"at most {LONGEST_TEXT} characters")
        if "\x00" in value:
            raise ValueError("text without the character U+0000")
        if not value.isascii():
            _refuse_surrogates(value)
        return value if value and not value.isspace() else None
    if type(value) is int:
        return str(value) if abs(value) < LARGEST else _refuse_number()
    raise ValueError("text")


def _words(value: Any) -> str | None:
    """Read a text that is no code: a number in its place is a mistake."""
    if type(value) is int:
        raise ValueError("text")
    return _text(value)


def _refuse_surrogates(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("valid Unicode") from None


def _refuse_number() -> str:
    raise ValueError("text, or a number of at most 18 digits")


def _decimal(scale: int, rule: str) -> Callable[[Any], int]:
    """Return a reader of numbers that gives whole units of the last place and loses nothing."""

    def read(value: Any) -> int:
        try:
            if type(value) is float:
                units = round(value * scale)
                if not -UNAMBIGUOUS < units < UNAMBIGUOUS or units / scale != value:
                    units = _exact(Decimal(repr(value)), scale)
            elif type(value) is int:
                units = value * scale
            else:
                units = _exact(_written(value), scale)
        except (ArithmeticError, ValueError):
            raise ValueError(rule) from None
        if not -LARGEST < units < LARGEST:
            raise ValueError(f"{rule}, of at most 18 digits in all")
        return units

    return read


def _written(value: Any) -> Decimal:
    """Return a number that was sent as text."""
    if type(value) is not str or len(value) > 40:
        raise InvalidOperation
    return Decimal(value.strip())


def _exact(number: Decimal, scale: int) -> int:
    # An exponent may be enormous: compare it before it is written out.
    if not number.is_finite() or number.adjusted() > 18:
        raise InvalidOperation
    units = number * scale
    if units != units.to_integral_value():
        raise InvalidOperation
    return int(units)


MOMENT = "a moment: ISO 8601 with its zone, or milliseconds since 1970"


def _moment(value: Any) -> int:
    try:
        if type(value) is str:
            told = datetime.fromisoformat(value)
            if told.tzinfo is not None:
                return round(told.timestamp() * 1e6)
        elif type(value) is int or type(value) is float:
            return round(value * 1000)
    except (ValueError, OverflowError):
        pass
    raise ValueError(MOMENT)


def _whole(value: Any) -> int:
    if type(value) is int and abs(value) < 2**63:
        return value
    raise ValueError("a whole number")


def _reader(column: Column) -> Callable[[Any], Any]:
    """Return what turns a JSON value into a value of a column, or raises ValueError that says the rule."""
    if column.kind in SCALES:
        places = "3" if column.kind is Kind.QUANTITY else "4"
        return _decimal(SCALES[column.kind], f"a number with at most {places} decimals")
    named = _text if column.name.endswith("_id") else _words
    return {Kind.TIMESTAMP: _moment, Kind.INTEGER: _whole}.get(column.kind, named)


def _currency(value: Any) -> str | None:
    if type(value) is str and len(value) == 3 and value.isascii() and value.isalpha():
        return value.upper()
    if value == "":
        return None
    raise ValueError("an ISO 4217 code, such as EUR")


# ------------------------------------------------------------------------ rows


class Rows:
    """Reads the things of one kind: which names are read into which column, and how."""

    def __init__(self, of: Contract) -> None:
        """Read things of a contract."""
        self.contract = of
        self.names = [column.name for column in of.columns if column.name not in MADE]
        self.fields: dict[str, tuple[int, Callable[[Any], Any]]] = {}
        for place, name in enumerate(self.names):
            reader = _currency if name == "currency" else _reader(of.column(name))
            self.fields[name] = (place, reader)
            if alias := ALIASES.get((of.entity, name)):
                self.fields[alias] = (place, reader)
        self.empty: list[Any] = [None] * len(self.names)
        self.places = {name: place for place, name in enumerate(self.names)}
        self.moment = self.places[of.moment or ""]
        self.required = [(self.places[column.name], column.name) for column in of.columns if column.required]
        self.minima = [
            (self.places[column.name], column.name, column.minimum)
            for column in of.columns
            if column.minimum is not None
        ]

    def read(self, thing: dict[str, Any], received_at: int, within: str = "") -> list[Any]:
        """Return the values of a thing, in the order of ``names``. Raises BrokenError. ``within``: where it stands."""
        row = self.empty.copy()
        fields = self.fields
        for name, value in thing.items():
            if name in fields and value is not None:
                place, reader = fields[name]
                try:
                    row[place] = reader(value)
                except ValueError as error:
                    raise BrokenError(within + name, str(error), value) from None
        at = row[self.moment]
        if at is not None and not EARLIEST <= at <= received_at + DAY:
            name = self.names[self.moment]
            rule = "between 2000-01-01 and one day after it was received"
            raise BrokenError(within + name, rule, thing.get(name))
        return row

    def check(self, row: list[Any], thing: dict[str, Any]) -> None:
        """Raise BrokenError if a required value is missing, or one is too small."""
        for place, name in self.required:
            if row[place] is None:
                raise BrokenError(name, "must not be missing or empty", thing.get(name))
        for place, name, least in self.minima:
            if row[place] is not None and row[place] < least:
                raise BrokenError(name, f"at least {least}", thing.get(name))


ROWS = {kind: Rows(CONTRACTS[kind]) for kind in (v.EVENTS, v.ORDER_LINES, v.INVENTORY_MOVEMENTS)}
_EVENTS = ROWS[v.EVENTS]
_PRODUCT_PLACES = [_EVENTS.places[name] for name in OF_PRODUCTS]
_CURRENCY = _EVENTS.places["currency"]
_PRODUCTS = Rows(
    Contract(
        v.EVENTS,
        tuple(CONTRACTS[v.EVENTS].column(name) for name in (*OF_PRODUCTS, "occurred_at")),
        moment="occurred_at",
    )
)


def sort_events(
    events: list[Any],
    received_at: int,
    random: Callable[[int], bytes],
    normalise: Callable[[Any], Any] = lambda event: event,
) -> Sorted:
    """Return events as rows and rejects.

    One row for each event, or for each product of its products list; the second and further have the event's id with
    ``#2``, ``#3``, … ``random``: gives so many random bytes, for ids of events without one. ``normalise``: turns
    another vocabulary into ours first. Raises TooLargeError if the products lists come to too many rows.
    """
    made = _made_ids(received_at // 1000, random, len(events))
    ids: list[str] = []
    rows: list[list[Any]] = []
    done = Sorted(v.EVENTS, received_at, len(events))
    for index, sent in enumerate(events):
        event_id = None
        try:
            event = _object(normalise(_object(sent)))
            event_id = _event_id(event) or next(made)
            found = _event_rows(event, received_at)
        except BrokenError as broken:
            done.rejects.append(_reject(index, event_id, broken, sent))
            continue
        rows += found
        ids.append(event_id)
        if len(found) > 1:
            ids += [f"{event_id}{ITEM_MARK}{nth}" for nth in range(2, len(found) + 1)]
            if len(rows) > MOST_ROWS:
                raise TooLargeError(f"a batch must come to at most {MOST_ROWS:,} rows. Send it in parts.")
        done.ids.append(event_id)
    done.n_rows = len(rows)
    if rows:
        done.columns = {"event_id": ids, **_columns(_EVENTS.names, rows)}
    return done


def sort_rows(kind: str, sent: list[Any], received_at: int) -> Sorted:
    """Return order lines or inventory movements as rows and rejects.

    A movement without an id gets one that is made of what it says, and of which of equal ones in the request it is, so
    that a request that is sent again says the same again.
    """
    reader = ROWS[kind]
    rows: list[list[Any]] = []
    done = Sorted(kind, received_at, len(sent))
    for index, each in enumerate(sent):
        try:
            row = reader.read(_object(each), received_at)
            reader.check(row, each)
        except BrokenError as broken:
            done.rejects.append(_reject(index, None, broken, each))
            continue
        rows.append(row)
    if kind == v.INVENTORY_MOVEMENTS:
        done.ids = _movement_ids(rows, reader.places["movement_id"])
    done.n_rows = len(rows)
    if rows:
        done.columns = _columns(reader.names, rows)
    return done


def _object(thing: Any) -> dict[str, Any]:
    if type(thing) is dict:
        return thing
    raise BrokenError("", "must be a JSON object", thing)


def _event_rows(event: dict[str, Any], received_at: int) -> list[list[Any]]:
    row = _EVENTS.read(event, received_at)
    if row[_EVENTS.moment] is None:
        row[_EVENTS.moment] = received_at
    _EVENTS.check(row, event)
    products = event.get("products")
    if not products:
        if products is None or products == []:
            return [row]
        raise BrokenError("products", "a list of objects", products)
    if type(products) is not list or len(products) > MOST_PRODUCTS:
        raise BrokenError("products", f"a list of at most {MOST_PRODUCTS} objects", products)
    rows = []
    for nth, product in enumerate(products):
        if type(product) is not dict:
            raise BrokenError(f"products[{nth}]", "a JSON object", product)
        told = _PRODUCTS.read(product, received_at, f"products[{nth}].")
        own = row.copy()
        for place, value in zip(_PRODUCT_PLACES, told, strict=False):
            own[place] = row[place] if value is None and place == _CURRENCY else value
        rows.append(own)
    return rows


def _event_id(event: dict[str, Any]) -> str | None:
    value = event.get("event_id")
    if value is None:
        return None
    try:
        event_id = _text(value)
    except ValueError as error:
        raise BrokenError("event_id", str(error), value) from None
    if event_id is None:
        return None
    head, mark, tail = event_id.rpartition(ITEM_MARK)
    if mark and head and tail.isdigit():
        raise BrokenError(
            "event_id", f"must not end in {ITEM_MARK} and a number, which tell the products of one event", value
        )
    return event_id.strip()


def _columns(names: list[str], rows: list[list[Any]]) -> dict[str, list[Any]]:
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return {name: values for name, values in columns.items() if any(value is not None for value in values)}


def _movement_ids(rows: list[list[Any]], place: int) -> list[str]:
    seen: dict[bytes, int] = {}
    for row in rows:
        if row[place] is None:
            said = orjson.dumps(row)
            seen[said] = seen.get(said, 0) + 1
            row[place] = f"made-{md5(said + b'%d' % seen[said], usedforsecurity=False).hexdigest()}"
    return [row[place] for row in rows]


def _reject(index: int, event_id: str | None, broken: BrokenError, sent: Any) -> Reject:
    return Reject(index, event_id, broken.field, broken.rule, _shown(broken.value)[:LONGEST_VALUE], _raw(sent))


def _raw(sent: Any) -> str:
    """Return what was sent as JSON that any table can hold."""
    try:
        return orjson.dumps(sent).decode()[:LONGEST_RAW]
    except (TypeError, ValueError):
        pass
    try:
        return json.dumps(sent)[:LONGEST_RAW]
    except (ValueError, RecursionError):
        return "(nested too deep to be shown)"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value[:LONGEST_VALUE].encode("utf-8", "backslashreplace").decode().replace("\x00", "\\0")
    return "" if value is None else _raw(value)[:LONGEST_VALUE]


def _made_ids(milliseconds: int, random: Callable[[int], bytes], n: int) -> Iterator[str]:
    """Yield UUIDs of version 7: the moment, then random bits; as many as wanted, drawn at once."""
    drawn: bytes = b""
    for nth in count():
        place = nth % max(n, 1)
        if place == 0:
            drawn = random(16 * max(n, 1))
        high, low = struct.unpack_from(">QQ", drawn, 16 * place)
        told = f"{(milliseconds << 16) | 0x7000 | (high & 0xFFF):016x}{(low & (2**62 - 1)) | (2 << 62):016x}"
        yield f"{told[:8]}-{told[8:12]}-{told[12:16]}-{told[16:20]}-{told[20:]}"


def now_us() -> int:
    """Return the present moment in microseconds since 1970."""
    return round(datetime.now(UTC).timestamp() * 1e6)
