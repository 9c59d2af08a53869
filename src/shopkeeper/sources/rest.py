"""A REST endpoint that answers with pages of JSON records.

All pages are fetched into scratch as JSON lines, whose SHA-256 is the fingerprint: an answer that did not
change is known. With a cursor, the server is asked for what came at or after the last one.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urljoin, urlsplit

from shopkeeper.errors import OutsideError
from shopkeeper.mappings import Mapping as TableMapping
from shopkeeper.sources.conformity import check_timezone
from shopkeeper.sources.json_lines import read_json_lines
from shopkeeper.sources.outside import disk_trouble
from shopkeeper.sources.source import Item, Known, Reading
from shopkeeper.sources.transfer import Downloads, Web, redact

if TYPE_CHECKING:
    import requests

Style = Literal["none", "page", "offset", "cursor", "next", "link"]
MOST_PAGES = 100_000


@dataclass(frozen=True)
class Pages:
    """How an endpoint divides its answer.

    ``style``: ``page`` counts pages in ``parameter`` from ``first``; ``offset`` counts records; ``cursor``
    sends back the value found at ``path``; ``next`` follows the URL found at ``path``; ``link`` follows the
    Link header's rel=next; ``none`` is one page. ``size`` records are asked for in ``size_parameter``, if
    named; a page with fewer is the last, and so is one with none.
    """

    style: Style = "none"
    parameter: str = "page"
    first: int = 1
    path: str = "next"
    size_parameter: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Endpoint:
    """One URL and how its records are found and asked for.

    ``records``: where they are in the answer, such as ``data.items``; empty for the answer itself.
    ``cursor``: the field of a record that grows; ``cursor_parameter``: the parameter that asks from there on.
    """

    url: str
    records: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    pages: Pages = Pages()
    cursor: str | None = None
    cursor_parameter: str | None = None


class RestSource:
    """The records of one endpoint, for one table."""

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        table: str,
        mapping: TableMapping,
        web: Web,
        *,
        timezone: str,
        scratch: Path,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.table = table
        self.mapping = mapping
        self.web = web
        self.timezone = check_timezone(timezone)
        self.scratch = scratch
        self.downloads = Downloads(scratch)

    def items(self, known: Known) -> Iterator[Item]:
        """Fetch all pages and yield them as one item.

        Raises OutsideError if the server refuses or its answer is not what the endpoint declares,
        TransientError if trying again did not help.
        """
        since = known.cursors.get(self.table) if self.endpoint.cursor else None
        self.downloads.drop(since or "")
        path = self._fetch(since or "")
        with path.open("rb") as file:
            fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
        name = f"{self.name}{urlsplit(self.endpoint.url).path}"
        yield Item(name, self.table, self.mapping, fingerprint, path.stat().st_size, since or "", is_window=True)

    def read(self, item: Item) -> AbstractContextManager[Reading]:
        """Open what was fetched. Raises ContractError if its shape does not fit."""
        return self._reading(item)

    def close(self) -> None:
        """Remove what was fetched."""
        self.downloads.close()

    @contextmanager
    def _reading(self, item: Item) -> Iterator[Reading]:
        path = self._fetch(item.locator)
        try:
            if path.stat().st_size == 0:
                yield Reading(iter(()), 0, [], item.locator or None)
                return
            with read_json_lines(path, item.name, item.mapping, self.timezone, self.scratch) as reading:
                reading.cursor = self._largest_cursor(path) or item.locator or None
                yield reading
        finally:
            self.downloads.drop(item.locator)

    def _fetch(self, since: str) -> Path:
        return self.downloads.fetch(since, "records.jsonl", lambda path: self._write(path, since))

    def _write(self, path: Path, since: str) -> None:
        with disk_trouble(path.parent):
            sink = path.open("w", encoding="utf-8")
        with sink:
            for page in Pager(self.endpoint, self.web, since).pages():
                text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in page)
                with disk_trouble(path.parent):
                    sink.write(text)

    def _largest_cursor(self, path: Path) -> str | None:
        if self.endpoint.cursor is None:
            return None
        with path.open(encoding="utf-8") as file:
            values = [_at(json.loads(line), self.endpoint.cursor) for line in file]
        found = [value for value in values if value is not None]
        if not found:
            return None
        numeric = all(isinstance(value, int | float) for value in found)
        return str(max(found)) if numeric else max(str(value) for value in found)


@dataclass
class Pager:
    """One walk over an endpoint's pages."""

    endpoint: Endpoint
    web: Web
    since: str
    fetched: int = 0
    previous: Any = None

    def pages(self) -> Iterator[list[Any]]:
        """Yield the records of each page.

        Raises OutsideError if the server gives the same page twice, no JSON, no records where they should be,
        or a next page on another host.
        """
        url: str | None = self.endpoint.url
        parameters: dict[str, str] | None = self._first_parameters()
        for number in range(MOST_PAGES):
            if url is None:
                return
            response = self.web.get(url, parameters)
            answer = self._json(response)
            page = self._records(answer)
            if page and page == self.previous:
                raise self._error("each page must differ from the one before", "the same page twice", "pages")
            self.previous = page
            self.fetched += len(page)
            yield page
            url, parameters = self._next(number, page, answer, response, parameters)
        raise self._error(f"there must be fewer than {MOST_PAGES} pages", "more", "pages")

    def _first_parameters(self) -> dict[str, str]:
        pages = self.endpoint.pages
        parameters = dict(self.endpoint.parameters)
        if self.since and self.endpoint.cursor_parameter:
            parameters[self.endpoint.cursor_parameter] = self.since
        if pages.size and pages.size_parameter:
            parameters[pages.size_parameter] = str(pages.size)
        if pages.style == "page":
            parameters[pages.parameter] = str(pages.first)
        if pages.style == "offset":
            parameters[pages.parameter] = "0"
        return parameters

    def _next(
        self,
        number: int,
        page: list[Any],
        answer: Any,
        response: "requests.Response",
        parameters: dict[str, str] | None,
    ) -> tuple[str | None, dict[str, str] | None]:
        pages = self.endpoint.pages
        if pages.style in {"page", "offset"}:
            if not page or (pages.size and len(page) < pages.size):
                return None, None
            at = pages.first + number + 1 if pages.style == "page" else self.fetched
            return self.endpoint.url, {**(parameters or {}), pages.parameter: str(at)}
        if pages.style == "cursor":
            value = _at(answer, pages.path)
            return (self.endpoint.url, {**(parameters or {}), pages.parameter: str(value)}) if value else (None, None)
        if pages.style == "next":
            return self._same_host(_at(answer, pages.path)), None
        if pages.style == "link":
            return self._same_host(response.links.get("next", {}).get("url")), None
        return None, None

    def _same_host(self, url: Any) -> str | None:
        if not url:
            return None
        full = urljoin(self.endpoint.url, str(url))
        # A token goes to the host the settings name, not where an answer points to.
        if urlsplit(full)[:2] != urlsplit(self.endpoint.url)[:2]:
            raise self._error("the next page must be on the same host", repr(redact(full)), "url")
        return full

    def _json(self, response: "requests.Response") -> Any:
        try:
            return response.json()
        except ValueError:
            kind = response.headers.get("Content-Type", "nothing")
            raise self._error("the answer must be JSON", kind, "url") from None

    def _records(self, answer: Any) -> list[Any]:
        found = _at(answer, self.endpoint.records)
        if not isinstance(found, list):
            keys = ", ".join(map(str, answer)) if isinstance(answer, dict) else type(answer).__name__
            raise self._error(
                f"records must be a list at {self.endpoint.records or 'the top'!r}",
                f"an answer with {keys}",
                "records",
            )
        return found

    def _error(self, rule: str, got: str, setting: str) -> OutsideError:
        return OutsideError(f"{rule}; got {got} from {redact(self.endpoint.url)}. Check the setting {setting}.")


def _at(value: Any, path: str) -> Any:
    for part in filter(None, path.split(".")):
        value = value.get(part) if isinstance(value, dict) else None
    return value
