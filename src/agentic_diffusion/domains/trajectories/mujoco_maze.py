"""The same maze for MuJoCo itself: the judge of `environment`, and a second opinion on every score.

Needs the package mujoco (extra `mazes`); nothing else of this package does.
State: (x, y, vx, vy). The model is D4RL's `point_maze`, written anew from its numbers.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentic_diffusion.domains.trajectories.environment import SPEED_LIMIT
from agentic_diffusion.domains.trajectories.maze import Maze

_MODEL = """
<mujoco model="maze">
  <compiler inertiafromgeom="true" angle="radian"/>
  <option timestep="0.01" gravity="0 0 0" iterations="20" integrator="Euler"/>
  <default>
    <joint damping="1" limited="false"/>
    <geom friction=".5 .1 .1" density="1000" margin="0.002" condim="1" contype="2" conaffinity="1"/>
  </default>
  <worldbody>
    <geom type="plane" size="40 40 0.25" pos="0 0 -0.1" contype="1" conaffinity="0"/>
    <body pos="1.2 1.2 0">
      <geom type="sphere" size="0.1" contype="1"/>
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="y" type="slide" axis="0 1 0"/>
    </body>
    {walls}
  </worldbody>
  <actuator>
    <motor joint="x" ctrlrange="-1 1" ctrllimited="true" gear="100"/>
    <motor joint="y" ctrlrange="-1 1" ctrllimited="true" gear="100"/>
  </actuator>
</mujoco>"""


def model_text(maze: Maze) -> str:
    """The maze as an MJCF document."""
    walls = "".join(
        f'<geom type="box" pos="{i + 1} {j + 1} 0" size="0.5 0.5 0.2"/>' for i, j in np.argwhere(maze.walls)
    )
    return _MODEL.format(walls=walls)


class MujocoMaze:
    """One ball in one maze, stepped by MuJoCo as D4RL steps it."""

    def __init__(self, maze: Maze) -> None:
        """Compile the model; ImportError where mujoco is not installed."""
        mujoco: Any = import_module("mujoco")
        self._mujoco = mujoco
        self._model: Any = mujoco.MjModel.from_xml_string(model_text(maze))
        self._data: Any = mujoco.MjData(self._model)

    def set_state(self, state: NDArray[np.float64]) -> None:
        """Put the ball to (x, y, vx, vy)."""
        self._mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:], self._data.qvel[:] = state[:2], state[2:]

    def step(self, action: NDArray[np.float64]) -> NDArray[np.float64]:
        """Clip the action and the velocity, make one time step, return the state."""
        self._data.ctrl[:] = np.clip(action, -1.0, 1.0)
        self._data.qvel[:] = np.clip(self._data.qvel, -SPEED_LIMIT, SPEED_LIMIT)
        self._mujoco.mj_step(self._model, self._data)
        return np.concatenate([self._data.qpos, self._data.qvel])
