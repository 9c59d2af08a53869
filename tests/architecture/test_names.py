"""Names tell what a thing is, and every table says its grain: held against a warehouse that was built."""

import re
from pathlib import Path

import pytest
import yaml

from shopkeeper import vocabulary as v
from shopkeeper.engine import connect
from shopkeeper.warehouse import PROJECT

MODELS = {path.stem: path for path in sorted((PROJECT / "models").rglob("*.sql"))}
SEEDS = {path.stem: path for path in sorted((PROJECT / "seeds").glob("*.csv"))}
# Named after a period or the moment of features, they are dates; named after an interval, they are moments.
PERIODS = {"day", "month_start", "week_start", "cohort_month", "as_of"}
INTERVALS = {"valid_from", "valid_to"}
# Intermediate tables whose grain is no entity, with the reason.
NO_ENTITY = {
    "int_event_days": "its grain is a day, which is what the tables built by day compare",
    "int_customer_months_seen": "its grain is a customer's month",
}
# Tables for models, which reckon in doubles: sums are exact decimals, cast at the very end.
DOUBLES = {"customer_features"}
WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}
PRICES, AMOUNTS = "DECIMAL(18,4)", "DECIMAL(38,4)"
UNITS = "DECIMAL(18,3)"
MONEY_NAMES = re.compile(r"(^|_)(amount|sales|price|cost|revenue|discounts|returns)(_(month|year)_before)?$")


def yaml_of(path: Path) -> dict:
    """What the twin YAML of a model or seed says of it; empty if there is none."""
    twin = path.with_suffix(".yml")
    if not twin.exists():
        return {}
    told = yaml.safe_load(twin.read_text("utf-8"))
    return next((node for node in told.get("models", told.get("seeds", [])) if node["name"] == path.stem), {})


@pytest.fixture(name="columns", scope="module")
def _columns(quickstart):
    """Table → column → type, of every table and view of the built warehouse, staging included."""
    parts, _ = quickstart
    found: dict[str, dict[str, str]] = {}
    with connect(parts.settings.warehouse, read_only=True, extensions=("delta",)) as connection:
        rows = connection.execute(
            "select table_name, column_name, data_type from information_schema.columns order by ordinal_position"
        ).fetchall()
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found


def misnamed(table: str, columns: dict[str, str]) -> list[str]:
    """The columns whose name does not say what their type is, each with the rule."""
    rules = (
        (
            lambda c, t: c.endswith(("_at", "_at_local")) or c in INTERVALS,
            lambda t: t == "TIMESTAMP",
            "a moment ends in _at",
        ),
        (lambda c, t: c.endswith("_on") or c in PERIODS, lambda t: t == "DATE", "a date ends in _on or names a period"),
        (lambda c, t: c.startswith(("is_", "has_")), lambda t: t == "BOOLEAN", "a truth value begins with is_ or has_"),
        (
            lambda c, t: c.startswith("n_"),
            lambda t: t in {*WHOLE, UNITS} or (t == "DOUBLE" and table in DOUBLES),
            "a count begins with n_",
        ),
        (
            lambda c, t: bool(MONEY_NAMES.search(c)) and t not in {"DOUBLE", "BOOLEAN"},
            lambda t: t in {PRICES, AMOUNTS},
            f"money is {PRICES} as it came in, {AMOUNTS} once multiplied or summed",
        ),
    )
    wrong = []
    for column, kind in columns.items():
        for fits, is_right, rule in rules:
            if fits(column, kind) and not is_right(kind):
                wrong.append(f"{table}.{column} is {kind}: {rule}")
        for types, (fits, _, rule) in zip(({"TIMESTAMP"}, {"DATE"}, {"BOOLEAN"}), rules[:3], strict=True):
            if kind in types and not fits(column, kind):
                wrong.append(f"{table}.{column} is {kind}: {rule}")
        if kind in {"FLOAT", "REAL", "TIMESTAMP WITH TIME ZONE", "TIME", "BLOB"}:
            wrong.append(
                f"{table}.{column} is {kind}: a warehouse column is text, whole, decimal, double, boolean, date or moment"
            )
        if column != column.lower() or not re.fullmatch(r"[a-z][a-z0-9_]*", column):
            wrong.append(f"{table}.{column}: a name is lower case, in words joined by _")
    return wrong


