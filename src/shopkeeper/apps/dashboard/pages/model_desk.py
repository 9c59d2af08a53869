"""Where versions of a model are looked at, promoted and taken back, and where drift is looked for. Part of the page Models."""

from typing import TYPE_CHECKING

import streamlit as st

from shopkeeper.apps.charts import figures
from shopkeeper.apps.charts.figures import Series
from shopkeeper.apps.dashboard.parts import chart, empty, note, table
from shopkeeper.apps.dashboard.parts.states import failed
from shopkeeper.apps.dashboard.view import View
from shopkeeper.apps.dashboard.workbench import Look, Workbench, workbench
from shopkeeper.errors import ShopkeeperError
from shopkeeper.progress import Tell
from shopkeeper.serving.exhibits import models

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from shopkeeper.training import ModelVersion

DONE = "model done"
ASKED = "model asked"
ACTIONS = {"none": "looks as it did", "warn": "warns", "retrain": "asks for a new training", "stop": "asks to stop"}


def show_versions(view: View, subject: str, primary: str) -> None:
    """Show a model's versions, and for who may administer, how to change which one serves."""
    bench = workbench(view.parts)
    if not bench.is_registered():
        empty(
            "There is no registry here",
            "This project holds published versions only. It stands where models are trained.",
        )
        return
    try:
        with st.spinner("Opening the registry …"):
            found = bench.versions(subject)
    except ShopkeeperError as error:
        failed(str(error))
        return
    if told := st.session_state.pop(DONE, None):
        st.success(told)
    table(view, models.history(found, primary, view.visit.edition.number), key=f"versions {subject}", height="content")
    if len(found) == 1:
        note("There is one version so far. A challenger comes with the next training: <code>shopkeeper train</code>.")
    if view.is_admin:
        _desk(bench, subject, found)
    else:
        _how(subject)


def _how(subject: str) -> None:
    st.subheader("Promote or roll back", anchor=False)
    note(
        "Changing which model serves wants a key with the scope <b>admin</b>; without keys nobody administers over the network, "
        "not even from this machine. Sign in with such a key, or use the command line:"
    )
    st.code(
        f"shopkeeper keys add NAME --scope aggregates --scope customers --scope admin\n"
        f"shopkeeper models promote {subject}/N\n"
        f"shopkeeper models rollback {subject}",
        language="sh",
    )


def _desk(bench: Workbench, subject: str, found: "list[ModelVersion]") -> None:
    champion = next((each for each in found if each.state == "champion"), None)
    others = [each for each in found if each is not champion]
    st.subheader("Promote or roll back", anchor=False)
    if not others:
        note("There is no other version to promote or to go back to.")
        return
    asked = st.session_state.get(ASKED)
    if asked and asked[1] == subject:
        _confirm(bench, subject, asked, found)
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key=f"desk-{subject}"):
        chosen = st.selectbox(
            "Version",
            others,
            format_func=lambda each: f"{each.name} · {each.tags.get('candidate', '')}",
            key=f"chosen {subject}",
            width=280,
        )
        if st.button("Promote …", key=f"promote {subject}"):
            st.session_state[ASKED] = "promote", subject, chosen.name
            st.rerun()
        if champion and st.button(f"Roll back from {champion.name} …", key=f"rollback {subject}"):
            st.session_state[ASKED] = "rollback", subject, champion.name
            st.rerun()


def _confirm(bench: Workbench, subject: str, asked: tuple[str, str, str], found: "list[ModelVersion]") -> None:
    """Ask again before what serves is changed. Every step is a run of the page, where the key was looked at anew."""
    kind, _, name = asked
    version = next((each for each in found if each.name == name), None)
    if version is None:
        del st.session_state[ASKED]
        st.rerun()
    is_refused = kind == "promote" and version.tags.get("decision") == "refuse" and not version.is_baseline
    with st.container(border=True, key="confirm"):
        if kind == "promote":
            st.markdown(f"**Promote {name}?** It becomes the champion; the one before is kept and can be gone back to.")
        else:
            st.markdown(f"**Roll back {subject}?** The champion before {name} serves again; {name} is kept.")
        force = False
        if is_refused:
            st.warning(f"The gate refused it: {version.tags.get('reason', '')}")
            force = st.checkbox("Promote it all the same", key="force")
        takes_up = st.checkbox(
            "Score with it and publish a new version at once",
            value=True,
            key="takes up",
            help="Else its predictions come with the next `shopkeeper score` and `shopkeeper publish`.",
        )
        with st.container(horizontal=True):
            is_sure = st.button(
                f"Yes, promote {name}" if kind == "promote" else "Yes, roll back",
                type="primary",
                disabled=is_refused and not force,
                key="sure",
            )
            if st.button("Cancel", key="cancel"):
                del st.session_state[ASKED]
                st.rerun()
        if is_sure:
            _change(bench, kind, subject, name, force=force, takes_up=takes_up)


