"""The SQL that turns one raw column into one column of a contract, and the SQL that tells when it cannot.

Everything is an expression over whole columns: no row is looked at in Python. A ``Cast`` holds two of them:
``value``, which is null where the text does not fit, and ``fault``, which is true for exactly those rows that
break a rule (it names the value by its alias, so that nothing is computed twice). Moments come out as naive
UTC timestamps; marking them as UTC costs nothing in Arrow.
"""

import re
from dataclasses import dataclass

from shopkeeper.contracts import Column, Kind
from shopkeeper.engine import literal, quote
from shopkeeper.mappings import Mapping

DECIMALS = {Kind.MONEY: 4, Kind.QUANTITY: 3, Kind.INTEGER: 0}
DECIMAL_TYPES = {Kind.MONEY: "DECIMAL(18,4)", Kind.QUANTITY: "DECIMAL(18,3)", Kind.INTEGER: "BIGINT"}
INTEGER_TYPES = frozenset(
    f"{sign}{size}" for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
) | {"BOOLEAN"}
WHITESPACE = "' ' || chr(9) || chr(10) || chr(13)"
RENDERED = "'[-+]?[0-9]*[.]?[0-9]+([eE][-+]?[0-9]+)?'"
ISO_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f")


@dataclass(frozen=True)
class Field:
    """One column as the source has it: its name, the SQL that reads it, and its DuckDB type.

    ``exact`` is false where text was rendered from binary floats (spreadsheets), whose last digits mean
    nothing. ``has_empty`` is false where the scan gives null for empty text already.
    """

    name: str
    sql: str
    duckdb_type: str
    exact: bool = True
    has_empty: bool = True

    @property
    def is_text(self) -> bool:
        """Whether the source holds text here."""
        return self.duckdb_type == "VARCHAR"

    @property
    def is_float(self) -> bool:
        """Whether the source holds binary floating point numbers here."""
        return self.duckdb_type in {"FLOAT", "DOUBLE"}


@dataclass(frozen=True)
class Cast:
    """A contract column as SQL: ``value`` and ``fault`` (null or false where the row is fine)."""

    value: str
    fault: str


def text_of(field: Field) -> str:
    """Return SQL for a raw column as text: 17850.0 as '17850', a nested value as JSON, empty as null."""
    x = field.sql
    if field.is_text:
        return f"nullif({x}, '')" if field.has_empty else x
    if field.is_float:
        # Not a number is how data frames write that there is none.
        whole = f"{x} = trunc({x}) and abs({x}) < 1e15"
        integer = f"cast(cast({x} as BIGINT) as VARCHAR)"
        return f"case when isnan({x}) then null when {whole} then {integer} else cast({x} as VARCHAR) end"
    if field.duckdb_type.endswith("]") or field.duckdb_type.startswith(("STRUCT", "MAP", "UNION")):
        return f"cast(to_json({x}) as VARCHAR)"
    return f"nullif(cast({x} as VARCHAR), '')"


def cast(column: Column, field: Field, mapping: Mapping, timezone: str) -> Cast:
    """Return the SQL that fills ``column`` from ``field``.

    ``timezone`` is the zone of times that carry none.
    """
    if column.kind is Kind.TEXT:
        return _text(column, field)
    if column.kind is Kind.TIMESTAMP:
        return _moment(column, field, mapping, timezone)
    return _number(column, field, mapping)


def alias(name: str) -> str:
    """Return the identifier under which a contract column's value is computed."""
    return quote(f"value of {name}")


def gather(fields: list[Field]) -> Cast:
    """Return the SQL that gathers several raw columns into one JSON object, keys in the given order."""
    pairs = ", ".join(f"{literal(field.name)}, {_json_value(field)}" for field in fields)
    return Cast(f"cast(json_object({pairs}) as VARCHAR)", "false")


