"""What searches under test share: tests as one suite, the sandbox that judges by it, limits from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.settings import GenerateSettings, SandboxSettings

if TYPE_CHECKING:
    from agentic_diffusion.diffusion.block_decoder import DecodeSettings
    from agentic_diffusion.foundation import config
    from agentic_diffusion.foundation.sandbox import Sandbox
    from agentic_diffusion.testing.suite import Suite


class SearchLimits(TypedDict):
    """What every request of a search under test takes from the settings."""

    seconds: float
    decode: DecodeSettings
    case_seconds: float
    memory_bytes: int


def search_limits(settings: config.Settings, *, seed: int) -> SearchLimits:
    """Budget, decoding and the limits of a candidate's run, as the settings and flags say."""
    from agentic_diffusion.codegen.request import decode_settings

    chosen, limits = settings.section(GenerateSettings), settings.section(SandboxSettings)
    return {
        "seconds": chosen.budget_seconds,
        "decode": decode_settings(chosen, seed=seed),
        "case_seconds": limits.seconds,
        "memory_bytes": limits.memory_bytes,
    }


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
    """The sandbox that will judge; None without tests.

    A missing toolchain, and tests that cannot fail, are told here, before anything is loaded.
    """
    if suite is None:
        return None
    from agentic_diffusion.domains.code import languages
    from agentic_diffusion.foundation.sandbox import Limits, choose
    from agentic_diffusion.testing.execution import suite_is_vacuous

    harness = languages.get(suite.language).harness
    if harness is not None:
        harness.worker()
    sandbox = choose(unsafe=unsafe, only=None if settings.tier == "auto" else settings.tier)
    limits = Limits(seconds=settings.seconds, memory_bytes=settings.memory_bytes)
    if suite_is_vacuous(suite, sandbox, limits):
        raise UsageError(
            "The tests pass for functions that do nothing, so passing them would prove nothing.",
            hint="assert the results that you expect.",
        )
    return sandbox
