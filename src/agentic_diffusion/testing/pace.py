"""How long one case may take. Times are seconds."""

from __future__ import annotations

from dataclasses import dataclass

from agentic_diffusion.foundation.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long one case may take; `Limits.seconds` bounds a candidate as a whole."""

    cpu_seconds: float = 2.0
    """Processor time of a case."""
    wall_seconds: float = 6.0
    """Wall-clock time of a case; above the processor time, for machines with other work to do."""

    def __post_init__(self) -> None:
        """Refuse times in which nothing could run."""
        if min(self.cpu_seconds, self.wall_seconds) < 0.01:
            raise ConfigError(
                f"A case is given {self.cpu_seconds} s of processor and {self.wall_seconds} s of wall-clock time,"
                " and both must be at least 0.01 s.",
                hint="leave them at their defaults",
            )


STUB_PACE = Pace(cpu_seconds=2.0, wall_seconds=3.0)
"""For a look at the tests alone, with functions that return at once."""
