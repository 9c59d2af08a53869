"""The data behind what is shown: the rows as CSV, and the SQL that gives them anywhere."""

from collections.abc import Sequence

import streamlit as st

from shopkeeper.apps.dashboard.view import View
from shopkeeper.serving.exhibits import Shown


def data_menu(view: View, shown: Shown | Sequence[Shown], key: str) -> None:  # noqa: ARG001 - every part takes the view first
    """Show the menu of an exhibit, or of several: definition, CSV, SQL."""
    each = [shown] if isinstance(shown, Shown) else shown
    with st.popover("Data", type="tertiary", icon=":material/table_view:", help="The rows and the query behind this"):
        for one in each:
            _data(one, f"{key} {one.exhibit.name}")


def _data(shown: Shown, key: str) -> None:
    exhibit = shown.exhibit
    st.markdown(f"**{exhibit.title}**")
    st.caption(exhibit.definition)
    st.download_button(
        f"Download {shown.table.num_rows:,} row{'s' if shown.table.num_rows != 1 else ''} as CSV",
        data=shown.csv,
        file_name=f"{exhibit.name}.csv",
        mime="text/csv",
        icon=":material/download:",
        key=f"csv {key}",
        on_click="ignore",
    )
    if shown.how or shown.sql:
        st.caption(shown.how or "The query, as it ran; it answers the same in `shopkeeper query`.")
    if shown.sql:
        st.code(shown.sql, language="sql", wrap_lines=False, height=220)
