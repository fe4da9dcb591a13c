"""The loop of self-improvement: attempt, keep what is good, adapt, and accept only what the gate accepts.

    1. attempt      the domain proposes tasks, samples guided candidates, runs them; the reward is measured
    2. keep         the discriminator lets pass what was solved and beats the weights' own unguided attempt
    3. remember     kept attempts become samples of the buffer, with round, checksum of the weights, provenance
    4. adapt        the strategy changes the live weights by all kept evidence
    5. gate         old and new weights on held-out tasks; a paired bootstrap decides
    6. roll back    where it says no, the old weights come back, to the byte

Every round is a run of kind "self-improve round" in the store, with its metrics; the buffer over the same store holds
what was kept, so that a loop that was stopped goes on from both. Liang et al. 2023
(AdaptDiffuser), algorithm 1, is this loop without 5 and 6.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.adaptation.gate import GateSettings, Verdict, judge
from agentic_diffusion.adaptation.strategy import Attempt, LoopDomain, Strategy
from agentic_diffusion.diffusion.buffer import BufferSample, TrajectoryBuffer
from agentic_diffusion.foundation.errors import NegativeResultError, StoreError
from agentic_diffusion.foundation.store.store import Status, Store

KIND = "self-improve round"
Discriminator = Callable[[Attempt], bool]


@dataclass(frozen=True, kw_only=True)
class RoundReport:
    """What one round did."""

    round: int
    """Counts from 1."""
    attempts: int
    """Tasks that were tried."""
    kept: int
    """Attempts that passed the discriminator."""
    reward: float
    """Mean reward of the kept attempts; 0 where none was kept."""
    before: float
    """Mean held-out reward of the old weights."""
    after: float
    """Mean held-out reward of the new weights."""
    verdict: Verdict | None
    """What the gate said; None where nothing was kept, so that nothing was tried."""
    weights: str
    """SHA-256 of the weights at the end of the round."""

    @property
    def accepted(self) -> bool:
        """Whether the weights changed."""
        return self.verdict is not None and self.verdict.accepted


def beats_baseline(attempt: Attempt) -> bool:
    """The default discriminator: solved, and better than the weights do without guidance."""
    return attempt.solved and attempt.sample.reward > attempt.baseline


class SelfImprovement:
    """The loop over one domain; all state that outlives a round lies in the weights and in the store."""

    def __init__(
        self,
        domain: LoopDomain,
        strategy: Strategy,
        store: Store,
        buffer: TrajectoryBuffer,
        *,
        label: str,
        gate: GateSettings | None = None,
        discriminator: Discriminator = beats_baseline,
    ) -> None:
        """`label` names this loop in store and buffer: rounds with the same label share their evidence."""
        self._domain, self._strategy, self._store, self._label = domain, strategy, store, label
        self._buffer = buffer
        self._gate, self._discriminator = gate or GateSettings(), discriminator
        self._held_out: NDArray[np.float64] | None = None

    def round(self, number: int) -> RoundReport:
        """One round; see the top of this file. An error leaves the weights as they were and the run as failed."""
        old = self._domain.weights()
        run = self._store.start_run(KIND, {"loop": self._label, "round": number, "domain": self._domain.name})
        try:
            report = self._round(number, run, old)
        except BaseException as stop:
            self._roll_back(old)
            status: Status = "interrupted" if isinstance(stop, KeyboardInterrupt) else "failed"
            self._store.finish_run(run, status, {})
            raise
        numbers = {
            "attempts": float(report.attempts),
            "kept": float(report.kept),
            "reward": report.reward,
            "held_out_before": report.before,
            "held_out_after": report.after,
        }
        self._store.record_metrics(run, numbers, step=number)
        self._store.finish_run(run, "done", asdict(report) | {"accepted": report.accepted})
        return report

    def evidence(self) -> list[BufferSample]:
        """All samples that this loop has kept and the buffer still holds, best first."""
        return [sample for sample in self._buffer.samples() if sample.provenance.get("loop") == self._label]

    def _round(self, number: int, run: str, old: bytes) -> RoundReport:
        attempts = self._domain.attempt(number)
        kept = [attempt for attempt in attempts if self._discriminator(attempt)]
        before = self._domain.evaluate() if self._held_out is None else self._held_out
        self._held_out = before
        if not kept:
            return _report((number, attempts, kept), (before, before), None, old)
        self._remember(kept, number, run, old)
        logged = self._strategy.adapt(self.evidence(), number)
        self._store.record_metrics(run, dict(logged), step=number)
        after = self._domain.evaluate()
        verdict = judge(before, after, self._gate)
        if verdict.accepted:
            self._held_out = after
        else:
            self._roll_back(old)
        return _report((number, attempts, kept), (before, after), verdict, self._domain.weights())

    def _remember(self, kept: Sequence[Attempt], number: int, run: str, weights: bytes) -> None:
        made_by = hashlib.sha256(weights).hexdigest()
        self._buffer.add(
            replace(
                attempt.sample,
                run=run,
                round=number,
                weights=made_by,
                provenance={**attempt.sample.provenance, "loop": self._label},
            )
            for attempt in kept
        )

    def _roll_back(self, old: bytes) -> None:
        """Put the old weights back and see that they are the same bytes."""
        self._domain.restore(old)
        if self._domain.weights() != old:
            raise StoreError(
                "The rollback did not give the old weights back.",
                hint="Load the last accepted weights from their file.",
            )


def run_rounds(
    loop: SelfImprovement, rounds: Sequence[int], report: Callable[[RoundReport], None], *, patience: int = 2
) -> list[RoundReport]:
    """Rounds until `patience` in a row are refused; raises NegativeResultError if none at all is accepted."""
    done: list[RoundReport] = []
    for number in rounds:
        done.append(loop.round(number))
        report(done[-1])
        if len(done) >= patience and not any(one.accepted for one in done[-patience:]):
            break
    if not any(one.accepted for one in done):
        raise NegativeResultError(
            f"None of {len(done)} rounds was accepted by the gate; the weights are as they were.",
            hint="Give a round more tasks, or the fine-tuning more time.",
        )
    return done


def _report(
    counts: tuple[int, Sequence[Attempt], Sequence[Attempt]],
    rewards: tuple[NDArray[np.float64], NDArray[np.float64]],
    verdict: Verdict | None,
    weights: bytes,
) -> RoundReport:
    number, attempts, kept = counts
    return RoundReport(
        round=number,
        attempts=len(attempts),
        kept=len(kept),
        reward=float(np.mean([attempt.sample.reward for attempt in kept])) if kept else 0.0,
        before=float(rewards[0].mean()),
        after=float(rewards[1].mean()),
        verdict=verdict,
        weights=hashlib.sha256(weights).hexdigest(),
    )
