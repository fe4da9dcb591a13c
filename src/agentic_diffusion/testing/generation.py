"""Generate tests: strategies propose, the pipeline keeps what is steady and worth it, and a file is written.

    1. a strategy proposes tests of one function, each with what it shows
    2. every test runs five times in the sandbox; what fails once, or is flaky, is dropped
    3. kept is what runs a line or takes a jump that no kept test does, or notices a mutant that none does
    4. the file says of each test whether it pins what the program does now or checks a property of it
A file that a person wrote is never overwritten: a generated one begins with `MARK`. Strategies are found through the
entry-point group `agentic_diffusion.test_strategies`. Lines count from 1, times are seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, cast

from agentic_diffusion.foundation import plugins
from agentic_diffusion.foundation.errors import ConfigError, UsageError
from agentic_diffusion.foundation.resources import atomic_write
from agentic_diffusion.foundation.sandbox.base import Sandbox
from agentic_diffusion.testing import discovery
from agentic_diffusion.testing.project import Project
from agentic_diffusion.testing.project_outcomes import merged
from agentic_diffusion.testing.project_run import ProjectWorker, RunSettings

MARK = "# agd: generated tests; change them freely, and take this line out to keep them from being written again"
TIMES = 5
"""How often every test has to pass."""


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """How tests are looked for."""

    seconds: float = 5.0
    """Processor time of the search for one function."""
    most: int = 20_000
    """At most so many inputs are tried for one function."""
    seed: int = 0
    """Seed of the search."""
    mutants: bool = True
    """Whether a test is kept for a mutant that it notices, not only for what it covers."""
    oracle: str | None = None
    """A second implementation, as `module:function`, that properties compare with."""
    file_seconds: float = 60.0
    """Longest time of one run of the generated file."""

    def __post_init__(self) -> None:
        """Check every field; raises ConfigError."""
        if self.seconds <= 0 or self.most < 1:
            raise ConfigError(
                f"A search of {self.seconds:g} s and {self.most} inputs finds nothing.",
                hint="use 5 seconds, for example.",
            )


@dataclass(frozen=True, kw_only=True)
class Target:
    """What tests are wanted for."""

    project: Project
    """Its project."""
    path: str
    """The program file, relative to the project."""
    module: str
    """The name by which tests import it."""
    function: str | None
    """One function; None for all of the file."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One test."""

    name: str
    """Name of its function, as a person reads it: "test_clamp_of_5_0_3_is_3"."""
    body: tuple[str, ...]
    """Its lines, without indentation of their own."""
    imports: tuple[str, ...]
    """Import statements that it needs."""
    pins: bool
    """True when it pins what the program does now, False when it checks a property."""
    shows: frozenset[object] = field(default_factory=frozenset)
    """What it covers and which mutants it notices, as far as the strategy knows; opaque."""
    decorators: tuple[str, ...] = ()
    """Lines before its definition."""
    arguments: str = ""
    """Its parameters."""

    @property
    def source(self) -> str:
        """Its text."""
        said = "pins what the function does now" if self.pins else "checks a property"
        lines = [*self.decorators, f"def {self.name}({self.arguments}):", f'    """Generated: {said}."""']
        return "\n".join([*lines, *(f"    {line}" if line else "" for line in self.body)]) + "\n"


class Strategy(Protocol):
    """A way of finding tests, found through the entry-point group `agentic_diffusion.test_strategies`."""

    @property
    def name(self) -> str:
        """Its name: "search"."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that it knows."""

    def propose(self, target: Target, sandbox: Sandbox, settings: GenerationSettings) -> Sequence[Proposal]:
        """Tests of the target, the most telling first; SetupError or UsageError where it cannot."""


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What came of it."""

    source: str
    """The whole test file; empty when nothing was kept."""
    kept: tuple[Proposal, ...]
    """Its tests."""
    dropped: tuple[tuple[str, str], ...]
    """Names of the others, and why each was dropped."""


def strategy(name: str) -> Strategy:
    """The strategy called `name`; UsageError when none of that name is installed."""
    return cast("Strategy", plugins.load("test_strategies", name))


def generate(
    target: Target,
    names: Sequence[str],
    sandbox: Sandbox,
    settings: GenerationSettings | None = None,
    *,
    file: str,
    told: Callable[[str], None] = lambda _: None,
) -> Generated:
    """Tests of a target by the strategies `names`, for the test file `file` (relative to the project).

    UsageError when a strategy does not know the language, or the program cannot be imported.
    """
    how = settings or GenerationSettings()
    proposals: list[Proposal] = []
    for name in names:
        chosen = strategy(name)
        if "python" not in chosen.languages:
            raise UsageError(f"The strategy {name} does not write Python.", hint="choose another with --strategy.")
        found = chosen.propose(target, sandbox, how)
        told(f"{name}: {len(found)} proposals")
        proposals += found
    kept, dropped = _worth_it(_renamed(proposals))
    steady, flaky = _steady(target, kept, sandbox, how, file)
    source = write(target, steady) if steady else ""
    return Generated(source=source, kept=tuple(steady), dropped=(*dropped, *flaky))


def deliver(path: Path, source: str) -> None:
    """Write a generated file; UsageError where a person's file lies."""
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(MARK):
        raise UsageError(
            f"{path} was not generated, or is kept, so it is not overwritten.", hint="name another file with --out."
        )
    atomic_write(path, source)


