"""How a plan is written for the denoiser, and how a layout is read by its cross-attention.

A plan is K knots (x, y, vx, vy), equally spaced in time from the start to the goal, and its duration, which varies with
start and goal. For the denoiser it is x_0 of H tokens with C numbers each:

    knots      `patch` of them a token; positions relative to the start / 2 m, velocities / 3 m/s
    duration   log(duration / reference) / 0.35, the same in every token; the reference grows with the way

The context has one token for each cell that lies on a way at most `slack` cells longer than the shortest: its place
relative to start and goal, its walls, its distances to both (flood fill over the layout), and the directions of the
shortest ways. Everything is relative, so that a layout's place does not matter, and a plan may be turned and mirrored
in eight ways (`symmetry` 0 to 7) together with its layout.

Shapes: N plans, K knots, H tokens, C numbers a token, M cells, W width of a cell's features.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.domains.trajectories.environment import MazeSet
from agentic_diffusion.domains.trajectories.maze import cell_centres, cells_of
from agentic_diffusion.foundation.errors import ConfigError, UsageError

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]

POSITION_SCALE = 2.0
VELOCITY_SCALE = 3.0
DURATION_SCALE = 0.35
SYMMETRIES = 8
_WAVES = 8
CELL_FEATURES = 28 + 2 * _WAVES
"""Numbers W of a context token."""
_REFERENCE = (10.0, 24.0)
"""Environment steps of a plan's reference duration: at rest, and for each cell of the way."""
_MOVES = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])


@dataclass(frozen=True, kw_only=True)
class PlanFormat:
    """Sizes of a plan."""

    knots: int = 32
    """Knots K, the start's among them."""
    patch: int = 2
    """Knots a token, a divisor of the knots."""
    slack: int = 2
    """How many cells longer than the shortest a way may be for its cells to be seen."""

    def __post_init__(self) -> None:
        """Check the ranges; raises ConfigError."""
        if self.knots < 4 or self.patch < 1 or self.knots % self.patch or self.slack < 0:
            raise ConfigError(
                f"A plan of {self.knots} knots, {self.patch} a token, with slack {self.slack} is not possible.",
                hint="Use at least 4 knots, a divisor of them a token, and a slack of 0 or more.",
            )

    @property
    def tokens(self) -> int:
        """Tokens H."""
        return self.knots // self.patch

    @property
    def channels(self) -> int:
        """Numbers C a token."""
        return 4 * self.patch + 1

    def as_json(self) -> dict[str, object]:
        """The sizes as a JSON-ready mapping."""
        return asdict(self)

    def encode(self, states: Array, durations: Array, reference: Array, symmetry: int = 0) -> Float32:
        """x_0 [N, H, C] of knots [N, K, 4] and durations [N] in environment steps."""
        if states.shape[1:] != (self.knots, 4):
            raise UsageError(
                f"The knots have shape {states.shape} and must have [plans, {self.knots}, 4].",
                hint="A knot is x, y, vx, vy.",
            )
        turned = _turn(self._relative(states, states[:, 0, :2]), symmetry)
        tokens = turned.reshape(len(states), self.tokens, 4 * self.patch)
        speed = np.log(durations / reference) / DURATION_SCALE
        spread = np.broadcast_to(speed[:, None, None], (*tokens.shape[:2], 1))
        return np.concatenate([tokens, spread], axis=2).astype(np.float32)

    def decode(self, x_0: Float32, start: Array, reference: Array, symmetry: int = 0) -> tuple[Array, Array]:
        """Knots [N, K, 4] and durations [N] of x_0; `start` [N, 2] is where the plans begin."""
        data = x_0.astype(np.float64)
        knots = data[:, :, :-1].reshape(len(data), self.knots, 4)
        # The inverse of a turn is its transpose.
        knots = _turn(knots, symmetry, back=True)
        states = np.concatenate([POSITION_SCALE * knots[..., :2], VELOCITY_SCALE * knots[..., 2:]], axis=-1)
        states[..., :2] += start[:, None]
        durations = reference * np.exp(DURATION_SCALE * data[:, :, -1].mean(1))
        return states, durations

    def known(self, start: Array, goal: Array, symmetry: int = 0) -> tuple[NDArray[np.bool_], Float32]:
        """Which entries are given ([1, H, C]) and their values [N, H, C]: the start state and the goal position."""
        states = np.zeros((len(start), self.knots, 4))
        states[:, 0] = start
        states[:, -1, :2] = goal
        values = self.encode(states, np.ones(len(start)), np.ones(len(start)), symmetry)
        given = np.zeros((1, self.tokens, self.channels), bool)
        given[:, 0, :4] = True
        given[:, -1, -5:-3] = True
        return given, values

    @staticmethod
    def _relative(states: Array, origin: Array) -> Array:
        place = (states[..., :2] - origin[:, None]) / POSITION_SCALE
        return np.concatenate([place, states[..., 2:] / VELOCITY_SCALE], axis=-1)


