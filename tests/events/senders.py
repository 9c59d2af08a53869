"""Real processes of collector and loader that may be killed, and a sender that sends until it is acknowledged."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SERVER = Path(__file__).parent / "server.py"
SOURCE = Path(__file__).parents[2] / "src"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Running:
    """A process that is started, killed and started again."""

    def __init__(self, *command: object) -> None:
        self.command = [sys.executable, *map(str, command)]
        self.process: subprocess.Popen | None = None
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, env={**os.environ, "PYTHONPATH": str(SOURCE)})

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def collector(folder: Path, port: int, *more: object) -> Running:
    """The collector of a project."""
    return Running(SERVER, folder, port, *more)


def loader(folder: Path) -> Running:
    """The loader of a project, as `shopkeeper load-events --follow` runs it."""
    call = "from shopkeeper.apps.cli import main; import sys; sys.argv[0] = 'shopkeeper'; main()"
    return Running("-c", call, "load-events", "--follow", "--every", "0.2", "--project", folder)


class Sender:
    """Sends one request after the other on one connection; the same again until it is acknowledged."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection: http.client.HTTPConnection | None = None
        self.n_retries = 0

    def send(self, path: str, things: list, *, patience: float = 60) -> dict:
        """Return the answer of the 202."""
        body = json.dumps(things).encode()
        give_up = time.monotonic() + patience
        while True:
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                self.connection.request("POST", path, body, {"Content-Type": "application/json"})
                answer = self.connection.getresponse()
                told = json.loads(answer.read())
                if answer.status == 202:
                    return told
                assert answer.status == 503, told
            except (OSError, http.client.HTTPException, ValueError):
                self.connection = None
            self.n_retries += 1
            assert time.monotonic() < give_up, "the collector never came back"
            time.sleep(0.02)
