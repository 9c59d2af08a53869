"""Who looks at the dashboard: by a key that was signed in with, or from this machine as long as no key was ever made."""

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from threading import Lock
from typing import TYPE_CHECKING

from shopkeeper import vocabulary as v
from shopkeeper.apps.api.callers import LOCAL, NOBODY, Callers
from shopkeeper.apps.api.endpoint import Caller
from shopkeeper.errors import UsageError

if TYPE_CHECKING:
    from starlette.types import Scope

    from shopkeeper.assembly import Keys

COOKIE = "shopkeeper_visit"
MOST = 1000
OPENING = frozenset((v.AGGREGATES, v.CUSTOMERS, v.ADMIN))
"""Scopes with which there is something to see."""


class Visitors:
    """Who has signed in, in this process's memory only: its end signs everybody out. Callable from any thread."""

    def __init__(self, keys: "Keys") -> None:
        """Let in by these keys."""
        self._keys = keys
        self._callers = Callers(keys)
        self._signed_in: OrderedDict[str, str] = OrderedDict()
        self._lock = Lock()

    def sign_in(self, key: str) -> str:
        """Return what stands for a key in a cookie. Raises UsageError for one that opens nothing here."""
        with self._lock:
            self._callers.refresh()
            found = self._keys.find(key.strip())
            if found is None:
                raise UsageError(
                    "a key must be one that was made for this project, and neither revoked nor expired; got another. Make "
                    "one with `shopkeeper keys add`."
                )
            if not found.scopes & OPENING:
                raise UsageError(
                    f"a key must have one of the scopes {', '.join(sorted(OPENING))} to look at the dashboard; got "
                    f"{', '.join(sorted(found.scopes))}. Make one that has with `shopkeeper keys add`."
                )
            token = secrets.token_urlsafe(32)
            self._signed_in[token] = key.strip()
            while len(self._signed_in) > MOST:
                self._signed_in.popitem(last=False)
        return token

    def sign_out(self, token: str) -> None:
        """Forget a cookie. May be repeated."""
        with self._lock:
            self._signed_in.pop(token, None)

    def by_token(self, token: str | None) -> Caller:
        """Return who looks, of a request that the gate let in; NOBODY once the key no longer holds."""
        with self._lock:
            self._callers.refresh()
            if token is not None and (key := self._signed_in.get(token)) is not None:
                found = self._keys.find(key)
                return Caller(found.name, found.scopes) if found else NOBODY
            return LOCAL if self._keys.is_open else NOBODY

    def of(self, scope: "Scope") -> Caller:
        """Return who sends a request. Raises RefusalError for what is not from this machine while there are no keys."""
        token = token_of(scope)
        caller = self.by_token(token)
        if caller is LOCAL:
            with self._lock:
                return self._callers.of(scope)
        return caller


def token_of(scope: "Scope") -> str | None:
    """Return what a request's cookie says."""
    for name, value in scope["headers"]:
        if name == b"cookie":
            return token_in(value.decode("latin-1"))
    return None


def token_in(cookies: str | Mapping[str, str]) -> str | None:
    """Return the token among cookies."""
    if not isinstance(cookies, str):
        return cookies.get(COOKIE)
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return None
    return found.value if found else None
