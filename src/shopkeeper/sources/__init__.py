"""Places rows come from, and the shape every one of them gives."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from shopkeeper.errors import SettingsError
from shopkeeper.mappings import Mapping as TableMapping
from shopkeeper.sources.source import Source
from shopkeeper.sources.transfer import Retries, Web

if TYPE_CHECKING:
    from shopkeeper.sources.object_store import Store
    from shopkeeper.sources.rest import Pages

WORDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "whole number": (int,),
    "table": (dict,),
    "truth value": (bool,),
}
OPTIONS: dict[str, dict[str, str]] = {
    "files": {
        "path": "text",
        "filename": "text",
        "endpoint": "text",
        "region": "text",
        "anonymous": "truth value",
        "attempts": "whole number",
    },
    "postgres": {"tables": "table", "queries": "table", "cursors": "table", "attempts": "whole number"},
    "rest": {
        "url": "text",
        "table": "text",
        "records": "text",
        "parameters": "table",
        "pages": "table",
        "cursor": "text",
        "cursor_parameter": "text",
        "token_header": "text",
        "attempts": "whole number",
    },
    "dataset_api": {"url": "text", "attempts": "whole number"},
}
REQUIRED = {"files": "path", "rest": "url", "dataset_api": "url"}
SCHEMES = ("https://", "http://", "s3://", "gs://")


def open_source(
    name: str,
    kind: str,
    options: Mapping[str, Any],
    mappings: dict[str, TableMapping],
    *,
    timezone: str,
    scratch: Path,
    secrets: Mapping[str, str],
    retries: Retries | None = None,
) -> Source:
    """Return the source that the settings describe.

    ``timezone`` is the shop's; ``scratch`` a folder for temporary files; ``secrets`` the source's own;
    ``retries`` how patiently to try again what is transient. Every kind knows ``attempts`` (5): how often a
    transient failure is tried in all.

    ``files``:
      ``path``: a file, a folder, a glob, or a URL with https://, http://, s3:// or gs://.
      ``filename``: the name of what an http URL gives, where the URL does not end in one.
      ``endpoint``: the server of an S3- or GCS-compatible store. ``region``: of an S3 bucket.
      ``anonymous`` (false): whether to read a public bucket without credentials.
      Secrets: ``user`` and ``password``, or ``token`` (bearer), for http; ``access_key``, ``secret_key``,
      ``session_token`` for S3; ``access_token`` for GCS; else the environment's standard variables.
    ``postgres``:
      ``tables``: table of the mapping → table of the database. ``queries``: table of the mapping → SQL.
      ``cursors``: table of the mapping → the column that grows. Secret: ``dsn``.
    ``rest``:
      ``url``. ``table``: the mapped table it fills (may be left out if there is one).
      ``records``: where the records are in an answer, such as ``data.items``. ``parameters``: for the first
      page.
      ``pages``: ``style`` (none, page, offset, cursor, next, link), ``parameter``, ``first``, ``path``,
      ``size_parameter``, ``size``; see ``rest.Pages``.
      ``cursor``: the field of a record that grows; ``cursor_parameter``: the parameter that asks from there
      on.
      ``token_header``: the header that takes the token, instead of Authorization. Secret: ``token``, or
      ``user`` and ``password``.
    ``dataset_api``:
      ``url`` of the zip. Secrets: ``user`` and ``password``, or ``token``.

    Raises SettingsError for an unknown kind or option, one of the wrong type, or one that is missing.
    """
    _check(name, kind, options)
    patience = retries or Retries()
    patience = replace(patience, attempts=options.get("attempts", patience.attempts))
    opening = _Opening(name, options, mappings, timezone, scratch, secrets, patience)
    makers = {
        "files": opening.files,
        "postgres": opening.postgres,
        "rest": opening.rest,
        "dataset_api": opening.dataset_api,
    }
    return makers[kind]()


def _check(name: str, kind: str, options: Mapping[str, Any]) -> None:
    if kind not in OPTIONS:
        raise SettingsError(
            f"a source's kind must be one of {', '.join(OPTIONS)}; got {kind!r} in source {name!r}. Choose one."
        )
    known = OPTIONS[kind]
    for option, value in options.items():
        if option not in known:
            raise SettingsError(
                f"options of {kind} must be among {', '.join(known)}; got {option!r} in source {name!r}. Remove it."
            )
        if not isinstance(value, WORDS[known[option]]):
            raise SettingsError(f"{option} must be a {known[option]}; got {value!r} in source {name!r}. Write it so.")
    needed = REQUIRED.get(kind)
    if needed and not options.get(needed):
        raise SettingsError(f"a source of kind {kind} must have {needed}; got none in source {name!r}. Add it.")


@dataclass(frozen=True)
class _Opening:
    """Checked options on their way to a source; one method for each kind."""

    name: str
    options: Mapping[str, Any]
    mappings: dict[str, TableMapping]
    timezone: str
    scratch: Path
    secrets: Mapping[str, str]
    retries: Retries

    def files(self) -> Source:
        path = str(self.options["path"])
        if not path.startswith(SCHEMES):
            from shopkeeper.sources.files import FileSource

            return FileSource(self.name, path, self.mappings, timezone=self.timezone, scratch=self.scratch)
        from shopkeeper.sources.object_store import RemoteSource

        store = self._store(path)
        return RemoteSource(self.name, store, self.mappings, timezone=self.timezone, scratch=self.scratch)

    def postgres(self) -> Source:
        from shopkeeper.sources.database import PostgresSource, Relation

        if "dsn" not in self.secrets:
            raise SettingsError(
                f"a source of kind postgres must have the secret dsn; got none for {self.name!r}. Add dsn to "
                f"secrets.toml."
            )
        cursors = self.options.get("cursors", {})
        tables, queries = self.options.get("tables", {}), self.options.get("queries", {})
        for table in (*tables, *queries, *cursors):
            self._mapping(table)
        relations = {table: Relation.table(found, cursors.get(table)) for table, found in tables.items()}
        relations |= {table: Relation(table, sql.rstrip("; \n"), cursors.get(table)) for table, sql in queries.items()}
        if not relations:
            raise SettingsError(
                f"a source of kind postgres must name tables or queries; got none in {self.name!r}. Add one."
            )
        return PostgresSource(
            self.name,
            self.secrets["dsn"],
            relations,
            self.mappings,
            timezone=self.timezone,
            scratch=self.scratch,
            retries=self.retries,
        )

    def rest(self) -> Source:
        from shopkeeper.sources.rest import Endpoint, RestSource

        only = next(iter(self.mappings)) if len(self.mappings) == 1 else None
        table = self.options.get("table") or only
        mapping = self._mapping(table)
        endpoint = Endpoint(
            self.options["url"],
            self.options.get("records", ""),
            {key: str(value) for key, value in self.options.get("parameters", {}).items()},
            self._pages(),
            self.options.get("cursor"),
            self.options.get("cursor_parameter"),
        )
        return RestSource(
            self.name,
            endpoint,
            str(table),
            mapping,
            self._web(),
            timezone=self.timezone,
            scratch=self.scratch,
        )

    def dataset_api(self) -> Source:
        from shopkeeper.sources.dataset_api import DatasetSource

        return DatasetSource(
            self.name,
            self.options["url"],
            self.mappings,
            self._web(),
            timezone=self.timezone,
            scratch=self.scratch,
        )

    def _mapping(self, table: str | None) -> TableMapping:
        if table not in self.mappings:
            raise SettingsError(
                f"a table must be one of {', '.join(self.mappings)}; got {table!r} in source {self.name!r}. "
                f"Map it first, or name another."
            )
        return self.mappings[table]

    def _store(self, path: str) -> "Store":
        from shopkeeper.sources.object_store import BucketStore, WebStore, bucket_filesystem

        scheme, _, location = path.partition("://")
        if scheme in {"http", "https"}:
            return WebStore(path, self._web(), self.options.get("filename"))
        filesystem = bucket_filesystem(
            scheme,
            self.secrets,
            endpoint=self.options.get("endpoint"),
            region=self.options.get("region"),
            anonymous=self.options.get("anonymous", False),
        )
        return BucketStore(location, filesystem, self.retries)

    def _web(self) -> Web:
        headers, auth = {}, None
        if "token" in self.secrets and self.options.get("token_header"):
            headers[str(self.options["token_header"])] = self.secrets["token"]
        elif "token" in self.secrets:
            headers["Authorization"] = f"Bearer {self.secrets['token']}"
        elif "user" in self.secrets:
            auth = (self.secrets["user"], self.secrets.get("password", ""))
        return Web(headers, auth, self.retries)

    def _pages(self) -> "Pages":
        from shopkeeper.sources.rest import Pages, Style

        table = self.options.get("pages", {})
        try:
            pages = Pages(**table)
        except TypeError:
            raise SettingsError(
                "pages must have style, parameter, first, path, size_parameter or size; got "
                f"{', '.join(table)} "
                f"in source {self.name!r}. Remove what is not among them."
            ) from None
        if pages.style not in get_args(Style):
            raise SettingsError(
                f"style must be one of {', '.join(get_args(Style))}; got {pages.style!r} in source "
                f"{self.name!r}. "
                f"Choose one."
            )
        return pages
