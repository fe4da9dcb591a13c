"""Pictures of plans: the maze from above, all candidates, the chosen one; and the denoising as an animation.

x counts the rows of a layout and runs down the picture, y runs to the right. Needs pillow; no display.
Shapes: A candidates, K knots.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from agentic_diffusion.domains.trajectories.environment import GOAL_RADIUS
from agentic_diffusion.domains.trajectories.maze import BALL_RADIUS, CELL_OFFSET, Maze

Array = NDArray[np.float64]
_CELL = 48
_FINER = 2
_WALL, _FLOOR, _CANDIDATE = (52, 58, 72), (246, 246, 242), (120, 150, 200)
_CHOSEN, _START, _GOAL = (206, 60, 40), (30, 120, 80), (240, 190, 60)
_FRAME_MS, _LAST_MS = 350, 2500


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is drawn."""

    maze: Maze
    """The layout."""
    start: tuple[float, float]
    """Where the ball starts."""
    goal: tuple[float, float]
    """The middle of the goal's disc."""


def draw(scene: Scene, candidates: Sequence[Array], chosen: Array | None) -> Image.Image:
    """Maze, candidates (each [K, 2] or longer), and the chosen path on top."""
    rows, columns = scene.maze.walls.shape
    unit = _CELL * _FINER
    image = Image.new("RGB", (columns * unit, rows * unit), _FLOOR)
    pen = ImageDraw.Draw(image, "RGBA")
    for i, j in np.argwhere(scene.maze.walls):
        pen.rectangle((j * unit, i * unit, (j + 1) * unit, (i + 1) * unit), fill=_WALL)
    _disc(pen, scene.goal, GOAL_RADIUS, (*_GOAL, 150))
    for path in candidates:
        pen.line(_pixels(path), fill=(*_CANDIDATE, 90), width=_FINER, joint="curve")
    if chosen is not None:
        pen.line(_pixels(chosen), fill=(*_CHOSEN, 255), width=3 * _FINER, joint="curve")
    _disc(pen, scene.start, BALL_RADIUS, (*_START, 255))
    return image.resize((columns * _CELL, rows * _CELL), Image.Resampling.LANCZOS)


def png(image: Image.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def animated_gif(frames: Sequence[Image.Image]) -> bytes:
    """The pictures as an endless GIF; the last one stays longer."""
    shown = [frame.quantize(96) for frame in frames]
    times = [_FRAME_MS] * (len(shown) - 1) + [_LAST_MS]
    buffer = io.BytesIO()
    shown[0].save(buffer, format="GIF", save_all=True, append_images=shown[1:], duration=times, loop=0)
    return buffer.getvalue()


def _pixels(path: Array) -> list[tuple[float, float]]:
    """Points of the finer picture: y to the right, x down."""
    place = (path[:, :2] + 0.5 + CELL_OFFSET) * _CELL * _FINER
    return [(float(y), float(x)) for x, y in place]


def _disc(pen: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, colour: tuple[int, ...]) -> None:
    ((y, x),) = _pixels(np.array([centre]))
    size = radius * _CELL * _FINER
    pen.ellipse((y - size, x - size, y + size, x + size), fill=colour)
