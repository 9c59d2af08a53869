"""The door to MLflow: one run per training, versions of models, which of them is champion, and the way back.

MLflow keeps the books: on SQLite in a folder, or on a server by URL. Aliases name the ``challenger`` and the
``champion``; a version without an alias is archived. What serves is decided by a file of our own: a promotion exports the
version's files to ``serving/<subject>/<number>/`` and then replaces the pointer ``serving/<subject>/current`` atomically,
so that scoring needs neither MLflow nor the registry.

Layout of the folder: ``mlflow.db``; ``artifacts/`` as an MLflow server would lay it out, so that a server can be started
on it; ``serving/``; ``fetched/`` (copies of versions that lie on a server).
"""

import hashlib
import json
import logging
import os
import re
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from shopkeeper.errors import ModelError, StorageError, TransientError, UsageError
from shopkeeper.evaluation import Figure

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
State = Literal["champion", "challenger", "archived"]
MANIFEST = "version.json"
FILES, PLOTS = "version", "plots"

# What MLflow reads from the environment and can be told in no other way. Three tries of ten seconds: a server that is
# gone is told within a minute instead of ten. No pool: a database file that was put back is seen at once.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
LONGEST_PARAMETER, LONGEST_NOTE, LONGEST_BATCH = 6000, 8000, 100
PASSING = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
REFUSED = {"PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED", "UNAUTHENTICATED"}


class Try(Protocol):
    """One try of a search over parameters, as ``models.model.Trial`` is."""

    @property
    def candidate(self) -> str: ...  # noqa: D102 - read where Trial says it
    @property
    def parameters(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def metric(self) -> str: ...  # noqa: D102
    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class ModelVersion:
    """One trained and registered version of a subject's model.

    ``is_baseline``: what serves is the baseline, as no model beat it; ``trained_at``: when it was registered, ISO 8601 in
    UTC; ``figures``: metric → value with its 95 % interval on the held-out period; ``parameters``: the recipe to refit by;
    ``tags``: what the caller said of it (data versions, code version, candidate, …); ``digest``: of its files.
    """

    subject: str
    number: int
    state: State
    is_baseline: bool
    trained_at: str
    figures: Mapping[str, Figure]
    parameters: Mapping[str, Any]
    tags: Mapping[str, str]
    run_id: str
    digest: str

    @property
    def name(self) -> str:
        """Its name in published tables, such as ``churn/3``."""
        return f"{self.subject}/{self.number}"


@dataclass(frozen=True)
class Served:
    """The champion as it serves: what it is, and the folder with its files."""

    version: ModelVersion
    folder: Path

    @property
    def number(self) -> int:
        """Its number in the registry."""
        return self.version.number


@dataclass(frozen=True)
class Difference:
    """Two versions beside each other: every metric, and the parameters (dotted names) and tags that differ."""

    first: ModelVersion
    second: ModelVersion
    figures: Mapping[str, tuple[Figure | None, Figure | None]]
    parameters: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    tags: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)


