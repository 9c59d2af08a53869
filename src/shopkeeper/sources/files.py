"""Files on this machine: a path, a folder, a glob; text, workbooks, Parquet, and archives of them."""

import glob
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatch
from pathlib import Path

from shopkeeper.errors import ContractError, OutsideError, StorageError
from shopkeeper.mappings import Mapping as TableMapping
from shopkeeper.sources.archive import Limits, members, unpack
from shopkeeper.sources.conformity import check_timezone
from shopkeeper.sources.delimited import read_delimited
from shopkeeper.sources.json_lines import read_json_lines
from shopkeeper.sources.outside import read_trouble, scratch_folder
from shopkeeper.sources.parquet import read_parquet
from shopkeeper.sources.source import Item, Known, Reading
from shopkeeper.sources.spreadsheet import read_spreadsheet

TYPES = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".psv", ".txt"), "delimited"),
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "spreadsheet"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "json lines"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
}
HASHERS = 2
WILDCARDS = frozenset("*?[")


class FileSource:
    """Files below a path.

    ``path`` is a file, a folder (read with all its folders) or a glob. ``mappings``: table name → mapping; a
    file belongs to the first whose ``files`` matches its name, whatever the case of letters. ``timezone`` is
    the shop's. ``skipped`` says after ``items()`` which files were left out on purpose, and why;
    ``failed`` which could not be read, and the error.
    """

    def __init__(
        self,
        name: str,
        path: str | Path,
        mappings: Mapping[str, TableMapping],
        *,
        timezone: str,
        scratch: Path,
        limits: Limits | None = None,
    ) -> None:
        self.name = name
        self.path = str(Path(path).expanduser())
        self.mappings = dict(mappings)
        self.timezone = check_timezone(timezone)
        self.scratch = scratch
        self.limits = limits or Limits()
        self.skipped: list[str] = []
        self.failed: list[tuple[str, str]] = []

    def items(self, known: Known) -> Iterator[Item]:  # noqa: ARG002 - a file's bytes tell all
        """Yield each file and each member of an archive, in the order of their names.

        Raises OutsideError if the path does not exist, StorageError if a file may not be read, ContractError
        if a file given by itself is of a type that is not read.
        """
        self.skipped = []
        self.failed = []
        single = os.path.isfile(self.path)  # noqa: PTH113 - the path may be a glob
        paths = list(self._paths())
        with ThreadPoolExecutor(HASHERS) as hashers:
            prints = {
                path: hashers.submit(fingerprint_of, path)
                for path, name in paths
                if file_type(name) and path.suffix.lower() != ".zip"
            }
            for path, name in paths:
                before = len(self.skipped)
                found = list(self._items_of(path, name, prints.get(path)))
                if single and not found and len(self.skipped) > before:
                    raise ContractError(f"a file must be one we can read; {self.skipped[-1]}. Convert or map it.")
                yield from found

    def read(self, item: Item) -> AbstractContextManager[Reading]:
        """Open a file. Raises ContractError if its shape does not fit, OutsideError if it cannot be had."""
        path, *names = json.loads(item.locator)
        return self.open_local(item, Path(path), tuple(names))

    @contextmanager
    def open_local(self, item: Item, path: Path, names: tuple[str, ...]) -> Iterator[Reading]:
        """Open the file at ``path``, or the member of it that ``names`` lead to, as ``item``.

        Raises ContractError if its shape does not fit, OutsideError or StorageError if it cannot be had.
        """
        with scratch_folder(self.scratch) as folder:
            with read_trouble(item.name):
                path.open("rb").close()
                local = unpack(path, names, item.name, folder, self.limits)
            with open_file(local, item.name, item.mapping, self.timezone, folder) as reading:
                yield reading

    def _paths(self) -> Iterator[tuple[Path, str]]:
        root = Path(self.path)
        if root.is_file():
            yield root, root.name
        elif root.is_dir():
            with read_trouble(self.path):
                os.listdir(root)  # noqa: PTH208 - walking tells nothing of missing rights
            found = sorted(path for path in root.rglob("*") if path.is_file())
            yield from ((path, path.relative_to(root).as_posix()) for path in found)
        elif WILDCARDS & set(self.path):
            base = _before_wildcards(self.path)
            found = sorted(Path(name) for name in glob.glob(self.path, recursive=True))  # noqa: PTH207
            files = [path for path in found if path.is_file()]
            if not files:
                raise OutsideError(f"a path must match at least one file; got {self.path}. Check the pattern.")
            yield from ((path, path.relative_to(base).as_posix()) for path in files)
        else:
            raise OutsideError(f"a path must exist; got {self.path}. Check its spelling.")

    def _items_of(self, path: Path, name: str, fingerprint: "Future[str] | None") -> Iterator[Item]:
        if any(part.startswith((".", "~$")) for part in Path(name).parts):
            return
        try:
            with read_trouble(name):
                if path.suffix.lower() == ".zip":
                    yield from self.members_of(path, name)
                elif (table := self.table_of(name)) and fingerprint is not None:
                    locator = json.dumps([str(path)])
                    yield Item(name, table, self.mappings[table], fingerprint.result(), path.stat().st_size, locator)
        except (ContractError, StorageError) as error:
            # One bad file must not keep the others out; reading it by itself tells the whole story.
            if os.path.isfile(self.path):  # noqa: PTH113
                raise
            self.failed.append((name, str(error)))

    def members_of(self, path: Path, name: str) -> Iterator[Item]:
        """Yield the files of a zip archive that belong to a table. Raises ContractError if it is damaged."""
        with scratch_folder(self.scratch) as folder:
            for member in members(path, name, folder, self.limits):
                inner = "/".join((name, *member.names))
                if table := self.table_of(inner):
                    locator = json.dumps([str(path), *member.names])
                    yield Item(inner, table, self.mappings[table], member.fingerprint, member.size, locator)

    def table_of(self, name: str) -> str | None:
        """Return the table a file of this name belongs to; None, and a word in ``skipped``, if to none."""
        if file_type(name) is None:
            self.skipped.append(f"{name}: its type is not among {', '.join((*TYPES, '.gz', '.zip'))}")
            return None
        for table, mapping in self.mappings.items():
            if fnmatch(name.lower(), mapping.files.lower()):
                return table
        self.skipped.append(f"{name}: no table's files pattern matches it")
        return None


def fingerprint_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_type(name: str) -> str | None:
    """Return what a file of this name holds, compressed or not; None if we cannot read it."""
    path = Path(name.lower().removesuffix(".gz"))
    return TYPES.get(path.suffix)


def open_file(
    path: Path, where: str, mapping: TableMapping, timezone: str, scratch: Path
) -> AbstractContextManager[Reading]:
    """Open an unpacked file by the reader for its type; ``where`` is its name in messages and tells the type.

    Raises ContractError if its shape does not fit, OutsideError if it cannot be had.
    """
    kind = file_type(where)
    if kind == "spreadsheet":
        return read_spreadsheet(path, where, mapping, timezone)
    if kind == "parquet":
        return read_parquet(path, where, mapping, timezone, scratch)
    if kind == "json lines":
        return read_json_lines(path, where, mapping, timezone, scratch)
    return read_delimited(path, where, mapping, timezone, scratch)


def _before_wildcards(pattern: str) -> Path:
    fixed = []
    for part in Path(pattern).parts:
        if WILDCARDS & set(part):
            break
        fixed.append(part)
    return Path(*fixed)