def as_raw_json(fields: list[Field]) -> str:
    """Return SQL for the whole raw row as JSON object of column name to text."""
    pairs = ", ".join(f"{literal(field.name)}, {_raw_text(field)}" for field in fields)
    return f"cast(json_object({pairs}) as VARCHAR)"


def number_pattern(kind: Kind, mapping: Mapping) -> str:
    """Return the regular expression of a number's text: its marks, symbols and the decimals it may have.

    Zeros beyond the last allowed decimal change nothing and are allowed. There must be a digit: the engine reads a lone
    sign before a blank as 0.
    """
    symbols = f"[\\s{_class(mapping.currency_symbols)}]*"
    whole = "[0-9]+"
    if mapping.thousands_mark:
        whole = f"(?:[0-9]+|[0-9]{{1,3}}(?:[{_class(mapping.thousands_mark)}][0-9]{{3}})+)"
    mark, most = re.escape(mapping.decimal_mark), DECIMALS[kind]
    bare = f"|{mark}[0-9]{{1,{most}}}0*" if most else ""
    number = f"(?:{whole}(?:{mark}[0-9]{{0,{most}}}0*)?{bare})"
    return f"{symbols}[-+]?{symbols}{number}{symbols}"


def format_zone(datetime_format: str) -> str:
    """Return 'offset' if the format reads an offset or zone, 'utc' if it ends in Z or UTC, else 'local'."""
    if "%z" in datetime_format or "%Z" in datetime_format:
        return "offset"
    return "utc" if datetime_format.endswith(("Z", "UTC")) else "local"


def _class(characters: str) -> str:
    return "".join(re.escape(character) for character in characters)


def _json_value(field: Field) -> str:
    return text_of(field) if field.is_text else field.sql


def _raw_text(field: Field) -> str:
    return field.sql if field.is_text else text_of(field)


def _is_blank(text: str) -> str:
    # Only a text that begins below '!' can be blank, and that comparison looks at four bytes.
    return f"({text} < '!' and trim({text}, {WHITESPACE}) = '')"


def _text(column: Column, field: Field) -> Cast:
    value = text_of(field)
    if not column.required:
        return Cast(value, "false")
    blank = f" or {_is_blank(field.sql)}" if field.is_text else ""
    return Cast(value, f"({value} is null{blank})")


def _number(column: Column, field: Field, mapping: Mapping) -> Cast:
    target, typed = DECIMAL_TYPES[column.kind], alias(column.name)
    if field.is_float:
        value, strays = f"try_cast({field.sql} as {target})", _strays(field.sql, target, field.duckdb_type)
    elif field.duckdb_type in INTEGER_TYPES:
        value, strays = f"try_cast({field.sql} as {target})", "false"
    elif field.duckdb_type.startswith("DECIMAL"):
        value = f"try_cast({field.sql} as {target})"
        strays = f"try_cast({typed} as {field.duckdb_type}) is distinct from {field.sql}"
    else:
        value, strays = _number_text(column, field, mapping)
    wrong = strays if column.minimum is None else f"({strays} or {alias(column.name)} < {column.minimum})"
    return Cast(value, _fault(column, field, wrong))


def _number_text(column: Column, field: Field, mapping: Mapping) -> tuple[str, str]:
    target, text = DECIMAL_TYPES[column.kind], text_of(field)
    cleaned = field.sql if field.is_text else text
    noise = _class(mapping.currency_symbols + mapping.thousands_mark)
    if noise:
        cleaned = f"regexp_replace({cleaned}, {literal(f'[{noise}]')}, '', 'g')"
    if mapping.decimal_mark != ".":
        cleaned = f"replace({cleaned}, {literal(mapping.decimal_mark)}, '.')"
    value = f"try_cast({cleaned} as {target})"
    # Nearly every number is plain, and the plain pattern is quicker than the whole one.
    plain = f"[-+]?[0-9]*(?:[.][0-9]{{0,{DECIMALS[column.kind]}}})?" if mapping.decimal_mark == "." else "[0-9]*"
    whole = f"not regexp_full_match({text}, {literal(number_pattern(column.kind, mapping))})"
    strays = f"case when regexp_full_match({text}, {literal(plain)}) then false else {whole} end"
    if not field.exact:
        close = _strays(f"try_cast({text} as DOUBLE)", target, "DOUBLE")
        strays = f"({whole} and (not regexp_full_match({text}, {RENDERED}) or coalesce({close}, true)))"
        if mapping.decimal_mark != ".":
            value, strays = _rendered_among_written(text, value, strays, close, target, mapping)
    return value, strays


