"""Published versions: immutable, read-only DuckDB files that hold tables only, and a pointer to the current one.

Layout: ``versions/0007/shop.duckdb`` with ``manifest.json`` beside it, and ``current``, a file that names a version and
is replaced atomically. Readers never wait for a lock and never see half a build.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkeeper import vocabulary as v
from shopkeeper.engine import connect, fence, literal, quote
from shopkeeper.errors import StorageError, UsageError

if TYPE_CHECKING:
    import duckdb
    import numpy as np

CATALOG = "shop"
TRIES = 3
KNOWN_IDS = {
    v.EVENTS: ("core.events", "event_id", "has_given_id"),
    v.INVENTORY_MOVEMENTS: ("core.inventory_movements", "movement_id", "movement_id is not null"),
}
"""Of which tables a version keeps the ids apart: kind → table, column, and which rows have one that was given."""


@dataclass(frozen=True)
class Version:
    """One published version: its number, when it was made, of which build, from which lake versions, and its tables.

    ``tables``: ``schema.table`` → rows. ``models``: subject → the model version that serves with it; its files stand
    beside the tables. ``log_cursors``: kind of things that the collector takes → the last place in its log that the version
    holds. ``is_current`` tells whether the pointer names it.
    """

    number: int
    published_at: str
    build_id: str
    lake_versions: dict[str, int]
    tables: dict[str, int]
    models: dict[str, str] = field(default_factory=dict)
    log_cursors: dict[str, str] = field(default_factory=dict)
    is_current: bool = False


class Published:
    """The versions in one folder. Publishing twice the same build adds nothing; a killed publish leaves no trace."""

    def __init__(self, root: Path, *, keep: int) -> None:
        """Use the folder ``root``; ``keep`` versions stay."""
        self.root = root
        self.keep = keep

    @property
    def _pointer(self) -> Path:
        return self.root / "current"

    @property
    def _rolled_back(self) -> Path:
        """A file that stands while the pointer is where a rollback put it."""
        return self.root / "rolled_back"

    def _folder(self, number: int) -> Path:
        return self.root / "versions" / f"{number:04d}"

    def current(self) -> int | None:
        """Return the number of the current version; None before the first."""
        try:
            return int(self._pointer.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StorageError(
                f"the pointer must name a version; {self._pointer} does not. Remove that file, then run "
                f"`shopkeeper publish`."
            ) from error

    def versions(self) -> list[Version]:
        """Return the versions that are kept, newest first."""
        current = self.current()
        found = []
        for manifest in sorted((self.root / "versions").glob("[0-9]*/manifest.json"), reverse=True):
            told = json.loads(manifest.read_text("utf-8"))
            found.append(Version(**{**told, "is_current": told["number"] == current}))
        return found

    def publish(
        self,
        warehouse: Path,
        *,
        build_id: str,
        lake_versions: dict[str, int],
        log_cursors: Mapping[str, str] | None = None,
        models: Mapping[str, tuple[str, Path]] | None = None,
        keeps_rollback: bool = False,
        beside: Callable[["duckdb.DuckDBPyConnection", Path], object] | None = None,
        tell: Callable[[str, int, int], None] = lambda _table, _done, _all: None,
    ) -> Version:
        """Copy the builder's closed database into a new version and point to it.

        ``models``: subject → model version and the folder of its files, which are copied beside the tables, so that a
        rollback takes the models back with them. ``beside(connection, folder)`` writes further files made of the new tables;
        ``tell(table, done, all)`` is called before each table.
        If a version holds this build already, only the pointer moves to it; with ``keeps_rollback``, not even that where
        somebody went back from it on purpose.
        Returns the version that is current then. Raises StorageError if the disk refuses; the pointer then stays.
        """
        import duckdb

        existing = self.versions()
        for version in existing:
            if version.build_id == build_id:
                held = next((each for each in existing if each.is_current and self._rolled_back.exists()), None)
                if keeps_rollback and held:
                    return held
                self._point(version.number)
                return Version(**{**asdict(version), "is_current": True})
        number = max([version.number for version in existing] + [self.current() or 0]) + 1
        draft = self.root / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            draft.mkdir(parents=True)
            tables = _copy_tables(warehouse, draft, beside, tell)
            _write_known_ids(draft, tables)
            chosen = {subject: name for subject, (name, _) in (models or {}).items()}
            version = Version(
                number,
                datetime.now(UTC).isoformat(),
                build_id,
                lake_versions,
                tables,
                chosen,
                log_cursors=dict(log_cursors or {}),
            )
            for subject, (_, folder) in (models or {}).items():
                shutil.copytree(folder, draft / "models" / subject)
            told = {key: value for key, value in asdict(version).items() if key != "is_current"}
            (draft / "manifest.json").write_text(json.dumps(told, indent=2), "utf-8")
            for file in draft.rglob("*"):
                _sync(file)
                if file.is_file():
                    file.chmod(0o444)
            self._folder(number).parent.mkdir(parents=True, exist_ok=True)
            # A folder of this number without a pointer is what a killed publish left.
            shutil.rmtree(self._folder(number), ignore_errors=True)
            draft.rename(self._folder(number))
            _sync(self._folder(number).parent)
            self._point(number)
        except (OSError, duckdb.Error) as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise StorageError(
                f"the disk must take a new published version; got: {str(error).splitlines()[0]}. The current version "
                f"still serves: free some space and run `shopkeeper publish` again."
            ) from error
        self._prune()
        return Version(**{**asdict(version), "is_current": True})

    def rollback(self, number: int | None = None) -> Version:
        """Point to an earlier version (the one before the current, or ``number``); nothing is deleted.

        Raises UsageError if there is none. May be repeated with the same number.
        """
        versions = {version.number: version for version in self.versions()}
        current = self.current()
        if number is None:
            number = max((each for each in versions if current is not None and each < current), default=None)
        if number is None or number not in versions:
            known = ", ".join(map(str, sorted(versions))) or "none"
            raise UsageError(
                f"the version to go back to must be one that is kept ({known}); got {number or 'none before the current'}. "
                f"See `shopkeeper versions`."
            )
        self._rolled_back.touch()
        self._point(number, rolled_back=number != max(versions))
        return Version(**{**asdict(versions[number]), "is_current": True})

    def version(self, number: int) -> Version | None:
        """Return a version that is kept, or None."""
        try:
            told = json.loads((self._folder(number) / "manifest.json").read_text("utf-8"))
        except FileNotFoundError:
            return None
        return Version(**{**told, "is_current": number == self.current()})

    def folder(self, number: int) -> Path:
        """Return where a version's files stand, for reading."""
        return self._folder(number)

    def model(self, subject: str, number: int | None = None) -> Path | None:
        """Return the folder of the model that serves with a version (the current one if None), or None without one."""
        chosen = number if number is not None else self.current()
        folder = self._folder(chosen) / "models" / subject if chosen is not None else None
        return folder if folder is not None and folder.is_dir() else None

    def known_ids(self, kind: str, number: int) -> "np.ndarray":
        """Return the sorted numbers of the ids that a version holds (see KNOWN_IDS), read from disk as they are asked for.

        Empty for a version that keeps none.
        """
        import numpy as np

        file = self._folder(number) / f"{kind}_ids.npy"
        return np.load(file, mmap_mode="r") if file.exists() else np.empty(0, np.uint64)

    def open(self, number: int | None = None) -> "duckdb.DuckDBPyConnection":
        """Open the current version (or one by number) for reading, fenced: no file, no setting, no writing.

        Each call gives a database instance of its own, so that readers in one process do not disturb each other.
        Raises UsageError if nothing is published, StorageError if the version cannot be opened.
        """
        return self.open_numbered(number)[1]

    def open_numbered(
        self, number: int | None = None, *, threads: int | None = None, memory_gb: float | None = None
    ) -> tuple[int, "duckdb.DuckDBPyConnection"]:
        """Open as ``open`` does, and tell which version it is; ``threads`` and ``memory_gb`` bound its queries."""
        import duckdb

        for _ in range(TRIES):
            chosen = number if number is not None else self.current()
            if chosen is None:
                raise UsageError(
                    "a version must be published before it can be read; there is none. Run `shopkeeper run`."
                )
            path = self._folder(chosen) / "shop.duckdb"
            try:
                return chosen, self._open_file(path, threads, memory_gb)
            except duckdb.Error as error:
                # Between reading the pointer and opening the file, the version was pruned: read the pointer again.
                if path.exists():
                    raise StorageError(
                        f"version {chosen} must be a readable database; got: {str(error).splitlines()[0]}. Go back "
                        f"with `shopkeeper rollback`, or run `shopkeeper build` and `shopkeeper publish`."
                    ) from error
        raise StorageError(f"version {chosen} must stand in {self.root}; it is gone. Run `shopkeeper publish`.")

    def _open_file(
        self, path: Path, threads: int | None = None, memory_gb: float | None = None
    ) -> "duckdb.DuckDBPyConnection":
        connection = connect(scratch=self.root / "spill", threads=threads, memory_gb=memory_gb)
        try:
            connection.execute(f"attach {literal(str(path))} as {CATALOG} (read_only)")
            # A version of an older Shopkeeper may lack a schema.
            found = connection.execute(
                f"select schema_name from duckdb_schemas() where database_name = {literal(CATALOG)}"
            ).fetchall()
            schemas = ",".join(f"{CATALOG}.{schema}" for schema in v.PUBLISHED_SCHEMAS if (schema,) in found)
            connection.execute(f"use {CATALOG}")
            connection.execute(f"set search_path = {literal(schemas)}")
            fence(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _point(self, number: int, *, rolled_back: bool = False) -> None:
        draft = self.root / "current.draft"
        draft.write_text(str(number), "utf-8")
        _sync(draft)
        draft.replace(self._pointer)
        if not rolled_back:
            self._rolled_back.unlink(missing_ok=True)
        _sync(self.root)

    def _prune(self) -> None:
        for version in self.versions()[self.keep :]:
            if not version.is_current:
                shutil.rmtree(self._folder(version.number), ignore_errors=True)


def _copy_tables(
    warehouse: Path,
    draft: Path,
    beside: Callable[["duckdb.DuckDBPyConnection", Path], object] | None,
    tell: Callable[[str, int, int], None],
) -> dict[str, int]:
    """Copy the published schemas' tables, and write what stands beside them; return their rows by name."""
    counts: dict[str, int] = {}
    with connect(draft / "shop.duckdb", scratch=draft.with_name("spill")) as connection:
        connection.execute(f"attach {literal(str(warehouse))} as built (read_only)")
        schemas = ", ".join(map(literal, v.PUBLISHED_SCHEMAS))
        tables: list[tuple[Any, ...]] = connection.execute(
            f"select schema_name, table_name from duckdb_tables() where database_name = 'built' "
            f"and schema_name in ({schemas}) order by 1, 2"
        ).fetchall()
        for done, (schema, table) in enumerate(tables):
            name = f"{quote(schema)}.{quote(table)}"
            tell(f"{schema}.{table}", done, len(tables))
            connection.execute(f"create schema if not exists {quote(schema)}")
            connection.execute(f"create table {name} as from built.{name}")
            row = connection.execute(f"select count(*) from {name}").fetchone()
            counts[f"{schema}.{table}"] = int(row[0]) if row else 0
        connection.execute("detach built")
        connection.execute("checkpoint")
        if beside is not None:
            beside(connection, draft)
    return counts


def _write_known_ids(folder: Path, tables: Mapping[str, int]) -> None:
    """Write the ids that a version holds as sorted numbers (the first half of their md5), to be looked up without a scan."""
    import numpy as np

    with connect(folder / "shop.duckdb", read_only=True) as connection:
        for kind, (table, column, condition) in KNOWN_IDS.items():
            if table in tables:
                found = connection.execute(
                    f"select md5_number_upper({column}) as number from {table} where {condition} order by number"
                ).fetchnumpy()["number"]
                np.save(folder / f"{kind}_ids.npy", np.asarray(found, np.uint64))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
