"""A code model whose forwards all happen in the engine, so that searches share them with everybody else.

`generate`, `fill` and the like run in threads of their own and call `coder.decoder(settings).decode(...)` as ever;
here that queues the rows and waits. What asks the parent directly (ranking) is run between two forwards.
Whose work it is, and how long it may take, is said by `working_for` around the call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from agentic_diffusion.codegen.coder import Coder
from agentic_diffusion.diffusion.backbones.llama import Llama
from agentic_diffusion.diffusion.block_decoder import BlockDecoder
from agentic_diffusion.diffusion.running_batch import NewRow
from agentic_diffusion.domains.code.tokenizer import CodeTokenizer
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.resources import Budget
from agentic_diffusion.serve.engine import Engine, EngineSettings, Job
from agentic_diffusion.serve.errors import CancelledError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from agentic_diffusion.diffusion.backbones.adapter import Adapter
    from agentic_diffusion.diffusion.backbones.llama import Memory, Packing
    from agentic_diffusion.diffusion.block_decoder import DecodeSettings
    from agentic_diffusion.diffusion.block_state import Sample, StepView
    from agentic_diffusion.diffusion.constraint import RowConstraint


_GRACE_SECONDS = 15.0
"""How much later than a search itself the engine ends what the search asked for."""


@dataclass
class Work:
    """One search for one client."""

    client: str
    """Whose it is."""
    budget: Budget
    """How long it may take."""
    gone: threading.Event
    """Set when nobody waits for it any more."""
    jobs: list[Job]
    """What it has asked of the engine."""

    def cancel(self) -> None:
        """Nobody waits for it any more; from any thread."""
        self.gone.set()
        for job in list(self.jobs):
            job.cancel()


_WORK: ContextVar[Work | None] = ContextVar("work", default=None)


@contextmanager
def working_for(work: Work) -> Iterator[None]:
    """Let all that this thread asks of the engine belong to `work`."""
    token = _WORK.set(work)
    try:
        yield
    finally:
        _WORK.reset(token)


@dataclass(frozen=True)
class ServedCoder(Coder):
    """A code model behind an engine."""

    engine: Engine = field(kw_only=True)
    """The thread that owns it."""

    @classmethod
    def over(cls, coder: Coder, settings: EngineSettings) -> ServedCoder:
        """Put an engine, not yet started, before a loaded model."""
        engine = Engine(coder.parent, coder.adapter, settings)
        parts = {part.name: getattr(coder, part.name) for part in fields(coder)}
        parts |= {"parent": _LentParent(coder.parent, engine), "tokenizer": SharedTokenizer.of(coder.tokenizer)}
        return cls(**parts, engine=engine)

    def decoder(self, settings: DecodeSettings) -> BlockDecoder:
        """A decoder whose rows join the engine's batches."""
        return ServedDecoder(self.parent, self.adapter, settings, self.engine)


class ServedDecoder(BlockDecoder):
    """Decodes in the engine."""

    def __init__(self, parent: Llama, adapter: Adapter | None, settings: DecodeSettings, engine: Engine) -> None:
        """As `BlockDecoder`, and the engine."""
        super().__init__(parent, adapter, settings)
        self._engine = engine

    def decode(
        self,
        prompts: Sequence[Sequence[int]],
        streams: Sequence[int],
        *,
        observe: Callable[[StepView], None] | None = None,
        stop: Callable[[], bool] | None = None,
        ends: Callable[[Int[Tensor, "B T"]], Bool[Tensor, "B T"]] | None = None,
        constraints: Sequence[RowConstraint | None] | None = None,
    ) -> list[Sample]:
        """See `BlockDecoder.decode`; CancelledError when nobody waits, TimedOutError when it takes too long."""
        work = _WORK.get()
        if work is not None and work.gone.is_set():
            raise CancelledError("The request was cancelled.", hint="ask again.")
        held = constraints or [None] * len(prompts)
        rows = [
            NewRow(prompt=prompt, settings=self.settings, stream=int(stream), constraint=constraint, ends=ends)
            for prompt, stream, constraint in zip(prompts, streams, held, strict=True)
        ]
        if not rows:
            raise UsageError("There is nothing to continue: a prompt has no token.", hint="give a prompt.")
        job = Job(
            rows=rows,
            client=work.client if work is not None else "",
            # The search cuts itself when its time is up; what it found so far is worth more than an error.
            seconds=work.budget.remaining() + _GRACE_SECONDS if work is not None else None,
            observe=observe,
            stop=stop,
            quorum=self.settings.quorum,
        )
        if work is not None:
            work.jobs[:] = [job]
        self._engine.submit(job)
        ended = job.outcome.result()
        self.counts.forwards += job.forwards
        self.counts.row_forwards += sum(one.steps for one in ended)
        self.counts.new_tokens += sum(len(one.sample.tokens) + one.sample.finished for one in ended)
        return [one.sample for one in ended]


class SharedTokenizer(CodeTokenizer):
    """A tokenizer that several threads use: the library's own refuses a thread while another one is inside."""

    def __init__(self, inner: CodeTokenizer) -> None:
        """Wrap a tokenizer."""
        self._inner, self._lock = inner, threading.Lock()
        self.fence_id = inner.fence_id

    @classmethod
    def of(cls, inner: CodeTokenizer) -> SharedTokenizer:
        """The tokenizer, made safe."""
        return inner if isinstance(inner, SharedTokenizer) else cls(inner)

    def definition(self) -> str:
        """See `CodeTokenizer`."""
        with self._lock:
            return self._inner.definition()

    def encode(self, text: str) -> list[int]:
        """See `CodeTokenizer`."""
        with self._lock:
            return self._inner.encode(text)

    def encode_with_places(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """See `CodeTokenizer`."""
        with self._lock:
            return self._inner.encode_with_places(text)

    def decode(self, tokens: Sequence[int]) -> str:
        """See `CodeTokenizer`."""
        with self._lock:
            return self._inner.decode(tokens)

    def special(self, token: str) -> int:
        """See `CodeTokenizer`."""
        with self._lock:
            return self._inner.special(token)


class _LentParent(Llama):
    """The parent for those who are not the engine: its forwards wait for their turn."""

    def __init__(self, parent: Llama, engine: Engine) -> None:
        vars(self).update(vars(parent))
        self._parent, self._engine = parent, engine
        self.shape = replace(parent.shape, context=min(parent.shape.context, engine.settings.tokens))

    def forward(
        self, hidden: Float[Tensor, "N D"], packing: Packing, memory: Memory, adapter: Adapter | None = None
    ) -> Float[Tensor, "N D"]:
        """See `Llama.forward`."""
        from torch import inference_mode

        def pass_through() -> Float[Tensor, "N D"]:
            with inference_mode():
                return self._parent.forward(hidden, packing, memory, adapter)

        return self._engine.call(pass_through)
