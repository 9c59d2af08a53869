"""The baskets of a shop as models read them: who held what, when, whose it was and where; from orders or from visits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.models.itemsets import Baskets, Whole
from shopkeeper.models.model import History
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID, PRODUCT_ID

BASKET_ID, PRODUCTS = "basket_id", "products"
ORDERS, SESSIONS, VIEWS = "orders", "sessions", "views"
MADE_FROM = (ORDERS, SESSIONS, VIEWS)
EPOCH = date(1970, 1, 1)
NOBODY = -1

Texts = NDArray[np.str_]


@dataclass(frozen=True)
class BasketLog:
    """Baskets with more products than a limit are left out, and counted.

    ``baskets``: numbered in the order of their ``ids``, items in the order of ``products``; ``days``: days since 1970;
    ``customer``, ``country``: a place in ``customers`` and ``countries``, -1 where the source names none.
    """

    baskets: Baskets
    ids: pa.Array
    products: pa.Array
    days: Whole
    customer: Whole
    customers: pa.Array
    country: Whole
    countries: pa.Array
    n_left_out: int

    def only(self, is_kept: NDArray[np.bool_]) -> "BasketLog":
        """Return the baskets for which ``is_kept`` holds."""
        return replace(
            self,
            baskets=self.baskets.only(is_kept),
            ids=self.ids.filter(pa.array(is_kept)),
            **{name: getattr(self, name)[is_kept] for name in ("days", "customer", "country")},
        )

    def between(self, first: date | None, end: date | None) -> "BasketLog":
        """Return the baskets from a day on and before another; None: no bound."""
        is_kept = np.ones(self.baskets.n_baskets, bool)
        if first is not None:
            is_kept &= self.days >= (first - EPOCH).days
        if end is not None:
            is_kept &= self.days < (end - EPOCH).days
        return self.only(is_kept)

    @property
    def last_day(self) -> date:
        """The day of the last basket. Raises ModelError if there is none."""
        return _day(self.days.max(initial=NOBODY))

    @property
    def first_day(self) -> date:
        """The day of the first basket. Raises ModelError if there is none."""
        return _day(self.days.min(initial=2**31) if len(self.days) else NOBODY)

    @property
    def units(self) -> Texts:
        """Whose each basket is, for intervals: its customer, else itself."""
        customers = np.append(self.customers.to_numpy(zero_copy_only=False).astype(str), "")
        own = np.char.add("basket ", self.ids.to_numpy(zero_copy_only=False).astype(str))
        return np.where(self.customer >= 0, np.char.add("customer ", customers[self.customer]), own)

    def rows(self) -> pa.Table:
        """Return one row per basket, as models of baskets are fitted on and score: ``basket_id``, ``as_of`` (its day),
        ``customer_id``, ``products`` (a list of product ids, ascending).
        """
        return pa.table(
            {
                BASKET_ID: self.ids,
                AS_OF: pa.array(self.days.astype(np.int32)).cast(pa.date32()),
                CUSTOMER_ID: _named(self.customers, self.customer),
                PRODUCTS: listed(self.baskets, self.products),
            }
        )


def listed(baskets: Baskets, products: pa.Array) -> pa.Array:
    """Return the names of each basket's items as a list."""
    ends = np.append(0, np.cumsum(baskets.sizes)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), products.take(pa.array(baskets.item)))


def lines_of(history: History, made_from: str, sold: pa.Table | None = None) -> pa.Table:
    """Return one row per line of a basket: ``basket_id, product_id, customer_id, country, day``, of orders or of visits.

    ``orders``: sold lines; ``sessions``: what a visit put into the cart or bought; ``views``: what it looked at, too.
    ``sold``: the sold lines, where they have been read already. Raises ModelError for another source.
    """
    if made_from == ORDERS:
        lines = history.sale_lines() if sold is None else sold
        return lines.select(["order_id", PRODUCT_ID, CUSTOMER_ID, "country", "ordered_on"]).rename_columns(
            [BASKET_ID, PRODUCT_ID, CUSTOMER_ID, "country", "day"]
        )
    if made_from not in MADE_FROM:
        raise ModelError(f"baskets must be made from one of {', '.join(MADE_FROM)}; got {made_from!r}. Choose one.")
    visits = history.session_products()
    if made_from == SESSIONS:
        visits = visits.filter(pc.or_(pc.greater(visits["n_carts"], 0), pc.greater(visits["n_purchases"], 0)))
    return pa.table(
        {
            BASKET_ID: visits["session_id"],
            PRODUCT_ID: visits[PRODUCT_ID],
            CUSTOMER_ID: visits[CUSTOMER_ID],
            "country": pa.nulls(visits.num_rows, pa.string()),
            "day": visits["started_on"],
        }
    )


