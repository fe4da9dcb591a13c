"""`agd plan`: a way through a maze, denoised; maze, candidates and the chosen path as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from agentic_diffusion.cli.output import print_json
from agentic_diffusion.foundation import events
from agentic_diffusion.foundation.errors import ExitCode, ModelFileError, UsageError
from agentic_diffusion.foundation.resources import atomic_write

if TYPE_CHECKING:
    from agentic_diffusion.domains.trajectories.environment import Tasks
    from agentic_diffusion.domains.trajectories.maze import Maze
    from agentic_diffusion.planning.planner import Planned, Planner, Plans
    from agentic_diffusion.planning.rollout import Rollout

app = App(name="plan", help="Plan a way through a maze by denoising, and draw it.")


@app.default
def plan(
    *,
    maze: str = "large",
    start: str = "1,1",
    goal: str | None = None,
    out: Path | None = None,
    animate: Path | None = None,
    candidates: int = 64,
    steps: int = 6,
    seed: int = 0,
    model: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Plan from --start to --goal, drive the plan through the maze's physics, and tell when it arrives.

    Exit code 0: the driven plan reaches the goal; 1: it does not.

    Parameters
    ----------
    maze
        umaze, medium, large, eval-umaze, eval-medium, eval-large, or a layout such as "#####/#OOG#/#####".
    start
        Row and column, such as 1,1; fractions are allowed, whole numbers are D4RL's cells.
    goal
        Row and column; without it the goal that the maze marks.
    out
        Draw maze, candidates and the chosen path into this PNG file.
    animate
        Draw the denoising, step by step, into this GIF file.
    candidates
        How many plans are denoised; the best one is taken.
    steps
        Denoising steps.
    seed
        Seed of the noise.
    model
        Weights of a planner; without it those that ship, or those of the newest run of runs/maze.sh.
    as_json
        One JSON object on stdout: the plan, its arrival, the promises of all candidates.

    """
    from agentic_diffusion.domains.trajectories.environment import task_between
    from agentic_diffusion.domains.trajectories.maze import find_maze
    from agentic_diffusion.planning.model import load_model
    from agentic_diffusion.planning.planner import Planner, PlannerSettings, select
    from agentic_diffusion.planning.rollout import roll_out

    place = find_maze(maze)
    ends = _point("start", start), _goal(place, goal)
    tasks = task_between(place, *ends)
    settings = PlannerSettings(candidates=candidates, steps=steps)
    planner = Planner(load_model(_weights(model)), settings)
    frames: list[Plans] = []
    plans = planner.propose(tasks, seed=seed, on_step=lambda _, estimate: frames.append(estimate))
    planned = select(tasks, plans, env_steps=place.env_steps, tracker=settings.tracker)
    knots, durations = planned.chosen
    driven = roll_out(tasks, knots, durations, env_steps=place.env_steps, keep_states=True)
    _draw(place, ends, (planned, frames, driven), out, animate)
    record = _record(planner, tasks, planned, driven, place)
    if as_json:
        print_json(record)
    else:
        sys.stdout.write(_sentence(record))
    return ExitCode.DONE if record["reached"] else ExitCode.NEGATIVE


def _point(what: str, text: str) -> tuple[float, float]:
    """Two numbers with a comma between; UsageError for anything else."""
    parts = text.split(",")
    try:
        x, y = (float(part) for part in parts)
    except ValueError:
        raise UsageError(
            f"The {what} {text!r} is no place: two numbers with a comma between are needed.",
            hint="Write row and column, for example 1,1.",
        ) from None
    return x, y


def _goal(maze: Maze, text: str | None) -> tuple[float, float]:
    if text is not None:
        return _point("goal", text)
    if maze.goal is None:
        raise UsageError(f"Maze {maze.name!r} marks no goal.", hint="Give one, such as --goal 3,1.")
    return float(maze.goal[0]), float(maze.goal[1])


def _weights(given: Path | None) -> Path:
    """The model file: the given one, the one that ships, or the newest that was trained here."""
    from agentic_diffusion.planning.model import installed_weights

    found = given or installed_weights()
    if found is None:
        raise ModelFileError(
            "There are no weights of a maze planner here.", hint="Train them: runs/maze.sh --size full."
        )
    return found


def _draw(
    maze: Maze,
    ends: tuple[tuple[float, float], tuple[float, float]],
    made: tuple[Planned, list[Plans], Rollout],
    out: Path | None,
    animate: Path | None,
) -> None:
    """Write the pictures that were asked for."""
    if out is None and animate is None:
        return
    from agentic_diffusion.planning.drawing import Scene, animated_gif, draw, png

    planned, frames, driven = made
    assert driven.states is not None
    scene = Scene(maze=maze, start=ends[0], goal=ends[1])
    last = draw(scene, list(planned.plans.knots[0]), driven.states[0])
    if out is not None:
        atomic_write(out, png(last))
    if animate is not None:
        atomic_write(animate, animated_gif([*(draw(scene, list(frame.knots[0]), None) for frame in frames), last]))
    events.say(f"drawn: {', '.join(str(path) for path in (out, animate) if path is not None)}")


def _record(planner: Planner, tasks: Tasks, planned: Planned, driven: Rollout, maze: Maze) -> dict[str, Any]:
    """What is told of a plan."""
    knots, durations = planned.chosen
    reached = bool(driven.success[0])
    return {
        "maze": maze.name,
        "start": tasks.start[0, :2].tolist(),
        "goal": tasks.goal[0].tolist(),
        "reached": reached,
        "arrival": int(driven.arrival[0]) if reached else None,
        "env_steps": maze.env_steps,
        "return": float(driven.returns[0]),
        "duration": round(float(durations[0]), 2),
        "candidate": int(planned.choice[0]),
        "promised_returns": planned.values[0].tolist(),
        "knots": _rounded(knots[0]),
        "steps": planner.settings.steps,
    }


def _rounded(values: Any) -> list[list[float]]:
    """Nested lists with four digits."""
    return [[round(float(number), 4) for number in row] for row in values]


def _sentence(record: dict[str, Any]) -> str:
    count = len(record["promised_returns"])
    chosen = f"candidate {record['candidate'] + 1} of {count}"
    if not record["reached"]:
        return f"not reached in {record['env_steps']} environment steps ({chosen})\n"
    return (
        f"arrives at environment step {record['arrival']} of {record['env_steps']}, return {record['return']:g}"
        f" ({chosen})\n"
    )
