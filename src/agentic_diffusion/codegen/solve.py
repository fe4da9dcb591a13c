"""A project, its tests and perhaps a goal: an agent that acts, sees, and acts again until the tests pass.

The loop is deterministic, the model fills. The tests run; what is a stub is filled in, and a file of stubs written
whole; what is there and wrong is localised across the files and repaired; what passes more without failing anything
new is kept and gone on from, until all passes or the budget is spent. What passed before on the same files and tests
comes first, out of memory. Every step is an event, and stands in the journal: a solve that was ended goes on there.
Times are seconds, lines count from 1.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agentic_diffusion.codegen.bundle import Bundle
from agentic_diffusion.codegen.generator import generate
from agentic_diffusion.codegen.hole import Hole
from agentic_diffusion.codegen.infill import fill
from agentic_diffusion.codegen.repair import better, repair
from agentic_diffusion.codegen.repair_result import RepairRequest
from agentic_diffusion.codegen.request import GenerationRequest
from agentic_diffusion.codegen.stubs import stubs
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.resources import Budget
from agentic_diffusion.foundation.sandbox import Limits
from agentic_diffusion.testing.execution import confirm, judge, judge_each

if TYPE_CHECKING:
    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.foundation.sandbox import Sandbox
    from agentic_diffusion.testing.suite import Suite
    from agentic_diffusion.testing.verdicts import Verdict

Kind = Literal["looked", "ran", "recalled", "chose", "tried", "kept", "remembered", "stopped"]
"""What an event tells: see `SolveEvent.message`."""
Action = Literal["infill", "generate", "repair"]

_SHARES: Mapping[Action, float] = {"infill": 0.5, "generate": 0.5, "repair": 0.4}
"""Share of the time that is left which one action may take."""
_BODY_LINES, _LINE_TOKENS = (4, 8, 12), 24
"""Lines that a body may have in the first turns and later, and the tokens that a line is given."""
_FILLINGS = 6
"""Fillings asked for a body in one turn."""
_LEAST_SECONDS = 5.0
"""An action is not begun with less time."""
_IDLE = 4
"""So many actions in a row that bring nothing end the solve."""


class Memory(Protocol):
    """What worked before, by the key of a task."""

    def recall(self, key: str) -> Iterable[str]:
        """Programs that passed, the best first."""

    def remember(self, key: str, program: str, weights: str) -> None:
        """Keep a program that passed."""


@dataclass(frozen=True, kw_only=True)
class SolveEvent:
    """One step, as another agent reads it."""

    kind: Kind
    """What happened."""
    message: str
    """The same in one sentence."""
    seconds: float
    """Since the solve began."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Numbers and names, JSON-ready."""

    def as_json(self) -> dict[str, object]:
        """JSON-ready."""
        return {"kind": self.kind, "message": self.message, "seconds": round(self.seconds, 3), "data": dict(self.data)}


@dataclass(frozen=True, kw_only=True)
class SolveRequest:
    """The files, the tests, the goal, the limits."""

    bundle: Bundle
    """The files that the tests are about."""
    suite: Suite
    """The tests; they are never changed."""
    goal: str = ""
    """What shall be done, in words; may be empty."""
    seconds: float = 300.0
    """Budget of the whole."""
    decode: DecodeSettings = field(default_factory=lambda: DecodeSettings(temperature=0.8))
    """How the model writes."""
    actions: int | None = None
    """Actions at most; None is as many as the budget allows."""
    judged: int | None = None
    """Programs that one repair judges at most; None is as many as the budget allows."""
    case_seconds: float = 10.0
    """Limit of one program's run on the suite."""
    memory_bytes: int = 512 << 20
    """Memory limit of one program."""

    def __post_init__(self) -> None:
        """Check the budget and the counts."""
        if min(1 if self.actions is None else self.actions, 1 if self.judged is None else self.judged) < 1:
            raise UsageError("At least one action and one program are needed.", hint="leave the counts out.")
        if not self.seconds > 0:
            raise UsageError(f"A budget of {self.seconds} seconds leaves no time.", hint="use --budget 5m.")

    @property
    def key(self) -> str:
        """The task's name in memory: the same files and tests have the same one."""
        text = json.dumps([self.bundle.language, self.bundle.program, self.suite.source])
        return f"solve {hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class SolveResult:
    """How far it came."""

    solved: bool
    """Whether all tests pass, confirmed beside a planted false assertion."""
    program: str
    """The best bundle."""
    first: Verdict
    """The verdict on the files as they were."""
    verdict: Verdict
    """The verdict on the best."""
    events: tuple[SolveEvent, ...]
    """Every step."""
    seconds: float
    """Wall seconds, without loading the model."""


