"""Parquet files: columns come with their types."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shopkeeper import engine
from shopkeeper.engine import literal, quote
from shopkeeper.errors import ContractError
from shopkeeper.mappings import Mapping
from shopkeeper.sources.casting import Field
from shopkeeper.sources.conformity import Conformity, Refused, Scan, consecutive
from shopkeeper.sources.delimited import without_wildcards
from shopkeeper.sources.outside import scratch_folder
from shopkeeper.sources.source import Batch, Reading


@contextmanager
def read_parquet(path: Path, where: str, mapping: Mapping, timezone: str, scratch: Path) -> Iterator[Reading]:
    """Open a Parquet file; its rows are counted from its metadata.

    Raises ContractError if it is damaged or lacks a mapped column.
    """
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    with scratch_folder(scratch) as folder:
        table = f"read_parquet({literal(str(without_wildcards(path, folder)))})"
        try:
            rows = pq.read_metadata(path).num_rows
            with engine.connect(scratch=folder) as connection:
                found = connection.execute(f"describe from {table}").fetchall()
        except (pa.ArrowException, duckdb.Error, OSError) as error:
            raise _damaged(where, str(error)) from None
        fields = [Field(name, quote(name), kind) for name, kind, *_ in found]
        conformity = Conformity(fields, mapping, timezone, where)
        yield Reading(_batches(conformity, table, folder, where), rows, list(conformity.notes))


def _batches(conformity: Conformity, table: str, folder: Path, where: str) -> Iterator[Batch]:
    with engine.connect(scratch=folder) as connection:
        try:
            yield from conformity.batches(connection, Scan(table), consecutive(1))
        except Refused as refused:
            raise _damaged(where, str(refused)) from None


def _damaged(where: str, said: str) -> ContractError:
    return ContractError(
        f"a Parquet file must be whole; got {said.splitlines()[0]!r} in {where}. Fetch or export it again."
    )
