"""Who asks, and how often: keys in the header, loopback without one, and a bucket of tokens for each."""

from base64 import b64decode
from collections import OrderedDict
from ipaddress import ip_address
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.types import Scope

from shopkeeper import vocabulary as v
from shopkeeper.apps.api.endpoint import Caller, Endpoint
from shopkeeper.apps.api.errors import RefusalError

if TYPE_CHECKING:
    from shopkeeper.assembly import Keys

MOST_BUCKETS = 10_000
MOST_REMEMBERED = 1_000
OPEN_SCOPES = frozenset(v.SCOPES) - {v.ADMIN}
NOBODY = Caller("", frozenset())
LOCAL = Caller("", OPEN_SCOPES)
LOCAL_NAMES = {"localhost", "127.0.0.1", "::1", "[::1]"}
PROXY_HEADERS = {b"x-forwarded-for", b"x-forwarded-host", b"forwarded", b"x-real-ip", b"via"}


class Callers:
    """Tells callers apart. What changed among the keys counts from the next ``refresh`` on."""

    def __init__(self, keys: "Keys") -> None:
        """Know the callers by these keys."""
        self._keys = keys
        self._remembered: dict[bytes, str] = {}

    def refresh(self) -> None:
        """Take up keys that were made or revoked."""
        self._keys.refresh()
        self._remembered.clear()

    def of(self, scope: Scope) -> Caller:
        """Return who asks. Raises RefusalError: 401 for a key that opens nothing, 403 for what is not from this machine.

        As long as no key was ever made, whoever asks from this machine may do all but administer; not through a proxy, nor
        from a page of another site.
        """
        authorization = host = origin = None
        is_forwarded = False
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name in PROXY_HEADERS:
                is_forwarded = True
        if authorization is not None:
            return self._by_key(authorization)
        if not self._keys.is_open:
            return NOBODY
        _must_be_local(scope, host, origin, is_forwarded=is_forwarded)
        return LOCAL

    def _by_key(self, authorization: bytes) -> Caller:
        text = self._remembered.get(authorization)
        if text is None:
            text = _key_of(authorization)
            if len(self._remembered) < MOST_REMEMBERED:
                self._remembered[authorization] = text
        key = self._keys.find(text)
        if key is None:
            raise RefusalError(
                401,
                "unknown_key",
                "a key must be one that was made for this project, and neither revoked nor expired; got another. Make one "
                "with `shopkeeper keys add`.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return Caller(key.name, key.scopes)


def _key_of(authorization: bytes) -> str:
    """Return the key of ``Bearer KEY``, or of ``Basic`` with the key as user, as trackers send it."""
    kind, _, rest = authorization.partition(b" ")
    rest = rest.strip()
    try:
        if kind.lower() == b"basic":
            return b64decode(rest, validate=True).partition(b":")[0].decode("utf-8")
        return rest.decode("ascii") if kind.lower() == b"bearer" else ""
    except (ValueError, UnicodeDecodeError):
        return ""


def is_loopback(host: str) -> bool:
    """Return whether a host or address is this machine's own."""
    if host in LOCAL_NAMES:
        return True
    try:
        return ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return False


def _must_be_local(scope: Scope, host: bytes | None, origin: bytes | None, *, is_forwarded: bool) -> None:
    client = scope.get("client")
    if is_forwarded or client is None or not is_loopback(client[0]):
        raise RefusalError(
            403,
            "key_needed",
            "without a key, requests must come from this machine itself; got one from elsewhere. Make a key with "
            "`shopkeeper keys add`, and send it as `Authorization: Bearer KEY`.",
        )
    # A page of another site may have the browser send it here, by a name of its own that leads to this machine, or openly.
    name = (host or b"").decode("latin-1")
    name = name if name in LOCAL_NAMES else name.rpartition(":")[0]
    site = urlsplit(origin.decode("latin-1")).hostname if origin is not None else "localhost"
    if not is_loopback(name) or not is_loopback(site or ""):
        raise RefusalError(
            403,
            "foreign_host",
            "without a key, a request must be to localhost, and from no page of another site; got another Host or Origin. "
            "Ask for http://127.0.0.1, or make a key with `shopkeeper keys add`.",
        )


def must_be_let_in(caller: Caller, endpoint: Endpoint) -> None:
    """Raise RefusalError unless a caller may ask an endpoint: 401 without a key, 403 with one for other things."""
    if not endpoint.scopes or endpoint.scopes & caller.scopes:
        return
    wanted = " or ".join(sorted(endpoint.scopes))
    if caller is NOBODY:
        raise RefusalError(
            401,
            "key_needed",
            f"a request must carry a key with the scope {wanted}; got none. Send it as `Authorization: Bearer KEY`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    raise RefusalError(
        403,
        "scope_needed",
        f"a key must have the scope {wanted} for this; got {', '.join(sorted(caller.scopes)) or 'none'}. Make one that has "
        f"with `shopkeeper keys add`.",
    )


class Buckets:
    """Tokens of each caller: one a request, ``rate`` a second come back, ``burst`` at most.

    So many callers are remembered, and the one seen least lately makes room: memory is bounded.
    """

    def __init__(self, rate: float, burst: int) -> None:
        """Let each caller send so many; a rate of 0 is no limit."""
        self.rate = rate
        self.burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str, now: float | None = None) -> float:
        """Take a token; return 0, or the seconds after which there will be one."""
        if self.rate <= 0:
            return 0.0
        now = monotonic() if now is None else now
        tokens, seen = self._buckets.pop(who, (self.burst, now))
        tokens = min(self.burst, tokens + (now - seen) * self.rate)
        is_served = tokens >= 1
        self._buckets[who] = (tokens - 1 if is_served else tokens), now
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return 0.0 if is_served else (1 - tokens) / self.rate

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._buckets)