def reference_durations(mazes: MazeSet, which: NDArray[np.int64], start: Array, goal: Array) -> Array:
    """[N] environment steps that a plan from `start` [N, 2] to `goal` [N, 2] is measured against."""
    begin, end = cells_of(start), cells_of(goal)
    way = mazes.floods[which, begin[:, 0], begin[:, 1], end[:, 0], end[:, 1]]
    still, moving = _REFERENCE
    return np.asarray(still + moving * np.maximum(way, np.linalg.norm(goal - start, axis=1)))


def cell_features(
    mazes: MazeSet,
    which: NDArray[np.int64],
    start: Array,
    goal: Array,
    *,
    slack: int,
    symmetry: int = 0,
) -> tuple[Float32, NDArray[np.bool_]]:
    """The context [N, M, W] and its mask [N, M] for plans from `start` [N, 2] to `goal` [N, 2] in mazes `which`.

    Raises UsageError where there is no way from one to the other.
    """
    count, (rows, columns) = len(which), mazes.walls.shape[1:]
    begin, end = cells_of(start), cells_of(goal)
    from_start = mazes.floods[which, begin[:, 0], begin[:, 1]].reshape(count, -1)
    to_goal = mazes.floods[which, end[:, 0], end[:, 1]].reshape(count, -1)
    rank = np.arange(count)
    length = from_start[rank, end[:, 0] * columns + end[:, 1]].astype(float)
    if (length < 0).any():
        raise UsageError(
            "There is no way from the start to the goal.", hint="Choose two points whose cells are connected."
        )
    detour = np.where((from_start >= 0) & (to_goal >= 0), from_start + to_goal - length[:, None], np.inf)
    seen = detour <= slack
    most = int(seen.sum(1).max())
    order = np.argsort(~seen, axis=1, kind="stable")[:, :most]
    mask = np.take_along_axis(seen, order, 1)
    i, j = order // columns, order % columns
    near = [np.take_along_axis(table, order, 1).astype(float) for table in (from_start, to_goal, detour)]
    near[2] = np.where(mask, near[2], 0.0)
    centre = cell_centres(np.stack([i, j], -1))
    vectors = [
        (centre - start[:, None]) / POSITION_SCALE,
        (centre - goal[:, None]) / POSITION_SCALE,
        _descent(to_goal, i, j, columns, rows),
        -_descent(from_start, i, j, columns, rows),
    ]
    window = np.arange(-1, 2)
    at_i = np.clip(i[..., None, None] + window[:, None], 0, rows - 1)
    at_j = np.clip(j[..., None, None] + window, 0, columns - 1)
    around = mazes.walls[which[:, None, None, None], at_i, at_j].astype(float)
    share = near[0] / np.maximum(length, 1.0)[:, None]
    angles = np.pi * share[..., None] * np.arange(1, _WAVES + 1)
    scalars = [
        share,
        near[1] / np.maximum(length, 1.0)[:, None],
        near[0] / 10,
        near[1] / 10,
        near[2] / 4,
        (near[2] == 0).astype(float),
        near[0] == 0,
        near[1] == 0,
        np.broadcast_to(length[:, None] / 20, share.shape),
        np.log1p(np.broadcast_to(length[:, None], share.shape)),
        np.ones_like(share),
    ]
    features = np.concatenate(
        [
            np.concatenate([_turn(vector, symmetry) for vector in vectors], -1),
            _turn_windows(around, symmetry).reshape(*share.shape, 9),
            np.stack(scalars, -1),
            np.cos(angles),
            np.sin(angles),
        ],
        axis=-1,
    )
    return (features * mask[..., None]).astype(np.float32), mask


def _descent(distance: NDArray[np.int16], i: NDArray[np.int64], j: NDArray[np.int64], columns: int, rows: int) -> Array:
    """[N, M, 2] the mean direction of those neighbours of cells (i, j) that are nearer by `distance` [N, X * Y]."""
    here = np.take_along_axis(distance, i * columns + j, 1)
    total = np.zeros((*i.shape, 2))
    for move in _MOVES:
        x, y = np.clip(i + move[0], 0, rows - 1), np.clip(j + move[1], 0, columns - 1)
        there = np.take_along_axis(distance, x * columns + y, 1)
        total += ((there >= 0) & (there < here))[..., None] * move
    return np.asarray(total / np.maximum(np.abs(total).sum(-1, keepdims=True), 1.0))


def _turn(vectors: Array, symmetry: int, *, back: bool = False) -> Array:
    """Turn pairs of numbers (last axis, one pair after the other): swap (bit 2), then signs (bits 0 and 1)."""
    pairs = vectors.reshape(*vectors.shape[:-1], -1, 2)
    signs = np.array([-1.0 if symmetry & 1 else 1.0, -1.0 if symmetry & 2 else 1.0])
    swap = bool(symmetry & 4)
    if back:
        pairs = pairs * signs
        pairs = pairs[..., ::-1] if swap else pairs
    else:
        pairs = pairs[..., ::-1] if swap else pairs
        pairs = pairs * signs
    return np.asarray(pairs.reshape(vectors.shape))


def _turn_windows(windows: Array, symmetry: int) -> Array:
    """Turn the last two axes (3 x 3 cells) as `_turn` turns directions."""
    turned = windows.swapaxes(-1, -2) if symmetry & 4 else windows
    turned = turned[..., ::-1, :] if symmetry & 1 else turned
    return turned[..., ::-1] if symmetry & 2 else turned
