"""The run of `agd generate` in the store.

A store that cannot be used is told once, as a warning, and costs nothing else: the program was already delivered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import StoreError
from agentic_diffusion.foundation.resources import peak_memory

if TYPE_CHECKING:
    from agentic_diffusion.codegen.request import GenerationRequest
    from agentic_diffusion.codegen.result import GenerationResult
    from agentic_diffusion.foundation.store import Store
    from agentic_diffusion.foundation.store.store import Status


class Record:
    """One run, from its beginning to its summary."""

    def __init__(self, store: Store | None, run: str) -> None:
        """Hold an open store, or None where nothing can be recorded."""
        self._store, self._run = store, run

    @classmethod
    def begin(cls, url: str | None, request: GenerationRequest) -> Record:
        """Open the store and note that the run began."""
        from agentic_diffusion.foundation.store import Store

        asked = {"prompt": request.prompt, "language": request.language, "seconds": request.seconds}
        shown = asked | {"batch": request.batch} | asdict(request.decode)
        with _told():
            store = Store.open(url)
            return cls(store, store.start_run("generate", shown, run_id=events.run_id() or None))
        return cls(None, "")

    def finish(self, status: Status, summary: dict[str, Any]) -> None:
        """Note how the run ended, and close the store."""
        if self._store is None:
            return
        with _told():
            self._store.finish_run(self._run, status, summary)
        self._store.close()

    def keep(self, result: GenerationResult, request: GenerationRequest) -> None:
        """Metrics, the verified program as a sample of the trajectory buffer, and the end of the run."""
        if self._store is None:
            return
        metrics = {
            "seconds": result.seconds,
            "denoise_seconds": result.denoise_seconds,
            "judge_seconds": result.judge_seconds,
            "forwards": result.forwards,
            "row_forwards": result.row_forwards,
            "new_tokens": result.new_tokens,
            "candidates": result.drawn,
            "peak_memory_bytes": peak_memory(),
        }
        with _told():
            self._store.record_metrics(self._run, {name: float(value) for name, value in metrics.items()})
            if result.verified:
                self._remember(result, request)
        self.finish("done", {"verified": result.verified, "tier": result.tier, **metrics})

    def _remember(self, result: GenerationResult, request: GenerationRequest) -> None:
        from agentic_diffusion.foundation.store import NewSample

        assert self._store is not None
        assert result.best is not None
        sample = NewSample(
            run=self._run,
            domain="code",
            task=request.prompt.strip(),
            content=result.program,
            reward=1.0,
            reward_parts={"share_passed": 1.0},
            weights=result.weights,
            provenance={"origin": result.best.origin, "mode": result.mode, "sandbox": result.tier},
        )
        self._store.add_sample(sample)


@contextmanager
def _told() -> Iterator[None]:
    """Turn a StoreError into a warning."""
    try:
        yield
    except StoreError as problem:
        events.get_logger(__name__).warning("the run is not recorded: %s (%s)", problem.message, problem.hint)
