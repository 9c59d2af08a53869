"""The last minutes, without waiting for a build: what the published version holds + what the log holds beyond it.

Each event counts once, by its id: against all ids of the version, and against those of the log since (at least the last 2.8
million are remembered, in memory that does not grow). Counts are kept by minute of ``occurred_at``; stock is the version's
level plus the movements since.
"""

import logging
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import compress
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from shopkeeper import vocabulary as v
from shopkeeper.contracts import CONTRACTS
from shopkeeper.errors import ShopkeeperError, UsageError
from shopkeeper.published import Published
from shopkeeper.serving.seen import Seen, numbers_of

LOG = logging.getLogger("shopkeeper.live")

if TYPE_CHECKING:
    import duckdb

MINUTE = 60 * 1_000_000
POLL_SECONDS = 0.5
MOST_BYTES = 32_000_000
MOST_LISTED = 1000
PURCHASE = "purchase"
UNKNOWN = "unknown"
"""The store of movements that name none, as in core.inventory_levels."""


class LogBatch(Protocol):
    """What one request brought (see shopkeeper.events.Batch)."""

    @property
    def number(self) -> int:
        """Its place in the log."""

    @property
    def kind(self) -> str:
        """What it holds."""

    @property
    def n_rows(self) -> int:
        """How many rows."""

    @property
    def rows(self) -> bytes:
        """The rows by column, as JSON."""


class Tail(Protocol):
    """The log, to read (see shopkeeper.events.Log)."""

    def identity(self) -> str | None:
        """Return the id of the log."""

    def last(self) -> int:
        """Return the number of its last batch."""

    def batches(self, after: int, *, kind: str | None = None, most_bytes: int = MOST_BYTES) -> Sequence[LogBatch]:
        """Return batches after a number, in order."""


def now_us() -> int:
    """Return the present moment in microseconds since 1970."""
    return time.time_ns() // 1000


