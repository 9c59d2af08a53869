"""The door to the network: requests that try again when it may help, and never show a secret.

What is transient (no connection, a timeout, 408, 425, 429, 5xx) is tried again with exponential backoff and
jitter; what is not is told at once, with what to do.
"""

import random
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from shopkeeper.errors import OutsideError, TransientError
from shopkeeper.sources.outside import disk_trouble

if TYPE_CHECKING:
    import requests

Result = TypeVar("Result")
CHUNK = 1024 * 1024
TRANSIENT_STATUS = frozenset({408, 425, 429})
ADVICE = {
    401: "Check the user, token or key in secrets.toml",
    403: "Check that this user, token or key may read it",
    404: "Check the address",
    410: "It is gone; look for its new address",
}


@dataclass(frozen=True)
class Retries:
    """How often and how patiently a transient failure is tried again.

    ``sleep`` and ``chance`` (a number from 0 to 1) are handed in by tests.
    """

    attempts: int = 5
    first_seconds: float = 0.5
    longest_seconds: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def call(self, action: Callable[[], Result]) -> Result:
        """Return what ``action`` returns, trying again whenever it raises TransientError.

        Raises the last TransientError when the attempts are used up.
        """
        for attempt in range(1, self.attempts):
            try:
                return action()
            except TransientError as error:
                self.sleep(self._pause(attempt, error))
        return action()

    def _pause(self, attempt: int, error: TransientError) -> float:
        if isinstance(error, BusyError) and error.retry_after is not None:
            return min(error.retry_after, self.longest_seconds)
        longest = min(self.first_seconds * 2.0**attempt, self.longest_seconds)
        return longest * (0.5 + self.chance() / 2)


class BusyError(TransientError):
    """The server is busy and may have said for how many seconds."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def redact(url: str) -> str:
    """Return a URL without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


@dataclass(frozen=True)
class Web:
    """An HTTP client for one source.

    ``headers`` may hold secrets: they are sent to the host first asked and to no other. ``auth``: user and
    password for basic authentication.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    retries: Retries = Retries()
    timeout: tuple[float, float] = (10.0, 60.0)

    def get(self, url: str, params: Mapping[str, str] | None = None) -> "requests.Response":
        """Return the answer to a GET.

        Raises TransientError when trying again did not help, OutsideError for what trying again cannot help.
        """
        return self.retries.call(lambda: self._ask("GET", url, params))

    def head(self, url: str) -> "requests.Response | None":
        """Return the answer to a HEAD, or None where the server does not like to be asked so."""
        try:
            return self.retries.call(lambda: self._ask("HEAD", url, None))
        except TransientError:
            raise
        except OutsideError:
            return None

    def download(self, url: str, target: Path) -> None:
        """Write what a URL gives to a file, from the beginning again after each transient failure.

        Raises what ``get`` raises, and StorageError if the disk is full.
        """
        self.retries.call(lambda: self._download(url, target))

    def _download(self, url: str, target: Path) -> None:
        with disk_trouble(target.parent):
            sink = target.open("wb")
        with sink, self._ask("GET", url, None, stream=True) as response:
            chunks = response.iter_content(CHUNK)
            while chunk := self._guard(url, lambda: next(chunks, b"")):
                with disk_trouble(target.parent):
                    sink.write(chunk)

    def _ask(
        self, method: str, url: str, params: Mapping[str, str] | None, *, stream: bool = False
    ) -> "requests.Response":
        session = _session(set(self.headers))
        session.headers.update(self.headers)
        if self.auth:
            session.auth = self.auth
        response = self._guard(
            url,
            lambda: session.request(
                method, url, params=params, timeout=self.timeout, stream=stream, allow_redirects=True
            ),
        )
        _check(response, url)
        return response

    def _guard(self, url: str, action: Callable[[], Result]) -> Result:
        import requests

        try:
            return action()
        except (
            requests.Timeout,
            requests.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            # The library's text may show the whole URL with its query: only the error's kind is told.
            raise TransientError(
                f"the server must answer; got {type(error).__name__} from {redact(url)}. Check the network "
                "and the "
                f"address, and try again."
            ) from None
        except requests.RequestException as error:
            raise OutsideError(
                f"a URL must lead to a server; got {type(error).__name__} for {redact(url)}. Check the address."
            ) from None


class Downloads:
    """Files fetched into scratch, each at most once, removed by ``close`` or when the last holder lets go."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.folder: Path | None = None
        self.paths: dict[str, Path] = {}

    def fetch(self, key: str, name: str, write: Callable[[Path], None]) -> Path:
        """Return the file kept for ``key``; if there is none, let ``write`` make it under ``name``."""
        if key not in self.paths or not self.paths[key].exists():
            folder = Path(tempfile.mkdtemp(dir=self._folder()))
            path = folder / (name.replace("/", "_").lstrip(".") or "download")
            write(path)
            self.paths[key] = path
        return self.paths[key]

    def drop(self, key: str) -> None:
        """Remove the file kept for ``key``, if there is one."""
        path = self.paths.pop(key, None)
        if path:
            shutil.rmtree(path.parent, ignore_errors=True)

    def close(self) -> None:
        """Remove all files."""
        self.paths.clear()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def _folder(self) -> Path:
        if self.folder is None:
            with disk_trouble(self.scratch):
                self.scratch.mkdir(parents=True, exist_ok=True)
                self.folder = Path(tempfile.mkdtemp(dir=self.scratch, prefix="download-"))
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        return self.folder


def _session(secret_headers: set[str]) -> "requests.Session":
    import requests

    class Session(requests.Session):
        def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
            super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call,unused-ignore]
            before, after = response.request.url or "", prepared_request.url or ""
            if self.should_strip_auth(before, after):  # type: ignore[no-untyped-call,unused-ignore]
                for name in secret_headers:
                    prepared_request.headers.pop(name, None)

    return Session()


def _check(response: "requests.Response", url: str) -> None:
    status = response.status_code
    if status < 400:
        return
    response.close()
    got = f"got {status} {response.reason or ''}".rstrip() + f" from {redact(url)}"
    if status in TRANSIENT_STATUS or status >= 500:
        raise BusyError(f"the server must answer with data; {got}. Try again later.", _retry_after(response))
    raise OutsideError(f"the server must answer with data; {got}. {ADVICE.get(status, 'Check the address')}.")


def _retry_after(response: "requests.Response") -> float | None:
    text = response.headers.get("Retry-After")
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
