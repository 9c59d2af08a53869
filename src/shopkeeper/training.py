"""Train, score, promote, look for drift: from a warehouse to predictions that are published with it.

Each step may be repeated, or killed and repeated: training registers another version, scoring replaces tables in one
transaction, promotion moves a pointer. A subject that fails leaves the others, and all that is published, alone.
"""

import json
import shutil
import time
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from graphlib import TopologicalSorter
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal

from shopkeeper import __version__
from shopkeeper.errors import ModelError, OutsideError, ShopkeeperError, StorageError, UsageError
from shopkeeper.evaluation import Decision, Figure, Report, card, gate, to_json
from shopkeeper.features import Kept, ShopHistory
from shopkeeper.models.model import Model, Subject, Trained
from shopkeeper.progress import Tell, silent
from shopkeeper.registry import Difference, ModelVersion, Registry, Served
from shopkeeper.vocabulary import AS_OF, CUSTOMER_ID, PREDICTIONS
from shopkeeper.warehouse import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

    from shopkeeper.drift import DriftReport

__all__ = [
    "Attempt",
    "Difference",
    "Figure",
    "ModelVersion",
    "Report",
    "Scored",
    "Studio",
    "Training",
    "Watched",
    "card_of",
    "compare",
    "copy_files",
    "drift",
    "due",
    "find",
    "is_stale",
    "promote",
    "rollback",
    "score",
    "serving",
    "train",
    "versions",
    "write_drift",
    "write_features",
]

UNSERVED = "no model serves yet: `shopkeeper train` says why"
UNTRAINED = {"failed", "none"}
AT_ONCE = 2
"""Subjects trained side by side: most of their time is spent in libraries that use one core."""
AS_SERVED = "-served"
LEAST_SERVED = 200
"""So many predictions served are held against the training; of fewer, little could be seen."""
KEYS = (CUSTOMER_ID, AS_OF)
"""Columns that say which row it is: there is nothing in them that could drift."""
MODEL, EVALUATED, PLOTS = "model", "evaluated", "plots"
REFERENCE, REPORT, CARD, DEFINITIONS = "reference.parquet", "report.json", "card.md", "definitions.json"


@dataclass(frozen=True)
class Training:
    """What one training came to.

    ``status``: promoted (it serves now), challenger (the champion stays), baseline (nothing beat it: it serves), failed,
    none (the shop has not brought what the question is about, and nobody needs to do anything).
    """

    subject: str
    status: str
    message: str
    version: str = ""
    seconds: float = 0.0
    report: Report | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        told = {name: getattr(self, name) for name in ("subject", "status", "message", "version", "seconds")}
        return {**told, "report": json.loads(to_json(self.report)) if self.report else None}


