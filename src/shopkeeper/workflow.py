"""The steps: ingest, build, publish, run. Each may be repeated, or killed and repeated, and ends in the same state."""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Self, TextIO

from shopkeeper import answers, training
from shopkeeper.contracts import contract
from shopkeeper.errors import ContractError, LockedError, ModelError, ShopkeeperError, StorageError, UsageError
from shopkeeper.lake import Incoming, Lake, Load, Staged, empty
from shopkeeper.progress import Tell, silent
from shopkeeper.published import Published, Version
from shopkeeper.sources.source import Item, Known, Reading, Source
from shopkeeper.vocabulary import COLLECTOR, LOAD_ID, SOURCE_FILE
from shopkeeper.warehouse import Build, Warehouse

LARGE = 100_000_000
"""From so many bytes on, an item is written to a file by its source's engine, if that can, and not handed over."""
WRITERS = 2


@dataclass(frozen=True)
class Taken:
    """What became of one item: a load, or the reason there was none.

    ``status``: loaded, unchanged (known, same content), same_content (known under another name), failed.
    """

    source: str
    item: str
    status: str
    load: Load | None = None
    message: str = ""


@dataclass
class Ingest:
    """What one ingest did."""

    taken: list[Taken] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    swept_rows: int = 0

    @property
    def loads(self) -> list[Load]:
        """The loads that were committed."""
        return [each.load for each in self.taken if each.load]

    @property
    def failures(self) -> list[Taken]:
        """The items that could not be taken."""
        return [each for each in self.taken if each.status == "failed"]


BRIEF = "loading events"
"""What the loader writes beside its process id while it holds a profile, for seconds at most: others wait for it."""
BRIEF_SECONDS = 60.0


