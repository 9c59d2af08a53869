"""How the models that serve with a version were judged: by one figure each, against the naive baseline they had to beat."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from shopkeeper.errors import ModelError
from shopkeeper.evaluation.report import Comparison, Figure, from_json
from shopkeeper.published import Published, Version

REPORT = "report.json"


@dataclass(frozen=True)
class Judgement:
    """One model on its held-out period: its primary metric and the baseline's (None where it was not measured), and the gain.

    ``gain`` is positive where the model is better, whichever way the metric points, with a 95 % interval.
    """

    subject: str
    model_version: str
    chosen: str
    baseline: str
    metric: str
    figure: Figure | None
    baseline_figure: Figure | None
    gain: Figure
    held_out: tuple[date, date]
    n_rows: int

    @property
    def is_better(self) -> bool:
        """Whether it beat the baseline by more than chance gives."""
        return self.gain.low > 0


def judgements(
    published: Published, version: Version, subjects: Iterable[str]
) -> tuple[list[Judgement], dict[str, str]]:
    """Return the judgement of each subject that serves with a version; and why those that cannot be read cannot."""
    found, problems = [], {}
    for subject in subjects:
        folder = published.model(subject, version.number)
        if subject not in version.models or folder is None:
            continue
        try:
            report = from_json((folder / REPORT).read_text("utf-8"))
        except (OSError, ModelError) as error:
            problems[subject] = str(error)
            continue
        figures = {candidate.name: candidate.figures.get(report.primary) for candidate in report.candidates}
        against: Comparison = report.against_baseline
        found.append(
            Judgement(
                subject,
                version.models[subject],
                report.chosen,
                report.baseline,
                report.primary,
                figures.get(report.chosen),
                figures.get(report.baseline),
                against.gain,
                report.held_out,
                report.n_rows,
            )
        )
    return found, problems