@dataclass(frozen=True)
class Scored:
    """What scoring one subject came to; ``status``: scored, unchanged, none (no model serves), failed."""

    subject: str
    status: str
    message: str = ""
    version: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """The last training of a subject: the moment that knew all its data, the build, what it came to, the recipe to refit by."""

    as_of: str
    build_id: str
    status: str
    version: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Studio:
    """What training needs: the builder's database, the registry, the subjects by name, the seed, and when to retrain."""

    warehouse: Warehouse
    registry: Registry
    subjects: Mapping[str, Subject]
    seed: int
    retrain_days: int
    books: AbstractContextManager[Any] = field(default_factory=RLock, compare=False, repr=False)
    """Held while something is written into the registry or remembered: subjects are trained side by side."""
    _kept: dict[str, Kept] = field(default_factory=dict, compare=False, repr=False)
    """What the last build was asked for by more than one step: training, drift and scoring ask the same."""

    def chosen(self, only: Sequence[str]) -> dict[str, Subject]:
        """Return the subjects named, or all. Raises UsageError for an unknown one."""
        for name in only:
            if name not in self.subjects:
                known = ", ".join(self.subjects) or "none"
                raise UsageError(f"a model must be one of those configured ({known}); got {name!r}. Correct the name.")
        return {name: subject for name, subject in self.subjects.items() if not only or name in only}

    @contextmanager
    def history(self) -> Iterator[ShopHistory]:
        """Open the warehouse's past for reading. Raises UsageError before the first build."""
        build = str(self.warehouse.state().build_id)
        if build not in self._kept:
            self._kept.clear()
            self._kept[build] = Kept()
        with self.warehouse.open() as connection:
            yield ShopHistory(connection, self._kept[build])

    @property
    def _attempts(self) -> Path:
        return self.registry.root / "attempts.json"

    def attempts(self) -> dict[str, Attempt]:
        """Return the last training of each subject; empty before the first."""
        try:
            told = json.loads(self._attempts.read_text("utf-8"))
            return {subject: Attempt(**each) for subject, each in told.items()}
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return {}

    def unforeseen(self, subject: str, error: Exception) -> str:
        """Write the details of an error that nobody foresaw beside the models, and return the sentence that says so.

        Its text is not told: another library wrote it, and it may hold anything.
        """
        file = self.registry.root / f"unforeseen-{subject}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(traceback.format_exception(error)), "utf-8")
        return f"this must not happen: an unforeseen {type(error).__name__}. Details are in {file}: please report them."

    def remember(self, subject: str, attempt: Attempt) -> None:
        """Keep what a training came to."""
        self._attempts.parent.mkdir(parents=True, exist_ok=True)
        draft = self._attempts.with_suffix(".draft")
        told = {name: asdict(each) for name, each in {**self.attempts(), subject: attempt}.items()}
        draft.write_text(json.dumps(told, indent=1), "utf-8")
        draft.replace(self._attempts)


# ------------------------------------------------------------------------ train


def train(
    studio: Studio, only: Sequence[str] = (), *, budget: float | None = None, tell: Tell = silent
) -> list[Training]:
    """Train subjects, register what came of it, and let the gate decide who serves.

    ``budget``: seconds of search over parameters for each subject; None refits with the stored ones. A subject whose data
    do not allow it is reported as failed, one that there are no data for as none. Raises UsageError for an unknown subject,
    or before the first build.
    """
    chosen = studio.chosen(only)
    waiting = dict.fromkeys(chosen)
    with studio.history() as history, ThreadPoolExecutor(AT_ONCE) as pool:

        def one(subject: Subject) -> Training:
            tell("train", ", ".join(waiting), len(chosen) - len(waiting), len(chosen))
            found = _tried(studio, subject, history.beside(), budget, tell)
            del waiting[subject.name]
            return found

        return list(pool.map(one, chosen.values()))


def _tried(studio: Studio, subject: Subject, history: ShopHistory, budget: float | None, tell: Tell) -> Training:
    """Return what a training came to, remembered where it is settled."""
    started, is_settled = time.monotonic(), True
    try:
        lacking = subject.lacks(history)
        found = (
            Training(subject.name, "none", f"{lacking[0].upper()}{lacking[1:]}.")
            if lacking
            else _train(studio, subject, history, budget, tell)
        )
    except ShopkeeperError as error:
        found = Training(subject.name, "failed", str(error))
        # What failed outside says nothing about the data: the next run tries again.
        is_settled = not isinstance(error, OutsideError)
    except Exception as error:  # noqa: BLE001 - the other subjects go on, and this one says what it hit upon
        found = Training(subject.name, "failed", studio.unforeseen(subject.name, error))
    if found.status in UNTRAINED and is_settled:
        with studio.books:
            studio.remember(subject.name, _attempt(studio, history, found))
    return replace(found, seconds=round(time.monotonic() - started, 2))


def _attempt(studio: Studio, history: ShopHistory, found: Training, recipe: Mapping[str, Any] | None = None) -> Attempt:
    before = studio.attempts().get(found.subject)
    parameters = recipe if recipe is not None else before.parameters if before else {}
    return Attempt(_moment(history), str(studio.warehouse.state().build_id), found.status, found.version, parameters)


def _moment(history: ShopHistory) -> str:
    """Return the moment that knows all of a history, as text; empty if there is none."""
    return (history.last_day + timedelta(1)).isoformat() if history.last_day else ""


