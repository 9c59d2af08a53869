"""Simulated shops with models: predictions are the batch's to 1e-9, each wrong field is named, and the page tells the truth."""

import importlib.util
import json
import re
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from shopkeeper import vocabulary as v
from shopkeeper.contracts import CONTRACTS
from shopkeeper.features import ShopHistory
from shopkeeper.serving.prediction_inputs import COUNTED

pytestmark = pytest.mark.slow
TABLES = {
    "segment": "customer_segments",
    "churn": "churn_scores",
    "lifetime": "customer_lifetime_values",
    "label": "label_scores",
}


@pytest.fixture(name="wholesaler", scope="module")
def _wholesaler(gifts, serving):
    with serving(gifts) as client:
        yield client, gifts


@pytest.fixture(name="service", scope="module")
def _service(clients, serving):
    with serving(clients) as client:
        yield client, clients


def rows_of(parts, sql):
    """Rows of a query as objects that JSON can hold."""
    with parts.published.open() as connection:
        found = connection.execute(sql)
        columns = [column[0] for column in found.description]
        return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]


def some_customers(parts, n=60):
    sql = "select customer_id from features.customer_features where n_orders > 0 order by hash(customer_id)"
    return [row["customer_id"] for row in rows_of(parts, f"{sql} limit {n}")]


def lines_of(parts, customers):
    """The lines of customers as their source gave them, as JSON."""
    names = ", ".join(f"'{each}'" for each in customers)
    rows = rows_of(
        parts,
        "select order_id, customer_id, source_product_id as product_id, description, quantity, unit_price, discount_amount, "
        "strftime(ordered_at, '%Y-%m-%dT%H:%M:%S.%fZ') as ordered_at, country, store_id, currency, source_category as category "
        f"from core.order_lines where customer_id in ({names}) order by hash(order_line_id)",
    )
    return [
        {
            **row,
            **{
                name: float(row[name])
                for name in ("quantity", "unit_price", "discount_amount")
                if row[name] is not None
            },
        }
        for row in rows
    ]


def features_of(parts, customers):
    names = ", ".join(f"'{each}'" for each in customers)
    return rows_of(
        parts,
        f"select * exclude (as_of) from features.customer_features where customer_id in ({names}) order by hash(customer_id)",
    )


def attributes_of(parts, customers):
    """Customer → attribute → value, as the shop knows them as of the version's moment."""
    with parts.published.open() as connection:
        history = ShopHistory(connection)
        told = history.attributes([history.last_day + timedelta(days=1)]).to_pylist()
    found = {each: {} for each in customers}
    for row in told:
        if row["customer_id"] in found:
            found[row["customer_id"]][row["name"]] = row["value"]
    return found


def batch_of(parts, asked, customers):
    """What the published table says of customers."""
    names = ", ".join(f"'{each}'" for each in customers)
    rows = rows_of(parts, f"select * from predictions.{TABLES[asked]} where customer_id in ({names})")
    return {
        row["customer_id"]: {
            key: value.isoformat() if hasattr(value, "isoformat") else value for key, value in row.items()
        }
        for row in rows
    }


def must_be_the_batchs(client, parts, asked, body, customers):
    """Hold each number of an answer against the published table."""
    answer = client.post(f"/v1/predict/{asked}", json=body)
    assert answer.status_code == 200, answer.text
    told, batch = answer.json(), batch_of(parts, asked, customers)
    assert told["skipped"] == []
    assert {each["customer_id"] for each in told["predictions"]} == set(customers) == set(batch)
    for each in told["predictions"]:
        known = batch[each["customer_id"]]
        assert told["model_version"] == known["model_version"]
        assert told["as_of"] == known["as_of"]
        compared = [name for name in each if name in known]
        assert len(compared) >= 4
        for name in compared:
            assert each[name] == (
                pytest.approx(known[name], rel=1e-9, abs=1e-9) if isinstance(known[name], float) else known[name]
            ), name
    return told


@pytest.mark.parametrize("asked", ["segment", "churn", "lifetime"])
def test_lines_and_features_give_the_batchs_numbers(wholesaler, asked):
    """Raw order lines in any order, and features by name: what the published tables say, to 1e-9."""
    client, parts = wholesaler
    customers = some_customers(parts)
    must_be_the_batchs(client, parts, asked, {"order_lines": lines_of(parts, customers)}, customers)
    features = features_of(parts, customers)
    told = must_be_the_batchs(client, parts, asked, {"customers": features}, customers)
    assert [each["customer_id"] for each in told["predictions"]] == [each["customer_id"] for each in features]
    single = client.post(f"/v1/predict/{asked}", json={"customers": features[0]}).json()
    assert single["predictions"] == [told["predictions"][0]]


