"""The command line: verbs, exit codes, what is printed where; and one shop from init to rollback."""

import contextlib
import csv
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from shopkeeper.apps import cli

SRC = Path(cli.__file__).parents[2]
START = [sys.executable, "-c", "from shopkeeper.apps.cli import main; main()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SRC), "COLUMNS": "200"}
VERBS = (
    *(
        "init",
        "presets",
        "ingest",
        "build",
        "publish",
        "run",
        "loads",
        "versions",
        "rollback",
        "query",
        "ledger",
    ),
    *(
        "quarantine list",
        "quarantine explain",
        "quarantine export",
        "quarantine replay",
        "simulate",
        "doctor",
    ),
)
HEAD = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
# 6 * 2.55 + 2 * 3.39 + 10 * 1.85 = 40.58 gross; a cancellation of 2.55 and a discount of 5.00 leave 33.03;
# postage is no sale, and the last line waits in quarantine.
LINES = (
    "536365,85123A,HEART,6,12/1/2010 8:26,2.55,17850,United Kingdom\n"
    "536365,71053,LANTERN,2,12/1/2010 8:26,3.39,17850,United Kingdom\n"
    "536366,22633,WARMER,10,12/2/2010 9:00,1.85,,France\n"
    "C536379,85123A,HEART,-1,12/3/2010 9:41,2.55,17850,United Kingdom\n"
    "536370,POST,POSTAGE,1,12/2/2010 9:00,18.00,12583,France\n"
    "536371,D,Discount,-1,12/4/2010 10:00,5.00,17850,United Kingdom\n"
    "536372,22632,WRONG,x,12/4/2010 10:00,5.00,17850,United Kingdom\n"
)


@dataclass
class Done:
    """What a call came to."""

    code: int
    out: str
    error: str

    @property
    def json(self):
        return json.loads(self.out)


def shopkeeper(*arguments: object) -> Done:
    """Call the command line in this process."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    with (
        mock.patch.object(sys, "argv", ["shopkeeper", *map(str, arguments)]),
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
        pytest.raises(SystemExit) as left,
    ):
        cli.main()
    out, error = (stream.buffer.getvalue().decode() for stream in streams)
    return Done(int(left.value.code or 0), out, error)


@dataclass
class Shop:
    """A project with one folder of files."""

    folder: Path

    def call(self, *arguments: object) -> Done:
        return shopkeeper(*arguments, "--project", self.folder / "shop")

    def write(self, name: str, content: str | bytes) -> None:
        (self.folder / "in").mkdir(exist_ok=True)
        raw = content.encode() if isinstance(content, str) else content
        (self.folder / "in" / name).write_bytes(raw)


def make_shop(folder: Path) -> Shop:
    shop = Shop(folder)
    shop.write("a.csv", HEAD + LINES)
    made = shopkeeper("init", folder / "shop", "--preset", "uci_online_retail", "--path", folder / "in")
    assert (made.code, made.error) == (0, "")
    return shop


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Shop, list[Done]]:
    """A shop that ran three times: at first, with nothing new, and with a good and a bad file more."""
    shop = make_shop(tmp_path_factory.mktemp("shop"))
    done = [shop.call("run"), shop.call("run")]
    shop.write("b.csv", HEAD + "536380,22632,WARMER,1,12/5/2010 9:00,1.00,17850,United Kingdom\n")
    shop.write("broken.xlsx", b"PK\x03\x04 no workbook")
    done.append(shop.call("run"))
    return shop, done


@pytest.fixture
def fresh(tmp_path) -> Shop:
    """A project nothing was done with yet."""
    return make_shop(tmp_path)


# ------------------------------------------------------------- a whole shop


def test_the_first_run_publishes(runs):
    """It ends with the shop's figures, what waits in quarantine, and the next command."""
    done = runs[1][0]
    assert done.code == 0
    for words in (
        "7 rows: 6 loaded, 1 quarantined",
        "version 1 published",
        "net 33.03 GBP",
        "1 row waits",
        "Next",
    ):
        assert words in done.out


def test_a_second_run_has_nothing_new(runs):
    """It says so, publishes nothing and is quick."""
    done = runs[1][1]
    assert done.code == 0
    assert "1 item unchanged" in done.out
    assert "nothing new, version 1 is current" in done.out


def test_a_bad_file_does_not_keep_the_good_ones_out(runs):
    """The good one is published, the bad one named with the reason; the exit code tells of it."""
    done = runs[1][2]
    assert done.code == 1
    assert "✗ broken.xlsx: a workbook must be" in done.out
    assert "version 2 published" in done.out
    assert runs[0].call("query", "select sum(net_sales) as net from orders", "--json").out == '[{"net": 34.0300}]\n'


def test_quiet_when_not_on_a_terminal(runs):
    """No bar, no escape code, nothing on stderr."""
    for done in runs[1]:
        assert "\x1b" not in done.out
        assert done.error == ""


def test_a_query_in_three_formats(runs):
    """A table for people, csv and json with every digit."""
    sql = "select order_id, net_sales from orders where order_id = '536365'"
    assert "22.08" in runs[0].call("query", sql).out
    assert runs[0].call("query", sql, "--format", "csv").out == "order_id,net_sales\n536365,22.0800\n"
    assert runs[0].call("query", sql, "--format", "json").out == '[{"order_id": "536365", "net_sales": 22.0800}]\n'


def test_the_ledger_balances(runs):
    """For people and for programs."""
    assert "all identities balance" in runs[0].call("ledger").out
    assert {row["difference"] for row in runs[0].call("ledger", "--json").json} == {0}


def test_loads_are_listed(runs):
    """Each with its counts."""
    counts = [
        (load["item"], load["rows_read"], load["rows_loaded"], load["rows_resent"], load["rows_quarantined"])
        for load in runs[0].call("loads", "--json").json
    ]
    assert counts == [("a.csv", 7, 6, 0, 1), ("b.csv", 1, 1, 0, 0)]
    assert "rows_quarantined" in runs[0].call("loads").out


def test_versions_and_rollback(runs):
    """Back to the first, and forth again."""
    shop = runs[0]
    assert [version["number"] for version in shop.call("versions", "--json").json] == [2, 1]
    assert "version 1 is current" in shop.call("rollback").out
    assert shop.call("query", "select sum(net_sales) as net from orders", "--json").out == '[{"net": 33.0300}]\n'
    assert shop.call("rollback", 2, "--json").json["is_current"] is True
    assert shop.call("rollback", 7).code == 2
    assert "→" in shop.call("versions").out


def test_versions_of_a_lake_table(runs):
    """Listed, and read as of one, as CSV and as JSON."""
    shop = runs[0]
    assert [entry["version"] for entry in shop.call("versions", "order_lines", "--json").json] == [2, 1, 0]
    then = shop.call("versions", "order_lines", "--at", 1)
    assert len(list(csv.reader(io.StringIO(then.out)))) == 7
    assert len(shop.call("versions", "order_lines", "--at", 1, "--json").json) == 6


def test_quarantine_from_list_to_replay(runs, tmp_path):
    """What waits is listed, explained, exported; uncorrected it stays."""
    shop, file = runs[0], tmp_path / "rejects.csv"
    (row,) = shop.call("quarantine", "list", "--json").json
    assert (row["source_row"], row["column_name"], row["value"]) == (8, "Quantity", "x")
    assert "quantity must be a number" in shop.call("quarantine", "explain").out
    assert shop.call("quarantine", "explain", "--json").json[0]["n_rows"] == 1
    assert "wrote 1 rows" in shop.call("quarantine", "export", file).out
    told = shop.call("quarantine", "replay", file, "--json").json
    assert (told["n_closed"], told["n_open"]) == (0, 1)


def test_publish_and_build_say_when_nothing_is_new(runs):
    """Both may be repeated."""
    assert "nothing new in the lake" in runs[0].call("build").out
    assert runs[0].call("build", "--json").json["models"] == {}
    assert "version 2 is current" in runs[0].call("publish").out
    assert runs[0].call("publish", "--json").json["number"] == 2


def test_doctor_finds_the_shop_well(runs):
    """Each thing looked at, with advice where something waits."""
    done = runs[0].call("doctor", "--json")
    states = {finding["what"]: finding["state"] for finding in done.json}
    assert done.code == 0
    assert "fault" not in states.values()
    looked = {name: states[name] for name in ("lake", "build", "models", "published", "quarantine")}
    assert looked == {**dict.fromkeys(looked, "ok"), "quarantine": "warning"}
    assert "shopkeeper quarantine explain" in runs[0].call("doctor").out


def test_doctor_finds_a_broken_lake(fresh):
    """The fault comes with advice, the exit code is 1, and the rest was looked at."""
    fresh.call("ingest")
    (fresh.folder / "shop/data/dev/lake/loads/_delta_log" / f"{0:020}.json").write_text("{garbled")
    done = fresh.call("doctor", "--json")
    faults = {finding["what"]: finding["advice"] for finding in done.json if finding["state"] == "fault"}
    assert done.code == 1
    assert "restore the lake's folder" in faults["lake"]
    assert "disk" in [finding["what"] for finding in done.json]


def test_profiles_do_not_touch_each_other(runs):
    """What dev published is not there for prod, which says what to do."""
    done = runs[0].call("query", "select 1", "--profile", "prod")
    assert (done.code, "there is none. Run `shopkeeper run`" in done.error) == (2, True)
    assert runs[0].call("loads", "--profile", "prod", "--json").json == []


def test_data_do_not_steer_the_terminal(fresh):
    """Escape codes in a file are shown as marks, in the list of rejects and in the name of the file."""
    fresh.write("\x1b[2J.csv", HEAD + "1,\x1b[31m,[bold]x[/bold],\x1b[2J,12/4/2010 10:00,5.00,17850,France\n")
    assert "\x1b" not in fresh.call("ingest").out
    told = fresh.call("quarantine", "list").out
    assert ("\x1b" in told, "\ufffd[2J.csv" in told) == (False, True)


# ------------------------------------------------------------------ help


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example(verb):
    """In its help."""
    done = shopkeeper(*verb.split(), "--help")
    assert done.code == 0
    assert re.search(rf"Examples?: shopkeeper {verb}\b", " ".join(done.out.split()))


def test_help_lists_every_verb():
    """And nothing is imported for it that takes long."""
    done = shopkeeper("--help")
    assert all(re.search(rf"│ {verb.split()[0]} ", done.out) for verb in VERBS)
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", shopkeeper("--version").out)


def test_the_command_line_imports_nothing_heavy():
    """Libraries are imported where they are used."""
    heavy = ("duckdb", "pyarrow", "deltalake", "dbt", "numpy", "rich.progress", "fastexcel", "requests")
    program = f"import sys, shopkeeper.apps.cli; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=ENVIRONMENT)
    assert found.stdout == "[]\n"


# ------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope"], "No such command"),
        (["run", "--nope"], "No such option"),
        (["init"], "Missing argument"),
        (["init", "{new}", "--preset", "nope"], "preset must be one of"),
        (["run", "--project", "{new}"], "must hold a shopkeeper.toml"),
        (["run", "--project", "{shop}", "--profile", "test"], "profile must be one of dev, prod"),
        (["ingest", "nope", "--project", "{shop}"], "source must be one of those configured"),
        (
            ["query", "select 1", "--format", "xml", "--project", "{shop}"],
            "--format must be table, csv or json",
        ),
        (["query", "drop table x", "--project", "{shop}"], "a version must be published"),
        (["versions", "--at", "1", "--project", "{shop}"], "--at must come with a lake table"),
        (["versions", "orders", "--project", "{shop}"], "table must be one of order_lines"),
        (["rollback", "--project", "{shop}"], "one that is kept (none)"),
        (["publish", "--project", "{shop}"], "a build must have ended well"),
        (["quarantine", "replay", "{new}", "--project", "{shop}"], "the file to replay must exist"),
        (["simulate", "--preset", "nope", "--out", "{new}"], "preset"),
    ],
)
def test_usage_errors_exit_with_two(fresh, arguments, words):
    """One sentence on stderr; with --json the same on stdout, as JSON, and nothing else."""
    given = [argument.format(new=fresh.folder / "new", shop=fresh.folder / "shop") for argument in arguments]
    done = shopkeeper(*given)
    assert (done.code, done.out, words in done.error) == (2, "", True)
    assert "Traceback" not in done.error
    if given[0] not in {"init", "nope"}:
        done = shopkeeper(*given, "--json")
        assert (done.code, done.error, words in done.json["error"]["message"]) == (2, "", True)