def _rendered_among_written(
    text: str, written: str, strays: str, close: str, target: str, mapping: Mapping
) -> tuple[str, str]:
    """Tell the numbers of a spreadsheet's column from the texts in it, where texts write the decimal mark otherwise.

    The reader renders a number with a point. A text such as 1.234 could be either, and is no number at all.
    """
    rendered = f"regexp_full_match({text}, {RENDERED})"
    either = "false"
    if mapping.thousands_mark == ".":
        either = f"regexp_full_match({text}, '[-+]?[1-9][0-9]{{0,2}}([.][0-9]{{3}})+')"
    value = f"case when {either} then null when {rendered} then try_cast({text} as {target}) else {written} end"
    return value, f"case when {rendered} then coalesce({close}, true) else {strays} end"


def _strays(number: str, target: str, source_type: str) -> str:
    # A float is taken as the decimal it stands for; a 32-bit one carries seven digits only.
    relative = "1e-6" if source_type == "FLOAT" else "1e-9"
    distance = f"abs({number} - cast(try_cast({number} as {target}) as DOUBLE))"
    return f"({distance} > greatest(1e-6, abs({number}) * {relative}))"


def _moment(column: Column, field: Field, mapping: Mapping, timezone: str) -> Cast:
    if field.duckdb_type == "TIMESTAMP WITH TIME ZONE":
        value = _naive_utc(field.sql)
    elif field.duckdb_type.startswith("TIMESTAMP") or field.duckdb_type == "DATE":
        value = _from_zone(f"cast({field.sql} as TIMESTAMP)", timezone)
    else:
        value = _moment_text(text_of(field), field, mapping, timezone)
    # '%Y' reads '12/1/10' as the year 10; no shop is that old.
    wrong = f"{alias(column.name)} < TIMESTAMP '1000-01-01'"
    return Cast(value, _fault(column, field, wrong))


def _fault(column: Column, field: Field, wrong: str) -> str:
    text = text_of(field)
    absent = "true" if column.required else f"({text} is not null and not {_is_blank(text)})"
    return f"(case when {alias(column.name)} is null then {absent} else {wrong} end)"


def _moment_text(text: str, field: Field, mapping: Mapping, timezone: str) -> str:
    formats = list(mapping.datetime_formats)
    if not field.exact:
        formats += [form for form in ISO_FORMATS if form not in formats]
    groups: list[tuple[str, list[str]]] = []
    for form in formats:
        zone = "utc" if format_zone(form) == "local" and timezone == "UTC" else format_zone(form)
        if not groups or groups[-1][0] != zone:
            groups.append((zone, []))
        groups[-1][1].append(form)
    attempts = [_attempt(text, zone, group, timezone) for zone, group in groups]
    return attempts[0] if len(attempts) == 1 else f"coalesce({', '.join(attempts)})"


def _attempt(text: str, zone: str, formats: list[str], timezone: str) -> str:
    parsed = f"try_strptime({text}, [{', '.join(literal(form) for form in formats)}])"
    if zone == "offset":
        return _naive_utc(parsed)
    return parsed if zone == "utc" else _from_zone(parsed, timezone)


def _from_zone(naive: str, timezone: str) -> str:
    return naive if timezone == "UTC" else _naive_utc(f"timezone({literal(timezone)}, {naive})")


def _naive_utc(moment: str) -> str:
    return f"make_timestamp(epoch_us({moment}))"
