"""Limits: of bodies, values, depth, time and rate; what breaks off; and memory that stays."""

import json
import socket
import time

import pytest

from shopkeeper.apps.api.bodies import BodyLimits, parsed
from shopkeeper.apps.api.callers import MOST_BUCKETS, Buckets
from shopkeeper.apps.api.endpoint import Endpoint, Reply
from shopkeeper.apps.api.errors import RefusalError, problem

BASKET = "/v1/recommendations/basket"
LIMITS = BodyLimits(1000, 5, 10)


@pytest.fixture(name="strict", scope="module")
def _strict(make_project, publish, serving):
    """A server with small limits."""
    parts = make_project("[api]\nbody_limit_mb = 0.001\ntimeout_seconds = 0.5\ndepth = 5\nelements = 100\nrate = 0\n")
    publish(parts, 1)

    async def slow(ask):
        def work():
            with ask.published.cursor() as connection:
                connection.execute("select sum(a.range * b.range) from range(1000000) a, range(1000000) b").fetchall()

        await application.bench.do(work)
        return Reply(b"{}")

    async def broken(ask):
        raise RuntimeError("a secret that must not be told")

    more = [Endpoint("GET", f"/v1/{handle.__name__}", "for tests", handle) for handle in (slow, broken)]
    with serving(parts, more=more) as client:
        application = client.application
        yield client


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"products": ["A1"', {}, 400),
        (b"", {}, 400),
        (b"\xff\xfe", {}, 400),
        (b'{"products": ["\\ud800"]}', {}, 400),
        (b'{"products": NaN}', {}, 400),
        (b"[" * 400 + b"]" * 400, {}, 400),
        (b'{"products": [[[[[[]]]]]]}', {}, 400),
        (b"[" + b"1," * 200 + b"1]", {}, 400),
        (b" " * 2000, {}, 413),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Encoding": "gzip"}, 415),
        (b"[]", {}, 422),
        (b"null", {}, 422),
        (b"{}", {}, 422),
        (b'{"products": "A1"}', {}, 422),
        (b'{"products": [1]}', {}, 422),
        (b'{"products": [], "n": true}', {}, 422),
        (b'{"products": [], "n": 1e3}', {}, 422),
        (b'{"products": [], "margin_floor": "a"}', {}, 422),
        (b'{"products": [], "product": []}', {}, 422),
    ],
)
def test_bad_bodies_are_told(strict, error_of, body, headers, status):
    """Malformed, too large, too deep, of another type or with other fields: one shape of error, and nothing breaks."""
    answer = strict.post(BASKET, content=body, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code == status
    error_of(answer)
    assert strict.get("/healthz").status_code == 200


def test_a_body_is_refused_while_it_comes(strict):
    """100 MB are not read: the answer comes after the first that are too many, told in advance or not."""

    def endless():
        for _ in range(1600):
            yield b" " * 65536

    started = time.monotonic()
    try:
        answer = strict.post(BASKET, content=endless(), headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
    except OSError:
        pass
    except Exception as error:  # noqa: BLE001 - the connection may be closed while the client still writes
        assert "write" in str(error).lower() or "broken" in str(error).lower() or "reset" in str(error).lower()  # noqa: PT017
    head = f"POST {BASKET} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", strict.port), timeout=5) as raw:
        raw.sendall(head.encode())
        assert b" 413 " in raw.recv(65536)
    assert time.monotonic() - started < 5