def _train(studio: Studio, subject: Subject, history: ShopHistory, budget: float | None, tell: Tell) -> Training:
    name = subject.name
    _span(history)
    try:
        with studio.books:
            served = studio.registry.settle(name)
    except StorageError:
        # What serves cannot be read, here or in the registry: a new one is judged against the baseline alone. A registry
        # that is gone is told when the new one is registered.
        served = None
    has_champion = served is not None and not served.version.is_baseline
    before = studio.attempts().get(name)
    champion, unread = _evaluated(subject, served) if served and has_champion else (None, "")
    trained = subject.train(
        history,
        parameters=(before.parameters or None) if before and budget is None else None,
        champion=champion,
        seed=studio.seed,
        budget=budget,
        tell=tell,
    )
    if served and (compared := trained.report.against_champion):
        named = replace(compared, against=served.version.name)
        trained = replace(trained, report=replace(trained.report, against_champion=named))
    if unread:
        notes = [*trained.report.notes, f"The champion could not be compared: {unread}"]
        trained = replace(trained, report=replace(trained.report, notes=notes))
    decision = gate(trained.report, has_champion=has_champion)
    tell("train", f"{name}: registering", 0, None)
    with studio.books:
        challenger = version = _register(studio, subject, history, trained, trained.model, decision)
        status = "challenger"
        if decision.promote:
            studio.registry.promote(name, challenger.number)
            status = "promoted"
        elif not has_champion:
            # Nothing beats the baseline: then the baseline serves, as a version of its own.
            if trained.model is not trained.baseline:
                version = _register(studio, subject, history, trained, trained.baseline, decision)
            studio.registry.promote(name, version.number)
            status = "baseline"
        found = Training(name, status, decision.reason, version.name, 0.0, trained.report)
        studio.remember(name, _attempt(studio, history, found, trained.parameters))
    return found


def _evaluated(subject: Subject, served: Served) -> tuple[Model | None, str]:
    """Return the champion as it was judged; or None and why it cannot be read, as where its files are of an older format."""
    try:
        return subject.load(served.folder / EVALUATED), ""
    except ModelError as error:
        return None, str(error)


