"""The demo as a newcomer has it: a file at hand, everything run, two servers that answer, and a clean end."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from shopkeeper import workflow
from shopkeeper.apps import demo
from shopkeeper.errors import UsageError

pytestmark = pytest.mark.slow
CLI = [sys.executable, "-c", "from shopkeeper.apps.cli import main; main()"]


@pytest.fixture(name="export", scope="module")
def _export(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    workflow.simulate("uci_online_retail", customers=60, days=60, seed=3, out=folder)
    return folder / "data"


def test_the_demo_runs_shows_and_stops_on_ctrl_c(export, tmp_path, request):
    """Each address that it prints answers; an earlier demo is made anew; Ctrl-C ends it with status 0, and its servers."""
    folder = tmp_path / "look"
    folder.mkdir()
    (folder / demo.MARK).touch()
    (folder / "old").touch()
    # A terminal of its own: without one the demo would stop by itself.
    read, write = os.openpty()
    words = ["demo", str(export), "--folder", str(folder), "--port", "18080", "--dashboard-port", "18501"]
    process = subprocess.Popen(
        [*CLI, *words], stdout=write, stdin=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "200"}
    )
    os.close(write)
    said = b""
    while b"stop: Ctrl-C" not in said:
        said += os.read(read, 4096)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode())
    assert not (folder / "old").exists()
    urls = re.findall(r"(http://127\.0\.0\.1:\d+\S*)(?: -d '(.*)')?", text)
    assert len(urls) >= 6
    for url, body in urls:
        asked = urllib.request.Request(url, body.encode() or None, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310
            assert answer.status == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    os.close(read)
    for url, _ in urls[::3]:
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(url, timeout=5)  # noqa: S310


def test_a_folder_that_is_no_demos_is_left_alone(tmp_path):
    """A folder with something of one's own in it is not made anew, and a file that is not there is told."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="earlier demo's"):
        demo.play(tmp_path, None, port=8080, dashboard_port=8501, once=True)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    with pytest.raises(UsageError, match="must exist"):
        demo.play(tmp_path, Path("nowhere.xlsx"), port=8080, dashboard_port=8501, once=True)
