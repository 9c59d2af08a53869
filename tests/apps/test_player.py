"""A shop played live reaches the collector whole: what is refused for a while is sent again, with the same ids."""

import http.server
import json
import threading
from collections import Counter
from datetime import date

import pytest

from shopkeeper import workflow
from shopkeeper.apps import player
from shopkeeper.errors import ContractError, UsageError


class Fickle(http.server.BaseHTTPRequestHandler):
    """Refuses every other request: busy, too many, or no answer at all."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        server.n += 1
        server.keys.add(self.headers["Authorization"])
        status = 202 if server.n % 2 == 0 else (503, 429, 0)[server.n // 2 % 3]
        if not status:
            self.close_connection = True
            return
        if status == 202:
            server.taken += [(self.path, each) for each in json.loads(body)]
        told = json.dumps({"accepted": len(json.loads(body))}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(told)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_):
        pass


@pytest.fixture(name="fickle")
def _fickle():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fickle)
    server.n, server.taken, server.keys = 0, [], set()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def strokes(name):
    """What happens in a small chain of stores."""
    return workflow.play("us_retail", customers=100, days=14, seed=4, start=date(2026, 1, 1), name=name)


def test_each_thing_arrives_once(fickle, capsys, monkeypatch):
    """Through refusals and lost answers, at about the rate asked for, with the key."""
    monkeypatch.setattr(player, "TICK_SECONDS", 0.05)
    to = f"http://127.0.0.1:{fickle.server_port}/"
    player.play(strokes, to=to, key="secret", rate=40, seconds=2, as_json=True)
    told = json.loads(capsys.readouterr().out)
    ids = Counter(each.get("movement_id") or each["order_id"] for _, each in fickle.taken)
    assert set(ids.values()) == {1}
    assert told["taken"] == Counter(path.removeprefix("/v1/") for path, _ in fickle.taken)
    assert told["n_retries"] > 3
    assert 30 <= told["taken"]["order_lines"] <= 90
    assert fickle.keys == {"Bearer secret"}
    assert all("ordered_at" in each or "moved_at" in each for _, each in fickle.taken)


def test_what_is_refused_for_good_ends_the_play(fickle):
    """A wrong address is told, not tried for ever."""

    def refuse(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(404)

    fickle.RequestHandlerClass = type("Refusing", (Fickle,), {"do_POST": refuse})
    with pytest.raises(ContractError, match="404"):
        player.play(strokes, to=f"http://127.0.0.1:{fickle.server_port}", key=None, rate=50, seconds=5, as_json=True)
    with pytest.raises(UsageError, match="--to"):
        player.play(strokes, to="localhost:8080", key=None, rate=50, seconds=5, as_json=True)