def test_who_dawdles_is_told(strict, error_of):
    """A body that never ends, and a query that takes too long: 504; the query is stopped, and others are answered meanwhile."""
    head = (
        f"POST {BASKET} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    )
    with socket.create_connection(("127.0.0.1", strict.port), timeout=5) as raw:
        raw.sendall(head.encode())
        assert b" 504 " in raw.recv(65536)
    for _ in range(3):
        answer = strict.get("/v1/slow")
        assert answer.status_code == 504
        assert error_of(answer)["code"] == "took_too_long"
        assert strict.get("/v1/customers/c1").status_code == 200
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and "requests_at_work 0.0" not in strict.get("/metrics").text:
        time.sleep(0.1)
    assert strict.get("/v1/segments").status_code == 200


def test_the_unforeseen_tells_nothing(strict, error_of, caplog):
    """500 in the one shape; neither the answer nor the log holds the error's own text."""
    answer = strict.get("/v1/broken?customer=private")
    assert answer.status_code == 500
    assert "RuntimeError" in error_of(answer)["message"]
    for text in (answer.text, caplog.text):
        assert "secret" not in text
        assert "private" not in text


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /v1/segments HTTP/1.1\r\n\r\n", b" 403 "),
        (b"GET /v1/segments?%zz=%ff HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 4"),
        (b"OPTIONS /v1/segments HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 405 "),
        (b"GET /v1/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 404 "),
        (b"GET /v1/customers/..%2f..%2fshop.duckdb HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 404 "),
        (b"GARBAGE\r\n\r\n", b" 400 "),
    ],
)
def test_raw_requests(strict, raw, status):
    """What no client library would send gets an answer that is no 500."""
    with socket.create_connection(("127.0.0.1", strict.port), timeout=5) as connection:
        connection.sendall(raw)
        assert status in connection.recv(65536)


def test_too_many_requests_wait(make_project, publish, serving, error_of):
    """Beyond the burst 429 with Retry-After, for each caller by itself; health is told ever."""
    parts = make_project("[api]\nrate = 1\nburst = 5\n")
    publish(parts, 1)
    one, other = (parts.keys.add(name, ["aggregates"]) for name in ("one", "other"))
    with serving(parts) as client:
        headers = {"Authorization": f"Bearer {one}"}
        answers = [client.get("/v1/segments", headers=headers) for _ in range(8)]
        assert [each.status_code for each in answers].count(200) in {5, 6}
        assert error_of(answers[-1])["code"] == "too_many_requests"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
        assert client.get("/v1/segments", headers={"Authorization": f"Bearer {other}"}).status_code == 200
        assert client.get("/healthz").status_code == 200
        # Guessing keys is limited too.
        guesses = [client.get("/v1/segments", headers={"Authorization": f"Bearer x{n}"}).status_code for n in range(8)]
        assert guesses[0] == 401
        assert guesses[-1] == 429


def test_buckets_fill_up_and_stay_few():
    """``burst`` at once, ``rate`` a second from then on; of many callers only the latest are remembered."""
    buckets = Buckets(10, 3)
    assert [buckets.take("a", 0.0) == 0 for _ in range(4)] == [True, True, True, False]
    assert buckets.take("a", 0.0) == pytest.approx(0.1)
    assert buckets.take("b", 0.0) == 0
    assert [buckets.take("a", 0.25) == 0 for _ in range(3)] == [True, True, False]
    assert [buckets.take("a", 1000.0) == 0 for _ in range(4)] == [True, True, True, False]
    for n in range(MOST_BUCKETS + 100):
        buckets.take(str(n), 1000.0)
    assert len(buckets) == MOST_BUCKETS
    assert all(Buckets(0, 1).take("a") == 0 for _ in range(100))


@pytest.mark.parametrize(
    ("value", "is_taken"),
    [
        ([[[[[]]]]], True),
        ([[[[[[]]]]]], False),
        ({"a": {"b": {"c": {"d": {}}}}}, True),
        ([1] * 10, True),
        ([1] * 12, False),
    ],
)
def test_depth_and_number_of_values(value, is_taken):
    """At the limit a body is taken, beyond it is refused."""
    body = json.dumps(value).encode()
    if is_taken:
        assert parsed(body, LIMITS) == value
    else:
        with pytest.raises(RefusalError) as refused:
            parsed(body, LIMITS)
        assert refused.value.status == 400


def test_errors_can_say_anything():
    """Texts that no encoding has are shown by their escapes."""
    answer = problem(422, "bad", "got \ud800.", [{"field": "\udfff", "message": ["x", 1, None]}], {"Retry-After": "1"})
    told = json.loads(answer.body)["error"]
    assert told == {
        "code": "bad",
        "message": "got \\ud800.",
        "status": 422,
        "details": [{"field": "\\udfff", "message": ["x", 1, None]}],
    }
    assert answer.headers["retry-after"] == "1"
