"""One map over tasks: local processes, results in the order of the items, an error is a result.

Workers are spawned, not forked: a forked copy of a process that runs threads (a tensor library's, say) can hang. So the
function must be importable by name, and it, the items and the results must pickle. With one worker the work runs inline
in this process, without pickling.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Generic, TypeVar

from agentic_diffusion.foundation.errors import ResourceError, UsageError

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class TaskResult(Generic[T, R]):
    """What became of one item: a value, or the error that the function raised on it."""

    item: T
    """The item, as it was given."""
    value: R | None = None
    """What the function returned; None beside an error."""
    error: Exception | None = None
    """What the function raised; ResourceError if its process died."""

    def unwrap(self) -> R:
        """The value; raises the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # without an error the value is the function's own R


def map_tasks(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[TaskResult[T, R]]:
    """Apply `function` to every item in up to `workers` processes; yields the results in the order of the items.

    A failing item does not stop the others. If a worker process dies (killed for memory, say), the items that were not
    finished are reported with a ResourceError. Raises UsageError for less than one worker.
    """
    if workers < 1:
        raise UsageError(f"{workers} workers are not possible: at least 1 is needed.", hint="Use 1 to work inline.")
    todo = list(items)
    workers = min(workers, len(todo))
    return _in_processes(function, todo, workers) if workers > 1 else _inline(function, todo)


def _inline(function: Callable[[T], R], items: list[T]) -> Iterator[TaskResult[T, R]]:
    for item in items:
        try:
            result = TaskResult(item=item, value=function(item))
        except Exception as error:  # noqa: BLE001 - an error is this function's result; nothing is swallowed
            result = TaskResult(item=item, error=error)
        yield result


def _in_processes(function: Callable[[T], R], items: list[T], workers: int) -> Iterator[TaskResult[T, R]]:
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_die_quietly_on_interrupt)
    try:
        futures = [executor.submit(function, item) for item in items]
        for item, future in zip(items, futures, strict=True):
            yield _result(item, future)
    finally:  # also when the reader stops early or is interrupted
        executor.shutdown(wait=True, cancel_futures=True)


def _result(item: T, future: Future[R]) -> TaskResult[T, R]:
    error = future.exception()
    if error is None:
        return TaskResult(item=item, value=future.result())
    if isinstance(error, BrokenProcessPool):
        lost = ResourceError(
            "A worker process died before it finished its task.",
            hint="Use fewer workers; the system may have ended it for lack of memory.",
        )
        lost.__cause__ = error
        return TaskResult(item=item, error=lost)
    if not isinstance(error, Exception):  # SystemExit and its like are no result: they end the program
        raise error
    return TaskResult(item=item, error=error)


def _die_quietly_on_interrupt() -> None:
    """Ctrl-C reaches every process of the terminal; the parent reports it, a worker just ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
