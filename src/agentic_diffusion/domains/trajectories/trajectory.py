"""One executed trajectory, and the arrays that a buffer keeps of it.

Shapes: T environment steps. States: (x, y, vx, vy) in m and m/s; state t is the one before action t.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.foundation.errors import UsageError


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectory:
    """The states of a ball on its way to a goal."""

    layout: str
    """The maze's layout."""
    goal: tuple[float, float]
    """What it was to reach."""
    states: NDArray[np.float32]
    """[T + 1, 4] from the start to the end."""

    def __post_init__(self) -> None:
        """Check the shape; raises UsageError."""
        if self.states.ndim != 2 or self.states.shape[1] != 4 or len(self.states) < 2:
            raise UsageError(
                f"The states of a trajectory have shape {self.states.shape} and must have [steps, 4], two at least.",
                hint="A state is x, y, vx, vy.",
            )

    @property
    def horizon(self) -> int:
        """Environment steps T."""
        return len(self.states) - 1

    @property
    def task(self) -> str:
        """A key of maze, start and goal: "#####/#OOG#/##### 1.020,0.950 -> 1.000,3.000"."""
        (x, y), (gx, gy) = self.states[0, :2], self.goal
        return f"{self.layout} {x:.3f},{y:.3f} -> {gx:.3f},{gy:.3f}"

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """What a buffer keeps: "states" [T + 1, 4]."""
        return {"states": self.states.astype(np.float32)}

    @classmethod
    def from_kept(cls, arrays: Mapping[str, NDArray[Any]], provenance: Mapping[str, Any]) -> Trajectory:
        """From arrays, and a provenance with layout and goal; raises UsageError where one is missing."""
        missing = [name for name in ("layout", "goal") if name not in provenance]
        missing += [] if "states" in arrays else ["states"]
        if missing:
            raise UsageError(
                f"A kept trajectory has no {missing[0]}.", hint="Use samples that the self-improvement of mazes kept."
            )
        x, y = provenance["goal"]
        return cls(layout=str(provenance["layout"]), goal=(float(x), float(y)), states=np.asarray(arrays["states"]))
