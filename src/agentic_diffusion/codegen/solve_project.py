"""`solve` on a project that git keeps: a worktree of its own, a journal to go on from, a commit at the end.

The journal is one JSON object a line: what the solve is, then every event, with the program where it changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentic_diffusion.codegen.bundle import bundle
from agentic_diffusion.codegen.document import Document
from agentic_diffusion.codegen.merging import merged
from agentic_diffusion.codegen.project_files import under_test
from agentic_diffusion.codegen.solve import Memory, SolveEvent, SolveRequest, SolveResult, solve
from agentic_diffusion.codegen.worktree import Worktree, head_of, root_of, worktree
from agentic_diffusion.diffusion.block_decoder import DecodeSettings
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.resources import writable_home

if TYPE_CHECKING:
    from agentic_diffusion.codegen.coder import Coder
    from agentic_diffusion.foundation.sandbox import Sandbox


@dataclass(frozen=True, kw_only=True)
class ProjectRequest:
    """A project, its tests, a goal, the limits."""

    repository: Path
    """A folder in a git repository."""
    tests: tuple[str, ...]
    """Test files, relative to the repository's top."""
    goal: str = ""
    """What shall be done, in words; may be empty."""
    seconds: float = 300.0
    """Budget of this run."""
    decode: DecodeSettings = field(default_factory=lambda: DecodeSettings(temperature=0.8))
    """How the model writes."""
    case_seconds: float = 10.0
    """Limit of one program's run on the tests."""
    memory_bytes: int = 512 << 20
    """Memory limit of one program."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A solve that can begin."""

    request: SolveRequest
    """What is asked."""
    tree: Worktree
    """Where it is done."""
    journal: Journal
    """Where it is noted."""


@dataclass(frozen=True, kw_only=True)
class ProjectResult:
    """What became of it."""

    result: SolveResult
    """The solve."""
    branch: str | None
    """The branch with the commit; None where nothing became better."""
    commit: str | None
    """The commit."""
    diff: str
    """The change as git shows it; empty without one."""


class Journal:
    """The events of one solve on the disk; another solve's file is begun anew."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        """Open or begin it."""
        self.path, self.actions = path, 0
        self.start: str | None = None
        lines = path.read_bytes().split(b"\n") if path.is_file() else []
        records = [record for line in lines if (record := _object(line)) is not None]
        if not records or records[0].get("solve") != identity:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
            self._append({"solve": identity})
            return
        for record in records[1:]:
            self.actions += record.get("kind") == "chose"
            self.start = record.get("program", self.start)
        if lines[-1]:
            with path.open("ab") as file:
                file.write(b"\n")  # behind a line that a crash cut off

    def note(self, event: SolveEvent, program: str) -> None:
        """Append an event; it is on the disk when this returns."""
        self._append(event.as_json() | ({"program": program} if event.kind == "kept" else {}))

    def close(self) -> None:
        """Remove it: what it led to is committed."""
        self.path.unlink(missing_ok=True)

    def _append(self, record: dict[str, Any]) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps(record).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def prepare(request: ProjectRequest) -> Prepared:
    """Make the worktree from the last commit and read what the tests are about; UsageError for what cannot be done."""
    root = root_of(request.repository)
    identity = {
        "repository": str(root), "commit": head_of(root), "tests": list(request.tests), "goal": request.goal,
        "seed": request.decode.seed,
    }  # fmt: skip
    name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:10]
    home = writable_home() / "solve"
    tree = worktree(root, home / name, f"agd/solve-{name}")
    for path in request.tests:
        if not (tree.folder / path).is_file():
            tree.remove(keep_branch=False)
            raise UsageError(
                f"The last commit of {root} holds no file {path}.",
                hint="name tests relative to the repository, and commit them first.",
            )
    try:
        found = under_test(tree.folder, request.tests)
        whole = bundle(found.files, found.suite.language, found.modules)
    except UsageError:
        tree.remove(keep_branch=False)
        raise
    asked = SolveRequest(
        bundle=whole, suite=found.suite, goal=request.goal, seconds=request.seconds, decode=request.decode,
        case_seconds=request.case_seconds, memory_bytes=request.memory_bytes,
    )  # fmt: skip
    return Prepared(request=asked, tree=tree, journal=Journal(home / f"{name}.jsonl", identity))


def solve_project(
    prepared: Prepared,
    coder: Coder,
    sandbox: Sandbox,
    *,
    observe: Callable[[SolveEvent], None] | None = None,
    memory: Memory | None = None,
) -> ProjectResult:
    """Solve, and commit what became better to the branch; the project's own folder is never written to.

    A solve that is ended in between leaves its worktree and its journal, and goes on there when it is asked again.
    """
    journal, tree, request = prepared.journal, prepared.tree, prepared.request

    def noted(event: SolveEvent, program: str) -> None:
        journal.note(event, program)
        if observe is not None:
            observe(event)

    result = solve(request, coder, sandbox, observe=noted, memory=memory, start=journal.start, done=journal.actions)
    commit = None
    if result.program != request.bundle.program:
        said = f"{result.verdict.passed} of {result.verdict.total} tests pass, {result.first.passed} did before"
        commit = tree.commit(_files(prepared, result.program), f"agd solve: {said}")
    diff = _diff(tree) if commit is not None else ""
    tree.remove(keep_branch=commit is not None)
    journal.close()
    return ProjectResult(result=result, branch=tree.branch if commit is not None else None, commit=commit, diff=diff)


def _files(prepared: Prepared, program: str) -> dict[str, bytes]:
    """The changed files as bytes; lines that did not change keep their own."""
    found = prepared.request.bundle.files(program)
    assert found is not None, "only programs that come apart are kept"
    changed = {}
    for path, text in found.items():
        document = Document.read(prepared.tree.folder / path)
        after = replace(document, text=merged(document.text, text))
        if after.text != document.text:
            changed[path] = after.encode()
    return changed


def _diff(tree: Worktree) -> str:
    from agentic_diffusion.codegen.worktree import git

    return git(tree.folder, "diff", "--no-color", "--no-ext-diff", "HEAD~1", "HEAD")


def relative_tests(repository: Path, tests: Sequence[Path]) -> tuple[str, ...]:
    """Test files as paths below the repository's top, whether they were given from here or from there."""
    root = root_of(repository).resolve()
    found = []
    for path in tests:
        here = path.resolve()
        inside = here.is_relative_to(root) and here.is_file()
        found.append(here.relative_to(root).as_posix() if inside else path.as_posix())
    return tuple(found)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
