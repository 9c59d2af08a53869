"""The door to MLflow: one run per training, versions of models, which of them is champion, and the way back.

MLflow keeps the books: on SQLite in a folder, or on a server by URL. Aliases name the ``challenger`` and the
``champion``; a version without an alias is archived. What serves is decided by a file of our own: a promotion exports the
version's files to ``serving/<subject>/<number>/`` and then replaces the pointer ``serving/<subject>/current`` atomically,
so that scoring needs neither MLflow nor the registry.

Layout of the folder: ``mlflow.db``; ``artifacts/`` as an MLflow server would lay it out, so that a server can be started
on it; ``serving/``; ``fetched/`` (copies of versions that lie on a server).
"""

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkeeper.errors import ModelError, StorageError, UsageError
from shopkeeper.evaluation import Figure
from shopkeeper.registry.books import Books, log
from shopkeeper.registry.shelf import Shelf, sync_all
from shopkeeper.registry.version import (
    MANIFEST,
    Difference,
    ModelVersion,
    Served,
    State,
    Try,
    difference,
    digest_of,
    triple,
)

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
FILES = "version"
LONGEST_NOTE = 8000


class Registry:
    """The models of one project. Writing wants the project's lock; reading and scoring do not."""

    def __init__(self, root: Path, uri: str = "", *, prefix: str = "") -> None:
        """Keep models in the folder ``root``, and the books in its ``mlflow.db`` or on the MLflow server at ``uri``.

        ``prefix`` is put before the names of models and experiments, so that shops can share a server.
        """
        self.root = root
        self.uri = uri
        self.prefix = prefix
        self._shelf = Shelf(root / "serving")
        self._books = Books(root, uri, self._shelf)

    # ------------------------------------------------------------------ serving

    def serving(self, subject: str) -> Served | None:
        """Return the champion that serves; None before the first promotion. Needs neither MLflow nor the registry.

        Raises StorageError if the pointer names a version whose files are gone.
        """
        return self._shelf.serving(subject)

    # ----------------------------------------------------------------- register

    def register(
        self,
        subject: str,
        *,
        folder: Path,
        figures: Mapping[str, Figure],
        parameters: Mapping[str, Any],
        tags: Mapping[str, str],
        is_baseline: bool = False,
        trials: Sequence[Try] = (),
    ) -> ModelVersion:
        """Register a training as a new version, the challenger from now on; the one before is archived.

        ``folder``: all files of the version (models, report, card, …), copied; ``card.md`` in it becomes the run's note.
        ``trials`` become runs below the version's run. A version appears only once its files
        are whole: what a kill leaves is a run, which the next registration marks as failed. Repeated, it gives another
        version. Raises ModelError for an empty folder, StorageError or TransientError if the registry cannot be written.
        """
        self._shelf.place(subject)
        if not folder.is_dir() or not any(folder.iterdir()):
            raise ModelError(f"a version to register must have files; {folder} holds none. Train {subject} anew.")
        if (folder / MANIFEST).exists():
            raise ModelError(f"a version's files must not be called {MANIFEST}; {folder} holds one. Name it otherwise.")
        told = {
            **tags,
            "shopkeeper.digest": digest_of(folder),
            "shopkeeper.is_baseline": json.dumps(is_baseline),
            "shopkeeper.figures": json.dumps({key: triple(figure) for key, figure in figures.items()}),
            "shopkeeper.parameters": json.dumps(parameters),
        }
        with self._books.client() as client:
            name = self.prefix + subject
            model = self._books.model(client, name)
            if model is None:
                self._must_not_have_forgotten(subject)
            experiment = self._books.experiment(client, name)
            self._bury(client, experiment)
            run = client.create_run(
                experiment, run_name=f"{subject} {tags.get('candidate', '')}".strip(), tags=self._marks(folder, tags)
            )
            number = None
            try:
                log(client, run.info.run_id, figures, parameters)
                for place, trial in enumerate(trials, 1):
                    self._log_trial(client, experiment, run.info.run_id, place, trial)
                self._store(client, run, folder)
                if model is None:
                    client.create_registered_model(name)
                number = client.create_model_version(
                    name,
                    f"{run.info.artifact_uri}/{FILES}",
                    run.info.run_id,
                    tags=told,
                    await_creation_for=0,
                ).version
                client.set_registered_model_alias(name, CHALLENGER, str(number))
            except BaseException:
                if number is None:
                    with suppress(Exception):  # the first error is the one to tell
                        client.set_terminated(run.info.run_id, "FAILED")
                raise
            client.set_terminated(run.info.run_id)
        return self.show(subject, int(number))

    def _must_not_have_forgotten(self, subject: str) -> None:
        number = self._shelf.pointed(subject)
        if number is not None:
            raise StorageError(
                f"the registry must know the champion {subject}/{number} that serves; it does not know {subject} in "
                f"{self._books.where}. Restore the registry from a backup; or, to begin anew, remove "
                f"{self._shelf.place(subject)}."
            )

    def _marks(self, folder: Path, tags: Mapping[str, str]) -> dict[str, str]:
        card = folder / "card.md"
        note = {"mlflow.note.content": card.read_text("utf-8")[:LONGEST_NOTE]} if card.exists() else {}
        return {**tags, **note, "shopkeeper.project": self._project()}

    def _project(self) -> str:
        """Return a mark that tells this project's runs from those of others on the same server."""
        file = self.root / "project"
        if not file.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            draft = file.with_name("project.draft")
            draft.write_text(uuid.uuid4().hex, "utf-8")
            draft.replace(file)
        return file.read_text("utf-8")

    def _bury(self, client: "MlflowClient", experiment: str) -> None:
        """Close the runs that killed registrations left: as finished where their version stands, else as failed."""
        left = client.search_runs(
            [experiment], f"attributes.status = 'RUNNING' and tags.`shopkeeper.project` = '{self._project()}'"
        )
        for run in left:
            stands = client.search_model_versions(f"run_id = '{run.info.run_id}'")
            client.set_terminated(run.info.run_id, "FINISHED" if stands else "FAILED")
            shutil.rmtree(self._draft(run.info.run_id), ignore_errors=True)

    def _log_trial(self, client: "MlflowClient", experiment: str, parent: str, place: int, trial: Try) -> None:
        run = client.create_run(
            experiment,
            run_name=f"{trial.candidate} {place}",
            tags={"mlflow.parentRunId": parent, "candidate": trial.candidate, "shopkeeper.project": self._project()},
        )
        figures = {trial.metric: trial.value, "seconds": trial.seconds}
        log(client, run.info.run_id, figures, trial.parameters)
        client.set_terminated(run.info.run_id)

    def _draft(self, run_id: str) -> Path:
        return self.root / "artifacts" / f"{run_id}.draft"

    def _store(self, client: "MlflowClient", run: "Run", folder: Path) -> None:
        """Keep a run's files; in the folder, all of them appear at once."""
        draft = self._draft(run.info.run_id)
        shutil.rmtree(draft, ignore_errors=True)
        try:
            shutil.copytree(folder, draft / FILES)
            if self.uri:
                client.log_artifacts(run.info.run_id, str(draft))
                return
            sync_all(draft)
            target = self._books.artifacts(run.info.artifact_uri)
            target.parent.mkdir(parents=True, exist_ok=True)
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    # --------------------------------------------------------------------- read

    def versions(self, subject: str) -> list[ModelVersion]:
        """Return all versions of a subject, newest first; empty before the first training."""
        self._shelf.place(subject)
        if self._books.is_new():
            return []
        with self._books.client() as client:
            model = self._books.model(client, self.prefix + subject)
            if model is None:
                return []
            found = client.search_model_versions(f"name = '{self.prefix}{subject}'")
            return sorted((_read(subject, each, model.aliases) for each in found), key=lambda each: -each.number)

    def show(self, subject: str, number: int) -> ModelVersion:
        """Return one version. Raises UsageError if there is none of that number."""
        versions = self.versions(subject)
        for version in versions:
            if version.number == number:
                return version
        known = ", ".join(str(version.number) for version in versions) or "none"
        raise UsageError(
            f"the version of {subject} must be one that is registered ({known}); got {number} in {self._books.where}. "
            f"See `shopkeeper models list`."
        )

    def champion(self, subject: str) -> ModelVersion | None:
        """Return the version with the alias ``champion``; None if there is none.

        After a kill between the two it may differ from what serves: see ``settle``.
        """
        return next((version for version in self.versions(subject) if version.state == CHAMPION), None)

    def compare(self, subject: str, first: int, second: int) -> Difference:
        """Return two versions beside each other. Raises UsageError if one of them does not exist."""
        return difference(self.show(subject, first), self.show(subject, second))

    def fetch(self, subject: str, number: int) -> Path:
        """Return a folder with the files of a version, to be read only.

        Raises UsageError if there is no such version, StorageError if its files are gone or are not what was registered.
        """
        return self._files(self.show(subject, number))

    def _files(self, version: ModelVersion) -> Path:
        """Return a checked folder of a version's files; from a server they are copied here once."""
        if self.uri:
            folder = self.root / "fetched" / version.subject / version.run_id
            if not folder.is_dir():
                self._download(version, folder)
        else:
            with self._books.client() as client:
                folder = self._books.artifacts(client.get_run(version.run_id).info.artifact_uri) / FILES
        if not folder.is_dir() or digest_of(folder) != version.digest:
            if self.uri:
                shutil.rmtree(folder, ignore_errors=True)
            raise StorageError(
                f"the files of {version.name} must be those that were registered; they are gone or altered in {folder}. "
                f"Restore them from a backup, or train {version.subject} anew."
            )
        return folder

    def _download(self, version: ModelVersion, folder: Path) -> None:
        draft = folder.with_name(f"{folder.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        with self._books.client() as client:
            client.download_artifacts(version.run_id, FILES, str(draft))
        (draft / FILES).rename(folder)
        shutil.rmtree(draft)

    # ------------------------------------------------------------------ promote

    def promote(self, subject: str, number: int) -> Served:
        """Make a version the champion, and let it serve; the former champion is archived and remembered.

        Export, alias, pointer, in this order: until the pointer is replaced, the former champion serves. May be repeated,
        and finishes what a kill cut short. Raises UsageError if there is no such version, and StorageError or
        TransientError if the registry cannot be written; the former champion then still serves.
        """
        version = self.show(subject, number)
        with self._books.client() as client:
            line = [each for each in self._line(client, subject) if each != number]
            return self._crown(client, version, [*line, number])

    def rollback(self, subject: str) -> Served:
        """Go back to the champion before the one that serves.

        May be repeated after a kill: what serves decides, and the pointer moves last. Repeated after it ended, it goes one
        further back. Raises UsageError if there was no champion before.
        """
        serves, line = self._shelf.pointed(subject), []
        if not self._books.is_new():
            with self._books.client() as client:
                line = self._line(client, subject)
        before = line[: line.index(serves)] if serves in line else line
        if not before:
            raise UsageError(
                f"a rollback of {subject} must have an earlier champion to go to; there is none before "
                f"{serves or 'the first'}. See `shopkeeper models list`."
            )
        version = self.show(subject, before[-1])
        with self._books.client() as client:
            return self._crown(client, version, before)

    def settle(self, subject: str) -> Served | None:
        """Let what serves follow the alias ``champion``: after a kill, or after somebody moved it in MLflow's own UI.

        Does nothing where both agree; returns what serves then. May be repeated.
        """
        champion = self.champion(subject)
        if champion is not None and champion.number != self._shelf.pointed(subject):
            return self.promote(subject, champion.number)
        return self.serving(subject)

    def _crown(self, client: "MlflowClient", version: ModelVersion, line: list[int]) -> Served:
        name = self.prefix + version.subject
        self._shelf.export(version, lambda: self._files(version))
        client.set_registered_model_tag(name, "shopkeeper.champions", json.dumps(line))
        client.set_registered_model_alias(name, CHAMPION, str(version.number))
        if str(client.get_registered_model(name).aliases.get(CHALLENGER)) == str(version.number):
            client.delete_registered_model_alias(name, CHALLENGER)
        before = self._shelf.pointed(version.subject)
        self._shelf.point(version.subject, version.number)
        self._shelf.prune(version.subject, [version.number, before or version.number])
        served = self.serving(version.subject)
        assert served is not None  # noqa: S101 - the pointer was just written
        return served

    def _line(self, client: "MlflowClient", subject: str) -> list[int]:
        """Return the champions in the order in which they became so, the present one last."""
        model = self._books.model(client, self.prefix + subject)
        told: list[int] = json.loads(model.tags.get("shopkeeper.champions", "[]")) if model else []
        return told


def _read(subject: str, told: Any, aliases: Mapping[str, Any]) -> ModelVersion:
    number = int(told.version)
    holds = {alias for alias, version in aliases.items() if int(version) == number}
    state: State = "champion" if CHAMPION in holds else "challenger" if CHALLENGER in holds else "archived"
    ours = {key.removeprefix("shopkeeper."): value for key, value in told.tags.items() if key.startswith("shopkeeper.")}
    return ModelVersion(
        subject,
        number,
        state,
        bool(json.loads(ours.get("is_baseline", "false"))),
        datetime.fromtimestamp(told.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
        {name: Figure(*triple) for name, triple in json.loads(ours.get("figures", "{}")).items()},
        json.loads(ours.get("parameters", "{}")),
        {key: value for key, value in told.tags.items() if not key.startswith("shopkeeper.")},
        str(told.run_id),
        ours.get("digest", ""),
    )
