"""A shop whose models are trained, scored, promoted, refused, rolled back and lost, as its owner would see it."""

import csv
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pyarrow as pa
import pytest
from pyarrow import parquet

from shopkeeper import training, workflow
from shopkeeper.apps.screen import print_trainings
from shopkeeper.assembly import assemble
from shopkeeper.errors import ModelError, UsageError
from shopkeeper.models.churn import Churn
from shopkeeper.registry import Registry
from shopkeeper.serving import customer_dossier, product_dossier
from shopkeeper.settings import write_project
from shopkeeper.simulator import simulate

pytestmark = pytest.mark.slow
TRAINING_KILLS = int(os.environ.get("SHOPKEEPER_TRAINING_KILLS", "1"))
"""One by default; two in `.ci/run`."""

TABLES = {
    "segments": ("customer_segments", "segments", "segment_migrations"),
    "churn": ("churn_scores", "churn_reasons"),
    "lifetime": ("customer_lifetime_values",),
    "labels": ("label_scores",),
    "baskets": ("itemsets", "basket_rules", "bundles"),
    "recommendations": ("customer_recommendations", "product_recommendations"),
    "demand": ("demand_forecasts", "stock_advice"),
    "prices": ("price_elasticities", "price_advice", "price_curves", "price_changes"),
}


def ask(parts, sql):
    """The rows of a query to the current version."""
    return parts.serving.query(sql).rows


def publish(parts):
    """Score and publish, as the two verbs do."""
    training.score(parts.studio)
    return workflow.publish(parts.warehouse, parts.published, parts.studio)


def narrowed(file):
    """Let the data choose between four and five segments only: how many there are is not what is tested here."""
    with file.open("a", encoding="utf-8") as settings:
        settings.write("\n[segments]\nmost = 5\n")


def export(folder, *, customers=700, days=420, seed=11):
    """Write a simulated shop's file, without faults."""
    shop = simulate("uci_online_retail", customers=customers, days=days, seed=seed)
    for file in shop.files(dirt=False):
        (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / file.path).write_bytes(b"".join(file.chunks))
    return folder


@pytest.fixture(name="run", scope="module")
def _run(run_shop):
    """Run everything, models included."""
    return functools.partial(run_shop, models=True)


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory, run):
    """A shop that was run once, with its parts and what the run did; tests work on copies."""
    folder = tmp_path_factory.mktemp("world")
    narrowed(write_project(folder / "shop", preset="uci_online_retail", path=str(export(folder / "export"))))
    parts = assemble(folder / "shop")
    return parts, run(parts)


@pytest.fixture(name="copied")
def _copied(world, tmp_path):
    """A copy of the shop that a test may harm."""
    shutil.copytree(world[0].settings.project, tmp_path / "shop", symlinks=True)
    return assemble(tmp_path / "shop")


def test_a_run_trains_scores_and_publishes(world):
    """Each subject that the data allow has a version that serves, and one row per customer in the published version."""
    parts, done = world
    assert {each.subject: each.status for each in done.trainings} == {
        "segments": "promoted",
        "churn": "promoted",
        "lifetime": "promoted",
        "labels": "none",
        "baskets": "baseline",
        "demand": "promoted",
        # Simulated customers have no tastes.
        "recommendations": "baseline",
        "prices": "promoted",
    }
    (labels,) = (each for each in done.trainings if each.subject == "labels")
    assert labels.message == "No labels are loaded."
    assert done.version.models == {
        "segments": "segments/1",
        "churn": "churn/1",
        "lifetime": "lifetime/1",
        "baskets": "baskets/2",
        "demand": "demand/1",
        "recommendations": "recommendations/2",
        "prices": "prices/1",
    }
    ((buyers,),) = ask(parts, "select count(*) from features.customer_features where n_orders > 0")
    ((known,),) = ask(parts, "select count(*) from features.customer_features")
    for subject, tables in TABLES.items():
        for table in tables:
            assert f"predictions.{table}" in done.version.tables, subject
    assert ask(parts, "select count(*), count(distinct customer_id), min(model_version) from customer_segments") == [
        (known, known, "segments/1")
    ]
    for table in ("churn_scores", "customer_lifetime_values"):
        assert ask(parts, f"select count(*), count(distinct customer_id) from {table}") == [(buyers, buyers)]
    assert ask(parts, "select count(*) from label_scores") == [(0,)]
    at_risk = "select count(*) from churn_scores join customer_lifetime_values using (customer_id, as_of) where "
    assert ask(parts, at_risk + "value_at_risk = lifetime_value * churn_probability") == [(buyers,)]


