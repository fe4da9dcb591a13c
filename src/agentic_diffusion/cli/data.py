"""`agd data`: training data: generate tasks, and run them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from agentic_diffusion.cli.output import print_json
from agentic_diffusion.foundation import config, events, json_lines
from agentic_diffusion.foundation.errors import ExitCode, UsageError
from agentic_diffusion.foundation.settings import SandboxSettings

app = App(name="data", help="Training data: generate small tasks in five languages, and run them.")


@app.command
def generate(
    *,
    out: Path,
    count: int = 1000,
    languages: str = "python,javascript,typescript,java,go",
    hardest: int = 4,
    tests: int = 4,
    seed: int = 0,
    run: float = 1.0,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    unsafe_no_sandbox: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write small tasks as rows that `agd train --data` reads: description, signature, solution, tests.

    Exit code 0: everything that was run passed its tests; 1: something did not, and is named and left out.

    Parameters
    ----------
    out
        The file to write, .jsonl or .jsonl.gz.
    count
        Tasks; each gives one row in every language.
    languages
        Languages of the solutions, joined by commas.
    hardest
        Most parts of a task, 0 to 4.
    tests
        Test values of each task.
    seed
        Seed of the tasks and of their wording.
    run
        Share of the tasks whose solutions are run against their tests in the sandbox; a row says whether it was.
    as_json
        One JSON object on stdout in place of the file's name.
    unsafe_no_sandbox
        Run the solutions without a sandbox where none works.

    """
    from agentic_diffusion.adaptation.generated_tasks import check_tasks
    from agentic_diffusion.domains.code.task_generator import GeneratorSettings, generate_tasks
    from agentic_diffusion.foundation.sandbox import Limits, choose

    if not 0 <= run <= 1:
        raise UsageError(f"A share of {run} cannot be run.", hint="use --run 0.1 for a tenth, or 0 for nothing.")
    names = tuple(name.strip() for name in languages.split(",") if name.strip())
    tasks = list(
        generate_tasks(GeneratorSettings(count=count, languages=names, hardest=hardest, tests=tests, seed=seed))
    )
    chosen = tasks[: round(run * len(tasks))]
    failed: set[tuple[int, str]] = set()
    if chosen:
        limits = config.load({}).section(SandboxSettings)
        sandbox = choose(unsafe=unsafe_no_sandbox, only=None if limits.tier == "auto" else limits.tier)
        done: dict[str, int] = {}

        def tell(language: str, judged: int) -> None:
            done[language] = done.get(language, 0) + judged
            events.say(f"{language}: {done[language]} of {len(chosen)} run")

        for failure in check_tasks(chosen, names, sandbox, limits=Limits(seconds=60), told=tell):
            failed.add((failure.number, failure.language))
            events.say(f"task {failure.number} in {failure.language} does not pass: {failure.message}")
    rows = [
        task.example(name).as_json() | {"run": task.number < len(chosen)}
        for task in tasks
        for name in names
        if (task.number, name) not in failed
    ]
    json_lines.write(out, rows)
    if as_json:
        print_json({"out": str(out), "rows": len(rows), "tasks": len(tasks), "run": len(chosen), "failed": len(failed)})
    else:
        sys.stdout.write(f"{out}\n")
    return int(ExitCode.NEGATIVE if failed else ExitCode.DONE)
