"""How a source's own columns become the columns of a contract.

A preset or the project's ``shopkeeper.toml`` writes a mapping as a TOML table; this module checks it once.
"""

import difflib
from collections.abc import Callable, Iterable
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field, fields
from typing import Any
from zoneinfo import ZoneInfo

from shopkeeper.contracts import Contract, Kind, contract
from shopkeeper.errors import SettingsError

DATETIME_FORMATS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S.%fZ",
    "%Y-%m-%d %H:%M:%S UTC",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
)


@dataclass(frozen=True)
class Mapping:
    """How one table of a source maps to one entity.

    - ``entity``: the contract it fills.
    - ``files``: a glob on the item's name, relative to the source's path; first table that matches wins.
    - ``columns``: contract column → names of the source's columns. For a JSON column, all of them are
      gathered into one object; for any other, they are alternatives and the first that exists is read.
    - ``constants``: contract column → a value the source does not carry.
    - ``optional``: source columns that may be missing from a file.
    - ``datetime_formats``: strptime formats, tried in order. A format ending in ``Z`` or ``UTC`` is UTC.
    - ``timezone``: the zone of times that carry none; None: the shop's.
    - ``decimal_mark``, ``thousands_mark``, ``currency_symbols``: how numbers are written.
    - ``encoding``, ``delimiter``, ``sheet``: None lets the reader find out.
    """

    entity: str
    columns: MappingType[str, tuple[str, ...]]
    files: str = "*"
    constants: MappingType[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    datetime_formats: tuple[str, ...] = DATETIME_FORMATS
    timezone: str | None = None
    decimal_mark: str = "."
    thousands_mark: str = ""
    currency_symbols: str = ""
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None

    @property
    def contract(self) -> Contract:
        """The contract this mapping fills."""
        return contract(self.entity)


def parse_mapping(table: MappingType[str, Any], where: str) -> Mapping:
    """Check one TOML table and return the mapping it declares.

    ``where`` names the table in errors. Raises SettingsError for an unknown key, an unknown contract
    column, or a required column that is neither mapped nor constant.
    """
    _check_keys(table, where)
    _check_types(table, where)
    if "entity" not in table:
        raise SettingsError(f"a mapping must name its entity; got none in {where}. Add entity = 'order_lines'.")
    target = contract(str(table["entity"]))
    columns = {name: _names(value, f"{where}.columns.{name}") for name, value in table.get("columns", {}).items()}
    constants = {name: str(value) for name, value in table.get("constants", {}).items()}
    for name in (*columns, *constants):
        if name not in target.column_names:
            hint = _near(name, target.column_names) or "Map your column to one of these."
            raise SettingsError(
                f"a mapped column must be one of {', '.join(target.column_names)}; got {name!r} in {where}. {hint}"
            )
    for column in target.columns:
        if column.required and column.name not in columns and column.name not in constants:
            raise SettingsError(
                f"{target.entity} must have {column.name} ({column.meaning}); {where} maps no column to it. "
                f"Add {column.name} = 'your column' under columns, or a constant."
            )
        names = columns.get(column.name, ())
        if column.kind is not Kind.JSON and column.name in columns and not names:
            raise SettingsError(f"columns.{column.name} must name a source column; got none in {where}. Name one.")
    scalars: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in table.items()
        if key not in {"entity", "columns", "constants"}
    }
    mapping = Mapping(entity=target.entity, columns=columns, constants=constants, **scalars)
    if mapping.decimal_mark not in {".", ","} or mapping.decimal_mark == mapping.thousands_mark:
        raise SettingsError(
            f"decimal_mark must be '.' or ',' and differ from thousands_mark; got {mapping.decimal_mark!r} and "
            f"{mapping.thousands_mark!r} in {where}. For 1.234,56 write decimal_mark = ',' and thousands_mark = '.'."
        )
    return mapping


def _check_keys(table: MappingType[str, Any], where: str) -> None:
    known = [item.name for item in fields(Mapping)]
    if not isinstance(table, dict):
        raise SettingsError(f"{where} must be a table of settings; got {table!r}. Write {where} and its keys below.")
    for key in table:
        if key not in known:
            hint = _near(key, known) or "Remove it."
            raise SettingsError(
                f"a mapping's keys must be among {', '.join(sorted(known))}; got {key!r} in {where}. {hint}"
            )


def _check_types(table: MappingType[str, Any], where: str) -> None:
    """Raise SettingsError for a value that is not of its key's type."""
    rules: dict[str, tuple[Callable[[object], bool], str]] = {
        **dict.fromkeys(("columns", "constants"), (lambda value: isinstance(value, dict), "a table")),
        **dict.fromkeys(("optional", "datetime_formats"), (_is_texts, "a list of texts")),
    }
    for key, value in table.items():
        holds, told = rules.get(key, (lambda value: isinstance(value, str), "a text"))
        if not holds(value):
            raise SettingsError(f"{key} must be {told}; got {value!r} in {where}. Correct it.")
    if "datetime_formats" in table and not table["datetime_formats"]:
        raise SettingsError(f"datetime_formats must name at least one format; got none in {where}. Remove the key.")
    try:
        ZoneInfo(table.get("timezone", "UTC"))
    except (KeyError, ValueError, OSError) as error:
        raise SettingsError(
            f"timezone must be an IANA zone such as Europe/London; got {table['timezone']!r} in {where}. Correct it."
        ) from error


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"Did you mean {near[0]!r}?" if near else ""


def _names(value: object, where: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise SettingsError(f"{where} must be a column name or a list of them; got {value!r}. Quote the name.")
