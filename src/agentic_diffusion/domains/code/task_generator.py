"""A generator of small tasks: description, head, solution and tests in five languages from one specification.

A task is drawn (`task_algebra`), told in words (`task_wording`) and written in each language (`task_rendering`); its
test values come from evaluating the specification in Python. The same seed gives the same tasks. What claims to pass is
to be run: see `adaptation.generated_tasks`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentic_diffusion.domains.code.corpus_rows import Example
from agentic_diffusion.domains.code.task_algebra import Spec, Value, draw_input, draw_spec, empty_input, evaluate
from agentic_diffusion.domains.code.task_rendering import Form, assertion, signature, solution
from agentic_diffusion.domains.code.task_tables import TABLES
from agentic_diffusion.domains.code.task_wording import describe, in_language, snake_name
from agentic_diffusion.foundation.errors import ConfigError, UsageError
from agentic_diffusion.foundation.randomness import derive

LICENCE = "Apache-2.0"
"""Licence of generated tasks: that of this project."""
_TRIES = 40


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings:
    """Which tasks are drawn."""

    count: int
    """Tasks; each gives an example in every language."""
    languages: tuple[str, ...] = tuple(TABLES)
    """Languages of the solutions."""
    hardest: int = 4
    """Parts that a task may have beside its source and its fold: 0 to 4; easier ones are drawn as often."""
    tests: int = 4
    """Test values of a task, the empty input among them."""
    seed: int = 0
    """Seed of everything."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        unknown = [name for name in self.languages if name not in TABLES]
        if unknown or not self.languages:
            raise ConfigError(
                f"The generator does not write {unknown[0] if unknown else 'nothing'}.",
                hint=f"Use {', '.join(TABLES)}.",
            )
        if self.count < 1 or not 0 <= self.hardest <= 4 or self.tests < 2:
            raise ConfigError(
                f"{self.count} tasks of difficulty {self.hardest} with {self.tests} tests are out of range.",
                hint="count is 1 or more, hardest 0 to 4, tests 2 or more.",
            )


@dataclass(frozen=True, kw_only=True)
class GeneratedTask:
    """One task, before it is written in a language."""

    number: int
    """Its number, from 0."""
    spec: Spec
    """What it asks."""
    name: str
    """The function's name, with underscores."""
    cases: tuple[tuple[object, Value], ...]
    """Inputs and what they give; never all the same."""
    form: Form
    """How its solution is written."""
    seed: int
    """Seed of its wording."""

    def example(self, language: str) -> Example:
        """The task in a language, with a wording of its own in each."""
        name = in_language(self.name, language)
        draw = random.Random(derive(self.seed, language))  # noqa: S311 - words, not secrets
        return Example(
            id=f"generated:{self.number}",
            source="generated",
            language=language,
            licence=LICENCE,
            description=describe(self.spec, name, draw),
            signature=signature(self.spec, name, language),
            solution=solution(self.spec, name, language, self.form),
            tests="\n".join(self.assertions(language)),
        )

    def assertions(self, language: str) -> list[str]:
        """Its tests as statements of a language."""
        name = in_language(self.name, language)
        return [assertion(self.spec, name, language, given, value) for given, value in self.cases]


def generate_tasks(settings: GeneratorSettings) -> Iterator[GeneratedTask]:
    """Distinct tasks; their names may repeat.

    Raises UsageError where the algebra has not as many of that difficulty as asked for.
    """
    draw = random.Random(derive(settings.seed, "tasks"))  # noqa: S311 - tasks, not secrets
    seen: set[Spec] = set()
    number = idle = 0
    while number < settings.count:
        spec = draw_spec(draw, difficulty=draw.randint(0, settings.hardest))
        cases = _cases(spec, draw, settings.tests) if spec not in seen else None
        if cases is None:
            idle += 1
            if idle > 2000:
                raise UsageError(
                    f"The generator finds no more than {number} tasks of difficulty {settings.hardest}.",
                    hint="ask for fewer, or for a higher difficulty.",
                )
            continue
        idle = 0
        seen.add(spec)
        yield GeneratedTask(
            number=number,
            spec=spec,
            name=snake_name(spec, draw),
            cases=cases,
            form=draw.choice(("loop", "idiom")),
            seed=derive(settings.seed, "wording", number),
        )
        number += 1


def examples_of(tasks: Sequence[GeneratedTask], languages: Sequence[str]) -> list[Example]:
    """Every task in every language."""
    return [task.example(language) for task in tasks for language in languages]


def _cases(spec: Spec, draw: random.Random, count: int) -> tuple[tuple[object, Value], ...] | None:
    """Inputs and values, the empty input last; None where no inputs tell the task from a constant."""
    cases: list[tuple[object, Value]] = []
    for _ in range(_TRIES):
        if len(cases) == count - 1:
            break
        given = draw_input(draw, spec.source)
        if any(given == other for other, _ in cases):
            continue
        try:
            value = evaluate(spec, given)
        except UsageError:  # beyond 32 bits
            continue
        # One value may repeat, but not fill the list: a constant would pass then.
        if sum(value == other for _, other in cases) < max(1, count // 3):
            cases.append((given, value))
    if len(cases) < count - 1:
        return None
    return (*cases, (empty_input(spec.source), evaluate(spec, empty_input(spec.source))))
