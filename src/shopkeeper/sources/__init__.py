"""Places rows come from, and the shape every one of them gives."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shopkeeper.errors import SettingsError
from shopkeeper.mappings import Mapping as TableMapping
from shopkeeper.sources.source import Source
from shopkeeper.sources.transfer import Retries, Web

WORDS: dict[str, tuple[type, ...]] = {"text": (str,), "whole number": (int,), "table": (dict,), "truth value": (bool,)}
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
    ``retries`` how patiently to try again what is transient. Every kind knows ``attempts`` (5): how often a transient failure is tried in all.

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
      ``records``: where the records are in an answer, such as ``data.items``. ``parameters``: for the first page.
      ``pages``: ``style`` (none, page, offset, cursor, next, link), ``parameter``, ``first``, ``path``,
      ``size_parameter``, ``size``; see ``rest.Pages``.
      ``cursor``: the field of a record that grows; ``cursor_parameter``: the parameter that asks from there on.
      ``token_header``: the header that takes the token, instead of Authorization. Secret: ``token``, or ``user``
      and ``password``.
    ``dataset_api``:
      ``url`` of the zip. Secrets: ``user`` and ``password``, or ``token``.

    Raises SettingsError for an unknown kind or option, one of the wrong type, or one that is missing.
    """
    _check(name, kind, options)
    patience = retries or Retries()
    patience = replace(patience, attempts=options.get("attempts", patience.attempts))
    if kind == "postgres":
        return _postgres(name, options, mappings, timezone, scratch, secrets, patience)
    if kind == "rest":
        return _rest(name, options, mappings, timezone, scratch, secrets, patience)
    if kind == "dataset_api":
        from shopkeeper.sources.dataset_api import DatasetSource

        web = _web(options, secrets, patience)
        return DatasetSource(name, options["url"], mappings, web, timezone=timezone, scratch=scratch)
    return _files(name, options, mappings, timezone, scratch, secrets, patience)


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
            raise SettingsError(
                f"{option} must be a {known[option]}; got {value!r} in source {name!r}. Write it so."
            )
    needed = REQUIRED.get(kind)
    if needed and not options.get(needed):
        raise SettingsError(f"a source of kind {kind} must have {needed}; got none in source {name!r}. Add it.")


def _web(options: Mapping[str, Any], secrets: Mapping[str, str], retries: Retries) -> Web:
    headers, auth = {}, None
    if "token" in secrets and options.get("token_header"):
        headers[str(options["token_header"])] = secrets["token"]
    elif "token" in secrets:
        headers["Authorization"] = f"Bearer {secrets['token']}"
    elif "user" in secrets:
        auth = (secrets["user"], secrets.get("password", ""))
    return Web(headers, auth, retries)


def _files(
    name: str,
    options: Mapping[str, Any],
    mappings: dict[str, TableMapping],
    timezone: str,
    scratch: Path,
    secrets: Mapping[str, str],
    retries: Retries,
) -> Source:
    path = options["path"]
    if not path.startswith(SCHEMES):
        from shopkeeper.sources.files import FileSource

        return FileSource(name, path, mappings, timezone=timezone, scratch=scratch)
    from shopkeeper.sources.object_store import BucketStore, RemoteSource, Store, WebStore, bucket_filesystem

    web = _web(options, secrets, retries)
    scheme, _, location = path.partition("://")
    store: Store
    if scheme in {"http", "https"}:
        store = WebStore(path, web, options.get("filename"))
    else:
        filesystem = bucket_filesystem(
            scheme,
            secrets,
            endpoint=options.get("endpoint"),
            region=options.get("region"),
            anonymous=options.get("anonymous", False),
        )
        store = BucketStore(location, filesystem, web.retries)
    return RemoteSource(name, store, mappings, timezone=timezone, scratch=scratch)


def _postgres(
    name: str,
    options: Mapping[str, Any],
    mappings: dict[str, TableMapping],
    timezone: str,
    scratch: Path,
    secrets: Mapping[str, str],
    retries: Retries,
) -> Source:
    from shopkeeper.sources.database import PostgresSource, Relation

    if "dsn" not in secrets:
        raise SettingsError(
            f"a source of kind postgres must have the secret dsn; got none for {name!r}. Add dsn to secrets.toml."
        )
    cursors = options.get("cursors", {})
    tables, queries = options.get("tables", {}), options.get("queries", {})
    for table in (*tables, *queries, *cursors):
        if table not in mappings:
            raise SettingsError(
                f"tables, queries and cursors must name a mapped table ({', '.join(mappings)}); got {table!r} in "
                f"source {name!r}. Map it first."
            )
    relations = {table: Relation.table(found, cursors.get(table)) for table, found in tables.items()}
    relations |= {table: Relation(table, sql.rstrip("; \n"), cursors.get(table)) for table, sql in queries.items()}
    if not relations:
        raise SettingsError(f"a source of kind postgres must name tables or queries; got none in {name!r}. Add one.")
    return PostgresSource(
        name, secrets["dsn"], relations, mappings, timezone=timezone, scratch=scratch, retries=retries
    )


def _rest(
    name: str,
    options: Mapping[str, Any],
    mappings: dict[str, TableMapping],
    timezone: str,
    scratch: Path,
    secrets: Mapping[str, str],
    retries: Retries,
) -> Source:
    from shopkeeper.sources.rest import Endpoint, RestSource

    table = options.get("table") or (next(iter(mappings)) if len(mappings) == 1 else None)
    if table not in mappings:
        raise SettingsError(
            f"table must be one of {', '.join(mappings)}; got {table!r} in source {name!r}. Name the table it fills."
        )
    endpoint = Endpoint(
        options["url"],
        options.get("records", ""),
        {key: str(value) for key, value in options.get("parameters", {}).items()},
        _pages(name, options.get("pages", {})),
        options.get("cursor"),
        options.get("cursor_parameter"),
    )
    web = _web(options, secrets, retries)
    return RestSource(name, endpoint, table, mappings[table], web, timezone=timezone, scratch=scratch)


def _pages(name: str, table: Mapping[str, Any]) -> Any:
    from typing import get_args

    from shopkeeper.sources.rest import Pages, Style

    try:
        pages = Pages(**table)
    except TypeError:
        raise SettingsError(
            f"pages must have style, parameter, first, path, size_parameter or size; got {', '.join(table)} in "
            f"source {name!r}. Remove what is not among them."
        ) from None
    if pages.style not in get_args(Style):
        raise SettingsError(
            f"style must be one of {', '.join(get_args(Style))}; got {pages.style!r} in source {name!r}. Choose one."
        )
    return pages
