"""A dataset API that answers with a zip behind basic authentication: it is fetched, and its members are
files.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from shopkeeper.errors import OutsideError
from shopkeeper.mappings import Mapping as TableMapping
from shopkeeper.sources.files import FileSource
from shopkeeper.sources.source import Item, Known, Reading
from shopkeeper.sources.transfer import Downloads, Web, redact

ZIP_MARK = b"PK"


class DatasetSource:
    """The members of one dataset's zip; ``close`` removes what was fetched."""

    def __init__(
        self,
        name: str,
        url: str,
        mappings: Mapping[str, TableMapping],
        web: Web,
        *,
        timezone: str,
        scratch: Path,
    ) -> None:
        self.name = name
        self.url = url
        self.web = web
        self.downloads = Downloads(scratch)
        self.files = FileSource(name, "", mappings, timezone=timezone, scratch=scratch)

    @property
    def skipped(self) -> list[str]:
        """Which members were left out, and why."""
        return self.files.skipped

    def items(self, known: Known) -> Iterator[Item]:  # noqa: ARG002 - a member's bytes tell all
        """Fetch the dataset and yield its members.

        Raises OutsideError if the server refuses or does not answer with a zip, ContractError if that is
        damaged.
        """
        self.files.skipped.clear()
        self.downloads.drop(self.url)
        path = self._fetch()
        name = PurePosixPath(urlsplit(self.url).path).name.removesuffix(".zip") + ".zip"
        for item in self.files.members_of(path, name):
            _, *names = json.loads(item.locator)
            yield Item(item.name, item.table, item.mapping, item.fingerprint, item.size, json.dumps(names))

    def read(self, item: Item) -> AbstractContextManager[Reading]:
        """Open a member. Raises ContractError if its shape does not fit, OutsideError if it cannot be had."""
        return self.files.open_local(item, self._fetch(), tuple(json.loads(item.locator)))

    def close(self) -> None:
        """Remove what was fetched."""
        self.downloads.close()

    def _fetch(self) -> Path:
        return self.downloads.fetch(self.url, "dataset.zip", self._write)

    def _write(self, path: Path) -> None:
        self.web.download(self.url, path)
        with path.open("rb") as file:
            mark = file.read(2)
        if mark != ZIP_MARK:
            raise OutsideError(
                f"a dataset API must answer with a zip; got something else from {redact(self.url)}. Check "
                "the "
                f"address, and that the user may download it."
            )
