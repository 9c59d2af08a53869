"""The registry keeps whole versions, promotes and goes back, survives kills, and is not needed for scoring."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shopkeeper.errors import ModelError, StorageError, TransientError, UsageError
from shopkeeper.evaluation import Figure
from shopkeeper.registry import Registry, digest_of
from shopkeeper.registry.shelf import Shelf

FIGURES = {"auc": Figure(0.8, 0.75, 0.85), "brier": Figure(0.1, 0.09, 0.11)}
RECIPE = {"candidate": "lightgbm", "parameters": {"num_leaves": 31, "moments": ["2011-06-01"]}}
TAGS = {"candidate": "lightgbm", "code": "0.1.0", "lake.order_lines": "12"}


@dataclass(frozen=True)
class Trial:
    candidate: str = "lightgbm"
    parameters: dict[str, Any] = field(default_factory=lambda: {"num_leaves": 7})
    metric: str = "auc"
    value: float = 0.7
    seconds: float = 1.5


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A project's folder with an empty database: making one takes seconds, and a project may be moved."""
    root = tmp_path_factory.mktemp("template") / "models"
    registry = Registry(root)
    with registry._books.client():
        pass
    return root


@pytest.fixture
def registry(template, tmp_path) -> Registry:
    """A registry in which nothing is registered yet."""
    shutil.copytree(template, tmp_path / "models")
    return Registry(tmp_path / "models")


@pytest.fixture
def files(tmp_path):
    """Make a folder with the files of a version, which differ by what it says."""

    def make(text: str = "one") -> Path:
        folder = tmp_path / f"version-{text}"
        (folder / "evaluated").mkdir(parents=True, exist_ok=True)
        (folder / "model.json").write_text(f'{{"model": "{text}"}}')
        (folder / "evaluated" / "arrays.npz").write_bytes(text.encode() * 1000)
        (folder / "card.md").write_text(f"# {text}")
        return folder

    return make


@pytest.fixture
def add(registry, files):
    """Register a version."""

    def register(text: str = "one", **changed: Any):
        told = {"folder": files(text), "figures": FIGURES, "parameters": RECIPE, "tags": TAGS, **changed}
        return registry.register("churn", **told)

    return register


def states(registry: Registry) -> dict[int, str]:
    return {version.number: version.state for version in registry.versions("churn")}


# ----------------------------------------------------------------------- books


def test_what_was_registered_is_read_back(registry, add, files):
    """Figures, recipe, tags and files come back as they were; the newest is the challenger, the one before is archived."""
    assert registry.versions("churn") == []
    add("one")
    version = add("two", is_baseline=True)
    assert (version.number, version.name, version.is_baseline) == (2, "churn/2", True)
    assert (version.figures, version.parameters, version.tags) == (FIGURES, RECIPE, TAGS)
    assert states(registry) == {2: "challenger", 1: "archived"}
    assert registry.show("churn", 2) == version
    assert [digest_of(registry.fetch("churn", n)) for n in (1, 2)] == [digest_of(files("one")), digest_of(files("two"))]
    assert registry.champion("churn") is None


