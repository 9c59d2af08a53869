"""Files elsewhere: ``https://``, ``http://``, and the objects of ``s3://`` and ``gs://``.

They are downloaded into scratch and read as files. An object is known by its name and the version its store
gives it (the ETag), so that what was loaded before is not fetched again; members of an archive are known by
their content, for which the archive is fetched.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from shopkeeper.errors import OutsideError, TransientError
from shopkeeper.mappings import Mapping as TableMapping
from shopkeeper.sources.files import WILDCARDS, FileSource, file_type
from shopkeeper.sources.outside import disk_trouble
from shopkeeper.sources.source import Item, Known, Reading
from shopkeeper.sources.transfer import Downloads, Retries, Web, redact

if TYPE_CHECKING:
    import pyarrow.fs

Result = TypeVar("Result")
CHUNK = 1024 * 1024
NETWORK_SIGNS = ("timeout", "timed out", "network_connection", "slow_down", "unavailable", "curl", "code: 5")


@dataclass(frozen=True)
class RemoteFile:
    """A file in a store: its name below what was asked for, where it is, its version (None: unknown) and
    size.
    """

    name: str
    address: str
    version: str | None
    size: int


class Store(Protocol):
    """A place that lists files and gives them."""

    def list(self) -> Iterator[RemoteFile]:
        """Yield the files in the order of their names."""

    def download(self, address: str, target: Path) -> None:
        """Write one of them to a file."""


class RemoteSource:
    """The files of a store, read as those of a folder.

    ``skipped`` says after ``items()`` which were left out, and why. ``close`` removes what was downloaded.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        mappings: Mapping[str, TableMapping],
        *,
        timezone: str,
        scratch: Path,
    ) -> None:
        self.name = name
        self.store = store
        self.downloads = Downloads(scratch)
        self.files = FileSource(name, "", mappings, timezone=timezone, scratch=scratch)

    @property
    def skipped(self) -> list[str]:
        """Which files were left out, and why."""
        return self.files.skipped

    def items(self, known: Known) -> Iterator[Item]:  # noqa: ARG002 - versions tell what changed
        """Yield each file and each member of an archive.

        Raises OutsideError if there is nothing or it cannot be listed, TransientError if trying again did not
        help.
        """
        self.files.skipped.clear()
        for found in self.store.list():
            if found.name.lower().endswith(".zip"):
                yield from self._members(found)
            elif not PurePosixPath(found.name).name.startswith(".") and (table := self.files.table_of(found.name)):
                fingerprint = self._fingerprint(found)
                locator = json.dumps([found.address])
                yield Item(found.name, table, self.files.mappings[table], fingerprint, found.size, locator)

    def read(self, item: Item) -> AbstractContextManager[Reading]:
        """Fetch and open a file.

        Raises ContractError if its shape does not fit, OutsideError if it is not to be had.
        """
        return self._reading(item)

    def close(self) -> None:
        """Remove what was downloaded."""
        self.downloads.close()

    @contextmanager
    def _reading(self, item: Item) -> Iterator[Reading]:
        address, *names = json.loads(item.locator)
        path = self._fetch(address, item.name)
        try:
            with self.files.open_local(item, path, tuple(names)) as reading:
                yield reading
        finally:
            if not names:
                self.downloads.drop(address)

    def _members(self, found: RemoteFile) -> Iterator[Item]:
        path = self._fetch(found.address, found.name)
        for item in self.files.members_of(path, found.name):
            _, *names = json.loads(item.locator)
            yield Item(
                item.name,
                item.table,
                item.mapping,
                item.fingerprint,
                item.size,
                json.dumps([found.address, *names]),
            )

    def _fingerprint(self, found: RemoteFile) -> str:
        if found.version is not None:
            return hashlib.sha256(f"{found.name}\n{found.version}".encode()).hexdigest()
        with self._fetch(found.address, found.name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _fetch(self, address: str, name: str) -> Path:
        base = PurePosixPath(name).name
        return self.downloads.fetch(address, base, lambda path: self.store.download(address, path))


@dataclass(frozen=True)
class WebStore:
    """One file behind a URL; ``filename`` names it where the URL's path does not."""

    url: str
    web: Web
    filename: str | None = None

    def list(self) -> Iterator[RemoteFile]:
        """Yield the file; its version is the ETag, or its date and length, if the server tells them."""
        name = self.filename or PurePosixPath(unquote(urlsplit(self.url).path)).name
        if file_type(name) is None and not name.lower().endswith(".zip"):
            raise OutsideError(
                f"a URL must end in a file's name with its type, such as .csv; got {redact(self.url)}. "
                f"Set filename to the name it should have."
            )
        answer = self.web.head(self.url)
        headers = answer.headers if answer is not None else {}
        size = int(headers.get("Content-Length", 0) or 0)
        version = headers.get("ETag")
        if version is None and "Last-Modified" in headers and "Content-Length" in headers:
            version = f"{headers['Last-Modified']} {size}"
        yield RemoteFile(name, self.url, version, size)

    def download(self, address: str, target: Path) -> None:
        """Write the file to ``target``."""
        self.web.download(address, target)


@dataclass(frozen=True)
class BucketStore:
    """Objects of a bucket: one, those below a prefix, or those a pattern matches.

    ``location`` is bucket/key; in a pattern, ``*`` matches slashes too.
    """

    location: str
    filesystem: "pyarrow.fs.FileSystem"
    retries: Retries = Retries()  # noqa: RUF009 - it is frozen

    def list(self) -> Iterator[RemoteFile]:
        """Yield the objects; the version of each is its ETag."""
        from pyarrow import fs

        base = self._base()
        info = self._ask(lambda: self.filesystem.get_file_info(base))
        if info.type == fs.FileType.File:
            yield self._file(info, base.rpartition("/")[0])
            return
        selector = fs.FileSelector(base, recursive=True, allow_not_found=True)
        found = self._ask(lambda: self.filesystem.get_file_info(selector))
        files = sorted(
            (info for info in found if info.type == fs.FileType.File and self._matches(info.path)),
            key=lambda info: str(info.path),
        )
        if not files:
            raise OutsideError(f"a location must hold at least one object; got {self.location}. Check its spelling.")
        yield from (self._file(info, base) for info in files)

    def download(self, address: str, target: Path) -> None:
        """Write an object to ``target``."""
        self._ask(lambda: self._copy(address, target))

    def _copy(self, address: str, target: Path) -> None:
        with self.filesystem.open_input_stream(address) as source, target.open("wb") as sink:
            while chunk := source.read(CHUNK):
                with disk_trouble(target.parent):
                    sink.write(chunk)

    def _base(self) -> str:
        parts = []
        for part in self.location.strip("/").split("/"):
            if WILDCARDS & set(part):
                break
            parts.append(part)
        return "/".join(parts)

    def _matches(self, path: str) -> bool:
        pattern = self.location.strip("/")
        return not WILDCARDS & set(pattern) or fnmatchcase(path, pattern)

    def _file(self, info: "pyarrow.fs.FileInfo", base: str) -> RemoteFile:
        path = str(info.path)
        metadata = self._ask(lambda: self._metadata(path))
        # Not every store tells an ETag; its date and size then stand for it.
        version = metadata.get("ETag") or metadata.get("etag") or f"{info.mtime_ns} {info.size}"
        return RemoteFile(path.removeprefix(base).lstrip("/"), path, version, int(info.size or 0))

    def _metadata(self, path: str) -> dict[str, str]:
        with self.filesystem.open_input_stream(path) as stream:
            found = stream.metadata() or {}
        return {_as_text(key): _as_text(value) for key, value in found.items()}

    def _ask(self, action: Callable[[], Result]) -> Result:
        return self.retries.call(lambda: _translated(action, self.location))


def bucket_filesystem(
    scheme: str,
    secrets: Mapping[str, str],
    *,
    endpoint: str | None = None,
    region: str | None = None,
    anonymous: bool = False,
) -> "pyarrow.fs.FileSystem":
    """Return the file system of ``s3`` or ``gs``.

    ``secrets``: access_key, secret_key and session_token for S3, access_token for GCS; without them the
    library looks at the environment's standard variables. Raises OutsideError if the library cannot be set
    up.
    """
    from pyarrow import fs

    server = urlsplit(endpoint) if endpoint and "://" in endpoint else None
    options = {
        "anonymous": anonymous,
        "scheme": server.scheme if server else "https",
        "endpoint_override": server.netloc if server else endpoint,
    }
    options = {key: value for key, value in options.items() if value is not None}
    try:
        if scheme == "gs":
            token = secrets.get("access_token")
            expiry = {"credential_token_expiration": datetime.now(UTC) + timedelta(hours=1)} if token else {}
            return fs.GcsFileSystem(access_token=token, **expiry, **options)
        if region:
            options["region"] = region
        return fs.S3FileSystem(
            access_key=secrets.get("access_key"),
            secret_key=secrets.get("secret_key"),
            session_token=secrets.get("session_token"),
            **options,
        )
    except (OSError, ValueError) as error:
        raise OutsideError(
            f"credentials and endpoint must fit one another; got {type(error).__name__} for {scheme}://. "
            "Give both "
            f"access_key and secret_key, or neither."
        ) from None


def _translated(action: Callable[[], Result], location: str) -> Result:
    try:
        return action()
    except OSError as error:
        said = str(error)
        if any(sign in said.lower() for sign in NETWORK_SIGNS):
            raise TransientError(
                f"the object store must answer; got {_kind(said)} for {location}. Check the network and endpoint."
            ) from None
        raise OutsideError(
            f"an object must be readable; got {_kind(said)} for {location}. Check the name, the credentials "
            "and "
            f"their rights."
        ) from None


def _kind(said: str) -> str:
    # The stores' own texts can show keys and signed requests; the error's code says enough.
    codes = re.findall(r"AWS Error (\w+)|HTTP (?:status|response code):? ?(\d+)", said)
    return next((code for pair in codes for code in pair if code), "an error")


def _as_text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
