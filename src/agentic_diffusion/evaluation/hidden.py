"""Hidden cases: inputs that the prompt does not show, with the values that the canonical solution gives.

Prompts of these benchmarks show examples that are the tests as well, so a program can pass by knowing the examples.
Inputs are made from the arguments of the shown calls (see `inputs`), or come with the benchmark; the canonical solution
runs on them in the sandbox, twice, in processes with other hash seeds. Kept is what it gives both times, as long as it
is a literal that can be compared: numbers with a fraction within 1e-6, containers of such numbers not at all.
Made for Python; other languages have none yet.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from agentic_diffusion.domains.code import languages
from agentic_diffusion.evaluation.inputs import new_inputs
from agentic_diffusion.evaluation.tasks import Call
from agentic_diffusion.foundation.randomness import derive
from agentic_diffusion.foundation.sandbox import Limits
from agentic_diffusion.foundation.sandbox.base import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentic_diffusion.evaluation.tasks import BenchTask
    from agentic_diffusion.foundation.sandbox import Sandbox

SUPPORTED = frozenset({"python"})
"""Languages for which hidden cases are made."""
CALL_SECONDS = 1.0
"""The longest that one call of a canonical solution may take."""
GROUP = 25
"""Tasks whose canonical solutions run in one sandbox, a process each."""
_HELPER = Path(__file__).with_name("canonical_values.py")


def hidden_cases(tasks: Sequence[BenchTask], sandbox: Sandbox, *, count: int, seed: int) -> dict[str, tuple[Call, ...]]:
    """Cases that the prompts do not show, by the task's name; a task for which none can be made is missing.

    The benchmark's own further cases where it has some, else up to `count` made from the shown calls; which those are
    depends on `seed` and the task alone.
    """
    found: dict[str, tuple[Call, ...]] = {}
    jobs: list[tuple[BenchTask, list[str]]] = []
    for task in tasks:
        if task.language not in SUPPORTED or not task.entry_point:
            continue
        told = tuple(call for call in task.hidden if call.expected)
        if told:
            found[task.id] = told
        asked = [call.arguments for call in task.hidden if not call.expected]
        if not task.hidden and count:
            rng = Random(derive(seed, "hidden", task.id))  # noqa: S311  (asked for by the caller)
            asked = [_text(made) for made in new_inputs(_known(task.calls), count, rng)]
        if asked and task.canonical is not None:
            jobs.append((task, asked))
    for begin in range(0, len(jobs), GROUP):
        for name, calls in _evaluated(jobs[begin : begin + GROUP], sandbox).items():
            found[name] = (*found.get(name, ()), *calls)
    return found


def assertions(task: BenchTask, cases: Sequence[Call]) -> str:
    """The lines of a test file that assert these cases."""
    return "".join(_assertion(task, case) + "\n" for case in cases)


def _evaluated(jobs: Sequence[tuple[BenchTask, list[str]]], sandbox: Sandbox) -> dict[str, list[Call]]:
    """The calls to which each canonical solution gives the same comparable value twice."""
    sent = [{"source": task.canonical, "name": task.entry_point, "arguments": asked} for task, asked in jobs]
    seconds = 10 + 2 * CALL_SECONDS * sum(len(asked) for _, asked in jobs)
    done = sandbox.run(
        [*languages.get("python").command, _HELPER.name, str(CALL_SECONDS)],
        files={_HELPER.name: _HELPER.read_bytes(), "jobs.json": json.dumps(sent).encode()},
        limits=Limits(seconds=seconds, cpu_seconds=int(seconds), output_bytes=16 * MIB),
    )
    values: dict[tuple[int, int, int], str] = {}
    for line in done.stdout.decode(errors="replace").splitlines():
        try:
            turn, job, place, shown = json.loads(line)
        except (ValueError, TypeError):
            continue  # a line that was cut off, or one that a program wrote itself
        values[int(turn), int(job), int(place)] = str(shown)
    found: dict[str, list[Call]] = {}
    for job, (task, asked) in enumerate(jobs):
        for place, arguments in enumerate(asked):
            value = values.get((0, job, place))
            if value is not None and value == values.get((1, job, place)) and _comparable(value):
                found.setdefault(task.id, []).append(Call(arguments=arguments, expected=value))
    return found


def _assertion(task: BenchTask, case: Call) -> str:
    call = f"{task.entry_point}({case.arguments})"
    value = _literal(case.expected)
    if isinstance(value, float):
        return f"assert abs({call} - {case.expected}) <= {1e-6 * max(1.0, abs(value))!r}"
    return f"assert {call} == {case.expected}"


def _known(calls: Sequence[Call]) -> list[tuple[Any, ...]]:
    """The arguments of calls whose arguments are all literals, as values."""
    found = []
    for call in calls:
        value = _literal(f"({call.arguments},)")
        if isinstance(value, tuple):
            found.append(value)
    return found


def _text(arguments: tuple[Any, ...]) -> str:
    return ", ".join(map(repr, arguments))


def _literal(text: str) -> Any:
    """The value of a literal; None for anything else."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _comparable(shown: str) -> bool:
    """Whether a value can be asserted: a literal without fractions inside containers, and no NaN or infinity."""
    tree = ast.parse(shown, mode="eval").body
    inner = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    if isinstance(tree, ast.Constant | ast.UnaryOp):
        return not any(isinstance(value, complex) for value in inner)
    return not any(isinstance(value, float | complex) for value in inner)
