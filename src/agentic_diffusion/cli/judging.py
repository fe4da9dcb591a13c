"""Tests as commands take them: files and single statements as one suite, and the sandbox that judges by it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agentic_diffusion.foundation.errors import UsageError

if TYPE_CHECKING:
    from agentic_diffusion.foundation.sandbox import Sandbox
    from agentic_diffusion.foundation.settings import SandboxSettings
    from agentic_diffusion.testing.suite import Suite


def suite_of(files: list[Path], statements: list[str], language: str) -> Suite | None:
    """All tests as one suite, or None where there are none."""
    if not files and not statements:
        return None
    from agentic_diffusion.testing.suite import combine, inline_suite, load_suite

    suites = [load_suite(path) for path in files]
    if statements:
        suites.append(inline_suite(statements, language=language))
    return suites[0] if len(suites) == 1 else combine(suites)


def sandbox_for(suite: Suite | None, settings: SandboxSettings, *, unsafe: bool) -> Sandbox | None:
    """The sandbox that will judge, after a look at whether the tests can fail at all; None without tests."""
    if suite is None:
        return None
    from agentic_diffusion.foundation.sandbox import Limits, choose
    from agentic_diffusion.testing.execution import suite_is_vacuous

    sandbox = choose(unsafe=unsafe, only=None if settings.tier == "auto" else settings.tier)
    limits = Limits(seconds=settings.seconds, memory_bytes=settings.memory_bytes)
    if suite_is_vacuous(suite, sandbox, limits):
        raise UsageError(
            "The tests pass for functions that do nothing, so passing them would prove nothing.",
            hint="assert the results that you expect.",
        )
    return sandbox
