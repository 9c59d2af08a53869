"""The endpoints of the collector, asked through a real server: what 202 holds, what is refused, and that nothing breaks."""

import gzip
import importlib.util
import json
import socket
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import uvicorn

from shopkeeper.apps.api import collector, live
from shopkeeper.assembly import assemble

spec = importlib.util.spec_from_file_location("event_server", Path(__file__).parents[2] / "events" / "server.py")
event_server = importlib.util.module_from_spec(spec)
spec.loader.exec_module(event_server)
NOW = datetime.now(UTC).isoformat()
VIEW = {"event_type": "view", "occurred_at": NOW, "product_id": "P1", "customer_id": "c1"}


@pytest.fixture(name="shop", scope="module")
def _shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collector")
    (folder / "shopkeeper.toml").write_text('[shop]\nname = "clicks"\n[collector]\nlargest_mb = 2\n', "utf-8")
    return assemble(folder)


@pytest.fixture(name="client", scope="module")
def _client(shop):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(event_server.application(shop), host="127.0.0.1", port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        yield client
    server.should_exit = True
    thread.join()


def test_one_event_or_many(client, shop):
    """One object, a list, or an object with the list: 202, with the ids of what was taken, and it is in the log."""
    for body, n in ((VIEW, 1), ([VIEW, VIEW], 2), ({"events": [VIEW] * 3}, 3)):
        answer = client.post("/v1/events", json=body)
        assert answer.status_code == 202
        told = answer.json()
        assert (told["accepted"], told["rejected"], len(told["ids"])) == (n, 0, n)
        (batch,) = shop.log.batches(told["log_number"] - 1)
        assert json.loads(batch.rows)["event_id"] == told["ids"]


def test_the_good_of_a_batch_are_taken_and_the_bad_are_told(client):
    """The answer lists both; the field, the rule and the value stand in it."""
    told = client.post("/v1/events", json=[VIEW, {**VIEW, "event_id": "bad", "unit_price": "cheap"}, 7]).json()
    assert (told["accepted"], told["rejected"]) == (1, 2)
    first, second = told["rejects"]
    assert (first["index"], first["event_id"], first["field"], first["value"]) == (1, "bad", "unit_price", "cheap")
    assert (second["index"], second["rule"]) == (2, "must be a JSON object")


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("/v1/order_lines", {"order_id": "o1", "quantity": 2, "unit_price": 3.5, "ordered_at": NOW}),
        ("/v1/inventory_movements", {"product_id": "P1", "quantity": -2, "moved_at": NOW}),
    ],
)
def test_tills_and_stores(client, path, good):
    """Order lines and movements come the same way; what is required must be there."""
    told = client.post(path, json=[good, {**good, "quantity": None}])
    assert told.status_code == 202
    assert [each["field"] for each in told.json()["rejects"]] == ["quantity"]


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
def test_trackers_of_segment_get_what_they_look_for(client, path):
    """200 and success; a batch, or one message; gzip is read."""
    message = {"type": "track", "event": "Product Viewed", "userId": "u", "properties": {"product_id": "P1"}}
    body = {"batch": [message] * 2, "sentAt": NOW} if path == "/v1/batch" else message
    for content, headers in (
        (json.dumps(body).encode(), {}),
        (gzip.compress(json.dumps(body).encode()), {"Content-Encoding": "gzip"}),
    ):
        answer = client.post(path, content=content, headers=headers)
        assert (answer.status_code, answer.json()["success"]) == (200, True)


