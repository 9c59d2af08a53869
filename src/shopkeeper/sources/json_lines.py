"""JSON lines: one object a line. A line that is none is rejected alone; nested values are text of JSON."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shopkeeper.engine import literal
from shopkeeper.errors import ContractError
from shopkeeper.mappings import Mapping
from shopkeeper.sources.casting import Field
from shopkeeper.sources.conformity import Conformity, Scan
from shopkeeper.sources.delimited import TextFile, as_utf8
from shopkeeper.sources.outside import scratch_folder
from shopkeeper.sources.records import LONGEST_RECORD, Dialect, take_census
from shopkeeper.sources.source import Reading

SAMPLE = 1000
CHUNK = 4 * 1024 * 1024
VIEW = (
    "select c0 as line, cast(case when json_valid(c0) and json_type(c0) = 'OBJECT' then c0 end as JSON) as "
    "object "
    "from {scan}"
)


@contextmanager
def read_json_lines(path: Path, where: str, mapping: Mapping, timezone: str, scratch: Path) -> Iterator[Reading]:
    """Open a file of JSON lines.

    Raises ContractError if it is empty, is one JSON array, or if no line has a mapped column.
    """
    with scratch_folder(scratch) as folder:
        text, notes = as_utf8(path, where, mapping, folder)
        with text.open("rb") as file:
            head = file.read(64)
        if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
            raise ContractError(
                f"JSON must be one object a line; got an array in {where}. Convert it: jq -c '.[]' file.json."
            )
        conformity = Conformity(_fields(text, mapping), mapping, timezone, where)
        start = 3 if head.startswith(b"\xef\xbb\xbf") else 0
        dialect = Dialect(None, 1)
        census = take_census(text, dialect, start)
        scan = Scan("", broken="case when object is null then line end", broken_rule="a line must be a JSON object")
        simple = census.is_plain and not census.has_blank_lines and not start
        made = TextFile(text, dialect, conformity, start, simple, 1, census.records, VIEW, scan)
        yield Reading(made.batches(folder), census.records, notes + conformity.notes)


def _fields(path: Path, mapping: Mapping) -> list[Field]:
    names = _sampled_keys(path)
    wanted = {name for group in mapping.columns.values() for name in group} - set(names)
    names += sorted(name for name in wanted if _occurs(path, json.dumps(name, ensure_ascii=False).encode()))
    return [Field(name, f"(object ->> {literal(_pointer(name))})", "VARCHAR", exact=False) for name in names]


def _sampled_keys(path: Path) -> list[str]:
    keys: dict[str, None] = {}
    with path.open("rb") as file:
        for line in itertools.islice(iter(lambda: file.readline(LONGEST_RECORD), b""), SAMPLE):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                keys.update(dict.fromkeys(record))
    return list(keys)


def _occurs(path: Path, word: bytes) -> bool:
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if word in tail + chunk:
                return True
            tail = chunk[-len(word) :]
    return False


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")
