"""Sources elsewhere, against real servers on this machine."""

import base64
import io
import json
import shutil
import socket
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from shopkeeper.errors import ContractError, OutsideError, SettingsError, TransientError
from shopkeeper.sources import open_source
from shopkeeper.sources.source import Known
from shopkeeper.sources.transfer import Retries, redact

pytestmark = pytest.mark.service
CSV = b"order,sku,qty,price,at\no1,s1,1,1.5,2020-01-01\no2,s2,2,2.5,2020-01-02\n"


@dataclass
class Server:
    """A web server that answers as told: path → (status, headers, body) or a function of the request."""

    url: str = ""
    answers: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            server.asked.append((self.command, self.path, dict(self.headers)))
            answer = server.answers.get(parts.path, (404, {}, b""))
            if callable(answer):
                answer = answer({key: values[0] for key, values in parse_qs(parts.query).items()}, self.headers)
            status, headers, body = answer
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    server.url = f"http://127.0.0.1:{running.server_port}"
    try:
        yield server
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def pauses() -> list[float]:
    """Let no test wait, and tell for how long it would have."""
    return []


@pytest.fixture
def source(tmp_path, lines, pauses):
    """Open a source of order lines, and see that it leaves nothing behind."""
    made = []

    def make(kind: str, secrets: dict | None = None, **options: object):
        found = open_source(
            "shop",
            kind,
            options,
            {"lines": lines()},
            timezone="UTC",
            scratch=tmp_path / "scratch",
            secrets=secrets or {},
            retries=Retries(sleep=pauses.append, chance=lambda: 1.0),
        )
        made.append(found)
        return found

    yield make
    for one in made:
        if hasattr(one, "close"):
            one.close()
    assert not list((tmp_path / "scratch").glob("*"))


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.csv", content)
    return buffer.getvalue()


def test_a_url_is_read_as_a_file_and_known_by_its_etag(source, server, every):
    """The name has no host and no query; an unchanged ETag is an unchanged fingerprint, without a
    download.
    """
    server.answers["/a/lines.csv"] = (200, {"ETag": '"1"'}, CSV)
    web = source("files", path=f"{server.url}/a/lines.csv?token=secret")
    assert [row["order_id"] for row in every(web)["lines.csv"].rows] == ["o1", "o2"]
    server.asked.clear()
    (first,), (second,) = list(web.items(Known())), list(web.items(Known()))
    assert first.fingerprint == second.fingerprint
    assert {method for method, *_ in server.asked} == {"HEAD"}
    server.answers["/a/lines.csv"] = (200, {"ETag": '"2"'}, CSV)
    assert next(web.items(Known())).fingerprint != first.fingerprint


def test_transient_failures_are_tried_again(source, server, every, pauses):
    """503, 429 with Retry-After, and a body that ends early: then it works."""
    troubles = [(503, {}, b""), (429, {"Retry-After": "7"}, b""), (200, {"Content-Length": "999"}, CSV)]

    def answer(query, headers):
        return troubles.pop(0) if troubles else (200, {}, CSV)

    server.answers["/lines.csv"] = answer
    assert every(source("files", path=f"{server.url}/lines.csv"))["lines.csv"].rows_read == 2
    assert pauses[:2] == [1.0, 7.0]


def test_a_server_that_stays_down_is_told_without_secrets(source, server, every):
    """No user, password or query in the message; five attempts."""
    server.answers["/lines.csv"] = (500, {}, b"")
    address = server.url.replace("http://", "http://me:hunter2@")
    with pytest.raises(TransientError) as caught:
        every(source("files", path=f"{address}/lines.csv?key=hunter2"))
    assert "hunter2" not in str(caught.value)
    assert f"{server.url}/lines.csv" in str(caught.value)
    assert len(server.asked) == 5


@pytest.mark.parametrize(("status", "advice"), [(401, "secrets.toml"), (403, "may read"), (404, "Check the address")])
def test_refusals_are_not_tried_again(source, server, every, status, advice):
    """What trying again cannot help is told at once, with what to do."""
    server.answers["/lines.csv"] = (status, {}, b"")
    with pytest.raises(OutsideError, match=advice):
        every(source("files", path=f"{server.url}/lines.csv"))
    assert [method for method, *_ in server.asked] == ["HEAD", "GET"]


def test_redact_leaves_scheme_host_and_path():
    """Where credentials hide, nothing is left."""
    assert redact("https://me:pw@host.example:8443/a/b.csv?sig=1#x") == "https://host.example:8443/a/b.csv"


