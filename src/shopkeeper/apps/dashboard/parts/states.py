"""How it looks when there is nothing to show, and when something failed: one sentence, and what to do next."""

from html import escape

import streamlit as st


def _state(kind: str, icon: str, title: str, told: str, command: str = "") -> None:
    st.html(
        f'<div class="shop-state shop-{kind}" role="{"alert" if kind == "error" else "status"}">'
        f'<span class="shop-icon" translate="no" aria-hidden="true">{icon}</span><div><b>{escape(title)}</b>'
        f"<p>{escape(told)}</p></div></div>"
    )
    if command:
        st.code(command, language="sh", width="stretch")


def empty(title: str, told: str, command: str = "") -> None:
    """Show that there is nothing, why, and which command brings it."""
    _state("empty", "∅", title, told, command)


def failed(told: str) -> None:
    """Show an error: its sentence says what must be, what was got, and what to do."""
    _state("error", "!", "This could not be shown", f"{told[:1].upper()}{told[1:]}")


def notice(told: str) -> None:
    """Show a sentence about what the address asks for and does not get."""
    _state("error", "!", "The address asks for something else than is there", f"{told[:1].upper()}{told[1:]}")


def unpublished(shop: str) -> None:
    """Show that no version is published yet."""
    st.title(shop, anchor=False)
    empty(
        "Nothing is published yet",
        "The dashboard shows published versions. This command makes the first, and this page finds it when it is loaded again.",
        "shopkeeper run",
    )


def nothing_to_see() -> None:
    """Show that a key opens no page."""
    empty(
        "There is no page for this key",
        "A page needs the scope aggregates, customers or admin. Sign in with a key that has one.",
        "shopkeeper keys add NAME --scope aggregates --scope customers",
    )


def signed_out(path: str) -> None:
    """Show that the key no longer holds."""
    empty("You are signed out", "The key was revoked or has expired, or the dashboard was started anew.")
    st.html(f'<p><a href="{path}" target="_self">Sign in</a></p>')
