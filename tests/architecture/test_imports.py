"""Imports go one way, each library has one door, and every module is a whole subject with a noun for a name.

Every import counts, wherever it stands: inside a function, or for types only.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

LEVELS = {
    "": 0,  # the package itself: its version
    "vocabulary": 0,
    "errors": 0,
    "progress": 0,
    "engine": 1,
    "contracts": 1,
    "mappings": 1,
    "presets": 1,
    "settings": 1,
    "sources": 2,
    "lake": 2,
    "warehouse": 2,
    "events": 2,
    "published": 2,
    "answers": 2,
    "access": 2,
    "simulator": 2,
    "evaluation": 2,
    "features": 2,
    "models": 2,
    "plots": 2,
    "registry": 2,
    "drift": 2,
    "training": 3,
    "workflow": 3,
    "serving": 3,
    "loader": 3,
    "quarantine": 3,
    "assembly": 4,
    "checkup": 4,  # it looks at the assembled whole, and at why it cannot be assembled
    "apps": 5,
}
# Rooms of one level that may know each other, in this direction.
BESIDE = {
    ("checkup", "assembly"),
    ("models", "evaluation"),
    ("registry", "evaluation"),
    ("drift", "evaluation"),
    ("plots", "evaluation"),
    ("workflow", "training"),
    ("loader", "workflow"),
}
FOUNDATION = 1
EDGE = 2
FOR_APPS = {
    *("", "assembly", "workflow", "training", "serving", "quarantine", "checkup", "loader"),
    *("settings", "errors", "vocabulary", "progress", "apps"),
}

# Library → the modules that may import it at run time, and why each.
DOORS = {
    "babel": {"apps.charts.formats": "money, numbers and days as a country writes them"},
    "plotly": {"apps.charts": "figures"},
    "streamlit": {"apps.dashboard": "the pages of the dashboard"},
    "duckdb": {
        "engine": "opens every connection, sets every option",
        "features": "turns the engine's errors about rows that were handed in into ours",
        "lake": "turns the engine's errors into ours where it compares rows",
        "published": "tells a version that was pruned while it was opened by the engine's own error",
        "warehouse": "turns the engine's errors into ours where predictions are stored",
        "answers.book": "leaves out what tables of an older version do not tell, by the engine's own errors",
        "serving.dossiers": "tells tables that an older version wrote by the engine's own errors",
        "serving.exhibits.gallery": "tells tables that an older version wrote by the engine's own errors",
        "serving.queries": "turns the engine's errors into QueryError and asks it for the kind of a statement",
        "sources.conformity": "tells raw data that cannot be read from a full disk by the engine's own errors",
        "sources.database": "turns the engine's errors about Postgres into ours",
        "sources.parquet": "turns the engine's errors about Parquet into ours",
    },
    "deltalake": {"lake": "the door to Delta"},
    "dbt": {"warehouse": "the door to dbt"},
    "fastexcel": {"sources.spreadsheet": "the door to Excel files"},
    "implicit": {"models.matrix_factors": "ALS, one of the candidates for recommendations"},
    "lightgbm": {
        "models.boosted_trees": "reads back the trees that it checked to be whole",
        "models.classifiers": "one of the kinds that compete for a label",
        "models.customer_silence": "one of the candidates for churn",
        "models.demand_boosted": "grows the trees that mlforecast feeds",
        "models.surrogates": "re-predicts segments, to tell which features matter",
    },
    "holidays": {"models.calendar": "the door to public holidays"},
    "mlforecast": {"models.demand_boosted": "the door to lags and recursion over many series"},
    "statsforecast": {"models.demand_statistical": "the door to ARIMA, ETS and Theta"},
    "pandas": {"models.demand_boosted": "what mlforecast takes"},
    "matplotlib": {"plots.canvas": "the door to plots"},
    "requests": {"sources.transfer": "the door to the network"},
    "skops": {"models.classifiers": "keeps a random forest without pickle"},
    "mlflow": {"registry.books": "the door to MLflow"},
    "sqlalchemy": {"registry.books": "turns the errors of MLflow's database into ours"},
    "alembic": {"registry.books": "turns the errors of MLflow's migrations into ours"},
    "sklearn": {
        "models.classifiers": "random forest",
        "models.surrogates": "a tree that re-predicts segments, and F1 of many classes",
    },
    "orjson": {
        "apps.api": "JSON that comes and goes",
        "events.intake": "reads what trackers send",
        "loader": "reads what the log holds",
        "serving.live": "reads what the log holds",
        "serving.offers": "reads stored lists",
        "serving.prediction_log": "writes what the log holds",
    },
    "prometheus_client": {"apps.api.measures": "what the server measures"},
    "sqlite3": {
        "access": "keeps keys",
        "events.log": "the durable log",
        "registry.books": "looks at MLflow's database before MLflow does",
    },
    "starlette": {
        "apps.api": "requests, responses and routes over ASGI",
        "apps.dashboard.gate": "who may see the dashboard, and the page where a key is asked",
    },
    "typer": {"apps.cli": "the command line"},
    "rich": {"apps.screen": "what the command line shows"},
    "uvicorn": {"apps.api.server": "serves the application", "apps.dashboard.server": "serves the dashboard"},
    "yaml": {"serving.catalogue": "what stands beside the warehouse's models"},
    "xgboost": {"models.classifiers": "one of the kinds that compete for a label"},
}
SIMULATOR_LIBRARIES = {"numpy", "pyarrow"}
NO_SUBJECT = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "base", "shared", "stuff"}


@dataclass(frozen=True)
class Import:
    """One import: the module that holds it, what it names, its line, and whether it is for types only."""

    module: str
    target: str
    line: int
    is_for_types: bool

    @property
    def room(self) -> str:
        """The room it stands in."""
        return self.module.split(".")[0]


def modules_of(source: Path) -> dict[str, Path]:
    """Module → file, named below `shopkeeper`; a package has the name of its folder, ours the name ''."""
    root = source / "shopkeeper"
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(source: Path) -> list[Import]:
    """All imports of all modules; ours are named below `shopkeeper` with a leading dot."""
    modules = modules_of(source)
    return [found for name, path in modules.items() for found in _imports(name, path, modules)]


def _imports(module: str, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    tree = ast.parse(path.read_text("utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                package = ["shopkeeper", *module.split(".")] if module else ["shopkeeper"]
                up = node.level - (1 if path.name == "__init__.py" else 0)
                start = ".".join([*package[: len(package) - up], *filter(None, [node.module])])
            # `from shopkeeper import lake` names a module, `from shopkeeper.lake import Lake` does not.
            names = [
                whole if whole.removeprefix("shopkeeper").lstrip(".") in modules else start
                for whole in (f"{start}.{alias.name}" for alias in node.names)
            ]
        for name in names:
            ours = name == "shopkeeper" or name.startswith("shopkeeper.")
            target = "." + name.removeprefix("shopkeeper").lstrip(".") if ours else name
            yield Import(module, target, node.lineno, id(node) in for_types)


def wrong_ways(imports: Sequence[Import]) -> list[str]:
    """Imports against the order of the levels, each with the place the code should move to."""
    wrong = []
    for found in imports:
        if not found.target.startswith("."):
            continue
        here, there = found.room, found.target[1:].split(".")[0]
        strange = sorted({here, there} - LEVELS.keys())
        wrong += [
            f"{room}: a new room must have a level; give it one in LEVELS, and an ADR if it is a new idea"
            for room in strange
        ]
        if here == there or not {here, there} <= LEVELS.keys():
            continue
        advice = _advice(here, there)
        if advice:
            wrong.append(f"{found.module}:{found.line} imports {found.target[1:] or 'shopkeeper'}: {advice}")
    return wrong


def _advice(here: str, there: str) -> str | None:
    low, high = LEVELS[there], LEVELS[here]
    if here == "apps" and there not in FOR_APPS:
        return f"an app asks level 3 or the assembly, never {there}; move the code to workflow, serving or quarantine"
    if low > high:
        return f"level {high} must not know level {low}; move the code up to {there}, or what is needed down to level {high}"
    if low < high or high <= FOUNDATION or (here, there) in BESIDE:
        return None
    if high == EDGE:
        return "rooms of level 2 never know each other; move the code to workflow or quarantine, or hand the value in"
    return f"{here} and {there} never know each other; move what both need down a level, or up to assembly"


def broken_doors(imports: Sequence[Import]) -> list[str]:
    """Imports of a library anywhere but at its doors; a room may be a door as a whole."""
    return [
        f"{found.module}:{found.line} imports {library}: only {', '.join(doors)} may; move the code there"
        for found in imports
        for library, doors in DOORS.items()
        if found.target.split(".")[0] == library
        and not found.is_for_types
        and not any(found.module == door or found.module.startswith(f"{door}.") for door in doors)
    ]


def edges_of_the_simulator(imports: Sequence[Import]) -> list[str]:
    """What the simulator imports beyond the standard library, level 0 and 1, and numerical libraries."""
    import sys

    return [
        f"{found.module}:{found.line} imports {found.target}: the simulator is pure; write files in workflow"
        for found in imports
        if found.room == "simulator"
        and not found.target.startswith(".")
        and found.target.split(".")[0] not in SIMULATOR_LIBRARIES | set(sys.stdlib_module_names)
    ] + [
        f"{found.module}:{found.line} imports the engine: the simulator is pure"
        for found in imports
        if found.room == "simulator" and found.target == ".engine"
    ]


def cycle(imports: Sequence[Import]) -> list[str]:
    """Return a cycle of our modules, if there is one."""
    graph: dict[str, set[str]] = {}
    for found in imports:
        if found.target.startswith(".") and found.target[1:] != found.module:
            graph.setdefault(found.module, set()).add(found.target[1:])
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def nameless(source: Path) -> list[str]:
    """Return the modules whose names name no subject."""
    return [name for name in modules_of(source) if NO_SUBJECT & set(name.split("."))]


IMPORTS = imports_of(SOURCE)


def test_imports_go_one_way():
    """No module knows one of a higher level, nor one beside it; an app knows no room of level 2."""
    assert wrong_ways(IMPORTS) == []


def test_each_library_has_its_doors():
    """DuckDB, Delta, dbt, Excel, the network and the terminal are each imported where declared, and nowhere else."""
    assert broken_doors(IMPORTS) == []


def test_no_door_is_declared_in_vain():
    """Every declared door does import its library."""
    used = {(found.target.split(".")[0], f"{found.module}.") for found in IMPORTS if not found.is_for_types}
    assert [
        (library, door)
        for library, doors in DOORS.items()
        for door in doors
        if not any(name == library and module.startswith(f"{door}.") for name, module in used)
    ] == []


def test_every_room_stands():
    """LEVELS names the rooms that exist, and no other."""
    assert {name.split(".")[0] for name in modules_of(SOURCE)} == LEVELS.keys()


def test_the_simulator_is_pure():
    """It computes; files, engine and network are others' business."""
    assert edges_of_the_simulator(IMPORTS) == []


