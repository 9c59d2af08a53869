"""Versions that come and go while requests run: none fails, none mixes, what was replaced is let go."""

import os
import threading
import time
from urllib.parse import quote

import httpx
import pytest

from shopkeeper.errors import StorageError
from shopkeeper.serving.editions import Editions

N_VERSIONS = int(os.environ.get("SHOPKEEPER_VERSIONS", "8"))
"""Eight by default; twenty in `.ci/run`."""
PATHS = (
    "/v1/customers/c1",
    "/v1/customers/" + quote("ü 雪"),
    "/v1/recommendations/customers/c2",
    "/v1/products/A1",
    "/v1/customers?limit=3",
    "/v1/segments",
    "/v1/metrics/daily_sales?limit=5",
    "/v1/recommendations/customers/c1?in_stock_only=true",
    "/v1/rules?antecedent.has=A1",
    "/v1/forecasts",
)
SAID = {
    # What tells, in the body itself, the version that an answer is of.
    "/v1/customers/c1": lambda told: {
        int(told["orders"]["n_orders"]),
        int(told["segment"]["segment_name"].split()[1]),
        int(told["segment"]["model_version"].split("/")[1]),
        int(told["churn"]["model_version"].split("/")[1]),
        int(told["recent_orders"][0]["net_sales"]),
    },
    "/v1/recommendations/customers/c2": lambda told: {
        int(each["reason"].split()[-1]) for each in told["recommendations"]
    },
    "/v1/products/A1": lambda told: {int(told["description"].split()[-1])},
    "/v1/customers?limit=3": lambda told: (
        {row["n_orders"] for row in told["data"]} | {int(row["segment_name"].split()[1]) for row in told["data"]}
    ),
    "/v1/segments": lambda told: {int(row["model_version"].split("/")[1]) for row in told["data"]},
    "/v1/metrics/daily_sales?limit=5": lambda told: {int(row["net_sales"]) for row in told["data"]},
    "/v1/rules?antecedent.has=A1": lambda told: {int(row["model_version"].split("/")[1]) for row in told["data"]},
    "/v1/forecasts": lambda told: {int(row["model_version"].split("/")[1]) for row in told["data"]},
}


@pytest.mark.slow
def test_versions_under_load(make_project, publish, serving):
    """While versions are published, of which one is kept, and one is gone back to, no request fails and none mixes."""
    parts = make_project("[api]\nrate = 0\n\n[publishing]\nkeep = 2\n")
    publish(parts, 1)
    seen: list[tuple[str, int, int, str]] = []
    mixed: list[object] = []
    stop = threading.Event()

    def ask(start):
        with httpx.Client(base_url=str(client.base_url), timeout=30) as mine:
            at = start
            while not stop.is_set():
                path = PATHS[at % len(PATHS)]
                at += 1
                answer = mine.get(path)
                version = int(answer.headers["x-shopkeeper-version"])
                seen.append((path, answer.status_code, version, answer.headers.get("etag", "")))
                if answer.status_code == 200 and path in SAID and (said := SAID[path](answer.json())) != {version}:
                    mixed.append((path, version, said))

    with serving(parts) as client:
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for version in range(2, N_VERSIONS + 1):
            assert publish(parts, version) == version
            time.sleep(0.35)
        parts.published.rollback()
        time.sleep(1)
        assert client.get("/v1/version").json()["number"] == N_VERSIONS - 1
        stop.set()
        for thread in threads:
            thread.join()
        assert "shopkeeper_version_failures_total 0.0" in client.get("/metrics").text
        assert len(client.application.editions._held) == 1
    assert len(seen) > 10 * N_VERSIONS
    assert {status for _, status, _, _ in seen} == {200}
    assert mixed == []
    versions = {version for _, _, version, _ in seen}
    assert len(versions) >= N_VERSIONS * 3 // 4
    assert all(tag.startswith(f'"v{version}-') for _, _, version, tag in seen)


def test_a_cursor_ends_with_its_version(make_project, publish, serving, error_of):
    """410 with a sentence once another version is published: pages of two are never joined."""
    parts = make_project()
    publish(parts, 1)
    with serving(parts) as client:
        cursor = client.get("/v1/customers?limit=2").json()["next_cursor"]
        assert client.get(f"/v1/customers?limit=2&cursor={cursor}").status_code == 200
        publish(parts, 2)
        deadline = time.monotonic() + 5
        while client.get("/v1/version").json()["number"] == 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        answer = client.get(f"/v1/customers?limit=2&cursor={cursor}")
        assert answer.status_code == 410
        assert error_of(answer)["code"] == "other_version"


def test_an_edition_lives_as_long_as_it_is_held(make_project, publish):
    """What was replaced answers who holds it, even after its files are gone, and is closed by the last to let go."""
    parts = make_project("[publishing]\nkeep = 1\n")
    editions = Editions(parts.published, {})
    assert not editions.refresh()
    assert editions.hold() is None
    publish(parts, 1)
    assert editions.refresh()
    held, again = editions.hold(), editions.hold()
    publish(parts, 2)
    assert editions.refresh()
    assert editions.current.number == 2
    assert not parts.published.folder(1).exists()
    assert b"segment 1" in held.book.answer("customers", "c1")
    with held.cursor() as connection:
        assert connection.execute("select min(n_orders) from core.customers").fetchone() == (1,)
    editions.release(held)
    assert held.book.answer("customers", "c1")
    editions.release(again)
    with pytest.raises(Exception, match="closed"):
        held.book.answer("customers", "c1")
    assert editions.look() is None
    editions.close()


def test_a_version_without_stored_answers(make_project, publish):
    """A version that an older Shopkeeper published is answered too: its answers are written when it is first served."""
    parts = make_project()
    publish(parts, 1)
    file = parts.published.folder(1) / "answers.records"
    file.chmod(0o600)
    expected = file.read_bytes()
    file.unlink()
    for _ in range(2):
        editions = Editions(parts.published, {})
        assert editions.refresh()
        assert b"segment 1" in editions.current.book.answer("customers", "c1")
        editions.close()
    (written,) = (parts.published.root / "answers").glob("v1-*/answers.records")
    assert len(written.read_bytes()) == len(expected)


def test_a_version_that_cannot_be_read_leaves_the_last(make_project, publish, serving):
    """The version before goes on answering, and the measures tell of the failure."""
    parts = make_project()
    publish(parts, 1)
    with serving(parts) as client:
        folder = parts.published.folder(2)
        folder.mkdir(parents=True)
        (folder / "shop.duckdb").write_bytes(b"no database")
        (folder / "manifest.json").write_text(
            (parts.published.folder(1) / "manifest.json").read_text().replace('"number": 1', '"number": 2')
        )
        (parts.published.root / "current").write_text("2")
        time.sleep(1)
        assert client.get("/v1/customers/c1").headers["x-shopkeeper-version"] == "1"
        assert client.get("/readyz").status_code == 200
        assert "shopkeeper_version_failures_total 0.0" not in client.get("/metrics").text
        publish(parts, 3)
        deadline = time.monotonic() + 5
        while client.get("/readyz").json()["version"] == 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.get("/readyz").json()["version"] == 3


def test_answers_that_are_no_answers(make_project, publish):
    """A broken file, and one of another format, are told with what to do."""
    parts = make_project()
    publish(parts, 1)
    file = parts.published.folder(1) / "answers.records"
    file.chmod(0o600)
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(StorageError, match="answers must be readable"):
        Editions(parts.published, {}).refresh()
