"""Mazes of cells: layouts from text, the built-in ones, random ones, and the way from cell to cell.

Coordinates: a state's position is (x, y) in metres; x counts the rows of the text, y the columns. Cell (i, j) is the
square [i - 0.7, i + 0.3] x [j - 0.7, j + 0.3]: its centre is (i - 0.2, j - 0.2), so whole numbers are NOT centres. That
is how D4RL's maze2d lies (the ball's body starts at 1.2, the walls' boxes have their centres at i + 1), and every
published score depends on it. A ball of radius 0.1 leaves its centre [i - 0.6, i + 0.2] of a cell between two walls.

Shapes: X rows, Y columns, K cells, N points.
Layouts, step limits and reference returns: Fu et al. 2020, "D4RL", and its package's `pointmaze`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.foundation.errors import UsageError

Cell = tuple[int, int]
CELL_OFFSET = 0.2
"""A cell's centre is its index minus this."""
BALL_RADIUS = 0.1
_WALL, _FREE, _GOAL = "#", "O", "G"
_NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))
_LARGEST = 64


@dataclass(frozen=True, kw_only=True)
class Maze:
    """A layout with the protocol that goes with it."""

    name: str
    """What it is called."""
    layout: str
    """Rows joined by "/": # wall, O free, G free and the goal of the single task."""
    env_steps: int
    """Length of an episode in environment steps."""
    reference: tuple[float, float] | None = None
    """Returns of the random policy and of the published expert, for normalised scores; None: none are published."""

    def __post_init__(self) -> None:
        """Check the layout; raises UsageError."""
        rows = self.layout.split("/")
        hint = "Write rows of # (wall), O (free) and at most one G (goal), such as '#####/#OOG#/#####'."
        if len({len(row) for row in rows}) != 1 or len(rows) < 3 or len(rows[0]) < 3:
            raise UsageError(f"The layout of maze {self.name!r} is no rectangle of at least 3 x 3 cells.", hint=hint)
        if max(len(rows), len(rows[0])) > _LARGEST:
            raise UsageError(
                f"The layout of maze {self.name!r} has {len(rows)} x {len(rows[0])} cells; {_LARGEST} x {_LARGEST} is"
                " the most.",
                hint="Use a smaller layout.",
            )
        wrong = set(self.layout) - set(f"{_WALL}{_FREE}{_GOAL}/")
        if wrong or self.layout.count(_GOAL) > 1:
            raise UsageError(
                f"The layout of maze {self.name!r} holds {sorted(wrong)[0]!r}."
                if wrong
                else f"The layout of maze {self.name!r} has more than one goal.",
                hint=hint,
            )
        walls = self.walls
        if not (walls[[0, -1]].all() and walls[:, [0, -1]].all()) or walls.all():
            raise UsageError(f"The layout of maze {self.name!r} is not closed by walls around free cells.", hint=hint)

    @cached_property
    def walls(self) -> NDArray[np.bool_]:
        """[X, Y], True where there is a wall."""
        return np.array([[mark == _WALL for mark in row] for row in self.layout.split("/")])

    @cached_property
    def goal(self) -> Cell | None:
        """The cell of the single task's goal, if the layout marks one."""
        for i, row in enumerate(self.layout.split("/")):
            if _GOAL in row:
                return i, row.index(_GOAL)
        return None

    @cached_property
    def free_cells(self) -> NDArray[np.int64]:
        """[K, 2] free cells, the goal's among them, row by row."""
        return np.argwhere(~self.walls)

    def score(self, returns: NDArray[np.float64]) -> NDArray[np.float64]:
        """D4RL's normalised score, 100 (return - random) / (expert - random); raises UsageError without a reference."""
        if self.reference is None:
            raise UsageError(f"Maze {self.name!r} has no reference returns.", hint="Report the return itself.")
        low, high = self.reference
        return 100 * (returns - low) / (high - low)

    def flood(self, cell: Cell) -> NDArray[np.int64]:
        """[X, Y] steps from each free cell to `cell` over free neighbours; -1 for walls and unreachable cells."""
        distance = np.full(self.walls.shape, -1)
        if self.walls[cell]:
            return distance
        distance[cell] = 0
        queue = deque([cell])
        while queue:
            i, j = queue.popleft()
            for di, dj in _NEIGHBOURS:
                near = i + di, j + dj
                if not self.walls[near] and distance[near] < 0:
                    distance[near] = distance[i, j] + 1
                    queue.append(near)
        return distance

    @cached_property
    def floods(self) -> NDArray[np.int64]:
        """[X, Y, X, Y] distances between all pairs of cells, as `flood` counts them (first pair: the source)."""
        table = np.full(self.walls.shape * 2, -1)
        for i, j in self.free_cells:
            table[i, j] = self.flood((int(i), int(j)))
        return table

    def path(self, start: Cell, goal: Cell, rng: np.random.Generator | None = None) -> list[Cell]:
        """A shortest path of cells from `start` to `goal`, both included; `rng` chooses among ties.

        Raises UsageError where there is none.
        """
        distance = self.floods[goal]
        if distance[start] < 0:
            raise UsageError(
                f"There is no way from cell {start} to cell {goal} in maze {self.name!r}.",
                hint="Choose two free cells that are connected.",
            )
        path = [start]
        while path[-1] != goal:
            i, j = path[-1]
            near = [(i + di, j + dj) for di, dj in _NEIGHBOURS if distance[i + di, j + dj] == distance[i, j] - 1]
            path.append(near[0 if rng is None else int(rng.integers(len(near)))])
        return path

    def require_free(self, what: str, point: tuple[float, float]) -> Cell:
        """The free cell that holds a point; raises UsageError for a point outside the maze or in a wall."""
        rows, columns = self.walls.shape
        i, j = (int(np.floor(value + 0.5 + CELL_OFFSET)) if np.isfinite(value) else -1 for value in point)
        where = f"{point[0]:g},{point[1]:g}"
        if not (0 <= i < rows and 0 <= j < columns):
            raise UsageError(
                f"The {what} {where} lies outside of maze {self.name!r}, which has cells 0 to {rows - 1} by 0 to"
                f" {columns - 1}.",
                hint=f"Free cells are for example {self._examples()}.",
            )
        if self.walls[i, j]:
            raise UsageError(
                f"The {what} {where} lies in a wall of maze {self.name!r}.",
                hint=f"Free cells are for example {self._examples()}.",
            )
        return i, j

    def _examples(self) -> str:
        cells = self.free_cells
        return " and ".join(f"{i},{j}" for i, j in (cells[0], cells[-1]))