def _register(
    studio: Studio,
    subject: Subject,
    history: ShopHistory,
    trained: Trained,
    model: Model,
    decision: Decision,
) -> ModelVersion:
    """Write a version's files and register them."""
    from pyarrow import parquet

    from shopkeeper import plots

    report = trained.report
    state = studio.warehouse.state()
    folder = studio.warehouse.scratch / f"version-of-{subject.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        model.save(folder / MODEL)
        trained.evaluated.save(folder / EVALUATED)
        (folder / DEFINITIONS).write_text(json.dumps(dict(history.definitions), indent=1, sort_keys=True), "utf-8")
        (folder / REPORT).write_text(to_json(report), "utf-8")
        told = card(report, about=subject.about, span=_span(history), decision=decision, limits=subject.limits)
        (folder / CARD).write_text(told, "utf-8")
        reference = trained.baseline_reference if model is trained.baseline else trained.reference
        parquet.write_table(reference, folder / REFERENCE)
        (folder / PLOTS).mkdir()
        for name, picture in plots.draw(report).items():
            (folder / PLOTS / f"{name}.png").write_bytes(picture)
        return studio.registry.register(
            subject.name,
            folder=folder,
            figures={
                f"{candidate.name}.{metric}": figure
                for candidate in report.candidates
                for metric, figure in candidate.figures.items()
            },
            parameters=trained.parameters,
            tags={
                "candidate": model.name,
                "chosen": report.baseline if model is trained.baseline else report.chosen,
                "decision": "promote" if decision.promote else "refuse",
                "reason": decision.reason,
                "as_of": _moment(history),
                "build_id": str(state.build_id),
                "lake_versions": json.dumps(state.lake_versions, sort_keys=True),
                "code": f"{__version__}+{studio.warehouse.code()[:12]}",
                "seed": str(studio.seed),
                "n_watched": str(subject.watched(model, history, _span(history)[1] + timedelta(1)).num_rows),
            },
            is_baseline=model is trained.baseline,
            trials=trained.trials,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _span(history: ShopHistory) -> tuple[date, date]:
    """Return the first and the last day. Raises ModelError before the first order."""
    if history.first_day is None or history.last_day is None:
        raise ModelError("a model must have orders to learn from; there is none yet. Load order lines and build.")
    return history.first_day, history.last_day


def due(studio: Studio) -> dict[str, str]:
    """Return the subjects that a run should train, each with the reason.

    Those that nothing serves, and those whose last training is older than the policy's days, counted in the shop's own data.
    One that the data did not allow is tried again as soon as there is a new build.
    """
    found: dict[str, str] = {}
    attempts = studio.attempts()
    with studio.history() as history:
        now = history.last_day + timedelta(1) if history.last_day else None
    for name in studio.subjects:
        last = attempts.get(name)
        if now is None:
            continue
        try:
            served = studio.registry.serving(name)
        except StorageError:
            found[name] = "the files of the champion cannot be read"
            continue
        if served is None:
            if last is None or last.build_id != studio.warehouse.state().build_id or last.status not in UNTRAINED:
                found[name] = "no model serves yet"
            continue
        # Without a memory of attempts, the champion itself tells how old it is.
        trained = last.as_of if last and last.as_of else served.version.tags["as_of"]
        if (age := (now - date.fromisoformat(trained)).days) >= studio.retrain_days:
            found[name] = f"the data are {age} days newer than the last training"
    return found


# ------------------------------------------------------------------------ score


def score(studio: Studio, only: Sequence[str] = (), *, tell: Tell = silent) -> list[Scored]:
    """Score with what serves, as of the day after the last order, and replace the prediction tables.

    What was scored already, by this version of the model on this build, is left as it is. A model that does not fit the
    data's columns leaves its tables as they were, and says so. A subject brings those that are scored before it.
    Raises UsageError for an unknown subject, or before the first build.
    """
    chosen = studio.chosen(only)
    wanted = {*chosen, *(each for subject in chosen.values() for each in subject.after)}
    chosen = {name: subject for name, subject in studio.subjects.items() if name in wanted}
    standing = studio.warehouse.predictions()
    tables: dict[str, pa.Table] = {}
    marks: dict[str, str] = {}
    done: dict[str, Scored] = {}
    with studio.history() as history, ThreadPoolExecutor(AT_ONCE) as pool:

        def one(subject: Subject, given: "Mapping[str, pa.Table]") -> "tuple[Scored, dict[str, pa.Table] | None]":
            tell("score", subject.name, len(done), len(chosen))
            return _score(studio, subject, history.beside(), given)

        # Those that others are handed the tables of go first.
        order = TopologicalSorter(
            {name: [each for each in subject.after if each in chosen] for name, subject in chosen.items()}
        )
        order.prepare()
        running: dict[Future[tuple[Scored, dict[str, pa.Table] | None]], str] = {}
        while order.is_active():
            running |= {pool.submit(one, chosen[name], dict(tables)): name for name in order.get_ready()}
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                name, (scored, rows) = running.pop(future), future.result()
                done[name] = scored
                if rows is not None:
                    # A table always stands, so that a query about it has an answer: empty where nothing was ever scored.
                    tables |= {
                        table.name: rows.get(table.name, table.empty())
                        for table in chosen[name].tables
                        if table.name in rows or table.name not in standing
                    }
                    if scored.status != "failed":
                        marks[name] = _mark(studio, name)
                order.done(name)
    if tables or marks:
        studio.warehouse.store(tables, marks)
    return [done[name] for name in chosen]


def is_stale(studio: Studio, name: str) -> bool:
    """Return whether a subject's predictions are of another build, or another model, than those of now."""
    return studio.warehouse.state().scores.get(name) != _mark(studio, name)


def _mark(studio: Studio, name: str) -> str:
    """Return what a subject's predictions depend on: the build, its model, and those of the subjects before it."""
    before = [each for each in studio.subjects[name].after if each in studio.subjects]
    numbers = "+".join(_number(studio, each) for each in (name, *before))
    return f"{numbers}@{studio.warehouse.state().build_id}"


def _number(studio: Studio, name: str) -> str:
    try:
        served = studio.registry.serving(name)
    except StorageError:
        return "unreadable"
    return str(served.number) if served else "none"


def _version(served: Served | None) -> str:
    return served.version.name if served else ""


def _given(
    studio: Studio, subject: Subject, history: ShopHistory, fresh: Mapping[str, "pa.Table"], standing: Collection[str]
) -> dict[str, "pa.Table"]:
    """Return the tables that a subject is handed: those just scored, else as they stand."""
    found: dict[str, pa.Table] = {}
    for name in subject.after:
        for table in studio.subjects[name].tables if name in studio.subjects else ():
            if table.name in fresh:
                found[table.name] = fresh[table.name]
            elif table.name in standing:
                found[table.name] = history.connection.table(f"{PREDICTIONS}.{table.name}").to_arrow_table()
    return found


def _score(
    studio: Studio, subject: Subject, history: ShopHistory, fresh: Mapping[str, "pa.Table"]
) -> tuple[Scored, dict[str, "pa.Table"] | None]:
    """Return what scoring came to, and the rows of the tables; None where they are to be left as they stand."""
    name = subject.name
    try:
        served = studio.registry.serving(name)
    except StorageError as error:
        return Scored(name, "failed", str(error)), None
    standing, version = studio.warehouse.predictions(), _version(served)
    if not is_stale(studio, name) and standing.issuperset(table.name for table in subject.tables):
        return Scored(name, "unchanged", "", version) if served else Scored(name, "none", UNSERVED), None
    if served is None or history.last_day is None:
        return Scored(name, "none", UNSERVED), {}
    given = _given(studio, subject, history, fresh, standing)
    try:
        model = subject.load(served.folder / MODEL)
        rows = subject.predict(model, history, history.last_day + timedelta(1), version=version, given=given)
    except ModelError as error:
        return Scored(name, "failed", str(error), version), {}
    except Exception as error:  # noqa: BLE001 - as in training
        return Scored(name, "failed", studio.unforeseen(name, error), version), {}
    return Scored(name, "scored", "", version, {table: each.num_rows for table, each in rows.items()}), rows


def serving(studio: Studio) -> dict[str, tuple[str, Path]]:
    """Return what serves: subject → model version and the folder of its files. Imports no registry library.

    One whose files cannot be read is left out: scoring and ``shopkeeper doctor`` tell of it, and all else is published.
    """
    found = {}
    for name in studio.subjects:
        with suppress(StorageError):
            if served := studio.registry.serving(name):
                found[name] = (_version(served), served.folder)
    return found


# -------------------------------------------------------------- versions by hand


def versions(studio: Studio) -> list[ModelVersion]:
    """Return every version of every configured subject, newest first. Raises StorageError if the registry is gone."""
    return [version for name in studio.subjects for version in studio.registry.versions(name)]


def find(studio: Studio, name: str) -> ModelVersion:
    """Return a version by its name, such as ``churn/3``; ``churn`` alone is the champion, else the newest.

    Raises UsageError if there is none.
    """
    subject, _, number = name.partition("/")
    studio.chosen([subject])
    found = studio.registry.versions(subject)
    if number:
        chosen = [version for version in found if str(version.number) == number]
    else:
        chosen = [version for version in found if version.state == "champion"] or found[:1]
    if not found:
        raise UsageError(
            f"a model must be trained before it can be looked at; {subject} is not. Run `shopkeeper train`."
        )
    if not chosen:
        known = ", ".join(version.name for version in found)
        raise UsageError(f"a model version must be one that is registered ({known}); got {name!r}. Correct it.")
    return chosen[0]


def card_of(studio: Studio, version: ModelVersion) -> str:
    """Return a version's model card, in Markdown."""
    return (studio.registry.fetch(version.subject, version.number) / CARD).read_text("utf-8")


def copy_files(studio: Studio, version: ModelVersion, out: Path) -> None:
    """Copy a version's files into a new folder: models, report, card, plots. Raises UsageError if it is not empty."""
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"the folder to copy into must be empty; {out} is not. Name another with --out.")
    try:
        shutil.copytree(studio.registry.fetch(version.subject, version.number), out, dirs_exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder to copy into must be writable; got: {error}. Name another with --out.") from error


def compare(studio: Studio, one: str, other: str) -> Difference:
    """Return two versions side by side. Raises UsageError if they are not of one model."""
    left, right = find(studio, one), find(studio, other)
    if left.subject != right.subject:
        raise UsageError(f"versions must be of one model to be compared; got {one} and {other}. Choose two of one.")
    return studio.registry.compare(left.subject, left.number, right.number)


def promote(studio: Studio, name: str, *, force: bool = False) -> ModelVersion:
    """Make a version the champion. Raises ModelError if the gate refused it, unless ``force``. May be repeated."""
    found = find(studio, name)
    refused = found.tags.get("decision") == "refuse" and not found.is_baseline
    if refused and not force:
        raise ModelError(
            f"a champion must beat its baseline and the present champion; {found.name} did not: "
            f"{found.tags.get('reason', '')} Train it on more data, or insist with --force."
        )
    studio.registry.promote(found.subject, found.number)
    return find(studio, found.name)


def rollback(studio: Studio, name: str) -> ModelVersion:
    """Make the champion before the present one the champion again. Raises UsageError if there is none."""
    (subject,) = studio.chosen([name])
    return studio.registry.rollback(subject).version


def write_features(studio: Studio, moments: Sequence[str], out: Path, *, tell: Tell = silent) -> int:
    """Write the features as of some moments (the latest if none) as Parquet or CSV; return how many rows.

    Raises UsageError for a moment that is no day, or a file of another kind.
    """
    if out.suffix not in {".parquet", ".csv"}:
        raise UsageError(f"the file must end in .parquet or .csv; got {out.name!r}. Name it so.")
    try:
        days = [date.fromisoformat(text) for text in moments]
    except ValueError as error:
        raise UsageError(f"a moment must be a day such as 2011-09-01; got: {error}. Write it like that.") from error
    tell("features", "computing", 0, None)
    with studio.history() as history:
        rows = history.features(days or [_span(history)[1] + timedelta(1)])
    try:
        if out.suffix == ".csv":
            from pyarrow import csv

            csv.write_csv(rows, out)
        else:
            from pyarrow import parquet

            parquet.write_table(rows, out)
    except OSError as error:
        raise UsageError(f"the file must be writable; got: {error}. Name another with --out.") from error
    return int(rows.num_rows)


# ------------------------------------------------------------------------ drift


@dataclass(frozen=True)
class Watched:
    """What the look at one subject found; ``report`` is None where there is nothing to compare, and ``message`` says why."""

    subject: str
    version: str
    action: Literal["none", "warn", "retrain", "stop"]
    message: str
    report: "DriftReport | None" = None

    @property
    def model(self) -> str:
        """The subject whose model was looked at, be it by the shop's rows or by what it was asked."""
        return self.subject.removesuffix(AS_SERVED)

    def plain(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        from shopkeeper import drift as rules

        told = {name: getattr(self, name) for name in ("subject", "version", "action", "message")}
        return {**told, "report": json.loads(rules.to_json(self.report)) if self.report else None}


def drift(studio: Studio, only: Sequence[str] = (), *, policy: str = "warn", tell: Tell = silent) -> list[Watched]:
    """Compare the data and scores of now with those of each champion's training, and its performance where truth arrived.

    ``policy``: warn, retrain or stop, as the settings say. Changes nothing. Raises UsageError as ``score``.
    """
    chosen = studio.chosen(only)
    with studio.history() as history, ThreadPoolExecutor(AT_ONCE) as pool:

        def one(subject: Subject) -> list[Watched]:
            tell("drift", subject.name, 0, None)
            beside = history.beside()
            return [_watched(studio, subject, beside, policy), *_as_served(studio, subject, beside)]

        return [each for found in pool.map(one, chosen.values()) for each in found]


def _watched(studio: Studio, subject: Subject, history: ShopHistory, policy: str) -> Watched:
    from shopkeeper import drift as rules

    name = subject.name
    try:
        served = studio.registry.serving(name)
    except StorageError as error:
        return Watched(name, "", "warn", str(error))
    if served is None or history.last_day is None:
        return Watched(name, "", "none", UNSERVED)
    version = _version(served)
    try:
        report = _compare(studio, subject, served, history)
    except (ModelError, OSError) as error:
        return Watched(name, version, "warn", str(error))
    except Exception as error:  # noqa: BLE001 - as in training
        return Watched(name, version, "warn", studio.unforeseen(name, error))
    action = rules.decide(report, policy)
    return Watched(name, version, action.kind, action.sentence, report)


def _as_served(studio: Studio, subject: Subject, history: ShopHistory) -> list[Watched]:
    """Return what was asked of a champion over the API since its training, held against that; nothing if it was little.

    It warns only: who asks is not the shop, and a new model would be fitted on the shop's data all the same.
    """
    import pyarrow as pa
    from pyarrow import parquet

    from shopkeeper import drift as rules

    name = subject.name
    try:
        served = studio.registry.serving(name)
        if served is None:
            return []
        since = date.fromisoformat(served.version.tags["as_of"])
        asked = history.served_predictions(name, since)
        inputs = [
            json.loads(text)
            for text, version in zip(asked["inputs"].to_pylist(), asked["model_version"].to_pylist(), strict=True)
            if version == _version(served)
        ]
        if len(inputs) < LEAST_SERVED:
            return []
        reference = parquet.read_table(served.folder / REFERENCE)
        columns = sorted({each for row in inputs for each in row} & set(reference.column_names) - set(KEYS))
        current = pa.table({each: [row.get(each) for row in inputs] for each in columns})
        report = rules.examine(
            reference,
            current,
            columns=columns,
            score=None,
            subject=f"{name}{AS_SERVED}",
            version=_version(served),
            about=(f"the training, on data before {since}", f"{len(inputs):,} predictions served since"),
        )
    except (ModelError, StorageError, OSError, ValueError) as error:
        return [Watched(f"{name}{AS_SERVED}", "", "warn", str(error))]
    action = rules.decide(report, "warn")
    return [Watched(f"{name}{AS_SERVED}", f"{_version(served)} as served", action.kind, action.sentence, report)]


def _compare(studio: Studio, subject: Subject, served: Served, history: ShopHistory) -> "DriftReport":
    from pyarrow import parquet

    from shopkeeper import drift as rules

    model = subject.load(served.folder / MODEL)
    tags = served.version.tags
    moment = _span(history)[1] + timedelta(1)
    current = subject.watched(model, history, moment)
    try:
        reference = parquet.read_table(served.folder / REFERENCE)
    except ValueError as error:  # of what PyArrow raises over a damaged file, this is none of the OSErrors
        raise ModelError(
            f"the reference of {served.version.name} must be a readable Parquet file; got: {error}. Train "
            f"{subject.name} anew."
        ) from error
    decays = []
    seen = subject.hindsight(model, history, date.fromisoformat(tags["as_of"]))
    if seen is not None and (reported := served.version.figures.get(f"{model.name}.{seen.metric}")):
        decays.append(rules.decay(seen.metric, seen.truth, seen.predicted, reported, seed=studio.seed))
    return rules.examine(
        reference,
        current,
        columns=[name for name in model.columns if name in reference.column_names and name not in KEYS],
        volume=rules.Volume(int(tags["n_watched"]), current.num_rows),
        decays=decays,
        subject=subject.name,
        version=served.version.name,
        about=(f"the training, on data before {tags['as_of']}", f"today's {subject.rows}, as of {moment}"),
    )


def write_drift(done: Sequence[Watched], out: Path) -> list[Path]:
    """Write each report into a folder, as a page and as JSON; return the files. Raises UsageError if it is not writable."""
    from shopkeeper import drift as rules

    written = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for each in done:
            if each.report is not None:
                page = rules.html(each.report, rules.Action(each.action, each.message))
                for kind, text in (("html", page), ("json", rules.to_json(each.report))):
                    written.append(out / f"drift-{each.subject}.{kind}")
                    written[-1].write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"the folder must be writable; got: {error}. Name another with --out.") from error
    return written
