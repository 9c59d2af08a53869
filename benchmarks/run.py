"""What Shopkeeper's speed is, as ratios against named peers measured in the same run, on this machine.

    python benchmarks/run.py [PART]... [--events N]

Parts: help, retail, features, models, buying, baskets, recommendations, demand, prices, events; all of them if none is named.
`retail` wants the Online Retail workbook (../shared/data or SHOPKEEPER_DATA); `events` simulates N events (20,000,000 by
default, 2.4 GB) in a temporary folder. Every figure is the wall time of a cold process unless it says otherwise.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SHOPKEEPER_DATA", ROOT.parent / "shared" / "data"))
CLI = [sys.executable, "-c", "from shopkeeper.apps.cli import main; main()"]
EVENTS_PER_CUSTOMER = 62
PARTS = ["help", "retail", "features", "models", "buying", "baskets", "recommendations", "demand", "prices", "events"]


@dataclass(frozen=True)
class Figure:
    """One measurement: seconds, against a peer's seconds where there is one, and a target in words."""

    what: str
    seconds: float
    peer: str = ""
    peer_seconds: float = 0.0
    target: str = ""
    memory_gb: float = 0.0

    def row(self) -> str:
        ratio = f"{self.seconds / self.peer_seconds:.2f} ×" if self.peer_seconds else "·"
        memory = f"{self.memory_gb:.1f} GB" if self.memory_gb else "·"
        peer = f"{self.peer} ({self.peer_seconds:.2f} s)" if self.peer else "·"
        return f"| {self.what} | {self.seconds:.2f} s | {ratio} | {peer} | {memory} | {self.target} |"


def timed(command: list[str]) -> tuple[float, float]:
    """Run a command and return its wall seconds and its peak memory in GB."""
    script = (
        "import resource, subprocess, sys, time\n"
        "t = time.perf_counter()\n"
        "code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "print(time.perf_counter() - t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[-4:])} failed: {done.stderr}")
    seconds, kilobytes = done.stderr.strip().splitlines()[-1].split()
    return float(seconds), float(kilobytes) / 1e6


