"""Exhibits whose rows no query of a version gives: of model reports, the registry, the lake, the log."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from shopkeeper.serving.exhibits.exhibit import Exhibit, Shown

if TYPE_CHECKING:
    import pyarrow as pa

_WHOLE = {"count", "hour", "weekday"}
_FRACTIONS = {"number", "share", "change", "days", "seconds", "money", "price"}
_DAYS = {"date", "month", "period"}


def told(
    exhibit: Exhibit, rows: Iterable[Mapping[str, Any]], *, version: int, command: str, sees_customers: bool = True
) -> Shown:
    """Return rows as an exhibit shows them; ``command``: what tells the same on the command line.

    Days and moments may be ISO texts. Who does not see customers gets neither ``personal`` nor ``customer`` columns.
    """
    import pyarrow as pa

    each = list(rows)
    hidden = frozenset[str]() if sees_customers else frozenset({"personal", "customer"})
    columns = {
        name: pa.array([_value(row.get(name), unit) for row in each], _type(unit))
        for name, unit in exhibit.units.items()
        if unit not in hidden
    }
    return Shown(exhibit, pa.table(columns), "", version, how=f"On the command line: `{command}`.")


def _type(unit: str) -> "pa.DataType":
    import pyarrow as pa

    if unit in _WHOLE:
        return pa.int64()
    if unit in _FRACTIONS:
        return pa.float64()
    if unit in _DAYS:
        return pa.date32()
    if unit == "moment":
        return pa.timestamp("us", "UTC")
    if unit == "texts":
        return pa.list_(pa.string())
    return pa.bool_() if unit == "flag" else pa.string()


def _value(value: Any, unit: str) -> Any:
    if value is None:
        return None
    if unit in _WHOLE:
        return int(value)
    if unit in _FRACTIONS:
        return float(value)
    if unit in _DAYS:
        return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])
    if unit == "moment":
        found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return value if unit in {"flag", "texts"} else str(value)
