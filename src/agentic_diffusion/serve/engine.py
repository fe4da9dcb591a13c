"""The engine: one thread owns the model; requests of many clients share its forwards.

Every turn the thread runs what was asked of it, lets the next rows in, reads a piece of one waiting prompt, and makes
one forward of every lane. A lane is a running batch of one mode and block length. Clients take turns: whoever has
waited longest without a turn gives the next row, however many requests others have in the queue.

    Job.observe, Job.stop     called on the engine's thread after each forward; they must return at once
    Job.outcome               the samples, or the error that ended the job
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from agentic_diffusion.diffusion.block_decoder import Mode
from agentic_diffusion.diffusion.block_state import Sample, StepView
from agentic_diffusion.diffusion.running_batch import Ended, NewRow, PromptCache, Reading, RunningBatch
from agentic_diffusion.foundation.errors import AgdError, ConfigError, ResourceError
from agentic_diffusion.foundation.events import get_logger
from agentic_diffusion.serve.errors import BusyError, CancelledError, TimedOutError

if TYPE_CHECKING:
    from agentic_diffusion.diffusion.backbones.adapter import Adapter
    from agentic_diffusion.diffusion.backbones.llama import Llama

T = TypeVar("T")
Lane = tuple[Mode, int]
_LANES = 4
"""Running batches at once."""
_IDLE_SECONDS = 0.5
"""How often an engine without work looks at its clock."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """How much is done at once."""

    rows: int = 8
    """Texts of one lane that are denoised together."""
    tokens: int = 2048
    """Longest prompt and answer together."""
    queue: int = 64
    """Jobs in flight and waiting; more are refused."""
    queue_per_client: int = 32
    """The same of one client."""
    piece: int = 256
    """Tokens of a prompt that are read between two forwards."""
    prompt_bytes: int = 256 << 20
    """Memory for prompts that were read."""

    def __post_init__(self) -> None:
        """Check that there is room for something."""
        for name in ("rows", "queue", "queue_per_client", "piece"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)} and must be 1 or more.", hint="Leave it out.")
        if self.tokens < 64:
            raise ConfigError(f"{self.tokens} tokens are too few for prompt and answer.", hint="Use 64 or more.")


@dataclass(kw_only=True, eq=False)
class Job:
    """Rows that belong together: the choices of one request, or the candidates of one batch."""

    rows: Sequence[NewRow]
    """What is to be gone on from; their streams tell them apart."""
    client: str = ""
    """Whose it is."""
    seconds: float | None = None
    """Longest time from now; None is without end."""
    observe: Callable[[StepView], None] | None = None
    """Sees the job's rows after each forward that one of them took part in."""
    stop: Callable[[], bool] | None = None
    """True cuts all rows where they are."""
    quorum: float = 1.0
    """When this share of the rows has ended, the others are cut."""
    outcome: Future[list[Ended]] = field(default_factory=Future)
    """The ended rows in their order."""
    forwards: int = 0
    """Forwards that a row of it took part in."""
    first_step: float | None = None
    """Seconds from its coming to its first forward."""
    came: float = field(default_factory=time.monotonic)
    waiting: deque[int] = field(default_factory=deque)
    ended: dict[int, Ended] = field(default_factory=dict)
    cut_rows: set[int] = field(default_factory=set)
    cancelled: bool = False

    def cancel(self) -> None:
        """Nobody waits for it any more; from any thread."""
        self.cancelled = True

    def cut(self, row: int) -> None:
        """Let one row end with its next forward; from the engine's thread (`observe`) or any other."""
        self.cut_rows.add(row)