def best(command: list[str], runs: int = 5) -> float:
    """Return the median wall seconds of several runs."""
    return sorted(timed(command)[0] for _ in range(runs))[runs // 2]


def of_help() -> Iterator[Figure]:
    """`shopkeeper --help` against an interpreter that only imports typer."""
    yield Figure(
        "shopkeeper --help",
        best([*CLI, "--help"]),
        "python -c 'import typer'",
        best([sys.executable, "-c", "import typer"]),
        "≤ 0.5 s",
    )


def of_retail(folder: Path) -> Iterator[Figure]:
    """Excel to published, nothing new, and one more day, against reading the workbook alone."""
    book = DATA / "online_retail" / "Online Retail.xlsx"
    if not book.exists():
        print(f"retail: skipped, there is no {book}", file=sys.stderr)
        return
    read = "import fastexcel, sys; fastexcel.read_excel(sys.argv[1]).load_sheet(0).to_arrow()"
    peer = timed([sys.executable, "-c", read, str(book)])[0]
    shop = folder / "retail"
    subprocess.run(
        [*CLI, "init", str(shop), "--preset", "uci_online_retail", "--path", str(book)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds, memory = timed([*CLI, "run", "--project", str(shop)])
    reading = "fastexcel reading the workbook"
    yield Figure("Excel file to everything published", seconds, reading, peer, "≤ 60 s", memory)
    seconds, memory = timed([*CLI, "run", "--project", str(shop)])
    yield Figure("a run with nothing new", seconds, reading, peer, "≤ 5 s", memory)
    sent = folder / "sent"
    sent.mkdir()
    days = folder / "days"
    subprocess.run(
        [*CLI, "init", str(days), "--preset", "uci_online_retail", "--path", str(sent)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    _split_last_day(book, sent)
    last = sent / "last.csv"
    last.rename(folder / "last.csv")
    timed([*CLI, "run", "--project", str(days)])
    shutil.move(folder / "last.csv", last)
    seconds, memory = timed([*CLI, "run", "--project", str(days)])
    yield Figure("one more day, to published", seconds, reading, peer, "≤ 15 s", memory)


def _split_last_day(book: Path, folder: Path) -> None:
    """Write the workbook's rows as two CSV files: all days but the last, and the last."""
    import duckdb
    import fastexcel

    names = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
    rows = fastexcel.read_excel(book).load_sheet(0).to_arrow()
    connection = duckdb.connect()
    connection.register("rows", rows)
    last = "(select max(InvoiceDate::date) from rows)"
    for name, condition in (("first.csv", f"InvoiceDate::date < {last}"), ("last.csv", f"InvoiceDate::date = {last}")):
        columns = ", ".join(
            "CustomerID::bigint as CustomerID"
            if n == "CustomerID"
            else "Quantity::bigint as Quantity"
            if n == "Quantity"
            else n
            for n in names
        )
        connection.execute(f"copy (select {columns} from rows where {condition}) to '{folder / name}' (header)")


def of_events(folder: Path, n_events: int) -> Iterator[Figure]:
    """Events of CSV to the lake against DuckDB's own COPY to Parquet, and the event marts from them."""
    import duckdb

    out = folder / "events"
    started = time.perf_counter()
    customers = str(n_events // EVENTS_PER_CUSTOMER)
    shape = ["--preset", "rees46_events", "--customers", customers, "--days", "150", "--seed", "1", "--clean"]
    timed([*CLI, "simulate", *shape, "--out", str(out)])
    files = sorted((out / "data").glob("*.csv"))
    size = sum(file.stat().st_size for file in files)
    print(f"simulated {size / 1e9:.2f} GB in {time.perf_counter() - started:.1f} s", file=sys.stderr)
    script = (
        "import duckdb, sys, pathlib\n"
        "con = duckdb.connect()\n"
        "for file in sys.argv[2:]:\n"
        "    con.execute(f\"copy (from read_csv('{file}')) to '{sys.argv[1]}/{pathlib.Path(file).stem}.parquet'\")\n"
    )
    target = folder / "copied"
    target.mkdir()
    peer = timed([sys.executable, "-c", script, str(target), *map(str, files)])[0]
    rows = duckdb.sql(f"select count(*) from '{target}/*.parquet'").fetchone()
    n_rows = rows[0] if rows else 0
    shop = folder / "clicks"
    subprocess.run(
        [*CLI, "init", str(shop), "--preset", "rees46_events", "--path", str(out / "data")],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds, memory = timed([*CLI, "ingest", "--project", str(shop)])
    copy = "DuckDB's COPY (FROM read_csv) TO parquet"
    yield Figure(
        f"{n_rows:,} events of CSV ({size / 1e9:.1f} GB) to the lake", seconds, copy, peer, "≤ 2 ×, ≤ 4 GB", memory
    )
    seconds, memory = timed([*CLI, "build", "--project", str(shop)])
    yield Figure("the event marts from them", seconds, copy, peer, "≤ 90 s, ≤ 8 GB", memory)
    seconds, memory = timed([*CLI, "publish", "--project", str(shop)])
    yield Figure("publishing them", seconds, copy, peer, "", memory)


def of_features(folder: Path) -> Iterator[Figure]:
    """Features of many lines against data frames, results equal."""
    from features import measured

    yield from (Figure(*found) for found in measured(folder))


def of_models(folder: Path) -> Iterator[Figure]:
    """All models of a shop refitted and scored, in one process, against what a notebook does."""
    from models import measured

    book = DATA / "online_retail" / "Online Retail.xlsx"
    if not book.exists():
        print(f"models: skipped, there is no {book}", file=sys.stderr)
        return
    yield from (Figure(*found) for found in measured(folder, book))


def of_buying() -> Iterator[Figure]:
    """Lifetime values of a million customers, and what counting equal histories once is worth."""
    from buying import measured

    yield from (Figure(*found) for found in measured())


def of_baskets() -> Iterator[Figure]:
    """Frequent itemsets, against mlxtend."""
    from baskets import measured

    yield from (Figure(*found) for found in measured(DATA / "online_retail" / "kaggle_ecommerce_data.zip"))


def of_demand() -> Iterator[Figure]:
    """Methods of demand over thousands of series, against statsforecast's own."""
    from demand import measured

    yield from (Figure(*found) for found in measured())


def of_prices() -> Iterator[Figure]:
    """Elasticities of many products against a regression for each."""
    from prices import measured

    yield from (Figure(*found) for found in measured())


def of_recommendations(folder: Path) -> Iterator[Figure]:
    """Lists for all customers and for one basket, against implicit's own."""
    from recommendations import measured

    from shopkeeper import workflow
    from shopkeeper.assembly import assemble

    book = DATA / "online_retail" / "Online Retail.xlsx"
    if not book.exists():
        print(f"recommendations: skipped, there is no {book}", file=sys.stderr)
        return
    made = [*CLI, "init", str(folder / "lists"), "--preset", "uci_online_retail", "--path", str(book)]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    parts = assemble(folder / "lists")
    workflow.run(parts.lake, parts.warehouse, parts.published, parts.sources)
    yield from (Figure(*found) for found in measured(parts.warehouse))


@contextmanager
def workplace() -> Iterator[Path]:
    """Make a temporary folder and take it away."""
    folder = Path(tempfile.mkdtemp(prefix="shopkeeper-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Measure what is asked for and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    chosen = parser.parse_args()
    parts = chosen.parts or PARTS
    with workplace() as folder:
        if not chosen.json:
            print("| what | seconds | ratio | peer | peak memory | target |\n|---|---|---|---|---|---|", flush=True)
        makers = {
            "help": of_help,
            "retail": lambda: of_retail(folder),
            "features": lambda: of_features(folder),
            "models": lambda: of_models(folder),
            "buying": of_buying,
            "baskets": of_baskets,
            "demand": of_demand,
            "recommendations": lambda: of_recommendations(folder),
            "prices": of_prices,
            "events": lambda: of_events(folder, chosen.events),
        }
        for part in parts:
            for figure in makers[part]():
                print(json.dumps(figure.__dict__) if chosen.json else figure.row(), flush=True)


if __name__ == "__main__":
    main()