def log_of(lines: pa.Table, *, basket_limit: int = 0) -> BasketLog:
    """Return the baskets that lines in any order make; those of more than ``basket_limit`` products are left out (0: none).

    A basket's day, customer and country are the first that its lines name, in ascending order. Lines without a basket or a
    product are left out.
    """
    lines = lines.filter(pc.and_(pc.is_valid(lines[BASKET_ID]), pc.is_valid(lines[PRODUCT_ID])))
    basket, ids = numbered(lines[BASKET_ID])
    item, products = numbered(lines[PRODUCT_ID])
    baskets = Baskets.of(basket, item, n_baskets=len(ids), n_items=len(products))
    customer, customers = numbered(lines[CUSTOMER_ID])
    country, countries = numbered(lines["country"])
    days = lines["day"].cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64)
    log = BasketLog(
        baskets,
        ids,
        products,
        _least(basket, days, len(ids)),
        _least(basket, customer, len(ids)),
        customers,
        _least(basket, country, len(ids)),
        countries,
        0,
    )
    if not basket_limit:
        return log
    is_kept = baskets.sizes <= basket_limit
    return replace(log.only(is_kept), n_left_out=int((~is_kept).sum()))


def scopes_of(
    log: BasketLog, segments: Mapping[str, str], *, least: int, most_countries: int
) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Return which baskets belong to each scope: ``all``, the largest countries, customers' segments, and quarters.

    ``segments``: customer → name of the segment. A scope of fewer than ``least`` baskets, or one that holds nearly all,
    is left out. A quarter is of any year: 1 is January to March.
    """
    n = log.baskets.n_baskets
    found = {("all", "all"): np.ones(n, bool)}
    names = [str(segments.get(each, "")) for each in log.customers.to_pylist()]
    known = sorted({*names} - {""})
    of_customer = np.array([known.index(each) if each else NOBODY for each in names] + [NOBODY], np.int64)
    months = log.days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    for scope, codes, told, most in (
        ("country", log.country, log.countries.to_pylist(), most_countries),
        ("segment", of_customer[log.customer], known, len(known)),
        ("quarter", months // 3, ["1", "2", "3", "4"], 4),
    ):
        sizes = np.bincount(codes[codes >= 0], minlength=len(told))
        large = [
            place for place in np.lexsort((np.arange(len(sizes)), -sizes))[:most] if least <= sizes[place] < 0.95 * n
        ]
        found |= {(scope, told[place]): codes == place for place in sorted(large)}
    return found


def numbered(column: pa.ChunkedArray | pa.Array) -> tuple[Whole, pa.Array]:
    """Return each text's place among the different ones, ascending, and those; -1 for null."""
    texts = column.cast(pa.string())
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    coded = texts.dictionary_encode()
    names = coded.dictionary
    order = pc.sort_indices(names).to_numpy().astype(np.int64)
    rank = np.empty(len(order) + 1, np.int64)
    rank[order], rank[-1] = np.arange(len(order)), NOBODY
    place = pc.fill_null(coded.indices.cast(pa.int64()), NOBODY).to_numpy(zero_copy_only=False)
    return rank[place], names.take(pa.array(order))


def _least(basket: Whole, values: Whole, n_baskets: int) -> Whole:
    """Return the least value of each basket that is not -1; -1 where there is none."""
    most = int(values.max(initial=0)) + 1
    found = np.full(n_baskets, most)
    np.minimum.at(found, basket, np.where(values == NOBODY, most, values))
    return np.where(found == most, NOBODY, found)


def _named(names: pa.Array, place: Whole) -> pa.Array:
    return names.take(pa.array(place, pa.int64(), mask=place < 0))


def _day(number: Any) -> date:
    if number < 0:
        raise ModelError("a shop must have baskets before they can be told apart; there is none. Load its orders.")
    return date.fromordinal(EPOCH.toordinal() + int(number))
