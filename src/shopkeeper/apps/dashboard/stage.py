"""One run of the dashboard: who looks, at which version, by which filter, at which page. Errors become one sentence here."""

import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from shopkeeper.apps.api.callers import NOBODY
from shopkeeper.apps.charts import DARK, LIGHT, Formats, Theme
from shopkeeper.apps.dashboard.gate import SIGN_IN, SIGN_OUT
from shopkeeper.apps.dashboard.pages import pages
from shopkeeper.apps.dashboard.parts import filters, look, states
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.apps.dashboard.visitors import token_in
from shopkeeper.errors import ShopkeeperError
from shopkeeper.serving.exhibits import Visit
from shopkeeper.serving.exhibits.filters import OBEYED

if TYPE_CHECKING:
    from shopkeeper.apps.dashboard.visitors import Visitors
    from shopkeeper.assembly import Shopkeeper

_open: dict[str, tuple["Shopkeeper", "Visitors"]] = {}
"""The one project that this process shows: Streamlit gives a script no other way to be handed something."""
PROJECT = "project"
ICON = Path(__file__).with_name("favicon.svg")


def open_for(parts: "Shopkeeper", visitors: "Visitors") -> None:
    """Show this project from now on."""
    _open[PROJECT] = parts, visitors


def play() -> None:
    """Show the page that the URL asks for."""
    parts, visitors = _open[PROJECT]
    shop = parts.settings.shop
    st.set_page_config(page_title=shop.name, page_icon=str(ICON), layout="wide")
    look.dress()
    caller = visitors.by_token(token_in(st.context.cookies))
    if caller is NOBODY:
        states.signed_out(SIGN_IN)
        return
    try:
        visit = parts.gallery.visit(caller.scopes)
    except ShopkeeperError as error:
        states.failed(str(error))
        return
    if visit is None:
        states.unpublished(shop.name)
        return
    _play(parts, visit)
    if caller.name:
        with st.sidebar:
            look.note(f'Signed in as {caller.name} · <a href="{SIGN_OUT}" target="_self">Sign out</a>')


def scopes_now() -> frozenset[str]:
    """Return what who looks may see at this moment: for what refreshes itself while no page is run anew."""
    return _open[PROJECT][1].by_token(token_in(st.context.cookies)).scopes


def _play(parts: "Shopkeeper", visit: Visit) -> None:
    shop = parts.settings.shop
    there = [page for page in pages() if page.is_there(visit) or (page.without and page.may_be_opened(visit))]
    if not there:
        states.nothing_to_see()
        return
    known: dict[str, tuple[Page, st.Page]] = {}
    sections: dict[str, list[st.Page]] = {}
    ready: list[View] = []
    for place, page in enumerate(there):
        each = st.Page(
            _runs(page, ready),
            title=page.title,
            icon=f":material/{page.icon}:" if page.icon else None,
            url_path=page.path,
            default=place == 0,
            visibility="visible" if page.is_listed and page.is_there(visit) else "hidden",
        )
        known[page.path] = page, each
        sections.setdefault(page.section, []).append(each)
    current = st.navigation(sections, expanded=True)
    page = next((page for page, each in known.values() if each.url_path == current.url_path), there[0])
    # Drawn here and not by the page, the filters are one and the same widgets on all pages.
    formats = Formats(shop.currency, shop.timezone)
    chosen, told = filters.chosen(
        visit.choices, visit.edition.tag, page.path, page.obeys, is_european=formats.is_european
    )
    own = {name: st.query_params[name] for name in st.query_params if name not in OBEYED}
    view = View(visit, chosen, formats, _theme(), own, parts)
    ready.append(view)
    st.session_state["pages"] = {path: each for path, (_, each) in known.items()}
    with st.sidebar:
        look.version(view, shop.name)
    if told:
        states.notice(told)
    current.run()


def _runs(page: Page, ready: list[View]) -> Callable[[], None]:
    def run() -> None:
        _shown(page, ready[0])

    run.__name__ = page.path
    return run


def _theme() -> Theme:
    return DARK if st.context.theme.type == "dark" else LIGHT


def _shown(page: Page, view: View) -> None:
    if not page.is_there(view.visit):
        st.title(page.title, anchor=False)
        states.empty("The shop does not bring this yet", page.without)
        return
    try:
        page.show(view)
    except ShopkeeperError as error:
        states.failed(str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, a person gets one sentence and no traceback
        states.failed(_unforeseen(error))


def _unforeseen(error: Exception) -> str:
    """Write what nobody foresaw to a file of the user's own, as the command line does, and return the sentence that says so."""
    kind = type(error).__name__
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="shopkeeper-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return f"this must not happen: an unforeseen {kind}. Free some space and look again."
    return f"this must not happen: an unforeseen {kind}. Details are in {file.name} on the server: please report them."
