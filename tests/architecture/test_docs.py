"""The documents say what there is, and nothing else: verbs, options, settings, tables, links, examples."""

import importlib.util
import inspect
import re
import shlex
import tomllib
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
import typer

from shopkeeper import errors, presets, settings
from shopkeeper import vocabulary as v
from shopkeeper.apps.cli import app
from shopkeeper.contracts import CONTRACTS
from shopkeeper.lake import Load
from shopkeeper.mappings import Mapping
from shopkeeper.sources import OPTIONS
from shopkeeper.sources.rest import Pages, Style

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
ids = {"ids": lambda path: path.relative_to(ROOT).as_posix()}


def page(name: str) -> str:
    """A page of docs."""
    return (DOCS / name).read_text("utf-8")


def code(text: str) -> set[str]:
    """The words that a page sets as code."""
    return set(re.findall(r"[\w-]+", " ".join(re.findall(r"`([^`\n]+)`", text))))


def verbs() -> dict[str, set[str]]:
    """Verb (with its group) → its options."""
    found = {}

    def walk(command, name):
        if hasattr(command, "commands"):
            for child, below in command.commands.items():
                walk(below, f"{name} {child}".strip())
        else:
            found[name] = {option for each in command.params for option in each.opts if option.startswith("--")}

    walk(typer.main.get_command(app), "")
    return found


VERBS = verbs()


# ------------------------------------------------------------- what there is


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_is_documented(verb):
    """commands.md has a line for the verb that names its own options."""
    text = page("commands.md")
    (line,) = re.findall(rf"^- `shopkeeper {verb}\b.*?(?=^- |^```|^## |\Z)", text, re.MULTILINE | re.DOTALL)
    shared = {"--project", "--profile", "--json", "--help"}
    assert [option for option in VERBS[verb] - shared if option not in line] == []
    assert shared <= set(re.findall(r"--\w+", text))


def test_every_setting_is_documented():
    """settings.md has a row for each key, with its default."""
    text = page("settings.md")
    for section, cls in settings._SECTIONS.items():
        assert f"[{section}]" in text
        for item in fields(cls):
            default = str(item.default).lower() if isinstance(item.default, bool | int | float) else f'"{item.default}"'
            assert re.search(rf"\| `{item.name}` \| `{re.escape(default)}` \|", text), (section, item.name, default)
    for part in ("codes", "prefixes", "orders"):
        assert f"[line_kinds.{part}]" in text
    assert set(v.LINE_KINDS) | {item.name for item in fields(Mapping)} <= code(text)


def test_every_preset_is_documented():
    """settings.md names each preset."""
    assert set(presets.names()) <= code(page("settings.md"))


def test_every_source_option_is_documented():
    """sources.md names each option of each kind, each way of pages, and each secret."""
    words = code(page("sources.md"))
    assert set(OPTIONS) | {option for options in OPTIONS.values() for option in options} <= words
    assert {item.name for item in fields(Pages)} | set(get_args(Style)) <= words
    secrets = {"user", "password", "token", "access_key", "secret_key", "session_token", "access_token", "dsn"}
    assert secrets <= words