def solve(
    request: SolveRequest,
    coder: Coder,
    sandbox: Sandbox,
    *,
    observe: Callable[[SolveEvent, str], None] | None = None,
    memory: Memory | None = None,
    start: str | None = None,
    done: int = 0,
) -> SolveResult:
    """Work until the tests pass, the budget is spent, or nothing helps.

    `observe` gets every event with the best program so far (what a journal keeps). To go on where a journal ended, give
    its last program as `start` and the number of its actions as `done`. Nothing is given back that passes fewer tests
    than the files as they were, or fails one that passed.
    """
    return _Solve(request, coder, sandbox, observe, memory).run(start, done)


class _Solve:
    """One request in the making."""

    def __init__(
        self,
        request: SolveRequest,
        coder: Coder,
        sandbox: Sandbox,
        observe: Callable[[SolveEvent, str], None] | None,
        memory: Memory | None,
    ) -> None:
        self.request, self.coder, self.sandbox = request, coder, sandbox
        self.observe, self.memory = observe, memory
        self.language = languages.get(request.bundle.language)
        self.budget = Budget(request.seconds)
        self.limits = Limits(seconds=request.case_seconds, memory_bytes=request.memory_bytes)
        self.events: list[SolveEvent] = []
        self.program = request.bundle.program

    def run(self, start: str | None, done: int) -> SolveResult:
        """Look, run, recall; then act until it is done."""
        bundle, suite = self.request.bundle, self.request.suite
        self._tell("looked", f"{len(suite.cases)} cases are about {', '.join(bundle.paths)}", files=list(bundle.paths))
        self.first = self.verdict = judge(suite, [self.program], self.sandbox, self.limits)[0]
        self._tell_run()
        for program in [start] if start is not None else []:
            self._keep(program, "the journal")
        if not self._finished() and self.memory is not None:
            for program in self.memory.recall(self.request.key):
                self._tell("recalled", "a program that passed these tests before is tried first")
                self._keep(program, "memory")
        idle = 0
        last = done + self.request.actions if self.request.actions is not None else math.inf
        while not self._finished() and self.budget.remaining() > _LEAST_SECONDS and idle < _IDLE and done < last:
            idle = 0 if self._act(done) else idle + 1
            done += 1
        solved = self._finished() and (self.first.ok or self._confirmed())
        if solved and not self.first.ok and self.memory is not None:
            self.memory.remember(self.request.key, self.program, self.coder.weights)
            self._tell("remembered", "what passed is kept for the next time")
        why = (
            "all tests pass"
            if solved
            else "the budget is spent"
            if self.budget.exhausted()
            else "nothing helps further"
        )
        passed = f"{self.verdict.passed} of {self.verdict.total} cases pass, {self.first.passed} did before"
        self._tell("stopped", f"{why}: {passed}", solved=solved, passed=self.verdict.passed)
        return SolveResult(
            solved=solved, program=self.program, first=self.first, verdict=self.verdict, events=tuple(self.events),
            seconds=self.budget.spent(),
        )  # fmt: skip

    def _finished(self) -> bool:
        return self.verdict.ok

    def _confirmed(self) -> bool:
        """Once more alone in a fresh process, beside a planted false assertion; else back to the beginning."""
        again = confirm(self.request.suite, self.program, self.sandbox, self.limits)
        if not again.ok:
            self.program, self.verdict = self.request.bundle.program, self.first
        return again.ok

    def _act(self, turn: int) -> bool:
        """One action; whether the best program became better."""
        action = self._choice(turn)
        seconds = max(_LEAST_SECONDS, _SHARES[action] * self.budget.remaining())
        self._tell("chose", f"{action}, for {seconds:.0f} s at most: {self._why(action)}", action=action, turn=turn)
        if action == "infill":
            return self._infill(Budget(seconds), turn)
        if action == "generate":
            return self._generate(seconds, turn)
        return self._repair(seconds, turn)

    def _choice(self, turn: int) -> Action:
        """Stubs are filled and a single file of stubs is written whole, in turn; anything else is repaired."""
        waiting = bool(list(stubs(self.program, self.language.name)))
        alone = len(self.request.bundle.paths) == 1
        if waiting:
            return "generate" if alone and turn % 2 else "infill"
        return "generate" if alone and self.verdict.passed == 0 and turn % 3 == 2 else "repair"

    def _why(self, action: Action) -> str:
        if action == "infill":
            lines = [stub.line for stub in stubs(self.program, self.language.name)]
            places = [":".join(map(str, self.request.bundle.place(line))) for line in lines[:5]]
            return f"functions without a body at {', '.join(places)}"
        if action == "generate":
            return "one file holds it all, so it can be written whole"
        return self.verdict.message

    def _infill(self, budget: Budget, turn: int) -> bool:
        """Fill every stub, each with what was best for those before it."""
        gained = False
        data = self.program.encode()
        for number in range(len(list(stubs(self.program, self.language.name)))):
            there = list(stubs(self.program, self.language.name))
            if number >= len(there) or budget.exhausted():
                break
            data, stub = self.program.encode(), there[number]
            hole = Hole(
                prefix=data[: stub.begin].decode(), suffix=data[stub.end :].decode(), language=self.language.name,
                note=self._note(),
            )  # fmt: skip
            lines = _BODY_LINES[min(turn, len(_BODY_LINES) - 1)]
            longest = min(self.request.decode.max_new_tokens, _LINE_TOKENS * lines)
            found = fill(
                hole, self.coder, candidates=_FILLINGS,
                settings=replace(self.request.decode, max_new_tokens=longest),
                seed=self.request.decode.seed + 100 * turn + number, longest_lines=lines, stop=budget.exhausted,
            )  # fmt: skip
            programs = list(dict.fromkeys(hole.filled(filling.text) for filling in found if filling.parses))
            gained |= self._best_of(programs, f"a body at line {stub.line} filled")
        return gained

    def _generate(self, seconds: float, turn: int) -> bool:
        """Write the only file whole."""
        goal = self.request.goal.strip() or "Write this program."
        request = GenerationRequest(
            prompt=f"{goal}\n\nGo on from this:\n{self.request.bundle.program.strip()}", suite=self.request.suite,
            language=self.language.name, seconds=seconds, case_seconds=self.request.case_seconds,
            decode=replace(self.request.decode, seed=self.request.decode.seed + turn),
            memory_bytes=self.request.memory_bytes,
        )  # fmt: skip
        found = generate(request, self.coder, self.sandbox)
        self._tell("tried", f"{found.drawn} whole programs: {found.explain()}", judged=len(found.candidates))
        return self._keep(found.program, "a whole program") if found.program else False

    def _repair(self, seconds: float, turn: int) -> bool:
        """Localise and repair the best program."""
        decode = replace(self.request.decode, seed=self.request.decode.seed + turn)
        request = RepairRequest(
            program=self.program, suite=self.request.suite, seconds=seconds, decode=decode, most=self.request.judged,
            case_seconds=self.request.case_seconds, memory_bytes=self.request.memory_bytes,
        )  # fmt: skip
        found = repair(request, self.coder, self.sandbox, first=self.verdict)
        suspects = [":".join(map(str, self.request.bundle.place(s.line))) for s in found.suspects[:5]]
        self._tell(
            "tried", f"suspects {', '.join(suspects)}; {found.explain()}", judged=found.judged, suspects=suspects
        )
        return self._keep(found.program, "a repair") if found.winner is not None else False

    def _best_of(self, programs: list[str], what: str) -> bool:
        """Judge programs and keep the best one, where it is better."""
        best: tuple[str, Verdict] | None = None
        judged = 0
        for program, verdict in zip(
            programs, judge_each(self.request.suite, programs, self.sandbox, self.limits), strict=True
        ):
            judged += 1
            if better(verdict, best[1] if best is not None else self.verdict):
                best = (program, verdict)
            if verdict.ok or self.budget.exhausted():
                break
        self._tell("tried", f"{what}: {judged} distinct program(s) were judged", judged=judged)
        return self._keep(best[0], what) if best is not None else False

    def _keep(self, program: str, what: str) -> bool:
        """Go on from a program that passes more and fails nothing that passed, judged here and now."""
        if program == self.program or self.request.bundle.files(program) is None:
            return False
        verdict = judge(self.request.suite, [program], self.sandbox, self.limits)[0]
        if not better(verdict, self.verdict):
            return False
        self.program, self.verdict = program, verdict
        self._tell("kept", f"{what} passes {verdict.passed} of {verdict.total} cases", passed=verdict.passed)
        return True

    def _note(self) -> str:
        said = f"This test fails: {self.verdict.message}" if self.verdict.message else ""
        return "\n".join(filter(None, (self.request.goal.strip()[:600], said)))

    def _tell_run(self) -> None:
        found = self.first
        why = f"; first failure: {found.message}" if found.message else ""
        self._tell("ran", f"{found.passed} of {found.total} cases pass{why}", passed=found.passed, total=found.total)

    def _tell(self, kind: Kind, message: str, **data: Any) -> None:
        event = SolveEvent(kind=kind, message=message, seconds=self.budget.spent(), data=data)
        self.events.append(event)
        if self.observe is not None:
            self.observe(event, self.program)
