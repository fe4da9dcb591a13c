"""Mutation testing: which small changes of a program do its tests notice?

A calm run tells which case runs which line; a mutant is judged by the cases that run its line, the quickest first,
until one fails. Python's functions are judged in a fork server (`worker_mutants.py`), which replaces the code of a
living function; everything else by writing the changed file into the worker's copy and running its tests.
    killed        a case failed              equivalent   the same bytecode as the program (Python)
    timeout       it did not come to an end  duplicate    the same bytecode as a mutant before
    survived      every case passed          invalid      the language's compiler refused it
    not covered   no case runs its line
The score is (killed + timeout) of all but the last column. Times are seconds, lines count from 1.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentic_diffusion.domains.code import languages
from agentic_diffusion.domains.code.files import read_program
from agentic_diffusion.foundation.errors import ConfigError, UsageError
from agentic_diffusion.foundation.resources import writable_home
from agentic_diffusion.foundation.sandbox.base import Sandbox
from agentic_diffusion.testing.discovery import Found
from agentic_diffusion.testing.mutation_operators import Mutant, function_lines, function_names, mutants
from agentic_diffusion.testing.mutation_plain import PlainJudge
from agentic_diffusion.testing.mutation_python import ForkJudge
from agentic_diffusion.testing.project import Project

Status = Literal["killed", "timeout", "survived", "not covered", "equivalent", "duplicate", "invalid"]
NOTICED, UNNOTICED = ("killed", "timeout"), ("survived", "not covered")


@dataclass(frozen=True, kw_only=True)
class MutationSettings:
    """How mutants are made and judged."""

    most: int | None = None
    """At most so many mutants, drawn at random."""
    seed: int = 0
    """Seed of that draw."""
    factor: float = 8.0
    """A mutant may take so many times the calm run of its cases."""
    floor: float = 0.5
    """And so many seconds on top."""
    file_seconds: float = 60.0
    """Longest time of one test file where a file has to be run."""
    memory_bytes: int = 2 << 30
    """Memory of the worker."""

    def __post_init__(self) -> None:
        """Check every field; raises ConfigError."""
        for name, least in (("factor", 1.0), ("floor", 0.01), ("file_seconds", 0.1)):
            if getattr(self, name) < least:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}, and it must be at least {least}.", hint="leave it out."
                )
        if self.most is not None and self.most < 1:
            raise ConfigError(f"--max is {self.most}, and at least 1 is needed.", hint="leave it out for all mutants.")


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A mutant and what became of it."""

    mutant: Mutant
    """The change."""
    status: Status
    """See above."""
    by: str = ""
    """The case that noticed it."""

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        one = self.mutant
        return {
            "id": one.id, "path": one.path, "line": one.line, "function": one.function, "operator": one.operator,
            "status": self.status, "by": self.by,
        }  # fmt: skip


def split_target(target: str) -> tuple[Path, str | None]:
    """File (or folder) and function of `FILE::FUNCTION`."""
    path, _, function = target.partition("::")
    return Path(path), function.replace("::", ".") or None


def plan(project: Project, path: str, *, function: str | None = None, changed: set[int] | None = None) -> list[Mutant]:
    """The mutants of a file: all of it, one function, or the functions that `changed` lines lie in.

    UsageError when the file does not parse, or has no such function.
    """
    file = project.root / path
    language = languages.for_file(file)
    source = read_program(file)
    problem = language.parse_error(source)
    if problem is not None:
        raise UsageError(f"{path} does not parse: {problem.message} (line {problem.line}).", hint="mend it first.")
    if function is not None and function not in function_names(source, language.name):
        known = ", ".join(function_names(source, language.name)[:8]) or "none"
        raise UsageError(f"There is no function {function!r} in {path}.", hint=f"its functions are {known}.")
    made = mutants(path, source, language.name, function=function)
    if changed is None:
        return made
    spans = function_lines(source, language.name)
    touched = {name for name, (first, last) in spans.items() if any(first <= line <= last for line in changed)}
    return [one for one in made if one.function in touched or (not one.function and one.line in changed)]