def badly_called(model: str, folder: str) -> str | None:
    """What is wrong with the name of a model in a folder; None if nothing is."""
    if folder == "staging":
        entity = "|".join(v.ENTITIES)
        if re.fullmatch(f"stg_[a-z0-9]+__({entity})", model) or model in NO_ENTITY:
            return None
        if re.fullmatch(f"int_({entity})_[a-z]+(ed|en)", model):
            return None
        return f"{model}: staging holds stg_<source>__<entity>s and int_<entity>s_<verb>ed"
    if model.startswith(("stg_", "int_", "dim_", "fct_")):
        return f"{model}: a mart is a plain noun"
    return None


def test_models_are_called_by_their_layer():
    """stg_<source>__<entity>s and int_<entity>s_<verb>ed in staging, plain nouns in core and metrics."""
    wrong = [badly_called(name, path.parent.name) for name, path in MODELS.items()]
    assert [each for each in wrong if each] == []


def test_folders_are_the_layers():
    """A model stands in staging, core, metrics or features; predictions are written by the models of Python, not by dbt."""
    assert {path.parent.name for path in MODELS.values()} == {"staging", *v.PUBLISHED_SCHEMAS} - {v.PREDICTIONS}


def test_columns_are_called_by_their_type(columns):
    """_at, _on, is_/has_, n_, and money with four decimals; and the other way round."""
    assert [each for table in MODELS if table in columns for each in misnamed(table, columns[table])] == []


def test_one_name_has_one_type(columns):
    """The same column has the same type in every published table, but for the doubles of those made for models."""
    kinds: dict[str, set[str]] = {}
    for table, path in MODELS.items():
        if path.parent.name in v.PUBLISHED_SCHEMAS:
            for column, kind in columns[table].items():
                if kind != "DOUBLE" or table not in DOUBLES:
                    kinds.setdefault(column, set()).add("whole" if kind in WHOLE else kind)
    assert {column: found for column, found in kinds.items() if len(found) > 1} == {}


@pytest.mark.parametrize("model", [*MODELS, *SEEDS])
def test_documented_both_ways(model, columns):
    """Beside each model stands a YAML that states its grain and describes each column, and none that is not there."""
    told = yaml_of({**MODELS, **SEEDS}[model])
    assert told, f"{model} has no twin YAML"
    assert told["description"].strip().startswith("Grain:")
    described = {column["name"]: column.get("description", "").strip() for column in told.get("columns", [])}
    assert set(described) == set(columns[model])
    assert [name for name, text in described.items() if not text] == []


@pytest.mark.parametrize("model", MODELS)
def test_the_sql_states_its_grain(model):
    """The first line of a model says what one row is."""
    assert MODELS[model].read_text("utf-8").startswith("-- Grain: one row per ")


@pytest.mark.parametrize("model", [name for name, path in MODELS.items() if path.parent.name in v.PUBLISHED_SCHEMAS])
def test_every_published_table_is_held(model):
    """Each table that is published asks at least that its key is unique and whole."""
    told = yaml_of(MODELS[model])
    held = [test["holds"] for test in told.get("data_tests", []) if "holds" in test]
    assert len(held) == 1
    assert held[0]["arguments"]["key"]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("ordered_at", "DATE"),
        ("ordered", "TIMESTAMP"),
        ("sold_on", "TIMESTAMP"),
        ("sold", "DATE"),
        ("is_open", "INTEGER"),
        ("open", "BOOLEAN"),
        ("n_orders", "DOUBLE"),
        ("net_sales", "DECIMAL(38,2)"),
        ("Net", "VARCHAR"),
        ("share", "FLOAT"),
    ],
)
def test_a_planted_name_is_found(column, kind):
    """A name that does not fit its type is told."""
    assert misnamed("planted", {column: kind})


@pytest.mark.parametrize(
    ("model", "folder"),
    [("staging_orders", "staging"), ("stg_lake__order", "staging"), ("int_orders", "staging"), ("fct_orders", "core")],
)
def test_a_planted_model_is_found(model, folder):
    """A model called otherwise is told."""
    assert badly_called(model, folder)
