"""Quarantine to work with: why rows were rejected, an export to correct them in, and a replay that loads them once."""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkeeper import vocabulary as v
from shopkeeper.engine import connect, quote
from shopkeeper.errors import ContractError, SettingsError, StorageError, UsageError
from shopkeeper.lake import Incoming, Lake
from shopkeeper.mappings import Mapping
from shopkeeper.settings import Settings
from shopkeeper.sources.casting import Field
from shopkeeper.sources.conformity import Conformity, Scan, consecutive
from shopkeeper.sources.files import file_type

if TYPE_CHECKING:
    import pyarrow as pa

FACTS = {
    "reject_id": "reject_id",
    "reject_source": v.SOURCE,
    "reject_file": v.SOURCE_FILE,
    "reject_row": v.SOURCE_ROW,
    "reject_column": "column_name",
    "reject_rule": "rule",
    "reject_value": "value",
    "reject_text": "raw_text",
}
"""What an export tells of each reject, before the source's own columns: its column → ours.

The prefix keeps them apart from the source's columns, which may well be named 'value' or 'source'.
"""

RENDERED_MOMENTS = tuple(f"%Y-%m-%d %H:%M:%S{more}" for more in ("", ".%f", "%z", ".%f%z"))
"""How the raw text of a reject shows a moment that its source held as such, not as text."""


@dataclass
class Replay:
    """What a replay did: rejects loaded and closed, those still open, those closed by an earlier replay; and why."""

    n_closed: int = 0
    n_open: int = 0
    n_known: int = 0
    reasons: list[str] = field(default_factory=list)


def explain(lake: Lake) -> list[dict[str, Any]]:
    """Return each broken rule of the open rejects, the most frequent first, with an example and its place."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in lake.rejects().to_pylist():
        groups[row["source"], row["table_name"], row["column_name"], row["rule"]].append(row)
    found = [
        {
            "n_rows": len(rows),
            "source": rows[0]["source"],
            "column_name": rows[0]["column_name"],
            "rule": rows[0]["rule"],
            "example": (rows[0]["value"] or rows[0]["raw_text"])[:80],
            "source_file": rows[0]["source_file"],
            "source_row": rows[0]["source_row"],
        }
        for rows in groups.values()
    ]
    return sorted(found, key=lambda group: (-group["n_rows"], group["source"], group["column_name"], group["rule"]))


def export(lake: Lake, file: Path) -> int:
    """Write the open rejects to a CSV: FACTS, then the source's columns as it wrote them; return how many.

    A line that could not be split stands whole in ``reject_text`` and its columns are empty, to be filled in.
    Raises StorageError if the file cannot be written.
    """
    rows = lake.rejects().to_pylist()
    cells = [_cells(row["raw_text"]) for row in rows]
    columns = list(dict.fromkeys(name for each in cells for name in each))
    try:
        with file.open("w", newline="", encoding="utf-8-sig") as target:
            writer = csv.writer(target)
            writer.writerow([*FACTS, *columns])
            for row, each in zip(rows, cells, strict=True):
                told = {**row, "raw_text": "" if each else row["raw_text"]}
                facts = (told[name] for name in FACTS.values())
                writer.writerow([*facts, *(each.get(name) or "" for name in columns)])
    except OSError as error:
        raise StorageError(f"{file} must be writable; got: {error}. Name another file.") from error
    return len(rows)


def replay(lake: Lake, settings: Settings, file: Path | None = None) -> Replay:
    """Load the corrected rows of an export (or the open rejects as they are), each once, and close them.

    What the collector rejected stays open: its sender was told, and sends it again if it matters.
    A row that still breaks a rule stays open; one closed before is left alone, so a file may be replayed twice.
    Raises ContractError if the file is not such an export, SettingsError if its source is configured no more.
    """
    open_rejects = {row["reject_id"]: row for row in lake.rejects().to_pylist()}
    known = set(lake.rejects(include_closed=True)["reject_id"].to_pylist())
    done = Replay()
    groups: dict[tuple[str, ...], list[tuple[dict[str, Any], dict[str, str]]]] = defaultdict(list)
    corrected = _corrections(file, known) if file else _as_they_are(open_rejects)
    for reject_id, cells in corrected:
        reject = open_rejects.get(reject_id)
        if reject is None:
            done.n_known += 1
        else:
            groups[reject["source"], reject["table_name"], reject[v.LOAD_ID]].append((reject, cells))
    for (source, table, _), pairs in groups.items():
        if source == v.COLLECTOR:
            done.reasons.append(
                f"{v.COLLECTOR}: {len(pairs)} {table} were told to their sender, who may send them corrected"
            )
            continue
        _replay_load(lake, settings, _mapping(settings, source, table), pairs, done)
    done.n_open = lake.rejects().num_rows
    return done


def _mapping(settings: Settings, source: str, table: str) -> Mapping:
    try:
        return settings.sources[source].mappings[table]
    except KeyError:
        raise SettingsError(
            f"the source of a reject must be configured; got {source!r} with table {table!r}. Put it back into "
            f"shopkeeper.toml to replay its rows."
        ) from None


def _replay_load(
    lake: Lake,
    settings: Settings,
    mapping: Mapping,
    pairs: list[tuple[dict[str, Any], dict[str, str]]],
    done: Replay,
) -> None:
    """Load those rows of one load's rejects that fit the contract now, and close them."""
    import pyarrow as pa

    item = pairs[0][0][v.SOURCE_FILE]
    columns = list(dict.fromkeys(name for _, cells in pairs for name in cells))
    if not columns:
        done.reasons.append(f"{item}: {len(pairs)} lines could not be split into columns; fill them in in an export")
        return
    table = pa.table({name: pa.array([cells.get(name) or None for _, cells in pairs], pa.string()) for name in columns})
    fields = [Field(name, quote(name), "VARCHAR") for name in columns]
    if file_type(item) not in {"delimited", "json lines"}:
        mapping = replace(mapping, datetime_formats=(*mapping.datetime_formats, *RENDERED_MOMENTS))
    conformity = Conformity(fields, mapping, settings.shop.timezone, item)
    good: list[pa.RecordBatch] = []
    bad: Counter[str] = Counter()
    with connect() as connection:
        connection.register("corrected", table)
        for batch in conformity.batches(connection, Scan("corrected"), consecutive(0)):
            good.append(batch.rows)
            bad.update(batch.rejects["rule"].to_pylist())
    done.reasons += [f"{item}: {n} rows: {rule}" for rule, n in bad.items()]
    rows = pa.Table.from_batches(good)
    closed = [pairs[place][0] for place in rows[v.SOURCE_ROW].to_pylist()]
    if not closed:
        return
    places = pa.array([reject[v.SOURCE_ROW] for reject in closed], pa.int64())
    rows = rows.set_column(rows.schema.get_field_index(v.SOURCE_ROW), v.SOURCE_ROW, places)
    first = pairs[0][0]
    lake.load(
        Incoming(
            source=first["source"],
            item=item,
            table_name=first["table_name"],
            entity=mapping.entity,
            fingerprint="",
            size=0,
            pairs=_without_rejects(rows),
            rows_read=len(closed),
            notes=[f"replay of {len(closed)} corrected rows"],
            kind="replay",
            resolves=tuple(reject["reject_id"] for reject in closed),
            beside=_beside(lake, first[v.LOAD_ID]),
        )
    )
    done.n_closed += len(closed)


