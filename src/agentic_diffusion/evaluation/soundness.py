"""Before anything is measured: can the tests of a benchmark be believed here?

The canonical solution of every task must pass its own tests; a task whose solution fails is left out and named. On a
sample of tasks a body that does nothing, and bodies that give back one constant, are judged as well: a task that passes
for one of them tells nothing and is left out too. Tasks without a canonical solution are measured, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from agentic_diffusion.domains.code import languages
from agentic_diffusion.evaluation.hidden import assertions, hidden_cases
from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.randomness import derive
from agentic_diffusion.testing.execution import judge
from agentic_diffusion.testing.suite import make_suite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentic_diffusion.evaluation.tasks import BenchTask, Call
    from agentic_diffusion.foundation.sandbox import Limits, Sandbox
    from agentic_diffusion.testing.execution import Verdict
    from agentic_diffusion.testing.suite import Suite

_BODIES: dict[str, tuple[str, str]] = {
    "python": ("    pass\n", "    return {value}\n"),
    "javascript": ("}}\n", "  return {value};\n}}\n"),
    "typescript": ("  throw 0;\n}}\n", "  return {value} as any;\n}}\n"),
    "java": ("        throw new RuntimeException();\n    }}\n}}\n", "        return {value};\n    }}\n}}\n"),
    "go": ("\tpanic(0)\n}}\n", "\treturn {value}\n}}\n"),
}
"""A body that does nothing, and one that gives back a constant, after an opened function."""
_CONSTANTS: dict[str, tuple[str, ...]] = {
    "python": ("0", "1", "True", "[]", "''"),
    "javascript": ("0", "1", "true", "[]", "''"),
    "typescript": ("0", "1", "true", "[]", "''"),
    "java": ("0", "1", "true", "null", '""'),
    "go": ("0", "1", "true", "nil", '""'),
}


@dataclass(frozen=True, kw_only=True)
class ReadyTask:
    """A task whose tests can be believed."""

    task: BenchTask
    """The task."""
    suite: Suite
    """The benchmark's own tests, and behind them the cases that the prompt does not show."""
    own_lines: int
    """Lines of the suite that are the benchmark's own tests; cases further down are hidden ones."""

    @property
    def has_hidden(self) -> bool:
        """Whether there are hidden cases."""
        return any(case.line > self.own_lines for case in self.suite.cases)

    def passes(self, verdict: Verdict) -> bool:
        """Whether a program passed the benchmark's own tests."""
        own = [outcome for outcome in verdict.outcomes if outcome.case.line <= self.own_lines]
        return bool(own) and all(outcome.status == "passed" for outcome in own)


@dataclass(kw_only=True)
class Soundness:
    """What the checks found."""

    ready: list[ReadyTask] = field(default_factory=list, repr=False)
    """Tasks that count."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Tasks that do not, and why."""
    with_canonical: int = 0
    """Tasks that have a canonical solution."""
    canonical_passed: int = 0
    """How many of these solutions passed their own tests."""
    bodies_checked: int = 0
    """Tasks on which empty and constant bodies were judged."""
    bodies_passed: int = 0
    """Tasks that passed for such a body; the bar is 0."""
    hidden_tasks: int = 0
    """Tasks with hidden cases."""
    hidden_cases: int = 0
    """How many cases these are."""

    def add(self, ready: ReadyTask) -> None:
        """Take in a task that counts."""
        self.ready.append(ready)
        hidden = sum(case.line > ready.own_lines for case in ready.suite.cases)
        self.hidden_tasks += hidden > 0
        self.hidden_cases += hidden

    def as_json(self) -> dict[str, object]:
        """JSON-ready, without the tasks themselves."""
        return {
            "tasks": len(self.ready),
            "with_canonical": self.with_canonical,
            "canonical_passed": self.canonical_passed,
            "bodies_checked": self.bodies_checked,
            "bodies_passed": self.bodies_passed,
            "hidden_tasks": self.hidden_tasks,
            "hidden_cases": self.hidden_cases,
            "left_out": [list(pair) for pair in self.left_out],
        }


def check(
    tasks: Sequence[BenchTask],
    sandbox: Sandbox,
    limits: Limits,
    *,
    seed: int = 0,
    hidden: int = 6,
    bodies: int = 40,
) -> Soundness:
    """Look at every task; see the module's first lines.

    `hidden` cases are made for a task where that is possible; `bodies` tasks, drawn by `seed`, are tried with empty and
    constant bodies.
    """
    found = Soundness()
    sample = set(Random(derive(seed, "bodies")).sample(range(len(tasks)), k=min(bodies, len(tasks))))  # noqa: S311
    cases = hidden_cases(tasks, sandbox, count=hidden, seed=seed)
    with events.progress("checking the tests", len(tasks), "tasks") as shown:
        for number, task in enumerate(tasks):
            programs = poor_bodies(task) if number in sample else []
            try:
                ready = _ready(task, cases.get(task.id, ()))
            except UsageError as error:
                found.left_out.append((task.id, f"its tests cannot be used here: {error.message}"))
            else:
                why = _judged(ready, programs, sandbox, limits, found, seed=seed)
                if why:
                    found.left_out.append((task.id, why))
                else:
                    found.add(ready)
            shown.advance()
    return found


def poor_bodies(task: BenchTask) -> list[str]:
    """Programs that do nothing, or give back a constant: 0, true, the value that the first shown call expects."""
    forms = _BODIES.get(task.language)
    if forms is None or not task.prefix or task.kind != "write":
        return []
    values = [*_CONSTANTS[task.language], *(call.expected for call in task.calls[:1])]
    bodies = [forms[0].format(), *(forms[1].format(value=value) for value in dict.fromkeys(values))]
    return [task.preamble + task.prefix + body for body in bodies]


def _ready(task: BenchTask, cases: Sequence[Call]) -> ReadyTask:
    """The task with its suite; UsageError where the tests cannot be read, or say nothing."""
    own = task.tests
    if not own:  # a benchmark of inputs alone: their values come from the canonical solution
        if not cases:
            raise UsageError("there are inputs without values", hint="give a canonical solution.")
        own, cases = f"from solution import {task.entry_point}\n" + assertions(task, cases), ()
    own = own if own.endswith("\n") else own + "\n"
    suite = make_suite(own + assertions(task, cases), origin=task.id, language=task.language)
    return ReadyTask(task=task, suite=suite, own_lines=own.count("\n"))


def _judged(ready: ReadyTask, poor: list[str], sandbox: Sandbox, limits: Limits, found: Soundness, *, seed: int) -> str:
    """Judge the canonical solution and poor bodies of a task; the reason why it is left out, or ""."""
    task = ready.task
    right = [] if task.canonical is None else [languages.get(task.language).with_imports(task.canonical)]
    if not right and not poor:
        return ""
    verdicts = judge(ready.suite, [*right, *poor], sandbox, limits, seed=seed)
    if right:
        found.with_canonical += 1
        if not verdicts[0].ok:
            which = "hidden cases" if ready.passes(verdicts[0]) else "tests"
            return f"its canonical solution fails its {which}: {verdicts[0].message}"
        found.canonical_passed += 1
    found.bodies_checked += bool(poor)
    for program, verdict in zip(poor, verdicts[len(right) :], strict=True):
        if ready.passes(verdict):
            found.bodies_passed += 1
            return f"its tests pass for the body {program.removeprefix(task.preamble + task.prefix).strip()!r}"
    return ""
