"""Other programs, run for an installer's step: their output is kept off stdout, a failure is said in their last words.

Standard library only.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from agentic_diffusion.foundation.errors import SetupError
from agentic_diffusion.packages import uv


def run(
    command: Sequence[str], *, purpose: str, tool: str, offline: bool = False, cwd: str | None = None,
    env: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """Run another program and return its stdout; raises SetupError with its last words when it fails."""
    try:
        done = subprocess.run(
            list(command), capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, cwd=cwd,
            env=dict(env) if env is not None else None, check=False,
        )  # fmt: skip
    except OSError as error:
        raise SetupError(f"{tool} does not start: {error.strerror or error}.", hint=f"Install {tool}.") from error
    if done.returncode != 0:
        raise uv.failure(purpose, done.stderr or done.stdout, offline=offline, tool=tool)
    return done.stdout
