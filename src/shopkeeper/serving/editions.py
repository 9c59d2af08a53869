"""The published version as a server holds it: opened once, shared by all requests, exchanged when another is published.

An *edition* is one version opened for asking: its stored answers, its tables, its models. A request holds one edition from
its beginning to its end; an edition that was replaced is closed when the last request lets go of it. Nothing of two
versions is ever in one answer.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, RLock
from time import monotonic
from typing import TYPE_CHECKING, Any

from shopkeeper import answers
from shopkeeper.answers import Book
from shopkeeper.engine import connect
from shopkeeper.errors import ModelError, ShopkeeperError, StorageError
from shopkeeper.models.model import Model, Subject
from shopkeeper.published import CATALOG, Published, Version

if TYPE_CHECKING:
    import duckdb

MODEL = "model"
MEMORY_GB = 0.1
"""What the queries to one version may hold; larger ones spill to disk."""
THREADS = 2


class EditionGoneError(ShopkeeperError):
    """The version was removed from the disk before a part of it was read; the current one can be asked instead."""


class Working:
    """The connections that are at work, and since when, so that one at work for too long can be stopped."""

    def __init__(self) -> None:
        self._since: dict[int, tuple[duckdb.DuckDBPyConnection, float]] = {}

    @contextmanager
    def mark(self, connection: "duckdb.DuckDBPyConnection") -> Iterator[None]:
        """Note that a connection is at work."""
        self._since[id(connection)] = connection, monotonic()
        try:
            yield
        finally:
            del self._since[id(connection)]

    def stop(self, seconds: float) -> None:
        """Interrupt what has been at work for longer."""
        for connection, since in list(self._since.values()):
            if monotonic() - since > seconds:
                connection.interrupt()


class Models:
    """Loaded models by the digest of their files, so that versions that share a model share it in memory."""

    def __init__(self, subjects: Mapping[str, Subject]) -> None:
        """Load models of these subjects."""
        self.subjects = subjects
        self._loaded: dict[tuple[str, str], Model] = {}
        self._loading = Lock()
        self.working = Working()

    def load(self, name: str, folder: Path) -> Model:
        """Return the model of a subject in a folder. Raises ModelError if it cannot be read, EditionGoneError if it is gone."""
        try:
            told = (folder / MODEL / "model.json").read_bytes()
        except FileNotFoundError as error:
            raise EditionGoneError(f"a version's model of {name} must stand in {folder}; it is gone.") from error
        # model.json holds the digest of the arrays beside it.
        key = name, hashlib.sha256(told).hexdigest()
        with self._loading:
            if key not in self._loaded:
                try:
                    self._loaded[key] = self.subjects[name].load(folder / MODEL)
                except ModelError:
                    if not folder.exists():
                        raise EditionGoneError(
                            f"a version's model of {name} must stand in {folder}; it is gone."
                        ) from None
                    raise
            return self._loaded[key]

    def keep(self, used: set[int]) -> None:
        """Let go of the models whose ``id`` no edition uses."""
        with self._loading:
            self._loaded = {key: model for key, model in self._loaded.items() if id(model) in used}


class Edition:
    """One published version, opened. Its methods may be called from any thread."""

    def __init__(self, published: Published, number: int, models: Models, memory_gb: float = MEMORY_GB) -> None:
        """Open a version, whose queries may hold ``memory_gb``.

        Raises StorageError if it cannot be read; EditionGoneError if it was removed meanwhile.
        """
        try:
            told = published.version(number)
            if told is None:
                raise EditionGoneError(f"version {number} must stand in {published.root}; it is gone.")
            self.version: Version = told
            self.folder = published.folder(number)
            self._connection = published.open_numbered(number, threads=THREADS, memory_gb=memory_gb)[1]
        except StorageError as error:
            if not published.folder(number).exists():
                raise EditionGoneError(str(error)) from error
            raise
        self.number = number
        build = hashlib.sha256(f"{told.build_id} {told.published_at}".encode()).hexdigest()[:8]
        self.tag = f"v{number}-{build}"
        self.n_held = 0
        self.is_replaced = False
        self._models = models
        self._mine: dict[str, Model] = {}
        self._kept: dict[object, Any] = {}
        self._keeping = Lock()
        self._making: dict[object, RLock] = {}
        self._cursors: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
        try:
            self.book = self._book(published)
        except BaseException:
            self._connection.close()
            raise

    def _book(self, published: Published) -> Book:
        """Return the stored answers; of a version that an older Shopkeeper published, written now, beside the versions."""
        place = self.folder
        if not answers.stands(place):
            place = published.root / "answers" / self.tag
            if not answers.stands(place):
                place.mkdir(parents=True, exist_ok=True)
                # Writing wants more memory than questions do, for once.
                with published.open(self.number) as connection:
                    answers.write(connection, place)
        book = Book(place)
        book.warm()
        return book

    @contextmanager
    def cursor(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        """Lend a connection to the version's tables, fenced; names begin with their schema, as ``core.orders``."""
        try:
            cursor = self._cursors.get_nowait()
        except Empty:
            cursor = self._connection.cursor()
            cursor.execute(f"use {CATALOG}")
        with self._models.working.mark(cursor):
            yield cursor
        # One that was left by an error may hold an answer half read: it is not lent again.
        self._cursors.put(cursor)

    def model(self, subject: str) -> Model | None:
        """Return the model that serves with the version; None where none does.

        Raises ModelError if it cannot be read, EditionGoneError if the version is gone.
        """
        if subject not in self.version.models or subject not in self._models.subjects:
            return None
        if subject not in self._mine:
            self._mine[subject] = self._models.load(subject, self.folder / "models" / subject)
        return self._mine[subject]

    def subject(self, name: str) -> Subject:
        """Return a subject as the settings have it."""
        return self._models.subjects[name]

    def has_subject(self, name: str) -> bool:
        """Return whether a model of a subject serves with the version."""
        return name in self.version.models and name in self._models.subjects

    def keep(self, name: object, make: Callable[[], Any]) -> Any:
        """Return what ``make()`` gave at the first call for a name; who asks for another name meanwhile does not wait."""
        with self._keeping:
            making = self._making.setdefault(name, RLock())
        with making:
            if name not in self._kept:
                self._kept[name] = make()
            return self._kept[name]

    @property
    def used_models(self) -> set[int]:
        """The identities of the models that are loaded."""
        return {id(model) for model in self._mine.values()}

    @property
    def warm(self) -> tuple[str, ...]:
        """The subjects whose models are loaded."""
        return tuple(self._mine)

    def close(self) -> None:
        """Let go of all files."""
        self.book.close()
        while True:
            try:
                self._cursors.get_nowait().close()
            except Empty:
                break
        self._connection.close()