@contextmanager
def exclusive(home: Path, *, is_brief: bool = False) -> Iterator[None]:
    """Hold a profile for one run at a time; the kernel lets go if the process dies.

    ``is_brief``: for seconds only, so that another run waits instead of giving up.
    Raises LockedError that names the process that holds it, StorageError if the folder may not be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        opened = (home / "lock").open("a+")
    except OSError as error:
        raise StorageError(
            f"the project's folder must be writable; got: {error}. Give this user the right, or name another project."
        ) from error
    with opened as lock:
        _hold(lock, home)
        lock.truncate(0)
        lock.write(f"{os.getpid()} ({BRIEF})" if is_brief else str(os.getpid()))
        lock.flush()
        yield


def _hold(lock: TextIO, home: Path) -> None:
    """Take the lock; wait while a brief holder has it."""
    give_up = time.monotonic() + BRIEF_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read()
            # Empty: whoever holds it is just about to write its name.
            if (BRIEF in holder or not holder) and time.monotonic() < give_up:
                time.sleep(0.02)
                continue
            raise LockedError(
                f"one run at a time may change a profile; {home} is held by process {holder or 'unknown'}. "
                f"Wait for it to end, or stop it."
            ) from None
        return


def log_numbers(loads: Iterable[Load], identity: str) -> dict[str, int]:
    """Return how far the lake holds the log of this id: kind → the number of the last batch that a load names."""
    numbers: dict[str, int] = {}
    for load in loads:
        if load.source == COLLECTOR and load.kind == "ingest" and load.cursor:
            name, _, number = load.cursor.rpartition(":")
            if name == identity:
                numbers[load.entity] = max(numbers.get(load.entity, 0), int(number))
    return numbers


def log_cursors(loads: Iterable[Load]) -> dict[str, str]:
    """Return how far the lake holds the log that was loaded last: kind → ``log id:number``."""
    found = {}
    for load in loads:
        if load.source == COLLECTOR and load.kind == "ingest" and load.cursor:
            found[load.entity] = load.cursor
    return found


def known_of(source: str, loads: Iterable[Load]) -> Known:
    """Return what the lake holds of one source, for it to tell what is new."""
    known = Known()
    for load in loads:
        if load.source == source and load.kind == "ingest":
            known.items[load.item] = load.fingerprint
            if not contract(load.entity).key:
                known.fingerprints[load.table_name, load.fingerprint] = load.item
            if load.cursor is not None:
                known.cursors[load.table_name] = load.cursor
    return known


def ingest(
    lake: Lake, sources: dict[str, Source], only: Sequence[str] = (), *, large: int = LARGE, tell: Tell = silent
) -> Ingest:
    """Take all new items of the sources (or of those in ``only``) into the lake.

    A bad item leaves the others alone: it is reported as failed and nothing of it is loaded. ``large``: from so many
    bytes on, an item is written by its source's engine. Raises UsageError for an unknown source.
    """
    if not sources and not log_cursors(lake.loads()):
        raise UsageError(
            "a project must have a source; this one has none. Add a [sources.NAME] to shopkeeper.toml, or make a project "
            "with `shopkeeper init DIR --preset NAME --path FILE`."
        )
    for name in only:
        if name not in sources:
            known = ", ".join(sources) or "none"
            raise UsageError(f"source must be one of those configured ({known}); got {name!r}. Correct the name.")
    empty(lake.scratch)
    done = Ingest(swept_rows=lake.sweep())
    for name, source in sources.items():
        if not only or name in only:
            _ingest_source(lake, name, source, done, large, tell)
    if done.loads:
        lake.compact()
    empty(lake.scratch)
    return done


def _ingest_source(lake: Lake, name: str, source: Source, done: Ingest, large: int, tell: Tell) -> None:
    known = known_of(name, lake.loads())
    tell("ingest", f"{name}: looking for what is new", 0, None)
    try:
        items = list(source.items(known))
    except ShopkeeperError as error:
        done.taken.append(Taken(name, name, "failed", message=str(error)))
        return
    done.skipped += list(getattr(source, "skipped", []))
    done.taken += [Taken(name, item, "failed", message=said) for item, said in getattr(source, "failed", [])]
    with Staging(lake, source) as staging:
        # One alone is quicker handed over: the engine writes it on one thread, and reads it on all.
        expected = [item for item in items if item.size >= large and _settled(item, known) is None]
        for item in expected if len(expected) > 1 else []:
            staging.expect(item)
        for place, item in enumerate(items):
            tell("ingest", f"{name}: {item.name}", place, len(items))
            done.taken.append(_ingest_item(lake, name, staging, item, known, tell))
    if close := getattr(source, "close", None):
        close()


class Staging:
    """Large items of a source written to files beside each other, one processor each, before they are loaded in turn."""

    def __init__(self, lake: Lake, source: Source) -> None:
        """Write with the source's engine to places of the lake."""
        self.lake = lake
        self.source = source
        self.waiting: dict[str, Future[tuple[AbstractContextManager[Reading], Reading, Staged | None]]] = {}
        self.writers = ThreadPoolExecutor(WRITERS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what is under way and close what nobody asked for; its file is swept by the next ingest."""
        self.writers.shutdown(cancel_futures=True)
        for written in self.waiting.values():
            if not written.cancelled() and written.exception() is None:
                written.result()[0].__exit__(None, None, None)

    def expect(self, item: Item) -> None:
        """Begin to write an item, as soon as a processor is free."""
        self.waiting[item.name] = self.writers.submit(self._write, item)

    @contextmanager
    def read(self, item: Item) -> Iterator[tuple[Reading, Staged | None]]:
        """Open an item; with the file it was written to, if it was. Raises what the source raises."""
        if item.name in self.waiting:
            opened, reading, staged = self.waiting.pop(item.name).result()
        else:
            opened, staged = self.source.read(item), None
            reading = opened.__enter__()
        try:
            yield reading, staged
        finally:
            opened.__exit__(None, None, None)

    def _write(self, item: Item) -> tuple[AbstractContextManager[Reading], Reading, Staged | None]:
        opened = self.source.read(item)
        reading = opened.__enter__()
        of = item.mapping.contract
        if reading.write is None or of.key or not of.moment:
            return opened, reading, None
        try:
            staged = self.lake.stage(item.mapping.entity)
            staged.rejects = reading.write(staged.path, {LOAD_ID: staged.load_id, SOURCE_FILE: item.name})
        except BaseException as error:
            opened.__exit__(type(error), error, error.__traceback__)
            raise
        return opened, reading, None if staged.rejects is None else staged


def _settled(item: Item, known: Known) -> Taken | None:
    """Return why an item need not be read, or None if it must."""
    before = known.items.get(item.name)
    if before and before == item.fingerprint:
        return Taken("", item.name, "unchanged")
    twin = known.fingerprints.get((item.table, item.fingerprint))
    if item.fingerprint and twin is not None and twin != item.name:
        return Taken("", item.name, "same_content", message=f"same content as {twin}, which is loaded")
    return None


def _ingest_item(lake: Lake, name: str, source: Staging, item: Item, known: Known, tell: Tell) -> Taken:
    if settled := _settled(item, known):
        return replace(settled, source=name)
    before = known.items.get(item.name)
    try:
        with source.read(item) as (reading, staged):
            if before is not None and not item.is_window:
                reading.notes.append("the file changed since it was last loaded; only what is new was added")
            load = lake.load(replace(_incoming(name, item, reading, tell), staged=staged))
    except ShopkeeperError as error:
        return Taken(name, item.name, "failed", message=str(error))
    known.items[item.name] = item.fingerprint
    if not item.mapping.contract.key:
        known.fingerprints[item.table, item.fingerprint] = item.name
    return Taken(name, item.name, "loaded", load, "; ".join(json.loads(load.notes)))


def _incoming(source: str, item: Item, reading: Reading, tell: Tell) -> Incoming:
    def pairs() -> Iterator[tuple[object, object]]:
        n_rows = 0
        for batch in reading.batches:
            n_rows += batch.rows.num_rows + batch.rejects.num_rows
            tell("rows", item.name, n_rows, None)
            yield batch.rows, batch.rejects

    return Incoming(
        source=source,
        item=item.name,
        table_name=item.table,
        entity=item.mapping.entity,
        fingerprint=item.fingerprint,
        size=item.size,
        pairs=pairs(),
        rows_read=lambda: reading.rows_read,
        notes=reading.notes,
        cursor=lambda: reading.cursor,
    )


def build(
    lake: Lake,
    warehouse: Warehouse,
    *,
    select: str | None = None,
    full_refresh: bool = False,
    tell: Tell = silent,
) -> Build:
    """Bring the warehouse up to the lake. Raises BuildError naming what failed."""
    tell("build", "starting dbt", 0, None)
    return warehouse.build(
        lake.snapshot(),
        log_cursors=log_cursors(lake.loads()),
        select=select,
        full_refresh=full_refresh,
        tell=lambda node, done, total: tell("build", node, done, total),
    )


def publish(
    warehouse: Warehouse,
    published: Published,
    studio: training.Studio | None = None,
    *,
    keeps_rollback: bool = False,
    tell: Tell = silent,
) -> Version:
    """Publish the last build that ended well, with its predictions; publishing the same again adds nothing.

    ``studio``: the models that serve, to be published beside the tables.
    ``keeps_rollback``: a version that somebody went back to stays current until there is a new build.
    Raises UsageError if there is no finished build.
    """
    state = warehouse.state()
    if state.build_id is None:
        raise UsageError(
            "a build must have ended well before it can be published; there is none. Run `shopkeeper build` "
            "(after a build with --select, once without)."
        )
    return published.publish(
        warehouse.path,
        build_id=state.content_id,
        lake_versions=state.lake_versions,
        log_cursors=state.log_cursors,
        models=training.serving(studio) if studio else {},
        keeps_rollback=keeps_rollback,
        beside=answers.write,
        tell=lambda table, done, total: tell("publish", table, done, total),
    )


@dataclass(frozen=True)
class Run:
    """What a whole run did. ``is_rolled_back``: the version that serves is not the newest, because somebody went back."""

    ingest: Ingest
    build: Build
    version: Version
    trainings: list[training.Training] = field(default_factory=list)
    scores: list[training.Scored] = field(default_factory=list)
    drift: list[training.Watched] = field(default_factory=list)
    is_rolled_back: bool = False


def run(
    lake: Lake,
    warehouse: Warehouse,
    published: Published,
    sources: dict[str, Source],
    studio: training.Studio | None = None,
    *,
    models: bool = True,
    policy: str = "warn",
    tell: Tell = silent,
) -> Run:
    """Ingest, build, train what is due, score, publish. A bad item does not keep the good ones from being published.

    ``studio``: the models; None does without. ``models``: whether to train and score, or to publish predictions as they
    stand. ``policy``: what drift does (warn, retrain, stop). Without anything new, a version that somebody rolled back to
    stays current. Raises ContractError if nothing was ever loaded and nothing could
    be, BuildError as ``build``, ModelError if the policy is to stop and the data drifted: then nothing new is published.
    """
    ingested = ingest(lake, sources, tell=tell)
    if ingested.failures and not lake.loads():
        told = "; ".join(f"{each.item}: {each.message}" for each in ingested.failures)
        raise ContractError(f"something must be loaded before a warehouse can be built; nothing could be: {told}")
    built = build(lake, warehouse, tell=tell)
    trained, scores, watched = _model(studio, policy, tell) if studio and models else ([], [], [])
    version = publish(warehouse, published, studio, keeps_rollback=True, tell=tell)
    is_rolled_back = version.build_id != warehouse.state().content_id
    return Run(ingested, built, version, trained, scores, watched, is_rolled_back)


def _model(
    studio: training.Studio, policy: str, tell: Tell
) -> tuple[list[training.Training], list[training.Scored], list[training.Watched]]:
    """Train what is due, look for drift on new data, train again where the policy says so, and score."""
    due = tuple(training.due(studio))
    trained = training.train(studio, due, tell=tell) if due else []
    looked = [name for name in studio.subjects if name not in due and training.is_stale(studio, name)]
    watched = training.drift(studio, looked, policy=policy, tell=tell) if looked else []
    stopped = [each for each in watched if each.action == "stop"]
    if stopped:
        raise ModelError(
            "data must look like those the champions learnt from (drift.policy = stop); "
            + "; ".join(f"{each.version}: {each.message}" for each in stopped)
            + ". Nothing new was published. See `shopkeeper drift`, then train anew or change the policy."
        )
    if again := [each.subject for each in watched if each.action == "retrain"]:
        trained += training.train(studio, again, tell=tell)
    return trained, training.score(studio, tell=tell), watched


def simulate(
    preset: str,
    *,
    customers: int,
    days: int,
    seed: int,
    out: Path,
    truth: bool = False,
    dirt: bool = True,
    start: date | None = None,
    tell: Tell = silent,
) -> dict[str, int]:
    """Write a simulated shop's files to ``out/data``, and its truth as Parquet to ``out/truth``; return bytes by file.

    ``start``: the first day; else the preset's own. The same arguments write the same bytes.
    Raises UsageError if ``out/data`` holds something already.
    """
    from shopkeeper.simulator import simulate as simulate_shop

    shop = simulate_shop(preset, customers=customers, days=days, seed=seed, start=start)
    if (out / "data").exists() and any((out / "data").iterdir()):
        raise UsageError(f"the folder to simulate into must be empty; {out / 'data'} is not. Name another with --out.")
    written: dict[str, int] = {}
    for file in shop.files(dirt=dirt):
        tell("simulate", file.path, len(written), None)
        target = out / "data" / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            written[f"data/{file.path}"] = sum(stream.write(chunk) for chunk in file.chunks)
    if truth:
        from pyarrow import parquet

        (out / "truth").mkdir(parents=True, exist_ok=True)
        for name, table in shop.truth(dirt=dirt).items():
            tell("simulate", f"truth/{name}", len(written), None)
            target = out / "truth" / f"{name}.parquet"
            parquet.write_table(table, target)
            written[f"truth/{name}.parquet"] = target.stat().st_size
    return written


def play(
    preset: str, *, customers: int, days: int, seed: int, start: date, name: str
) -> Iterator[list[tuple[str, str, dict[str, object]]]]:
    """Yield, without end, what happens next in a simulated shop after its last day: kind, the field of its moment, fields.

    What stands in one list happens at one stroke. ``name`` stands in every id. Raises UsageError for a preset that cannot be
    played.
    """
    from shopkeeper.simulator import simulate as simulate_shop
    from shopkeeper.simulator.playing import MOMENTS, happenings

    shop = simulate_shop(preset, customers=customers, days=days, seed=seed, start=start)
    strokes = happenings(shop, name)
    return ([(each.kind, MOMENTS[each.kind], dict(each.fields)) for each in stroke] for stroke in strokes)
