"""One executed trajectory, and the text that it is kept as.

Shapes: T environment steps. States: (x, y, vx, vy) in m and m/s; state t is the one before action t.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.foundation.errors import StoreError, UsageError

_FORMAT = "maze trajectory 1"


@dataclass(frozen=True, kw_only=True)
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

    def to_text(self) -> str:
        """JSON with the states as compressed little-endian float32 in base64."""
        packed = base64.b64encode(zlib.compress(self.states.astype("<f4").tobytes(), 6)).decode()
        return json.dumps({"format": _FORMAT, "layout": self.layout, "goal": list(self.goal), "states": packed})

    @classmethod
    def from_text(cls, text: str) -> Trajectory:
        """What `to_text` wrote; raises StoreError for any other text."""
        try:
            record = json.loads(text)
            if record["format"] != _FORMAT:
                raise ValueError(record["format"])
            states = np.frombuffer(zlib.decompress(base64.b64decode(record["states"])), "<f4").reshape(-1, 4)
            x, y = record["goal"]
            return cls(layout=record["layout"], goal=(float(x), float(y)), states=states.astype(np.float32))
        except (ValueError, KeyError, TypeError, zlib.error, binascii.Error) as error:
            raise StoreError(
                "A kept trajectory is no text that this version wrote.", hint="Delete that sample, or its database."
            ) from error
