"""Who may ask what: every endpoint by every scope, keys that come and go, masks, and callers from elsewhere."""

import itertools
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from shopkeeper import vocabulary as v
from shopkeeper.access import Keys, digest_of
from shopkeeper.apps.api.callers import LOCAL, Callers, is_loopback
from shopkeeper.apps.api.errors import RefusalError
from shopkeeper.errors import UsageError

A, C, P, E, D = v.SCOPES
MATRIX = {
    # endpoint → the scopes that open it; None: all may.
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/metrics"): {A, C, P, E, D},
    ("GET", "/v1/openapi.json"): None,
    ("GET", "/v1/docs"): None,
    ("GET", "/v1/version"): {A, C, P, E, D},
    ("GET", "/v1/admin/versions"): {D},
    ("POST", "/v1/admin/rollback"): {D},
    ("GET", "/v1/admin/keys"): {D},
    ("GET", "/v1/customers"): {A, C},
    ("GET", "/v1/customers/{customer_id}"): {C},
    ("GET", "/v1/recommendations/customers/{customer_id}"): {C},
    ("GET", "/v1/products/{product_id}"): {A},
    ("GET", "/v1/recommendations/products/{product_id}"): {A},
    ("GET", "/v1/recommendations"): {A},
    ("POST", "/v1/recommendations/basket"): {A},
    ("GET", "/v1/forecasts"): {A},
    ("GET", "/v1/rules"): {A},
    ("GET", "/v1/segments"): {A},
    ("GET", "/v1/metrics"): {A},
    ("GET", "/v1/metrics/{mart}"): {A},
    ("POST", "/v1/predict/segment"): {P},
    ("POST", "/v1/predict/churn"): {P},
    ("POST", "/v1/predict/lifetime"): {P},
    ("POST", "/v1/predict/label"): {P},
    ("GET", "/v1/models"): {A, P},
    **{("POST", f"/v1/{name}"): {E} for name in ("events", "order_lines", "inventory_movements")},
    **{("POST", f"/v1/{name}"): {E} for name in ("track", "batch", "page", "screen", "identify")},
    ("GET", "/v1/live"): {A},
    ("GET", "/v1/live/stock"): {A},
    ("GET", "/v1/live/stream"): {A},
}
IDS = {"customer_id": "c1", "product_id": "A1", "mart": "daily_sales"}


@pytest.fixture(name="guarded", scope="module")
def _guarded(make_project, publish, serving):
    """A server with a key for each scope, one revoked, one that expires at once; and the keys by name."""
    parts = make_project()
    publish(parts, 1)
    keys = {scope: parts.keys.add(scope, [scope]) for scope in v.SCOPES}
    keys["revoked"] = parts.keys.add("revoked", v.SCOPES)
    parts.keys.revoke("revoked")
    with serving(parts) as client:
        yield client, keys, parts


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def test_every_endpoint_is_in_the_matrix(guarded):
    """A new endpoint needs a row, and is closed to all until its scopes are declared."""
    client, _, _ = guarded
    endpoints = client.application.endpoints
    assert {(each.method, each.path): set(each.scopes) or None for each in endpoints} == MATRIX
    assert len({(each.method, each.path) for each in endpoints}) == len(endpoints)


@pytest.mark.parametrize(
    ("endpoint", "scope"), list(itertools.product(MATRIX, [*v.SCOPES, "revoked", "none", "wrong"]))
)
def test_every_endpoint_by_every_scope(guarded, error_of, endpoint, scope):
    """Opened by the scopes of the matrix; 403 for others, 401 without a key, or with one that opens nothing."""
    client, keys, _ = guarded
    method, path = endpoint
    headers = {"none": {}, "wrong": bearer("shk_nonsense")}.get(scope) or (bearer(keys[scope]) if scope in keys else {})
    body = b"{" if method == "POST" else None
    with client.stream(method, path.format(**IDS), headers=headers, content=body) as answer:
        if answer.status_code >= 400:  # a stream of events does not end
            answer.read()
    allowed = MATRIX[endpoint]
    if allowed is None or scope in allowed:
        # A body that is no JSON is looked at only by those who may.
        assert answer.status_code == (400 if method == "POST" else 200)
    elif scope in v.SCOPES:
        assert answer.status_code == 403
        assert error_of(answer)["code"] == "scope_needed"
    else:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_keys_count_without_a_restart(guarded):
    """A key that was made opens, one that was revoked does not, within a second."""
    client, _, parts = guarded
    made = Keys(parts.settings.home).add("late", [A])
    client.application.callers.refresh()
    assert client.get("/v1/segments", headers=bearer(made)).status_code == 200
    assert client.get("/v1/segments", auth=(made, "")).status_code == 200
    Keys(parts.settings.home).revoke("late")
    client.application.callers.refresh()
    assert client.get("/v1/segments", headers=bearer(made)).status_code == 401