def test_every_contract_is_documented():
    """sources.md lists each entity with its columns, those that must be there in bold."""
    text = page("sources.md")
    for entity, contract in CONTRACTS.items():
        (row,) = re.findall(rf"^\| `{entity}` \|(.*)\|.*\|$", text, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", row)) == set(contract.column_names), entity
        required = {column.name for column in contract.columns if column.required}
        assert set(re.findall(r"\*\*`(\w+)`\*\*", row)) == required, entity


def test_the_lakes_tables_are_documented():
    """lake.md names the columns of a load and of a reject."""
    assert {item.name for item in fields(Load)} | {"reject_id", "raw_text", "rule", "value", "moment_month"} <= code(
        page("lake.md")
    )


def test_every_error_is_documented():
    """commands.md names each class of errors.py, under its exit code."""
    text = page("commands.md")
    for name, cls in inspect.getmembers(errors, inspect.isclass):
        assert f"`{name}`" in text or f"`{name}`s" in text, name
        if cls is not errors.ShopkeeperError:
            (line,) = (line for line in text.splitlines() if line.startswith("| ") and f"`{name}`" in line)
            assert line.startswith(f"| {cls.exit_code},"), name


def test_the_page_of_tables_is_up_to_date():
    """docs/tables.md is what `make docs` writes."""
    spec = importlib.util.spec_from_file_location("make_tables", DOCS / "make_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert page("tables.md") == module.render(), "run `make docs`"


def test_every_published_table_and_column_is_documented(quickstart):
    """tables.md has what a published version has, and no more."""
    parts, _ = quickstart
    with parts.published.open() as connection:
        rows = connection.execute(
            "select schema_name || '.' || table_name, column_name from duckdb_columns() "
            "where database_name = current_database() and schema_name in ('core', 'metrics', 'features', 'predictions')"
        ).fetchall()
    sections = re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", page("tables.md"), re.MULTILINE | re.DOTALL)
    said = {(table, column) for table, text in sections for column in re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)}
    assert said == set(rows)


# ------------------------------------------------------------ what it leads to


@pytest.mark.parametrize("path", PAGES, **ids)
def test_links_lead_somewhere(path):
    """Each relative link names a file that is there, and each #part a heading in it."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        name, _, part = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not part or part in anchors(target), link


def anchors(path: Path) -> set[str]:
    """The names that code hosts give to the headings of a page."""
    heads = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def test_every_page_is_led_to():
    """Each page of docs is linked from the index."""
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in re.findall(r"\]\(([^)\s]+)\)", page("index.md"))}
    assert [path.name for path in DOCS.rglob("*.md") if path not in linked and path.name != "index.md"] == []


def test_the_readme_is_short():
    """At most 150 lines."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("path", PAGES, **ids)
def test_pages_name_no_machine(path):
    """No path of somebody's machine, no host of a registry."""
    assert not re.search(r"/home/|/root/|/tmp/|/work/|C:\\|pypi\.org|simple/", path.read_text("utf-8"))


def calls_of(text: str) -> list[list[str]]:
    """The calls of `shopkeeper` that a page shows in its sh and console blocks and in its text, as words."""
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    found = []
    for line in lines:
        calls = [line] if '"' in line else re.split(r"&&|\||;", line)
        found += [shlex.split(call, comments=True) for call in calls if call.strip().startswith("shopkeeper ")]
    found += [re.sub(r"[\[\]]", " ", inline).split() for inline in re.findall(r"`(shopkeeper [a-z][^`]*)`", text)]
    return found


@pytest.mark.parametrize("path", PAGES, **ids)
def test_shown_calls_are_possible(path):
    """Each call of `shopkeeper` names a verb and options that exist."""
    assert [problem for call in calls_of(path.read_text("utf-8")) if (problem := impossible(call))] == []


def impossible(call: list[str]) -> str | None:
    """What is wrong with a call; None if nothing is."""
    words = call[1:]
    if words[:1] in (["--version"], ["--help"]):
        return None
    verb = next((name for name in (" ".join(words[:2]), words[0]) if name in VERBS), None)
    if verb is None:
        return f"no such verb: {' '.join(call)}"
    strange = {word.split("=")[0] for word in words if word.startswith("--")} - VERBS[verb] - {"--help"}
    return f"{verb} has no {', '.join(sorted(strange))}" if strange else None


@pytest.mark.parametrize(
    "call", ["shopkeeper mend", "shopkeeper run --fast", "shopkeeper quarantine burn", "shopkeeper presets --fast"]
)
def test_a_planted_call_is_found(call):
    """A call that is not possible is told."""
    assert impossible(call.split())


@pytest.mark.parametrize("path", PAGES, **ids)
def test_named_tests_exist(path):
    """Each `tests/…py::name` of a page is a test."""
    assert missing_tests(path.read_text("utf-8")) == []


def missing_tests(text: str) -> list[str]:
    """The tests that a text names and nobody wrote."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    return [f"{file}::{name}" for file, name in named if not is_test(ROOT / file, name)]


def is_test(file: Path, name: str) -> bool:
    """Whether a file has a test of this name."""
    return name.startswith("test_") and file.exists() and f"\ndef {name}(" in file.read_text("utf-8")


def test_a_planted_test_is_found():
    """A test that nobody wrote is told, in a file that is there and in one that is not."""
    planted = ["tests/test_features.py::test_nothing", "tests/test_nowhere.py::test_features_by_hand"]
    assert missing_tests(" ".join(f"`{name}`" for name in planted)) == planted


def test_every_trap_of_customers_has_its_test():
    """Each row of the table of traps names at least one."""
    (table,) = re.findall(
        r"^## Traps and their tests\n(.*?)(?=^## |\Z)", page("evaluation.md"), re.MULTILINE | re.DOTALL
    )
    rows = [row for row in table.splitlines() if row.startswith("| ")][1:]
    assert len(rows) >= 8
    assert [row for row in rows if "::test_" not in row] == []


# -------------------------------------------------------------- what it shows


def test_the_own_columns_example_runs(quickstart):
    """The quickstart's file and settings give what the page says."""
    parts, done = quickstart
    text = page("quickstart.md")
    assert done.ingest.failures == []
    (load,) = parts.lake.loads()
    assert f"{load.rows_read} rows: {load.rows_loaded} loaded, {load.rows_quarantined} quarantined" in text
    assert parts.lake.rejects()["value"].to_pylist() == ["31/11/2026 11:00"]
    row = parts.serving.query("select sum(gross_sales), sum(discounts), sum(returns), sum(net_sales) from orders").rows[
        0
    ]
    gross, discounts, returns, net = (f"{value:.2f}" for value in row)
    assert f"gross {gross}  discounts {discounts}  returns {returns}  =  net {net} GBP" in text
    assert parts.serving.query("select line_kind, net_amount from order_lines where product_id = 'SHIP'").rows == [
        ("postage", Decimal("3.9500"))
    ]


def test_the_correction_of_the_example_is_loaded_once(quickstart, tmp_path):
    """The session of quarantine.md: export, correct, replay, replay again."""
    from shopkeeper.quarantine import export, replay

    parts, _ = quickstart
    file = tmp_path / "rejects.csv"
    assert export(parts.lake, file) == 1
    before, _, after = file.read_text("utf-8-sig").rpartition("31/11/2026 11:00")
    file.write_text(f"{before}05/11/2026 11:00{after}", "utf-8-sig")
    told = [replay(parts.lake, parts.settings, file) for _ in range(2)]
    assert [(done.n_closed, done.n_open, done.n_known) for done in told] == [(1, 0, 0), (0, 0, 1)]


@pytest.mark.parametrize("name", ["metrics.md", "metrics-behaviour.md", "features.md"])
def test_every_sample_query_runs(name, quickstart):
    """Each query of the page is answered by a published version."""
    parts, _ = quickstart
    blocks = re.findall(r"^```sql\n(.*?)^```", page(name), re.MULTILINE | re.DOTALL)
    statements = [statement for block in blocks for statement in block.split(";") if statement.strip()]
    assert statements
    for statement in statements:
        assert parts.serving.query(statement).columns


@pytest.mark.parametrize("path", PAGES, **ids)
def test_shown_settings_are_toml(path):
    """Each block of settings parses."""
    for block in re.findall(r"^```toml[^\n]*\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        tomllib.loads(block)
