"""Generated tasks that were run: each solution in each language against its own tests, in the sandbox.

Starting a compiler costs far more than a small function, so many tasks are judged as one program with one suite; where
that fails, its tasks are judged one by one and the wrong ones are named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agentic_diffusion.domains.code import languages as installed
from agentic_diffusion.domains.code.task_generator import GeneratedTask
from agentic_diffusion.domains.code.task_rendering import program
from agentic_diffusion.domains.code.task_wording import in_language
from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.foundation.sandbox import Limits, Sandbox
from agentic_diffusion.installer import toolchains
from agentic_diffusion.testing.execution import inline_suite, judge

TOGETHER = 40
"""Tasks of one program."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A task whose solution does not pass its tests."""

    number: int
    """The task's number."""
    language: str
    """The language."""
    message: str
    """What the runner said."""


def check_tasks(
    tasks: Sequence[GeneratedTask],
    languages: Sequence[str],
    sandbox: Sandbox,
    *,
    limits: Limits | None = None,
    told: Callable[[str, int], None] = lambda *_: None,
) -> list[Failure]:
    """Run the tasks in each language; the tasks that fail, in the order of the languages.

    `told` hears the language and how many tasks were just judged. Raises SetupError for a missing toolchain.
    """
    limits = limits or Limits(seconds=60)
    failures = []
    for language in languages:
        missing = [tool for tool in installed.get(language).tools if toolchains.find(tool) is None]
        if missing:
            raise SetupError(
                f"Solutions in {language} cannot be run: {missing[0]} is missing.",
                hint=f"run `agd setup --languages {language}`, or leave the language out.",
            )
        for group in groups_of_names(tasks, TOGETHER):
            if _message(group, language, sandbox, limits):
                found = ((task, _message([task], language, sandbox, limits)) for task in group)
                failures += [
                    Failure(number=task.number, language=language, message=said) for task, said in found if said
                ]
            told(language, len(group))
    return failures


def groups_of_names(tasks: Sequence[GeneratedTask], most: int) -> Iterator[list[GeneratedTask]]:
    """Groups of at most `most` tasks in which no name comes twice, each task in one; UsageError for `most` below 1."""
    if most < 1:
        raise UsageError(f"Groups of {most} tasks hold nothing.", hint="Use 1 or more.")
    waiting = list(tasks)
    while waiting:
        group: dict[str, GeneratedTask] = {}
        rest = []
        for task in waiting:
            if len(group) < most and task.name not in group:
                group[task.name] = task
            else:
                rest.append(task)
        yield list(group.values())
        waiting = rest


def _message(tasks: Sequence[GeneratedTask], language: str, sandbox: Sandbox, limits: Limits) -> str:
    """What is wrong with a program of these tasks; "" where it passes."""
    source = program([(task.spec, in_language(task.name, language), task.form) for task in tasks], language)
    suite = inline_suite([test for task in tasks for test in task.assertions(language)], language=language)
    verdict = judge(suite, [source], sandbox, limits)[0]
    return "" if verdict.ok else verdict.message or "it does not pass"