@pytest.mark.parametrize("asked", ["churn", "lifetime", "label"])
def test_attributes_are_read_as_the_batch_does(service, asked):
    """A shop whose customers have attributes and labels: features and attributes give the batch's numbers."""
    client, parts = service
    customers = some_customers(parts)
    said = attributes_of(parts, customers)
    (model,) = [each for each in client.get("/v1/models").json()["data"] if each["subject"] == asked]
    assert bool(model["attributes"]) == (asked == "label")
    known = {
        name: {key: value for key, value in each.items() if key in model["attributes"]} for name, each in said.items()
    }
    body = {"customers": [{**row, "attributes": known[row["customer_id"]]} for row in features_of(parts, customers)]}
    must_be_the_batchs(client, parts, asked, body, customers)
    lines = {"order_lines": lines_of(parts, customers), "attributes": known}
    must_be_the_batchs(client, parts, asked, lines, customers)


def test_only_what_is_needed_must_be_there(wholesaler):
    """The fields that /v1/models lists suffice; those that nobody needs may be absent."""
    client, parts = wholesaler
    customers = some_customers(parts, 5)
    for model in client.get("/v1/models").json()["data"]:
        body = [
            {name: row[name] for name in ("customer_id", *model["features"])} for row in features_of(parts, customers)
        ]
        must_be_the_batchs(client, parts, model["subject"], {"customers": body}, customers)


LINE = {
    "order_id": "1",
    "customer_id": "a",
    "product_id": "p",
    "quantity": 1,
    "unit_price": 2,
    "ordered_at": "2011-01-01T10:00:00Z",
}

AT_ODDS = {"customer_id": "a", "n_order_days": 2, "days_since_last_order": None}


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ([], "body", "object"),
        ({}, "body", "either"),
        ({"customers": [], "order_lines": []}, "body", "either"),
        ({"customers": []}, "customers", "one or more"),
        ({"customers": "c"}, "customers", "list"),
        ({"customers": [1]}, "customers[0]", "object"),
        ({"customers": [{}] * 1001}, "customers", "1,000"),
        ({"customers": [{"customer_id": "a"}]}, "customers[0].n_orders", "missing"),
        ({"customers": [{}]}, "customers[0].customer_id", "missing"),
        ({"customers": [{"customer_id": ""}]}, "customers[0].customer_id", "not empty"),
        ({"customers": [{"customer_id": "a"}, {"customer_id": "a"}]}, "customers[1].customer_id", "another"),
        ({"customers": [{"customer_id": "a", "n_order": 1}]}, "customers[0].n_order", "did you mean n_orders?"),
        ({"customers": [{"customer_id": "a", "n_orders": "two"}]}, "customers[0].n_orders", "whole number"),
        ({"customers": [{"customer_id": "a", "n_orders": 1.5}]}, "customers[0].n_orders", "whole number"),
        ({"customers": [{"customer_id": "a", "n_orders": True}]}, "customers[0].n_orders", "whole number"),
        ({"customers": [{"customer_id": "a", "n_orders": -1}]}, "customers[0].n_orders", "0 or more"),
        ({"customers": [{"customer_id": "a", "n_orders": None}]}, "customers[0].n_orders", "null"),
        ({"customers": [{"customer_id": "a", "net_sales": 1e300}]}, "customers[0].net_sales", "number"),
        ({"customers": [{"customer_id": "a", "country": 3}]}, "customers[0].country", "text"),
        ({"customers": [{"customer_id": "a", "attributes": {"age": 3}}]}, "customers[0].attributes.age", "unknown"),
        ({"customers": [{**AT_ODDS}]}, "customers[0].days_since_last_order", "n_order_days"),
        ({"customers": {"customer_id": "a"}, "as_of": "yesterday"}, "as_of", "day"),
        ({"customers": {"customer_id": "a"}, "asof": "2011-01-01"}, "asof", "as_of"),
        ({"order_lines": [{**LINE, "sku": "x"}]}, "order_lines[0].sku", "unknown"),
        ({"order_lines": [LINE, {**LINE, "quantity": None}]}, "order_lines[1].quantity", "missing"),
        ({"order_lines": [{**LINE, "ordered_at": None}]}, "order_lines[0].ordered_at", "missing"),
        ({"order_lines": [LINE, {**LINE, "unit_price": "dear"}]}, "order_lines[1].unit_price", "number"),
        ({"order_lines": [{**LINE, "unit_price": [1]}]}, "order_lines[0].unit_price", "number"),
        ({"order_lines": [{**LINE, "unit_price": 1e30}]}, "order_lines[0].unit_price", "number"),
        ({"order_lines": [{**LINE, "discount_amount": -1}]}, "order_lines[0].discount_amount", "0 or more"),
        ({"order_lines": [{**LINE, "ordered_at": "31/12/2010"}]}, "order_lines[0].ordered_at", "moment"),
        ({"order_lines": [{**LINE, "ordered_at": 5}]}, "order_lines[0].ordered_at", "moment"),
        ({"order_lines": [{**LINE, "ordered_at": "9999-01-01"}]}, "order_lines[0].ordered_at", "moment"),
        ({"order_lines": [{**LINE, "customer_id": str(n)} for n in range(1001)]}, "order_lines", "1,000 customers"),
        ({"order_lines": [LINE], "attributes": {"a": 1}}, "attributes.a", "object"),
    ],
)  # fmt: skip
def test_each_wrong_field_is_named(wholesaler, error_of, body, field, said):
    """422, with every field that is unknown, missing or of another type by its place."""
    client, _ = wholesaler
    answer = client.post("/v1/predict/churn", json=body)
    assert answer.status_code == 422
    details = {each["field"]: each["message"] for each in error_of(answer)["details"]}
    if field == "customers[0].n_orders" and said == "missing":
        field = "customers[0].n_order_days"
    assert said in details[field]


