"""What `shopkeeper serve` and `shopkeeper keys` do."""

import socket
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from shopkeeper.errors import UsageError

if TYPE_CHECKING:
    from shopkeeper.assembly import Shopkeeper


def serve(parts: "Shopkeeper", host: str | None, port: int | None, *, collects: bool = True) -> None:
    """Serve a project until a signal ends it, and say where. Raises UsageError where it would not be safe, or cannot be."""
    from shopkeeper.apps.api.server import Application, must_be_safe
    from shopkeeper.apps.api.server import serve as run

    chosen = parts.settings.api
    host, port = host or chosen.host, chosen.port if port is None else port
    must_be_safe(host, parts)
    listening = listen(host, port)
    port = listening.getsockname()[1]
    shown = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    has_keys = bool(parts.keys.all())
    number = parts.published.current()
    print(f"serving {f'version {number}' if number else 'nothing yet: run `shopkeeper run`'} at {shown}")
    key = " -H 'Authorization: Bearer KEY'" if has_keys else ""
    print(f"  curl{key} {shown}/v1/version")
    print(
        "  keys: needed"
        if has_keys
        else "  keys: none made, so only this machine may ask, and nobody may administer; `shopkeeper keys add` makes one"
    )
    if collects:
        print(f"  events: POST {shown}/v1/events, live numbers at {shown}/v1/live")
    print(f"  docs: {shown}/v1/docs", flush=True)
    run(Application(parts, collects=collects), host=host, port=port, listening=listening)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises UsageError if that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise UsageError(
            f"the server must be able to listen at {host}:{port}; got: {error.strerror or error}. Choose another with --host "
            f"or --port, or stop what listens there."
        ) from error
    listening.set_inheritable(True)
    return listening


def end_of(text: str | None) -> datetime | None:
    """Return the moment at which a key made now ends. Raises UsageError for a text that is no day or moment."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"an end must be a day such as 2027-01-31, or a moment; got {text!r}. Write it like that."
        ) from error
    if len(text) == len("2027-01-31"):
        found = datetime.combine(found.date(), time.max)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