class Registry:
    """The models of one project. Writing wants the project's lock; reading and scoring do not."""

    def __init__(self, root: Path, uri: str = "", *, prefix: str = "") -> None:
        """Keep models in the folder ``root``, and the books in its ``mlflow.db`` or on the MLflow server at ``uri``.

        ``prefix`` is put before the names of models and experiments, so that shops can share a server.
        """
        self.root = root
        self.uri = uri
        self.prefix = prefix
        self._opened: MlflowClient | None = None

    # ------------------------------------------------------------------ serving

    def serving(self, subject: str) -> Served | None:
        """Return the champion that serves; None before the first promotion. Needs neither MLflow nor the registry.

        Raises StorageError if the pointer names a version whose files are gone.
        """
        number = self._pointed(subject)
        if number is None:
            return None
        folder = self._serving(subject) / str(number)
        try:
            return Served(_from_manifest(json.loads((folder / MANIFEST).read_text("utf-8"))), folder)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StorageError(
                f"the files of the champion {subject}/{number} must be readable; got: {error}. Export them again with "
                f"`shopkeeper models promote {subject} {number}`."
            ) from error

    def _serving(self, subject: str) -> Path:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", subject):
            raise UsageError(
                f"a subject must be a plain lower-case word; got {subject!r}. See `shopkeeper models list`."
            )
        return self.root / "serving" / subject

    def _pointed(self, subject: str) -> int | None:
        pointer = self._serving(subject) / "current"
        try:
            return int(pointer.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StorageError(
                f"the pointer to the champion must hold a version's number; {pointer} does not: {error}. Remove that "
                f"file, then promote a version of {subject} with `shopkeeper models promote`."
            ) from error

    def _point(self, subject: str, number: int) -> None:
        """Make a version serve: the moment from which on a promotion counts."""
        pointer = self._serving(subject) / "current"
        draft = pointer.with_name("current.draft")
        draft.write_text(str(number), "utf-8")
        _sync(draft)
        draft.replace(pointer)
        _sync(pointer.parent)

    def _export(self, version: ModelVersion) -> None:
        """Copy a version's files to where they serve from, whole or not at all."""
        target = self._serving(version.subject) / str(version.number)
        if target.is_dir() and digest_of(target) == version.digest:
            return
        source = self._files(version)
        draft = target.with_name(f"{version.number}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(source, draft)
        (draft / MANIFEST).write_text(json.dumps(_to_manifest(version), indent=1, sort_keys=True), "utf-8")
        _sync_all(draft)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)

    def _prune(self, subject: str, kept: Sequence[int]) -> None:
        """Remove exports nobody needs; those kept are the champion's and the one before, which a scoring may still read."""
        for folder in self._serving(subject).iterdir():
            if folder.is_dir() and folder.name not in {str(number) for number in kept}:
                shutil.rmtree(folder, ignore_errors=True)

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
        plots: Mapping[str, bytes] | None = None,
        trials: Sequence[Try] = (),
    ) -> ModelVersion:
        """Register a training as a new version, the challenger from now on; the one before is archived.

        ``folder``: all files of the version (models, report, card, …), copied; ``card.md`` in it becomes the run's note.
        ``plots``: file name → PNG. ``trials`` become runs below the version's run. A version appears only once its files
        are whole: what a kill leaves is a run, which the next registration marks as failed. Repeated, it gives another
        version. Raises ModelError for an empty folder, StorageError or TransientError if the registry cannot be written.
        """
        if not folder.is_dir() or not any(folder.iterdir()):
            raise ModelError(f"a version to register must have files; {folder} holds none. Train {subject} anew.")
        if (folder / MANIFEST).exists():
            raise ModelError(f"a version's files must not be called {MANIFEST}; {folder} holds one. Name it otherwise.")
        told = {
            **tags,
            "shopkeeper.digest": digest_of(folder),
            "shopkeeper.is_baseline": json.dumps(is_baseline),
            "shopkeeper.figures": json.dumps({key: _triple(figure) for key, figure in figures.items()}),
            "shopkeeper.parameters": json.dumps(parameters),
        }
        with self._client() as client:
            name = self.prefix + subject
            model = self._model(client, subject)
            if model is None:
                self._must_not_have_forgotten(subject)
            experiment = self._experiment(client, name)
            self._bury(client, experiment)
            run = client.create_run(
                experiment, run_name=f"{subject} {tags.get('candidate', '')}".strip(), tags=self._marks(folder, tags)
            )
            number = None
            try:
                _log(client, run.info.run_id, figures, parameters)
                for place, trial in enumerate(trials, 1):
                    self._log_trial(client, experiment, run.info.run_id, place, trial)
                self._store(client, run, folder, plots or {})
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
        number = self._pointed(subject)
        if number is not None:
            raise StorageError(
                f"the registry must know the champion {subject}/{number} that serves; it does not know {subject} in "
                f"{self._where}. Restore the registry from a backup; or, to begin anew, remove {self._serving(subject)}."
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
        _log(client, run.info.run_id, figures, trial.parameters)
        client.set_terminated(run.info.run_id)

    def _draft(self, run_id: str) -> Path:
        return self.root / "artifacts" / f"{run_id}.draft"

    def _store(self, client: "MlflowClient", run: "Run", folder: Path, plots: Mapping[str, bytes]) -> None:
        """Keep a run's files; in the folder, all of them appear at once."""
        draft = self._draft(run.info.run_id)
        shutil.rmtree(draft, ignore_errors=True)
        try:
            shutil.copytree(folder, draft / FILES)
            for name, picture in plots.items():
                (draft / PLOTS).mkdir(exist_ok=True)
                (draft / PLOTS / name).write_bytes(picture)
            if self.uri:
                client.log_artifacts(run.info.run_id, str(draft))
                return
            _sync_all(draft)
            target = self._artifacts(run.info.artifact_uri)
            target.parent.mkdir(parents=True, exist_ok=True)
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    # --------------------------------------------------------------------- read

    def versions(self, subject: str) -> list[ModelVersion]:
        """Return all versions of a subject, newest first; empty before the first training."""
        self._serving(subject)
        if self._is_new():
            return []
        with self._client() as client:
            model = self._model(client, subject)
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
            f"the version of {subject} must be one that is registered ({known}); got {number} in {self._where}. "
            f"See `shopkeeper models list`."
        )

    def champion(self, subject: str) -> ModelVersion | None:
        """Return the version with the alias ``champion``; None if there is none.

        After a kill between the two it may differ from what serves: see ``settle``.
        """
        return next((version for version in self.versions(subject) if version.state == CHAMPION), None)

    def compare(self, subject: str, first: int, second: int) -> Difference:
        """Return two versions beside each other. Raises UsageError if one of them does not exist."""
        a, b = self.show(subject, first), self.show(subject, second)
        parameters = flat(a.parameters), flat(b.parameters)
        return Difference(
            a,
            b,
            {name: (a.figures.get(name), b.figures.get(name)) for name in sorted({*a.figures, *b.figures})},
            {
                name: (parameters[0].get(name), parameters[1].get(name))
                for name in sorted({*parameters[0], *parameters[1]})
                if parameters[0].get(name) != parameters[1].get(name)
            },
            {
                name: (a.tags.get(name), b.tags.get(name))
                for name in sorted({*a.tags, *b.tags})
                if a.tags.get(name) != b.tags.get(name)
            },
        )

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
            with self._client() as client:
                folder = self._artifacts(client.get_run(version.run_id).info.artifact_uri) / FILES
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
        with self._client() as client:
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
        with self._client() as client:
            line = [each for each in self._line(client, subject) if each != number]
            return self._crown(client, version, [*line, number])

    def rollback(self, subject: str) -> Served:
        """Go back to the champion before the one that serves.

        May be repeated after a kill: what serves decides, and the pointer moves last. Repeated after it ended, it goes one
        further back. Raises UsageError if there was no champion before.
        """
        serves, line = self._pointed(subject), []
        if not self._is_new():
            with self._client() as client:
                line = self._line(client, subject)
        before = line[: line.index(serves)] if serves in line else line
        if not before:
            raise UsageError(
                f"a rollback of {subject} must have an earlier champion to go to; there is none before "
                f"{serves or 'the first'}. See `shopkeeper models list`."
            )
        version = self.show(subject, before[-1])
        with self._client() as client:
            return self._crown(client, version, before)

    def settle(self, subject: str) -> Served | None:
        """Let what serves follow the alias ``champion``: after a kill, or after somebody moved it in MLflow's own UI.

        Does nothing where both agree; returns what serves then. May be repeated.
        """
        champion = self.champion(subject)
        if champion is not None and champion.number != self._pointed(subject):
            return self.promote(subject, champion.number)
        return self.serving(subject)

    def _crown(self, client: "MlflowClient", version: ModelVersion, line: list[int]) -> Served:
        name = self.prefix + version.subject
        self._export(version)
        client.set_registered_model_tag(name, "shopkeeper.champions", json.dumps(line))
        client.set_registered_model_alias(name, CHAMPION, str(version.number))
        if str(client.get_registered_model(name).aliases.get(CHALLENGER)) == str(version.number):
            client.delete_registered_model_alias(name, CHALLENGER)
        before = self._pointed(version.subject)
        self._point(version.subject, version.number)
        self._prune(version.subject, [version.number, before or version.number])
        served = self.serving(version.subject)
        assert served is not None  # noqa: S101 - the pointer was just written
        return served

    def _line(self, client: "MlflowClient", subject: str) -> list[int]:
        """Return the champions in the order in which they became so, the present one last."""
        model = self._model(client, subject)
        told: list[int] = json.loads(model.tags.get("shopkeeper.champions", "[]")) if model else []
        return told

    # ------------------------------------------------------------------- MLflow

    @property
    def _database(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def _where(self) -> str:
        return _without_password(self.uri) or str(self._database)

    def _artifacts(self, uri: str) -> Path:
        """Return where a run's files lie in the folder; the address holds no path, so that a project may be moved."""
        return self.root / "artifacts" / uri.removeprefix("mlflow-artifacts:/").lstrip("/")

    def _experiment(self, client: "MlflowClient", name: str) -> str:
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(client.create_experiment(name, None if self.uri else f"mlflow-artifacts:/{name}"))

    def _model(self, client: "MlflowClient", subject: str) -> Any:
        """Return the registered model with its aliases and tags; None if the registry knows none."""
        from mlflow.exceptions import MlflowException

        self._serving(subject)
        try:
            return client.get_registered_model(self.prefix + subject)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    @contextmanager
    def _client(self) -> "Iterator[MlflowClient]":
        """Lend MLflow's client, and turn its errors into ours."""
        with _variables(ENVIRONMENT), _quiet("alembic", "urllib3.connectionpool"):
            import alembic.util
            import sqlalchemy.exc
            from mlflow.exceptions import MlflowException

            try:
                with _quiet("mlflow"):  # its import has set the level
                    yield self._open()
            except MlflowException as error:
                raise self._told(error) from error
            except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, alembic.util.CommandError) as error:
                raise StorageError(
                    f"the registry must be a readable database; got: {_first_line(error)} in {self._where}. The champions "
                    f"still serve: restore it from a backup."
                ) from error
            except OSError as error:
                raise StorageError(
                    f"the disk must take what the registry writes; got: {error}. The champions still serve: mend the disk "
                    f"or the rights of {self.root}, and try again."
                ) from error

    def _is_new(self) -> bool:
        """Return whether nothing was ever registered in this folder. Raises StorageError if that cannot be so."""
        if self.uri or self._database.exists():
            return False
        self._opened = None
        serving = sorted(path.parent.name for path in self.root.glob("serving/*/current"))
        if serving:
            raise StorageError(
                f"the registry must stand where it was; {self._database} is gone. The champions of {', '.join(serving)} "
                f"still serve: restore the file from a backup; or, to begin anew, remove {self.root / 'serving'}."
            )
        return True

    def _open(self) -> "MlflowClient":
        from mlflow.tracking import MlflowClient

        if self._is_new():
            self._create()
        if self._opened is None:
            uri = self.uri
            if not uri:
                uri = f"sqlite:///{self._database.resolve()}"
                # MLflow tries a file that is no database for seconds.
                with closing(sqlite3.connect(f"{self._database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
                    connection.execute("select version_num from alembic_version").fetchall()
            self._opened = MlflowClient(uri, uri)
        return self._opened

    def _create(self) -> None:
        """Make the database beside its place: a kill in the midst of MLflow's migrations leaves nothing half made."""
        from mlflow.tracking import MlflowClient
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        self.root.mkdir(parents=True, exist_ok=True)
        draft = self.root / f"mlflow-{uuid.uuid4().hex}.draft"
        for left in self.root.glob("mlflow-*.draft*"):
            left.unlink()
        event.listen(Engine, "connect", _write_without_waiting)
        try:
            MlflowClient(f"sqlite:///{draft.resolve()}").search_experiments(max_results=1)
        finally:
            event.remove(Engine, "connect", _write_without_waiting)
        _sync(draft)
        draft.replace(self._database)

    def _told(self, error: Any) -> Exception:
        text = _first_line(error)
        if error.error_code in REFUSED:
            return StorageError(
                f"the registry must let us in; {self._where} says: {text}. Set what MLflow reads: "
                f"MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
            )
        if "database schema" in text:
            from mlflow.version import VERSION

            return StorageError(
                f"the registry must have the tables of MLflow {VERSION}; got: {text} in {self._where}. The champions "
                f"still serve: install the MLflow that wrote it, or bring an older one up to date with `mlflow db upgrade`."
            )
        if error.error_code in PASSING or (self.uri and "API request to" in text):
            # Of a failed request the last words tell why; before them stand addresses of objects and of the request.
            why = text.rsplit(": ", 1)[-1].removesuffix('"))') if "Connection" in text else text
            return TransientError(
                f"the registry must answer; {self._where}: {why}. The champions still serve: try again when it is back."
            )
        return StorageError(f"the registry must do as it is asked; {self._where} says: {text}.")


def digest_of(folder: Path) -> str:
    """Return one SHA-256 of all files in a folder, by relative path and content; the manifest of an export is left out."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if name != MANIFEST:
            digest.update(f"{name}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def flat(parameters: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested parameters as dotted names → values."""
    found: dict[str, Any] = {}
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{above}{key}."))
        else:
            found[f"{above}{key}"] = value
    return found


def _log(
    client: "MlflowClient", run_id: str, figures: Mapping[str, Figure | float], parameters: Mapping[str, Any]
) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    values: dict[str, float] = {}
    for name, figure in figures.items():
        if isinstance(figure, Figure):
            values.update({name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high})
        else:
            values[name] = figure
    metrics = [Metric(_plain(name), float(value), now, 0) for name, value in values.items()]
    told = [Param(_plain(name), str(value)[:LONGEST_PARAMETER]) for name, value in flat(parameters).items()]
    client.log_batch(run_id, metrics=metrics, params=told[:LONGEST_BATCH])
    for start in range(LONGEST_BATCH, len(told), LONGEST_BATCH):
        client.log_batch(run_id, params=told[start : start + LONGEST_BATCH])


def _plain(name: str) -> str:
    """Return a name in the letters that MLflow allows."""
    return re.sub(r"[^\w\-. /]", "_", name)


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


def _to_manifest(version: ModelVersion) -> dict[str, Any]:
    figures = {name: _triple(figure) for name, figure in version.figures.items()}
    return {**vars(version), "state": CHAMPION, "figures": figures}


def _from_manifest(told: dict[str, Any]) -> ModelVersion:
    return ModelVersion(**{**told, "figures": {name: Figure(*triple) for name, triple in told["figures"].items()}})


def _triple(figure: Figure) -> tuple[float, float, float]:
    return (figure.value, figure.low, figure.high)


def _first_line(error: object) -> str:
    return _without_password((str(error).splitlines() or ["nothing"])[0].rstrip("."))


def _write_without_waiting(connection: Any, _: Any) -> None:
    # Some seventy migrations would each wait for the disk, for a file that counts only once it is synced and renamed.
    connection.execute("pragma synchronous = off")


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


@contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Keep loggers silent for a while: what they log is also raised, and told once, in a sentence."""
    before = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that MLflow reads, and take them back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_all(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        _sync(path)
