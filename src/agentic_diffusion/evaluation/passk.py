"""Shares of tasks solved, with intervals: pass@k, Wilson's interval, the bootstrap over tasks, paired differences.

T tasks, n samples of a task, c of them right. The tasks are what a benchmark draws by chance, so they are what the
bootstrap draws again; a run's samples of one task stay together. Random numbers come in as a generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agentic_diffusion.foundation.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.random import Generator

Z_95 = 1.959963984540054
"""Quantile of the normal distribution for a two-sided interval of 95 %."""
ROUNDS = 2000
"""Draws of a bootstrap."""
Counts = tuple[int, int]
"""Samples of a task, and how many of them are right: (n, c)."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    """The estimate."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    method: str
    """How the interval was made: "wilson" or "bootstrap over tasks"."""


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased estimate that one of k samples is right, from n samples of which c are: 1 - C(n-c, k) / C(n, k).

    Chen et al. 2021, "Evaluating large language models trained on code", eq. 1. Needs 1 <= k <= n and 0 <= c <= n,
    else UsageError.
    """
    if not 1 <= k <= n or not 0 <= c <= n:
        raise UsageError(
            f"pass@{k} cannot be told from {n} samples of which {c} are right.",
            hint=f"draw at least {max(1, k)} samples.",
        )
    if n - c < k:
        return 1.0
    return 1.0 - math.prod((n - c - i) / (n - i) for i in range(k))


def wilson(right: int, trials: int) -> Estimate:
    """The share `right` / `trials` with the interval of Wilson 1927; 0 to 1 without a trial."""
    if not 0 <= right <= trials:
        raise UsageError(f"{right} of {trials} is no share.", hint="count no more successes than trials.")
    if trials == 0:
        return Estimate(value=0.0, low=0.0, high=1.0, method="wilson")
    share, scale = right / trials, 1 + Z_95**2 / trials
    middle = (share + Z_95**2 / (2 * trials)) / scale
    half = Z_95 * math.sqrt((share * (1 - share) + Z_95**2 / (4 * trials)) / trials) / scale
    return Estimate(value=share, low=max(0.0, middle - half), high=min(1.0, middle + half), method="wilson")


def score(counts: Sequence[Counts], k: int, rng: Generator) -> Estimate:
    """Mean pass@k over the tasks: Wilson's interval where each task has one sample, else by bootstrap over tasks."""
    if all(n == 1 for n, _ in counts):
        return wilson(sum(c for _, c in counts), len(counts))
    return bootstrap([pass_at_k(n, c, k) for n, c in counts], rng)


def bootstrap(values: Sequence[float], rng: Generator) -> Estimate:
    """The mean of `values`, one a task, with the percentile interval over draws of tasks with replacement.

    Efron 1979. Where all values are the same the interval is that value alone, which says nothing of other tasks.
    """
    if not values:
        return Estimate(value=0.0, low=0.0, high=1.0, method="bootstrap over tasks")
    array = np.asarray(values, dtype=np.float64)
    means = array[rng.integers(0, len(array), size=(ROUNDS, len(array)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(value=float(array.mean()), low=float(low), high=float(high), method="bootstrap over tasks")


def paired_difference(
    left: Mapping[str, Counts], right: Mapping[str, Counts], k: int, rng: Generator
) -> tuple[Estimate, int]:
    """Mean pass@k of `left` less that of `right` over the tasks in both, and how many those are.

    Both runs are drawn with the same tasks, so what makes a task hard for both falls out of the difference. UsageError
    when no task is in both.
    """
    common = sorted(left.keys() & right.keys())
    if not common:
        raise UsageError(
            "The two runs have no task in common, so they cannot be compared.", hint="compare runs of one benchmark."
        )
    return bootstrap([pass_at_k(*left[task], k) - pass_at_k(*right[task], k) for task in common], rng), len(common)
