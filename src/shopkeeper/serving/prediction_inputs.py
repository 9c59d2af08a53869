"""What a caller hands in to be predicted: customers by their features, or order lines, checked field by field.

Nothing is guessed: an unknown field, a missing one, a value of another type is named with its place, and the caller gets all of
them at once (the first 50).
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shopkeeper.contracts import CONTRACTS, Column, Kind
from shopkeeper.engine import quote
from shopkeeper.errors import UsageError
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID, ORDER_LINES

if TYPE_CHECKING:
    import duckdb

MOST_CUSTOMERS, MOST_LINES, MOST_TOLD = 1_000, 100_000, 50
LONGEST = 1_000
ATTRIBUTES = "attributes"
COUNTED = (
    *(
        "n_orders",
        "n_order_days",
        "n_orders_30d",
        "n_orders_90d",
        "n_orders_365d",
        "gross_sales",
        "discounts",
        "returns",
    ),
    *("net_sales", "net_sales_30d", "net_sales_90d", "net_sales_365d", "n_units", "n_products", "n_categories"),
    *("n_cancellations", "n_sessions", "n_views", "n_carts", "n_purchase_events", "n_sessions_30d", "n_sessions_90d"),
    "n_sessions_365d",
)
"""Features that are never null: 0 where there is nothing to count."""
SINCE = ("days_since_last_order", "days_since_first_order")
"""Features that are there exactly for those who ordered."""
WHOLE, NUMBER, TEXT = "a whole number", "a number", "a text"


class InputError(UsageError):
    """A body that does not hold; ``details`` names each field."""

    def __init__(self, details: Sequence[Mapping[str, Any]], more: int = 0) -> None:
        said = "; ".join(f"{each['field']} {each['message']}" for each in details[:3])
        rest = len(details) - 3 + more
        super().__init__(
            f"the body must hold what the model needs, and nothing else; {said}"
            f"{f'; and {rest} more' if rest > 0 else ''}. See details, and GET /v1/models for the fields."
        )
        self.details = list(details)


@dataclass
class Faults:
    """What is wrong, field by field."""

    found: list[dict[str, Any]] = field(default_factory=list)
    more: int = 0

    def add(self, where: str, message: str) -> None:
        """Note a fault."""
        if len(self.found) < MOST_TOLD:
            self.found.append({"field": where, "message": message})
        else:
            self.more += 1

    def settle(self) -> None:
        """Raise InputError if there is any."""
        if self.found:
            raise InputError(self.found, self.more)


@dataclass(frozen=True)
class Asked:
    """What was handed in: the moment, the order in which customers came, and either features or lines, with attributes.

    ``attributes``: customer → name → value as text.
    """

    as_of: date
    customers: Sequence[str]
    features: pa.Table | None
    lines: pa.Table | None
    attributes: Mapping[str, Mapping[str, str]]


def read(
    body: Any,
    *,
    default_as_of: date,
    feature_types: Mapping[str, str],
    needed: Iterable[str],
    attributes: Iterable[str],
) -> Asked:
    """Return what a parsed body asks. Raises InputError that names each field that is wrong.

    ``feature_types``: feature → its type in the engine; ``needed``: those the model reads; ``attributes``: the names of
    attributes it reads, which may be absent.
    """
    faults = Faults()
    if not isinstance(body, dict):
        raise InputError([{"field": "body", "message": "must be an object"}])
    known = {AS_OF, "customers", ORDER_LINES, ATTRIBUTES}
    for name in body:
        if name not in known:
            faults.add(_shown(name), _unknown(name, known))
    if ("customers" in body) == (ORDER_LINES in body):
        faults.add("body", "must have either customers or order_lines")
        faults.settle()
    moment = _moment(body.get(AS_OF), default_as_of, faults)
    named = sorted(attributes)
    if "customers" in body:
        if ATTRIBUTES in body:
            faults.add(ATTRIBUTES, "must stand within each customer")
        rows = _listed(body["customers"], "customers", MOST_CUSTOMERS, faults)
        table, told = _features(rows, moment, feature_types, sorted(needed), named, faults)
        faults.settle()
        return Asked(moment, table[CUSTOMER_ID].to_pylist(), table, None, told)
    rows = _listed(body[ORDER_LINES], ORDER_LINES, MOST_LINES, faults)
    lines = _lines(rows, faults)
    told = _attributes_by_customer(body.get(ATTRIBUTES), named, faults)
    customers = list(dict.fromkeys(name for name in lines[CUSTOMER_ID].to_pylist() if name is not None))
    if len(customers) > MOST_CUSTOMERS:
        faults.add(ORDER_LINES, f"must be of at most {MOST_CUSTOMERS:,} customers; got {len(customers):,}")
    faults.settle()
    return Asked(moment, customers, None, lines, told)


def body_schema() -> dict[str, Any]:
    """Return the JSON schema of a body."""
    values = {"type": ["string", "number", "boolean", "null"]}
    customer = {
        "type": "object",
        "required": [CUSTOMER_ID],
        "properties": {
            CUSTOMER_ID: {"type": "string", "minLength": 1, "maxLength": LONGEST},
            ATTRIBUTES: {"type": ["object", "null"], "additionalProperties": values},
        },
        "additionalProperties": {"type": ["string", "number", "null"]},
        "description": "features by name; `GET /v1/models` lists those that are needed",
    }
    line = {
        "type": "object",
        "required": [column.name for column in CONTRACTS[ORDER_LINES].columns if column.required],
        "properties": {
            column.name: {
                "type": ["string", "null"] if column.kind is Kind.TIMESTAMP else ["string", "number", "null"],
                "description": column.meaning,
            }
            for column in CONTRACTS[ORDER_LINES].columns
        },
        "additionalProperties": False,
    }
    moment = {
        "type": ["string", "null"],
        "format": "date",
        "description": "the day that knows what came before it; the version's",
    }
    told = {"type": ["object", "null"], "additionalProperties": {"type": "object", "additionalProperties": values}}
    return {
        "type": "object",
        "oneOf": [
            {
                "required": ["customers"],
                "properties": {
                    AS_OF: moment,
                    "customers": {
                        "oneOf": [
                            customer,
                            {"type": "array", "items": customer, "minItems": 1, "maxItems": MOST_CUSTOMERS},
                        ]
                    },
                },
                "additionalProperties": False,
            },
            {
                "required": [ORDER_LINES],
                "properties": {
                    AS_OF: moment,
                    ORDER_LINES: {
                        "oneOf": [line, {"type": "array", "items": line, "minItems": 1, "maxItems": MOST_LINES}]
                    },
                    ATTRIBUTES: {**told, "description": "customer → name → value, for models that read attributes"},
                },
                "additionalProperties": False,
            },
        ],
    }


def _shown(name: object) -> str:
    return str(name)[:100]


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name[:100], list(known), 1)
    return f"is unknown; did you mean {near[0]}?" if near else "is unknown; leave it out"


def _moment(given: Any, default: date, faults: Faults) -> date:
    if given is None:
        return default
    try:
        found = date.fromisoformat(given) if isinstance(given, str) and len(given) == 10 else None
    except ValueError:
        found = None
    if found is None or not 1900 <= found.year <= 2200:
        faults.add(AS_OF, f"must be a day such as {default.isoformat()}; got {_value(given)}")
        return default
    return found


def _value(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _listed(given: Any, name: str, most: int, faults: Faults) -> list[dict[str, Any]]:
    rows = [given] if isinstance(given, dict) else given
    if not isinstance(rows, list) or not rows:
        faults.add(name, "must be an object, or a list of one or more")
        faults.settle()
    if len(rows) > most:
        faults.add(name, f"must be at most {most:,}; got {len(rows):,}")
        faults.settle()
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            faults.add(f"{name}[{place}]", f"must be an object; got {_value(row)}")
    faults.settle()
    return list(rows)


def _features(
    rows: list[dict[str, Any]],
    moment: date,
    types: Mapping[str, str],
    needed: Sequence[str],
    attributes: Sequence[str],
    faults: Faults,
) -> tuple[pa.Table, dict[str, dict[str, str]]]:
    known = {*types, ATTRIBUTES} - {AS_OF}
    told: dict[str, dict[str, str]] = {}
    for place, row in enumerate(rows):
        where = f"customers[{place}]"
        name = row.get(CUSTOMER_ID)
        if not isinstance(name, str) or not name or len(name) > LONGEST:
            faults.add(f"{where}.{CUSTOMER_ID}", "is missing" if name is None else "must be a text that is not empty")
        elif _text(name) in told:
            faults.add(f"{where}.{CUSTOMER_ID}", "must be another than those before it")
        else:
            told[_text(name)] = _attributes(row.get(ATTRIBUTES), f"{where}.{ATTRIBUTES}", attributes, faults)
        _check_names(row, where, known, needed, faults)
    columns: dict[str, pa.Array] = {}
    for feature, kind in types.items():
        if feature == AS_OF:
            columns[feature] = pa.array([moment] * len(rows), pa.date32())
        else:
            values = [_feature(row, feature, kind, place, faults) for place, row in enumerate(rows)]
            columns[feature] = pa.array(values, _arrow(kind))
    return pa.table(columns), told


def _check_names(row: dict[str, Any], where: str, known: set[str], needed: Sequence[str], faults: Faults) -> None:
    """Note features that are unknown, missing, or at odds with whether the customer ever ordered."""
    for feature in row:
        if feature not in known:
            faults.add(f"{where}.{_shown(feature)}", _unknown(feature, known))
    for feature in needed:
        if feature not in row:
            faults.add(f"{where}.{feature}", "is missing")
    orders = row.get("n_order_days")
    if isinstance(orders, int) and not isinstance(orders, bool):
        for feature in SINCE:
            if feature in row and (row[feature] is not None) != (orders > 0):
                faults.add(f"{where}.{feature}", "must be there if n_order_days is above 0, and null if it is 0")


def _arrow(kind: str) -> pa.DataType:
    if kind == "VARCHAR":
        return pa.string()
    return pa.float64() if kind == "DOUBLE" else pa.int64()


def _feature(row: dict[str, Any], name: str, kind: str, place: int, faults: Faults) -> Any:
    value = row.get(name)
    where = f"customers[{place}].{name}"
    if value is None:
        if name in row and name in COUNTED:
            faults.add(where, "must not be null: it is 0 where there is nothing to count")
        return 0 if name in COUNTED else None
    if kind == "VARCHAR":
        is_right, wanted = isinstance(value, str), TEXT
    elif kind == "DOUBLE":
        is_right, wanted = isinstance(value, int | float) and abs(value) <= 1e15, NUMBER
    else:
        is_right = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        is_right, wanted = is_right and abs(value) <= 10**12, WHOLE
    if not is_right or isinstance(value, bool):
        faults.add(where, f"must be {wanted}; got {_value(value)}")
        return None
    if name != "month_sales_trend" and kind != "VARCHAR" and value < 0 and not _may_be_negative(name):
        faults.add(where, f"must be 0 or more; got {_value(value)}")
    return _text(value) if kind == "VARCHAR" else value


def _may_be_negative(name: str) -> bool:
    return "sales" in name or name in {"discounts", "returns", "return_share", "discount_share"}


def _text(value: str) -> str:
    """Return a text that Arrow can hold: a lone surrogate, which no encoding has, becomes a question mark."""
    return value.encode("utf-8", "replace").decode("utf-8")


def _attributes(given: Any, where: str, known: Sequence[str], faults: Faults) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        faults.add(where, f"must be an object; got {_value(given)}")
        return {}
    found: dict[str, str] = {}
    for name, value in given.items():
        if name not in known:
            faults.add(f"{where}.{_shown(name)}", _unknown(name, known))
        elif isinstance(value, dict | list):
            faults.add(f"{where}.{_shown(name)}", "must be a text, a number, true, false or null")
        elif value is not None:
            found[name] = ("true" if value else "false") if isinstance(value, bool) else _text(str(value))
    return found


def _attributes_by_customer(given: Any, known: Sequence[str], faults: Faults) -> dict[str, dict[str, str]]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        faults.add(ATTRIBUTES, "must be an object: customer → name → value")
        return {}
    return {
        _text(name): _attributes(each, f"{ATTRIBUTES}.{_shown(name)}", known, faults) for name, each in given.items()
    }


# ------------------------------------------------------------------ order lines


def _lines(rows: list[dict[str, Any]], faults: Faults) -> pa.Table:
    """Return lines as texts, a column for each of the contract: the engine casts them exactly as a file's."""
    contract = CONTRACTS[ORDER_LINES]
    known = set(contract.column_names)
    for place, row in enumerate(rows):
        if not row.keys() <= known:
            for name in row:
                if name not in known:
                    faults.add(f"{ORDER_LINES}[{place}].{_shown(name)}", _unknown(name, known))
    columns = {column.name: _column(rows, column, faults) for column in contract.columns}
    return pa.table(columns)