def test_a_kill_while_the_database_was_written_is_undone(registry, add):
    """What a killed transaction left beside the file is rolled back; the registry reads and writes as before."""
    add("one")
    database = registry.root / "mlflow.db"
    killed = (
        "import os, signal, sqlite3\n"
        f"connection = sqlite3.connect({str(database)!r})\n"
        "connection.execute('pragma cache_size = 1')\n"
        "connection.execute('create table half (text)')\n"
        "connection.executemany('insert into half values (?)', [('x' * 1000,)] * 2000)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert database.with_name("mlflow.db-journal").stat().st_size > 0
    again = Registry(registry.root)
    assert [version.number for version in again.versions("churn")] == [1]


def test_a_run_holds_what_mlflows_own_screen_shows(registry, add):
    """Metrics with interval ends, flat parameters, the card as a note, and trials below their training."""
    from mlflow.tracking import MlflowClient

    version = add(trials=[Trial(), Trial(value=0.72)])
    client = MlflowClient(f"sqlite:///{registry.root / 'mlflow.db'}")
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {
        "auc": 0.8,
        "auc_low": 0.75,
        "auc_high": 0.85,
        "brier": 0.1,
        "brier_low": 0.09,
        "brier_high": 0.11,
    }
    assert run.data.params["parameters.num_leaves"] == "31"
    assert run.data.tags["mlflow.note.content"] == "# one"
    below = client.search_runs(
        [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{version.run_id}'", order_by=["metrics.auc"]
    )
    assert [(each.data.metrics["auc"], each.info.status) for each in below] == [(0.7, "FINISHED"), (0.72, "FINISHED")]


def test_many_parameters_and_long_ones_are_kept(registry, add):
    """More than MLflow takes in one call, and a text longer than it keeps, come back whole from the version."""
    recipe = {"parameters": {f"p{n}": n for n in range(250)}, "long": "x" * 7000}
    assert add(parameters=recipe).parameters == recipe


def test_two_versions_beside_each_other(registry, add):
    """All metrics, and only the parameters and tags that differ."""
    add("one")
    add(
        "two",
        figures={"auc": Figure(0.9, 0.8, 1.0)},
        parameters={**RECIPE, "parameters": {"num_leaves": 63, "moments": ["2011-06-01"]}},
        tags={**TAGS, "code": "0.2.0"},
    )
    found = registry.compare("churn", 1, 2)
    assert found.figures == {"auc": (FIGURES["auc"], Figure(0.9, 0.8, 1.0)), "brier": (FIGURES["brier"], None)}
    assert found.parameters == {"parameters.num_leaves": (31, 63)}
    assert found.tags == {"code": ("0.1.0", "0.2.0")}


def test_subjects_do_not_mix(registry, add, files):
    """Each subject counts its own versions."""
    add()
    other = registry.register("segments", folder=files(), figures={}, parameters={}, tags={})
    assert other.number == 1
    registry.promote("segments", 1)
    assert (states(registry), registry.serving("churn")) == ({1: "challenger"}, None)


@pytest.mark.parametrize("subject", ["../churn", "", "Churn", "a/b"])
def test_a_subject_is_a_word(registry, files, subject):
    """No name leads out of the folder."""
    for call in (registry.serving, registry.versions, registry.rollback):
        with pytest.raises(UsageError, match="plain lower-case word"):
            call(subject)
    with pytest.raises(UsageError, match="plain lower-case word"):
        registry.register(subject, folder=files(), figures={}, parameters={}, tags={})


def test_a_version_that_does_not_exist_is_told(registry, add):
    """With those that do."""
    add()
    for call in (registry.show, registry.promote, registry.fetch):
        with pytest.raises(UsageError, match=r"must be one that is registered \(1\); got 7"):
            call("churn", 7)


def test_a_version_must_have_files(registry, add, tmp_path):
    """An empty folder is refused before anything is written."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="must have files"):
        add(folder=tmp_path / "empty")
    (tmp_path / "empty" / "version.json").write_text("{}")
    with pytest.raises(ModelError, match=r"must not be called version.json"):
        add(folder=tmp_path / "empty")
    assert registry.versions("churn") == []


def test_mlflow_is_told_to_keep_quiet_and_the_environment_is_given_back(registry, add, monkeypatch):
    """Telemetry is off; afterwards the variables are what they were."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    with registry._books.client():
        from mlflow.telemetry import get_telemetry_client
        from mlflow.telemetry.utils import is_telemetry_disabled

        assert is_telemetry_disabled()
    assert get_telemetry_client() is None
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert "MLFLOW_DISABLE_TELEMETRY" not in os.environ


# ----------------------------------------------------------- promote, go back


def test_promotion_and_rollback(registry, add):
    """Champions follow one another; going back goes to the champion before, and once more to the one before that."""
    for text in ("one", "two", "three"):
        add(text)
    assert registry.promote("churn", 1).number == 1
    assert states(registry) == {3: "challenger", 2: "archived", 1: "champion"}
    assert registry.promote("churn", 3).number == 3
    assert states(registry) == {3: "champion", 2: "archived", 1: "archived"}
    registry.promote("churn", 2)
    assert registry.rollback("churn").number == 3
    assert registry.rollback("churn").number == 1
    assert states(registry) == {3: "archived", 2: "archived", 1: "champion"}
    with pytest.raises(UsageError, match="none before 1"):
        registry.rollback("churn")
    registry.promote("churn", 3)
    assert registry.rollback("churn").number == 1


def test_a_promotion_may_be_repeated(registry, add):
    """Twice is as once: the line of champions holds each once, and rollback goes to the other."""
    add("one")
    add("two")
    for number in (1, 1, 2, 2):
        registry.promote("churn", number)
    assert registry.rollback("churn").number == 1


def test_what_serves_is_a_copy_with_all_that_was_said(registry, add, files):
    """The champion's files, figures, recipe and tags; exports other than the last two champions' are removed."""
    for text in ("one", "two", "three"):
        registry.promote("churn", add(text).number)
    served = registry.serving("churn")
    assert served.version == registry.show("churn", 3)
    assert digest_of(served.folder) == digest_of(files("three"))
    assert sorted(path.name for path in served.folder.parent.iterdir()) == ["2", "3", "current"]


def test_scoring_needs_no_mlflow(registry, add):
    """Reading the champion imports no MLflow and works where the database is gone."""
    registry.promote("churn", add().number)
    (registry.root / "mlflow.db").unlink()
    code = (
        "import sys; from pathlib import Path; from shopkeeper.registry import Registry;"
        f"print(Registry(Path({str(registry.root)!r})).serving('churn').version.name, 'mlflow' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["churn/1", "False"]


STEPS = ["export", "line", "alias", "challenger", "pointer"]


@pytest.mark.parametrize("verb", ["promote", "rollback"])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_leaves_the_former_champion_and_repeating_finishes(registry, add, monkeypatch, verb, step):
    """Killed before any of its steps, the former champion serves; repeated, all is as if it had not been killed."""
    from mlflow.tracking import MlflowClient

    for text in ("one", "two", "three"):
        add(text)
    registry.promote("churn", 1)
    registry.promote("churn", 2)
    act = (lambda: registry.promote("churn", 3)) if verb == "promote" else (lambda: registry.rollback("churn"))
    place = {
        "export": (Shelf, "export"),
        "line": (MlflowClient, "set_registered_model_tag"),
        "alias": (MlflowClient, "set_registered_model_alias"),
        "challenger": (MlflowClient, "get_registered_model" if verb == "rollback" else "delete_registered_model_alias"),
        "pointer": (Shelf, "point"),
    }[step]

    def kill(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*place, kill)
        with pytest.raises(KeyboardInterrupt):
            act()
    assert registry.serving("churn").number == 2
    act()
    goal = 3 if verb == "promote" else 1
    assert registry.serving("churn").number == goal
    assert registry.champion("churn").number == goal
    assert "challenger" not in states(registry).values() or verb == "rollback"
    if verb == "promote":
        assert registry.rollback("churn").number == 2


def test_what_serves_can_follow_the_alias(registry, add, monkeypatch):
    """After a kill before the pointer, or an alias moved in MLflow's own screen, settling makes both agree."""
    for text in ("one", "two"):
        add(text)
    assert registry.settle("churn") is None
    registry.promote("churn", 1)
    assert registry.settle("churn").number == 1
    with registry._books.client() as client:
        client.set_registered_model_alias("churn", "champion", "2")
    assert registry.serving("churn").number == 1
    assert registry.settle("churn").number == 2
    assert registry.rollback("churn").number == 1


# ------------------------------------------------------------- killed, broken


KILLED = """
import os, signal, sys
from pathlib import Path
import shopkeeper.registry.registry
from shopkeeper.registry import Registry
{place}.{step} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
Registry(Path(sys.argv[1])).register("churn", folder=Path(sys.argv[2]), figures={{}}, parameters={{}}, tags={{}})
"""


@pytest.mark.parametrize("step", ["_store", "sync_all", "show"])
def test_a_killed_registration_leaves_no_half_version(registry, add, files, step):
    """Killed before its files are whole: no version, and the next registration marks the run as failed. Killed at its
    end: the version stands.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            KILLED.format(step=step, place="shopkeeper.registry.registry" if step == "sync_all" else "Registry"),
            str(registry.root),
            str(files()),
        ],
        check=False,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL
    before = [version.number for version in registry.versions("churn")]
    assert before == ([1] if step == "show" else [])
    add("two")
    with registry._books.client() as client:
        runs = client.search_runs([client.get_experiment_by_name("churn").experiment_id])
    assert sorted(run.info.status for run in runs) == (
        ["FINISHED", "FINISHED"] if step == "show" else ["FAILED", "FINISHED"]
    )
    assert list(registry.root.glob("artifacts/*.draft")) == []
    assert len(registry.versions("churn")) == len(before) + 1


def test_a_full_disk_leaves_no_version(registry, add, monkeypatch):
    """The run is marked as failed, no version appears, nothing stays half written, and the sentence says so."""
    add("one")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", full)
        with pytest.raises(StorageError, match="No space left"):
            add("two")
        with pytest.raises(StorageError, match="No space left"):
            registry.promote("churn", 1)
    assert states(registry) == {1: "challenger"}
    assert list(registry.root.glob("artifacts/*.draft")) == []
    assert registry.promote("churn", 1).number == 1


def test_altered_files_are_not_promoted(registry, add):
    """What is no longer what was registered is told, and the champion keeps serving."""
    registry.promote("churn", add("one").number)
    add("two")
    (registry.fetch("churn", 2) / "model.json").write_text("{}")
    for call in (registry.fetch, registry.promote):
        with pytest.raises(StorageError, match="gone or altered"):
            call("churn", 2)
    assert registry.serving("churn").number == 1


def test_a_damaged_export_is_told_and_mended(registry, add):
    """The champion's files are gone: a sentence says how to get them back, and that works."""
    registry.promote("churn", add().number)
    shutil.rmtree(registry.serving("churn").folder)
    with pytest.raises(StorageError, match="shopkeeper models promote churn/1"):
        registry.serving("churn")
    assert registry.promote("churn", 1).number == 1


def test_a_registry_that_is_gone(registry, add, files):
    """The champion serves; all else is refused in a sentence, and no new book is begun over it."""
    registry.promote("churn", add().number)
    book = registry.root / "mlflow.db"
    kept = book.read_bytes()
    book.unlink()
    for again in (registry, Registry(registry.root)):
        calls = [
            lambda again=again: again.versions("churn"),
            lambda again=again: again.promote("churn", 1),
            lambda again=again: again.rollback("churn"),
            lambda: add("two"),
        ]
        for call in calls:
            with pytest.raises(StorageError, match=r"mlflow.db is gone. The champions of churn still serve"):
                call()
        assert again.serving("churn").number == 1
    assert not book.exists()
    book.write_bytes(kept)
    assert [registry.champion("churn").number, add("two").number] == [1, 2]


def test_a_registry_that_forgot_the_champion(registry, add, template):
    """An empty book under a champion that serves would give its number away again: it is refused."""
    registry.promote("churn", add().number)
    shutil.copy(template / "mlflow.db", registry.root / "mlflow.db")
    with pytest.raises(StorageError, match="must know the champion churn/1 that serves"):
        add("two")
    assert registry.serving("churn").number == 1


def revision(file: Path) -> None:
    """Write a revision that this MLflow does not know."""
    with sqlite3.connect(file) as connection:
        connection.execute("update alembic_version set version_num = 'ffffffffffff'")
    connection.close()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda file: file.write_bytes(b"no database at all" * 100), "readable database; got: file is not a database"),
        (lambda file: file.write_bytes(b""), "readable database; got: no such table"),
        (revision, "must have the tables of MLflow"),
    ],
    ids=["no database", "empty", "of a newer MLflow"],
)
def test_a_book_that_cannot_be_read(registry, harm, told):
    """A damaged file, and one of another MLflow, are told at once."""
    harm(registry.root / "mlflow.db")
    start = time.perf_counter()
    with pytest.raises(StorageError, match=told):
        registry.versions("churn")
    assert time.perf_counter() - start < 3


