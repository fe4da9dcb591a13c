"""One suite, many turns: a judge whose worker stays between them.

The start of a virtual machine or a compiler costs as much as dozens of candidates, and a search asks for verdicts again
and again. Python's workers start at once, so these come and go as in `execution.judge_each`. Times are seconds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from types import TracebackType

from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.sandbox.base import Limits, Sandbox
from agentic_diffusion.testing import verdicts
from agentic_diffusion.testing.execution import judge_each
from agentic_diffusion.testing.pace import Pace
from agentic_diffusion.testing.runner import WorkerServer
from agentic_diffusion.testing.suite import Suite
from agentic_diffusion.testing.verdicts import Verdict


class StandingJudge:
    """Verdicts on candidates, turn after turn; to be used in a `with`."""

    def __init__(self, suite: Suite, sandbox: Sandbox, limits: Limits, pace: Pace) -> None:
        """Nothing starts yet; SetupError when the language's toolchain is missing."""
        self.suite, self.sandbox, self.limits, self.pace = suite, sandbox, limits, pace
        self.language = languages.get(suite.language)
        self.server: WorkerServer | None = None
        if self.language.harness is not None:
            self.server = WorkerServer(suite, sandbox, limits, pace, random.SystemRandom())

    @property
    def batch(self) -> int:
        """How many verdicts come at once."""
        return 1 if self.server is None else self.server.batch

    def each(self, candidates: Sequence[str]) -> Iterator[Verdict]:
        """A verdict for every candidate, in their order; those that do not parse are not run."""
        if self.server is None:
            yield from judge_each(self.suite, candidates, self.sandbox, self.limits, pace=self.pace)
            return
        for start in range(0, len(candidates), self.server.batch):
            batch = candidates[start : start + self.server.batch]
            problems = [self.language.parse_error(candidate) for candidate in batch]
            judged = self.server.verdicts([text for text, bad in zip(batch, problems, strict=True) if bad is None])
            for candidate, problem in zip(batch, problems, strict=True):
                if problem is not None:
                    yield verdicts.unparsed(candidate, self.suite, problem, self.sandbox.tier)
                else:
                    yield next(judged)

    def __enter__(self) -> StandingJudge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.server is not None:
            self.server.__exit__(kind, error, trace)