def write(target: Target, kept: Sequence[Proposal]) -> str:
    """The text of a test file: imports, then the tests that pin, then those of properties."""
    pinned = sum(one.pins for one in kept)
    first, rest = _imports(kept)
    told = f"Tests of {target.module}: {pinned} pin what it does now, {len(kept) - pinned} check a property."
    head = f'{MARK}\n"""{told}"""\n'
    parts = ["\n".join(lines) + "\n" for lines in (first, rest) if lines]
    ordered = sorted(kept, key=lambda one: not one.pins)
    return head + "\n" + "\n".join(parts) + "".join(f"\n\n{one.source}" for one in ordered)


def _imports(kept: Sequence[Proposal]) -> tuple[list[str], list[str]]:
    """Lines `import a` and lines `from a import b, c`, one a module, sorted."""
    plain: set[str] = set()
    names: dict[str, set[str]] = {}
    for line in (line for one in kept for line in one.imports):
        if line.startswith("import ") or " as " in line:
            plain.add(line)
        else:
            module, _, words = line.removeprefix("from ").partition(" import ")
            names.setdefault(module, set()).update(word.strip() for word in words.split(","))
    first = sorted(line for line in plain if line.startswith("import "))
    rest = [f"from {module} import {', '.join(sorted(words))}" for module, words in names.items()]
    return first, sorted([*rest, *(line for line in plain if line.startswith("from "))])


def _renamed(proposals: Iterable[Proposal]) -> list[Proposal]:
    """Proposals whose names differ."""
    seen: dict[str, int] = {}
    made = []
    for one in proposals:
        seen[one.name] = seen.get(one.name, 0) + 1
        made.append(one if seen[one.name] == 1 else replace(one, name=f"{one.name}_{seen[one.name]}"))
    return made


def _worth_it(proposals: Sequence[Proposal]) -> tuple[list[Proposal], list[tuple[str, str]]]:
    """A small set that shows all that the proposals show: greedily the most telling, of those the shortest."""
    shown: set[object] = set()
    kept: list[Proposal] = []
    waiting = list(proposals)
    while waiting:
        best = max(waiting, key=lambda one: (len(one.shows - shown), -len(one.source)))
        if not best.shows - shown:
            break
        waiting.remove(best)
        shown |= best.shows
        kept.append(best)
    # what came early may be shown by others together
    for one in sorted(kept, key=lambda one: -len(one.source)):
        others: set[object] = set().union(*(other.shows for other in kept if other is not one))
        if one.shows <= others:
            kept.remove(one)
            waiting.append(one)
    order = {one.name: place for place, one in enumerate(proposals)}
    kept.sort(key=lambda one: order[one.name])
    return kept, [(one.name, "it shows nothing that the others do not") for one in waiting]


def _steady(
    target: Target, kept: Sequence[Proposal], sandbox: Sandbox, how: GenerationSettings, file: str
) -> tuple[list[Proposal], list[tuple[str, str]]]:
    """Those that pass every time, run from the file that they will stand in."""
    if not kept:
        return [], []
    framework: discovery.Framework = "pytest" if target.project.has_pytest else "unittest"
    found = discovery.Found(path=file, language="python", framework=framework, kind="unit", rule="generated")
    settings = RunSettings(seconds=how.file_seconds)
    with ProjectWorker(target.project, "python", [found], sandbox, settings) as worker:
        worker.write({file: write(target, kept)})
        ended = merged([worker.file(found) for _ in range(TIMES)])
    if ended.problem and not ended.cases:
        return [], [(one.name, ended.problem) for one in kept]
    bad = {case.name.rpartition("::")[2]: case.message for case in ended.cases if not case.ok or case.flaky}
    seen = {case.name.rpartition("::")[2] for case in ended.cases}
    steady = [one for one in kept if one.name in seen and one.name not in bad]
    return steady, [
        (one.name, f"it did not pass {TIMES} times: {bad.get(one.name, 'it did not run').splitlines()[0]}")
        for one in kept
        if one not in steady
    ]
