"""What the server answers when something is wrong: one status, one sentence, in the shape of OpenAI's API.

    400  the request is wrong          401  no token, or a wrong one      403  not from here     404  no such thing
    413  too large                     429  too many, with Retry-After    503  not now           504  it took too long

`{"error": {"message", "type", "param", "code"}}`; a hint of ours follows the sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agentic_diffusion.foundation.errors import AgdError, NegativeResultError, UsageError

RETRY_SECONDS = 2
"""How long a refused client is asked to wait."""


class TimedOutError(AgdError):
    """A request took longer than it may."""


class CancelledError(AgdError):
    """The one who asked has gone, or the server stops."""


class BusyError(AgdError):
    """The queue is full."""


@dataclass
class ApiError(Exception):
    """An answer that is an error."""

    status: int
    """HTTP status."""
    message: str
    """One sentence, and what to do."""
    param: str | None = None
    """The field that is wrong."""
    code: str | None = None
    """A word for programs."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of the answer."""

    def __str__(self) -> str:
        """The sentence."""
        return self.message

    def body(self) -> dict[str, Any]:
        """The answer in JSON."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}.get(self.status, kind)
        message, param = (None if text is None else _utf8(text) for text in (self.message, self.param))
        return {"error": {"message": message, "type": kind, "param": param, "code": self.code}}


def api_error(problem: AgdError) -> ApiError:
    """An error of the package as an answer."""
    words = f"{problem.message} ({problem.hint})"
    if isinstance(problem, BusyError):
        return ApiError(429, words, code="queue_full", headers={"Retry-After": str(RETRY_SECONDS)})
    if isinstance(problem, TimedOutError):
        return ApiError(504, words, code="timeout")
    if isinstance(problem, UsageError | NegativeResultError):
        return ApiError(400, words)
    return ApiError(503, words, code="unavailable", headers={"Retry-After": str(RETRY_SECONDS)})


def _utf8(text: str) -> str:
    """What was quoted from a request may hold half of a surrogate pair, which no answer can."""
    return text.encode(errors="replace").decode()
