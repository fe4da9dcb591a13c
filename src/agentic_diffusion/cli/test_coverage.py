"""The coverage of `agd test run`: what is asked for, what is written, and what is too little."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentic_diffusion.foundation import config, events
from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.resources import atomic_write
from agentic_diffusion.foundation.settings import SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentic_diffusion.foundation.sandbox import Sandbox
    from agentic_diffusion.testing.coverage import ProjectCoverage
    from agentic_diffusion.testing.discovery import Found
    from agentic_diffusion.testing.project import Project
    from agentic_diffusion.testing.project_outcomes import ProjectRun
    from agentic_diffusion.testing.project_run import RunSettings


def sandbox_for(*, trusted: bool) -> Sandbox:
    """The sandbox in which tests run, or none at all for those that are trusted."""
    from agentic_diffusion.foundation.sandbox import choose
    from agentic_diffusion.foundation.sandbox.unsafe import Unsafe

    if trusted:
        return Unsafe()
    tier = config.load().section(SandboxSettings).tier
    return choose(only=None if tier == "auto" else tier)


@dataclass(frozen=True, kw_only=True)
class Wished:
    """What the flags ask for."""

    source: Sequence[Path]
    """Files and folders whose coverage counts."""
    html: Path | None
    """A folder for HTML."""
    lcov: Path | None
    """A file for LCOV."""
    cobertura: Path | None
    """A file for Cobertura XML."""
    fail_under: float | None
    """The least percentage."""
    since: str | None
    """A git revision."""

    def __post_init__(self) -> None:
        """Refuse a percentage that is none, and targets that cannot be written."""
        if self.fail_under is not None and not 0 <= self.fail_under <= 100:
            raise UsageError(
                f"--fail-under is {self.fail_under:g}, and it is a percentage.", hint="use 90, for example."
            )
        for target in (self.lcov, self.cobertura):
            if target is not None and (target.is_dir() or not target.absolute().parent.is_dir()):
                raise UsageError(f"The file {target} cannot be written.", hint="name a file in a folder that exists.")

    @property
    def any(self) -> bool:
        """Whether some flag needs coverage."""
        given = (self.html, self.lcov, self.cobertura, self.fail_under, self.since)
        return bool(self.source) or any(flag is not None for flag in given)


class Measuring:
    """The coverage of one run."""

    def __init__(
        self, project: Project, wanted: Mapping[str, str], settings: RunSettings, wished: Wished,
        changed: Mapping[str, set[int]] | None,
    ) -> None:  # fmt: skip
        """Keep what was asked."""
        self.project, self.wanted, self.settings, self.wished = project, wanted, settings, wished
        self.changed = changed
        self.found: ProjectCoverage | None = None

    @classmethod
    def begin(
        cls, project: Project, founds: Sequence[Found], settings: RunSettings, wished: Wished
    ) -> Measuring | None:
        """Check before anything runs that coverage can be measured; None where nobody asked for it."""
        from agentic_diffusion.testing import changes, coverage

        if not settings.coverage or not founds:
            return None
        coverage.demand(project, founds)
        changed = changes.changed_lines(project.root, wished.since) if wished.since is not None else None
        return cls(project, coverage.sources(project, founds, wished.source), settings, wished, changed)

    def finish(self, ended: ProjectRun) -> ProjectCoverage:
        """Put the coverage of a run together and write what was asked for."""
        from agentic_diffusion.testing import coverage, coverage_reports

        sandbox = sandbox_for(trusted=self.settings.trusted)
        found = coverage.gather(self.project, self.wanted, ended, sandbox, self.settings)
        self.found = found
        if self.wished.lcov is not None:
            atomic_write(self.wished.lcov, coverage_reports.lcov(found))
        if self.wished.cobertura is not None:
            atomic_write(self.wished.cobertura, coverage_reports.cobertura(found, timestamp=int(time.time())))
        if self.wished.html is not None:
            coverage_reports.html(found, self.project.root, self.wished.html)
        return found

    def verdict(self) -> int:
        """Tell on stdout which changed lines no test runs, and on stderr when it is too little; the exit code."""
        from agentic_diffusion.testing.coverage_reports import spans

        assert self.found is not None
        if self.changed is not None:
            for one in self.found.files:
                gone = set(one.missing) & self.changed.get(one.path, set())
                if gone:
                    sys.stderr.write(f"changed and not covered: {one.path}: {spans(gone)}\n")
        least = self.wished.fail_under
        if least is not None and 100 * self.found.share() < least:
            events.say(f"coverage is {self.found.share():.2%}, and at least {least:g}% were asked for")
            return 1
        return 0
