"""The relations that exhibits read, each as the rows that fit a filter: from the smallest table that can say it.

``lines``, ``orders`` and ``days`` hold the period; ``all_orders`` and ``all_days`` every day, for what looks back beyond it.
``countries``, ``states``, ``stores``, ``categories`` and ``products`` are days by member. Rows of days are to be added up: there
may be several of one day. Marts add up over days and over members of their own dimension; what they cannot say exactly comes
from the lines themselves.

``customer_fits``, ``product_fits`` and ``store_fits`` are conditions on ``customer_id``, ``product_id`` and ``store_id``: who
ever bought, and what was ever sold, in the chosen countries, stores and categories; always true where none is chosen.
"""

from collections.abc import Mapping

from shopkeeper.engine import literal
from shopkeeper.serving.exhibits.filters import UNKNOWN, Filter

COLUMNS = {"country": "country", "store": "store_id", "category": "category"}
DIMENSIONS = {
    "countries": "country",
    "states": "state",
    "stores": "store",
    "categories": "category",
    "products": "product",
}
EXPRESSIONS = {"state": "state", "product": "product_id", **COLUMNS}
MONEY = """
        cast(coalesce(sum(gross_amount) filter (line_kind = 'sale'), 0) as decimal(38, 4)) as gross_sales,
        cast(coalesce(sum(case when line_kind = 'discount' then net_amount
            when line_kind in ('sale', 'cancellation', 'return') then -discount_amount end), 0) as decimal(38, 4)) as discounts,
        cast(coalesce(sum(gross_amount) filter (line_kind in ('cancellation', 'return')), 0) as decimal(38, 4)) as returns,
        cast(coalesce(sum(net_amount) filter (line_kind in ('sale', 'discount', 'cancellation', 'return')), 0)
            as decimal(38, 4)) as net_sales,
        cast(coalesce(sum(quantity) filter (line_kind in ('sale', 'cancellation', 'return')), 0)
            as decimal(38, 3)) as n_units"""
EVERY_STORE = "all"
"""What stands for the store where stock and advice are of the whole shop."""
PART = """
        case when line_kind = 'sale' then gross_amount else 0 end as gross_sales,
        case when line_kind = 'discount' then net_amount
            when line_kind in ('sale', 'cancellation', 'return') then -discount_amount else 0 end as discounts,
        case when line_kind in ('cancellation', 'return') then gross_amount else 0 end as returns,
        case when line_kind in ('sale', 'discount', 'cancellation', 'return') then net_amount else 0 end as net_sales,
        case when line_kind in ('sale', 'cancellation', 'return') then quantity else 0 end as n_units"""
ADDED = "gross_sales, discounts, returns, net_sales, n_units"


def relations(
    chosen: Filter, *, has_state: bool, excludes_duplicates: bool, has_whole_orders: bool = False
) -> Mapping[str, str]:
    """Return name → the relation as SQL that can stand after ``from``; of a condition, as it can stand after ``where``.

    ``has_whole_orders``: each order lies in one country and one store, so that it is chosen whole or not at all.
    """
    found = {}
    for prefix, is_bounded in (("", True), ("all_", False)):
        lines = _lines(chosen, is_bounded=is_bounded, excludes_duplicates=excludes_duplicates)
        found[f"{prefix}lines"] = lines
        is_whole = has_whole_orders and "category" not in chosen.members
        found[f"{prefix}orders"] = _orders(chosen, lines, is_bounded=is_bounded, is_whole=is_whole)
        found[f"{prefix}days"] = _days(chosen, lines, is_bounded=is_bounded)
    for name, dimension in DIMENSIONS.items():
        found[name] = _by_member(chosen, dimension, found["lines"], has_state=has_state)
    for name in ("customer", "product"):
        any_of = f"{name}_id in (select {name}_id from {found['all_lines']})"
        found[f"{name}_fits"] = any_of if chosen.members else "true"
    found["store_fits"] = _one_of("store_id", (*chosen.stores, EVERY_STORE)) if chosen.stores else "true"
    return found


def _between(column: str, chosen: Filter) -> str:
    return f"{column} between date '{chosen.first_day}' and date '{chosen.last_day}'"


def _one_of(expression: str, members: tuple[str, ...]) -> str:
    return f"{expression} in ({', '.join(map(literal, members))})"


def _where(conditions: list[str]) -> str:
    return f" where {' and '.join(conditions)}" if conditions else ""


def _lines(chosen: Filter, *, is_bounded: bool, excludes_duplicates: bool) -> str:
    conditions = [_between("ordered_on", chosen)] if is_bounded else []
    conditions += ["not is_duplicate"] if excludes_duplicates else []
    return f"(select * from core.order_lines{_where([*conditions, *_members(chosen)])})"


def _members(chosen: Filter) -> list[str]:
    return [_one_of(f"coalesce({COLUMNS[name]}, '{UNKNOWN}')", members) for name, members in chosen.members.items()]


def _orders(chosen: Filter, lines: str, *, is_bounded: bool, is_whole: bool) -> str:
    if not chosen.members or is_whole:
        conditions = [_between("ordered_on", chosen)] if is_bounded else []
        return f"(select * from core.orders{_where([*conditions, *_members(chosen)])})"
    return f"""(
    select order_id, min(customer_id) as customer_id, count(customer_id) > 0 as has_customer, min(ordered_at) as ordered_at,
        min(ordered_on) as ordered_on, count(*) as n_lines, bool_or(line_kind = 'sale') as has_sale,
        bool_or(line_kind in ('cancellation', 'return')) as has_return,{MONEY}
    from {lines}
    group by order_id
)"""


def _days(chosen: Filter, lines: str, *, is_bounded: bool) -> str:
    if len(chosen.members) > 1:
        return f"(select ordered_on as day,{PART} from {lines})"
    conditions = [_between("day", chosen)] if is_bounded else []
    if not chosen.members:
        where = _where(["dimension = 'all'", *conditions])
        return f"(select day, {ADDED} from metrics.daily_sales{where})"
    ((dimension, members),) = chosen.members.items()
    sums = ", ".join(f"sum({column}) as {column}" for column in ADDED.split(", "))
    where = _where([f"dimension = '{dimension}'", _one_of("member", members), *conditions])
    return f"(select day, {sums} from metrics.daily_sales{where} group by day)"


def _by_member(chosen: Filter, dimension: str, lines: str, *, has_state: bool) -> str:
    if set(chosen.members) <= {dimension}:
        conditions = [f"dimension = '{dimension}'", _between("day", chosen)]
        conditions += [_one_of("member", members) for members in chosen.members.values()]
        return f"(select day, member, {ADDED} from metrics.daily_sales{_where(conditions)})"
    joined = f"{lines} as lines"
    if dimension == "state" and has_state:
        joined += " left join core.stores using (store_id)"
        expression = "core.stores.state"
    else:
        expression = f"lines.{EXPRESSIONS[dimension]}" if dimension != "state" else "cast(null as varchar)"
    return f"(select ordered_on as day, coalesce({expression}, '{UNKNOWN}') as member,{PART} from {joined})"
