"""The map over tasks: order, errors as results, dead workers."""

import os
import signal

import pytest

from agentic_diffusion.foundation.errors import ConfigError, ResourceError, UsageError
from agentic_diffusion.foundation.parallel import map_tasks


def reciprocal(x: int) -> float:
    if x < 0:
        raise ConfigError(f"{x} is negative.", hint="Give a positive number.")
    return 1 / x


def own_process(_: int) -> int:
    return os.getpid()


def die(x: int) -> int:
    if x == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@pytest.mark.parametrize("workers", [1, 2])
def test_results_keep_the_order_and_errors_their_item(workers):
    results = list(map_tasks(reciprocal, [4, 0, 2, -3, 1], workers))
    assert [result.item for result in results] == [4, 0, 2, -3, 1]
    assert [result.value for result in results] == [0.25, None, 0.5, None, 1.0]
    assert isinstance(results[1].error, ZeroDivisionError)
    with pytest.raises(ConfigError, match="-3 is negative") as caught:
        results[3].unwrap()
    assert caught.value.hint == "Give a positive number."
    assert results[0].unwrap() == 0.25


def test_one_worker_is_this_process_and_more_are_others():
    assert {result.value for result in map_tasks(own_process, range(3), 1)} == {os.getpid()}
    assert os.getpid() not in {result.value for result in map_tasks(own_process, range(3), 2)}


def test_no_items_no_results():
    assert list(map_tasks(reciprocal, [], 4)) == []


def test_a_dead_worker_is_an_error_of_its_item():
    results = list(map_tasks(die, [1, 2], 2))
    assert isinstance(results[0].error, ResourceError)
    assert results[0].error.message == "A worker process died before it finished its task."


def test_less_than_one_worker_is_refused():
    with pytest.raises(UsageError, match="0 workers are not possible: at least 1 is needed"):
        map_tasks(reciprocal, [1], 0)
