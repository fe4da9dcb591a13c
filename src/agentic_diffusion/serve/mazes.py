"""`/v1/agd/plan`: a way through a maze, with every step of its denoising as numbers for the page to draw.

Places come as in `agd plan` and go out in cells: (i, j) is the middle of the cell in row i and column j. A frame has
the way of every shown candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentic_diffusion.foundation.errors import ModelFileError, UsageError
from agentic_diffusion.serve.fields import Field, Fields
from agentic_diffusion.serve.house import House

PLAN: Fields = {
    "maze": Field(kind="string", default="large", text="umaze, medium, large, or a layout such as #####/#OOG#/#####."),
    "start": Field(kind="string", default="1,1", text="Row and column."),
    "goal": Field(kind="string", text="Row and column; left out, the goal that the maze marks."),
    "candidates": Field(kind="integer", least=1, most=128, default=24, text="Plans that are denoised."),
    "steps": Field(kind="integer", least=1, most=100, default=6, text="Denoising steps."),
    "seed": Field(kind="integer", least=0, most=2**31, default=0, text="Seed of the noise."),
}
_LONGEST_LAYOUT = 2000
_SHOWN = 32
"""Candidates whose way is told."""


def run_plan(values: Mapping[str, Any], house: House) -> dict[str, Any]:
    """Denoise candidates, take the best, drive it through the maze's physics."""
    from agentic_diffusion.domains.trajectories.environment import task_between
    from agentic_diffusion.domains.trajectories.maze import find_maze
    from agentic_diffusion.planning.planner import Planner, PlannerSettings, Plans, select
    from agentic_diffusion.planning.rollout import roll_out

    if house.planner is None:
        raise ModelFileError("There are no weights of a maze planner here.", hint="train them: runs/maze.sh.")
    if len(values["maze"]) > _LONGEST_LAYOUT:
        raise UsageError(f"A layout has at most {_LONGEST_LAYOUT} characters.", hint="use a smaller maze.")
    maze = find_maze(values["maze"])
    goal = _place("goal", values["goal"]) if values["goal"] else maze.goal
    if goal is None:
        raise UsageError(f"Maze {maze.name!r} marks no goal.", hint="give one, such as 3,1.")
    ends = _place("start", values["start"]), (float(goal[0]), float(goal[1]))
    tasks = task_between(maze, *ends)
    settings = PlannerSettings(candidates=values["candidates"], steps=values["steps"])
    planner = Planner(house.planner(), settings)
    frames: list[Plans] = []
    plans = planner.propose(tasks, seed=values["seed"], on_step=lambda _, estimate: frames.append(estimate))
    planned = select(tasks, plans, env_steps=maze.env_steps, tracker=settings.tracker)
    knots, durations = planned.chosen
    driven = roll_out(tasks, knots, durations, env_steps=maze.env_steps, keep_states=True)
    assert driven.states is not None
    reached = bool(driven.success[0])
    told = {
        "maze": maze.name,
        "walls": maze.walls.astype(int).tolist(),
        "start": _way([ends[0]])[0],
        "goal": _way([ends[1]])[0],
        "frames": [[_way(one) for one in frame.knots[0][:_SHOWN]] for frame in [*frames, plans]],
        "candidate": int(planned.choice[0]),
        "promised_returns": [round(float(value), 3) for value in planned.values[0]],
        "driven": _way(driven.states[0][:: max(1, len(driven.states[0]) // 200)]),
        "reached": reached,
        "arrival": int(driven.arrival[0]) if reached else None,
        "env_steps": maze.env_steps,
    }
    asked = {"prompt": f"{maze.name}: {values['start']} to {goal[0]:g},{goal[1]:g}"}
    house.history.keep("serve plan", asked, {key: told[key] for key in ("maze", "reached", "arrival", "env_steps")})
    return told


def _way(states: Any) -> list[list[float]]:
    """Positions in cells, with three digits."""
    from agentic_diffusion.domains.trajectories.maze import CELL_OFFSET

    return [[round(float(value) + CELL_OFFSET, 3) for value in state[:2]] for state in states]


def _place(what: str, text: str) -> tuple[float, float]:
    """Row and column out of a text."""
    parts = text.split(",")
    try:
        row, column = (float(part) for part in parts)
    except ValueError:
        raise UsageError(f"The {what} is no place.", hint="write row and column, for example 1,1.") from None
    if not (abs(row) < 1e6 and abs(column) < 1e6):
        raise UsageError(f"The {what} lies outside every maze.", hint="write row and column, for example 1,1.")
    return row, column
