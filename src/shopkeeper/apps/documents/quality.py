"""How far the report can be believed: how models did against their baselines, and what is known to be odd in the data."""

from html import escape

from shopkeeper.apps.charts.formats import NOTHING
from shopkeeper.apps.documents import sheet
from shopkeeper.apps.documents.material import Material

METRICS = {
    "wrmsse": "weighted scaled error",
    "mean_tweedie_deviance": "Tweedie deviance",
    "mean_poisson_deviance": "Poisson deviance",
    "hit_at_10": "hit rate, 10 offers",
    "ndcg_at_20": "ranking quality, 20 offers",
    "log_loss": "log loss",
    "roc_auc": "area under the ROC curve",
}

QUESTIONS = {
    "segments": "Who are the customers?",
    "lifetime": "What will they still bring?",
    "churn": "Who will stay away?",
    "labels": "Who gets the label?",
    "baskets": "What is bought together?",
    "recommendations": "What to offer to whom?",
    "demand": "What will sell?",
    "prices": "What does a price do?",
}


def models(told: Material) -> list[str]:
    """Return a line for each model: its figure, the baseline's, and by how much it is better."""
    if not told.judged and not told.unread:
        return []
    rows = [
        (
            QUESTIONS.get(each.subject, each.subject),
            each.chosen.replace("_", " "),
            each.baseline.replace("_", " "),
            METRICS.get(each.metric, each.metric.replace("_", " ")),
            NOTHING if each.figure is None else f"{each.figure.value:.3g}",
            NOTHING if each.baseline_figure is None else f"{each.baseline_figure.value:.3g}",
            f"{each.gain.value:+.3g} ({each.gain.low:.3g} to {each.gain.high:.3g})",
            '<span class="good">better</span>' if each.is_better else '<span class="bad">not surely better</span>',
        )
        for each in told.judged
    ]
    heads = ("question", "model", "baseline", "measured by", "model's", "baseline's", "better by (95 %)", "")
    notes = [f'<p class="bad">{escape(name)}: {escape(why)}</p>' for name, why in told.unread.items()]
    return [
        '<p class="soft">Each was judged on days it had not seen, against the plain rule that it had to beat.</p>',
        sheet.table(heads, rows, numbers=("model's", "baseline's", "better by (95 %)"), raw=("",)),
        *notes,
    ]


def data(told: Material) -> list[str]:
    """Return whether the ledger balances, what is in quarantine, and which rows are flagged."""
    formats, found = told.formats, []
    balance = told.rows_of("ledger_balance")
    if balance:
        n, broken = sum(row["n_checked"] for row in balance), sum(row["n_broken"] for row in balance)
        said = f"All {formats.count(n)} identities of rows and money balance to the penny."
        if broken:
            said = f"{formats.count(broken)} of {formats.count(n)} identities of rows and money do not balance."
        found.append(f'<p class="{"bad" if broken else "good"}">{said}</p>')
    if told.rows:
        found.append(
            f"<p>Of {formats.count(told.rows['read'])} rows read, {formats.count(told.rows['loaded'])} were loaded, "
            f"{formats.count(told.rows['resent'])} had come before, and {formats.count(told.rows['quarantined'])} were "
            f"quarantined; {formats.count(sum(each.n_rows for each in told.rejected))} wait to be mended.</p>"
        )
    if told.rejected:
        rows = [(each.rule, each.column, each.source, formats.count(each.n_rows)) for each in told.rejected]
        found.append(sheet.table(("rule broken", "column", "source", "rows"), rows, numbers=("rows",)))
    if told.faults:
        flagged = [
            (
                each.table.partition(".")[2].replace("_", " "),
                each.name,
                formats.count(each.n_rows),
                formats.share(each.share),
                "" if each.amount is None else formats.money(each.amount),
                each.meaning,
            )
            for each in told.faults
        ]
        heads = ("of", "kept and flagged", "rows", "share", "money on them", "what it means")
        found.append(sheet.table(heads, flagged, numbers=("rows", "share", "money on them")))
    return found