def test_a_zip_behind_basic_auth(source, server, every):
    """A dataset API: fetched once, its members read as files."""
    wanted = "Basic " + base64.b64encode(b"me:key").decode()

    def answer(query, headers):
        return (200, {}, zipped(lines=CSV)) if headers.get("Authorization") == wanted else (401, {}, b"")

    server.answers["/datasets/shop"] = answer
    api = source("dataset_api", {"user": "me", "password": "key"}, url=f"{server.url}/datasets/shop")
    assert every(api)["shop.zip/lines.csv"].rows_read == 2
    assert len(server.asked) == 1
    with pytest.raises(OutsideError, match=r"secrets\.toml"):
        every(source("dataset_api", {"user": "me", "password": "no"}, url=f"{server.url}/datasets/shop"))
    server.answers["/page"] = (200, {}, b"<html>")
    with pytest.raises(OutsideError, match="must answer with a zip"):
        every(source("dataset_api", url=f"{server.url}/page"))


RECORDS = [
    {"order": f"o{number}", "sku": "s", "qty": 1, "price": 0.1 * number, "at": f"2020-01-{number:02}"}
    for number in range(1, 8)
]


def as_json(answer: object, **headers: str) -> tuple:
    return (200, headers, json.dumps(answer).encode())


def by_page(query, headers):
    start = (int(query["page"]) - 1) * 3
    return as_json({"data": {"items": RECORDS[start : start + 3]}})


def by_offset(query, headers):
    start = int(query["offset"])
    return as_json({"data": {"items": RECORDS[start : start + int(query["limit"])]}})


def by_cursor(query, headers):
    start = int(query.get("after", 0))
    return as_json({"data": {"items": RECORDS[start : start + 3]}, "meta": {"next": start + 3 if start < 6 else None}})


def by_next(query, headers):
    start = int(query.get("from", 0))
    following = f"/orders?from={start + 3}" if start < 6 else None
    return as_json({"data": {"items": RECORDS[start : start + 3]}, "next": following})


def by_link(query, headers):
    start = int(query.get("from", 0))
    link = {"Link": f'</orders?from={start + 3}>; rel="next"'} if start < 6 else {}
    return as_json({"data": {"items": RECORDS[start : start + 3]}}, **link)


@pytest.mark.parametrize(
    ("answer", "pages"),
    [
        (by_page, {"style": "page"}),
        (by_offset, {"style": "offset", "parameter": "offset", "size_parameter": "limit", "size": 3}),
        (by_cursor, {"style": "cursor", "parameter": "after", "path": "meta.next"}),
        (by_next, {"style": "next"}),
        (by_link, {"style": "link"}),
    ],
)
def test_each_style_of_pages_gives_every_record(source, server, every, answer, pages):
    """Each record once, in order, also when every third answer fails."""
    count = iter(range(1000))

    def failing(query, headers):
        return (502, {}, b"") if next(count) % 3 == 1 else answer(query, headers)

    server.answers["/orders"] = failing
    rest = source("rest", {"token": "t0p"}, url=f"{server.url}/orders", records="data.items", pages=pages)
    (found,) = every(rest).values()
    assert [row["order_id"] for row in found.rows] == [record["order"] for record in RECORDS]
    assert found.rows_read == 7
    assert all(headers["Authorization"] == "Bearer t0p" for *_, headers in server.asked)


def test_a_rest_cursor_asks_from_the_last_one_on(source, server, every):
    """The new cursor is the largest; with nothing new there are no rows and the cursor stays."""

    def answer(query, headers):
        return as_json([record for record in RECORDS if record["at"] > query.get("since", "")])

    server.answers["/orders"] = answer
    options = {
        "url": f"{server.url}/orders",
        "cursor": "at",
        "cursor_parameter": "since",
        "token_header": "X-Key",
    }
    rest = source("rest", {"token": "k"}, **options)
    (found,) = every(rest).values()
    assert (found.rows_read, found.cursor) == (7, "2020-01-07")
    (found,) = every(rest, Known(cursors={"lines": "2020-01-05"})).values()
    assert [row["order_id"] for row in found.rows] == ["o6", "o7"]
    (found,) = every(rest, Known(cursors={"lines": "2020-01-07"})).values()
    assert (found.rows_read, found.cursor) == (0, "2020-01-07")
    assert all(headers["X-Key"] == "k" for *_, headers in server.asked)