def _maze(name: str, layout: str, env_steps: int, low: float, high: float) -> Maze:
    return Maze(name=name, layout=layout, env_steps=env_steps, reference=(low, high))


MAZES = {
    maze.name: maze
    for maze in (
        _maze("umaze", "#####/#GOO#/###O#/#OOO#/#####", 300, 23.85, 161.86),
        _maze(
            "medium",
            "########/#OO##OO#/#OO#OOO#/##OOO###/#OO#OOO#/#O#OO#O#/#OOO#OG#/########",
            600,
            13.13,
            277.39,
        ),
        _maze(
            "large",
            "############/#OOOO#OOOOO#/#O##O#O#O#O#/#OOOOOO#OOO#/#O####O###O#/#OO#O#OOOOO#/##O#O#O#O###/#OO#OOO#OGO#/"
            "############",
            800,
            6.7,
            273.99,
        ),
        _maze("eval-umaze", "#####/#OOG#/#O###/#OOO#/#####", 300, 36.63, 141.4),
        _maze(
            "eval-medium",
            "########/#OOOOOG#/#O#O##O#/#OOOO#O#/###OO###/#OOOOOO#/#OO##OO#/########",
            600,
            13.07,
            204.93,
        ),
        _maze(
            "eval-large",
            "############/#OO#OOO#OGO#/##O###O#O#O#/#OO#O#OOOOO#/#O##O#OO##O#/#OOOOOO#OOO#/#O##O#O#O###/#OOOO#OOOOO#/"
            "############",
            800,
            16.4,
            302.22,
        ),
    )
}
"""The layouts of D4RL's maze2d, and its three evaluation layouts, by name."""


def find_maze(name: str) -> Maze:
    """The maze of that name, or of that layout (rows joined by "/"); raises UsageError for an unknown name."""
    if name in MAZES:
        return MAZES[name]
    if "/" in name:
        return Maze(name="custom", layout=name, env_steps=800)
    raise UsageError(
        f"There is no maze {name!r}.",
        hint=f"Known are {', '.join(MAZES)}; a layout of your own is written like '#####/#OOG#/#####'.",
    )


def cell_centres(cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Positions of the centres of cells [..., 2]."""
    return cells.astype(np.float64) - CELL_OFFSET


def cells_of(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """The cells that hold the points [..., 2]."""
    return np.floor(points + 0.5 + CELL_OFFSET).astype(np.int64)


def random_maze(rng: np.random.Generator, *, rows: int, columns: int, loops: float = 0.3, name: str = "random") -> Maze:
    """A random connected layout of `rows` x `columns` cells, border included.

    A depth-first walk carves corridors between the odd cells (a perfect maze), then each inner wall that separates two
    free cells falls with probability `loops` / 2, and rooms appear where several do. Raises UsageError below 5 x 5.
    """
    if min(rows, columns) < 5:
        raise UsageError(
            f"A random maze of {rows} x {columns} cells is too small: 5 x 5 is the least.", hint="Ask for more cells."
        )
    walls = np.ones((rows, columns), dtype=bool)
    stack: list[Cell] = [(1, 1)]
    walls[1, 1] = False
    while stack:
        i, j = stack[-1]
        ways = [
            (i + 2 * di, j + 2 * dj)
            for di, dj in _NEIGHBOURS
            if 0 < i + 2 * di < rows - 1 and 0 < j + 2 * dj < columns - 1 and walls[i + 2 * di, j + 2 * dj]
        ]
        if not ways:
            stack.pop()
            continue
        to = ways[int(rng.integers(len(ways)))]
        walls[(i + to[0]) // 2, (j + to[1]) // 2] = walls[to] = False
        stack.append(to)
    inner = walls[1:-1, 1:-1]
    free = ~walls
    beside = (free[:-2, 1:-1] | free[2:, 1:-1] | free[1:-1, :-2] | free[1:-1, 2:]) & inner
    inner[beside & (rng.random(inner.shape) < loops / 2)] = False
    layout = "/".join("".join(_WALL if wall else _FREE for wall in row) for row in walls)
    return Maze(name=name, layout=layout, env_steps=800)


def training_mazes(count: int, rng: np.random.Generator, *, avoid: frozenset[str] = frozenset()) -> list[Maze]:
    """Distinct random layouts from 5 x 5 to 11 x 13 cells, none of those in `avoid` nor built in."""
    found: dict[str, Maze] = {}
    taken = {maze.layout.replace(_GOAL, _FREE) for maze in MAZES.values()} | avoid
    while len(found) < count:
        rows, columns = int(rng.integers(5, 12)), int(rng.integers(5, 14))
        loops = float(rng.uniform(0.0, 0.8))
        maze = random_maze(rng, rows=rows, columns=columns, loops=loops, name=f"random-{len(found)}")
        if maze.layout not in taken:
            found.setdefault(maze.layout, maze)
    return list(found.values())