def judge(
    project: Project,
    wanted: Sequence[Mutant],
    founds: Sequence[Found],
    sandbox: Sandbox,
    settings: MutationSettings | None = None,
    *,
    told: Callable[[Judged], None] = lambda _: None,
) -> list[Judged]:
    """Judge mutants (of one or several files), in their order; what was judged before, for the same texts, is recalled.

    UsageError when there are no tests, or none that passes without a change.
    """
    how = settings or MutationSettings()
    chosen = _drawn(wanted, how)
    done: dict[str, Judged] = {}
    for path in dict.fromkeys(one.path for one in chosen):
        own = [one for one in chosen if one.path == path]
        tests = [found for found in founds if _speaks(found.language, own[0].language)]
        if not tests:
            raise UsageError(f"There are no tests that could judge {path}.", hint="name them with --tests.")
        journal = Journal(project, path, tests)
        known = {one.id: journal.known[one.id] for one in own if one.id in journal.known}
        done |= {
            one.id: Judged(mutant=one, status=known[one.id][0], by=known[one.id][1]) for one in own if one.id in known
        }
        for one in own:
            if one.id in done:
                told(done[one.id])
        waiting = [one for one in own if one.id not in done]
        for mutant, status, by in _judged(project, path, waiting, tests=tests, sandbox=sandbox, how=how):
            done[mutant.id] = Judged(mutant=mutant, status=status, by=by)
            journal.keep(mutant.id, status, by)
            told(done[mutant.id])
    return [done[one.id] for one in chosen]


def _judged(
    project: Project, path: str, waiting: Sequence[Mutant], *, tests: Sequence[Found], sandbox: Sandbox,
    how: MutationSettings,
) -> Iterator[tuple[Mutant, Any, str]]:  # fmt: skip
    """By the fork server where it can, by whole runs where it cannot."""
    left = list(waiting)
    if left and left[0].language == "python" and all(found.framework == "pytest" for found in tests):
        left = []
        with ForkJudge(project, path, tests, sandbox, how) as fork:
            for mutant, status, by in fork.judge(waiting):
                if status == "outside":
                    left.append(mutant)
                else:
                    yield mutant, status, by
    if left:
        with PlainJudge(project, path, tests, sandbox, how) as plain:
            yield from plain.judge(left)


def _drawn(wanted: Sequence[Mutant], how: MutationSettings) -> list[Mutant]:
    if how.most is None or len(wanted) <= how.most:
        return list(wanted)
    rng = random.Random(how.seed)  # noqa: S311 - a choice, no secret
    return [wanted[place] for place in sorted(rng.sample(range(len(wanted)), how.most))]


def _speaks(tests: str, program: str) -> bool:
    scripts = {"javascript", "typescript"}
    return tests == program or {tests, program} <= scripts


class Journal:
    """What became of the mutants of one file, kept in the data folder until the file or its tests change."""

    def __init__(self, project: Project, path: str, tests: Iterable[Found]) -> None:
        """Read what is kept for these very texts."""
        digest = hashlib.sha256((project.root / path).read_bytes())
        for found in tests:
            digest.update(found.path.encode() + (project.root / found.path).read_bytes())
        self.key = digest.hexdigest()[:16]
        place = hashlib.sha256(f"{project.root}\n{path}".encode()).hexdigest()[:16]
        self.file = writable_home() / "mutants" / f"{place}.jsonl"
        self.known: dict[str, tuple[Any, str]] = {}
        for line in self.file.read_text(encoding="utf-8").splitlines() if self.file.is_file() else ():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the last line of a run that was ended
            if record.get("key") == self.key:
                self.known[record["id"]] = (record["status"], record["by"])
        if not self.known:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text("", encoding="utf-8")

    def keep(self, identity: str, status: str, by: str) -> None:
        """Add one mutant."""
        record = {"key": self.key, "id": identity, "status": status, "by": by}
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")


def score(found: Iterable[Judged]) -> float:
    """The share of mutants that the tests notice, of those that can be noticed; 1 where there are none."""
    counts = counted(found)
    noticed = sum(counts[word] for word in NOTICED)
    total = noticed + sum(counts[word] for word in UNNOTICED)
    return noticed / total if total else 1.0


def counted(found: Iterable[Judged]) -> Mapping[str, int]:
    """How many mutants ended in which way."""
    counts = dict.fromkeys((*NOTICED, *UNNOTICED, "equivalent", "duplicate", "invalid"), 0)
    for one in found:
        counts[one.status] += 1
    return counts