def _change(bench: Workbench, kind: str, subject: str, name: str, *, force: bool, takes_up: bool) -> None:
    del st.session_state[ASKED]
    with st.status("Changing the champion …", expanded=True) as status:
        now = bench.promote(name, force=force) if kind == "promote" else bench.rollback(subject)
        told = f"{now.name} is champion."
        if takes_up:
            number = bench.take_up(telling(status.update))
            told += f" Version {number} is published with its predictions."
        else:
            told += " Its predictions come with `shopkeeper score` and `shopkeeper publish`."
        status.update(label=told, state="complete")
    st.session_state[DONE] = told
    st.rerun()


def telling(update: object) -> Tell:
    """Return what shows a step's progress in a status box."""

    def tell(step: str, what: str, done: int, total: int | None) -> None:
        update(label=f"{step}: {what}{f' ({done} of {total})' if total else ''}")  # type: ignore[operator] # StatusContainer.update

    return tell


# ------------------------------------------------------------------------ drift


def show_drift(view: View, subject: str) -> None:
    """Show what the last look for drift said, or offer one."""
    bench, tag = workbench(view.parts), view.visit.edition.tag
    look = bench.last_look(tag, subject)
    if look is None or (view.is_admin and st.button("Look again", key=f"again {subject}")):
        if look is None:
            note(
                "Drift is a look at whether the data that the model is asked about today still are like those it learnt from. "
                "It takes some seconds, changes nothing, and is kept until the next version."
            )
            if not st.button("Look for drift now", type="primary", key=f"look {subject}"):
                return
        with st.status("Looking for drift …") as status:
            try:
                look = bench.look(tag, subject, telling(status.update))
            except ShopkeeperError as error:
                status.update(label="This could not be looked at", state="error")
                failed(str(error))
                return
        st.rerun()
    _drifted(view, bench, subject, look)


def _drifted(view: View, bench: Workbench, subject: str, look: Look) -> None:
    number = view.visit.edition.number
    for each in look.found:
        (st.success if each.action == "none" else st.warning)(each.message)
    note(
        f"Looked at {view.formats.moment(look.at)}. The policy is set as <code>drift.policy</code> in shopkeeper.toml."
    )
    first = next((each for each in look.found if each.report is not None), None)
    if first is None or (report := first.report) is None:
        return
    if report.volume:
        counts = view.formats.count(report.volume.before), view.formats.count(report.volume.now)
        note(f"Rows to score: {counts[0]} at the training, {counts[1]} now.")
    for decay in report.decays:
        name = models.metric_words(decay.metric)[0]
        tell = view.formats.number
        note(
            f"{name} on outcomes that arrived since: {tell(decay.found.value)} ({tell(decay.found.low)} to "
            f"{tell(decay.found.high)}); {tell(decay.reported.value)} at the training."
        )
    shown = models.drifted(first, subject, number)
    table(view, shown, key=f"drift {subject}")
    column = st.selectbox("Column", shown.column("column"), key=f"drift column {subject}", width=320)
    bins = models.drift_bins(first, column, subject, number)

    def figure() -> "Figure":
        series = [
            Series("training", bins.column("before"), "share", colour=view.theme.muted),
            Series("today", bins.column("now"), "share", colour=view.theme.main),
        ]
        return figures.bars(view.theme, view.formats, bins.column("bin"), series)

    chart(view, bins, figure, title=f"{column}: share of rows, then and now", key=f"bins {subject}")
    st.download_button(
        "Download the report as a page",
        data=lambda: bench.drift_page(look),
        file_name=f"drift-{subject}.html",
        mime="text/html",
        icon=":material/download:",
        on_click="ignore",
        key=f"page {subject}",
    )
