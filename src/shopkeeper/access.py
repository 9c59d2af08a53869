"""Who may ask the API what: keys with scopes, kept as hashes in one SQLite file of the project.

A key is 32 random bytes. Only its SHA-256 is kept: a slow hash protects what people choose, for it makes guessing dear; of
2^256 equally likely keys nobody guesses any, however fast the hash, and a fast one lets every request be checked.
"""

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shopkeeper import vocabulary as v
from shopkeeper.errors import StorageError, UsageError

FILE = "access.sqlite"
PREFIX = "shk_"
BYTES, SHOWN, LONGEST_NAME = 32, 4, 64
_TABLES = """
create table if not exists keys (
    name text primary key, digest blob not null unique, hint text not null, scopes text not null,
    created_at text not null, expires_at text, revoked_at text
) without rowid;
create table if not exists secrets (name text primary key, value text not null) without rowid;
"""


@dataclass(frozen=True)
class Key:
    """What is kept of a key: its name, the SHA-256 of it, its last letters, what it may do, and until when.

    Moments are ISO 8601 in UTC; ``expires_at`` and ``revoked_at`` are None where it does not end, or was not ended.
    """

    name: str
    digest: bytes
    hint: str
    scopes: frozenset[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None

    def is_valid(self, now: datetime) -> bool:
        """Return whether it opens anything at a moment."""
        return self.revoked_at is None and (self.expires_at is None or now < datetime.fromisoformat(self.expires_at))

    def plain(self) -> dict[str, Any]:
        """Return what may be shown of it."""
        return {
            "name": self.name,
            "ends_with": self.hint,
            "scopes": sorted(self.scopes),
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "revoked_at": self.revoked_at,
        }


class Keys:
    """The keys of one project. What is changed here by another process is seen by the next ``refresh``."""

    def __init__(self, home: Path) -> None:
        """Keep keys in the folder ``home``; nothing is written before the first key is made."""
        self.path = home / FILE
        self._watched: sqlite3.Connection | None = None
        self._seen: tuple[int, int, int] | None = None
        self._by_start: dict[bytes, list[Key]] = {}
        self.is_open = True

    def add(self, name: str, scopes: Iterable[str], *, expires_at: datetime | None = None) -> str:
        """Make a key and return it: it is shown this once, and cannot be found again.

        Raises UsageError for a name that is taken or no plain word, no or an unknown scope, or an end that is past.
        """
        chosen = frozenset(scopes)
        if not (0 < len(name) <= LONGEST_NAME and all(letter.isalnum() or letter in "-_." for letter in name)):
            raise UsageError(
                f"a key's name must be letters, digits, - _ and ., at most {LONGEST_NAME}; got {name!r}. Name it otherwise."
            )
        if not chosen or (chosen - set(v.SCOPES)):
            got = ", ".join(sorted(chosen - set(v.SCOPES))) or "none"
            raise UsageError(
                f"a key's scopes must be some of {', '.join(v.SCOPES)}; got {got}. Name them with --scope."
            )
        now = datetime.now(UTC)
        if expires_at is not None and expires_at <= now:
            raise UsageError(f"a key must expire in the future; got {expires_at.isoformat()}. Name a later day.")
        made = PREFIX + secrets.token_urlsafe(BYTES)
        row = (name, digest_of(made), made[-SHOWN:], " ".join(sorted(chosen)), now.isoformat(timespec="seconds"))
        with self._writing() as connection:
            if connection.execute("select 1 from keys where name = ?", (name,)).fetchone():
                raise UsageError(
                    f"a key's name must be new; {name!r} is or was one's. Choose another: a name stands for one key for ever."
                )
            end = expires_at.astimezone(UTC).isoformat(timespec="seconds") if expires_at else None
            connection.execute("insert into keys values (?, ?, ?, ?, ?, ?, null)", (*row, end))
        return made

    def revoke(self, name: str) -> Key:
        """End a key, at once for every server of the project. May be repeated. Raises UsageError if there is none."""
        with self._writing() as connection:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            connection.execute("update keys set revoked_at = coalesce(revoked_at, ?) where name = ?", (now, name))
        for key in self.all():
            if key.name == name:
                return key
        known = ", ".join(key.name for key in self.all()) or "none"
        raise UsageError(
            f"a key to revoke must be one that was made ({known}); got {name!r}. See `shopkeeper keys list`."
        )

    def all(self) -> list[Key]:
        """Return every key that was ever made, by name."""
        if not self.path.exists():
            return []
        with self._connection() as connection:
            return _read(connection)

    def masking_secret(self) -> str:
        """Return the project's own secret with which ids are masked; made at the first call, the same ever after."""
        with self._writing() as connection:
            made = secrets.token_hex(BYTES)
            connection.execute("insert or ignore into secrets values ('masking', ?)", (made,))
            return str(connection.execute("select value from secrets where name = 'masking'").fetchone()[0])

    def refresh(self) -> None:
        """Take up what changed since the last call; cheap where nothing did.

        ``is_open`` tells from then on whether no key was ever made. Raises StorageError if the file cannot be read.
        """
        try:
            told = self.path.stat()
        except FileNotFoundError:
            if self._seen is not None:
                # A file that is gone takes all keys with it, and opens nothing.
                self._by_start, self.is_open = {}, False
            return
        try:
            if self._watched is None or self._seen is None or self._seen[:2] != (told.st_dev, told.st_ino):
                self._watched = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
                self._seen = None
            (version,) = self._watched.execute("pragma data_version").fetchone()
            now = (told.st_dev, told.st_ino, int(version))
            if now == self._seen:
                return
            found = _read(self._watched)
            self._seen = now
        except sqlite3.Error as error:
            raise StorageError(
                f"the keys must be readable; got: {error} in {self.path}. Give this user the right."
            ) from error
        self._by_start = {}
        for key in found:
            self._by_start.setdefault(key.digest[:8], []).append(key)
        self.is_open = not found

    def find(self, key: str, now: datetime | None = None) -> Key | None:
        """Return what is kept of a key that is valid now, as of the last ``refresh``; None if it opens nothing."""
        told = digest_of(key)
        for each in self._by_start.get(told[:8], ()):
            if hmac.compare_digest(each.digest, told) and each.is_valid(now or datetime.now(UTC)):
                return each
        return None

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self.path, timeout=10, isolation_level=None)
            try:
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise StorageError(
                f"the keys must be readable and writable; got: {error} in {self.path}. Give this user the right."
            ) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Nobody else of this machine is to read even the hashes.
        self.path.touch(mode=0o600, exist_ok=True)
        with self._connection() as connection:
            connection.executescript(_TABLES)
            connection.execute("begin immediate")
            try:
                yield connection
            except BaseException:
                connection.execute("rollback")
                raise
            connection.execute("commit")


def digest_of(key: str) -> bytes:
    """Return the SHA-256 of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _read(connection: sqlite3.Connection) -> list[Key]:
    if not connection.execute("select 1 from sqlite_master where name = 'keys'").fetchone():
        return []
    found = connection.execute(
        "select name, digest, hint, scopes, created_at, expires_at, revoked_at from keys order by name"
    ).fetchall()
    return [Key(row[0], bytes(row[1]), row[2], frozenset(row[3].split()), row[4], row[5], row[6]) for row in found]