def test_everything_is_explained(world):
    """Of a customer with an order and of the product sold most, each table that says something has its section."""
    parts, _ = world
    ((customer,),) = ask(parts, "select customer_id from churn_scores order by risk_rank limit 1")
    ((product,),) = ask(parts, "select product_id from products where not is_service order by n_orders desc, 1 limit 1")
    told = customer_dossier(parts.published, customer).plain()
    assert {"orders", "segment", "churn", "lifetime_value", "bought_most", "recommended"} <= set(told)
    of_product = product_dossier(parts.published, product).plain()
    assert {"sales", "demand_by_week", "stock", "how_buyers_answer_to_the_price", "price_advice"} <= set(of_product)
    assert {"goes_with_it", "last_price_changes"} <= set(of_product)
    for sections in (told, of_product):
        assert not any("note" in row for rows in sections.values() if isinstance(rows, list) for row in rows)


def test_a_second_run_changes_nothing(world, run):
    """Without new data nothing is trained, scored or published again."""
    parts, done = world
    again = run(parts)
    assert (again.trainings, again.drift) == ([], [])
    assert {each.status for each in again.scores} == {"unchanged", "none"}
    assert again.version.number == done.version.number


def test_the_same_shop_gives_the_same_predictions(world, tmp_path, run):
    """Another project with the same file says the same of every customer, to the last bit."""
    parts, _ = world
    path = parts.settings.sources["uci_online_retail"].options["path"]
    narrowed(write_project(tmp_path / "twin", preset="uci_online_retail", path=str(path)))
    twin = assemble(tmp_path / "twin")
    run(twin)
    for table in (each for subject in TABLES for each in TABLES[subject]):
        sql = f"select * from {table} order by all"
        assert ask(twin, sql) == ask(parts, sql), table


def test_a_failed_promotion_and_a_rollback(copied):
    """A refit on the same data is refused; by hand it needs insisting; rolling back brings the first champion's scores."""
    studio = copied.studio
    before = ask(copied, "select * from churn_scores order by all")
    (refit,) = training.train(studio, ["churn"])
    assert (refit.status, refit.version) == ("challenger", "churn/2")
    assert "not the champion" in refit.message
    assert {each.status for each in training.score(studio)} == {"unchanged", "none"}
    with pytest.raises(ModelError, match=r"churn/2 did not: .* insist with --force"):
        training.promote(studio, "churn/2")
    assert [(each.name, each.state) for each in training.versions(studio) if each.subject == "churn"] == [
        ("churn/2", "challenger"),
        ("churn/1", "champion"),
    ]

    training.promote(studio, "churn/2", force=True)
    second = publish(copied)
    assert (second.number, second.models["churn"]) == (2, "churn/2")
    assert ask(copied, "select distinct model_version from churn_scores") == [("churn/2",)]
    assert json.loads((copied.published.model("churn") / "version.json").read_text())["number"] == 2

    assert training.rollback(studio, "churn").name == "churn/1"
    third = publish(copied)
    assert third.models["churn"] == "churn/1"
    assert ask(copied, "select * from churn_scores order by all") == before
    with pytest.raises(UsageError, match="there is none before"):
        training.rollback(studio, "churn")


def test_rolling_a_version_back_takes_its_models_with_it(copied):
    """The files of the model that made a version's predictions stand beside it."""
    training.train(copied.studio, ["lifetime"])
    training.promote(copied.studio, "lifetime/2", force=True)
    publish(copied)
    copied.published.rollback()
    assert json.loads((copied.published.model("lifetime") / "version.json").read_text())["number"] == 1


def test_a_registry_that_is_gone_stops_training_only(copied):
    """Scoring and publishing go on with the champions that serve; training says what is missing."""
    (copied.settings.registry / "mlflow.db").unlink()
    shutil.rmtree(copied.settings.registry / "artifacts")
    (failed,) = training.train(copied.studio, ["churn"])
    assert failed.status == "failed"
    assert "registry" in failed.message
    # It says nothing about the data, so the next run may try again.
    assert copied.studio.attempts()["churn"].status == "promoted"
    copied.warehouse.store({}, {"churn": "unknown"})
    assert {each.subject: each.status for each in training.score(copied.studio)} == {
        "segments": "unchanged",
        "churn": "scored",
        "lifetime": "unchanged",
        "labels": "none",
        "baskets": "unchanged",
        "demand": "unchanged",
        "recommendations": "unchanged",
        "prices": "unchanged",
    }
    assert workflow.publish(copied.warehouse, copied.published, copied.studio).models["churn"] == "churn/1"