def _column(rows: list[dict[str, Any]], column: Column, faults: Faults) -> pa.Array:
    is_number = column.kind in {Kind.QUANTITY, Kind.MONEY, Kind.INTEGER}
    values: list[str | None] = []
    for place, row in enumerate(rows):
        value = row.get(column.name)
        text: str | None = None
        if isinstance(value, str):
            text = _text(value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and column.kind is not Kind.TIMESTAMP:
            # Written out, for the engine reads no exponent into a decimal as exactly as digits.
            text = format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)
        elif value is not None:
            wanted = (
                "a number"
                if is_number
                else "a moment such as 2026-11-05T14:00:00Z"
                if column.kind is Kind.TIMESTAMP
                else "a text"
            )
            faults.add(f"{ORDER_LINES}[{place}].{column.name}", f"must be {wanted}; got {_value(value)}")
        if column.required and (text is None or not text.strip()) and (value is None or isinstance(value, str)):
            faults.add(f"{ORDER_LINES}[{place}].{column.name}", f"is missing ({column.meaning})")
        values.append(text)
    return pa.array(values, pa.string())


def typed(engine: "duckdb.DuckDBPyConnection", lines: pa.Table) -> pa.Table:
    """Return lines in the types of their contract. Raises InputError that names each value that is of another type."""
    contract = CONTRACTS[ORDER_LINES]
    checked = [column for column in contract.columns if column.kind is not Kind.TEXT]
    engine.register("handed_lines", lines)
    try:
        tests = {column.name: _is_wrong(column) for column in checked}
        counts = engine.execute(
            f"select {', '.join(f'count(*) filter ({test})' for test in tests.values())} from handed_lines"
        ).fetchone()
        faults = Faults()
        for column, count in zip(checked, counts or (), strict=True):
            if count:
                _tell(engine, column, tests[column.name], int(count), faults)
        faults.settle()
        casts = ", ".join(
            f"cast({quote(each.name)} as {each.duckdb_type}) as {quote(each.name)}" for each in contract.columns
        )
        return engine.execute(f"select {casts} from handed_lines").to_arrow_table()
    finally:
        engine.unregister("handed_lines")


def _is_wrong(column: Column) -> str:
    name = quote(column.name)
    cast = f"try_cast({name} as {column.duckdb_type})"
    test = f"{cast} is null"
    if column.minimum is not None:
        test += f" or {cast} < {column.minimum}"
    if column.kind is Kind.TIMESTAMP:
        test += f" or year({cast}) not between 1900 and 2200"
    return f"{name} is not null and ({test})"


def _tell(engine: "duckdb.DuckDBPyConnection", column: Column, test: str, count: int, faults: Faults) -> None:
    rule = "a moment such as 2026-11-05T14:00:00Z" if column.kind is Kind.TIMESTAMP else "a number"
    least = f" of {column.minimum} or more" if column.minimum is not None else ""
    numbered = (
        f"select row_number() over () - 1 as place, {quote(column.name)} as value, {test} as is_wrong from handed_lines"
    )
    shown = engine.execute(
        f"select place, value from ({numbered}) where is_wrong order by place limit {MOST_TOLD}"
    ).fetchall()
    for place, value in shown:
        faults.add(f"{ORDER_LINES}[{place}].{column.name}", f"must be {rule}{least}; got {_value(value)}")
    faults.more += count - len(shown)