@pytest.mark.parametrize("asked", ["segment", "churn", "lifetime"])
def test_strangers_and_the_future(wholesaler, asked):
    """Unknown customers, products, countries and texts of every kind are predicted; who has no order yet is named, with why."""
    client, _ = wholesaler
    odd = {
        **LINE,
        "customer_id": "ü 🛒 '; --",
        "product_id": "no such",
        "country": "Atlantis",
        "description": "{{7*7}}",
    }
    late = {**LINE, "customer_id": "late", "ordered_at": "2099-01-01T00:00:00Z"}
    guest = {**LINE, "customer_id": None}
    told = client.post(
        f"/v1/predict/{asked}", json={"order_lines": [odd, late, guest, {**odd, "ordered_at": "1970-01-01"}]}
    ).json()
    assert [each["customer_id"] for each in told["predictions"]] == (
        [odd["customer_id"], "late"] if asked == "segment" and len(told["predictions"]) == 2 else [odd["customer_id"]]
    )
    assert {each["customer_id"] for each in told["skipped"]} <= {"late"}
    empty = client.post(f"/v1/predict/{asked}", json={"order_lines": guest}).json()
    assert (empty["predictions"], empty["skipped"]) == ([], [])


def test_another_moment(wholesaler):
    """As of an earlier day, what came after it is not known."""
    client, parts = wholesaler
    (customer,) = some_customers(parts, 1)
    lines = sorted(lines_of(parts, [customer]), key=lambda line: line["ordered_at"])
    first_day = lines[0]["ordered_at"][:10]
    told = client.post("/v1/predict/lifetime", json={"order_lines": lines, "as_of": first_day}).json()
    assert (told["as_of"], told["predictions"]) == (first_day, [])
    assert told["skipped"] == [{"customer_id": customer, "reason": f"no order before {first_day}"}]


def test_what_is_not_published_is_told(wholesaler, error_of):
    """No model of labels serves here: 404 with what to do."""
    client, _ = wholesaler
    answer = client.post("/v1/predict/label", json={"customers": {"customer_id": "a"}})
    assert (answer.status_code, error_of(answer)["code"]) == (404, "no_model")


def test_predictions_are_logged_without_persons(wholesaler):
    """Inputs, output, model and latency of each prediction, in the durable log; no id, no text of the customer's."""
    client, parts = wholesaler
    before = parts.log.last()
    customers = some_customers(parts, 3)
    client.post("/v1/predict/churn", json={"order_lines": lines_of(parts, customers)})
    end = time.monotonic() + 5
    while not (batches := parts.log.batches(before, kind=v.SERVED_PREDICTIONS)):
        assert time.monotonic() < end
        time.sleep(0.02)
    (batch,) = batches
    columns = json.loads(batch.rows)
    assert batch.n_rows == 3
    assert set(columns) == set(CONTRACTS[v.SERVED_PREDICTIONS].column_names)
    assert not any(each in batch.rows.decode() for each in customers)
    for place in range(3):
        row = {name: values[place] for name, values in columns.items()}
        assert (row["subject"], row["model_version"].split("/")[0]) == ("churn", "churn")
        assert "churn_probability" in json.loads(row["output"])
        assert json.loads(row["inputs"])["n_order_days"] >= 1