def test_a_champion_whose_files_are_gone_is_replaced(copied):
    """Neither what serves nor what was registered can be read: scoring says so and leaves the table; training begins anew."""
    version = copied.registry.serving("lifetime").version
    shutil.rmtree(copied.registry.serving("lifetime").folder)
    shutil.rmtree(copied.settings.registry / "artifacts" / "lifetime" / version.run_id)
    done = {each.subject: each for each in training.score(copied.studio)}
    assert (done["lifetime"].status, done["segments"].status) == ("failed", "unchanged")
    assert "models promote lifetime/1" in done["lifetime"].message
    watched = {each.subject: each for each in training.drift(copied.studio)}
    assert (watched["lifetime"].action, watched["segments"].report is not None) == ("warn", True)
    assert list(training.due(copied.studio)) == ["lifetime"]
    (fresh,) = training.train(copied.studio, ["lifetime"])
    assert (fresh.status, fresh.version) == ("promoted", "lifetime/2"), fresh.message
    assert training.score(copied.studio, ["lifetime"])[0].status == "scored"


def test_a_champion_of_an_older_schema_leaves_its_table(copied):
    """A model that wants a column nobody has any more says so; its table stays, the others are scored, a refit replaces it."""
    served = copied.registry.serving("churn")
    for name in ("model", "evaluated"):
        file = served.folder / name / "model.json"
        file.chmod(0o644)
        file.write_text(file.read_text().replace("days_since_last_order", "days_since_last_visit"))
    before = ask(copied, "select count(*) from churn_scores")
    copied.warehouse.store({}, {"churn": "another build", "lifetime": "another build"})
    done = {each.subject: each for each in training.score(copied.studio)}
    assert (done["churn"].status, done["lifetime"].status) == ("failed", "scored")
    assert "days_since_last_visit" in done["churn"].message
    assert ask(copied, "select count(*) from churn_scores") == before
    (refit,) = training.train(copied.studio, ["churn"])
    assert (refit.status, refit.version) == ("promoted", "churn/2"), refit.message
    assert any("days_since_last_visit" in note for note in refit.report.notes)
    assert {each.subject: each.status for each in training.score(copied.studio, ["churn"])}["churn"] == "scored"


def test_whatever_serves_is_watched(world):
    """Each model that serves is compared with its training; none is left out for want of a column."""
    parts, _ = world
    found = {each.subject: each for each in training.drift(parts.studio) if each.version}
    assert {"segments", "recommendations", "demand", "prices"} <= set(found)
    assert {name: each.message for name, each in found.items() if each.report is None} == {}


