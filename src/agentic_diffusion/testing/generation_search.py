"""The strategy "search": inputs of Python functions by their types and literals, guided by coverage and by mutants.

The search itself runs in the sandbox (`worker_explore.py`). What it keeps becomes tests that pin the outcome: a
value, the type of what is no plain value, or an exception. Lines count from 1, times are seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from agentic_diffusion.domains.code.files import read_program
from agentic_diffusion.foundation.errors import SandboxError, UsageError
from agentic_diffusion.foundation.sandbox.base import MIB, Limits, Sandbox
from agentic_diffusion.testing.generation import GenerationSettings, Proposal, Target
from agentic_diffusion.testing.mutation_operators import Mutant, mutants, statement_around

FILES = ("worker_explore.py", "worker_values.py", "worker_mutants.py", "worker_project.py")
LIFE = 24 * 3600.0
PATIENCE = 40.0
START_SECONDS = 600.0
NAME = 60
"""Characters of a test's name."""
_SIGNS = {"-": "minus ", "[": " list ", "{": " dict ", "(": " tuple "}


class Explorer:
    """The worker that searches, for one program file."""

    def __init__(self, target: Target, sandbox: Sandbox, *, memory_bytes: int = 2048 * MIB) -> None:
        """Start it and import the program; UsageError when that fails."""
        here = Path(__file__).parent
        python = target.project.python
        self.target = target
        self.process = sandbox.start(
            [str(python.program), "-B", FILES[0]],
            files={name: (here / name).read_bytes() for name in FILES},
            limits=Limits(
                seconds=LIFE, cpu_seconds=int(LIFE), memory_bytes=memory_bytes, reserved_bytes=16384 * MIB,
                processes=64,                file_bytes=memory_bytes // 2, scratch_bytes=memory_bytes // 2,
            ),
            env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
            read_only=(target.project.root, *python.read_only),
        )  # fmt: skip
        opening = {"source": str(target.project.root), "copy": True, "warm": False, "paths": []}
        self.ask({"open": opening}, START_SECONDS)
        told = self.ask({"load": {"target": target.path, "module": target.module}}, START_SECONDS)
        if told["broken"]:
            self.process.close()
            raise UsageError(f"{target.path} cannot be imported: {told['broken']}.", hint="mend it first.")
        self.functions: list[dict[str, Any]] = told["functions"]

    def ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """One request and its answer; SandboxError when there is none."""
        self.process.send(json.dumps(request).encode())
        line = self.process.receive(seconds)
        if line is None:
            done = self.process.close()
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise SandboxError(
                f"The search for inputs ended: {said[-1] if said else f'exit code {done.status}'}.",
                hint="leave out the function that ends its process, by naming others.",
            )
        reply: dict[str, Any] = json.loads(line)
        return reply

    def __enter__(self) -> Explorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.close()


class Search:
    """Seeded, coverage-guided search for inputs."""

    name = "search"
    languages = ("python",)

    def propose(self, target: Target, sandbox: Sandbox, settings: GenerationSettings) -> Sequence[Proposal]:
        """Tests that pin what the functions of the target do."""
        source = read_program(target.project.root / target.path)
        every = mutants(target.path, source, "python") if settings.mutants else []
        made: list[Proposal] = []
        with Explorer(target, sandbox) as explorer:
            for function in wanted(explorer.functions, target):
                order = {
                    "function": function["name"],
                    "seconds": settings.seconds,
                    "seed": settings.seed,
                    "most": settings.most,
                }
                found = explorer.ask({"explore": order}, PATIENCE * settings.seconds + START_SECONDS)["inputs"]
                own = [
                    one
                    for one in every
                    if one.function.split(".")[: function["name"].count(".") + 1] == function["name"].split(".")
                ]
                noticed = noticed_by(explorer, source, own, len(found))
                made += [_proposal(target, function["name"], one, noticed[number]) for number, one in enumerate(found)]
        return made


def wanted(functions: Sequence[dict[str, Any]], target: Target) -> list[dict[str, Any]]:
    """The functions that tests are wanted for; UsageError where there is none."""
    name = target.function
    chosen = [one for one in functions if name is None or one["name"] == name or one["name"].startswith(f"{name}.")]
    if not chosen:
        known = ", ".join(one["name"] for one in functions[:8]) or "none"
        what = f"no function {name!r}" if name else "no public function"
        raise UsageError(f"There is {what} in {target.path} that could be called.", hint=f"there are: {known}.")
    return chosen


def noticed_by(explorer: Explorer, source: str, own: Sequence[Mutant], inputs: int) -> list[set[str]]:
    """The mutants that each input tells from the program, by number of the input."""
    orders, data = [], source.encode("utf-8", "surrogatepass")
    for mutant in own:
        start, end, first = statement_around(source, mutant)
        changed = mutant.apply(data)
        altered = changed[start : end + len(changed) - len(data)].decode()
        orders.append({
            "id": mutant.id, "original": data[start:end].decode(), "statement": altered, "first": first,
            "line": mutant.line,
        })  # fmt: skip
    found: list[set[str]] = [set() for _ in range(inputs)]
    if orders:
        told = explorer.ask({"distinguish": orders}, START_SECONDS + PATIENCE * len(orders))
        for identity, numbers in told["by"].items():
            for number in numbers:
                found[number].add(identity)
    return found


def _proposal(target: Target, function: str, one: Mapping[str, Any], noticed: set[str]) -> Proposal:
    outcome, call = one["outcome"], one["call"]
    first = function.split(".", maxsplit=1)[0]
    imports = [f"from {target.module} import {first}"]
    if "raises" in outcome:
        kind, module = outcome["raises"], outcome["module"]
        if module == target.module:
            imports = [f"from {target.module} import {', '.join(sorted({first, kind}))}"]
        elif module != "builtins":
            imports.append(f"from {module} import {kind}")
        body: tuple[str, ...] = (f"with pytest.raises({kind}):", f"    {call}")
        if target.project.has_pytest:
            imports.append("import pytest")
        else:
            body = ("with unittest.TestCase().assertRaises(" + kind + "):", f"    {call}")
            imports.append("import unittest")
        told = f"raises {kind}"
    elif "kind" in outcome:
        body, told = (f'assert type({call}).__name__ == "{outcome["kind"]}"',), f"gives {outcome['kind']}"
    else:
        shown = f"list({call})" if outcome.get("as_list") else call
        value = outcome["value"]
        same = f"is {value}" if value in ("None", "True", "False") else f"== {value}"
        body, told = (f"assert {shown} {same}",), f"is {value}"
    jumps = {(target.path, *jump) for jump in one["arcs"]}
    return Proposal(
        name=readable(function, call, told), body=body, imports=tuple(imports), pins=True,
        shows=frozenset(jumps | noticed),
    )  # fmt: skip


def readable(function: str, call: str, told: str) -> str:
    """A name for a test: what is called with what, and what comes of it."""
    arguments = call.rpartition(f"{function.rpartition('.')[2]}(")[2].removesuffix(")")
    spoken = f"{function} of {arguments or 'nothing'} {told}"
    for sign, word in _SIGNS.items():
        spoken = spoken.replace(sign, word)
    spoken = spoken.replace("''", " empty ").replace("list ]", "empty list").replace("dict }", "empty dict")
    words = re.findall(r"[A-Za-z0-9]+", re.sub(r"'\s+'", " space ", spoken))
    name = "test"
    for word in words:
        if len(name) + len(word) + 1 > NAME:
            break
        name += f"_{re.sub(r'(?<=[a-z])(?=[A-Z])', '_', word).lower()}"
    return name


SEARCH = Search()
"""The one object that the entry point names."""