def test_a_basket_gets_the_recommenders_list(wholesaler):
    """What the model says of a basket, products in it left out, and those the caller excludes."""
    client, parts = wholesaler
    goods = [
        row["product_id"]
        for row in rows_of(
            parts, "select product_id from core.products where not is_service order by n_orders desc limit 6"
        )
    ]
    path = "/v1/recommendations/basket"
    told = client.post(path, json={"products": [goods[0].lower(), goods[1], "nothing"], "n": 5}).json()
    assert told["unknown_products"] == ["NOTHING"]
    shown = [each["product_id"] for each in told["recommendations"]]
    assert len(shown) == 5
    assert not {*goods[:2]} & set(shown)
    without = client.post(path, json={"products": goods[:2], "n": 5, "without": shown[:2]}).json()
    assert [each["product_id"] for each in without["recommendations"]][:3] == shown[2:]
    assert len(client.post(path, json={"products": []}).json()["recommendations"]) == 20


def test_counts_are_those_that_are_never_null():
    """What must not be null here is what the warehouse promises never to be."""
    text = (ROOT / "src/shopkeeper/dbt/models/features/customer_features.yml").read_text("utf-8")
    (promised,) = re.findall(r"not_null: \[([^\]]*)\]", text)
    assert {each.strip() for each in promised.split(",")} == set(COUNTED)


# ------------------------------------------------------------------- documents

ROOT = Path(__file__).parents[3]
MOMENT = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d|^WyJ|^v\d+-|^\"v\d+-")


@pytest.fixture(name="pages", scope="module")
def _pages():
    """The module that writes the page."""
    spec = importlib.util.spec_from_file_location("make_api", ROOT / "docs" / "make_api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks_of(pages, text):
    """Command → answer, of each block of the page."""
    found = {}
    for block in pages.BLOCK.findall(text):
        lines = block.splitlines()
        n = next(at for at, line in enumerate(lines) if not line.endswith("\\")) + 1
        found["\n".join(lines[:n])] = "\n".join(lines[n:])
    return found


def differences(one, other, where=""):
    """Where two answers differ by more than what differs from machine to machine: moments, and 2 % of a number."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for name in one for found in differences(one[name], other[name], f"{where}.{name}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            found
            for at, pair in enumerate(zip(one, other, strict=True))
            for found in differences(*pair, f"{where}[{at}]")
        ]
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other))
    if numbers and one == pytest.approx(other, rel=0.02, abs=0.02):
        return []
    if isinstance(one, str) and isinstance(other, str) and MOMENT.match(one) and MOMENT.match(other):
        return []
    return [] if one == other else [f"{where}: {one!r} is {other!r}"]


def test_the_page_shows_what_the_server_says(wholesaler, pages):
    """Each `curl` of docs/api.md, asked again, gives the answer that stands below it; if not: python docs/make_api.py."""
    client, _ = wholesaler
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    shown, now = blocks_of(pages, text), blocks_of(pages, pages.render(client, text))
    assert shown.keys() == now.keys()
    wrong = []
    for command, answer in shown.items():
        if not answer.startswith("{"):
            assert answer.splitlines()[0] == now[command].splitlines()[0], command
            continue
        wrong += [f"{command}: {each}" for each in differences(json.loads(answer), json.loads(now[command]))]
    assert wrong == []


def test_every_endpoint_is_on_the_page(wholesaler, pages):
    """Each endpoint has a `curl` line, here or on the collector's page, and each code of an error a row."""
    client, _ = wholesaler
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    of_collector = set(
        re.findall(
            r"(?:localhost:8080|`POST |`)(/v1/\w+(?:/\w+)?)", (ROOT / "docs" / "collector.md").read_text("utf-8")
        )
    )
    asked = {re.search(r"8080([^'?]*)", line).group(1) for line in pages.curls(text)}
    heads = {each.head for each in client.application.endpoints if each.variable}
    told = {path if path.rpartition("/")[0] not in heads else path.rpartition("/")[0] for path in asked}
    assert {each.head for each in client.application.endpoints} <= asked | told | of_collector
    source = "".join(path.read_text("utf-8") for path in (ROOT / "src/shopkeeper/apps/api").glob("*.py"))
    codes = set(re.findall(r"RefusalError\(\s*(?:\d+|status),\s*\"(\w+)\"", source))
    assert len(codes) > 20
    assert {code for code in codes if f"`{code}`" not in text} <= {"unknown_"}


def test_the_example_client_runs(wholesaler):
    """In at most thirty lines, it finds whom to write to, what to show them, and what goes with a basket."""
    client, _ = wholesaler
    file = ROOT / "examples" / "client.py"
    assert len(file.read_text("utf-8").splitlines()) <= 30
    done = subprocess.run(
        [sys.executable, str(file), str(client.base_url).rstrip("/")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *leaving, basket = done.stdout.splitlines()
    assert len(leaving) == 3
    assert len(json.loads(basket.replace("'", '"'))) == 3
