"""What the tables are: their grain, their columns, and from which tables each is made.

Read from the documents beside the warehouse's models and from what the models of predictions declare; the page of tables in
the documentation is written from the same.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from shopkeeper import vocabulary as v
from shopkeeper.models.model import Subject

PROJECT = Path(str(resources.files("shopkeeper"))) / "dbt"
MODELS, MACROS = PROJECT / "models", PROJECT / "macros"
LAKE, STAGING = "lake", "staging"
_READS = re.compile(r"\b(ref|committed|lake_table)\('(\w+)'(?: if \w+ == '(\w+)' else '(\w+)')?\)")
_MACRO = re.compile(r"{%-? *macro +(\w+)\(.*?-?%}(.*?){%-? *endmacro", re.DOTALL)


@dataclass(frozen=True)
class Described:
    """One table: ``schema.name``, what it holds with its grain, its columns with their meaning, the tables it is made from.

    ``made_by``: the subject whose model makes it; empty for tables that SQL makes.
    """

    name: str
    about: str
    columns: Mapping[str, str]
    reads: tuple[str, ...] = ()
    made_by: str = ""

    @property
    def schema(self) -> str:
        """The schema."""
        return self.name.partition(".")[0]


def catalogue(subjects: Mapping[str, Subject]) -> dict[str, Described]:
    """Return all tables by name, staging included: those of the warehouse, and those that the subjects' models make."""
    found = dict(_of_warehouse())
    for subject in subjects.values():
        for table in subject.tables:
            name = f"{v.PREDICTIONS}.{table.name}"
            about = f"Grain: {table.grain}. Key: {', '.join(table.key)}."
            found[name] = Described(
                name, about, {column.name: column.meaning for column in table.columns}, made_by=subject.name
            )
    return found


def upstream(tables: Mapping[str, Described], name: str) -> list[tuple[str, str]]:
    """Return whence a table's rows come, back to the lake: pairs of a table and one that reads it, the table's own first."""
    pairs: list[tuple[str, str]] = []
    waiting, seen = [name], {name}
    while waiting:
        reader = waiting.pop(0)
        for read in tables[reader].reads if reader in tables else ():
            pairs.append((read, reader))
            if read not in seen:
                seen.add(read)
                waiting.append(read)
    return pairs


def readers(tables: Mapping[str, Described], name: str) -> list[str]:
    """Return the tables that are made from a table, those of staging left out."""
    return sorted(each.name for each in tables.values() if name in each.reads and each.schema != STAGING)


@cache
def _of_warehouse() -> Mapping[str, Described]:
    import yaml  # type: ignore[import-untyped]

    # The loader in C reads all of it in a tenth of a second, the other takes ten times as long.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    schemas = {path.stem: path.parent.name for path in MODELS.rglob("*.sql")}
    macros = {name: body for path in MACROS.rglob("*.sql") for name, body in _MACRO.findall(path.read_text("utf-8"))}
    found = {}
    for document in sorted(MODELS.rglob("*.yml")):
        (told,) = yaml.load(document.read_text("utf-8"), loader)["models"]  # noqa: S506 - a safe loader
        name = f"{document.parent.name}.{told['name']}"
        columns = {column["name"]: _flat(column["description"]) for column in told["columns"]}
        sql = document.with_suffix(".sql").read_text("utf-8")
        found[name] = Described(
            name, _flat(told["description"]), columns, tuple(dict.fromkeys(_reads(sql, schemas, macros)))
        )
    return found


def _reads(sql: str, schemas: Mapping[str, str], macros: Mapping[str, str]) -> Iterator[str]:
    """Yield the tables that a model's SQL names, itself and in the macros it calls.

    A macro may name one table or another by its argument, which stands in the model's SQL.
    """
    for text in (sql, *_called(sql, macros)):
        for kind, name, argument, otherwise in _READS.findall(text):
            chosen = otherwise if argument and f"'{argument}'" not in sql else name
            schema = schemas.get(chosen, "seeds") if kind == "ref" else LAKE
            yield f"{schema}.{chosen}"


def _called(sql: str, macros: Mapping[str, str]) -> list[str]:
    """Return the bodies of the macros that are called, directly or by another."""
    found: dict[str, str] = {}
    waiting = [sql]
    while waiting:
        text = waiting.pop()
        for name, body in macros.items():
            if name not in found and re.search(rf"\b{name}\(", text):
                found[name] = body
                waiting.append(body)
    return list(found.values())


def _flat(text: str) -> str:
    return " ".join(text.split())
