"""docs/collector.md: each curl line gives the answer that is shown under it."""

import importlib.util
import json
import re
import shlex
import time
from pathlib import Path

from starlette.testclient import TestClient

from shopkeeper.assembly import assemble

ROOT = Path(__file__).parents[3]
CHANGES = ("as_of", "from", "to", "minutes", "minute_at")
spec = importlib.util.spec_from_file_location("event_server", ROOT / "tests" / "events" / "server.py")
event_server = importlib.util.module_from_spec(spec)
spec.loader.exec_module(event_server)


def shown():
    """Each curl line of the page, with the answer under it."""
    page = (ROOT / "docs" / "collector.md").read_text("utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [pair for block in blocks for pair in re.findall(r"^\$ (curl .*)\n(\{.*)$", block, re.MULTILINE)]


def lasting(told):
    """An answer without what differs each time."""
    return {name: value for name, value in told.items() if name not in CHANGES}


def test_each_line_gives_its_answer(tmp_path):
    """Run in order on a fresh project."""
    (tmp_path / "shopkeeper.toml").write_text('[shop]\nname = "page"\n', "utf-8")
    lines = shown()
    assert len(lines) >= 8
    with TestClient(event_server.application(assemble(tmp_path))) as client:
        for call, answer in lines:
            words = shlex.split(call)
            path = next(word for word in words if word.startswith("localhost")).removeprefix("localhost:8080")
            if "-d" in words:
                told = client.post(path, content=words[words.index("-d") + 1]).json()
            else:
                until = time.monotonic() + 5
                told = client.get(path).json()
                while lasting(told) != lasting(json.loads(answer)) and time.monotonic() < until:
                    time.sleep(0.1)
                    told = client.get(path).json()
            assert lasting(told) == lasting(json.loads(answer)), call


def test_every_route_is_on_the_page(tmp_path):
    """Each path of the collector and of live numbers is named."""
    from shopkeeper.apps.api import collector, live

    (tmp_path / "shopkeeper.toml").write_text('[shop]\nname = "page"\n', "utf-8")
    page = (ROOT / "docs" / "collector.md").read_text("utf-8")
    parts = assemble(tmp_path)
    endpoints = [*collector.endpoints(parts.collector), *live.endpoints(parts.live)]
    assert [each.path for each in endpoints if each.path not in page] == []