def _beside(lake: Lake, load_id: str) -> tuple[str, ...]:
    """Return the load that rejected rows of a file, and those that replayed rejects of it before."""
    rejected_by = {row["reject_id"]: row[v.LOAD_ID] for row in lake.read(v.REJECTS).to_pylist()}
    replays = {
        row[v.LOAD_ID] for row in lake.read(v.RESOLUTIONS).to_pylist() if rejected_by[row["reject_id"]] == load_id
    }
    return (load_id, *sorted(replays))


def _without_rejects(rows: "pa.Table") -> Iterator[tuple["pa.RecordBatch", "pa.RecordBatch"]]:
    from shopkeeper.sources.conformity import reject_batch

    for batch in rows.combine_chunks().to_batches():
        yield batch, reject_batch([])


def _cells(raw_text: str) -> dict[str, str]:
    """Return a reject's cells by source column; empty if its line could not be split."""
    try:
        told = json.loads(raw_text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _as_they_are(rejects: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, str]]]:
    for reject_id, row in rejects.items():
        yield reject_id, _cells(row["raw_text"])


def _corrections(file: Path, known: set[str]) -> Iterator[tuple[str, dict[str, str]]]:
    seen = set()
    try:
        with file.open(newline="", encoding="utf-8-sig") as source:
            reader = csv.DictReader(source)
            columns = reader.fieldnames or []
            if "reject_id" not in columns:
                raise ContractError(
                    f"a file to replay must be an export of the quarantine, with the column reject_id; got "
                    f"{', '.join(columns) or 'no columns'} in {file}. Make one with `shopkeeper quarantine export {file}`."
                )
            for row in reader:
                if row["reject_id"] not in known:
                    raise ContractError(
                        f"reject_id must be one of this profile's rejects; got {row['reject_id']!r} in {file}, line "
                        f"{reader.line_num}. Leave that column as it was exported."
                    )
                if row["reject_id"] in seen:
                    raise ContractError(
                        f"a reject must stand once in a file; got {row['reject_id']!r} again in {file}, line "
                        f"{reader.line_num}. Remove one of the two; nothing was loaded."
                    )
                seen.add(row["reject_id"])
                yield row["reject_id"], {name: row[name] for name in columns if name not in FACTS and row.get(name)}
    except FileNotFoundError:
        raise UsageError(
            f"the file to replay must exist; got {file}. Make one with `shopkeeper quarantine export`."
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ContractError(f"{file} must be a CSV in UTF-8; {error}. Save it as such.") from error
    except OSError as error:
        raise UsageError(f"the file to replay must be readable; got: {error}. Name another.") from error
