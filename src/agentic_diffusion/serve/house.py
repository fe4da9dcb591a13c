"""What all endpoints share: the model behind its engine, the sandbox, the records, the limits, the threads of searches.

Also the bridge from the engine's thread to the event loop: `events` hands over what a job reports, and ends the job
when nobody listens any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.events import new_run_id
from agentic_diffusion.foundation.resources import Budget
from agentic_diffusion.foundation.settings import GenerateSettings, SandboxSettings
from agentic_diffusion.serve.errors import BusyError
from agentic_diffusion.serve.metrics import Metrics
from agentic_diffusion.serve.served_coder import ServedCoder, Work, working_for

if TYPE_CHECKING:
    from agentic_diffusion.foundation.sandbox import Sandbox
    from agentic_diffusion.planning.model import PlannerModel
    from agentic_diffusion.serve.history import History

T = TypeVar("T")
HEARTBEAT_SECONDS = 10.0
"""A stream that has nothing to say for so long says that it is still there."""


@dataclass(kw_only=True)
class House:
    """The server's inside."""

    coder: ServedCoder
    """The model behind its engine."""
    name: str
    """What the model is called."""
    sandbox: Sandbox
    """Where tests run; there is no server without one."""
    history: History
    """The records."""
    root: Path
    """No file outside this folder is read."""
    generate: GenerateSettings = field(default_factory=GenerateSettings)
    """How code is generated where a request does not say."""
    limits: SandboxSettings = field(default_factory=SandboxSettings)
    """Limits of tests."""
    seconds: float = 120.0
    """Longest request."""
    searches: int = 2
    """Searches with tests at once; others wait."""
    planner: Callable[[], PlannerModel] | None = None
    """Loads the maze planner; None where there is none."""
    metrics: Metrics = field(default_factory=Metrics)
    """What is counted."""
    started: float = field(default_factory=time.time)
    closing: bool = False

    def __post_init__(self) -> None:
        """Make the threads."""
        self.root = self.root.resolve()
        self._threads = ThreadPoolExecutor(self.searches, thread_name_prefix="search")
        self._searching = 0
        self._works: set[str] = set()

    def file(self, name: str) -> Path:
        """A file below the root; UsageError for any other."""
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root):
            raise UsageError(
                f"The file {name!r} lies outside the server's folder.", hint="name a file below it, see --root."
            )
        if not path.is_file():
            raise UsageError(f"There is no file {name!r} in the server's folder.", hint="name a file that is there.")
        return path

    def work(self, client: str, seconds: float | None) -> Work:
        """A search that is about to begin."""
        return Work(client, Budget(min(seconds or self.seconds, self.seconds)), Event(), [])

    async def search(self, work: Work, function: Callable[[], T]) -> T:
        """Run a search in a thread of its own; BusyError where too many wait, and its end where the caller leaves."""
        if self._searching >= self.coder.engine.settings.queue:
            raise BusyError("Too many searches are waiting.", hint="ask again in a moment.")
        context = copy_context()

        def run() -> T:
            with working_for(work):
                return function()

        self._searching += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, run)
        except asyncio.CancelledError:
            work.cancel()
            raise
        finally:
            self._searching -= 1

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Run something short that may block."""
        return await asyncio.to_thread(function)

    def stop(self, grace: float) -> None:
        """End all work: no more of it is taken, what runs has `grace` seconds."""
        self.closing = True
        self.coder.engine.stop(grace)
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.history.close()


def new_id(kind: str) -> str:
    """A fresh id for an answer."""
    return f"{kind}-{new_run_id()}"


@asynccontextmanager
async def cancelled_when_gone(receive: Callable[[], Awaitable[Any]], cancel: Callable[[], None]) -> AsyncIterator[None]:
    """Call `cancel` when the client leaves while this is open."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        cancel()

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()


class Mailbox:
    """What other threads tell the event loop, in order."""

    def __init__(self) -> None:
        """Belongs to the loop that is running."""
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, item: Any) -> None:
        """Hand something over; from any thread."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    async def get(self, seconds: float | None = None) -> Any:
        """The next item; TimeoutError after `seconds`."""
        return await asyncio.wait_for(self._queue.get(), seconds)
