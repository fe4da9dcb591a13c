"""Laws of mazes: layouts from text, distances, geometry, random layouts, and what is refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic_diffusion.domains.trajectories.maze import (
    MAZES,
    Maze,
    cell_centres,
    cells_of,
    find_maze,
    random_maze,
    training_mazes,
)
from agentic_diffusion.foundation.errors import UsageError


@pytest.mark.parametrize("name", MAZES)
def test_built_in_layouts_are_connected_and_mark_their_goal(name):
    maze = MAZES[name]
    distance = maze.flood(maze.goal)
    assert all(distance[i, j] >= 0 for i, j in maze.free_cells)


def test_the_known_goals_and_sizes():
    assert [MAZES[name].goal for name in ("umaze", "medium", "large")] == [(1, 1), (6, 6), (7, 9)]
    assert [len(MAZES[name].free_cells) for name in ("umaze", "medium", "large")] == [7, 26, 46]


def test_whole_numbers_are_no_centres():
    assert cells_of(np.array([[1.0, 1.0], [1.29, 0.31], [1.31, 1.0]])).tolist() == [[1, 1], [1, 1], [2, 1]]
    assert np.allclose(cell_centres(np.array([3, 4])), [2.8, 3.8])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 14), st.integers(5, 14), st.floats(0, 1))
def test_random_mazes_are_closed_and_connected(seed, rows, columns, loops):
    maze = random_maze(np.random.default_rng(seed), rows=rows, columns=columns, loops=loops)
    distance = maze.flood(tuple(map(int, maze.free_cells[0])))
    assert all(distance[i, j] >= 0 for i, j in maze.free_cells)
    assert maze.walls.shape == (rows, columns)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_paths_are_shortest_and_pass_free_neighbours(seed):
    rng = np.random.default_rng(seed)
    maze = random_maze(rng, rows=9, columns=11)
    start, goal = (tuple(map(int, maze.free_cells[k])) for k in rng.integers(len(maze.free_cells), size=2))
    path = maze.path(start, goal, rng)
    assert (path[0], path[-1]) == (start, goal)
    assert len(path) - 1 == maze.flood(goal)[start] == maze.floods[start][goal]
    assert all(abs(a - c) + abs(b - d) == 1 for (a, b), (c, d) in itertools.pairwise(path))


def test_training_mazes_are_distinct_and_avoid_what_is_named():
    first = training_mazes(12, np.random.default_rng(3))
    second = training_mazes(12, np.random.default_rng(3), avoid=frozenset({first[0].layout}))
    assert len({maze.layout for maze in first}) == 12
    assert first[0].layout not in {maze.layout for maze in second}


def test_scores_are_normalised_as_published():
    assert np.allclose(MAZES["large"].score(np.array([6.7, 273.99])), [0.0, 100.0])


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        ("###/#O#/####", "is no rectangle"),
        ("####/#OX#/####", "holds 'X'"),
        ("####/#OOO/####", "not closed by walls"),
        ("#####/#GOG#/#####", "more than one goal"),
        ("/".join(["#" * 70] * 3), "is the most"),
    ],
)
def test_bad_layouts_are_refused_in_one_sentence(layout, sentence):
    with pytest.raises(UsageError, match=sentence):
        Maze(name="bad", layout=layout, env_steps=10)


def test_unknown_mazes_and_places_are_refused():
    with pytest.raises(UsageError, match=r"There is no maze 'huge'\."):
        find_maze("huge")
    large = find_maze("large")
    with pytest.raises(UsageError, match=r"The goal 99,9 lies outside of maze 'large'"):
        large.require_free("goal", (99, 9))
    with pytest.raises(UsageError, match=r"The start 0,0 lies in a wall of maze 'large'\."):
        large.require_free("start", (0, 0))
    with pytest.raises(UsageError, match="outside"):
        large.require_free("start", (float("nan"), 1))
    halves = Maze(name="halves", layout="#####/#O#O#/#####", env_steps=10)
    with pytest.raises(UsageError, match="There is no way"):
        halves.path((1, 1), (1, 3))
    with pytest.raises(UsageError, match="no reference returns"):
        halves.score(np.zeros(1))
    assert find_maze("####/#OO#/####").name == "custom"
