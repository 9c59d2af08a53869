"""Is everything well: versions, engine, lake, disk, locks, the last run; and what to do about each fault."""

import fcntl
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from shopkeeper import __version__
from shopkeeper.assembly import Shopkeeper, assemble
from shopkeeper.engine import EXTENSIONS, connect
from shopkeeper.errors import ShopkeeperError
from shopkeeper.training import is_stale

LOW_DISK = 2_000_000_000
LIBRARIES = (
    "duckdb",
    "deltalake",
    "pyarrow",
    "dbt-core",
    "dbt-duckdb",
    "fastexcel",
    "scikit-learn",
    "lightgbm",
    "mlflow-skinny",
)


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``state``: ok, warning or fault; ``advice``: what to do, empty if all is well."""

    what: str
    state: str
    found: str
    advice: str = ""


def check(project: Path, profile: str) -> list[Finding]:
    """Look at everything, whatever is broken; each fault comes with advice. Changes nothing in the project."""
    findings = [_libraries(), _engine()]
    try:
        parts = assemble(project, profile)
    except ShopkeeperError as error:
        return [*findings, Finding("settings", "fault", str(error), "mend shopkeeper.toml or name the project")]
    findings.append(
        Finding(
            "settings", "ok", f"{parts.settings.shop.name}: {len(parts.settings.sources)} sources, profile {profile}"
        )
    )
    looks = (_quarantine, _build, _models, _published)
    return [*findings, _disk(parts), _lock(parts), *_lake(parts), *(look(parts) for look in looks)]


def _libraries() -> Finding:
    found = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    return Finding("versions", "ok", f"shopkeeper {__version__}, {found}")


def _engine() -> Finding:
    try:
        with connect(extensions=EXTENSIONS) as connection:
            row = connection.execute("select current_setting('threads'), current_setting('memory_limit')").fetchone()
    except Exception as error:  # noqa: BLE001 - whatever the engine says is the finding
        return Finding("engine", "fault", str(error), "install again: pip install --force-reinstall shopkeeper")
    threads, memory = row or ("?", "?")
    return Finding("engine", "ok", f"{threads} threads, {memory}, extensions {', '.join(EXTENSIONS)}")


def _disk(parts: Shopkeeper) -> Finding:
    free = shutil.disk_usage(parts.settings.project).free
    told = f"{free / 1e9:,.1f} GB free"
    if free < LOW_DISK:
        return Finding("disk", "warning", told, f"free some space: a run wants {LOW_DISK / 1e9:.0f} GB")
    return Finding("disk", "ok", told)


def _lock(parts: Shopkeeper) -> Finding:
    path = parts.settings.home / "lock"
    if not path.exists():
        return Finding("lock", "ok", "free")
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            return Finding("lock", "warning", f"held by process {lock.read()}", "wait for that run, or stop it")
    return Finding("lock", "ok", "free")


def _lake(parts: Shopkeeper) -> list[Finding]:
    if not parts.settings.lake.exists():
        return [Finding("lake", "warning", "nothing loaded yet", "shopkeeper run")]
    try:
        loads = parts.lake.loads()
        parts.lake.snapshot()
    except ShopkeeperError as error:
        return [Finding("lake", "fault", str(error), "restore the lake's folder from a backup, or upgrade Shopkeeper")]
    rows = sum(load.rows_loaded for load in loads)
    last = f", last {loads[-1].finished_at:%Y-%m-%d %H:%M} UTC" if loads else ""
    return [Finding("lake", "ok", f"{len(loads)} loads, {rows:,} rows{last}")]


def _quarantine(parts: Shopkeeper) -> Finding:
    if not parts.settings.lake.exists():
        return Finding("quarantine", "ok", "empty")
    try:
        n_rejects = parts.lake.rejects().num_rows
    except ShopkeeperError as error:
        return Finding("quarantine", "fault", str(error), "see lake")
    if n_rejects:
        return Finding("quarantine", "warning", f"{n_rejects:,} rows wait", "shopkeeper quarantine explain")
    return Finding("quarantine", "ok", "empty")


def _build(parts: Shopkeeper) -> Finding:
    state = parts.warehouse.state()
    if not parts.settings.warehouse.exists():
        return Finding("build", "warning", "none yet", "shopkeeper build")
    if state.build_id is None:
        return Finding("build", "warning", "the last build did not end well", "shopkeeper build")
    return Finding("build", "ok", f"build {state.build_id[:8]}")


def _models(parts: Shopkeeper) -> Finding:
    """Look at what serves each question, and at whether its predictions are of the last build."""
    studio = parts.studio
    if not studio.subjects:
        return Finding("models", "ok", "none configured")
    try:
        serving = {name: studio.registry.serving(name) for name in studio.subjects}
        stale = [name for name, served in serving.items() if served and is_stale(studio, name)]
    except ShopkeeperError as error:
        return Finding("models", "fault", str(error), "shopkeeper models list")
    told = ", ".join(served.version.name if served else f"{name}: none" for name, served in serving.items())
    if stale:
        return Finding(
            "models", "warning", f"{told}; scored before the last build: {', '.join(stale)}", "shopkeeper run"
        )
    if not any(serving.values()):
        return Finding("models", "ok", "none serves yet: shopkeeper train says why")
    return Finding("models", "ok", told)


def _published(parts: Shopkeeper) -> Finding:
    current = parts.published.current()
    if current is None:
        return Finding("published", "warning", "no version yet", "shopkeeper publish")
    try:
        parts.published.open().close()
    except Exception as error:  # noqa: BLE001 - whatever keeps it from opening is the finding
        return Finding(
            "published", "fault", f"version {current}: {error}", "shopkeeper rollback, then shopkeeper publish"
        )
    state = parts.warehouse.state()
    newest = next((version for version in parts.published.versions() if version.is_current), None)
    if state.build_id and newest and newest.build_id != state.content_id:
        return Finding("published", "warning", f"version {current} is not the last build", "shopkeeper publish")
    return Finding("published", "ok", f"version {current}, {len(parts.published.versions())} kept")