class Picture:
    """The counts on top of one version: as it was published, then fed with batches of the log, each once, in order."""

    def __init__(self, published: Published, number: int | None, *, since: int) -> None:
        """Begin with what a version (None: nothing) holds from the minute ``since`` on."""
        self.version = number
        self.number = 0
        self.oldest = since
        self.types: dict[int, Counter[str]] = defaultdict(Counter)
        self.products: dict[int, Counter[tuple[str, str]]] = defaultdict(Counter)
        self.revenue: dict[int, Counter[str]] = defaultdict(Counter)
        self.lines: dict[int, Counter[str]] = defaultdict(Counter)
        self.sold: dict[int, Counter[str]] = defaultdict(Counter)
        self.units: dict[int, Counter[str]] = defaultdict(Counter)
        self.moved: Counter[tuple[str, str]] = Counter()
        self.moved_at: dict[tuple[str, str], int] = {}
        self.events_seen = Seen(known=published.known_ids(v.EVENTS, number) if number is not None else None)
        self.movements_seen = Seen(
            1 << 18, known=published.known_ids(v.INVENTORY_MOVEMENTS, number) if number is not None else None
        )
        self.lines_seen = Seen(1 << 18)
        self.cursors: dict[str, str] = {}
        self.shop: duckdb.DuckDBPyConnection | None = None
        if number is not None:
            self._begin(published, number)

    def _begin(self, published: Published, number: int) -> None:
        version = next(each for each in published.versions() if each.number == number)
        self.cursors = version.log_cursors
        self.shop = published.open(number)
        moment = datetime.fromtimestamp(self.oldest * 60, UTC).replace(tzinfo=None)
        minute = "epoch_us({}) // 60000000"
        if "core.events" in version.tables:
            for at, kind, product, n, revenue in self.shop.execute(
                f"select {minute.format('occurred_at')}, event_type, product_id, count(*), sum(revenue) from core.events "
                "where occurred_at >= ? and not is_duplicate group by all",
                [moment],
            ).fetchall():
                self._count(at, kind, product, n)
                if revenue:
                    self.revenue[at][product or ""] += int(revenue * 10_000)
        if "core.order_lines" in version.tables:
            for at, product, n, units, amount in self.shop.execute(
                f"select {minute.format('ordered_at')}, product_id, count(*), sum(quantity), sum(net_amount) "
                "from core.order_lines where ordered_at >= ? group by all",
                [moment],
            ).fetchall():
                self._sell(at, product or "", n, int(units * 1000), int(amount * 10_000))

    def close(self) -> None:
        """Let go of the version's file."""
        if self.shop is not None:
            self.shop.close()
            self.shop = None

    # ------------------------------------------------------------------ feeding

    def catch_up(self, tail: Tail, between: Callable[[], None] = lambda: None) -> None:
        """Feed all that the log holds beyond the version. ``between`` is called between parts."""
        identity, last = tail.identity(), tail.last()
        for kind in v.COLLECTED:
            name, _, told = self.cursors.get(kind, "").rpartition(":")
            contained = int(told) if name and name == identity else 0
            # Lines have no id: those that the version holds are needed to know them when they come again.
            after = 0 if kind == v.ORDER_LINES else contained
            while batches := [each for each in tail.batches(after, kind=kind) if each.number <= last]:
                self.feed(batches, contained)
                after = batches[-1].number
                between()
        self.number = last

    def feed(self, batches: Iterable[LogBatch], contained: int = 0) -> None:
        """Count batches; those up to the number ``contained`` are counted already and only remembered."""
        by_kind: dict[str, Callable[[dict[str, list[Any]], int, bool], None]] = {
            v.EVENTS: self._events,
            v.ORDER_LINES: self._lines,
            v.INVENTORY_MOVEMENTS: self._movements,
        }
        for batch in batches:
            if batch.n_rows and batch.kind in by_kind:
                by_kind[batch.kind](orjson.loads(batch.rows), batch.n_rows, batch.number > contained)
            self.number = max(self.number, batch.number)

    def _events(self, told: dict[str, list[Any]], n: int, is_new: bool) -> None:
        import numpy as np

        fresh = self.events_seen.add(numbers_of(told["event_id"]))
        minutes = np.asarray(told["occurred_at"], np.int64) // MINUTE
        chosen = fresh & (minutes >= self.oldest) & is_new
        if not chosen.any():
            return
        nothing = [None] * n
        types = [kind.strip(" ").lower() for kind in told["event_type"]]
        products = [product.strip(" ").upper() if product else product for product in told.get("product_id") or nothing]
        rows = zip(minutes.tolist(), types, products, strict=True)
        for (at, kind, product), count in Counter(compress(rows, chosen)).items():
            self._count(at, kind, product, count)
        if PURCHASE in types and "price" in told:
            quantities: list[Any] = told.get("quantity") or nothing
            for place in np.flatnonzero(chosen):
                price = told["price"][place]
                if types[place] == PURCHASE and price is not None:
                    units = 1000 if quantities[place] is None else quantities[place]
                    self.revenue[int(minutes[place])][products[place] or ""] += _amount(price, units)

    def _count(self, at: int, kind: str, product: str | None, n: int) -> None:
        self.types[at][kind] += n
        if product:
            self.products[at][kind, product] += n

    def _lines(self, told: dict[str, list[Any]], n: int, is_new: bool) -> None:
        nothing = [None] * n
        content = zip(*(told.get(name) or nothing for name in CONTRACTS[v.ORDER_LINES].column_names), strict=True)
        within: Counter[tuple[Any, ...]] = Counter()
        said = []
        for row in content:
            within[row] += 1
            said.append(orjson.dumps([row, within[row]]).decode())
        fresh = self.lines_seen.add(numbers_of(said)) & is_new
        discounts = told.get("discount_amount") or nothing
        products = told.get("product_id") or nothing
        columns = (told["ordered_at"], products, told["quantity"], told["unit_price"], discounts)
        for at, product, units, price, discount in compress(zip(*columns, strict=True), fresh):
            if at // MINUTE >= self.oldest:
                amount = _amount(price, units) - (discount or 0)
                self._sell(at // MINUTE, (product or "").strip(" ").upper(), 1, units, amount)

    def _sell(self, at: int, product: str, n: int, units: int, amount: int) -> None:
        self.lines[at]["n_lines"] += n
        self.lines[at]["amount"] += amount
        self.sold[at][product] += amount
        self.units[at][product] += units

    def _movements(self, told: dict[str, list[Any]], n: int, is_new: bool) -> None:
        fresh = self.movements_seen.add(numbers_of(told["movement_id"])) & is_new
        stores = told.get("store_id") or [None] * n
        columns = (told["product_id"], stores, told["quantity"], told["moved_at"])
        for product, store, units, at in compress(zip(*columns, strict=True), fresh):
            key = (product.strip(" ").upper(), store or UNKNOWN)
            self.moved[key] += units
            self.moved_at[key] = max(at, self.moved_at.get(key, 0))

    def forget(self, before: int) -> None:
        """Let go of the minutes before one."""
        self.oldest = max(self.oldest, before)
        for counts in (self.types, self.products, self.revenue, self.lines, self.sold, self.units):
            for minute in [minute for minute in counts if minute < before]:
                del counts[minute]


def _amount(price: int, units: int) -> int:
    """Return price times quantity in the price's last place, halves away from zero, as the warehouse rounds."""
    product = price * units
    return (abs(product) + 500) // 1000 * (1 if product >= 0 else -1)


class Live:
    """Answers questions about the last minutes; a thread keeps it at most about a second behind the log."""

    def __init__(
        self, published: Published, tail: Tail, *, minutes: int = 30, clock: Callable[[], int] = now_us
    ) -> None:
        """Count over ``published`` and ``tail``, up to ``minutes`` back; ``clock`` gives microseconds since 1970."""
        self.published = published
        self.tail = tail
        self.minutes = minutes
        self.clock = clock
        self.trouble = ""
        self.as_of = 0
        self._picture: Picture | None = None
        self._identity: str | None = None
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow the log. May be called once."""
        self._thread = threading.Thread(target=self._follow, name="live", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following, and let go of the version. May be repeated."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            if self._picture is not None:
                self._picture.close()
            self._picture = None

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self.refresh()
                self.trouble = ""
            except (ShopkeeperError, OSError) as error:
                # Numbers stay as they were, and say so; the next look may find log and version again.
                self.trouble = str(error)
            except Exception as error:
                said = f"this must not happen: an unforeseen {type(error).__name__}. Please report it."
                if said != self.trouble:
                    LOG.exception("live numbers stand still")
                self.trouble = said
            self._stop.wait(POLL_SECONDS)

    def refresh(self) -> None:
        """Count what is new in the log; begin anew on another version. Raises what version or log raise."""
        current, identity = self.published.current(), self.tail.identity()
        now = self.clock()
        picture = self._picture
        if picture is None or picture.version != current or self._identity != identity:
            since = now // MINUTE - self.minutes
            fresh = Picture(self.published, current, since=since)
            # The old numbers go on while the new ones catch up.
            fresh.catch_up(self.tail, self._advance)
            with self._lock:
                old, self._picture, self._identity = self._picture, fresh, identity
            if old is not None:
                old.close()
        self._advance()
        self.as_of = now

    def _advance(self) -> None:
        picture = self._picture
        if picture is None or self._identity is None:
            return
        while batches := self.tail.batches(picture.number, most_bytes=MOST_BYTES):
            with self._lock:
                picture.feed(batches)
        with self._lock:
            picture.forget(self.clock() // MINUTE - self.minutes)

    # ---------------------------------------------------------------- questions

    def numbers(self, minutes: int | None = None, top: int = 10) -> dict[str, Any]:
        """Return the last ``minutes`` whole and the present one: events per type, revenue, top products, order lines.

        ``trouble`` says why numbers stand still, if log or version cannot be read. Raises UsageError for a span that is not kept.
        """
        span = self.minutes if minutes is None else minutes
        if not 1 <= span <= self.minutes:
            raise UsageError(f"minutes must lie between 1 and {self.minutes}; got {span}. Choose fewer.")
        if not 0 <= top <= MOST_LISTED:
            raise UsageError(f"top must lie between 0 and {MOST_LISTED}; got {top}. Choose another.")
        last = self.clock() // MINUTE
        first = last - span + 1
        with self._lock:
            # Before the first look there is nothing to tell, in the same words.
            picture = self._picture or Picture(self.published, None, since=first)
            told: dict[str, Any] = {
                "as_of": _iso(self.as_of) if self.as_of else None,
                "version": picture.version,
                "log_number": picture.number,
                "from": _iso(first * MINUTE),
                "to": _iso((last + 1) * MINUTE),
                "trouble": self.trouble or None,
            }
            return told | _events_told(picture, first, last, top) | _lines_told(picture, first, last, top)

    def stock(
        self, product_id: str | None = None, store_id: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return stock on hand of a product, a store, or both; without either, what moved last since the version.

        One row per product and store: product_id, store_id, on_hand, on_hand_published, n_units_moved, moved_at.
        Raises UsageError for a limit out of range.
        """
        if not 1 <= limit <= MOST_LISTED:
            raise UsageError(f"limit must lie between 1 and {MOST_LISTED}; got {limit}. Choose another.")
        product = product_id.strip(" ").upper() if product_id is not None else None
        with self._lock:
            picture = self._picture
            if picture is None:
                return []
            keys = [
                key
                for key in sorted(picture.moved, key=lambda key: (-picture.moved_at[key], key))
                if product in {None, key[0]} and store_id in {None, key[1]}
            ]
            levels = _levels(picture, product, store_id, keys[:limit])
            chosen = keys[:limit] + [key for key in levels if key not in picture.moved]
            return [_shelf(picture, key, levels.get(key)) for key in chosen[:limit]]


def _levels(
    picture: Picture, product: str | None, store: str | None, keys: list[tuple[str, str]]
) -> dict[tuple[str, str], Decimal]:
    """Return the version's levels of some shelves, and of what was asked for."""
    if picture.shop is None:
        return {}
    if product is None and store is None:
        condition = "(product_id, store_id) in (select unnest(?), unnest(?))"
        values: list[Any] = [[key[0] for key in keys], [key[1] for key in keys]]
    else:
        asked = [(name, value) for name, value in (("product_id", product), ("store_id", store)) if value is not None]
        condition = " and ".join(f"{name} = ?" for name, _ in asked)
        values = [value for _, value in asked]
    found = picture.shop.execute(
        f"select product_id, store_id, on_hand from core.inventory_levels where {condition} order by 1, 2",
        values,
    ).fetchall()
    return {(product_id, store_id): on_hand for product_id, store_id, on_hand in found}


def _shelf(picture: Picture, key: tuple[str, str], level: Decimal | None) -> dict[str, Any]:
    moved = Decimal(picture.moved.get(key, 0)) / 1000
    return {
        "product_id": key[0],
        "store_id": key[1],
        "on_hand": float((level or 0) + moved),
        "on_hand_published": None if level is None else float(level),
        "n_units_moved": float(moved),
        "moved_at": _iso(picture.moved_at[key]) if key in picture.moved_at else None,
    }


def _events_told(picture: Picture, first: int, last: int, top: int) -> dict[str, Any]:
    types: Counter[str] = _sum(picture.types, first, last)
    revenue: Counter[str] = _sum(picture.revenue, first, last)
    by_product: dict[str, Counter[str]] = defaultdict(Counter)
    for (kind, product), n in _sum(picture.products, first, last).items():
        by_product[product][kind] += n
    ranked = sorted(by_product, key=lambda name: (-revenue[name], -by_product[name].total(), name))[:top]
    return {
        "n_events": types.total(),
        "events": dict(sorted(types.items(), key=lambda pair: (-pair[1], pair[0]))),
        "revenue": _money(revenue.total()),
        "top_products": [
            {
                "product_id": name,
                "n_events": by_product[name].total(),
                "events": dict(sorted(by_product[name].items())),
                "revenue": _money(revenue[name]),
            }
            for name in ranked
        ],
        "minutes": [
            {
                "minute_at": _iso(at * MINUTE),
                "n_events": picture.types[at].total(),
                "revenue": _money(_total(picture, at)),
            }
            for at in range(first, last + 1)
            if at in picture.types
        ],
    }


def _total(picture: Picture, at: int) -> int:
    return picture.revenue[at].total() if at in picture.revenue else 0


def _lines_told(picture: Picture, first: int, last: int, top: int) -> dict[str, Any]:
    lines = _sum(picture.lines, first, last)
    sold, units = _sum(picture.sold, first, last), _sum(picture.units, first, last)
    ranked = sorted(sold, key=lambda name: (-sold[name], name))[:top]
    return {
        "order_lines": {
            "n_lines": lines["n_lines"],
            "net_amount": _money(lines["amount"]),
            "top_products": [
                {"product_id": name, "net_amount": _money(sold[name]), "quantity": units[name] / 1000}
                for name in ranked
            ],
        }
    }


def _sum(counts: "dict[int, Counter[Any]]", first: int, last: int) -> "Counter[Any]":
    total: Counter[Any] = Counter()
    for minute in range(first, last + 1):
        if minute in counts:
            total.update(counts[minute])
    return total


def _money(units: int) -> float:
    return units / 10_000


def _iso(moment: int) -> str | None:
    return datetime.fromtimestamp(moment / 1e6, UTC).isoformat() if moment else None
