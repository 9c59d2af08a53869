"""gzip and zip files: their members as files of their own, unpacked into scratch and never past a limit.

A member's path is only a name: nothing is ever written where it says. Archives in an archive are opened one
level deep.
"""

import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shopkeeper.errors import ContractError
from shopkeeper.sources.outside import disk_trouble

CHUNK = 1024 * 1024
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile, NotImplementedError, UnicodeError)


@dataclass(frozen=True)
class Limits:
    """How far unpacking may go: ``size`` bytes in all, and ``ratio`` to what is packed once past
    ``ratio_from``.
    """

    size: int = 50 * 1024**3
    ratio: int = 1000
    ratio_from: int = 100 * 1024**2


@dataclass(frozen=True)
class Member:
    """One file inside of an archive: the names that lead to it, its unpacked size as declared, its
    SHA-256.
    """

    names: tuple[str, ...]
    size: int
    fingerprint: str


class Readable(Protocol):
    """What gives bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""


def members(path: Path, where: str, folder: Path, limits: Limits) -> Iterator[Member]:
    """Yield the files in a zip archive, those of archives in it included, by name.

    Raises ContractError if the archive is damaged, locked, or unpacks to more than the limits allow.
    """
    yield from _members(path, where, folder, limits, ())


def unpack(path: Path, names: tuple[str, ...], where: str, folder: Path, limits: Limits) -> Path:
    """Unpack the member that ``names`` lead to, and what is gzipped, and return the file in ``folder``.

    Raises ContractError as ``members`` does, StorageError if the folder is full.
    """
    current = path
    for level, name in enumerate(names):
        target = folder / f"member-{level}{_suffixes(name)}"
        with _trouble(where), zipfile.ZipFile(current) as archive, archive.open(name) as source:
            _copy(source, target, archive.getinfo(name).compress_size, where, limits)
        current = target
    if current.suffix.lower() == ".gz":
        target = folder / f"unzipped{Path(current.stem).suffix}"
        with _trouble(where), gzip.open(current) as source:
            _copy(source, target, current.stat().st_size, where, limits)
        current = target
    return current


def _members(path: Path, where: str, folder: Path, limits: Limits, outer: tuple[str, ...]) -> Iterator[Member]:
    with _trouble(where), zipfile.ZipFile(path) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if info.is_dir() or _is_hidden(info.filename):
                continue
            names = (*outer, info.filename)
            if info.filename.lower().endswith(".zip") and not outer:
                inner = folder / "inner.zip"
                with archive.open(info) as source:
                    _copy(source, inner, info.compress_size, where, limits)
                yield from _members(inner, f"{where}/{info.filename}", folder, limits, names)
                continue
            with archive.open(info) as source:
                digest = hashlib.sha256()
                for chunk in _bounded(source, info.compress_size, where, limits):
                    digest.update(chunk)
            yield Member(names, info.file_size, digest.hexdigest())


def bounded_chunks(source: Readable, packed: int, where: str, limits: Limits) -> Iterator[bytes]:
    """Yield what an archive member unpacks to, refusing to go past the limits.

    Raises ContractError when it would.
    """
    yield from _bounded(source, packed, where, limits)


def _bounded(source: Readable, packed: int, where: str, limits: Limits) -> Iterator[bytes]:
    unpacked = 0
    while chunk := source.read(CHUNK):
        unpacked += len(chunk)
        swollen = unpacked > limits.ratio_from and unpacked > limits.ratio * max(packed, 1)
        if unpacked > limits.size or swollen:
            raise ContractError(
                f"an archive must unpack to at most {limits.size} bytes and {limits.ratio} times its size; "
                "got more "
                f"than {unpacked} bytes from {packed} in {where}. It may be a zip bomb: unpack it by hand if "
                "you "
                f"trust it."
            )
        yield chunk


def _copy(source: Readable, target: Path, packed: int, where: str, limits: Limits) -> None:
    with disk_trouble(target.parent):
        sink = target.open("wb")
    with sink:
        for chunk in _bounded(source, packed, where, limits):
            with disk_trouble(target.parent):
                sink.write(chunk)


@contextmanager
def _trouble(where: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ContractError(
            f"an archive must open without a password; got {str(error)!r} in {where}. Unpack it by hand."
        ) from None
    except DAMAGE as error:
        raise ContractError(
            f"an archive must be whole; got {str(error) or 'an early end'!r} in {where}. Fetch or export it again."
        ) from None


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in Path(name).parts if part not in {"..", "."})


def _suffixes(name: str) -> str:
    # A suffix tells the type and nothing else; it must not lead anywhere.
    suffixes = Path(name.replace("\\", "/")).suffixes[-2:]
    return "".join(suffix for suffix in suffixes if suffix[1:].isalnum())
