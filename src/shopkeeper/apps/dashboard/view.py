"""What a page is handed: the version, the filter, the formats, the colours; and how it shows an exhibit and leads on."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from urllib.parse import urlencode

from shopkeeper import vocabulary as v
from shopkeeper.apps.charts import Formats, Theme
from shopkeeper.errors import UsageError
from shopkeeper.serving.exhibits import Exhibit, Filter, Shown, Visit

LEADS = {"customer": "customer", "product": "product", "store": "store", "country": "country"}
"""Unit of a column → path of the page that tells of one of them."""


@dataclass(frozen=True)
class View:
    """One run of a page, for one person.

    ``given``: the URL's parameters that are the page's own; ``parts``: the project, for what is not in a version: the
    registry, quarantine, loads, live numbers.
    """

    visit: Visit
    filter: Filter
    formats: Formats
    theme: Theme
    given: Mapping[str, str]
    parts: Any = field(repr=False)

    def show(self, exhibit: Exhibit, **values: Any) -> Shown:
        """Return an exhibit's answer under the filter that stands. Raises QueryError for tables of an older Shopkeeper."""
        return self.visit.show(exhibit, self.filter, **values)

    def within(self, **members: tuple[str, ...]) -> "View":
        """Return the view of some countries, stores or categories only, whatever the sidebar says of them."""
        changed: dict[str, Any] = dict(members)
        return replace(self, filter=replace(self.filter, **changed))

    def has(self, *tables: str) -> bool:
        """Return whether each of the tables, such as ``predictions.churn_scores``, has rows."""
        return self.visit.has(*tables)

    @property
    def locations(self) -> tuple[str, ...]:
        """By which places sales can be told apart: state where stores have one, country, store."""
        found = [name for name in ("country", "store") if name in self.visit.choices.locations]
        if self.states:
            found.insert(0, "state")
        return tuple(found)

    @property
    def states(self) -> tuple[str, ...]:
        """The states of the stores, where the shop brings them."""

        def read() -> tuple[str, ...]:
            with self.visit.edition.cursor() as connection:
                rows = connection.execute(
                    "select distinct state from core.stores where state is not null order by 1"
                ).fetchall()
            return tuple(str(row[0]) for row in rows)

        found: tuple[str, ...] = self.visit.edition.keep("states", read) if self.has("core.stores") else ()
        return found if len(found) > 1 else ()

    @property
    def is_admin(self) -> bool:
        """Whether who looks may change what serves."""
        return v.ADMIN in self.visit.scopes

    @property
    def last_day(self) -> date | None:
        """The last day that the data know."""
        return self.visit.choices.last_day

    def one(self, name: str) -> str | None:
        """Return the page's own parameter of a name, such as the ``id`` of a customer."""
        return self.given.get(name) or None

    def params(self, **given: Any) -> list[tuple[str, str]]:
        """Return URL parameters: those given, and the filter."""
        own = [(name, str(value)) for name, value in given.items() if value is not None]
        return own + self.filter.params(self.visit.choices)

    def url(self, path: str, **given: Any) -> str:
        """Return the address of a page within this server, to share or to click."""
        told = urlencode(self.params(**given))
        return f"/{path}{f'?{told}' if told else ''}"


@dataclass(frozen=True)
class Page:
    """A page: its path in the URL, its title, what shows it, and when there is such a page.

    ``section`` and ``place``: where it stands in the list; ``icon``: a Material symbol's name; ``scopes``: which of them let
    somebody see it; ``needs``: it stands in the list if any of these tables has rows (always without any); ``obeys``: the
    filters that change it; ``is_listed``: False for pages that others lead to; ``without``: what who opens it by its address
    reads where the shop does not bring what it needs.
    """

    path: str
    title: str
    show: Callable[[View], None]
    icon: str = ""
    section: str = ""
    place: int = 0
    scopes: Iterable[str] = (v.AGGREGATES, v.CUSTOMERS)
    needs: tuple[str, ...] = ()
    obeys: tuple[str, ...] = ()
    is_listed: bool = True
    without: str = ""

    def may_be_opened(self, visit: Visit) -> bool:
        """Return whether somebody may see it at all."""
        return bool(set(self.scopes) & visit.scopes)

    def is_there(self, visit: Visit) -> bool:
        """Return whether somebody gets to see it in a version, and there is something to see."""
        return self.may_be_opened(visit) and (not self.needs or any(visit.has(table) for table in self.needs))


def must_be_given(view: View, name: str, what: str) -> str:
    """Return a page's own parameter. Raises UsageError if the URL has none."""
    if (found := view.one(name)) is None:
        raise UsageError(f"the address must name a {what}, as ?{name}=…; got none. Choose one on another page.")
    return found