class Editions:
    """The edition that answers, and those that still do. ``look`` may run in a thread, all else on the server's loop."""

    def __init__(self, published: Published, subjects: Mapping[str, Subject], *, memory_gb: float = MEMORY_GB) -> None:
        """Serve the versions in ``published``; queries to one may hold ``memory_gb``."""
        self._published = published
        self._memory_gb = memory_gb
        self._models = Models(subjects)
        self._engines: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
        self.current: Edition | None = None
        self.problem = "no version is published yet: run `shopkeeper run`"
        self._held: list[Edition] = []

    @property
    def published(self) -> Published:
        """The published versions."""
        return self._published

    def look(self) -> Edition | None:
        """Return the version that the pointer names, opened, if it is another than the current; else None.

        Its models are those that the current edition has loaded already. Raises StorageError if it cannot be opened, and
        ModelError never: a model that cannot be read is told to who asks it.
        """
        number = self._published.current()
        if number is None or (self.current is not None and not self._is_other(number)):
            return None
        try:
            found = Edition(self._published, number, self._models, self._memory_gb)
        except EditionGoneError:
            return None
        for name in self.current.warm if self.current else ():
            try:
                found.model(name)
            except (ModelError, EditionGoneError):
                continue
        return found

    def _is_other(self, number: int) -> bool:
        """Return whether a version is not the one that is open, by its number or, after all was removed, by its making."""
        if self.current is None or self.current.number != number:
            return True
        told = self._published.version(number)
        return told is not None and told.published_at != self.current.version.published_at

    def take(self, found: Edition) -> None:
        """Make an edition the current one; the one before is closed once nobody holds it."""
        before, self.current = self.current, found
        self._held.append(found)
        if before is not None:
            before.is_replaced = True
            self._settle(before)

    def refresh(self) -> bool:
        """Look and take at once; return whether there is an edition now."""
        if (found := self.look()) is not None:
            self.take(found)
        return self.current is not None

    def hold(self) -> Edition | None:
        """Return the current edition for a request, which must ``release`` it."""
        if self.current is not None:
            self.current.n_held += 1
        return self.current

    def release(self, edition: Edition) -> None:
        """Let go of an edition."""
        edition.n_held -= 1
        if edition.is_replaced:
            self._settle(edition)

    def _settle(self, edition: Edition) -> None:
        if edition.n_held == 0 and edition in self._held:
            self._held.remove(edition)
            edition.close()
            self._models.keep(set().union(*(each.used_models for each in self._held)))

    @contextmanager
    def engine(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        """Lend an empty database in memory, in which rows that were handed in are worked on."""
        try:
            engine = self._engines.get_nowait()
        except Empty:
            engine = connect(threads=1, memory_gb=MEMORY_GB)
        with self._models.working.mark(engine):
            yield engine
        self._engines.put(engine)

    def stop(self, seconds: float) -> None:
        """Interrupt queries that take longer: who asked was told already."""
        self._models.working.stop(seconds)

    def close(self) -> None:
        """Close everything."""
        for edition in self._held:
            edition.close()
        self._held, self.current = [], None
