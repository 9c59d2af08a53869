"""`shopkeeper load-events`: once, or on and on, and what it prints."""

import signal
import threading
from typing import TYPE_CHECKING, Any

from shopkeeper.errors import ShopkeeperError

if TYPE_CHECKING:
    from shopkeeper.assembly import Shopkeeper
    from shopkeeper.loader import Loaded


def load(parts: "Shopkeeper", *, follow: bool, every: float | None, as_json: bool) -> None:
    """Load the log once, or until SIGTERM or Ctrl-C; print each round that did something. Raises what the round raises."""
    if not follow:
        done = parts.loader().once()
        if done is not None:
            _print(done, as_json=as_json)
        return

    def tell(done: "Loaded | ShopkeeperError") -> None:
        if isinstance(done, ShopkeeperError):
            print(f"not loaded, trying again: {done}", flush=True)
        else:
            _print(done, as_json=as_json)

    loader = parts.loader(every, tell)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: _interrupt())
    try:
        loader.follow()
    finally:
        loader.stop()


def _interrupt() -> None:
    raise KeyboardInterrupt


def _print(done: "Loaded", *, as_json: bool) -> None:
    if as_json:
        from shopkeeper.apps.screen import print_json

        print_json(_plain(done))
        return
    for each in done.loads:
        rejected = f", {each.rows_quarantined:,} quarantined" if each.rows_quarantined else ""
        again = f", {each.rows_resent:,} sent again" if each.rows_resent else ""
        print(f"{each.entity}: {each.rows_loaded:,} rows loaded{again}{rejected} ({each.item})", flush=True)
    if done.n_trimmed:
        print(f"trimmed {done.n_trimmed:,} batches that the log need not keep", flush=True)
    elif not done.loads:
        print("nothing new in the log", flush=True)


def _plain(done: "Loaded") -> dict[str, Any]:
    return {"loads": done.loads, "n_trimmed": done.n_trimmed}
