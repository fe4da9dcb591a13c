"""What changed since a git revision: the lines of each file, as they are numbered now.

Files that git does not know yet count as changed from their first line to their last.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from agentic_diffusion.foundation.errors import UsageError

_FILE = re.compile(r"^\+\+\+ (?:b/(.*?)|/dev/null)\t?$")
_HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@")


def changed_lines(root: Path, revision: str) -> dict[str, set[int]]:
    """Lines that were added or altered since `revision`, by path relative to `root`.

    UsageError where `root` is in no git repository, or there is no such revision.
    """
    said = _git(root, "diff", "--unified=0", "--no-color", "--no-ext-diff", "--relative", "--no-renames",
                f"{revision}^{{commit}}", "--", ".")  # fmt: skip
    found: dict[str, set[int]] = {}
    path: str | None = None
    for line in said.splitlines():
        if line.startswith("+++ "):
            match = _FILE.match(line)
            path = match[1] if match else None
        elif path is not None and (hunk := _HUNK.match(line)):
            first, count = int(hunk[1]), int(hunk[2] or 1)
            found.setdefault(path, set()).update(range(first, first + count))
    for path in _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", ".").split("\0"):
        if path and (root / path).is_file():
            lines = (root / path).read_bytes().count(b"\n") + 1
            found[path] = set(range(1, lines + 1))
    return found


def text_at(root: Path, revision: str, path: str) -> str | None:
    """The text of a file (relative to `root`) at a revision; None where it was not there."""
    command = ["git", "-c", "safe.directory=*", "show", f"{revision}:./{path}"]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def _git(root: Path, *words: str) -> str:
    command = ["git", "-c", "safe.directory=*", "-c", "core.quotePath=false", *words]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    except OSError as error:
        raise UsageError("git is not installed, so nothing is known of changes.", hint="install git.") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise UsageError(
            f"git cannot tell what changed at {root}: {said[-1]}.",
            hint="give a revision of this repository, as HEAD~1.",
        )
    return done.stdout.decode(errors="replace")
