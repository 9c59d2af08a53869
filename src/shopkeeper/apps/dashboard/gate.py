"""The gate before the dashboard: whoever may not look gets the page where a key is asked, and nothing else."""

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from shopkeeper.apps.api.callers import NOBODY
from shopkeeper.apps.api.errors import RefusalError
from shopkeeper.apps.charts import DARK, LIGHT
from shopkeeper.apps.charts.theme import FONT
from shopkeeper.apps.dashboard.visitors import COOKIE, Visitors, token_of
from shopkeeper.errors import UsageError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
LONGEST_BODY = 4096
PLACE = b"<script>window.__streamlit={BACKEND_BASE_URL:location.origin,MAIN_PAGE_BASE_URL:location.origin}</script>"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; --text: {light.text}; --muted: {light.muted}; --ground: {light.ground}; --panel: {light.panel};
  --line: {light.line}; --main: {light.main}; --below: {light.below}; --on: #fff }}
@media (prefers-color-scheme: dark) {{ :root {{ --text: {dark.text}; --muted: {dark.muted}; --ground: {dark.ground};
  --panel: {dark.panel}; --line: {dark.line}; --main: {dark.main}; --below: {dark.below}; --on: {dark.ground} }} }}
* {{ box-sizing: border-box }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--panel); color: var(--text);
  font: 16px/1.5 {font} }}
main {{ width: min(26rem, calc(100vw - 2rem)); padding: 2rem; background: var(--ground); border: 1px solid var(--line);
  border-radius: 8px }}
h1 {{ margin: 0 0 .25rem; font-size: 1.4rem; line-height: 1.25 }}
p {{ margin: 0 0 1.25rem; color: var(--muted) }}
label {{ display: block; margin-bottom: .35rem; font-weight: 600 }}
input, button {{ width: 100%; font: inherit; padding: .6rem .75rem; border-radius: 6px; border: 1px solid var(--line) }}
input {{ background: var(--panel); color: var(--text) }}
button {{ margin-top: 1rem; background: var(--main); color: var(--on); border-color: var(--main);
  font-weight: 600; cursor: pointer }}
:focus-visible {{ outline: 2px solid var(--main); outline-offset: 2px }}
.error {{ color: var(--below) }}
code {{ font-size: .9em }}
.last {{ margin: 1.25rem 0 0 }}
</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"""

_FORM = """<p>This dashboard is open to who has a key.</p>{error}
<form method="post" action="{action}"><label for="key">Key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus placeholder="shk_…">
<button>Sign in</button></form>
<p class="last">A key is made with <code>shopkeeper keys add NAME --scope aggregates --scope customers</code>.</p>"""


class Gate:
    """Lets requests through to the dashboard, or not."""

    def __init__(self, app: "ASGIApp", visitors: Visitors) -> None:
        """Stand before ``app``."""
        self._app = app
        self._visitors = visitors

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] not in {"http", "websocket"} or scope["path"] in {SIGN_IN, SIGN_OUT}:
            await self._app(scope, receive, send)
            return
        answer = self._refusal(scope)
        if answer is None:
            await self._pass(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await answer(scope, receive, send)

    async def _pass(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "http" and "text/html" in Headers(scope=scope).get("accept", ""):
            # The page comes as it is, so that it can be told where it is.
            plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            await self._app({**scope, "headers": plain}, receive, _Settled(send))
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: "Scope") -> Response | None:
        try:
            caller = self._visitors.of(scope)
        except RefusalError as error:
            return _page("Not from here", f"<p>{escape(str(error))}</p>", status=403)
        if caller is not NOBODY:
            return None
        asked = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
        return RedirectResponse(f"{SIGN_IN}?next={quote(asked, safe='')}", 303, HEADERS)


class _Settled:
    """Tells Streamlit's own page where its server is; else it would try each part of the path, and fail aloud."""

    def __init__(self, send: "Send") -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: "Message") -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            if headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers:
                self._start = message
                return
        elif self._start is not None:
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = self._body.replace(b"<head>", b"<head>" + PLACE, 1)
            headers = MutableHeaders(raw=self._start["headers"])
            headers["content-length"] = str(len(body))
            headers["cache-control"] = "no-store"
            await self._send({**self._start, "headers": headers.raw})
            self._start, message = None, {**message, "body": body}
        await self._send(message)


def guard(visitors: Visitors) -> Middleware:
    """Return the gate as Streamlit takes it."""
    return Middleware(Gate, visitors=visitors)


def routes(visitors: Visitors, shop: str) -> list[Route]:
    """Return the pages of signing in and out."""

    async def sign_in(request: "Request") -> Response:
        after = _inside(request.query_params.get("next", "/"))
        action = f"{SIGN_IN}?next={quote(after, safe='')}"
        if request.method == "GET":
            return _page(shop, _FORM.format(error="", action=action))
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST_BODY:
                return _page(shop, "<p class=error>A key must be shorter.</p>", status=413)
        key = parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0]
        try:
            token = visitors.sign_in(key)
        except UsageError as error:
            said = escape(str(error))
            told = f'<p class="error" role="alert">{said[:1].upper()}{said[1:]}</p>'
            return _page(shop, _FORM.format(error=told, action=action), status=401)
        answer = RedirectResponse(after, 303, HEADERS)
        answer.set_cookie(COOKIE, token, httponly=True, samesite="lax", secure=request.url.scheme == "https")
        return answer

    async def sign_out(request: "Request") -> Response:
        if token := token_of(request.scope):
            visitors.sign_out(token)
        answer = RedirectResponse(SIGN_IN, 303, HEADERS)
        answer.delete_cookie(COOKIE)
        return answer

    return [Route(SIGN_IN, sign_in, methods=["GET", "POST"]), Route(SIGN_OUT, sign_out, methods=["GET"])]


def _inside(path: str) -> str:
    """Return a path of this server; the first page for what would lead elsewhere."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and "\n" not in path else "/"


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    text = _PAGE.format(title=escape(title), body=body, light=LIGHT, dark=DARK, font=FONT)
    return HTMLResponse(text, status, HEADERS)
