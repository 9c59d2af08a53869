"""What customers took, as rows for recommenders: one row per customer, or per order of a guest, with lists of products.

A row is whole in itself: what a recommender says of a customer depends on that row alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PRODUCT_IDS, BOUGHT_ON, WEIGHTS, COUNTRY = "product_ids", "bought_on", "weights", "country"
READ = (AS_OF, COUNTRY, PRODUCT_IDS, BOUGHT_ON, WEIGHTS)
VIEW_WEIGHT, CART_WEIGHT, PURCHASE_WEIGHT = 0.2, 0.5, 1.0
"""What a look and a place in the cart are worth, where a purchase is worth 1."""
_SCHEMA = pa.schema(
    {
        CUSTOMER_ID: pa.string(),
        AS_OF: pa.date32(),
        COUNTRY: pa.string(),
        PRODUCT_IDS: pa.list_(pa.string()),
        BOUGHT_ON: pa.list_(pa.date32()),
        WEIGHTS: pa.list_(pa.float64()),
    }
)
MOST_DAYS = 1_000_000
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Purchases:
    """Rows taken apart: entry ``e`` says that row ``row[e]`` took product ``item[e]`` on ``day[e]``, with a weight.

    Days are counted from 1970; ``now``: the moment; ``products``: the ids that ``item`` counts in; ``unknown``: entries of
    products that are not among them, which are left out. ``is_customer``: false for orders of guests.
    """

    n_rows: int
    products: NDArray[np.str_]
    row: Whole
    item: Whole
    day: Whole
    weight: NDArray[np.float64]
    now: int
    countries: Sequence[str | None]
    is_customer: NDArray[np.bool_]
    unknown: int = 0

    @classmethod
    def of(cls, rows: pa.Table, products: NDArray[np.str_] | None = None) -> "Purchases":
        """Take rows apart, in their order; without ``products``, those that occur, sorted.

        Raises ModelError if a row's lists differ in length.
        """
        listed = rows[PRODUCT_IDS].combine_chunks()
        lengths = pc.fill_null(pc.list_value_length(listed), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        for name in (BOUGHT_ON, WEIGHTS):
            others = pc.fill_null(pc.list_value_length(rows[name].combine_chunks()), 0).to_numpy(zero_copy_only=False)
            if (others != lengths).any():
                raise ModelError(
                    f"a customer's lists must have one length each; {name} and {PRODUCT_IDS} differ. Correct the rows."
                )
        found = pc.list_flatten(listed).cast(pa.string())
        day = pc.list_flatten(rows[BOUGHT_ON].combine_chunks()).cast(pa.date32()).cast(pa.int32())
        weight = pc.list_flatten(rows[WEIGHTS].combine_chunks())
        item, names = _numbered(found, products)
        row = np.repeat(np.arange(rows.num_rows), lengths)
        known = item >= 0
        moments = pc.max(rows[AS_OF].cast(pa.date32())).as_py() if rows.num_rows else None
        customers = rows[CUSTOMER_ID].combine_chunks() if CUSTOMER_ID in rows.column_names else None
        return cls(
            n_rows=rows.num_rows,
            products=names,
            row=row[known],
            item=item[known],
            day=day.to_numpy(zero_copy_only=False).astype(np.int64)[known],
            weight=weight.to_numpy(zero_copy_only=False).astype(np.float64)[known],
            now=(moments - date(1970, 1, 1)).days if moments else 0,
            countries=rows[COUNTRY].to_pylist(),
            is_customer=np.ones(rows.num_rows, bool)
            if customers is None
            else customers.is_valid().to_numpy(zero_copy_only=False),
            unknown=int((~known).sum()),
        )

    def in_one_order(self, customers: Sequence[str | None]) -> "Purchases":
        """Return the same with rows in the order of their customers and contents, so that sums do not tell how they came."""
        rank = np.unique(np.array([name or "" for name in customers], np.str_), return_inverse=True)[1]
        sums = [np.bincount(self.row, weights=value, minlength=self.n_rows) for value in (self.item, self.day)]
        least = np.full(self.n_rows, np.iinfo(np.int64).max)
        np.minimum.at(least, self.row, self.item)
        order = np.lexsort((*sums, least, rank, ~self.is_customer))
        place = np.empty(self.n_rows, np.int64)
        place[order] = np.arange(self.n_rows)
        row = place[self.row]
        entries = np.lexsort((self.weight, self.day, self.item, row))
        return Purchases(
            n_rows=self.n_rows,
            products=self.products,
            row=row[entries],
            item=self.item[entries],
            day=self.day[entries],
            weight=self.weight[entries],
            now=self.now,
            countries=[self.countries[at] for at in order.tolist()],
            is_customer=self.is_customer[order],
            unknown=self.unknown,
        )

    @property
    def n_items(self) -> int:
        """How many products are counted in."""
        return len(self.products)

    def matrix(self) -> "csr_matrix":
        """Return rows x products with the largest weight of each pair, as 4-byte floats."""
        return largest(self.row, self.item, self.weight.astype(np.float32), (self.n_rows, self.n_items))

    def bought(self) -> "csr_matrix":
        """Return rows x products, 1 where a product was bought, not only looked at."""
        is_bought = self.weight >= PURCHASE_WEIGHT
        values = np.ones(int(is_bought.sum()), np.float32)
        return largest(self.row[is_bought], self.item[is_bought], values, (self.n_rows, self.n_items))

    def baskets(self, most: int, *, bought: bool = False) -> tuple["csr_matrix", Whole]:
        """Return baskets x products, 1 where it holds the product: what a row took on one day; and the day of each.

        ``bought``: purchases only, else looks too. Baskets of more products than ``most`` are left out: their pairs
        would drown the others'.
        """
        kept = self.weight >= (PURCHASE_WEIGHT if bought else 0)
        names, keys = np.unique(self.row[kept] * MOST_DAYS + self.day[kept], return_inverse=True)
        found = largest(keys, self.item[kept], np.ones(len(keys), np.float32), (len(names), self.n_items))
        is_kept = np.diff(found.indptr) <= most
        return found[is_kept], (names % MOST_DAYS)[is_kept]


def largest(row: Whole, column: Whole, value: NDArray[Any], shape: tuple[int, int]) -> "csr_matrix":
    """Return a sparse matrix with the largest value of each cell."""
    from scipy.sparse import csr_matrix

    key = row * max(shape[1], 1) + column
    order = np.argsort(key, kind="stable")
    key, value = key[order], value[order]
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1])) if len(key) else np.zeros(0, np.int64)
    most = np.maximum.reduceat(value, starts) if len(starts) else value
    of_row, of_column = key[starts] // max(shape[1], 1), key[starts] % max(shape[1], 1)
    ends = np.append(0, np.cumsum(np.bincount(of_row, minlength=shape[0])))
    return csr_matrix((most, of_column.astype(np.int32), ends.astype(np.int64)), shape=shape)


def purchase_rows(lines: pa.Table, visits: pa.Table, as_of: date, *, guests: bool = False) -> pa.Table:
    """Return one row per customer with a purchase or a visit before a moment, sorted by customer; then guests' orders.

    ``customer_id`` (null for a guest)``, as_of, country`` (the last one named)``, product_ids, bought_on, weights``: lists of one
    length, one entry per product and day, by day and product. ``lines``: as ``History.sale_lines``; ``visits``: as
    ``History.session_products``; a look weighs .2, a cart .5, a purchase 1.
    """
    known = lines.filter(pc.less(lines["ordered_on"], pa.scalar(as_of, pa.date32())))
    if not guests:
        known = known.filter(pc.is_valid(known[CUSTOMER_ID]))
    seen = visits.filter(
        pc.and_(pc.less(visits["started_on"], pa.scalar(as_of, pa.date32())), pc.is_valid(visits[CUSTOMER_ID]))
    )
    n_lines, n_seen = known.num_rows, seen.num_rows
    weight = np.ones(n_lines + n_seen)
    weight[n_lines:] = _weight_of(seen)
    customers = pa.chunked_array([*known[CUSTOMER_ID].chunks, *seen[CUSTOMER_ID].chunks], pa.string())
    item, products = _numbered(_joined(known["product_id"], seen["product_id"]), None)
    day = _joined(
        known["ordered_on"].cast(pa.date32()).cast(pa.int32()), seen["started_on"].cast(pa.date32()).cast(pa.int32())
    )
    days = day.to_numpy(zero_copy_only=False).astype(np.int64)
    unit, names = _numbered(customers.combine_chunks(), None)
    is_guest = unit < 0
    orders = np.full(len(unit), -1)
    if guests:
        orders[:n_lines] = _numbered(known["order_id"].combine_chunks(), None)[0]
    unit = np.where(is_guest, len(names) + orders, unit)
    order = np.lexsort((-weight, item, days, unit))
    unit, item, days, weight, origin = unit[order], item[order], days[order], weight[order], order
    first = np.ones(len(unit), bool)
    first[1:] = (unit[1:] != unit[:-1]) | (item[1:] != item[:-1]) | (days[1:] != days[:-1])
    unit, item, days, weight, origin = (part[first] for part in (unit, item, days, weight, origin))
    starts = np.flatnonzero(np.append(True, unit[1:] != unit[:-1])) if len(unit) else np.zeros(0, np.int64)
    offsets = pa.array(np.append(starts, len(unit)).astype(np.int32))
    of_unit = unit[starts]
    return pa.table(
        {
            CUSTOMER_ID: pa.array([names[at] if at < len(names) else None for at in of_unit.tolist()], pa.string()),
            AS_OF: pa.array([as_of] * len(starts), pa.date32()),
            COUNTRY: _last_country(known, origin, starts, n_lines),
            PRODUCT_IDS: pa.ListArray.from_arrays(offsets, pa.array(products).take(pa.array(item)).cast(pa.string())),
            BOUGHT_ON: pa.ListArray.from_arrays(offsets, pa.array(days.astype(np.int32)).cast(pa.date32())),
            WEIGHTS: pa.ListArray.from_arrays(offsets, pa.array(weight)),
        },
        schema=_SCHEMA,
    )


def bought_between(lines: pa.Table, start: date, days: int) -> pa.Table:
    """Return the different ``customer_id, product_id`` of the lines of so many days from ``start`` on, sorted by both."""
    until = start + timedelta(days)
    is_in = pc.and_(
        pc.greater_equal(lines["ordered_on"], pa.scalar(start, pa.date32())),
        pc.less(lines["ordered_on"], pa.scalar(until, pa.date32())),
    )
    found = lines.filter(pc.and_(is_in, pc.is_valid(lines[CUSTOMER_ID]))).select([CUSTOMER_ID, "product_id"])
    pairs = found.group_by([CUSTOMER_ID, "product_id"]).aggregate([])
    return pairs.sort_by([(CUSTOMER_ID, "ascending"), ("product_id", "ascending")])


def _numbered(values: pa.Array, names: NDArray[np.str_] | None) -> tuple[Whole, NDArray[np.str_]]:
    """Return the place of each text among the names (sorted; those that occur, if none are given), -1 where it is not."""
    coded = values.dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    words = np.array(coded.dictionary.to_pylist(), np.str_)
    if names is None:
        names = np.unique(words)
    place = np.searchsorted(names, words) if len(names) else np.zeros(len(words), np.int64)
    is_known = names[np.minimum(place, len(names) - 1)] == words if len(names) else np.zeros(len(words), bool)
    place = np.where(is_known, place, -1)
    indices = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.append(place, -1)[indices], names


def _joined(one: pa.ChunkedArray, other: pa.ChunkedArray) -> pa.Array:
    return pa.chunked_array([*one.chunks, *other.cast(one.type).chunks], one.type).combine_chunks()


def _weight_of(visits: pa.Table) -> NDArray[np.float64]:
    carts, purchases = (
        visits[name].to_numpy().astype(np.int64) if visits.num_rows else np.zeros(0, np.int64)
        for name in ("n_carts", "n_purchases")
    )
    return np.where(purchases > 0, PURCHASE_WEIGHT, np.where(carts > 0, CART_WEIGHT, VIEW_WEIGHT))


def _last_country(known: pa.Table, origin: Whole, starts: Whole, n_lines: int) -> pa.Array:
    """Return the country of each unit's last line; null where none is named."""
    if not len(starts):
        return pa.array([], pa.string())
    place, names = _numbered(known[COUNTRY].cast(pa.string()).combine_chunks(), None)
    of_entry = np.where(origin < n_lines, np.append(place, -1)[np.minimum(origin, n_lines)], -1)
    named = np.where(of_entry >= 0, np.arange(len(origin)), -1)
    last = np.maximum.reduceat(named, starts)
    return pa.array([str(names[of_entry[at]]) if at >= 0 else None for at in last.tolist()], pa.string())
