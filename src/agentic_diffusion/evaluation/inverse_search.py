"""Repair by inverse operators: what one tries without a model. A baseline of benchmarks, and nothing that repairs here.

The operators that make mutants are applied to the faulty program itself, in the order of the suspects; most of them
undo one another (`<` and `<=`, `+` and `-`, `not`), and a number is moved down as well as up. Lines count from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentic_diffusion.domains.code import languages
from agentic_diffusion.foundation.resources import Budget
from agentic_diffusion.foundation.sandbox import Limits
from agentic_diffusion.testing.execution import confirm, judge_each
from agentic_diffusion.testing.localisation import localise, spectrum
from agentic_diffusion.testing.mutation_operators import mutants
from agentic_diffusion.testing.pace import Pace

if TYPE_CHECKING:
    from agentic_diffusion.evaluation.faults import Fault
    from agentic_diffusion.foundation.sandbox import Sandbox

_PACE = Pace(cpu_seconds=0.5, wall_seconds=2.0)
_BATCH = 32


def search(fault: Fault, sandbox: Sandbox, limits: Limits, *, seconds: float) -> tuple[str | None, int]:
    """A program that passes and is confirmed, or None; and how many were judged."""
    budget, judged = Budget(seconds), 0
    waiting = list(candidates(fault, sandbox, limits))
    while waiting and not budget.exhausted():
        batch, waiting = waiting[:_BATCH], waiting[_BATCH:]
        verdicts = judge_each(fault.suite, batch, sandbox, limits, pace=_PACE, seed=0)
        for program, verdict in zip(batch, verdicts, strict=True):
            judged += 1
            if verdict.ok and confirm(fault.suite, program, sandbox, limits).ok:
                return program, judged
    return None, judged


def candidates(fault: Fault, sandbox: Sandbox, limits: Limits) -> Iterator[str]:
    """Distinct changed programs, those of the likeliest suspects first."""
    suspects = localise(spectrum(fault.suite, fault.program, sandbox, limits, pace=_PACE, seed=0))
    rank = {line: place for place, s in reversed(list(enumerate(suspects))) for line in range(s.line, s.end + 1)}
    name = languages.get(fault.language).candidate_file
    made = [
        (mutant.line, mutant.apply(fault.program.encode()).decode())
        for mutant in mutants(name, fault.program, fault.language)
    ]
    made += list(_lowered(fault.program))
    ordered = sorted(made, key=lambda item: rank.get(item[0], len(suspects)))
    yield from dict.fromkeys(program for _, program in ordered if program != fault.program)


def _lowered(program: str) -> Iterator[tuple[int, str]]:
    """Every whole number made smaller by one, with its line."""
    for number in re.finditer(r"(?<![\w.])\d+(?![\w.])", program):
        line = program.count("\n", 0, number.start()) + 1
        yield line, f"{program[: number.start()]}{int(number[0]) - 1}{program[number.end() :]}"
