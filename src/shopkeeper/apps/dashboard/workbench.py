"""What pages ask of a project beyond its published version: the registry, looks for drift, the lake, live numbers.

Each is asked by one visitor at a time and kept for all until it changes: sessions of the dashboard are threads of one process.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, RLock
from time import monotonic
from typing import TYPE_CHECKING, Any

from shopkeeper import quarantine, training, workflow
from shopkeeper import vocabulary as v
from shopkeeper.progress import Tell, silent

if TYPE_CHECKING:
    import pyarrow as pa

    from shopkeeper.assembly import Shopkeeper
    from shopkeeper.serving import Live
    from shopkeeper.training import ModelVersion, Watched

KEPT_SECONDS = 60.0
"""A registry on a server is asked again after so long; one in the folder as soon as it was written."""


@dataclass(frozen=True)
class Look:
    """What one look for drift found, and when."""

    at: datetime
    found: Sequence["Watched"]


@dataclass(frozen=True)
class Quarantine:
    """The rows that wait: one row each, and by broken rule."""

    rejects: "pa.Table"
    reasons: Sequence[dict[str, Any]]


class Workbench:
    """One project's registry, lake and log, as the dashboard asks them. Callable from any thread."""

    def __init__(self, parts: "Shopkeeper") -> None:
        """Ask these parts."""
        self._parts = parts
        self._registry = RLock()
        self._lake = RLock()
        self._looking = Lock()
        self._starting = Lock()
        self._kept: dict[str, tuple[object, Any]] = {}
        self._looks: dict[tuple[str, str], Look] = {}
        self._live: Live | None = None

    # ----------------------------------------------------------------- registry

    def versions(self, subject: str) -> list["ModelVersion"]:
        """Return all versions of a model, newest first. Raises StorageError or TransientError if the registry is gone."""
        with self._registry:
            return self._keep("versions", self._registry_mark(), lambda: training.versions(self._parts.studio), subject)

    def promote(self, name: str, *, force: bool) -> "ModelVersion":
        """Make a version the champion. Raises as ``training.promote``, and LockedError while a run holds the project."""
        with self._registry, workflow.exclusive(self._parts.settings.home):
            self._kept.pop("versions", None)
            return training.promote(self._parts.studio, name, force=force)

    def rollback(self, subject: str) -> "ModelVersion":
        """Go back to the champion before. Raises as ``training.rollback``, and LockedError while a run holds the project."""
        with self._registry, workflow.exclusive(self._parts.settings.home):
            self._kept.pop("versions", None)
            return training.rollback(self._parts.studio, subject)

    def take_up(self, tell: Tell = silent) -> int:
        """Score with the models that serve and publish what they say; return the number of the version that is current then.

        May be repeated: what is scored already is left alone. Raises LockedError while a run holds the project.
        """
        parts = self._parts
        with workflow.exclusive(parts.settings.home):
            training.score(parts.studio, tell=tell)
            return workflow.publish(parts.warehouse, parts.published, parts.studio, tell=tell).number

    def is_registered(self) -> bool:
        """Return whether there is a registry to ask."""
        return bool(self._parts.settings.models.registry) or self._parts.settings.registry.is_dir()

    def _registry_mark(self) -> object:
        if self._parts.settings.models.registry:
            return int(monotonic() / KEPT_SECONDS)
        files = (self._parts.settings.registry / name for name in ("mlflow.db", "mlflow.db-wal"))
        return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)

    def _keep(
        self, name: str, mark: object, make: Callable[[], list["ModelVersion"]], subject: str
    ) -> list["ModelVersion"]:
        before = self._kept.get(name)
        if before is None or before[0] != mark:
            found = make()
            # Opening the registry may touch its files: what counts is how they are when all was read.
            self._kept[name] = before = (self._registry_mark(), found)
        return [each for each in before[1] if each.subject == subject]

    # -------------------------------------------------------------------- drift

    def last_look(self, tag: str, subject: str) -> Look | None:
        """Return the last look for drift of a model, made while a version was current."""
        return self._looks.get((tag, subject))

    def look(self, tag: str, subject: str, tell: Tell = silent) -> Look:
        """Look for drift now; whoever asks meanwhile waits and gets the same. Others that write to the project wait, too.

        Raises as ``training.drift``, and LockedError while a run holds the project.
        """
        asked_at = datetime.now(UTC)
        with self._looking:
            if (known := self._looks.get((tag, subject))) is not None and known.at > asked_at:
                return known
            parts = self._parts
            with workflow.exclusive(parts.settings.home, is_brief=True):
                found = training.drift(parts.studio, [subject], policy=parts.settings.drift.policy, tell=tell)
            self._looks[tag, subject] = look = Look(datetime.now(UTC), found)
            return look

    def drift_page(self, look: Look) -> bytes:
        """Return a look's report as a page to keep, as ``shopkeeper drift --out`` writes it."""
        with tempfile.TemporaryDirectory(prefix="shopkeeper-") as folder:
            written = training.write_drift(look.found[:1], Path(folder))
            return next(file for file in written if file.suffix == ".html").read_bytes()

    # --------------------------------------------------------------------- lake

    @property
    def has_lake(self) -> bool:
        """Whether there is a lake to read; opening would make one."""
        return (self._parts.settings.lake / v.LOADS / "_delta_log").is_dir()

    def loads(self) -> list[Any]:
        """Return every load, newest first; empty without a lake. Raises StorageError if it cannot be read."""
        if not self.has_lake:
            return []
        with self._lake:
            return self._parts.lake.loads()[::-1]

    def quarantine(self) -> Quarantine | None:
        """Return the rows that wait in quarantine; None without a lake. Raises StorageError if they cannot be read."""
        if not self.has_lake:
            return None
        with self._lake:
            lake = self._parts.lake
            mark = len(lake.loads())
            before = self._kept.get("quarantine")
            if before is None or before[0] != mark:
                before = (mark, Quarantine(lake.rejects(), quarantine.explain(lake)))
                self._kept["quarantine"] = before
            found: Quarantine = before[1]
            return found

    def rejects_csv(self) -> bytes:
        """Return the rows in quarantine as ``shopkeeper quarantine export`` writes them."""
        with self._lake, tempfile.TemporaryDirectory(prefix="shopkeeper-") as folder:
            file = Path(folder) / "rejects.csv"
            quarantine.export(self._parts.lake, file)
            return file.read_bytes()

    # --------------------------------------------------------------------- live

    @property
    def has_log(self) -> bool:
        """Whether anything was ever collected."""
        return self._parts.settings.log.exists()

    def live(self) -> "Live":
        """Return live numbers that follow the log from the first call on. Reads only: loading is for who serves."""
        with self._starting:
            if self._live is None:
                self._live = self._parts.live
                self._live.start()
            return self._live


_benches: dict[Path, Workbench] = {}
_making = Lock()


def workbench(parts: "Shopkeeper") -> Workbench:
    """Return the one workbench of a project."""
    with _making:
        home = parts.settings.home.resolve()
        if home not in _benches or _benches[home]._parts is not parts:  # noqa: SLF001 - of this module
            _benches[home] = Workbench(parts)
        return _benches[home]