def test_rest_answers_that_cannot_be_right(source, server, every):
    """No JSON, no list, the same page for ever, and a next page elsewhere are told."""
    cases = {
        "/html": ((200, {}, b"<html>"), {}, "the answer must be JSON"),
        "/none": (as_json({"orders": []}), {"records": "data"}, "records must be a list at 'data'"),
        "/same": (as_json(RECORDS), {"pages": {"style": "page"}}, "the same page twice"),
        "/away": (
            as_json({"items": RECORDS, "next": "http://elsewhere.example/?key=1"}),
            {"records": "items", "pages": {"style": "next"}},
            "on the same host; got 'http://elsewhere.example/'",
        ),
    }
    for path, (answer, options, message) in cases.items():
        server.answers[path] = answer
        with pytest.raises(OutsideError, match=message):
            every(source("rest", url=f"{server.url}{path}", **options))


def test_a_token_does_not_follow_a_redirect_to_another_host(source, server, every):
    """Not even in a header of its own."""
    with serving() as other:
        other.answers["/orders"] = as_json(RECORDS)
        server.answers["/orders"] = (
            302,
            {"Location": other.url.replace("127.0.0.1", "localhost") + "/orders"},
            b"",
        )
        rest = source("rest", {"token": "t0p"}, url=f"{server.url}/orders", token_header="X-Key")
        assert next(iter(every(rest).values())).rows_read == 7
        assert "t0p" not in str(other.asked)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("ftp", {}, "kind must be one of"),
        ("files", {"path": "x", "color": "red"}, "options of files must be among"),
        ("files", {}, "must have path"),
        ("rest", {"url": 5}, "url must be a text"),
        ("rest", {"url": "http://x", "table": "no"}, "a table must be one of lines"),
        ("rest", {"url": "http://x", "pages": {"style": "spiral"}}, "style must be one of"),
        ("rest", {"url": "http://x", "pages": {"colour": "red"}}, "pages must have"),
        ("postgres", {"tables": {"lines": "t"}}, "the secret dsn"),
    ],
)
def test_wrong_options_are_settings_errors(source, tmp_path, kind, options, message):
    """Each names what may stand there."""
    with pytest.raises(SettingsError, match=message):
        source(kind, **options)


@pytest.fixture(scope="module")
def bucket():
    """Run moto's S3 server with a bucket."""
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="id",
        aws_secret_access_key="key",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="shop")
    yield client, f"http://{host}:{port}"
    running.stop()


def test_objects_of_a_bucket(source, every, bucket):
    """One, those below a prefix, and those a pattern matches; a changed object has another fingerprint."""
    client, endpoint = bucket
    for key, body in {
        "in/a.csv": CSV,
        "in/b/c.zip": zipped(lines=CSV),
        "in/b/d.bin": b"x",
        "out/e.csv": CSV,
    }.items():
        client.put_object(Bucket="shop", Key=key, Body=body)
    secrets = {"access_key": "id", "secret_key": "key"}
    settings = {"endpoint": endpoint, "region": "us-east-1"}

    def at(path: str):
        return source("files", secrets, path=f"s3://shop/{path}", **settings)

    below = at("in")
    assert {name: found.rows_read for name, found in every(below).items()} == {
        "a.csv": 2,
        "b/c.zip/lines.csv": 2,
    }
    assert [word.partition(":")[0] for word in below.skipped] == ["b/d.bin"]
    assert list(every(at("out/e.csv"))) == ["e.csv"]
    assert list(every(at("*/?.csv"))) == ["in/a.csv", "out/e.csv"]
    before = next(at("out/e.csv").items(Known())).fingerprint
    assert next(at("out/e.csv").items(Known())).fingerprint == before
    client.put_object(Bucket="shop", Key="out/e.csv", Body=CSV + b"o3,s,1,1,2020-01-01\n")
    assert next(at("out/e.csv").items(Known())).fingerprint != before
    with pytest.raises(OutsideError, match="at least one object"):
        every(at("nowhere"))