def test_a_broken_shopkeeper_toml(fresh):
    """Usage, too: the user can mend it."""
    (fresh.folder / "shop/shopkeeper.toml").write_text("[shop\n")
    done = fresh.call("run")
    assert (done.code, done.error.count("\n"), "must be TOML" in done.error) == (2, 1, True)


def test_a_file_that_cannot_be_read_exits_with_one(fresh):
    """As text and as JSON; the reason stands beside the file's name."""
    (fresh.folder / "in/a.csv").write_text("")
    done = fresh.call("ingest")
    assert (done.code, "✗ a.csv: a file must have a header; got 0 bytes" in done.out) == (1, True)
    done = fresh.call("ingest", "--json")
    assert (done.code, [item["status"] for item in done.json["items"]]) == (1, ["failed"])


def test_another_run_holds_the_project(fresh):
    """The message names the process; the exit code is 1."""
    from shopkeeper import workflow

    with workflow.exclusive(fresh.folder / "shop/data/dev"):
        done = fresh.call("ingest")
        assert (done.code, f"held by process {os.getpid()}" in done.error) == (1, True)
        assert fresh.call("doctor", "--json").json[4]["state"] == "warning"
    assert fresh.call("ingest").code == 0


def test_a_project_that_may_not_be_written(fresh):
    """A file stands where its data should go."""
    (fresh.folder / "shop/data").write_text("")
    done = fresh.call("ingest")
    assert (done.code, "the project's folder must be writable" in done.error) == (1, True)


