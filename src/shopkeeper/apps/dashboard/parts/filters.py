"""The filters of the sidebar: they live in the URL, stay when the page changes, and are grey where a page does not heed them.

The address and the widgets tell the same. Where they differ, the one that moved since the last run counts: a link or the
browser's way back moves the address, a hand moves the widgets. Going to another page empties the address; that is no wish.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import streamlit as st

from shopkeeper.errors import UsageError
from shopkeeper.serving.exhibits import Choices, Filter, filter_of
from shopkeeper.serving.exhibits.filters import MEMBERS, OBEYED, PERIOD

SEEN = "seen"
PLURALS = {"country": "countries", "store": "stores", "category": "categories"}
LONG_AGO = date(1970, 1, 1)


@dataclass(frozen=True)
class Seen:
    """What the last run saw: the address's filter, the page, the version, and what that showed at first."""

    asked: dict[str, list[str]]
    path: str
    tag: str
    whole: tuple[date, date]


def chosen(
    choices: Choices, tag: str, path: str, obeyed: Collection[str], *, is_european: bool = True
) -> tuple[Filter, str]:
    """Show the filters that the shop's data allow; return what is chosen, and a sentence about what is asked in vain.

    Of what a page does not heed, all is chosen. ``tag``: which version the choices are of; ``path``: which page this is;
    ``is_european``: the day stands before the month.
    """
    whole = choices.default_first_day, choices.last_day
    if whole[0] is None or whole[1] is None:
        return Filter(LONG_AGO, LONG_AGO), ""
    asked = {name: st.query_params.get_all(name) for name in OBEYED if name in st.query_params}
    told = _follow(asked, choices, tag, path, (whole[0], whole[1]))
    with st.sidebar:
        st.html('<div class="shop-filters">Filter</div>')
        first, last = _period(
            choices, (whole[0], whole[1]), PERIOD in obeyed, "DD/MM/YYYY" if is_european else "MM/DD/YYYY"
        )
        countries, stores, categories = (
            _members(name, getattr(choices, field), is_heeded=name in obeyed) for name, field in MEMBERS.items()
        )
    picked = Filter(first, last, countries, stores, categories)
    now: dict[str, list[str]] = {}
    for name, value in picked.params(choices):
        now.setdefault(name, []).append(value)
    for name in OBEYED:
        if name in now and now[name] != asked.get(name):
            st.query_params[name] = now[name]
        elif name in st.query_params and name not in now:
            del st.query_params[name]
    st.session_state[SEEN] = Seen(now, path, tag, (whole[0], whole[1]))
    heeded = picked.only(obeyed)
    return heeded if PERIOD in obeyed else _over(heeded, whole[0], whole[1]), told


def _over(heeded: Filter, first: date, last: date) -> Filter:
    return Filter(first, last, heeded.countries, heeded.stores, heeded.categories)


def _follow(asked: dict[str, list[str]], choices: Choices, tag: str, path: str, whole: tuple[date, date]) -> str:
    """Bring the widgets to what the address asks, if it moved; return a sentence about what is asked in vain."""
    before: Seen | None = st.session_state.get(SEEN)
    if before and before.tag != tag:
        _renew(before, choices, whole)
    if before and asked == before.asked and path == before.path:
        return ""
    if before and not asked and path != before.path:
        # On the way to another page, Streamlit may lose what the widgets held.
        asked = before.asked
    told = ""
    try:
        wanted = filter_of(asked, choices)
    except UsageError as error:
        wanted, told = filter_of({}, choices), str(error)
    st.session_state[_key(PERIOD)] = (wanted.first_day, wanted.last_day)
    for name, field in MEMBERS.items():
        st.session_state[_key(name)] = list(getattr(wanted, field))
    return told


def _renew(before: Seen, choices: Choices, whole: tuple[date, date]) -> None:
    """Bring the widgets to another version: a period that nobody touched grows with the data, what is gone is let go."""
    period = st.session_state.get(_key(PERIOD))
    if period == before.whole or not isinstance(period, tuple) or len(period) != 2:
        period = whole
    earliest, latest = choices.first_day or whole[0], choices.last_day or whole[1]
    first, last = max(period[0], earliest), min(period[1], latest)
    st.session_state[_key(PERIOD)] = (first, last) if first <= last else whole
    for name, field in MEMBERS.items():
        known = getattr(choices, field)
        st.session_state[_key(name)] = [each for each in st.session_state.get(_key(name), []) if each in known]


def _key(name: str) -> str:
    return f"filter {name}"


def _period(choices: Choices, whole: tuple[date, date], is_heeded: bool, written: str) -> tuple[date, date]:
    picked = st.date_input(
        "Period",
        min_value=choices.first_day,
        max_value=choices.last_day,
        key=_key(PERIOD),
        format=written,
        disabled=not is_heeded,
        help=None if is_heeded else "This page does not depend on the period.",
    )
    # Between the two clicks of a new period there is one day only: all is shown until the second.
    return (picked[0], picked[1]) if isinstance(picked, tuple) and len(picked) == 2 else whole


def _members(name: str, known: tuple[str, ...], *, is_heeded: bool) -> tuple[str, ...]:
    if len(known) < 2:
        return ()
    picked = st.multiselect(
        name.capitalize(),
        known,
        key=_key(name),
        placeholder=f"All {len(known)} {PLURALS[name]}",
        disabled=not is_heeded,
        help=None if is_heeded else f"This page does not depend on the {name}.",
    )
    return tuple(each for each in known if each in picked)