class Engine:
    """The thread that owns a model."""

    def __init__(self, parent: Llama, adapter: Adapter | None, settings: EngineSettings) -> None:
        """Nothing runs before `start`."""
        self.parent, self.adapter, self.settings = parent, adapter, settings
        self.forwards = self.row_forwards = self.new_tokens = 0
        self.failure: str | None = None
        """Why the engine stopped by itself; None while it is well."""
        self._prompts = PromptCache(parent, most_bytes=settings.prompt_bytes)
        self._lanes: dict[Lane, RunningBatch] = {}
        self._jobs: dict[str, deque[Job]] = {}
        self._turns: deque[str] = deque()
        self._flying: dict[tuple[Lane, int], tuple[Job, int]] = {}
        self._reading: tuple[Job, int, Reading] | None = None
        self._calls: deque[tuple[Future[object], Callable[[], object]]] = deque()
        self._wake = threading.Condition()
        self._closing = self._stopped = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    # From any thread

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; BusyError where there are too many, UsageError where a row can never be done."""
        for row in job.rows:
            self._check(row)
        with self._wake:
            if self._closing or self.failure is not None:
                raise ResourceError("The server takes no more work.", hint="ask again when it is back.")
            if (
                self.load >= self.settings.queue
                or len(self._jobs.get(job.client, ())) >= self.settings.queue_per_client
            ):
                raise BusyError("Too many requests are waiting.", hint="ask again in a moment.")
            job.waiting.extend(range(len(job.rows)))
            if job.client not in self._jobs:
                self._jobs[job.client] = deque()
                self._turns.append(job.client)
            self._jobs[job.client].append(job)
            self._wake.notify()

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the engine's thread, between two forwards, and give back its result."""
        if threading.current_thread() is self._thread:
            return function()
        done: Future[object] = Future()
        with self._wake:
            if self._stopped or self.failure is not None:
                raise ResourceError("The server takes no more work.", hint="ask again when it is back.")
            self._calls.append((done, function))
            self._wake.notify()
        return done.result()  # type: ignore[return-value]  # the future is of this very function

    @property
    def load(self) -> int:
        """Jobs in flight and waiting."""
        with self._wake:
            return sum(len(jobs) for jobs in self._jobs.values())

    @property
    def rows_in_flight(self) -> int:
        """Rows in all running batches."""
        return sum(len(batch) for batch in list(self._lanes.values()))

    @property
    def tokens_reused(self) -> int:
        """Prompt tokens that were in the cache."""
        return self._prompts.reused

    def stop(self, grace: float) -> None:
        """Take no more jobs, give those there are `grace` seconds, then end them; returns when the thread has gone."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        until = time.monotonic() + grace
        while self.load and time.monotonic() < until and self._thread.is_alive():
            time.sleep(0.02)
        with self._wake:
            self._stopped = True
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join()

    # On the engine's thread

    def _run(self) -> None:
        why: AgdError = CancelledError("The server is stopping.", hint="ask again when it is back.")
        try:
            while not self._stopped:
                self._turn()
        except Exception as problem:  # noqa: BLE001 - a defect must reach those who wait, or they would wait for ever
            get_logger(__name__).exception("the engine stopped")
            self.failure = f"{type(problem).__name__}: {problem}"
            why = ResourceError("The model's engine stopped by a defect.", hint="restart the server.")
        with self._wake:
            self._stopped = True
            jobs = [job for queue in self._jobs.values() for job in queue]
            calls = list(self._calls)
            self._jobs.clear()
        for job in jobs:
            _fail(job, why)
        for done, _ in calls:
            done.set_exception(why)

    def _turn(self) -> None:
        """One round: calls, those who left, those who come, one forward of every lane."""
        with self._wake:
            if not self._calls and not self._jobs and not self._stopped:
                self._wake.wait(_IDLE_SECONDS)
            calls = list(self._calls)
            self._calls.clear()
            jobs = [job for queue in self._jobs.values() for job in queue]
        for done, function in calls:
            try:
                done.set_result(function())
            except Exception as problem:  # noqa: BLE001 - it is the caller's, and is raised there
                done.set_exception(problem)
        for job in jobs:
            self._look_at(job)
        self._admit()
        for lane in list(self._lanes):
            self._step(lane)

    def _look_at(self, job: Job) -> None:
        """End a job that nobody waits for, or that takes too long; cut rows that shall be cut."""
        if job.cancelled:
            self._end(job, CancelledError("The request was cancelled.", hint="ask again."))
        elif job.seconds is not None and time.monotonic() - job.came > job.seconds:
            self._end(
                job,
                TimedOutError(
                    f"The request took longer than {job.seconds:g} s.", hint="ask for fewer tokens, or give more time."
                ),
            )
        elif job.stop is not None and job.stop():
            self._cut(job)

    def _cut(self, job: Job) -> None:
        """Let all rows of a job end where they are; those that never began have nothing to show."""
        job.cut_rows.update(range(len(job.rows)))
        while job.waiting:
            index = job.waiting.popleft()
            job.ended[index] = Ended(Sample(job.rows[index].stream, [], False, 0.0, []), 0)
        self._end_if_whole(job)

    def _end_if_whole(self, job: Job) -> None:
        if len(job.ended) == len(job.rows):
            self._end(job, None)

    def _admit(self) -> None:
        """Read a piece of the next prompt, and let rows whose prompt is read join; many, where reading is short."""
        room = self.settings.piece
        while room > 0:
            if self._reading is None and not self._next_reading():
                return
            assert self._reading is not None
            job, index, reading = self._reading
            before = reading.read
            reading.advance(room)
            room -= max(reading.read - before, 1)
            if reading.over:
                self._prompts.keep(reading)
                lane = _lane(job.rows[index])
                self._flying[lane, self._lanes[lane].join(job.rows[index], reading)] = (job, index)
                self._reading = None

    def _next_reading(self) -> bool:
        """Take the next row that has a place, by turns of the clients; whether there was one."""
        with self._wake:
            for client in list(self._turns):
                for job in self._jobs[client]:
                    if job.waiting and not job.outcome.done() and self._has_place(_lane(job.rows[job.waiting[0]])):
                        index = job.waiting.popleft()
                        self._turns.remove(client)
                        self._turns.append(client)
                        self._reading = job, index, self._prompts.open(job.rows[index].prompt)
                        return True
        return False

    def _has_place(self, lane: Lane) -> bool:
        """Whether a row may join a lane; makes the lane, in the place of an empty one if need be."""
        if lane not in self._lanes:
            empty = next((known for known, batch in self._lanes.items() if not len(batch)), None)
            if len(self._lanes) >= _LANES:
                if empty is None:
                    return False
                del self._lanes[empty]
            self._lanes[lane] = self._batch(lane, self.settings.rows)
        return self._lanes[lane].free > 0

    def _batch(self, lane: Lane, rows: int) -> RunningBatch:
        mode, block = lane
        slots = self.settings.tokens + 3 * block + block * block
        return RunningBatch(self.parent, self.adapter, mode=mode, block=block, rows=rows, slots=slots)

    def _step(self, lane: Lane) -> None:
        """One forward of a lane, and what it means for the jobs."""
        batch = self._lanes[lane]
        if not len(batch):
            return
        for (at, key), (job, index) in self._flying.items():
            if at == lane and index in job.cut_rows:
                batch.cut(key)
        done = batch.step()
        self.forwards += 1
        self.row_forwards += len(done.keys)
        shown: dict[Job, list[int]] = {}
        for place, key in enumerate(done.keys):
            job, index = self._flying[lane, key]
            shown.setdefault(job, []).append(place)
            if key in done.ended:
                del self._flying[lane, key]
                job.ended[index] = done.ended[key]
                self.new_tokens += len(done.ended[key].sample.tokens) + done.ended[key].sample.finished
        for job, places in shown.items():
            self._tell(job, done.view, places)

    def _tell(self, job: Job, view: StepView, places: list[int]) -> None:
        """Show a job its step; end it where it is whole."""
        job.forwards += 1
        if job.first_step is None:
            job.first_step = time.monotonic() - job.came
        try:
            if job.observe is not None:
                job.observe(_part(view, places))
        except Exception as problem:  # noqa: BLE001 - the observer's error ends its own job alone
            self._end(job, problem)
            return
        if len(job.ended) >= job.quorum * len(job.rows):
            self._cut(job)
        else:
            self._end_if_whole(job)

    def _end(self, job: Job, problem: Exception | None) -> None:
        """Take a job out of everything, and tell who waits."""
        if self._reading is not None and self._reading[0] is job:
            self._reading = None
        for lane, key in [place for place, (owner, _) in self._flying.items() if owner is job]:
            self._lanes[lane].drop(key)
            del self._flying[lane, key]
        with self._wake:
            queue = self._jobs.get(job.client)
            if queue is not None and job in queue:
                queue.remove(job)
                if not queue:
                    del self._jobs[job.client]
                    self._turns.remove(job.client)
        if problem is not None:
            _fail(job, problem)
        elif not job.outcome.done():
            job.outcome.set_result([job.ended[index] for index in sorted(job.ended)])

    def _check(self, row: NewRow) -> None:
        """UsageError where a row has no token or does not fit; ConfigError where its mode needs an adapter."""
        lane = _lane(row)
        limit = min(self.settings.tokens, self.parent.shape.context)
        RunningBatch.check_length(row, limit)
        if self.adapter is None and lane[0] != "ar":
            raise ConfigError(f"The mode {lane[0]!r} needs an adapter.", hint="use mode ar.")


def _lane(row: NewRow) -> Lane:
    return row.settings.mode, row.settings.block


def _fail(job: Job, problem: Exception) -> None:
    if not job.outcome.done():
        job.outcome.set_exception(problem)


def _part(view: StepView, places: list[int]) -> StepView:
    """The rows of a step that belong to one job."""
    return StepView(
        [view.streams[place] for place in places],
        [view.committed[place] for place in places],
        [view.window[place] for place in places],
        [view.confidence[place] for place in places],
        [view.sure[place] for place in places],
    )
