"""Laws of the random numbers: stateless, uniform, independent between streams."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic_diffusion.foundation.errors import UsageError
from agentic_diffusion.foundation.randomness import derive, normals, uniforms

WORDS = st.integers(0, 2**64 - 1)


@given(seed=WORDS, stream=WORDS, start=st.integers(0, 2**62), length=st.integers(1, 40), cut=st.integers(0, 40))
def test_a_number_does_not_depend_on_its_batch(seed, stream, start, length, cut):
    counter = np.arange(length, dtype=np.int64) + start
    whole = uniforms(seed, stream, counter)
    parts = np.concatenate([uniforms(seed, stream, counter[:cut]), uniforms(seed, stream, counter[cut:])])
    assert np.array_equal(whole, parts)
    assert np.array_equal(uniforms(seed, stream, counter.reshape(1, -1))[0], whole)
    assert ((whole >= 0) & (whole < 1)).all()
    assert whole.dtype == np.float64


def test_a_splitmix64_generator_written_differently_agrees():
    def mix(z: int) -> int:
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        return z ^ (z >> 31)

    # First outputs of splitmix64 for the state 1234567, as published with its reference implementation.
    assert mix((1234567 + 0x9E3779B97F4A7C15) % 2**64) == 6457827717110365317
    state = mix((mix(7) ^ 3) + 0x9E3779B97F4A7C15 & (2**64 - 1))
    expected = []
    for _ in range(5):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        expected.append((mix(state) >> 11) / 2**53)
    assert uniforms(7, 3, np.arange(5)).tolist() == expected


def test_the_numbers_are_uniform():
    x = uniforms(1, 2, np.arange(200_000))
    counts = np.histogram(x, bins=100, range=(0, 1))[0]
    chi_squared = ((counts - 2000) ** 2 / 2000).sum()
    assert 50 < chi_squared < 170  # 99 degrees of freedom: mean 99, standard deviation 14


@pytest.mark.parametrize(("first", "second"), [((1, 0), (1, 1)), ((1, 0), (2, 0)), ((5, 6), (6, 5))])
def test_streams_and_seeds_are_uncorrelated(first, second):
    counter = np.arange(50_000)
    correlation = np.corrcoef(uniforms(*first, counter), uniforms(*second, counter))[0, 1]
    assert abs(correlation) < 5 / np.sqrt(50_000)


def test_successive_draws_are_uncorrelated():
    x = uniforms(0, 0, np.arange(50_001))
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 5 / np.sqrt(50_000)


@given(seed=WORDS, streams=st.lists(WORDS, min_size=1, max_size=4), start=st.integers(0, 2**61))
def test_a_normal_number_does_not_depend_on_its_batch(seed, streams, start):
    counter = (np.arange(6) + start).reshape(2, 3)
    together = normals(seed, streams, counter)
    assert together.shape == (len(streams), 2, 3)
    assert np.isfinite(together).all()
    for row, stream in zip(together, streams, strict=True):
        assert np.array_equal(normals(seed, [stream], counter[1:])[0], row[1:])


def test_the_normal_numbers_are_normal_and_uncorrelated():
    first, second = normals(3, [0, 1], np.arange(100_000))
    error = 5 / np.sqrt(100_000)
    assert abs(first.mean()) < error
    assert abs(first.var() - 1) < 2 * error
    assert abs((first**4).mean() - 3) < 10 * error
    assert abs(np.corrcoef(first, second)[0, 1]) < error
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < error
    assert abs((first < -1.2815515655446004).mean() - 0.1) < error


NAMES = st.lists(st.text(max_size=5) | st.integers(-5, 5), max_size=4)


@given(seed=WORDS, first=NAMES, second=NAMES)
def test_child_seeds_are_a_function_of_the_path_and_differ_between_paths(seed, first, second):
    a, b = derive(seed, *first), derive(seed, *second)
    same = [(type(x), x) for x in first] == [(type(x), x) for x in second]
    assert (a == b) == same
    assert 0 <= a < 2**63


def test_numbers_and_words_are_different_names():
    assert derive(1, "1") != derive(1, 1)
    assert derive(1, "a", "b") != derive(1, "ab")
    assert derive(1) != derive(2)


@pytest.mark.parametrize("bad", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(bad):
    message = f"The seed {bad} is out of range: a seed is a whole number from 0 to 2\\*\\*64 - 1."
    with pytest.raises(UsageError, match=message):
        uniforms(bad, 0, np.arange(1))
    with pytest.raises(UsageError, match=message):
        derive(bad, "x")
    with pytest.raises(UsageError, match="The stream"):
        uniforms(0, bad, np.arange(1))
