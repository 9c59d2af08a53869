"""The door to DuckDB: connections that are bounded, offline, in UTC, and text that cannot become SQL.

Nothing outside of this module sets a DuckDB option or loads an extension.
"""

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

EXTENSIONS = ("delta", "postgres_scanner")


def quote(name: str) -> str:
    """Return a column or table name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Return a text as a quoted SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def extension_path(name: str) -> Path:
    """Return the file of an extension that a Python package carries; nothing is downloaded."""
    package = resources.files(f"duckdb_extension_{name}")
    for found in Path(str(package)).glob(f"extensions/*/{name}.duckdb_extension"):
        return found
    raise FileNotFoundError(f"the package duckdb-extension-{name} holds no extension file")


def connect(
    path: Path | None = None,
    *,
    read_only: bool = False,
    threads: int | None = None,
    memory_gb: float | None = None,
    scratch: Path | None = None,
    extensions: tuple[str, ...] = (),
) -> "duckdb.DuckDBPyConnection":
    """Open a DuckDB database, in memory if ``path`` is None.

    ``scratch`` is where it may spill what does not fit ``memory_gb``. Sessions run in UTC and never fetch
    an extension from the network: those named are loaded from their packages.
    """
    import duckdb

    options: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if threads is not None:
        options["threads"] = threads
    if memory_gb is not None:
        options["memory_limit"] = f"{memory_gb}GB"
    if scratch is not None:
        options["temp_directory"] = str(scratch)
    connection = duckdb.connect(str(path or ":memory:"), read_only=read_only, config=options)
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("set enable_progress_bar = false")
    # With the default of 1 MB, an answer that is read as a stream is made by one thread alone.
    connection.execute("set streaming_buffer_size = '64MB'")
    for name in extensions:
        connection.execute(f"load {literal(str(extension_path(name)))}")
    return connection


def fence(connection: "duckdb.DuckDBPyConnection") -> None:
    """Take from a connection the right to read files, load code or change a setting; cannot be undone."""
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
