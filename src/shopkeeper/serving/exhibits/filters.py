"""What a person chose to look at: a period, and some countries, stores or categories; from a URL, and back to one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import TYPE_CHECKING

from shopkeeper.errors import UsageError

if TYPE_CHECKING:
    import duckdb

PERIOD = "period"
MEMBERS = {"country": "countries", "store": "stores", "category": "categories"}
"""Parameter of a URL, which is also the dimension of the marts → field of a filter."""
OBEYED = (PERIOD, *MEMBERS)
MONTHS_AT_FIRST = 13
DAYS_BY_DAY, DAYS_BY_WEEK = 45, 200
NAMED = 5
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Choices:
    """What one version offers: its first and last day with a sale or an event (None without any), and its members.

    A dimension whose only member is ``unknown`` is one that the shop does not bring, and has none.
    """

    first_day: date | None = None
    last_day: date | None = None
    countries: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def default_first_day(self) -> date | None:
        """The first day shown at first: of all the data if they span 13 calendar months, else of the last 13."""
        if self.first_day is None or self.last_day is None:
            return None
        month = self.last_day.year * 12 + self.last_day.month - MONTHS_AT_FIRST
        return max(self.first_day, date(month // 12, month % 12 + 1, 1))

    @property
    def locations(self) -> tuple[str, ...]:
        """The dimensions of place that tell members apart, the widest first."""
        return tuple(name for name in ("country", "store") if len(getattr(self, MEMBERS[name])) > 1)


@dataclass(frozen=True)
class Filter:
    """The days from ``first_day`` to ``last_day``, both counted, and the chosen members; no member means all of them."""

    first_day: date
    last_day: date
    countries: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def members(self) -> Mapping[str, tuple[str, ...]]:
        """Dimension → chosen members, of the dimensions in which some are chosen."""
        return {name: getattr(self, field) for name, field in MEMBERS.items() if getattr(self, field)}

    @property
    def n_days(self) -> int:
        """How many days the period has."""
        return (self.last_day - self.first_day).days + 1

    @property
    def grain(self) -> str:
        """What a series over the period is counted by: day, week or month."""
        if self.n_days <= DAYS_BY_DAY:
            return "day"
        return "week" if self.n_days <= DAYS_BY_WEEK else "month"

    def only(self, obeyed: Iterable[str]) -> "Filter":
        """Return the filter without the dimensions that are not obeyed, so that equal questions have equal filters."""
        ignored = {field: () for name, field in MEMBERS.items() if name not in obeyed}
        return Filter(**{item.name: getattr(self, item.name) for item in fields(self)} | ignored)

    def params(self, choices: Choices) -> list[tuple[str, str]]:
        """Return the URL's parameters that give this filter again; what is chosen by itself is left out."""
        found = []
        if (self.first_day, self.last_day) != (choices.default_first_day, choices.last_day):
            found += [(PERIOD, self.first_day.isoformat()), (PERIOD, self.last_day.isoformat())]
        return found + [(name, member) for name, members in self.members.items() for member in members]


def filter_of(params: Mapping[str, Sequence[str]], choices: Choices) -> Filter:
    """Return the filter that a URL's parameters ask for; without any, the default period and all members.

    ``period`` stands twice, with its first and its last day; ``country``, ``store`` and ``category`` once a member.
    A period that reaches beyond the data is cut to them. Raises UsageError for what is no day or no member.
    """
    last = choices.last_day or date.today()  # noqa: DTZ011 - a shop without data: any day does, none is shown
    first = choices.default_first_day or last - timedelta(days=1)
    if asked := list(params.get(PERIOD, ())):
        first, last = _period(asked, choices.first_day or first, last)
    return Filter(first, last, **{field: _members(name, params, choices) for name, field in MEMBERS.items()})


def _period(asked: Sequence[str], earliest: date, latest: date) -> tuple[date, date]:
    try:
        first, last = (date.fromisoformat(each) for each in asked)
    except ValueError as error:
        raise UsageError(
            f"a period must be two days, as period=2011-01-01&period=2011-01-31; got {'&'.join(asked)[:60]!r}. "
            f"Choose it in the sidebar."
        ) from error
    if first > last or last < earliest or first > latest:
        raise UsageError(
            f"a period must begin before it ends, and lie between {earliest} and {latest}; got {first} to {last}. "
            f"Choose it in the sidebar."
        )
    return max(first, earliest), min(last, latest)


def _members(name: str, params: Mapping[str, Sequence[str]], choices: Choices) -> tuple[str, ...]:
    asked = list(dict.fromkeys(params.get(name, ())))
    known = getattr(choices, MEMBERS[name])
    if strange := [each for each in asked if each not in known]:
        told = ", ".join(known[:NAMED]) + (", …" if len(known) > NAMED else "")
        raise UsageError(
            f"a {name} must be one that the published version knows ({told or 'it knows none'}); got {strange[0][:60]!r}. "
            f"Choose it in the sidebar."
        )
    return tuple(each for each in known if each in asked)


def choices_of(connection: "duckdb.DuckDBPyConnection", tables: Mapping[str, int]) -> Choices:
    """Return what a version offers to choose from; ``tables`` are its tables with their rows."""
    days: list[date] = []
    for table in ("metrics.daily_sales", "metrics.daily_traffic"):
        if tables.get(table):
            days += connection.execute(f"select min(day), max(day) from {table}").fetchone() or ()
    if not days:
        return Choices()
    members = connection.execute(
        "select dimension, member from metrics.monthly_sales where list_contains($1, dimension) "
        "group by all order by dimension, sum(net_sales) desc, member",
        [list(MEMBERS)],
    ).fetchall()
    found = {name: tuple(member for dimension, member in members if dimension == name) for name in MEMBERS}
    return Choices(
        min(days),
        max(days),
        **{MEMBERS[name]: each if any(member != UNKNOWN for member in each) else () for name, each in found.items()},
    )
