"""A git worktree and branch of its own: what is done there never touches what lies uncommitted in the project.

Everything is done by `git` itself, with hooks off and nothing but the asked repository.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from agentic_diffusion.foundation.errors import SetupError, UsageError
from agentic_diffusion.foundation.resources import atomic_write

_SECONDS = 120.0
_AUTHOR = ("-c", "user.name=agd", "-c", "user.email=agd@localhost", "-c", "commit.gpgsign=false")


@dataclass(frozen=True, kw_only=True)
class Worktree:
    """A folder with the last commit of a project, on a branch of its own."""

    repository: Path
    """The project's own folder."""
    folder: Path
    """The worktree."""
    branch: str
    """Its branch."""

    def commit(self, files: dict[str, bytes], message: str) -> str | None:
        """Write files (paths relative to the project) and commit them; the commit, or None where nothing changed."""
        for path, data in files.items():
            atomic_write(self.folder / path, data)
        git(self.folder, "add", "--", *files)
        if not git(self.folder, "status", "--porcelain", "--", *files).strip():
            return None
        git(self.folder, *_AUTHOR, "commit", "-q", "--no-verify", "-m", message, "--", *files)
        return git(self.folder, "rev-parse", "HEAD").strip()

    def remove(self, *, keep_branch: bool) -> None:
        """Remove the folder; the branch, too, unless it holds something to keep."""
        git(self.repository, "worktree", "remove", "--force", str(self.folder))
        if not keep_branch:
            git(self.repository, "branch", "-q", "-D", self.branch)


def root_of(folder: Path) -> Path:
    """The top of the repository that a folder lies in; UsageError where it lies in none, or nothing is committed."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.", hint="give --repo a folder that git keeps.")
    try:
        top = Path(git(folder, "rev-parse", "--show-toplevel").strip())
        git(top, "rev-parse", "--verify", "HEAD")
    except SetupError as error:
        raise UsageError(
            f"The folder {folder} is in no git repository with a commit.",
            hint="run `git init`, `git add` and `git commit` there, so that nothing of yours can be lost.",
        ) from error
    return top


def head_of(repository: Path) -> str:
    """The last commit."""
    return git(repository, "rev-parse", "HEAD").strip()


def worktree(repository: Path, folder: Path, branch: str) -> Worktree:
    """The worktree of this name: the one that is there, or a new one from the last commit."""
    found = Worktree(repository=repository, folder=folder, branch=branch)
    if (folder / ".git").exists():
        return found
    folder.parent.mkdir(parents=True, exist_ok=True)
    git(repository, "worktree", "prune")
    known = git(repository, "branch", "--list", branch).strip()
    words = [str(folder), branch] if known else ["-b", branch, str(folder), "HEAD"]
    git(repository, "worktree", "add", "-q", *words)
    return found


def git(folder: Path, *words: str) -> str:
    """What git prints; SetupError where it is missing or refuses."""
    program = shutil.which("git")
    if program is None:
        raise SetupError("git is not installed.", hint="install git; `agd solve` works on a branch of its own.")
    # the variables of a hook or another worktree would lead elsewhere
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"LC_ALL": "C"}
    try:
        done = subprocess.run(
            [program, "-c", "core.hooksPath=/dev/null", *words], cwd=folder, env=env, capture_output=True, check=False,
            timeout=_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"git {words[0]} took too long in {folder}.", hint="look at that repository.") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise SetupError(
            f"git {words[0]} failed in {folder}: {said[-1] if said else 'it said nothing'}.",
            hint="look at that repository with `git status`.",
        )
    return done.stdout.decode(errors="replace")