def test_predictions_served_are_held_against_the_training(copied, run):
    """As many customers as at training, asked over the API, look like them; customers with ten times the orders do not."""
    served = copied.registry.serving("churn")
    reference = parquet.read_table(served.folder / training.REFERENCE)
    numbers = [
        field.name for field in reference.schema if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    ]
    rows = reference.select([name for name in numbers if name != "score"]).to_pylist()
    assert len(rows) >= training.LEAST_SERVED

    def serve(factor: int) -> None:
        before = copied.log.last()
        told = {"subject": "churn", "model_version": "churn/1", "published_version": 1, "as_of": "2024-01-01"}
        told |= {"predicted_at": time.time_ns() // 1000, "output": "{}", "milliseconds": 3}
        inputs = [{**row, "n_orders_90d": (row["n_orders_90d"] or 0) * factor} for row in rows]
        copied.prediction_log.add([{**told, "inputs": json.dumps(each)} for each in inputs])
        while copied.log.last() == before:
            time.sleep(0.01)
        assert copied.load_events().n_rows == len(rows)
        run(copied)

    serve(1)
    found = {each.subject: each for each in training.drift(copied.studio)}
    assert (found["churn-served"].action, found["churn-served"].report.alarms) == ("none", ())
    assert "segments-served" not in found
    for _ in range(2):
        serve(10)
    (worst,) = {each.subject: each for each in training.drift(copied.studio)}["churn-served"].report.alarms
    assert worst.name == "n_orders_90d"


def test_a_damaged_reference_is_a_warning(copied):
    """Drift cannot be measured against a file that is no Parquet: a sentence, and the other models are looked at."""
    file = copied.registry.serving("churn").folder / training.REFERENCE
    file.chmod(0o644)
    file.write_bytes(b"PAR1 no more")
    found = {each.subject: each for each in training.drift(copied.studio)}
    assert found["churn"].action == "warn"
    assert "readable Parquet file" in found["churn"].message
    assert found["lifetime"].report is not None


def test_the_policy_retrains_or_stops(world, copied, run):
    """A shop that changes overnight: the policy warns, trains a challenger, or publishes nothing new."""
    parts, _ = world
    file = next((parts.settings.project.parent / "export").rglob("*.csv"))
    with file.open(encoding="utf-8", newline="") as opened:
        lines = list(csv.DictReader(opened))[-4000:]
    for number, line in enumerate(lines):
        # Everybody comes back, and buys a hundred times as much.
        line["InvoiceNo"] = str(990000 + number // 3)
        line["Quantity"] = str(100 * abs(int(line["Quantity"])))
    folder = copied.settings.project / "more"
    folder.mkdir()
    with (folder / "more.csv").open("w", encoding="utf-8", newline="") as written:
        writer = csv.DictWriter(written, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    settings = copied.settings.project / "shopkeeper.toml"
    with settings.open("a") as written:
        written.write(f'\n[sources.more]\npreset = "uci_online_retail"\npath = "{folder}"\n[drift]\npolicy = "stop"\n')
    stopping = assemble(copied.settings.project)
    version = stopping.published.current()
    with pytest.raises(ModelError, match="Nothing new was published"):
        run(stopping)
    assert stopping.published.current() == version
    settings.write_text(settings.read_text().replace('"stop"', '"retrain"'))
    retraining = run(assemble(copied.settings.project))
    assert {each.action for each in retraining.drift} >= {"retrain"}
    assert {each.subject for each in retraining.trainings} >= {
        each.subject for each in retraining.drift if each.action == "retrain"
    }
    assert retraining.version.number == version + 1


def test_a_month_later_the_champion_is_challenged(copied):
    """A month after the last training a run trains a challenger; without a memory, the champion tells how old it is."""
    studio = replace(copied.studio, retrain_days=30)
    assert training.due(studio) == {}
    told = json.loads((copied.settings.registry / "attempts.json").read_text())
    told["churn"]["as_of"] = "2011-01-01"
    (copied.settings.registry / "attempts.json").write_text(json.dumps(told))
    assert list(training.due(studio)) == ["churn"]
    assert "newer than the last training" in training.due(studio)["churn"]
    (copied.settings.registry / "attempts.json").unlink()
    assert set(training.due(studio)) == {"labels"}
    assert set(training.due(replace(studio, retrain_days=0))) == {*TABLES}


class Broken(Churn):
    """A subject with a fault that nobody foresaw."""

    def train(self, *_args, **_more):
        raise RuntimeError("ada@example.com")

    def predict(self, *_args, **_more):
        raise RuntimeError("ada@example.com")


def test_an_unforeseen_error_ends_one_subject_only(copied):
    """The others are trained and scored; the sentence names the error and a file with its details, and not its text."""
    studio = replace(copied.studio, subjects={"churn": Broken(), "lifetime": copied.studio.subjects["lifetime"]})
    copied.warehouse.store({}, {"churn": "another build", "lifetime": "another build"})
    trained = {each.subject: each for each in training.train(studio)}
    scored = {each.subject: each for each in training.score(studio)}
    assert {name: each.status for name, each in trained.items()} == {"churn": "failed", "lifetime": "challenger"}
    assert {name: each.status for name, each in scored.items()} == {"churn": "failed", "lifetime": "scored"}
    for each in (trained["churn"], scored["churn"]):
        assert "an unforeseen RuntimeError" in each.message
        assert "ada" not in each.message
    assert "ada@example.com" in (copied.settings.registry / "unforeseen-churn.txt").read_text()


@pytest.mark.parametrize("share", [0.7, 0.3][:TRAINING_KILLS])
def test_killed_while_it_trains(world, tmp_path, share, run, monkeypatch):
    """A run killed anywhere in training, and run again, ends with models that serve and a whole published version."""
    monkeypatch.setenv("SHOPKEEPER__MODELS__SUBJECTS", "segments lifetime churn")
    parts, _ = world
    shop = tmp_path / "shop"
    shutil.copytree(parts.settings.project, shop, symlinks=True)
    home = assemble(shop).settings.home
    shutil.rmtree(home / "models")
    shutil.rmtree(home / "published")
    command = [sys.executable, "-c", "from shopkeeper.apps.cli import main; main()", "run", "--project", str(shop)]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (home / "models").exists():
        time.sleep(0.05)
    time.sleep(share * 6)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert time.monotonic() - started > share
    again = assemble(shop)
    done = run(again)
    assert set(done.version.models) == {"segments", "lifetime", "churn"}
    sql = "select customer_id, churn_probability from churn_scores order by 1"
    assert ask(again, sql) == ask(parts, sql)


def shop_of(tmp_path, lines):
    """A shop of a few order lines: (order, product, quantity, day, price, customer)."""
    rows = ["InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"]
    rows += [
        f"{order},{product},THING,{quantity},{day} 10:00,{price},{customer},United Kingdom"
        for order, product, quantity, day, price, customer in lines
    ]
    (tmp_path / "lines.csv").write_text("\n".join(rows) + "\n", "utf-8")
    narrowed(write_project(tmp_path / "shop", preset="uci_online_retail", path=str(tmp_path / "lines.csv")))
    return assemble(tmp_path / "shop")


SMALL = {
    "three customers": [(5000 + n, "85123A", 2, f"1/{1 + n % 28}/2011", 2.5, 12340 + n % 3) for n in range(30)],
    "one order each": [(5000 + n, "85123A", 2, f"{1 + n % 9}/{1 + n % 28}/2011", 2.5, 12000 + n) for n in range(200)],
    "a single day": [(5000 + n, "85123A", 1 + n % 5, "3/4/2011", 2.5, 12000 + n % 60) for n in range(150)],
    "all cancelled": [
        (f"C{5000 + n}", "85123A", -2, f"{1 + n % 9}/{1 + n % 28}/2011", 2.5, 12000 + n % 50) for n in range(150)
    ],
}


@pytest.mark.parametrize("kind", SMALL)
def test_a_shop_too_small_for_models_is_published_all_the_same(tmp_path, kind, run):
    """Each model says in a sentence what it lacks, or serves its baseline; everything else is published."""
    parts = shop_of(tmp_path, SMALL[kind])
    done = run(parts)
    assert {each.subject for each in done.trainings} == set(TABLES) or kind == "all cancelled"
    for each in done.trainings:
        assert each.status in {"failed", "baseline", "promoted", "none"}
        assert each.message.endswith("."), each.message
        assert "Error" not in each.message
    for tables in TABLES.values():
        for table in tables:
            assert f"predictions.{table}" in done.version.tables
    again = run(parts)
    assert again.version.number == done.version.number


def test_a_registry_that_does_not_answer_is_tried_again(tmp_path, run):
    """A server that is down at the first run leaves the shop without models, not for good: the next run trains."""
    parts = shop_of(tmp_path, SMALL["three customers"])
    run(parts, models=False)
    down = replace(parts.studio, registry=Registry(parts.studio.registry.root, "http://127.0.0.1:9"))
    (failed,) = training.train(down, ["segments"])
    assert (failed.status, "must answer" in failed.message) == ("failed", True)
    assert "segments" in training.due(parts.studio)


def test_a_shop_that_names_no_customer_hears_it_in_one_line(tmp_path, run, capsys):
    """Of those that need customers or baskets nothing failed. It is said once, and not again without new data."""
    parts = shop_of(tmp_path, [(5000 + n, "85123A", 2, f"{1 + n % 9}/{1 + n % 28}/2011", 2.5, "") for n in range(90)])
    done = run(parts)
    others = [each for each in done.trainings if each.subject != "demand"]
    assert {each.status for each in others} == {"none"}
    print_trainings(others)
    (line,) = capsys.readouterr().out.strip().splitlines()
    assert line == (
        "- not trained: segments, lifetime, churn, recommendations (no order names a customer); labels (no labels are loaded); "
        "baskets (no basket holds two products); prices (no posted price has moved)"
    )
    assert [each.status for each in done.trainings if each not in others] == ["promoted"]
    assert run(parts).trainings == []


def test_labels_of_a_clients_files_are_learnt_and_published(tmp_path, run):
    """The label follows the profiles: a model beats the prior, and every customer has a score, with or without an order."""
    shop = simulate("client_and_sales", customers=1500, days=30, seed=5)
    for file in shop.files(dirt=False):
        (tmp_path / "export" / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "export" / file.path).write_bytes(b"".join(file.chunks))
    write_project(tmp_path / "shop", preset="client_and_sales", path=str(tmp_path / "export"))
    parts = assemble(tmp_path / "shop")
    run(parts, models=False)
    (labels,) = training.train(parts.studio, ["labels"])
    assert (labels.status, labels.report.baseline) == ("promoted", "prior")
    publish(parts)
    assert ask(parts, "select count(*), count(distinct customer_id), min(rank), max(decile) from label_scores") == [
        (1500, 1500, 1, 10)
    ]