BAD = {
    "no JSON": (b"{'a': 1}", {}, 400, "malformed"),
    "nothing": (b"", {}, 400, "malformed"),
    "half": (b'[{"event_type":"vi', {}, 400, "malformed"),
    "not UTF-8": (b'["\xff\xfe"]', {}, 400, "malformed"),
    "an empty batch": (b"[]", {}, 400, "malformed"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, {}, 400, "malformed"),
    "not a number": (b'[{"event_type":"view","unit_price":NaN}]', {}, 400, "malformed"),
    "all bad": (b'[1, null, "x"]', {}, 422, "nothing_accepted"),
    "too many": (b"[" + b"1," * 10_000 + b"1]", {}, 413, "too_large"),
    "too large": (b" " * 2_000_001, {}, 413, "too_large"),
    "no gzip": (b"{}", {"Content-Encoding": "gzip"}, 400, "malformed"),
    "half a gzip": (gzip.compress(b"[]" * 999)[:-9], {"Content-Encoding": "gzip"}, 400, "malformed"),
    "a gzip bomb": (gzip.compress(b" " * 50_000_000), {"Content-Encoding": "gzip"}, 413, "too_large"),
    "another encoding": (b"{}", {"Content-Encoding": "br"}, 415, "unsupported_encoding"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_have_one_shape(client, name):
    """Each gets its status and code, and a sentence; the next good request is taken."""
    body, headers, status, code = BAD[name]
    answer = client.post("/v1/events", content=body, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["status"], error["code"]) == (status, status, code)
    assert error["message"].endswith(".")
    assert isinstance(error["details"], list)
    assert client.post("/v1/events", json=VIEW).status_code == 202


def test_a_body_without_an_end_is_cut_off(client):
    """100 MB in chunks, of unannounced length: refused once it is too large, without being held."""
    answer = client.post("/v1/events", content=(b" " * 100_000 for _ in range(1000)))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "text",
    [
        "'; drop table batches; --",
        "{{ 7 * 7 }}",
        "../../etc/passwd",
        "\u202e",
        "é\u0301",
        "\U0001d518",
        "=1+1",
        "\t\r\n x",
        "<script>",
    ],
)
def test_strange_text_is_text(client, shop, text):
    """SQL, templates, paths and every kind of Unicode are kept as they came."""
    told = client.post("/v1/events", json={**VIEW, "event_id": text, "customer_id": text, "product_id": text}).json()
    (batch,) = shop.log.batches(told["log_number"] - 1)
    assert json.loads(batch.rows)["customer_id"] == [text]


def test_a_lost_disk_is_503_with_the_reason_and_passes(client, shop):
    """While the log cannot be written: 503, Retry-After, the reason; then 202 again, without a restart."""
    client.post("/v1/events", json=VIEW)
    before = shop.log.last()
    pages = shop.log._connection.execute("pragma page_count").fetchone()[0]
    shop.log._connection.execute(f"pragma max_page_count = {pages}")
    answer = client.post("/v1/events", json=[{**VIEW, "session_id": "s" * 400}] * 2000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "log_unavailable")
    assert "full" in answer.json()["error"]["message"]
    assert answer.headers["Retry-After"] == "1"
    assert shop.log.last() == before
    assert client.post("/v1/events", json=[{**VIEW, "session_id": "s" * 400}] * 2000).status_code == 202


def test_too_much_at_once_is_503_busy(client, shop):
    """While the log is full of what waits: 503 busy with Retry-After."""
    most, shop.log.waiting_requests = shop.log.waiting_requests, 0
    answer = client.post("/v1/events", json=VIEW)
    shop.log.waiting_requests = most
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    assert answer.headers["Retry-After"] == "1"


def test_bodies_in_hand_are_bounded(client, shop):
    """While too many bytes of requests are in hand: 503 busy; what was in hand is given back."""
    most, shop.collector.most_held_bytes = shop.collector.most_held_bytes, 10
    answer = client.post("/v1/events", json=VIEW)
    shop.collector.most_held_bytes = most
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    for _ in range(3):
        assert client.post("/v1/events", content=b" " * 1_500_000).status_code == 400
    shop.collector.most_held_bytes = 1_600_000
    assert client.post("/v1/events", content=b" " * 1_500_000).status_code == 400
    shop.collector.most_held_bytes = most


def test_every_route_has_a_scope(shop):
    """Whoever checks keys reads which scope a route needs."""
    assert {scope for each in collector.endpoints(shop.collector) for scope in each.scopes} == {"events"}
    assert {scope for each in live.endpoints(shop.live) for scope in each.scopes} == {"aggregates"}


def test_live_numbers_are_seen_within_seconds(client):
    """An event is in the live numbers at most five seconds after its 202, and in the stream."""
    told = {**VIEW, "event_type": "only_live", "occurred_at": datetime.now(UTC).isoformat()}
    client.post("/v1/events", json=told)
    acknowledged = time.monotonic()
    while "only_live" not in client.get("/v1/live").json()["events"]:
        assert time.monotonic() - acknowledged < 5
        time.sleep(0.05)
    with client.stream("GET", "/v1/live/stream?minutes=5&top=0") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        first = next(line for line in lines if line.startswith("data: "))
        assert json.loads(first.removeprefix("data: "))["events"]["only_live"] == 1
        client.post("/v1/events", json=told)
        second = next(line for line in lines if line.startswith("data: "))
        while json.loads(second.removeprefix("data: "))["events"]["only_live"] != 2:
            assert time.monotonic() - acknowledged < 15
            second = next(line for line in lines if line.startswith("data: "))


@pytest.mark.parametrize("query", ["minutes=0", "minutes=999", "minutes=x", "top=-1", "top=100000", "minutes=٣"])
def test_live_refuses_what_it_does_not_keep(client, query):
    """422 in the one shape of errors, for numbers and stream alike."""
    for path in ("/v1/live", "/v1/live/stream"):
        answer = client.get(f"{path}?{query}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_parameter")


def test_live_stock_follows_movements(client):
    """What moved is there within seconds, by product and store."""
    moved = {"product_id": "tea", "store_id": "S1", "quantity": 12, "moved_at": NOW, "movement_id": "m1"}
    client.post("/v1/inventory_movements", json=[moved, {**moved, "quantity": -5, "movement_id": "m2"}])
    client.post("/v1/inventory_movements", json=moved)
    found = []
    for _ in range(100):
        found = client.get("/v1/live/stock?product_id=tea&store_id=S1").json()["stock"]
        if found:
            break
        time.sleep(0.05)
    assert [(each["product_id"], each["store_id"], each["on_hand"]) for each in found] == [("TEA", "S1", 7.0)]
    assert client.get("/v1/live/stock?limit=0").json()["error"]["code"] == "invalid_parameter"
