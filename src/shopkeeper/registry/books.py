"""The door to MLflow itself: opens its database or server, keeps it quiet, and turns its errors into ours."""

import logging
import os
import re
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkeeper.errors import StorageError, TransientError
from shopkeeper.evaluation import Figure
from shopkeeper.registry.shelf import Shelf, sync
from shopkeeper.registry.version import flat

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

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
LONGEST_PARAMETER, LONGEST_BATCH = 6000, 100
PASSING = {"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
REFUSED = {"PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED", "UNAUTHENTICATED"}


class Books:
    """MLflow's runs and versions: on SQLite in a folder, or on a server by URL."""

    def __init__(self, root: Path, uri: str, shelf: Shelf) -> None:
        """Name the folder, the server's URL (empty: SQLite in the folder), and the champions that serve."""
        self.root = root
        self.uri = uri
        self.shelf = shelf
        self._opened: MlflowClient | None = None

    @property
    def _database(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def where(self) -> str:
        """Return where they are kept, without a password."""
        return _without_password(self.uri) or str(self._database)

    def artifacts(self, uri: str) -> Path:
        """Return where a run's files lie in the folder; the address holds no path, so that a project may be moved."""
        return self.root / "artifacts" / uri.removeprefix("mlflow-artifacts:/").lstrip("/")

    def experiment(self, client: "MlflowClient", name: str) -> str:
        """Return the id of the experiment of a name, made if it is missing."""
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(client.create_experiment(name, None if self.uri else f"mlflow-artifacts:/{name}"))

    def model(self, client: "MlflowClient", name: str) -> Any:
        """Return the registered model with its aliases and tags; None if it is not known."""
        from mlflow.exceptions import MlflowException

        try:
            return client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    @contextmanager
    def client(self) -> "Iterator[MlflowClient]":
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
                    f"the registry must be a readable database; got: {_first_line(error)} in {self.where}. The champions "
                    f"still serve: restore it from a backup."
                ) from error
            except OSError as error:
                raise StorageError(
                    f"the disk must take what the registry writes; got: {error}. The champions still serve: mend the disk "
                    f"or the rights of {self.root}, and try again."
                ) from error

    def is_new(self) -> bool:
        """Return whether nothing was ever registered in this folder. Raises StorageError if that cannot be so."""
        if self.uri or self._database.exists():
            return False
        self._opened = None
        serving = self.shelf.subjects()
        if serving:
            raise StorageError(
                f"the registry must stand where it was; {self._database} is gone. The champions of {', '.join(serving)} "
                f"still serve: restore the file from a backup; or, to begin anew, remove {self.shelf.root}."
            )
        return True

    def _open(self) -> "MlflowClient":
        from mlflow.tracking import MlflowClient

        if self.is_new():
            self._create()
        if self._opened is None:
            uri = self.uri
            if not uri:
                uri = f"sqlite:///{self._database.resolve()}"
                # MLflow tries a file that is no database for seconds. Not read-only: what a kill left must be rolled back.
                with closing(sqlite3.connect(f"{self._database.resolve().as_uri()}?mode=rw", uri=True)) as connection:
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
        sync(draft)
        draft.replace(self._database)

    def _told(self, error: Any) -> Exception:
        text = _first_line(error)
        if error.error_code in REFUSED:
            return StorageError(
                f"the registry must let us in; {self.where} says: {text}. Set what MLflow reads: "
                f"MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
            )
        if "database schema" in text:
            from mlflow.version import VERSION

            return StorageError(
                f"the registry must have the tables of MLflow {VERSION}; got: {text} in {self.where}. The champions "
                f"still serve: install the MLflow that wrote it, or bring an older one up to date with `mlflow db upgrade`."
            )
        if error.error_code in PASSING or (self.uri and "API request to" in text):
            # Of a failed request the last words tell why; before them stand addresses of objects and of the request.
            why = text.rsplit(": ", 1)[-1].removesuffix('"))') if "Connection" in text else text
            return TransientError(
                f"the registry must answer; {self.where}: {why}. The champions still serve: try again when it is back."
            )
        return StorageError(f"the registry must do as it is asked; {self.where} says: {text}.")


def log(
    client: "MlflowClient", run_id: str, figures: Mapping[str, Figure | float], parameters: Mapping[str, Any]
) -> None:
    """Write figures, with the ends of their intervals, and parameters with dotted names to a run, in as few calls as can be."""
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
