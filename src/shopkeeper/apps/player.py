"""`shopkeeper simulate --live`: sends what happens in a simulated shop to a collector, in real time, until it is taken."""

import http.client
import json
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

from shopkeeper.errors import ContractError, TransientError, UsageError

Strokes = Iterator[list[tuple[str, str, dict[str, object]]]]
TICK_SECONDS = 0.25
TOLD_SECONDS = 10.0
MOST_AT_ONCE = 5000
FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0
PATIENCE_SECONDS = 300.0
AGAIN = (429, 500, 502, 503, 504)


class Post:
    """One connection to a collector; sends the same again, ever more slowly, until it is taken."""

    def __init__(self, to: str, key: str | None) -> None:
        """Send to a URL such as http://127.0.0.1:8080. Raises UsageError if it is none."""
        parts = urlsplit(to)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(
                f"--to must be the URL of a collector, such as http://127.0.0.1:8080; got {to!r}. Correct it."
            )
        self.to = to
        self.host, self.port, self.prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        self.kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        self.connection: http.client.HTTPConnection | None = None
        self.n_retries = 0

    def send(self, path: str, things: list[dict[str, object]]) -> int:
        """Send things; return how many were taken. Raises ContractError if they are refused for good, TransientError if
        nobody takes them for five minutes.
        """
        body = json.dumps(things).encode()
        give_up, wait = time.monotonic() + PATIENCE_SECONDS, FIRST_WAIT
        while True:
            status, told, after = self._once(path, body)
            if 200 <= status < 300:
                return int(json.loads(told)["accepted"])
            if status and status not in AGAIN:
                raise ContractError(f"the collector must take what a shop sends; it answers {status}: {_said(told)}")
            if time.monotonic() > give_up:
                raise TransientError(f"{self.to} must take events; it did not for five minutes: {_said(told)}")
            self.n_retries += 1
            time.sleep(max(wait, after))
            wait = min(wait * 2, LONGEST_WAIT)

    def _once(self, path: str, body: bytes) -> tuple[int, bytes, float]:
        """Return status (0: no answer), body, and how long the collector asks to wait."""
        try:
            if self.connection is None:
                self.connection = self.kind(self.host, self.port, timeout=30)
            self.connection.request("POST", f"{self.prefix}{path}", body, self.headers)
            answer = self.connection.getresponse()
            after = answer.headers.get("Retry-After", "")
            return answer.status, answer.read(), float(after) if after.isdigit() else 0.0
        except (OSError, http.client.HTTPException) as error:
            self.connection = None
            return 0, str(error).encode(), 0.0


def _said(told: bytes) -> str:
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(told)["error"]["message"])
    return told[:200].decode("utf-8", "replace")


def play(
    strokes_of: Callable[[str], Strokes], *, to: str, key: str | None, rate: float, seconds: float | None, as_json: bool
) -> None:
    """Play a shop at ``rate`` strokes a second until stopped, or for so many seconds; tell how many were taken.

    Every thing has an id of this play, and is sent with it again until it is taken. Raises as ``Post.send``.
    """
    strokes = strokes_of(f"live-{uuid.uuid4().hex[:12]}")
    post = Post(to, key)
    taken: dict[str, int] = defaultdict(int)
    started = told_at = time.monotonic()
    n_strokes = 0
    try:
        while seconds is None or time.monotonic() - started < seconds:
            due = min(int((time.monotonic() - started) * rate) - n_strokes, MOST_AT_ONCE)
            waiting: dict[str, list[dict[str, object]]] = defaultdict(list)
            for _ in range(due):
                for kind, moment, fields in next(strokes):
                    waiting[kind].append({moment: datetime.now(UTC).isoformat(), **fields})
            n_strokes += due
            for kind, things in waiting.items():
                taken[kind] += post.send(f"/v1/{kind}", things)
            if time.monotonic() - told_at >= TOLD_SECONDS and not as_json:
                told_at = time.monotonic()
                print(_line(taken, post), flush=True)
            time.sleep(TICK_SECONDS)
    except KeyboardInterrupt:
        pass
    if as_json:
        sys.stdout.write(json.dumps({"taken": taken, "n_retries": post.n_retries}) + "\n")
    else:
        print(_line(taken, post))


def _line(taken: dict[str, int], post: Post) -> str:
    counts = ", ".join(f"{n:,} {kind.replace('_', ' ')}" for kind, n in taken.items()) or "nothing yet"
    return f"taken by {post.to}: {counts}" + (f"; {post.n_retries:,} times sent again" if post.n_retries else "")
