"""The door to dbt: builds the warehouse from the lake, and says which model or rule failed and where.

A build is marked as under way before it starts and as done after it ended well, so that a killed one is seen and
repeated. Every model is one transaction; incremental models take up what they lack. May be repeated at any time.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkeeper import __version__
from shopkeeper import vocabulary as v
from shopkeeper.engine import connect, extension_path, literal, quote
from shopkeeper.errors import BuildError, StorageError, UsageError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

LEDGERS = ("ledger", "behaviour_ledger")
PROJECT = Path(str(resources.files("shopkeeper"))) / "dbt"


@dataclass(frozen=True)
class BuildState:
    """What the warehouse holds: the last build that ended well, or none while one is under way.

    ``scores``: subject → the model version and the build that its predictions were made of. ``log_cursors``: kind of things
    that the collector takes → the last place in its log that the build holds.
    """

    build_id: str | None = None
    lake_versions: dict[str, int] = field(default_factory=dict)
    code: str = ""
    scores: dict[str, str] = field(default_factory=dict)
    log_cursors: dict[str, str] = field(default_factory=dict)

    @property
    def content_id(self) -> str:
        """What tells this state of all tables from any other, predictions included."""
        told = json.dumps(self.scores, sort_keys=True)
        return (
            f"{self.build_id}-{hashlib.sha256(told.encode()).hexdigest()[:12]}" if self.scores else str(self.build_id)
        )


@dataclass(frozen=True)
class Build:
    """What one build did: names of the models and rules (tests) it ran, with seconds each; empty if nothing was new."""

    build_id: str
    models: dict[str, float]
    rules: dict[str, float]
    was_full: bool


class Warehouse:
    """One DuckDB file that dbt builds from the lake; apps never open it."""

    def __init__(
        self,
        path: Path,
        *,
        lake: Path,
        scratch: Path,
        work: Path,
        variables: dict[str, Any],
        threads: int = 0,
        memory_gb: float = 0.0,
    ) -> None:
        """Name the database, the lake it reads, a scratch folder, dbt's own work folder, and the project's variables.

        ``threads`` and ``memory_gb`` bound a build; zero: all cores, three quarters of the memory.
        """
        self.threads = threads
        self.memory_gb = memory_gb
        self.path = path
        self.lake = lake
        self.scratch = scratch
        self.work = work
        self.profile = path.parent.name
        self.variables = {
            **variables,
            "lake": str(lake.resolve()),
            "delta_extension": str(extension_path("delta")),
        }

    # ------------------------------------------------------------------- state

    def state(self) -> BuildState:
        """Return what the warehouse holds; an empty state if it must be built."""
        try:
            return BuildState(**json.loads((self.work / "state.json").read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return BuildState()

    def _remember(self, state: BuildState) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        draft = self.work / "state.draft"
        draft.write_text(json.dumps(state.__dict__), "utf-8")
        draft.replace(self.work / "state.json")

    # ------------------------------------------------------------- predictions

    def open(self) -> "duckdb.DuckDBPyConnection":
        """Open the warehouse to read, without the lake: what training and scoring ask. Raises UsageError before a build."""
        if not self.path.exists() or self.state().build_id is None:
            raise UsageError(
                "a build must have ended well before models can be trained or score; there is none. Run `shopkeeper build`."
            )
        return connect(
            self.path,
            read_only=True,
            threads=self.threads or None,
            memory_gb=self.memory_gb or None,
            scratch=self.scratch,
        )

    def predictions(self) -> set[str]:
        """Return the names of the prediction tables that stand."""
        with self.open() as connection:
            found = connection.execute(
                f"select table_name from duckdb_tables() where schema_name = {literal(v.PREDICTIONS)}"
            ).fetchall()
        return {str(name) for (name,) in found}

    def store(self, tables: Mapping[str, "pa.Table"], scores: Mapping[str, str]) -> None:
        """Replace tables of schema ``predictions`` in one transaction, and remember of which models and build they are.

        ``scores``: subject → what ``BuildState.scores`` keeps. May be repeated: a kill between leaves the old memory, and
        the same tables are stored again. Raises StorageError if the disk refuses.
        """
        import duckdb

        try:
            with connect(self.path) as connection:
                connection.execute(f"create schema if not exists {v.PREDICTIONS}")
                connection.execute("begin")
                for name, rows in tables.items():
                    connection.register("rows_to_store", rows)
                    connection.execute(
                        f"create or replace table {v.PREDICTIONS}.{quote(name)} as select * from rows_to_store"
                    )
                    connection.unregister("rows_to_store")
                connection.execute("commit")
        except duckdb.Error as error:
            raise StorageError(
                f"the disk must take the predictions; got: {str(error).splitlines()[0]}. What was published still serves: "
                f"free some space and run `shopkeeper score` again."
            ) from error
        self._remember(replace(self.state(), scores={**self.state().scores, **scores}))

    def code(self) -> str:
        """Return a fingerprint of everything but the data that decides what a build gives."""
        # Where the lake stands decides nothing: a project may be moved.
        variables = {key: value for key, value in self.variables.items() if key not in {"lake", "delta_extension"}}
        digest = hashlib.sha256(json.dumps([__version__, variables], sort_keys=True).encode())
        for file in sorted(PROJECT.rglob("*")):
            if file.suffix in {".sql", ".yml", ".csv"}:
                digest.update(file.relative_to(PROJECT).as_posix().encode())
                digest.update(file.read_bytes())
        return digest.hexdigest()

    # ------------------------------------------------------------------- build

    def build(
        self,
        lake_versions: dict[str, int],
        *,
        select: str | None = None,
        full_refresh: bool = False,
        log_cursors: Mapping[str, str] | None = None,
        tell: Callable[[str, int, int], None] = lambda _node, _done, _all: None,
    ) -> Build:
        """Bring the warehouse up to the lake: only what lies downstream of tables that changed; nothing if none did.

        ``select``: dbt's own selection instead. ``full_refresh``: rebuild incremental tables; also done when code or
        settings changed. ``log_cursors``: how far the lake holds the collector's log.
        ``tell(node, done, all)`` is called after each node.
        Raises BuildError that names the model or the rule, and how many rows break it.
        """
        state, code = self.state(), self.code()
        fresh = full_refresh or state.code != code or not self.path.exists()
        changed = [name for name in v.ENTITIES if lake_versions.get(name) != state.lake_versions.get(name)]
        new_loads = lake_versions.get(v.LOADS) != state.lake_versions.get(v.LOADS)
        if select is None and not fresh and state.build_id and not changed and not new_loads:
            return Build(state.build_id, {}, {}, was_full=False)
        if select is not None:
            chosen = ["--select", *select.split()]
        elif fresh or state.build_id is None:
            # After a selection, or a build that was cut short, nobody knows which tables are up to date.
            chosen = []
        else:
            chosen = ["--select", "ledger", *(f"stg_lake__{name}+" for name in changed)]
        self._remember(replace(state, build_id=None))
        results = self._dbt(["build", *chosen, *(["--full-refresh"] if fresh else [])], tell)
        models, rules = _timed(results)
        build_id = uuid.uuid4().hex
        if select is None:
            # What was scored stays known, of the build before: scoring sees that there is a new one.
            self._remember(BuildState(build_id, lake_versions, code, state.scores, dict(log_cursors or {})))
        return Build(build_id, models, rules, was_full=fresh)

    def arguments(self) -> list[str]:
        """Return the arguments that let plain dbt run this project on this warehouse."""
        return [
            *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
            *(
                "--target",
                self.profile,
                "--target-path",
                str(self.work / "target"),
                "--vars",
                json.dumps(self.variables),
            ),
        ]

    def environment(self) -> dict[str, str]:
        """Return the variables that the project's profile reads."""
        return {
            "SHOPKEEPER_PROFILE": self.profile,
            "SHOPKEEPER_WAREHOUSE": str(self.path.resolve()),
            "SHOPKEEPER_SCRATCH": str(self.scratch.resolve()),
            "SHOPKEEPER_THREADS": str(self.threads or os.cpu_count() or 1),
            "SHOPKEEPER_MEMORY": f"{self.memory_gb or _three_quarters_gb()}GB",
        }

    def _dbt(self, command: list[str], tell: Callable[[str, int, int], None]) -> Iterable[Any]:
        from dbt.cli.main import dbtRunner

        self.work.mkdir(parents=True, exist_ok=True)
        quiet = [
            "--log-level",
            "none",
            "--log-level-file",
            "info",
            "--log-path",
            str(self.work / "logs"),
            "--no-use-colors",
        ]

        def listen(event: Any) -> None:
            if event.info.name in {"LogModelResult", "LogTestResult", "LogSeedResult"}:
                # dbt counts a test among num_models, anything else in total.
                total = event.data.num_models if event.info.name == "LogTestResult" else event.data.total
                tell(str(event.data.node_info.node_name), int(event.data.index), int(total))

        with _variables(self.environment()):
            try:
                outcome = dbtRunner(callbacks=[listen]).invoke([*quiet, *command, *self.arguments()])
            finally:
                _close_dbt()
        if isinstance(outcome.exception, KeyboardInterrupt):
            raise outcome.exception
        if outcome.exception is not None:
            raise BuildError(f"the warehouse must build; dbt says: {outcome.exception}. See {self.work / 'logs'}.")
        results: list[Any] = list(outcome.result)  # type: ignore[arg-type] # of a build, it can be iterated
        failed = [result for result in results if str(result.status) in {"error", "fail", "runtime error"}]
        if failed:
            raise BuildError(self._explain(failed))
        if not results and "--select" in command:
            raise UsageError(
                f"--select must name at least one model; nothing matches {command[2:]}. See `dbt ls` in docs."
            )
        return results

    def _explain(self, failed: list[Any]) -> str:
        """Return one sentence per failure: the model and the engine's message, or the rule, its rows and its count."""
        lines = []
        for result in failed:
            node = result.node
            if str(result.status) == "fail":
                model = str(getattr(node, "attached_node", None) or node.name).rsplit(".", 1)[-1]
                told = self._unbalanced(model) if model in LEDGERS else self._broken_rules(node.compiled_code)
                lines += [f"{model}: {rule}" for rule in told]
            else:
                lines.append(f"{node.name}: {' '.join(str(result.message).split())}")
        return (
            "the warehouse must build and keep its rules; "
            + "; ".join(lines)
            + f". Nothing was published. Details: {self.work / 'logs' / 'dbt.log'}."
        )

    def _unbalanced(self, ledger: str) -> Iterator[str]:
        """Yield the identities that do not hold: which, where, and both sides."""
        with connect(self.path, read_only=True) as connection:
            found = connection.execute(
                f"select rule, scope, expected, actual from {v.METRICS}.{ledger} where difference <> 0 order by 1, 2"
            )
            for rule, scope, expected, actual in found.fetchmany(5):
                yield f"'{rule}' does not balance for {scope}: expected {expected}, got {actual}"

    def _broken_rules(self, sql: str) -> Iterator[str]:
        with connect(self.path, read_only=True, extensions=("delta",)) as connection:
            found = connection.execute(sql)
            columns = [column[0] for column in found.description]
            for row in found.fetchmany(5):
                named = dict(zip(columns, row, strict=True))
                if set(columns) == {"rule", "n_rows"}:
                    yield f"'{named['rule']}' does not hold for {named['n_rows']} rows"
                else:
                    yield ", ".join(f"{name} = {value}" for name, value in named.items())


def _three_quarters_gb() -> float:
    """Return three quarters of the machine's memory in GB."""
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 0.75 / 1e9, 1)


def _timed(results: Iterable[Any]) -> tuple[dict[str, float], dict[str, float]]:
    models: dict[str, float] = {}
    rules: dict[str, float] = {}
    for result in results:
        kind = str(result.node.resource_type)
        (rules if kind == "test" else models)[result.node.name] = round(result.execution_time, 3)
    return models, rules


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for dbt, whose profiles can be told things in no other way, and take them back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _close_dbt() -> None:
    """Close the database that dbt-duckdb keeps open for the whole process."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
