"""Where exhibits are shown: the version that is current, opened once for all who look, and what it answered before.

A visit holds one edition from when it begins until nobody holds the visit: an answer never mixes two versions, and an edition
that was replaced is closed when the last visit to it is over.
"""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any

from shopkeeper import vocabulary as v
from shopkeeper.errors import QueryError
from shopkeeper.serving.editions import Edition, Editions
from shopkeeper.serving.exhibits.exhibit import Exhibit, Shown, text_of
from shopkeeper.serving.exhibits.filters import Choices, Filter, choices_of
from shopkeeper.serving.exhibits.relations import relations

if TYPE_CHECKING:
    import pyarrow as pa

MOST_MB = 64
MASK = "m_"


class Gallery:
    """Exhibits of the current version. Its methods may be called from any thread."""

    def __init__(
        self, editions: Editions, *, excludes_duplicates: bool = False, masking_secret: Callable[[], str] | None = None
    ) -> None:
        """Show what ``editions`` hold.

        ``excludes_duplicates``: whether lines flagged as duplicates count nowhere, as the shop's settings say;
        ``masking_secret``: what customers' ids are masked with, as the API does.
        """
        self._editions = editions
        self._excludes_duplicates = excludes_duplicates
        self._secret = masking_secret or (lambda: "")
        self._lock = Lock()
        self._kept: OrderedDict[object, pa.Table] = OrderedDict()
        self._size = 0

    def visit(self, scopes: frozenset[str]) -> "Visit | None":
        """Return a visit to the version that the pointer names, for who has these scopes; None if none is published.

        Raises StorageError if the version cannot be opened.
        """
        with self._lock:
            self._editions.refresh()
            edition = self._editions.hold()
        return Visit(self, edition, scopes) if edition is not None else None

    def release(self, edition: Edition) -> None:
        """Let go of an edition."""
        with self._lock:
            self._editions.release(edition)

    def choices(self, edition: Edition) -> Choices:
        """Return what a version offers to choose from."""

        def read() -> Choices:
            with edition.cursor() as connection:
                return choices_of(connection, edition.version.tables)

        found: Choices = edition.keep("choices", read)
        return found

    def show(self, edition: Edition, exhibit: Exhibit, chosen: Filter, values: Mapping[str, Any]) -> Shown:
        """Return an exhibit's answer, from what was answered before where the same was asked of the same version.

        Raises QueryError if the version's tables are of an older Shopkeeper and cannot say it.
        """
        import pyarrow as pa

        lacks = tuple(table for table in exhibit.needs if not edition.version.tables.get(table))
        if lacks:
            return Shown(exhibit, pa.table({}), "", edition.number, lacks)
        sql = exhibit.filled(self._texts(edition, exhibit, chosen, values))
        key = edition.tag, sql
        with self._lock:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return Shown(exhibit, kept, sql, edition.number)
        table = _ask(edition, sql)
        with self._lock:
            self._keep(key, table)
        return Shown(exhibit, table, sql, edition.number)

    def masked(self, shown: Shown) -> Shown:
        """Return an answer in which customers cannot be told: ids masked as the API masks them, personal columns left out."""
        table, units = shown.table, shown.exhibit.units
        for column in [name for name in table.column_names if units.get(name) == "personal"]:
            table = table.drop_columns([column])
        for place, column in enumerate(table.column_names):
            if units.get(column) == "customer":
                told = [self._mask(value) for value in table.column(column).to_pylist()]
                table = table.set_column(place, column, [told])
        return replace(shown, table=table)

    def _mask(self, customer_id: str | None) -> str | None:
        if customer_id is None:
            return None
        return MASK + sha256(f"{self._secret()}{customer_id}".encode()).hexdigest()[:20]

    def _texts(
        self, edition: Edition, exhibit: Exhibit, chosen: Filter, values: Mapping[str, Any]
    ) -> Mapping[str, str]:
        told = {name: text_of(value) for name, value in values.items()}
        if exhibit.obeys or exhibit.places - set(told):
            obeyed = chosen.only(exhibit.obeys)
            told |= {"first_day": text_of(obeyed.first_day), "last_day": text_of(obeyed.last_day)}
            told |= {"grain": text_of(obeyed.grain)}
            told |= relations(
                obeyed,
                has_state=bool(edition.version.tables.get("core.stores")),
                excludes_duplicates=self._excludes_duplicates,
                has_whole_orders=not obeyed.members or _has_whole_orders(edition),
            )
        return told

    def _keep(self, key: object, table: "pa.Table") -> None:
        if key in self._kept or table.nbytes > MOST_MB << 18:
            return
        self._kept[key] = table
        self._size += table.nbytes
        while self._size > MOST_MB << 20:
            self._size -= self._kept.popitem(last=False)[1].nbytes


class Visit:
    """One person's look at one version: what may be seen, by which filter."""

    def __init__(self, gallery: Gallery, edition: Edition, scopes: frozenset[str]) -> None:
        """Look at an edition that is held; it is released when this is no longer used."""
        self.edition = edition
        self.scopes = scopes
        self.choices = gallery.choices(edition)
        self._gallery = gallery
        weakref.finalize(self, gallery.release, edition)

    @property
    def sees_customers(self) -> bool:
        """Whether single customers may be shown."""
        return v.CUSTOMERS in self.scopes

    def has(self, *tables: str) -> bool:
        """Return whether each of the tables, such as ``predictions.churn_scores``, has rows."""
        return all(self.edition.version.tables.get(table) for table in tables)

    def show(self, exhibit: Exhibit, chosen: Filter, **values: Any) -> Shown:
        """Return an exhibit's answer, masked for who may not see customers. Raises QueryError as Gallery.show does."""
        shown = self._gallery.show(self.edition, exhibit, chosen, values)
        if self.sees_customers or shown.lacks or not {"customer", "personal"} & set(exhibit.units.values()):
            return shown
        return self._gallery.masked(shown)


def _has_whole_orders(edition: Edition) -> bool:
    """Return whether no order has lines in several countries or stores; looked up once for an edition."""

    def look() -> bool:
        with edition.cursor() as connection:
            row = connection.execute(
                "select order_id from core.order_lines group by order_id having "
                "count(distinct coalesce(country, '')) > 1 or count(distinct coalesce(store_id, '')) > 1 limit 1"
            ).fetchone()
        return row is None

    return bool(edition.keep("whole orders", look))


def _ask(edition: Edition, sql: str) -> "pa.Table":
    import duckdb

    try:
        with edition.cursor() as connection:
            return connection.execute(sql).to_arrow_table()
    except duckdb.Error as error:
        raise QueryError(
            f"the published tables must be of this Shopkeeper; version {edition.number} was asked and said: "
            f"{str(error).splitlines()[0]}. Run `shopkeeper run`."
        ) from error
