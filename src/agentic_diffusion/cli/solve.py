"""`agd solve`: a project, its tests, perhaps a goal; an agent works on a branch of its own until the tests pass.

The diff goes to stdout and nothing else does (or one JSON object with every event); stderr tells each step.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from agentic_diffusion.cli.output import print_json
from agentic_diffusion.foundation import config, events
from agentic_diffusion.foundation.errors import ExitCode, StoreError, UsageError
from agentic_diffusion.foundation.settings import ModelSettings, SandboxSettings, StoreSettings

if TYPE_CHECKING:
    from agentic_diffusion.codegen.solve import SolveEvent
    from agentic_diffusion.codegen.solve_project import ProjectRequest, ProjectResult
    from agentic_diffusion.foundation.store import Store

app = App(name="solve", help="Work on a project until its tests pass, on a branch of its own.")

REMEMBERED = 3
"""Programs that are taken out of memory."""


@app.default
def solve(
    *,
    repo: Path = Path(),
    tests: Annotated[list[Path] | None, Parameter(negative="")] = None,
    goal: str = "",
    budget: str = "5m",
    seed: int = 0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    unsafe_no_sandbox: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Fill stubs, write and repair files of a project until its tests pass; commit that to a branch of its own.

    What is done starts from the last commit; your working folder is never written to. A solve that was interrupted goes
    on when it is asked for again. Exit code 0: all tests pass on the branch, or did before; 3: they do not.

    Parameters
    ----------
    repo
        A folder in a git repository; the current one when left out.
    tests
        Test files of the project, as committed; they are never changed.
    goal
        What shall be done, in words.
    budget
        Time for the whole, such as 60s or 5m; loading the model comes on top.
    seed
        Seed of all random streams.
    as_json
        One JSON object on stdout: branch, commit, diff, every event.
    unsafe_no_sandbox
        Run the tests without a sandbox where none works. The programs can then do whatever you can.

    """
    from agentic_diffusion.cli.judging import search_limits
    from agentic_diffusion.codegen.solve_project import ProjectRequest, relative_tests

    if not tests:
        raise UsageError("There are no tests to work by.", hint="give --tests FILE, relative to the project.")
    settings = config.load({"generate.budget": budget})
    request = ProjectRequest(
        repository=repo,
        tests=relative_tests(repo, tests),
        goal=goal,
        **search_limits(settings, seed=seed),
    )
    return int(_answer(request, settings, as_json=as_json, unsafe=unsafe_no_sandbox))


def _answer(request: ProjectRequest, settings: config.Settings, *, as_json: bool, unsafe: bool) -> ExitCode:
    """Prepare, load the model, solve, deliver."""
    from agentic_diffusion.cli.judging import sandbox_for
    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.codegen.solve_project import prepare, solve_project

    prepared = prepare(request)
    sandbox = sandbox_for(prepared.request.suite, settings.section(SandboxSettings), unsafe=unsafe)
    assert sandbox is not None
    coder = Coder.for_mode(settings.section(ModelSettings), request.decode.mode)
    with _memory(settings.section(StoreSettings).url) as memory:
        found = solve_project(prepared, coder, sandbox, observe=_tell, memory=memory)
    _deliver(found, as_json=as_json)
    return ExitCode.DONE if found.result.solved or found.result.first.ok else ExitCode.NOT_VERIFIED


def _deliver(found: ProjectResult, *, as_json: bool) -> None:
    result = found.result
    if as_json:
        print_json(
            {
                "solved": result.solved,
                "branch": found.branch,
                "commit": found.commit,
                "passed_before": result.first.passed,
                "passed": result.verdict.passed,
                "total": result.verdict.total,
                "seconds": result.seconds,
                "diff": found.diff,
                "events": [event.as_json() for event in result.events],
            }
        )
    else:
        sys.stdout.write(found.diff)
    if found.branch is not None:
        events.say(f"the change is on the branch {found.branch}; `git merge {found.branch}` takes it over")


def _tell(event: SolveEvent) -> None:
    events.say(f"{event.seconds:6.1f} s  {event.kind}: {event.message}")


class _Stored:
    """The store as a memory of what passed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def recall(self, key: str) -> list[str]:
        """Programs that passed, the first ones first."""
        return [sample.content for sample in self._store.samples("code", task=key, min_reward=1.0, limit=REMEMBERED)]

    def remember(self, key: str, program: str, weights: str) -> None:
        """Keep a program that passed."""
        from agentic_diffusion.foundation.store import NewSample

        parts = {"share_passed": 1.0}
        self._store.add_sample(
            NewSample(domain="code", task=key, content=program, reward=1.0, reward_parts=parts, weights=weights)
        )


@contextmanager
def _memory(url: str | None) -> Iterator[_Stored | None]:
    """The memory; None, and a warning, where the store cannot be used."""
    from agentic_diffusion.foundation.store import Store

    try:
        store = Store.open(url)
    except StoreError as problem:
        events.get_logger(__name__).warning("nothing is remembered: %s (%s)", problem.message, problem.hint)
        yield None
        return
    try:
        yield _Stored(store)
    finally:
        store.close()
