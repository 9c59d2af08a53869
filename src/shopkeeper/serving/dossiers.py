"""All that is known and advised about one customer or one product, from one published version.

A dossier is a list of sections, each the answer to one query with the form in which people read it. What no table says is
left out: a shop without inventory has no section about stock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shopkeeper.answers import CUSTOMER, PRODUCT, Form, Question, section_sql, tables_of
from shopkeeper.errors import UsageError
from shopkeeper.published import Published
from shopkeeper.vocabulary import CUSTOMER_ID, PRODUCT_ID

if TYPE_CHECKING:
    import duckdb

MOST_ALIKE = 8
OLDER = "the published tables are of an older Shopkeeper and do not say; run `shopkeeper run`"


@dataclass(frozen=True)
class Section:
    """One answer: ``facts`` (one row, names and values), ``table``, ``bars`` (label, value, …) or ``range`` (a series: label,
    value, low, high).
    """

    title: str
    form: Form
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def plain(self) -> list[dict[str, Any]]:
        """Return the rows as objects."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Dossier:
    """What one version says of one thing: ``kind`` is customer or product, ``id`` its code, ``name`` what it is called."""

    kind: str
    id: str
    name: str
    version: int | None
    sections: tuple[Section, ...]

    def plain(self) -> dict[str, Any]:
        """Return it as values for programs."""
        told = {section.title.replace(" ", "_"): section.plain() for section in self.sections}
        return {f"{self.kind}_id": self.id, "name": self.name, "version": self.version, **told}


def customer_dossier(published: Published, customer_id: str) -> Dossier:
    """Return all that the current version says of a customer.

    Raises UsageError if it knows none of that id, and names those that are nearest.
    """
    known = f"select {CUSTOMER_ID} as id, {CUSTOMER_ID} as name from core.customers"
    return _dossier(published, "customer", customer_id.strip(), known, CUSTOMER)


def product_dossier(published: Published, product_id: str) -> Dossier:
    """Return all that the current version says of a product, by its code in any case of letters.

    Raises UsageError if it knows none of that code, and names those whose code or description is nearest.
    """
    known = f"select {PRODUCT_ID} as id, coalesce(description, {PRODUCT_ID}) as name from core.products"
    return _dossier(published, "product", product_id.strip().upper(), known, PRODUCT)


def _dossier(published: Published, kind: str, asked: str, known: str, questions: Sequence[Question]) -> Dossier:
    version, connection = published.open_numbered()
    with connection:
        found = connection.execute(f"select id, name from ({known}) where upper(id) = upper(?)", [asked]).fetchall()
        if not found:
            raise UsageError(_unknown(connection, kind, asked, known))
        key, name = found[0]
        tables = tables_of(connection)
        sections = [
            _section(connection, question, {"id": key})
            for question in questions
            if not question.is_for_programs and (not question.needs or question.needs in tables)
        ]
    return Dossier(kind, key, name, version, tuple(section for section in sections if section.rows))


def _section(connection: "duckdb.DuckDBPyConnection", question: Question, values: Mapping[str, Any]) -> Section:
    import duckdb

    try:
        found = connection.execute(section_sql(question), dict(values))
    except (duckdb.BinderException, duckdb.CatalogException):
        return Section(question.title, "facts", ("note",), [(OLDER,)])
    columns = tuple(column[0] for column in found.description)
    return Section(question.title, question.form, columns, found.fetchall())


def _unknown(connection: "duckdb.DuckDBPyConnection", kind: str, asked: str, known: str) -> str:
    """Return the sentence for a code that nothing has: those that hold the text, else those spelled most alike."""
    rows = connection.execute(
        f"""
        select id, name
        from ({known})
        order by contains(upper(id), upper($asked)) or contains(upper(name), upper($asked)) desc,
            greatest(
                jaro_winkler_similarity(upper(id), upper($asked)), jaro_winkler_similarity(upper(name), upper($asked))
            ) desc,
            id
        limit {MOST_ALIKE}
        """,
        {"asked": asked},
    ).fetchall()
    if not rows:
        return (
            f"a {kind} must be one that the published version knows; it knows none. Load some and run `shopkeeper run`."
        )
    near = "; ".join(key if key == name else f"{key} ({name})" for key, name in rows)
    return f"a {kind} must be one that the published version knows; got {asked!r}. The nearest are {near}."
