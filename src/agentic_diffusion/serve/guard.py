"""What stands before every endpoint: who may ask, from where, how much and how often; and one line of log an answer.

    host      a server on the loopback answers to loopback names alone, so that no page reaches it by another name
    token     needed on every path but the page, /health and /ready where one is set
    body      JSON alone (no foreign page can send that), up to a size
    rate      so many requests a minute of one client, evenly

Neither headers nor bodies are ever logged. Time is seconds.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse

from agentic_diffusion.foundation.events import get_logger
from agentic_diffusion.serve.errors import ApiError
from agentic_diffusion.serve.metrics import Metrics

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_OPEN = ("/", "/health", "/ready")
_CLIENTS = 10_000


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """What is let through."""

    token: str | None = None
    """What clients have to show; None where the loopback alone is listened on."""
    hosts: tuple[str, ...] = LOOPBACK
    """Names that requests may be sent to; empty is any."""
    body_bytes: int = 1_000_000
    """Largest body."""
    per_minute: int = 600
    """Requests a minute of one client."""


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: Any, settings: GuardSettings, metrics: Metrics) -> None:
        """Guard `app`."""
        self._app, self._settings, self._metrics = app, settings, metrics
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._log = get_logger(__name__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, pass on, and tell."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.monotonic(), 500

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, self._measured(receive), watched)
        except ApiError as problem:
            response = JSONResponse(problem.body(), problem.status, headers=problem.headers)
            await response(scope, receive, watched)
        finally:
            seconds = time.monotonic() - begun
            route = scope.get("route")
            endpoint = getattr(route, "path", "other")
            self._metrics.answered(endpoint, status, seconds)
            line = {"client": _address(scope), "method": scope["method"][:16], "endpoint": endpoint, "status": status}
            self._log.info("answered", extra=line | {"seconds": round(seconds, 3)})

    def _check(self, scope: Scope) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = _host_name(headers.get("host", ""))
        if self._settings.hosts and host not in self._settings.hosts:
            raise ApiError(403, "This server does not answer to that host name.", code="host")
        token = self._settings.token
        public = scope["path"] in _OPEN or scope["path"].startswith("/page/")
        if token is not None and not public:
            given = headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                challenge = {"WWW-Authenticate": "Bearer"}
                raise ApiError(401, "A valid token is needed.", code="invalid_api_key", headers=challenge)
        if not public:
            self._count(client_of(scope))
        if scope["method"] == "POST":
            if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
                raise ApiError(415, "Send the body as application/json.", code="content_type")
            length = headers.get("content-length", "0")
            if not length.isdecimal() or int(length[:12]) > self._settings.body_bytes:
                raise self._too_large()

    def _count(self, client: str) -> None:
        """Take one of a client's tokens; they come back evenly, and a minute's worth may be saved up."""
        now, most = time.monotonic(), float(self._settings.per_minute)
        left, then = self._buckets.pop(client, (most, now))
        left = min(most, left + (now - then) * most / 60)
        if left < 1:
            self._buckets[client] = (left, now)
            wait = str(max(1, round(60 * (1 - left) / most)))
            raise ApiError(429, "Too many requests in a minute.", code="rate_limit", headers={"Retry-After": wait})
        self._buckets[client] = (left - 1, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)

    def _measured(self, receive: Receive) -> Receive:
        """The body as it comes, stopped where it is too large, whatever its header said."""
        taken = 0

        async def limited() -> MutableMapping[str, Any]:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._settings.body_bytes:
                raise self._too_large()
            return message

        return limited

    def _too_large(self) -> ApiError:
        return ApiError(413, f"The body is larger than {self._settings.body_bytes} bytes.", code="too_large")


def client_of(scope: Scope) -> str:
    """Whom a request counts for: the address that it came from, and the key that it showed, as a digest."""
    key = next((value for name, value in scope["headers"] if name.lower() == b"authorization"), b"")
    return f"{_address(scope)} {hashlib.sha256(key).hexdigest()[:16]}" if key else _address(scope)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "local"


def _host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].split("]", 1)[0].lower()
    return host.rsplit(":", 1)[0].lower() if host.count(":") == 1 else host.lower()