def test_there_is_no_cycle():
    """Not even by an import inside of a function."""
    assert cycle(IMPORTS) == []


def test_every_module_has_a_subject():
    """No utils, helpers, common, misc."""
    assert nameless(SOURCE) == []


def test_only_settings_dbt_and_mlflow_know_the_environment():
    """The environment is read in one place; dbt's profile and MLflow can be told things in no other way."""
    readers = {name for name, path in modules_of(SOURCE).items() if "os.environ" in _code(path)}
    assert readers == {"settings", "warehouse", "registry.books"}


def _code(path: Path) -> str:
    """Return a module's code without its docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(None)
    return ast.unparse(tree)


PLANTED = {
    "up": ("lake.py", "def f():\n    from shopkeeper import workflow\n", wrong_ways),
    "up for types": ("errors.py", "if TYPE_CHECKING:\n    from shopkeeper.lake import Lake\n", wrong_ways),
    "beside": ("sources/files.py", "from shopkeeper.lake import Lake\n", wrong_ways),
    "beside, relative": ("sources/files.py", "from ..lake import Lake\n", wrong_ways),
    "workflow and serving": ("workflow.py", "import shopkeeper.serving\n", wrong_ways),
    "assembly knows checkup": ("assembly.py", "from shopkeeper import checkup\n", wrong_ways),
    "an app at the lake": ("apps/cli.py", "from shopkeeper.lake import Lake\n", wrong_ways),
    "a room without a level": ("pricing.py", "from shopkeeper import errors\n", wrong_ways),
    "a back door": ("sources/files.py", "def f():\n    import duckdb.typing\n", broken_doors),
    "delta elsewhere": ("published.py", "from deltalake import DeltaTable\n", broken_doors),
    "a simulator that writes": ("simulator/shop.py", "from shopkeeper.engine import connect\n", edges_of_the_simulator),
    "a simulator that fetches": ("simulator/shop.py", "import requests\n", edges_of_the_simulator),
    "a cycle": ("sources/files.py", "def f():\n    from shopkeeper.sources import source\n", cycle),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(name, tmp_path):
    """Each check fails where it should, and says which module it is about."""
    file, code, check = PLANTED[name]
    others = {
        "__init__.py": "",
        "lake.py": "",
        "errors.py": "",
        "serving.py": "",
        "checkup.py": "",
        "workflow.py": "",
        "engine.py": "",
        "sources/__init__.py": "",
        "sources/source.py": "from shopkeeper.sources import files\n",
    }
    for path, text in {**others, file: code}.items():
        target = tmp_path / "shopkeeper" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
    found = check(imports_of(tmp_path))
    assert found
    assert file.removesuffix(".py").replace("/", ".") in " ".join(found)


def test_types_may_pass_a_closed_door(tmp_path):
    """An import for types only opens no door, and a module without a subject is named."""
    (tmp_path / "shopkeeper").mkdir()
    (tmp_path / "shopkeeper" / "utils.py").write_text("if TYPE_CHECKING:\n    import duckdb\n", "utf-8")
    assert broken_doors(imports_of(tmp_path)) == []
    assert nameless(tmp_path) == ["utils"]