def test_aggregates_show_customers_masked(guarded):
    """Without the scope customers: ids that stand for ids, the country, no city, no filter by id, an ETag of its own."""
    client, keys, _ = guarded
    whole, masked = (client.get("/v1/customers", headers=bearer(keys[scope])) for scope in (C, A))
    assert whole.headers["etag"] != masked.headers["etag"]
    known = {row["customer_id"] for row in whole.json()["data"]}
    rows = masked.json()["data"]
    assert len(rows) == len(known)
    assert all(row["customer_id"].startswith("m_") and "city" not in row and row["country"] for row in rows)
    assert len({row["customer_id"] for row in rows}) == len(known)
    assert not any(each in masked.text for each in known if len(each) > 3)
    assert rows == client.get("/v1/customers", headers=bearer(keys[A])).json()["data"]
    assert client.get("/v1/customers?customer_id=c1", headers=bearer(keys[A])).json()["data"] == []
    assert client.get("/v1/customers?city=x", headers=bearer(keys[A])).status_code == 422
    cursor = client.get("/v1/customers?limit=2", headers=bearer(keys[A])).json()["next_cursor"]
    again = client.get(f"/v1/customers?limit=2&cursor={cursor}", headers=bearer(keys[A])).json()["data"]
    assert [row["customer_id"] for row in again] == [row["customer_id"] for row in rows[2:4]]
    assert client.get(f"/v1/customers?cursor={cursor}", headers=bearer(keys[C])).status_code == 422


def test_an_administrator_goes_back(make_project, publish, serving):
    """Rollback over HTTP is the command's rollback, and is taken up at once; the list of keys shows none."""
    parts = make_project()
    for version in (1, 2):
        publish(parts, version)
    key = parts.keys.add("boss", [D, A])
    with serving(parts) as client:
        client.headers.update(bearer(key))
        assert client.get("/v1/version").json()["number"] == 2
        assert client.post("/v1/admin/rollback", json={"number": 9}).status_code == 409
        assert client.post("/v1/admin/rollback", json={"numbr": 1}).status_code == 422
        assert client.post("/v1/admin/rollback", json={}).json()["number"] == 1
        assert client.get("/v1/version").json()["number"] == 1
        assert parts.published.current() == 1
        assert [each["number"] for each in client.get("/v1/admin/versions").json()["data"]] == [2, 1]
        text = client.get("/v1/admin/keys").text
        assert "boss" in text
        assert key not in text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:8080"}, 200),
        ({"Host": "shop.example:8080"}, 403),
        ({"Host": "127.0.0.1.shop.example"}, 403),
        ({"Origin": "https://shop.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"X-Forwarded-For": "1.2.3.4"}, 403),
        ({"Forwarded": "for=1.2.3.4"}, 403),
    ],
)
def test_without_keys_only_this_machine_asks(served, headers, status):
    """No name that was made to lead here, no page of another site, no proxy; and nobody administers."""
    assert served.get("/v1/segments", headers=headers).status_code == status
    assert served.get("/v1/admin/keys").status_code == 403
    assert "access-control-allow-origin" not in served.get("/v1/segments").headers


def test_without_keys_another_machine_is_refused(tmp_path):
    """Whatever the server listens at, an address that is not this machine's gets nothing without a key."""
    callers = Callers(Keys(tmp_path))
    headers = [(b"host", b"localhost")]
    assert callers.of({"client": ("127.0.0.1", 1), "headers": headers}) is LOCAL
    for client in (("10.0.0.7", 1), None):
        with pytest.raises(RefusalError) as refused:
            callers.of({"client": client, "headers": headers})
        assert refused.value.status == 403
    assert [is_loopback(each) for each in ("::1", "127.9.9.9", "0.0.0.1", "", "localhost.evil")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_serving_others_wants_keys(make_project):
    """Beyond this machine, nothing is served before a key was made; the sentence says how to make one."""
    parts = make_project()
    command = [
        sys.executable,
        "-c",
        "from shopkeeper.apps.cli import main; main()",
        "serve",
        "--host",
        "::",
        "--port",
        "0",
    ]
    done = subprocess.run(
        [*command, "--project", str(parts.settings.project)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "shopkeeper keys add" in done.stderr


def test_keys_are_kept_as_hashes(tmp_path):
    """The file holds no key, only its owner may read it, and a name stands for one key for ever."""
    keys = Keys(tmp_path)
    assert keys.all() == []
    assert not keys.path.exists()
    made = keys.add("shop", [A, P], expires_at=datetime.now(UTC) + timedelta(days=1))
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert made.encode() not in keys.path.read_bytes()
    assert digest_of(made) in keys.path.read_bytes()
    assert len(made) >= 43
    assert keys.is_open
    keys.refresh()
    assert not keys.is_open
    assert keys.find(made).scopes == {A, P}
    assert keys.find(made, datetime.now(UTC) + timedelta(days=2)) is None
    assert keys.find(made[:-1]) is None
    for name, scopes in (("shop", [A]), ("a b", [A]), ("x", []), ("x", ["everything"])):
        with pytest.raises(UsageError):
            keys.add(name, scopes)
    with pytest.raises(UsageError, match="future"):
        keys.add("late", [A], expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="shop"):
        keys.revoke("ship")
    first = keys.revoke("shop").revoked_at
    assert keys.revoke("shop").revoked_at == first
    keys.refresh()
    assert keys.find(made) is None
    # All revoked is not the same as none made.
    assert not keys.is_open
    keys.path.unlink()
    keys.refresh()
    assert not keys.is_open
    assert keys.masking_secret() == keys.masking_secret()
