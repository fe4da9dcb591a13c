"""Judge mutants of Python's functions in a fork server, several hundred a second; see `worker_mutants.py`.

Times are processor seconds, lines count from 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from agentic_diffusion.domains.code.files import read_program
from agentic_diffusion.foundation.errors import SandboxError, UsageError
from agentic_diffusion.foundation.sandbox.base import MIB, Limits, Sandbox, SandboxProcess
from agentic_diffusion.testing.discovery import Found
from agentic_diffusion.testing.mutation_operators import Mutant, statement_around
from agentic_diffusion.testing.project import Project

if TYPE_CHECKING:
    from agentic_diffusion.testing.mutation import MutationSettings

FILES = ("worker_mutants.py", "worker_project.py", "worker_pytest.py")
LIFE = 24 * 3600.0
START_SECONDS = 600.0
CALM_SECONDS = 3600.0
BATCH = 64
WALL = 21
"""A mutant waits at most 20 times its processor seconds."""
RESERVED = 64 * 1024 * MIB


class ForkJudge:
    """One fork server for one program file."""

    def __init__(
        self, project: Project, path: str, tests: Sequence[Found], sandbox: Sandbox, how: MutationSettings
    ) -> None:
        """Nothing starts yet."""
        self.project, self.path, self.tests, self.sandbox, self.how = project, path, tests, sandbox, how
        self.source = read_program(project.root / path)
        self.process: SandboxProcess | None = None
        self.cases: dict[str, dict[str, Any]] = {}

    def judge(self, some: Sequence[Mutant]) -> Iterator[tuple[Mutant, str, str]]:
        """Mutant, status and the case that noticed it; "outside" for what no function's code holds."""
        if not some:
            return
        self._start()
        if not self.cases:
            self._calm()
        waiting = list(some)
        while waiting:
            batch, waiting = waiting[:BATCH], waiting[BATCH:]
            done = 0
            for mutant, status, by in self._batch(batch):
                done += 1
                yield mutant, status, by
            if done < len(batch):
                # the server died of the next one: that is noticed, and the others are tried again
                self.close()
                yield batch[done], "killed", "it ended the runner of the tests"
                waiting = batch[done + 1 :] + waiting
                self._start()

    def _batch(self, batch: Sequence[Mutant]) -> Iterator[tuple[Mutant, str, str]]:
        process = self._process()
        orders = [self._order(mutant) for mutant in batch]
        by_id = {mutant.id: mutant for mutant in batch}
        try:
            process.send(json.dumps({"try": orders}).encode())
            for order in orders:
                line = process.receive(WALL * order["seconds"] + START_SECONDS)
                if line is None:
                    return
                reply = json.loads(line)
                covered = bool(order["cases"]) or reply["status"] in ("equivalent", "duplicate", "outside")
                yield by_id[reply["id"]], reply["status"] if covered else "not covered", reply["by"]
            process.receive(START_SECONDS)
        except SandboxError:
            return

    def _order(self, mutant: Mutant) -> dict[str, Any]:
        start, end, first = statement_around(self.source, mutant)
        data = self.source.encode("utf-8", "surrogatepass")
        changed = mutant.apply(data)
        grown = len(changed) - len(data)
        chosen = self.chosen(mutant)
        calm = sum(self.cases[name]["seconds"] for name in chosen)
        return {
            "id": mutant.id, "original": data[start:end].decode(), "statement": changed[start : end + grown].decode(),
            "first": first, "line": mutant.line, "cases": chosen, "seconds": self.how.floor + self.how.factor * calm,
        }  # fmt: skip

    def chosen(self, mutant: Mutant) -> list[str]:
        """The passing cases that run the lines of a mutant, the quickest first."""
        lines = set(range(mutant.line, mutant.last_line + 1))
        own = [name for name, case in self.cases.items() if case["ok"] and lines & case["lines"]]
        if not own:
            # lines inside a statement over several lines are told by its first one
            start, end, first = statement_around(self.source, mutant)
            data = self.source.encode("utf-8", "surrogatepass")
            before = range(max(first, mutant.line - data[start:end].count(b"\n")), mutant.line + 1)
            near = [line for line in reversed(before) if any(line in case["lines"] for case in self.cases.values())]
            text = self.source.splitlines()
            if near and _continues(text[near[0] - 1 : mutant.line]):
                own = [name for name, case in self.cases.items() if case["ok"] and near[0] in case["lines"]]
        return sorted(own, key=lambda name: (self.cases[name]["seconds"], name))

    def _start(self) -> None:
        here = Path(__file__).parent
        memory = self.how.memory_bytes
        self.process = self.sandbox.start(
            [str(self.project.python.program), "-B", FILES[0]],
            files={name: (here / name).read_bytes() for name in FILES},
            limits=Limits(
                seconds=LIFE, cpu_seconds=int(LIFE), memory_bytes=memory, reserved_bytes=RESERVED, processes=256,
                file_bytes=memory // 2, scratch_bytes=memory // 2,
            ),
            env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
            read_only=(self.project.root, *self.project.python.read_only),
        )  # fmt: skip
        opening = {"source": str(self.project.root), "copy": True, "warm": False, "paths": []}
        self._ask({"open": opening})
        order = {"target": self.path, "tests": [found.path for found in self.tests], "words": []}
        told = self._ask({"collect": order})
        if not told["cases"]:
            why = told["broken"] or "no case was found"
            raise UsageError(f"The tests of {self.path} cannot be run: {why}.", hint="run them with `agd test run`.")

    def _calm(self) -> None:
        told = self._ask({"calm": {"seconds": CALM_SECONDS}})
        self.cases = {name: {**case, "lines": set(case["lines"])} for name, case in told["cases"].items()}
        if not any(case["ok"] for case in self.cases.values()):
            why = told["problem"] or "every case fails"
            raise UsageError(
                f"The tests do not pass without a change, so they judge nothing: {why}.", hint="mend them first."
            )

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process()
        process.send(json.dumps(request).encode())
        line = process.receive(WALL * START_SECONDS)
        if line is None:
            done = process.close()
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise SandboxError(
                f"The server of mutants ended: {said[-1] if said else f'exit code {done.status}'}.",
                hint="run the tests with `agd test run` to see what they do.",
            )
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _process(self) -> SandboxProcess:
        assert self.process is not None
        return self.process

    def close(self) -> None:
        """End the server and everything that it started."""
        process, self.process = self.process, None
        if process is not None:
            process.close()

    def __enter__(self) -> ForkJudge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _continues(lines: Sequence[str]) -> bool:
    """Whether the lines are one statement: brackets that are open before the last."""
    before = "\n".join(lines[:-1])
    return any(before.count(start) > before.count(end) for start, end in ("()", "[]", "{}"))