@pytest.mark.parametrize("as_json", [False, True])
def test_an_unforeseen_error_is_one_sentence(fresh, tmp_path, monkeypatch, as_json):
    """It names where the details are; its text, which may hold credentials, is not shown."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail(*_: object) -> None:
        secret = "hunter2"
        raise KeyError(secret)

    monkeypatch.setattr("shopkeeper.assembly.assemble", fail)
    done = fresh.call("loads", *(["--json"] if as_json else []))
    told = done.json["error"]["message"] if as_json else done.error
    assert (done.code, "an unforeseen KeyError" in told, "hunter2" in done.out + done.error) == (
        1,
        True,
        False,
    )
    (file,) = tmp_path.glob("shopkeeper-*.txt")
    assert str(file) in told
    assert "Traceback" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_a_terminal_that_cannot_show_a_letter(fresh):
    """Gets another one instead."""
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    call = [*START, "ingest", "--project", str(fresh.folder / "shop")]
    done = subprocess.run(call, check=False, capture_output=True, env=environment)
    assert (done.returncode, b"7 rows: 6 loaded" in done.stdout, done.stderr) == (0, True, b"")


# -------------------------------------------------------------- terminals


def on_a_terminal(call: list[str], *, stop_at: bytes = b"") -> tuple[int, bytes]:
    """Run a command whose stderr is a terminal; press Ctrl-C once ``stop_at`` is shown there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=theirs, stdin=theirs, env={**ENVIRONMENT, "TERM": "xterm"}
    )
    os.close(theirs)
    shown, pressed, until = b"", False, time.monotonic() + 60
    while time.monotonic() < until:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                chunk = os.read(ours, 65536)
            except OSError:
                break
            shown += chunk
            if not chunk:
                break
        if stop_at and stop_at in shown and not pressed:
            process.send_signal(signal.SIGINT)
            pressed = True
    process.communicate(timeout=60)
    os.close(ours)
    return process.returncode, shown


def test_a_bar_on_a_terminal(fresh):
    """Work in progress is shown while it lasts, with the step and the file it is at."""
    code, shown = on_a_terminal([*START, "ingest", "--project", str(fresh.folder / "shop")])
    assert (code, b"ingest" in shown, b"a.csv" in shown, b"\x1b[" in shown) == (0, True, True, True)


@pytest.mark.parametrize("moment", [b"looking for what is new", b"stg_lake__"], ids=["ingest", "dbt"])
def test_ctrl_c(fresh, moment):
    """Exit code 130, no traceback, and the next run ends well."""
    code, shown = on_a_terminal([*START, "run", "--project", str(fresh.folder / "shop")], stop_at=moment)
    assert (code, b"Traceback" in shown) == (130, False)
    assert fresh.call("ingest").code == 0