def test_a_place_that_cannot_be_written(tmp_path, files):
    """A file where the folder should be."""
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(StorageError, match="disk must take"):
        Registry(tmp_path / "models").register("churn", folder=files(), figures={}, parameters={}, tags={})


def test_a_pointer_that_names_nothing(registry, add):
    """A damaged pointer is told with what to do."""
    registry.promote("churn", add().number)
    (registry.root / "serving/churn/current").write_text("three")
    with pytest.raises(StorageError, match="must hold a version's number"):
        registry.serving("churn")


def test_a_project_may_be_moved(registry, add, tmp_path, files):
    """Nothing in the books names the folder they stand in."""
    registry.promote("churn", add("one").number)
    add("two")
    registry.root.rename(tmp_path / "elsewhere")
    moved = Registry(tmp_path / "elsewhere")
    assert digest_of(moved.fetch("churn", 2)) == digest_of(files("two"))
    told = {"folder": files("three"), "figures": {}, "parameters": {}, "tags": {}}
    assert moved.register("churn", **told).number == 3
    assert moved.promote("churn", 3).number == 3
    assert not (tmp_path / "models").exists()


def test_the_example_of_the_page_runs(registry, add, monkeypatch, capsys):
    """The Python of docs/registry.md, on a registry where versions 2 and 3 were champions."""
    page = (Path(__file__).parents[1] / "docs" / "registry.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for text in ("one", "two", "three"):
        add(text)
    registry.promote("churn", 2)
    place = registry.root.parent / "mugs/data/dev"
    place.mkdir(parents=True)
    registry.root.rename(place / "models")
    monkeypatch.chdir(registry.root.parent)
    exec(code, {})  # noqa: S102 - the page is ours
    assert capsys.readouterr().out.startswith("churn/3 challenger")
    assert Registry(place / "models").serving("churn").number == 2


# ---------------------------------------------------------------------- server

# MLflow's own server application, its REST handlers and its proxy for artifacts, on the development server of Flask: its
# command line wants the full mlflow.
SERVER = """
import os, sys
root, port = sys.argv[1:]
os.environ.update({
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{root}/mlflow.db",
    "_MLFLOW_SERVER_REGISTRY_STORE": f"sqlite:///{root}/mlflow.db",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{root}/artifacts",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
})
from werkzeug.serving import run_simple
from mlflow.server import app
run_simple("127.0.0.1", int(port), app, threaded=True)
"""


@pytest.fixture
def serve(tmp_path):
    """Start MLflow's server on a folder; return its URL and how to stop it."""
    started = []

    def start(root: Path) -> str:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
        with (tmp_path / "server.log").open("w") as log:
            process = subprocess.Popen([sys.executable, "-c", SERVER, str(root), str(port)], stdout=log, stderr=log)
        started.append(process)
        for _ in range(600):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    return f"http://127.0.0.1:{port}"
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            time.sleep(0.1)
        raise AssertionError((tmp_path / "server.log").read_text())

    yield start
    for process in started:
        process.terminate()
        process.wait()


@pytest.mark.service
def test_a_server_keeps_the_books(registry, add, files, serve, tmp_path):
    """A server started on the folder knows what was registered in it; another machine promotes, goes back and registers."""
    registry.promote("churn", add("one").number)
    url = serve(registry.root)
    other = Registry(tmp_path / "other", url)
    assert other.serving("churn") is None
    assert other.settle("churn").number == 1
    told = {"figures": FIGURES, "parameters": RECIPE, "tags": TAGS, "trials": [Trial()]}
    version = other.register("churn", folder=files("two"), **told)
    assert (version.number, version.figures, version.parameters) == (2, FIGURES, RECIPE)
    assert other.promote("churn", 2).number == 2
    assert digest_of(other.serving("churn").folder) == digest_of(files("two"))
    assert digest_of(other.fetch("churn", 1)) == digest_of(files("one"))
    assert other.rollback("churn").number == 1
    assert registry.settle("churn").number == 1
    prefixed = Registry(tmp_path / "third", url, prefix="mugs.")
    assert prefixed.register("churn", folder=files("two"), figures={}, parameters={}, tags={}).number == 1


@pytest.mark.service
def test_a_server_that_is_gone(files, serve, tmp_path, registry):
    """A sentence within seconds, worth trying again, without the password in the address; the champion serves."""
    served = Registry(tmp_path / "other", serve(registry.root))
    served.register("churn", folder=files(), figures={}, parameters={}, tags={})
    served.promote("churn", 1)
    gone = Registry(tmp_path / "other", "http://me:secret@127.0.0.1:9")
    start = time.perf_counter()
    with pytest.raises(TransientError, match=r"must answer; http://127.0.0.1:9: .*Connection refused\. The") as caught:
        gone.versions("churn")
    assert time.perf_counter() - start < 20
    assert "secret" not in str(caught.value)
    assert gone.serving("churn").number == 1