@pytest.fixture(scope="module")
def postgres():
    """Run a Postgres server; give a way to execute SQL, and its dsn."""
    pgserver = pytest.importorskip("pgserver")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    running = pgserver.get_server(folder, cleanup_mode="stop")
    yield running
    running.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_postgres_table_with_a_cursor(source, every, postgres):
    """Rows at or after the cursor are read again, so that a late row with an equal cursor is not lost."""
    postgres.psql(
        'create table "Order lines" ("order" text, sku text, qty int, price numeric(12, 4), at timestamptz);'
        "insert into \"Order lines\" values ('o1', 'a''b', 1, 1.2345, '2020-01-01 00:00+00'),"
        "('o2', null, 2, 99999999.9999, '2020-01-02 00:00+00'), (null, 's', 3, 1, '2020-01-02 00:00+00');"
    )
    database = source(
        "postgres",
        {"dsn": postgres.get_uri()},
        tables={"lines": "public.Order lines"},
        cursors={"lines": "at"},
    )
    (item,) = database.items(Known())
    assert item.name == "shop/public.Order lines"
    (found,) = every(database).values()
    assert [str(row["unit_price"]) for row in found.rows] == ["1.2345", "99999999.9999"]
    assert (found.rows_read, [reject["rule"] for reject in found.rejects]) == (
        3,
        ["order_id must not be empty"],
    )
    known = Known(cursors={"lines": found.cursor})
    (same,), (again,) = list(database.items(known)), list(database.items(known))
    assert same.fingerprint == again.fingerprint
    postgres.psql("insert into \"Order lines\" values ('o3', 's', 1, 1, '2020-01-02 00:00+00');")
    (late,) = database.items(known)
    assert late.fingerprint != same.fingerprint
    (found,) = every(database, known).values()
    assert [row["order_id"] for row in found.rows] == ["o2", "o3"]


def test_a_postgres_query_is_read_in_one_snapshot(source, postgres):
    """Rows that come between counting and reading are neither counted nor read."""
    postgres.psql(
        "create table sales (id int, price float8, at timestamp);"
        "insert into sales select n, 1.5, '2020-01-01' from generate_series(1, 5000) n;"
    )
    query = 'select id::text as "order", null as sku, 1 as qty, price, at from sales;'
    database = source("postgres", {"dsn": postgres.get_uri()}, queries={"lines": query})
    (item,) = database.items(Known())
    with database.read(item) as reading:
        postgres.psql("insert into sales select n, 1.5, '2020-01-01' from generate_series(1, 100) n;")
        assert sum(batch.rows.num_rows for batch in reading.batches) == reading.rows_read == 5000


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid"])
def test_a_postgres_server_that_is_not_there_is_told_without_the_password(source, every, pauses, host):
    """The dsn does not appear."""
    with pytest.raises(TransientError) as caught:
        every(source("postgres", {"dsn": f"postgresql://me:hunter2@{host}/shop"}, tables={"lines": "t"}))
    assert "hunter2" not in str(caught.value)


def test_a_postgres_table_that_does_not_fit_is_told(source, every, postgres):
    """No such table, no such cursor, no such column."""
    postgres.psql("create table empty_one (x int);")
    dsn = {"dsn": postgres.get_uri()}
    with pytest.raises(OutsideError, match=r"must be readable; got .*does not exist"):
        every(source("postgres", dsn, tables={"lines": "nowhere"}))
    with pytest.raises(OutsideError, match="does not exist"):
        every(source("postgres", dsn, tables={"lines": "empty_one"}, cursors={"lines": "at"}))
    with pytest.raises(ContractError, match="must have the column 'order'"):
        every(source("postgres", dsn, tables={"lines": "empty_one"}))


@pytest.fixture
def google_bucket():
    """Run a server of Google's storage API with a bucket, and give what uploads to it."""
    from gcp_storage_emulator.server import create_server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = create_server("127.0.0.1", port, in_memory=True, default_bucket="shop")
    running.start()

    def upload(name: str, body: bytes) -> None:
        address = f"http://127.0.0.1:{port}/upload/storage/v1/b/shop/o"
        told = {"Content-Type": "application/octet-stream"}
        query = {"uploadType": "media", "name": name}
        answer = requests.post(address, params=query, data=body, headers=told, timeout=10)
        answer.raise_for_status()

    yield upload, f"http://127.0.0.1:{port}"
    running.stop()


def test_objects_of_a_google_bucket(source, every, google_bucket):
    """Those below a prefix, packed or not; a changed object has another fingerprint, an unchanged one has not."""
    upload, endpoint = google_bucket
    for name, body in {"in/a.csv": CSV, "in/b.zip": zipped(lines=CSV), "out.csv": CSV}.items():
        upload(name, body)
    below = source("files", {}, path="gs://shop/in", endpoint=endpoint, anonymous=True)
    assert {name: found.rows_read for name, found in every(below).items()} == {"a.csv": 2, "b.zip/lines.csv": 2}
    before = {item.name: item.fingerprint for item in below.items(Known())}
    upload("in/a.csv", CSV + CSV.splitlines(keepends=True)[1])
    after = {item.name: item.fingerprint for item in below.items(Known())}
    assert [name for name in before if before[name] != after[name]] == ["a.csv"]
