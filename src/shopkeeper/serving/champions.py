"""The models that serve with a published version: what each is, how it was judged, and its card, from the version's own files."""

from collections.abc import Mapping
from dataclasses import dataclass

from shopkeeper.errors import ShopkeeperError
from shopkeeper.evaluation import Report, from_json
from shopkeeper.registry import ModelVersion, version_in
from shopkeeper.serving.editions import Edition

REPORT, CARD = "report.json", "card.md"


@dataclass(frozen=True)
class Champion:
    """A model that serves: what it answers in a sentence, what it is, what its training found, its card in Markdown."""

    subject: str
    about: str
    version: ModelVersion
    report: Report
    card: str


def champions(edition: Edition) -> tuple[Mapping[str, Champion], Mapping[str, str]]:
    """Return subject → the model that serves with a version, and subject → why it cannot be read.

    In the order in which subjects are trained; a subject that is configured no more is left out.
    """

    def read() -> tuple[Mapping[str, Champion], Mapping[str, str]]:
        found, unread = {}, {}
        for subject in edition.version.models:
            if edition.has_subject(subject):
                try:
                    found[subject] = _read(edition, subject)
                except (ShopkeeperError, OSError) as error:
                    unread[subject] = str(error)
        return found, unread

    kept: tuple[Mapping[str, Champion], Mapping[str, str]] = edition.keep("champions", read)
    return kept


def _read(edition: Edition, subject: str) -> Champion:
    folder = edition.folder / "models" / subject
    report = from_json((folder / REPORT).read_text("utf-8"))
    card = (folder / CARD).read_text("utf-8")
    return Champion(subject, edition.subject(subject).about, version_in(folder), report, card)
