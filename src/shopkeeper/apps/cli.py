"""The command line: `shopkeeper VERB`. It reads settings, calls one step, prints; nothing else.

Exit codes: 0 done, 1 failed (data, outside world), 2 usage or configuration.
"""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shopkeeper.errors import ShopkeeperError, UsageError

if TYPE_CHECKING:
    from shopkeeper.assembly import Shopkeeper

app = typer.Typer(
    name="shopkeeper",
    help="From a shop's raw order lines and clicks to a warehouse it can trust, and models that beat their baselines.\n\n"
    "Start: [bold]shopkeeper init shop --preset uci_online_retail --path 'Online Retail.xlsx'[/bold], "
    "then [bold]shopkeeper run --project shop[/bold].",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
quarantine = typer.Typer(help="Rows that broke a rule: look at them, mend them, load them.", no_args_is_help=True)
app.add_typer(quarantine, name="quarantine")
models = typer.Typer(help="The versions of the models: look, compare, promote, roll back.", no_args_is_help=True)
app.add_typer(models, name="models")
dossiers = typer.Typer(help="All that is known of one customer or product, and what is advised.", no_args_is_help=True)
app.add_typer(dossiers, name="explain")
keys = typer.Typer(help="Keys to the API: who may ask what.", no_args_is_help=True)
app.add_typer(keys, name="keys")

ProjectOption = Annotated[Path, typer.Option("--project", help="The project's folder.", metavar="DIR")]
ProfileOption = Annotated[str, typer.Option("--profile", help="dev or prod; they share nothing.", metavar="dev|prod")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
IgnoredProject = Annotated[Path, typer.Option("--project", hidden=True)]
IgnoredProfile = Annotated[str, typer.Option("--profile", hidden=True)]
"""For verbs that need no project: taken and not looked at, so that a script may call all verbs alike."""
HERE = Path()
INTERRUPTED = 130


def main() -> None:
    """Run the command line and turn errors into one sentence and an exit code."""
    as_json = "--json" in sys.argv
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter shows a question mark instead of stopping the work.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        # In its standalone mode, typer prints usage errors by itself; for programs we print them as JSON.
        sys.exit(app(standalone_mode=not as_json) or 0)
    except ShopkeeperError as error:
        _print_error(type(error).__name__, str(error), as_json)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nobody is left to tell.
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - whatever it is, a person gets one sentence
        if as_json and hasattr(error, "format_message"):
            _print_error("UsageError", error.format_message(), as_json)
            sys.exit(2)
        _print_error(type(error).__name__, _unexpected(error), as_json)
        sys.exit(1)


def _print_error(kind: str, message: str, as_json: bool) -> None:
    if as_json:
        from shopkeeper.apps.screen import print_json

        print_json({"error": {"type": kind, "message": message}})
    else:
        print(f"error: {message}", file=sys.stderr)


def _unexpected(error: Exception) -> str:
    """Write the details of an error nobody foresaw to a file of the user's own, and return the sentence that says so.

    Its text is not printed: another library wrote it and it may hold anything, credentials included.
    """
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="shopkeeper-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.writelines(traceback.format_exception(error))
        where = f"Details are in {file.name}: please report them"
    except OSError:
        where = "Its details could not be written; free some space and run the same command again"
    return f"this must not happen: an unforeseen {type(error).__name__}. What was published still serves. {where}."


def _open(project: Path, profile: str) -> "Shopkeeper":
    from shopkeeper.assembly import assemble

    return assemble(project, profile)


def _version(value: bool) -> None:
    if value:
        from shopkeeper import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options that come before a verb."""


# ------------------------------------------------------------------- set up


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make the project in.")],
    preset: Annotated[
        str | None, typer.Option(help="A known export; see `shopkeeper presets`.", metavar="NAME")
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="The file, folder, glob or URL to read.", metavar="FILE_OR_URL")
    ] = None,
    project: IgnoredProject = HERE,  # noqa: ARG001
    profile: IgnoredProfile = "dev",  # noqa: ARG001
    as_json: JsonOption = False,
) -> None:
    """Make a project: a commented shopkeeper.toml.

    Example: shopkeeper init shop --preset uci_online_retail --path "Online Retail.xlsx"
    """
    from shopkeeper.settings import write_project

    written = write_project(folder, preset=preset, path=path)
    if as_json:
        from shopkeeper.apps.screen import print_json

        print_json({"settings": str(written)})
        return
    print(f"wrote {written}")
    print(f"next: shopkeeper run --project {folder}" if path else f"next: name your source in {written}")


@app.command()
def presets(
    as_json: JsonOption = False,
    project: IgnoredProject = HERE,  # noqa: ARG001
    profile: IgnoredProfile = "dev",  # noqa: ARG001
) -> None:
    """List the known exports.

    Example: shopkeeper presets
    """
    from shopkeeper.apps.screen import print_json, print_table
    from shopkeeper.settings import describe_presets

    found = describe_presets()
    if as_json:
        print_json(found)
    else:
        print_table(("preset", "what it reads"), list(found.items()))


# -------------------------------------------------------------------- steps


@app.command()
def ingest(
    sources: Annotated[list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Only these sources.")] = None,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Take what is new from the sources into the lake; what is known adds nothing.

    Example: shopkeeper ingest --project shop
    """
    from shopkeeper import workflow
    from shopkeeper.apps.screen import print_ingest, print_json, progress

    parts = _open(project, profile)
    started = time.monotonic()
    with workflow.exclusive(parts.settings.home), progress(quiet=as_json) as tell:
        done = workflow.ingest(parts.lake, parts.sources, sources or (), tell=tell)
    if as_json:
        print_json(_ingest_json(done))
    else:
        print_ingest(done, seconds=time.monotonic() - started)
    _exit_on(done)


def _ingest_json(done: Any) -> dict[str, Any]:
    items = [
        {"source": each.source, "item": each.item, "status": each.status, "message": each.message, "load": each.load}
        for each in done.taken
    ]
    return {"items": items, "skipped": done.skipped, "swept_rows": done.swept_rows}


def _exit_on(done: Any) -> None:
    if done.failures:
        raise typer.Exit(1)


@app.command("load-events")
def load_events(
    follow: Annotated[bool, typer.Option("--follow", help="Go on until stopped.")] = False,
    every: Annotated[
        float | None, typer.Option(help="With --follow: so often; else as the settings say.", metavar="SECONDS", min=0)
    ] = None,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Bring what the collector took from its log to the lake, each batch once. Waits for other runs of the profile.

    Example: shopkeeper load-events --follow --every 10 --project shop
    """
    from shopkeeper.apps.event_loading import load

    load(_open(project, profile), follow=follow, every=every, as_json=as_json)


@app.command()
def build(
    select: Annotated[
        str | None, typer.Option(help="Only these models, in dbt's words.", metavar="DBT_SELECTION")
    ] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild incremental tables from the lake.")
    ] = False,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Build the warehouse from the lake with dbt: only what lies downstream of what changed.

    Example: shopkeeper build --select order_lines+ --project shop
    """
    from shopkeeper import workflow
    from shopkeeper.apps.screen import print_json, progress

    parts = _open(project, profile)
    started = time.monotonic()
    with workflow.exclusive(parts.settings.home), progress(quiet=as_json) as tell:
        built = workflow.build(parts.lake, parts.warehouse, select=select, full_refresh=full_refresh, tell=tell)
    if as_json:
        print_json(asdict(built))
    elif built.models:
        print(
            f"built {len(built.models)} models, {len(built.rules)} sets of rules hold, {time.monotonic() - started:.1f} s"
        )
    else:
        print("nothing new in the lake: the warehouse is up to date")


@app.command()
def train(
    subjects: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Only these models.")] = None,
    search: Annotated[
        float | None,
        typer.Option(
            help="Try parameters for so many seconds a model; else the stored ones.", metavar="SECONDS", min=1
        ),
    ] = None,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Train models on the warehouse; one becomes champion only if it beats its baseline and the present champion.

    Examples: shopkeeper train --project shop · shopkeeper train churn --search 60
    """
    from shopkeeper import training, workflow
    from shopkeeper.apps.screen import print_json, print_trainings, progress

    parts = _open(project, profile)
    with workflow.exclusive(parts.settings.home), progress(quiet=as_json) as tell:
        done = training.train(parts.studio, subjects or (), budget=search, tell=tell)
    if as_json:
        print_json([each.plain() for each in done])
    else:
        print_trainings(done, details=True)
        if any(each.status in {"promoted", "baseline"} for each in done):
            print("next: shopkeeper run, or shopkeeper score and shopkeeper publish")
    if any(each.status == "failed" or (subjects and each.status == "none") for each in done):
        raise typer.Exit(1)


@app.command()
def score(
    subjects: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Only these models.")] = None,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Score customers and products with the models that serve, as of the day after the last order.

    Example: shopkeeper score --project shop
    """
    from shopkeeper import training, workflow
    from shopkeeper.apps.screen import print_json, print_scores, progress

    parts = _open(project, profile)
    with workflow.exclusive(parts.settings.home), progress(quiet=as_json) as tell:
        done = training.score(parts.studio, subjects or (), tell=tell)
    if as_json:
        print_json([asdict(each) for each in done])
    else:
        print_scores(done)
        if any(each.status == "scored" for each in done):
            print("next: shopkeeper publish")
    if any(each.status == "failed" for each in done):
        raise typer.Exit(1)


@app.command()
def drift(
    subjects: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Only these models.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write each report there, as a page and as JSON.", metavar="DIR")
    ] = None,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Compare today's data and scores with those the champions were trained on. Changes nothing.

    Example: shopkeeper drift churn --out drift --project shop
    """
    from shopkeeper import training
    from shopkeeper.apps.screen import print_drift, print_json, progress

    parts = _open(project, profile)
    with progress(quiet=as_json) as tell:
        done = training.drift(parts.studio, subjects or (), policy=parts.settings.drift.policy, tell=tell)
    written = training.write_drift(done, out) if out is not None else []
    if as_json:
        print_json([each.plain() for each in done])
    else:
        print_drift(done)
        for file in written:
            print(f"wrote {file}")


@app.command()
def features(
    out: Annotated[Path, typer.Option(help="The file to write: .parquet or .csv.", metavar="FILE")],
    as_of: Annotated[
        list[str] | None,
        typer.Option(
            help="A moment: what was known before this day. May be repeated; the latest if none.", metavar="DAY"
        ),
    ] = None,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Write the customers' features as of any moments: point-in-time, one row per customer and moment.

    Example: shopkeeper features --as-of 2011-06-01 --as-of 2011-09-01 --out features.parquet --project shop
    """
    from shopkeeper import training
    from shopkeeper.apps.screen import print_json, progress

    parts = _open(project, profile)
    with progress(quiet=as_json) as tell:
        n_rows = training.write_features(parts.studio, as_of or (), out, tell=tell)
    if as_json:
        print_json({"file": str(out), "n_rows": n_rows})
    else:
        print(f"wrote {n_rows:,} rows to {out}" + ("" if n_rows else ": no customer was known by then"))


@app.command()
def publish(project: ProjectOption = HERE, profile: ProfileOption = "dev", as_json: JsonOption = False) -> None:
    """Publish the last good build as a new immutable version.

    Example: shopkeeper publish --project shop
    """
    from shopkeeper import workflow
    from shopkeeper.apps.screen import print_json, progress

    parts = _open(project, profile)
    with workflow.exclusive(parts.settings.home), progress(quiet=as_json) as tell:
        version = workflow.publish(parts.warehouse, parts.published, parts.studio, tell=tell)
    if as_json:
        print_json(asdict(version))
    else:
        print(
            f"version {version.number} is current: {sum(version.tables.values()):,} rows in {len(version.tables)} tables"
        )


@app.command()
def run(
    no_models: Annotated[
        bool, typer.Option("--no-models", help="Neither train nor score; what was predicted stays.")
    ] = False,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Do all steps: ingest, build, train what is due, score, publish. May be repeated, or killed and repeated.

    Example: shopkeeper run --project shop
    """
    from shopkeeper import workflow
    from shopkeeper.apps.screen import print_ingest, print_json, print_summary, progress

    parts = _open(project, profile)
    started = time.monotonic()
    with workflow.exclusive(parts.settings.home), progress(quiet=as_json) as tell:
        done = workflow.run(
            parts.lake,
            parts.warehouse,
            parts.published,
            parts.sources,
            parts.studio,
            policy=parts.settings.drift.policy,
            models=not no_models,
            tell=tell,
        )
    if as_json:
        print_json(
            {
                "ingest": _ingest_json(done.ingest),
                "build": asdict(done.build),
                "training": [each.plain() for each in done.trainings],
                "scores": [asdict(each) for each in done.scores],
                "drift": [each.plain() for each in done.drift],
                "version": asdict(done.version),
            }
        )
    else:
        print_ingest(done.ingest)
        n_rejects = parts.lake.rejects().num_rows
        print_summary(str(project), done, parts.serving.summary(), n_rejects, started)
    _exit_on(done.ingest)


# ------------------------------------------------------------------- models


@models.command("list")
def list_models(project: ProjectOption = HERE, profile: ProfileOption = "dev", as_json: JsonOption = False) -> None:
    """List every version of every model: which serves, which challenges, and how it was judged.

    Example: shopkeeper models list --project shop
    """
    from shopkeeper import training
    from shopkeeper.apps.screen import print_json, print_models

    found = training.versions(_open(project, profile).studio)
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        print_models(found)


@models.command()
def show(
    version: Annotated[str, typer.Argument(metavar="MODEL[/N]", help="A model, or a version of it.")],
    out: Annotated[
        Path | None, typer.Option(help="Copy the version's files there: model, report, card, plots.", metavar="DIR")
    ] = None,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Print the model card of a version: what it answers, how it was judged, against which baseline, its limits.

    Example: shopkeeper models show churn/3 --out churn-3 --project shop
    """
    from shopkeeper import training
    from shopkeeper.apps.screen import print_json, print_markdown

    studio = _open(project, profile).studio
    found = training.find(studio, version)
    if as_json:
        print_json(asdict(found))
    else:
        print_markdown(training.card_of(studio, found))
    if out is not None:
        training.copy_files(studio, found, out)
        if not as_json:
            print(f"wrote {out}")


@models.command()
def compare(
    version: Annotated[str, typer.Argument(metavar="MODEL/N", help="A version.")],
    other: Annotated[str, typer.Argument(metavar="MODEL/N", help="Another of the same model.")],
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Compare two versions: their figures, parameters and data, side by side.

    Example: shopkeeper models compare churn/2 churn/3 --project shop
    """
    from shopkeeper import training
    from shopkeeper.apps.screen import print_comparison, print_json

    found = training.compare(_open(project, profile).studio, version, other)
    if as_json:
        print_json(asdict(found))
    else:
        print_comparison(found)


@models.command("promote")
def promote_model(
    version: Annotated[str, typer.Argument(metavar="MODEL/N", help="The version that is to serve.")],
    force: Annotated[bool, typer.Option("--force", help="Even if the gate refused it.")] = False,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Make a version the champion, by hand; one that the gate refused needs --force.

    Example: shopkeeper models promote churn/3 --project shop
    """
    from shopkeeper import training, workflow
    from shopkeeper.apps.screen import print_json

    parts = _open(project, profile)
    with workflow.exclusive(parts.settings.home):
        now = training.promote(parts.studio, version, force=force)
    if as_json:
        print_json(asdict(now))
    else:
        print(f"{now.name} is champion; next: shopkeeper score and shopkeeper publish")


@models.command("rollback")
def rollback_model(
    subject: Annotated[str, typer.Argument(metavar="MODEL", help="The model to take back.")],
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Make the champion before the present one the champion again; nothing is deleted.

    Example: shopkeeper models rollback churn --project shop
    """
    from shopkeeper import training, workflow
    from shopkeeper.apps.screen import print_json

    parts = _open(project, profile)
    with workflow.exclusive(parts.settings.home):
        now = training.rollback(parts.studio, subject)
    if as_json:
        print_json(asdict(now))
    else:
        print(f"{now.name} is champion again; next: shopkeeper score and shopkeeper publish")


# ------------------------------------------------------------- look and undo


@app.command()
def loads(project: ProjectOption = HERE, profile: ProfileOption = "dev", as_json: JsonOption = False) -> None:
    """List every load: what was read, loaded, resent, quarantined.

    Example: shopkeeper loads --project shop
    """
    from shopkeeper.apps.screen import print_json, print_table

    found = _open(project, profile).lake.loads()
    if as_json:
        print_json([asdict(load) for load in found])
        return
    columns = (
        "load_id",
        "source",
        "item",
        "entity",
        "kind",
        "rows_read",
        "rows_loaded",
        "rows_resent",
        "rows_quarantined",
    )
    print_table(columns, [tuple(getattr(load, name) for name in columns) for load in found])


@app.command()
def versions(
    table: Annotated[
        str | None, typer.Argument(metavar="[LAKE_TABLE]", help="List the versions of a lake table instead.")
    ] = None,
    at: Annotated[
        int | None, typer.Option(help="Print the lake table as of this version, as CSV or JSON.", metavar="N")
    ] = None,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """List the published versions, or those of a lake table; read a lake table as of one.

    Examples: shopkeeper versions · shopkeeper versions order_lines · shopkeeper versions order_lines --at 3 > then.csv
    """
    from shopkeeper.apps.screen import print_json, print_table

    parts = _open(project, profile)
    if table is not None and at is not None:
        if as_json:
            print_json(parts.lake.read(table, at).to_pylist())
        else:
            parts.lake.write_csv(table, at, sys.stdout.buffer)
        return
    if at is not None:
        raise UsageError("--at must come with a lake table; got none. Write `shopkeeper versions order_lines --at 3`.")
    if table is not None:
        history = parts.lake.versions(table)
        if as_json:
            print_json(history)
        else:
            print_table(("version", "committed_at", "operation"), [tuple(entry.values()) for entry in history])
        return
    found = parts.published.versions()
    if as_json:
        print_json([asdict(version) for version in found])
        return
    rows = [
        (
            "→" if version.is_current else "",
            version.number,
            version.published_at[:19],
            len(version.tables),
            sum(version.tables.values()),
        )
        for version in found
    ]
    print_table(("", "version", "published_at", "tables", "rows"), rows)


@app.command()
def rollback(
    version: Annotated[
        int | None, typer.Argument(help="The version; the one before the current if none is given.")
    ] = None,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Make an earlier published version the current one; nothing is deleted.

    Example: shopkeeper rollback 6 --project shop
    """
    from shopkeeper import workflow
    from shopkeeper.apps.screen import print_json

    parts = _open(project, profile)
    with workflow.exclusive(parts.settings.home):
        now = parts.published.rollback(version)
    if as_json:
        print_json(asdict(now))
    else:
        print(f"version {now.number} is current, published {now.published_at[:19]}")


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT.")],
    form: Annotated[str, typer.Option("--format", help="How to print it.", metavar="table|csv|json")] = "table",
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Ask the published version, read-only. Schemas core, metrics, features and predictions need no prefix.

    Example: shopkeeper query "select country, sum(net_sales) from orders group by 1 order by 2 desc" --project shop
    """
    from shopkeeper.apps.screen import print_answer

    if form not in {"table", "csv", "json"}:
        raise UsageError(f"--format must be table, csv or json; got {form!r}. Choose one.")
    print_answer(_open(project, profile).serving.query(sql), "json" if as_json else form)


@app.command()
def profile(
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="Such as orders or metrics.ledger; a line for each if none.")
    ] = None,
    columns: Annotated[str, typer.Option(help="Only these columns, parted by commas.", metavar="A,B")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Write it as one HTML page, with charts.", metavar="FILE.html")
    ] = None,
    customers: Annotated[bool, typer.Option("--customers", help="Show values that may tell of a person.")] = False,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Tell what a published table holds: columns, how they are spread and go together, and the faults of the data.

    Examples: shopkeeper profile --project shop · shopkeeper profile order_lines --out lines.html --project shop
    """
    from shopkeeper.apps.profile import list_tables, profile_table

    parts = _open(project, profile)
    if table is None:
        if columns or out:
            raise UsageError("--columns and --out must go with a table; got none. Name one, such as order_lines.")
        list_tables(parts, as_json=as_json)
        return
    chosen = [name.strip() for name in columns.split(",") if name.strip()]
    profile_table(parts, table, columns=chosen, out=out, shows_customers=customers, as_json=as_json)


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="The file to write.", metavar="FILE.html")] = Path("report.html"),
    month: Annotated[
        str | None, typer.Option(help="Such as 2011-11; the last whole one if none.", metavar="MONTH")
    ] = None,
    customers: Annotated[bool, typer.Option("--customers", help="Name the customers to write to.")] = False,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Write the report of a month: one file to mail, which asks no other host and prints well.

    Example: shopkeeper report --month 2011-11 --out november.html --project shop
    """
    from shopkeeper.apps.report import write_report

    write_report(_open(project, profile), out, month=month, names_customers=customers, as_json=as_json)


@app.command()
def ledger(project: ProjectOption = HERE, profile: ProfileOption = "dev", as_json: JsonOption = False) -> None:
    """Show that rows and money balance, identity by identity.

    Example: shopkeeper ledger --project shop
    """
    from shopkeeper.apps.screen import console, print_answer

    answer = _open(project, profile).serving.ledger()
    print_answer(answer, "json" if as_json else "table")
    broken = [row for row in answer.rows if row[-1] != 0]
    if not as_json:
        console().print(
            f"[red]{len(broken)} identities do not balance[/red]"
            if broken
            else "[green]✓[/green] all identities balance"
        )
    if broken:
        raise typer.Exit(1)


@dossiers.command("customer")
def explain_customer(
    customer_id: Annotated[str, typer.Argument(metavar="ID", help="The customer's id.")],
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Print a customer's orders, segment, chance to stay away and why, value to come, and what to show next.

    Example: shopkeeper explain customer 14911 --project shop
    """
    from shopkeeper.apps.screen import print_dossier, print_json
    from shopkeeper.serving import customer_dossier

    found = customer_dossier(_open(project, profile).published, customer_id)
    print_json(found.plain()) if as_json else print_dossier(found)


@dossiers.command("product")
def explain_product(
    product_id: Annotated[str, typer.Argument(metavar="CODE", help="The product's code.")],
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Print a product's sales, what goes with it, demand and stock, how buyers answer to its price, and what to charge.

    Example: shopkeeper explain product 85123A --project shop
    """
    from shopkeeper.apps.screen import print_dossier, print_json
    from shopkeeper.serving import product_dossier

    found = product_dossier(_open(project, profile).published, product_id)
    print_json(found.plain()) if as_json else print_dossier(found)


# -------------------------------------------------------------------- serve


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Where to listen; beyond this machine only with keys.")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 for a free one.")] = None,
    no_collect: Annotated[bool, typer.Option("--no-collect", help="Only answer: take no events, load none.")] = False,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,  # noqa: ARG001 - it answers in JSON, but by HTTP
) -> None:
    """Answer by HTTP what the published version knows, and take events, until it is stopped.

    New versions are taken up by themselves; events are brought to the lake as they come, and `shopkeeper run` builds on them.

    Example: shopkeeper serve --port 8080 --project shop
    """
    from shopkeeper.apps.serve import serve

    serve(_open(project, profile), host, port, collects=not no_collect)


@app.command()
def dashboard(
    host: Annotated[
        str, typer.Option(help="Where to listen; from elsewhere than this machine, a key is needed.", metavar="HOST")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 is a free one.", metavar="PORT", min=0, max=65535)] = 8501,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
) -> None:
    """Show the published version in a browser, until stopped with Ctrl-C. It asks no other host for anything.

    Examples: shopkeeper dashboard --project shop · shopkeeper dashboard --host 0.0.0.0 --port 80
    """
    from shopkeeper.apps.dashboard.server import serve as show

    show(_open(project, profile), host, port)


@app.command()
def demo(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="An export like UCI Online Retail; without: a simulated shop."),
    ] = None,
    folder: Annotated[
        Path, typer.Option(help="Where to make it; an earlier demo there is made anew.", metavar="DIR")
    ] = Path("demo-shop"),
    port: Annotated[int, typer.Option(help="The API's port, or the next free one.", min=1, max=65000)] = 8080,
    dashboard_port: Annotated[
        int, typer.Option(help="The dashboard's port, or the next free one.", min=1, max=65000)
    ] = 8501,
    once: Annotated[bool, typer.Option("--once", help="Stop when both have answered, as without a terminal.")] = False,
    project: IgnoredProject = HERE,  # noqa: ARG001
    profile: IgnoredProfile = "dev",  # noqa: ARG001
    as_json: JsonOption = False,  # noqa: ARG001 - it shows, and answers by HTTP
) -> None:
    """Make a shop, run everything, and show it by API and dashboard until Ctrl-C: a first look in five minutes.

    Examples: shopkeeper demo · shopkeeper demo "Online Retail.xlsx" --folder look
    """
    from shopkeeper.apps.demo import play

    play(folder, file, port=port, dashboard_port=dashboard_port, once=once or not sys.stdout.isatty())


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it; a name stands for one key for ever.")],
    scope: Annotated[list[str], typer.Option(help="What it is good for; may be given several times.", metavar="SCOPE")],
    expires: Annotated[
        str | None, typer.Option(help="The last day it is good for, such as 2027-01-31, or a moment.", metavar="DAY")
    ] = None,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Make a key; it is shown this once. Scopes: aggregates, customers, predict, events, admin.

    Example: shopkeeper keys add website --scope aggregates --scope customers --project shop
    """
    from shopkeeper.apps.screen import print_json
    from shopkeeper.apps.serve import end_of

    made = _open(project, profile).keys.add(name, scope, expires_at=end_of(expires))
    if as_json:
        print_json({"name": name, "key": made})
    else:
        print(made)
        print("keep it now: only its hash is stored, and it cannot be shown again", file=sys.stderr)


@keys.command("list")
def list_keys(project: ProjectOption = HERE, profile: ProfileOption = "dev", as_json: JsonOption = False) -> None:
    """List the keys that were made: names, scopes, ends; never the keys themselves.

    Example: shopkeeper keys list --project shop
    """
    from shopkeeper.apps.screen import print_json, print_table

    found = [key.plain() for key in _open(project, profile).keys.all()]
    if as_json:
        print_json(found)
        return
    columns = ("name", "ends_with", "scopes", "created_at", "expires_at", "revoked_at")
    rows = [
        (each["name"], each["ends_with"], ", ".join(each["scopes"]), *(each[name] for name in columns[3:]))
        for each in found
    ]
    print_table([name.replace("_", " ") for name in columns], rows)


@keys.command("revoke")
def revoke_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")],
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """End a key, for servers that run too.

    Example: shopkeeper keys revoke website --project shop
    """
    from shopkeeper.apps.screen import print_json

    found = _open(project, profile).keys.revoke(name)
    print_json(found.plain()) if as_json else print(f"{found.name} opens nothing since {found.revoked_at}")


# --------------------------------------------------------------- quarantine


@quarantine.command("list")
def list_rejects(
    closed: Annotated[bool, typer.Option("--closed", help="Closed ones, too.")] = False,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """List the rows in quarantine: file, row, column, rule, value.

    Example: shopkeeper quarantine list --project shop
    """
    from shopkeeper.apps.screen import console, print_json, print_table

    rows = _open(project, profile).lake.rejects(include_closed=closed).to_pylist()
    if as_json:
        print_json(rows)
        return
    columns = ("reject_id", "source_file", "source_row", "column_name", "rule", "value")
    print_table(columns, [tuple(row[name] for name in columns) for row in rows[:200]])
    if len(rows) > 200:
        console().print(f"… and {len(rows) - 200:,} more: shopkeeper quarantine export FILE")


@quarantine.command()
def explain(project: ProjectOption = HERE, profile: ProfileOption = "dev", as_json: JsonOption = False) -> None:
    """Tell which rules were broken how often, with an example each and what to do.

    Example: shopkeeper quarantine explain --project shop
    """
    from shopkeeper.apps.screen import console, print_json, print_table
    from shopkeeper.quarantine import explain as explain_rejects

    found = explain_rejects(_open(project, profile).lake)
    if as_json:
        print_json(found)
        return
    if not found:
        console().print("[green]✓[/green] nothing waits in quarantine")
        return
    columns = ("n_rows", "source", "column_name", "rule", "example", "source_file", "source_row")
    print_table(columns, [tuple(row[name] for name in columns) for row in found])
    console().print(
        "mend them: shopkeeper quarantine export rejects.csv · edit · shopkeeper quarantine replay rejects.csv"
    )


@quarantine.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The CSV file to write.")],
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Write the open rejects as a CSV with the source's own columns, to be corrected and replayed.

    Example: shopkeeper quarantine export rejects.csv --project shop
    """
    from shopkeeper.quarantine import export as export_rejects

    n_rows = export_rejects(_open(project, profile).lake, file)
    if as_json:
        from shopkeeper.apps.screen import print_json

        print_json({"file": str(file), "n_rows": n_rows})
        return
    print(f"wrote {n_rows:,} rows to {file}; correct the source's columns, then: shopkeeper quarantine replay {file}")


@quarantine.command()
def replay(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="A corrected export; none: the rejects as they are, under today's settings."
        ),
    ] = None,
    project: ProjectOption = HERE,
    profile: ProfileOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Load corrected rows once, and close them; what still breaks a rule stays.

    Example: shopkeeper quarantine replay rejects.csv --project shop
    """
    from shopkeeper import workflow
    from shopkeeper.apps.screen import print_json
    from shopkeeper.quarantine import replay as replay_rejects

    parts = _open(project, profile)
    with workflow.exclusive(parts.settings.home):
        done = replay_rejects(parts.lake, parts.settings, file)
    if as_json:
        print_json(asdict(done))
    else:
        print(
            f"{done.n_closed:,} rows loaded and closed, {done.n_open:,} still open, {done.n_known:,} were closed before"
        )
        for sentence in done.reasons[:10]:
            print(f"  {sentence}")


# ----------------------------------------------------------- shop and health


@app.command()
def simulate(
    preset: Annotated[str, typer.Option(help="The shape of the shop; see `shopkeeper presets`.", metavar="NAME")],
    out: Annotated[Path, typer.Option(help="The folder to write.", metavar="DIR")],
    customers: Annotated[int, typer.Option(help="How many customers.", min=1)] = 1000,
    days: Annotated[int, typer.Option(help="How many days.", min=1)] = 365,
    seed: Annotated[int, typer.Option(help="The same seed gives the same shop.", min=0)] = 1,
    truth: Annotated[bool, typer.Option("--truth", help="Write what is true beside the data.")] = False,
    clean: Annotated[bool, typer.Option("--clean", help="Plant no faults.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Let the history end yesterday, then play on in real time.")
    ] = False,
    rate: Annotated[
        float, typer.Option(help="With --live: events or transactions a second.", metavar="RATE", min=0.001)
    ] = 1.0,
    to: Annotated[str, typer.Option(help="With --live: the collector.", metavar="URL")] = "http://127.0.0.1:8080",
    key: Annotated[str | None, typer.Option(help="With --live: a key that may write events.", metavar="KEY")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="With --live: stop after so long.", metavar="SECONDS", min=0)
    ] = None,
    as_json: JsonOption = False,
    project: IgnoredProject = HERE,  # noqa: ARG001
    profile: IgnoredProfile = "dev",  # noqa: ARG001
) -> None:
    """Write a shop whose truth is known: its data in a preset's shape, faults in known places. Or play it live, too.

    Examples: shopkeeper simulate --preset uci_online_retail --customers 500 --days 200 --seed 7 --out export --truth ·
    shopkeeper simulate --preset us_retail --live --rate 5 --to http://127.0.0.1:8080 --out export
    """
    from datetime import UTC, datetime, timedelta

    from shopkeeper import workflow
    from shopkeeper.apps.screen import print_json, progress

    start = datetime.now(UTC).date() - timedelta(days) if live else None
    with progress(quiet=as_json) as tell:
        written = workflow.simulate(
            preset,
            customers=customers,
            days=days,
            seed=seed,
            out=out,
            truth=truth,
            dirt=not clean,
            start=start,
            tell=tell,
        )
    if as_json:
        print_json(written)
    else:
        print(f"wrote {len(written):,} files, {sum(written.values()):,} bytes, to {out}", flush=True)
        print(f"next: shopkeeper init shop --preset {preset} --path {out}/data && shopkeeper run --project shop")
    if start is not None:
        from shopkeeper.apps.player import play

        play(
            lambda name: workflow.play(preset, customers=customers, days=days, seed=seed, start=start, name=name),
            to=to,
            key=key,
            rate=rate,
            seconds=seconds,
            as_json=as_json,
        )


@app.command()
def doctor(project: ProjectOption = HERE, profile: ProfileOption = "dev", as_json: JsonOption = False) -> None:
    """Look at versions, engine, lake, disk, locks and the last run, and tell what to do about each fault.

    Example: shopkeeper doctor --project shop
    """
    from shopkeeper.apps.screen import console, print_json
    from shopkeeper.checkup import check

    findings = check(project, profile)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        out = console()
        marks: dict[str, str] = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "fault": "[red]✗[/red]"}
        for finding in findings:
            out.print(f"  {marks[finding.state]} {finding.what:<12} {finding.found}")
            if finding.advice:
                out.print(f"      [bold]→ {finding.advice}[/bold]")
    if any(finding.state == "fault" for finding in findings):
        raise typer.Exit(1)
