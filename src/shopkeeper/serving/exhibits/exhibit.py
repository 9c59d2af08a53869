"""What can be shown: one question to the published version, with its words, its units, and what it obeys.

The SQL of an exhibit is a text with places in braces: relations of the filter (see ``relations``), values of the filter
(``{first_day}``, ``{last_day}``, ``{grain}``) and values of the one who asks (``{id}``). Filled in, it is the text that runs,
and the text that a person may take to ``shopkeeper query``.
"""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from shopkeeper.answers import Question, section_sql
from shopkeeper.engine import literal
from shopkeeper.serving.exhibits.filters import OBEYED

if TYPE_CHECKING:
    import pyarrow as pa

UNITS = frozenset(
    (
        *("money", "gain", "price", "points", "count", "number", "share", "change", "days", "seconds"),
        *("date", "month", "period", "moment", "hour", "weekday", "flag", "text", "texts"),
        *("customer", "product", "store", "country", "category", "personal"),
    )
)
"""How a column may read. ``share`` and ``change`` are fractions; ``customer``, ``product``, ``store`` and ``country`` lead to
pages; ``customer`` is masked and ``personal`` is left out for who may not see customers."""

_JSON = {"integer": "count", "number": "number", "boolean": "flag", "day": "date", "moment": "moment", "texts": "texts"}
_WORDS = {"n": "", "id": "", "rfm": "RFM", "sql": "SQL"}
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Exhibit:
    """One question: its name in URLs and files, its title, what it means in one or two sentences, its SQL, its columns.

    ``columns``: ``name:unit`` parted by blanks. ``needs``: tables without whose rows there is nothing to show. ``obeys``: of
    period, country, store and category, those that change the answer. ``headings``: column → its heading, where the name does
    not say it.
    """

    name: str
    title: str
    definition: str
    sql: str
    columns: str
    needs: tuple[str, ...] = ()
    obeys: tuple[str, ...] = OBEYED
    headings: Mapping[str, str] = field(default_factory=dict)

    @property
    def units(self) -> dict[str, str]:
        """Column → how it reads."""
        return dict(pair.split(":") for pair in self.columns.split())

    @property
    def places(self) -> frozenset[str]:
        """The places in its SQL."""
        return frozenset(_PLACE.findall(self.sql))

    def heading(self, column: str) -> str:
        """Return what stands above a column."""
        return self.headings.get(column) or heading(column)

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the SQL with texts in its places. Raises KeyError for a place without one."""
        text = dedent(_PLACE.sub(lambda found: values[found[1]], self.sql)).strip()
        return "\n".join(line for line in text.splitlines() if line.strip())


@dataclass(frozen=True)
class Shown:
    """An exhibit's answer: its rows, the SQL as it ran, the version that gave it; or the tables that it lacks.

    ``how``: where the rows come from if they are not the SQL's own, for people: a calculation over them, or a model's report.
    """

    exhibit: Exhibit
    table: "pa.Table"
    sql: str
    version: int
    lacks: tuple[str, ...] = ()
    how: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return bool(self.lacks) or self.table.num_rows == 0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows as objects."""
        found: list[dict[str, Any]] = self.table.to_pylist()
        return found

    def first(self) -> dict[str, Any]:
        """Return the first row; every column None if there is none."""
        rows = self.table.slice(0, 1).to_pylist()
        return rows[0] if rows else dict.fromkeys(self.exhibit.units)

    def column(self, name: str) -> list[Any]:
        """Return a column's values; money and counts of decimals as they are."""
        found: list[Any] = self.table.column(name).to_pylist() if name in self.table.column_names else []
        return found

    def csv(self) -> bytes:
        """Return the rows as CSV in UTF-8 with a mark for spreadsheets; decimals keep all their digits."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(self.table.column_names)
        for row in zip(*(column.to_pylist() for column in self.table.columns), strict=True):
            writer.writerow([_plain(value) for value in row])
        return text.getvalue().encode("utf-8-sig")


def _plain(value: object) -> object:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        # A spreadsheet would take it for a formula.
        return f"'{value}"
    return value


def heading(column: str) -> str:
    """Return a column's name in words: n_orders → Orders, growth_on_month → Growth on month."""
    words = [_WORDS.get(word, word) for word in column.split("_")]
    text = " ".join(filter(None, words)) or column
    return text[:1].upper() + text[1:]


def text_of(value: object) -> str:
    """Return a value as a literal of SQL."""
    if isinstance(value, date):
        return f"date '{value.isoformat()}'"
    if isinstance(value, bool | int | Decimal | float):
        return str(value)
    return literal(str(value))


def of_question(name: str, question: Question, definition: str, units: Mapping[str, str]) -> Exhibit:
    """Return the exhibit that shows a section of a dossier, about the one whose ``id`` is given.

    ``units``: those of its columns that their JSON types do not tell.
    """
    columns = {column: units.get(column, _JSON.get(kind, "text")) for column, kind in question.types.items()}
    return Exhibit(
        name,
        question.title[:1].upper() + question.title[1:],
        definition,
        section_sql(question).replace("$id", "{id}"),
        " ".join(f"{column}:{unit}" for column, unit in columns.items()),
        needs=(f"predictions.{question.needs}",) if question.needs else (),
        obeys=(),
    )
