"""`shopkeeper dashboard`: a server of pages on this machine, or for who has a key. It asks no other host for anything."""

import logging
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from shopkeeper.apps.api.server import must_be_safe
from shopkeeper.apps.charts import DARK, LIGHT, Theme
from shopkeeper.apps.serve import listen
from shopkeeper.errors import ShopkeeperError

if TYPE_CHECKING:
    import socket

    import streamlit as st

    from shopkeeper.assembly import Shopkeeper

SCRIPT = Path(__file__).parent / "entrance" / "script.py"
SHUTDOWN_SECONDS = 1
LARGEST_ANSWER_MB = 64


def serve(parts: "Shopkeeper", host: str, port: int) -> None:
    """Serve a project's dashboard until a signal ends it, and say where.

    Raises UsageError for a host that others could ask without a key, and where nothing can listen.
    """
    import uvicorn

    must_be_safe(host, parts)
    listening = listen(host, port)
    port = listening.getsockname()[1]
    config = uvicorn.Config(
        application(parts, host, port),
        host=host,
        port=port,
        ws="auto",
        ws_max_size=LARGEST_ANSWER_MB << 20,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    number = parts.published.current()
    shown = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    told = (
        f"{f'version {number}' if number else 'nothing yet: run `shopkeeper run`'} at {shown}\n"
        f"  keys: {'needed, asked in the browser' if parts.keys.all() else 'none made, so only this machine may look'}\n"
        f"  stop: Ctrl-C"
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: "list[socket.socket] | None" = None) -> None:
            await super().startup(sockets)
            print(told, flush=True)

    Server(config).run(sockets=[listening])


def application(parts: "Shopkeeper", host: str, port: int) -> "st.App":
    """Return the dashboard as an ASGI application behind its gate."""
    configure(host, port)
    import streamlit as st

    from shopkeeper.apps.dashboard import stage
    from shopkeeper.apps.dashboard.gate import guard, routes
    from shopkeeper.apps.dashboard.visitors import Visitors

    Thread(target=_warm, args=(parts,), daemon=True).start()
    visitors = Visitors(parts.keys)
    stage.open_for(parts, visitors)
    return st.App(SCRIPT, routes=routes(visitors, parts.settings.shop.name), middleware=[guard(visitors)])


def _warm(parts: "Shopkeeper") -> None:
    """Read what the first look would wait for: the pages, the figures, the version. What fails, fails again when looked at."""
    from shopkeeper.apps.charts import figures, maps
    from shopkeeper.apps.dashboard.pages import pages

    with suppress(ShopkeeperError):
        pages()
        figures.blank(LIGHT)
        maps.shapes("country")
        parts.gallery.visit(frozenset())


def configure(host: str, port: int) -> None:
    """Set every option of Streamlit that matters here, whatever files of it stand on this machine.

    Nothing is reported to anybody, no browser is opened, no file is watched, no traceback is shown.
    """
    from streamlit import config

    # It warns of what is meant so: that no secrets file stands here, and that scripts run without it in tests.
    logging.getLogger("streamlit").setLevel(logging.ERROR)
    options: dict[str, Any] = {
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.toolbarMode": "minimal",
        "global.developmentMode": False,
        "logger.hideWelcomeMessage": True,
        "logger.level": "error",
        "runner.magicEnabled": False,
        "server.address": host,
        "server.fileWatcherType": "none",
        "server.headless": True,
        "server.maxMessageSize": LARGEST_ANSWER_MB,
        "server.port": port,
        "server.runOnSave": False,
        "server.showEmailPrompt": False,
        "theme.baseRadius": "8px",
        "theme.metricValueFontSize": "1.4rem",
        "theme.metricValueFontWeight": 600,
        "theme.headingFontSizes": ["1.75rem", "1.35rem", "1.1rem", "1rem", "0.9rem", "0.85rem"],
        "theme.headingFontWeights": [650, 600, 600, 600, 600, 600],
        "theme.showSidebarBorder": True,
        **_colours("light", LIGHT),
        **_colours("dark", DARK),
    }
    config.get_config_options(force_reparse=True, options_from_flags=options)


def _colours(mode: str, theme: Theme) -> dict[str, Any]:
    return {
        f"theme.{mode}.primaryColor": theme.main,
        f"theme.{mode}.backgroundColor": theme.ground,
        f"theme.{mode}.secondaryBackgroundColor": theme.panel,
        f"theme.{mode}.textColor": theme.text,
        f"theme.{mode}.borderColor": theme.line,
        f"theme.{mode}.linkColor": theme.main,
        # Up and down are told apart by blue and orange, which nobody confuses.
        f"theme.{mode}.greenColor": theme.above,
        f"theme.{mode}.greenTextColor": theme.above,
        f"theme.{mode}.redColor": theme.below,
        f"theme.{mode}.redTextColor": theme.below,
        f"theme.{mode}.chartCategoricalColors": list(theme.colours),
        f"theme.{mode}.sidebar.backgroundColor": theme.panel,
        f"theme.{mode}.sidebar.secondaryBackgroundColor": theme.ground,
    }
