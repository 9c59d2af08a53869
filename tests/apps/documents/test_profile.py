"""A profile as a page and on the terminal: it shows what was counted, nothing of a person unless told to, and asks nobody."""

import json
import re

import duckdb
import pytest
from typer.testing import CliRunner

from shopkeeper.apps.cli import app
from shopkeeper.apps.documents.profile_page import number, profile_page, share
from shopkeeper.assembly import assemble
from shopkeeper.errors import UsageError
from shopkeeper.serving.profiling import study_published
from shopkeeper.settings import write_project

LINES = """
create schema core; create schema metrics;
create table core.order_lines as select 'o' || i as order_line_id, 'person-' || (i % 40) as customer_id,
    case when i % 9 = 0 then '<script>alert(1)</script>' else 'mug ' || i % 5 end as description,
    (i % 7 * 1.5)::decimal(18, 4) as unit_price, (i % 7 * 3 + i % 2)::decimal(38, 4) as net_amount, i % 50 = 0 as is_duplicate,
    timestamp '2024-01-01' + to_hours(i) as ordered_at, [i] as parts
from range(300) t(i);
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile") / "mugs"
    write_project(folder)
    parts = assemble(folder)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(LINES)
    parts.published.publish(folder / "warehouse.duckdb", build_id="b", lake_versions={})
    return parts


def run(shop, *words):
    return CliRunner().invoke(app, ["profile", *words, "--project", str(shop.settings.project)])


def test_the_page_asks_nobody_and_runs_nothing(shop):
    """No other host, no script, no markup from the data; every column, fault and meaning is there."""
    text = profile_page(study_published(shop.published, "order_lines", words=shop.words))
    assert not re.findall(r"(?:https?:)?//[a-z]|<script|<link|<img|@import|url\(", text, re.IGNORECASE)
    assert "&lt;script&gt;alert(1)" in text
    for words in (
        "order_line_id",
        "net_amount",
        "equal lines",
        "No value stands twice",
        "price of one unit, in currency",
    ):
        assert words in text
    assert len(text.encode()) < 8e6


def test_persons_are_shown_only_if_told_to(shop, tmp_path):
    """Neither page, terminal nor JSON holds a customer's id without --customers."""
    out = tmp_path / "lines.html"
    assert run(shop, "order_lines", "--out", str(out)).exit_code == 0
    told = run(shop, "order_lines").stdout + run(shop, "order_lines", "--json").stdout + out.read_text("utf-8")
    assert "person-" not in told
    assert "person-0" in run(shop, "order_lines", "--customers", "--json").stdout


def test_the_terminal_tells_tables_and_columns(shop):
    """Without a table a line each; with one, a line for each column, or for those that are named."""
    (line,) = (line for line in run(shop).stdout.splitlines() if "core.order_lines" in line)
    assert re.search(r"core\.order_lines\s+300\s+8\s+0 %\s+one row per line", line)
    told = run(shop, "order_lines", "--columns", "unit_price, description").stdout
    assert "0 | 1.5 · 4.5 · 7.5 | 9" in told
    assert "ordered_at" not in told
    assert json.loads(run(shop, "order_lines", "--json").stdout)["table"]["n_rows"] == 300


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["order_line"], "The nearest are core.order_lines"),
        (["order_lines", "--columns", "unit_prize"], "The nearest are unit_price"),
        (["order_lines", "--out", "lines.pdf"], r"a file ending in \.html"),
        (["--columns", "a"], "must go with a table"),
    ],
)
def test_a_wrong_word_gets_a_sentence(shop, words, message):
    """It says what is nearest, or what to do."""
    found = run(shop, *words).exception
    assert isinstance(found, UsageError)
    assert re.search(message, str(found))


def test_shares_and_numbers_keep_what_tells_something():
    """Traces are not nought, almost all is not all, and thousands stand apart."""
    assert [share(*each) for each in ((0, 9), (1, 10**6), (1, 4), (999_999, 10**6), (9985, 10_000), (3, 3))] == [
        *("0 %", "< 0.01 %", "25 %", "> 99.99 %", "99.85 %", "100 %")
    ]
    assert [number(each) for each in (None, 0.0, 12345.6, 0.12345, -3.0)] == ["·", "0", "12,346", "0.1235", "-3"]


def test_pages_stand_in_a_browser(shop, tmp_path):
    """Wide, narrow and dark: nothing overflows, nothing is asked for, nothing is said on the console."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    out = tmp_path / "lines.html"
    run(shop, "order_lines", "--out", str(out))
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for width, scheme in ((1280, "light"), (390, "light"), (1280, "dark")):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            asked, said = [], []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.on("console", lambda message, said=said: said.append(message.text))
            page.goto(out.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert (asked, said) == ([out.as_uri()], [])
        browser.close()
