"""Plans without a denoiser: the shortest path of cells, smoothed, driven by the same tracker.

The path runs from the start over the centres of the cells to the goal; a moving average over half a metre rounds its
corners, and it is driven at constant speed. Several speeds make several candidates, so that the comparison with a
denoiser's candidates is one of plans and not of selection.

Shapes: N tasks, A candidates, K knots.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.domains.trajectories.environment import TIME_STEP, Tasks
from agentic_diffusion.domains.trajectories.maze import cell_centres, cells_of
from agentic_diffusion.planning.planner import Plans

Array = NDArray[np.float64]
DATA_SPEED = 3.5
"""Mean speed in m/s of the controller that drove the offline data, while it is on its way."""
_FINE = 400
_ROUNDING = 0.5
_FEWEST = 4.0


def spline_plans(tasks: Tasks, speeds: Sequence[float], *, knots: int = 32) -> Plans:
    """Candidates [N, A] at constant `speeds` in m/s along each task's smoothed shortest path."""
    states = np.zeros((len(tasks), len(speeds), knots, 4))
    durations = np.zeros((len(tasks), len(speeds)))
    for row in range(len(tasks)):
        place = _smoothed(_corners(tasks, row), knots)
        length = float(np.linalg.norm(np.diff(place, axis=0), axis=1).sum())
        slope = np.gradient(place, axis=0) * (knots - 1)
        for column, speed in enumerate(speeds):
            steps = max(length / speed / TIME_STEP, _FEWEST)
            states[row, column, :, :2] = place
            states[row, column, :, 2:] = slope / (steps * TIME_STEP)
            durations[row, column] = steps
        states[row, :, 0, 2:] = tasks.start[row, 2:]
    return Plans(knots=states, durations=durations)


def _corners(tasks: Tasks, row: int) -> Array:
    """[P, 2] start, the centres of the cells between, goal."""
    start, goal = tasks.start[row, :2], tasks.goal[row]
    begin, end = (tuple(map(int, cells_of(point))) for point in (start, goal))
    path = tasks.mazes.mazes[tasks.which[row]].path((begin[0], begin[1]), (end[0], end[1]))
    return np.stack([start, *cell_centres(np.array(path))[1:-1], goal])


def _smoothed(corners: Array, knots: int) -> Array:
    """[K, 2] points at equal distances along the rounded path."""
    along = _lengths(corners)
    fine = np.linspace(0.0, along[-1], _FINE)
    points = np.stack([np.interp(fine, along, corners[:, axis]) for axis in (0, 1)], axis=1)
    width = int(np.clip(_FINE * _ROUNDING / max(along[-1], _ROUNDING), 3, 150)) | 1
    kernel = np.hanning(width + 2)[1:-1]
    kernel /= kernel.sum()
    padded = np.concatenate([np.repeat(points[:1], width // 2, 0), points, np.repeat(points[-1:], width // 2, 0)])
    rounded = np.stack([np.convolve(padded[:, axis], kernel, "valid") for axis in (0, 1)], axis=1)
    along = _lengths(rounded)
    places = np.linspace(0.0, along[-1], knots)
    return np.stack([np.interp(places, along, rounded[:, axis]) for axis in (0, 1)], axis=1)


def _lengths(points: Array) -> Array:
    """[P] distance along the points; strictly rising, as interpolation needs it."""
    steps = np.maximum(np.linalg.norm(np.diff(points, axis=0), axis=1), 1e-9)
    return np.concatenate([[0.0], np.cumsum(steps)])
