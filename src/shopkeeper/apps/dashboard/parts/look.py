"""What all pages share: their dress, their header, and the line that says which version is looked at."""

from datetime import UTC, datetime
from functools import cache
from html import escape
from pathlib import Path

import streamlit as st

from shopkeeper.apps.dashboard.view import View

STYLE = Path(__file__).parents[1] / "style.css"


@cache
def _style() -> str:
    return f"<style>{STYLE.read_text('utf-8')}</style>"


def dress() -> None:
    """Put the style on the page."""
    st.html(_style())


def header(view: View, title: str, definition: str = "", *, told: str = "") -> None:
    """Show a page's title with what it is about, and the period under it unless something else is ``told``."""
    st.title(title, anchor=False, help=definition or None)
    chosen = view.filter
    line = told or f"{view.formats.date(chosen.first_day)} to {view.formats.date(chosen.last_day)}"
    members = [each for names in chosen.members.values() for each in names]
    if members and not told:
        line += " · " + ", ".join(members[:4]) + (f" and {len(members) - 4} more" if len(members) > 4 else "")
    note(escape(line))


def heading(text: str, definition: str = "", *, name: str = "") -> None:
    """Show a heading within a page; its definition appears on hover. ``name`` is its place in the URL."""
    st.subheader(text, anchor=name or False, help=definition or None)


def section(text: str, told: str = "") -> None:
    """Show the heading of a part of a page, and a sentence below it."""
    st.header(text, anchor=False)
    if told:
        note(escape(told))


def note(html: str) -> None:
    """Show a quiet line. What comes from data must be escaped by who hands it."""
    st.html(f'<p class="shop-note">{html}</p>')


def version(view: View, shop: str) -> None:
    """Show, at the foot of the sidebar, which shop and version is looked at and how fresh it is."""
    told = view.visit.edition.version
    made = datetime.fromisoformat(told.published_at)
    lines = [f"<b>{escape(shop)}</b>"]
    if view.last_day:
        lines.append(f"Data to {view.formats.date(view.last_day)}")
    lines.append(
        f'<span title="{view.formats.moment(made)}">Version {told.number}, published '
        f"{view.formats.age(made, datetime.now(UTC))}</span>"
    )
    st.html(f'<div class="shop-version">{"<br>".join(lines)}</div>')
