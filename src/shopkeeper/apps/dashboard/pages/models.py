"""Models: which model answers each question, how much better than a plain rule it is, and what becomes of it."""

from typing import TYPE_CHECKING

import streamlit as st

from shopkeeper import vocabulary as v
from shopkeeper.apps.charts import verdicts
from shopkeeper.apps.dashboard.pages.model_curves import show_curves
from shopkeeper.apps.dashboard.pages.model_desk import show_drift, show_versions
from shopkeeper.apps.dashboard.parts import Card, cards, chart, empty, header, note, section, table
from shopkeeper.apps.dashboard.parts.states import failed
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving.champions import Champion, champions
from shopkeeper.serving.exhibits import models

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MODEL, PART = "model", "part"
PARTS = ("How good", "Model card", "Drift", "Versions")
LISTED = (
    "subject",
    "verdict",
    "candidate",
    "baseline",
    "metric",
    "value",
    "baseline_value",
    "gain",
    "gain_low",
    "gain_high",
    "about",
)


def show(view: View) -> None:
    """Show the page."""
    found, unread = champions(view.visit.edition)
    header(
        view,
        "Models",
        "Models are judged once on data that they had not seen, against a plain rule, and promoted only if they are better by "
        "more than chance.",
        told=_headline(view, list(found.values())),
    )
    for subject, told in unread.items():
        failed(f"{subject}: {told}")
    if not found:
        empty("No model serves with this version", "Train the models, score with them, and publish.", "shopkeeper run")
        return
    shown = models.answering(found.values(), view.visit.edition.number)
    table(view, shown, columns=LISTED, height="content")
    chosen = st.segmented_control(
        "Model",
        list(found),
        default=next(iter(found)),
        key=MODEL,
        bind="query-params",
        required=True,
        label_visibility="collapsed",
    )
    _model(view, found.get(chosen or "") or next(iter(found.values())))


def _headline(view: View, found: list[Champion]) -> str:
    ahead = sum(map(models.beats, found))
    if not found:
        return f"Version {view.visit.edition.number}"
    whole = "Each of the" if ahead == len(found) else f"{ahead} of the"
    return f"{whole} {len(found)} models that serve beats its baseline by more than chance, on data it had not seen."


def _model(view: View, champion: Champion) -> None:
    subject, report = champion.subject, champion.report
    section(champion.about, _verdict(view, champion))
    tabs = st.tabs(PARTS, key=PART, bind="query-params")
    for name, tab in zip(PARTS, tabs, strict=True):
        if not tab.open:
            continue
        with tab:
            if name == PARTS[0]:
                _judged(view, champion)
            elif name == PARTS[1]:
                _card(champion)
            elif name == PARTS[2]:
                show_drift(view, subject)
            else:
                show_versions(view, subject, report.primary)


def _verdict(view: View, champion: Champion) -> str:
    report, tell = champion.report, view.formats.number
    metric = models.metric_words(report.primary)[0]
    gain = report.against_baseline.gain
    if champion.version.is_baseline:
        return f"No model beat the baseline {report.baseline} by more than chance, so the baseline serves."
    return (
        f"{report.chosen} beats the baseline {report.baseline}: {metric} better by {tell(gain.value)}, and by at least "
        f"{tell(gain.low)} whatever chance did."
        if models.beats(champion)
        else f"{report.chosen} serves by hand: it does not beat the baseline {report.baseline} by more than chance."
    )


def _judged(view: View, champion: Champion) -> None:
    report, number, name = champion.report, view.visit.edition.number, champion.version.name
    row = models.answering([champion], number)
    metric, says = models.metric_words(report.primary)
    gain, days = report.against_baseline.gain, [view.formats.date(day) for day in report.held_out]
    cards(
        view,
        [
            Card(row, "value", label=metric, definition=says),
            Card(row, "baseline_value", label=f"Baseline: {report.baseline}", definition=says),
            Card(row, "gain", note=f"{view.formats.number(gain.low)} to {view.formats.number(gain.high)}"),
            Card(row, "n_rows", note=f"{days[0]} to {days[1]}"),
            Card(row, "data_before"),
        ],
        key=f"model-{champion.subject}",
    )
    judged = models.contenders(report, number, name)
    known = models.metrics_of(report)
    chosen = st.selectbox(
        "Judged by",
        known,
        format_func=lambda each: models.metric_words(each)[0] + (" (decides)" if each == report.primary else ""),
        key=f"metric {champion.subject}",
        width=320,
    )
    rows = [each for each in judged.rows if each["metric"] == chosen]
    words = models.metric_words(chosen)

    def figure() -> "Figure":
        columns = ([each[column] for each in rows] for column in ("candidate", "value", "low", "high", "role"))
        against = next((each["value"] for each in rows if each["candidate"] == report.baseline), None)
        return verdicts.contenders(view.theme, view.formats, *columns, against=against)

    chart(
        view,
        judged,
        figure,
        title=f"{words[0]} of each contender, with its 95 % interval",
        definition=f"{words[1]} {judged.exhibit.definition}",
        key=f"contenders {champion.subject}",
        below="Hollow: the baseline. Grey: candidates that were not chosen. Chosen before anybody looked at these rows.",
    )
    if report.against_champion:
        gain, against = report.against_champion.gain, report.against_champion.against
        tell = view.formats.number
        note(
            f"Against the champion before, {against}: {models.metric_words(report.against_champion.metric)[0]} better by "
            f"{tell(gain.value)} ({tell(gain.low)} to {tell(gain.high)})."
        )
    show_curves(view, champion.subject, models.curves(report, number, name))


def _card(champion: Champion) -> None:
    with st.container(border=True, key=f"card-{champion.subject}"):
        # The title stands above already; headings within the page's order.
        body = champion.card.split("\n", 1)[1] if champion.card.startswith("# ") else champion.card
        st.markdown(body.replace("\n## ", "\n#### "), anchors=False)
    st.download_button(
        "Download the card",
        data=champion.card.encode(),
        file_name=f"{champion.version.name.replace('/', '-')}.md",
        mime="text/markdown",
        icon=":material/download:",
        on_click="ignore",
        key=f"card {champion.subject}",
    )


PAGE = Page(
    "models",
    "Models",
    show,
    icon="model_training",
    section="Running",
    place=2,
    scopes=(v.AGGREGATES, v.CUSTOMERS, v.ADMIN),
)
